"""Whether a GPU is faster: its pace is measured once, and kept in the user's cache folder; then a run's time is an estimate of a line.

A network alone on a card waits for itself, and a card that is full does so many operations a second. Most cards are built for single
precision: in double precision they are often no faster than a processor, and then the processor is taken.
"""

from __future__ import annotations

import json
import time
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..._files import write
from .. import Problem, n_threads

__all__ = ["Pace", "estimate", "gains", "pace", "reason"]

START = 3.0
"""Seconds for the compiler and the first contact with a card."""
MARGIN = 0.8
"""Share of the processor's time that a GPU has to stay below to be taken."""
VERSION = 1


class Pace(NamedTuple):
    """How fast a card is.

    Attributes
    ----------
    alone : float
        Seconds for each operation of a step, where a network has the card for itself.
    full : float
        Seconds for each operation of a step and network, where the card is full.
    launch : float
        Seconds for a launch that has next to nothing to do.
    """

    alone: float
    full: float
    launch: float


def operations(problem: Problem) -> float:
    """Multiply-adds of a step of one network, about."""
    seen = len(problem.x) if problem.batches is None else problem.batches.size
    return seen * (3 * problem.n_parameters + 30 * sum(problem.sizes[1:]))


def estimate(problem: Problem, networks: int, vectors: int, steps: int, card: Pace) -> float:
    """Seconds on a card: ``networks`` in all, copies included, and tangent vectors, of which each takes as long as two networks."""
    rows, each = networks + 2 * vectors, operations(problem)
    launches = 3 if vectors else 0.01  # copies go many steps in one
    return START + steps * (max(card.alone * each, card.full * each * rows) + launches * card.launch)


def on_cpu(problem: Problem, networks: int, vectors: int, steps: int, threads: int) -> float:
    """Seconds of the fused engine."""
    from ..fused.cpu import SECONDS_PER_OPERATION
    from ..fused.lanes import LANES

    rows = -(-networks // LANES) * LANES + 2 * vectors
    return steps * rows * operations(problem) * SECONDS_PER_OPERATION / threads


def gains(problem: Problem, networks: int, vectors: int, steps: int, threads: int | None, device: Any) -> bool:
    """Whether a card is expected to be faster than this machine's processor."""
    least = on_cpu(problem, networks, vectors, steps, n_threads(threads))
    return least > START and estimate(problem, networks, vectors, steps, pace(device)) < MARGIN * least


def reason(problem: Problem, networks: int, vectors: int, steps: int, threads: int, device: Any) -> str:
    """In words, what the other one would have taken."""
    cpu = on_cpu(problem, networks, vectors, steps, threads)
    if cpu <= START:
        return f"{device.name} is for longer runs"
    ratio = estimate(problem, networks, vectors, steps, pace(device)) / cpu
    return f"expected of {device.name}: {ratio:.2g} times the processor's time"


def pace(device: Any) -> Pace:
    """The pace of a card: measured by short runs once, then read from the cache folder."""
    return _pace(device)


@cache
def _pace(device: Any) -> Pace:
    from ...tasks.mnist import cache_folder

    key = "".join(c if c.isalnum() else "-" for c in f"{device.name}-{VERSION}")
    path = cache_folder() / f"pace-{key}.json"
    try:
        return Pace(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        found = measure(device)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, json.dumps(found._asdict()).encode())
    except OSError:  # a folder that cannot be written to: measured anew in the next process
        pass
    return found


def measure(device: Any, steps: int = 50) -> Pace:
    """Time one network, and as many as fill the card."""
    from ...dynamics.descent import GradientDescent
    from ...models.perceptron import Perceptron
    from ...tasks.small import iris
    from .run import CudaRun

    problem = GradientDescent(Perceptron(4, 10, 3), iris(), lr=0.1).problem
    taken = {}
    many = max(64, int(device.operations_per_second / 1e9) * 16)
    for n, count in ((1, 1), (1, steps), (many, steps)):
        run = CudaRun(
            problem,
            np.zeros((n, problem.n_parameters)),
            None,
            steps=2 * count,
            every=2 * count,
            record=frozenset(),
            on=device,
        )
        run.prepare()
        run.advance(0, count, False)  # the first launch loads the kernel
        began = time.perf_counter()
        run.advance(count, 2 * count, False)
        taken[n, count] = time.perf_counter() - began
    each = operations(problem)
    return Pace(taken[1, steps] / steps / each, taken[many, steps] / steps / each / many, taken[1, 1])
