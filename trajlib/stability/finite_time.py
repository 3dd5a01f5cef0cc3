"""Finite-time Lyapunov exponents: how fast perturbations have grown up to each step of a run, not only in its limit.

The exponents from orthonormal vectors depend on where the vectors started; the singular values of the accumulated product do not, and are
what the exponents mean while the vectors have not aligned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..engines import iterate
from ..engines.records import fit_in_memory
from ..results import Result
from .carrier import MEMORY, Carrier, starting_vectors

__all__ = ["FiniteTimeExponents", "finite_time_exponents", "recorded_steps"]


@dataclass(frozen=True, eq=False)
class FiniteTimeExponents(
    Result,
    axes={
        "network step vector": "exponent=exponents",
        "network step": "loss",
        "network step value": "singular_exponent=singular_exponents",
        "network parameter": "final",
        "network vector parameter": "vectors",
    },
    labels={"step": "times"},
):
    """What :func:`finite_time_exponents` returns. n trajectories, r recorded steps, k vectors, p parameters.

    Attributes
    ----------
    times : ndarray (r,), int
        Recorded steps, from 1 on.
    exponents : ndarray (n, r, k)
        (1 / t) times the sum of ln R_jj over the first t steps, per step, in the order of the vectors.
    loss : ndarray (n, r) or None
        Loss at these steps; None for a map that is no training map.
    singular_exponents : ndarray (n, r, p) or None
        (1 / t) ln of the singular values of the product of the first t Jacobians, per step, largest first; None where not asked for.
    final : ndarray (n, p)
        The states after the last step.
    vectors : ndarray (n, k, p)
        The orthonormal vectors after the last step.
    """

    times: np.ndarray
    exponents: np.ndarray = field(repr=False)
    loss: np.ndarray | None = field(repr=False)
    singular_exponents: np.ndarray | None = field(repr=False)
    final: np.ndarray = field(repr=False)
    vectors: np.ndarray = field(repr=False)


def finite_time_exponents(
    gd,
    w0: np.ndarray,
    steps: int,
    *,
    at: Sequence[int] | np.ndarray | None = None,
    every: int = 1,
    k: int | None = None,
    singular_values: bool = False,
    vectors: np.ndarray | None = None,
    seed: int = 0,
    memory: int = MEMORY,
    threads: int | None = None,
    progress: bool | None = None,
) -> FiniteTimeExponents:
    """The k largest finite-time Lyapunov exponents at recorded steps of every trajectory, with the loss, by Benettin's method.

    Parameters
    ----------
    gd : GradientDescent, SoftmaxMap, or any map with ``__call__`` and ``jacobian``
        The map.
    w0 : ndarray (n, p), float64
        Initial conditions.
    steps : int
        How often the map is applied, >= 1.
    at : sequence of int, optional
        Steps at which to record, ascending, from 1 to ``steps``.
    every : int
        Steps between records, where ``at`` is not given.
    k : int, optional
        How many exponents; all p by default.
    singular_values : bool
        Also give the exponents from the singular values of the product of the Jacobians (all p of them: ``k`` must be left out). They are
        accurate however far apart they are, and do not depend on the starting vectors.

    Other Parameters
    ----------------
    vectors : ndarray (n, k, p), optional
        Vectors to start from, linearly independent; random ones by default.
    seed : int
        Of the random vectors.
    memory : int
        Bytes for what is kept of the networks that travel together. Changes no bit of the result.
    threads : int, optional
        Of the fused engine; all cores by default. Changes no bit of the result.
    progress : bool, optional
        Show a progress bar; by default in terminals and notebooks, after a second.

    Returns
    -------
    FiniteTimeExponents
        nan from the step on at which a trajectory leaves the range of float64.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a map has no ``jacobian``.
    MemoryError
        If the result does not fit into memory.

    Notes
    -----
    Training maps run in the fused engine: gradient, Hessian times each vector, modified Gram-Schmidt and logarithms, all in one
    bit-reproducible loop. The bits at a step do not depend on which other steps are recorded.

    References
    ----------
    G. Benettin, L. Galgani, A. Giorgilli, J.-M. Strelcyn, Meccanica 15 (1980) 9.

    Examples
    --------
    >>> from trajlib.dynamics.reference import LinearMap
    >>> shear = LinearMap(np.array([[1.0, 1.0], [0.0, 1.0]]))
    >>> run = finite_time_exponents(shear, np.zeros((1, 2)), 100, at=[1, 100], singular_values=True)
    >>> run.times.tolist(), run.singular_exponents[0, 0].round(4).tolist()  # of one shear: the golden ratio
    ([1, 100], [0.4812, -0.4812])
    """
    threads = _validate.threads(threads)
    w0, q0 = starting_vectors(gd, w0, k, vectors, seed)
    n, k, p = q0.shape
    steps, memory = _validate.count("steps", steps, 1), _validate.count("memory", memory, 1)
    if at is None:
        every = _validate.count("every", every, 1)
        times = np.arange(min(every, steps), steps + 1, every)
    else:
        times = recorded_steps("at", at, 1, steps)
    if singular_values and k < p:
        raise ValueError(f"singular_values needs all {p} vectors, got k = {k}; leave k out")
    fit_in_memory(n, len(times), k + (p if singular_values else 0) + 1)
    carrier = Carrier(gd, n, threads, progress, n * steps, "finite-time exponents")
    exponents, final, kept = np.empty((n, len(times), k)), np.empty((n, p)), np.empty((n, k, p))
    singular = np.empty((n, len(times), p)) if singular_values else None
    loss = np.empty((n, len(times))) if carrier.fused else None
    with carrier, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for rows in carrier.parts(8 * steps * (k + 1 + (k * k if singular_values else 0)), memory):
            growth, some, final[rows], kept[rows], triangles = _grow(
                carrier, rows, w0[rows], q0[rows], steps, singular_values
            )
            np.add.accumulate(growth, axis=-1, out=growth)  # one after the other, whatever is recorded
            exponents[rows] = growth[..., times - 1].swapaxes(1, 2) / times[:, None]
            if loss is not None:
                loss[rows] = some[:, times]
            if singular is not None:
                from ..engines.fused.triangular import singular_logarithms

                out = np.empty((len(growth), len(times), p))
                singular_logarithms(triangles, times, out, carrier.threads)
                singular[rows] = out / times[:, None]
    return FiniteTimeExponents(times, exponents, loss, singular, final, kept)


def recorded_steps(name: str, given, minimum: int, maximum: int) -> np.ndarray:
    """Ascending steps from ``minimum`` to ``maximum``, as an array of integers."""
    steps = np.asarray(given)
    if steps.ndim != 1 or steps.size == 0 or steps.dtype.kind not in "iu":
        raise TypeError(f"{name} must be a list of steps such as [15, 100, 400], got {given!r}")
    if steps.min() < minimum or steps.max() > maximum or (np.diff(steps) <= 0).any():
        raise ValueError(f"{name} must be ascending steps from {minimum} to {maximum}, got {given!r}")
    return steps.astype(np.int64)


def _grow(carrier: Carrier, rows: slice, w, q, steps: int, triangles: bool):
    """ln R_jj of each step (n, k, steps), the loss (n, steps + 1), the end, and the matrices R if ``triangles``."""
    if not carrier.fused:
        run = carrier(rows, w, q, steps, triangles=True, orthonormal=False)
        growth = np.log(np.diagonal(run.triangles, axis1=2, axis2=3)).swapaxes(1, 2).copy()
        return growth, None, run.w, run.q, run.triangles
    record = {"loss", "triangle"} if triangles else {"loss"}
    out, ran = iterate(
        carrier.problem(rows), w, q, steps=steps, record=record, engine="cpu", threads=carrier.threads,
        progress=False, tangent=True, interval=1,
    )  # fmt: skip
    if ran.interrupted:
        raise KeyboardInterrupt
    carrier.tick(steps * len(w))
    return out["growth"], out["loss"], out["reference"], out["copies"], out.get("triangle")
