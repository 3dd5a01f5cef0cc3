"""What training maps share: state, loss and gradient come from the engine, so that iterating by hand gives its bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _validate
from ..engines import Problem, iterate
from ..optimisers import rules
from .protocol import Dynamics

__all__ = ["TrainingMap"]


class TrainingMap(Dynamics):
    """What the maps share that the engines run: state, loss and gradient come from the engine, so that iterating by hand gives its bits."""

    problem: Problem

    @property
    def size(self) -> int:  # type: ignore[override]
        """Length of a state, which is weights and then the rule's memory."""
        return self.problem.n_state

    @property
    def n_parameters(self) -> int:
        """Length of a weight vector."""
        return self.problem.n_parameters

    @property
    def is_weight(self) -> np.ndarray:
        """(n_parameters,) bool: which entries :func:`~trajlib.ensembles.perturb` moves unless it is told to move all."""
        return np.ones(self.n_parameters, dtype=bool)

    @property
    def movable(self) -> np.ndarray:
        """The same for a state: memory is not moved."""
        return np.concatenate([self.is_weight, np.zeros(self.size - self.n_parameters, dtype=bool)])

    @property
    def independent(self) -> bool:
        """Whether no learning rate and no target belongs to one place of the batch."""
        return not self.problem.many_rates and self.shared_loss

    @property
    def shared_loss(self) -> bool:
        """Whether all networks of a batch have the same targets."""
        return not self.problem.own_targets

    def state(self, w: np.ndarray) -> np.ndarray:
        """States (..., n_state) with empty memory from weights (..., n_parameters); states are given back as they are."""
        w = self._either(w)
        if w.shape[-1] == self.size:
            return w
        return np.concatenate([w, np.zeros((*w.shape[:-1], self.size - w.shape[-1]))], axis=-1)

    def weights(self, z: np.ndarray) -> np.ndarray:
        """The weights (..., n_parameters) of states (..., n_state), or of weights."""
        return self._either(z, "z")[..., : self.n_parameters]

    def jacobian(self, z: np.ndarray, t: int = 0) -> np.ndarray:
        """Jacobian of the map after t steps, (..., size, size)."""
        z = self.state(z)
        if self.problem is not None and self.problem.plain:  # I - rate * Hessian
            hessian = self.hessian(z)
            self.check_rows(hessian.shape[:-2])
            with np.errstate(over="ignore", invalid="ignore"):
                return np.eye(self.size) - np.asarray(self.problem.rate)[..., None, None] * hessian
        unit = self._unit(z.shape[:-1], self.size)
        return np.ascontiguousarray(self.jvp(z, unit, t).swapaxes(-1, -2))

    def _unit(self, lead: tuple[int, ...], size: int) -> np.ndarray:
        """Unit vectors at states with leading axes ``lead``, (*lead, size, size), if there is room for what becomes of them."""
        advice = "jvp, hvp, sharpness and lyapunov_spectrum(k=...) form no matrix"
        _validate.fit_in_memory(f"matrices of {size} x {size}", 3 * math.prod(lead) * size**2, advice)
        return np.broadcast_to(np.eye(size), (*lead, size, size))

    def hessian(self, w: np.ndarray) -> np.ndarray:
        """Hessian of the loss, (..., p, p)."""
        raise NotImplementedError

    def hvp(self, w: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Hessian of the loss of all samples times vectors V (..., k, p), at weights w (..., p): (..., k, p)."""
        w, V = self._flat(w), self._vectors(V, np.shape(w)[:-1], self.n_parameters)
        rows = w.reshape(-1, w.shape[-1])
        out = self._engine(
            rows, 0, ("product",), np.ascontiguousarray(V).reshape(len(rows), *V.shape[-2:]), w.shape[:-1]
        )
        return out["product"].reshape(V.shape)

    def _either(self, w, name: str = "w") -> np.ndarray:
        """Weights or states."""
        w = _validate.float64(name, w)
        if w.ndim == 0 or w.shape[-1] not in (self.n_parameters, self.size):
            more = "" if self.size == self.n_parameters else f" or (..., {self.size}), weights and memory"
            raise ValueError(
                f"{name} must have shape (..., {self.n_parameters}), one flat weight vector a network{more}, got {w.shape}"
            )
        return w

    def _flat(self, w) -> np.ndarray:
        """The weights, side by side."""
        return np.ascontiguousarray(self._either(w)[..., : self.n_parameters])

    @staticmethod
    def _vectors(V, lead: tuple[int, ...], size: int) -> np.ndarray:
        V = _validate.weights(V, size, name="V")
        if V.shape[:-2] != lead or V.ndim < 2:
            raise ValueError(f"V must have shape {(*lead, 'k', size)}, k vectors at each state, got {V.shape}")
        return V

    def _engine(self, w: np.ndarray, steps: int, record=(), vectors=None, lead=None) -> dict[str, np.ndarray]:
        """One short call of the fused engine over all leading axes; without a step, rule and rate do not matter."""
        problem = self.problem
        if not steps:
            problem = problem._replace(rate=1.0, rule=rules.Rule(), schedules=(None,), batches=None)
        rows = w.reshape(-1, w.shape[-1])
        call: dict[str, Any] = {
            "steps": steps, "every": max(1, steps), "record": record, "engine": "cpu", "progress": False, "tangent": vectors is not None,
        }  # fmt: skip
        return iterate(problem.rows(w.shape[:-1] if lead is None else lead), rows, vectors, **call)[0]

    def jvp(self, z: np.ndarray, V: np.ndarray, t: int = 0) -> np.ndarray:
        """Tangent vectors V (..., k, size) at states z (..., size) after a step, t having been done, without a Hessian: (..., k, size)."""
        z = np.ascontiguousarray(self.state(z))
        lead = z.shape[:-1]
        V = self._vectors(V, lead, self.size)
        self.check_rows(lead)
        rows, vectors = z.reshape(-1, self.size), np.ascontiguousarray(V).reshape(-1, *V.shape[-2:])
        out = iterate(self.problem.rows(lead), rows, vectors, steps=1, tangent=True, progress=False, start=t)[0]
        return out["copies"].reshape(V.shape)

    def step(self, z: np.ndarray, t: int = 0) -> np.ndarray:
        """The next state, (..., size), t steps having been done. Weights alone stand for a state with empty memory."""
        z = np.ascontiguousarray(self.state(z))
        lead = z.shape[:-1]
        self.check_rows(lead)
        call: dict[str, Any] = {"steps": 1, "every": 1, "progress": False, "start": t}
        return iterate(self.problem.rows(lead), z.reshape(-1, self.size), **call)[0]["reference"].reshape(z.shape)

    def __call__(self, w: np.ndarray) -> np.ndarray:
        """The next state, (..., size): the first step."""
        return self.step(w, 0)

    def loss(self, w: np.ndarray) -> np.ndarray:
        """Training loss of all samples with the penalty of a decay that is part of it, (...)."""
        w = self._flat(w)
        return self._engine(w, 0, ("loss",))["loss"].reshape(w.shape[:-1])

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient of the loss, (..., p)."""
        w = self._flat(w)
        return self._engine(w, 0, ("gradient",))["gradient"].reshape(w.shape)
