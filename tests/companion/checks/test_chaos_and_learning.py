"""The checks of the chapter on chaos and learning, on made-up data: each condition can hold and can fail, and each rival can win."""

import numpy as np
import pytest

from trajlib.companion import learned
from trajlib.companion.checks import chaos_and_learning as checks
from trajlib.series.learning import best_of

RNG = np.random.default_rng(0)
CELLS = 24


def held(check):
    return [bool(condition) for condition in check.conditions.values()]


def decided(check):
    return [condition.decided for condition in check.conditions.values()]


def untestable(check):
    return [not condition.testable for condition in check.conditions.values()]


def test_learns_while_chaotic():
    assert held(checks.learns_while_chaotic(np.array([3, 4, 1, 7]))) == [True]
    assert held(checks.learns_while_chaotic(np.array([3, 0, 0, 7]))) == [False]


GROUP = ["iris"] * 12 + ["wine"] * 12


@pytest.mark.parametrize(
    ("ratio", "want"),
    [(1.0, [True, True]), (1.15, [True, True]), (3.0, [False, True]), (0.4, [False, False])],
)
def test_minimum_at_onset(ratio, want):
    value = np.full(CELLS, ratio)
    check = checks.minimum_at_onset(value, value * 0.95, value * 1.05, GROUP)
    assert held(check) == want and decided(check) == [True, True]


def test_every_group_counts_and_wide_intervals_decide_nothing():
    value = np.where(np.array(GROUP) == "iris", 1.0, 0.3)
    assert held(checks.minimum_at_onset(value, value * 0.95, value * 1.05, GROUP)) == [False, False]
    wide = checks.minimum_at_onset(np.ones(CELLS), np.full(CELLS, 0.2), np.full(CELLS, 5.0), GROUP)
    assert held(wide) == [True, True] and decided(wide) == [False, False]
    nothing = np.where(np.array(GROUP) == "iris", 1.0, np.nan)
    assert untestable(checks.minimum_at_onset(nothing, nothing, nothing, GROUP)) == [True, True]


def predictions(winner):
    """Fastest rates that follow one of the three predictions up to 5 %; the others by a factor of up to three."""
    found = {name: np.exp(RNG.uniform(-2, 2, CELLS)) for name in ("chaos", "breaking", "sharpness")}
    fastest = 0.7 * found[winner] * np.exp(0.05 * RNG.standard_normal(CELLS))
    return checks.closeness(fastest, found)


@pytest.mark.parametrize(
    ("winner", "want"), [("chaos", [True, True]), ("breaking", [False, None]), ("sharpness", [None, False])]
)
def test_each_rival_can_win(winner, want):
    found = predictions(winner)
    check = checks.predicts_best(found)
    assert min(found.spread, key=found.spread.get) == winner and found.ratio[winner] == pytest.approx(0.7, rel=0.05)
    for holds, expected, sure in zip(held(check), want, decided(check), strict=True):
        assert expected is None or (holds == expected and sure)


def test_rivals_that_are_equally_close_are_not_decided_and_few_cells_cannot_be_tested():
    rates = np.exp(RNG.uniform(-2, 2, CELLS))
    noisy = {name: rates * np.exp(0.2 * RNG.standard_normal(CELLS)) for name in ("chaos", "breaking", "sharpness")}
    assert not all(decided(checks.predicts_best(checks.closeness(rates, noisy))))
    few = checks.closeness(rates[:2], {name: p[:2] for name, p in noisy.items()})
    assert untestable(checks.predicts_best(few)) == [True, True] and few.cells == 2


@pytest.mark.parametrize(("slope", "want"), [(-1.0, True), (-0.5, False), (-1.6, False)])
def test_time_goes_like_inverse_rate(slope, want):
    assert held(checks.time_goes_like_inverse_rate(slope + 0.05 * RNG.standard_normal(CELLS))) == [want]
    assert untestable(checks.time_goes_like_inverse_rate(np.full(CELLS, np.nan))) == [True]


@pytest.mark.parametrize(("tau", "want"), [(-0.2, True), (0.2, False)])
def test_more_chaotic_is_sooner(tau, want):
    check = checks.more_chaotic_is_sooner(tau + 0.1 * RNG.standard_normal(CELLS))
    assert held(check) == [want] and decided(check) == [True]


def times(least, n=200, best=5):
    """Times (rates, n) with their least median at rate number ``best``."""
    rates = np.arange(10)
    return np.round(least * (1 + np.abs(rates - best)[:, None]) * np.exp(0.3 * RNG.standard_normal((10, n)))).astype(
        int
    )


def test_least_time_ratio():
    plain = times(50)
    value, low, high = checks.least_time_ratio(plain, 2 * plain[::-1])
    assert low <= value <= high and value == pytest.approx(2, rel=0.02) and high - low < 0.1
    value, low, high = checks.least_time_ratio(plain, times(50, best=8))
    assert low < 1.0 < high
    value, low, high = checks.least_time_ratio(plain, np.full_like(plain, -1))
    assert np.isinf(value) and np.isinf(low)


@pytest.mark.parametrize("which", range(3))
def test_chaos_is_a_gain(which):
    slower, quicker = (1.5, 1.2, 1.8), (0.6, 0.5, 0.7)
    given = [slower] * 3
    assert held(checks.chaos_is_a_gain(*given)) == [True] * 3
    given[which] = quicker
    assert held(checks.chaos_is_a_gain(*given)) == [i != which for i in range(3)]
    given[which] = (1.1, 0.9, 1.3)
    assert decided(checks.chaos_is_a_gain(*given)) == [i != which for i in range(3)]


def test_copies_beat_luck():
    quick = np.full((100, 8), 60)
    quick[:, 0] = 10
    assert held(checks.copies_beat_luck(best_of(quick, 100, 4, draws=100))) == [True]
    same = np.repeat(RNG.geometric(0.05, (100, 1)), 8, axis=1)
    check = checks.copies_beat_luck(best_of(same, 1000, 4, draws=100))
    assert held(check) == [False] and decided(check) == [True]


@pytest.mark.parametrize(
    ("ordered", "decay", "cycle", "want"),
    [
        (0.2, 0.1, 0.15, [True, True, True]),
        (0.1, 0.2, 0.3, [False, False, True]),
        (0.2, 0.15, 0.1, [True, True, False]),
    ],
)
def test_schedules_exploit_chaos(ordered, decay, cycle, want):
    level = {"ordered": ordered, "chaotic then decay": decay, "one cycle": cycle}
    loss = {name: value + 0.02 * RNG.standard_normal(500) for name, value in level.items()}
    accuracy = {name: 1 - values for name, values in loss.items()}
    assert held(checks.schedules_exploit_chaos(loss, accuracy)) == want
    nothing = {name: np.full(500, np.nan) for name in level}
    assert untestable(checks.schedules_exploit_chaos(nothing, accuracy))[0]


RATES = 10.0 ** (np.arange(-20, 21) / 20)


def cell(onset, fastest, breaking, edge, n=40):
    """Arrays of a cell whose times go like 1 / lr up to ``fastest`` and rise from there to ``breaking``."""
    time = np.where(RATES <= fastest, 30 / RATES, 30 / fastest * (RATES / fastest) ** 2)[:, None] * np.ones(n)
    time = np.where(RATES[:, None] >= breaking, -1, np.round(time * np.exp(0.02 * RNG.standard_normal(n))))
    exponent = np.where(RATES[:, None] >= onset, 0.1, 0.001 * RATES[:, None]) * np.ones(n)
    sharpness = np.full((len(RATES), 10, 3), 2 / edge)
    kept = np.packbits(np.repeat(RATES[:, None] >= 2 * onset, 20, axis=1), axis=1)
    arrays = {
        "rates": RATES, "networks": np.full(len(RATES), n), "steps": 1019, "time_90": time.astype(np.int16),
        "exponent": exponent.astype(np.float16), "sharpness": sharpness.astype(np.float16), "fitted_kept": kept,
    }  # fmt: skip
    return as_cell(arrays)


def as_cell(arrays):
    return learned.as_cell(arrays, "iris", (10,), "tanh", fitted=20)


def test_summary_of_a_cell_with_known_answers():
    arrays = cell(onset=1.0, fastest=RATES[20], breaking=RATES[32], edge=RATES[12])
    found = learned.summary(arrays, draws=100)
    assert found.onset.above == RATES[20] and found.fastest.first == RATES[20] and found.breaking.above == RATES[32]
    assert found.ratio.lower <= 1 <= found.ratio.upper and found.sign.below == 0
    assert found.fitted.above == pytest.approx(RATES[27]) and found.unstable.above in (RATES[12], RATES[13])
    assert found.overlap.tolist() == [(1.0 <= r < RATES[32]) for r in RATES]
    # rates so low that nobody gets there in time: training does not break there
    slow = arrays | {"time_90": np.where(np.arange(len(RATES))[:, None] < 4, -1, arrays["time_90"])}
    assert learned.summary(as_cell(slow), draws=0).breaking.above == RATES[32]
    assert learned.words(found) == "iris 10 tanh"
    assert found.slope == pytest.approx(-1, abs=0.03) and found.least == pytest.approx(30, abs=1)


def test_summary_takes_all_networks_from_the_fine_rates_and_breaking_from_all():
    arrays = cell(onset=1.0, fastest=RATES[20], breaking=RATES[38], edge=RATES[12])
    coarse = np.abs(np.arange(-20, 21)) > 8
    arrays["networks"] = np.where(coarse, 10, 40)
    arrays["time_90"][coarse, 10:], arrays["exponent"][coarse, 10:] = -2, np.nan
    found = learned.summary(arrays, draws=50)
    assert len(found.onset.rates) == 17 and found.onset.above == RATES[20] and found.breaking.above == RATES[38]


def test_more_chaotic_networks_that_learn_sooner_are_seen():
    exponent = RNG.uniform(0, 1, 100)
    time = np.round(100 - 50 * exponent + 5 * RNG.standard_normal(100)).astype(int)
    assert learned.association(exponent, time) < -0.7 and learned.association(exponent, time[::-1].copy()) > -0.4
    assert np.isnan(learned.association(exponent, np.full(100, 7)))
