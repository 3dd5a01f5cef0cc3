"""Prediction of outcomes: optimal areas, scikit-learn's naive Bayes, nothing leaks, what is not finite, bad input."""

from math import erf

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.naive_bayes import CategoricalNB, GaussianNB

import trajlib as tl
from trajlib.prediction.predict import (
    BASELINES,
    METHODS,
    assign_folds,
    baselines,
    outcomes,
    predict_outcome,
    predict_with_trees,
)


def draw(n, share, shift, seed=0, features=1, times=()):
    """Two classes of independent normals, ``shift`` apart in each feature."""
    rng = np.random.default_rng(seed)
    event = rng.random(n) < share
    x = rng.standard_normal((n, *times, features))
    x += shift * event.reshape(-1, *(1,) * (x.ndim - 1))
    return x, event


def test_outcomes():
    loss = np.array([0.0, 3.9, 4.0, 100.0, 100.1, np.inf, np.nan, -np.inf])
    got = outcomes(loss)
    np.testing.assert_array_equal(got, [0, 0, 1, 1, 2, 2, 2, 2])
    assert got.dtype == np.int64
    np.testing.assert_array_equal(outcomes(loss, low=50.0, high=50.0), [0, 0, 0, 2, 2, 2, 2, 2])


@pytest.mark.parametrize("folds", [1, 2, 5])
def test_folds_keep_the_proportions(folds):
    outcome = np.random.default_rng(0).integers(0, 3, 1003)
    fold = assign_folds(outcome, folds, seed=1)
    values = [-1, 0] if folds == 1 else list(range(folds))
    np.testing.assert_array_equal(np.unique(fold), values)
    for label in range(3):
        sizes = [((fold == f) & (outcome == label)).sum() for f in values]
        assert max(sizes) - min(sizes) <= 1
    sizes = [(fold == f).sum() for f in values]
    assert max(sizes) - min(sizes) <= 1
    np.testing.assert_array_equal(fold, assign_folds(outcome, folds, seed=1))
    assert (fold != assign_folds(outcome, folds, seed=2)).any()


@pytest.mark.parametrize("method", METHODS)
def test_gaussian_classes_are_told_apart_as_well_as_can_be(method):
    """Two normals with equal variances: the optimal area is Phi(d / sqrt 2), d the distance between them."""
    features = 1 if method == "rank" else 3
    shift = 1.0
    x, event = draw(20000, 0.2, shift, features=features)
    got = predict_outcome(x, event, method=method)
    best = norm.cdf(shift * np.sqrt(features / 2))
    lost = 0.01 if method == "histogram" else 0.0  # to the width of the bins
    assert got.auc.lower - lost < best < got.auc.upper + lost
    curve = got.roc()
    assert np.trapezoid(curve.true_positive, curve.false_positive) == pytest.approx(got.auc.value, abs=1e-12)


def test_a_wide_and_a_narrow_class():
    """Same mean, different variance: a rank sees nothing, naive Bayes the optimal area (of \\|x\\|, here by simulation)."""
    rng = np.random.default_rng(0)
    event = np.arange(20000) < 5000
    x = rng.standard_normal((20000, 1)) * np.where(event, 3.0, 1.0)[:, None]
    best = tl.auc(np.abs(x[:, 0]), event).value
    rank, gauss, bins = (predict_outcome(x, event, method=m).auc for m in ("rank", "gaussian", "histogram"))
    assert abs(rank.value - 0.5) < 0.03
    assert gauss.lower < best < gauss.upper and bins.value > best - 0.02


@pytest.mark.parametrize("classes", [2, 3])
def test_scikit_learn_agrees(classes):
    rng = np.random.default_rng(1)
    label = rng.integers(0, classes, 2000)
    x = rng.standard_normal((2000, 2)) * (1 + label)[:, None] + 0.3 * label[:, None]
    fold = assign_folds(label, 1)
    learn = fold == -1
    inside = ((x >= x[learn].min(axis=0)) & (x <= x[learn].max(axis=0))).all(axis=1)
    got = predict_outcome(x, label, method="gaussian", event=1, folds=fold).score
    p = GaussianNB().fit(x[learn], label[learn]).predict_proba(x)[:, 1]
    np.testing.assert_allclose(got[inside], np.log(p / (1 - p))[inside], rtol=1e-6, atol=1e-6)

    coarse = np.clip(np.floor(x), -3, 3)
    learn_bins = [np.unique(c) for c in coarse[learn].T]
    code = np.column_stack([np.searchsorted(b, c) for b, c in zip(learn_bins, coarse.T, strict=True)])
    p = CategoricalNB().fit(code[learn], label[learn]).predict_proba(code)[:, 1]
    got = predict_outcome(coarse, label, method="histogram", event=1, folds=fold, bins=2000).score
    np.testing.assert_allclose(got, np.log(p / (1 - p)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_units_do_not_matter(method, scale):
    x, event = draw(400, 0.3, 1.0)
    a, b = (predict_outcome(v, event, method=method) for v in (x, scale * x))
    np.testing.assert_allclose(a.auc.value, b.auc.value, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("folds", [1, 4])
def test_nothing_leaks(method, folds):
    """Random features, few networks: learning from those that are tested would show as an area above 1/2."""
    values = []
    for seed in range(40):
        x, event = draw(60, 0.5, 0.0, seed=seed, times=(20,))
        values.append(predict_outcome(x, event, method=method, folds=folds).auc.value.mean())
    assert abs(np.mean(values) - 0.5) < 4 * np.std(values) / np.sqrt(40) < 0.05
    if folds == 1:
        seen = []
        for seed in range(10):
            x, event = draw(60, 0.5, 0.0, seed=seed, times=(20,))
            p = predict_outcome(x, event, method=method)
            learnt = p.fold == -1
            seen.append(tl.auc(p.score[learnt], event[learnt]).value.mean())
        assert np.mean(seen) > 0.53, "the same networks, learnt from and tested: this is what the test above would see"


@pytest.mark.parametrize("method", METHODS)
def test_held_out_outcomes_do_not_reach_the_scores(method):
    x, event = draw(200, 0.4, 0.5)
    fold = assign_folds(event, 1)
    changed = event.copy()
    tested = np.flatnonzero(fold == 0)
    changed[tested] = np.random.default_rng(0).permutation(event[tested])
    a, b = (predict_outcome(x, e, method=method, folds=fold) for e in (event, changed))
    np.testing.assert_array_equal(a.score, b.score)
    np.testing.assert_array_equal(a.orientation, b.orientation)
    assert a.auc.value != b.auc.value


def test_orientation_is_learnt():
    x, event = draw(400, 0.3, 1.5)
    up, down = (predict_outcome(s * x, event, method="rank") for s in (1, -1))
    assert up.orientation.tolist() == [1.0] and down.orientation.tolist() == [-1.0]
    assert up.auc.value == down.auc.value > 0.8
    fold = np.where(np.arange(400) < 200, -1, 0)
    reversed_later = np.where((fold == 0)[:, None], -x, x)
    assert predict_outcome(reversed_later, event, method="rank", folds=fold).auc.value < 0.25


def test_each_alone_together_and_in_time():
    x, event = draw(300, 0.3, 1.0, features=3, times=(4,))
    alone = predict_outcome(x[..., None], event)
    assert alone.auc.value.shape == (4, 3) and alone.score.shape == (300, 4, 3)
    one = predict_outcome(x[:, 2, 1:2], event)
    assert one.auc.value == alone.auc.value[2, 1] and one.score.shape == (300,)
    together = predict_outcome(x, event)
    assert together.auc.value.shape == (4,) and (together.auc.value > alone.auc.value.max(axis=1) - 0.05).all()
    gain = tl.compare_auc(together.score[..., None], alone.score, event, fold=alone.fold)
    np.testing.assert_allclose(gain.value, together.auc.value[:, None] - alone.auc.value, atol=1e-12)


def test_folds_score_everyone_once():
    x, event = draw(300, 0.3, 1.0)
    got = predict_outcome(x, event, folds=5, seed=3)
    np.testing.assert_array_equal(got.fold, assign_folds(event, 5, seed=3))
    for f in range(5):  # each fold by what the others taught
        want = predict_outcome(x, event, folds=np.where(got.fold == f, 0, -1))
        np.testing.assert_array_equal(got.score[got.fold == f], want.score[got.fold == f])
    half = predict_outcome(x, event)
    assert np.isfinite(half.score).all() and half.auc.standard_error > got.auc.standard_error


def test_three_classes():
    rng = np.random.default_rng(2)
    label = rng.integers(0, 3, 3000)
    x = rng.standard_normal((3000, 1)) + 2.0 * label[:, None]
    areas = [predict_outcome(x, label, event=k).auc.value for k in range(3)]
    assert min(areas) > 0.8, "the middle one is no half-line: a classifier sees it ..."
    assert predict_outcome(x, label, event=1, method="rank").auc.value < 0.6, "... and a rank does not"
    top = tl.auc(x[:, 0], label == 2).value
    assert areas[2] == pytest.approx(top, abs=0.02)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_evidence(method, value):
    """An indicator that says nothing but that it is not finite for most networks with the event."""
    x, event = draw(4000, 0.3, 0.0)
    gone = np.random.default_rng(5).random(4000) < np.where(event, 0.8, 0.1)
    x[gone] = value
    got = predict_outcome(x, event, method=method)
    assert got.auc.value == pytest.approx(0.5 + 0.5 * (0.8 - 0.1), abs=0.03)
    assert np.isfinite(got.score).all() or method == "rank"
    other = predict_outcome(x, ~event, method=method)
    assert other.auc.value == pytest.approx(got.auc.value, abs=0.03)


@pytest.mark.parametrize("method", METHODS)
def test_what_was_never_seen_is_no_evidence(method):
    x, event = draw(400, 0.3, 2.0)
    fold = assign_folds(event, 1)
    x[np.flatnonzero(fold == 0)[:3], 0] = np.nan
    got = predict_outcome(x, event, method=method, folds=fold)
    low, high = np.quantile(got.score[fold == 0], [0.05, 0.95])
    assert (low < got.score[np.isnan(x[:, 0])]).all() and (got.score[np.isnan(x[:, 0])] < high).all()
    assert not np.isnan(got.score).any()


@pytest.mark.parametrize("method", METHODS)
def test_degenerate_indicators(method):
    _, event = draw(200, 0.5, 0.0)
    for value in (0.0, 3.5, 1e308, np.nan, np.inf):
        got = predict_outcome(np.full((200, 1), value), event, method=method)
        assert got.auc.value == 0.5
    exact = predict_outcome(event[:, None] * 1.0, event, method=method)
    assert exact.auc.value == 1 and exact.auc.lower < 1
    wild = np.where(np.arange(200) % 7 == 0, 1e308, np.where(event, 1e-308, -1e-308))[:, None]
    assert np.isfinite(predict_outcome(wild, event, method=method).score).all()
    mostly = np.where(event, np.nan, np.random.default_rng(0).standard_normal(200))[
        :, None
    ]  # no finite value in a class
    assert predict_outcome(mostly, event, method=method).auc.value == 1


def test_rare_events_get_bins():
    rng = np.random.default_rng(3)
    event = np.arange(8000) < 80
    x = rng.standard_normal((8000, 1)) + 3.0 * event[:, None]
    assert predict_outcome(x, event, method="histogram").auc.value > norm.cdf(3 / np.sqrt(2)) - 0.03


def test_baselines():
    net = tl.Perceptron(2, 2, 1, activation="tanh", loss="half_squared_error")
    gd = tl.GradientDescent(net, tl.plane(), lr=1e-3)
    w = net.init(6, seed=0).reshape(2, 3, 9)
    got = baselines(gd, w)
    assert got.shape == (2, 3, len(BASELINES))
    want = (gd.loss(w), np.linalg.norm(gd.gradient(w), axis=-1), tl.sharpness(gd, w), np.linalg.norm(w, axis=-1))
    np.testing.assert_allclose(got, np.stack(want, axis=-1), rtol=1e-12)
    gone = baselines(gd, np.full((1, 9), np.nan))
    assert np.isnan(gone).all()
    with pytest.raises(TypeError, match=r"must be a map such as GradientDescent.*, got Perceptron"):
        baselines(net, w)


def test_failed_runs_of_the_stand_in_are_predicted():
    """End to end: the loss at step 15 tells which runs of the parabola fail."""
    net = tl.Perceptron(2, 2, 1, activation="tanh", loss="half_squared_error")
    gd = tl.GradientDescent(net, tl.plane(), lr=1e-3)
    w0 = net.init(400, seed=0)
    early = tl.train(gd, w0, steps=15, record=("loss",))
    final = tl.train(gd, w0, steps=4000, record=("loss",), every=4000).loss[:, -1]
    got = predict_outcome(np.log(early.loss[..., None]), outcomes(final) == 2, method="rank")
    assert got.auc.value.shape == (16,) and got.auc.value.max() > 0.6


X, E = np.random.default_rng(0).standard_normal((40, 2)), np.arange(40) % 2 == 0


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: outcomes(np.ones(3), low=5.0, high=4.0), ValueError, "low must not be above high, got 5.0 and 4.0"),
        (lambda: outcomes([1.0]), TypeError, "final_loss must be a numpy array"),
        (lambda: outcomes(np.ones(3), low=-1.0), ValueError, "low must be a positive"),
        (lambda: assign_folds(E, 0), ValueError, "folds must be an integer >= 1, got 0"),
        (lambda: assign_folds(E, seed=-1), ValueError, "seed must be an integer >= 0"),
        (lambda: assign_folds(X[:, 0]), TypeError, "outcome must be an array .* got float64"),
        (lambda: assign_folds(np.arange(4) - 1), ValueError, "classes 0, 1"),
        (lambda: assign_folds(E[:0]), ValueError, "at least one network"),
        (
            lambda: predict_outcome(X[0], E),
            ValueError,
            r"indicators must have shape \(40, \.\.\., features\), got \(2,\)",
        ),
        (lambda: predict_outcome(X[:9], E), ValueError, "indicators must have shape"),
        (lambda: predict_outcome(X[:, :0], E), ValueError, "indicators must have shape"),
        (lambda: predict_outcome(X.astype(np.float32), E), TypeError, "indicators must be float64"),
        (lambda: predict_outcome(X, E, method="forest"), ValueError, "method must be one of 'gaussian', 'histogram'"),
        (
            lambda: predict_outcome(X, E, method="rank"),
            ValueError,
            r"takes one feature, got 2; give indicators\[\.\.\.",
        ),
        (lambda: predict_outcome(X, E * 1), ValueError, "event, the class to predict, must be given"),
        (lambda: predict_outcome(X, E * 1, event=7), ValueError, r"at least two of the event \(class 7\)"),
        (lambda: predict_outcome(X, E * 1, event=-1), ValueError, "event must be an integer >= 0"),
        (lambda: predict_outcome(X, E & False), ValueError, "must hold at least two of the event"),
        (lambda: predict_outcome(X, np.arange(40) < 2), ValueError, "use more networks, or join classes"),
        (lambda: predict_outcome(X, E, bins=1), ValueError, "bins must be an integer >= 2"),
        (lambda: predict_outcome(X, E, folds=15), ValueError, "use more networks or fewer folds"),
        (lambda: predict_outcome(X, E, folds=np.zeros(3, dtype=np.int64)), TypeError, "one fold a network"),
        (lambda: predict_outcome(X, E, folds=2.0), TypeError, "folds must be an int64 array"),
        (lambda: predict_outcome(X, E, level=2.0), ValueError, "level must be below 1"),
        (lambda: predict_outcome(X, E).roc(0), ValueError, "index must have 0 entries"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_trees_reach_what_can_be_known():
    """Two normal classes a distance d apart: no reader does better than Phi(d / sqrt 2), and few trees come near."""
    x, event = draw(4000, 0.5, 1.0)
    best = 0.5 * (1 + erf(np.sqrt(x.shape[-1]) / 2))
    got = predict_with_trees(x, event).auc
    assert best - 0.05 < got.value < best + 0.02


def test_trees_do_not_leak():
    values = [predict_with_trees(x, event).auc.value for x, event in (draw(200, 0.5, 0.0, seed=s) for s in range(10))]
    assert abs(np.mean(values) - 0.5) < 4 * np.std(values) / np.sqrt(10)
    p = predict_with_trees(*draw(300, 0.5, 0.0))
    assert tl.auc(p.score[p.fold == -1], p.event[p.fold == -1]).value > 0.65, "on what they have learnt from"


def test_trees_take_what_is_not_finite():
    x, event = draw(400, 0.4, 0.0)
    x[event, 0] = np.nan
    assert predict_with_trees(x, event).auc.value > 0.99
    x[:, 0] = np.where(event, np.inf, -np.inf)
    assert predict_with_trees(x, event, folds=4).auc.value > 0.99


def test_trees_need_both_kinds():
    with pytest.raises(ValueError, match="at least two"):
        predict_with_trees(np.zeros((10, 1)), np.zeros(10, dtype=bool))
    with pytest.raises(ValueError, match="indicators must have shape"):
        predict_with_trees(np.zeros((9, 1)), np.arange(10) < 5)
