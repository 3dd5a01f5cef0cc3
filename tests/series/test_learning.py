"""Times to learn with censoring: made-up tables and random times whose answers are known."""

import numpy as np
import pytest

from trajlib.results import load
from trajlib.series import learning
from trajlib.series.learning import best_of, learning_times, time_to_threshold


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
    np.testing.assert_array_equal(learning.medians(time, np.full(time.shape, 12)), want)
    early = np.full(time.shape, 4)  # censored before others have learned: the curve is needed
    np.testing.assert_array_equal(learning.medians(time, early), learning_times(time, early).median)


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
    time = np.random.default_rng(0).integers(1, 50, (21, 30))
    assert load(learning_times(time, 1000).save(tmp_path / "one")).median.shape == (21,)
    assert load(best_of(time[:, :5], 1000, 2, draws=10).save(tmp_path / "two")).copies > 0
