"""Longer runs behind the chapters: what they gave is committed in data/findings, small, with a manifest; ``make findings`` makes them."""

from __future__ import annotations

import datetime
import hashlib
import inspect
import json
import platform
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from .._files import data_file

__all__ = ["Arrays", "load", "make"]

PACKAGES = ("numpy", "scipy", "numba", "trajlib")


class Arrays(dict):
    """Arrays by name, also as attributes, and the manifest that came with them."""

    def __init__(self, arrays: Mapping[str, np.ndarray], manifest: dict[str, Any]):
        super().__init__(arrays)
        self.manifest = manifest

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no array {name!r}; there are {', '.join(self)}") from None


def load(name: str) -> Arrays:
    """The committed arrays of one finding.

    Raises
    ------
    FileNotFoundError
        If there is no such finding.
    ValueError
        If the arrays are not those that the manifest speaks of.
    """
    content = data_file(f"findings/{name}.npz").read_bytes()
    manifest = json.loads(data_file(f"findings/{name}.json").read_text(encoding="utf-8"))
    if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
        raise ValueError(f"findings/{name}.npz is not what its manifest speaks of; make findings writes both anew")
    with np.load(data_file(f"findings/{name}.npz"), allow_pickle=False) as arrays:
        return Arrays({key: arrays[key] for key in arrays.files}, manifest)


def make(folder: str | Path, compute: Callable[..., Mapping[str, np.ndarray]], settings: Mapping[str, Any]) -> Arrays:
    """Compute a finding and write it with its manifest, unless the one that is there was made by the same code with the same settings.

    Parameters
    ----------
    folder : str or Path
        Where to write; the files have the name of the function.
    compute : callable
        Takes the settings by name, returns arrays by name.
    settings : dict
        Seeds, splits, rates, sizes: whatever JSON can hold.
    """
    name, folder = compute.__name__, Path(folder)
    made_by = {
        "source": hashlib.sha256(inspect.getsource(compute).encode()).hexdigest()[:16],
        "settings": dict(settings),
    }
    made_by = json.loads(json.dumps(made_by))
    arrays, described = folder / f"{name}.npz", folder / f"{name}.json"
    if arrays.is_file() and described.is_file():
        manifest = json.loads(described.read_text(encoding="utf-8"))
        same_content = hashlib.sha256(arrays.read_bytes()).hexdigest() == manifest["sha256"]
        if same_content and {key: manifest[key] for key in made_by} == made_by:
            with np.load(arrays, allow_pickle=False) as there:
                return Arrays({key: there[key] for key in there.files}, manifest)
    began = time.perf_counter()
    found = {key: np.asarray(value) for key, value in compute(**settings).items()}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arrays, allow_pickle=False, **found)
    manifest = made_by | {
        "finding": name,
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.perf_counter() - began),
        "versions": {"python": platform.python_version()} | {p: metadata.version(p) for p in PACKAGES},
        "sha256": hashlib.sha256(arrays.read_bytes()).hexdigest(),
    }
    described.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return Arrays(found, manifest)
