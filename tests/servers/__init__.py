"""Real ASGI servers, sites for them to serve, and raw clients to ask them."""
