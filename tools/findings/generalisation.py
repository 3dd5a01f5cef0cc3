"""Does chaos help to generalise? Fifty splits of Iris, at equal learning rate x steps.

generalisation.py     # data/findings/generalisation_*; those that are there already are not made again
"""

from pathlib import Path

import numpy as np

import trajlib as tl
from trajlib.companion import findings

ROOT = Path(__file__).resolve().parents[2]
NET = tl.Perceptron(4, 10, 3, activation="sigmoid", loss="cross_entropy")
LAST = 20
"""Steps over which losses and accuracy are averaged: the weights of a chaotic network jump from step to step."""


def reached(gd: tl.GradientDescent, w: np.ndarray) -> dict[str, np.ndarray]:
    """Training loss, test loss and test accuracy of states (n, p), each the mean over the following steps."""
    weights = tl.train(gd, w, LAST - 1, record=("weights",)).weights
    return {
        "loss": gd.loss(weights).mean(1),
        "test_loss": gd.test_loss(weights).mean(1),
        "accuracy": gd.accuracy(weights).mean(1),
    }


def stacked(runs: list[list[dict]]) -> dict[str, np.ndarray]:
    """Arrays (rate, split, network) of the runs."""
    return {name: np.array([[run[name] for run in row] for row in runs]).astype(np.float32) for name in runs[0][0]}


def generalisation_rates(rates: list[float], splits: int, networks: int, time: float, seed: int) -> dict:
    """The same networks at several rates, each up to lr * step = ``time``."""
    w0, runs = NET.init(networks, seed=seed), []
    for lr in rates:
        maps = [tl.GradientDescent(NET, tl.iris(split_seed=split), lr=lr) for split in range(splits)]
        steps = round(time / lr)
        runs.append(
            [reached(gd, tl.train(gd, w0, steps, every=steps, record=("weights",)).weights[:, -1]) for gd in maps]
        )
    return {"rates": np.array(rates), **stacked(runs)}


def generalisation_chaos(rates: list[float], splits: int, networks: int, time: float, seed: int) -> dict:
    """Networks of one rate, and their largest exponent in the last fifth of training."""
    w0, runs = NET.init(networks, seed=seed), []
    for lr in rates:
        runs.append([])
        for split in range(splits):
            gd = tl.GradientDescent(NET, tl.iris(split_seed=split), lr=lr)
            run = tl.lyapunov_spectrum(gd, w0, round(time / lr / 25) * 25, k=1, blocks=25)
            runs[-1].append({"late": run.growth[:, 0, -5:].mean(1), **reached(gd, run.final)})
    return {"rates": np.array(rates), **stacked(runs)}


def main() -> None:
    folder = ROOT / "data" / "findings"
    common = {"splits": 50, "time": 5000.0, "seed": 0}
    findings.make(folder, generalisation_chaos, common | {"rates": [1.0, 1.6], "networks": 60})
    findings.make(folder, generalisation_rates, common | {"rates": [0.1, 0.3, 1.0, 1.26, 1.6], "networks": 20})


if __name__ == "__main__":
    main()
