"""Local Lyapunov exponents of a long series after Kantz: trajlib against NumPy loops, and against nolds.

All sides are checked against each other before they are timed. Run as a script, this writes data/benchmarks/series.json.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import distribution, version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
from _timing import interleaved, spread, write
from scipy.stats import linregress

from trajlib.dynamics.reference import LogisticMap
from trajlib.series.local import local_exponents

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "series.json"
ROUNDS, TOLERANCE = 5, 1e-9
POINTS, REFERENCES, HORIZON = 42_000, 1000, 10
SHORT, TRAJECTORY = 2000, 8  # nolds holds all distances at once; it follows 8 values, up to step 7


def logistic(n: int) -> np.ndarray:
    """A chaotic series whose exponent is ln 2."""
    w, out = np.array([0.1234]), np.empty(n)
    for t in range(n):
        out[t] = w[0]
        w = LogisticMap(4.0)(w)
    return out


def bands(n: int) -> np.ndarray:
    """Three narrow bands visited in turn, as in a period-3 phase: a third of all points are neighbours of each."""
    return np.array([0.2, 0.5, 0.9])[np.arange(n) % 3] + np.random.default_rng(0).uniform(-1e-6, 1e-6, n)


def numpy_loop(series, radius, references):
    """The straightforward way: a mask over the series for each reference, a loop over the steps, linregress."""
    rates, usable = np.full(len(references), np.nan), series[: len(series) - HORIZON]
    for a, i in enumerate(references):
        near = np.flatnonzero(np.abs(usable - series[i]) < radius)
        near = near[near != i]
        if len(near):
            divergence = [np.abs(series[near + k] - series[i + k]).mean() for k in range(1, HORIZON + 1)]
            rates[a] = linregress(np.arange(1, HORIZON + 1), np.log(divergence)).slope
    return rates


def numpy_sorted(series, radius, references):
    """NumPy at its best: sorted once, binary search, all steps of all neighbours in one gather, all lines at once."""
    order = np.argsort(series[: len(series) - HORIZON])
    values, steps = series[order], np.arange(1, HORIZON + 1)
    low = np.searchsorted(values, series[references] - radius, side="right")
    high = np.searchsorted(values, series[references] + radius)
    follow = np.lib.stride_tricks.sliding_window_view(series, HORIZON + 1)
    divergence = np.full((len(references), HORIZON), np.nan)
    for a, i in enumerate(references):
        if high[a] - low[a] > 1:  # the point itself adds zeros to the sum
            sums = np.abs(follow[order[low[a] : high[a]], 1:] - follow[i, 1:]).sum(axis=0)
            divergence[a] = sums / (high[a] - low[a] - 1)
    centred = steps - steps.mean()
    return np.log(divergence) @ centred / (centred @ centred)


@cache
def nolds_measures():
    """The estimators of nolds, loaded past its package: 0.6.3 fails at its example data under Python 3.11."""
    spec = spec_from_file_location("nolds_measures", str(distribution("nolds").locate_file("nolds/measures.py")))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def nolds_exponent(series):
    """Rosenstein's variant in nolds: the nearest neighbour of each point, followed over a few steps."""
    return nolds_measures().lyap_r(series, emb_dim=1, lag=1, min_tsep=1, trajectory_len=TRAJECTORY, fit="poly")


def trajlib_exponent(series, radius):
    """The slope of Kantz's curve from all points as references, over the same steps as in nolds."""
    found = local_exponents(series, radius=radius, horizon=TRAJECTORY - 1, references=len(series) - TRAJECTORY + 1)
    return float(np.polyfit(np.arange(TRAJECTORY), found.curve, 1)[0])


def main() -> None:
    began = time.perf_counter()
    cases = {"logistic": (logistic(POINTS), 2e-4), "bands": (bands(POINTS), 5e-5)}
    results: dict[str, dict] = {}
    calls: dict[str, Callable] = {}
    for name, (series, radius) in cases.items():
        found = local_exponents(series, radius=radius, horizon=HORIZON, references=REFERENCES)
        arguments = (series, radius, found.references)
        off = {f.__name__: np.nanmax(np.abs(f(*arguments) - found.rate)) for f in (numpy_loop, numpy_sorted)}
        same = [np.isnan(f(*arguments)).tolist() == np.isnan(found.rate).tolist() for f in (numpy_loop, numpy_sorted)]
        if not max(off.values()) < TOLERANCE or not all(same):
            raise SystemExit(f"the implementations do not compute the same thing: {off}")
        quartiles = np.percentile(found.neighbours, (25, 50, 75)).tolist()
        results[name] = {"radius": radius, "neighbours": quartiles, "largest_difference": max(off.values())}
        calls[f"{name} trajlib"] = lambda s=series, r=radius, i=found.references: local_exponents(
            s, radius=r, horizon=HORIZON, references=i
        )
        calls[f"{name} numpy_loop"] = lambda a=arguments: numpy_loop(*a)
        calls[f"{name} numpy_sorted"] = lambda a=arguments: numpy_sorted(*a)
    short = cases["logistic"][0][:SHORT]
    estimates = {"trajlib": trajlib_exponent(short, 1e-3), "nolds": float(nolds_exponent(short)), "exact": math.log(2)}
    if not all(abs(value - math.log(2)) < 0.1 for value in estimates.values()):
        raise SystemExit(f"an estimate is not near ln 2: {estimates}")
    calls["short trajlib"] = lambda: trajlib_exponent(short, 1e-3)
    calls["short nolds"] = lambda: nolds_exponent(short)
    timed = interleaved(calls, ROUNDS)
    results["short"] = {"points": SHORT, "estimates": estimates, "nolds_version": version("nolds")}
    for call, rounds in timed.items():
        name, side = call.split()
        ratio = rounds[:, 0] / timed[f"{name} trajlib"][:, 0]
        results[name][side] = {
            "seconds": spread(rounds[:, 0]),
            "times": spread(ratio),
            "cores_busy": spread(rounds[:, 1]),
        }
        print(call, results[name][side])
    print(estimates)
    setting = (
        f"{REFERENCES} reference points of {POINTS} (logistic map at r = 4; three bands 2e-6 wide in turn), horizon {HORIZON}, "
        f"dimension 1, no Theiler window; nolds.lyap_r on {SHORT} points; {os.environ.get('TRAJLIB_THREADS', 'all')} threads"
    )
    write(OUTPUT, results, setting=setting, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
