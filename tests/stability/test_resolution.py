"""What is not resolved says so, and never returns a number by accident; what has not aligned is not called converged."""

import types

import numpy as np
import pytest

import trajlib as tl
from trajlib.dynamics.reference import LinearMap, LogisticMap
from trajlib.engines import RESOLVED
from trajlib.engines.generic.called import logarithms

CAT = LinearMap(np.array([[2.0, 1.0], [1.0, 1.0]]))
GOLDEN = np.log((3 + np.sqrt(5)) / 2)
ONE = np.ones((1, 2))


def test_the_rule():
    rows = np.array(
        [
            [1.0, 1e-12],
            [1.0, 0.9e-13],
            [1.0, 0.0],
            [1e-200, 1e-250],
            [1e-301, 1e-302],
            [np.nan, 1.0],
            [1e-14, 1.0],
            [-2.0, -1.0],
        ]
    )
    want = [
        [0, np.log(1e-12)],
        [0, np.nan],
        [0, -np.inf],
        [np.log(1e-200), np.nan],
        [-np.inf, -np.inf],
        [np.nan, 0],
        [np.nan, 0],
        [np.log(2), 0],
    ]
    for row, expected in zip(rows, want, strict=True):
        np.testing.assert_allclose(logarithms(row[None])[0], expected, rtol=1e-12)
    np.testing.assert_allclose(logarithms(rows), want, rtol=1e-12)


@pytest.mark.parametrize("interval", [1, 2, 5, 12, 14, 16, 20, 40, 100])
def test_an_interval_that_is_too_long_is_no_number(interval):
    """The second direction falls by 2.618**-2 a step beside the first: below 1e-13 after 15.5 steps."""
    spectrum = tl.lyapunov_spectrum(CAT, ONE, 4000, transient=200, interval=interval)
    assert spectrum.exponents[0, 0] == pytest.approx(GOLDEN, abs=1e-9)
    if 2 * interval * GOLDEN < -np.log(RESOLVED):
        assert spectrum.resolved.all() and spectrum.converged.all()
        assert spectrum.exponents[0, 1] == pytest.approx(-GOLDEN, abs=1e-3 if interval > 8 else 1e-7)
    else:
        assert spectrum.resolved.tolist() == [[True, False]] and not spectrum.converged.any()
        assert np.isnan(spectrum.exponents[0, 1]) and np.isnan(spectrum.kaplan_yorke).all()


ENGINES = ["cpu", "torch", "generic"]


@pytest.mark.parametrize("engine", ENGINES)
def test_all_engines_have_the_rule(engine):
    """Stiff training: half squared error with inputs of very different size, so that one step takes directions apart by 1e20."""
    if engine == "torch":
        pytest.importorskip("torch")
    net = tl.Perceptron(1, 2, 1, activation="tanh", loss="half_squared_error")
    task = tl.Task("stiff", x=np.array([[0.3], [-0.2], [0.5]]), y=np.array([1.0, 2.0, -1.0]))
    gd = tl.GradientDescent(net, task, lr=1e6, weight_decay=0.0)
    w0 = np.full((2, 7), 1e-3) * np.arange(1, 8)
    spectrum = tl.lyapunov_spectrum(gd, w0, 8, blocks=4, interval=2, engine=engine)
    assert not spectrum.resolved.all() and not spectrum.converged.any()
    assert (
        np.isnan(spectrum.exponents[~spectrum.resolved]).all()
        and not np.isnan(spectrum.exponents[spectrum.resolved]).any()
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_with_a_long_interval(engine):
    """2-2-1, tanh: at interval 300 two of its exponents came out as -.123 and -.125 in place of -.471 and -1.169."""
    if engine == "torch":
        pytest.importorskip("torch")
    net = tl.Perceptron(2, 2, 1, activation="tanh", loss="half_squared_error")
    gd, w0 = tl.GradientDescent(net, tl.plane(), lr=0.01), net.init(3, seed=0)

    def spectrum(interval):
        return tl.lyapunov_spectrum(gd, w0, 1500, transient=300, blocks=5, interval=interval, engine=engine)

    right = spectrum(1)  # two of the three runs are chaotic: each engine is held against itself, on its own trajectory
    for interval in (50, 100, 300):
        long = spectrum(interval)
        assert not long.resolved.all() and not long.converged.any()
        # growth at 1e-13 of the leading one is known to about a factor of two
        off = np.abs(long.exponents - right.exponents)[long.resolved] * interval
        assert off.max() < np.log(2)


@pytest.mark.parametrize(
    "singular", [np.diag([1.1, 0.0]), np.array([[1.0, 2.0], [2.0, 4.0]]) / 3, np.array([[0.0, 1.0], [0.0, 0.5]])]
)
def test_singular_maps(singular):
    spectrum = tl.lyapunov_spectrum(LinearMap(singular), ONE, 400, transient=10)
    last = spectrum.exponents[0, 1]
    assert np.isneginf(last) or (np.isnan(last) and not spectrum.converged[0])
    run = tl.finite_time_exponents(LinearMap(singular), ONE, 50)
    assert not np.isfinite(run.exponents[0, :, 1]).any()


def test_resolved_directions_of_a_singular_map_are_right():
    spectrum = tl.lyapunov_spectrum(LinearMap(np.diag([1.1, 0.9, 0.0])), np.ones((1, 3)), 400, transient=400)
    np.testing.assert_allclose(spectrum.exponents[0, :2], np.log([1.1, 0.9]), atol=1e-9)
    assert spectrum.resolved[0, :2].all()


def test_first_vectors_that_have_not_aligned():
    """ln 1.1 came out 4 % too small, and was called converged."""
    gd = LinearMap(np.diag([1.1, 0.8]))
    short, long, left_out = (
        tl.lyapunov_spectrum(gd, ONE, n, transient=t) for n, t in ((100, 0), (20_000, 0), (100, 100))
    )
    assert abs(short.exponents[0, 0] / np.log(1.1) - 1) > 0.03 and not short.converged[0]
    assert abs(long.exponents[0, 0] / np.log(1.1) - 1) < 1e-3 and long.converged[0]
    np.testing.assert_allclose(left_out.exponents[0], np.log([1.1, 0.8]), atol=1e-12)
    assert left_out.converged[0]


def test_whatever_is_called_converged_is_within_a_hundredth():
    """Linear maps with random gaps, lengths and starts; a check that fails on the rule without the first block."""
    rng, called, wrong = np.random.default_rng(0), 0, 0
    for _ in range(100):
        values = np.sort(np.exp(rng.uniform(-0.5, 0.3, 2)))[::-1]
        turn = rng.standard_normal((2, 2))
        gd = LinearMap(turn @ np.diag(values) @ np.linalg.inv(turn))
        spectrum = tl.lyapunov_spectrum(gd, ONE, int(rng.integers(80, 5000)), seed=int(rng.integers(1000)))
        off = np.abs(spectrum.exponents[0] - np.log(values))
        called += spectrum.converged[0]
        wrong += spectrum.converged[0] and (off > 0.01 * np.abs(np.log(values)) + 1e-6).any()
    assert called > 20 and wrong == 0, (called, wrong)


def test_chaotic_runs_are_converged_as_often_as_before():
    x0 = np.random.default_rng(0).uniform(0.01, 0.99, (200, 1))
    assert tl.lyapunov_spectrum(LogisticMap(4.0), x0, 4000, transient=100).converged.mean() > 0.9


def rotation(angle):
    return LinearMap(np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))


@pytest.mark.parametrize(
    ("gd", "p", "want"),
    [
        *((rotation(a), 2, 2.0) for a in (0.1, 0.7, 1.3, 2.9)),
        (LinearMap(np.eye(3)), 3, 3.0),
        (LinearMap(np.diag([1.0, 0.5])), 2, 1.0),
        (LinearMap(np.diag([0.9, 0.5])), 2, 0.0),
        (LinearMap(np.diag([2.0, 0.25])), 2, 1.5),
        (LinearMap(np.diag([2.0, 1.5])), 2, 2.0),
    ],
)
def test_kaplan_yorke_compares_with_zero_within_its_error(gd, p, want):
    for seed in range(3):
        dimension = tl.lyapunov_spectrum(gd, np.ones((1, p)), 400, transient=400, seed=seed).kaplan_yorke
        assert dimension[0] == pytest.approx(want, abs=1e-9)


def test_kaplan_yorke_with_an_unresolved_direction():
    found = tl.lyapunov_spectrum(
        LinearMap(np.diag([2.0, 1e-15, 0.5])), np.ones((1, 3)), 100, transient=20, vectors=np.eye(3)[None]
    )
    assert found.resolved.tolist() == [[True, False, True]]
    assert np.isnan(found.kaplan_yorke[0]) or found.kaplan_yorke[0] == pytest.approx(2.0)


def test_unresolved_growth_reaches_finite_time_exponents():
    """A contraction by 1e-14 at step 10 only: nan from there on, right before it."""
    gd = types.SimpleNamespace(
        step=lambda x, t: x, jacobian=lambda x, t: np.tile(np.diag([1.0, 1e-14 if t == 9 else 0.5]), (len(x), 1, 1))
    )
    run = tl.finite_time_exponents(gd, ONE, 20, vectors=np.eye(2)[None])
    np.testing.assert_allclose(run.exponents[0, :9, 1], np.log(0.5))
    assert np.isnan(run.exponents[0, 9:, 1]).all() and (run.exponents[0, :, 0] == 0).all()
