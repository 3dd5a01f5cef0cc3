"""How the chapter on chaos and learning runs a network at many learning rates, and what it keeps of that.

Accuracy on the test part at every step, exact exponents beside it, for a few networks the exponent that the paper fits, and the sharpness.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._normal import standard_normal
from ..dynamics.descent import GradientDescent
from ..engines import iterate
from ..engines.records import derived
from ..ensembles import diverge, perturb
from ..series.expansion import expansion_rate
from ..series.learning import time_to_threshold
from ..stability.sharpness import sharpness

__all__ = ["FRACTIONS", "HOLD", "HOLDS", "Followed", "at_rate", "best_accuracy", "directions", "follow", "goal", "run_cell",
           "tabulate"]  # fmt: skip

HOLD = 20
"""Steps that an accuracy has to stay."""
HOLDS = {"time": HOLD, "first": 1}
"""Two meanings of having learned: the accuracy stays, or it is reached at all. Everything is judged by the first of them."""
FRACTIONS = (0.9, 0.8, 0.95)
"""Accuracies to reach, as fractions of what the best rate has at the end (median over networks of the mean over the last 20 steps). Rates
are chosen, and everything is judged, by the first; the others say whether that matters."""
FIT_STEPS = 200
"""Steps over which distances are fitted, at most: those of the paper."""
PIECE = 1 << 25
"""Bytes of weights that are held at a time."""


class Followed(NamedTuple):
    """Networks (n) followed over some steps.

    Attributes
    ----------
    accuracy : ndarray (n, steps + 1), float32
        On the test part.
    growth : ndarray (n, steps)
        ln of the growth of a tangent vector at each step.
    kept : dict of int to ndarray (n, p)
        Weights at the steps asked for.
    """

    accuracy: np.ndarray
    growth: np.ndarray
    kept: dict[int, np.ndarray]


def follow(
    gd: Any, w: np.ndarray, vectors: np.ndarray, steps: int, *, keep: Sequence[int] = (), engine: str = "auto", threads: int | None = None
) -> Followed:  # fmt: skip
    """Accuracy and growth of networks (n, p) and tangent vectors (n, 1, p) at every step, without holding all their weights."""
    accuracy, growth, kept, done = [derived(gd, "test_accuracy", w[:, None], threads)], [], {0: w}, 0
    with np.errstate(all="ignore"):
        while done < steps:
            stop = min(done + max(1, PIECE // w.nbytes), steps, *(s for s in keep if s > done))
            run, _ = iterate(
                gd, w, vectors, steps=stop - done, record={"weights", "growth"}, tangent=True, interval=1, start=done,
                orthonormal=done > 0, engine=engine, threads=threads, progress=False,
            )  # fmt: skip
            w, vectors = run["reference"], run["copies"]
            accuracy.append(derived(gd, "test_accuracy", run["weights"][:, 1:], threads))
            growth.append(run["growth"][:, 0])
            done = stop
            kept[done] = w
    return Followed(np.concatenate(accuracy, axis=1).astype(np.float32), np.concatenate(growth, axis=1), kept)


def at_rate(
    gd: Any, w: np.ndarray, vectors: np.ndarray, copies: np.ndarray, steps: int, *, sharp: int = 0, engine: str = "auto",
    threads: int | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What is wanted of networks (n, p) at one rate.

    Parameters
    ----------
    vectors : ndarray (n, 1, p)
        Tangent vectors to begin with.
    copies : ndarray (f, 1, p)
        Of the first f networks, for the fitted exponents.
    sharp : int
        Of how many networks the sharpness is measured, at the start, after a tenth of the steps and at the end.

    Returns
    -------
    dict
        ``accuracy`` (n, steps + 1), ``exponent`` and ``early`` (n,), over all steps and over the first tenth, ``fitted`` and
        ``fitted_kept`` (f,), ``sharpness`` (sharp, 3). A run that leaves the range of float64 has exponent nan, and counts as not chaotic.
    """
    times = (0, steps // 10, steps)
    run = follow(gd, w, vectors, steps, keep=times, engine=engine, threads=threads)
    return {
        "accuracy": run.accuracy, "exponent": run.growth.mean(axis=1), "early": run.growth[:, : max(1, steps // 10)].mean(axis=1),
        "sharpness": _sharpness(gd, np.stack([run.kept[s][:sharp] for s in times], axis=1)),
        **_fitted(gd, w[: len(copies)], copies, min(steps, FIT_STEPS), threads),
    }  # fmt: skip


def _sharpness(gd: Any, w: np.ndarray) -> np.ndarray:
    """Of weights (n, times, p), by Lanczos to one in a hundred; nan where they have overflowed."""
    fine = np.isfinite(w).all(axis=-1) & (np.abs(w).max(axis=-1, initial=0) < 1e100)
    found = np.full(w.shape[:2], np.nan)
    if fine.any():
        found[fine] = sharpness(gd, w[fine], method="lanczos", tolerance=1e-2, iterations=60)
    return found


def _fitted(gd: Any, w: np.ndarray, copies: np.ndarray, steps: int, threads: int | None) -> dict[str, np.ndarray]:
    """The paper's exponent of networks (n, p) from one copy each, and whether the fit is kept."""
    rate, kept = np.full(len(w), np.nan), np.zeros(len(w), dtype=bool)
    if len(w) and steps >= 30:
        with np.errstate(all="ignore"):
            run = diverge(gd, w, perturbed=copies, steps=steps, threads=threads, progress=False)
        fine = np.isfinite(run.distance).all(axis=(1, 2))
        if fine.any():
            fit = expansion_rate(run.distance[fine])
            rate[fine], kept[fine] = fit.rate, fit.kept
    return {"fitted": rate, "fitted_kept": kept}


def best_accuracy(accuracy: Sequence[np.ndarray]) -> float:
    """What the best of some rates reaches: the largest median over networks (n, steps + 1) of the mean accuracy over the last 20 steps."""
    with np.errstate(all="ignore"):
        ends = [np.nan_to_num(a[:, -HOLD:].mean(axis=1)) for a in accuracy]
    return max(float(np.median(end)) for end in ends)


def goal(fraction: float, best: float) -> float:
    """The accuracy to reach. Accuracies are kept as float32: what equals it but for that rounding counts as reached."""
    return fraction * best - 1e-6


def tabulate(
    rates: np.ndarray, rows: Sequence[dict[str, np.ndarray]], *, networks: int, fitted: int, sharp: int
) -> dict[str, np.ndarray]:
    """What is kept of rows as :func:`at_rate` gives them, one for each rate: arrays (rates, networks), with nan, or -2 for times, where a
    network was not run at a rate. Times to nine tenths of the best accuracy are of all networks, to the others of one half; ``time_90`` is
    when the accuracy has come to stay, ``first_90`` when it was first reached."""  # fmt: skip
    best = best_accuracy([row["accuracy"] for row in rows])
    few = networks // 2

    def filled(name: str, width: int, dtype=np.float16) -> np.ndarray:
        shape = (len(rows), width, *rows[0][name].shape[1:])
        out = np.full(shape, False if dtype is bool else np.nan, dtype=dtype)
        for line, row in zip(out, rows, strict=True):
            line[: len(row[name][:width])] = row[name][:width]
        return out

    times = {}
    for fraction, (name, hold) in itertools.product(FRACTIONS, HOLDS.items()):
        width = networks if fraction == FRACTIONS[0] else few
        out = np.full((len(rows), width), -2, dtype=np.int16)
        for line, row in zip(out, rows, strict=True):
            found = time_to_threshold(row["accuracy"][:width], goal(fraction, best), hold=hold)
            line[: len(found)] = found
        times[f"{name}_{round(100 * fraction)}"] = out
    with np.errstate(all="ignore"):
        end = np.array([np.nanquantile(row["accuracy"][:, -HOLD:].mean(axis=1), [0.1, 0.5, 0.9]) for row in rows])
        return {
            "rates": np.asarray(rates), "networks": np.array([len(row["exponent"]) for row in rows], dtype=np.int16),
            "best": np.array(best), "steps": np.array(rows[0]["accuracy"].shape[1] - 1), "end": end.astype(np.float16), **times,
            "exponent": filled("exponent", networks), "early": filled("early", few // 2), "fitted": filled("fitted", fitted),
            "fitted_kept": np.packbits(filled("fitted_kept", fitted, bool), axis=1), "sharpness": filled("sharpness", sharp),
        }  # fmt: skip


def directions(first: int, n: int, p: int) -> np.ndarray:
    """A random tangent vector for each network, (n, 1, p), which depends on its number alone."""
    return np.stack(
        [standard_normal(np.random.Generator(np.random.PCG64((1, i))), (1, p)) for i in range(first, first + n)]
    )


def run_cell(
    gd_at: Callable[[float], GradientDescent], rates: np.ndarray, networks: int, steps: int, *, seed: int = 0, fitted: int = 50,
    sharp: int = 10,
) -> dict[str, np.ndarray]:  # fmt: skip
    """All networks at all rates: the arrays of a cell, as tools/findings/learning.py keeps them of the committed ones.

    Parameters
    ----------
    gd_at : callable
        The training map of a rate.
    rates : ndarray (r,)
    networks, steps : int
    seed : int
        Of the initial conditions.
    fitted, sharp : int
        Of how many networks the paper's exponent is fitted, and the sharpness measured.

    Returns
    -------
    dict of ndarray
        See :func:`trajlib.companion.learned.summary`.
    """
    rows = []
    for rate in rates:
        gd = gd_at(float(rate))
        w = gd.network.init(networks, seed=seed)
        copies = perturb(gd, w[:fitted], radius=1e-8, copies=1, seed=seed + 1)
        rows.append(at_rate(gd, w, directions(0, networks, gd.n_parameters), copies, steps, sharp=sharp))
    return tabulate(rates, rows, networks=networks, fitted=min(fitted, networks), sharp=min(sharp, networks))
