"""What a picture shows: the learning rates of its pixels, and the draw of data and weights that all pixels share.

After ten decades of zoom every bit counts, so the rates are made of + - * / alone, in the order written here, with the fused engine's own
exponential: NumPy's power has other last digits on other machines. The laboratory in the page does the same.
"""

from __future__ import annotations

import numpy as np

from .. import _validate
from .._normal import standard_normal
from ..models.perceptron import Perceptron

__all__ = ["LN10", "draw", "power_of_ten", "rates"]

LN10 = 2.302585092994046


def power_of_ten(x) -> np.ndarray:
    """10\\ :sup:`x`, exp(x ln 10) by the fused engine's exponential: the same bits on every machine.

    Parameters
    ----------
    x : float or ndarray (...)
        Decades, from -307 to 307.

    Returns
    -------
    ndarray (...)

    Raises
    ------
    TypeError, ValueError
        If ``x`` does not hold such numbers.

    Examples
    --------
    >>> power_of_ten([-1.0, 0.0, 2.0]).round(12)
    array([  0.1,   1. , 100. ])
    """
    scale, p = _reduced(_decades("x", x) * LN10)
    return scale * (p + 1.0)


def rates(centre: float, width: float, n: int) -> np.ndarray:
    """The learning rates along one axis of a picture, spaced evenly in their logarithm around 10\\ :sup:`centre`.

    Pixel i is R + R expm1(d_i ln 10) with R = 10\\ :sup:`centre` and d_i = (i - (n - 1) / 2) (width / n) decades: neighbours differ as
    long as width / n is above 1e-16.

    Parameters
    ----------
    centre : float
        log10 of the rate in the middle.
    width : float
        Decades from the first pixel's outer edge to the last one's; positive.
    n : int
        Pixels.

    Returns
    -------
    ndarray (n,)

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Examples
    --------
    >>> np.log10(rates(0.0, 4.0, 4)).round(4)
    array([-1.5, -0.5,  0.5,  1.5])
    """
    centre, width, n = _validate.real("centre", centre), _validate.positive("width", width), _validate.count("n", n, 1)
    _validate.fit_in_memory(f"{n} rates", n, "take fewer")
    _decades("centre and width", np.array([centre - width, centre + width]))
    middle = power_of_ten(centre)
    scale, p = _reduced(((np.arange(n) - 0.5 * (n - 1)) * (width / n)) * LN10)
    return middle + middle * (scale * p + (scale - 1.0))


def draw(network: Perceptron, seed: int = 0, samples: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, targets and initial weights from N(0, 1), as one generator of the seed gives them in this order.

    Parameters
    ----------
    network : Perceptron
        With one output.
    seed : int
        Of numpy's PCG64.
    samples : int, optional
        As many as parameters by default.

    Returns
    -------
    x (samples, inputs), y (samples,), w0 (n_parameters,) : ndarray
        Biases, where there are some, are zero.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or the network has several outputs.

    Examples
    --------
    >>> from trajlib.models import Perceptron
    >>> net = Perceptron(8, 8, 1, activation="tanh", loss="mean_squared_error", bias=False, scale="mean_field")
    >>> [array.shape for array in draw(net)]
    [(72, 8), (72,), (72,)]
    """
    if not isinstance(network, Perceptron):
        raise TypeError(f"network must be a Perceptron, got {type(network).__name__}")
    if network.n_outputs != 1:
        raise ValueError(f"network must have one output, got {network.n_outputs}")
    count = network.n_parameters if samples is None else _validate.count("samples", samples, 1)
    rng = np.random.Generator(np.random.PCG64(_validate.count("seed", seed)))
    x, y = standard_normal(rng, (count, network.n_inputs)), standard_normal(rng, count)
    w0 = np.zeros(network.n_parameters)
    w0[network.is_weight] = standard_normal(rng, int(network.is_weight.sum()))
    return x, y, w0


def _decades(name: str, x) -> np.ndarray:
    x = _validate.finite(name, _validate.numbers_of(name, x))
    if (np.abs(x) > 307).any():
        raise ValueError(
            f"{name} must lie between 1e-307 and 1e307, decades from -307 to 307, got {_validate.shown(x)}"
        )
    return x


def _reduced(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2^k and exp(r) - 1 with x = k ln 2 + r, in the operation order of ``engines.fused.elementary``."""
    from ..engines.fused import elementary as el

    k = (x * el.INVERSE_LN2 + el.ROUNDER) - el.ROUNDER
    r = (x - k * el.LN2_HIGH) - k * el.LN2_LOW
    return np.ldexp(1.0, k.astype(np.int64)), el.polynomial.py_func(r)
