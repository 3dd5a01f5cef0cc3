"""The checks of the chapter on intermittency: each holds on one made-up data set, and each of its conditions fails on another."""

import numpy as np
import pytest

from trajlib.companion.checks import intermittency as checks


def held(check):
    return {text: condition.holds for text, condition in check.conditions.items()}


def only(check, text):
    """All conditions hold but this one."""
    return held(check) == {other: other != text for other in check.conditions}


MOVING = 2.0 + 0.5 * np.sin(np.arange(100.0))[None] * np.ones((20, 1))
FINITE = np.ones(20, dtype=bool)


def test_large_loss():
    assert all(held(checks.large_loss(MOVING, FINITE, 1.1)).values())
    assert only(checks.large_loss(MOVING, np.arange(20) > 0, 1.1), "no numerical divergence")
    assert only(checks.large_loss(MOVING - 1.5, FINITE, 1.1), "the loss is mostly large")
    assert only(checks.large_loss(np.full((20, 100), 2.0), FINITE, 1.1), "and mostly does not settle")


def test_networks_that_diverge_are_neither_large_nor_moving():
    check = checks.large_loss(np.full((20, 100), np.nan), ~FINITE, 1.1)
    assert not any(held(check).values())


WIDTHS = {1000: np.full(9, 1e-3), 9000: np.full(9, 1e-8)}
ONE_WAY, TURNS = np.ones(30, dtype=bool), np.full(30, 2)


def test_period_three():
    assert all(held(checks.period_three(WIDTHS, ONE_WAY, TURNS)).values())
    narrow, wide = WIDTHS | {1000: np.full(9, 1e-8)}, WIDTHS | {9000: np.full(9, 1e-3)}
    assert only(checks.period_three(narrow, ONE_WAY, TURNS), "the regions are at first wider than 1e-6")
    assert only(checks.period_three(wide, ONE_WAY, TURNS), "and in the end narrower")
    assert only(checks.period_three(WIDTHS, ~ONE_WAY, TURNS), "the regions drift")
    assert only(checks.period_three(WIDTHS, ONE_WAY, np.ones(30)), "and sometimes back again")
    assert not held(checks.period_three(WIDTHS, ONE_WAY, np.zeros(30)))["networks sometimes change between the two"]


def test_two_bands():
    yes, no = np.ones(30, dtype=bool), np.zeros(30, dtype=bool)
    assert all(held(checks.two_bands(yes, yes, yes)).values())
    assert only(checks.two_bands(no, yes, yes), "autocorrelation of the loss is significant")
    assert only(checks.two_bands(yes, no, yes), "the attractor has two bands")
    assert only(checks.two_bands(yes, yes, no), "and the loss shows them")


def test_local_exponents():
    def given(positive=0.2, irregular=0.3, shuffled=0.1):
        return checks.local_exponents(*(np.full(15, x) for x in (positive, irregular, 0.01, shuffled)))

    assert all(held(given()).values())
    assert only(given(irregular=0.03, shuffled=0.01), "some are significantly positive (5 % in irregular stretches)")
    assert only(given(positive=0.7), "many are not (more than half)")
    assert only(given(shuffled=0.4), "and more are than in the same losses in random order")


def test_few_weights():
    def given(moving=0.1, drift=0.01, coincide=0.99):
        return checks.few_weights(*(np.full(20, x) for x in (moving, drift, coincide)))

    assert all(held(given()).values())
    assert only(given(moving=0.5), "few (a quarter at most) move")
    assert only(given(drift=0.3), "the others are constant (range at most 5 % of theirs)")
    assert only(given(coincide=0.8), "switches coincide (95 % of stretches)")


NONE = np.zeros(0)


@pytest.mark.parametrize(
    "check",
    [
        checks.period_three({1000: NONE, 9000: NONE}, NONE, TURNS),
        checks.two_bands(NONE, NONE, NONE),
        checks.local_exponents(NONE, NONE, NONE, NONE),
        checks.few_weights(NONE, NONE, NONE),
    ],
)
def test_nothing_to_look_at(check):
    assert not all(condition.testable for condition in check.conditions.values())


def test_phase_changes():
    rng = np.random.default_rng(0)
    three, other = np.tile([1.0, 2.0, 3.0], 200), rng.uniform(1.0, 3.0, 600)
    loss = np.stack(
        [
            np.concatenate(parts)
            for parts in ([three, other, three], [other, other, other], [np.ones(600), other, three])
        ]
    )
    changes = checks.phase_changes(loss, since=300)
    assert changes[:, 0].tolist() == [0, 0, 2] and changes[:, 2].tolist() == [1, 0, 0]
    assert np.abs(changes[:, 1] - [600, 1200, 1200]).max() <= 10
    assert checks.phase_changes(loss, since=700)[:, 0].tolist() == [0, 2]
    assert checks.phase_changes(loss[1:2], since=0).shape == (0, 3)
