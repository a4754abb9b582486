"""
Views over HTTP: what a page may ask before it opens a socket, and its ticket.

They ask the guards of the WebSocket routes, and decide nothing themselves.
"""

from .handshake import HandshakeView, handshake_urls
from .ticket import TicketView

__all__ = ["HandshakeView", "TicketView", "handshake_urls"]
