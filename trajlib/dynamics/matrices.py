"""Gradient and Hessian of a Perceptron's loss by matrix products, for training maps ``gd`` and weights w (n, p)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..models.cost import residual


def gradient(gd: Any, w: np.ndarray) -> np.ndarray:
    """Gradient by matrix products, (n, p): for networks beyond the fused engine."""
    net = gd.network
    layers, values = net.forward(w, gd.task.x), net.unpack(w)
    delta, group = residual(net.loss, layers[-1][1], gd.targets), 1 + bool(net.bias)
    sums: list[np.ndarray] = []
    for i in range(net.depth - 1, -1, -1):
        scaled = delta if net.factors is None else delta * net.factors[i]
        below = gd.task.x if i == 0 else layers[i - 1][1]
        sums[:0] = [below.swapaxes(-1, -2) @ scaled, delta.sum(-2)][:group]
        if i:
            slope, _ = net.act.derivatives(*layers[i - 1])
            delta = (scaled @ values[i * group].swapaxes(-1, -2)) * slope
    return net.pack(*sums) / gd.divisor + gd.problem.decay * w


def hessian(gd: Any, w: np.ndarray) -> np.ndarray:
    """Hessian (n, p, p) of a network with one hidden layer, biases, and an activation whose derivatives are told from its value."""
    net, x, n = gd.network, gd.task.x, len(gd.task.x)
    d, h, c = net.n_inputs, net.n_hidden, net.n_outputs
    hidden, outputs = net.hidden(w, x), net.outputs(w, x)
    delta, W2 = residual(net.loss, outputs, gd.targets), net.unpack(w).W2
    slope = net.act.slope(hidden, 0.0)
    curvature = slope * net.act.bend(hidden, 0.0)
    x1 = np.concatenate([x, np.ones((n, 1))], axis=1)
    h1 = np.concatenate([hidden, np.ones((len(w), n, 1))], axis=2)
    cut = (d + 1) * h
    # da_k / dw for every sample: (networks, samples, outputs, p)
    jacobian = np.zeros((len(w), n, c, net.n_parameters))
    by_unit = slope[:, :, None, :] * W2.swapaxes(1, 2)[:, None]
    jacobian[..., :cut] = (x1[None, :, None, :, None] * by_unit[:, :, :, None, :]).reshape(len(w), n, c, cut)
    upper = jacobian[..., cut:].reshape(len(w), n, c, h + 1, c)
    for k in range(c):
        upper[:, :, k, :, k] = h1
    jacobian[..., cut:] = upper.reshape(len(w), n, c, -1)
    weighted = jacobian
    if net.loss == "cross_entropy":  # times diag(q) - q q^T
        q = delta + gd.targets
        weighted = q[..., None] * (jacobian - np.einsum("ank,ankp->anp", q, jacobian)[:, :, None])
    flat = (len(w), n * c, net.n_parameters)
    hessian = jacobian.reshape(flat).swapaxes(1, 2) @ weighted.reshape(flat)
    # sum_k delta_k d2 a_k: (W1, b1) x (W1, b1) of the same unit, and (W1, b1)_j x W2_j
    bend = (delta @ W2.swapaxes(-1, -2)) * curvature
    lower = hessian[:, :cut, :cut].reshape(len(w), d + 1, h, d + 1, h)
    same_unit = np.einsum("anj,ni,nl->ailj", bend, x1, x1, optimize=True)
    mixed = np.einsum("ank,anj,ni->aijk", delta, slope, x1, optimize=True)
    cross = np.zeros((len(w), d + 1, h, h + 1, c))
    for j in range(h):
        lower[:, :, j, :, j] += same_unit[:, :, :, j]
        cross[:, :, j, j, :] = mixed[:, :, j]
    hessian[:, :cut, :cut] = lower.reshape(len(w), cut, cut)
    corner = cross.reshape(len(w), cut, -1)
    hessian[:, :cut, cut:] += corner
    hessian[:, cut:, :cut] += corner.swapaxes(1, 2)
    hessian = 0.5 * (hessian + hessian.swapaxes(1, 2)) / gd.divisor
    return hessian + gd.problem.decay * np.eye(net.n_parameters)
