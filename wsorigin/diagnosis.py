"""
What a handshake looked like on arrival, told to whoever can sign with the site's key.

The doctor asks, the guard answers. Asking and reading answers is not here, and nothing
is decided: a question that is signed badly is no question.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from django.core.signing import BadSignature, TimestampSigner

from .denial import DENIAL_EXTENSION
from .handshake import Handshake, Scope
from .policy import Decision
from .site import Site

PREFIX: Final = "wsorigin.doctor."
MAX_AGE: Final = 60  # seconds

# What proxies say about the request as it reached them. The others are only named:
# a proxy may add a header that is a secret between it and the application.
_TOLD: Final = (
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-forwarded-ssl",
    b"front-end-https",
)
_NAMED: Final = (b"forwarded", b"via", b"x-real-ip")


def sign() -> str:
    """
    Return a subprotocol that asks for a diagnosis, good for a minute.

    It may be read and repeated by whoever sees it in a log: what it obtains is what
    the sender itself sent, and what proxies added to that. A dot separates its parts,
    since a colon may not stand in a subprotocol (RFC 6455, section 4.1).
    """
    return PREFIX + _signer().sign(secrets.token_urlsafe(12))


def is_signed(subprotocols: Iterable[str]) -> bool:
    """Whether one of the offered subprotocols is a question signed by this site."""
    # Only the first such: nobody but us offers any, and each costs a digest.
    question = next((one for one in subprotocols if one.startswith(PREFIX)), None)
    if question is None:
        return False
    try:
        _signer().unsign(question.removeprefix(PREFIX), max_age=MAX_AGE)
    except BadSignature:
        return False
    return True


def seen(
    scope: Scope, handshake: Handshake, site: Site, decision: Decision
) -> dict[str, Any]:
    """
    Return what the application saw of a handshake, as plain data.

    ``host`` is what origins are compared with, after ``USE_X_FORWARDED_HOST`` and
    ``USE_X_FORWARDED_PORT``. ``is_https`` is what the request itself said, whatever
    settings say of the site as a whole, and ``https_only`` what they do say.
    ``proxy_ssl_header`` names the header that the site trusts for it.
    """
    headers = handshake.headers
    trusted = site.proxy_ssl_header and site.proxy_ssl_header[0]
    told = {*_TOLD, trusted} if trusted else {*_TOLD}
    return {
        "path": handshake.path,
        "origin": handshake.origin,
        "host": _host(handshake, site),
        "host_header": _text(headers.get(b"host")),
        "scheme": handshake.scheme,
        "is_https": replace(site, https_only=False).is_https(handshake),
        "https_only": site.https_only,
        "proxy_ssl_header": _text(trusted),
        "forwarded": {
            _text(name): _text(value) if name in told else None
            for name, value in sorted(headers.items())
            if name in told or name in _NAMED or name.startswith(b"x-forwarded-")
        },
        "http_version": scope.get("http_version"),
        "denial_responses": DENIAL_EXTENSION in (scope.get("extensions") or {}),
        "allowed": decision.allowed,
        "reason": decision.reason,
    }


def _host(handshake: Handshake, site: Site) -> str:
    headers = handshake.headers
    host = headers.get(b"host", b"")
    if site.use_forwarded_host:
        host = headers.get(b"x-forwarded-host", host)
    if site.use_forwarded_port and (port := headers.get(b"x-forwarded-port")):
        host = re.sub(rb":[0-9]*$", b"", host) + b":" + port
    return host.decode("latin-1")


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _signer() -> TimestampSigner:
    return TimestampSigner(sep=".", salt="wsorigin.diagnosis")
