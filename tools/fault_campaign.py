"""Faults on purpose: processes killed, disks full, folders read-only, two at once, damaged files. Nothing may be lost, and nothing wrong.

    fault_campaign.py [--kills 20] [--damages 20] [--dask 0] [--seed 0] [--write data/faults.json]

What counts was fixed before the first run. A fault **breaks** something if
- a cell that was stored is gone or is another one, or what is finished in the end has other bytes than what nobody disturbed;
- a file that is not what was written is read as if it were;
- an error is not one of those that the docstrings name, or does not say which file or folder it is about and what to do.
Moments, places and kinds of damage are random, from the seed. It needs Unix: the faults happen to forked children.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

os.environ.setdefault("TRAJLIB_PROGRESS", "off")

from fault_damage import compiled_cache, damages
from fault_parts import (
    CELLS,
    NOBODY,
    REMEDY,
    Tally,
    answer,
    cell,
    fill,
    finished,
    forked,
    reported,
    result,
    stored,
    wait,
)

import trajlib as tl
from trajlib.companion import findings
from trajlib.sweeps import grid as _grid

# Kills


def kills(times: int, scratch: Path, dice: random.Random, tally: Tally, how: str) -> None:
    """A sweep is killed again and again, and begun again each time, until it is complete; then the next one. Kills that came too late,
    when it was done, do not count."""
    fill(scratch / "whole")
    began = time.perf_counter()
    wait(start(how, scratch / "timed"), 120)
    took, whole = time.perf_counter() - began, finished(scratch / "whole")
    folder, before, struck = scratch / "0", {}, 0
    for turn in range(1, 5 * times + 1):
        child, victim = start(how, folder), "all of it"
        time.sleep(dice.uniform(0, took))
        workers = children(child) if how == "pool" else []
        if workers and dice.random() < 0.5:
            victim = "a worker"
            kill(dice.choice(workers), os.kill)
            if wait(child, 60) is None:
                tally.note("kill -9", "a worker of a pool", "hangs after it has lost a worker")
        kill(child, os.killpg)
        status = wait(child, 60)
        now = stored(folder) if folder.is_dir() else {}
        broken = None
        if lost := [name for name in before if now.get(name) != before[name]]:
            broken = f"{len(lost)} cells were lost or changed"
        elif wrong := [name for name in now if now[name] != whole.get(name)]:
            broken = f"{len(wrong)} files have other bytes"
        midway = victim == "a worker" or (status is not None and os.WIFSIGNALED(status))
        struck += midway
        if midway or broken:
            where = {"one": "a sweep in one process", "pool": "a sweep in a pool", "Dask": "a sweep on Dask"}[how]
            tally.note("kill -9", "a worker of a pool" if victim == "a worker" else where, broken)
        before = now
        if not midway or len(now) == CELLS or struck == times:
            fill(folder)  # the same call ends it
            same = finished(folder) == whole
            tally.note(
                "begun again after kills", "the same bytes as undisturbed", None if same else f"{folder} differs"
            )
            folder, before = scratch / str(turn), {}
        if struck == times:
            return


def start(how: str, folder: Path) -> int:
    """A sweep in a child, which leads a group of its own."""
    if how == "Dask":
        return subprocess.Popen([sys.executable, __file__, "--child", folder], start_new_session=True).pid
    return forked(lambda: in_pool(folder) if how == "pool" else fill(folder))


def in_pool(folder: Path) -> None:
    with ProcessPoolExecutor(2) as pool:
        fill(folder, pool)


def on_dask(folder: Path) -> None:
    from distributed import Client

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        fill(folder, client.get_executor())


def children(parent: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except (OSError, ValueError):
        return []


def kill(number: int, how) -> None:
    try:
        how(number, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


# Places where nothing can be written


def full_disk(times: int, scratch: Path, dice: random.Random, tally: Tally) -> None:
    """Files may have only so many bytes: a write ends in its middle, with an error, as on a disk that is full."""
    fill(scratch / "whole")
    whole, sample = finished(scratch / "whole"), result()
    sample.save(scratch / "sample")
    size = max(len(content) for content in whole.values())
    for turn in range(times):
        folder, path = scratch / f"full{turn}", scratch / f"r{turn}.npz"
        limit, less = dice.randrange(1, size), dice.randrange(1, (scratch / "sample.npz").stat().st_size)  # too little
        shutil.copy(scratch / "sample.npz", path)

        def limited(work, limit):
            def run():
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                return work()

            return run

        def sweeping(at=folder):
            return answer(lambda: fill(at), (OSError, _grid.SweepError), at.name)[1]

        def saving(at=path):
            return answer(lambda: result().save(at), (OSError,), at.name)[1]

        broken = reported(limited(sweeping, limit), scratch)
        if not broken and folder.is_dir():
            wrong = [name for name, content in stored(folder).items() if content != whole[name]]
            fill(folder)
            broken = "half a file" if wrong else None if finished(folder) == whole else "other bytes when begun again"
        tally.note("full disk", "a sweep", broken)
        broken = reported(limited(saving, less), scratch)
        if not broken and path.read_bytes() != (scratch / "sample.npz").read_bytes():
            broken = "the file that was there is lost"
        tally.note("full disk", "saving over a result", broken)


def read_only(scratch: Path, tally: Tally) -> None:
    """Folders of somebody else: what is complete can be read, and what would be written is refused in words."""
    place = scratch / "closed"
    fill(place / "whole")
    tl.sweep(cell, {"seed": [0, 1]}, place / "part", version=1, progress=False)
    path = result().save(place / "sample.npz")
    for one in (scratch, place, *place.rglob("*")):
        one.chmod(0o555 if one.is_dir() and one != scratch else 0o755 if one == scratch else 0o444)

    def as_another(work):
        def run():
            if os.geteuid() == 0:  # whom no folder is closed to
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            return work()

        return reported(run, scratch)

    tally.note(
        "read-only",
        "a complete sweep, read",
        as_another(lambda: str(any(tl.open_sweep(place / "whole").check()) or "")),
    )
    tally.note(
        "read-only", "a complete sweep, called again", as_another(lambda: answer(lambda: fill(place / "whole"), ())[1])
    )
    tally.note(
        "read-only",
        "a sweep to be gone on with",
        as_another(lambda: answer(lambda: fill(place / "part"), (OSError,), "part")[1]),
    )
    tally.note(
        "read-only", "a new sweep", as_another(lambda: answer(lambda: fill(place / "new"), (OSError,), "new")[1])
    )
    tally.note("read-only", "a result, loaded", as_another(lambda: answer(lambda: tl.load(path), ())[1]))
    tally.note(
        "read-only",
        "saving over a result",
        as_another(lambda: answer(lambda: result().save(path), (OSError,), path.name)[1]),
    )
    for one in (place, *place.rglob("*")):
        one.chmod(0o755)


# Two at once


def two_at_once(times: int, scratch: Path, dice: random.Random, tally: Tally) -> None:
    fill(scratch / "whole")
    whole, sample = finished(scratch / "whole"), result()
    expected = sample.save(scratch / "sample").read_bytes()
    for turn in range(times):
        folder, path = scratch / f"two{turn}", scratch / f"both{turn}.npz"
        for where, start in (("processes", in_processes), ("threads", in_threads)):
            said = start([lambda at=folder / where: fill(at)] * 2, scratch, dice.uniform(0, 0.05))
            faults = [s for s in said if s is not None and faulty_text(s, folder.name)]
            fill(folder / where)
            broken = "; ".join(faults) or (None if finished(folder / where) == whole else "other bytes")
            tally.note("two at once", f"one sweep, two {where}", broken)
            said = start([lambda at=path: sample.save(at)] * 4, scratch, 0.0)
            broken = "; ".join(s for s in said if s) or (None if path.read_bytes() == expected else "another file")
            left = [one.name for one in scratch.glob(f"{path.name}*.tmp")]
            tally.note("two at once", f"one result, four {where}", broken or (f"left {left}" if left else None))


def faulty_text(said: str, name: str) -> bool:
    return not (said.startswith("RuntimeError") and name in said and REMEDY.search(said))


def in_threads(works, scratch: Path, delay: float) -> list[str | None]:
    said: list[str | None] = []

    def run(work):
        try:
            work()
            said.append(None)
        except BaseException as error:
            said.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
        time.sleep(delay)
    for thread in threads:
        thread.join()
    return said


def in_processes(works, scratch: Path, delay: float) -> list[str | None]:
    notes = [scratch / f"said{time.monotonic_ns()}.{i}" for i in range(len(works))]

    def run(work, note):
        try:
            work()
        except BaseException as error:
            note.write_text(f"{type(error).__name__}: {error}", encoding="utf-8")

    numbers = []
    for work, note in zip(works, notes, strict=True):
        numbers.append(forked(lambda work=work, note=note: run(work, note)))
        time.sleep(delay)
    for number in numbers:
        wait(number, 60)
    return [note.read_text(encoding="utf-8") if note.exists() else None for note in notes]


def campaign(args: argparse.Namespace) -> list[dict]:
    tally, dice = Tally(), random.Random(args.seed)

    def parts() -> Iterator[tuple[str, Callable[[Path], None]]]:
        yield "one", lambda at: kills(args.kills, at, dice, tally, "one")
        yield "pool", lambda at: kills(args.kills // 2, at, dice, tally, "pool")
        if args.dask:
            yield "Dask", lambda at: kills(args.dask, at, dice, tally, "Dask")
        yield "full", lambda at: full_disk(max(2, args.damages // 4), at, dice, tally)
        yield "closed", lambda at: read_only(at, tally)
        yield "two", lambda at: two_at_once(max(2, args.damages // 8), at, dice, tally)
        yield "damages", lambda at: damages(args.damages, at, dice, tally)
        yield "cache", lambda at: compiled_cache(max(2, args.damages // 8), at, dice, tally)

    for name, part in parts():
        with tempfile.TemporaryDirectory(prefix=f"faults-{name}-") as folder:
            Path(folder).chmod(0o755)
            print(f"{name} ...", flush=True)
            part(Path(folder))
    return tally.table()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("kills", 20), ("damages", 20), ("dask", 0), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        on_dask(args.child)
        return
    began = time.process_time(), time.perf_counter()
    table = campaign(args)
    for row in table:
        print(f"{row['fault']:26s} {row['where']:34s} {row['times']:5d} {row['broke']:4d}")
    if args.write:
        manifest = {
            "made_by": f"tools/fault_campaign.py --kills {args.kills} --damages {args.damages} --dask {args.dask} --seed {args.seed}",
            "date": datetime.date.today().isoformat(),
            "seconds": round(time.perf_counter() - began[1]),
            "versions": {"python": platform.python_version()} | {p: metadata.version(p) for p in findings.PACKAGES},
            "system": platform.system(),
            "sha256": hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest(),
        }
        args.write.write_text(json.dumps(manifest | {"tried": table}, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if any(row["broke"] for row in table) else None)


if __name__ == "__main__":
    main()
