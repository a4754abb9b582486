"""
What wsorigin should say, worked out slowly and obviously, from any octets at all.

It shares no parser, no index and no regular expression with the package: one character,
one label and one entry at a time, as the specifications put it.
"""
