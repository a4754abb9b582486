"""
What the core says, in the reader's language.

The core knows no Django, so that its English sentences are themselves the keys of the
catalogues. Where they are put together is the core's business; tests compare the two.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

_REASONS: Final = (
    _("The page comes from this site itself."),
    _("The origin is listed."),
    _("A wildcard covers the origin."),
    _("A regular expression matches the whole origin."),
    _("DEBUG is on and the page comes from this machine."),
    _("WSORIGIN_ALLOW_ALL_ORIGINS is on."),
    _("A token vouches for a client that sends no origin."),
    _(
        "The handshake has no Origin header, so it does not come from a browser, "
        "or a proxy removed the header."
    ),
    _("The handshake has more than one Origin header."),
    _("The Origin header isn't a serialized origin."),
    _(
        "The origin is opaque ('null'): a sandboxed frame, a data: or file: page, "
        "or anybody who wants to look like one."
    ),
    _("No rule covers the origin."),
    _(
        "The page comes from the host that it connects to, but that host isn't in "
        "ALLOWED_HOSTS. DNS rebinding looks like this."
    ),
    _(
        "The browser says that another site started this, yet the Origin header "
        "names this site: a proxy rewrites it, which switches the check off."
    ),
    _("This endpoint asks for a token."),
    _("The token isn't one: it is cut, mistyped or made up."),
    _(
        "A token came in the URL, where it ends up in logs and histories. It belongs "
        "in the Authorization header or among the subprotocols."
    ),
    _("The handshake brought two different tokens."),
    _("There is no such token."),
    _("The token has expired."),
    _("The token was revoked."),
    _("The ticket was used already; each opens one socket."),
    _("The token belongs to another origin."),
    _("The token is for another audience."),
    _("The ticket belongs to another session, or to one that has ended."),
    _("The user whom the token stands for is deactivated."),
    _("Tokens cannot be checked at the moment. Try again in a few seconds."),
    _("The client offered none of the subprotocols that this endpoint speaks."),
    _(
        "The handshake arrived as an ordinary HTTP request: a proxy in front of this "
        "server does not pass the upgrade on."
    ),
)
_REMEDIES: Final = (
    _("If you trust it: manage.py wsorigin trust %(origin)s"),
    _(
        "If you mean it, add 'null' to WSORIGIN_ALLOWED_ORIGINS: "
        "anybody can send it, so it never gets the session."
    ),
    _(
        "A browser always sends one: look for a proxy that removes it. "
        "For other clients see WSORIGIN_MISSING_ORIGIN."
    ),
    _("If %(host)s is a name of this site, add it to ALLOWED_HOSTS."),
    _("Have the proxy pass the browser's Origin header on unchanged."),
    _("No browser sends that: look for a proxy or a client that makes it."),
    _("Have the client bring a token: manage.py wsorigin token mint"),
    _(
        "Have the client send it as Authorization: Bearer, or among the "
        "subprotocols. It may be in logs by now: revoke it."
    ),
    _("What is wrong with one: manage.py wsorigin token verify"),
    _("Have the client send one token."),
    _("Give the client another one: manage.py wsorigin token mint"),
    _("Have the client fetch a ticket for each connection."),
    _("A token is for the origins that it names, a ticket for its page's."),
    _("Have the client ask for the endpoint's own audience."),
    _("Have the page fetch its ticket in the session that it is in now."),
    _("Activate the user, or revoke the token."),
    _("The database has to answer before a token can be checked."),
    _("Have the proxy pass Upgrade and Connection on: wsorigin doctor"),
    _("Have the proxy pass one Origin header on, the browser's own."),
    _("Have the client offer one of the consumer's subprotocols."),
)
_PROBLEMS: Final = (
    _("it is empty"),
    _("it is longer than %(length)s characters"),
    _("it isn't a string"),
    _("it has a character outside ASCII"),
    _("it has a space or a control character"),
    _("it has space around it"),
    _("it has a comma in it"),
    _("it has a space in it"),
    _("it has a semicolon in it"),
    _("it has no scheme"),
    _("its scheme is a wildcard"),
    _("its scheme isn't one"),
    _("it has user info"),
    _("it has a percent sign"),
    _("it has a backslash"),
    _("it has a query"),
    _("it has a fragment"),
    _("it has a path"),
    _("it has no host"),
    _("its host isn't one"),
    _("its host has an empty label"),
    _("its host is longer than 253 characters"),
    _("its host ends in a number but isn't an IPv4 address"),
    _("its host isn't an internationalised name: %(error)s"),
    _("%(host)s isn't a host name"),
    _("its IPv6 address isn't one"),
    _("its IPv6 address isn't in canonical form"),
    _("its port isn't one"),
    _("its port has a leading zero"),
    _("port %(port)s is above 65535"),
    _("%(port)s isn't a port"),
    _("'*' isn't a pattern"),
    _("a wildcard works with http and https, not with %(scheme)s"),
    _("it has two wildcards"),
    _("its wildcard covers every host"),
    _("its wildcard isn't in the left-most label"),
    _("an address has no subdomains"),
    _("%(label)s isn't a label with one '*'"),
    _("no label is long enough for it"),
    _("anybody can have a name below %(name)s, which is a public suffix"),
    _("this list knows no such pattern, so it matches nothing over HTTP"),
    _("it isn't a regular expression: %(error)s"),
    _("it is a regular expression over bytes"),
)
_CURES: Final = (
    _("Write it in quotes."),
    _("Write %(text)s."),
    _("Write two entries, %(first)s and %(second)s."),
    _("Start with 'https://'."),
    _(
        "Remove it. Splitting an empty environment variable gives ['']; "
        "write [o for o in value.split(',') if o]."
    ),
    _("Set WSORIGIN_ALLOW_ALL_ORIGINS = True instead."),
    _("Write one origin per entry."),
    _("Pages from file:// send the origin 'null'."),
    _("Name the host, as in %(text)s."),
    _("Write it as in '[2001:db8::1]'."),
    _("A port is 1 to 65535, or '*' for any, after a colon."),
    _("Ports end there."),
    _("Write four numbers from 0 to 255, without leading zeros."),
    _("Letters, digits, hyphens and dots; no empty part, none over 63 long."),
    _("Write it as the address bar's copy gives it, with 'xn--' labels."),
    _("Write the exact host, for an extension its id."),
    _("One '*', in the left-most label."),
    _("Write %(text)s, with a name of yours."),
    _("Move the '*' to the start, or write one entry per name."),
    _("Write the address alone."),
    _("Around the '*': ASCII letters, digits and hyphens."),
    _("A label has at most 63 characters."),
    _("Name yours: %(first)s."),
    _("Name yours: %(first)s or %(second)s."),
    _("List it in WSORIGIN_ALLOWED_ORIGINS, if its sockets are to open."),
)
_CHANGES: Final = (
    _("read as two rules, the apex and its subdomains"),
    _("the trailing slash removed"),
    _("the Unicode name written as ASCII"),
    _("upper case lowered"),
    _("the default port removed"),
    _("the IPv6 address compressed"),
)
_DIFFERENCES: Final = (
    _("does not cover this name below it"),
    _("only begins alike: the name goes on with .%(rest)s"),
    _("differs in the first part of the name"),
    _("covers names below it, not the name itself"),
    _("covers some names below it, not the name itself"),
    _("is for the audience %(audience)s only"),
    _("differs only in %(parts)s"),
    _("the scheme (%(scheme)s)"),
    _("the port (the default)"),
    _("the port (%(port)s)"),
    _("the audience (%(audience)s)"),
)
_COMPARISONS: Final = (
    _("no"),
    _("anonymous"),
    _("session"),
    _("CORS lets all origins read; for sockets see wsorigin.W004."),
    _("An operator trusts it (%(row)s)."),
    _("It posts forms and reads nothing, so no socket: that agrees."),
    _("CORS matches it over HTTP, but its sockets are refused."),
    _("CORS lets it read over HTTP, but its sockets are refused."),
    _("CORS gives it the session over HTTP, but its sockets get none."),
    _("It opens sockets, but CORS does not match it over HTTP."),
    _("It opens sockets, but CORS refuses it over HTTP."),
    _("Its sockets get the session, which CORS denies it over HTTP."),
    _("It is this site, but its own pages get no session."),
    _("It is this site, but its own pages are refused."),
    _("It reads with the session, but its posts fail the CSRF check."),
    _("Each host's pages open sockets on the others, which CORS refuses."),
)
_ROUTES: Final = (
    _("No WebSocket route leads to %(path)s. Routes: %(routes)s"),
    _("No WebSocket route leads to %(path)s. ASGI_APPLICATION has none."),
)
WORDS: Final = frozenset(
    _REASONS
    + _REMEDIES
    + _PROBLEMS
    + _CURES
    + _CHANGES
    + _DIFFERENCES
    + _COMPARISONS
    + _ROUTES
)
# Between the parts of a text that has several.
_AND: Final = _("and")


def translated(text: str) -> str:
    """Return a text of the core's in the reader's language; one of others as it is."""
    found = recognised(text)
    if found is None:
        return text
    template, values = found
    if "parts" in values:
        parts = map(translated, values["parts"].split(f" {_AND} "))
        values["parts"] = f" {gettext(_AND)} ".join(parts)
    return gettext(template) % values if values else gettext(template)


def recognised(text: str) -> tuple[str, dict[str, str]] | None:
    """Return which of the `WORDS` a text is, with what it fills in; None for another."""
    if text in WORDS:
        return text, {}
    for template, shape in _shapes():
        if found := shape.fullmatch(text):
            return template, found.groupdict()
    return None


@cache
def _shapes() -> list[tuple[str, re.Pattern[str]]]:
    """Return the templates with what they look like filled in, the closest first."""
    shapes = []
    for template in sorted(WORDS, key=len, reverse=True):
        if "%(" in template:
            shape = re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", re.escape(template))
            shapes.append((template, re.compile(shape, re.DOTALL)))
    return shapes
