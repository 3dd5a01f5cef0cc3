"""Scalar embedding at the paper's size, 5,226 snapshots of 50,890 weights: trajlib against scikit-learn's PCA and scaling.

Six trajectories (a reference and five copies) are embedded by all sides in turn. 26 trajectories, 2.1 GB, are embedded by each
side in a process of its own, whose peak memory is reported. Run as a script, this writes data/benchmarks/embedding.json.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _timing import in_new_process, interleaved, spread, write

from trajlib.embedding.scaling import scalar_embedding

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "embedding.json"
TIMES, WEIGHTS = 201, 50_890
ROUNDS, FULL_ROUNDS, TOLERANCE = 3, 3, 1e-9


def snapshots(copies: int, seed: int = 0) -> np.ndarray:
    """A smooth drift of random weights common to all, copies leaving it from 1e-8 at 0.15 a step; (copies, times, weights)."""
    rng = np.random.default_rng(seed)
    step = np.arange(TIMES)[:, None]
    t = step / (TIMES - 1)
    drift = rng.standard_normal(WEIGHTS) + sum(
        size * curve * rng.standard_normal(WEIGHTS)
        for size, curve in ((0.5, t), (0.2, np.sin(3 * t)), (0.1, np.cos(9 * t)))
    )
    x = np.empty((copies, TIMES, WEIGHTS))
    for one in x:
        rng.standard_normal(out=one)
        np.cumsum(one, axis=0, out=one)
        one *= np.minimum(1e-8 * np.exp(0.15 * step), 0.3) / np.sqrt(TIMES)
        one += drift
    return x


def pca(x: np.ndarray, solver: str) -> np.ndarray:
    """First principal component by scikit-learn, (N,), in the units of the embedding."""
    from sklearn.decomposition import PCA

    found = PCA(n_components=1, svd_solver=solver, random_state=0).fit_transform(x.reshape(-1, x.shape[-1]))
    return found[:, 0] / np.sqrt(x.shape[-1])


def scaling(x: np.ndarray) -> np.ndarray:
    """Classical scaling as the definition has it: all distances, double centring, the leading eigenvector."""
    from scipy.linalg import eigh
    from sklearn.metrics.pairwise import euclidean_distances

    d2 = euclidean_distances(x.reshape(-1, x.shape[-1]), squared=True) / x.shape[-1]
    b = -0.5 * (d2 - d2.mean(axis=0) - d2.mean(axis=1, keepdims=True) + d2.mean())
    value, vector = eigh(b, subset_by_index=(len(b) - 1, len(b) - 1))
    return vector[:, 0] * np.sqrt(value[0])


SIDES = {
    "trajlib": lambda x: scalar_embedding(x).coordinates[..., 0].ravel(),
    "sklearn_arpack": lambda x: pca(x, "arpack"),
    "sklearn_randomized": lambda x: pca(x, "randomized"),
    "sklearn_full": lambda x: pca(x, "full"),
    "distances": scaling,
}
FULL = {"trajlib": FULL_ROUNDS, "sklearn_arpack": 1, "sklearn_randomized": 1}  # the others need minutes


def gigabytes() -> float:
    """Largest memory this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 3)


def at_full_size(name: str) -> dict:
    """Seconds of each round, peak memory, and the standard deviation of z to compare sides by."""
    x = snapshots(26)
    seconds = []
    for _ in range(FULL[name]):
        began = time.perf_counter()
        z = SIDES[name](x)
        seconds.append(round(time.perf_counter() - began, 2))
    return {"seconds": seconds, "peak_gb": gigabytes(), "data_gb": round(x.nbytes / 1e9, 3), "std": float(z.std())}


def main() -> None:
    began = time.perf_counter()
    x = snapshots(6)
    got = {name: call(x) for name, call in SIDES.items()}
    z = got["trajlib"]
    off = {name: float(np.abs(v * np.sign(v @ z) - z).max() / np.abs(z).max()) for name, v in got.items()}
    if not max(off.values()) < TOLERANCE:
        raise SystemExit(f"the implementations do not compute the same thing: {off}")
    a, b = x[0, 10], x[1, 10]  # 4e-8 apart
    exact = abs(float(np.sum((a - b).astype(np.longdouble) * scalar_embedding(x).components[0]))) / np.sqrt(WEIGHTS)
    pair = abs(scalar_embedding(x).project_difference(a, b) / exact - 1)
    timed = interleaved({name: partial(call, x) for name, call in SIDES.items()}, ROUNDS)
    reference = timed["trajlib"][:, 0]
    six = {
        name: {
            "seconds": spread(taken[:, 0]),
            "times_trajlib": spread(taken[:, 0] / reference),
            "cores_busy": spread(taken[:, 1]),
        }
        for name, taken in timed.items()
    }
    del x, got, timed
    here = str(Path(__file__).resolve().parent)
    code = "import sys, json; sys.path[:0] = [{!r}, {!r}]; import embedding; print(json.dumps(embedding.at_full_size({!r})))"
    full = {name: in_new_process(code.format(here, str(Path(here).parent), name)) for name in FULL}
    stds = [row["std"] for row in full.values()]
    if not max(stds) - min(stds) < TOLERANCE * max(stds):
        raise SystemExit(f"the implementations do not compute the same thing at full size: {full}")
    results = {
        "agreement": {"tolerance": TOLERANCE, "largest_difference": off, "close_pair_relative_error": float(pair)},
        "six_trajectories": six,
        "full_size": {"snapshots": 26 * TIMES, "weights": WEIGHTS, "targets": "below 30 s and 4 GB", "sides": full},
    }
    print(json.dumps(results, indent=1))
    setting = (
        f"{TIMES} snapshots a trajectory of {WEIGHTS} float64 weights, k = 1; scikit-learn {version('scikit-learn')}"
    )
    write(OUTPUT, results, setting=setting, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
