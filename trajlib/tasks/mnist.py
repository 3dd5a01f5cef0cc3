"""MNIST as a task: found in the cache folder, downloaded on first use, checked on every use.

A file counts only if the SHA-256 of its *decompressed* bytes is that of the canonical one. Mirrors compress differently, and a
damaged, truncated or foreign file is thus never trained on, wherever it came from.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import queue
import tempfile
import threading
import time
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import _validate
from ..progress import progress_bar
from .small import Task

__all__ = ["cache_folder", "mnist", "parse_idx"]

MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
]
"""Where the files are downloaded from, the first that has them."""
TIMEOUT = 20.0
"""Seconds without an answer after which the next mirror is asked."""
GRACE, SLOWEST = 30.0, 100_000
"""A whole file may take so many seconds, and one more for so many bytes of its content; then the next mirror is asked."""


@dataclass(frozen=True)
class _File:
    name: str
    shape: tuple[int, ...]
    sha256: str  # of the decompressed bytes

    @property
    def size(self) -> int:
        """Bytes of the content: the header, and one a pixel or label."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


FILES = (
    _File(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    _File(
        "train-labels-idx1-ubyte",
        (60_000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    _File(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    _File(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


def mnist(n: int | None = None, *, progress: bool | None = None) -> Task:
    """Handwritten digits, 28 x 28 pixels scaled to [0, 1]: 60,000 to train on, 10,000 to test.

    The four files are looked for in the cache folder, as ``train-images-idx3-ubyte.gz`` or, not compressed, as
    ``train-images-idx3-ubyte``, and so on. What is missing or damaged is downloaded (11 MB in all) and stored there. The folder
    is the one that the environment variable ``TRAJLIB_DATA`` names, or else the user's own cache folder; it may be read-only. A mirror
    that does not answer, or takes too long altogether, is given up for the next one.

    Parameters
    ----------
    n : int, optional
        Take the first ``n`` training images in the order of the file, 1 <= n <= 60,000; all of them by default. That order is
        mixed already: the classes are nearly, not exactly, balanced. The test part is always whole.
    progress : bool, optional
        Show progress bars of the downloads; by default in terminals and notebooks, after a second.

    Returns
    -------
    Task
        ``x`` (n, 784) is pixels / 255, rows from the top, with no other scaling; ``x_test`` (10000, 784).

    Raises
    ------
    ConnectionError
        If a file is not in the cache folder and no mirror delivers it. It says how to fill the folder by hand.
        :func:`~trajlib.tasks.small.digits` needs no download.
    TypeError, ValueError
        If ``n`` is not an integer from 1 to 60,000.

    Warns
    -----
    RuntimeWarning
        If a file in the cache folder is damaged (another copy is used, or it is downloaded anew), or a download cannot be stored.

    Notes
    -----
    All of it takes 440 MB in float64, and twice as much for a moment while it is being made.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Proc. IEEE 86 (1998) 2278.

    Examples
    --------
    >>> task = mnist(n=1000)  # doctest: +SKIP
    >>> task.x.shape, task.x_test.shape, task.n_classes  # doctest: +SKIP
    ((1000, 784), (10000, 784), 10)
    """
    available = FILES[0].shape[0]
    if n is not None and _validate.count("n", n, 1) > available:
        raise ValueError(f"n must be an integer from 1 to {available}, or None for all, got {_validate.shown(n)}")
    folder, mirrors = cache_folder(), list(MIRRORS)
    images, labels, test_images, test_labels = (_read(file, folder, mirrors, progress) for file in FILES)
    rows, columns = images.shape[1:]
    return Task(
        "mnist",
        x=_scaled(images[:n]),
        y=labels[:n].astype(np.int64),
        x_test=_scaled(test_images),
        y_test=test_labels.astype(np.int64),
        class_names=tuple(map(str, range(10))),
        feature_names=tuple(f"pixel_{row}_{column}" for row in range(rows) for column in range(columns)),
    )


def cache_folder() -> Path:
    """The folder that :func:`mnist` reads and fills: ``TRAJLIB_DATA`` if that is set, else the user's cache folder.

    Returns
    -------
    Path
        It need not exist yet. A user without a home folder (no ``HOME``, unknown to the system, as in some containers) gets one of their
        own among the temporary files.

    Raises
    ------
    ValueError
        If ``TRAJLIB_DATA`` begins with ``~`` and no home folder is known.

    Examples
    --------
    >>> cache_folder().is_absolute()
    True
    """
    named = os.environ.get("TRAJLIB_DATA")
    if named:
        try:
            return Path(named).expanduser().absolute()
        except RuntimeError:
            raise ValueError(
                f"TRAJLIB_DATA must be a folder, got {named!r}, but no home folder is known; give the whole path"
            ) from None
    import platformdirs

    with suppress(RuntimeError):  # no home folder; older versions of platformdirs answer "~/.cache/trajlib"
        folder = Path(platformdirs.user_cache_dir("trajlib", appauthor=False))
        if folder.is_absolute():
            return folder
    return Path(tempfile.gettempdir()) / f"trajlib-{os.getuid() if hasattr(os, 'getuid') else 'data'}"


def parse_idx(data: bytes, name: str = "data") -> np.ndarray:
    """An array of bytes in the idx format, with its header checked.

    Parameters
    ----------
    data : bytes
        Two zero bytes, the type 0x08 (unsigned byte), the number of axes, their lengths (4 bytes each, big-endian), the values.
    name : str
        What to call it in errors.

    Returns
    -------
    ndarray, uint8
        A read-only view of ``data``.

    Raises
    ------
    ValueError
        If the header is not that of unsigned bytes, or the length of ``data`` is not what it says.
    TypeError
        If ``data`` are not bytes.

    References
    ----------
    The format is described on Y. LeCun's page of the data set, "The MNIST database of handwritten digits".

    Examples
    --------
    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    array([7, 2, 1], dtype=uint8)
    """
    if not isinstance(data, bytes | bytearray):
        raise TypeError(f"{name} must be bytes, got {type(data).__name__}")
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or data[3] == 0:
        raise ValueError(f"{name} must start with the idx header 00 00 08 <number of axes>, got {data[:4].hex(' ')!r}")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise ValueError(f"{name} ends within its idx header: {len(data)} of {start} bytes")
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4))
    expected = start + math.prod(shape)
    if len(data) != expected:
        raise ValueError(f"{name} must have {expected} bytes for its shape {shape}, got {len(data)}")
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)


def _scaled(images: np.ndarray) -> np.ndarray:
    return np.divide(images.reshape(len(images), -1), 255.0, dtype=np.float64)


def _read(file: _File, folder: Path, mirrors: list[str], progress: bool | None) -> np.ndarray:
    """One file of the data set: from the cache folder, or else from a mirror."""
    content = _cached(file, folder)
    if content is None:
        data, content = _downloaded(file, folder, mirrors, progress)
        _store(folder / (file.name + (".gz" if data is not content else "")), data)
    array = parse_idx(content, file.name)
    if array.shape != file.shape:
        raise ValueError(f"{file.name} must hold an array of shape {file.shape}, got {array.shape}")
    return array


def _cached(file: _File, folder: Path) -> bytes | None:
    damaged = []
    found = None
    for path in (folder / f"{file.name}.gz", folder / file.name):
        try:
            found = _checked(file, path.read_bytes())
            break
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            damaged.append(f"{path} cannot be read ({error.strerror or error})")
        except ValueError as error:
            damaged.append(f"{path} is damaged: {error}")
    if damaged:
        then = "the other copy in that folder is used" if found is not None else "it is downloaded anew"
        warnings.warn(f"{'; '.join(damaged)}; {then}", RuntimeWarning, stacklevel=5)
    return found


def _checked(file: _File, data: bytes) -> bytes:
    """The decompressed content, if it is the canonical one; ``data`` itself if it was not compressed."""
    content = data
    if data[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise ValueError(f"its {len(data)} bytes are not a whole gzip file") from None
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise ValueError(
            f"the SHA-256 of its content must be {file.sha256}, got {found} ({len(content)} bytes of content)"
        )
    return content


def _downloaded(file: _File, folder: Path, mirrors: list[str], progress: bool | None) -> tuple[bytes, bytes]:
    """What a mirror sent, and its content. The mirror that has it moves to the front of the list."""
    failures = []
    for mirror in tuple(mirrors):
        url = f"{mirror.rstrip('/')}/{file.name}.gz"
        try:
            data = _get(url, file, progress)
            content = _checked(file, data)
        except (OSError, ValueError) as error:
            failures.append(f"  {url}: {_reason(error)}")
            continue
        mirrors.remove(mirror)
        mirrors.insert(0, mirror)
        return data, content
    names = ", ".join(f"{f.name}.gz" for f in FILES)
    raise ConnectionError(
        f"MNIST is not complete in the cache folder {folder}, and {file.name}.gz could not be downloaded:\n"
        + "\n".join(failures)
        + f"\nOn a machine without network, put the files {names} (compressed or not) into {folder}, or set TRAJLIB_DATA to a "
        "folder that holds them. trajlib.digits() is a smaller task that needs no download."
    )


class _TooSlow(OSError):
    """The time for a file is over."""


def _get(url: str, file: _File, progress: bool | None) -> bytes:
    """Download into memory: no partial file can be left behind.

    Another thread waits for the bytes and this one watches the clock: a server that sends one of them now and then, a header or a name
    that never comes, no time-out of a single read sees.
    """
    limit = GRACE + file.size / SLOWEST
    until = time.monotonic() + limit
    parts: queue.SimpleQueue = queue.SimpleQueue()
    given_up = threading.Event()
    bar = progress_bar(progress, 1, file.name)
    if bar is not None:
        bar.unit, bar.unit_scale = "B", True
    threading.Thread(target=_fetch, args=(url, parts, given_up), daemon=True).start()
    data = bytearray()
    try:
        while True:
            try:
                part = parts.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise _TooSlow(f"too slow: {len(data)} bytes in {limit:.0f} seconds") from None
            if part is None:
                return bytes(data)
            if isinstance(part, BaseException):
                raise part
            if isinstance(part, int):
                if bar is not None:
                    bar.reset(part)
                continue
            data += part
            if len(data) > 2 * file.size + (1 << 16):
                raise ValueError(f"more than twice the {file.size} bytes of its content")
            if bar is not None:
                bar.update(len(part))
    finally:
        given_up.set()
        if bar is not None:
            bar.close()


def _fetch(url: str, parts: queue.SimpleQueue, given_up: threading.Event) -> None:
    """Put the length and the bytes that a server sends into a queue, then None, or what went wrong."""
    import requests

    try:
        with requests.get(url, stream=True, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            parts.put(int(answer.headers.get("Content-Length", 0)))
            for part in answer.iter_content(1 << 16):
                if given_up.is_set():
                    return
                parts.put(part)
        parts.put(None)
    except Exception as error:
        parts.put(error)


def _reason(error: Exception) -> str:
    """A failure in a few words; those of the HTTP library run over several lines."""
    if isinstance(error, _TooSlow):
        return str(error)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP status {status}"
    if isinstance(error, OSError):
        return f"no answer, or cut off ({type(error).__name__})"
    return str(error)


def _store(path: Path, data: bytes) -> None:
    """Write beside the target and rename: other processes see the whole file or none, and the last of several wins."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(
            f"{path.name} was downloaded but cannot be stored in {path.parent} ({error.strerror or error}): the next call will download it "
            "again; TRAJLIB_DATA names another folder",
            RuntimeWarning,
            stacklevel=5,
        )
