"""
Reconciliation: what each origin may do over HTTP, beside what it may do over a socket.

One row per origin that any list names, and the settings that make the lists agree.
HTTP is the reference: the proposal never trusts an origin over a WebSocket beyond
what CORS grants it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings

from .conf import conf
from .handshake import Handshake
from .origins import InvalidOrigin, Origin
from .patterns import ALL_ORIGINS, OriginPattern, PatternKind
from .policy import Decision, Explanation, Policy, Rule
from .refresh import current
from .sources import Rules, collect, current_site, django_list, from_settings

# A host that is nobody's, for handshakes that are not same-origin (RFC 2606).
_ELSEWHERE: Final = b"elsewhere.invalid"


@dataclass(frozen=True, slots=True)
class Row:
    """
    One origin or pattern, and what each list lets it do.

    ``cors``: read over HTTP; ``credentials``: with the session; ``csrf``: post forms;
    ``host``: it is the site itself; ``websocket``: ``"no"``, ``"anonymous"`` or
    ``"session"``. ``disagreement`` says what does not fit together, ``note`` what
    differs for a good reason.
    """

    origin: str
    cors: bool
    credentials: bool
    csrf: bool
    host: bool
    websocket: str
    disagreement: str = ""
    note: str = ""


@dataclass(slots=True)
class Proposal:
    """Changed settings, and why each entry changes."""

    values: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def entries(self, name: str, current: Iterable[Any]) -> list[Any]:
        """Return the list to change, a copy of the current one at first."""
        entries: list[Any] = self.values.setdefault(name, list(current))
        return entries

    def because(self, name: str, reason: str) -> None:
        """Give a reason for a change, once."""
        reasons = self.reasons.setdefault(name, [])
        if reason not in reasons:
            reasons.append(reason)

    def __str__(self) -> str:
        """Python source to paste into the settings."""
        blocks = []
        for name, reasons in self.reasons.items():
            lines = [f"# {reason}" for reason in reasons]
            value = self.values[name]
            if isinstance(value, list) and value:
                entries = [f"    {entry!r}," for entry in value]
                lines += [f"{name} = [", *entries, "]"]
            else:
                lines.append(f"{name} = {value!r}")
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """All rows, and the settings that would make the lists agree."""

    rows: tuple[Row, ...]
    proposal: Proposal

    @property
    def disagreements(self) -> tuple[Row, ...]:
        """The rows whose lists do not agree."""
        return tuple(row for row in self.rows if row.disagreement)


def reconcile(*, database: bool = False) -> Reconciliation:
    """
    Compare the project's lists as they are now.

    ``database`` counts the trusted origins in too. System checks leave them out, since
    they may run where there is no database.
    """
    return _Reconciler(database=database).run()


class _Reconciler:
    """One comparison: four policies, each made of one list, asked the same questions."""

    def __init__(self, *, database: bool) -> None:
        self.inherit = list(conf.WSORIGIN_INHERIT)
        rows, rows_with_cors = self.trusted_origins() if database else ((), ())
        # Without CORS the project lets no other origin read over HTTP at all, and a
        # list for sockets alone disagrees with nothing.
        self.uses_cors = "corsheaders" in settings.INSTALLED_APPS or any(
            name.startswith(("CORS_ALLOW", "CORS_ORIGIN")) for name in dir(settings)
        )
        listed = [*collect(["cors"]).rules, *cors_for_all()]
        self.cors = Policy([*listed, *rows_with_cors])
        self.csrf = Policy(collect(["csrf"]).rules)
        self.hosts = Policy(collect(["hosts"]).rules)
        # Without "debug": its rules are this machine's own and end with DEBUG.
        own = Rules()
        from_settings(own)
        inherited = collect(name for name in self.inherit if name != "debug")
        self.websocket = Policy(
            [*own.rules, *inherited.rules, *rows],
            site=current_site(),
            same_origin="same-origin" in self.inherit,
        )
        self.proposal = Proposal()

    def trusted_origins(self) -> tuple[Iterable[Rule], Iterable[Rule]]:
        """Return the rules of the database, and those of them that pass CORS too."""
        current.get()
        known = current.database if "database" in self.inherit else None
        if known is None:
            return (), ()
        # Compared for the endpoints that they are for; and over HTTP they get the
        # session only as everybody does there.
        session = getattr(settings, "CORS_ALLOW_CREDENTIALS", False) is True
        rows = [rule.replace(audience="") for rule in known.policy.rules]
        return rows, [rule.replace(credentials=session) for rule in known.cors.rules]

    def run(self) -> Reconciliation:
        patterns: dict[str, OriginPattern] = {}
        for policy in (self.cors, self.csrf, self.websocket, self.hosts):
            for rule in policy.rules:
                # Of the site's own hosts only https: the plain twin tells nothing new.
                if policy is not self.hosts or rule.pattern.scheme == "https":
                    patterns.setdefault(str(rule.pattern), rule.pattern)
        rows = tuple(self.row(pattern) for pattern in patterns.values())
        return Reconciliation(rows, self.proposal)

    def row(self, pattern: OriginPattern) -> Row:
        origin = pattern.example()
        if origin is None or pattern.kind is PatternKind.ANY_EXTENSION:
            return self.row_by_text(pattern)
        cors = self.cors.decide(handshake(origin))
        csrf = self.csrf.decide(handshake(origin))
        host = self.hosts.decide(handshake(origin))
        abroad = self.websocket.explain(handshake(origin))
        at_home = self.websocket.decide(handshake(origin, at_home=True))
        websocket = at_home if host else abroad.decision
        disagreement, note = self.judge(pattern, cors, csrf, host, abroad, at_home)
        return Row(
            str(pattern),
            bool(cors),
            cors.credentials,
            bool(csrf),
            bool(host),
            grade(websocket),
            disagreement,
            note,
        )

    def row_by_text(self, pattern: OriginPattern) -> Row:
        """Compare what has no example (regular expressions, null) by its text alone."""
        text = str(pattern)
        note = ""
        cors = [rule for rule in self.cors.rules if str(rule.pattern) == text]
        socket = [rule for rule in self.websocket.rules if str(rule.pattern) == text]
        session = any(rule.credentials for rule in socket)
        credentials = any(rule.credentials for rule in cors)
        disagreement = ""
        if cors and not socket and pattern.kind is PatternKind.ALL:
            note = "CORS lets all origins read; for sockets see wsorigin.W004."
        elif cors and not socket:
            disagreement = self.inherit_cors("CORS matches it over HTTP")
        elif socket and self.uses_cors and pattern.kind in _WITHOUT_EXAMPLE:
            if not cors:
                disagreement = self.drop(
                    socket, "It opens sockets, but CORS does not match it over HTTP."
                )
            elif session and not credentials:
                disagreement = self.drop(
                    [rule for rule in socket if rule.credentials],
                    "Its sockets get the session, which CORS denies it over HTTP.",
                )
        websocket = "session" if session else "anonymous" if socket else "no"
        return Row(
            text, bool(cors), credentials, False, False, websocket, disagreement, note
        )

    def judge(
        self,
        pattern: OriginPattern,
        cors: Decision,
        csrf: Decision,
        host: Decision,
        abroad: Explanation,
        at_home: Decision,
    ) -> tuple[str, str]:
        """Say what does not agree about an origin, and add its cure to the proposal."""
        rules = [*abroad.matches, *([cors.rule] if cors.rule else [])]
        if rules and all(map(is_row, rules)):
            # An operator's word, with switches of its own for the session and for CORS.
            return "", f"An operator trusts it ({rules[0].source})."
        found = []
        if host and not at_home.credentials:
            self.change_inherit(add="same-origin", reason=_OWN_PAGES)
            refused = "get no session" if at_home else "are refused"
            found.append(f"It is this site, but its own pages {refused}.")
        found.append(self.judge_sockets(cors, host, abroad))
        if cors.credentials and not csrf and not host and _fits_csrf(pattern):
            name, current = django_list("CSRF_TRUSTED_ORIGINS")
            self.proposal.entries(name, current).append(str(pattern))
            self.proposal.because(
                name,
                f"With {str(pattern)!r}: over CORS and over sockets it acts with the "
                "session already.",
            )
            found.append(
                "It reads with the session, but its posts fail the CSRF check."
            )
        note = ""
        if csrf and not (cors or host or abroad.decision):
            note = "It posts forms and reads nothing, so no socket: that agrees."
        return " ".join(filter(None, found)), note

    def judge_sockets(
        self, cors: Decision, host: Decision, explanation: Explanation
    ) -> str:
        """Say where sockets grant an origin less or more than CORS does."""
        abroad = explanation.decision
        matches = [rule for rule in explanation.matches if not is_row(rule)]
        if covers_all(cors.rule) or covers_all(abroad.rule):
            return ""  # the row for "*" says it once
        if cors and not abroad:
            return self.inherit_cors("CORS lets it read over HTTP")
        if cors.credentials and not abroad.credentials:
            self.change_inherit(add="cors", reason=_FOLLOW_CORS)
            return "CORS gives it the session over HTTP, but its sockets get none."
        if not matches or not self.uses_cors:
            return ""
        if cors and abroad.credentials and not cors.credentials:
            return self.drop(
                [rule for rule in matches if rule.credentials],
                "Its sockets get the session, which CORS denies it over HTTP.",
            )
        if cors:
            return ""
        if not host:
            return self.drop(
                matches, "It opens sockets, but CORS refuses it over HTTP."
            )
        inherited = [
            rule for rule in matches if rule.source.startswith("ALLOWED_HOSTS")
        ]
        if inherited and len(self.hosts.rules) > 2:
            return self.drop(
                inherited,
                "Each host's pages open sockets on the others, which CORS refuses.",
            )
        return ""

    def inherit_cors(self, what: str) -> str:
        self.change_inherit(add="cors", reason=_FOLLOW_CORS)
        return f"{what}, but its sockets are refused."

    def change_inherit(self, *, add: str = "", drop: str = "", reason: str) -> None:
        entries = self.proposal.entries("WSORIGIN_INHERIT", self.inherit)
        if add and add not in entries:
            entries.append(add)
        if drop in entries:
            entries.remove(drop)
        self.proposal.because("WSORIGIN_INHERIT", reason)

    def drop(self, rules: Iterable[Rule], disagreement: str) -> str:
        """Propose to trust what these rules cover no further than CORS does."""
        # They may be all that lets in the site's own pages, or pages that CORS knows.
        if "same-origin" not in self.inherit:
            self.change_inherit(add="same-origin", reason=_OWN_PAGES)
        if "cors" not in self.inherit:
            self.change_inherit(add="cors", reason=_FOLLOW_CORS)
        for rule in rules:
            name, _, index = rule.source.partition("[")
            if name == "WSORIGIN_ALLOW_ALL_ORIGINS":
                self.proposal.values[name] = False
                self.proposal.because(name, "CORS does not let all origins read.")
            elif name.startswith("WSORIGIN"):
                self.drop_entry(name, int(index.removesuffix("]")))
            else:
                self.change_inherit(
                    drop=_INHERITED_AS[name],
                    reason=f"{name} grants more over sockets than CORS over HTTP.",
                )
        return disagreement

    def drop_entry(self, name: str, index: int) -> None:
        """Propose a list of ours without one of its entries, wherever it stands."""
        current = list(getattr(conf, name))
        entry = current[index]
        entries = self.proposal.entries(name, current)
        entries[:] = [other for other in entries if other != entry]
        reason = f"Without {shown(entry)}: to keep it, list it in "
        reason += f"{name.replace('WSORIGIN', 'CORS')} instead"
        if not getattr(settings, "CORS_ALLOW_CREDENTIALS", False):
            reason += "; for the session also set CORS_ALLOW_CREDENTIALS = True"
        self.proposal.because(name, f"{reason}.")


_INHERITED_AS: Final = {"CSRF_TRUSTED_ORIGINS": "csrf", "ALLOWED_HOSTS": "hosts"}
_FOLLOW_CORS: Final = "What CORS grants, sockets grant."
_OWN_PAGES: Final = "The site's own pages connect."
_WITHOUT_EXAMPLE: Final = frozenset({PatternKind.REGEX, PatternKind.ALL})


def cors_for_all() -> list[Rule]:
    """Return a rule for ``CORS_ALLOW_ALL_ORIGINS``, which sockets never inherit."""
    name = next(
        (
            name
            for name in ("CORS_ALLOW_ALL_ORIGINS", "CORS_ORIGIN_ALLOW_ALL")
            if getattr(settings, name, False) is True
        ),
        None,
    )
    return [Rule(ALL_ORIGINS, name)] if name else []


def covers_all(rule: Rule | None) -> bool:
    """Whether a rule is the one for every origin."""
    return rule is not None and rule.pattern.kind is PatternKind.ALL


def is_row(rule: Rule) -> bool:
    """Whether a rule is a trusted origin in the database."""
    return rule.source.startswith("TrustedOrigin ")


def handshake(origin: Origin, *, at_home: bool = False) -> Handshake:
    """Make the handshake of a page, to its own host or to somebody else's."""
    host = str(origin).partition("://")[2].encode() if at_home else _ELSEWHERE
    return Handshake("/", str(origin), {b"host": host})


def grade(decision: Decision) -> str:
    """Say what a decision gives: ``"no"``, ``"anonymous"`` or ``"session"``."""
    if not decision:
        return "no"
    return "session" if decision.credentials else "anonymous"


def shown(entry: Any) -> str:
    """Write a list's entry as it stands in the settings."""
    return repr(getattr(entry, "pattern", entry))


def _fits_csrf(pattern: OriginPattern) -> bool:
    """Whether Django's CSRF setting can express a pattern without widening it."""
    return pattern.kind is PatternKind.EXACT and pattern.port != "*"


def unmatchable_cors_entries() -> list[tuple[str, str]]:
    """
    Return entries of the CORS list that match no browser over HTTP, with their cure.

    django-cors-headers compares what is written, so that upper case, a default port
    or a Unicode name never equals what a browser sends.
    """
    name, entries = django_list("CORS_ALLOWED_ORIGINS", "CORS_ORIGIN_WHITELIST")
    found = []
    for index, entry in enumerate(entries):
        if entry in ("null", "file://"):
            continue
        try:
            pattern = OriginPattern.parse(entry)
        except InvalidOrigin:
            continue
        if pattern.kind is not PatternKind.EXACT or pattern.port == "*":
            continue
        if str(pattern) != entry:
            found.append((f"{name}[{index}]", str(pattern)))
    return found
