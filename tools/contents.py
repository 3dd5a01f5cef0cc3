"""What the book consists of, and what its pages need: the order is that of _toc.yml, the rest is told in the front matter of each page.

    trajlib: {torch: true, mnist: true, labs: [trajectory-lab]}

Run as a script it prints the names of the chapters as JSON, for the workflows; that takes the standard library alone.
"""

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"


@dataclass(frozen=True)
class Needs:
    """What a page needs beside the library and its widgets, and what it shows.

    Attributes
    ----------
    torch : bool
        PyTorch.
    frames : bool
        pandas.
    mnist : bool
        The stored MNIST runs, data/mnist.
    files : bool
        Files of the project that no installation brings: there is no notebook of this page for a reader to run elsewhere.
    labs : tuple of str
        The book's own elements on the page, as ``trajectory-lab`` or ``golden-check``.
    """

    torch: bool = False
    frames: bool = False
    mnist: bool = False
    files: bool = False
    labs: tuple[str, ...] = ()


def listed() -> list[str]:
    """The names of all pages in the order of the book."""
    return re.findall(r"book/([\w-]+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))


def chapter_numbers() -> dict[str, int]:
    """The numbers of the pages that have one, as the side bar shows them: those of the first part of _toc.yml, the chapters."""
    first_part = (ROOT / "_toc.yml").read_text(encoding="utf-8").split("- caption:")[1]
    return {name: number for number, name in enumerate(re.findall(r"book/([\w-]+)", first_part), start=1)}


def chapters() -> list[Path]:
    """The pages of the book that are MyST notebooks, those whose front matter names a kernel; the intro, which reads the others, last."""
    pages = [page for page in sorted(BOOK.glob("*.md")) if "\nkernelspec:" in front_matter(page)]
    return sorted(pages, key=lambda page: page.stem == "intro")


def front_matter(page: Path) -> str:
    """The YAML at the head of a page; empty if there is none."""
    text = page.read_text(encoding="utf-8")
    return text[4 : text.find("\n---", 3)] if text.startswith("---\n") else ""


def needs(page: Path) -> Needs:
    """What the front matter of a page says that it needs.

    Raises
    ------
    ValueError
        If it says something else.
    """
    import yaml

    told = (yaml.safe_load(front_matter(page)) or {}).get("trajlib", {})
    kinds = {field.name: list if field.name == "labs" else bool for field in fields(Needs)}
    if not (isinstance(told, dict) and all(isinstance(value, kinds.get(key, ())) for key, value in told.items())):
        allowed = ", ".join(f"{name}: {'[...]' if kind is list else 'true'}" for name, kind in kinds.items())
        raise ValueError(f"{page.name}: trajlib in the front matter must be a mapping of {{{allowed}}}, got {told!r}")
    return Needs(**told | {"labs": tuple(told.get("labs", ()))})


if __name__ == "__main__":
    print(json.dumps([page.stem for page in chapters()]))
