"""Shared by the tests of the laboratory in the pages: a page that holds one, and numbers that come back from it with all their bits."""

import sys
import time
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
    """Wait until the run of the values that are set now has ended, and is drawn. (That one has begun is nothing to wait for: it may be over
    before the next look.)"""
    element = f"document.querySelector('{selector}')"
    page.wait_for_function(f"{element}?.hasAttribute('finished') && !{element}.changedSince", timeout=timeout)
    drawn(page, selector)


def drawn(page, selector="trajectory-lab"):
    """Wait for a drawing of what is there now; figures are drawn with a frame that comes."""
    page.evaluate(
        """(selector) => new Promise((done) => {
            const panel = document.querySelector(selector), render = Object.getPrototypeOf(panel).render;
            panel.render = function () {
                delete this.render;
                try { render.call(this); } finally { done(); }
            };
            panel.redraw();
        })""",
        selector,
    )


def at_rest(page, expression, quiet=500, timeout=60_000):
    """The value of an expression, once it has been the same for so many milliseconds."""
    value, since, until = page.evaluate(expression), time.monotonic(), time.monotonic() + timeout / 1000
    while time.monotonic() - since < quiet / 1000:
        page.wait_for_timeout(50)
        now = page.evaluate(expression)
        if now != value:
            value, since = now, time.monotonic()
        assert time.monotonic() < until, f"still moving after {timeout / 1000:.0f} s: {expression}"
    return value
