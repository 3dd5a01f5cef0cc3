"""Trainability: a plane of two learning rates, with what becomes of the training at each pixel.

Every pixel is a network of its own in the fused engine. A picture is computed in blocks of pixels and, within a block, in stretches of
steps: after each, the pixels that are decided leave, and the others close up in the engine's vectors. How they are grouped changes no bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import _validate
from ..dynamics.descent import GradientDescent
from ..engines import Problem, ctrl_c_waits
from ..models.perceptron import Perceptron
from ..progress import Interrupted, progress_bar, set_up
from ..results import Result
from ..tasks.small import Task

__all__ = ["Trainability", "trainability"]

BLOCK = 8192
"""Pixels that are computed together: enough for all cores, and their weights stay near the processor."""
STRETCH = 8
"""Stretches are multiples of so many steps, up to eight of them: a state that is back after one has a period that divides it."""


@dataclass(frozen=True, eq=False)
class Trainability(Result, axes={"row column": "outcome value last ended_at initial_loss rate0 rate1"}):
    """What :func:`trainability` returns, for a picture of n0 x n1 pixels.

    Attributes
    ----------
    outcome : ndarray (n0, n1), int8
        1 where training converges: the mean of the last losses is below ``threshold`` times the first. -1 where it ended: a loss was not
        finite or above ``limit`` times the first. 0 where it did neither. -2 where Ctrl-C came before.
    value : ndarray (n0, n1)
        The colour: minus the sum of the losses over the first one where training converges, else the sum of the first loss over the
        losses. From the step on at which a pixel ended, each loss counts as ``limit`` times the first.
    last : ndarray (n0, n1)
        Mean of the last losses over the first one; inf where training ended.
    ended_at : ndarray (n0, n1), int
        The first step whose loss is not finite or above the limit; -1 where there is none.
    initial_loss : ndarray (n0, n1)
        The first loss.
    rate0, rate1 : ndarray (n0, n1)
        Learning rates of the layers.
    steps : int
        Steps of each pixel.
    window : int
        How many losses are the last.
    threshold, limit : float
        As above.
    """

    outcome: np.ndarray = field(repr=False)
    value: np.ndarray = field(repr=False)
    last: np.ndarray = field(repr=False)
    ended_at: np.ndarray = field(repr=False)
    initial_loss: np.ndarray = field(repr=False)
    rate0: np.ndarray = field(repr=False)
    rate1: np.ndarray = field(repr=False)
    steps: int
    window: int
    threshold: float
    limit: float

    @property
    def converged(self) -> np.ndarray:
        """(n0, n1) bool: where training converges, which is what the paper divides the plane by."""
        return self.outcome == 1


def trainability(
    network: Perceptron,
    x: np.ndarray,
    y: np.ndarray,
    w0: np.ndarray,
    rates0: np.ndarray,
    rates1: np.ndarray,
    steps: int,
    *,
    offset: float | np.ndarray = 0.0,
    batch_size: int | None = None,
    batch_seed: int = 0,
    replacement: bool = True,
    window: int = 20,
    threshold: float = 1.0,
    limit: float = 1e6,
    threads: int | None = None,
    progress: bool | None = None,
) -> Trainability:
    """Train a network at every pair of two learning rates, and say where training converges and where it does not.

    The losses l_0, ..., l_T of a pixel, T = ``steps``, are those of all samples. Every pixel has the bits of the plain-Python specification
    (tests/boundary), whatever the picture around it, the threads and the machine. Pixels that are decided are not computed on: those
    that ended, and those whose state has come back to the bit, so that all later losses are known.

    Parameters
    ----------
    network : Perceptron
        The paper's: one hidden layer, no biases, ``scale="mean_field"``, ``loss="mean_squared_error"``. Any other will do.
    x : ndarray (samples, inputs), float64
        Inputs.
    y : ndarray (samples,), float64 or int64
        Targets, or labels.
    w0 : ndarray (n_parameters,), or an array that broadcasts to (n0, n1, n_parameters), float64
        Initial weights, of all pixels or of each.
    rates0, rates1 : ndarray (n0,) and (n1,), or arrays that broadcast to (n0, n1)
        Learning rates of the first and of the second layer (of deeper networks in turn), positive. Rows of the picture are those of
        ``rates0``, columns those of ``rates1``; see :func:`~trajlib.boundary.view.rates`.
    steps : int
        Steps, >= 1.

    Other Parameters
    ----------------
    offset : float or ndarray that broadcasts to (n0, n1)
        Added to all weights of the first layer at every step, before the loss and the gradient.
    batch_size, batch_seed, replacement
        Minibatches, as in :class:`~trajlib.dynamics.descent.GradientDescent`; the same for all pixels, and here drawn with replacement.
    window, threshold, limit
        Training converges where the mean of the last ``window`` losses is below ``threshold`` times the first. It ends with a loss that is
        not finite or above ``limit`` times the first.
    threads, progress
        As in :func:`~trajlib.ensembles.train`.

    Returns
    -------
    Trainability

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    Interrupted
        On Ctrl-C, with the picture so far.

    References
    ----------
    J. Sohl-Dickstein, arXiv 2402.06184, and the public notebook for the colour. There T steps give T losses, the last step's result has
    none, and losses above the limit count as the limit, but training goes on: a loss may come back below it, which here it does not.

    Examples
    --------
    The boundary of the paper is ``edges(picture.converged)``. At points of the plane p (m, 2), in decades, in place of a picture, the
    rates are ``power_of_ten(p[:, :1])`` and ``power_of_ten(p[:, 1:])``.

    >>> import trajlib as tl
    >>> from trajlib.boundary import draw, rates
    >>> net = tl.Perceptron(4, 4, 1, activation="tanh", loss="mean_squared_error", bias=False, scale="mean_field")
    >>> picture = tl.trainability(net, *draw(net), rates(0.0, 6.0, 3), rates(0.0, 6.0, 3), steps=50)
    >>> picture.outcome
    array([[ 1,  1, -1],
           [ 1,  1, -1],
           [ 1,  1, -1]], dtype=int8)
    """
    if not isinstance(network, Perceptron):
        raise TypeError(f"network must be a Perceptron, got {type(network).__name__}")
    if isinstance(y, np.ndarray) and y.ndim != 1:
        raise ValueError(f"y must have shape (samples,), one target a row of x, got {y.shape}")
    gd = GradientDescent(
        network,
        Task("trainability", x, y),
        lr=(1.0,) * network.depth,
        batch_size=batch_size,
        batch_seed=batch_seed,
        replacement=batch_size is not None and _validate.flag("replacement", replacement),
    )
    steps, window = _validate.count("steps", steps, 1), _validate.count("window", window, 1)
    threshold, limit = _validate.positive("threshold", threshold), _validate.positive("limit", limit)
    w0 = _validate.finite("w0", _validate.weights(w0, network.n_parameters, name="w0"))
    rate0, rate1 = (np.asarray(_validate.rate(f"rates{i}", rate)) for i, rate in enumerate((rates0, rates1)))
    offset = _validate.finite("offset", _validate.numbers_of("offset", offset))
    rate0 = rate0[:, None] if rate0.ndim == 1 else rate0
    parts = (rate0.shape, rate1.shape, offset.shape, w0.shape[:-1])
    try:
        shape = np.broadcast_shapes(*parts)
        if len(shape) != 2:
            raise ValueError
    except ValueError:
        raise ValueError(
            "rates0 (n0,), rates1 (n1,), offset and the leading axes of w0 must make one picture (n0, n1), got shapes "
            f"{np.shape(rates0)}, {', '.join(map(str, parts[1:]))}"
        ) from None
    size = shape[0] * shape[1]
    _validate.fit_in_memory(f"a picture of {size} pixels", 7 * size, "take fewer pixels at a time")
    rate0, rate1, offset = (np.broadcast_to(a, shape) for a in (rate0, rate1, offset))
    start = np.broadcast_to(w0, (*shape, network.n_parameters))
    picture = Trainability(
        outcome=np.full(shape, -2, dtype=np.int8),
        value=np.full(shape, np.nan),
        last=np.full(shape, np.nan),
        ended_at=np.full(shape, -1),
        initial_loss=np.full(shape, np.nan),
        rate0=rate0.copy(),
        rate1=rate1.copy(),
        steps=steps,
        window=min(window, steps + 1),
        threshold=threshold,
        limit=limit,
    )
    bar = progress_bar(progress, size * steps, "trainability")
    try:
        with ctrl_c_waits() as pressed:
            for first in range(0, size, BLOCK):
                at = np.unravel_index(np.arange(first, min(first + BLOCK, size)), rate0.shape)
                _fill(picture, at, gd.problem, start[at], offset[at], threads, bar, pressed)
                if pressed:
                    done = np.count_nonzero(picture.outcome > -2)
                    raise Interrupted(picture, f"after {done} of {size} pixels")
    finally:
        if bar is not None:
            bar.close()
    return picture


def _fill(picture, at, problem: Problem, start, offset, threads, bar, pressed) -> None:
    """Compute the pixels ``at``, unless Ctrl-C comes."""
    steps, t = picture.steps, 0
    tally = _Tally(len(start), picture)
    rates = picture.rate0[at], picture.rate1[at]
    rows, state = np.arange(len(start)), start.copy()
    state[:, : problem.sizes[0] * problem.sizes[1]] += offset[:, None]
    while len(rows) and t <= steps:
        count = min(STRETCH * min(8, max(1, t // (2 * STRETCH))), steps - t)
        rate = tuple(rates[layer % 2][rows] for layer in range(len(problem.rates)))
        run = _run(problem._replace(rate=rate), state, count, t, offset[rows], threads)
        with set_up(bar):
            run.prepare()
        for piece in range(0, count, STRETCH):
            until = min(piece + STRETCH, count)
            run.advance(piece, until, t + until == steps)
            if bar is not None:
                bar.update(len(rows) * (until - piece))
            if pressed:
                return
        out, stop = run.results(), t + count
        losses = out["loss"][:, : count + (stop == steps)]
        tally.add(rows, t, losses)
        left = tally.ended_at[rows] < 0
        if problem.batches is None and stop < steps:
            back = left & (out["reference"] == state).all(axis=1)
            tally.add(rows[back], stop, losses[back][:, (np.arange(stop, steps + 1) - t) % count])
            left &= ~back
        if bar is not None:
            bar.update(int((~left).sum()) * (steps - stop))
        rows, state, t = rows[left], out["reference"][left], stop + (stop == steps)
    tally.write(at)


def _run(problem: Problem, state, steps: int, start: int, offset, threads):
    """Networks on their way in the fused engine, with an offset at every step where there is one."""
    from ..engines.fused.cpu import FusedRun

    options = {"steps": steps, "every": 1, "record": {"loss"}, "threads": threads, "start": start}
    if not offset.any():
        return FusedRun(problem, state, None, **options)
    from .offset import OffsetRun

    return OffsetRun(problem, state, offset, **options)


class _Tally:
    """What is added up on the way for n pixels, in the order of the steps."""

    def __init__(self, n: int, picture: Trainability):
        self.picture = picture
        self.first, self.fall, self.rise, self.last = np.zeros((4, n))
        self.ended_at = np.full(n, -1)

    @np.errstate(all="ignore")
    def add(self, rows: np.ndarray, t: int, losses: np.ndarray) -> None:
        """The losses (rows, steps) of some pixels from step t on."""
        limit, begin = self.picture.limit, self.picture.steps + 1 - self.picture.window
        if t == 0:
            self.first[rows] = losses[:, 0]
        first, fall, rise, last, ended_at = (
            a[rows] for a in (self.first, self.fall, self.rise, self.last, self.ended_at)
        )
        for now, loss in enumerate(np.ascontiguousarray(losses.T), start=t):
            ratio = loss / first
            going = ended_at < 0
            ended_at[going & ~(ratio <= limit)] = now
            going &= ratio <= limit
            np.add(fall, ratio, out=fall, where=going)
            np.add(rise, first / loss, out=rise, where=going)
            if now >= begin:
                np.add(last, ratio, out=last, where=going)
        self.fall[rows], self.rise[rows], self.last[rows], self.ended_at[rows] = fall, rise, last, ended_at

    def write(self, at) -> None:
        """Decide, and colour."""
        picture, ended = self.picture, self.ended_at >= 0
        last = np.where(ended, np.inf, self.last / picture.window)
        converged = last < picture.threshold
        after = (picture.steps + 1 - self.ended_at) * (1.0 / picture.limit)
        picture.outcome[at] = np.where(converged, 1, np.where(ended, -1, 0))
        picture.value[at] = np.where(converged, -self.fall, np.where(ended, self.rise + after, self.rise))
        picture.last[at], picture.ended_at[at], picture.initial_loss[at] = last, self.ended_at, self.first
