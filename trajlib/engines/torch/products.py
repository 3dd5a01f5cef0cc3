"""A step of many networks as a few matrix products, on buffers made once: what the torch engine computes.

Activations lie as (network, unit, sample): the hidden units of all networks are the rows of one matrix, and the products with
the inputs, forward and backward, are one product each for many networks. They are cut into chunks of networks and blocks of
samples that stay in the cache while the other passes go over them. A 1 appended to the inputs carries the first biases.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from ...models.activations import ACTIVATIONS, over


class _Operations:
    """What the formulas of the table of activations are written over."""

    @staticmethod
    def sigmoid(x, zero):
        return torch.sigmoid(x)

    @staticmethod
    def tanh(x, zero):
        return torch.tanh(x)

    @staticmethod
    def where_less(a, b, if_true, if_false):
        return torch.where(torch.lt(a, b) if isinstance(a, torch.Tensor) else torch.gt(b, a), if_true, if_false)


# Faster forms, in one pass and in place, of what the table says; an activation that has none here is computed by its formulas.
ACTIVATE = {"sigmoid": torch.sigmoid_, "tanh": torch.tanh_, "relu": torch.relu_}
_TIMES_SLOPE = {
    "sigmoid": lambda g, h: torch.ops.aten.sigmoid_backward.grad_input(g, h, grad_input=g),
    "tanh": lambda g, h: torch.ops.aten.tanh_backward.grad_input(g, h, grad_input=g),
    "relu": lambda g, h: torch.ops.aten.threshold_backward.grad_input(g, h, 0.0, grad_input=g),
}
_TIMES_BEND = {
    "sigmoid": lambda g, h, out: torch.addcmul(g, g, h, value=-2.0, out=out),
    "tanh": lambda g, h, out: torch.mul(g, h, out=out).mul_(-2.0),
}


def activate(name: str, units: torch.Tensor) -> None:
    """The activation of some units, in place."""
    if name in ACTIVATE:
        ACTIVATE[name](units)
    else:
        units.copy_(over(ACTIVATIONS[name].value, _Operations)(units, 0.0))


def times_slope(name: str, g: torch.Tensor, h: torch.Tensor) -> None:
    """g times the derivative of the activation, told from its value h, in place."""
    if name in _TIMES_SLOPE:
        _TIMES_SLOPE[name](g, h)
    else:
        g.mul_(over(ACTIVATIONS[name].slope, _Operations)(h, 0.0))


def times_bend(name: str, g: torch.Tensor, h: torch.Tensor, out: torch.Tensor) -> None:
    """g times the second derivative over the first, told from the value h, into ``out``."""
    if name in _TIMES_BEND:
        _TIMES_BEND[name](g, h, out)
    else:
        torch.mul(g, over(ACTIVATIONS[name].bend, _Operations)(h, 0.0), out=out)


CPU_BYTES = 1 << 23
"""Activations that a thread holds at once: what its caches can keep between two passes of a step."""
CPU_SAMPLES = 1000
"""Samples in a block on the CPU, about: enough for the products to run at full speed."""
LEAST_SAMPLES = 250
"""Samples in a block, at least: where memory is short, fewer networks share one."""
CUDA_SHARE = 0.5
"""Activations held at once on a GPU, as a share of its free memory: there large batches are fast."""


class Samples(NamedTuple):
    """Inputs and targets on the device.

    ``x`` (samples, columns + 1) holds the inputs that are not 0 in all samples, and a last column of ones. The weights of the
    others have no part in any product, and their gradient is exactly 0; ``used`` (columns + 1,) says which remain, None for all.
    ``targets`` are (1, outputs, samples), or (networks, outputs, 1) where each has its own. ``labels`` (samples,) are the classes.
    """

    x: torch.Tensor
    used: torch.Tensor | None
    targets: torch.Tensor
    labels: torch.Tensor
    divisor: int

    def part(self, networks: slice, block: slice) -> torch.Tensor:
        """Targets of some networks on some samples."""
        return self.targets[..., block] if len(self.targets) == 1 else self.targets[networks]


class Layers(NamedTuple):
    """Weights taken apart: [W1; b1] (rows, inputs + 1, hidden), W2 (rows, hidden, outputs), b2 (rows, outputs)."""

    first: torch.Tensor
    W2: torch.Tensor
    b2: torch.Tensor


class _Chunk(NamedTuple):
    """Some networks in a step: their layers, the first one gathered; ``scale`` is None where only ``wanted`` sums are asked for."""

    networks: slice
    net: Layers
    first: torch.Tensor
    scale: torch.Tensor | None
    carried: _Carried | None
    wanted: dict[str, torch.Tensor]


class Products:
    """Losses, gradients and Hessian-vector products of rows of weights.

    Parameters
    ----------
    problem : Problem
        Sizes, activation and loss.
    samples : int
        How many the largest set has.
    rows, vectors : int
        Networks, and tangent vectors of each.
    device, dtype : torch.device, torch.dtype
        Where, and how precisely.
    """

    def __init__(self, problem, samples: int, rows: int, vectors: int, device: torch.device, dtype: torch.dtype):
        self.loss, self.activation = problem.loss, problem.activation
        d, h, c = self.sizes = problem.sizes
        self.device, self.dtype = device, dtype
        self._heights = {"units": h, "back": h, "outputs": c, "delta": c}
        if vectors:
            self._heights |= {"bend": h, "rise": vectors * h, "fall": vectors * h, "lift": vectors * c}
        on_cpu = device.type == "cpu"
        budget = max(1, (CPU_BYTES if on_cpu else self._free()) // (dtype.itemsize * sum(self._heights.values())))
        block = min(CPU_SAMPLES, samples) if on_cpu else samples
        self.chunk = _even(rows, max(1, budget // block))
        block = min(block, max(LEAST_SAMPLES, budget // self.chunk))
        self.workers = min(torch.get_num_threads(), -(-samples // block)) if on_cpu else 1
        self.block = -(-samples // _up(-(-samples // block), self.workers))
        self._pool = ThreadPoolExecutor(self.workers) if self.workers > 1 else None
        self.chunks = -(-rows // self.chunk) * -(-samples // self.block)
        self.operations = rows * (1 + vectors) * samples * (2 * d * h + 3 * h * c + 30 * (h + c))
        self.buffers = {
            name: self.new(self.workers, self.chunk * self.block * height) for name, height in self._heights.items()
        }

    def new(self, *shape: int) -> torch.Tensor:
        """Memory on the device."""
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def place(self, array: np.ndarray) -> torch.Tensor:
        """An array on the device, rounded to its precision."""
        return torch.tensor(np.ascontiguousarray(array), dtype=self.dtype, device=self.device)

    def _free(self) -> int:
        """Bytes of a GPU that activations may take."""
        kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(CUDA_SHARE * (torch.cuda.mem_get_info(self.device)[0] + kept))

    def samples(self, x: np.ndarray, targets: np.ndarray, divisor: int) -> Samples:
        """Inputs (samples, d) and targets (samples, c) or (networks, 1, c), made ready."""
        kept = np.flatnonzero(np.append((x != 0).any(axis=0), True))
        whole = len(kept) == x.shape[1] + 1
        placed = self.new(len(x), len(kept))
        placed[:, :-1] = self.place(x if whole else x[:, kept[:-1]])
        placed[:, -1] = 1.0
        y = self.place(targets.swapaxes(-1, -2))
        y = y if y.ndim == 3 else y[None]
        used = None if whole else torch.tensor(kept, device=self.device)
        return Samples(placed, used, y, y[0].argmax(0), divisor)

    def step(
        self, data: Samples, w, sums: Mapping[str, torch.Tensor], target=None, shrink=None, scale=None, vectors=None
    ) -> None:
        """Forward through networks ``w`` (rows, p), chunk by chunk and block by block; backward where there is a target.

        Parameters
        ----------
        sums : mapping
            "loss" and "correct" (some rows,): to them are added the first networks' losses and how many samples they label right.
        target : Tensor (rows, p), optional
            Becomes shrink * w + scale * (sum over the samples of the gradient's terms). May be ``w`` itself.
        shrink, scale : Tensor (rows,)
            ``shrink`` None stands for 1.
        vectors : Tensor (rows, m, p), optional
            Become shrink * v + scale * (sum of the terms of H v), in place.
        """
        rows = len(w) if target is not None else max(map(len, sums.values()), default=0)
        for part in _slices(rows, self.chunk):
            net = self.layers(w[part])
            chunk = _Chunk(
                networks=part,
                net=net,
                first=self.gathered(data, net),
                scale=None if target is None else scale[part],
                carried=None if vectors is None else _Carried(self, data, net, vectors[part]),
                wanted={name: values[part] for name, values in sums.items() if len(values) > part.start},
            )
            found = iter(self._summed(partial(self._walk, data, chunk)))
            for values in chunk.wanted.values():
                values += next(found)
            factor = None if shrink is None else shrink[part]
            if target is not None:
                self.apply(data, Layers(next(found), next(found), next(found)), w[part], target[part], factor)
            if chunk.carried is not None:
                chunk.carried.apply(Layers(next(found), next(found), next(found)), next(found), factor)

    def _summed(self, walk: Callable[[int], list[torch.Tensor]]) -> list[torch.Tensor]:
        """What the workers return, added up in their order.

        On the CPU each works through its own blocks with single-threaded calls: they wait for each other once a chunk, not at each
        call, which on a busy machine takes many times as long.
        """
        if self._pool is None:
            return walk(0)

        def alone(worker: int):
            torch.set_num_threads(1)  # of this thread or of all, depending on the version
            return walk(worker)

        with _threads_put_back():
            total, *others = self._pool.map(alone, range(self.workers))
        for other in others:
            for a, b in zip(total, other, strict=True):
                a += b
        return total

    def _walk(self, data: Samples, chunk: _Chunk, worker: int) -> list[torch.Tensor]:
        """Sums over the blocks of one worker: what is wanted, and the terms of the gradient and of the H v."""
        net, scale, carried = chunk.net, chunk.scale, chunk.carried
        measured = {name: torch.zeros_like(values) for name, values in chunk.wanted.items()}
        total = None if scale is None else self.zeros(data, len(net.b2))
        moved = None if carried is None else carried.zeros()
        for block in _slices(len(data.x), self.block, worker, self.workers):
            x, y = data.x[block], data.part(chunk.networks, block)
            use = self.views(worker, len(net.b2), len(x))
            units, back, outputs, delta = (use[name] for name in ("units", "back", "outputs", "delta"))
            torch.mm(chunk.first, x.T, out=units.flatten(0, 1))
            activate(self.activation, units)
            torch.baddbmm(net.b2[..., None], net.W2.mT, units, out=outputs)
            self._measure(data, data.labels[block], outputs, y, measured)
            if total is None or scale is None:
                continue
            if self.loss == "cross_entropy":
                torch.softmax(outputs, 1, out=delta)
                delta -= y
            else:
                torch.sub(outputs, y, out=delta)
            delta *= scale[:, None, None]  # everything below is linear in it, and it is the smallest array
            torch.bmm(net.W2, delta, out=back)
            if carried is not None:
                carried.add(moved, x, scale, use)
            times_slope(self.activation, back, units)
            total.first.addmm_(back.flatten(0, 1), x)
            total.W2.baddbmm_(delta, units.mT)
            total.b2.add_(delta.sum(-1))
        return [*measured.values(), *(total or ()), *(moved or ())]

    def _measure(self, data: Samples, labels, outputs, y, sums: Mapping[str, torch.Tensor]) -> None:
        """Add losses, and numbers of samples labelled correctly (nan where outputs overflow)."""
        if "loss" in sums:
            some, loss = outputs[: len(sums["loss"])], sums["loss"]
            y = y[: len(some)]
            if self.loss == "cross_entropy":
                total = -torch.linalg.vecdot(torch.log_softmax(some, 1).flatten(1), y.flatten(1))
            else:
                off = (some - y).flatten(1)
                total = 0.5 * torch.linalg.vecdot(off, off)
            loss += total / data.divisor
        if "correct" in sums:
            some = outputs[: len(sums["correct"])]
            sums["correct"] += (some.argmax(1) == labels).sum(-1) + 0.0 * some.sum((1, 2))

    def layers(self, w: torch.Tensor) -> Layers:
        """Views of flat rows (rows, p)."""
        (d, h, c), cut = self.sizes, (self.sizes[0] + 1) * self.sizes[1]
        return Layers(w[:, :cut].view(len(w), d + 1, h), w[:, cut:-c].view(len(w), h, c), w[:, -c:])

    def gathered(self, data: Samples, net: Layers) -> torch.Tensor:
        """The first layer's weights as a matrix (rows * hidden, columns)."""
        first = net.first if data.used is None else net.first.index_select(1, data.used)
        return first.mT.reshape(len(first) * first.shape[2], first.shape[1])

    def views(self, worker: int, rows: int, samples: int) -> dict[str, torch.Tensor]:
        """A worker's buffers as (rows, height, samples)."""
        return {
            name: buffer[worker, : rows * self._heights[name] * samples].view(rows, self._heights[name], samples)
            for name, buffer in self.buffers.items()
        }

    def zeros(self, data: Samples, rows: int) -> Layers:
        """For sums of a gradient's terms: [W1; b1] as in ``gathered``, W2 (rows, outputs, hidden), b2."""
        _, h, c = self.sizes
        shapes = (rows * h, data.x.shape[1]), (rows, c, h), (rows, c)
        return Layers(*(self.new(*shape).zero_() for shape in shapes))

    def apply(self, data: Samples, total: Layers, old: torch.Tensor, new: torch.Tensor, shrink) -> None:
        """new = shrink * old + total, for flat rows (rows, p)."""
        if shrink is not None:
            torch.mul(old, shrink[:, None], out=new)
        elif new.data_ptr() != old.data_ptr():
            new.copy_(old)
        to = self.layers(new)
        first = total.first.view(len(new), self.sizes[1], total.first.shape[1]).mT
        to.first.add_(first) if data.used is None else to.first.index_add_(1, data.used, first)
        to.W2.add_(total.W2.mT)
        to.b2.add_(total.b2)


class _Carried:
    """Tangent vectors (k, m, p) of a chunk of k networks, and the sums of H v: Pearlmutter's R operator, block by block."""

    def __init__(self, products: Products, data: Samples, net: Layers, vectors: torch.Tensor):
        self._products, self._data = products, data
        self._rows = vectors.view(-1, vectors.shape[2])
        k, m = vectors.shape[:2]
        _, h, c = products.sizes
        along = products.layers(self._rows)
        self._first = products.gathered(data, along)
        # those of a network side by side: one product where its own activations come in
        self._W2, self._W2T, self._b2 = (
            along.W2.reshape(k, m * h, c),
            along.W2.mT.reshape(k, m * c, h),
            along.b2.reshape(k, m * c, 1),
        )
        self._net_W2 = net.W2.repeat_interleave(m, 0)

    def zeros(self) -> tuple[torch.Tensor, ...]:
        """For sums: those of ``Products.zeros``, and the part of W2's (k, outputs, m * hidden) from changes of the hidden units."""
        (_, h, c), rows = self._products.sizes, len(self._rows)
        mixed = self._products.new(len(self._W2), c, rows // len(self._W2) * h).zero_()
        return *self._products.zeros(self._data, rows), mixed

    def add(self, sums, x, scale, use: dict[str, torch.Tensor]) -> None:
        """Add the terms of a block. In ``use`` delta is scaled already; back is W2 delta, without the activation's slope."""
        products, (first, W2, b2, mixed) = self._products, sums
        units, back, outputs, delta, bend, rise, fall, lift = use.values()
        (k, h, b), (_, c, _) = units.shape, outputs.shape
        m = len(self._rows) // k
        name, by_vector = products.activation, (k, m, h, b)
        # forward: the hidden units and the outputs change by rise and lift
        torch.mm(self._first, x.T, out=rise.view(k * m * h, b))
        times_slope(name, rise.view(by_vector), units[:, None])
        torch.baddbmm(self._b2, self._W2T, units, out=lift)
        each = lift.view(k * m, c, b).baddbmm_(self._net_W2.mT, rise.view(k * m, h, b))
        # backward: so do the outputs' residuals, and what comes down from them
        lift = lift.view(k, m, c, b)
        if products.loss == "cross_entropy":
            q = torch.softmax(outputs, 1)[:, None]
            lift -= (lift * q).sum(2, keepdim=True)
            lift *= q
        lift *= scale[:, None, None, None]
        torch.bmm(self._W2, delta, out=fall)
        fall.view(k * m, h, b).baddbmm_(self._net_W2, each)
        times_slope(name, fall.view(by_vector), units[:, None])
        if ACTIVATIONS[name].curved:
            times_bend(name, back, units, bend)
            fall.view(by_vector).addcmul_(bend[:, None], rise.view(by_vector))
        first.addmm_(fall.view(k * m * h, b), x)
        W2.view(k, m * c, h).baddbmm_(each.view(k, m * c, b), units.mT)
        mixed.baddbmm_(delta, rise.mT)
        b2.add_(each.sum(-1))

    def apply(self, total: Layers, mixed: torch.Tensor, shrink) -> None:
        """Move the vectors."""
        (_, h, c), k = self._products.sizes, len(mixed)
        m = len(self._rows) // k
        total.W2.view(k, m, c, h).add_(mixed.view(k, c, m, h).transpose(1, 2))
        shrink = None if shrink is None else shrink.repeat_interleave(m)
        self._products.apply(self._data, total, self._rows, self._rows, shrink)


_lock, _inside, _threads = threading.Lock(), 0, 1


@contextmanager
def _threads_put_back():
    """PyTorch's number of threads is afterwards what it was before, also where several runs overlap."""
    global _inside, _threads
    with _lock:
        if not _inside:
            _threads = torch.get_num_threads()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                torch.set_num_threads(_threads)


def _even(total: int, most: int) -> int:
    """The size of equal parts, none larger than ``most``."""
    return -(-total // -(-total // most))


def _up(number: int, divisor: int) -> int:
    """The next multiple."""
    return -(-number // divisor) * divisor


def _slices(total: int, size: int, first: int = 0, every: int = 1) -> Iterator[slice]:
    """Parts of a size, or every so many-th of them."""
    return (slice(i, min(i + size, total)) for i in range(first * size, total, every * size))
