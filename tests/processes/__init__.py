"""A site that several processes serve, on one database."""
