"""Covariant vectors without the future, against those with it."""

import numpy as np
import pytest
from small_networks import parallel, small

import trajlib as tl
from trajlib.dynamics.reference import HenonMap, LinearMap

START = np.array([[0.1, 0.1], [-0.2, 0.1]])


@pytest.fixture(scope="module")
def henon():
    return tl.covariant_vectors(HenonMap(), START, 700, transient=(200, 100))


@pytest.mark.parametrize("method", ["ginelli", "froyland"])
def test_they_converge_with_the_lag(henon, method):
    """The second vector of the Hénon map approaches the true one as exp(-(0.42 + 1.62) lag); the first needs no future."""
    off = []
    for lag in (2, 6, 12, 20):
        at = np.arange(250, 550, 11) + lag
        got = tl.present_vectors(
            HenonMap(), START, at, method=method, lag=lag, **({"window": 30} if method == "froyland" else {})
        )
        assert got.times.tolist() == (at - lag).tolist()
        index = got.times - 200
        np.testing.assert_array_equal(got.states, henon.states[:, index])
        error = parallel(got.vectors, henon.vectors[:, index])
        assert error[..., 0].max() < 1e-12
        off.append(np.log(np.median(error[..., 1])))
        if lag == 20:
            assert error.max() < 1e-12
            np.testing.assert_allclose(got.growth, henon.growth[:, index], atol=1e-11)
            np.testing.assert_allclose(got.angles, henon.angles[:, index], atol=1e-11)
    assert -(off[2] - off[0]) / 10 == pytest.approx(2.04, abs=0.3)


def test_of_a_linear_map_all_but_the_frozen_find_the_eigenvectors():
    basis = np.random.default_rng(0).standard_normal((4, 4))
    basis /= np.linalg.norm(basis, axis=0)
    linear = LinearMap(basis @ np.diag([1.4, -1.0, 0.6, 0.3]) @ np.linalg.inv(basis))
    for method in ("ginelli", "froyland"):
        got = tl.present_vectors(linear, np.zeros((1, 4)), [300], method=method, lag=100)
        assert parallel(got.vectors, basis).max() < 1e-10
    with pytest.raises(ValueError, match=r"symmetric Jacobian.*use 'ginelli'"):
        tl.present_vectors(linear, np.zeros((1, 4)), [300], method="frozen")


def test_where_the_jacobian_stands_still_frozen_is_exact():
    """Of a symmetric linear map: at once in its last vector, whatever the orthonormal vectors are; in all when they have aligned."""
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    linear = LinearMap(basis @ np.diag([1.3, -1.1, 0.9, 0.7, 0.2]) @ basis.T)
    early, late = np.moveaxis(tl.present_vectors(linear, np.zeros((1, 5)), [3, 300], method="frozen").vectors[0], 0, 0)
    error = parallel(early, basis)
    assert error[-1] < 1e-12 and error[0] > 1e-2
    assert parallel(late, basis).max() < 1e-10


def test_frozen_lies_in_both_spaces():
    gd = small()
    w0 = gd.network.init(6, seed=0)
    got = tl.present_vectors(gd, w0, [50, 400], method="frozen")
    q = tl.present_vectors(gd, w0, [50, 400], lag=0).vectors
    for m in range(2):
        values, basis = np.linalg.eigh(gd.jacobian(got.states[:, m]))
        order = np.argsort(-np.abs(values), axis=1)
        basis = np.take_along_axis(basis, order[:, None], axis=2)
        for j in range(9):
            v = got.vectors[:, m, :, j, None]
            assert np.abs(basis[..., :j].swapaxes(1, 2) @ v).max(initial=0) < 1e-12
            assert np.abs(q[:, m, :, j + 1 :].swapaxes(1, 2) @ v).max(initial=0) < 1e-12
    assert got.times.tolist() == got.at.tolist() == [50, 400]


def test_without_a_lag_they_are_the_orthonormal_vectors():
    gd = small("relu")
    w0 = gd.network.init(4, seed=0)
    q = tl.finite_time_exponents(gd, w0, 120).vectors.swapaxes(1, 2)
    for method in ("ginelli", "froyland"):
        got = tl.present_vectors(gd, w0, [120], method=method, lag=0)
        assert parallel(got.vectors[:, 0], q).max() < 1e-14


def test_froyland_is_its_definition():
    """Against NumPy on a window short enough for plain matrices: right singular vectors, pushed, made orthogonal on the way."""
    gd = small()
    w0 = gd.network.init(3, seed=0)
    lag, window = 4, 5
    got = tl.present_vectors(gd, w0, [40], method="froyland", lag=lag, window=window)
    run = tl.train(gd, w0, 40, record=("weights",)).weights
    matrices = [gd.jacobian(run[:, t]) for t in range(31, 40)]
    slow = []
    for first in range(window + 1):
        product = np.broadcast_to(np.eye(9), (3, 9, 9))
        for matrix in matrices[first:]:
            product = matrix @ product
        slow.append(np.linalg.svd(product)[2])
    v = slow[0].swapaxes(1, 2)
    for t in range(window):
        v = matrices[t] @ v
        for j in range(9):
            for i in range(j):
                u = slow[t + 1][:, i]
                v[:, :, j] -= (u * v[:, :, j]).sum(axis=1, keepdims=True) * u
        v /= np.linalg.norm(v, axis=1, keepdims=True)
    assert parallel(got.vectors[:, 0], v).max() < 1e-8


@pytest.mark.parametrize("method", ["ginelli", "froyland", "frozen"])
def test_batch_and_memory_change_nothing(method):
    rates = np.linspace(5e-4, 3e-3, 20)
    w0 = small().network.init(20, seed=2)
    options = {"method": method, "lag": 0 if method == "frozen" else 15}
    whole = tl.present_vectors(small(lr=rates), w0, [20, 60, 75], **options, threads=1)
    part = tl.present_vectors(small(lr=rates[11:]), w0[11:], [60, 75], **options, memory=1)
    assert np.abs(part.vectors - whole.vectors[11:, 1:]).max() < 1e-9
    np.testing.assert_allclose(part.growth, whole.growth[11:, 1:], atol=1e-10)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "give lag"),
        ({"method": "wolfe"}, ValueError, "method must be one of 'ginelli', 'frozen', 'froyland', got 'wolfe'"),
        ({"method": "frozen", "lag": 3}, ValueError, "lag must be 0 for method='frozen'.*got 3"),
        ({"lag": 5, "window": 5}, ValueError, "window is for method='froyland' only"),
        ({"lag": 101}, ValueError, "at must be ascending steps from 101"),
        ({"lag": -1}, ValueError, "lag must be"),
        ({"lag": 5, "at": [200, 100]}, ValueError, "ascending"),
        ({"lag": 5, "gd": lambda w: w}, TypeError, "must have a jacobian"),
    ],
)
def test_bad_input(options, error, message):
    call = {"gd": HenonMap(), "w0": START, "at": [100, 200]} | options
    with pytest.raises(error, match=message):
        tl.present_vectors(**call)


def test_growth_is_that_of_the_step_which_a_schedule_has_there():
    gd = tl.GradientDescent(tl.Perceptron(4, 3, 3), tl.iris(), tl.schedules.exponential(0.5, 0.8))
    w = gd.network.init(1, seed=0)
    before = tl.train(gd, w, 10)
    whole = tl.present_vectors(gd, w, [20], lag=2, k=2)
    later = tl.present_vectors(gd, before.final, [10], lag=2, k=2, start=10)
    want = np.linalg.norm(gd.jvp(later.states[:, 0], later.vectors[:, 0].swapaxes(1, 2), 18), axis=-1)
    np.testing.assert_allclose(later.growth[:, 0], np.log(want), rtol=1e-12)
    np.testing.assert_array_equal(later.states, whole.states)
