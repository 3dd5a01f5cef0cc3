"""Curvature, areas under ROC curves, exponents of series and dimensions from other packages: curvlinops, scikit-learn, nolds.

Eigenvalues and areas are the same numbers, to rounding. What is estimated from series and sets is compared within the errors of both.
Beside each comparison the same one is made with something wrong on one side, and must not agree.
"""

import warnings

import numpy as np
import pytest
from other_packages import package

import trajlib as tl
from trajlib.boundary import box_counting_dimension
from trajlib.dynamics.reference import HenonMap, LogisticMap
from trajlib.prediction import auc, roc_curve
from trajlib.series import local_exponents

# Curvature


@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated:DeprecationWarning"
)  # torch, of its own derivatives
@pytest.mark.parametrize(("activation", "k"), [("tanh", 1), ("sigmoid", 3)])
def test_curvlinops_has_the_same_sharpness(activation, k):
    """The Hessian of a perceptron, whose formulas trajlib has by hand, from PyTorch's automatic derivatives. An eigenvalue is off by no
    more than the residual that its search stops at: 1e-9 of the largest one at most."""
    package("torch")
    package("curvlinops")
    import torch
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import eigsh

    task, net = tl.iris(), tl.Perceptron(4, 10, 3, activation=activation)
    gd, w = tl.GradientDescent(net, task), net.init(1, seed=0)[0]
    unit = {"tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}[activation]
    module = torch.nn.Sequential(torch.nn.Linear(4, 10), unit(), torch.nn.Linear(10, 3)).double()
    with torch.no_grad():
        for parameter, values in zip(module.parameters(), net.unpack(w), strict=True):
            parameter.copy_(torch.tensor(values.T))
    x, y, criterion = torch.tensor(task.x), torch.tensor(task.y), torch.nn.CrossEntropyLoss()
    assert criterion(module(x), y).item() == pytest.approx(gd.loss(w), rel=1e-13)
    operator = HessianLinearOperator(module, criterion, list(module.parameters()), [(x, y)], check_deterministic=False)
    start, size = np.random.default_rng(0).standard_normal(net.n_parameters), tl.sharpness(gd, w)
    found = eigsh(operator.to_scipy(), k, which="LA", tol=1e-10, v0=start, return_eigenvectors=False)
    for method in ("dense", "lanczos"):
        np.testing.assert_allclose(
            tl.sharpness(gd, w, k, method=method), np.sort(found)[::-1], rtol=0, atol=1e-9 * size
        )
    assert np.abs(tl.sharpness(gd, w * (1 + 1e-6), k) - np.sort(found)[::-1]).max() > 1e-8 * size
    matrix = (operator @ torch.eye(net.n_parameters, dtype=torch.float64)).detach().numpy()
    smallest = np.linalg.eigvalsh(matrix)[:k]
    np.testing.assert_allclose(tl.sharpness(gd, w, k, smallest=True), smallest[::-1], rtol=0, atol=1e-9 * size)


# Areas under ROC curves


@pytest.mark.parametrize("digits", [0, 1, 9])
def test_scikit_learn_has_the_same_areas(digits):
    """From scores with many ties, some, and none; and folds, which it is given one by one. Areas are shares of pairs: rounding."""
    metrics = package("sklearn.metrics")
    rng = np.random.default_rng(digits)
    event, fold = rng.random(500) < 0.2, rng.integers(0, 3, 500)
    score = np.round(rng.standard_normal(500) + event, digits)
    assert auc(score, event).value == pytest.approx(metrics.roc_auc_score(event, score), abs=1e-13)
    parts = [metrics.roc_auc_score(event[fold == f], score[fold == f]) for f in range(3)]
    assert auc(score, event, fold=fold).value == pytest.approx(np.mean(parts), abs=1e-13)
    curve = roc_curve(score, event)
    for ours, theirs in zip(
        (curve.false_positive, curve.true_positive, curve.threshold),
        metrics.roc_curve(event, score, drop_intermediate=False),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    other = event.copy()
    other[0] = ~other[0]
    assert abs(auc(score, other).value - metrics.roc_auc_score(event, score)) > 1e-6


@pytest.mark.parametrize("happened", [False, True])
def test_neither_gives_an_area_where_all_are_of_one_class(happened):
    """trajlib raises; scikit-learn raises, or (1.6 and later) warns and returns nan."""
    metrics = package("sklearn.metrics")
    score, event = np.arange(9.0), np.full(9, happened)
    with pytest.raises(ValueError, match="at least two networks"):
        auc(score, event)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            area = metrics.roc_auc_score(event, score)
        except ValueError:
            area = np.nan
    assert np.isnan(area)


# Series


def orbits(m, n, steps, dimension):
    """First coordinates of n orbits from random states near 0.1, after 200 steps, (n, steps)."""
    w = 0.1 + 0.05 * np.random.default_rng(0).random((n, dimension))
    out = np.empty((steps + 200, n))
    for t in range(len(out)):
        w = m(w)
        out[t] = w[:, 0]
    return out[200:].T


@pytest.mark.parametrize(
    ("m", "other", "radius", "horizon", "exact"),
    [
        (LogisticMap(4.0), LogisticMap(3.9), 1e-3, 6, np.log(2)),
        (HenonMap(), HenonMap(a=1.2), 5e-3, 7, 0.41922),
    ],
    ids=["logistic", "henon"],
)
def test_nolds_has_the_same_exponent_of_a_series(m, other, radius, horizon, exact):
    """Two ways to the largest exponent. Rosenstein (nolds): the nearest neighbour of each point, mean of the logarithms of the distances of
    delay vectors. Kantz (trajlib): all neighbours within a radius, logarithm of their mean distance in the series. The same steps are
    fitted. Both are off where neighbours lie on two sides of the fold: a share of about the distance at the last step, 0.03 of the
    attractor. What eight series make of chance is smaller."""
    nolds = package("nolds")
    dimension = 2 if isinstance(m, HenonMap) else 1
    options = {"emb_dim": dimension, "lag": 1, "min_tsep": 1, "trajectory_len": horizon + 1, "fit": "poly"}
    fitted = np.arange(1, horizon + 1)
    theirs, ours, wrong = [], [], []
    for x, y in zip(orbits(m, 8, 1500, dimension), orbits(other, 8, 1500, dimension), strict=True):
        theirs.append(nolds.lyap_r(x, fit_offset=1, **options))
        for series, found in ((x, ours), (y, wrong)):
            local = local_exponents(
                series, radius=radius, horizon=horizon, references=1000, theiler=1, dimension=dimension
            )
            found.append(np.polyfit(fitted, local.curve[1:], 1)[0])
    assert abs(np.mean(ours) - np.mean(theirs)) < 0.03
    assert abs(np.mean(ours) - exact) < 0.03 and abs(np.mean(theirs) - exact) < 0.03
    assert abs(np.mean(wrong) - np.mean(theirs)) > 0.06


def cantor(n, ratio, seed):
    """n random numbers of a Cantor set of the given ratio: its points have one dimension by any definition, ln 2 / -ln ratio."""
    digits = np.random.default_rng(seed).integers(0, 2, (n, 30))
    return (1 - ratio) * (digits * ratio ** np.arange(30)).sum(axis=1)


def test_nolds_has_the_same_dimension():
    """Of pairs from Cantor's set: by pairs of points (nolds, correlation dimension, maximum norm) and by boxes (trajlib). At radii that
    are powers of 1/3, the share of close pairs is 4^-k without any correction; its error from counts, some 0.02 at the last radius, makes
    0.005 in the slope: four of these. (0.6.1 counts each point as close to itself, against its docstring: that is taken off.)"""
    nolds = package("nolds")
    radii, n = 3.0 ** -np.arange(1, 5), 1999

    def correlation_dimension(x):
        options = {"rvals": radii, "dist": nolds.measures.rowwise_chebyshev, "fit": "poly", "debug_data": True}
        _, (log_radius, log_share, _) = nolds.corr_dim(x, 2, **options)
        return np.polyfit(log_radius, np.log(np.exp(log_share) - 1 / (n - 1)), 1)[0]

    theirs = correlation_dimension(cantor(n + 1, 1 / 3, 0))
    many = cantor(200_000, 1 / 3, 1)
    mask = np.zeros((729, 729), dtype=bool)
    mask[tuple(np.minimum(729 * part, 728).astype(int) for part in (many[::2], many[1::2]))] = True
    found = box_counting_dimension(mask, sizes=[1, 3, 9, 27, 81], shifts=1)
    assert found.resolved and found.dimension == pytest.approx(2 * np.log(2) / np.log(3), abs=1e-3)
    assert abs(theirs - found.dimension) < 0.02
    assert abs(correlation_dimension(cantor(n + 1, 1 / 4, 0)) - found.dimension) > 0.05
