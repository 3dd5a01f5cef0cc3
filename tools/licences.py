"""What is shipped and not the project's own, with its licence: in the pages of the book, and in the wheel.

    licences.py > LICENSES.md          # the list
    licences.py HTML [WHEEL]           # what is in there and not on the list; none if all is well

The pages bring the list and the texts of the licences along, in `_static/licences.txt`, to which each page leads. The texts are those of
the packages that the files were taken from, as they are installed.
"""

import fnmatch
import re
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Part(NamedTuple):
    """Files of somebody else: patterns below `_static`, the Python package that brings them, and the licence."""

    name: str
    package: str
    licence: str
    files: tuple[str, ...]
    source: str


FONT_AWESOME = "vendor/fontawesome/*", "scripts/fontawesome.js*"
PARTS = (
    Part("MathJax", "sphinx-mathjax-offline", "Apache-2.0", ("mathjax/*",), "https://www.mathjax.org"),
    Part(
        "Sphinx", "sphinx", "BSD-2-Clause",
        ("basic.css", "doctools.js", "documentation_options.js", "language_data.js", "searchtools.js", "sphinx_highlight.js",
         "file.png", "minus.png", "plus.png"), "https://www.sphinx-doc.org",
    ),
    Part("Pygments", "pygments", "BSD-2-Clause", ("pygments.css",), "https://pygments.org"),
    Part(
        "Font Awesome Free", "pydata-sphinx-theme", "CC-BY-4.0 (icons), OFL-1.1 (fonts), MIT (code)", FONT_AWESOME,
        "https://fontawesome.com/license/free",
    ),
    Part("Bootstrap, with Popper", "pydata-sphinx-theme", "MIT", ("scripts/bootstrap.js*",), "https://getbootstrap.com"),
    Part(
        "PyData Sphinx theme", "pydata-sphinx-theme", "BSD-3-Clause",
        ("scripts/pydata-sphinx-theme.js*", "styles/pydata-sphinx-theme.css*", "styles/theme.css", "webpack-macros.html"),
        "https://pydata-sphinx-theme.readthedocs.io",
    ),
    Part(
        "Sphinx book theme", "sphinx-book-theme", "BSD-3-Clause",
        ("scripts/sphinx-book-theme.js*", "styles/sphinx-book-theme.css*", "sbt-webpack-macros.html", "locales/*", "images/logo_*"),
        "https://sphinx-book-theme.readthedocs.io",
    ),
    Part(
        "sphinx-copybutton, with clipboard.js", "sphinx-copybutton", "MIT",
        ("copybutton.css", "copybutton.js", "copybutton_funcs.js", "clipboard.min.js", "copy-button.svg", "check-solid.svg"),
        "https://sphinx-copybutton.readthedocs.io",
    ),
    Part("sphinx-togglebutton", "sphinx-togglebutton", "MIT", ("togglebutton.*",), "https://sphinx-togglebutton.readthedocs.io"),
    Part("sphinx-design", "sphinx-design", "MIT", ("sphinx-design.min.css", "design-tabs.js"), "https://sphinx-design.readthedocs.io"),
    Part("sphinx-thebe", "sphinx-thebe", "MIT", ("sphinx-thebe.*", "play-solid.svg"), "https://sphinx-thebe.readthedocs.io"),
    Part("MyST-NB", "myst-nb", "BSD-3-Clause", ("mystnb.*.css",), "https://myst-nb.readthedocs.io"),
)  # fmt: skip
INSIDE = (
    ("`book/_static/lab/iris.js`", "Iris: R. A. Fisher's measurements, as scikit-learn has them", "CC-BY-4.0", "https://doi.org/10.24432/C56C76"),
    ("`book/_static/lab/ziggurat.js`", "NumPy: the tables of its normal random numbers", "BSD-3-Clause", "https://numpy.org"),
    ("downloads of notebooks", "the wheel of `trajlib`", "MIT", "this project"),
)  # fmt: skip
"""What is written into files of the project."""
OWN_PAGES = (
    "*.html",
    "_images/*",
    "_sources/*",
    "_downloads/*",
    "objects.inv",
    "searchindex.js",
    ".buildinfo",
    "_static/licences.txt",
    "_static/search-texts.js",
)
OWN_WHEEL = ("trajlib/*.py", "trajlib/*.cu", "trajlib/_data/*.json", "trajlib/_data/*.jsonl", "trajlib/_data/*.npz", "trajlib/_data/*.yml",
             "trajlib-*.dist-info/*")  # fmt: skip
APACHE = "requests"
"""A package that has the text of the Apache licence with it; that of MathJax has none."""


def part_of(name: str) -> Part | None:
    """Whose a file below `_static` is."""
    return next((part for part in PARTS if any(fnmatch.fnmatchcase(name, one) for one in part.files)), None)


def unlisted(html: Path) -> list[str]:
    """Files of the built book that are neither the book's own nor on the list."""
    own = {path.relative_to(ROOT / "book" / "_static").as_posix() for path in (ROOT / "book" / "_static").rglob("*")}
    found = []
    for path in sorted(path for path in html.rglob("*") if path.is_file()):
        name = path.relative_to(html).as_posix()
        below = name.removeprefix("_static/")
        if below != name and (below in own or part_of(below)):
            continue
        # A page in _static is not one of the book's.
        if any(fnmatch.fnmatchcase(name, one) for one in OWN_PAGES[below != name :]):
            continue
        found.append(name)
    return found


def unlisted_in_wheel(wheel: Path) -> list[str]:
    """Files of a wheel that are not the project's own kind: nothing of anybody else travels in it."""
    names = zipfile.ZipFile(wheel).namelist()
    return [name for name in names if not any(fnmatch.fnmatchcase(name, one) for one in OWN_WHEEL)]


def table() -> str:
    """LICENSES.md."""
    lines = [
        "# Licences", "",
        "The text, the code and the figures of the book and of `trajlib` are the project's own, under the MIT licence (`LICENSE`).",
        "The wheel and the source distribution hold nothing else. What others made and the built pages bring along:", "",
        "| what | licence | taken from the package | files in `_static` |", "|---|---|---|---|",
    ]  # fmt: skip
    for part in PARTS:
        files = ", ".join(f"`{one}`" for one in part.files)
        lines.append(f"| [{part.name}]({part.source}) | {part.licence} | {part.package} | {files} |")
    lines += ["", "And what stands in files of the project:", "", "| where | what | licence |", "|---|---|---|"]
    lines += [f"| {where} | [{what}]({source}) | {licence} |" if "://" in source else f"| {where} | {what} | {licence} |"
              for where, what, licence, source in INSIDE]  # fmt: skip
    lines += [
        "",
        "The versions are those of `constraints.txt`; `_static/licences.txt` of the built book has the licences in full.",
    ]
    lines += ["`tools/licences.py` writes this list, and a test looks for files that are missing from it."]
    return "\n".join(lines) + "\n"


def texts(package: str) -> list[tuple[str, str]]:
    """The licences that an installed package has with it: name of the file, and text."""
    named = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)
    files = [file for file in metadata.distribution(package).files or () if named.search(file.name)]
    return [(file.name, Path(file.locate()).read_text(encoding="utf-8", errors="replace")) for file in files]


def write(html: Path) -> None:
    """`_static/licences.txt`: the list, the project's own licence and those of the parts, in full."""
    found = {("trajlib", "LICENSE"): (ROOT / "LICENSE").read_text(encoding="utf-8")}
    for part in PARTS:
        for name, text in texts(part.package) or texts(APACHE):
            found.setdefault((part.package, name), text)
    full = "\n".join(
        f"\n{'=' * 80}\n{package}: {name}\n{'=' * 80}\n\n{text}" for (package, name), text in found.items()
    )
    (html / "_static" / "licences.txt").write_text(table() + full, encoding="utf-8")


def with_link(page: str) -> str:
    """The page with a link to the licences at its foot."""
    root = re.search(r'data-content_root="([^"]*)"', page)
    if root is None or "_static/licences.txt" in page:
        return page
    link = f'<a href="{root[1]}_static/licences.txt">Licences</a> of what these pages bring along.'
    return re.sub(r"(<p>[^<]*MIT licence\.)(</p>)", rf"\1 {link}\2", page)


def main() -> None:
    if not sys.argv[1:]:
        print(table(), end="")
        return
    found = unlisted(Path(sys.argv[1])) + [name for wheel in sys.argv[2:] for name in unlisted_in_wheel(Path(wheel))]
    sys.exit("\n".join(["tools/licences.py does not know whose these are:", *found]) if found else None)


if __name__ == "__main__":
    main()
