"""
One target under libFuzzer, with the package instrumented: see ``python -m tests.fuzz``.
"""

from __future__ import annotations

import logging
import os
import sys

import atheris
import django

from .run import LONGEST
from .targets import load


def main() -> None:  # pragma: no cover  # libFuzzer ends the process, unmeasured
    """Fuzz the target that the command line names, until libFuzzer has had enough."""
    name, *flags = sys.argv[1:]
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    # What a stranger's handshakes would write is tested elsewhere.
    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=["wsorigin"]):
        django.setup()
        target = load(name)
    how = (f"-max_len={LONGEST}", "-use_value_profile=1", "-reduce_inputs=0")
    atheris.Setup([name, *how, *flags], target)
    atheris.Fuzz()
