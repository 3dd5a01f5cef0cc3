"""Finite-time exponents: against NumPy step by step, closed forms, and the spectrum; neutral directions; bits."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from small_networks import small

import trajlib as tl
from trajlib.dynamics.reference import HenonMap, LinearMap


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("scheme", ["normal", "glorot"])
def test_against_closed_form_jacobians(activation, scheme):
    gd = small(activation)
    w0 = gd.network.init(5, seed=0, scheme=scheme)
    start = np.random.default_rng(1).standard_normal((5, 9, 9))
    run = tl.finite_time_exponents(gd, w0, 60, vectors=start, singular_values=True)
    assert run.times.tolist() == list(range(1, 61))
    w, q, sums = w0, np.linalg.qr(start.swapaxes(1, 2))[0], np.zeros((5, 9))
    product = np.broadcast_to(np.eye(9), (5, 9, 9))
    for t in range(60):
        jacobian = gd.jacobian(w)
        product = jacobian @ product
        q, r = np.linalg.qr(jacobian @ q)
        sums += np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
        w = gd(w)
        np.testing.assert_allclose(run.exponents[:, t], sums / (t + 1), atol=1e-12)
        if t < 10:  # LAPACK's small singular values lose their digits later
            want = np.log(np.linalg.svd(product)[1]) / (t + 1)
            np.testing.assert_allclose(run.singular_exponents[:, t], want, atol=1e-12)
    assert run.final.tobytes() == w.tobytes()
    assert run.loss.tobytes() == tl.train(gd, w0, 60).loss[:, 1:].tobytes()


def test_cross_entropy_and_more_outputs():
    gd = tl.GradientDescent(tl.Perceptron(4, 3, 3), tl.iris(), lr=0.5, weight_decay=1e-3)
    w0 = gd.network.init(4, seed=0)
    run = tl.finite_time_exponents(gd, w0, 80, at=[80], k=6)
    want = tl.lyapunov_spectrum(gd, w0, 80, k=6, blocks=4)
    np.testing.assert_allclose(run.exponents[:, 0], want.exponents, atol=1e-14)
    assert run.final.tobytes() == want.final.tobytes() and run.vectors.tobytes() == want.vectors.tobytes()


def test_singular_values_sum_to_the_determinant_however_far_apart():
    gd = small()
    w0 = gd.network.init(6, seed=0)
    run = tl.finite_time_exponents(gd, w0, 3000, every=1000, singular_values=True)
    range_of_logs = 3000 * (run.singular_exponents[:, -1, 0] - run.singular_exponents[:, -1, -1])
    assert range_of_logs.max() > 745  # beyond what a float64 can hold
    assert (np.diff(run.singular_exponents) <= 0).all()
    np.testing.assert_allclose(run.singular_exponents.sum(axis=-1), run.exponents.sum(axis=-1), rtol=1e-13)


def test_singular_values_of_an_ill_conditioned_product():
    """2 x 2, 300 steps of the Hénon map: the closed form in 400 digits."""
    start = np.array([[0.1, 0.1], [-0.3, 0.2]])
    run = tl.finite_time_exponents(HenonMap(), start, 300, at=[1, 7, 300], singular_values=True)
    for i in range(2):
        w = start[i]
        product = [[Decimal(1), Decimal(0)], [Decimal(0), Decimal(1)]]
        with localcontext() as context:
            context.prec = 400
            for t in range(1, 301):
                j = [[Decimal(float(e)) for e in row] for row in HenonMap().jacobian(w)]
                product = [[sum(j[a][c] * product[c][b] for c in range(2)) for b in range(2)] for a in range(2)]
                w = HenonMap()(w)
                if t in run.times:
                    f = sum(e * e for row in product for e in row)
                    det = product[0][0] * product[1][1] - product[0][1] * product[1][0]
                    largest = ((f + (f * f - 4 * det * det).sqrt()) / 2).sqrt()
                    want = [float(largest.ln()) / t, float((abs(det) / largest).ln()) / t]
                    np.testing.assert_allclose(run.singular_exponents[i, list(run.times).index(t)], want, atol=1e-13)


def test_dead_relu_units_leave_exactly_neutral_directions():
    """One dead unit: four singular values are 1 at every step. Both dead: eight exponents 0, one ln |1 - lr N|."""
    gd = small("relu")
    w0 = gd.network.init(20, seed=0)
    layers = gd.network.unpack(w0)
    layers.W1[:, :, 0], layers.b1[:, 0] = 0.0, -1.0
    one = tl.finite_time_exponents(gd, w0, 300, every=50, singular_values=True)
    assert (np.abs(one.singular_exponents) < 1e-13).sum(axis=-1).min() >= 4
    assert (np.abs(one.singular_exponents) > 1e-6).sum(axis=-1).max() == 5
    layers.W1[:, :, 1], layers.b1[:, 1] = 0.0, -1.0
    both = tl.finite_time_exponents(gd, w0, 300, every=50, singular_values=True)
    want = np.append(np.zeros(8), np.log(1 - 1e-3 * 50))
    np.testing.assert_allclose(both.singular_exponents, np.broadcast_to(want, (20, 6, 9)), atol=1e-13)
    np.testing.assert_allclose(both.exponents.sum(axis=-1), want[-1], atol=1e-13)


def test_a_shear_grows_like_the_number_of_steps():
    """(1 1; 0 1)^t: singular values s and 1 / s with s - 1 / s = t, far from exponents 0, 0 while t is small."""
    run = tl.finite_time_exponents(
        LinearMap(np.array([[1.0, 1.0], [0.0, 1.0]])), np.zeros((1, 2)), 500, singular_values=True
    )
    t = run.times
    np.testing.assert_allclose(run.singular_exponents[0, :, 0], np.arcsinh(t / 2) / t, rtol=1e-12)
    assert run.loss is None


@pytest.mark.parametrize("size", [1, 5, 8, 21])
def test_bits_do_not_depend_on_batch_threads_memory_and_records(size):
    rates = np.linspace(5e-4, 3e-3, 21)
    w0 = small().network.init(21, seed=5)
    whole = tl.finite_time_exponents(small(lr=rates), w0, 90, singular_values=True, threads=1)
    for first in range(0, 21, size):
        part = slice(first, first + size)
        got = tl.finite_time_exponents(
            small(lr=rates[part]), w0[part], 90, at=[1, 15, 90], singular_values=True, threads=3, memory=1
        )
        for name in ("exponents", "singular_exponents", "loss"):
            assert getattr(got, name).tobytes() == getattr(whole, name)[part][:, [0, 14, 89]].tobytes()


def test_diverged_networks_are_nan():
    gd = small("relu", lr=0.015)
    w0 = gd.network.init(30, seed=0)
    run = tl.finite_time_exponents(gd, w0, 100, singular_values=True)
    lost = ~np.isfinite(run.final).all(axis=1)
    assert 0 < lost.sum() < 30
    for values in (run.exponents, run.singular_exponents):
        assert np.isfinite(values[~lost]).all() and np.isnan(values[lost, -1]).all() and np.isfinite(values[:, 0]).all()


def test_wiped_out_directions_have_exponent_minus_infinity():
    run = tl.finite_time_exponents(LinearMap(np.diag([2.0, 1.0, 0.0])), np.zeros((1, 3)), 5, singular_values=True)
    assert np.isneginf(run.singular_exponents[..., 2]).all() and np.isfinite(run.singular_exponents[..., :2]).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be an integer >= 1, got 0"),
        ({"at": [0, 5]}, ValueError, "at must be ascending steps from 1 to 50"),
        ({"at": [5, 5]}, ValueError, "ascending"),
        ({"at": [51]}, ValueError, "from 1 to 50, got"),
        ({"at": [1.5]}, TypeError, "list of steps"),
        ({"at": []}, TypeError, "list of steps"),
        ({"every": 0}, ValueError, "every must be"),
        ({"k": 1, "singular_values": True}, ValueError, "all 2 vectors, got k = 1; leave k out"),
        ({"gd": lambda w: w}, TypeError, "must have a jacobian"),
    ],
)
def test_bad_input(options, error, message):
    call = {"gd": HenonMap(), "w0": np.full((1, 2), 0.1), "steps": 50} | options
    with pytest.raises(error, match=message):
        tl.finite_time_exponents(**call)
