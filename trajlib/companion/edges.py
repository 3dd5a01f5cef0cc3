"""The edge of stability of any rule: its curvature along training, as a fraction of the largest one at which it is stable."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..ensembles import train
from ..stability.sharpness import sharpness

__all__ = ["AT", "CHAOTIC", "AlongEdge", "PlacedRuns", "at_limit", "follow_edge", "placed", "symplectic_frame"]

AT = 0.2
"""A run is at the edge if its mean sharpness is within a fifth of 2/lr (tools/findings/edge_networks.py)."""
CHAOTIC = 0.01
"""Exponent per step above which a run counts as chaotic, as in chapters 2 and 7."""


class AlongEdge(NamedTuple):
    """Networks (n) along training, at moments (m).

    Attributes
    ----------
    times : ndarray (m,), int
        Steps done.
    ratio : ndarray (n, m)
        Sharpness, for Adam and RMSProp the preconditioned one, over the limit of stability; mean of two consecutive steps, since at the
        edge weights step to and fro. nan where a run has left the range of float64.
    loss : ndarray (n, m)
    """

    times: np.ndarray
    ratio: np.ndarray
    loss: np.ndarray


class PlacedRuns(NamedTuple):
    """Runs (...) of a cell by where they are and what they do; a run that has left the range of float64 is in none of them.

    Attributes
    ----------
    below, at, above : ndarray (...), bool
        Mean sharpness below, at, above 2/lr.
    chaotic, expanding : ndarray (...), bool
        The exponent is above ``CHAOTIC``, or above 0, by ``errors`` standard errors.
    """

    below: np.ndarray
    at: np.ndarray
    above: np.ndarray
    chaotic: np.ndarray
    expanding: np.ndarray


def placed(
    ratio: np.ndarray, exponent: np.ndarray, error: np.ndarray, *, at: float = AT, bound: float = CHAOTIC, errors: float = 2.0
) -> PlacedRuns:  # fmt: skip
    """Where runs are, from their ratios (..., moments), exponents (...) and standard errors (...).

    Examples
    --------
    >>> found = placed(np.array([[0.5, 0.6], [1.0, 1.1], [1.5, 1.4]]), np.array([0.0, 0.05, 0.05]), np.array([0.0, 0.01, 0.03]))
    >>> found.at.tolist(), found.chaotic.tolist()
    ([False, True, False], [False, True, False])
    """
    mean = np.mean(ratio, axis=-1)
    with np.errstate(invalid="ignore"):
        sure = exponent - errors * error
        return PlacedRuns(mean < 1 - at, np.abs(mean - 1) <= at, mean > 1 + at, sure > bound, sure > 0)


def at_limit(make: Any, limit: float, **options: Any) -> Any:
    """A training map ``make(lr=..., **options)`` with the learning rate at which its limit of stability is ``limit``.

    Examples
    --------
    >>> import trajlib as tl
    >>> net, task = tl.Perceptron(4, 10, 3), tl.iris()
    >>> round(at_limit(lambda **o: tl.GradientDescent(net, task, **o), 8.0, momentum=0.9).lr, 6)
    0.475
    """
    return make(lr=make(lr=1.0, **options).rule.stability_limit(1.0) / limit, **options)


def follow_edge(gd: Any, w0: np.ndarray, steps: int, moments: int = 25) -> AlongEdge:
    """Curvature over its limit and loss at evenly spaced moments of training, after 1 step and up to ``steps``.

    Parameters
    ----------
    gd : GradientDescent, Adam, RMSProp
        With a constant learning rate.
    w0 : ndarray (n, p)
    steps : int
        More than ``moments``.
    """
    state, done, ratios, losses = gd.state(w0), 0, [], []
    adaptive = gd.rule.preconditioner(np.zeros((1, gd.rule.slots, gd.n_parameters)), 1) is not None
    times = np.unique(np.round(np.linspace(1, steps, moments)).astype(int))
    for at in times:
        state, done = _moved(gd, state, at - done, done), at
        pair = state, _moved(gd, state, 1, done)
        both = np.stack([_sharpness(gd, z, adaptive, done + i) for i, z in enumerate(pair)])
        ratios.append(both.mean(axis=0) / gd.rule.stability_limit(gd.lr))
        with np.errstate(over="ignore", invalid="ignore"):
            losses.append(gd.loss(gd.weights(state)))
    return AlongEdge(times, np.stack(ratios, axis=1), np.stack(losses, axis=1))


def _moved(gd: Any, state: np.ndarray, steps: int, done: int) -> np.ndarray:
    """States (n, ...) after some steps more; those that are not finite stay so."""
    fine, moved = np.isfinite(state).all(axis=1), np.full_like(state, np.nan)
    if fine.any():
        run = train(gd, state[fine], int(steps), record=("loss",), every=int(steps), start=int(done), progress=False)
        moved[fine] = run.final_state
    return moved


def _sharpness(gd: Any, state: np.ndarray, adaptive: bool, t: int) -> np.ndarray:
    """Of states (n, ...), nan where they have overflowed; the tolerance of Lanczos is far below what the figure shows."""
    fine = np.isfinite(state).all(axis=1) & (np.abs(state).max(axis=1) < 1e100)
    found = np.full(len(state), np.nan)
    if fine.any():
        found[fine] = sharpness(
            gd, state[fine], preconditioned=adaptive, t=int(t) if adaptive else None, tolerance=1e-4
        )
    return found


def symplectic_frame(p: int) -> np.ndarray:
    """Vectors (2 p, 2 p) to start exponents of heavy ball from, so that they pair at every step: e1 ... ep of the weights, then those of
    the memory in the reverse order. Orthonormalised one after the other they stay such a frame, and the growth of vector i is that of
    vector 2 p + 1 - i with the sign turned, beside ln β.

    Examples
    --------
    >>> symplectic_frame(2).argmax(axis=1).tolist()
    [0, 1, 3, 2]
    """
    each = np.eye(2 * p)
    return np.concatenate([each[:p], each[p:][::-1]])
