"""The page of the Python API: what is public is on it, and says what it does."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import pytest
from django.dispatch import Signal

from .pages import DOCS, pages, texts_in

ROOT: Final = DOCS.parent
PAGE: Final = (DOCS / "reference/api.md").read_text()


def documented() -> Iterator[tuple[str, Any]]:
    """Yield what the page of the API documents, with its full name."""
    directive = r"^\.\. auto(\w+):: ([\w.]+)\S*\n((?:   :.*\n)*)"
    for kind, name, options in re.findall(directive, PAGE, re.MULTILINE):
        left_out = re.findall(r":exclude-members: (.*)", options)
        without = {one.strip() for names in left_out for one in names.split(",")}
        if kind == "module":
            yield from members(name, import_module(name), without)
            continue
        module, _, short = name.rpartition(".")
        thing = getattr(import_module(module), short)
        yield name, thing
        listed = re.findall(r":members:(.*)", options)
        wanted = {one.strip() for names in listed for one in names.split(",")} - {""}
        if listed:
            for path, member in members(name, thing, set()):
                if not wanted or path.rpartition(".")[2] in wanted:
                    yield path, member


def members(name: str, owner: Any, without: set[str]) -> Iterator[tuple[str, Any]]:
    """Yield the public names that a module or a class defines itself, and theirs."""
    module = owner.__name__ if inspect.ismodule(owner) else owner.__module__
    for short, thing in vars(owner).items():
        if short.startswith("_") or short in without:
            continue
        plain = thing.fget if isinstance(thing, property) else thing
        plain = getattr(plain, "func", plain)  # of a cached property
        plain = inspect.unwrap(getattr(plain, "__func__", plain))
        is_own = inspect.isclass(plain) or inspect.isfunction(plain)
        if is_own and plain.__module__ == module:
            yield f"{name}.{short}", plain
            if inspect.isclass(plain):
                yield from members(f"{name}.{short}", plain, without)


DOCUMENTED: Final = dict(documented())
CODE: Final = {
    name: thing
    for name, thing in DOCUMENTED.items()
    if inspect.isclass(thing) or callable(thing)
}


@pytest.mark.parametrize("name", CODE)
def test_each_public_name_says_what_it_does(name: str) -> None:
    """With a docstring of its own, not of a base."""
    thing = CODE[name]

    assert "__doc__" in vars(thing) or inspect.isfunction(thing)
    assert inspect.getdoc(thing)
    # What a dataclass or a tuple writes by itself says nothing.
    assert not (thing.__doc__ or "").startswith(f"{thing.__name__}(")


@pytest.mark.parametrize(
    "name", [name for name, thing in CODE.items() if inspect.isfunction(thing)]
)
def test_each_public_function_has_types(name: str) -> None:
    """For each argument and the result."""
    signature = inspect.signature(CODE[name])
    annotations = [
        argument.annotation
        for argument in signature.parameters.values()
        if argument.name not in {"self", "cls"}
    ]

    assert inspect.Signature.empty not in [*annotations, signature.return_annotation]


@pytest.mark.parametrize("name", CODE)
def test_each_public_name_says_what_it_raises(name: str) -> None:
    """What is raised in so many words is in the docstring, or in that of its class."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(CODE[name])))
    raised = {
        node.exc.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
    }
    text = " ".join(inspect.getdoc(CODE[name]).split())

    assert [one for one in raised if not re.search(rf"[Rr]aises .*{one}", text)] == []


def test_each_public_constant_says_what_it_means() -> None:
    """In a comment that Sphinx reads, before it or behind it."""
    constants = set(DOCUMENTED) - set(CODE)
    assert "wsorigin.denial.CLOSE_ORIGIN" in constants
    for name in constants:
        module, _, short = name.rpartition(".")
        lines = inspect.getsource(import_module(module)).splitlines()
        [number] = [
            n for n, line in enumerate(lines) if re.match(rf"{short}\b.*=", line)
        ]
        assert "#:" in lines[number] or lines[number - 1].startswith("#:"), name


def test_each_signal_is_documented() -> None:
    """They are made, not defined, so that they are looked for by name."""
    signals = import_module("wsorigin.signals")
    made = {name for name, one in vars(signals).items() if isinstance(one, Signal)}
    source = inspect.getsource(signals)
    commented = re.findall(r"(?m)^#:.*\n(\w+) = Signal\(\)$", source)

    assert set(commented) == made != set()


def imported(text: str) -> Iterator[str]:
    """Yield the names that a Python text imports from wsorigin."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if node.module.split(".")[0] == "wsorigin":
                    yield f"{node.module}.{alias.name}"


def public_names() -> Iterator[tuple[str, str]]:
    """Yield the names that pages tell people to import, and those of the typed API."""
    for name in imported((ROOT / "tests/typing_api.py").read_text()):
        yield name, "typing_api.py"
    texts = {page: (DOCS / page).read_text() for page in pages()}
    texts["README.md"] = (ROOT / "README.md").read_text()
    for page, text in texts.items():
        for block in texts_in(text, "python"):
            for name in imported(block):
                yield name, page


@pytest.mark.parametrize(
    ("name", "user"),
    [pytest.param(*pair, id=pair[0]) for pair in dict(public_names()).items()],
)
def test_each_name_to_import_is_on_the_page(name: str, user: str) -> None:
    """What a page, the README or the typed API imports is public, and so documented."""
    module, _, short = name.rpartition(".")
    thing = getattr(import_module(module), short)
    is_listed = any(thing is one for one in DOCUMENTED.values())

    # Constants and signals are on the page by name, or with their module.
    assert (
        is_listed
        or f":: {name}\n" in PAGE
        or f":: {module}\n" in PAGE
        or inspect.ismodule(thing)
    ), user
