"""
What a regular expression in the settings lets in besides what it was meant for.

Two probes for the system checks, by example rather than by proof: nothing here
runs at a handshake.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from .origins import MAX_LENGTH, InvalidOrigin, Origin
from .patterns import public_suffixes

Matcher = Callable[[str], object]

# Far above what a harmless expression needs for 300 characters, far below what a
# person would notice at start-up.
_SLOW_SECONDS: Final = 0.05
_STRANGER: Final = "evil.example"


def leak(regex: re.Pattern[str], matches: Matcher) -> tuple[str, str] | None:
    """
    Return an origin it was meant for and a stranger's that it lets in too, or None.

    ``matches`` is how the expression is applied (``fullmatch`` here, ``match`` in
    django-cors-headers). The strangers are the intended origin with a name of theirs
    behind it, glued in front, or in place of an unescaped dot.
    """
    for intended in samples(regex):
        owner = registrable(intended)
        for stranger in strangers(intended, owner):
            if registrable(stranger) != owner and matches(stranger):
                return intended, stranger
    # Something like ".*", which no sample tells from what it was meant for.
    unrelated = ("https://app.example", f"https://{_STRANGER}")
    return unrelated if all(map(matches, unrelated)) else None


def strangers(intended: str, owner: str) -> Iterator[str]:
    """Yield origins of other owners that a careless expression takes for this one."""
    scheme, _, authority = intended.partition("://")
    host = authority.partition(":")[0]
    yield f"{scheme}://{host}.{_STRANGER}"
    yield f"{intended}.{_STRANGER}"
    yield f"{scheme}://evil{owner}"
    yield f"{scheme}://{host.removesuffix(owner)}evil{owner}"
    yield f"{scheme}://{_STRANGER.replace('.', '')}{authority}"
    for i, character in enumerate(host):
        if character == ".":
            yield f"{scheme}://{host[:i]}x{authority[i + 1 :]}"


def registrable(origin: str) -> str:
    """Return the part of an origin's host that somebody registered."""
    host = origin.partition("://")[2].partition(":")[0]
    return public_suffixes(only_icann=False).privatesuffix(host) or ".".join(
        host.split(".")[-2:]
    )


def slow_input(regex: re.Pattern[str]) -> str | None:
    """
    Return a text, shaped like an origin, that takes far too long to match, or None.

    The texts grow step by step and the first slow one ends the search, so that even
    an expression that backtracks exponentially costs no more than a moment.
    """
    meant_for = samples(regex)[:3]
    letters = sorted({letter for sample in meant_for for letter in sample[8:]})
    for start in ("https://", *(sample[:-1] for sample in meant_for)):
        for unit in ("a", "1", "a.", "a-", ".a", *letters):
            for tail in ("", "_", ":9", "!"):
                for count in (*range(8, 40, 2), 60, 100, 150, MAX_LENGTH):
                    text = f"{start}{unit * count}"[: MAX_LENGTH - len(tail)] + tail
                    # Twice, since the machine may have been busy with something else.
                    if _seconds(regex, text) > _SLOW_SECONDS < _seconds(regex, text):
                        return text
    return None


def _seconds(regex: re.Pattern[str], text: str) -> float:
    started = time.perf_counter()
    regex.fullmatch(text)
    return time.perf_counter() - started


def samples(regex: re.Pattern[str]) -> list[str]:
    """Return a few origins that an expression matches, as simple as can be."""
    found = []
    for text in _Sampler(regex).texts():
        try:
            origin = str(Origin.parse(text))
        except InvalidOrigin:
            continue
        if regex.match(origin) and origin not in found:
            found.append(origin)
    return found


class _Sampler:
    """
    Write texts that an expression matches, by walking its parsed form.

    The parser is the standard library's own, under a private name since Python 3.11;
    sre_parse, its public one, is deprecated. What the walk does not know it skips: the
    texts are checked against the expression before anybody relies on them.
    """

    _LETTERS: Final = "ax1.-:/"

    def __init__(self, regex: re.Pattern[str]) -> None:
        parser: Any = re._parser  # type: ignore[attr-defined]  # see the docstring
        self.tree = parser.parse(regex.pattern, regex.flags)

    def texts(self) -> Iterator[str]:
        """Yield a text for each alternative at the top, with few and with more repeats."""
        for choice in range(3):
            for repeats in (1, 2, 0):
                yield self._write(self.tree, choice, repeats)

    def _write(self, nodes: Any, choice: int, repeats: int) -> str:
        return "".join(self._node(str(op), arg, choice, repeats) for op, arg in nodes)

    def _node(self, op: str, arg: Any, choice: int, repeats: int) -> str:
        match op:
            case "LITERAL":
                return chr(arg)
            case "ANY":
                return "."  # what the author meant, if it is an unescaped dot
            case "IN" | "NOT_LITERAL":
                return self._one_of(op, arg)
            case "BRANCH":
                options = arg[1]
                return self._write(
                    options[min(choice, len(options) - 1)], choice, repeats
                )
            case "SUBPATTERN":
                return self._write(arg[3], choice, repeats)
            case "ATOMIC_GROUP":
                return self._write(arg, choice, repeats)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, body = arg
                count: int = min(max(least, repeats), int(most))
                if [str(inner) for inner, _ in body] == ["ANY"]:
                    return "a" * count  # a repeated dot is no unescaped full stop
                return self._write(body, choice, repeats) * count
        return ""

    def _one_of(self, op: str, arg: Any) -> str:
        for letter in self._LETTERS:
            if ord(letter) != arg if op == "NOT_LITERAL" else _in_class(arg, letter):
                return letter
        return next((chr(value) for kind, value in arg if str(kind) == "LITERAL"), "")


def _in_class(items: Any, letter: str) -> bool:
    """Whether a parsed character class holds a letter."""
    negated = bool(items) and str(items[0][0]) == "NEGATE"
    found = False
    for kind, value in items:
        match str(kind):
            case "LITERAL":
                found |= ord(letter) == value
            case "RANGE":
                found |= value[0] <= ord(letter) <= value[1]
            case "CATEGORY":
                name = str(value).removeprefix("CATEGORY_")
                sign = {"DIGIT": r"\d", "WORD": r"\w", "SPACE": r"\s"}.get(
                    name.removeprefix("NOT_"), r"\d"
                )
                inside = re.match(sign, letter) is not None
                found |= inside != name.startswith("NOT_")
    return found != negated
