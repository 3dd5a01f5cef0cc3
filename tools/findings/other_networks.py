"""Other networks at large learning rates: is what is left of them the softmax map, and is the chaos at learning rate 1 a transient?

Each network is trained at the rate at which the 4-10-3 network breaks (5) and at the rate of the edge of stability (1). Momentum mu goes
with lr (1 - mu), so that the effective rate lr / (1 - mu) is the same.
"""

from pathlib import Path

import numpy as np

import trajlib as tl
from trajlib.companion import findings

FOLDER = Path(__file__).parents[2] / "data" / "findings"
NETWORKS = {
    "10 sigmoid": {},
    "5 sigmoid": {"hidden": 5},
    "20 sigmoid": {"hidden": 20},
    "40 sigmoid": {"hidden": 40},
    "10 + 10 sigmoid": {"hidden": (10, 10)},
    "10 tanh": {"activation": "tanh"},
    "10 relu": {"activation": "relu"},
    "10 sigmoid, squared error": {"loss": "half_squared_error"},
    "10 sigmoid, momentum 0.5": {"momentum": 0.5},
    "10 sigmoid, momentum 0.9": {"momentum": 0.9},
}


def descent(split, rate, hidden=10, activation="sigmoid", loss="cross_entropy", momentum=0.0):
    """The training map of one of the networks, at an effective learning rate."""
    net = tl.Perceptron(4, hidden, 3, activation=activation, loss=loss)
    return tl.GradientDescent(net, tl.iris(split_seed=split), lr=rate * (1 - momentum), momentum=momentum)


def collapsed(gd, state, steps, extra=0.0):
    """Loss of the reduced map that starts from the mean logits of each network; 1 + sum of h² grows by ``extra``. And its kappa."""
    net, momentum = gd.network, gd.momentum
    w, v = state[:, : net.n_parameters], state[:, net.n_parameters :]
    h = net.hidden(w, gd.task.x).mean(axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        s, factor = (
            net.outputs(w, gd.task.x).mean(axis=1),
            1 + (net.hidden(w, gd.task.x) ** 2).mean(axis=1).sum(1) + extra,
        )
        inner = net.unpack(v) if momentum else None
        u = inner[-1] + np.einsum("nj,njk->nk", h, inner[-2]) if inner is not None else np.zeros_like(s)
        p, losses = gd.targets.mean(axis=0), []
        for _ in range(steps + 1):
            top = s.max(axis=1, keepdims=True)
            e = np.exp(s - top)
            q = e / e.sum(axis=1, keepdims=True)
            losses.append(
                ((top[:, 0] + np.log(e.sum(axis=1))) - s @ p)
                if net.loss == "cross_entropy"
                else 0.5 * ((s - p) ** 2).sum(1)
            )
            u = momentum * u + factor[:, None] * ((q if net.loss == "cross_entropy" else s) - p)
            s = s - gd.lr * u
    return np.stack(losses, axis=1), gd.lr / (1 - momentum) * (factor - extra)


def other_networks_broken(names, splits, networks, rate, steps, window, follow, tolerance):
    """For each network, split and start: what is left of the dependence on the flowers after some steps, and whether the map holds."""
    kept: dict[str, list] = {
        k: [] for k in ("spread", "saturated", "kappa", "error", "control", "exponent", "loss", "accuracy", "units")
    }
    for name in names:
        for split in splits:
            gd = descent(split, rate, **NETWORKS[name])
            net = gd.network
            run = tl.train(gd, gd.network.init(networks, seed=split), steps, record=("states",), every=steps)
            states = run.states[:, -1]
            fine = np.isfinite(states).all(axis=1)
            states = np.where(fine[:, None], states, 0.0)
            w = states[:, : net.n_parameters]
            hidden, limits = net.hidden(w, gd.task.x), net.act.limits or (0.0, np.inf)
            off = np.minimum(np.abs(hidden - limits[0]).max(axis=1), np.abs(hidden - limits[1]).max(axis=1))
            after = tl.train(gd, states, follow, start=steps)
            mapped, kappa = collapsed(gd, states, follow)
            other, _ = collapsed(gd, states, follow, extra=1.0)
            spectrum = tl.lyapunov_spectrum(gd, states, window, k=1).exponents[:, 0]
            found = {
                "spread": np.ptp(net.outputs(w, gd.task.x), axis=1).max(axis=1),
                "saturated": (off < tolerance).all(axis=1),
                "units": (np.abs(hidden).max(axis=1) > 1 - tolerance).sum(axis=1),
                "kappa": kappa,
                "error": np.abs(mapped - after.loss).max(axis=1),
                "control": np.abs(other - after.loss).max(axis=1),
                "exponent": spectrum,
                "loss": gd.loss(w),
                "accuracy": gd.accuracy(w),
            }
            for key, values in found.items():
                kept[key].append(np.where(fine, values, np.nan))
    shape = len(names), len(splits), networks
    return {key: np.array(values, dtype=np.float32).reshape(shape) for key, values in kept.items()}


def other_networks_edge(names, splits, networks, rate, moments, window):
    """For each network, split and start: the largest exponent over some steps from each of some moments on, and how well it has learned."""
    kept: dict[str, list] = {key: [] for key in ("exponent", "loss", "accuracy")}
    for name in names:
        for split in splits:
            gd = descent(split, rate, **NETWORKS[name])
            states, at = gd.state(gd.network.init(networks, seed=split)), 0
            found = []
            for moment in moments:
                states = tl.train(
                    gd, states, moment - at, record=("states",), every=max(1, moment - at), start=at
                ).states[:, -1]
                at, fine = moment, np.isfinite(states).all(axis=1)
                states = np.where(fine[:, None], states, 0.0)
                w = states[:, : gd.network.n_parameters]
                exponent = tl.lyapunov_spectrum(gd, states, window, k=1).exponents[:, 0]
                found.append([np.where(fine, values, np.nan) for values in (exponent, gd.loss(w), gd.accuracy(w))])
            for key, values in zip(kept, np.moveaxis(np.array(found), 1, 0), strict=True):
                kept[key].append(values)
    shape = len(names), len(splits), len(moments), networks
    return {key: np.array(values, dtype=np.float32).reshape(shape) for key, values in kept.items()}


def main():
    shared = {"names": list(NETWORKS), "splits": list(range(6)), "networks": 32}
    findings.make(
        FOLDER,
        other_networks_broken,
        shared | {"rate": 5.0, "steps": 4_000, "window": 500, "follow": 10, "tolerance": 0.01},
    )
    findings.make(FOLDER, other_networks_edge, shared | {"rate": 1.0, "moments": [0, 1_000, 4_500], "window": 500})


if __name__ == "__main__":
    main()
