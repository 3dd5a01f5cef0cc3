"""Lyapunov exponents of training a torch.nn.Module: trajlib against a loop of torch.func.jvp and QR written by hand.

Every side takes (gd, w0, vectors, steps), moves k tangent vectors along by the derivative of the whole step, and returns the exponents
(n, k), in float64. They are checked against each other before they are timed. Run as a script, this writes data/benchmarks/modules.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from _timing import compared, interleaved, write

import trajlib as tl
from trajlib.engines.fused.cpu import n_threads

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "modules.json"
EXPONENTS, NETWORKS, ROUNDS, TOLERANCE, LR = 4, 64, 5, 1e-10, 0.05
TARGETS = {"one": {"hand": 1.0}, "many": {"hand": 5.0}}
"""How many times as long as trajlib the loop by hand is meant to take, for one network and for 64 of them."""


def small_perceptron():
    """1,039 parameters, 120 flowers."""
    from torch import nn

    layers = (nn.Linear(4, 28), nn.Tanh(), nn.Linear(28, 28), nn.Tanh(), nn.Linear(28, 3))
    return nn.Sequential(*layers), tl.iris(split_seed=0)


def perceptron():
    """9,096 parameters, 120 digits."""
    from torch import nn

    return nn.Sequential(nn.Linear(64, 88), nn.Tanh(), nn.Linear(88, 34), nn.Tanh(), nn.Linear(34, 10)), digits()


def convolutional():
    """1,370 parameters, 120 digits."""
    from torch import nn

    layers = (nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(128, 10))
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *layers), digits()


def digits():
    """120 of the digits."""
    task = tl.digits(split_seed=0)
    return tl.Task("120 digits", task.x[:120], task.y[:120], class_names=task.class_names)


MODULES = {"small_perceptron": small_perceptron, "perceptron": perceptron, "convolutional": convolutional}


def trajlib_spectrum(gd, w0, vectors, steps):
    """The public call; it chooses how to differentiate, and whether to take the networks together."""
    import torch

    torch.set_num_threads(n_threads(None))
    return tl.lyapunov_spectrum(gd, w0, steps, vectors=vectors, blocks=4, progress=False).exponents


def _step(gd):
    """The step of gradient descent from a flat weight vector, and the map of it with k tangent vectors."""
    import torch
    from torch.func import functional_call, grad, jvp, vmap

    module = gd.network
    shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
    x, y = torch.tensor(gd.task.x), torch.tensor(gd.task.y)

    def loss(w):
        parts = w.split([shape.numel() for shape in shapes.values()])
        named = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return torch.nn.functional.cross_entropy(functional_call(module, named, (x,)), y)

    def step(w):
        return w - LR * grad(loss)(w)

    def pushed(w, vectors):
        moved, vectors = vmap(lambda v: jvp(step, (w,), (v,)))(vectors)
        return moved[0], vectors

    return pushed


def _exponents(pushed, w, vectors, steps):
    """Benettin's method on tensors w (..., p) and vectors (..., k, p)."""
    import torch

    vectors, total = torch.linalg.qr(vectors.mT)[0].mT, torch.zeros(())
    for _ in range(steps):
        w, vectors = pushed(w, vectors)
        q, r = torch.linalg.qr(vectors.mT)
        vectors, total = q.mT, total + r.diagonal(dim1=-2, dim2=-1).abs().log()
    return (total / steps).numpy()


def hand_loop(gd, w0, vectors, steps, threads=1):
    """One network after the other; the vectors of each together, by vmap. On one thread, unless more of them are faster."""
    import torch

    torch.set_num_threads(threads)
    pushed = _step(gd)
    return np.array([_exponents(pushed, *map(torch.tensor, pair), steps) for pair in zip(w0, vectors, strict=True)])


def hand_vmap(gd, w0, vectors, steps):
    """All networks together, by a vmap around that of the vectors."""
    import torch
    from torch.func import vmap

    torch.set_num_threads(n_threads(None))
    return _exponents(vmap(_step(gd)), torch.tensor(w0), torch.tensor(vectors), steps)


SIDES: dict[str, tuple[str, Callable]] = {
    "trajlib": ("trajlib", trajlib_spectrum),
    "hand": ("by hand, one network after the other", hand_loop),
    "hand_vmap": ("by hand, vmap over networks", hand_vmap),
}


def setting(name: str, networks: int):
    """Training, weights (networks, p) of the module's own initialisation, each with its seed, and tangent vectors (networks, k, p)."""
    import torch

    made = []
    for seed in range(networks):
        torch.manual_seed(seed)
        module, task = MODULES[name]()
        made.append(module.double())
    gd = tl.GradientDescent(made[0], task, lr=LR)
    vectors = np.random.default_rng(0).standard_normal((EXPONENTS, gd.n_parameters))
    return gd, gd.flatten(made), np.tile(vectors, (networks, 1, 1))


def disagreement(gd, w0, vectors, steps) -> dict[str, float]:
    """Largest difference of any exponent from trajlib's."""
    found = {name: call(gd, w0, vectors, steps) for name, (_, call) in SIDES.items()}
    return {name: float(np.abs(value - found["trajlib"]).max()) for name, value in found.items()}


def measure(name: str, networks: int, steps: tuple[int, int], rounds: int) -> dict:
    """A module: all sides checked, then timed for one network and for many."""
    gd, w0, vectors = setting(name, networks)
    off = disagreement(gd, w0[:3], vectors[:3], 8)
    if not max(off.values()) < TOLERANCE:
        raise SystemExit(f"the implementations do not compute the same thing: {off}")
    result = {
        "parameters": gd.n_parameters,
        "samples": len(gd.task.x),
        "agreement": {"steps": 8, "tolerance": TOLERANCE, "largest_difference": off},
        "method": gd.learner.method,
        "networks_together": gd.learner.vectorised,
    }
    for key, n, many in (("one", 1, steps[0]), ("many", networks, steps[1])):
        some = ("trajlib", "hand") if n == 1 else tuple(SIDES)
        # the loop costs the same for each network: it goes over a few of them
        sizes = {side: min(n, 4) if side == "hand" else n for side in some}
        calls = {side: partial(SIDES[side][1], gd, w0[:m], vectors[:m], many) for side, m in sizes.items()}
        work = {side: (m * many, SIDES[side][0]) for side, m in sizes.items()}
        result[key] = {"networks": n, "sides": compared(interleaved(calls, rounds), work, "trajlib", TARGETS[key])}
    return result


def main() -> None:
    began = time.perf_counter()
    results = {}
    for name, make in MODULES.items():
        results[name] = {"label": make.__doc__} | measure(name, NETWORKS, (40, 8), ROUNDS)
        print(name, {key: value for key, value in results[name].items() if key not in ("one", "many")})
        for key in ("one", "many"):
            for row in results[name][key]["sides"].values():
                print(
                    f"  {key:5}{row['label']:40}{row['us']['median']:9.0f} us  {row['times']}  {row['times_processor']}"
                )
    about = "gradient descent, full batch, cross entropy, float64; one QR a step; PyTorch's initialisation"
    setting_text = f"{about}; lr {LR}, {EXPONENTS} exponents"
    write(OUTPUT, results, setting=setting_text, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
