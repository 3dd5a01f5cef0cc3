"""The torch engine: whole ensembles as batched matrix products in float64, on the CPU or a GPU. For large networks.

A flat weight vector, read in order, is two matrices: [W1; b1] (inputs + 1, hidden) and [W2; b2] (hidden + 1, outputs). With a 1 appended
to the inputs and to the hidden units, a step is five batched products, the last two of which add the gradient to the weights in place.
BLAS chooses the order of its sums, so results are reproducible to rounding only.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

try:
    import torch
except ImportError as error:
    raise ImportError(
        "engine='torch' needs PyTorch, which is not installed: pip install 'trajlib[torch]'; "
        "engine='cpu' does without it (slower on large networks)"
    ) from error

_ACTIVATE = {"sigmoid": torch.sigmoid_, "tanh": torch.tanh_, "relu": torch.relu_}
CPU_BYTES = 1 << 23
"""Activations held at once on the CPU: about the outer cache, so that the passes of one step find them there."""
CUDA_SHARE = 0.5
"""The same on a GPU, as a share of the memory that is free: there large batches are what is fast."""
WINDOW_BYTES = 1 << 26
"""Records held on a GPU before they are copied to the host."""
SECONDS_PER_OPERATION = {"cpu": 1e-10, "cuda": 2e-12}
SECONDS_PER_CALL = {"cpu": 5e-5, "cuda": 3e-4}
"""Rough costs of a multiply-add and of the calls for one chunk, both rather too high: a first piece too short costs nothing."""


def pick_device(name: str | None) -> torch.device:
    """The torch device called ``name``; the CPU for None (nothing moves to a GPU unasked).

    Raises
    ------
    ValueError
        If torch does not know the device, it is not there, or it cannot compute in float64.
    """
    try:
        device = torch.device("cpu" if name is None else name)
        torch.zeros(1, dtype=torch.float64, device=device).add_(1.0).item()
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        available = ", ".join(["'cpu'", *(f"'cuda:{i}'" for i in range(torch.cuda.device_count()))])
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device must be one that computes in float64 here ({available}), got {name!r}: {reason}") from error
    return device


class _Records:
    """Arrays on the host that are filled record by record, on a GPU through a window there (one copy a window, not one a step)."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], device: torch.device):
        self.arrays = {name: np.full(shape, np.nan) for name, shape in shapes.items()}
        # time first, whatever its place in the array
        self._host = {k: torch.from_numpy(a).movedim(2 if k == "distance" else 1, 0) for k, a in self.arrays.items()}
        self._window, self._first, self._end = self._host, 0, 0
        self._length = max((len(a) for a in self._host.values()), default=0)
        if device.type != "cpu" and self._length:
            one = sum(a[0].numel() * 8 for a in self._host.values())
            self._length = min(self._length, max(1, WINDOW_BYTES // max(one, 1)))
            self._window = {
                k: torch.empty((self._length, *a.shape[1:]), dtype=a.dtype, device=device) for k, a in self._host.items()
            }

    def __contains__(self, name: str) -> bool:
        return name in self._host

    def at(self, name: str, record: int) -> torch.Tensor:
        """Where the values of this record go."""
        if record >= self._first + self._length:
            self.flush()
        self._end = record + 1
        return self._window[name][record - self._first]

    def flush(self) -> None:
        """Bring what is in the window to the host."""
        if self._window is not self._host:
            for name, host in self._host.items():
                host[self._first : self._end].copy_(self._window[name][: self._end - self._first])
            self._first = self._end


class TorchRun:
    """One ensemble on its way: rows of weights, references first and then the copies of each, and buffers for their activations.

    Parameters are those of :func:`trajlib.engines.iterate`; ``record`` holds any of loss, norm, weights, distance, gradient.
    """

    name = "torch"

    def __init__(self, gd, reference, copies, *, steps, every, record, device=None):
        net, samples = gd.network, len(gd.task.x)
        self._device = pick_device(device)
        self._n, size = reference.shape
        self._copies = 0 if copies is None else copies.shape[1]
        moved = [] if copies is None else [copies.reshape(-1, size)]
        self._w = self._place(np.concatenate([reference, *moved]))
        self._x = torch.cat([self._place(gd.task.x.T), self._new(1, samples).fill_(1.0)])
        self._y = self._place(gd.targets.T)
        lr = np.broadcast_to(gd.lr, (self._n,))
        lr = self._place(np.concatenate([lr, np.repeat(lr, self._copies)]))
        self._decay, self._divisor = gd.weight_decay, gd.divisor
        # w <- shrink w + scale (sum over the samples of the gradient's terms)
        self._shrink, self._scale = (1.0 - lr * self._decay)[:, None], -(lr / self._divisor)[:, None, None]
        self._loss, self._activation = net.loss, net.activation
        self._sizes = (net.n_inputs + 1, net.n_hidden, net.n_outputs)
        self._every = every

        records = steps // every + 1
        shapes = {
            "loss": (self._n, records),
            "norm": (self._n, records),
            "weights": (self._n, records, size),
            "distance": (self._n, self._copies, records),
        }
        self._records = _Records({k: s for k, s in shapes.items() if k in record}, self._device)
        self._gradient = self._new(self._n, size).fill_(torch.nan) if "gradient" in record else None
        self._finite = torch.zeros(len(self._w), dtype=torch.int64, device=self._device)
        self._done = 0

        d, h, c = self._sizes
        on_gpu = self._device.type == "cuda"
        budget = int(CUDA_SHARE * torch.cuda.mem_get_info(self._device)[0]) if on_gpu else CPU_BYTES
        fitting = max(1, budget // (8 * samples * (2 * h + 1 + 2 * c)))
        chunks = -(-len(self._w) // fitting)
        self._chunk = -(-len(self._w) // chunks)
        self._hidden = self._new(self._chunk, h + 1, samples).fill_(1.0)  # the last row stays 1, for the biases
        self._back = self._new(self._chunk, h, samples)
        self._outputs, self._delta = self._new(2, self._chunk, c, samples)
        # one thread, because Ctrl-C reaches the main thread only: a step is never cut in two
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="trajlib-torch")

        kind = "cuda" if on_gpu else "cpu"
        operations = len(self._w) * samples * (2 * d * h + 3 * (h + 1) * c + 30 * (h + c))
        self.seconds_per_step = operations * SECONDS_PER_OPERATION[kind] + chunks * SECONDS_PER_CALL[kind]

    def _place(self, array: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(array), dtype=torch.float64, device=self._device)

    def _new(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.float64, device=self._device)

    @property
    def description(self) -> str:
        """What ran, for the result."""
        where = str(self._device)
        if self._device.type == "cuda":
            where += f" ({torch.cuda.get_device_name(self._device)})"
        return f"torch {torch.__version__.partition('+')[0]} on {where}, float64"

    def advance(self, start: int, stop: int, last: bool) -> bool:
        """Move everything from step ``start`` to ``stop``; False if Ctrl-C came (the step range is completed all the same)."""
        future = self._worker.submit(self._advance, start, stop, last)
        undisturbed = True
        while True:
            try:
                wait([future])
                break
            except KeyboardInterrupt:
                undisturbed = False
        future.result()
        return undisturbed

    def _advance(self, start: int, stop: int, last: bool) -> None:
        for t in range(start, stop):
            self._record(t)
            self._pass(len(self._w), self._loss_at(t), self._w, self._shrink, self._scale)
            # weights that have left the finite numbers never return, so a count tells the step (and needs no look at a GPU's memory)
            self._finite += torch.linalg.vector_norm(self._w, torch.inf, dim=-1).isfinite()
        self._done = stop
        if last:
            self._record(stop)
            if self._gradient is not None:
                one = torch.ones_like(self._shrink)
                self._pass(self._n, self._loss_at(stop), self._gradient, one * self._decay, one[..., None] / self._divisor)
            elif self._loss_at(stop) is not None:
                self._pass(self._n, self._loss_at(stop))
        self._records.flush()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # the driver times the pieces

    def _record(self, t: int) -> None:
        """Record what is read off the weights alone."""
        if t % self._every:
            return
        r, reference = t // self._every, self._w[: self._n]
        if "norm" in self._records:
            self._records.at("norm", r).copy_(torch.linalg.vector_norm(reference, 1, dim=-1))
        if "weights" in self._records:
            self._records.at("weights", r).copy_(reference)
        if "distance" in self._records:
            copies = self._w[self._n :].view(self._n, self._copies, -1)
            self._records.at("distance", r).copy_(torch.cdist(reference[:, None], copies, p=1.0)[:, 0])

    def _loss_at(self, t: int) -> torch.Tensor | None:
        """Where the loss at step t goes, None where it is not wanted."""
        return self._records.at("loss", t // self._every) if t % self._every == 0 and "loss" in self._records else None

    def _pass(self, rows: int, loss=None, target=None, shrink=None, scale=None) -> None:
        """Forward and backward through the first ``rows`` networks, chunk by chunk.

        Writes the references' loss into ``loss`` and shrink * weights + scale * (sum of the gradient's terms) into ``target``, which may
        be the weights themselves; either may be None.
        """
        for i in range(0, rows, self._chunk):
            part = slice(i, min(i + self._chunk, rows))
            w = self._w[part]
            k = len(w)
            first, second = self._matrices(w)
            hidden, outputs, delta, back = (b[:k] for b in (self._hidden, self._outputs, self._delta, self._back))
            units, x = hidden[:, :-1], self._x.expand(k, -1, -1)
            _ACTIVATE[self._activation](torch.bmm(first.mT, x, out=units))
            torch.bmm(second.mT, hidden, out=outputs)
            if loss is not None and i < self._n:
                k_reference = min(k, self._n - i)
                loss[i : i + k_reference] = self._losses(w[:k_reference], outputs[:k_reference])
            if target is None:
                continue
            if self._loss == "cross_entropy":
                torch.softmax(outputs, 1, out=delta)
                delta -= self._y
            else:
                torch.sub(outputs, self._y, out=delta)
            delta *= scale[part]
            _times_slope(self._activation, torch.bmm(second[:, :-1], delta, out=back), units)
            torch.mul(w, shrink[part], out=target[part])
            to_first, to_second = self._matrices(target[part])
            to_first.baddbmm_(x, back.mT)
            to_second.baddbmm_(hidden, delta.mT)

    def _matrices(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Views [W1; b1] and [W2; b2] of flat weight vectors."""
        d, h, c = self._sizes
        return w[:, : d * h].view(-1, d, h), w[:, d * h :].view(-1, h + 1, c)

    def _losses(self, w: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        if self._loss == "cross_entropy":
            total = -(torch.log_softmax(outputs, 1).flatten(1) @ self._y.flatten())
        else:
            off = (outputs - self._y).flatten(1)
            total = 0.5 * torch.linalg.vecdot(off, off)
        return total / self._divisor + 0.5 * self._decay * torch.linalg.vecdot(w, w)

    def results(self) -> dict[str, np.ndarray]:
        """Recorded arrays, the state now (reference, copies) and the first non-finite steps, in the caller's order."""
        n, w, finite = self._n, self._w.cpu().numpy(), self._finite.cpu().numpy()
        nonfinite = np.where(finite < self._done, finite + 1, -1)
        gradient = {} if self._gradient is None else {"gradient": self._gradient.cpu().numpy()}
        return self._records.arrays | gradient | {
            "reference": w[:n],
            "copies": w[n:].reshape(n, self._copies, -1),
            "nonfinite": np.column_stack([nonfinite[:n], nonfinite[n:].reshape(n, self._copies)]),
        }  # fmt: skip


def _times_slope(activation: str, back: torch.Tensor, units: torch.Tensor) -> None:
    """Multiply ``back`` by the derivative of the activation, told from its value, in one pass."""
    if activation == "sigmoid":
        torch.ops.aten.sigmoid_backward.grad_input(back, units, grad_input=back)
    elif activation == "tanh":
        torch.ops.aten.tanh_backward.grad_input(back, units, grad_input=back)
    else:
        torch.ops.aten.threshold_backward.grad_input(back, units, 0.0, grad_input=back)
