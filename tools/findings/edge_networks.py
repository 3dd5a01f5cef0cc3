"""Is there chaos at the edge of stability? Largest exponent beside sharpness, over depth, width, activation and loss.

All of this was fixed before anything was run. Every network learns Iris with standardised features (120 flowers, all of them at each
step), from Glorot's initial weights. The rate is set by the sharpness s0 of each network at its start: lr = m * 2 / s0 with m = 0.5, 1
and 2, below, at and beyond the limit. Runs have 1,500 steps. Over the last 1,000, in 20 blocks: the largest exponent per step with its
standard error and the flags ``resolved`` and ``converged``; and at 10 moments, each the mean of two consecutive steps, the sharpness
times lr / 2.

- *at the edge*: the mean of sharpness * lr / 2 is between 0.8 and 1.2; *below* under 0.8, *above* over 1.2;
- *chaotic*: the exponent is above 0.01 a step, as in chapters 2 and 7, by two standard errors;
- *expanding*: it is above 0 by two standard errors, however little;
- *left*: the run has left the range of float64; it counts as neither.

Cells: depth 1, 2, 4, 6 at width 32 for tanh, ReLU and GELU; widths 8, 16 and 64 at depth 2 for tanh; each with cross entropy and the mean
squared error. Four networks at each m.

edge_networks.py [seconds]     # data/findings/edge_network_*; those that are there already are not made again; begins none after so long
"""

import functools
import sys
import time
from pathlib import Path

import numpy as np

import trajlib as tl
from trajlib.companion import findings
from trajlib.dynamics.module import as_module

ROOT = Path(__file__).resolve().parents[2]
CELLS = [(1, 32, "tanh"), (2, 32, "tanh"), (4, 32, "tanh"), (2, 8, "tanh"), (2, 32, "relu"), (2, 32, "gelu"), (2, 16, "tanh"),
         (1, 32, "relu"), (4, 32, "relu"), (1, 32, "gelu"), (4, 32, "gelu"), (2, 64, "tanh"), (6, 32, "tanh"), (6, 32, "relu"),
         (6, 32, "gelu")]  # fmt: skip
LOSSES = {"cross_entropy": "ce", "mean_squared_error": "mse"}


def edge_network(
    depth: int, width: int, activation: str, loss: str, multiples: list[float], networks: int, steps: int, late: int, moments: int,
    k: int, seed: int,
) -> dict:  # fmt: skip
    """For each (multiple, network): exponents with errors and flags, sharpness over the limit at the moments, what is reached."""
    net = tl.Perceptron(4, (width,) * depth, 3, activation=activation, loss=loss)
    task, module = tl.iris(split_seed=0).standardised(), as_module(net)
    start = net.init(networks, seed=seed, scheme="glorot")
    s0 = tl.sharpness(tl.GradientDescent(module, task, lr=1.0), start, method="lanczos", tolerance=1e-4)
    lr = np.concatenate([2 * m / s0 for m in multiples])
    gd = tl.GradientDescent(module, task, lr=lr)
    w, ratios = np.tile(start, (len(multiples), 1)), []
    w = tl.train(gd, w, steps - late, record=("loss",), every=steps - late).final
    spectrum = tl.lyapunov_spectrum(gd, w, late, k=k)
    for i in range(moments):
        w = tl.train(gd, w, late // moments - 1, record=("loss",), every=late // moments - 1).final if i else w
        pair, fine = np.stack([w, gd(w)]), np.isfinite(w).all(axis=1) & (np.abs(w).max(axis=1) < 1e100)
        sharp = np.full(len(w), np.nan)
        for j in np.flatnonzero(fine & np.isfinite(pair[1]).all(axis=1)):
            sharp[j] = tl.sharpness(
                tl.GradientDescent(module, task, lr=1.0), pair[:, j], method="lanczos", tolerance=1e-2, iterations=100
            ).mean()
        ratios.append(sharp * lr / 2)
        w = pair[1]
    shape = len(multiples), networks
    with np.errstate(over="ignore", invalid="ignore"):
        found = {
            "exponents": spectrum.exponents.reshape(*shape, k),
            "errors": spectrum.standard_error.reshape(*shape, k),
            "resolved": spectrum.resolved.reshape(*shape, k),
            "converged": spectrum.converged.reshape(shape),
            "ratio": np.stack(ratios, axis=-1).reshape(*shape, moments),
            "loss": gd.loss(spectrum.final).reshape(shape),
            "accuracy": gd.accuracy(spectrum.final).reshape(shape),
        }
    return found | {"start": s0, "multiples": np.array(multiples)}


def named(name: str):
    """The computation under the name of its cell; its source is still that of ``edge_network``."""

    @functools.wraps(edge_network)
    def cell(**settings):
        return edge_network(**settings)

    cell.__name__ = name
    return cell


def main(seconds: float = np.inf) -> None:
    began, folder = time.monotonic(), ROOT / "data" / "findings"
    shared = {
        "multiples": [0.5, 1.0, 2.0],
        "networks": 4,
        "steps": 1500,
        "late": 1000,
        "moments": 10,
        "k": 1,
        "seed": 0,
    }
    for depth, width, activation in CELLS:
        for loss, short in LOSSES.items():
            if time.monotonic() - began < seconds:
                cell = {"depth": depth, "width": width, "activation": activation, "loss": loss}
                findings.make(folder, named(f"edge_network_{depth}x{width}_{activation}_{short}"), cell | shared)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
