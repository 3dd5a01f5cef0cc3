"""Intervals of the share of pairs that end differently: made-up pairs whose answer is known."""

import numpy as np

from trajlib.companion.outcomes import open_share


def test_intervals_hold_what_they_should_and_not_what_they_should_not():
    rng = np.random.default_rng(0)
    covered = 0
    for k in range(200):
        true = rng.beta(1, 4, size=12)  # networks are unlike each other
        found = open_share(rng.binomial(9, true, size=(4, 12)), 9, draws=400, seed=k)
        covered += found.lower <= 0.2 <= found.upper
        assert found.lower <= found.value <= found.upper
    assert 170 <= covered <= 198  # twelve networks are few: a bootstrap is somewhat too sure


def test_networks_that_all_differ_or_not_at_all_count_as_one_pair_each():
    apart = np.zeros((4, 12), dtype=int)
    apart[:, :6] = 9
    even = np.full((4, 12), 4)
    clustered, spread = open_share(apart, 9), open_share(even, 8)
    assert clustered.value == spread.value == 0.5
    assert clustered.upper - clustered.lower > 4 * (spread.upper - spread.lower)


def test_none_and_all():
    none, every = open_share(np.zeros((3, 4, 12), dtype=int), 9), open_share(np.full((4, 12), 9), 9)
    assert none.value.shape == (3,)
    assert (none.lower == 0).all() and np.allclose(none.upper, 1.96**2 / (432 + 1.96**2))
    assert every.upper == 1 and 0.99 < every.lower < 1
