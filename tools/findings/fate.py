"""Long-time fate at the edge of stability: which networks are chaotic when, up to 100,000 steps, over splits and learning rates; and what
distinguishes a network that is about to burst into chaos from one that is not.

fate.py            # data/findings/long_fate.*, fitted_networks.*, burst_onsets.*, burst_paths.*; twenty minutes on two cores
fate.py SECONDS    # only as much as fits into this time; the next call goes on (finished parts lie in _build/findings)
"""

import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

import trajlib as tl
from trajlib.companion import findings

ROOT = Path(__file__).resolve().parents[2]
PARTS = ROOT / "_build" / "findings"
NET = tl.Perceptron(4, 10, 3, activation="sigmoid", loss="cross_entropy")


def growth_of(lr: float, split: int, networks: int, steps: int, block: int, seed: int) -> dict[str, np.ndarray]:
    """Mean growth rate of a tangent vector in blocks (networks, steps / block), and loss and accuracy at the end; kept on disk."""
    part = PARTS / f"fate_{lr}_{split}_{networks}_{steps}_{block}_{seed}.npz"
    if not part.is_file():
        gd = tl.GradientDescent(NET, tl.iris(split_seed=split), lr=lr)
        run = tl.lyapunov_spectrum(gd, NET.init(networks, seed=seed), steps, k=1, blocks=steps // block, interval=25)
        PARTS.mkdir(parents=True, exist_ok=True)
        found = {"growth": run.growth[:, 0], "loss": gd.loss(run.final), "accuracy": gd.accuracy(run.final)}
        np.savez(part, **found)
    with np.load(part) as there:
        return dict(there)


def long_fate(rates, networks, splits, steps, block, seed, lengths, thresholds, after) -> dict:
    """Shares of networks that are chaotic, for each definition of "chaotic" (block length, threshold), rate and split."""
    edges = np.unique(np.round(np.geomspace(1, steps / max(lengths), 17)).astype(int)) * max(lengths)
    edges = np.concatenate([[0], edges])
    shape = (len(thresholds), len(lengths), len(rates), len(splits))
    share = np.empty((*shape, len(edges) - 1), dtype=np.float32)
    ever, anytime = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
    most = max(networks)
    ends = np.full((2, len(rates), len(splits), most), np.nan, dtype=np.float32)
    chaotic = np.zeros((len(rates), len(splits), most, steps // 1000), dtype=bool)
    fine = np.zeros((len(rates), len(splits), most, steps // block), dtype=bool)
    for i, (lr, n) in enumerate(zip(rates, networks, strict=True)):
        for j, split in enumerate(splits):
            part = growth_of(lr, split, n, steps, block, seed)
            ends[0, i, j, :n], ends[1, i, j, :n] = part["loss"], part["accuracy"]
            fine[i, j, :n] = part["growth"] > 0.01
            for b, length in enumerate(lengths):
                rate = part["growth"].reshape(n, -1, length // block).mean(axis=2)
                if length == 1000:
                    chaotic[i, j, :n] = rate > 0.01
                for a, threshold in enumerate(thresholds):
                    above, first = rate > threshold, after // length
                    ever[a, b, i, j] = above[:, first:].any(axis=1).mean()
                    anytime[a, b, i, j] = above[:, first:].mean()
                    for c, (start, stop) in enumerate(pairwise(edges)):
                        share[a, b, i, j, c] = above[:, start // length : stop // length].mean()
    return {
        "edges": edges,
        "share": share,
        "ever": ever,
        "anytime": anytime,
        "ends": ends,
        "chaotic": np.packbits(chaotic, axis=-1),
        "fine": np.packbits(fine, axis=-1),
    }


def onsets(growth: np.ndarray, before: int, after: int, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (network, block) where chaos begins after ``before`` quiet blocks; and those that are quiet before and for ``after`` blocks."""
    quiet = growth < 0.005
    blocks = np.arange(growth.shape[1])
    length = 4
    calm = np.array([[quiet[n, b - before : b].all() for b in blocks] for n in range(len(growth))])
    still = np.array([[quiet[n, b : b + after].all() for b in blocks] for n in range(len(growth))])
    mean = np.array([[growth[n, b : b + length].mean() for b in blocks] for n in range(len(growth))])
    inside = (blocks >= max(first, before)) & (blocks + after <= growth.shape[1])
    begins = calm & (growth > 0.01) & (mean > 0.01) & inside
    return np.argwhere(begins), np.argwhere(calm & still & inside)


def fitted_networks(lr, networks, splits, steps, block, seed) -> dict:
    """First block at whose end the loss is below ln 2 / n, so that no training flower can be wrong (-1: never), and chaos after it.

    Blocks of 1,000 steps count as chaotic above 0.01, as in :func:`long_fate`; the loss is looked at every ``block`` steps.
    """
    first, chaotic = [], []
    for split in splits:
        gd = tl.GradientDescent(NET, tl.iris(split_seed=split), lr=lr)
        loss = tl.train(gd, NET.init(networks, seed=seed), steps, every=block, record=("loss",)).loss[:, 1:]
        below = loss < np.log(2) / len(gd.task.y)
        first.append(np.where(below.any(axis=1), below.argmax(axis=1), -1))
        growth = growth_of(lr, split, networks, steps, block, seed)["growth"]
        chaotic.append(growth.reshape(networks, steps // 1000, -1).mean(axis=2) > 0.01)
    return {"first": np.array(first, dtype=np.int16), "chaotic": np.packbits(np.array(chaotic), axis=-1)}


FEATURES = (
    "loss",
    "swing of the loss",
    "sharpness, higher of two steps",
    "sharpness, lower of two steps",
    "largest multiplier of two steps",
    "most negative multiplier of two steps",
    "largest multiplier of four steps",
    "most negative multiplier of four steps",
    "norm of the weights",
    "flowers that are wrong",
    "flowers that change sides",
    "share of the loss in one flower",
    "saturated share of the units",
)


def features(gd: tl.GradientDescent, w: np.ndarray) -> np.ndarray:
    """What can be measured at states (n, parameters), over 32 steps from there on: (n, FEATURES)."""
    path = tl.train(gd, w, 32, record=("weights", "loss")).weights
    loss, four = gd.loss(path), path[:, :4]
    sharp = tl.sharpness(gd, four[:, :2])
    pairs = tl.cycle_multipliers(gd, four[:, :2]), tl.cycle_multipliers(gd, four)
    x, y = gd.task.x, gd.task.y
    hidden, logits = NET.hidden(path[:, :2], x), NET.outputs(path[:, :2], x)
    single = np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)) + logits.max(-1)
    single = single - np.take_along_axis(logits, np.broadcast_to(y[:, None], (*single.shape, 1)), -1)[..., 0]
    wrong = logits.argmax(-1) != y
    found = [loss.mean(1), loss.std(1) / loss.mean(1), sharp.max(1), sharp.min(1)]
    for values in pairs:
        found += [np.abs(values[:, 0]), values.real.min(-1)]
    found += [np.linalg.norm(w, axis=1), wrong.mean(1).sum(-1), (wrong[:, 0] != wrong[:, 1]).sum(-1)]
    found += [(single.max(-1) / single.sum(-1)).mean(1), (np.abs(2 * hidden - 1) > 0.9).mean((1, 2, 3))]
    return np.stack(found, axis=1), single.mean(1).argmax(1)


def matched(split: int, lr, networks, steps, block, seed, quiet) -> list[tuple[int, int, int]]:
    """Onsets of chaos in random order: network, block, and a network that is quiet then and stays so, drawn at random."""
    growth = growth_of(lr, split, networks, steps, block, seed)["growth"]
    begins, calm = onsets(growth, quiet, quiet, 5000 // block)
    draws, pairs = np.random.default_rng((seed, split)), []
    for n, b in draws.permutation(begins):
        others = calm[(calm[:, 1] == b) & (calm[:, 0] != n), 0]
        if len(others):
            pairs.append((n, b, draws.choice(others)))
    return pairs


def burst_onsets(lr, networks, splits, steps, block, seed, most, lags, quiet) -> dict:
    """Features at onsets of chaos and, paired with each, at a quiet moment of another network at the same step, for each lag before."""
    kept: dict[str, list] = {
        name: [] for name in ("split", "step", "onset", "control", "earlier", "hardest", "networks")
    }
    for split in splits:
        gd = tl.GradientDescent(NET, tl.iris(split_seed=split), lr=lr)
        pairs = matched(split, lr, networks, steps, block, seed, quiet)[:most]
        if not pairs:
            continue
        burst, when, other = np.array(pairs).T
        w0, among = NET.init(networks, seed=seed), np.arange(len(burst))
        path, quietly = (
            tl.train(gd, w0[who], int(when.max()) * block, every=block, record=("weights",)).weights
            for who in (burst, other)
        )
        at = [[features(gd, p[among, when - lag // block]) for lag in lags] for p in (path, quietly)]
        kept["split"].append(np.full(len(pairs), split))
        kept["step"].append(when * block)
        kept["networks"].append(np.stack([burst, other], axis=1))
        kept["onset"].append(np.stack([f for f, _ in at[0]], 1))
        kept["control"].append(np.stack([f for f, _ in at[1]], 1))
        kept["hardest"].append(np.stack([at[0][-1][1], at[1][-1][1]], 1))
        kept["earlier"].append(features(gd, path[among, when - 2 * quiet])[0])
    return {"names": np.array(FEATURES)} | {
        name: np.concatenate(v).astype(np.float32 if name in ("onset", "control", "earlier") else np.int32)
        for name, v in kept.items()
    }


def burst_paths(lr, networks, splits, steps, block, seed, most, quiet, start, stop, every) -> dict:
    """Period, up to 8, and extreme multipliers of the cycle (of two steps where there is none), every few steps from ``start`` to ``stop``
    around the beginning of the block in which chaos begins; of the network, and of one that is quiet at the same time."""
    moments = np.arange(start, stop + 1, every)
    kept: dict[str, list] = {name: [] for name in ("split", "step", "loss", "period", "lowest", "highest", "modulus")}
    for split in splits:
        gd = tl.GradientDescent(NET, tl.iris(split_seed=split), lr=lr)
        pairs = matched(split, lr, networks, steps, block, seed, quiet)[:most]
        if not pairs:
            continue
        burst, when, other = np.array(pairs).T
        both, twice = np.concatenate([burst, other]), np.tile(when, 2)
        w0, begin = NET.init(networks, seed=seed)[both], twice * block + start
        path = tl.train(gd, w0, int(begin.max()), every=block, record=("weights",)).weights
        w = path[np.arange(len(both)), begin // block]
        found: dict[str, list] = {name: [] for name in kept if name not in ("split", "step")}
        for _ in moments:
            here = tl.train(gd, w, 64, record=("weights", "loss"))
            period = tl.cycle_period(here.weights)
            turn = np.where((period > 0) & (period <= 8), period, 2)
            values = np.empty((len(w), NET.n_parameters - len(tl.shift_directions(NET))), dtype=complex)
            for p in np.unique(turn):
                values[turn == p] = tl.cycle_multipliers(gd, here.weights[turn == p, :p])
            real = np.abs(values.imag) < 1e-9
            found["loss"].append(here.loss[:, :4])
            found["period"].append(period)
            found["lowest"].append(np.where(real, values.real, np.inf).min(-1))
            found["highest"].append(np.where(real, values.real, -np.inf).max(-1))
            found["modulus"].append(np.abs(np.where(real, 0, values)).max(-1))
            w = here.weights[:, every]
        kept["split"].append(np.full(len(burst), split))
        kept["step"].append(when * block)
        for name, values in found.items():
            kept[name].append(np.stack(values, 1).reshape(2, len(burst), len(moments), -1).swapaxes(0, 1))
    arrays = {name: np.concatenate(v) for name, v in kept.items()}
    return {"moments": moments} | {
        name: v.astype(np.int32 if name in ("split", "step", "period") else np.float32) for name, v in arrays.items()
    }


SPLITS = list(range(10))
RUN = {"splits": SPLITS, "steps": 100_000, "block": 250, "seed": 0}
FATE = RUN | {
    "rates": [0.4, 0.63, 1.0, 1.26, 1.6],
    "networks": [32, 32, 64, 32, 32],
    "lengths": [250, 500, 1000, 2000],
    "thresholds": [0.003, 0.01, 0.02, 0.05],
    "after": 5000,
}
FITTED = RUN | {"lr": 1.0, "networks": 64}
ONSETS = RUN | {"lr": 1.0, "networks": 64, "most": 20, "lags": [1000, 250, 0], "quiet": 8}
PATHS = RUN | {"lr": 1.0, "networks": 64, "most": 5, "quiet": 8, "start": -500, "stop": 250, "every": 25}


def main() -> None:
    budget = time.monotonic() + float(sys.argv[1]) if len(sys.argv) > 1 else np.inf
    folder = ROOT / "data" / "findings"
    for compute, settings in ((burst_paths, PATHS), (burst_onsets, ONSETS), (fitted_networks, FITTED)):
        if time.monotonic() < budget:
            findings.make(folder, compute, settings)
    for i in (2, 1, 3, 4, 0):
        for split in SPLITS:
            if time.monotonic() > budget:
                return
            growth_of(FATE["rates"][i], split, FATE["networks"][i], FATE["steps"], FATE["block"], FATE["seed"])
    findings.make(folder, long_fate, FATE)


if __name__ == "__main__":
    main()
