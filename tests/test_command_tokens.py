"""The command line about tokens: what it prints, where, and what it exits with."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from tests.processes.servers import environment
from tests.servers.sites import ROOT, manage
from wsorigin import tokens
from wsorigin.credentials import Secret, TokenKind
from wsorigin.management.subcommands.tokens import OVERLAPS, VERBS
from wsorigin.models import ConnectionToken, DeniedHandshake, Disconnection

pytestmark = pytest.mark.django_db

TOKEN = re.compile(r"wso[kpt]_[0-9A-Za-z]{46}")


class Run(NamedTuple):
    """What a command did."""

    code: int
    output: str
    aside: str

    @property
    def json(self) -> Any:
        """Read the output as JSON."""
        return json.loads(self.output)


def run(*arguments: str) -> Run:
    """Call ``manage.py wsorigin`` and return exit code and output."""
    output, aside = io.StringIO(), io.StringIO()
    code: Any = 0
    try:
        call_command("wsorigin", *arguments, stdout=output, stderr=aside, no_color=True)
    except SystemExit as exc:
        code = exc.code
    return Run(code, output.getvalue(), aside.getvalue())


def refused(*arguments: str, code: int = 2) -> str:
    """Call ``manage.py wsorigin``, which has to fail; return the one line it says."""
    with pytest.raises(CommandError) as caught:
        run(*arguments)

    message = str(caught.value)
    assert caught.value.returncode == code
    assert message.count("\n") == 0
    return message


def user_called(name: str, **fields: Any) -> Any:
    """Store a user."""
    return get_user_model().objects.create_user(name, **fields)


def minted(name: str = "Feed", **fields: Any) -> tuple[ConnectionToken, str]:
    """Store a secret token; return its row and its text."""
    fields = {"expires_in": timedelta(days=7), **fields}
    return tokens.mint(TokenKind.SECRET, name=name, **fields)


def ticket() -> tuple[ConnectionToken, str]:
    """Store a ticket; return its row and its text."""
    return tokens.mint_ticket(user_called("visitor"), origin="https://app.example")


def change(row: ConnectionToken, **fields: Any) -> None:
    """Change a row behind the back of the tokens' module."""
    ConnectionToken.objects.filter(pk=row.pk).update(**fields)


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Return a function that makes octets standard input."""

    def put(octets: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(octets)))

    return put


# mint -----------------------------------------------------------------------------------


def test_mint_prints_the_secret_and_nothing_else() -> None:
    """A shell catches the token alone; what is said about it goes to standard error."""
    user_called("alice")
    done = run("token", "mint", "--kind", "secret", "--name", "Feed", "--user", "alice")
    row = ConnectionToken.objects.get()

    assert TOKEN.fullmatch(done.output.removesuffix("\n"))
    assert tokens.inspect(done.output)[:2] == (row, None)
    assert done.aside == (
        f"Secret token wsok_{row.public_id} Feed of alice, until "
        f"{row.expires_at:%Y-%m-%d %H:%M} UTC. Keep it: it is shown this once.\n"
    )


def test_mint_fills_each_field() -> None:
    """Each option is stored as what it says, origins in canonical form."""
    done = run(
        *("token", "mint", "--kind", "publishable", "--name", "Widget", "--json"),
        *("--origin", "HTTPS://A.example/", "--origin", "https://*.b.example"),
        *("--audience", "prices", "--expires", "12h"),
    )
    row = ConnectionToken.objects.get()

    assert tokens.inspect(done.json.pop("token"))[:2] == (row, None)
    assert done.json == {
        "token": done.json["token"],
        "kind": "publishable",
        "public_id": row.public_id,
        "name": "Widget",
        "user": None,
        "origins": ["https://a.example", "https://*.b.example"],
        "audience": "prices",
        "state": "active",
        "created_at": row.created_at.isoformat(),
        "last_used_at": None,
        "expires_at": (row.created_at + timedelta(hours=12)).isoformat(),
        "previous_expires_at": None,
        "revoked_at": None,
        "revoke_reason": "",
    }
    assert done.aside == ""


def test_a_token_lasts_ninety_days_unless_told() -> None:
    """There is a default, since a token has to expire."""
    run("token", "mint", "--kind", "secret", "--name", "Feed")
    row = ConnectionToken.objects.get()

    assert row.expires_at == row.created_at + timedelta(days=90)


def test_never_is_the_settings_to_allow() -> None:
    """WSORIGIN_TOKENS_MUST_EXPIRE refuses a token without an end, and is named."""
    arguments = ("token", "mint", "--kind", "secret", "--name", "Feed")
    message = refused(*arguments, "--expires", "never")

    assert message == (
        "--expires: A token has to expire, or WSORIGIN_TOKENS_MUST_EXPIRE has to be "
        "False."
    )
    with override_settings(WSORIGIN_TOKENS_MUST_EXPIRE=False):
        assert "Feed, without an end." in run(*arguments, "--expires", "never").aside


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["--kind", "secret", "--name", " "], "--name: Say who", id="no name"
        ),
        pytest.param(
            ["--kind", "publishable", "--name", "x"],
            "--origin: A publishable token is bound to origins.",
            id="publishable without origins",
        ),
        pytest.param(
            ["--kind", "secret", "--name", "x", "--origin", "app.example"],
            "Write 'https://app.example'.",
            id="no pattern",
        ),
        pytest.param(
            ["--kind", "secret", "--name", "x", "--audience", "x" * 101],
            "--audience: ",
            id="long audience",
        ),
        pytest.param(
            ["--kind", "secret", "--name", "x", "--user", "nobody"],
            "No user has the username 'nobody'. See manage.py createsuperuser",
            id="unknown user",
        ),
    ],
)
def test_mint_refuses_what_does_not_fit(arguments: list[str], message: str) -> None:
    """What is wrong is said by option, in one line with its remedy; nothing is stored."""
    assert message in refused("token", "mint", *arguments)
    assert not ConnectionToken.objects.exists()


def test_a_publishable_token_names_nobody() -> None:
    """Both things that are wrong are said at once."""
    user_called("alice")
    message = refused(
        *("token", "mint", "--kind", "publishable", "--name", "x", "--user", "alice")
    )

    assert "--user: A publishable token" in message
    assert "--origin: A publishable token" in message


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--kind", "ticket", "choose from"),
        ("--expires", "soon", "such as 30m, 12h or 7d"),
    ],
)
def test_mint_refuses_options_that_are_none(
    option: str, value: str, message: str
) -> None:
    """Tickets are not minted by hand, and a lifetime is a duration or never."""
    values = {"--kind": "secret", "--name": "x", option: value}
    with pytest.raises(CommandError, match=message):
        run("token", "mint", *(word for pair in values.items() for word in pair))


# list -----------------------------------------------------------------------------------


def test_lists_what_has_not_ended() -> None:
    """The newest first, without tickets and what has ended, unless asked for all."""
    assert run("token", "list") == (0, "There are no tokens.\n", "")
    alice = user_called("alice")
    feed, _ = minted(user=alice)
    gone, _ = minted("Gone")
    tokens.revoke(gone)
    late, _ = minted("Late")
    change(late, expires_at=timezone.now())
    ticket()
    lines = run("token", "list").output.splitlines()
    everything = run("token", "list", "--all").output

    assert " ".join(lines[0].split()) == (
        "kind public id name owner last used expires state"
    )
    assert lines[1].split() == [
        *("secret", feed.public_id, "Feed", "alice", "never"),
        *(f"{feed.expires_at:%Y-%m-%d %H:%M}".split()),
        *("UTC", "active"),
    ]
    assert len(lines) == 2
    for state in ("revoked", "expired", "active"):
        assert f"{state}\n" in everything
    assert "ticket" in everything


def test_lists_each_state_as_json() -> None:
    """JSON has every field of what may be seen, and no digest or secret."""
    owner = user_called("alice", is_active=False)
    row, secret = minted(user=owner, origins=["https://a.example"])
    tokens.revoke(minted("Gone")[0], "Found in a repository")
    done = run("token", "list", "--all", "--json")
    gone, feed = done.json

    assert (gone["state"], gone["revoke_reason"]) == (
        "revoked",
        "Found in a repository",
    )
    assert gone["revoked_at"] is not None
    assert (feed["state"], feed["user"]) == ("user-inactive", "alice")
    assert feed["origins"] == ["https://a.example"]
    for hidden in (secret, row.digest, row.digest.partition(":")[2]):
        assert hidden not in done.output


def test_lists_what_is_rotating_and_when_it_was_used() -> None:
    """While two secrets count it says so; names are shown without hidden characters."""
    row, secret = minted("B\u00fcro\u202e", origins=[])
    tokens.rotate(row, timedelta(hours=1))
    change(row, last_used_at=timezone.now(), expires_at=None)
    output = run("token", "list").output

    assert f"{timezone.now():%Y-%m-%d}" in output
    assert "never    active (rotating)" in output
    assert "B\u00fcro\\u202e" in output
    assert secret not in output


# verify ---------------------------------------------------------------------------------


def test_verify_reads_standard_input(
    standard_input: Callable[[bytes], None],
) -> None:
    """Without an argument the token comes through a pipe; nothing is used up."""
    row, secret = minted(
        user=user_called("alice"), origins=["https://a.example"], audience="prices"
    )
    expected = (
        "It opens connections.\n"
        f"  Secret token {row} of alice, until {row.expires_at:%Y-%m-%d %H:%M} UTC.\n"
        "  Only from https://a.example.\n"
        "  Only for the audience prices.\n"
    )
    for arguments in ([], ["-"]):
        standard_input(f"{secret}\n".encode())
        assert run("token", "verify", *arguments) == (0, expected, "")

    row.refresh_from_db()
    assert row.last_used_at is None


def test_verify_uses_up_no_ticket() -> None:
    """A ticket that was looked at still opens its connection."""
    row, secret = ticket()

    assert run("token", "verify", secret).code == 0
    row.refresh_from_db()
    assert row.used_at is None


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(
            lambda row: tokens.revoke(row, "Leaked"), "token-revoked", id="revoked"
        ),
        pytest.param(
            lambda row: change(row, expires_at=timezone.now()),
            "token-expired",
            id="expired",
        ),
        pytest.param(lambda row: row.delete(), "token-unknown", id="deleted"),
        pytest.param(
            lambda row: get_user_model().objects.update(is_active=False),
            "token-user-inactive",
            id="owner deactivated",
        ),
    ],
)
def test_verify_says_why_not(
    spoil: Callable[[ConnectionToken], Any], reason: str
) -> None:
    """A token that opens nothing is told why, with exit code 1; and is not repeated."""
    row, secret = minted(user=user_called("alice"))
    spoil(row)
    in_words = run("token", "verify", secret)
    as_json = run("token", "verify", secret, "--json")

    assert in_words.code == as_json.code == 1
    assert in_words.output.startswith(f"It opens nothing ({reason}). ")
    assert ("Revoked: Leaked." in in_words.output) == (reason == "token-revoked")
    assert as_json.json["usable"] is False
    assert as_json.json["reason"] == reason
    assert (as_json.json["token"] is None) == (reason == "token-unknown")
    assert secret not in in_words.output + as_json.output


def test_verify_as_json() -> None:
    """JSON has the verdict, and what may be seen of the token."""
    row, secret = minted()
    answer = run("token", "verify", secret, "--json").json

    assert answer["usable"] is True
    assert answer["reason"] is None
    assert answer["sentence"] is None
    assert answer["token"]["public_id"] == row.public_id
    assert "digest" not in " ".join(answer["token"])


@pytest.mark.parametrize("octets", [b"\xff\xfe\x00", b"hello", b"wsok_" + b"0" * 9999])
def test_verify_survives_any_octets(
    octets: bytes, standard_input: Callable[[bytes], None]
) -> None:
    """What is no token is called that."""
    standard_input(octets)
    done = run("token", "verify")

    assert done.code == 1
    assert "(token-malformed)" in done.output


def test_verify_wants_a_token(standard_input: Callable[[bytes], None]) -> None:
    """Without any text the question is wrong."""
    standard_input(b"\n")

    assert "standard input" in refused("token", "verify")


# rotate ---------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_rotate_prints_the_new_secret(overlap: str) -> None:
    """The new one is printed alone; how long the old one counts goes beside."""
    row, old = minted()
    done = run("token", "rotate", row.public_id, "--overlap", overlap)
    row.refresh_from_db()

    assert tokens.inspect(done.output)[:2] == (row, None)
    assert (tokens.inspect(old).reason is None) == (overlap != "now")
    assert done.aside.startswith(f"{row} has a new secret. Keep it: ")
    if row.previous_expires_at:
        until = f"{row.previous_expires_at:%Y-%m-%d %H:%M}"
        assert f"The old one counts until {until} UTC." in done.aside
    else:
        assert "The old one counts no more." in done.aside


def test_rotate_as_json() -> None:
    """JSON has the new secret and when the old one ends: after a day unless told."""
    row, _ = minted()
    done = run("token", "rotate", f"wsok_{row.public_id}", "--json")
    row.refresh_from_db()

    assert tokens.inspect(done.json["token"])[:2] == (row, None)
    assert done.json["previous_expires_at"] == row.previous_expires_at.isoformat()
    assert row.previous_expires_at > timezone.now() + timedelta(hours=23)
    assert done.aside == ""


def test_rotate_refuses_what_has_ended() -> None:
    """A revoked token gets no new secret: a clear no, exit code 1."""
    row, _ = minted()
    tokens.revoke(row)

    assert "can't be rotated" in refused("token", "rotate", row.public_id, code=1)


# revoke ---------------------------------------------------------------------------------


def test_revoke_says_that_the_connections_close() -> None:
    """A token is revoked once; the second time nothing changes, with exit code 1."""
    row, _ = minted()
    done = run("token", "revoke", row.public_id, "--reason", "Found in a repository")
    again = run("token", "revoke", row.public_id, "--reason", "other")
    row.refresh_from_db()

    assert done == (
        0,
        f"{row} is revoked. Its connections close within 5 seconds, in every "
        "process.\n",
        "",
    )
    assert again == (1, f"{row} was revoked already; nothing has changed.\n", "")
    assert row.revoke_reason == "Found in a repository"


def test_revoke_as_json() -> None:
    """JSON says whether this call did it."""
    row, _ = minted()
    done = run("token", "revoke", row.public_id, "--json")
    again = run("token", "revoke", row.public_id, "--json")

    assert (done.code, done.json["revoked"], done.json["state"]) == (0, True, "revoked")
    assert (again.code, again.json["revoked"]) == (1, False)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["token", "rotate"], id="rotate"),
        pytest.param(["token", "revoke"], id="revoke"),
        pytest.param(["disconnect", "--token"], id="disconnect"),
    ],
)
def test_an_unknown_public_id_is_a_wrong_question(arguments: list[str]) -> None:
    """It says where the public ids are; a whole token given instead is not repeated."""
    assert refused(*arguments, "Zz\u202e") == (
        "No token has the public id 'Zz\\u202e'. "
        "See manage.py wsorigin token list --all"
    )
    secret = Secret.new(TokenKind.SECRET)
    assert secret.text not in refused(*arguments, secret.text)


# disconnect -----------------------------------------------------------------------------


def test_disconnects_a_user() -> None:
    """The order names the user; the answer says when it is carried out."""
    alice = user_called("alice")

    assert run("disconnect", "--user", "alice") == (
        0,
        "The connections close within 5 seconds, in every process. They may come "
        "again.\n",
        "",
    )
    assert Disconnection.objects.get().user == alice


def test_disconnects_a_token_or_an_origin() -> None:
    """Patterns are ordered in canonical form; JSON repeats the order."""
    row, _ = minted()
    run("disconnect", "--token", row.public_id)
    done = run("disconnect", "--origin", "HTTPS://*.App.example/", "--json")

    assert done.json == {
        "user": None,
        "token": None,
        "origin": "HTTPS://*.App.example/",
        "within_seconds": 5,
    }
    assert set(Disconnection.objects.values_list("token", "origin")) == {
        (row.pk, ""),
        (None, "https://*.app.example"),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--user", "nobody"], "No user has the username 'nobody'."),
        (["--origin", "app.example"], "Write 'https://app.example'."),
        (["--origin", ""], "isn't a valid origin"),
    ],
)
def test_disconnects_nobody_unknown(arguments: list[str], message: str) -> None:
    """A wrong question orders nothing."""
    assert message in refused("disconnect", *arguments)
    assert not Disconnection.objects.exists()


# prune, help, a shell -------------------------------------------------------------------


def test_prunes_dead_tokens_too() -> None:
    """Denials and tokens that have been over for long go, and both are counted."""
    long_ago = timezone.now() - timedelta(days=31)
    row, _ = minted()
    change(row, expires_at=long_ago)
    minted("Alive")
    DeniedHandshake.objects.create(
        day=long_ago.date(), first_seen_at=long_ago, last_seen_at=long_ago, count=1
    )

    assert run("prune", "--json").json == {"deleted": 1, "tokens": 1}
    assert ConnectionToken.objects.get().name == "Alive"


def test_token_wants_a_verb() -> None:
    """Without one it says which there are."""
    assert refused("token") == (
        "Say what to do: manage.py wsorigin token VERB "
        "(mint, list, verify, rotate, revoke)."
    )


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_has_help_with_examples(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """--help shows at least two examples."""
    with pytest.raises(SystemExit):
        call_command("wsorigin", "token", verb, "--help")

    assert capsys.readouterr().out.count(f"manage.py wsorigin token {verb}") >= 2


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a site with a database in a file."""
    file = tmp_path_factory.mktemp("command") / "site.sqlite3"
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}
    env = environment(database, LOGGING_CONFIG=None)
    manage("migrate", env=env)
    return {**env, "MANAGE": f"{sys.executable} manage.py wsorigin"}


def shell(script: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script of the shell."""
    return subprocess.run(  # noqa: S603  # our own text
        ["/bin/sh", "-c", script],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_shell_catches_the_token(site: dict[str, str]) -> None:
    """As the help shows it: minted into a variable, verified through a pipe."""
    done = shell(
        'TOKEN=$($MANAGE token mint --kind secret --name "Partner feed") && '
        'echo "$TOKEN" && echo "$TOKEN" | $MANAGE token verify',
        site,
    )
    secret, verdict, described = done.stdout.splitlines()

    assert done.returncode == 0
    assert TOKEN.fullmatch(secret)
    assert verdict == "It opens connections."
    assert "Partner feed" in described
    assert secret not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_wrong_question_exits_with_2(site: dict[str, str]) -> None:
    """The shell sees exit code 2, and one line on standard error."""
    done = shell("$MANAGE token revoke Zz", site)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("CommandError: No token has the public id 'Zz'.")
    assert done.stderr.count("\n") == 1


def test_asks_for_the_token_at_a_terminal(site: dict[str, str]) -> None:
    """Somebody who types the token doesn't see it on the screen."""
    secret = Secret.new(TokenKind.SECRET).text
    terminal, its_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "manage.py", "wsorigin", "token", "verify"],
        cwd=ROOT,
        env=site,
        stdin=its_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # or it would ask at the terminal of the tests
    ) as process:
        assert process.stderr is not None
        try:
            prompt = process.stderr.read(len("Token: "))
            os.write(terminal, f"{secret}\n".encode())
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
        echoed, _, _ = select.select([terminal], [], [], 0)
    os.close(terminal)
    os.close(its_end)

    assert prompt == b"Token: "
    assert output.startswith(b"It opens nothing (token-unknown).")
    assert echoed == []
    assert process.returncode == 1


def test_verify_knows_the_secret_before_a_rotation() -> None:
    """During the overlap it holds, and somebody has to know which one is deployed."""
    _, old = minted()
    row = ConnectionToken.objects.get()
    tokens.rotate(row, timedelta(hours=1))

    assert (
        "It is the secret before the last rotation."
        in run("token", "verify", old).output
    )
    assert run("token", "verify", old, "--json").json["is_previous"] is True
