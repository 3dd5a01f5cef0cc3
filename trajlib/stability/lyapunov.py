"""Lyapunov exponents from the exact tangent dynamics, after Benettin: carry vectors, make them orthonormal, add up what that took.

For training maps this happens inside the engine's loop, with Hessian-vector products in place of Hessians; the fused engine's
results are bit-reproducible. Any other map needs a ``jvp`` or a ``jacobian``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..engines.records import fit_in_memory
from ..progress import Interrupted
from ..results import Result
from .carrier import Carrier, Stopped, starting_vectors

__all__ = ["Spectrum", "lyapunov_spectrum"]

LEAST_BLOCKS = 4
NEUTRAL = 1e-4
"""Share of the largest exponent's modulus above which no sum of exponents counts as 0, however large its error."""
ALIGNED = 1e-3
"""Part of an exponent by which the alignment of the first vectors may have moved it and it still counts as converged."""


@dataclass(frozen=True, eq=False)
class Spectrum(
    Result,
    axes={
        "network vector": "exponent=exponents standard_error resolved",
        "network": "converged kaplan_yorke",
        "network vector step": "growth running",
        "network parameter": "final",
        "network vector parameter": "vectors",
    },
    labels={"step": "times"},
):
    """What :func:`lyapunov_spectrum` returns. n trajectories, k exponents, b blocks of equal length in time.

    Attributes
    ----------
    exponents : ndarray (n, k)
        Per step, mean over the run after the transient, largest first (the order of the vectors; where two are close, estimates may swap).
    standard_error : ndarray (n, k)
        From block averages, for the mean over an infinitely long run. It means nothing for a transient that the run has not outlived.
    resolved : ndarray (n, k), bool
        Whether the exponent is a number that the arithmetic can know. Where it is False the exponent is nan: the direction shrank, between
        two orthonormalisations, by more than 1e-13 beside the leading one, so that all that was left of it is rounding; or the trajectory
        left the range of float64. A direction that is wiped out altogether is resolved, with exponent -inf.
    converged : ndarray (n,), bool
        Whether all exponents are resolved, the two halves of the run agree within four standard errors of their difference, and the
        vectors had aligned: the first block agrees with those of the second half within five of their standard deviations, or the mean
        over all blocks with theirs within a thousandth. (Random first vectors take a while to align; ``transient`` leaves that out.)
    times : ndarray (b,), int
        Step at the end of each block, counted from the initial condition.
    growth : ndarray (n, k, b)
        Mean growth rate within each block, per step: the history.
    final : ndarray (n, p)
        The states at the end.
    vectors : ndarray (n, k, p)
        The orthonormal vectors at the end.
    """

    exponents: np.ndarray
    standard_error: np.ndarray = field(repr=False)
    resolved: np.ndarray = field(repr=False)
    converged: np.ndarray = field(repr=False)
    times: np.ndarray = field(repr=False)
    growth: np.ndarray = field(repr=False)
    final: np.ndarray = field(repr=False)
    vectors: np.ndarray = field(repr=False)

    @property
    def running(self) -> np.ndarray:
        """Finite-time exponents from the end of the transient up to each of ``times``, (n, k, b)."""
        return np.cumsum(self.growth, axis=-1) / np.arange(1, self.growth.shape[-1] + 1)

    @property
    def kaplan_yorke(self) -> np.ndarray:
        """Kaplan-Yorke dimension, (n,): j + (λ1 + ... + λj) / \\|λj+1\\| with the last j whose sum is not negative.

        A sum counts as 0 where it is nearer to 0 than its error: rounding, and twice its standard error, as far as that is below 1e-4 of
        the largest exponent's modulus (a larger one says only that the run is short). So a rotation of the plane has 2 and the identity
        p. 0 where the largest exponent is negative; nan where an exponent that is needed is not resolved, and where all
        k computed exponents sum to a positive number and k < p.
        """
        order = np.argsort(-self.exponents, axis=1, kind="stable")  # nan last
        ordered = np.take_along_axis(self.exponents, order, axis=1)
        growth = np.take_along_axis(self.growth, order[..., None], axis=1)
        n, k, blocks = growth.shape
        with np.errstate(invalid="ignore", divide="ignore"):
            sums = np.cumsum(ordered, axis=1)
            of_sums = np.cumsum(growth, axis=1)
            error = 2 * of_sums.std(axis=-1, ddof=1) / np.sqrt(blocks) if blocks > 1 else np.zeros((n, k))
            size = np.where(np.isfinite(ordered), np.abs(ordered), 0.0)
            error = np.minimum(np.where(np.isfinite(error), error, 0.0), NEUTRAL * size.max(axis=1, keepdims=True))
            error += 1e-12 * np.maximum(1.0, np.cumsum(size, axis=1))
            sums = np.where(np.abs(sums) <= error, 0.0, sums)
            j = (sums >= 0).cumprod(axis=1).sum(axis=1)
            rows = np.arange(n)
            following = ordered[rows, np.minimum(j, k - 1)]
            part = np.where(j > 0, sums[rows, np.maximum(j, 1) - 1], 0.0) / np.abs(following)
        whole = np.where((self.vectors.shape[-1] == k) | (sums[:, -1] == 0), float(k), np.nan)
        dimension = np.where(j == 0, 0.0, np.where(j == k, whole, j + part))
        return np.where((j < k) & np.isnan(following), np.nan, dimension)


def lyapunov_spectrum(
    gd,
    w0: np.ndarray,
    steps: int,
    *,
    k: int | None = None,
    transient: int = 0,
    blocks: int = 20,
    interval: int | None = None,
    vectors: np.ndarray | None = None,
    seed: int = 0,
    start: int = 0,
    engine: str = "auto",
    device: str | None = None,
    dtype: str = "float64",
    threads: int | None = None,
    progress: bool | None = None,
) -> Spectrum:
    """The k largest Lyapunov exponents of a map along trajectories, by Benettin's method.

    Parameters
    ----------
    gd : GradientDescent, SoftmaxMap, or any map with ``step`` or ``__call__``, and ``jvp`` or ``jacobian``
        The map. With ``jvp``, no matrix of p x p is formed.
    w0 : ndarray (n, p), float64
        Initial conditions.
    steps : int
        Steps over which growth is averaged, >= 1; a multiple of ``blocks`` (it is cut to one otherwise: the result's ``times`` say).
    k : int, optional
        How many exponents; all p by default, up to 20,000. The largest alone costs about twice what training costs.
    transient : int
        Steps before the average begins, during which the vectors align.

    Other Parameters
    ----------------
    blocks : int
        Blocks for the history and the standard error, >= 4.
    interval : int, optional
        Steps between two orthonormalisations. By default one, which no map can make too long by more than it does to each single step; it
        takes a small part of the time. Directions that an interval is too long for have nan, and ``converged`` is False.
    vectors : ndarray (n, k, p), optional
        Vectors to start from, linearly independent; random ones by default.
    seed : int
        Of the random vectors.
    start : int
        Steps done before: what schedules, minibatches and Adam's corrections go by.
    engine, device, dtype, threads, progress
        As in :func:`~trajlib.ensembles.train`; in float32 growth is summed in float64.

    Returns
    -------
    Spectrum

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a map has neither ``jvp`` nor ``jacobian``.
    Interrupted
        On Ctrl-C, with the exponents over the blocks that are done; with less than four of them they are not called converged, and without
        any they are nan.

    References
    ----------
    G. Benettin, L. Galgani, A. Giorgilli, J.-M. Strelcyn, Meccanica 15 (1980) 9; the orthonormalisation is modified Gram-Schmidt.

    Examples
    --------
    >>> from trajlib.dynamics.reference import HenonMap
    >>> henon = lyapunov_spectrum(HenonMap(), np.array([[0.1, 0.1]]), 20_000, transient=100)
    >>> np.abs(henon.exponents - [0.41922, -1.62319]).max() < 0.01
    np.True_
    """
    threads = _validate.threads(threads)
    gd, w0, vectors = starting_vectors(gd, w0, k, vectors, seed)
    steps, transient = _validate.count("steps", steps, 1), _validate.count("transient", transient)
    blocks = _validate.count("blocks", blocks, LEAST_BLOCKS)
    interval = 1 if interval is None else _validate.count("interval", interval, 1)
    if steps < blocks * interval:
        raise ValueError(f"steps must be at least blocks * interval = {blocks * interval}, got {steps}")
    every = steps // blocks // interval * interval
    fit_in_memory(len(w0), blocks + 2, vectors.shape[1] + vectors[0].size // (blocks + 2))
    carrier = Carrier(
        gd, len(w0), threads=threads, progress=progress, steps=len(w0) * (transient + every * blocks), label="exponents",
        engine=engine, device=device, dtype=dtype, begin=start,
    )  # fmt: skip
    everything, stopped = slice(0, len(w0)), ""
    with carrier:
        try:
            if transient:
                short = min(interval, transient)
                run = carrier(everything, w0, vectors, transient, every=transient, interval=short, orthonormal=False)
                w0, vectors = run.w, run.q
            run = carrier(
                everything,
                w0,
                vectors,
                every * blocks,
                start=transient,
                every=every,
                interval=interval,
                orthonormal=False,
            )
        except Stopped as stop:
            run = stop.stretch
            stopped = f"with {run.growth.shape[-1]} of {blocks} blocks done"
    result = _spectrum(run.growth / every, transient, every, run.w, run.q)
    if stopped:
        raise Interrupted(result, stopped)
    return result


def _spectrum(growth: np.ndarray, transient: int, every: int, final: np.ndarray, vectors: np.ndarray) -> Spectrum:
    """What the blocks say, (n, k, blocks)."""
    n, k, blocks = growth.shape
    exponents = growth.mean(axis=-1) if blocks else np.full((n, k), np.nan)
    error, converged = np.full((n, k), np.nan), np.zeros(n, dtype=bool)
    with np.errstate(invalid="ignore"):  # a direction that is wiped out at once has exponent -inf
        if blocks > 1:
            error = growth.std(axis=-1, ddof=1) / np.sqrt(blocks)
        if blocks >= LEAST_BLOCKS:
            converged = (_halves_agree(growth) & _aligned(growth) & ~np.isnan(exponents)).all(axis=-1)
    return Spectrum(
        exponents=exponents,
        standard_error=error,
        resolved=~np.isnan(exponents),
        converged=converged,
        times=transient + every * np.arange(1, blocks + 1),
        growth=growth,
        final=final,
        vectors=vectors,
    )


def _halves_agree(growth: np.ndarray) -> np.ndarray:
    """Whether the halves of a run agree within four standard errors of their difference, (n, k)."""
    half = growth.shape[-1] // 2
    first, second = growth[..., :half], growth[..., half:]
    one, two = first.mean(axis=-1), second.mean(axis=-1)
    gap = np.where(one == two, 0.0, np.abs(one - two))
    noise = np.sqrt(first.var(axis=-1, ddof=1) / half + second.var(axis=-1, ddof=1) / second.shape[-1])
    return (gap == 0) | (gap <= 4 * noise + 1e-12)


def _aligned(growth: np.ndarray) -> np.ndarray:
    """Whether the first block is one like those of the second half, or the mean is hardly another than theirs, (n, k)."""
    later = growth[..., growth.shape[-1] // 2 :]
    mean, there, first = growth.mean(axis=-1), later.mean(axis=-1), growth[..., 0]
    gap = np.where(first == there, 0.0, np.abs(first - there))
    spread = later.std(axis=-1, ddof=1) * np.sqrt(1 + 1 / later.shape[-1])
    moved = np.where(mean == there, 0.0, np.abs(mean - there))
    return (gap <= 5 * spread + 1e-12) | (moved <= ALIGNED * np.abs(there))
