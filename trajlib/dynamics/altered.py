"""Gradient descent with its chaos taken out at the same learning rate: steps that leave out directions that overshoot, or are capped.

Any verb takes these maps, as it takes a user's own. Only the step of a plain descent is changed, so that what differs afterwards
differs because of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _validate
from .protocol import Dynamics

__all__ = ["CappedDescent", "ProjectedDescent"]


class _Altered(Dynamics):
    """A descent whose step is changed; loss, accuracy and the rest are those of the descent."""

    def __init__(self, gd: Any):
        if gd.n_state != gd.n_parameters or not isinstance(gd.lr, float) or getattr(gd, "batches", None) is not None:
            raise ValueError("gd must be gradient descent on all samples, with one learning rate and without momentum")
        self.gd, self.lr, self.size = gd, gd.lr, gd.n_parameters

    @property
    def movable(self) -> np.ndarray:
        """(size,) bool: weights, not biases, as of the descent."""
        return self.gd.movable

    def loss(self, w: np.ndarray) -> np.ndarray:
        """Training loss (...)."""
        return self.gd.loss(w)

    def accuracy(self, w: np.ndarray, split: str = "test") -> np.ndarray:
        """Fraction of samples labelled correctly, (...)."""
        return self.gd.accuracy(w, split)

    def test_loss(self, w: np.ndarray) -> np.ndarray:
        """Loss on the test part, (...)."""
        return self.gd.test_loss(w)

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient of the loss, (..., p)."""
        return self.gd.gradient(w)

    def hvp(self, w: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Hessian of the loss times vectors, (..., k, p)."""
        return self.gd.hvp(w, V)


class CappedDescent(_Altered):
    """Gradient descent whose step is never longer than a bound: w - lr g, or w - cap g / \\|g\\| where lr \\|g\\| > cap.

    Parameters
    ----------
    gd : GradientDescent
        On all samples, with one learning rate, without momentum.
    cap : float
        Largest Euclidean length of a step, positive.

    Raises
    ------
    ValueError
        If it is another descent, or the bound is not positive.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0)
    >>> w = gd.network.init(3, seed=0)
    >>> np.linalg.norm(CappedDescent(gd, 0.1)(w) - w, axis=1).round(12)
    array([0.1, 0.1, 0.1])
    """

    def __init__(self, gd: Any, cap: float):
        super().__init__(gd)
        self.cap = _validate.positive("cap", cap)

    def step(self, z: np.ndarray, t: int = 0) -> np.ndarray:
        """The weights after one more step, (..., p)."""
        g = self.gd.gradient(z)
        return z - self._factor(g)[0] * g

    def _factor(self, g: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What gradients (..., p) are multiplied by, their lengths, and whether the bound is reached, (..., 1) each."""
        length = np.linalg.norm(g, axis=-1, keepdims=True)
        over = self.lr * length > self.cap
        return np.where(over, self.cap / np.where(over, length, 1.0), self.lr), length, over

    def jvp(self, z: np.ndarray, V: np.ndarray, t: int = 0) -> np.ndarray:
        """Tangent vectors V (..., k, p) after the step, exactly: of a capped one, what lies along the gradient is not changed by it."""
        g, moved = self.gd.gradient(z), self.gd.hvp(z, V)
        factor, length, over = (a[..., None, :] for a in self._factor(g))
        unit = g[..., None, :] / np.where(over, length, 1.0)
        along = (moved * unit).sum(axis=-1, keepdims=True) * unit
        return V - factor * np.where(over, moved - along, moved)


class ProjectedDescent(_Altered):
    """Gradient descent that does not move along directions in which its step would overshoot: eigenvectors of the Hessian above a bound.

    The step is -lr (1 - Q Q\\ :sup:`T`) g, the columns of Q being the eigenvectors whose eigenvalue exceeds ``limit / lr``: 2 is where
    plain descent on the local quadratic no longer converges. The rate is the same in all other directions. From the whole Hessian, so for
    small networks.

    Parameters
    ----------
    gd : GradientDescent
        On all samples, with one learning rate, without momentum.
    limit : float
        In units of 1 / lr, positive.

    Raises
    ------
    ValueError
        If it is another descent, or the limit is not positive.

    Notes
    -----
    The tangent map is that of differences over ``1e-6``, both sides: the projector changes with the weights, and its derivative would need
    third derivatives of the loss. Where an eigenvalue passes the bound, the map jumps and has no derivative.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0)
    >>> w = gd.network.init(3, seed=0)
    >>> bool(np.allclose(ProjectedDescent(gd, limit=1e6)(w), gd(w)))
    True
    """

    def __init__(self, gd: Any, limit: float = 2.0):
        super().__init__(gd)
        self.limit = _validate.positive("limit", limit)

    def step(self, z: np.ndarray, t: int = 0) -> np.ndarray:
        """The weights after one more step, (..., p); nan where they have left the range of float64."""
        g, hessian = self.gd.gradient(z), self.gd.hessian(z)
        fine = np.isfinite(hessian).all(axis=(-2, -1)) & np.isfinite(g).all(axis=-1)
        values, vectors = np.linalg.eigh(np.where(fine[..., None, None], hessian, 0.0))
        part = np.einsum("...pk,...p->...k", vectors, np.where(fine[..., None], g, np.nan))
        part = np.where(values * self.lr > self.limit, 0.0, part)
        return z - self.lr * np.einsum("...pk,...k->...p", vectors, part)

    def jvp(self, z: np.ndarray, V: np.ndarray, t: int = 0) -> np.ndarray:
        """Tangent vectors V (..., k, p) after the step, by central differences."""
        length = np.linalg.norm(V, axis=-1, keepdims=True)
        unit = V / np.where(length > 0, length, 1.0)
        z = z[..., None, :]
        return length * (self.step(z + 1e-6 * unit) - self.step(z - 1e-6 * unit)) / 2e-6
