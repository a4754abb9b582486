"""
What keeps a handshake from reaching the application: the meaning of each answer.

A status means what it most often means behind Daphne and the usual proxies; where two
causes look alike, a second look tells them apart.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from wsorigin.handshake import PREFLIGHT

from .answer import Answer, Failure, excerpt
from .case import Case
from .finding import Finding
from .fronts import made_by, server_of

_SWITCHED: Final = "101 Switching Protocols"
# Daphne gives an application five seconds to answer, and then hangs up.
PATIENCE_OF_DAPHNE: Final = 4.5

# What servers say to a plain request on their TLS port: nginx, Caddy, Apache.
_WANTS_TLS: Final = re.compile(
    r"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS server"
    r"|plain HTTP to an SSL-enabled",
)
_BY_DJANGO: Final = re.compile(
    r"<h1>Bad Request \(400\)</h1>|DisallowedHost|Invalid HTTP_HOST"
)


def obstacle(case: Case, answer: Answer) -> Finding | None:
    """Return why a handshake did not reach the application, None where it did."""
    if answer.failure:
        return _without_answer(case, answer)
    status = answer.status
    if status == 101:
        return None
    if status == 403 and not _is_proxys_own(answer):
        # granian says so where a path leads nowhere.
        lost = case.routes() and not case.is_known(case.target.route)
        return _no_route(case, answer) if lost and not denial_of(answer) else None
    if status in {401, 403, 407, 429}:
        return case.finding(
            "proxy-refuses",
            f"{answer}{_signature(answer)}: it comes from something in front, and not "
            "from the application.",
            f"{_SWITCHED}, or the application's own refusal",
        )
    if 300 <= status < 400:
        return _redirect(case, answer)
    if status == 400:
        return _bad_request(case, answer)
    if status == 426:
        return _upgrade_required(case, answer)
    if status in {404, 405} or 200 <= status < 300:
        return _not_found(case, answer)
    if status == 500:
        return _server_error(case, answer)
    if status in {464, 502, 503, 504}:
        # A server that is away makes a 503 of this, or a 502 at once.
        waited = status in {502, 504} and answer.elapsed > PATIENCE_OF_DAPHNE
        return case.finding(
            "no-answer" if waited else "upstream-down",
            f"{answer} after {answer.elapsed:.1f} s: the proxy got no answer"
            + (" in time from the application." if waited else " from the server."),
            _SWITCHED,
        )
    return case.finding("unexpected-answer", f"{answer}.", _SWITCHED)


def denial_of(answer: Answer) -> dict[str, Any]:
    """Return the body of a denial by our guard (RFC 9457), empty for any other."""
    if answer.get("content-type").startswith("application/problem+json"):
        body = json_object(answer.body)
        if isinstance(body.get("reason"), str):
            return body
    return {}


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object; empty where a text is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_proxys_own(answer: Answer) -> bool:
    """Whether a 403 is a page that a proxy wrote, not what an application refuses with."""
    return bool(made_by(answer) or answer.get("cf-mitigated"))


def _signature(answer: Answer) -> str:
    server = answer.get("server")
    return f" (Server: {excerpt(server)})" if server else ""


def _without_answer(case: Case, answer: Answer) -> Finding:
    failure, client = answer.failure, case.client
    match failure:
        case Failure.NO_NAME | Failure.NO_CONNECTION:
            return case.finding("unreachable", f"{answer}.", "a server that listens")
        case Failure.CERTIFICATE:
            return case.finding(
                "tls-failure", f"{answer}.", "a certificate that browsers accept"
            )
        case Failure.TLS:
            if client.speaks_plainly():
                return case.finding(
                    "wrong-scheme",
                    "The port speaks plain HTTP, and the URL begins with wss://.",
                    "ws:// for this port, or TLS on it",
                )
            return case.finding("tls-failure", f"{answer}.", "a TLS handshake")
        case Failure.NOT_HTTP | Failure.BROKEN_UPGRADE:
            if case.target.tls or not client.speaks_tls():
                return case.finding("not-http", f"{answer}.", _SWITCHED)
        case _:
            if case.target.tls or not client.speaks_tls():
                return _silence(case, answer)
    return _plain_to_tls(case)


def _plain_to_tls(case: Case) -> Finding:
    return case.finding(
        "wrong-scheme",
        "The port speaks TLS, and the URL begins with ws://.",
        "wss:// for this port",
    )


def _silence(case: Case, answer: Answer) -> Finding:
    waited = answer.elapsed > PATIENCE_OF_DAPHNE
    return case.finding(
        "no-answer",
        f"{answer}, after {answer.elapsed:.1f} s"
        + (
            ": Daphne does that when connect() has not answered after five."
            if waited and answer.failure is Failure.CLOSED
            else "."
        ),
        _SWITCHED,
    )


def _redirect(case: Case, answer: Answer) -> Finding:
    location = answer.get("location")
    there, here = urlsplit(location), case.target.route
    cause = "redirected"
    if there.scheme in {"https", "wss"} and not case.target.tls:
        cause = "to-https"
    elif there.path != here and unquote(there.path).rstrip("/") == here.rstrip("/"):
        cause = "slash"
    return case.finding(
        "redirected",
        f"{answer} to {excerpt(location) or 'nowhere'}: browsers do not follow it.",
        _SWITCHED,
        cause=cause,
    )


def _bad_request(case: Case, answer: Answer) -> Finding:
    if _WANTS_TLS.search(answer.body):
        return _plain_to_tls(case)
    if "Origin" in answer.phrase:
        return case.finding(
            "origin-rewritten",
            f"{answer}: what arrives as Origin is no origin.",
            f"Origin: {case.origin}, as it was sent",
        )
    if _BY_DJANGO.search(answer.body):
        return case.finding(
            "upgrade-dropped",
            f"{answer}, from Django's pages: the handshake arrived there as a plain "
            "request, and its Host is not in ALLOWED_HOSTS.",
            _SWITCHED,
        )
    # Caddy replaces the reason phrase, and Daphne's answer has nothing else.
    if "Connection" in answer.phrase or (case.front and not answer.body.strip()):
        return case.finding(
            "connection-dropped",
            f"{answer}: the server got Upgrade, and no 'Connection: Upgrade'.",
            _SWITCHED,
        )
    return case.finding(
        "not-websocket-server", f"{answer}{_signature(answer)}.", _SWITCHED
    )


def _upgrade_required(case: Case, answer: Answer) -> Finding:
    if "speaks no WebSocket" in answer.body:
        return case.finding(
            "not-websocket-server",
            f"{answer}: the handshake arrived complete, and as plain HTTP.",
            _SWITCHED,
        )
    lost = re.search(r'without ("Upgrade)?', answer.body)
    dropped = "connection" if lost and not lost[1] else "upgrade"
    return case.finding(
        f"{dropped}-dropped",
        f"{answer}: the handshake arrived as plain HTTP, without its "
        f"{dropped.capitalize()} header.",
        _SWITCHED,
    )


def _not_found(case: Case, answer: Answer) -> Finding:
    server = server_of(answer)
    if server in {"gunicorn", "wsgiserver"} or (server == "uvicorn" and not case.front):
        return case.finding(
            "not-websocket-server",
            f"{answer}{_signature(answer)}: the server took the handshake for a plain "
            "request.",
            _SWITCHED,
        )
    if answer.status in {404, 405} and not made_by(answer):
        return case.finding(
            "upgrade-dropped",
            f"{answer}, from the pages' side: the handshake arrived as a plain request.",
            _SWITCHED,
        )
    kind = answer.get("content-type").partition(";")[0] or "a page"
    return case.finding(
        "wrong-route",
        f"{answer} ({excerpt(kind)}){_signature(answer)}: what serves the pages answers "
        "for this path too.",
        _SWITCHED,
        cause="not-proxied",
    )


def _server_error(case: Case, answer: Answer) -> Finding:
    path, routes = case.target.route, case.routes()
    for variant, cause, meaning in _variants(path):
        if _leads_on(case, variant):
            return case.finding(
                "wrong-route",
                f"{answer} for {excerpt(path)}, but {excerpt(variant)} answers: {meaning}.",
                f"a WebSocket route at {excerpt(path)}",
                cause=cause,
            )
    if routes and not case.is_known(path):
        return _no_route(case, answer)
    if routes and case.front and not any(_leads_on(case, p) for p in _others(case)):
        return case.finding(
            "wrong-route",
            f"{answer} for {excerpt(path)}, which this project has a route for: on the "
            "way, the path becomes another. (Or connect() raises: see the log.)",
            f"{excerpt(path)}, as it was sent",
            cause="prefix-stripped",
        )
    return case.finding(
        "application-error",
        f"{answer}: an exception in the application, such as that of a path without "
        "a route, or of an application that is for HTTP alone.",
        _SWITCHED,
        cause="http-only" if routes == [] else "",
    )


def _no_route(case: Case, answer: Answer) -> Finding:
    known = ", ".join(f"/{route.path}" for route in case.routes() or ())
    return case.finding(
        "wrong-route",
        f"{answer}: no route of this project leads to "
        f"{excerpt(case.target.route)}. Routes: {known}",
        "a path of one of them",
        cause="no-route",
    )


def _leads_on(case: Case, path: str) -> bool:
    """Whether a handshake for a path reaches something that speaks WebSocket."""
    answer = case.ask(PREFLIGHT, path=quote(path))
    return answer.opened or (answer.status == 403 and not _is_proxys_own(answer))


def _others(case: Case) -> list[str]:
    """Return other paths of this project that begin as the one in question does."""
    here = case.target.route
    start = here[: here.find("/", 1) + 1]
    paths = [f"/{route.path}" for route in case.routes() or ()]
    return [
        path for path in paths if re.fullmatch(rf"{start}[\w/-]*", path) if path != here
    ]


def _variants(path: str) -> list[tuple[str, str, str]]:
    """
    Return paths that would arrive as this one should, if a proxy changed it.

    With the cause of each, and what it means when it works.
    """
    slashed = path.removesuffix("/") if path.endswith("/") else f"{path}/"
    missing = (
        "the slash at the end is missing" if slashed > path else "a slash too many"
    )
    found = [(slashed, "slash", missing)]
    parts = path.strip("/").split("/")
    for count in range(1, min(len(parts), 3)):
        prefix = "/" + "/".join(parts[:count])
        meaning = f"on the way, {prefix} is stripped"
        found.append((f"{prefix}{path}", "prefix-stripped", meaning))
    # A prefix replaced by a slash too many: Daphne then takes what follows for a host.
    odd = f"/{parts[0]}/{secrets.token_hex(4)}{path}"
    meaning = f"on the way, /{parts[0]} becomes a second slash"
    return [*found, (odd, "prefix-stripped", meaning)]
