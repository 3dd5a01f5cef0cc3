"""How a map is iterated fast. An engine holds the state of one ensemble and moves it; the loop around it is here.

``cpu`` is fused and bit-reproducible, ``torch`` is batched matrix products on any device. Both are driven in pieces short enough to
show progress and to stop between two steps; where the pieces are cut changes nothing in the result.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np

from .. import _validate

__all__ = ["ENGINES", "iterate", "pick"]

ENGINES = ("auto", "cpu", "torch")
FUSED_LIMIT = 20_000
"""Parameters up to which ``auto`` takes the fused engine: beyond, matrix products reuse the cache better than it does."""
PIECE = 0.2
"""Seconds between two looks at the keyboard."""
BAR_DELAY = 1.0
"""Seconds before a progress bar appears."""


def pick(gd, engine: str = "auto", device: str | None = None) -> str:
    """The engine that ``engine`` means for this map: ``"cpu"`` or ``"torch"``.

    Parameters
    ----------
    gd : GradientDescent
        The map.
    engine : {"auto", "cpu", "torch"}
        ``auto`` takes ``cpu`` up to 20,000 parameters unless a device is named, else ``torch``.
    device : str, optional
        A torch device, for example ``"cuda"``.

    Raises
    ------
    ValueError
        If the engine is unknown, or ``cpu`` is asked for together with another device.
    """
    _validate.choice("engine", engine, ENGINES)
    if engine == "cpu" and device not in (None, "cpu"):
        raise ValueError(f"engine='cpu' runs on the CPU only, got device={device!r}; use engine='torch'")
    if engine != "auto":
        return engine
    if device is not None:
        return "torch"
    return "cpu" if gd.network.n_parameters <= FUSED_LIMIT else "torch"


def _bar(progress: bool | None, steps: int, label: str):
    """A tqdm bar that appears after a second, in notebooks and terminals; None where none is wanted."""
    if progress is None:
        progress = os.environ.get("TRAJLIB_PROGRESS", "on") != "off" and (
            sys.stderr.isatty() or "ipykernel" in sys.modules
        )
    if not progress:
        return None
    from tqdm import tqdm

    return tqdm(total=steps, desc=label, unit="step", delay=BAR_DELAY, leave=False, mininterval=0.2)


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
    gd, reference, copies=None, *, steps, every=1, record=frozenset(), engine="auto", device=None, threads=None,
    progress=None, label="steps", tangent=False, interval=0,
):  # fmt: skip
    """Apply a map ``steps`` times to references (n, p) and to their copies, or its tangent map to vectors (n, m, p).

    Returns the engine's arrays (see ``FusedRun.results``), and what ran.
    """
    name = pick(gd, engine, device)
    if tangent and name != "cpu":
        raise ValueError(f"tangent vectors are carried by the fused engine, engine='cpu', alone; got engine={name!r}")
    run: Run
    options = {"steps": steps, "every": every, "record": frozenset(record)}
    if name == "cpu":
        from .cpu import FusedRun

        run = FusedRun(gd, reference, copies, threads=threads, tangent=tangent, interval=interval, **options)
    else:
        from .torch import TorchRun

        run = TorchRun(gd, reference, copies, device=device, **options)
    done, pace = 0, run.seconds_per_step
    bar = _bar(progress, steps, label)
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
        for key in ("loss", "norm", "weights"):
            results |= {key: results[key][:, :records]} if key in results else {}
        for key in ("distance", "growth"):
            results |= {key: results[key][:, :, : records - (key == "growth")]} if key in results else {}
    return results, Ran(done, bool(pressed), name, run.description)
