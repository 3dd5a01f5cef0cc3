"""The network: a perceptron with one hidden layer, described by its sizes; its weights travel as flat vectors.

A weight vector is W1, b1, W2, b2 one after the other, each in C order, with W1 (inputs, hidden) and W2 (hidden, outputs):
hidden = activation(x @ W1 + b1), output = hidden @ W2 + b2. Every function broadcasts over leading axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .. import _validate
from .activations import ACTIVATIONS, Activation
from .cost import COSTS

__all__ = ["Layers", "Perceptron"]


class Layers(NamedTuple):
    """A weight vector taken apart: W1 (..., inputs, hidden), b1 (..., hidden), W2 (..., hidden, outputs), b2 (..., outputs)."""

    W1: np.ndarray
    b1: np.ndarray
    W2: np.ndarray
    b2: np.ndarray


@dataclass(frozen=True)
class Perceptron:
    """A network with one hidden layer.

    Parameters
    ----------
    n_inputs, n_hidden, n_outputs : int
        Sizes, at least 1.
    activation : {"sigmoid", "tanh", "relu"}
        Of the hidden units.
    loss : {"cross_entropy", "half_squared_error"}
        ``cross_entropy``: softmax on the outputs, mean over the samples of -ln(probability of the label).
        ``half_squared_error``: linear outputs a, sum over the samples of \\|a - y\\|\\ :sup:`2` / 2; labels become one-hot targets
        where there are several outputs.

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
    """

    n_inputs: int
    n_hidden: int
    n_outputs: int
    activation: str = "sigmoid"
    loss: str = "cross_entropy"

    def __post_init__(self):
        for name in ("n_inputs", "n_hidden", "n_outputs"):
            object.__setattr__(self, name, _validate.count(name, getattr(self, name), 1))
        _validate.choice("activation", self.activation, ACTIVATIONS)
        _validate.choice("loss", self.loss, COSTS)
        if self.loss == "cross_entropy" and self.n_outputs < 2:
            raise ValueError(
                "cross_entropy needs at least 2 outputs (one a class), got 1; use loss='half_squared_error'"
            )

    @property
    def act(self) -> Activation:
        """The activation's entry in the table: value, slope, bend."""
        return ACTIVATIONS[self.activation]

    @property
    def n_parameters(self) -> int:
        """Length of the flat weight vector."""
        return (self.n_inputs + 1) * self.n_hidden + (self.n_hidden + 1) * self.n_outputs

    @property
    def _boundaries(self) -> tuple[int, int, int]:
        first = self.n_inputs * self.n_hidden
        second = first + self.n_hidden
        return first, second, second + self.n_hidden * self.n_outputs

    @property
    def is_weight(self) -> np.ndarray:
        """(n_parameters,) bool: True for entries of W1 and W2, False for biases."""
        first, second, third = self._boundaries
        mask = np.ones(self.n_parameters, dtype=bool)
        mask[first:second] = False
        mask[third:] = False
        return mask

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """("W1[0,0]", "W1[0,1]", ..., "b1[0]", ..., "W2[0,0]", ..., "b2[0]", ...)."""
        d, h, c = self.n_inputs, self.n_hidden, self.n_outputs
        return (
            *(f"W1[{i},{j}]" for i in range(d) for j in range(h)),
            *(f"b1[{j}]" for j in range(h)),
            *(f"W2[{j},{k}]" for j in range(h) for k in range(c)),
            *(f"b2[{k}]" for k in range(c)),
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
            w[:, is_weight] = rng.standard_normal((n, n_weights))
        else:
            w[:, is_weight] = rng.uniform(-1.0, 1.0, (n, n_weights))
            layers = self.unpack(w)
            layers.W1[...] *= np.sqrt(6.0 / (self.n_inputs + self.n_hidden))
            layers.W2[...] *= np.sqrt(6.0 / (self.n_hidden + self.n_outputs))
        return w

    def unpack(self, w: np.ndarray) -> Layers:
        """Views W1, b1, W2, b2 of flat weight vectors (..., n_parameters).

        Raises
        ------
        TypeError, ValueError
            If ``w`` is not float64 or its last axis has another length.
        """
        w = _validate.weights(w, self.n_parameters)
        first, second, third = self._boundaries
        lead = w.shape[:-1]
        return Layers(
            w[..., :first].reshape(*lead, self.n_inputs, self.n_hidden),
            w[..., first:second],
            w[..., second:third].reshape(*lead, self.n_hidden, self.n_outputs),
            w[..., third:],
        )

    def pack(self, W1: np.ndarray, b1: np.ndarray, W2: np.ndarray, b2: np.ndarray) -> np.ndarray:
        """The inverse of ``unpack``: flat weight vectors (..., n_parameters) from the four arrays.

        ``torch.nn.Linear`` keeps its weight as (outputs, inputs): give ``linear.weight.detach().numpy().T``. A square layer looks the
        same either way, so no error can tell you there.

        Parameters
        ----------
        W1, b1, W2, b2 : ndarray
            Shapes as in :class:`Layers`, all with the same leading axes; of any kind of real numbers, which become float64.

        Raises
        ------
        TypeError, ValueError
            If an array does not hold real numbers, or has another shape.
        """
        d, h, c = self.n_inputs, self.n_hidden, self.n_outputs
        arrays = [_validate.numbers_of(name, a) for name, a in zip(Layers._fields, (W1, b1, W2, b2), strict=True)]
        own = [(d, h), (h,), (h, c), (c,)]
        lead = arrays[1].shape[:-1]
        for name, array, shape in zip(Layers._fields, arrays, own, strict=True):
            if array.shape == (*lead, *shape):
                continue
            hint = ""
            if len(shape) == 2 and array.ndim >= 2 and array.shape[-2:] == shape[::-1]:
                hint = f"; torch keeps weights as (outputs, inputs): give {name}.T, or np.swapaxes({name}, -2, -1) of several"
            several = (
                f", leading axes as in b1, {arrays[1].shape}" if arrays[1].ndim > 1 or array.ndim > len(shape) else ""
            )
            raise ValueError(f"{name} must have shape {(*lead, *shape)}{several}, got {array.shape}{hint}")
        return np.concatenate([a.reshape(*lead, -1) for a in arrays], axis=-1)

    def hidden(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Hidden activations (..., n, n_hidden) of networks ``w`` (..., n_parameters) on inputs ``x`` (n, n_inputs)."""
        W1, b1, _, _ = self.unpack(w)
        x = _validate.numbers_of("x", x)
        if x.ndim < 2 or x.shape[-1] != self.n_inputs:
            raise ValueError(f"x must have shape (samples, {self.n_inputs}), got {x.shape}")
        with np.errstate(over="ignore", invalid="ignore"):
            return self.activate(x @ W1 + b1[..., None, :])

    def activate(self, z: np.ndarray) -> np.ndarray:
        """The activation of the hidden units, entry by entry."""
        return self.act.value(_validate.numbers_of("z", z), 0.0)

    def outputs(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Outputs before the softmax, (..., n, n_outputs)."""
        _, _, W2, b2 = self.unpack(w)
        with np.errstate(over="ignore", invalid="ignore"):
            return self.hidden(w, x) @ W2 + b2[..., None, :]

    def predict(self, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Predicted labels (..., n): the largest output, the first of equals."""
        return self.outputs(w, x).argmax(axis=-1)
