"""The network: sizes, the flat layout against explicit loops, initial conditions, errors."""

import dataclasses
import math

import numpy as np
import pytest

import trajlib as tl

SIZES = [(4, 10, 3), (1, 1, 2), (7, 2, 5)]
ACTIVATIONS = {
    "sigmoid": lambda z: 1.0 / (1.0 + math.exp(-z)),
    "tanh": math.tanh,
    "relu": lambda z: max(z, 0.0),
}


@pytest.mark.parametrize("d, h, c", SIZES)
def test_sizes(d, h, c):
    net = tl.Perceptron(d, h, c)
    assert net.n_parameters == d * h + h + h * c + c
    assert len(net.parameter_names) == len(set(net.parameter_names)) == net.n_parameters
    assert net.is_weight.sum() == d * h + h * c
    assert tl.Perceptron(4, 10, 3).n_parameters == 83


@pytest.mark.parametrize("d, h, c", SIZES)
def test_the_layout_is_what_the_names_say(d, h, c):
    net = tl.Perceptron(d, h, c)
    layers = net.unpack(np.arange(net.n_parameters, dtype=float))
    for position, name in enumerate(net.parameter_names):
        array, _, index = name.rstrip("]").partition("[")
        assert getattr(layers, array)[tuple(map(int, index.split(",")))] == position
        assert net.is_weight[position] == name.startswith("W")


@pytest.mark.parametrize("lead", [(), (1,), (5,), (2, 3)])
@pytest.mark.parametrize("d, h, c", SIZES)
def test_pack_inverts_unpack(d, h, c, lead):
    net = tl.Perceptron(d, h, c)
    w = np.random.default_rng(0).normal(size=(*lead, net.n_parameters))
    layers = net.unpack(w)
    assert [a.shape for a in layers] == [(*lead, d, h), (*lead, h), (*lead, h, c), (*lead, c)]
    assert net.pack(*layers).tobytes() == w.tobytes()


def test_unpack_gives_views():
    net = tl.Perceptron(4, 10, 3)
    w = net.init(2, seed=0)
    for array in net.unpack(w):
        assert np.shares_memory(array, w)
    net.unpack(w).W2[1, 3, 2] = 7.0
    assert w[1, net.parameter_names.index("W2[3,2]")] == 7.0


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("d, h, c", SIZES)
def test_outputs_against_loops(d, h, c, activation):
    net = tl.Perceptron(d, h, c, activation=activation)
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(2, net.n_parameters)), rng.normal(size=(5, d))
    hidden, outputs = net.hidden(w, x), net.outputs(w, x)
    assert hidden.shape == (2, 5, h) and outputs.shape == (2, 5, c)
    for a in range(2):
        value = dict(zip(net.parameter_names, w[a].tolist(), strict=True))
        for n in range(5):
            units = [
                ACTIVATIONS[activation](sum(x[n, i] * value[f"W1[{i},{j}]"] for i in range(d)) + value[f"b1[{j}]"])
                for j in range(h)
            ]
            np.testing.assert_allclose(hidden[a, n], units, rtol=1e-12, atol=1e-14)
            for k in range(c):
                output = sum(units[j] * value[f"W2[{j},{k}]"] for j in range(h)) + value[f"b2[{k}]"]
                assert outputs[a, n, k] == pytest.approx(output, rel=1e-12, abs=1e-13)


def test_leading_axes():
    net = tl.Perceptron(4, 10, 3)
    x = tl.iris().x
    w = net.init(6, seed=0)
    np.testing.assert_allclose(net.outputs(w.reshape(2, 3, 83), x), net.outputs(w, x).reshape(2, 3, 120, 3), rtol=1e-12)
    np.testing.assert_allclose(net.outputs(w[4], x), net.outputs(w, x)[4], rtol=1e-12)
    assert net.predict(w.reshape(2, 3, 83), x).shape == (2, 3, 120)


def test_predict_takes_the_first_of_equals():
    net = tl.Perceptron(2, 2, 3)
    w = np.zeros(net.n_parameters)
    x = np.ones((4, 2))
    np.testing.assert_array_equal(net.predict(w, x), 0)
    net.unpack(w).b2[...] = [0.0, 1.0, 1.0]
    np.testing.assert_array_equal(net.predict(w, x), 1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_huge_weights_raise_no_warning(activation):
    net = tl.Perceptron(2, 2, 2, activation=activation)
    hidden = net.hidden(np.full(net.n_parameters, -1e300), np.array([[1e10, 1e10]]))
    assert (hidden == {"sigmoid": 0.0, "tanh": -1.0, "relu": 0.0}[activation]).all()


@pytest.mark.parametrize("scheme", ["normal", "glorot"])
def test_first_initial_conditions_do_not_depend_on_how_many(scheme):
    net = tl.Perceptron(4, 10, 3)
    many = net.init(50, seed=3, scheme=scheme)
    assert many.dtype == np.float64 and many.shape == (50, 83)
    for n in (0, 1, 17):
        assert net.init(n, seed=3, scheme=scheme).tobytes() == many[:n].tobytes()
    assert not np.isin(net.init(50, seed=4, scheme=scheme)[:, net.is_weight], many).any()


@pytest.mark.parametrize("scheme", ["normal", "glorot"])
def test_biases_start_at_zero_and_weights_do_not(scheme):
    net = tl.Perceptron(4, 10, 3)
    w = net.init(20, seed=0, scheme=scheme)
    assert not w[:, ~net.is_weight].any()
    assert w[:, net.is_weight].all()
    assert len(np.unique(w[:, net.is_weight])) == 20 * 70


def test_normal_initial_conditions():
    """Mean and variance of 70,000 draws within four standard errors (fixed seed)."""
    net = tl.Perceptron(4, 10, 3)
    draws = net.init(1000, seed=0)[:, net.is_weight].ravel()
    assert abs(draws.mean()) < 4 / np.sqrt(draws.size)
    assert abs(draws.var() - 1.0) < 4 * np.sqrt(2 / draws.size)


def test_glorot_bounds():
    """Uniform up to the bound of each layer; variance bound^2 / 3 within four standard errors."""
    net = tl.Perceptron(4, 10, 3)
    layers = net.unpack(net.init(1000, seed=0, scheme="glorot"))
    for draws, bound in ((layers.W1, math.sqrt(6 / 14)), (layers.W2, math.sqrt(6 / 13))):
        assert 0.999 * bound < np.abs(draws).max() <= bound
        variance = bound**2 / 3
        assert abs(draws.var() - variance) < 4 * variance * math.sqrt(0.8 / draws.size)


def test_a_network_is_a_value():
    net = tl.Perceptron(4, 10, 3)
    assert net == tl.Perceptron(np.int64(4), 10, 3, activation="sigmoid", loss="cross_entropy")
    assert net != tl.Perceptron(4, 10, 3, activation="tanh")
    assert len({net, tl.Perceptron(4, 10, 3)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        net.n_hidden = 3


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "size, error", [(0, ValueError), (-3, ValueError), (2.0, TypeError), (True, TypeError), ("4", TypeError)]
)
def test_sizes_that_are_refused(place, size, error):
    sizes = [4, 10, 3]
    sizes[place] = size
    name = ("n_inputs", "n_hidden", "n_outputs")[place]
    with pytest.raises(error, match=f"{name} must be an integer >= 1, got {size!r}"):
        tl.Perceptron(*sizes)


def test_names_that_are_refused():
    with pytest.raises(ValueError, match=r"activation must be one of 'sigmoid', 'tanh', 'relu', .* got 'swish'"):
        tl.Perceptron(4, 10, 3, activation="swish")
    with pytest.raises(ValueError, match=r"loss must be one of 'cross_entropy', .* got 'mse'"):
        tl.Perceptron(4, 10, 3, loss="mse")
    with pytest.raises(ValueError, match=r"at least 2 outputs .* got 1; use loss='half_squared_error'"):
        tl.Perceptron(4, 10, 1)
    with pytest.raises(ValueError, match="scheme must be one of 'normal', 'glorot', got 'he'"):
        tl.Perceptron(4, 10, 3).init(2, seed=0, scheme="he")


@pytest.mark.parametrize(
    "given, error, message",
    [
        ({"n_hidden": ()}, ValueError, "n_hidden must be a number of units, or a tuple of them, .* got none"),
        ({"n_hidden": (3, 0)}, ValueError, "n_hidden must be an integer >= 1, got 0"),
        ({"n_hidden": (3, 2.5)}, TypeError, "n_hidden must be an integer >= 1, got 2.5"),
        ({"n_hidden": "10"}, TypeError, "n_hidden must be an integer >= 1, got '10'"),
        ({"bias": 1}, TypeError, "bias must be True or False, got 1"),
        ({"scale": (1.0,)}, ValueError, r"scale must have one number a layer, 2, got 1: \(1.0,\)"),
        ({"scale": (1.0, np.inf)}, ValueError, "scale must be a finite number, got inf"),
        ({"scale": ("a", 1.0)}, TypeError, "scale must be a finite number, got 'a'"),
        ({"scale": "ntk"}, ValueError, "scale must be None, 'mean_field' or a tuple of one number a layer, got 'ntk'"),
        ({"scale": 2.0}, ValueError, "scale must be None, 'mean_field' or a tuple .* got 2.0"),
        ({"scale": np.ones(2)}, ValueError, "scale must be None, 'mean_field' or a tuple .* got array"),
    ],
)
def test_layers_that_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        tl.Perceptron(**({"n_inputs": 4, "n_hidden": 10, "n_outputs": 3} | given))


@pytest.mark.parametrize(
    "n, seed, error, name",
    [
        (-1, 0, ValueError, "n"),
        (1.5, 0, TypeError, "n"),
        (2, -1, ValueError, "seed"),
        (2, None, TypeError, "seed"),
    ],
)
def test_init_refuses(n, seed, error, name):
    with pytest.raises(error, match=f"^{name} must be an integer >= 0"):
        tl.Perceptron(4, 10, 3).init(n, seed)


@pytest.mark.parametrize("method", ["unpack", "hidden", "outputs", "predict"])
def test_weights_that_are_refused(method):
    net = tl.Perceptron(2, 2, 2)
    others = () if method == "unpack" else (np.ones((1, 2)),)
    with pytest.raises(ValueError, match=r"w must have shape \(\.\.\., 12\).* got \(3, 11\)"):
        getattr(net, method)(np.zeros((3, 11)), *others)
    with pytest.raises(TypeError, match="w must be float64, got float32"):
        getattr(net, method)(np.zeros(12, dtype=np.float32), *others)


def test_pack_takes_numbers_of_any_kind():
    net = tl.Perceptron(2, 3, 2)
    arrays = [np.ones((2, 3), np.float32), np.arange(3), [[1, 2], [3, 4], [5, 6]], [0.5, 1.5]]
    w = net.pack(*arrays)
    assert w.dtype == np.float64 and w.tolist() == [1.0] * 6 + [0, 1, 2, 1, 2, 3, 4, 5, 6, 0.5, 1.5]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"W1": np.zeros((5, 4))}, ValueError, r"W1 must have shape \(4, 5\), got \(5, 4\); torch keeps .* give W1\.T"),
        ({"W2": np.zeros((3, 5))}, ValueError, r"W2 must have shape \(5, 3\), got \(3, 5\); torch keeps .* give W2\.T"),
        ({"W1": np.zeros(20)}, ValueError, r"W1 must have shape \(4, 5\), got \(20,\)$"),
        ({"W1": np.zeros((2, 10))}, ValueError, r"W1 must have shape \(4, 5\), got \(2, 10\)$"),
        ({"b1": np.zeros(4)}, ValueError, r"b1 must have shape \(5,\), got \(4,\)"),
        (
            {"b2": np.zeros((1, 3))},
            ValueError,
            r"b2 must have shape \(3,\), leading axes as in b1, \(5,\), got \(1, 3\)",
        ),
        (
            {"b1": np.zeros((7, 5))},
            ValueError,
            r"W1 must have shape \(7, 4, 5\), leading axes as in b1, \(7, 5\), got \(4, 5\)",
        ),
        ({"b2": 0.0}, ValueError, r"b2 must have shape \(3,\), got \(\)"),
        ({"W1": "weights"}, TypeError, "W1 must be a number or an array of numbers, got 'weights'"),
        ({"W2": np.zeros((5, 3), complex)}, TypeError, "W2 must be a number or an array of numbers"),
        ({"b1": None}, TypeError, "b1 must be a number or an array of numbers, got None"),
    ],
)
def test_pack_refuses(change, error, message):
    net = tl.Perceptron(4, 5, 3)
    arrays = net.unpack(np.zeros(net.n_parameters))._asdict() | change
    with pytest.raises(error, match=message):
        net.pack(**arrays)


def test_pack_of_many_in_the_layout_of_torch():
    net = tl.Perceptron(4, 5, 3)
    layers = net.unpack(net.init(6, seed=0))
    with pytest.raises(ValueError, match=r"np\.swapaxes\(W1, -2, -1\)"):
        net.pack(np.swapaxes(layers.W1, -2, -1), *layers[1:])


@pytest.mark.parametrize("x", [np.zeros(4), np.zeros((3, 5)), np.zeros((3, 0))])
def test_inputs_of_another_shape_are_refused(x):
    net = tl.Perceptron(4, 5, 3)
    for method in (net.hidden, net.outputs, net.predict):
        with pytest.raises(ValueError, match=r"x must have shape \(samples, 4\), got"):
            method(net.init(2, seed=0), x)
