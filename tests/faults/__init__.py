"""A site to which something happens, and the means to let it happen."""
