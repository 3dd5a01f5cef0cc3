"""Window fits: exact lines, the paper's windows done by hand, filters, gaps, and bad input."""

import numpy as np
import pytest
from scipy.stats import linregress

import trajlib as tl
from trajlib.stability import expansion

T = np.arange(201)


def noisy(n, seed=0, copies=3):
    """Exponential growth at random rates from 1e-8 to a noisy plateau."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0.0, 0.6, (n, 1, 1))
    start = rng.uniform(0, 40, (n, 1, 1))
    growth = np.exp(rate * np.maximum(T - start, 0) - 18)
    return np.minimum(growth, 1.0) * np.exp(0.3 * rng.standard_normal((n, copies, len(T))))


def by_hand(mean, rule):
    """The fits of one series, window by window, with scipy."""
    y = np.log(mean)
    if rule == "best_window":
        windows = [(s, s + w) for s in range(0, 101, 5) for w in range(30, 101, 5)]
    elif rule == "from_start":
        windows = [(0, w) for w in range(30, 101, 5)]
    else:
        windows = [(s, s + w) for s in range(0, 201, 5) for w in range(30, 202, 5) if s + w <= 201]
    fits = [(s, e, linregress(T[s:e], y[s:e])) for s, e in windows]
    if rule == "longest_window":
        good = [f for f in fits if f[2].rvalue ** 2 > 0.9]
        longest = max(e - s for s, e, _ in good) if good else 0
        fits = [f for f in good if f[1] - f[0] == longest] or fits
    return max(fits, key=lambda f: f[2].rvalue ** 2)


@pytest.mark.parametrize("rule", expansion.RULES)
@pytest.mark.parametrize("rate", [0.06, 0.2, 0.33])
def test_exact_exponential(rule, rate):
    distance = np.minimum(1e-9 * np.exp(rate * T), 1e-2 if rate > 0.1 else 1.0)[None, None]
    fit = tl.expansion_rate(distance, rule=rule)
    if rule == "longest_window":  # takes in part of the plateau, as long as R2 > 0.9: the rule's own bias
        assert 0 < fit.rate[0] <= rate * (1 + 1e-9)
        return
    assert fit.rate == pytest.approx(rate, rel=1e-9)
    assert fit.r2 == pytest.approx(1) and fit.kept.all() and fit.reason.tolist() == [""]
    assert fit.intercept == pytest.approx(np.log(1e-9), rel=1e-6)
    assert fit.standard_error < 1e-6


@pytest.mark.parametrize("rule", ["best_window", "from_start", "longest_window"])
def test_agrees_with_window_by_window_regression(rule):
    distance = noisy(20)
    fit = tl.expansion_rate(distance, rule=rule)
    for i in range(20):
        start, stop, want = by_hand(distance[i].mean(axis=0), rule)
        assert (fit.start[i], fit.stop[i]) == (start, stop)
        assert fit.rate[i] == pytest.approx(want.slope, rel=1e-8, abs=1e-12)
        assert fit.r2[i] == pytest.approx(want.rvalue**2, abs=1e-9)
        assert fit.standard_error[i] == pytest.approx(want.stderr, rel=1e-6)
        assert fit.intercept[i] == pytest.approx(want.intercept, rel=1e-8)


def test_a_constant_is_not_a_perfect_fit():
    fit = tl.expansion_rate(np.full((1, 1, 201), 0.017))
    assert fit.r2[0] == 0.0 and fit.reason[0] == "low R2"


def test_threshold_window():
    distance = np.minimum(1e-8 * np.exp(0.2 * T), 1.0)[None, None]
    fit = tl.expansion_rate(distance, rule="threshold")
    assert fit.start[0] == np.argmax(distance[0, 0] > 1e-7)
    assert fit.stop[0] == np.argmax(distance[0, 0] > 0.1)


def test_filter_says_why():
    flat = np.exp(0.3 * np.random.default_rng(0).standard_normal((1, 201)))
    slow = np.exp(0.01 * T)[None]
    fast = np.exp(0.2 * T)[None]
    dead = np.zeros((1, 201))
    fit = tl.expansion_rate(np.stack([flat, slow, fast, dead]))
    assert fit.reason.tolist() == ["low R2", "low rate", "", "no window"]
    assert fit.kept.tolist() == [False, False, True, False]
    assert np.isnan(fit.rate[3]) and fit.start[3] == -1


def test_windows_with_a_gap_are_passed_over():
    distance = np.exp(0.2 * T)[None, None].copy()
    distance[..., 50] = 0.0
    distance[..., 150:] = np.inf
    fit = tl.expansion_rate(distance)
    assert fit.kept.all() and fit.rate[0] == pytest.approx(0.2)
    assert fit.stop[0] <= 50 or (fit.start[0] > 50 and fit.stop[0] <= 150)


def test_leading_shapes_and_a_single_series():
    distance = noisy(6).reshape(2, 3, 3, 201)
    fit = tl.expansion_rate(distance)
    assert fit.rate.shape == fit.reason.shape == (2, 3)
    np.testing.assert_array_equal(fit.rate[1, 2], tl.expansion_rate(distance[1, 2]).rate)


def test_given_windows_are_fitted_as_they_are():
    d = noisy(6)
    found = tl.expansion_rate(d)
    again = tl.expansion_rate(d, window=(found.start, found.stop))
    for name in ("rate", "standard_error", "intercept", "r2", "start", "stop", "reason"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    for i, (fit, y) in enumerate(zip(d, np.log(d.mean(axis=1)), strict=True)):
        want = linregress(T[12:31], y[12:31])
        got = tl.expansion_rate(fit, window=(12, 31))
        np.testing.assert_allclose([got.rate, got.r2], [want.slope, want.rvalue**2], rtol=1e-9, err_msg=str(i))


def test_a_negative_window_is_none():
    fit = tl.expansion_rate(noisy(3), window=(np.array([0, -1, 5]), np.array([40, -1, 45])))
    assert fit.reason[1] == "no window" and np.isnan(fit.rate[1]) and np.isfinite(fit.rate[[0, 2]]).all()


def test_narrow_widths():
    d = np.minimum(1e-8 * np.exp(0.8 * T), 1.0)[None, None]  # 23 steps of growth
    assert tl.expansion_rate(d).rate[0] < 0.79
    fit = tl.expansion_rate(d, widths=(10, 15))
    assert fit.rate[0] == pytest.approx(0.8, rel=1e-9) and fit.stop[0] - fit.start[0] in (10, 15)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"widths": ()}, ValueError, "at least one width"),
        ({"widths": (2,)}, ValueError, "widths must be an integer >= 3"),
        ({"window": 3}, ValueError, r"window must be \(start, stop\)"),
        ({"window": (np.zeros(4, int), 40)}, ValueError, r"arrays of shape \(3,\)"),
        ({"window": (0.0, 40)}, TypeError, "window must hold integers"),
        ({"window": (10, 202)}, ValueError, "got 10 to 202"),
        ({"window": (10, 5)}, ValueError, "got 10 to 5"),
    ],
)
def test_bad_windows(options, error, message):
    with pytest.raises(error, match=message):
        tl.expansion_rate(noisy(3), **options)


def test_mean_over_copies_comes_before_the_logarithm():
    one, two = np.exp(0.1 * T), np.exp(0.3 * T - 5)
    fit = tl.expansion_rate(np.stack([one, two])[None])
    same = tl.expansion_rate(((one + two) / 2)[None, None])
    assert fit.rate == same.rate


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tl.expansion_rate(noisy(1), rule="best"), ValueError, "rule must be one of 'best_window'"),
        (lambda: tl.expansion_rate(noisy(1).astype(np.float32)), TypeError, "float64"),
        (lambda: tl.expansion_rate(-noisy(1)), ValueError, "must not be negative"),
        (lambda: tl.expansion_rate(noisy(1)[..., :20]), ValueError, "at least 30 steps"),
        (lambda: tl.expansion_rate(np.ones(201)), ValueError, "copies"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
