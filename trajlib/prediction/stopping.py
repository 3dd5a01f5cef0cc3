"""Stopping runs that will fail: what a rule saves, net of what its indicator costs, and which good runs it loses.

Costs are counts of multiply-adds, by the formulas in :func:`step_cost`: they do not depend on the machine. The
threshold is chosen on networks to learn from; everything reported is counted on the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _validate
from ..dynamics.protocol import Dynamics
from ..models.perceptron import Perceptron
from ..results import Result
from ..tasks.small import Task

__all__ = [
    "INDICATORS",
    "Estimate",
    "StoppingRule",
    "indicator_cost",
    "step_cost",
    "stopping_rule",
    "thinned_exponents",
]

INDICATORS = ("none", "loss", "weight norm", "gradient norm", "sharpness", "exponents", "covariant vectors")
CUMULATIVE = ("exponents", "covariant vectors")  # paid at every step up to the decision, not at the decision only


@dataclass(frozen=True, eq=False)
class Estimate(Result, axes={"...": "value lower upper"}):
    """A number with its confidence interval.

    Attributes
    ----------
    value, lower, upper : ndarray (...)
        The estimate, and the ends of its interval.
    """

    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True, eq=False)
class StoppingRule(Result, axes={"...": "threshold saved good_lost bad_stopped cost_per_good"}):
    """What :func:`stopping_rule` returns; (...) are the axes of the score after the networks, then that of ``max_lost``.

    Attributes
    ----------
    threshold : ndarray (...)
        Runs whose score is above it are stopped.
    saved : Estimate (...)
        Share of the multiply-adds of full training that is saved, net of the indicator: negative where the rule costs more
        than it saves.
    good_lost, bad_stopped : Estimate (...)
        Share of the good, and of the other runs, that are stopped.
    cost_per_good : Estimate (...)
        Multiply-adds for each good run that is kept, over those without a rule: the rule pays where this is below 1. inf where
        no good run is kept.
    """

    threshold: np.ndarray
    saved: Estimate
    good_lost: Estimate
    bad_stopped: Estimate
    cost_per_good: Estimate


def step_cost(network: Perceptron, task: Task, indicator: str = "none", *, k: int | None = None) -> int:
    """Multiply-adds of one training step of one network, with an indicator evaluated at it.

    Parameters
    ----------
    network : Perceptron
        d inputs, h hidden units, c outputs, p parameters.
    task : Task
        Of N training samples.
    indicator : {"none", "loss", "weight norm", "gradient norm", "sharpness", "exponents", "covariant vectors"}
        "none" is training alone.
    k : int, optional
        Vectors carried along, for the last two; all p by default.

    Returns
    -------
    int
        One multiply-add, one multiplication and one value of an activation count 1 each.

    Raises
    ------
    TypeError, ValueError
        If the network does not fit the task, the indicator is unknown, or k is not between 1 and p.

    Notes
    -----
    ===================== =====================================================================================
    forward               N [(d + 1) h + h + (h + 1) c]
    residual              N c; 4 N c with a softmax
    backward              N [h + h c + h + (h + 1) c + (d + 1) h]: slope, hidden residual, gradients
    update                p
    loss                  N c more
    weight, gradient norm p more
    Hessian               N [h c + c (d + 1) h + c p (p + 1) / 2 + h c + c (d + 1) h], where the third term is one half of
                          the Gauss-Newton part, by symmetry; 2 N c p more with a softmax; and
                          N [h c + 2 h + h (d + 1) (d + 2) / 2] more where the activation has a curvature (not relu)
    sharpness             the Hessian, and 2 p³ / 3 to reduce it to tridiagonal form
    k tangent vectors     p k (the step itself) and the cheaper of: the Hessian and p² k; or k Hessian-vector products, each
                          two gradients (Pearlmutter)
    QR                    p k (k + 1), modified Gram-Schmidt
    covariant vectors     tangent vectors and QR, and once more back: k (k + 1) (k + 2) / 6 for the triangular system, k (k + 1) to
                          normalise, p k (k + 1) / 2 for Q C
    ===================== =====================================================================================

    References
    ----------
    G. H. Golub, C. F. Van Loan, Matrix Computations, for the eigenvalues and QR; the rest is counted from
    :mod:`trajlib.dynamics.descent`.

    Examples
    --------
    >>> import trajlib as tl
    >>> net, task = tl.Perceptron(2, 2, 1, activation="tanh", loss="half_squared_error"), tl.plane()
    >>> [step_cost(net, task, i) for i in ("none", "gradient norm", "sharpness", "covariant vectors")]
    [1359, 1368, 5795, 7589]
    """
    if not isinstance(network, Perceptron) or not isinstance(task, Task):
        raise TypeError(
            f"arguments must be a Perceptron and a Task, got {type(network).__name__} and {type(task).__name__}"
        )
    h = network.n_hidden
    if isinstance(h, tuple):
        raise ValueError(f"the cost is that of a network with one hidden layer, got {network.depth - 1}: {network}")
    d, c, p, n = network.n_inputs, network.n_outputs, network.n_parameters, len(task.x)
    if task.x.shape[1] != d:
        raise ValueError(f"task {task.name!r} has {task.x.shape[1]} features but the network has {d} inputs")
    _validate.choice("indicator", indicator, INDICATORS)
    k = p if k is None else _validate.count("k", k, 1)
    if k > p:
        raise ValueError(f"k must be at most the number of parameters, {p}, got {k}")
    softmax = network.loss == "cross_entropy"
    forward = n * ((d + 1) * h + h + (h + 1) * c)
    backward = n * (h + h * c + h + (h + 1) * c + (d + 1) * h)
    gradient = forward + n * c * (4 if softmax else 1) + backward
    hessian = n * (2 * h * c + 2 * c * (d + 1) * h) + n * c * p * (p + 1) // 2 + (2 * n * c * p if softmax else 0)
    if network.act.curved:
        hessian += n * (h * c + 2 * h) + n * h * (d + 1) * (d + 2) // 2
    carried = p * k + min(hessian + p * p * k, 2 * k * gradient) + p * k * (k + 1)
    extra = {
        "none": 0,
        "loss": n * c,
        "weight norm": p,
        "gradient norm": p,
        "sharpness": hessian + 2 * p**3 // 3,
        "exponents": carried,
        "covariant vectors": carried + k * (k + 1) * (k + 2) // 6 + k * (k + 1) + p * k * (k + 1) // 2,
    }
    return gradient + p + extra[indicator]


def indicator_cost(
    network: Perceptron, task: Task, indicator: str, step: int, *, k: int | None = None, every: int = 1
) -> int:
    """Multiply-adds that an indicator costs up to a decision at a step, on top of training.

    Exponents and covariant vectors are paid at each step before the decision, all others once.

    Parameters
    ----------
    network, task, indicator, k
        As in :func:`step_cost`.
    step : int
        Of the decision, >= 0.
    every : int
        For exponents: the Jacobian is evaluated at one step in so many, and its power stands for all of them
        (:func:`thinned_exponents`); p³ for each multiplication of two matrices.

    Raises
    ------
    TypeError, ValueError
        As in :func:`step_cost`, and if ``every`` is not 1 for another indicator than exponents.

    Examples
    --------
    >>> import trajlib as tl
    >>> net, task = tl.Perceptron(2, 2, 1, activation="tanh", loss="half_squared_error"), tl.plane()
    >>> [indicator_cost(net, task, i, step=15) for i in ("gradient norm", "exponents")]
    [9, 83550]
    """
    step, every = _validate.count("step", step), _validate.count("every", every, 1)
    extra = step_cost(network, task, indicator, k=k) - step_cost(network, task)
    if every > 1:
        if indicator != "exponents":
            raise ValueError(f"every must be 1 for {indicator!r}: only exponents can be thinned, got {every}")
        p = network.n_parameters
        k = p if k is None else k
        hessian = step_cost(network, task, "sharpness") - step_cost(network, task) - 2 * p**3 // 3
        products = every.bit_length() + every.bit_count() - 2  # repeated squaring
        return (p + hessian + products * p**3 + p * p * k + p * k * (k + 1)) * -(-step // every)
    return extra * step if indicator in CUMULATIVE else extra


def thinned_exponents(gd: Dynamics, states: np.ndarray, every: int, *, seed: int = 0) -> np.ndarray:
    """Finite-time exponents from the Jacobian at one step in ``every``, whose power stands for all of these steps.

    Parameters
    ----------
    gd : GradientDescent
        The map.
    states : ndarray (n, r, p), float64
        States at steps 0, every, 2 every, ...
    every : int
        Steps between them.
    seed : int
        Of the random orthonormal vectors to start from.

    Returns
    -------
    ndarray (n, r, p)
        Per step: exponents of the steps up to 1, 2, ..., r times ``every``, in the order of the vectors; nan from where a state has
        diverged.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    Examples
    --------
    >>> from trajlib.dynamics.reference import LinearMap
    >>> shear = LinearMap(np.array([[1.0, 1.0], [0.0, 1.0]]))
    >>> thinned_exponents(shear, np.zeros((1, 20, 2)), 5)[0, -1].round(2)  # 0 in the limit
    array([ 0.05, -0.05])
    """
    states, every = _validate.float64("states", states), _validate.count("every", every, 1)
    if states.ndim != 3:
        raise ValueError(f"states must have shape (n, r, p), got {states.shape}")
    n, r, p = states.shape
    rng = np.random.Generator(np.random.PCG64(_validate.count("seed", seed)))
    q = np.linalg.qr(rng.standard_normal((n, p, p)))[0]
    total, found = np.zeros((n, p)), np.full((n, r, p), np.nan)
    fine = np.ones(n, dtype=bool)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for i in range(r):
            power = np.linalg.matrix_power(gd.jacobian(np.ascontiguousarray(states[:, i])), every)
            fine &= np.isfinite(power).all(axis=(1, 2))
            q[fine], triangle = np.linalg.qr(power[fine] @ q[fine])
            total[fine] += np.log(np.abs(np.einsum("nii->ni", triangle)))
            found[fine, i] = total[fine] / ((i + 1) * every)
    return found


def stopping_rule(
    score: np.ndarray, good: np.ndarray, *, train: np.ndarray, step: int | np.ndarray, steps: int,
    step_cost: float = 1.0, indicator_cost: float | np.ndarray = 0.0, max_lost: float | np.ndarray = 0.05,
    level: float = 0.95,
) -> StoppingRule:  # fmt: skip
    """Stop runs whose score is above a threshold: work saved, good runs lost, bad runs stopped, on held-out networks.

    Parameters
    ----------
    score : ndarray (networks, ...), float64
        Large where a run is expected to fail; say the ``score`` of a prediction with one fold. inf is allowed, nan is not.
    good : ndarray (networks,), bool
        Runs worth finishing.
    train : ndarray (networks,), bool
        Networks that the threshold is chosen on, say ``prediction.fold < 0``. All others are tested.
    step : int or ndarray (...)
        Step of the decision, between 0 and ``steps``.
    steps : int
        Steps of a full run.
    step_cost, indicator_cost : float or ndarray (...)
        Multiply-adds of one training step, and of the indicator up to the decision; the second is paid for every run. From
        :func:`step_cost` and :func:`indicator_cost`.
    max_lost : float or ndarray (m,)
        Share of the good training networks that the threshold may stop, between 0 and 1: the smallest threshold that stops no
        more. Several make a curve.
    level : float
        Of the confidence intervals.

    Returns
    -------
    StoppingRule
        A classifier knows the networks it has learnt from a little better than others, so that the rule may lose a little more
        good runs than ``max_lost``: ``good_lost`` says how many. Intervals are of Clopper and Pearson, given the threshold;
        for ``saved`` that of the share of stopped runs. The interval of ``cost_per_good`` is from the delta method, on a
        logarithmic scale: for large samples only.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or there are no good runs to learn from, or no good or no other
        ones to test.

    Examples
    --------
    >>> good = np.array([True, False, True, False, True, False, True, False])
    >>> score = np.array([0.0, 1.0, 0.2, 2.0, 0.1, 3.0, 0.3, 0.25])  # 0.2 is the largest of the good ones learnt from
    >>> rule = stopping_rule(score, good, train=np.arange(8) < 4, step=10, steps=100, indicator_cost=5.0, max_lost=0.0)
    >>> float(rule.saved.value), float(rule.good_lost.value), float(rule.bad_stopped.value)  # 3 of 4 stopped: 3/4 * 90% - 5%
    (0.625, 0.5, 1.0)
    """
    score, limits, level = _checked(score, good, train, max_lost, level)
    lead = score.shape[1:]
    steps = _validate.count("steps", steps, 1)
    done = _number("step", step, lead) / steps
    if (done > 1).any():
        raise ValueError(f"step must be at most steps = {steps}, got {np.max(step)}")
    per_step = _validate.positive("step_cost", step_cost)
    with np.errstate(over="ignore"):
        overhead = _number("indicator_cost", indicator_cost, lead) / (steps * per_step)
    columns = score.reshape(len(score), -1)
    learnt = -np.sort(-columns[train & good], axis=0)
    allowed = np.floor(limits * len(learnt) + 1e-9).astype(int)
    padded = np.concatenate([learnt, np.full((1, columns.shape[1]), -np.inf)])  # everything may go: no threshold
    threshold = padded[allowed].T
    lost, stopped = (
        np.array([(s[:, None] > t).sum(axis=0) for s, t in zip(columns[~train & kind].T, threshold, strict=True)])
        for kind in (good, ~good)
    )
    shape = lead + np.shape(max_lost)
    threshold, lost, stopped = (a.reshape(*lead, -1) for a in (threshold, lost, stopped))
    n_good, n_bad = int((~train & good).sum()), int((~train & ~good).sum())
    n = n_good + n_bad
    gain, paid = (1 - done)[..., None], overhead[..., None]
    saved = [gain * s - paid for s in _binomial(lost + stopped, n, level)]
    cost = _cost_per_good(lost, stopped, n_good, n_bad, gain, paid, level)
    shares = (_binomial(lost, n_good, level), _binomial(stopped, n_bad, level))
    estimates = (Estimate(*(a.reshape(shape)[()] for a in e)) for e in (saved, *shares, cost))
    return StoppingRule(threshold.reshape(shape)[()], *estimates)


def _checked(score, good, train, max_lost, level) -> tuple[np.ndarray, np.ndarray, float]:
    """Checked score, limits (m,) and level."""
    score = _validate.float64("score", score)
    if score.ndim == 0:
        raise ValueError("score must have shape (networks, ...), got ()")
    if np.isnan(score).any():
        raise ValueError("score must not be nan; predict_outcome with folds=1 gives every network a score")
    for name, mask in (("good", good), ("train", train)):
        _validate.unmasked(name, mask)
        if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != score.shape[:1]:
            raise TypeError(f"{name} must be a bool array of shape ({len(score)},), one entry a network")
    if not (train & good).any() or not (~train & good).any() or not (~train & ~good).any():
        raise ValueError(
            "there must be good runs to learn from (train & good), and good and other runs to test (~train), got "
            f"{int((train & good).sum())}, {int((~train & good).sum())} and {int((~train & ~good).sum())}"
        )
    limits = np.atleast_1d(_validate.numbers_of("max_lost", max_lost))
    if limits.ndim != 1 or limits.size == 0 or not ((limits >= 0) & (limits <= 1)).all():
        raise ValueError(
            f"max_lost must be a share between 0 and 1, or an array (m,) of such, got {_validate.shown(max_lost)}"
        )
    if _validate.positive("level", level) >= 1:
        raise ValueError(f"level must be below 1, got {level}")
    return score, limits, float(level)


def _number(name: str, value, lead: tuple[int, ...]) -> np.ndarray:
    """A number >= 0 for all, or one for each index of the leading axes."""
    array = _validate.numbers_of(name, value)
    _validate.fits(name, "one number", array.shape, lead)
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name} must be finite and >= 0, got {_validate.shown(value)}")
    return np.broadcast_to(array, lead)


def _binomial(count: np.ndarray, n: int, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share count / n with the interval of Clopper and Pearson."""
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    lower = np.where(count > 0, betaincinv(np.maximum(count, 1), n - count + 1, tail), 0.0)
    upper = np.where(count < n, betaincinv(count + 1, np.maximum(n - count, 1), 1 - tail), 1.0)
    return count / n, lower, upper


def _cost_per_good(lost, stopped, n_good, n_bad, gain, paid, level):
    """Cost of each good run kept relative to training all, with its interval from the variance of its logarithm."""
    from scipy.special import ndtri

    n = n_good + n_bad
    cost = 1 + paid - gain * (lost + stopped) / n
    kept = n_good - lost
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = cost * n_good / kept
        # influence of one network of each kind on ln(value): good kept, good lost, bad trained, bad stopped
        full, cut = (1 + paid) / cost, (1 + paid - gain) / cost
        influence = (full + n / n_good - n / kept, cut + n / n_good, full, cut)
        number = (kept, lost, n_bad - stopped, stopped)
        variance = sum(m * i**2 for m, i in zip(number, influence, strict=True)) / n - 1
        spread = np.exp(ndtri((1 + level) / 2) * np.sqrt(np.maximum(variance, 0.0) / n))
        interval = (value / spread, value * spread)
    return value, *(np.where(kept > 0, end, np.inf) for end in interval)
