"""The pairing law of heavy ball, and where it must fail: singular values of the product of Jacobians, in pairs from both ends.

The Jacobian J of a heavy-ball step in (weights, memory) obeys J' Ω J = β Ω, whatever the loss, the batch and the rate
(book/any-network.md), so after t steps ln s_i + ln s_(2P + 1 - i) = t ln β for every i; with decoupled decay d it is t ln(β (1 - lr d)).
What is kept is the largest deviation over i. The other rules obey no such law. They are given the best chance that one number can give:
the mean of their own pairs in place of t ln β. (Adam's states have 3 P numbers; the middle one has no partner.)

Fixed beforehand: a setup obeys the law at step t if the largest deviation is below 1e-6. Rounding should be far below that, and a law that
fails should fail by far more.

pairing.py     # data/findings/pairing_*; those that are there already are not made again
"""

from pathlib import Path

import numpy as np

import trajlib as tl
from trajlib.companion import findings

ROOT = Path(__file__).resolve().parents[2]
SETUPS = {
    "heavy ball": {},
    "β = 0.5": {"momentum": 0.5},
    "β = 0.99": {"momentum": 0.99},
    "lr = 0.02": {"lr": 0.02},
    "lr = 0.5": {"lr": 0.5},
    "minibatches of 10": {"batch_size": 10},
    "schedule": {"lr": "cosine"},
    "weight decay 0.01": {"weight_decay": 0.01},
    "ReLU": {"activation": "relu"},
    "split 1": {"split": 1},
    "decoupled decay 0.1": {"weight_decay": 0.1, "decoupled_weight_decay": True},
    "Nesterov": {"nesterov": True},
    "RMSProp": {"rule": "RMSProp", "lr": 0.01},
    "Adam": {"rule": "Adam", "lr": 0.01},
}


def training(rule="heavy ball", lr=0.1, momentum=0.9, activation="sigmoid", split=0, **options):
    """The training map of a setup: the 4-10-3 network on Iris."""
    net, task = tl.Perceptron(4, 10, 3, activation=activation), tl.iris(split_seed=split)
    if lr == "cosine":
        lr = tl.schedules.cosine(0.2, steps=100)
    if rule == "heavy ball":
        return tl.GradientDescent(net, task, lr=lr, momentum=momentum, **options)
    return getattr(tl, rule)(net, task, lr=lr, **options)


def deviation(logs: np.ndarray, centre: float | None = None) -> np.ndarray:
    """Largest deviation of the sums ln s_i + ln s_(n+1-i) from ``centre``, or from their mean; logs (..., n), in any order."""
    logs = np.sort(logs, axis=-1)
    half = logs.shape[-1] // 2
    sums = logs[..., :half] + logs[..., ::-1][..., :half]
    return np.abs(sums - (sums.mean(axis=-1, keepdims=True) if centre is None else centre)).max(axis=-1)


def pairing_of_singular_values(setups: list[str], networks: int, at: list[int], seed: int) -> dict:
    """For each (setup, network, step): the largest deviation of the sums of pairs, and the spread of the logarithms, largest less least."""
    off, spread = [], []
    for name in setups:
        options = {"momentum": 0.9} | SETUPS[name]
        gd = training(**options)
        w0 = gd.network.init(networks, seed=seed)
        # Adam and RMSProp divide by memory, which after a first step is not empty
        state = tl.train(gd, w0, 20).final_state
        run = tl.finite_time_exponents(gd, state, at[-1], at=at, singular_values=True, start=20)
        logs = run.singular_exponents * run.times[:, None]
        lawful = "rule" not in options and "nesterov" not in options
        factor = options["momentum"] * (1 - gd.lr * gd.weight_decay if gd.decoupled_weight_decay else 1.0)
        off.append([deviation(logs[:, i], t * np.log(factor) if lawful else None) for i, t in enumerate(at)])
        spread.append(np.ptp(logs, axis=-1))
    return {
        "at": np.array(at),
        "setups": np.array(setups),
        "off": np.array(off).swapaxes(1, 2),
        "spread": np.array(spread),
    }


def main() -> None:
    folder = ROOT / "data" / "findings"
    findings.make(
        folder,
        pairing_of_singular_values,
        {"setups": list(SETUPS), "networks": 6, "at": [1, 3, 10, 30, 100], "seed": 0},
    )


if __name__ == "__main__":
    main()
