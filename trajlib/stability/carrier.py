"""Trajectories with orthonormal tangent vectors in tow, kept stretch by stretch: what Lyapunov and covariant vectors are made of.

Q(t + 1) R(t + 1) = J(w(t)) Q(t). Training maps move in the fused engine, where stretches have the bits of one long run; any other map
moves by its Jacobian and LAPACK's QR decomposition.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .. import _validate
from ..dynamics.descent import TrainingMap
from ..engines import FUSED_LIMIT, iterate, n_threads
from ..ensembles import initial
from ..progress import progress_bar

__all__ = ["Carrier", "Stretch", "Zone", "starting_vectors"]

MEMORY = 1 << 26
"""Bytes for what lies between the forward and the backward pass, where the caller names no other limit: more is not faster."""
LEAST_NETWORKS = 16
"""Networks that go together if there are so many: enough to fill the vectors of a few cores."""


def starting_vectors(gd, w0, k: int | None, vectors, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Checked initial conditions (n, p) of any map with a Jacobian, and k tangent vectors at each, (n, k, p): given, or random."""
    if isinstance(gd, TrainingMap):
        w0 = initial(gd, w0)
    elif _validate.finite("w0", _validate.float64("w0", w0)).ndim != 2 or len(w0) == 0:
        raise ValueError(f"w0 must have shape (n, p) with n >= 1, got {w0.shape}")
    if not isinstance(gd, TrainingMap) and not (callable(gd) and hasattr(gd, "jacobian")):
        raise TypeError(f"the map must have a jacobian, and {type(gd).__name__} has none")
    seed = _validate.count("seed", seed)
    p = w0.shape[1]
    if k is None and p > FUSED_LIMIT:
        raise ValueError(
            f"k, the number of exponents, must be given for maps of more than {FUSED_LIMIT} parameters, got {p}"
        )
    k = p if k is None else _validate.count("k", k, 1)
    if k > p:
        raise ValueError(f"k must be at most the number of parameters, {p}, got {k}")
    if vectors is None:
        vectors = np.random.Generator(np.random.PCG64(seed)).standard_normal((k, p))
        return w0, np.broadcast_to(vectors, (len(w0), k, p))
    vectors = _validate.finite("vectors", _validate.weights(vectors, p, name="vectors"))
    if vectors.shape != (len(w0), k, p):
        raise ValueError(f"vectors must have shape ({len(w0)}, {k}, {p}), got {vectors.shape}")
    diagonal = np.abs(np.diagonal(np.linalg.qr(vectors.swapaxes(1, 2), mode="r"), axis1=1, axis2=2))
    if (diagonal.min(axis=1) <= 1e-13 * diagonal.max(axis=1)).any():
        raise ValueError("vectors must be linearly independent for every trajectory")
    return w0, vectors


class Stretch(NamedTuple):
    """A stretch of some trajectories.

    Attributes
    ----------
    w, q : ndarray (n, p) and (n, k, p)
        State and orthonormal vectors at the end.
    states : ndarray (n, 1 + k, r, p)
        State and orthonormal vectors at steps 0, snapshot, 2 snapshot, ...; r = 0 where they were not asked for.
    triangles : ndarray (n, steps, k, k)
        R of each step; of size 0 where they were not asked for.
    """

    w: np.ndarray
    q: np.ndarray
    states: np.ndarray
    triangles: np.ndarray


class Carrier:
    """Moves trajectories and their vectors.

    Parameters
    ----------
    gd : map
        With ``__call__`` and ``jacobian``.
    n : int
        Trajectories in all.
    threads : int or None
        Of the fused engine.
    progress, steps, label
        Of the progress bar: whether it is wanted, its length, its name.
    """

    def __init__(self, gd, n: int, threads: int | None, progress: bool | None = False, steps: int = 0, label: str = ""):
        self.gd, self.n, self.threads = gd, n, n_threads(threads)
        self.fused = isinstance(gd, TrainingMap)
        self._bar = progress_bar(progress, steps, label)

    def __enter__(self) -> Carrier:
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.close()

    def tick(self, steps: int) -> None:
        """Move the progress bar."""
        if self._bar is not None:
            self._bar.update(steps)

    def problem(self, rows: slice):
        """The problem of some of the networks."""
        problem = self.gd.problem.rows((self.n,))
        rate = problem.rate[rows] if np.ndim(problem.rate) else problem.rate
        targets = problem.targets[rows] if problem.own_targets else problem.targets
        return problem._replace(rate=rate, targets=targets)

    def parts(self, bytes_each: int, memory: int) -> Iterator[slice]:
        """The trajectories, so many at a time that ``memory`` holds what is kept of them. Only the engine's can be taken apart: another
        map may have parameters of its own for each trajectory."""
        size = max(8, memory // max(1, bytes_each) // 8 * 8) if self.fused else self.n
        for first in range(0, self.n, size):
            yield slice(first, min(first + size, self.n))

    def __call__(
        self, rows: slice, w, q, steps: int, *, snapshot: int = 0, triangles: bool = False, orthonormal: bool = True
    ) -> Stretch:
        """Carry trajectories ``rows`` from states w (n, p) and vectors q (n, k, p), over ``steps`` steps.

        States are kept every ``snapshot`` steps (0: not at all), the matrices R if ``triangles``. ``orthonormal`` vectors are taken as they
        are; others are made so first.
        """
        n, k, p = q.shape
        if not self.fused:
            return self._by_jacobian(w, q, steps, snapshot, triangles, orthonormal)
        record = ({"weights", "copy_weights"} if snapshot else set()) | ({"triangle"} if triangles else set())
        out, ran = iterate(
            self.problem(rows), w, q, steps=steps, every=max(1, steps), snapshot=snapshot or steps + 1, record=record,
            engine="cpu", threads=self.threads, progress=False, tangent=True, interval=1, orthonormal=orthonormal,
        )  # fmt: skip
        if ran.interrupted:
            raise KeyboardInterrupt
        self.tick(steps * n)
        states = out.get("snapshots", np.empty((n, 1 + k, 0, p)))
        return Stretch(out["reference"], out["copies"], states, out.get("triangle", np.empty((n, 0, k, k))))

    def _by_jacobian(self, w, q, steps, snapshot, triangles, orthonormal) -> Stretch:
        n, k, p = q.shape
        states = np.empty((n, 1 + k, steps // snapshot + 1 if snapshot else 0, p))
        kept = np.empty((n, steps if triangles else 0, k, k))
        columns = q.swapaxes(1, 2)
        columns = columns if orthonormal else _positive_qr(columns)[0]
        for t in range(steps + 1):
            if snapshot and t % snapshot == 0:
                states[:, 0, t // snapshot], states[:, 1:, t // snapshot] = w, columns.swapaxes(1, 2)
            if t == steps:
                break
            columns, r = _positive_qr(self.gd.jacobian(w) @ columns)
            if triangles:
                kept[:, t] = r
            w = self.gd(w)
            self.tick(n)
        return Stretch(w, np.ascontiguousarray(columns.swapaxes(1, 2)), states, kept)


def _positive_qr(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """QR decomposition whose R has no negative entry on the diagonal."""
    q, r = np.linalg.qr(matrices)
    sign = np.where(np.diagonal(r, axis1=1, axis2=2) < 0, -1.0, 1.0)
    return q * sign[:, None, :], r * sign[:, :, None]


class Zone:
    """Some steps of some trajectories, run once forwards; then given piece by piece, the last first.

    Parameters
    ----------
    carrier, rows
        Who moves which trajectories.
    w, q : ndarray (n, p) and (n, k, p)
        States and orthonormal vectors at the start.
    steps : int
        How many.
    every : int
        Steps between states kept; 0 for none.
    length : int
        Steps of a piece, a multiple of ``every``. Where it is less than ``steps``, only the states at the heads of the pieces are kept, and
        the steps are run once more, to the same result.
    """

    def __init__(self, carrier: Carrier, rows: slice, w, q, steps: int, every: int, length: int):
        self._carrier, self._rows, self._steps, self._every, self._length = carrier, rows, steps, every, length
        self._whole = steps <= length
        self._run = carrier(rows, w, q, steps, snapshot=every if self._whole else length, triangles=self._whole)
        self.w, self.q = self._run.w, self._run.q

    def pieces(self) -> Iterator[tuple[int, Stretch]]:
        """(first step, stretch), from the last piece to the first."""
        if self._whole:
            yield 0, self._run
            return
        for first in range((self._steps - 1) // self._length * self._length, -1, -self._length):
            head = np.ascontiguousarray(self._run.states[:, :, first // self._length])
            steps = min(self._length, self._steps - first)
            yield first, self._carrier(self._rows, head[:, 0], head[:, 1:], steps, snapshot=self._every, triangles=True)


def bytes_kept(k: int, p: int, steps: int, every: int) -> int:
    """Bytes of what a stretch of one trajectory keeps: a matrix R a step, a state and its vectors every ``every`` steps."""
    return 8 * (steps * k * k + (steps // every + 1) * (1 + k) * p)


def piece_length(carrier: Carrier, k: int, p: int, steps: int, every: int, memory: int) -> int:
    """Steps of a piece, a multiple of ``every``: all of them if ``memory`` holds what is kept of them, else as many as it holds, with
    the states at the heads of all pieces.

    Raises
    ------
    MemoryError
        If even the shortest way to do it does not fit into the machine's memory.
    """
    n = min(carrier.n, LEAST_NETWORKS) if carrier.fused else carrier.n
    if n * bytes_kept(k, p, steps, every) <= memory:
        return -(-steps // every) * every

    def needed(length):
        return n * (bytes_kept(k, p, length, every) + 8 * (steps // length + 1) * (1 + k) * p)

    best = max(1, int((steps / every) ** 0.5)) * every  # near the least that it can take
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if needed(best) > 0.8 * available:
            raise MemoryError(
                f"{n} networks with {k} vectors of {p} parameters take {needed(best) / 2**30:.1f} GiB of "
                f"{available / 2**30:.1f} GiB; use fewer vectors (k=), a larger every=, or fewer networks at a time"
            )
    length = best
    while length * 2 < steps and needed(length * 2) <= memory:
        length *= 2
    return length
