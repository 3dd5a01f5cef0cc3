"""Escape rate, exponent and dimension of chaotic saddles that are known: open tent maps, and Hénon's horseshoe by its cycles."""

import numpy as np
import pytest
from known_saddles import Horseshoe, Tent

import trajlib as tl
from trajlib.boundary import escape_rate, kantz_grassberger, lifetimes, saddle_exponent


def all_three(some, points, steps, transient, tail, **options):
    left_at = lifetimes(some, points, some.inside, steps)
    rate = escape_rate(left_at, steps)
    exponent = saddle_exponent(some, points[left_at < 0], steps, transient=transient, tail=tail)
    return rate, exponent, kantz_grassberger(rate, exponent, **options)


@pytest.mark.parametrize(("a", "b"), [(3.0, 3.0), (2.5, 4.0), (2.05, 12.0)])
def test_open_tent_map(a, b):
    some = Tent(a, b)
    kappa, lam = some.known
    rate, exponent, dimension = all_three(some, np.random.default_rng(3).random((200_000, 1)), 12, 0, 4)
    assert rate.resolved and abs(rate.rate - kappa) < 3 * rate.standard_error < 0.01
    assert exponent.resolved and abs(exponent.exponents[0] - lam) <= max(3 * exponent.standard_error[0], 1e-12)
    assert dimension.resolved and abs(dimension.dimension - (1 - kappa / lam)) < 3 * dimension.standard_error < 0.05
    assert dimension.dimension < some.box_dimension + 3 * dimension.standard_error


def test_henons_horseshoe():
    """No published table of its escape rate was at hand: the reference is the cycle expansion, to six digits."""
    some = Horseshoe(4.2, 0.3)
    kappa, lam, _ = some.known(7)
    assert np.allclose(some.known(6), (kappa, lam, some.known(7)[2]), atol=1e-4), "the cycles have converged"
    rate, exponent, dimension = all_three(some, some.sprinkle(400_000, 1), 11, 3, 3, dimensions=2)
    assert rate.resolved and rate.start > 0 and abs(rate.rate - kappa) < 3 * rate.standard_error < 0.01
    assert exponent.resolved and abs(exponent.exponents[0] - lam) < 3 * exponent.standard_error[0] < 0.06
    assert np.isclose(exponent.exponents.sum(), np.log(0.3), atol=1e-9), "areas shrink by b"
    assert dimension.resolved and abs(dimension.dimension - (2 - kappa / lam)) < 3 * dimension.standard_error < 0.05


def test_errors_of_the_rate_cover_its_scatter():
    some = Tent(2.5, 4.0)
    z = []
    for seed in range(60):
        points = np.random.default_rng(seed).random((3000, 1))
        found = escape_rate(lifetimes(some, points, some.inside, 12), 12)
        z.append((found.rate - some.known[0]) / found.standard_error)
    z = np.array(z)[np.isfinite(z)]
    assert len(z) >= 55 and (np.abs(z) < 2).mean() > 0.85 and 0.6 < z.std() < 1.4


def test_a_rate_that_changes_begins_where_it_is_constant():
    rng = np.random.default_rng(0)
    fast = np.minimum(rng.geometric(0.5, 50_000), 100)
    slow = rng.geometric(0.05, 50_000)
    left = np.concatenate([fast, slow])
    found = escape_rate(np.where(left > 60, -1, left), 60)
    assert found.resolved and found.start >= 8 and abs(found.rate + np.log(0.95)) < 3 * found.standard_error
    assert found.survivors[0] == 100_000 and found.orbits == found.survivors[found.start]


def test_what_has_no_rate_has_none():
    power = np.floor(np.random.default_rng(0).random(100_000) ** -1.0).astype(int)  # share above t is 1 / t
    found = escape_rate(np.where(power > 1000, -1, power), 1000)
    assert not found.resolved or found.start > 50, "a power law looks exponential at most where few orbits are left"
    for left in (np.full(100, -1), np.full(100, 1), np.arange(1, 8)):
        assert not escape_rate(left, 10).resolved
        assert np.isnan(escape_rate(left, 10).rate)


def test_few_orbits_and_ends_are_not_resolved():
    some = Tent(2.5, 4.0)
    points = np.random.default_rng(0).random((20_000, 1))
    left_at = lifetimes(some, points, some.inside, 12)
    few = saddle_exponent(some, points[left_at < 0][:10], 12, transient=0, tail=4)
    assert not few.resolved and np.isnan(few.exponents).all() and few.orbits == 10
    one = saddle_exponent(some, points[left_at < 0][:1], 12, transient=0, tail=4)
    assert not one.resolved
    rate = escape_rate(left_at, 12)
    assert not kantz_grassberger(rate, few).resolved and np.isnan(kantz_grassberger(rate, few).dimension)

    class Leaves(Tent):  # expands ever less on its way out: what is seen at the end is not the saddle
        def step(self, x, t):
            return self(x)

        def jvp(self, x, V, t):
            return V * (3.0 if t < 6 else 1.5)

    assert not saddle_exponent(Leaves(2.5, 4.0), points[left_at < 0], 12, transient=0, tail=0).resolved


def test_lifetimes_count_from_the_start_and_keep_the_interrupted(monkeypatch):
    some = Tent(3.0, 3.0)
    found = lifetimes(some, np.array([[1.5], [0.5], [0.25], [0.0]]), some.inside, 30)
    assert found.tolist() == [0, 1, -1, -1]
    from trajlib.boundary import saddle

    monkeypatch.setattr(saddle, "ctrl_c_waits", lambda: __import__("contextlib").nullcontext([2]))
    with pytest.raises(tl.Interrupted, match="0 of 30 steps") as stopped:
        lifetimes(some, np.array([[1.5], [0.5]]), some.inside, 30)
    assert stopped.value.result.tolist() == [0, -1]


def test_training_is_such_a_map_too():
    net = tl.Perceptron(2, 2, 1, activation="tanh", loss="mean_squared_error", bias=False, scale="mean_field")
    task = tl.Task("made up", np.eye(2), np.array([1.0, -1.0]))
    gd = tl.GradientDescent(net, task, lr=60.0)
    points = net.init(500, seed=0)
    left_at = lifetimes(gd, points, lambda w: (gd.loss(w) > 0.1) & (gd.loss(w) < 1e6), 10)
    assert (left_at >= 0).any()
    assert (tl.train(gd, points, 10).loss[left_at == 0, 0] <= 0.1).all()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: lifetimes(Tent(3, 3), np.ones((3, 1)), lambda x: x, 5), ValueError, "a bool for each"),
        (lambda: lifetimes(Tent(3, 3), np.ones((3, 1)), Tent.inside, 0), ValueError, "steps"),
        (lambda: escape_rate(np.ones(3), 5), TypeError, "integers"),
        (lambda: escape_rate(np.array([7]), 5), ValueError, "from 0 to steps"),
        (lambda: saddle_exponent(Tent(3, 3), np.ones((0, 1)), 9, transient=0, tail=0), ValueError, "no orbit stays"),
        (lambda: saddle_exponent(Tent(3, 3), np.ones((2, 1)), 9, transient=3, tail=3), ValueError, "at least 4"),
        (lambda: kantz_grassberger(0.4, 1.1), TypeError, "escape_rate and saddle_exponent"),
    ],
)
def test_wrong_arguments(call, error, says):
    with pytest.raises(error, match=says):
        call()
