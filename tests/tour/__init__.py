"""
A tour of the admin: one site with something of everything, and each page of ours on it.

Who looks at the pages, at their language, their accessibility or their looks, is
elsewhere.
"""
