"""Steps that are not small, on batches of the data: gradient descent on a diagonal network, by mean-field theory and directly.

A step is u <- u (1 - lr (g + lambda)), v <- v (1 + lr (g - lambda)) with g = X' S (X theta - y), where S is 1 / b on a batch, a random part
b of the samples that is drawn anew for each step, and 0 elsewhere. In the limit of many inputs the effective process has the same steps,
and the samples one of their own: r_k = omega_k - sum over l < k of R(k, l) s_l r_l, which sees its own past through the batches it was in.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from .._blas import one_thread
from ..results import Result
from .correlated import Covariance, covariance_of, data
from .model import Setting, moderate
from .paths import PathFlow

__all__ = ["Descent", "diagonal_descent", "dmft_descent"]

DIVERGED = 1e6
"""An excess risk beyond which a run has diverged; it is infinite from there on."""


@dataclass(frozen=True, eq=False)
class Descent(
    Result,
    axes={"member time": "excess_risk=excess_risks training_error=training_errors"},
    labels={"time": "times"},
):
    """What :func:`dmft_descent` and :func:`diagonal_descent` return. m ensembles of the theory, or networks; n times.

    Attributes
    ----------
    times : ndarray (n,)
        lr times the number of steps done.
    excess_risks, training_errors : ndarray (m, n)
        As in :class:`~trajlib.meanfield.solver.MeanField`; infinite where training has diverged.
    """

    times: np.ndarray
    excess_risks: np.ndarray = field(repr=False)
    training_errors: np.ndarray = field(repr=False)

    @property
    def excess_risk(self) -> np.ndarray:
        """Mean over the members, (n,)."""
        return self.excess_risks.mean(axis=0)

    @property
    def excess_risk_error(self) -> np.ndarray:
        """Its standard error, (n,); nan where a member has diverged."""
        return _error(self.excess_risks)

    @property
    def training_error(self) -> np.ndarray:
        """Mean over the members, (n,)."""
        return self.training_errors.mean(axis=0)

    @property
    def training_error_error(self) -> np.ndarray:
        """Its standard error, (n,); nan where a member has diverged."""
        return _error(self.training_errors)


def _error(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return values.std(axis=0, ddof=1) / np.sqrt(len(values))


def dmft_descent(
    *,
    lr: float,
    steps: int,
    batch_fraction: float = 1.0,
    every: int = 1,
    aspect_ratio: float = 0.5,
    init_scale: float = 0.3,
    noise: float = 0.1,
    sparsity: float = 0.1,
    weight_decay: float = 0.0,
    covariance: np.ndarray | None = None,
    signal: np.ndarray | None = None,
    paths: int = 16_384,
    replicates: int = 4,
    seed: int = 0,
) -> Descent:
    """Excess risk and training error along gradient descent with a finite step, on batches, in the limit of many inputs.

    Parameters
    ----------
    lr : float
        Learning rate, in units of the flow's time.
    steps : int
        Steps of gradient descent.
    batch_fraction : float
        Part of the samples in a batch (b), in (0, 1].
    every : int
        Steps from one reported time to the next.
    aspect_ratio, init_scale, noise, sparsity, weight_decay, covariance, signal
        As in :func:`~trajlib.meanfield.solver.dmft`.

    Other Parameters
    ----------------
    paths : int
        Sampled coordinates in all, at least 2048 for each replicate; each replicate has half as many samples where there are batches.
    replicates : int
        Independent ensembles, >= 2.
    seed : int
        Of the sampling.

    Returns
    -------
    Descent
        Its members are the ensembles; the standard errors do not hold a bias, which falls as 1 over the paths of an ensemble.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    ArithmeticError
        If there are too many steps for so few paths.

    References
    ----------
    For batches: F. Mignacco, F. Krzakala, P. Urbani, L. Zdeborova, NeurIPS 2020, arXiv 2006.06098. Equations and solver are ours.

    Examples
    --------
    >>> run = dmft_descent(lr=0.1, steps=20, paths=4096, replicates=2)
    >>> run.times.shape, bool(abs(run.excess_risk[-1] - 0.42) < 0.03)
    ((21,), True)
    """
    model = Setting(aspect_ratio, init_scale, noise, sparsity, weight_decay)
    lr, steps, every, fraction = _schedule(lr, steps, every, batch_fraction)
    replicates, seed = _validate.count("replicates", replicates, 2), _validate.count("seed", seed)
    paths = _validate.count("paths", paths, 2048 * replicates)
    correlated = None if covariance is None else Covariance(covariance, signal)
    size = 1 << (-(-paths // replicates) - 1).bit_length()
    if correlated is not None:
        size = correlated.dimension * max(2, round(size / correlated.dimension))
    samples = None if fraction == 1.0 else size // 2
    curves = []
    for i in range(replicates):
        stream, batches = np.random.SeedSequence(seed, spawn_key=(i,)).spawn(2)
        flow = (PathFlow if correlated is None else correlated.flow)(model, size, stream, samples)
        with one_thread(64 * size):
            curves.append(_followed(_Effective(flow), lr, steps, every, fraction, np.random.default_rng(batches)))
    return _descent(lr, steps, every, curves)


def diagonal_descent(
    dimension: int,
    *,
    lr: float,
    steps: int,
    batch_fraction: float = 1.0,
    every: int = 1,
    networks: int = 8,
    seed: int = 0,
    aspect_ratio: float = 0.5,
    init_scale: float = 0.3,
    noise: float = 0.1,
    sparsity: float = 0.1,
    weight_decay: float = 0.0,
    covariance: np.ndarray | None = None,
    signal: np.ndarray | None = None,
) -> Descent:
    """Gradient descent on diagonal linear networks of finite width, all at once: the direct simulation of :func:`dmft_descent`.

    Parameters
    ----------
    dimension : int
        Inputs d.
    networks : int
        Independent draws of data, theta* and batches, >= 2.
    lr, steps, batch_fraction, every, seed, aspect_ratio, init_scale, noise, sparsity, weight_decay, covariance, signal
        As in :func:`dmft_descent`. The size of a batch is rounded, to at least one sample.

    Returns
    -------
    Descent

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.

    Examples
    --------
    >>> run = diagonal_descent(100, lr=0.1, steps=20, batch_fraction=0.25, networks=3)
    >>> run.excess_risks.shape
    (3, 21)
    """
    model = Setting(aspect_ratio, init_scale, noise, sparsity, weight_decay)
    lr, steps, every, fraction = _schedule(lr, steps, every, batch_fraction)
    dimension, networks = _validate.count("dimension", dimension, 1), _validate.count("networks", networks, 2)
    seed, correlated = _validate.count("seed", seed), covariance_of(dimension, covariance, signal)
    _validate.fit_in_memory(
        "the data",
        networks * int(model.aspect_ratio * dimension) * dimension,
        "take fewer networks or a smaller dimension",
    )
    drawn = [data(model, dimension, correlated, seed, i) for i in range(networks)]
    x, y, theta = (np.stack([one[j] for one in drawn]) for j in range(3))
    root = None if correlated is None else np.stack([one[3] for one in drawn])
    batches = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(networks, 1)))
    with one_thread(x[0].size):
        risk, training = _followed(_Networks(model, x, y, theta, root), lr, steps, every, fraction, batches)
    return _descent(lr, steps, every, list(zip(risk.T, training.T, strict=True)))


def _schedule(lr, steps, every, batch_fraction) -> tuple[float, int, int, float]:
    fraction = _validate.positive("batch_fraction", batch_fraction)
    if fraction > 1:
        raise ValueError(f"batch_fraction is a part of the samples and must be at most 1, got {fraction}")
    return (
        moderate("lr", lr),
        _validate.count("steps", steps, 1),
        _validate.count("every", every, 1),
        fraction,
    )


def _descent(lr: float, steps: int, every: int, curves: list) -> Descent:
    return Descent(lr * np.arange(0, steps + 1, every), *(np.stack(part) for part in zip(*curves, strict=True)))


class _Effective:
    """The sampled effective process as something to train: one ensemble."""

    def __init__(self, flow: PathFlow):
        self.flow, self.model, self.shape = flow, flow.model, flow.weights.shape
        self.samples = (flow.samples or 1,)

    def residual(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X theta - y, excess risk and training error."""
        error = self.flow.seen(theta - self.flow.signal)
        residual = self.flow.residual(error)
        return residual, self.flow.weights @ (error * error), residual @ residual

    def gradient(self, residual: np.ndarray) -> np.ndarray:
        """X' residual."""
        return self.flow.seen(self.flow.force(residual))


class _Networks:
    """Networks of finite width, all at once: x (m, n, d), y (m, n), theta* (m, d), roots of the covariances (m, d, d)."""

    def __init__(self, model: Setting, x, y, theta, root):
        self.model, self.x, self.y, self.signal, self.root = model, x, y, theta, root
        self.shape, self.samples = theta.shape, y.shape

    def residual(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X theta - y, excess risk and training error of each network."""
        error = theta - self.signal
        residual = (self.x @ theta[..., None])[..., 0] - self.y
        if self.root is not None:
            error = (self.root @ error[..., None])[..., 0]
        return residual, (error * error).mean(axis=-1), (residual * residual).mean(axis=-1)

    def gradient(self, residual: np.ndarray) -> np.ndarray:
        """X' residual."""
        return (residual[:, None, :] @ self.x)[:, 0]


def _followed(
    trained: _Effective | _Networks, lr: float, steps: int, every: int, fraction: float, rng: np.random.Generator
):
    """Excess risk and training error of every so many steps, (n, ...) each."""
    u, v = (np.full(trained.shape, trained.model.init_scale) for _ in range(2))
    decay, curves = lr * trained.model.weight_decay, []
    batch = max(1, round(fraction * trained.samples[-1]))
    weight = np.zeros(trained.samples)
    weight[..., :batch] = trained.samples[-1] / batch
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps + 1):
            residual, risk, training = trained.residual(0.5 * (u - v) * (u + v))
            lost = ~(risk < DIVERGED)
            if step % every == 0:
                curves.append((np.where(lost, np.inf, risk), np.where(lost, np.inf, training)))
            if lost.all():
                break
            if fraction < 1.0:
                residual = residual * rng.permuted(weight, axis=-1)
            push = lr * trained.gradient(residual)
            u, v = u * (1.0 - push - decay), v * (1.0 + push - decay)
            if lost.any():
                u[lost], v[lost] = np.inf, 0.0
    n = steps // every + 1
    return tuple(
        np.stack([*part, *[np.full_like(part[0], np.inf)] * (n - len(part))]) for part in zip(*curves, strict=True)
    )
