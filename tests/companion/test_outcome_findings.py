"""The findings on outcomes: what has to hold in them whatever came out, and some of them computed again."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from trajlib.boundary import power_of_ten
from trajlib.companion import findings

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "findings" / "outcome_planes.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("outcome_planes", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["outcome_pairs", "outcome_pairs_again", "outcome_pairs_tanh", "outcome_pairs_digits"])
def test_counts_are_counts_and_the_same_run_again_ends_the_same(name):
    found = findings.load(name)
    assert found.differ.shape[3] == len(found.scales) + 2
    assert (found.differ <= found.rates).all()
    assert not found.differ[:, :, :, len(found.scales)].any()  # distance 0
    assert found.differ.any() and (found.other_rate <= 1).all()


def test_some_pixels_again(script):
    plane = findings.load("outcome_plane_edge")
    settings = plane.manifest["settings"]
    x, y = (script.middles(*ends, settings["pixels"]) for ends in plane.zoom_ends)
    rows, columns = np.arange(0, 128, 16), np.arange(0, 128, 8)
    grid = np.stack(np.meshgrid(x[columns], y[rows]), axis=-1).reshape(-1, 2)
    w = script.NET.init(1, seed=settings["seed"])[0]
    labels = script.plane(power_of_ten(grid), settings["split"], w, None, settings["steps"])
    there = plane.zoom[:, rows][:, :, columns].reshape(2, -1)
    np.testing.assert_array_equal(labels[[0, 4]], there)
    assert 0 < there[0].mean() < 1


def test_labels_tell_what_they_should(script):
    task = script.tl.iris()
    w = script.NET.init(6, seed=3)
    labels, accuracy = script.ends(script.NET, task, np.full(6, 0.1), w, [25, 400])
    gd = script.tl.GradientDescent(script.NET, task, lr=0.1)
    run = script.tl.train(gd, w, 400, record=("accuracy", "test_accuracy"))
    for i, moment in enumerate((25, 400)):
        least = run.accuracy[:, moment - 19 : moment + 1].min(axis=1)
        np.testing.assert_array_equal(labels[i, :3], [least >= 0.9, least >= 0.8, least >= 0.95])
        np.testing.assert_allclose(accuracy[i], run.test_accuracy[:, moment])
    assert labels[1, 0].any() and not labels[0, 0].all()


def test_what_the_text_says():
    pairs, names = findings.load("outcome_pairs"), ["learns", "learns_80", "learns_95", "flowers", "rung", "tenth"]
    assert pairs.labels.tolist() == names
    share = 100 * pairs.differ.mean(axis=(-1, -2)) / pairs.rates  # (moments, labels, bands, distances)

    def said(label, band, distance, moment=1):
        return round(float(share[moment, names.index(label), band, distance]))

    assert not share[:, :5, :2, :7].any()  # below 0.1, rates 1e-4 apart or nearer
    assert [said("learns", 4, 8), said("tenth", 4, 8), said("learns", 4, 0), said("tenth", 4, 0)] == [14, 40, 8, 33]
    assert [said("flowers", 3, 8), said("flowers", 3, 0), said("rung", 5, 0), said("rung", 5, 9)] == [38, 32, 15, 55]
    assert [said("flowers", 3, 8, i) for i in range(3)] == [55, 38, 19]
    assert [said("flowers", 4, 8, i) for i in range(3)] == [76, 71, 61]
    assert [said("learns", 4, 8, i) for i in range(3)] == [4, 14, 14]
    assert [said("learns_80", 4, 8), said("learns_95", 4, 8)] == [14, 10]
    assert [said("learns", 4, -1), said("tenth", 4, -1)] == [14, 39]  # initial scale
    plane = findings.load("outcome_plane_weight")
    assert plane.common.tolist() == [0, 1, 2]
    np.testing.assert_array_equal((100 * plane.all_of_them[[0, -1]]).round(), [38, 10])
    assert (plane.three > 0.45).all() and round(100 * np.mean(plane.rung == 2)) == 3
