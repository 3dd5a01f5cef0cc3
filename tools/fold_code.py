"""A Sphinx extension: folded cells that show nothing are opened by the prompt of the folded cell below them, if one follows directly."""

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode


def fold(cell: nodes.Node) -> HideCodeCellNode | None:
    """What is folded of a cell of code; None of anything else, and of a cell whose code is seen."""
    is_cell = isinstance(cell, nodes.container) and cell.get("nb_element") == "cell_code"
    return cell[0] if is_cell and cell.children and isinstance(cell[0], HideCodeCellNode) else None


def join_folds(app, doctree: nodes.document, page: str) -> None:
    """Of folded cells in a row, one prompt remains for each output."""
    for cell in list(doctree.findall(nodes.container)):
        own = fold(cell)
        if own is None or len(cell) > 1:
            continue
        place = cell.parent.index(cell)
        below = fold(cell.parent[place + 1]) if place + 1 < len(cell.parent) else None
        if below is not None:
            below[:0] = own.children
            cell.parent.remove(cell)


def setup(app) -> dict:
    app.connect("doctree-resolved", join_folds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
