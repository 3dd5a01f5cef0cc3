"""A picture of trainability, 8-8-1 tanh network at 72 samples: trajlib against JAX as the paper's public notebook does it.

Sides take a view (centres, width), the pixels along a side and the steps, and return the losses over the first one, added up, (n, n).
They are checked against each other before they are timed. Run as a script, this writes data/benchmarks/trainability.json; it takes
about ten minutes on two cores. Without JAX it says so and writes nothing. Arguments: pixels, steps, rounds.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from functools import cache, partial
from pathlib import Path

import numpy as np
from _timing import compared, interleaved, write

import trajlib as tl
from trajlib.boundary import draw, rates

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "trainability.json"
PIXELS, STEPS, ROUNDS, TOLERANCE = 160, 200, 3, 1e-10
VIEWS = {"whole": (1.0, 1.0, 6.0), "zoom": (1.0, 1.654127021979156, 1e-6), "no pixel ends": (-1.0, -1.0, 1.0)}
TARGETS = {"jax": 5.0}
NETWORK = tl.Perceptron(8, 8, 1, activation="tanh", loss="mean_squared_error", bias=False, scale="mean_field")
DATA = draw(NETWORK, 0)


def axes(view, n):
    """Rates of the two layers."""
    first, second, width = view
    return rates(first, width, n), rates(second, width, n)


def trajlib_picture(view, n, steps):
    """One call."""
    return tl.trainability(NETWORK, *DATA, *axes(view, n), steps, progress=False)


@cache
def compile_jax():
    """The step, the measure and the whole run of one pixel, to be mapped over many, in float64."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    x, y = jnp.asarray(DATA[0]), jnp.asarray(DATA[1])[:, None]
    w0 = tuple(map(jnp.asarray, NETWORK.unpack(DATA[2])))

    def loss(w):
        h = jnp.tanh(x @ w[0] * NETWORK.scale[0])
        return jnp.mean((h @ w[1] * NETWORK.scale[1] - y) ** 2)

    def step(w, lr):
        value, slope = jax.value_and_grad(loss)(w)
        return tuple(a - lr[i] * g for i, (a, g) in enumerate(zip(w, slope, strict=True))), value

    def measure(v):
        v = jnp.where(jnp.isfinite(v), v / v[0], 1e6)
        v = jnp.minimum(v, 1e6)
        return jnp.where(jnp.mean(v[-20:]) < 1, -jnp.sum(v), jnp.sum(1 / v))

    def train(lr, steps):
        return measure(jax.lax.scan(lambda w, _: step(w, lr), w0, length=steps)[1])

    return jax, w0, jax.jit(jax.vmap(step), donate_argnums=(0,)), jax.jit(jax.vmap(measure)), train


def pairs(view, n):
    """Both rates of each pixel, (n * n, 2)."""
    return np.stack([a.ravel() for a in np.meshgrid(*axes(view, n), indexing="ij")], axis=1)


def jax_notebook(view, n, steps):
    """As in the notebook: a compiled step of all pixels, a loop over the steps, at most 50,000 pixels at a time."""
    jax, w0, step, measure, _ = compile_jax()
    values = []
    for lr in np.array_split(pairs(view, n), -(-n * n // 50_000)):
        w, losses = tuple(jax.numpy.tile(a, (len(lr), 1, 1)) for a in w0), []
        for _ in range(steps + 1):
            w, loss = step(w, lr)
            losses.append(loss)
        values.append(np.asarray(measure(jax.numpy.stack(losses, axis=-1))))
    return np.concatenate(values).reshape(n, n)


@cache
def jitted(steps, block):
    """The whole run as one compiled call."""
    jax, *_, train = compile_jax()
    return jax.jit(lambda lr: jax.lax.map(partial(train, steps=steps + 1), lr, batch_size=block))


def jax_scan(view, n, steps, block=256):
    """What suits JAX best: the whole run compiled, in blocks that stay in the cache."""
    return np.asarray(jitted(steps, block)(pairs(view, n))).reshape(n, n)


SIDES = {
    "trajlib": ("trajlib", lambda *given: trajlib_picture(*given).value),
    "jax": ("JAX as in the notebook, jit(vmap(step))", jax_notebook),
    "jax_scan": ("JAX, jit(scan), blocks of 256", jax_scan),
}


def largest_differences(n=8, steps=20):
    """Of each side from trajlib, where training is not chaotic: as parts of the value."""
    view = (-1.0, -1.0, 1.0)
    want = trajlib_picture(view, n, steps).value
    return {name: float(np.abs(side(view, n, steps) / want - 1).max()) for name, (_, side) in SIDES.items()}


def main(pixels: int = PIXELS, steps: int = STEPS, rounds: int = ROUNDS, output: Path | None = OUTPUT) -> None:
    began = time.perf_counter()
    if importlib.util.find_spec("jax") is None:
        raise SystemExit("this compares trajlib with JAX, which is not installed here: pip install 'trajlib[bench]'")
    off = largest_differences()
    if not max(off.values()) < TOLERANCE:
        raise SystemExit(f"the implementations do not compute the same thing: {off}")
    results: dict[str, object] = {"agreement": {"largest_difference": off, "tolerance": TOLERANCE}}
    for name, view in VIEWS.items():
        calls = {side: partial(run, view, pixels, steps) for side, (_, run) in SIDES.items()}
        picture = trajlib_picture(view, pixels, steps)
        timed = interleaved(calls, rounds)
        work = {side: (pixels * pixels * steps, label) for side, (label, _) in SIDES.items()}
        same = {side: float(np.mean((call() < 0) == picture.converged)) for side, call in calls.items()}
        results[name] = {
            "view": view,
            "sides": compared(timed, work, "trajlib", TARGETS),
            "share_converged": round(float(picture.converged.mean()), 4),
            "share_same_outcome": {side: round(share, 4) for side, share in same.items()},
        }
        for row in results[name]["sides"].values():  # type: ignore[index]
            us, times, cpu = row["us"]["median"], row["times"]["median"], row["times_processor"]["median"]
            print(
                f"{name:14} {row['label']:42} {us:8.3f} us a step of a pixel, {times:6.2f} times trajlib, {cpu:6.2f} by processor"
            )
    if output is not None:
        setting = (
            f"{pixels} x {pixels} pixels x {steps} steps, 8-8-1 tanh, 72 samples, float64; JAX compiled beforehand"
        )
        write(output, results, setting=setting, rounds=rounds, began=began)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
