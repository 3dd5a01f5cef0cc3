"""The chapters: pairs agree, the printed numbers come out again to the last digit, and verdicts hold for another seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trajlib.companion import claims

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import contents  # noqa: E402
import execute_notebooks  # noqa: E402
import reseed  # noqa: E402

PAGES = contents.chapters()
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
    assert page.with_suffix(".ipynb").stat().st_size < 1.9e6  # each figure twice, wide and narrow; one chapter has 21


@pytest.mark.slow
@pytest.mark.chapter
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_printed_numbers_come_out_again(page):
    """nbval, strict: every cell is run, and its output compared. Pictures aside: they are not drawn here."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        page.with_suffix(".ipynb").name,
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "nbval.plugin",
    ]
    command += ["-c", os.devnull, "--rootdir", str(page.parent), "--nbval-cell-timeout=1200"]
    environment = {**os.environ, "TRAJLIB_PICTURES": "off", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # a second each
    done = subprocess.run(command, cwd=page.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.chapter
@pytest.mark.parametrize("page", reseed.reseeded(), ids=name)
def test_verdicts_hold_for_another_seed(page):
    """By the committed record of such a run (make reseed), if it is of the chapter as it is now; else by a run."""
    record = reseed.load().get(page.stem)
    if reseed.stale(page, record):
        record = reseed.run(page)
    assert reseed.contradictions(reseed.verdicts(page.with_suffix(".ipynb")), record["verdicts"]) == []


def test_scoreboard_counts_every_claim():
    counts = claims.Scoreboard(ROOT / "book").counts
    assert sum(sum(c.values()) for c in counts.values()) == len(claims.load())
