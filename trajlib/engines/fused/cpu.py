"""The fused CPU engine: prepares memory for the kernel, compiles it once for the sizes at hand, and runs it on threads.

Networks sit in vectors of eight (``lanes.LANES``); a group is a vector of references and the vectors of their copies. How networks are
grouped, and on how many threads they run, changes nothing in any network's result.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numba
import numpy as np

from ...models import activations
from ...models.cost import divisor as total_divisor
from ...optimisers import rules
from .. import Problem, machine_code, n_threads
from ..threads import share_out
from . import kernel, samples
from .lanes import LANES

LOSS = {
    "cross_entropy": samples.CROSS_ENTROPY,
    "half_squared_error": samples.SQUARED_ERROR,
    "mean_squared_error": samples.SQUARED_ERROR,
}
_compiling = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child of a process that compiles would wait for ever
    os.register_at_fork(
        before=_compiling.acquire, after_in_parent=_compiling.release, after_in_child=_compiling.release
    )
SECONDS_PER_OPERATION = 1.2e-10
"""Rough cost of one multiply-add of one network, to cut long runs into pieces short enough to stop."""


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros whose first byte lies on a cache line."""
    size = int(np.prod(shape))
    raw = np.zeros(size + 8)
    offset = (-raw.ctypes.data // 8) % 8
    return raw[offset : offset + size].reshape(shape)


def padded_samples(array: np.ndarray) -> np.ndarray:
    """(samples, columns) column by column, with room for a block behind: the kernel reads it whole."""
    return np.append(np.ascontiguousarray(array.T).ravel(), np.zeros(samples.BLOCK))


_kernels: dict[tuple, object] = {}


class Kind(NamedTuple):
    """What a kernel is compiled for: the constants of its machine code.

    Attributes
    ----------
    sizes, activation, loss, bias, scale
        Of the network.
    own, tangent : bool
        Whether targets are each network's own, and whether copies are tangent vectors.
    rule : str
        Of the table of rules.
    layered, batched : bool
        Whether each layer has a learning rate of its own, and whether there are minibatches.
    blocks : (int, int)
        Samples to a block, and to the last one.
    """

    sizes: tuple[int, ...]
    activation: str
    loss: str
    own: bool
    tangent: bool
    bias: bool
    scale: tuple[float, ...] | None
    rule: str
    layered: bool
    batched: bool
    blocks: tuple[int, int]


def compiled(kind: tuple, build: Callable[[], Callable], arguments: tuple):
    """The function of a kind, ``build()``, compiled; machine code comes from the disk cache where an earlier process left it."""
    if kind in _kernels:
        return _kernels[kind]
    with _compiling:
        if kind not in _kernels:
            signature = tuple(numba.typeof(a) for a in arguments)
            _kernels[kind] = machine_code.compiled(build(), signature, nogil=True, **machine_code.WITHOUT_COUNTS)
    return _kernels[kind]


def _kernel(kind: Kind, arguments: tuple):
    numbers = kind._replace(
        activation=activations.ACTIVATIONS[kind.activation].code,
        loss=LOSS[kind.loss],
        rule=rules.RULES[kind.rule].code,
    )
    return compiled(kind, lambda: kernel.build(*numbers), arguments)


@cache
def places(sizes: tuple[int, ...], bias: bool, scale: tuple[float, ...] | None) -> tuple[np.ndarray, ...]:
    """For each layer: where its parameters begin, where its units are in scratch, inputs, outputs; where its parameters end; its factor."""
    pairs = list(itertools.pairwise(sizes))
    ends = np.cumsum([(n + bias) * m for n, m in pairs])
    rows = [(ends[i] - (n + bias) * m, sum(sizes[1 : i + 1]), n, m) for i, (n, m) in enumerate(pairs)]
    return np.array(rows), ends, np.array(scale or (1.0,) * len(pairs))


@cache
def _per_sample(loss: str, outputs: int) -> float:
    """What a minibatch's size is multiplied by in its divisor; 0 where the divisor is 1 for any size."""
    one, two = (total_divisor(loss, n, outputs) for n in (1, 2))
    return two - one


class FusedRun:
    """One ensemble on its way: state in vector order, and the arrays that the kernel fills.

    Parameters are those of :func:`trajlib.engines.iterate`; ``record`` holds any of loss, norm, weights, distance, gradient, and
    copy_loss and copy_weights for the copies (snapshots then holds all weights). With ``tangent`` the copies are tangent vectors, and
    distance holds their L1 norms; they are made orthonormal after every ``interval``-th step, and growth holds the logarithms of the
    diagonal of R, summed over the steps up to each record; ``record`` may hold triangle then, for the matrices R (networks, steps /
    interval, copies, copies). Vectors that are ``orthonormal`` to begin with are not made so again: a run in stretches has the bits of one.
    """

    name = "cpu"

    def __init__(
        self,
        problem: Problem,
        reference,
        copies,
        *,
        steps,
        every,
        record,
        threads,
        snapshot=1,
        tangent=False,
        interval=0,
        orthonormal=False,
        start=0,
    ):
        self._n, size = reference.shape
        if size != problem.n_state:
            raise ValueError(f"states must have shape (n, {problem.n_state}), got {reference.shape}")
        problem = problem.rows((self._n,))
        n_copies = 0 if copies is None else copies.shape[1]
        self.threads = n_threads(threads)
        # few initial conditions with many copies fill the vectors better when each copy has a reference of its own beside it
        self._spread = (
            n_copies > 1
            and not interval
            and not any(name.startswith("copy_") for name in record)
            and -(-self._n * n_copies // LANES) * 2 < -(-self._n // LANES) * (1 + n_copies)
        )
        self._copies = n_copies
        lr = np.array([np.broadcast_to(rate, (self._n,)) for rate in problem.rates])
        targets = problem.targets
        if self._spread:
            reference = np.repeat(reference, n_copies, axis=0)
            lr = np.repeat(lr, n_copies, axis=1)
            targets = np.repeat(targets, n_copies, axis=0) if problem.own_targets else targets
            copies = copies.reshape(-1, 1, size)
        rows = len(reference)
        groups = max(1, -(-rows // LANES))
        depth = 1 if copies is None else 1 + copies.shape[1]
        self._size = size
        self._slots = size + max(1, n_copies if "triangle" in record else 1)
        self._state = aligned((groups, depth, self._slots * LANES))
        lanes = self._state.reshape(groups, depth, self._slots, LANES)[:, :, :size]
        rates = np.ones((len(lr), groups * LANES))
        rates[:, :rows] = lr
        self._rate = aligned((groups, len(lr) * LANES))
        self._rate.reshape(groups, len(lr), LANES)[...] = rates.reshape(len(lr), groups, LANES).swapaxes(0, 1)
        padded = np.zeros((groups * LANES, depth, size))
        padded[:rows, 0] = reference
        if copies is not None:
            padded[:rows, 1:] = copies
        lanes[...] = padded.reshape(groups, LANES, depth, size).transpose(0, 2, 3, 1)
        self._rows = rows
        records = steps // every + 1
        recorded = self._recorded = {name.removeprefix("copy_") for name in record}
        members = {name: depth if f"copy_{name}" in record else 1 for name in ("loss", "weights")}
        shape = {
            "loss": (rows, members["loss"], records),
            "norm": (rows, records),
            "weights": (rows, members["weights"], steps // snapshot + 1, size),
            "distance": (rows, depth - 1, records),
            "gradient": (rows, problem.n_parameters),
            "product": (rows, depth - 1, problem.n_parameters),
        }
        self._out = {k: np.empty(s if k in recorded else (0,) * len(s)) for k, s in shape.items()}
        self._nonfinite = np.full((rows, depth), -1, dtype=np.int64)
        self._interval = interval
        self._growth = np.zeros((rows, depth - 1, steps // every if interval else 0))
        self._orthonormal = orthonormal
        square = (rows, steps // interval, depth - 1, depth - 1) if "triangle" in record else (0, 0, 0, 0)
        self._triangle = np.zeros(square)
        self._every, self._snapshot = every, snapshot
        *hidden, c = problem.sizes[1:]
        self._x = padded_samples(problem.x)
        if problem.own_targets:
            self._y = aligned((groups, c * LANES))
            own = np.full((groups * LANES, c), 1.0 / c)
            own[:rows] = targets[:, 0]
            self._y.reshape(groups, c, LANES)[...] = own.reshape(groups, LANES, c).swapaxes(1, 2)
        else:
            self._y = padded_samples(targets)[None]
        self._problem, self._begin = problem, start
        self._samples = len(problem.x)
        rule, batches = problem.rule, problem.batches
        self._hyper = np.array(
            [
                *rules.numbers(rule)[:5],
                problem.decay,
                rule.decay if rule.decoupled else 0.0,
                _per_sample(problem.loss, c),
            ]
        )
        self._kind = Kind(
            problem.sizes, problem.activation, problem.loss, problem.own_targets, tangent, bool(problem.bias), problem.scale, rule.name,
            isinstance(problem.rate, tuple), batches is not None,
            samples.blocks(self._samples, None if batches is None else batches.size),
        )  # fmt: skip
        self._tangent = tangent
        self._layers, self._ends, self._factors = places(problem.sizes, bool(problem.bias), problem.scale)
        self._scratch = samples.scratch_slots(problem.sizes) * samples.BLOCK * LANES
        seen = self._samples if batches is None else batches.size
        operations = seen * (3 * problem.n_parameters + 30 * (sum(hidden) + c)) + (depth * size if interval else 0)
        self.seconds_per_step = groups * LANES * depth * operations * SECONDS_PER_OPERATION / min(self.threads, groups)

    @property
    def description(self) -> str:
        """What ran, for the result."""
        return f"fused CPU kernel, {self.threads} thread{'s' * (self.threads > 1)}"

    def _arguments(self, first: int, end: int, start: int, stop: int, last: bool) -> tuple:
        """Kernel arguments for groups first ... end - 1, from step ``start`` to ``stop``."""
        problem = self._problem
        size, (d, *_, c) = problem.n_parameters, problem.sizes
        order, counts = np.empty((0, 0), dtype=np.int64), np.empty(0, dtype=np.int64)
        if problem.batches is not None and stop > start:
            order, counts = problem.batches.table(self._begin + start, self._begin + stop)
        seen = 0 if problem.batches is None else problem.batches.size
        rows = slice(first * LANES, min(end * LANES, self._rows))
        out = [self._out[k][rows] if self._out[k].size else self._out[k] for k in self._out]
        return (
            self._state[first:end],
            self._rate[first:end],
            self._layers,
            self._ends,
            self._factors,
            aligned((size * LANES * (self._state.shape[1] if self._tangent else 1),)),
            aligned((self._scratch,)),
            self._x,
            self._y[first:end] if len(self._y) > 1 else self._y,
            self._samples,
            float(problem.divisor),
            self._hyper,
            problem.clock(self._begin + start, self._begin + max(stop, start + 1)),
            order,
            counts,
            aligned((seen * d + samples.BLOCK,)),
            aligned((seen * c + samples.BLOCK,)),
            start,
            stop,
            last,
            self._every,
            self._snapshot,
            *out,
            self._nonfinite[rows],
            self._interval,
            self._growth[rows],
            self._orthonormal,
            self._triangle[rows] if self._triangle.size else self._triangle,
        )

    def _call(self, first, end, start, stop, last):
        arguments = self._arguments(first, end, start, stop, last)
        _kernel(self._kind, arguments)(*arguments)

    def prepare(self) -> None:
        """Compile the kernel, unless that has been done."""
        if self._kind not in _kernels:
            _kernel(self._kind, self._arguments(0, 1, 0, 0, False))

    def advance(self, start: int, stop: int, last: bool) -> None:
        """Move everything from step ``start`` to ``stop``."""
        share_out(len(self._state), self.threads, lambda first, end: self._call(first, end, start, stop, last))

    def results(self) -> dict[str, np.ndarray]:
        """Recorded arrays, the state now (reference, copies) and the first non-finite steps, in the caller's order."""
        groups, depth, _ = self._state.shape
        size = self._size
        rows = self._state.reshape(groups, depth, self._slots, LANES)[:, :, :size]
        rows = rows.transpose(0, 3, 1, 2).reshape(-1, depth, size)[: self._rows]
        out = {k: v for k, v in self._out.items() if k in self._recorded}
        for name in ("loss", "weights"):
            if name in out:
                whole = out[name]
                out |= {name: whole[:, 0], f"copy_{name}": whole[:, 1:]}
                out |= {"snapshots": whole} if name == "weights" else {}
        if not self._spread:
            out["growth"] = self._growth
            if "triangle" in self._recorded:
                out["triangle"] = self._triangle
            final = {"reference": rows[:, 0].copy(), "copies": rows[:, 1:].copy()}
            return out | final | {"nonfinite": self._nonfinite}
        n, m = self._n, self._copies
        of_copies = ("distance", "product")
        one_each = {k: v[::m] for k, v in out.items() if k not in of_copies}
        one_each |= {k: out[k].reshape(n, m, -1) for k in of_copies if k in out}
        nonfinite = np.column_stack([self._nonfinite[::m, 0], self._nonfinite[:, 1].reshape(n, m)])
        return one_each | {
            "reference": rows[::m, 0],
            "copies": rows[:, 1].reshape(n, m, size),
            "nonfinite": nonfinite,
        }
