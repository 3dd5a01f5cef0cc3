"""The checks of the chapter on the edge of stability, on made-up data: each can hold, and each of its conditions can fail."""

import numpy as np
import pytest

from trajlib.companion.checks import edge_of_stability as checks
from trajlib.series.expansion import ExpansionFit, expansion_rate

T = np.arange(5001)
RNG = np.random.default_rng(0)


def held(check):
    return [bool(condition) for condition in check.conditions.values()]


def untestable(check):
    return [not getattr(condition, "testable", True) for condition in check.conditions.values()]


def fits(rate, kept=None):
    """An expansion fit with given rates, and nothing else that the checks look at."""
    rate = np.asarray(rate, dtype=float)
    kept = np.ones(rate.shape, dtype=bool) if kept is None else kept
    nothing = np.zeros(rate.shape)
    return ExpansionFit(
        rate,
        nothing,
        nothing,
        nothing,
        nothing.astype(int),
        nothing.astype(int) + 50,
        kept,
        np.where(kept, "", "low R2"),
    )


def losses(bump, end):
    one = end + np.exp(-T / 100.0)
    one[50] *= 1 + bump
    return np.tile(one, (100, 1))


@pytest.mark.parametrize(
    ("bump", "end", "want"), [(0.5, 0.05, [True, True]), (0.02, 0.05, [False, True]), (0.5, 0.3, [True, False])]
)
def test_loss_nonmonotonic(bump, end, want):
    assert held(checks.loss_nonmonotonic(losses(bump, end))) == want


def test_one_high_step_at_the_end_is_not_where_a_loss_ends():
    loss = losses(0.5, 0.05)
    loss[:, -1] = 0.5
    assert held(checks.loss_nonmonotonic(loss)) == [True, True]


@pytest.mark.parametrize(
    ("kept", "later", "want"),
    [(0.9, 1.1, [True, True]), (0.4, 1.1, [False, True]), (0.9, 3.0, [True, False]), (0.9, 0.3, [True, False])],
)
def test_exponential_phase(kept, later, want):
    distance = np.tile(np.where(T < 2000, 1.0, later), (100, 1))
    assert held(checks.exponential_phase(np.arange(100) < 100 * kept, distance)) == want


def test_without_a_kept_fit_or_a_run_long_enough_saturation_is_not_testable():
    assert untestable(checks.exponential_phase(np.zeros(10, dtype=bool), np.ones((10, 5001)))) == [False, True]
    assert untestable(checks.exponential_phase(np.ones(10, dtype=bool), np.ones((10, 501)))) == [False, True]


CYCLE, NOISE = 1 + 0.01 * np.cos(np.pi * T), 1 + 0.01 * RNG.standard_normal(T.size)


@pytest.mark.parametrize(
    ("one", "want"),
    [
        (CYCLE, [True, True]),
        (CYCLE + 0.01 * T, [True, False]),
        (NOISE, [False, False]),
        (np.ones(T.size), [False, False]),
    ],
)
def test_asymptotic_oscillation(one, want):
    assert held(checks.asymptotic_oscillation(np.tile(one, (50, 1)))) == want


def test_a_drift_alone_does_not_repeat():
    smooth = 1 + 0.01 * T + 1e-4 * (T - 4900.0) ** 2
    assert not checks.repeats(smooth[None, -200:]).any()
    assert not checks.repeats(checks.detrended(smooth[None, -200:])).any()


def test_exponent_distribution_holds_for_one_normal():
    check = checks.exponent_distribution(RNG.normal(0.3, 0.05, 500), np.arange(500) < 450)
    assert held(check) == [True, True] and "normals 4 standard deviations apart it has two in 100 %" in check.measured


def test_exponent_distribution_sees_two_maxima_and_other_shares():
    two = np.concatenate([RNG.normal(0.2, 0.02, 250), RNG.normal(0.4, 0.02, 250)])
    order = RNG.permutation(500)
    assert held(checks.exponent_distribution(two[order], np.arange(500) < 450)) == [False, True]
    assert held(checks.exponent_distribution(RNG.normal(0.3, 0.05, 500), np.arange(500) < 300)) == [True, False]
    assert held(checks.exponent_distribution(RNG.normal(0.3, 0.05, 500), np.ones(500, dtype=bool))) == [True, False]


def test_with_few_fits_the_number_of_maxima_is_not_testable():
    assert untestable(checks.exponent_distribution(np.full(100, np.nan), np.zeros(100, dtype=bool))) == [True, False]


RADII = 10.0 ** np.arange(-14, 0)


def limits(first, zero, early):
    means = np.linspace(first, 0.2, 14)
    spread = RNG.normal(0, 0.02, 400)
    spread -= spread.mean()
    return checks.exponent_limit(RADII, [fits(m + spread) for m in means], fits(zero + spread), np.full(400, early))


@pytest.mark.parametrize(
    ("first", "zero", "early", "want"),
    [
        (0.33, 0.33, 0.2, [True, True, True]),
        (0.33, 0.33, 0.01, [False, True, True]),
        (0.25, 0.33, 0.2, [True, False, True]),
        (0.25, 0.25, 0.2, [True, True, False]),
    ],
)
def test_exponent_limit(first, zero, early, want):
    assert held(limits(first, zero, early)) == want


def test_where_no_fit_passes_there_is_no_limit_to_test():
    none = fits(np.full(50, np.nan), np.zeros(50, dtype=bool))
    assert untestable(checks.exponent_limit(RADII, [none] * 14, none, np.full(50, 0.2))) == [False, True, True]


def falling(times):
    """Losses that fall from 1 to 0.5 in a number of steps, and on."""
    return np.tile(np.exp(-np.log(2) * T / times), (100, 1))


@pytest.mark.parametrize(("times", "want"), [(40, [True, True]), (200, [True, False]), (4000, [False, False])])
def test_faster_convergence(times, want):
    assert held(checks.faster_convergence(falling(times), falling(5000), 1.0, 0.01)) == want


def test_a_loss_that_is_never_reached_is_not_faster():
    assert held(checks.faster_convergence(np.ones((20, 5001)), falling(5000)[:20], 1.0, 0.01)) == [False, False]


@pytest.mark.parametrize(("sharpness", "want"), [(2.5, [True, True]), (1.8, [False, True]), (3.5, [True, False])])
def test_sharpness_above_edge(sharpness, want):
    pairs = np.tile([sharpness - 1, sharpness + 1], (50, 1))
    assert held(checks.sharpness_above_edge(pairs, 1.0)) == want


def test_sharpness_is_measured_against_the_learning_rate():
    assert held(checks.sharpness_above_edge(np.full((50, 2), 2.5), 0.5)) == [False, True]
    assert untestable(checks.sharpness_above_edge(np.full((50, 2), np.nan), 1.0)) == [True, True]


def test_rate_in_window_and_means_of_what_passes():
    distance = 1e-8 * np.exp(0.2 * np.arange(201))[None, None].repeat(3, axis=0)
    fit = expansion_rate(distance)
    np.testing.assert_allclose(checks.rate_in_window(fit, np.exp(0.3 * np.arange(201))[None].repeat(3, axis=0)), 0.3)
    mean, spread, error, number = checks.of_kept(fit)
    assert (round(mean, 6), number) == (0.2, 3) and spread < 1e-6 and error < 1e-6
    assert np.isnan(checks.of_kept(fits([0.1], np.array([False])))[0]) and np.isnan(checks.mean_of(np.array([np.nan])))


def test_difference_and_its_interval():
    values = RNG.standard_normal((50, 40))
    which = np.arange(40) < 10 * np.ones((50, 1))
    none = checks.interval(checks.difference(values, which))
    some = checks.interval(checks.difference(values + 0.5 * which, which))
    assert none[1] < 0 < none[2] and 0 < some[1] < 0.5 < some[2]
    assert np.isnan(checks.difference(values, which & (np.arange(40) < 2))).all()
    assert np.isnan(checks.interval(np.full(5, np.nan))).all()


def test_onset_is_the_first_rate_beyond_half():
    share = np.array([[0.0, 0.0], [0.6, 0.5], [0.4, 0.5]])
    np.testing.assert_array_equal(checks.onset(np.array([1.0, 2.0, 4.0]), share), [2.0, np.nan])
