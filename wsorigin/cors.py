"""
The bridge to django-cors-headers: trusted origins that may also read over HTTP.

One way out of our policy, through that package's own signal. What it lists itself is
the sources' business.
"""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from .handshake import Handshake
from .refresh import current


def allows_cors(sender: Any = None, *, request: HttpRequest, **_: Any) -> bool:
    """
    Say whether an active row with *allow CORS* covers the origin of a request.

    django-cors-headers asks up to twice a request, on the event loop too, where the
    ORM cannot be used: the answer comes from memory, after at most a blink. Saying yes
    would switch CORS on for all paths, so ``CORS_URLS_REGEX`` is asked first.
    """
    origin = request.headers.get("origin")
    if not origin or not re.match(
        getattr(settings, "CORS_URLS_REGEX", r"^.*$"), request.path_info
    ):
        return False
    current.get()
    known = current.database
    if known is None:
        return False
    decision = known.cors.decide(Handshake(request.path_info, origin))
    # What any stranger can send, such as null, gets no session over HTTP either.
    session = getattr(settings, "CORS_ALLOW_CREDENTIALS", False)
    return decision.allowed and (decision.credentials or not session)


def connect() -> None:
    """Listen to django-cors-headers, where it is installed as an app."""
    from corsheaders.signals import check_request_enabled

    check_request_enabled.connect(allows_cors, dispatch_uid="wsorigin.cors")
