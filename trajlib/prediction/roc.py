"""How well a score tells two groups of networks apart: the area under the ROC curve, its interval, and differences of areas.

The area (AUC) is the probability that a network with the event scores above one without it, ties counting half. Everything
follows from placements, the share of the other group that each network is ahead of: their means are areas, their variances
DeLong's, and those of their differences compare two scores of the same networks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..results import Result

__all__ = ["AUC", "AUCDifference", "RocCurve", "auc", "compare_auc", "roc_curve"]


@dataclass(frozen=True, eq=False)
class AUC(Result, axes={"...": "value standard_error lower upper"}):
    """What :func:`auc` returns; (...) are the axes of the score after that of the networks.

    Attributes
    ----------
    value : ndarray (...)
        Area under the ROC curve, between 0 and 1.
    standard_error : ndarray (...)
        DeLong's.
    lower, upper : ndarray (...)
        Confidence interval.
    """

    value: np.ndarray
    standard_error: np.ndarray = field(repr=False)
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True, eq=False)
class AUCDifference(Result, axes={"...": "value standard_error lower upper p_value"}):
    """What :func:`compare_auc` returns; (...) are the axes of the scores after that of the networks.

    Attributes
    ----------
    value : ndarray (...)
        AUC of the first score less that of the second.
    standard_error, lower, upper : ndarray (...)
        Paired standard error and confidence interval.
    p_value : ndarray (...)
        Two-sided, for equal areas.
    """

    value: np.ndarray
    standard_error: np.ndarray = field(repr=False)
    lower: np.ndarray
    upper: np.ndarray
    p_value: np.ndarray


@dataclass(frozen=True, eq=False)
class RocCurve(Result, axes={"point": "false_positive true_positive threshold"}):
    """What :func:`roc_curve` returns: n points from (0, 0) to (1, 1).

    Attributes
    ----------
    false_positive, true_positive : ndarray (n,)
        Share of the networks without and with the event whose score is at least the threshold.
    threshold : ndarray (n,)
        Decreasing; the first is inf and no network reaches it.
    """

    false_positive: np.ndarray = field(repr=False)
    true_positive: np.ndarray = field(repr=False)
    threshold: np.ndarray = field(repr=False)


def auc(score: np.ndarray, event: np.ndarray, *, fold: np.ndarray | None = None, level: float = 0.95) -> AUC:
    """Area under the ROC curve of scores, with DeLong's confidence interval.

    Parameters
    ----------
    score : ndarray (networks, ...), float64
        Large where the event is expected. inf is allowed, nan is not.
    event : ndarray (networks,), bool
        What happened.
    fold : ndarray (networks,), int64, optional
        Networks are compared within their fold only, and the areas of the folds averaged: scores of different classifiers
        have no common scale. Networks of fold -1 do not count.
    level : float
        Of the interval, between 0 and 1.

    Returns
    -------
    AUC
        The interval is DeLong's on the logit scale, which keeps it inside [0, 1], joined with Newcombe's score interval: with
        few networks of a group and an area near 1, DeLong's variance is too small, and its interval alone would hold the true
        area in 78 to 90 % of cases instead of 95 (the joint one in 98 or 99). A score without any variance (it separates
        perfectly, or is constant) has standard error 0; its interval is then the exact binomial one of as many disjoint pairs
        of networks as there are.

    Raises
    ------
    TypeError, ValueError
        If an array has the wrong type or shape, a score is nan, or a fold has fewer than two networks of either group.

    References
    ----------
    E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988) 837; X. Sun, W. Xu, IEEE Signal Process. Lett. 21
    (2014) 1389 (in O(n log n)); E. LeDell, M. Petersen, M. van der Laan, Electron. J. Stat. 9 (2015) 1583 (folds);
    R. G. Newcombe, Statist. Med. 25 (2006) 559, method 5 (the score interval).

    Examples
    --------
    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])).value
    np.float64(0.75)
    """
    event, fold, level = _groups(event, fold, level)
    score = _scores("score", score, event, fold)
    value, error, pairs = _average(_placements, (score,), event, fold)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        spread = _normal_quantile(level) * error / (value * (1 - value))
        odds = value / (1 - value)
        lower, upper = (1 / (1 + np.exp(sign * spread) / odds) for sign in (1, -1))
    below, above = _score_interval(value, int(event[fold >= 0].sum()), int((~event)[fold >= 0].sum()), level)
    radius = _unseen(level, pairs) * np.maximum(value, 1 - value)
    lower = np.where(error > 0, np.minimum(lower, below), np.maximum(value - radius, 0.0))
    upper = np.where(error > 0, np.maximum(upper, above), np.minimum(value + radius, 1.0))
    return AUC(*(a[()] for a in (value, error, lower, upper)))


def compare_auc(
    a: np.ndarray, b: np.ndarray, event: np.ndarray, *, fold: np.ndarray | None = None, level: float = 0.95
) -> AUCDifference:
    """Difference of the areas under the ROC curves of two scores of the same networks.

    Parameters
    ----------
    a, b : ndarray (networks, ...), float64
        Scores; the axes after that of the networks broadcast, say all indicators against one baseline.
    event, fold, level
        As in :func:`auc`.

    Returns
    -------
    AUCDifference
        Paired: networks that are hard for both scores cancel. The interval is the normal one: it is too short where an area is
        near 1 and few networks have the event. Where no network distinguishes the scores (standard error
        0), the interval and the p-value are bounds from as many disjoint pairs of networks as there are.

    Raises
    ------
    TypeError, ValueError
        As in :func:`auc`, and if the axes of the scores do not broadcast.

    References
    ----------
    E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988) 837.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> event = np.arange(400) < 100
    >>> good, poor = (shift * event + rng.standard_normal(400) for shift in (2.0, 0.5))
    >>> gain = compare_auc(good, poor, event)
    >>> bool(gain.lower > 0.1), bool(gain.p_value < 1e-6)
    (True, True)
    """
    event, fold, level = _groups(event, fold, level)
    a, b = _scores("a", a, event, fold), _scores("b", b, event, fold)
    axes = max(a.ndim, b.ndim)
    a, b = (s.reshape(len(s), *(1,) * (axes - s.ndim), *s.shape[1:]) for s in (a, b))
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(
            f"the axes of a and b after that of the networks must broadcast, got {a.shape[1:]} and {b.shape[1:]}"
        ) from None
    value, error, pairs = _average(lambda x, y, e: _placements(x, e) - _placements(y, e), (a, b), event, fold)
    from scipy.special import ndtr

    radius = np.where(error > 0, _normal_quantile(level) * error, _unseen(level, pairs) * (1 + np.abs(value)))
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = np.where(error > 0, 2 * ndtr(-np.abs(value) / error), 2 * (1 + np.abs(value)) ** -float(pairs))
    lower, upper = np.maximum(value - radius, -1.0), np.minimum(value + radius, 1.0)
    return AUCDifference(*(a[()] for a in (value, error, lower, upper, np.minimum(p_value, 1.0))))


def roc_curve(score: np.ndarray, event: np.ndarray) -> RocCurve:
    """The ROC curve of one score: one point for each of its distinct values.

    Parameters
    ----------
    score : ndarray (networks,), float64
        Large where the event is expected; not nan.
    event : ndarray (networks,), bool
        What happened.

    Raises
    ------
    TypeError, ValueError
        As in :func:`auc`, and if there is more than one score.

    Examples
    --------
    >>> curve = roc_curve(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    >>> curve.false_positive, curve.true_positive
    (array([0. , 0. , 0.5, 0.5, 1. ]), array([0. , 0.5, 0.5, 1. , 1. ]))
    """
    event, fold, _ = _groups(event, None, 0.5)
    score = _scores("score", score, event, fold)
    if score.ndim != 1:
        raise ValueError(f"score must have shape (networks,), one score at a time, got {score.shape}")
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(score) - 1)  # of each run of ties
    hits = np.cumsum(event[order])[last]
    false, true = (last + 1 - hits) / (~event).sum(), hits / event.sum()
    return RocCurve(np.append(0.0, false), np.append(0.0, true), np.append(np.inf, ordered[last]))


def _groups(event, fold, level) -> tuple[np.ndarray, np.ndarray, float]:
    """Checked event, fold and level."""
    _validate.unmasked("event", event)
    if not isinstance(event, np.ndarray) or event.dtype != bool or event.ndim != 1:
        given = f"{event.dtype} of shape {event.shape}" if isinstance(event, np.ndarray) else type(event).__name__
        raise TypeError(f"event must be a bool array of shape (networks,), got {given}; use say outcomes(loss) == 2")
    fold = np.zeros(len(event), dtype=np.int64) if fold is None else check_folds(fold, len(event))
    if _validate.positive("level", level) >= 1:
        raise ValueError(f"level must be below 1, got {level}")
    for f in np.unique(fold[fold >= 0]):
        with_event, size = int(event[fold == f].sum()), int((fold == f).sum())
        if min(with_event, size - with_event) < 2:
            raise ValueError(
                f"every fold must hold at least two networks with the event and two without it, got {with_event} of "
                f"{size} with it; use more networks or fewer folds"
            )
    return event, fold, float(level)


def check_folds(fold, networks: int) -> np.ndarray:
    """Folds 0, 1, ... of the networks, -1 where a network is only learnt from; at least one network is in a fold."""
    _validate.unmasked("folds", fold)
    if not isinstance(fold, np.ndarray) or fold.dtype != np.int64 or fold.shape != (networks,):
        given = f"{fold.dtype} of shape {fold.shape}" if isinstance(fold, np.ndarray) else type(fold).__name__
        raise TypeError(f"folds must be an int64 array of shape ({networks},), one fold a network, got {given}")
    used = np.unique(fold[fold >= 0])
    if fold.min(initial=0) < -1 or len(used) == 0 or used[-1] != len(used) - 1:
        raise ValueError(
            f"folds must be 0, 1, ... without a gap, -1 for networks only learnt from, got {np.unique(fold)}"
        )
    return fold


def _scores(name: str, score, event: np.ndarray, fold: np.ndarray) -> np.ndarray:
    score = _validate.float64(name, score)
    if score.ndim == 0 or len(score) != len(event):
        raise ValueError(f"{name} must have shape ({len(event)}, ...), one entry a network, got {score.shape}")
    missing = int(np.isnan(score[fold >= 0]).sum())
    if missing:
        raise ValueError(
            f"{name} must not be nan, got {missing} such entries; predict_outcome(..., method='rank') gives them a place"
        )
    return score


def _placements(score: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Share of the other group that each network is on the right side of, ties half, (..., networks): networks last, so that
    each sum is over contiguous numbers, and does not depend on how many scores there are."""
    columns = np.ascontiguousarray(score.reshape(len(score), -1).T)
    out = np.empty(columns.shape)
    for column, placed in zip(columns, out, strict=True):
        yes, no = column[event], column[~event]
        placed[event] = _share_below(yes, np.sort(no))
        placed[~event] = 1 - _share_below(no, np.sort(yes))
    return out.reshape(*score.shape[1:], len(score))


def _share_below(x: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share of the sorted others below each x, ties counting half."""
    order = np.argsort(x)
    rank = np.empty(len(x))
    ordered = x[order]  # searching in order stays in the cache
    rank[order] = np.searchsorted(others, ordered, "left") + np.searchsorted(others, ordered, "right")
    return rank / (2 * len(others))


def _average(placements, scores, event, fold) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean over the folds of a mean placement, its standard error, and the number of disjoint pairs of networks."""
    folds = range(int(fold.max()) + 1)
    values, variances, pairs = [], [], 0
    for f in folds:
        here = fold == f
        e = event[here]
        placed = placements(*(s[here] for s in scores), e)
        yes, no = (np.ascontiguousarray(placed[..., group]) for group in (e, ~e))
        values.append(yes.mean(axis=-1))
        variances.append(yes.var(axis=-1, ddof=1) / e.sum() + no.var(axis=-1, ddof=1) / (~e).sum())
        pairs += int(min(e.sum(), (~e).sum()))
    error = np.sqrt(np.sum(variances, axis=0)) / len(folds)
    return np.mean(values, axis=0), np.where(error > 1e-12, error, 0.0), pairs


def _score_interval(value: np.ndarray, m: int, n: int, level: float) -> list[np.ndarray]:
    """All areas that are less than z standard errors away, with the error that they would have by Hanley and McNeil."""
    z2, half = _normal_quantile(level) ** 2, (m + n) / 2 - 1
    ends = []
    for outside in (0.0, 1.0):
        outer, inner = np.full_like(value, outside), np.array(value)
        for _ in range(50):  # bisection
            a = (inner + outer) / 2
            variance = a * (1 - a) * (1 + half * ((1 - a) / (2 - a) + a / (1 + a))) / (m * n)
            near = (value - a) ** 2 <= z2 * variance
            inner, outer = np.where(near, a, inner), np.where(near, outer, a)
        ends.append(inner)
    return ends


def _normal_quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def _unseen(level: float, pairs: int) -> float:
    """Upper bound of the probability of what was never seen in so many independent pairs."""
    return 1 - ((1 - level) / 2) ** (1 / pairs)
