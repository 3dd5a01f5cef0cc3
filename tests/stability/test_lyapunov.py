"""Exponents against systems whose answer is known, then the fused path against the general one."""

import numpy as np
import pytest

import trajlib as tl
from trajlib.dynamics.reference import HenonMap, LinearMap, LogisticMap

TASK = tl.iris()
NET = tl.Perceptron(4, 10, 3)


class Counted:
    """A map of its own: random orthogonal-times-diagonal Jacobians with known mean logarithms."""

    def __init__(self, logs, seed):
        self.logs, self.rng = np.asarray(logs), np.random.default_rng(seed)

    def __call__(self, w):
        return w

    def jacobian(self, w):
        p = len(self.logs)
        q, r = np.linalg.qr(self.rng.standard_normal((p, p)))
        matrix = (q * np.sign(np.diag(r))) @ np.diag(np.exp(self.logs)) @ q.T
        return np.broadcast_to(matrix, (*w.shape, p))


def test_linear_map():
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((5, 5))
    values = np.array([1.5, -1.1, 0.9, -0.5, 0.1])
    matrix = basis @ np.diag(values) @ np.linalg.inv(basis)
    spectrum = tl.lyapunov_spectrum(LinearMap(matrix), np.ones((1, 5)), 400, transient=300)
    np.testing.assert_allclose(spectrum.exponents[0], np.log(np.abs(values)), atol=1e-10)
    assert spectrum.converged.all() and (spectrum.standard_error < 1e-8).all()


def test_gradient_descent_on_a_quadratic():
    curvature = np.array([0.1, 0.5, 1.0, 1.9, 2.5])
    gd = LinearMap(np.eye(5) - 1.0 * np.diag(curvature))
    spectrum = tl.lyapunov_spectrum(gd, np.ones((1, 5)), 200, transient=0, vectors=np.eye(5)[None])
    with np.errstate(divide="ignore"):
        want = np.log(np.abs(1 - curvature))
    got = spectrum.exponents[0]
    np.testing.assert_allclose(got[[0, 1, 3, 4]], want[[0, 1, 3, 4]], atol=1e-12)
    assert got[2] == -np.inf  # a direction that is wiped out at once


def test_logistic_map():
    """ln 2, within five standard errors, for 50 initial conditions; the error bars have the right size."""
    x0 = np.random.default_rng(0).uniform(0.01, 0.99, (50, 1))
    spectrum = tl.lyapunov_spectrum(LogisticMap(4.0), x0, 20_000, transient=100)
    off = (spectrum.exponents - np.log(2)) / spectrum.standard_error
    assert np.abs(off).max() < 5
    assert spectrum.converged.mean() > 0.9


@pytest.mark.parametrize(("r", "want"), [(2.5, np.log(0.5)), (3.2, np.log(abs(4 + 2 * 3.2 - 3.2**2)) / 2)])
def test_logistic_map_on_stable_orbits(r, want):
    spectrum = tl.lyapunov_spectrum(LogisticMap(r), np.array([[0.3]]), 400, transient=1000)
    assert spectrum.exponents[0, 0] == pytest.approx(want, abs=1e-9)
    assert spectrum.kaplan_yorke[0] == 0.0


def test_henon_map():
    start = np.array([[0.1, 0.1], [0.0, 0.0], [-0.5, 0.2]])
    spectrum = tl.lyapunov_spectrum(HenonMap(), start, 60_000, transient=1000)
    np.testing.assert_array_less(np.abs(spectrum.exponents - [0.41922, -1.62319]), 5 * spectrum.standard_error)
    np.testing.assert_allclose(spectrum.exponents.sum(axis=1), np.log(0.3), atol=1e-10)  # constant contraction of area
    np.testing.assert_allclose(spectrum.kaplan_yorke, 1 + 0.41922 / 1.62319, atol=0.01)
    assert np.isnan(tl.lyapunov_spectrum(HenonMap(), start, 400, k=1).kaplan_yorke).all()


def test_product_of_random_matrices():
    """Isotropic random directions: the exponents of Q D Q' with one large entry D = diag(e, 1) have a closed form.

    In two dimensions the mean of ln |D u| over the circle, u uniform, is ln((e^a + e^b) / 2), and the two add up to a + b.
    """
    a, b = 0.7, -0.4
    spectrum = tl.lyapunov_spectrum(Counted([a, b], seed=1), np.zeros((1, 2)), 40_000, transient=10)
    first = np.log((np.exp(a) + np.exp(b)) / 2)
    want = np.array([first, a + b - first])
    assert (np.abs(spectrum.exponents[0] - want) < 5 * spectrum.standard_error[0]).all()


def test_error_bars_cover():
    """95 % intervals from block averages of the logistic map, 400 runs: coverage within five standard errors (and t for 19 degrees)."""
    x0 = np.random.default_rng(1).uniform(0.01, 0.99, (400, 1))
    spectrum = tl.lyapunov_spectrum(LogisticMap(4.0), x0, 2000, transient=50)
    inside = np.abs(spectrum.exponents - np.log(2)) < 2.09 * spectrum.standard_error
    assert abs(inside.mean() - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 400)


class Drifting:
    """Its exponent is -0.01 t: there is no limit to converge to."""

    def __call__(self, w):
        return w + 1.0

    def jacobian(self, w):
        return np.exp(-0.01 * w)[..., None]


def test_not_converged_says_so():
    assert not tl.lyapunov_spectrum(Drifting(), np.zeros((1, 1)), 400).converged.any()
    settled = tl.lyapunov_spectrum(LogisticMap(3.2), np.array([[0.3]]), 400, transient=1000)
    assert settled.converged.all()


class ByJacobian:
    """A training map seen through its closed-form Jacobian only: the general path."""

    def __init__(self, gd):
        self.gd = gd

    def __call__(self, w):
        return self.gd(w)

    def jacobian(self, w):
        return self.gd.jacobian(w)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_fused_path_agrees_with_jacobians(activation):
    net = tl.Perceptron(4, 10, 3, activation=activation)
    gd = tl.GradientDescent(net, TASK, lr=0.5)
    w0 = net.init(3, seed=0)
    options = {"k": 20, "steps": 40, "transient": 10, "blocks": 4, "seed": 3}
    fused, general = (tl.lyapunov_spectrum(g, w0, **options) for g in (gd, ByJacobian(gd)))
    np.testing.assert_array_equal(fused.final, general.final)
    np.testing.assert_array_equal(fused.times, general.times)
    np.testing.assert_allclose(fused.growth, general.growth, atol=1e-9)
    np.testing.assert_allclose(
        fused.vectors @ fused.vectors.swapaxes(1, 2), np.broadcast_to(np.eye(20), (3, 20, 20)), atol=1e-9
    )


def test_largest_alone_agrees_with_the_full_spectrum():
    gd = tl.GradientDescent(NET, TASK, lr=1.0)
    w0 = NET.init(5, seed=0)
    one = tl.lyapunov_spectrum(gd, w0, 200, k=1)
    full = tl.lyapunov_spectrum(gd, w0, 200)
    np.testing.assert_allclose(full.exponents[:, 0], one.exponents[:, 0], rtol=0, atol=1e-12)
    assert full.exponents.shape == (5, 83)


def test_sum_of_all_exponents_is_the_mean_log_determinant():
    gd = tl.GradientDescent(NET, TASK, lr=0.1)
    w = NET.init(2, seed=0)
    full = tl.lyapunov_spectrum(gd, w, 40, blocks=4)
    logdet = np.zeros(2)
    for _ in range(40):
        logdet += np.linalg.slogdet(gd.jacobian(w))[1]
        w = gd(w)
    np.testing.assert_allclose(full.exponents.sum(axis=1), logdet / 40, rtol=1e-8)


@pytest.mark.parametrize("size", [1, 3, 8, 11])
def test_bits_do_not_depend_on_the_batch(size):
    gd = tl.GradientDescent(NET, TASK, lr=1.0)
    w0 = NET.init(11, seed=0)
    whole = tl.lyapunov_spectrum(gd, w0, 400, k=2, threads=1)
    for first in range(0, 11, size):
        part = tl.lyapunov_spectrum(gd, w0[first : first + size], 400, k=2, threads=2)
        assert part.growth.tobytes() == whole.growth[first : first + size].tobytes()


def test_finite_distances_grow_at_the_tangent_rate():
    """While d is small, the finite-size estimate is the tangent exponent of the same directions."""
    gd = tl.GradientDescent(NET, TASK, lr=1.0)
    w0 = NET.init(50, seed=0)
    copies = tl.perturb(gd, w0, radius=1e-10, copies=1, seed=1)
    div = tl.diverge(gd, w0, perturbed=copies, steps=60)
    exact = tl.tangent(gd, w0, (copies - w0[:, None]) * 1e10, 60)
    small = div.distance < 1e-5
    ratio = np.log(div.distance / (exact.norm * 1e-10))
    assert small.mean() > 0.5
    assert np.abs(ratio[small]).max() < 0.02


def test_sharpness_is_the_largest_curvature():
    gd = tl.GradientDescent(NET, TASK, lr=1.0)
    w = NET.init(4, seed=0).reshape(2, 2, 83)
    got = tl.sharpness(gd, w)
    assert got.shape == (2, 2)
    v = np.random.default_rng(0).standard_normal((2, 2, 83))
    hessian = gd.hessian(w)
    for _ in range(3000):  # power iteration on H + c keeps the largest, not the most negative
        v = (hessian @ v[..., None])[..., 0] + 5 * v
        v /= np.linalg.norm(v, axis=-1, keepdims=True)
    np.testing.assert_allclose(got, np.einsum("...i,...ij,...j->...", v, hessian, v), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tl.lyapunov_spectrum(HenonMap(), np.zeros((1, 2)), 10), ValueError, "steps must be at least"),
        (lambda: tl.lyapunov_spectrum(HenonMap(), np.zeros(2), 100), ValueError, "w0 must have shape"),
        (lambda: tl.lyapunov_spectrum(HenonMap(), np.zeros((1, 2)), 100, k=3), ValueError, "k must be at most"),
        (lambda: tl.lyapunov_spectrum(HenonMap(), np.zeros((1, 2)), 100, k=0), ValueError, "k must be"),
        (lambda: tl.lyapunov_spectrum(lambda w: w, np.zeros((1, 2)), 100), TypeError, "jacobian"),
        (
            lambda: tl.lyapunov_spectrum(HenonMap(), np.zeros((1, 2)), 100, vectors=np.zeros((2, 1, 2))),
            ValueError,
            "vectors must have shape",
        ),
        (
            lambda: tl.lyapunov_spectrum(HenonMap(), np.zeros((1, 2)), 100, vectors=np.ones((1, 2, 2))),
            ValueError,
            "linearly independent",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_direction_that_is_wiped_out_has_exponent_minus_infinity():
    """A dead relu unit under weight decay with lr * decay = 1: three of the four directions vanish in one step."""
    task = tl.Task("one", x=np.array([[1.5]]), y=np.array([2.0]))
    net = tl.Perceptron(1, 1, 1, activation="relu", loss="half_squared_error")
    gd = tl.GradientDescent(net, task, lr=0.5, weight_decay=2.0)
    w0 = np.array([[-1.0, -1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]])[:1]
    fused, general = (tl.lyapunov_spectrum(g, w0, 40) for g in (gd, ByJacobian(gd)))
    assert np.isneginf(np.sort(fused.exponents[0])[:3]).all()
    np.testing.assert_allclose(np.sort(fused.exponents[0])[3], np.sort(general.exponents[0])[3])


def test_sharpness_of_a_diverged_network_is_nan():
    gd = tl.GradientDescent(NET, TASK, lr=1.0)
    w = NET.init(2, seed=0)
    got = tl.sharpness(gd, np.stack([w[0], w[1] * np.nan]))
    assert got[0] == tl.sharpness(gd, w[0]) and np.isnan(got[1])
