"""Descent without its overshooting directions, and with capped steps: on quadratics the answer is known, and so are the limits."""

import numpy as np
import pytest

import trajlib as tl
from trajlib.dynamics.altered import CappedDescent, ProjectedDescent


class Quadratic:
    """Descent on the sum of h_i w_i² / 2 over two coordinates: exponents ln|1 - lr h_i|."""

    def __init__(self, curvatures, lr):
        self.h, self.lr = np.array(curvatures), lr
        self.n_parameters = self.n_state = len(self.h)
        self.movable = np.ones(len(self.h), dtype=bool)

    def loss(self, w):
        return 0.5 * (self.h * w * w).sum(-1)

    def gradient(self, w):
        return self.h * w

    def hessian(self, w):
        return np.broadcast_to(np.diag(self.h), (*w.shape, len(self.h)))

    def hvp(self, w, V):
        return self.h * V


W = np.array([[1.0, 1.0], [0.5, -2.0]])


def test_the_direction_that_overshoots_stands_still_and_the_other_converges():
    gd = ProjectedDescent(Quadratic([0.5, 3.0], lr=1.0))
    run = tl.train(gd, W, 40, record=("weights",))
    np.testing.assert_allclose(run.weights[:, -1], np.stack([W[:, 0] * 0.5**40, W[:, 1]], axis=1), atol=1e-9)
    spectrum = tl.lyapunov_spectrum(gd, W, 40, vectors=np.tile(np.eye(2)[::-1], (2, 1, 1)))
    np.testing.assert_allclose(spectrum.exponents, np.tile([0.0, np.log(0.5)], (2, 1)), atol=1e-5)
    plain = ProjectedDescent(Quadratic([0.5, 1.5], lr=1.0))
    np.testing.assert_allclose(plain(W), W * [0.5, -0.5])
    np.testing.assert_allclose(ProjectedDescent(Quadratic([0.5, 1.5], 1.0), limit=1.0)(W), W * [0.5, 1.0])


def test_a_capped_step_has_the_length_of_the_cap_and_the_exact_tangent_map():
    gd = CappedDescent(Quadratic([0.5, 3.0], lr=1.0), cap=0.25)
    np.testing.assert_allclose(np.linalg.norm(gd(W) - W, axis=1), 0.25)
    near = W * 1e-3
    np.testing.assert_allclose(gd(near), near * [0.5, -2.0])  # short steps are those of the descent
    V = np.random.default_rng(0).standard_normal((2, 3, 2))
    for at in (W, near):
        by_difference = (gd(at[:, None] + 1e-6 * V) - gd(at[:, None] - 1e-6 * V)) / 2e-6
        np.testing.assert_allclose(gd.jvp(at, V), by_difference, atol=1e-8)


def test_a_capped_descent_stays_bounded_where_the_plain_one_does_not():
    quadratic = Quadratic([3.0], lr=1.0)  # 1 - lr h = -2
    start = np.array([[1.0]])
    run = tl.train(CappedDescent(quadratic, cap=0.1), start, 200, record=("weights",))
    assert np.abs(run.weights[0, 50:]).max() <= 0.11


@pytest.mark.parametrize("make", [lambda gd: CappedDescent(gd, 1e9), lambda gd: ProjectedDescent(gd, 1e9)])
def test_with_no_bound_it_is_the_descent_and_so_is_its_exponent(make):
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=0.5)
    w = gd.network.init(3, seed=0)
    np.testing.assert_allclose(tl.train(make(gd), w, 10).final, tl.train(gd, w, 10).final, rtol=1e-7)
    exponents = [tl.lyapunov_spectrum(g, w, 20, k=1, blocks=4).exponents for g in (make(gd), gd)]
    np.testing.assert_allclose(*exponents, atol=1e-4)
    np.testing.assert_array_equal(make(gd).accuracy(w), gd.accuracy(w))
    np.testing.assert_array_equal(make(gd).test_loss(w), gd.test_loss(w))


def test_bad_calls():
    net, task = tl.Perceptron(4, 3, 3), tl.iris()
    for gd in (tl.GradientDescent(net, task, lr=0.1, momentum=0.5), tl.GradientDescent(net, task, lr=np.array([0.1]))):
        with pytest.raises(ValueError, match="one learning rate and without momentum"):
            CappedDescent(gd, 1.0)
    with pytest.raises(ValueError, match="cap must be"):
        CappedDescent(tl.GradientDescent(net, task, lr=0.1), 0.0)
    with pytest.raises(ValueError, match="limit must be"):
        ProjectedDescent(tl.GradientDescent(net, task, lr=0.1), -1.0)
