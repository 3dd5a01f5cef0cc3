"""How far long work has come: a bar for people, or calls of a function for other programs, which can also stop the work."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["report_progress"]

DELAY = 1.0
"""Seconds before a progress bar appears."""
_listener: ContextVar[Callable[[str, int, int], object] | None] = ContextVar("listener", default=None)


@contextmanager
def report_progress(listener: Callable[[str, int, int], object]) -> Iterator[None]:
    """Within this context, long work reports to a function instead of showing a progress bar.

    Other threads are not affected. Calls with ``progress=False`` stay silent.

    Parameters
    ----------
    listener : callable
        Called as ``listener(label, done, total)``, several times a second, in the thread that does the work. What it raises stops the work
        and comes out of the call.

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


def progress_bar(progress: bool | None, total: int, label: str):
    """A tqdm bar that appears after a second, in notebooks and terminals, or what reports to a function; None where none is wanted."""
    listener = _listener.get()
    if listener is not None and progress is not False:
        return _Reporter(listener, total, label)
    if progress is None:
        progress = os.environ.get("TRAJLIB_PROGRESS", "on") != "off" and (
            sys.stderr.isatty() or "ipykernel" in sys.modules
        )
    if not progress:
        return None
    from tqdm import tqdm

    return tqdm(total=total, desc=label, unit="step", delay=DELAY, leave=False, mininterval=0.2)
