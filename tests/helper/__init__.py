"""A site whose pages use the browser helper, and the proxies that stand before it."""
