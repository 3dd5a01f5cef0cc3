"""Run the chapters with another seed, and keep in data/reseed.json what came of it: the verdicts, and the state that they belong to.

    reseed.py [chapter ...]     # those whose record is of another state; nothing is run twice

The state is that of the chapter's code cells, of the modules of the library that were loaded and of the data that were read meanwhile, of
the chapter's claims and of the pinned versions of what computes. Comments, docstrings and layout of a module do not count. Whether a module
is loaded is decided by the chapter and by other loaded modules alone, so a state that is the same throughout gives the same verdicts. Where
the library or the data have changed, but all that the chapter prints with its own seed has come out as it was to the last digit, a record
stands.

Chapters with declared variations are not run: other seeds are among these (`robustness.py`).
"""

import ast
import datetime
import hashlib
import json
import platform
import re
import sys
import tempfile
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import execute_notebooks
from contents import ROOT, chapters
from nbformat import NotebookNode

from trajlib.companion import claims
from trajlib.companion.variations import declared

RECORD = ROOT / "data" / "reseed.json"
SEED = 1
WATCHED = ("trajlib", "data")
"""The folders of the project whose files, once read, belong to the state."""
CLAIMS, PINS = "data/claims.yml", "constraints.txt"
PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "scikit-learn", "torch")

# Cells put before and after those of the chapter: they see which files are opened and which modules are there in the end. A line for each:
# nbclient looks for carriage returns in what is printed, in a time that goes with the square of the length of a line.
BEFORE = """
import os as _os, sys as _sys
_opened = set()
_sys.addaudithook(lambda event, of: event == "open" and isinstance(of[0], (str, _os.PathLike)) and _opened.add(_os.path.realpath(of[0])))
"""
AFTER = """
_opened |= {_os.path.realpath(m.__file__) for m in list(_sys.modules.values()) if getattr(m, "__file__", None)}
print(*sorted(_opened), sep="\\n")
"""
CELL = "```{{code-cell}} ipython3\n{}\n```\n"


def load() -> dict[str, dict]:
    """The committed records, by chapter."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}


def verdicts(notebook: Path) -> dict[str, dict]:
    """For each claim of an executed chapter the verdict of this run alone, and whether another seed can change it."""
    return of_run(findings(notebook))


def of_run(found: list[dict]) -> dict[str, dict]:
    return {f["claim"]: {"verdict": f["alone"], "depends_on_seed": f["depends_on_seed"]} for f in found}


def findings(notebook: Path) -> list[dict]:
    """What an executed chapter has found about its claims, as claims.carried has it."""
    return (claims.read(notebook) or {"findings": []})["findings"]


def contradictions(printed: dict[str, dict], found: dict[str, dict]) -> list[str]:
    """Where the verdicts of two runs differ, one line a claim, though neither says that it depends on the seed."""
    faults = []
    for claim in printed | found:
        was, now = printed.get(claim), found.get(claim)
        if was is None or now is None:
            faults.append(f"{claim}: checked in one of the runs only")
        elif was["verdict"] != now["verdict"] and not (was["depends_on_seed"] or now["depends_on_seed"]):
            faults.append(f"{claim}: {now['verdict']}, not {was['verdict']}")
    return faults


def with_settings(text: str, settings: dict) -> str:
    """The text of a chapter, with other values in its parameter cell.

    Raises
    ------
    ValueError
        Unless the chapter sets each of them once, in a line of its own.
    """
    for name, value in settings.items():
        text, replaced = re.subn(
            rf'^{name} = ([-+\d._e]+|"\w+")(?=\s)', f"{name} = {value!r}", text, flags=re.MULTILINE
        )
        if replaced != 1:
            raise ValueError(
                f"a chapter must have one line that begins with {name} = a number or a word, got {replaced}"
            )
    return text


def run(page: Path, root: Path = ROOT) -> dict:
    """Execute a chapter with the other seed; the record of it."""
    began = time.perf_counter()
    found, files = executed(page.name, with_settings(page.read_text(encoding="utf-8"), {"SEED": SEED}), root)
    return entry(page, of_run(found), files, time.perf_counter() - began, root)


def executed(name: str, text: str, root: Path = ROOT) -> tuple[list[dict], list[str]]:
    """Execute the text of a chapter, alone in an empty folder: what it has found, and the watched files that it has read."""
    first = text.index("```{code-cell}")
    text = text[:first] + CELL.format(BEFORE) + "\n" + text[first:] + "\n\n" + CELL.format(AFTER)
    with tempfile.TemporaryDirectory() as folder:
        copy, made = Path(folder, name), Path(folder, "executed.ipynb")
        copy.write_text(text, encoding="utf-8")
        notebook = execute_notebooks.execute(copy, pictures=False)
        made.write_text(json.dumps(notebook), encoding="utf-8")
        return findings(made), read_by(notebook, root)


def read_by(notebook: NotebookNode, root: Path) -> list[str]:
    """The watched files that an executed notebook has read, by the output of its last cell."""
    root = root.resolve()
    paths = [Path(path) for path in notebook.cells[-1].outputs[0]["text"].splitlines()]
    names = [path.relative_to(root).as_posix() for path in paths if path.is_file() and path.is_relative_to(root)]
    return [name for name in names if name.split("/")[0] in WATCHED and "__pycache__" not in name and name != CLAIMS]


def entry(page: Path, found: dict[str, dict], files: list[str], seconds: float, root: Path = ROOT) -> dict:
    """The record of a run of ``page``, in the state that everything is in now."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    made = {
        "seed": SEED,
        "verdicts": found,
        "printed": printed(page.with_suffix(".ipynb")),
        "date": datetime.date.today().isoformat(),
        "seconds": round(seconds),
        "versions": {"python": platform.python_version(), **versions},
        "state": {name: digest(page, name, root) for name in ("code cells", "claims", PINS, *files)},
    }
    return made | {"sha256": seal(made)}


def seal(made: dict) -> str:
    """The digest over all of a record but itself: a record that was edited by hand does not have it."""
    content = {key: value for key, value in made.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def digest(page: Path, name: str, root: Path = ROOT) -> str:
    """The digest of one part of the state of a chapter; empty if there is no such file."""
    if name == "code cells":
        cells = execute_notebooks.from_source(page).cells
        content = "\0".join(cell.source for cell in cells if cell.cell_type == "code")
    elif name == "claims":
        own = [asdict(claim) for claim in claims.load() if claim.chapter == page.stem]
        for claim in own:
            claim["about"] = {name: limits for name, *limits in claim["about"]}
        content = json.dumps([{key: value for key, value in claim.items() if value != {}} for claim in own])
    elif not (root / name).is_file():
        return ""
    elif name == PINS:  # of the packages that numbers come from
        lines = (root / name).read_text(encoding="utf-8").splitlines()
        content = "\n".join(line for line in lines if line.partition("==")[0] in PACKAGES)
    elif name.endswith(".py"):
        content = code((root / name).read_text(encoding="utf-8"))
    else:
        return hashlib.sha256((root / name).read_bytes()).hexdigest()[:16]
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def code(source: str) -> str:
    """What a module does: its syntax tree as text, without docstrings (``ast.dump`` depends on the version of Python)."""

    def text(node) -> str:
        if isinstance(node, ast.AST):
            parts = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
            return f"{type(node).__name__}({', '.join(f'{name}={text(value)}' for name, value in parts)})"
        if isinstance(node, list):
            return f"[{', '.join(text(part) for part in node if not is_string(part))}]"
        return repr(node)

    def is_string(statement) -> bool:
        value = statement.value if isinstance(statement, ast.Expr) else None
        return isinstance(value, ast.Constant) and isinstance(value.value, str)

    return text(ast.parse(source))


def printed(notebook: Path) -> str:
    """The digest of all that an executed chapter prints; empty if it has not been executed."""
    if not notebook.is_file():
        return ""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(output["text"]) for cell in cells for output in cell.get("outputs", ()) if "text" in output]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def reseeded() -> list[Path]:
    """The chapters of which there is to be a record."""
    return [p for p in chapters() if p.stem in {c.chapter for c in claims.load()} and not declared(p.stem)[1]]


def stale(page: Path, made: dict | None, root: Path = ROOT) -> str:
    """Why a record says nothing about ``page`` as it is now; empty if it does."""
    if not made:
        return "there is no record"
    if made.get("sha256") != seal(made):
        return "the record was changed by hand"
    if made["seed"] != SEED:
        return f"the record is of seed {made['seed']}"
    changed = [name for name, was in made["state"].items() if digest(page, name, root) != was]
    now = printed(page.with_suffix(".ipynb"))
    if now and now == made.get("printed") and all(name.startswith(WATCHED) for name in changed):
        return ""
    return f"changed since: {', '.join(changed)}" if changed else ""


def main() -> None:
    known = {page.stem: page for page in reseeded()}
    if unknown := set(sys.argv[1:]) - set(known):
        sys.exit(f"chapter must be one of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    faults = []
    for name in sys.argv[1:] or known:
        page, records = known[name], load()
        if not (reason := stale(page, records.get(name))):
            continue
        print(f"{name}: {reason}; running it with seed {SEED} ...", flush=True)
        made = run(page)
        if against := contradictions(verdicts(page.with_suffix(".ipynb")), made["verdicts"]):
            faults += [f"{name}, {fault}" for fault in against]
            continue
        # after each chapter, so that a run which was stopped goes on from there
        records = {other: record for other, record in (load() | {name: made}).items() if other in known}
        RECORD.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.exit("\n".join(faults) or None)


if __name__ == "__main__":
    main()
