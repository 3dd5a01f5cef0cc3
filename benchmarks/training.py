"""Training 3,000 Iris networks by gradient descent: trajlib against what one would otherwise write.

Every implementation takes (gd, w0, steps) and returns the loss before each step, (n, steps), and the final
weights, (n, p), in float64 throughout. They are checked against each other before they are timed. Run as a
script, this writes data/benchmarks/training.json; it takes three minutes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
from _timing import in_new_process, interleaved, spread, write

import trajlib as tl
from trajlib.engines.fused.cpu import n_threads

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "training.json"
NETWORKS, ROUNDS, TOLERANCE = 3000, 11, 1e-9
TARGETS = {"pytorch_loop": 50.0, "pytorch_batched": 8.0, "jax": 3.5}
"""How many times faster than each of these trajlib is meant to be."""


def trajlib_fused(gd, w0, steps, threads=None):
    """The fused engine, through the public call."""
    run = tl.train(gd, w0, steps, threads=threads, progress=False)
    return run.loss[:, :steps], run.final


def pytorch_loop(gd, w0, steps):
    """The usual training loop: a module, a criterion, an optimiser; one network after the other."""
    import torch
    from torch import nn

    torch.set_num_threads(1)  # more of them make products this small several times slower
    activation = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh}[gd.network.activation]
    x, y = torch.tensor(gd.task.x), torch.tensor(gd.task.y)
    losses, finals = np.empty((len(w0), steps)), []
    for i, start in enumerate(w0):
        W1, b1, W2, b2 = map(torch.tensor, gd.network.unpack(start))
        model = nn.Sequential(nn.Linear(*W1.shape), activation(), nn.Linear(*W2.shape)).double()
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), (W1.T, b1, W2.T, b2), strict=True):
                parameter.copy_(value)
        criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=gd.lr)
        for t in range(steps):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            losses[i, t] = loss.item()
        finals.append(gd.network.pack(*(parameter.detach().numpy().T for parameter in model.parameters())))
    return losses, np.array(finals)


def pytorch_batched(gd, w0, steps, block=None):
    """All networks in one tensor (or ``block`` at a time), batched matrix products and autograd.

    Samples lie along the last axis: faster than the usual order, and than torch.func (see README.md).
    """
    import torch
    from torch.nn.functional import cross_entropy

    if block:
        parts = [pytorch_batched(gd, w0[i : i + block], steps) for i in range(0, len(w0), block)]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    torch.set_num_threads(n_threads(None))
    x, y = torch.tensor(gd.task.x.T.copy()), torch.tensor(gd.task.y).expand(len(w0), -1)
    W1, b1, W2, b2 = parameters = [torch.tensor(a).requires_grad_() for a in gd.network.unpack(w0)]
    losses = []
    for _ in range(steps):
        hidden = getattr(torch, gd.network.activation)(W1.mT @ x + b1[..., None])
        loss = cross_entropy(W2.mT @ hidden + b2[..., None], y, reduction="none").mean(dim=1)
        gradients = torch.autograd.grad(loss.sum(), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=gd.lr)
        losses.append(loss.detach())
    return torch.stack(losses, dim=1).numpy(), gd.network.pack(*(a.detach().numpy() for a in parameters))


@cache
def compile_jax(gd, networks, steps, block=None):
    """jit(vmap(scan)) for these sizes (with ``block``, lax.map over blocks), and its compile time."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    x, targets = jnp.asarray(gd.task.x.T), jnp.asarray(gd.targets.T)

    def loss(w):
        W1, b1, W2, b2 = w
        outputs = W2.T @ jax.nn.sigmoid(W1.T @ x + b1[:, None]) + b2[:, None]
        return (jax.nn.logsumexp(outputs, axis=0) - (outputs * targets).sum(axis=0)).mean()

    def step(w, _):
        value, gradient = jax.value_and_grad(loss)(w)
        return jax.tree.map(lambda a, g: a - gd.lr * g, w, gradient), value

    def train(w):
        return jax.lax.scan(step, w, length=steps)

    every = partial(jax.lax.map, train, batch_size=block) if block else jax.vmap(train)
    shapes = [
        jax.ShapeDtypeStruct(a.shape, a.dtype) for a in gd.network.unpack(np.empty((networks, gd.network.n_parameters)))
    ]
    began = time.perf_counter()
    compiled = jax.jit(every).lower(tuple(shapes)).compile()
    return compiled, time.perf_counter() - began


def jax_scan(gd, w0, steps, block=None):
    """JAX, compiled for the CPU; a time-step loop inside XLA."""
    compiled, _ = compile_jax(gd, len(w0), steps, block)
    w, losses = compiled(tuple(map(np.ascontiguousarray, gd.network.unpack(w0))))
    return np.asarray(losses), gd.network.pack(*map(np.asarray, w))


# name: what it is, the call, networks and steps of one timed call (about a second each; the loop on a sample)
IMPLEMENTATIONS: dict[str, tuple[str, Callable, int, int]] = {
    "trajlib": ("trajlib, fused engine", trajlib_fused, NETWORKS, 400),
    "trajlib_one_thread": ("trajlib, one thread", partial(trajlib_fused, threads=1), NETWORKS, 200),
    "pytorch_loop": ("PyTorch, the usual loop", pytorch_loop, 5, 500),
    "pytorch_batched": ("PyTorch, batched", pytorch_batched, NETWORKS, 40),
    "pytorch_blocks": ("PyTorch, batched, blocks of 100", partial(pytorch_batched, block=100), NETWORKS, 40),
    "jax": ("JAX, jit(vmap(scan))", jax_scan, NETWORKS, 40),
    "jax_blocks": ("JAX, blocks of 250", partial(jax_scan, block=250), NETWORKS, 40),
}

START = """
import json, time
began = time.perf_counter()
import trajlib as tl
imported = time.perf_counter()
gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(split_seed=0), lr=1.0)
w0 = gd.network.init(16, seed=0)
prepared = time.perf_counter()
tl.train(gd, w0, 10)
first = time.perf_counter()
tl.train(gd, w0, 10)
again = time.perf_counter() - first
seconds = {"import_s": imported - began, "compile_or_load_s": first - prepared - again}
print(json.dumps({name: round(value, 3) for name, value in seconds.items()}))
"""

DIVERGE = """
import json, resource, sys, time
import trajlib as tl
gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(split_seed=0), lr=1.0)
w0 = gd.network.init(500, seed=0)
began = time.perf_counter()
div = tl.diverge(gd, w0, radius=1e-8, copies=5, steps=5000, seed=1, progress=False)
wall = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
result = {"networks": 3000, "steps": 5000, "wall_s": round(wall, 2), "peak_gb": round(peak / 1e9, 3)}
print(json.dumps(result))
"""


def setting(networks: int):
    """The map and the initial conditions that all implementations share."""
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(split_seed=0), lr=1.0)
    return gd, gd.network.init(networks, seed=0)


def disagreement(gd, w0, steps, names) -> dict[str, float]:
    """Largest difference of any loss from trajlib's, over ``steps`` steps."""
    losses = {name: IMPLEMENTATIONS[name][1](gd, w0, steps)[0] for name in names}
    return {name: float(np.abs(value - losses["trajlib"]).max()) for name, value in losses.items()}


def measure() -> dict:
    """Everything that the result file holds under ``results``."""
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # first, while this process is small: a child's peak starts at its parent's
        cold, warm = (in_new_process(START, NUMBA_CACHE_DIR=folder) for _ in range(2))
        diverge = in_new_process(DIVERGE, NUMBA_CACHE_DIR=folder)
    gd, w0 = setting(NETWORKS)
    differences = disagreement(gd, w0[:50], 10, IMPLEMENTATIONS)
    if not max(differences.values()) < TOLERANCE:
        raise SystemExit(f"the implementations do not compute the same thing: {differences}")
    calls: dict[str, Callable] = {
        name: partial(call, gd, w0[:networks], steps) for name, (_, call, networks, steps) in IMPLEMENTATIONS.items()
    }
    flower = tl.Task("one flower", gd.task.x[:1], gd.task.y[:1], class_names=gd.task.class_names)
    calls["one_flower"] = partial(pytorch_loop, tl.GradientDescent(gd.network, flower, lr=1.0), w0[:5], 500)
    timed = interleaved(calls, ROUNDS)
    microseconds = {
        name: 1e6 * timed[name][:, 0] / (networks * steps) for name, (*_, networks, steps) in IMPLEMENTATIONS.items()
    }
    jax_compile_s = compile_jax(gd, NETWORKS, IMPLEMENTATIONS["jax"][-1], None)[1]  # what the timed calls ran
    return {
        "agreement": {"steps": 10, "tolerance": TOLERANCE, "largest_difference": differences},
        "implementations": {
            name: {
                "label": label,
                "networks": networks,
                "steps": steps,
                "us_per_network_step": spread(microseconds[name]),
                "times_trajlib": spread(microseconds[name] / microseconds["trajlib"]),
                "target": TARGETS.get(name),
                "cores_busy": round(float(np.median(timed[name][:, 1])), 2),
                "rounds": [float(f"{value:.4g}") for value in microseconds[name]],
            }
            for name, (label, _, networks, steps) in IMPLEMENTATIONS.items()
        },
        # the usual loop with 1 sample in place of 120: what a step costs with next to no arithmetic in it
        "loop_on_one_sample": {"us_per_network_step": spread(1e6 * timed["one_flower"][:, 0] / (5 * 500))},
        "start": {"cold_cache": cold, "warm_cache": warm, "jax_compile_s": round(jax_compile_s, 3)},
        "diverge": diverge,
    }


def show(results: dict) -> None:
    """A table for the terminal: medians, quartiles in brackets."""
    print(f"{'':32}{'us per network step':>26}{'times trajlib':>26}{'target':>8}{'cores':>7}")
    for row in results["implementations"].values():
        cells = [row["us_per_network_step"], row["times_trajlib"]]
        texts = [f"{c['median']:.2f} ({c['quartiles'][0]:.2f}-{c['quartiles'][1]:.2f})" for c in cells]
        target = f">= {row['target']:g}" if row["target"] else ""
        print(f"{row['label']:32}{texts[0]:>26}{texts[1]:>26}{target:>8}{row['cores_busy']:7.2f}")
    for key in ("loop_on_one_sample", "start", "diverge"):
        print(key, results[key])


def main() -> None:
    began = time.perf_counter()
    results = measure()
    show(results)
    busy = results["implementations"]["trajlib"]["cores_busy"]
    if busy < 0.95 * n_threads(None):
        print(f"trajlib got {busy} of {n_threads(None)} cores: repeat on a quiet machine")
    setting = "Iris, 4-10-3 sigmoid, cross entropy, lr 1, float64; split and weights of seed 0"
    write(OUTPUT, results, setting=setting, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
