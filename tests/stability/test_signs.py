"""The tangent map by signs of the curvature, against the exact one and on a loss with known curvature."""

import numpy as np
import pytest

import trajlib as tl
from trajlib.stability import growth_by_sign


@pytest.fixture(scope="module")
def case():
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=0.01)
    w0 = gd.network.init(3, seed=0)
    return gd, w0, np.random.default_rng(0).normal(size=(3, 2, 83))


def test_both_signs_at_every_step_are_the_exact_tangent_map(case):
    gd, w0, vectors = case
    exact = tl.tangent(gd, w0, vectors, 30).norm
    np.testing.assert_allclose(growth_by_sign(gd, w0, vectors, np.arange(31))["both"], exact, rtol=1e-10)


def test_one_sign_alone_grows_or_shrinks_alone(case):
    gd, w0, _ = case
    values, axes = np.linalg.eigh(gd.hessian(w0))
    vectors = axes.swapaxes(1, 2)[:, [0, -1]]  # along the most negative and the most positive curvature
    found = growth_by_sign(gd, w0, vectors, np.array([0, 1]))
    first = {sign: norms[..., 1] / norms[..., 0] for sign, norms in found.items()}
    np.testing.assert_allclose(first["both"], np.abs(1 - 0.01 * values[:, [0, -1]]), rtol=1e-12)
    np.testing.assert_allclose(first["positive"][:, 0], 1.0, rtol=1e-12)
    np.testing.assert_allclose(first["negative"][:, 1], 1.0, rtol=1e-12)


def test_bad_calls(case):
    gd, w0, vectors = case
    with pytest.raises(ValueError, match="times"):
        growth_by_sign(gd, w0, vectors, np.array([0, 5, 5]))
    heavy = tl.GradientDescent(gd.network, gd.task, lr=0.01, momentum=0.5)
    with pytest.raises(ValueError, match="momentum"):
        growth_by_sign(heavy, w0, vectors, np.array([0, 5]))
