"""Numbers near the ends of the range of float64: what is representable is computed, and ordinary numbers keep every bit."""

import numpy as np
import pytest

import trajlib as tl
from trajlib import _scale

RNG = np.random.Generator(np.random.PCG64(5))
POWERS = [-1000, -700, -560, 560, 700, 1000]


def times(x, power):
    with np.errstate(under="ignore"):
        return np.ldexp(x, power)


@pytest.mark.parametrize("power", POWERS)
def test_norm_and_mean(power):
    x = RNG.standard_normal((4, 3, 7))
    x[0] *= 1e3
    big = times(x, power)
    np.testing.assert_array_equal(_scale.norm(big), times(_scale.norm(x), power))
    np.testing.assert_array_equal(_scale.mean(big, axis=0), times(_scale.mean(x, axis=0), power))
    mixed = x.copy()
    mixed[1] = big[1]
    np.testing.assert_array_equal(_scale.norm(mixed)[[0, 2, 3]], np.linalg.norm(x, axis=-1)[[0, 2, 3]])
    np.testing.assert_array_equal(_scale.norm(x), np.linalg.norm(x, axis=-1))
    np.testing.assert_array_equal(_scale.mean(x, 1), x.mean(axis=1))


def test_what_is_not_finite_stays_so():
    x = np.array([[np.nan, 1e300], [np.inf, 1.0], [0.0, 0.0], [1.7e308, 1.7e308]])
    np.testing.assert_array_equal(_scale.norm(x), [np.nan, np.inf, 0.0, np.inf])
    np.testing.assert_array_equal(_scale.mean(x), [np.nan, np.inf, 0.0, 1.7e308])
    assert _scale.norm(np.array([5e-324])) == 5e-324 and _scale.exponent(np.zeros((3, 0))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("method", ["svd", "gram", "krylov"])
def test_embedding(power, method):
    x = np.cumsum(RNG.standard_normal((30, 12)) * 2.0 ** -np.arange(12), axis=0)
    one, other = tl.scalar_embedding(x, 2, method=method), tl.scalar_embedding(times(x, power), 2, method=method)
    np.testing.assert_allclose(times(other.coordinates, -power), one.coordinates, atol=1e-12)
    np.testing.assert_allclose(other.explained_variance, one.explained_variance, rtol=1e-12)
    np.testing.assert_allclose(times(other.mean, -power), one.mean, rtol=1e-12)
    separation = other.project_difference(times(x[1:], power), times(x[:-1], power))
    np.testing.assert_allclose(times(separation, -power), one.project_difference(x[1:], x[:-1]), rtol=1e-10)
    np.testing.assert_allclose(times(other.project(times(x, power)), -power), one.coordinates, atol=1e-12)
    copies = tl.embed_copies(np.stack([x, x + RNG.standard_normal(x.shape)])[None], k=2)
    scaled = tl.embed_copies(times(np.stack([x, x + 1.0])[None], power), k=2)
    assert (copies.reason == "").all() and (scaled.reason == "").all()
    np.testing.assert_allclose(times(scaled.rms_distance, -power), 1.0, rtol=1e-12)


def test_the_whole_range_is_embedded():
    x = np.array([[-1.7e308, 0.0], [0.0, 0.0], [1.7e308, 0.0]])
    e = tl.scalar_embedding(x)
    np.testing.assert_allclose(e.coordinates[:, 0] / 1e308, np.array([-1.7, 0.0, 1.7]) / np.sqrt(2), atol=1e-12)
    assert e.total_variance == np.inf and e.explained_variance == pytest.approx(1)
    np.testing.assert_allclose(e.mean, 0.0, atol=1e295)


def test_small_differences_beside_a_large_offset():
    """Of one weight, whatever the others are."""
    x = np.array([[1e200, 0.0], [1e200, 1e-170], [1e200, 3e-170]])
    e = tl.scalar_embedding(x)
    np.testing.assert_allclose(np.diff(e.coordinates[:, 0]), np.array([1e-170, 2e-170]) / np.sqrt(2), rtol=1e-10)
    assert e.mean[0] == 1e200 and e.explained_variance == pytest.approx(1) and e.total_variance == 0
    with pytest.raises(ValueError, match="must not all be equal"):
        tl.scalar_embedding(np.full((3, 2), 1e300))


@pytest.mark.parametrize("power", [*POWERS, 1021])
def test_series(power):
    x = RNG.standard_normal(400)
    x /= np.abs(x).max()
    found, scaled = (tl.autocorrelation(y, 5, shuffles=100) for y in (x, times(x, power)))
    for name in ("values", "low", "high"):
        np.testing.assert_array_equal(getattr(scaled, name), getattr(found, name))
    chaos = np.empty(3000)
    chaos[0] = 0.1234
    for i in range(2999):
        chaos[i + 1] = 4 * chaos[i] * (1 - chaos[i])
    one = tl.local_exponents(chaos, radius=1e-3, references=50)
    other = tl.local_exponents(times(chaos, power), radius=float(times(1e-3, power)), references=50)
    for name in ("references", "rate", "standard_error", "p_value", "r2", "stop", "neighbours", "resolved"):
        np.testing.assert_array_equal(getattr(other, name), getattr(one, name), err_msg=name)
    for name in ("divergence", "start_value", "level"):
        np.testing.assert_array_equal(getattr(other, name), times(getattr(one, name), power), err_msg=name)


def test_numbers_near_the_largest_one_have_an_autocorrelation():
    x = np.where(np.arange(50) % 3 == 0, 1.7e308, -1.2e308)
    small = np.where(np.arange(50) % 3 == 0, 1.7, -1.2)
    np.testing.assert_allclose(tl.autocorrelation(x, 6).values, tl.autocorrelation(small, 6).values, rtol=1e-12)


@pytest.mark.parametrize("largest", [1.7e308, 1e-300])
def test_phases_and_periods(largest):
    x = np.tile([1.0, -1.0, 0.5], 30) * largest
    assert tl.detect_period(x, tolerance=0.0) == 3
    assert tl.phases(x, period=3, tolerance=0.0).laminar.all()
    assert tl.detect_period(x, tolerance=0.01 * largest, max_period=2) == 0


@pytest.mark.parametrize("power", POWERS)
def test_growth(power):
    d = 2.0**-10 * np.exp(0.1 * np.arange(101)) * np.array([1.0, 2.0, 3.0])[:, None]
    one, other = tl.expansion_rate(d), tl.expansion_rate(times(d, power))
    np.testing.assert_allclose(other.rate, one.rate, rtol=1e-9)
    assert other.kept.all()
    top = np.minimum(1.7e308, d / d.max() * 1.7e308)  # a mean of copies whose sum overflows
    assert tl.expansion_rate(np.stack([top[2]] * 4)).rate == pytest.approx(0.1)
    assert np.isfinite(tl.embedding_time(times(d, power), floor=1e-300).largest_slope).all()


@pytest.mark.parametrize("power", POWERS)
def test_decorrelation(power):
    a, b = RNG.standard_normal((2, 120))
    one = tl.decorrelation_time(a, b[None], shifts=50)
    other = tl.decorrelation_time(times(a, power), times(b, -power)[None], shifts=50)
    np.testing.assert_allclose(other.r, one.r, atol=1e-12)
    np.testing.assert_array_equal(other.time, one.time)


@pytest.mark.parametrize("power", POWERS)
def test_spacings(power):
    z = RNG.standard_normal((2, 5, 60))
    one, other = tl.asymptotic_spacings(z), tl.asymptotic_spacings(times(z, power))
    np.testing.assert_array_equal(other, times(one, power))
    for how in ("mean", "median", "log"):
        np.testing.assert_allclose(tl.rescale_spacings(other, how), tl.rescale_spacings(one, how), rtol=1e-12)
    np.testing.assert_array_equal(tl.asymptotic_spacings(np.full((1, 3, 60), 1.7e308)), 0.0)
    np.testing.assert_array_equal(tl.rescale_spacings(np.full((1, 3), 5e-324)), 1.0)


@pytest.mark.parametrize("power", [-1000, 1000])
def test_indicators_of_size(power):
    net = tl.Perceptron(2, 2, 1, activation="tanh", loss="half_squared_error")
    gd = tl.GradientDescent(net, tl.plane(), lr=0.1)
    w = net.init(3, seed=0)
    assert np.isfinite(tl.baselines(gd, times(w, power))[:, 3]).all() or power > 0
    from trajlib.prediction.predict import _norm

    np.testing.assert_array_equal(_norm(times(w, power)), times(_norm(w), power))
    np.testing.assert_array_equal(_norm(w), np.sqrt((w * w).sum(axis=-1)))


def test_an_area_near_one_has_an_interval():
    """One pair of a million in the wrong order: the odds of the logit scale overflow."""
    event = np.arange(2000) < 1000
    score = np.where(event, 1.0, 0.0) + np.linspace(0, 0.1, 2000)
    score[0], score[1999] = 0.05, 0.051
    area = tl.auc(score, event)
    assert 0.99 < area.value < 1 and 0 < area.lower < area.value < area.upper <= 1
