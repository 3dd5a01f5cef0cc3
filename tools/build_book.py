"""Build the book: first the chapters that have no outputs yet, side by side, then its pages. A few lines are said; the log has the rest.

    build_book.py [--committed]     # take the outputs of book/*.ipynb where a chapter is as they are

A chapter that is executed here lies in Jupyter Book's own cache, under its code cells, so that the pages find it there.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import execute_notebooks
from contents import ROOT, chapters
from nbclient.exceptions import CellExecutionError

BUILD = ROOT / "_build"
CACHE, LOG, TOOK = BUILD / ".jupyter_cache", BUILD / "book.log", BUILD / "seconds.json"
COMPLAINT = re.compile(r"\b(WARNING|ERROR|SEVERE|CRITICAL)\b|^Traceback|^[\w.]*(Error|Exception)\b")
QUIET = "Kernel is running over TCP"
"""What a kernel says of its connection, which is one on this machine."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def missing(store) -> list[Path]:
    """The chapters of which the cache has no outputs, those that took longest first."""

    def known(page: Path) -> bool:
        try:
            store.match_cache_notebook(execute_notebooks.from_source(page))
        except KeyError:
            return False
        return True

    took = json.loads(TOOK.read_text(encoding="utf-8")) if TOOK.is_file() else {}
    pages = [page for page in chapters() if not known(page)]
    return sorted(pages, key=lambda page: took.get(page.stem, page.stat().st_size / 500), reverse=True)


def execute(pages: list[Path], store) -> list[str]:
    """Execute chapters into the cache, with a line for each; returns what went wrong, in full."""
    from jupyter_cache.base import CacheBundleIn

    took = json.loads(TOOK.read_text(encoding="utf-8")) if TOOK.is_file() else {}
    wrong = []

    def timed(page: Path):
        began = time.perf_counter()
        return execute_notebooks.execute(page, kernels), time.perf_counter() - began

    side_by_side = max(1, min(len(pages), os.cpu_count() or 1, 4))
    with LOG.open("a", encoding="utf-8") as kernels, ThreadPoolExecutor(side_by_side) as pool:
        running = {pool.submit(timed, page): page for page in pages}
        for done in as_completed(running):
            page = running[done]
            try:
                notebook, seconds = done.result()
            except (CellExecutionError, SystemExit) as error:
                say(f"  {page.stem:24s} FAILED")
                wrong.append(f"{page.relative_to(ROOT)}:\n{error}")
                continue
            store.cache_notebook_bundle(CacheBundleIn(notebook, str(page)), overwrite=True, check_validity=False)
            took[page.stem] = round(seconds)
            say(f"  {page.stem:24s} {seconds:4.0f} s")
    TOOK.write_text(json.dumps(took, indent=1, sort_keys=True), encoding="utf-8")
    return wrong


def pages(log) -> int:
    """Run Jupyter Book: all that it says goes into the log, warnings and errors are shown as well. Returns its exit status."""
    command = [
        str(Path(sys.executable).with_name("jupyter-book")),
        "build",
        str(ROOT),
        "--all",
        "-W",
        "-n",
        "--keep-going",
    ]
    complaining = False
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as running:
        for line in running.stdout:
            log.write(plain := COLOUR.sub("", line))
            # a complaint goes on in lines that are indented, as a traceback does
            complaining = bool(COMPLAINT.search(plain)) or (complaining and plain[:1] in " \t")
            if complaining and QUIET not in plain:
                print(line, end="", flush=True)
    return running.returncode


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--committed", action="store_true", help="take the outputs of book/*.ipynb where they are of the chapter"
    )
    args = parser.parse_args()
    from jupyter_cache import get_cache

    began = time.perf_counter()
    BUILD.mkdir(exist_ok=True)
    LOG.write_text("", encoding="utf-8")
    if args.committed:
        execute_notebooks.fill(CACHE)
    store = get_cache(CACHE)
    if todo := missing(store):
        say(f"executing {len(todo)} of {len(chapters())} chapters")
        if wrong := execute(todo, store):
            sys.exit("\n\n".join(wrong))
    say("writing the pages")
    with LOG.open("a", encoding="utf-8") as log:
        status = pages(log)
    if status:
        sys.exit(f"the book was not built; all that was said is in {LOG.relative_to(ROOT)}")
    seconds = time.perf_counter() - began
    say(
        f"the book is in {(BUILD / 'html' / 'index.html').relative_to(ROOT)} ({seconds:.0f} s; log: {LOG.relative_to(ROOT)})"
    )


if __name__ == "__main__":
    main()
