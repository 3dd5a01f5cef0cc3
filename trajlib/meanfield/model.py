"""Diagonal linear networks: the model and its constants, and a draw of its data.

The network is theta = (u² - v²) / 2, coordinate by coordinate, started at u = v = alpha. Its loss is
\\|X theta - y\\|² / 2 + lambda (\\|u\\|² + \\|v\\|²) / 2, with n = delta d samples of d inputs, X_ij ~ N(0, 1/d).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import _validate
from ..results import Result

__all__ = ["Setting", "draw"]


SMALLEST, LARGEST = 1e-50, 1e50
"""Constants of the model and data, where they are not 0: products of a few of them are still numbers."""


def moderate(name: str, value, *, zero: bool = False) -> float:
    """A positive number (or zero where allowed), small and large enough to compute with."""
    number = _validate.positive(name, value, zero=zero)
    if number and not SMALLEST <= number <= LARGEST:
        raise ValueError(
            f"{name} must be{' 0 or' if zero else ''} between {SMALLEST:g} and {LARGEST:g}, got {_validate.shown(value)}"
        )
    return number


def check_size(x: np.ndarray, y: np.ndarray) -> None:
    """Raise where inputs or targets are too small or too large to compute with."""
    for name, array in (("x", x), ("y", y)):
        largest = np.abs(array).max()
        if largest > LARGEST or (largest < SMALLEST and (largest or name == "x")):
            raise ValueError(
                f"{name} must have its largest entry between {SMALLEST:g} and {LARGEST:g}, got {largest:g}"
            )


@dataclass(frozen=True)
class Setting(Result, axes={"": "aspect_ratio init_scale noise sparsity weight_decay"}):
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
            object.__setattr__(self, name, moderate(name, getattr(self, name)))
        for name in ("noise", "weight_decay"):
            object.__setattr__(self, name, moderate(name, getattr(self, name), zero=True))
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


def report_times(times: np.ndarray | None, t_max: float) -> np.ndarray:
    """Times at which to report, checked; 81 equal ones from 0 to t_max by default."""
    t_max = _validate.positive("t_max", t_max)
    if times is None:
        return np.linspace(0.0, t_max, 81)
    times = _validate.finite("times", _validate.float64("times", times))
    if times.ndim != 1 or len(times) == 0 or times[0] < 0 or (np.diff(times) <= 0).any() or times[-1] == 0:
        raise ValueError("times must be a vector of increasing numbers >= 0, the last of them positive")
    return times.copy()
