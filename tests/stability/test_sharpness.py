"""Eigenvalues of Hessians: Lanczos against dense matrices and known spectra; what is recorded along runs; densities; Gauss-Newton."""

import numpy as np
import pytest

import trajlib as tl
from trajlib._lanczos import largest
from trajlib.dynamics.protocol import Dynamics

NET = tl.Perceptron(4, (10, 6), 3, activation="tanh")
GD = tl.GradientDescent(NET, tl.iris(), lr=0.1)
W = NET.init(4, seed=0)


class Quadratic(Dynamics):
    """Gradient descent on sum_i curvature_i x_i^2 / 2, whose Hessian is diagonal; it counts the calls."""

    def __init__(self, curvatures, lr=0.1):
        self.curvatures, self.size, self.lr, self.calls = curvatures, len(curvatures), lr, 0

    def step(self, z, t=0):
        return z - self.lr * self.curvatures * z

    def loss(self, z):
        return 0.5 * (self.curvatures * z**2).sum(axis=-1)

    def hvp(self, w, V):
        assert V.shape == (*w.shape[:-1], 1, self.size)
        self.calls += 1
        return self.curvatures * V


class Matrix:
    """A map with a Hessian, the same everywhere, and nothing else."""

    def __init__(self, hessian):
        self.matrix = hessian

    def hessian(self, w):
        return np.broadcast_to(self.matrix, (*w.shape, w.shape[-1]))


def dense(gd, w):
    """All eigenvalues, largest first, of a matrix made column by column."""
    p = w.shape[-1]
    columns = gd.hvp(np.repeat(w, p, axis=0), np.tile(np.eye(p), (len(w), 1))[:, None]).reshape(len(w), p, p)
    return np.linalg.eigvalsh(0.5 * (columns + columns.swapaxes(1, 2)))[:, ::-1]


@pytest.mark.parametrize("trained", [0, 300])
def test_lanczos_agrees_with_the_dense_matrix(trained, gd=GD):
    w = tl.train(gd, gd.network.init(3, seed=1), trained).final
    want = dense(gd, w)
    scale = np.abs(want).max(axis=1, keepdims=True)
    for method in ("lanczos", "dense"):
        for k in (1, 5):
            got = tl.sharpness(gd, w, k, method=method).reshape(3, k)
            assert (np.abs(got - want[:, :k]) < 1e-8 * scale).all()
            got = tl.sharpness(gd, w, k, method=method, smallest=True).reshape(3, k)
            assert (np.abs(got - want[:, -k:]) < 1e-8 * scale).all()


def test_shapes_and_batches():
    w = W.reshape(2, 2, -1)
    for method in ("dense", "lanczos"):
        one = tl.sharpness(GD, w[0, 0], method=method)
        assert np.ndim(one) == 0 and tl.sharpness(GD, w[0, 0], 3, method=method).shape == (3,)
        assert tl.sharpness(GD, w[:0], method=method).shape == (0, 2)
        assert tl.sharpness(GD, w, 2, method=method).shape == (2, 2, 2)
        np.testing.assert_allclose(tl.sharpness(GD, w, method=method)[0, 0], one, rtol=1e-12)
    assert tl.sharpness(GD, W, method="lanczos")[0] == tl.sharpness(GD, W[:1], method="lanczos")[0]


def test_seeds_find_the_same():
    a, b = (tl.sharpness(GD, W, 3, method="lanczos", seed=seed) for seed in (0, 1))
    np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize("k", [1, 2, 5, 8])
@pytest.mark.parametrize(
    "spectrum",
    [
        np.r_[np.full(5, 3.0), np.full(3, 1.0), np.zeros(192)],
        np.r_[1, 1 - 1e-7, 1 - 2e-7, np.linspace(-1, 0.5, 197)],
        np.zeros(200),
        -np.ones(200),
    ],
    ids=["degenerate", "cluster", "zero", "negative"],
)
def test_multiple_eigenvalues_are_found_as_often_as_they_are_there(spectrum, k):
    want = np.sort(spectrum)
    gd, w = Quadratic(spectrum), np.ones((2, 200))
    np.testing.assert_allclose(tl.sharpness(gd, w, k, method="lanczos").reshape(2, k), [want[::-1][:k]] * 2, atol=1e-8)
    got = tl.sharpness(gd, w, k, method="lanczos", smallest=True).reshape(2, k)
    np.testing.assert_allclose(got, [want[:k][::-1]] * 2, atol=1e-8)


@pytest.mark.parametrize("p", [1, 2, 7])
def test_all_eigenvalues_of_small_matrices(p):
    spectrum = np.arange(p) - 1.5
    got = tl.sharpness(Quadratic(spectrum), np.ones(p), p, method="lanczos")
    np.testing.assert_allclose(got, spectrum[::-1] if p > 1 else spectrum[0], atol=1e-12)


def test_a_hundred_thousand_parameters():
    spectrum = np.linspace(-0.5, 1.0, 100_000)
    spectrum[[7, 70, 700]] = 3.0, 2.5, -2.0
    gd, w = Quadratic(spectrum), np.ones(100_000)
    np.testing.assert_allclose(tl.sharpness(gd, w, 2), [3.0, 2.5], rtol=1e-9)
    assert gd.calls < 100
    np.testing.assert_allclose(tl.sharpness(gd, w, smallest=True), -2.0, rtol=1e-9)


@pytest.mark.parametrize(("k", "basis"), [(1, 11), (1, 40), (5, 23), (5, 60)])
def test_restarts(k, basis):
    spectrum = np.stack([np.arange(400.0) ** 2, np.linspace(-1, 1, 400) ** 3])
    start = np.broadcast_to(np.random.default_rng(0).standard_normal((k, 400)), (2, k, 400))
    found = largest(lambda V, rows: spectrum[rows][:, None] * V, start, tolerance=1e-9, iterations=2000, basis=basis)
    assert found.converged.all() and (found.residual < 1e-9).all()
    scale = np.abs(spectrum).max(axis=1, keepdims=True)
    assert (np.abs(found.values - spectrum[:, ::-1][:, :k]) < 1e-9 * scale).all()


@pytest.mark.parametrize("name", ["Adam", "RMSProp"])
def test_preconditioned(name):
    gd = getattr(tl, name)(NET, tl.iris(), lr=1e-2)
    run = tl.train(gd, W[:2], 30)
    z, p = run.final_state, gd.n_parameters
    memory = z[:, p:].reshape(2, -1, p)
    if name == "Adam":
        by = (1 - 0.9**30) * (memory[:, 1] / np.sqrt(1 - 0.999**30) + 1e-8)
    else:
        by = memory[:, 0] + 1e-8
    unit = np.tile(np.eye(p), (2, 1))[:, None]
    hessian = gd.hvp(np.repeat(z, p, axis=0), unit).reshape(2, p, p)
    want = np.linalg.eigvalsh(hessian / np.sqrt(by[:, :, None] * by[:, None]))[:, ::-1]
    for method in ("dense", "lanczos"):
        got = tl.sharpness(gd, z, 5, preconditioned=True, t=30, method=method)
        assert (np.abs(got - want[:, :5]) < 1e-8 * np.abs(want).max()).all()
    if name == "RMSProp":
        assert tl.sharpness(gd, z, preconditioned=True).shape == (2,)
    np.testing.assert_array_equal(tl.sharpness(gd, z), tl.sharpness(GD, gd.weights(z)))


def test_what_has_not_converged_is_nan_and_says_so():
    with pytest.warns(RuntimeWarning, match="relative residuals are up to .*1e-09"):
        got = tl.sharpness(GD, W, method="lanczos", iterations=2)
    assert np.isnan(got).all() and got.shape == (4,)
    gd = Quadratic(np.arange(500.0))
    with pytest.warns(RuntimeWarning, match="1 of 1 states"):
        assert np.isnan(tl.sharpness(gd, np.ones((1, 500)), 3, iterations=4)).all()


@pytest.mark.parametrize("method", ["dense", "lanczos"])
def test_a_diverged_state_is_nan_and_leaves_the_others_alone(method):
    w = W.copy()
    w[1] = np.nan
    got = tl.sharpness(GD, w, method=method)
    assert np.isnan(got[1])
    np.testing.assert_allclose(got[[0, 2, 3]], tl.sharpness(GD, W, method=method)[[0, 2, 3]], rtol=1e-12)


def test_maps_with_a_matrix_only():
    x, y = np.random.default_rng(0).standard_normal((5, 8)), np.arange(5.0)
    net, w = tl.DiagonalNetwork(x, y), np.ones((2, 3, 16))
    np.testing.assert_array_equal(tl.sharpness(net, w, 2), np.linalg.eigvalsh(net.hessian(w))[..., :-3:-1])
    assert tl.hessian_density(net, w, probes=3, steps=5).nodes.shape == (2, 3, 3, 5)
    a = np.random.default_rng(0).standard_normal((400, 400))
    gd, w = Matrix(a + a.T), np.zeros((2, 400))
    np.testing.assert_allclose(tl.sharpness(gd, w), np.linalg.eigvalsh(a + a.T)[-1])
    with pytest.raises(TypeError, match="needs a map with hvp"):
        tl.sharpness(gd, w, method="lanczos")


def test_maps_with_targets_of_their_own():
    rng = np.random.default_rng(0)
    for gd, w in (
        (tl.SoftmaxMap(5.0, np.array([0.3, 0.3, 0.4])), rng.standard_normal((2, 3, 3))),
        (tl.SoftmaxMap(5.0, rng.dirichlet(np.ones(4), (2, 3))), rng.standard_normal((2, 3, 4))),
    ):
        want = np.linalg.eigvalsh(gd.hessian(w))[..., ::-1]
        for k, smallest in ((1, False), (2, False), (2, True)):
            got = tl.sharpness(gd, w, k, method="lanczos", smallest=smallest).reshape(2, 3, k)
            np.testing.assert_allclose(
                got, want[..., -k:] if smallest else want[..., :k], atol=1e-8 * np.abs(want).max()
            )
        found = tl.hessian_density(gd, w, probes=3, steps=w.shape[-1])
        for power in (0, 1):
            got = (found.weights * found.nodes**power).sum(axis=-1)
            assert got.shape == (2, 3, 3) and np.isfinite(got).all()


ADAM = tl.Adam(NET, tl.iris())
BAD = [
    (lambda: tl.sharpness(NET, W), TypeError, "must be a map"),
    (lambda: tl.sharpness(GD, W, 0), ValueError, "k must be"),
    (lambda: tl.sharpness(GD, W, 138), ValueError, "k must be"),
    (lambda: tl.sharpness(GD, W[:, :-1]), ValueError, "w must have shape"),
    (lambda: tl.sharpness(GD, W.astype(np.float32)), TypeError, "float64"),
    (lambda: tl.sharpness(GD, W, tolerance=0.0), ValueError, "tolerance"),
    (lambda: tl.sharpness(GD, W, iterations=0), ValueError, "iterations"),
    (lambda: tl.sharpness(GD, W, seed=-1), ValueError, "seed"),
    (lambda: tl.sharpness(GD, W, method="power"), ValueError, "method"),
    (lambda: tl.sharpness(GD, W, smallest=1), TypeError, "smallest"),
    (lambda: tl.sharpness(GD, W, preconditioned=True), ValueError, "gradient descent does not"),
    (lambda: tl.sharpness(Quadratic(np.ones(3)), np.ones(3), preconditioned=True), ValueError, "Quadratic has none"),
    (lambda: tl.sharpness(ADAM, W, preconditioned=True, t=3), ValueError, "states with memory"),
    (lambda: tl.sharpness(ADAM, ADAM.state(W), preconditioned=True), ValueError, "needs t"),
    (lambda: tl.sharpness(ADAM, ADAM.state(W), preconditioned=True, t=0), ValueError, "t must be"),
    (lambda: tl.hessian_density(GD, W, probes=0), ValueError, "probes"),
    (lambda: tl.hessian_density(GD, W, steps=0), ValueError, "steps"),
    (lambda: tl.hessian_density(GD, W, width=-1.0), ValueError, "width"),
    (lambda: tl.hessian_density(GD, W, points=np.array([1.0, 0.0])), ValueError, "points"),
    (lambda: tl.gauss_newton(Quadratic(np.ones(3)), np.ones(3)), TypeError, "Perceptron"),
    (lambda: tl.train(lambda x: x, np.ones((1, 2)), 3, record="sharpness"), ValueError, "record 'sharpness' needs"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_recorded_along_a_run(tmp_path):
    run = tl.train(ADAM, W, 20, record=("sharpness", "loss", "weights"), every=5)
    assert run.sharpness.shape == (4, 5)
    np.testing.assert_allclose(run.sharpness, tl.sharpness(ADAM, run.weights), rtol=1e-12)
    np.testing.assert_array_equal(tl.load(run.save(tmp_path / "run")).sharpness, run.sharpness)
    assert "sharpness" in run.to_frame()
    gd = Quadratic(np.linspace(0, 1, 500))
    got = tl.train(gd, np.ones((2, 500)), 4, record=("sharpness",)).sharpness
    np.testing.assert_allclose(got, np.ones((2, 5)), rtol=1e-9)


def test_density_of_a_known_spectrum():
    spectrum = np.r_[np.linspace(-1, 1, 900), np.full(100, 4.0)]
    found = tl.hessian_density(Quadratic(spectrum), np.ones((2, 1000)), probes=40, steps=60, width=0.05)
    assert found.density.shape == (2, 1024) and found.nodes.shape == (2, 40, 60)
    np.testing.assert_allclose(found.weights.sum(axis=-1), 1.0)
    assert (found.standard_error < 0.02).all() and (np.abs(found.mean - 0.4) < 3 * found.standard_error).all()
    second = (found.weights * found.nodes**2).sum(axis=-1).mean(axis=-1)
    np.testing.assert_allclose(second, (spectrum**2).mean(), rtol=0.05)
    cell = found.eigenvalues[1] - found.eigenvalues[0]
    np.testing.assert_allclose(found.density.sum(axis=-1) * cell, 1.0, rtol=1e-6)
    apart = found.density[:, found.eigenvalues > 3].sum(axis=-1) * cell
    np.testing.assert_allclose(apart, 0.1, atol=0.01)
    bulk = found.density[:, np.abs(found.eigenvalues) < 0.8]
    np.testing.assert_allclose(bulk, 0.45, atol=0.1)


def test_density_of_a_network(tmp_path):
    found = tl.hessian_density(GD, W[:2], probes=40, steps=137)
    want = dense(GD, W[:2])
    assert (np.abs(found.mean - want.mean(axis=1)) < 4 * found.standard_error).all()
    smooth = np.exp(-0.5 * ((found.eigenvalues[:, None] - want[:, None]) / found.width) ** 2).mean(axis=-1)
    smooth /= found.width * np.sqrt(2 * np.pi)
    gap = np.abs(found.density - smooth).sum(axis=-1) * (found.eigenvalues[1] - found.eigenvalues[0])
    assert (gap < 0.1).all()
    again = tl.load(found.save(tmp_path / "density"))
    np.testing.assert_array_equal(again.density, found.density)


def test_gauss_newton_is_the_hessian_at_zero_residual():
    x = tl.iris().x
    net = tl.Perceptron(4, (5, 3), 1, activation="tanh", loss="half_squared_error")
    w = net.init(2, seed=3)
    gd = tl.GradientDescent(net, tl.Task("own", x=x, y=net.outputs(w[0], x)[:, 0]), lr=0.1, weight_decay=0.1)
    p = gd.n_parameters
    hessian = gd.hvp(np.repeat(w, p, axis=0), np.tile(np.eye(p), (2, 1))[:, None]).reshape(2, p, p)
    part, scale = tl.gauss_newton(gd, w), np.abs(hessian[0]).max()
    assert np.abs(part[0] - hessian[0]).max() < 1e-12 * scale
    assert np.abs(part[1] - hessian[1]).max() > 1e-3 * scale


def test_gauss_newton_of_cross_entropy():
    """From a Jacobian of the outputs by finite differences."""
    x, w, h = tl.iris().x, W[0], 1e-5
    steps = h * np.eye(w.size)
    jacobian = (NET.outputs(w + steps, x) - NET.outputs(w - steps, x)) / (2 * h)
    q = np.exp(NET.outputs(w, x))
    q /= q.sum(axis=1, keepdims=True)
    b = np.einsum("ni,ij->nij", q, np.eye(3)) - q[:, :, None] * q[:, None]
    want = np.einsum("pni,nij,mnj->pm", jacobian, b, jacobian, optimize=True) / len(x)
    part = tl.gauss_newton(GD, W[:2])
    np.testing.assert_allclose(part[0], want, atol=1e-8 * np.abs(want).max())
    values = np.linalg.eigvalsh(part)
    assert (values[:, 0] > -1e-12 * values[:, -1]).all()


EDGE = {
    "gradient descent": lambda net, task, h: tl.GradientDescent(net, task, 2 / h),
    "heavy ball": lambda net, task, h: tl.GradientDescent(net, task, 3.8 / h, momentum=0.9),
    "Nesterov": lambda net, task, h: tl.GradientDescent(net, task, 3.8 / (2.8 * h), momentum=0.9, nesterov=True),
    "Adam": lambda net, task, h: tl.Adam(net, task, 0.01, eps=1e-7),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EDGE)
def test_training_stays_at_the_edge_of_stability(name):
    """On digits the sharpness rises to 2/lr, 2(1 + b)/lr, 2(1 + b)/((1 + 2b) lr), and Adam's preconditioned one to 38/lr; it stays below
    while there is little left to learn. The limits are factors of 1.9 and more apart."""
    digits = tl.digits()
    task = tl.Task.from_arrays(digits.x[:100] - digits.x[:100].mean(axis=0), digits.y[:100])
    net = tl.Perceptron(64, (16, 16), 10, activation="tanh", loss="mean_squared_error")
    w = net.init(2, seed=0, scheme="glorot")
    h = 1.1 * tl.sharpness(tl.GradientDescent(net, task, 1.0), w).max()
    gd, every, n = EDGE[name](net, task, h), 25, 80
    if name == "heavy ball":  # from the start, its large steps go to where the loss is flat
        w = tl.train(EDGE["gradient descent"](net, task, h), w, 1500).final
    run = tl.train(gd, w, n * every, every=every, record=("loss", "states"))
    adaptive = name == "Adam"
    found = [
        tl.sharpness(gd, run.states[:, i], preconditioned=adaptive, t=i * every if adaptive else None)
        for i in range(1, n + 1)
    ]
    share = (
        np.median(np.array(found)[2 * n // 3 :], axis=0)
        * gd.lr
        / {"Adam": 38.0, "Nesterov": 3.8 / 2.8, "heavy ball": 3.8}.get(name, 2.0)
    )
    assert 0.97 < share.max() < 1.03 and share.min() > 0.9, share
    assert (run.loss[:, -1] < 0.5 * run.loss[:, 0]).all()
