"""A fleet: processes that serve one site to a crowd, and its operator beside them."""
