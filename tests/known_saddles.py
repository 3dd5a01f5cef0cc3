"""Maps with a chaotic saddle whose escape rate and exponent are known: open tent maps, exactly; Hénon's horseshoe, from its cycles."""

import itertools

import numpy as np

from trajlib.dynamics.reference import HenonMap


class Tent:
    """x -> a x left of the tip, b (1 - x) right of it; what exceeds 1 is out."""

    def __init__(self, a, b):
        self.a, self.b = a, b

    def __call__(self, x):
        return np.minimum(self.a * x, self.b * (1.0 - x))

    def jacobian(self, x):
        return np.where(self.a * x < self.b * (1.0 - x), self.a, -self.b)[..., None]

    @staticmethod
    def inside(x):
        return (x[:, 0] >= 0) & (x[:, 0] <= 1)

    @property
    def known(self):
        """(escape rate, exponent): the uniform density stays uniform, and the part 1 / a + 1 / b of it stays inside."""
        q = 1 / self.a + 1 / self.b
        left = 1 / self.a / q
        return -np.log(q), left * np.log(self.a) + (1 - left) * np.log(self.b)

    @property
    def box_dimension(self):
        """Of the points that stay: a^-D + b^-D = 1."""
        from scipy.optimize import brentq

        return brentq(lambda d: self.a**-d + self.b**-d - 1, 0, 1)


class Horseshoe(HenonMap):
    """Hénon's map where it is a complete horseshoe (R. Devaney, Z. Nitecki, Comm. Math. Phys. 67 (1979) 137): a > 4.0 at b = 0.3."""

    @property
    def edge(self):
        """What stays has \\|x\\| below this."""
        return (1 + self.b + np.sqrt((1 + self.b) ** 2 + 4 * self.a)) / (2 * self.a)

    def sprinkle(self, n, seed):
        return np.random.default_rng(seed).uniform(-self.edge, self.edge, (n, 2)) * [1.0, self.b]

    def inside(self, w):
        return np.abs(w[:, 0]) <= self.edge

    def known(self, length):
        """(escape rate, exponent, dimension of what stays along the unstable direction) from all cycles up to a length.

        The leading zero of the spectral determinant, with weights |multiplier|^(1 - beta), beta = 1 being the map itself: R. Artuso,
        E. Aurell, P. Cvitanović, Nonlinearity 3 (1990) 325. It converges faster than exponentially.
        """
        from scipy.optimize import brentq

        weights = []  # of all points of each period: multiplier along the unstable direction, 1 / |det(1 - J)|
        for n in range(1, length + 1):
            cycles = np.array([self._cycle(signs) for signs in itertools.product((-1, 1), repeat=n)])
            multiplier = np.abs(np.linalg.eigvals(cycles)).max(axis=1)
            weights.append((multiplier, 1.0 / np.abs(np.linalg.det(np.eye(2) - cycles))))

        def rate(beta):
            trace = [(kept * multiplier ** (1.0 - beta)).sum() for multiplier, kept in weights]
            q = [1.0]
            for n in range(1, length + 1):
                q.append(-sum(trace[k - 1] * q[n - k] for k in range(1, n + 1)) / n)
            return np.log(min(r.real for r in np.roots(q[::-1]) if abs(r.imag) < 1e-12 and r.real > 0))

        return rate(1.0), (rate(1.001) - rate(0.999)) / 0.002, brentq(rate, 0.0, 1.0)

    def _cycle(self, signs):
        """Jacobian along the cycle whose x have these signs."""
        x = 0.5 * np.array(signs, dtype=float)
        for _ in range(200):
            x = signs * np.sqrt((1.0 - np.roll(x, -1) + self.b * np.roll(x, 1)) / self.a)
        product = np.eye(2)
        for one in x:
            product = np.array([[-2 * self.a * one, 1.0], [self.b, 0.0]]) @ product
        return product
