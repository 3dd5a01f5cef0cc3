"""The laboratory of the pages, in headless Chromium, from a folder (file://), without a network: its bits, then its panels."""

import base64
import csv
import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import specification
from laboratory import ALL_PARTS, BYTES, LAB, PAGE, at_rest, drawn, finished, floats

import trajlib as tl
from trajlib.companion import golden

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import write_lab_data  # noqa: E402
import write_lab_theory  # noqa: E402

PANEL = "document.querySelector('trajectory-lab')"
SHADOW = f"{PANEL}.shadowRoot"
RAN = f"{PANEL}.data.ran"
PROGRESS = f"{SHADOW}.querySelector('.progress').textContent"


@pytest.fixture
def engine(open_page):
    """A page with all of the laboratory's functions, and no panel that computes."""
    return open_page(ALL_PARTS)


# The bits


@pytest.mark.parametrize("name", write_lab_data.FILES)
def test_data_are_up_to_date(name):
    assert (LAB / name).read_text(encoding="utf-8") == write_lab_data.FILES[name]()


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "sigmoid", "tanh", "ndtr"])
def test_functions_have_the_bits_of_the_specification(engine, name):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, s, 2000) for s in (1e-8, 0.1, 3, 40, 400)] + [[0.0, -0.0, -710.0, 720.0, 1e-300]])
    x = np.abs(x[np.abs(x) > 1e-290]) if name == "log" else x
    got = floats(
        engine.evaluate(f"(x) => {{ {BYTES} return bytes(Float64Array.from(x, trajlab.{name})); }}", x.tolist())
    )
    assert got.tobytes() == np.array([getattr(specification, name)(v) for v in x.tolist()]).tobytes()


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(g, id=g.name, marks=[pytest.mark.slow] if g.run["steps"] > 2000 and "lr" in g.run else [])
        for g in golden.load()
    ],
)
def test_golden_digests_in_a_worker(engine, run):
    script = f"""(options) => new Promise((resolve, reject) => {{
        {BYTES}
        const worker = trajlab.startWorker();
        worker.onmessage = ({{ data }}) => {{
            if (data.error) reject(data.error);
            if (data.part && data.part.final) resolve([bytes(data.part.initial), bytes(data.part.final)]);
        }};
        worker.postMessage({{ job: "train", options }});
    }})"""
    initial, final = engine.evaluate(script, write_lab_data.job(run.run))
    assert hashlib.sha256(base64.b64decode(initial)).hexdigest() == run.initial
    assert hashlib.sha256(base64.b64decode(final)).hexdigest() == run.final


@pytest.mark.parametrize("seed", [0, 1, 7, 2**31, 2**40 + 3])
@pytest.mark.parametrize("key", [(), (0,), (499,), (3, 2**33)])
def test_random_numbers_are_those_of_numpy(engine, seed, key):
    sequence = np.random.SeedSequence(seed, spawn_key=key)
    rng = np.random.Generator(np.random.PCG64(sequence))
    n = 20_000  # some five of them beyond the last layer of the ziggurat
    script = f"""([seed, key, n]) => {{
        {BYTES}
        const random = trajlab.generator(seed, key);
        return [trajlab.seedSequence(seed, key), bytes(Float64Array.from({{ length: n }}, random.normal)),
            bytes(Float64Array.from({{ length: 100 }}, random.double)), random.permutation(150), random.permutation(7)];
    }}"""
    state, normal, uniform, order, short = engine.evaluate(script, [seed, list(key), n])
    assert state == sequence.generate_state(8).tolist()
    assert floats(normal).tobytes() == rng.standard_normal(n).tobytes()
    assert floats(uniform).tobytes() == rng.random(100).tobytes()
    assert order == rng.permutation(150).tolist() and short == rng.permutation(7).tolist()


@pytest.mark.parametrize("split", [0, 1, 4, 99])
def test_splits_of_the_data(engine, split):
    script = f"(split) => {{ {BYTES} const {{ x, y, p }} = trajlab.iris(split); return [bytes(x), bytes(y), p]; }}"
    x, y, p = engine.evaluate(script, split)
    task = tl.iris(split_seed=split)
    assert floats(x).tobytes() == task.x.tobytes()
    assert floats(y).tobytes() == np.eye(3)[task.y].tobytes()
    assert p == task.proportions.tolist()


@pytest.mark.parametrize(
    ("condition", "radius", "copies"), [(0, 1e-8, 20), (3, 1e-14, 1), (499, 0.1, 40), (51, 3.7e-5, 2)]
)
def test_perturbed_copies_are_those_of_perturb(engine, condition, radius, copies):
    net = tl.Perceptron(4, 10, 3)
    w0 = net.init(500, seed=0)
    script = f"""([condition, radius, copies]) => {{
        {BYTES}
        const w0 = trajlab.initialConditions(trajlab.SIZES, condition, 1);
        return bytes(trajlab.perturbed(w0, trajlab.SIZES, condition, radius, copies));
    }}"""
    got = floats(engine.evaluate(script, [condition, radius, copies])).reshape(1 + copies, 83)
    moved = tl.perturb(tl.GradientDescent(net, tl.iris()), w0, radius=radius, copies=copies, seed=1)
    assert got[0].tobytes() == w0[condition].tobytes()
    assert got[1:].tobytes() == moved[condition].tobytes()


def trajectories(page, **options):
    """The job behind the panel, whole: loss (r,), distance (r, copies), weights (r, 83), states, comparison."""
    options |= {"followed": list(range(83))}
    script = f"""(options) => {{
        {BYTES}
        const parts = [...trajlab.jobs.trajectories(options)], runs = parts.filter((part) => part.loss);
        const series = (name) => bytes(Float64Array.from(runs.flatMap((part) => part[name])));
        const states = runs.flatMap((part) => part.states).map((s) => ({{ ...s, logits: Array.from(s.logits) }}));
        const last = parts[parts.length - 1].comparison;
        return [series("loss"), series("distance"), series("weights"), states, last || null];
    }}"""
    loss, distance, weights, states, comparison = page.evaluate(script, options)
    return (
        floats(loss),
        floats(distance).reshape(-1, options["copies"]),
        floats(weights).reshape(-1, 83),
        states,
        comparison,
    )


def test_a_chaotic_run_has_the_bits_of_diverge(engine):
    chosen = {"lr": 1.0, "condition": 4, "radius": 1e-8, "copies": 3, "steps": 600, "split": 0, "withMap": False}
    loss, distance, weights, _, _ = trajectories(engine, **chosen)
    net = tl.Perceptron(4, 10, 3)
    gd = tl.GradientDescent(net, tl.iris(), lr=1.0)
    div = tl.diverge(gd, net.init(5, seed=0), radius=1e-8, copies=3, steps=600, seed=1, record=("weights",))
    assert div.distance[4].max() > 1  # chaos: nothing but the same bits would do
    assert loss.tobytes() == div.loss[4].tobytes()
    assert distance.T.tobytes() == div.distance[4].tobytes()
    assert weights.tobytes() == div.weights[4].tobytes()


def test_rung_and_softmax_map_of_a_collapsed_network(engine):
    chosen = {"lr": 5.0, "condition": 14, "radius": 1e-8, "copies": 1, "steps": 2000, "split": 1, "withMap": True}
    loss, _, weights, states, comparison = trajectories(engine, **chosen)
    net = tl.Perceptron(4, 10, 3)
    gd = tl.GradientDescent(net, tl.iris(split_seed=1), lr=5.0)
    want = tl.collapse(gd, weights[::50])
    assert [s["step"] for s in states] == list(range(0, 2001, 50))
    assert [s["rung"] for s in states] == want.rung.tolist() and want.rung[-1] == 1
    assert [s["saturated"] for s in states] == want.saturated.tolist()
    for name in ("kappa", "logits", "spread"):
        np.testing.assert_allclose([s[name] for s in states], getattr(want, name), rtol=1e-9, atol=1e-11)
    after = tl.train(gd, weights[-1:], 60)
    assert comparison["network"] == after.loss[0].tolist() and loss[-1] == after.loss[0, 0]
    reduced = tl.SoftmaxMap(states[-1]["kappa"], tl.iris(split_seed=1).proportions)
    assert comparison["reduced"] == tl.train(reduced, np.array([states[-1]["logits"]]), 60).loss[0].tolist()
    assert abs(comparison["reduced"][1] - comparison["network"][1]) < 1e-4


@pytest.mark.parametrize("kappa", [3.0, 10.0, 21.7])
def test_orbit_of_the_softmax_map(engine, kappa):
    reduced = tl.SoftmaxMap(kappa, tl.iris(split_seed=1).proportions)
    s0 = reduced.init(3, seed=0)
    run = tl.train(reduced, s0, 1000, record=("loss", "weights"))
    script = f"""(kappa) => {{
        {BYTES}
        const map = trajlab.softmaxMap(kappa, trajlab.iris(1).p), s = trajlab.initialLogits(3, 2), orbit = [], loss = [];
        for (let t = 0; t <= 1000; t++) {{
            orbit.push(...s);
            loss.push(map.step(s, 0, true));
        }}
        return [bytes(Float64Array.from(orbit)), bytes(Float64Array.from(loss))];
    }}"""
    orbit, loss = map(floats, engine.evaluate(script, kappa))
    assert orbit.tobytes() == run.weights[2].tobytes()
    assert loss.tobytes() == run.loss[2].tobytes()


@pytest.mark.parametrize(("lr", "steps"), [(5.0, 200), (0.01, 400)])
def test_embedding_is_that_of_embed_copies(engine, lr, steps):
    script = f"""([lr, steps]) => {{
        {BYTES}
        const options = {{ lr, steps, condition: 2, radius: 1e-8, copies: 3, split: 0, followed: [0], withEmbedding: true }};
        const {{ z, separation, explained }} = [...trajlab.jobs.trajectories(options)].pop().embedding;
        return [...z, ...separation].map(bytes).concat([explained]);
    }}"""
    *series, explained = engine.evaluate(script, [lr, steps])
    series = np.array([floats(text) for text in series])
    net = tl.Perceptron(4, 10, 3)
    gd = tl.GradientDescent(net, tl.iris(), lr=lr)
    div = tl.diverge(gd, net.init(3, seed=0), radius=1e-8, copies=3, steps=steps, seed=1, record=("weights",))
    want = tl.embed_copies(div.snapshots[2:], progress=False)
    np.testing.assert_allclose(series[:4], want.coordinates[0, ..., 0], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(series[4:], want.separation[0, ..., 0], rtol=1e-6, atol=1e-11)
    assert explained == pytest.approx(want.explained_variance[0, 0], rel=1e-10)


def fitted_series():
    rng, t = np.random.default_rng(0), np.arange(201)
    for rate, noise in ((0.3, 0.5), (0.08, 0.1), (0.01, 0.01), (-0.02, 0.3)):
        yield np.minimum(1e-8 * np.exp(rate * t + noise * rng.normal(size=201)), 1.0)
    yield np.minimum(1e-8 * np.exp(0.3 * t), 1.0)
    yield np.exp(np.cumsum(rng.normal(size=120)))
    yield np.where(t < 90, 0.0, np.exp(0.1 * t))
    yield np.full(50, 2.0)
    yield np.zeros(60)
    yield np.ones(10)
    net = tl.Perceptron(4, 10, 3)
    gd = tl.GradientDescent(net, tl.iris(), lr=1.0)
    yield from tl.diverge(gd, net.init(20, seed=0), radius=1e-8, copies=5, steps=200, seed=1).distance.mean(axis=1)


def test_fit_is_that_of_expansion_rate(engine):
    for series in fitted_series():
        got = engine.evaluate("(d) => trajlab.expansionRate(Float64Array.from(d))", series.tolist())
        if len(series) < 30:  # where expansion_rate raises, the panel says that there is none yet
            assert got["reason"] == "no window"
            continue
        want = tl.expansion_rate(series[None])
        assert got["reason"] == str(want.reason)
        assert (got["start"], got["stop"]) == (want.start, want.stop)
        for name in ("rate", "intercept", "r2"):
            np.testing.assert_allclose(got[name], getattr(want, name), rtol=1e-10, atol=1e-10)


# The panels


def test_panel_starts_by_itself_and_draws(open_page):
    page = open_page('<trajectory-lab chapter="edge-of-stability">Needs JavaScript.</trajectory-lab>')
    finished(page)
    text = page.inner_text("trajectory-lab .result")
    net = tl.Perceptron(4, 10, 3)
    gd = tl.GradientDescent(net, tl.iris(), lr=1.0)
    div = tl.diverge(gd, net.init(2, seed=0), radius=1e-8, copies=5, steps=400, seed=1)
    fit = tl.expansion_rate(div.distance[1, :, :201])
    assert f"Λ = {fit.rate:.3f} a step" in text and f"steps {fit.start} to {fit.stop}" in text and "kept" in text
    assert "400 of 400" in page.inner_text("trajectory-lab .progress")
    inked = page.evaluate(
        """() => [...document.querySelector("trajectory-lab").shadowRoot.querySelectorAll("canvas")].map((c) => {
            const { data } = c.getContext("2d").getImageData(0, 0, c.width, c.height);
            return new Set(Array.from({ length: data.length / 4 }, (_, i) => data.slice(4 * i, 4 * i + 3).join())).size;
        })"""
    )
    assert len(inked) == 3 and min(inked) > 10  # shades of lines and letters
    names = page.evaluate(f"[...{SHADOW}.querySelectorAll('canvas')].map((c) => c.ariaLabel)")
    assert all(names)
    assert page.locator("trajectory-lab").evaluate("(e) => e.worker") is None


def test_panel_out_of_sight_does_not_compute(open_page):
    page = open_page('<div style="height: 3000px"></div><trajectory-lab chapter="edge-of-stability"></trajectory-lab>')
    page.wait_for_function(f"{PANEL}.visible === false")
    assert at_rest(page, PROGRESS) == ""
    page.evaluate("scrollTo(0, 3000)")
    page.wait_for_function(PROGRESS)
    finished(page)


def test_a_run_halts_when_it_leaves_the_screen(open_page):
    page = open_page(
        '<trajectory-lab></trajectory-lab><div style="height: 3000px"></div>', hash="#lab=lr:0.5,copies:40,steps:20000"
    )
    page.wait_for_function(PROGRESS)
    page.evaluate("scrollTo(0, 3000)")
    before = at_rest(page, PROGRESS)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function(f"{PROGRESS} !== {json.dumps(before)}")
    pause = page.get_by_role("button", name="Pause")
    pause.click()
    before = at_rest(page, PROGRESS)
    page.get_by_role("button", name="Go on").click()
    page.wait_for_function(f"{PROGRESS} !== {json.dumps(before)}")
    assert pause.is_enabled() and not page.evaluate(f"{PANEL}.hasAttribute('finished')")


def test_link_restores_the_state(open_page):
    page = open_page(
        '<trajectory-lab chapter="intermittency"></trajectory-lab>',
        hash="#lab=lr:2.5,ic:7,radius:1e-6,copies:2,steps:300,split:2",
    )
    finished(page)
    assert page.evaluate("document.querySelector('trajectory-lab').values") == {
        "lr": 2.5, "ic": 7, "radius": 1e-6, "copies": 2, "steps": 300, "split": 2,
    }  # fmt: skip
    first = page.inner_text("trajectory-lab .result")
    page.get_by_label("initial condition, exact value").fill("8")
    page.keyboard.press("Enter")
    finished(page)
    assert page.inner_text("trajectory-lab .result") != first
    link = page.evaluate("location.href")
    assert link.endswith("#lab=lr:2.5,ic:8,radius:0.000001,copies:2,steps:300,split:2")
    page.evaluate("location.hash = '#lab=ic:7'")
    page.wait_for_function(f"{PANEL}.values.ic === 7")
    finished(page)
    assert page.inner_text("trajectory-lab .result") == first


def test_values_out_of_range_are_clamped_and_the_reader_is_told(open_page):
    from playwright.sync_api import expect

    page = open_page('<trajectory-lab chapter="edge-of-stability"></trajectory-lab>', hash="#lab=copies:1000,steps:60")
    message = page.locator("trajectory-lab .message")
    expect(message).to_have_text("copies must be a whole number from 1 to 40; 1000 became 40.")
    for label, text, value, said in (
        ("learning rate", "50", "10", "learning rate must be a number from 0.01 to 10; 50 became 10."),
        ("copies", "few", "40", "copies must be a whole number from 1 to 40; “few” is not, so it stays 40."),
        ("copies", "2.4", "40", "copies must be a whole number from 1 to 40; “2.4” is not, so it stays 40."),
        ("copies", "Infinity", "40", "copies must be a whole number from 1 to 40; Infinity became 40."),
        ("initial condition", "−3", "0", "initial condition must be a whole number from 0 to 499; −3 became 0."),
        ("learning rate", "0.123456", "0.123456", ""),
        ("steps", "137", "137", ""),
        ("steps", "", "137", "steps must be a whole number from 50 to 20000; “” is not, so it stays 137."),
    ):  # fmt: skip
        field = page.get_by_label(f"{label}, exact value")
        field.fill(text)
        field.press("Enter")
        expect(field).to_have_value(value)
        expect(message).to_have_text(said)
    page.wait_for_function(f"{RAN}.steps === 137")
    finished(page)
    assert page.evaluate(RAN) == {"lr": 0.123456, "ic": 0, "radius": 1e-8, "copies": 40, "steps": 137}


def test_keyboard_alone_is_enough(open_page):
    page = open_page('<trajectory-lab chapter="edge-of-stability"></trajectory-lab>', hash="#lab=steps:60,copies:1")
    finished(page)
    reached, outlines = [], []
    for _ in range(14):
        page.keyboard.press("Tab")
        script = f"() => {{ const a = {SHADOW}.activeElement; return a ? [a.textContent || a.ariaLabel || a.id, getComputedStyle(a)"
        name, outline = page.evaluate(script + ".outlineStyle] : [null, null]; }")
        if name is None:
            continue  # the scrolling page itself
        reached.append(name)
        outlines.append(outline)
        if name == "lr-field":
            page.keyboard.press("ArrowLeft")
    assert {"lr-field", "copies, exact value", "Pause", "Reset", "Copy link"} <= set(reached) and set(outlines) == {
        "solid"
    }
    assert page.evaluate("document.querySelector('trajectory-lab').values.lr") == pytest.approx(10**-0.01, rel=1e-3)
    names = page.evaluate(f"[...{SHADOW}.querySelectorAll('input')].map((i) => i.ariaLabel || i.labels.length)")
    assert names and all(names)


def test_table_to_download(open_page, tmp_path):
    page = open_page('<trajectory-lab chapter="intermittency"></trajectory-lab>', hash="#lab=steps:100,copies:2,ic:3")
    finished(page)
    with page.expect_download() as info:
        page.get_by_role("button", name="Download CSV").click()
    assert info.value.suggested_filename.startswith("lab-lr_5_ic_3") and info.value.suggested_filename.endswith(".csv")
    info.value.save_as(tmp_path / "lab.csv")
    rows = list(csv.DictReader((tmp_path / "lab.csv").read_text().splitlines()))
    net = tl.Perceptron(4, 10, 3)
    gd = tl.GradientDescent(net, tl.iris(split_seed=1), lr=5.0)
    w0 = net.init(4, seed=0)
    div = tl.diverge(gd, w0, radius=1e-8, copies=2, steps=100, seed=1, record=("weights",))
    loss = tl.train(gd, w0, 160).loss[3]
    assert [float(row["loss"]) for row in rows] == loss.tolist()  # every digit
    assert [float(row["d_1"]) for row in rows[:101]] == div.distance[3, 1].tolist()
    for name in ("W1[2,3]", "b2[2]"):
        series = div.weights[3, :, net.parameter_names.index(name)]
        assert [float(row[name]) for row in rows[:101]] == series.tolist()
    assert [row["step"] for row in rows if row["rung"]] == ["0", "50", "100"]
    assert rows[99]["map_loss"] == "" and math.isfinite(float(rows[100]["map_loss"])) and rows[160]["map_loss"]


def test_link_is_copied_or_shown(open_page):
    page = open_page("<trajectory-lab></trajectory-lab>", hash="#lab=steps:60,copies:1")
    finished(page)
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_function(
        "document.querySelector('trajectory-lab').shadowRoot.querySelector('.message').textContent.includes('link is in')"
    )


@pytest.mark.parametrize("width", [320, 360])
def test_fits_a_phone(open_page, width):
    body = '<trajectory-lab chapter="intermittency"></trajectory-lab><bifurcation-lab></bifurcation-lab>'
    page = open_page(
        body, hash="#lab=steps:60,copies:1", viewport={"width": width, "height": 700}, device_scale_factor=2
    )
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate(
        """() => [...document.querySelectorAll("trajectory-lab, bifurcation-lab")].flatMap((lab) =>
            [...lab.shadowRoot.querySelectorAll("input, button, canvas, p")].map((e) => e.getBoundingClientRect().right))"""
    )
    assert max(sizes) <= width


def test_theme_and_motion(open_page):
    page = open_page(
        "<trajectory-lab></trajectory-lab>", hash="#lab=steps:60,copies:1", color_scheme="dark", reduced_motion="reduce"
    )
    finished(page)
    drawn = f"{SHADOW}.querySelector('canvas').getContext('2d').getImageData(0, 0, 300, 200).data.some(Boolean)"
    assert page.evaluate(drawn)
    ground = "getComputedStyle(document.querySelector('trajectory-lab')).backgroundColor"
    assert page.evaluate(ground) == "rgb(28, 32, 37)"
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.wait_for_function(f"{ground} === 'rgb(255, 255, 255)'")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(f"{ground} === 'rgb(28, 32, 37)'")


def test_without_javascript_the_text_inside_is_shown(browser, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    file = tmp_path / "page.html"
    file.write_text(
        PAGE.format(lab=LAB.as_uri(), body="<trajectory-lab>Needs JavaScript.</trajectory-lab>"), encoding="utf-8"
    )
    page.goto(file.as_uri())
    assert page.inner_text("trajectory-lab") == "Needs JavaScript."
    context.close()


def test_embedding_panel(open_page, tmp_path):
    page = open_page('<trajectory-lab chapter="scalar-embedding"></trajectory-lab>', hash="#lab=steps:100,copies:2")
    finished(page)
    assert "of the variance" in page.inner_text("trajectory-lab .result")
    with page.expect_download() as info:
        page.get_by_role("button", name="Download CSV").click()
    info.value.save_as(tmp_path / "lab.csv")
    rows = list(csv.DictReader((tmp_path / "lab.csv").read_text().splitlines()))
    assert len(rows) == 101 and all(math.isfinite(float(row[name])) for row in rows for name in ("z", "dz_0", "dz_1"))


@pytest.mark.parametrize(("delta", "alpha", "sigma", "decay"), [(0.5, 0.3, 0.1, 0.0), (2.0, 3.0, 0.5, 0.1)])
def test_diagonal_network_in_training(engine, delta, alpha, sigma, decay):
    d, rho, seed, lr = 60, 0.1, 3, 0.004
    times = [0.0, 0.02, 0.5, 2.0, 4.0]
    options = {
        "inputs": d,
        "aspect_ratio": delta,
        "init_scale": alpha,
        "noise": sigma,
        "sparsity": rho,
        "weight_decay": decay,
    }
    script = """(options) => { const parts = [...trajlab.jobs.diagonal(options)];
        return ["risk", "training"].map((name) => parts.flatMap((part) => part[name])); }"""
    got = engine.evaluate(script, options | {"seed": seed, "times": times})
    rng = np.random.Generator(np.random.PCG64(seed))
    x = rng.standard_normal((round(delta * d), d)) / np.sqrt(d)
    truth, count = np.zeros(d), round(rho * d)
    for i in rng.permutation(d)[:count]:
        truth[i] = np.sqrt(d / count) * (-1 if rng.random() < 0.5 else 1)
    y = x @ truth + sigma * rng.standard_normal(len(x))
    u, v = np.full(d, alpha), np.full(d, alpha)
    want = []
    for step in range(round(times[-1] / lr) + 1):
        theta = (u * u - v * v) / 2
        residual = x @ theta - y
        if step in [round(t / lr) for t in times]:
            want.append((np.mean((theta - truth) ** 2), np.mean(residual**2)))
        gradient = x.T @ residual
        u, v = u - lr * u * (gradient + decay), v - lr * v * (decay - gradient)
    np.testing.assert_allclose(np.transpose(got), want, rtol=1e-8)


def test_theory_of_the_page_is_dmft():
    points = write_lab_theory.constants()
    text = write_lab_theory.TARGET.read_text(encoding="utf-8")
    lines = [line.strip(' ",') for line in text.partition("dmftCurves = [")[2].splitlines()[1:-2]]
    assert len(lines) == 2 * len(points)
    for k in (0, 92, 239):
        for line, values in zip(lines[2 * k : 2 * k + 2], write_lab_theory.curves(points[k]), strict=True):
            np.testing.assert_allclose([float(v) for v in line.split()], values, rtol=0.03, atol=1e-6)


@pytest.mark.slow
def test_golden_check_of_the_reader(open_page):
    page = open_page("<golden-check>Needs JavaScript.</golden-check>")
    page.get_by_role("button", name="Check this browser").click()
    page.wait_for_function(
        "document.querySelector('golden-check').shadowRoot.querySelector('.message').textContent", timeout=120_000
    )
    n = len(golden.load())
    assert page.inner_text("golden-check .message") == f"{n} of {n} runs end with the same bits as the library's."
    assert page.locator("golden-check td").all_inner_texts() == ["same bits"] * n
    page.evaluate("trajlab.golden[4].final = trajlab.golden[3].final")
    page.get_by_role("button", name="Check this browser").click()
    page.wait_for_function(
        "document.querySelector('golden-check').shadowRoot.querySelector('.message').textContent.startsWith('8 of')",
        timeout=120_000,
    )


@pytest.mark.slow
def test_bifurcation_diagram(open_page):
    page = open_page("<bifurcation-lab></bifurcation-lab>", hash="#bifurcation=split:1,from:9,to:11,low:0.5,high:3")
    finished(page, "bifurcation-lab")
    script = """() => { const { columns, ran } = document.querySelector("bifurcation-lab").data;
        return [columns.size, [...columns.values()].map(({ rate, counts }) => [rate, Array.from(counts)]), ran]; }"""
    n, columns, _ = page.evaluate(script)
    assert n == 700
    p = tl.iris(split_seed=1).proportions
    for rate, counts in columns[:: len(columns) // 5]:
        reduced = tl.SoftmaxMap(rate, p)
        loss = tl.train(reduced, reduced.init(4, seed=0), 1399).loss[:, 1000:]
        row = np.floor((3 - loss) / (3 - 0.5) * 400).astype(int)
        assert counts == np.bincount(row[(row >= 0) & (row < 400)], minlength=400).tolist()
    page.locator("bifurcation-lab canvas").focus()
    for key in ("+", "ArrowRight", "-", "-"):
        page.keyboard.press(key)
    finished(page, "bifurcation-lab")
    _, _, ran = page.evaluate(script)
    assert (ran["from"], ran["to"]) == (8.125, 12.125)
    box = page.locator("bifurcation-lab canvas").bounding_box()
    page.mouse.move(box["x"] + 500, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 100)
    page.mouse.up()
    finished(page, "bifurcation-lab")
    assert page.evaluate(script)[2]["from"] > 8.125
    assert json.dumps(page.evaluate("document.querySelector('bifurcation-lab').table().slice(0, 2)")).startswith(
        '[["rate", "loss", "visits"]'
    )


@pytest.mark.slow
def test_bifurcation_diagram_pinched_on_a_phone(open_page):
    phone = {"viewport": {"width": 380, "height": 800}, "has_touch": True, "is_mobile": True}
    page = open_page(
        "<bifurcation-lab></bifurcation-lab>", hash="#bifurcation=split:1,from:9,to:13,low:0.5,high:3", **phone
    )
    page.wait_for_function("document.querySelector('bifurcation-lab').shown", polling=100)
    canvas = page.locator("bifurcation-lab canvas")
    canvas.scroll_into_view_if_needed()
    box, fingers = canvas.bounding_box(), page.context.new_cdp_session(page)

    def touch(kind, *across):
        points = [{"x": box["x"] + x, "y": box["y"] + box["height"] / 2, "id": i} for i, x in enumerate(across)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    values = "document.querySelector('bifurcation-lab').values"
    touch("touchStart", 150)
    touch("touchStart", 150, 210)
    under = page.evaluate("(lab => lab.pinched.centre[0])(document.querySelector('bifurcation-lab'))")
    touch("touchMove", 140, 220)
    touch("touchMove", 120, 240)
    touch("touchEnd")
    view = page.evaluate(values)
    assert view["to"] - view["from"] == pytest.approx(2.0, rel=0.01), "twice the gap, half the width"
    assert (under - view["from"]) / 2.0 == pytest.approx((under - 9) / 4.0, abs=0.01), (
        "what is between the fingers stays"
    )
    before = page.evaluate(values + ".from")
    touch("touchStart", 200)
    touch("touchMove", 150)
    touch("touchEnd")
    assert page.evaluate(values + ".from") > before, "one finger drags again"
    assert page.evaluate("document.querySelector('bifurcation-lab').fingers.size") == 0


@pytest.mark.slow
def test_rungs_are_marked_in_the_diagram_of_the_map(open_page):
    page = open_page("<bifurcation-lab></bifurcation-lab>", hash="#bifurcation=from:4,to:22")
    page.wait_for_function("document.querySelector('bifurcation-lab').shown", polling=100)
    rungs = "document.querySelector('bifurcation-lab').rungs().map(({ at }) => at(0))"
    assert page.evaluate(rungs) == [5, 10, 15, 20]
    page.evaluate("document.querySelector('bifurcation-lab').set('to', 900)")
    assert page.evaluate(rungs) == [], "so many would be a hatching"
    page.evaluate("document.querySelector('bifurcation-lab').set('system', 'network')")
    assert page.evaluate(rungs) == []


# What a browser, a link or a hasty reader does to them

SMALL = "#lab=steps:60,copies:1"


def test_an_address_that_cannot_follow_does_not_keep_a_run_from_starting(open_page):
    page = open_page("<trajectory-lab></trajectory-lab>", hash=SMALL)
    finished(page)
    page.evaluate(
        "history.replaceState = () => { throw new DOMException('more than 100 in 30 s', 'SecurityError'); }; null"
    )
    page.get_by_label("copies, exact value").fill("3")
    page.keyboard.press("Enter")
    page.wait_for_function(f"{RAN}.copies === 3")
    finished(page)
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function(f"{RAN}.copies === 20")
    page.evaluate("navigator.clipboard.writeText = async () => { throw new Error('no'); }; null")
    page.get_by_role("button", name="Copy link").click()
    said = page.locator("trajectory-lab .message")
    assert "#lab=lr:0.01,ic:0,radius:1e-8,copies:20,steps:5000" in said.text_content()


def test_the_address_changes_seldom_and_ends_right(open_page):
    page = open_page("<trajectory-lab></trajectory-lab><bifurcation-lab></bifurcation-lab>", hash=SMALL)
    page.evaluate(
        """async () => {
            const { replaceState } = history, [lab, other] = document.querySelectorAll("trajectory-lab, bifurcation-lab");
            self.writes = 0;
            history.replaceState = (...given) => { self.writes++; replaceState.apply(history, given); };
            for (let n = 0; n < 150; n++) {
                lab.set("ic", n);
                other.set("split", n % 90);
                await new Promise((resolve) => setTimeout(resolve, 10));
            }
        }"""
    )
    page.wait_for_function("location.hash.includes('ic:149') && location.hash.includes('split:59')")
    assert page.evaluate("writes") < 15, "Safari refuses more than 100 in 30 s"


def test_the_newest_of_several_looks_counts(open_page):
    page = open_page("<p></p>" * 2 + "<trajectory-lab hidden></trajectory-lab>", hash="#lab=steps:60,copies:1")
    page.evaluate(
        """() => {
            self.IntersectionObserver = class {
                constructor(tell) { self.tell = tell; }
                observe() {}
                disconnect() {}
            };
            document.querySelector("trajectory-lab").remove();
            document.body.append(document.createElement("trajectory-lab"));
            tell([{ isIntersecting: true }, { isIntersecting: false }]);
        }"""
    )
    assert page.evaluate(f"{PANEL}.worker") is None, "out of sight by now"
    page.evaluate("tell([{ isIntersecting: false }, { isIntersecting: true }])")
    finished(page)


def test_a_laboratory_that_is_moved_goes_on(open_page):
    page = open_page("<main></main><trajectory-lab></trajectory-lab>")
    page.wait_for_function(f"{PANEL}.worker && {PANEL}.data")
    page.evaluate(f"document.querySelector('main').append({PANEL})")
    finished(page)
    assert page.evaluate(f"{PANEL}.data.times") == 5001


@pytest.mark.parametrize(
    "lacking",
    [
        "delete self.IntersectionObserver",
        "delete self.ResizeObserver",
        "self.IntersectionObserver = class { constructor() { throw new Error('refused'); } }",
        "self.ResizeObserver = class { observe() { throw new Error('refused'); } }",
        "delete self.matchMedia",
        "self.matchMedia = () => { throw new Error('refused'); }",
        "self.matchMedia = (query) => ({ matches: false, addListener() {} })",  # Safari 13
        "history.replaceState = () => { throw new Error('refused'); }",
    ],
)
def test_works_without_what_a_browser_may_lack(open_page, lacking):
    page = open_page("<trajectory-lab hidden></trajectory-lab>", hash="#hero=lr:0.5")
    page.evaluate(lacking + "; null")
    page.evaluate("document.querySelector('trajectory-lab').remove()")
    for name in ("trajectory-lab", "hero-lab"):
        page.evaluate("(name) => document.body.append(document.createElement(name))", name)
    page.evaluate(f"{PANEL}.set('steps', 70)")
    page.evaluate(f"{PANEL}.set('copies', 2)")
    finished(page)
    finished(page, "hero-lab")
    assert page.evaluate(f"[{RAN}.steps, {RAN}.copies]") == [70, 2]
    assert page.evaluate(f"{SHADOW}.querySelector('canvas').width") > 100
    assert page.evaluate("document.querySelector('hero-lab').data.lr") == 0.5
    assert page.inner_text("trajectory-lab .message") == ""


def test_what_cannot_be_done_is_said(open_page, tmp_path):
    page = open_page('<trajectory-lab chapter="intermittency"></trajectory-lab>', hash=SMALL)
    finished(page)
    said, save = page.locator("trajectory-lab .message"), page.get_by_role("button", name="Download CSV")
    page.evaluate(
        "self.create = URL.createObjectURL; URL.createObjectURL = () => { throw new Error('not in a frame'); }; null"
    )
    save.click()
    assert said.text_content() == "This browser saves no file here (not in a frame)."
    page.evaluate("URL.createObjectURL = create; null")
    page.evaluate(
        "self.Worker = class { constructor() { throw new Error('refused by the policy of this page'); } }; null"
    )
    page.evaluate(f"{PANEL}.set('ic', 9)")
    page.wait_for_function(f"{SHADOW}.querySelector('.message').textContent.includes('policy of this page')")
    drawn(page)
    assert page.evaluate(f"{PANEL}.hasAttribute('before')"), "no new run: what is there stays marked"
    with page.expect_download() as info:
        save.click()
    assert info.value.suggested_filename == "lab-lr_5_ic_51_radius_1e-8_copies_1_steps_60_split_1.csv"
    info.value.save_as(tmp_path / "lab.csv")
    rows = list(csv.DictReader((tmp_path / "lab.csv").read_text().splitlines()))
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(split_seed=1), lr=5.0)
    assert float(rows[0]["loss"]) == gd.loss(gd.network.init(52, seed=0)[51])
    assert "of the values before" in said.text_content()


def test_a_table_saved_before_the_new_run_has_the_name_of_the_old_one(open_page):
    page = open_page("<trajectory-lab></trajectory-lab>", hash=SMALL)
    finished(page)
    with page.expect_download() as info:  # at once: within the pause that a change is given
        page.evaluate(f"(() => {{ {PANEL}.set('lr', '3'); {PANEL}.download(); }})()")
    assert info.value.suggested_filename == "lab-lr_0.01_ic_0_radius_1e-8_copies_1_steps_60.csv"
    assert "of the values before" in page.inner_text("trajectory-lab .message")
    page.wait_for_function(f"{RAN}.lr === 3")
    finished(page)
    with page.expect_download() as info:
        page.get_by_role("button", name="Download CSV").click()
    assert info.value.suggested_filename == "lab-lr_3_ic_0_radius_1e-8_copies_1_steps_60.csv"
    assert page.inner_text("trajectory-lab .message") == ""


def test_a_table_of_a_run_that_has_not_ended_says_so(open_page):
    page = open_page("<trajectory-lab></trajectory-lab>", hash="#lab=steps:20000,copies:40")
    page.wait_for_function(f"{PANEL}.data && {PANEL}.data.times")
    page.get_by_role("button", name="Pause").click()
    with page.expect_download() as info:
        page.get_by_role("button", name="Download CSV").click()
    assert info.value.suggested_filename.endswith("_steps_20000_unfinished.csv")
    assert "has not ended" in page.inner_text("trajectory-lab .message")


@pytest.mark.parametrize(
    ("link", "said", "steps"),
    [
        ("#lab=lr:%E0%A4%A,steps:60", "“%E0%A4%A” is not, so it stays 0.01.", 60),
        ("#lab=garbage", "“garbage” in the link is not understood, and is left out.", 5000),
        ("#lab=garbage,steps:60,speed:7", "“speed:7” in the link is not understood, and is left out.", 60),
        ("#lab=steps%3A60%2Ccopies%3A2", "", 60),
        ("#lab%3Dsteps%3A60", "", 60),
        ("#lab=", "", 5000),
        ("#lab=steps:60.5", "steps must be a whole number from 50 to 20000; “60.5” is not, so it stays 5000.", 5000),
        ("#%E0%A4%A", "", 5000),
        ("#lab=__proto__:3", "“__proto__:3” in the link is not understood, and is left out.", 5000),
    ],
)
def test_links_that_are_not_as_they_should_be(open_page, link, said, steps):
    page = open_page("<trajectory-lab></trajectory-lab>", hash=link)
    page.wait_for_function(f"{PANEL}.data && {PANEL}.data.times")
    assert page.evaluate(f"[{RAN}.steps, {RAN}.lr]") == [steps, 0.01]
    message = page.locator("trajectory-lab .message")
    assert message.get_attribute("role") == "status"
    assert message.text_content().endswith(said) and bool(message.text_content()) == bool(said)


def test_laboratories_of_a_page_have_a_part_of_the_address_each(open_page):
    body = '<trajectory-lab></trajectory-lab><bifurcation-lab system="map"></bifurcation-lab><trajectory-lab></trajectory-lab>'
    old = "#lab=lr:0.5,ic:1,radius:1e-8,copies:2,steps:60"
    page = open_page(body, hash=old)
    values = "[...document.querySelectorAll('trajectory-lab')].map((lab) => [lab.values.ic, lab.values.lr])"
    assert page.evaluate(values) == [[1, 0.5], [0, 0.01]], "a link of old is for the first"
    for script in (
        "document.querySelectorAll('trajectory-lab')[1].set('ic', 7)",
        "document.querySelector('bifurcation-lab').set('split', 3)",
    ):
        page.evaluate(script)
    page.wait_for_function("location.hash.includes('split:3')")
    link = page.evaluate("location.hash")
    assert link.startswith("#bifurcation=system:map,split:3,") and old[1:] in link.split("&")
    assert "lab2=lr:0.01,ic:7,radius:1e-8,copies:20,steps:5000" in link.split("&")
    page = open_page(body, hash=link)
    assert page.evaluate(values) == [[1, 0.5], [7, 0.01]]
    assert page.evaluate("document.querySelector('bifurcation-lab').values.split") == 3


MARKED = f"""(() => {{
    const lab = {PANEL}, words = lab.shadowRoot.querySelector(".plot .before"), canvas = lab.canvases.loss;
    return [getComputedStyle(words).visibility === "visible" && words.textContent, Number(getComputedStyle(canvas).opacity) < 0.5,
        canvas.getAttribute("aria-label").startsWith("Of the values before"), lab.note.role === "status" && lab.note.textContent];
}})()"""
OLD = ["of the values before", True, True, "The figures are of the values before."]


def test_the_figure_of_the_values_before_is_marked(open_page):
    page = open_page("<trajectory-lab></trajectory-lab>", hash=SMALL)
    finished(page)
    assert page.evaluate(MARKED) == [False, False, False, ""]
    page.evaluate(f"{PANEL}.set('ic', 4)")
    assert page.evaluate(MARKED) == OLD
    page.evaluate(f"{PANEL}.set('ic', 0)")
    assert page.evaluate(MARKED) == [False, False, False, ""], "they are the values again that the figure is of"
    page.evaluate(f"{PANEL}.set('steps', '20000')")
    result = page.inner_text("trajectory-lab .result")
    assert page.evaluate(MARKED) == OLD and result.startswith("After 60 steps")
    page.wait_for_function(f"{RAN}.steps === 20000")
    assert page.evaluate(MARKED) == [False, False, False, ""] and page.inner_text("trajectory-lab .result") == ""
    assert page.evaluate(f"{PANEL}.canvases.loss.getAttribute('aria-label')") == "Loss", "of the run that has begun"


def test_a_moved_view_of_the_diagram_is_not_of_the_values_before_but_another_split_is(open_page):
    page = open_page('<bifurcation-lab system="map"></bifurcation-lab>', hash="#bifurcation=from:4,to:6")
    lab = "document.querySelector('bifurcation-lab')"
    page.wait_for_function(f"{lab}.data && {lab}.data.columns.size")
    page.evaluate(f"{lab}.zoom(0.9)")
    assert page.evaluate(f"{lab}.hasAttribute('before')") is False
    page.evaluate(f"{lab}.set('split', 7)")
    assert page.evaluate(f"{lab}.hasAttribute('before')") is True
    page.wait_for_function(f"{lab}.data.ran.split === 7")
    assert page.evaluate(f"{lab}.hasAttribute('before')") is False
    page.evaluate(f"{lab}.set('from', '900')")
    page.wait_for_function(f"{lab}.shadowRoot.querySelector('.message').textContent.startsWith('“from” must be below')")
    assert page.evaluate(f"{lab}.hasAttribute('before')") is True


def test_a_value_that_is_refused_starts_no_run(open_page):
    page = open_page("<trajectory-lab></trajectory-lab>", hash=SMALL)
    finished(page)
    page.get_by_label("copies, exact value").fill("2.5")
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    assert page.evaluate(f"{PANEL}.hasAttribute('finished') && !{PANEL}.worker")
    assert "it stays 1" in page.inner_text("trajectory-lab .message")


def test_no_weight_hides_the_others(open_page):
    page = open_page('<trajectory-lab chapter="intermittency"></trajectory-lab>', hash="#lab=steps:20000,copies:1")
    finished(page)
    script = f"""() => {{
        const canvas = {PANEL}.canvases.weights, from = Math.round(canvas.width / 2);
        const {{ data }} = canvas.getContext("2d").getImageData(from, 0, canvas.width - from - 14, canvas.height);
        const near = (hex, i) => [1, 3, 5].every((place, k) => Math.abs(parseInt(hex.slice(place, place + 2), 16) - data[i + k]) < 40);
        return {PANEL}.colours.several.map((hex) => {{
            let count = 0;
            for (let i = 0; i < data.length; i += 4) count += data[i + 3] > 200 && near(hex, i);
            return count;
        }});
    }}"""
    counts = dict(zip(["W1[0,0]", "W1[2,3]", "b1[4]", "W2[4,1]", "b2[0]", "b2[2]"], page.evaluate(script), strict=True))
    assert min(counts.values()) > 100, counts  # a line across half of the figure is some 150 pixels wide
