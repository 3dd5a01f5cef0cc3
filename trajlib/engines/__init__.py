"""How a map is iterated fast. An engine holds the state of one ensemble and moves it; the loop around it is here.

``cpu`` is fused and bit-reproducible, ``cuda`` has its bits on a GPU, ``sparse`` has them for wide networks on images, ``torch`` is
batched matrix products on any device, ``generic`` takes any map. All are driven in pieces short enough to show progress and to stop
between two steps; where the pieces are cut changes nothing in the result.

An engine is a module with an ``ENGINE``, and a line of ``REGISTRY``.
"""

from __future__ import annotations

import importlib
import itertools
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np

from .. import _validate
from ..optimisers.batches import Batches
from ..optimisers.rules import Rule, clock
from ..progress import progress_bar, set_up
from .threads import n_threads as n_threads

__all__ = ["REGISTRY", "Engine", "Plan", "Problem", "Ran", "Record", "Run", "Size", "iterate", "n_threads", "pick"]

REGISTRY = {
    "cuda": "cuda",
    "cpu": "fused",
    "sparse": "sparse",
    "torch": "torch",
    "generic": "generic",
}
"""Each engine's name and its module; ``auto`` takes the first that suits or gains."""
DTYPES = ("float64", "float32")
FUSED_LIMIT = 20_000
"""Parameters up to which ``auto`` takes the fused engine: beyond, matrix products reuse the cache better than it does."""
PIECE = 0.2
"""Seconds between two looks at the keyboard."""
WIPED_OUT = 1e-300
"""A tangent vector shorter than this after a step has exponent -inf."""
RESOLVED = 1e-13
"""A direction that has grown by less than this times the leading one since the vectors were last made orthonormal is lost in rounding: its
growth is nan. The one rule of all engines."""


class Record(NamedTuple):
    """What can be recorded: which axis of its array runs over the records (0: it is made once), and whether it is a state, which may be
    recorded more rarely."""

    axis: int
    state: bool = False


RECORDS = {
    "loss": Record(1),
    "norm": Record(1),
    "weights": Record(1, state=True),
    "gradient_norm": Record(1),
    "accuracy": Record(1),
    "test_accuracy": Record(1),
    "test_loss": Record(1),
    "sharpness": Record(1),
    "copy_loss": Record(2),
    "copy_weights": Record(2, state=True),
    "copy_accuracy": Record(2),
    "copy_test_accuracy": Record(2),
    "copy_test_loss": Record(2),
    "snapshots": Record(2, state=True),
    "distance": Record(2),
    "growth": Record(2),
    "gradient": Record(0),
    "product": Record(0),
    "triangle": Record(0),
}


class Problem(NamedTuple):
    """What the fused and the torch engine iterate: training of perceptrons, as arrays and numbers.

    Attributes
    ----------
    sizes : tuple of int
        Inputs, hidden units of each layer, outputs (all but the outputs may be 0: then their biases alone are left).
    activation, loss : str
        As in :class:`~trajlib.models.perceptron.Perceptron`.
    x : ndarray (samples, d)
        Inputs.
    targets : ndarray (samples, c) or (networks, 1, c)
        What the outputs should be: the same for all networks, or one sample of its own for each.
    divisor : float
        What the sum of the samples' losses is divided by.
    decay : float
        Weight decay that is part of the loss.
    rate : float, ndarray or tuple of these
        Learning rate, one or one a network; or one of these for each layer. With a schedule, what that is multiplied by.
    test : tuple of ndarray (samples, d), ndarray (samples, c) and int, optional
        Inputs, targets and divisor of the test part, for an engine that evaluates it on the way.
    rule : Rule
        How the gradient moves the weights.
    schedules : tuple of Schedule or None
        Learning rates by step: none, or as many as ``rate`` has.
    batches : Batches, optional
        Which samples each step takes; all of them if None.
    bias : bool
        Whether layers have biases.
    scale : tuple of float, optional
        What the products of each layer are multiplied by.
    """

    sizes: tuple[int, ...]
    activation: str
    loss: str
    x: np.ndarray
    targets: np.ndarray
    divisor: float
    decay: float
    rate: float | np.ndarray | tuple
    test: tuple[np.ndarray, np.ndarray, float] | None = None
    rule: Rule = Rule()
    schedules: tuple[Callable | None, ...] = (None,)
    batches: Batches | None = None
    bias: bool = True
    scale: tuple[float, ...] | None = None

    @property
    def n_parameters(self) -> int:
        """Length of a flat weight vector."""
        return sum((n + self.bias) * m for n, m in itertools.pairwise(self.sizes))

    @property
    def n_state(self) -> int:
        """Length of a state, which is weights and then the rule's memory."""
        return self.n_parameters * (1 + self.rule.slots)

    @property
    def plain(self) -> bool:
        """Whether it is full-batch gradient descent at one constant rate, of a network with one hidden layer as they have always been."""
        return (
            len(self.sizes) == 3
            and self.bias
            and self.scale is None
            and self.rule.slots == 0
            and self.batches is None
            and not isinstance(self.rate, tuple)
            and self.schedules == (None,)
        )

    @property
    def rates(self) -> tuple[float | np.ndarray, ...]:
        """The learning rates: one, or one a layer."""
        return self.rate if isinstance(self.rate, tuple) else (self.rate,)

    @property
    def many_rates(self) -> bool:
        """Whether networks have learning rates of their own."""
        return any(np.ndim(rate) for rate in self.rates)

    def clock(self, start: int, stop: int) -> np.ndarray:
        """What changes from step to step, (stop - start, 2 + rates): the rule's two corrections, then the factors of the rates."""
        if self.rule.autonomous and all(schedule is None for schedule in self.schedules):
            return np.ones((stop - start, 2 + len(self.rates)))
        columns = [clock(self.rule, schedule, start, stop) for schedule in self.schedules]
        factors = [table[:, :1] for table in columns]
        return np.concatenate([columns[0][:, 1:], *factors], axis=1)

    @property
    def own_targets(self) -> bool:
        """Whether every network has a target of its own."""
        return self.targets.ndim > 2

    def rows(self, lead: tuple[int, ...]) -> Problem:
        """The problem for networks with leading axes ``lead``, taken as rows: every rate and target written out."""
        rates = tuple(np.broadcast_to(rate, lead).ravel() if np.ndim(rate) else rate for rate in self.rates)
        rate = rates if isinstance(self.rate, tuple) else rates[0]
        if not self.own_targets:
            return self._replace(rate=rate)
        shape = (1, self.sizes[-1])
        return self._replace(rate=rate, targets=np.broadcast_to(self.targets, (*lead, *shape)).reshape(-1, *shape))

    def some(self, rows: slice) -> Problem:
        """The problem of some of the networks that all rates and targets are written out for."""
        rates = tuple(rate[rows] if isinstance(rate, np.ndarray) else rate for rate in self.rates)
        rate = rates if isinstance(self.rate, tuple) else rates[0]
        return self._replace(rate=rate, targets=self.targets[rows] if self.own_targets else self.targets)


class Plan(NamedTuple):
    """What an engine is to do.

    Attributes
    ----------
    reference : ndarray (n, state size)
        States to start from.
    copies : ndarray (n, m, p) or None
        Copies of them, or tangent vectors.
    steps, every, snapshot : int
        Steps in all, between records, and between records of states.
    record : frozenset of str
        Names of ``RECORDS`` that the engine makes itself.
    tangent : bool
        Whether the copies are tangent vectors.
    interval : int
        Steps between two orthonormalisations of the tangent vectors; 0 for none. ``growth`` is recorded with it.
    orthonormal : bool
        Whether they are orthonormal to begin with and are to be taken as they are.
    start : int
        Steps that were done before, for a map that depends on time.
    threads : int or None
        Of the CPU.
    device, dtype
        Of the torch engine.
    """

    reference: np.ndarray
    copies: np.ndarray | None
    steps: int
    every: int = 1
    snapshot: int = 1
    record: frozenset[str] = frozenset()
    tangent: bool = False
    interval: int = 0
    orthonormal: bool = False
    start: int = 0
    threads: int | None = None
    device: str | None = None
    dtype: str = "float64"


class Run(Protocol):
    """What an engine offers to the loop: one ensemble on its way."""

    seconds_per_step: float

    @property
    def description(self) -> str:
        """Where it runs, in words."""

    def prepare(self) -> None:
        """What has to be done before the first step, such as compiling."""

    def advance(self, start: int, stop: int, last: bool) -> None:
        """Move everything from step ``start`` to ``stop``; record the state at ``stop`` if ``last``."""

    def results(self) -> dict[str, np.ndarray]:
        """Everything recorded, and the state now."""


class Size(NamedTuple):
    """How much an engine is to do, as far as it is known: networks with their copies, tangent vectors in all, steps, threads of the CPU."""

    networks: int
    vectors: int
    steps: int
    threads: int | None = None


class Engine(NamedTuple):
    """An engine's entry in the register.

    Attributes
    ----------
    records : frozenset of str
        What it records on its way; all else is computed from the states.
    refuses : callable
        ``refuses(what, device, dtype)``: why it cannot run this, or None.
    suits : callable
        ``suits(what, device, dtype)``: whether ``auto`` may take it.
    start : callable
        ``start(what, plan)``: the :class:`Run`.
    gains : callable, optional
        ``gains(what, dtype, size)``: whether ``auto`` takes it for so much work where no device is asked for.
    """

    records: frozenset[str]
    refuses: Callable[[Any, str | None, str], str | None]
    suits: Callable[[Any, str | None, str], bool]
    start: Callable[[Any, Plan], Run]
    gains: Callable[[Any, str, Size], bool] | None = None


class Ran(NamedTuple):
    """How a run went: steps done, whether Ctrl-C was pressed, the engine's name, and where it ran in words."""

    steps: int
    interrupted: bool
    engine: str
    device: str


def registered(name: str) -> Engine:
    """The engine of a name; what it needs is imported when it starts."""
    return importlib.import_module(f"{__name__}.{REGISTRY[name]}").ENGINE


def problem_of(what: Any) -> Problem | None:
    """The arrays and numbers that the fused and the torch engine take, None for a map that is no perceptron's training."""
    return what if isinstance(what, Problem) else what.problem


def pick(
    what: Any, engine: str = "auto", device: str | None = None, dtype: str = "float64", size: Size | None = None
) -> str:
    """The engine that ``engine`` means for a map.

    Parameters
    ----------
    what : Dynamics
        What is to be iterated (or its ``problem``).
    engine : {"auto", "cuda", "cpu", "sparse", "torch", "generic"}
        ``auto`` takes ``cpu`` up to 20,000 parameters unless a device or float32 is asked for, and ``cuda`` in its place where a GPU is
        expected to be faster; beyond, ``sparse`` where most inputs are 0, else ``torch``; for maps that are no perceptron's training,
        ``generic``.
    device : str, optional
        A torch device, for example ``"cuda"``.
    dtype : {"float64", "float32"}
        What is computed with.
    size : Size, optional
        How much there is to do; without it, no GPU is taken unasked.

    Raises
    ------
    ValueError
        If a name is unknown, or the engine cannot do what is asked for.
    """
    _validate.choice("engine", engine, ("auto", *REGISTRY))
    _validate.choice("dtype", dtype, DTYPES)
    if not (device is None or isinstance(device, str)):
        raise TypeError(f"device must be a name such as 'cpu' or 'cuda', or None, got {_validate.shown(device)}")
    if engine == "auto":
        engine = next((name for name in REGISTRY if _takes(registered(name), what, device, dtype, size)), "generic")
    if why := registered(engine).refuses(what, device, dtype):
        raise ValueError(why)
    return engine


def _takes(engine: Engine, what: Any, device: str | None, dtype: str, size: Size | None) -> bool:
    """Whether ``auto`` takes an engine."""
    if engine.suits(what, device, dtype):
        return True
    return engine.gains is not None and size is not None and device is None and engine.gains(what, dtype, size)


def _beside(name: str, what: Any, plan: Plan) -> str:
    """What a GPU that is here has to do with the choice of an engine, in words."""
    from .cuda.driver import open_device, why_not

    problem = problem_of(what)
    if name not in ("cpu", "cuda") or problem is None or why_not() is not None:
        return ""
    from .cuda.cost import reason

    copies = 0 if plan.copies is None else plan.copies.shape[1]
    networks, vectors = len(plan.reference), len(plan.reference) * copies
    networks, vectors = (networks, vectors) if plan.tangent else (networks + vectors, 0)
    return "; " + reason(problem, networks, vectors, plan.steps, n_threads(plan.threads), open_device(plan.device))


def time_axis(name: str) -> int:
    """Which axis of an engine's array runs over the records; 0 where there is none."""
    return RECORDS[name].axis if name in RECORDS else 0


def is_state(name: str) -> bool:
    """Whether a record is one of states, which may be made more rarely than the others."""
    return name in RECORDS and RECORDS[name].state


def during(name: str, start: int, stop: int | None, step: int = 1) -> tuple[slice, ...]:
    """The index of some of the records in an engine's array."""
    return (slice(None),) * time_axis(name) + (slice(start, stop, step),)


def frames_of_ours() -> int:
    """The level at which a warning of the caller points at the first code outside the library (and the standard library's threads)."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "trajlib",
        "concurrent",
        "threading",
    ):
        frame, level = frame.f_back, level + 1
    return level


@contextmanager
def ctrl_c_waits():
    """Ctrl-C fills the list that this gives, to be looked at between two pieces; pressed again, it interrupts at once."""
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
        yield pressed
        return

    def note(number, frame):
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def iterate(
    what: Any, reference: np.ndarray, copies: np.ndarray | None = None, *, steps: int, every: int = 1, snapshot: int | None = None,
    record=frozenset(), engine: str = "auto", device: str | None = None, threads: int | None = None, progress: Any = None,
    label: str = "steps", tangent: bool = False, interval: int = 0, dtype: str = "float64", orthonormal: bool = False, start: int = 0,
) -> tuple[dict[str, np.ndarray], Ran]:  # fmt: skip
    """Apply a map ``steps`` times to references (n, p) and to their copies, or its tangent map to vectors (n, m, p).

    What each argument means is said in :class:`Plan`. ``progress`` may be a bar that is under way already.

    Returns the engine's arrays (see ``FusedRun.results``), and what ran.
    """
    name = pick(what, engine, device, dtype)
    plan = Plan(
        reference, copies, steps, every, every if snapshot is None else snapshot, frozenset(record), tangent, interval, orthonormal,
        start, threads, device, dtype,
    )  # fmt: skip
    run = registered(name).start(what, plan)
    own = progress is None or isinstance(progress, bool)
    bar = progress_bar(progress, steps, label) if own else progress
    weight = 1 if own else len(reference)
    done, pace = 0, run.seconds_per_step
    try:
        with ctrl_c_waits() as pressed:
            with set_up(bar):
                run.prepare()
            while True:
                stop = min(steps, done + max(1, int(PIECE / max(pace, 1e-9))))
                began = time.perf_counter()
                run.advance(done, stop, stop == steps)
                if stop > done:
                    pace = 0.5 * (pace + (time.perf_counter() - began) / (stop - done))
                if bar is not None:
                    bar.update(weight * (stop - done))
                done = stop
                if done == steps:
                    break
                if pressed:
                    run.advance(done, done, True)
                    break
    finally:
        if own and bar is not None:
            bar.close()
    results = run.results()
    records = done // every + 1
    if done < steps:
        for key, value in results.items():
            if time_axis(key):
                kept = done // plan.snapshot + 1 if is_state(key) else records - (key == "growth")
                results[key] = value[during(key, 0, kept)]
            elif key == "triangle":
                results[key] = value[:, : done // interval]
    return results, Ran(done, bool(pressed), name, run.description + _beside(name, what, plan))
