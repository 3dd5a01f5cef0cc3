"""Tangent dynamics: how infinitesimal perturbations travel along a training trajectory.

A tangent vector v at w moves by the Jacobian of the map, v <- J(w) v = v - lr H(w) v. The engines apply H without
forming it (Pearlmutter's R operator), so that a vector costs about as much as a network.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..dynamics.protocol import initial, with_memory
from ..engines import iterate
from ..engines.records import fit_in_memory
from ..progress import Interrupted
from ..results import Result

__all__ = ["Tangent", "tangent"]


@dataclass(frozen=True, eq=False)
class Tangent(
    Result,
    axes={
        "network vector step": "norm",
        "network parameter": "final",
        "network vector parameter": "vectors",
    },
    labels={"step": "times"},
):
    """What :func:`tangent` returns. n networks, k vectors of each, r recorded times, p parameters.

    Attributes
    ----------
    times : ndarray (r,), int
        Recorded steps.
    norm : ndarray (n, k, r)
        L1 norms of the vectors.
    vectors : ndarray (n, k, p)
        The vectors after the last step.
    final : ndarray (n, p)
        The states after the last step.
    steps : int
        Steps done.
    engine, device : str
        What ran, and where.
    """

    times: np.ndarray
    norm: np.ndarray = field(repr=False)
    vectors: np.ndarray = field(repr=False)
    final: np.ndarray = field(repr=False)
    steps: int
    engine: str
    device: str


def tangent(
    gd,
    w0: np.ndarray,
    vectors: np.ndarray,
    steps: int,
    *,
    every: int = 1,
    start: int = 0,
    engine: str = "auto",
    device: str | None = None,
    dtype: str = "float64",
    threads: int | None = None,
    progress: bool | None = None,
) -> Tangent:
    """Carry tangent vectors along training trajectories: the exact linear limit of :func:`~trajlib.ensembles.diverge`.

    Parameters
    ----------
    gd : GradientDescent, SoftmaxMap, or any map with ``step`` or ``__call__``, and ``jvp`` or ``jacobian``
        The map.
    w0 : ndarray (n, p), float64
        Initial conditions.
    vectors : ndarray (n, k, p), float64
        Tangent vectors at each of them; not renormalised on the way.
    steps : int
        How often the map is applied, >= 0.
    every : int
        Steps between recorded norms, >= 1.
    start : int
        Steps done before: what schedules, minibatches and Adam's corrections go by.
    engine, device, dtype, threads, progress
        As in :func:`~trajlib.ensembles.train`.

    Returns
    -------
    Tangent

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    MemoryError
        If the norms do not fit into memory.
    Interrupted
        On Ctrl-C, with the result so far.

    References
    ----------
    B. A. Pearlmutter, Neural Computation 6 (1994) 147.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=0.01)
    >>> w0 = gd.network.init(3, seed=0)
    >>> tl.tangent(gd, w0, np.ones((3, 2, 83)), steps=10).norm.shape
    (3, 2, 11)
    """
    gd, w0 = initial(gd, w0, tangent=True)
    n = len(w0)
    threads = _validate.threads(threads)
    vectors = _validate.finite("vectors", with_memory(gd, w0, vectors, "vectors", fresh=True))
    steps, every = _validate.count("steps", steps), _validate.count("every", every, 1)
    fit_in_memory(n, steps // every + 1, vectors.shape[1])
    out, ran = iterate(
        gd, w0, vectors, steps=steps, every=every, record=("distance",), engine=engine, device=device, dtype=dtype,
        threads=threads, progress=progress, label="tangent", tangent=True, start=_validate.count("start", start),
    )  # fmt: skip
    times = np.arange(0, ran.steps + 1, every)
    result = Tangent(times, out["distance"], out["copies"], out["reference"], ran.steps, ran.engine, ran.device)
    if ran.interrupted:
        raise Interrupted(result)
    return result
