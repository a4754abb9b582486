"""
What the tests share: few and small fixtures, and how long the properties look.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from wsorigin import denial, guard, middleware, signals
from wsorigin.handshake import Handshake
from wsorigin.patterns import OriginPattern
from wsorigin.policy import Policy, Rule

pytest_plugins = ["wsorigin.pytest_plugin", "tests.services"]

# Who is started in the background ignores Ctrl-C, and so would the servers that the tests
# start, and end by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# In CI the same examples each time: a red build there means a change did it.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def policy_of() -> Callable[..., Policy]:
    """Make a policy of patterns; keyword arguments are the policy's own."""

    def make(*patterns: str, **options: Any) -> Policy:
        rules = [
            Rule(OriginPattern.parse(pattern), f"test[{index}]")
            for index, pattern in enumerate(patterns)
        ]
        return Policy(rules, **options)

    return make


@pytest.fixture(scope="session")
def handshake() -> Callable[..., Handshake]:
    """Make a handshake; keyword arguments other than these are headers."""

    def make(
        origin: str | None = "https://app.example",
        host: str | None = "testserver",
        *,
        scheme: str | None = None,
        **headers: str,
    ) -> Handshake:
        pairs = [(b"origin", origin), (b"host", host)]
        pairs += [(name.replace("_", "-").encode(), headers[name]) for name in headers]
        return Handshake.from_scope(
            {
                "type": "websocket",
                "path": "/ws/",
                "scheme": scheme,
                "headers": [
                    (name, value.encode("latin-1"))
                    for name, value in pairs
                    if value is not None
                ],
            }
        )

    return make


@pytest.fixture
def denials(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[str]]:
    """Return the lines that denials have written so far, with the allowance full."""
    monkeypatch.setattr(denial, "limit", denial.RateLimit(burst=50, per_second=0))
    return lambda: [
        record.getMessage()
        for record in caplog.records
        if record.name == "wsorigin.denial"
    ]


@pytest.fixture(autouse=True)
def fresh_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test full buckets: what it logs does not depend on those before it."""
    monkeypatch.setattr(denial, "limit", denial.RateLimit(50, 2))
    monkeypatch.setattr(denial, "withheld_limit", denial.RateLimit(50, 2))
    monkeypatch.setattr(middleware, "limit", denial.RateLimit(50, 2))
    monkeypatch.setattr(guard, "failures", denial.RateLimit(20, 0.2))


@pytest.fixture(autouse=True)
def fresh_signals() -> Iterator[None]:
    """Take the receivers away that a test leaves: loading an application connects some."""
    ours = [signals.handshake_checked, signals.policy_changed]
    before = [list(one.receivers) for one in ours]
    yield
    for one, receivers in zip(ours, before, strict=True):
        if one.receivers != receivers:
            one.receivers[:] = receivers
            one.sender_receivers_cache.clear()
