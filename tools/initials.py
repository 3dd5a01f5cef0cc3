"""A Sphinx extension: a line of a docstring that begins with an initial ("R. A. Fisher ...") is no item of a list."""

import re


def escape(app, what, name, obj, options, lines) -> None:
    """Put a backslash before a capital and a full stop at the beginning of a line."""
    lines[:] = [re.sub(r"^(\s*)([A-Z]\. )", r"\1\\\2", line) for line in lines]


def setup(app) -> dict:
    app.connect("autodoc-process-docstring", escape)
    return {"parallel_read_safe": True}
