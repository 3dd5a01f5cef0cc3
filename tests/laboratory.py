"""Shared by the tests of the laboratory in the pages: a page that holds one, and numbers that come back from it with all their bits."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from lab_bits import BYTES as BYTES
from lab_bits import floats as floats
from policy import META

LAB = Path(__file__).parents[1] / "book" / "_static" / "lab"
PAGE = f"""<!doctype html><html lang="en"><meta charset="utf-8">{META}<meta name="viewport" content="width=device-width">
<title>Laboratory</title><script defer src="{{lab}}/load.js"></script><body>{{body}}</body></html>"""
"""A page under the policy of the built ones, so that every test of the laboratory is one of that too."""
ALL_PARTS = (
    "<trajectory-lab hidden></trajectory-lab><golden-check hidden></golden-check><curve-lead hidden></curve-lead>"
)


def finished(page, selector="trajectory-lab", timeout=120_000):
    page.wait_for_selector(f"{selector}[finished]", timeout=timeout)
    page.wait_for_timeout(100)
