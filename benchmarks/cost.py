"""What k exponents cost as networks grow: seconds a step beside a plain training step, and memory, from 10^2 to 10^6 parameters.

One family of modules in float64: 16 inputs, two hidden layers of equal width with tanh, four classes, 256 made-up samples, all of them at
each step of gradient descent. On one core: where other work keeps a core busy, threads that wait for each other would time that work. A
training step and steps with 1, 4 and 16 tangent vectors are timed in turn, and their ratio is formed within a round. Memory is
that by which a process of its own grows at its peak during a call. Before anything is timed, exponents of the
smallest network are compared with those from full Hessians.
"""

import itertools
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from _timing import in_new_process, interleaved, spread, write
from own_network import _peak

import trajlib as tl

OUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "cost.json"
WIDTHS = (4, 21, 90, 305, 990)
"""Of the hidden layers: 10^2 to 10^6 parameters."""
VECTORS = (1, 4, 16)
BLOCKS, ROUNDS, SAMPLES, LR = 4, 3, 256, 0.1
SECONDS = 0.3  # of one timed call, about
TOLERANCE = 1e-9


def setting(width: int) -> tuple[tl.GradientDescent, np.ndarray]:
    """Gradient descent of the module of a width, and its initial weights (1, P)."""
    torch.manual_seed(0)
    sizes = (16, width, width, 4)
    layers = [part for a, b in itertools.pairwise(sizes) for part in (torch.nn.Linear(a, b), torch.nn.Tanh())]
    x, y = torch.randn(SAMPLES, 16, dtype=torch.float64), torch.randint(4, (SAMPLES,))
    module = torch.nn.Sequential(*layers[:-1])
    gd = tl.GradientDescent(module, (x, y), lr=LR)
    return gd, gd.flatten(module)


def call_of(gd: tl.GradientDescent, w: np.ndarray, k: int):
    """Training (k = 0) or training with k vectors, as a function of a number of steps."""
    if k == 0:
        return lambda steps: tl.train(gd, w, steps, record=("norm",), every=steps, progress=False)
    return lambda steps: tl.lyapunov_spectrum(gd, w, steps, k=k, blocks=BLOCKS, progress=False)


def measure(width: int, rounds: int = ROUNDS) -> dict:
    """Seconds of a step and multiples of a training step, for each number of vectors."""
    gd, w = setting(width)
    calls, steps = {k: call_of(gd, w, k) for k in (0, *VECTORS)}, {}
    for k, call in calls.items():
        call(BLOCKS)  # what is set up once
        began = time.perf_counter()
        call(BLOCKS)
        steps[k] = BLOCKS * max(1, round(SECONDS / (time.perf_counter() - began)))
    taken = interleaved({str(k): lambda call=call, n=steps[k]: call(n) for k, call in calls.items()}, rounds)
    each = {k: taken[str(k)][:, 0] / steps[k] for k in calls}
    return {
        "parameters": gd.n_parameters,
        "width": width,
        "method": gd.learner.method,
        "seconds": {str(k): spread(values) for k, values in each.items()},
        "times_step": {str(k): spread(each[k] / each[0]) for k in VECTORS},
        "cores_busy": {str(k): round(float(np.median(taken[str(k)][:, 1])), 2) for k in calls},
    }


def memory(width: int) -> dict:
    """MiB by which the process grows at its peak in a call, for each number of vectors (0: training)."""
    gd, w = setting(width)
    found = {}
    for k in (0, *VECTORS):
        call = call_of(gd, w, k)
        call(BLOCKS)
        found[str(k)] = _peak(lambda call=call: call(BLOCKS))
    return found


def disagreement() -> float:
    """Largest difference of three exponents of the smallest network from those of full Hessians, over 20 steps."""
    gd, w = setting(WIDTHS[0])
    vectors = np.linalg.qr(np.random.default_rng(0).standard_normal((gd.n_parameters, 3)))[0].T[None]
    ours = tl.lyapunov_spectrum(gd, w, 20, k=3, blocks=BLOCKS, vectors=vectors, progress=False).exponents[0]
    q, growth = vectors[0].T, np.zeros(3)
    for _ in range(20):
        q, r = np.linalg.qr(q - LR * gd.hessian(w)[0] @ q)
        growth, w = growth + np.log(np.abs(np.diag(r))), gd(w)
    return float(np.abs(ours - growth / 20).max())


def main() -> None:
    began = time.perf_counter()
    off = disagreement()
    if not off < TOLERANCE:
        sys.exit(f"exponents differ from those of full Hessians by {off:.1e}")
    one_core = {"TRAJLIB_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    os.environ.update(one_core)
    code = f"import sys, json; sys.path.insert(0, {str(Path(__file__).parent)!r}); import cost; "
    found = []
    for width in WIDTHS:
        one = in_new_process(code + f"print(json.dumps(cost.measure({width})))")
        freed = {
            "MALLOC_MMAP_THRESHOLD_": "65536",
            "MALLOC_TRIM_THRESHOLD_": "0",
        }  # what a call has freed is given back
        one["peak_mib"] = in_new_process(code + f"print(json.dumps(cost.memory({width})))", **freed)
        del one["peak_mib"]["process_s"]
        found.append(one)
        print(one, flush=True)
    results = {"networks": found, "vectors": list(VECTORS)}
    results |= {"agreement": {"largest_difference": float(f"{off:.1e}"), "tolerance": TOLERANCE}}
    write(
        OUT,
        results,
        setting=f"modules in float64, {SAMPLES} samples a step, all of them; one core",
        rounds=ROUNDS,
        began=began,
    )


if __name__ == "__main__":
    main()
