"""
Make the database of the served site, with one trusted origin in it.

Run as ``python -m tests.servers``, with the settings of the site.
"""

import django
from django.core.management import call_command

django.setup()
call_command("migrate", verbosity=0)

from wsorigin.models import TrustedOrigin  # noqa: E402  # after the app registry

TrustedOrigin.objects.create(pattern="https://row.example", note="for the tests")
