"""
Where rules come from: our own settings, and the lists that the project has for HTTP.

Each source reads one list. An entry that cannot be read is a problem for the system
checks and trusts nobody. Trusted origins in the database are read by `wsorigin.database`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings

from .conf import as_entries, conf
from .origins import InvalidOrigin
from .patterns import ALL_ORIGINS, OriginPattern, PatternKind
from .reasons import Reason
from .rules import Rule
from .site import Site

LOOPBACK_HOSTS: Final = ("localhost", "*.localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Problem:
    """An entry of a list that trusts nobody, because it cannot be read."""

    source: str
    error: InvalidOrigin


@dataclass(slots=True)
class Rules:
    """What collecting gave: rules in the order of their sources, and problems."""

    rules: list[Rule] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def read(
        self,
        source: str,
        entry: Any,
        parse: Callable[[Any], OriginPattern] = OriginPattern.parse,
        *,
        credentials: bool = True,
        audience: str = "",
        reason: Reason = Reason.LISTED,
    ) -> None:
        """Read one entry of a list into a rule, or into a problem."""
        try:
            pattern = parse(entry)
        except InvalidOrigin as error:
            self.problems.append(Problem(source, error))
        else:
            self.rules.append(Rule(pattern, source, credentials, audience, reason))

    def take(self) -> list[Rule]:
        """Return the rules read so far, and forget them."""
        taken, self.rules = self.rules, []
        return taken

    def read_list(self, name: str, entries: Iterable[Any], **how: Any) -> None:
        """Read a whole list; each rule's source is the list's name and the index."""
        for index, entry in enumerate(entries):
            self.read(f"{name}[{index}]", entry, **how)


def collect(names: Iterable[str] | None = None) -> Rules:
    """
    Collect the rules of the site: its own settings, and the inherited lists.

    ``names`` replaces ``WSORIGIN_INHERIT``, for those who want to know what one
    list alone would allow; own settings are then left out.
    """
    found = Rules()
    if names is None:
        names = conf.WSORIGIN_INHERIT
        from_settings(found)
    names = list(names)
    for name, read in INHERITABLE.items():
        if name in names:
            read(found)
    return found


def from_settings(found: Rules) -> None:
    """Read ``WSORIGIN_ALLOWED_ORIGINS`` and its companions."""
    found.read_list("WSORIGIN_ALLOWED_ORIGINS", conf.WSORIGIN_ALLOWED_ORIGINS)
    found.read_list(
        "WSORIGIN_ALLOWED_ORIGIN_REGEXES",
        conf.WSORIGIN_ALLOWED_ORIGIN_REGEXES,
        parse=OriginPattern.for_regex,
    )
    if conf.WSORIGIN_ALLOW_ALL_ORIGINS:
        found.rules.append(Rule(ALL_ORIGINS, "WSORIGIN_ALLOW_ALL_ORIGINS"))


def from_cors(found: Rules) -> None:
    """
    Read the lists of django-cors-headers, under their old names too.

    Over a socket an origin gets the session only where CORS gives it: with
    ``CORS_ALLOW_CREDENTIALS``. Neither "all origins" nor ``null`` is inherited.
    Regular expressions have to match in full here, where corsheaders only asks for
    the start (``re.match``).
    """
    credentials = getattr(settings, "CORS_ALLOW_CREDENTIALS", False) is True
    name, entries = cors_origins()
    for index, entry in enumerate(entries):
        if entry not in ("null", "file://"):
            found.read(
                f"{name}[{index}]", entry, parse=parse_exact, credentials=credentials
            )
    name, entries = cors_regexes()
    found.read_list(
        name, entries, parse=OriginPattern.for_regex, credentials=credentials
    )


def from_csrf(found: Rules) -> None:
    """Read ``CSRF_TRUSTED_ORIGINS``, where ``*.`` includes the apex, as in Django."""
    name, entries = django_list("CSRF_TRUSTED_ORIGINS")
    for index, entry in enumerate(entries):
        if isinstance(entry, str) and "://*." in entry:
            found.read(f"{name}[{index}]", entry.replace("://*.", "://.", 1))
        else:
            found.read(f"{name}[{index}]", entry, parse=parse_exact)


def from_hosts(found: Rules) -> None:
    """
    Read ``ALLOWED_HOSTS`` as origins on the default port; ``"*"`` is not inherited.

    Over https, and over http only where no setting says that the site is https.
    """
    schemes = ["https"] if https_only() else ["https", "http"]
    name, entries = django_list("ALLOWED_HOSTS")
    for index, host in enumerate(entries):
        for scheme in schemes if host != "*" else []:
            source = f"{name}[{index}]"
            if isinstance(host, str) and host.startswith("."):
                found.read(source, f"{scheme}://{host}")
            elif isinstance(host, str):
                found.read(source, f"{scheme}://{host}", parse=parse_exact)
            else:
                found.read(source, host)


def parse_exact(text: str) -> OriginPattern:
    """
    Read an entry of a list that knows no wildcards.

    To django-cors-headers a ``*`` is a character like others, so that inheriting it as
    a wildcard would grant over sockets what the list does not grant over HTTP.

    Raises InvalidOrigin for anything but one exact origin.
    """
    pattern = OriginPattern.parse(text)
    if pattern.kind is not PatternKind.EXACT or pattern.port == "*":
        raise InvalidOrigin(
            text,
            "this list knows no such pattern, so it matches nothing over HTTP",
            "List it in WSORIGIN_ALLOWED_ORIGINS, if its sockets are to open.",
        )
    return pattern


def from_debug(found: Rules) -> None:
    """Allow this machine's own pages on any port, while ``DEBUG`` is on."""
    if settings.DEBUG is True:
        for host in LOOPBACK_HOSTS:
            for scheme in ("http", "https"):
                found.read(
                    "DEBUG", f"{scheme}://{host}:*", reason=Reason.DEBUG_LOOPBACK
                )


INHERITABLE: Final[dict[str, Callable[[Rules], None]]] = {
    "cors": from_cors,
    "csrf": from_csrf,
    "hosts": from_hosts,
    "debug": from_debug,
}


def django_list(*names: str) -> tuple[str, list[Any]]:
    """Return the first of these settings that exists, with its name and its entries."""
    for name in names:
        if hasattr(settings, name):
            value = getattr(settings, name)
            return name, list(as_entries(value))
    return names[0], []


def cors_origins() -> tuple[str, list[Any]]:
    """Return the origins that CORS lists, with the name of that setting."""
    return django_list("CORS_ALLOWED_ORIGINS", "CORS_ORIGIN_WHITELIST")


def cors_regexes() -> tuple[str, list[Any]]:
    """Return the regular expressions of CORS, with the name of that setting."""
    return django_list("CORS_ALLOWED_ORIGIN_REGEXES", "CORS_ORIGIN_REGEX_WHITELIST")


def cors_all_origins() -> str:
    """Return the setting by which CORS lets every origin read; empty: none does."""
    # The old name counts only where the new one is absent, as in django-cors-headers.
    for name in ("CORS_ALLOW_ALL_ORIGINS", "CORS_ORIGIN_ALLOW_ALL"):
        if hasattr(settings, name):
            return name if getattr(settings, name) else ""
    return ""


def https_only() -> bool:
    """Whether a setting says that the site is never served over http."""
    return bool(settings.SECURE_SSL_REDIRECT or settings.SESSION_COOKIE_SECURE)


def current_site() -> Site:
    """Return what Django's settings say about the site itself."""
    hosts = django_list("ALLOWED_HOSTS")[1]
    if settings.DEBUG and not hosts:
        hosts = [".localhost", "127.0.0.1", "[::1]"]  # as Django's get_host()
    proxy_ssl_header = None
    match settings.SECURE_PROXY_SSL_HEADER:
        case (str(name), str(secure)):
            proxy_ssl_header = (_scope_name(name), secure)
    return Site(
        allowed_hosts=tuple(sorted({str(host).lower() for host in hosts})),
        # Meant to say https, yet unreadable: stricter, as for every wrong setting.
        https_only=https_only()
        or bool(settings.SECURE_PROXY_SSL_HEADER and not proxy_ssl_header),
        proxy_ssl_header=proxy_ssl_header,
        use_forwarded_host=settings.USE_X_FORWARDED_HOST,
        use_forwarded_port=settings.USE_X_FORWARDED_PORT,
    )


def _scope_name(meta_name: str) -> bytes:
    """Translate ``HTTP_X_FORWARDED_PROTO`` to the name in an ASGI scope."""
    name = meta_name.removeprefix("HTTP_").replace("_", "-").lower()
    return name.encode(errors="replace")
