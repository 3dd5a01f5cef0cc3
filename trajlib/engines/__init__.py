"""How a map is iterated fast. An engine holds the state of one ensemble and moves it; the loop around it is here.

``cpu`` is fused and bit-reproducible, ``torch`` is batched matrix products on any device. Both are driven in pieces short enough to
show progress and to stop between two steps; where the pieces are cut changes nothing in the result.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np

from .. import _validate
from ..progress import progress_bar

__all__ = ["ENGINES", "Problem", "iterate", "n_threads", "pick"]

ENGINES = ("auto", "cpu", "torch")
DTYPES = ("float64", "float32")
FUSED_LIMIT = 20_000
"""Parameters up to which ``auto`` takes the fused engine: beyond, matrix products reuse the cache better than it does."""
SNAPSHOTS = ("weights", "copy_weights", "snapshots")
"""Records of states, which may be made more rarely than the others."""
PIECE = 0.2
"""Seconds between two looks at the keyboard."""


class Problem(NamedTuple):
    """What an engine iterates: gradient descent of networks with one hidden layer (or none), as arrays and numbers.

    Attributes
    ----------
    sizes : tuple of int
        Inputs d, hidden units h (both may be 0: then b2 alone is left), outputs c.
    activation, loss : str
        As in :class:`~trajlib.models.perceptron.Perceptron`.
    x : ndarray (samples, d)
        Inputs.
    targets : ndarray (samples, c) or (networks, 1, c)
        What the outputs should be: the same for all networks, or one sample of its own for each.
    divisor : int
        What the sum of the samples' losses is divided by.
    decay : float
        Weight decay.
    rate : float or ndarray
        Learning rate, one or one a network.
    test : tuple of ndarray (samples, d), ndarray (samples, c) and int, optional
        Inputs, targets and divisor of the test part, for an engine that evaluates it on the way.
    """

    sizes: tuple[int, int, int]
    activation: str
    loss: str
    x: np.ndarray
    targets: np.ndarray
    divisor: int
    decay: float
    rate: float | np.ndarray
    test: tuple[np.ndarray, np.ndarray, int] | None = None

    @property
    def n_parameters(self) -> int:
        """Length of a flat weight vector."""
        d, h, c = self.sizes
        return (d + 1) * h + (h + 1) * c

    @property
    def own_targets(self) -> bool:
        """Whether every network has a target of its own."""
        return self.targets.ndim == 3

    def rows(self, lead: tuple[int, ...]) -> Problem:
        """The problem for networks with leading axes ``lead``, taken as rows: every rate and target written out."""
        rate = np.broadcast_to(self.rate, lead).ravel() if np.ndim(self.rate) else self.rate
        if not self.own_targets:
            return self._replace(rate=rate)
        shape = (1, self.sizes[2])
        return self._replace(rate=rate, targets=np.broadcast_to(self.targets, (*lead, *shape)).reshape(-1, *shape))


def pick(problem: Problem, engine: str = "auto", device: str | None = None, dtype: str = "float64") -> str:
    """The engine that ``engine`` means for this problem: ``"cpu"`` or ``"torch"``.

    Parameters
    ----------
    problem : Problem
        What is to be iterated.
    engine : {"auto", "cpu", "torch"}
        ``auto`` takes ``cpu`` up to 20,000 parameters unless a device or float32 is asked for, else ``torch``.
    device : str, optional
        A torch device, for example ``"cuda"``.
    dtype : {"float64", "float32"}
        What is computed with.

    Raises
    ------
    ValueError
        If a name is unknown, or ``cpu`` is asked for together with another device or float32.
    """
    _validate.choice("engine", engine, ENGINES)
    _validate.choice("dtype", dtype, DTYPES)
    if engine == "cpu" and device not in (None, "cpu"):
        raise ValueError(f"engine='cpu' runs on the CPU only, got device={device!r}; use engine='torch'")
    if engine == "cpu" and dtype != "float64":
        raise ValueError(f"engine='cpu' computes in float64 only, got dtype={dtype!r}; use engine='torch'")
    if engine != "auto":
        return engine
    if device is not None or dtype != "float64":
        return "torch"
    return "cpu" if problem.n_parameters <= FUSED_LIMIT else "torch"


def time_axis(name: str) -> int:
    """Which axis of an engine's array runs over the records: 1, or 2 where there is one of copies; 0 where there is none."""
    if name in ("distance", "growth", "snapshots") or name.startswith("copy_"):
        return 2
    return 1 if name in ("loss", "norm", "weights", "accuracy", "test_loss", "test_accuracy", "gradient_norm") else 0


def during(name: str, start: int, stop: int | None, step: int = 1) -> tuple[slice, ...]:
    """The index of some of the records in an engine's array."""
    return (slice(None),) * time_axis(name) + (slice(start, stop, step),)


def n_threads(threads: int | None) -> int:
    """The number asked for, else TRAJLIB_THREADS, else the cores this process may use."""
    if threads is not None:
        return threads
    given = os.environ.get("TRAJLIB_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def from_disk_cache(compiled, stacklevel: int):
    """``compiled(cache)`` with Numba's cache on disk, or without it where there is no place for one; the caller's user is warned."""
    try:
        return compiled(True)
    except (RuntimeError, OSError) as error:  # no place for a cache, the folder went away, or the disk is full
        warnings.warn(
            f"compiled code cannot be cached on disk ({error}); every new process will compile it again, a few seconds each time. "
            "Set the environment variable NUMBA_CACHE_DIR to a folder that can be written to",
            RuntimeWarning,
            stacklevel=stacklevel,
        )
        return compiled(False)


class Ran(NamedTuple):
    """How a run went: steps done, whether Ctrl-C was pressed, the engine's name, and where it ran in words."""

    steps: int
    interrupted: bool
    engine: str
    device: str


class Run(Protocol):
    """What an engine offers to the loop: one ensemble on its way."""

    seconds_per_step: float

    @property
    def description(self) -> str:
        """Where it runs, in words."""

    def advance(self, start: int, stop: int, last: bool) -> None:
        """Move everything from step ``start`` to ``stop``; record the state at ``stop`` if ``last``."""

    def results(self) -> dict[str, np.ndarray]:
        """Everything recorded, and the state now."""


@contextmanager
def _ctrl_c_waits():
    """Ctrl-C fills the list that this gives, to be looked at between two pieces; pressed again, it interrupts at once."""
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
        yield pressed
        return

    def note(number, frame):
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def iterate(
    problem: Problem, reference, copies=None, *, steps, every=1, snapshot=None, record=frozenset(), engine="auto",
    device=None, threads=None, progress=None, label="steps", tangent=False, interval=0, dtype="float64",
    orthonormal=False,
):  # fmt: skip
    """Apply the map of a problem ``steps`` times to references (n, p) and to their copies, or its tangent map to vectors (n, m, p).

    Records are made every ``every`` steps, those of the weights every ``snapshot`` steps. Tangent vectors that are ``orthonormal``
    already, from an earlier stretch of the fused engine, are taken as they are.

    Returns the engine's arrays (see ``FusedRun.results``), and what ran.
    """
    name = pick(problem, engine, device, dtype)
    run: Run
    snapshot = every if snapshot is None else snapshot
    options = {"steps": steps, "every": every, "snapshot": snapshot, "record": frozenset(record)}
    options |= {"tangent": tangent, "interval": interval}
    if name == "cpu":
        from .fused.cpu import FusedRun

        run = FusedRun(problem, reference, copies, threads=threads, orthonormal=orthonormal, **options)
    else:
        from .torch.run import TorchRun

        run = TorchRun(problem, reference, copies, device=device, dtype=dtype, **options)
    done, pace = 0, run.seconds_per_step
    bar = progress_bar(progress, steps, label)
    try:
        with _ctrl_c_waits() as pressed:
            while True:
                stop = min(steps, done + max(1, int(PIECE / max(pace, 1e-9))))
                began = time.perf_counter()
                run.advance(done, stop, stop == steps)
                if stop > done:
                    pace = 0.5 * (pace + (time.perf_counter() - began) / (stop - done))
                if bar is not None:
                    bar.update(stop - done)
                done = stop
                if done == steps:
                    break
                if pressed:
                    run.advance(done, done, True)
                    break
    finally:
        if bar is not None:
            bar.close()
    results = run.results()
    records = done // every + 1
    if done < steps:
        for key, value in results.items():
            if time_axis(key):
                kept = done // snapshot + 1 if key in SNAPSHOTS else records - (key == "growth")
                results[key] = value[during(key, 0, kept)]
    return results, Ran(done, bool(pressed), name, run.description)
