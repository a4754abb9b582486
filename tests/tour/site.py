"""
The site, served: the demo's application and its attacker, at a time that stands still.

``python -m tests.tour.site`` prints its two ports and a session of the admin's; its
pages say 8000 and 8001, whichever they are.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Final

import django
from django.utils import timezone

from project import demo

NOW: Final = datetime(2027, 3, 17, 14, 30, tzinfo=UTC)
SITE_PORT: Final = "8000"
ATTACK_PORT: Final = "8001"


def main() -> None:
    """Fill a new database, print how to get in, serve until Ctrl-C."""
    # Before there are models, whose defaults keep the function that they find.
    timezone.now = lambda: NOW
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.tour.settings"
    os.environ["ATTACK_PORT"] = ATTACK_PORT
    django.setup()

    from django.core.management import call_command
    from django.template.loader import render_to_string

    from project.consumers import market
    from tests.servers.logins import log_in
    from wsorigin import credentials
    from wsorigin.models import TrustedOriginVersion, announce_change

    from .rows import seed

    market._stepped = math.inf  # prices that stand still, too
    credentials.secrets = Random(7)  # noqa: S311
    call_command("migrate", verbosity=0)
    session = log_in(seed())
    TrustedOriginVersion.objects.update(number=len("wsorigin"))
    announce_change()  # no trigger watches this table: pages would say what was before
    context = {"site_port": SITE_PORT, "unguarded_path": demo.UNGUARDED_PATH}
    page = render_to_string("attack.html", context)
    with demo.listen("DEMO_PORT", 0) as site, demo.listen("DEMO_PORT", 0) as attacker:
        demo.serve_page(page.encode(), attacker)
        ports = site.getsockname()[1], attacker.getsockname()[1]
        print(*ports, session, flush=True)
        demo.serve(demo.demo_application(), site)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
