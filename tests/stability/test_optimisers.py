"""Lyapunov exponents of optimisers with memory, where what they add up to is known; and against products of dense Jacobians."""

import numpy as np
import optimised
import pytest
from optimised import CASES

import trajlib as tl


def log_determinants(gd, z, steps):
    """Mean over the steps of ln |det J| and of ln |det(I - lr H)|."""
    of_map, of_descent = [], []
    for t in range(steps):
        of_map.append(np.linalg.slogdet(gd.jacobian(z, t))[1])
        of_descent.append(np.linalg.slogdet(np.eye(gd.n_parameters) - gd.lr * gd.hessian(z))[1])
        z = gd.step(z, t)
    return np.mean(of_map), np.mean(of_descent)


def test_heavy_ball_is_conformally_symplectic():
    """J = [[I - lr H, -lr b I], [H, b I]] has det J = b^P, and J^T Omega J = b Omega: exponents come in pairs that add up to ln b."""
    gd = CASES["heavy ball, one rate a layer"](lr=0.1)
    p, b = gd.n_parameters, gd.momentum
    spectrum = tl.lyapunov_spectrum(gd, optimised.weights(gd, 2), 2000, transient=1000)
    assert spectrum.exponents.shape == (2, 2 * p)
    np.testing.assert_allclose(spectrum.exponents.sum(axis=1), p * np.log(b), rtol=0, atol=1e-9)
    ordered = -np.sort(-spectrum.exponents, axis=1)
    pairs = ordered[:, :p] + ordered[:, : p - 1 : -1]
    np.testing.assert_allclose(pairs, np.log(b), rtol=0, atol=5e-3)


def test_pairs_of_finite_time_exponents():
    gd = CASES["heavy ball, one rate a layer"](lr=0.1)
    z, p = gd.state(optimised.weights(gd, 1)[0]), gd.n_parameters
    product = np.eye(2 * p)
    for t in range(5):
        product, z = gd.jacobian(z, t) @ product, gd.step(z, t)
    growth = np.log(np.linalg.svd(product, compute_uv=False)) / 5
    np.testing.assert_allclose(growth[:p] + growth[: p - 1 : -1], np.log(gd.momentum), rtol=0, atol=1e-12)


def test_determinant_of_nesterov():
    """J = [[I - lr (1 + b) H, -lr b^2 I], [H, b I]], H at the weights of the state: det J = b^P det(I - lr H)."""
    gd = CASES["Nesterov, cosine"](lr=0.05)
    p, b, w = gd.n_parameters, gd.momentum, optimised.weights(gd, 1)
    of_map, of_descent = log_determinants(gd, gd.state(w[0]), 40)
    assert abs(of_descent) > 0.1
    assert of_map == pytest.approx(p * np.log(b) + of_descent, rel=0, abs=1e-9)
    spectrum = tl.lyapunov_spectrum(gd, w, 40)
    assert spectrum.exponents.sum() == pytest.approx(of_map, rel=0, abs=1e-9)


@pytest.mark.parametrize(
    "case", ["AdamW", "RMSProp with momentum", "RMSProp, drawn with replacement", "Adam, batches of 7 of 20"]
)
def test_exponents_are_those_of_dense_jacobians(case):
    """From a state with memory, since u = 0 of an empty one wipes out a direction a parameter at the first step."""
    gd = CASES[case]()
    z = gd.state(optimised.weights(gd, 1))
    for t in range(20):
        z = gd.step(z, t)
    k = min(gd.size, 40)
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((gd.size, k)))[0]
    spectrum = tl.lyapunov_spectrum(gd, z, 40, vectors=q.T[None].copy())
    growth, final = np.zeros(k), z[0]
    for t in range(40):
        q, r = np.linalg.qr(gd.jacobian(final, t) @ q)
        growth, final = growth + np.log(np.abs(np.diag(r))), gd.step(final, t)
    assert final.tobytes() == np.ascontiguousarray(spectrum.final[0]).tobytes()
    np.testing.assert_allclose(spectrum.exponents[0], growth / 40, rtol=0, atol=1e-9)


@pytest.mark.parametrize("case", ["AdamW", "RMSProp, drawn with replacement"])
def test_memory_that_is_always_0_moves_nowhere(case):
    """The gradient by the weights of an input that is always 0 is 0, and so is u: where the root has no derivative, 0 stands for it."""
    gd = CASES[case]()
    x = gd.task.x.copy()
    x[:, 1] = 0.0
    gd = type(gd)(gd.network, tl.Task("no second input", x=x, y=gd.task.y), lr=gd.lr)
    z, p, hidden = gd.state(optimised.weights(gd, 1)), gd.n_parameters, gd.network.widths[1]
    for t in range(5):
        z = gd.step(z, t)
    dead = np.arange(hidden, 2 * hidden)  # W1[1, :]
    u = gd.size - p + dead
    assert (z[0, u] == 0).all() and (np.delete(z[0, gd.size - p :], dead) > 0).all()
    got = gd.jvp(z, np.eye(gd.size)[None], 5)[0]
    assert np.isfinite(got).all()
    assert not got[:, u].any() and not got[u].any()
    decay = 1 - gd.lr * gd.weight_decay if gd.decoupled_weight_decay else 1.0
    np.testing.assert_array_equal(got[dead][:, dead], decay * np.eye(hidden))
