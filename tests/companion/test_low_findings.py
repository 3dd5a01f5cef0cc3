"""What the chapter on low learning rates says in words about its longer runs, against the committed arrays."""

import numpy as np

from trajlib.companion import findings


def test_really_late_no_eigenvalue_lies_above_one_and_a_handful_below():
    late = findings.load("low_late_spectrum")
    moments = late.manifest["settings"]["moments"]
    above, below = ((late[name] > 0).sum(axis=(0, 2)) for name in ("above", "below"))
    assert late.above[:, 0].size == 128
    assert dict(zip(moments, above, strict=True))[40_000] == 2
    assert list(above[-2:]) == [0, 0] and list(below[-2:]) == [128, 128]
    assert list(np.round(late.below.astype(float).mean(axis=(0, 2))[-4:])) == [12, 7, 4, 3]
    assert late.below[:, -3:].max() <= 10


def test_negative_curvature_fades_as_one_over_the_step_on_every_split():
    late = findings.load("low_late_spectrum")
    moments = np.array(late.manifest["settings"]["moments"])
    product = np.median(late.largest, axis=2)[:, 1:] * moments[1:]
    assert 0.3 < product.min() and product.max() < 1.5


def test_weights_grow_while_late_copies_keep_their_distance():
    late = findings.load("low_late_spectrum")
    norm, growth = late.norm.mean(axis=2), late.growth.mean(axis=2)
    per_decade = np.diff(norm[:, 3:]) / np.diff(np.log10(late.manifest["settings"]["moments"][3:]))
    assert (per_decade[:, 0] > 0).all() and (per_decade[:, -1] > per_decade[:, 0]).all()
    assert (growth[:, 2:] > 0.945).all() and (growth[:, 2:] < 0.985).all()
    assert (late.outwards[:, 2:] < 0).all()


def test_copies_made_at_the_start_drift_apart_for_200_000_steps():
    apart = findings.load("low_long_distance")
    medians = np.median(apart.growth, axis=(0, 1, 2))
    at = [int(np.abs(apart.times - t).argmin()) for t in (5_000, 19_000, 200_000)]
    np.testing.assert_allclose(medians[at], [1.6, 2.8, 4.3], atol=0.05)
    by_split = np.median(apart.growth[..., -1], axis=(1, 2))
    assert round(float(by_split.min()), 1) == 4.0 and round(float(by_split.max()), 1) == 5.1
    assert (apart.growth[..., -1] <= 1).sum() == 2 and apart.growth[..., -1].size == 384


def test_mnist_shows_the_signs_but_not_the_sizes():
    digits = findings.load("low_mnist")
    apart, late = digits.growth[..., -1].mean(axis=2), digits.late_growth[..., -1].mean(axis=2)
    assert (digits.rise < 0).all() and (apart > 1).sum() == 11 and apart.size == 12 and apart.max() < 1.09
    assert (late < 1).all() and (late > 0.995).all()
