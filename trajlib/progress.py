"""How far long work has come: a bar for people, or calls of a function for other programs, which can also stop the work.

What was done when Ctrl-C was pressed comes with the exception, :class:`Interrupted`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

__all__ = ["Interrupted", "report_progress"]

DELAY = 1.0
"""Seconds before a progress bar appears."""
_listener: ContextVar[Callable[[str, int, int], object] | None] = ContextVar("listener", default=None)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a long call. ``result`` holds what was done: shorter, or with nan where nothing was done yet; the message says which.

    After :func:`~trajlib.ensembles.train` and :func:`~trajlib.ensembles.diverge`, go on from ``result.final``.
    """

    def __init__(self, result, done: str = ""):
        self.result = result
        done = done or f"after {result.steps} steps"
        super().__init__(f"stopped {done}; the result so far is in .result of this exception")


@contextmanager
def report_progress(listener: Callable[[str, int, int], object]) -> Iterator[None]:
    """Within this context, long work reports to a function instead of showing a progress bar.

    Other threads are not affected. Calls with ``progress=False`` stay silent.

    Parameters
    ----------
    listener : callable
        Called as ``listener(label, done, total)``, several times a second, in the thread that does the work. What it raises stops the work
        and comes out of the call. Where code has to be compiled for more than a second before anything can begin, it is called as
        ``listener("compiling", 0, total)``, from another thread.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0)
    >>> with tl.report_progress(lambda label, done, total: print(label, done, "of", total)):
    ...     run = tl.train(gd, gd.network.init(2, seed=0), 10)
    train 10 of 10
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class _Reporter:
    """What callers use of a tqdm bar."""

    def __init__(self, listener: Callable[[str, int, int], object], total: int, label: str):
        self.listener, self.total, self.label, self.n = listener, total, label, 0

    def update(self, n: int = 1) -> None:
        self.n += n
        self.listener(self.label, self.n, self.total)

    def reset(self, total: int | None = None) -> None:
        self.n, self.total = 0, self.total if total is None else total

    def close(self) -> None:
        pass


class _NotebookLine:
    """Where tqdm writes in a kernel: one output that is replaced, and one line in a notebook that is executed to a file."""

    def __init__(self) -> None:
        self._handle: Any = None

    def write(self, text: str) -> None:
        line = text.rpartition("\r")[2].strip("\n\x1b[A")
        if not line.strip():
            return
        from IPython.display import display

        if self._handle is None:
            self._handle = display({"text/plain": line}, raw=True, display_id=True)
        else:
            self._handle.update({"text/plain": line}, raw=True)

    def flush(self) -> None:
        pass


def _in_kernel() -> bool:
    """Whether this is a cell of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


def progress_bar(progress: bool | None, total: int, label: str):
    """A tqdm bar that appears after a second, in notebooks and terminals, or what reports to a function; None where none is wanted."""
    listener = _listener.get()
    if listener is not None and progress is not False:
        return _Reporter(listener, total, label)
    kernel = _in_kernel()
    if progress is None:
        progress = os.environ.get("TRAJLIB_PROGRESS", "on") != "off" and (sys.stderr.isatty() or kernel)
    if not progress:
        return None
    from tqdm import tqdm

    options = {"file": _NotebookLine(), "leave": True, "ncols": 80} if kernel else {"leave": False}
    return tqdm(total=total, desc=label, unit="step", delay=DELAY, mininterval=0.2, **options)


@contextmanager
def set_up(bar) -> Iterator[None]:
    """Work before the first step, such as compiling: announced if it takes more than a second, and not counted in the time that is left."""
    if bar is None:
        yield
        return

    def announce() -> None:
        if isinstance(bar, _Reporter):
            with suppress(Exception):  # it wants the work to stop, and will say so again, in the thread that works
                bar.listener("compiling", 0, bar.total)
        else:
            bar.delay = 0
            bar.set_description_str(f"{label}: compiling")

    label = getattr(bar, "desc", "")
    timer = threading.Timer(DELAY, announce)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # else it could still be writing
        if not isinstance(bar, _Reporter):
            if bar.desc != label:
                bar.set_description_str(label)
            bar.unpause()
