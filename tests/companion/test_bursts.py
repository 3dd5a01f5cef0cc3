"""Stretches of chaos, and their survival, on made-up runs."""

import numpy as np

from trajlib.companion.bursts import ROUTES, Stretches, higher, resampled, routes, stretches, survival


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


def test_each_route_is_told():
    period = np.array([[2, 2, 0], [4, 4, 4], [1, 1, 0], [2, 0, 2], [0, 1, 1]])
    lowest = np.array([[-0.9, -1.1, 9], [0, 0, 0], [0, 0, 0], [-0.9, -2, -2], [-2, -2, -2]])
    modulus = np.array([[0, 0.9, 3], [0.9, 1.0, 1.2], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    highest = np.array([[1.0, 1.0, 4], [1.0, 1.0, 1.01], [1.0, 1.3, 0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    found = [ROUTES[k] for k in routes(period, lowest, highest, modulus)]
    assert found == list(ROUTES)


def test_ties_count_by_half_and_no_difference_is_a_half():
    assert higher(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 2.0, 4.0, 4.0])) == 0.5
    draws = np.random.default_rng(0)
    a, b = draws.normal(size=(2, 4000))
    assert abs(higher(a, b) - 0.5) < 0.03
    assert higher(a + 1, b) > 0.7  # and a shift by one standard deviation is seen


def test_the_bootstrap_draws_whole_networks():
    of = np.repeat(np.arange(10), 100)
    onset = np.repeat(np.random.default_rng(1).normal(size=10), 100)  # the bursts of one network are all alike
    draws = np.random.default_rng(2)
    spread = np.std([resampled(onset, np.zeros(1000), of, draws) for _ in range(300)])
    alone = np.std([resampled(onset, np.zeros(1000), np.arange(1000), draws) for _ in range(300)])
    assert 0.1 < spread < 0.2 and alone < 0.03
