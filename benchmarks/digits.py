"""The digits design of the chapter on scalar embedding: trajlib against the usual PyTorch loop and against batched PyTorch.

64-8-10 networks (tanh, cross entropy, full batch of 1,437 images) at a learning rate where training is not chaotic, so that all
sides can be checked against each other; the cost of a step does not depend on it. The loop is timed on a sample of the networks.
Run as a script, this writes data/benchmarks/digits.json.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import numpy as np
from _timing import interleaved, spread, write
from training import pytorch_batched, pytorch_loop, trajlib_fused

import trajlib as tl

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "digits.json"
DESIGN, ROUNDS, TOLERANCE = 16 * 50 * 6 * 200, 5, 1e-9  # network steps of the whole design


def with_records(gd, w0, steps):
    """As the chapter runs it: references and copies, all weights kept, losses and test accuracies of all."""
    record = ("weights", "loss", "test_accuracy")
    return tl.diverge(gd, w0, radius=1e-8, copies=5, steps=steps, record=record, progress=False)


SIDES = {  # name: what it is, the call, networks in a call, of these initial conditions, steps
    "trajlib": ("trajlib, losses only", trajlib_fused, 300, 300, 200),
    "trajlib_records": ("trajlib, all that the chapter keeps", with_records, 300, 50, 200),
    "pytorch_loop": ("PyTorch, the usual loop", pytorch_loop, 5, 5, 200),
    "pytorch_batched": ("PyTorch, batched, blocks of 10", partial(pytorch_batched, block=10), 60, 60, 40),
}


def main() -> None:
    began = time.perf_counter()
    gd = tl.GradientDescent(tl.Perceptron(64, 8, 10, activation="tanh"), tl.digits(), lr=0.1)
    w0 = gd.network.init(300, seed=0)
    expected = trajlib_fused(gd, w0[:3], 20)[0]
    off = {name: float(np.abs(SIDES[name][1](gd, w0[:3], 20)[0] - expected).max()) for name in SIDES if "py" in name}
    if not max(off.values()) < TOLERANCE:
        raise SystemExit(f"the implementations do not compute the same thing: {off}")
    calls = {name: partial(call, gd, w0[:starts], steps) for name, (_, call, _, starts, steps) in SIDES.items()}
    timed = interleaved(calls, ROUNDS)
    us = {name: 1e6 * timed[name][:, 0] / (networks * steps) for name, (*_, networks, _, steps) in SIDES.items()}
    results = {
        name: {
            "label": label,
            "us_per_network_step": spread(us[name]),
            "times_trajlib": spread(us[name] / us["trajlib"]),
            "design_seconds": spread(us[name] * DESIGN / 1e6),
            "cores_busy": spread(timed[name][:, 1]),
        }
        for name, (label, *_) in SIDES.items()
    }
    print(json.dumps(results, indent=1))
    setting = "64-8-10, tanh, cross entropy, 1,437 images, float64; the design: 960,000 network steps"
    write(OUTPUT, {"largest_difference": off, "sides": results}, setting=setting, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
