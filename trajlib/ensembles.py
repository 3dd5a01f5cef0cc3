"""Many trajectories at once: train an ensemble, perturb it, watch the copies diverge.

Index t counts applied steps: entry 0 is the initial condition, and ``steps=T`` with ``every=1`` records T + 1 entries.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import _validate
from .dynamics.protocol import Dynamics, initial, with_memory
from .engines import Size, pick
from .engines import records as _records
from .progress import Interrupted
from .results import Result

__all__ = ["Divergence", "Trajectories", "diverge", "perturb", "train"]


@dataclass(frozen=True, eq=False)
class Trajectories(
    Result,
    axes={
        "network step": "loss norm gradient_norm accuracy test_accuracy test_loss sharpness",
        "network": "nonfinite_at",
        "network step parameter": "weights",
        "network step entry": "states",
        "network parameter": "final",
        "network entry": "final_state",
    },
    labels={"step": "times", "weights.step": "weight_times", "states.step": "weight_times"},
):
    """What :func:`~trajlib.ensembles.train` returns. n networks, r recorded states, p parameters; what was not recorded is None.

    Attributes
    ----------
    times : ndarray (r,), int
        Steps at which states were recorded: 0, every, 2 every, ...
    final : ndarray (n, p)
        Weights after the last step.
    final_state : ndarray (n, n_state)
        Weights and what the optimiser remembers, to go on from; of plain gradient descent, the weights.
    loss, norm, gradient_norm, accuracy, test_accuracy, test_loss, sharpness : ndarray (n, r) or None
        Training loss; L1 norm of the weights; L2 norm of the gradient; fractions correct; loss on the test part; largest eigenvalue of
        the Hessian, as :func:`~trajlib.stability.sharpness` gives it.
    weights : ndarray (n, r, p) or None
        The weights themselves; with ``weights_every``, at every so many steps only.
    states : ndarray (n, r, n_state) or None
        The same with the optimiser's memory.
    nonfinite_at : ndarray (n,), int
        First step whose weights hold nan or inf; -1 where all stayed finite.
    steps : int
        Steps done.
    engine : str
        What ran: ``"cpu"``, ``"sparse"``, ``"torch"`` or ``"generic"``.
    device : str
        Where, in words.
    weights_every : int or None
        Steps between records of the weights; None where there are none, or as many as of the rest.
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
    sharpness: np.ndarray | None = field(default=None, repr=False)
    weights_every: int | None = field(default=None, repr=False)
    states: np.ndarray | None = field(default=None, repr=False)
    final_state: np.ndarray | None = field(default=None, repr=False)

    @property
    def weight_times(self) -> np.ndarray:
        """Steps at which the weights were recorded."""
        return self.times if self.weights_every is None else np.arange(0, self.steps + 1, self.weights_every)


@dataclass(frozen=True, eq=False)
class Divergence(
    Result,
    axes={
        "network copy step": "distance copy_loss copy_accuracy copy_test_accuracy copy_test_loss",
        "network step": "loss accuracy test_accuracy test_loss",
        "network trajectory": "nonfinite_at",
        "network step parameter": "weights",
        "network copy step parameter": "copy_weights",
        "network trajectory step parameter": "snapshots",
        "network parameter": "final",
        "network copy parameter": "final_copies",
    },
    labels={"step": "times"},
):
    """What :func:`~trajlib.ensembles.diverge` returns. n networks, m copies of each, r recorded times, p parameters.

    Attributes
    ----------
    times : ndarray (r,), int
        Recorded steps.
    distance : ndarray (n, m, r)
        L1 distance between a copy and its reference, sum over all parameters of \\|w' - w\\|; what an optimiser remembers is left out.
    loss : ndarray (n, r) or None
        Loss of the reference; None for a map that has none.
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
    snapshots : ndarray (n, 1 + m, r, p) or None
        The states themselves, the reference before its copies; ``weights`` and ``copy_weights`` are views of it.
    accuracy, test_accuracy, test_loss : ndarray (n, r) or None
        Of the reference: fractions correct; loss on the test part.
    copy_loss, copy_accuracy, copy_test_accuracy, copy_test_loss : ndarray (n, m, r) or None
        Of the copies.
    """

    times: np.ndarray
    distance: np.ndarray = field(repr=False)
    loss: np.ndarray | None = field(repr=False)
    final: np.ndarray = field(repr=False)
    final_copies: np.ndarray = field(repr=False)
    nonfinite_at: np.ndarray = field(repr=False)
    radius: float | None
    steps: int
    engine: str
    device: str
    snapshots: np.ndarray | None = field(default=None, repr=False)
    accuracy: np.ndarray | None = field(default=None, repr=False)
    test_accuracy: np.ndarray | None = field(default=None, repr=False)
    test_loss: np.ndarray | None = field(default=None, repr=False)
    copy_loss: np.ndarray | None = field(default=None, repr=False)
    copy_accuracy: np.ndarray | None = field(default=None, repr=False)
    copy_test_accuracy: np.ndarray | None = field(default=None, repr=False)
    copy_test_loss: np.ndarray | None = field(default=None, repr=False)

    @property
    def weights(self) -> np.ndarray | None:
        """Recorded states of the references, (n, r, p)."""
        return None if self.snapshots is None else self.snapshots[:, 0]

    @property
    def copy_weights(self) -> np.ndarray | None:
        """Recorded states of the copies, (n, m, r, p)."""
        return None if self.snapshots is None else self.snapshots[:, 1:]


def train(
    gd: Dynamics,
    w0: np.ndarray,
    steps: int,
    *,
    record: tuple[str, ...] | None = None,
    every: int = 1,
    weights_every: int | None = None,
    start: int = 0,
    engine: str = "auto",
    device: str | None = None,
    dtype: str = "float64",
    threads: int | None = None,
    progress: bool | None = None,
) -> Trajectories:
    """Iterate a map from many initial conditions at once.

    Parameters
    ----------
    gd : GradientDescent, SoftmaxMap, or any map with ``step(x, t)`` or ``__call__(x)``
        The map.
    w0 : ndarray (n, p) or (n, n_state), float64
        Initial conditions, finite: weights, or states of an optimiser with memory.
    steps : int
        How often the map is applied, >= 0.
    record : tuple of str
        Any of "loss", "norm", "weights", "states", "gradient_norm", "accuracy", "test_accuracy", "test_loss", "sharpness". By default the
        loss, or the states of a map that has no loss.
    every : int
        Steps between records, >= 1.
    weights_every : int, optional
        Steps between records of the weights where these are wanted more rarely: a multiple of ``every``.
    start : int
        Steps done before: what schedules, minibatches and Adam's corrections go by.

    Other Parameters
    ----------------
    engine : {"auto", "cpu", "sparse", "torch", "generic"}
        ``cpu`` is bit-reproducible. ``auto`` takes it up to 20,000 parameters. ``sparse`` has the same bits, and is for wide networks on
        inputs that are mostly 0, such as images. ``generic`` takes any map: it calls it, or compiles it into its own loop where it is
        Numba's.
    device : str, optional
        A torch device such as ``"cuda"``.
    dtype : {"float64", "float32"}
        What the torch engine computes with. float32 is for showing what rounding does: ``w0`` is rounded to it, and the
        results are its numbers as float64. The fused engine computes in float64 only.
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
    options = {"engine": engine, "device": device, "dtype": dtype, "threads": threads, "progress": progress}
    gd, w0, steps, every, options = _common(gd, w0, steps, every, options)
    if record is None:
        record = ("loss",) if hasattr(gd, "loss") else ("weights",)
    record = _records.names(gd, record, (*_records.RECORDS, "states"), w0)
    snapshot = every if weights_every is None else min(_validate.count("weights_every", weights_every, 1), steps + 1)
    if snapshot % every and snapshot <= steps:
        raise ValueError(f"weights_every must be a multiple of every = {every}, got {weights_every}")
    kept = not {"weights", "states"}.isdisjoint(record)
    _records.fit_in_memory(len(w0), steps // every + 1, len(record))
    _records.fit_in_memory(len(w0), steps // snapshot + 1, w0.shape[1] if kept else 0)
    options |= {"label": "train", "snapshot": snapshot, "start": _validate.count("start", start)}
    wanted = {"weights" if name == "states" else name for name in record}
    out, ran = _records.run(gd, w0, None, steps, every, wanted, options)
    out["states"] = out.get("weights")
    if "weights" in record:
        out["weights"] = _weights(gd, out["weights"])
    result = Trajectories(
        times=np.arange(0, ran.steps + 1, every),
        final=_weights(gd, out["reference"]),
        final_state=out["reference"],
        nonfinite_at=out["nonfinite"][:, 0],
        steps=ran.steps,
        engine=ran.engine,
        device=ran.device,
        weights_every=snapshot if kept and snapshot != every else None,
        **{name: out[name] for name in record},
    )
    return _interrupted(ran.interrupted, result)


def _weights(gd: Dynamics, states: np.ndarray) -> np.ndarray:
    """The weights of states (..., n_state)."""
    return np.ascontiguousarray(states[..., : gd.n_parameters])


def perturb(gd: Dynamics, w0: np.ndarray, *, radius: float, copies: int, seed: int, biases: bool = False) -> np.ndarray:
    """Copies of each initial condition, moved by independent U(-radius, radius) in every weight.

    Parameters
    ----------
    gd : GradientDescent, SoftmaxMap, or any map
        The map whose states these are. Of a map of the user's own, all entries are moved.
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
    gd, w0 = initial(gd, w0)
    return _perturbed(gd, w0, radius, copies, seed, biases)


def _perturbed(gd: Dynamics, w0: np.ndarray, radius, copies, seed, biases) -> np.ndarray:
    radius, copies = _validate.positive("radius", radius), _validate.count("copies", copies, 1)
    seed = _validate.count("seed", seed)
    biases = _validate.flag("biases", False if biases is None else biases)
    if radius > 1e300:
        raise ValueError(f"radius must leave the weights finite, got {_validate.shown(radius)}")
    movable = np.ones(w0.shape[1], dtype=bool) if biases else gd.movable
    _records.fit_in_memory(len(w0), copies, w0.shape[1])
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
    gd: Dynamics,
    w0: np.ndarray,
    *,
    steps: int,
    radius: float | None = None,
    copies: int | None = None,
    seed: int | None = None,
    biases: bool | None = None,
    perturbed: np.ndarray | None = None,
    record: tuple[str, ...] = (),
    every: int = 1,
    start: int = 0,
    engine: str = "auto",
    device: str | None = None,
    dtype: str = "float64",
    threads: int | None = None,
    progress: bool | None = None,
) -> Divergence:
    """Follow initial conditions and slightly moved copies of them; record their distances as they go.

    No weights are stored on the way unless ``record`` says so: memory is that of the states and of the distances.

    Parameters
    ----------
    gd : GradientDescent, SoftmaxMap, or any map with ``step(x, t)`` or ``__call__(x)``
        The map.
    w0 : ndarray (n, p), float64
        Initial conditions (references).
    steps : int
        How often the map is applied, >= 0.
    radius, copies, seed, biases
        As in :func:`~trajlib.ensembles.perturb`; ``radius`` is needed unless ``perturbed`` is given. Five copies, seed 0 and no biases by
        default.
    perturbed : ndarray (n, m, p), optional
        Copies of the caller's own making, in place of ``radius``, ``copies``, ``seed`` and ``biases``.
    record : tuple of str
        What else to record, of the references and of their copies: any of "loss" (of the references it always is), "weights",
        "accuracy", "test_accuracy", "test_loss".
    every : int
        Steps between records, >= 1.
    start : int
        Steps done before: what schedules, minibatches and Adam's corrections go by.

    Other Parameters
    ----------------
    engine, device, dtype, threads, progress
        As in :func:`~trajlib.ensembles.train`. With float32, copies closer to their reference than its rounding collapse onto it: no
        error, for that is what such a run shows. Distances are sums in float64 over the rounded weights.

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
    options = {"engine": engine, "device": device, "dtype": dtype, "threads": threads, "progress": progress}
    gd, w0, steps, every, options = _common(gd, w0, steps, every, options)
    record = _records.names(gd, record, _records.COPY_RECORDS, w0)
    drawn = {"radius": radius, "copies": copies, "seed": seed, "biases": biases}
    if perturbed is None:
        if radius is None:
            raise ValueError("give radius (the size of the perturbation), or perturbed (copies of your own)")
        defaults = {"copies": 5, "seed": 0, "biases": False}
        perturbed = _perturbed(gd, w0, **{k: defaults[k] if v is None else v for k, v in drawn.items()})
    elif given := [name for name, value in drawn.items() if value is not None]:
        raise ValueError(
            f"give perturbed, or radius with copies, seed and biases, not both: perturbed came with {', '.join(given)}"
        )
    else:
        perturbed = _validate.finite("perturbed", with_memory(gd, w0, perturbed, "perturbed"))
        if perturbed.ndim != 3 or len(perturbed) != len(w0) or perturbed.shape[1] == 0:
            raise ValueError(f"perturbed must have shape ({len(w0)}, copies, {w0.shape[1]}), got {perturbed.shape}")
    width = 1 + len(record) + (w0.shape[1] if "weights" in record else 0)
    _records.fit_in_memory(len(w0), steps // every + 1, (1 + perturbed.shape[1]) * width)
    loss = {"loss"} if hasattr(gd, "loss") else set()
    # weights of the references come with those of the copies
    wanted = {"distance", *loss, *record, *(f"copy_{name}" for name in record)} - {"weights"}
    out, ran = _records.run(
        gd,
        w0,
        perturbed,
        steps,
        every,
        wanted,
        options | {"label": "diverge", "start": _validate.count("start", start)},
    )
    result = Divergence(
        times=np.arange(0, ran.steps + 1, every),
        distance=out["distance"],
        loss=out.get("loss"),
        final=_weights(gd, out["reference"]),
        final_copies=_weights(gd, out["copies"]),
        nonfinite_at=out["nonfinite"],
        radius=radius,
        steps=ran.steps,
        engine=ran.engine,
        device=ran.device,
        snapshots=None if "snapshots" not in out else _weights(gd, out["snapshots"]),
        **{name: out[name] for name in wanted - {"loss", "distance", "copy_weights"}},
    )
    return _interrupted(ran.interrupted, result)


def _common(gd, w0, steps, every, options):
    (gd, w0), steps = initial(gd, w0), _validate.count("steps", steps)
    options |= {"threads": _validate.threads(options["threads"])}
    every = min(_validate.count("every", every, 1), steps + 1)
    size = Size(len(w0), 0, steps, options["threads"])
    options["engine"] = pick(gd, options["engine"], options["device"], options["dtype"], size)
    return gd, w0, steps, every, options


def _interrupted(stopped: bool, result):
    if stopped:
        raise Interrupted(result)
    return result
