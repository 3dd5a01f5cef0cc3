"""The response kernel R(t, s) of the effective process, from path-wise derivatives along paths that are known already.

Nothing feeds back into the paths here, so the sampling noise of this kernel stays what it is. A trapezoidal rule in time.
"""

from __future__ import annotations

import numpy as np

from .model import Setting

__all__ = ["response"]

PATHS = 256
"""Paths used of each half, the first ones: they are a balanced set themselves."""
NODES = 120
"""Nodes of the flow that are used, at most: a trapezoidal rule is more accurate than the sampling well before."""
CORRECTIONS = 3
"""Passes at each time, for the kernel at that time appears on both sides."""


def response(
    model: Setting, nodes: list[tuple[float, np.ndarray]], weights: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """R at all pairs of ``times``, (n, n), from D = d theta / d xi of all paths at the nodes of their flow.

    With phi(t, s) = D_t h(t, s): d h / dt = -delta (phi - K phi), h(s, s) = 1, R = E phi and K = R - R K as Volterra operators.
    """
    every = -(-len(nodes) // NODES)
    nodes = [*nodes[:-1:every], nodes[-1]]
    t = np.array([time for time, _ in nodes])
    weights, slope = _some(weights, np.stack([rates for _, rates in nodes]))
    delta, m = model.aspect_ratio, len(t)
    step = np.diff(t)
    h = np.zeros((m, m, len(weights)))  # h[k, l] for a kick at node l
    phi = np.zeros_like(h)
    kernel, memory = np.zeros((m, m)), np.zeros((m, m))  # R and K
    rate = np.zeros((m, len(weights)))  # d h / dt at the last node
    for k in range(m):
        trapezoid = np.zeros(k + 1)
        trapezoid[:k] += 0.5 * step[:k]
        trapezoid[1:] += 0.5 * step[:k]
        kernel[k, k] = memory[k, k] = weights @ slope[k]
        h[k, k] = 1.0
        phi[k, k] = slope[k]
        if k:
            kernel[k, :k], memory[k, :k] = kernel[k - 1, :k], memory[k - 1, :k]
            base = h[k - 1, :k] + 0.5 * step[k - 1] * rate[:k]
            for _ in range(CORRECTIONS):
                past = _integral(memory[k], phi, trapezoid, step, k)  # of K phi, less its part at t itself
                implicit = 0.5 * step[k - 1] * delta * (1.0 - 0.5 * step[k - 1] * memory[k, k]) * slope[k]
                h[k, :k] = (base + 0.5 * step[k - 1] * delta * past) / (1.0 + implicit)
                phi[k, :k] = slope[k] * h[k, :k]
                kernel[k, :k] = phi[k, :k] @ weights
                memory[k, :k] = _resolvent(kernel, memory, trapezoid, step, k)
        past = _integral(memory[k], phi, trapezoid, step, k) if k else np.zeros((0, len(weights)))
        last = 0.5 * step[k - 1] * memory[k, k] if k else 0.0
        rate[:k] = -delta * ((1.0 - last) * phi[k, :k] - past)
        rate[k] = -delta * slope[k]
    return _interpolated(t, kernel, times)


def _some(weights: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first paths of each half, weighted to stand for all; the halves differ in weight, or there is one."""
    starts = [0] + [int(i) + 1 for i in np.flatnonzero(np.diff(weights))]
    if len(weights) == starts[-1] or len(starts) > 2:
        starts = [0]
    stops = [*starts[1:], len(weights)]
    picked, total = [], []
    for start, stop in zip(starts, stops, strict=True):
        every = max(1, (stop - start) // PATHS)
        chosen = np.arange(start, stop, every)
        picked.append(chosen)
        total.append(np.full(len(chosen), weights[start:stop].sum() / len(chosen)))
    return np.concatenate(total), slope[:, np.concatenate(picked)]


def _integral(memory, phi, trapezoid, step, k):
    """Integral from s to t of K(t, m) phi(m, s) over m, without the end m = t, for kicks at all earlier nodes: (k, paths)."""
    weighted = memory[:k] * trapezoid[:k]
    whole = np.tensordot(weighted, phi[:k, :k], axes=(0, 0))
    first = np.zeros(k)  # at m = s the rule begins: half a step less for every kick but the first
    first[1:] = 0.5 * step[: k - 1]
    diagonal = phi[np.arange(k), np.arange(k)]
    return whole - (first * memory[:k])[:, None] * diagonal


def _resolvent(kernel, memory, trapezoid, step, k):
    """K(t, s) = R(t, s) - integral of R(t, m) K(m, s) over m from s to t, for the last t: (k,)."""
    first = np.zeros(k)
    first[1:] = 0.5 * step[: k - 1]
    inner = (kernel[k, :k] * trapezoid[:k]) @ memory[:k, :k] - first * kernel[k, :k] * np.diagonal(memory)[:k]
    last = 0.5 * step[k - 1] * kernel[k, k]
    return (kernel[k, :k] - inner) / (1.0 + last)


def _interpolated(t: np.ndarray, kernel: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The kernel at other times, linear in the age t - s and along it, so that its jump at t = s stays sharp."""
    out = np.zeros((len(times), len(times)))
    for i, now in enumerate(times):
        k = int(np.clip(np.searchsorted(t, now) - 1, 0, len(t) - 2))
        share = (now - t[k]) / (t[k + 1] - t[k])
        ages = now - times[: i + 1]
        rows = []
        for row in (k, k + 1):
            age = (t[row] - t[: row + 1])[::-1]
            rows.append(np.interp(ages, age, kernel[row, : row + 1][::-1]))
        out[i, : i + 1] = (1.0 - share) * rows[0] + share * rows[1]
    return out
