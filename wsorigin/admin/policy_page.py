"""
What the policy page shows: rules, refresh, the lists side by side, one explanation.

It only asks; each part is another module's answer.
"""

from __future__ import annotations

import re
from dataclasses import replace
from math import isinf
from typing import Any, Final

from django import forms
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wsorigin.conf import conf
from wsorigin.denial import remedy
from wsorigin.explanation import NoRoute, explain, own_host
from wsorigin.live import has_shared_layer, open_connections, processes
from wsorigin.models import printable, readable, translated
from wsorigin.origins import MAX_LENGTH
from wsorigin.policy import Policy, Reason, Rule
from wsorigin.reconciliation import Row, is_row, reconcile
from wsorigin.refresh import current, get_policy
from wsorigin.routes import validator_at, websocket_routes

RULES_PER_PAGE: Final = 100
# Comparing asks four policies about each origin: beyond this the rows stay out of it.
MAX_RECONCILED: Final = 500


class ExplainForm(forms.Form):
    """A question: would a page of this origin open a socket here?"""

    origin = forms.CharField(
        label=gettext_lazy("Origin"),
        required=False,
        max_length=MAX_LENGTH,
        help_text=gettext_lazy("As a browser sends it; empty for a client without."),
        widget=forms.TextInput(
            {"placeholder": "https://app.example.com", "autocapitalize": "none"}
        ),
    )
    path = forms.CharField(
        label=gettext_lazy("Path"),
        required=False,
        max_length=500,
        help_text=gettext_lazy("A WebSocket route, such as /ws/prices/."),
        widget=forms.TextInput({"list": "wsorigin-routes"}),
    )
    audience = forms.CharField(
        label=gettext_lazy("or audience"), required=False, max_length=100
    )
    host = forms.CharField(
        label=gettext_lazy("Host"),
        required=False,
        max_length=300,
        help_text=gettext_lazy("The Host header; empty for this site's."),
    )

    def clean_path(self) -> str:
        path: str = self.cleaned_data["path"]
        if path and not path.startswith("/"):
            raise forms.ValidationError(
                _("A path starts with a slash: /%(path)s"),
                params={"path": readable(path)},
            )
        return path

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("path") and cleaned.get("audience"):
            raise forms.ValidationError(
                _("A route has its own audience. Ask about one or the other.")
            )
        return cleaned


def policy_page(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the page: everything, and the answer if there is a question."""
    policy = get_policy()
    asked = "origin" in request.GET
    form = ExplainForm(request.GET if asked else None)
    reply = answer(form) if asked and form.is_valid() else None
    if asked:
        # Anybody can write a link to this page: nothing hides in its fields.
        form.data = {name: readable(str(form.data[name])) for name in form.data}
    return {
        "policy": policy,
        **rules_context(policy, request.GET.get("page", "")),
        "refresh": refresh_state(),
        "live": live_state(policy),
        "reconciliation": reconciliation_context(),
        "form": form,
        "routes": routes(),
        "own_host": own_host(),
        "answer": reply,
    }


def rules_context(policy: Policy, number: str) -> dict[str, Any]:
    """Return one page of the rules, and where that is among all of them."""
    pages = max(-(-policy.size // RULES_PER_PAGE), 1)
    page = int(number) if number.isascii() and number.isdecimal() else 1
    page = min(max(page, 1), pages)
    start = (page - 1) * RULES_PER_PAGE
    rules = policy.rules_between(start, start + RULES_PER_PAGE)
    return {
        "rules": [(legible(rule), row_of(rule)) for rule in rules],
        "rule_count": policy.size,
        "first_rule": start + 1,
        "last_rule": start + len(rules),
        "previous_page": page - 1 if page > 1 else None,
        "next_page": page + 1 if page < pages else None,
    }


def legible(rule: Rule) -> Rule:
    """Return a rule to be shown: nothing hides in its audience, the one free text."""
    return rule.replace(audience=printable(rule.audience))


def row_of(rule: Rule) -> str:
    """Return the key of the row that a rule comes from, empty for the settings'."""
    return rule.source.rpartition(" ")[2] if is_row(rule) else ""


def refresh_state() -> dict[str, Any]:
    """Return what is known of the database, and since when."""
    known = current.database
    return {
        "is_used": current.reads_database,
        "is_away": current.is_away,
        "was_read": known is not None,
        "rows": known.policy.size if known else 0,
        "version": known.version if known else None,
        "age": None if isinf(current.age) else round(current.age, 1),
        "interval": conf.WSORIGIN_REFRESH_INTERVAL,
    }


def live_state(policy: Policy) -> dict[str, Any]:
    """
    Return what is known of live connections, and of the processes that have some.

    ``processes`` is None where there is no channel layer to ask them over, or it is
    away; ``reached`` says how many of them have the policy that is shown.
    """
    found = processes()
    reached = [one for one in found or () if one.fingerprint == policy.fingerprint]
    return {
        "connections": open_connections(),
        "is_shared": has_shared_layer(),
        "processes": found,
        "reached": len(reached),
        "in_all": sum(one.connections for one in found or ()),
    }


def reconciliation_context() -> dict[str, Any]:
    """Return the comparison of the lists, of the settings alone where rows are many."""
    known = current.database
    count = known.policy.size if known else 0
    with_rows = count <= MAX_RECONCILED
    result = reconcile(database=with_rows)
    return {
        "rows": [in_words(row) for row in result.rows],
        "disagreements": len(result.disagreements),
        "settings": str(result.proposal) if result.disagreements else "",
        "left_out": 0 if with_rows else count,
    }


def in_words(row: Row) -> Row:
    """Return a row of the comparison in the reader's language."""
    return replace(
        row,
        websocket=translated(row.websocket),
        disagreement=" ".join(map(translated, re.split(r"(?<=\.) ", row.disagreement))),
        note=translated(row.note),
    )


def routes() -> list[str]:
    """Return the paths of the project's WebSocket routes, as written."""
    try:
        return [f"/{route.path}" for route in websocket_routes() if route.path]
    except (ImproperlyConfigured, ImportError):
        return []


def answer(form: ExplainForm) -> dict[str, Any] | None:
    """Return the answer to a valid question; None where the form now has an error."""
    asked = form.cleaned_data
    try:
        explanation = explain(
            asked["origin"] or None,
            path=asked["path"] or None,
            audience=asked["audience"],
            host=asked["host"],
        )
    except NoRoute as exc:
        form.add_error("path", translated(str(exc)))
        return None
    except (ImproperlyConfigured, ImportError) as exc:
        form.add_error("path", f"ASGI_APPLICATION: {exc}")
        return None
    if explanation is None:
        return {"unguarded": asked["path"], "validator": validator_at(asked["path"])}
    decision, nearest = explanation.decision, explanation.nearest
    return {
        "origin": readable(asked["origin"]),
        "decision": decision,
        "sentence": translated(decision.reason.sentence),
        "problem": translated(explanation.problem),
        "rules": [legible(rule) for rule in explanation.matches],
        "nearest": nearest and (nearest.rule, translated(nearest.difference)),
        "remedy": "" if decision else translated(remedy(decision.reason, explanation)),
        "trust": explanation.origin if decision.reason is Reason.UNLISTED else None,
    }
