"""Golden runs: SHA-256 digests of final weights after long chaotic trajectories, the same on every machine.

``check()`` computes them again, in a second or two. Where a digest differs, some operation on the way was not the IEEE operation that the
library asked for, and no chaotic trajectory printed in the book can be expected to come out again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from .. import dynamics
from .._files import data_file
from ..dynamics import SoftmaxMap
from ..dynamics.descent import Training
from ..ensembles import train
from ..models.perceptron import Perceptron
from ..results import Result
from ..tasks import small as tasks

__all__ = ["GoldenRun", "check", "digest", "load"]


@dataclass(frozen=True)
class GoldenRun(Result, axes={"": "name initial final"}):
    """One run and the digests it must have.

    Attributes
    ----------
    name : str
        What is run.
    run : dict
        task, split_seed, init_seed, networks, steps, and sizes, activation, loss, lr, weight_decay of a network, or kappa of the softmax
        map with the task's class proportions. Where it is not gradient descent on all samples: optimiser, the name of its class, and what
        that is given in options.
    initial, final : str
        SHA-256 of the initial weights and of the final state, weights and memory.
    """

    name: str
    run: dict
    initial: str
    final: str


def digest(weights: np.ndarray) -> str:
    """SHA-256 of float64 weights, little endian, in C order."""
    return hashlib.sha256(np.ascontiguousarray(weights, dtype="<f8").tobytes()).hexdigest()


def load() -> tuple[GoldenRun, ...]:
    """The committed golden runs (data/golden.json)."""
    return tuple(GoldenRun(**entry) for entry in json.loads(data_file("golden.json").read_text(encoding="utf-8")))


def initial(run: dict) -> tuple[Training | SoftmaxMap, np.ndarray]:
    """The map and the initial conditions of a golden run."""
    task = getattr(tasks, run["task"])(split_seed=run["split_seed"])
    if "kappa" in run:
        reduced = SoftmaxMap(run["kappa"], task.proportions)
        return reduced, reduced.init(run["networks"], seed=run["init_seed"])
    inputs, *hidden, outputs = run["sizes"]
    net = Perceptron(inputs, tuple(hidden), outputs, activation=run["activation"], loss=run["loss"])
    optimiser = getattr(dynamics, run.get("optimiser", "GradientDescent"))
    gd = optimiser(net, task, lr=run["lr"], weight_decay=run["weight_decay"], **run.get("options", {}))
    return gd, net.init(run["networks"], seed=run["init_seed"])


def check(*, threads: int | None = None, engine: str = "cpu") -> dict[str, bool]:
    """Compute every golden run again.

    Parameters
    ----------
    threads : int, optional
        Threads of the fused engine.
    engine : {"cpu", "cuda"}
        What computes them: the fused engine, or its twin on a GPU.

    Returns
    -------
    dict of str to bool
        For each run, whether the final weights have the committed digest.
    """
    outcome = {}
    for golden in load():
        gd, w0 = initial(golden.run)
        final = np.asarray(train(gd, w0, golden.run["steps"], record=(), engine=engine, threads=threads).final_state)
        outcome[golden.name] = digest(w0) == golden.initial and digest(final) == golden.final
    return outcome
