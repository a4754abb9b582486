"""
Settings: any value of any type, ours and those that we read of others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf, nan
from typing import Any

from django.test import override_settings

from tests.fuzz import choices as chosen
from tests.fuzz import situations
from tests.fuzz.choices import Choices
from tests.fuzz.disagreement import agree
from tests.fuzz.model.decision import Seen
from wsorigin import checks
from wsorigin.conf import DEFAULTS, SOURCE_NAMES, conf
from wsorigin.handshake import Handshake
from wsorigin.policy import Decision
from wsorigin.refresh import CurrentPolicy
from wsorigin.sources import collect

# No database here: "database" is not among the sources.
SOURCES = tuple(name for name in SOURCE_NAMES if name != "database")
LISTS = (
    "WSORIGIN_ALLOWED_ORIGINS",
    "WSORIGIN_ALLOWED_ORIGIN_REGEXES",
    "CORS_ALLOWED_ORIGINS",
    "CORS_ORIGIN_WHITELIST",
    "CORS_ALLOWED_ORIGIN_REGEXES",
    "CORS_ORIGIN_REGEX_WHITELIST",
    "CSRF_TRUSTED_ORIGINS",
    "ALLOWED_HOSTS",
)
OTHERS = (
    *(name for name in DEFAULTS if name not in (*LISTS, "WSORIGIN_INHERIT")),
    "CORS_ALLOW_ALL_ORIGINS",
    "CORS_ALLOW_CREDENTIALS",
    "CORS_URLS_REGEX",
    "DEBUG",
    "SECURE_PROXY_SSL_HEADER",
    "SECURE_SSL_REDIRECT",
    "SESSION_COOKIE_SECURE",
    "SESSION_COOKIE_SAMESITE",
    "USE_X_FORWARDED_HOST",
    "USE_X_FORWARDED_PORT",
    "WSORIGIN_ALLOWED_ORIGIN",
)
VALUES: tuple[Any, ...] = (
    True,
    False,
    None,
    "",
    "True",
    "close",
    "allow",
    "require-token",
    0,
    -1,
    1,
    5.5,
    10**400,
    inf,
    nan,
    (),
    ("HTTP_X_FORWARDED_PROTO", "https"),
    ("HTTP_\udcff", "https"),
    ("HTTP_X", 1),
    {"https://a.test": True},
    b"https://a.test",
    object,
    re.compile("x"),
    lambda: True,
    1j,
)
REGEXES: tuple[Any, ...] = (
    r"^https://\w+\.a\.test$",
    r"https://a.test",
    re.compile(r"HTTPS://A\.TEST", re.IGNORECASE),
    re.compile(b"https"),
    "(",
    "",
    ".*",
    r"(?s).*",
    r"https://(a|b)\.test(:\d+)?",
    r"\x00[^a]",
)
HOSTS = ("a.test", ".a.test", "*", "", "[::1]", "bücher.test", "A.TEST", "a.test:80")


def entry(choices: Choices) -> Any:
    """Choose an entry of a list, as a rule a pattern."""
    match choices.number(16):
        case 0 | 1:
            return choices.pick(VALUES)
        case 2:
            return choices.pick(REGEXES)
        case 3 | 4:
            return choices.pick(HOSTS)
        case 5:
            return chosen.written(choices) + "\udcff"
    return chosen.written(choices)


def list_value(choices: Choices, name: str) -> Any:
    """Choose the value of a setting that is a list, as a rule one."""
    kind = choices.number(16)
    if kind == 15:
        return choices.pick(VALUES)
    if "REGEX" in name and kind < 12:
        return [choices.pick(REGEXES) for _ in range(choices.number(3))]
    found = choices.some(entry, 3)
    if kind == 14:
        return chosen.written(choices)
    if kind == 13:
        return {repr(one): one for one in found}
    if kind == 12:
        return {one for one in found if isinstance(one, str)}
    return tuple(found) if kind == 11 else found


def settings_of(choices: Choices) -> dict[str, Any]:
    """Choose settings: some lists, some others."""
    values: dict[str, Any] = {}
    for name in LISTS:
        if choices.flag():
            values[name] = list_value(choices, name)
    for _ in range(choices.number(4)):
        values[choices.pick(OTHERS)] = choices.pick(VALUES)
    values["WSORIGIN_INHERIT"] = [name for name in SOURCES if choices.flag()]
    return values


def target(data: bytes) -> None:
    """Compile, decide and check under any settings; each source only adds trust."""
    choices = Choices(data)
    values = settings_of(choices)
    texts = [
        one
        for name in LISTS
        if isinstance(values.get(name), list)
        for one in values[name]
        if isinstance(one, str) and "\udcff" not in one
    ]
    seen = situations.handshake(choices, texts)
    names = values["WSORIGIN_INHERIT"]
    if choices.rarely():
        values["WSORIGIN_INHERIT"] = choices.pick((*VALUES, [None, {}, "csrf"]))
    fewer = [name for name in names if choices.flag()]
    try:
        with override_settings(**values):
            for name in DEFAULTS:
                getattr(conf, name)
            decision = decided(seen)
            check_strings(values, decision)
            if choices.rarely():
                run_checks(choices)
        if values["WSORIGIN_INHERIT"] is names:
            with override_settings(**{**values, "WSORIGIN_INHERIT": fewer}):
                less = decided(seen)
            agree(values, decision.allowed >= less.allowed, True)
            agree(values, decision.credentials >= less.credentials, True)
    finally:
        conf.forget()


def decided(seen: Seen) -> Decision:
    """Decide by the settings as they are."""
    policy = CurrentPolicy().compile()
    read = Handshake.from_scope({"headers": seen.headers, "scheme": seen.scheme})
    return policy.decide(read)


def check_strings(values: dict[str, Any], decision: Decision) -> None:
    """See that a text in place of a list, or of a switch, trusts nobody."""
    sources = {rule.source.partition("[")[0] for rule in collect().rules}
    for name in LISTS:
        if not isinstance(values.get(name, []), (list, tuple, set)):
            agree(values, name in sources, False)
    if values.get("WSORIGIN_ALLOW_ALL_ORIGINS") is not True:
        agree(values, decision.reason != "all-origins", True)
    if values.get("WSORIGIN_MISSING_ORIGIN") != "allow":
        agree(values, decision.allowed and decision.reason == "missing", False)


CHECKS: tuple[Callable[[], Any], ...] = (
    checks.check_settings,
    checks.check_lists,
    checks.check_server,
    checks.check_deployment,
    checks.check_regexes,
)


def run_checks(choices: Choices) -> None:
    """Run the system checks; those of regular expressions take long, and come rarely."""
    for check in CHECKS if choices.rarely() else CHECKS[:-1]:
        for finding in check():
            agree(finding.id, bool(finding.msg) and finding.id[:9] == "wsorigin.", True)
