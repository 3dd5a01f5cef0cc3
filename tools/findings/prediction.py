"""Does the beginning of a run tell its end? What stopping saves, other networks and rules, longer runs, generalisation.

prediction.py     # data/findings/prediction_*; those that are there already are not made again
"""

from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

import trajlib as tl
from trajlib.companion import findings
from trajlib.prediction import (
    baselines,
    compare_auc,
    indicator_cost,
    predict_outcome,
    predict_with_trees,
    step_cost,
    stopping_rule,
    thinned_exponents,
)

ROOT = Path(__file__).resolve().parents[2]
LOW = 4.0
"""Runs that end below it end well."""
TREES = 60 * 5
"""Comparisons that a prediction by trees takes, counted like multiply-adds."""


def network(activation: str, hidden=2) -> tl.Perceptron:
    return tl.Perceptron(2, hidden, 1, activation=activation, loss="half_squared_error")


def weights_at(gd, w0: np.ndarray, steps: list[int]) -> np.ndarray:
    """Weights (n, r, p) at these steps, 0 allowed."""
    return np.stack([tl.train(gd, w0, s, every=s, record=("weights",)).weights[:, -1] if s else w0 for s in steps], 1)


def logarithms(gd, w: np.ndarray) -> np.ndarray:
    """Of the four baselines (..., 4); what has diverged is nan."""
    with np.errstate(all="ignore"):
        return np.log(np.abs(baselines(gd, w)))


# ---- is stopping early worth it?


def stopped_by(score, good, fit, learn, at: int, steps: int, per_step: float, price: float, allowed: float):
    """Saved, good runs lost and cost of a good run, on the networks that neither the trees nor the threshold know."""
    rule = stopping_rule(
        score[~learn], good[~learn], train=fit[~learn], step=at, steps=steps, step_cost=per_step, indicator_cost=price,
        max_lost=allowed,
    )  # fmt: skip
    return [float(e.value) for e in (rule.saved, rule.good_lost, rule.cost_per_good)]


def counted(spent: np.ndarray, lost: np.ndarray, good: np.ndarray) -> list[float]:
    """The same from the share of a full run that each run has cost, (n,), and whether it was a good one that is lost."""
    kept = good.sum() - lost.sum()
    return [1 - spent.mean(), lost.sum() / good.sum(), spent.mean() * good.sum() / kept if kept else np.inf]


def patient(loss, good, fit, test, window: int, every: int, steps: int, allowed: float):
    """Stop where the loss (n, r), recorded every few steps, has improved by less than a share within a window; never below LOW."""
    back = window // every
    improvement = np.where(loss[:, back:] >= LOW, 1 - loss[:, back:] / loss[:, :-back], np.inf)
    least = improvement.min(axis=1)
    share = np.quantile(least[fit & good], allowed, method="lower")
    stopped = improvement < share
    first = np.where(stopped.any(axis=1), (stopped.argmax(axis=1) + back) * every, steps)
    return counted(first[test] / steps, (least < share)[test] & good[test], good[test])


def in_rungs(loss, good, fit, test, first: int, every: int, steps: int, allowed: float):
    """Stop the worst by the loss at steps first, 2 first, 4 first, ...; each rung may lose its part of what is allowed."""
    rungs = [s for s in first * 2 ** np.arange(12) if s < steps]
    alive, end, budget = np.ones(len(loss), dtype=bool), np.full(len(loss), steps), fit & good
    for s in rungs:
        at = loss[:, s // every]
        limit = np.quantile(at[budget], 1 - allowed / len(rungs), method="higher")
        end[alive & (at > limit)] = s
        alive &= at <= limit
    return counted(end[test] / steps, (~alive & good)[test], good[test])


def halved(loss, good, test, first: int, every: int, steps: int) -> float:
    """Cost of a good run where the better half by the loss goes on at steps first, 2 first and 4 first; 1 without a rule."""
    members = np.flatnonzero(test)
    alive, end = members, np.full(len(loss), steps)
    for s in (first, 2 * first, 4 * first):
        order = alive[np.argsort(loss[alive, s // every], kind="stable")]
        end[order[len(order) // 2 :]] = s
        alive = order[: len(order) // 2]
    kept = good[alive].sum()
    return float((end[test] / steps).mean() * good[test].sum() / kept) if kept else np.inf


def prediction_stopping(points: list[int], networks: int, splits: int, decide: list[int], steps: int, lr: float,
                        allowed: float, every: int, leading: int, thin: int, seed: int) -> dict:  # fmt: skip
    """For each (world, split, rule, step): net saving, good runs lost, cost of a good run; worlds are points, activation, scheme."""
    names = ("loss", "baselines", "weights", "eigenvalues", "exponents", "thinned", "leading", "patience", "rungs")
    worlds = [(p, a, s) for p in points for a in ("tanh", "relu") for s in ("normal", "glorot")]
    found = np.full((len(worlds), splits, len(names), len(decide), 3), np.nan)
    halving, good_share = np.full((len(worlds), splits, len(decide)), np.nan), np.zeros(len(worlds))
    for i, (p, activation, scheme) in enumerate(worlds):
        task, net = tl.plane("parabola", seed=p), network(activation)
        gd, w0 = tl.GradientDescent(net, task, lr=lr), net.init(networks, seed=seed, scheme=scheme)
        loss = tl.train(gd, w0, steps, every=every).loss
        good = loss[:, -1] < LOW
        good_share[i] = good.mean()
        w = weights_at(gd, w0, decide)
        later = [s for s in decide if s]
        ftle = tl.finite_time_exponents(gd, w0, later[-1], at=later, seed=seed).exponents / lr
        few = tl.finite_time_exponents(gd, w0, later[-1], at=later, k=leading, seed=seed).exponents / lr
        path = tl.train(gd, w0, later[-1], record=("weights",), weights_every=thin).weights[:, :-1]
        thinned = thinned_exponents(gd, path, thin, seed=seed)[:, [-(-s // thin) - 1 for s in later]] / lr
        base, eigen = logarithms(gd, w), np.linalg.eigvalsh(gd.hessian(w))
        per_step = step_cost(net, task)
        for split in range(splits):
            part = np.random.default_rng(split).permutation(networks) % 3
            learn, fit, test = (part == m for m in range(3))
            fold = np.where(learn, -1, 0)
            for j, s in enumerate(decide):
                entries = {
                    "loss": (base[:, j, :1], 0),
                    "baselines": (base[:, j], indicator_cost(net, task, "sharpness", s)),
                    "weights": (w[:, j], 0),
                    "eigenvalues": (eigen[:, j], indicator_cost(net, task, "sharpness", s)),
                }
                if s:
                    m = later.index(s)
                    entries |= {
                        "exponents": (ftle[:, m], indicator_cost(net, task, "exponents", s)),
                        "thinned": (thinned[:, m], indicator_cost(net, task, "exponents", s, every=thin)),
                        "leading": (few[:, m], indicator_cost(net, task, "exponents", s, k=leading)),
                    }
                for name, (x, price) in entries.items():
                    if name == "loss":
                        score = x[:, 0]
                    else:
                        score, price = (
                            -predict_with_trees(np.ascontiguousarray(x), good, folds=fold).score,
                            price + TREES,
                        )
                    found[i, split, names.index(name), j] = stopped_by(
                        score, good, fit, learn, s, steps, per_step, price, allowed
                    )
                if s:
                    common = (every, steps)
                    found[i, split, names.index("patience"), j] = patient(loss, good, fit, test, s, *common, allowed)
                    found[i, split, names.index("rungs"), j] = in_rungs(loss, good, fit, test, s, *common, allowed)
                    halving[i, split, j] = halved(loss, good, test, s, *common)
    return {
        "names": np.array(names), "worlds": np.array([f"{a} {s} {p}" for p, a, s in worlds]), "decide": np.array(decide),
        "saved": found[..., 0].astype(np.float32), "lost": found[..., 1].astype(np.float32),
        "cost": found[..., 2].astype(np.float32), "halving": halving.astype(np.float32), "good": good_share,
    }  # fmt: skip


# ---- other networks, rules and parameters


def event_of(end: np.ndarray, low: float | None = LOW) -> tuple[np.ndarray, bool]:
    """Which runs end well: below ``low`` where 10 to 90 % do, else those in the better half; and which of the two it was."""
    end = np.where(np.isfinite(end), end, np.inf)
    if low is not None and 0.1 <= (end < low).mean() <= 0.9:
        return end < low, True
    return end < np.median(end), False


def held_out(sets: dict[str, np.ndarray], event: np.ndarray, folds: int, seed: int) -> dict[str, np.ndarray]:
    """Held-out scores by trees of indicators (n, features); and of the loss alone."""
    made = {
        name: predict_with_trees(np.ascontiguousarray(x), event, folds=folds, seed=seed) for name, x in sets.items()
    }
    made["loss"] = predict_outcome(
        np.ascontiguousarray(sets["baselines"][:, :1]), event, method="rank", folds=folds, seed=seed
    )
    return made


def compared(sets: dict[str, np.ndarray], event: np.ndarray, folds: int, seed: int, names: tuple[str, ...]) -> dict:
    """Areas (value, lower, upper) of each set, and of exponents less the best baseline, and less the weights.

    The best baseline is the better of trees on the four and the loss alone, on the very networks tested: that favours it."""
    made = held_out(sets, event, folds, seed)
    fold = made["loss"].fold
    areas = [
        [getattr(made[n].auc, side) if n in made else np.nan for side in ("value", "lower", "upper")] for n in names
    ]
    best = max(("baselines", "loss"), key=lambda n: made[n].auc.value)
    gaps = []
    for other in (best, "weights"):
        gap = compare_auc(made["exponents"].score, made[other].score, event, fold=fold)
        gaps.append([gap.value, gap.lower, gap.upper])
    return {"auc": np.array(areas, dtype=float), "gain": np.array(gaps, dtype=float)}


def prediction_ablation(lrs: list[float], hidden: list, batches: list, inits: list, networks: int, time: float,
                        early: list[float], folds: int, seed: int) -> dict:  # fmt: skip
    """A full factorial: for each cell and early time, areas of exponents, baselines, weights and loss, and the gain of exponents.

    The loss is a sum over the samples of a batch: the rate is raised by what that leaves out, so that a step is the same in the mean."""
    names = ("exponents", "baselines", "weights", "loss")
    task = tl.plane("parabola")
    cells = [(a, h, b, lr, i) for a in ("tanh", "relu") for h in hidden for b in batches for lr in lrs for i in inits]
    area, gain = np.zeros((len(cells), len(early), 4, 3)), np.zeros((len(cells), len(early), 2, 3))
    share, absolute = np.zeros(len(cells)), np.zeros(len(cells), dtype=bool)
    for c, (activation, layers, batch, lr, (scheme, scale)) in enumerate(cells):
        net = network(activation, layers if isinstance(layers, int) else tuple(layers))
        gd = tl.GradientDescent(net, task, lr=lr * len(task.x) / (batch or len(task.x)), batch_size=batch)
        w0 = scale * net.init(networks, seed=seed, scheme=scheme)
        end = gd.loss(tl.train(gd, w0, round(time / lr), every=round(time / lr), record=("weights",)).weights[:, -1])
        event, absolute[c] = event_of(end)
        share[c] = event.mean()
        steps = [round(t / lr) for t in early]
        ftle = tl.finite_time_exponents(gd, w0, steps[-1], at=steps, seed=seed).exponents / lr
        w = weights_at(gd, w0, steps)
        base = logarithms(gd, w)
        for m in range(len(early)):
            sets = {"exponents": ftle[:, m], "baselines": base[:, m], "weights": w[:, m]}
            made = compared(sets, event, folds, seed, names)
            area[c, m], gain[c, m] = made["auc"], made["gain"]
    said = [f"{a}|{h}|{b}|{lr:g}|{s} {f:g}" for a, h, b, lr, (s, f) in cells]
    return {
        "cells": np.array(said), "names": np.array(names), "early": np.array(early), "auc": area.astype(np.float32),
        "gain": gain.astype(np.float32), "share": share, "absolute": absolute,
    }  # fmt: skip


def exclusive_or(seed: int, n: int = 100) -> tl.Task:
    """Two classes at n points of a square: whether the coordinates have the same sign."""
    x = np.random.default_rng(seed).uniform(-2.0, 2.0, (n, 2))
    return tl.Task("exclusive or", x=x, y=(x[:, 0] * x[:, 1] > 0).astype(np.int64))


def prediction_networks(networks: int, seeds: list[int], steps: list[int], folds: int) -> dict:
    """Deeper networks, classification, Adam, minibatches: areas at early steps for each world and seed."""
    names = ("exponents", "vectors", "baselines", "weights", "loss")
    deep = (4, 4, 4)
    worlds = {}
    for a in ("tanh", "relu"):
        worlds |= {
            f"four layers, {a}": lambda task, a=a: tl.GradientDescent(network(a, deep), task, lr=1e-3),
            f"four layers, {a}, batches of 10": lambda task, a=a: tl.GradientDescent(
                network(a, deep), task, lr=1e-3, batch_size=10
            ),
            f"four layers, {a}, Adam": lambda task, a=a: tl.Adam(network(a, deep), task, lr=3e-3),
            f"2-2-1, {a}, Adam": lambda task, a=a: tl.Adam(network(a), task, lr=3e-3),
            f"exclusive or, {a}": lambda _, a=a: tl.GradientDescent(
                tl.Perceptron(2, 3, 2, activation=a, loss="cross_entropy"), exclusive_or(0), lr=0.3
            ),
        }
    shape = len(worlds), len(seeds), len(steps)
    area, gain = np.full((*shape, 5, 3), np.nan), np.full((*shape, 2, 3), np.nan)
    share, accuracy = np.zeros((len(worlds), len(seeds))), np.full((len(worlds), len(seeds), 2), np.nan)
    for i, (name, made) in enumerate(worlds.items()):
        for j, seed in enumerate(seeds):
            gd = made(tl.plane("parabola", seed=seed))
            w0 = gd.network.init(networks, seed=seed)
            last = tl.train(gd, w0, 4000, every=4000, record=("weights",)).weights[:, -1]
            event, _ = event_of(gd.loss(last), None if "exclusive" in name else LOW)
            share[i, j] = event.mean()
            if "exclusive" in name:
                accuracy[i, j] = [gd.accuracy(last[kind], "train").mean() for kind in (event, ~event)]
            k = min(gd.n_parameters, 9) if "Adam" in name else gd.n_parameters
            ftle = tl.finite_time_exponents(gd, w0, steps[-1], at=steps, k=k, seed=seed).exponents
            w = weights_at(gd, w0, steps)
            base = logarithms(gd, w)
            frozen = None
            if "Adam" not in name and "batches" not in name:
                frozen = tl.present_vectors(gd, w0, steps, method="frozen", seed=seed).growth
            for m in range(len(steps)):
                sets = {"exponents": ftle[:, m], "baselines": base[:, m], "weights": w[:, m]}
                if frozen is not None:
                    sets["vectors"] = frozen[:, m]
                got = compared(sets, event, folds, seed, names)
                area[i, j, m], gain[i, j, m] = got["auc"], got["gain"]
    return {
        "worlds": np.array(list(worlds)), "names": np.array(names), "steps": np.array(steps), "auc": area.astype(np.float32),
        "gain": gain.astype(np.float32), "share": share, "accuracy": accuracy,
    }  # fmt: skip


def prediction_convolution(networks: int, seeds: list[int], samples: int, steps: int, at: list[int], k: int,
                           lr: float, folds: int) -> dict:  # fmt: skip
    """Four 3 x 3 filters on the 8 x 8 digits 0 to 3, mean pooling, softmax; each patch is cut out before, which is a convolution."""
    import torch

    class Filters(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.filters, self.out = (
                torch.nn.Linear(9, 4, dtype=torch.float64),
                torch.nn.Linear(16, 4, dtype=torch.float64),
            )

        def forward(self, x):  # (n, 36, 9): patches of 3 x 3 at 6 x 6 places
            h = torch.tanh(self.filters(x)).reshape(-1, 2, 3, 2, 3, 4).mean(dim=(2, 4))
            return self.out(h.reshape(-1, 16))

    names = ("exponents", "vectors", "baselines", "weights", "loss")
    area, gain = np.full((1, len(seeds), len(at), 5, 3), np.nan), np.full((1, len(seeds), len(at), 2, 3), np.nan)
    share, accuracy = np.zeros((1, len(seeds))), np.zeros((1, len(seeds), 2))
    for j, seed in enumerate(seeds):
        digits = tl.digits(split_seed=seed)
        chosen = np.flatnonzero(digits.y < 4)[:samples]
        images = digits.x[chosen].reshape(-1, 8, 8)
        patches = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2)).reshape(len(chosen), 36, 9)
        gd = tl.GradientDescent(
            Filters(), (torch.tensor(np.ascontiguousarray(patches)), torch.tensor(digits.y[chosen])), lr=lr
        )
        w0 = np.random.default_rng(seed).normal(0.0, 1.0, (networks, gd.n_parameters))
        last = tl.train(gd, w0, steps, every=steps, record=("weights",)).weights[:, -1]
        event, _ = event_of(gd.loss(last), None)
        share[0, j], accuracy[0, j] = (
            event.mean(),
            [gd.accuracy(last[kind], "train").mean() for kind in (event, ~event)],
        )
        ftle = tl.finite_time_exponents(gd, w0, at[-1], at=at, k=k, seed=seed).exponents
        w = weights_at(gd, w0, at)
        base = logarithms(gd, w)
        for m in range(len(at)):
            sets = {"exponents": ftle[:, m], "baselines": base[:, m], "weights": w[:, m]}
            got = compared(sets, event, folds, seed, names)
            area[0, j, m], gain[0, j, m] = got["auc"], got["gain"]
    return {
        "names": np.array(names),
        "steps": np.array(at),
        "auc": area,
        "gain": gain,
        "share": share,
        "accuracy": accuracy,
    }


# ---- runs ten and a hundred times as long


def prediction_long_vectors(lengths: list[int], networks: list[int], lr: float, seed: int, tangent: float) -> dict:
    """For each (length, activation): which covariant vectors are determined, and the smallest angle of each pair on the way."""
    found: dict[str, list] = {}
    first, second = np.triu_indices(9, 1)
    for steps, n in zip(lengths, networks, strict=True):
        for activation in ("tanh", "relu"):
            net = network(activation)
            gd, w0 = tl.GradientDescent(net, tl.plane("parabola"), lr=lr), net.init(n, seed=seed)
            clv = tl.covariant_vectors(gd, w0, steps, every=steps // 400, seed=seed)
            angles = clv.angles[..., first, second]
            key = f"{activation} {steps}"
            found |= {
                f"settled {key}": clv.converged,
                f"closest {key}": angles.min(axis=1).astype(np.float32),
                f"often {key}": (angles < tangent).mean(axis=1).astype(np.float32),
                f"exponents {key}": (clv.exponents / lr).astype(np.float32),
                f"end {key}": tl.train(gd, w0, steps, every=steps).loss[:, -1].astype(np.float32),
                f"discrepancy {key}": clv.discrepancy.astype(np.float32),
            }
    return {"pairs": np.array([first, second]).T + 1, "lengths": np.array(lengths), **found}


# ---- generalisation where there are many minima


def prediction_generalisation(hidden: int, noise: float, draws: int, networks: int, steps: int, lr: float,
                              early: int, folds: int) -> dict:  # fmt: skip
    """Noisy values: areas for a gap above the median, from indicators at an early step and at the end, and rank correlations at the end."""
    names = ("exponents", "baselines", "weights", "loss")
    shape = (2, draws)
    area, gain = np.full((*shape, 2, 4, 3), np.nan), np.full((*shape, 2, 2, 3), np.nan)
    ranks, gaps = np.full((*shape, 4), np.nan), np.full((*shape, 3), np.nan)
    for a, activation in enumerate(("tanh", "relu")):
        for draw in range(draws):
            clean = tl.plane("parabola", seed=draw)
            rng = np.random.default_rng(100 + draw)
            task = tl.Task(
                "noisy",
                x=clean.x,
                y=clean.y + noise * rng.normal(size=len(clean.y)),
                x_test=clean.x_test,
                y_test=clean.y_test,
            )
            net = network(activation, hidden)
            gd, w0 = tl.GradientDescent(net, task, lr=lr), net.init(networks, seed=draw)
            last = tl.train(gd, w0, steps, every=steps, record=("weights",)).weights[:, -1]
            gap = gd.test_loss(last) / len(task.x_test) - gd.loss(last) / len(task.x)
            gap = np.where(np.isfinite(gap), gap, np.inf)
            event = gap > np.median(gap)
            gaps[a, draw] = np.quantile(gap, (0.25, 0.5, 0.75))
            k = 9
            begun = tl.finite_time_exponents(gd, w0, early, k=k, at=[early], seed=draw).exponents[:, 0] / lr
            w = weights_at(gd, w0, [early])[:, 0]
            eigen = -np.sort(-np.linalg.eigvalsh(gd.hessian(last)), axis=1)
            # the exponents of a run that stays at its last state
            there = np.log(np.abs(1 - lr * eigen)) / lr
            for m, (x, state) in enumerate(((begun, w), (np.sort(there, axis=1)[:, ::-1], last))):
                sets = {"exponents": x, "baselines": logarithms(gd, state), "weights": state}
                got = compared(sets, event, folds, draw, names)
                area[a, draw, m], gain[a, draw, m] = got["auc"], got["gain"]
            base = baselines(gd, last)
            simple = (there.sum(axis=1), base[:, 2], base[:, 0], base[:, 3])
            ranks[a, draw] = [spearmanr(x, gap)[0] for x in simple]
    return {
        "names": np.array(names), "auc": area.astype(np.float32), "gain": gain.astype(np.float32),
        "ranks": ranks, "ranked": np.array(["sum of exponents", "sharpness", "loss", "weight norm"]), "gaps": gaps,
    }  # fmt: skip


def main() -> None:
    folder = ROOT / "data" / "findings"
    findings.make(folder, prediction_stopping, {
        "points": [0, 1, 2], "networks": 3000, "splits": 3, "decide": [0, 15, 60, 125, 250, 500, 1000], "steps": 4000, "lr": 1e-3,
        "allowed": 0.05, "every": 5, "leading": 3, "thin": 10, "seed": 0,
    })  # fmt: skip
    findings.make(folder, prediction_networks, {"networks": 600, "seeds": [0, 1], "steps": [15, 60], "folds": 3})
    findings.make(folder, prediction_ablation, {
        "lrs": [5e-4, 1e-3, 2e-3], "hidden": [2, [4, 4, 4]], "batches": [None, 10],
        "inits": [["normal", 1.0], ["normal", 0.5], ["glorot", 1.0]], "networks": 400, "time": 4.0, "early": [0.015, 0.06],
        "folds": 3, "seed": 0,
    })  # fmt: skip
    findings.make(folder, prediction_long_vectors, {
        "lengths": [4000, 40_000, 400_000], "networks": [200, 100, 12], "lr": 1e-3, "seed": 0, "tangent": 0.1,
    })  # fmt: skip
    findings.make(folder, prediction_convolution, {
        "networks": 240, "seeds": [0, 1], "samples": 100, "steps": 200, "at": [5, 15], "k": 5, "lr": 0.1, "folds": 3,
    })  # fmt: skip
    findings.make(folder, prediction_generalisation, {
        "hidden": 12, "noise": 3.0, "draws": 4, "networks": 300, "steps": 10_000, "lr": 1e-3, "early": 250, "folds": 3,
    })  # fmt: skip


if __name__ == "__main__":
    main()
