"""The chapters: pairs agree, the printed numbers come out again to the last digit, and verdicts hold for another seed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from trajlib.companion import claims

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import execute_notebooks  # noqa: E402

PAGES = execute_notebooks.chapters()
CHAPTERS = [page for page in PAGES if page.stem in {claim.chapter for claim in claims.load()}]


def name(page):
    return page.stem


def test_there_are_chapters():
    assert CHAPTERS and len(CHAPTERS) == len({claim.chapter for claim in claims.load()})


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_pair_agrees(page):
    assert execute_notebooks.drifted(page) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_notebook_is_small(page):
    assert page.with_suffix(".ipynb").stat().st_size < 1.5e6


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_printed_numbers_come_out_again(page):
    """nbval, strict: every cell is run, and its output compared (pictures aside)."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        page.with_suffix(".ipynb").name,
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    command += ["-c", os.devnull, "--rootdir", str(page.parent), "--nbval-cell-timeout=1200"]
    done = subprocess.run(command, cwd=page.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("page", CHAPTERS, ids=name)
def test_verdicts_hold_for_another_seed(page, tmp_path):
    """The chapter, copied alone into an empty folder and run with another seed."""
    printed = {f["claim"]["id"]: f for f in claims.read(page.with_suffix(".ipynb"))["findings"]}
    copy = tmp_path / page.name
    text, replaced = re.subn(r"^SEED = 0\b", "SEED = 1", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert replaced == 1
    copy.write_text(text, encoding="utf-8")
    executed = tmp_path / "other.ipynb"
    nbformat.write(execute_notebooks.execute(copy), executed)
    for finding in claims.read(executed)["findings"]:
        before = printed[finding["claim"]["id"]]
        same = finding["verdict"] == before["verdict"]
        assert same or finding["depends_on_seed"] or before["depends_on_seed"], (before, finding)


def test_scoreboard_counts_every_claim():
    counts = claims.Scoreboard(ROOT / "book").counts
    assert sum(sum(c.values()) for c in counts.values()) == len(claims.load())
