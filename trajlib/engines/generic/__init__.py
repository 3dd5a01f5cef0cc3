"""Engines for maps of the user's own."""
