"""The torch engine, for large networks: ensembles as a few matrix products in float64, on the CPU or a GPU.

Activations lie as (network, unit, sample): the hidden units of all networks are the rows of one matrix, and
the products with the inputs, forward and backward, are one product each for the whole ensemble. A 1 appended
to the inputs carries the first biases. BLAS chooses the order of sums: reproducible to rounding only.
"""

from __future__ import annotations

import numpy as np

try:
    import torch
except ImportError as error:
    raise ImportError(
        "engine='torch' needs PyTorch, which is not installed: pip install 'trajlib[torch]'. "
        "engine='cpu' does without (more slowly on large networks)"
    ) from error

_ACTIVATE = {"sigmoid": torch.sigmoid_, "tanh": torch.tanh_, "relu": torch.relu_}
# multiply g by the derivative of the activation, told from its value h, in one pass and in place
_TIMES_SLOPE = {
    "sigmoid": lambda g, h: torch.ops.aten.sigmoid_backward.grad_input(g, h, grad_input=g),
    "tanh": lambda g, h: torch.ops.aten.tanh_backward.grad_input(g, h, grad_input=g),
    "relu": lambda g, h: torch.ops.aten.threshold_backward.grad_input(g, h, 0.0, grad_input=g),
}
CPU_BYTES = 1 << 24
"""Activations held at once on the CPU: what the caches can keep between two passes of a step."""
CUDA_SHARE = 0.5
"""Activations held at once on a GPU, as a share of its free memory: there large batches are fast."""
PENDING_BYTES = 1 << 28
"""Records that may wait on a GPU for the end of a piece."""
SECONDS_PER_OPERATION = {"cpu": 1e-10, "cuda": 2e-12}
SECONDS_PER_CHUNK = {"cpu": 1e-4, "cuda": 5e-4}
"""Rough costs of a multiply-add and of a chunk's calls, rather too high: a short first piece does no harm."""


def pick_device(name: str | None) -> torch.device:
    """The torch device called ``name``; the CPU for None (nothing moves to a GPU unasked).

    Raises
    ------
    ValueError
        If this machine has no such device, or it cannot compute in float64.
    """
    gpus = torch.cuda.device_count()
    available = ["cpu"] + ["cuda"] * (gpus > 0) + [f"cuda:{i}" for i in range(gpus)]
    if name is not None and str(name) not in available:
        why = "" if gpus else f" (torch {torch.__version__} sees no CUDA device)"
        raise ValueError(f"device must be one of {', '.join(map(repr, available))} here{why}, got {name!r}")
    return torch.device("cpu" if name is None else name)


class TorchRun:
    """One ensemble on its way: rows of weights, all references before all copies, and buffers.

    Parameters are those of :func:`trajlib.engines.iterate`; ``record`` holds any of loss, norm, weights,
    distance, gradient.
    """

    name = "torch"

    def __init__(self, problem, reference, copies, *, steps, every, record, snapshot=1, device=None):
        n_samples = len(problem.x)
        self._device = pick_device(device)
        self._n, size = reference.shape
        problem = problem.rows((self._n,))
        self._copies = 0 if copies is None else copies.shape[1]
        moved = [] if copies is None else [copies.reshape(-1, size)]
        self._w = self._place(np.concatenate([reference, *moved]))
        self._x = torch.cat([self._place(problem.x.T), self._new(1, n_samples).fill_(1.0)])
        self._y = self._place(problem.targets.swapaxes(-1, -2))
        if problem.own_targets:
            self._y = torch.cat([self._y, self._y.repeat_interleave(self._copies, 0)])
        rates = np.broadcast_to(problem.rate, (self._n,))
        lr = self._place(np.concatenate([rates, np.repeat(rates, self._copies)]))
        self._decay, self._divisor = problem.decay, problem.divisor
        # a step is w <- shrink * w + scale * (sum of the gradient's terms)
        self._shrink = (1.0 - lr * self._decay)[:, None] if self._decay else None
        self._scale = -(lr / self._divisor)[:, None, None]
        self._loss, self._activation = problem.loss, problem.activation
        self._sizes = h, c = problem.sizes[1:]

        self._every, self._snapshot, records = every, snapshot, steps // every + 1
        shapes = {
            "loss": (self._n, records),
            "norm": (self._n, records),
            "weights": (self._n, steps // snapshot + 1, size),
            "distance": (self._n, self._copies, records),
        }
        self._out = {k: np.full(s, np.nan) for k, s in shapes.items() if k in record}
        self._pending: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._gradient = self._new(self._n, size) if "gradient" in record else None
        self._finite = torch.zeros(len(self._w), dtype=torch.int64, device=self._device)
        self._done = 0

        rows = len(self._w)
        chunks = -(-rows // max(1, self._budget() // (16 * n_samples * (h + c))))
        self._chunk = -(-rows // chunks)
        self._units, self._back = self._new(2, self._chunk, h, n_samples)
        self._outputs, self._delta = self._new(2, self._chunk, c, n_samples)
        operations = rows * n_samples * (2 * len(self._x) * h + 3 * h * c + 30 * (h + c))
        kind = self._device.type
        self.seconds_per_step = operations * SECONDS_PER_OPERATION[kind] + chunks * SECONDS_PER_CHUNK[kind]

    def _place(self, array: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(array), dtype=torch.float64, device=self._device)

    def _new(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.float64, device=self._device)

    def _budget(self) -> int:
        """Bytes that the activations of a chunk may take."""
        if self._device.type == "cpu":
            return CPU_BYTES
        kept = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(CUDA_SHARE * (torch.cuda.mem_get_info(self._device)[0] + kept))

    @property
    def description(self) -> str:
        """What ran, for the result."""
        where = str(self._device)
        if self._device.type == "cuda":
            where += f" ({torch.cuda.get_device_name(self._device)})"
        return f"torch {torch.__version__.partition('+')[0]} on {where}, float64"

    def advance(self, start: int, stop: int, last: bool) -> None:
        """Move everything from step ``start`` to ``stop``; if ``last``, record the state there too."""
        for t in range(start, stop):
            loss = self._record_weights(t)
            self._pass(len(self._w), loss, self._w, self._shrink, self._scale)
            self._put("loss", t, loss)
            # weights that have left the finite numbers never return: a count tells the step, with no wait
            self._finite += torch.linalg.vector_norm(self._w, torch.inf, dim=-1).isfinite()
        self._done = stop
        if last:
            loss = self._record_weights(stop)
            if loss is not None or self._gradient is not None:
                one = torch.ones_like(self._scale)
                self._pass(self._n, loss, self._gradient, one[..., 0] * self._decay, one / self._divisor)
            self._put("loss", stop, loss)
        self._flush()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # the driver times the pieces

    def _record_weights(self, t: int) -> torch.Tensor | None:
        """Record what is read off the weights; return a place for the loss where this step's is wanted."""
        reference, copies = self._w[: self._n], self._w[self._n :]
        if "weights" in self._out and t % self._snapshot == 0:
            self._put("weights", t, reference, self._snapshot)
        if t % self._every:
            return None
        if "norm" in self._out:
            self._put("norm", t, torch.linalg.vector_norm(reference, 1, dim=-1))
        if "distance" in self._out:
            copies = copies.view(self._n, self._copies, self._w.shape[1])
            self._put("distance", t, torch.cdist(reference[:, None], copies, p=1.0)[:, 0])
        return self._new(self._n) if "loss" in self._out else None

    def _put(self, name: str, t: int, value: torch.Tensor | None, every: int | None = None) -> None:
        """Record a value; on a GPU, which would have to be waited for, only at the end of the piece."""
        if value is None:
            return
        out, record = self._out[name], t // (every or self._every)
        place = torch.from_numpy(out[..., record] if name == "distance" else out[:, record])
        if self._device.type == "cpu":
            place.copy_(value)
            return
        self._pending.append((place, value.clone()))
        if len(self._pending) * value.nbytes > PENDING_BYTES:
            self._flush()

    def _flush(self) -> None:
        for place, value in self._pending:
            place.copy_(value)
        self._pending.clear()

    def _pass(self, rows: int, loss, target, shrink, scale) -> None:
        """Forward through the first ``rows`` networks, chunk by chunk, and backward where there is a target.

        Writes the references' losses into ``loss``, and shrink * weights + scale * (sum of the gradient's
        terms) into ``target``, which may be the weights themselves (then ``shrink`` is None where it is 1).
        Both may be None.
        """
        (h, _), d = self._sizes, len(self._x)
        for i in range(0, rows, self._chunk):
            part = slice(i, min(i + self._chunk, rows))
            w = self._w[part]
            k = len(w)
            units, back, outputs, delta = self._units[:k], self._back[:k], self._outputs[:k], self._delta[:k]
            first, W2, b2 = self._layers(w)
            torch.mm(first.mT.reshape(k * h, d), self._x, out=units.view(k * h, units.shape[2]))
            _ACTIVATE[self._activation](units)
            torch.baddbmm(b2[..., None], W2.mT, units, out=outputs)
            if loss is not None and i < self._n:
                known = min(k, self._n - i)
                loss[i : i + known] = self._losses(w[:known], outputs[:known], self._targets(part)[..., :known, :, :])
            if target is None:
                continue
            if self._loss == "cross_entropy":
                torch.softmax(outputs, 1, out=delta)
                delta -= self._targets(part)
            else:
                torch.sub(outputs, self._targets(part), out=delta)
            delta *= scale[part]  # everything below is linear in delta, and this is its smallest array
            _TIMES_SLOPE[self._activation](torch.bmm(W2, delta, out=back), units)
            if shrink is not None:
                torch.mul(w, shrink[part], out=target[part])
            to_first, to_W2, to_b2 = self._layers(target[part])
            to_first += (back.view(k * h, back.shape[2]) @ self._x.T).view(k, h, d).mT
            to_W2 += torch.bmm(units, delta.mT)
            to_b2 += delta.sum(-1)

    def _layers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Views of flat weight vectors: [W1; b1] (networks, inputs + 1, hidden), W2 and b2."""
        (h, c), cut = self._sizes, len(self._x) * self._sizes[0]
        return w[:, :cut].view(len(w), len(self._x), h), w[:, cut:-c].view(len(w), h, c), w[:, -c:]

    def _targets(self, part: slice) -> torch.Tensor:
        """Targets (1 or networks, outputs, samples) of some of the networks."""
        return self._y[part] if self._y.ndim == 3 else self._y[None]

    def _losses(self, w: torch.Tensor, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self._loss == "cross_entropy":
            total = -torch.linalg.vecdot(torch.log_softmax(outputs, 1).flatten(1), targets.flatten(1))
        else:
            off = (outputs - targets).flatten(1)
            total = 0.5 * torch.linalg.vecdot(off, off)
        return total / self._divisor + 0.5 * self._decay * torch.linalg.vecdot(w, w)

    def results(self) -> dict[str, np.ndarray]:
        """Recorded arrays, the state now (reference, copies) and the first non-finite steps."""
        n, m, w, finite = self._n, self._copies, self._w.cpu().numpy(), self._finite.cpu().numpy()
        first = np.where(finite < self._done, finite + 1, -1)
        out = self._out if self._gradient is None else self._out | {"gradient": self._gradient.cpu().numpy()}
        return out | {
            "reference": w[:n],
            "copies": w[n:].reshape(n, m, w.shape[1]),
            "nonfinite": np.column_stack([first[:n], first[n:].reshape(n, m)]),
        }
