"""Gradient flow of diagonal linear networks of finite width, integrated directly: what the mean-field theory is held against.

Two forms of one flow: mirror descent, d xi / dt = -X'(X theta - y) with theta = alpha² exp(-2 lambda t) sinh(2 xi), and the weights u and v
themselves. Every network has its own data, which are too large to share a matrix product: they are followed one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _validate
from .._blas import one_thread
from ..dynamics.diagonal import check_data
from ..ensembles import Interrupted
from ..progress import progress_bar
from ..results import Result
from .correlated import covariance_of, data
from .model import Setting, check_size, moderate, report_times
from .stabilized import integrate

__all__ = ["DiagonalFlow", "FlowPath", "diagonal_flow", "gradient_flow"]

EVALUATIONS = 100_000
FLOOR = 1e-7
FORMS = ("mirror", "weights")


@dataclass(frozen=True, eq=False)
class FlowPath(
    Result,
    axes={
        "time": "training_error loss",
        "time coordinate": "u v theta",
    },
    labels={"time": "times"},
):
    """What :func:`gradient_flow` returns. n times, d inputs.

    Attributes
    ----------
    times : ndarray (n,)
        Times, in units in which gradient descent has t = lr * step.
    u, v : ndarray (n, d)
        The weights.
    training_error : ndarray (n,)
        Mean square of X theta - y, over samples.
    loss : ndarray (n,)
        \\|X theta - y\\|² / 2 + weight_decay (\\|u\\|² + \\|v\\|²) / 2.
    steps : int
        Steps in time.
    """

    times: np.ndarray
    u: np.ndarray = field(repr=False)
    v: np.ndarray = field(repr=False)
    training_error: np.ndarray = field(repr=False)
    loss: np.ndarray = field(repr=False)
    steps: int

    @property
    def theta(self) -> np.ndarray:
        """Linear coefficients (u² - v²) / 2, (n, d)."""
        return 0.5 * (self.u**2 - self.v**2)


@dataclass(frozen=True, eq=False)
class DiagonalFlow(
    Result,
    axes={
        "network time": "excess_risk=excess_risks training_error=training_errors",
        "network coordinate": "theta signal",
    },
    labels={"time": "times"},
):
    """What :func:`diagonal_flow` returns. n times, m networks, d inputs.

    Attributes
    ----------
    times : ndarray (n,)
        Times of the flow.
    excess_risks, training_errors : ndarray (m, n)
        Mean of (theta - theta*)² over coordinates, in the metric of a covariance where there is one, and mean square of X theta - y over
        samples, of each network.
    theta, signal : ndarray (m, d)
        Linear coefficients at the end, and theta*.
    setting : Setting
        The constants.
    steps : int
        Steps in time, of all networks together.
    """

    times: np.ndarray
    excess_risks: np.ndarray = field(repr=False)
    training_errors: np.ndarray = field(repr=False)
    theta: np.ndarray = field(repr=False)
    signal: np.ndarray = field(repr=False)
    setting: Setting
    steps: int

    @property
    def excess_risk(self) -> np.ndarray:
        """Mean over the networks, (n,)."""
        return self.excess_risks.mean(axis=0)

    @property
    def excess_risk_error(self) -> np.ndarray:
        """Its standard error, (n,)."""
        return self.excess_risks.std(axis=0, ddof=1) / np.sqrt(len(self.excess_risks))

    @property
    def training_error(self) -> np.ndarray:
        """Mean over the networks, (n,)."""
        return self.training_errors.mean(axis=0)

    @property
    def training_error_error(self) -> np.ndarray:
        """Its standard error, (n,)."""
        return self.training_errors.std(axis=0, ddof=1) / np.sqrt(len(self.training_errors))


class _Network:
    """One network as a flow to integrate; the state is xi (d,), or u and v (2, d). Arrays are NumPy's or torch's."""

    def __init__(self, x, y, init_scale: float, weight_decay: float, form: str, device: str | None):
        self.init_scale, self.decay, self.form = init_scale, weight_decay, form
        self.library: Any = np
        self.x, self.y = x, y
        if device is not None:
            from ..engines.torch import run as engine

            self.library, place = engine.torch, engine.pick_device(device)
            self.x, self.y = (engine.torch.from_numpy(array).to(place) for array in (x, y))
        self._direction = self.x[0] * 0.0 + 1.0
        self._iterations = 20
        self.training_error = 0.0  # where the rate was last asked for

    def start(self):
        """The state at time 0."""
        one = self.x[0] * 0.0
        return one if self.form == "mirror" else self.library.stack([one + self.init_scale, one + self.init_scale])

    def weights(self, t: float, state):
        """u and v, (d,) each."""
        if self.form == "weights":
            return state[0], state[1]
        size = self.init_scale * float(np.exp(-self.decay * t))
        return size * self.library.exp(state), size * self.library.exp(-state)

    def theta(self, t: float, state):
        """Linear coefficients, (d,)."""
        if self.form == "weights":
            return 0.5 * (state[0] - state[1]) * (state[0] + state[1])
        return self.init_scale**2 * float(np.exp(-2.0 * self.decay * t)) * self.library.sinh(2.0 * state)

    def rate(self, t: float, y):
        """Minus the gradient of the loss, in the metric of the form."""
        residual = self.x @ self.theta(t, y) - self.y
        self.training_error = float((residual * residual).mean())
        g = residual @ self.x
        if self.form == "mirror":
            return -g
        return -self.library.stack([y[0] * (self.decay + g), y[1] * (self.decay - g)])

    def _slope(self, t: float, y):
        """D = d theta / d xi = u² + v², (d,)."""
        u, v = self.weights(t, y)
        return u * u + v * v

    def radius(self, t: float, y) -> float:
        """Largest eigenvalue of D^(1/2) X'X D^(1/2), with a fifth to spare: power iteration, from the last direction found."""
        root = self.library.sqrt(self._slope(t, y))
        value = 0.0
        for _ in range(self._iterations):
            new = root * ((self.x @ (root * self._direction)) @ self.x)
            value = float((new * new).sum() / (self._direction * self._direction).sum()) ** 0.5
            self._direction = new / value + 1e-3 * abs(new / value).mean()
        self._iterations = 2
        if self.form == "mirror":
            return 1.2 * value
        g = (self.x @ self.theta(t, y) - self.y) @ self.x
        return 1.2 * value + float(abs(g).max()) + self.decay

    def error(self, t, y, change) -> float:
        """Root mean square error of theta, relative to that of the targets at the end of the step."""
        if self.form == "mirror":
            size = self._slope(t[1], y[1]) * change
        else:
            size = y[1][0] * change[0] - y[1][1] * change[1]
        return float((size * size).mean()) ** 0.5 / max(self.training_error**0.5, FLOOR)

    def mark(self) -> None:
        """Nothing is kept from one evaluation to the next."""

    def rewind(self, mark: None) -> None:
        """Nothing to forget."""


def gradient_flow(
    x: np.ndarray,
    y: np.ndarray,
    *,
    init_scale: float = 0.3,
    weight_decay: float = 0.0,
    t_max: float = 8.0,
    times: np.ndarray | None = None,
    form: str = "mirror",
    tolerance: float = 1e-4,
    device: str | None = None,
) -> FlowPath:
    """Gradient flow of a diagonal linear network on data of one's own.

    Parameters
    ----------
    x : ndarray (n, d), float64
        Inputs. The theory of :func:`~trajlib.meanfield.solver.dmft` has independent columns of mean square 1/d.
    y : ndarray (n,), float64
        Targets.
    init_scale, weight_decay, t_max, times
        As in :func:`~trajlib.meanfield.solver.dmft`.

    Other Parameters
    ----------------
    form : {"mirror", "weights"}
        Which of two equal flows is integrated: mirror descent, or that of u and v.
    tolerance : float
        Error of theta in one step, root mean square, relative to that of the targets that remain.
    device : str, optional
        A torch device such as ``"cuda"``; NumPy by default.

    Returns
    -------
    FlowPath

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    ArithmeticError
        If the steps become too short.

    Examples
    --------
    >>> path = gradient_flow(np.eye(2), np.array([1.0, 0.0]), init_scale=0.5, t_max=20.0)
    >>> path.theta[-1].round(6) + 0.0
    array([1., 0.])
    """
    x, y = check_data(x, y)
    check_size(x, y)
    init_scale, weight_decay = moderate("init_scale", init_scale), moderate("weight_decay", weight_decay, zero=True)
    times, tolerance = report_times(times, t_max), _validate.positive("tolerance", tolerance)
    flow = _Network(x, y, init_scale, weight_decay, _validate.choice("form", form, FORMS), device)
    states, now, steps = np.empty((2, len(times), x.shape[1])), 0, 0
    with one_thread(x.size):
        for step in integrate(flow, flow.start(), float(times[-1]), tolerance, EVALUATIONS):
            steps += 1
            while now < len(times) and times[now] <= step.t[1]:
                t = float(times[now])
                for out, part in zip(states, flow.weights(t, step.at(t)), strict=True):
                    out[now] = part if device is None else part.cpu().numpy()
                now += 1
    u, v = states
    residual = 0.5 * (u - v) * (u + v) @ x.T - y
    training = (residual * residual).mean(axis=1)
    loss = 0.5 * len(y) * training + 0.5 * weight_decay * (u * u + v * v).sum(axis=1)
    return FlowPath(times, u, v, training, loss, steps)


def diagonal_flow(
    dimension: int,
    *,
    networks: int = 8,
    seed: int = 0,
    aspect_ratio: float = 0.5,
    init_scale: float = 0.3,
    noise: float = 0.1,
    sparsity: float = 0.1,
    weight_decay: float = 0.0,
    t_max: float = 8.0,
    times: np.ndarray | None = None,
    covariance: np.ndarray | None = None,
    signal: np.ndarray | None = None,
    form: str = "mirror",
    tolerance: float = 1e-4,
    device: str | None = None,
    progress: bool | None = None,
) -> DiagonalFlow:
    """Gradient flow of diagonal linear networks of finite width on Gaussian data: the direct simulation of what ``dmft`` predicts.

    Parameters
    ----------
    dimension : int
        Inputs d. A network's data are aspect_ratio * d² numbers: 0.4 GB at d = 10,000 and aspect_ratio 0.5.
    networks : int
        Independent draws of data and signal, >= 2.
    seed : int
        Network i depends on (seed, i) alone, not on how many others there are.
    aspect_ratio, init_scale, noise, sparsity, weight_decay, t_max, times, covariance, signal
        As in :func:`~trajlib.meanfield.solver.dmft`. The number of coordinates of theta* that are not zero is exact.

    Other Parameters
    ----------------
    form, tolerance, device
        As in :func:`gradient_flow`.
    progress : bool, optional
        Show a progress bar; by default in terminals and notebooks, after a second.

    Returns
    -------
    DiagonalFlow
        Different from the theory by terms of order 1/d, and from draw to draw by terms of order 1/sqrt(d).

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    Interrupted
        On Ctrl-C, with the networks that are done, if these are two or more.

    References
    ----------
    The model of Nishiyama, Imaizumi, arXiv 2510.01930.

    Examples
    --------
    >>> run = diagonal_flow(100, networks=3, t_max=2.0)
    >>> run.excess_risks.shape, bool((run.training_errors[:, -1] < run.training_errors[:, 0]).all())
    ((3, 81), True)
    """
    model = Setting(aspect_ratio, init_scale, noise, sparsity, weight_decay)
    dimension, networks = _validate.count("dimension", dimension, 1), _validate.count("networks", networks, 2)
    correlated = covariance_of(dimension, covariance, signal)
    seed, times = _validate.count("seed", seed), report_times(times, t_max)
    _validate.fit_in_memory(
        "the data of a network", int(model.aspect_ratio * dimension) * dimension, "take a smaller dimension"
    )
    done: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]] = []
    bar = progress_bar(progress, networks, "networks")
    interrupted = False
    try:
        for i in range(networks):
            x, y, target, root = data(model, dimension, correlated, seed, i)
            path = gradient_flow(
                x, y, init_scale=model.init_scale, weight_decay=model.weight_decay, times=times, form=form,
                tolerance=tolerance, device=device,
            )  # fmt: skip
            theta = path.theta
            away = theta - target if root is None else (theta - target) @ root
            done.append(((away**2).mean(axis=1), path.training_error, theta[-1], target, path.steps))
            if bar is not None:
                bar.update(1)
    except KeyboardInterrupt:
        if len(done) < 2:
            raise
        interrupted = True
    finally:
        if bar is not None:
            bar.close()
    risks, training, theta, signals, steps = zip(*done, strict=True)
    result = DiagonalFlow(
        times, np.stack(risks), np.stack(training), np.stack(theta), np.stack(signals), model, sum(steps)
    )
    if interrupted:
        raise Interrupted(result)
    return result
