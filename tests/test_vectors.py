"""
All vectors, decided twice: by the policy alone, and end to end through the guard.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsorigin.guard import OriginGuard
from wsorigin.handshake import Handshake, Receive, Scope, Send
from wsorigin.origins import InvalidOrigin, Origin
from wsorigin.patterns import ALL_ORIGINS, OriginPattern
from wsorigin.policy import MissingOrigin, Policy, Rule
from wsorigin.site import Site
from wsorigin.sources import Rules
from wsorigin.testing import OriginCommunicator, override_policy

VECTORS = Path(__file__).parent / "vectors"

DECISIONS = [
    pytest.param(vector, id=vector["id"])
    for vector in json.loads((VECTORS / "origins.json").read_text("utf-8"))
]
HOSTILE = [
    pytest.param(line.encode("ascii").decode("unicode_escape"), id=line[:60])
    for line in (VECTORS / "hostile.txt").read_text("ascii").splitlines()
    if not line.startswith("# ")
]


def settings_of(policy: dict[str, Any]) -> dict[str, Any]:
    """Translate a vector's policy to settings."""
    entries = ["null"] if policy["allow_null"] else []
    for entry in policy["allow"]:
        any_scheme = entry.startswith("*://")
        entries += [f"http{entry[1:]}", f"https{entry[1:]}"] if any_scheme else [entry]
    return {
        "WSORIGIN_ALLOWED_ORIGINS": [
            entry for entry in entries if entry != "*" and not entry.startswith("re:")
        ],
        "WSORIGIN_ALLOWED_ORIGIN_REGEXES": [
            entry[3:] for entry in entries if entry.startswith("re:")
        ],
        "WSORIGIN_ALLOW_ALL_ORIGINS": "*" in entries,
        "WSORIGIN_INHERIT": ["same-origin"] if policy["same_origin"] else [],
        "WSORIGIN_MISSING_ORIGIN": "allow" if policy["allow_missing"] else "deny",
    }


def headers_of(request: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """Translate a vector's request to the headers that a server would pass on."""
    values = request.get("origins") or [request.get("origin")]
    return [
        (b"origin", value.encode(request.get("encoding", "utf-8")))
        for value in values
        if value is not None
    ]


async def accepting(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept whoever gets here, and wait for the end."""
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


@pytest.mark.parametrize("vector", DECISIONS)
def test_the_policy_decides_as_expected(vector: dict[str, Any]) -> None:
    """The core alone, compiled from the vector's entries."""
    settings, request = settings_of(vector["policy"]), vector["request"]
    found = Rules()
    found.read_list("allow", settings["WSORIGIN_ALLOWED_ORIGINS"])
    found.read_list(
        "regexes",
        settings["WSORIGIN_ALLOWED_ORIGIN_REGEXES"],
        parse=OriginPattern.for_regex,
    )
    policy = Policy(
        found.rules + [Rule(ALL_ORIGINS, "*")] * settings["WSORIGIN_ALLOW_ALL_ORIGINS"],
        site=Site(allowed_hosts=(request["host"],)),
        same_origin=bool(settings["WSORIGIN_INHERIT"]),
        missing=MissingOrigin(settings["WSORIGIN_MISSING_ORIGIN"]),
    )
    decision = policy.decide(
        Handshake.from_scope(
            {
                "headers": [(b"host", request["host"].encode()), *headers_of(request)],
                "scheme": {"https": "wss", "http": "ws"}[request["scheme"]],
            }
        )
    )

    assert decision.allowed is (vector["expect"] == "allow"), vector["why"]


@pytest.mark.parametrize("vector", DECISIONS)
async def test_the_guard_decides_as_expected(
    vector: dict[str, Any], origin_client: Callable[..., OriginCommunicator]
) -> None:
    """The same through settings, a scope and an answer."""
    settings, request = settings_of(vector["policy"]), vector["request"]
    with override_policy(**settings, ALLOWED_HOSTS=[request["host"]]):
        client = origin_client(
            OriginGuard(accepting),
            "/ws/",
            origin=None,
            host=request["host"],
            headers=headers_of(request),
            scheme={"https": "wss", "http": "ws"}[request["scheme"]],
        )
        answer = await client.handshake()

    assert bool(answer) is (vector["expect"] == "allow"), vector["why"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_no_origin(value: str) -> None:
    """What no browser sends is refused, as text and as the bytes that arrive."""
    for text in (value, value.encode().decode("latin-1")):
        with pytest.raises(InvalidOrigin):
            Origin.parse(text)


@pytest.mark.parametrize("value", HOSTILE)
async def test_a_hostile_value_opens_no_socket(
    value: str, origin_client: Callable[..., OriginCommunicator]
) -> None:
    """Not even where every origin is allowed, by every means there is."""
    encoding = "latin-1" if max(value) <= "\xff" else "utf-8"
    with override_policy(
        "https://app.example.com",
        "https://*.example.com",
        "null",
        "moz-extension://*",
        WSORIGIN_ALLOWED_ORIGIN_REGEXES=["(?s).*"],
        WSORIGIN_ALLOW_ALL_ORIGINS=True,
        WSORIGIN_MISSING_ORIGIN="allow",
    ):
        client = origin_client(
            OriginGuard(accepting), "/ws/", origin=value.encode(encoding)
        )
        answer = await client.handshake()

    assert answer.reason in {"malformed", "multiple"}
