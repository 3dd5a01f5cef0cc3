"""The checks of the chapter on diagonal networks: each holds on one made-up data set, and each of its conditions fails on another."""

import numpy as np

from trajlib.companion.checks import diagonal_networks as checks


def held(check):
    return {text: condition.holds for text, condition in check.conditions.items()}


def only(check, *texts):
    """All conditions hold but these."""
    return held(check) == {other: other not in texts for other in check.conditions}


MOST, COMMON = (
    "most points within two standard errors (80 %; chance alone 94 %)",
    "no deviation common to all settings beyond 5 %",
)


def curves(off=0.0, noise=1.0, error=0.02, settings=10, seed=0):
    """Networks at the theory, but for an error common to all points, and noise that the points of a setting share in part."""
    rng = np.random.default_rng(seed)
    theory = np.exp(-np.arange(1.0, 5.0)) * np.ones((settings, 2, 1))
    shared = np.sqrt(0.7) * rng.standard_normal((settings, 1, 1)) + np.sqrt(0.3) * rng.standard_normal(theory.shape)
    return checks.Curves(theory, 0 * theory, theory * (1 + off + noise * error * shared), error * theory)


def test_agreement():
    assert all(held(checks.agreement(curves(), 24)).values())
    assert only(checks.agreement(curves(noise=3.0, error=0.005), 24), MOST)
    assert only(checks.agreement(curves(off=0.07, error=0.06), 24), COMMON)
    assert not any(held(checks.agreement(curves(off=0.07, error=0.01), 24)).values())


def test_points_that_are_not_compared():
    some = curves()
    some.networks[:, 1, 2:] = np.nan
    assert all(held(checks.agreement(some, 24)).values())


def test_power_of_agreement():
    """A theory that is 10 % off is found with errors of 2 to 5 %, nearly always; a true one passes nearly always."""
    for error in (0.02, 0.05):
        passed = [
            [all(held(checks.agreement(curves(off, error=error, seed=seed), 24)).values()) for seed in range(100)]
            for off in (0.0, 0.1)
        ]
        assert np.mean(passed[0]) > 0.85 and np.mean(passed[1]) < 0.05


def test_agreement_knows_when_it_cannot_say():
    """With errors of a fifth no deviation of 5 % can be excluded."""
    check = checks.agreement(curves(error=0.2), 24)
    assert not check.conditions[COMMON].decided and checks.agreement(curves(error=0.01), 24).conditions[COMMON].decided


SCALES, EXPECTED = np.array([1e-4, 0.1, 1.0]), np.array([0.04, 0.08, 0.4])


def ends(theory=(0.034, 0.08, 0.51), limits=(0.033, 0.51), factor=1.0, spread=0.1):
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((200, 1))
    networks = EXPECTED * factor * (1 + spread * (noise - noise.mean()))
    return checks.fixed_points(np.array(theory), limits, SCALES, EXPECTED, networks)


def test_fixed_points():
    assert all(held(ends()).values())
    assert only(ends(theory=(0.034, 0.52, 0.51)), "theory: the risk rises with α (largest fall, relative)")
    assert only(ends(theory=(0.034, 0.08, 0.45)), "theory: large α reaches the minimum norm (1 %)")
    assert only(ends(theory=(0.04, 0.08, 0.51)), "theory: small α approaches basis pursuit (10 % at 1e-8)")
    assert only(ends(factor=1.11, spread=0.46), "networks end there, on average over the scales (10 %)")
    at_one = ends(factor=np.array([1.05, 1.0, 1.0]))
    assert only(at_one, "and at each scale (3.5 standard errors)")
    level = ends(factor=np.array([2.05, 0.9, 0.9]), spread=0.0)
    assert not held(level)["networks: the risk falls from α = 0.1 to the smallest"]


RISKS, RATES = np.array([0.03, 0.1, 0.3, 0.5]), np.array([1e-3, 1e-2, 0.1, 1.0])
FINAL = np.stack([np.stack([RISKS, 0.01 * RISKS], axis=1), np.stack([RATES, 0.01 * RATES], axis=1)], axis=1)
RATIO = np.array([[1.0, 0.02]] * 4)


def test_rate_tradeoff():
    assert all(held(checks.rate_tradeoff(RISKS, RATES, FINAL, RATIO)).values())
    theory = checks.rate_tradeoff(RISKS[[0, 2, 1, 3]], RATES, FINAL, RATIO)
    assert only(theory, "theory: from one α to the next, risk and rate rise together")
    networks = checks.rate_tradeoff(RISKS, RATES, FINAL[[0, 2, 1, 3]], RATIO)
    assert only(networks, "networks: the same (least rise, in 95 % intervals)")
    slow = checks.rate_tradeoff(RISKS, RATES, FINAL, RATIO * [[1], [1], [1], [1.3]])
    assert only(slow, "networks decay at the rate of the theory (15 %)")


SIZES = np.array([3.0, 2.0, 1.0])


def scales(lazy=(0.1, 10.0, 0.5, 0.5), late=1.0, longer=1.0, wider=1.0, order=(0, 1, 2), rise=0.1):
    predicted = {a: np.log(2 * SIZES / a**2) / SIZES for a in (1e-2, 1e-4)}
    jitter = 1 + 0.01 * np.random.default_rng(0).standard_normal((16, 3))
    waits = {}
    for a, stretch, width in ((1e-2, 1.0, 1.0), (1e-4, longer, wider)):
        half = predicted[a] * late * stretch * jitter
        up = rise * predicted[1e-2] * width
        waits[a] = np.stack([half - up, half, half + up])[:, :, list(order)]
    if order != (0, 1, 2):
        predicted = {a: p[list(order)] for a, p in predicted.items()}
    return checks.time_scales(lazy, SIZES, waits, predicted)


def test_time_scales():
    assert all(held(scales()).values())
    assert only(scales(lazy=(1.0, 5.0, 0.5, 0.5)), "large: fits long before it generalises (ten times)")
    assert only(scales(lazy=(0.1, 10.0, 0.6, 0.5)), "large: in between, the risk of the linear model (5 %)")
    assert only(scales(late=1.2), "small: the search lasts as predicted (15 %)")
    assert only(scales(longer=1.13), "small: it grows as the logarithm of the scale (10 %)")
    assert only(scales(wider=1.3), "small: the descent does not depend on the scale (15 %)")
    assert only(scales(order=(2, 1, 0)), "small: larger coordinates first")
    assert only(scales(rise=1.5), "small: mostly one at a time, for α small enough")


def test_real_data():
    names = {
        "Gaussian": "Gaussian inputs follow the theory (10 %)",
        "Gaussian, correlated": "correlated Gaussian inputs follow that of their covariance (10 %)",
        "real": "real inputs follow that of their covariance (10 %)",
    }
    fine = {name: (np.full(5, 0.01), np.full(5, 0.02)) for name in names}
    assert all(held(checks.real_data(fine)).values())
    for name, text in names.items():
        assert only(checks.real_data(fine | {name: (np.full(5, -0.3), np.full(5, 0.02))}), text)


def test_nothing_to_look_at():
    none = np.zeros((0, 2, 4))
    empty = [
        checks.agreement(checks.Curves(none, none, none, none), 24),
        checks.fixed_points(RISKS, (0.03, 0.5), SCALES, EXPECTED, np.zeros((0, 3))),
        checks.real_data({name: (np.zeros(0), np.zeros(0)) for name in ("Gaussian", "Gaussian, correlated", "real")}),
    ]
    assert all(any(not condition.testable for condition in check.conditions.values()) for check in empty)
