"""The records of runs with another seed: of a made-up project, they are stale as soon as they do not belong to it any more."""

import copy
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import reseed

CHAPTER = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Made up

```{code-cell} ipython3
SEED = 0  # of everything
import pathlib
from trajlib.series import distances
golden = pathlib.Path("DATA").read_text(encoding="utf-8")
```

```{code-cell} ipython3
from trajlib.companion import claims
class Ledger:
    def _repr_mimebundle_(self, include=None, exclude=None):
        finding = {"claim": "even", "alone": "partly" if SEED % 2 else "reproduced", "depends_on_seed": False}
        return {"text/plain": "table"}, {claims.KEY: {"chapter": "made-up", "findings": [finding]}}
Ledger()
```
"""
MODULE = '"""A module."""\n\n\ndef double(x):\n    """Twice x."""\n    return 2 * x  # plainly\n'
FOUND = {"even": {"verdict": "reproduced", "depends_on_seed": False}}


@pytest.fixture
def project(tmp_path):
    """A project with one chapter, a library of two modules, a file of data; and a record of the chapter."""
    for name, text in {
        "chapter.md": CHAPTER,
        "trajlib/used.py": MODULE,
        "trajlib/other.py": MODULE,
        "data/numbers.txt": "1 2 3\n",
        "constraints.txt": "numpy==2.0\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    page = tmp_path / "chapter.md"
    return tmp_path, page, reseed.entry(page, FOUND, ["trajlib/used.py", "data/numbers.txt"], 1.0, tmp_path)


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_record_of_this_state_is_good_also_after_a_round_trip(project):
    root, page, record = project
    assert reseed.stale(page, json.loads(json.dumps(record)), root) == ""
    assert reseed.stale(page, None, root)


@pytest.mark.parametrize(
    ("name", "old", "new", "what"),
    [
        ("chapter.md", "SEED % 2", "SEED % 3", "code cells"),
        ("trajlib/used.py", "2 * x", "2.0 * x", "trajlib/used.py"),
        ("trajlib/used.py", "def double(x)", "def double(x, y=None)", "trajlib/used.py"),
        ("data/numbers.txt", "3", "4", "data/numbers.txt"),
        ("constraints.txt", "2.0", "2.1", "constraints.txt"),
    ],
)
def test_a_change_of_what_the_chapter_depends_on_makes_it_stale(project, name, old, new, what):
    root, page, record = project
    edit(root / name, old, new)
    assert reseed.stale(page, record, root) == f"changed since: {what}"


def executed(page, *texts):
    cells = [{"outputs": [{"output_type": "stream", "text": [text]}]} for text in texts]
    page.with_suffix(".ipynb").write_text(json.dumps({"cells": [{"cell_type": "markdown"}, *cells]}), encoding="utf-8")


def test_what_prints_the_same_digits_with_another_library_stands(project):
    """The notebook is executed again, after a change of the library: the same digits, others; then the chapter itself changes."""
    root, page, _ = project
    executed(page, "0.123\n", "7\n")
    record = reseed.entry(page, FOUND, ["trajlib/used.py", "data/numbers.txt"], 1.0, root)
    edit(root / "trajlib" / "used.py", "2 * x", "x + x")
    edit(root / "data" / "numbers.txt", "3", "4")
    assert reseed.stale(page, record, root) == ""
    executed(page, "0.124\n", "7\n")
    assert reseed.stale(page, record, root) == "changed since: trajlib/used.py, data/numbers.txt"
    executed(page, "0.123\n", "7\n")
    edit(page, "SEED % 2", "SEED % 3")
    assert reseed.stale(page, record, root) == "changed since: code cells, trajlib/used.py, data/numbers.txt"


def test_a_module_that_is_gone_makes_it_stale(project):
    root, page, record = project
    (root / "trajlib" / "used.py").unlink()
    assert reseed.stale(page, record, root) == "changed since: trajlib/used.py"


def test_new_claims_make_it_stale(project, monkeypatch):
    root, page, record = project
    added = reseed.claims.Claim("odd", "chapter", "Nobody1999", "Section 1", "It is odd.")
    before = reseed.claims.load()
    monkeypatch.setattr(reseed.claims, "load", lambda: (*before, added))
    assert reseed.stale(page, record, root) == "changed since: claims"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("chapter.md", "# Made up", "# Another title"),
        ("trajlib/used.py", '"""Twice x."""', '"""Two times x."""'),
        ("trajlib/used.py", "2 * x  # plainly", "(\n        2\n        * x\n    )"),
        ("trajlib/other.py", "2 * x", "3 * x"),
    ],
)
def test_words_and_what_it_does_not_depend_on_change_nothing(project, name, old, new):
    root, page, record = project
    edit(root / name, old, new)
    assert reseed.stale(page, record, root) == ""


@pytest.mark.parametrize("where", [("verdicts", "even", "verdict"), ("verdicts", "even", "depends_on_seed"), ("seed",)])
def test_a_forged_record_is_not_believed(project, where):
    root, page, record = project
    forged = copy.deepcopy(record)
    *path, last = where
    inner = forged
    for key in path:
        inner = inner[key]
    inner[last] = "partly"
    assert reseed.stale(page, forged, root) == "the record was changed by hand"
    forged = copy.deepcopy(record)
    del forged["state"]["trajlib/used.py"]
    assert reseed.stale(page, forged, root) == "the record was changed by hand"


def test_a_record_of_another_seed_is_not_taken(project):
    root, page, record = project
    other = record | {"seed": 0}
    assert reseed.stale(page, other | {"sha256": reseed.seal(other)}, root) == "the record is of seed 0"


def test_verdicts_that_contradict_each_other():
    other = {"even": {"verdict": "partly", "depends_on_seed": False}}
    assert reseed.contradictions(FOUND, FOUND) == []
    assert reseed.contradictions(FOUND, other) == ["even: partly, not reproduced"]
    assert reseed.contradictions(FOUND, {"even": other["even"] | {"depends_on_seed": True}}) == []
    assert reseed.contradictions({"even": FOUND["even"] | {"depends_on_seed": True}}, other) == []
    assert reseed.contradictions(FOUND, {}) == reseed.contradictions({}, FOUND) != []


@pytest.mark.parametrize("text", ["seed = 1\n", "SEED = 0\nSEED = 0\n", "SEED = other\n"])
def test_the_seed_has_to_be_found(text):
    with pytest.raises(ValueError, match="one line that begins with SEED = a number or a word"):
        reseed.with_settings(text, {"SEED": 1})


def test_a_run_sees_what_it_depends_on(tmp_path):
    """With the other seed, the modules that a chapter loads and the files that it reads; those of trajlib here."""
    data = reseed.ROOT / "data" / "golden.json"
    page = tmp_path / "made-up.md"
    page.write_text(CHAPTER.replace("DATA", data.as_posix()), encoding="utf-8")
    record = reseed.run(page)
    assert record["verdicts"] == {"even": {"verdict": "partly", "depends_on_seed": False}}
    assert {"trajlib/__init__.py", "trajlib/series/distances.py", "trajlib/companion/claims.py"} <= set(record["state"])
    assert "data/golden.json" in record["state"] and "trajlib/plots.py" not in record["state"]
    assert all(record["state"].values()) and reseed.stale(page, record) == ""
    assert reseed.contradictions(FOUND, record["verdicts"]) == ["even: partly, not reproduced"]
