"""The edge of stability, and where chaos begins against it: sharpness along runs, and the exponents over a range of learning rates.

edge.py     # data/findings/edge_*; those that are there already are not made again
"""

from pathlib import Path

import numpy as np

import trajlib as tl
from trajlib.companion import findings

ROOT = Path(__file__).resolve().parents[2]
NET = tl.Perceptron(4, 10, 3, activation="sigmoid", loss="cross_entropy")


def task(split: int, scaled: bool) -> tl.Task:
    raw = tl.iris(split_seed=split)
    return raw.standardised() if scaled else raw


def paths(scaled: bool, rates: list[float], splits: list[int], networks: int, time: float, seed: int) -> dict:
    """Sharpness at times t = lr * step up to ``time``, densely up to a fiftieth of it: mean of two consecutive steps."""
    w0, found, times = NET.init(networks, seed=seed), np.empty((len(rates), len(splits), networks, 61)), []
    for i, lr in enumerate(rates):
        grid = np.round(np.concatenate([np.linspace(0, time / 50, 31), np.linspace(0, time, 31)[1:]]) / lr)
        for j, split in enumerate(splits):
            gd, states = tl.GradientDescent(NET, task(split, scaled), lr=lr), [w0]
            for stretch in np.diff(grid).astype(int):
                states.append(
                    tl.train(gd, states[-1], stretch, every=max(1, stretch), record=("weights",)).weights[:, -1]
                )
            w = np.stack(states, axis=1)
            found[i, j] = tl.sharpness(gd, np.stack([w, gd(w)]), method="lanczos", tolerance=1e-4).mean(axis=0)
        times.append(grid * lr)
    return {"times": np.array(times), "sharpness": found.astype(np.float16)}


def edge_paths_raw(**settings) -> dict:
    return paths(False, **settings)


def edge_paths_scaled(**settings) -> dict:
    return paths(True, **settings)


def scan(scaled: bool, rates: list[float], splits: list[int], networks: int, steps: int, seed: int) -> dict:
    """For each (rate, split, network): the largest exponent in the first 200 and in the last 1,000 steps, and what training has reached."""
    w0 = NET.init(networks, seed=seed)
    lr, starts = np.repeat(rates, networks), np.tile(w0, (len(rates), 1))
    found: dict[str, list] = {"early": [], "late": [], "loss": [], "accuracy": [], "start": []}
    for split in splits:
        gd = tl.GradientDescent(NET, task(split, scaled), lr=lr)
        run = tl.lyapunov_spectrum(gd, starts, steps, k=1, blocks=steps // 200)
        found["early"].append(run.growth[:, 0, 0].reshape(len(rates), networks))
        found["late"].append(run.growth[:, 0, -5:].mean(axis=1).reshape(len(rates), networks))
        found["loss"].append(gd.loss(run.final).reshape(len(rates), networks))
        found["accuracy"].append(gd.accuracy(run.final).reshape(len(rates), networks).mean(axis=1))
        found["start"].append(tl.sharpness(tl.GradientDescent(NET, task(split, scaled)), w0))
    arrays = {name: np.stack(of, axis=0 if name == "start" else 1).astype(np.float16) for name, of in found.items()}
    return {"rates": np.array(rates), **arrays}


def edge_scan_raw(**settings) -> dict:
    return scan(False, **settings)


def edge_scan_scaled(**settings) -> dict:
    return scan(True, **settings)


def edge_growth(rates: list[float], splits: list[int], networks: int, time: float, seed: int) -> dict:
    """At the edge proper, features in cm: largest mean rate of any 200 steps, and the share of blocks of 200 steps above 0.01."""
    w0, most, share = NET.init(networks, seed=seed), [], []
    for lr in rates:
        steps = round(time / lr / 200) * 200
        maps = [tl.GradientDescent(NET, task(split, False), lr=lr) for split in splits]
        growth = np.array([tl.lyapunov_spectrum(gd, w0, steps, k=1, blocks=steps // 200).growth[:, 0] for gd in maps])
        most.append(growth.max(axis=-1))
        share.append((growth > 0.01).mean(axis=-1))
    return {"most": np.array(most, dtype=np.float32), "share": np.array(share, dtype=np.float32)}


def main() -> None:
    folder = ROOT / "data" / "findings"
    common = {"splits": list(range(8)), "seed": 0}
    along = common | {"networks": 16, "time": 5000.0}
    findings.make(folder, edge_paths_raw, along | {"rates": [0.05, 0.1, 0.16, 0.25, 0.4, 1.0]})
    findings.make(folder, edge_paths_scaled, along | {"rates": [0.5, 2.0, 5.0, 20.0]})
    findings.make(folder, edge_growth, along | {"rates": [0.16, 0.25, 0.4, 1.0]})
    over = common | {"networks": 30, "steps": 5000}
    findings.make(folder, edge_scan_raw, over | {"rates": [round(10 ** (i / 10), 4) for i in range(-13, 11)]})
    findings.make(folder, edge_scan_scaled, over | {"rates": [round(10 ** (i / 10), 4) for i in range(23)]})


if __name__ == "__main__":
    main()
