"""Is there chaos at the edge of stability? Largest exponent beside sharpness, over depth, width, activation and loss.

All of this was fixed before anything was looked at. Every network learns Iris with standardised features (120 flowers, all of them at each
step), from Glorot's initial weights. The rate is set by the sharpness s0 of each network at its start: lr = m * 2 / s0 with m = 0.5, 1
and 2, below, at and beyond the limit. Runs have 1,500 steps. Over the last 1,000, in 20 blocks: the largest exponent per step with its
standard error and the flags ``resolved`` and ``converged``; and at 10 moments, each the mean of two consecutive steps, the sharpness
times lr / 2.

- *at the edge*: the mean of sharpness * lr / 2 is between 0.8 and 1.2; *below* under 0.8, *above* over 1.2;
- *chaotic*: the exponent is above 0.01 a step, as in chapters 2 and 7, by two standard errors;
- *expanding*: it is above 0 by two standard errors, however little;
- *left*: the run has left the range of float64; it counts as neither.

Cells: depth 1, 2, 4, 6 at width 32 for tanh, ReLU and GELU; widths 8, 16 and 64 at depth 2 for tanh; each with cross entropy and the mean
squared error. Eight networks at each m. For tanh at depth 2, cross entropy, also 12 exponents of the first four networks at m = 2: how
many of them are chaotic in the sense of above, and does their number grow with the width?

edge_networks.py [seconds]     # data/findings/edge_network_*; those that are there already are not made again; begins none after so long
"""

import functools
import sys
import time
from pathlib import Path

import numpy as np

import trajlib as tl
from trajlib.companion import edges, findings

ROOT = Path(__file__).resolve().parents[2]
CELLS = [(2, 32, "tanh"), (2, 32, "relu"), (2, 32, "gelu"), (4, 32, "tanh"), (2, 8, "tanh"), (1, 32, "tanh"), (4, 32, "relu"),
         (6, 32, "tanh"), (2, 16, "tanh"), (4, 32, "gelu"), (1, 32, "relu"), (1, 32, "gelu"), (2, 64, "tanh"), (6, 32, "relu"),
         (6, 32, "gelu")]  # fmt: skip
LOSSES = {"cross_entropy": "ce", "mean_squared_error": "mse"}


def edge_network(
    depth: int, width: int, activation: str, loss: str, multiples: list[float], networks: int, steps: int, late: int, moments: int,
    counted: int, k: int, seed: int,
) -> dict:  # fmt: skip
    """For each (multiple, network): exponent with error and flags, sharpness over the limit at the moments, what is reached.

    And k exponents of the first ``counted`` networks at the last multiple, (counted, k).
    """
    net = tl.Perceptron(4, (width,) * depth, 3, activation=activation, loss=loss)
    task = tl.iris(split_seed=0).standardised()
    start = net.init(networks, seed=seed, scheme="glorot")
    s0 = tl.sharpness(tl.GradientDescent(net, task, lr=1.0), start, method="lanczos", tolerance=1e-4)
    lr, tiled = np.concatenate([2 * m / s0 for m in multiples]), np.tile(start, (len(multiples), 1))
    gd = tl.GradientDescent(net, task, lr=lr)
    shape, ratios = (len(multiples), networks), []

    def gone(w: np.ndarray) -> np.ndarray:
        return ~(np.isfinite(w).all(axis=1) & (np.abs(w).max(axis=1) < 1e100))

    with np.errstate(over="ignore", invalid="ignore"):
        early = tl.train(gd, tiled, steps - late, record=("loss",), every=steps - late).final
        left = gone(early)
        early = np.where(left[:, None], tiled, early)  # stands in for what has left, and is not kept
        spectrum = tl.lyapunov_spectrum(gd, early, late, k=1)
        w = early
        for i in range(moments):
            w = tl.train(gd, w, late // moments - 1, record=("loss",), every=late // moments - 1).final if i else w
            pair = np.stack([w, gd(w)])
            left |= gone(pair[0]) | gone(pair[1])
            pair = np.where(left[:, None], tiled, pair)
            sharp = tl.sharpness(gd, pair, method="lanczos", tolerance=1e-2, iterations=200)
            ratios.append(sharp.mean(axis=0) * lr / 2)
            w = pair[1]
        left |= gone(spectrum.final)
        found = {
            "exponent": np.where(left, np.nan, spectrum.exponents[:, 0]).reshape(shape),
            "error": np.where(left, np.nan, spectrum.standard_error[:, 0]).reshape(shape),
            "resolved": (spectrum.resolved[:, 0] & ~left).reshape(shape),
            "converged": (spectrum.converged & ~left).reshape(shape),
            "left": left.reshape(shape),
            "ratio": np.where(left[:, None], np.nan, np.stack(ratios, axis=-1)).reshape(*shape, moments),
            "loss": gd.loss(spectrum.final).reshape(shape),
            "accuracy": gd.accuracy(spectrum.final).reshape(shape),
        }
    if counted:
        some = slice((len(multiples) - 1) * networks, (len(multiples) - 1) * networks + counted)
        many = tl.lyapunov_spectrum(tl.GradientDescent(net, task, lr=lr[some]), early[some], late, k=k)
        found |= {"exponents": many.exponents, "errors": many.standard_error, "all_converged": many.converged}
    return found | {"start": s0, "multiples": np.array(multiples)}


def edge_rates_raw(
    limits: list[float], splits: list[int], networks: int, early: int, late: int, moments: int, seed: int
) -> dict:
    """The network of chapters 1 to 3, flowers in cm, over rates 2 / limit: for each (limit, split, network) exponent, error, ratio.

    Added when cells on standardised features had shown no chaos at the edge: chapter 2 finds chaos, in runs from their first step on.
    """
    net, found = tl.Perceptron(4, 10, 3), {key: [] for key in ("exponent", "error", "converged", "ratio", "first")}
    w0 = net.init(networks, seed=seed)
    for limit in limits:
        for split in splits:
            gd = tl.GradientDescent(net, tl.iris(split_seed=split), lr=2 / limit)
            found["first"].append(tl.lyapunov_spectrum(gd, w0, 200, k=1).exponents[:, 0])
            w = tl.train(gd, w0, early, record=("loss",), every=early).final
            spectrum = tl.lyapunov_spectrum(gd, w, late, k=1)
            found["exponent"].append(spectrum.exponents[:, 0])
            found["error"].append(spectrum.standard_error[:, 0])
            found["converged"].append(spectrum.converged)
            found["ratio"].append(edges.follow_edge(gd, w, late, moments=moments).ratio)
    shape = len(limits), len(splits), networks
    return {key: np.array(of).reshape(*shape, *np.shape(of)[2:]) for key, of in found.items()} | {
        "limits": np.array(limits)
    }


VARIED = {"longer": {"steps": 6000, "late": 4000}, "seed": {"seed": 1}}


def named(compute, name: str):
    """A computation under the name of its cell; its source is still that of ``compute``."""

    @functools.wraps(compute)
    def cell(**settings):
        return compute(**settings)

    cell.__name__ = name
    return cell


def main(seconds: float = np.inf) -> None:
    began, folder = time.monotonic(), ROOT / "data" / "findings"
    shared = {
        "multiples": [0.5, 1.0, 2.0],
        "networks": 8,
        "steps": 1500,
        "late": 1000,
        "moments": 10,
        "k": 12,
        "seed": 0,
    }
    rates = {"limits": [8.0, 5.0, 3.0, 2.0, 1.5, 1.0], "splits": [0, 1, 2], "networks": 16}
    findings.make(folder, edge_rates_raw, rates | {"early": 2000, "late": 2000, "moments": 10, "seed": 0})
    for depth, width, activation in CELLS:
        for loss, short in LOSSES.items():
            counted = 4 if (depth, activation, loss) == (2, "tanh", "cross_entropy") and width <= 32 else 0
            if time.monotonic() - began < seconds:
                cell = {"depth": depth, "width": width, "activation": activation, "loss": loss, "counted": counted}
                findings.make(
                    folder, named(edge_network, f"edge_network_{depth}x{width}_{activation}_{short}"), cell | shared
                )
    for loss, short in LOSSES.items():  # what was held fixed: the length of runs, the seed
        cell = {"depth": 2, "width": 32, "activation": "tanh", "loss": loss, "counted": 0}
        for name, other in VARIED.items():
            if time.monotonic() - began < seconds:
                findings.make(folder, named(edge_network, f"edge_varied_{short}_{name}"), cell | shared | other)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
