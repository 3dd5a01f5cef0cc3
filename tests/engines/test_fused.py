"""Deep networks and optimisers in the fused engine: the bits of the specification, in any batch, on any threads, in any pieces."""

import numpy as np
import optimised
import pytest
import specification
from optimised import CASES

import trajlib as tl
from trajlib.engines import iterate
from trajlib.models.activations import ACTIVATIONS
from trajlib.optimisers import RULES

every_case = pytest.mark.parametrize("case", CASES)


def bits(array):
    """An array's bytes."""
    return np.ascontiguousarray(array).tobytes()


def test_the_cases_have_everything():
    made = [make() for make in CASES.values()]
    assert {gd.rule.name for gd in made} == set(RULES)
    assert {gd.network.activation for gd in made} == set(ACTIVATIONS)
    assert {gd.network.loss for gd in made} == {"cross_entropy", "half_squared_error", "mean_squared_error"}


@every_case
def test_specification(case):
    gd = CASES[case]()
    w = optimised.weights(gd, 3)
    run = tl.train(gd, w, 30, record=("loss",))
    for i in (0, 2):
        z, loss = optimised.specified(gd, w[i], 30)
        assert run.final_state[i].tolist() == z
        assert run.loss[i, -1] == loss
        assert gd.loss(run.final_state)[i] == loss


@every_case
def test_one_step_by_hand_is_one_of_train(case):
    gd = CASES[case]()
    z = gd.state(optimised.weights(gd, 2))
    run = tl.train(gd, z[:, : gd.n_parameters], 12, record=("weights",))
    for t in range(12):
        z = gd.step(z, t)
    assert bits(z) == bits(run.final_state)
    assert bits(z[:, : gd.n_parameters]) == bits(run.weights[:, -1, : gd.n_parameters])


@every_case
def test_batch_place_threads_and_pieces_change_no_bit(case):
    gd = CASES[case]()
    w = optimised.weights(gd, 20)
    run = tl.train(gd, w, 50, threads=1)
    for part in (slice(0, 1), slice(5, 6), slice(3, 16), slice(19, 20)):
        alone = tl.train(gd, w[part], 50, threads=1)
        assert bits(alone.final_state) == bits(run.final_state[part])
        assert bits(alone.loss) == bits(run.loss[part])
    back = tl.train(gd, w[::-1].copy(), 50, threads=2)
    assert bits(back.final_state[::-1]) == bits(run.final_state)
    half = tl.train(gd, w, 20, record=()).final_state
    rest, _ = iterate(gd.problem, half, steps=30, record={"loss"}, start=20)
    assert bits(rest["reference"]) == bits(run.final_state)
    assert bits(rest["loss"]) == bits(run.loss[:, 20:])


def test_one_rate_a_network_is_each_alone():
    lr = np.geomspace(0.01, 0.1, 11)
    case = "heavy ball, one rate a layer"
    gd = CASES[case](lr=(lr, 0.1, 2 * lr))
    w = optimised.weights(gd, 11)
    run = tl.train(gd, w, 30)
    for i in (0, 8, 10):
        alone = CASES[case](lr=(lr[i], 0.1, 2 * lr[i]))
        assert bits(tl.train(alone, w[i : i + 1], 30).final_state[0]) == bits(run.final_state[i])


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_one_layer_has_a_schedule(layer):
    """Whichever it is: a schedule that gives the same rate at all steps is that number."""
    case = "heavy ball, one rate a layer"
    lr = [0.05, 0.1, 0.02]
    gd = CASES[case](lr=tuple(lr))
    w = optimised.weights(gd, 3)
    lr[layer] = tl.schedules.constant(lr[layer])
    assert bits(tl.train(CASES[case](lr=tuple(lr)), w, 10).final_state) == bits(tl.train(gd, w, 10).final_state)


@pytest.mark.parametrize("case", ["heavy ball, one rate a layer", "Nesterov, cosine", "AdamW"])
def test_divergence_is_reported(case):
    """A decay of 1e4 a step: the weights leave the range of float64; the network beside them whose weights are 0 does not."""
    gd = CASES[case](lr=1e6, weight_decay=0.01)
    w = optimised.weights(gd, 10)
    w[4] = 0.0
    run = tl.train(gd, w, 300, record=("loss",))
    others = np.arange(10) != 4
    assert (run.nonfinite_at[others] > 1).all() and (run.nonfinite_at[others] < 300).all()
    assert not np.isfinite(run.final_state[others]).all(axis=1).any()
    for i in (0, 9):
        t = run.nonfinite_at[i]
        assert np.isfinite(tl.train(gd, w[i : i + 1], int(t) - 1).final).all()
        assert not np.isfinite(tl.train(gd, w[i : i + 1], int(t)).final).all()


@every_case
def test_nan_to_begin_with(case):
    gd = CASES[case]()
    z = gd.state(optimised.weights(gd, 9))
    clean, _ = iterate(gd.problem, z, steps=3)
    z[1, 0], z[2, 5], z[3, gd.n_parameters - 1] = np.nan, np.inf, -np.inf
    got, _ = iterate(gd.problem, z, steps=3)
    assert (got["nonfinite"][1:4] >= 0).all() and (got["nonfinite"][[0, *range(4, 9)]] == -1).all()
    assert bits(got["reference"][[0, 4, 8]]) == bits(clean["reference"][[0, 4, 8]])


def test_one_batch_of_all_samples_is_full_batch():
    case = "heavy ball, one rate a layer"
    gd, whole = CASES[case](batch_size=24), CASES[case]()
    w = optimised.weights(gd, 3)
    assert bits(tl.train(gd, w, 40).final) == bits(tl.train(whole, w, 40).final)


def test_empty_memory_and_momentum_0_are_gradient_descent():
    """The first step of heavy ball is gradient descent's."""
    case = "heavy ball, one rate a layer"
    gd = CASES[case](lr=0.1)
    w = optimised.weights(gd, 3)
    z = gd.step(w)
    assert bits(z[:, : gd.n_parameters]) == bits(w - 0.1 * gd.gradient(w))
    assert bits(z[:, gd.n_parameters :]) == bits(gd.gradient(w))


def test_the_normal_distribution_function_is_accurate():
    from scipy.special import ndtr

    x = np.random.default_rng(0).normal(scale=3, size=2000)
    got = np.array([specification.ndtr(one) for one in x.tolist()])
    assert np.abs(got / ndtr(x) - 1).max() < 2e-14
    assert (
        abs(specification.ndtr(0.0) - 0.5) < 2e-15
        and specification.ndtr(-40.0) < 1e-300
        and specification.ndtr(40.0) == 1.0
    )
