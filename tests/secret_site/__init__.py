"""A site with users, sessions and tokens, as every kind of server serves it."""
