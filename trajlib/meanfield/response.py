"""The response kernel R(t, s) of the effective process, from path-wise derivatives along paths that are known already.

Nothing feeds back into the paths here, so the sampling noise of this kernel stays what it is. The derivatives are those of a
linear two-step method (Adams-Bashforth): for the method's own flow, memory included, they are exact, without quadrature.
"""

from __future__ import annotations

import numpy as np

from .model import Setting

__all__ = ["RESOLUTION", "response"]

PATHS = 256
"""Paths used of each half."""
NODES = 300
"""Nodes beyond which memory and time get out of hand."""
RESOLUTION = 0.3
"""Largest interval between nodes times the largest rate of the flow; 1 is the limit of stability."""


def response(
    model: Setting, nodes: list[tuple[float, np.ndarray]], weights: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """R at all pairs of ``times``, (n, n), from D = d theta / d xi of all paths at the nodes of their flow.

    h[k, l], the derivative of xi at node k by the field at node l, moves by f[k, l] = 1 if k = l, less delta (A D h)[k, l],
    with R = E[D h] and the memory A = (1 + R)^-1, all of them lower triangular.
    """
    if len(nodes) > NODES:
        raise ArithmeticError(
            f"the response would need {len(nodes)} nodes in time, more than {NODES}: ask for a shorter time, or for no response"
        )
    t = np.array([time for time, _ in nodes])
    weights, slope = _some(weights, np.stack([rates for _, rates in nodes]))
    m, paths = len(t), len(weights)
    step = np.diff(t)
    back = np.zeros(m - 1)
    back[1:] = 0.5 * step[1:] ** 2 / step[:-1]  # weight of the rate before the last; the first step is Euler's
    felt = np.append(step + back, step[-1])
    felt[:-2] -= back[1:]  # time integral of a field at one node, as the method sees it
    kernel, memory = np.zeros((m, m)), np.eye(m)
    moved = np.zeros((m, m * paths))  # D h; row k, then (kick, path)
    h, before, last = (np.zeros((m, paths)) for _ in range(3))
    for k in range(m):
        if k:
            h[:k] += (step[k - 1] + back[k - 1]) * last[:k] - back[k - 1] * before[:k]
            moved[k, : k * paths] = (h[:k] * slope[k]).ravel()
            kernel[k, :k] = (h[:k] * slope[k]) @ weights
            memory[k, :k] = -kernel[k, :k] @ memory[:k, :k]
        before, last = last, before
        if k:
            field = memory[k, : k + 1] @ moved[: k + 1, : k * paths]
            last[:k] = -model.aspect_ratio * field.reshape(k, paths)
        last[k] = 1.0
    density = kernel / felt
    if m > 2:  # Euler's step is less accurate: extrapolated
        density[2:, 0] = density[2:, 1] + (density[2:, 1] - density[2:, 2]) * step[0] / step[1]
    return _interpolated(t, density, slope @ weights, times)


def _some(weights: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some paths of each half, weighted to stand for all; the halves differ in weight, or there is one.

    Blocks in sequence, for only these are balanced: one of opposite noise too, where the paths are in pairs.
    """
    change = np.flatnonzero(np.diff(weights)) + 1
    picked, total = [], []
    for half in np.split(np.arange(len(weights)), change):
        block = min(PATHS, len(half)) // 2
        middle = len(half) // 2
        chosen = np.concatenate([half[:block], half[middle : middle + block]])
        picked.append(chosen)
        total.append(np.full(len(chosen), weights[half].sum() / len(chosen)))
    return np.concatenate(total), slope[:, np.concatenate(picked)]


def _interpolated(t: np.ndarray, density: np.ndarray, diagonal: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The kernel at other times, linear in the age t - s and along it. At age 0 it is E D; the first node after a kick feels
    a half of it too much, and is left out."""
    out = np.zeros((len(times), len(times)))
    for i, now in enumerate(times):
        k = int(np.clip(np.searchsorted(t, now) - 1, 0, len(t) - 2))
        share = (now - t[k]) / (t[k + 1] - t[k])
        ages = now - times[: i + 1]
        rows = []
        for row in (k, k + 1):
            age = np.append(0.0, (t[row] - t[: max(row - 1, 0)])[::-1])
            rows.append(np.interp(ages, age, np.append(diagonal[row], density[row, : max(row - 1, 0)][::-1])))
        out[i, : i + 1] = (1.0 - share) * rows[0] + share * rows[1]
    return out
