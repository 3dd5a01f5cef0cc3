"""The one protocol: what every verb of the library takes, and how a map of the user's own becomes such a thing.

A ``Dynamics`` moves a state z (..., size) by one step that may depend on t, the number of steps done, and carries tangent vectors
V (..., k, size) along. The library's own dynamics are subclasses. Anything else that can be called is looked at once, with the states that
it is to move: what it returns must have the right shape and dtype, one state at a time or many; from there on it is trusted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _validate

__all__ = ["Dynamics", "OwnMap", "as_dynamics"]

EXAMPLE = """for example
    henon = types.SimpleNamespace(step=lambda x, t: np.stack([1 - 1.4 * x[..., 0]**2 + x[..., 1], 0.3 * x[..., 0]], axis=-1))
    henon.jacobian = lambda x: np.stack([np.stack([-2.8 * x[..., 0], 1 + 0 * x[..., 0]], -1), [0.3, 0.0] + 0 * x], axis=-2)"""


class Dynamics:
    """A map of a state to the next one, with its tangent map. Subclasses give ``size``, ``step`` and ``jvp`` (or ``jacobian``)."""

    size: int
    """Length of a state."""
    problem: Any = None
    """What the fused and the torch engine take of it, None where they cannot run it."""
    functions: tuple | None = None
    """The map and its derivative as compiled functions of one state (see ``trajlib.engines.generic``), None where there are none."""

    @property
    def n_state(self) -> int:
        """Length of a state vector; of training with memory, weights and memory."""
        return self.size

    @property
    def n_parameters(self) -> int:
        """Length of a weight vector; of a state, where there is no memory."""
        return self.size

    def state(self, w: np.ndarray) -> np.ndarray:
        """A state with empty memory from weights (..., n_parameters), (..., size); a state is given back as it is."""
        return w

    @property
    def movable(self) -> np.ndarray:
        """(size,) bool: which entries :func:`~trajlib.ensembles.perturb` moves unless it is told to move all."""
        return np.ones(self.size, dtype=bool)

    @property
    def independent(self) -> bool:
        """Whether a state moves the same way in any batch: no parameter belongs to one place of the batch."""
        return True

    @property
    def shared_loss(self) -> bool:
        """Whether the loss, where there is one, is the same function for all states of a batch."""
        return self.independent

    def check_rows(self, lead: tuple[int, ...]) -> None:
        """Raise where the parameters of the map do not fit states with leading axes ``lead``."""

    def step(self, z: np.ndarray, t: int = 0) -> np.ndarray:
        """The state after one more step, (..., size); t steps were done before."""
        raise NotImplementedError

    def jvp(self, z: np.ndarray, V: np.ndarray, t: int = 0) -> np.ndarray:
        """Tangent vectors V (..., k, size) at z after the same step, (..., k, size)."""
        return (self.jacobian(z) @ V.swapaxes(-1, -2)).swapaxes(-1, -2)

    def push(self, z: np.ndarray, V: np.ndarray, t: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """The state and the vectors after the step: :meth:`step` and :meth:`jvp` at once, for a map that saves work so."""
        moved = self.jvp(z, V, t)
        return self.step(z, t), moved

    def jacobian(self, z: np.ndarray) -> np.ndarray:
        """Jacobian of the step, (..., size, size)."""
        raise NotImplementedError

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """The next state, (..., size)."""
        return self.step(z, 0)


class OwnMap(Dynamics):
    """Any object with ``step(x, t)`` or ``__call__(x)``, and ``jvp(x, V, t)`` or ``jacobian(x)`` where tangent vectors are carried.

    Parameters
    ----------
    own : object
        The map, or a function. It takes states (n, p), or one state (p,) at a time; ``t`` may be left out of any of its functions.
    w0 : ndarray (n, p), float64
        The states that it is to move: it is tried on them.
    tangent : bool
        Whether its derivative is needed.
    """

    def __init__(self, own: Any, w0: np.ndarray, tangent: bool):
        self.own, self.size, self.name = own, w0.shape[1], _name(own)
        step: Any = _member(own, "step") or (own if callable(own) else None)
        if step is own and not _compiled(own) and _compiled(own.__call__):
            step = own.__call__
        if step is None:
            raise TypeError(f"the map must have step(x, t) or be callable, and {self.name} is neither; {EXAMPLE}")
        self._many = len(w0)
        step_timed, self._step = self._adapted("step" if _member(own, "step") else "the map", step, 1, w0)
        derivative = _member(own, "jvp") or _member(own, "jacobian")
        if derivative is None and tangent:
            raise TypeError(f"the map must have a jacobian or a jvp, and {self.name} has none; {EXAMPLE}")
        self._jvp: Any = None
        self._jacobian: Any = None
        derivative_timed = False
        if derivative is not None and tangent:
            if jvp := _member(own, "jvp"):
                derivative_timed, self._jvp = self._adapted("jvp", jvp, 2, w0)
            else:
                derivative_timed, self._jacobian = self._adapted("jacobian", derivative, 1, w0, square=True)
        for name in ("loss", "gradient", "hessian"):
            if callable(found := getattr(own, name, None)):
                setattr(self, name, found)
        self._alone = self._works_alone(w0)
        if _compiled(step) and (derivative is None or not tangent or _compiled(derivative)):
            kind = "jvp" if _member(own, "jvp") else "jacobian"
            self.functions = (step, derivative if tangent else None, kind, (step_timed, derivative_timed))

    def __reduce__(self):
        raise TypeError(f"hand {self.name} itself to another process, not what the library made of it")

    @property
    def independent(self) -> bool:
        """Whether it gave the first state the same next one alone as in the batch."""
        return self._alone

    def step(self, z: np.ndarray, t: int = 0) -> np.ndarray:
        """The state after one more step, (n, size)."""
        return self._step(z, t)

    def jvp(self, z: np.ndarray, V: np.ndarray, t: int = 0) -> np.ndarray:
        """Tangent vectors V (n, k, size) at z after the same step."""
        if self._jvp is not None:
            return self._jvp(z, V, t)
        return (self._jacobian(z, t) @ V.swapaxes(-1, -2)).swapaxes(-1, -2)

    def jacobian(self, z: np.ndarray) -> np.ndarray:
        """Jacobian, (n, size, size); from the tangent map of the unit vectors where only that is given."""
        if self._jacobian is not None:
            return self._jacobian(z, 0)
        unit = np.broadcast_to(np.eye(self.size), (len(z), self.size, self.size))
        return self._jvp(z, np.ascontiguousarray(unit), 0).swapaxes(-1, -2)

    def _works_alone(self, w0: np.ndarray) -> bool:
        """Whether a batch of another size is understood, and its states move as in the whole."""
        batch = w0[:1] if len(w0) > 1 else np.concatenate([w0, w0])
        try:
            moved = np.asarray(self._step(batch, 0))
        except Exception:
            return False
        return moved.shape == batch.shape and np.array_equal(moved[0], self._step(w0, 0)[0], equal_nan=True)

    def _adapted(self, name: str, function: Callable, states: int, w0: np.ndarray, square: bool = False):
        """A function of the map as f(z[, V], t) on batches, tried on the states; and whether it takes t itself."""
        timed = _takes(function, states + 1)
        call = function if timed else (lambda *given: function(*given[:-1]))
        n, p = w0.shape
        arguments = [w0.copy()]
        if states == 2:
            arguments.append(np.random.Generator(np.random.PCG64(0)).standard_normal((n, min(2, p), p)))
        want = (n, p, p) if square else arguments[-1].shape
        with np.errstate(all="ignore"):
            one: Any
            batch: Any
            one, why = _tried(call, [a[0].copy() for a in arguments])
            alone = _is(one, want[1:])
            if _compiled(function) and alone:  # it would be compiled once more for a batch
                batch, reason = None, ""
            else:
                batch, reason = _tried(call, [a.copy() for a in arguments])
            fits = _is(batch, want)
            if (
                fits
                and alone
                and not _close(batch[0], one)
                and _close(batch, _tried(call, [a.copy() for a in arguments])[0])
            ):
                fits = False  # it takes one state; on as many states as it has entries, its shape fits by chance
            if fits:
                return timed, call
            if alone:
                return timed, lambda *given: np.stack([call(*row, given[-1]) for row in zip(*given[:-1], strict=True)])
            if states == 2 and _is(_tried(call, [w0[0].copy(), arguments[1][0, 0].copy()])[0], (p,)):
                return timed, lambda z, V, t: np.stack(
                    [np.stack([call(x, v, t) for v in some]) for x, some in zip(z, V, strict=True)]
                )
        shapes = " and ".join(str(a.shape) for a in arguments)
        rows = " and ".join(str(a.shape[1:]) for a in arguments)
        raise TypeError(
            f"{name} of {self.name} must take float64 arrays of shape {shapes} and return float64 of shape {want}, or {rows} and "
            f"return {want[1:]}; it returned {_told(batch, reason)}, and {_told(one, why)}; {EXAMPLE}"
        )


def as_dynamics(gd: Any, w0: np.ndarray, *, tangent: bool = False) -> Dynamics:
    """What a verb was given, as a Dynamics; a map of the user's own is looked at with the states that it is to move.

    Parameters
    ----------
    gd : Dynamics, or an object with ``step(x, t)`` or ``__call__(x)``
        The map.
    w0 : ndarray (n, p), float64
        Checked initial conditions.
    tangent : bool
        Whether its tangent map is needed too.

    Raises
    ------
    TypeError
        If it is no map, or what it returns has another shape or dtype.
    """
    return gd if isinstance(gd, Dynamics) else OwnMap(gd, w0, tangent)


def initial(gd: Any, w0: Any, *, tangent: bool = False) -> tuple[Dynamics, np.ndarray]:
    """The map and its initial conditions (n, p), checked."""
    if not isinstance(gd, Dynamics) and not callable(gd) and not callable(getattr(gd, "step", None)):
        raise TypeError(f"the first argument must be a map such as GradientDescent, got {type(gd).__name__}")
    if hasattr(gd, "flatten") and (isinstance(w0, dict) or hasattr(w0, "state_dict")):
        raise TypeError(f"w0 must be weights (n, {gd.n_parameters}), got {type(w0).__name__}; use gd.flatten(...)")
    w0 = _validate.float64("w0", w0)
    size = gd.size if isinstance(gd, Dynamics) else w0.shape[-1] if w0.ndim else 0
    if isinstance(gd, Dynamics) and w0.ndim == 2 and w0.shape[1] == gd.n_parameters != size:
        w0 = gd.state(w0)
    if w0.ndim != 2 or len(w0) == 0 or w0.shape[1] != size or size == 0:
        shape = f"(n, {size})" if isinstance(gd, Dynamics) else "(n, p)"
        if isinstance(gd, Dynamics) and gd.n_parameters != size:
            shape = f"(n, {gd.n_parameters}), weights, or {shape}, weights and memory,"
        hint = "; use w[None] for one state" if w0.shape == (size,) and size else ""
        raise ValueError(f"w0 must have shape {shape} with n >= 1, got {w0.shape}{hint}")
    w0 = np.ascontiguousarray(_validate.finite("w0", w0))
    dynamics = as_dynamics(gd, w0, tangent=tangent)
    dynamics.check_rows((len(w0),))
    return dynamics, w0


def with_memory(gd: Dynamics, w0: np.ndarray, vectors: Any, name: str, fresh: bool = False) -> np.ndarray:
    """Copies of states w0 (n, size), or tangent vectors there, (n, k, size): where weights alone are given (n, k, n_parameters), copies
    remember what their state does, and ``fresh`` ones nothing."""
    vectors, size = _validate.float64(name, vectors), gd.size
    if (
        vectors.ndim != 3
        or len(vectors) != len(w0)
        or vectors.shape[1] == 0
        or vectors.shape[2] not in (gd.n_parameters, size)
    ):
        either = "" if gd.n_parameters == size else f" or ({len(w0)}, k, {gd.n_parameters})"
        raise ValueError(f"{name} must have shape ({len(w0)}, k, {size}){either}, k at each state, got {vectors.shape}")
    if vectors.shape[2] == size:
        return vectors
    memory = np.broadcast_to(
        0.0 if fresh else w0[:, None, gd.n_parameters :], (*vectors.shape[:2], size - gd.n_parameters)
    )
    return np.concatenate([vectors, memory], axis=-1)


def _member(own: Any, name: str) -> Callable | None:
    found = getattr(own, name, None)
    return found if callable(found) else None


def _compiled(function: Any) -> bool:
    """Whether Numba compiles it."""
    return type(function).__module__.startswith("numba.") and hasattr(function, "py_func")


def _name(own: Any) -> str:
    return getattr(own, "__name__", None) or type(own).__name__


def _takes(function: Any, count: int) -> bool:
    """Whether a function takes so many positional arguments without being made to."""
    function = getattr(function, "py_func", function)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(places) >= count and (
        len([p for p in places if p.default is p.empty]) >= count or places[count - 1].name == "t"
    )


def _tried(call: Callable, arguments: list[np.ndarray]) -> tuple[Any, str]:
    """What a call returns, or why it failed."""
    try:
        return call(*arguments, 0), ""
    except Exception as error:
        text = str(error).strip()
        return None, f"{type(error).__name__}: {(text.splitlines() or [''])[0][:100]}"


def _is(value: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float64 and value.shape == shape


def _close(a: np.ndarray, b: Any) -> bool:
    return isinstance(b, np.ndarray) and a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True)


def _told(value: Any, reason: str) -> str:
    if reason:
        return f"nothing ({reason})"
    return f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
