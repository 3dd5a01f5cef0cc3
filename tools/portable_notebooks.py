"""Notebooks that run from an upload alone: a chapter with its outputs, with trajlib inside, in Markdown that any Jupyter shows.

`portable_notebooks.py FOLDER [page ...]` writes them. As a Sphinx extension, this lays them beside the pages of the book, whose download
buttons lead there, and takes the Colab button off the pages that no notebook alone can run.
"""

import argparse
import fnmatch
import functools
import re
import sys
import tempfile
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import execute_notebooks
import install_cell
import nbformat
from contents import ROOT, chapter_numbers, chapters, listed, needs
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

MNIST, FINDINGS, ROBUSTNESS = "data/mnist", "data/findings", "data/robustness"
"""What a page brings only as far as it reads it."""

# What is left of MyST or of the book's own elements; code between backticks can hold none of it.
FOREIGN = re.compile(r"^(?:`{3,}|:{3,})\{.*|^\([\w-]+\)=|\{[a-z]+(?::[a-z]+)?\}`.*|</?[a-z]+-[a-z-]+.*", re.MULTILINE)
DIRECTIVE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{admonition\} (?P<title>.*)\n(?::.*\n)*(?P<body>(?:.*\n)*?)(?P=fence)$", re.MULTILINE
)
LABEL = re.compile(r"\s*\$\$ \((eq-[\w-]+)\)$", re.MULTILINE)
SETTING_LINK = re.compile(r'<a class="tl-set" href="#[^"]*">(.*?)</a>', re.DOTALL)
ELEMENT = re.compile(
    r"^<(?P<name>[a-z]+-(?:lab|check|lead|explorer))\b[^>]*>\n(?P<body>(?:.*\n)*?)</(?P=name)>$", re.MULTILINE
)


def pages() -> list[Path]:
    """The pages that need nothing but trajlib."""
    return [page for page in chapters() if not needs(page).files]


def findings_of(page: Path) -> list[str]:
    """The findings that a page names, each by itself, by a pattern such as "learning_*_*", or by a beginning such as f"learning_{...}"."""
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r'"(\w[\w*-]*)"', text)) | {f"{begin}*" for begin in re.findall(r'f"(\w+_)\{', text)}
    there = sorted(path.stem for path in (ROOT / FINDINGS).glob("*.npz"))
    return [name for name in there if any(fnmatch.fnmatchcase(name, one) for one in named)]


def build_wheel(folder: Path, page: Path) -> Path:
    """The wheel of this checkout with the data that a page needs, built without network; the same files give the same bytes."""
    from hatchling.builders.wheel import WheelBuilder

    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = config["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    if not needs(page).mnist:
        del included[MNIST]
    del included[FINDINGS], included[ROBUSTNESS]
    read = [f"findings/{name}.{end}" for name in findings_of(page) for end in ("json", "npz")]
    read += [f"robustness/{page.stem}.json"] * (ROOT / ROBUSTNESS / f"{page.stem}.json").is_file()
    included |= {f"data/{name}": f"trajlib/_data/{name}" for name in read}
    (built,) = WheelBuilder(str(ROOT), config=config).build(directory=str(folder), versions=["standard"])
    return stored(Path(built))


def stored(wheel: Path) -> Path:
    """The same wheel, with nothing in it compressed: the notebook compresses it as a whole, which makes it smaller by an eighth."""
    with zipfile.ZipFile(wheel) as packed:
        files = [(info, packed.read(info)) for info in packed.infolist()]
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as loose:
        for info, content in files:
            info.compress_type = zipfile.ZIP_STORED
            loose.writestr(info, content)
    return wheel


@functools.cache
def install_cells(page: Path) -> list[NotebookNode]:
    with tempfile.TemporaryDirectory() as folder:
        return install_cell.from_wheel(page, build_wheel(Path(folder), page))


def portable(page: Path) -> NotebookNode:
    """The notebook of `page` for a reader who has nothing else of the project."""
    # Outputs that belong to another text would be worse than none.
    drifted = execute_notebooks.drifted(page)
    notebook = execute_notebooks.from_source(page) if drifted else execute_notebooks.committed(page)
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, page)
        for output in cell.get("outputs", ()):
            output.get("metadata", {}).get("image/png", {}).pop("narrow", None)  # for phones, which read the pages
        cells.append(cell)
        caption = figure(cell).get("caption")
        if caption:
            number = figure_numbers()[figure(cell)["name"]]
            cells.append(new_markdown_cell(f"**Figure {number}.** {plain(caption, page)}", id=f"{cell.id}-caption"))
    notebook.cells = cells
    install_cell.before_first_code(notebook, [NotebookNode(cell) for cell in install_cells(page)])
    nbformat.validate(notebook)
    return notebook


def plain(text: str, page: Path) -> str:
    """MyST as Markdown that Colab and JupyterLab show."""
    text = DIRECTIVE.sub(lambda found: quote(f"**{found['title']}**\n\n{found['body']}"), text)
    text = ELEMENT.sub(lambda found: f"*{found['body'].strip()}*", text)
    text = SETTING_LINK.sub(r"\1", text)  # there is no figure to set
    text = re.sub(r"\{cite:(t|p)\}`([^`]+)`", lambda found: cite(found[2].split(","), found[1] == "p"), text)
    text = re.sub(r"\{numref\}`([^`]+)`", lambda found: f"Figure {figure_numbers()[found[1]]}", text)
    text = LABEL.sub(lambda found: f"\\tag{{{equation_numbers()[found[1]]}}}\n$$", text)
    text = re.sub(r"\{eq\}`([^`]+)`", lambda found: f"({equation_numbers()[found[1]]})", text)
    text = re.sub(r"\{term\}`([^`<]+?)(?: <[^`]+>)?`", r"\1", text)
    names = "|".join(re.escape(name) for name in listed())
    text = re.sub(rf"\[([^]]+)\]\((?:{names})(?:\.md)?(?:#[\w-]+)?\)", r"\1", text)
    if foreign := FOREIGN.search(text):
        raise SystemExit(
            f"{page.name}: tools/portable_notebooks.py has to be told how to write this without MyST: {foreign[0]}"
        )
    return text


def quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().split("\n"))


def cite(keys: list[str], in_brackets: bool) -> str:
    """Author and year, linked to where the paper is."""
    cited = []
    for key in keys:
        entry = bibliography().entries[key.strip()]
        names = [" ".join(str(part) for part in person.rich_last_names) for person in entry.persons["author"]]
        author = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        year = entry.fields["year"]
        text = f"{author}, {year}" if in_brackets else f"{author} ({year})"
        if "doi" in entry.fields:
            text = f"[{text}](https://doi.org/{entry.fields['doi']})"
        elif "eprint" in entry.fields:
            text = f"[{text}](https://arxiv.org/abs/{entry.fields['eprint']})"
        cited.append(text)
    return f"({'; '.join(cited)})" if in_brackets else ", ".join(cited)


@functools.cache
def bibliography():
    from pybtex.database import parse_file

    return parse_file(str(ROOT / "book" / "references.bib"))


def figure(cell: NotebookNode) -> dict:
    return cell.metadata.get("mystnb", {}).get("figure", {})


@functools.cache
def figure_numbers() -> dict[str, str]:
    """The numbers that the figures have in the book: those of a chapter begin with its own."""
    sources = {page.stem: execute_notebooks.from_source(page) for page in chapters()}
    return numbered({name: [figure(c)["name"] for c in source.cells if figure(c)] for name, source in sources.items()})


@functools.cache
def equation_numbers() -> dict[str, str]:
    return numbered({page.stem: LABEL.findall(page.read_text(encoding="utf-8")) for page in chapters()})


def numbered(labels: dict[str, list[str]]) -> dict[str, str]:
    """Numbers for the labels of each page, as Sphinx gives them: counted through each chapter, and through all other pages together."""
    counts, numbers = Counter(), {}
    for name in listed():
        chapter = chapter_numbers().get(name)
        for label in labels.get(name, ()):
            counts[chapter] += 1
            numbers[label] = f"{chapter}.{counts[chapter]}" if chapter else str(counts[chapter])
    return numbers


def write(page: Path, folder: Path) -> Path:
    target = folder / page.with_suffix(".ipynb").name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(nbformat.writes(portable(page)) + "\n", encoding="utf-8")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", nargs="*", help="all if none is given")
    args = parser.parse_args()
    known = {page.stem: page for page in pages()}
    if unknown := set(args.pages) - set(known):
        sys.exit(f"page must be one of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    for name in args.pages or known:
        print(write(known[name], args.folder))


# The Sphinx extension.


def set_buttons(app, pagename: str, templatename: str, context: dict, doctree) -> None:
    """The theme offers a notebook only where launch buttons are set, and then the one with MyST in it and nothing to install."""
    offered = pagename in {f"book/{page.stem}" for page in pages()}
    groups = context.get("header_buttons", [])
    if not offered:
        groups[:] = [group for group in groups if group.get("label") != "launch-buttons"]
    for group in groups:
        if group.get("label") == "download-buttons":
            notebook = {
                "type": "link",
                "url": f"{context['pathto']('_sources', 1)}/{pagename}.ipynb",
                "text": ".ipynb",
                "icon": "fas fa-code",
                "tooltip": "Download a notebook that brings trajlib along",
                "label": "download-notebook-button",
            }
            others = [button for button in group["buttons"] if button.get("label") != "download-notebook-button"]
            group["buttons"] = [notebook, *others] if offered else others


def write_beside_pages(app, exception: Exception | None) -> None:
    if exception is None and app.builder.name == "html":
        for page in pages():
            if f"book/{page.stem}" in app.env.found_docs:
                write(page, Path(app.outdir) / "_sources" / "book")


def setup(app) -> dict[str, bool]:
    app.connect("html-page-context", set_buttons, priority=600)  # after the theme has made its own
    app.connect("build-finished", write_beside_pages)
    # Without it a browser may show the notebook, which is text, instead of saving it.
    save = 'for (const a of document.querySelectorAll("a.btn-download-notebook-button")) a.download = "";'
    app.add_js_file(None, body=f'document.addEventListener("DOMContentLoaded", () => {{ {save} }});')
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    main()
