"""Eigenvalues of the Hessian of a map's loss, for many states at once: dense, or by Lanczos on products with vectors.

Below engines and stability, since both take it: what is recorded along a run, and :func:`~trajlib.stability.sharpness`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from . import _validate
from ._lanczos import largest

__all__ = ["Curvature", "dense_is_cheaper", "eigenvalues", "largest_eigenvalues"]

METHODS = ("auto", "dense", "lanczos")
MEMORY = 1 << 30
"""Bytes for matrices, or for the bases of the states that travel together."""
BASIS = 120
"""Vectors of a basis where there is room; beyond 3 k + 8 it only saves restarts."""


def dense_is_cheaper(p: int, k: int) -> bool:
    """Whether the matrix and its eigenvalues cost less than the Krylov space of k of them, from measurements of perceptrons."""
    return p <= max(300, 25 * k)


class Curvature:
    """The Hessian of the loss at n states, or of P^-1/2 H P^-1/2: as matrices, and by its products with vectors.

    Parameters
    ----------
    gd : Dynamics, or any object with ``hvp(w, V)`` or ``hessian(w)``
        The map whose loss it is.
    w : ndarray (..., p), float64
        Weights, or states.
    preconditioned : bool
        Whether to divide by what the rule divides the gradient by.
    t : int, optional
        Steps done, for that.
    """

    def __init__(self, gd: Any, w: np.ndarray, preconditioned: bool = False, t: int | None = None):
        if not any(callable(getattr(gd, name, None)) for name in ("hessian", "hvp")):
            raise TypeError(
                f"the first argument must be a map such as GradientDescent, with hvp(w, V) or hessian(w), got {type(gd).__name__}"
            )
        half = _half(gd, w, t) if _validate.flag("preconditioned", preconditioned) else None
        w = _validate.float64("w", w)
        sizes = {w.shape[-1] if w.ndim else 0} - {0}
        if hasattr(gd, "n_parameters"):
            sizes &= {gd.n_parameters, gd.n_state}
        if not sizes:
            p = getattr(gd, "n_parameters", "p")
            raise ValueError(f"w must have shape (..., {p}), one flat weight vector a network, got {w.shape}")
        w = gd.weights(w) if callable(getattr(gd, "weights", None)) else w
        self.gd, self.w, self.lead, self.p = gd, np.ascontiguousarray(w), w.shape[:-1], w.shape[-1]
        self.n = int(np.prod(self.lead))
        self.rows = self.w.reshape(self.n, self.p)
        self.half = None if half is None else half.reshape(self.n, self.p)
        self.has_products = callable(getattr(gd, "hvp", None))
        self.shared = bool(getattr(gd, "shared_loss", False))
        """Whether any of the states can be taken without the others."""
        self._at: tuple[np.ndarray, Any] = np.empty(0), None
        """States, and their products with vectors, where the map can keep what these have in common."""

    def products(self, V: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The matrices of some rows times vectors V (a, b, p), (a, b, p)."""
        half = None if self.half is None else self.half[rows][:, None]
        V = V if half is None else half * V
        with np.errstate(over="ignore", invalid="ignore"):
            out = self._plain(V, rows)
            return out if half is None else half * out

    def _plain(self, V: np.ndarray, rows: np.ndarray) -> np.ndarray:
        a, b, p = V.shape
        if not np.array_equal(self._at[0], rows):
            start = getattr(self.gd, "hvp_at", None) if self.shared else None
            self._at = rows.copy(), None if start is None else start(self.rows[rows])
        if self._at[1] is not None:
            return self._at[1](V)
        if self.shared:  # each vector with a state of its own beside it: few states fill the engine's lanes better so
            w = np.repeat(self.rows[rows], b, axis=0)
            return self.gd.hvp(w, np.ascontiguousarray(V).reshape(a * b, 1, p)).reshape(V.shape)
        whole, out = np.zeros((self.n, 1, p)), np.empty(V.shape)
        for j in range(b):
            whole[rows, 0] = V[:, j]
            out[:, j] = self.gd.hvp(self.w, whole.reshape(*self.lead, 1, p)).reshape(self.n, p)[rows]
        return out

    def matrices(self, rows: slice) -> np.ndarray:
        """The matrices themselves, (a, p, p)."""
        p = self.p
        if not callable(getattr(self.gd, "hessian", None)):
            some = np.arange(self.n)[rows]
            unit = np.broadcast_to(np.eye(p), (len(some), p, p))
            out = self.products(unit, some)
            return 0.5 * (out + out.swapaxes(1, 2))
        w = self.rows[rows] if self.shared else self.w
        out = self.gd.hessian(w).reshape(-1, p, p)
        if not self.shared:
            out = out[rows]
        if self.half is None:
            return out
        half = self.half[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            return half[:, :, None] * out * half[:, None]

    def spectra(self) -> np.ndarray:
        """All eigenvalues, ascending, (n, p); nan where the matrix is not finite."""
        values = np.full((self.n, self.p), np.nan)
        step = max(1, MEMORY // (8 * self.p**2)) if self.shared else max(1, self.n)
        for i in range(0, self.n, step):
            matrices = self.matrices(slice(i, i + step))
            finite = np.isfinite(matrices).all(axis=(1, 2))
            values[i : i + step][finite] = np.linalg.eigvalsh(matrices[finite])
        return values

    def dense(self, k: int, method: str = "auto") -> bool:
        """Whether the matrices are what is to be computed with."""
        if method == "lanczos" and not self.has_products:
            raise TypeError(
                f"method='lanczos' needs a map with hvp(w, V), and {type(self.gd).__name__} has none; use method='dense'"
            )
        return method == "dense" or not self.has_products or (method == "auto" and dense_is_cheaper(self.p, k))


def eigenvalues(
    curvature: Curvature, k: int, *, smallest: bool = False, tolerance: float = 1e-9, seed: int = 0, method: str = "auto",
    iterations: int = 1000,
) -> np.ndarray:  # fmt: skip
    """The k largest or smallest eigenvalues, (n, k), largest first.

    nan for matrices that are not finite, and, with a warning that names the residual, where Lanczos has not converged.
    """
    n, p = curvature.n, curvature.p
    if curvature.dense(k, method):
        spectra = curvature.spectra()
        return (spectra[:, :k] if smallest else spectra[:, p - k :])[:, ::-1]
    sign = -1.0 if smallest else 1.0
    drawn = np.random.default_rng(seed).standard_normal((k, p)) / np.sqrt(p)
    least = min(p, 3 * k + 8)
    basis = min(p, max(BASIS, least))
    together = max(1, MEMORY // (8 * p * basis)) if curvature.shared else max(1, n)
    if together == 1:
        basis = max(least, min(basis, MEMORY // (8 * p)))
    values, missed = np.full((n, k), np.nan), []
    for i in range(0, n, together):
        rows = np.arange(i, min(n, i + together))

        def product(V: np.ndarray, active: np.ndarray, rows: np.ndarray = rows) -> np.ndarray:
            return sign * curvature.products(V, rows[active])

        found = largest(
            product, np.broadcast_to(drawn, (len(rows), k, p)), tolerance=tolerance, iterations=iterations, basis=basis, seed=seed,
        )  # fmt: skip
        values[rows] = np.where(found.converged[:, None], sign * found.values, np.nan)
        missed += list(found.residual[~found.converged & np.isfinite(found.residual)])
    if missed:
        _warn(missed, n, tolerance, iterations)
    return values[:, ::-1] if smallest else values


def _warn(missed: list[float], n: int, tolerance: float, iterations: int) -> None:
    """Say which of n states have not converged."""
    from .engines import frames_of_ours

    warnings.warn(
        f"Lanczos has not converged after {iterations} iterations for {len(missed)} of {n} states, whose eigenvalues are given as nan: "
        f"their relative residuals are up to {max(missed):.2g}, above the tolerance {tolerance:.2g}; tl.sharpness takes other "
        "iterations, another tolerance, or method='dense'",
        RuntimeWarning,
        stacklevel=frames_of_ours(),
    )


def largest_eigenvalues(gd: Any, w: np.ndarray) -> np.ndarray:
    """The sharpness of states (..., size), (...): what is recorded along a run."""
    curvature = Curvature(gd, w)
    return eigenvalues(curvature, 1)[:, 0].reshape(curvature.lead)


def _half(gd: Any, z: np.ndarray, t: int | None) -> np.ndarray:
    """P^-1/2 of states, (..., p)."""
    rule = getattr(gd, "rule", None)
    needs = "preconditioned=True needs a rule that divides the gradient, as Adam and RMSProp do"
    if rule is None or not callable(getattr(rule, "preconditioner", None)):
        raise ValueError(f"{needs}, and {type(gd).__name__} has none")
    z, p = _validate.float64("w", z), gd.n_parameters
    if rule.slots == 0 or rule.preconditioner(np.ones((rule.slots, 1)), 1) is None:
        raise ValueError(f"{needs}, and {rule.name} does not")
    if z.ndim == 0 or z.shape[-1] != gd.n_state:
        raise ValueError(
            f"preconditioned=True needs states with memory, (..., {gd.n_state}), as final_state or the record 'states' of a run has "
            f"them; got {z.shape}"
        )
    if t is None and not rule.autonomous:
        raise ValueError(f"preconditioned=True needs t, the number of steps that the states have done, for {rule.name}")
    t = 1 if t is None else _validate.count("t", t, 1)
    by = rule.preconditioner(z[..., p:].reshape(*z.shape[:-1], rule.slots, p), t)
    with np.errstate(invalid="ignore"):
        return 1.0 / np.sqrt(by)
