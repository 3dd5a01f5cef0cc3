"""A torch.nn.Module's loss as a function of flat weight vectors: its gradient and Hessian-vector products for many networks at once.

The module itself is never touched: a copy of it, in float64, is called with the weights of each network in the place of its own. What is
random in it, such as dropout, is a function of a seed and of the step's number, the same for all networks.
"""

from __future__ import annotations

import copy
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from .. import _validate
from .perceptron_module import PerceptronModule, as_module
from .samples import Samples, class_scores, read, usual_loss
from .trial import check_labels, check_loss, check_scalar, check_twice, explained, to_train

__all__ = ["MEMORY", "METHODS", "ModuleLoss", "PerceptronModule", "as_module"]

MEMORY = 1 << 28
"""Bytes that the networks and tangent vectors of one call may take."""
METHODS = ("forward", "backward")
"""How Hessian-vector products are made: by forward differentiation of the gradient, or by differentiating it backwards once more."""
LONG = 0.1
"""Seconds of a call which is timed once: nothing else weighs as much."""
OF_ITSELF: tuple[tuple[str, type[Warning]], ...] = (
    ("There is a performance drop", UserWarning),
    ("An output with one or more elements was resized", UserWarning),
    (".*torch.jit", DeprecationWarning),
)
"""Warnings that torch gives because of what torch does, when it differentiates forwards."""
_LOCK = threading.RLock()
"""torch's random numbers and its choice of kernels are global: one call at a time."""


class ModuleLoss:
    """The loss of a module on samples, as a function of its flat weights.

    A weight vector holds the parameters that are to be trained (``requires_grad``), in the order of ``named_parameters()``, tied ones once.
    Arrays that go in and come out are NumPy's, float64.

    Parameters
    ----------
    module : torch.nn.Module
        Copied as it is now: later changes of it, ``eval()`` among them, are not seen. Parameters that are not trained and buffers keep
        their values. Batch normalisation in training mode uses the statistics of the batch and keeps no running ones.
    task : Task, tuple, object
        As ``trajlib.dynamics.samples.read`` takes it.
    loss : callable, optional
        ``loss(output, target)``, a scalar tensor; by default cross entropy where targets are integers, else the mean squared error.
    device : str, optional
        Where it is computed; where the module is by default.
    seed : int
        Of dropout's masks, together with the step.
    batch_size, replacement : int, bool
        Of the minibatches: the module is tried on the smallest of them.
    memory : int
        Bytes that one call may take.
    method : {"auto", "forward", "backward"}
        One of ``METHODS``; ``auto`` measures once which is faster, and takes the other where one fails.

    Attributes
    ----------
    converted : bool
        Whether the module is in another precision than float64, in which its copy is computed.
    vectorised : bool
        Whether the networks of an ensemble are computed together, by ``torch.func.vmap``; if not, one after the other: convolutions,
        which are faster so, modules that draw random numbers, and those that ``vmap`` refuses, such as LSTMs and control flow that
        depends on data.
    random : bool
        Whether the module draws random numbers, as dropout does in training mode. Hessian-vector products are made backwards then.
    method : str or None
        How Hessian-vector products are made; None until the first ones.

    Raises
    ------
    TypeError, ValueError
        If there is nothing to train, or the loss is no scalar of float64.
    """

    def __init__(
        self, module: torch.nn.Module, task: Any, loss: Callable | None = None, *, device: Any = None, seed: int = 0,
        batch_size: int | None = None, replacement: bool = False, memory: int = MEMORY, method: str = "auto",
    ):  # fmt: skip
        check_loss(loss)
        if method not in ("auto", *METHODS):
            raise ValueError(f"method must be one of 'auto', 'forward', 'backward', got {_validate.shown(method)}")
        trained = to_train(module)
        self.device = _device(trained[0][1].device if device is None else device)
        self.names = [name for name, _ in trained]
        self._shapes = [p.shape for _, p in trained]
        self._sizes = [p.numel() for _, p in trained]
        self.n_parameters = sum(self._sizes)
        self.converted = any(p.dtype != torch.float64 for p in module.parameters())
        place = {id(p): name for name, p in trained}
        self._tied = {n: place[id(p)] for n, p in module.named_parameters(remove_duplicate=False) if id(p) in place}
        self._state = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self._module = self._copied(module)
        self._buffers = dict(self._module.named_buffers())
        if loss is None and isinstance(module, PerceptronModule):
            loss = module.loss
        self._loss = usual_loss if loss is None else loss
        if isinstance(loss, torch.nn.Module):
            self._loss = copy.deepcopy(loss).to(self.device, torch.float64)
        self._seed, self._memory, self._asked, self._time = seed, memory, method, 0
        self.samples: Samples = read(task, self.device, seed)
        self.method: str | None = None if method == "auto" else method
        self.vectorised = not any(isinstance(m, torch.nn.modules.conv._ConvNd) for m in self._module.modules())
        self._sure = False  # of the method
        self._together = True  # whether vectors go backwards together
        self._try(batch_size, replacement)

    def _copied(self, module: torch.nn.Module) -> torch.nn.Module:
        """A copy in float64, whose batch normalisations in training mode keep no running statistics."""
        try:
            own = copy.deepcopy(module)
        except Exception as error:
            error.add_note("the module is copied, and could not be: give one that copy.deepcopy can copy")
            raise
        own = own.to(self.device, torch.float64)
        for part in own.modules():
            if isinstance(part, torch.nn.modules.batchnorm._NormBase) and part.training and part.track_running_stats:
                part.track_running_stats = False
                part.running_mean = part.running_var = part.num_batches_tracked = None
        return own

    def __getstate__(self):
        return self.__dict__ | {"_loss": None if self._loss is usual_loss else self._loss}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._loss = self._loss or usual_loss

    # ---------------------------------------------------------------- the loss, of tensors

    def _outputs(self, w: torch.Tensor, x: torch.Tensor) -> Any:
        """What the module gives for one weight vector."""
        parts = {n: v.view(s) for n, v, s in zip(self.names, w.split(self._sizes), self._shapes, strict=True)}
        buffers = {name: value.clone() for name, value in self._buffers.items()}
        return functional_call(self._module, parts | buffers, (x,))

    def _one(self, w: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Loss of one weight vector, ()."""
        return self._loss(self._outputs(w, x), y)

    def _losses(self, w: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Losses of weight vectors (n, P), (n,)."""
        return self._mapped(self._one, w, x, y)

    def _mapped(self, function: Callable, w: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        if self.vectorised and len(w) > 1:
            self._shake()
            return vmap(function, (0, *(None for _ in rest)), randomness="same")(w, *rest)
        found = []
        for one in w:
            self._shake()
            found.append(function(one, *rest))
        return torch.stack(found)

    def _shake(self) -> None:
        """Put torch's generators where the step has them."""
        mixed = int(np.random.SeedSequence([self._seed, self._time]).generate_state(1, np.uint64)[0]) >> 1
        torch.default_generator.manual_seed(mixed)
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(mixed)

    def _drawn(self) -> torch.Tensor:
        """The state of the generator that the module draws from."""
        return torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else torch.random.get_rng_state()

    @contextmanager
    def _at(self, t: int) -> Iterator[None]:
        """What is global in torch, as this needs it; as it was, afterwards."""
        devices = [self.device] if self.device.type == "cuda" else []
        fast = torch.backends.mha.get_fastpath_enabled()
        with _LOCK, torch.random.fork_rng(devices=devices), sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
            for message, category in OF_ITSELF:
                warnings.filterwarnings("ignore", message, category)
            self._time = t
            torch.backends.mha.set_fastpath_enabled(False)
            try:
                yield
            finally:
                torch.backends.mha.set_fastpath_enabled(fast)

    def _try(self, batch_size: int | None, replacement: bool) -> None:
        """Call the module on the smallest batch, with a gradient: what is wrong comes up here, and what a network takes is measured."""
        n = len(self.samples.x)
        size = n if batch_size is None else batch_size if replacement else n % batch_size or batch_size
        x, y = self.samples.x[:size], self.samples.y[:size]
        held = 0

        def count(value):
            nonlocal held
            held += value.numel() * value.element_size()
            return value

        w = self._flat_tensor(dict(self._module.named_parameters()))
        with self._at(0):
            w = w.requires_grad_()
            with explained(x, y):
                if self._loss is usual_loss and not y.is_floating_point():
                    self._shake()
                    with torch.no_grad():
                        out = self._outputs(w, x)
                    if isinstance(out, torch.Tensor):
                        check_labels(class_scores(out, y)[0], self.samples.y)
                self._shake()
                before = self._drawn()
                with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
                    loss = self._one(w, x, y)
                self.random = not torch.equal(before, self._drawn())
                check_scalar(loss)
                self._shake()
                again = self._one(w, x, y)
                check_twice(loss, again)
                torch.autograd.grad(again, w)
            self._bytes = held
            self._rows = len(x)
            if self.random:  # what is drawn depends on the order of numbers in memory, which vmap and jvp change
                if self.method == "forward":
                    raise ValueError(
                        "method must be 'auto' or 'backward' for a module that draws random numbers, got 'forward'"
                    )
                self.vectorised, self.method = False, "backward"
            if self.vectorised:
                try:
                    both = torch.stack([w.detach(), w.detach()]).requires_grad_()
                    torch.autograd.grad(self._losses(both, x, y).sum(), both)
                except Exception:  # whatever vmap does not know: one after the other, then
                    self.vectorised = False

    # ---------------------------------------------------------------- what the maps take

    def loss(self, w: np.ndarray, t: int = 0, indices: np.ndarray | None = None) -> np.ndarray:
        """Loss of weights (n, P) on all samples, or on those of ``indices``, with the masks of step t: (n,)."""
        x, y = self._batch(indices)
        with self._at(t), torch.no_grad():
            return self._gathered(lambda rows: self._losses(self._place(w[rows]), x, y), len(w), len(x))

    def gradient(self, w: np.ndarray, t: int = 0, indices: np.ndarray | None = None) -> np.ndarray:
        """Gradient of the loss, (n, P)."""
        x, y = self._batch(indices)
        with self._at(t):
            return self._gathered(lambda rows: self._slope(self._place(w[rows]), x, y)[0], len(w), len(x))

    def products(
        self, w: np.ndarray, V: np.ndarray, t: int = 0, indices: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (n, P), and the Hessian times vectors V (n, k, P) for which no matrix is formed: (n, k, P)."""
        x, y = self._batch(indices)
        n, k = V.shape[:2]
        gradients, out = [], np.empty(V.shape)
        if not n or not k:
            return self.gradient(w, t, indices), out
        together, rows = self._at_once(k, len(x))
        with self._at(t):
            for i in range(0, n, rows):
                states, vectors = self._place(w[i : i + rows]), self._place(V[i : i + rows].swapaxes(0, 1))
                if not self._sure:
                    self._choose(states, vectors, x, y, together)
                g, h = self._by(self.method)(states, vectors, x, y, together)
                gradients.append(g.cpu().numpy())
                out[i : i + rows] = h.cpu().numpy().swapaxes(0, 1)
        return np.concatenate(gradients), out

    def products_at(self, w: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """The Hessians at weights w (n, P), as a function of vectors (n, k, P). Where they are made backwards and memory holds the
        graph of the gradients, that is kept, and a product costs the way back through it alone."""
        x, y = self._batch(None)
        kept: list[tuple[torch.Tensor, torch.Tensor]] = []

        def product(V: np.ndarray) -> np.ndarray:
            together, rows = self._at_once(V.shape[1], len(x))
            if not self._sure or self.method == "forward" or not 0 < len(w) <= rows:
                return self.products(w, V)[1]
            with self._at(0):
                if not kept:
                    kept.append(self._slope(self._place(w), x, y, graph=True))
                back = self._back(*kept[0], self._place(V.swapaxes(0, 1)), together)
                return back.cpu().numpy().swapaxes(0, 1)

        return product

    def outputs(self, w: np.ndarray, split: str = "train") -> np.ndarray:
        """Outputs (n, samples, ...) of weights (n, P) on the training or the test part, without dropout."""
        x, _ = self.samples.part(split)
        with self._at(0), self._still(), torch.no_grad():
            return self._gathered(lambda rows: self._mapped(self._shown, self._place(w[rows]), x), len(w), len(x))

    def accuracy(self, w: np.ndarray, split: str = "test") -> np.ndarray:
        """Fraction of samples (or of their places) labelled correctly, (n,), without dropout; nan where outputs are not finite."""
        x, y = self.samples.part(split)
        if y.is_floating_point():
            raise ValueError("accuracy needs labels as targets, integers, and they are values to regress on")

        def right(one: torch.Tensor) -> torch.Tensor:
            scores, labels = class_scores(self._shown(one, x), y)
            share = (scores.argmax(dim=1) == labels).double().mean()
            return torch.where(torch.isfinite(scores).all(), share, torch.nan)

        with self._at(0), self._still(), torch.no_grad():
            return self._gathered(lambda rows: self._mapped(right, self._place(w[rows])), len(w), len(x))

    def test_loss(self, w: np.ndarray) -> np.ndarray:
        """Loss on the test part, (n,), without dropout."""
        x, y = self.samples.part("test")
        with self._at(0), self._still(), torch.no_grad():
            return self._gathered(lambda rows: self._losses(self._place(w[rows]), x, y), len(w), len(x))

    def _shown(self, w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        out = self._outputs(w, x)
        if not isinstance(out, torch.Tensor):
            raise ValueError(f"this needs a module that gives one tensor, got {type(out).__name__}")
        return out

    @contextmanager
    def _still(self) -> Iterator[None]:
        """In evaluation mode but for normalisations, which have no running statistics."""
        modes = [(part, part.training) for part in self._module.modules()]
        try:
            for part, _ in modes:
                if not isinstance(part, torch.nn.modules.batchnorm._NormBase):
                    part.training = False
            yield
        finally:
            for part, mode in modes:
                part.training = mode

    # ---------------------------------------------------------------- derivatives, of tensors

    def _slope(self, w: torch.Tensor, x, y, graph: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradients (n, P) of weights (n, P), and the weights that they hang on: the loss of one does not know of the others."""
        w = w.detach().requires_grad_()
        return torch.autograd.grad(self._losses(w, x, y).sum(), w, create_graph=graph)[0], w

    def _by(self, method: str | None) -> Callable:
        return self._forward if method == "forward" else self._backward

    def _forward(self, w, V, x, y, together: int) -> tuple[torch.Tensor, torch.Tensor]:
        slope = grad(lambda some: self._losses(some, x, y).sum())

        def along(v):
            return jvp(slope, (w,), (v,))

        every = vmap(along, randomness="same")
        found = [every(v) if len(v) > 1 else [part[None] for part in along(v[0])] for v in V.split(together)]
        return found[0][0][0].detach(), torch.cat([part for _, part in found]).detach()

    def _backward(self, w, V, x, y, together: int) -> tuple[torch.Tensor, torch.Tensor]:
        g, w = self._slope(w, x, y, graph=True)
        if not self._sure and g.requires_grad:
            _whole(g)
        return g.detach(), self._back(g, w, V, together)

    def _back(self, g, w, V, together: int) -> torch.Tensor:
        """Hessian times vectors V (k, n, P), from gradients g and the weights w that they hang on."""
        if not g.requires_grad:
            return torch.zeros_like(V)
        options: dict[str, Any] = {"retain_graph": True, "materialize_grads": True}
        parts = []
        for v in V.split(together if self._together else 1):
            if len(v) > 1:
                try:
                    parts.append(torch.autograd.grad(g, w, v, is_grads_batched=True, **options)[0])
                    continue
                except RuntimeError:
                    self._together = False
            parts += [torch.autograd.grad(g, w, one, **options)[0][None] for one in v]
        return torch.cat(parts)

    def _choose(self, w, V, x, y, together: int) -> None:
        """Find the faster of the methods, on some of the networks and vectors at hand; it is kept from there on."""
        w, V = w[:4], V[:8, :4]
        times: dict[str, float] = {}
        reasons = {}
        for method in METHODS if self.method is None else (self.method,):
            try:
                # the first call sets things up; what else the machine does may fall into one of the others
                for call in range(4):
                    began = time.perf_counter()
                    self._by(method)(w, V, x, y, together)
                    taken = time.perf_counter() - began
                    times[method] = min(times.get(method, taken), taken)
                    if call and taken > LONG:
                        break
            except Exception as error:
                times.pop(method, None)
                reasons[method] = (
                    f"{method}: {type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"
                )
        if not times:
            raise NotImplementedError(
                "the module has no second derivative, which tangent vectors and Hessians need: some operation of it can be "
                f"differentiated once only ({'; '.join(reasons.values())}); write that operation in others, or use train and diverge, "
                "which need none"
            )
        self.method, self._sure = min(times, key=lambda name: times[name]), True

    # ---------------------------------------------------------------- arrays and tensors

    def _place(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(array, dtype=np.float64, order="C")).to(self.device)

    def _batch(self, indices: np.ndarray | None) -> tuple[torch.Tensor, torch.Tensor]:
        if indices is None:
            return self.samples.x, self.samples.y
        chosen = torch.from_numpy(np.asarray(indices)).to(self.device)
        return self.samples.x[chosen], self.samples.y[chosen]

    def _needed(self, samples: int) -> int:
        """Bytes that a network takes, roughly: what is kept for its gradient, and a few weight vectors."""
        return max(1, self._bytes * samples // self._rows + 8 * 4 * self.n_parameters)

    def _at_once(self, k: int, samples: int) -> tuple[int, int]:
        """Of k vectors and any number of networks, how many of each memory holds at a time."""
        needed = self._needed(samples)
        together = max(1, min(k, self._memory // needed // 2 - 1))
        return together, max(1, self._memory // (needed * 2 * (1 + together)))

    def _gathered(self, of: Callable[[slice], torch.Tensor], n: int, samples: int) -> np.ndarray:
        """The parts of an ensemble, so many networks at a time that memory holds them."""
        rows = max(1, self._memory // (2 * self._needed(samples)))
        parts = [of(slice(i, min(n, i + rows))).detach().cpu().numpy() for i in range(0, n, rows)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _flat_tensor(self, named: dict[str, torch.Tensor]) -> torch.Tensor:
        parts = []
        for name, shape in zip(self.names, self._shapes, strict=True):
            if name not in named or named[name].shape != shape:
                got = f"of shape {tuple(named[name].shape)}" if name in named else "missing"
                raise ValueError(f"parameter {name!r} must have shape {tuple(shape)}, and is {got}")
            parts.append(named[name].detach().to(self.device, torch.float64).reshape(-1))
        return torch.cat(parts)

    def flatten(self, what: Any) -> np.ndarray:
        """Weights (n, P) of a module, of a state_dict, or of a list of them."""
        rows = []
        for one in what if isinstance(what, list | tuple) else [what]:
            named = dict(one.named_parameters(remove_duplicate=False)) if isinstance(one, torch.nn.Module) else one
            if not isinstance(named, dict):
                raise TypeError(f"flatten takes a module, a state_dict or a list of them, got {type(one).__name__}")
            rows.append(self._flat_tensor(named).cpu().numpy())
        return np.array(rows).reshape(len(rows), self.n_parameters)

    def unflatten(self, w: np.ndarray) -> dict[str, torch.Tensor]:
        """The state_dict with weights (P,), float64; what is not trained is the module's."""
        values = self._place(w).split(self._sizes)
        own = {n: v.reshape(s).clone() for n, v, s in zip(self.names, values, self._shapes, strict=True)}
        tied = {name: own[first] for name, first in self._tied.items() if name in self._state}
        return {name: value.clone() for name, value in self._state.items()} | tied

    @property
    def is_weight(self) -> np.ndarray:
        """(P,) bool: False for entries of parameters whose name has "bias" in its last part; all True where there are no others."""
        mark = np.repeat(["bias" not in name.rpartition(".")[2] for name in self.names], self._sizes)
        return mark if mark.any() else np.ones(self.n_parameters, dtype=bool)

    @property
    def description(self) -> str:
        """What runs, in words."""
        how = f"; Hessian-vector products {self.method}" if self.method else ""
        return f"PyTorch {torch.__version__} on {self.device}, {'networks together' if self.vectorised else 'one by one'}{how}"


def _whole(g: torch.Tensor) -> None:
    """Raise where some way from a gradient back to the weights is cut: autograd would leave it out without a word."""
    seen, rest = set(), [g.grad_fn]
    while rest:
        node = rest.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().endswith(("Error", "NotImplemented")):
            raise NotImplementedError("an operation's derivative is marked as one that can not be differentiated")
        rest += [following for following, _ in node.next_functions]


def _device(name: Any) -> torch.device:
    from ..engines.torch.run import pick_device

    return name if isinstance(name, torch.device) else pick_device(name)
