"""The skew-lognormal law: against SciPy, recovery within standard errors, the two awkward places, rejection rates."""

import time

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, kstest, lognorm, skewnorm

from trajlib.embedding.skewlognormal import SkewLognormal, fit_skew_lognormal, skew_lognormal_test


@pytest.mark.parametrize("alpha", [0.0, 1.0, -4.0, 60.0])
def test_law_agrees_with_scipy(alpha):
    law = SkewLognormal(0.3, 0.8, alpha)
    x = np.geomspace(1e-3, 1e3, 200)
    want = skewnorm(alpha, 0.3, 0.8)
    np.testing.assert_allclose(law.pdf(x), want.pdf(np.log(x)) / x, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(law.cdf(x), want.cdf(np.log(x)), rtol=0, atol=1e-9)
    assert quad(lambda y: law.pdf(np.exp(y)) * np.exp(y), -12, 12, points=[0.3])[0] == pytest.approx(1, abs=1e-7)
    draws = law.rvs((50, 40), seed=1)
    assert draws.shape == (50, 40) and kstest(draws.ravel(), law.cdf).pvalue > 1e-3
    np.testing.assert_array_equal(draws, law.rvs((50, 40), seed=1))
    edges = np.array([-1.0, 0.0, np.inf, np.nan])
    np.testing.assert_array_equal(law.pdf(edges), [0, 0, 0, np.nan])
    np.testing.assert_array_equal(law.cdf(edges), [0, 0, 1, np.nan])


def test_alpha_zero_is_lognormal():
    x = np.geomspace(0.01, 100, 50)
    np.testing.assert_allclose(SkewLognormal(0.2, 1.5, 0.0).pdf(x), lognorm(1.5, scale=np.exp(0.2)).pdf(x), rtol=1e-12)


@pytest.mark.parametrize("truth", [(0.0, 1.0, -3.0), (2.0, 0.3, 1.5), (-5.0, 2.0, 8.0), (0.0, 1.0, -30.0)])
def test_recovery_within_standard_errors(truth):
    """25 samples of 3,000: errors in units of their standard errors are of order one, and unbiased."""
    fits = [fit_skew_lognormal(SkewLognormal(*truth).rvs(3000, seed=s)) for s in range(25)]
    z = np.array([(np.array([f.xi, f.omega, f.alpha]) - truth) / f.standard_error for f in fits])
    assert not any(f.at_boundary for f in fits)
    assert np.isfinite(z).all() and np.abs(z).max() < 5
    assert (np.abs(z.mean(axis=0)) < 4 / 5).all()  # 4 standard errors of a mean of 25
    spread = np.sqrt((z**2).mean(axis=0))
    assert ((spread > 0.6) & (spread < 1.5)).all()
    assert all(f.p_value < 1e-3 and f.ks < 0.04 for f in fits)


@pytest.mark.parametrize("alpha", [-6.0, -1.0, 0.0, 2.5])
@pytest.mark.parametrize("n", [60, 1000])
def test_likelihood_is_not_below_the_one_scipy_finds(alpha, n):
    x = SkewLognormal(1.0, 0.7, alpha).rvs(n, seed=n)
    fit = fit_skew_lognormal(x)
    y = np.log(x)
    at = skewnorm.logpdf(y, fit.alpha, fit.xi, fit.omega).sum() - y.sum()
    assert fit.log_likelihood == pytest.approx(at, rel=1e-9)
    assert fit.log_likelihood >= skewnorm.logpdf(y, *skewnorm.fit(y)).sum() - y.sum() - 1e-6
    normal = lognorm.logpdf(x, y.std(), scale=np.exp(y.mean())).sum()
    assert fit.log_likelihood_ratio == pytest.approx(2 * (fit.log_likelihood - normal), abs=1e-8)
    assert fit.ks == pytest.approx(kstest(x, fit.cdf).statistic, abs=1e-12)
    if not fit.at_boundary:
        gradient = np.array([skewnorm.logpdf(y, *(np.array([fit.alpha, fit.xi, fit.omega]) + h)).sum() for h in
                             np.vstack([1e-4 * np.eye(3), -1e-4 * np.eye(3)])])  # fmt: skip
        assert np.abs(gradient[:3] - gradient[3:]).max() < 1e-4 * n * 2e-4 * 100


def test_scale_and_reflection():
    x = SkewLognormal(0.0, 1.0, -2.5).rvs(800, seed=3)
    fit, scaled, turned = (fit_skew_lognormal(y) for y in (x, 1000 * x**2, 1 / x))
    assert scaled.xi == pytest.approx(2 * fit.xi + np.log(1000), rel=1e-9)
    assert scaled.omega == pytest.approx(2 * fit.omega, rel=1e-9)
    assert turned.alpha == pytest.approx(-fit.alpha, rel=1e-9) and turned.xi == pytest.approx(-fit.xi, rel=1e-9)
    assert scaled.log_likelihood_ratio == pytest.approx(fit.log_likelihood_ratio, rel=1e-9)
    assert fit_skew_lognormal(x[::-1].reshape(20, 40)).alpha == pytest.approx(fit.alpha, rel=1e-9)


@pytest.mark.parametrize("side", [1, -1])
def test_boundary_is_flagged(side):
    """A half-normal sample: the likelihood grows with |alpha| without end."""
    y = np.abs(np.random.default_rng(2).standard_normal(40)) + 0.01
    fit = fit_skew_lognormal(np.exp(side * y))
    assert fit.at_boundary and fit.alpha == pytest.approx(side * 1000) and np.isnan(fit.standard_error).all()
    limit = 40 * (np.log(2 / np.sqrt(np.mean((y - y.min()) ** 2))) - 0.5 * np.log(2 * np.pi) - 0.5) - side * y.sum()
    assert limit - 0.3 < fit.log_likelihood <= limit
    assert np.isfinite(fit.pdf(np.exp(y))).all() and fit.ks < 0.3


def test_likelihood_ratio_of_lognormal_samples_is_chi_squared():
    """At alpha = 0, where the information is singular: the level of the asymptotic test, and errors that say nothing."""
    rng = np.random.default_rng(0)
    fits = [fit_skew_lognormal(rng.lognormal(1.0, 0.5, 200)) for _ in range(300)]
    for level in (0.05, 0.2):
        low, high = binom.ppf((0.0005, 0.9995), 300, level)
        assert low <= sum(f.p_value <= level for f in fits) <= high
    assert min(f.log_likelihood_ratio for f in fits) >= 0


def test_bootstrap_levels():
    """p-values of both tests where their hypotheses hold, 30 samples of 60: not too many small ones, centred at 1/2."""
    p = np.array([
        [skew_lognormal_test(SkewLognormal(0, 1, a).rvs(60, seed=1000 + s), replicates=19, seed=s) for s in range(30)]
        for a in (0.0, -2.0)  # seeds of samples and replicates differ: equal ones share their draws
    ])  # fmt: skip
    lr, ks = [r.lr_p_value for r in p[0]], [r.ks_p_value for r in p[1]]
    for p in np.array([lr, ks]):
        assert (p <= 0.05).sum() <= binom.ppf(0.9995, 30, 0.05)
        assert abs(p.mean() - 0.525) < 4 * 0.29 / np.sqrt(30)


def test_bootstrap_sees_what_is_there_and_is_quick():
    x = SkewLognormal(0.5, 1.2, -3.0).rvs(2000, seed=0)
    began = time.perf_counter()
    got = skew_lognormal_test(x, replicates=60)
    assert time.perf_counter() - began < 9  # 200 replicates in less than 30 s even on a busy machine
    assert got.lr_p_value == 1 / 61 and got.ks_p_value > 0.02
    assert got.lr_null.shape == got.ks_null.shape == (60,) and got.fit.n == 2000
    again = skew_lognormal_test(x[:200], replicates=5, seed=3)
    np.testing.assert_array_equal(again.ks_null, skew_lognormal_test(x[:200], replicates=5, seed=3).ks_null)
    mixture = np.exp(np.random.default_rng(1).standard_normal(1000) + np.repeat([-3.0, 3.0], 500))
    assert skew_lognormal_test(mixture, replicates=39).ks_p_value == 1 / 40


@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        ([1.0] * 20, TypeError, "x must be a numpy array"),
        (np.ones(20, np.float32), TypeError, "x must be float64"),
        (np.arange(1.0, 10.0), ValueError, "at least 10 positive numbers, got 9, 0 of them"),
        (np.arange(20.0), ValueError, "got 20, 1 of them not positive"),
        (np.full(20, 0.3), ValueError, "must not be constant, got 20 times 0.3"),
        (np.append(np.arange(1.0, 20.0), np.nan), ValueError, "x must be finite"),
    ],
)
def test_bad_samples(x, error, match):
    for call in (fit_skew_lognormal, skew_lognormal_test):
        with pytest.raises(error, match=match):
            call(x)


def test_bad_options():
    x = np.geomspace(0.1, 1, 20)
    with pytest.raises(ValueError, match="replicates must be an integer >= 1"):
        skew_lognormal_test(x, replicates=0)
    with pytest.raises(ValueError, match="seed must be an integer >= 0"):
        skew_lognormal_test(x, seed=-1)
    with pytest.raises(ValueError, match="seed must be an integer >= 0"):
        SkewLognormal(0, 1, 0).rvs(3, seed=-1)
