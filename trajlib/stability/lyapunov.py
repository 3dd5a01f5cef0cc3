"""Lyapunov exponents from the exact tangent dynamics, after Benettin: carry vectors, make them orthonormal, add up what that took.

For training maps this happens inside the engine's loop, with Hessian-vector products in place of Hessians; the fused engine's
results are bit-reproducible. Any other map needs a ``jacobian``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..dynamics.descent import TrainingMap
from ..engines import iterate
from ..results import Result
from .carrier import starting_vectors

__all__ = ["Spectrum", "lyapunov_spectrum"]


@dataclass(frozen=True, eq=False)
class Spectrum(
    Result,
    axes={
        "network vector": "exponent=exponents standard_error",
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
    converged : ndarray (n,), bool
        Whether the two halves of the run agree, exponent by exponent, within four standard errors of their difference.
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

        0 where the largest exponent is negative; nan where all k computed exponents sum to a positive number and k < p.
        """
        ordered = -np.sort(-self.exponents, axis=1)
        sums = np.cumsum(ordered, axis=1)
        n, k = ordered.shape
        j = (sums >= 0).cumprod(axis=1).sum(axis=1)
        rows = np.arange(n)
        inside = np.minimum(j, k - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(j > 0, sums[rows, np.maximum(j, 1) - 1], 0.0) / np.abs(ordered[rows, inside])
        whole = np.where(self.vectors.shape[-1] == k, float(k), np.nan)
        dimension = np.where(j == 0, 0.0, np.where(j == k, whole, j + part))
        return np.where(np.isnan(self.exponents).any(axis=1), np.nan, dimension)


def lyapunov_spectrum(
    gd,
    w0: np.ndarray,
    steps: int,
    *,
    k: int | None = None,
    transient: int = 0,
    blocks: int = 20,
    interval: int = 1,
    vectors: np.ndarray | None = None,
    seed: int = 0,
    engine: str = "auto",
    device: str | None = None,
    dtype: str = "float64",
    threads: int | None = None,
    progress: bool | None = None,
) -> Spectrum:
    """The k largest Lyapunov exponents of a map along trajectories, by Benettin's method.

    Parameters
    ----------
    gd : GradientDescent, SoftmaxMap, or any map with ``__call__`` and ``jacobian``
        The map.
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
    interval : int
        Steps between two orthonormalisations.
    vectors : ndarray (n, k, p), optional
        Vectors to start from, linearly independent; random ones by default.
    seed : int
        Of the random vectors.
    engine, device, dtype, threads, progress
        As in :func:`~trajlib.ensembles.train`, for training maps; in float32 growth is summed in float64.

    Returns
    -------
    Spectrum

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a map has no ``jacobian``.

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
    w0, vectors = starting_vectors(gd, w0, k, vectors, seed)
    steps, transient = _validate.count("steps", steps, 1), _validate.count("transient", transient)
    blocks, interval = _validate.count("blocks", blocks, 4), _validate.count("interval", interval, 1)
    if steps < blocks * interval:
        raise ValueError(f"steps must be at least blocks * interval = {blocks * interval}, got {steps}")
    every = steps // blocks // interval * interval
    carry = _by_engine if isinstance(gd, TrainingMap) else _generic
    options = {"engine": engine, "device": device, "dtype": dtype, "threads": threads, "progress": progress}
    if transient:
        w0, vectors, _ = carry(gd, w0, vectors, transient, transient, min(interval, transient), **options)
    final, vectors, growth = carry(gd, w0, vectors, every * blocks, every, interval, **options)
    growth = growth / every
    half = blocks // 2
    first, second = growth[..., :half], growth[..., half:]
    one, two = first.mean(axis=-1), second.mean(axis=-1)
    with np.errstate(invalid="ignore"):  # a direction that is wiped out at once has exponent -inf
        gap = np.where(one == two, 0.0, np.abs(one - two))
        noise = np.sqrt(first.var(axis=-1, ddof=1) / half + second.var(axis=-1, ddof=1) / (blocks - half))
        error = growth.std(axis=-1, ddof=1) / np.sqrt(blocks)
        converged = ((gap == 0) | (gap <= 4 * noise + 1e-12)).all(axis=-1)
    return Spectrum(
        exponents=growth.mean(axis=-1),
        standard_error=error,
        converged=converged,
        times=transient + every * np.arange(1, blocks + 1),
        growth=growth,
        final=final,
        vectors=vectors,
    )


def _by_engine(gd, w, vectors, steps, every, interval, **options):
    out, ran = iterate(
        gd.problem, w, vectors, steps=steps, every=every, tangent=True, interval=interval, label="exponents", **options
    )
    if ran.interrupted:
        raise KeyboardInterrupt
    return out["reference"], out["copies"], out["growth"]


def _generic(gd, w, vectors, steps, every, interval, **_):
    """Benettin's method with a map's own Jacobian, for n trajectories at once."""
    growth = np.zeros((*vectors.shape[:2], steps // every))
    columns = np.linalg.qr(vectors.swapaxes(1, 2))[0]
    for t in range(steps):
        columns = gd.jacobian(w) @ columns
        w = gd(w)
        if (t + 1) % interval == 0:
            columns, r = np.linalg.qr(columns)
            with np.errstate(divide="ignore"):
                growth[..., t // every] += np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
    return w, columns.swapaxes(1, 2), growth
