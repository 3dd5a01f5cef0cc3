"""Distances and lengths: by hand, the time axis, what diverges, and what is refused."""

import numpy as np
import pytest

import trajlib as tl


def test_by_hand():
    w = np.array([[0.0, 1.0], [2.0, 1.0], [1.0, -1.0]])
    assert tl.displacement(w).tolist() == [1.0, 2.0] and tl.path_length(w).tolist() == [3.0, 2.0]
    assert tl.l1_distance(w, w[0]).tolist() == [0.0, 2.0, 3.0]
    for axis in (0, 1, 2, -1, np.int64(-3)):
        moved = np.moveaxis(np.broadcast_to(w, (4, 3, 2)), 1, axis)
        np.testing.assert_array_equal(tl.path_length(moved, axis=axis), np.broadcast_to([3.0, 2.0], (4, 2)))
    assert tl.displacement(w[:1]).tolist() == tl.path_length(w[:1]).tolist() == [0.0, 0.0]


def test_what_diverges_is_no_error_and_no_warning():
    w = np.array([[0.0, -1.7e308, 1.0], [np.inf, 1.7e308, np.nan]])
    for function in (tl.displacement, tl.path_length):
        np.testing.assert_array_equal(function(w), [np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(tl.l1_distance(w, w[0]), [0.0, np.nan])


@pytest.mark.parametrize("function", [tl.displacement, tl.path_length])
@pytest.mark.parametrize(
    ("weights", "axis", "error", "message"),
    [
        (None, -2, TypeError, "weights must be a numpy array of float64, got NoneType"),
        ([[1.0], [2.0]], -2, TypeError, "weights must be a numpy array of float64, got list"),
        (np.ones((3, 2), int), -2, TypeError, "weights must be float64, got int64"),
        (np.ones((3, 2), np.float32), -2, TypeError, "weights must be float64, got float32"),
        (np.ones(3), -2, ValueError, r"weights must have a time axis -2, say \(..., records, p\), got shape \(3,\)"),
        (np.ones((3, 2)), 2, ValueError, "weights must have a time axis 2"),
        (np.ones((3, 2)), 0.0, TypeError, "axis must be an integer, got 0.0"),
        (np.ones((3, 2)), True, TypeError, "axis must be an integer, got True"),
        (np.ones((0, 2)), -2, ValueError, "at least one recorded state"),
    ],
)
def test_weights_that_are_refused(function, weights, axis, error, message):
    with pytest.raises(error, match=message):
        function(weights, axis=axis)


def test_frames_are_told_how_to_convert():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(
        TypeError, match=r"a must be a numpy array of float64, got DataFrame; use np.asarray\(..., dtype=float\)"
    ):
        tl.l1_distance(pandas.DataFrame({"x": [1.0]}), np.ones((1, 1)))


@pytest.mark.parametrize(("a", "b"), [((3,), (4,)), ((2, 3), (4, 3)), ((), (3,)), ((3, 1), (3, 4))])
def test_states_that_do_not_fit_together(a, b):
    with pytest.raises(ValueError, match=r"a and b must have shapes \(..., p\) that broadcast, with the same p, got"):
        tl.l1_distance(np.ones(a), np.ones(b))
