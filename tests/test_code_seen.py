"""The code that a page shows: a few lines a section, none of them cut; the rest is folded, with one prompt for folded cells in a row."""

import ast
import builtins
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import contents  # noqa: E402
import execute_notebooks  # noqa: E402

from trajlib.companion import claims  # noqa: E402

WIDE, FOLDED = 88, 120
AT_MOST = 60
"""Lines of code that are seen in a chapter."""
FOLDS = {"hide-input", "hide-cell", "remove-input"}
PAGES = contents.chapters()
CHAPTERS = [page for page in PAGES if page.stem in {claim.chapter for claim in claims.load()}]


def cells(page):
    """Code cells, whether their code is seen, and whether they draw a figure."""
    for cell in execute_notebooks.from_source(page).cells:
        if cell.cell_type == "code":
            yield cell, not FOLDS & set(cell.metadata.get("tags", ())), "figure" in cell.metadata.get("mystnb", ())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_line_is_cut(page):
    wide = [
        line
        for cell, seen, draws in cells(page)
        if seen or not draws
        for line in cell.source.splitlines()
        if len(line) > (WIDE if seen else FOLDED)
    ]
    assert wide == []


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_few_lines_are_seen(page):
    seen = [line for cell, is_seen, _ in cells(page) if is_seen for line in cell.source.splitlines() if line.strip()]
    assert 10 <= len(seen) <= AT_MOST


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_code_of_a_figure_or_a_table_is_seen(page):
    shown = [
        cell.source for cell, seen, draws in cells(page) if seen and (draws or "table" in cell.metadata.get("tags", ()))
    ]
    assert shown == []


def rebound(sources):
    """Names that one cell imports and another one, or the same, gives to something else."""
    trees = [node for source in sources for node in ast.walk(ast.parse(source))]
    imports = [alias for node in trees if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    imported = {(alias.asname or alias.name).partition(".")[0] for alias in imports}
    return sorted(imported & {n.id for n in trees if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_imported_name_is_used_for_something_else(page):
    """A cell that draws is left out of some runs: it must not hide from a later cell what that one calls."""
    assert rebound(cell.source for cell, _, _ in cells(page)) == []
    assert rebound(["from a import shown", "shown = {1: 2}", "import os.path as p"]) == ["shown"]


def undefined(sources):
    """Names that a cell uses and neither it nor one before it has given."""
    known, missing = set(dir(builtins)), []
    for source in sources:
        nodes = list(ast.walk(ast.parse(source)))
        known |= {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        known |= {n.arg for n in nodes if isinstance(n, ast.arg)}
        known |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler) and n.name}
        imports = [alias for n in nodes if isinstance(n, ast.Import | ast.ImportFrom) for alias in n.names]
        known |= {(alias.asname or alias.name).partition(".")[0] for alias in imports}
        missing += sorted({n.id for n in nodes if isinstance(n, ast.Name)} - known)
    return missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_is_given_before_it_is_used(page):
    assert undefined(cell.source for cell, _, _ in cells(page)) == []
    assert undefined(["a = 1", "print(a, b)", "b = 2"]) == ["b"]


def test_folded_cells_in_a_row_have_one_prompt():
    """Of four cells, the two folded ones that show nothing go into the prompt of the third; the last stands alone."""
    pytest.importorskip("myst_nb")
    import fold_code
    from docutils import nodes, utils
    from myst_nb.sphinx_ import HideCodeCellNode

    def cell(code, *, folded=True, output=False):
        container = nodes.container(nb_element="cell_code")
        source = nodes.literal_block(code, code)
        container += HideCodeCellNode("", source) if folded else source
        if output:
            container += nodes.container(nb_element="cell_code_output")
        return container

    document = utils.new_document("page")
    text = nodes.paragraph("", "and then")
    document.extend([cell("a"), cell("b"), cell("c", output=True), text, cell("d"), cell("e", folded=False)])
    fold_code.join_folds(None, document, "page")
    left = [node for node in document if isinstance(node, nodes.container)]
    assert [node.astext().split() for node in left] == [["a", "b", "c"], ["d"], ["e"]]
    assert len(left[0][0]) == 3 and len(left[0]) == 2
