"""The claims about training at learning rate 0.01."""

from __future__ import annotations

import numpy as np
from scipy import special, stats

from ..conditions import Check, at_least, between, fraction, share

__all__ = [
    "basins_outwards",
    "copies_differ",
    "distance_slow_growth",
    "every_radius",
    "few_weights_matter",
    "isometry_spread",
    "jacobian_near_identity",
    "late_distances_flat",
    "loss_decreases",
    "no_ergodicity",
    "no_neutral_drift",
    "saddles",
    "spread",
    "variance_between",
]


def _typical(values: np.ndarray, holds, least: float = 0.9):
    """A share of the networks whose values are numbers at all."""
    values = np.asarray(values, dtype=float)
    return share(holds(values[np.isfinite(values)]), least)


def loss_decreases(loss: np.ndarray) -> Check:
    """From losses (networks, steps + 1) at every step."""
    rise = np.diff(loss, axis=1).max(axis=1)
    measured = f"the loss never rises in {fraction(rise <= 0)} networks, {loss.shape[1] - 1:,} steps"
    return Check(measured, {"no step raises the loss, in any network": _typical(rise, lambda r: r <= 0, 1.0)})


def distance_slow_growth(times: np.ndarray, distance: np.ndarray) -> Check:
    """From the mean distance of the copies (networks, times)."""
    whole = distance[(np.isfinite(distance) & (distance > 0)).all(axis=1)]
    rises = (whole / np.minimum.accumulate(whole, axis=1)).max(axis=1) > 1.1
    falls = (whole / np.maximum.accumulate(whole, axis=1)).min(axis=1) < 0.9
    straight = np.array([np.corrcoef(times, np.log(m))[0, 1] ** 2 for m in whole])
    half = len(times) // 2
    rate = np.log(whole[:, -1] / whole[:, half]) / (times[-1] - times[half])
    measured = (
        f"rises and falls by 10 %: {fraction(rises & falls)}; R² of a straight ln d(t) below 0.9: {fraction(straight < 0.9)}; growth rate "
        f"over the second half {np.median(rate) if len(rate) else np.nan:.1e} per step (median)"
    )
    return Check(
        measured,
        {
            "d(t) both rises and falls, by 10 %": share(rises & falls),
            "ln d(t) is not a straight line (R² below 0.9)": share(straight < 0.9),
            "d grows in the second half": share(rate > 0),
            "slowly: by less than a factor e in 1,000 steps": share(rate < 1e-3),
        },
    )


def spread(growth: np.ndarray) -> np.ndarray:
    """Standard deviation of ln growth among the copies of each network, from (networks, copies) to (networks,)."""
    return np.log(growth).std(axis=1, ddof=1)


def isometry_spread(vectors: np.ndarray, seed: int, stretched: float = 1.0) -> np.ndarray:
    """The spread of L1 growth where nothing is stretched: perturbations (networks, copies, p) are only turned, a network's all alike.

    With ``stretched`` one direction, a random one for each network, is stretched by this factor as well: what the test's power is about.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    p = vectors.shape[-1]
    turn = np.linalg.qr(rng.standard_normal((len(vectors), p, p)))[0]
    turn[:, :, 0] *= stretched
    return spread(np.abs(vectors @ turn).sum(-1) / np.abs(vectors).sum(-1))


def copies_differ(growth: np.ndarray, vectors: np.ndarray, anew: np.ndarray, seed: int) -> Check:
    """From the growth of copies (networks, copies), their perturbations (networks, copies, p), and the growth of directions drawn anew in
    the tangent maps of the first of these networks (fewer networks, directions).
    """
    found = spread(growth)
    limit = np.quantile(isometry_spread(vectors, seed), 0.99)
    power = (isometry_spread(vectors, seed + 1, stretched=10.0) > limit).mean()
    ratio, error = _ratio_of_spreads(growth[: len(anew)], anew)
    measured = (
        f"spread of ln growth among copies: median {np.median(found):.2f}; a map that only turns has {limit:.2f} at most (99 %; passed in "
        f"{100 * power:.0f} % where one direction of {vectors.shape[-1]} is stretched tenfold); {ratio:.2f} ± {error:.2f} of the spread "
        "among directions drawn anew in the same tangent maps"
    )
    return Check(
        measured,
        {
            "copies differ by more than a map that only turns would have it": _typical(found, lambda s: s > limit),
            "as random directions of the tangent map do: ratio of the spreads": between(ratio, 0.8, 1.25, error),
        },
    )


def _ratio_of_spreads(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Typical ratio of the spreads of two samples from each network, and 1.96 standard errors of it.

    From the mean of ln variance over networks, less what the logarithm of a normal sample's variance falls short of that of the true one
    (M. S. Bartlett, D. G. Kendall, Suppl. J. R. Stat. Soc. 8 (1946) 128).
    """
    found = []
    for sample in (ours, theirs):
        half = (sample.shape[1] - 1) / 2
        with np.errstate(divide="ignore"):
            found.append(2 * np.log(spread(sample)) - special.digamma(half) + np.log(half))
    ratio = 0.5 * (found[0] - found[1])
    ratio = ratio[np.isfinite(ratio)]
    if len(ratio) < 2:
        return np.nan, 0.0
    typical = float(np.exp(ratio.mean()))
    return typical, float(1.96 * typical * ratio.std(ddof=1) / np.sqrt(len(ratio)))


def variance_between(log_growth: np.ndarray) -> tuple[float, float, float]:
    """Share of the variance of (networks, copies) that lies between networks (intraclass correlation), with its 95 % interval.

    P. E. Shrout, J. L. Fleiss, Psychol. Bull. 86 (1979) 420, the case of one-way analysis of variance.
    """
    values = log_growth[np.isfinite(log_growth).all(axis=1)]
    n, m = values.shape
    if n < 2 or not values.var() > 0:
        return np.nan, np.nan, np.nan
    f = m * values.mean(axis=1).var(ddof=1) / values.var(axis=1, ddof=1).mean()
    ends = f, f / stats.f.ppf(0.975, n - 1, n * (m - 1)), f * stats.f.ppf(0.975, n * (m - 1), n - 1)
    share_of, low, high = ((e - 1) / (e + m - 1) for e in ends)
    return float(share_of), float(low), float(high)


def no_ergodicity(log_growth: np.ndarray) -> Check:
    """From ln d(t)/d(0) of copies at increasing times (times, networks, copies), the first a quarter of the run, the last its end."""
    early, (now, low, high) = variance_between(log_growth[0])[0], variance_between(log_growth[-1])
    n, m = log_growth.shape[1:]
    critical = stats.f.ppf(0.99, n - 1, n * (m - 1))
    power = stats.f.sf(critical / (1 + m * 0.1 / 0.9), n - 1, n * (m - 1))
    null = (critical - 1) / (critical + m - 1)
    measured = (
        f"{100 * now:.0f} % ({100 * low:.0f}-{100 * high:.0f} %) of the variance of ln d(t)/d(0) lies between initial conditions at the "
        f"end, {100 * early:.0f} % after a quarter of the run; if there were no difference, {100 * null:.0f} % at most (99 %); a true "
        f"share of 10 % would pass that in {100 * power:.0f} %"
    )
    return Check(
        measured,
        {
            "at least a tenth of the variance lies between initial conditions": at_least(
                now, 0.1, float(np.nan_to_num((high - low) / 2))
            ),
            "it does not average out: at the end at least 0.9 of what it is after a quarter": at_least(
                now / early, 0.9
            ),
        },
    )


def every_radius(radii: np.ndarray, growth: np.ndarray, tangent: np.ndarray) -> Check:
    """From d(T)/d(0) at each radius, ascending (radii, networks, copies), and under the tangent map (networks, copies)."""
    away = np.abs(growth / tangent - 1)
    apart = (growth.mean(axis=2) > 1).mean(axis=1)
    middle = away[1:-1].max()
    measured = (
        f"off the tangent map's growth by more than 10 %: {100 * (away[-1] > 0.1).mean():.0f} % of copies at {radii[-1]:.0e}, "
        f"{100 * (away[0] > 0.1).mean():.0f} % at {radii[0]:.0e}; at radii between, where this is a theorem, by {middle:.1g} at most; "
        f"networks with d(T) > d(0): {100 * apart.min():.0f}-{100 * apart.max():.0f} %"
    )
    return Check(
        measured,
        {
            "at the largest radius, where curvature counts: growth within 10 % of the tangent map's": _typical(
                away[-1], lambda a: a < 0.1
            ),
            "at the smallest radius, where rounding counts: growth within 10 % of the tangent map's": _typical(
                away[0], lambda a: a < 0.1
            ),
        },
    )


def few_weights_matter(change: np.ndarray) -> Check:
    """From the relative change of the loss when one weight is set to zero (networks, weights)."""
    ratio = change.max(axis=1) / np.median(change, axis=1)
    measured = (
        f"largest change over the median one: median {np.median(ratio):.0f}, above 10 in {fraction(ratio > 10)} networks (the largest of "
        f"40 exponentially distributed changes is, in 4 %); "
        f"{100 * (change < 0.1).mean():.0f} % of all weights change the loss by less than 10 %"
    )
    return Check(
        measured,
        {
            "some weights matter at least ten times as much as the median one": _typical(ratio, lambda r: r > 10),
            "more than half hardly matter (below 10 %)": _typical(change, lambda c: c < 0.1, 0.5),
        },
    )


def no_neutral_drift(path: np.ndarray, moved: np.ndarray) -> Check:
    """From the path length and the displacement of each weight (networks, weights)."""
    r = np.array([np.corrcoef(p, m)[0, 1] for p, m in zip(path, moved, strict=True)])
    with np.errstate(invalid="ignore"):
        turned = (path > np.median(path, axis=1, keepdims=True)) & (moved / path < 0.1)
    measured = (
        f"correlation of path and displacement: median {np.median(r):.2f}, above 0.9 in {fraction(r > 0.9)}; {turned.sum()} of "
        f"{turned.size:,} weights travel far and end near, in {fraction(turned.any(axis=1))} networks"
    )
    return Check(
        measured,
        {
            "path and displacement are proportional (r above 0.9)": _typical(r, lambda v: v > 0.9),
            "no weight has a long path and ends within a tenth of it": share(~turned.any(axis=1), 1.0),
        },
    )


def late_distances_flat(times: np.ndarray, growth: np.ndarray) -> Check:
    """From d(t)/d(0) of copies made late, mean over copies (networks, times); the first tenth is where distances drop."""
    tenth = int(np.searchsorted(times, times[-1] / 10))
    drop, after = growth[:, tenth], growth[:, -1] / growth[:, tenth]
    before, later = np.log(drop) / times[tenth], np.log(after) / (times[-1] - times[tenth])
    slower = np.abs(later) / np.abs(before)
    fine = np.isfinite(drop)
    low, high = np.quantile(after, [0.05, 0.95]) if len(after) else (np.nan, np.nan)
    measured = (
        f"after a tenth of the time d is {np.median(drop):.3f} of what it was (median); from there to the end it changes by a factor "
        f"{np.median(after):.2f} (5-95 %: {low:.2f}-{high:.2f}); rate afterwards over rate before: median {np.median(slower):.2f}"
    )
    return Check(
        measured,
        {
            "distances first drop": share(drop[fine] < 1),
            "then stay flat or fall: no rise above 10 %": share(after[fine] < 1.1),
            "slowly: by less than half": share(after[fine] > 0.5),
            "not exponentially: the rate falls to below a tenth": share(slower[fine] < 0.1),
        },
    )


def jacobian_near_identity(deviation: np.ndarray, tolerance: float = 1e-4) -> Check:
    """From the transverse multipliers minus one (networks, directions)."""
    near, below = (np.abs(deviation) < tolerance).sum(1), (deviation <= -tolerance).sum(1)
    above = (deviation >= tolerance).sum(1)
    n = deviation.shape[1]
    measured = (
        f"of {n} transverse eigenvalues: {near.mean():.1f} within {tolerance:g} of one, {below.mean():.1f} below, {above.mean():.1f} above "
        f"(means; above one in {fraction(above > 0)} networks)"
    )
    return Check(
        measured,
        {
            "more than half are within 1e-4 of one": share(near > n / 2),
            "a handful, at most 10, lie below": share((below > 0) & (below <= 10)),
            "none lies above": share(above == 0),
        },
    )


def basins_outwards(norm: np.ndarray, outwards: np.ndarray, late_growth: np.ndarray) -> Check:
    """From |w| at a late moment and at the end (2, networks), w . gradient at the end (networks,), and d(t)/d(0) of late copies, mean over
    copies, at its end (networks,).
    """
    grown = norm[1] / norm[0]
    measured = (
        f"|w| grows by {100 * (np.median(grown) - 1):.1f} % in the last fifth (median), to {np.median(norm[1]):.1f}; scaling up all "
        f"weights lowers the loss in {fraction(outwards < 0)}; late distances change by a factor {np.median(late_growth):.2f} (median)"
    )
    return Check(
        measured,
        {
            "the weights still grow": _typical(grown, lambda g: g > 1),
            "outwards, along w itself, the loss falls": _typical(outwards, lambda o: o < 0),
            "while copies keep their distance within 10 %": _typical(late_growth, lambda g: np.abs(g - 1) < 0.1),
        },
    )


def saddles(
    deviation: np.ndarray, gradient_norm: np.ndarray, growth: dict[str, np.ndarray], tolerance: float = 1e-4
) -> Check:
    """From the transverse multipliers minus one at some moments (moments, networks, directions), the norm of the gradient (networks,
    times), and the growth of tangent vectors (networks, vectors) under both signs of the curvature and under the positive one alone.
    """
    both_signs = np.all((deviation > tolerance).any(-1) & (deviation < -tolerance).any(-1), axis=0)
    rebound = (gradient_norm / np.minimum.accumulate(gradient_norm, axis=1)).max(axis=1)
    both, positive = growth["both"], growth["positive"]
    measured = (
        f"curvature of both signs at each of {len(deviation)} moments: {fraction(both_signs)}; the gradient rises by 10 % above its "
        f"least value so far: {fraction(rebound > 1.1)}; growth of tangent vectors {np.median(both):.2f} (median; at most "
        f"{both.max():.1f}), without negative curvature {np.median(positive):.2f} (at most {positive.max():.2f})"
    )
    return Check(
        measured,
        {
            "all along the way some directions contract and others expand": share(both_signs),
            "most networks slow down and speed up again, as one that passes a saddle": _typical(
                rebound, lambda r: r > 1.1, 0.5
            ),
            "with negative curvature, distances grow": _typical(both, lambda g: g > 1),
            "without negative curvature, none does": _typical(positive, lambda g: g <= 1),
        },
    )
