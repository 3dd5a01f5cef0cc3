"""The figures that lead chapters 4 to 7, in headless Chromium, from a folder (file://): their numbers are the library's."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from laboratory import BYTES, drawn, finished, floats

import trajlib as tl
from trajlib.companion.early import early_indicators
from trajlib.companion.learning_runs import directions, follow
from trajlib.series import time_to_threshold

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import write_lab_theory
import write_lab_trees

LINE, WEIGHTS, CURVE = (f"document.querySelector('{name}-lead')" for name in ("line", "weights", "curve"))
W = [0.41, 1.04, -0.13, 1.37, 0.2, 0, -0.67, 0.35, -0.1]
SERIES = "const series = (rows) => bytes(Float64Array.from(rows.flatMap((row) => [...row])));"


@pytest.mark.parametrize("lr", [0.1, 1.0, 5.0])
def test_line_and_distance_are_those_of_embed_copies(open_page, lr):
    page = open_page("<line-lead></line-lead>", hash=f"#line=lr:{lr},ic:3", reduced_motion="reduce")
    finished(page, "line-lead")
    script = f"(() => {{ {BYTES} {SERIES} const {{ z, separation, distance, clocks, explained }} = {LINE}.data; "
    z, separation, distance, clocks, explained = page.evaluate(
        script + "return [series(z), series(separation), series(distance), clocks, explained]; })()"
    )
    net = tl.Perceptron(4, 10, 3)
    gd = tl.GradientDescent(net, tl.iris(), lr=lr)
    run = tl.diverge(gd, net.init(4, seed=0), radius=1e-8, copies=5, steps=200, seed=1, record=("weights",))
    want = tl.embed_copies(run.snapshots[3:])
    np.testing.assert_allclose(floats(z).reshape(6, -1), want.coordinates[0, ..., 0], rtol=1e-6, atol=1e-8)
    rms, apart = want.rms_distance[0], np.abs(want.separation[0, ..., 0])
    np.testing.assert_allclose(floats(distance).reshape(-1, 5).T, rms, rtol=1e-12)
    np.testing.assert_allclose(floats(separation).reshape(5, -1), apart, rtol=1e-5, atol=1e-14)
    for name, values in (("D", rms), ("line", apart)):
        time = tl.saturation_time(values)
        assert clocks[name] == (None if np.isnan(time) else time)
    assert explained == pytest.approx(want.explained_variance[0, 0], rel=1e-9)


@pytest.mark.parametrize("shape", ["grows", "slow", "flat", "rises late"])
def test_clock_is_saturation_time(open_page, shape):
    t = np.arange(201.0)
    curve = {
        "grows": np.minimum(1e-8 * np.exp(0.2 * t), 1.0),
        "slow": 1e-8 * np.exp(0.02 * t),
        "flat": np.ones(201),
        "rises late": 1e-8 * np.exp(0.1 * t),
    }[shape]
    page = open_page("<line-lead hidden></line-lead>")
    got, want = (
        page.evaluate("(curve) => trajlab.saturationTime(curve)", curve.tolist()),
        tl.saturation_time(curve[None]),
    )
    assert got == (None if np.isnan(want) else want)
    assert (got is not None) == (shape == "grows")


def test_exponents_and_loss_are_those_of_finite_time_exponents(open_page):
    page = open_page("<weights-lead hidden></weights-lead>")
    at = [0, 1, 15, 200, 1000, 4000]
    script = f"""([weights, at]) => {{ {BYTES} {SERIES}
        const parts = [...trajlab.jobs.weights({{ weights, lr: 1e-3, at, early: 15, exponents: true }})];
        const known = parts.flatMap((part) => part.exponents || []);
        return [series([parts[0].loss]), series(known.map((one) => one.exponents)), series(known.map((one) => one.orthonormal))]; }}"""
    loss, singular, orthonormal = map(floats, page.evaluate(script, [W, at]))
    gd, w0 = write_lab_trees.descent(), np.array([W])
    want = tl.finite_time_exponents(gd, w0, 4000, at=at[1:], singular_values=True, seed=0)
    assert loss.tobytes() == tl.train(gd, w0, 4000).loss[0, at].tobytes()
    np.testing.assert_allclose(orthonormal.reshape(5, 9), want.exponents[0] / gd.lr, rtol=1e-9)
    np.testing.assert_allclose(singular.reshape(5, 9), want.singular_exponents[0] / gd.lr, rtol=1e-9, atol=1e-9)


def test_what_is_foretold_is_what_the_trees_say(open_page):
    page = open_page("<weights-lead hidden></weights-lead>")
    net = tl.Perceptron(2, 2, 1, activation="tanh", loss="half_squared_error")
    w0 = np.concatenate([net.init(12, seed=0), [W]])
    known = early_indicators(write_lab_trees.descent(), w0, np.array([15]), seed=0)
    script = """(all) => all.map((weights) => {
        const parts = [...trajlab.jobs.weights({ weights, lr: 1e-3, at: [0, 15, 16], early: 15, exponents: false })];
        const { exponents } = parts.slice(1).flatMap((part) => part.exponents).find((one) => one.step === 15);
        const told = { ...parts[0].state, exponents };
        return Object.entries(trajlab.readers).map(([name, reader]) => [name, told[name], trajlab.forecast(reader, told[name])]); })"""
    for i, readers in enumerate(page.evaluate(script, w0.tolist())):
        assert [name for name, *_ in readers] == list(write_lab_trees.READ)
        for name, told, score in readers:
            np.testing.assert_allclose(told, known[name][i, 0], rtol=1e-8, atol=1e-8, err_msg=name)
            lines = page.evaluate("(name) => trajlab.readers[name].trees", name)
            start = page.evaluate("(name) => trajlab.readers[name].start", name)
            assert score == pytest.approx(start + write_lab_trees.read(lines, np.array([told]))[0], abs=1e-9)


def test_readers_have_the_skill_that_stands_beside_them(open_page):
    page = open_page("<weights-lead hidden></weights-lead>")
    final, known = write_lab_trees.networks(600)  # the first of the ensemble; half of them the readers have learnt from
    well = tl.outcomes(final, low=4.0, high=100.0) == 0
    for name, told in known.items():
        reader = page.evaluate("(name) => trajlab.readers[name]", name)
        area = tl.auc(write_lab_trees.read(reader["trees"], told), well)
        assert reader["lower"] < reader["auc"] < reader["upper"] < area.value + 0.03
        assert area.value < reader["auc"] + 0.2


def test_a_link_leads_to_a_whole_run(open_page):
    page = open_page(
        '<a class="tl-set" href="#weights=w22:0">at 0</a><weights-lead></weights-lead>', reduced_motion="reduce"
    )
    finished(page, "weights-lead")
    page.get_by_text("at 0").click()
    page.wait_for_function(f"{WEIGHTS}.data.ran.w22 === 0 && {WEIGHTS}.data.complete && {WEIGHTS}.data.whole")
    assert page.inner_text("weights-lead .truth") == "In truth the run fails (loss 112)."


def test_a_weight_is_moved_by_pointer_and_by_keyboard(open_page):
    page = open_page("<weights-lead></weights-lead>", reduced_motion="reduce")
    finished(page, "weights-lead")
    handle = page.get_by_role("slider", name="weight from input 2 to hidden unit 2")
    assert handle.get_attribute("aria-valuenow") == "-1.3"
    assert "fails" in page.inner_text("weights-lead .truth")
    handle.press("ArrowUp")
    handle.press("PageUp")
    page.wait_for_function(f"{WEIGHTS}.data.ran.w22 === -0.2 && {WEIGHTS}.data.complete && {WEIGHTS}.data.whole")
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 27, steps=3)
    page.wait_for_function(f"{WEIGHTS}.data.ran.w22 === 0.55 && {WEIGHTS}.data.complete")
    assert not page.evaluate(f"{WEIGHTS}.data.whole")  # while it is dragged
    page.mouse.up()
    page.wait_for_function(f"{WEIGHTS}.data.whole && {WEIGHTS}.data.complete")
    assert page.evaluate(f"{WEIGHTS}.data.exponents.length") == page.evaluate(f"{WEIGHTS}.steps")
    page.wait_for_function(f"{WEIGHTS}.truth.textContent.includes('ends well')")
    assert "w22:0.55" in page.evaluate("location.hash")
    page.get_by_role("button", name="Another network").click()
    page.wait_for_function(
        f"{WEIGHTS}.values.w22 !== 0.55 && !{WEIGHTS}.changedSince && {WEIGHTS}.data.complete && {WEIGHTS}.data.whole"
    )
    last = page.evaluate(f"Array.from({{ length: 9 }}, (_, i) => Object.values({WEIGHTS}.data.ran)[i])")
    loss = tl.train(write_lab_trees.descent(), np.array([last], dtype=float), 4000, every=4000).loss[0, -1]
    assert page.evaluate(f"{WEIGHTS}.data.loss.at(-1)") == loss


def test_the_curve_moves_with_the_slider_and_networks_follow(open_page):
    page = open_page("<curve-lead></curve-lead>", hash="#curve=inputs:40,init_scale:0.25", reduced_motion="reduce")
    assert "0.25 became" in page.inner_text("curve-lead .message")
    finished(page, "curve-lead")
    text = write_lab_theory.TARGET.read_text(encoding="utf-8")
    lines = [line.strip(' ",') for line in text.partition("dmftCurves = [")[2].splitlines()[1:-2]]
    alpha = page.evaluate(f"{CURVE}.data.ran.init_scale")
    assert alpha in (0.2, 0.3)
    first = {"aspect_ratio": 0.5, "init_scale": alpha, "noise": 0.1, "sparsity": 0.1, "weight_decay": 0.0}
    k = write_lab_theory.constants().index(first)
    assert page.evaluate(f"{CURVE}.data.theory") == [[float(v) for v in x.split()] for x in lines[2 * k : 2 * k + 2]]
    networks = page.evaluate(f"{CURVE}.data.networks.map((one) => one.risk)")
    assert len(networks) == 6 and {len(one) for one in networks} == {len(write_lab_theory.TIMES)}
    assert np.abs(np.mean(networks, axis=0) - page.evaluate(f"{CURVE}.data.theory[0]")).max() < 0.3
    said = re.search(r"networks of 40 inputs ([\d.]+) ± ([\d.]+)", page.locator("curve-lead .result").text_content())
    assert float(said[1]) == pytest.approx(np.mean(networks, axis=0)[-1], rel=0.01)
    page.locator("curve-lead input[type=range]").first.press("End")
    theory = page.evaluate(f"{CURVE}.data.theory[0]")  # at once, before a network has been trained
    assert theory[-1] == pytest.approx(0.508, abs=0.01) and page.evaluate(f"{CURVE}.data.networks.length") == 0


@pytest.mark.parametrize("name", ["line", "weights", "curve"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_fit_a_phone(open_page, name, theme):
    page = open_page(f"<{name}-lead></{name}-lead>", viewport={"width": 360, "height": 700}, reduced_motion="reduce")
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.wait_for_function(f"document.querySelector('{name}-lead').data?.ran")
    drawn(page, f"{name}-lead")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_scale_moves_by_arrow_keys_and_reset_takes_the_address_back(open_page):
    page = open_page("<curve-lead></curve-lead>", hash="#curve=init_scale:0.1", reduced_motion="reduce")
    finished(page, "curve-lead")
    slider = page.locator("curve-lead input[type=range]").first
    values = []
    for _ in range(3):
        slider.press("ArrowRight")
        values.append(page.evaluate("document.querySelector('curve-lead').values.init_scale"))
    assert values == sorted(set(values)) and values[0] > 0.1
    page.locator("curve-lead button", has_text="Reset").click()
    page.wait_for_function("location.hash.includes('init_scale:0.3')")


@pytest.mark.parametrize("split", [0, 3])
def test_times_to_learn_and_exponents_are_those_of_the_chapter(open_page, split):
    page = open_page("<learning-lead hidden></learning-lead>")
    rates, networks, steps = [0.05, 0.3, 1.0], 2, 60
    script = f"""([rates, networks, steps, split]) => {{ {BYTES}
        const runs = [...trajlab.jobs.learning({{ rates, networks, steps, split }})].flatMap((part) => part.runs);
        runs.sort((a, b) => a.k - b.k || a.network - b.network);
        return runs.map(({{ known, growth }}) => [Array.from(known), Array.from(growth)]); }}"""
    found = page.evaluate(script, [rates, networks, steps, split])
    net, task = tl.Perceptron(4, 10, 3), tl.iris(split_seed=split)
    for k, rate in enumerate(rates):
        gd = tl.GradientDescent(net, task, lr=rate)
        want = follow(gd, net.init(networks, seed=0), directions(0, networks, gd.n_parameters), steps)
        for i in range(networks):
            known, growth = found[networks * k + i]
            assert known == np.round(30 * want.accuracy[i]).astype(int).tolist()
            mean = want.growth[i].cumsum()[9::10] / np.arange(10, steps + 1, 10)
            np.testing.assert_allclose(growth[1:], mean, rtol=1e-5, atol=1e-7)


def test_learned_is_what_it_is_in_the_library(open_page):
    page = open_page("<learning-lead></learning-lead>", hash="#learning=lr:1,ic:4", reduced_motion="reduce")
    finished(page, "learning-lead")
    lead = "document.querySelector('learning-lead')"
    rows = page.evaluate(f"{lead}.table().slice(1)")
    assert len(rows) == 21 * 12 and {row[1] for row in rows} == set(range(12))
    known = np.array(page.evaluate(f"{lead}.data.runs.map((row) => row.map(({{ known }}) => Array.from(known)))"))
    want = time_to_threshold(known / 30, 0.9 - 1e-9)
    assert np.array([row[2] for row in rows]).reshape(21, 12).tolist() == want.tolist() and (want >= 0).any()
    page.evaluate(f"{lead}.set('hold', '1')")  # reached at all
    first = page.evaluate(f"{lead}.table().slice(1)")
    assert (
        [row[2] for row in first]
        == time_to_threshold(known / 30, 0.9 - 1e-9, hold=1).ravel().tolist()
        != want.ravel().tolist()
    )
    page.evaluate(f"{lead}.set('hold', '20')")
    assert "half of the twelve networks have learned soonest" in page.evaluate(f"{lead}.result.textContent")
    # another network of the same runs: nothing is computed anew
    page.evaluate(f"{lead}.set('ic', '5')")
    assert page.evaluate(f"{lead}.worker") is None and page.evaluate(f"{lead}.data.ran.ic") == 5
