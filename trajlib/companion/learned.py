"""What the cells of the chapter on chaos and learning say: onset of chaos, fastest rate and their rivals, from committed arrays.

A cell is one network on one task at many learning rates (tools/findings/learning.py). Onset and fastest rate are told from the fine rates,
at which all networks were run; where training breaks may lie outside of them, and is told from all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import kendalltau

from ..series.learning import learning_times
from ..series.onsets import FastestRate, RateRatio, ThresholdRate, fastest_rate, rate_ratio, threshold_rate
from . import findings
from .learning_runs import HOLDS

__all__ = ["BOUND", "CellSummary", "as_cell", "association", "slope", "summary", "words"]

BOUND = 0.01
"""Exponent per step above which a run counts as chaotic, as in chapter 2. Pilots of three cells have shown that the exponent of most runs
is positive at any rate, by about 0.01 per unit of lr * step: the loss curves downwards along some direction, and copies drift apart as
slowly as the network moves. So an onset by the sign alone lies below every rate; both are reported, the fine rates lie about this one."""


class CellSummary(NamedTuple):
    """What one cell says.

    Attributes
    ----------
    task, activation : str
    hidden : tuple of int
        Units of the hidden layers; empty for the convolutional network.
    decay : float
    ratio : RateRatio
        Fastest rate over the onset of chaos.
    onset, sign, fitted, breaking, unstable : ThresholdRate
        From which rate on more than half of the networks have an exponent above the bound; a positive one; a fit that the paper keeps;
        do not learn within the steps, above the fastest rate; have a sharpness above 2/lr at one of the times that it was measured at.
    fastest : FastestRate
    overlap : ndarray (rates,), bool
        Where more than half learn and more than half are chaotic.
    slope : float
        Of ln(median time) against ln(rate) below onset and minimum: -1 where time goes like 1 / lr.
    association : float
        Kendall's tau of exponent and time at the fastest rate: negative where the more chaotic learn sooner.
    least : float
        Median time at the fastest rate, in steps.
    """

    task: str
    activation: str
    hidden: tuple[int, ...]
    decay: float
    ratio: RateRatio
    onset: ThresholdRate
    sign: ThresholdRate
    fitted: ThresholdRate
    breaking: ThresholdRate
    unstable: ThresholdRate
    fastest: FastestRate
    overlap: np.ndarray
    slope: float
    association: float
    least: float


def as_cell(
    arrays: Mapping[str, np.ndarray], task: str, hidden: tuple[int, ...], activation: str, *, decay: float = 0.0, fitted: int = 50,
    **settings: Any,
) -> findings.Arrays:  # fmt: skip
    """Arrays of :func:`trajlib.companion.learning_runs.run_cell` with what they are of, as in the manifests of the committed cells."""
    of = {"task": task, "hidden": list(hidden), "activation": activation, "decay": decay, "fitted": fitted}
    return findings.Arrays(arrays, {"settings": of | settings})


def words(one: CellSummary) -> str:
    """What a cell is, in a line: iris 10-10 tanh, decay 0.01."""
    network = "-".join(map(str, one.hidden)) or "convolution"
    return f"{one.task} {network} {one.activation}" + (f", decay {one.decay:g}" if one.decay else "")


def summary(
    cell: findings.Arrays,
    *,
    bound: float = BOUND,
    accuracy: int = 90,
    learned: str = "time",
    draws: int = 1000,
    seed: int = 0,
) -> CellSummary:
    """What one cell says.

    Parameters
    ----------
    cell : Arrays
        A committed one, data/findings/learning_<cell>.npz, or one of :func:`as_cell`: ``rates`` (r,), ``networks`` (r,), ``time_90`` (r, n)
        with -1 where censored, ``exponent`` (r, n), ``fitted_kept`` (r, bits), ``sharpness`` (r, few, times), ``steps``.
    bound : float
        Exponent per step above which a run counts as chaotic.
    accuracy : int
        Which of the accuracies, in per cent of what the best rate reaches: 90, 80 or 95.
    learned : {"time", "first"}
        Whether a network has learned when the accuracy has come to stay, or when it was first reached.
    draws, seed : int
        Of the bootstrap over networks.

    Returns
    -------
    CellSummary
    """
    arrays, settings = cell, cell.manifest["settings"]
    rates, horizon = arrays["rates"], int(arrays["steps"]) + 1 - HOLDS[learned]
    fine = arrays["networks"] == arrays["networks"].max()
    few = int(arrays["networks"].min())
    time, exponent = arrays[f"{learned}_{accuracy}"].astype(np.int64), arrays["exponent"].astype(np.float64)
    some = np.where(time[:, :few] < 0, -1, time[:, :few])
    t, e = time[fine], exponent[fine][:, : time.shape[1]]
    options = {"draws": draws, "seed": seed}
    with np.errstate(invalid="ignore"):
        chaotic = e > bound
        overlap = ((some >= 0).mean(axis=1) > 0.5) & ((exponent[:, :few] > bound).mean(axis=1) > 0.5)
        over = (arrays["sharpness"].astype(np.float64) * rates[:, None, None] > 2).any(axis=2)
    sharp = ~np.isnan(arrays["sharpness"].astype(np.float64)).all(axis=(1, 2))
    kept = np.unpackbits(arrays["fitted_kept"], axis=1, count=int(settings["fitted"])).astype(bool)[
        :, : min(few, settings["fitted"])
    ]
    fastest = fastest_rate(rates[fine], t, horizon, **options)
    onset = threshold_rate(rates[fine], chaotic, **options)
    median = learning_times(some, horizon).median
    at = int(np.argmin(fastest.median))
    beyond = rates >= (fastest.last if np.isfinite(fastest.last) else 0.0)  # below it, runs that do not learn are slow
    return CellSummary(
        task=settings["task"], activation=settings["activation"], hidden=tuple(settings["hidden"]),
        decay=float(settings["decay"]), ratio=rate_ratio(fastest, onset), onset=onset,
        sign=threshold_rate(rates, exponent[:, :few] > 0, lasting=2, **options), fitted=threshold_rate(rates, kept, lasting=2, **options),
        breaking=threshold_rate(rates[beyond], some[beyond] < 0, lasting=2, **options),
        unstable=threshold_rate(rates[sharp], over[sharp], lasting=2, **options),
        fastest=fastest, overlap=overlap, slope=slope(rates, median, min(np.nan_to_num(onset.above, nan=np.inf), fastest.first)),
        association=association(e[at], t[at]), least=float(fastest.median[at]),
    )  # fmt: skip


def slope(rates: np.ndarray, median: np.ndarray, below: float) -> float:
    """Slope of ln(median time + 1) against ln(rate) at rates (r,) up to ``below``; nan where fewer than three have a finite median.

    Examples
    --------
    >>> rates = np.array([0.1, 0.2, 0.4, 0.8])
    >>> round(slope(rates, 100 / rates - 1, below=0.5), 6)
    -1.0
    """
    used = (rates <= below) & np.isfinite(median)
    if used.sum() < 3:
        return np.nan
    return float(np.polyfit(np.log(rates[used]), np.log(median[used] + 1.0), 1)[0])


def association(exponent: np.ndarray, time: np.ndarray) -> float:
    """Kendall's tau-b of exponents (n,) and times (n,) with -1 where censored: those count as later than all others, and as ties.

    Examples
    --------
    >>> association(np.array([0.1, 0.2, 0.3, 0.4]), np.array([-1, 30, 20, 10]))
    -1.0
    """
    known = np.isfinite(exponent)
    late = np.where(time < 0, time.max(initial=0) + 1, time)
    if known.sum() < 3 or np.ptp(late[known]) == 0 or np.ptp(exponent[known]) == 0:
        return np.nan
    return float(kendalltau(exponent[known], late[known]).statistic)
