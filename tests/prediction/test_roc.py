"""Areas under ROC curves: known areas, scikit-learn's, DeLong's formula by hand, coverage of intervals, folds, bad input."""

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn import metrics

from trajlib.prediction.roc import auc, compare_auc, roc_curve


def draw(rng, events, others, shift, sets=1):
    event = np.arange(events + others) < events
    return rng.standard_normal((len(event), sets)) + shift * event[:, None], event


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_two_normals(shift):
    score, event = draw(np.random.default_rng(0), 4000, 20000, shift)
    got = auc(score[:, 0], event)
    assert abs(got.value - norm.cdf(shift / np.sqrt(2))) < 4 * got.standard_error < 0.03
    assert got.lower < got.value < got.upper


def test_scikit_learn_agrees_on_ties_and_infinities():
    rng = np.random.default_rng(1)
    event = rng.random(300) < 0.2
    score = np.round(rng.standard_normal((300, 4, 2)) + event[:, None, None], 1)
    score[..., 0] = np.round(score[..., 0])
    score[:5, 0] = np.inf
    score[5:9, 1] = -np.inf
    got = auc(score, event)
    assert got.value.shape == got.lower.shape == (4, 2)
    ranks = np.clip(score, -99, 99)
    for index in np.ndindex(4, 2):
        want = metrics.roc_auc_score(event, ranks[(slice(None), *index)])
        assert got.value[index] == pytest.approx(want, abs=1e-12)
        curve = roc_curve(score[(slice(None), *index)], event)
        area = np.trapezoid(curve.true_positive, curve.false_positive)
        assert area == pytest.approx(want, abs=1e-12)
    false, true, threshold = metrics.roc_curve(event, ranks[:, 1, 0], drop_intermediate=False)
    curve = roc_curve(ranks[:, 1, 0], event)
    np.testing.assert_allclose(curve.false_positive, false, atol=1e-15)
    np.testing.assert_allclose(curve.true_positive, true, atol=1e-15)
    np.testing.assert_array_equal(curve.threshold, threshold)


def test_delong_by_hand():
    """Equations 4 to 6 of DeLong et al., pair by pair."""
    rng = np.random.default_rng(2)
    event = rng.random(60) < 0.4
    scores = np.round(rng.standard_normal((60, 2)) + event[:, None], 1)
    pairs = scores[event][:, None] - scores[~event][None]
    psi = (pairs > 0) + 0.5 * (pairs == 0)
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    covariance = np.cov(v10.T) / len(v10) + np.cov(v01.T) / len(v01)
    got = auc(scores, event)
    np.testing.assert_allclose(got.value, psi.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(got.standard_error, np.sqrt(np.diag(covariance)), rtol=1e-12)
    difference = compare_auc(scores[:, 0], scores[:, 1], event)
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert difference.value == pytest.approx(got.value[0] - got.value[1], abs=1e-12)
    assert difference.standard_error == pytest.approx(error, rel=1e-12)
    assert difference.p_value == pytest.approx(2 * norm.sf(abs(difference.value) / error), rel=1e-9)


@pytest.mark.parametrize(("shift", "events"), [(0.0, 40), (1.0, 40), (2.5, 80), (3.5, 30), (2.0, 10)])
def test_interval_covers(shift, events):
    """1,000 sets: the interval holds the true area as often as it says, or more often where events are few or the area near 1."""
    score, event = draw(np.random.default_rng(3), events, 200, shift, sets=1000)
    got = auc(score, event)
    truth = norm.cdf(shift / np.sqrt(2))
    covered = ((got.lower <= truth) & (truth <= got.upper)).sum()
    assert covered >= binom.ppf(0.001, 1000, 0.95)
    assert covered <= (binom.ppf(0.999, 1000, 0.965) if shift < 2 else 1000)
    assert ((got.lower <= got.value) & (got.value <= got.upper)).all()


def test_interval_is_delongs_in_the_middle_of_the_scale():
    score, event = draw(np.random.default_rng(4), 2000, 2000, 0.7, sets=50)
    got = auc(score, event)
    np.testing.assert_allclose(got.upper - got.lower, 2 * 1.96 * got.standard_error, rtol=0.05)


def test_difference_covers():
    rng = np.random.default_rng(4)
    common, event = draw(rng, 60, 300, 1.0, sets=1000)
    a, b = (common + scale * rng.standard_normal(common.shape) for scale in (0.5, 1.5))
    got = compare_auc(a, b, event)
    truth = norm.cdf(1 / np.sqrt(2 * 1.25)) - norm.cdf(1 / np.sqrt(2 * 3.25))
    covered = ((got.lower <= truth) & (truth <= got.upper)).sum()
    assert binom.ppf(0.001, 1000, 0.94) <= covered <= binom.ppf(0.999, 1000, 0.96)
    null = compare_auc(a, common + 0.5 * rng.standard_normal(common.shape), event)
    assert binom.ppf(0.001, 1000, 0.04) <= (null.p_value < 0.05).sum() <= binom.ppf(0.999, 1000, 0.06)
    alone = auc(a, event).standard_error ** 2 + auc(b, event).standard_error ** 2
    assert (got.standard_error**2 < alone).all(), "pairing pays"


def test_separation_has_an_interval_too():
    event = np.arange(50) < 20
    got = auc(np.column_stack([event * 1.0, event * -1.0, np.zeros(50)]), event)
    np.testing.assert_array_equal(got.value, [1.0, 0.0, 0.5])
    np.testing.assert_array_equal(got.standard_error, 0.0)
    bound = 0.025 ** (1 / 20)  # Clopper and Pearson, 20 of 20
    np.testing.assert_allclose(got.lower, [bound, 0.0, bound / 2], rtol=1e-12)
    np.testing.assert_allclose(got.upper, [1.0, 1 - bound, 1 - bound / 2], rtol=1e-12)


def test_scores_that_do_not_differ():
    score, event = draw(np.random.default_rng(5), 30, 30, 1.0)
    same = compare_auc(score[:, 0], np.exp(score[:, 0]), event)
    assert same.value == 0 == same.standard_error and same.p_value == 1 and same.lower < 0 < same.upper
    opposite = compare_auc(event * 1.0, event * -1.0, event)
    assert opposite.value == 1 == opposite.upper and opposite.p_value == pytest.approx(2 / 2**30)
    assert 0 < opposite.lower < 1


def test_permuted_labels_give_a_half():
    score, event = draw(np.random.default_rng(6), 50, 150, 2.0)
    rng = np.random.default_rng(7)
    areas = [auc(score[:, 0], rng.permutation(event)) for _ in range(300)]
    values = np.array([a.value for a in areas])
    assert abs(values.mean() - 0.5) < 4 * values.std() / np.sqrt(300)
    assert values.std() == pytest.approx(np.mean([a.standard_error for a in areas]), rel=0.15)


def test_folds_are_compared_within_themselves():
    """Scores whose origin differs from fold to fold: pooled, they would look worse than they are."""
    score, event = draw(np.random.default_rng(8), 500, 1500, 1.0, sets=2)
    fold = np.arange(2000) % 5 - 1
    got = auc(score + 10.0 * fold[:, None] * event[::-1, None], event, fold=fold)
    parts = [auc((score + 10.0 * fold[:, None] * event[::-1, None])[fold == f], event[fold == f]) for f in range(4)]
    np.testing.assert_allclose(got.value, np.mean([a.value for a in parts], axis=0), rtol=1e-12)
    error = np.sqrt(np.sum([a.standard_error**2 for a in parts], axis=0)) / 4
    np.testing.assert_allclose(got.standard_error, error, rtol=1e-12)
    shifted = auc(score + 100.0 * fold[:, None], event, fold=fold)
    np.testing.assert_allclose(shifted.value, auc(score, event, fold=fold).value, rtol=1e-12)
    score[fold == -1] = np.nan  # they do not count
    np.testing.assert_array_equal(auc(score, event, fold=fold).value, shifted.value)


def test_all_indicators_against_one_baseline():
    rng = np.random.default_rng(9)
    event = rng.random(200) < 0.5
    a, b = rng.standard_normal((200, 6, 3)), rng.standard_normal((200, 6, 1))
    got = compare_auc(a, b, event)
    assert got.value.shape == (6, 3)
    assert got.value[4, 1] == pytest.approx(compare_auc(a[:, 4, 1], b[:, 4, 0], event).value, abs=1e-12)
    np.testing.assert_array_equal(compare_auc(a, b[:, 0], event).value[2], compare_auc(a[:, 2], b[:, 0], event).value)


SCORE, EVENT = np.arange(10.0), np.arange(10) % 2 == 0


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: auc(SCORE, EVENT * 1), TypeError, r"event must be a bool array of shape \(networks,\), got int64"),
        (lambda: auc(SCORE, [True, False]), TypeError, "event must be a bool array .* got list"),
        (lambda: auc(SCORE[:9], EVENT), ValueError, r"score must have shape \(10, \.\.\.\)"),
        (lambda: auc(SCORE.astype(int), EVENT), TypeError, "score must be float64"),
        (lambda: auc(SCORE * np.nan, EVENT), ValueError, "score must not be nan, got 10"),
        (lambda: auc(SCORE, EVENT, level=1.0), ValueError, "level must be below 1"),
        (lambda: auc(SCORE, SCORE < 1), ValueError, "at least two networks with the event .* got 1 of 10"),
        (lambda: auc(SCORE, SCORE < 9), ValueError, "two without it, got 9 of 10"),
        (lambda: auc(SCORE, EVENT, fold=np.zeros(9, dtype=np.int64)), TypeError, r"folds must be an int64 .*\(10,\)"),
        (lambda: auc(SCORE, EVENT, fold=np.full(10, -1)), ValueError, "folds must be 0, 1, ... without a gap"),
        (lambda: auc(SCORE, EVENT, fold=np.arange(10) % 2 * 2), ValueError, "without a gap"),
        (lambda: auc(SCORE, EVENT, fold=np.arange(10) % 3 - 2), ValueError, "without a gap"),
        (lambda: compare_auc(SCORE, np.ones((10, 2)) * np.nan, EVENT), ValueError, "b must not be nan"),
        (lambda: compare_auc(np.ones((10, 3)), np.ones((10, 2)), EVENT), ValueError, r"must broadcast, got \(3,\) and"),
        (lambda: roc_curve(np.ones((10, 2)), EVENT), ValueError, "one score at a time"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()
