"""Ctrl-C in every long call: it stops soon, and what is known comes with the exception and is right."""

import signal

import numpy as np
import pytest
from small_networks import small

import trajlib as tl
from trajlib import engines
from trajlib.dynamics.reference import HenonMap
from trajlib.engines.fused.cpu import FusedRun
from trajlib.engines.generic.called import CalledRun

GD = small()
W0 = GD.network.init(20, seed=0)
HENON = np.array([[0.1, 0.1], [0.0, 0.0]])


@pytest.fixture
def press(monkeypatch):
    """press(run, after): Ctrl-C at the so many-th piece of a kind of run; pieces are one step long."""

    def arrange(kind, after):
        monkeypatch.setattr(engines, "PIECE", 0.0)
        advance, pieces = kind.advance, []

        def pressed(self, start, stop, last):
            pieces.append(stop)
            if len(pieces) == after:
                signal.raise_signal(signal.SIGINT)
            advance(self, start, stop, last)

        monkeypatch.setattr(kind, "advance", pressed)

    yield arrange


MAPS = {"network": (GD, W0, FusedRun), "henon": (HenonMap(), HENON, CalledRun)}


@pytest.fixture(params=MAPS)
def case(request):
    return MAPS[request.param]


def test_tangent(case, press, monkeypatch):
    gd, w0, kind = case
    vectors = np.ones((len(w0), 2, w0.shape[1]))
    whole = tl.tangent(gd, w0, vectors, 50)
    press(kind, 20)
    with pytest.raises(tl.Interrupted, match="after 20 steps") as caught:
        tl.tangent(gd, w0, vectors, 50)
    part = caught.value.result
    np.testing.assert_array_equal(part.norm, whole.norm[..., :21])
    assert part.steps == 20 and part.times[-1] == 20 and whole.steps == 50


def test_spectrum(case, press):
    gd, w0, kind = case
    whole = tl.lyapunov_spectrum(gd, w0, 200, transient=10)
    press(kind, 75)
    with pytest.raises(tl.Interrupted, match="6 of 20 blocks") as caught:
        tl.lyapunov_spectrum(gd, w0, 200, transient=10)
    part = caught.value.result
    np.testing.assert_allclose(part.growth, whole.growth[..., :6], rtol=1e-12)
    np.testing.assert_allclose(part.exponents, whole.growth[..., :6].mean(axis=-1))
    assert part.times.tolist() == [20, 30, 40, 50, 60, 70]


@pytest.mark.parametrize("after", [3, 15])
def test_spectrum_stopped_before_it_says_anything(case, press, after):
    gd, w0, kind = case
    press(kind, after)
    with pytest.raises(tl.Interrupted, match="0 of 20 blocks") as caught:
        tl.lyapunov_spectrum(gd, w0, 200, transient=10)
    part = caught.value.result
    assert (
        np.isnan(part.exponents).all()
        and not part.converged.any()
        and not part.resolved.any()
        and np.isnan(part.kaplan_yorke).all()
    )


def test_finite_time_exponents(case, press):
    gd, w0, kind = case
    whole = tl.finite_time_exponents(gd, w0, 60, every=10, singular_values=True)
    press(kind, 35)
    with pytest.raises(tl.Interrupted, match="35 steps") as caught:
        tl.finite_time_exponents(gd, w0, 60, every=10, singular_values=True)
    part = caught.value.result
    for name in ("exponents", "singular_exponents"):
        np.testing.assert_array_equal(getattr(part, name)[:, :3], getattr(whole, name)[:, :3])
        assert np.isnan(getattr(part, name)[:, 3:]).all()


def test_finite_time_exponents_of_networks_in_parts(press):
    whole = tl.finite_time_exponents(GD, W0, 30)
    press(FusedRun, 30 + 12)  # in the second part of eight networks
    with pytest.raises(tl.Interrupted, match="after 8 of 20 trajectories and 12 steps of the next 8") as caught:
        tl.finite_time_exponents(GD, W0, 30, memory=1)
    part = caught.value.result.exponents
    np.testing.assert_array_equal(part[:8], whole.exponents[:8])
    np.testing.assert_array_equal(part[8:16, :12], whole.exponents[8:16, :12])
    assert np.isnan(part[8:16, 12:]).all() and np.isnan(part[16:]).all()


def test_covariant_vectors_stopped_in_the_middle(case, press):
    """Both transients are 30 steps, and the run is stopped at step 30 + 100: vectors up to step 100, those of a run of 130."""
    gd, w0, kind = case
    shorter = tl.covariant_vectors(gd, w0, 130, transient=(30, 31))
    press(kind, 60 + 100)  # the orthonormal vectors align twice
    with pytest.raises(tl.Interrupted, match="0 of") as caught:
        tl.covariant_vectors(gd, w0, 300, transient=(30, 30))
    part = caught.value.result
    r = 70
    assert part.times[-1] == 270 and not part.converged.any()
    known = np.isfinite(part.growth).all(axis=(0, 2))
    assert known[:r].all() and not known[r:].any()
    np.testing.assert_allclose(np.abs(part.vectors[:, :r]), np.abs(shorter.vectors[:, :r]), atol=1e-6)
    np.testing.assert_allclose(part.exponents, shorter.exponents, atol=1e-6)


def test_covariant_vectors_of_parts_that_are_done(press):
    whole = tl.covariant_vectors(GD, W0, 60, transient=(10, 10))
    press(FusedRun, 71 + 5)  # the second part has only begun
    with pytest.raises(tl.Interrupted, match="8 of 20 trajectories") as caught:
        tl.covariant_vectors(GD, W0, 60, transient=(10, 10), memory=1, checkpoint=100)
    part = caught.value.result
    np.testing.assert_array_equal(part.vectors[:8], whole.vectors[:8])
    np.testing.assert_array_equal(part.converged[:8], whole.converged[:8])
    assert np.isnan(part.vectors[8:]).all() and not part.converged[8:].any()


def test_covariant_vectors_stopped_on_the_way_back(press):
    """With checkpoints the way back runs forwards again, piece by piece: what has been written down is kept."""
    whole = tl.covariant_vectors(GD, W0, 60, transient=(10, 10))
    press(FusedRun, 20 + 50 + 9 + 25)
    with pytest.raises(tl.Interrupted) as caught:
        tl.covariant_vectors(GD, W0, 60, transient=(10, 10), checkpoint=7)
    part = caught.value.result
    known = np.isfinite(part.growth).all(axis=(0, 2))
    assert 0 < known.sum() < len(known) and known[-1] and not part.converged.any() and np.isnan(part.exponents).all()
    np.testing.assert_array_equal(np.abs(part.vectors[:, known]), np.abs(whole.vectors[:, known]))


def test_present_vectors(press):
    whole = tl.present_vectors(GD, W0, [40, 50], lag=10)
    press(FusedRun, 52 + 5)
    with pytest.raises(tl.Interrupted, match="8 of 20") as caught:
        tl.present_vectors(GD, W0, [40, 50], lag=10, memory=1)
    part = caught.value.result
    np.testing.assert_array_equal(part.vectors[:8], whole.vectors[:8])
    assert np.isnan(part.vectors[8:]).all()


def test_every_long_call_reports_progress():
    calls = {
        "tangent": lambda: tl.tangent(GD, W0, np.ones((20, 1, 9)), 30),
        "exponents": lambda: tl.lyapunov_spectrum(GD, W0, 40, transient=10, blocks=4),
        "finite-time exponents": lambda: tl.finite_time_exponents(HenonMap(), HENON, 30),
        "covariant vectors": lambda: tl.covariant_vectors(GD, W0, 40),
        "present vectors": lambda: tl.present_vectors(HenonMap(), HENON, [30], lag=5),
        "ensembles": lambda: tl.dmft(t_max=0.2, paths=4096),
    }
    for label, call in calls.items():
        seen = []
        with tl.report_progress(lambda *what, seen=seen: seen.append(what)):
            call()
        seen = [s for s in seen if s[0] == label]
        assert seen and seen[-1][1] == seen[-1][2], (label, seen[-1:])
