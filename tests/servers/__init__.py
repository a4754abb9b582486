"""Real ASGI servers, an application to serve, and raw clients to ask them."""
