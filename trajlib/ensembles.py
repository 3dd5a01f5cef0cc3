"""Many trajectories at once: train an ensemble, perturb it, watch the copies diverge.

Index t counts applied steps: entry 0 is the initial condition, and ``steps=T`` with ``every=1`` records T + 1 entries.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np

from . import _validate
from .engines import iterate
from .maps import GradientDescent, TrainingMap

__all__ = ["Divergence", "Interrupted", "Trajectories", "diverge", "perturb", "train"]

RECORDS = ("loss", "norm", "weights", "gradient_norm", "accuracy", "test_accuracy", "test_loss")
_FROM_KERNEL = ("loss", "norm", "weights")
_BUFFER_BYTES = 1 << 27


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a long call. ``result`` holds everything up to the last whole step; go on from ``result.final``."""

    def __init__(self, result):
        self.result = result
        super().__init__(f"stopped after {result.steps} steps; the result so far is in .result of this exception")


@dataclass(frozen=True, eq=False)
class Trajectories:
    """What :func:`~trajlib.ensembles.train` returns. n networks, r recorded states, p parameters; what was not recorded is None.

    Attributes
    ----------
    times : ndarray (r,), int
        Steps at which states were recorded: 0, every, 2 every, ...
    final : ndarray (n, p)
        Weights after the last step.
    loss, norm, gradient_norm, accuracy, test_accuracy, test_loss : ndarray (n, r) or None
        Training loss; L1 norm of the weights; L2 norm of the gradient; fractions correct; loss on the test part.
    weights : ndarray (n, r, p) or None
        The states themselves; with ``weights_every``, at every so many steps only.
    nonfinite_at : ndarray (n,), int
        First step whose weights hold nan or inf; -1 where all stayed finite.
    steps : int
        Steps done.
    engine : str
        What ran: ``"cpu"`` or ``"torch"``.
    device : str
        Where, in words.
    """

    times: np.ndarray
    final: np.ndarray = field(repr=False)
    nonfinite_at: np.ndarray = field(repr=False)
    steps: int
    engine: str
    device: str
    loss: np.ndarray | None = field(default=None, repr=False)
    norm: np.ndarray | None = field(default=None, repr=False)
    weights: np.ndarray | None = field(default=None, repr=False)
    gradient_norm: np.ndarray | None = field(default=None, repr=False)
    accuracy: np.ndarray | None = field(default=None, repr=False)
    test_accuracy: np.ndarray | None = field(default=None, repr=False)
    test_loss: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Divergence:
    """What :func:`~trajlib.ensembles.diverge` returns. n networks, m copies of each, r recorded times, p parameters.

    Attributes
    ----------
    times : ndarray (r,), int
        Recorded steps.
    distance : ndarray (n, m, r)
        L1 distance between a copy and its reference, sum over all parameters of \\|w' - w\\|.
    loss : ndarray (n, r)
        Loss of the reference.
    final : ndarray (n, p)
        The references after the last step.
    final_copies : ndarray (n, m, p)
        The copies after the last step.
    nonfinite_at : ndarray (n, 1 + m), int
        First step with nan or inf in the weights of the reference, copy 0, copy 1, ...; -1 where there is none.
    radius : float or None
        Radius of the perturbation; None where the copies were given.
    steps : int
        Steps done.
    engine, device : str
        What ran, and where.
    """

    times: np.ndarray
    distance: np.ndarray = field(repr=False)
    loss: np.ndarray = field(repr=False)
    final: np.ndarray = field(repr=False)
    final_copies: np.ndarray = field(repr=False)
    nonfinite_at: np.ndarray = field(repr=False)
    radius: float | None
    steps: int
    engine: str
    device: str


def train(
    gd: TrainingMap,
    w0: np.ndarray,
    steps: int,
    *,
    record: tuple[str, ...] = ("loss",),
    every: int = 1,
    weights_every: int | None = None,
    engine: str = "auto",
    device: str | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Trajectories:
    """Iterate a training map from many initial conditions at once.

    Parameters
    ----------
    gd : GradientDescent or SoftmaxMap
        The map.
    w0 : ndarray (n, p), float64
        Initial conditions, finite.
    steps : int
        How often the map is applied, >= 0.
    record : tuple of str
        Any of "loss", "norm", "weights", "gradient_norm", "accuracy", "test_accuracy", "test_loss".
    every : int
        Steps between records, >= 1.
    weights_every : int, optional
        Steps between records of the weights where these are wanted more rarely: a multiple of ``every``.

    Other Parameters
    ----------------
    engine : {"auto", "cpu", "torch"}
        ``cpu`` is bit-reproducible. ``auto`` takes it up to 20,000 parameters.
    device : str, optional
        A torch device such as ``"cuda"``.
    threads : int, optional
        Of the fused engine; all cores by default. Changes no bit of the result.
    progress : bool, optional
        Show a progress bar; by default in terminals and notebooks, after a second.

    Returns
    -------
    Trajectories

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    Interrupted
        On Ctrl-C, with the result so far.
    MemoryError
        If what is to be recorded does not fit into memory.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=0.01)
    >>> run = tl.train(gd, gd.network.init(20, seed=0), steps=100)
    >>> run.loss.shape, bool((run.loss[:, -1] < run.loss[:, 0]).all())
    ((20, 101), True)
    """
    w0, steps, every, options = _common(gd, w0, steps, every, engine, threads)
    record = (record,) if isinstance(record, str) else record
    if not isinstance(record, tuple | list | set | frozenset):
        raise TypeError(f"record must be a tuple of names such as ('loss', 'weights'), got {record!r}")
    for name in record:
        _validate.choice("record", name, RECORDS)
        if name not in _FROM_KERNEL:
            _derive(gd, name, w0[:1])  # a record that this task cannot give fails here, not after the run
    snapshot = every if weights_every is None else min(_validate.count("weights_every", weights_every, 1), steps + 1)
    if snapshot % every and snapshot <= steps:
        raise ValueError(f"weights_every must be a multiple of every = {every}, got {weights_every}")
    _fits_in_memory(len(w0), steps // every + 1, len(record))
    _fits_in_memory(len(w0), steps // snapshot + 1, w0.shape[1] if "weights" in record else 0)
    options |= {"device": device, "progress": progress, "label": "train"}
    derived = [name for name in record if name not in _FROM_KERNEL]
    if not derived:
        out, ran = iterate(gd.problem, w0, steps=steps, every=every, snapshot=snapshot, record=record, **options)
        return _interrupted(ran.interrupted, _trajectories(out, record, ran.steps, every, ran))
    return _train_in_pieces(gd, w0, steps, every, snapshot // every, record, derived, options)


def _train_in_pieces(gd, w0, steps, every, stride, record, derived, options):
    """As ``train``, with quantities that are computed from a buffer of weights and then dropped.

    Of the weights every ``stride``-th record is kept.
    """
    records = max(1, _BUFFER_BYTES // (8 * w0.size or 1))
    kernel = {"weights", *(name for name in record if name in _FROM_KERNEL)}
    pieces: list[dict] = []
    nonfinite = np.full((len(w0), 1), -1, dtype=np.int64)
    w, done = w0, 0
    while True:
        length = min(records * every, steps - done)
        out, ran = iterate(gd.problem, w, steps=length, every=every, record=kernel, **options)
        n = ran.steps
        more = done + n < steps and not ran.interrupted
        keep = slice(0, -1) if more and n % every == 0 else slice(None)  # the next piece records this state again
        for name in derived:
            out[name] = _derive(gd, name, out["weights"])
        pieces.append({name: out[name][:, keep] for name in record})
        if "weights" in record:
            first = -(done // every) % stride
            pieces[-1]["weights"] = pieces[-1]["weights"][:, first::stride].copy()
        nonfinite = np.where((nonfinite < 0) & (out["nonfinite"] >= 0), out["nonfinite"] + done, nonfinite)
        w, done = out["reference"], done + n
        if not more:
            break
    merged = {name: np.concatenate([piece[name] for piece in pieces], axis=1) for name in record}
    merged |= {"reference": w, "nonfinite": nonfinite}
    return _interrupted(ran.interrupted, _trajectories(merged, record, done, every, ran))


def _derive(gd, name: str, weights: np.ndarray) -> np.ndarray:
    if name == "gradient_norm":
        with np.errstate(over="ignore", invalid="ignore"):
            return np.linalg.norm(gd.gradient(weights), axis=-1)
    if not isinstance(gd, GradientDescent):
        raise ValueError(f"record {name!r} needs a network and its task, and {type(gd).__name__} has none")
    if name == "test_loss":
        return gd.test_loss(weights)
    return gd.accuracy(weights, "test" if name == "test_accuracy" else "train")


def _trajectories(out, record, done, every, ran) -> Trajectories:
    return Trajectories(
        times=np.arange(0, done + 1, every),
        final=out["reference"],
        nonfinite_at=out["nonfinite"][:, 0],
        steps=done,
        engine=ran.engine,
        device=ran.device,
        **{name: out[name] for name in record},
    )


def perturb(
    gd: TrainingMap, w0: np.ndarray, *, radius: float, copies: int, seed: int, biases: bool = False
) -> np.ndarray:
    """Copies of each initial condition, moved by independent U(-radius, radius) in every weight.

    Parameters
    ----------
    gd : GradientDescent or SoftmaxMap
        The map whose weights these are.
    w0 : ndarray (n, p), float64
        Initial conditions.
    radius : float
        Half-width of the uniform distribution, positive.
    copies : int
        Copies of each initial condition, >= 1.
    seed : int
        The draws of initial condition i depend on (seed, i) alone, not on how many others there are; they scale with the radius,
        so that the same seed at another radius perturbs in the same directions.
    biases : bool
        Whether biases are perturbed too. The paper perturbs the weights alone.

    Returns
    -------
    ndarray (n, copies, p)

    Raises
    ------
    ValueError
        If an argument is out of range, or the radius is lost in the rounding of float64.

    References
    ----------
    Danovski, Soriano, Lacasa, arXiv 2404.05782, section 2, and the authors' code (weights only).
    """
    w0 = initial(gd, w0)
    radius, copies = _validate.positive("radius", radius), _validate.count("copies", copies, 1)
    seed = _validate.count("seed", seed)
    if radius > 1e300:
        raise ValueError(f"radius must leave the weights finite, got {radius!r}")
    movable = np.ones(w0.shape[1], dtype=bool) if biases else gd.is_weight
    moved = np.repeat(w0[:, None], copies, axis=1)
    for i in range(len(w0)):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(i,))))
        moved[i][:, movable] += radius * rng.uniform(-1.0, 1.0, (copies, int(movable.sum())))
    if len(w0) and (moved == w0[:, None]).all(axis=-1).any():
        raise ValueError(
            f"radius {radius!r} is lost in rounding: at weights of size {np.abs(w0).max():.2g} float64 numbers lie "
            f"{np.spacing(np.abs(w0).max()):.1g} apart; use a larger radius"
        )
    return moved


def diverge(
    gd: TrainingMap,
    w0: np.ndarray,
    *,
    steps: int,
    radius: float | None = None,
    copies: int = 5,
    seed: int = 0,
    biases: bool = False,
    perturbed: np.ndarray | None = None,
    every: int = 1,
    engine: str = "auto",
    device: str | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Divergence:
    """Follow initial conditions and slightly moved copies of them; record their distances as they go.

    No weights are stored on the way: memory is that of the states and of the distances.

    Parameters
    ----------
    gd : GradientDescent or SoftmaxMap
        The map.
    w0 : ndarray (n, p), float64
        Initial conditions (references).
    steps : int
        How often the map is applied, >= 0.
    radius, copies, seed, biases
        As in :func:`~trajlib.ensembles.perturb`; ``radius`` is needed unless ``perturbed`` is given.
    perturbed : ndarray (n, m, p), optional
        Copies of the caller's own making, in place of ``radius``, ``copies``, ``seed`` and ``biases``.
    every : int
        Steps between records, >= 1.

    Other Parameters
    ----------------
    engine, device, threads, progress
        As in :func:`~trajlib.ensembles.train`.

    Returns
    -------
    Divergence

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range.
    Interrupted
        On Ctrl-C, with the result so far.

    References
    ----------
    Danovski, Soriano, Lacasa, arXiv 2404.05782, section 2.

    Examples
    --------
    >>> import trajlib as tl
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0)
    >>> div = tl.diverge(gd, gd.network.init(10, seed=0), radius=1e-8, copies=5, steps=50, seed=1)
    >>> div.distance.shape, div.loss.shape
    ((10, 5, 51), (10, 51))
    """
    w0, steps, every, options = _common(gd, w0, steps, every, engine, threads)
    if perturbed is None:
        if radius is None:
            raise ValueError("give radius (the size of the perturbation), or perturbed (copies of your own)")
        perturbed = perturb(gd, w0, radius=radius, copies=copies, seed=seed, biases=biases)
    elif radius is not None:
        raise ValueError("give radius or perturbed, not both")
    else:
        perturbed = _validate.finite("perturbed", _validate.weights(perturbed, w0.shape[1], name="perturbed"))
        if perturbed.ndim != 3 or len(perturbed) != len(w0) or perturbed.shape[1] == 0:
            raise ValueError(f"perturbed must have shape ({len(w0)}, copies, {w0.shape[1]}), got {perturbed.shape}")
    _fits_in_memory(len(w0), steps // every + 1, perturbed.shape[1] + 1)
    out, ran = iterate(
        gd.problem, w0, perturbed, steps=steps, every=every, record=("loss", "distance"), device=device, progress=progress,
        label="diverge", **options,
    )  # fmt: skip
    result = Divergence(
        times=np.arange(0, ran.steps + 1, every),
        distance=out["distance"],
        loss=out["loss"],
        final=out["reference"],
        final_copies=out["copies"],
        nonfinite_at=out["nonfinite"],
        radius=radius,
        steps=ran.steps,
        engine=ran.engine,
        device=ran.device,
    )
    return _interrupted(ran.interrupted, result)


def initial(gd, w0) -> np.ndarray:
    """Checked initial conditions (n, p) of a training map."""
    if not isinstance(gd, TrainingMap):
        raise TypeError(f"the first argument must be a map such as GradientDescent, got {type(gd).__name__}")
    w0 = _validate.finite("w0", _validate.weights(w0, gd.n_parameters, name="w0"))
    if w0.ndim != 2 or len(w0) == 0:
        raise ValueError(
            f"w0 must have shape (n, {gd.n_parameters}) with n >= 1, got {w0.shape}; use w[None] for one network"
        )
    gd.check_rows((len(w0),))
    return w0


def _common(gd, w0, steps, every, engine, threads):
    w0, steps = initial(gd, w0), _validate.count("steps", steps)
    if threads is not None:
        threads = _validate.count("threads", threads, 1)
    every = min(_validate.count("every", every, 1), steps + 1)
    return w0, steps, every, {"engine": engine, "threads": threads}


def _fits_in_memory(networks: int, records: int, width: int) -> None:
    needed = 8 * networks * records * width
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if needed > 0.8 * available:
            raise MemoryError(
                f"the records would take {needed / 2**30:.1f} GiB of {available / 2**30:.1f} GiB; "
                "record less, use every=, or fewer networks at a time"
            )


def _interrupted(stopped: bool, result):
    if stopped:
        raise Interrupted(result)
    return result
