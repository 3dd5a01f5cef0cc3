"""The whole book as one PDF: the built pages, joined into one page, printed by Chromium, with bookmarks and links that lead inside.

`make_pdf.py HTML FILE`. The laboratories are shown one after the other first, so that each has run when it is printed.
"""

import re
import shutil
import sys
from pathlib import Path

from contents import chapter_numbers, listed
from furniture import written
from playwright.sync_api import Error, sync_playwright

LEFT_OUT = "figures", "api", "benchmarks"
"""Pages to look things up in, which is easier on a screen."""
PATIENCE = 60_000
"""Milliseconds for a laboratory."""
FOOT = '<div style="font-size: 8px; width: 100%; text-align: center"><span class="pageNumber"></span></div>'


def article(file: Path, name: str, inside: list[str]) -> str:
    """What is read of a page, with anchors that no other page has, and links between the pages made links to those."""
    text = written(file.read_text(encoding="utf-8")) + "</article>"
    text = re.sub(r'(?<=\s)id="([^"]+)"', rf'id="{name}--\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}--\1"', text)
    pages = "|".join(inside)
    text = re.sub(rf'href="({pages})\.html#([^"]+)"', r'href="#\1--\2"', text)
    text = re.sub(rf'href="({pages})\.html"', r'href="#\1--page"', text)
    text = re.sub(rf' href="(?:{"|".join(LEFT_OUT)})\.html[^"]*"', "", text)  # which is not in the file
    return f'<div id="{name}--page">{text}</div>'


def joined(html: Path) -> Path:
    """The page of all pages: the frame is that of the first."""
    inside = [name for name in listed() if name not in LEFT_OUT]
    articles = "\n<div style='break-before: page'></div>\n".join(
        article(html / "book" / f"{name}.html", name, inside) for name in inside
    )
    frame = (html / "book" / f"{next(iter(chapter_numbers()))}.html").read_text(encoding="utf-8")
    start, stop = frame.index('<article class="bd-article"'), frame.index("</article>") + len("</article>")
    target = html / "book" / "whole.html"
    target.write_text(frame[:start] + articles + frame[stop:], encoding="utf-8")
    return target


def main() -> None:
    html, target = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("make pdf needs Chromium (Debian: apt install chromium)")
    whole = joined(html)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(
                viewport={"width": 1000, "height": 1200},
                color_scheme="light",
                reduced_motion="reduce",
                bypass_csp=True,  # Playwright waits by evaluating text in the page
            )
            page.set_default_timeout(10 * PATIENCE)
            page.goto(whole.as_uri())
            page.wait_for_function(
                "[...document.querySelectorAll('.math')].every((e) => e.querySelector('mjx-container'))"
            )
            page.evaluate("for (const image of document.images) image.loading = 'eager'")
            page.wait_for_function("[...document.images].every((image) => image.complete)")
            for number in range(page.evaluate("self.trajlab ? trajlab.panels.size : 0")):
                page.evaluate("(k) => [...trajlab.panels][k].scrollIntoView({block: 'center'})", number)
                try:
                    page.wait_for_function(
                        "(k) => [...trajlab.panels][k].hasAttribute('finished')", arg=number, timeout=PATIENCE
                    )
                except Error:
                    print(
                        f"laboratory {number + 1} had not finished after {PATIENCE // 1000} s: a sentence takes its place"
                    )
            margin = dict.fromkeys(("left", "right"), "1.8cm") | dict.fromkeys(("top", "bottom"), "1.6cm")
            page.pdf(
                path=target, format="A4", margin=margin, print_background=True, outline=True, tagged=True,
                display_header_footer=True, header_template="<span></span>", footer_template=FOOT,
            )  # fmt: skip
            browser.close()
    finally:
        whole.unlink()
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
