"""Training as a map w -> g(w): full-batch gradient descent, with its loss, gradient, Hessian and Jacobian in closed form.

Everything is batched over the leading axes of w. For networks of the fused engine's size, the map, the loss and the gradient are
the engine's own, so that iterating ``gd(w)`` by hand gives the bits that ``train`` gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _validate
from ..engines import Problem, iterate, pick
from ..models.cost import residual, total_cost
from ..models.perceptron import Perceptron
from ..tasks.small import Task
from .protocol import Dynamics

__all__ = ["GradientDescent", "TrainingMap"]

_CHUNK_BYTES = 1 << 26


class TrainingMap(Dynamics):
    """What the maps share that the engines run: state, loss and gradient come from the engine, so that iterating by hand gives its bits."""

    problem: Problem

    @property
    def size(self) -> int:  # type: ignore[override]
        """Length of a state vector."""
        return self.problem.n_parameters

    @property
    def is_weight(self) -> np.ndarray:
        """(n_parameters,) bool: which entries :func:`~trajlib.ensembles.perturb` moves unless it is told to move all."""
        return super().movable

    @property
    def movable(self) -> np.ndarray:
        """The same, under the protocol's name."""
        return self.is_weight

    @property
    def independent(self) -> bool:
        """Whether no learning rate and no target belongs to one place of the batch."""
        return np.ndim(self.problem.rate) == 0 and self.shared_loss

    @property
    def shared_loss(self) -> bool:
        """Whether all networks of a batch have the same targets."""
        return not self.problem.own_targets

    def jacobian(self, w: np.ndarray) -> np.ndarray:
        """Jacobian of the map, I - rate * Hessian, (..., p, p)."""
        hessian = self.hessian(w)
        self.check_rows(hessian.shape[:-2])
        with np.errstate(over="ignore", invalid="ignore"):
            return np.eye(self.n_parameters) - np.asarray(self.problem.rate)[..., None, None] * hessian

    def hessian(self, w: np.ndarray) -> np.ndarray:
        """Hessian of the loss, (..., p, p)."""
        raise NotImplementedError

    def _flat(self, w) -> np.ndarray:
        return np.ascontiguousarray(_validate.weights(w, self.n_parameters))

    def _engine(self, w: np.ndarray, steps: int, record: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
        """One short call of the fused engine over all leading axes."""
        problem = self.problem if steps else self.problem._replace(rate=1.0)  # without a step, the rate does not matter
        rows = w.reshape(-1, w.shape[-1])
        call: dict[str, Any] = {
            "steps": steps,
            "every": max(1, steps),
            "record": record,
            "engine": "cpu",
            "progress": False,
        }
        return iterate(problem.rows(w.shape[:-1]), rows, **call)[0]

    def jvp(self, z: np.ndarray, V: np.ndarray, t: int = 0) -> np.ndarray:
        """Tangent vectors V (..., k, p) at weights z (..., p) after a step, V - lr H V, without a Hessian: (..., k, p)."""
        z, V = self._flat(z), _validate.weights(V, self.size, name="V")
        lead = z.shape[:-1]
        if V.shape[:-2] != lead or V.ndim < 2:
            raise ValueError(f"V must have shape {(*lead, 'k', self.size)}, k vectors at each state, got {V.shape}")
        self.check_rows(lead)
        rows, vectors = z.reshape(-1, self.size), np.ascontiguousarray(V).reshape(-1, *V.shape[-2:])
        out = iterate(self.problem.rows(lead), rows, vectors, steps=1, tangent=True, progress=False)[0]
        return out["copies"].reshape(V.shape)

    def step(self, z: np.ndarray, t: int = 0) -> np.ndarray:
        """The next state, (..., p): one step of gradient descent. It does not depend on t."""
        return self(z)

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """The next state, (..., p): one step of gradient descent."""
        w = self._flat(w)
        self.check_rows(w.shape[:-1])
        if pick(self.problem) == "cpu":
            return self._engine(w, 1)["reference"].reshape(w.shape)
        return w - np.asarray(self.problem.rate)[..., None] * self.gradient(w)

    def loss(self, w: np.ndarray) -> np.ndarray:
        """Training loss with the penalty, (...)."""
        w = self._flat(w)
        return self._engine(w, 0, ("loss",))["loss"].reshape(w.shape[:-1])

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient of the loss, (..., p)."""
        w = self._flat(w)
        return self._engine(w, 0, ("gradient",))["gradient"].reshape(w.shape)


@dataclass(frozen=True, eq=False)
class GradientDescent(TrainingMap):
    """Full-batch gradient descent, w(t+1) = w(t) - lr * grad L(w(t)), as a map on flat weight vectors.

    Parameters
    ----------
    network : Perceptron
        The architecture and its loss.
    task : Task
        What it learns.
    lr : float or ndarray
        Learning rate, positive. An array must broadcast against the leading axes of the weights: one rate a network.
    weight_decay : float
        Coefficient of the penalty (weight_decay / 2) \\|w\\|\\ :sup:`2` over all parameters, part of the loss; >= 0.

    Raises
    ------
    TypeError, ValueError
        If ``lr`` or ``weight_decay`` is out of range, or the network does not fit the task.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0)
    >>> w = gd.network.init(2, seed=0)
    >>> gd(w).shape, gd.loss(w).shape, gd.hessian(w).shape
    ((2, 83), (2,), (2, 83, 83))
    """

    network: Perceptron
    task: Task
    lr: float | np.ndarray = 1.0
    weight_decay: float = 0.0
    targets: np.ndarray = field(init=False, repr=False)
    problem: Problem = field(init=False, repr=False)

    def __post_init__(self):
        if not isinstance(self.network, Perceptron):
            raise TypeError(f"network must be a Perceptron, got {type(self.network).__name__}")
        if not isinstance(self.task, Task):
            raise TypeError(f"task must be a Task, got {type(self.task).__name__}")
        object.__setattr__(self, "lr", _validate.rate("lr", self.lr))
        object.__setattr__(self, "weight_decay", _validate.positive("weight_decay", self.weight_decay, zero=True))
        net, task = self.network, self.task
        if task.x.shape[1] != net.n_inputs:
            raise ValueError(
                f"task {task.name!r} has {task.x.shape[1]} features but the network has {net.n_inputs} inputs"
            )
        if task.is_classification and net.n_outputs > 1:
            if task.n_classes > net.n_outputs:
                raise ValueError(
                    f"task {task.name!r} has {task.n_classes} classes but the network has {net.n_outputs} outputs; "
                    "give it one output a class"
                )
        elif net.loss == "cross_entropy":
            raise ValueError("cross_entropy needs integer labels; use loss='half_squared_error' for regression")
        elif net.n_outputs > 1:
            raise ValueError(f"regression needs a network with 1 output, got {net.n_outputs}")
        targets = self._targets(task.y)
        targets.flags.writeable = False
        object.__setattr__(self, "targets", targets)
        sizes = (net.n_inputs, net.n_hidden, net.n_outputs)
        problem = Problem(sizes, net.activation, net.loss, task.x, targets, self.divisor, self.weight_decay, self.lr)
        if len(task.x_test):
            divisor = len(task.x_test) if net.loss == "cross_entropy" else 1
            problem = problem._replace(test=(task.x_test, self._targets(task.y_test), divisor))
        object.__setattr__(self, "problem", problem)

    @property
    def is_weight(self) -> np.ndarray:
        """(n_parameters,) bool: True for entries of W1 and W2, False for biases."""
        return self.network.is_weight

    def check_rows(self, lead: tuple[int, ...]) -> None:
        """Raise where there are learning rates for other networks than those with leading axes ``lead``."""
        _validate.fits("lr", "one number", np.shape(self.lr), lead)

    @property
    def divisor(self) -> int:
        """What the sum over the samples is divided by: n for cross entropy (a mean), 1 for half squared error (a sum)."""
        return len(self.task.x) if self.network.loss == "cross_entropy" else 1

    def loss(self, w: np.ndarray) -> np.ndarray:
        """Training loss with the penalty, (...)."""
        if pick(self.problem) == "cpu":
            return super().loss(w)
        w = self._flat(w)
        penalty = 0.5 * self.weight_decay * (w * w).sum(axis=-1) if self.weight_decay else 0.0
        return (
            total_cost(self.network.loss, self.network.outputs(w, self.task.x), self.targets) / self.divisor + penalty
        )

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient of the loss, (..., p)."""
        if pick(self.problem) == "cpu":
            return super().gradient(w)
        w = self._flat(w)
        flat = w.reshape(-1, w.shape[-1])
        rows = max(1, _CHUNK_BYTES // (8 * len(self.task.x) * (self.network.n_hidden + self.network.n_outputs)))
        with np.errstate(over="ignore", invalid="ignore"):
            parts = [self._matrix_gradient(flat[i : i + rows]) for i in range(0, len(flat), rows)]
        return np.concatenate(parts).reshape(w.shape)

    def _matrix_gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient by matrix products, (n, p): for networks beyond the fused engine."""
        hidden = self.network.hidden(w, self.task.x)
        delta = residual(self.network.loss, self.network.outputs(w, self.task.x), self.targets)
        W2 = self.network.unpack(w).W2
        g = (delta @ W2.swapaxes(-1, -2)) * self.network.act.slope(hidden, 0.0)
        sums = self.network.pack(self.task.x.T @ g, g.sum(-2), hidden.swapaxes(-1, -2) @ delta, delta.sum(-2))
        return sums / self.divisor + self.weight_decay * w

    def hessian(self, w: np.ndarray) -> np.ndarray:
        """Hessian of the loss, (..., p, p), exact and symmetric.

        For ``relu`` the second derivative of the activation is taken as 0 (it is, almost everywhere).
        """
        w = self._flat(w)
        flat = w.reshape(-1, w.shape[-1])
        p, n, c = w.shape[-1], len(self.task.x), self.network.n_outputs
        out = np.empty((len(flat), p, p))
        rows = max(1, _CHUNK_BYTES // (8 * 2 * n * c * p))
        for i in range(0, len(flat), rows):
            with np.errstate(over="ignore", invalid="ignore"):
                out[i : i + rows] = self._hessian(flat[i : i + rows])
        return out.reshape(*w.shape, p)

    def _hessian(self, w: np.ndarray) -> np.ndarray:
        net, x, n = self.network, self.task.x, len(self.task.x)
        d, h, c = net.n_inputs, net.n_hidden, net.n_outputs
        hidden, outputs = net.hidden(w, x), net.outputs(w, x)
        delta, W2 = residual(net.loss, outputs, self.targets), net.unpack(w).W2
        slope = net.act.slope(hidden, 0.0)
        curvature = slope * net.act.bend(hidden, 0.0)
        x1 = np.concatenate([x, np.ones((n, 1))], axis=1)
        h1 = np.concatenate([hidden, np.ones((len(w), n, 1))], axis=2)
        cut = (d + 1) * h
        # da_k / dw for every sample: (networks, samples, outputs, p)
        jacobian = np.zeros((len(w), n, c, net.n_parameters))
        by_unit = slope[:, :, None, :] * W2.swapaxes(1, 2)[:, None]
        jacobian[..., :cut] = (x1[None, :, None, :, None] * by_unit[:, :, :, None, :]).reshape(len(w), n, c, cut)
        upper = jacobian[..., cut:].reshape(len(w), n, c, h + 1, c)
        for k in range(c):
            upper[:, :, k, :, k] = h1
        jacobian[..., cut:] = upper.reshape(len(w), n, c, -1)
        weighted = jacobian
        if net.loss == "cross_entropy":  # times diag(q) - q q^T
            q = delta + self.targets
            weighted = q[..., None] * (jacobian - np.einsum("ank,ankp->anp", q, jacobian)[:, :, None])
        flat = (len(w), n * c, net.n_parameters)
        hessian = jacobian.reshape(flat).swapaxes(1, 2) @ weighted.reshape(flat)
        # sum_k delta_k d2 a_k: (W1, b1) x (W1, b1) of the same unit, and (W1, b1)_j x W2_j
        bend = (delta @ W2.swapaxes(-1, -2)) * curvature
        lower = hessian[:, :cut, :cut].reshape(len(w), d + 1, h, d + 1, h)
        same_unit = np.einsum("anj,ni,nl->ailj", bend, x1, x1, optimize=True)
        mixed = np.einsum("ank,anj,ni->aijk", delta, slope, x1, optimize=True)
        cross = np.zeros((len(w), d + 1, h, h + 1, c))
        for j in range(h):
            lower[:, :, j, :, j] += same_unit[:, :, :, j]
            cross[:, :, j, j, :] = mixed[:, :, j]
        hessian[:, :cut, :cut] = lower.reshape(len(w), cut, cut)
        corner = cross.reshape(len(w), cut, -1)
        hessian[:, :cut, cut:] += corner
        hessian[:, cut:, :cut] += corner.swapaxes(1, 2)
        hessian = 0.5 * (hessian + hessian.swapaxes(1, 2)) / self.divisor
        return hessian + self.weight_decay * np.eye(net.n_parameters)

    def accuracy(self, w: np.ndarray, split: str = "test") -> np.ndarray:
        """Fraction of samples labelled correctly, (...), on the ``"test"`` or the ``"train"`` part; nan for outputs that overflow."""
        x, y = self._part(split)
        if not self.task.is_classification or self.network.n_outputs < 2:
            raise ValueError("accuracy needs a classification task and one output a class")
        outputs = self.network.outputs(self._flat(w), x)
        right = (outputs.argmax(axis=-1) == y).mean(axis=-1)
        return np.where(np.isfinite(outputs).all(axis=(-1, -2)), right, np.nan)

    def test_loss(self, w: np.ndarray) -> np.ndarray:
        """Loss on the test part, without penalty, (...); a mean for cross entropy, a sum for half squared error."""
        x, y = self._part("test")
        total = total_cost(self.network.loss, self.network.outputs(self._flat(w), x), self._targets(y))
        return total / (len(x) if self.network.loss == "cross_entropy" else 1)

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """What the outputs should be, (samples, outputs): one-hot vectors, or the values themselves."""
        return np.eye(self.network.n_outputs)[y] if self.network.n_outputs > 1 else y.astype(np.float64)[:, None]

    def _part(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        _validate.choice("split", split, ("train", "test"))
        x, y = (self.task.x, self.task.y) if split == "train" else (self.task.x_test, self.task.y_test)
        if len(x) == 0:
            raise ValueError(f"task {self.task.name!r} has no test part; give it x_test and y_test")
        return x, y
