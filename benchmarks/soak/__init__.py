"""
A soak: a site under everyday load for an hour, and whether it is then as it was.

``python -m benchmarks.soak``; what one handshake costs is measured elsewhere.
"""
