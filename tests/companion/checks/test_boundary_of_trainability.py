"""The checks of the chapter on the boundary of trainability, on made-up data: each condition can hold and can fail."""

import numpy as np

from trajlib.boundary import UncertaintyExponent
from trajlib.companion.checks import boundary_of_trainability as checks


def made(dimension, error=0.01, smallest=1e-13, largest=1e-2):
    """An exponent that one has found; None where there is no boundary, nan where it is not resolved."""
    if dimension is None:
        return None
    none = np.zeros(0)
    return UncertaintyExponent(
        2 - dimension, error, dimension, smallest, largest, not np.isnan(dimension), 1000, none, none
    )


def held(check):
    return [bool(condition) for condition in check.conditions.values()]


SIX = [1.17, 1.4, 1.6, 1.8, 1.9, 1.98]


def test_fractal():
    assert held(checks.fractal([made(d) for d in SIX], SIX)) == [True, True, True, True]
    assert held(checks.fractal([made(1.0), *map(made, SIX[1:])], SIX)) == [True, False, True, False]
    assert held(checks.fractal([made(d) for d in SIX], [1.0, *SIX[1:]])) == [True, True, False, False]
    assert held(checks.fractal([made(d) for d in SIX], np.array(SIX) - 0.16)) == [True, True, False, False]
    assert held(checks.fractal([*[made(1.0)] * 3, *map(made, SIX[3:])], SIX))[:2] == [False, False]
    assert held(checks.fractal([made(d, error=0.1) for d in SIX], SIX)) == [True, False, True, True], "1.17 may be 1"


def test_what_is_not_resolved_is_not_called_fractal():
    for one in (None, made(np.nan)):
        check = checks.fractal([one, *map(made, SIX[1:])], SIX)
        assert held(check) == [True, False, True, True] and "not resolved" in check.measured
    nothing = checks.fractal([None] * 6, [np.nan] * 6)
    assert (
        held(nothing)[:3] == [False, False, False]
        and not nothing.conditions["the two estimates agree to 0.15"].testable
    )


NOWHERE = (np.array([1.0, 1e-11]), np.array([1.5, np.nan]))
THERE = (np.array([1.0, 1e-11]), np.array([1.5, 1.4]))


def reach(found, views=None):
    return held(checks.over_decades(found, views or [NOWHERE] * len(found)))


def test_over_decades():
    assert reach([made(d) for d in SIX]) == [True, True]
    assert reach([made(1.5, smallest=1e-12)] * 6) == [True, True], "just ten"
    assert reach([made(1.5, smallest=1e-11), made(1.5)]) == [True, False]
    assert reach([made(1.5, smallest=1e-11)] * 6) == [False, False]
    assert reach([made(1.0)] * 6) == [False, False], "a smooth curve is one over any range"
    assert reach([None, made(1.5)]) == [True, False]


def test_views_reach_as_far_as_all_of_them_are_fractal():
    assert reach([None, made(1.5)], [THERE, NOWHERE]) == [True, True]
    assert reach([None], [NOWHERE]) == [False, False]
    assert reach([None], [(np.array([1.0, 1e-11]), np.array([1.0, 1.4]))]) == [False, False]
    assert reach([None], [(np.array([1e-3, 1e-11]), np.array([1.5, 1.4]))]) == [False, False], "eight decades"


def test_range_of_dimensions():
    assert held(checks.range_of_dimensions([made(d) for d in SIX])) == [True, True, True, True]
    assert held(checks.range_of_dimensions([made(d) for d in (1.5, 1.6)])) == [True, True, False, False]
    assert held(checks.range_of_dimensions([made(d) for d in (1.0, 1.6)])) == [False, True, False, False]
    assert held(checks.range_of_dimensions([made(d) for d in (1.2, 2.05)])) == [True, False, True, False]
    assert held(checks.range_of_dimensions([None, *map(made, SIX)])) == [True, True, True, True]
    assert not all(c.testable for c in checks.range_of_dimensions([None] * 6).conditions.values())
    near = checks.range_of_dimensions([made(1.26, error=0.02), made(1.98)])
    assert not near.conditions["the smallest is near the paper's"].decided
