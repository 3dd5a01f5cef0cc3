"""The opening figure of the book, in headless Chromium, from a folder (file://), without a network."""

import functools
import http.server
import re
import threading

import numpy as np
import pytest
from laboratory import BYTES, LAB, PAGE, at_rest, drawn, finished, floats

import trajlib as tl

HERO = "document.querySelector('hero-lab')"
PROGRESS = f"{HERO}.progress.textContent"
STEP = rf"Number({PROGRESS}.match(/step (\d+)/)[1])"
SHOWN = "document.querySelector('hero-lab').shadowRoot.querySelector('.play').textContent === 'Replay'"


def step_shown(page):
    return page.evaluate(STEP)


@pytest.mark.parametrize("lr", [0.01, 1.0, 5.0])
def test_opening_figure_shows_the_runs_of_diverge(open_page, lr):
    page = open_page("<hero-lab></hero-lab>", hash=f"#hero=lr:{lr}", reduced_motion="reduce")
    finished(page, "hero-lab")
    script = f"(() => {{ {BYTES} const {{ loss, distance, plane }} = {HERO}.data, flat = (a) => bytes(Float64Array.from(a.flat())); "
    script += "const axis = (a) => bytes(Float64Array.from(a.flatMap((series) => [...series]))); "
    script += "return [flat(loss), flat(distance), axis(plane.x), axis(plane.y), plane.explained]; })()"
    *series, explained = page.evaluate(script)
    loss, distance, x, y = map(floats, series)
    net = tl.Perceptron(4, 10, 3)
    gd = tl.GradientDescent(net, tl.iris(), lr=lr)
    div = tl.diverge(gd, net.init(1, seed=0), radius=1e-8, copies=20, steps=400, seed=1, record=("weights",))
    assert loss.tobytes() == div.loss[0].tobytes()
    assert distance.tobytes() == div.distance[0].tobytes()
    want = tl.scalar_embedding(div.snapshots[0].reshape(-1, 83), k=2)
    plane = want.coordinates * np.where(want.coordinates[0] > 0, -1, 1)  # the start is to the left, and below
    np.testing.assert_allclose(np.transpose([x, y]), plane, rtol=1e-6, atol=1e-8)
    assert explained == pytest.approx(want.explained_variance.sum(), rel=1e-9)
    factor = div.distance[0, :, -1].mean() / div.distance[0, :, 0].mean()
    told = re.search(r"are (\S+) times", page.locator("hero-lab .progress").text_content())[1]
    powers = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
    told = re.sub(r"^10(?=[⁰¹²³⁴⁵⁶⁷⁸⁹])", "1·10", told)
    told = float(told.replace("·10", "e", 1).translate(powers))
    assert told == pytest.approx(factor, rel=0.05 if factor < 10 else 0.5)


def test_opening_figure_starts_moves_and_comes_to_rest(open_page):
    page = open_page("<hero-lab>Needs JavaScript.</hero-lab>")
    finished(page, "hero-lab")
    before = step_shown(page)
    page.wait_for_function(f"{before} < {STEP} && {STEP} < 400")
    pause = page.locator("hero-lab .play")
    pause.click()
    assert at_rest(page, PROGRESS) != "" and step_shown(page) < 400 and pause.text_content() == "Play"
    pause.click()
    page.wait_for_function(SHOWN)
    assert step_shown(page) == 400
    drawn(page, "hero-lab")
    page.evaluate(
        """() => { const hero = document.querySelector("hero-lab"), { render } = hero;
        hero.frames = 0;
        hero.render = () => { hero.frames++; render.call(hero); }; }"""
    )
    page.wait_for_timeout(500)
    assert page.evaluate(f"{HERO}.frames") == 0 and page.evaluate(f"{HERO}.worker") is None
    page.get_by_role("button", name="Replay").click()
    page.wait_for_function(f"0 < {STEP} && {STEP} < 400")


def test_opening_figure_waits_while_it_is_out_of_sight(open_page):
    page = open_page('<hero-lab></hero-lab><div style="height: 3000px"></div>')
    finished(page, "hero-lab")
    page.evaluate("scrollTo(0, 3000)")
    at_rest(page, PROGRESS)
    before = step_shown(page)
    assert before < 400
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function(f"{STEP} > {before}")


def test_opening_figure_is_whole_at_once_for_those_who_want_no_motion(open_page):
    page = open_page("<hero-lab></hero-lab>", reduced_motion="reduce")
    finished(page, "hero-lab")
    assert step_shown(page) == 400 and page.evaluate(SHOWN)
    page.locator("hero-lab input[type=range]").press("ArrowLeft")
    page.wait_for_function(f"{HERO}.data.lr < 1")
    assert step_shown(page) == 400


def test_opening_figure_by_keyboard(open_page):
    page = open_page("<hero-lab></hero-lab>", reduced_motion="reduce")
    finished(page, "hero-lab")
    page.get_by_label("learning rate · drag it from order to chaos").focus()
    page.keyboard.press("Home")
    page.wait_for_function(f"{HERO}.data.lr === 0.01")
    finished(page, "hero-lab")
    said = page.locator("hero-lab .result")
    assert said.get_attribute("aria-live") == "polite"
    assert said.text_content().startswith("Learning rate 0.01: after 400 steps the copies are 1.6 times as far apart")
    assert page.evaluate("location.hash") == "#hero=lr:0.01"
    page.get_by_role("button", name="5 broken training").press("Enter")
    page.wait_for_function(f"{HERO}.data.lr === 5")
    pressed = "[...document.querySelector('hero-lab').shadowRoot.querySelectorAll('[aria-pressed=true]')].map((b) => b.textContent)"
    assert page.evaluate(pressed) == ["5 broken training"]
    page.evaluate("document.activeElement.blur()")
    reached, script = (
        [],
        f"(() => {{ const a = {HERO}.shadowRoot.activeElement; return a && (a.id || a.ariaLabel || a.className); }})()",
    )
    for _ in range(9):  # from the buttons below, past the end of the page
        page.keyboard.press("Tab")
        reached.append(page.evaluate(script))
    assert {"play", "lr-field", "learning rate, exact value"} <= set(reached)


def test_opening_figure_follows_the_slider_while_it_is_dragged(open_page):
    page = open_page("<hero-lab></hero-lab>")
    finished(page, "hero-lab")
    box = page.locator("hero-lab input[type=range]").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.67 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], y, steps=5)
    page.wait_for_function(f"{HERO}.data.lr < 0.1 && {HERO}.head === 400")
    assert page.evaluate("location.hash") == ""  # the address waits
    page.mouse.up()
    page.wait_for_function(f"{HERO}.head < 400")
    assert page.evaluate("location.hash").startswith("#hero=lr:0.0")


def test_opening_figure_draws_in_both_themes_on_a_phone(open_page):
    page = open_page(
        "<hero-lab></hero-lab>", viewport={"width": 360, "height": 700}, device_scale_factor=2, reduced_motion="reduce"
    )
    finished(page, "hero-lab")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    inked = """[...document.querySelector("hero-lab").shadowRoot.querySelectorAll("canvas")].map((c) => {
        const pen = new OffscreenCanvas(c.width, c.height).getContext("2d"), shades = new Set();
        pen.drawImage(c, 0, 0);
        const { data } = pen.getImageData(0, 0, c.width, c.height);
        for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) shades.add(data.slice(i, i + 3).join());
        return [shades.size, shades.has("27,31,36"), shades.has("230,233,237")]; })"""
    light = page.evaluate(inked)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"{inked}.every(([shades, , ink]) => shades > 10 && ink)")
    dark = page.evaluate(inked)
    assert min(count for count, *_ in light + dark) > 10
    assert [ink for _, *ink in light] == [[True, False]] * 2 and [ink for _, *ink in dark] == [[False, True]] * 2
    names = page.evaluate(
        "[...document.querySelector('hero-lab').shadowRoot.querySelectorAll('canvas')].map((c) => c.ariaLabel)"
    )
    assert all("from a mean distance" in name or "mean distance of" in name for name in names)


def test_opening_figure_does_not_round_small_numbers_away(open_page):
    page = open_page("<hero-lab></hero-lab>", reduced_motion="reduce")
    finished(page, "hero-lab")
    script = f"""(factor) => {{
        const {{ mean, loss }} = {HERO}.data;
        [mean[400], loss[400]] = [factor * mean[0], factor];
        {HERO}.render();
        return {HERO}.progress.textContent;
    }}"""
    for factor, many, loss in ((0.003, "0.003", "0.003"), (2e-7, "2·10⁻⁷", "2·10⁻⁷"), (1.02, "1.0", "1.02")):
        said = page.evaluate(script, factor)
        assert f"are {many} times" in said and said.endswith(f"loss {loss}")


def test_opening_figure_that_is_left_behind_is_marked(open_page):
    page = open_page("<hero-lab></hero-lab>")
    finished(page, "hero-lab")
    page.evaluate("self.Worker = class { constructor() { throw new Error('refused'); } }; null")
    page.evaluate("history.replaceState = () => { throw new Error('refused'); }; null")
    page.get_by_role("button", name="5 broken training").click()
    page.wait_for_selector("hero-lab[before]")
    assert "refused" in page.inner_text("hero-lab .message")
    assert page.locator("hero-lab .before").all_inner_texts() == ["of the values before"] * 2
    assert page.evaluate(f"{HERO}.canvases.plane.getAttribute('aria-label')").startswith("Of the values before: Traj")


def test_a_figure_at_the_top_does_not_wait_for_the_end_of_the_page(browser, tmp_path):
    """The rest of this page never comes; what it has below, with parts of its own, is loaded when it does."""
    rest = threading.Event()

    class Slow(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/":
                return super().do_GET()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            first, second = PAGE.format(lab="lab", body="<edge-lead></edge-lead>|<golden-check></golden-check>").split(
                "|"
            )
            self.wfile.write(first.replace("defer", "async").encode())
            self.wfile.flush()
            rest.wait(60)
            self.wfile.write(second.encode())

        def log_message(self, *args):
            pass

    (tmp_path / "lab").symlink_to(LAB)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Slow, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/", wait_until="commit")
        try:
            page.wait_for_function("document.querySelector('edge-lead')?.data?.loss.length > 0", timeout=60_000)
            assert page.evaluate("document.readyState") == "loading" and not page.evaluate(
                "customElements.get('golden-check')"
            )
        finally:
            rest.set()
        page.wait_for_function("document.querySelector('golden-check')?.shadowRoot")
        job = """new Promise((known) => {
            const worker = trajlab.startWorker();
            worker.onmessage = ({ data }) => known(Object.keys(data));
            worker.onerror = (event) => known([event.message]);
            worker.postMessage({ job: "train", options: trajlab.golden[0].job }); })"""
        assert page.evaluate(job) == ["part"], "its job is known to the workers that start from now on"
        page.close()
        server.shutdown()
