"""Edges of the rules: rates for a limit, ratios on a quadratic loss, frames that pair, and where runs are put."""

import numpy as np
import pytest
import torch

import trajlib as tl
from trajlib.companion import edges, findings

NET, TASK = tl.Perceptron(4, 10, 3), tl.iris()


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_a_rate_for_a_limit(options):
    gd = edges.at_limit(lambda **o: tl.GradientDescent(NET, TASK, **o), 8.0, **options)
    assert gd.rule.stability_limit(gd.lr) == pytest.approx(8.0)


def test_ratio_of_a_quadratic_loss_is_constant():
    x = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    y = x @ np.array([[1.0], [2.0]]) + 0.1
    curvature = np.linalg.eigvalsh(2 / 3 * x.T @ x)[-1]
    module = torch.nn.Linear(2, 1, bias=False)
    gd = tl.GradientDescent(module, (x, y), lr=1.0 / curvature)
    run = edges.follow_edge(gd, gd.flatten(module), 20, moments=3)
    np.testing.assert_allclose(run.ratio, 0.5, rtol=1e-6)
    assert run.times.tolist() == [1, 10, 20] and run.loss[0, -1] < run.loss[0, 0]


def test_a_run_that_overflows_has_no_ratio():
    gd = tl.GradientDescent(torch.nn.Linear(1, 1), (np.ones((2, 1)), np.zeros((2, 1))), lr=1e3)
    run = edges.follow_edge(gd, gd.flatten(gd.network), 150, moments=3)
    assert np.isfinite(run.ratio[0, 0]) and np.isnan(run.ratio[0, -1])


def test_the_frame_pairs_at_every_step_for_heavy_ball_and_not_for_nesterov():
    w0 = NET.init(1, seed=3)
    off = {}
    for nesterov in (False, True):
        gd = tl.GradientDescent(NET, TASK, lr=0.1, momentum=0.9, nesterov=nesterov)
        run = tl.finite_time_exponents(gd, gd.state(w0), 20, at=[1, 5, 20], vectors=edges.symplectic_frame(83)[None])
        off[nesterov] = np.abs(run.exponents + run.exponents[..., ::-1] - np.log(0.9)).max()
    assert off[False] < 1e-12 and off[True] > 0.1


def test_runs_that_have_left_are_nowhere():
    found = edges.placed(np.full((1, 3), np.nan), np.array([np.nan]), np.array([np.nan]))
    assert not any(part.any() for part in found)


def test_what_is_told_of_the_pairing_law_is_what_was_found():
    law = findings.load("pairing_of_singular_values")
    lawful = [name not in ("Nesterov", "RMSProp", "Adam") for name in law.setups]
    assert (law.off[lawful] < 1e-11).all() and (law.off[np.logical_not(lawful)] > 0.05).all() and sum(lawful) == 11


def test_what_is_told_of_chaos_at_the_edge_is_what_was_found():
    cells = findings.load_all("edge_network_*").values()
    found = [edges.placed(cell.ratio, cell.exponent, cell.error) for cell in cells]
    assert (len(found), sum(p.at.sum() for p in found), sum(p.below.sum() for p in found)) == (14, 164, 162)
    assert sum(p.chaotic.sum() + p.above.sum() for p in found) == 0 and sum(cell.left.sum() for cell in cells) == 10
    raw = findings.load("edge_rates_raw")
    there = edges.placed(raw.ratio, raw.exponent, raw.error)
    assert (there.at.sum(), there.chaotic[there.at].sum()) == (212, 9)
    assert (there.above.sum(), there.chaotic[there.above].sum()) == (58, 42)
    assert ((raw.first > 0.01).sum(axis=(1, 2)) == [1, 30, 48, 48, 48, 48]).all()
