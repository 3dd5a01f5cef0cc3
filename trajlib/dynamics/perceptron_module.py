"""A Perceptron as a torch.nn.Module, for what only modules can."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional

from ..models.perceptron import Perceptron

__all__ = ["PerceptronModule", "as_module"]

ACTIVATIONS: dict[str, Callable[[], torch.nn.Module]] = {
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "relu": torch.nn.ReLU,
    "identity": torch.nn.Identity,
    "gelu": torch.nn.GELU,
    "gelu_tanh": partial(torch.nn.GELU, approximate="tanh"),
}


class PerceptronModule(torch.nn.Module):
    """A Perceptron as a module, with parameters weight1 (inputs, units), bias1, weight2, ... in its order, made by :func:`as_module`."""

    def __init__(self, perceptron: Perceptron):
        super().__init__()
        self.perceptron = perceptron
        self._act = ACTIVATIONS[perceptron.activation]()
        kinds = ("weight", "bias")[: 1 + bool(perceptron.bias)]
        names = [f"{kind}{i + 1}" for i in range(perceptron.depth) for kind in kinds]
        for name, shape in zip(names, perceptron.shapes, strict=True):
            self.register_parameter(name, torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (samples, outputs) of inputs (samples, inputs)."""
        net = self.perceptron
        for i in range(net.depth):
            z = x @ getattr(self, f"weight{i + 1}")
            z = z if net.scale is None else z * net.scale[i]
            z = z + getattr(self, f"bias{i + 1}") if net.bias else z
            x = z if i == net.depth - 1 else self._act(z)
        return x

    def loss(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The Perceptron's loss, of labels or values (samples,)."""
        if self.perceptron.loss == "cross_entropy":
            return functional.cross_entropy(out, y)
        y = functional.one_hot(y, out.shape[1]).double() if out.shape[1] > 1 else y.double()[:, None]
        square = (out - y).square()
        return square.mean() if self.perceptron.loss == "mean_squared_error" else 0.5 * square.sum()


def as_module(perceptron: Perceptron) -> PerceptronModule:
    """A module equal to a Perceptron, all parameters 0: the same flat order, activation, biases, scale, and loss where none is given.

    Examples
    --------
    >>> import trajlib as tl
    >>> net = tl.Perceptron(4, 10, 3)
    >>> gd, same = tl.GradientDescent(net, tl.iris(), 0.1), tl.GradientDescent(as_module(net), tl.iris(), 0.1)
    >>> w = net.init(2, seed=0)
    >>> bool(np.allclose(gd.gradient(w), same.gradient(w), rtol=1e-12))
    True
    """
    return PerceptronModule(perceptron)
