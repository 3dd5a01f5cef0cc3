"""Low learning rate: what "late" is. The spectrum of the Jacobian and the fate of perturbations up to half a million steps, over splits
of the data; and a network on MNIST at the same learning rate.
"""

from pathlib import Path

import numpy as np

import trajlib as tl
from trajlib.companion import findings
from trajlib.stability import transverse

FOLDER = Path(__file__).parents[2] / "data" / "findings"


def low_late_spectrum(splits, networks, moments, lr, seed, radius, copies, follow, tolerance):
    """For each split, moment and network: transverse multipliers off one, norm, loss, and d(follow) / d(0) of copies made there."""
    kept: dict[str, list] = {
        name: [] for name in ("below", "above", "least", "largest", "norm", "loss", "outwards", "growth", "spectrum")
    }
    for split in splits:
        gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(split_seed=split), lr=lr)
        w, at = gd.network.init(networks, seed=seed), 0
        found: dict[str, list] = {name: [] for name in kept}
        for moment in moments:
            w, at = tl.train(gd, w, moment - at, record=(), start=at).final, moment
            m = np.linalg.eigvalsh(transverse(gd.network, gd.jacobian(w))) - 1.0
            after = tl.diverge(gd, w, radius=radius, copies=copies, steps=follow, every=follow, seed=seed + 1).distance
            found["below"].append((m < -tolerance).sum(1))
            found["above"].append((m > tolerance).sum(1))
            found["least"].append(m[:, 0])
            found["largest"].append(m[:, -1])
            found["norm"].append(np.linalg.norm(w, axis=1))
            found["loss"].append(gd.loss(w))
            found["outwards"].append((gd.gradient(w) * w).sum(1))
            found["growth"].append(after[..., -1].mean(1) / after[..., 0].mean(1))
            found["spectrum"].append(np.median(m, axis=0))
        for name, values in found.items():
            kept[name].append(values)
    counts = {name: np.array(kept.pop(name), dtype=np.int8) for name in ("below", "above")}
    return counts | {name: np.array(values, dtype=np.float32) for name, values in kept.items()}


def low_long_distance(splits, networks, lr, seed, radius, copies, steps, every, records):
    """For each split, network and copy made at the start: d(t) / d(0) at times that are evenly spaced in their logarithm."""
    at = np.unique(np.round(np.geomspace(every, steps, records) / every).astype(int))
    growth = []
    for split in splits:
        gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(split_seed=split), lr=lr)
        w0 = gd.network.init(networks, seed=seed)
        distance = tl.diverge(gd, w0, radius=radius, copies=copies, steps=steps, every=every, seed=seed + 1).distance
        growth.append(distance[:, :, at] / distance[:, :, :1])
    return {"times": at * every, "growth": np.array(growth, dtype=np.float32)}


def low_mnist(images, subsets, hidden, networks, lr, seed, radius, copies, steps, late, follow, every):
    """For each subset of MNIST: loss, d(t) / d(0) of copies made at the start and of copies made late."""
    whole = tl.mnist(n=images * len(subsets))
    kept: dict[str, list] = {name: [] for name in ("loss", "growth", "late_growth", "rise", "accuracy")}
    for k in subsets:
        part = slice(k * images, (k + 1) * images)
        task = tl.Task(
            name="mnist", x=whole.x[part], y=whole.y[part], x_test=whole.x_test[:500], y_test=whole.y_test[:500]
        )
        gd = tl.GradientDescent(tl.Perceptron(784, hidden, 10), task, lr=lr)
        w0 = gd.network.init(networks, seed=seed)
        run = tl.train(gd, w0, late)
        early = tl.diverge(gd, w0, radius=radius, copies=copies, steps=steps, every=every, seed=seed + 1)
        after = tl.diverge(gd, run.final, radius=radius, copies=copies, steps=follow, every=every, seed=seed + 1)
        kept["loss"].append(early.loss)
        kept["growth"].append(early.distance / early.distance[..., :1])
        kept["late_growth"].append(after.distance / after.distance[..., :1])
        kept["rise"].append(np.diff(run.loss, axis=1).max(axis=1))
        kept["accuracy"].append(gd.accuracy(early.final))
    return {name: np.array(values, dtype=np.float32) for name, values in kept.items()}


def main():
    findings.make(FOLDER, low_late_spectrum, {
        "splits": list(range(8)), "networks": 16, "moments": [0, 100, 1_000, 4_000, 40_000, 200_000, 500_000], "lr": 0.01, "seed": 0,
        "radius": 1e-8, "copies": 5, "follow": 1_000, "tolerance": 1e-4,
    })  # fmt: skip
    findings.make(FOLDER, low_long_distance, {
        "splits": list(range(8)), "networks": 16, "lr": 0.01, "seed": 0, "radius": 1e-8, "copies": 3, "steps": 200_000, "every": 100,
        "records": 30,
    })  # fmt: skip
    findings.make(FOLDER, low_mnist, {
        "images": 300, "subsets": [0, 1, 2], "hidden": 10, "networks": 4, "lr": 0.01, "seed": 0, "radius": 1e-8, "copies": 3,
        "steps": 5_000, "late": 4_000, "follow": 1_000, "every": 50,
    })  # fmt: skip


if __name__ == "__main__":
    main()
