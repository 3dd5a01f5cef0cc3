"""The arithmetic of one step of the 4-10-3 network on Iris, and at what share of the core's peak the fused engine does it.

Operations are counted by running tests/specification.py, the engine's operation order in plain Python, on numbers that count. The peak is
that of additions and multiplications which wait for nothing, in vectors of the same width, without fused multiply-add. Run as a script,
this writes data/benchmarks/arithmetic.json; it takes half a minute.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
from _timing import interleaved, spread, write

import trajlib as tl
from trajlib.engines.fused.lanes import LANES, constant, load, store

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "data" / "benchmarks" / "arithmetic.json"
ROUNDS, NETWORKS, STEPS, PASSES = 21, 512, 400, 200_000_000
CHAINS = (3, 4, 6, 8)
"""Additions and multiplications under way at once: too few wait for each other, too many do not fit into the registers."""
COUNTED: Counter[str] = Counter()


class Counting(float):
    """A float whose operations, and what comes of them, are counted."""


def _counting(name: str, kind: str):
    plain = getattr(float, name)

    def operation(self, other):
        COUNTED[kind] += 1
        value = plain(self, other)
        return value if kind == "comparisons" else Counting(value)

    return operation


for _kind, _names in {
    "additions": ("add", "radd", "sub", "rsub"),
    "multiplications": ("mul", "rmul"),
    "divisions": ("truediv", "rtruediv"),
    "comparisons": ("lt", "gt"),
}.items():
    for _name in _names:
        setattr(Counting, f"__{_name}__", _counting(f"__{_name}__", _kind))


def _frexp(x):
    """Integer operations on the bits, in the engine; what comes of it goes on counting."""
    m, e = math.frexp(x)
    return Counting(m), e


def counted(gd, w) -> tuple[dict[str, int], float, list[float]]:
    """Floating-point operations of a step from weights w (p,), and its loss and new weights, for comparison with the engine's."""
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        import specification
    finally:
        sys.path.pop(0)
    numbers = [
        [[Counting(value) for value in row] for row in array.tolist()] for array in (gd.task.x, gd.targets, w[None])
    ]
    net, whole = gd.network, specification.math
    specification.math = SimpleNamespace(ldexp=math.ldexp, frexp=_frexp)
    COUNTED.clear()
    try:
        x, y, (start,) = numbers
        loss, slope = specification.gradient(start, x, y, net.widths, net.activation, net.loss, gd.weight_decay)
        moved = [value - gd.lr * g for value, g in zip(start, slope, strict=True)]
    finally:
        specification.math = whole
    return dict(COUNTED), float(loss), [float(value) for value in moved]


def compile_peak(chains: int):
    """``chains`` vectors to be added to, and as many to be multiplied, side by side, pass after pass."""

    @numba.njit(nogil=True)
    def run(numbers, out, passes):
        product = constant(1.0, chains)
        total = product
        factor, term = load(numbers, 0, product), load(numbers, 1, product)
        for _ in range(passes):
            product = product * factor
            total = total + term
        store(out, 0, product)
        store(out, 1, total)

    numbers, out = np.repeat((1.0, 0.5), LANES), np.zeros(2 * chains * LANES)
    run(numbers, out, 2)
    assert (out == np.repeat((1.0, 2.0), chains * LANES)).all()
    return partial(run, numbers, out)


def main() -> None:
    began = time.perf_counter()
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(split_seed=0), lr=1.0)
    w0 = gd.network.init(NETWORKS, seed=0)
    operations, loss, moved = counted(gd, w0[0])
    run = tl.train(gd, w0[:1], 1)
    if run.loss[0, 0] != loss or (run.final[0] != moved).any():
        raise SystemExit("the specification and the engine do not compute the same thing")
    calls = {f"{chains}": partial(compile_peak(chains), PASSES // chains) for chains in CHAINS}
    calls["trajlib"] = lambda: tl.train(gd, w0, STEPS, threads=1, progress=False)
    timed = interleaved(calls, ROUNDS)
    seconds = {name: values[:, 0] * values[:, 1] for name, values in timed.items()}  # of processor time
    rates = {chains: 2 * chains * LANES * (PASSES // chains) / seconds[f"{chains}"] for chains in CHAINS}
    peak = np.max(list(rates.values()), axis=0)
    each = seconds["trajlib"] / (NETWORKS * STEPS)
    work = operations["additions"] + operations["multiplications"]
    results = {
        "operations": operations,
        "additions_and_multiplications": work,
        "peak_gflops": spread(peak / 1e9),
        "us_per_network_step": spread(1e6 * each),
        "bound_us_per_network_step": spread(1e6 * work / peak),
        "share_of_peak": spread(work / each / peak),
        "cores_busy": round(float(np.median(timed["trajlib"][:, 1])), 2),
    }
    for name, value in results.items():
        print(name, value)
    setting = "Iris, 120 samples, 4-10-3 sigmoid, cross entropy, full batch, the loss recorded at every step; one thread, processor time"
    write(OUTPUT, results, setting=setting, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
