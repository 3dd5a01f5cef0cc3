"""The part of the fault campaign that damages files: bits, bytes, zeros, cuts, other texts, at random places."""

import random
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fault_parts import Tally, answer, cell, fill, finding, finished, reported, result, stored

import trajlib as tl
from trajlib.companion import findings
from trajlib.sweeps import grid as _grid

# Damaged files


def damaged(content: bytes, dice: random.Random) -> tuple[str, bytes]:
    """The bytes of a file after something has happened to them, and what."""
    place, kind = (
        dice.randrange(len(content)),
        dice.choice(["a bit", "a byte", "zeros", "cut", "empty", "longer", "text", "swapped"]),
    )
    length = dice.randrange(1, 600)
    other = {
        "a bit": lambda: content[:place] + bytes([content[place] ^ 1 << dice.randrange(8)]) + content[place + 1 :],
        "a byte": lambda: content[:place] + bytes([dice.randrange(256)]) + content[place + 1 :],
        "zeros": lambda: content[:place] + bytes(len(content[place : place + length])) + content[place + length :],
        "cut": lambda: content[:place],
        "empty": lambda: b"",
        "longer": lambda: content + bytes(length),
        "text": lambda: b"<html>not found</html>",
        "swapped": lambda: content[place:] + content[:place],
    }
    return kind, other[kind]()


def damages(times: int, scratch: Path, dice: random.Random, tally: Tally) -> None:
    sample = result()
    saved, folder, found = sample.save(scratch / "sample"), scratch / "sweep", scratch / "findings"
    fill(folder)
    findings.make(found, finding, {"seed": 3})
    whole, arrays = finished(folder), tl.open_sweep(folder).array("x").tobytes()

    def same_result():
        again = tl.load(saved)
        return again.loss is sample.loss or np.array_equal(again.final, sample.final)

    def same_sweep():
        return tl.open_sweep(folder).array("x").tobytes() == arrays

    def same_finding():
        read = findings._read(found / "finding.npz", found / "finding.json")
        return read is None or read["x"].tobytes() == cell(3)["x"].tobytes()  # None: said by load() in words

    readers: dict[str, tuple[Path, Callable[[], bool], tuple[type[BaseException], ...]]] = {
        "a result": (saved, same_result, (ValueError,)),
        "a cell of a sweep": (folder / sorted(stored(folder))[5], same_sweep, (_grid.SweepError,)),
        "the manifest of a sweep": (folder / "manifest.json", same_sweep, (ValueError, _grid.SweepError)),
        "the log of a sweep": (folder / "log.jsonl", same_sweep, ()),
        "a finding": (found / "finding.npz", same_finding, (ValueError,)),
        "the manifest of a finding": (found / "finding.json", same_finding, (ValueError,)),
    }
    for what, (path, reader, allowed) in readers.items():
        content = path.read_bytes()
        for _ in range(times):
            kind, other = damaged(content, dice)
            path.write_bytes(other)
            same, broken = answer(reader, allowed, path.name, folder.name)
            tally.note(
                "damaged",
                what,
                (broken and f"{kind}: {broken}") or (f"{kind}: read as if whole" if same is False else None),
            )
            if what == "a cell of a sweep":  # the same call mends it
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    fill(folder)
                tally.note(
                    "damaged", "a cell, computed again", None if finished(folder) == whole else f"{kind}: other bytes"
                )
            path.write_bytes(content)


def compiled_cache(times: int, scratch: Path, dice: random.Random, tally: Tally) -> None:
    """The files in which Numba keeps compiled code: damaged or not, the right number comes out."""
    import numba

    from trajlib.engines import machine_code

    numba.config.CACHE_DIR = str(scratch / "numba")

    def right() -> str | None:
        function = machine_code.compiled(_square, (numba.float64,))
        return None if function(3.0) == 9.0 else "another number"

    def run() -> str | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return right()

    reported(run, scratch)
    files = sorted(path for path in (scratch / "numba").rglob("*") if path.suffix == ".nbc")
    for turn in range(times):
        path = files[turn % len(files)]
        content = path.read_bytes()
        kind, other = damaged(content, dice)
        path.write_bytes(other)
        said = reported(run, scratch)
        tally.note("damaged", "compiled code in Numba's cache", said and f"{kind} in {path.suffix}: {said:.200}")
        path.write_bytes(content)


def _square(x):
    return x * x
