"""Segments that shrink across a boundary: known answers first."""

import numpy as np
import pytest

from trajlib.boundary import shrinking_segments


def newton(points):
    """The root of z^3 = 1 that Newton's method finds: every boundary point is one of all three basins (Cayley's question, Wada)."""
    z = points[:, 0] + 1j * points[:, 1]
    for _ in range(200):
        z = z - (z**3 - 1) / (3 * z**2)
    return np.rint(np.angle(z) * 1.5 / np.pi).astype(int) % 3


def sectors(points):
    """Three sectors, which share one point only."""
    return ((np.arctan2(points[:, 1], points[:, 0]) + np.pi) * 1.5 / np.pi).astype(int)


def half_newton(points):
    """Newton's basins of two roots put together: fractal, but of two outcomes; and a third beside them, with a smooth boundary."""
    label = newton(points) > 0
    return np.where(points[:, 0] > 1.5, 2, label)


BOX = [-2.0, -2.0], [2.0, 2.0]
HOW = {"halvings": 30, "every": 10, "samples": 24, "seed": 0, "basins": (0, 1, 2)}


def test_newtons_basins_keep_all_three_on_short_segments():
    found = shrinking_segments(newton, *BOX, 200, **HOW)
    assert list(found.halved) == [0, 10, 20, 30]
    assert (found.three[1:] > 0.5).all()
    assert np.ptp(found.three[1:]) < 0.12  # the same at every length: self-similar
    np.testing.assert_array_equal(found.three, found.all_of_them)
    finer = shrinking_segments(newton, *BOX, 200, **HOW | {"samples": 200})
    assert (finer.three[1:] > found.three[1:]).all()  # what was missed was missed for want of points


@pytest.mark.parametrize("outcome", [sectors, half_newton])
def test_what_two_basins_share_holds_two_outcomes(outcome):
    found = shrinking_segments(outcome, *BOX, 200, **HOW)
    assert found.three[0] > 0.05
    assert (found.three[1:] < 0.02).all()


def test_a_basin_that_is_not_there_is_not_found():
    found = shrinking_segments(newton, *BOX, 50, **HOW | {"basins": (0, 1, 7)})
    assert (found.all_of_them == 0).all() and found.three[0] > 0
    assert np.isnan(shrinking_segments(newton, *BOX, 50, **HOW | {"basins": ()}).all_of_them).all()


def test_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="only 0 of 80 pairs"):
        shrinking_segments(lambda p: np.zeros(len(p), dtype=int), *BOX, 10, **HOW)
    with pytest.raises(ValueError, match="shorter than float64 can tell"):
        shrinking_segments(lambda p: (p[:, 0] > 1).astype(int), [0.0], [3.0], 10, **HOW | {"halvings": 80})
    with pytest.raises(ValueError, match="low must be below high"):
        shrinking_segments(newton, [1.0, 0.0], [0.0, 1.0], 10, **HOW)
