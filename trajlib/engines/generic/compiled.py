"""A user's own map, decorated with Numba: the loop around it is compiled together with it, and calls no Python.

The map's functions see one trajectory at a time; all that is done with tangent vectors is done for eight trajectories side by side, in the
vectors of the fused engine (``fused.lanes``), by code that knows no map and is kept on disk. A trajectory's result depends on neither its
batch, nor its place there, nor the threads: + - * / and square roots in a fixed order, and the map's own operations.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError

from .. import RESOLVED, WIPED_OUT, machine_code, n_threads
from ..fused.cpu import aligned
from ..fused.lanes import LANES, any_nonzero, constant, lane_of, load, samples_of, square_root, store, where_less
from ..fused.orthonormal import INFINITY
from ..threads import share_out

__all__ = ["CompiledRun", "Functions", "compiles"]

machine_code.text_of(os.path.dirname(__file__))
LOW, HIGH = 1e-200, 1e200
"""Between these, growth factors are multiplied, and one logarithm is taken for many of them."""
SHORT, LONG = 1e-140, 1e140
"""Lengths beyond which their squares are not to be trusted."""
FEW = 4
"""Trajectories a thread below which each goes alone."""
KEPT = 32
"""Maps whose compiled code is kept."""
JIT: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
SECONDS_PER_OPERATION = 2e-10
"""Rough cost of one multiply-add of eight trajectories' vectors."""


class Functions(NamedTuple):
    """One map's compiled functions, each for one trajectory of p numbers.

    Attributes
    ----------
    step : Dispatcher
        ``step(x)`` or ``step(x, t)``, from a C-contiguous array (p,) to the next one.
    derivative : Dispatcher or None
        ``jacobian(x)``, (p, p), or ``jvp(x, V)``, from tangent vectors (k, p) to J V, (k, p); ``t`` comes last where it is taken.
    kind : {"jacobian", "jvp"}
        Which of the two ``derivative`` is.
    timed : (bool, bool)
        Whether step and derivative take t, the number of steps already applied (int64).
    """

    step: Dispatcher
    derivative: Dispatcher | None
    kind: str
    timed: tuple[bool, bool]


STATE = (numba.types.Array(numba.float64, 1, "C"), numba.int64)
TANGENTS = numba.types.Array(numba.float64, 2, "C")


@lru_cache(maxsize=KEPT)
def _adapted(functions: Functions) -> tuple[Dispatcher, Dispatcher | None, str | None]:
    """``move(x, t)`` and ``derive(x, t)`` or ``derive(x, V, t)`` whatever the functions take; then why they do not compile, or None."""
    step, derivative, kind, timed = functions
    jit = numba.njit(**JIT)
    move = jit((lambda x, t: step(x, t)) if timed[0] else (lambda x, t: step(x)))
    reason = _refused("step", move, STATE, 1)
    if derivative is None or reason:
        return move, None, reason
    if kind == "jacobian":
        derive = jit((lambda x, t: derivative(x, t)) if timed[1] else (lambda x, t: derivative(x)))
        return move, derive, _refused(kind, derive, STATE, 2)
    derive = jit((lambda x, v, t: derivative(x, v, t)) if timed[1] else (lambda x, v, t: derivative(x, v)))
    return move, derive, _refused(kind, derive, (STATE[0], TANGENTS, STATE[1]), 2)


def _refused(name: str, function: Dispatcher, arguments: tuple, ndim: int) -> str | None:
    """Why a function cannot be taken as one that gives a float64 array, in one line, or None."""
    try:
        function.compile(arguments)
    except NumbaError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        told = [line for line in lines if line and not line.startswith("Failed in nopython mode")]
        return f"{name} does not compile for one trajectory: {told[0] if told else type(error).__name__}"
    given = function.nopython_signatures[0].return_type
    if isinstance(given, numba.types.Array) and given.ndim == ndim and given.dtype == numba.float64:
        return None
    return f"{name} must return a {ndim}-d float64 array for one trajectory, and its compiled form returns {given}"


def compiles(functions: Functions, size: int) -> str | None:
    """Why a map's functions cannot run compiled, in one line; None if they can.

    They are compiled for one trajectory of ``size`` numbers; Numba's code is the same for all sizes. The answer is remembered.
    """
    return _adapted(functions)[2]


# What follows, up to ``_build``, knows no map. Where ``alone`` is false, a slot holds one number of LANES trajectories: entry a of tangent
# vector j stands in slot a * k + j, and what multiplies it is such a slot too. Where it is true, a slot holds entry a of LANES tangent
# vectors of the one trajectory, slot a * K + j // LANES with K = ceil(k / LANES), and what multiplies them is the same number for all.
# Either way each number meets the same operations in the same order.


@numba.njit(forceinline=True, **JIT)
def _strides(k: int, alone: bool) -> tuple[int, int, int]:
    """Slots of a row (one entry of all tangent vectors), numbers between vectors, and numbers between entries of anything else."""
    return (-(-k // LANES), 1, 1) if alone else (k, LANES, LANES)


@numba.njit(forceinline=True, **JIT)
def _factor(array, base, index, like, alone):
    if alone:
        return samples_of(array, base * LANES + index, like)
    return load(array, base + index, like)


@numba.njit(forceinline=True, **JIT)
def _multiply(state, work, m0, p, k, alone):
    """Matrices at slot ``m0`` of the work space times the vectors of the state, to the head of the work space."""
    one = constant(0.0, 1)
    row = _strides(k, alone)[0]
    for c in range(row):
        for a in range(p):
            total = one
            for q in range(p):
                total = total + _factor(work, m0, a * p + q, one, alone) * load(state, q * row + c, one)
            store(work, a * row + c, total)


@numba.njit(forceinline=True, **JIT)
def _length(work, p, row, column, norm):
    """Length of one vector: from scaled entries where its square leaves, or nearly leaves, the range of float64."""
    if SHORT < norm < LONG:
        return norm
    largest = 0.0
    for a in range(p):
        largest = max(largest, abs(work[a * row + column]))
    if not 0.0 < largest < INFINITY:
        return norm  # nan stays nan
    total = 0.0
    for a in range(p):
        total += (work[a * row + column] / largest) * (work[a * row + column] / largest)
    return largest * math.sqrt(total)


@numba.njit(forceinline=True, **JIT)
def _orthonormalise(state, work, p, k, alone):
    """Modified Gram-Schmidt on the vectors at the head of the work space, to those of the state; R is left behind the former."""
    one = constant(0.0, 1)
    row = _strides(k, alone)[0]
    r0 = p * row
    lane = load(work, (p + k) * row, one)  # 0, 1, 2, ...
    for i in range(k):
        own = i // LANES if alone else i
        square = one
        for a in range(p):
            x = load(work, a * row + own, one)
            square = square + x * x
        norm = square_root(square)
        odd = where_less(one + SHORT, norm, where_less(norm, one + LONG, one, one + 1.0), one + 1.0)
        if lane_of(odd, i % LANES) != 0.0 if alone else any_nonzero(odd):
            store(work, r0 + i * row + own, norm)
            for number in range(own * LANES, (own + 1) * LANES):
                at = (r0 + i * row) * LANES + number
                work[at] = _length(work, p, row * LANES, number, work[at])
            norm = load(work, r0 + i * row + own, one)
        scale = where_less(norm, one + WIPED_OUT, one, 1.0 / norm)
        if alone:  # the other vectors of this slot stay as they are
            off = lane - float(i % LANES)
            scale = where_less(off * off, one + 0.5, scale, one + 1.0)
        for a in range(p):
            store(work, a * row + own, load(work, a * row + own, one) * scale)
        for c in range(own if alone else i + 1, row):
            dot = one
            for a in range(p):
                dot = dot + _factor(work, a * row, i, one, alone) * load(work, a * row + c, one)
            store(work, r0 + i * row + c, dot)
            after = lane - float(i - c * LANES)  # positive for the vectors that come after the i-th, if it is alone
            for a in range(p):
                x = load(work, a * row + c, one)
                less = x - dot * _factor(work, a * row, i, one, alone)
                store(work, a * row + c, where_less(one, after, less, x) if alone else less)
        if alone:
            work[(r0 + i * row) * LANES + i] = lane_of(norm, i % LANES)
        else:
            store(work, r0 + i * row + i, norm)
    for slot in range(p * row):
        store(state, slot, load(work, slot, one))


def _kernels(alone: bool):
    """``begin`` and ``settle``: what is done with tangent vectors at the start, and at the end of a step."""

    def begin(state, work, p, k):
        for number in range(p * _strides(k, alone)[0] * LANES):
            work[number] = state[number]
        _orthonormalise(state, work, p, k, alone)

    def settle(state, work, m0, p, k, t, interval, every, nonfinite, growth, triangle, first, lanes):
        """What is done with tangent vectors at the end of step t: J V is formed, from matrices at slot ``m0`` of the work space (if that
        is negative, it stands there already), looked at, made orthonormal if it is time, and counted in.

        The product of the factors R_jj since the last logarithm stands at the end of the state.
        """
        one = constant(0.0, 1)
        row, between, width = _strides(k, alone)
        if m0 >= 0:
            _multiply(state, work, m0, p, k, alone)
        check = one
        for slot in range(p * row):
            value = load(work, slot, one)
            check = check + (value - value)
        if any_nonzero(check):
            for lane in range(lanes):
                for j in range(k):
                    for a in range(p):
                        value = work[a * row * LANES + j * between + lane]
                        if value - value != 0.0 and nonfinite[first + lane, 1 + j] < 0:
                            nonfinite[first + lane, 1 + j] = t + 1
        r0, g0, record = p * row * LANES, len(state) - k * width, t // every
        counted = lanes if interval > 0 and record < growth.shape[2] else 0
        if interval == 0 or (t + 1) % interval != 0:
            for slot in range(p * row):
                store(state, slot, load(work, slot, one))
        else:
            _orthonormalise(state, work, p, k, alone)
            for lane in range(counted):
                largest = 0.0
                for j in range(k):
                    largest = max(largest, work[r0 + j * row * LANES + j * between + lane])
                for j in range(k):
                    stretch = work[r0 + j * row * LANES + j * between + lane]
                    if stretch < WIPED_OUT:
                        stretch = 0.0
                    elif stretch < RESOLVED * largest:
                        stretch = math.nan
                    at = g0 + j * width + lane
                    product = state[at] * stretch
                    if not LOW < product < HIGH:
                        growth[first + lane, j, record] += math.log(state[at]) + math.log(stretch)
                        product = 1.0
                    state[at] = product
            for lane in range(lanes if triangle.size > 0 else 0):
                for i in range(k):
                    for j in range(i, k):
                        entry = work[r0 + i * row * LANES + j * between + lane]
                        triangle[first + lane, t // interval, i, j] = entry
        if (t + 1) % every == 0:  # the next state is recorded
            for lane in range(counted):
                for j in range(k):
                    at = g0 + j * width + lane
                    growth[first + lane, j, record] += math.log(state[at])
                    state[at] = 1.0

    return begin, settle


def _record(state, x0, p, members, tangent, alone, record, snapshot, norm, weights, distance, first, lanes):
    """Write down states: those numbers and distances for ``record``, those weights for ``snapshot``, that are not negative."""
    width = 1 if alone else LANES
    k = members - 1
    between = 1 if alone else LANES
    row = x0 // p
    for lane in range(lanes):
        x = x0 + lane
        if record >= 0 and norm.size > 0:
            total = 0.0
            for a in range(p):
                total += abs(state[x + a * width])
            norm[first + lane, record] = total
        if record >= 0 and distance.size > 0:
            for j in range(k):
                total = 0.0
                for a in range(p):
                    if tangent:
                        total += abs(state[a * row + j * between + lane])
                    else:
                        total += abs(state[x + ((1 + j) * p + a) * width] - state[x + a * width])
                distance[first + lane, j, record] = total
        if snapshot >= 0:
            for m in range(weights.shape[1]):
                for a in range(p):
                    if tangent and m > 0:
                        value = state[a * row + (m - 1) * between + lane]
                    else:
                        value = state[x + (m * p + a) * width]
                    weights[first + lane, m, snapshot, a] = value


FLAT, INT, CUBE = numba.float64[::1], numba.int64, numba.float64[:, :, ::1]
BEGIN = numba.void(FLAT, FLAT, INT, INT)
SETTLE = numba.void(
    *(FLAT, FLAT, INT, INT, INT, INT, INT, INT, numba.int64[:, ::1], CUBE, numba.float64[:, :, :, ::1], INT, INT)
)
RECORD = numba.void(
    *(FLAT, INT, INT, INT, numba.boolean, numba.boolean, INT, INT, numba.float64[:, ::1], numba.float64[:, :, :, ::1]),
    *(CUBE, INT, INT),
)


@cache
def _parts(alone: bool) -> tuple:
    """The functions above as machine code that is called by its address, from the disk cache where an earlier process left it."""
    begin, settle = _kernels(alone)
    return machine_code.by_address({begin: BEGIN, settle: SETTLE, _record: RECORD}, error_model="numpy")


@lru_cache(maxsize=KEPT)
def _build(functions: Functions, tangent: bool) -> Dispatcher:
    """``advance`` for one map and its copies, or its tangent vectors; compiled when it is first called.

    It calls the parts that know no map by their addresses: linked into it, they would be optimised anew for every map, which takes seconds.
    """
    move, derive, _ = _adapted(functions)
    by_jacobian = functions.kind == "jacobian"

    @numba.njit(**JIT)
    def advance(
        orthonormalise, settle, record, alone, state, x0, bounds, work, m0, here, vectors, start, stop, last, begin, every,
        snapshot, interval, orthonormal, norm, weights, distance, nonfinite, growth, triangle,
    ):  # fmt: skip
        """Move groups of trajectories from step ``start`` to ``stop``; ``CompiledRun`` says what the arrays are."""
        p, members = here.shape[0], nonfinite.shape[1]
        k, row, width = members - 1, x0 // p, 1 if alone else LANES
        for group in range(len(state)):
            flat = state[group]
            first = bounds[group] - bounds[0]
            lanes = bounds[group + 1] - bounds[group]
            if tangent and interval > 0 and start == 0 and not orthonormal:
                orthonormalise(flat, work, p, k)
            for t in range(start, stop + last):
                now = t // every if t % every == 0 else -1
                shot = t // snapshot if weights.size > 0 and t % snapshot == 0 else -1
                if now >= 0 or shot >= 0:
                    record(flat, x0, p, members, tangent, alone, now, shot, norm, weights, distance, first, lanes)
                if t == stop:
                    break
                for lane in range(lanes):
                    for m in range(1 if tangent else members):
                        x = x0 + m * p * width + lane
                        for a in range(p):
                            here[a] = flat[x + a * width]
                        if tangent and by_jacobian:
                            matrix = derive(here, begin + t)
                            if matrix.shape[0] != p or matrix.shape[1] != p:
                                raise ValueError(
                                    "jacobian must return an array of shape (p, p) for a state of shape (p,)"
                                )
                            for a in range(p):
                                for q in range(p):
                                    work[m0 * LANES + (a * p + q) * width + lane] = matrix[a, q]
                        elif tangent:
                            for j in range(k):
                                for a in range(p):
                                    vectors[j, a] = flat[a * row + j * width + lane]
                            moved = derive(here, vectors, begin + t)
                            if moved.shape[0] != k or moved.shape[1] != p:
                                raise ValueError("jvp must return an array of shape (k, p) for vectors of shape (k, p)")
                            for j in range(k):
                                for a in range(p):
                                    work[a * row + j * width + lane] = moved[j, a]
                        following = move(here, begin + t)
                        if len(following) != p:
                            raise ValueError("step must return an array of the state's shape, (p,)")
                        check = 0.0
                        for a in range(p):
                            check += following[a] - following[a]
                            flat[x + a * width] = following[a]
                        if check != 0.0 and nonfinite[first + lane, m] < 0:
                            nonfinite[first + lane, m] = t + 1
                if tangent:
                    matrices = m0 if by_jacobian else -1
                    settle(flat, work, matrices, p, k, t, interval, every, nonfinite, growth, triangle, first, lanes)

    return advance


class CompiledRun:
    """One ensemble of a user's own map on its way.

    Parameters are those of :class:`~trajlib.engines.fused.cpu.FusedRun`, with :class:`Functions` in place of a problem; ``record`` holds
    any of norm, weights, copy_weights, distance and triangle. ``start`` is added to the t that the functions are given: the run may be
    a stretch of a longer one. A step takes V to J(x, t) V, then x to step(x, t).

    Raises
    ------
    ValueError
        If the functions do not compile (:func:`compiles`), if tangent vectors are asked for without a derivative, or, on the way, if a
        function returns an array of the wrong shape. What the functions raise themselves is passed on.
    """

    name = "compiled"

    def __init__(
        self,
        functions: Functions,
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
        reason = compiles(functions, reference.shape[1])
        if tangent and functions.derivative is None:
            reason = "tangent vectors need a jacobian or a jvp, and the map has neither"
        if reason:
            raise ValueError(reason)
        n, p = reference.shape
        m = 0 if copies is None else copies.shape[1]
        self._functions, self._size, self._tangent, self._begin = functions, p, tangent, start
        self.threads = n_threads(threads)
        self._alone = n < FEW * self.threads
        row, _, width = _strides.py_func(m if tangent else 0, self._alone)
        share = -(-n // width) / self.threads
        groups = min(n, math.ceil(share) * self.threads)  # no thread is left without work for want of a few more
        self._bounds = np.linspace(0, n, groups + 1).astype(np.int64)
        self._x0 = p * row * LANES
        members = 1 if tangent else 1 + m
        self._state = aligned((groups, self._x0 + (members * p + (m if tangent else 0)) * width))
        self._state[:, self._x0 + members * p * width :] = 1.0
        self._vectors = self._state[:, : self._x0].reshape(groups, p, row * LANES // width, width)
        if tangent:  # lanes without a trajectory compute with what is harmless
            self._vectors[:, :, :m] = np.eye(p, m)[:, :, None]
        self._states = self._state[:, self._x0 : self._x0 + members * p * width].reshape(groups, members, p, width)
        for group, (first, end) in enumerate(itertools.pairwise(self._bounds)):
            some = slice(0, end - first)
            self._states[group, 0, :, some] = reference[first:end].T
            if tangent:
                self._vectors[group, :, :m, some] = copies[first:end].transpose(2, 1, 0)
            elif m:
                self._states[group, 1:, :, some] = copies[first:end].transpose(1, 2, 0)
        records = steps // every + 1
        self._recorded = {name.removeprefix("copy_") for name in record}
        members = 1 + m if "copy_weights" in record else 1
        shape = {
            "norm": (n, records),
            "weights": (n, members, steps // snapshot + 1, p),
            "distance": (n, m, records),
        }
        self._out = {k: np.empty(s if k in self._recorded else (0,) * len(s)) for k, s in shape.items()}
        self._nonfinite = np.full((n, 1 + m), -1, dtype=np.int64)
        self._growth = np.zeros((n, m, steps // every if interval else 0))
        square = (n, steps // interval, m, m) if "triangle" in record else (0, 0, 0, 0)
        self._triangle = np.zeros(square)
        self._every, self._snapshot, self._interval, self._orthonormal = every, snapshot, interval, orthonormal

    @property
    def description(self) -> str:
        """What ran, for the result."""
        return f"compiled map (Numba), {self.threads} thread{'s' * (self.threads > 1)}"

    @property
    def seconds_per_step(self) -> float:
        """Measured on one call of the functions; compiles them where that is still to be done."""
        self.prepare()
        move, derive, _ = _adapted(self._functions)
        n, m = self._nonfinite.shape[0], self._nonfinite.shape[1] - 1
        x, t = self._states[0, 0, :, 0].copy(), self._begin
        began = time.perf_counter()
        if derive is not None and self._tangent:
            derive(x, t) if self._functions.kind == "jacobian" else derive(x, np.eye(m, self._size), t)
        move(x, t)
        calls = n * (time.perf_counter() - began) * (1 if self._tangent else 1 + m)
        vectors = (
            len(self._state) * 2 * m * self._size * (self._size + m) * SECONDS_PER_OPERATION if self._tangent else 0.0
        )
        return (calls + vectors) / min(self.threads, len(self._state))

    def prepare(self) -> None:
        """Compile what is not compiled yet."""
        advance = _build(self._functions, self._tangent)
        if not advance.overloads:  # the arguments are of the same types in all runs
            advance.compile(tuple(numba.typeof(a) for a in self._arguments(0, len(self._state), 0, 0, False)))

    def _arguments(self, first: int, end: int, start: int, stop: int, last: bool) -> tuple:
        """What ``advance`` is called with for groups first ... end - 1."""
        p, m = self._size, self._nonfinite.shape[1] - 1
        row, _, width = _strides.py_func(m if self._tangent else 0, self._alone)
        rows = slice(self._bounds[first], self._bounds[end])
        out = (*self._out.values(), self._nonfinite, self._growth, self._triangle)
        m0 = (p + m) * row + 1
        by_jacobian = self._tangent and self._functions.kind == "jacobian"
        work = aligned((m0 * LANES + (-(-p * p * width // LANES) * LANES if by_jacobian else 0),))
        lanes = work.reshape(-1, LANES)
        lanes[m0 - 1] = np.arange(LANES)
        if not self._alone:
            lanes[: p * row] = np.eye(p, row).reshape(-1, 1)
            lanes[m0:] = np.eye(p).reshape(-1, 1) if by_jacobian else 0.0
        return (
            *_parts(self._alone),
            self._alone,
            self._state[first:end],
            self._x0,
            self._bounds[first : end + 1],
            work,
            m0,
            np.empty(p),
            np.empty((m, p)),
            start,
            stop,
            last,
            self._begin,
            self._every,
            self._snapshot,
            self._interval,
            self._orthonormal,
            *(array[rows] if array.size else array for array in out),
        )

    def _call(self, first: int, end: int, start: int, stop: int, last: bool) -> None:
        (compiled,) = _build(self._functions, self._tangent).overloads.values()
        compiled.entry_point(*self._arguments(first, end, start, stop, last))  # looking at the types again takes .3 ms

    def advance(self, start: int, stop: int, last: bool) -> None:
        """Move everything from step ``start`` to ``stop``; record the state at ``stop`` if ``last``."""
        self.prepare()
        share_out(len(self._state), self.threads, lambda first, end: self._call(first, end, start, stop, last))

    def results(self) -> dict[str, np.ndarray]:
        """Recorded arrays, the state now (reference, copies) and the first non-finite steps, as ``FusedRun.results`` gives them."""
        m, lanes = self._nonfinite.shape[1] - 1, np.diff(self._bounds)
        states = np.concatenate(
            [each[..., :some].transpose(2, 0, 1) for each, some in zip(self._states, lanes, strict=True)]
        )
        copies = states[:, 1:]
        if self._tangent:
            pairs = zip(self._vectors[:, :, :m], lanes, strict=True)
            copies = np.concatenate([each[..., :some].transpose(2, 1, 0) for each, some in pairs])
        out = {k: v for k, v in self._out.items() if k in self._recorded}
        if "weights" in out:
            whole = out["weights"]
            out |= {"weights": whole[:, 0], "copy_weights": whole[:, 1:], "snapshots": whole}
        if "triangle" in self._recorded:
            out["triangle"] = self._triangle
        final = {"reference": states[:, 0].copy(), "copies": copies.copy()}
        return out | final | {"growth": self._growth, "nonfinite": self._nonfinite}
