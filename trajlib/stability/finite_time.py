"""Finite-time Lyapunov exponents: how fast perturbations have grown up to each step of a run, not only in its limit.

The exponents from orthonormal vectors depend on where the vectors started; the singular values of the accumulated product do not, and are
what the exponents mean while the vectors have not aligned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..engines import registered
from ..engines.records import fit_in_memory
from ..progress import Interrupted
from ..results import Result
from .carrier import MEMORY, Carrier, Stopped, starting_vectors

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
        Loss at these steps; None for a map whose engine does not record it.
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
    start: int = 0,
    engine: str = "auto",
    device: str | None = None,
    dtype: str = "float64",
    threads: int | None = None,
    progress: bool | None = None,
) -> FiniteTimeExponents:
    """The k largest finite-time Lyapunov exponents at recorded steps of every trajectory, with the loss, by Benettin's method.

    Parameters
    ----------
    gd : GradientDescent, SoftmaxMap, or any map with ``step`` or ``__call__``, and ``jvp`` or ``jacobian``
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
    start : int
        Steps done before: what schedules, minibatches and Adam's corrections go by.
    engine, device, dtype, threads, progress
        As in :func:`~trajlib.ensembles.train`.

    Returns
    -------
    FiniteTimeExponents
        nan from the step on at which a trajectory leaves the range of float64, or a direction shrinks in one step by more than 1e-13
        beside the leading one and is lost in rounding; -inf from the step on at which it is wiped out.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a map has no ``jacobian``.
    MemoryError
        If the result does not fit into memory.
    Interrupted
        On Ctrl-C, with what is known: nan where a trajectory had not come.

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
    threads, singular_values = _validate.threads(threads), _validate.flag("singular_values", singular_values)
    gd, w0, q0 = starting_vectors(gd, w0, k, vectors, seed)
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
    carrier = Carrier(
        gd, n, threads=threads, progress=progress, steps=n * steps, label="finite-time exponents", engine=engine, device=device,
        dtype=dtype, begin=start,
    )  # fmt: skip
    exponents, final, kept = (np.full(shape, np.nan) for shape in ((n, len(times), k), (n, p), (n, k, p)))
    singular = np.full((n, len(times), p), np.nan) if singular_values else None
    loss = np.full((n, len(times)), np.nan) if "loss" in registered(carrier.engine).records else None
    stopped, result = None, FiniteTimeExponents(times, exponents, loss, singular, final, kept)
    with carrier, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for rows in carrier.parts(8 * steps * (k + 1 + (k * k if singular_values else 0)), memory):
            try:
                run = carrier(
                    rows,
                    w0[rows],
                    q0[rows],
                    steps,
                    every=1,
                    triangles=singular_values,
                    loss=loss is not None,
                    orthonormal=False,
                )
            except Stopped as stop:
                run = stopped = stop.stretch
            known = times[times <= run.steps]
            r = len(known)
            final[rows], kept[rows] = run.w, run.q
            sums = np.add.accumulate(run.growth, axis=-1)  # one after the other, whatever is recorded
            exponents[rows, :r] = sums[..., known - 1].swapaxes(1, 2) / known[:, None]
            if loss is not None and run.loss is not None:
                loss[rows, :r] = run.loss[:, known]
            if singular is not None:
                from ..engines.fused.triangular import singular_logarithms

                out = np.empty((len(sums), r, p))
                singular_logarithms(run.triangles, known, out, carrier.threads)
                singular[rows, :r] = out / known[:, None]
            if stopped is not None:
                raise Interrupted(
                    result, f"after {rows.start} of {n} trajectories and {run.steps} steps of the next {len(sums)}"
                )
    return result


def recorded_steps(name: str, given, minimum: int, maximum: int) -> np.ndarray:
    """Ascending steps from ``minimum`` to ``maximum``, as an array of integers."""
    steps = np.asarray(given)
    if steps.ndim != 1 or steps.size == 0 or steps.dtype.kind not in "iu":
        raise TypeError(f"{name} must be a list of steps such as [15, 100, 400], got {_validate.shown(given)}")
    if steps.min() < minimum or steps.max() > maximum or (np.diff(steps) <= 0).any():
        raise ValueError(f"{name} must be ascending steps from {minimum} to {maximum}, got {_validate.shown(given)}")
    return steps.astype(np.int64)
