"""Predicting how training ends from indicators seen early on, on networks that the predictor has not learnt from.

Classifiers, bins, orientations and the place of what is not finite are learnt on other networks than those that are scored.
An indicator earns its place only against :func:`baselines`, which need no tangent dynamics: compare with
:func:`~trajlib.prediction.roc.compare_auc`.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass, field

import numpy as np

from .. import _scale, _validate
from ..dynamics.descent import TrainingMap
from ..results import Result
from ..stability.sharpness import sharpness
from .roc import AUC, RocCurve, auc, check_folds, roc_curve

__all__ = [
    "BASELINES",
    "METHODS",
    "Prediction",
    "assign_folds",
    "baselines",
    "outcomes",
    "predict_outcome",
    "predict_with_trees",
]

METHODS = ("gaussian", "histogram", "rank")
BASELINES = ("loss", "gradient norm", "sharpness", "weight norm")
MOST_BINS = 1 << 16
SMOOTHING = 1e-9  # share of an indicator's variance that is added to that within a class, as scikit-learn does


@dataclass(frozen=True, eq=False)
class Prediction(
    Result,
    axes={
        "network ...": "score",
        "network": "event fold",
        "...": "auc",
        "fold ...": "orientation",
    },
):
    """What :func:`predict_outcome` returns; (...) are the axes of the indicators between networks and features.

    Attributes
    ----------
    auc : AUC
        Held-out area under the ROC curve, with its interval, (...).
    score : ndarray (networks, ...)
        Large where the event is expected: the log-odds of the event, or the oriented indicator. Held-out for networks in a
        fold. Networks of fold -1 have the score of the predictor that learnt from them, nan if there is more than one.
    event : ndarray (networks,), bool
        What happened.
    fold : ndarray (networks,), int64
        -1 for networks that are only learnt from.
    orientation : ndarray (folds, ...)
        Of ``method="rank"``: 1. where large values go with the event, -1. where small ones do; 1. for classifiers.
    method : str
        As given.
    """

    auc: AUC
    score: np.ndarray = field(repr=False)
    event: np.ndarray = field(repr=False)
    fold: np.ndarray = field(repr=False)
    orientation: np.ndarray = field(repr=False)
    method: str

    def roc(self, *index: int) -> RocCurve:
        """ROC curve of the held-out networks at one index of (...); scores of different folds are pooled as they are."""
        tested = self.fold >= 0
        score = np.moveaxis(self.score[tested], 0, -1)
        if len(index) != score.ndim - 1:
            raise ValueError(f"index must have {score.ndim - 1} entries, one for each of the axes {score.shape[:-1]}")
        return roc_curve(score[index], self.event[tested])


def outcomes(final_loss: np.ndarray, *, low: float = 4.0, high: float = 100.0) -> np.ndarray:
    """How training ended, by the final loss: 0 (low), 1 (middle) or 2 (high, failed), int64.

    Parameters
    ----------
    final_loss : ndarray (networks,), float64
        A loss that is not finite counts as high: training has diverged.
    low, high : float
        Losses below ``low`` are low, above ``high`` high.

    Raises
    ------
    TypeError, ValueError
        If the losses are not a float64 array, or the thresholds are not positive and in order.

    References
    ----------
    Sharafi, Martin, Hallerberg, Phys. Rev. E 111, 054208 (2025), arXiv 2405.00743, for the thresholds.

    Examples
    --------
    >>> outcomes(np.array([0.3, 50.0, 170.0, np.nan]))
    array([0, 1, 2, 2])
    """
    final_loss = _validate.float64("final_loss", final_loss)
    low, high = _validate.positive("low", low), _validate.positive("high", high)
    if low > high:
        raise ValueError(f"low must not be above high, got {low} and {high}")
    classes = np.where(final_loss < low, 0, np.where(final_loss <= high, 1, 2))
    return np.where(np.isfinite(final_loss), classes, 2).astype(np.int64)


def assign_folds(outcome: np.ndarray, folds: int = 1, *, seed: int = 0) -> np.ndarray:
    """Who is tested when: folds 0, 1, ... of the networks, int64, with the proportions of the outcomes kept.

    Parameters
    ----------
    outcome : ndarray (networks,), bool or int64
        Whether the event happened, or classes.
    folds : int
        1: half of the networks are learnt from (-1) and the other half tested (0). 2 or more: each fold is tested by what
        was learnt from all others.
    seed : int
        Of the assignment (PCG64).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or range.

    Examples
    --------
    >>> assign_folds(np.arange(8) < 2, seed=0)
    array([ 0, -1, -1,  0,  0, -1,  0, -1])
    """
    labels = _classes(outcome)
    folds = _validate.count("folds", folds, 1)
    rng = np.random.Generator(np.random.PCG64(_validate.count("seed", seed)))
    fold = np.empty(len(labels), dtype=np.int64)
    dealt = 0  # go on where the last class ended, so that the folds' sizes differ by one at most
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = (dealt + np.arange(len(members))) % max(folds, 2)
        dealt += len(members)
    return fold - 1 if folds == 1 else fold


def predict_outcome(
    indicators: np.ndarray, outcome: np.ndarray, *, method: str = "gaussian", event: int | None = None,
    folds: int | np.ndarray = 1, seed: int = 0, bins: int = 16, level: float = 0.95,
) -> Prediction:  # fmt: skip
    """Predict an outcome from indicators, and test the prediction on networks held out.

    Parameters
    ----------
    indicators : ndarray (networks, ..., features), float64
        The features are used together, at each index of (...) by itself: (networks, times, features) gives one prediction a
        time. ``indicators[..., None]`` tests each indicator alone. May be nan or inf. Take the logarithm of what spreads
        over decades before it meets a Gaussian.
    outcome : ndarray (networks,), bool or int64
        Whether the event happened, or classes 0, 1, ..., say from :func:`outcomes`.
    method : {"gaussian", "histogram", "rank"}
        Naive Bayes with normal densities or with histograms; or the indicator itself, which needs no classifier and has
        one feature only.
    event : int, optional
        Class to predict, against all others; must be given for int64 outcomes.
    folds : int or ndarray (networks,) of int64
        As in :func:`assign_folds`, or what it returns. Predictions with the same outcomes, folds and seed are paired.
    seed : int
        Of the folds.

    Other Parameters
    ----------------
    bins : int
        Of the histograms, at least 2: quantiles of the networks learnt from, with each class of the same weight, so that a
        rare one is resolved. Counts are smoothed by 1 (Laplace).
    level : float
        Of the confidence intervals.

    Returns
    -------
    Prediction
        No network is dropped. In naive Bayes, nan, -inf and inf are categories of an indicator beside its finite values, each
        with its (smoothed) frequency in each class; one never learnt is no evidence. Finite values are clipped to the range
        learnt. A class with fewer than two finite values takes mean and variance of all classes. By rank, inf is larger than
        all else; nan goes to the end where the event is expected if the event is more frequent among the nan learnt than
        overall, else to the other end, and to the median if there was none to learn from.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or there are too few networks of a class.

    References
    ----------
    Naive Bayes with the ROC curve as in Sharafi, Martin, Hallerberg, arXiv 2405.00743. For finite values inside the range learnt,
    the log-odds are those of scikit-learn's ``GaussianNB`` (and ``CategoricalNB`` of the same bins).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> failed = np.arange(1000) < 300
    >>> early = rng.standard_normal((1000, 5, 2)) + 2.0 * failed[:, None, None]  # 5 times, 2 indicators
    >>> predict_outcome(early, failed).auc.value.round(2)
    array([0.97, 0.98, 0.97, 0.99, 0.98])
    >>> predict_outcome(early[..., None], failed, method="rank").auc.value.shape
    (5, 2)
    """
    x = _validate.float64("indicators", indicators)
    labels = _classes(outcome)
    _validate.choice("method", method, METHODS)
    bins = _validate.count("bins", bins, 2, MOST_BINS)
    if x.ndim < 2 or len(x) != len(labels) or x.size == 0:
        raise ValueError(f"indicators must have shape ({len(labels)}, ..., features), got {x.shape}")
    if method == "rank" and x.shape[-1] != 1:
        raise ValueError(
            f"method='rank' takes one feature, got {x.shape[-1]}; give indicators[..., None] to test each alone"
        )
    target = _event(event, labels, outcome.dtype == bool)
    fold = assign_folds(labels, folds, seed=seed) if isinstance(folds, numbers.Integral) else check_folds(folds, len(x))
    number = int(fold.max()) + 1
    lead, columns = x.shape[1:-1], x.reshape(len(x), -1, x.shape[-1])
    score = np.full(columns.shape[:2], np.nan)
    orientation = np.ones((number, columns.shape[1]))
    for f in range(number):
        learn, test = fold != f, fold == f
        _enough(labels[learn], target)
        scored = test | learn if number == 1 else test
        for j in range(columns.shape[1]):
            known, new = columns[learn, j], columns[scored, j]
            if method == "rank":
                score[scored, j], orientation[f, j] = _orient(known[:, 0], labels[learn] == target, new[:, 0])
            else:
                score[scored, j] = _log_odds(known, labels[learn], new, target, None if method == "gaussian" else bins)
    score = score.reshape(len(x), *lead)
    happened = labels == target
    area = auc(score, happened, fold=fold, level=level)
    return Prediction(area, score, happened, fold, orientation.reshape(number, *lead), method)


def predict_with_trees(
    indicators: np.ndarray, outcome: np.ndarray, *, event: int | None = None, folds: int | np.ndarray = 1, seed: int = 0,
    trees: int = 60, level: float = 0.95,
) -> Prediction:  # fmt: skip
    """Predict an outcome by gradient-boosted trees, which see indicators together where naive Bayes takes each for itself.

    Parameters
    ----------
    indicators, outcome, event, folds, seed, level
        As in :func:`predict_outcome`.
    trees : int
        How many, of at most 31 leaves with at least 20 networks each; learning rate 0.1 (scikit-learn's
        ``HistGradientBoostingClassifier``).

    Returns
    -------
    Prediction
        Its scores are log-odds. nan is a value of its own; inf is the largest of numbers. Trees know the networks that they have
        learnt from far better than others: a threshold has to be chosen on scores of networks that they have not seen.

    Raises
    ------
    TypeError, ValueError
        As in :func:`predict_outcome`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-1.0, 1.0, (2000, 2))
    >>> same_sign = x[:, 0] * x[:, 1] > 0  # neither of the two tells anything alone
    >>> predict_with_trees(x, same_sign).auc.value.round(1), predict_outcome(x, same_sign).auc.value.round(1)
    (np.float64(1.0), np.float64(0.5))
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    x = _validate.float64("indicators", indicators)
    labels = _classes(outcome)
    if x.ndim < 2 or len(x) != len(labels) or x.size == 0:
        raise ValueError(f"indicators must have shape ({len(labels)}, ..., features), got {x.shape}")
    trees = _validate.count("trees", trees, 1)
    happened = labels == _event(event, labels, outcome.dtype == bool)
    fold = assign_folds(labels, folds, seed=seed) if isinstance(folds, numbers.Integral) else check_folds(folds, len(x))
    number, lead = int(fold.max()) + 1, x.shape[1:-1]
    columns = np.clip(x, -1e300, 1e300).reshape(len(x), -1, x.shape[-1])  # nan stays
    score = np.full(columns.shape[:2], np.nan)
    with threadpool_limits(limits=1, user_api="openmp"):  # a few thousand rows: more threads only wait for each other
        for f in range(number):
            learn, test = fold != f, fold == f
            _enough(happened[learn].astype(np.int64), 1)
            scored = test | learn if number == 1 else test
            for j in range(columns.shape[1]):
                made = HistGradientBoostingClassifier(max_iter=trees, early_stopping=False, random_state=seed)
                made.fit(columns[learn, j], happened[learn])
                score[scored, j] = made.decision_function(columns[scored, j])
    score = score.reshape(len(x), *lead)
    area = auc(score, happened, fold=fold, level=level)
    return Prediction(area, score, happened, fold, np.ones((number, *lead)), "trees")


def baselines(gd: TrainingMap, w: np.ndarray) -> np.ndarray:
    """Indicators that need no tangent dynamics, (..., 4): loss, gradient norm, sharpness, weight norm (``BASELINES``).

    Parameters
    ----------
    gd : GradientDescent or SoftmaxMap
        The map whose loss it is.
    w : ndarray (..., p), float64
        Weights, at initialisation or later. Norms are Euclidean; a state that has diverged gives nan or inf.

    Raises
    ------
    TypeError, ValueError
        If the first argument is not a training map, or the weights do not fit.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris())
    >>> baselines(gd, gd.network.init(5, seed=0)).shape
    (5, 4)
    """
    largest = sharpness(gd, w)
    gradient, weight = (_norm(v) for v in (gd.gradient(w), w))
    return np.stack([gd.loss(w), gradient, largest, weight], axis=-1)


def _norm(v: np.ndarray) -> np.ndarray:
    e = _scale.exponent(v)
    with np.errstate(over="ignore", invalid="ignore"):
        v = np.ldexp(v, -e[..., None]) if e.any() else v
        return np.ldexp(np.sqrt((v * v).sum(axis=-1)), e)


def _classes(outcome) -> np.ndarray:
    _validate.unmasked("outcome", outcome)
    if not isinstance(outcome, np.ndarray) or outcome.dtype not in (np.bool_, np.int64) or outcome.ndim != 1:
        given = f"{outcome.dtype} {outcome.shape}" if isinstance(outcome, np.ndarray) else type(outcome).__name__
        raise TypeError(f"outcome must be an array (networks,) of bool, or of int64 classes, got {given}")
    if len(outcome) == 0 or outcome.min() < 0:
        raise ValueError("outcome must hold at least one network, and classes 0, 1, ...")
    return outcome.astype(np.int64)


def _event(event, labels: np.ndarray, is_bool: bool) -> int:
    """The class to predict."""
    if event is None:
        if not is_bool:
            raise ValueError("event, the class to predict, must be given where outcome holds classes; say event=2")
        return 1
    return _validate.count("event", event)


def _enough(labels: np.ndarray, target: int) -> None:
    """Raise where a class that is learnt from has a single network: it has no variance."""
    present, count = np.unique(labels, return_counts=True)
    if target not in present or len(present) < 2 or count.min() < 2:
        raise ValueError(
            f"the networks learnt from must hold at least two of the event (class {target}), two without it, and two of each "
            f"class, got {dict(zip(present.tolist(), count.tolist(), strict=True))}; use more networks, or join classes"
        )


def _orient(known: np.ndarray, happened: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, float]:
    """One indicator turned so that large values go with the event, as the known networks say; and the sign that does it."""
    valid = ~np.isnan(known)
    yes, no = known[valid & happened], np.sort(known[valid & ~happened])
    wins = np.searchsorted(no, yes, "left") + np.searchsorted(no, yes, "right") - len(no)
    sign = -1.0 if wins.sum() < 0 else 1.0
    score = sign * new
    if valid.all():
        place = sign * np.sort(known)[len(known) // 2]
    else:
        place = np.inf if happened[~valid].mean() > happened.mean() else -np.inf
    return np.where(np.isnan(new), place, score), sign


def _log_odds(known: np.ndarray, labels: np.ndarray, new: np.ndarray, target: int, bins: int | None) -> np.ndarray:
    """Log-odds of the target class for new networks (n, features), by naive Bayes; Gaussian where ``bins`` is None."""
    from scipy.special import logsumexp

    present, code, count = np.unique(labels, return_inverse=True, return_counts=True)
    log_p = np.log(count / count.sum()) + sum(
        _evidence(known[:, i], code, new[:, i], bins) for i in range(known.shape[1])
    )
    return log_p[:, present == target][:, 0] - logsumexp(log_p[:, present != target], axis=1)


def _evidence(known: np.ndarray, code: np.ndarray, new: np.ndarray, bins: int | None) -> np.ndarray:
    """Log-likelihood of one indicator in each class, (n, classes), up to what the classes have in common."""
    classes = int(code.max()) + 1
    finite = np.isfinite(known)
    values, owner = known[finite], code[finite]
    edges = np.empty(0)
    if bins is not None and len(values):
        weight = 1 / np.bincount(owner)[owner]  # each class counts the same
        levels = np.arange(1, bins) / bins
        edges = np.unique(np.quantile(values, levels, weights=weight, method="inverted_cdf"))
    if len(values):
        new = np.where(np.isfinite(new), np.clip(new, values.min(), values.max()), new)
    category, known_category = _category(new, edges), _category(known, edges)
    size = len(edges) + 4
    counts = np.bincount(code * size + known_category, minlength=classes * size).reshape(classes, size)
    seen = counts.any(axis=0)
    log_p = np.log((counts + 1) / (counts.sum(axis=1, keepdims=True) + seen.sum()))
    out = np.where(seen, log_p, 0.0).T[category]
    if bins is None and len(values):
        ours = np.isfinite(new)
        out[ours] += _normal(values, owner, new[ours], classes)
    return out


def _category(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bin of finite values 0, ..., len(edges), then nan, -inf, inf."""
    special = len(edges) + np.where(np.isnan(x), 1, np.where(x < 0, 2, 3))
    return np.where(np.isfinite(x), np.searchsorted(edges, x, "right"), special)


def _normal(values: np.ndarray, owner: np.ndarray, new: np.ndarray, classes: int) -> np.ndarray:
    """Logarithm of the normal density of each class at new values, (n, classes), up to a constant."""
    scale = np.abs(values).max()
    if values.max() == values.min():
        return np.zeros((len(new), classes))  # a constant tells nothing
    values, new = values / scale, new / scale  # no overflow in the squares
    groups = [values[owner == c] for c in range(classes)]
    groups = [g if len(g) > 1 else values for g in groups]
    mean = np.array([g.mean() for g in groups])
    variance = np.array([g.var() for g in groups]) + SMOOTHING * values.var()
    return -0.5 * (np.log(variance) + (new[:, None] - mean) ** 2 / variance)
