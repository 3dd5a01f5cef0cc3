"""Spacings of the ends: by hand, rescalings, nulls whose law is known, error rates of the comparison, bad input."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import beta, binom, ks_2samp, kstest

from trajlib.embedding.spacings import asymptotic_spacings, compare_spacings, one_form, rescale_spacings, spacing_null


def test_spacings_by_hand():
    z = np.random.default_rng(0).standard_normal((3, 6, 201))
    got = asymptotic_spacings(z)
    assert got.shape == (3, 5)
    for i in range(3):
        ends = sorted(z[i, j, -50:].mean() for j in range(6))
        np.testing.assert_allclose(got[i], [b - a for a, b in pairwise(ends)], rtol=1e-12)
    shuffled = z[:, [3, 0, 5, 1, 4, 2]]
    np.testing.assert_array_equal(asymptotic_spacings(shuffled), got)
    np.testing.assert_allclose(asymptotic_spacings(2 * z + 7), 2 * got, rtol=1e-10)
    assert asymptotic_spacings(z, last=1)[0].sum() == pytest.approx(np.ptp(z[0, :, -1]))


@pytest.mark.parametrize("how", ["mean", "median", "log"])
def test_rescaling(how):
    x = np.random.default_rng(1).lognormal(size=(4, 7, 5))
    got = rescale_spacings(x, how)
    centre = {"mean": np.mean, "median": np.median, "log": lambda a, axis: np.exp(np.log(a).mean(axis=axis))}[how]
    np.testing.assert_allclose(centre(got, axis=-1), 1, rtol=1e-12)
    np.testing.assert_allclose(rescale_spacings(3 * x, how), got, rtol=1e-12)
    np.testing.assert_allclose(got / got[..., :1], x / x[..., :1], rtol=1e-12)


def test_uniform_spacings_have_their_known_law():
    """Inner spacings of 6 uniform points over their sum: marginally Beta(1, 4)."""
    x = spacing_null("uniform", points=6, groups=3000, seed=0)
    assert x.shape == (3000, 5)
    for column in x.T:
        assert kstest(column / 5, beta(1, 4).cdf).pvalue > 1e-3


def test_nulls_are_skewed_already():
    for kind in ("normal", "uniform"):
        logs = np.log(spacing_null(kind, groups=2000, seed=1))
        skewness = np.mean((logs - logs.mean()) ** 3) / logs.std() ** 3
        assert skewness < -0.8
    a, b = spacing_null("normal", seed=2), spacing_null("normal", seed=2)
    np.testing.assert_array_equal(a, b)
    assert (spacing_null("normal", seed=3) != a).any()


def test_statistics_are_those_of_scipy_and_of_pettitt():
    a, b = spacing_null("normal", groups=30, seed=0), spacing_null("uniform", groups=50, points=8, seed=1)
    got = compare_spacings(a, b, permutations=9)
    want = ks_2samp(a.ravel(), b.ravel(), method="asymp")
    assert got.ks == pytest.approx(want.statistic, abs=1e-12)
    assert got.ks_p_independent == pytest.approx(want.pvalue)
    pooled, n, m = np.sort(np.append(a, b)), a.size, b.size
    rank = np.arange(1, n + m)
    below = np.searchsorted(np.sort(a.ravel()), pooled[:-1], side="right")
    assert got.anderson_darling == pytest.approx(
        ((below * (n + m) - n * rank) ** 2 / (rank * (n + m - rank))).sum() / (n * m)
    )


def test_identical_samples_and_ties():
    a = np.ones((4, 5))
    got = compare_spacings(a, a, permutations=19)
    assert got.ks == got.anderson_darling == 0 and got.ks_p_value == 1 == got.anderson_darling_p_value
    b = np.repeat([[1.0, 2.0, 2.0, 3.0]], 6, axis=0)
    assert compare_spacings(b, b + 0.5, permutations=99).ks == pytest.approx(0.5)


def test_rejection_rate_and_power():
    """Groups with scales of their own, not rescaled: dependent spacings, where only permuting groups keeps its level."""
    rng = np.random.default_rng(5)
    p = []
    for seed in range(200):
        a, b = (rng.lognormal(size=(12, 1)) * spacing_null(groups=12, seed=10 * seed + i) for i in (0, 1))
        c = compare_spacings(a, b, permutations=99, seed=seed)
        p.append((c.ks_p_value, c.anderson_darling_p_value, c.ks_p_independent))
    ks, anderson, independent = (np.array(p) <= 0.05).sum(axis=0)
    low, high = binom.ppf((0.0005, 0.9995), 200, 0.05)
    assert low <= ks <= high and low <= anderson <= high
    assert independent > high
    other = compare_spacings(spacing_null(groups=300), spacing_null(groups=300, points=20, seed=1), permutations=199)
    assert other.ks_p_value == other.anderson_darling_p_value == 1 / 200


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: asymptotic_spacings(np.zeros((1, 60))), ValueError, r"2 or more trajectories, 50 or more steps\)"),
        (lambda: asymptotic_spacings(np.zeros((3, 49))), ValueError, "z must have shape"),
        (lambda: asymptotic_spacings(np.full((3, 60), np.nan)), ValueError, "z must be finite"),
        (lambda: asymptotic_spacings([[1.0], [2.0]]), TypeError, "z must be a numpy array"),
        (lambda: asymptotic_spacings(np.zeros((3, 60)), last=0), ValueError, "last must be an integer >= 1"),
        (lambda: rescale_spacings(np.array([1.0, -1.0])), ValueError, "not negative"),
        (lambda: rescale_spacings(np.zeros((2, 0))), ValueError, "at least one in the last axis"),
        (lambda: rescale_spacings(np.array([0.0, 0.0])), ValueError, "a mean of zero"),
        (lambda: rescale_spacings(np.array([0.0, 1.0]), "log"), ValueError, "a log of zero"),
        (lambda: rescale_spacings(np.ones(3), "mode"), ValueError, "how must be one of"),
        (lambda: spacing_null("cauchy"), ValueError, "kind must be one of"),
        (lambda: spacing_null(points=2), ValueError, "points must be an integer >= 3"),
        (lambda: spacing_null(seed=-1), ValueError, "seed must be an integer"),
        (lambda: compare_spacings(np.ones(3), np.ones((2, 3))), ValueError, r"a must have shape \(groups, spacings\)"),
        (lambda: compare_spacings(np.ones((2, 3)), np.full((2, 3), np.inf)), ValueError, "b must be finite"),
        (
            lambda: compare_spacings(np.ones((2, 3)), np.ones((2, 3)), permutations=0),
            ValueError,
            "permutations must be",
        ),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_group_that_has_diverged_leaves_the_others_alone(bad):
    z = np.random.default_rng(0).standard_normal((3, 6, 60))
    whole = asymptotic_spacings(z)
    z[1, 4, 30] = bad
    got = asymptotic_spacings(z)
    assert np.isnan(got[1]).all()
    np.testing.assert_array_equal(got[[0, 2]], whole[[0, 2]])
    np.testing.assert_array_equal(asymptotic_spacings(z, last=20), asymptotic_spacings(z[..., 31:], last=20))


@pytest.mark.parametrize("how", ["mean", "median", "log"])
@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_group_without_a_scale_leaves_the_others_alone(how, bad):
    x = np.random.default_rng(1).lognormal(size=(4, 5))
    whole = rescale_spacings(x, how)
    x[2] = bad
    got = rescale_spacings(x, how)
    assert np.isnan(got[2]).all()
    np.testing.assert_array_equal(got[[0, 1, 3]], whole[[0, 1, 3]])


QUICK = {"permutations": 60, "calibration": 200, "combinations": 1000}


def spacings_of(points):
    return np.diff(np.sort(points, axis=-1), axis=-1)


@pytest.mark.parametrize("law", ["normal", "uniform", "t3", "lognormal"])
def test_one_form_is_seldom_rejected_where_there_is_one(law):
    """40 data sets of 50 groups of six points of one law, at three rates: 5 % of 40, and no more than chance allows."""
    rng, shape = np.random.default_rng(5), (3, 50, 6)
    draw = {
        "normal": lambda: rng.standard_normal(shape),
        "uniform": lambda: rng.random(shape),
        "t3": lambda: rng.standard_t(3, shape),
        "lognormal": lambda: np.cumsum(rng.lognormal(size=shape), axis=-1),
    }[law]
    found = [one_form(spacings_of(draw()), seed=1, **QUICK) for _ in range(40)]
    for name in ("combined_p_value", "own_p_value"):
        assert sum(getattr(f, name) <= 0.05 for f in found) <= binom.ppf(0.999, 40, 0.05), name


def test_widths_of_their_own_are_found():
    """The lognormal widths that two halves of the initial conditions do not tell apart: from 0.05 to 3, each condition its own."""
    rng = np.random.default_rng(6)
    for _ in range(10):
        wide = np.exp(rng.uniform(0.05, 3, (50, 1)) * rng.standard_normal((2, 50, 5)))
        found = one_form(wide, seed=1, **QUICK)
        assert found.combined_p_value < 0.01 and (found.p_value < 0.05).all() and found.own_p_value < 0.01
    alone = one_form(wide[:1], seed=1, **QUICK)
    assert alone.combined_p_value < 0.05 and np.isnan(alone.own_p_value)


def test_own_widths_at_each_rate_are_not_a_condition_s():
    """Each condition has another width at each rate: the rates see it, and no condition keeps it."""
    rng = np.random.default_rng(7)
    found = [
        one_form(np.exp(rng.uniform(0.05, 3, (3, 50, 1)) * rng.standard_normal((3, 50, 5))), seed=1, **QUICK)
        for _ in range(10)
    ]
    assert all(f.combined_p_value < 0.01 for f in found) and np.median([f.own_p_value for f in found]) > 0.05


def test_one_form_knows_no_scale_and_leaves_out_what_is_not_there():
    x = np.random.default_rng(8).lognormal(size=(2, 20, 5))
    one, other = one_form(x, **QUICK), one_form(x * np.geomspace(1e-9, 1e9, 20)[:, None], **QUICK)
    np.testing.assert_allclose(other.width, one.width, atol=1e-9)
    assert other.combined_p_value == one.combined_p_value and other.own_p_value == one.own_p_value
    np.testing.assert_allclose(one.width, np.log(np.log(x).std(axis=-1)))
    holes = x.copy()
    holes[0, 3, 2], holes[1, 5, 0] = np.nan, 0.0
    found = one_form(holes, **QUICK)
    assert np.isnan(found.width[:, [3, 5]]).all() and np.isfinite(np.delete(found.width, [3, 5], axis=1)).all()
    with pytest.raises(ValueError, match="four or more groups that are finite and positive, got 2"):
        one_form(holes[:, 2:6])
    with pytest.raises(ValueError, match="1 or more rates, groups, 2 or more"):
        one_form(x[0])
