"""The softmax map: what is left of training when the hidden layer has saturated and the outputs no longer depend on the inputs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from .._normal import standard_normal
from ..engines import Problem
from .descent import TrainingMap

__all__ = ["SoftmaxMap"]


@dataclass(frozen=True, eq=False)
class SoftmaxMap(TrainingMap):
    """s(t+1) = s(t) - kappa (softmax(s(t)) - p): what is left of training when the outputs no longer depend on the inputs.

    It is gradient descent at rate κ on the cross entropy between the class proportions p and softmax(s). The sum of the logits s is
    conserved, so that the map acts on a plane of K - 1 dimensions; along (1, 1, ..., 1) its exponent is exactly 0. The engines run it
    as a network without inputs and without hidden units, bit-reproducibly.

    Parameters
    ----------
    kappa : float or ndarray
        Effective learning rate κ, positive. An array must broadcast against the leading axes of the states: one a state.
    p : ndarray (K,) or (..., K), float64
        Class proportions, non-negative, summing to 1; one set, or one a state.

    Raises
    ------
    TypeError, ValueError
        If ``kappa`` or ``p`` is out of range.

    Examples
    --------
    >>> import trajlib as tl
    >>> reduced = tl.SoftmaxMap(5.0, np.array([0.3, 0.3, 0.4]))
    >>> np.abs(reduced(reduced.fixed_point) - reduced.fixed_point).max() < 1e-15
    np.True_
    >>> tl.train(reduced, reduced.init(100, seed=0), steps=1000).loss.shape
    (100, 1001)
    """

    kappa: float | np.ndarray
    p: np.ndarray
    problem: Problem = field(init=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "kappa", _validate.rate("kappa", self.kappa))
        p = _validate.finite("p", _validate.float64("p", self.p)).copy()
        if p.ndim == 0 or p.shape[-1] < 2 or p.size == 0:
            raise ValueError(f"p must have shape (..., K) with K >= 2 classes, got {p.shape}")
        if (p < 0).any() or (np.abs(p.sum(axis=-1) - 1) > 1e-12).any():
            raise ValueError("p must hold class proportions: not negative, with sum 1; divide counts by their sum")
        p.flags.writeable = False
        object.__setattr__(self, "p", p)
        targets = p[..., None, :] if p.ndim > 1 else p[None]
        problem = Problem(
            (0, 0, p.shape[-1]), "sigmoid", "cross_entropy", np.zeros((1, 0)), targets, 1, 0.0, self.kappa
        )
        object.__setattr__(self, "problem", problem)

    def check_rows(self, lead: tuple[int, ...]) -> None:
        """Raise where there are rates or proportions for other states than those with leading axes ``lead``."""
        _validate.fits("kappa", "one number", np.shape(self.kappa), lead)
        _validate.fits("p", "one set of proportions", self.p.shape[:-1], lead)

    @property
    def fixed_point(self) -> np.ndarray:
        """The fixed point, ln p less its mean, (..., K). A class of proportion 0 has -inf, and does not count in the mean."""
        there = self.p > 0
        logs = np.log(self.p, where=there, out=np.zeros_like(self.p))
        centred = logs - logs.sum(axis=-1, keepdims=True) / there.sum(axis=-1, keepdims=True)
        return np.where(there, centred, -np.inf)

    @property
    def entropy(self) -> np.ndarray:
        """Loss at the fixed point, the entropy of p, (...): the least loss that the map can reach."""
        from scipy.special import entr

        return entr(self.p).sum(axis=-1)

    @property
    def critical_kappa(self) -> np.ndarray:
        """κ above which the fixed point is unstable, 2 / (largest eigenvalue of diag(p) - p p^T), (...)."""
        return 2.0 / np.linalg.eigvalsh(_covariance(self.p))[..., -1]

    def init(self, n: int, seed: int, *, scale: float = 1.0) -> np.ndarray:
        """Random states (n, K): independent N(0, scale\\ :sup:`2`) logits, less their mean."""
        n, seed = _validate.count("n", n), _validate.count("seed", seed)
        rng = np.random.Generator(np.random.PCG64(seed))
        s = _validate.positive("scale", scale) * standard_normal(rng, (n, self.n_parameters))
        return s - s.mean(axis=-1, keepdims=True)

    def hessian(self, w: np.ndarray) -> np.ndarray:
        """Hessian of the loss, diag(q) - q q^T with q = softmax(s), (..., K, K)."""
        return _covariance(self.gradient(w) + self.p)


def _covariance(q: np.ndarray) -> np.ndarray:
    return q[..., None] * np.eye(q.shape[-1]) - q[..., :, None] * q[..., None, :]
