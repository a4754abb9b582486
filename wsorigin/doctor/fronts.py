"""
Which proxy is in front, as far as answers tell.

Some sign each answer; the others give themselves away when they are asked something
that they refuse themselves.
"""

from __future__ import annotations

import re
from typing import Final

from .answer import Answer
from .client import Client

PROXIES: Final = ("nginx", "apache", "haproxy", "caddy", "alb", "cloudflare")

# No proxy passes on a header line without a colon, and each answers in its own words.
_NONSENSE: Final = "GET / HTTP/1.1\r\nHost: {}\r\nno header\r\n\r\n"

# How they sign: in a header of any answer, or in pages of their own making. An answer
# through several is the outermost one's, so that those of clouds come first.
_BY_SERVER: Final = {
    "cloudflare": r"cloudflare",
    "alb": r"awselb",
    "caddy": r"caddy",
    "nginx": r"nginx|openresty",
    "apache": r"apache",
}
_BY_PAGE: Final = {
    "alb": r"<center>awselb",
    "nginx": r"<center>(nginx|openresty)",
    "apache": r"<title>\d+ [^<]+</title>\n</head><body>\n<h1>",
    "haproxy": r"^<html><body><h1>\d+ [^<]+</h1>\n[A-Z][^<]+\n</body></html>",
}


def front_of(client: Client, *answers: Answer) -> str:
    """Return the name of the proxy in front of a target, empty where it is not known."""
    for answer in answers:
        if name := signed_by(answer):
            return name
    nonsense = _NONSENSE.format(client.target.host_header)
    return signed_by(client.send(nonsense.encode()))


def signed_by(answer: Answer) -> str:
    """Return the name of the proxy that an answer came from, or through."""
    if answer.get("cf-ray"):
        return "cloudflare"
    server = answer.get("server")
    for name, sign in _BY_SERVER.items():
        if re.search(sign, server, re.IGNORECASE):
            return name
    return made_by(answer)


def made_by(answer: Answer) -> str:
    """Return the name of the proxy that wrote the page which is the answer's body."""
    for name, sign in _BY_PAGE.items():
        if re.search(sign, answer.body):
            return name
    return ""


def server_of(answer: Answer) -> str:
    """Return the name of the application server that an answer came from, if it says."""
    names = r"daphne|uvicorn|hypercorn|granian|gunicorn|wsgiserver"
    found = re.search(names, answer.get("server"), re.IGNORECASE)
    return found[0].lower() if found else ""
