"""What gradient descent, Adam and RMSProp share: a network (a Perceptron or a module of PyTorch), what it learns, how fast, on what.

For perceptrons of the fused engine's size, the map, the loss and the gradient are the engine's own; a module's are PyTorch's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .. import _validate
from ..engines import FUSED_LIMIT, Problem, pick, registered
from ..models.cost import divisor, total_cost
from ..models.perceptron import Perceptron
from ..optimisers import rules
from ..optimisers.batches import Batches
from ..optimisers.schedules import Schedule
from ..tasks.small import Task
from . import matrices
from .training import TrainingMap

__all__ = ["Training"]

_CHUNK_BYTES = 1 << 26
_WORTH = 5e8
"""Multiplications from which on accuracies are compiled: a tenth of a second in NumPy, which takes about five times as long."""


@dataclass(frozen=True, eq=False)
class Training(TrainingMap):
    """What the optimisers share: a network, what it learns, and how fast. Subclasses name the rule."""

    network: Any
    task: Any
    lr: Any = 1.0
    weight_decay: float = 0.0
    _: KW_ONLY
    decoupled_weight_decay: bool = False
    batch_size: int | None = None
    batch_seed: int = 0
    replacement: bool = False
    loss: InitVar[Any] = None
    loss_function: Any = field(default=None, repr=False)
    device: str | None = field(default=None, repr=False)
    targets: Any = field(init=False, repr=False)
    rule: rules.Rule = field(init=False, repr=False)
    batches: Batches | None = field(init=False, repr=False)
    problem: Any = field(init=False, repr=False)

    def _rule(self) -> rules.Rule:
        """The rule with its checked numbers."""
        raise NotImplementedError

    def __post_init__(self, loss):
        if loss is not None and getattr(loss, "__func__", loss) is not Training.loss:  # its default: both have one name
            self._set("loss_function", loss)
        if not isinstance(self.network, Perceptron) and not _is_module(self.network):
            raise TypeError(f"network must be a Perceptron or a torch.nn.Module, got {type(self.network).__name__}")
        self._set("weight_decay", _validate.positive("weight_decay", self.weight_decay, zero=True))
        self._set("decoupled_weight_decay", _validate.flag("decoupled_weight_decay", self.decoupled_weight_decay))
        if isinstance(self.network, Perceptron):
            self._of_perceptron()
        else:
            self._of_module()

    def _of_module(self) -> None:
        if isinstance(self.lr, tuple):
            raise ValueError(
                f"lr must be a number, an array of one a network or a schedule for a module, got {_validate.shown(self.lr)}; a rate for "
                "each layer is for a Perceptron"
            )
        self._set("lr", _rates(self.lr, 0)[0])
        self._set("rule", self._rule())
        self._set("targets", None)
        self._set("problem", None)
        size = None if self.batch_size is None else _validate.count("batch_size", self.batch_size, 1)
        from .module import ModuleLoss

        seed = _validate.count("batch_seed", self.batch_seed)
        replacement = _validate.flag("replacement", self.replacement)
        learner = ModuleLoss(
            self.network,
            self.task,
            self.loss_function,
            device=self.device,
            seed=seed,
            batch_size=size,
            replacement=replacement,
        )
        self.__dict__["learner"] = learner
        self._set("batches", self._batches(len(learner.samples.x)))

    def _of_perceptron(self) -> None:
        if not isinstance(self.task, Task):
            raise TypeError(f"task must be a Task, got {type(self.task).__name__}")
        for name in ("loss_function", "device"):
            if getattr(self, name) is not None:
                what = "a Perceptron has its own, Perceptron(..., loss=...)"
                if name == "device":
                    what = "for a Perceptron, give it to train and the others, as in train(..., device='cuda')"
                raise ValueError(f"{name.removesuffix('_function')} is for a torch.nn.Module: {what}")
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
        lr, rate, schedules = _rates(self.lr, net.depth)
        self._set("lr", lr)
        self._set("rule", self._rule())
        self._set("batches", self._batches(len(task.x)))
        targets = self._targets(task.y)
        targets.flags.writeable = False
        self._set("targets", targets)
        decay = 0.0 if self.decoupled_weight_decay else self.weight_decay
        problem = Problem(
            net.widths, net.activation, net.loss, task.x, targets, self.divisor, decay, rate, rule=self.rule,
            schedules=schedules, batches=self.batches, bias=net.bias, scale=net.factors,
        )  # fmt: skip
        if len(task.x_test):
            by = divisor(net.loss, len(task.x_test), net.n_outputs)
            problem = problem._replace(test=(task.x_test, self._targets(task.y_test), by))
        self._set("problem", problem)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _batches(self, samples: int) -> Batches | None:
        """The minibatches; None where each step takes all samples."""
        seed = _validate.count("batch_seed", self.batch_seed)
        replacement = _validate.flag("replacement", self.replacement)
        if self.batch_size is None:
            if replacement:
                raise ValueError("replacement=True draws minibatches, and needs batch_size, the samples of a step")
            return None
        size = _validate.count("batch_size", self.batch_size, 1)
        if size > samples and not replacement:
            raise ValueError(
                f"batch_size must be at most the number of samples, {samples}, got {size}; replacement=True can draw more"
            )
        return None if size == samples and not replacement else Batches(samples, size, seed, replacement)

    @property
    def is_weight(self) -> np.ndarray:
        """(n_parameters,) bool: True for entries of W1, W2, ..., False for biases (of a module, parameters with "bias" in their name)."""
        return self.network.is_weight if self.problem is not None else self.learner.is_weight

    @cached_property
    def learner(self) -> Any:
        """The :class:`~trajlib.dynamics.module.ModuleLoss` of a module, or of a Perceptron that no engine takes."""
        from .module import ModuleLoss, as_module

        return ModuleLoss(as_module(self.network), self.task)

    @property
    def _by(self) -> str:
        """What computes: "cpu" or "torch", the engines, or "module"."""
        if self.problem is None:
            return "module"
        if self.problem.n_parameters > FUSED_LIMIT and not registered("torch").suits(self.problem, None, "float64"):
            return "module"
        return pick(self.problem)

    @property
    def size(self) -> int:  # type: ignore[override]
        """Length of a state, which is weights and then the rule's memory."""
        return self.n_parameters * (1 + self.rule.slots)

    @property
    def n_parameters(self) -> int:
        """Length of a weight vector."""
        return self.learner.n_parameters if self.problem is None else self.problem.n_parameters

    @property
    def independent(self) -> bool:
        """Whether no learning rate belongs to one place of the batch."""
        return not any(isinstance(lr, np.ndarray) for lr in (self.lr if isinstance(self.lr, tuple) else (self.lr,)))

    @property
    def shared_loss(self) -> bool:
        """Whether all networks of a batch have the same targets: they have."""
        return True

    @property
    def converted(self) -> bool:
        """Whether the module is in another precision than float64: it is computed in float64, on a copy of it."""
        return self.problem is None and self.learner.converted

    @property
    def description(self) -> str | None:
        """What the generic engine calls, in words; None where it calls NumPy's operations."""
        return self.learner.description if self._by == "module" else None

    @property
    def numbers_between(self) -> int:
        """Numbers that lie between a state and its loss, or its accuracy."""
        if self.problem is None:
            return 0
        return max(len(self.task.x), len(self.task.x_test)) * sum(self.network.widths[1:])

    def flatten(self, what: Any) -> np.ndarray:
        """Weights (n, n_parameters) of networks: of a module, a state_dict or a list of them; of a Perceptron, of a dict of its arrays
        W1, b1, W2, ... or a list of them."""
        if self.problem is None:
            return self.learner.flatten(what)
        several = what if isinstance(what, list | tuple) else [what]
        if not all(isinstance(one, dict) for one in several):
            raise TypeError(
                f"flatten takes a dict of arrays W1, b1, W2, ... or a list of them, got {_validate.shown(what)}"
            )
        return np.array([self.network.pack(**one) for one in several]).reshape(len(several), self.n_parameters)

    def unflatten(self, w: np.ndarray) -> Any:
        """The inverse of :meth:`flatten`: for weights (n_parameters,), or the state that they are in, a state_dict, of a Perceptron a dict
        of arrays; for (n, n_parameters) a list of them. What is not trained is as the module had it."""
        w = self._flat(w)
        if w.ndim > 1:
            return [self.unflatten(one) for one in w]
        return self.learner.unflatten(w) if self.problem is None else dict(self.network.unpack(w)._asdict())

    def _rates_at(self, t: int, lead: tuple[int, ...]) -> np.ndarray | float:
        """Learning rates of a step, which broadcast to weights (*lead, n_parameters)."""

        def one(lr):
            if isinstance(lr, Schedule):
                return lr(np.asarray(t))[..., None]
            return np.broadcast_to(lr, lead)[..., None] if np.ndim(lr) else lr

        if not isinstance(self.lr, tuple):
            return one(self.lr)
        rates = np.stack([np.broadcast_to(one(lr), (*lead, 1))[..., 0] for lr in self.lr], axis=-1)
        return rates[..., self.network.layer_of]

    def push(self, z: np.ndarray, V: np.ndarray, t: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`step` and :meth:`jvp` at once."""
        if self._by != "module":
            return super().push(z, V, t)
        return self._moved(z, V, t)

    def _moved(self, z: np.ndarray, V: np.ndarray | None, t: int) -> tuple[np.ndarray, Any]:
        """States (..., size), and vectors V (..., k, size) where there are some, after a step of a module."""
        z, p = self.state(z), self.n_parameters
        lead = z.shape[:-1]
        self.check_rows(lead)
        some = None if self.batches is None else self.batches.at(t)
        rows = z.reshape(-1, self.size)
        if V is None:
            g = self.learner.gradient(rows[:, :p], t, some)
        else:
            V = self._vectors(V, lead, self.size)
            g, dg = self.learner.products(rows[:, :p], V[..., :p].reshape(len(rows), -1, p), t, some)
            dg = dg.reshape(*V.shape[:-1], p)
        g = g.reshape(*lead, p)
        lr, now = self._rates_at(t, lead), rules.clock(self.rule, None, t, t + 1)[0]
        w, *memory = np.split(z, 1 + self.rule.slots, axis=-1)
        with np.errstate(all="ignore"):
            new, kept = rules.update(self.rule, w, g, memory, lr, now)
            moved = np.concatenate([new, *kept], axis=-1)
            if V is None:
                return moved, None
            dw, *dmemory = np.split(V, 1 + self.rule.slots, axis=-1)
            w, g, *memory = (a[..., None, :] for a in (w, g, *memory))
            lr = lr[..., None, :] if isinstance(lr, np.ndarray) and lr.ndim > 1 else lr
            new, kept = rules.tangent(self.rule, w, g, memory, dw, dg, dmemory, lr, now)
            return moved, np.concatenate([new, *kept], axis=-1)

    def step(self, z: np.ndarray, t: int = 0) -> np.ndarray:
        """The next state, (..., size), t steps having been done. Weights alone stand for a state with empty memory."""
        return self._moved(z, None, t)[0] if self._by == "module" else super().step(z, t)

    def jvp(self, z: np.ndarray, V: np.ndarray, t: int = 0) -> np.ndarray:
        """Tangent vectors V (..., k, size) at states z (..., size) after a step, t having been done, without a Hessian: (..., k, size)."""
        return self._moved(z, V, t)[1] if self._by == "module" else super().jvp(z, V, t)

    def hvp(self, w: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Hessian of the loss of all samples times vectors V (..., k, p), at weights w (..., p): (..., k, p)."""
        if self._by != "module":
            return super().hvp(w, V)
        w, V = self._flat(w), self._vectors(V, np.shape(w)[:-1], self.n_parameters)
        flat = w.reshape(-1, w.shape[-1])
        product = self.learner.products(flat, V.reshape(len(flat), *V.shape[-2:]))[1].reshape(V.shape)
        return product + self._decay * V

    def hvp_at(self, w: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
        """:meth:`hvp` at weights (n, p) that stay, as a function of vectors (n, k, p): a module's gradient is computed once. None where
        that saves nothing."""
        if self._by != "module":
            return None
        product = self.learner.products_at(self._flat(w))
        return lambda V: product(V) + self._decay * V

    @property
    def _decay(self) -> float:
        """Weight decay that is part of the loss."""
        return 0.0 if self.decoupled_weight_decay else self.weight_decay

    def check_rows(self, lead: tuple[int, ...]) -> None:
        """Raise where there are learning rates for other networks than those with leading axes ``lead``."""
        for lr in self.lr if isinstance(self.lr, tuple) else (self.lr,):
            if isinstance(lr, np.ndarray):
                _validate.fits("lr", "one number", lr.shape, lead)

    @property
    def divisor(self) -> float:
        """What the sum over the samples is divided by: n for cross entropy (a mean), 1 for half squared error (a sum)."""
        return divisor(self.network.loss, len(self.task.x), self.network.n_outputs)

    def loss(self, w: np.ndarray) -> np.ndarray:  # type: ignore[misc]  # noqa: F811
        """Training loss of all samples with the penalty of a decay that is part of it, (...); of a module with dropout, with the masks of
        step 0."""
        if (by := self._by) == "cpu":
            return super().loss(w)
        w = self._flat(w)
        penalty = 0.5 * self._decay * (w * w).sum(axis=-1) if self._decay else 0.0
        if by == "module":
            return self.learner.loss(w.reshape(-1, w.shape[-1])).reshape(w.shape[:-1]) + penalty
        return (
            total_cost(self.network.loss, self.network.outputs(w, self.task.x), self.targets) / self.divisor + penalty
        )

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient of the loss, (..., p)."""
        if (by := self._by) == "cpu":
            return super().gradient(w)
        w = self._flat(w)
        flat = w.reshape(-1, w.shape[-1])
        if by == "module":
            return self.learner.gradient(flat).reshape(w.shape) + self._decay * w
        rows = max(1, _CHUNK_BYTES // (8 * len(self.task.x) * sum(self.network.widths[1:])))
        with np.errstate(over="ignore", invalid="ignore"):
            parts = [matrices.gradient(self, flat[i : i + rows]) for i in range(0, len(flat), rows)]
        return np.concatenate(parts).reshape(w.shape)

    def hessian(self, w: np.ndarray) -> np.ndarray:
        """Hessian of the loss, (..., p, p), exact and symmetric.

        For ``relu`` the second derivative of the activation is taken as 0 (it is, almost everywhere).
        """
        w = self._flat(w)
        if (
            self._by == "module"
            or not self.problem._replace(rate=1.0, rule=rules.Rule(), schedules=(None,), batches=None).plain
            or self.network.act.from_input
        ):
            hessian = self.hvp(w, self._unit(w.shape[:-1], w.shape[-1]))
            return 0.5 * (hessian + hessian.swapaxes(-1, -2))
        flat = w.reshape(-1, w.shape[-1])
        p, n, c = w.shape[-1], len(self.task.x), self.network.n_outputs
        out = np.empty((len(flat), p, p))
        rows = max(1, _CHUNK_BYTES // (8 * 2 * n * c * p))
        for i in range(0, len(flat), rows):
            with np.errstate(over="ignore", invalid="ignore"):
                out[i : i + rows] = matrices.hessian(self, flat[i : i + rows])
        return out.reshape(*w.shape, p)

    def accuracy(self, w: np.ndarray, split: str = "test", *, threads: int | None = None) -> np.ndarray:
        """Fraction of samples labelled correctly, (...), on the ``"test"`` or the ``"train"`` part; nan for outputs that overflow.

        Many states are taken by compiled code, on so many threads (default: all cores). Its outputs differ from those of NumPy in
        rounding, so that a sample can count otherwise where two outputs are equal but for that.
        """
        if self.problem is None:
            w = self._flat(w)
            _validate.choice("split", split, ("train", "test"))
            return self.learner.accuracy(w.reshape(-1, w.shape[-1]), split).reshape(w.shape[:-1])
        x, y = self._part(split)
        if not self.task.is_classification or self.network.n_outputs < 2:
            raise ValueError("accuracy needs a classification task and one output a class")
        w = self._flat(w)
        if self.counts(int(np.prod(w.shape[:-1])), split):
            from ..engines.fused.scores import right

            return right(self.problem, w.reshape(-1, w.shape[-1]), x, y, threads).reshape(w.shape[:-1]) / len(x)
        outputs = self.network.outputs(w, x)
        share = (outputs.argmax(axis=-1) == y).mean(axis=-1)
        return np.where(np.isfinite(outputs).all(axis=(-1, -2)), share, np.nan)

    def counts(self, states: int, split: str = "test") -> bool:
        """Whether compiled code counts what so many states have right."""
        if self.problem is None or self.problem.n_parameters > FUSED_LIMIT:
            return False
        work = states * len(self._part(split)[0]) * (self.problem.n_parameters + 10.0 * sum(self.network.widths[1:]))
        return work > _WORTH

    def test_loss(self, w: np.ndarray) -> np.ndarray:
        """Loss on the test part, without penalty, (...); a mean for cross entropy, a sum for half squared error."""
        if self.problem is None:
            w = self._flat(w)
            return self.learner.test_loss(w.reshape(-1, w.shape[-1])).reshape(w.shape[:-1])
        x, y = self._part("test")
        total = total_cost(self.network.loss, self.network.outputs(self._flat(w), x), self._targets(y))
        return total / divisor(self.network.loss, len(x), self.network.n_outputs)

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """What the outputs should be, (samples, outputs): one-hot vectors, or the values themselves."""
        return np.eye(self.network.n_outputs)[y] if self.network.n_outputs > 1 else y.astype(np.float64)[:, None]

    def _part(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        _validate.choice("split", split, ("train", "test"))
        x, y = (self.task.x, self.task.y) if split == "train" else (self.task.x_test, self.task.y_test)
        if len(x) == 0:
            raise ValueError(f"task {self.task.name!r} has no test part; give it x_test and y_test")
        return x, y


def _rates(lr: Any, depth: int) -> tuple[Any, Any, tuple]:
    """Learning rates as they were given, checked; what they are multiplied by at each step; and their schedules."""
    if isinstance(lr, tuple):
        if len(lr) != depth:
            raise ValueError(
                f"lr must be a number, an array of one a network, a schedule, or a tuple of one of these for each of the {depth} layers; "
                f"got {len(lr)}: {_validate.shown(lr)}; for one a network, give np.array([...])"
            )
        for one in lr:
            if isinstance(one, tuple | list):
                raise TypeError(
                    f"lr must be a number, an array or a schedule for each layer, got {_validate.shown(one)} for one"
                )
        found = [_rates(one, depth) for one in lr]
        return tuple(f[0] for f in found), tuple(f[1] for f in found), tuple(f[2][0] for f in found)
    if isinstance(lr, Schedule):
        return lr, 1.0, (lr,)
    if callable(lr) or isinstance(lr, str):
        raise TypeError(
            "lr must be a positive finite number, an array of one a network, a schedule (trajlib.schedules)"
            + (f", or a tuple of one of these for each of the {depth} layers" if depth else "")
            + f"; got {_validate.shown(lr)}"
        )
    lr = _validate.rate("lr", lr)
    return lr, lr, (None,)


def _is_module(what: Any) -> bool:
    """Whether it is a torch.nn.Module; torch is not imported for that: whoever has one did."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(what, torch.nn.Module)
