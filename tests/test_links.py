"""Links in the text that set a figure, in headless Chromium, from a folder (file://)."""

import re
import sys
from pathlib import Path

import pytest
from laboratory import LAB, PAGE, finished

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import contents

BODY = """<p><a class="tl-set" id="one" href="#hero=lr:5">five</a> <a class="tl-set" id="wrong" href="#hero=lr:1000,k:1">wrong</a>
<a class="tl-set" id="below" href="#lab=lr:0.5">below</a> <a class="tl-set" id="none" href="#nobody=lr:1">nobody</a></p>
<hero-lab></hero-lab><div style="height: 3000px"></div><trajectory-lab></trajectory-lab>"""
HERO, BELOW = (f"document.querySelector('{name}')" for name in ("hero-lab", "trajectory-lab"))


def test_a_link_sets_what_it_names_and_nothing_else(open_page):
    page = open_page(BODY, reduced_motion="reduce")
    finished(page, "hero-lab")
    page.evaluate(f"(({BELOW}.set('ic', 3), {BELOW}.set('steps', 60)))")
    page.locator("#one").press("Enter")
    page.wait_for_function(f"{HERO}.data.lr === 5")
    pointed = "[...document.querySelectorAll('[pointed]')].map((one) => one.localName)"
    assert page.evaluate(f"(document.querySelector('#one').click(), {pointed})") == ["hero-lab"]
    address = page.evaluate("location.hash")
    assert address.startswith("#hero=lr:5&lab=") and "ic:3" in address and "steps:60" in address
    page.wait_for_function(f"!{HERO}.hasAttribute('pointed')")
    page.locator("#below").click()
    page.wait_for_function("scrollY > 1000")
    values = page.evaluate(f"{BELOW}.values")
    assert (values["lr"], values["ic"], values["steps"]) == (0.5, 3, 60)
    page.wait_for_function("location.hash.startsWith('#lab=')")
    assert page.evaluate("location.hash").endswith("&hero=lr:5")


def test_a_link_that_asks_too_much_says_so(open_page):
    page = open_page(BODY, reduced_motion="reduce")
    finished(page, "hero-lab")
    page.locator("#wrong").click()
    said = page.inner_text("hero-lab .message")
    assert "1000 became 10" in said and "“k:1” in the link is not understood" in said
    page.locator("#none").click()  # a link like any other
    assert page.evaluate("location.hash") == "#nobody=lr:1"


def test_the_same_link_again_shows_the_run_again(open_page):
    page = open_page(BODY)
    finished(page, "hero-lab")
    page.locator("#one").click()
    page.wait_for_function(f"{HERO}.data.lr === 5 && {HERO}.head > 20")
    page.locator("#one").click()
    page.wait_for_function(f"{HERO}.head < 20")


@pytest.mark.parametrize("modifier", ["Control", "Shift"])
def test_a_link_for_another_tab_sets_nothing_here(open_page, modifier):
    page = open_page(BODY, reduced_motion="reduce")
    finished(page, "hero-lab")
    page.locator("#one").click(modifiers=[modifier])
    assert page.evaluate(f"{HERO}.values.lr") == 1


def test_nothing_happens_without_javascript(browser, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    page, file = context.new_page(), tmp_path / "page.html"
    file.write_text(PAGE.format(lab=LAB.as_uri(), body=BODY), encoding="utf-8")
    page.goto(file.as_uri())
    page.locator("#one").click()
    assert page.url == file.as_uri() + "#hero=lr:5"
    assert page.locator("#one").bounding_box()["y"] > 0  # the page has not moved
    context.close()


BOOK = Path(__file__).parents[1] / "book"
LINKS = {
    page.stem: re.findall(r'<a class="tl-set" href="#([^"]+)">', page.read_text("utf-8")) for page in BOOK.glob("*.md")
}


@pytest.mark.parametrize("name", [name for name, links in LINKS.items() if links])
def test_links_of_the_book_name_figures_of_their_page_and_values_that_these_take(open_page, name):
    elements = contents.needs(BOOK / f"{name}.md").labs
    page = open_page("".join(f"<{element} hidden></{element}>" for element in elements))
    script = """(hash) => [...trajlab.readAddress("#" + hash)].map(([part, text]) => {
        const panel = [...trajlab.panels].find((one) => one.part === part);
        if (!panel) return `there is no ${part}`;
        panel.assign(text);
        return panel.message.textContent; }).join("")"""
    assert [page.evaluate(script, link) for link in LINKS[name]] == [""] * len(LINKS[name])
