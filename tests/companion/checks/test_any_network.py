"""The checks on the edge of stability: with made-up runs each holds, fails, and says so where there is nothing to measure."""

import numpy as np
import pytest

from trajlib.companion.checks import any_network as checks
from trajlib.companion.edges import AlongEdge

RNG = np.random.default_rng(0)
NETWORKS, TIMES = 40, np.linspace(1, 1000, 21).astype(int)


def run(ratio, loss=None):
    """Networks with one course of the ratio (moments,), each with noise of a hundredth."""
    ratio = np.asarray(ratio) + 0.01 * RNG.standard_normal((NETWORKS, len(TIMES)))
    return AlongEdge(TIMES, ratio, np.tile(np.linspace(1, 0.1, len(TIMES)) if loss is None else loss, (NETWORKS, 1)))


EDGE = np.minimum(0.3 + TIMES / 300, 1.02)
STABLE = np.full(len(TIMES), 0.4)
FALLING = np.where(TIMES < 500, EDGE, 0.5)


def held(check):
    return [bool(condition) for condition in check.conditions.values()]


def untestable(check):
    return [hasattr(c, "testable") and not c.testable for c in check.conditions.values()]


@pytest.mark.parametrize(
    ("course", "want"), [(EDGE, [True, True]), (STABLE, [False, False]), (np.linspace(0.5, 0.8, 21), [False, True])]
)
def test_sharpening(course, want):
    assert held(checks.sharpens(run(course))) == want


def test_networks_that_begin_at_the_limit_say_nothing_on_sharpening():
    assert untestable(checks.sharpens(run(np.full(len(TIMES), 1.1)))) == [True, True]


@pytest.mark.parametrize(
    ("course", "loss", "want"),
    [
        (EDGE, None, [True, True, True]),
        (FALLING, None, [False, False, True]),
        (EDGE * 1.3, None, [False, True, True]),
        (np.minimum(EDGE, 0.95), None, [True, False, True]),
        (EDGE, np.linspace(0.1, 1, 21), [True, True, False]),
    ],
)
def test_hovering(course, loss, want):
    assert held(checks.hovers(run(course, loss))) == want


def test_networks_that_never_reach_the_limit_cannot_hover():
    assert untestable(checks.hovers(run(STABLE))) == [True, True, True]


@pytest.mark.parametrize(("late", "want"), [(1.0, [True, True]), (1 / 1.5, [False, False]), (1.3, [False, True])])
def test_limit_of_a_rule(late, want):
    """The limit of heavy ball at β = 0.5 is 1.5 times 2/lr."""
    check = checks.sits_at_limit({"heavy ball": run(np.full(len(TIMES), late))}, {"heavy ball": 1 / 1.5})
    assert held(check) == want


def test_a_run_that_has_overflowed_is_not_at_its_limit():
    made = run(EDGE)
    made.ratio[:, -3:] = np.nan
    assert held(checks.sits_at_limit({"heavy ball": made}, {"heavy ball": 1 / 1.5})) == [False, False]


@pytest.mark.parametrize(("course", "want"), [(FALLING, True), (EDGE, False)])
def test_falling_at_the_end(course, want):
    assert held(checks.falls_at_the_end({"iris": run(course)})) == [want]


def test_what_was_never_at_the_limit_cannot_fall():
    assert untestable(checks.falls_at_the_end({"iris": run(STABLE)})) == [True]
