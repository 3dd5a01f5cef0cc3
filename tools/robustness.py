"""Run the chapters under the variations that data/variations.yml declares, and keep in data/robustness what each has found.

    robustness.py [chapter ...]     # the runs that are missing, or whose chapter has changed since; nothing is run twice

A run executes the chapter with other values in its parameter cell, without the cells that draw. It is kept as soon as it is done, so what
was stopped goes on from there. A run belongs to the chapter's code, its claims and the pinned versions. It belongs to the library too; but
where that has changed, one run that gives the same numbers again shows that the others still stand: ``verified`` makes it,
and this tool notes it.
"""

import datetime
import hashlib
import json
import platform
import re
import sys
import time
from importlib import metadata
from pathlib import Path

import jupytext
import reseed
from contents import ROOT, chapters

from trajlib._files import write
from trajlib.companion.variations import Variation, declared

FOLDER = ROOT / "data" / "robustness"
BLOCK = re.compile(r"^```\{code-cell\}.*?^```$\n?", re.MULTILINE | re.DOTALL)
DRAWS = re.compile(r"^  figure:$|\btags: .*\b(remove-output|longer-run|table)\b", re.MULTILINE)


def computing(text: str) -> str:
    """The text of a chapter without the cells that draw a figure, make a table (tag table) or a widget, or read what no variation changes
    (tag longer-run)."""
    return BLOCK.sub(lambda block: "" if DRAWS.search(block[0]) else block[0], text)


def load(chapter: str) -> dict:
    """The committed record of a chapter."""
    path = FOLDER / f"{chapter}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"files": [], "runs": []}


def save(chapter: str, record: dict) -> None:
    """Write a record, sealed, in place of the one before."""
    FOLDER.mkdir(exist_ok=True)
    content = {key: value for key, value in record.items() if key != "sha256"}
    text = json.dumps(content | {"sha256": reseed.seal(content)}, indent=1, sort_keys=True, ensure_ascii=False)
    write(FOLDER / f"{chapter}.json", (text + "\n").encode())


def chapter_state(page: Path) -> dict[str, str]:
    """The digests of what a run of a chapter belongs to, but for the library."""
    notebook = jupytext.reads(computing(page.read_text(encoding="utf-8")), fmt="md:myst")
    # what the cells do: how their lines are broken, and what their comments say, is no part of it
    cells = "\0".join(reseed.code(cell.source) for cell in notebook.cells if cell.cell_type == "code")
    own = {name: reseed.digest(page, name) for name in ("claims", reseed.PINS)}
    return {"code cells": hashlib.sha256(cells.encode()).hexdigest()[:16], **own}


def library_state(page: Path, files: list[str]) -> str:
    """One digest of all files of the library and the data that a chapter reads."""
    return hashlib.sha256(json.dumps([reseed.digest(page, name) for name in files]).encode()).hexdigest()[:16]


def run(page: Path, variation: Variation) -> tuple[dict, list[str]]:
    """Execute a chapter under one variation; the record of it, and the files that it has read."""
    began = time.perf_counter()
    shared, _ = declared(page.stem)
    text = reseed.with_settings(computing(page.read_text(encoding="utf-8")), {**shared, **variation.settings})
    found, files = reseed.executed(page.name, text)
    files = [name for name in files if not name.startswith("data/robustness/")]
    return {
        "kind": variation.kind,
        "settings": variation.settings,
        "found": {f["claim"]: {"verdict": f["alone"], "measured": f["measured"], "conditions": f["conditions"]} for f in found},
        "seconds": round(time.perf_counter() - began),
        "date": datetime.date.today().isoformat(),
        "state": chapter_state(page) | {"shared": shared},
        "library": library_state(page, files),
    }, files  # fmt: skip


def missing(page: Path, record: dict) -> list[Variation]:
    """The declared variations of which there is no run of the chapter as it is now."""
    shared, variations = declared(page.stem)
    state = chapter_state(page) | {"shared": shared}
    there = [(run["kind"], run["settings"]) for run in record["runs"] if run["state"] == state]
    return [v for v in variations if (v.kind, v.settings) not in there]


def of_another_library(page: Path, record: dict) -> list[dict]:
    """The runs made with a library that is not that of now."""
    now = library_state(page, record["files"])
    return [run for run in record["runs"] if run["library"] != now]


def verified(page: Path, record: dict) -> list[str]:
    """Where the shortest of the runs that were made with another library does not come out again, one line a claim."""
    return again(page, record)[0] if of_another_library(page, record) else []


def again(page: Path, record: dict) -> tuple[list[str], list[str]]:
    """What does not come out again of the shortest run of another library, and the files that this has read."""
    was = min(of_another_library(page, record), key=lambda run: run["seconds"])
    now, files = run(page, Variation(was["kind"], was["settings"]))
    return [
        f"{page.stem}, {claim}: {entry['measured']}, not {was['found'][claim]['measured']}"
        for claim, entry in now["found"].items()
        if entry != was["found"].get(claim)
    ], files


def main() -> None:
    pages = {page.stem: page for page in chapters() if declared(page.stem)[1]}
    if unknown := set(sys.argv[1:]) - set(pages):
        sys.exit(f"chapter must be one of {', '.join(pages)}, got {', '.join(sorted(unknown))}")
    for name in sys.argv[1:] or pages:
        page, record = pages[name], load(name)
        _, variations = declared(name)
        record["versions"] = {"python": platform.python_version()} | {p: metadata.version(p) for p in reseed.PACKAGES}
        todo = missing(page, record)
        if not todo and of_another_library(page, record):
            differing, files = again(page, record)
            if differing:
                todo = list(variations)
            else:  # one has come out again: all stand, with the library of now
                record["files"] = files
                record["runs"] = [made | {"library": library_state(page, files)} for made in record["runs"]]
                save(name, record)
        order = [(v.kind, v.settings) for v in variations]
        for i, variation in enumerate(todo):
            print(f"{name}, {i + 1} of {len(todo)}: {variation.name} ...", flush=True)
            made, files = run(page, variation)
            kept = [
                r for r in record["runs"] if r["settings"] != variation.settings and (r["kind"], r["settings"]) in order
            ]
            record["runs"] = sorted([*kept, made], key=lambda r: order.index((r["kind"], r["settings"])))
            record["files"] = files
            save(name, record)
            verdicts = {claim: entry["verdict"] for claim, entry in made["found"].items()}
            print(
                f"   {made['seconds']} s; " + ", ".join(f"{c}: {v}" for c, v in verdicts.items() if v != "reproduced"),
                flush=True,
            )


if __name__ == "__main__":
    main()
