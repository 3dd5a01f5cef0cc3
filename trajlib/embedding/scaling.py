"""Scalar embedding: weight vectors along training laid out on a line (or in k dimensions) by classical scaling.

The distance between two states is Euclidean, so classical multidimensional scaling is principal component analysis of
the centred snapshots. They are read in column blocks: no second array of their size is made. A projection never
stretches, \\|z_i - z_j\\| <= D_ij; how much of D it keeps is the explained variance, so look at that first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .. import _scale, _validate
from .._blas import one_thread
from ..progress import progress_bar
from ..results import Result

__all__ = ["METHODS", "EmbeddedCopies", "Embedding", "embed_copies", "scalar_embedding"]

METHODS = ("auto", "svd", "gram", "krylov")
BLOCK = 2**20  # entries of a block of columns, 8 MiB: in the cache, and few enough calls for two busy cores
WIDE = 2**22  # the same where each block costs a pass over the Gram matrix
SMALL = 2**22, 1e8  # entries and entries * min(N, P) up to which a centred copy and its full SVD are cheapest
TOLERANCE = 1e-13  # of a Krylov eigenpair: residual over the largest eigenvalue
RESOLVED = (
    1e-11  # variance over the largest variance, below which a direction is lost in the rounding of the Gram matrix
)
TINY = 2.0**-900  # sums of squares below have lost digits
EXTRA, PASSES = 8, 24  # a Krylov block has k + EXTRA columns; passes over the data before the dense method takes over


@dataclass(frozen=True, eq=False)
class Embedding(
    Result,
    axes={
        "... coordinate": "coordinates",
        "coordinate": "explained_variance",
        "coordinate parameter": "components",
        "parameter": "mean",
        "": "total_variance",
    },
):
    """What :func:`scalar_embedding` returns; (...) are the leading axes of the snapshots, P the number of parameters.

    Attributes
    ----------
    coordinates : ndarray (..., k)
        The embedded snapshots z, in units of a root-mean-square weight difference; zero on average.
    explained_variance : ndarray (k,)
        Share of the total variance that each coordinate carries, decreasing, between 0 and 1.
    components : ndarray (k, P)
        Orthonormal directions in weight space.
    mean : ndarray (P,)
        Mean snapshot, the origin of the embedding.
    total_variance : float
        Mean over the snapshots and the parameters of (w - mean)²; half the mean of D_ij² over all pairs. inf or 0 where this square is
        no float64, although the coordinates are.
    method : str
        The one that found the directions: "svd", "gram" or "krylov".
    """

    coordinates: np.ndarray = field(repr=False)
    explained_variance: np.ndarray
    components: np.ndarray = field(repr=False)
    mean: np.ndarray = field(repr=False)
    total_variance: float
    method: str

    def project(self, points: np.ndarray) -> np.ndarray:
        """Coordinates (..., k) of points (..., P), whether or not they were among the snapshots.

        Raises
        ------
        TypeError, ValueError
            If the points are not float64 or do not have P parameters. A point that is not finite projects to nan.
        """
        return _project(_validate.weights(points, len(self.mean), name="points"), self.mean, self.components)

    def project_difference(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Embedded separation \\|z_a - z_b\\| of pairs of states, computed as the projection of a - b.

        Close pairs need this form. Where copies start 1e-8 from their reference, one weight moves by 1e-8 of itself, and
        the difference of two coordinates (or, worse, of entries of a Gram matrix, where it appears squared) has few digits
        left; the difference of two weights is exact when they are this close, and its projection keeps all of them.

        Parameters
        ----------
        a, b : ndarray (..., P)
            States; leading axes broadcast, say copies (copies, times, P) against a reference (times, P).

        Returns
        -------
        ndarray (...)
            Euclidean norm over the k coordinates; never above the root-mean-square difference of the weights.

        Raises
        ------
        TypeError, ValueError
            If the states are not float64, do not have P parameters, or do not broadcast.

        Examples
        --------
        >>> w = np.linspace(0.0, 1.0, 5)[:, None] * np.ones(4)
        >>> e = scalar_embedding(w)
        >>> e.project_difference(w[2], w[2] + 1e-13).round(15)
        np.float64(1e-13)
        """
        a, b = (_validate.weights(w, len(self.mean), name=name) for name, w in (("a", a), ("b", b)))
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            raise ValueError(f"a and b must broadcast against each other, got shapes {a.shape} and {b.shape}") from None
        return _scale.norm(_project(a, b, self.components))


@dataclass(frozen=True, eq=False)
class EmbeddedCopies(
    Result,
    axes={
        "network copy record coordinate": "separation",
        "network": "reason",
        "network coordinate": "explained_variance",
        "network copy record": "rms_distance",
        "network trajectory record coordinate": "coordinates",
    },
):
    """What :func:`embed_copies` returns: n initial conditions, m copies of each, r times, k coordinates.

    Where an initial condition has fewer than k directions that stand out from rounding, the others are nan. One that cannot be
    embedded, because a state of it is not finite or all its states are equal, is nan throughout, and ``reason`` says so; the others do
    not notice. Its ``rms_distance`` is given wherever that is a number.

    Attributes
    ----------
    coordinates : ndarray (n, 1 + m, r, k)
        Embedded trajectories, the reference first; each initial condition has axes of its own.
    separation : ndarray (n, m, r, k)
        z_copy - z_reference by direction, with its sign, computed as the projection of the difference of the weights. The
        separation in the first j dimensions is the Euclidean norm over the first j.
    rms_distance : ndarray (n, m, r)
        D between copy and reference, the upper bound of that norm.
    explained_variance : ndarray (n, k)
        Share of the total variance that each coordinate carries.
    reason : ndarray (n,), str
        Why there is no embedding: "not finite", "all equal"; "" where there is one.
    """

    coordinates: np.ndarray = field(repr=False)
    separation: np.ndarray = field(repr=False)
    rms_distance: np.ndarray = field(repr=False)
    explained_variance: np.ndarray = field(repr=False)
    reason: np.ndarray = field(repr=False)


class _Unusable(ValueError):
    """These snapshots cannot be embedded; ``reason`` in two words."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


def scalar_embedding(
    snapshots: np.ndarray, k: int = 1, *, method: str = "auto", towards: np.ndarray | None = None, seed: int = 0
) -> Embedding:
    """Embed weight vectors in k dimensions by classical scaling of D_ij = sqrt(mean over parameters of (w_i - w_j)²).

    Parameters
    ----------
    snapshots : ndarray (..., P)
        States, float64; the leading axes, say (copies, times), are kept. A ``numpy.memmap`` that fits the file cache works too. Embed a
        reference and its copies together: two embeddings have two axes.
    k : int
        Number of coordinates, at most the number of directions in which the snapshots differ.
    method : {"auto", "svd", "gram", "krylov"}
        ``svd``: a thin singular value decomposition of a centred copy; the choice where that is small. ``krylov``: block
        Krylov iteration to a relative residual of 1e-13, a few passes over the data; the choice where it is large.
        ``gram``: the N x N Gram matrix (or the P x P covariance, where that is smaller) and its dense eigenvectors; the
        choice where Krylov iteration has not converged, as when the leading variances are equal. All agree to rounding.
    towards : ndarray (P,), optional
        Turns each direction so that it has a positive component along this one, say last minus first state, which makes z
        grow in training. By default the entry of largest modulus of each direction (the first of those within 1e-9
        of the largest) is positive. Neither depends on the order of the snapshots.
    seed : int
        Of the starting block of the Krylov iteration (PCG64); its choice changes the rounding, not the result.

    Returns
    -------
    Embedding
        ``|z_i - z_j| <= D_ij`` for all pairs, up to rounding.

    Raises
    ------
    TypeError, ValueError
        If the snapshots are not float64, not finite, fewer than two or all equal; if k exceeds the number of directions
        whose variance stands out from rounding (1e-11 of the largest: 3e-6 in distance).

    Notes
    -----
    The first component follows the drift common to all copies. A divergence orthogonal to it is invisible in z.

    References
    ----------
    Torgerson, Psychometrika 17, 401 (1952); Gower, Biometrika 53, 325 (1966): classical scaling, and its equality with
    principal components. Musco, Musco, NeurIPS 28 (2015): block Krylov iteration. Jiménez-González, Soriano, Lacasa,
    arXiv 2606.30384: the distance D, as in the authors' public script.

    Examples
    --------
    >>> w = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    >>> e = scalar_embedding(w)
    >>> e.coordinates.round(6).ravel(), e.explained_variance.round(6)
    (array([-3.535534,  0.      ,  3.535534]), array([1.]))
    """
    found, resolved = _embed(snapshots, k, method, towards, seed)
    if resolved < k:
        raise ValueError(f"k must be at most {resolved}, the directions that stand out from rounding, got {k}")
    return found


def embed_copies(
    snapshots: np.ndarray, k: int = 1, *, method: str = "auto", seed: int = 0, progress: bool | None = None
) -> EmbeddedCopies:
    """Embed each initial condition together with its copies, and follow how far the copies are from it.

    Parameters
    ----------
    snapshots : ndarray (n, 1 + m, r, P)
        As in ``diverge(..., record=("weights",)).snapshots``: the reference first, then its copies.
    k, method, seed
        As in :func:`scalar_embedding`.
    progress : bool, optional
        As in :func:`~trajlib.ensembles.train`.

    Returns
    -------
    EmbeddedCopies

    Raises
    ------
    TypeError, ValueError
        As :func:`scalar_embedding`, but not for single initial conditions that cannot be embedded; or if there are no copies.

    Examples
    --------
    >>> w = np.cumsum(np.random.default_rng(0).standard_normal((2, 4, 30, 8)), axis=2)
    >>> e = embed_copies(w, k=2)
    >>> e.coordinates.shape, bool((np.linalg.norm(e.separation, axis=-1) <= e.rms_distance + 1e-12).all())
    ((2, 4, 30, 2), True)
    """
    _validate.float64("snapshots", snapshots)
    if snapshots.ndim != 4 or len(snapshots) == 0 or snapshots.shape[1] < 2:
        raise ValueError(f"snapshots must have shape (n, 1 + copies, times, parameters), got {snapshots.shape}")
    n, m, r = snapshots.shape[:3]
    _checked(snapshots[0], k, method, None, seed)
    _validate.fit_in_memory("the embedded copies", n * m * r * (2 * k + 1), "embed fewer at a time")
    out = EmbeddedCopies(
        np.full((n, m, r, k), np.nan),
        np.full((n, m - 1, r, k), np.nan),
        np.empty((n, m - 1, r)),
        np.full((n, k), np.nan),
        np.full(n, "", dtype="<U10"),
    )
    bar = progress_bar(progress, n, "embed")
    for i, x in enumerate(snapshots):
        try:
            found, resolved = _embed(x, k, method, None, seed)
        except _Unusable as error:
            out.reason[i] = error.reason
        else:
            out.coordinates[i, ..., :resolved] = found.coordinates[..., :resolved]
            out.separation[i, ..., :resolved] = _project(x[1:], x[0], found.components[:resolved])
            out.explained_variance[i, :resolved] = found.explained_variance[:resolved]
        for c in range(m - 1):
            out.rms_distance[i, c] = _rms(x[1 + c], x[0])
        if bar is not None:
            bar.update()
    if bar is not None:
        bar.close()
    return out


def _rms(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root mean square (t,) of the differences of two trajectories (t, p); nan where they are not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        away = a - b
        e = _scale.exponent(away)
        if e.any():
            away = np.ldexp(away, -e[:, None])
        return np.ldexp(np.sqrt(np.einsum("tp,tp->t", away, away) / away.shape[1]), e)


def _checked(snapshots, k, method, towards, seed) -> tuple[np.ndarray, int]:
    """Snapshots as a plain array, and how many they are; raises where an argument is out of range."""
    x = np.asarray(_validate.float64("snapshots", snapshots))  # a memmap stays on disk, but as a plain array
    if x.ndim < 2 or x.shape[-1] == 0:
        raise ValueError(f"snapshots must have shape (..., parameters), at least one of each, got {x.shape}")
    n, p = x[..., 0].size, x.shape[-1]
    if n < 2:
        raise ValueError(f"snapshots must hold at least two states, got shape {x.shape}")
    _validate.count("k", k, 1)
    _validate.count("seed", seed)
    _validate.choice("method", method, METHODS)
    if k > min(n - 1, p):
        raise ValueError(f"k must be at most {min(n - 1, p)} for {n} snapshots of {p} parameters, got {k}")
    if towards is not None and _validate.weights(towards, p, name="towards").shape != (p,):
        raise ValueError(f"towards must have shape ({p},), got {towards.shape}")
    if towards is not None:
        _validate.finite("towards", towards)
    return x, n


def _embed(snapshots: np.ndarray, k: int, method: str, towards: np.ndarray | None, seed: int) -> tuple[Embedding, int]:
    """The embedding, and how many of its k directions stand out from rounding."""
    x, n = _checked(snapshots, k, method, towards, seed)
    with one_thread(x.size):
        return _embedded(x, n, k, method, towards, seed)


def _embedded(x, n, k, method, towards, seed):
    p, e = x.shape[-1], 0
    mean, total = _moments(x, n)
    if not TINY < total < np.inf:  # squares overflow or vanish
        given, (x, e) = x, _rescaled(x, n)
        mean, total = _moments(x, n)
    if method == "auto":
        method = "svd" if n * p <= SMALL[0] and n * p * min(n, p) <= SMALL[1] else "krylov"
    components = None
    if method == "krylov":
        components = _krylov(x, n, mean, k, seed)
        method = "gram" if components is None else method
    if components is None:
        components = _svd(x, n, mean, k) if method == "svd" else _gram(x, n, mean, k)
    components *= _signs(components, towards)[:, None]
    coordinates = _project(x, mean, components)
    variance = np.square(coordinates).reshape(n, k).mean(axis=0)
    resolved = int((variance > RESOLVED * variance[0]).sum())
    share = np.minimum(variance * p / total, 1.0)
    if e:
        with np.errstate(over="ignore", under="ignore"):
            coordinates, total = np.ldexp(coordinates, e), float(np.ldexp(total, 2 * e))
            part = 4 if e > 0 else 0  # the sum is in range, its second term need not be
            mean = np.ldexp(np.ldexp(_first(given), -part) + np.ldexp(mean, e - part), part)
    return Embedding(coordinates, share, components, mean, total / p, method), resolved


def _columns(n: int, p: int, entries: int) -> Iterator[slice]:
    """Column ranges of about so many entries."""
    width = max(8, min(p, entries // max(n, 1)))
    return (slice(start, min(start + width, p)) for start in range(0, p, width))


def _blocks(x: np.ndarray, n: int, mean: np.ndarray, entries: int = BLOCK) -> Iterator[tuple[slice, np.ndarray]]:
    """The centred snapshots, a block of columns (n, width) at a time."""
    for c in _columns(n, len(mean), entries):
        yield c, x[..., c].reshape(n, -1) - mean[c]


def _moments(x: np.ndarray, n: int) -> tuple[np.ndarray, float]:
    """Mean snapshot, and the sum over parameters of the variances; differences from the first snapshot are averaged, so
    that a large common offset costs no digits and equal snapshots have variance zero."""
    first = _first(x)
    mean, total = np.empty(x.shape[-1]), 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for c, block in _blocks(x, n, first):
            shift = block.mean(axis=0)
            block -= shift
            mean[c] = first[c] + shift
            total += np.vdot(block, block)
    return mean, float(total / n)


def _first(x: np.ndarray) -> np.ndarray:
    return x[(0,) * (x.ndim - 1)]


def _rescaled(x: np.ndarray, n: int) -> tuple[np.ndarray, int]:
    """Differences from the first snapshot over the power of two that makes the largest of them about 1, and its exponent."""
    for c in _columns(n, x.shape[-1], BLOCK):
        try:
            _validate.finite(f"snapshots[..., {c.start}:{c.stop}]", x[..., c])
        except ValueError as error:
            raise _Unusable(str(error), "not finite") from None
    with np.errstate(over="ignore"):
        away = x - _first(x)
    e = 0
    if not np.isfinite(away).all():
        e = 4
        away = np.ldexp(x, -e) - np.ldexp(_first(x), -e)
    largest = np.abs(away).max()
    if largest == 0:
        raise _Unusable(
            f"snapshots must not all be equal: there is nothing to embed, got {n} equal states", "all equal"
        )
    extra = int(np.frexp(largest)[1])
    return np.ldexp(away, -extra), e + extra


def _project(a: np.ndarray, b: np.ndarray, components: np.ndarray) -> np.ndarray:
    """(a - b) · components / sqrt(P), a block of columns at a time, so that a - b is never whole in memory."""
    k, p = components.shape
    lead = np.broadcast_shapes(a.shape, b.shape)[:-1]
    out = np.zeros((*lead, k))
    with one_thread(a.size), np.errstate(over="ignore", invalid="ignore"):
        for c in _columns(out[..., 0].size, p, BLOCK):
            difference = a[..., c] - b[..., c]
            out += (difference.reshape(-1, difference.shape[-1]) @ components[:, c].T).reshape(out.shape)
        if (
            not np.isfinite(out).all() and np.isfinite(a).all() and np.isfinite(b).all()
        ):  # the sum overflows before it is divided
            return np.ldexp(_project(np.ldexp(a, -64), np.ldexp(b, -64), components), 64)
    return out / np.sqrt(p)


def _directions(x: np.ndarray, n: int, mean: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Orthonormal directions (k, P) in weight space from left singular vectors (n, k)."""
    out = np.empty((len(mean), left.shape[1]))
    for c, block in _blocks(x, n, mean):
        out[c] = block.T @ left
    return np.ascontiguousarray(np.linalg.qr(out)[0].T)


def _svd(x: np.ndarray, n: int, mean: np.ndarray, k: int) -> np.ndarray:
    return np.linalg.svd(x.reshape(n, -1) - mean, full_matrices=False)[2][:k].copy()


def _gram(x: np.ndarray, n: int, mean: np.ndarray, k: int) -> np.ndarray:
    """Directions from the dense eigenvectors of the smaller of the Gram matrix and the covariance."""
    from scipy.linalg import eigh

    p = len(mean)
    size = min(n, p)
    matrix = np.zeros((size, size))
    if n <= p:
        for _, block in _blocks(x, n, mean, WIDE):
            matrix += block @ block.T
    else:
        rows = x.reshape(n, p)
        step = max(8, WIDE // p)
        for start in range(0, n, step):
            block = rows[start : start + step] - mean
            matrix += block.T @ block
    vectors = eigh(matrix, subset_by_index=(size - k, size - 1), overwrite_a=True, check_finite=False)[1][:, ::-1]
    return _directions(x, n, mean, vectors) if n <= p else np.ascontiguousarray(vectors.T)


def _krylov(x: np.ndarray, n: int, mean: np.ndarray, k: int, seed: int) -> np.ndarray | None:
    """Directions from a Krylov space of the Gram matrix, which is never formed; None where that did not converge.

    A pass multiplies one block of orthonormal columns by it. The Rayleigh-Ritz residuals are computed, not estimated.
    """
    width = k + EXTRA
    new = np.linalg.qr(np.random.Generator(np.random.PCG64(seed)).standard_normal((n, width)))[0]
    basis, images = np.empty((n, 0)), np.empty((n, 0))
    for _ in range(min(PASSES, n // width)):
        image = np.zeros_like(new)
        for _, block in _blocks(x, n, mean):
            image += block @ (block.T @ new)
        basis, images = np.hstack([basis, new]), np.hstack([images, image])
        small = basis.T @ images
        values, vectors = np.linalg.eigh((small + small.T) / 2)
        values, vectors = values[: -k - 1 : -1], vectors[:, : -k - 1 : -1]
        left = basis @ vectors
        if (np.linalg.norm(images @ vectors - left * values, axis=0) <= TOLERANCE * values[0]).all():
            return _directions(x, n, mean, left)
        new = image
        for _ in range(2):  # once leaves a trace of the basis where the new block is nearly inside it
            new = np.linalg.qr(new - basis @ (basis.T @ new))[0]
    return None


def _signs(components: np.ndarray, towards: np.ndarray | None) -> np.ndarray:
    if towards is None:
        size = np.abs(components)
        leading = (size >= (1 - 1e-9) * size.max(axis=1, keepdims=True)).argmax(axis=1)
        chosen = components[np.arange(len(components)), leading]
    else:
        chosen = components @ np.ldexp(towards, -_scale.exponent(towards))
    return np.where(chosen < 0, -1.0, 1.0)
