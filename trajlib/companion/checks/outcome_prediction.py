"""Checks of the claims on predicting the outcome of training from exponents and covariant vectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...prediction.roc import auc
from ..conditions import Check, Condition, at_least, between, fraction, reaches, share

__all__ = ["failed_early", "high_loss_unstable", "marginal_best", "predict_loss", "tangent_pairs"]

Areas = Mapping[tuple[str, str, str], np.ndarray]
"""For each (indicator, activation, time): areas under the ROC curve and the ends of their intervals, (3, cases)."""
Conditions = dict[str, bool | Condition]
FEWEST = 20
"""Runs of a kind, or networks with both vectors determined: with fewer nothing is said."""


def _all_reach(areas: np.ndarray, limit: float) -> Condition:
    """Whether all of the areas (3, cases) do; nothing to measure without a case."""
    return reaches(areas[0], areas[1], areas[2], limit) if np.size(areas) else at_least(np.nan, limit)


def _tested(conditions: Conditions) -> Conditions:
    """Those that there was something to measure for: where hardly a run of one activation fails, the other speaks. Else all."""
    return {
        text: part for text, part in conditions.items() if not isinstance(part, Condition) or part.testable
    } or conditions


def _span(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}" if values.size else "none to look at"


def predict_loss(areas: Areas) -> Check:
    """For "exponents" and "growth", both activations, times "0.015" and "1": areas for ending well and for failing, naive Bayes."""
    text: list[str] = []
    conditions: Conditions = {}
    for what, words in (("exponents", "exponents"), ("growth", "growth rates of covariant vectors")):
        for activation in ("tanh", "relu"):
            early, late = (areas[what, activation, t] for t in ("0.015", "1"))
            text.append(f"{words}, {activation}: AUC {_span(early[0])} at t = 0.015, {_span(late[0])} at t = 1")
            conditions |= {
                f"{activation}, {words}: AUC of 0.7 at t = 0.015": _all_reach(early, 0.7),
                f"{activation}, {words}: AUC of 0.9 at t = 1": _all_reach(late, 0.9),
            }
    return Check("; ".join(text), _tested(conditions))


def failed_early(areas: Areas) -> Check:
    """For all indicators (their names begin the keys), both activations, times "0.015" and "0.25": areas for failing."""
    names = list(dict.fromkeys(what for what, _, _ in areas))
    text: list[str] = []
    conditions: Conditions = {}
    for activation in ("tanh", "relu"):
        early, quarter = (np.concatenate([areas[n, activation, t] for n in names], axis=1) for t in ("0.015", "0.25"))
        for name in names:
            found = (areas[name, activation, t][0] for t in ("0.015", "0.25"))
            text.append(f"{activation}, {name}: {' and '.join(_span(a) for a in found)}")
        conditions |= {
            f"{activation}: every indicator is better than guessing at t = 0.015": _all_reach(early, 0.5),
            f"{activation}: every indicator reaches an AUC of 0.7 there": _all_reach(early, 0.7),
            f"{activation}: every indicator reaches an AUC of 0.8 at t = 0.25": _all_reach(quarter, 0.8),
        }
    return Check("AUC for failing at t = 0.015 and 0.25: " + "; ".join(text), _tested(conditions))


def high_loss_unstable(runs: Mapping[str, tuple[np.ndarray, ...]]) -> Check:
    """For each activation: outcome (n,), 0 low to 2 high; first exponent of the whole run (n,); local rates of the second half (n, p),
    per unit of time; outcome (m,) of the networks with covariant vectors, and whether two determined ones were tangent on the way (m,)."""
    text: list[str] = []
    conditions: Conditions = {}
    for activation, (outcome, first, local, ended, tangent) in runs.items():
        failed, good = outcome == 2, outcome == 0
        enough = min(failed.sum(), good.sum()) >= FEWEST
        some = failed if enough else np.zeros_like(failed)
        ordered = -np.sort(-local, axis=1)
        ended_too = (failed | good) & np.isfinite(ordered).all(axis=1)
        larger = auc(ordered[ended_too], failed[ended_too]) if enough else None
        tangencies = [tangent[ended == kind] for kind in (2, 0)]
        gap = tangencies[0].mean() - tangencies[1].mean() if min(map(len, tangencies)) >= FEWEST else np.nan
        error = 1.96 * np.sqrt(sum(t.var() / max(len(t), 1) for t in tangencies)) if np.isfinite(gap) else 0.0
        if enough:
            assert larger is not None
            text.append(
                f"{activation}: first exponent of the whole run above 0.001 in {fraction(first[failed] > 1e-3)} of failed and "
                f"{fraction(first[good] > 1e-3)} of good runs; rate over the second half above 0.001 in "
                f"{fraction(local[failed].max(1) > 1e-3)} of failed runs, median "
                f"{np.median(local[failed].max(1)):.2g}; rates of failed runs the larger more often than not in "
                f"{(larger.lower > 0.5).sum()} of {local.shape[1]} directions; a tangency in {fraction(tangencies[0])} of failed "
                f"and {fraction(tangencies[1])} of good runs"
            )
        else:
            text.append(f"{activation}: {failed.sum()} failed and {good.sum()} good runs, too few")
        areas = np.empty((3, 0)) if larger is None else np.stack([larger.value, larger.lower, larger.upper])
        conditions |= {
            f"{activation}: the first exponent of the whole run is positive in most failed runs": share(
                first[some] > 1e-3, 0.5
            ),
            f"{activation}: over the second half of the run a direction still grows in most failed runs": share(
                local[some].max(axis=1) > 1e-3, 0.5
            ),
            f"{activation}: in each direction failed runs are less stable there than good ones": _all_reach(areas, 0.5),
            f"{activation}: more failed than good runs have a tangency (5 % more)": at_least(gap, 0.05, error),
        }
    return Check("; ".join(text), _tested(conditions))


def marginal_best(gaps: Areas, single: Mapping[str, np.ndarray]) -> Check:
    """Numbers 5 to 8 against other groups of four, at t = 0.015, for ending well.

    Parameters: for each ("exponents" or "growth", activation, other group), the differences of areas (3, cases) in favour of 5 to 8;
    for each activation the areas of each exponent alone, (cases, p).
    """
    text: list[str] = []
    conditions: Conditions = {}
    others = list(dict.fromkeys(group for _, _, group in gaps))
    for what, words in (("exponents", "exponents"), ("growth", "growth rates")):
        for activation in ("tanh", "relu"):
            every = [gaps[what, activation, group] for group in others]
            text.append(
                f"{activation}, {words} 5 to 8 less others: "
                + ", ".join(f"{_span(gap[0])} ({group})" for group, gap in zip(others, every, strict=True))
            )
            conditions |= {
                f"{activation}: {words} 5 to 8 are ahead of 1 to 4": _all_reach(gaps[what, activation, "1-4"], 0.0),
                f"{activation}: {words} 5 to 8 are the best group of four": _all_reach(
                    np.concatenate(every, axis=1), 0.0
                ),
            }
    for activation, areas in single.items():
        best = 1 + int(areas.mean(axis=0).argmax()) if len(areas) else np.nan
        text.append(f"{activation}: best single exponent is number {best}")
        conditions[f"{activation}: the best single exponent is one of 5 to 8"] = between(best, 5, 8)
    return Check("; ".join(text), _tested(conditions))


def tangent_pairs(
    runs: Mapping[str, list[tuple[np.ndarray, np.ndarray]]], pairs: list[tuple[int, int]], angle: float
) -> Check:
    """For each activation, in each of several windows of time: the smallest angle of each of the pairs on the way (n, pairs), and whether
    both vectors are determined (n, pairs).

    A pair is judged where both vectors are determined in 20 networks of a window, by the window where it occurs most often. One that is
    judged and does not occur refutes the claim; it holds if all pairs are judged and occur, for both activations; else it is not testable.
    """
    text: list[str] = []
    conditions: Conditions = {}
    for activation, windows in runs.items():
        shares = np.array([
            [(closest[ok, i] < angle).mean() if ok.sum() >= FEWEST else -1.0 for i, ok in enumerate(determined.T)]
            for closest, determined in windows
        ])  # fmt: skip
        for (closest, determined), found in zip(windows, shares, strict=True):
            told = [f"({i},{j}) {100 * s:.0f} %" for (i, j), s in zip(pairs, found, strict=True) if s >= 0]
            text.append(
                f"{activation}: both vectors determined in {', '.join(map(str, determined.sum(axis=0)))} of {len(closest)} networks; "
                f"angle below {angle} rad in {', '.join(told) or 'none that can be judged'}"
            )
        most = shares.max(axis=0)
        judged = most >= 0
        least = most[judged].min() if judged.any() else np.nan
        conditions[f"{activation}: every pair occurs (5 % of the networks or more)"] = at_least(
            least if least < 0.05 or judged.all() else np.nan, 0.05
        )
    refuted = any(isinstance(part, Condition) and part.testable and not part.holds for part in conditions.values())
    return Check("; ".join(text), _tested(conditions) if refuted else conditions)
