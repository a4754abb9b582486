"""Settings: defaults, and values of the wrong kind."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from wsorigin.conf import DEFAULTS, Settings, conf
from wsorigin.policy import MissingOrigin


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(name: str) -> None:
    """Without the setting, the documented default holds."""
    with override_settings():
        if hasattr(settings, name):
            delattr(settings, name)

        # One of our own: a thread of another test may just have filled the shared one.
        assert getattr(Settings(), name) == DEFAULTS[name]
    conf.forget()


@pytest.mark.parametrize(
    ("name", "value", "reads_as"),
    [
        pytest.param("WSORIGIN_ALLOWED_ORIGINS", "https://a.example", [], id="string"),
        pytest.param("WSORIGIN_ALLOWED_ORIGINS", None, [], id="None"),
        pytest.param("WSORIGIN_ALLOWED_ORIGINS", ("a",), ("a",), id="tuple"),
        pytest.param("WSORIGIN_INHERIT", "cors", [], id="one name as a string"),
        pytest.param("WSORIGIN_ALLOW_ALL_ORIGINS", "False", False, id="'False'"),
        pytest.param("WSORIGIN_ALLOW_ALL_ORIGINS", 1, False, id="1"),
        pytest.param("WSORIGIN_REPORT_ONLY", "true", False, id="'true'"),
        pytest.param(
            "WSORIGIN_MISSING_ORIGIN", "alow", MissingOrigin.DENY, id="typo: missing"
        ),
        pytest.param("WSORIGIN_DENY_WITH", "clsoe", "http", id="typo: deny with"),
        pytest.param("WSORIGIN_DENY_WITH", "close", "close", id="close"),
    ],
)
def test_wrong_values_read_as_the_strictest(
    name: str, value: Any, reads_as: Any
) -> None:
    """A wrong type or choice trusts nobody; the checks report it."""
    with override_settings(**{name: value}):
        assert getattr(conf, name) == reads_as
