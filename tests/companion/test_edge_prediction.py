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


def cells(pattern):
    """Findings of one kind by activation, a list over seeds; arrays begin with the axes rate, group, step."""
    found = findings.load_all(pattern)
    return {a: [cell for name, cell in found.items() if f"_{a}_" in name] for a in ("tanh", "relu")}


def predicts(pair, i, group):
    """Names of what predicts in both seeds, at each step."""
    return [
        [name for k, name in enumerate(pair[0].names) if all(cell.auc[i, group, m, k, 1] > 0.5 for cell in pair)]
        for m in range(len(pair[0]["at"]))
    ]


def values(pair, i, group, kinds):
    """Least and largest area of some kinds, rounded, over seeds and steps."""
    which = [list(pair[0].names).index(kind) for kind in kinds]
    areas = np.array([cell.auc[i, group][:, which, 0] for cell in pair])
    return round(float(areas.min()), 2), round(float(areas.max()), 2)


def test_what_is_told_of_the_runs_at_the_edge():
    begun, more = cells("edge_prediction_*"), cells("edge_varied_prediction_more_*")
    share = {a: [(100 * cell.places[:, 1] / N).round().tolist() for cell in begun[a]] for a in begun}
    assert share == {"tanh": [[3, 54, 51], [0, 27, 30]], "relu": [[1, 7, 46], [0, 5, 47]]}
    ratio = begun["tanh"][0].ratio
    np.testing.assert_array_equal((np.abs(ratio - 1) <= 0.2).sum(axis=1), begun["tanh"][0].places[:, 1])
    assert [predicts(begun["tanh"], i, 0) for i in range(3)] == [[[], ["exponents"]], [[], []], [[], []]]
    assert all(predicts(more["tanh"], i, 1) == [[], []] for i in range(2))
    assert [predicts(more["tanh"], i, 0) for i in range(2)] == [[[], []], [[], ["exponents"]]]
    for of_step in predicts(begun["relu"], 2, 0):
        assert {"exponents", "baselines", "loss"} <= set(of_step)
    assert all({"exponents", "loss"} <= set(of_step) for of_step in predicts(more["relu"], 1, 1))
    assert values(begun["relu"], 2, 0, ["exponents"]) == (0.6, 0.66)
    assert values(begun["relu"], 2, 0, ["baselines", "loss"]) == (0.58, 0.7)
    assert values(more["relu"], 1, 1, ["exponents"]) == (0.59, 0.62) and values(more["relu"], 1, 1, ["loss"]) == (
        0.59,
        0.67,
    )
    assert values(begun["relu"], 1, 0, ["exponents"]) == (0.65, 0.71) and values(begun["relu"], 1, 0, ["loss"]) == (
        0.64,
        0.75,
    )


def test_what_is_told_of_all_comparisons():
    first, overall, nulls, both = np.zeros(3, int), np.zeros(3, int), [], np.zeros(2, int)
    for kind in ("prediction", *(f"varied_prediction_{name}" for name in edge.VARIED)):
        for pair in cells(f"edge_{kind}_*").values():
            gain = np.array([cell.gain[..., 0, :] for cell in pair])  # (seeds, rates, groups, steps, 3)
            asked = np.isfinite(gain[..., 0])
            counts = np.array([asked.sum(), (gain[..., 1] > 0).sum(), (gain[..., 2] < 0).sum()])
            first += counts if kind == "prediction" else 0
            overall += counts
            both += [(gain[..., 1] > 0).all(axis=0).sum(), (gain[..., 2] < 0).all(axis=0).sum()]
            nulls += [cell.auc[..., -1, :][np.isfinite(cell.auc[..., -1, 0])] for cell in pair]
            assert not any(
                "null" in step for i in range(gain.shape[1]) for g in (0, 1) for step in predicts(pair, i, g)
            )
    of_null = np.concatenate(nulls)
    assert first.tolist() == [28, 0, 2] and overall.tolist() == [118, 3, 31] and both.tolist() == [0, 7]
    assert [len(of_null), (of_null[:, 1] > 0.5).sum(), (of_null[:, 2] < 0.5).sum()] == [118, 6, 10]
    other = cells("edge_varied_prediction_split_*")["tanh"]
    assert not other[0].places[:, 1].any() and (other[0].accuracy > 0.9995).all() and other[1].places[:, 1].all()
