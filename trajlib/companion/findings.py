"""Longer runs behind the chapters: what they gave is committed in data/findings, small, with a manifest; ``make findings`` makes them."""

from __future__ import annotations

import datetime
import hashlib
import inspect
import io
import json
import platform
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from .._files import data_file, write

__all__ = ["Arrays", "load", "load_all", "make"]

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
    found = _read(data_file(f"findings/{name}.npz"), data_file(f"findings/{name}.json"))
    if found is None:
        raise ValueError(
            f"findings/{name}.npz is not what its manifest speaks of, or that is damaged; make findings writes both anew"
        )
    return found


def load_all(pattern: str) -> dict[str, Arrays]:
    """The committed findings whose names have a pattern such as ``"learning_*_*"``, by name, in its order.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    names = sorted(path.stem for path in data_file("findings").glob(f"{pattern}.npz"))
    if not names:
        raise FileNotFoundError(f"no finding has a name like {pattern!r}; make findings makes them")
    return {name: load(name) for name in names}


def _read(arrays: Path, described: Path) -> Arrays | None:
    """What is in two files; None if the arrays are not those that the manifest speaks of."""
    content, told = arrays.read_bytes(), described.read_bytes()
    try:
        manifest = json.loads(told)
        if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
            return None
    except (ValueError, KeyError, TypeError):  # the manifest itself is damaged
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as there:
        return Arrays({key: there[key] for key in there.files}, manifest)


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
        there = _read(arrays, described)
        if there is not None and {key: there.manifest.get(key) for key in made_by} == made_by:
            return there
    began = time.perf_counter()
    found = {key: np.asarray(value) for key, value in compute(**settings).items()}
    folder.mkdir(parents=True, exist_ok=True)
    write(arrays, lambda file: np.savez_compressed(file, allow_pickle=False, **found))
    manifest = made_by | {
        "finding": name,
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.perf_counter() - began),
        "versions": {"python": platform.python_version()} | {p: metadata.version(p) for p in PACKAGES},
        "sha256": hashlib.sha256(arrays.read_bytes()).hexdigest(),
    }
    write(described, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
    return Arrays(found, manifest)
