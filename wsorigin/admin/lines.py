"""
Trusted origins as text: what pasted lines would add, and what an export writes.

One line per origin, with words after it for what its row says, and a note after ``#``:

    https://app.example.com  audience=prices expires=2030-01-31T12:00:00+00:00  # why
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote, unquote

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wsorigin.models import TrustedOrigin, batches, printable, readable, translated
from wsorigin.origins import InvalidOrigin
from wsorigin.patterns import OriginPattern, normalisations

# More would not fit into one form: DATA_UPLOAD_MAX_MEMORY_SIZE bounds it as well.
MAX_LINES: Final = 20_000

COLUMNS: Final = (
    "pattern",
    "audience",
    "note",
    "is_active",
    "allow_credentials",
    "allow_cors",
    "expires_at",
    "created_at",
    "created_by",
)
FLAGS: Final = {
    "credentials": ("allow_credentials", True),
    "cors": ("allow_cors", True),
    "inactive": ("is_active", False),
}


class Verdict(StrEnum):
    """What becomes of a pasted line."""

    NEW = "new"
    KNOWN = "known"
    REPEATED = "repeated"
    ERROR = "error"

    @property
    def label(self) -> str:
        """The verdict for people."""
        return str(_LABELS[self])


_LABELS: Final = {
    Verdict.NEW: gettext_lazy("new"),
    Verdict.KNOWN: gettext_lazy("there already"),
    Verdict.REPEATED: gettext_lazy("repeated"),
    Verdict.ERROR: gettext_lazy("error"),
}


@dataclass(slots=True)
class Line:
    """A pasted line: where it stood, what it would add, and what to say about it."""

    number: int
    text: str
    verdict: Verdict = Verdict.ERROR
    message: str = ""
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What is unique among trusted origins."""
        return self.values["pattern"], self.values.get("audience", "")

    @property
    def stored(self) -> str:
        """The pattern in canonical form, empty where there is none."""
        return str(self.values.get("pattern", ""))

    def __str__(self) -> str:
        return printable(self.text)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """All lines of a paste; ``fingerprint`` names what was shown about them."""

    lines: tuple[Line, ...]

    @property
    def new(self) -> tuple[Line, ...]:
        """The lines that would add a row."""
        return tuple(line for line in self.lines if line.verdict is Verdict.NEW)

    @property
    def counts(self) -> dict[str, int]:
        """How many lines there are of each verdict."""
        found = Counter(line.verdict for line in self.lines)
        return {verdict.value: found[verdict] for verdict in Verdict}

    @property
    def fingerprint(self) -> str:
        """A hash of each line's text and verdict: another one, and more was changed."""
        shown = [(line.text, line.verdict, line.values) for line in self.lines]
        return hashlib.sha256(repr(shown).encode()).hexdigest()


class BadLine(ValueError):
    """A line that adds nothing; the message says why and what to write."""


def judge(text: str) -> Verdicts:
    """
    Say about each line of a paste what it would add; saves nothing.

    Lines after the first `MAX_LINES` are not read, and the last verdict says so.
    """
    lines = []
    first: dict[tuple[str, str], int] = {}
    # PostgreSQL stores no NUL, and nobody means one.
    for number, written in enumerate(text.replace("\0", "").splitlines(), 1):
        if number > MAX_LINES:
            message = _(
                "This line and those after it are too many at once: read were "
                "%(lines)d. Import the rest afterwards."
            ) % {"lines": MAX_LINES}
            lines.append(Line(number, written.strip(), message=message))
            break
        if not written.strip() or written.lstrip().startswith("#"):
            continue
        line = Line(number, written.strip())
        lines.append(line)
        try:
            line.values, line.message = read_line(line.text)
        except BadLine as exc:
            line.message = str(exc)
            continue
        line.verdict = Verdict.NEW
        before = first.setdefault(line.key, number)
        if before != number:
            line.verdict = Verdict.REPEATED
            line.message = _("Line %(number)d says this already.") % {"number": before}
    verdicts = Verdicts(tuple(lines))
    _mark_known(verdicts.new)
    return verdicts


def _mark_known(lines: tuple[Line, ...]) -> None:
    known: set[tuple[str, str]] = set()
    for batch in batches(lines):
        patterns = [line.key[0] for line in batch]
        rows = TrustedOrigin.objects.filter(pattern__in=patterns)
        known.update(rows.values_list("pattern", "audience"))
    for line in lines:
        if line.key in known:
            line.verdict = Verdict.KNOWN
            line.message = _("It is there already, and stays as it is.")


def read_line(text: str) -> tuple[dict[str, Any], str]:
    """
    Read one line: the values of its row, and what was normalised.

    Raises BadLine.
    """
    content, *notes = re.split(r"\s#\s*", text, maxsplit=1)
    origin, *words = content.split()
    try:
        pattern = OriginPattern.parse(origin)
    except InvalidOrigin as exc:
        raise BadLine(in_sentences(exc)) from exc
    values: dict[str, Any] = {"pattern": str(pattern)}
    for word in words:
        name, value = read_word(word)
        values[name] = value
    if notes and notes[0]:
        values["note"] = notes[0]
    try:
        TrustedOrigin(**values).clean_fields(exclude={"pattern", "created_by"})
    except ValidationError as exc:
        messages = exc.message_dict.items()
        raise BadLine(
            " ".join(f"{name}: {' '.join(texts)}" for name, texts in messages)
        ) from exc
    return values, ", ".join(map(translated, normalisations(origin, pattern)))


def read_word(word: str) -> tuple[str, Any]:
    """
    Read a word after an origin: a field's name and its value.

    Raises BadLine.
    """
    if word in FLAGS:
        return FLAGS[word]
    name, _equals, value = word.partition("=")
    if name == "audience" and value:
        return "audience", unquote(value)
    if name == "expires":
        return "expires_at", _read_expiry(value)
    raise BadLine(
        _(
            "%(word)s says nothing here. After the origin: audience=NAME, "
            "expires=2030-01-31, credentials, cors, inactive, or a note after #."
        )
        % {"word": readable(word)}
    )


def _read_expiry(value: str) -> datetime:
    try:
        when = parse_datetime(value if "T" in value else f"{value}T00:00")
    except ValueError:
        when = None
    if when is None:
        raise BadLine(
            _("%(value)s is no date. Write it as in 2030-01-31 or 2030-01-31T12:00Z.")
            % {"value": readable(value)}
        )
    if settings.USE_TZ and timezone.is_naive(when):
        when = timezone.make_aware(when)
    elif not settings.USE_TZ and timezone.is_aware(when):
        when = timezone.make_naive(when)
    if when <= timezone.now():
        raise BadLine(_("It has expired already. Write a later date, or leave it out."))
    return when


def in_sentences(error: InvalidOrigin) -> str:
    """Return the problem and the remedy; what was written, in printable ASCII."""
    problem = translated(readable(error.problem))
    remedy = translated(readable(error.remedy))
    return f"{problem[:1].upper()}{problem[1:]}. {remedy}".strip()


def save(verdicts: Verdicts, user: Any) -> list[TrustedOrigin]:
    """
    Add the new lines' rows, all or none.

    Raises IntegrityError where somebody else has added one of them by now.
    """
    rows = [TrustedOrigin(created_by=user, **line.values) for line in verdicts.new]
    return TrustedOrigin.objects.bulk_create(rows)


def as_text(rows: Iterable[TrustedOrigin]) -> str:
    """Write rows as lines that `judge` reads back; what has expired is a comment."""
    return "".join(f"{line}\n" for line in _written(rows))


def _written(rows: Iterable[TrustedOrigin]) -> Iterator[str]:
    for row in rows:
        words = [readable(row.pattern)]
        if row.audience:
            words.append(f"audience={quote(row.audience, safe='')}")
        if row.expires_at:
            words.append(f"expires={row.expires_at.isoformat()}")
        words += [
            word for word, (name, flag) in FLAGS.items() if getattr(row, name) is flag
        ]
        if row.note:
            words.append("# " + " ".join(row.note.split()))
        line = " ".join(words)
        yield f"# expired: {line}" if row.is_expired else line


def as_json(rows: Iterable[TrustedOrigin]) -> str:
    """Write rows as a JSON list of objects."""
    return json.dumps([_values(row) for row in rows], indent=2)


def as_csv(rows: Iterable[TrustedOrigin]) -> str:
    """Write rows as CSV, with a line of names; no cell can be a spreadsheet's formula."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    for row in rows:
        values = _values(row)
        for name, value in values.items():
            if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
                values[name] = f"'{value}"
        writer.writerow(values)
    return file.getvalue()


def _values(row: TrustedOrigin) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in COLUMNS}
    for name in ("expires_at", "created_at"):
        values[name] = values[name] and values[name].isoformat()
    values["created_by"] = row.created_by and row.created_by.get_username()
    return values


FORMATS: Final[dict[str, tuple[str, Callable[[Iterable[TrustedOrigin]], str]]]] = {
    "txt": ("text/plain", as_text),
    "json": ("application/json", as_json),
    "csv": ("text/csv", as_csv),
}
