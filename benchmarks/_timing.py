"""What benchmarks share: interleaved timing, medians with quartiles, the machine in words, the result file.

Alternatives are timed in turn, round after round, and ratios are formed within a round: what else the machine
does then hits all of them alike.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

from trajlib.engines import n_threads


def interleaved(calls: dict[str, Callable[[], object]], rounds: int, pause: float = 0.2) -> dict[str, np.ndarray]:
    """Wall seconds and cores kept busy, (rounds, 2) for each call; one round before them is not counted."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            time.sleep(pause)  # idle threads of the last library may still be spinning
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            taken[name].append((wall, cpu / wall))
    return {name: np.array(values[1:]) for name, values in taken.items()}


def spread(values: np.ndarray) -> dict[str, float | list[float]]:
    """Median and quartiles, rounded to four digits."""
    low, median, high = (float(f"{q:.4g}") for q in np.percentile(values, (25, 50, 75)))
    return {"median": median, "quartiles": [low, high]}


def compared(
    timed: dict[str, np.ndarray], work: dict[str, tuple[float, str]], ours: str, targets: dict[str, float]
) -> dict[str, dict]:
    """What ``interleaved`` gave, as a row for each call: microseconds for a unit of its work, and how many times that of ``ours`` in the
    same round, by the clock and by processor time; the latter hardly knows of what else the machine does.

    work: units of work of a call, and its label.
    """
    rows = {}
    us = {name: 1e6 * timed[name][:, 0] / units for name, (units, _) in work.items()}
    processor = {name: us[name] * timed[name][:, 1] for name in work}
    for name, (_, label) in work.items():
        rows[name] = {
            "label": label,
            "us": spread(us[name]),
            "times": spread(us[name] / us[ours]),
            "times_processor": spread(processor[name] / processor[ours]),
            "target": targets.get(name),
            "cores_busy": round(float(np.median(timed[name][:, 1])), 2),
        }
    return rows


def in_new_process(code: str, **environment: str) -> dict:
    """What ``code`` prints as JSON in a fresh interpreter, with the wall seconds of that whole process."""
    began = time.perf_counter()
    child = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(child.stdout) | {"process_s": round(time.perf_counter() - began, 3)}


def _versions(libraries: tuple[str, ...]) -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for name in libraries:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def machine(*libraries: str) -> dict[str, object]:
    """Processor, cores, memory, system and versions; nothing that names the computer or its user."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "architecture": llvm.get_host_cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": _versions(libraries),
    }


def write(
    path: Path, results: dict, *, setting: str, rounds: int, began: float, libraries: tuple[str, ...] = ()
) -> None:
    """Write results with a manifest: what made them, on what machine and with which versions, of further ``libraries`` too, how long it
    took, and the SHA-256 of the results."""
    content = json.dumps(results, sort_keys=True).encode()
    manifest = {
        "made_by": f"python benchmarks/{path.stem}.py",
        "setting": setting,
        "rounds": rounds,
        "seconds": round(time.perf_counter() - began),
        "threads": n_threads(None),
        "trajlib": version("trajlib"),
        "machine": machine("numpy", "numba", "llvmlite", "torch", "jax", "jaxlib", *libraries),
        "date": datetime.date.today().isoformat(),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"manifest": manifest, "results": results}, indent=2) + "\n", encoding="utf-8")
