"""Files: where the tracked ones are, and how the library writes its own, whole or not at all, as bytes that depend on the content alone."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from . import _validate

CELL = "cell.json"
"""Member that says that an archive is a cell of a sweep."""
DIGEST = 64  # hexadecimal digits of SHA-256
CHUNK = 1 << 22
WINDOWS = os.name == "nt"
PATIENCE = 2.0
"""Seconds for which Windows may keep a file from being replaced, because a virus scanner or a backup reads it."""
NO_ROOM = "make room, or give a folder on another disk"
CLOSED = "give a folder that can be written to"
REMEDIES = {
    errno.ENOSPC: NO_ROOM,
    errno.EDQUOT: NO_ROOM,
    errno.EFBIG: NO_ROOM,
    errno.EACCES: CLOSED,
    errno.EPERM: CLOSED,
    errno.EROFS: CLOSED,
}
"""What to do where a file cannot be written, by the number of the error."""
CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # a file system that knows no fsync


def data_file(name: str) -> Path:
    """Path of a data file or folder that travels with the library."""
    here = Path(__file__).parent
    for folder in (here / "_data", here.parent / "data"):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(
        f"trajlib's data file {name!r} is missing: install trajlib again, from the project and not from a chapter's notebook, "
        "which brings only what that chapter needs"
    )


def text(value: Any) -> str:
    """Canonical JSON: sorted names, floats as the shortest text that gives them back, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def archive(file: BinaryIO, arrays: Mapping[str, Any], member: str, header: bytes) -> None:
    """Write an npz file whose bytes depend on its content alone, and end with their SHA-256 (as the comment of the zip archive). The
    file, open for reading and writing, is empty; arrays go into it piece by piece, so that no copy of them is made."""
    with zipfile.ZipFile(file, "w") as zipped:
        with _member(zipped, member, len(header)) as into:
            into.write(header)
        for name in sorted(arrays, key=str):
            if not isinstance(name, str) or not name.isidentifier():
                raise TypeError(f"names of arrays must be identifiers such as 'loss', got {_validate.shown(name)}")
            array = np.asarray(_validate.unmasked(name, arrays[name]), order="C")
            if array.dtype.hasobject:
                raise TypeError(f"{name} must be an array of numbers or strings, got objects: {arrays[name]!r:.80}")
            with _member(zipped, f"{name}.npy", array.nbytes) as into:
                np.lib.format.write_array(into, array, allow_pickle=False)
        zipped.comment = b"0" * DIGEST
    size = file.seek(0, os.SEEK_END) - DIGEST
    digest = hashlib.sha256()
    for piece in _pieces(file, size):
        digest.update(piece)
    file.seek(size)
    file.write(digest.hexdigest().encode())


def _member(zipped: zipfile.ZipFile, name: str, size: int):
    info = zipfile.ZipInfo(name)  # dated 1980
    info.create_system, info.external_attr = 3, 0o644 << 16  # on Windows too
    info.file_size = size  # about: the archive wants to know whether 4 GiB will do
    return zipped.open(info, "w")


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The first ``size`` bytes of a file."""
    file.seek(0)
    while size > 0 and (piece := file.read(min(CHUNK, size))):
        size -= len(piece)
        yield piece


def intact(file: BinaryIO) -> str:
    """SHA-256 of a whole file that :func:`archive` made; ValueError where its bytes are not what was written."""
    size = file.seek(0, os.SEEK_END)
    digest = hashlib.sha256()
    for piece in _pieces(file, size - DIGEST):
        digest.update(piece)
    file.seek(max(0, size - DIGEST))
    end = file.read()
    if size <= DIGEST or digest.hexdigest().encode() != end:
        raise ValueError(f"its {size} bytes do not match the checksum at their end")
    file.seek(0)
    digest.update(end)
    return digest.hexdigest()


def write(path: Path, content: bytes | Callable[[BinaryIO], None]) -> None:
    """The whole file or none, also after a power cut where system, disk and file system allow to ask for that. The content is given, or
    written by a function into the open file. Of several threads or processes that write one file, one has written it in the end."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with open(temporary, "w+b") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            _to_disk(file.fileno())
        _replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise explained(error, path) from None
        raise
    with suppress(OSError):
        # the name, too; Windows cannot open a folder, network drives cannot sync one, and the data are safe
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def explained(error: OSError, path: Path) -> OSError:
    """The same error, of the file that was asked for, and with what to do about it where that is known."""
    if error.errno not in REMEDIES:
        return error
    return OSError(error.errno, f"{error.strerror} (nothing was changed; {REMEDIES[error.errno]})", str(path))


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
