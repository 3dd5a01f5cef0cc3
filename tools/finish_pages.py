"""A Sphinx extension: what Jupyter Book and its theme leave to be done on every page, so that it is light, quiet and accessible."""

import hashlib
import html
import re
from pathlib import Path

import licences
import page_figures
from policy import with_policy

LEFT_OUT = (
    r"\s*<script>const THEBE_JS_URL.*?</script>",  # for live kernels, which these pages have none of; given twice, an error
    r"\s*<script[^>]*sphinx-thebe\.js[^>]*></script>",
    r"\s*<link[^>]*sphinx-thebe\.css[^>]*>",
    r"\s*<script[^>]*scripts/fontawesome\.js[^>]*></script>",  # 1.5 MB; the icons of the theme are in its web font
)
SEARCH = r'\s*<script src="[./]*(searchindex|_static/searchtools|_static/language_data)\.js[^>]*></script>'
"""Sphinx's own search, which asks for a page to show what it has found there; furniture.py has another."""
CHANGED = (
    # a figure that scrolls on a phone must be reachable by the keyboard
    (r'<figure class="align-default" id=', '<figure class="align-default" tabindex="0" id='),
    # the list of references has anchors between its items, which a list may not have
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
    (r'<div class="citation" ([^>]*?)role="doc-biblioentry">', r'<div class="citation" \1>'),
)
UNNAMED = ('<button class="copybtn ', '<button aria-label="Copy to clipboard" class="copybtn ')
"""In the theme's script for the buttons beside code: their name is the title of a drawing, which WebKit does not display."""

ENTRY = re.compile(r'class="toc-h2 nav-item toc-entry"><a class="[^"]*" href="(#[^"]+)">(.*?)</a>', re.DOTALL)


def with_contents(page: str) -> str:
    """Where a screen has no room for the list of sections beside the text, it is folded up below the title."""
    entries = ENTRY.findall(page)
    if len(entries) < 3 or "bd-sidebar-secondary" not in page:
        return page
    items = "".join(f'<li><a href="{target}">{title}</a></li>' for target, title in entries)
    contents = f'<details class="tl-contents"><summary>On this page</summary><ul>{items}</ul></details>'
    return page.replace("</a></h1>", f"</a></h1>\n{contents}", 1)


TABLE = re.compile(r'<table class="table">(\s*<thead>.*?</table>)', re.DOTALL)
ROW = re.compile(r"<tr class=[^>]*><td>(.*?)</td>(.*?)</tr>", re.DOTALL)
ROLES = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "td": "cell"}


def stacked(table: re.Match) -> str:
    """A table of the text, so marked that tables.css can make each row a list of its own on a phone, as it does with those of the code; the
    roles are what a browser no longer sees in it then."""
    names = [
        html.unescape(re.sub("<.*?>", "", name)) for name in re.findall(r"<th [^>]*>(.*?)</th>", table[1], re.DOTALL)
    ]

    def listed(row: re.Match) -> str:
        labels = iter(names[1:])

        def labelled(cell: re.Match) -> str:
            label = next(labels)
            return f'<td data-label="{html.escape(label)}">{cell[1]}' if cell[1] != "<p></p>" else "<td>"

        cells = re.sub(r"<td>(.*?)(?=</td>)", labelled, row[2], flags=re.DOTALL)
        return f'<tr><th scope="row" role="rowheader">{row[1]}</th>{cells}</tr>'

    text = f'<table class="table tl-stack">{ROW.sub(listed, table[1])}'.replace(
        "<th class", '<th scope="col" role="columnheader" class'
    )
    return re.sub(r"<(table|thead|tbody|tr|td)\b", lambda tag: f'{tag[0]} role="{ROLES[tag[1]]}"', text)


def escape_initials(app, what, name, obj, options, lines) -> None:
    """A line of a docstring that begins with an initial ("R. A. Fisher ...") is no item of a list."""
    lines[:] = [re.sub(r"^(\s*)([A-Z]\. )", r"\1\\\2", line) for line in lines]


def finish(app, exception) -> None:
    """Go over the pages once more."""
    if exception or app.builder.format != "html":
        return
    laboratory = hashlib.sha256(b"".join(f.read_bytes() for f in sorted(Path(app.outdir, "_static", "lab").iterdir())))
    # A browser that knows an older book must not mix its parts with the new ones.
    version = (r"(?<=lab/load\.js\?v=)\w+", laboratory.hexdigest()[:8])
    narrow = page_figures.narrow_versions(
        Path(app.srcdir, app.config.nb_execution_cache_path or "_build/.jupyter_cache")
    )
    for page in Path(app.outdir).rglob("*.html"):
        text = before = page.read_text(encoding="utf-8")
        for pattern in (*LEFT_OUT, SEARCH):
            text = re.sub(pattern, "", text)
        for pattern, replacement in (*CHANGED, version):
            text = re.sub(pattern, replacement, text)
        text = TABLE.sub(stacked, text)
        text = page_figures.with_light_figures(text, page.parent, narrow)
        text = licences.with_link(with_policy(text))
        if "tl-contents" not in text:
            text = with_contents(text)
        if text != before:
            page.write_text(text, encoding="utf-8")
    copying = Path(app.outdir, "_static", "copybutton.js")
    copying.write_text(copying.read_text(encoding="utf-8").replace(*UNNAMED), encoding="utf-8")
    licences.write(Path(app.outdir))
    for figure in Path(app.outdir, "_images").glob("*.png"):
        picture = figure.read_bytes()
        if (lighter := page_figures.palette(picture)) != picture:
            figure.write_bytes(lighter)


def setup(app) -> dict:
    app.connect("autodoc-process-docstring", escape_initials)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True}
