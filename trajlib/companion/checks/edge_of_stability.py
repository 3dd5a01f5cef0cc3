"""What chapter 2, on the edge of stability, checks the paper's claims by. Networks are n, copies m, steps T; rates are per step."""

from __future__ import annotations

import numpy as np
from scipy.stats import gaussian_kde

from ...series.expansion import ExpansionFit
from ..conditions import Check, at_most, between, fraction, share

__all__ = [
    "asymptotic_oscillation",
    "difference",
    "exponent_distribution",
    "exponent_limit",
    "exponential_phase",
    "faster_convergence",
    "interval",
    "loss_nonmonotonic",
    "mean_of",
    "modes",
    "of_kept",
    "onset",
    "rate_in_window",
    "repeats",
    "sharpness_above_edge",
    "two_maxima_found",
]

REPORTED = 0.33
"""The paper's mean exponent for small radii."""
WINDOW = 200
"""Last steps in which a period is looked for."""


def of_kept(fit: ExpansionFit) -> tuple[float, float, float, int]:
    """Of the fits that pass the filter: mean rate, standard deviation, standard error of the mean, number; nan where none does."""
    rates = fit.rate[fit.kept]
    if len(rates) == 0:
        return np.nan, np.nan, np.nan, 0
    return float(rates.mean()), float(rates.std()), float(rates.std() / np.sqrt(len(rates))), len(rates)


def mean_of(values: np.ndarray) -> float:
    """Mean of the finite ones, nan if there are none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else np.nan


def difference(values: np.ndarray, which: np.ndarray, at_least: int = 3) -> np.ndarray:
    """Mean of some members less that of the others, for each row of (rows, n); nan where there are fewer of either than ``at_least``."""
    some, others = which.sum(axis=1), (~which).sum(axis=1)
    gap = (values * which).sum(axis=1) / np.maximum(some, 1) - (values * ~which).sum(axis=1) / np.maximum(others, 1)
    return np.where((some >= at_least) & (others >= at_least), gap, np.nan)


def interval(values: np.ndarray, draws: int = 4000, seed: int = 0) -> tuple[float, float, float]:
    """Mean of the finite values and the ends of its 95 % interval, by a bootstrap over them; nan where there are fewer than two."""
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return mean_of(values), np.nan, np.nan
    means = finite[np.random.default_rng(seed).integers(0, len(finite), (draws, len(finite)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(finite.mean()), float(low), float(high)


def onset(rates: np.ndarray, share: np.ndarray, above: float = 0.5) -> np.ndarray:
    """The lowest of rates (r,) at which a share (r, columns) is above a bound; nan where none is."""
    there = share > above
    return np.where(there.any(axis=0), rates[there.argmax(axis=0)], np.nan)


def rate_in_window(fit: ExpansionFit, norm: np.ndarray) -> np.ndarray:
    """Growth rate of norms (n, t) between the first and the last step of each fit's window; nan where there is none."""
    first, last = np.maximum(fit.start, 0), np.clip(fit.stop, 1, norm.shape[1]) - 1
    rows = np.arange(len(norm))
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.log(norm[rows, last] / norm[rows, first]) / (last - first)
    return np.where((fit.start >= 0) & (last > first), rate, np.nan)


def loss_nonmonotonic(loss: np.ndarray) -> Check:
    """Losses (n, T + 1): a step raises the loss by 10 %, and its mean over the last 100 steps is below 0.1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = (loss[:, 1:] / loss[:, :-1]).max(axis=1) > 1.1
    low = loss[:, -100:].mean(axis=1) < 0.1
    return Check(
        f"a step raises the loss by 10 % in {fraction(rise)}; mean loss of the last 100 steps below 0.1 in {fraction(low)}",
        {"the loss rises on the way": share(rise), "and ends near zero": share(low)},
    )


def exponential_phase(kept: np.ndarray, distance: np.ndarray) -> Check:
    """Which fits pass the filter (n,), mean distances (n, T + 1): after the phase d stays within a factor of 2."""
    steps = distance.shape[1] - 1
    there = kept if steps >= 1000 else np.zeros_like(kept)
    after, before = distance[there, -(steps // 5) :], distance[there, 500:1000]
    if there.any():
        ratio = after.mean(axis=1) / before.mean(axis=1)
        said = f"mean d of the last fifth over that of steps 500 to 1,000: median {np.median(ratio):.2f}"
    else:
        ratio, said = np.zeros(0), "none to follow on"
    saturated = (ratio < 2) & (ratio > 0.5)
    return Check(
        f"fit passes the filter in {fraction(kept)}; {said}, within a factor of 2 in {fraction(saturated)}",
        {
            "many (more than half) have an exponential phase": share(kept, 0.5),
            "after which d saturates (within a factor of 2)": share(saturated),
        },
    )


def repeats(y: np.ndarray) -> np.ndarray:
    """Whether series (n, t) come back after 2 to 10 steps (correlation above 0.9) without just standing still (one below 0.5), (n,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, keepdims=True)
    memory = np.array([(z[:, :-lag] * z[:, lag:]).mean(axis=1) for lag in range(1, 11)])
    return (memory[1:].max(axis=0) > 0.9) & (memory.min(axis=0) < 0.5)


def detrended(y: np.ndarray) -> np.ndarray:
    """Series (n, t) without their straight lines."""
    t = np.arange(y.shape[1])
    slope, at = np.polyfit(t, y.T, 1)
    return y - (slope[:, None] * t + at[:, None])


def asymptotic_oscillation(distance: np.ndarray) -> Check:
    """Mean distances (n, T + 1): the last 200 repeat with a period of 2 to 10, with and without a straight line taken out."""
    tail = distance[:, -WINDOW:]
    left = detrended(tail)
    drifting, cycles = repeats(left), repeats(tail)
    size = np.median(left.std(axis=1) / tail.mean(axis=1))
    return Check(
        f"last {WINDOW} steps: repeat with a period of 2 to 10 once a linear trend is removed: {fraction(drifting)}, with no trend "
        f"removed: {fraction(cycles)}; amplitude median {100 * size:.1f} % of d",
        {
            "distances oscillate with a small period": share(drifting),
            "sometimes (5 %) without drift, like a limit cycle": share(cycles, 0.05),
        },
    )


def modes(rates: np.ndarray) -> int:
    """Maxima of a kernel density with Silverman's bandwidth, those below a twentieth of the highest left out."""
    grid = np.linspace(rates.min() - 0.1, rates.max() + 0.1, 801)
    density = gaussian_kde(rates, bw_method="silverman")(grid)
    top = (density[1:-1] > density[:-2]) & (density[1:-1] > density[2:])
    return int((top & (density[1:-1] > 0.05 * density.max())).sum())


def two_maxima_found(size: int, apart: float, draws: int = 50, seed: int = 0) -> float:
    """In what share of samples from two equal normals, ``apart`` standard deviations apart, :func:`modes` is above 1."""
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal((draws, size)) + apart * rng.integers(0, 2, (draws, size))
    return float(np.mean([modes(sample) > 1 for sample in samples]))


def exponent_distribution(rate: np.ndarray, kept: np.ndarray) -> Check:
    """Fitted exponents (n,) and which of them pass the filter: one maximum, and about 90 % of them."""
    fitted, passed = rate[np.isfinite(rate)], float(kept.mean())
    enough = kept.sum() >= 20
    tops = modes(rate[kept]) if enough else np.nan
    if enough:
        size = int(kept.sum())
        two, one = (f"{100 * two_maxima_found(size, apart):.0f} %" for apart in (4, 0))
        said = (
            f"maxima of the kernel density: {tops} for the fits kept, {modes(fitted)} for all (the filter removes those near zero); of "
            f"samples of this size from two normals 4 standard deviations apart it has two in {two}, from one normal in {one}; "
        )
    else:
        said = ""
    return Check(
        f"{said}kept {fraction(kept)}",
        {
            "one maximum, for the fits kept": at_most(tops, 1),
            "kept: 90 %, within 10 %": between(
                passed, 0.81, 0.99, error=1.96 * np.sqrt(passed * (1 - passed) / len(kept))
            ),
        },
    )


def exponent_limit(radii: np.ndarray, fits: list[ExpansionFit], limit: ExpansionFit, early: np.ndarray) -> Check:
    """Fits at each radius and to tangent vectors, exact rates (n,): the mean tends to a limit, which is the reported one."""
    mean, _, error, kept = np.array([of_kept(fit) for fit in fits]).T
    zero, _, doubt, _ = of_kept(limit)
    off = abs(mean[0] / zero - 1)
    unsure = 1.96 * float(np.hypot(error[0] / mean[0], doubt / zero))
    small = (radii < 5e-6) & (kept > 1)
    said = ""
    if small.sum() > 3:
        trend, covariance = np.polyfit(np.log10(radii[small]), mean[small], 1, w=1 / error[small], cov="unscaled")
        said = f"up to radius 1e-6 it falls by {-trend[0]:.4f} ± {covariance[0, 0] ** 0.5:.4f} a decade; "
    return Check(
        f"limit of radius 0 (tangent vectors, same windows): {zero:.3f} ± {doubt:.3f}; mean Λ at radius {radii[0]:.0e}: "
        f"{mean[0]:.3f} ± {error[0]:.3f}; {said}exact rate over all 200 steps {early.mean():.3f}, above 0.05 in {fraction(early > 0.05)}",
        {
            "the exact rate, too, passes the paper's bound of 0.05 in nearly all networks": share(early > 0.05),
            "tends to its limit: within 10 % at the smallest radius": at_most(
                off, 0.1, error=float(np.nan_to_num(unsure))
            ),
            "the limit is 0.33 within 10 %": between(
                zero, 0.9 * REPORTED, 1.1 * REPORTED, error=float(np.nan_to_num(1.96 * doubt))
            ),
        },
    )


def faster_convergence(loss: np.ndarray, slow: np.ndarray, lr: float, slow_lr: float) -> Check:
    """Losses (n, T + 1) at ``lr`` and (n, S + 1) at ``slow_lr``: steps to the loss at which the slow one ends."""
    steps = slow.shape[1] - 1
    below = loss < slow[:, -1:]
    reached = np.where(below.any(axis=1), below.argmax(axis=1), np.inf)
    equal = steps * slow_lr / lr
    return Check(
        f"steps to the loss that lr = {slow_lr:g} has after {steps:,}: median {np.median(reached):.0f}, 95 % within "
        f"{np.quantile(reached, 0.95, method='higher'):.0f}; at equal lr × t it would be {equal:.0f}",
        {
            "fewer than half as many steps": share(reached < steps / 2),
            "at equal lr × t as well": share(reached <= equal),
        },
    )


def sharpness_above_edge(pairs: np.ndarray, lr: float) -> Check:
    """Sharpness (n, 2) at two consecutive steps at the end: their mean lies above 2 / lr, by a factor of 1.5 at most."""
    over = pairs.mean(axis=1) * lr / 2
    over = over[np.isfinite(over)]
    middle = f"median {np.median(over):.2f}" if len(over) else "none"
    return Check(
        f"mean sharpness of the last two steps over 2/lr: {middle}; at least 1 in {fraction(over >= 1)}, "
        f"at most 1.5 in {fraction(over <= 1.5)}",
        {"at or above 2/lr": share(over >= 1), "just above: at most 1.5 times as high": share(over <= 1.5)},
    )
