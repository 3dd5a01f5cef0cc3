"""What the chapter on any network and any optimiser checks the claims on the edge of stability by.

Ratios are sharpness over the limit of stability, (networks, moments), as :class:`~trajlib.companion.edges.AlongEdge` has them. Limits were
written after a pilot of seed 0 and split 0 (ratios of gradient descent came to 1.00); the variations are of other seeds and splits.
"""

from __future__ import annotations

import numpy as np

from ..conditions import Check, Condition, at_least, between, fraction, share
from ..edges import AlongEdge

__all__ = ["FALLEN", "NEAR", "falls_at_the_end", "hovers", "late_ratio", "sharpens", "sits_at_limit"]

NEAR = 0.1
"""A ratio is at the limit within a tenth."""
FALLEN = 0.8
"""Below this the sharpness has left the limit."""


def late_ratio(run: AlongEdge) -> np.ndarray:
    """Mean ratio over the second half of the steps, (n,); nan where a run has left the range of float64."""
    return run.ratio[:, run.times > run.times[-1] / 2].mean(axis=1)


def sharpens(run: AlongEdge) -> Check:
    """Progressive sharpening: networks that begin clearly below the limit rise to it."""
    below = run.ratio[:, 0] < 1 - NEAR
    ratio = run.ratio[below]
    most = np.nanmax(ratio, axis=1, initial=-np.inf, where=~np.isnan(ratio)) if len(ratio) else np.empty(0)
    rise = float(np.median(most / ratio[:, 0])) if len(ratio) else np.nan
    return Check(
        f"{fraction(below)} begin below {1 - NEAR:g} of the limit; of these {fraction(most >= 1 - NEAR)} reach it; "
        f"the sharpness grows {rise:.2g}-fold in the median",
        {
            "nine in ten of the networks that begin below 2/lr reach it": share(most >= 1 - NEAR),
            "their sharpness grows by half or more in the median": at_least(rise, 1.5),
        },
    )


def hovers(run: AlongEdge) -> Check:
    """Networks that have reached the limit stay at it, while the loss goes on falling."""
    reached = (run.ratio >= 1 - NEAR).any(axis=1)
    late = late_ratio(run)[reached]
    first = np.argmax(run.ratio >= 1 - NEAR, axis=1)
    falls = run.loss[reached, -1] < run.loss[np.arange(len(first)), first][reached]
    median = float(np.median(late)) if len(late) else np.nan
    at = np.abs(late - 1) <= NEAR
    return Check(
        f"of {reached.sum()} networks that reach the limit {fraction(at)} are at it in the second half, median ratio {median:.2f}; "
        f"the loss is lower at the end in {fraction(falls)}",
        {
            "nine in ten stay within a tenth of 2/lr": share(at),
            "the median is not below it by more than a hundredth": at_least(median, 0.99),
            "the loss goes on falling": share(falls),
        },
    )


def sits_at_limit(runs: dict[str, AlongEdge], other: dict[str, float]) -> Check:
    """Each rule's late ratio is at its own limit, and not at that of gradient descent.

    Parameters
    ----------
    runs : dict of str to AlongEdge
        By rule.
    other : dict of str to float
        2/lr over the rule's own limit, where the two are apart.
    """
    late = {name: late_ratio(run) for name, run in runs.items()}
    median = {name: float(np.median(of)) if np.isfinite(of).all() else np.nan for name, of in late.items()}
    said = ", ".join(
        f"{name} {median[name]:.2f} ({fraction(np.abs(of - 1) <= NEAR)} within a tenth)" for name, of in late.items()
    )
    conditions: dict[str, bool | Condition] = {
        f"{name}: within a tenth of its own limit in the median": between(value, 1 - NEAR, 1 + NEAR)
        if np.isfinite(value)
        else False
        for name, value in median.items()
    }
    for name, at in other.items():
        value = median[name]
        conditions[f"{name}: nearer to its own limit than to 2/lr"] = bool(abs(value - 1) < abs(value - at))
    return Check(f"sharpness over its limit in the second half, median: {said}", conditions)


def falls_at_the_end(runs: dict[str, AlongEdge]) -> Check:
    """Networks that have been at the limit have left it downwards at the end, in each task."""
    said: list[str] = []
    conditions: dict[str, bool | Condition] = {}
    for name, run in runs.items():
        reached = (run.ratio >= 1 - NEAR).any(axis=1)
        end = run.ratio[reached, -1]
        said.append(
            f"{name} {np.median(end):.2f} ({fraction(end < FALLEN)})" if len(end) else f"{name}: none at the limit"
        )
        conditions[f"{name}: nine in ten end below {FALLEN:g} of the limit"] = share(end < FALLEN)
    return Check(
        f"ratio at the end of networks that have been at the limit, and below {FALLEN:g}: {', '.join(said)}", conditions
    )
