"""The ledger: verdicts are computed, complete, and carried by the notebook."""

import json

import numpy as np
import pytest

from trajlib.companion import claims, conditions

CHAPTER = "low-learning-rate"


def full_ledger(**conditions):
    ledger = claims.Ledger(CHAPTER)
    for claim in claims.load(CHAPTER):
        ledger.check(claim.id, "42", conditions or {"always": True})
    return ledger


def test_list_is_well_formed():
    listed = claims.load()
    assert len({claim.id for claim in listed}) == len(listed) >= 9
    for claim in listed:
        assert claim.paper and claim.where and claim.claim.endswith(".")


@pytest.mark.parametrize(
    ("held", "verdict"),
    [
        ([True, True], "reproduced"),
        ([True, False], "partly"),
        ([False, False], "not reproduced"),
        ([np.True_], "reproduced"),
    ],
)
def test_verdict_follows_from_the_conditions(held, verdict):
    ledger = claims.Ledger(CHAPTER)
    found = ledger.check("loss-decreases", "", {str(i): h for i, h in enumerate(held)})
    assert found == verdict and repr(found) == f"loss-decreases: {verdict}"


@pytest.mark.parametrize(
    ("successes", "holds", "decided"),
    [(100, True, True), (95, True, False), (88, False, False), (50, False, True)],
)
def test_share_knows_when_the_ensemble_is_too_small(successes, holds, decided):
    got = claims.share(np.arange(100) < successes)
    assert (got.holds, got.decided) == (holds, decided)


@pytest.mark.parametrize(
    ("value", "half", "holds", "decided"),
    [([0.8, 0.9], 0.05, True, True), ([0.8, 0.72], 0.05, True, False), ([0.8, 0.68], 0.05, False, False), ([0.6, 0.68], 0.05, False, True)],
)  # fmt: skip
def test_estimates_reach_a_threshold_all_or_not_at_all(value, half, holds, decided):
    value = np.array(value)
    found = claims.reaches(value, value - half, value + half, 0.7)
    assert (found.holds, found.decided) == (holds, decided)


def test_wilson_interval_covers():
    """95 % interval of a share of 0.9 in 200: coverage over 2,000 draws, tolerance five standard errors."""
    rng = np.random.default_rng(0)
    covered = [
        conditions._wilson(rng.random(200) < 0.9)[2] <= 0.9 <= conditions._wilson(rng.random(200) < 0.9)[3]
        for _ in range(2000)
    ]
    assert abs(np.mean(covered) - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 2000)


def test_undecided_share_marks_the_verdict():
    ledger = claims.Ledger(CHAPTER)
    for claim in claims.load(CHAPTER):
        ledger.check(claim.id, "", {"a": claims.Share(True, claim.id != "loss-decreases")})
    flags = {f.claim.id: f.depends_on_seed for f in ledger.findings}
    assert flags.pop("loss-decreases") and not any(flags.values())


def test_an_undecided_part_that_cannot_change_the_verdict_is_no_flag():
    ledger = full_ledger(sure=True, no=False, open=claims.Share(True, False))
    assert not any(f.depends_on_seed for f in ledger.findings)


def test_incomplete_ledger_does_not_show():
    ledger = claims.Ledger(CHAPTER)
    ledger.check("loss-decreases", "", {"a": True})
    with pytest.raises(ValueError, match="not checked yet: distance-slow-growth"):
        ledger._repr_mimebundle_()


def test_errors():
    ledger = claims.Ledger(CHAPTER)
    with pytest.raises(ValueError, match="no claim 'x'"):
        ledger.check("x", "", {"a": True})
    with pytest.raises(ValueError, match="at least one condition"):
        ledger.check("loss-decreases", "", {})
    with pytest.raises(TypeError, match="must be True, False or a Condition, got 1"):
        ledger.check("loss-decreases", "", {"a": 1})
    with pytest.raises(ValueError, match="no claims for chapter"):
        claims.Ledger("nowhere")


def test_table_escapes_and_scoreboard_reads_notebooks(tmp_path):
    ledger = full_ledger(**{"a < b": True})
    ledger.not_testable("no-ergodicity", "too <b>few</b>")
    shown, carried = ledger._repr_mimebundle_()
    assert "a &lt; b" in shown["text/html"] and "<b>few" not in shown["text/html"]
    page = tmp_path / "one.ipynb"
    page.write_text(
        json.dumps({"cells": [{"outputs": [{"data": shown, "metadata": carried}]}, {"cell_type": "markdown"}]})
    )
    (tmp_path / "two.ipynb").write_text(json.dumps({"cells": []}))
    board = claims.Scoreboard(tmp_path)
    assert board.counts == {CHAPTER: {"reproduced": 8, "not testable": 1}}
    assert "8 reproduced" in board._repr_mimebundle_()["text/html"]
    with pytest.raises(FileNotFoundError, match="make notebooks"):
        claims.Scoreboard(tmp_path / "nothing")
