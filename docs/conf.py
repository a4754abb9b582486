"""
How Sphinx makes these pages into a site: ``make docs``. What they say is in them.

Every warning is an error there, a link that leads nowhere among them. Only names of
other packages are looked for nowhere: a build asks no other site.
"""

import os
import re
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import django
from pygments.lexers.special import TextLexer

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from wsorigin import __version__  # noqa: E402  # as all of it, after the set-up

project = "wsorigin"
author = copyright = "The wsorigin maintainers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"wsorigin {release}"

# Headings as GitHub names them, so that links lead to them in both places.
myst_heading_anchors = 3

# `name` in a docstring is a name, as in the comments beside it.
default_role = "literal"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
nitpick_ignore_regex = [("py:.*", r"(?!wsorigin\.).*")]

_OUTSIDE = re.compile(r"\[([^]]+)\]\(((?:\.\./)+(?:benchmarks/\S+|[A-Z]+\.md))\)")
_FIELD = type(namedtuple("Pair", "left right").left)


def link_outside(app: Any, page: str, source: list[str]) -> None:
    """Hand out files that are not among the pages, such as the changelog."""
    source[0] = _OUTSIDE.sub(r"{download}`\1 <\2>`", source[0])


def skip_field(app: Any, what: str, name: str, thing: Any, *_: Any) -> bool | None:
    """Leave out the fields of a tuple: its docstring says what they are."""
    return True if isinstance(thing, _FIELD) else None


def setup(app: Any) -> None:
    """Tell Sphinx of what is above."""
    app.connect("source-read", link_outside)
    app.connect("autodoc-skip-member", skip_field)
    app.add_lexer("haproxy", TextLexer)
