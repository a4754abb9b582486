"""
The servers that are soaked: started, asked how they are, and ended one way or another.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, NamedTuple

from benchmarks import serving
from benchmarks.clients import Client, Clients, request

PROBE: Final = request("/probe/")
# A machine that does other things, too, is slow at times; silence is no leak.
PATIENCE: Final = 30.0
_BACKLOG: Final = 256


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
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(_BACKLOG)
            # As in the benchmarks, but for what is served: the last of the arguments.
            command = serving.command(kind, listener.fileno())[:-1]
            log = TemporaryFile()  # noqa: SIM115  # closed when the server is stopped
            process = subprocess.Popen(  # noqa: S603  # our own command
                [sys.executable, "-m", *command, application],
                pass_fds=[listener.fileno()],
                cwd=serving.ROOT,
                stdout=log,
                stderr=log,
            )
            address = listener.getsockname()
        return cls(name, kind, serving.Server(process, address, log))

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
