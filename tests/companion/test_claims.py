"""The ledger: verdicts are computed, complete, and carried by the notebook."""

import json

import numpy as np
import pytest
from bs4 import BeautifulSoup

from trajlib.companion import claims, conditions, shown, variations

CHAPTER = "low-learning-rate"


@pytest.fixture(autouse=True)
def nothing_recorded(monkeypatch):
    """Verdicts here do not depend on the committed runs."""
    monkeypatch.setattr(claims, "recorded", lambda chapter: {})


def full_ledger(**conditions):
    ledger = claims.Ledger(CHAPTER)
    for claim in claims.load(CHAPTER):
        ledger.check(claim.id, "42", conditions or {"always": True})
    return ledger


def test_list_is_well_formed():
    listed = claims.load()
    assert len({claim.id for claim in listed}) == len(listed) >= 9
    for claim in listed:
        assert claim.paper and claim.where and claim.claim.rstrip(")").endswith(".")  # a sentence, also in brackets


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
    listed = len(claims.load(CHAPTER))
    assert board.counts == {CHAPTER: {"reproduced": listed - 1, "not testable": 1}}
    assert f"{listed - 1} reproduced" in board._repr_mimebundle_()["text/html"]
    with pytest.raises(FileNotFoundError, match="make notebooks"):
        claims.Scoreboard(tmp_path / "nothing")


def outcome(kind, name, **conditions):
    """What a made-up run has found."""
    limits = {
        n: {k: None if np.isinf(v) else v for k, v in (("low", c.low), ("high", c.high))} for n, c in conditions.items()
    }
    parts = {n: variations.Part(c.holds, c.value, **limits[n]) for n, c in conditions.items()}
    return variations.Outcome(
        kind, name, claims.of_conditions([c.holds for c in conditions.values()]), "numbers", parts
    )


@pytest.mark.parametrize(
    ("fails", "verdict", "said"),
    [(0, "reproduced", "20 of 20"), (2, "reproduced", "18 of 20"), (3, "partly", "17 of 20"), (17, "partly", "3 of 20"),
     (18, "partly", "2 of 20"), (19, "partly", "1 of 20")],
)  # fmt: skip
def test_verdict_is_that_of_nine_in_ten_runs(fails, verdict, said):
    """This run holds; of 19 others some fail in one of two parts, which makes them "partly"."""
    ledger = claims.Ledger(CHAPTER)
    a, b = claims.at_least(0.9, 0.5), claims.at_most(0.2, 0.5)
    ledger._recorded = {
        "loss-decreases": tuple(
            outcome("split", f"SPLIT = {i}", a=a, b=claims.at_most(0.8, 0.5) if i < fails else b) for i in range(19)
        )
    }
    assert ledger.check("loss-decreases", "", {"a": a, "b": b}) == verdict
    (finding,) = ledger._findings.values()
    assert finding.alone == "reproduced" and said in shown.in_runs(finding)


def test_a_claim_that_fails_nearly_everywhere_is_not_reproduced_though_it_holds_here():
    ledger = claims.Ledger(CHAPTER)
    ledger._recorded = {"loss-decreases": (outcome("seed", "SEED = 1", a=claims.at_least(0.1, 0.5)),) * 9}
    assert ledger.check("loss-decreases", "", {"a": claims.at_least(0.9, 0.5)}) == "not reproduced"


def test_runs_in_which_nothing_could_be_tested_do_not_count():
    ledger = claims.Ledger(CHAPTER)
    empty = variations.Outcome("split", "SPLIT = 3", "not testable", "no chaos there", {})
    ledger._recorded = {"loss-decreases": (empty,) * 5}
    assert ledger.check("loss-decreases", "", {"a": True}) == "reproduced"
    assert claims.of_runs(claims.Counter({"not testable": 5})) == "not testable"


@pytest.mark.parametrize(
    ("condition", "holds", "decided"),
    [
        (claims.between(0.33, 0.3, 0.36), True, True),
        (claims.between(0.3, 0.3, 0.36), True, True),
        (claims.between(0.35, 0.3, 0.36, error=0.02), True, False),
        (claims.between(0.37, 0.3, 0.36, error=0.02), False, False),
        (claims.at_least(1.0, 2.0, error=0.5), False, True),
        (claims.at_most(1.0, 2.0), True, True),
        (claims.at_most(-np.inf, 2.0), True, True),
        (claims.share(np.zeros(0, dtype=bool)), False, False),
        (claims.at_least(np.nan, 0.0), False, False),
    ],
)
def test_conditions_know_their_value(condition, holds, decided):
    assert (bool(condition), condition.decided) == (holds, decided)
    assert condition.testable == (not np.isnan(condition.value))


def test_conditions_with_bad_limits():
    with pytest.raises(ValueError, match="low must be below high, got 2 and 1"):
        claims.between(0.0, 2, 1)
    with pytest.raises(ValueError, match="error must be 0 or more, got -1"):
        claims.at_least(0.0, 1.0, error=-1)


def test_nothing_to_measure_is_not_testable():
    ledger = claims.Ledger(CHAPTER)
    found = ledger.check("loss-decreases", "no network is chaotic", {"x": claims.share(np.zeros(0)), "y": True})
    assert found == "not testable" and "nothing to measure for: x" in ledger._findings["loss-decreases"].measured


def test_a_claim_is_about_its_parameters(monkeypatch):
    about = [claims.Claim("one", "made-up", "paper", "here", "It holds.", about=(("lr", 0.9, 1.1),))]
    monkeypatch.setattr(claims, "load", lambda chapter: about)

    def never(*data):
        raise AssertionError("called though the claim is about other parameters")

    ledger = claims.Ledger("made-up", lr=20.0)
    assert ledger.check("one", never, 1) == "not testable"
    assert "it is about lr from 0.9 to 1.1, and this run has 20" in ledger._findings["one"].measured
    data = claims.Check("3", {"a": claims.at_most(3, 4)})
    assert claims.Ledger("made-up", lr=1.0).check("one", lambda x: data, 1) == "reproduced"
    assert claims.Ledger("made-up").check("one", lambda x: data, 1) == "reproduced"
    with pytest.raises(TypeError, match="are about lr too: give a value"):
        claims.Ledger("made-up", steps=3)


def test_a_strip_has_a_mark_for_each_run():
    values = [0.2, 0.5, 0.95, 0.99, np.inf, np.nan]
    dots = [shown.Dot("split", f"SPLIT = {i} <", variations.Part(v >= 0.9, v, 0.9, 1.0)) for i, v in enumerate(values)]
    svg = BeautifulSoup(shown.strip(dots, "share & more"), "html.parser")
    marks = svg.select("use")
    assert [m.get("fill") for m in marks] == ["none", "none", None, None, None]
    assert {m["href"] for m in marks} == {"#tl-split"} and marks[2].title.text == "SPLIT = 2 <: 0.95"
    places = [float(m["x"]) for m in marks]
    assert places == sorted(places) and all(0 <= p <= 320 for p in places)
    limit = float(svg.select_one("path.tl-limit")["d"][1:].split()[0])
    assert places[1] < limit < places[2]
    assert marks[0].title.text == "SPLIT = 0 <: 0.2, fails" and svg.svg["aria-label"] == "share & more"
    assert "0.9" in [t.text for t in svg.select("text.tl-threshold")]
    assert shown.strip(dots[-1:], "nothing") == ""


def test_the_ledger_shows_the_part_that_holds_least_often_and_where_it_fails():
    ledger = full_ledger(sure=True)
    a, b = claims.at_least(0.9, 0.5), claims.at_least(0.4, 0.5)
    ledger._recorded = {"loss-decreases": tuple(outcome("length", f"STEPS = {i}", a=a, b=b) for i in range(3))}
    ledger.check("loss-decreases", "0.9 and 0.6", {"a": a, "b": claims.at_least(0.6, 0.5)})
    page = BeautifulSoup(ledger._repr_mimebundle_()[0]["text/html"], "html.parser")
    claim = page.select_one("#claim-loss-decreases")
    assert claim.select_one(".tl-part").text == "b" and "both parts hold in 1 of 4 runs" in claim.text
    assert "STEPS = 2: partly. numbers" in claim.text and len(claim.select("svg.tl-strip")) == 2
    drawn = {use["href"] for use in page.select("use")}
    assert drawn == {"#tl-this-run", "#tl-length"} <= {f"#{mark['id']}" for mark in page.select(".tl-key path")}


def test_what_a_notebook_carries_is_json_and_comes_back():
    ledger = full_ledger(a=claims.at_least(np.float64(0.5), 0.1), b=True, c=claims.at_most(-np.inf, 1.0))
    text = json.dumps(ledger._repr_mimebundle_()[1], allow_nan=False)
    carried = json.loads(text)[claims.KEY]["findings"][0]
    assert carried["conditions"][0] == {
        "text": "a",
        "holds": True,
        "decided": True,
        "value": 0.5,
        "low": 0.1,
        "high": None,
    }
    assert carried["runs"] == {"reproduced": 1}


def test_declared_variations_are_different_and_of_a_kind(monkeypatch, tmp_path):
    for chapter in ("low-learning-rate", "edge-of-stability", "intermittency"):
        shared, found = variations.declared(chapter)
        kinds = claims.Counter(v.kind for v in found)
        assert (
            shared and kinds["split"] >= 10 and kinds["seed"] >= 2 and kinds["length"] >= 1 and kinds["parameter"] >= 2
        )
    assert variations.declared("nowhere") == ({}, ()) and variations.recorded("nowhere") == {}
    file = tmp_path / "variations.yml"
    monkeypatch.setattr(variations, "data_file", lambda name: file)
    for entry, message in (
        ("{kind: mood, set: {A: 1}}", "kind must be one of seed"),
        ("{kind: seed, set: {A: [1, 1]}}", "two are the same"),
    ):
        file.write_text(f"x:\n  variations:\n  - {entry}\n", encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            variations.declared("x")
