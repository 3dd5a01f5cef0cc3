"""Results that travel with the library because they take too long to compute again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .. import _validate
from .._files import data_file
from ..sweeps.grid import MANIFEST, Sweep, open_sweep

__all__ = ["bundled_benchmark", "bundled_faults", "bundled_sweep"]


def bundled_benchmark(name: str) -> dict[str, Any]:
    """The manifest and the results of a benchmark that travels with the library: "cost" or "own_network"."""
    return json.loads(data_file(f"benchmarks/{name}.json").read_text(encoding="utf-8"))


def bundled_faults() -> list[dict[str, Any]]:
    """What the campaign of faults tried: of each kind the fault, where it struck, how many times, how often something broke, and what.

    Raises
    ------
    ValueError
        If the table is not the one that its manifest speaks of.

    Examples
    --------
    >>> sorted(bundled_faults()[0])
    ['broke', 'fault', 'times', 'what', 'where']
    """
    found = json.loads(data_file("faults.json").read_text(encoding="utf-8"))
    if hashlib.sha256(json.dumps(found["tried"], sort_keys=True).encode()).hexdigest() != found["sha256"]:
        raise ValueError("data/faults.json was changed by hand; tools/fault_campaign.py --write makes it anew")
    return found["tried"]


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
        raise ValueError(f"name must be one of {', '.join(map(repr, known))}, got {_validate.shown(name)}")
    return open_sweep(folder / name)
