"""The activations: one entry each. The formulas are written once, over a few operations that whoever computes with them provides.

Here ``ops`` are NumPy's. The fused engine compiles the same formulas with its own operations (``over``), and the torch engine falls back
on them where PyTorch has no faster form. ``zero`` is a 0 of the kind that is computed with.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["ACTIVATIONS", "Activation", "over"]


class ops:
    """The operations, for NumPy arrays."""

    @staticmethod
    def sigmoid(x, zero):
        from scipy.special import expit

        return expit(x)

    @staticmethod
    def tanh(x, zero):
        return np.tanh(x)

    @staticmethod
    def where_less(a, b, if_true, if_false):
        return np.where(np.less(a, b), if_true, if_false)


class Activation(NamedTuple):
    """What a hidden unit does with its input z, and its derivatives, told from the value h = act(z).

    Attributes
    ----------
    code : int
        Its place in the table.
    value : callable
        ``value(z, zero)``.
    slope : callable
        ``slope(h, zero)``: the derivative of the value by z.
    bend : callable
        ``bend(h, zero)``: the derivative of the slope by h, so that the second derivative by z is slope times bend.
    limits : (float, float) or None
        Values at z = -inf and inf of a unit that saturates.
    curved : bool
        Whether the second derivative is not 0 almost everywhere.
    """

    code: int
    value: Callable
    slope: Callable
    bend: Callable
    limits: tuple[float, float] | None
    curved: bool


def _sigmoid(z, zero):
    return ops.sigmoid(z, zero)


def _sigmoid_slope(h, zero):
    return h * (1.0 - h)


def _sigmoid_bend(h, zero):
    return 1.0 - 2.0 * h


def _tanh(z, zero):
    return ops.tanh(z, zero)


def _tanh_slope(h, zero):
    return 1.0 - h * h


def _tanh_bend(h, zero):
    return -2.0 * h


def _relu(z, zero):
    return ops.where_less(z, zero, zero, z)


def _relu_slope(h, zero):
    return ops.where_less(zero, h, zero + 1.0, zero)


def _nothing(h, zero):
    return zero


ACTIVATIONS = {
    "sigmoid": Activation(0, _sigmoid, _sigmoid_slope, _sigmoid_bend, (0.0, 1.0), True),
    "tanh": Activation(1, _tanh, _tanh_slope, _tanh_bend, (-1.0, 1.0), True),
    "relu": Activation(2, _relu, _relu_slope, _nothing, None, False),
}


def over(formula: Callable, operations: Any) -> Callable:
    """A formula of the table with other operations in the place of NumPy's."""
    return types.FunctionType(formula.__code__, {**formula.__globals__, "ops": operations}, formula.__name__)
