"""Mean-field theory of diagonal linear networks at 80 intervals of time: trajlib against direct simulation of equal standard error.

The theory is solved with 4,096 paths in four ensembles. How many networks of 1,000 inputs give the same standard error of the excess
risk is computed from the spread of the networks that are run; their time is that of one network, times that number. The simulation is
trajlib's too, with the same kind of steps. Run as a script, this writes data/benchmarks/meanfield.json.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
from _timing import interleaved, spread, write
from threadpoolctl import threadpool_limits

import trajlib as tl

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "benchmarks" / "meanfield.json"
SETTINGS = {
    "delta 0.5, alpha 0.3": {"aspect_ratio": 0.5, "init_scale": 0.3},
    "delta 2, alpha 0.3": {"aspect_ratio": 2.0, "init_scale": 0.3, "noise": 0.5},
}
TIMES = np.linspace(0.0, 8.0, 81)
PATHS, REPLICATES, DIMENSION, NETWORKS, ROUNDS, TARGET = 4096, 4, 1000, 8, 5, 2.0
AGREEMENT = 4.0
"""Combined standard errors within which both sides must lie."""


def theory(constants: dict, convergence: bool = False) -> tl.MeanField:
    """The mean-field curves; with ``convergence`` from the fewest paths that allow it."""
    replicates = REPLICATES // 2 if convergence else REPLICATES
    return tl.dmft(
        times=TIMES, paths=PATHS, replicates=replicates, convergence=convergence, progress=False, **constants
    )


def simulation(constants: dict, networks: int = NETWORKS) -> tl.DiagonalFlow:
    """Networks of finite width."""
    return tl.diagonal_flow(DIMENSION, networks=networks, times=TIMES, tolerance=1e-3, progress=False, **constants)


def compare(constants: dict) -> dict:
    """Seconds of both sides, and what the simulation would need for the standard error of the theory."""
    mf, run = theory(constants), simulation(constants, 4 * NETWORKS)
    off = np.abs(mf.excess_risk - run.excess_risk)[1:] / np.hypot(mf.excess_risk_error, run.excess_risk_error)[1:]
    if not off.max() < AGREEMENT:
        raise SystemExit(f"theory and simulation differ by {off.max():.1f} standard errors")
    many = tl.dmft(
        times=TIMES, paths=4 * PATHS, replicates=4 * REPLICATES, convergence=False, progress=False, **constants
    )  # its spread tells the error of REPLICATES ensembles more surely than these do
    expected = 2.0 * many.excess_risk_error[1:]
    one = run.excess_risk_error[1:] * np.sqrt(len(run.excess_risks))  # spread of single networks
    needed = float(np.exp(np.mean(np.log((one / expected) ** 2))))
    timed = interleaved(
        {
            "theory": partial(theory, constants),
            "theory_with_convergence": partial(theory, constants, True),
            "simulation": partial(simulation, constants),
        },
        ROUNDS,
    )
    equal = timed["simulation"][:, 0] / NETWORKS * needed
    return {
        "seconds": {name: spread(taken[:, 0]) for name, taken in timed.items()},
        "cores_busy": {name: spread(taken[:, 1]) for name, taken in timed.items()},
        "below_target": bool(np.median(timed["theory"][:, 0]) < TARGET),
        "standard_error_relative": float(f"{np.mean(expected / mf.excess_risk[1:]):.3g}"),
        "networks_of_equal_error": float(f"{needed:.3g}"),
        "simulation_of_equal_error_seconds": spread(equal),
        "times": spread(equal / timed["theory"][:, 0]),
        "largest_difference_in_errors": float(f"{off.max():.3g}"),
    }


def main() -> None:
    began = time.perf_counter()
    with threadpool_limits(1):
        results = {"target_seconds": TARGET} | {name: compare(constants) for name, constants in SETTINGS.items()}
    for name in SETTINGS:
        print(name, results[name])
    setting = (
        f"{PATHS} paths in {REPLICATES} ensembles, {len(TIMES) - 1} intervals up to t = {TIMES[-1]:g}; "
        f"networks of {DIMENSION} inputs; float64, one thread of BLAS: on two cores more slow down both sides"
    )
    write(OUTPUT, results, setting=setting, rounds=ROUNDS, began=began)


if __name__ == "__main__":
    main()
