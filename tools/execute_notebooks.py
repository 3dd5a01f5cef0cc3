"""Execute the chapters: each MyST notebook book/*.md becomes the .ipynb beside it, with outputs.

Run twice on the same inputs, it writes the same bytes: cell ids come from the position of the cell, and
neither times nor versions nor widget ids are kept. A chapter is executed only if its text, its .ipynb or
one of the inputs (the library, the data) is not what it was when it was last executed here.

The .ipynb has one cell more than the .md: the one that installs trajlib on Colab (`install_cell.py`). It is not executed.
"""

import argparse
import asyncio
import base64
import hashlib
import os
import sys
from pathlib import Path

import install_cell
import jupytext
import nbformat
import page_figures
from contents import ROOT, chapters, needs
from fingerprint import fingerprint
from nbclient import NotebookClient
from nbformat import NotebookNode

STAMPS = ROOT / "_build" / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def from_source(page: Path) -> NotebookNode:
    """The notebook that `page` describes, not executed, with its metadata as they are committed."""
    notebook = jupytext.read(page)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = NotebookNode(
        kernelspec=NotebookNode(display_name="Python 3", language="python", name="python3"),
        language_info=NotebookNode(name="python"),
    )
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position:03d}"
    return notebook


def committed(page: Path) -> NotebookNode:
    """The .ipynb beside `page`, without the cell that installs trajlib: that is, what was executed."""
    notebook = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not install_cell.is_install(cell)]
    return notebook


def installing(page: Path, executed: NotebookNode) -> str:
    """The text of the .ipynb beside `page`: what was executed, with the cell that installs trajlib where that is enough to run it."""
    notebook = NotebookNode({**executed, "cells": list(executed.cells)})
    if not needs(page).files:
        cell = install_cell.from_repository(page, install_cell.repository())
        install_cell.before_first_code(notebook, [cell])
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def drifted(page: Path) -> list[str]:
    """How the .ipynb beside `page` differs from it, one line a difference; empty if the two say the same."""
    target = page.with_suffix(".ipynb")
    if not target.is_file():
        return [f"{target.name} is missing"]
    source, executed = from_source(page), committed(page)
    differences = [
        f"{target.name}, {left.id}: the {part} is not that of {page.name}"
        for left, right in zip(source.cells, executed.cells, strict=False)
        for part in ("id", "cell_type", "source", "metadata")
        if left[part] != right[part]
    ]
    if len(source.cells) != len(executed.cells):
        differences.append(f"{target.name} has {len(executed.cells)} cells, {page.name} {len(source.cells)}")
    differences += [
        f"{target.name}, {cell.id}: never executed"
        for cell in executed.cells
        if cell.cell_type == "code"
        and cell.source.strip()
        and cell.execution_count is None
        and "skip-execution" not in cell.metadata.get("tags", [])
    ]
    if not differences and target.read_text(encoding="utf-8") != installing(page, executed):
        differences.append(
            f"{target.name}: its install cell is not that of _config.yml; tools/execute_notebooks.py --install-cells"
        )
    return differences


def execute(page: Path, stderr=None, *, pictures: bool = True) -> NotebookNode:
    """The notebook that `page` describes, executed in the folder of the page; `stderr` takes what the kernel itself says, not a cell.

    Without `pictures` figures are made, but not drawn, which takes three seconds for each.
    """
    notebook = from_source(page)
    cell_metadata = [dict(cell.metadata) for cell in notebook.cells]
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=1200,
        resources={"metadata": {"path": str(page.parent)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        skip_cells_with_tag="skip-execution",
    )
    # an event loop of its own, closed in the end: chapters may be executed in several threads
    drawn = {} if pictures else {"TRAJLIB_PICTURES": "off"}
    asyncio.run(client.async_execute(env={**os.environ, "PYTHONHASHSEED": "0", **drawn}, stderr=stderr))
    for cell, metadata in zip(notebook.cells, cell_metadata, strict=True):
        cell.metadata = NotebookNode(metadata)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET_VIEW not in output.get("data", {})]
            lighten(cell)
            refuse_noise(page, cell)
    notebook.metadata = from_source(page).metadata
    nbformat.validate(notebook)
    return notebook


def lighten(cell: NotebookNode) -> None:
    """Pictures with a palette of few colours, where that is smaller: a third, for lines and text."""

    def packed(picture: str, pack) -> str:
        return base64.b64encode(pack(base64.b64decode(picture))).decode()

    for output in cell.outputs:
        if picture := output.get("data", {}).get("image/png"):
            output["data"]["image/png"] = packed(picture, page_figures.palette)
            shown = output.metadata.get("image/png", {})
            if narrow := shown.get("narrow"):
                shown["narrow"] = packed(narrow, page_figures.webp)


def refuse_noise(page: Path, cell: NotebookNode) -> None:
    """Fail on an output that no reader wants and that would change from run to run."""
    tags = cell.metadata.get("tags", [])
    if "remove-stderr" in tags:
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    for output in cell.outputs:
        text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
        fault = ""
        if output.get("name") == "stderr":
            fault = "writes to stderr; tag it remove-stderr if it must"
        elif " at 0x" in text and "remove-output" not in tags:
            fault = "shows an address; assign its last value to a name"
        if fault:
            raise SystemExit(f"{page.name}, {cell.id} {fault}:\n{text}")


def fill(cache: Path) -> None:
    """Lay the outputs of all pairs that agree into a jupyter-cache: a build that finds them there executes nothing."""
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn

    store = get_cache(cache)
    for page in chapters():
        if not drifted(page):
            bundle = CacheBundleIn(committed(page), str(page))
            store.cache_notebook_bundle(bundle, overwrite=True, check_validity=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only fail where a pair has drifted apart")
    parser.add_argument(
        "--install-cells", action="store_true", help="only write the install cells anew, after a change of _config.yml"
    )
    parser.add_argument("inputs", type=Path, nargs="*", help="files and folders that the outputs depend on")
    args = parser.parse_args()

    if args.check:
        sys.exit("\n".join(line for page in chapters() for line in drifted(page)) or None)
    if args.install_cells:
        for page in chapters():
            page.with_suffix(".ipynb").write_text(installing(page, committed(page)), encoding="utf-8")
        return None

    library = fingerprint(args.inputs)
    STAMPS.mkdir(parents=True, exist_ok=True)
    for page in chapters():
        target, stamp = page.with_suffix(".ipynb"), STAMPS / f"{page.stem}.sha256"
        inputs = library
        if page.stem == "intro":
            inputs += "".join(nbformat.writes(committed(other)) for other in chapters() if other != page)
        if target.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == state(page, inputs):
            notebook = committed(page)
        else:
            print(f"executing {page.relative_to(ROOT)} ...", flush=True)
            notebook = execute(page)
        target.write_text(installing(page, notebook), encoding="utf-8")
        stamp.write_text(state(page, inputs), encoding="utf-8")


def state(page: Path, inputs: str) -> str:
    return hashlib.sha256(
        (page.read_text(encoding="utf-8") + nbformat.writes(committed(page)) + inputs).encode()
    ).hexdigest()


if __name__ == "__main__":
    main()
