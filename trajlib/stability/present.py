"""Covariant Lyapunov vectors without the future: what can be known of them from the steps up to the present.

Three substitutes. Two report the vectors a lag before the present, so that the backward pass has that lag to converge; the third takes
the Jacobian of the present for the future.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..engines.records import fit_in_memory
from ..progress import Interrupted
from ..results import Result
from .carrier import MEMORY, Carrier, Stopped, bytes_kept, starting_vectors
from .covariant import pair_angles
from .finite_time import recorded_steps

__all__ = ["PresentVectors", "present_vectors"]

METHODS = ("ginelli", "frozen", "froyland")


@dataclass(frozen=True, eq=False)
class PresentVectors(
    Result,
    axes={
        "network step vector": "growth",
        "step": "at",
        "network step parameter": "states",
        "network step parameter vector": "vectors",
        "network step vector other": "angle=angles",
    },
    labels={"step": "times"},
):
    """What :func:`present_vectors` returns. n trajectories, r times, p parameters, k vectors.

    Attributes
    ----------
    at : ndarray (r,), int
        The presents: no step after them was used.
    times : ndarray (r,), int
        The steps that the vectors belong to, ``at - lag``.
    vectors : ndarray (n, r, p, k)
        Columns of unit length, most unstable first, the largest entry of each positive.
    growth : ndarray (n, r, k)
        Local growth rates: ln \\|J v\\| of the step that follows each of ``times``. (It follows the present itself where the lag is 0.)
    states : ndarray (n, r, p)
        The states at ``times``.
    """

    at: np.ndarray
    times: np.ndarray
    vectors: np.ndarray = field(repr=False)
    growth: np.ndarray = field(repr=False)
    states: np.ndarray = field(repr=False)

    @property
    def angles(self) -> np.ndarray:
        """Angles between each two vectors, in radians from 0 to pi / 2, (n, r, k, k)."""
        return pair_angles(self.vectors)


def present_vectors(
    gd,
    w0: np.ndarray,
    at: Sequence[int] | np.ndarray,
    *,
    method: str = "ginelli",
    lag: int | None = None,
    window: int | None = None,
    k: int | None = None,
    vectors: np.ndarray | None = None,
    seed: int = 0,
    memory: int = MEMORY,
    start: int = 0,
    engine: str = "auto",
    device: str | None = None,
    dtype: str = "float64",
    threads: int | None = None,
    progress: bool | None = None,
) -> PresentVectors:
    """Estimates of the covariant Lyapunov vectors of a map from what is known up to the present.

    ``"ginelli"`` begins the backward pass of Ginelli's method at the present, with the orthonormal vectors of that step, and reports
    the vectors ``lag`` steps earlier. ``"froyland"`` takes the right singular vectors of the product of the Jacobians from ``lag +
    window`` steps before the present up to it, pushes them forward by ``window`` steps, and makes them orthogonal after each to the
    right singular vectors of larger singular value of what remains of the product. ``"frozen"`` puts the Jacobian of the present for
    the whole future: v_j spans the intersection of the first j orthonormal vectors' span with that of the j-th and the following
    eigenvectors of the symmetric Jacobian, in the order of the moduli of their eigenvalues.

    Parameters
    ----------
    gd : GradientDescent, SoftmaxMap, or any map with ``step`` or ``__call__``, and ``jvp`` or ``jacobian``
        The map. ``"frozen"`` needs a symmetric Jacobian, which gradient descent without momentum has.
    w0 : ndarray (n, p), float64
        Initial conditions, at step 0.
    at : sequence of int
        The presents: ascending steps, from ``lag`` on.
    method : {"ginelli", "frozen", "froyland"}
        Which of the three.
    lag : int
        Steps between the vectors and the present. Needed, except for ``"frozen"``, whose vectors belong to the present itself. With 0,
        the others give the orthonormal vectors.
    window : int, optional
        For ``"froyland"``: steps over which the singular vectors are pushed forward, ``lag`` by default. Near the beginning of the run
        there are as many as there have been.
    k : int, optional
        How many vectors; all p by default.

    Other Parameters
    ----------------
    vectors : ndarray (n, k, p), optional
        Tangent vectors to start from, linearly independent; random ones by default.
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
    PresentVectors

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, a map has no ``jacobian``, or one that is not symmetric for ``"frozen"``.
    Interrupted
        On Ctrl-C, with the trajectories that are done; the others have nan.

    References
    ----------
    F. Ginelli et al., Phys. Rev. Lett. 99 (2007) 130601. G. Froyland, T. Hüls, G. P. Morriss, T. M. Watson, Physica D 247 (2013) 18,
    algorithm 2.2 (there, the products reach into the future of the vectors as far as one likes). The names of the three are ours.

    Examples
    --------
    >>> from trajlib.dynamics.reference import HenonMap
    >>> present_vectors(HenonMap(), np.array([[0.1, 0.1]]), [200, 300], lag=20).vectors.shape
    (1, 2, 2, 2)
    """
    threads = _validate.threads(threads)
    gd, w0, q0 = starting_vectors(gd, w0, k, vectors, seed)
    n, k, p = q0.shape
    lag, window = _reach(_validate.choice("method", method, METHODS), lag, window)
    at = recorded_steps("at", at, lag, np.iinfo(np.int64).max)
    memory = _validate.count("memory", memory, 1)
    times = at - lag
    fit_in_memory(n, len(at), p * (k + 1) + k)
    out, states, growth = (np.full((n, len(at), *shape), np.nan) for shape in ((p, k), (p,), (k,)))
    carrier = Carrier(
        gd, n, threads=threads, progress=progress, steps=n * int(at[-1]), label="present vectors", engine=engine, device=device,
        dtype=dtype, begin=start,
    )  # fmt: skip
    begin = max(0, int(times[0]) - window)
    apart = int(np.gcd.reduce(times - begin)) or max(1, int(at[-1]) - begin)
    each = bytes_kept(k, p, int(at[-1]) - begin, apart)
    fit_in_memory(carrier.together, 1, each // 8)
    stopped = ""
    with carrier, np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for rows in carrier.parts(each, memory):
            try:
                run = carrier(rows, w0[rows], q0[rows], begin, orthonormal=False)
                run = carrier(rows, run.w, run.q, int(at[-1]) - begin, start=begin, snapshot=apart, triangles=True)
            except Stopped:
                stopped = f"with {rows.start} of {n} trajectories done"
                break
            for m, (now, then) in enumerate(zip(at - begin, times - begin, strict=True)):
                head = np.ascontiguousarray(run.states[:, :, then // apart])
                past = np.ascontiguousarray(run.triangles[:, max(0, then - window) : now])
                states[rows, m], out[rows, m] = head[:, 0], _reported(method, head, past, lag, carrier.threads)
        for m in range(len(at)):
            some = np.ascontiguousarray(states[:, m])
            if method == "frozen":
                jacobian = gd.jacobian(some)
                out[:, m] = _frozen(jacobian, out[:, m])
                moved = jacobian @ out[:, m]
            else:
                vectors = np.ascontiguousarray(out[:, m].swapaxes(1, 2))
                moved = gd.jvp(some, vectors, start + int(times[m])).swapaxes(1, 2)
            growth[:, m] = np.log(np.linalg.norm(moved, axis=1))
    largest = np.take_along_axis(out, np.abs(out).argmax(axis=2)[:, :, None], axis=2)
    result = PresentVectors(at, times, out * np.where(largest < 0, -1.0, 1.0), growth, states)
    if stopped:
        raise Interrupted(result, stopped)
    return result


def _reach(method: str, lag, window) -> tuple[int, int]:
    """The lag and the window of a method, checked."""
    if method == "frozen":
        if lag not in (None, 0):
            raise ValueError(
                f"lag must be 0 for method='frozen', whose vectors belong to the present, got {_validate.shown(lag)}"
            )
        lag = 0
    elif lag is None:
        raise ValueError(f"give lag, the steps between the vectors and the present, for method={method!r}")
    lag = _validate.count("lag", lag)
    if window is not None and method != "froyland":
        raise ValueError(f"window is for method='froyland' only, got {_validate.shown(window)} for method={method!r}")
    return lag, (lag if window is None else _validate.count("window", window)) if method == "froyland" else 0


def _reported(method: str, head, past, lag: int, threads: int) -> np.ndarray:
    """Vectors (n, p, k) at a state and its orthonormal vectors ``head`` (n, 1 + k, p), from the R of the steps before and after it.

    For ``"frozen"``, the orthonormal vectors themselves: what it needs of them comes after.
    """
    from ..engines.fused.triangular import backward, pushed

    n, k = len(past), past.shape[-1]
    columns = head[:, 1:].swapaxes(1, 2)
    if lag == 0:
        return columns
    c = np.tile(np.eye(k), (n, 1, 1))
    if method == "froyland":
        pushed(past, lag, c, threads)
    else:
        nothing = (
            np.empty((n, 1 + k, 0, head.shape[-1])),
            1,
            0,
            np.empty((n, 0, head.shape[-1], k)),
            np.empty((n, 0, k)),
        )
        backward(past, c, *nothing, np.zeros((n, k)), threads)
    vectors = columns @ c
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _frozen(jacobian: np.ndarray, q: np.ndarray) -> np.ndarray:
    """v_j in the span of the first j columns of q (n, p, k), orthogonal to the j - 1 leading eigenvectors of the Jacobian (n, p, p)."""
    out = np.full(q.shape, np.nan)
    finite = np.isfinite(jacobian).all(axis=(1, 2)) & np.isfinite(q).all(axis=(1, 2))
    jacobian, q = jacobian[finite], q[finite]
    off = np.abs(jacobian - jacobian.swapaxes(1, 2)).max(initial=0.0)
    if off > 1e-9 * np.abs(jacobian).max(initial=0.0):
        raise ValueError(
            f"method='frozen' needs a symmetric Jacobian, and this one is off by {off:.2g}; use 'ginelli' or 'froyland'"
        )
    values, basis = np.linalg.eigh(jacobian)
    order = np.argsort(-np.abs(values), axis=1, kind="stable")
    basis = np.take_along_axis(basis, order[:, None], axis=2)
    found = np.empty_like(q)
    found[..., 0] = q[..., 0]
    for j in range(1, q.shape[2]):
        coordinates = np.linalg.svd(basis[..., :j].swapaxes(1, 2) @ q[..., : j + 1])[2][:, -1]
        found[..., j] = (q[..., : j + 1] @ coordinates[..., None])[..., 0]
    out[finite] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return out
