"""Stretches of chaos, and their survival, on made-up runs."""

import numpy as np

from trajlib.companion.bursts import Stretches, stretches, survival


def test_what_is_under_way_at_the_start_is_left_out():
    bursts, quiet = stretches(np.array([[1, 1, 0, 0, 1, 0]]) > 0)
    assert bursts.lengths.tolist() == [1] and bursts.complete.tolist() == [True]
    assert quiet.lengths.tolist() == [2, 1] and quiet.complete.tolist() == [True, False]


def test_the_beginning_of_the_run_can_be_left_out():
    bursts, _ = stretches(np.array([[0, 1, 0, 0, 1, 1]]) > 0, first=3)
    assert bursts.lengths.tolist() == [2] and bursts.complete.tolist() == [False]


def test_runs_without_any_change_have_no_stretches():
    bursts, quiet = stretches(np.zeros((3, 5), dtype=bool))
    assert len(bursts.lengths) == len(quiet.lengths) == 0
    assert [a.tolist() for a in survival(bursts)] == [[0], [1.0]]


def test_survival_of_an_exponential_law_is_not_biased_by_the_end_of_the_runs():
    draws = np.random.default_rng(0)
    lengths, seen = draws.geometric(0.1, 20_000), draws.integers(1, 30, 20_000)
    at, share = survival(Stretches(np.minimum(lengths, seen), lengths <= seen))
    assert np.abs(share - 0.9**at).max() < 0.02
