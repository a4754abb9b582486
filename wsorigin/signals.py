"""
The signals of wsorigin, for metrics and alarms.

A receiver learns what happened; it cannot change the answer or hold it up.
"""

from django.dispatch import Signal

#: Sent for each handshake that the guard decided. Arguments: ``handshake`` (Handshake),
#: ``decision`` (Decision), ``enforced`` (bool: False where a denial was only reported).
#: The sender is OriginGuard. Sent after the answer, from a task of its own, so that a
#: slow receiver delays nobody; coroutine functions are the cheaper receivers, since
#: Django runs the others in a thread. What a receiver raises is logged by Django.
handshake_checked = Signal()

#: Sent when the site's policy has become another one. Arguments: ``old`` and ``new``
#: (fingerprints, str; ``old`` is "" the first time). The sender is Policy.
policy_changed = Signal()

#: Sent in the process that changed trusted origins, after the commit. Other processes
#: find out by themselves. The sender is TrustedOrigin.
trusted_origins_changed = Signal()

#: Sent in the process that ended a right, after the commit, and a hint: whoever hears
#: it looks. Arguments: ``what`` ("token", "user", "session", "disconnection") and ``key``.
#: Other processes find out by themselves. The sender is ConnectionToken.
standing_changed = Signal()
