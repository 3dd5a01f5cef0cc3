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
    def exp(x, zero):
        return np.exp(x)

    @staticmethod
    def ndtr(x, zero):
        from scipy.special import ndtr

        return ndtr(x)

    @staticmethod
    def where_less(a, b, if_true, if_false):
        return np.where(np.less(a, b), if_true, if_false)


class Activation(NamedTuple):
    """What a hidden unit does with its input z, and its derivatives, told from the value h = act(z), or from z where that says more.

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
    from_input : bool
        Whether the derivatives are told from z: ``slope(z, zero)``, and ``bend(z, zero)`` is the second derivative itself.
    """

    code: int
    value: Callable
    slope: Callable
    bend: Callable
    limits: tuple[float, float] | None
    curved: bool
    from_input: bool = False

    def derivatives(self, z, h, zero=0.0):
        """First and second derivative by z, at inputs z with values h."""
        told = z if self.from_input else h
        slope, bend = self.slope(told, zero), self.bend(told, zero)
        return slope, bend if self.from_input else slope * bend


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


def _identity(z, zero):
    return z


def _one(h, zero):
    return zero + 1.0


INVERSE_ROOT_2PI = float.fromhex("0x1.9884533d43651p-2")
CUBIC = 0.044715
ROOT_2_OVER_PI = float.fromhex("0x1.9884533d43651p-1")


def _gelu(z, zero):
    return z * ops.ndtr(z, zero)


def _gelu_slope(z, zero):
    return ops.ndtr(z, zero) + z * (ops.exp((z * z) * -0.5, zero) * INVERSE_ROOT_2PI)


def _gelu_second(z, zero):
    return (ops.exp((z * z) * -0.5, zero) * INVERSE_ROOT_2PI) * (2.0 - z * z)


def _gelu_tanh(z, zero):
    return (z * 0.5) * (ops.tanh((z + (z * z * z) * CUBIC) * ROOT_2_OVER_PI, zero) + 1.0)


def _gelu_tanh_slope(z, zero):
    t = ops.tanh((z + (z * z * z) * CUBIC) * ROOT_2_OVER_PI, zero)
    inner = ((z * z) * (3.0 * CUBIC) + 1.0) * ROOT_2_OVER_PI
    return (t + 1.0) * 0.5 + (z * 0.5) * ((1.0 - t * t) * inner)


def _gelu_tanh_second(z, zero):
    t = ops.tanh((z + (z * z * z) * CUBIC) * ROOT_2_OVER_PI, zero)
    inner = ((z * z) * (3.0 * CUBIC) + 1.0) * ROOT_2_OVER_PI
    return (1.0 - t * t) * (inner + (z * 0.5) * (z * (6.0 * CUBIC * ROOT_2_OVER_PI) - (t * 2.0) * (inner * inner)))


ACTIVATIONS = {
    "sigmoid": Activation(0, _sigmoid, _sigmoid_slope, _sigmoid_bend, (0.0, 1.0), True),
    "tanh": Activation(1, _tanh, _tanh_slope, _tanh_bend, (-1.0, 1.0), True),
    "relu": Activation(2, _relu, _relu_slope, _nothing, None, False),
    "identity": Activation(3, _identity, _one, _nothing, None, False),
    "gelu": Activation(4, _gelu, _gelu_slope, _gelu_second, None, True, True),
    "gelu_tanh": Activation(5, _gelu_tanh, _gelu_tanh_slope, _gelu_tanh_second, None, True, True),
}


def over(formula: Callable, operations: Any) -> Callable:
    """A formula of the table with other operations in the place of NumPy's."""
    return types.FunctionType(formula.__code__, {**formula.__globals__, "ops": operations}, formula.__name__)
