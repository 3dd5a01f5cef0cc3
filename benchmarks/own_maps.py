"""Lyapunov exponents and covariant vectors of five maps of a user's own, written with Numba: trajlib against pynamicalsys.

Both get the same compiled functions. pynamicalsys takes one initial condition a call: many are a loop, of which a part is timed. Run as a
script, this writes data/benchmarks/own_maps.json.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numba
import numpy as np
from _timing import interleaved, spread, write

import trajlib as tl
from trajlib.engines import n_threads

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "own_maps.json"
ROUNDS, MANY, LOOP = 5, 256, 4
"""Rounds; trajectories that trajlib takes together, and those of them that stand for all in pynamicalsys's loop."""
STEPS = {"one": 50_000, "many": 2000, "vectors": 4000}
"""Steps for states of up to three numbers; of twenty, a tenth."""
COMPARED = 20_000
"""Steps of the runs that are compared: in a lattice, vectors take thousands of steps to converge."""
TARGETS = {"one_over_pynamicalsys": 1.5, "pynamicalsys_over_many": 4}


@dataclass(frozen=True)
class Map:
    """A map as a user writes it."""

    step: object
    jacobian: object
    start: tuple[float, ...]

    def __call__(self, x):
        return self.step(x)


@numba.njit
def henon(x):
    return np.array([1.0 - 1.4 * x[0] * x[0] + x[1], 0.3 * x[0]])


@numba.njit
def henon_jacobian(x):
    j = np.zeros((2, 2))
    j[0, 0], j[0, 1], j[1, 0] = -2.8 * x[0], 1.0, 0.3
    return j


@numba.njit
def towel(x):
    u, v, w = x[0], x[1], x[2]
    fold = (v + 0.35) * (1.0 - 2.0 * w)
    return np.array(
        [
            3.8 * u * (1.0 - u) - 0.05 * fold,
            0.1 * (fold - 1.0) * (1.0 - 1.9 * u),
            3.78 * w * (1.0 - w) + 0.2 * v,
        ]
    )


@numba.njit
def towel_jacobian(x):
    u, v, w = x[0], x[1], x[2]
    j = np.zeros((3, 3))
    j[0, 0], j[0, 1], j[0, 2] = 3.8 * (1.0 - 2.0 * u), -0.05 * (1.0 - 2.0 * w), 0.1 * (v + 0.35)
    j[1, 0] = -0.19 * ((v + 0.35) * (1.0 - 2.0 * w) - 1.0)
    j[1, 1], j[1, 2] = 0.1 * (1.0 - 2.0 * w) * (1.0 - 1.9 * u), -0.2 * (v + 0.35) * (1.0 - 1.9 * u)
    j[2, 1], j[2, 2] = 0.2, 3.78 * (1.0 - 2.0 * w)
    return j


@numba.njit
def standard(x):
    p = (x[1] + 6.0 / (2.0 * np.pi) * np.sin(2.0 * np.pi * x[0])) % 1.0
    return np.array([(x[0] + p) % 1.0, p])


@numba.njit
def standard_jacobian(x):
    j = np.ones((2, 2))
    j[1, 0] = 6.0 * np.cos(2.0 * np.pi * x[0])
    j[0, 0] = 1.0 + j[1, 0]
    return j


@numba.njit
def lorenz_field(x, y, z):
    return 10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z


@numba.njit
def lorenz_tangent(x, y, z, u, v, w):
    return 10.0 * (v - u), u * (28.0 - z) - v - x * w, x * v + u * y - 8.0 / 3.0 * w


@numba.njit
def lorenz(s):
    h, x, y, z = 0.01, s[0], s[1], s[2]
    a0, a1, a2 = lorenz_field(x, y, z)
    b0, b1, b2 = lorenz_field(x + 0.5 * h * a0, y + 0.5 * h * a1, z + 0.5 * h * a2)
    c0, c1, c2 = lorenz_field(x + 0.5 * h * b0, y + 0.5 * h * b1, z + 0.5 * h * b2)
    d0, d1, d2 = lorenz_field(x + h * c0, y + h * c1, z + h * c2)
    return np.array(
        [
            x + h / 6.0 * (a0 + 2.0 * b0 + 2.0 * c0 + d0),
            y + h / 6.0 * (a1 + 2.0 * b1 + 2.0 * c1 + d1),
            z + h / 6.0 * (a2 + 2.0 * b2 + 2.0 * c2 + d2),
        ]
    )


@numba.njit
def lorenz_jacobian(s):
    """The tangent of the same Runge-Kutta step, column by column."""
    h, x, y, z = 0.01, s[0], s[1], s[2]
    a0, a1, a2 = lorenz_field(x, y, z)
    xb, yb, zb = x + 0.5 * h * a0, y + 0.5 * h * a1, z + 0.5 * h * a2
    b0, b1, b2 = lorenz_field(xb, yb, zb)
    xc, yc, zc = x + 0.5 * h * b0, y + 0.5 * h * b1, z + 0.5 * h * b2
    c0, c1, c2 = lorenz_field(xc, yc, zc)
    xd, yd, zd = x + h * c0, y + h * c1, z + h * c2
    matrix = np.empty((3, 3))
    for j in range(3):
        u, v, w = 1.0 * (j == 0), 1.0 * (j == 1), 1.0 * (j == 2)
        a0, a1, a2 = lorenz_tangent(x, y, z, u, v, w)
        b0, b1, b2 = lorenz_tangent(xb, yb, zb, u + 0.5 * h * a0, v + 0.5 * h * a1, w + 0.5 * h * a2)
        c0, c1, c2 = lorenz_tangent(xc, yc, zc, u + 0.5 * h * b0, v + 0.5 * h * b1, w + 0.5 * h * b2)
        d0, d1, d2 = lorenz_tangent(xd, yd, zd, u + h * c0, v + h * c1, w + h * c2)
        matrix[0, j] = u + h / 6.0 * (a0 + 2.0 * b0 + 2.0 * c0 + d0)
        matrix[1, j] = v + h / 6.0 * (a1 + 2.0 * b1 + 2.0 * c1 + d1)
        matrix[2, j] = w + h / 6.0 * (a2 + 2.0 * b2 + 2.0 * c2 + d2)
    return matrix


@numba.njit
def lattice(x):
    n = len(x)
    y = np.empty(n)
    for i in range(n):
        left, right = x[i - 1], x[i + 1 if i + 1 < n else 0]
        y[i] = 3.6 * x[i] * (1.0 - x[i]) + 0.2 * (left * (1.0 - left) + right * (1.0 - right))
    return y


@numba.njit
def lattice_jacobian(x):
    n = len(x)
    j = np.zeros((n, n))
    for i in range(n):
        left, right = i - 1 if i > 0 else n - 1, i + 1 if i + 1 < n else 0
        j[i, i] = 3.6 * (1.0 - 2.0 * x[i])
        j[i, left] = 0.2 * (1.0 - 2.0 * x[left])
        j[i, right] = 0.2 * (1.0 - 2.0 * x[right])
    return j


MAPS = {
    "henon": Map(henon, henon_jacobian, (0.1, 0.1)),
    "towel": Map(towel, towel_jacobian, (0.085, -0.121, 0.075)),
    "standard": Map(standard, standard_jacobian, (0.1, 0.2)),
    "lorenz": Map(lorenz, lorenz_jacobian, (1.0, 2.0, 20.0)),
    "lattice": Map(lattice, lattice_jacobian, tuple(np.random.default_rng(0).uniform(0.1, 0.9, 20))),
}


def starts(m: Map, n: int) -> np.ndarray:
    """n initial conditions close to each other, (n, p)."""
    return np.array(m.start) + 1e-3 * np.random.default_rng(1).random((n, len(m.start)))


def lyapunov_spectrum(m: Map, w0: np.ndarray, steps: int) -> np.ndarray:
    """All exponents by trajlib, per step (n, p)."""
    return tl.lyapunov_spectrum(m, w0, steps // 4 * 4, blocks=4, progress=False).exponents


def covariant_vectors(m: Map, w0: np.ndarray, steps: int):
    """Covariant vectors of trajlib, a fifth of the steps at either end being transients."""
    return tl.covariant_vectors(m, w0, steps, progress=False)


def theirs(m: Map):
    """The same map for pynamicalsys."""
    from pynamicalsys import DiscreteDynamicalSystem

    step, jacobian = m.step, m.jacobian

    @numba.njit
    def mapping(u, parameters):
        return step(u)

    @numba.njit
    def derivative(u, parameters, mapping):
        return jacobian(u)

    return DiscreteDynamicalSystem(
        mapping=mapping, jacobian=derivative, system_dimension=len(m.start), parameters=[0.0]
    )


def their_exponents(system, w0: np.ndarray, steps: int) -> np.ndarray:
    """All exponents by pynamicalsys, by its faster method, one trajectory after the other."""
    method = "ER" if w0.shape[1] == 2 else "QR"
    return np.array([system.lyapunov(w, steps, method=method) for w in w0])


def their_vectors(system, w0: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Covariant vectors and states by pynamicalsys, one trajectory after the other."""
    end = steps // 5
    runs = [system.CLV(w, steps - 2 * end, warmup_time=end, tail_time=end) for w in w0]
    return np.array([run[0] for run in runs]), np.array([run[1] for run in runs])


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Largest sine of an angle between columns of unit length."""
    return float(np.linalg.norm(a - (a * b).sum(axis=-2, keepdims=True) * b, axis=-2).max())


def agreement(m: Map, system, steps: int) -> dict[str, float]:
    """How far the two are apart on one trajectory: exponents (times steps: what the different first vectors leave), states and vectors.

    pynamicalsys evaluates the Jacobian from the first image on. Its backward pass begins at the last vectors that it gives: the second half
    is left out, and so are vectors that have not converged.
    """
    w0 = starts(m, 1)
    exponents = lyapunov_spectrum(m, m(w0[0])[None], steps) - their_exponents(system, w0, steps)
    clv = covariant_vectors(m, w0, steps)
    vectors, states = their_vectors(system, w0, steps)
    half = len(clv.times) // 2
    settled = clv.converged[0]
    return {
        "exponents_times_steps": float(np.abs(exponents).max() * steps),
        "states": float(np.abs(clv.states[:, :half] - states[:, :half]).max()),
        "vectors_compared": int(settled.sum()),
        "vectors": apart(clv.vectors[:, :half, :, settled], vectors[:, :half, :, settled]),
    }


def measure(name: str, rounds: int = ROUNDS, scale: float = 1.0, compared: int = COMPARED) -> dict[str, dict]:
    """One map: the first calls, how far the two are apart, and the time of a step for one trajectory and for many."""
    m = MAPS[name]
    scale *= 0.1 if len(m.start) > 3 else 1.0
    one, many, some = starts(m, 1), starts(m, MANY), starts(m, LOOP)
    steps = {key: int(scale * value) for key, value in STEPS.items()}
    system, first = theirs(m), {}
    for side, call in (
        ("trajlib", lambda: lyapunov_spectrum(m, one, 10)),
        ("pynamicalsys", lambda: their_exponents(system, one, 10)),
    ):
        began = time.perf_counter()
        call()
        first[side] = round(time.perf_counter() - began, 2)
    result: dict[str, dict] = {"first_call_s": first, "agreement": agreement(m, system, compared)}
    for quantity, ours, other in (
        ("exponents", lyapunov_spectrum, their_exponents),
        ("vectors", covariant_vectors, their_vectors),
    ):
        length = steps["one"] if quantity == "exponents" else steps["vectors"]
        calls = {
            "trajlib_one": (lambda f=ours, n=length: f(m, one, n), length),
            "pynamicalsys_one": (lambda f=other, n=length: f(system, one, n), length),
            "trajlib_many": (lambda f=ours: f(m, many, steps["many"]), MANY * steps["many"]),
            "pynamicalsys_many": (lambda f=other: f(system, some, steps["many"]), LOOP * steps["many"]),
        }
        timed = interleaved({key: call for key, (call, _) in calls.items()}, rounds, pause=0.05)
        us = {key: 1e6 * timed[key][:, 0] / work for key, (_, work) in calls.items()}
        cpu = {
            key: us[key] * timed[key][:, 1] for key in us
        }  # what a machine that does other things too says nothing about
        result[quantity] = {key: {"us_per_step": spread(us[key]), "cpu_us_per_step": spread(cpu[key])} for key in calls}
        for name, over, under in (
            ("one_over_pynamicalsys", "trajlib_one", "pynamicalsys_one"),
            ("pynamicalsys_over_many", "pynamicalsys_many", "trajlib_many"),
        ):
            result[quantity] |= {name: spread(us[over] / us[under]), f"{name}_cpu": spread(cpu[over] / cpu[under])}
    return result


def main() -> None:
    began = time.perf_counter()
    results: dict[str, object] = {}
    for name in MAPS:
        results[name] = measure(name)
        print(name, results[name])
        off = results[name]["agreement"]
        if not (off["exponents_times_steps"] < 50 and off["states"] == 0 and off["vectors"] < 1e-5):
            raise SystemExit(f"the implementations do not compute the same thing: {name}: {off}")
    results["targets"] = TARGETS
    results["packages"] = {"pynamicalsys": version("pynamicalsys")}
    setting = (
        "Hénon (1.4, 0.3); folded towel; standard map (K = 6); Lorenz, one Runge-Kutta step of 0.01; 20 coupled logistic maps; "
        f"all exponents and vectors; steps {STEPS}, a tenth for the lattice; {n_threads(None)} threads"
    )
    write(OUTPUT, results, setting=setting, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
