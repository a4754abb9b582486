"""
A million handshakes, each from another hostile origin: what is left of them.

Through the guard, in memory; the audit writes to a database in a file by its own
thread. Asked by `__main__`; run as a program by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from .databases import begin, measured, sqlite

HANDSHAKES: Final = 1_000_000
QUICK_HANDSHAKES: Final = 2_000
_PARTS: Final = 10


def results(*, quick: bool) -> dict[str, Any]:
    """Measure; return what was counted, and the memory after each tenth."""
    handshakes = QUICK_HANDSHAKES if quick else HANDSHAKES
    with sqlite() as database:
        found: dict[str, Any] = measured(
            "benchmarks.flood", database, handshakes=handshakes
        )
    return found


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield what was found, in words."""
    memory = found["memory_mib"]
    yield f"a flood of {found['handshakes']:,} distinct hostile origins"
    yield (
        f"  {found['seconds']:.0f} s; {found['rows']:,} rows (cap {found['cap']:,}); "
        f"{found['counted']:,} denials counted"
    )
    yield "  memory after each tenth, MiB: " + ", ".join(f"{one:.1f}" for one in memory)


def resident() -> float:
    """Return this process's memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def flood(start: int, count: int) -> None:
    """Knock so many times, each time as another origin."""
    from wsorigin.guard import OriginGuard

    async def application(*_: Any) -> None:
        raise RuntimeError("a stranger came in")

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        if message["type"] != "websocket.close":
            raise RuntimeError(f"{message} to a stranger")

    guard = OriginGuard(application)
    for number in range(start, start + count):
        headers = [
            (b"host", b"chat.example.com"),
            (b"origin", b"https://%d.evil.example" % number),
        ]
        await guard(
            {"type": "websocket", "path": "/ws/", "headers": headers}, receive, send
        )


def main() -> None:
    """Knock, count, print as JSON."""
    options = begin(WSORIGIN_INHERIT=["same-origin"])
    from django.db.models import Sum

    from wsorigin.audit import audit
    from wsorigin.conf import conf
    from wsorigin.models import DeniedHandshake

    part = options["handshakes"] // _PARTS
    started, memory = time.perf_counter(), []
    for index in range(_PARTS):
        asyncio.run(flood(index * part, part))
        memory.append(resident())
    taken = time.perf_counter() - started
    audit.stop()
    counted = DeniedHandshake.objects.aggregate(sum=Sum("count"))["sum"]
    found = {
        "handshakes": _PARTS * part,
        "seconds": taken,
        "rows": DeniedHandshake.objects.count(),
        "cap": conf.WSORIGIN_AUDIT_MAX_ROWS,
        "counted": counted,
        "memory_mib": memory,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
