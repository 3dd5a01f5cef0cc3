"""The files of a sweep: bytes that depend on the content alone, written whole or not at all, in a folder held by one process."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

LOG, HEADER = "log.jsonl", "cell.json"
DIGEST = 64  # hexadecimal digits of SHA-256


def pack(results: Mapping[str, Any], header: bytes) -> bytes:
    """The file of a cell, from what its run returned."""
    if not isinstance(results, Mapping) or not results:
        raise TypeError(f"run must return a dict with at least one array, got {results!r:.80}")
    return archive(results, HEADER, header)


def archive(arrays: Mapping[str, Any], member: str, header: bytes) -> bytes:
    """An npz file whose bytes depend on its content alone, and end with their SHA-256 (as the comment of the zip archive)."""
    members = {member: header}
    for name in sorted(arrays, key=str):
        if not isinstance(name, str) or not name.isidentifier():
            raise TypeError(f"names of arrays must be identifiers such as 'loss', got {name!r}")
        array = np.asarray(arrays[name], order="C")
        if array.dtype.hasobject:
            raise TypeError(f"{name} must be an array of numbers or strings, got objects: {arrays[name]!r:.80}")
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array, allow_pickle=False)
        members[f"{name}.npy"] = buffer.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)  # dated 1980
            info.create_system, info.external_attr = 3, 0o644 << 16  # on Windows too
            zipped.writestr(info, content)
        zipped.comment = b"0" * DIGEST
    data = file.getvalue()[:-DIGEST]
    return data + hashlib.sha256(data).hexdigest().encode()


def intact(data: bytes) -> str:
    """SHA-256 of a whole file that :func:`archive` made; ValueError where its bytes are not what was written."""
    digest = hashlib.sha256(memoryview(data)[:-DIGEST])
    if len(data) <= DIGEST or digest.hexdigest().encode() != data[-DIGEST:]:
        raise ValueError(f"its {len(data)} bytes do not match the checksum at their end")
    digest.update(data[-DIGEST:])
    return digest.hexdigest()


def write(path: Path, data: bytes) -> None:
    """The whole file or none, also after a power cut."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def held(folder: Path) -> Iterator:
    """The folder for this process alone while it writes. Gives the log, opened to append."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOG, "a", encoding="utf-8") as log:
        try:
            import fcntl

            fcntl.lockf(
                log, fcntl.LOCK_EX | fcntl.LOCK_NB
            )  # gone with the process, however that ends; workers inherit none
        except (BlockingIOError, PermissionError):
            raise RuntimeError(f"another process is filling {folder}: wait for it, or give another folder") from None
        except (ImportError, OSError):
            pass  # Windows; a file system without locks
        for left in folder.glob("*.tmp"):
            left.unlink(missing_ok=True)
        yield log


def plain(name: str, value):
    """A parameter as it is stored: Python's own types, lists as tuples."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return tuple(plain(name, entry) for entry in value)
    raise TypeError(f"{name} must be a finite number, a string, bool, None or a tuple of these, got {value!r}")


def key(cell: dict) -> frozenset:
    """Equal for equal parameters: 1 finds 1.0."""
    return frozenset((name, plain(name, value)) for name, value in cell.items())


def text(value) -> str:
    """Canonical JSON: sorted names, floats as the shortest text that gives them back, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def file(cell: dict) -> str:
    """Name of a cell's file. It depends on the parameters alone, so it stays when the grid grows; any file system takes it."""
    return hashlib.sha256(text(cell).encode()).hexdigest()[:32] + ".npz"
