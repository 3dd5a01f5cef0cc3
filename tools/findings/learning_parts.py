"""How a part of a cell is computed, some networks at one rate, and by what rule its fine rates are chosen."""

import numpy as np
from learning_cells import CELLS, GRID, Cell, descent, starts

import trajlib as tl
from trajlib.companion.learned import BOUND
from trajlib.companion.learning_runs import FRACTIONS, HOLDS, at_rate, best_accuracy, directions, goal
from trajlib.series import fastest_rate, threshold_rate, time_to_threshold


def part(cell: str, k: int, first: int, networks: int, quick: int = 0) -> dict[str, np.ndarray]:
    """Some networks of a cell at one rate: accuracies on the test part (networks, steps + 1), exponents over all steps and over the first
    tenth, the fitted exponent, the sharpness of a few networks at three times. ``quick``: only so many steps.

    A run that leaves the range of float64 has exponent nan, and counts as not chaotic."""
    declared = CELLS[cell]
    steps = quick or declared.steps
    gd, last = descent(declared, 10 ** (k / GRID)), first + networks
    w, vectors = starts(gd, last), directions(first, networks, gd.n_parameters)
    copies = tl.perturb(gd, w[: declared.fitted], radius=1e-8, copies=1, seed=1)[first:]
    sharp = max(0, min(declared.sharp, last) - first)
    engine = "torch" if declared.task == "mnist" else "auto"
    return at_rate(gd, w[first:], vectors, copies, steps, sharp=sharp, engine=engine, threads=1)


def estimates(rows: dict[int, dict], lasting: int) -> tuple[float, ...]:
    """Of rates by their numbers: number of the onset (nan where there is none), and of the fastest rates, to stay at the accuracy and to
    reach it at all."""
    numbers = sorted(rows)
    accuracy = {k: rows[k]["accuracy"] for k in numbers}
    least = goal(FRACTIONS[0], best_accuracy(list(accuracy.values())))
    rates = 10 ** (np.array(numbers) / GRID)
    holds = np.stack([rows[k]["exponent"] > BOUND for k in numbers])
    onset = threshold_rate(rates, holds, lasting=lasting, draws=0).above

    def fastest(hold: int) -> float:
        time = np.stack([time_to_threshold(accuracy[k], least, hold=hold) for k in numbers])
        return fastest_rate(rates, time, accuracy[numbers[0]].shape[1] - hold, draws=0).value

    return tuple(GRID * np.log10([onset, *map(fastest, HOLDS.values())]))


def wanted(cell: Cell, coarse: dict[int, dict], fine: dict[int, dict], passes: int) -> list[int]:
    """Numbers of the rates that are still to be run with all networks: those within ``reach`` of the onset and of the
    fastest rates.

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
