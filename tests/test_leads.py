"""The figures that lead chapters 1 to 3, in headless Chromium, against the library."""

import csv
import json
import re

import numpy as np
import pytest
from laboratory import BYTES, LAB, drawn, finished, floats

import trajlib as tl
from trajlib.stability import growth_by_sign


def of(name):
    return f"document.querySelector('{name}-lead')"


@pytest.fixture(scope="module")
def net():
    return tl.Perceptron(4, 10, 3)


def test_hessian_is_that_of_the_library(open_page, net):
    page = open_page("<drift-lead hidden></drift-lead>")
    script = f"""(() => {{ {BYTES}
        const gd = trajlab.irisDescent(1, 0), w = trajlab.initialConditions(trajlab.SIZES, 3, 2), curvature = trajlab.curvatureOf(gd);
        for (let t = 0; t < 30; t++) gd.step(w, gd.size, false);
        curvature.at(w, gd.size);
        const matrix = curvature.hessian(), {{ values, vectors }} = trajlab.eigen(matrix, gd.size);
        return [bytes(matrix), bytes(values), bytes(vectors), curvature.sharpness()]; }})()"""
    *arrays, sharpness = page.evaluate(script)
    matrix, values, vectors = (floats(text) for text in arrays)
    gd = tl.GradientDescent(net, tl.iris(), lr=1.0)
    want = gd.hessian(tl.train(gd, net.init(5, seed=0)[[4]], 30, record=()).final)[0]
    np.testing.assert_allclose(matrix.reshape(83, 83), want, atol=1e-14)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(want), atol=1e-13)
    vectors = vectors.reshape(83, 83)
    np.testing.assert_allclose(vectors * values @ vectors.T, want, atol=1e-12)
    assert sharpness == pytest.approx(values[-1], rel=1e-9)


@pytest.mark.parametrize(("lr", "ic"), [(0.1, 0), (0.5, 4)])
def test_drift_lead_shows_displacements_of_diverge(open_page, net, lr, ic):
    page = open_page("<drift-lead></drift-lead>", hash=f"#drift=lr:{lr},ic:{ic}", reduced_motion="reduce")
    finished(page, "drift-lead")
    keys = "({ step, stop, length, clipped, factors, part, loss }) => [step, stop, length, clipped, factors, [...part], loss]"
    moments = page.evaluate(f"{of('drift')}.data.moments.map({keys})")
    step, stop, length, clipped, factors, part, loss = (np.array(column) for column in zip(*moments, strict=True))
    gd, w0 = tl.GradientDescent(net, tl.iris(), lr=lr), net.init(5, seed=0)[[ic]]
    steps = round(50 / lr)
    copies = tl.perturb(gd, net.init(5, seed=0), radius=1e-8, copies=8, seed=1)[ic]
    run = tl.train(gd, np.concatenate([w0, copies]), steps, record=("loss", "weights"))
    apart = np.sqrt((np.linalg.norm(run.weights[1:] - run.weights[0], axis=-1) ** 2).mean(axis=0))
    np.testing.assert_allclose(length, (apart / apart[0])[step], rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(part, axis=1), length, rtol=1e-9)  # nothing is left out
    np.testing.assert_array_equal(loss, run.loss[0][step])
    np.testing.assert_allclose(np.prod(factors, axis=1), length, rtol=0.05)
    times = np.concatenate([[0], stop[np.append(True, np.diff(stop) > 0)]])
    vectors = (copies - w0) / 1e-8
    if lr == 0.1:
        signs = growth_by_sign(gd, w0, vectors[None], times)["positive"][0]
        assert clipped[-1] == pytest.approx(
            np.sqrt((signs[:, -1] ** 2).mean() / (signs[:, 0] ** 2).mean()), rel=0.1
        )  # L1 there
        assert clipped.max() <= 1 and "10\u207b" not in page.inner_text("drift-lead .result")


def test_edge_lead_shows_the_growth_of_the_tangent_map(open_page, net):
    page = open_page("<edge-lead></edge-lead>", hash="#edge=lr:1,steps:500,ic:1", reduced_motion="reduce")
    finished(page, "edge-lead")
    rate, sharp, loss, distance = page.evaluate(
        f"(({{ rate, sharpness, loss, distance }}) => [rate, sharpness, loss, distance])({of('edge')}.data)"
    )
    gd, w0 = tl.GradientDescent(net, tl.iris(), lr=1.0), net.init(2, seed=0)
    copy = tl.perturb(gd, w0, radius=1e-8, copies=1, seed=1)
    run = tl.train(gd, np.concatenate([w0[[1]], copy[1]]), 500, record=("loss", "weights"))
    np.testing.assert_array_equal(loss, run.loss[0][:500])
    np.testing.assert_allclose(distance, np.abs(run.weights[1] - run.weights[0]).sum(-1)[:500], rtol=1e-9)
    vector = (copy[1] - w0[[1]]) / 1e-8
    tangent = tl.tangent(gd, w0[[1]], vector[None], 500)
    assert len(rate) == 50 and abs(np.mean(rate[:5]) - np.mean(rate[-5:])) > 0.1
    l1 = np.log(tangent.norm[0, 0, -1] / tangent.norm[0, 0, 0])  # another norm: equal but for a constant
    assert sum(rate) * 10 == pytest.approx(l1, abs=3)
    want = np.linalg.eigvalsh(gd.hessian(run.weights[0, :500]))[:, -1] / 2
    np.testing.assert_allclose(sharp, (want[0:500:10] + want[1:500:10]) / 2, rtol=1e-6)


def test_copy_of_number_6_jumps_as_the_chapter_says(net):
    """Where the tangent vector is quiet: the cycle of two steps has lost its stability, and the copy lands two steps from the network."""
    gd, basis = tl.GradientDescent(net, tl.iris(), lr=1.0), tl.transverse_basis(net)
    w0 = net.init(7, seed=0)
    copy = tl.perturb(gd, w0, radius=1e-8, copies=1, seed=1)[6]
    run, copied = tl.train(gd, np.concatenate([w0[[6]], copy]), 1410, record=("weights",)).weights

    def lowest(t):
        both = basis.T @ gd.jacobian(run[t + 1]) @ gd.jacobian(run[t]) @ basis
        return np.linalg.eigvals(both).real.min()

    def apart(t, later=0):
        return np.abs(copied[t + later] - run[t]).sum()

    assert lowest(1140) > -1 > lowest(1180)
    assert apart(1400) > 20 * apart(1300) and apart(1400) > 5 * apart(1400, later=2)
    norm = tl.tangent(gd, w0[[6]], (copy - w0[[6]])[None], 1400).norm[0, 0]
    assert norm[1300:].max() < 2 * norm[1300]


def test_ladder_lead_keeps_its_state_as_kappa_moves(open_page):
    page = open_page("<ladder-lead></ladder-lead>", reduced_motion="reduce")
    finished(page, "ladder-lead")
    rest = f"{of('ladder')}.done"
    page.wait_for_function(rest)
    drawn(page, "ladder-lead")
    assert page.inner_text("ladder-lead .progress").startswith("κ = 10.00, at rest")
    periods = []
    for way in ("kappa:15,kappa:10", "kappa:5,kappa:10", "kappa:7", "kappa:15"):
        page.evaluate(f"{of('ladder')}.obey({json.dumps(way)})")
        page.wait_for_function(rest)
        periods.append(page.evaluate(f"{of('ladder')}.period"))
    assert periods == [3, 0, 2, 3]  # from above and from below to the same kappa
    p = tl.iris(split_seed=1).proportions
    start = page.evaluate(f"[...{of('ladder')}.logits]")
    reduced = tl.SoftmaxMap(15.0, p)
    want = tl.train(reduced, np.array([start]), 40, record=("loss",)).loss[0]
    got = sorted(page.evaluate(f"{of('ladder')}.losses.slice(-3)"))
    np.testing.assert_allclose(sorted(want[-3:]), got, rtol=1e-6)


def test_ladder_lead_has_networks_where_the_library_has_them(open_page, net):
    page = open_page("<ladder-lead></ladder-lead>", reduced_motion="reduce")
    finished(page, "ladder-lead")
    networks = page.evaluate(f"{of('ladder')}.data.networks")
    gd = tl.GradientDescent(net, tl.iris(split_seed=1), lr=5.0)
    run = tl.train(gd, net.init(16, seed=0), 2560, record=("loss", "weights"), weights_every=2559)
    np.testing.assert_array_equal([one["losses"] for one in networks], run.loss[:, 2500:2560])
    here = tl.collapse(gd, run.weights[:, 1])
    np.testing.assert_allclose([one["kappa"] for one in networks], here.kappa, rtol=1e-9)
    assert [one["saturated"] for one in networks] == list(here.saturated)


@pytest.mark.parametrize("name", ["drift", "edge", "ladder"])
def test_leads_draw_soon_and_fit_a_phone(open_page, name):
    page = open_page(f"<{name}-lead></{name}-lead>", viewport={"width": 360, "height": 700})
    page.wait_for_function(f"{of(name)}.data !== undefined && {of(name)}.progress.textContent !== ''")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    button = page.locator(f"{name}-lead .play")
    button.press("Enter")
    assert button.text_content() == "Play"
    button.press("Enter")
    assert button.text_content() == "Pause"
    labels = f"[...{of(name)}.shadowRoot.querySelectorAll('canvas')].every((one) => one.ariaLabel.length > 20)"
    assert page.evaluate(labels)


LIVE = re.findall(r'^    "([\w-]+-(?:lead|lab))":', (LAB / "load.js").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("element", LIVE)
def test_every_live_figure_has_a_link_and_a_table(open_page, tmp_path, element):
    page = open_page(f"<{element}></{element}>", reduced_motion="reduce")
    page.wait_for_function(f"document.querySelector('{element}').table()?.length > 20")
    page.get_by_role("button", name="Copy link").click()
    message = page.locator(f"{element} .message")
    message.get_by_text(re.compile("link is in")).wait_for()
    part = page.evaluate(f"document.querySelector('{element}').part")
    assert f"#{part}=" in page.url and f"#{part}=" in page.evaluate(
        f"trajlab.addressOf(document.querySelector('{element}'))"
    )
    with page.expect_download() as info:
        page.get_by_role("button", name="Download CSV").click()
    info.value.save_as(tmp_path / "table.csv")
    assert info.value.suggested_filename.startswith(part)
    head, *rows = csv.reader((tmp_path / "table.csv").read_text(encoding="utf-8").splitlines())
    assert len(rows) > 20 and len(set(head)) == len(head) and {len(row) for row in rows} == {len(head)}
    values = [value for row in rows for value in row]
    assert "undefined" not in values and "NaN" not in values and len(set(values)) > 30


def test_tables_of_the_leads_hold_what_is_drawn(open_page, net):
    gd, w0 = tl.GradientDescent(net, tl.iris(), lr=1.0), net.init(1, seed=0)
    page = open_page("<edge-lead></edge-lead>", hash="#edge=lr:1,steps:500,ic:0", reduced_motion="reduce")
    finished(page, "edge-lead")
    head, *rows = page.evaluate(f"{of('edge')}.table()")
    loss = tl.train(gd, w0, 500).loss[0, :500]
    assert [row[1] for row in rows] == loss.tolist() and [row[0] for row in rows] == list(range(500))
    rates = [row[3] for row in rows if row[3] != ""]
    assert len(rates) == 50 and np.mean(rates) == pytest.approx(rows[490][4]) and head[3] == "growth_rate_of_10"

    page = open_page("<ladder-lead></ladder-lead>", reduced_motion="reduce")
    finished(page, "ladder-lead")
    page.wait_for_function(f"{of('ladder')}.done")
    _, *rows = page.evaluate(f"{of('ladder')}.table()")
    reduced, at_rest = tl.SoftmaxMap(12.0, tl.iris(split_seed=1).proportions), {}
    for what, kappa, visited, _ in rows:
        at_rest.setdefault((what, round(kappa, 3)), []).append(visited)
    for way in ("going up", "going down"):
        lowest, highest = min(at_rest[way, 12.0]), max(at_rest[way, 12.0])
        run = tl.train(reduced, np.random.default_rng(0).normal(size=(20, 3)), 2000, record=("loss",)).loss[:, -200:]
        assert run.min() - 0.05 < lowest and highest < run.max() + 0.05
    assert all(any(what.startswith(name) for what, _ in at_rest) for name in ("network", "random starts"))
