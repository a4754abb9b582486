"""
Know which websites may open your WebSockets.

wsorigin checks the Origin of every WebSocket handshake of a Django Channels
project against one policy, made of the lists the project already has, and says
why it refused. Import from the modules; this package re-exports nothing.
"""

__version__ = "0.1.0"
