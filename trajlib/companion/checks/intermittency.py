"""Checks of the claims on training at lr = 5, where the network has collapsed onto the softmax map."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...series import phases
from ..conditions import Check, at_least, at_most, fraction, share

__all__ = ["few_weights", "large_loss", "local_exponents", "period_three", "phase_changes", "two_bands"]


def phase_changes(loss: np.ndarray, *, since: int, min_length: int = 300, tolerance: float = 0.05) -> np.ndarray:
    """Changes between motion of period 3 and other motion, each of at least ``min_length`` steps, from step ``since`` on.

    Parameters: losses (n, steps). Returns (m, 3), int: network, step, and 1 where period 3 gives way, 0 where it begins. A fixed point,
    which comes back after three steps too, counts as neither.
    """
    found: list[tuple[int, int, int]] = []
    for i, series in enumerate(loss):
        cut = phases(series, period=3, tolerance=tolerance, min_length=min_length)
        flat = cut.laminar & [np.ptp(series[max(0, stop - 100) : stop]) < tolerance for stop in cut.stop]
        fits = (cut.lengths >= min_length) & ~flat
        change = fits[1:] & fits[:-1] & (cut.laminar[1:] != cut.laminar[:-1]) & (cut.start[1:] >= since)
        found += [(i, int(cut.start[j + 1]), int(cut.laminar[j])) for j in np.flatnonzero(change)]
    return np.array(found, dtype=int).reshape(-1, 3)


def _of(holds: np.ndarray) -> str:
    return fraction(holds) if np.size(holds) else "none to look at"


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if np.size(values) else np.nan


def _percent(values: np.ndarray, digits: int = 0) -> str:
    return f"{100 * np.min(values):.{digits}f} to {100 * np.max(values):.{digits}f} %" if np.size(values) else "none"


def large_loss(loss: np.ndarray, finite: np.ndarray, guessing: float) -> Check:
    """The loss stays finite, is large and moves: losses (n, steps) at the end, whether the weights are finite (n,), loss of guessing."""
    large = loss.mean(axis=1) > 1.1 * guessing
    moving = np.ptp(loss, axis=1) >= 1e-3
    return Check(
        f"weights stay finite in {_of(finite)}; mean loss of the last {loss.shape[1]:,} steps above that of guessing by 10 % in "
        f"{_of(large)}; still moving by 0.001 or more in {_of(moving)}",
        {
            "no numerical divergence": share(finite, 1.0),
            "the loss is mostly large": share(large & finite, 0.5),
            "and mostly does not settle": share(moving & finite, 0.5),
        },
    )


def period_three(widths: Mapping[int, np.ndarray], one_way: np.ndarray, turns: np.ndarray) -> Check:
    """Three regions that narrow and drift, and changes to other motion.

    Parameters: for each first step of a window of 1,000 steps, the widths of the regions of the networks of period 3 there; of those of
    period 3 in the end, whether they drift one way; of all networks, the number of changes between period 3 and other motion.
    """
    times = list(widths)
    first, last = _median(widths[times[0]]), _median(widths[times[-1]])
    return Check(
        f"median width of the three regions over 1,000 steps: {first:.1e} from step {times[0]:,}, {last:.1e} from step "
        f"{times[-1]:,}; period 3 at the end drifts one way in {_of(one_way)}; between phases of 300 steps or more after step 1,000, "
        f"one change or more in {_of(turns >= 1)}, two or more in {_of(turns >= 2)}",
        {
            "the regions are at first wider than 1e-6": at_least(first, 1e-6),
            "and in the end narrower": at_most(last, 1e-6),
            "the regions drift": share(one_way),
            "networks sometimes change between the two": share(turns >= 1, 0.05),
            "and sometimes back again": share(turns >= 2, 0.05),
        },
    )


def two_bands(significant: np.ndarray, two_pieces: np.ndarray, alternates: np.ndarray) -> Check:
    """Of each irregular network: whether the autocorrelation of its loss is significant, its attractor two pieces, its loss alternating."""
    return Check(
        f"of the networks that are irregular at the end, autocorrelation of the loss significant (more of 50 lags outside the band than "
        f"chance puts there, p < 0.01) in {_of(significant)}; attractor of two separate pieces visited in turn, in b2, {_of(two_pieces)}; "
        f"loss alternating (lag 1 negative, lag 2 positive) {_of(alternates)}",
        {
            "autocorrelation of the loss is significant": share(significant),
            "the attractor has two bands": share(two_pieces),
            "and the loss shows them": share(alternates),
        },
    )


def local_exponents(positive: np.ndarray, in_irregular: np.ndarray, told: np.ndarray, shuffled: np.ndarray) -> Check:
    """Shares of the points of each network with both motions: positive by the paper's test, of irregular stretches, told from noise; and
    positive in the same losses in random order, which have no dynamics."""
    return Check(
        f"{np.size(positive)} networks with both motions: significantly positive, the paper's way, {_percent(positive)} of their points "
        f"({_percent(in_irregular)} in irregular stretches); the same losses in random order {_percent(shuffled)}; growth told from "
        f"noise in {_percent(told, 1)}",
        {
            "some are significantly positive (5 % in irregular stretches)": share(in_irregular > 0.05),
            "many are not (more than half)": share(positive < 0.5),
            "and more are than in the same losses in random order": share(in_irregular > shuffled),
        },
    )


def few_weights(moving: np.ndarray, drift: np.ndarray, coincide: np.ndarray) -> Check:
    """Of each network with both motions: the share of its parameters that move from step to step, the largest range of the others in units
    of the largest of all, and the share of stretches in which those that move switch with the loss."""
    return Check(
        f"{np.size(drift)} networks with both motions: parameters that move from step to step {_percent(moving)}; range of the others, in "
        f"units of theirs: median {_median(drift):.2f}; period 3 in the same stretches of 100 steps as the loss: {_percent(coincide)}",
        {
            "few (a quarter at most) move": share(moving <= 0.25),
            "the others are constant (range at most 5 % of theirs)": share(drift < 0.05),
            "switches coincide (95 % of stretches)": share(coincide > 0.95),
        },
    )
