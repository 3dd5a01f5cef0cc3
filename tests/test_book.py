"""The built pages: the book builds without a warning, and every page has what a reader needs."""

import re
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import contents  # noqa: E402
import install_cell  # noqa: E402
import portable_notebooks  # noqa: E402


@cache
def pages(html):
    return {
        p.stem: BeautifulSoup(p.read_text(encoding="utf-8"), "html.parser")
        for p in sorted((html / "book").glob("*.html"))
    }


@pytest.mark.slow
def test_every_page_of_the_contents_is_there(html):
    assert set(contents.listed()) == set(pages(html))


@pytest.mark.slow
def test_every_figure_has_an_alternative_text_and_a_caption(html):
    figures = [(name, image) for name, page in pages(html).items() for image in page.select(".cell_output img")]
    assert len(figures) >= 9
    for name, image in figures:
        assert len(image.get("alt", "")) > 40, (name, image)
        assert image.find_parent("figure").figcaption.get_text(strip=True), (name, image)


@pytest.mark.slow
def test_links_inside_the_book_lead_somewhere(html):
    for name, page in pages(html).items():
        for link in page.select("a[href]"):
            target, _, anchor = link["href"].partition("#")
            if re.match(r"[a-z]+:", link["href"]) or not target.endswith(".html"):
                continue
            path = (html / "book" / target).resolve()
            assert path.is_file(), (name, link["href"])
            if anchor and "_modules" not in target:
                assert f'id="{anchor}"' in path.read_text(encoding="utf-8"), (name, link["href"])


@pytest.mark.slow
def test_nothing_to_be_read_comes_from_elsewhere(html):
    for name, page in pages(html).items():
        for tag, attribute in (("script", "src"), ("link", "href"), ("img", "src")):
            for element in page.select(f"{tag}[{attribute}]"):
                if element.get("rel") != ["canonical"]:
                    assert not re.match(r"(https?:)?//", element[attribute]), (name, element)


@pytest.mark.slow
def test_laboratories_are_on_the_pages(html):
    parsed = pages(html)
    found = {
        name: {lab.name: lab for lab in page.find_all(re.compile("-(lab|check|lead|explorer)$"))}
        for name, page in parsed.items()
    }
    told = {name: set(contents.needs(ROOT / "book" / f"{name}.md").labs) for name in found}
    assert any(told.values()) and {name: set(labs) for name, labs in found.items()} == told
    for name, labs in found.items():
        assert all("in a browser with JavaScript" in lab.get_text() for lab in labs.values())
        if "trajectory-lab" in labs:
            assert labs["trajectory-lab"]["chapter"] == name
        script = parsed[name].select_one("script[src*='lab/load.js']")
        assert script.has_attr("async") and (html / "book" / script["src"].partition("?")[0]).is_file()


@pytest.mark.slow
def test_no_traceback_and_no_raw_markup(html):
    for name, page in pages(html).items():
        text = page.get_text()
        assert "Traceback (most recent call last)" not in text and "{numref}" not in text and "{cite" not in text, name


@pytest.mark.slow
def test_initials_of_authors_are_no_lists(html):
    assert pages(html)["api"].select("ol.upperalpha, ol.upperroman") == []


@pytest.mark.slow
def test_chapters_offer_a_notebook_and_no_button_leads_nowhere(html):
    offered = {page.stem: page for page in portable_notebooks.pages()}
    numbers = set()
    for name, page in pages(html).items():
        buttons = [link["href"] for link in page.select("a.btn[href]")]
        # _config.yml names no repository, or it would have to be the one of the buttons.
        assert install_cell.repository() or not any("colab" in link for link in buttons), name
        notebooks = [link for link in buttons if link.endswith(".ipynb") and ":" not in link]
        assert len(notebooks) == (name in offered), name
        for link in notebooks:
            written = nbformat.read(html / "book" / link, as_version=4)
            assert written == portable_notebooks.portable(offered[name])
            captions = re.findall(
                r"^\*\*Figure ([\d.]+)\.\*\*", "\n".join(cell.source for cell in written.cells), re.MULTILINE
            )
            shown = [
                re.search(r"\d[\d.]*", caption.get_text())[0] for caption in page.select("figcaption .caption-number")
            ]
            assert captions == shown, name
            numbers |= set(captions)
    assert len(numbers) > 30
