"""Covariant Lyapunov vectors: the directions that the tangent map carries into each other, each with an exponent of its own.

Ginelli's algorithm: QR forwards, the triangular matrices backwards. Unlike orthonormal vectors they depend on no scalar product, and
the angles between them say how far the dynamics is from a tangency.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from .._normal import standard_normal
from ..engines.records import fit_in_memory
from ..progress import Interrupted
from ..results import Result
from .carrier import MEMORY, Carrier, Stopped, Zone, bytes_kept, piece_length, starting_vectors

__all__ = ["CovariantVectors", "covariant_vectors", "pair_angles"]


@dataclass(frozen=True, eq=False)
class CovariantVectors(
    Result,
    axes={
        "network step vector": "growth",
        "network vector": "exponent=exponents converged",
        "network end vector": "discrepancy",
        "network step parameter": "states",
        "network step parameter vector": "vectors",
        "network step vector other": "angle=angles",
    },
    labels={"step": "times"},
):
    """What :func:`covariant_vectors` returns. n trajectories, r times, p parameters, k vectors.

    Attributes
    ----------
    times : ndarray (r,), int
        Steps at which the vectors are given; ``w0`` is at step 0.
    vectors : ndarray (n, r, p, k)
        Columns of unit length, most unstable first. At the first time the largest entry of each is positive; from there on J v points along
        the next v, not against it.
    growth : ndarray (n, r, k)
        Local growth rates: ln \\|J v\\| of the one step that follows each time.
    exponents : ndarray (n, k)
        Per step: the mean of the local growth rates over all steps from the first time to the last, whether reported or not.
    states : ndarray (n, r, p)
        The states at these times.
    discrepancy : ndarray (n, 2, k)
        How much the choices at the two ends still matter. At the first time: the sine of the largest angle between the spaces that the
        first j orthonormal vectors span after two random starts. At the last time: the sine of the angle between vectors j from
        two starts of the backward pass.
    converged : ndarray (n, k), bool
        Whether both are at most the ``tolerance`` asked for. Where two exponents are equal, the vectors that belong to them are not
        determined, and this is False.
    """

    times: np.ndarray
    vectors: np.ndarray = field(repr=False)
    growth: np.ndarray = field(repr=False)
    exponents: np.ndarray = field(repr=False)
    states: np.ndarray = field(repr=False)
    discrepancy: np.ndarray = field(repr=False)
    converged: np.ndarray = field(repr=False)

    @property
    def angles(self) -> np.ndarray:
        """Angles between each two vectors, arccos \\|v_i . v_j\\|, in radians from 0 (a tangency) to pi / 2, (n, r, k, k)."""
        return pair_angles(self.vectors)


def pair_angles(vectors: np.ndarray) -> np.ndarray:
    """Angles between the lines that each two vectors span, in radians from 0 to pi / 2; exact also where they are small.

    Parameters
    ----------
    vectors : ndarray (..., p, k)
        Columns of unit length; nan where a vector is not known.

    Returns
    -------
    ndarray (..., k, k)

    Raises
    ------
    TypeError, ValueError
        If ``vectors`` is not a float64 array of at least two axes, or a length differs from 1 by more than a millionth.

    Examples
    --------
    >>> round(float(pair_angles(np.array([[1.0, 1.0], [0.0, 1e-9]]))[0, 1]), 12)
    1e-09
    """
    if _validate.float64("vectors", vectors).ndim < 2:
        raise ValueError(f"vectors must have shape (..., p, k), got {vectors.shape}")
    if np.isinf(vectors).any():  # nan is a vector that is not known
        raise ValueError("vectors must not be infinite: they have unit length, or are nan")
    with np.errstate(over="ignore"):
        lengths = np.sqrt((vectors**2).sum(axis=-2))
    if (wrong := np.abs(lengths - 1.0) > 1e-6).any():
        raise ValueError(
            f"vectors must have unit length along the last axis but one, got a length of {lengths[wrong][0]:.6g}; "
            "divide them by np.linalg.norm(vectors, axis=-2, keepdims=True)"
        )
    k = vectors.shape[-1]
    angles = np.zeros((*vectors.shape[:-2], k, k))
    for i in range(k):
        u, others = vectors[..., i, None], vectors[..., i + 1 :]
        sums, gaps = (np.sqrt(((u + sign * others) ** 2).sum(axis=-2)) for sign in (1, -1))
        # the arccosine of a number near 1 has lost half its digits
        angles[..., i, i + 1 :] = 2 * np.arctan2(np.minimum(sums, gaps), np.maximum(sums, gaps))
        angles[..., i + 1 :, i] = angles[..., i, i + 1 :]
    return angles


def covariant_vectors(
    gd,
    w0: np.ndarray,
    steps: int,
    *,
    transient: tuple[int, int] | None = None,
    k: int | None = None,
    every: int = 1,
    vectors: np.ndarray | None = None,
    seed: int = 0,
    tolerance: float = 1e-6,
    checkpoint: int | None = None,
    memory: int = MEMORY,
    start: int = 0,
    engine: str = "auto",
    device: str | None = None,
    dtype: str = "float64",
    threads: int | None = None,
    progress: bool | None = None,
) -> CovariantVectors:
    """The covariant Lyapunov vectors of a map along trajectories, by Ginelli's method.

    Parameters
    ----------
    gd : GradientDescent, SoftmaxMap, or any map with ``step`` or ``__call__``, and ``jvp`` or ``jacobian``
        The map.
    w0 : ndarray (n, p), float64
        Initial conditions, at step 0.
    steps : int
        Steps in all, both transients among them, >= 1.
    transient : (int, int), optional
        Steps at the start over which the orthonormal vectors align, and at the end over which the backward pass does. Vectors are given
        from step ``transient[0]`` to ``steps - transient[1]``. A fifth of the steps each by default.
    k : int, optional
        How many vectors; all p by default.
    every : int
        Steps between the times at which vectors are given.

    Other Parameters
    ----------------
    vectors : ndarray (n, k, p), optional
        Tangent vectors to start from, linearly independent; random ones by default.
    seed : int
        Of the random vectors.
    tolerance : float
        Largest discrepancy of vectors that count as converged.
    checkpoint : int, optional
        Run forwards twice: first keeping states every so many steps only (a multiple of ``every``), then keeping all that the backward
        pass needs for one such piece at a time. Changes no bit of the result. By default, done where ``memory`` asks for it.
    memory : int
        Bytes for what is kept between the two passes. The result comes on top.
    start : int
        Steps done before: what schedules, minibatches and Adam's corrections go by.
    engine, device, dtype, threads, progress
        As in :func:`~trajlib.ensembles.train`.

    Returns
    -------
    CovariantVectors

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a map has no ``jacobian``.
    MemoryError
        If the result does not fit into memory.
    Interrupted
        On Ctrl-C, with what is known: trajectories that are done; of those under way, the times that the backward pass still reaches with
        its transient behind it. Everything else is nan, and not converged.

    Notes
    -----
    For training maps, states and vectors have the same bits in any batch, on any number of threads and any machine; for other maps they are
    as reproducible as the machine's linear algebra. A step that shrinks a direction by more than about 1e-13 loses it in rounding; one
    that wipes it out has growth rate -inf. The last local growth rate needs the step after the last time: with ``transient[1] = 0``, one
    more step is done. Trajectories that leave the range of float64 have vectors of nan.

    References
    ----------
    F. Ginelli, P. Poggi, A. Turchi, H. Chaté, R. Livi, A. Politi, Phys. Rev. Lett. 99 (2007) 130601.
    P. V. Kuptsov, U. Parlitz, J. Nonlinear Sci. 22 (2012) 727, on what the two passes converge to.

    Examples
    --------
    >>> from trajlib.dynamics.reference import HenonMap
    >>> clv = covariant_vectors(HenonMap(), np.array([[0.1, 0.1]]), 2000, transient=(100, 100))
    >>> clv.vectors.shape, clv.times[[0, -1]].tolist(), bool(clv.converged.all())
    ((1, 1801, 2, 2), [100, 1900], True)
    """
    threads = _validate.threads(threads)
    gd, w0, q0 = starting_vectors(gd, w0, k, vectors, seed)
    n, k, p = q0.shape
    steps, every = _validate.count("steps", steps, 1), _validate.count("every", every, 1)
    first, last = _transients(transient, steps)
    tolerance, memory = _validate.positive("tolerance", tolerance), _validate.count("memory", memory, 1)
    times = np.arange(first, steps - last + 1, every)
    fit_in_memory(n, len(times), p * (k + 1) + k)
    kept = steps - last - first + 1  # the steps whose growth counts
    last = max(last, 1)
    carrier = Carrier(
        gd, n, threads=threads, progress=progress, steps=n * (2 * first + kept + last - 1), label="covariant vectors",
        engine=engine, device=device, dtype=dtype, begin=start,
    )  # fmt: skip
    length = piece_length(carrier, k, p, kept + last - 1, every, memory) if checkpoint is None else checkpoint
    if checkpoint is not None and _validate.count("checkpoint", checkpoint, 1) % every:
        raise ValueError(f"checkpoint must be a multiple of every = {every}, got {checkpoint}")

    def unknown(*shape: int) -> np.ndarray:
        return np.full((n, *shape), np.nan)

    r = len(times)
    result = CovariantVectors(
        times, unknown(r, p, k), unknown(r, k), unknown(k), unknown(r, p), unknown(2, k), np.zeros((n, k), dtype=bool)
    )
    other = standard_normal(np.random.Generator(np.random.PCG64([seed, 1])), (k, p))
    stopped = ""
    with carrier, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for rows in carrier.parts(bytes_kept(k, p, min(length, kept + last - 1), every), memory):
            zones: list[Zone] = []
            try:
                begin = w0[rows], np.broadcast_to(other, q0[rows].shape)
                second = carrier(rows, *begin, first, orthonormal=False).q
                run = carrier(rows, w0[rows], q0[rows], first, orthonormal=False)
                zones.append(Zone(carrier, rows, run.w, run.q, first, kept, every, length))
                middle = zones[0]
                zones.append(Zone(carrier, rows, middle.w, middle.q, first + kept, last - 1, 0, length))
            except Stopped as stop:
                stopped = f"with {rows.start} of {n} trajectories done"
                zones = _what_is_left(zones, stop.stretch, last, every) if kept <= length else []
            if zones:
                result.discrepancy[rows, 0] = _between_spans(run.q, second)
                try:
                    _backwards(carrier, (zones[0], zones[1]), every, rows, result, seed)
                except Stopped:  # where pieces are run forwards once more
                    stopped = f"on the way back of {rows.stop - rows.start} trajectories, with {rows.start} of {n} done"
                    break
                result.exponents[rows] /= zones[0].steps
                whole = zones[0].steps == kept
                result.converged[rows] = (result.discrepancy[rows] <= tolerance).all(axis=1) & whole
            if stopped:
                break
    largest = np.take_along_axis(result.vectors[:, 0], np.abs(result.vectors[:, 0]).argmax(axis=1)[:, None], axis=1)
    result.vectors[...] *= np.where(largest < 0, -1.0, 1.0)[:, None]
    if stopped:
        raise Interrupted(result, stopped)
    return result


def _what_is_left(zones: list[Zone], stretch, last: int, every: int) -> list[Zone]:
    """Both zones of a run that was stopped within one of them. In the first, its last steps take the place of the backward transient."""
    if zones:
        return [*zones, Zone.of(stretch)]
    steps = (stretch.steps - last) // every * every
    if steps < 1 or stretch.states.shape[2] == 0:
        return []
    return [Zone.of(part) for part in stretch.cut(steps, every)]


def _transients(transient, steps: int) -> tuple[int, int]:
    """The two transients, checked: at least one step must be left between them."""
    if transient is None:
        return steps // 5, steps // 5
    if not isinstance(transient, tuple | list) or len(transient) != 2:
        raise TypeError(
            f"transient must be two numbers of steps, (forward, backward), got {_validate.shown(transient)}"
        )
    first, last = (_validate.count("transient", value) for value in transient)
    if first + last > steps:
        raise ValueError(f"steps must be at least the sum of both transients, {first + last}, got {steps}")
    return first, last


def _backwards(carrier: Carrier, zones: tuple[Zone, Zone], every: int, rows: slice, result, seed: int) -> None:
    """The backward pass of some trajectories, from two starts over the transient; fills their part of the result."""
    from ..engines.fused.triangular import backward

    middle, end = zones
    n, k, p = middle.q.shape
    unit = np.tile(np.eye(k), (n, 1, 1))
    second = np.triu(standard_normal(np.random.Generator(np.random.PCG64([seed, 2])), (k, k)))
    second = np.tile(second / np.linalg.norm(second, axis=0), (n, 1, 1))
    nothing = np.empty((n, 1 + k, 0, p)), 1, 0, np.empty((n, 0, p, k)), np.empty((n, 0, k))
    for _, stretch in end.pieces():
        for c in (unit, second):
            backward(stretch.triangles, c, *nothing, np.zeros((n, k)), carrier.threads)
    side = np.where((unit * second).sum(axis=1) < 0, -1.0, 1.0)[:, None]
    result.discrepancy[rows, 1] = 2 * np.linalg.norm(0.5 * (unit - side * second), axis=1)
    total = np.zeros((n, k))
    for first, stretch in middle.pieces():
        out, growth, here = result.vectors[rows], result.growth[rows], first // every
        backward(stretch.triangles, unit, stretch.states, every, here, out, growth, total, carrier.threads)
        records = -(-stretch.triangles.shape[1] // every)
        result.states[rows, here : here + records] = stretch.states[:, 0, :records]
    result.exponents[rows] = total


def _between_spans(q: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Sine of the largest angle between the spans of the first j of two sets of orthonormal vectors (n, k, p), for each j, (n, k).

    The Frobenius norm stands for the largest singular value: it is at most sqrt(j) times larger.
    """
    n, k, _ = q.shape
    sines = np.zeros((n, k))
    left = q.copy()  # what is left of each q after its part in the span of the first j others
    for j in range(k):
        left -= (left @ other[:, j, :, None]) * other[:, j, None]
        sines[:, j] = np.linalg.norm(left[:, : j + 1], axis=(1, 2))
    return sines
