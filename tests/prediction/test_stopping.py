"""Stopping rules: book-keeping by hand, costs counted operation by operation, coverage, threshold from the training part only."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

import trajlib as tl
from trajlib.dynamics.reference import LinearMap
from trajlib.prediction.stopping import INDICATORS, indicator_cost, step_cost, stopping_rule, thinned_exponents

TANH = tl.Perceptron(2, 2, 1, activation="tanh", loss="half_squared_error")


class Counted:
    """Stands for a number: its products are counted, its sums are part of a multiply-add."""

    products = 0

    def __mul__(self, other):
        Counted.products += 1
        return Counted()

    def __add__(self, other):
        return Counted()

    __rmul__, __radd__, __sub__, __rsub__ = __mul__, __add__, __add__, __add__


def counted(*shape):
    out = np.empty(shape, dtype=object)
    for i in np.ndindex(*shape):
        out[i] = Counted()
    return out


@pytest.mark.parametrize(("d", "h", "c", "n"), [(2, 2, 1, 50), (4, 10, 3, 7), (1, 5, 2, 3)])
def test_training_is_counted_right(d, h, c, n):
    """The step carried out with numbers that count: matrix products with a row of ones for the biases."""
    Counted.products = 0
    x1, w1, w2 = counted(n, d + 1), counted(d + 1, h), counted(h + 1, c)
    hidden = x1 @ w1
    Counted.products += n * h  # values of the activation
    h1 = np.concatenate([hidden, counted(n, 1)], axis=1)
    residual = (h1 @ w2) - counted(n, c)
    Counted.products += n * c  # the squared error's share
    slope = hidden * hidden
    back = (residual @ w2[:-1].T) * slope
    gradient = [*(x1.T @ back).ravel(), *(h1.T @ residual).ravel()]
    _ = [g * 1.0 for g in gradient]  # times the learning rate
    net = tl.Perceptron(d, h, c, loss="half_squared_error")
    task = tl.Task("t", x=np.zeros((n, d)), y=np.arange(n) % max(c, 2) if c > 1 else np.zeros(n))
    assert step_cost(net, task) == Counted.products


@pytest.mark.parametrize("loss", ["half_squared_error", "cross_entropy"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_hessian_is_counted_right(loss, activation):
    d, h, c, n = 3, 4, 2, 5
    net = tl.Perceptron(d, h, c, activation=activation, loss=loss)
    p = net.n_parameters
    Counted.products = 0
    x1, w2, slope, residual = counted(n, d + 1), counted(h, c), counted(n, h), counted(n, c)
    by_unit = slope[:, :, None] * w2  # (n, h, c)
    first = by_unit[:, None] * x1[:, :, None, None]  # da / d(W1, b1); da / d(W2, b2) is the hidden layer itself
    assert Counted.products == n * h * c * (d + 2) and first.shape == (n, d + 1, h, c)
    Counted.products += n * c * sum(range(1, p + 1))  # J^T J, its lower half
    if loss == "cross_entropy":
        Counted.products += n * (c * p + c * p)  # the mean gradient, and q times the rest
    mixed = (residual[:, None] * slope[:, :, None])[:, None] * x1[:, :, None, None]
    assert mixed.shape == (n, d + 1, h, c)
    if activation == "tanh":
        Counted.products += n * h  # curvature
        bend = (residual @ w2.T) * slope
        pairs = counted(n, (d + 1) * (d + 2) // 2)  # products of inputs, known beforehand
        assert (bend[:, :, None] * pairs[:, None]).shape == (n, h, 10)
    task = tl.Task("t", x=np.zeros((n, d)), y=np.arange(n) % 2)
    extra = step_cost(net, task, "sharpness") - step_cost(net, task)
    assert extra == Counted.products + 2 * p**3 // 3


def test_costs_by_hand():
    """2-2-1, tanh, 50 points: p = 9."""
    task = tl.plane()
    forward, backward = 50 * (6 + 2 + 3), 50 * (2 + 2 + 2 + 3 + 6)
    train = forward + 50 + backward + 9
    hessian = 50 * (2 * 2 + 2 * 6 + 45 + 6 + 12)
    assert hessian == 3950 and train == 1359
    assert step_cost(TANH, task) == train
    assert step_cost(TANH, task, "loss") == train + 50
    assert step_cost(TANH, task, "gradient norm") == step_cost(TANH, task, "weight norm") == train + 9
    assert step_cost(TANH, task, "sharpness") == train + hessian + 486
    exponents = 81 + hessian + 729 + 9 * 9 * 10
    assert step_cost(TANH, task, "exponents") == train + exponents
    assert step_cost(TANH, task, "covariant vectors") == train + exponents + 9 * 10 * 11 // 6 + 90 + 405
    assert step_cost(TANH, task, "exponents", k=1) == train + 9 + 2 * (train - 9) + 18, "one product is cheaper"


def test_cumulative_indicators_are_paid_at_each_step():
    task = tl.plane()
    for name in INDICATORS:
        once = step_cost(TANH, task, name) - step_cost(TANH, task)
        times = 15 if name in ("exponents", "covariant vectors") else 1
        assert indicator_cost(TANH, task, name, 15) == times * once
    assert indicator_cost(TANH, task, "exponents", 0) == 0
    assert indicator_cost(TANH, task, "exponents", 15, k=2) < indicator_cost(TANH, task, "exponents", 15)


TRAIN = np.arange(12) < 6
GOOD = np.array([1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0], dtype=bool)
SCORE = np.array([0.1, 0.2, 0.3, 0.9, 0.8, 0.5, 0.0, 0.35, 0.3, 0.95, 0.31, 0.2])


def test_book_keeping_by_hand():
    """Good ones learnt from: .1 .2 .3 .9. A quarter of them may go: threshold .3; tested above it: .35 and .95 good, .31 bad."""
    rule = stopping_rule(
        SCORE, GOOD, train=TRAIN, step=20, steps=100, step_cost=7.0, indicator_cost=35.0, max_lost=0.25
    )
    assert rule.threshold == 0.3
    assert rule.good_lost.value == 2 / 4 and rule.bad_stopped.value == 1 / 2
    assert rule.saved.value == pytest.approx(3 / 6 * 0.8 - 35 / 700)
    # 6 runs: 3 whole (100 steps), 3 cut (20), each with 5 steps' worth of indicator; 2 good ones left of 4
    assert rule.cost_per_good.value == pytest.approx(((3 * 100 + 3 * 20 + 6 * 5) / 2) / (6 * 100 / 4))
    interval = binomtest(3, 6).proportion_ci(method="exact")
    assert rule.saved.lower == pytest.approx(0.8 * interval.low - 0.05)
    assert rule.saved.upper == pytest.approx(0.8 * interval.high - 0.05)
    interval = binomtest(2, 4).proportion_ci(method="exact")
    assert (rule.good_lost.lower, rule.good_lost.upper) == pytest.approx((interval.low, interval.high))
    interval = binomtest(1, 2).proportion_ci(method="exact")
    assert (rule.bad_stopped.lower, rule.bad_stopped.upper) == pytest.approx((interval.low, interval.high))
    assert rule.cost_per_good.lower < rule.cost_per_good.value < rule.cost_per_good.upper


def test_curve_over_thresholds():
    limits = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    got = stopping_rule(SCORE, GOOD, train=TRAIN, step=20, steps=100, max_lost=limits)
    np.testing.assert_array_equal(got.threshold, [0.9, 0.3, 0.2, 0.1, -np.inf])
    np.testing.assert_array_equal(got.good_lost.value, [0.25, 0.5, 0.75, 0.75, 1.0])
    np.testing.assert_array_equal(got.bad_stopped.value, [0.0, 0.5, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(got.saved.value[[0, -1]], [0.8 / 6, 0.8])
    assert (got.cost_per_good.value[-1], got.cost_per_good.lower[-1]) == (np.inf, np.inf)
    assert got.good_lost.upper[-1] == 1 and got.bad_stopped.lower[0] == 0
    for i, limit in enumerate(limits):
        one = stopping_rule(SCORE, GOOD, train=TRAIN, step=20, steps=100, max_lost=limit)
        assert one.saved.value == got.saved.value[i] and one.saved.value.shape == ()


def test_times_and_indicators_at_once():
    rng = np.random.default_rng(0)
    good, train = rng.random(400) < 0.7, np.arange(400) % 2 == 0
    score = rng.standard_normal((400, 3, 2)) - 1.5 * good[:, None, None]
    step, cost = np.array([[5], [10], [20]]), np.array([0.0, 30.0])
    limits = np.array([0.01, 0.1])
    got = stopping_rule(
        score, good, train=train, step=step, steps=100, step_cost=2.0, indicator_cost=cost, max_lost=limits
    )
    assert got.threshold.shape == got.saved.lower.shape == got.cost_per_good.upper.shape == (3, 2, 2)
    one = stopping_rule(
        score[:, 2, 1], good, train=train, step=20, steps=100, step_cost=2.0, indicator_cost=30.0, max_lost=0.1
    )
    for name in ("saved", "good_lost", "bad_stopped", "cost_per_good"):
        a, b = getattr(got, name), getattr(one, name)
        np.testing.assert_allclose([x[2, 1, 1] for x in (a.value, a.lower, a.upper)], [b.value, b.lower, b.upper])


def test_an_indicator_can_cost_more_than_it_saves():
    rng = np.random.default_rng(1)
    good, train = rng.random(400) < 0.95, np.arange(400) % 2 == 0
    score = 1.0 - good
    task, steps = tl.plane(), 4000
    costs = {n: indicator_cost(TANH, task, n, 1000) for n in ("loss", "exponents")}
    cheap, dear = (
        stopping_rule(score, good, train=train, step=1000, steps=steps, step_cost=step_cost(TANH, task),
                      indicator_cost=costs[n]) for n in ("loss", "exponents")
    )  # fmt: skip
    assert cheap.bad_stopped.value == dear.bad_stopped.value == 1 and cheap.good_lost.value == 0
    assert cheap.saved.value > 0 > dear.saved.value
    assert cheap.cost_per_good.value < 1 < dear.cost_per_good.value


def test_threshold_is_of_the_training_part():
    rng = np.random.default_rng(2)
    good, train = rng.random(200) < 0.6, np.arange(200) < 100
    score = rng.standard_normal(200)
    first = stopping_rule(score, good, train=train, step=1, steps=10, max_lost=0.1)
    other = np.where(train, score, score + 5)
    flipped = np.where(train, good, ~good)
    assert stopping_rule(other, flipped, train=train, step=1, steps=10, max_lost=0.1).threshold == first.threshold
    lost = [
        stopping_rule(rng.standard_normal(200), good, train=train, step=1, steps=10, max_lost=0.1) for _ in range(300)
    ]
    share = np.mean([r.good_lost.value for r in lost])
    bad = np.mean([r.bad_stopped.value for r in lost])
    assert share == pytest.approx(0.1, abs=0.02) and bad == pytest.approx(share, abs=0.02), (
        "noise stops good and bad alike"
    )


def test_intervals_cover():
    """Given the threshold: scores of the good N(0, 1), of the others N(2, 1), stopped above 1."""
    rng = np.random.default_rng(3)
    n, share = 600, 0.8
    inside = np.zeros(4, dtype=int)
    p_good, p_bad = 0.15866, 0.84134
    stopped = share * p_good + (1 - share) * p_bad
    truth = (0.7 * stopped - 0.01, p_good, p_bad, (1.01 - 0.7 * stopped) / (1 - p_good))
    for _ in range(500):
        good = rng.random(n + 1) < share
        score = rng.standard_normal(n + 1) + 2.0 * ~good
        good[0], score[0] = True, 1.0  # the one that is learnt from
        rule = stopping_rule(
            score, good, train=np.arange(n + 1) == 0, step=3, steps=10, indicator_cost=0.1, max_lost=0.0
        )
        estimates = (rule.saved, rule.good_lost, rule.bad_stopped, rule.cost_per_good)
        inside += [bool(e.lower <= t <= e.upper) for e, t in zip(estimates, truth, strict=True)]
    assert (inside >= binom.ppf(0.001, 500, 0.94)).all(), inside
    assert inside[3] <= binom.ppf(0.999, 500, 0.96), "the exact ones may be wider, the delta method not"


def test_scores_of_a_prediction():
    rng = np.random.default_rng(4)
    failed = rng.random(1000) < 0.3
    x = rng.standard_normal((1000, 1)) + 3.0 * failed[:, None]
    p = tl.predict_outcome(x, failed)
    rule = stopping_rule(p.score, ~p.event, train=p.fold < 0, step=15, steps=4000)
    assert rule.good_lost.lower < 0.05 < rule.good_lost.upper and rule.bad_stopped.value > 0.85
    assert 0.2 < rule.saved.lower < rule.saved.upper < 0.4


CALL = {"score": SCORE, "good": GOOD, "train": TRAIN, "step": 20, "steps": 100}


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"score": SCORE * np.nan}, ValueError, "score must not be nan"),
        ({"score": SCORE.tolist()}, TypeError, "score must be a numpy array"),
        ({"score": np.float64(1)}, TypeError, "score must be a numpy array"),
        ({"score": np.array(1.0)}, ValueError, r"score must have shape \(networks, \.\.\.\)"),
        ({"good": GOOD * 1}, TypeError, r"good must be a bool array of shape \(12,\)"),
        ({"train": TRAIN[:4]}, TypeError, r"train must be a bool array of shape \(12,\)"),
        ({"train": TRAIN | True}, ValueError, "there must be good runs to learn from .* got 8, 0 and 0"),
        ({"step": 101}, ValueError, "step must be at most steps = 100, got 101"),
        ({"step": -1}, ValueError, "step must be finite and >= 0"),
        ({"step": np.array([1, 2])}, ValueError, "step must be one number"),
        ({"steps": 0}, ValueError, "steps must be an integer >= 1"),
        ({"step_cost": 0.0}, ValueError, "step_cost must be a positive"),
        ({"indicator_cost": np.inf}, ValueError, "indicator_cost must be finite"),
        ({"max_lost": 1.5}, ValueError, "max_lost must be a share between 0 and 1"),
        ({"max_lost": np.zeros((2, 2))}, ValueError, "max_lost must be a share"),
        ({"level": 1.0}, ValueError, "level must be below 1"),
    ],
)
def test_rules_that_are_refused(change, error, match):
    arguments = CALL | change
    with pytest.raises(error, match=match):
        stopping_rule(arguments.pop("score"), arguments.pop("good"), **arguments)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: step_cost(TANH, tl.iris()), ValueError, "4 features but the network has 2 inputs"),
        (lambda: step_cost(TANH, tl.plane(), "entropy"), ValueError, "indicator must be one of 'none', 'loss'"),
        (lambda: step_cost(TANH, tl.plane(), "exponents", k=10), ValueError, "k must be at most .* 9, got 10"),
        (lambda: step_cost(TANH, tl.plane(), "exponents", k=0), ValueError, "k must be an integer >= 1"),
        (lambda: step_cost(tl.plane(), TANH), TypeError, "must be a Perceptron and a Task, got Task and Perceptron"),
        (lambda: indicator_cost(TANH, tl.plane(), "loss", -1), ValueError, "step must be an integer >= 0"),
    ],
)
def test_costs_that_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_thinned_exponents_of_a_linear_map_are_the_exact_ones():
    """Every Jacobian is the same, so that leaving nine in ten out changes nothing."""
    matrix = np.array([[1.02, 0.3, 0.0], [0.0, 0.95, 0.1], [0.0, 0.0, -0.7]])
    states = np.zeros((2, 60, 3))
    got = thinned_exponents(LinearMap(matrix), states, 10, seed=1)
    assert got.shape == (2, 60, 3)
    np.testing.assert_allclose(got[:, -1].sum(axis=1), np.log(np.abs(np.linalg.det(matrix))), rtol=1e-10)
    np.testing.assert_allclose(got[0, -1], np.log([1.02, 0.95, 0.7]), atol=0.01)


def test_thinned_exponents_without_thinning_are_those_of_the_engine():
    task = tl.plane()
    gd = tl.GradientDescent(TANH, task, lr=1e-3)
    w0 = TANH.init(5, seed=0)
    path = tl.train(gd, w0, 200, record=("weights",)).weights[:, :-1]
    full = tl.finite_time_exponents(gd, w0, 200, at=[200], singular_values=True).exponents[:, 0]
    got = thinned_exponents(gd, path, 1)[:, -1]
    np.testing.assert_allclose(got.sum(axis=1), full.sum(axis=1), rtol=1e-8)  # what no starting vectors change
    ten = thinned_exponents(gd, np.ascontiguousarray(path[:, ::10]), 10)[:, -1]
    assert np.abs(ten.sum(axis=1) - full.sum(axis=1)).max() < 0.1 * np.abs(full.sum(axis=1)).max()


def test_thinning_is_paid_for():
    task = tl.plane()
    one, ten = (indicator_cost(TANH, task, "exponents", 1000, every=every) for every in (1, 10))
    hessian = step_cost(TANH, task, "sharpness") - step_cost(TANH, task) - 2 * 9**3 // 3
    assert ten == 100 * (9 + hessian + 4 * 9**3 + 9**3 + 9 * 9 * 10) < 0.2 * one  # J to the tenth: four products
    with pytest.raises(ValueError, match="only exponents can be thinned"):
        indicator_cost(TANH, task, "sharpness", 10, every=2)
