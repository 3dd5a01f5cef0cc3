"""Finite-time exponents and covariant vectors of small networks: trajlib against a NumPy loop and against two packages.

All sides are compared before they are timed. Run as a script, this writes data/benchmarks/covariant.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _timing import interleaved, spread, write

import trajlib as tl
from trajlib.dynamics.reference import HenonMap

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "covariant.json"
ROUNDS, TOLERANCE = 7, 1e-8
STEPS, TRANSIENT = 2000, 500
"""Steps of the runs with covariant vectors, and how many of them either transient takes."""


def setting(activation: str = "tanh") -> tl.GradientDescent:
    """The network 2-2-1 on 50 samples of y = (x1 + x2)^2 / 1.2."""
    x = np.random.default_rng(0).uniform(-2, 2, (50, 2))
    task = tl.Task("parabola", x=x, y=x.sum(axis=1) ** 2 / 1.2)
    return tl.GradientDescent(tl.Perceptron(2, 2, 1, activation=activation, loss="half_squared_error"), task, lr=1e-3)


def numpy_network(gd):
    """Map and Jacobian of one tanh network in plain NumPy, closed forms written out: what a user of a package would hand it."""
    x1, y, lr = np.column_stack([gd.task.x, np.ones(len(gd.task.x))]), gd.task.y, gd.lr

    def parts(w):
        first, v, c = w[:6].reshape(3, 2), w[6:8], w[8]
        hidden = np.tanh(x1 @ first)
        slope = 1 - hidden * hidden
        return hidden, slope, slope * v, hidden @ v + c - y

    def step(w):
        hidden, _, by_unit, delta = parts(w)
        gradient = np.empty(9)
        gradient[:6] = (x1.T @ (by_unit * delta[:, None])).ravel()
        gradient[6:8] = hidden.T @ delta
        gradient[8] = delta.sum()
        return w - lr * gradient

    def jacobian(w):
        hidden, slope, by_unit, delta = parts(w)
        outputs = np.empty((len(y), 9))
        outputs[:, :6] = (x1[:, :, None] * by_unit[:, None, :]).reshape(-1, 6)
        outputs[:, 6:8] = hidden
        outputs[:, 8] = 1.0
        hessian = outputs.T @ outputs
        bend = -2 * hidden * by_unit * delta[:, None]
        mixed = x1.T @ (slope * delta[:, None])
        for j in range(2):
            hessian[j:6:2, j:6:2] += (x1 * bend[:, j, None]).T @ x1
            hessian[j:6:2, 6 + j] += mixed[:, j]
            hessian[6 + j, j:6:2] += mixed[:, j]
        return np.eye(9) - lr * hessian

    return step, jacobian


def numpy_exponents(gd, w, steps):
    """All nine exponents of one network, step by step."""
    step, jacobian = numpy_network(gd)
    q, sums = np.eye(9), np.zeros(9)
    out = np.empty((steps, 9))
    for t in range(steps):
        q, r = np.linalg.qr(jacobian(w) @ q)
        sums += np.log(np.abs(np.diagonal(r)))
        out[t] = sums / (t + 1)
        w = step(w)
    return out


def trajlib_exponents(gd, w0, steps):
    """The same for many networks in the fused engine."""
    eye = np.broadcast_to(np.eye(9), (len(w0), 9, 9))
    return tl.finite_time_exponents(gd, w0, steps, vectors=eye, progress=False).exponents


def trajlib_vectors(gd, w0, steps=STEPS, transient=TRANSIENT):
    """Covariant vectors of many trajectories, (n, times, p, k)."""
    p = w0.shape[1]
    eye = np.broadcast_to(np.eye(p), (len(w0), p, p))
    options = {"transient": (transient, transient), "vectors": eye, "progress": False}
    return tl.covariant_vectors(gd, w0, steps, **options).vectors


def lyapynov_vectors(step, jacobian, w, steps=STEPS, transient=TRANSIENT):
    """The same of one trajectory by lyapynov."""
    import lyapynov

    np.random.seed(0)  # noqa: NPY002 - the package draws from the global state
    system = lyapynov.DiscreteDS(w, 0, lambda x, t: step(x), lambda x, t: jacobian(x))
    vectors = np.array(lyapynov.CLV(system, len(w), 0, transient, steps - 2 * transient, transient, False))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # the last ones come without unit length


def clvlib_vectors(step, jacobian, w, steps=STEPS, transient=TRANSIENT):
    """The same of one trajectory by clvlib, whose bars are switched off by its caller."""
    from clvlib.numpy import lyap_analysis_from_ic

    out = lyap_analysis_from_ic(
        lambda t, x: step(x), lambda t, x: jacobian(x), w, np.arange(steps + 1.0), stepper="discrete"
    )
    return out[4][transient : steps - transient + 1]


def stored(gd, w, steps=STEPS):
    """A map and a Jacobian that only look up what was computed before: what is left is the package's own time."""
    states = tl.train(gd, w[None], steps, record=("weights",), progress=False).weights[0]
    matrices = gd.jacobian(states)
    index = {state.tobytes(): t for t, state in enumerate(states)}
    return lambda x: states[index[x.tobytes()] + 1], lambda x: matrices[index[x.tobytes()]]


def apart(a, b):
    """Largest sine of an angle between columns of unit length."""
    return float(np.linalg.norm(a - (a * b).sum(axis=-2, keepdims=True) * b, axis=-2).max())


def not_covariant(vectors, matrices):
    """Largest sine of the angle between J v and the next v."""
    moved = matrices[:-1] @ vectors[:-1]
    return apart(moved / np.linalg.norm(moved, axis=-2, keepdims=True), vectors[1:])


def agreement(gd, w0) -> dict[str, float]:
    """How far the sides are apart: exponents; vectors, those of the network where the backward pass has converged; and for each side by
    how much J v misses the next v."""
    step, jacobian = numpy_network(gd)
    off = {"exponents": float(np.abs(trajlib_exponents(gd, w0[:1], 500)[0] - numpy_exponents(gd, w0[0], 500)).max())}
    henon, start = HenonMap(), np.array([0.1, 0.1])
    for name, maps, w in (("henon", (henon, henon, henon.jacobian), start), ("network", (gd, step, jacobian), w0[0])):
        p = len(w)
        clv = tl.covariant_vectors(
            maps[0], w[None], STEPS, transient=(TRANSIENT, TRANSIENT), vectors=np.eye(p)[None], progress=False
        )
        settled = clv.discrepancy[0, 1] < 1e-12
        off[f"{name}_vectors_compared"] = int(settled.sum())
        matrices = maps[0].jacobian(clv.states[0])
        sides = {
            "trajlib": clv.vectors[0],
            "lyapynov": lyapynov_vectors(*maps[1:], w),
            "clvlib": clvlib_vectors(*maps[1:], w),
        }
        for side, vectors in sides.items():
            off[f"{name}_{side}"] = apart(vectors[..., settled], clv.vectors[0][..., settled])
            off[f"{name}_{side}_not_covariant"] = not_covariant(vectors, matrices)
    return off


def main() -> None:
    began = time.perf_counter()
    import clvlib.numpy.clv
    import clvlib.numpy.integrators

    for module in (clvlib.numpy.clv, clvlib.numpy.integrators):
        module.tqdm = lambda steps, **_: steps
    gd, relu, henon = setting(), setting("relu"), HenonMap()
    w0 = gd.network.init(1024, seed=0)
    off = agreement(gd, w0)
    print(off)
    # clvlib 0.1.5 takes, on its way back, the R of the step before the one it needs: its vectors are reported, not required, to agree
    must = [name for name in off if "clvlib" not in name and "compared" not in name]
    if not max(off[name] for name in must) < TOLERANCE:
        raise SystemExit(f"the implementations do not compute the same thing: {off}")
    step, jacobian = numpy_network(gd)
    look_up, matrix = stored(gd, w0[0])
    start = np.array([0.1, 0.1])
    starts = np.tile(start, (200, 1)) + np.linspace(0, 0.01, 200)[:, None]
    calls: dict[str, tuple[Callable, int]] = {
        "exponents": (lambda: trajlib_exponents(gd, w0, 500), 1024 * 500),
        "exponents_relu": (lambda: trajlib_exponents(relu, w0, 500), 1024 * 500),
        "exponents_numpy": (lambda: numpy_exponents(gd, w0[0], 500), 500),
        "vectors": (lambda: trajlib_vectors(gd, w0[:256]), 256 * STEPS),
        "vectors_lyapynov": (lambda: lyapynov_vectors(step, jacobian, w0[0]), STEPS),
        "vectors_clvlib": (lambda: clvlib_vectors(step, jacobian, w0[0]), STEPS),
        "vectors_lyapynov_stored": (lambda: lyapynov_vectors(look_up, matrix, w0[0]), STEPS),
        "vectors_clvlib_stored": (lambda: clvlib_vectors(look_up, matrix, w0[0]), STEPS),
        "henon": (lambda: trajlib_vectors(henon, starts), 200 * STEPS),
        "henon_one": (lambda: trajlib_vectors(henon, start[None]), STEPS),
        "henon_lyapynov": (lambda: lyapynov_vectors(henon, henon.jacobian, start), STEPS),
        "henon_clvlib": (lambda: clvlib_vectors(henon, henon.jacobian, start), STEPS),
    }
    timed = interleaved({name: call for name, (call, _) in calls.items()}, ROUNDS)
    us = {name: 1e6 * timed[name][:, 0] / work for name, (_, work) in calls.items()}
    results: dict[str, object] = {"agreement": {"tolerance": TOLERANCE, "largest_difference": off}}
    for name, values in us.items():
        against = name.split("_")[0]
        results[name] = {
            "us_per_step": spread(values),
            "times_trajlib": spread(values / us[against]),
            "cores_busy": spread(timed[name][:, 1]),
        }
        print(name, results[name])
    results["packages"] = {name: version(name) for name in ("clvlib", "lyapynov")}
    results["targets"] = {"exponents_us_per_step": 6, "vectors_times": 100}
    setting_text = (
        "2-2-1, tanh (and relu), 50 samples, half squared error, lr 0.001, N(0, 1) weights of seed 0; vectors: "
        f"{STEPS} steps, transients of {TRANSIENT}; Hénon map at (1.4, 0.3)"
    )
    write(OUTPUT, results, setting=setting_text, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
