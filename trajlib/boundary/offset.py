"""Training with an offset that is added to the first layer at every step: the fused engine's networks, moved by it between two steps."""

from __future__ import annotations

import numpy as np

from ..engines import Problem
from ..engines.fused.cpu import FusedRun
from ..engines.fused.lanes import LANES

__all__ = ["OffsetRun"]


class OffsetRun(FusedRun):
    """A :class:`FusedRun` of networks alone whose weights of the first layer get ``offset`` (n,) added after every step.

    A state is what the loss and the gradient are taken at: the first one has its offset already.
    """

    def __init__(self, problem: Problem, reference: np.ndarray, offset: np.ndarray, **options):
        super().__init__(problem, reference, None, **options)
        groups = len(self._state)
        weights = problem.sizes[0] * problem.sizes[1]
        self._moved = self._state.reshape(groups, self._slots, LANES)[:, :weights]
        padded = np.zeros(groups * LANES)
        padded[: len(offset)] = offset
        self._offset = padded.reshape(groups, 1, LANES)

    def advance(self, start: int, stop: int, last: bool) -> None:
        """Move everything from step ``start`` to ``stop``."""
        for t in range(start, stop):
            super().advance(t, t + 1, False)
            with np.errstate(all="ignore"):
                self._moved += self._offset
        if last:
            super().advance(stop, stop, True)
