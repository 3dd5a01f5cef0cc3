"""Onsets and fastest rates: made-up tables whose answers are known."""

import numpy as np
import pytest

from trajlib.results import load
from trajlib.series.onsets import fastest_rate, rate_ratio, threshold_rate

RATES = 10.0 ** (np.arange(-10, 11) / 20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: threshold_rate(np.array([2.0, 1.0]), np.ones((2, 3), bool)), "increasing"),
        (lambda: fastest_rate(RATES, np.ones((3, 4), int), 10), "networks at each rate"),
    ],
)
def test_bad_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call()


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
    ratio = rate_ratio(best, onset)
    assert ratio.lower <= RATES[12] / 1.05 <= ratio.upper and ratio.value == best.value / onset.value
    assert ratio.least == best.first / onset.above and ratio.most == best.last / onset.below
    again = rate_ratio(fastest_rate(RATES, time, 1000), threshold_rate(RATES, holds))
    assert (again.lower, again.upper) == (ratio.lower, ratio.upper)


def test_a_ratio_is_of_the_same_resampled_networks():
    """Both rates of a network move together by up to a factor of 4: their ratio is known better than either."""
    own = np.exp(0.35 * np.random.default_rng(2).standard_normal(60))
    holds = RATES[:, None] >= own
    time = (40 + 200 * np.abs(np.log(RATES[:, None] / own))).astype(int)
    best, onset = fastest_rate(RATES, time, 1000), threshold_rate(RATES, holds)
    ratio = rate_ratio(best, onset)
    assert (
        ratio.lower <= 1 <= ratio.upper
        and ratio.upper / ratio.lower < best.upper / best.lower * onset.upper / onset.lower
    )
    for other in (
        threshold_rate(RATES, holds, seed=1),
        threshold_rate(RATES, holds, draws=10),
        threshold_rate(RATES, holds[:, :9]),
    ):
        with pytest.raises(ValueError, match="same resampled networks, got 1000 draws of 60 networks with seed 0 and"):
            rate_ratio(best, other)


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
    ratio = rate_ratio(fastest_rate(RATES, np.full((21, 50), 7), 100), everywhere)
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
    never = fastest_rate(RATES, np.full((21, 200), -1), 100)
    assert np.isnan(rate_ratio(never, threshold_rate(RATES, holds)).value)


def test_intervals_cover_the_truth():
    inside = 0
    for seed in range(40):
        holds, _ = ensemble(1.05, RATES[12], n=40, spread=0.3, seed=seed)
        onset = threshold_rate(RATES, holds, draws=200, seed=seed)
        inside += onset.lower <= 1.05 <= onset.upper
    assert inside >= 36


def test_results_are_saved(tmp_path):
    holds, time = ensemble(1.0, 1.0)
    best, onset = fastest_rate(RATES, time, 1000), threshold_rate(RATES, holds)
    for result in (best, onset, rate_ratio(best, onset)):
        assert load(result.save(tmp_path / "one")).value == result.value
    assert rate_ratio(load(best.save(tmp_path / "two")), onset).lower == rate_ratio(best, onset).lower
