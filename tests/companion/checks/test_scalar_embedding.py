"""The checks of the chapter on scalar embedding: each holds on one made-up data set, and each of its conditions fails on another."""

import numpy as np
import pytest

import trajlib as tl
from trajlib.companion.checks import scalar_embedding as checks

RNG = np.random.default_rng(0)
T = np.arange(201)


def held(check):
    return {text: condition.holds for text, condition in check.conditions.items()}


def only(check, text):
    """All conditions hold but this one."""
    return held(check) == {other: other != text for other in check.conditions}


WEIGHTS = np.array([np.ones(40), np.geomspace(1, 1e6, 40), np.full(40, 1e8)])


def growth(weights=WEIGHTS, line=WEIGHTS):
    return {"D": weights, "line": line}


def test_sensitivity():
    assert all(held(checks.sensitivity(growth(), growth())).values())
    everywhere, nowhere = WEIGHTS.copy(), WEIGHTS.copy()
    everywhere[0], nowhere[2] = 1e5, 2.0
    assert only(
        checks.sensitivity(growth(everywhere, everywhere)),
        "insensitive at the smallest learning rate (a tenth at most)",
    )
    assert only(checks.sensitivity(growth(nowhere, nowhere)), "sensitive at the largest (nine tenths at least)")
    deaf, alarmed, mixed = WEIGHTS.copy(), WEIGHTS.copy(), WEIGHTS.copy()
    deaf[1], alarmed[1] = WEIGHTS[1] ** 0.4, WEIGHTS[1] * 100
    assert only(
        checks.sensitivity(growth(line=deaf)), "at the transition: grown on the line where grown in the weights"
    )
    assert only(
        checks.sensitivity(growth(line=alarmed)), "at the transition: not grown on the line where not in the weights"
    )
    below = WEIGHTS[1] < 1e3
    mixed[1, below], mixed[1, ~below] = WEIGHTS[1, below][::-1], WEIGHTS[1, ~below][::-1]
    assert only(
        checks.sensitivity(growth(line=mixed)),
        "at the transition: the same order (rank correlation of growth above 0.8)",
    )
    assert only(
        checks.sensitivity(growth(), growth(line=alarmed)), "on MNIST at the transition: the line says the same"
    )


def test_a_single_sensitive_condition_makes_no_transition():
    """One of 40 at an otherwise quiet learning rate: its 39 trivial neighbours do not make the line look right."""
    odd = WEIGHTS.copy()
    odd[0, 0] = 1e5
    alarmed = odd.copy()
    alarmed[1] = WEIGHTS[1] * 100
    text = "at the transition: not grown on the line where not in the weights"
    assert (
        checks.sensitivity(growth(odd, alarmed)).conditions[text]
        == checks.sensitivity(growth(line=alarmed)).conditions[text]
    )


def test_learning_rates_where_all_are_alike_say_nothing_on_the_line():
    """800 trivial cells do not judge it: where there is no transition, there is nothing to measure."""
    flat = np.array([np.ones(40), np.full(40, 1e8)])
    check = checks.sensitivity(growth(flat, np.ones((2, 40)) * 1e8))
    assert not check.conditions["at the transition: grown on the line where grown in the weights"].testable


D = np.sort(RNG.uniform(0.2, 0.8, (4, 30)), axis=1)


def rates(ratio=1.0, line=None):
    return {"D": D, "line": D * ratio if line is None else line, "random": D}


def test_exponent():
    assert all(held(checks.exponent(rates(), rates())).values())
    noise = np.tile([0.8, 0.95, 1.0, 1.05, 1.2], (4, 6))
    order = "conditions in the right order (rank correlation above 0.8)"
    assert only(checks.exponent(rates(1.08)), "no bias (median of the ratio from 0.95 to 1.05)")
    check = held(checks.exponent(rates(noise)))
    assert not check["within 10 % for nine initial conditions in ten"] and check["typical error (median) at most 10 %"]
    assert not held(checks.exponent(rates(np.tile([0.8, 1.2], (4, 15)))))["typical error (median) at most 10 %"]
    assert not held(checks.exponent(rates(line=D[:, ::-1])))[order]
    big = held(checks.exponent(rates(), rates(1.2)))
    assert not any(holds for text, holds in big.items() if text.startswith("on MNIST"))
    assert all(holds for text, holds in big.items() if not text.startswith("on MNIST"))


def test_exponents_of_nothing_are_not_testable():
    nothing = {name: np.full((4, 30), np.nan) for name in ("D", "line", "random")}
    assert not any(condition.testable for condition in checks.exponent(nothing).conditions.values())


LINE = np.tile(np.geomspace(30, 120, 30), (4, 1))
LEARNT = np.repeat([[0.9], [0.9], [0.1], [0.1]], 30, axis=1)


def times(line=LINE, slope=LINE):
    return {"line": line, "slope": slope, "accuracy": LINE}


def test_characteristic_time():
    def given(*two):
        return checks.characteristic_time(times(*two), LEARNT)

    assert all(held(checks.characteristic_time(times(), LEARNT, (times(), LEARNT))).values())
    late, learnt, late_dead = LINE * 1.6, LINE.copy(), LINE.copy()
    learnt[:2], late_dead[2:] = late[:2], late[2:]
    assert only(given(learnt), "where networks learn: within a factor 1.5 in most")
    assert only(given(late_dead), "where networks are at chance: within a factor 1.5 in most")
    assert only(given(LINE, late), "by the slope rule too, where networks learn: within a factor 1.5 in most")
    apart = LINE[:, RNG.permutation(30)]
    vary = "where networks learn: they vary together (rank correlation above 0.5)"
    assert not held(given(apart))[vary]
    big = held(checks.characteristic_time(times(), LEARNT, (times(late[:, ::-1]), LEARNT)))
    assert not any(holds for text, holds in big.items() if text.startswith("on MNIST"))


def test_ranks_are_compared_within_learning_rates():
    """Times that only the learning rate sets agree over all rates, and within none."""
    level = np.array([[10.0], [100.0], [1000.0]])
    a, b = (level + RNG.uniform(0, 1, (3, 40)) for _ in range(2))
    assert abs(checks.rank_correlation(a, b, np.isfinite(a))) < 0.3
    assert checks.rank_correlation(a, a**2, np.isfinite(a)) == pytest.approx(1)
    assert np.isnan(checks.rank_correlation(a[:, :1], b[:, :1], np.isfinite(a[:, :1])))


def test_what_a_common_scale_gives_by_chance():
    close, wide = np.full(20, 30.0), np.geomspace(10, 1000, 20)
    assert checks.by_chance(close, close) == 1.0 and checks.by_chance(wide, wide) < 0.2
    assert np.isnan(checks.by_chance(close[:1], close[:1]))


def ends(shape=(3, 50, 6), power=None, law="normal"):
    """Coordinates that stand still at points of one law; with ``power``, each condition's gaps have a form of their own."""
    points = np.sort(RNG.standard_normal(shape) if law == "normal" else RNG.random(shape), axis=-1)
    gaps = (
        np.exp(RNG.standard_normal((*shape[:2], shape[2] - 1)) * power)
        if power is not None
        else np.diff(points, axis=-1)
    )
    points = np.concatenate([np.zeros((*shape[:2], 1)), np.cumsum(gaps, axis=-1)], axis=-1)
    return points[..., None] * np.ones(60)


ONE, OWN, LAW = (
    "one form at each learning rate (combined p at least 0.025)",
    "no condition keeps a form of its own (p at least 0.025)",
    "compatible with a skew lognormal (combined p at least 0.05)",
)


def test_spacings():
    assert all(held(checks.spacings(checks.gaps(ends((2, 40, 6), power=0.3), replicates=20))).values())
    own = checks.spacings(checks.gaps(ends(power=RNG.uniform(0.05, 3, (50, 1))), replicates=20))
    assert not held(own)[ONE] and not held(own)[OWN]  # what odd against even conditions do not see
    alike = checks.gaps(ends((2, 40, 6), power=0.3), replicates=20)
    study = "one form with 26 trajectories too (splits combined, p at least 0.025)"
    assert held(checks.spacings(alike._replace(study=(0.4, 0.2))))[study]
    assert not held(checks.spacings(alike._replace(study=(0.05, 0.05))))[study]  # each alone would pass
    at_each = checks.spacings(checks.gaps(ends(power=RNG.uniform(0.05, 3, (3, 50, 1))), replicates=20))
    assert not held(at_each)[ONE] and held(at_each)[OWN]


def test_a_law_of_two_scales_is_no_skew_lognormal():
    two = RNG.permuted(np.tile([0.01, 0.01, 1.0, 1.0, 1.0], (2, 60, 1)), axis=-1) * np.exp(
        0.1 * RNG.standard_normal((2, 60, 5))
    )
    z = np.concatenate([np.zeros((2, 60, 1)), np.cumsum(two, axis=-1)], axis=-1)[..., None] * np.ones(60)
    assert not held(checks.spacings(checks.gaps(z, replicates=20)))[LAW]


def test_no_sensitive_learning_rate_leaves_nothing_to_test():
    check = checks.spacings(checks.gaps(np.empty((0, 50, 6, 201))))
    assert not check.conditions[ONE].testable and ONE in check.conditions
    alone = checks.spacings(checks.gaps(ends((1, 50, 6)), replicates=20))
    assert OWN not in alone.conditions


def made_up(share=lambda t: 0.1 + 0 * t, rate=0.3):
    """Copies part at a rate, saturate at 1; the line sees a share of it. Accuracies are noise, common until half of the plateau."""
    d = np.minimum(1e-8 * np.exp(rate * T), 1.0) * np.linspace(0.5, 1.5, 5)[:, None] * np.ones((2, 8, 1, 1))
    half = int(np.argmax(d[0, 0].mean(axis=0) >= 0.5))
    noise = 0.5 + 0.1 * np.random.default_rng(1).standard_normal((2, 8, 6, 201))
    noise[..., 1:, :half] = noise[..., :1, :half]
    return {
        "z": noise, "line": d * share(T), "D": d, "random": 0.2 * d, "L1": 40 * d, "tangent": np.exp(rate * T) * np.ones((2, 8, 1)),
        "loss": np.concatenate([np.ones((2, 8, 1, 201)), 1 + d], axis=2), "accuracy": noise, "explained": np.ones((2, 8)),
    }, half  # fmt: skip


def test_exponents_and_clocks_of_growth_that_is_known():
    data, half = made_up()
    found = checks.exponents(data, rule="threshold")
    for name in ("D", "line", "random", "L1", "tangent", "loss"):
        np.testing.assert_allclose(found[name], 0.3, rtol=1e-6)
    clock = checks.clocks(data)
    assert (clock["line"] == half).all() and (clock["D"] == half).all()
    assert (np.abs(clock["accuracy"] - half) < 15).all()
    assert (checks.at_slope_clock(data) > 0.3).all()
    quiet = data | {"D": np.ones_like(data["D"])}
    assert all(np.isnan(values).all() for values in (*checks.exponents(quiet).values(), *checks.clocks(quiet).values()))


def test_a_share_that_rises_is_taken_for_growth():
    """The exponent on the line is that of D plus the slope of the logarithm of the share."""
    data, _ = made_up(share=lambda t: 0.01 * np.exp(0.02 * np.minimum(t, 150)))
    np.testing.assert_allclose(checks.exponents(data, rule="threshold")["line"], 0.32, rtol=1e-6)


def test_growths_and_designs_below_each_other():
    data, _ = made_up()
    found = checks.growths(data)
    np.testing.assert_allclose(found["D"], 1e8, rtol=1e-6)
    assert found["accuracy"] == pytest.approx(np.full((2, 8), 0.5), abs=0.1)
    more = checks.one_below_the_other([found, {name: of[:1, :3] for name, of in found.items()}])
    assert more["D"].shape == (3, 8) and np.isnan(more["D"][2, 3:]).all() and np.isfinite(more["D"][2, :3]).all()


def test_stored_runs():
    lrs, there, data = checks.of_sweep(tl.bundled_sweep("mnist/subset"), least=10)
    assert list(lrs) == [10, 20] and there == [0, 1, 2, 3, 4]
    assert data["line"].shape == data["D"].shape == (2, 5, 5, 201) and data["z"].shape == (2, 5, 6, 201)
    assert (data["line"] <= data["D"] * (1 + 1e-6)).all()
    assert (checks.growth(data["D"]) > 1e3).all()
    cell = tl.bundled_sweep("mnist/subset").load(initial=0, lr=10.0)
    del cell["tangent"]
    bare = {name: values[None, None] for name, values in checks.of_cell(cell).items()}
    found = checks.exponents(bare, rule="threshold")
    assert np.isnan(found["tangent"]).all() and np.isfinite(found["line"]).all()
