"""One training run, looked at in every way of the book: exponents, curvature, copies, embedding. For any training map."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _validate
from ..embedding import scalar_embedding
from ..ensembles import diverge, train
from ..results import Result
from ..stability.lyapunov import lyapunov_spectrum
from ..stability.sharpness import sharpness

__all__ = ["Portrait", "portrait"]


@dataclass(frozen=True, eq=False)
class Portrait(
    Result,
    axes={
        "step": "loss",
        "moment": "ratio",
        "copy step": "distance",
        "vector": "exponents standard_error",
        "": "converged",
        "vector block": "growth",
        "moment coordinate": "embedded",
    },
    labels={"step": "times", "moment": "moments", "block": "blocks"},
):
    """What :func:`portrait` returns. r steps, m moments, c copies, k vectors, b blocks.

    Attributes
    ----------
    times : ndarray (r,), int
        Every step from 0 on.
    loss : ndarray (r,)
    moments : ndarray (m,), int
        Steps at which curvature and weights are looked at.
    ratio : ndarray (m,)
        Sharpness, for Adam and RMSProp the preconditioned one, over the limit of stability: 1 is the edge. nan where the learning rate is
        no constant, at the start of rules with a memory to divide by, and where the run has left the range of float64.
    distance : ndarray (c, r)
        L1 distance of copies in the weights.
    exponents, standard_error : ndarray (k,)
        Per step, over the whole run; ``converged`` says whether they are those of a motion that has settled, which training seldom is.
    converged : bool
    blocks : ndarray (b,), int
        Steps at the ends of the blocks.
    growth : ndarray (k, b)
        Mean growth rate in each block, per step.
    embedded : ndarray (m, 2)
        The moments in two coordinates; the second is 0 where the run lies in a line, both are nan where it does not move.
    """

    times: np.ndarray = field(repr=False)
    loss: np.ndarray = field(repr=False)
    moments: np.ndarray = field(repr=False)
    ratio: np.ndarray = field(repr=False)
    distance: np.ndarray = field(repr=False)
    exponents: np.ndarray
    standard_error: np.ndarray = field(repr=False)
    converged: bool
    blocks: np.ndarray = field(repr=False)
    growth: np.ndarray = field(repr=False)
    embedded: np.ndarray = field(repr=False)


def portrait(
    gd: Any, w0: np.ndarray, steps: int, *, k: int = 3, copies: int = 5, radius: float = 1e-8, moments: int = 40, seed: int = 0
) -> Portrait:  # fmt: skip
    """Train one network, and give its loss, sharpness, divergence of copies, exponents and embedding.

    Parameters
    ----------
    gd : GradientDescent, Adam, RMSProp
        The training map, of a module or a perceptron.
    w0 : ndarray (P,) or (1, P)
        Initial weights, such as ``gd.flatten(module)``.
    steps : int
        At least 20.
    k, copies : int
        Exponents, and copies.
    radius : float
        Largest change of each weight in the copies.
    moments : int
        How many times curvature and weights are looked at, evenly spaced.
    seed : int
        Of copies and of the vectors.

    Returns
    -------
    Portrait

    Raises
    ------
    ValueError
        If there is more than one network, or its loss is not finite to begin with.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=0.25)
    >>> found = portrait(gd, gd.network.init(1, seed=0), 100)
    >>> found.loss.shape, found.distance.shape, found.growth.shape, found.embedded.shape
    ((101,), (5, 101), (3, 20), (40, 2))
    """
    steps, moments = _validate.count("steps", steps, 20), _validate.count("moments", moments, 3)
    w0 = np.atleast_2d(w0)
    if len(w0) != 1:
        raise ValueError(f"w0 must be one network, shape (P,) or (1, P), got {w0.shape}; call portrait for each")
    first = float(np.ravel(gd.loss(w0))[0])
    if not np.isfinite(first):
        raise ValueError(
            f"the loss is {first} before the first step, so there is nothing to follow: look at what the module gives for the inputs, "
            "and at the targets"
        )
    run = train(gd, w0, steps, record=("loss", "states"))
    at = np.unique(np.round(np.linspace(0, steps, moments)).astype(int))
    assert run.states is not None and run.loss is not None  # they were asked for
    states = run.states[0, at]
    div = diverge(gd, w0, radius=radius, copies=copies, steps=steps, seed=seed)
    spectrum = lyapunov_spectrum(gd, w0, steps, k=min(k, gd.n_state), seed=seed)
    return Portrait(
        times=run.times, loss=run.loss[0], moments=at, ratio=_ratios(gd, states, at), distance=div.distance[0],
        exponents=spectrum.exponents[0], standard_error=spectrum.standard_error[0], converged=bool(spectrum.converged[0]),
        blocks=spectrum.times, growth=spectrum.growth[0], embedded=_embedded(gd.weights(states)),
    )  # fmt: skip


def _ratios(gd: Any, states: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Curvature over its limit at states (m, ...) after steps ``at`` (m,)."""
    found = np.full(len(at), np.nan)
    if not np.isscalar(gd.lr):
        return found
    adaptive = gd.rule.preconditioner(np.zeros((1, gd.rule.slots, gd.n_parameters)), 1) is not None
    limit = gd.rule.stability_limit(gd.lr)
    for i, t in enumerate(at):
        if np.isfinite(states[i]).all() and (t > 0 or not adaptive):
            moment = int(t) if adaptive else None
            found[i] = sharpness(gd, states[i], tolerance=1e-4, preconditioned=adaptive, t=moment) / limit
    return found


def _embedded(weights: np.ndarray) -> np.ndarray:
    """Weights (m, P) in two coordinates, nan where there are none to be had."""
    found = np.full((len(weights), 2), np.nan)
    fine = np.isfinite(weights).all(axis=1)
    if fine.sum() < 2:
        return found
    towards = weights[fine][-1] - weights[fine][0]
    for k in (2, 1):  # one where the run lies in a line
        try:
            found[fine, :k] = scalar_embedding(weights[fine], k, towards=towards).coordinates
        except ValueError:
            continue
        found[fine, k:] = 0.0
        break
    return found
