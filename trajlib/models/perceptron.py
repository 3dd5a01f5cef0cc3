"""The network: a perceptron of any depth, described by its sizes; its weights travel as flat vectors.

A weight vector is W1, b1, W2, b2, ... one after the other, each in C order, with W (inputs of the layer, units):
hidden = activation(x @ W1 + b1), and so on; output = hidden @ W + b of the last layer. Every function broadcasts over leading axes.
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from .. import _validate
from .._normal import standard_normal
from .activations import ACTIVATIONS, Activation
from .cost import COSTS

__all__ = ["Layers", "Perceptron"]


class Layers(NamedTuple):
    """A weight vector taken apart: W1 (..., inputs, hidden), b1 (..., hidden), W2 (..., hidden, outputs), b2 (..., outputs).

    Deeper networks have more such pairs, in that order; without biases there are only W1, W2, ...
    """

    W1: np.ndarray
    b1: np.ndarray
    W2: np.ndarray
    b2: np.ndarray


@cache
def _layers(depth: int, bias: bool):
    """The type of what ``unpack`` gives."""
    if (depth, bias) == (2, True):
        return Layers
    return namedtuple("Layers", [f"{kind}{i + 1}" for i in range(depth) for kind in ("W", "b")[: 1 + bias]])


@dataclass(frozen=True)
class Perceptron:
    """A network of fully connected layers.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Sizes, at least 1.
    n_hidden : int or tuple of int
        Units of the hidden layer, or of each hidden layer from the inputs on.
    activation : {"sigmoid", "tanh", "relu", "gelu", "gelu_tanh", "identity"}
        Of the hidden units. ``gelu`` is z times the normal distribution function, ``gelu_tanh`` PyTorch's ``approximate="tanh"``.
    loss : {"cross_entropy", "half_squared_error", "mean_squared_error"}
        ``cross_entropy``: softmax on the outputs, mean over the samples of -ln(probability of the label).
        ``half_squared_error``: linear outputs a, sum over the samples of \\|a - y\\|\\ :sup:`2` / 2; labels become one-hot targets
        where there are several outputs. ``mean_squared_error``: the mean over samples and outputs of (a - y)\\ :sup:`2`.
    bias : bool
        Whether layers have biases.
    scale : None, "mean_field" or tuple of float
        What the products of each layer are multiplied by: z = scale * (h @ W) + b. ``mean_field`` is sqrt(2 / inputs of the layer) for
        hidden layers and 1 / inputs of the layer for the outputs.

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer, or a name is unknown.

    Examples
    --------
    >>> net = Perceptron(4, 10, 3)
    >>> net.n_parameters
    83
    >>> net.init(500, seed=0).shape
    (500, 83)
    >>> deep = Perceptron(4, (10, 5), 3, activation="tanh")
    >>> deep.unpack(deep.init(1, seed=0))._fields
    ('W1', 'b1', 'W2', 'b2', 'W3', 'b3')
    """

    n_inputs: int
    n_hidden: int | tuple[int, ...]
    n_outputs: int
    activation: str = "sigmoid"
    loss: str = "cross_entropy"
    bias: bool = True
    scale: tuple[float, ...] | str | None = None

    def __post_init__(self):
        for name in ("n_inputs", "n_outputs"):
            object.__setattr__(self, name, _validate.count(name, getattr(self, name), 1))
        hidden = self.n_hidden
        if isinstance(hidden, tuple | list):
            if not hidden:
                raise ValueError("n_hidden must be a number of units, or a tuple of them, one a hidden layer; got none")
            layers = tuple(_validate.count("n_hidden", units, 1) for units in hidden)
            object.__setattr__(self, "n_hidden", layers if len(layers) > 1 else layers[0])
        else:
            object.__setattr__(self, "n_hidden", _validate.count("n_hidden", hidden, 1))
        _validate.choice("activation", self.activation, ACTIVATIONS)
        _validate.choice("loss", self.loss, COSTS)
        if not isinstance(self.bias, bool | np.bool_):
            raise TypeError(f"bias must be True or False, got {_validate.shown(self.bias)}")
        if isinstance(self.scale, str) and self.scale == "mean_field":
            *before, last = self.widths[:-1]
            scale = (*(float(np.sqrt(2.0 / n)) for n in before), 1.0 / last)
            object.__setattr__(self, "scale", scale)
        elif isinstance(self.scale, tuple | list):
            scale = tuple(_validate.real("scale", value) for value in self.scale)
            if len(scale) != self.depth:
                raise ValueError(f"scale must have one number a layer, {self.depth}, got {len(scale)}: {scale}")
            object.__setattr__(self, "scale", scale)
        elif self.scale is not None:
            raise ValueError(
                f"scale must be None, 'mean_field' or a tuple of one number a layer, got {_validate.shown(self.scale)}"
            )
        if self.loss == "cross_entropy" and self.n_outputs < 2:
            raise ValueError(
                "cross_entropy needs at least 2 outputs (one a class), got 1; use loss='half_squared_error'"
            )

    @property
    def act(self) -> Activation:
        """The activation's entry in the table: value, slope, bend."""
        return ACTIVATIONS[self.activation]

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, units of each hidden layer, outputs."""
        hidden = self.n_hidden if isinstance(self.n_hidden, tuple) else (self.n_hidden,)
        return (self.n_inputs, *hidden, self.n_outputs)

    @property
    def depth(self) -> int:
        """Layers of weights."""
        return len(self.widths) - 1

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of W1, b1, W2, b2, ... as they follow each other in a weight vector."""
        pairs = zip(self.widths[:-1], self.widths[1:], strict=True)
        return tuple(shape for n, m in pairs for shape in ((n, m), (m,))[: 1 + bool(self.bias)])

    @property
    def n_parameters(self) -> int:
        """Length of the flat weight vector."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    @property
    def factors(self) -> tuple[float, ...] | None:
        """``scale`` as numbers, one a layer, or None."""
        return self.scale if isinstance(self.scale, tuple) else None

    @cached_property
    def _cuts(self) -> tuple[int, ...]:
        return tuple(np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes)]).tolist())

    @property
    def is_weight(self) -> np.ndarray:
        """(n_parameters,) bool: True for entries of W1, W2, ..., False for biases."""
        return np.concatenate([np.full(int(np.prod(shape)), len(shape) == 2) for shape in self.shapes])

    @property
    def layer_of(self) -> np.ndarray:
        """(n_parameters,) int: the layer, from 0 on, that each entry belongs to."""
        group = 1 + bool(self.bias)
        return np.concatenate([np.full(int(np.prod(shape)), i // group) for i, shape in enumerate(self.shapes)])

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """("W1[0,0]", "W1[0,1]", ..., "b1[0]", ..., "W2[0,0]", ..., "b2[0]", ...)."""
        fields = _layers(self.depth, bool(self.bias))._fields
        return tuple(
            f"{field}[{','.join(map(str, index))}]"
            for field, shape in zip(fields, self.shapes, strict=True)
            for index in np.ndindex(*shape)
        )

    def init(self, n: int, seed: int, *, scheme: str = "normal") -> np.ndarray:
        """Random initial conditions with zero biases.

        Parameters
        ----------
        n : int
            How many. The first ones do not depend on ``n``.
        seed : int
            Seed of numpy's PCG64.
        scheme : {"normal", "glorot"}
            Weights from N(0, 1), or uniform in +-sqrt(6 / (fan in + fan out)) layer by layer.

        Returns
        -------
        ndarray (n, n_parameters), float64

        Raises
        ------
        TypeError, ValueError
            If ``n`` or ``seed`` is not a non-negative integer, or the scheme is unknown.
        MemoryError
            If so many would not fit.

        References
        ----------
        X. Glorot, Y. Bengio, AISTATS (2010) for the second scheme.
        """
        n, seed = _validate.count("n", n), _validate.count("seed", seed)
        _validate.choice("scheme", scheme, ("normal", "glorot"))
        _validate.fit_in_memory(f"{n} weight vectors", n * self.n_parameters, "take fewer at a time")
        rng = np.random.Generator(np.random.PCG64(seed))
        w = np.zeros((n, self.n_parameters))
        is_weight = self.is_weight
        n_weights = int(is_weight.sum())
        if scheme == "normal":
            w[:, is_weight] = standard_normal(rng, (n, n_weights))
        else:
            w[:, is_weight] = rng.uniform(-1.0, 1.0, (n, n_weights))
            for layer in self.unpack(w):
                if layer.ndim == 3:
                    layer[...] *= np.sqrt(6.0 / (layer.shape[1] + layer.shape[2]))
        return w

    def unpack(self, w: np.ndarray) -> Layers:
        """Views W1, b1, W2, b2, ... of flat weight vectors (..., n_parameters).

        Raises
        ------
        TypeError, ValueError
            If ``w`` is not float64 or its last axis has another length.
        """
        w = _validate.weights(w, self.n_parameters)
        lead, cuts = w.shape[:-1], self._cuts
        return _layers(self.depth, bool(self.bias))(
            *(w[..., a:b].reshape(*lead, *shape) for a, b, shape in zip(cuts, cuts[1:], self.shapes, strict=False))
        )

    def pack(self, *layers: np.ndarray, **named: np.ndarray) -> np.ndarray:
        """The inverse of ``unpack``: flat weight vectors (..., n_parameters) from the arrays W1, b1, W2, b2, ...

        ``torch.nn.Linear`` keeps its weight as (outputs, inputs): give ``linear.weight.detach().numpy().T``. A square layer looks the
        same either way, so no error can tell you there.

        Parameters
        ----------
        W1, b1, W2, b2, ... : ndarray
            Shapes as in :class:`Layers`, all with the same leading axes; of any kind of real numbers, which become float64.

        Raises
        ------
        TypeError, ValueError
            If an array does not hold real numbers, or has another shape.
        """
        kind = _layers(self.depth, bool(self.bias))
        try:
            layers = kind(*layers, **named)
        except TypeError:
            given = [f"{len(layers)} arrays", *named]
            raise TypeError(f"pack takes {', '.join(kind._fields)}, got {' and '.join(given)}") from None
        fields = kind._fields
        arrays = [_validate.numbers_of(name, a) for name, a in zip(fields, layers, strict=True)]
        base = 1 if self.bias else 0  # whose leading axes count: a bias has no second axis to be mistaken about
        lead = arrays[base].shape[: arrays[base].ndim - len(self.shapes[base])]
        for name, array, shape in zip(fields, arrays, self.shapes, strict=True):
            if array.shape == (*lead, *shape):
                continue
            hint = ""
            if len(shape) == 2 and array.ndim >= 2 and array.shape[-2:] == shape[::-1]:
                hint = f"; torch keeps weights as (outputs, inputs): give {name}.T, or np.swapaxes({name}, -2, -1) of several"
            several = (
                f", leading axes as in {fields[base]}, {arrays[base].shape}" if lead or array.ndim > len(shape) else ""
            )
            raise ValueError(f"{name} must have shape {(*lead, *shape)}{several}, got {array.shape}{hint}")
        return np.concatenate([a.reshape(*lead, -1) for a in arrays], axis=-1)

    def forward(self, w: np.ndarray, x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """(inputs of the units, their values) of each layer, (..., n, units), of networks ``w`` (..., n_parameters) on ``x`` (n, n_inputs).

        The outputs, the last ones, are their own inputs.
        """
        layers, value, found = self.unpack(w), self._inputs(x), []
        for i in range(self.depth):
            z = self._sums(layers, i, value)
            with np.errstate(over="ignore", invalid="ignore"):
                value = z if i == self.depth - 1 else self.activate(z)
            found.append((z, value))
        return found

    def _inputs(self, x: np.ndarray) -> np.ndarray:
        x = _validate.numbers_of("x", x)
        if x.ndim < 2 or x.shape[-1] != self.n_inputs:
            raise ValueError(f"x must have shape (samples, {self.n_inputs}), got {x.shape}")
        return x

    @np.errstate(over="ignore", invalid="ignore")
    def _sums(self, layers: tuple[np.ndarray, ...], i: int, value: np.ndarray) -> np.ndarray:
        """What enters the units of layer ``i``, from the values of the one before."""
        group = 1 + bool(self.bias)
        z = value @ layers[i * group]
        if self.factors is not None:
            z *= self.factors[i]
        return z + layers[i * group + 1][..., None, :] if self.bias else z

    def hidden(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Activations (..., n, units) of the last hidden layer of networks ``w`` (..., n_parameters) on inputs ``x`` (n, n_inputs)."""
        layers, value = self.unpack(w), self._inputs(x)
        for i in range(self.depth - 1):
            with np.errstate(over="ignore", invalid="ignore"):
                value = self.activate(self._sums(layers, i, value))
        return value

    def outputs(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Outputs before the softmax, (..., n, n_outputs)."""
        return self._sums(self.unpack(w), self.depth - 1, self.hidden(w, x))

    def activate(self, z: np.ndarray) -> np.ndarray:
        """The activation of the hidden units, entry by entry."""
        return self.act.value(_validate.numbers_of("z", z), 0.0)

    def predict(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Predicted labels (..., n): the largest output, the first of equals."""
        return self.outputs(w, x).argmax(axis=-1)
