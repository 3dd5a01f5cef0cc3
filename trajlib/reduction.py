"""Collapse onto the softmax map: when the hidden layer has saturated, how a network moves, and when it jumps.

At a large learning rate every hidden unit is soon driven to 0 or to 1 for all samples. The outputs then no longer depend on the inputs,
and what is left of training is the softmax map on the logits, with κ = lr (1 + number of units at 1): the network stands on a *rung* of
a ladder. The units' slow drift, which the map does not have, makes it jump from rung to rung.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from . import _validate
from .dynamics import GradientDescent, SoftmaxMap
from .engines import n_threads
from .ensembles import train
from .models.perceptron import Perceptron
from .results import Result
from .stability.lyapunov import lyapunov_spectrum

__all__ = ["Collapse", "MapComparison", "RungChanges", "collapse", "compare_with_map", "map_exponents", "rung_changes"]

_CHUNK_BYTES = 1 << 20
"""Hidden activations held at once: what a core's cache keeps."""


@dataclass(frozen=True, eq=False)
class Collapse(
    Result,
    axes={
        "...": "kappa rung spread saturated",
        "... unit": "distance active",
        "... class": "logits",
    },
    lead=("network", "record"),
):
    """What :func:`collapse` returns, for states with leading axes (...), for example (networks, records); h hidden units, K classes.

    Attributes
    ----------
    distance : ndarray (..., h)
        How far a unit is from the limit that it is nearest to, at the sample where it is farthest: the least h (or 1 - h) by which all
        samples lie within it.
    active : ndarray (..., h), int8
        1 where a unit is within ``tolerance`` of its upper limit for every sample, 0 where it is at its lower limit for every sample (0 for
        sigmoid, -1 for tanh), -1 where it is neither: not saturated.
    kappa : ndarray (...)
        Effective learning rate lr (1 + sum over the units of the mean of h² over the samples).
    rung : ndarray (...), int
        The sum over the units, rounded: how many units are on (sigmoid); -1 where that is no number.
    logits : ndarray (..., K)
        Outputs before the softmax, mean over the samples: the state of the reduced map.
    spread : ndarray (...)
        Largest range of an output over the samples: what is left of the dependence on the inputs.

    A state that is not finite is nan throughout, with ``active`` and ``rung`` -1.
    """

    distance: np.ndarray = field(repr=False)
    active: np.ndarray = field(repr=False)
    kappa: np.ndarray = field(repr=False)
    rung: np.ndarray = field(repr=False)
    logits: np.ndarray = field(repr=False)
    spread: np.ndarray = field(repr=False)

    @property
    def saturated(self) -> np.ndarray:
        """Whether all units are, (...): the network has collapsed."""
        return np.all(self.active >= 0, axis=-1)

    @property
    def since(self) -> np.ndarray:
        """First record from which on a network stays saturated to the end, (networks,); -1 where it is not at the end."""
        saturated = self.saturated
        if saturated.ndim < 2:
            raise ValueError(f"since needs states in time, shape (networks, records), got {saturated.shape}")
        first = saturated.shape[-1] - np.cumprod(saturated[..., ::-1], axis=-1).sum(axis=-1)
        return np.where(saturated[..., -1], first, -1)


@dataclass(frozen=True, eq=False)
class MapComparison(Result, axes={"network step": "network_loss=network map_loss=reduced error"}):
    """What :func:`compare_with_map` returns, for n networks over T steps.

    Attributes
    ----------
    network, reduced : ndarray (n, T + 1)
        Loss of the networks, and of the map started from their logits with their κ; nan where these are not finite.
    """

    network: np.ndarray = field(repr=False)
    reduced: np.ndarray = field(repr=False)

    @property
    def error(self) -> np.ndarray:
        """Absolute difference of the two losses, (n, T + 1)."""
        return np.abs(self.reduced - self.network)


@dataclass(frozen=True, eq=False)
class RungChanges(Result, axes={"change": "network before after old new"}):
    """What :func:`rung_changes` returns: one entry a change, in order of network and time.

    Attributes
    ----------
    network : ndarray (m,), int
        Which network.
    before, after : ndarray (m,), int
        Last record on the old rung and first record on the new one.
    old, new : ndarray (m,), int
        The rungs.
    """

    network: np.ndarray
    before: np.ndarray
    after: np.ndarray
    old: np.ndarray
    new: np.ndarray

    def __len__(self) -> int:
        return len(self.network)


def _checked(gd) -> GradientDescent:
    if not isinstance(gd, GradientDescent):
        raise TypeError(f"the first argument must be a GradientDescent, got {type(gd).__name__}")
    net = gd.network
    if not isinstance(net, Perceptron) or not gd.problem.plain:
        raise ValueError(
            "the softmax map is what is left of plain gradient descent, on all samples, of a Perceptron with one hidden layer and biases; "
            f"got {gd}"
        )
    if net.loss != "cross_entropy" or net.act.limits is None or gd.weight_decay:
        raise ValueError(
            "the softmax map is what is left of cross_entropy with units that saturate (sigmoid, tanh), without weight decay; got "
            f"{net.loss}, {net.activation}, weight_decay={gd.weight_decay}"
        )
    return gd


def collapse(gd: GradientDescent, weights: np.ndarray, *, tolerance: float = 0.01) -> Collapse:
    """Which hidden units have saturated, and where that puts the network on the ladder of reduced maps.

    Parameters
    ----------
    gd : GradientDescent
        The map whose states these are; sigmoid or tanh units, cross entropy, no weight decay.
    weights : ndarray (..., p), float64
        States, for example (networks, records, p) as ``train(..., record=("weights",))`` records them; a learning rate for each
        network belongs to the first axis.
    tolerance : float
        How near a limit counts as saturated, for every single sample; in (0, 0.5).

    Returns
    -------
    Collapse

    Raises
    ------
    TypeError, ValueError
        If the network cannot collapse onto the map, or an argument has the wrong type, shape or range.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=5.0)
    >>> run = tl.train(gd, gd.network.init(20, seed=0), 4000, record=("weights",), every=1000)
    >>> tl.collapse(gd, run.weights).rung.shape
    (20, 5)
    """
    net = _checked(gd).network
    weights = _validate.weights(weights, net.n_parameters, name="weights")
    tolerance = _validate.positive("tolerance", tolerance)
    if tolerance >= 0.5:
        raise ValueError(f"tolerance must be below 0.5, got {_validate.shown(tolerance)}")
    lead = weights.shape[:-1]
    lr: float | np.ndarray = gd.lr
    if isinstance(lr, np.ndarray):
        gd.check_rows(lead[:1])
        lr = np.reshape(lr, [-1] + [1] * (len(lead) - 1))
    flat = weights.reshape(math.prod(lead), weights.shape[-1])
    n, h = len(flat), net.widths[1]
    distance, active, square = np.empty((n, h)), np.empty((n, h), dtype=np.int8), np.empty(n)
    logits, spread = np.empty((n, net.n_outputs)), np.empty(n)
    assert net.act.limits is not None  # checked above
    lower = net.act.limits[0]
    rows = max(1, _CHUNK_BYTES // (8 * len(gd.task.x) * h))

    @np.errstate(over="ignore", invalid="ignore")
    def measure(part: slice) -> None:
        layers = net.unpack(flat[part])
        hidden = net.activate(layers.W1.swapaxes(1, 2) @ gd.task.x.T + layers.b1[..., None])  # (states, units, samples)
        hidden[~np.isfinite(flat[part]).all(axis=1)] = np.nan
        off, on = hidden.max(axis=-1) - lower, 1.0 - hidden.min(axis=-1)
        distance[part] = np.minimum(off, on)
        active[part] = np.where(distance[part] < tolerance, on < off, -1)
        square[part] = np.einsum("ajn,ajn->a", hidden, hidden) / hidden.shape[-1]
        outputs = layers.W2.swapaxes(1, 2) @ hidden + layers.b2[..., None]
        logits[part], spread[part] = outputs.mean(axis=-1), np.ptp(outputs, axis=-1).max(axis=-1)

    with ThreadPoolExecutor(n_threads(None)) as pool:
        list(pool.map(measure, [slice(i, i + rows) for i in range(0, n, rows)]))
    total = square.reshape(lead)
    return Collapse(
        distance=distance.reshape(*lead, h),
        active=active.reshape(*lead, h),
        kappa=lr * (1.0 + total),
        rung=np.where(np.isfinite(total), np.rint(np.nan_to_num(total)), -1).astype(int),
        logits=logits.reshape(*lead, net.n_outputs),
        spread=spread.reshape(lead),
    )


def compare_with_map(gd: GradientDescent, w: np.ndarray, steps: int, *, progress: bool | None = None) -> MapComparison:
    """Run networks and their reduced maps side by side from the same states.

    Parameters
    ----------
    gd : GradientDescent
        The training map; as in :func:`collapse`.
    w : ndarray (n, p), float64
        States to start from.
    steps : int
        How far, >= 0.
    progress
        As in :func:`~trajlib.ensembles.train`.

    Returns
    -------
    MapComparison

    Raises
    ------
    TypeError, ValueError
        As in :func:`collapse`.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=5.0)
    >>> w = tl.train(gd, gd.network.init(20, seed=0), 4000).final
    >>> np.median(tl.compare_with_map(gd, w, 10).error) < 1e-4
    np.True_
    """
    state = collapse(gd, w)
    whole = np.isfinite(w).all(axis=-1, keepdims=True)
    network = train(gd, np.where(whole, w, 0.0), steps, progress=progress).loss
    assert network is not None
    network[~whole[:, 0]] = np.nan
    reduced = np.full(network.shape, np.nan)
    able = np.isfinite(state.kappa) & np.isfinite(state.logits).all(axis=-1)
    if able.any():
        small = SoftmaxMap(state.kappa[able], gd.targets.mean(axis=0))
        reduced[able] = train(small, state.logits[able], steps, progress=progress).loss
    return MapComparison(network, reduced)


def rung_changes(state: Collapse) -> RungChanges:
    """When networks move from one rung to another: consecutive saturated records, with unsaturated ones between them or not.

    Parameters
    ----------
    state : Collapse
        Of states in time, shape (networks, records).

    Returns
    -------
    RungChanges

    Raises
    ------
    ValueError
        If the states have another shape.
    """
    if not isinstance(state, Collapse):
        raise TypeError(f"state must be what collapse() returns, got {type(state).__name__}")
    if state.rung.ndim != 2:
        raise ValueError(f"rung_changes needs states in time, shape (networks, records), got {state.rung.shape}")
    network, record = np.nonzero(state.saturated)
    rung = state.rung[network, record]
    change = np.flatnonzero((network[1:] == network[:-1]) & (rung[1:] != rung[:-1]))
    return RungChanges(network[change], record[change], record[change + 1], rung[change], rung[change + 1])


def map_exponents(
    reduced: SoftmaxMap, s0: np.ndarray, steps: int, *, transient: int = 0, blocks: int = 4
) -> np.ndarray:
    """Lyapunov exponents of the reduced map within its plane: all K but the neutral one along (1, 1, ..., 1).

    Parameters
    ----------
    reduced : SoftmaxMap
        The map.
    s0 : ndarray (n, K), float64
        Initial conditions.
    steps, transient, blocks : int
        As in :func:`~trajlib.stability.lyapunov.lyapunov_spectrum`.

    Returns
    -------
    ndarray (n, K - 1)
        Per step, largest first. The neutral exponent is taken to be the one nearest to 0.
    """
    if not isinstance(reduced, SoftmaxMap):
        raise TypeError(f"the first argument must be a SoftmaxMap, got {type(reduced).__name__}")
    exponents = lyapunov_spectrum(reduced, s0, steps, transient=transient, blocks=blocks, progress=False).exponents
    others = np.argsort(np.abs(exponents), axis=1)[:, 1:]
    return -np.sort(-np.take_along_axis(exponents, others, axis=1), axis=1)
