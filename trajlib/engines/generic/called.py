"""Any map, moved by calling it: NumPy's operations on all trajectories at once, LAPACK's QR decomposition."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import RESOLVED, WIPED_OUT, Plan

__all__ = ["CalledRun", "logarithms"]

SECONDS_PER_STEP = 1e-5
"""A rough guess: pieces are timed from then on."""
AT_ONCE = 1 << 14
"""Diagonal entries of R whose logarithms are taken together: enough to pay for the call, and few enough for the cache."""


def logarithms(diagonal: np.ndarray) -> np.ndarray:
    """ln R_jj of a QR decomposition, (..., k): -inf where a direction is wiped out, nan where it is lost in rounding."""
    size = np.abs(diagonal)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(size)
        if not size.min() >= max(RESOLVED * size.max(), WIPED_OUT):  # some may be; nan is looked at too
            found[size < RESOLVED * size.max(axis=-1, keepdims=True)] = np.nan
            found[size < WIPED_OUT] = -np.inf
        return found


class CalledRun:
    """One ensemble on its way, by calls of ``step`` and ``jvp``. Records are those of the fused engine that need no loss.

    Parameters
    ----------
    what : Dynamics
        The map.
    plan : Plan
        What to do.
    """

    def __init__(self, what, plan: Plan):
        self._what, self._plan = what, plan
        self._w = plan.reference.copy()
        self._others: Any = None if plan.copies is None else np.array(plan.copies)
        n, p = self._w.shape
        m = 0 if self._others is None else self._others.shape[1]
        records, states = plan.steps // plan.every + 1, plan.steps // plan.snapshot + 1
        self._out: dict[str, np.ndarray] = {}
        if "copy_weights" in plan.record:
            self._out["snapshots"] = whole = np.full((n, 1 + m, states, p), np.nan)
            self._out |= {"weights": whole[:, 0], "copy_weights": whole[:, 1:]}
        elif "weights" in plan.record:
            self._out["weights"] = np.full((n, states, p), np.nan)
        if "norm" in plan.record:
            self._out["norm"] = np.full((n, records), np.nan)
        if "distance" in plan.record:
            self._out["distance"] = np.full((n, m, records), np.nan)
        self._growth = np.zeros((n, m, plan.steps // plan.every if plan.interval else 0))
        if "triangle" in plan.record:
            self._out["triangle"] = np.zeros((n, plan.steps // plan.interval, m, m))
        self._nonfinite = np.full((n, 1 + m), -1, dtype=np.int64)
        self._diagonals: list[np.ndarray] = []
        self._slots: list[int] = []
        self._at_once = max(1, AT_ONCE // max(1, n * m))
        self._signed = not plan.record.isdisjoint(
            {"triangle", "copy_weights"}
        )  # who keeps these wants no negative R_jj
        self.seconds_per_step = SECONDS_PER_STEP

    @property
    def description(self) -> str:
        """What ran, for the result."""
        return getattr(self._what, "description", None) or "NumPy, by calling the map"

    def prepare(self) -> None:
        """Nothing."""

    def advance(self, start: int, stop: int, last: bool) -> None:
        """Move everything from step ``start`` to ``stop``."""
        plan = self._plan
        with np.errstate(all="ignore"):
            if start == 0 and plan.tangent and plan.interval and not plan.orthonormal:
                self._orthonormalise()
            for t in range(start, stop):
                self._record(t)
                self._move(plan.start + t)
                if not plan.interval:
                    self._look(t + 1)
                elif (t + 1) % plan.interval == 0:
                    self._diagonals.append(self._orthonormalise(t // plan.interval))
                    self._slots.append(t // plan.every)
                    if len(self._slots) == self._at_once:
                        self._add_up()
            if plan.interval:
                self._add_up()
                self._look(stop)
            if last:
                self._record(stop)

    def _add_up(self) -> None:
        """Add the logarithms of what has been put aside to the growth: those of many steps are taken at once."""
        if self._slots:
            heads = np.flatnonzero(np.diff(self._slots, prepend=-1))  # where a new record begins
            sums = np.add.reduceat(logarithms(np.array(self._diagonals)), heads)
            self._growth[..., np.array(self._slots)[heads]] += np.moveaxis(sums, 0, -1)
            self._diagonals.clear()
            self._slots.clear()

    def _move(self, t: int) -> None:
        what, plan = self._what, self._plan
        if plan.tangent:
            self._w, self._others = what.push(self._w, self._others, t)
            return
        n, p = self._w.shape
        if self._others is not None and what.independent:  # references and copies are one batch
            moved = what.step(np.concatenate([self._w, self._others.reshape(-1, p)]), t)
            self._w, self._others = moved[:n], moved[n:].reshape(self._others.shape)
            return
        if self._others is not None:  # copy number j of all states: each stays with the parameters of its place
            self._others = np.stack(
                [what.step(np.ascontiguousarray(self._others[:, j]), t) for j in range(self._others.shape[1])], axis=1
            )
        self._w = what.step(self._w, t)

    def _orthonormalise(self, number: int | None = None) -> np.ndarray:
        """Make the vectors of each state orthonormal; return the diagonal of R (n, k) up to its signs, and keep R where it is asked for."""
        columns, r = np.linalg.qr(self._others.swapaxes(1, 2))
        diagonal = np.diagonal(r, axis1=1, axis2=2)
        if self._signed:
            sign = np.copysign(1.0, diagonal)
            columns *= sign[:, None]
            if number is not None and "triangle" in self._out:
                self._out["triangle"][:, number] = r * sign[:, :, None]
        self._others = columns.swapaxes(1, 2)
        return diagonal

    def _look(self, t: int) -> None:
        """Note who has left the finite numbers."""
        members = [self._w[:, None]] if self._others is None or self._plan.tangent else [self._w[:, None], self._others]
        for first, some in zip((0, 1), members, strict=False):
            gone = ~np.isfinite(some).all(axis=-1)
            if gone.any():
                before = self._nonfinite[:, first : first + some.shape[1]]
                before[gone & (before < 0)] = t

    def _record(self, t: int) -> None:
        plan, out = self._plan, self._out
        if t % plan.snapshot == 0:
            if "weights" in out:
                out["weights"][:, t // plan.snapshot] = self._w
            if "copy_weights" in out:
                out["copy_weights"][:, :, t // plan.snapshot] = self._others
        if t % plan.every:
            return
        if "norm" in out:
            out["norm"][:, t // plan.every] = np.abs(self._w[:, : self._what.n_parameters]).sum(axis=-1)
        if "distance" in out:
            apart = self._others if plan.tangent else self._others - self._w[:, None]
            out["distance"][:, :, t // plan.every] = np.abs(apart[..., : self._what.n_parameters]).sum(axis=-1)

    def results(self) -> dict[str, np.ndarray]:
        """Recorded arrays, the state now (reference, copies) and the first non-finite steps."""
        others = np.empty((len(self._w), 0, self._w.shape[1])) if self._others is None else self._others
        return self._out | {
            "reference": self._w,
            "copies": np.ascontiguousarray(others),
            "growth": self._growth,
            "nonfinite": self._nonfinite,
        }
