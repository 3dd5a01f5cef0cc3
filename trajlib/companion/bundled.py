"""Results that travel with the library because they take too long to compute again."""

from __future__ import annotations

import json
from typing import Any

from .._files import data_file
from ..sweeps.grid import MANIFEST, Sweep, open_sweep

__all__ = ["bundled_benchmark", "bundled_sweep"]


def bundled_benchmark(name: str) -> dict[str, Any]:
    """The manifest and the results of a benchmark that travels with the library: "own_network"."""
    return json.loads(data_file(f"benchmarks/{name}.json").read_text(encoding="utf-8"))


def bundled_sweep(name: str) -> Sweep:
    """A sweep that travels with the library: "mnist/subset" or "mnist/transition", the runs of the chapter on scalar embedding.

    Raises
    ------
    ValueError
        If there is none of this name.

    Examples
    --------
    >>> bundled_sweep("mnist/subset").manifest["fixed"]["steps"]
    200
    """
    folder = data_file("mnist").parent
    known = sorted(path.parent.relative_to(folder).as_posix() for path in folder.glob(f"*/*/{MANIFEST}"))
    if name not in known:
        raise ValueError(f"name must be one of {', '.join(map(repr, known))}, got {name!r}")
    return open_sweep(folder / name)
