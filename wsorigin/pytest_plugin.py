"""
Fixtures for pytest. Switch them on with ``pytest_plugins = ["wsorigin.pytest_plugin"]``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_asyncio

from .guard import Application
from .testing import OriginCommunicator


@pytest_asyncio.fixture
async def origin_client() -> AsyncIterator[Callable[..., OriginCommunicator]]:
    """
    Make `OriginCommunicator` objects that are disconnected after the test::

        async def test_denies_strangers(origin_client):
            client = origin_client(application, "/ws/", origin="https://evil.example")
            assert (await client.handshake()).reason == "unlisted"
    """
    clients: list[OriginCommunicator] = []

    def make(application: Application, path: str, **options: Any) -> OriginCommunicator:
        client = OriginCommunicator(application, path, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.disconnect()
