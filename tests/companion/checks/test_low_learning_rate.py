"""Each check of the chapter on low learning rates: made-up data on which it holds, and data on which each part of it fails."""

import numpy as np
import pytest

from trajlib.companion.checks import low_learning_rate as checks

RNG = np.random.default_rng(0)
TIMES = np.arange(0, 1001, 10)


def failing(check):
    return [text for text, condition in check.conditions.items() if not condition]


def only(check, words):
    found = failing(check)
    assert len(found) == 1 and words in found[0], found


def test_loss_decreases():
    loss = np.exp(-np.arange(50) / 20) * np.ones((30, 1))
    assert not failing(checks.loss_decreases(loss))
    loss[3, 20] += 0.1
    only(checks.loss_decreases(loss), "no step raises")


def wavy(rate, depth=0.3, n=20):
    return np.exp(rate * TIMES + depth * np.sin(TIMES / 100)) * np.ones((n, 1))


def test_distance_slow_growth():
    assert not failing(checks.distance_slow_growth(TIMES, wavy(1e-4)))
    only(checks.distance_slow_growth(TIMES, wavy(-5e-4)), "second half")
    only(checks.distance_slow_growth(TIMES, wavy(3e-3, depth=2.5)), "factor e")
    found = failing(checks.distance_slow_growth(TIMES, wavy(5e-4, depth=0.0)))
    assert [words in text for words, text in zip(("rises and falls", "straight"), found, strict=True)] == [True, True]


def copies(stretch, n=40, m=20):
    """Perturbations, their growth where a third of the directions is stretched, and that of six others."""
    vectors = RNG.uniform(-1, 1, (n, m, 83))
    anew = RNG.uniform(-1, 1, (n, 6, 83))
    axis = RNG.standard_normal((n, 83, 1))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)

    def grown(v):
        moved = v + (stretch - 1) * (v @ axis) * axis.swapaxes(1, 2)
        return np.abs(moved).sum(-1) / np.abs(v).sum(-1)

    return grown(vectors), vectors, grown(anew)


def test_copies_differ():
    growth, vectors, anew = copies(30.0)
    assert not failing(checks.copies_differ(growth, vectors, anew, 0))
    same, vectors, like = copies(1.5)
    only(checks.copies_differ(same, vectors, like, 0), "only turns")
    only(checks.copies_differ(growth**2, vectors, anew, 0), "random directions")


def test_a_map_that_only_turns_is_told_from_one_that_stretches():
    vectors = RNG.uniform(-1, 1, (200, 20, 83))
    limit = np.quantile(checks.isometry_spread(vectors, 0), 0.99)
    assert (checks.isometry_spread(vectors, 1) > limit).mean() < 0.05
    assert (checks.isometry_spread(vectors, 1, stretched=10.0) > limit).mean() > 0.9


def test_share_between_is_that_of_the_model():
    of_networks = RNG.normal(size=(3000, 1)) * np.sqrt(0.3)
    share, low, high = checks.variance_between(of_networks + RNG.normal(size=(3000, 10)) * np.sqrt(0.7))
    assert low < 0.3 < high and abs(share - 0.3) < 0.03


def test_no_ergodicity():
    own, noise = RNG.normal(size=(100, 1)), RNG.normal(size=(3, 100, 20))
    assert not failing(checks.no_ergodicity(own + 0.5 * noise))
    fading = own * np.array([1.0, 0.7, 0.4])[:, None, None] + 0.5 * noise
    only(checks.no_ergodicity(fading), "average out")
    assert "at least a tenth" in failing(checks.no_ergodicity(own * 0.1 + noise))[0]


def test_every_radius():
    radii = np.array([1e-14, 1e-8, 1e-2])
    tangent = RNG.uniform(1, 3, (50, 2))
    growth = np.array([tangent, tangent, tangent])
    assert not failing(checks.every_radius(radii, growth, tangent))
    only(checks.every_radius(radii, growth * np.array([1.0, 1.0, 0.7])[:, None, None], tangent), "largest radius")
    only(checks.every_radius(radii, growth * np.array([2.0, 1.0, 1.0])[:, None, None], tangent), "smallest radius")


def test_few_weights_matter():
    change = np.exp(RNG.normal(-4, 2.0, (100, 40)))
    assert not failing(checks.few_weights_matter(change))
    assert len(failing(checks.few_weights_matter(1 + RNG.uniform(0, 1, (100, 40))))) == 2


def test_no_neutral_drift():
    path = RNG.uniform(0.1, 1, (50, 83))
    assert not failing(checks.no_neutral_drift(path, 0.9 * path))
    back = 0.9 * path
    back[0, path[0].argmax()] = 0.001
    only(checks.no_neutral_drift(path, back), "no weight")
    only(checks.no_neutral_drift(path, path * RNG.uniform(0.2, 1, path.shape)), "proportional")


def late(drop, rate):
    """d(t)/d(0): a drop in the first hundred steps, and a rate from there on."""
    return np.exp(np.log(drop) * np.minimum(TIMES / 100, 1) + rate * np.maximum(TIMES - 100, 0)) * np.ones((20, 1))


@pytest.mark.parametrize(
    ("drop", "rate", "words"),
    [(0.95, 2e-4, "no rise"), (1.01, -1e-6, "first drop"), (0.3, -1e-3, "slowly"), (0.98, -1e-4, "exponentially")],
)
def test_late_distances_flat(drop, rate, words):
    assert not failing(checks.late_distances_flat(TIMES, late(0.95, -1e-5)))
    assert words in " ".join(failing(checks.late_distances_flat(TIMES, late(drop, rate))))


def spectrum(below, above, n=72):
    values = np.zeros((20, n))
    values[:, :below], values[:, n - above :] = -1e-2, 1e-3
    return values


def test_jacobian_near_identity():
    assert not failing(checks.jacobian_near_identity(spectrum(8, 0)))
    only(checks.jacobian_near_identity(spectrum(8, 1)), "none lies above")
    only(checks.jacobian_near_identity(spectrum(12, 0)), "handful")
    assert "more than half" in failing(checks.jacobian_near_identity(spectrum(40, 0)))[0]


def test_basins_outwards():
    norm, inwards, flat = np.ones((2, 20)) * [[1.0], [1.1]], -np.ones(20), np.full(20, 0.97)
    assert not failing(checks.basins_outwards(norm, inwards, flat))
    only(checks.basins_outwards(norm[::-1], inwards, flat), "still grow")
    only(checks.basins_outwards(norm, -inwards, flat), "along w")
    only(checks.basins_outwards(norm, inwards, 0.5 * flat), "keep their distance")


def test_saddles():
    both = np.stack([spectrum(8, 2)] * 3)
    gradient = np.ones((20, 1)) * np.array([1.0, 0.5, 0.8, 0.3])
    growth = {"both": np.full((20, 5), 1.5), "positive": np.full((20, 5), 0.9)}
    assert not failing(checks.saddles(both, gradient, growth))
    only(checks.saddles(np.stack([spectrum(8, 0)] * 3), gradient, growth), "all along")
    only(checks.saddles(both, np.sort(gradient)[:, ::-1], growth), "slow down")
    only(checks.saddles(both, gradient, growth | {"both": np.full((20, 5), 0.9)}), "with negative")
    only(checks.saddles(both, gradient, growth | {"positive": np.full((20, 5), 1.1)}), "without negative")


def test_nothing_to_measure_is_not_testable():
    nothing = np.full((20, 101), np.nan)
    for check in (
        checks.distance_slow_growth(TIMES, nothing),
        checks.late_distances_flat(TIMES, nothing),
        checks.copies_differ(nothing[:, :6], np.ones((20, 6, 83)), nothing[:, :6], 0),
        checks.no_ergodicity(np.full((3, 20, 6), np.nan)),
    ):
        assert not all(condition.testable for condition in check.conditions.values())
