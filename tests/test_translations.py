"""The admin in German and French: complete, in step with the source, and shown."""

from __future__ import annotations

import ast
import gettext
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import django
import pytest
from django.test import Client
from django.utils import translation

from wsorigin.models import ConnectionToken, TrustedOrigin

from .services import missing
from .tour.rows import seed
from .tour.visits import VISITS, Visit

ROOT: Final = Path(__file__).parent.parent
LOCALE: Final = ROOT / "wsorigin/locale"
LANGUAGES: Final = ["de", "fr"]
MAKE: Final = "cd wsorigin, then django-admin makemessages -l de -l fr, and translate"
PLACEHOLDER: Final = re.compile(r"%\(\w+\)[sdg]")

in_both = pytest.mark.parametrize("language", LANGUAGES)


class Entry(NamedTuple):
    """One entry of a catalogue: its texts, singular and plural, and its translations."""

    texts: list[str]
    translations: list[str]
    is_fuzzy: bool


def entries(path: Path) -> list[Entry]:
    """Read a catalogue, all but its header."""
    found = []
    for block in path.read_text().split("\n\n")[1:]:
        strings: dict[str, str] = {}
        keyword = ""
        for line in block.strip().splitlines():
            if not line.startswith("#"):
                word, _, rest = line.partition(" ")
                keyword, quoted = (word, rest) if word[0] != '"' else (keyword, line)
                strings[keyword] = strings.get(keyword, "") + ast.literal_eval(quoted)
        found.append(
            Entry(
                [text for word, text in strings.items() if word.startswith("msgid")],
                [text for word, text in strings.items() if word.startswith("msgstr")],
                "fuzzy" in block.partition("msgid")[0],
            )
        )
    return found


def catalogue(language: str) -> list[Entry]:
    return entries(LOCALE / language / "LC_MESSAGES/django.po")


def compiled_texts(path: Path) -> dict[Any, str]:
    """Read a compiled catalogue, without its header."""
    with path.open("rb") as file:
        found: dict[Any, str] = gettext.GNUTranslations(file)._catalog  # type: ignore
    return {key: text for key, text in found.items() if key != ""}


# The catalogues


@in_both
def test_nothing_is_left_untranslated(language: str) -> None:
    """Each text has its translations, and none of them is a guess."""
    left = [
        entry.texts
        for entry in catalogue(language)
        if entry.is_fuzzy or not all(entry.translations)
    ]

    assert left == []


@in_both
def test_placeholders_are_kept(language: str) -> None:
    """What is filled in is the same in each language, or formatting would fail."""
    for entry in catalogue(language):
        wanted = {frozenset(PLACEHOLDER.findall(text)) for text in entry.texts}
        found = {frozenset(PLACEHOLDER.findall(text)) for text in entry.translations}
        assert found == wanted, entry.texts
        assert len(entry.translations) == (1 if len(entry.texts) == 1 else 2)
        for text in entry.translations:
            assert re.findall(r"</?\w+", text) == re.findall(r"</?\w+", entry.texts[0])


@in_both
def test_what_is_compiled_is_what_is_written(language: str) -> None:
    """Django reads the compiled file, people the other."""
    written: dict[Any, str] = {}
    for entry in catalogue(language):
        if len(entry.texts) == 1:
            written[entry.texts[0]] = entry.translations[0]
        else:
            written |= {
                (entry.texts[0], number): text
                for number, text in enumerate(entry.translations)
            }

    path = LOCALE / language / "LC_MESSAGES/django.mo"
    assert compiled_texts(path) == written, "django-admin compilemessages"


def test_the_catalogues_are_in_step_with_the_source(tmp_path: Path) -> None:
    """Each text of the source is in the catalogues, and nothing else is."""
    if not shutil.which("xgettext"):  # pragma: no cover  # not in CI
        missing("no xgettext is installed (Debian: gettext)")
    package = tmp_path / "wsorigin"
    shutil.copytree(
        LOCALE.parent, package, ignore=shutil.ignore_patterns("locale", "__pycache__")
    )
    (package / "locale").mkdir()
    command = ["-m", "django", "makemessages", "--locale", "de", "--no-location"]

    subprocess.run([sys.executable, *command], cwd=package, check=True)  # noqa: S603

    made = entries(package / "locale/de/LC_MESSAGES/django.po")
    for language in LANGUAGES:
        texts = [entry.texts for entry in catalogue(language)]
        assert sorted(texts) == sorted(entry.texts for entry in made), MAKE


@in_both
def test_says_what_django_says(language: str) -> None:
    """Where Django has a text of ours, it has the same words for it: one admin."""
    django_folder = Path(django.__file__).parent
    own = compiled_texts(LOCALE / language / "LC_MESSAGES/django.mo")
    shared = 0
    for app in ("conf", "contrib/admin", "contrib/auth", "contrib/sessions"):
        path = django_folder / app / f"locale/{language}/LC_MESSAGES/django.mo"
        for key, text in compiled_texts(path).items():
            if key in own:
                shared += 1
                assert own[key].casefold() == text.casefold()
    assert shared > 5


def test_german_and_french_are_set_as_they_are_printed() -> None:
    """No straight quotes or apostrophes; French spaces stay with their signs."""
    for entry in catalogue("fr"):
        for text in entry.translations:
            assert not re.search(r"[a-z]'[a-zéèêà]| [:;!?»]|« ", text), text
    for entry in catalogue("de"):
        for text in entry.translations:
            assert not re.search(r"[“”](?=\w)| …|\bß", text), text


@in_both
def test_counts_in_the_plural(language: str) -> None:
    """One, many, and none: which in French is singular."""
    texts = (
        "%(count)d trusted origin was activated.",
        "%(count)d trusted origins were activated.",
    )
    with translation.override(language):
        one, many, none = (
            translation.ngettext(*texts, count) % {"count": count}
            for count in (1, 2, 0)
        )

    assert one != many.replace("2", "1")
    assert (none.replace("0", "1") == one) == (language == "fr")


# The pages


class Texts(HTMLParser):
    """The texts of a page that are words for people, and not code or data."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in CODE:
            self.inside.append(tag)
        for name, value in attrs:
            if name in {"alt", "aria-label", "title", "value", "data-copied"}:
                self.found.add((value or "").strip())

    def handle_endtag(self, tag: str) -> None:
        if tag in CODE:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.found.add(" ".join(data.split()))


CODE: Final = {"code", "pre", "script", "style", "textarea"}


def shown(client: Client, visit: Visit, language: str) -> set[str]:
    """Return the texts of a page in a language."""
    with translation.override(language):
        response: Any = client.get(visit.path)
        if visit.sent:
            hidden = re.findall(r'name="(once|seen)" value="([^"]+)"', response.text)
            response = client.post(
                visit.path,
                {"kind": "secret", "lifetime": "90"} | dict(hidden) | {**visit.sent},
                follow=True,
            )
        parser = Texts()
        parser.feed(response.content.decode())
    assert response.status_code == 200
    return parser.found


# The tour goes by primary keys, which other tests have counted up.
@in_both
@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_the_pages_have_no_english_left(language: str) -> None:
    """Each page of ours: no text that is ours in English, and no sentence in both."""
    client = Client()
    client.force_login(seed())
    english = {
        entry.texts[0]
        for entry in catalogue(language)
        if len(entry.texts[0]) > 12 and entry.translations[0] != entry.texts[0]
    }
    names = ConnectionToken.objects.values_list("name", "revoke_reason")
    data = {*chain.from_iterable(names), "Price feed", "Partner widget"} - {""}
    data |= {*TrustedOrigin.objects.values_list("note", flat=True)}
    # Django has new words that nobody has translated yet, on its own pages as well.
    frame = shown(client, Visit("users", "/admin/auth/user/"), language)
    for visit in VISITS:
        texts = shown(client, visit, language) - frame
        assert {text for text in texts if text in english} == set(), visit
        same = {
            text
            for text in texts & shown(client, visit, "en")
            if len(re.findall(r"(?<!\S)[a-z]{2,}(?!\S)", text)) > 1
            and not any(own in text for own in data)
        }
        assert same == set(), visit
