"""Lanczos on many symmetric matrices in lockstep, known by their products with vectors alone.

Blocks as wide as the number of eigenvalues asked for, so that one of multiplicity k is found k times; every new vector is made
orthogonal to all before it, twice; where the basis is full, it restarts from its best Ritz vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["Eigenvalues", "largest", "quadrature"]

WEAK = 1e-10
"""A new direction shorter than this times the matrix is rounding: the Krylov space is exhausted, and a random one takes its place."""

Product = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Vectors (a, b, p) and which a of the matrices are meant; their products, (a, b, p)."""


class Eigenvalues(NamedTuple):
    """n matrices, k eigenvalues of each, largest first. Those of a matrix with nan or inf are nan.

    Attributes
    ----------
    values : ndarray (n, k)
        The last estimate where it has not converged.
    residual : ndarray (n,)
        The largest norm of A x - value x over the k, as a fraction of the largest modulus; nan where the matrix is.
    converged : ndarray (n,), bool
        Whether that is within the tolerance.
    """

    values: np.ndarray
    residual: np.ndarray
    converged: np.ndarray


def largest(
    product: Product, start: np.ndarray, *, tolerance: float, iterations: int, basis: int, seed: int = 0
) -> Eigenvalues:
    """The k largest eigenvalues of n symmetric matrices from start vectors (n, k, p).

    Thick-restart block Lanczos with full reorthogonalisation. What is found for a matrix does not depend on the others.

    Parameters
    ----------
    product : callable
        See ``Product``.
    start : ndarray (n, k, p)
        Vectors to begin from, linearly independent.
    tolerance : float
        Of the residual.
    iterations : int
        Blocks of products at most.
    basis : int
        Vectors that are kept for each matrix, at most: at least 3 k + 8, unless that is beyond p.
    seed : int
        Of the vectors that take the place of exhausted ones.

    References
    ----------
    K. Wu, H. Simon, SIAM J. Matrix Anal. Appl. 22 (2000) 602. G. H. Golub, C. F. Van Loan, Matrix Computations, section 10.3.6.
    """
    n, k, p = start.shape
    basis = min(p, basis)
    found = Eigenvalues(np.full((n, k), np.nan), np.full(n, np.nan), np.zeros(n, dtype=bool))
    q, t, scale, active = np.empty((n, basis, p)), np.zeros((n, basis, basis)), np.zeros(n), np.arange(n)
    q[:, :k] = np.linalg.qr(start.swapaxes(1, 2))[0].swapaxes(1, 2)
    m = width = check = k
    for done in range(1, iterations + 1):
        first = m - width
        u = product(np.ascontiguousarray(q[:, first:m]), active)
        good = np.asarray(np.isfinite(u).all(axis=(1, 2)))
        if not good.all():
            q, t, scale, active, u = _only(good, q, t, scale, active, u)
        if not len(active):
            break
        scale = np.maximum(scale, np.linalg.norm(u, axis=2).max(axis=1))
        c = _made_orthogonal(u, q[:, :m])
        c[:, :, first:] = 0.5 * (c[:, :, first:] + c[:, :, first:].swapaxes(1, 2))
        t[:, first:m, :m], t[:, :m, first:m] = c, c.swapaxes(1, 2)
        full = m == p
        if m >= check or full or m + width > basis or done == iterations:
            check = m + max(width, m // 8)
            e, y = np.linalg.eigh(t[:, :m, :m])
            along = y[:, first:, m - k :].swapaxes(1, 2) @ u
            residual = np.linalg.norm(along, axis=2).max(axis=1) / np.maximum(
                np.abs(e).max(axis=1), np.finfo(float).tiny
            )
            ended = (residual <= tolerance) | full
            last = ended | (done == iterations)
            if last.any():
                rows = active[last]
                found.values[rows] = e[last, : m - k - 1 if m > k else None : -1][:, :k]
                found.residual[rows], found.converged[rows] = residual[last], ended[last]
                q, t, scale, active, u, e, y = _only(~last, q, t, scale, active, u, e, y)
                if not len(active):
                    break
            if m + width > basis and basis < p:
                m = _restarted(q, t, e, y, m, k + (basis - 2 * k) // 2)
                check = m + (basis - m) // 2
        width = min(k, p - m)
        q[:, m : m + width] = _independent(u[:, :width], q[:, :m], scale, np.random.default_rng([seed, done]))
        m += width
    return found


def quadrature(product: Product, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (n, steps) of Gauss quadrature of the spectral measure of one vector (n, p) of each of n symmetric matrices.

    A Krylov space that is exhausted ends there: its last nodes have weight 0. Those of a matrix with nan or inf are nan.
    """
    n, p = start.shape
    steps = min(steps, p)
    q, alpha, beta = np.empty((n, steps, p)), np.zeros((n, steps)), np.zeros((n, steps))
    q[:, 0] = start / np.linalg.norm(start, axis=1, keepdims=True)
    scale, rows = np.zeros(n), np.arange(n)
    with np.errstate(invalid="ignore", over="ignore"):
        for m in range(steps):
            u = product(np.ascontiguousarray(q[:, m : m + 1]), rows)
            u[~np.isfinite(u).all(axis=(1, 2))] = np.nan
            scale = np.maximum(scale, np.linalg.norm(u[:, 0], axis=1))
            alpha[:, m] = _made_orthogonal(u, q[:, : m + 1])[:, 0, m]
            if m + 1 < steps:
                norm = np.linalg.norm(u[:, 0], axis=1)
                beta[:, m] = np.where(norm <= WEAK * scale, 0.0, norm)
                q[:, m + 1] = _independent(u, q[:, : m + 1], scale, np.random.default_rng([0, m]))[:, 0]
    finite = np.isfinite(alpha).all(axis=1)
    nodes, weights = np.full((n, steps), np.nan), np.full((n, steps), np.nan)
    t = np.zeros((int(finite.sum()), steps, steps))
    at = np.arange(steps)
    t[:, at, at] = alpha[finite]
    t[:, at[1:], at[:-1]] = t[:, at[:-1], at[1:]] = beta[finite, :-1]
    nodes[finite], y = np.linalg.eigh(t)
    weights[finite] = y[:, 0] ** 2
    return nodes, weights


def _only(keep: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    """Rows of each array, moved to its front: no copy of the large ones."""
    rows = np.flatnonzero(keep)
    for array in arrays:
        for i, row in enumerate(rows):
            if i != row:
                array[i] = array[row]
    return [array[: len(rows)] for array in arrays]


def _made_orthogonal(u: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Make u (a, b, p) orthogonal to q (a, m, p) in place, twice; what was taken off, (a, b, m)."""
    c = u @ q.swapaxes(1, 2)
    u -= c @ q
    again = u @ q.swapaxes(1, 2)
    u -= again @ q
    return c + again


def _independent(u: np.ndarray, q: np.ndarray, scale: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Orthonormal vectors, orthogonal to q, that span what u (orthogonal to q) does and, where that is less, random directions."""
    if u.shape[1] == 1:
        norm = np.linalg.norm(u, axis=2)
        weak = norm <= WEAK * scale[:, None]
        if not weak.any():
            return u / norm[..., None]
        v = np.where(weak[..., None], 0.0, u / np.where(weak, 1.0, norm)[..., None])
    else:
        basis, r = np.linalg.qr(u.swapaxes(1, 2))
        v, weak = basis.swapaxes(1, 2), np.abs(np.diagonal(r, axis1=1, axis2=2)) <= WEAK * scale[:, None]
    if weak.any():
        drawn = rng.standard_normal(u.shape[1:])
        v = np.where(weak[..., None], drawn / np.linalg.norm(drawn, axis=1, keepdims=True), v)
    _made_orthogonal(v, q)
    return np.linalg.qr(v.swapaxes(1, 2))[0].swapaxes(1, 2)


def _restarted(q: np.ndarray, t: np.ndarray, e: np.ndarray, y: np.ndarray, m: int, keep: int) -> int:
    """Put the ``keep`` best Ritz vectors in place of the basis."""
    for i in range(len(q)):
        best = np.ascontiguousarray(y[i, :, m - keep :].T)
        for a in range(0, q.shape[2], 1 << 14):
            q[i, :keep, a : a + (1 << 14)] = best @ q[i, :m, a : a + (1 << 14)]
        t[i] = 0.0
        t[i, np.arange(keep), np.arange(keep)] = e[i, m - keep :]
    return keep
