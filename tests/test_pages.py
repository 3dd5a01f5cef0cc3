"""The built pages in a browser, from a folder (file://), with the network refused, on a narrow phone."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMES = re.findall(r"book/([\w-]+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
HEAVIEST, WHOLE = 3e6, 4e6
"""Bytes that a page asks for when it is opened, and with all pictures, which are loaded as the reader comes near them."""


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_page(html, browser, name):
    """Nothing asked of the network, nothing on the console, math rendered, alternative texts, no sideways scroll, light, accessible."""
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    context = browser.new_context(viewport={"width": 360, "height": 800})
    context.set_default_timeout(120_000)  # for a machine that has much else to do
    page, complaints, weight = context.new_page(), [], {}
    context.route(
        re.compile("^(http|ws)"), lambda route: (complaints.append(f"asked for {route.request.url}"), route.abort())
    )
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"did not get {request.url}"))

    def weigh(request):
        file = Path(re.sub(r"^file://|[?#].*", "", request.url))
        weight[file.name] = file.stat().st_size if file.is_file() else 0

    page.on("request", weigh)
    page.goto((html / "book" / f"{name}.html").as_uri(), wait_until="networkidle")
    page.wait_for_function("[...document.querySelectorAll('.math')].every((e) => e.querySelector('mjx-container'))")
    opened = sum(weight.values())
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_function("[...document.images].every((i) => i.complete)")
    beside = ".tl-figures img, .tl-small"  # small pictures that say nothing that is not beside them in words
    bad = "(beside) => [...document.images].filter((i) => !(i.alt || i.matches(beside)) || !i.naturalWidth).map((i) => i.src)"
    assert page.evaluate(bad, beside) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    parts = page.evaluate("[...document.querySelectorAll('script[src*=\"/lab/\"]')].map((s) => new URL(s.src).search)")
    assert len(set(parts)) == 1 and re.fullmatch(r"\?v=\w{8}", parts[0]), (
        "an old part in a browser's cache is not taken for a new one"
    )
    assert page.locator(".copybtn:not([aria-label])").count() == 0
    page.evaluate(axe)
    found = page.evaluate("axe.run({preload: false, resultTypes: ['violations']})")["violations"]
    serious = [
        (f["id"], [n["html"][:200] for n in f["nodes"]]) for f in found if f["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert complaints == []
    heaviest = sorted(weight.items(), key=lambda item: -item[1])[:5]
    assert opened < HEAVIEST and sum(weight.values()) < WHOLE, heaviest
    context.close()


@pytest.mark.slow
def test_search(html, browser):
    """From the field of a page to the page of results, which alone loads the words of the book."""
    page = browser.new_page()
    page.goto((html / "book" / "intermittency.html").as_uri())
    assert page.locator("script[src*=searchindex]").count() == 0
    page.locator("button.search-button__button:visible").first.click()
    page.locator("input[type=search]:visible").fill("Lyapunov")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=Lyapunov*")
    page.wait_for_function("document.querySelectorAll('#search-results li').length > 3", timeout=60_000)
    page.close()
