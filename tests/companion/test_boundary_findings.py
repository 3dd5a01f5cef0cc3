"""What the chapter on the boundary of trainability tells of its longer runs, in words, is what was found."""

from pathlib import Path

import numpy as np

from trajlib.companion import findings
from trajlib.companion.trained_planes import CONDITIONS

TEXT = (Path(__file__).parents[2] / "book" / "boundary-of-trainability.md").read_text(encoding="utf-8")
AT = {name: i for i, name in enumerate(CONDITIONS)}


def cell(finding, name, *place):
    """The exponent of a condition on draw 0, and its error, for "converged"."""
    found = findings.load(finding)
    return found.exponent[(AT[name], 0, *place, 0)], found.standard_error[(AT[name], 0, *place, 0)]


def test_longer_runs():
    said = {"tanh": "0.050, 0.048 and 0.052 for tanh", "ReLU": "0.033, 0.016 and 0.014 for ReLU",
            "minibatch": "0.010, 0.016 and 0.015 for minibatches", "offset": "they rise, 0.036, 0.041 and 0.100"}  # fmt: skip
    for name, words in said.items():
        runs = [cell("boundary_uncertainty", name), *(cell("boundary_longer", name, i) for i in (0, 1))]
        numbers = [f"{value:.3f}" for value, _ in runs]
        assert f"{numbers[0]}, {numbers[1]} and {numbers[2]}" in words and words in TEXT
        assert all(0.003 <= round(error, 3) <= 0.011 for _, error in runs) or name == "offset"
    longer = findings.load("boundary_longer")
    assert longer.steps.tolist() == [2000, 4000] and not longer.resolved[[AT["identity"], AT["single sample"]]].any()
    differ = longer.pairs.sum(axis=-1)[[AT["identity"], AT["single sample"]], 0]
    assert np.abs(differ[:, 0] - differ[:, 1]).sum() == 1


def test_the_papers_width():
    wide = findings.load("boundary_wide")
    assert wide.manifest["settings"]["units"] == 16
    after = {"tanh": "for tanh, over", "ReLU": "for ReLU", "minibatch": "for minibatches", "offset": "with the offset"}
    for name, words in after.items():
        value, error = cell("boundary_wide", name)
        assert f"{value:.3f} ± {error:.3f} {words}" in TEXT
        assert (2 - value) - 2 * error > 1.05  # what the chapter calls fractal
    assert np.log10(wide.largest / wide.smallest)[AT["tanh"], 0, 0].round() == 4
    assert not wide.resolved[[AT["identity"], AT["single sample"]]].any()


def test_the_second_draw():
    saddle, pairs = findings.load("boundary_other_saddle"), findings.load("boundary_uncertainty")
    assert not saddle.rate_resolved.any()
    known = saddle.exponent_resolved[:, 0] == 1
    assert known.tolist() == [name in ("tanh", "ReLU") for name in AT]
    kappa = np.log(saddle.survivors[:2, 0, 50] / saddle.survivors[:2, 0, 400]) / 350
    ratios, alphas = kappa / saddle.exponent[:2, 0, 0], pairs.exponent[:2, 1, 0]
    assert "{:.3f} for tanh and {:.3f} for ReLU, beside $\\alpha$ of {:.3f} and {:.3f}".format(*ratios, *alphas) in TEXT
    boxes = findings.load("boundary_other_boxes").dimension[:, 0].round(2).tolist()
    assert [d == d for row in boxes for d in row] == [
        *(False, False, False), *(True, True, False), *(True, True, True), *(True, False, False), *(True, True, True), *(False,) * 3
    ]  # fmt: skip
    assert (
        "{} and {} for ReLU".format(*boxes[AT["ReLU"]][:2]) in TEXT
        and f"{boxes[AT['minibatch']][0]} for minibatches" in TEXT
    )
    assert "the identity {}, {} and {}".format(*boxes[AT["identity"]]) in TEXT
    assert "single sample {}, {} and {}".format(*boxes[AT["single sample"]]) in TEXT
