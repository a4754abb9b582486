"""The soak runs, accounts for everything, leaves nothing running, and finds a leak."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final
from xml.parsers import expat

import pytest

from benchmarks.soak.flat import Measure, Series, slope

from .servers.sites import ROOT, unwatched

LEAKY: Final = "benchmarks.soak.leaky:application"
# Of a machine that has more to do.
TIMEOUT: Final = 240


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the soak reports of a site that leaks, in the fewest rounds."""
    folder = tmp_path_factory.mktemp("soak")
    json_file, svg_file = folder / "soak.json", folder / "soak.svg"
    done = subprocess.run(  # noqa: S603  # our own command
        [
            *(sys.executable, "-m", "benchmarks.soak", "--plain", "--seconds", "5"),
            *("--application", LEAKY),
            *("--json", str(json_file), "--svg", str(svg_file)),
        ],
        cwd=ROOT,
        env=unwatched(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert json_file.exists(), done.stderr
    report = json.loads(json_file.read_text())
    expat.ParserCreate().Parse(svg_file.read_text(), True)
    return {**report, "code": done.returncode, "output": done.stdout}


@pytest.mark.server
def test_a_leak_is_found(leaking: dict[str, Any]) -> None:
    """Descriptors and objects of both servers, and nothing else but their memory."""
    grown = {(row["who"], row["what"]) for row in leaking["flat"] if not row["flat"]}
    staying = {(who, what) for who, what in grown if what != "memory"}

    assert leaking["code"] == 1, leaking["output"]
    assert {
        (who, what)
        for who in ("Daphne", "uvicorn")
        for what in ("descriptors", "objects")
    } <= staying
    assert {what for _, what in staying} == {"descriptors", "objects"}
    assert len(leaking["problems"]) == len(grown)
    assert "GROWS" in leaking["output"]


@pytest.mark.server
def test_every_handshake_is_accounted_for(leaking: dict[str, Any]) -> None:
    """Clients, guards and audit have counted the same, over restarts too."""
    assert leaking["refused"] == leaking["denials"] > 0
    assert leaking["restarts"] > 0
    assert not [one for one in leaking["problems"] if " grew by " not in one]
    closed = leaking["closed"]
    assert {"left", "with their server", "4401", "4403", "4410"} <= set(closed)
    assert leaking["admitted"] > sum(closed.values()) > 0


@pytest.mark.server
def test_samples_have_everything_that_could_grow(leaking: dict[str, Any]) -> None:
    """Each server by itself, and the rows of the database."""
    by_who = {sample["who"]: sample for sample in leaking["samples"]}

    assert {"Daphne", "uvicorn", "database"} < set(by_who)
    assert set(by_who["Daphne"]) == {
        *("who", "at", "memory", "objects", "tasks", "threads"),
        *("descriptors", "connections"),
    }
    assert set(by_who["database"]) == {
        *("who", "at", "denials", "tokens", "sessions", "orders", "origins"),
    }


def series(*values: float, **measure: Any) -> Series:
    """Return a series with a point a second."""
    made = Measure("thing", "things", **measure)
    return Series("somebody", made, list(enumerate(map(float, values))))


@pytest.mark.parametrize(
    ("values", "measure", "is_flat"),
    [
        pytest.param([5] * 10, {"most": 1}, True, id="the same"),
        pytest.param([1, 9, *[10] * 20], {"most": 1}, True, id="warms up"),
        pytest.param([5] * 5 + [50] + [5] * 5, {"most": 1}, True, id="a peak"),
        pytest.param(range(20), {"most": 1}, False, id="grows"),
        pytest.param(range(20, 0, -1), {"most": 1}, True, id="shrinks"),
        pytest.param(range(1000, 1020), {"share": 0.05}, True, id="grows by little"),
        pytest.param(range(1000, 2000), {"share": 0.05}, False, id="grows for long"),
        pytest.param(range(20), {"bound": 20}, True, id="within its bound"),
        pytest.param(range(20), {"bound": 18}, False, id="beyond its bound"),
    ],
)
def test_flat_is_what_hardly_grows(
    values: Any, measure: dict[str, Any], is_flat: bool
) -> None:
    """After the warm-up, by the slope of most pairs."""
    made = series(*values, **measure)

    assert made.is_flat is is_flat
    assert made.row()["flat"] is is_flat


def test_few_points_tell_nothing() -> None:
    """A server that has just been started is not judged."""
    assert not series(1, 2, 3).is_long_enough
    assert series(1, 2, 3, 4, 5).is_long_enough


def test_the_slope_is_that_of_most() -> None:
    """One odd point does not move it."""
    assert slope([(0, 0), (1, 2), (2, 4), (3, 99), (4, 8)]) == 2
