"""What the parts of the fault campaign share: a small sweep, children in which faults happen, and what counts as a usable error."""

import os
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

os.environ.setdefault("TRAJLIB_PROGRESS", "off")
import trajlib as tl
from trajlib.ensembles import Trajectories

CELLS = 60
REMEDY = re.compile(
    r"comput(e|es|ed) it again|compute the result again|copy it again|goes on from there|give (a|another)|restore it|move the folder away"
    r"|same call|make findings|wait for it|make it first|free|written to|download",
    re.IGNORECASE,
)
NOBODY = 65534


def cell(seed: int) -> dict[str, np.ndarray]:
    """Big enough that a write takes time."""
    return {"x": np.random.default_rng(seed).normal(size=4000), "y": np.arange(seed + 1)}


def finding(seed: int) -> dict[str, np.ndarray]:
    return cell(seed)


GRID = {"seed": list(range(CELLS))}


def fill(folder: Path, executor=None) -> tl.open_sweep:
    return tl.sweep(cell, GRID, folder, version=1, executor=executor, progress=False)


def stored(folder: Path) -> dict[str, bytes]:
    """The files of a sweep that stay, but for the manifest while it is under way."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.npz"))}


def result() -> Trajectories:
    gd = tl.SoftmaxMap(10.0, np.array([0.3, 0.3, 0.4]))
    return tl.train(gd, gd.init(20, seed=0), 30, engine="generic")


def forked(work: Callable[[], object]) -> int:
    """Run ``work`` in a child in a group of its own; its process number. It ends with 0, or 1 and its exception in a file beside."""
    number = os.fork()
    if number:
        return number
    os.setsid()
    status = 1
    try:
        sys.stderr = open(os.devnull, "w")
        work()
        status = 0
    finally:
        os._exit(status)


class Tally:
    """What was tried, how often, and what broke."""

    def __init__(self):
        self.rows: dict[tuple[str, str], list[str | None]] = {}

    def note(self, fault: str, where: str, broken: str | None) -> None:
        self.rows.setdefault((fault, where), []).append(broken)
        if broken:
            print(f"BROKEN  {fault}, {where}: {broken}", flush=True)

    def table(self) -> list[dict]:
        return [
            {"fault": fault, "where": where, "times": len(said), "broke": len([s for s in said if s]),
             "what": sorted({s for s in said if s})[:5]}
            for (fault, where), said in self.rows.items()
        ]  # fmt: skip


def faulty(error: BaseException, allowed: tuple[type[BaseException], ...], *named: str) -> str | None:
    """What is wrong with an error; None if it is one that a reader can use."""
    text = str(error)
    if not isinstance(error, allowed):
        return f"{type(error).__name__}: {text:.150}"
    if not any(name in text for name in named):
        return f"does not name the file: {type(error).__name__}: {text:.150}"
    return None if REMEDY.search(text) else f"names no remedy: {type(error).__name__}: {text:.150}"


def answer(
    work: Callable[[], object], allowed: tuple[type[BaseException], ...], *named: str
) -> tuple[object, str | None]:
    """What ``work`` returns, or what is wrong with its error."""
    try:
        return work(), None
    except Exception as error:
        return None, faulty(error, allowed, *named)


def finished(folder: Path) -> dict[str, bytes]:
    return stored(folder) | {"manifest.json": (folder / "manifest.json").read_bytes()}


def wait(child: int, seconds: float) -> int | None:
    """The status of a child that has ended, None if it does not end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            done, status = os.waitpid(child, os.WNOHANG)
        except ChildProcessError:
            return 0
        if done:
            return status
        time.sleep(0.005)
    return None


def reported(work: Callable[[], str | None], scratch: Path) -> str | None:
    """What ``work`` found, in a child, since limits and rights cannot be given back."""
    note = scratch / f"note{time.monotonic_ns()}"
    note.touch()
    note.chmod(0o666)

    def run():
        with note.open("w", encoding="utf-8") as file:  # before the limits
            try:
                said = work() or ""
            except BaseException as error:
                said = f"{type(error).__name__}: {error}"
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            file.write(said)

    wait(forked(run), 120)
    return note.read_text(encoding="utf-8") or None
