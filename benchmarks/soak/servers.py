"""
The servers that are soaked: started, asked how they are, and ended one way or another.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import serving
from benchmarks.clients import Client, Clients, request

PROBE: Final = request("/probe/")
# A machine that does other things, too, is slow at times; silence is no leak.
PATIENCE: Final = 30.0


class Probe(NamedTuple):
    """What a server tells of itself: handshakes so far, and what there is now."""

    admitted: int
    refused: int
    connections: int
    tasks: int
    objects: int


@dataclass
class Served:
    """
    A server process that is soaked.

    ``admitted`` and ``refused`` are the handshakes that its clients have counted;
    ``residents`` the sockets that stay for as long as the process does.
    """

    name: str
    kind: str
    server: serving.Server
    admitted: int = 0
    refused: int = 0
    residents: list[Client] = field(default_factory=list)

    @classmethod
    def start(cls, name: str, kind: str, application: str) -> Served:
        """Start a process of a kind of server; it is not ready at once."""
        return cls(name, kind, serving.start(kind, os.environ, application))

    def wait_until_ready(self) -> None:
        """Return as soon as it answers."""
        self.server.wait_until_open(PROBE)

    def probe(self, clients: Clients) -> Probe:
        """Ask it how it is."""
        client = clients.add(self.server.address, PROBE)
        clients.wait(lambda: bool(client.heard or client.code), PATIENCE)
        clients.forget(client)
        if not client.heard:
            raise RuntimeError(f"{self.name} does not answer: {self.server.said()}")
        return Probe(*json.loads(client.last))

    def measure(self, probe: Probe) -> dict[str, float]:
        """Return what there is of everything that could leak."""
        process = Path(f"/proc/{self.server.process.pid}")
        return {
            "memory": self.server.resident() / 1024,
            "objects": probe.objects,
            "tasks": probe.tasks,
            "threads": len(os.listdir(process / "task")),
            "descriptors": len(os.listdir(process / "fd")),
            "connections": probe.connections,
        }
