"""How many samples networks label rightly: the forward pass of the fused engine alone, for many states at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...models.activations import ACTIVATIONS
from .. import Problem, n_threads
from ..threads import share_out
from . import samples
from .cpu import LOSS, aligned, compiled, padded_samples, places
from .lanes import LANES, lane_of


class Kind(NamedTuple):
    """What ``count`` is compiled for: the constants of its machine code, as in :class:`trajlib.engines.fused.cpu.Kind`."""

    sizes: tuple[int, ...]
    activation: str
    loss: str
    bias: bool
    scale: tuple[float, ...] | None
    blocks: tuple[int, int]


def right(
    problem: Problem, weights: np.ndarray, x: np.ndarray, labels: np.ndarray, threads: int | None = None
) -> np.ndarray:
    """How many of the samples x (samples, d) with ``labels`` (samples,) networks (n, p) have right, (n,); nan for outputs that overflow."""
    kind = Kind(
        problem.sizes, problem.activation, problem.loss, bool(problem.bias), problem.scale, samples.blocks(len(x), None)
    )
    layers, _, factors = places(*kind[:1], *kind[3:5])
    found, x_rows, y_rows = np.empty(len(weights)), padded_samples(x), padded_samples(labels[:, None])
    slots = samples.scratch_slots(problem.sizes) * samples.BLOCK * LANES

    def some(first: int, end: int) -> None:
        rows = slice(first * LANES, end * LANES)
        room = aligned((problem.n_parameters * LANES,)), aligned((slots,))
        arguments = (weights[rows], layers, factors, *room, x_rows, y_rows, len(x), found[rows])
        compiled(kind, lambda: build(kind), arguments)(*arguments)

    weights = np.ascontiguousarray(weights, dtype=np.float64)
    share_out(-(-len(weights) // LANES), n_threads(threads), some)
    return found


def build(kind: Kind):
    """``count`` for a kind; see :func:`trajlib.engines.fused.kernel.build`."""
    net = samples.constants(kind.sizes, kind.bias, kind.scale)
    flags = (
        ACTIVATIONS[kind.activation].code, LOSS[kind.loss], False, kind.bias, kind.scale is not None, len(kind.sizes) > 3,
    )  # fmt: skip
    hits = samples.build_hits(flags, *kind.blocks)
    size = sum((n_in + kind.bias) * n_out for n_in, n_out in zip(kind.sizes[:-1], kind.sizes[1:], strict=True))

    def count(states, layers, factors, group, scratch, x, y, n, found):
        """Into found (networks,), of states (networks, size), eight at a time; ``group`` and ``scratch`` are room for one such group."""
        for first in range(0, states.shape[0], LANES):
            lanes = min(LANES, states.shape[0] - first)
            for lane in range(LANES):
                row = first + min(lane, lanes - 1)
                for p in range(size):
                    group[p * LANES + lane] = states[row, p]
            total = hits(net, layers, factors, group, scratch, x, y, n)
            for lane in range(lanes):
                found[first + lane] = lane_of(total, lane)

    return count
