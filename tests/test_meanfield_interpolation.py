"""The end of the flow by convex duality: against closed forms, linear programming, long simulation and the theory."""

import numpy as np
import pytest
from scipy.optimize import linprog

import trajlib as tl
from trajlib.meanfield import flow_limit
from trajlib.meanfield.model import Setting, draw


@pytest.fixture(scope="module")
def data():
    return draw(Setting(), 200, 0, 0)


def test_large_start_is_the_minimum_norm(data):
    x, y, _ = data
    np.testing.assert_allclose(flow_limit(x, y, init_scale=1e3), np.linalg.pinv(x) @ y, atol=1e-5)


def test_small_start_approaches_basis_pursuit(data):
    """The l1 norm above its least falls as 1 / ln(1 / alpha²), and never below it."""
    x, y, _ = data
    d = x.shape[1]
    least = linprog(np.ones(2 * d), A_eq=np.hstack([x, -x]), b_eq=y).fun
    ends = flow_limit(x, y, init_scale=np.array([1e-1, 1e-2, 1e-4, 1e-6, 1e-8]))
    above = np.abs(ends).sum(axis=1) - least
    assert (np.diff(above) < 0).all() and 0 < above[-1] < 0.002 * least


@pytest.mark.parametrize(("alpha", "t_max"), [(0.3, 400.0), (1.0, 60.0)])
def test_long_simulation_goes_there(data, alpha, t_max):
    x, y, _ = data
    path = tl.gradient_flow(x, y, init_scale=alpha, times=np.array([0.0, t_max]), tolerance=1e-5)
    assert path.training_error[-1] < 1e-10
    np.testing.assert_allclose(path.theta[-1], flow_limit(x, y, init_scale=alpha), atol=3e-4)


@pytest.mark.parametrize("alpha", [0.1, 0.01, 1e-3])
def test_networks_end_where_the_theory_says(alpha):
    model = Setting()
    risks = []
    for i in range(16):
        x, y, theta = draw(model, 400, 11, i)
        risks.append(((flow_limit(x, y, init_scale=alpha) - theta) ** 2).mean())
    expected = tl.long_time(init_scale=alpha).excess_risk
    assert abs(np.mean(risks) - expected) < 3 * np.std(risks, ddof=1) / 4


def test_several_scales_in_any_order(data):
    x, y, _ = data
    scales = np.array([1e-3, 3.0, 0.1])
    one_by_one = [flow_limit(x, y, init_scale=a) for a in scales]
    np.testing.assert_allclose(flow_limit(x, y, init_scale=scales), one_by_one, atol=1e-6)


def test_it_is_the_least_potential():
    """Moves that keep the fit only raise the hyperbolic entropy."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 12)), rng.standard_normal(5)
    theta, a = flow_limit(x, y, init_scale=0.2), 0.04

    def potential(theta):
        return (0.5 * theta * np.arcsinh(theta / a) - 0.5 * np.sqrt(theta**2 + a**2)).sum()

    null = np.linalg.svd(x)[2][5:]
    for _ in range(20):
        assert potential(theta + 1e-3 * rng.standard_normal(7) @ null) > potential(theta)


def test_bad_data(data):
    x, y, _ = data
    with pytest.raises(ValueError, match="at most as many samples"):
        flow_limit(x.T.copy(), np.ones(200))
    with pytest.raises(ValueError, match="linearly independent"):
        flow_limit(np.ones((3, 5)), np.arange(3.0))
    with pytest.raises(ValueError, match="vector"):
        flow_limit(x, y, init_scale=np.ones((2, 2)))
    np.testing.assert_array_equal(flow_limit(x, np.zeros(len(y))), np.zeros(200))
