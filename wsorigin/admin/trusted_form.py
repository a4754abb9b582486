"""
The form of a trusted origin: when it expires, and looking before saving.

What a pattern has to be is the model's to say.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

if TYPE_CHECKING:
    from wsorigin.models import TrustedOrigin

    TrustedOriginModelForm = forms.ModelForm[TrustedOrigin]
else:
    TrustedOriginModelForm = forms.ModelForm

_LIFETIMES: Final = (1, 7, 30, 90)


class TrustedOriginForm(TrustedOriginModelForm):
    """A trusted origin; ``lifetime`` is a quick way to say when it expires."""

    # Set for the Preview button: the form is read and shown again, and saves nothing.
    is_preview = False

    lifetime = forms.TypedChoiceField(
        label=gettext_lazy("Or expires in"),
        required=False,
        coerce=int,
        empty_value=None,
        widget=forms.RadioSelect,
        help_text=gettext_lazy("A choice here replaces the time above."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", _("as above"))]
        for days in _LIFETIMES:
            label = ngettext("%(days)d day", "%(days)d days", days)
            choices.append((str(days), label % {"days": days}))
        self.fields["lifetime"].choices = choices  # type: ignore[attr-defined]
        if expiry := self.fields.get("expires_at"):
            # Django's own texts before the two are no labels.
            inputs = getattr(expiry.widget, "widgets", ())
            for widget, name in zip(inputs, (_("Date:"), _("Time:")), strict=False):
                widget.attrs["aria-label"] = name

    @cached_property
    def changed_data(self) -> list[str]:
        """The names of the fields that changed; a lifetime is an expiry."""
        names = dict.fromkeys(super().changed_data)
        if "lifetime" in names:
            del names["lifetime"]
            names["expires_at"] = None
        return list(names)

    def is_valid(self) -> bool:
        return super().is_valid() and not self.is_preview

    def clean_expires_at(self) -> Any:
        value = self.cleaned_data["expires_at"]
        # A row that has expired can still get another note.
        if value and "expires_at" in self.changed_data and value <= timezone.now():
            raise ValidationError(
                _("This is in the past. Choose a later time, or untick Active."),
                code="expired",
            )
        return value

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        if days := cleaned.get("lifetime"):
            cleaned["expires_at"] = timezone.now() + timedelta(days=days)
            self.errors.pop("expires_at", None)
        return cleaned
