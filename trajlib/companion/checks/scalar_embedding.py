"""Checks of the claims on the scalar embedding, and what they are made of: growth, exponents in equal windows, clocks, gaps.

``data`` is a dict of arrays, of r learning rates, n initial conditions, m copies and T + 1 steps: "z" (r, n, 1 + m, T + 1) coordinates;
"line", "D", "random", "L1" (r, n, m, T + 1) separations of copies from their reference on the line, in all dimensions (root mean square),
along random directions and in the L1 norm; "tangent" (r, n, T + 1); "loss", "accuracy" (r, n, 1 + m, T + 1).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import combine_pvalues, rankdata, spearmanr

from ...embedding import (
    asymptotic_spacings,
    decorrelation_time,
    embedding_time,
    one_form,
    rescale_spacings,
    saturation_time,
    skew_lognormal_test,
)
from ...embedding.spacings import OneForm
from ...series import expansion_rate
from ...sweeps.grid import Sweep
from ..conditions import Check, Condition, at_least, at_most, between, fraction, share

__all__ = [
    "Gaps",
    "at_slope_clock",
    "by_chance",
    "characteristic_time",
    "clocks",
    "exponent",
    "exponents",
    "gaps",
    "growth",
    "growths",
    "of_cell",
    "of_sweep",
    "one_below_the_other",
    "rank_correlation",
    "rank_correlations",
    "sensitivity",
    "spacings",
]

TRANSITION = 0.1, 0.9
"""Learning rates at which a share of the conditions between these is sensitive."""
GROWN = 1e3
"""A separation counts as grown where its end exceeds its start by this factor."""
LEARNT = 0.5
"""A network has learnt that has this test accuracy in the end."""
FACTOR = 1.5
"""Two times match within this factor."""


def of_cell(cell: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The data of one initial condition at one learning rate, from a cell of tools/mnist_sweep.py; without a tangent vector, nan."""
    given = {name: np.asarray(values, dtype=np.float64) for name, values in cell.items()}
    return {
        "z": np.ascontiguousarray(given["coordinates"][..., 0]),
        "line": np.ascontiguousarray(np.abs(given["separation"][..., 0])),
        "D": given["rms_distance"],
        "random": np.linalg.norm(given["random_separation"], axis=-1),
        "L1": given["distance"],
        "tangent": given.get("tangent", np.full(given["loss"].shape[-1], np.nan)),
        "loss": given["loss"],
        "accuracy": given["test_accuracy"],
        "explained": given["explained_variance"][0],
    }


def of_sweep(stored: Sweep, least: float = 0.0) -> tuple[np.ndarray, list[int], dict[str, np.ndarray]]:
    """Learning rates from ``least`` on, the initial conditions that are complete at all of them, and their data."""
    assert stored.axes is not None
    lrs = [lr for lr in stored.axes["lr"] if lr >= least]
    missing = {cell["initial"] for cell in stored.check().missing if cell["lr"] in lrs}
    there = [i for i in stored.axes["initial"] if i not in missing]
    cells = [[of_cell(stored.load(initial=i, lr=lr)) for i in there] for lr in lrs]
    data = {name: np.array([[cell[name] for cell in row] for row in cells]) for name in cells[0][0]} if there else {}
    return np.array(lrs), there, data


def one_below_the_other(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Results (r, n) by name of several designs as one (r1 + r2 + ..., largest n), filled up with nan."""
    most = max(of.shape[1] for part in parts for of in part.values())

    def wide(of: np.ndarray) -> np.ndarray:
        return np.pad(of.astype(float), ((0, 0), (0, most - of.shape[1])), constant_values=np.nan)

    return {name: np.concatenate([wide(part[name]) for part in parts]) for name in parts[0]}


def growth(separation: np.ndarray) -> np.ndarray:
    """Mean of the last 50 steps over the mean at the start (...), of separations (..., m, T + 1)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return separation[..., -50:].mean(axis=(-1, -2)) / separation[..., 0].mean(axis=-1)


def growths(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Growth (r, n) of D and on the line, and the test accuracy of the reference in the end, the mean of its last 50 steps."""
    return {
        "D": growth(data["D"]),
        "line": growth(data["line"]),
        "accuracy": data["accuracy"][..., 0, -50:].mean(axis=-1),
    }


def exponents(data: dict[str, np.ndarray], **rule) -> dict[str, np.ndarray]:
    """Exponents (r, n) of all separations in the window that D's fit has; nan where D has not grown."""
    fit = expansion_rate(data["D"], **rule)
    grown = growth(data["D"]) > GROWN
    window = np.where(grown, fit.start, -1), np.where(grown, fit.stop, -1)
    series = {name: data[name] for name in ("D", "line", "random", "L1")} | {"tangent": data["tangent"][..., None, :]}
    found = {name: expansion_rate(np.ascontiguousarray(of), window=window).rate for name, of in series.items()}
    loss = np.abs(data["loss"][..., 1:, :] - data["loss"][..., :1, :])
    return found | {"loss": expansion_rate(np.ascontiguousarray(loss), window=window).rate}


def clocks(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Times (r, n): the line and D at half of their plateaus, the paper's slope rule on the line, decorrelation of the accuracies."""
    reference = np.ascontiguousarray(data["accuracy"][..., 0, :])
    grown = growth(data["D"]) > GROWN
    found = {
        "line": saturation_time(data["line"]),
        "D": saturation_time(data["D"]),
        "slope": embedding_time(data["line"]).mean,
        "accuracy": decorrelation_time(reference, np.ascontiguousarray(data["accuracy"][..., 1:, :]), shifts=None).mean,
    }
    return {name: np.where(grown, time, np.nan) for name, time in found.items()}


def at_slope_clock(data: dict[str, np.ndarray]) -> np.ndarray:
    """Separation of each copy on the line when the slope rule says that it has saturated, over its plateau: (r, n, m)."""
    time = embedding_time(data["line"]).time
    there = np.take_along_axis(data["line"], np.nan_to_num(time).astype(int)[..., None], axis=-1)[..., 0]
    grown = (growth(data["D"]) > GROWN)[..., None] & np.isfinite(time)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(grown, there / data["line"][..., -50:].mean(axis=-1), np.nan)


def rank_correlations(a: np.ndarray, b: np.ndarray, where: np.ndarray, least: int = 5) -> np.ndarray:
    """Spearman's correlation (r,) over the conditions (r, n) that are finite and ``where``; nan where fewer than ``least`` are."""
    found = []
    for x, y, there in zip(a, b, where & np.isfinite(a) & np.isfinite(b), strict=True):
        usable = there.sum() >= least and np.ptp(x[there]) > 0 and np.ptp(y[there]) > 0
        found.append(float(spearmanr(x[there], y[there])[0]) if usable else np.nan)
    return np.array(found)


def rank_correlation(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    """Correlation of ranks within learning rates (r, n), over all that are finite and ``where``; nan where there are fewer than five."""
    ranks: list[np.ndarray] = []
    for x, y, there in zip(a, b, where & np.isfinite(a) & np.isfinite(b), strict=True):
        if there.sum() > 1:
            ranks.append(np.array([rankdata(of[there]) - (there.sum() + 1) / 2 for of in (x, y)]) / there.sum())
    both = np.concatenate(ranks, axis=1) if ranks else np.empty((2, 0))
    size = np.sqrt((both**2).sum(axis=1).prod())
    return float(both[0] @ both[1] / size) if both.shape[1] >= 5 and size > 0 else np.nan


def by_chance(a: np.ndarray, b: np.ndarray) -> float:
    """Share of pairs of times (n,), (n,) of *different* initial conditions that match: what a common scale gives. nan for fewer than 2."""
    there = np.isfinite(a) & np.isfinite(b) & (a > 0)
    a, b = a[there], b[there]
    other = ~np.eye(len(a), dtype=bool)
    return float((np.abs(np.log(b[:, None] / a)) <= np.log(FACTOR))[other].mean()) if len(a) > 1 else np.nan


def _median(values: np.ndarray) -> float:
    there = np.asarray(values)[np.isfinite(values)]
    return float(np.median(there)) if there.size else np.nan


def _portion(grown: np.ndarray, there: np.ndarray) -> np.ndarray:
    return (grown & there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)


def sensitivity(found: dict[str, np.ndarray], mnist: dict[str, np.ndarray] | None = None) -> Check:
    """A range without sensitivity and one with it, and whether the line says the same where it begins.

    Parameters: growth as :func:`growths` gives it. The line is judged at the transition alone: at
    learning rates where more than a tenth and less than nine tenths of the initial conditions are sensitive.
    """
    there = np.isfinite(found["D"]) & np.isfinite(found["line"])
    full, seen = found["D"] > GROWN, found["line"] > GROWN
    portion = _portion(full, there)
    some = there & ((portion > TRANSITION[0]) & (portion < TRANSITION[1]))[:, None]
    hit, false = seen[some & full], seen[some & ~full]
    conditions: dict[str, bool | Condition] = {
        "insensitive at the smallest learning rate (a tenth at most)": at_most(portion[0], 0.1),
        "sensitive at the largest (nine tenths at least)": at_least(portion[-1], 0.9),
        "at the transition: grown on the line where grown in the weights": share(hit),
        "at the transition: not grown on the line where not in the weights": share(~false),
        "at the transition: the same order (rank correlation of growth above 0.8)": at_least(
            rank_correlation(found["D"], found["line"], some), 0.8
        ),
    }
    text = (
        f"digits: sensitive {', '.join(f'{100 * p:.0f}' for p in portion)} % of conditions at the learning rates in turn; at the "
        f"transition, grown on the line in {fraction(hit)} where grown in the weights and in {fraction(false)} where not"
    )
    if mnist is not None:
        m_there, m_full = np.isfinite(mnist["D"]), mnist["D"] > GROWN
        m_portion = _portion(m_full, m_there)
        m_some = m_there & ((m_portion > TRANSITION[0]) & (m_portion < TRANSITION[1]))[:, None]
        same = (m_full == (mnist["line"] > GROWN))[m_some]
        text += f"; MNIST: the same in {fraction(same)}"
        if same.size:
            conditions["on MNIST at the transition: the line says the same"] = share(same)
    return Check(text, conditions)


def exponent(rates: dict[str, np.ndarray], mnist: dict[str, np.ndarray] | None = None) -> Check:
    """Exponents of the line against those of D, the distance that it projects, in the same windows; as :func:`exponents` gives them."""

    def ratio(of: dict[str, np.ndarray]) -> np.ndarray:
        there = np.isfinite(of["D"]) & np.isfinite(of["line"])
        return of["line"][there] / of["D"][there]

    r = ratio(rates)
    order = rank_correlation(rates["line"], rates["D"], np.isfinite(rates["D"]))
    random = (rates["random"] / rates["D"])[np.isfinite(rates["D"])]
    conditions: dict[str, bool | Condition] = {
        "no bias (median of the ratio from 0.95 to 1.05)": between(_median(r), 0.95, 1.05),
        "typical error (median) at most 10 %": at_most(_median(np.abs(r - 1)), 0.1),
        "within 10 % for nine initial conditions in ten": share(np.abs(r - 1) < 0.1),
        "conditions in the right order (rank correlation above 0.8)": at_least(order, 0.8),
    }
    text = (
        f"digits, line over D: median {_median(r):.2f}, within 10 % in {fraction(np.abs(r - 1) < 0.1)}, rank correlation within "
        f"learning rates {order:.2f}; three random directions over D: within 10 % in {fraction(np.abs(random - 1) < 0.1)}"
    )
    if mnist is not None:
        m = ratio(mnist)
        text += f"; MNIST, line over D: median {_median(m):.2f}, within 10 % in {fraction(np.abs(m - 1) < 0.1)}"
        conditions["on MNIST: no bias (median of the ratio from 0.95 to 1.05)"] = between(_median(m), 0.95, 1.05)
        conditions["on MNIST: within 10 % for nine initial conditions in ten"] = share(np.abs(m - 1) < 0.1)
    return Check(text, conditions)


def _close(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> np.ndarray:
    there = where & np.isfinite(a) & np.isfinite(b) & (a > 0)
    return np.abs(np.log(b[there] / a[there])) <= np.log(FACTOR)


def characteristic_time(
    times: dict[str, np.ndarray],
    accuracy: np.ndarray,
    mnist: tuple[dict[str, np.ndarray], np.ndarray] | None = None,
) -> Check:
    """The clock of the line against that of the accuracies, where networks learn and where they do not.

    Parameters: times as :func:`clocks` gives them, and the test accuracy in the end (r, n); the same two of MNIST.
    """
    line, other, learnt = times["line"], times["accuracy"], accuracy > LEARNT
    close, dead, slope = (
        _close(line, other, learnt),
        _close(line, other, ~learnt),
        _close(times["slope"], other, learnt),
    )
    order, one = rank_correlation(line, other, learnt), np.where(learnt, line, np.nan)
    null = _median(np.array([by_chance(a, b) for a, b in zip(one, other, strict=True)]))
    conditions: dict[str, bool | Condition] = {
        "where networks learn: within a factor 1.5 in most": share(close, 0.5),
        "where networks learn: they vary together (rank correlation above 0.5)": at_least(order, 0.5),
        "where networks are at chance: within a factor 1.5 in most": share(dead, 0.5),
        "by the slope rule too, where networks learn: within a factor 1.5 in most": share(slope, 0.5),
    }
    text = (
        f"digits, half of the plateau against the accuracies, within a factor 1.5: {fraction(close)} where networks learn "
        f"(times of different conditions of one learning rate: {100 * null:.0f} %; rank correlation {order:.2f}), {fraction(dead)} "
        f"where they do not; slope rule, where they learn: {fraction(slope)}"
    )
    if mnist is not None:
        m_times, m_learnt = mnist[0], mnist[1] > LEARNT
        m_close, m_slope = (_close(m_times[name], m_times["accuracy"], m_learnt) for name in ("line", "slope"))
        m_order = rank_correlation(m_times["line"], m_times["accuracy"], m_learnt)
        text += f"; MNIST, where networks learn: {fraction(m_close)}, slope rule {fraction(m_slope)}, rank correlation {m_order:.2f}"
        if m_close.size:
            conditions["on MNIST, where networks learn: within a factor 1.5 in most"] = share(m_close, 0.5)
        if np.isfinite(m_order):
            conditions["on MNIST, where networks learn: they vary together"] = at_least(m_order, 0.5)
    return Check(text, conditions)


class Gaps(NamedTuple):
    """Rescaled gaps (r, n, m), the test of one form, and p-values (r,) of a skew lognormal and of a lognormal law; and the p-values of
    one form in a study with more trajectories, one a split of the data."""

    gaps: np.ndarray
    form: OneForm | None
    skew_lognormal: np.ndarray
    lognormal: np.ndarray
    study: tuple[float, ...] = ()


def gaps(z: np.ndarray, *, replicates: int = 60, seed: int = 0) -> Gaps:
    """Rescaled gaps of the ends of z (r, n, 1 + m, T + 1), whether they have one form, and whether it is a skew lognormal at each rate."""
    if len(z) == 0 or not np.isfinite(z).all(axis=(2, 3)).any(axis=1).all():
        return Gaps(np.empty((0, 0, 0)), None, np.empty(0), np.empty(0))
    found = rescale_spacings(asymptotic_spacings(z))
    tests = [skew_lognormal_test(of[np.isfinite(of) & (of > 0)], replicates=replicates, seed=seed) for of in found]
    p = np.array([(test.ks_p_value, test.lr_p_value) for test in tests])
    return Gaps(found, one_form(found, seed=seed), p[:, 0], p[:, 1])


def spacings(found: Gaps) -> Check:
    """One form for all initial conditions, and a skew lognormal. The first two parts share an error rate of 5 % (Bonferroni)."""
    if found.form is None:
        nothing = at_least(np.nan, 0.05)
        text = "one form at each learning rate (combined p at least 0.025)"
        return Check("no learning rate at which nine tenths of the conditions are sensitive", {text: nothing})
    form, fisher = found.form, float(combine_pvalues(found.skew_lognormal, method="fisher").pvalue)
    conditions: dict[str, bool | Condition] = {
        "one form at each learning rate (combined p at least 0.025)": at_least(form.combined_p_value, 0.025),
        "compatible with a skew lognormal (combined p at least 0.05)": at_least(fisher, 0.05),
    }
    if np.isfinite(form.own_p_value):  # two learning rates or more
        conditions["no condition keeps a form of its own (p at least 0.025)"] = at_least(form.own_p_value, 0.025)
    text = (
        f"digits, {found.gaps.shape[0]} sensitive learning rates x {found.gaps.shape[1]} conditions: p of one form at each learning rate "
        f"{form.combined_p_value:.3f} (sum of scores), of no form that a condition keeps {form.own_p_value:.3f}; of a skew lognormal "
        f"{fisher:.3f} (Fisher), of a lognormal at most {found.lognormal.max():.3f}"
    )
    if found.study:
        p = float(combine_pvalues(found.study, method="fisher").pvalue)
        text += f"; with more trajectories, p of one form {', '.join(f'{each:.3f}' for each in found.study)} by split, together {p:.3f}"
        conditions["one form with 26 trajectories too (splits combined, p at least 0.025)"] = at_least(p, 0.025)
    return Check(text, conditions)
