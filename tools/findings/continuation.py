"""From order to broken training by continuation: networks trained at a low learning rate, carried on while the rate goes up in small steps
and down again, without a restart; and networks that were never trained, which start at the highest rate and go down.

continuation.py    # data/findings/continued_*.{npz,json}; those that are there already are not made again
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

import trajlib as tl
from trajlib.companion import findings

ROOT = Path(__file__).resolve().parents[2]
NET = tl.Perceptron(4, 10, 3, activation="sigmoid", loss="cross_entropy")
SHOWN = 32
"""Steps whose losses are kept for the orbit diagram, of the first network of each split."""


def multipliers(gd: tl.GradientDescent, orbit: np.ndarray) -> np.ndarray:
    """Of one cycle (period, parameters), transverse to the softmax's shifts: the most negative real one, the largest real one, and modulus
    and argument of the largest complex pair."""
    values = tl.cycle_multipliers(gd, orbit)
    real = np.abs(values.imag) < 1e-9
    pair = values[~real & (values.imag > 0)]
    largest = pair[np.abs(pair).argmax()] if len(pair) else 0.0
    return np.array([values[real].real.min(), values[real].real.max(), np.abs(largest), np.angle(largest)])


def travel(task: tl.Task, w: np.ndarray, rates: np.ndarray, dwell: int, measured: int, detailed: int) -> dict:
    """Carry networks through learning rates; what each of them does at each rate, and where it is at the end of each."""
    vectors, found = None, {}
    for lr in rates:
        gd = tl.GradientDescent(NET, task, lr=float(lr))
        run = tl.lyapunov_spectrum(
            gd, w, measured, k=1, transient=dwell, blocks=4, interval=10, vectors=vectors, threads=1
        )
        vectors, tail = run.vectors, tl.train(gd, run.final, 64, record=("loss", "weights"), threads=1)
        w = tail.final
        period = tl.cycle_period(tail.weights)
        of_cycle = np.full((detailed, 4), np.nan)
        for n in range(detailed):
            if 1 <= period[n] <= 8:
                of_cycle[n] = multipliers(gd, tail.weights[n, : period[n]])
        here = {
            "exponent": run.exponents[:, 0],
            "period": period,
            "loss": tail.loss.mean(axis=1),
            "swing": np.ptp(tail.loss, axis=1),
            "norm": np.linalg.norm(w, axis=1),
            "orbit": tail.loss[0, -SHOWN:],
            "multipliers": of_cycle,
            "accuracy": gd.accuracy(w),
            "states": w,
        }
        for name, values in here.items():
            found.setdefault(name, []).append(values)
    return {name: np.stack(values) for name, values in found.items()}


def up_and_down(split, starts, low, high, rates, dwell, measured, before, seed, detailed, turns) -> dict:
    """One split: up from ``low`` to ``high``, down from there, and down from each of the ``turns`` on the way; ``raw``: down from ``high``
    after as many steps there from random weights."""
    task, grid = tl.iris(split_seed=split), np.geomspace(low, high, rates)
    first = NET.init(starts, seed=seed)
    w, raw = (
        tl.train(tl.GradientDescent(NET, task, lr=lr), first, before, record=(), threads=1).final for lr in (low, high)
    )
    options = {"dwell": dwell, "measured": measured, "detailed": detailed}
    up = travel(task, w, grid, **options)
    states = up.pop("states")
    found = {f"up_{name}": values for name, values in up.items()}
    for turn in [*turns, high]:
        last = int(np.abs(grid - turn).argmin())
        down = travel(task, states[last], grid[last::-1], **options)
        down.pop("states")
        kept = {"loss"} if turn != high else set(down)
        for name in kept:
            values = np.full((rates, *down[name].shape[1:]), np.nan)
            values[: last + 1] = down[name][::-1]
            found["down_" + name + (f"_{turn:g}" if turn != high else "")] = values
    raw = travel(task, raw, grid[::-1], **options | {"detailed": 0})
    return found | {
        f"raw_{name}": raw[name][::-1] for name in ("loss", "exponent", "accuracy", "norm", "orbit", "period")
    }


def small(name: str, values: np.ndarray) -> np.ndarray:
    """What is kept of one quantity: periods as whole numbers, orbits of two splits, means over the starts of what is shown as a mean."""
    if name.endswith("period"):
        return np.where(np.isnan(values), -1, values).astype(np.int8)
    if name.endswith("orbit"):
        values = values[:2]
    elif name.endswith(("norm", "accuracy", "swing")):
        values = values.mean(axis=2)
    return values.astype(np.float16)


def all_splits(splits: list[int], **settings) -> dict:
    with ThreadPoolExecutor(2) as pool:
        by_split = list(pool.map(partial(up_and_down, **settings), splits))
    found = {name: small(name, np.stack([of[name] for of in by_split])) for name in by_split[0]}
    return {"rates": np.geomspace(settings["low"], settings["high"], settings["rates"]), **found}


def continued_rates(**settings) -> dict:
    return all_splits(**settings)


def continued_quickly(**settings) -> dict:
    return all_splits(**settings)


def continued_slowly(**settings) -> dict:
    return all_splits(**settings)


def main() -> None:
    folder = ROOT / "data" / "findings"
    common = {"low": 0.3, "high": 12.0, "rates": 97, "before": 5000, "seed": 0, "starts": 16}
    quick = {"dwell": 125, "measured": 125, "detailed": 0, "turns": []}
    findings.make(folder, continued_quickly, common | quick | {"splits": list(range(4))})
    once = {"dwell": 500, "measured": 500, "detailed": 2, "turns": [2.0, 5.0]}
    findings.make(folder, continued_rates, common | once | {"splits": list(range(10))})
    slow = {"dwell": 2000, "measured": 2000, "detailed": 0, "turns": []}
    findings.make(folder, continued_slowly, common | slow | {"splits": [0, 1]})


if __name__ == "__main__":
    main()
