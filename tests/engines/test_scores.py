"""Accuracies by compiled code: those of NumPy, for every kind of network, however many states and threads."""

import numpy as np
import pytest

import trajlib as tl
from trajlib.dynamics import optimiser
from trajlib.engines.fused.scores import right


def made_up(n: int) -> tl.Task:
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((8 + n, 3)), np.resize(np.arange(4), 8 + n)
    return tl.Task("made up", x[:8], y[:8], x[8:], y[8:])


@pytest.mark.parametrize(
    "n, hidden, options",
    [
        (13, (6,), {"activation": "sigmoid"}),
        (13, (6,), {"activation": "tanh", "loss": "half_squared_error"}),
        (1, (6,), {"activation": "relu"}),
        (13, (5, 2, 7), {"activation": "gelu"}),
        (16, (5, 2), {"activation": "sigmoid"}),
        (13, (6,), {"activation": "identity", "bias": False, "scale": "mean_field"}),
    ],
)
def test_what_is_counted_is_what_numpy_counts(n, hidden, options, monkeypatch):
    net = tl.Perceptron(3, hidden, 4, **options)
    gd = tl.GradientDescent(net, made_up(n), lr=0.1)
    w = net.init(19, seed=1)
    w[3, 2], w[7, -1], w[11] = np.nan, np.inf, 1e300
    w[13] = 0.0  # equal outputs: the first counts
    monkeypatch.setattr(optimiser, "_WORTH", np.inf)
    expected = gd.accuracy(w)
    monkeypatch.setattr(optimiser, "_WORTH", 0.0)
    np.testing.assert_array_equal(gd.accuracy(w), expected)
    assert np.isnan(expected[[3, 7]]).all() and np.isfinite(expected[13])
    assert len(set(expected[np.isfinite(expected)].tolist())) > 1


def test_neither_batch_nor_threads_matter():
    task = tl.iris()
    net = tl.Perceptron(4, 10, 3)
    gd = tl.GradientDescent(net, task, lr=1.0)
    w = net.init(1001, seed=3)
    whole = right(gd.problem, w, task.x_test, task.y_test, threads=1)
    np.testing.assert_array_equal(right(gd.problem, w, task.x_test, task.y_test, threads=3), whole)
    np.testing.assert_array_equal(right(gd.problem, w[17:18], task.x_test, task.y_test), whole[17:18])


def test_a_record_is_counted_so_where_it_is_large(monkeypatch):
    task, net = tl.iris(), tl.Perceptron(4, 10, 3)
    gd, w = tl.GradientDescent(net, task, lr=1.0), net.init(6, seed=0)
    called = []
    monkeypatch.setattr("trajlib.engines.fused.scores.right", lambda *a: called.append(a[1].shape) or right(*a))
    plain = tl.diverge(gd, w, radius=1e-3, copies=2, steps=20, record=("accuracy", "test_accuracy"))
    assert called == []
    monkeypatch.setattr(optimiser, "_WORTH", 1e5)
    counted = tl.diverge(gd, w, radius=1e-3, copies=2, steps=20, record=("accuracy", "test_accuracy"))
    assert {rows for rows, _ in called} >= {6 * 21}
    for name in ("accuracy", "test_accuracy", "copy_accuracy", "copy_test_accuracy"):
        np.testing.assert_array_equal(getattr(counted, name), getattr(plain, name))
