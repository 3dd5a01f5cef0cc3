"""Collapse onto the softmax map: networks saturated by hand, on which everything is known, and networks that got there by training."""

import numpy as np
import pytest

import trajlib as tl

TASK = tl.iris(split_seed=0)
NET = tl.Perceptron(4, 10, 3)
GD = tl.GradientDescent(NET, TASK, lr=5.0)


def saturated(on, n=1, seed=0, activation="sigmoid"):
    """Networks whose first ``on`` units are at their upper limit for every sample, and the others at the lower one."""
    net = tl.Perceptron(4, 10, 3, activation=activation)
    rng = np.random.default_rng(seed)
    b1 = np.where(np.arange(10) < on, 800.0, -800.0)
    return net.pack(
        np.zeros((n, 4, 10)), np.broadcast_to(b1, (n, 10)), rng.normal(size=(n, 10, 3)), rng.normal(size=(n, 3))
    )


@pytest.mark.parametrize("on", range(11))
def test_rung_of_a_network_saturated_by_hand(on):
    state = tl.collapse(GD, saturated(on, n=4))
    assert state.saturated.all() and (state.rung == on).all()
    np.testing.assert_array_equal(state.active, np.tile(np.arange(10) < on, (4, 1)))
    np.testing.assert_allclose(state.kappa, 5.0 * (1 + on), rtol=1e-15)
    assert (state.spread == 0).all()
    layers = NET.unpack(saturated(on, n=4))
    np.testing.assert_allclose(state.logits, layers.W2[:, :on].sum(axis=1) + layers.b2, atol=1e-14)


@pytest.mark.parametrize("on", [0, 2, 3])
def test_the_map_is_the_saturated_network_to_rounding(on):
    """Rungs without chaos for these proportions: step by step from anywhere, and for 200 steps once the transient is over."""
    w = saturated(on, n=20)
    assert tl.compare_with_map(GD, w, 1).error.max() < 1e-13
    assert tl.compare_with_map(GD, tl.train(GD, w, 1000).final, 200).error.max() < 1e-11


def test_on_a_chaotic_rung_rounding_grows_with_the_exponent_of_the_map():
    gd = tl.GradientDescent(NET, tl.iris(split_seed=1), lr=5.0)
    w = tl.train(gd, saturated(1, n=40), 300).final
    state = tl.collapse(gd, w)
    rate = tl.map_exponents(tl.SoftmaxMap(state.kappa, gd.task.proportions), state.logits, 1000)[:, 0]
    chaotic = rate > 0.1
    assert 10 < chaotic.sum() < 40
    error = tl.compare_with_map(gd, w, 60).error
    assert error[:, 1].max() < 1e-13
    assert error[~chaotic].max() < 1e-11
    assert np.median(error[chaotic][:, 40:].max(axis=1)) > 1e-11


def test_the_spectrum_of_a_saturated_network_holds_that_of_the_map():
    gd = tl.GradientDescent(NET, tl.iris(split_seed=1), lr=5.0)
    w = tl.train(gd, saturated(1, n=20), 500).final
    state = tl.collapse(gd, w)
    expected = np.maximum(
        tl.map_exponents(tl.SoftmaxMap(state.kappa, gd.task.proportions), state.logits, 4000)[:, 0], 0.0
    )
    found = tl.lyapunov_spectrum(gd, w, 4000, k=1).exponents[:, 0]
    assert expected.max() > 0.1
    np.testing.assert_allclose(
        found, expected, atol=0.02
    )  # chaotic orbits part: two finite averages over one attractor


def test_a_unit_between_its_limits_is_not_saturated():
    w = saturated(3)
    NET.unpack(w).b1[0, 5] = 0.0
    state = tl.collapse(GD, w)
    assert state.active[0, 5] == -1 and not state.saturated[0]
    assert state.kappa[0] == pytest.approx(5.0 * (1 + 3 + 0.25))


def test_a_unit_that_separates_the_samples_is_not_saturated():
    """Every sample at a limit, but not all at the same one."""
    w = saturated(0)
    layers = NET.unpack(w)
    layers.W1[0, 2, 0], layers.b1[0, 0] = 1000.0, -2500.0  # petal length above or below 2.5 cm
    state = tl.collapse(GD, w)
    assert state.active[0, 0] == -1 and state.spread[0] > 0 and state.distance[0, 0] == pytest.approx(1.0)


def test_tolerance_decides():
    w = saturated(0)
    NET.unpack(w).b1[0, 0] = np.log(0.005 / 0.995)
    assert tl.collapse(GD, w, tolerance=0.01).saturated[0]
    state = tl.collapse(GD, w, tolerance=0.004)
    assert not state.saturated[0]
    np.testing.assert_allclose(state.distance[0], [0.005] + [0.0] * 9, atol=1e-12)


def test_tanh_units_count_at_both_limits():
    """h² is 1 at either end: all rungs are the top one."""
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3, activation="tanh"), TASK, lr=0.5)
    state = tl.collapse(gd, saturated(4, activation="tanh"))
    assert state.saturated[0] and state.active[0].sum() == 4 and state.rung[0] == 10
    assert tl.compare_with_map(gd, saturated(4, activation="tanh"), 100).error.max() < 1e-11


def test_each_network_has_its_own_learning_rate():
    gd = tl.GradientDescent(NET, TASK, lr=np.array([1.0, 2.0, 3.0]))
    w = np.stack([saturated(2, n=3)] * 5, axis=1)
    np.testing.assert_allclose(tl.collapse(gd, w).kappa, 3.0 * np.array([[1.0], [2.0], [3.0]]) * np.ones(5))
    with pytest.raises(ValueError, match="lr must be one number or one a network"):
        tl.collapse(gd, w[:2])


def test_changes_of_rung_are_found_across_unsaturated_records():
    between = saturated(1)
    NET.unpack(between).b1[0, 7] = 0.0
    series = np.stack([saturated(1)[0], saturated(1)[0], between[0], saturated(2)[0], saturated(2)[0], saturated(0)[0]])
    state = tl.collapse(GD, np.stack([series, series[[0] * 6]]))
    changes = tl.rung_changes(state)
    assert len(changes) == 2
    assert changes.network.tolist() == [0, 0]
    assert changes.before.tolist() == [1, 4] and changes.after.tolist() == [3, 5]
    assert changes.old.tolist() == [1, 2] and changes.new.tolist() == [2, 0]
    assert state.since.tolist() == [3, 0]
    with pytest.raises(ValueError, match="networks, records"):
        tl.rung_changes(tl.collapse(GD, series))
    with pytest.raises(ValueError, match="networks, records"):
        _ = tl.collapse(GD, series).since


def test_since_is_minus_one_where_the_end_is_not_saturated():
    between = saturated(1)
    NET.unpack(between).b1[0, 7] = 0.0
    assert tl.collapse(GD, np.stack([saturated(1)[0], between[0]])[None]).since.tolist() == [-1]


def test_chunks_change_nothing(monkeypatch):
    w = tl.train(GD, NET.init(6, seed=0), 50, record=("weights",), every=10).weights
    whole = tl.collapse(GD, w)
    monkeypatch.setattr("trajlib.reduction._CHUNK_BYTES", 1)
    for name in ("distance", "active", "kappa", "rung", "logits", "spread"):
        np.testing.assert_array_equal(getattr(tl.collapse(GD, w), name), getattr(whole, name))


@pytest.mark.parametrize("seed", [0, 1])
def test_trained_networks_collapse_and_the_map_predicts_them(seed):
    w = tl.train(GD, NET.init(200, seed=seed), 4000).final
    state = tl.collapse(GD, w)
    assert state.saturated.mean() > 0.9
    assert np.abs(state.kappa / 5 - 1 - state.rung)[state.saturated].max() < 0.1
    assert np.median(tl.compare_with_map(GD, w, 100).error.max(axis=1)) < 1e-4


def test_networks_that_cannot_collapse_are_refused():
    for gd in (
        tl.GradientDescent(tl.Perceptron(4, 10, 3, activation="relu"), TASK),
        tl.GradientDescent(tl.Perceptron(4, 10, 3, loss="half_squared_error"), TASK),
        tl.GradientDescent(NET, TASK, weight_decay=0.1),
    ):
        with pytest.raises(ValueError, match="softmax map is what is left of"):
            tl.collapse(gd, gd.network.init(2, seed=0))
    with pytest.raises(TypeError, match="must be a GradientDescent"):
        tl.collapse(tl.SoftmaxMap(1.0, np.array([0.5, 0.5])), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="tolerance must be below"):
        tl.collapse(GD, saturated(1), tolerance=0.5)
    with pytest.raises(TypeError, match="must be a SoftmaxMap"):
        tl.map_exponents(GD, saturated(1), 10)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.7e308])
def test_a_network_that_has_diverged_leaves_the_others_alone(bad):
    """Its state is nan where it is no number, and it is on no rung; the others have the bits that they have alone."""
    w = saturated(2, n=3)
    w[1] = bad
    w[1, ::2] *= -1
    state, alone = tl.collapse(GD, w), tl.collapse(GD, w[[0, 2]])
    for name in ("distance", "active", "kappa", "rung", "logits", "spread"):
        np.testing.assert_array_equal(getattr(state, name)[[0, 2]], getattr(alone, name))
    if not np.isfinite(bad):
        assert (state.active[1] == -1).all() and state.rung[1] == -1 and np.isnan(state.kappa[1])
        assert not state.saturated[1] and len(tl.rung_changes(tl.collapse(GD, np.stack([w, w], axis=1)))) == 0
    compared = tl.compare_with_map(GD, w, 3)
    assert not np.isfinite(compared.reduced[1]).all() and compared.error[[0, 2]].max() < 1e-12
