"""Maps with functions of Numba's, through every verb: the same as by calling, whatever form they have."""

import types

import numba
import numpy as np
import pytest

import trajlib as tl
from trajlib.dynamics.reference import HenonMap

START = np.random.default_rng(0).uniform(-0.1, 0.1, (3, 2))


@numba.njit
def step(x):
    return np.array([1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]])


@numba.njit
def jacobian(x):
    return np.array([[-2.8 * x[0], 1.0], [0.3, 0.0]])


@numba.njit
def for_batches(x):
    return np.stack((1.0 - 1.4 * x[:, 0] * x[:, 0] + x[:, 1], 0.3 * x[:, 0]), axis=-1)


class Called:
    __call__ = staticmethod(step)
    jacobian = staticmethod(jacobian)


FORMS = {"namespace": types.SimpleNamespace(step=step, jacobian=jacobian), "class": Called()}


@pytest.mark.parametrize("form", FORMS)
def test_compiled_and_called_agree(form):
    gd, want = FORMS[form], HenonMap()
    run = tl.train(gd, START, 60)
    assert run.device.startswith("compiled map (Numba)") and run.engine == "generic"
    np.testing.assert_array_equal(run.weights, tl.train(want, START, 60).weights)
    div = [tl.diverge(g, START, radius=1e-6, copies=4, seed=3, steps=12).distance for g in (gd, want)]
    np.testing.assert_allclose(*div, rtol=1e-12)
    norms = [tl.tangent(g, START, np.ones((3, 1, 2)), 10).norm for g in (gd, want)]
    np.testing.assert_allclose(*norms, rtol=1e-12)
    growth = [tl.lyapunov_spectrum(g, START, 200, transient=20).growth for g in (gd, want)]
    np.testing.assert_allclose(*growth, atol=1e-9)
    singular = [tl.finite_time_exponents(g, START, 30, singular_values=True).singular_exponents for g in (gd, want)]
    np.testing.assert_allclose(*singular, atol=1e-10)
    for options in ({}, {"checkpoint": 7}):
        vectors = [tl.covariant_vectors(g, START, 120, transient=(40, 40), **options).vectors for g in (gd, want)]
        np.testing.assert_allclose(*vectors, atol=1e-9)
    present = [tl.present_vectors(g, START, [60, 80], lag=20).vectors for g in (gd, want)]
    np.testing.assert_allclose(*present, atol=1e-9)


def test_a_dispatcher_itself_is_a_map():
    assert "compiled" in tl.train(step, START, 3).device


def test_what_compiles_for_batches_only_is_called():
    gd = types.SimpleNamespace(step=for_batches, jacobian=HenonMap().jacobian)
    run = tl.train(gd, START, 20)
    assert run.device == "NumPy, by calling the map"
    np.testing.assert_array_equal(run.weights, tl.train(HenonMap(), START, 20).weights)
    assert tl.lyapunov_spectrum(gd, START, 100).exponents.shape == (3, 2)


def test_time_reaches_compiled_maps():
    gd = types.SimpleNamespace(
        step=numba.njit(lambda x, t: x * (t + 1.0)), jacobian=numba.njit(lambda x, t: np.full((1, 1), t + 1.0))
    )
    assert tl.train(gd, np.ones((1, 1)), 5).weights[0, :, 0].tolist() == [1, 1, 2, 6, 24, 120]
    growth = tl.lyapunov_spectrum(gd, np.full((1, 1), 1e-100), 8, transient=5, blocks=4).growth[0, 0]
    np.testing.assert_allclose(growth, [np.log([6 + 2 * b, 7 + 2 * b]).mean() for b in range(4)])


def test_known_exponents_and_resolution():
    spectrum = tl.lyapunov_spectrum(Called(), START, 100_000, transient=100)
    np.testing.assert_allclose(spectrum.exponents, np.tile([0.41922, -1.62319], (3, 1)), atol=3e-3)
    np.testing.assert_allclose(spectrum.exponents.sum(axis=1), np.log(0.3), atol=1e-10)
    assert spectrum.converged.all() and spectrum.resolved.all()
    long = tl.lyapunov_spectrum(Called(), START, 4000, interval=40)
    assert not long.resolved[:, 1].any() and not long.converged.any()
