"""The benchmarks run, their contenders agree, and they write what they measured."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pytest
from django.test import override_settings

from benchmarks import decision, plot, refresh, rounds
from wsorigin.denial import Receive, Send
from wsorigin.handshake import Scope

ROOT = Path(__file__).parent.parent

bare_site = override_settings(WSORIGIN_INHERIT=["same-origin"], WSORIGIN_AUDIT=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what `python -m benchmarks --quick` wrote."""
    folder = tmp_path_factory.mktemp("benchmarks")

    async def run() -> str:
        file = folder / "results.json"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks",
            "--quick",
            *("--json", str(file)),
            *("--svg", str(folder)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode()

    (folder / "output.txt").write_text(asyncio.run(run()), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def report(results: Path) -> dict[str, Any]:
    """What it wrote as JSON."""
    report: dict[str, Any] = json.loads((results / "results.json").read_text("utf-8"))
    return report


def test_each_row_has_a_ratio_with_its_range(report: dict[str, Any]) -> None:
    """A ratio without its range says nothing on a shared machine."""
    assert {row["case"] for row in report["rows"]} == {c.name for c in decision.CASES}
    for row in report["rows"]:
        for spread in (row["micros"], row["ratio"]):
            assert 0 < spread["low"] <= spread["median"] <= spread["high"]
        assert row["ratio"]["to"] in {decision.FLOOR, decision.WRAPPER}


def test_the_machine_is_described_and_not_identified(report: dict[str, Any]) -> None:
    """Versions explain figures; a host name or a path does not."""
    assert set(report["machine"]) == {"python", "system", "cpus", "packages"}
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


def test_each_promise_says_whether_it_is_met(
    report: dict[str, Any], results: Path
) -> None:
    """The last lines that are printed are what one came for."""
    output = (results / "output.txt").read_text(encoding="utf-8")
    assert len(report["promises"]) == 6
    for promise in report["promises"]:
        median = promise["cases"][promise["worst"]]["median"]
        assert promise["met"] is (median <= promise["at_most"])
        assert f"at most {promise['at_most']}): " in output


def test_each_plot_is_a_document(results: Path) -> None:
    """One for each question in each case."""
    plots = sorted(results.glob("*.svg"))
    assert len(plots) == 2 * len(decision.CASES)
    for path in plots:
        expat.ParserCreate().Parse(path.read_bytes(), True)


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
