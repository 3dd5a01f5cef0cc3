"""The largest eigenvalues of a module's Hessian: tl.sharpness against curvlinops with SciPy's eigsh, and hessian-eigenthings.

Every side takes (setting, k) and returns k eigenvalues, largest first, in float64, to the same relative residual; they are checked against
each other before they are timed. hessian-eigenthings takes a number of steps and no tolerance to stop at: it is given the least number
that it calls converged. Run as a script, this writes data/benchmarks/curvature.json.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _timing import compared, interleaved, write

import trajlib as tl
from trajlib.engines.fused.cpu import n_threads

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "curvature.json"
ROUNDS, SAMPLES, RESIDUAL, TOLERANCE = 5, 100, 1e-6, 1e-8
MODULES = {"ten_thousand": (64, 100, 32, 10), "million": (64, 1000, 900, 10)}
"""Widths, of about 10^4 and 10^6 parameters."""
COUNTS = (1, 5)
TARGETS = {"curvlinops": 1.0, "hessian_eigenthings": 1.0}


class Setting(NamedTuple):
    """A module with its samples, as each side takes it; hashed by what it is, so that what a side builds is built once."""

    name: str
    module: Any
    x: Any
    y: Any

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        return self.name == other.name


def setting(name: str, widths: tuple[int, ...]) -> Setting:
    """A perceptron with tanh units in PyTorch's initialisation, on some of the digits."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for n, m in itertools.pairwise(widths):
        layers += [nn.Linear(n, m), nn.Tanh()]
    task = tl.digits(split_seed=0)
    module = nn.Sequential(*layers[:-1]).double()
    return Setting(name, module, torch.tensor(task.x[:SAMPLES]), torch.tensor(task.y[:SAMPLES]))


@cache
def _map(s: Setting):
    gd = tl.GradientDescent(s.module, (s.x, s.y))
    return gd, gd.flatten(s.module)[0]


def trajlib_sharpness(s: Setting, k: int) -> np.ndarray:
    """The public call."""
    gd, w = _map(s)
    return np.atleast_1d(tl.sharpness(gd, w, k=k, tolerance=RESIDUAL, method="lanczos"))


@cache
def _linear_operator(s: Setting):
    import torch
    from curvlinops import HessianLinearOperator

    criterion, parameters = torch.nn.CrossEntropyLoss(), list(s.module.parameters())
    return HessianLinearOperator(s.module, criterion, parameters, [(s.x, s.y)], check_deterministic=False).to_scipy()


def curvlinops_eigsh(s: Setting, k: int) -> np.ndarray:
    """curvlinops' operator, ARPACK's restarted Lanczos."""
    from scipy.sparse.linalg import eigsh

    start = np.random.default_rng(0).standard_normal(sum(p.numel() for p in s.module.parameters()))
    return eigsh(_linear_operator(s), k, which="LA", tol=RESIDUAL, v0=start, return_eigenvectors=False)[::-1]


@cache
def _curvature_operator(s: Setting):
    import torch
    from hessian_eigenthings import HessianOperator, supervised_loss

    return HessianOperator(s.module, [(s.x, s.y)], supervised_loss(torch.nn.CrossEntropyLoss()))


@cache
def enough(s: Setting, k: int) -> int:
    """The least number of steps after which hessian-eigenthings calls all k converged, by bisection."""
    few, steps = k, 2 * k + 16
    while not _lanczos(s, k, steps).converged.all():
        few, steps = steps, 2 * steps
    while steps - few > 1:
        middle = (few + steps) // 2
        few, steps = (few, middle) if _lanczos(s, k, middle).converged.all() else (middle, steps)
    return steps


def _lanczos(s: Setting, k: int, steps: int):
    from hessian_eigenthings import lanczos

    operator = _curvature_operator(s)
    return lanczos(operator, k=k, max_iter=steps, tol=RESIDUAL, which="LA", reorthogonalize=True, seed=0)


def hessian_eigenthings_lanczos(s: Setting, k: int) -> np.ndarray:
    """Its Lanczos with reorthogonalisation; eigenvectors come with it."""
    return _lanczos(s, k, enough(s, k)).eigenvalues.detach().numpy()


SIDES: dict[str, tuple[str, Callable]] = {
    "trajlib": ("trajlib, sharpness", trajlib_sharpness),
    "curvlinops": ("curvlinops, SciPy's eigsh", curvlinops_eigsh),
    "hessian_eigenthings": ("hessian-eigenthings, Lanczos", hessian_eigenthings_lanczos),
}


def disagreement(s: Setting, k: int) -> dict[str, float]:
    """Largest difference of an eigenvalue from trajlib's, as a fraction of the largest one."""
    found = {name: call(s, k) for name, (_, call) in SIDES.items()}
    ours = found["trajlib"]
    return {name: float(np.abs(values - ours).max() / np.abs(ours).max()) for name, values in found.items()}


def measure(s: Setting, k: int, rounds: int) -> dict:
    """Checked, then timed."""
    off = disagreement(s, k)
    if not max(off.values()) < TOLERANCE:
        raise SystemExit(f"the implementations do not compute the same thing: {off}")
    timed = interleaved({name: partial(call, s, k) for name, (_, call) in SIDES.items()}, rounds)
    sides = compared(timed, {name: (1, label) for name, (label, _) in SIDES.items()}, "trajlib", TARGETS)
    return {"largest_difference": off, "eigenvalues": trajlib_sharpness(s, k).tolist(), "sides": sides}


def main() -> None:
    import torch

    began = time.perf_counter()
    torch.set_num_threads(n_threads(None))
    results: dict[str, Any] = {"tolerance": TOLERANCE, "relative_residual": RESIDUAL}
    for name, widths in MODULES.items():
        s = setting(name, widths)
        results[name] = {"widths": widths, "parameters": _map(s)[0].n_parameters}
        for k in COUNTS:
            results[name][f"{k}"] = row = measure(s, k, ROUNDS)
            print(name, k, row["eigenvalues"], row["largest_difference"], "steps of hessian-eigenthings:", enough(s, k))
            for side in row["sides"].values():
                print(
                    f"  {side['label']:34}{side['us']['median'] / 1e6:8.3f} s  {side['times']}  {side['times_processor']}"
                )
    setting_text = (
        f"perceptrons with tanh units, PyTorch's initialisation of seed 0, cross entropy on {SAMPLES} digits, float64"
    )
    libraries = ("curvlinops-for-pytorch", "hessian-eigenthings", "scipy")
    write(OUTPUT, results, setting=setting_text, rounds=ROUNDS, began=began, libraries=libraries)


if __name__ == "__main__":
    main()
