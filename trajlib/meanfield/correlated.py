"""The effective process where inputs are correlated: rows of X are N(0, Sigma / d), so X = Z Sigma^(1/2) with an operator Z of independent
entries. Coordinates no longer part from each other: the process has d of them, coupled by Sigma^(1/2), which stands before and after Z.

Replicas of these d coordinates are sampled, each with a theta* of its own; Z is found from Stein's identity as for independent inputs,
so that no trace of a response is estimated and the training error falls along the sampled flow exactly.
"""

from __future__ import annotations

import numpy as np

from .. import _validate
from .model import Setting, draw
from .paths import PLACES, PathFlow

__all__ = ["CorrelatedFlow", "Covariance", "covariance_of", "data"]


class Covariance:
    """A covariance of inputs, checked: a matrix, or a spectrum whose eigenvectors are drawn anew for each ensemble.

    Parameters: covariance (d, d) or (d,); signal (d,) or None. Raises TypeError or ValueError.
    """

    def __init__(self, covariance: np.ndarray, signal: np.ndarray | None = None):
        given = _validate.finite("covariance", _validate.float64("covariance", covariance))
        if given.ndim not in (1, 2) or given.size == 0 or given.shape != given.shape[:1] * given.ndim:
            raise ValueError(f"covariance must be a matrix (d, d) or a spectrum (d,), got shape {given.shape}")
        if given.ndim == 2 and np.abs(given - given.T).max() > 1e-10 * np.abs(given).max():
            raise ValueError("covariance must be a symmetric matrix")
        self.axes: np.ndarray | None = None
        self.spectrum = given
        if given.ndim == 2:
            self.spectrum, self.axes = np.linalg.eigh(given)
        if self.spectrum.min() < -1e-10 * self.spectrum.max() or self.spectrum.max() <= 0:
            raise ValueError(
                f"covariance must have no negative eigenvalue and a positive one, got {self.spectrum.min():g}"
            )
        self.spectrum = np.maximum(self.spectrum, 0.0)
        self.dimension = len(given)
        if signal is not None:
            signal = _validate.finite("signal", _validate.float64("signal", signal))
            if signal.shape != (self.dimension,):
                raise ValueError(f"signal must have shape ({self.dimension},) as the covariance, got {signal.shape}")
        self.signal = signal

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Sigma and its symmetric root, (d, d) each; the eigenvectors are drawn where they are not given."""
        axes = haar(self.dimension, rng) if self.axes is None else self.axes
        return (axes * self.spectrum) @ axes.T, (axes * np.sqrt(self.spectrum)) @ axes.T

    def signals(self, model: Setting, count: int, rng: np.random.Generator) -> np.ndarray:
        """theta* of so many replicas, (count, d): the one that is given, or drawn, with an exact number of coordinates not zero."""
        d = self.dimension
        if self.signal is not None:
            return np.tile(self.signal, (count, 1))
        active = round(model.sparsity * d)
        if active < 1:
            raise ValueError(f"sparsity {model.sparsity} leaves no coordinate of {d} that is not zero")
        theta = np.zeros((count, d))
        theta[:, :active] = rng.choice([-1.0, 1.0], (count, active)) * model.signal
        return rng.permuted(theta, axis=1)

    def flow(
        self, model: Setting, paths: int, seed: np.random.SeedSequence, samples: int | None = None
    ) -> CorrelatedFlow:
        """The effective process, on so many paths."""
        return CorrelatedFlow(model, self, paths // self.dimension, seed, samples)

    def data(self, model: Setting, seed: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Data number ``index`` of a seed, as in :func:`~trajlib.meanfield.model.draw`, and the root of the covariance (d, d)."""
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index,))))
        root, theta = self.draw(rng)[1], self.signals(model, 1, rng)[0]
        n = round(model.aspect_ratio * self.dimension)
        x = rng.standard_normal((n, self.dimension)) @ root / np.sqrt(self.dimension)
        return x, x @ theta + model.noise * rng.standard_normal(n), theta, root


def covariance_of(dimension: int, covariance: np.ndarray | None, signal: np.ndarray | None) -> Covariance | None:
    """The covariance of so many inputs, checked, if there is one."""
    if covariance is None:
        if signal is not None:
            raise ValueError("signal needs a covariance: without one theta* is drawn")
        return None
    found = Covariance(covariance, signal)
    if found.dimension != dimension:
        raise ValueError(f"covariance must be that of {dimension} inputs, got {found.dimension}")
    return found


def data(model: Setting, dimension: int, covariance: Covariance | None, seed: int, index: int):
    """x, y, theta* and the root of the covariance, which is None where inputs are independent."""
    return (*draw(model, dimension, seed, index), None) if covariance is None else covariance.data(model, seed, index)


def haar(d: int, rng: np.random.Generator) -> np.ndarray:
    """A uniformly random orthogonal matrix (d, d)."""
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    return q * np.sign(np.diagonal(r))


class CorrelatedFlow(PathFlow):
    """A sampled ensemble of replicas of d coordinates, as a flow to integrate. The state is xi (replicas * d,)."""

    def __init__(
        self,
        model: Setting,
        covariance: Covariance,
        replicas: int,
        seed: np.random.SeedSequence,
        samples: int | None = None,
    ):
        self.model, self.samples = model, samples
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._root = covariance.draw(self._rng)[1]
        self._spectrum = covariance.spectrum
        self.signal = covariance.signals(model, replicas, self._rng).ravel()
        size = len(self.signal)
        self.weights = np.full(size, 1.0 / size)
        self._begin(min(1024, 3 * size // 8))

    def seen(self, error: np.ndarray) -> np.ndarray:
        """Sigma^(1/2) times a vector of each replica."""
        return (error.reshape(-1, len(self._root)) @ self._root).ravel()

    def _fresh(self, k: int) -> np.ndarray:
        """Standard normal noise for direction k, orthogonal to all that is known."""
        z = self._rng.standard_normal(len(self.weights))
        for _ in range(2):
            z -= (self._z[:k] @ (self.weights * z)) @ self._z[:k]
            z -= (self._weighted_q[: self._states] @ z) @ self._q[: self._states]
        return z / np.sqrt(self.weights @ (z * z))

    def radius(self, t: float, y: np.ndarray) -> float:
        """A bound on the right edge of the spectrum of X D X'.

        Ordered eigenvalues of Sigma^(1/2) D Sigma^(1/2) are at most those of D times the largest of Sigma, and the other way round.
        """
        delta, rates = self.model.aspect_ratio, self.rates(t, y)
        bounds = []
        for values, weights in (
            (rates * self._spectrum.max(), self.weights),
            (self._spectrum * rates.max(), np.full(len(self._spectrum), 1.0 / len(self._spectrum))),
        ):
            c = delta * values.max() * PLACES
            bounds.append((c * ((values / (c[:, None] - delta * values)) @ weights + 1.0)).min())
        return 1.1 * float(min(bounds))
