"""Does the beginning of a run tell its end, at the edge of stability, in deeper networks that classify?

All of this was fixed before anything was looked at. Four-layer perceptrons, 4-4-4-4-3 with 75 weights from N(0, 1), tanh and ReLU, learn
Iris (standardised, cross entropy) by gradient descent on all flowers, 1,000 steps, at a rate of 0.1 and of 1; 300 networks of each kind
and seed, two seeds. A run ends well if its final loss is in the better half of its kind, as chapter 5 has it for classification. At steps
15 and 60, boosted trees in three folds read one kind of indicator: the finite-time exponents of all 75 vectors; the growth rates of the
covariant vectors of the frozen Jacobian; the four baselines (loss, gradient norm, sharpness, weight norm); the weights; the loss alone by
itself; and, as a null, the exponents with outcomes that are shuffled. Areas under the ROC curve with 95 % intervals, and the gain of
exponents over the better of baselines and loss.

An indicator *predicts* if its interval is above 0.5 in both seeds, and *gains* if that of the difference is above 0 in both. The null must
not predict; if it does, something is wrong.

edge_prediction.py [seconds]     # data/findings/edge_prediction_*; those that are there already are not made again
"""

import functools
import sys
import time
from pathlib import Path

import numpy as np
from prediction import compared, event_of, logarithms, weights_at

import trajlib as tl
from trajlib.companion import findings
from trajlib.prediction import predict_with_trees

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("exponents", "vectors", "baselines", "weights", "loss")


def edge_prediction(
    activation: str, lr: float, seed: int, networks: int, steps: int, at: list[int], folds: int
) -> dict:
    """For each step: areas (value, lower, upper) of each kind of indicator, of the null, and the gains over baselines and weights."""
    net = tl.Perceptron(4, (4, 4, 4), 3, activation=activation, loss="cross_entropy")
    gd = tl.GradientDescent(net, tl.iris(split_seed=seed).standardised(), lr=lr)
    w0 = net.init(networks, seed=seed, scheme="normal")
    last = tl.train(gd, w0, steps, every=steps, record=("weights",)).weights[:, -1]
    final = gd.loss(last)
    event, _ = event_of(final, None)
    ftle = tl.finite_time_exponents(gd, w0, at[-1], at=at, seed=seed).exponents
    frozen = tl.present_vectors(gd, w0, at, method="frozen", seed=seed).growth
    w = weights_at(gd, w0, at)
    base = logarithms(gd, w)
    shuffled = np.random.default_rng(seed).permutation(event)
    auc, gain, null = [], [], []
    for m in range(len(at)):
        sets = {"exponents": ftle[:, m], "vectors": frozen[:, m], "baselines": base[:, m], "weights": w[:, m]}
        got = compared(sets, event, folds, seed, NAMES)
        area = predict_with_trees(np.ascontiguousarray(ftle[:, m]), shuffled, folds=folds, seed=seed).auc
        auc.append(got["auc"])
        gain.append(got["gain"])
        null.append([float(area.value), float(area.lower), float(area.upper)])
    accuracy = [gd.accuracy(last[kind], "train").mean() for kind in (event, ~event)]
    return {"names": np.array(NAMES), "at": np.array(at), "auc": np.array(auc), "gain": np.array(gain), "null": np.array(null),
            "accuracy": np.array(accuracy), "final": final}  # fmt: skip


def named(name: str):
    """The computation under the name of its cell; its source is still that of ``edge_prediction``."""

    @functools.wraps(edge_prediction)
    def cell(**settings):
        return edge_prediction(**settings)

    cell.__name__ = name
    return cell


def main(seconds: float = np.inf) -> None:
    began, folder = time.monotonic(), ROOT / "data" / "findings"
    shared = {"networks": 300, "steps": 1000, "at": [15, 60], "folds": 3}
    for seed in (0, 1):
        for activation in ("tanh", "relu"):
            for lr in (0.1, 1.0):
                if time.monotonic() - began < seconds:
                    name = f"edge_prediction_{activation}_{str(lr).replace('.', '')}_{seed}"
                    findings.make(folder, named(name), {"activation": activation, "lr": lr, "seed": seed} | shared)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
