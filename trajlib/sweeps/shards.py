"""The files of a sweep: bytes that depend on the content alone, written whole or not at all, in a folder held by one call."""

from __future__ import annotations

import hashlib
import io
import math
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .. import _validate
from .._files import CELL, archive, explained, text

LOG = "log.jsonl"
LONGEST = 14_000  # bits of an integer: Python writes and reads up to 4300 digits
_held: set[str] = set()  # folders that this process is filling: locks of files do not tell threads apart
_guard = threading.Lock()


def pack(results: Mapping[str, Any], header: bytes) -> bytes:
    """The file of a cell, from what its run returned."""
    if not isinstance(results, Mapping) or not results:
        raise TypeError(f"run must return a dict with at least one array, got {results!r:.80}")
    file = io.BytesIO()
    archive(file, results, CELL, header)
    return file.getvalue()


@contextmanager
def held(folder: Path) -> Iterator:
    """The folder for this call alone while it writes. Gives the log, opened to append."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, folder) from None
    place = os.path.normcase(os.path.realpath(folder))
    with _guard:  # before the log is opened: closing it would let go of the other thread's lock
        if place in _held:
            raise RuntimeError(f"another thread is filling {folder}: wait for it, or give another folder")
        _held.add(place)
    try:
        with _log(folder) as log:
            try:
                import fcntl

                fcntl.lockf(
                    log, fcntl.LOCK_EX | fcntl.LOCK_NB
                )  # gone with the process, however that ends; workers inherit none
            except (BlockingIOError, PermissionError):
                raise RuntimeError(
                    f"another process is filling {folder}: wait for it, or give another folder"
                ) from None
            except (ImportError, OSError):
                pass  # Windows; a file system without locks
            for left in folder.glob("*.tmp"):
                with suppress(OSError):
                    left.unlink()
            yield log
    finally:
        with _guard:
            _held.discard(place)


def _log(folder: Path):
    try:
        return open(folder / LOG, "ab", buffering=0)
    except OSError as error:
        raise explained(error, folder) from None


def plain(name: str, value):
    """A parameter as it is stored: Python's own types, lists as tuples."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) is int and value.bit_length() > LONGEST:
        raise ValueError(f"{name} must not have more than 4300 digits, got an integer of {value.bit_length()} bits")
    if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return tuple(plain(name, entry) for entry in value)
    raise TypeError(
        f"{name} must be a finite number, a string, bool, None or a tuple of these, got {_validate.shown(value)}"
    )


def same(value):
    """Equal for equal parameters, and for no others: 1, 1.0 and numpy's 1 are one number, and so are 0.0 and -0.0; True is none."""
    if isinstance(value, tuple):
        return tuple(same(entry) for entry in value)
    return (bool, value) if isinstance(value, bool) else value


def key(cell: dict) -> frozenset:
    """Equal for cells with equal parameters."""
    return frozenset((name, same(plain(name, value))) for name, value in cell.items())


def file(cell: dict) -> str:
    """Name of a cell's file, which any file system takes. It depends on the cell alone, so it stays when the grid grows; but 1 and 1.0
    make different names: where a cell is known already, its own spelling counts."""
    return hashlib.sha256(text(cell).encode()).hexdigest()[:32] + ".npz"
