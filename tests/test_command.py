"""The command line: what it prints, what it exits with."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from wsorigin.management.commands.wsorigin import SUBCOMMANDS
from wsorigin.models import DeniedHandshake, TrustedOrigin
from wsorigin.policy import Reason
from wsorigin.testing import override_policy


def run(*arguments: str) -> tuple[int, str]:
    """Call ``manage.py wsorigin`` and return exit code and output."""
    output = io.StringIO()
    try:
        call_command("wsorigin", *arguments, stdout=output, no_color=True)
    except SystemExit as exc:
        return int(exc.code or 0), output.getvalue()
    return 0, output.getvalue()


@override_policy("https://partner.example", "https://*.partner.example")
def test_explains_what_is_allowed() -> None:
    """An allowed origin is explained by its rule, and whether the session counts."""
    assert run("explain", "https://partner.example") == (
        0,
        "https://partner.example: allowed (listed), with the session.\n"
        "  The origin is listed.\n"
        "  By https://partner.example (WSORIGIN_ALLOWED_ORIGINS[0]).\n",
    )


@override_policy("https://a.partner.example", "https://*.partner.example")
def test_explains_all_rules_that_match() -> None:
    """The deciding rule comes first, the others after it."""
    code, output = run("explain", "https://a.partner.example")

    assert code == 0
    assert "By https://a.partner.example" in output
    assert "Also https://*.partner.example" in output


@override_policy("https://partner.example")
def test_explains_what_is_denied() -> None:
    """A denial has the nearest rule, the remedy and exit code 1."""
    assert run("explain", "https://partner.example:8443") == (
        1,
        "https://partner.example:8443: denied (unlisted).\n"
        "  No rule covers the origin.\n"
        "  Nearest: https://partner.example (WSORIGIN_ALLOWED_ORIGINS[0]) differs only "
        "in the port (the default).\n"
        "  If you trust it: manage.py wsorigin trust https://partner.example:8443\n",
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param([], "missing", id="no Origin"),
        pytest.param(["null"], "opaque", id="null"),
        pytest.param(["https://a.example/x"], "malformed", id="path"),
        pytest.param(["https://a.example,https://b.example"], "multiple", id="two"),
        pytest.param(
            ["https://evil.example", "--host", "evil.example"],
            "host-not-allowed",
            id="rebound host",
        ),
        pytest.param(["http://testserver"], "same-origin", id="this site"),
        pytest.param(
            ["http://testserver", "--scheme", "https"], "unlisted", id="known https"
        ),
        pytest.param(
            ["https://localhost:8443", "--host", "localhost:8443", "--scheme", "http"],
            "same-origin",
            id="TLS ends at a proxy",
        ),
    ],
)
@override_policy()
def test_explains_as_json(arguments: list[str], reason: str) -> None:
    """JSON has the reason, and the exit code says allowed or denied."""
    code, output = run("explain", *arguments, "--json")
    answer = json.loads(output)

    assert answer["reason"] == reason
    assert answer["allowed"] == (code == 0)
    assert bool(answer["problem"]) == (reason == "malformed")


@pytest.mark.django_db
@override_settings(ASGI_APPLICATION="tests.applications.guarded")
@pytest.mark.parametrize(
    ("origin", "path", "code"),
    [
        pytest.param("https://partner.example", "/ws/prices/", 0, id="own list"),
        pytest.param("https://acme.example", "/ws/acme/", 0, id="a tenant's hook"),
        pytest.param("https://acme.example", "/ws/other/", 1, id="another tenant"),
        pytest.param("https://a.example", "/twice/", 1, id="only the outer guard"),
        pytest.param("http://testserver", "/wrapped/", 0, id="the site's policy"),
    ],
)
def test_explains_a_route(origin: str, path: str, code: int) -> None:
    """With a path, the guards of that very route answer."""
    assert run("explain", origin, "--path", path)[0] == code


@pytest.mark.parametrize(
    ("application", "path", "sentence"),
    [
        pytest.param(
            "mixed", "/sync/", "Nothing checks the origin at /sync/.", id="nobody"
        ),
        pytest.param(
            "validated",
            "/old/",
            "No guard stands at /old/: Channels' ",
            id="Channels",
        ),
    ],
)
def test_says_who_decides_where_no_guard_stands(
    application: str, path: str, sentence: str
) -> None:
    """In words, and as JSON with what a no-op handshake gets there."""
    question = ("explain", "https://a.example", "--path", path)
    with override_settings(ASGI_APPLICATION=f"tests.applications.{application}"):
        code, output = run(*question)
        _, as_json = run(*question, "--json")

    assert code == 0
    assert output.startswith(sentence)
    assert json.loads(as_json) == {
        "origin": "https://a.example",
        "path": path,
        "allowed": True,
        "reason": "unguarded",
        "sentence": output.strip(),
    }


@pytest.mark.parametrize(
    ("application", "message"),
    [
        (
            "tests.applications.guarded",
            "No WebSocket route leads to '/x/'. Routes: /ws/",
        ),
        ("tests.applications.only_http", "ASGI_APPLICATION has none."),
    ],
)
def test_a_path_that_leads_nowhere(application: str, message: str) -> None:
    """A wrong path is a wrong question: exit code 2, and the routes that exist."""
    with (
        override_settings(ASGI_APPLICATION=application),
        pytest.raises(CommandError, match=message) as caught,
    ):
        run("explain", "https://a.example", "--path", "/x/")

    assert caught.value.returncode == 2


@override_policy(
    "https://partner.example",
    "null",
    inherit=["same-origin", "cors"],
    CORS_ALLOWED_ORIGINS=["https://cors.example"],
)
def test_lists_the_rules() -> None:
    """Each rule stands with its session and its source."""
    code, output = run("list")
    lines = [" ".join(line.split()) for line in output.splitlines()]

    assert code == 0
    assert lines[:5] == [
        "origin session audience from",
        "(the site itself) yes same-origin",
        "https://partner.example yes WSORIGIN_ALLOWED_ORIGINS[0]",
        "null no WSORIGIN_ALLOWED_ORIGINS[1]",
        "https://cors.example no CORS_ALLOWED_ORIGINS[0]",
    ]
    assert lines[-1].startswith("No Origin header: require-token. Policy ")


@override_policy("https://partner.example", inherit=[])
def test_lists_the_rules_as_json() -> None:
    """JSON carries the same, and the fingerprint."""
    answer = json.loads(run("list", "--json")[1])

    assert answer["same_origin"] is False
    assert len(answer["fingerprint"]) == 12
    assert answer["rules"] == [
        {
            "pattern": "https://partner.example",
            "source": "WSORIGIN_ALLOWED_ORIGINS[0]",
            "credentials": True,
            "audience": "",
        }
    ]


DISAGREEING: dict[str, Any] = {
    "CORS_ALLOWED_ORIGINS": ["https://cors.example"],
    "WSORIGIN_ALLOWED_ORIGINS": ["https://partner.example"],
}


@override_settings(**DISAGREEING)
def test_diff_names_disagreements_and_prints_settings() -> None:
    """A disagreement is named, its cure printed, and the exit code is 1."""
    code, output = run("diff")

    assert code == 1
    assert "It opens sockets, but CORS refuses it over HTTP." in output
    assert "WSORIGIN_ALLOWED_ORIGINS = []" in output


@override_settings(**{**DISAGREEING, "WSORIGIN_ALLOWED_ORIGINS": []})
def test_diff_is_content_when_all_agree() -> None:
    """When the lists agree it says so, with exit code 0."""
    code, output = run("diff")

    assert code == 0
    assert output.endswith("HTTP and WebSockets agree.\n")


@override_settings(**DISAGREEING)
def test_diff_as_json() -> None:
    """JSON has each row and the settings to paste."""
    code, output = run("diff", "--json")
    answer = json.loads(output)

    assert code == 1
    assert answer["settings"].endswith("WSORIGIN_ALLOWED_ORIGINS = []")
    assert {row["origin"]: row["websocket"] for row in answer["rows"]} == {
        "https://cors.example": "anonymous",
        "https://partner.example": "session",
        "https://testserver": "session",
        "https://localhost": "session",
        "https://127.0.0.1": "session",
        "https://[::1]": "session",
    }


@pytest.mark.parametrize("hosts", [[], ["*"]])
def test_without_a_host_of_its_own_a_site_is_localhost(hosts: list[str]) -> None:
    """Where ALLOWED_HOSTS names none, the question is asked of localhost."""
    with override_settings(ALLOWED_HOSTS=hosts):
        code, _ = run("explain", "http://localhost")

    assert code == (0 if hosts else 1)


def test_every_subcommand_has_help_with_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """--help shows at least two examples."""
    for subcommand in SUBCOMMANDS:
        with pytest.raises(SystemExit):
            call_command("wsorigin", subcommand.name, "--help")

        help_text = capsys.readouterr().out
        assert help_text.count(f"manage.py wsorigin {subcommand.name}") >= 2


@pytest.mark.django_db(transaction=True)
@override_policy(inherit=["same-origin", "database"])
def test_trusts_an_origin_at_once() -> None:
    """A trusted origin is stored in canonical form and counts without a restart."""
    assert run("explain", "https://partner.example")[0] == 1
    code, output = run("trust", "HTTPS://Partner.example/", "--note", "ticket 12")

    assert code == 0
    assert output == (
        "https://partner.example is trusted without the session: within 5 seconds in "
        "every process.\n"
    )
    assert run("explain", "https://partner.example")[0] == 0
    assert "TrustedOrigin" in run("list")[1]
    assert TrustedOrigin.objects.get().note == "ticket 12"


@pytest.mark.django_db(transaction=True)
@override_policy(inherit=["database"])
def test_trusts_again_what_was_switched_off() -> None:
    """An existing row is made active, and keeps what is not given anew."""
    TrustedOrigin.objects.create(
        pattern="https://partner.example", is_active=False, note="kept", allow_cors=True
    )
    code, output = run(
        "trust",
        "https://partner.example",
        "--expires",
        "12h",
        "--credentials",
        "--json",
    )
    answer = json.loads(output)

    assert code == 0
    assert answer["created"] is False
    assert (answer["note"], answer["allow_cors"]) == ("kept", True)
    assert answer["allow_credentials"] is True
    assert TrustedOrigin.objects.in_force().get().expires_at is not None


@pytest.mark.django_db
@override_policy(inherit=["same-origin"])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_says_where_nothing_stored_is_trusted(options: list[str]) -> None:
    """The row is there, and the answer no: nobody reads it."""
    code, output = run("trust", "https://a.example", *options)

    assert code == 1
    assert TrustedOrigin.objects.in_force().exists()
    assert options or output == (
        "https://a.example is stored, and trusts nobody: "
        'add "database" to WSORIGIN_INHERIT.\n'
    )


@pytest.mark.django_db(transaction=True)
@override_policy(inherit=["database"])
def test_says_until_when() -> None:
    """With an expiry, the answer names the moment."""
    output = run("trust", "https://a.example", "--expires", "7d", "--cors")[1]

    assert " until 20" in output


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["partner.example"], "it has no scheme. Write 'https://partner.example'."),
        (["https://*.co.uk"], "public suffix"),
        (["https://a.example", "--audience", "x" * 101], "at most 100 characters"),
    ],
)
def test_refuses_to_trust_what_is_no_origin(arguments: list[str], message: str) -> None:
    """A wrong pattern is refused with its remedy, exit code 2, and nothing is stored."""
    with pytest.raises(CommandError, match=re.escape(message)) as caught:
        run("trust", *arguments)

    assert caught.value.returncode == 2
    assert not TrustedOrigin.objects.exists()


@pytest.mark.parametrize(
    "text",
    ["7", "d", "7w", "seven days", "0d", "nand", "infd", "1.5h", "999999d", "\u0667d"],
)
def test_refuses_a_duration_that_is_none(text: str) -> None:
    """A duration is a number of minutes, hours or days; the message shows how."""
    with pytest.raises(CommandError, match="invalid duration value") as caught:
        run("trust", "https://a.example", "--expires", text)

    assert "such as 30m, 12h or 7d" in str(caught.value)


def denial(**fields: Any) -> DeniedHandshake:
    """Store a row of denials."""
    now = timezone.now()
    values: dict[str, Any] = {
        "day": now.date(),
        "origin": "https://evil.example",
        "endpoint": "/ws/",
        "reason": Reason.UNLISTED,
        "count": 3,
        "first_seen_at": now,
        "last_seen_at": now,
    }
    return DeniedHandshake.objects.create(**{**values, **fields})


@pytest.mark.django_db
def test_lists_denials() -> None:
    """The most frequent come first; what is hostile in them is escaped."""
    denial()
    denial(origin="https://\u202eevil", count=7, report_only=True)
    denial(origin="", count=1, endpoint="")
    denial(origin="https://old.example", last_seen_at=timezone.now() - timedelta(8))
    lines = run("denied")[1].splitlines()

    assert [line.split()[:2] for line in lines] == [
        ["count", "origin"],
        ["7", "https://\\u202eevil"],
        ["3", "https://evil.example"],
        ["1", "(others)"],
    ]
    assert "unlisted (report-only)" in lines[1]
    assert len(run("denied", "--limit", "1")[1].splitlines()) == 2
    assert "https://old.example" in run("denied", "--since", "30d")[1]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "9" * 10])
def test_refuses_a_limit_that_is_none(text: str) -> None:
    """No row is no answer, and fewer than none no question."""
    with pytest.raises(CommandError, match="is not a whole number above zero"):
        run("denied", "--limit", text)


@pytest.mark.django_db
def test_lists_denials_as_json() -> None:
    """JSON has every field."""
    denial(nearest="https://app.example (x) differs only in the port (8443)")
    (row,) = json.loads(run("denied", "--json")[1])

    assert (row["count"], row["reason"]) == (3, "unlisted")
    assert row["nearest"].startswith("https://app.example")


@pytest.mark.django_db
def test_prunes_old_denials() -> None:
    """What is older than the retention is deleted, and only that."""
    denial()
    denial(origin="https://old.example", last_seen_at=timezone.now() - timedelta(31))

    assert run("denied", "--since", "1m")[1] != "No handshake was denied.\n"
    assert run("prune")[1] == "Deleted 1 rows of denied handshakes and 0 tokens.\n"
    assert json.loads(run("prune", "--json")[1]) == {"deleted": 0, "tokens": 0}
    DeniedHandshake.objects.all().delete()
    assert run("denied")[1] == "No handshake was denied.\n"


@override_policy(inherit=[])
def test_says_what_is_wrong_with_a_header() -> None:
    """A malformed origin is told apart from one that nobody trusts."""
    output = run("explain", "https://a.example/x")[1]

    assert "The header isn't an origin: it has a path." in output
    assert "(the site itself)" not in run("list")[1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "arguments",
    [
        ["denied"],
        ["trust", "https://a.example"],
        ["token", "list"],
        ["disconnect", "--origin", "https://a.example"],
    ],
    ids=" ".join,
)
def test_says_that_tables_are_missing(arguments: list[str]) -> None:
    """Before ``migrate``: in one line, with the remedy and no traceback."""
    tables = [
        model._meta.db_table
        for model in apps.get_app_config("wsorigin").models.values()
    ]
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} RENAME TO hidden_{table}")
    try:
        with pytest.raises(CommandError, match=r"manage\.py migrate makes") as caught:
            run(*arguments)
    finally:
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"ALTER TABLE hidden_{table} RENAME TO {table}")

    assert caught.value.returncode == 2
    assert "\n" not in str(caught.value)
