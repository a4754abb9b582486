"""
The fuzzing, as far as every change has to pass it: each target on random octets, what
was found before, and the sequences.

With coverage as a guide, and by the million: ``python -m tests.fuzz``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.fuzz import __main__ as command
from tests.fuzz import targets
from tests.fuzz.choices import Choices, written
from tests.fuzz.disagreement import Disagreement, agree
from tests.fuzz.machines import PolicyMachine, TokenMachine
from tests.fuzz.model.decision import Entry, Everything, Place, Seen, decide
from tests.fuzz.model.origins import read_origin
from tests.fuzz.model.patterns import Unknown, read_pattern
from tests.fuzz.run import Found, run
from tests.fuzz.targets import guard as guard_target
from tests.test_vectors import DECISIONS, HOSTILE, headers_of, settings_of
from wsorigin import (
    admission,
    credentials,
    denial,
    handshake,
    origins,
    patterns,
    policy,
    sources,
    verification,
)
from wsorigin.handshake import Handshake
from wsorigin.policy import Decision, Policy
from wsorigin.site import Site

ROOT = Path(__file__).parents[1]
FINDINGS = [
    pytest.param(found["target"], bytes.fromhex(found["octets"]), id=found["id"])
    for found in json.loads((ROOT / "tests/vectors/fuzz/findings.json").read_text())
]
# So many that each target takes a second or two where nobody measures coverage.
COUNTS = {
    "origins": 15_000,
    "patterns": 6_000,
    "scopes": 10_000,
    "credentials": 4_000,
    "decisions": 3_000,
    "guard": 2_000,
    "settings": 400,
}


@pytest.fixture(scope="module", autouse=True)
def one_loop() -> Iterator[None]:
    """Close the event loop that the guard's target makes."""
    yield
    guard_target.loop().close()
    guard_target.loop.cache_clear()


@pytest.mark.parametrize("name", targets.NAMES)
def test_package_and_model_agree(name: str) -> None:
    """On random octets, the same ones each time."""
    run(targets.load(name), seed=7, count=COUNTS[name])


@pytest.mark.parametrize(("name", "octets"), FINDINGS)
def test_what_was_found_before_stays_mended(name: str, octets: bytes) -> None:
    """Each input on which they once disagreed is tried again, for ever."""
    targets.load(name)(octets)


def same(value: Any, *_: Any) -> Any:
    """Do nothing where something ought to be done."""
    return value


def nothing(*_: Any, **__: Any) -> None:
    """Refuse nothing, and find nothing."""


def yes(*_: Any) -> bool:
    """Say yes to everybody."""
    return True


def no(*_: Any) -> bool:
    """Say no to everybody."""
    return False


def last_one(scope: Any, *_: Any) -> dict[bytes, bytes]:
    """Take the last of repeated headers."""
    return dict(scope.get("headers") or ())


def as_one_entry(value: Any) -> list[Any]:
    """Take a text for a list with one entry."""
    return [value] if isinstance(value, str) else list(value)


def at_once(self: Policy, seen: Handshake, audience: str = "") -> Decision:
    """Look for another audience than that of the endpoint."""
    return DECIDE(self, seen, "a")


DECIDE = Policy.decide
MISTAKES: dict[str, tuple[str, Any, str, Any]] = {
    "any number is an address": ("origins", origins, "check_ipv4", nothing),
    "IPv6 as written": ("origins", origins, "canonical_ipv6", lambda _, host: host),
    "any port is one": ("patterns", patterns, "read_port", lambda _, text: int(text)),
    "no suffix is public": (
        "patterns",
        patterns,
        "public_suffixes",
        lambda **_: Nobodys(),
    ),
    "the last of two headers": ("scopes", handshake, "read_headers", last_one),
    "tokens stay in paths": ("scopes", handshake, "redacted", same),
    "percent signs stay": ("credentials", credentials, "unquote", same),
    "tokens stay in URLs": ("credentials", credentials, "redacted", same),
    "any audience": ("decisions", Policy, "decide", at_once),
    "any extension": ("decisions", policy, "is_extension_id", yes),
    "any host is ours": ("decisions", Site, "allows", yes),
    "http is as good": ("decisions", Site, "is_https", no),
    "no token of ours": ("guard", admission, "is_ours", no),
    "cookies stay": ("guard", admission, "application_headers", same),
    "the session stays": ("guard", admission, "withhold_session", nothing),
    "any token anywhere": ("guard", verification, "misplaced", nothing),
    "one close code for all": ("guard", denial, "close_code", lambda _: 4403),
    "a text is a list": ("settings", sources, "as_entries", as_one_entry),
    "a setting raises": ("settings", sources, "https_only", lambda: 1 / 0),
}


class Nobodys:
    """A list of public suffixes with nothing on it."""

    is_public = no


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found(
    mistake: tuple[str, Any, str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that could not fail would prove nothing."""
    name, owner, attribute, wrong = mistake
    target = targets.load(name)
    monkeypatch.setattr(owner, attribute, wrong)

    with pytest.raises(Found) as found:
        run(target, seed=7, count=COUNTS[name])
    assert isinstance(found.value.__cause__, (Disagreement, ArithmeticError))
    assert found.value.data.hex() == str(found.value)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("machine", "steps"),
    [(PolicyMachine, 30), (TokenMachine, 30)],
    ids=["policy", "tokens"],
)
def test_after_each_change_the_model_is_right(
    machine: type[RuleBasedStateMachine], steps: int
) -> None:
    """Sequences of changes and handshakes, with a database."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# The model.


@pytest.mark.parametrize("vector", DECISIONS)
def test_the_model_decides_as_expected(vector: dict[str, Any]) -> None:
    """It passes the vectors, too, as far as it knows what they are made of."""
    wanted, request = settings_of(vector["policy"]), vector["request"]
    found = map(read_pattern, wanted["WSORIGIN_ALLOWED_ORIGINS"])
    entries = [Entry(pattern) for pattern in found if pattern]
    if wanted["WSORIGIN_ALLOW_ALL_ORIGINS"]:
        entries.append(Entry(Everything()))
    place = Place(
        allowed_hosts=[request["host"]],
        same_origin=bool(wanted["WSORIGIN_INHERIT"]),
        missing=wanted["WSORIGIN_MISSING_ORIGIN"],
    )
    headers = [(b"host", request["host"].encode()), *headers_of(request)]
    answer = decide(entries, place, Seen(headers, request["scheme"]))
    # It has no regular expressions but prefixes, and few scripts.
    known = len(entries) == len(vector["policy"]["allow"]) + bool(
        vector["policy"]["allow_null"]
    )

    assert answer.allowed is (vector["expect"] == "allow") or not known


@pytest.mark.parametrize("value", HOSTILE)
def test_the_model_reads_no_hostile_value(value: str) -> None:
    """What no browser sends is no origin to it either."""
    assert read_origin(value) is None
    assert read_origin(value.encode().decode("latin-1")) is None


@pytest.mark.parametrize("text", ["https://\xfc.test", "https://\xfc*.a.test"])
def test_the_model_says_what_it_does_not_know(text: str) -> None:
    """Of Unicode it knows a few labels, and makes up nothing."""
    with pytest.raises(Unknown):
        read_pattern(text)


# The command.


def test_fuzzes_with_coverage_as_a_guide(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command runs a target under libFuzzer, and says how that went."""
    pytest.importorskip("atheris")
    # It measures by itself what it reaches; twice would take twice as long.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    from tests.fuzz import child  # needs it too

    assert child.__doc__
    status = command.main(["origins", "--runs", "900", "--seed", "5"])
    line = capsys.readouterr().out

    assert status == 0
    assert line.startswith("origins ")
    assert " 900 runs " in line
    assert line.endswith("ok\n")


def test_says_what_it_found() -> None:
    """What a process that fails has said is shown, with the octets to keep."""
    script = (
        "import sys; open(sys.argv[4].partition('=')[2], 'wb').write(b'\\1'); 1 / 0"
    )
    result = command.fuzz("origins", "", 1, [sys.executable, "-c", script])

    assert "ZeroDivisionError" in result.complaint
    assert result.complaint.endswith("\norigins: 01\n")
    assert str(result).endswith("found something")


def test_fails_where_something_was_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it says is for people, and its status for programs."""
    monkeypatch.setattr(command, "CHILD", [sys.executable, "-c", "1 / 0"])
    monkeypatch.setattr(command, "find_spec", yes)

    assert command.main(["core"]) == 1
    assert capsys.readouterr().out.count("ZeroDivisionError") == len(targets.CORE)


def test_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without atheris it names the remedy."""
    monkeypatch.setattr(command, "find_spec", nothing)

    assert command.main(["--seconds", "1"]) == 2
    assert "pip install atheris" in capsys.readouterr().err


def test_knows_its_targets() -> None:
    """A name that is none is refused before anything runs."""
    result = subprocess.run(  # this very Python
        [sys.executable, "-m", "tests.fuzz", "orgins"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 2
    assert "no such target: orgins" in result.stderr


def test_disagreeing_is_an_error() -> None:
    """What both say is in the message, in ASCII."""
    with pytest.raises(Disagreement, match=r"'\\xe9': said 1, modelled 2"):
        agree("\xe9", 1, 2)


def test_the_octets_that_end_choose_the_first() -> None:
    """Each input, however short, is a complete one."""
    assert written(Choices(b"")) == "https://a.test"
