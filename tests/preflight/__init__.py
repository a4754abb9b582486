"""A site whose WebSocket routes have pages over HTTP too, and servers for it."""
