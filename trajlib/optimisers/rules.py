"""The update rules: one entry each, in torch.optim's conventions. The formulas are written once, for one parameter or arrays of them, over
a few operations that whoever computes with them provides; the fused engine compiles them as they stand here.

A rule is a pure function of weights, gradient and memory. Its memory travels in the state, behind the weights: z = (w, slot 1, slot 2).
Adam and RMSProp keep u, the root of torch's second moment: a perturbation of it cannot make a variance negative, and its entries are of
the gradient's size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..models.activations import over

__all__ = ["RULES", "Formulas", "Rule", "clock", "tangent", "update"]


class ops:
    """The operations, for NumPy arrays."""

    sqrt = staticmethod(np.sqrt)

    @staticmethod
    def where_less(a, b, if_true, if_false):
        return np.where(np.less(a, b), if_true, if_false)


class Formulas(NamedTuple):
    """An entry of the table.

    Attributes
    ----------
    code : int
        Its place in the table.
    slots : int
        Numbers of memory for each parameter.
    linear : bool
        Whether the step is linear in gradient and memory: its tangent then needs neither.
    update : callable
        ``update(w, g, a, b, lr, n, zero)``: weight and memory a, b (what there is of them) after a step with gradient g; ``n`` are the
        numbers of :func:`numbers`.
    tangent : callable
        ``tangent(g, a, b, dw, dg, da, db, lr, n, zero)``: its derivative along (dw, dg, da, db), g, a and b being those before the step.
    """

    code: int
    slots: int
    linear: bool
    update: Callable
    tangent: Callable


# n = (p, 1 - p, q, 1 - q, eps, c1, c2): momentum or beta1; beta2 or alpha; the step's corrections 1 - beta1^t and sqrt(1 - beta2^t).


def _descent(w, g, a, b, lr, n, zero):
    return w - lr * g, a, b


def _descent_tangent(g, a, b, dw, dg, da, db, lr, n, zero):
    return dw - lr * dg, da, db


def _heavy_ball(w, g, a, b, lr, n, zero):
    a = a * n[0] + g
    return w - lr * a, a, b


def _heavy_ball_tangent(g, a, b, dw, dg, da, db, lr, n, zero):
    da = da * n[0] + dg
    return dw - lr * da, da, db


def _nesterov(w, g, a, b, lr, n, zero):
    a = a * n[0] + g
    return w - lr * (g + a * n[0]), a, b


def _nesterov_tangent(g, a, b, dw, dg, da, db, lr, n, zero):
    da = da * n[0] + dg
    return dw - lr * (dg + da * n[0]), da, db


def _adam(w, g, a, b, lr, n, zero):
    a = a * n[0] + g * n[1]
    b = ops.sqrt((b * b) * n[2] + (g * g) * n[3])
    return w - (lr / (zero + n[5])) * (a / (b / (zero + n[6]) + n[4])), a, b


def _adam_tangent(g, a, b, dw, dg, da, db, lr, n, zero):
    a = a * n[0] + g * n[1]
    da = da * n[0] + dg * n[1]
    along = (b * db) * n[2] + (g * dg) * n[3]
    b = ops.sqrt((b * b) * n[2] + (g * g) * n[3])
    db = along / ops.where_less(
        zero, b, b, zero + 1.0
    )  # an input that is always 0 has u = 0 for ever: its root moves nowhere
    below = b / (zero + n[6]) + n[4]
    return dw - (lr / (zero + n[5])) * ((da - (a / below) * (db / (zero + n[6]))) / below), da, db


def _rmsprop(w, g, a, b, lr, n, zero):
    a = ops.sqrt((a * a) * n[2] + (g * g) * n[3])
    return w - lr * (g / (a + n[4])), a, b


def _rmsprop_tangent(g, a, b, dw, dg, da, db, lr, n, zero):
    along = (a * da) * n[2] + (g * dg) * n[3]
    a = ops.sqrt((a * a) * n[2] + (g * g) * n[3])
    da = along / ops.where_less(zero, a, a, zero + 1.0)
    below = a + n[4]
    return dw - lr * ((dg - (g / below) * da) / below), da, db


def _rmsprop_momentum(w, g, a, b, lr, n, zero):
    a = ops.sqrt((a * a) * n[2] + (g * g) * n[3])
    b = b * n[0] + g / (a + n[4])
    return w - lr * b, a, b


def _rmsprop_momentum_tangent(g, a, b, dw, dg, da, db, lr, n, zero):
    along = (a * da) * n[2] + (g * dg) * n[3]
    a = ops.sqrt((a * a) * n[2] + (g * g) * n[3])
    da = along / ops.where_less(zero, a, a, zero + 1.0)
    below = a + n[4]
    db = db * n[0] + (dg - (g / below) * da) / below
    return dw - lr * db, da, db


RULES = {
    "gradient descent": Formulas(0, 0, True, _descent, _descent_tangent),
    "heavy ball": Formulas(1, 1, True, _heavy_ball, _heavy_ball_tangent),
    "Nesterov": Formulas(2, 1, True, _nesterov, _nesterov_tangent),
    "Adam": Formulas(3, 2, False, _adam, _adam_tangent),
    "RMSProp": Formulas(4, 1, False, _rmsprop, _rmsprop_tangent),
    "RMSProp with momentum": Formulas(5, 2, False, _rmsprop_momentum, _rmsprop_momentum_tangent),
}


@dataclass(frozen=True)
class Rule:
    """A rule with its numbers.

    Attributes
    ----------
    name : str
        Of the table.
    p, q, eps : float
        Momentum or beta1; beta2 or alpha; what is added to the root.
    decay : float
        Weight decay.
    decoupled : bool
        Whether the decay shrinks the weights by 1 - lr * decay before the update, in place of being part of the gradient.
    """

    name: str = "gradient descent"
    p: float = 0.0
    q: float = 0.0
    eps: float = 0.0
    decay: float = 0.0
    decoupled: bool = False

    @classmethod
    def gradient_descent(cls, momentum: float, nesterov: bool, decay: float, decoupled: bool) -> Rule:
        """torch.optim.SGD's rule (without dampening)."""
        name = "gradient descent" if momentum == 0 else "Nesterov" if nesterov else "heavy ball"
        return cls(name, p=momentum, decay=decay, decoupled=decoupled)

    @classmethod
    def adam(cls, betas: tuple[float, float], eps: float, decay: float, decoupled: bool) -> Rule:
        """torch.optim.Adam's rule; AdamW's where the decay is decoupled."""
        return cls("Adam", p=betas[0], q=betas[1], eps=eps, decay=decay, decoupled=decoupled)

    @classmethod
    def rmsprop(cls, alpha: float, eps: float, momentum: float, decay: float, decoupled: bool) -> Rule:
        """torch.optim.RMSprop's rule (not centred)."""
        name = "RMSProp with momentum" if momentum else "RMSProp"
        return cls(name, p=momentum, q=alpha, eps=eps, decay=decay, decoupled=decoupled)

    @property
    def formulas(self) -> Formulas:
        """Its entry in the table."""
        return RULES[self.name]

    @property
    def slots(self) -> int:
        """Numbers of memory for each parameter."""
        return self.formulas.slots

    @property
    def autonomous(self) -> bool:
        """Whether a step does the same at any time (with a constant learning rate and all samples): Adam's corrections do not."""
        return self.name != "Adam"

    def stability_limit(self, lr: float) -> float:
        """Largest curvature at which a quadratic loss is stable: the largest eigenvalue of the Hessian, for Adam and RMSProp of the
        preconditioned one (Adam's in the long run), for training at a constant learning rate.

        References
        ----------
        J. Cohen et al., arXiv 2103.00065 and 2207.14484.
        """
        top = 2.0 + 2.0 * self.p
        return {"Nesterov": top / (lr * (1.0 + 2.0 * self.p)), "Adam": top / ((1.0 - self.p) * lr)}.get(
            self.name, top / lr
        )

    def preconditioner(self, memory: Any, t: int) -> Any:
        """What Adam and RMSProp divide the gradient by, from memory (..., slots, P) after t steps: (..., P); None for the others."""
        if self.name.startswith("RMSProp"):
            return memory[..., 0, :] + self.eps
        if self.name != "Adam":
            return None
        _, c1, c2 = clock(self, None, max(0, t - 1), max(1, t))[0]
        return c1 * (memory[..., 1, :] / c2 + self.eps)


def clock(rule: Rule, schedule: Callable | None, start: int, stop: int) -> np.ndarray:
    """What changes from step to step, (stop - start, 3): the learning rate (1 where there is no schedule), and Adam's corrections
    1 - beta1^(t + 1) and sqrt(1 - beta2^(t + 1)). Powers are repeated products: they have the same bits everywhere."""
    table = np.ones((stop - start, 3))
    if schedule is not None:
        table[:, 0] = schedule(np.arange(start, stop))
    if rule.name == "Adam":
        for column, beta in ((1, rule.p), (2, rule.q)):
            table[:, column] = 1.0 - np.multiply.accumulate(np.full(stop, beta))[start:]
        table[:, 2] = np.sqrt(table[:, 2])
    return table


def numbers(rule: Rule, c1: float = 1.0, c2: float = 1.0) -> tuple[float, ...]:
    """The numbers ``n`` of the formulas."""
    return rule.p, 1.0 - rule.p, rule.q, 1.0 - rule.q, rule.eps, c1, c2


def _decayed(rule: Rule, w, g, lr):
    """Weights and gradient with the decay in its place."""
    if rule.decay and rule.decoupled:
        return w * (1.0 - lr * rule.decay), g
    return w, g + w * rule.decay if rule.decay else g


def update(rule: Rule, w, g, memory, lr, now, operations: Any = ops, zero: Any = 0.0):
    """Weights and memory after a step. Arrays of NumPy's or, with their ``operations`` and a ``zero``, of another library.

    Parameters
    ----------
    w, g : array (..., P)
        Weights, and gradient of the loss without decay.
    memory : list of array (..., P)
        As many as the rule has slots.
    lr : float or array
        Learning rate.
    now : sequence of float
        A row of :func:`clock`: the last two are used.
    """
    w, g = _decayed(rule, w, g, lr)
    a, b = [*memory, zero, zero][:2]
    w, a, b = over(rule.formulas.update, operations)(w, g, a, b, lr, numbers(rule, *map(float, now[1:])), zero)
    return w, [a, b][: rule.slots]


def tangent(rule: Rule, w, g, memory, dw, dg, dmemory, lr, now, operations: Any = ops, zero: Any = 0.0):
    """The derivative of :func:`update` along (dw, dg, dmemory), dg being the Hessian times dw: (dw, dmemory) after the step."""
    _, g = _decayed(rule, w, g, lr)
    dw, dg = _decayed(rule, dw, dg, lr)
    (a, b), (da, db) = [*memory, zero, zero][:2], [*dmemory, zero, zero][:2]
    n = numbers(rule, *map(float, now[1:]))
    dw, da, db = over(rule.formulas.tangent, operations)(g, a, b, dw, dg, da, db, lr, n, zero)
    return dw, [da, db][: rule.slots]
