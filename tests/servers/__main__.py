"""
Make the database of the served site, with one trusted origin and one token in it.

Run as ``python -m tests.servers``, with the settings of the site.
"""

import django
from django.core.management import call_command

django.setup()
call_command("migrate", verbosity=0)

from wsorigin.models import (  # noqa: E402  # after the app registry
    ConnectionToken,
    TrustedOrigin,
)

from .settings import TOKEN  # noqa: E402

TrustedOrigin.objects.create(pattern="https://row.example", note="for the tests")
ConnectionToken.objects.create(
    kind=TOKEN.kind,
    public_id=TOKEN.public_id,
    digest=TOKEN.digest,
    name="for the tests",
)
