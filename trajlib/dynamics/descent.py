"""Training as a map z -> g(z, t) of weights and of what the optimiser remembers: gradient descent, Adam and RMSProp, on all samples or
on minibatches, with loss, gradient, Hessian and tangent map; of perceptrons, and of any torch.nn.Module (``module.py``).

Everything is batched over the leading axes. For perceptrons of the fused engine's size, the map, the loss and the gradient are the engine's
own, so that iterating ``gd(w)`` by hand gives the bits that ``train`` gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .. import _validate
from ..optimisers import rules
from .optimiser import Training as Training
from .training import TrainingMap as TrainingMap

__all__ = ["Adam", "AdamW", "GradientDescent", "RMSProp"]


@dataclass(frozen=True, eq=False)
class GradientDescent(Training):
    """Gradient descent, w(t+1) = w(t) - lr * grad L(w(t)), as a map on flat weight vectors; with momentum, on weights and velocities.

    torch.optim.SGD's conventions: v' = momentum * v + grad, w' = w - lr * v', or w - lr * (grad + momentum * v') with ``nesterov``.

    Parameters
    ----------
    network : Perceptron or torch.nn.Module
        The architecture and its loss. A module is copied as it is and computed in float64, in training mode if that is its mode; what
        happens to its buffers, batch normalisation and dropout is told in :class:`~trajlib.dynamics.module.ModuleLoss`. Its weights are
        ``flatten(module)``, and ``unflatten`` gives a state_dict.
    task : Task, tuple or object
        What it learns. A module also takes tensors (x, y) or (x, y, x_test, y_test), or a torch Dataset or DataLoader, which is read once
        into tensors: the order of the samples is that of ``batch_seed``, and neither a DataLoader's shuffling nor its batches are used.
    lr : float, ndarray, Schedule or tuple
        Learning rate, positive. An array must broadcast against the leading axes of the weights: one rate a network. A schedule of
        ``trajlib.schedules`` gives one a step. A tuple has one of these for each layer.
    weight_decay : float
        Coefficient of the penalty (weight_decay / 2) \\|w\\|\\ :sup:`2` over all parameters, part of the loss; >= 0.
    decoupled_weight_decay : bool
        Whether the decay multiplies the weights by 1 - lr * weight_decay before each step in place of being part of the loss.
    momentum : float
        From 0 to below 1.
    nesterov : bool
        Whether the momentum is Nesterov's.
    batch_size : int, optional
        Samples that a step takes; all of them if None. Their order is told by ``batch_seed`` and the step's number alone.
    batch_seed : int
        Of the order.
    replacement : bool
        Whether each sample of a batch is drawn from all; else an epoch takes each once.
    loss : callable, optional
        For a module: ``loss(output, target)``, one number, a mean or a sum as it may be. By default cross entropy where the targets are
        integers, else the mean squared error. (It is kept as ``loss_function``.)
    device : str, optional
        For a module: the torch device, such as ``"cuda"``; by default where the module is.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range, or the network does not fit the task.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0)
    >>> w = gd.network.init(2, seed=0)
    >>> gd(w).shape, gd.loss(w).shape, gd.hessian(w).shape
    ((2, 83), (2,), (2, 83, 83))
    >>> heavy = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=0.1, momentum=0.9, batch_size=32)
    >>> heavy.n_state, heavy(w).shape
    (166, (2, 166))
    """

    momentum: float = 0.0
    nesterov: bool = False

    def _rule(self) -> rules.Rule:
        momentum = _validate.share("momentum", self.momentum)
        if _validate.flag("nesterov", self.nesterov) and momentum == 0:
            raise ValueError(f"nesterov=True needs a momentum above 0, got momentum={_validate.shown(self.momentum)}")
        return rules.Rule.gradient_descent(momentum, self.nesterov, self.weight_decay, self.decoupled_weight_decay)


@dataclass(frozen=True, eq=False)
class Adam(Training):
    """Adam, with torch.optim.Adam's conventions: m' = b1 m + (1 - b1) grad, u'\\ :sup:`2` = b2 u\\ :sup:`2` + (1 - b2) grad\\ :sup:`2`,
    w' = w - lr / (1 - b1\\ :sup:`t`) * m' / (u' / sqrt(1 - b2\\ :sup:`t`) + eps).

    A state is (w, m, u). u is the root of torch's second moment: no perturbation makes that negative. Where the gradient vanishes, m
    decays by b1 a step and u by sqrt(b2).

    Parameters
    ----------
    network, task, weight_decay, decoupled_weight_decay, batch_size, batch_seed, replacement, loss, device
        As in :class:`GradientDescent`. Coupled decay adds weight_decay * w to the gradient.
    lr : float, ndarray, Schedule or tuple
        As there.
    betas : (float, float)
        b1 and b2, from 0 to below 1.
    eps : float
        Added to the root; positive.

    References
    ----------
    D. P. Kingma, J. Ba, arXiv 1412.6980.
    """

    lr: Any = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def _rule(self) -> rules.Rule:
        if not isinstance(self.betas, tuple | list) or len(self.betas) != 2:
            raise TypeError(f"betas must be a pair of numbers such as (0.9, 0.999), got {_validate.shown(self.betas)}")
        self._set("betas", tuple(_validate.share("betas", beta) for beta in self.betas))
        eps = _validate.positive("eps", self.eps)
        return rules.Rule.adam(self.betas, eps, self.weight_decay, self.decoupled_weight_decay)


@dataclass(frozen=True, eq=False)
class AdamW(Adam):
    """:class:`Adam` with decoupled weight decay, with torch.optim.AdamW's default.

    References
    ----------
    I. Loshchilov, F. Hutter, arXiv 1711.05101.
    """

    weight_decay: float = 1e-2
    decoupled_weight_decay: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, eq=False)
class RMSProp(Training):
    """RMSProp, with torch.optim.RMSprop's conventions: u'\\ :sup:`2` = alpha u\\ :sup:`2` + (1 - alpha) grad\\ :sup:`2`,
    w' = w - lr * grad / (u' + eps); with momentum, b' = momentum * b + grad / (u' + eps) and w' = w - lr * b'.

    A state is (w, u), or (w, u, b) with momentum; u is the root of torch's square average.

    Parameters
    ----------
    network, task, weight_decay, decoupled_weight_decay, batch_size, batch_seed, replacement, loss, device
        As in :class:`GradientDescent`. Coupled decay adds weight_decay * w to the gradient.
    lr : float, ndarray, Schedule or tuple
        As there.
    alpha : float
        From 0 to below 1.
    eps : float
        Added to the root; positive.
    momentum : float
        From 0 to below 1.

    References
    ----------
    T. Tieleman, G. Hinton, lecture 6.5 of Neural Networks for Machine Learning (2012).
    """

    lr: Any = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0

    def _rule(self) -> rules.Rule:
        alpha, momentum = _validate.share("alpha", self.alpha), _validate.share("momentum", self.momentum)
        eps = _validate.positive("eps", self.eps)
        return rules.Rule.rmsprop(alpha, eps, momentum, self.weight_decay, self.decoupled_weight_decay)
