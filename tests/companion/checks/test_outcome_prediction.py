"""The checks of the claims on predicting outcomes: on made-up data on which they hold, and on which each part of them fails."""

import numpy as np
import pytest

import trajlib as tl
from trajlib.companion.checks import outcome_prediction as checks

PAIRS = [(1, 2), (1, 3), (2, 3), (3, 4), (4, 5), (5, 6)]


def areas(value, cases=2, half=0.01):
    return np.stack([np.full(cases, value + d) for d in (0.0, -half, half)])


def failing(check):
    return {text for text, part in check.conditions.items() if part.testable and not part.holds}


def predicted(**other):
    found = {
        (what, a, t): areas({"0.015": 0.75, "1": 0.95}[t])
        for what in ("exponents", "growth")
        for a in ("tanh", "relu")
        for t in ("0.015", "1")
    }
    return found | {tuple(key.split("_")): value for key, value in other.items()}


def test_predict_loss():
    assert not failing(checks.predict_loss(predicted()))
    for what, words in (("exponents", "exponents"), ("growth", "growth rates of covariant vectors")):
        for a in ("tanh", "relu"):
            for t, limit in (("0.015", 0.7), ("1", 0.9)):
                low = predicted() | {(what, a, t): np.concatenate([areas(0.95), areas(limit - 0.05)], axis=1)}
                assert failing(checks.predict_loss(low)) == {f"{a}, {words}: AUC of {limit} at t = {t}"}


def test_without_a_case_nothing_is_said():
    none = predicted() | {
        (what, "tanh", t): np.empty((3, 0)) for what in ("exponents", "growth") for t in ("0.015", "1")
    }
    assert list(checks.predict_loss(none).conditions) == [
        t for t in checks.predict_loss(predicted()).conditions if t.startswith("relu")
    ]
    nothing = checks.predict_loss(dict.fromkeys(predicted(), np.empty((3, 0)))).conditions.values()
    assert not any(part.testable for part in nothing)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_failed_early(activation):
    made = {
        (what, a, t): areas(v)
        for what in ("one", "two")
        for a in ("tanh", "relu")
        for t, v in (("0.015", 0.75), ("0.25", 0.85))
    }
    assert not failing(checks.failed_early(made))
    guessing = made | {("two", activation, "0.015"): areas(0.45)}
    assert failing(checks.failed_early(guessing)) == {
        f"{activation}: every indicator is better than guessing at t = 0.015", f"{activation}: every indicator reaches an AUC of 0.7 there",
    }  # fmt: skip
    assert failing(checks.failed_early(made | {("one", activation, "0.25"): areas(0.75)})) == {
        f"{activation}: every indicator reaches an AUC of 0.8 at t = 0.25"
    }


def run(first=1.0, local=1.0, apart=1.0, tangent=0.5, networks=200):
    """Half of the networks fail; those have these exponents, and a tangency this much more often."""
    rng = np.random.default_rng(0)
    outcome = np.repeat([0, 2], networks // 2)
    failed = outcome == 2
    rates = np.sort(rng.normal(0.0, 0.1, (networks, 9)), axis=1)[:, ::-1] - 5.0 - np.arange(9)
    rates[failed] += apart
    rates[:, 0] = np.where(failed, local, local - 2 * apart + rng.normal(0, 0.1, networks))
    with_tangency = rng.random(networks) < 0.2 + tangent * failed
    return outcome, np.where(failed, first, -1.0), rates, outcome, with_tangency


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_high_loss_unstable(activation):
    made = {"tanh": run(), "relu": run()}
    assert not failing(checks.high_loss_unstable(made))
    words = {
        "first": "the first exponent of the whole run is positive in most failed runs",
        "local": "over the second half of the run a direction still grows in most failed runs",
        "apart": "in each direction failed runs are less stable there than good ones",
        "tangent": "more failed than good runs have a tangency (5 % more)",
    }
    for name, wrong in (("first", -0.1), ("local", -0.1), ("apart", -1.0), ("tangent", 0.0)):
        assert failing(checks.high_loss_unstable(made | {activation: run(**{name: wrong})})) == {
            f"{activation}: {words[name]}"
        }


def test_with_few_failed_runs_nothing_is_said():
    few = checks.high_loss_unstable({"tanh": run(networks=20), "relu": run()})
    assert len(few.conditions) == 4 and all(text.startswith("relu") for text in few.conditions)
    neither = checks.high_loss_unstable(dict.fromkeys(("tanh", "relu"), run(networks=20)))
    assert not any(part.testable for part in neither.conditions.values())


def test_a_rate_left_over_from_the_beginning_does_not_count():
    """Growth for the first tenth of the run, a plateau from then on: the mean is positive, the rate of the second half is not."""
    left_over = checks.high_loss_unstable({"tanh": run(first=0.4, local=0.0), "relu": run()})
    assert failing(left_over) == {"tanh: over the second half of the run a direction still grows in most failed runs"}


def single(best):
    return np.where(np.arange(9) == best - 1, 0.8, 0.6) * np.ones((2, 1))


def test_marginal_best():
    gaps = {
        (what, a, g): areas(0.1)
        for what in ("exponents", "growth")
        for a in ("tanh", "relu")
        for g in ("1-4", "3-6", "near 0")
    }
    alone = {"tanh": single(6), "relu": single(8)}
    assert not failing(checks.marginal_best(gaps, alone))
    for what, words in (("exponents", "exponents"), ("growth", "growth rates")):
        for a in ("tanh", "relu"):
            best = f"{a}: {words} 5 to 8 are the best group of four"
            assert failing(checks.marginal_best(gaps | {(what, a, "near 0"): areas(-0.1)}, alone)) == {best}
            behind = checks.marginal_best(gaps | {(what, a, "1-4"): areas(-0.1)}, alone)
            assert failing(behind) == {best, f"{a}: {words} 5 to 8 are ahead of 1 to 4"}
    assert failing(checks.marginal_best(gaps, alone | {"tanh": single(2)})) == {
        "tanh: the best single exponent is one of 5 to 8"
    }
    nothing = checks.marginal_best(gaps, alone | {"relu": np.empty((0, 9))})
    assert "relu: the best single exponent is one of 5 to 8" not in nothing.conditions


EVERY = "relu: every pair occurs (5 % of the networks or more)"


def test_tangent_pairs():
    closest, sure = np.full((40, 6), 0.05), np.ones((40, 6), dtype=bool)
    both = {"tanh": [(closest, sure)], "relu": [(closest, sure)]}
    assert not failing(checks.tangent_pairs(both, PAIRS, 0.1))
    apart, some = np.where(np.arange(6) == 4, 0.5, closest), sure & (np.arange(6) >= 4)
    assert failing(checks.tangent_pairs(both | {"relu": [(apart, sure)]}, PAIRS, 0.1)) == {EVERY}
    assert not failing(checks.tangent_pairs(both | {"relu": [(apart, sure), (closest, sure)]}, PAIRS, 0.1)), (
        "another window has it"
    )
    assert failing(checks.tangent_pairs(both | {"relu": [(apart, some)]}, PAIRS, 0.1)) == {EVERY}, (
        "one pair is enough to refute"
    )
    open_ = checks.tangent_pairs(both | {"relu": [(closest, some)]}, PAIRS, 0.1)
    assert not open_.conditions[EVERY].testable, "... and not to confirm"
    refuted = checks.tangent_pairs({"tanh": [(closest, some)], "relu": [(apart, sure)]}, PAIRS, 0.1)
    assert list(refuted.conditions) == [EVERY], "it is about both activations"


def test_all_nine_directions_can_be_unstable_at_one_step():
    """The output's bias is damped, so that one eigenvalue is below 1; but it may be below -1."""
    gd = tl.GradientDescent(
        tl.Perceptron(2, 2, 1, activation="tanh", loss="half_squared_error"), tl.plane("parabola"), lr=1e-3
    )
    w = np.array([0.1027, 0.0069, -0.1963, 0.8402, 0.1751, 1.6487, -39.127, 14.255, 0.2181])
    eigenvalues = np.linalg.eigvalsh(gd.jacobian(w))
    assert eigenvalues.min() < -1 and 1.003 < np.abs(eigenvalues).min() < 1.01
