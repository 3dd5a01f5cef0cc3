"""Prediction at the edge of stability: an indicator that decides, one that knows nothing, and the committed runs."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "findings"))

import edge_prediction as edge

import trajlib as tl
from trajlib.companion import findings

N = 300


def made_up(event, deciding):
    """Indicators that know nothing, but for one column of one of them, which is the outcome with a little noise."""
    rng = np.random.default_rng(1)
    sets = {name: rng.standard_normal((N, 4)) for name in ("exponents", "vectors", "baselines", "weights")}
    sets[deciding][:, 0] = np.where(event, -1.0, 1.0) + 0.1 * rng.standard_normal(N)
    return sets


@pytest.mark.parametrize("deciding", ["exponents", "baselines", "weights"])
def test_what_decides_is_found_and_nothing_else(deciding):
    event = np.random.default_rng(0).permutation(N) < N // 2
    area, gain = edge.foretold(made_up(event, deciding), event, folds=3, seed=0)
    assert area.shape == (6, 3) and gain.shape == (2, 3)
    names = [*edge.NAMES, "null"]
    knows = {deciding} | ({"loss"} if deciding == "baselines" else set())  # the loss is the first of the baselines
    for name, (value, lower, upper) in zip(names, area, strict=True):
        # guessing has a standard error of 0.033: these are more than three of them
        assert (value > 0.98) if name in knows else (abs(value - 0.5) < 0.12 and upper - lower > 0.1), name
    over_baselines, over_weights = gain[:, 0]
    assert (over_baselines > 0.3) == (over_weights > 0.3) == (deciding == "exponents")
    assert (over_baselines < -0.3) == (deciding == "baselines") and (over_weights < -0.3) == (deciding == "weights")


def test_the_null_fails_where_the_outcome_is_not_shuffled(monkeypatch):
    event = np.random.default_rng(0).permutation(N) < N // 2

    class Straight:
        def permutation(self, x):
            return x

    sets = made_up(event, "exponents")
    monkeypatch.setattr(edge.np.random, "default_rng", lambda seed: Straight())
    assert edge.foretold(sets, event, folds=np.arange(N) % 3, seed=0)[0][-1, 1] > 0.5


def test_too_few_of_a_kind_are_not_asked():
    event = np.arange(N) < edge.FEWEST - 1
    area, gain = edge.foretold(made_up(event, "exponents"), event, folds=3, seed=0)
    assert np.isnan(area).all() and np.isnan(gain).all()


def test_who_ends_well():
    final = np.array([0.1, 0.4, np.inf, 0.2, np.nan, 0.3])
    assert edge.ended_well(final, "half").tolist() == [True, False, False, True, False, True]
    assert edge.ended_well(final, "third").tolist() == [True, False, False, True, False, False]
    assert edge.ended_well(final, 0.15).tolist() == [True] + 5 * [False]


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_some_networks_again(activation):
    found = findings.load(f"edge_prediction_{activation}_0")
    net = tl.Perceptron(4, (4, 4, 4), 3, activation=activation, loss="cross_entropy")
    task, w0 = tl.iris(split_seed=0).standardised(), net.init(N, seed=0, scheme="normal")[:5]
    for i, multiple in enumerate(found.multiples):
        gd = tl.GradientDescent(net, task, lr=2 * multiple / float(found.start))
        last = tl.train(gd, w0, 1000, every=1000).loss[:, -1]
        np.testing.assert_allclose(found.final[i, :5], last, rtol=1e-6)
