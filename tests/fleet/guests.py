"""
Guests: sockets opened by each kind of right, some of which will end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, NamedTuple

from wsorigin.denial import (
    CLOSE_CREDENTIAL,
    CLOSE_EXPIRED,
    CLOSE_ORIGIN,
    CLOSE_REVOKED,
)

from .crowd import ABNORMAL, Crowd, Member, codes
from .servers import TIMEOUT, Fleet

SITE: Final = "http://site.example"
PATHS: Final = ("/async/", "/sync/")
OFF_LAYER: Final = ("/async/off-layer/", "/sync/off-layer/")
DOOMED: Final = [f"https://doomed-{number}.example" for number in range(20)]
KEPT: Final = "https://kept.example"
# Of the closing frames Daphne may lose so many on a machine that is overloaded: the
# time-out of the closing handshake is rounded down to a whole second, and what was sent
# in that moment is cut off (see `wsorigin.live.watcher`). Of a few it loses none.
CUT_OFF: Final = 0.1

_numbers: Final = count()


@dataclass
class Guests:
    """
    A crowd in groups, and what opened the sockets of three of them.

    ``members`` has the groups ``token``, ``origin`` and ``session``, whose right is to
    end, and beside each one that looks the same and has to stay, ``other ...``. A group
    that was seen to end is no longer among them.
    """

    fleet: Fleet
    crowd: Crowd
    user: str
    token: int
    origin: str
    session: str
    members: dict[str, list[Member]]

    @classmethod
    def gather(
        cls,
        fleet: Fleet,
        crowd: Crowd,
        shares: dict[str, int],
        paths: Sequence[str] = PATHS,
    ) -> Guests:
        """Open sockets, each group in turn on each server and each of the paths."""
        number = next(_numbers)
        user, operator = f"user-{number}", fleet.operator
        operator("add_user", name=user)
        token, text = operator("mint", user=user)
        _, other_text = operator("mint", user=user)
        origin = DOOMED[number % len(DOOMED)]
        session, other = (operator("log_in", name=user) for _ in range(2))
        rights: dict[str, dict[str, Any]] = {
            "token": {"origin": None, "Authorization": f"Bearer {text}"},
            "other token": {"origin": None, "Authorization": f"Bearer {other_text}"},
            "origin": {"origin": origin},
            "other origin": {"origin": KEPT},
            "session": {"origin": SITE, "Cookie": f"sessionid={session}"},
            "other session": {"origin": SITE, "Cookie": f"sessionid={other}"},
        }
        members = {
            group: [
                member
                for path in paths
                for member in crowd.open(
                    fleet.addresses,
                    path,
                    shares[group] // len(paths),
                    **right,
                )
            ]
            for group, right in rights.items()
        }
        guests = cls(fleet, crowd, user, token, origin, session, members)
        assert not guests.anybody_closed(), (codes(guests.all()), fleet.logs())
        return guests

    def all(self) -> list[Member]:
        """Return everybody."""
        return [member for group in self.members.values() for member in group]

    def anybody_closed(self) -> bool:
        """Whether any of the sockets is not open."""
        return not all(member.is_open for member in self.all())

    def see(self, ending: Ending, within: float) -> float:
        """
        End something; see exactly its groups closed, on both sides of the wire.

        Returns the seconds from before it was done to the last close.
        """
        groups, code, end = ending
        doomed = [member for name in groups for member in self.members.pop(name)]
        stay = self.all()
        expected = self.fleet.ended()
        expected.update((member.path.split("/")[1], code) for member in doomed)
        started = time.perf_counter()  # as of the clients
        with ThreadPoolExecutor(1) as other:
            # In a thread: Daphne drops a peer that does not answer a close in a second.
            done = other.submit(end, self)
            self.crowd.wait(lambda: not any(m.is_open for m in doomed), within)
        done.result()

        found = codes(doomed)
        assert set(found) <= {code, ABNORMAL}, (found, self.fleet.logs())
        assert found[code] >= len(doomed) * (1 - CUT_OFF), (found, self.fleet.logs())
        assert self.crowd.answers(stay), codes(stay)
        assert self.crowd.wait(lambda: self.fleet.ended() == expected, TIMEOUT)
        return max(member.closed_at for member in doomed) - started


class Ending(NamedTuple):
    """What ends rights: the groups that rest upon it, the code, and how it is done."""

    groups: Sequence[str]
    code: int
    end: Callable[[Guests], object]


USERS_SESSIONS: Final = ["session", "other session"]

REVOKED: Final = Ending(
    ["token"], CLOSE_REVOKED, lambda g: g.fleet.operator("revoke", pk=g.token)
)
EXPIRED: Final = Ending(
    ["token"], CLOSE_EXPIRED, lambda g: g.fleet.operator("expire_token", pk=g.token)
)
DISTRUSTED: Final = Ending(
    ["origin"], CLOSE_ORIGIN, lambda g: g.fleet.operator("distrust", origin=g.origin)
)
LOGGED_OUT: Final = Ending(
    ["session"], CLOSE_CREDENTIAL, lambda g: g.fleet.log_out(g.session)
)
SESSION_DELETED: Final = Ending(
    ["session"],
    CLOSE_CREDENTIAL,
    lambda g: g.fleet.operator("delete_session", key=g.session),
)
SESSION_EXPIRED: Final = Ending(
    ["session"],
    CLOSE_CREDENTIAL,
    lambda g: g.fleet.operator("expire_session", key=g.session),
)
PASSWORD_CHANGED: Final = Ending(
    USERS_SESSIONS,
    CLOSE_CREDENTIAL,
    lambda g: g.fleet.operator("set_password", name=g.user),
)
USER_DEACTIVATED: Final = Ending(
    ["token", "other token", *USERS_SESSIONS],
    CLOSE_CREDENTIAL,
    lambda g: g.fleet.operator("deactivate", name=g.user),
)
DISCONNECTED: Final = Ending(
    USER_DEACTIVATED.groups,
    CLOSE_CREDENTIAL,
    lambda g: g.fleet.operator("disconnect", name=g.user),
)
