"""The sparse engine: wide networks on inputs that are mostly 0, with the fused engine's bits."""

import numpy as np
import pytest

import trajlib as tl
from trajlib.engines import FUSED_LIMIT, pick, registered
from trajlib.engines.sparse import run as engine

RNG = np.random.Generator(np.random.PCG64(4))
RECORD = ("loss", "weights", "accuracy")


def pictures(samples: int, inputs: int, outputs: int, filled: float = 0.2) -> tl.Task:
    """Inputs of which a share is not 0, some columns empty and one full."""
    x = np.where(RNG.random((samples, inputs)) < filled, RNG.normal(size=(samples, inputs)), 0.0)
    x[:, 3], x[:, 5] = 0.0, 1.0
    y = RNG.integers(0, outputs, samples)
    y[:outputs] = range(outputs)
    return tl.Task("pictures", x=x, y=y, x_test=x[:9], y_test=y[:9])


@pytest.mark.parametrize(
    ("samples", "hidden", "outputs", "options"),
    [
        (70, 12, 3, {}),  # units and outputs that fill no vector, samples that fill no block
        (129, 70, 9, {"activation": "relu"}),  # two tiles of units, two vectors of outputs
        (64, 8, 3, {"activation": "identity", "loss": "half_squared_error"}),
    ],
)
def test_the_bits_are_those_of_the_fused_engine(samples, hidden, outputs, options):
    net = tl.Perceptron(21, hidden, outputs, **options)
    scale = (
        1.0 if net.loss == "cross_entropy" else 1e-5
    )  # so that the weights stay finite: a zero times infinity is left out here
    gd = tl.GradientDescent(
        net, pictures(samples, 21, outputs), lr=np.array([0.1, 2.0, 10.0]) * scale, weight_decay=0.01
    )
    w0 = net.init(3, seed=1)
    got = {
        name: tl.diverge(gd, w0, radius=1e-3, copies=2, steps=15, seed=2, every=3, record=RECORD, engine=name)
        for name in ("cpu", "sparse")
    }
    assert got["sparse"].engine == "sparse" and "sparse" in got["sparse"].device
    for name in ("loss", "copy_loss", "weights", "copy_weights", "distance", "accuracy", "copy_accuracy", "final"):
        np.testing.assert_array_equal(getattr(got["sparse"], name), getattr(got["cpu"], name), err_msg=name)


def test_it_does_not_depend_on_threads_or_on_the_batch():
    net = tl.Perceptron(30, 20, 3, activation="tanh")
    gd, w0 = tl.GradientDescent(net, pictures(80, 30, 3), lr=2.0), net.init(5, seed=0)
    whole = tl.train(gd, w0, 20, engine="sparse", threads=2)
    alone = tl.train(gd, w0[3:4], 20, engine="sparse", threads=1)
    np.testing.assert_array_equal(whole.final[3:4], alone.final)


def test_records_are_what_the_map_says_of_the_states():
    net = tl.Perceptron(30, 20, 3, activation="tanh")
    gd, w0 = tl.GradientDescent(net, pictures(80, 30, 3), lr=1.0), net.init(2, seed=0)
    record = ("loss", "norm", "weights", "accuracy", "test_accuracy", "test_loss", "gradient_norm")
    run = tl.train(gd, w0, 12, every=2, engine="sparse", record=record)
    np.testing.assert_allclose(run.loss, gd.loss(run.weights), rtol=1e-12)
    np.testing.assert_allclose(run.norm, np.abs(run.weights).sum(-1), rtol=1e-12)
    np.testing.assert_array_equal(run.accuracy, gd.accuracy(run.weights, "train"))
    np.testing.assert_array_equal(run.test_accuracy, gd.accuracy(run.weights))
    np.testing.assert_allclose(run.test_loss, gd.test_loss(run.weights), rtol=1e-12)
    assert run.gradient_norm.shape == run.loss.shape  # computed from the states


def test_weights_that_leave_the_numbers_are_noticed():
    net = tl.Perceptron(21, 9, 3, activation="relu", loss="half_squared_error")
    gd, w0 = tl.GradientDescent(net, pictures(40, 21, 3), lr=np.array([1e-4, 1e3])), net.init(2, seed=0)
    got, want = (tl.train(gd, w0, 60, engine=name, record=("loss",)) for name in ("sparse", "cpu"))
    np.testing.assert_array_equal(got.nonfinite_at, want.nonfinite_at)
    assert got.nonfinite_at[0] == -1 and got.nonfinite_at[1] > 0
    until = got.nonfinite_at[1]  # then, the fused engine's zeros times infinity are not these zeros
    np.testing.assert_array_equal(got.loss[:, :until], want.loss[:, :until])
    np.testing.assert_array_equal(got.loss[0], want.loss[0])


def test_auto_takes_it_for_wide_networks_on_sparse_inputs():
    net = tl.Perceptron(784, 40, 2, activation="tanh")
    assert net.n_parameters > FUSED_LIMIT
    images, dense = pictures(10, 784, 2), pictures(10, 784, 2, filled=0.9)
    assert pick(tl.GradientDescent(net, images)) == "sparse"
    assert pick(tl.GradientDescent(net, dense)) == "torch"
    assert pick(tl.GradientDescent(net, images), dtype="float32") == "torch"
    small = tl.GradientDescent(tl.Perceptron(784, 4, 2), images)
    assert pick(small) == "cpu" and pick(small, engine="sparse") == "sparse"


@pytest.mark.parametrize(
    ("options", "asked", "said"),
    [
        ({"momentum": 0.9}, {}, "plain gradient descent"),
        ({}, {"dtype": "float32"}, "float64 on the CPU"),
        ({}, {"device": "cuda"}, "float64 on the CPU"),
    ],
)
def test_what_it_cannot_do_it_says(options, asked, said):
    net = tl.Perceptron(21, 9, 3)
    gd = tl.GradientDescent(net, pictures(40, 21, 3), lr=0.1, **options)
    with pytest.raises(ValueError, match=said):
        tl.train(gd, net.init(1, seed=0), 2, engine="sparse", **asked)


def test_tangent_vectors_are_left_to_the_torch_engine():
    pytest.importorskip("torch")
    net = tl.Perceptron(21, 9, 3, activation="tanh")
    gd, w0 = tl.GradientDescent(net, pictures(40, 21, 3), lr=0.1), net.init(2, seed=0)
    got, want = (tl.lyapunov_spectrum(gd, w0, 20, k=2, engine=name) for name in ("sparse", "cpu"))
    np.testing.assert_allclose(got.exponents, want.exponents, rtol=1e-9, atol=1e-12)


def test_the_blocks_hold_every_input_that_is_not_zero():
    x = pictures(150, 11, 3).x
    made = engine.samples(x, np.eye(3)[np.zeros(150, dtype=int)], 150.0, 8)
    back = np.zeros_like(x)
    for number, starts in enumerate(made.starts):
        for p in range(11):
            here = slice(starts[p], starts[p + 1])
            back[number * engine.BLOCK + made.places[here], p] = made.values[here]
    np.testing.assert_array_equal(back, x)


def test_it_refuses_only_what_it_cannot_do():
    gd = tl.GradientDescent(tl.Perceptron(21, 9, 3, activation="gelu"), pictures(40, 21, 3))
    assert "one hidden layer" in registered("sparse").refuses(gd, None, "float64")
