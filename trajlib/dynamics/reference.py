"""Maps whose Lyapunov exponents are known: what the estimators are tested on before they touch a network.

Each is batched over leading axes and has the protocol of a training map: ``map(w)``, ``map.jacobian(w)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["HenonMap", "LinearMap", "LogisticMap"]


@dataclass(frozen=True)
class LogisticMap:
    """x -> r x (1 - x), states (..., 1). At r = 4 the exponent is ln 2.

    Examples
    --------
    >>> LogisticMap(4.0)(np.array([0.25]))
    array([0.75])
    """

    r: float = 4.0

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """The next state."""
        return self.r * w * (1.0 - w)

    def jacobian(self, w: np.ndarray) -> np.ndarray:
        """Derivative, (..., 1, 1)."""
        return (self.r * (1.0 - 2.0 * w))[..., None]


@dataclass(frozen=True)
class HenonMap:
    """(x, y) -> (1 - a x² + y, b x), states (..., 2). At (1.4, 0.3) the exponents are 0.41922 and -1.62319.

    References
    ----------
    M. Hénon, Comm. Math. Phys. 50 (1976) 69; exponents: J. C. Sprott, Chaos and Time-Series Analysis (Oxford, 2003).
    """

    a: float = 1.4
    b: float = 0.3

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """The next state."""
        x, y = w[..., 0], w[..., 1]
        return np.stack([1.0 - self.a * x * x + y, self.b * x], axis=-1)

    def jacobian(self, w: np.ndarray) -> np.ndarray:
        """Jacobian, (..., 2, 2)."""
        matrix = np.zeros((*w.shape, 2))
        matrix[..., 0, 0] = -2.0 * self.a * w[..., 0]
        matrix[..., 0, 1] = 1.0
        matrix[..., 1, 0] = self.b
        return matrix


@dataclass(frozen=True, eq=False)
class LinearMap:
    """w -> A w. The exponents are the logarithms of the moduli of A's eigenvalues.

    Gradient descent on a quadratic loss with Hessian H is the linear map I - lr H.
    """

    matrix: np.ndarray

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """The next state."""
        return w @ self.matrix.T

    def jacobian(self, w: np.ndarray) -> np.ndarray:
        """The matrix, for every state (..., p, p)."""
        return np.broadcast_to(self.matrix, (*w.shape, w.shape[-1]))
