"""An ensemble of wide networks on its way, network by network: what the sparse engine drives its kernel with."""

from __future__ import annotations

from functools import cache, partial
from typing import NamedTuple

import numba
import numpy as np

from ...models import activations
from .. import Problem, machine_code, n_threads
from ..fused.cpu import LOSS, aligned
from ..fused.lanes import LANES
from ..threads import share_out
from . import kernel

BLOCK = 64
"""Samples that are computed together: their units stay in the nearest cache."""
SECONDS_PER_UNIT = 2.5e-8
"""Rough cost of one hidden unit on one sample, forward and back."""


class Samples(NamedTuple):
    """Inputs in blocks of samples, input by input, without zeros: where those of each block begin (blocks, inputs + 1), the samples' places
    in the block, values; targets, padded, and labels."""

    n: int
    starts: np.ndarray
    places: np.ndarray
    values: np.ndarray
    targets: np.ndarray
    labels: np.ndarray
    divisor: float


def samples(x: np.ndarray, targets: np.ndarray, divisor: float, columns: int) -> Samples:
    n, d = x.shape
    starts = np.zeros((-(-n // BLOCK), d + 1), dtype=np.int64)
    places, values, total = [], [], 0
    for number in range(len(starts)):
        block = np.ascontiguousarray(x[number * BLOCK : (number + 1) * BLOCK].T)
        inputs, place = np.nonzero(block)
        starts[number] = total + np.searchsorted(inputs, np.arange(d + 1))
        places.append(place)
        values.append(block[inputs, place])
        total += len(place)
    padded = aligned((n, columns))
    padded[:, : targets.shape[1]] = targets
    return Samples(
        n,
        starts,
        np.concatenate(places),
        np.concatenate(values),
        padded.ravel(),
        targets.argmax(axis=1),
        float(divisor),
    )


@cache
def _compiled(activation: str, loss: str, tile: int, tiles: int, wide: int, outputs: int):
    """The kernel; machine code comes from the disk cache where an earlier process left it."""
    flat, whole, yes = numba.float64[::1], numba.int64[::1], numba.boolean
    signature = (*[flat] * 5, numba.int64, numba.int64[:, ::1], whole, flat, flat, whole, *[flat] * 4, yes, yes)
    kind = activations.ACTIVATIONS[activation].code, LOSS[loss], tile, tiles, wide, outputs, BLOCK
    return machine_code.compiled(kernel.build(*kind), signature, nogil=True)


@numba.njit(nogil=True)
def _move(w, acc, rate, divisor, decay):
    """One step of gradient descent, in place, with the fused engine's operations; returns 0 where all weights stay finite."""
    check = 0.0
    for p in range(w.size):
        g = acc[p] / divisor + w[p] * decay
        w[p] = w[p] - rate * g
        check = check + (w[p] - w[p])
    return check


@numba.njit(nogil=True)
def _l1(w, v):
    """Sum of |w - v| in parameter order."""
    total = 0.0
    for p in range(w.size):
        total = total + abs(w[p] - v[p])
    return total


@numba.njit(nogil=True)
def _squares(w):
    total = 0.0
    for p in range(w.size):
        total = total + w[p] * w[p]
    return total


class SparseRun:
    """One ensemble: references and copies as rows of weights, each moved by itself. Parameters as those of the fused engine's run."""

    name = "sparse"

    def __init__(self, problem: Problem, reference, copies, *, steps, every, record, threads, snapshot=1):
        n, size = reference.shape
        problem = problem.rows((n,))
        self._problem, self._shape = problem, (n, 1 + (0 if copies is None else copies.shape[1]))
        each = reference[:, None] if copies is None else np.concatenate([reference[:, None], copies], axis=1)
        self._w = np.array(each, dtype=float, order="C")  # (n, 1 + copies, parameters), to be moved in place
        self._rates = np.broadcast_to(problem.rate, (n,)).astype(float)
        self.threads = n_threads(threads)
        _, h, c = problem.sizes
        vectors = max(1, -(-h // LANES))
        self._tile = min(kernel.TILE, vectors)
        self._tiles = -(-vectors // self._tile)
        self._units, self._wide = self._tile * self._tiles * LANES, max(1, -(-c // LANES))
        columns = self._wide * LANES
        self._train = samples(problem.x, problem.targets, problem.divisor, columns)
        wanted = {name.removeprefix("copy_") for name in record}
        tested = problem.test is not None and any(name.startswith("test_") for name in wanted)
        self._test = samples(*problem.test, columns) if problem.test is not None and tested else None
        self._every, self._snapshot, records = every, snapshot, steps // every + 1
        rows, members = self._shape
        self._out: dict[str, np.ndarray] = {}
        for name in wanted - {"weights", "snapshots"}:
            shape = {"norm": (rows,), "distance": (rows, members - 1)}.get(name, (rows, members))
            self._out[name] = np.full((*shape, records), np.nan)
        self._with_copies = {name.removeprefix("copy_") for name in record if name.startswith("copy_")}
        if "weights" in wanted:
            shape = (rows, members if "weights" in self._with_copies else 1, steps // snapshot + 1, size)
            self._out["weights"] = np.full(shape, np.nan)
        self._nonfinite = np.full(self._shape, -1, dtype=np.int64)
        rounds = -(-rows * members // min(self.threads, rows * members)) if rows else 0
        seen = self._train.n + (self._test.n / 2 if self._test is not None else 0)
        self.seconds_per_step = rounds * seen * self._units * SECONDS_PER_UNIT

    @property
    def description(self) -> str:
        """What ran, for the result."""
        return f"sparse CPU kernel, {self.threads} thread{'s' * (self.threads > 1)}"

    def prepare(self) -> None:
        """Compile the kernel, unless that has been done."""
        self._kernel = _compiled(
            self._problem.activation, self._problem.loss, self._tile, self._tiles, self._wide, self._problem.sizes[-1]
        )

    def advance(self, start: int, stop: int, last: bool) -> None:
        """Move everything from step ``start`` to ``stop``; record the state there too if ``last``."""
        for t in range(start, stop + last):
            if t % self._every == 0:
                self._record(t)
            if t % self._snapshot == 0 and "weights" in self._out:
                kept = self._out["weights"]
                kept[:, :, t // self._snapshot] = self._w[:, : kept.shape[1]]
            share_out(self._w[..., 0].size, self.threads, partial(self._some, t, t < stop))

    def _record(self, t: int) -> None:
        for i, m in np.ndindex(self._shape):
            if m == 0 and "norm" in self._out:
                self._out["norm"][i, t // self._every] = _l1(self._w[i, 0], np.zeros(self._w.shape[2]))
            if m > 0 and "distance" in self._out:
                self._out["distance"][i, m - 1, t // self._every] = _l1(self._w[i, m], self._w[i, 0])

    def _some(self, t: int, moving: bool, first: int, end: int) -> None:
        """Some of the networks at step ``t``: what is recorded of them, and the step."""
        for row in range(first, end):
            i, m = divmod(row, self._shape[1])
            w, problem, units, columns = self._w[i, m], self._problem, self._units, self._wide * LANES
            d, h, c = problem.sizes
            cut = (d + 1) * h
            layers = aligned((d + 1, units)), aligned((units + 1, columns)), aligned((c, units))
            layers[0][:, :h] = w[:cut].reshape(d + 1, h)
            layers[1][:h, :c] = w[cut : cut + h * c].reshape(h, c)
            layers[1][units, :c] = w[cut + h * c :]
            layers[2][:] = layers[1][:units, :c].T
            sums = aligned((d + 1, units)), aligned((units + 1, columns))
            if t % self._every == 0 and self._test is not None:
                self._keep(i, m, t, "test_", self._test, self._pass(layers, sums, self._test, False, True))
            recording = t % self._every == 0 and any(m < self._members(name) for name in ("loss", "accuracy"))
            if not (moving or recording):
                continue
            found = self._pass(layers, sums, self._train, moving, recording)
            if recording:
                if problem.decay:
                    found[0] += _squares(w) * (0.5 * problem.decay)
                self._keep(i, m, t, "", self._train, found)
            if moving:
                acc = np.concatenate([sums[0][:, :h].ravel(), sums[1][:h, :c].ravel(), sums[1][units, :c]])
                check = _move(w, acc, self._rates[i], problem.divisor, problem.decay)
                if check != 0.0 and self._nonfinite[i, m] < 0:
                    self._nonfinite[i, m] = t + 1

    def _members(self, name: str) -> int:
        """Of how many of a reference and its copies something is recorded."""
        return self._out[name].shape[1] if name in self._out else 0

    def _pass(self, layers, sums, data: Samples, with_gradient: bool, with_loss: bool) -> np.ndarray:
        """Mean loss, and share of samples labelled right; the sums of the gradient's terms."""
        found = np.zeros(2)
        rooms = aligned((BLOCK * self._units,)), aligned((BLOCK * self._units,)), aligned((BLOCK * self._wide * LANES,))
        self._kernel(
            *(a.ravel() for a in layers), *(a.ravel() for a in sums), data.n, data.starts, data.places, data.values, data.targets,
            data.labels, *rooms, found, with_gradient, with_loss,
        )  # fmt: skip
        return found / (data.divisor, data.n)

    def _keep(self, i: int, m: int, t: int, part: str, data: Samples, found: np.ndarray) -> None:
        for name, value in zip(("loss", "accuracy"), found, strict=True):
            if m < self._members(part + name):
                self._out[part + name][i, m, t // self._every] = value

    def results(self) -> dict[str, np.ndarray]:
        """Recorded arrays, the state now (reference, copies) and the first non-finite steps."""
        out: dict[str, np.ndarray] = {}
        for name, whole in self._out.items():
            if name in ("norm", "distance"):
                out[name] = whole
                continue
            out[name] = whole[:, 0]
            if name in self._with_copies:
                out[f"copy_{name}"] = whole[:, 1:]
                out |= {"snapshots": whole} if name == "weights" else {}
        state = {"reference": self._w[:, 0].copy(), "copies": self._w[:, 1:].copy(), "nonfinite": self._nonfinite}
        return out | state
