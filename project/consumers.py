"""
The demo's consumers: shared prices, and one line that is its reader's business alone.

The guarded one is the project's. Its unguarded twin is only served by demo.py.
"""

import asyncio
import random
import time
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from wsorigin.consumers import GuardedAsyncJsonWebsocketConsumer


class Market:
    """A random walk that all connections share, at most one step a second."""

    def __init__(self, **prices: float) -> None:
        self.prices = prices
        self._stepped = time.monotonic()

    def look(self) -> dict[str, float]:
        """Return the prices of now."""
        if time.monotonic() - self._stepped >= 1:
            self._stepped = time.monotonic()
            self.prices = {
                name: round(price * random.gauss(1, 0.004), 2)
                for name, price in self.prices.items()
            }
        return self.prices


market = Market(Acme=182.40, Globex=64.15, Initech=23.80, Umbrella=311.05)


def portfolio_of(user: Any) -> str:
    """Return what only this user may read; nothing for nobody."""
    if not user.is_authenticated:
        return ""
    name = user.get_username()
    # Made up, but the same on each visit. Not a secret, so no secrets.
    worth = random.Random(name).randrange(20_000, 90_000)  # noqa: S311
    return f"{name}'s portfolio is worth ${worth:,}"


class PricesMixin:
    """What both consumers do: greet the user, then send the prices each second."""

    async def connect(self: Any) -> None:
        await self.accept()
        await self.send_json({"portfolio": portfolio_of(self.scope["user"])})
        self.ticker = asyncio.create_task(self.send_prices())

    async def disconnect(self: Any, code: int) -> None:
        self.ticker.cancel()

    async def send_prices(self: Any) -> None:
        while True:
            await self.send_json({"prices": market.look()})
            await asyncio.sleep(1)


class PricesConsumer(PricesMixin, GuardedAsyncJsonWebsocketConsumer):
    """The prices for the pages that the site trusts."""


class UnguardedPricesConsumer(PricesMixin, AsyncJsonWebsocketConsumer):
    """The same for every page in the world, to show what that means."""
