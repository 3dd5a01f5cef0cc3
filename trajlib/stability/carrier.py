"""Trajectories with orthonormal tangent vectors in tow, stretch by stretch: what all exponents and covariant vectors are made of.

Q(t + 1) R(t + 1) = J(z(t)) Q(t). The engines do the work, each with its own QR decomposition; stretches of the fused engine have the bits
of one long run. Nothing here knows which engine that is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import _validate
from .._normal import standard_normal
from ..dynamics.protocol import Dynamics, initial, with_memory
from ..engines import FUSED_LIMIT, Size, iterate, n_threads, pick
from ..progress import progress_bar

__all__ = ["Carrier", "Stopped", "Stretch", "Zone", "starting_vectors"]

MEMORY = 1 << 26
"""Bytes for what lies between the forward and the backward pass, where the caller names no other limit: more is not faster."""
LEAST_NETWORKS = 16
"""Networks that go together if there are so many: enough to fill the vectors of a few cores."""


def starting_vectors(gd, w0, k: int | None, vectors, seed: int) -> tuple[Dynamics, np.ndarray, np.ndarray]:
    """A map with its tangent map, checked initial conditions (n, p), and k tangent vectors at each, (n, k, p): given, or random."""
    gd, w0 = initial(gd, w0, tangent=True)
    seed = _validate.count("seed", seed)
    p = w0.shape[1]
    k = k if k is None else _validate.count("k", k, 1)
    if vectors is not None:
        vectors = _validate.finite("vectors", with_memory(gd, w0, vectors, "vectors", fresh=True))
        if k is not None and vectors.shape[1] != k:
            raise ValueError(f"vectors must have shape ({len(w0)}, {k}, {p}), got {vectors.shape}")
        k = vectors.shape[1]
    if k is None and p > FUSED_LIMIT:
        raise ValueError(
            f"k, the number of exponents, must be given for maps of more than {FUSED_LIMIT} parameters, got {p}"
        )
    k = p if k is None else k
    if k > p:
        raise ValueError(f"k must be at most the number of parameters, {p}, got {k}")
    if vectors is None:
        vectors = standard_normal(np.random.Generator(np.random.PCG64(seed)), (k, p))
        return gd, w0, np.broadcast_to(vectors, (len(w0), k, p))
    diagonal = np.abs(np.diagonal(np.linalg.qr(vectors.swapaxes(1, 2), mode="r"), axis1=1, axis2=2))
    if (diagonal.min(axis=1) <= 1e-13 * diagonal.max(axis=1)).any():
        raise ValueError("vectors must be linearly independent for every trajectory")
    return gd, w0, vectors


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
    growth : ndarray (n, k, steps / every)
        Sums of ln R_jj between records.
    loss : ndarray (n, steps / every + 1) or None
        Loss, where it was asked for.
    steps : int
        Steps done.
    """

    w: np.ndarray
    q: np.ndarray
    states: np.ndarray
    triangles: np.ndarray
    growth: np.ndarray
    loss: np.ndarray | None
    steps: int

    def cut(self, steps: int, every: int) -> tuple[Stretch, Stretch]:
        """The stretch in two, ``steps`` steps (a multiple of ``every``, between states kept) and the rest."""
        at = steps // every
        head = np.ascontiguousarray(self.states[:, :, at])
        first = self._replace(
            w=head[:, 0],
            q=head[:, 1:],
            states=self.states[:, :, : at + 1],
            triangles=self.triangles[:, :steps],
            steps=steps,
        )
        rest = self._replace(
            states=self.states[:, :, at:], triangles=self.triangles[:, steps:], steps=self.steps - steps
        )
        return first, rest


class Stopped(Exception):
    """Ctrl-C in the middle of a stretch, which is here as far as it came."""

    def __init__(self, stretch: Stretch):
        self.stretch = stretch
        super().__init__("stopped")


class Carrier:
    """Moves trajectories and their vectors.

    Parameters
    ----------
    gd : Dynamics
        The map.
    n : int
        Trajectories in all.
    progress, steps, label
        Of the progress bar: whether it is wanted, its length, its name.
    engine, device, dtype, threads
        As in :func:`~trajlib.ensembles.train`.
    begin : int
        Steps done before all.
    """

    def __init__(
        self, gd: Dynamics, n: int, *, threads: int | None = None, progress: bool | None = False, steps: int = 0, label: str = "",
        engine: str = "auto", device: str | None = None, dtype: str = "float64", begin: int = 0,
    ):  # fmt: skip
        self._begin = _validate.count("start", begin)
        self.gd, self.n, self.threads = gd, n, n_threads(threads)
        self._options: dict[str, Any] = {"engine": engine, "device": device, "dtype": dtype, "threads": threads}
        self.engine = pick(gd, engine, device, dtype, Size(n, n, steps, threads))
        self._bar = progress_bar(progress, steps, label)

    def __enter__(self) -> Carrier:
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.close()

    def _some(self, rows: slice) -> Any:
        """What some of the trajectories are moved by: the map, or its problem with the parameters of these alone."""
        if self.gd.problem is None or self.engine == "generic" or rows == slice(0, self.n):
            return self.gd
        return self.gd.problem.rows((self.n,)).some(rows)

    def parts(self, bytes_each: int, memory: int) -> Iterator[slice]:
        """The trajectories, so many at a time that ``memory`` holds what is kept of them. Those whose map has parameters of its own for
        each, which nothing here can take apart, stay together."""
        apart = self.gd.independent or (self.gd.problem is not None and self.engine != "generic")
        size = max(8, memory // max(1, bytes_each) // 8 * 8) if apart else self.n
        for first in range(0, self.n, size):
            yield slice(first, min(first + size, self.n))

    @property
    def together(self) -> int:
        """Trajectories that travel together at least."""
        return min(self.n, LEAST_NETWORKS) if self.gd.independent or self.gd.problem is not None else self.n

    def __call__(
        self, rows: slice, w, q, steps: int, *, start: int = 0, every: int | None = None, interval: int = 1, snapshot: int = 0,
        triangles: bool = False, loss: bool = False, orthonormal: bool = True,
    ) -> Stretch:  # fmt: skip
        """Carry trajectories ``rows`` from states w (n, p) and vectors q (n, k, p), over ``steps`` steps.

        Growth and the loss are recorded every ``every`` steps (all of them by default), states every ``snapshot`` steps (0: not at
        all), the matrices R if ``triangles``. ``orthonormal`` vectors are taken as they are; others are made so first.

        Raises
        ------
        Stopped
            On Ctrl-C, with the stretch as far as it came.
        """
        n, k, p = q.shape
        record = ({"weights", "copy_weights"} if snapshot else set()) | ({"triangle"} if triangles else set())
        record |= {"loss"} if loss else set()
        out, ran = iterate(
            self._some(rows), w, q, steps=steps, every=every or max(1, steps), snapshot=snapshot or steps + 1, record=record,
            progress=self._bar if self._bar is not None else False, tangent=True, interval=interval, orthonormal=orthonormal,
            start=self._begin + start, **self._options,
        )  # fmt: skip
        stretch = Stretch(
            w=out["reference"],
            q=out["copies"],
            states=out.get("snapshots", np.empty((n, 1 + k, 0, p))),
            triangles=out.get("triangle", np.empty((n, 0, k, k))),
            growth=out["growth"],
            loss=out.get("loss"),
            steps=ran.steps,
        )
        if ran.interrupted:
            raise Stopped(stretch)
        return stretch


class Zone:
    """Some steps of some trajectories, run once forwards; then given piece by piece, the last first.

    Parameters
    ----------
    carrier, rows
        Who moves which trajectories.
    w, q : ndarray (n, p) and (n, k, p)
        States and orthonormal vectors at the start.
    start, steps : int
        Steps done before, and how many.
    every : int
        Steps between states kept; 0 for none.
    length : int
        Steps of a piece, a multiple of ``every``. Where it is less than ``steps``, only the states at the heads of the pieces are kept, and
        the steps are run once more, to the same result.
    """

    def __init__(self, carrier: Carrier, rows: slice, w, q, start: int, steps: int, every: int, length: int):
        self._carrier, self._rows, self._start, self._every, self._length = carrier, rows, start, every, length
        self._whole = steps <= length
        self._run = carrier(
            rows, w, q, steps, start=start, snapshot=every if self._whole else length, triangles=self._whole
        )

    @property
    def w(self) -> np.ndarray:
        """States at the end."""
        return self._run.w

    @property
    def q(self) -> np.ndarray:
        """Orthonormal vectors at the end."""
        return self._run.q

    @property
    def steps(self) -> int:
        """How many."""
        return self._run.steps

    @classmethod
    def of(cls, stretch: Stretch) -> Zone:
        """A stretch that has been run, and kept whole."""
        zone = cls.__new__(cls)
        zone._whole, zone._run = True, stretch
        return zone

    def pieces(self) -> Iterator[tuple[int, Stretch]]:
        """(first step, stretch), from the last piece to the first."""
        if self._whole:
            yield 0, self._run
            return
        for first in range((self.steps - 1) // self._length * self._length, -1, -self._length):
            head = np.ascontiguousarray(self._run.states[:, :, first // self._length])
            steps = min(self._length, self.steps - first)
            yield (
                first,
                self._carrier(
                    self._rows,
                    head[:, 0],
                    head[:, 1:],
                    steps,
                    start=self._start + first,
                    snapshot=self._every,
                    triangles=True,
                ),
            )


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
    n = carrier.together
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
