"""Does the beginning of a run tell its end, at the edge of stability, in deeper networks that classify?

All of this was fixed before any prediction was looked at. Four-layer perceptrons, 4-4-4-4-3 with 75 weights from N(0, 1), tanh and ReLU,
learn Iris (standardised, cross entropy) by gradient descent on all flowers, 1,000 steps; 300 networks of each kind and seed, two seeds (of
weights, split and folds). Rates are 1/8, 1/4 and 1 times 2/s0, s0 being the median sharpness of the kind at its start. They were chosen by
the sharpness alone, of 60 networks with a seed that is not used here, from 1/32 to 8 times 2/s0 by factors of 2: at 1/8 no more than one
network in fifty gets to the edge, 1/4 is the first rate at which most do with tanh, and 1 the first at which most do with ReLU.

- *at the edge* is a fact of a run, not of its rate: the mean of sharpness * lr / 2 at ten moments of the second half, each the mean of two
  consecutive steps, is within 0.8 to 1.2, as in edge_networks.py. Also kept: at how many of the moments it is above 0.8, and above 1.
- *ends well*: the final loss is in the better half of its kind and rate, as chapter 5 has it for classification.
- At steps 15 and 60 boosted trees in three folds read one kind of indicator: the finite-time exponents of all 75 vectors; the growth
  rates of the first 15 covariant vectors of the frozen Jacobian (all 75 would take longer than everything else); the four baselines
  (loss, gradient norm, sharpness, weight norm); the weights; the loss alone by itself; and, as a null, the exponents with outcomes that
  are shuffled. Areas under the ROC curve with 95 % intervals, and the gain of exponents over the better of baselines and loss, and over
  the weights.
- The same among the runs at the edge alone, with the better half of these, where more than half of the runs are there.

An indicator *predicts* if its interval is above 0.5 in both seeds, and *gains* if that of the difference is above 0 in both. The null must
not predict; if it does, something is wrong.

When this had been looked at: with ReLU 46 and 47 % of the runs are at the edge at the highest rate, with tanh less than half in one seed.
So nothing was asked of the runs at the edge alone there, and many intervals were too wide to tell. Varied then, at rates of 1/4 and 1:
``more``, 600 networks with other initial weights (seeds 2 and 3) on the same two splits, and the runs at the edge asked where more than a
quarter of all are; ``split``, seeds 2 and 3 with splits 2 and 3; ``third``, the better third ends well; ``later``, prediction at step 200;
``squared``, the mean squared error. The last three with the first two seeds. (``more`` was begun on split 2: all flowers are learnt there,
and no tanh network of 600 is at the edge. So splits were told from initial weights.)

edge_prediction.py [seconds]     # data/findings/edge_prediction_*; those that are there already are not made again
"""

import functools
import sys
import time
from pathlib import Path

import numpy as np
from edge_networks import named
from prediction import compared, logarithms, weights_at

import trajlib as tl
from trajlib.companion import edges, findings
from trajlib.prediction import predict_with_trees

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("exponents", "vectors", "baselines", "weights", "loss")
LEADING = 15
"""Covariant vectors."""
FEWEST = 30
"""Runs that must end well, and as many that must not, for a prediction to be asked."""


def ended_well(final: np.ndarray, outcome: str | float) -> np.ndarray:
    """Which runs end well: those in the better "half" or "third" by final loss (n,), or below a loss; what is not finite does not."""
    end = np.where(np.isfinite(final), final, np.inf)
    if isinstance(outcome, str):
        outcome = np.sort(end)[round(len(end) * {"half": 1 / 2, "third": 1 / 3}[outcome])]
    return end < outcome


def foretold(sets: dict[str, np.ndarray], event: np.ndarray, folds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Areas (5 kinds and the null, 3) and gains over the best baseline and the weights (2, 3), each value, lower, upper.

    nan where fewer than ``FEWEST`` runs end well, or badly.
    """
    if min(event.sum(), (~event).sum()) < FEWEST:
        return np.full((len(NAMES) + 1, 3), np.nan), np.full((2, 3), np.nan)
    got = compared(sets, event, folds, seed, NAMES)
    shuffled = np.random.default_rng(seed).permutation(event)
    null = predict_with_trees(np.ascontiguousarray(sets["exponents"]), shuffled, folds=folds, seed=seed).auc
    return np.vstack([got["auc"], [[null.value, null.lower, null.upper]]]), got["gain"]


def edge_prediction(
    activation: str, seed: int, split: int, multiples: list[float], networks: int, steps: int, moments: int, at: list[int],
    folds: int, outcome: str | float, loss: str, most: float,
) -> dict:  # fmt: skip
    """For each multiple of 2/s0: where its runs are, how they end, and at each step areas and gains, of all of them and at the edge.

    ``places`` are the numbers of runs below, at and above the edge, and of those at the edge that end well.
    """
    net = tl.Perceptron(4, (4, 4, 4), 3, activation=activation, loss=loss)
    task = tl.iris(split_seed=split).standardised()
    w0 = net.init(networks, seed=seed, scheme="normal")
    s0 = float(np.median(tl.sharpness(tl.GradientDescent(net, task, lr=1.0), w0)))
    shape = len(multiples), networks
    ratio, final = (np.full(shape, np.nan, dtype=np.float32) for _ in range(2))
    places, accuracy = np.zeros((len(multiples), 4), dtype=int), np.full((len(multiples), 2), np.nan)
    share = np.zeros((*shape, 2), dtype=np.int8)
    auc = np.full((len(multiples), 2, len(at), len(NAMES) + 1, 3), np.nan)
    gain = np.full((*auc.shape[:3], 2, 3), np.nan)
    for i, multiple in enumerate(multiples):
        gd = tl.GradientDescent(net, task, lr=2 * multiple / s0)
        with np.errstate(over="ignore", invalid="ignore"):
            half, last = (weights_at(gd, w0, [n])[:, 0] for n in (steps // 2, steps))
            ratios = edges.follow_edge(gd, half, steps - steps // 2, moments=moments).ratio
            final[i], right = gd.loss(last), gd.accuracy(last, "train")
            ratio[i], share[i] = ratios.mean(axis=1), np.stack([(ratios > b).sum(axis=1) for b in (0.8, 1.0)], axis=1)
            ftle = tl.finite_time_exponents(gd, w0, at[-1], at=at, seed=seed).exponents
            frozen = tl.present_vectors(gd, w0, at, method="frozen", k=LEADING, seed=seed).growth
            w = weights_at(gd, w0, at)
            base = logarithms(gd, w)
        there, well = np.abs(ratio[i] - 1) <= edges.AT, ended_well(final[i], outcome)
        places[i] = [
            (ratio[i] < 1 - edges.AT).sum(),
            there.sum(),
            (ratio[i] > 1 + edges.AT).sum(),
            (there & well).sum(),
        ]
        accuracy[i] = [right[kind].mean() for kind in (well, ~well)]
        for g, group in enumerate((np.ones(networks, dtype=bool), there)):
            if group.mean() > most:
                event = ended_well(final[i, group], outcome)
                for m in range(len(at)):
                    sets = {
                        "exponents": ftle[:, m],
                        "vectors": frozen[:, m],
                        "baselines": base[:, m],
                        "weights": w[:, m],
                    }
                    auc[i, g, m], gain[i, g, m] = foretold({k: x[group] for k, x in sets.items()}, event, folds, seed)
    return {
        "names": np.array([*NAMES, "null"]), "at": np.array(at), "multiples": np.array(multiples), "start": s0, "places": places,
        "accuracy": accuracy, "auc": auc.astype(np.float32), "gain": gain.astype(np.float32), "ratio": ratio,
        "share": share, "final": final,
    }  # fmt: skip


@functools.wraps(edge_prediction)
def small(**settings):
    """A cell without what is there for each network."""
    found = edge_prediction(**settings)
    return {key: value for key, value in found.items() if key not in ("ratio", "share", "final")}


VARIED = {
    "more": {"networks": 600, "most": 0.25},
    "split": {},
    "third": {"outcome": "third"},
    "later": {"at": [200]},
    "squared": {"loss": "mean_squared_error"},
}
SEEDS = {"more": ((2, 0), (3, 1)), "split": ((2, 2), (3, 3))}
"""Seed and split, where they are not 0 and 0, or 1 and 1."""


def main(seconds: float = np.inf) -> None:
    began, folder = time.monotonic(), ROOT / "data" / "findings"
    shared = {
        "multiples": [0.125, 0.25, 1.0],
        "networks": 300,
        "steps": 1000,
        "moments": 10,
        "at": [15, 60],
        "folds": 3,
        "outcome": "half",
        "loss": "cross_entropy",
        "most": 0.5,
    }
    cells = {"edge_prediction": {}}
    cells |= {f"edge_varied_prediction_{name}": {"multiples": [0.25, 1.0]} | other for name, other in VARIED.items()}
    for name, other in cells.items():
        for seed, split in SEEDS.get(name.rpartition("_")[2], ((0, 0), (1, 1))):
            for activation in ("tanh", "relu"):
                if time.monotonic() - began < seconds:
                    settings = shared | {"activation": activation, "seed": seed, "split": split} | other
                    compute = small if "varied" in name else edge_prediction
                    findings.make(folder, named(compute, f"{name}_{activation}_{seed}"), settings)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
