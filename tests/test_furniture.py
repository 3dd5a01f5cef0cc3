"""What stands around the text of the built pages: glossary cards, enlarged figures, their index, numbers, search, print, one PDF."""

import re
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import contents  # noqa: E402
import finish_pages  # noqa: E402
import furniture  # noqa: E402
import make_pdf  # noqa: E402

pytestmark = pytest.mark.slow


def article(text):
    return BeautifulSoup(f'<article class="bd-article">{text}</article>', "html.parser").article


@pytest.fixture(scope="module")
def articles(html):
    return {name: furniture.read(html / "book" / f"{name}.html") for name in contents.listed()}


@pytest.fixture
def visit(html, browser):
    """visit(name, **options of the context) -> page; fails at the end if it said anything of a fault, or asked the network."""
    contexts, complaints = [], []

    def go(name, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(60_000)
        context.route(re.compile("^http"), lambda route: (complaints.append(route.request.url), route.abort()))
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{html.as_uri()}/{name}")
        return page

    yield go
    for context in contexts:
        context.close()
    assert complaints == []


def faults(page, selector):
    """What axe finds serious in a part of the page."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate(f"axe.run({selector!r}, {{preload: false, resultTypes: ['violations']}})")["violations"]
    return [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")]


# The pages as they are written


def test_chapters_alone_are_numbered(articles):
    numbers = contents.chapter_numbers()
    assert list(numbers.values()) == list(range(1, len(numbers) + 1)) and len(numbers) > 6
    for name, page in articles.items():
        title = page.h1.get_text()
        assert re.match(r"\d+\. ", title) is None if name not in numbers else title.startswith(f"{numbers[name]}. "), (
            title
        )
        found = [caption.get_text().split()[1] for caption in page.select("figcaption .caption-number")]
        if name in numbers:
            assert found == [f"{numbers[name]}.{k}" for k in range(1, len(found) + 1)]


def test_no_number_is_typed_by_hand():
    for page in (ROOT / "book").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r"figure \d+ of this (?:book|chapter)|(?<!paper’s )(?<!paper's )\b[Ff]ig\. \d", text), (
            page.name
        )
        labels, used = re.findall(r"\$\$ \((eq-[\w-]+)\)$", text, re.MULTILINE), re.findall(r"\{eq\}`([\w-]+)`", text)
        every = "".join(other.read_text(encoding="utf-8") for other in (ROOT / "book").glob("*.md"))
        assert all(f"{{eq}}`{label}`" in every for label in labels) and all(f"$$ ({u})" in every for u in used)


def test_every_chapter_says_its_run_time_in_the_same_words():
    for name in contents.chapter_numbers():
        text = (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
        assert (
            len(
                re.findall(
                    r"^\*\*Run time:\*\* (?:about|under) (?:a|one|two|three) minutes? on two cores\.",
                    text,
                    re.MULTILINE,
                )
            )
            == 1
        ), name


def test_words_of_the_glossary(articles, html):
    meanings = furniture.definitions(articles["glossary"])
    assert len(meanings) > 45
    for word, meaning in meanings.values():
        text = BeautifulSoup(meaning, "html.parser").get_text()
        assert len(re.findall(r"[.?]\)?(?: |$)", text.strip())) <= 3, word
    used = set()
    for name in contents.chapter_numbers():
        page = (html / "book" / f"{name}.html").read_text(encoding="utf-8")
        links, cards = set(furniture.LINK.findall(page)), set(re.findall(r'id="card-([^"]+)"', page))
        assert len(links) > 4 and links == cards, name
        used |= links
    assert {"term-edge-of-stability", "term-Lyapunov-exponent", "term-Theiler-window", "term-excess-risk"} <= used


def test_a_card_is_made_once_however_often_the_book_is_built():
    meanings = {"term-kappa": ("kappa", "<p>A number.</p>")}
    page = '<article><a href="glossary.html#term-kappa">κ</a> <a href="glossary.html#term-none">?</a></article>'
    once = furniture.with_cards(page, meanings)
    assert once.count('id="card-term-kappa"') == 1 and furniture.with_cards(once, meanings) == once
    assert furniture.with_cards("<article>none</article>", meanings) == "<article>none</article>"


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        ("Distances of five copies from the network they began at.", " Grey: copies."),
        ("The paper's figure 6. (a) All of the copies together.", " (b) One."),
        ("The way up, and back. Does it turn?", " (a) Up."),
        ("At lr = 0.05 copies of the first network, W. R. Ash's, part at once", ""),
    ],
)
def test_first_sentence(first, rest):
    assert furniture.first_sentence(article(f"<span>{first}{rest}</span>").span) == first


def test_index_has_every_figure(articles, html):
    shown = [link["href"] for link in articles["figures"].select("ul.tl-figures a:has(img)")]
    there = [
        f"{n}.html#{f['id']}"
        for n, a in articles.items()
        for f in a.select("figure[id]")
        if f.select_one(".caption-number")
    ]
    assert shown == there and len(shown) > 60
    for image in articles["figures"].select("ul.tl-figures img"):
        assert (html / "book" / image["src"]).stat().st_size < 40_000
    for item in articles["figures"].select("ul.tl-figures li"):  # all of it is seen, and what it is of is said
        page, _, anchor = item.a["href"].partition(".html#")
        with (
            Image.open(html / "book" / item.img["src"]) as small,
            Image.open(html / "book" / articles[page].find(id=anchor).img["src"]) as whole,
        ):
            assert small.height / small.width == pytest.approx(whole.height / whole.width, rel=0.03), anchor
        assert not item.span.get_text().startswith("("), f"{anchor}: what is the figure of, before its panel (a)?"


def test_tables_of_the_text_can_be_read_on_a_phone(visit):
    """Each value has the name of its column beside it, in its own half; nothing on the page scrolls sideways."""
    table = (
        '<table class="table">\n<thead><tr class="row-odd"><th class="head"><p>what</p></th>\n<th class="head"><p>a &amp; b</p></th>\n'
        '<th class="head"><p>mind</p></th></tr></thead>\n<tbody><tr class="row-even"><td><p>one</p></td>\n<td><p>both</p></td>\n'
        "<td><p></p></td></tr></tbody></table>"
    )
    found = BeautifulSoup(finish_pages.TABLE.sub(finish_pages.stacked, table), "html.parser")
    assert found.select_one("tbody th[scope=row]").get_text() == "one" and "tl-stack" in found.table["class"]
    assert [cell.get("data-label") for cell in found.select("td")] == ["a & b", None]
    for name in ("your-network", "benchmarks"):
        page = visit(f"book/{name}.html", viewport={"width": 360, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        under = """[...document.querySelectorAll("table.tl-stack td[data-label]")].filter((cell) => {
            const { left, width } = cell.getBoundingClientRect();
            return [...cell.children].some((part) => part.getBoundingClientRect().left < left + width / 2); }).length"""
        assert page.locator("table.tl-stack td[data-label]").count() > 20 and page.evaluate(under) == 0, name


def test_sections_to_search():
    page = article(
        '<section id="top"><h1>1. Top</h1><p>Of \\(<span class="math">\\(\\eta \\times t\\)</span>.</p>'
        '<section id="low"><h2>Low</h2><p>weight_decay</p></section></section>'
        '<dl class="py function"><dt id="trajlib.a.f">f(x)</dt><dd>Does.</dd></dl>'
    )
    found = furniture.sections("any", page)
    assert [part[:2] for part in found] == [["", "Top"], ["low", "Low"], ["trajlib.a.f", "f"]]
    assert "η × t" in found[0][2] and found[1][2] == "weight_decay" and found[2][2] == "Does."


def test_anchors_of_the_joined_pages(tmp_path):
    file = tmp_path / "one.html"
    file.write_text(
        '<article class="bd-article"><h2 id="a"><a href="#a">a</a> <a href="two.html#b">b</a> <a href="two.html">c</a>'
        ' <a href="api.html#d">d</a></h2></article>'
    )
    text = make_pdf.article(file, "one", ["one", "two"])
    assert (
        'id="one--a"' in text and 'href="#one--a"' in text and 'href="#two--b"' in text and 'href="#two--page"' in text
    )
    assert "api.html" not in text


# In a browser


@pytest.mark.parametrize(
    ("query", "kind", "first"),
    [
        ("edge of stability", "Chapters", "Edge of stability"),
        ("Lyapunov", "Chapters", r"Prediction|Edge of stability"),
        ("momentum", "Chapters", "The same under momentum"),
        ("skew lognormal", "Chapters", "Where the copies end"),
        ("lyapunov_spectrum", None, "lyapunov_spectrum"),
        ("sharpness", "Chapters", "Sharpness: thrown from above the edge"),
    ],
)
def test_search(visit, query, kind, first):
    """From a folder, without a request: what a reader wants is on top, with a snippet that has the words."""
    page = visit(f"search.html?q={query.replace(' ', '+')}")
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.wait_for_selector("#search-results li")
    headings = page.locator("#search-results h2").all_inner_texts()
    assert faults(page, "main") == []
    order = ["Chapters", "Glossary", "Reference", "API"]
    assert headings == [name for name in order if name in headings]
    place = "#search-results > ul" if kind is None else f"#search-results h2:text-is('{kind}') + ul"
    result = page.locator(place).first.locator("li").first
    assert re.match(first, result.locator("a").inner_text()), result.inner_text()
    if kind:
        assert result.locator("mark").count() > 0
        result.locator("a").click()
        page.wait_for_url("**/book/*.html*")
        assert page.locator("article h1").is_visible()
    assert not [url for url in requests if "fetch" in url or url.startswith("http")]


def test_search_that_finds_nothing(visit):
    page = visit("search.html?q=zzyzx")
    assert "No sections have" in page.locator("#search-results [role=status]").inner_text()


WIDE = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 360, "height": 700}, "has_touch": True, "color_scheme": "dark"}


@pytest.mark.parametrize("options", [WIDE, PHONE], ids=["wide", "phone"])
def test_cards_and_enlarged_figures(visit, options):
    page = visit("book/intermittency.html", **options)
    term, cards = page.locator("a.tl-term").first, page.locator(".tl-card:visible")
    name = term.get_attribute("aria-describedby")
    assert page.locator(f"#{name}").get_attribute("role") == "tooltip"
    if "has_touch" in options:
        term.tap()
    else:
        term.hover()
    cards.first.wait_for()
    assert faults(page, ".tl-card:not([hidden])") == []
    box = cards.first.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= options["viewport"]["width"]
    cards.first.hover()
    page.wait_for_timeout(400)
    assert cards.count() == 1, "the pointer may go to the card"
    page.keyboard.press("Escape")
    assert cards.count() == 0 and page.url.endswith("intermittency.html")
    page.evaluate("document.activeElement.blur()")
    if "has_touch" not in options:
        page.mouse.move(1, 1)  # a card that comes up under the pointer would stay as long as that is there
    term.focus()
    if "has_touch" not in options:
        assert cards.count() == 1
        page.keyboard.press("Tab")
        page.locator(f"#{name}").wait_for(state="hidden")  # after a while: the pointer may be on its way to the card

    figure = page.locator("#fig-inter-four")
    button, dialog = figure.locator("button.tl-enlarge"), page.locator("dialog[open]")
    assert button.get_attribute("aria-label") == "Enlarge Fig. 3.2"
    button.focus()
    page.keyboard.press("Enter")
    dialog.wait_for()
    assert faults(page, "dialog") == []
    image = dialog.locator("img")
    assert image.get_attribute("alt") and image.evaluate("(i) => i.src") == figure.locator("img").evaluate(
        "(i) => i.src"
    )
    size = image.evaluate("(i) => [i.clientWidth <= innerWidth, i.naturalWidth]")
    page.get_by_role("button", name="Full size").click()
    assert size[0] and image.evaluate("(i) => i.clientWidth") == size[1]
    page.keyboard.press("Escape")
    assert dialog.count() == 0 and button.evaluate("(b) => b === document.activeElement")
    figure.locator("img").click()
    assert dialog.count() == 1
    dialog.get_by_role("button", name="Close").click()
    assert dialog.count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]


def test_print(visit):
    """Without side bars or folded code, light, all pictures there, no laboratory that has not run; and all as before afterwards."""
    page = visit("book/intermittency.html", color_scheme="dark", viewport={"width": 900, "height": 600})
    page.wait_for_function("self.trajlab && trajlab.panels.size === 3")
    page.wait_for_selector("ladder-lead[finished]", timeout=240_000)  # it stands at the top, and has run
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    hidden = (
        ".bd-sidebar-primary, .bd-header-article, .prev-next-area, details.above-input, a.headerlink, button.tl-enlarge"
    )
    assert page.locator(hidden).evaluate_all("(all) => all.filter((one) => one.checkVisibility()).length") == 0
    assert page.locator("article h1").is_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert (
        page.locator(".tl-no-run").count()
        == page.locator("trajectory-lab[hidden], bifurcation-lab[hidden]").count()
        == 2
    )
    assert page.evaluate("[...document.images].every((image) => image.loading === 'eager')")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".tl-no-run").count() == 0 and page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_first_page_begins_with_what_can_be_touched(visit):
    page = visit("book/intro.html", viewport={"width": 1280, "height": 900})
    top = page.locator("hero-lab").bounding_box()["y"]
    assert 0 < top < 450
    pictures = page.locator("chapter-list li img")
    assert pictures.count() == len(contents.chapter_numbers())
    assert page.locator("chapter-list li a").first.inner_text() == "Low learning rate"
