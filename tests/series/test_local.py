"""Autocorrelation by its definition; Kantz's exponents on maps with known ones, on noise, and against plain Python."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import linregress

from trajlib.dynamics.reference import HenonMap, LogisticMap
from trajlib.series.local import autocorrelation, local_exponents
from trajlib.stability import series as module


def orbit(system, start, n):
    """First coordinate after 200 steps."""
    w, out = np.array(start), np.empty(n)
    for t in range(-200, n):
        w = system(w)
        if t >= 0:
            out[t] = w[0]
    return out


@pytest.fixture(scope="module")
def logistic():
    return orbit(LogisticMap(4.0), [0.1234], 20_000)


@pytest.fixture(scope="module")
def henon():
    return orbit(HenonMap(), [0.1, 0.1], 20_000)


def ar(phi, n=20_000, seed=0):
    noise = np.random.default_rng(seed).standard_normal(n + 2000)
    return lfilter([1.0], [1.0, -phi], noise)[2000:]


def by_hand(x, i, *, radius, horizon, theiler, dimension, delay, window, min_neighbours):
    """One reference point in plain Python; the fit by scipy."""
    past = (dimension - 1) * delay
    near = [
        j
        for j in range(past, len(x) - horizon)
        if abs(i - j) > theiler and all(abs(x[j - c * delay] - x[i - c * delay]) < radius for c in range(dimension))
    ]
    if not near:
        return 0, [math.nan] * (horizon + 1), None, -1
    divergence = [math.fsum(abs(x[j + k] - x[i + k]) for j in near) / len(near) for k in range(horizon + 1)]
    low, high = window or (horizon, horizon)
    if len(near) < min_neighbours or min(divergence[1 : high + 1]) == 0:
        return len(near), divergence, None, -1
    fits = [
        (linregress(range(1, end + 1), [math.log(d) for d in divergence[1 : end + 1]]), end + 1)
        for end in range(low, high + 1)
    ]
    fit, stop = max(fits, key=lambda f: f[0].rvalue ** 2)
    return len(near), divergence, fit, stop


OPTIONS = {
    "theirs": {"radius": 0.01},
    "delay vectors": {"radius": 0.1, "dimension": 3, "delay": 2, "theiler": 5},
    "window": {"radius": 0.02, "horizon": 14, "window": (5, 12)},
    "few": {"radius": 0.002, "min_neighbours": 3, "theiler": 1, "horizon": 3},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("kind", ["logistic", "steps"])
def test_agrees_with_plain_python(logistic, kind, options):
    x = logistic[:400] if kind == "logistic" else np.round(logistic[:400], 2)  # many ties and zeros
    full = {"horizon": 10, "theiler": 0, "dimension": 1, "delay": 1, "window": None, "min_neighbours": 1} | options
    found = local_exponents(x, references=60, **options)
    for a, i in enumerate(found.references):
        count, divergence, fit, stop = by_hand(x.tolist(), i, **full)
        assert (found.neighbours[a], found.stop[a], found.start_value[a]) == (count, stop, x[i])
        np.testing.assert_allclose(found.divergence[a], divergence, rtol=1e-12, atol=1e-15)
        got = [found.rate[a], found.standard_error[a], found.r2[a], found.p_value[a]]
        want = [math.nan] * 4 if fit is None else [fit.slope, fit.stderr, fit.rvalue**2, fit.pvalue]
        np.testing.assert_allclose(got[:3], want[:3], rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(
            got[3], want[3], rtol=1e-7, atol=1e-9
        )  # scipy's R of a perfect line is 1 up to rounding
    assert np.isfinite(found.rate).any()


def test_logistic_map_has_ln_2(logistic):
    found = local_exponents(logistic, radius=1e-4, horizon=10, min_neighbours=3)
    usable = np.isfinite(found.rate)
    assert usable.mean() > 0.6
    assert np.polyfit(range(1, 10), found.curve[1:10], 1)[0] == pytest.approx(math.log(2), abs=0.02)
    assert found.rate[usable].mean() == pytest.approx(math.log(2), abs=0.02)
    assert found.chaotic[usable].mean() > 0.97  # not 1: a local rate may be small by chance


def test_henon_map_needs_two_dimensions(henon):
    found = local_exponents(henon, radius=0.01, horizon=10, dimension=2, min_neighbours=3)
    assert np.polyfit(range(1, 10), found.curve[1:10], 1)[0] == pytest.approx(0.419, abs=0.03)
    assert found.chaotic[np.isfinite(found.rate)].mean() > 0.85
    flat = local_exponents(henon, radius=0.01, horizon=10, dimension=1, min_neighbours=3)
    assert flat.positive.mean() > 0.4 and flat.chaotic.mean() < 0.15  # neighbours in x alone jump apart


@pytest.mark.parametrize("radius", [3e-3, 3e-2, 1e-1])
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, 0.99])
def test_linear_noise_is_not_chaotic(phi, radius):
    """Error rate: at most 2 in 1,000 points, where the t-test alone accepts up to nine in ten."""
    x = ar(phi)
    found = local_exponents(x, radius=radius * x.std())
    assert found.chaotic.mean() <= 0.002
    if phi >= 0.9:
        assert found.positive.mean() > 0.4


@pytest.mark.parametrize("radius", [1e-4, 1e-3, 1e-2])
def test_a_random_walk_is_not_chaotic(radius):
    """Every criterion is needed: here the first has nothing to say, and a coarse radius hides the jump."""
    x = ar(1.0, seed=3)
    found = local_exponents(x, radius=radius * x.std())
    assert (found.divergence[:, 1] < module.ROOM * found.level)[found.positive].mean() > 0.9
    assert found.positive.mean() > 0.3 and found.chaotic.mean() <= 0.01


def test_regular_motion_has_no_exponent():
    n = np.arange(20_000)
    periodic = np.array([0.2, 0.5, 0.9])[n % 3]
    found = local_exponents(periodic, radius=1e-3)
    assert (found.neighbours > 6000).all() and np.isnan(found.rate).all() and (found.stop == -1).all()
    assert not found.positive.any() and np.isnan(found.curve).all() and np.isnan(found.p_value).all()
    shifted = np.tile([0.2, 0.5, 0.9], 6000) + np.repeat([0.0, 1e-6], 9000)  # distances that stay, up to rounding
    found = local_exponents(shifted, radius=1e-3)
    assert np.abs(found.rate).max() < 1e-3 and not found.chaotic.any()
    wave = np.sin(0.3 * math.sqrt(2) * n)
    assert local_exponents(wave, radius=0.01, dimension=2).positive.mean() == 0
    chirp = np.sin(2e-3 * math.pi * n * (1 + 1e-5 * n))  # neighbours separate linearly
    found = local_exponents(chirp, radius=0.01, theiler=100)
    assert found.positive.mean() > 0.9 and found.chaotic.mean() < 0.02


def test_rounding_is_not_growth():
    x = np.tile([0.0, 0.1, 1e-9, 0.1 + 1e-9], 800)
    found = local_exponents(x, radius=1e-6, references=np.arange(1000))
    assert (found.rate == 0).all() and (found.p_value == 1).all() and (found.r2 == 0).all()


def test_theiler_window_drops_neighbours_along_the_same_stretch():
    t = np.arange(5000)
    x = np.sin(0.001 * t)  # slow: the nearest values are the next steps
    with_them = local_exponents(x, radius=0.01, theiler=0, references=300)
    without = local_exponents(x, radius=0.01, theiler=50, references=300)
    assert (without.neighbours <= with_them.neighbours).all()
    assert without.neighbours.sum() < 0.6 * with_them.neighbours.sum()
    none = local_exponents(1e-3 * t, radius=0.01, theiler=20, references=300)  # a ramp has no others at all
    assert (none.neighbours == 0).all() and np.isnan(none.divergence).all() and not none.significant.any()


def test_best_window_stops_before_saturation(logistic):
    fixed = local_exponents(logistic, radius=1e-3, horizon=25)
    best = local_exponents(logistic, radius=1e-3, horizon=25, window=(5, 25))
    assert set(best.stop) <= set(range(6, 27)) and (fixed.stop == 26).all()
    assert (best.r2 >= fixed.r2).all()
    assert abs(best.rate.mean() - math.log(2)) < 0.15 < abs(fixed.rate.mean() - math.log(2))


def test_references_by_seed_and_by_index(logistic):
    one, same, other = (local_exponents(logistic, radius=1e-3, references=50, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.references, same.references)
    assert (one.references != other.references).any() and len(set(one.references)) == 50
    for name in ("rate", "divergence", "p_value"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    given = local_exponents(logistic, radius=1e-3, references=one.references[::-1])
    np.testing.assert_array_equal(given.rate, one.rate[::-1])
    every = local_exponents(logistic[:50], radius=0.1, references=38, dimension=3)
    assert every.references.tolist() == list(range(2, 40))


def test_result_does_not_depend_on_threads(logistic, monkeypatch):
    runs = []
    monkeypatch.setattr(module, "SMALL", 0)
    for threads in "1", "2", "5":
        monkeypatch.setenv("TRAJLIB_THREADS", threads)
        runs.append(local_exponents(logistic, radius=1e-3, references=7).divergence)
    assert runs[0].tobytes() == runs[1].tobytes() == runs[2].tobytes()


def test_level_is_the_mean_distance_of_pairs(logistic):
    x = logistic[:300]
    pairs = np.abs(x[:, None] - x)[np.triu_indices(300, 1)]
    assert local_exponents(x, radius=0.1, references=5).level == pytest.approx(pairs.mean(), rel=1e-12)


def test_a_constant_series():
    found = local_exponents(np.full(200, 0.3), radius=0.1, references=20)
    assert (found.neighbours == 189).all() and (found.divergence == 0).all()
    assert np.isnan(found.rate).all() and not found.chaotic.any() and found.level == 0


def test_series_is_not_written_to(logistic):
    x = logistic[:1000].copy()
    x.flags.writeable = False
    local_exponents(x, radius=0.01, references=20)
    strided = np.repeat(x, 2)[::2]
    np.testing.assert_array_equal(
        local_exponents(strided, radius=0.01, references=20).rate,
        local_exponents(x, radius=0.01, references=20).rate,
    )


def test_unwritable_cache_is_a_warning(tmp_path):
    code = (
        "from numba.core import caching\n"
        "(caching.CacheImpl if hasattr(caching, 'CacheImpl') else caching._CacheImpl)._locator_classes = []\n"
        "import numpy as np; from trajlib.series.local import local_exponents\n"
        "for _ in range(2): print(local_exponents(np.arange(50.0), radius=3.0, references=5).neighbours.min() > 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "True"]
    assert done.stderr.count("cannot be cached on disk") == 1 and "<string>" in done.stderr


def direct(x, max_lag):
    x = x - x.mean()
    return np.array([(x[: len(x) - lag] * x[lag:]).sum() for lag in range(max_lag + 1)]) / (x * x).sum()


@pytest.mark.parametrize("n", [2, 17, 128, 1000])
def test_autocorrelation_is_its_definition(n):
    x = np.random.default_rng(n).standard_normal(n) + 5
    lags = min(n - 1, 40)
    found = autocorrelation(x, lags, shuffles=40)
    np.testing.assert_allclose(found.values, direct(x, lags), rtol=0, atol=1e-13)
    assert found.values[0] == found.low[0] == found.high[0] == 1 and not found.significant[0]
    assert found.lags.tolist() == list(range(lags + 1))
    np.testing.assert_allclose(autocorrelation(1e200 * x, lags, shuffles=40).values, found.values, rtol=0, atol=1e-13)


def test_autocorrelation_of_ar_1():
    """The estimate of φ^l has a standard error of about 1.7 / sqrt(n) at φ = 0.7."""
    found = autocorrelation(ar(0.7), 20)
    np.testing.assert_allclose(found.values, 0.7 ** np.arange(21), atol=5 * 1.7 / math.sqrt(20_000))
    assert found.significant[1:8].all()


def test_band_holds_white_noise_at_its_level():
    """5 % of 200 x 50 lags outside; the band is that of shuffles, ± 1.96 / sqrt(n) to a few per cent."""
    noise = np.random.default_rng(4).standard_normal((200, 300))
    found = autocorrelation(noise, 50)
    assert 0.04 < found.significant[:, 1:].mean() < 0.06
    assert found.high[:, 1:10].mean() == pytest.approx(1.96 / math.sqrt(300), rel=0.1)
    narrow = autocorrelation(noise[:3], 50, level=0.5)
    assert (narrow.high[:, 1:] < found.high[:3, 1:]).all() and (narrow.low[:, 1:] > found.low[:3, 1:]).all()


def test_autocorrelation_of_a_batch_is_that_of_each(monkeypatch):
    x = np.random.default_rng(0).standard_normal((2, 3, 60))
    x[1, 2] = 0.1
    x[0, 1, 5] = np.inf
    found = autocorrelation(x, 7, shuffles=100, seed=3)
    monkeypatch.setattr(module, "CHUNK", 60 * 7)
    alone = autocorrelation(x[1, 0], 7, shuffles=100, seed=3)
    for name in ("values", "low", "high"):
        assert getattr(found, name).shape == (2, 3, 8)
        np.testing.assert_array_equal(getattr(found, name)[1, 0], getattr(alone, name))
        assert np.isnan(getattr(found, name)[[1, 0], [2, 1]]).all()
    assert not found.significant[1, 2].any()
    assert (autocorrelation(x[0, 0], 7, seed=4).low != autocorrelation(x[0, 0], 7, seed=5).low).any()


X = np.linspace(0, 1, 100) ** 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: local_exponents(X.astype(np.float32), radius=1), TypeError, "series must be float64"),
        (lambda: local_exponents(X[None], radius=1), ValueError, r"shape \(n,\)"),
        (lambda: local_exponents(np.append(X, np.nan), radius=1), ValueError, "finite, got nan at index"),
        (lambda: local_exponents(X, radius=0), ValueError, "radius must be a positive"),
        (lambda: local_exponents(X, radius=1, horizon=2), ValueError, "horizon must be an integer >= 3"),
        (lambda: local_exponents(X, radius=1, theiler=-1), ValueError, "theiler"),
        (lambda: local_exponents(X, radius=1, dimension=0), ValueError, "dimension"),
        (lambda: local_exponents(X, radius=1, delay=1.0), TypeError, "delay"),
        (lambda: local_exponents(X, radius=1, min_neighbours=0), ValueError, "min_neighbours"),
        (lambda: local_exponents(X, radius=1), ValueError, "references must be at most 90"),
        (lambda: local_exponents(X, radius=1, references=[1, 90]), ValueError, "lie in 0 ... 89, .* got 90"),
        (lambda: local_exponents(X, radius=1, references=[0, 9], dimension=2), ValueError, "got 0"),
        (lambda: local_exponents(X, radius=1, references=np.array([0.5])), TypeError, "integers"),
        (lambda: local_exponents(X, radius=1, references=[]), TypeError, "references must be a count"),
        (lambda: local_exponents(X, radius=1, references=5, seed=-1), ValueError, "seed"),
        (lambda: local_exponents(X, radius=1, references=5, window=(5, 25)), ValueError, "horizon = 10"),
        (
            lambda: local_exponents(X, radius=1, references=5, window=(2, 8)),
            ValueError,
            "window must be an integer >= 3",
        ),
        (lambda: local_exponents(X, radius=1, references=5, window=7), TypeError, "two ends"),
        (lambda: local_exponents(X[:11], radius=1), ValueError, "at least 12 steps"),
        (lambda: autocorrelation(list(X), 5), TypeError, "numpy array of float64"),
        (lambda: autocorrelation(X, 100), ValueError, "more than max_lag = 100"),
        (lambda: autocorrelation(np.array(1.0), 0), ValueError, "max_lag"),
        (lambda: autocorrelation(X, -1), ValueError, "max_lag must be"),
        (lambda: autocorrelation(X, 5, shuffles=39), ValueError, "level must be at most"),
        (lambda: autocorrelation(X, 5, level=1.0), ValueError, "level must be at most"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
