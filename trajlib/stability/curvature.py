"""The Hessian as a whole: the density of its eigenvalues from products with random vectors, and its Gauss-Newton part."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from .._curvature import MEMORY, Curvature
from .._lanczos import quadrature
from ..models.cost import residual
from ..models.perceptron import Perceptron
from ..results import Result

__all__ = ["HessianDensity", "gauss_newton", "hessian_density"]


@dataclass(frozen=True, eq=False)
class HessianDensity(
    Result,
    axes={"... point": "density", "... probe number": "node=nodes weight=weights", "...": "mean standard_error"},
    lead=("network",),
    labels={"point": "eigenvalues"},
):
    """What :func:`hessian_density` returns. ``...`` are the leading axes of the states, g points of the grid, s probes, m steps.

    Attributes
    ----------
    eigenvalues : ndarray (g,)
        The grid.
    density : ndarray (..., g)
        Fraction of the eigenvalues per unit of curvature, smoothed by a normal distribution of standard deviation ``width``.
    nodes, weights : ndarray (..., s, m)
        Of each probe: sum of weights f(nodes) estimates the mean of f over the eigenvalues. The weights of a probe sum to 1.
    width : float
        Standard deviation of the smoothing.
    """

    eigenvalues: np.ndarray = field(repr=False)
    density: np.ndarray = field(repr=False)
    nodes: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    width: float

    @property
    def mean(self) -> np.ndarray:
        """Mean of the eigenvalues, trace / p, (...)."""
        return (self.nodes * self.weights).sum(axis=-1).mean(axis=-1)

    @property
    def standard_error(self) -> np.ndarray:
        """Of the mean, from the spread of the probes, (...); nan for one probe."""
        each = (self.nodes * self.weights).sum(axis=-1)
        if each.shape[-1] == 1:
            return np.full(each.shape[:-1], np.nan)
        return each.std(axis=-1, ddof=1) / np.sqrt(each.shape[-1])


def hessian_density(
    gd,
    w: np.ndarray,
    *,
    probes: int = 10,
    steps: int = 80,
    points: int | np.ndarray = 1024,
    width: float | None = None,
    seed: int = 0,
) -> HessianDensity:
    """Density of the eigenvalues of the Hessian by stochastic Lanczos quadrature.

    Each probe is a normal random vector; Lanczos with full reorthogonalisation gives Gauss quadrature of the spectral measure that it sees.
    The density is the mean over the probes, smoothed. A single eigenvalue outside the bulk has a weight near 1 / p, known to a relative
    error of order sqrt(2 / probes).

    Parameters
    ----------
    gd : GradientDescent, Adam, SoftmaxMap, DiagonalNetwork, or any map with ``hvp(w, V)`` or ``hessian(w)``
        The map whose loss it is.
    w : ndarray (..., p), float64
        Weights, or states with memory.
    probes : int
        Random vectors, the same for all states.
    steps : int
        Products with the Hessian for each probe, p at most.
    points : int or ndarray (g,)
        The grid, increasing; a number of points covers all nodes and 5 widths beyond.
    width : float, optional
        Standard deviation of the smoothing, in units of curvature; by default a hundredth of the range of the nodes.
    seed : int
        Of the probes.

    Returns
    -------
    HessianDensity
        nan for states whose Hessian is not finite.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or no Hessian is finite.

    References
    ----------
    B. Ghorbani, S. Krishnan, Y. Xiao, arXiv 1901.10159, algorithm 1. S. Ubaru, J. Chen, Y. Saad, SIAM J. Matrix Anal. Appl. 38 (2017) 1075.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris())
    >>> found = hessian_density(gd, gd.network.init(2, seed=0), steps=20)
    >>> found.density.shape, found.nodes.shape
    ((2, 1024), (2, 10, 20))
    """
    curvature = Curvature(gd, w)
    probes, steps = _validate.count("probes", probes, 1), _validate.count("steps", steps, 1)
    width = None if width is None else _validate.positive("width", width)
    grid = None if isinstance(points, int | np.integer) else _grid(points)
    number = 0 if grid is not None else _validate.count("points", points, 2)
    n, p = curvature.n, curvature.p
    steps = min(steps, p)
    drawn = np.random.default_rng(_validate.count("seed", seed)).standard_normal((probes, p))
    nodes, weights = np.empty((probes * n, steps)), np.empty((probes * n, steps))
    together = (
        max(1, MEMORY // (8 * p * steps)) if curvature.shared else max(1, n)
    )  # probes of states, which move in lockstep
    whole = None if curvature.has_products else curvature.matrices(slice(None))
    for i in range(0, probes * n, together):
        probe, state = np.divmod(np.arange(i, min(probes * n, i + together)), n)

        def product(V: np.ndarray, some: np.ndarray, state=state) -> np.ndarray:
            return curvature.products(V, state[some]) if whole is None else V @ whole[state[some]]

        part = slice(i, i + len(state))
        nodes[part], weights[part] = quadrature(product, drawn[probe], steps)
    nodes, weights = (x.reshape(probes, n, steps).swapaxes(0, 1) for x in (nodes, weights))  # type: ignore[assignment]
    low, high = _range(nodes)
    if width is None:
        width = 0.01 * (high - low) or 0.01 * abs(high) or 0.01
    if grid is None:
        grid = np.linspace(low - 5 * width, high + 5 * width, number)
    density = np.zeros((n, len(grid)))
    for i in range(n):
        x, mass = nodes[i].ravel(), weights[i].ravel() / (probes * width * np.sqrt(2 * np.pi))
        for some in range(0, len(x), 256):
            part = slice(some, some + 256)
            density[i] += np.exp(-0.5 * ((grid[:, None] - x[part]) / width) ** 2) @ mass[part]
    shape = (*curvature.lead, probes, steps)
    return HessianDensity(
        grid, density.reshape(*curvature.lead, len(grid)), nodes.reshape(shape), weights.reshape(shape), width
    )


def gauss_newton(gd, w: np.ndarray) -> np.ndarray:
    """Gauss-Newton part of the Hessian of a perceptron's loss, (..., p, p): J\\ :sup:`T` B J, penalty included.

    J is the Jacobian of the outputs, and B the Hessian of the cost by the outputs: diag(q) - q q\\ :sup:`T` with the probabilities q for
    cross entropy, 1 for half the squared error. What is left of the Hessian is the residuals times the bend of the outputs.

    Parameters
    ----------
    gd : GradientDescent, Adam, AdamW, RMSProp
        Training of a ``Perceptron``.
    w : ndarray (..., p), float64
        Weights, or states with memory.

    Returns
    -------
    ndarray (..., p, p)
        Symmetric, without negative eigenvalues.

    Raises
    ------
    TypeError, ValueError
        If the map trains no perceptron, or ``w`` has another shape.

    References
    ----------
    N. N. Schraudolph, Neural Computation 14 (2002) 1723.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris())
    >>> gauss_newton(gd, gd.network.init(2, seed=0)).shape
    (2, 83, 83)
    """
    net, task = getattr(gd, "network", None), getattr(gd, "task", None)
    if task is None or not isinstance(net, Perceptron):
        what = type(gd).__name__ if net is None else f"{type(gd).__name__} of a {type(net).__name__}"
        raise TypeError(f"gd must train a Perceptron, got {what}; hessian_density and sharpness take any network")
    w = gd.weights(w)
    rows = np.ascontiguousarray(w).reshape(-1, w.shape[-1])
    out = np.empty((len(rows), w.shape[-1], w.shape[-1]))
    for i, one in enumerate(rows):
        with np.errstate(over="ignore", invalid="ignore"):
            jacobian, outputs = _jacobian(net, one, task.x)
            weighted = jacobian
            if net.loss == "cross_entropy":
                q = residual(net.loss, outputs, gd.targets) + gd.targets
                weighted = q[..., None] * (jacobian - (q[:, None] @ jacobian))
            p = one.size
            part = jacobian.reshape(-1, p).T @ weighted.reshape(-1, p) / gd.divisor
            out[i] = 0.5 * (part + part.T) + gd.problem.decay * np.eye(p)
    return out.reshape(*w.shape, w.shape[-1])


def _jacobian(net, w: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of the outputs by the weights (p,), (samples, outputs, p), and the outputs (samples, outputs)."""
    layers, values, group = net.forward(w, x), net.unpack(w), 1 + bool(net.bias)
    outputs = layers[-1][1]
    n, c = outputs.shape
    delta: np.ndarray = np.broadcast_to(np.eye(c), (n, c, c))
    parts: list[np.ndarray] = []
    for i in range(net.depth - 1, -1, -1):  # delta: of the outputs by what enters the units, (samples, outputs, units)
        scaled = delta if net.factors is None else delta * net.factors[i]
        below = x if i == 0 else layers[i - 1][1]
        here = [(below[:, None, :, None] * scaled[:, :, None, :]).reshape(n, c, -1), delta][:group]
        parts[:0] = here
        if i:
            slope, _ = net.act.derivatives(*layers[i - 1])
            delta = (scaled @ values[i * group].T) * slope[:, None]
    return np.concatenate(parts, axis=2), outputs


def _grid(points) -> np.ndarray:
    grid = _validate.finite("points", _validate.numbers_of("points", points))
    if grid.ndim != 1 or len(grid) == 0 or (np.diff(grid) <= 0).any():
        raise ValueError(f"points must be a number of points or increasing eigenvalues (g,), got shape {grid.shape}")
    return grid


def _range(nodes: np.ndarray) -> tuple[float, float]:
    known = nodes[np.isfinite(nodes)]
    if known.size == 0:
        raise ValueError("w must have a finite Hessian somewhere, and there is none")
    return float(known.min()), float(known.max())
