"""
What to change so that the lists agree: settings to paste, and why each changes.

Where they do not agree is found by `wsorigin.reconciliation`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings

from .conf import conf
from .patterns import OriginPattern
from .rules import Rule
from .sources import django_list

_INHERITED_AS: Final = {"CSRF_TRUSTED_ORIGINS": "csrf", "ALLOWED_HOSTS": "hosts"}


class Proposal:
    """Changed settings with their reasons; ``str()`` is Python source to paste."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._reasons: dict[str, list[str]] = {}

    def follow_cors(self) -> None:
        """Propose that sockets grant what CORS grants."""
        self._inherit("cors", "What CORS grants, sockets grant.")

    def admit_own_pages(self) -> None:
        """Propose that the site's own pages connect."""
        self._inherit("same-origin", "The site's own pages connect.")

    def accept_posts(self, pattern: OriginPattern) -> None:
        """Propose to take an origin's posts, which acts with the session already."""
        name, present = django_list("CSRF_TRUSTED_ORIGINS")
        self._entries(name, present).append(str(pattern))
        self._because(
            name,
            f"With {str(pattern)!r}: over CORS and over sockets it acts with the "
            "session already.",
        )

    def drop(self, rules: Iterable[Rule]) -> None:
        """Propose to trust what these rules cover no further than CORS does."""
        # They may be all that lets in the site's own pages, or pages that CORS knows.
        if "same-origin" not in conf.WSORIGIN_INHERIT:
            self.admit_own_pages()
        if "cors" not in conf.WSORIGIN_INHERIT:
            self.follow_cors()
        for rule in rules:
            name, _, index = rule.source.partition("[")
            if name == "WSORIGIN_ALLOW_ALL_ORIGINS":
                self._values[name] = False
                self._because(name, "CORS does not let all origins read.")
            elif name.startswith("WSORIGIN"):
                self._drop_entry(name, int(index.removesuffix("]")))
            else:
                self._stop_inheriting(name)

    def _inherit(self, source: str, reason: str) -> None:
        entries = self._entries("WSORIGIN_INHERIT", conf.WSORIGIN_INHERIT)
        if source not in entries:
            entries.append(source)
        self._because("WSORIGIN_INHERIT", reason)

    def _stop_inheriting(self, name: str) -> None:
        entries = self._entries("WSORIGIN_INHERIT", conf.WSORIGIN_INHERIT)
        if _INHERITED_AS[name] in entries:
            entries.remove(_INHERITED_AS[name])
        reason = f"{name} grants more over sockets than CORS over HTTP."
        self._because("WSORIGIN_INHERIT", reason)

    def _drop_entry(self, name: str, index: int) -> None:
        """Propose a list of ours without one of its entries, wherever it stands."""
        present = list(getattr(conf, name))
        entry = present[index]
        entries = self._entries(name, present)
        entries[:] = [other for other in entries if other != entry]
        written = getattr(entry, "pattern", entry)  # of a compiled regular expression
        reason = f"Without {written!r}: to keep it, list it in "
        reason += f"{name.replace('WSORIGIN', 'CORS')} instead"
        if not getattr(settings, "CORS_ALLOW_CREDENTIALS", False):
            reason += "; for the session also set CORS_ALLOW_CREDENTIALS = True"
        self._because(name, f"{reason}.")

    def _entries(self, name: str, present: Iterable[Any]) -> list[Any]:
        """Return the list to change, a copy of the present one at first."""
        entries: list[Any] = self._values.setdefault(name, list(present))
        return entries

    def _because(self, name: str, reason: str) -> None:
        """Give a reason for a change, once."""
        reasons = self._reasons.setdefault(name, [])
        if reason not in reasons:
            reasons.append(reason)

    def __str__(self) -> str:
        blocks = []
        for name, reasons in self._reasons.items():
            lines = [f"# {reason}" for reason in reasons]
            value = self._values[name]
            if isinstance(value, list) and value:
                entries = [f"    {entry!r}," for entry in value]
                lines += [f"{name} = [", *entries, "]"]
            else:
                lines.append(f"{name} = {value!r}")
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)
