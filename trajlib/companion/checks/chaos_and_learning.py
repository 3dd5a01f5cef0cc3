"""What the chapter on chaos and the time to learn checks the paper's claims by, and what tells its explanation from its rivals.

One entry a cell of task x network x decay, unless said otherwise; rates are learning rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...series.learning import BestOf
from ..conditions import Check, Condition, at_most, between, fraction, share
from .edge_of_stability import mean_of

__all__ = [
    "NEAR",
    "Closeness",
    "chaos_is_a_gain",
    "closeness",
    "copies_beat_luck",
    "least_time_ratio",
    "learns_while_chaotic",
    "minimum_at_onset",
    "more_chaotic_is_sooner",
    "paired",
    "predicts_best",
    "schedules_exploit_chaos",
    "time_goes_like_inverse_rate",
]

NEAR = 10 ** (2 / 20)
"""Within this factor a rate is at another one: two steps of the grid."""


def learns_while_chaotic(overlap: np.ndarray) -> Check:
    """In each cell (cells,), at how many rates more than half of the networks learn and more than half are chaotic."""
    overlap = np.asarray(overlap)
    return Check(
        f"rates at which more than half learn and more than half are chaotic: in {fraction(overlap > 0)} of the cells, "
        f"{np.median(overlap):.0f} in the median",
        {"more than half of the networks learn, and more than half are chaotic, at some rate": share(overlap > 0)},
    )


def minimum_at_onset(value: np.ndarray, lower: np.ndarray, upper: np.ndarray, group: Sequence[str]) -> Check:
    """Fastest rate over onset in each cell (cells,), with intervals, and the groups (tasks, depths, ...) that cells belong to.

    Cells without an onset or without a fastest rate have nan, and are left out.
    """
    names, groups = list(dict.fromkeys(group)), np.asarray(group)
    value, lower, upper = (np.asarray(a, dtype=np.float64) for a in (value, lower, upper))
    known = ~np.isnan(value)
    at = [known & (groups == name) for name in names]
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.abs(np.log(value)) <= np.log(NEAR) + 1e-9
        surely_near = (lower >= 1 / NEAR - 1e-9) & (upper <= NEAR + 1e-9)
        surely_far = (upper < 1 / NEAR) | (lower > NEAR)
        not_below, surely_not_below, surely_below = value >= 1 / NEAR - 1e-9, lower >= 1 / NEAR - 1e-9, upper < 1 / NEAR
    said = ", ".join(
        f"{name} {np.median(value[which]):.2f} ({which.sum()})" if which.any() else f"{name} none"
        for name, which in zip(names, at, strict=True)
    )
    return Check(
        f"fastest rate over the onset of chaos, median (cells): {said}; within a factor of {NEAR:.2f} of it in {fraction(near[known])}",
        {
            "in each group most cells are fastest at the onset of chaos (within two steps of the grid)": _in_each(
                at, near, surely_near, surely_far
            ),
            "in each group most cells are fastest where they are chaotic, not below the onset": _in_each(
                at, not_below, surely_not_below, surely_below
            ),
        },
    )


def _in_each(groups: list[np.ndarray], holds: np.ndarray, surely: np.ndarray, surely_not: np.ndarray) -> Condition:
    """Whether something holds in more than half of the cells of each group; the value is the least share."""
    if not groups or not all(which.any() for which in groups):
        return Condition(False, False, np.nan, 0.5, 1.0)
    least = min(float(holds[which].mean()) for which in groups)
    worst, best = (min(float(a[which].mean()) for which in groups) for a in (surely, ~surely_not))
    return Condition(least > 0.5, (worst > 0.5) == (best > 0.5), least, 0.5, 1.0)


class Closeness(NamedTuple):
    """How closely the fastest rate follows predictions, over cells.

    Attributes
    ----------
    ratio : dict of str to float
        Median of the fastest rate over each prediction.
    spread : dict of str to float
        Median deviation of ln(fastest rate / prediction) from its median: 0 for a law, whatever its constant.
    worse : dict of str to (float, float)
        95 % interval of each spread less that of the first prediction, by a bootstrap over cells: above 0 where it is surely the worse one.
    cells : int
        Those where all predictions are known.
    """

    ratio: dict[str, float]
    spread: dict[str, float]
    worse: dict[str, tuple[float, float]]
    cells: int


def closeness(
    fastest: np.ndarray, predictions: Mapping[str, np.ndarray], draws: int = 2000, seed: int = 0
) -> Closeness:
    """How closely fastest rates (cells,) follow each of some predictions (cells,): the rivals side by side, on the same cells.

    Examples
    --------
    >>> fastest = np.array([0.1, 0.2, 0.4, 0.8])
    >>> found = closeness(fastest, {"law": 2 * fastest, "chance": np.array([1.0, 0.1, 1.0, 0.1])}, draws=100)
    >>> found.ratio["law"], found.spread["law"], found.spread["chance"] > 0.5
    (0.5, 0.0, True)
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.stack([np.log(np.asarray(fastest) / np.asarray(p)) for p in predictions.values()])
    logs = logs[:, np.isfinite(logs).all(axis=0)]
    names, cells = list(predictions), logs.shape[1]
    if cells < 3:
        nothing = dict.fromkeys(names, np.nan)
        return Closeness(nothing, nothing, {name: (np.nan, np.nan) for name in names[1:]}, cells)

    def spread(of: np.ndarray) -> np.ndarray:
        return np.median(np.abs(of - np.median(of, axis=-1, keepdims=True)), axis=-1)

    found = spread(logs)
    drawn = spread(logs[:, np.random.Generator(np.random.PCG64(seed)).integers(0, cells, (draws, cells))])
    low, high = np.quantile(drawn[1:] - drawn[0], [0.025, 0.975], axis=1)
    return Closeness(
        dict(zip(names, np.exp(np.median(logs, axis=1)).tolist(), strict=True)),
        dict(zip(names, found.tolist(), strict=True)),
        {name: (float(a), float(b)) for name, a, b in zip(names[1:], low, high, strict=True)},
        cells,
    )


def predicts_best(found: Closeness) -> Check:
    """Whether the first of the predictions "chaos", "breaking" (of training) and "sharpness" (2 over it) is the closest one."""
    said = ", ".join(f"{name} {found.ratio[name]:.2f} × / ÷ {np.exp(found.spread[name]):.2f}" for name in found.spread)

    def better(rival: str) -> Condition:
        gap = found.spread[rival] - found.spread["chaos"]
        low, high = found.worse[rival]
        return Condition(gap > 0, bool(low > 0 or high <= 0), float(gap), 0.0, np.inf)

    return Check(
        f"fastest rate over what predicts it, median and median deviation, in {found.cells} cells: {said}",
        {
            "the onset of chaos predicts the fastest rate more closely than the rate at which training breaks": better(
                "breaking"
            ),
            "and more closely than the rate at which 2/lr falls below the sharpness": better("sharpness"),
        },
    )


def time_goes_like_inverse_rate(slope: np.ndarray) -> Check:
    """Slopes of ln(time) against ln(rate) below onset and minimum, (cells,): the first rival has -1."""
    known = slope[np.isfinite(slope)]
    middle = float(np.median(known)) if len(known) else np.nan
    error = 1.96 * 1.2533 * float(known.std(ddof=1)) / np.sqrt(len(known)) if len(known) > 1 else 0.0
    return Check(
        f"slope of ln(time) against ln(rate) below the minimum: median {middle:.2f} ± {error:.2f} over {len(known)} cells; "
        f"between -1.2 and -0.8 in {fraction((known > -1.2) & (known < -0.8))}",
        {"time goes like 1/lr below the minimum (slope -1 within a fifth)": between(middle, -1.2, -0.8, error=error)},
    )


def more_chaotic_is_sooner(tau: np.ndarray) -> Check:
    """Kendall's tau of exponent and time among networks at one rate, (cells,): negative where the more chaotic learn sooner."""
    known = tau[np.isfinite(tau)]
    mean = float(known.mean()) if len(known) else np.nan
    error = 1.96 * float(known.std(ddof=1)) / np.sqrt(len(known)) if len(known) > 1 else 0.0
    return Check(
        f"Kendall's tau of exponent and time at the fastest rate: mean {mean:.2f} ± {error:.2f} over {len(known)} cells, "
        f"negative in {fraction(known < 0)}",
        {"at one rate, networks with a larger exponent learn sooner": at_most(mean, 0.0, error=error)},
    )


def least_time_ratio(
    plain: np.ndarray, altered: np.ndarray, draws: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Least median time of altered runs (r, n) over that of plain ones (s, n), and its 95 % interval, over the same networks.

    Times in steps, -1 where censored; both are allowed their own best rate. Networks are resampled together.
    """

    def least(time: np.ndarray) -> np.ndarray:
        values = np.sort(np.where(time < 0, np.inf, time), axis=-1)[..., (time.shape[-1] + 1) // 2 - 1]
        return values.min(axis=0) + 1.0

    with np.errstate(invalid="ignore"):
        value = float(least(altered) / least(plain))
        n = plain.shape[1]
        rows = np.random.Generator(np.random.PCG64(seed)).integers(0, n, (draws, n))
        drawn = least(altered[:, rows]) / least(plain[:, rows])
    known = drawn[~np.isnan(drawn)]
    if len(known) == 0:
        return value, np.nan, np.nan
    low, high = np.quantile(known, [0.025, 0.975], method="inverted_cdf")
    return value, float(low), float(high)


def _above(value: float, low: float, high: float, limit: float) -> Condition:
    """Whether a value with an interval is above a limit."""
    return Condition(value > limit, bool(low > limit or high <= limit), value, limit, np.inf)


def chaos_is_a_gain(
    projected: tuple[float, float, float], capped: tuple[float, float, float], standardised: tuple[float, float, float]
) -> Check:
    """Least times without chaos over those with it, each (value, lower, upper): overshooting directions left out, steps capped, features
    standardised. If chaos helps, taking it out costs time, even at the best rate that is left."""
    said = ", ".join(
        f"{name} {value:.2f} ({low:.2f} to {high:.2f})"
        for name, (value, low, high) in {"projected": projected, "capped": capped, "standardised": standardised}.items()
    )
    return Check(
        f"least median time over that of plain descent: {said}",
        {
            "it takes longer without the directions that overshoot": _above(*projected, 1.0),
            "it takes longer with capped steps": _above(*capped, 1.0),
            "it takes longer with standardised features": _above(*standardised, 1.0),
        },
    )


def copies_beat_luck(found: BestOf) -> Check:
    """Whether the first of N copies that chaos has parted learns sooner than the first of N independent networks."""
    return Check(
        f"first of the copies after {found.copies:.0f} steps, first of as many independent networks after {found.draws:.0f}; gain "
        f"{found.gain:.2f} ({found.lower:.2f} to {found.upper:.2f})",
        {"the best of N copies is more than the luck of N draws": _above(found.gain, found.lower, found.upper, 1.0)},
    )


def paired(better: np.ndarray, worse: np.ndarray, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Mean of ``worse - better`` over the same networks (n,), and its 95 % interval by a bootstrap; what is not finite is left out."""
    gap = np.asarray(worse, dtype=np.float64) - np.asarray(better, dtype=np.float64)
    gap = gap[np.isfinite(gap)]
    if len(gap) < 2:
        return np.nan, np.nan, np.nan
    means = gap[np.random.Generator(np.random.PCG64(seed)).integers(0, len(gap), (draws, len(gap)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(gap.mean()), float(low), float(high)


def schedules_exploit_chaos(loss: Mapping[str, np.ndarray], accuracy: Mapping[str, np.ndarray]) -> Check:
    """Test losses and accuracies (n,) after tuned schedules of equal cost: "chaotic then decay" against "ordered", the best constant rate
    below the onset, and against "one cycle", the best known schedule that does not know of chaos."""
    against_ordered = paired(loss["chaotic then decay"], loss["ordered"])
    right = paired(-accuracy["chaotic then decay"], -accuracy["ordered"])
    against_cycle = paired(loss["chaotic then decay"], loss["one cycle"])
    said = ", ".join(
        f"{name} {mean_of(values):.3f} / {100 * mean_of(accuracy[name]):.1f} %" for name, values in loss.items()
    )
    return Check(
        f"mean test loss / accuracy: {said}",
        {
            "a chaotic rate, then decay, ends at a lower test loss than the best ordered rate": _above(
                *against_ordered, 0.0
            ),
            "and at a higher accuracy": _above(*right, 0.0),
            "and at a lower test loss than one cycle": _above(*against_cycle, 0.0),
        },
    )
