"""Altered descents, copies and schedules of the chapter on chaos and learning: on small cases whose answers are known."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "findings"))

import learning_changes as changes

from trajlib import schedules
from trajlib.companion import findings

NAME, STEPS = "iris_10_sigmoid", 60


@pytest.fixture
def one(tmp_path, monkeypatch):
    monkeypatch.setattr(changes, "PARTS", tmp_path)
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.mark.parametrize("change", ["capped", "projected"])
def test_a_change_that_changes_nothing_leaves_times_and_a_strong_one_does_not(one, change):
    amounts = {"capped": [1e8, 1e-4, changes.PLAIN], "projected": [1e8, 1e-6, changes.PLAIN]}[change]
    found = changes.altered_runs([NAME], [[-14]], 4, STEPS, change, amounts, 2, 3, one)
    assert found["time"].shape == (1, 3, 1, 4) and found["exponent"].shape == (1, 3, 1, 2)
    np.testing.assert_array_equal(found["time"][0, 0], found["time"][0, 2])
    assert (found["time"][0, 1] == -1).sum() > (found["time"][0, 2] == -1).sum()  # it hardly moves
    if change == "capped":
        np.testing.assert_allclose(found["exponent"][0, 0], found["exponent"][0, 2], atol=2e-3)


def test_copies_at_an_ordered_rate_take_the_time_of_their_network(one):
    found = changes.copies_runs([NAME], [[-30, -16]], 10, 3, 100, 1e-10, one)
    time = found["time"][0]
    assert time.shape == (2, 10, 4) and (time == time[..., :1]).all() and (time >= 0).any()


def test_schedules_cost_the_same_and_are_what_they_are_called():
    steps, found = 120, changes.families(0.5, 0.3, 120)
    t = np.arange(steps)
    rates = {name: np.array([s(t) for s in several]) for name, several in found.items()}
    assert {len(r) for r in rates.values()} == {12} and all((r >= 0).all() for r in rates.values())
    assert rates["ordered"].max() < 0.5 and np.ptp(rates["ordered"], axis=1).max() == 0
    assert 0.3 / 1.5 <= rates["fastest"].min() <= 0.3 <= rates["fastest"].max() <= 0.3 * 1.5 + 1e-12
    decay = rates["chaotic then decay"]
    assert (decay[:, :10] >= 0.5 - 1e-12).all() and (decay[:, -1] < 0.01).all()
    assert (rates["warm up"][:, 0] < rates["warm up"][:, -1]).all() and (rates["one cycle"][:, -1] < 1e-3).all()
    assert (rates["one cycle"].argmax(axis=1) > 0).all()
    jumps = (np.diff(rates["restarts"], axis=1) > 0).sum(axis=1)
    assert jumps.tolist() == [1, 3, 7] * 4
    held = changes.held_then(schedules.cosine(0.4, 10), 0.4, 5)(np.arange(16))
    np.testing.assert_allclose(held[:6], 0.4)
    np.testing.assert_allclose(held[15], 0.0, atol=1e-12)


def test_tuning_takes_the_least_training_loss_and_judges_other_networks():
    candidates = [schedules.constant(r) for r in (1e-6, 0.3, 0.01)]
    chosen, losses = changes.tuned(NAME, candidates, 8, STEPS, seed=11)
    assert chosen == 1 and losses.argmin() == 1 and losses.shape == (3,)
    end = changes.ended(NAME, candidates[1], 8, STEPS, 12, True)
    assert {name: v.shape for name, v in end.items()} == dict.fromkeys(("loss", "test_loss", "test_accuracy"), (8,))


def test_all_kinds_are_run_at_once(one):
    found = changes.schedule_runs([NAME], [0.5], [0.3], [STEPS], 3, 4, [11, 12], one)
    assert found["test_loss"].shape == (1, 6, 4) and found["tuning"].shape == (1, 6, 12)
    assert (found["chosen"][0] == found["tuning"][0].argmin(axis=1)).all()


def test_each_finding_is_made_once_and_schedules_wait_for_their_cells(tmp_path, monkeypatch, capsys):
    calls = []

    def stub(name, **more):
        def compute(executor, **settings):
            calls.append(name)
            return {"size": settings["networks"], "steps": settings["steps"], **more}

        return compute

    kinds = {"kinds": np.array(["ordered", "chaotic then decay"]), "chosen": np.array([[0, 5]] * 3)}
    for name in ("altered_runs", "copies_runs", "level_runs", "control_runs", "schedule_runs"):
        monkeypatch.setattr(changes, name, stub(name, **kinds if name == "schedule_runs" else {}))
    monkeypatch.setattr(changes, "FOLDER", tmp_path)

    def missing(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr(changes.findings, "load", missing)
    changes.main()
    changes.main()
    assert calls == ["altered_runs", "altered_runs", "copies_runs", "level_runs", "altered_runs"]
    assert "schedules wait" in capsys.readouterr().out
    first = ["capped", "capped-digits", "copies", "levels", "projected"]
    assert sorted(path.stem for path in tmp_path.glob("*.npz")) == [f"learning_{name}" for name in first]
    rates = 10.0 ** (np.arange(-20, 21) / 20)
    time = np.abs(np.arange(-20, 21))[:, None] + np.full(9, 20)
    made = {
        "rates": rates, "networks": np.full(41, 9), "steps": 419, "time_90": time, "first_90": time,
        "exponent": np.repeat(rates[:, None], 9, axis=1) / 50, "sharpness": np.ones((41, 2, 3)), "fitted_kept": np.zeros((41, 1), np.uint8),
    }  # fmt: skip
    about = {"settings": {"task": "iris", "activation": "tanh", "hidden": [10], "decay": 0.0, "fitted": 4}}

    def found(name):
        if name == "learning_schedules":
            return findings._read(tmp_path / f"{name}.npz", tmp_path / f"{name}.json")
        return findings.Arrays(made, about)

    monkeypatch.setattr(changes.findings, "load", found)
    changes.main()
    assert calls[5:] == ["schedule_runs", "control_runs"]
    settings = found("learning_schedules").manifest["settings"]
    assert settings["fastest"] == [1.0] * 3 and 0.44 < settings["onsets"][0] < 0.51 and settings["networks"] >= 500
    path = tmp_path / "learning_controls"
    assert findings._read(path.with_suffix(".npz"), path.with_suffix(".json")).manifest["settings"]["chosen"] == [5] * 3


def test_levels_are_first_crossings(one):
    found = changes.level_runs([NAME], [[-20, -10]], 5, STEPS, [1.0, 0.9, 1e-9], one)
    assert found["step"].shape == (1, 2, 3, 5)
    gd = changes.descent(changes.CELLS[NAME], 10 ** (-10 / 20))
    run = changes.tl.train(gd, changes.starts(gd, 5), STEPS, record=("loss", "test_loss"))
    for i in range(5):
        there = np.flatnonzero(run.loss[i] <= 0.9)
        step = there[0] if len(there) else -1
        assert found["step"][0, 1, 1, i] == step
        if step >= 0:
            assert found["test_loss"][0, 1, 1, i] == np.float32(run.test_loss[i, step])
    assert (found["step"][0, :, 2] == -1).all() and np.isnan(found["test_loss"][0, :, 2]).all()
    assert (found["step"][0, 1, 0] >= 0).any()
