"""Loss, gradient, Hessian, Jacobian against automatic differentiation; the map against train, bit for bit."""

import numpy as np
import pytest
from optimised import CASES

import trajlib as tl
from trajlib.dynamics import optimiser as maps

ACTIVATIONS = ("sigmoid", "tanh", "relu")
LOSSES = ("cross_entropy", "half_squared_error")
TASK = tl.iris()
RNG = np.random.default_rng(1)
PLANE = tl.Task("plane", x=RNG.normal(size=(30, 2)), y=RNG.normal(size=30), x_test=np.ones((2, 2)), y_test=np.ones(2))
BY = [pytest.param("cpu", id="fused"), pytest.param("torch", id="matrix")]


def iris_map(activation="sigmoid", loss="cross_entropy", lr=0.5, weight_decay=0.0):
    return tl.GradientDescent(tl.Perceptron(4, 10, 3, activation, loss), TASK, lr=lr, weight_decay=weight_decay)


def agree(got, want, rtol=1e-10):
    """Equal relative to the largest entry."""
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= rtol * np.abs(want).max()


@pytest.fixture
def by(request, monkeypatch):
    """Send the map's own methods through the fused kernel, or the matrix products of large networks."""
    monkeypatch.setattr(maps, "pick", lambda gd: request.param)
    return request.param


def differentiated(gd, w):
    """Loss, gradient and Hessian at one weight vector, by torch from the loss alone."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.set_num_threads(1)  # threads that wait for each other at every small call are slow on a busy machine
    net, x = gd.network, torch.tensor(gd.task.x)
    d, h, c = net.n_inputs, net.n_hidden, net.n_outputs
    activation = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}[net.activation]

    def loss(w):
        W1, b1, W2, b2 = torch.split(w, [d * h, h, h * c, c])
        a = activation(x @ W1.reshape(d, h) + b1) @ W2.reshape(h, c) + b2
        if net.loss == "cross_entropy":
            data = torch.nn.functional.cross_entropy(a, torch.tensor(gd.task.y))
        elif gd.task.is_classification and c > 1:
            data = 0.5 * (a - torch.nn.functional.one_hot(torch.tensor(gd.task.y), c)).square().sum()
        else:
            data = 0.5 * (a[:, 0] - torch.tensor(gd.task.y)).square().sum()
        return data + 0.5 * gd.weight_decay * w.square().sum()

    w, derive = torch.tensor(w), torch.autograd.functional
    return loss(w).numpy(), derive.jacobian(loss, w).numpy(), derive.hessian(loss, w).numpy()


@pytest.mark.parametrize("by", BY, indirect=True)
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives(activation, loss, weight_decay, by):
    gd = iris_map(activation, loss, weight_decay=weight_decay)
    w = 0.7 * gd.network.init(6, seed=2).reshape(2, 3, -1)
    w += 0.1 * np.random.default_rng(0).normal(size=w.shape)  # biases that are not 0
    assert gd.loss(w).shape == (2, 3) and gd.gradient(w).shape == (2, 3, 83) == gd(w).shape
    hessian = gd.hessian(w)
    assert hessian.shape == (2, 3, 83, 83)
    np.testing.assert_array_equal(hessian, hessian.swapaxes(-1, -2))
    for i, j in ((0, 0), (1, 2)):
        one = differentiated(gd, w[i, j])
        for got, want in zip((gd.loss(w), gd.gradient(w), hessian), one, strict=True):
            agree(got[i, j], want)
        for got, want in zip((gd.loss(w[i, j]), gd.gradient(w[i, j]), gd.hessian(w[i, j])), one, strict=True):
            agree(np.asarray(got), want)
        agree(gd(w)[i, j], w[i, j] - 0.5 * one[1])
        agree(gd(w[i, j]), w[i, j] - 0.5 * one[1])
        agree(gd.jacobian(w)[i, j], np.eye(83) - 0.5 * one[2])


@pytest.mark.parametrize("by", BY, indirect=True)
@pytest.mark.parametrize("task", [PLANE, TASK], ids=["plane", "labels as numbers"])
def test_one_output(task, by):
    """Regression, and labels 0, 1, 2 taken as numbers where there is one output."""
    net = tl.Perceptron(task.x.shape[1], 5, 1, activation="tanh", loss="half_squared_error")
    gd = tl.GradientDescent(net, task, lr=0.01, weight_decay=0.1)
    w = net.init(4, seed=0)
    loss, gradient, hessian = zip(*(differentiated(gd, one) for one in w), strict=True)
    agree(gd.loss(w), np.stack(loss))
    agree(gd.gradient(w), np.stack(gradient))
    agree(gd.hessian(w), np.stack(hessian))
    np.testing.assert_array_equal(gd.targets, task.y[:, None])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_jacobian_is_the_derivative_of_the_map(activation, loss):
    gd = iris_map(activation, loss, lr=0.5 if loss == "cross_entropy" else 0.01, weight_decay=0.05)
    # from a state where, for relu, no sample sits within a difference of a kink
    w = gd.network.init(1, seed=4)[0]
    h = 1e-6
    differences = (gd(w + h * np.eye(83)) - gd(w - h * np.eye(83))) / (2 * h)
    agree(gd.jacobian(w), differences.T, rtol=1e-7)


@pytest.mark.parametrize("by", BY, indirect=True)
def test_one_learning_rate_a_network(by):
    lr = np.array([[0.1, 1.0, 10.0], [0.2, 2.0, 20.0]])
    gd = iris_map(lr=lr)
    w = gd.network.init(6, seed=0).reshape(2, 3, 83)
    moved, jacobian = gd(w), gd.jacobian(w)
    for index in np.ndindex(2, 3):
        alone = iris_map(lr=lr[index])
        agree(moved[index], alone(w[index]), rtol=1e-14)
        agree(jacobian[index], alone.jacobian(w[index]), rtol=1e-14)
    by_column = iris_map(lr=lr[0])  # broadcasts over the first axis
    agree(by_column(w)[1, 2], iris_map(lr=10.0)(w[1, 2]), rtol=1e-14)


def test_iterating_by_hand_gives_the_bits_of_train():
    gd = iris_map(lr=5.0, weight_decay=1e-3)
    w = gd.network.init(11, seed=0)
    run = tl.train(gd, w, 200, record=("loss", "weights"))
    for t in range(201):
        assert w.tobytes() == np.ascontiguousarray(run.weights[:, t]).tobytes()
        assert gd.loss(w).tobytes() == np.ascontiguousarray(run.loss[:, t]).tobytes()
        w = gd(w)


def test_a_strided_view_gives_the_same_bits():
    gd = iris_map()
    w = gd.network.init(6, seed=0)
    view = np.repeat(w, 2, axis=1)[:, ::2]
    assert not view.flags.c_contiguous
    assert gd(view).tobytes() == gd(w).tobytes()
    assert gd.gradient(view).tobytes() == gd.gradient(w).tobytes()
    np.testing.assert_array_equal(gd.hessian(view[:2]), gd.hessian(w[:2]))


@pytest.mark.parametrize("by", BY, indirect=True)
def test_inputs_are_left_alone(by):
    gd = iris_map(weight_decay=0.1)
    w = gd.network.init(2, seed=0)
    before = w.copy()
    w.flags.writeable = False
    for method in (gd, gd.loss, gd.gradient, gd.hessian, gd.jacobian, gd.accuracy, gd.test_loss):
        result = method(w)
        assert not np.shares_memory(result, w)
        np.testing.assert_array_equal(w, before)


@pytest.mark.parametrize("by", BY, indirect=True)
def test_a_diverged_state_has_a_loss_that_is_not_a_number(by):
    gd = iris_map()
    w = gd.network.init(3, seed=0)
    w[1] = np.nan
    loss, gradient = gd.loss(w), gd.gradient(w)
    assert np.isnan(loss[1]) and np.isfinite(loss[[0, 2]]).all()
    assert np.isnan(gradient[1]).any() and np.isfinite(gradient[[0, 2]]).all()


def test_accuracy_by_hand():
    gd = iris_map()
    w = gd.network.init(3, seed=0)
    for split, x, y in (("test", TASK.x_test, TASK.y_test), ("train", TASK.x, TASK.y)):
        got = gd.accuracy(w, split)
        assert got.shape == (3,)
        for i in range(3):
            W1, b1, W2, b2 = gd.network.unpack(w[i])
            right = 0
            for sample, label in zip(x, y, strict=True):
                outputs = 1.0 / (1.0 + np.exp(-(sample @ W1 + b1))) @ W2 + b2
                right += int(np.argmax(outputs) == label)
            assert got[i] == right / len(x)
    assert gd.accuracy(w[0]).shape == ()
    assert gd.accuracy(w[None]).shape == (1, 3)


@pytest.mark.parametrize("loss", LOSSES)
def test_test_loss_is_the_loss_on_the_test_part_without_penalty(loss):
    swapped = tl.Task("swapped", x=TASK.x_test, y=TASK.y_test)
    gd = iris_map(loss=loss, weight_decay=0.7)
    w = gd.network.init(4, seed=0).reshape(2, 2, 83)
    agree(gd.test_loss(w), tl.GradientDescent(gd.network, swapped).loss(w), rtol=1e-13)


def test_test_loss_of_a_regression_by_hand():
    net = tl.Perceptron(2, 5, 1, activation="tanh", loss="half_squared_error")
    gd = tl.GradientDescent(net, PLANE)
    w = net.init(1, seed=0)[0]
    W1, b1, W2, b2 = net.unpack(w)
    by_hand = sum(
        0.5 * (np.tanh(x @ W1 + b1) @ W2 + b2 - y)[0] ** 2 for x, y in zip(PLANE.x_test, PLANE.y_test, strict=True)
    )
    assert gd.test_loss(w) == pytest.approx(by_hand, rel=1e-13)


@pytest.mark.parametrize("case", ["heavy ball, one rate a layer", "gradient descent, schedules a layer"])
def test_matrix_products_of_deep_networks(case, monkeypatch):
    """Loss and gradient of networks beyond the fused engine's size."""
    gd = CASES[case]()
    w = gd.network.init(3, seed=1)
    loss, gradient = gd.loss(w), gd.gradient(w)
    monkeypatch.setattr(maps, "pick", lambda gd: "torch")
    agree(gd.loss(w), loss, rtol=1e-12)
    agree(gd.gradient(w), gradient, rtol=1e-12)


def test_targets_and_divisor():
    gd = iris_map()
    np.testing.assert_array_equal(gd.targets.argmax(axis=1), TASK.y)
    np.testing.assert_array_equal(gd.targets.sum(axis=1), 1.0)
    assert gd.divisor == 120 and iris_map(loss="half_squared_error").divisor == 1


def test_more_outputs_than_classes_is_allowed():
    gd = tl.GradientDescent(tl.Perceptron(4, 2, 5), TASK, lr=0.1)
    assert gd.targets.shape == (120, 5) and not gd.targets[:, 3:].any()


@pytest.mark.parametrize(
    "lr, error",
    [
        *((bad, ValueError) for bad in (0, 0.0, -1.0, np.nan, np.inf, np.array([1.0, 0.0]), np.array([np.nan]))),
        *((bad, TypeError) for bad in ("1", None, True, 1j, np.array([1, 2]), np.ones(1, np.float32), lambda t: 0.1)),
        *((bad, ValueError) for bad in ((), (0.1,), (0.1, 0.2, 0.3), (0.1, -1.0))),
        ([0.1, 0.2], TypeError),
        *((bad, TypeError) for bad in ((0.1, "1"), (0.1, (0.1, 0.2)))),
    ],
)
def test_learning_rates_that_are_refused(lr, error):
    with pytest.raises(error, match="lr must be"):
        iris_map(lr=lr)


@pytest.mark.parametrize(
    "rule, given, error, message",
    [
        ("GradientDescent", {"momentum": 1}, ValueError, "momentum must be a number from 0 to below 1, got 1"),
        ("GradientDescent", {"momentum": -0.1}, ValueError, "momentum must be a number from 0 to below 1, got -0.1"),
        ("GradientDescent", {"momentum": "0"}, TypeError, "momentum must be a number from 0 to below 1, got '0'"),
        ("GradientDescent", {"nesterov": True}, ValueError, "needs a momentum above 0, got momentum=0.0"),
        ("GradientDescent", {"nesterov": 1, "momentum": 0.5}, TypeError, "nesterov must be True or False, got 1"),
        ("GradientDescent", {"decoupled_weight_decay": 1}, TypeError, "decoupled_weight_decay must be True or False"),
        ("GradientDescent", {"batch_size": 0}, ValueError, "batch_size must be an integer >= 1, got 0"),
        ("GradientDescent", {"batch_size": 7.5}, TypeError, "batch_size must be an integer >= 1, got 7.5"),
        (
            "GradientDescent",
            {"batch_size": 121},
            ValueError,
            "at most the number of samples, 120, got 121; replacement",
        ),
        ("GradientDescent", {"replacement": True}, ValueError, "replacement=True .* needs batch_size"),
        ("GradientDescent", {"replacement": 1, "batch_size": 3}, TypeError, "replacement must be True or False, got 1"),
        ("GradientDescent", {"batch_size": 3, "batch_seed": -1}, ValueError, "batch_seed must be an integer >= 0"),
        ("GradientDescent", {"lr": (0.1,)}, ValueError, "a tuple of one of these for each of the 2 layers; got 1"),
        ("GradientDescent", {"lr": (0.1,) * 3}, ValueError, r"got 3: .*; for one a network, give np\.array"),
        (
            "GradientDescent",
            {"lr": "cosine"},
            TypeError,
            r"lr must be .* a schedule \(trajlib.schedules\).* got 'cosine'",
        ),
        ("Adam", {"betas": 0.9}, TypeError, r"betas must be a pair of numbers such as \(0.9, 0.999\), got 0.9"),
        ("Adam", {"betas": (0.9,)}, TypeError, r"betas must be a pair of numbers .* got \(0.9,\)"),
        ("Adam", {"betas": (0.9, 1.0)}, ValueError, "betas must be a number from 0 to below 1, got 1.0"),
        ("AdamW", {"betas": ("a", 0.9)}, TypeError, "betas must be a number from 0 to below 1, got 'a'"),
        ("Adam", {"eps": 0}, ValueError, "eps must be a positive finite number, got 0"),
        ("RMSProp", {"eps": -1e-8}, ValueError, "eps must be a positive finite number, got -1e-08"),
        ("RMSProp", {"alpha": 1.0}, ValueError, "alpha must be a number from 0 to below 1, got 1.0"),
        ("RMSProp", {"momentum": 1.0}, ValueError, "momentum must be a number from 0 to below 1, got 1.0"),
    ],
)
def test_numbers_of_the_rules_that_are_refused(rule, given, error, message):
    with pytest.raises(error, match=message):
        getattr(tl, rule)(tl.Perceptron(4, 10, 3), TASK, **given)


def test_a_batch_of_all_samples_is_no_batch():
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), TASK, batch_size=120)
    assert gd.batches is None and gd.problem.plain


@pytest.mark.parametrize("lr", [1, 0.25, np.float64(2.0), np.float32(0.5), np.int64(3), np.array([0.1, 0.2])])
def test_learning_rates_that_are_taken(lr):
    np.testing.assert_array_equal(iris_map(lr=lr).lr, lr)


@pytest.mark.parametrize(
    "weight_decay, error",
    [
        (-0.1, ValueError),
        (np.nan, ValueError),
        (np.inf, ValueError),
        ("0", TypeError),
        (np.zeros(2), TypeError),
    ],
)
def test_weight_decays_that_are_refused(weight_decay, error):
    with pytest.raises(error, match="weight_decay must be a finite number >= 0"):
        iris_map(weight_decay=weight_decay)


@pytest.mark.parametrize(
    "net, task, message",
    [
        (tl.Perceptron(3, 2, 3), TASK, "'iris' has 4 features but the network has 3 inputs"),
        (tl.Perceptron(4, 2, 2), TASK, "'iris' has 3 classes but the network has 2 outputs"),
        (tl.Perceptron(2, 2, 2), PLANE, "cross_entropy needs integer labels"),
        (
            tl.Perceptron(2, 2, 2, loss="half_squared_error"),
            PLANE,
            "regression needs a network with 1 output, got 2",
        ),
    ],
)
def test_a_network_that_does_not_fit_the_task(net, task, message):
    with pytest.raises(ValueError, match=message):
        tl.GradientDescent(net, task)


def test_what_is_no_network_or_task():
    with pytest.raises(TypeError, match=r"network must be a Perceptron or a torch\.nn\.Module, got int"):
        tl.GradientDescent(3, TASK)
    with pytest.raises(TypeError, match="task must be a Task, got tuple"):
        tl.GradientDescent(tl.Perceptron(4, 10, 3), (TASK.x, TASK.y))


@pytest.mark.parametrize("method", ["__call__", "loss", "gradient", "hessian", "jacobian", "accuracy", "test_loss"])
@pytest.mark.parametrize(
    "w, error, message",
    [
        (np.zeros(83, dtype=np.float32), TypeError, "w must be float64, got float32"),
        (np.zeros(83, dtype=np.int64), TypeError, "w must be float64, got int64"),
        ([0.0] * 83, TypeError, "w must be a numpy array of float64, got list"),
        (np.zeros(82), ValueError, r"w must have shape \(\.\.\., 83\).* got \(82,\)"),
        (np.zeros((83, 2)), ValueError, r"w must have shape \(\.\.\., 83\).* got \(83, 2\)"),
        (np.float64(1.0) * np.ones(()), (TypeError, ValueError), "w must"),
    ],
)
def test_weights_that_are_refused(method, w, error, message):
    with pytest.raises(error, match=message):
        getattr(iris_map(), method)(w)


def test_accuracy_needs_classes_and_a_test_part():
    w = np.zeros(83)
    with pytest.raises(ValueError, match="split must be one of 'train', 'test', got 'dev'"):
        iris_map().accuracy(w, "dev")
    no_test = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.Task("bare", x=TASK.x, y=TASK.y))
    for method in (no_test.accuracy, no_test.test_loss):
        with pytest.raises(ValueError, match="'bare' has no test part"):
            method(w)
    assert no_test.accuracy(w, "train") == np.mean(TASK.y == 0)
    line = tl.GradientDescent(tl.Perceptron(2, 2, 1, loss="half_squared_error"), PLANE)
    with pytest.raises(ValueError, match="accuracy needs a classification task"):
        line.accuracy(np.zeros(line.network.n_parameters))


def test_a_map_is_frozen():
    with pytest.raises(AttributeError):
        iris_map().lr = 2.0
