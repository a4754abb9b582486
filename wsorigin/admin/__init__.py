"""
The admin: trusted origins, the policy that they are part of, tokens, and denials.

It shows and asks; deciding is the policy's, and reading lists is the sources'.
"""

from .denied import DeniedHandshakeAdmin
from .tokens import ConnectionTokenAdmin
from .trusted import TrustedOriginAdmin

__all__ = ["ConnectionTokenAdmin", "DeniedHandshakeAdmin", "TrustedOriginAdmin"]
