"""The cell that installs trajlib where a chapter runs without it, as on Colab; where trajlib is installed it does nothing and says nothing.

The committed book/*.ipynb, which the Colab button opens, install it from the repository of _config.yml. The notebooks that the pages
offer for download (`portable_notebooks.py`) carry it along. No page shows the cell: it is in neither book/*.md nor the built book.
"""

import base64
import hashlib
import lzma
from pathlib import Path

import yaml
from contents import ROOT, needs
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

ID = "install"
LINE, LINES = 10_000, 200  # of a wheel in one cell; a larger message to a kernel may be refused on the way

TITLE = "#@title Install trajlib; where it is installed, this cell does nothing"

PIP = (
    'done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", {what}], capture_output=True, text=True)'
)

SAY = """\
    if done.returncode:
        raise RuntimeError("trajlib could not be installed:\\n" + done.stdout + done.stderr)
    importlib.invalidate_caches()
    print("{said}")"""

FROM_REPOSITORY = """\
{title}
import importlib.util, subprocess, sys

if getattr(importlib.util.find_spec("trajlib"), "origin", None) is None:  # a folder of that name is not enough
    {pip}
{say}"""

FROM_NOWHERE = """\
{title}
import importlib.util

if getattr(importlib.util.find_spec("trajlib"), "origin", None) is None:  # a folder of that name is not enough
    raise ModuleNotFoundError("trajlib is not installed. Either install it from a copy of the project, pip install '.[{extras}]', "
                              "or download the notebook from its page in the book: that one brings trajlib along.")"""

PIECE_OF_WHEEL = "{title}{part}\ntrajlib_wheel {assign} '''\n{text}'''"

FROM_WHEEL = """
trajlib_sha256 = "{digest}"  # of the wheel
import base64, hashlib, importlib.util, lzma, pathlib, subprocess, sys, tempfile

if getattr(importlib.util.find_spec("trajlib"), "origin", None) is None:  # a folder of that name is not enough
    try:
        content = lzma.decompress(base64.b64decode(trajlib_wheel))
    except (ValueError, lzma.LZMAError):
        content = b""
    if hashlib.sha256(content).hexdigest() != trajlib_sha256:
        raise RuntimeError("the trajlib in this notebook is not what was put there (damaged on the way, or a part of this cell was not "
                           "run?): run it from the first cell on, or download the notebook again")
    with tempfile.TemporaryDirectory() as folder:
        wheel = pathlib.Path(folder, "{name}")
        wheel.write_bytes(content)
        {pip}
{say}"""


def extras(page: Path) -> str:
    return "widgets" + ",torch" * needs(page).torch + ",frames" * needs(page).frames


def repository() -> tuple[str, str] | None:
    """Address and branch of the repository that _config.yml names, None while it names none."""
    named = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8")).get("repository") or {}
    return (named["url"].rstrip("/"), named.get("branch", "main")) if named.get("url") else None


def from_repository(page: Path, where: tuple[str, str] | None) -> NotebookNode:
    """The cell of the committed notebook of `page`: it installs from the repository, or says what to do while there is none."""
    if where is None:
        return _cell(FROM_NOWHERE.format(title=TITLE, extras=extras(page)))
    url, branch = where
    # The archive, and not git+https: a clone would bring the history of all pictures.
    what = f'"trajlib[{extras(page)}] @ {url}/archive/refs/heads/{branch}.zip"'
    say = SAY.format(said=f"Installed trajlib from {url}.")
    return _cell(FROM_REPOSITORY.format(title=TITLE, pip=PIP.format(what=what), say=say))


def from_wheel(page: Path, wheel: Path) -> list[NotebookNode]:
    """The cells of a notebook that carries `wheel`: one, unless the wheel is so large that it has to be cut."""
    content = wheel.read_bytes()
    text = base64.b64encode(lzma.compress(content, preset=9)).decode("ascii")
    lines = [text[i : i + LINE] + "\n" for i in range(0, len(text), LINE)]
    pieces = ["".join(lines[i : i + LINES]) for i in range(0, len(lines), LINES)]
    sources = [
        PIECE_OF_WHEEL.format(
            title=TITLE,
            part=f" (part {k} of {len(pieces)})" if len(pieces) > 1 else "",
            assign="+=" if k > 1 else "=",
            text=piece,
        )
        for k, piece in enumerate(pieces, start=1)
    ]
    pip = PIP.format(what=f'f"{{wheel}}[{extras(page)}]"')
    say = SAY.format(said=f"Installed trajlib {wheel.name.split('-')[1]}, which this notebook brings along.")
    sources[-1] += FROM_WHEEL.format(name=wheel.name, digest=hashlib.sha256(content).hexdigest(), pip=pip, say=say)
    return [_cell(source, f"-{k}" if k else "") for k, source in enumerate(sources)]


def is_install(cell: NotebookNode) -> bool:
    return cell.get("id", "").startswith(ID)


def before_first_code(notebook: NotebookNode, cells: list[NotebookNode]) -> None:
    """Put `cells` where the first code cell is, below the title and the introduction."""
    position = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    notebook.cells[position:position] = cells


def _cell(source: str, suffix: str = "") -> NotebookNode:
    # Three ways to fold it away: a form on Colab, JupyterLab's own, and the tag of Jupyter Book.
    metadata = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    return new_code_cell(source, id=ID + suffix, metadata=metadata)
