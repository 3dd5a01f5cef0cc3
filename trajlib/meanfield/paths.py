"""The effective process of a coordinate, on sampled paths that see one another through exact kernels only.

The memory kernels of mean-field theory come from Stein's identity, as inner products of the paths' own noise with their states. Written in
bases that grow as the flow moves on, this is a linear operator X with a true adjoint: the training error falls along the sampled flow
exactly, whatever the number of paths, and nothing blows up. (Kernels estimated from path-wise derivatives break that adjointness by their
sampling noise, which feeds back and grows.) States have as inner product the mean over coordinates, residuals that over samples.
"""

from __future__ import annotations

import inspect

import numpy as np

from .model import Setting

__all__ = ["PathFlow"]

RANK_TOLERANCE = 1e-5
"""A new state (or residual) opens a new direction if more than this share of its length lies outside of those known."""
SMOOTH = 64
"""Directions whose noise is quasi-random; later ones carry little, and high Sobol dimensions are no better than random ones."""
PLACES = 1.0 + np.logspace(-3.0, 2.0, 40)
"""Where the function is tried whose least value is that edge."""
OUTLYING = 150.0
"""A path this far out (its theta is of order 1e130) has left by too long a step."""
FLOOR = 1e-7
"""Root of an excess risk below which steps need not be accurate in relative terms."""


class PathFlow:
    """A sampled ensemble of coordinates, as a flow to integrate. The state is xi (paths,), theta = a_t sinh(2 xi).

    Half of the paths (a power of two) have theta* = 0, half +1/sqrt(rho), with weights that make their shares exact; -1/sqrt(rho) is their
    mirror image. The second half is in pairs of opposite noise. Of the samples only inner products are needed, unless each is to be looked
    at (as minibatches do): then so many of them are sampled, and vectors of samples have their values over the root of their number.
    """

    def __init__(self, model: Setting, paths: int, seed: np.random.SeedSequence, samples: int | None = None):
        self.model, self.samples = model, samples
        half = paths // 2
        self._cut = half if model.sparsity < 1 else 0  # paths with theta* = 0
        size = paths if self._cut else half
        self.weights = np.full(size, model.sparsity / half)
        self.weights[: self._cut] = (1.0 - model.sparsity) / half
        self.signal = np.full(size, model.signal)
        self.signal[: self._cut] = 0.0
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._noise = self._quasi_random(half)
        self._begin(min(1024, 3 * half // 4))

    def _begin(self, capacity: int) -> None:
        """No directions yet, and room for at most so many."""
        self.capacity, size = capacity, len(self.weights)
        self._q, self._weighted_q, self._b, self._z = (np.empty((64, size)) for _ in range(4))
        # X q, in coordinates of samples: the noise of the targets, then one for each q; or its values at the samples
        self._images, self._e = (np.zeros((64, self.samples or 65)) for _ in range(2))
        self._states = self._residuals = 0
        self._targets = np.zeros(self._images.shape[1])
        self._targets[0] = 1.0
        if self.samples:
            self._targets = self._rng.standard_normal(self.samples)
            self._targets /= np.linalg.norm(self._targets)

    def _fresh_image(self, k: int) -> np.ndarray:
        """The part of X q for a new q that nothing is known of: a unit vector of samples, orthogonal to all residuals."""
        if not self.samples:
            return np.eye(1, self._images.shape[1], k + 1)[0]
        z = self._rng.standard_normal(self.samples)
        for _ in range(2):
            z -= (self._e[: self._residuals] @ z) @ self._e[: self._residuals]
        return z / np.linalg.norm(z)

    def _quasi_random(self, half: int) -> np.ndarray:
        """Scrambled Sobol points as normal numbers (directions, paths)."""
        from scipy.special import ndtri
        from scipy.stats import qmc

        # SciPy before 1.15 knows the argument by its old name only
        generator = {"rng" if "rng" in inspect.signature(qmc.Sobol).parameters else "seed": self._rng}
        parts = []
        for exponent, mirrored in ((half.bit_length() - 1, False), (half.bit_length() - 2, True)):
            sobol = qmc.Sobol(SMOOTH, **generator)
            z = ndtri(np.clip(sobol.random_base2(exponent), 1e-15, 1 - 1e-15)).T
            parts.append(np.concatenate([z, -z], axis=1) if mirrored else z)
        return np.concatenate(parts if self._cut else parts[1:], axis=1)

    def _fresh(self, k: int) -> np.ndarray:
        """Standard normal noise for direction k, orthogonal to all that is known, with mean 0 in both halves."""
        cut = self._cut
        if k < SMOOTH:
            z = self._noise[k].copy()
        else:
            z = self._rng.standard_normal(len(self.weights))
            middle = (cut + len(z)) // 2
            z[middle:] = -z[cut:middle]
        z[cut:] -= z[cut:].mean()
        if cut:
            z[:cut] -= z[:cut].mean()
        for _ in range(2):
            z -= (self._z[:k] @ (self.weights * z)) @ self._z[:k]
            z -= (self._weighted_q[: self._states] @ z) @ self._q[: self._states]
        return z / np.sqrt(self.weights @ (z * z))

    def observe(self, t: float, xi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """theta - theta* of the paths, and the residual X theta - y in coordinates of samples (1 + states known,)."""
        error = self.seen(self.model.scale(t) * np.sinh(2.0 * xi) - self.signal)
        return error, self.residual(error)

    def seen(self, error: np.ndarray) -> np.ndarray:
        """What the data see of an error of theta (paths,): all of it, as inputs are independent."""
        return error

    def residual(self, error: np.ndarray) -> np.ndarray:
        """X theta - y in coordinates of samples (1 + states known,), for an error as the data see it."""
        k = self._states
        self._make_room(max(k, self._residuals))
        rest, share = error.copy(), np.zeros(k)
        for _ in range(2):
            more = self._weighted_q[:k] @ rest
            share += more
            rest -= more @ self._q[:k]
        length = np.sqrt(self.weights @ (rest * rest))
        residual = share @ self._images[:k]
        if length > RANK_TOLERANCE * np.sqrt(self.weights @ (error * error)):
            self._q[k] = rest / length
            self._weighted_q[k] = self.weights * self._q[k]
            known = self._b[: self._residuals] @ self._weighted_q[k]
            self._images[k] = (known / self.model.aspect_ratio) @ self._e[: self._residuals] + self._fresh_image(k)
            self._states += 1
            residual += length * self._images[k]
        return residual - self.model.noise * self._targets

    def rate(self, t: float, y: np.ndarray) -> np.ndarray:
        """d xi / dt = -X'(X theta - y), (paths,)."""
        if not np.abs(y).max() < OUTLYING:
            return np.full_like(y, np.nan)  # the step was too long, and will be rejected
        return -self.seen(self.force(self.observe(t, y)[1]))

    def force(self, residual: np.ndarray) -> np.ndarray:
        """X' times a vector of samples, (paths,), before the covariance."""
        k = self._residuals
        rest, share = residual.copy(), np.zeros(k)
        for _ in range(2):
            more = self._e[:k] @ rest
            share += more
            rest -= more @ self._e[:k]
        length = np.linalg.norm(rest)
        if length > RANK_TOLERANCE * np.linalg.norm(residual):
            self._e[k] = rest / length
            self._z[k] = self._fresh(k)
            delta, known = self.model.aspect_ratio, self._images[: self._states] @ self._e[k]
            self._b[k] = (delta * known) @ self._q[: self._states] + np.sqrt(delta) * self._z[k]
            self._residuals += 1
            share = np.append(share, length)
        return share @ self._b[: self._residuals]

    def _make_room(self, k: int) -> None:
        """Room for direction k, of states and of residuals."""
        if k >= self.capacity:
            raise ArithmeticError(
                f"the states span more than {self.capacity} directions, too many for {len(self.weights)} paths; "
                "use more paths, or ask for a shorter time"
            )
        if k < len(self._q):
            return
        for name in ("_q", "_weighted_q", "_b", "_z"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.empty_like(old)]))
        for name in ("_images", "_e"):
            setattr(self, name, np.pad(getattr(self, name), ((0, k), (0, 0 if self.samples else k))))
        if not self.samples:
            self._targets = np.pad(self._targets, (0, k))

    def rates(self, t: float, xi: np.ndarray) -> np.ndarray:
        """D = d theta / d xi = 2 a_t cosh(2 xi) of the paths."""
        return 2.0 * self.model.scale(t) * np.cosh(2.0 * xi)

    def radius(self, t: float, y: np.ndarray) -> float:
        """A bound on the right edge of the spectrum of X D X', with a tenth to spare (see ``limits.spectrum_edge``)."""
        delta, rates = self.model.aspect_ratio, self.rates(t, y)
        c = delta * rates.max() * PLACES
        return 1.1 * float((c * ((rates / (c[:, None] - delta * rates)) @ self.weights + 1.0)).min())

    def error(self, t, y, change) -> float:
        """Root mean square error of theta, relative to that of theta - theta* at the start of the step."""
        if not np.abs(y[1]).max() < OUTLYING:
            return np.inf
        size = self.seen(np.maximum(self.rates(t[0], y[0]), self.rates(t[1], y[1])) * change)
        error = self.seen(self.model.scale(t[0]) * np.sinh(2.0 * y[0]) - self.signal)
        return float(np.sqrt(self.weights @ (size * size)) / max(np.sqrt(self.weights @ (error * error)), FLOOR))

    def mark(self):
        """The numbers of directions, and the state of the noise."""
        return self._states, self._residuals, self._rng.bit_generator.state

    def rewind(self, mark) -> None:
        """Forget directions that a rejected step has opened."""
        self._states, self._residuals, self._rng.bit_generator.state = mark
        self._images[self._states :] = 0.0
        self._e[self._residuals :] = 0.0
