"""
Make the tables of the site, and one publishable token; print what its client holds.

Run as ``python -m tests.secret_site``, with the settings of the site.
"""

from datetime import timedelta

import django
from django.core.management import call_command

django.setup()
call_command("migrate", verbosity=0)

from wsorigin import tokens  # noqa: E402  # after the app registry
from wsorigin.credentials import TokenKind  # noqa: E402

_, text = tokens.mint(
    TokenKind.PUBLISHABLE,
    name="for the tests",
    origins=["https://app.example"],
    expires_in=timedelta(days=1),
)
print(text)
