"""Periods and phases of built signals whose answer is known."""

import math

import numpy as np
import pytest

from trajlib.series.phases import detect_period, phases

BANDS = np.array([0.2, 0.5, 0.9])


@pytest.mark.parametrize("period", range(1, 8))
def test_periods_one_to_seven(period):
    x = np.tile(np.arange(period) ** 2.0, 40)
    assert detect_period(x, tolerance=0.0) == period
    noise = np.random.default_rng(period).uniform(-1, 1, x.shape)
    assert detect_period(x + 0.4e-3 * noise, tolerance=1e-3) == period
    assert detect_period(x + 2e-3 * noise, tolerance=1e-3) == 0
    assert detect_period(x + 1e-4 * np.arange(len(x)), tolerance=1e-3) == period  # a drift of 1e-4 a step
    assert detect_period(x, tolerance=0.0, max_period=period) == period
    if period > 1:
        assert detect_period(x, tolerance=0.0, max_period=period - 1) == 0


def test_smallest_period_wins_and_tolerance_is_inclusive():
    assert detect_period(np.tile([0.0, 1.0], 20), tolerance=1.0) == 1
    assert detect_period(np.tile([0.0, 1.0], 20), tolerance=0.999) == 2
    assert detect_period(np.full(40, 7.0), tolerance=0.0) == 1


def test_period_of_a_batch():
    x = np.stack([np.tile(BANDS, 20), np.full(60, 1.0), np.arange(60.0), np.tile([1.0, 2.0], 30)]).reshape(2, 2, 60)
    assert detect_period(x, tolerance=1e-9).tolist() == [[3, 1], [0, 2]]
    x[0, 0, 30] = np.nan
    x[0, 1, 3:] = np.inf
    assert detect_period(x, tolerance=1e-9).tolist() == [[0, 0], [0, 2]]
    assert detect_period(np.empty((0, 40)), tolerance=1.0).shape == (0,)


def test_one_late_step_breaks_a_period():
    x = np.tile(BANDS, 20)
    x[-1] += 1
    assert detect_period(x, tolerance=1e-3) == 0


def built(cuts, seed=0):
    """Period 3 with noise of 1e-7 in the even stretches, a random irregular motion far from it in the others."""
    rng = np.random.default_rng(seed)
    x = BANDS[np.arange(cuts[-1]) % 3] + 1e-7 * rng.uniform(-1, 1, cuts[-1])
    for start, stop in zip(cuts[1:-1:2], cuts[2::2], strict=False):
        x[start:stop] = rng.uniform(2, 3, stop - start)
    return x


@pytest.mark.parametrize("cuts", [[0, 50, 90, 200], [0, 50, 90], [0, 1000, 1001, 1100, 1500, 1512], [0, 30]])
def test_known_cuts_are_found(cuts):
    found = phases(built(cuts), period=3, tolerance=1e-6)
    assert found.start.tolist() == cuts[:-1] and found.stop.tolist() == cuts[1:]
    assert found.laminar.tolist() == [i % 2 == 0 for i in range(len(cuts) - 1)]
    assert found.lengths.sum() == cuts[-1]
    assert found.complete.tolist() == [0 < i < len(cuts) - 2 for i in range(len(cuts) - 1)]


def test_statistics():
    found = phases(built([0, 50, 90, 200, 220, 300, 301, 400]), period=3, tolerance=1e-6)
    laminar, irregular = found.statistics["laminar"], found.statistics["irregular"]
    assert found.laminar_lengths.tolist() == [50, 110, 80, 99] and found.irregular_lengths.tolist() == [40, 20, 1]
    assert (laminar.count, laminar.complete, laminar.longest) == (4, 2, 110)
    assert (laminar.mean, laminar.median) == (339 / 4, 89.5)
    assert (irregular.count, irregular.complete, irregular.mean, irregular.median) == (3, 3, 61 / 3, 20)
    assert found.laminar_fraction == 339 / 400


def test_all_laminar_and_all_irregular():
    constant = phases(np.full(100, 2.0), period=3, tolerance=0.0)
    assert constant.stop.tolist() == [100] and constant.laminar.all() and constant.laminar_fraction == 1
    assert not constant.complete.any() and constant.statistics["irregular"].count == 0
    assert math.isnan(constant.statistics["irregular"].mean) and constant.statistics["irregular"].longest == 0
    noise = phases(np.random.default_rng(0).standard_normal(100), period=3, tolerance=1e-6)
    assert noise.start.tolist() == [0] and noise.stop.tolist() == [100] and not noise.laminar.any()


def test_a_drift_is_allowed_below_the_tolerance():
    x = np.tile(BANDS, 1000) + 1e-7 * np.arange(3000)  # drifts by 3e-4 in all, 3e-7 a period
    assert phases(x, period=3, tolerance=1e-6).laminar_fraction == 1
    assert phases(x, period=3, tolerance=2e-7).laminar_fraction == 0


def test_a_jump_between_orbits_is_a_cut_and_a_slip_too():
    x = np.concatenate([np.tile(BANDS, 20), np.tile(BANDS + 1, 10)])
    found = phases(x, period=3, tolerance=1e-6)
    assert found.start.tolist() == [0, 60] and found.stop.tolist() == [60, 90] and found.laminar.all()
    slip = np.delete(np.tile(BANDS, 30), 45)  # one step is left out: the phase of the motion jumps
    found = phases(slip, period=3, tolerance=1e-6)
    assert found.start.tolist() == [0, 45] and found.laminar.all()
    for moved, start in (
        ([1, 0, 0], 30),
        ([0, 1, 0], 31),
        ([0, 0, 1], 32),
    ):  # one band of three moves: steps 30, 31 fit both
        x = np.concatenate([np.tile(BANDS, 10), np.tile(BANDS + np.array(moved), 10)])
        found = phases(x, period=3, tolerance=1e-6)
        assert found.start.tolist() == [0, start] and found.laminar.all()


def test_an_outlier_ends_a_phase():
    x = np.tile(BANDS, 40)
    x[60] = 5.0
    found = phases(x, period=3, tolerance=1e-6)
    assert found.start.tolist() == [0, 60, 61] and found.laminar.tolist() == [True, False, True]


def test_min_length():
    x = built([0, 100, 140, 155, 200, 300])
    assert phases(x, period=3, tolerance=1e-6).laminar_lengths.tolist() == [100, 15, 100]
    assert phases(x, period=3, tolerance=1e-6, min_length=15).laminar_lengths.tolist() == [100, 15, 100]
    short = phases(x, period=3, tolerance=1e-6, min_length=16)
    assert short.laminar_lengths.tolist() == [100, 100] and short.irregular_lengths.tolist() == [100]


@pytest.mark.parametrize("seed", range(20))
def test_phases_keep_what_they_promise(seed):
    """Random switching of period, bands and noise: phases tile the series, every laminar one returns throughout."""
    rng = np.random.default_rng(seed)
    parts = [
        rng.standard_normal(int(rng.integers(1, 30)))
        if rng.random() < 0.4
        else np.resize(rng.integers(0, 3, int(rng.choice([1, 2, 4]))), int(rng.integers(2, 60))).astype(float)
        for _ in range(30)
    ]
    x, period, length = np.concatenate(parts), 4, 10
    found = phases(x, period=period, tolerance=1e-9, min_length=length)
    assert found.start[0] == 0 and found.stop[-1] == len(x)
    np.testing.assert_array_equal(found.start[1:], found.stop[:-1])
    assert (found.lengths > 0).all() and (found.laminar_lengths >= length).all()
    assert not (~found.laminar[1:] & ~found.laminar[:-1]).any()
    for a, b, laminar in zip(found.start, found.stop, found.laminar, strict=True):
        changes = np.abs(x[a + period : b] - x[a : b - period])
        windows = np.lib.stride_tricks.sliding_window_view(changes, length - period) if b - a >= length else []
        if laminar:
            assert (changes <= 1e-9).all()
        else:  # nothing long enough was overlooked
            assert not any((w <= 1e-9).all() for w in windows)


X = np.tile(BANDS, 10)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: detect_period(X, tolerance=-1.0), ValueError, "tolerance must be a finite number >= 0"),
        (lambda: detect_period(X, tolerance=1.0), ValueError, r"at least 2 \* max_period = 32 steps"),
        (lambda: detect_period(X, tolerance=1.0, max_period=0), ValueError, "max_period"),
        (lambda: detect_period(X.astype(int), tolerance=1.0), TypeError, "float64"),
        (lambda: detect_period(np.array(1.0), tolerance=1.0), ValueError, "shape"),
        (lambda: phases(X, period=0, tolerance=1.0), ValueError, "period must be an integer >= 1"),
        (lambda: phases(X, period=3, tolerance=math.nan), ValueError, "tolerance"),
        (lambda: phases(X, period=3, tolerance=1.0, min_length=5), ValueError, "min_length must be an integer >= 6"),
        (lambda: phases(X[:11], period=3, tolerance=1.0), ValueError, "at least min_length = 12 steps, got 11"),
        (lambda: phases(X[None], period=3, tolerance=1.0), ValueError, r"shape \(n,\)"),
        (lambda: phases(np.append(X, np.inf), period=3, tolerance=1.0), ValueError, "finite"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
