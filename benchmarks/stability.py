"""Lyapunov exponents and window fits: trajlib against what one would otherwise write.

All sides are checked against each other before they are timed. Run as a script, this writes data/benchmarks/stability.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
from _timing import interleaved, spread, write

import trajlib as tl

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "stability.json"
ROUNDS, TOLERANCE = 7, 1e-7


def trajlib_spectrum(gd, w0, steps):
    """All exponents by the fused engine: Hessian-vector products and Gram-Schmidt inside the kernel."""
    vectors = np.broadcast_to(np.eye(w0.shape[1]), (len(w0), w0.shape[1], w0.shape[1]))
    return tl.lyapunov_spectrum(gd, w0, steps, blocks=4, vectors=vectors, progress=False).exponents


def _loss(gd, w, x, y, exp, log):
    """Cross entropy of one network from its flat weights, for a framework's own exp and log."""
    d, h, c = gd.network.n_inputs, gd.network.n_hidden, gd.network.n_outputs
    W1, b1 = w[: d * h].reshape(d, h), w[d * h : (d + 1) * h]
    W2, b2 = w[(d + 1) * h : -c].reshape(h, c), w[-c:]
    outputs = 1 / (1 + exp(-(x @ W1 + b1))) @ W2 + b2
    return (log(exp(outputs).sum(-1)) - (outputs * y).sum(-1)).mean()


@cache
def compile_jax(gd, networks, steps):
    """jit(vmap(scan)) of Hessian, product and QR, compiled for these sizes."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    x, y, p = jnp.asarray(gd.task.x), jnp.asarray(gd.targets), gd.network.n_parameters
    loss = partial(_loss, gd, x=x, y=y, exp=jnp.exp, log=jnp.log)

    def step(state, _):
        w, q = state
        q, r = jnp.linalg.qr(q - gd.lr * jax.hessian(loss)(w) @ q)
        return (w - gd.lr * jax.grad(loss)(w), q), jnp.log(jnp.abs(jnp.diagonal(r)))

    def exponents(w):
        return jax.lax.scan(step, (w, jnp.eye(p)), length=steps)[1].mean(axis=0)

    return jax.jit(jax.vmap(exponents)).lower(jax.ShapeDtypeStruct((networks, p), jnp.float64)).compile()


def jax_spectrum(gd, w0, steps):
    """The same in JAX, all networks at once."""
    return np.asarray(compile_jax(gd, len(w0), steps)(w0))


def pytorch_spectrum(gd, w0, steps, forward_over="reverse"):
    """The same as a PyTorch loop, one network after the other: torch.func.hessian, or a faster form of it, and qr."""
    import torch

    torch.set_num_threads(1)
    x, y = torch.tensor(gd.task.x), torch.tensor(gd.targets)
    loss = partial(_loss, gd, x=x, y=y, exp=torch.exp, log=torch.log)
    gradient, hessian = (
        torch.func.grad(loss),
        torch.func.jacfwd(torch.func.grad(loss)),
    )  # = torch.func.hessian, faster order
    out = np.zeros(w0.shape)
    for i, start in enumerate(w0):
        w, q = torch.tensor(start), torch.eye(w0.shape[1], dtype=torch.float64)
        for _ in range(steps):
            q, r = torch.linalg.qr(q - gd.lr * hessian(w) @ q)
            w = w - gd.lr * gradient(w)
            out[i] += torch.log(torch.abs(torch.diagonal(r))).numpy()
    return out / steps


def numpy_windows(distance):
    """The best-window fit, window by window with numpy.polyfit."""
    rates = []
    for series in np.log(distance.mean(axis=1)):
        best = (-np.inf, np.nan)
        for s in range(0, 101, 5):
            for w in range(30, 101, 5):
                t, y = np.arange(s, s + w), series[s : s + w]
                slope, offset = np.polyfit(t, y, 1)
                r2 = 1 - ((y - slope * t - offset) ** 2).sum() / ((y - y.mean()) ** 2).sum()
                best = max(best, (r2, slope))
        rates.append(best[1])
    return np.array(rates)


def main() -> None:
    began = time.perf_counter()
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(split_seed=0), lr=0.5)
    w0 = gd.network.init(1000, seed=0)
    sides = {"trajlib": trajlib_spectrum, "jax": jax_spectrum, "pytorch_loop": pytorch_spectrum}
    sides["pytorch_jacfwd"] = partial(pytorch_spectrum, forward_over="gradient")
    got = {name: call(gd, w0[:2], 8) for name, call in sides.items()}
    off = {name: float(np.abs(value - got["trajlib"])[:, :40].max()) for name, value in got.items()}
    distance = tl.diverge(gd, w0[:500], radius=1e-8, copies=5, steps=200, seed=1, progress=False).distance
    off["windows"] = float(np.abs(numpy_windows(distance[:20]) - tl.expansion_rate(distance[:20]).rate).max())
    if not max(off.values()) < TOLERANCE:
        raise SystemExit(f"the implementations do not compute the same thing: {off}")
    calls: dict[str, Callable] = {
        "train": lambda: tl.train(gd, w0, 1000, progress=False),
        "largest": lambda: tl.lyapunov_spectrum(gd, w0, 1000, k=1, progress=False),
        "trajlib": lambda: trajlib_spectrum(gd, w0[:64], 100),
        "jax": lambda: jax_spectrum(gd, w0[:64], 8),
        "pytorch_loop": lambda: pytorch_spectrum(gd, w0[:1], 8),
        "pytorch_jacfwd": lambda: sides["pytorch_jacfwd"](gd, w0[:1], 8),
        "windows": lambda: tl.expansion_rate(distance),
        "numpy_windows": lambda: numpy_windows(distance[:5]),
    }
    work = {
        "trajlib": 64 * 100,
        "jax": 64 * 8,
        "pytorch_loop": 8,
        "pytorch_jacfwd": 8,
        "windows": 500,
        "numpy_windows": 5,
    }
    seconds = {name: values[:, 0] / work.get(name, 1) for name, values in interleaved(calls, ROUNDS).items()}

    def row(name, against, target):
        ratio = spread(seconds[name] / seconds[against])
        return {"seconds": spread(seconds[name]), "times": ratio, "against": against, "target": target}

    results = {
        "agreement": {"steps": 8, "tolerance": TOLERANCE, "largest_difference": off},
        "largest_exponent": row("largest", "train", "at most 4") | {"unit": "s for 1,000 networks x 1,000 steps"},
        "full_spectrum": {
            "trajlib": row("trajlib", "trajlib", "") | {"unit": "s a network step, 83 exponents"},
            "jax": row("jax", "trajlib", "at least 3"),
            "pytorch_loop": row("pytorch_loop", "trajlib", "at least 100"),
            "pytorch_jacfwd": row("pytorch_jacfwd", "trajlib", ""),
        },
        "windows": {
            "seconds_500": spread(500 * seconds["windows"]),
            "target": "below 0.2 s",
            "numpy_loop": row("numpy_windows", "windows", ""),
        },
    }
    for name, value in results.items():
        print(name, value)
    setting = "Iris, 4-10-3 sigmoid, cross entropy, lr 0.5, float64; split and weights of seed 0"
    write(OUTPUT, results, setting=setting, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
