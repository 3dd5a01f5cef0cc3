"""What the comparisons with other packages share (tests/peers): a package or a skip, and the maps that both sides get."""

import warnings

import numpy as np
import pytest

from trajlib.dynamics.reference import HenonMap

START = {"henon": (0.1, 0.1), "towel": (0.085, -0.121, 0.075), "lorenz": (1.0, 2.0, 20.0)}


def package(name):
    """The package, or a skip that names it: warnings of its own import (nolds asks for pkg_resources) are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed: it is in the extra 'peers'")


class Towel:
    """Rössler's folded-towel map, two positive exponents: O. E. Rössler, Phys. Lett. A 71 (1979) 155."""

    def __call__(self, s):
        x, y, z = np.moveaxis(s, -1, 0)
        fold = (y + 0.35) * (1.0 - 2.0 * z)
        return np.stack(
            [
                3.8 * x * (1.0 - x) - 0.05 * fold,
                0.1 * (fold - 1.0) * (1.0 - 1.9 * x),
                3.78 * z * (1.0 - z) + 0.2 * y,
            ],
            axis=-1,
        )

    def jacobian(self, s):
        x, y, z = np.moveaxis(s, -1, 0)
        a, b, c = y + 0.35, 1.0 - 2.0 * z, 1.0 - 1.9 * x
        rows = (
            (3.8 * (1.0 - 2.0 * x), -0.05 * b, 0.1 * a),
            (-0.19 * (a * b - 1.0), 0.1 * b * c, -0.2 * a * c),
            (0.0 * x, 0.2 + 0.0 * x, 3.78 * b),
        )
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


class Lorenz:
    """A Runge-Kutta step of Lorenz's system and its exact derivative: E. N. Lorenz, J. Atmos. Sci. 20 (1963) 130."""

    def __init__(self, rho=28.0, h=0.01):
        self.rho, self.h = rho, h

    def field(self, s):
        x, y, z = np.moveaxis(s, -1, 0)
        return np.stack([10.0 * (y - x), x * (self.rho - z) - y, x * y - 8.0 / 3.0 * z], axis=-1)

    def slope(self, s):
        x, y, z = np.moveaxis(s, -1, 0)
        one = np.ones_like(x)
        rows = ((-10.0 * one, 10.0 * one, 0.0 * one), (self.rho - z, -one, -x), (y, x, -8.0 / 3.0 * one))
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    def stages(self, s):
        """The four points where the step evaluates the field, and the field there."""
        points, fields = [s], [self.field(s)]
        for part in (0.5, 0.5, 1.0):
            points.append(s + part * self.h * fields[-1])
            fields.append(self.field(points[-1]))
        return points, fields

    def __call__(self, s):
        a, b, c, d = self.stages(s)[1]
        return s + self.h / 6.0 * (a + 2 * b + 2 * c + d)

    def jacobian(self, s):
        one, (p, q, r, u) = np.eye(3), map(self.slope, self.stages(s)[0])
        a = p
        b = q @ (one + 0.5 * self.h * a)
        c = r @ (one + 0.5 * self.h * b)
        d = u @ (one + self.h * c)
        return one + self.h / 6.0 * (a + 2 * b + 2 * c + d)


class OtherHenon(HenonMap):
    """The same map in pynamicalsys's order of operations, so that the states of both have the same bits."""

    def __call__(self, w):
        x, y = w[..., 0], w[..., 1]
        return np.stack([1 - self.a * x**2 + y, self.b * x], axis=-1)


MAPS = {"henon": HenonMap(), "towel": Towel(), "lorenz": Lorenz()}
