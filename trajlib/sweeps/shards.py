"""The files of a sweep: bytes that depend on the content alone, written whole or not at all, in a folder held by one call."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .. import _validate

LOG, HEADER = "log.jsonl", "cell.json"
DIGEST = 64  # hexadecimal digits of SHA-256
LONGEST = 14_000  # bits of an integer: Python writes and reads up to 4300 digits
WINDOWS = os.name == "nt"
PATIENCE = (
    2.0  # seconds for which Windows may keep a file from being replaced, because a virus scanner or a backup reads it
)
CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # a file system that knows no fsync
_held: set[str] = set()  # folders that this process is filling: locks of files do not tell threads apart
_guard = threading.Lock()


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
        array = np.asarray(_validate.unmasked(name, arrays[name]), order="C")
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
    """The whole file or none, also after a power cut where system, disk and file system allow to ask for that."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            _to_disk(file.fileno())
        _replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    with suppress(
        OSError
    ):  # the name, too; Windows cannot open a folder, network drives cannot sync one, and the data are safe
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _to_disk(number: int) -> None:
    """Ask for the data to be on the disk itself; that a file system cannot do so is no reason to lose them."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(number, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined]  # macOS, where fsync leaves them in the drive's cache
        return
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in CANNOT:
            raise


def _replace(temporary: Path, path: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(temporary, path)
        except PermissionError:
            if not WINDOWS or time.monotonic() > until:
                raise
            time.sleep(0.05)


@contextmanager
def held(folder: Path) -> Iterator:
    """The folder for this call alone while it writes. Gives the log, opened to append."""
    folder.mkdir(parents=True, exist_ok=True)
    place = os.path.normcase(os.path.realpath(folder))
    with _guard:  # before the log is opened: closing it would let go of the other thread's lock
        if place in _held:
            raise RuntimeError(f"another thread is filling {folder}: wait for it, or give another folder")
        _held.add(place)
    try:
        with open(folder / LOG, "ab", buffering=0) as log:
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
    raise TypeError(f"{name} must be a finite number, a string, bool, None or a tuple of these, got {value!r}")


def same(value):
    """Equal for equal parameters, and for no others: 1, 1.0 and numpy's 1 are one number, and so are 0.0 and -0.0; True is none."""
    if isinstance(value, tuple):
        return tuple(same(entry) for entry in value)
    return (bool, value) if isinstance(value, bool) else value


def key(cell: dict) -> frozenset:
    """Equal for cells with equal parameters."""
    return frozenset((name, same(plain(name, value))) for name, value in cell.items())


def text(value) -> str:
    """Canonical JSON: sorted names, floats as the shortest text that gives them back, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def file(cell: dict) -> str:
    """Name of a cell's file, which any file system takes. It depends on the cell alone, so it stays when the grid grows; but 1 and 1.0
    make different names: where a cell is known already, its own spelling counts."""
    return hashlib.sha256(text(cell).encode()).hexdigest()[:32] + ".npz"
