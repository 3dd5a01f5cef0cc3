"""What grows because of negative curvature: the tangent map of gradient descent with one sign of the curvature taken out.

Between moments that lie close together the Hessian is taken to be constant, H = sum_i h_i u_i u_i^T, so that k steps multiply the
component along u_i by (1 - lr h_i)^k. A sign is taken out by setting the h_i that have it to zero.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .. import _validate
from ..ensembles import train

__all__ = ["growth_by_sign"]


def growth_by_sign(
    gd, w0: np.ndarray, vectors: np.ndarray, times: np.ndarray, *, progress: bool | None = None
) -> dict[str, np.ndarray]:
    """L1 norms of tangent vectors along training, under all of the curvature and under each sign of it alone.

    Parameters
    ----------
    gd : GradientDescent
        Plain gradient descent at one constant learning rate, with a Hessian.
    w0 : ndarray (n, p), float64
        Initial conditions.
    vectors : ndarray (n, k, p), float64
        Tangent vectors there.
    times : ndarray (r,), int
        Increasing steps from 0 on. The Hessian between two of them is taken to be that at the middle one of their steps.
    progress
        As in :func:`~trajlib.ensembles.train`.

    Returns
    -------
    dict of str to ndarray (n, k, r)
        "both", "positive" (negative curvature set to zero) and "negative". That "both" agrees with
        :func:`~trajlib.stability.tangent` tells whether the times are dense enough.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    """
    times = np.asarray(times)
    if times.ndim != 1 or len(times) < 2 or times[0] != 0 or (np.diff(times) < 1).any():
        raise ValueError(f"times must be increasing steps that begin with 0, got {_validate.shown(times)}")
    if gd.n_state != gd.network.n_parameters or not isinstance(gd.lr, float):
        raise ValueError("growth_by_sign needs gradient descent without momentum, at one constant learning rate")
    moved = {sign: np.array(vectors, dtype=float) for sign in ("both", "positive", "negative")}
    norms = {sign: [np.abs(v).sum(-1)] for sign, v in moved.items()}
    w, at = w0, 0
    for start, stop in pairwise(times):
        middle = int(start + (stop - start) // 2)
        w, at = train(gd, w, middle - at, record=(), progress=progress).final, middle
        values, axes = np.linalg.eigh(gd.hessian(w))
        for sign, h in (("both", values), ("positive", np.maximum(values, 0)), ("negative", np.minimum(values, 0))):
            factor = (1.0 - gd.lr * h) ** int(stop - start)
            moved[sign] = ((moved[sign] @ axes) * factor[:, None]) @ axes.swapaxes(-1, -2)
            norms[sign].append(np.abs(moved[sign]).sum(-1))
    return {sign: np.stack(n, axis=-1) for sign, n in norms.items()}
