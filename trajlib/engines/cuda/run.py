"""One ensemble on a GPU: the arrays there, and the launches that move and measure them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ...models.cost import divisor as total_divisor
from ...optimisers import rules
from .. import Problem
from . import source as _source
from .cost import operations
from .driver import Buffer, open_device

__all__ = ["CudaRun"]


class Rules(ctypes.Structure):
    """What the kernels know of a rule; the same struct as in ``step.cu``."""

    _fields_ = [
        ("divisor", ctypes.c_double),
        ("decay", ctypes.c_double),
        ("shrink", ctypes.c_double),
        ("per_sample", ctypes.c_double),
        ("numbers", ctypes.c_double * 5),
    ]


def _rules(problem: Problem) -> Rules:
    rule, outputs = problem.rule, problem.sizes[-1]
    one, two = (total_divisor(problem.loss, n, outputs) for n in (1, 2))
    numbers = (ctypes.c_double * 5)(*rules.numbers(rule)[:5])
    return Rules(problem.divisor, problem.decay, rule.decay if rule.decoupled else 0.0, two - one, numbers)


class CudaRun:
    """One ensemble on its way. Parameters and results are those of the fused engine's run."""

    name = "cuda"

    def __init__(
        self, problem: Problem, reference, copies, *, steps, every, record, snapshot=1, tangent=False, interval=0, orthonormal=False,
        start=0, device=None, on=None,
    ):  # fmt: skip
        self._n, size = reference.shape
        if size != problem.n_state:
            raise ValueError(f"states must have shape (n, {problem.n_state}), got {reference.shape}")
        problem = self._problem = problem.rows((self._n,))
        self._copies = 0 if copies is None else copies.shape[1]
        self._tangent, self._interval, self._orthonormal, self._begin = tangent, interval, orthonormal, start
        self._every, self._snapshot, self._record = every, snapshot, record
        self._device = open_device(device) if on is None else on
        self._members = 1 if tangent or copies is None else 1 + self._copies
        rows = reference[:, None] if self._members == 1 else np.concatenate([reference[:, None], copies], axis=1)
        put, zeros = self._device.array, self._device.zeros
        self._state = put(rows.reshape(-1, size))
        self._vectors = put(copies.reshape(-1, size) if tangent else np.zeros((0, size)))
        self._rows = self._n * self._members
        self._rate = put(np.array([np.broadcast_to(rate, (self._n,)) for rate in problem.rates], dtype=float))
        self._x = put(problem.x.T)
        self._y = put(problem.targets[:, 0] if problem.own_targets else problem.targets.T)
        self._rules = _rules(problem)
        self._room, self._shared, self._warps = _source.workspace(problem, tangent, self._device.shared)
        vectors = self._n * self._copies if tangent else 0
        self._work = zeros(0 if self._shared else max(self._rows, vectors) * self._room)
        self._lengths = zeros(vectors)
        self._records = steps // every + 1
        self._out: dict[str, Buffer] = {}
        followed = vectors if tangent else self._rows
        for name, entries in (("loss", self._rows), ("norm", self._rows), ("distance", followed)):
            if name in record or f"copy_{name}" in record:
                self._out[name] = self._device.array(np.full(entries * self._records, np.nan))
        for name, entries in (("gradient", self._rows), ("product", vectors)):
            if name in record:
                self._out[name] = zeros(entries * problem.n_parameters)
        self._growths = steps // every if interval else 0
        self._growth = zeros(vectors * self._growths)
        self._triangles = steps // interval if "triangle" in record else 0
        self._triangle = zeros(self._n * self._triangles * self._copies**2)
        members = self._rows + vectors
        self._nonfinite = self._device.array(np.full(members, -1, dtype=np.int64))
        self._weights = np.empty((0, 0, 0))
        if "weights" in record or "copy_weights" in record:
            kept = self._rows + vectors if "copy_weights" in record or self._members > 1 else self._rows
            self._weights = np.full((steps // snapshot + 1, kept, size), np.nan)
        self.seconds_per_step = (self._rows + 3 * vectors) * operations(
            problem
        ) * 2.0 / self._device.operations_per_second + 2e-5

    @property
    def description(self) -> str:
        """What ran, for the result."""
        return f"CUDA kernel on {self._device.name}"

    def prepare(self) -> None:
        """Compile the kernels, unless that has been done."""
        self._module = self._device.compiled(_source.source(self._problem, self._tangent, self._device.shared))

    def advance(self, start: int, stop: int, last: bool) -> None:
        """Move everything from step ``start`` to ``stop``; record the state there too if ``last``."""
        if start == 0 and self._interval and not self._orthonormal:
            self._orthonormalise(None)
        problem, begin = self._problem, self._begin
        put = self._device.array
        clock = put(problem.clock(begin + start, begin + max(stop, start + 1)))
        order, counts = put(np.zeros((1, 1), dtype=np.int64)), np.zeros(1, dtype=np.int64)
        if problem.batches is not None and stop > start:
            table, counts = problem.batches.table(begin + start, begin + stop)
            order = put(np.asarray(table, dtype=np.int64))
        batch = 0 if problem.batches is None else problem.batches.size
        scheduled = (clock, order, put(np.asarray(counts, dtype=np.int64)), batch, start)
        t = start
        snapshots: list[tuple[int, Buffer]] = []
        while True:
            self._measure(t, t < stop or last, snapshots)
            if t == stop:
                break
            end = self._next(t, stop)
            if self._tangent:
                for step in range(t, end):
                    self._carry(scheduled, step, int(counts[step - start]) if batch else 0)
                    self._move(scheduled, step, step + 1, False)
                    if self._interval and (step + 1) % self._interval == 0:
                        self._orthonormalise(step)
            else:
                self._move(scheduled, t, end, False)
            t = end
        if last:
            if "product" in self._out:
                self._carry(scheduled, stop, 0, self._out["product"])
            self._move(scheduled, stop, stop, True)
        for record, buffer in snapshots:
            self._weights[record] = buffer.numpy().reshape(self._weights.shape[1:])
        self._device.synchronize()

    def _next(self, t: int, stop: int) -> int:
        """The next step at which something is measured between two launches."""
        strides = [self._every] if {"norm", "distance"} & set(self._out) else []
        strides += [self._snapshot] if self._weights.size else []
        return min([stop, *((t // stride + 1) * stride for stride in strides)])

    def _measure(self, t: int, wanted: bool, snapshots: list) -> None:
        """Record norms, distances and weights of the state at step ``t``."""
        if not wanted:
            return
        size, record = self._problem.n_state, t // self._every
        if t % self._every == 0 and "norm" in self._out:
            self._norms(self._state, self._rows, False, "norm", record)
        if t % self._every == 0 and "distance" in self._out:
            if self._tangent:
                self._norms(self._vectors, self._n * self._copies, False, "distance", record)
            else:
                self._norms(self._state, self._rows, True, "distance", record)
        if t % self._snapshot == 0 and self._weights.size:
            kept = self._device.zeros(self._weights.shape[1] * size)
            kept.copy_from(self._state, 0)
            if self._weights.shape[1] > self._rows:
                kept.copy_from(self._vectors, self._rows * size)
            snapshots.append((t // self._snapshot, kept))

    def _norms(self, states: Buffer, rows: int, from_first: bool, name: str, record: int) -> None:
        self._launch(
            "measure", rows, 1, states, rows, int(from_first), self._members, self._out[name], self._records, record
        )

    def _move(self, scheduled, start: int, stop: int, last: bool) -> None:
        clock, order, counts, batch, begin = scheduled
        gradient = self._out.get("gradient") if last else None
        self._launch(
            "advance", self._rows, 32, self._state, self._rate, self._x, self._y, len(self._problem.x), self._rows, self._members,
            self._rules, clock, order, counts, batch, begin, start, stop, int(last), self._every, self._records, self._out.get("loss"),
            gradient, self._nonfinite, self._work,
        )  # fmt: skip

    def _carry(self, scheduled, t: int, count: int, product=None) -> None:
        clock, order, _, batch, begin = scheduled
        vectors = self._n * self._copies
        if not vectors:
            return
        now = clock.at(0 if product is not None else (t - begin) * clock.shape[1])
        taken = order.at(0 if product is not None else (t - begin) * batch)
        self._launch(
            "carry", vectors, 32, self._vectors, self._state, self._rate, self._x, self._y, len(self._problem.x), vectors, self._copies,
            self._rules, now, taken, count, t, product, self._nonfinite.at(self._rows), self._work,
        )  # fmt: skip

    def _orthonormalise(self, step: int | None) -> None:
        """Make the vectors orthonormal; after a step, note how much they had grown."""
        growth = self._growth if step is not None and self._growths else None
        triangle = self._triangle if step is not None and self._triangles else None
        self._launch(
            "orthonormalise", self._n, 0, self._vectors, self._copies, growth, self._growths, 0 if step is None else step // self._every,
            triangle, self._triangles, 0 if step is None else step // self._interval, self._lengths,
        )  # fmt: skip

    def _launch(self, kernel: str, rows: int, width: int, *arguments: Any) -> None:
        """Launch a kernel on rows of a warp (width 32) or a thread (1) each, or a block (0) of as many threads as vectors."""
        if width == 0:
            grid, block, shared = rows, min(256, -(-self._copies // 32) * 32), 0
        elif width == 1:
            grid, block, shared = -(-rows // 128), 128, 0
        else:
            grid, block = -(-rows // self._warps), 32 * self._warps
            shared = 8 * self._room * self._warps if self._shared else 0
        if rows:
            self._module.launch(kernel, rows, grid, block, shared, arguments)

    def results(self) -> dict[str, np.ndarray]:
        """Recorded arrays, the state now (reference, copies) and the first non-finite steps, in the caller's order."""
        n, m, size, members = self._n, self._copies, self._problem.n_state, self._members
        state = self._state.numpy().reshape(n, members, size)
        vectors = self._vectors.numpy().reshape(n, m, size) if self._tangent else state[:, 1:]
        out: dict[str, np.ndarray] = {"reference": state[:, 0].copy(), "copies": vectors.copy()}
        bad = self._nonfinite.numpy()
        out["nonfinite"] = np.concatenate(
            [bad[: self._rows].reshape(n, members), bad[self._rows :].reshape(n, -1)], axis=1
        )
        for name, buffer in self._out.items():
            whole = buffer.numpy()
            if name in ("gradient", "product"):
                p = self._problem.n_parameters
                out[name] = whole.reshape(n, members, p)[:, 0] if name == "gradient" else whole.reshape(n, m, p)
            elif name == "distance":
                out[name] = whole.reshape(n, m, -1) if self._tangent else whole.reshape(n, members, -1)[:, 1:]
            else:
                out[name] = whole.reshape(n, members, -1)[:, 0]
                if f"copy_{name}" in self._record:
                    out[f"copy_{name}"] = whole.reshape(n, members, -1)[:, 1:]
        if self._weights.size:
            kept, records = self._weights, len(self._weights)
            whole = kept[:, : self._rows].reshape(records, n, members, size)
            if kept.shape[1] > self._rows:
                whole = np.concatenate([whole, kept[:, self._rows :].reshape(records, n, m, size)], axis=2)
            whole = np.moveaxis(whole, 0, 2)  # (n, members, records, state)
            out["weights"] = whole[:, 0]
            if "copy_weights" in self._record:
                out |= {"copy_weights": whole[:, 1:], "snapshots": whole}
        out["growth"] = self._growth.numpy().reshape(n, -1, self._growths) if self._growths else np.zeros((n, m, 0))
        if self._triangles:
            out["triangle"] = self._triangle.numpy().reshape(n, self._triangles, m, m)
        return {name: _canonical(array) for name, array in out.items()}


def _canonical(array: np.ndarray) -> np.ndarray:
    """Every nan with the same bits: which it has depends on the processor."""
    if array.dtype == np.float64:
        array = np.ascontiguousarray(array)
        array[np.isnan(array)] = np.nan
    return array
