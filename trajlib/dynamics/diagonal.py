"""Training of a diagonal linear network as a map: theta = (u² - v²) / 2 coordinate by coordinate, w = (u, v)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from .protocol import Dynamics

__all__ = ["DiagonalNetwork", "check_data"]


@dataclass(frozen=True, eq=False)
class DiagonalNetwork(Dynamics):
    """Training of a diagonal linear network by gradient descent, as a map of w = (u, v) to itself.

    Small learning rates follow the gradient flow at time t = lr * step, large ones do not. Sums run over inputs and over
    samples in their order, without BLAS, so that an orbit has the same bits on any machine, also where it is chaotic.

    Attributes
    ----------
    x : ndarray (n, d), float64
        Inputs.
    y : ndarray (n,), float64
        Targets.
    lr : float or ndarray
        Learning rate, positive; a step is lr in units of the flow's time. An array must broadcast against the leading axes of the
        weights: one rate a network.
    weight_decay : float
        Of u and v, >= 0.

    Raises
    ------
    TypeError, ValueError
        If an array is not float64, not finite or of another shape, or a number is out of range.

    References
    ----------
    The model of Nishiyama, Imaizumi, arXiv 2510.01930, by gradient descent in place of gradient flow.

    Examples
    --------
    >>> import trajlib as tl
    >>> net = DiagonalNetwork(np.eye(2), np.array([1.0, 0.0]), lr=0.1)
    >>> w0 = net.init(0.5)
    >>> net.theta(net.orbit(w0, 200)[:, -1]).round(6) + 0.0
    array([[1., 0.]])
    >>> tl.lyapunov_spectrum(net, w0, 100, transient=200).exponents[0, -1] < 0
    np.True_
    """

    x: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)
    lr: float | np.ndarray = 0.01
    weight_decay: float = 0.0

    def __post_init__(self):
        x, y = check_data(self.x, self.y)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "lr", _validate.rate("lr", self.lr))
        object.__setattr__(self, "weight_decay", _validate.positive("weight_decay", self.weight_decay, zero=True))

    @property
    def size(self) -> int:  # type: ignore[override]
        """2 d."""
        return 2 * self.x.shape[1]

    @property
    def independent(self) -> bool:
        """Whether all networks have one learning rate."""
        return np.ndim(self.lr) == 0

    @property
    def shared_loss(self) -> bool:
        """Yes, since networks of a batch differ in their learning rates alone."""
        return True

    def check_rows(self, lead: tuple[int, ...]) -> None:
        """Raise where there are learning rates for other networks than those with leading axes ``lead``."""
        _validate.fits("lr", "one number", np.shape(self.lr), lead)

    def init(self, init_scale: float, n: int = 1) -> np.ndarray:
        """The model's initial condition u = v = init_scale, n times, (n, 2 d)."""
        return np.full((_validate.count("n", n, 1), self.n_parameters), _validate.positive("init_scale", init_scale))

    def theta(self, w: np.ndarray) -> np.ndarray:
        """Linear coefficients (u² - v²) / 2 of weights (..., 2 d): (..., d)."""
        u, v = np.split(_validate.weights(w, self.n_parameters), 2, axis=-1)
        return 0.5 * (u * u - v * v)

    def loss(self, w: np.ndarray) -> np.ndarray:
        """\\|X theta - y\\|² / 2 + weight_decay \\|w\\|² / 2, (...)."""
        residual = self._residual(w)
        return 0.5 * (residual * residual).sum(axis=-1) + 0.5 * self.weight_decay * (w * w).sum(axis=-1)

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient of the loss, (..., 2 d)."""
        g = _ordered_product(self._residual(w), self.x)
        return np.concatenate([g, -g], axis=-1) * w + self.weight_decay * w

    def hessian(self, w: np.ndarray) -> np.ndarray:
        """Hessian of the loss, (..., 2 d, 2 d)."""
        g = _ordered_product(self._residual(w), self.x)
        d = self.x.shape[1]
        slope = np.concatenate([self.x * w[..., None, :d], -self.x * w[..., None, d:]], axis=-1)  # d residual / d w
        hessian = slope.swapaxes(-1, -2) @ slope
        diagonal = np.arange(2 * d)
        hessian[..., diagonal, diagonal] += np.concatenate([g, -g], axis=-1) + self.weight_decay
        return hessian

    def step(self, z: np.ndarray, t: int = 0) -> np.ndarray:
        """The weights after a step, (..., 2 d). It does not depend on t."""
        return z - self._rate(np.shape(z)[:-1]) * self.gradient(z)

    def jvp(self, z: np.ndarray, V: np.ndarray, t: int = 0) -> np.ndarray:
        """Tangent vectors V (..., k, 2 d) at weights z after a step, V - lr H V, without a Hessian."""
        g = _ordered_product(self._residual(z), self.x)
        sign = np.repeat([1.0, -1.0], self.x.shape[1])
        moved = (sign * z)[..., None, :] * V  # d theta = u du - v dv
        back = (moved[..., : self.x.shape[1]] + moved[..., self.x.shape[1] :]) @ self.x.T @ self.x
        change = (sign * z)[..., None, :] * np.concatenate([back, back], axis=-1)
        change += (np.concatenate([g, -g], axis=-1) + self.weight_decay)[..., None, :] * V
        return V - self._rate(np.shape(z)[:-1])[..., None] * change

    def jacobian(self, w: np.ndarray) -> np.ndarray:
        """Jacobian of the map, 1 - lr * Hessian, (..., 2 d, 2 d)."""
        return np.eye(self.n_parameters) - self._rate(np.shape(w)[:-1])[..., None] * self.hessian(w)

    def _residual(self, w: np.ndarray) -> np.ndarray:
        """X theta - y, (..., n)."""
        return _ordered_product(self.theta(w), self.x.T) - self.y

    def _rate(self, lead: tuple[int, ...]) -> np.ndarray:
        """Learning rates of networks with leading axes ``lead``, to multiply their weights by."""
        self.check_rows(lead)
        return np.asarray(self.lr)[..., None]

    def orbit(self, w0: np.ndarray, steps: int, every: int = 1) -> np.ndarray:
        """States at steps 0, every, 2 every ... of ``steps`` steps from w0 (n, 2 d): (n, steps // every + 1, 2 d)."""
        w = _validate.finite("w0", _validate.weights(w0, self.n_parameters, name="w0"))
        steps, every = _validate.count("steps", steps), _validate.count("every", every, 1)
        states = np.empty((*w.shape[:-1], steps // every + 1, self.n_parameters))
        states[..., 0, :] = w
        with np.errstate(over="ignore", invalid="ignore"):  # a run with too large a step leaves the finite numbers
            for step in range(1, steps + 1):
                w = self(w)
                if step % every == 0:
                    states[..., step // every, :] = w
        return states


def _ordered_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of a (..., m) and b (m, k), summed in the order of m: BLAS has an order of its own on each machine."""
    total = a[..., :1] * b[0]
    for j in range(1, len(b)):
        total = total + a[..., j, None] * b[j]
    return total


def check_data(x, y) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, d) and targets (n,), finite float64."""
    x, y = _validate.finite("x", _validate.float64("x", x)), _validate.finite("y", _validate.float64("y", y))
    if x.ndim != 2 or x.size == 0 or y.shape != x.shape[:1]:
        raise ValueError(f"x must have shape (n, d) and y (n,), got {x.shape} and {y.shape}")
    return x, y
