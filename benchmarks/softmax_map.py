"""The bifurcation diagram of the softmax map: trajlib against a NumPy loop over the steps and against JAX.

All sides are checked against each other before they are timed. Run as a script, this writes data/benchmarks/softmax_map.json.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import numpy as np
from _timing import interleaved, spread, write

import trajlib as tl

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "softmax_map.json"
KAPPAS, STARTS, STEPS, ROUNDS, TOLERANCE = 1000, 100, 2000, 5, 1e-11
P = np.array([39.0, 40.0, 41.0]) / 120


def trajlib_map(kappa, s, steps):
    """All states in the fused engine."""
    return tl.train(tl.SoftmaxMap(kappa, P), s, steps, record=(), progress=False).final


def numpy_map(kappa, s, steps):
    """All states at once, one step after the other; classes along the first axis, which suits NumPy best."""
    s, kappa, p = np.ascontiguousarray(s.T), kappa[None], P[:, None]
    for _ in range(steps):
        e = np.exp(s - s.max(axis=0))
        s = s - kappa * (e / e.sum(axis=0) - p)
    return s.T


@cache
def compile_jax(n, steps):
    """jit(scan) over all states at once, compiled for these sizes."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    p = jnp.asarray(P)[:, None]

    def run(kappa, s):
        return jax.lax.scan(lambda s, _: (s - kappa * (jax.nn.softmax(s, axis=0) - p), None), s, length=steps)[0]

    shapes = jax.ShapeDtypeStruct((1, n), jnp.float64), jax.ShapeDtypeStruct((3, n), jnp.float64)
    return jax.jit(run).lower(*shapes).compile()


def jax_map(kappa, s, steps):
    """The same in JAX."""
    return np.asarray(compile_jax(len(s), steps)(kappa[None], np.ascontiguousarray(s.T))).T


SIDES = {"trajlib": trajlib_map, "numpy": numpy_map, "jax": jax_map}


def main() -> None:
    began = time.perf_counter()
    kappa = np.repeat(np.linspace(4, 32, KAPPAS), STARTS)
    s = np.tile(tl.SoftmaxMap(1.0, P).init(STARTS, seed=0, scale=3.0), (KAPPAS, 1))
    off = {name: float(np.abs(side(kappa, s, 5) - trajlib_map(kappa, s, 5)).max()) for name, side in SIDES.items()}
    if not max(off.values()) < TOLERANCE:
        raise SystemExit(f"the implementations do not compute the same thing: {off}")
    compile_jax(len(s), STEPS)
    timed = interleaved({name: lambda side=side: side(kappa, s, STEPS) for name, side in SIDES.items()}, ROUNDS)
    results = {
        name: {
            "seconds": spread(rounds[:, 0]),
            "times": spread(rounds[:, 0] / timed["trajlib"][:, 0]),
            "cores_busy": spread(rounds[:, 1]),
            "largest_difference": off[name],
        }
        for name, rounds in timed.items()
    }
    print(results)
    setting = f"{KAPPAS} values of kappa x {STARTS} starting points x {STEPS} steps, float64; JAX compiled beforehand"
    write(OUTPUT, results, setting=setting, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
