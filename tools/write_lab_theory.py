"""Write book/_static/lab/dmft.js, mean-field curves of diagonal linear networks on a grid of constants (about six minutes)."""

import itertools
from pathlib import Path

import numpy as np

import trajlib as tl

TARGET = Path(__file__).resolve().parent.parent / "book" / "_static" / "lab" / "dmft.js"
AXES = {
    "aspect_ratio": (0.5, 1.0, 2.0),
    "init_scale": (0.1, 0.14, 0.2, 0.3, 0.45, 0.7, 1.0, 1.4, 2.0, 3.0),
    "noise": (0.1, 0.5),
    "sparsity": (0.1, 0.5),
    "weight_decay": (0.0, 0.1),
}
TIMES = np.concatenate([[0.0], np.geomspace(0.02, 10.0, 40)]).round(4)
OPTIONS = {"paths": 32_768, "tolerance": 1e-3, "convergence": False, "seed": 0}
SMALLEST = 1e-6
"""The sampled theory has no digits below this."""


def constants() -> list[dict[str, float]]:
    """All points of the grid, the last axis fastest."""
    return [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]


def curves(point: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Excess risk and training error at TIMES."""
    found = tl.dmft(times=TIMES, progress=False, **point, **OPTIONS)
    return found.excess_risk, found.training_error


def text(values: np.ndarray) -> str:
    short = (f"{value:.3g}" if value >= SMALLEST else "0" for value in values.tolist())
    return " ".join(number.replace("e-0", "e-").removeprefix("0") or "0" for number in short)


def script() -> str:
    lines = [
        "/* Mean-field theory of diagonal linear networks on a grid of constants, three digits: excess risk and training error by turns.",
        f"   Written by tools/write_lab_theory.py: trajlib.dmft with {', '.join(f'{k}={v}' for k, v in OPTIONS.items())}. */",
        "trajlab.define(function dmft(trajlab) {",
        "  trajlab.dmftAxes = {",
        *(f"    {name}: {list(values)}," for name, values in AXES.items()),
        "  };",
        f'  trajlab.dmftTimes = "{" ".join(f"{t:g}" for t in TIMES)}".split(" ").map(Number);',
        "  trajlab.dmftCurves = [",
        *(f'    "{text(values)}",' for point in constants() for values in curves(point)),
        "  ];",
        "});",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(script(), encoding="utf-8")
