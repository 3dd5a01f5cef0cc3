"""Box counting on sets whose dimension is known; what has none, or none that a picture shows."""

import known_sets as known
import numpy as np
import pytest

import trajlib as tl
from trajlib.boundary import edges

SETS = {
    "line": (lambda: edges(known.plane(1024, 0, 1).real > 0.3 * known.plane(1024, 0, 1).imag + 0.1), 1.0),
    "circle": (lambda: edges(np.abs(known.plane(1024, 0, 1)) < 0.4), 1.0),
    "Koch": (lambda: known.koch(1024), np.log(4) / np.log(3)),
    "carpet": (lambda: known.carpet(6), np.log(8) / np.log(3)),
    # C. T. McMullen, American Journal of Mathematics 120 (1998) 691: 1.3934
    "rabbit": (lambda: edges(known.julia(1024, known.RABBIT)), 1.3934),
    "cloud": (lambda: known.cloud(1024, 0.5), 2.0),
}


@pytest.mark.parametrize("name", SETS)
def test_known_dimension(name):
    make, dimension = SETS[name]
    found = tl.box_counting_dimension(make())
    assert found.resolved and found.largest / found.smallest >= 8
    assert abs(found.dimension - dimension) <= max(2.5 * found.standard_error, 1e-6)
    assert found.standard_error < 0.04


def test_sizes_that_fit_the_carpet_give_it_exactly():
    found = tl.box_counting_dimension(known.carpet(6), sizes=[1, 3, 9, 27, 81], shifts=1)
    assert found.count.tolist() == [8**n for n in (6, 5, 4, 3, 2)]
    assert abs(found.dimension - np.log(8) / np.log(3)) < 1e-12


def test_a_rasterised_line_at_any_slope():
    for slope in (0.0, 0.05, 0.37, 0.7):
        found = tl.box_counting_dimension(known.line(1024, slope))
        assert found.resolved and abs(found.dimension - 1) < 0.06


def test_a_thin_cloud_has_no_dimension():
    """Its points are single ones where boxes are small, and everywhere where they are large."""
    for share in (1e-2, 1e-3):
        found = tl.box_counting_dimension(known.cloud(1024, share))
        assert not found.resolved and np.isnan([found.dimension, found.standard_error, found.smallest]).all()


def test_what_a_picture_of_mandelbrots_set_does_not_show():
    """The dimension of its boundary is 2 (M. Shishikura, 1998). Boxes of a picture give about 1.15, and no error of theirs tells: they come
    near 2 only at scales that no picture has. A box-counting dimension is one of the sizes that are given beside it."""
    found = tl.box_counting_dimension(edges(known.mandelbrot(1024, 200)))
    assert found.resolved and 1.05 < found.dimension < 1.3


def test_empty_small_and_curved_pictures_have_none():
    assert not tl.box_counting_dimension(np.zeros((512, 512), dtype=bool)).resolved
    assert not tl.box_counting_dimension(np.ones((64, 64), dtype=bool)).resolved
    assert tl.box_counting_dimension(np.ones((512, 512), dtype=bool)).dimension == pytest.approx(2.0)
    bent = np.ones((1, 1), dtype=bool)
    for kept in (4, 4, 3, 3, 2, 2, 1, 1):  # of the quarters of each square: the slope changes from 2 to 0
        bent = np.kron(bent, np.arange(4).reshape(2, 2) < kept)
    assert not tl.box_counting_dimension(bent, sizes=2 ** np.arange(8), shifts=1).resolved


def test_edges_are_where_outcomes_differ():
    outcome = np.zeros((5, 6), dtype=np.int8)
    outcome[2:, 3:] = -1
    found = edges(outcome)
    assert found.shape == (4, 5)
    assert np.argwhere(found).tolist() == [[1, 2], [1, 3], [1, 4], [2, 2], [3, 2]]
    assert not edges(np.ones((3, 3), dtype=bool)).any()
    assert edges(np.eye(3, dtype=bool)).all()


@pytest.mark.parametrize(
    ("mask", "options", "error"),
    [
        (np.zeros((8, 8)), {}, TypeError),
        (np.zeros((8, 8), dtype=int), {}, TypeError),
        (np.zeros(8, dtype=bool), {}, ValueError),
        (np.zeros((8, 8), dtype=bool), {"sizes": [4, 2]}, ValueError),
        (np.zeros((8, 8), dtype=bool), {"sizes": [1, 16]}, ValueError),
        (np.zeros((8, 8), dtype=bool), {"sizes": [0.5, 1]}, ValueError),
        (np.zeros((8, 8), dtype=bool), {"shifts": 0}, ValueError),
    ],
)
def test_wrong_arguments(mask, options, error):
    with pytest.raises(error):
        tl.box_counting_dimension(mask, **options)
    with pytest.raises(ValueError, match="2 x 2"):
        edges(np.zeros((1, 5), dtype=bool))
