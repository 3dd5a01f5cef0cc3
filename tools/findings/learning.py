"""Does chaos help to learn? Times to an accuracy, exponents and sharpness over learning rates, for 39 cells of task x network x decay.

learning.py                # data/findings/learning_<cell>.*: those that are missing; an hour to an hour and a half on two cores
learning.py CELL ...       # these alone
learning.py --estimate     # what each cell takes, and nothing is run

Stopped at any time (Ctrl-C), the same call goes on: what was done lies in _build/findings/learning, in parts of half a minute at most.
Each cell is run coarsely first; which rates are then run with all networks follows from that, by the rule of ``learning_parts.wanted``.
"""

import argparse
import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import learning_parts
import numpy as np
from learning_cells import CELLS, COARSE, GRID, SEED, Cell
from threadpoolctl import threadpool_limits

import trajlib as tl
from trajlib.companion import findings
from trajlib.companion.learning_runs import FRACTIONS, HOLD, HOLDS, tabulate

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "data" / "findings"
PARTS = ROOT / "_build" / "findings" / "learning"
VERSION = 1
"""To be changed with what a part computes: parts of another version are not used."""


def settings_of(cell: Cell) -> dict:
    """Everything that the arrays of a cell depend on."""
    declared = cell._asdict() | {"hidden": list(cell.hidden), "fractions": list(FRACTIONS), "hold": HOLD, "seed": SEED}
    declared.pop("cost")  # how it is cut into parts changes nothing
    return declared | {"name": cell.name, "version": VERSION}


def parts(cell: Cell, numbers: list[int], networks: int) -> list[dict]:
    """The parts that so many networks at each of some rates are cut into."""
    step = cell.at_once
    return [
        {"cell": cell.name, "k": k, "first": i, "networks": min(step, networks - i)}
        for k in numbers
        for i in range(0, networks, step)
    ]


def run(cell: Cell, executor, say, folder: Path) -> tuple[dict[int, dict], dict[int, dict]]:
    """The coarse and the fine rates of a cell: accuracies, exponents and the rest, by the numbers of the rates."""

    def rows(name: str, numbers: list[int], networks: int) -> dict[int, dict]:
        cut = parts(cell, numbers, networks)
        sweep = tl.sweep(learning_parts.part, cut, folder / name, version=VERSION, executor=executor, in_flight=2)
        found = {}
        for k in numbers:
            several = [sweep.load(**one) for one in cut if one["k"] == k]
            found[k] = {name: np.concatenate([one[name] for one in several]) for name in several[0]}
        say(f"{name}, {len(numbers)} rates x {networks} networks", cell.seconds(len(numbers), networks))
        return found

    coarse = rows("coarse", list(range(cell.low, cell.high + 1, COARSE)), cell.pilots)
    fine: dict[int, dict] = {}
    passes = 0
    while numbers := learning_parts.wanted(cell, coarse, fine, passes):
        fine |= rows(f"fine {passes + 1}", numbers, cell.networks)
        passes += 1
    return coarse, fine


def table(cell: Cell, coarse: dict[int, dict], fine: dict[int, dict]) -> dict[str, np.ndarray]:
    """What is kept of a cell."""
    numbers = sorted({*coarse, *fine})
    rows = [fine.get(k, coarse.get(k)) for k in numbers]
    rates = 10 ** (np.array(numbers) / GRID)
    return tabulate(rates, rows, networks=cell.networks, fitted=cell.fitted, sharp=cell.sharp)


class Clock:
    """Lines that say how far it is, and how long it will take: as long as was expected, times what has come of that so far."""

    def __init__(self, chosen: list[Cell]):
        self.left, self.expected, self.began = sum(c.expected for c in chosen), 0.0, time.perf_counter()

    def line(self, cell: Cell, what: str, seconds: float) -> None:
        self.expected += seconds
        self.left -= seconds
        spent = time.perf_counter() - self.began
        pace = np.clip(spent / max(self.expected, 1.0), 0.1, 3.0) if self.expected > 60 else 0.5
        print(
            f"{cell.name}: {what}; {spent / 60:.1f} min so far, about {max(self.left, 0) * pace / 60:.0f} to go",
            flush=True,
        )


def finding(cell: Cell, executor, clock: Clock):
    """The function that makes the finding of a cell."""

    def compute(holds, **settings) -> dict[str, np.ndarray]:  # runs are the same, whatever counts as learned
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        return table(cell, *run(cell, executor, lambda *said: clock.line(cell, *said), PARTS / f"{cell.name}-{digest}"))

    compute.__name__ = f"learning_{cell.name}"
    return compute


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", metavar="CELL", help=", ".join(CELLS))
    parser.add_argument("--estimate", action="store_true")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    chosen = [CELLS[name] for name in args.cells or CELLS]
    if args.estimate:
        for cell in chosen:
            print(f"{cell.name:32s}{cell.expected:8.0f} s on one core")
        print(f"{sum(c.expected for c in chosen) / 60 / args.threads:.0f} min on {args.threads} threads")
        return
    try:
        import torch

        torch.set_num_threads(1)
    except ImportError:
        pass
    clock = Clock(chosen)
    with threadpool_limits(1), ThreadPoolExecutor(args.threads) as executor:
        for cell in chosen:
            before = clock.left
            findings.make(FOLDER, finding(cell, executor, clock), settings_of(cell) | {"holds": HOLDS})
            clock.left = before - cell.expected


if __name__ == "__main__":
    main()
