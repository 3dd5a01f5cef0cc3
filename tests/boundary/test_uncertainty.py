"""The uncertainty exponent where the boundary's dimension is known, down to the last digits of float64; its error against its scatter."""

import known_sets as known
import numpy as np
import pytest
from known_saddles import Horseshoe, Tent

import trajlib as tl
from trajlib.boundary import lifetimes

CANTOR = np.log(2) / np.log(3)


def tent(points, a=3.0, b=3.0, steps=60):
    """Whether x leaves after an even number of steps: what divides the two is Cantor's set."""
    some = Tent(a, b)
    return lifetimes(some, np.ascontiguousarray(points[:, :1]), some.inside, steps) % 2


def uniform(n, d, seed):
    return np.random.default_rng(seed).random((n, d))


def test_cantors_set_over_twelve_decades():
    found = tl.uncertainty_exponent(tent, uniform(300_000, 1, 0), 10.0 ** np.arange(-14, -1.0), seed=1)
    assert found.resolved and found.smallest <= 1e-11 and found.largest >= 1e-2
    assert abs(found.dimension - CANTOR) < 2.5 * found.standard_error < 0.02
    assert found.exponent == 1 - found.dimension


def test_it_is_the_same_beside_a_large_number_as_far_as_digits_go():
    """At 1e-14 around 0; around 1000 these distances are lost, and it says so."""
    scales = 10.0 ** np.arange(-14, -9.0)
    points = (uniform(100_000, 1, 2) - 0.5) * 1e-9
    found = tl.uncertainty_exponent(lambda p: p[:, 0] > 0, points, np.geomspace(1e-12, 1e-10, 5), seed=0)
    assert found.resolved and abs(found.exponent - 1) < 0.1
    with pytest.raises(ValueError, match="lost in rounding"):
        tl.uncertainty_exponent(lambda p: p[:, 0] > 0, points + 1000.0, scales, seed=0)


def test_cantors_set_times_a_line_and_a_smooth_boundary():
    scales = np.geomspace(1e-6, 1e-2, 9)
    found = tl.uncertainty_exponent(tent, uniform(100_000, 2, 0), scales, seed=0)
    assert found.resolved and abs(found.dimension - (1 + CANTOR)) < 3 * found.standard_error < 0.05
    found = tl.uncertainty_exponent(
        lambda p: ((p - 0.5) ** 2).sum(axis=1) < 0.1, uniform(300_000, 2, 0), np.geomspace(1e-4, 1e-1, 7), seed=0
    )
    assert found.resolved and abs(found.dimension - 1) < 3 * found.standard_error < 0.06


def test_douadys_rabbit():
    """Dimension 1.3934: C. T. McMullen, American Journal of Mathematics 120 (1998) 691."""
    points = (uniform(150_000, 2, 0) - 0.5) * 2.8
    found = tl.uncertainty_exponent(
        lambda p: known.stays(p[:, 0] + 1j * p[:, 1], np.array(known.RABBIT), 200),
        points,
        np.geomspace(1e-4, 0.1, 7),
        3,
    )
    assert found.resolved and abs(found.dimension - 1.3934) < 2.5 * found.standard_error < 0.05


def test_henons_horseshoe():
    """What divides the orbits by the step at which they leave has the dimension that the cycles give."""
    henon = Horseshoe(4.2, 0.3)
    found = tl.uncertainty_exponent(
        lambda p: lifetimes(henon, p, henon.inside, 30) % 2, henon.sprinkle(200_000, 4), np.geomspace(1e-7, 1e-2, 11), 0
    )
    assert found.resolved and abs(found.dimension - (1 + henon.known(6)[2])) < 2.5 * found.standard_error < 0.04


def test_errors_cover_the_scatter():
    """Of 40 draws, the true exponent is within two standard errors in at least 34 (in 38 on average, were they exact)."""
    inside, scatter = 0, []
    for seed in range(40):
        found = tl.uncertainty_exponent(tent, uniform(20_000, 1, seed), np.geomspace(1e-7, 1e-2, 11), seed=seed)
        assert found.resolved
        inside += abs(found.dimension - CANTOR) < 2 * found.standard_error
        scatter.append(found.dimension)
    assert inside >= 34
    assert abs(np.mean(scatter) - CANTOR) < 0.005


def test_what_has_no_power_law_has_no_exponent():
    few = tl.uncertainty_exponent(lambda p: p[:, 0] > 0.5, uniform(100, 2, 0), np.geomspace(1e-4, 1e-1, 7), seed=0)
    assert not few.resolved and np.isnan([few.exponent, few.standard_error, few.dimension, few.smallest]).all()
    narrow = tl.uncertainty_exponent(tent, uniform(50_000, 1, 0), np.geomspace(1e-3, 1e-2, 5), seed=0)
    assert not narrow.resolved, "one decade"

    def stripes(p):  # smooth below their width, a coin above it
        return np.floor(p[:, 0] * 1000).astype(int) % 2

    bent = tl.uncertainty_exponent(stripes, uniform(50_000, 1, 0), np.geomspace(1e-4, 1e-2, 9), seed=0)
    assert not bent.resolved
    never = tl.uncertainty_exponent(lambda p: np.zeros(len(p), dtype=int), uniform(50, 2, 0), np.array([0.1]), seed=0)
    assert not never.resolved and never.uncertain.tolist() == [0.0]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"points": np.zeros(3)}, ValueError, "one point a row"),
        ({"points": np.zeros((3, 2), dtype=int)}, TypeError, "float64"),
        ({"scales": [0.0, 0.1]}, ValueError, "positive distances"),
        ({"scales": [0.1, 0.1]}, ValueError, "different"),
        ({"outcome": lambda p: p[:, 0]}, ValueError, "integer or bool"),
        ({"outcome": lambda p: np.array(True)}, ValueError, "integer or bool"),
        ({"seed": -1}, ValueError, "seed"),
    ],
)
def test_wrong_arguments(change, error, says):
    given = {"outcome": lambda p: p[:, 0] > 0, "points": np.ones((4, 2)), "scales": [0.1], "seed": 0}
    with pytest.raises(error, match=says):
        tl.uncertainty_exponent(**given | change)
