"""Runs under variations: of a made-up chapter, what a run belongs to; of the chapters, that every declared run is there and stands."""

import builtins
import copy
import symtable
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import contents  # noqa: E402
import robustness  # noqa: E402

from trajlib.companion import variations  # noqa: E402

VARIED = [page for page in contents.chapters() if variations.declared(page.stem)[1]]
CHAPTER = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Made up

```{code-cell} ipython3
SEED = 0  # of everything
SPLIT = 1
NETWORKS = 500
```

```{code-cell} ipython3
---
tags: [hide-input]
mystnb:
  figure:
    name: fig-made-up
    caption: Made up.
---
raise SystemExit("a cell that draws was run")
```

```{code-cell} ipython3
from trajlib.companion import claims
class Ledger:
    def _repr_mimebundle_(self, include=None, exclude=None):
        condition = {"text": "even", "holds": SPLIT % 2 == 0, "decided": True, "value": SPLIT, "low": None, "high": 2}
        verdict = "reproduced" if SPLIT % 2 == 0 else "not reproduced"
        finding = {"claim": "even", "alone": verdict, "measured": f"{NETWORKS} networks", "conditions": [condition]}
        return {"text/plain": "table"}, {claims.KEY: {"chapter": "made-up", "findings": [finding]}}
Ledger()
```
"""


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A chapter with two variations."""
    page = tmp_path / "made-up.md"
    page.write_text(CHAPTER, encoding="utf-8")
    declared = {"NETWORKS": 10}, tuple(variations.Variation("split", {"SPLIT": s}) for s in (2, 3))
    monkeypatch.setattr(robustness, "declared", lambda chapter: declared)
    monkeypatch.setattr(robustness, "FOLDER", tmp_path / "robustness")
    return page


def test_a_run_has_its_settings_and_draws_nothing(made_up):
    _, (even, odd) = robustness.declared("made-up")
    run, files = robustness.run(made_up, even)
    assert run["found"]["even"]["verdict"] == "reproduced" and run["found"]["even"]["measured"] == "10 networks"
    assert run["settings"] == {"SPLIT": 2} and "trajlib/companion/claims.py" in files
    record = {"files": files, "runs": [run]}
    assert robustness.missing(made_up, record) == [odd] and robustness.verified(made_up, record) == []
    robustness.save("made-up", record)
    assert robustness.load("made-up")["runs"] == [run]

    made_up.write_text(CHAPTER.replace('f"{NETWORKS} networks"', 'f"{NETWORKS} nets"'), encoding="utf-8")
    assert robustness.missing(made_up, record) == [even, odd]
    made_up.write_text(
        CHAPTER.replace("a cell that draws", "a drawing cell").replace("# Made up", "# Other words"), encoding="utf-8"
    )
    assert robustness.missing(made_up, record) == [odd]


def test_runs_of_another_library_stand_if_one_comes_out_again(made_up):
    _, (even, _) = robustness.declared("made-up")
    run, files = robustness.run(made_up, even)
    old = copy.deepcopy(run) | {"library": "another"}
    assert robustness.verified(made_up, {"files": files, "runs": [old]}) == []
    old["found"]["even"]["measured"] = "11 networks"
    assert robustness.verified(made_up, {"files": files, "runs": [old]}) == [
        "made-up, even: 10 networks, not 11 networks"
    ]


def test_a_parameter_has_to_be_there(made_up):
    with pytest.raises(ValueError, match="one line that begins with LR = a number or a word, got 0"):
        robustness.run(made_up, variations.Variation("parameter", {"LR": 2.0}))


@pytest.mark.parametrize("page", VARIED, ids=lambda page: page.stem)
def test_every_declared_run_is_there(page):
    record = robustness.load(page.stem)
    assert [v.name for v in robustness.missing(page, record)] == [], "make robustness"
    content = {key: value for key, value in record.items() if key != "sha256"}
    assert record["sha256"] == robustness.reseed.seal(content)


@pytest.mark.slow
@pytest.mark.chapter
@pytest.mark.parametrize("page", VARIED, ids=lambda page: page.stem)
def test_recorded_runs_come_out_again(page):
    """Where the library is not that of the runs, the shortest of them is made again."""
    assert robustness.verified(page, robustness.load(page.stem)) == []


def names(code):
    """Names that a cell binds, and those that it takes from the cells before it."""
    top = symtable.symtable(code, "cell", "exec")
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    tables, taken = [top], set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        taken |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and (table is top or s.is_global())}
    return bound, taken - bound - set(dir(builtins))


@pytest.mark.parametrize("page", VARIED, ids=lambda page: page.stem)
def test_cells_that_compute_need_nothing_of_those_that_show(page):
    """Else a run without the latter would fail, or compute with something else."""
    of_which, wrong = {}, []
    for block in robustness.BLOCK.findall(page.read_text(encoding="utf-8")):
        (cell,) = (c for c in robustness.jupytext.reads(block, fmt="md:myst").cells if c.cell_type == "code")
        bound, taken = names(cell.source)
        shows = robustness.DRAWS.search(block) is not None
        if not shows:
            wrong += [f"{name!r} in {cell.source[:60]!r}" for name in sorted(taken) if of_which.get(name, True)]
        # what a longer run gives, a check takes where it is there
        of_which |= dict.fromkeys(bound, shows and "longer-run" not in block)
    assert wrong == []


def test_cells_that_show_are_found_out():
    assert names("a = 1\nb = [a + c for d in e]") == ({"a", "b"}, {"c", "e"})
