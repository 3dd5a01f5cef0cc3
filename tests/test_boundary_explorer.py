"""The explorer of the boundary of trainability, in headless Chromium: the bits of the library, and what a hand does to the picture."""

import base64
import re
import sys
from pathlib import Path

import numpy as np
import plain_pictures as plain
import pytest
from laboratory import BYTES, floats
from laboratory import LAB as LAB_FILES

import trajlib as tl
from trajlib.boundary import box_counting_dimension, draw, edges, rates
from trajlib.optimisers.batches import Batches

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import write_poster
from lab_bits import DEEP, DEEP_VIEW, TILE, digest

LAB = "document.querySelector('boundary-explorer')"
HIDDEN = "<boundary-explorer hidden></boundary-explorer>"
QUICK = "#boundary=x:1.5,y:2,width:4,condition:tanh,steps:20,pixels:64,seed:0"
CONDITIONS = {
    "tanh": {},
    "relu": {"activation": "relu"},
    "identity": {"activation": "identity", "scale": (1 / np.sqrt(8), 1 / 8), "samples": 8},
    "minibatch": {"batch_size": 16},
    "single": {"samples": 1},
    "offset": {},
}


def network(activation="tanh", scale="mean_field", samples=None, **options):
    net = tl.Perceptron(8, 8, 1, activation=activation, loss="mean_squared_error", bias=False, scale=scale)
    return net, lambda seed: draw(net, seed, samples), options


def library(view):
    """The picture of the library as the page shows it: rows from the top."""
    x, y, width, n = (view[name] for name in ("x", "y", "width", "pixels"))
    net, data, options = network(**CONDITIONS[view["condition"]])
    across, up = rates(x, width, n)[:, None], rates(y, width, n)[None]
    if view["condition"] == "offset":
        options["offset"], up = (y + (np.arange(n) - 0.5 * (n - 1)) * (width / n))[None], across
    return tl.trainability(net, *data(view["seed"]), across, up, view["steps"], threads=1, **options)


def upright(a):
    return np.ascontiguousarray(a.T[::-1])


def tile(page, view):
    value, outcome, sides = page.evaluate(TILE, view)
    n = view["pixels"]
    return floats(value).reshape(n, n), floats(outcome).reshape(n, n), sides


def settled(page):
    """Nothing more to compute, of the values that are there now."""
    page.wait_for_function(f"{LAB}.data?.complete && !{LAB}.changedSince && !{LAB}.worker")


def place(page):
    return page.evaluate(f"[{LAB}.values.x, {LAB}.values.y, {LAB}.values.width]")


def test_a_deep_tile_has_the_bits_of_the_library(open_page):
    page = open_page(HIDDEN)
    value, outcome, sides = page.evaluate(TILE, DEEP_VIEW)
    assert {1, -1} == set(floats(outcome).tolist())
    assert digest(value) == DEEP
    assert sorted(sides, reverse=True)[:4] == [16, 8, 8, 8] and len(sides) == 256
    # coarse before fine: while one network of the two side by side is on its way, the other may be several pixels ahead
    assert all(sum(later > side for later in sides[k:]) <= 1 for k, side in enumerate(sides))
    # the comparison can fail: with another last digit of a coefficient the bits differ
    small = DEEP_VIEW | {"pixels": 3, "steps": 60}
    before = tile(page, small)[0].tobytes()
    assert before == upright(library(small).value).tobytes()
    page.evaluate("() => { trajlab.arithmetic.exponential[5] *= 1 + 1e-6; }")
    assert tile(page, small)[0].tobytes() != before


def test_every_condition_has_the_bits_of_the_library_with_vectors_and_without(open_page):
    page = open_page(HIDDEN)
    for without in (False, True):
        if without:
            page.evaluate("() => { delete self.WebAssembly; }")
        for condition in CONDITIONS:
            offset = condition == "offset"
            view = {"condition": condition, "seed": 3, "steps": 30, "pixels": 7, "x": 1.3, "y": 0.1 if offset else 1.4}
            view |= {"width": 1.5 if offset else 4.0}
            assert page.evaluate("(view) => trajlab.boundary.network(view).vectors", view) is not without
            value, outcome, _ = tile(page, view)
            want = library(view)
            assert value.tobytes() == upright(want.value).tobytes(), condition
            assert np.array_equal(outcome, upright(want.outcome)), condition
            assert len(set(outcome.ravel().tolist())) > 1, f"{condition}: both sides of the boundary"


def test_the_losses_of_a_pixel_are_those_of_the_specification(open_page):
    page = open_page(HIDDEN)
    for condition, x, y in (("tanh", 0.5, 0.5), ("tanh", 2.0, 3.0), ("minibatch", 1.0, 1.0), ("offset", 1.0, 0.3)):
        view = {"condition": condition, "seed": 1, "steps": 12, "pixels": 3, "x": x, "y": y, "width": 0.3}
        script = f"([view, row, column]) => {{ {BYTES} const one = trajlab.boundary.trajectory(view, row, column); "
        losses, outcome, ended_at = page.evaluate(
            script + "return [bytes(one.losses), one.outcome, one.endedAt]; }", [view, 0, 2]
        )
        net, data, _ = network()
        across, up = rates(x, 0.3, 3)[2], rates(y, 0.3, 3)[2]
        offset = y + 0.3 / 3 if condition == "offset" else 0.0
        batches = Batches(72, 16, 0, True) if condition == "minibatch" else None
        rate = (across, across) if offset else (across, up)
        want = plain.losses(net, *data(1), tuple(map(float, rate)), 12, offset=offset, batches=batches)
        assert floats(losses).tolist() == want
        told = plain.pixel(want, 12)
        assert (outcome, ended_at) == (told[0], told[3])


def shapes():
    """Outcomes of 512 x 512 pixels: a line, a cloud, a curve as rough as a Brownian one, nothing, and one that is too small."""
    i, j = np.mgrid[:512, :512]
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.choice([-3, 3], 512)) + 256
    yield "line", i > 0.37 * j + 100
    yield "rough", i > walk[j]
    yield "cloud", rng.random((512, 512)) < 0.5
    yield "few", (i - 200) ** 2 + (j - 300) ** 2 < 30
    yield "nothing", i < 0
    yield "small", (i > walk[j])[:128, :128]


def test_the_dimension_is_that_of_the_library(open_page):
    page = open_page(HIDDEN)
    script = """([text, n]) => { const outcome = Int8Array.from(atob(text), (c) => c.charCodeAt(0));
        return trajlab.boxCounting(trajlab.edges(outcome, n), n - 1); }"""
    resolved = set()
    for name, outcome in shapes():
        got = page.evaluate(script, [base64.b64encode(outcome.astype(np.int8).tobytes()).decode(), len(outcome)])
        want = box_counting_dimension(edges(outcome))
        assert got["sizes"] == want.sizes.tolist() and got["counts"] == want.count.tolist(), name
        assert got["resolved"] is want.resolved, name
        if want.resolved:
            resolved.add(name)
            assert got["dimension"] == pytest.approx(want.dimension, abs=1e-12), name
            assert got["standardError"] == pytest.approx(want.standard_error, abs=1e-12), name
            assert (got["smallest"], got["largest"]) == (want.smallest, want.largest), name
    assert "line" in resolved and not {"few", "nothing", "small"} & resolved


def test_hands_move_the_picture(open_page):
    page = open_page("<boundary-explorer></boundary-explorer>", hash=QUICK)
    settled(page)
    canvas = page.locator("boundary-explorer .picture canvas")
    box = canvas.bounding_box()
    size = box["width"]
    assert box["height"] == pytest.approx(size, abs=1)
    at = lambda u, v: (box["x"] + u * size, box["y"] + v * size)  # noqa: E731
    near = lambda want, off=0.02: pytest.approx(want, abs=off)  # noqa: E731

    page.mouse.move(*at(0.5, 0.5))
    page.mouse.down()
    page.mouse.move(*at(0.75, 0.625), steps=4)
    page.mouse.up()
    assert place(page) == [near(0.5), near(2.5), 4]  # a quarter of 4 decades to the right, an eighth down

    scrolled = page.evaluate("scrollY")
    page.mouse.move(*at(0.25, 0.25))
    page.mouse.wheel(0, -200)  # it has the focus: half as wide, and the point below the pointer stays
    page.wait_for_function(f"{LAB}.values.width === 2")
    assert place(page) == [near(0.0), near(3.0), 2] and page.evaluate("scrollY") == scrolled
    page.mouse.wheel(0, 200)
    page.wait_for_function(f"{LAB}.values.width === 4")
    assert place(page) == [near(0.5, 0.04), near(2.5, 0.04), 4]

    page.mouse.dblclick(*at(0.75, 0.5))
    assert place(page) == [near(1.25, 0.04), near(2.5, 0.04), 1]  # four times, about that point

    canvas.press("0")
    home = page.evaluate(f"{LAB}.fields.get('x').control.value"), page.evaluate(f"{LAB}.fields.get('y').control.value")
    width = page.evaluate(f"{LAB}.fields.get('width').control.value")
    assert place(page) == [*home, width]
    canvas.press("ArrowRight")
    canvas.press("ArrowUp")
    assert place(page) == [near(home[0] + width / 8), near(home[1] + width / 8), width]
    canvas.press("+")
    canvas.press("+")
    canvas.press("-")
    assert place(page)[2] == width / 2
    page.get_by_role("button", name="all of it").first.click()
    assert place(page) == [*home, width]

    tour = page.locator("boundary-explorer .tour button")
    assert tour.count() == 5
    tour.last.click()
    assert place(page) == [1, 1.654127021979156, 1e-10] and tour.last.get_attribute("aria-pressed") == "true"
    assert page.locator("boundary-explorer .depth").inner_text() == "depth 10.8 decades"


def test_the_colours_are_those_of_the_poster(open_page):
    page = open_page(HIDDEN)
    rng = np.random.default_rng(0)
    outcome = rng.choice([-2, -1, 0, 1], 300)
    value = np.where(outcome == 1, -1.0, 1.0) * rng.integers(1, 60, 300)  # with equal ones
    script = """([value, outcome]) => { const pixels = new Uint8ClampedArray(4 * value.length);
        trajlab.palette.paint(pixels, { value, outcome, source: value.map((_, i) => (outcome[i] > -2 ? i : -1)) }); return [...pixels]; }"""
    got = np.array(page.evaluate(script, [value.tolist(), outcome.tolist()])).reshape(300, 4)
    want = write_poster.paint(value, outcome, (LAB_FILES / "palette.js").read_text(encoding="utf-8"))
    assert np.array_equal(got[:, :3], want) and np.array_equal(got[:, 3] > 0, outcome > -2)


def test_two_fingers_and_the_page_below_a_picture_without_focus(open_page):
    page = open_page("<div style='height:3000px'><boundary-explorer></boundary-explorer></div>", hash=QUICK)
    settled(page)
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("boundary-explorer .picture canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.wheel(0, 100)  # nobody has pressed it: the page scrolls
    page.wait_for_function("scrollY > 0")
    assert place(page)[2] == 4
    page.evaluate(
        """([x, y]) => {
        const node = document.querySelector('boundary-explorer').canvases.picture, { left, top } = node.getBoundingClientRect();
        const finger = (kind, pointerId, dx) => node.dispatchEvent(new PointerEvent(kind,
            { pointerId, pointerType: 'touch', clientX: left + x + dx, clientY: top + y, bubbles: true }));
        finger('pointerdown', 1, -50); finger('pointerdown', 2, 50);
        for (let d = 60; d <= 100; d += 10) { finger('pointermove', 1, -d); finger('pointermove', 2, d); }
        finger('pointerup', 1, -100); finger('pointerup', 2, 100);
    }""",
        [box["width"] / 2, box["height"] / 2],
    )
    x, y, width = place(page)
    assert width == pytest.approx(2, rel=0.01) and [x, y] == pytest.approx([1.5, 2], abs=0.05)


# what is left of linear red, green and blue (Machado, Oliveira, Fernandes 2009, severity 1)
VISION = {
    "all three": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


@pytest.mark.parametrize("vision", VISION)
def test_no_colour_of_one_side_is_taken_for_one_of_the_other(vision):
    def seen(colours):
        c = colours / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ np.array(VISION[vision]).T
        x, y, z = np.cbrt(np.maximum(np.clip(linear, 0, 1) @ np.array(TO_XYZ).T / [0.9505, 1.0, 1.089], 1e-3)).T
        return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)  # CIELAB

    sides = write_poster.ramps((LAB_FILES / "palette.js").read_text(encoding="utf-8")).values()
    one, other = map(seen, sides)
    assert np.linalg.norm(one[:, None] - other[None], axis=2).min() > 25  # 2 is just seen
    for side in (one, other):
        assert (np.diff(side[::16, 0]) > 0).all()  # lighter towards the boundary


def test_a_link_leads_back_and_a_new_view_drops_the_old_work(open_page, tmp_path):
    body = (
        '<a class="tl-set" href="#boundary=condition:relu">relu</a>'
        '<a class="tl-set" href="#boundary=condition:single,x:1,y:0.5,width:0.25,seed:4">deep</a>'
        "<boundary-explorer></boundary-explorer>"
    )
    page = open_page(body, hash=QUICK)
    settled(page)
    page.get_by_text("deep", exact=True).click()
    settled(page)
    assert page.evaluate(f"{LAB}.state()") == "x:1,y:0.5,width:0.25,condition:single,steps:20,pixels:64,seed:4"
    want = library({"x": 1, "y": 0.5, "width": 0.25, "condition": "single", "steps": 20, "pixels": 64, "seed": 4})
    got = floats(page.evaluate(f"(() => {{ {BYTES} return bytes({LAB}.data.value); }})()")).reshape(64, 64)
    assert got.tobytes() == upright(want.value).tobytes(), "workers share a picture, and none of an older one is in it"
    assert page.url.endswith("#boundary=x:1,y:0.5,width:0.25,condition:single,steps:20,pixels:64,seed:4")
    assert "not resolved at this size" in page.evaluate(f"{LAB}.result.textContent") or "No boundary" in page.evaluate(
        f"{LAB}.result.textContent"
    )
    page.get_by_text("relu", exact=True).click()  # a condition alone: all of its plane
    settled(page)
    assert place(page)[2] > 1 and "condition:relu" in page.url
    with page.expect_download() as info:
        page.get_by_role("button", name="Download PNG").click()
    info.value.save_as(tmp_path / "picture.png")
    assert info.value.suggested_filename.startswith("boundary-x_") and info.value.suggested_filename.endswith(".png")
    head = (tmp_path / "picture.png").read_bytes()[:24]
    assert head[:4] == b"\x89PNG" and int.from_bytes(head[16:20], "big") == 64
    rows = page.evaluate(f"{LAB}.table()")
    assert rows[0] == ["rate0", "rate1", "offset", "outcome", "value", "ended_at"] and len(rows) == 64 * 64 + 1


def test_it_says_what_becomes_of_a_network_and_where_float64_ends(open_page):
    page = open_page("<boundary-explorer></boundary-explorer>", hash=QUICK, viewport={"width": 360, "height": 800})
    page.wait_for_function(f"{LAB}.data?.left < 4096")  # a coarse picture
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    settled(page)
    canvas = page.locator("boundary-explorer .picture canvas")
    box, fate = canvas.bounding_box(), page.locator("boundary-explorer .fate")
    canvas.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.97})
    fate.get_by_text("training converges").wait_for()
    canvas.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.03})
    fate.get_by_text(re.compile(r"training ends at step \d")).wait_for()
    where = page.locator("boundary-explorer .where")
    assert "float64 ends" not in where.inner_text()
    page.evaluate(f"{LAB}.obey('x:1,y:1.654127021979156,width:1e-14,pixels:256')")
    where.get_by_text("float64 ends").wait_for()
