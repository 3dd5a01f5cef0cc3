"""Grids of runs over any parameters: one file a cell, and a sweep that was killed goes on where it stopped.

A cell's result depends on its parameters alone. So its file has the same bytes whenever, wherever and in whatever order it was
made, and an interrupted sweep ends as an uninterrupted one. Workers return the bytes and the calling process writes them: then any
``concurrent.futures`` executor will do, with no file system to share, and one process alone decides what is kept. What a cell returns
should therefore be small: series, not every weight of every step.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import platform
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import _validate
from .._files import CELL, intact, text, write
from ..ensembles import Interrupted
from ..progress import progress_bar
from . import code as _code
from . import shards as _shards
from . import workers as _workers

__all__ = ["Check", "Sweep", "SweepError", "SweepInterrupted", "open_sweep", "sweep"]

MANIFEST, FORMAT = "manifest.json", 1
PACKAGES = ("trajlib", "numpy", "scipy", "numba", "torch")


class SweepError(RuntimeError):
    """Cells have no result. ``result`` is the sweep as far as it is, ``failed`` a list of (cell, exception)."""

    def __init__(self, message: str, result: Sweep, failed: Sequence[tuple[dict, BaseException]] = ()):
        self.result, self.failed = result, list(failed)
        super().__init__(message)


class SweepInterrupted(Interrupted):
    """Ctrl-C during a sweep. ``result`` is the sweep as far as it is; the same call goes on from there."""

    def __init__(self, message: str, result: Sweep):
        self.result = result
        KeyboardInterrupt.__init__(self, message)


class Check(NamedTuple):
    """What :meth:`Sweep.check` finds: cells without a file, cells whose file is not what was written, and why (one text each)."""

    missing: list[dict]
    damaged: list[dict]
    reasons: list[str]


@dataclass(frozen=True, eq=False)
class Sweep:
    """A grid of runs in a folder. Each reading verifies checksums; iterating gives pairs of a cell and its arrays.

    Attributes
    ----------
    folder : Path
        Where it lies.
    axes : dict of str to tuple, or None
        The values of each parameter, in the order of the grid; None where the cells were listed one by one.
    cells : list of dict
        The parameters of each cell, the last axis running fastest.
    manifest : dict
        What ``manifest.json`` says: the function's name and version, fixed parameters, versions of libraries, checksums.
    """

    folder: Path
    axes: dict[str, tuple] | None = field(repr=False)
    cells: list[dict] = field(repr=False)
    manifest: dict = field(repr=False)

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[tuple[dict, dict[str, np.ndarray]]]:
        return ((dict(cell), self.load(**cell)) for cell in self.cells)

    def load(self, /, **cell) -> dict[str, np.ndarray]:
        """The arrays of one cell, by name.

        Parameters
        ----------
        **cell
            All its parameters, equal to values of the grid: 1 finds 1.0, but not True.

        Raises
        ------
        KeyError
            If the sweep has no such cell.
        SweepError
            If the cell's file is missing or damaged.
        """
        known = self._index.get(_shards.key(cell))
        if known is None:
            raise KeyError(f"the sweep in {self.folder} has no cell {cell}; it has {self.axes or self.cells!r:.400}")
        try:
            with np.load(io.BytesIO(self._verified(known)[0]), allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files if name != CELL}
        except FileNotFoundError:
            reason = "is missing"
        except (OSError, ValueError) as error:
            reason = f"is damaged: {error}"
        raise SweepError(
            f"cell {known}: {self.folder / _shards.file(known)} {reason}; the same call of sweep() computes it", self
        ) from None

    def array(self, name: str) -> np.ndarray:
        """One of the arrays, from all cells.

        Parameters
        ----------
        name : str
            Its name in what the run returned.

        Returns
        -------
        ndarray (length of first axis, ..., length of last axis, \\*shape in a cell)
            Or (cells, \\*shape in a cell) where the cells were listed one by one.

        Raises
        ------
        SweepError
            If a file is missing or damaged: nothing is left out in silence.
        KeyError, ValueError
            If a cell has no array of this name, or shapes disagree.
        """
        arrays: list[np.ndarray] = []
        for cell, results in self:
            if name not in results:
                raise KeyError(f"{name!r} is not among the arrays of cell {cell}: {', '.join(results)}")
            arrays.append(results[name])
            if arrays[-1].shape != arrays[0].shape:
                raise ValueError(
                    f"{name!r} must have one shape in all cells, got {arrays[0].shape} in {self.cells[0]} and "
                    f"{arrays[-1].shape} in {cell}; take them cell by cell"
                )
        lead = [len(values) for values in self.axes.values()] if self.axes else [len(self)]
        return np.stack(arrays).reshape(*lead, *arrays[0].shape)

    def check(self) -> Check:
        """Read every file, and say which cells are missing or damaged."""
        return self._scan()[1]

    @cached_property
    def _index(self) -> dict[frozenset, dict]:
        return {_shards.key(cell): cell for cell in self.cells}

    def _header(self, cell: dict) -> bytes:
        return text({"cell": cell, "fixed": self.manifest["fixed"], "version": self.manifest["version"]}).encode()

    def _verified(self, cell: dict) -> tuple[bytes, str]:
        """The bytes of a cell's file and their SHA-256; ValueError where they are not what was written."""
        name = _shards.file(cell)
        data = (self.folder / name).read_bytes()
        digest = intact(io.BytesIO(data))
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                header = archive.read(CELL)
        except (zipfile.BadZipFile, KeyError):
            header = b""
        if header != self._header(cell):
            raise ValueError("it belongs to another cell or to another sweep")
        if self.manifest["sha256"].get(name, digest) != digest:
            raise ValueError(f"its SHA-256 is not the one in {MANIFEST}")
        return data, digest

    def _scan(self) -> tuple[dict[str, str], Check]:
        found, check = {}, Check([], [], [])
        for cell in self.cells:
            try:
                found[_shards.file(cell)] = self._verified(cell)[1]
            except FileNotFoundError:
                check.missing.append(dict(cell))
            except (OSError, ValueError) as error:
                check.damaged.append(dict(cell))
                check.reasons.append(f"{_shards.file(cell)} of cell {cell} is damaged: {error}")
        return found, check


def open_sweep(folder: str | os.PathLike) -> Sweep:
    """The sweep that an earlier call of :func:`sweep` made in a folder, complete or not (see :meth:`Sweep.check`).

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder holds no ``manifest.json``, or one that cannot be understood.
    """
    folder = _validate.path("folder", folder)
    path = folder / MANIFEST
    try:
        book = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"{folder} holds no sweep: it has no {MANIFEST}") from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); restore it, or move the folder away") from None
    if not isinstance(book, dict) or book.get("format") != FORMAT:
        raise ValueError(
            f"{path} is not the manifest of a sweep in format {FORMAT}; was it written by a newer trajlib?"
        )
    return Sweep(folder, *_expand(book["axes"] or book["cells"]), book)


def sweep(
    run: Callable[..., Mapping[str, Any]],
    grid: Mapping[str, Sequence] | Sequence[Mapping[str, Any]],
    folder: str | os.PathLike,
    *,
    fixed: Mapping[str, Any] | None = None,
    version: int | str | None = None,
    code: str = "check",
    executor: Executor | None = None,
    in_flight: int = 64,
    progress: bool | None = None,
) -> Sweep:
    """Run a function at every cell of a grid, and keep each result in a file of its own; go on where an earlier call stopped.

    Whatever ends the call (Ctrl-C, ``kill -9``, a full disk, a lost worker, an error in a cell; a power cut, if the disk keeps what
    it was given), every cell that was stored is kept, and the same call computes the others. A file is whole or not there; if it is
    damaged later, its checksum tells, and it is computed again.

    Parameters
    ----------
    run : callable
        ``run(**fixed, **cell)`` returns a dict of arrays, which may depend on nothing else. With an executor of processes it must be
        a function that workers can import.
    grid : mapping of str to sequence, or sequence of mappings
        The values of each parameter, of which all combinations are run; or the cells one by one. Values are finite numbers,
        strings, bool, None or tuples of these. A later call may extend the grid: the cells that are there are kept. Equal numbers
        are one parameter, however they are written: a sweep over 1 and 2 goes on with 1.0 and 2.0, and stays as it was spelled.
    folder : path
        A new or empty folder, or one that holds this sweep.
    fixed : mapping, optional
        Parameters that all cells share. They are recorded: with another value it is another sweep.
    version : int or str, optional
        Names the code of ``run``; change it where results change. Results of another version are refused, not mixed in.
    code : {"check", "ignore"}
        The manifest keeps digests of the code of ``run``: its syntax tree, without comments, layout and docstrings; what it closes over;
        and, in turn, the functions, classes and constants that it uses of its own module or package, or of modules beside it. If the
        code has changed since the stored cells were made, the call is refused, or warns where a ``version`` is given and still the same.
        ``"ignore"``: the results are the same all the same, and this code is the one to compare with from now on. Other libraries are
        not read (their versions are recorded), nor what lists, dicts and other objects hold by the time of the call.

    Other Parameters
    ----------------
    executor : concurrent.futures.Executor, optional
        Where cells run: a ``ProcessPoolExecutor``, Dask's ``Client.get_executor()``, ``mpi4py.futures.MPIPoolExecutor``, ... By
        default here, one after the other.
    in_flight : int
        Cells with the executor at a time, and so results that may wait in memory; not fewer than there are workers.
    progress : bool, optional
        Show a progress bar; by default in terminals and notebooks, after a second.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value, or the folder holds something else, or cells that other code made.
    SweepError
        If cells failed (after all others are done), or the executor lost its workers. ``sys.exit`` in a cell is a failure too.
    SweepInterrupted
        On Ctrl-C; it is a KeyboardInterrupt.
    OSError
        If a result cannot be stored, for example because the disk is full.
    RuntimeError
        If another process or thread is filling the same folder, or has just done so.

    Warns
    -----
    RuntimeWarning
        If a file is damaged, libraries have other versions than when the sweep began, the code has changed but not its version, or
        nobody can tell whether it has, because there is no source to be read.

    Notes
    -----
    ``manifest.json`` says what the folder holds, with the SHA-256 of each file in the end. It and the ``.npz`` files (which
    :func:`numpy.load` reads too) hold no times or durations; these go to ``log.jsonl``, which is no part of the result.

    Examples
    --------
    >>> import tempfile
    >>> def power(base, exponent):
    ...     return {"y": np.array([base ** exponent])}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = sweep(power, {"base": [1.0, 2.0, 3.0], "exponent": [1, 2]}, folder)
    ...     print(result.array("y").shape, result.load(base=3.0, exponent=2)["y"])
    (3, 2, 1) [9.]
    """
    axes, cells = _expand(grid)
    folder = _validate.path("folder", folder)
    if not (fixed is None or (isinstance(fixed, Mapping) and all(isinstance(name, str) for name in fixed))):
        raise TypeError(f"fixed must map names to values, or be None, got {_validate.shown(fixed)}")
    constants = {name: _shards.plain(name, value) for name, value in (fixed or {}).items()}
    _validate.count("in_flight", in_flight, 1)
    if both := sorted(set(constants) & set(cells[0])):
        raise ValueError(f"a parameter must be fixed or on the grid, not both: {', '.join(both)}")
    if version is not None and type(version) not in (int, str):
        raise TypeError(f"version must be an integer, a string or None, got {_validate.shown(version)}")
    if executor is not None and not hasattr(executor, "submit"):
        raise TypeError(f"executor must be a concurrent.futures executor, got {type(executor).__name__}")
    _validate.choice("code", code, ("check", "ignore"))
    before = _earlier(folder)
    if before is not None:
        axes, cells = _spelled(before, axes, cells)
        if _shards.key(constants) == _shards.key(before.manifest["fixed"]):
            constants = {name: _shards.plain(name, value) for name, value in before.manifest["fixed"].items()}
    book: dict[str, Any] = {"format": FORMAT, "run": _code.name_of(run), "version": version, "fixed": constants}
    book |= {"axes": axes, "cells": None if axes else cells, "made_by": [], "sha256": {}}
    plan = Sweep(folder, axes, cells, book)
    earlier = {} if before is None else before.manifest
    if before is not None:
        _must_match(plan, before)
    book |= {key: earlier[key] for key in ("made_by", "sha256") if earlier}
    book["sha256"], (missing, damaged, reasons) = plan._scan()
    parts: dict[str, str | None] | None = _code.digests(run)
    if book["sha256"]:  # what is kept must have been made by this code
        old = earlier.get("code")
        if old is None:
            parts = None  # begun by a version that did not ask
        elif code == "check":
            _same_code(plan, old, parts or {})
            parts = parts if missing or damaged else old  # a complete sweep stays as it is
    if parts is not None:
        book["code"] = parts
    for reason in reasons:
        warnings.warn(f"{plan.folder}: {reason}; it is computed again", RuntimeWarning, stacklevel=2)
    todo, versions = missing + damaged, _versions()
    if todo and versions not in book["made_by"]:
        if book["made_by"]:
            old = book["made_by"][-1]
            warnings.warn(
                f"the sweep in {folder} was begun with {old}, and goes on with {versions}", RuntimeWarning, stacklevel=2
            )
        book["made_by"] = [*book["made_by"], versions]
    if not todo and earlier and _pretty(earlier) == _pretty(book):
        return plan  # complete: nothing is written, and the folder may be read-only
    with _shards.held(plan.folder) as log:
        now = _earlier(folder)
        if (now.manifest if now else {}) != earlier:  # what was planned above was planned for what was there
            raise RuntimeError(
                f"another call has written to {folder} since this one began: make the same call again, or give another folder"
            )
        write(plan.folder / MANIFEST, _pretty(book))
        _compute(plan, run, todo, log, executor, in_flight, progress)
        book["sha256"] = {_shards.file(cell): book["sha256"][_shards.file(cell)] for cell in cells}
        write(plan.folder / MANIFEST, _pretty(book))
    return plan


def _compute(plan: Sweep, run, todo: list[dict], log, executor, in_flight: int, progress) -> None:
    """Run cells and store what they return; raise in the end if one has no result."""
    from ..engines import ctrl_c_waits

    failed: list[tuple[dict, BaseException]] = []
    stored = plan.manifest["sha256"]
    bar = progress_bar(progress, len(plan), "sweep")
    if bar is not None:  # cells of earlier calls count as done, but not for the time that is left
        bar.unit, bar.initial = "cell", len(plan) - len(todo)
        bar.n = bar.last_print_n = bar.initial

    def stands() -> str:
        return f"{len(stored)} of {len(plan)} cells are kept in {plan.folder}; the same call goes on from there"

    def store(cell: dict, data: bytes, seconds: float) -> None:
        try:
            write(plan.folder / _shards.file(cell), data)
            stored[_shards.file(cell)] = hashlib.sha256(data).hexdigest()
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}, when cell {cell} was to be stored; {stands()}") from None
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OSError):  # the log is no part of the result
            log.write((text({"cell": cell, "seconds": round(seconds, 3), "at": at}) + "\n").encode())

    def keep(cell: dict, outcome: BaseException | tuple[bytes, float]) -> None:
        with ctrl_c_waits() as pressed:
            failed.append((cell, outcome)) if isinstance(outcome, BaseException) else store(cell, *outcome)
        if bar is not None:
            bar.update()
        if pressed:
            raise KeyboardInterrupt

    task = (run, plan.manifest["fixed"])
    try:
        if executor is not None:
            _workers.distribute(executor, in_flight, task, todo, plan._header, keep)
        else:
            for cell in todo:
                keep(cell, _workers.work(*task, cell, plan._header(cell)))
    except KeyboardInterrupt:
        raise SweepInterrupted(f"stopped: {stands()}", plan) from None
    except (BrokenExecutor, CancelledError) as error:
        reason = f"the executor lost its workers (killed, or out of memory?): {error or type(error).__name__}"
        raise SweepError(f"{reason}\n{stands()}, with a new executor", plan, failed) from error
    finally:
        if bar is not None:
            bar.close()
    if failed:
        lines = [f"  {cell}: {type(error).__name__}: {error}".removesuffix(": ") for cell, error in failed[:10]]
        lines += [f"  and {len(failed) - 10} more, in .failed of this exception"] if len(failed) > 10 else []
        raise SweepError("\n".join([f"{len(failed)} cells failed:", *lines, stands()]), plan, failed) from failed[0][1]


def _expand(grid) -> tuple[dict[str, tuple] | None, list[dict]]:
    """Axes and cells of a grid, checked."""
    if not isinstance(grid, Mapping | Sequence) or isinstance(grid, str | bytes) or not grid:
        raise TypeError(
            f"grid must map names to values, or be a sequence of cells (dict), and not empty; got {_validate.shown(grid)}"
        )
    axes: dict[str, tuple] | None = None
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str | bytes) or not len(values):
                raise TypeError(
                    f"{name} must be a sequence of at least one value, such as [0.1], got {_validate.shown(values)}"
                )
        axes = {name: tuple(_shards.plain(name, value) for value in values) for name, values in grid.items()}
        cells = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    else:
        for cell in grid:
            if not isinstance(cell, Mapping) or not cell or set(cell) != set(grid[0]):
                raise TypeError(
                    f"cells must be dicts with the same names, got {_validate.shown(cell)} beside {_validate.shown(grid[0])}"
                )
        cells = [{name: _shards.plain(name, value) for name, value in cell.items()} for cell in grid]
    if not all(isinstance(name, str) for name in cells[0]):
        raise TypeError(f"parameters must be named by strings, got {list(cells[0])}")
    seen: set[frozenset] = set()
    for cell in cells:
        if _shards.key(cell) in seen:
            raise ValueError(f"cells must differ, got {cell} twice")
        seen.add(_shards.key(cell))
    return axes, cells


def _pretty(book: dict) -> bytes:
    return (json.dumps(book, indent=1, allow_nan=False) + "\n").encode()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _earlier(folder: Path) -> Sweep | None:
    """The sweep that the folder holds, None where it is new."""
    if (folder / MANIFEST).exists():
        return open_sweep(folder)
    if folder.exists() and any(p.name != _shards.LOG and p.suffix != ".tmp" for p in folder.iterdir()):
        if (folder / MANIFEST).exists():  # by now: another call has begun, which writes that first
            return open_sweep(folder)
        raise ValueError(f"{folder} is not empty and holds no {MANIFEST} of a sweep: give a new or an empty folder")
    return None


def _spelled(before: Sweep, axes: dict[str, tuple] | None, cells: list[dict]) -> tuple[dict | None, list[dict]]:
    """A grid in which what is equal to a value of an earlier one is written as it is there, 1 or 1.0: names of files depend on it."""
    first: dict[tuple, Any] = {}
    for cell in before.cells:
        for name, value in cell.items():
            first.setdefault((name, _shards.same(value)), value)

    def spell(name: str, value):
        return first.get((name, _shards.same(value)), value)

    if axes is not None:
        axes = {name: tuple(spell(name, value) for value in values) for name, values in axes.items()}
    known = before._index
    return axes, [
        known.get(_shards.key(cell)) or {name: spell(name, value) for name, value in cell.items()} for cell in cells
    ]


def _must_match(plan: Sweep, before: Sweep) -> None:
    """Raise where the folder holds another sweep: results of different ones are never mixed."""
    folder = plan.folder
    hint = f"give another folder; open_sweep({str(folder)!r}) reads what is there"
    for what in ("run", "version", "fixed"):
        old, new = before.manifest[what], plan.manifest[what]
        if text(old) != text(new):
            raise ValueError(f"{folder} holds a sweep with {what}={old!r}, not {new!r}: {hint}")
    lost = [cell for cell in before.cells if _shards.key(cell) not in plan._index]
    if lost:
        raise ValueError(
            f"{folder} holds {len(lost)} cells that this grid lacks, such as {lost[0]}: a grid may only be extended; {hint}"
        )


def _same_code(plan: Sweep, old: dict[str, str | None], new: dict[str, str | None]) -> None:
    """Raise, or warn where a version vouches for the code, if it is not what made the stored cells."""
    changed, unknown = _code.changes(old, new)
    version, names = plan.manifest["version"], ", ".join((changed or unknown)[:8])
    if changed and version is None:
        raise ValueError(
            f"{plan.folder} holds cells that other code made: since then {names} changed. Give another folder, or code='ignore' if "
            "no result can differ"
        )
    if changed:
        warnings.warn(
            f"{names} changed since cells in {plan.folder} were made, and version is still {version!r}: change it if results can "
            "differ, or give code='ignore', once, if they cannot",
            RuntimeWarning,
            stacklevel=3,
        )
    elif unknown and version is None:
        warnings.warn(
            f"nobody can tell whether {names} is still the code that made cells in {plan.folder}: its source cannot be read; name "
            "the code with version=..., and change that with it",
            RuntimeWarning,
            stacklevel=3,
        )
