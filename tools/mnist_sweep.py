"""The MNIST runs behind the chapter on scalar embedding, as sweeps that can be stopped at any time and go on from there.

    python tools/mnist_sweep.py subset      # 10,000 training images: 8 learning rates x 5 initial conditions, and tangent vectors
    python tools/mnist_sweep.py transition  # all 60,000, about the onset of chaos: 8 learning rates x 10 initial conditions
    python tools/mnist_sweep.py paper       # the paper's design: 60,000 images, 16 learning rates x 50 initial conditions

Each cell is one initial condition at one learning rate: a reference and its copies, 200 steps of full-batch gradient descent in
float64, and where the part has them a tangent vector. What is kept are series, not weights: about 60 kB a cell, in data/mnist. On two
cores the first part takes 40 minutes, the second an hour and a half, the third a day.
"""

import argparse
from pathlib import Path

import numpy as np

import trajlib as tl

DATA = Path(__file__).resolve().parent.parent / "data" / "mnist"
VERSION = 2  # to be changed with the code of cell()
DESIGN = {
    "subset": ({"initial": range(5), "lr": [0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0]}, 10_000),
    "transition": ({"initial": range(10), "lr": [2.5, 5.0, 7.5, 10.0, 12.5, 15.0, 17.5, 20.0]}, 60_000),
    "paper": (
        {
            "initial": range(50),
            "lr": [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 12.5, 15.0, 17.5, 20.0],
        },
        60_000,
    ),
}
DIRECTIONS, RANDOM = 10, 3  # of the embedding, of which the first is kept, and random ones beside it


def cell(initial, lr, images, copies, steps, radius, device=None, exact=True):
    """One initial condition and its copies at one learning rate: embedded and full separations, losses, accuracies, tangent growth."""
    task = tl.mnist(n=images)
    gd = tl.GradientDescent(tl.Perceptron(784, 64, 10, activation="tanh"), task, lr=lr)
    w0 = gd.network.init(initial + 1, seed=0)[initial:]
    perturbed = tl.perturb(gd, w0, radius=radius, copies=copies, seed=initial + 1)
    run = tl.diverge(
        gd, w0, perturbed=perturbed, steps=steps, record=("loss", "weights", "test_accuracy"), device=device, progress=False
    )  # fmt: skip
    states = run.snapshots[0]  # (1 + copies, steps + 1, parameters)
    away = states[1:] - states[0]
    found = embedding(states)
    k = len(found.explained_variance)
    directions = np.random.Generator(np.random.PCG64(0)).standard_normal((RANDOM, states.shape[-1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    scale = np.sqrt(states.shape[-1])
    judge = {}
    if exact:  # the L1 norm of the tangent vector that starts as copy 0 does
        first = perturbed[:, :1] - w0[:, None]
        judge = {"tangent": tl.tangent(gd, w0, first, steps, device=device, progress=False).norm[0, 0]}
    return judge | {
        "coordinates": found.coordinates[..., :1],
        "explained_variance": np.pad(found.explained_variance, (0, DIRECTIONS - k), constant_values=np.nan),
        "separation": (away @ found.components.T / scale)[..., :1].astype(np.float32),  # signed, along the line
        "random_separation": (away @ directions.T / scale).astype(np.float32),
        "distance": run.distance[0],  # L1
        "rms_distance": np.sqrt(np.einsum("ctp,ctp->ct", away, away)) / scale,
        "loss": np.concatenate([run.loss, run.copy_loss[0]]),
        "test_accuracy": np.concatenate([run.test_accuracy, run.copy_test_accuracy[0]]),
    }


def embedding(states):
    """The embedding in 10, 3 or 2 dimensions or in one: as many as stand out from rounding."""
    for k in (DIRECTIONS, 3, 2):
        try:
            return tl.scalar_embedding(states, k=k)
        except ValueError:
            continue
    return tl.scalar_embedding(states, k=1)


def fixed_in(part: str) -> dict:
    """What is the same in all cells of a part; only one has tangent vectors, which take as long as all else."""
    fixed = {"images": DESIGN[part][1], "copies": 5, "steps": 200, "radius": 1e-8}
    return fixed if part == "subset" else fixed | {"exact": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=DESIGN)
    parser.add_argument("--device", help="a torch device such as cuda")
    args = parser.parse_args()
    grid, _ = DESIGN[args.part]
    fixed = fixed_in(args.part)
    if args.device:
        fixed["device"] = args.device
    result = tl.sweep(cell, {k: list(v) for k, v in grid.items()}, DATA / args.part, fixed=fixed, version=VERSION)
    print(f"{len(result)} cells in {result.folder}")


if __name__ == "__main__":
    main()
