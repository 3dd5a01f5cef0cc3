"""Deep networks, Adam and minibatches: trajlib's fused engine against what one would otherwise write.

Every implementation takes (gd, w0, steps) and returns the final weights (n, p), in float64; nothing else is recorded. They are checked
against each other before they are timed. Run as a script, this writes data/benchmarks/optimisers.json.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
from _timing import compared, interleaved, write

import trajlib as tl
from trajlib.engines.fused.cpu import n_threads

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "optimisers.json"
NETWORKS, ROUNDS, TOLERANCE = 3000, 5, 1e-9
TARGETS = {"pytorch_loop": 50.0, "pytorch_batched": 8.0, "jax": 3.5}
"""How many times faster than each of these trajlib is meant to be."""
TRAININGS: dict[str, tuple[str, Callable]] = {
    "deep": (
        "4-10-10-3 tanh, gradient descent",
        lambda task: tl.GradientDescent(tl.Perceptron(4, (10, 10), 3, activation="tanh"), task, lr=0.1),
    ),
    "adam": ("4-10-3 sigmoid, Adam", lambda task: tl.Adam(tl.Perceptron(4, 10, 3), task, lr=0.01)),
    "heavy_ball": (
        "4-10-3 sigmoid, heavy ball, batches of 30",
        lambda task: tl.GradientDescent(tl.Perceptron(4, 10, 3), task, lr=0.1, momentum=0.9, batch_size=30),
    ),
}


def trajlib_fused(gd, w0, steps, threads=None):
    """The fused engine, through the public call."""
    return tl.train(gd, w0, steps, record=(), threads=threads, progress=False).final


def _optimiser(gd, parameters, **options):
    """torch.optim's of the same rule."""
    import torch

    if isinstance(gd, tl.Adam):
        return torch.optim.Adam(parameters, lr=gd.lr, betas=gd.betas, eps=gd.eps, **options)
    return torch.optim.SGD(parameters, lr=gd.lr, momentum=gd.momentum, **options)


def pytorch_loop(gd, w0, steps):
    """The usual training loop: a module, a criterion, an optimiser; one network after the other."""
    import torch
    from torch import nn

    torch.set_num_threads(1)  # more of them make products this small several times slower
    activation = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh}[gd.network.activation]
    x, y = torch.tensor(gd.task.x), torch.tensor(gd.task.y)
    batches = None if gd.batches is None else [torch.tensor(gd.batches.at(t)) for t in range(steps)]
    finals = []
    for start in w0:
        values = gd.network.unpack(start)
        layers: list[nn.Module] = []
        for n, m in itertools.pairwise(gd.network.widths):
            layers += [nn.Linear(n, m), activation()]
        model = nn.Sequential(*layers[:-1]).double()
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), values, strict=True):
                parameter.copy_(torch.tensor(value.T))
        criterion, optimizer = nn.CrossEntropyLoss(), _optimiser(gd, model.parameters())
        for t in range(steps):
            inputs, labels = (x, y) if batches is None else (x[batches[t]], y[batches[t]])
            optimizer.zero_grad()
            criterion(model(inputs), labels).backward()
            optimizer.step()
        finals.append(gd.network.pack(*(parameter.detach().numpy().T for parameter in model.parameters())))
    return np.array(finals)


def pytorch_batched(gd, w0, steps, block=None, threads=None):
    """All networks in one tensor (or ``block`` at a time), batched matrix products, autograd, torch.optim's fused kernels.

    Samples lie along the last axis, the faster order (see README.md).
    """
    import torch
    from torch.nn.functional import cross_entropy

    if block:
        return np.concatenate([pytorch_batched(gd, w0[i : i + block], steps) for i in range(0, len(w0), block)])
    torch.set_num_threads(n_threads(threads))
    x, y = torch.tensor(gd.task.x.T.copy()), torch.tensor(gd.task.y)
    parameters = [torch.tensor(a).requires_grad_() for a in gd.network.unpack(w0)]
    optimizer = _optimiser(gd, parameters, fused=True)
    activation = getattr(torch, gd.network.activation)
    for t in range(steps):
        some = slice(None) if gd.batches is None else torch.tensor(gd.batches.at(t))
        values = x[:, some]
        for layer, (w, b) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
            values = w.mT @ (values if layer == 0 else activation(values)) + b[..., None]
        optimizer.zero_grad()
        cross_entropy(values, y[some].expand(len(w0), -1), reduction="none").mean(dim=1).sum().backward()
        optimizer.step()
    return gd.network.pack(*(a.detach().numpy() for a in parameters))


@cache
def compile_jax(gd, networks, steps, block=None):
    """jit(vmap(scan)) with optax for these sizes (with ``block``, lax.map over blocks)."""
    import jax
    import jax.numpy as jnp
    import optax

    jax.config.update("jax_enable_x64", True)
    x, targets = jnp.asarray(gd.task.x.T), jnp.asarray(gd.targets.T)
    activation = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}[gd.network.activation]
    adam = isinstance(gd, tl.Adam)
    rule = optax.adam(gd.lr, *gd.betas, gd.eps) if adam else optax.sgd(gd.lr, gd.momentum or None)
    batches = None if gd.batches is None else jnp.asarray([gd.batches.at(t) for t in range(steps)])

    def loss(w, some):
        values, y = (x, targets) if some is None else (x[:, some], targets[:, some])
        for layer in range(gd.network.depth):
            values = w[2 * layer].T @ (activation(values) if layer else values) + w[2 * layer + 1][:, None]
        return (jax.nn.logsumexp(values, axis=0) - (values * y).sum(axis=0)).mean()

    def step(state, some):
        w, memory = state
        update, memory = rule.update(jax.grad(loss)(w, some), memory)
        return (optax.apply_updates(w, update), memory), None

    def train(w):
        return jax.lax.scan(step, (w, rule.init(w)), batches, length=steps)[0][0]

    every = partial(jax.lax.map, train, batch_size=block) if block else jax.vmap(train)
    empty = gd.network.unpack(np.empty((networks, gd.n_parameters)))
    return jax.jit(every).lower(tuple(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in empty)).compile()


def jax_scan(gd, w0, steps, block=None):
    """JAX, compiled for the CPU; a time-step loop inside XLA."""
    w = compile_jax(gd, len(w0), steps, block)(tuple(map(np.ascontiguousarray, gd.network.unpack(w0))))
    return gd.network.pack(*map(np.asarray, w))


# name: what it is, the call, networks and steps of one timed call
IMPLEMENTATIONS: dict[str, tuple[str, Callable, int, int]] = {
    "trajlib": ("trajlib, fused engine", trajlib_fused, NETWORKS, 200),
    "pytorch_loop": ("PyTorch, the usual loop", pytorch_loop, 5, 200),
    "pytorch_batched": ("PyTorch, batched", pytorch_batched, NETWORKS, 10),
    "pytorch_blocks": ("PyTorch, batched, blocks of 100", partial(pytorch_batched, block=100), NETWORKS, 10),
    "jax": ("JAX, jit(vmap(scan)), optax", jax_scan, NETWORKS, 20),
    "jax_blocks": ("JAX, blocks of 250", partial(jax_scan, block=250), NETWORKS, 20),
}


def disagreement(gd, w0, steps, names) -> dict[str, float]:
    """Largest difference of any final weight from trajlib's, after ``steps`` steps."""
    finals = {name: IMPLEMENTATIONS[name][1](gd, w0, steps) for name in ("trajlib", *names)}
    return {name: float(np.abs(finals[name] - finals["trajlib"]).max()) for name in names}


def measure(gd, w0, rounds: int) -> dict:
    """One training: all implementations checked, then timed."""
    off = disagreement(gd, w0[:20], 10, [name for name in IMPLEMENTATIONS if name != "trajlib"])
    if not max(off.values()) < TOLERANCE:
        raise SystemExit(f"the implementations do not compute the same thing: {off}")
    calls = {name: partial(call, gd, w0[:n], steps) for name, (_, call, n, steps) in IMPLEMENTATIONS.items()}
    timed = compared(
        interleaved(calls, rounds),
        {name: (n * steps, label) for name, (label, _, n, steps) in IMPLEMENTATIONS.items()},
        "trajlib",
        TARGETS,
    )
    return {"agreement": {"steps": 10, "tolerance": TOLERANCE, "largest_difference": off}, "implementations": timed}


def main() -> None:
    began = time.perf_counter()
    task, results = tl.iris(split_seed=0), {}
    for name, (label, training) in TRAININGS.items():
        gd = training(task)
        results[name] = {"label": label} | measure(gd, gd.network.init(NETWORKS, seed=0), ROUNDS)
        print(label)
        for row in results[name]["implementations"].values():
            print(
                f"  {row['label']:34}{row['us']['median']:9.2f} us  wall {row['times']}  processor {row['times_processor']}"
            )
    setting = "Iris, 120 samples, cross entropy, float64; split, weights and order of the batches of seed 0; final weights alone kept"
    write(OUTPUT, results, setting=setting, rounds=ROUNDS, began=began, libraries=("optax",))


if __name__ == "__main__":
    main()
