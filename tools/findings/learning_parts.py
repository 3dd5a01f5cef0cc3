"""How a part of a cell is computed, some networks at one rate, and by what rule its fine rates are chosen."""

import numpy as np
from learning_cells import BOUND, CELLS, FRACTIONS, GRID, HOLD, Cell, descent, directions, starts

import trajlib as tl
from trajlib.engines import iterate
from trajlib.series import expansion_rate, fastest_rate, threshold_rate, time_to_threshold

PIECE = 1 << 25
"""Bytes of weights that are held at a time."""


def part(cell: str, k: int, first: int, networks: int, quick: int = 0) -> dict[str, np.ndarray]:
    """Some networks of a cell at one rate: accuracies on the test part (networks, steps + 1), exponents over all steps and over the first
    tenth, the fitted exponent, the sharpness of a few networks at three times. ``quick``: only so many steps.

    A run that leaves the range of float64 has exponent nan, and counts as not chaotic."""
    declared = CELLS[cell]
    steps = quick or declared.steps
    gd, last = descent(declared, 10 ** (k / GRID)), first + networks
    w, vectors = starts(gd, last)[first:], directions(first, networks, gd.n_parameters)
    engine = "torch" if declared.task == "mnist" else "auto"
    sharp_at, kept = (0, steps // 10, steps), {0: w}
    accuracy, growth, done = [gd.accuracy(w)[:, None]], [], 0
    with np.errstate(all="ignore"):
        while done < steps:
            stop = min(done + max(1, PIECE // w.nbytes), steps, *(s for s in sharp_at if s > done))
            run, _ = iterate(
                gd, w, vectors, steps=stop - done, record={"weights", "growth"}, tangent=True, interval=1, start=done,
                orthonormal=done > 0, engine=engine, threads=1, progress=False,
            )  # fmt: skip
            w, vectors = run["reference"], run["copies"]
            accuracy.append(gd.accuracy(run["weights"][:, 1:]))
            growth.append(run["growth"][:, 0])
            done = stop
            kept[done] = w
    growth = np.concatenate(growth, axis=1)
    found = {
        "accuracy": np.concatenate(accuracy, axis=1).astype(np.float32),
        "exponent": growth.mean(axis=1),
        "early": growth[:, : max(1, steps // 10)].mean(axis=1),
        "sharpness": sharpness(gd, [kept[s] for s in sharp_at], max(0, min(declared.sharp, last) - first)),
    }
    return found | fitted(gd, first, max(first, min(declared.fitted, last)), min(steps, 200))


def sharpness(gd, states: list[np.ndarray], n: int) -> np.ndarray:
    """Of the first n networks, (n, times), by Lanczos to one in a hundred; nan where weights have overflowed."""
    w = np.stack([s[:n] for s in states], axis=1)
    found, fine = (
        np.full(w.shape[:2], np.nan),
        np.isfinite(w).all(axis=-1) & (np.abs(w).max(axis=-1, initial=0) < 1e100),
    )
    if fine.any():
        found[fine] = tl.sharpness(gd, w[fine], method="lanczos", tolerance=1e-2, iterations=60)
    return found


def fitted(gd, first: int, last: int, steps: int) -> dict[str, np.ndarray]:
    """The paper's exponent of networks ``first`` to ``last``, from one copy each at radius 1e-8, and whether the fit is kept."""
    rate, kept = np.full(last - first, np.nan), np.zeros(last - first, dtype=bool)
    if last > first and steps >= 30:
        w = starts(gd, last)
        copies = tl.perturb(gd, w, radius=1e-8, copies=1, seed=1)[first:]
        with np.errstate(all="ignore"):
            run = tl.diverge(gd, w[first:], perturbed=copies, steps=steps, threads=1, progress=False)
        fine = np.isfinite(run.distance).all(axis=(1, 2))
        if fine.any():
            fit = expansion_rate(run.distance[fine])
            rate[fine], kept[fine] = fit.rate, fit.kept
    return {"fitted": rate, "fitted_kept": kept}


def best_accuracy(accuracy: dict[int, np.ndarray]) -> float:
    """What the best rate reaches: the largest median over networks of the mean accuracy over the last 20 steps."""
    with np.errstate(all="ignore"):
        ends = [np.nan_to_num(a[:, -HOLD:].mean(axis=1)) for a in accuracy.values()]
    return max(float(np.median(end)) for end in ends)


def goal(fraction: float, best: float) -> float:
    """The accuracy to reach. Accuracies are kept as float32: what equals it but for that rounding counts as reached."""
    return fraction * best - 1e-6


def estimates(rows: dict[int, dict], lasting: int) -> tuple[float, float]:
    """Of rates by their numbers: number of the onset (nan where there is none), and of the fastest rate."""
    numbers = sorted(rows)
    accuracy = {k: rows[k]["accuracy"] for k in numbers}
    least = goal(FRACTIONS[0], best_accuracy(accuracy))
    time = np.stack([time_to_threshold(accuracy[k], least, hold=HOLD) for k in numbers])
    rates = 10 ** (np.array(numbers) / GRID)
    holds = np.stack([rows[k]["exponent"] > BOUND for k in numbers])
    onset = threshold_rate(rates, holds, lasting=lasting, draws=0).above
    fastest = fastest_rate(rates, time, accuracy[numbers[0]].shape[1] - HOLD, draws=0).value
    return tuple(GRID * np.log10([onset, fastest]))


def wanted(cell: Cell, coarse: dict[int, dict], fine: dict[int, dict], passes: int) -> list[int]:
    """Numbers of the rates that are still to be run with all networks: those within ``reach`` of the onset and of the fastest rate.

    First around what the coarse pass has found; where what the fine one finds lies within one rate of an end of what was run, around that,
    twice at most, and never beyond the coarse range.
    """
    if passes and fine:
        centres = [round(c) for c in estimates(fine, 3) if np.isfinite(c)]
        centres = [c for c in centres if not {c - 1, c + 1} <= set(fine)]
    else:
        centres = [round(c) for c in estimates(coarse, 2) if np.isfinite(c)]
    if passes > 2:
        return []
    near = {k for c in centres for k in range(c - cell.reach, c + cell.reach + 1) if cell.low <= k <= cell.high}
    return sorted(near - set(fine))
