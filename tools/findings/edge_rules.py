"""Is there chaos at the edge of stability under other rules? Momentum, Adam, and minibatches of 1, 8 and 32 flowers.

All of this was fixed before anything was looked at; it follows edge_networks.py. Rules: gradient descent on all 120 flowers, heavy ball
with 0.9, Adam (0.9, 0.999), and gradient descent on minibatches of 32, 8 and 1, each flower once an epoch. Three networks learn Iris with
cross entropy: 4-32-32-3 with tanh and with ReLU, standardised features, Glorot's weights; and the 4-10-3 network of chapters 1 to 3, in
cm. Rates are relative to each rule's own limit at the start: lr = m * lr1, with m = 0.5, 1 and 2, where lr1 is the rate at which the
network's first sharpness is the limit: 2 / lr, 3.8 / lr for heavy ball, and 38 / lr for Adam, with the preconditioned sharpness after 20
steps at a rate of 1e-4. Minibatches take the rates of gradient descent, and the sharpness is always that of the loss on all flowers.

Runs have 1,500 steps, eight networks at each m. Over the last 1,000, in 20 blocks: the largest exponent with its standard error; at ten
moments the sharpness over the limit, each a mean of two consecutive steps. *At the edge*, *chaotic*, *expanding* and *left* are those of
edge_networks.py: mean ratio within 0.8 to 1.2; exponent above 0.01, or above 0, by two standard errors; out of the range of float64.
With minibatches the exponent is that of one sequence of batches, the same for all networks: it says whether two copies that see the
same batches part.

First the vectors had no steps to align in. With Adam that gave exponents as large as their errors, all of it from the first block: where
gradients are small, so are Adam's memories, and a random vector that reaches into them grows at once. So all cells were made again with
200 steps (300 to 500) in which vectors align; nothing else was changed. Also added then, since many runs with heavy ball and Adam at half
of lr1 and more no longer learn: the two at m = 0.02, 0.05 and 0.2 (``low``).

Check: minibatches of all 120 flowers must give what gradient descent gives, within 1e-6 over the first 200 steps. Then varied: the length
(6,000 steps, over the last 4,000) and the seed (of weights and of batches), for 4-32-32-3 with tanh and for 4-10-3.

edge_rules.py [seconds]     # data/findings/edge_rule_*; those that are there already are not made again; begins none after so long
"""

import sys
import time
from pathlib import Path

import numpy as np
from edge_networks import named

import trajlib as tl
from trajlib.companion import findings

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = ("tanh", "relu", "sigmoid")
"""4-32-32-3 with tanh, with ReLU, and 4-10-3 with the logistic function in cm."""
RULES = ("descent", "heavy", "adam", "batch32", "batch8", "batch1")


def setting(network: str, networks: int, seed: int):
    """Network, task and initial weights."""
    if network == "sigmoid":
        net = tl.Perceptron(4, 10, 3)
        return net, tl.iris(split_seed=0), net.init(networks, seed=seed)
    net = tl.Perceptron(4, (32, 32), 3, activation=network, loss="cross_entropy")
    return net, tl.iris(split_seed=0).standardised(), net.init(networks, seed=seed, scheme="glorot")


def map_of(rule: str, net, task, lr, seed: int = 0):
    """The training map of a rule."""
    if rule == "adam":
        return tl.Adam(net, task, lr=lr)
    batch = int(rule.removeprefix("batch")) if rule.startswith("batch") else None
    momentum = 0.9 if rule == "heavy" else 0.0
    return tl.GradientDescent(net, task, lr=lr, momentum=momentum, batch_size=batch, batch_seed=seed)


def rate_at_limit(rule: str, net, task, w: np.ndarray) -> np.ndarray:
    """The rate of each network (n,) at which its first sharpness is the rule's own limit."""
    gd, t, state = map_of(rule, net, task, 1.0), None, w
    if rule == "adam":
        slow, t = map_of(rule, net, task, 1e-4), 20
        state = tl.train(slow, slow.state(w), t, record=("loss",), every=t).final_state
    options = {"preconditioned": True, "t": t} if t else {}
    first = tl.sharpness(gd, state if t else w, method="lanczos", tolerance=1e-4, **options)
    return gd.rule.stability_limit(1.0) / first


def edge_rule(
    network: str,
    rule: str,
    multiples: list[float],
    networks: int,
    steps: int,
    late: int,
    align: int,
    moments: int,
    seed: int,
) -> dict:
    """For each (multiple, network): exponent with error and flags, sharpness over the limit at the moments, rate, loss, accuracy."""
    net, task, start = setting(network, networks, seed)
    unit = rate_at_limit(rule, net, task, start)
    lr, tiled = np.concatenate([m * unit for m in multiples]), np.tile(start, (len(multiples), 1))
    gd, shape, ratios = map_of(rule, net, task, lr, seed), (len(multiples), networks), []
    stand_in = gd.state(tiled)

    def gone(z: np.ndarray) -> np.ndarray:
        return ~(np.isfinite(z).all(axis=1) & (np.abs(z).max(axis=1) < 1e100))

    def moved(z: np.ndarray, n: int, done: int) -> np.ndarray:
        return tl.train(gd, z, n, record=("loss",), every=n, start=done).final_state

    with np.errstate(all="ignore"):
        done = steps - late
        before = moved(stand_in, done - align, 0)
        left = np.zeros(len(lr), dtype=bool)

        def kept(z: np.ndarray) -> np.ndarray:
            left[gone(z)] = True
            return np.where(left[:, None], stand_in, z)  # stands in for what has left, whose numbers are not kept

        before = kept(before)
        spectrum = tl.lyapunov_spectrum(gd, before, late, k=1, transient=align, start=done - align)
        z = kept(moved(before, align, done - align))
        for i in range(moments):
            if i:
                z, done = kept(moved(z, late // moments - 1, done)), done + late // moments - 1
            pair = z, kept(moved(z, 1, done))
            options = [{"preconditioned": True, "t": done + j} if rule == "adam" else {} for j in (0, 1)]
            sharp = [
                tl.sharpness(gd, gd.state(y) if o else gd.weights(y), method="lanczos", tolerance=1e-2, iterations=200, **o)
                for y, o in zip(pair, options, strict=True)
            ]  # fmt: skip
            ratios.append(np.mean(sharp, axis=0) / gd.rule.stability_limit(lr))
            z, done = pair[1], done + 1
        left |= gone(spectrum.final)
        weights = gd.weights(spectrum.final)
        return {
            "exponent": np.where(left, np.nan, spectrum.exponents[:, 0]).reshape(shape),
            "error": np.where(left, np.nan, spectrum.standard_error[:, 0]).reshape(shape),
            "converged": (spectrum.converged & ~left).reshape(shape),
            "left": left.reshape(shape),
            "ratio": np.where(left[:, None], np.nan, np.stack(ratios, axis=-1)).reshape(*shape, moments),
            "loss": gd.loss(weights).reshape(shape),
            "accuracy": gd.accuracy(weights).reshape(shape),
            "lr": lr.reshape(shape),
            "multiples": np.array(multiples),
        }


def edge_rule_check(networks: int, steps: int, seed: int) -> dict:
    """Exponents (network, case) of gradient descent and of minibatches of all samples: they must be the same."""
    found = []
    for network in NETWORKS:
        net, task, w = setting(network, networks, seed)
        lr = 0.5 * rate_at_limit("descent", net, task, w)
        for rule in ("descent", f"batch{len(task.x)}"):
            found.append(tl.lyapunov_spectrum(map_of(rule, net, task, lr), w, steps, k=1).exponents[:, 0])
    return {"exponent": np.array(found).reshape(len(NETWORKS), 2, networks)}


VARIED = {"seed": {"seed": 1}, "longer": {"steps": 6000, "late": 4000}}


def main(seconds: float = np.inf) -> None:
    began, folder = time.monotonic(), ROOT / "data" / "findings"
    check = findings.make(folder, edge_rule_check, {"networks": 8, "steps": 200, "seed": 0})
    off = np.abs(np.diff(check.exponent, axis=1)).max()
    if not off < 1e-6:
        sys.exit(f"minibatches of all samples differ from gradient descent by {off:.1e}")
    shared = {
        "multiples": [0.5, 1.0, 2.0],
        "networks": 8,
        "steps": 1500,
        "late": 1000,
        "align": 200,
        "moments": 10,
        "seed": 0,
    }
    cells = [(n, rule, "", {}) for n in NETWORKS for rule in RULES]
    cells += [(n, rule, f"_{v}", o) for v, o in VARIED.items() for n in ("tanh", "sigmoid") for rule in RULES]
    cells += [(n, rule, "_low", {"multiples": [0.02, 0.05, 0.2]}) for n in NETWORKS for rule in ("heavy", "adam")]
    for network, rule, suffix, other in cells:
        if time.monotonic() - began < seconds:
            name = f"edge_rule{'_varied' if suffix else ''}_{network}_{rule}{suffix}"
            findings.make(folder, named(edge_rule, name), {"network": network, "rule": rule} | shared | other)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
