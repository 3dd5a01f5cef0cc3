"""Periods of drifting paths, and multipliers of cycles against those of one step and of finite differences."""

import numpy as np
import pytest

import trajlib as tl
from trajlib.stability import cycle_multipliers, cycle_period

T = np.arange(64.0)


@pytest.mark.parametrize("period", [1, 2, 3, 4, 8])
def test_period_of_a_path_that_drifts(period):
    turn = np.random.default_rng(period).normal(size=(period, 5))
    path = turn[T.astype(int) % period] + 1e-5 * T[:, None]
    assert cycle_period(path) == period


def test_no_period_where_there_is_none():
    path = np.random.default_rng(0).normal(size=(3, 64, 5))
    assert (cycle_period(path) == 0).all()
    turning = np.stack([np.cos(2.4 * T), np.sin(2.4 * T)], axis=1)  # quasi-periodic, by nearly the golden angle
    assert cycle_period(turning) == 0


def test_standing_still_and_one_way():
    assert cycle_period(np.zeros((64, 2))) == 1
    assert cycle_period(np.stack([np.exp(-0.1 * T), T**2], axis=1)) == 1


def test_a_path_needs_two_axes():
    with pytest.raises(ValueError, match="shape"):
        cycle_period(T)


def test_multipliers_of_one_step_are_those_of_the_hessian():
    gd = tl.GradientDescent(tl.Perceptron(4, 3, 3), tl.iris(), lr=0.3)
    w = gd.network.init(2, seed=0)
    found = np.sort(cycle_multipliers(gd, w[:, None]).real, axis=-1)
    curvature = np.linalg.eigvalsh(tl.transverse(gd.network, gd.hessian(w)))
    assert np.allclose(found, np.sort(1 - 0.3 * curvature, axis=-1), atol=1e-12)


def test_multipliers_of_two_steps_are_those_of_the_map_applied_twice():
    gd = tl.GradientDescent(tl.Perceptron(4, 3, 3), tl.iris(), lr=0.7)
    w = gd.network.init(1, seed=3)[0]
    values = cycle_multipliers(gd, np.stack([w, gd(w)]))
    basis, h = tl.transverse_basis(gd.network), 1e-6
    twice = np.stack([(gd(gd(w + h * u)) - gd(gd(w - h * u))) / (2 * h) for u in basis.T], axis=1)
    want = np.linalg.eigvals(basis.T @ twice)
    assert np.allclose(np.abs(values[0]), np.abs(want).max(), rtol=1e-5)
    assert np.allclose(values.sum(), want.sum(), rtol=1e-5)
    assert (np.diff(np.abs(values)) <= 0).all()
