"""Longer runs behind the chapter on scalar embedding: other embeddings, groups of 26 trajectories, float32, the power of the test of fit.

embedding.py     # data/findings/embedding_* and spacing_power; those that are there already are not made again
"""

from pathlib import Path

import numpy as np
from scipy.sparse.linalg import eigsh

import trajlib as tl
from trajlib.companion import findings
from trajlib.companion.checks import scalar_embedding as checks

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("line", "first steps", "gradient", "outputs", "kernel", "one random", "three random", "loss")
NETWORKS = {
    "digits": tl.Perceptron(64, 8, 10, activation="tanh", loss="cross_entropy"),
    "iris": tl.Perceptron(4, 10, 3, activation="sigmoid", loss="cross_entropy"),
}
TASKS = {"digits": tl.digits, "iris": tl.iris}


def kernel_separation(states: np.ndarray) -> np.ndarray:
    """|z_copy - z_reference| (m, r) on the first coordinate of kernel PCA with a Gaussian kernel, its width the median distance.

    Differences of kernels of close states are computed from the difference of the states: subtraction would lose their digits.
    """
    x = states.reshape(-1, states.shape[-1])
    square = (x * x).sum(axis=1)
    distance = np.maximum(square[:, None] + square - 2 * x @ x.T, 0)
    width = np.median(distance[np.triu_indices(len(x), 1)])
    kernel = np.exp(-distance / width)
    centred = kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
    value, vector = eigsh(centred, k=1, v0=np.ones(len(x)))
    weight = vector[:, 0] / np.sqrt(value[0])
    weight -= weight.mean()
    times, found = states.shape[1], []
    for copy in states[1:]:
        away = copy - states[0]
        change = (away * (copy + states[0])).sum(axis=1)[:, None] - 2 * away @ x.T
        found.append(np.abs((kernel[:times] * np.expm1(-change / width)) @ weight))
    return np.array(found)


def separations(gd, run, i: int, directions: np.ndarray) -> dict:
    """The separations (m, r) of one initial condition in each embedding."""
    states = run.snapshots[i]
    away, scale = states[1:] - states[0], np.sqrt(states.shape[-1])
    early, gradient = tl.scalar_embedding(states[:, :11]).components[0], gd.gradient(states[0, 0])
    outputs = gd.network.outputs(states, gd.task.x_test).reshape(*states.shape[:2], -1)
    return {
        "line": np.abs(tl.embed_copies(states[None]).separation[0, ..., 0]),
        "first steps": np.abs(away @ early) / scale,
        "gradient": np.abs(away @ gradient) / np.linalg.norm(gradient) / scale,
        "outputs": np.abs(tl.embed_copies(outputs[None]).separation[0, ..., 0]),
        "kernel": kernel_separation(states),
        "one random": np.abs(away @ directions[:, 0]) / scale,
        "three random": np.linalg.norm(away @ directions, axis=-1) / scale,
        "loss": np.abs(run.copy_loss[i] - run.loss[i]),
    }


def embedding_competitors(
    task: list[str], lr: list[float], split: list[int], networks: int, steps: int, seed: int
) -> dict:
    """For each run, embedding and initial condition: exponent over that of the distance D in its window; nan where D does not grow."""
    ratio, accuracy = np.full((len(task), len(KINDS), networks), np.nan), np.empty((len(task), networks))
    for r, (name, rate, s) in enumerate(zip(task, lr, split, strict=True)):
        gd = tl.GradientDescent(NETWORKS[name], TASKS[name](split_seed=s), lr=rate)
        run = tl.diverge(
            gd, gd.network.init(networks, seed=seed), radius=1e-8, copies=5, steps=steps, seed=seed + 1,
            record=("weights", "loss", "test_accuracy"), progress=False,
        )  # fmt: skip
        away = run.snapshots[:, 1:] - run.snapshots[:, :1]
        rms = np.sqrt((away * away).mean(axis=-1))
        fit = tl.expansion_rate(rms, widths=range(10, 41, 5) if name == "digits" else range(30, 101, 5))
        grown = rms[..., -50:].mean(axis=(1, 2)) > 1e3 * rms[..., 0].mean(axis=1)
        directions = np.linalg.qr(np.random.default_rng(seed + 3).standard_normal((run.snapshots.shape[-1], 3)))[0]
        accuracy[r] = run.test_accuracy[:, -50:].mean(axis=1)
        for i in np.flatnonzero(grown & fit.kept):
            seen = separations(gd, run, i, directions)
            for k, kind in enumerate(KINDS):
                ratio[r, k, i] = tl.expansion_rate(seen[kind], window=(fit.start[i], fit.stop[i])).rate / fit.rate[i]
    return {"kinds": np.array(KINDS), "ratio": ratio.astype(np.float32), "accuracy": accuracy.astype(np.float32)}


def embedding_spacings(lr: list[float], split: list[int], networks: int, copies: int, steps: int, seed: int) -> dict:
    """Gaps of the ends of 1 + copies trajectories, for each split and learning rate: (splits, rates, networks, copies)."""
    net, found = NETWORKS["digits"], []
    for s in split:
        for j, rate in enumerate(lr):
            gd = tl.GradientDescent(net, tl.digits(split_seed=s), lr=rate)
            run = tl.diverge(
                gd, net.init(networks, seed=seed), radius=1e-8, copies=copies, steps=steps, seed=seed + 1 + j,
                record=("weights",), progress=False,
            )  # fmt: skip
            found.append(tl.asymptotic_spacings(tl.embed_copies(run.snapshots).coordinates[..., 0]))
    return {"gaps": np.array(found).reshape(len(split), len(lr), networks, copies)}


def embedding_clocks(lr: list[float], split: list[int], networks: int, steps: int, seed: int) -> dict:
    """Times (splits, rates, networks) by each clock, and the test accuracy in the end; as the chapter computes them."""
    net, found = NETWORKS["digits"], []
    w0 = net.init(networks, seed=seed)
    for s in split:
        for j, rate in enumerate(lr):
            gd = tl.GradientDescent(net, tl.digits(split_seed=s), lr=rate)
            run = tl.diverge(
                gd, w0, radius=1e-8, copies=5, steps=steps, seed=seed + 1 + j, record=("weights", "test_accuracy"), progress=False
            )  # fmt: skip
            line = tl.embed_copies(run.snapshots)
            accuracy = np.concatenate([run.test_accuracy[:, None], run.copy_test_accuracy], axis=1)
            data = {"line": np.abs(line.separation[..., 0]), "D": line.rms_distance, "accuracy": accuracy}
            found.append(checks.clocks(data) | {"end": run.test_accuracy[:, -50:].mean(axis=-1)})
    return {name: np.reshape([of[name] for of in found], (len(split), len(lr), networks)) for name in found[0]}


def embedding_precision(lr: list[float], networks: int, steps: int, seed: int) -> dict:
    """Mean L1 distance at each step, and exponents, in both precisions: (rates, 2, ...); and the share of changes that float32 keeps."""
    net, distance, rate = NETWORKS["digits"], [], []
    w0 = net.init(networks, seed=seed)
    for each in lr:
        gd = tl.GradientDescent(net, tl.digits(), lr=each)
        for dtype in ("float64", "float32"):
            run = tl.diverge(gd, w0, radius=1e-8, copies=5, steps=steps, seed=seed + 1, dtype=dtype, progress=False)
            distance.append(run.distance.mean(axis=(0, 1)))
            rate.append(tl.expansion_rate(run.distance, widths=range(10, 41, 5)).rate)
    start = tl.perturb(gd, w0, radius=1e-8, copies=5, seed=seed + 1)
    moved = start != w0[:, None]
    kept = (start.astype(np.float32) != w0[:, None].astype(np.float32))[moved].mean()
    shape = len(lr), 2, -1
    return {"distance": np.reshape(distance, shape), "rate": np.reshape(rate, shape), "kept": kept}


def spacing_power(groups: list[int], repetitions: int, seed: int) -> dict:
    """How often the test of a skew lognormal rejects at 5 % (rescaled gaps, laws, numbers of groups), by the warp-speed bootstrap.

    One replicate a made-up data set: the 95 % quantile of all replicates is the critical value of all data sets.
    """
    rng = np.random.default_rng(seed)
    skew = tl.SkewLognormal(0.0, 1.2, -4.0)
    laws = {
        "skew lognormal": lambda n: skew.rvs((n, 5), seed=int(rng.integers(2**31))),
        "ends normal": lambda n: np.diff(np.sort(rng.standard_normal((n, 6)), axis=1), axis=1),
        "exponential": lambda n: rng.exponential(size=(n, 5)),
        "gamma, shape 2": lambda n: rng.gamma(2.0, size=(n, 5)),
        "Weibull, shape 2": lambda n: rng.weibull(2.0, (n, 5)),
        "lognormal mixture": lambda n: np.exp(rng.standard_normal((n, 5)) * 0.4 + 2.5 * (rng.random((n, 5)) < 0.5)),
    }
    power = np.empty((len(laws), len(groups)))
    for i, draw in enumerate(laws.values()):
        for j, n in enumerate(groups):
            seen, null = np.empty((2, repetitions))
            for k in range(repetitions):
                fit = tl.fit_skew_lognormal(tl.rescale_spacings(draw(n)))
                again = tl.fit_skew_lognormal(
                    tl.SkewLognormal(fit.xi, fit.omega, fit.alpha).rvs(fit.n, seed=int(rng.integers(2**31)))
                )
                seen[k], null[k] = fit.ks, again.ks
            power[i, j] = (seen > np.quantile(null, 0.95)).mean()
    return {"laws": np.array(list(laws)), "power": power}


def main() -> None:
    folder = ROOT / "data" / "findings"
    runs = [(t, lr, s) for t, rates in (("digits", (4.0, 10.0)), ("iris", (1.0, 2.0))) for lr in rates for s in (0, 1)]
    task, lr, split = (list(column) for column in zip(*runs, strict=True))
    findings.make(folder, spacing_power, {"groups": [16, 50, 500], "repetitions": 150, "seed": 0})
    findings.make(
        folder, embedding_competitors, {"task": task, "lr": lr, "split": split, "networks": 20, "steps": 200, "seed": 0}
    )
    findings.make(folder, embedding_precision, {"lr": [1.0, 10.0], "networks": 10, "steps": 200, "seed": 0})
    clocks = {"lr": [4.0, 5.0, 10.0], "split": [1, 2, 3, 4], "networks": 16, "steps": 200, "seed": 1}
    findings.make(folder, embedding_clocks, clocks)
    spacings = {"lr": [4.0, 10.0, 20.0], "split": [0, 1], "networks": 10, "copies": 25, "steps": 200, "seed": 0}
    findings.make(folder, embedding_spacings, spacings)


if __name__ == "__main__":
    main()
