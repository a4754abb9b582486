"""
Reconciliation: what each origin may do over HTTP, beside what it may do over a socket.

One row per origin that any list names. HTTP is the reference: what is proposed never
trusts an origin over a WebSocket beyond what CORS grants it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from .conf import conf
from .handshake import Handshake
from .origins import Origin
from .patterns import ALL_ORIGINS, OriginPattern, PatternKind
from .policy import Decision, Explanation, Policy, Rule
from .proposal import Proposal
from .refresh import current
from .sources import (
    Rules,
    collect,
    cors_all_origins,
    current_site,
    from_settings,
)

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
        rows, rows_with_cors = self.trusted_origins() if database else ((), ())
        # Without CORS the project lets no other origin read over HTTP at all, and a
        # list for sockets alone disagrees with nothing.
        self.uses_cors = "corsheaders" in settings.INSTALLED_APPS or any(
            name.startswith(("CORS_ALLOW", "CORS_ORIGIN")) for name in dir(settings)
        )
        listed = collect(["cors"]).rules
        if for_all := cors_all_origins():
            listed.append(Rule(ALL_ORIGINS, for_all))
        self.cors = Policy([*listed, *rows_with_cors])
        self.csrf = Policy(collect(["csrf"]).rules)
        self.hosts = Policy(collect(["hosts"]).rules)
        # Without "debug": its rules are this machine's own and end with DEBUG.
        own = Rules()
        from_settings(own)
        inherited = collect(name for name in conf.WSORIGIN_INHERIT if name != "debug")
        self.websocket = Policy(
            [*own.rules, *inherited.rules, *rows],
            site=current_site(),
            same_origin="same-origin" in conf.WSORIGIN_INHERIT,
        )
        self.proposal = Proposal()

    def trusted_origins(self) -> tuple[Iterable[Rule], Iterable[Rule]]:
        """Return the rules of the database, and those of them that pass CORS too."""
        current.get()
        known = current.database
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
        cors = self.cors.decide(_handshake(origin))
        csrf = self.csrf.decide(_handshake(origin))
        host = self.hosts.decide(_handshake(origin))
        abroad = self.websocket.explain(_handshake(origin))
        at_home = self.websocket.decide(_handshake(origin, at_home=True))
        websocket = at_home if host else abroad.decision
        disagreement, note = self.judge(pattern, cors, csrf, host, abroad, at_home)
        return Row(
            str(pattern),
            bool(cors),
            cors.credentials,
            bool(csrf),
            bool(host),
            _grade(websocket),
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
            self.proposal.follow_cors()
            disagreement = "CORS matches it over HTTP, but its sockets are refused."
        elif socket and self.uses_cors and pattern.kind in _WITHOUT_EXAMPLE:
            if not cors:
                self.proposal.drop(socket)
                disagreement = "It opens sockets, but CORS does not match it over HTTP."
            elif session and not credentials:
                self.proposal.drop(rule for rule in socket if rule.credentials)
                disagreement = _SESSION_DENIED
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
            self.proposal.admit_own_pages()
            refused = "get no session" if at_home else "are refused"
            found.append(f"It is this site, but its own pages {refused}.")
        found.append(self.judge_sockets(cors, host, abroad))
        if cors.credentials and not csrf and not host and _fits_csrf(pattern):
            self.proposal.accept_posts(pattern)
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
        if _covers_all(cors.rule) or _covers_all(abroad.rule):
            return ""  # the row for "*" says it once
        if cors and not abroad:
            self.proposal.follow_cors()
            return "CORS lets it read over HTTP, but its sockets are refused."
        if cors.credentials and not abroad.credentials:
            self.proposal.follow_cors()
            return "CORS gives it the session over HTTP, but its sockets get none."
        if not matches or not self.uses_cors:
            return ""
        if cors and abroad.credentials and not cors.credentials:
            self.proposal.drop(rule for rule in matches if rule.credentials)
            return _SESSION_DENIED
        if cors:
            return ""
        if not host:
            self.proposal.drop(matches)
            return "It opens sockets, but CORS refuses it over HTTP."
        inherited = [
            rule for rule in matches if rule.source.startswith("ALLOWED_HOSTS")
        ]
        if inherited and len(self.hosts.rules) > 2:
            self.proposal.drop(inherited)
            return "Each host's pages open sockets on the others, which CORS refuses."
        return ""


_WITHOUT_EXAMPLE: Final = frozenset({PatternKind.REGEX, PatternKind.ALL})
_SESSION_DENIED: Final = "Its sockets get the session, which CORS denies it over HTTP."


def _covers_all(rule: Rule | None) -> bool:
    """Whether a rule is the one for every origin."""
    return rule is not None and rule.pattern.kind is PatternKind.ALL


def is_row(rule: Rule) -> bool:
    """Whether a rule is a trusted origin in the database."""
    return rule.source.startswith("TrustedOrigin ")


def _handshake(origin: Origin, *, at_home: bool = False) -> Handshake:
    """Make the handshake of a page, to its own host or to somebody else's."""
    host = str(origin).partition("://")[2].encode() if at_home else _ELSEWHERE
    return Handshake("/", str(origin), {b"host": host})


def _grade(decision: Decision) -> str:
    """Say what a decision gives: ``"no"``, ``"anonymous"`` or ``"session"``."""
    if not decision:
        return "no"
    return "session" if decision.credentials else "anonymous"


def _fits_csrf(pattern: OriginPattern) -> bool:
    """Whether Django's CSRF setting can express a pattern without widening it."""
    return pattern.kind is PatternKind.EXACT and pattern.port != "*"
