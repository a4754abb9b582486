"""
What verifying a token costs, on a table of many, beside others who do as much.

Asked by `__main__`; run as a program by itself, for each kind of database.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from typing import Final

from .databases import begin, measured_on_each
from .figures import Figures
from .rounds import TIMES, Comparison, Contender, Effort, Promise, measure

ROWS: Final = 20_000
QUICK_ROWS: Final = 200
# Tokens that take turns; each was used a moment ago, so that no use is noted.
_ASKED: Final = 64

QUESTION: Final = "verifying a token"
WSORIGIN: Final = "wsorigin"
WRONG: Final = "wsorigin, wrong checksum"
LEAN: Final = "lean: indexed look-up with the ORM"
CURSOR: Final = "floor: the same by a cursor"
DRF: Final = "DRF's TokenAuthentication"
KNOX: Final = "knox's TokenAuthentication"
QUERIES: Final = "queries of one"

Verify = Callable[[str], object]


def results(*, quick: bool, effort: Effort) -> list[Figures]:
    """Measure on each database; return times and queries."""
    options = {
        "rows": QUICK_ROWS if quick else ROWS,
        "rounds": effort.rounds,
        "sample_ns": effort.sample_ns,
    }
    return [
        replace(Figures(**plain), case=database)
        for database, found in measured_on_each("benchmarks.tokens", **options)
        for plain in found
    ]


def promises(figures: Sequence[Figures]) -> Iterator[Promise]:
    """Yield what a verification may cost."""
    times = [one for one in figures if one.unit == "µs"]
    yield Promise(
        f"Verifying a token costs {{}} {TIMES} the lean look-up",
        1.15,
        {one.case: one.ratio(WSORIGIN, LEAN) for one in times},
    )
    yield Promise(
        "Refusing a token with a wrong checksum takes {} µs",
        10,
        {one.case: one.spread(WRONG) for one in times},
    )
    yield Promise(
        "Refusing a token with a wrong checksum takes {} queries",
        0,
        {one.case: one.spread(WRONG) for one in figures if one.unit == "queries"},
    )


def peers() -> list[str]:
    """Return the apps of others who verify tokens, as far as they are installed."""
    apps = {"rest_framework": "rest_framework.authtoken", "knox": "knox"}
    return [app for package, app in apps.items() if find_spec(package)]


def wsorigin(text: str) -> object:
    """Verify one of ours, as the guard does."""
    from wsorigin.credentials import Secret
    from wsorigin.verification import Verified, verify

    verified = verify(Secret.parse(text), None)
    if not isinstance(verified, Verified):
        raise RuntimeError(f"a good token is refused: {verified}")
    return verified.token.user


def wrong_checksum(text: str) -> object:
    """Read one of ours that was mistyped."""
    from wsorigin.credentials import InvalidToken, Secret

    with suppress(InvalidToken):
        raise RuntimeError(f"a token without checksum is read: {Secret.parse(text)}")
    return None


def lean(text: str) -> object:
    """Do with the ORM what has to be done: the row, its user, its digest."""
    from django.utils.crypto import constant_time_compare

    from wsorigin.models import ConnectionToken

    token = ConnectionToken.objects.select_related("user").get(public_id=text[5:13])
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    if not constant_time_compare(digest, token.digest):
        raise RuntimeError("a good token is refused")
    return token.user


def cursor(text: str) -> object:
    """Do the same without models."""
    from django.db import connection
    from django.utils.crypto import constant_time_compare

    with connection.cursor() as one:
        one.execute(
            "SELECT t.digest, t.expires_at, t.revoked_at, u.id, u.is_active "
            "FROM wsorigin_connectiontoken t JOIN auth_user u ON u.id = t.user_id "
            "WHERE t.public_id = %s",
            [text[5:13]],
        )
        row = one.fetchone()
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    if not constant_time_compare(digest, row[0]):
        raise RuntimeError("a good token is refused")
    return row[3]


def drf(text: str) -> object:
    """Ask django-rest-framework."""
    from rest_framework.authentication import TokenAuthentication

    return TokenAuthentication().authenticate_credentials(text)[0]


def knox(text: str) -> object:
    """Ask django-rest-knox."""
    from knox.auth import TokenAuthentication

    return TokenAuthentication().authenticate_credentials(text.encode())[0]


def fill(rows: int) -> Iterator[tuple[str, Verify, list[str]]]:
    """Make users and as many tokens of each kind; yield who verifies which."""
    from django.contrib.auth.models import User
    from django.utils import timezone

    from wsorigin.credentials import Secret, TokenKind
    from wsorigin.models import ConnectionToken

    now = timezone.now()
    asked = [number * rows // _ASKED for number in range(_ASKED)]
    User.objects.bulk_create(
        (User(username=f"user{number}") for number in range(rows)),
        batch_size=2000,
    )
    users = list(User.objects.order_by("id"))
    ours = [Secret.new(TokenKind.SECRET) for _ in users]
    ConnectionToken.objects.bulk_create(
        (
            ConnectionToken(
                kind=one.kind,
                public_id=one.public_id,
                digest=one.digest,
                name="measured",
                user=user,
                expires_at=now + timedelta(days=1),
                last_used_at=now,
            )
            for one, user in zip(ours, users, strict=True)
        ),
        batch_size=2000,
    )
    texts = [ours[number].text for number in asked]
    yield WSORIGIN, wsorigin, texts
    yield LEAN, lean, texts
    yield CURSOR, cursor, texts
    yield WRONG, wrong_checksum, [f"{text[:-6]}000000" for text in texts]
    if "rest_framework.authtoken" in peers():
        from rest_framework.authtoken.models import Token

        keys = [secrets.token_hex(20) for _ in users]
        Token.objects.bulk_create(
            (Token(key=key, user=user) for key, user in zip(keys, users, strict=True)),
            batch_size=2000,
        )
        yield DRF, drf, [keys[number] for number in asked]
    if "knox" in peers():
        from knox.models import AuthToken

        yield (
            KNOX,
            knox,
            [AuthToken.objects.create(user=users[number])[1] for number in asked],
        )


def queries(verify: Verify, text: str) -> int:
    """Count the queries of one verification."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    verify(text)  # which notes the first use
    with CaptureQueriesContext(connection) as captured:
        verify(text)
    return len(captured)


def main() -> None:
    """Fill the tables, measure, print figures as JSON."""
    options = begin(apps=peers())
    from django.db import connection

    contenders = list(fill(options["rows"]))
    with connection.cursor() as one:
        one.execute("ANALYZE")
    counted = Figures(QUESTION, "", "queries", {})
    for name, verify, texts in contenders:
        counted.add(name, queries(verify, texts[0]))
    # SQLite works in this thread, PostgreSQL in a process of its own.
    in_process = connection.vendor == "sqlite"
    effort = Effort(
        rounds=options["rounds"],
        sample_ns=options["sample_ns"],
        too_slow_ns=10**9,
        clock=time.thread_time_ns if in_process else time.perf_counter_ns,
    )
    of = partial(Contender, size=options["rows"])
    comparison = Comparison(
        QUESTION,
        "",
        LEAN,
        [of(name, call=verify, subjects=texts) for name, verify, texts in contenders],
    )
    found = [Figures.of(measure(comparison, effort)), counted]
    print(json.dumps([one.plain() for one in found]))


if __name__ == "__main__":
    main()
