"""Minibatches: which samples a step sees is a pure function of the seed and of the step's number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = ["Batches"]


@dataclass(frozen=True)
class Batches:
    """The samples of each step.

    Attributes
    ----------
    samples : int
        How many there are.
    size : int
        How many a step takes. Without replacement the last batch of an epoch is smaller where they do not divide.
    seed : int
        Of the order.
    replacement : bool
        Whether each sample of a batch is drawn from all, in place of an order of all that is gone through epoch by epoch.

    Notes
    -----
    The order of epoch e is that of n uniform numbers from ``PCG64(SeedSequence([seed, e]))``; with replacement, step t takes
    floor(n u) for as many of them from ``SeedSequence([seed, t])``. The samples of a batch are added up in their own order, so that one
    batch of all samples is full-batch training to the last bit.
    """

    samples: int
    size: int
    seed: int = 0
    replacement: bool = False

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        return -(-self.samples // self.size)

    def at(self, t: int) -> np.ndarray:
        """Indices of step t's samples, ascending."""
        if self.replacement:
            drawn = _uniform(self.seed, t, self.size)
            return np.sort((drawn * self.samples).astype(np.int64))
        epoch, i = divmod(t, self.per_epoch)
        return np.sort(_order(self.seed, epoch, self.samples)[i * self.size : (i + 1) * self.size])

    def table(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices of steps start ... stop - 1, (steps, size) with -1 behind the last, and how many each has, (steps,)."""
        rows = [self.at(t) for t in range(start, stop)]
        table = np.full((len(rows), self.size), -1, dtype=np.int64)
        for row, indices in zip(table, rows, strict=True):
            row[: len(indices)] = indices
        return table, np.array([len(indices) for indices in rows], dtype=np.int64)


def _uniform(seed: int, number: int, count: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number]))).random(count)


@lru_cache(maxsize=8)
def _order(seed: int, epoch: int, samples: int) -> np.ndarray:
    order = np.argsort(_uniform(seed, epoch, samples), kind="stable")
    order.flags.writeable = False
    return order
