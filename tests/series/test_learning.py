"""Times to learn, onsets and fastest rates: made-up tables and random times whose answers are known."""

import numpy as np
import pytest

from trajlib.results import load
from trajlib.series import learning
from trajlib.series.learning import best_of, fastest_rate, learning_times, rate_ratio, threshold_rate, time_to_threshold

RATES = 10.0 ** (np.arange(-10, 11) / 20)


def test_time_is_the_first_step_of_a_stay():
    accuracy = np.full((4, 60), 0.5)
    accuracy[0, 10:] = 0.9  # stays
    accuracy[1, 10:29] = 0.9  # one step short of 20
    accuracy[2, 40:] = 0.9  # exactly the last 20
    accuracy[3, 0:] = 0.9
    accuracy[3, 5] = np.nan  # nan breaks a stay
    assert time_to_threshold(accuracy, 0.9).tolist() == [10, -1, 40, 6]
    assert time_to_threshold(accuracy[:, None], 0.9).shape == (4, 1)
    assert time_to_threshold(accuracy, 0.5, hold=1).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: time_to_threshold(np.ones(10), 0.9), "at least hold = 20"),
        (lambda: learning_times(np.ones(3), 10), "must hold integers"),
        (lambda: learning_times(np.array([-2]), 10), "0 or more, or -1"),
        (lambda: threshold_rate(np.array([2.0, 1.0]), np.ones((2, 3), bool)), "increasing"),
        (lambda: fastest_rate(RATES, np.ones((3, 4), int), 10), "networks at each rate"),
        (lambda: best_of(np.ones((3, 4), int), 10, 5), "n must be"),
    ],
)
def test_bad_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_geometric_times_with_known_censoring():
    rng = np.random.default_rng(0)
    time = rng.geometric(0.02, (40, 2000))  # median ln 2 / 0.02 = 34.3, so 35
    horizon = rng.integers(1, 150, time.shape)  # independent of it
    seen = np.where(time <= horizon, time, -1)
    found = learning_times(seen, horizon)
    assert abs(found.median.mean() - 35) < 0.5 and (seen < 0).mean() > 0.25
    covered = (found.lower <= 35) & (35 <= found.upper)
    assert covered.mean() >= 0.85
    naive = np.median(seen[seen >= 0])  # what is left of those that were seen is too early
    assert naive < 30


def test_median_of_small_and_of_censored_ensembles():
    assert learning_times(np.array([5, 5, 5, 9]), 100).median == 5  # ties
    assert learning_times(np.array([5, 9, -1, -1]), 100).median == 9  # the curve is one half from there on
    late = learning_times(np.array([5, -1, -1, -1]), 100)
    assert np.isinf(late.median) and np.isinf(late.upper) and late.share == 0.25
    none = learning_times(np.full((2, 7), -1), 100)
    assert np.isinf(none.median).all() and none.lower.tolist() == [100, 100] and not none.share.any()


def test_the_order_statistic_of_the_bootstrap_is_kaplan_and_meier_s():
    time = np.random.default_rng(1).integers(-1, 12, (60, 9))
    want = learning_times(time, 12).median
    np.testing.assert_array_equal(learning._medians(time, np.full(time.shape, 12)), want)
    early = np.full(time.shape, 4)  # censored before others have learned: the curve is needed
    np.testing.assert_array_equal(learning._medians(time, early), learning_times(time, early).median)


def ensemble(onset, fastest, n=200, spread=0.03, seed=0):
    """Networks whose exponent is positive from ``onset`` on, each with a threshold of its own; times with a least at ``fastest``."""
    rng = np.random.default_rng(seed)
    own = onset * np.exp(spread * rng.standard_normal(n))
    holds = RATES[:, None] >= own
    curve = 40 + 200 * np.abs(np.log(RATES / fastest))
    return holds, (curve[:, None] * np.exp(0.2 * rng.standard_normal(n))).astype(int)


def test_known_onset_and_minimum():
    holds, time = ensemble(onset=1.05, fastest=RATES[12])
    onset, best = threshold_rate(RATES, holds), fastest_rate(RATES, time, 1000)
    assert onset.below <= 1.05 <= onset.above and onset.lower <= 1.05 <= onset.upper and onset.missing == 0
    assert onset.below == RATES[10] and onset.above == RATES[11] and onset.below < onset.value < onset.above
    assert best.first == best.last == RATES[12] and best.lower <= RATES[12] <= best.upper
    ratio = rate_ratio(RATES, time, 1000, holds)
    assert ratio.lower <= RATES[12] / 1.05 <= ratio.upper and ratio.value == best.value / onset.value
    assert ratio.least == best.first / onset.above and ratio.most == best.last / onset.below
    again = rate_ratio(RATES, time, 1000, holds)
    assert (again.lower, again.upper) == (ratio.lower, ratio.upper)


def test_a_lone_rate_is_no_onset_and_the_last_ones_are():
    holds = np.zeros((21, 50), dtype=bool)
    holds[3], holds[15:] = True, True
    assert threshold_rate(RATES, holds).above == RATES[15] and threshold_rate(RATES, holds, lasting=1).above == RATES[3]
    holds[:] = False
    holds[-1] = True
    assert threshold_rate(RATES, holds).above == RATES[-1]
    nowhere = threshold_rate(RATES, np.zeros_like(holds))
    assert np.isnan(nowhere.value) and np.isnan(nowhere.lower) and nowhere.missing == 1
    everywhere = threshold_rate(RATES, np.ones_like(holds))
    assert (everywhere.below, everywhere.above, everywhere.value) == (0.0, RATES[0], RATES[0])
    ratio = rate_ratio(RATES, np.full((21, 50), 7), 100, np.ones_like(holds))
    assert np.isinf(ratio.most) and np.isinf(ratio.upper)


def test_exactly_half_is_not_more_than_half():
    holds = np.zeros((21, 4), dtype=bool)
    holds[5:, :2], holds[9:, :3] = True, True
    assert threshold_rate(RATES, holds, draws=0).above == RATES[9]


def test_a_plateau_is_an_interval():
    time = np.full((21, 30), 50)
    time[8:13] = 20
    best = fastest_rate(RATES, time, 100)
    assert (best.first, best.last) == (RATES[8], RATES[12]) and best.value == pytest.approx(RATES[10])
    assert (best.lower, best.upper) == (RATES[8], RATES[12])


def test_where_nobody_learns_there_is_no_fastest_rate():
    best = fastest_rate(RATES, np.full((21, 30), -1), 100)
    assert np.isnan(best.value) and best.missing == 1 and np.isinf(best.median).all()
    holds, _ = ensemble(1.0, 1.0)
    assert np.isnan(rate_ratio(RATES, np.full((21, 200), -1), 100, holds).value)


def test_intervals_cover_the_truth():
    inside = 0
    for seed in range(40):
        holds, _ = ensemble(1.05, RATES[12], n=40, spread=0.3, seed=seed)
        onset = threshold_rate(RATES, holds, draws=200, seed=seed)
        inside += onset.lower <= 1.05 <= onset.upper
    assert inside >= 36


def test_copies_that_stay_together_are_one_network_and_copies_that_part_are_many():
    rng = np.random.default_rng(0)
    own = rng.geometric(0.05, 400)
    together = best_of(np.repeat(own[:, None], 6, axis=1), 1000, 3, draws=200)
    assert together.copies == pytest.approx(np.sort(own)[199], abs=1) and together.upper < 1
    apart = best_of(rng.geometric(0.05, (400, 6)), 1000, 3, draws=200)
    assert apart.lower <= 1 <= apart.upper and apart.copies == apart.draws
    one = best_of(np.repeat(own[:, None], 6, axis=1), 1000, 1, draws=50)
    assert one.copies == one.draws == np.sort(own)[199]
    assert np.isinf(best_of(np.full((5, 6), -1), 100, 2, draws=10).copies)


def test_best_of_can_find_more_than_luck():
    time = np.full((100, 8), 60)
    time[:, 0] = 10  # one copy of each network is quick: of four copies half have it, of four strangers fewer
    found = best_of(time, 100, 4, draws=50)
    assert found.copies == 10 and found.draws == 60 and found.lower > 1


def test_results_are_saved(tmp_path):
    holds, time = ensemble(1.0, 1.0)
    for result in (threshold_rate(RATES, holds), fastest_rate(RATES, time, 1000), rate_ratio(RATES, time, 1000, holds)):
        assert load(result.save(tmp_path / "one")).value == result.value
    assert load(learning_times(time, 1000).save(tmp_path / "two")).median.shape == (21,)
    assert load(best_of(time[:, :5], 1000, 2, draws=10).save(tmp_path / "three")).copies > 0
