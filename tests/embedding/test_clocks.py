"""Characteristic times: signals whose times are known, a plain loop over the same definition, rejection rates, bad input."""

import time

import numpy as np
import pytest
from scipy.signal import detrend
from scipy.stats import binom, pearsonr

from trajlib.embedding.clocks import decorrelation_time, embedding_time, saturation_time

T = np.arange(201)


def autoregressive(shape, seed, memory=0.7, burn=100):
    """Stationary AR(1) series along the last axis."""
    noise = np.random.default_rng(seed).standard_normal((*shape[:-1], shape[-1] + burn))
    for t in range(1, noise.shape[-1]):
        noise[..., t] += memory * noise[..., t - 1]
    return noise[..., burn:]


def embedding_time_by_hand(dz):
    slope = np.gradient(np.log(dz + 1e-12))
    largest = slope[10:].max()
    for t in range(10, len(dz) - 7):
        if all(slope[t + i] < 0.15 * largest for i in range(8)):
            return t
    return np.nan


def test_time_of_saturation():
    rate = np.array([0.09, 0.2, 0.3, 0.5])[:, None]  # the first gets there at step 204
    dz = np.minimum(1e-8 * np.exp(rate * T), 1.0)
    found = embedding_time(dz)
    reaches = np.log(1e8) / rate[:, 0]
    assert np.isnan(found.time[0]) and found.reason.tolist() == ["never saturates", "", "", ""]
    assert ((reaches - 1 < found.time) & (found.time < reaches + 2))[1:].all()
    assert found.largest_slope == pytest.approx(rate[:, 0], rel=1e-3)  # the floor of 1e-12 bends it
    assert found.mean == pytest.approx(found.time[1:].mean())


def test_agrees_with_a_loop_on_noise():
    rng = np.random.default_rng(0)
    dz = np.exp(np.cumsum(rng.normal(0.02, 0.3, (4, 5, 201)), axis=-1))
    dz[0] = np.minimum(1e-8 * np.exp(0.25 * T), 1) * np.exp(0.05 * rng.standard_normal((5, 201)))
    got = embedding_time(dz)
    want = [[embedding_time_by_hand(series) for series in group] for group in dz]
    np.testing.assert_array_equal(got.time, want)
    assert got.time.shape == (4, 5) and got.mean.shape == (4,)
    assert np.isfinite(got.time).all(axis=-1).any()
    for mean, times in zip(got.mean, np.array(want), strict=True):
        times = times[np.isfinite(times)]
        assert mean == pytest.approx(times.mean()) if len(times) else np.isnan(mean)


def test_series_without_a_time():
    broken = np.minimum(1e-8 * np.exp(0.2 * T), 1.0)
    broken[150] = np.nan
    dz = np.stack([np.full(201, 0.5), np.exp(-0.1 * T), np.exp(0.1 * T), broken, np.zeros(201)])
    found = embedding_time(dz)
    assert np.isnan(found.time).all() and np.isnan(found.mean)
    assert found.reason.tolist() == ["no growth", "no growth", "never saturates", "not finite", "no growth"]
    one = embedding_time(np.minimum(1e-8 * np.exp(0.2 * T), 1.0))
    assert one.time == one.mean == 93 and one.reason == ""


def test_constants_of_the_definition():
    dz = np.minimum(1e-8 * np.exp(0.2 * T), 1e-7)  # over after 12 steps
    assert embedding_time(dz).time in (12, 13)
    late = embedding_time(dz, transient=40)
    assert late.reason == "no growth"
    stairs = np.exp(0.2 * np.cumsum((T // 10) % 2 == 0))  # ten steps of growth, ten of rest
    assert embedding_time(stairs, run=8).time == 10 and embedding_time(stairs, transient=15).time == 30
    assert np.isnan(embedding_time(stairs, run=12).time)


@pytest.mark.parametrize(
    ("dz", "options", "error", "match"),
    [
        (np.ones(17), {}, ValueError, r"at least 18 steps\), got \(17,\)"),
        (-np.ones(50), {}, ValueError, "must not be negative"),
        (np.ones(50, np.float32), {}, TypeError, "dz must be float64"),
        (np.ones(50), {"run": 0}, ValueError, "run must be an integer >= 1"),
        (np.ones(50), {"fraction": 0}, ValueError, "fraction must be a positive"),
        (np.ones(50), {"floor": np.nan}, ValueError, "floor must be a finite"),
    ],
)
def test_bad_separations(dz, options, error, match):
    with pytest.raises(error, match=match):
        embedding_time(dz, **options)


def decorrelation_by_hand(reference, copy, moves, null, window=20):
    """r, band and p of every window, window by window and shift by shift."""
    rows = []
    for s in range(len(copy) - window + 1):
        a, b = (detrend(x[s : s + window]) for x in (reference, copy))
        r = pearsonr(a, b).statistic
        if null == "series":
            shifted = np.array([pearsonr(a, detrend(np.roll(copy, move)[s : s + window])).statistic for move in moves])
        else:
            shifted = np.array([pearsonr(a, np.roll(b, move)).statistic for move in moves])
        p = (1 + (np.abs(shifted) >= abs(r) - 1e-12).sum()) / (1 + len(moves))
        rows.append((r, *np.quantile(shifted, (0.025, 0.975)), p))
    return np.transpose(rows)


@pytest.mark.parametrize("null", ["series", "window"])
@pytest.mark.parametrize("shifts", [7, None])
def test_agrees_with_a_loop_over_windows(null, shifts):
    x = autoregressive((2, 3, 40), seed=1)
    got = decorrelation_time(x[:, 0], x[:, 1:], shifts=shifts, null=null, seed=4)
    period = 40 if null == "series" else 20
    moves = np.arange(1, period) if shifts is None else np.random.Generator(np.random.PCG64(4)).integers(1, period, 7)
    for i in range(2):
        for j in range(2):
            r, low, high, p = decorrelation_by_hand(x[i, 0], x[i, 1 + j], moves, null)
            for name, want in (("r", r), ("lower", low), ("upper", high), ("p_value", p)):
                np.testing.assert_allclose(getattr(got, name)[i, j], want, rtol=0, atol=1e-12)
            inside = (low <= r) & (r <= high) & (p > 0.05) & (np.abs(r) < 0.5)
            np.testing.assert_array_equal(got.decorrelated[i, j], inside)
            assert got.time[i, j] == 9.5 + inside.argmax() if inside.any() else np.isnan(got.time[i, j])
    assert got.centres[0] == 9.5 and got.centres[-1] == 40 - 10.5


@pytest.mark.parametrize("leaves", [40, 100, 150])
def test_copies_that_leave_their_reference(leaves):
    """Equal up to a time, independent after it: found within half a window of it."""
    x = autoregressive((30, 6, 201), seed=leaves, memory=0.5)
    x[:, 1:, :leaves] = x[:, :1, :leaves]
    got = decorrelation_time(x[:, 0], x[:, 1:])
    assert (got.time > leaves - 10).all() and np.nanmedian(np.abs(got.time - leaves)) < 6
    assert np.isfinite(got.mean).all() and got.time.shape == (30, 5) and got.mean.shape == (30,)


def test_equal_and_constant_series():
    accuracy = 0.1 + 0.8 * (1 - np.exp(-T / 30)) + 0.01 * np.random.default_rng(0).standard_normal(201)
    flat, ramp = np.full(201, 0.1), 0.001 * T
    copies = np.stack([accuracy, flat, ramp, 0.5 * accuracy + 0.1])
    got = decorrelation_time(accuracy, copies)
    assert np.isnan(got.time).all() and np.isnan(got.mean)
    assert got.reason.tolist() == ["stays correlated", "undefined", "undefined", "stays correlated"]
    assert (got.r[0] == 1).all() and np.isnan(got.r[1:3]).all() and got.r[3] == pytest.approx(1)
    same = decorrelation_time(flat, flat[None])
    assert (same.r == 1).all() and same.reason[0] == "stays correlated" and np.isnan(same.p_value).all()
    broken = accuracy.copy()
    broken[60] = np.inf
    r = decorrelation_time(accuracy, broken[None]).r[0]
    assert np.isnan(r[41:61]).all() and (r[:41] == 1).all() and (r[61:] == 1).all()


def test_a_network_does_not_depend_on_its_batch():
    x = autoregressive((5, 3, 80), seed=2)
    whole, alone = decorrelation_time(x[:, 0], x[:, 1:]), decorrelation_time(x[3, 0], x[3, 1:])
    for name in ("time", "r", "lower", "upper", "p_value"):
        np.testing.assert_allclose(getattr(whole, name)[3], getattr(alone, name), rtol=0, atol=1e-14)
    again = decorrelation_time(x[:, 0], x[:, 1:], seed=1)
    assert (again.lower != whole.lower).any() and (again.r == whole.r).all()


@pytest.mark.parametrize("memory", [0.0, 0.7])
def test_rejection_rate_under_independence(memory):
    """One window of each of 600 independent pairs: 5 % of the p-values are below 0.05, within the binomial 99.9 % range."""
    x = autoregressive((600, 2, 101), seed=7, memory=memory)
    got = decorrelation_time(x[:, 0], x[:, 1:], shifts=None)
    low, high = binom.ppf((0.0005, 0.9995), 600, 0.05)
    assert low <= (got.p_value[:, 0, 40] <= 0.05).sum() <= high


def test_full_design_takes_seconds():
    x = autoregressive((50, 6, 201), seed=0)
    began = time.perf_counter()
    decorrelation_time(x[:, 0], x[:, 1:])
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize(
    ("reference", "copies", "options", "error", "match"),
    [
        (np.zeros(50), np.zeros(50), {}, ValueError, r"must fit, got \(50,\) and \(50,\)"),
        (np.zeros((3, 50)), np.zeros((2, 4, 50)), {}, ValueError, "must fit"),
        (np.zeros(50), np.zeros((4, 51)), {}, ValueError, "must fit"),
        (np.zeros(21), np.zeros((4, 21)), {}, ValueError, r"at least window \+ 2 = 22 steps, got 21"),
        (np.zeros(50, int), np.zeros((4, 50)), {}, TypeError, "reference must be float64"),
        (np.zeros(50), np.zeros((4, 50)), {"window": 3}, ValueError, "window must be an integer >= 4"),
        (np.zeros(50), np.zeros((4, 50)), {"shifts": 0}, ValueError, "shifts must be an integer >= 1"),
        (np.zeros(50), np.zeros((4, 50)), {"null": "phase"}, ValueError, "null must be one of"),
        (np.zeros(50), np.zeros((4, 50)), {"level": 1.0}, ValueError, "level must be below 1"),
        (np.zeros(50), np.zeros((4, 50)), {"max_r": -1}, ValueError, "max_r must be a positive"),
        (np.zeros(50), np.zeros((4, 50)), {"seed": -1}, ValueError, "seed must be an integer"),
    ],
)
def test_bad_series(reference, copies, options, error, match):
    with pytest.raises(error, match=match):
        decorrelation_time(reference, copies, **options)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.7])
def test_saturation_of_logistic_growth(rate):
    """d = 1 / (1 + (1 / d0 - 1) e^(-rate t)) is half its plateau at ln(1 / d0 - 1) / rate."""
    d = 1 / (1 + (1e6 - 1) * np.exp(-rate * np.arange(301)))
    assert saturation_time(d[None] * np.array([[0.5], [1.0], [2.0]])) == np.ceil(np.log(1e6 - 1) / rate)


def test_saturation_is_of_the_mean_and_no_crossing_ends_it():
    """Two trajectories on a line cross, far below the plateau: the slope rule stops there, the half of the plateau does not."""
    d = np.minimum(1e-8 * np.exp(0.2 * T), 1.0) * np.ones((5, 1))
    d[0, 40:50] = 1e-11
    d[0, 39:] *= np.linspace(1, 0.999, len(T) - 39)
    d[:, 12:] *= 1e2  # a jump makes a large slope: that of the rest is below 0.15 of it
    jumped = np.minimum(d, 1.0)
    assert embedding_time(jumped).mean < 40 < 60 < saturation_time(jumped)


def test_no_saturation_without_growth():
    d = np.ones((2, 3, 201))
    d[0] *= np.linspace(1, 900, 201)
    assert np.isnan(saturation_time(d)).all()
    assert np.isfinite(saturation_time(d, growth=100.0)[0])
    still = np.exp(0.1 * T)[None]  # grows to the end: e^2.5 in half of the last 50 steps
    assert np.isnan(saturation_time(still)) and saturation_time(still, steady=20.0) > 150
    d[1, 2, 7] = np.nan
    assert np.isnan(saturation_time(d, growth=0.5)[1])
    for bad, error, message in [
        ({"fraction": 1.0}, ValueError, "fraction must be below 1"),
        ({"last": 300}, ValueError, "300 or more steps"),
    ]:
        with pytest.raises(error, match=message):
            saturation_time(d, **bad)
    with pytest.raises(ValueError, match="not be negative"):
        saturation_time(-d)
