"""The symmetry of the softmax, and what is left of a spectrum without it.

The softmax does not change when one number is added to all its inputs. So neither does the loss when one number is added to all output
biases, or to all weights that leave one unit of the last hidden layer. Along these directions the gradient vanishes, and every Hessian is
zero, whatever the data: as many multipliers of gradient descent are one (1 - lr * weight_decay with weight decay), always. A 4-10-3
network has 11 of them among 83. The rest of the spectrum, in the directions transverse to these, is what training decides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _validate
from ..models.perceptron import Perceptron

__all__ = ["shift_directions", "transverse", "transverse_basis"]


def _groups(network: Any) -> np.ndarray:
    """Indices (k, outputs) of the parameters that a shift moves together: those that leave one unit, or the output biases."""
    if not isinstance(network, Perceptron):
        raise TypeError(f"network must be a Perceptron, got {type(network).__name__}")
    first = network.n_parameters - (network.widths[-2] + bool(network.bias)) * network.n_outputs
    if network.loss != "cross_entropy":
        return np.empty((0, network.n_outputs), dtype=int)
    return np.arange(first, network.n_parameters).reshape(-1, network.n_outputs)


def shift_directions(network: Perceptron) -> np.ndarray:
    """Directions in which the loss never changes, because the softmax is invariant under a shift of its inputs.

    Parameters
    ----------
    network : Perceptron
        Of any depth and activation. With a loss that has no softmax there are none.

    Returns
    -------
    ndarray (k, n_parameters)
        Orthonormal; one for each unit of the last hidden layer and one for the output biases: 11 of a 4-10-3 network.

    Raises
    ------
    TypeError
        If it is no Perceptron.

    Examples
    --------
    >>> import trajlib as tl
    >>> shift_directions(tl.Perceptron(4, 10, 3)).shape
    (11, 83)
    """
    groups = _groups(network)
    shifts = np.zeros((len(groups), network.n_parameters))
    np.put_along_axis(shifts, groups, 1.0 / np.sqrt(network.n_outputs), axis=1)
    return shifts


def transverse_basis(network: Perceptron) -> np.ndarray:
    """An orthonormal basis of all directions that are orthogonal to :func:`shift_directions`.

    Parameters
    ----------
    network : Perceptron
        As there.

    Returns
    -------
    ndarray (n_parameters, n_parameters - k)
        Columns; the same, entry by entry, on every machine.

    Examples
    --------
    >>> import trajlib as tl
    >>> transverse_basis(tl.Perceptron(4, 10, 3)).shape
    (83, 72)
    """
    groups, p = _groups(network), network.n_parameters
    free = np.setdiff1d(np.arange(p), groups)
    basis = np.zeros((p, p - len(groups)))
    basis[free, np.arange(len(free))] = 1.0
    for j in range(1, network.n_outputs if len(groups) else 0):  # Helmert's contrasts within each group
        contrast = np.append(np.ones(j), -float(j)) / np.sqrt(j * (j + 1.0))
        columns = len(free) + (j - 1) * len(groups) + np.arange(len(groups))
        basis[groups[:, : j + 1], columns[:, None]] = contrast
    return basis


def transverse(network: Perceptron, matrix: np.ndarray) -> np.ndarray:
    """A Hessian, or a Jacobian of gradient descent, restricted to the directions transverse to the softmax's symmetry.

    Both map these directions to themselves, so that the eigenvalues of the result, and those along the shifts (0 of a Hessian, 1 of a
    Jacobian), are all eigenvalues that there are.

    Parameters
    ----------
    network : Perceptron
        Whose loss it is.
    matrix : ndarray (..., n_parameters, n_parameters), float64
        As ``gd.hessian(w)`` or ``gd.jacobian(w)`` gives it.

    Returns
    -------
    ndarray (..., n_parameters - k, n_parameters - k)

    Raises
    ------
    TypeError, ValueError
        If it is no Perceptron, or the matrix has another shape or type.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=0.01)
    >>> transverse(gd.network, gd.jacobian(gd.network.init(5, seed=0))).shape
    (5, 72, 72)
    """
    basis, matrix = transverse_basis(network), _validate.float64("matrix", matrix)
    p = network.n_parameters
    if matrix.shape[-2:] != (p, p):
        raise ValueError(f"matrix must have shape (..., {p}, {p}), got {matrix.shape}")
    return basis.T @ matrix @ basis
