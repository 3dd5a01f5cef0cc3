"""Checks of the claims on diagonal linear networks: theory against networks, where training ends, how fast, in what order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from ..conditions import Check, Condition, at_least, at_most, between, share

__all__ = ["Curves", "agreement", "fixed_points", "rate_tradeoff", "real_data", "time_scales", "weighted"]

WITHIN = 2.0
"""Standard errors that a difference is asked to lie within."""


class Curves(NamedTuple):
    """Theory and networks at the same times: arrays (..., settings, curves, times), with their standard errors; nan is not compared."""

    theory: np.ndarray
    theory_error: np.ndarray
    networks: np.ndarray
    networks_error: np.ndarray

    @property
    def relative(self) -> np.ndarray:
        """Networks over theory, less one."""
        return self.networks / self.theory - 1

    @property
    def error(self) -> np.ndarray:
        """Its combined standard error."""
        return np.hypot(self.theory_error, self.networks_error) / self.theory

    def scores(self, off: float = 0.0) -> np.ndarray:
        """Differences in combined standard errors, had the theory been larger by a part ``off`` of itself."""
        return (self.relative - off) / self.error

    def within(self, off: float = 0.0) -> np.ndarray:
        """Share of the points of each setting within two standard errors, (..., settings)."""
        scores = np.abs(self.scores(off))
        return np.nanmean(np.where(np.isnan(scores), np.nan, scores <= WITHIN), axis=(-1, -2))


def weighted(relative: np.ndarray, error: np.ndarray) -> tuple[float, float]:
    """Weighted mean of independent deviations, and its standard error; nan if there is none."""
    relative, error = np.ravel(relative), np.ravel(error)
    if not relative.size:
        return np.nan, 0.0
    weight = 1 / error**2
    return float(weight @ relative / weight.sum()), float(weight.sum() ** -0.5)


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Mean of independent values and half of its 95 % interval."""
    n = len(values)
    if n < 2:
        return (float(values[0]), np.inf) if n else (np.nan, 0.0)
    return float(np.mean(values)), float(student.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))


def _spread(values: np.ndarray, digits: int = 2) -> str:
    return f"{np.min(values):.{digits}f} to {np.max(values):.{digits}f}" if np.size(values) else "none"


def agreement(curves: Curves, members: int) -> Check:
    """Do networks lie on the theory: both errors at declared times, (settings, 2, times); so many networks in each setting.

    Points of a setting share their networks and are not independent; settings are.
    """
    inside, half = _interval(curves.within())
    # the errors of a curve's points go together, so that their mean is not known better than one of them
    common, error = weighted(np.nanmean(curves.relative, axis=(1, 2)), np.nanmean(curves.error, axis=(1, 2)))
    law = 1 - 2 * student.sf(WITHIN, members - 1)
    wrong = np.mean([curves.within(off).mean() for off in (-0.05, 0.05)]) if np.size(curves.theory) else np.nan
    return Check(
        f"{len(curves.theory)} settings, {members} networks each: {100 * inside:.0f} ± {100 * half:.0f} % of the points within two "
        f"standard errors (Student's law {100 * law:.0f} %; a theory 5 % off would have {100 * wrong:.0f} %); common deviation "
        f"{100 * common:+.1f} ± {100 * 1.96 * error:.1f} %",
        {
            "most points within two standard errors (80 %; chance alone 94 %)": at_least(inside, 0.8, error=half),
            "no deviation common to all settings beyond 5 %": between(common, -0.05, 0.05, error=1.96 * error),
        },
    )


def fixed_points(
    theory: np.ndarray, limits: tuple[float, float], scales: np.ndarray, expected: np.ndarray, networks: np.ndarray
) -> Check:
    """Where training ends.

    Parameters: risks of the theory over rising alpha, from the smallest to the largest; those of basis pursuit and of the minimum norm;
    for some scales, rising, the risk that the theory expects (m,) and those of networks on the same data, (networks, m).
    """
    pursuit, norm = limits
    relative = networks / expected - 1
    mean, half = _interval(relative.mean(axis=1)) if len(networks) else (np.nan, 0.0)
    error = (
        networks.std(axis=0, ddof=1) / np.sqrt(len(networks)) / expected
        if len(networks) > 1
        else np.full(len(scales), np.nan)
    )
    worst = np.abs(relative.mean(axis=0) / error).max() if len(networks) > 1 else np.nan
    falls = networks[:, scales <= 0.1]
    falls = falls[:, 0] < falls[:, -1]
    near_norm, near_pursuit = abs(theory[-1] / norm - 1), theory[0] / pursuit - 1
    listed = "; ".join(
        f"{a:g}: {m:.4f} ± {e * x:.4f} against {x:.4f}"
        for a, m, e, x in zip(
            scales, networks.mean(axis=0) if len(networks) else expected, error, expected, strict=True
        )
    )
    return Check(
        f"theory from {theory[0]:.4f} (basis pursuit {pursuit:.4f}) to {theory[-1]:.4f} (minimum norm {norm:.4f}); {len(networks)} "
        f"networks off by {100 * mean:+.1f} ± {100 * half:.1f} % on average over the scales, by at most {worst:.1f} standard errors at "
        f"one (α: networks against theory; {listed})",
        {
            "theory: the risk rises with α (largest fall, relative)": at_most(
                float((theory[:-1] / theory[1:] - 1).max()), 0.0
            ),
            "theory: large α reaches the minimum norm (1 %)": at_most(near_norm, 0.01),
            "theory: small α approaches basis pursuit (10 % at 1e-8)": at_most(near_pursuit, 0.1),
            "networks end there, on average over the scales (10 %)": between(mean, -0.1, 0.1, error=half),
            "and at each scale (3.5 standard errors)": at_most(worst, 3.5),
            "networks: the risk falls from α = 0.1 to the smallest": share(falls),
        },
    )


def rate_tradeoff(risks: np.ndarray, rates: np.ndarray, final: np.ndarray, ratio: np.ndarray) -> Check:
    """Is risk bought with time: theory over rising alpha; risk and rate of networks at some scales, (scale, 2; mean, error), and rate
    over that of the theory, (scale; mean, error)."""
    rise, error = np.diff(final[..., 0], axis=0), 2.1 * np.hypot(final[1:, :, 1], final[:-1, :, 1])
    least = np.argmin(rise / error) if rise.size else 0
    off = np.abs(ratio[:, 0] - 1)
    worst = int(np.argmax(off)) if off.size else 0
    together = (np.diff(risks) > 0) & (np.diff(rates) > 0)
    return Check(
        f"theory: rate from {rates[0]:.1e} (risk {risks[0]:.3f}) to {rates[-1]:.0f} (risk {risks[-1]:.3f}); networks: risks "
        f"{', '.join(f'{r:.3f}' for r in final[:, 0, 0])}, rates {', '.join(f'{r:.3f}' for r in final[:, 1, 0])}, over theory "
        f"{', '.join(f'{r:.2f} ± {e:.2f}' for r, e in ratio)}",
        {
            "theory: from one α to the next, risk and rate rise together": share(together, 1.0),
            "networks: the same (least rise, in 95 % intervals)": at_least(
                float((rise / error).ravel()[least]), 0.0, error=1.0
            ),
            "networks decay at the rate of the theory (15 %)": at_most(
                float(off[worst]), 0.15, error=2.1 * float(ratio[worst, 1])
            ),
        },
    )


def time_scales(
    lazy: tuple[float, float, float, float],
    sizes: np.ndarray,
    waits: Mapping[float, np.ndarray],
    predicted: Mapping[float, np.ndarray],
) -> Check:
    """Two time scales.

    Parameters: for the large start, when training fits, when the risk is half-way from the minimum norm to the LASSO, the risk in between
    and that of the minimum norm; for the small ones, sizes of the coordinates, largest first, and for each alpha, larger first, the times
    at which a tenth, half and nine tenths of each are reached, (3, networks, coordinates), and the predicted times of the half.
    """
    fits, halfway, between_risk, norm = lazy
    large, small = waits
    ratio = {a: waits[a][1].mean(axis=0) / predicted[a] for a in waits}
    error = {a: 2.1 * waits[a][1].std(axis=0, ddof=1) / np.sqrt(waits[a].shape[1]) / predicted[a] for a in waits}
    off = np.concatenate([np.abs(ratio[a] - 1) for a in waits])
    worst = int(np.argmax(off))
    longer = (waits[small][1] / waits[large][1]).mean(axis=0) * predicted[large] / predicted[small]
    rise = {a: (waits[a][2] - waits[a][0]).mean(axis=0) for a in waits}
    same = rise[small] / rise[large]
    first = {a: _in_order(waits[a]) for a in waits}
    alone = {a: _taking_turns(waits[a]) for a in waits}
    turn, half = _interval(alone[small])
    return Check(
        f"large start: training error below a tenth at t = {fits:.2f}, risk half-way to the LASSO at t = {halfway:.1f}, in between "
        f"{between_risk:.3f} (minimum norm {norm:.3f}). Small: waits over their prediction {_spread(np.array(list(ratio.values())))}; "
        f"waits at α = {small:g} over those at {large:g} over the prediction {_spread(longer)}; rises {_spread(same)}; larger "
        f"first in {100 * first[small].mean():.0f} % of pairs; one nearly learnt before the next starts in {100 * turn:.0f} % of "
        f"neighbours, {100 * alone[large].mean():.0f} % at α = {large:g}",
        {
            "large: fits long before it generalises (ten times)": at_least(halfway / fits, 10.0),
            "large: in between, the risk of the linear model (5 %)": at_most(abs(between_risk / norm - 1), 0.05),
            "small: the search lasts as predicted (15 %)": at_most(
                float(off[worst]), 0.15, error=float(np.concatenate(list(error.values()))[worst])
            ),
            "small: it grows as the logarithm of the scale (10 %)": at_most(float(np.abs(longer - 1).max()), 0.1),
            "small: the descent does not depend on the scale (15 %)": at_most(float(np.abs(same - 1).max()), 0.15),
            "small: larger coordinates first": share(first[small] >= 0.9),
            "small: mostly one at a time, for α small enough": at_least(turn, 0.5, error=half),
        },
    )


def _in_order(times: np.ndarray) -> np.ndarray:
    """Of each network, in which part of all pairs the larger coordinate is half learnt first; times (3, networks, coordinates)."""
    i, j = np.triu_indices(times.shape[2], 1)
    return (times[1][:, i] < times[1][:, j]).mean(axis=1)


def _taking_turns(times: np.ndarray) -> np.ndarray:
    """Of each network, in which part of all neighbours in time one is nearly learnt before the next one starts."""
    order = np.argsort(times[1], axis=1)
    tenth, most = (np.take_along_axis(part, order, axis=1) for part in (times[0], times[2]))
    return (most[:, :-1] < tenth[:, 1:]).mean(axis=1)


def real_data(deviations: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Check:
    """For three kinds of inputs, the late excess risk over that of the theory less one, with its errors, at times that go together."""
    conditions: dict[str, bool | Condition] = {}
    said = []
    for name, text in (
        ("Gaussian", "Gaussian inputs follow the theory (10 %)"),
        ("Gaussian, correlated", "correlated Gaussian inputs follow that of their covariance (10 %)"),
        ("real", "real inputs follow that of their covariance (10 %)"),
    ):
        mean, error = (float(np.mean(part)) if np.size(part) else np.nan for part in deviations[name])
        conditions[text] = between(mean, -0.1, 0.1, error=1.96 * error if error == error else 0.0)
        said.append(f"{name} {100 * mean:+.0f} ± {100 * 1.96 * error:.0f} %")
    return Check(f"mean excess risk after t = 1, less that of the theory: {'; '.join(said)}", conditions)
