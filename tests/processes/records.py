"""
A process that counts denials and ends.

Run as a program: ``python -m tests.processes.records ORIGIN TIMES``.
"""

import asyncio
import sys

import django

if __name__ == "__main__":  # pragma: no branch
    django.setup()

    from tests.processes.application import application
    from wsorigin.audit import audit
    from wsorigin.testing import OriginCommunicator

    async def ask(origin: str, times: int) -> None:
        for number in range(times):
            client = OriginCommunicator(application, "/ws/", origin=origin)
            assert not await client.handshake()
            if number % 10 == 0:
                # So that two of these processes write the same row over and over.
                await asyncio.to_thread(audit.flush)

    asyncio.run(ask(sys.argv[1], int(sys.argv[2])))
