"""Runge-Kutta-Chebyshev steps of second order: explicit, with as many stages as stability asks for, and adaptive.

The flow of a diagonal network is stiff (rates 2 sqrt(theta² + a²) times the spectrum of X'X), and dissipative. s stages stretch the
stable interval to 0.65 s², so that their number grows with the square root of the stiffness only. Arrays may be NumPy's or torch's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, Protocol

DAMPING = 2.0 / 13.0
SAFETY, SHRINK, GROW = 0.8, 0.2, 4.0


class Flow(Protocol):
    """What is integrated, dy/dt = rate(t, y)."""

    def rate(self, t: float, y: Any) -> Any:
        """The right-hand side. It may keep what it computed, until ``rewind``."""

    def radius(self, t: float, y: Any) -> float:
        """Spectral radius of the Jacobian, rather too large than too small."""

    def error(self, t: tuple[float, float], y: tuple[Any, Any], change: Any) -> float:
        """Size of an error ``change`` of a step between two states, relative to what matters."""

    def mark(self) -> Any:
        """What ``rewind`` needs in order to forget all calls of ``rate`` after now."""

    def rewind(self, mark: Any) -> None:
        """Forget the calls of ``rate`` since ``mark``."""


class Step(NamedTuple):
    """An accepted step: times, states and rates at both ends, and the number of its stages."""

    t: tuple[float, float]
    y: tuple[Any, Any]
    rate: tuple[Any, Any]
    stages: int

    def at(self, t: float) -> Any:
        """The state at a time within the step, by cubic Hermite interpolation (fourth order)."""
        h = self.t[1] - self.t[0]
        x = (t - self.t[0]) / h
        end = x * x * (3.0 - 2.0 * x)
        bend = h * x * (1.0 - x)
        return (1.0 - end) * self.y[0] + end * self.y[1] + bend * ((1.0 - x) * self.rate[0] - x * self.rate[1])


@cache
def coefficients(s: int) -> tuple[tuple[float, float, float, float, float], ...]:
    """For each stage j = 1 ... s: mu, nu, mu~, gamma~ and the stage's time c, after Sommeijer, Shampine and Verwer (1998)."""
    w0 = 1.0 + DAMPING / s**2
    value, first, second = [1.0, w0], [0.0, 1.0], [0.0, 0.0]  # Chebyshev polynomials at w0, and their derivatives
    for j in range(2, s + 1):
        value.append(2 * w0 * value[-1] - value[-2])
        first.append(2 * value[j - 1] + 2 * w0 * first[-1] - first[-2])
        second.append(4 * first[j - 1] + 2 * w0 * second[-1] - second[-2])
    w1 = first[s] / second[s]
    b = [0.0, 0.0] + [second[j] / first[j] ** 2 for j in range(2, s + 1)]
    b[0] = b[1] = b[2]
    c = [0.0, 0.0] + [w1 * second[j] / first[j] for j in range(2, s)] + [1.0]
    c[1] = c[2] / first[2]
    rows = [(0.0, 0.0, b[1] * w1, 0.0, c[1])]
    for j in range(2, s + 1):
        mu = 2 * b[j] * w1 / b[j - 1]
        rows.append((2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], mu, (b[j - 1] * value[j - 1] - 1.0) * mu, c[j]))
    return tuple(rows)


def stages(stiffness: float) -> int:
    """How many stages make a step of this length times spectral radius stable."""
    return max(2, 1 + math.isqrt(math.ceil(1.0 + 1.54 * stiffness)))


def step(flow: Flow, t: float, h: float, y, rate, s: int) -> Step:
    """One step of s stages from (t, y), where the rate is known."""
    before, last, last_rate = y, y, rate
    for j, (mu, nu, mu_rate, gamma, c) in enumerate(coefficients(s)):
        if j == 0:
            new = y + (mu_rate * h) * rate
        else:
            new = (1.0 - mu - nu) * y + mu * last + nu * before + (mu_rate * h) * last_rate + (gamma * h) * rate
        before, last = last, new
        last_rate = flow.rate(t + c * h, new)
    return Step((t, t + h), (y, last), (rate, last_rate), s)


def integrate(flow: Flow, y, t_max: float, tolerance: float, evaluations: int) -> Iterator[Step]:
    """Accepted steps from time 0 to t_max, each with an estimated error below ``tolerance``.

    Raises
    ------
    ArithmeticError
        If that takes more than so many evaluations of the rate.
    """
    t, rate = 0.0, flow.rate(0.0, y)
    radius = flow.radius(t, y)
    h = min(t_max, 0.1 / max(radius, 1.0 / t_max))
    used = 1
    while True:
        h = min(h, t_max - t)
        if t + 1.01 * h > t_max:
            h = t_max - t
        s, mark = stages(h * radius), flow.mark()
        used += s
        if used > evaluations:
            raise ArithmeticError(f"the steps have become too short at t = {t:.3g} (step {h:.2g})")
        new = step(flow, t, h, y, rate, s)
        change = 0.8 * (y - new.y[1]) + (0.4 * h) * (rate + new.rate[1])
        error = flow.error(new.t, new.y, change) / tolerance
        factor = min(GROW, max(SHRINK, SAFETY * max(error, 1e-9) ** (-1 / 3))) if math.isfinite(error) else SHRINK
        if not error <= 1.0:  # nan too
            flow.rewind(mark)
            h *= factor
            continue
        yield new
        t, y, rate = new.t[1], new.y[1], new.rate[1]
        if t >= t_max:
            return
        radius = flow.radius(t, y)
        h *= factor
