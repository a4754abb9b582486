"""
The admin: trusted origins, the policy that they are part of, and what was denied.

It shows and asks; deciding is the policy's, and reading lists is the sources'.
"""

from .denied import DeniedHandshakeAdmin
from .trusted import TrustedOriginAdmin

__all__ = ["DeniedHandshakeAdmin", "TrustedOriginAdmin"]
