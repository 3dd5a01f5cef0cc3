"""A Sphinx extension: what needs all pages of the book when they are written, made from the pages themselves.

Each page that uses words of the glossary gets what they mean; the page "Figures" its list; the page of search results the words to search.
None of it is asked for later: a page that was opened from a folder (file://) may not ask for anything.
"""

import hashlib
import json
import re
from pathlib import Path

import page_figures
from bs4 import BeautifulSoup, Tag
from contents import chapter_numbers, listed
from PIL import Image

LINK = re.compile(r'href="glossary\.html#(term-[^"]+)"')
CARDS = re.compile(r'\s*<div class="tl-cards".*?<!-- end of cards -->', re.DOTALL)
INDEX = re.compile(r"<figure-index>.*?</figure-index>", re.DOTALL)
LISTED = re.compile(r"<chapter-list>.*?</chapter-list>", re.DOTALL)
ITEM = re.compile(r'<li><p><a class="reference internal" href="(?P<name>[\w-]+)\.html"')
SCRIPTS = re.compile(r'(\s*<script src="_static/search(?:-texts)?\.js[^>]*></script>)+')
LEFT_OUT = re.compile("headerlink|tl-contents|above-input|eqno")
THUMBNAIL = 360, 640
"""Pixels, at most: about twice what they are shown at. All of a figure is there, however tall it is."""
GREEK = dict(
    re.findall(
        r"(\w+) (\S)",
        "alpha α beta β delta δ Delta Δ epsilon ε varepsilon ε eta η kappa κ lambda λ Lambda Λ mu μ nu ν omega ω rho ρ "
        "sigma σ Sigma Σ tau τ theta θ xi ξ ell ℓ times × cdot · le ≤ ge ≥ sum Σ to → infty ∞ pm ± sim ~ approx ≈ nabla ∇",
    )
)


def written(page: str) -> str:
    """The article of a page, without the cards of the glossary."""
    return CARDS.sub("", page[page.index('<article class="bd-article"') : page.index("</article>")])


def read(file: Path) -> Tag:
    """The article of a built page, without what was not written for readers: code, and what strips of dots say in words beside them."""
    text = re.sub(r"<pre>.*?</pre>|<svg.*?</svg>", "", written(file.read_text(encoding="utf-8")), flags=re.DOTALL)
    article = BeautifulSoup(text, "html.parser").article
    for part in article(("script", "style", "details", "a", "span"), class_=LEFT_OUT) + article(("script", "style")):
        part.decompose()
    return article


# Glossary


def definitions(glossary: Tag) -> dict[str, tuple[str, str]]:
    """What each anchor of the glossary leads to: the word, and its definition as HTML."""
    found = {}
    for meaning in glossary.select("dl.glossary > dd"):
        word = meaning
        while (word := word.find_previous_sibling(["dt", "dd"])) and word.name == "dt":
            found[word["id"]] = (word.get_text(" ", strip=True), meaning.decode_contents().strip())
    return found


def with_cards(page: str, meanings: dict[str, tuple[str, str]]) -> str:
    """The definitions of the words that a page takes from the glossary, at its end and out of sight; terms.js shows them."""
    page = CARDS.sub("", page)
    used = sorted(set(LINK.findall(page)) & set(meanings))
    if not used:
        return page
    cards = "".join(
        f'<div class="tl-card" id="card-{name}" role="tooltip" hidden><b>{meanings[name][0]}</b>{meanings[name][1]}</div>\n'
        for name in used
    )
    return page.replace("</article>", f'\n<div class="tl-cards">{cards}</div><!-- end of cards --></article>', 1)


# Figures


def thumbnail(picture: Path, folder: Path) -> tuple[str, int, int]:
    """Name and size of a small copy of a figure."""
    target = folder / f"{picture.stem}.webp"
    if not target.exists() or target.stat().st_mtime < picture.stat().st_mtime:
        folder.mkdir(exist_ok=True)
        with Image.open(picture) as image:
            small = page_figures.on_white(image)
        small.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
        small.save(target, quality=80, method=6)
    with Image.open(target) as image:
        return f"{folder.name}/{target.name}", *image.size


def first_sentence(caption: Tag) -> str:
    """Of a caption, as HTML: the title before its panels, or up to the first full stop that ends a sentence and leaves enough to be told
    something, or all of it."""
    html = caption.decode_contents().strip()
    for stop in re.finditer(r"[.?](?=\s+(?:[A-Z(]|<))", html):
        start = html[: stop.end()]
        open_tags = len(re.findall(r"<[a-z]", start)) - start.count("</")
        titled = len(start) > 30 and html[stop.end() :].lstrip().startswith("(a") and "figure" not in start
        if open_tags or (len(start) < 45 and not titled):
            continue
        if start.count(r"\(") == start.count(r"\)") and not re.search(r"\b(?:[A-Z]|vs|Fig)\.$", start):
            return start
    return html


def figure_index(articles: dict[str, Tag], html: Path) -> str:
    """The list of all figures, by page, with a small picture each."""
    parts = []
    for name, article in articles.items():
        items = []
        for figure in article.select("figure[id]"):
            picture, caption = figure.find("img"), figure.select_one("figcaption .caption-text")
            if not (picture and caption and figure.select_one(".caption-number")) or not picture["src"].startswith(
                "../_images/"
            ):
                continue
            file, width, height = thumbnail(html / "book" / picture["src"], html / "_images" / "small")
            number = figure.select_one(".caption-number").get_text(strip=True)
            told = first_sentence(caption).replace('href="#', f'href="{name}.html#')
            items.append(
                f'<li><a href="{name}.html#{figure["id"]}"><img src="../_images/{file}" width="{width}" height="{height}" alt="" '
                f'loading="lazy"><b>{number}</b></a> <span>{told}</span></li>'
            )
        if items:
            title = article.find("h1").decode_contents().strip()
            parts.append(f'<section><h2>{title}</h2><ul class="tl-figures">{"".join(items)}</ul></section>')
    return f"<figure-index>{''.join(parts)}</figure-index>"


def chapter_pictures(intro: str, articles: dict[str, Tag], html: Path) -> str:
    """The first page's list of chapters, with the first figure of each beside it."""

    def pictured(item: re.Match) -> str:
        figure = articles[item["name"]].select_one("figure[id] img")
        file, width, height = thumbnail(html / "book" / figure["src"], html / "_images" / "small")
        picture = (
            f'<img class="tl-small" src="../_images/{file}" width="{width}" height="{height}" alt="" loading="lazy">'
        )
        return item[0].replace("<p>", f"{picture}<p>", 1)

    return LISTED.sub(lambda found: ITEM.sub(pictured, found[0]), intro)


# Search


def words_of(formula: str) -> str:
    """A formula as far as a line of text can hold it."""
    formula = re.sub(
        r"\\(?:text|mathrm|operatorname|[dt]?frac|sqrt|left|right|[bB]igl?r?)\b|\\(?:begin|end)\{\w+\}", " ", formula
    )
    formula = re.sub(r"\\([A-Za-z]+)", lambda found: GREEK.get(found[1], " "), formula)
    return re.sub(r"\\.|[{}$_&]", "", formula)


def plain(part: Tag) -> str:
    """The words of a part of a page."""
    text = re.sub(r"\s+", " ", part.get_text(" "))
    return re.sub(r" ([.,;:)\]])", r"\1", re.sub(r"([(\[]) ", r"\1", text)).strip()


def sections(name: str, article: Tag) -> list[list[str]]:
    """The sections of a page, a word of the glossary and an object of the API being one each: anchor, title, text."""
    for formula in article(class_="math"):
        formula.string = words_of(formula.get_text())
    entries = []
    for entry in reversed(article.select("dl.glossary > dd, dl.py > dd")):
        word = entry.find_previous_sibling("dt")
        if anchor := word.get("id", ""):
            path = anchor.split(".")[1:]
            title = ".".join(path[-2:] if len(path) > 1 and path[-2][0].isupper() else path[-1:]) or plain(word)
            entries.append([anchor, title, plain(entry)])
    for entry in article.select("dl.glossary, dl.py"):
        entry.decompose()
    found = []
    for section in article.select("section[id]"):
        heading = section.find(["h1", "h2", "h3"], recursive=False)
        if heading is not None:
            rest = [
                part for part in section.find_all(True, recursive=False) if part.name not in ("section", heading.name)
            ]
            title = re.sub(r"^\d+\. ", "", plain(heading))
            found.append(
                ["" if heading.name == "h1" else section["id"], title, " ".join(filter(None, map(plain, rest)))]
            )
    return found + entries[::-1]


def search_texts(articles: dict[str, Tag]) -> str:
    """A script with the words of all pages: for each page its file, its number, its title and its sections."""
    numbers = chapter_numbers()
    pages = [
        {
            "file": f"book/{name}.html",
            "chapter": numbers.get(name, 0),
            "kind": "chapter" if name in numbers else name if name in ("glossary", "api") else "reference",
            "sections": sections(name, article),
        }
        for name, article in articles.items()
        if name not in ("figures", "bibliography")
    ]
    return f"var searchTexts = {json.dumps(pages, ensure_ascii=False, separators=(',', ':'))};\n"


def version(file: Path) -> str:
    return f"{file.name}?v={hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"


def finish(app, exception) -> None:
    if exception or app.builder.format != "html":
        return
    html = Path(app.outdir)
    files = {name: html / "book" / f"{name}.html" for name in listed()}
    articles = {name: read(file) for name, file in files.items() if file.exists()}
    meanings = definitions(articles["glossary"]) if "glossary" in articles else {}
    index = figure_index(articles, html)
    for name in articles:
        before = files[name].read_text(encoding="utf-8")
        text = with_cards(before, meanings)
        if name == "figures":
            text = INDEX.sub(lambda _: index, text)
        if name == "intro" and "tl-small" not in text:
            text = chapter_pictures(text, articles, html)
        if text != before:
            files[name].write_text(text, encoding="utf-8")
    texts = html / "_static" / "search-texts.js"
    texts.write_text(search_texts(articles), encoding="utf-8")
    results = html / "search.html"
    scripts = [f'<script src="_static/{version(file)}"></script>' for file in (texts, html / "_static" / "search.js")]
    text = SCRIPTS.sub("", results.read_text(encoding="utf-8"))
    results.write_text(
        text.replace("</body>", "".join(f"\n{script}" for script in scripts) + "\n</body>"), encoding="utf-8"
    )


def setup(app) -> dict[str, bool]:
    app.connect("build-finished", finish, priority=900)  # after finish_pages
    return {"parallel_read_safe": True, "parallel_write_safe": True}
