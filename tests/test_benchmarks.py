"""The benchmarks run, their contenders agree, and they write what they measured."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pytest
from django.test import override_settings

from benchmarks import (
    compare,
    crowded,
    decision,
    figures,
    live,
    page,
    plot,
    preflight,
    refresh,
    rounds,
    servers,
    serving,
    tokens,
)
from wsorigin.handshake import Receive, Scope, Send

from .servers.sites import ROOT, unwatched

# What is read here was measured on them.
pytestmark = pytest.mark.server

# Of a machine that has more to do.
TIMEOUT = 600

bare_site = override_settings(WSORIGIN_INHERIT=["same-origin"], WSORIGIN_AUDIT=False)

# The benchmarks of a wsorigin that walks through a list where it used to look up.
SLOW = """
from wsorigin.policy import Policy

fast = Policy.decide

def slow(self, handshake, audience=""):
    any(number < 0 for number in range(2_000))
    return fast(self, handshake, audience)

Policy.decide = slow

from benchmarks.__main__ import main

main()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program at full speed."""
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, *arguments],
        cwd=ROOT,
        env=unwatched(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what `python -m benchmarks --quick` wrote."""
    folder = tmp_path_factory.mktemp("benchmarks")
    file = str(folder / "results.json")
    options = ["--quick", "--json", file, "--svg", str(folder)]
    done = run("-m", "benchmarks", *options)
    assert done.returncode == 0, done.stderr
    (folder / "output.txt").write_text(done.stdout, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def report(results: Path) -> dict[str, Any]:
    """What it wrote as JSON."""
    report: dict[str, Any] = json.loads((results / "results.json").read_text("utf-8"))
    return report


def names(report: dict[str, Any], question: str) -> set[str]:
    """Return who was asked a question."""
    rows = report["rows"]
    return {row["contender"] for row in rows if row["question"].startswith(question)}


def test_each_row_has_a_ratio_with_its_range(report: dict[str, Any]) -> None:
    """A ratio without its range says nothing on a shared machine."""
    assert {row["case"] for row in report["rows"] if "size" in row} == {
        case.name for case in decision.CASES
    }
    for row in report["rows"]:
        spreads = [row["micros"] if "size" in row else row["value"]]
        spreads += [row["ratio"]] if "ratio" in row else []
        for spread in spreads:
            assert spread["low"] <= spread["median"] <= spread["high"]


def test_the_machine_is_described_and_not_identified(report: dict[str, Any]) -> None:
    """Versions explain figures; a host name or a path does not."""
    about = {"python", "system", "cpus", "load"}

    assert set(report["machine"]) == {*about, "packages"}
    assert set(report["machine"]["packages"]) == set(decision.PACKAGES)
    assert str(ROOT) not in json.dumps(report)


def test_keeping_up_is_measured_beside_its_floors(
    report: dict[str, Any], results: Path
) -> None:
    """Each figure has its range; memory is named; SQLite is always there."""
    rows = [row for row in report["refresh"] if "ms" in row]
    found = {row["what"] for row in rows if row["database"] == "SQLite"}
    output = (results / "output.txt").read_text(encoding="utf-8")

    assert found == {
        *(refresh.BARE, refresh.LOOK, refresh.WHOLE_LOOK),
        *(refresh.FIRST, refresh.CHANGED),
        *(refresh.PAUSE, refresh.IDLE, refresh.BUSY),
    }
    for row in rows:
        assert 0 < row["ms"]["low"] <= row["ms"]["median"] <= row["ms"]["high"]
        assert row["what"] in output


def test_a_flood_is_counted_and_kept_within_the_cap(report: dict[str, Any]) -> None:
    """No denial is lost, whoever sends how many."""
    flood = report["flood"]

    assert flood["counted"] == flood["handshakes"]
    assert flood["rows"] <= flood["cap"]
    assert len(flood["memory_mib"]) == 10


def test_verifying_is_measured_beside_a_lean_look_up(report: dict[str, Any]) -> None:
    """One query, and none for a token that is none; others only where installed."""
    counted = {
        row["contender"]: row["value"]["median"]
        for row in report["rows"]
        if row["question"] == tokens.QUESTION and row["unit"] == "queries"
    }

    assert names(report, tokens.QUESTION) >= {tokens.LEAN, tokens.CURSOR}
    assert (counted[tokens.WSORIGIN], counted[tokens.WRONG]) == (1, 0)


def test_connections_are_measured_beside_bare_ones(report: dict[str, Any]) -> None:
    """Messages and memory, in process and on a server."""
    for question in (live.MESSAGES, live.MEMORY):
        rows = [row for row in report["rows"] if row["question"] == question]

        assert {row["case"] for row in rows} == {live.IN_PROCESS, serving.DAPHNE}
        assert {row["ratio"]["to"] for row in rows} == {live.BARE}
    assert names(report, live.MEMORY) == {kind.name for kind in live.KINDS}


def test_preflights_are_measured_beside_refusals(report: dict[str, Any]) -> None:
    """Answered and not, beside the least that a refusal can cost."""
    asked = {preflight.ANSWERED, preflight.STRANGER}

    assert names(report, preflight.QUESTION) > {*asked, preflight.RAW}


def test_servers_are_measured_beside_others_checks(report: dict[str, Any]) -> None:
    """Everybody is asked on each server, and refusals ask no database."""
    accepting = {one.name for one in servers.ACCEPTING}
    refusing = {one.name for one in servers.REFUSING}
    rows = [row for row in report["rows"] if row["question"] == servers.QUERIES]
    queries = {row["value"]["high"] for row in rows}

    assert names(report, servers.ACCEPTED) == accepting
    assert names(report, servers.REFUSED) == refusing
    assert {row["case"] for row in rows} == set(serving.SERVERS)
    assert queries == {0}
    assert len(names(report, servers.GENERATOR)) == 2


def test_the_crowd_is_flooded_at_both(report: dict[str, Any]) -> None:
    """The same flood, at wsorigin and at Channels' validator."""
    asked = {crowded.WSORIGIN, crowded.CHANNELS}

    assert names(report, "messages of") == asked


def test_each_promise_says_whether_it_is_met(
    report: dict[str, Any], results: Path
) -> None:
    """The last lines that are printed are what one came for."""
    output = (results / "output.txt").read_text(encoding="utf-8")
    with_redis = bool(shutil.which("redis-server"))

    assert len(report["promises"]) == 22 + with_redis
    for promise in report["promises"]:
        median = promise["cases"][promise["worst"]]["median"]
        if "at_least" in promise:
            assert promise["met"] is (median >= promise["at_least"])
            assert f"at least {promise['at_least']}): " in output
        else:
            assert promise["met"] is (median <= promise["at_most"])
            assert f"at most {promise['at_most']}): " in output


def test_each_plot_is_a_document(report: dict[str, Any], results: Path) -> None:
    """One for each question in each case, where contenders are compared."""
    compared = {
        (row["question"], row["case"]) for row in report["rows"] if "ratio" in row
    }
    plots = sorted(results.glob("*.svg"))

    assert len(plots) == len(compared)
    for path in plots:
        expat.ParserCreate().Parse(path.read_bytes(), True)


def test_a_slow_look_up_is_found(results: Path, tmp_path: Path) -> None:
    """Held against the stored ratios, a run says which rows fell, and fails."""
    done = run(
        "-c",
        SLOW,
        "--quick",
        *("--only", "decision"),
        *("--json", str(tmp_path / "slow.json")),
        *("--svg", str(tmp_path)),
        *("--compare", str(results / "results.json")),
    )

    assert done.returncode == 1, done.stderr
    for size in ("1", "10", "1,000"):
        assert f"    one decision, exact, wsorigin, {size}: " in done.stdout


def row(
    *ratios: float, contender: str = "wsorigin", more_is_better: bool = False
) -> dict[str, Any]:
    """Return what one contender was measured at, beside the reference."""
    measured = figures.Figures(
        "any", "case", "s", {contender: list(ratios)}, "floor", more_is_better
    )
    measured.samples["floor"] = [1.0] * len(ratios)
    return next(measured.rows())


@pytest.mark.parametrize(
    ("then", "now", "falls"),
    [
        pytest.param(row(1, 2, 3), row(1, 2, 3), False, id="the same"),
        pytest.param(row(1, 2, 3), row(3.5, 4, 5), True, id="costs more"),
        pytest.param(row(1, 2, 3), row(2.5, 4, 5), False, id="ranges touch"),
        pytest.param(row(2, 2, 2), row(2.1, 2.1, 2.2), False, id="hardly more"),
        pytest.param(row(3.5, 4, 5), row(1, 2, 3), False, id="costs less"),
        pytest.param(
            row(3.5, 4, 5, more_is_better=True),
            row(1, 2, 3, more_is_better=True),
            True,
            id="does less",
        ),
        pytest.param(
            row(1, 2, 3, more_is_better=True),
            row(3.5, 4, 5, more_is_better=True),
            False,
            id="does more",
        ),
    ],
)
def test_only_what_is_worse_falls(
    then: dict[str, Any], now: dict[str, Any], falls: bool
) -> None:
    """By more than two runs of the same differ."""
    assert bool(list(compare.fallen([then], [now]))) is falls


def test_says_that_nothing_fell() -> None:
    """An empty list would look like a run that was not held against anything."""
    assert list(compare.lines([])) == ["none of the ratios fell"]


def test_refuses_to_compare_what_has_nothing_in_common() -> None:
    """Nothing fell would be a wrong answer, and peers may become slower."""
    with pytest.raises(ValueError, match="measured nothing that is the same"):
        list(compare.fallen([row(1, contender="peer")], [row(9, contender="peer")]))


@bare_site
@pytest.mark.parametrize("case", decision.CASES, ids=lambda case: case.name)
def test_contenders_give_the_right_answer(case: decision.Case) -> None:
    """Who answers wrongly may be as fast as he likes."""
    for contender in decision.deciders(case, 10):
        if contender.name == decision.LOOK_UP or (
            contender.name == decision.FLOOR and case.asking is decision.itself
        ):
            continue  # they know nothing but a set
        with contender.around():
            answers = {contender.call(subject) for subject in contender.subjects}
        assert answers == {case.allowed}, contender.name


@bare_site
@pytest.mark.django_db  # Channels closes connections that others left open
@pytest.mark.parametrize("case", decision.CASES, ids=lambda case: case.name)
async def test_wrappers_let_through_what_they_should(
    case: decision.Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application behind a wrapper is reached when the origin is allowed."""
    reached: list[Scope] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope)

    monkeypatch.setattr(decision, "empty", application)
    right = {decision.WRAPPER: True, decision.REFUSAL: False}
    for contender in decision.guards(case, 10):
        reached.clear()
        with contender.around():
            await contender.call(contender.subjects[0])
        allowed = right.get(contender.name, case.allowed)
        assert bool(reached) is allowed, contender.name


def test_gives_up_what_is_too_slow() -> None:
    """Not at this size, and not at a larger one."""
    effort = rounds.Effort(rounds=1, sample_ns=1, too_slow_ns=-1)
    contenders = [rounds.Contender("slow", size, id, [None]) for size in (1, 10)]
    result = rounds.measure(rounds.Comparison("any", "any", "slow", contenders), effort)

    assert result.too_slow == {"slow": 1}
    assert not result.samples


def test_takes_turns() -> None:
    """A B, A B: what is compared was measured at nearly the same time."""
    turns: list[str] = []

    def contender(name: str) -> rounds.Contender:
        return rounds.Contender(name, 1, lambda _: turns.append(name), [None])

    effort = rounds.Effort(rounds=3, sample_ns=0, too_slow_ns=10**9)
    pair = [contender("a"), contender("b")]
    rounds.measure(rounds.Comparison("any", "any", "a", pair), effort)

    assert "".join(turns).endswith("ababab")


def test_a_plot_escapes_its_texts() -> None:
    """A name may contain what XML reserves."""
    lines = [plot.Line("<a & b>", [(1, 0.5), (100_000, 2_000_000)])]
    text = plot.chart("title <&>", "x", "y", lines)

    expat.ParserCreate().Parse(text, True)
    assert "&lt;a &amp; b&gt;" in text


def test_bars_escape_their_texts() -> None:
    """Of bars too."""
    rows = [plot.Bar("<a & b>", 0.0, 0.0, 0.0, is_ours=True)]
    text = plot.bars("title <&>", "KiB", rows)

    expat.ParserCreate().Parse(text, True)
    assert "&lt;a &amp; b&gt;" in text


def test_the_page_says_what_a_run_says(report: dict[str, Any]) -> None:
    """Each promise with its worst case, in place of what stood there before."""
    text = page.PAGE.read_text(encoding="utf-8")
    once = page.with_run(text, report)

    assert page.with_run(once, report) == once
    for promise in page.promises(report):
        assert f"({promise.worst}) |" in once
        assert f"| {promise.side} {promise.bound} | " in once


def test_the_page_shows_the_stored_run() -> None:
    """Whoever stores another run writes the page anew: `python -m benchmarks.page`."""
    text = page.PAGE.read_text(encoding="utf-8")
    stored = json.loads(page.STORED.read_text(encoding="utf-8"))

    assert page.with_run(text, stored) == text
    assert page.pictures(text)
    for name in page.pictures(text):
        assert (page.PICTURES / name).is_file(), name
