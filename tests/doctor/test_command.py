"""``manage.py wsorigin doctor``: what it prints, and what it exits with."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from tests.doctor.stand_ins import page, saying, stand_in
from tests.servers.processes import DAPHNE, ROOT, Server, ending
from tests.servers.sites import unwatched

sound = override_settings(DEBUG=True)


def run(*arguments: str) -> tuple[int, str]:
    """Call ``manage.py wsorigin doctor`` and return exit code and output."""
    output = io.StringIO()
    try:
        call_command("wsorigin", "doctor", *arguments, stdout=output, no_color=True)
    except SystemExit as exc:
        return int(exc.code or 0), output.getvalue()
    return 0, output.getvalue()


@sound
def test_says_that_nothing_was_found() -> None:
    """In a sound project."""
    assert run() == (0, "Nothing was found.\n")
    assert run("--json") == (0, "[]\n")


@sound
def test_prints_a_block_for_each_finding() -> None:
    """What, where, found, expected, and the remedy of the proxy that is in front."""
    answer = page("404 Not Found", Server="nginx")
    with stand_in(saying(answer)) as port:
        url = f"ws://localhost:{port}/ws/"
        code, output = run(url, "--timeout", "2")

    assert code == 1
    assert output.startswith(
        f"error: upgrade-dropped at {url}, behind nginx\n"
        "  found: 404 Not Found, from the pages' side: the handshake arrived as a plain "
        "request.\n"
        "  expected: 101 Switching Protocols\n"
        "  remedy (nginx):\n"
        "    # In http:\n"
        "    map $http_upgrade $connection_upgrade {\n"
    )
    assert "\n  remedy:\n    wsorigin.middleware" in output
    assert "apache" not in output


@override_settings(DEBUG=True, ASGI_APPLICATION="tests.applications.mixed")
def test_prints_the_systems_checks_too() -> None:
    """A check has no expectation of its own."""
    code, output = run()

    assert code == 1
    assert output.startswith("warning: wsorigin.W011\n  found: Nothing checks")
    assert "expected" not in output


@override_settings(DEBUG=True, ASGI_APPLICATION="tests.applications.mixed")
def test_prints_everything_as_json() -> None:
    """One shape for findings at home and at a URL."""
    with stand_in(saying(page("404 Not Found", Server="nginx"))) as port:
        code, output = run(f"ws://localhost:{port}/ws/", "--json", "--timeout", "2")
    findings = json.loads(output)

    assert code == 1
    assert [one["id"] for one in findings] == ["wsorigin.W011"] * 3 + [
        "upgrade-dropped"
    ]
    assert {name for one in findings for name in one} == {
        *("id", "severity", "found", "expected", "remedies", "subject", "front")
    }
    assert findings[-1]["severity"] == "error"
    assert findings[-1]["front"] == "nginx"
    assert "Upgrade $http_upgrade" in findings[-1]["remedies"]["nginx"]


@override_settings(DEBUG=True, WSORIGIN_ALLOWED_ORIGINS=["https://A.example"])
def test_what_is_only_good_to_know_is_no_failure() -> None:
    """An info has exit code 0."""
    code, output = run()

    assert output.startswith("info: wsorigin.I001")
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["nonsense"], "doesn't begin with wss://", id="no URL"),
        pytest.param(["ws://a.example/"], "not in ALLOWED_HOSTS", id="foreign host"),
        pytest.param(["--idle", "3"], "there is none", id="an option without a URL"),
    ],
)
def test_says_that_the_question_was_wrong(arguments: list[str], words: str) -> None:
    """Exit code 2, as for all subcommands."""
    with pytest.raises(CommandError, match=words) as caught:
        run(*arguments)

    assert caught.value.returncode == 2


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        pytest.param("--idle", "x", "not a number of seconds", id="no number"),
        pytest.param("--timeout", "0", "not a number of seconds", id="zero"),
        pytest.param("--timeout", "nan", "not a number of seconds", id="nan"),
        pytest.param("--proxy", "squid", "invalid choice", id="proxy"),
    ],
)
def test_refuses_options_that_mean_nothing(option: str, value: str, words: str) -> None:
    """Before it knocks anywhere."""
    with pytest.raises(CommandError, match=words):
        run("ws://localhost/", option, value)


@sound
def test_knocks_at_a_foreign_door_if_told_so() -> None:
    """Whoever says so owns the host."""
    code, output = run("ws://nowhere.invalid/", "--i-own-this-host", "--timeout", "5")

    assert code == 1
    assert "unreachable" in output


# The demo, in a process of its own


UNGUARDED = """
from project.settings import *

ASGI_APPLICATION = "unguarded.application"
"""
APPLICATION = """
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from project.asgi import websocket_urlpatterns
from project.consumers import UnguardedPricesConsumer

application = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [
                *websocket_urlpatterns,
                path("ws/forgotten/", UnguardedPricesConsumer.as_asgi()),
            ]
        )
    }
)
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as a newcomer has it after `migrate`, and a copy that forgets a guard."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "unguarded_settings.py").write_text(UNGUARDED)
    (folder / "unguarded.py").write_text(APPLICATION)
    manage(folder, "migrate", "-v0")
    return folder


def environment(folder: Path, settings: str = "project.settings") -> dict[str, str]:
    """Return an environment in which the demo has its files in a folder."""
    return {
        **unwatched(),
        "DEMO_VAR": str(folder),
        "DJANGO_SETTINGS_MODULE": settings,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
    }


def manage(
    folder: Path, *arguments: str, settings: str = "project.settings"
) -> subprocess.CompletedProcess[str]:
    """Run the demo's manage.py with its files in a folder."""
    return subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(folder, settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_demo_is_sound(demo: Path) -> None:
    """No finding, exit code 0, and no colour in a pipe."""
    done = manage(demo, "wsorigin", "doctor")

    assert (done.returncode, done.stdout) == (0, "Nothing was found.\n"), done.stderr


@pytest.mark.server
def test_the_demo_is_sound_at_its_url(demo: Path) -> None:
    """Served by Daphne, as `make demo` does."""
    kind = DAPHNE.serving("project.asgi:application")
    server = Server.start(kind, demo / "log", environment(demo))
    with ending([server]):
        url = f"ws://localhost:{server.address[1]}/ws/prices/"
        done = manage(demo, "wsorigin", "doctor", url, "--timeout", "30")

    assert (done.returncode, done.stdout) == (0, "Nothing was found.\n"), done.stderr


def test_the_demo_without_a_guard_is_not(demo: Path) -> None:
    """The route is named, and the remedy can be pasted."""
    done = manage(demo, "wsorigin", "doctor", settings="unguarded_settings")

    assert done.returncode == 1
    assert "/ws/forgotten/" in done.stdout
    assert "GuardedAsyncJsonWebsocketConsumer" in done.stdout
    assert "/ws/prices/" not in done.stdout


def test_a_wrong_question_has_an_exit_code_of_its_own(demo: Path) -> None:
    """And one line about it, without a traceback."""
    done = manage(demo, "wsorigin", "doctor", "ws://a.example/")

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "ALLOWED_HOSTS" in done.stderr
