"""The planes of the chapter on the boundary of trainability: the paper's six conditions, where their boundary is, and the saddle on it.

A point of a plane is (log10 of the first layer's rate, log10 of the second's), or (offset, log10 of both rates). Everything is random only
by the seed of the draw of data and weights, and by that of the points.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..boundary import (
    BoxCounting,
    EscapeRate,
    SaddleDimension,
    SaddleExponent,
    Trainability,
    UncertaintyExponent,
    box_counting_dimension,
    draw,
    edges,
    escape_rate,
    kantz_grassberger,
    power_of_ten,
    rates,
    saddle_exponent,
    trainability,
    uncertainty_exponent,
)  # fmt: skip
from ..dynamics.descent import GradientDescent
from ..models.perceptron import Perceptron
from ..tasks.small import Task

__all__ = [
    "SHADES",
    "CONDITIONS",
    "LABELS",
    "PAIRS",
    "Plane",
    "SaddleRun",
    "Zoom",
    "coloured",
    "plane",
    "saddle",
    "uncertainty",
    "zooms",
]

SHADES = (
    ("#cfeff8", "#78c5e6", "#2f8dc9", "#165aa5", "#0d3270", "#071a45"),
    ("#42060f", "#761620", "#b0331a", "#de6620", "#f6a83c", "#ffd575"),
)
"""Colours of the numbers that :func:`coloured` gives, where training converges and where it does not: those of the page (palette.js)."""
COARSE = 32
"""Pixels along a side of the picture that says where the boundary is."""
SIZES = (2, 4, 8, 16)
"""Boxes: three factors of two, and twelve of the largest along the side of a picture of 192 x 192."""
ON_SADDLE = 100
"""Orbits that have to stay undecided while exponents are measured."""
CONDITIONS: dict[str, dict[str, Any]] = {
    "tanh": {},
    "ReLU": {"activation": "relu"},
    "identity": {"activation": "identity", "samples": 1.0},
    "minibatch": {"batch_size": 16},
    "single sample": {"samples": 1},
    "offset": {"offset": True},
}
"""The paper's. Identity has as many samples as inputs (1.0 of them); 16 in a batch and the range of the offset are ours."""
LABELS = ("converged", "ended")
"""What divides the plane: whether training converges, as in the paper; or whether it ends, whatever the last losses are."""
PAIRS = ((1, -1), (1, 0), (0, -1))
"""Outcomes of two points that differ: converged 1, ended -1, neither 0."""
STILL = 1e-12
"""A rate of the first layer at which it stands still. What is left is convex: its boundary is one learning rate of the second layer."""


@dataclass(frozen=True, eq=False)
class Plane:
    """One network, data and initial weights, and a plane of two parameters.

    Attributes
    ----------
    name : str
    network : Perceptron
    data : tuple of ndarray
        Inputs, targets and initial weights.
    options : dict
        Of :func:`~trajlib.boundary.picture.trainability`.
    offset : bool
        Whether the first axis is the offset, in place of the first layer's rate.
    still : bool
        Whether the first layer's rates are those about ``STILL``.
    """

    name: str
    network: Perceptron
    data: tuple[np.ndarray, np.ndarray, np.ndarray] = field(repr=False)
    options: dict[str, Any]
    offset: bool
    still: bool = False

    @property
    def home(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Centre and widths of the whole picture."""
        if self.offset:
            return (0.0, 1.0), (2.0, 6.0)
        return (float(np.log10(STILL)) if self.still else 1.0, 1.0), (6.0, 6.0)

    def picture(self, centre, widths, n: int, steps: int, **options) -> Trainability:
        """A picture of n x n pixels."""
        second = rates(centre[1], widths[1], n)
        if self.offset:
            offset = centre[0] + (np.arange(n) - 0.5 * (n - 1)) * (widths[0] / n)
            return self._run(second[None, :], second[None, :], steps, offset=offset[:, None], **options)
        return self._run(rates(centre[0], widths[0], n), second, steps, **options)

    def at(self, points: np.ndarray, steps: int, **options) -> Trainability:
        """What becomes of the training at points (m, 2) of the plane; a picture of one column."""
        second = power_of_ten(points[:, 1:])
        if self.offset:
            return self._run(second, second, steps, offset=points[:, :1], **options)
        return self._run(power_of_ten(points[:, :1]), second, steps, **options)

    def _run(self, first, second, steps: int, **options) -> Trainability:
        return trainability(self.network, *self.data, first, second, steps, progress=False, **self.options | options)

    def near(self, m: int, steps: int, seed: int, **options) -> np.ndarray:
        """Points (m, 2) near the boundary: uniform in those blocks of 2 x 2 pixels of a coarse picture that do not all end alike."""
        (c, widths), rng = self.home, np.random.default_rng(seed)
        on = np.argwhere(edges(self.picture(c, widths, COARSE, steps, **options).converged))
        if not len(on):
            return np.empty((0, 2))
        at = on[rng.integers(len(on), size=m)] + 0.5 + rng.random((m, 2))
        return np.array(c) + (at / COARSE - 0.5) * np.array(widths)


def plane(name: str, seed: int, *, units: int = 8, still: bool = False) -> Plane:
    """The plane of a condition, with a draw of data and weights; ``still``: where only the second layer learns."""
    given = dict(CONDITIONS[name])
    activation = given.pop("activation", "tanh")
    samples = given.pop("samples", None)
    samples = units if isinstance(samples, float) else samples
    scale = (units**-0.5, 1.0 / units) if activation == "identity" else "mean_field"
    net = Perceptron(units, units, 1, activation=activation, loss="mean_squared_error", bias=False, scale=scale)
    offset = given.pop("offset", False)
    return Plane(name, net, draw(net, seed, samples), given, offset, still)


def uncertainty(
    of: Plane, m: int, scales, steps: int, *, seed: int = 1, **options
) -> tuple[dict[str, UncertaintyExponent], np.ndarray] | None:
    """The uncertainty exponent near the boundary, from m pairs at each distance; None where no boundary is seen.

    Returns it for each of ``LABELS``, from the same runs, and how many pairs of each of ``PAIRS`` there are, (scales, 3).
    """
    points, ends = of.near(m, steps, seed, **options), []
    if not len(points):
        return None

    def outcome(p: np.ndarray) -> np.ndarray:
        ends.append(of.at(p, steps, **options).outcome[:, 0])
        return ends[-1] == 1

    found = {"converged": uncertainty_exponent(outcome, points, np.asarray(scales), seed + 1)}
    again = iter(ends)
    found["ended"] = uncertainty_exponent(lambda p: next(again) == -1, points, np.asarray(scales), seed + 1)
    pairs = [[((ends[0] == a) & (e == b) | (ends[0] == b) & (e == a)).sum() for a, b in PAIRS] for e in ends[1:]]
    return found, np.array(pairs)


class Zoom(NamedTuple):
    """A view on the boundary: how much narrower it is than the whole, its picture and the dimension by boxes."""

    factor: float
    centre: tuple[float, float]
    picture: Trainability
    boxes: BoxCounting


def zooms(of: Plane, factors, n: int, steps: int, seed: int, *, sizes=SIZES):
    """Views at some depths, powers of 10: from one to the next the centre is a random block of the boundary in a coarse picture.

    Ends where the coarse picture has no boundary. Yields a :class:`Zoom` each.
    """
    (centre, widths), rng = of.home, np.random.default_rng(seed)
    wanted = [round(-np.log10(f)) for f in factors]
    for power in range(max(wanted) + 1):
        here = tuple(w * 10.0**-power for w in widths)
        if power in wanted:
            picture = of.picture(centre, here, n, steps)
            yield Zoom(
                10.0**-power, centre, picture, box_counting_dimension(edges(picture.converged), sizes=list(sizes))
            )
        on = np.argwhere(edges(of.picture(centre, here, COARSE, steps).converged))
        if not len(on):
            return
        block = on[rng.integers(len(on))] + 1.0
        u, v = (np.array(centre) + (block / COARSE - 0.5) * here).tolist()
        centre = u, v


def coloured(picture: Trainability) -> np.ndarray:
    """A picture as uint8: ranks 0 to 126 of its colour where training converges, 128 to 255 where it does not."""
    good, out = picture.converged, np.zeros(picture.value.shape, dtype=np.uint8)
    for side, low, high in ((good, 0, 126), (~good, 128, 255)):
        rank = picture.value[side].argsort().argsort() / max(1, side.sum() - 1)
        out[side] = np.rint(low + (high - low) * rank)
    return out


class SaddleRun(NamedTuple):
    """What is known of the orbits near the boundary: when each is decided, how fast they leave and part, and the dimension from these."""

    decided_at: np.ndarray
    rate: EscapeRate
    stay: int
    exponent: SaddleExponent | None
    dimension: SaddleDimension | None


class Training:
    """Gradient descent as a map on (weights, rate of each layer, offset): each orbit has its own parameters, which vectors leave alone."""

    def __init__(self, of: Plane):
        net = of.network
        self.gd = GradientDescent(
            net, Task("plane", *of.data[:2]), lr=(1.0, 1.0), replacement=bool(of.options), **of.options
        )
        self.p, self.first = net.n_parameters, net.n_inputs * net.widths[1]

    def start(self, of: Plane, points: np.ndarray) -> np.ndarray:
        """First states (m, p + 3): the loss of a state is that of its weights, the offset included."""
        second = power_of_ten(points[:, 1:])
        head, offset = (second, points[:, :1]) if of.offset else (power_of_ten(points[:, :1]), 0.0 * second)
        w = np.tile(of.data[2], (len(points), 1))
        w[:, : self.first] += offset
        return np.hstack([w, head, second, offset])

    def loss(self, z: np.ndarray) -> np.ndarray:
        return self.gd.loss(z[:, : self.p])

    def _rates(self, z: np.ndarray) -> np.ndarray:
        return np.repeat(z[..., self.p : self.p + 2], (self.first, self.p - self.first), axis=-1)

    def step(self, z: np.ndarray, t: int = 0) -> np.ndarray:
        w = z[:, : self.p]
        w = w + self._rates(z) * (self.gd.step(w, t) - w)
        w[:, : self.first] += z[:, -1:]
        return np.hstack([w, z[:, self.p :]])

    def jvp(self, z: np.ndarray, V: np.ndarray, t: int = 0) -> np.ndarray:
        U = V[..., : self.p]
        rate = self._rates(z).reshape(len(z), *(1,) * (V.ndim - 2), self.p)
        out = np.zeros_like(V)
        out[..., : self.p] = U + rate * (self.gd.jvp(z[:, : self.p], np.ascontiguousarray(U), t) - U)
        return out


def saddle(of: Plane, points: np.ndarray, steps: int, *, limit: float = 1e6, seed: int = 0) -> SaddleRun:
    """How fast orbits near the boundary are decided, how fast they part until then, and the dimension that follows.

    An orbit is decided when it ends (a loss above ``limit`` times the first), or after the last step at which its loss is not below the
    first one; what is decided in the last fifth of the steps counts as undecided, since the last such step is not seen there. The exponents
    are those of the orbits that stay undecided for the most steps for which 100 do, without the first and the last quarter of these.

    The dimension is 2 - kappa / lambda with the largest exponent, be there one unstable direction or several (B. R. Hunt, E. Ott,
    J. A. Yorke, Phys. Rev. E 54 (1996) 4819, for kappa < lambda; with one, H. Kantz and P. Grassberger).
    """
    gd, horizon = Training(of), steps - steps // 5
    z = gd.start(of, points)
    first, rows = gd.loss(z), np.arange(len(z))
    decided, now = np.zeros(len(z), dtype=int), z
    with np.errstate(all="ignore"):
        for t in range(1, steps + 1):
            now = gd.step(now, t - 1)
            loss = gd.loss(now) / first[rows]
            out = ~(loss <= limit)
            decided[rows[out | (loss >= 1.0)]] = t
            rows, now = rows[~out], now[~out]
            if not len(rows):
                break
    left_at = np.where(decided > horizon, -1, decided)
    rate = escape_rate(left_at, horizon)
    lasts = np.sort(np.minimum(decided, horizon))[::-1]
    stay = int(lasts[ON_SADDLE - 1]) if len(lasts) >= ON_SADDLE else 0
    if stay < 16:
        return SaddleRun(left_at, rate, stay, None, None)
    long = z[np.minimum(decided, horizon) >= stay][: 2 * ON_SADDLE]
    exponent = saddle_exponent(gd, long, stay, transient=stay // 4, tail=stay // 4, k=2, seed=seed, progress=False)
    largest = SaddleExponent(
        exponent.exponents[:1], exponent.standard_error[:1], exponent.halves[:1], exponent.orbits, exponent.resolved
    )
    return SaddleRun(left_at, rate, stay, exponent, kantz_grassberger(rate, largest, dimensions=2))
