"""Diagonal linear networks: the model and its constants, a draw of its data, and its training as a map.

The network is theta = (u² - v²) / 2, coordinate by coordinate, started at u = v = alpha. Its loss is
\\|X theta - y\\|² / 2 + lambda (\\|u\\|² + \\|v\\|²) / 2, with n = delta d samples of d inputs, X_ij ~ N(0, 1/d).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate

__all__ = ["DiagonalNetwork", "Setting", "draw"]


@dataclass(frozen=True)
class Setting:
    """The constants of the model, checked. The paper's symbols are in brackets.

    Attributes
    ----------
    aspect_ratio : float
        Samples per input, n / d (delta), positive.
    init_scale : float
        Every u and v at the start (alpha), positive.
    noise : float
        Standard deviation of the noise of the targets (sigma), >= 0.
    sparsity : float
        Fraction of coordinates of theta* that are not zero (rho), in (0, 1]. They are ±1 / sqrt(rho), so that the mean
        square of theta* is 1.
    weight_decay : float
        Of u and v (lambda), >= 0.
    """

    aspect_ratio: float = 0.5
    init_scale: float = 0.3
    noise: float = 0.1
    sparsity: float = 0.1
    weight_decay: float = 0.0

    def __post_init__(self):
        for name in ("aspect_ratio", "init_scale", "sparsity"):
            object.__setattr__(self, name, _validate.positive(name, getattr(self, name)))
        for name in ("noise", "weight_decay"):
            object.__setattr__(self, name, _validate.positive(name, getattr(self, name), zero=True))
        if self.sparsity > 1:
            raise ValueError(f"sparsity is a fraction and must be at most 1, got {self.sparsity}")

    @property
    def signal(self) -> float:
        """Size of the coordinates of theta* that are not zero, 1 / sqrt(rho)."""
        return self.sparsity**-0.5

    def scale(self, t: float) -> float:
        """The product u v at time t, which is the same for all coordinates: a_t = alpha² exp(-2 lambda t)."""
        return float(self.init_scale**2 * np.exp(-2.0 * self.weight_decay * t))


def draw(setting: Setting, dimension: int, seed: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Data number ``index`` of a seed: inputs x (n, d), targets y (n,) and the signal theta* (d,).

    The number of coordinates of theta* that are not zero is exact, sparsity * d rounded; their places and signs are drawn.
    """
    n, active = round(setting.aspect_ratio * dimension), round(setting.sparsity * dimension)
    if n < 1 or active < 1:
        raise ValueError(
            f"dimension must leave at least one sample and one coordinate of theta* that is not zero, got {dimension} "
            f"with aspect_ratio {setting.aspect_ratio} and sparsity {setting.sparsity}"
        )
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index,))))
    theta = np.zeros(dimension)
    theta[rng.permutation(dimension)[:active]] = setting.signal * rng.choice([-1.0, 1.0], active)
    x = rng.standard_normal((n, dimension))
    x /= np.sqrt(dimension)
    return x, x @ theta + setting.noise * rng.standard_normal(n), theta


@dataclass(frozen=True, eq=False)
class DiagonalNetwork:
    """Training of a diagonal linear network by gradient descent, as a map of w = (u, v) to itself.

    It has the protocol of the maps in :mod:`trajlib.systems`, so that :func:`~trajlib.stability.lyapunov.lyapunov_spectrum`
    takes it: small learning rates follow the gradient flow at time t = lr * step, large ones do not. Sums run over inputs and over
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
    def n_parameters(self) -> int:
        """2 d."""
        return 2 * self.x.shape[1]

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

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """The weights after a step, (..., 2 d)."""
        return w - self._rate(np.shape(w)[:-1]) * self.gradient(w)

    def jacobian(self, w: np.ndarray) -> np.ndarray:
        """Jacobian of the map, 1 - lr * Hessian, (..., 2 d, 2 d)."""
        return np.eye(self.n_parameters) - self._rate(np.shape(w)[:-1])[..., None] * self.hessian(w)

    def _residual(self, w: np.ndarray) -> np.ndarray:
        """X theta - y, (..., n)."""
        return _ordered_product(self.theta(w), self.x.T) - self.y

    def _rate(self, lead: tuple[int, ...]) -> np.ndarray:
        """Learning rates of networks with leading axes ``lead``, to multiply their weights by."""
        _validate.fits("lr", "one number", np.shape(self.lr), lead)
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
