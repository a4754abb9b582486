"""
The forms about tokens: mint, rename, rotate, revoke, verify.

What fits together, and what becomes of it, is the tokens' own module's to say.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from wsorigin import tokens
from wsorigin.conf import conf
from wsorigin.credentials import TokenKind
from wsorigin.handshake import redacted
from wsorigin.models import ConnectionToken

if TYPE_CHECKING:
    RenameModelForm = forms.ModelForm[ConnectionToken]
else:
    RenameModelForm = forms.ModelForm

_LIFETIMES: Final = (30, 90, 365)
_NEVER: Final = "never"
# Where the form has another name for what the model complains about.
_FIELDS: Final = {"user": "owner", "expires_at": "lifetime"}

# In the words of each choice, and what an operator should know of it.
OVERLAPS: Final = {
    "now": (
        timedelta(0),
        gettext_lazy("none"),
        gettext_lazy("it has leaked, or nobody uses it"),
    ),
    "1h": (
        timedelta(hours=1),
        gettext_lazy("1 hour"),
        gettext_lazy("you change its clients now"),
    ),
    "24h": (
        timedelta(hours=24),
        gettext_lazy("24 hours"),
        gettext_lazy("its clients are changed in the next deployment"),
    ),
    "7d": (
        timedelta(days=7),
        gettext_lazy("7 days"),
        gettext_lazy("somebody else has to change them"),
    ),
}


class RenameForm(RenameModelForm):
    """What may be changed of a token: what people call it."""

    class Meta:
        model = ConnectionToken
        fields = ["name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Without the field, it is but looked at.
        for field in self.fields.values():
            field.required = True

    def clean_name(self) -> str:
        return redacted(self.cleaned_data["name"])


class MintForm(forms.Form):
    """
    A new token.

    ``minter`` is who mints it, and the owner of a secret token unless he may choose
    another: ``for_others``. ``once`` tells one form from the next.
    """

    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        widget=forms.RadioSelect,
        initial=TokenKind.SECRET,
    )
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        help_text=gettext_lazy("Who holds it, and what for."),
        widget=forms.TextInput({"class": "vTextField"}),
    )
    owner = forms.CharField(
        label=gettext_lazy("Owner"),
        required=False,
        max_length=254,
        help_text=gettext_lazy(
            "The user whom a secret token identifies; empty for nobody. Whoever holds "
            "it acts as that user."
        ),
        widget=forms.TextInput(
            {"class": "vTextField", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    origins = forms.CharField(
        label=gettext_lazy("Origins"),
        required=False,
        help_text=gettext_lazy(
            "One a line, such as https://app.example.com. A publishable token needs "
            "one at least; a secret token without any is good from anywhere."
        ),
        widget=forms.Textarea(
            {"rows": 3, "class": "vLargeTextField", "spellcheck": "false"}
        ),
    )
    audience = forms.CharField(
        label=gettext_lazy("Audience"),
        required=False,
        max_length=100,
        help_text=gettext_lazy("Only endpoints with this audience; empty for all."),
        widget=forms.TextInput({"class": "vTextField"}),
    )
    lifetime = forms.ChoiceField(
        label=gettext_lazy("Expires in"),
        widget=forms.RadioSelect,
        initial="90",
    )
    once = forms.CharField(
        widget=forms.HiddenInput,
        initial=lambda: secrets.token_urlsafe(16),
        max_length=40,
    )

    def __init__(
        self, *args: Any, minter: Any, for_others: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.minter = minter
        self.fields["kind"].choices = kinds()  # type: ignore[attr-defined]  # of a ChoiceField
        self.fields["lifetime"].choices = lifetimes()  # type: ignore[attr-defined]  # as above
        self.fields["owner"].initial = minter.get_username()
        if not for_others:
            del self.fields["owner"]

    def clean_name(self) -> str:
        # Whoever pastes the token itself meant to say which one it is.
        return redacted(self.cleaned_data["name"])

    def clean_owner(self) -> Any:
        name = self.cleaned_data["owner"]
        if not name:
            return None
        model = get_user_model()
        rows = model._default_manager.filter(**{model.USERNAME_FIELD: name})
        user = rows.first()
        if user is None:
            raise ValidationError(_("There is no such user."), code="unknown")
        if not user.is_active:
            raise ValidationError(
                _("This user is deactivated: the token would open nothing."),
                code="inactive",
            )
        return user

    def mint(self) -> tuple[ConnectionToken, str] | None:
        """Mint what a valid form says; None where it now has errors instead."""
        cleaned = self.cleaned_data
        kind, owner = TokenKind(cleaned["kind"]), cleaned.get("owner", self.minter)
        if kind == TokenKind.PUBLISHABLE and owner == self.minter:
            owner = None  # filled in for the other kind
        days = cleaned["lifetime"]
        try:
            return tokens.mint(
                kind,
                name=cleaned["name"],
                user=owner,
                origins=cleaned["origins"].split(),
                audience=cleaned["audience"],
                expires_in=None if days == _NEVER else timedelta(days=int(days)),
                created_by=self.minter,
            )
        except ValidationError as exc:
            for name, errors in exc.error_dict.items():
                name = _FIELDS.get(name, name)
                self.add_error(name if name in self.fields else None, errors)
        return None


def kinds() -> list[tuple[str, str]]:
    """Return the kinds that can be minted, each with what it is for."""
    lines = {
        TokenKind.SECRET: (
            _("secret"),
            _(
                "for servers, devices and native apps. It identifies its owner, and "
                "never stands in a page."
            ),
        ),
        TokenKind.PUBLISHABLE: (
            _("publishable"),
            _(
                "may stand in a page for all to read. It is bound to origins, and names "
                "an integration, never a person."
            ),
        ),
    }
    return [
        (kind.value, choice(name, purpose)) for kind, (name, purpose) in lines.items()
    ]


def choice(name: Any, purpose: Any) -> str:
    """Write the words of a choice, and what an operator should know of it."""
    return format_html("<strong>{}</strong>{} {}", name, _(":"), purpose)


def lifetimes() -> list[tuple[str, str]]:
    """Return after how many days a token may expire; never, where the site allows it."""
    found = []
    for days in _LIFETIMES:
        label = ngettext("%(days)d day", "%(days)d days", days)
        found.append((str(days), label % {"days": days}))
    if not conf.WSORIGIN_TOKENS_MUST_EXPIRE:
        found.append((_NEVER, _("never")))
    return found


class RotateForm(forms.Form):
    """
    Another secret for a token, and how long the old one counts.

    ``seen`` stands for the secret that the token had when the form was shown. Where it
    has another one by now, the form was sent twice or somebody else was quicker, and
    what would end without an overlap is a secret that is in use.
    """

    overlap = forms.ChoiceField(
        label=gettext_lazy("The old secret counts for"),
        widget=forms.RadioSelect,
        initial="24h",
    )
    seen = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, token: ConnectionToken, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.token = token
        self.fields["seen"].initial = self._seen
        self.fields["overlap"].choices = [  # type: ignore[attr-defined]  # of a ChoiceField
            (name, choice(label, when))
            for name, (_overlap, label, when) in OVERLAPS.items()
        ]

    @property
    def _seen(self) -> str:
        """The digest, so that it is of no use to anybody."""
        return salted_hmac(
            "wsorigin.admin.rotate", self.token.digest, algorithm="sha256"
        ).hexdigest()[:20]

    @property
    def is_outdated(self) -> bool:
        """Whether the token has another secret than when the form was shown."""
        return not constant_time_compare(self.data.get("seen", ""), self._seen)

    def rotate(self) -> str:
        """Rotate as a valid form says; empty where it now has errors instead."""
        try:
            return tokens.rotate(self.token, self.chosen[0])
        except ValidationError as exc:
            self.add_error(None, exc)
        return ""

    @property
    def chosen(self) -> tuple[timedelta, Any, Any]:
        """The overlap that was chosen, and its words."""
        return OVERLAPS[self.cleaned_data["overlap"]]


class RevokeForm(forms.Form):
    """Why tokens are revoked."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("Somebody will ask, such as: found in a repository."),
        widget=forms.TextInput({"class": "vTextField"}),
    )

    def clean_reason(self) -> str:
        return redacted(self.cleaned_data["reason"])


class UnrepeatedInput(forms.PasswordInput):
    """A line of text that no answer repeats, not even beside an error."""

    input_type = "text"


class VerifyForm(forms.Form):
    """A token that somebody wants to know about."""

    token = forms.CharField(
        label=gettext_lazy("Token"),
        help_text=gettext_lazy(
            "All of it. It is neither stored nor logged, nor used up by that."
        ),
        widget=UnrepeatedInput(
            {"class": "vTextField", "autocomplete": "off", "spellcheck": "false"}
        ),
    )
