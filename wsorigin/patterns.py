"""
Patterns of origins: one forgiving grammar for settings, consumers, admin and commands.

Reading a pattern is here; what browsers send is read in origins, and deciding is the
policy's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from .origins import (
    DEFAULT_PORTS,
    HOST,
    IPV4,
    IPV6_REMEDY,
    MAX_LENGTH,
    PORT,
    SCHEME,
    InvalidOrigin,
    Origin,
    canonical_ipv6,
    check_ipv4,
    is_loopback,
    read_port,
)

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PORT_REMEDY: Final = "A port is 1 to 65535, or '*' for any, after a colon."
_LABEL_WILDCARD = re.compile(r"([a-z0-9_-]*)\*([a-z0-9_-]*)")


class PatternKind(StrEnum):
    """The shapes a pattern can have; see the grammar in the settings reference."""

    EXACT = "exact"
    SUBDOMAINS = "subdomains"
    APEX_AND_SUBDOMAINS = "apex-and-subdomains"
    LABEL = "label"
    ANY_EXTENSION = "any-extension"
    NULL = "null"
    ALL = "all"
    REGEX = "regex"


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """
    A pattern of origins, in normal form; ``str()`` gives its canonical text.

    ``host`` is the host without its wildcard. ``before`` and ``after`` are what
    stands around the ``*`` of a wildcard inside the left-most label. ``port`` is
    None for the default port, ``"*"`` for any.
    """

    kind: PatternKind
    scheme: str = ""
    host: str = ""
    port: int | Literal["*"] | None = None
    before: str = ""
    after: str = ""
    regex: re.Pattern[str] | None = None

    @classmethod
    def parse(cls, text: str) -> OriginPattern:
        """
        Read one pattern as people write it, forgivingly.

        Upper case, a default port, a trailing slash, Unicode host names (UTS 46)
        and uncompressed IPv6 addresses are normalised; `normalisations` says which.

        Raises InvalidOrigin with the problem and the remedy for everything else.
        """
        return _PatternParser(text).parse()

    @classmethod
    def for_regex(cls, source: str | re.Pattern[str]) -> OriginPattern:
        """
        Wrap a regular expression, to be matched against the whole normalised origin.

        Raises InvalidOrigin where it does not compile or matches bytes.
        """
        return cls(PatternKind.REGEX, regex=compiled(source))

    def expand(self) -> tuple[OriginPattern, ...]:
        """Return the apex and the wildcard for the dot form, else just this one."""
        if self.kind is not PatternKind.APEX_AND_SUBDOMAINS:
            return (self,)
        place = (self.scheme, self.host, self.port)
        return (
            OriginPattern(PatternKind.EXACT, *place),
            OriginPattern(PatternKind.SUBDOMAINS, *place),
        )

    def example(self) -> Origin | None:
        """Return an origin that this pattern matches, or None if it has no tuple."""
        port = None if self.port == "*" else self.port
        match self.kind:
            case PatternKind.EXACT | PatternKind.APEX_AND_SUBDOMAINS:
                return Origin(self.scheme, self.host, port)
            case PatternKind.SUBDOMAINS:
                return Origin(self.scheme, f"subdomain.{self.host}", port)
            case PatternKind.LABEL:
                label = f"{self.before}x{self.after}"
                return Origin(self.scheme, f"{label}.{self.host}", port)
            case PatternKind.ANY_EXTENSION:
                return Origin(self.scheme, "00000000-0000-4000-8000-000000000000")
        return None

    @property
    def is_cleartext(self) -> bool:
        """Whether pages over http:// match that are not on this very machine."""
        return self.scheme in {"http", "ws"} and not is_loopback(self.host)

    def __str__(self) -> str:
        match self.kind:
            case PatternKind.NULL:
                return "null"
            case PatternKind.ALL:
                return "*"
            case PatternKind.REGEX:
                return f"re:{self.regex.pattern}" if self.regex else "re:"
            case PatternKind.ANY_EXTENSION:
                return f"{self.scheme}://*"
            case PatternKind.SUBDOMAINS:
                host = f"*.{self.host}"
            case PatternKind.APEX_AND_SUBDOMAINS:
                host = f".{self.host}"
            case PatternKind.LABEL:
                host = f"{self.before}*{self.after}.{self.host}"
            case _:
                host = self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def compiled(source: str | re.Pattern[str]) -> re.Pattern[str]:
    """Compile a regular expression of the settings; raises InvalidOrigin for none."""
    try:
        regex = re.compile(source)
    except (re.error, TypeError, OverflowError, RecursionError) as exc:
        problem = f"it isn't a regular expression: {exc}"
        raise InvalidOrigin(source, problem) from exc
    if not isinstance(regex.pattern, str):
        raise InvalidOrigin(source, "it is a regular expression over bytes")
    return regex


ALL_ORIGINS: Final = OriginPattern(PatternKind.ALL)


def normalisations(text: str, pattern: OriginPattern) -> list[str]:
    """Say, in clauses, what `OriginPattern.parse` changed to get from text to pattern."""
    if pattern.kind in {PatternKind.NULL, PatternKind.ALL, PatternKind.REGEX}:
        return []
    changes = []
    if pattern.kind is PatternKind.APEX_AND_SUBDOMAINS:
        changes.append("read as two rules, the apex and its subdomains")
    if text.endswith("/"):
        changes.append("the trailing slash removed")
    bare = text.removesuffix("/")
    if not bare.isascii():
        changes.append("the Unicode name written as ASCII")
    elif bare != bare.lower():
        changes.append("upper case lowered")
    default = DEFAULT_PORTS.get(pattern.scheme)
    if default and pattern.port is None and bare.endswith(f":{default}"):
        changes.append("the default port removed")
    if "[" in bare and pattern.host not in bare.lower():
        changes.append("the IPv6 address compressed")
    return changes


def is_extension_id(host: str) -> bool:
    """Whether a host is a well-formed UUID, as Firefox gives each installation one."""
    return _UUID.fullmatch(host) is not None


class _PatternParser:
    """One run of the forgiving parser, so that each refusal can show the whole text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def refuse(self, problem: str, remedy: str = "") -> InvalidOrigin:
        return InvalidOrigin(self.text, problem, remedy)

    def parse(self) -> OriginPattern:
        text = self.text
        if not isinstance(text, str):
            raise self.refuse("it isn't a string", "Write it in quotes.")
        if text == "null":
            return OriginPattern(PatternKind.NULL)
        self.check_spelling()
        scheme, separator, rest = text.partition("://")
        if not separator:
            name = text.lstrip("/") or "example.com"
            raise self.refuse("it has no scheme", f"Write 'https://{name}'.")
        if scheme == "*":
            raise self.refuse(
                "its scheme is a wildcard",
                f"Write two entries, 'https://{rest}' and 'http://{rest}'.",
            )
        if not (scheme.isascii() and re.fullmatch(SCHEME, scheme.lower())):
            raise self.refuse("its scheme isn't one", "Start with 'https://'.")
        scheme = scheme.lower()
        host, port = self.split_authority(scheme, rest.removesuffix("/"))
        if "*" in host or host.startswith("."):
            return self.wildcard(scheme, host, port)
        return OriginPattern(PatternKind.EXACT, scheme, self.host(scheme, host), port)

    def check_spelling(self) -> None:
        text = self.text
        if not text:
            raise self.refuse(
                "it is empty",
                "Remove it. Splitting an empty environment variable gives ['']; "
                "write [o for o in value.split(',') if o].",
            )
        if text == "*":
            raise self.refuse(
                "'*' isn't a pattern", "Set WSORIGIN_ALLOW_ALL_ORIGINS = True instead."
            )
        if len(text) > MAX_LENGTH:
            raise self.refuse(f"it is longer than {MAX_LENGTH} characters")
        if text.strip() != text:
            raise self.refuse("it has space around it", f"Write {text.strip()!r}.")
        for mark, name in ((",", "a comma"), (" ", "a space"), (";", "a semicolon")):
            if mark in text:
                raise self.refuse(f"it has {name} in it", "Write one origin per entry.")

    def split_authority(
        self, scheme: str, rest: str
    ) -> tuple[str, int | Literal["*"] | None]:
        if "@" in rest:
            bare = re.split(r"[/?#]", rest.rpartition("@")[2])[0]
            raise self.refuse("it has user info", f"Write '{scheme}://{bare}'.")
        if rest[:1] in {"", "/", "?", "#", ":"}:
            raise self.refuse(
                "it has no host",
                "Pages from file:// send the origin 'null'."
                if scheme == "file"
                else f"Name the host, as in '{scheme}://example.com'.",
            )
        for mark, part in (("?", "a query"), ("#", "a fragment"), ("/", "a path")):
            if mark in rest:
                bare = re.split(r"[/?#]", rest)[0]
                raise self.refuse(f"it has {part}", f"Write '{scheme}://{bare}'.")
        if "[" in rest and "]" not in rest:
            raise self.refuse("its IPv6 address isn't one", IPV6_REMEDY)
        # A colon within the brackets belongs to the address.
        address, bracket, tail = rest.rpartition("]")
        name, colon, digits = tail.partition(":")
        if bracket and name:
            raise self.refuse(f"{tail!r} isn't a port", _PORT_REMEDY)
        host = address + bracket + name
        if not colon:
            return host, None
        if digits == "*":
            return host, "*"
        if not re.fullmatch(PORT, digits):
            raise self.refuse(f"{digits!r} isn't a port", _PORT_REMEDY)
        port = read_port(self.text, digits)
        return host, None if DEFAULT_PORTS.get(scheme) == port else port

    def host(self, scheme: str, written: str) -> str:
        """Normalise a host name, or an address."""
        host = self.to_ascii(written).lower()
        if host.startswith("["):
            return canonical_ipv6(self.text, host)
        if not re.fullmatch(HOST, host) or len(host.removesuffix(".")) > 253:
            raise self.refuse(
                f"{written!r} isn't a host name",
                "Letters, digits, hyphens and dots; no empty part, none over 63 long.",
            )
        if scheme in DEFAULT_PORTS:
            check_ipv4(self.text, host)
        return host

    def to_ascii(self, host: str) -> str:
        """Write U-labels as A-labels (UTS 46, non-transitional, as browsers do)."""
        if host.isascii():
            return host
        import idna  # 30 ms of tables, for configuration only

        try:
            mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
            return ".".join(
                label if label.isascii() else idna.alabel(label).decode()
                for label in mapped.split(".")
            )
        except idna.IDNAError as exc:
            raise self.refuse(
                f"its host isn't an internationalised name: {exc}",
                "Write it as the address bar's copy gives it, with 'xn--' labels.",
            ) from exc

    def wildcard(
        self, scheme: str, host: str, port: int | Literal["*"] | None
    ) -> OriginPattern:
        if scheme == "moz-extension" and host == "*" and port is None:
            return OriginPattern(PatternKind.ANY_EXTENSION, scheme)
        if scheme not in DEFAULT_PORTS:
            raise self.refuse(
                f"a wildcard works with http and https, not with {scheme}",
                "Write the exact host, for an extension its id.",
            )
        if host.count("*") > 1 or (host.startswith(".") and "*" in host):
            raise self.refuse(
                "it has two wildcards", "One '*', in the left-most label."
            )
        label, _, parent = host.partition(".")
        if not parent:
            raise self.refuse(
                "its wildcard covers every host",
                f"Write '{scheme}://*.example.com', with a name of yours.",
            )
        if "*" in parent:
            raise self.refuse(
                "its wildcard isn't in the left-most label",
                "Move the '*' to the start, or write one entry per name.",
            )
        parent = self.host(scheme, parent)
        if parent.startswith("[") or IPV4.fullmatch(parent):
            raise self.refuse(
                "an address has no subdomains", "Write the address alone."
            )
        if label in {"*", ""}:
            self.check_not_shared(scheme, parent, only_icann=False)
            kind = PatternKind.SUBDOMAINS if label else PatternKind.APEX_AND_SUBDOMAINS
            return OriginPattern(kind, scheme, parent, port)
        match = _LABEL_WILDCARD.fullmatch(label.lower())
        if match is None:
            raise self.refuse(
                f"{label!r} isn't a label with one '*'",
                "Around the '*': ASCII letters, digits and hyphens.",
            )
        # Below a registry's suffix (com, co.uk) anybody can register the other
        # half. Below a hosting company's (vercel.app) that is the use this form
        # was made for.
        self.check_not_shared(scheme, parent, only_icann=True)
        before, after = match.groups()
        if len(before) + len(after) > 62:
            raise self.refuse(
                "no label is long enough for it", "A label has at most 63 characters."
            )
        return OriginPattern(PatternKind.LABEL, scheme, parent, port, before, after)

    def check_not_shared(self, scheme: str, parent: str, *, only_icann: bool) -> None:
        """Refuse a wildcard over a public suffix: strangers register names below it."""
        suffixes = public_suffixes(only_icann=only_icann)
        name = parent.removesuffix(".")
        # The second name is for suffixes that the list writes as a wildcard:
        # below kawasaki.jp each name is a public suffix.
        if suffixes.is_public(name) or suffixes.is_public(f"wsorigin-probe.{name}"):
            raise self.refuse(
                f"anybody can have a name below {name}, which is a public suffix",
                f"Name yours: '{scheme}://*.yours.{name}'"
                + (
                    "."
                    if only_icann or public_suffixes(only_icann=True).is_public(name)
                    else f" or '{scheme}://*-yours.{name}'."
                ),
            )


@lru_cache(maxsize=2)
def public_suffixes(*, only_icann: bool) -> PublicSuffixList:
    """Return the list of known public suffixes; unknown ones (corp) are not on it."""
    from publicsuffixlist import PublicSuffixList  # 40 ms, for configuration only

    return PublicSuffixList(accept_unknown=False, only_icann=only_icann)
