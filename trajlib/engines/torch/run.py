"""The torch engine, for large networks: ensembles as a few matrix products, on the CPU or a GPU.

An ensemble is rows of weights, all references before all copies (or tangent vectors). ``products`` computes a step; here it is
driven and recorded. float64 unless float32 is asked for. BLAS chooses the order of sums: reproducible to rounding only.
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

from .. import RESOLVED, WIPED_OUT, is_state, time_axis
from .products import Products

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
    """One ensemble on its way: rows of weights, and what is recorded of them.

    Parameters are those of :func:`trajlib.engines.iterate`; ``record`` holds any of loss, norm, weights, distance, gradient,
    accuracy, test_loss, test_accuracy, and copy_loss and so on for the copies. With ``tangent`` the copies are tangent vectors,
    and distance holds their L1 norms; they are made orthonormal after every ``interval``-th step, as in the fused engine.
    """

    name = "torch"

    def __init__(
        self,
        problem,
        reference,
        copies,
        *,
        steps,
        every,
        record,
        snapshot=1,
        device=None,
        tangent=False,
        interval=0,
        orthonormal=False,
        dtype="float64",
    ):
        self._device = pick_device(device)
        self._n, size = reference.shape
        problem = problem.rows((self._n,))
        self._copies = 0 if copies is None else copies.shape[1]
        self._tangent, self._interval = tangent, interval
        followers = 0 if tangent else self._copies
        test = problem.test if any("test_" in name for name in record) else None
        largest = max(len(problem.x), 0 if test is None else len(test[0]))
        vectors = self._copies if tangent else 0
        self._products = Products(
            problem, largest, self._n * (1 + followers), vectors, self._device, getattr(torch, dtype)
        )
        place = self._products.place
        moved = [] if copies is None else [copies.reshape(-1, size)]
        self._w = place(np.concatenate([reference, *moved]))
        targets, rates = problem.targets, np.broadcast_to(problem.rate, (self._n,))
        if problem.own_targets:
            targets = np.concatenate([targets, np.repeat(targets, followers, axis=0)])
        self._train = self._products.samples(problem.x, targets, problem.divisor)
        self._test = None if test is None else self._products.samples(*test)
        rates = np.concatenate([rates, np.repeat(rates, followers)])
        self._decay = problem.decay
        # a step is w <- shrink * w + scale * (sum of the gradient's terms)
        self._shrink = place(1.0 - rates * self._decay) if self._decay else None
        self._scale = place(-rates / problem.divisor)

        self._every, self._snapshot, records = every, snapshot, steps // every + 1
        states = steps // snapshot + 1
        one, each = (self._n, records), (self._n, self._copies, records)
        self._out: dict[str, np.ndarray] = {}
        if "copy_weights" in record:  # one array with those of the references
            self._out["snapshots"] = whole = np.full((self._n, 1 + self._copies, states, size), np.nan)
            self._out |= {"weights": whole[:, 0], "copy_weights": whole[:, 1:]}
        elif "weights" in record:
            self._out["weights"] = np.full((self._n, states, size), np.nan)
        for name in record - {"weights", "copy_weights", "gradient", "triangle"}:
            self._out[name] = np.full(each if time_axis(name) == 2 else one, np.nan)
        self._pending: dict[str, tuple[list[int], list[torch.Tensor]]] = {}
        self._waiting, self._waits = 0, self._device.type != "cpu"
        self._gradient = self._products.new(self._n, size) if "gradient" in record else None
        self._finite = torch.zeros(len(self._w), dtype=torch.int64, device=self._device)
        self._done = 0
        growth = (self._n, self._copies, steps // every if interval else 0)
        self._growth = torch.zeros(growth, dtype=torch.float64, device=self._device)
        self._orthonormal = orthonormal
        if "triangle" in record:
            self._out["triangle"] = np.zeros((self._n, steps // interval, self._copies, self._copies))
        kind, work = self._device.type, self._products
        self.seconds_per_step = work.operations * SECONDS_PER_OPERATION[kind] + work.chunks * SECONDS_PER_CHUNK[kind]

    @property
    def description(self) -> str:
        """What ran, for the result."""
        where = str(self._device)
        if self._device.type == "cuda":
            where += f" ({torch.cuda.get_device_name(self._device)})"
        return f"torch {torch.__version__.partition('+')[0]} on {where}, {str(self._products.dtype).removeprefix('torch.')}"

    @property
    def _others(self) -> torch.Tensor:
        """Copies or tangent vectors, (networks, copies, parameters)."""
        return self._w[self._n :].view(self._n, self._copies, self._w.shape[1])

    def advance(self, start: int, stop: int, last: bool) -> None:
        """Move everything from step ``start`` to ``stop``; if ``last``, record the state there too."""
        if start == 0 and self._interval and not self._orthonormal:
            self._orthonormalise()
        for t in range(start, stop):
            sums = self._record(t)
            moving, vectors = (self._w[: self._n], self._others) if self._tangent else (self._w, None)
            self._products.step(self._train, moving, sums, moving, self._shrink, self._scale, vectors)
            self._keep("", t, sums, self._train)
            # weights that have left the finite numbers never return: a count tells the step, with no wait
            self._finite += torch.linalg.vector_norm(self._w, torch.inf, dim=-1).isfinite()
            if self._interval and (t + 1) % self._interval == 0:
                self._growth[..., t // self._every] += self._orthonormalise(t // self._interval)
        self._done = stop
        if last:
            sums, gradient = self._record(stop), self._gradient
            self._products.step(self._train, self._w, sums)
            self._keep("", stop, sums, self._train)
            if gradient is not None:
                one = torch.ones_like(self._scale[: self._n])
                decay, share = one * self._decay, one / self._train.divisor
                self._products.step(self._train, self._w[: self._n], {}, gradient, decay, share)
        self._flush()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # the driver times the pieces

    def _orthonormalise(self, number: int | None = None) -> torch.Tensor:
        """Make the tangent vectors of each network orthonormal; return the logarithms of the diagonal of R, and keep R if asked."""
        q, r = torch.linalg.qr(self._others.mT)
        diagonal = r.diagonal(dim1=-2, dim2=-1).double()
        size = diagonal.abs()
        gone = size < WIPED_OUT
        sign = diagonal.sign()
        self._others.copy_((q * sign.masked_fill(gone, 0.0)[:, None].to(q.dtype)).mT)
        if number is not None and "triangle" in self._out:
            self._put("triangle", number, r * sign[..., None].to(r.dtype))
        lost = (size < RESOLVED * size.amax(dim=-1, keepdim=True)) & ~gone
        return size.masked_fill(gone, 0.0).log().masked_fill(lost, torch.nan)

    def prepare(self) -> None:
        """Nothing."""

    def _record(self, t: int) -> dict[str, torch.Tensor]:
        """Record what is known before a step; return zeros to which the step adds what else is wanted of this state."""
        reference = self._w[: self._n]
        if t % self._snapshot == 0 and "weights" in self._out:
            self._put("weights", t, reference)
        if t % self._snapshot == 0 and "copy_weights" in self._out:
            self._put("copy_weights", t, self._others)
        if t % self._every:
            return {}
        if "norm" in self._out:
            self._put("norm", t, torch.linalg.vector_norm(reference, 1, dim=-1, dtype=torch.float64))
        if "distance" in self._out:
            if self._tangent:
                distance = torch.linalg.vector_norm(self._others, 1, dim=-1, dtype=torch.float64)
            else:
                distance = torch.cdist(reference[:, None].double(), self._others.double(), p=1.0)[:, 0]
            self._put("distance", t, distance)
        if self._test is not None:
            sums = self._sums("test_")
            self._products.step(self._test, self._w, sums)
            self._keep("test_", t, sums, self._test)
        return self._sums("")

    def _sums(self, part: str) -> dict[str, torch.Tensor]:
        """Zeros for the losses and the hits of the references, and of the copies where theirs are recorded."""
        sums = {}
        for name, key in (("loss", "loss"), ("accuracy", "correct")):
            if f"copy_{part}{name}" in self._out or part + name in self._out:
                rows = len(self._w) if f"copy_{part}{name}" in self._out else self._n
                sums[key] = torch.zeros(rows, dtype=torch.float64, device=self._device)
        if "loss" in sums and self._decay and not part:
            w = self._w[: len(sums["loss"])]
            sums["loss"] += 0.5 * self._decay * torch.linalg.vecdot(w, w)
        return sums

    def _keep(self, part: str, t: int, sums: dict[str, torch.Tensor], data) -> None:
        """Record what a pass over the samples has added up."""
        for key, value in sums.items():
            name = part + ("loss" if key == "loss" else "accuracy")
            value = value if key == "loss" else value / len(data.x)
            if name in self._out:
                self._put(name, t, value[: self._n])
            if f"copy_{name}" in self._out:
                self._put(f"copy_{name}", t, value[self._n :].view(self._n, self._copies))

    def _put(self, name: str, t: int, value: torch.Tensor) -> None:
        """Record a value of step t (a triangle by its number); on a GPU, which would have to be waited for, at the end of the piece."""
        out = self._out[name]
        record = t if name == "triangle" else t // (self._snapshot if is_state(name) else self._every)
        if not self._waits:
            torch.from_numpy(out[:, :, record] if time_axis(name) == 2 else out[:, record]).copy_(value)
            return
        records, values = self._pending.setdefault(name, ([], []))
        records.append(record)
        values.append(value.clone())
        self._waiting += value.nbytes
        if self._waiting > PENDING_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Bring what waits on the device over: one copy for each kind of record."""
        for name, (records, values) in self._pending.items():
            axis, first = 2 if time_axis(name) == 2 else 1, records[0]
            among = slice(first, first + len(records))  # one after the other, as they were made
            whole = torch.from_numpy(self._out[name][:, :, among] if axis == 2 else self._out[name][:, among])
            whole.copy_(torch.stack(values, dim=axis))
        self._pending.clear()
        self._waiting = 0

    def results(self) -> dict[str, np.ndarray]:
        """Recorded arrays, the state now (reference, copies) and the first non-finite steps."""
        n, m, w, finite = self._n, self._copies, self._w.double().cpu().numpy(), self._finite.cpu().numpy()
        first = np.where(finite < self._done, finite + 1, -1)
        out = self._out if self._gradient is None else self._out | {"gradient": self._gradient.double().cpu().numpy()}
        return out | {
            "reference": w[:n],
            "copies": w[n:].reshape(n, m, w.shape[1]),
            "growth": self._growth.cpu().numpy(),
            "nonfinite": np.column_stack([first[:n], first[n:].reshape(n, m)]),
        }
