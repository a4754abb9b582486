"""
The origins of one endpoint: read, checked, and compiled into a policy of its own.

Who may open it is the policy's to decide.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

from .conf import is_list
from .origins import InvalidOrigin
from .patterns import OriginPattern
from .policy import SITE, Policy, Rule

logger = logging.getLogger(__name__)

Origins = Sequence[str]

# One for each endpoint; one for each tenant where a hook gives the list.
_MAX_ENDPOINT_POLICIES: Final = 1024


class CheckedOrigins(tuple[str, ...]):
    """
    An endpoint's list, read once.

    No handshake walks it: it keeps its policy, and its hash.
    """

    _compiled: tuple[Policy, Policy] | None = None
    _hash = 0

    def __hash__(self) -> int:
        self._hash = self._hash or super().__hash__()
        return self._hash

    def policy(self, site: Policy, name: str) -> Policy:
        """Return the policy of this list, compiled anew where the site's is another."""
        compiled = self._compiled
        if compiled is None or compiled[0] is not site:
            compiled = self._compiled = site, endpoint_policy(site, tuple(self), name)
        return compiled[1]


def checked_origins(origins: Any, name: str) -> CheckedOrigins:
    """
    Return an ``allowed_origins`` attribute as a tuple of readable patterns.

    Raises ImproperlyConfigured, naming the entry, for anything else.
    """
    if isinstance(origins, CheckedOrigins):
        return origins
    where = f"{name}.allowed_origins"
    if not is_list(origins):
        raise ImproperlyConfigured(
            f"{where} is {origins!r}, not a list of origins. Write one, such as "
            "[SITE, 'https://app.example.com']."
        )
    for index, origin in enumerate(origins):
        try:
            read_pattern(origin)
        except InvalidOrigin as exc:
            raise ImproperlyConfigured(
                f"{where}[{index}] is {origin!r}: {exc.problem}. {exc.remedy}"
            ) from exc
    return CheckedOrigins(origins)


def read_pattern(entry: Any) -> OriginPattern | None:
    """Read one entry of an endpoint's list; None stands for `SITE`."""
    return None if entry == SITE else OriginPattern.parse(entry)


def endpoint_policy(site: Policy, origins: Origins | None, name: str) -> Policy:
    """
    Return the compiled policy of an endpoint.

    Remembered by value, with the site's policy that it builds upon: two mounts of one
    consumer with different lists stay apart, two with the same list share.
    """
    if origins is None:
        return site
    if isinstance(origins, CheckedOrigins):
        return origins.policy(site, name)
    key = (name, *origins)
    policy = site.endpoints.get(key)
    if policy is None:
        rules = []
        for index, origin in enumerate(origins):
            source = f"{name}.allowed_origins[{index}]"
            try:
                pattern = read_pattern(origin)
            except InvalidOrigin as exc:
                logger.error("%s trusts nobody: %s", source, exc)
            else:
                if pattern:
                    rules.append(Rule(pattern, source))
        if len(site.endpoints) >= _MAX_ENDPOINT_POLICIES:
            site.endpoints.clear()
        policy = site.narrowed_to(rules, with_site=SITE in origins)
        site.endpoints[key] = policy
    return policy
