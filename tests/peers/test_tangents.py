"""Lyapunov exponents and covariant vectors from other packages: pynamicalsys, lyapynov, clvlib.

Both sides do the same operations from the same start, so tolerances are rounding, with what the system makes of it. Beside each comparison
the same one is made with something wrong on one side, and must not agree.
"""

import numpy as np
import pytest
from other_packages import MAPS, START, Lorenz, OtherHenon, package

import trajlib as tl
from trajlib.dynamics.reference import HenonMap


@pytest.fixture(scope="module")
def pynamicalsys():
    """The package as plain Python, which takes a tenth of what its compilation takes; numpy's global state, which it seeds, is put back."""
    from numba.core import config

    before, state = config.DISABLE_JIT, np.random.get_state()  # noqa: NPY002
    try:
        config.DISABLE_JIT = 1
        found = package("pynamicalsys")
    finally:
        config.DISABLE_JIT = before
    yield found
    np.random.set_state(state)  # noqa: NPY002


def exponents(m, start, steps, vectors):
    """All exponents by trajlib, per step (p,), from given tangent vectors (p, k), the columns."""
    found = tl.lyapunov_spectrum(m, np.array(start)[None], steps, vectors=vectors.T[None].copy(), blocks=4)
    assert found.resolved.all()
    return found.exponents[0]


def apart(a, b):
    """Largest sine of an angle between the lines along columns of unit length, whatever their signs."""
    return float(np.linalg.norm(a - (a * b).sum(axis=-2, keepdims=True) * b, axis=-2).max())


# Lyapunov exponents


@pytest.mark.parametrize("name", ["henon", "towel"])
def test_lyapynov_has_the_same_exponents(name):
    """The same functions, first vectors and number of steps: what is left is the rounding of 2,000 logarithms of order one."""
    lyapynov = package("lyapynov")
    m, start = MAPS[name], np.array(START[name])
    system = lyapynov.DiscreteDS(start, 0, lambda x, t: m(x), lambda x, t: m.jacobian(x))
    theirs = lyapynov.LCE(system, len(start), 0, 2000, False)
    np.testing.assert_allclose(exponents(m, start, 2000, np.eye(len(start))), theirs, atol=1e-12)
    other = exponents(m, m(start), 2000, np.eye(len(start)))  # one step later on the same orbit
    assert np.abs(other - theirs).max() > 1e-6


def test_pynamicalsys_has_the_same_exponents_of_its_own_henon_map(pynamicalsys):
    """Map and derivative are theirs too; from the vectors that they draw, what is left is the rounding of 2,000 logarithms of order one."""
    henon, start = OtherHenon(), np.array(START["henon"])
    system = pynamicalsys.DiscreteDynamicalSystem(model="henon map")
    theirs = system.lyapunov(start, 2000, parameters=[1.4, 0.3], method="QR")
    drawn = np.random.RandomState(1312).rand(2, 2)  # its seed
    # it takes the Jacobian of a step at the step's end
    np.testing.assert_allclose(exponents(henon, henon(start), 2000, drawn), theirs, atol=1e-12)
    assert np.abs(exponents(henon, start, 2000, drawn) - theirs).max() > 1e-6


def test_pynamicalsys_has_the_same_exponents_of_a_flow(pynamicalsys):
    """Lorenz's system for 10 units of time: Runge-Kutta on the variational equations is the derivative of the Runge-Kutta step. Rounding
    (1e-15 of a state of size 30, at each step) grows by exp(0.9 * 10), to 1e-9 at most; the mean over the run has less of it."""
    system = pynamicalsys.ContinuousDynamicalSystem(model="lorenz system")
    system.integrator("rk4", time_step=0.01)
    history = system.lyapunov(START["lorenz"], 10.0, parameters=[10.0, 28.0, 8.0 / 3.0], return_history=True, seed=13)
    time, theirs = history[999, 0], history[999, 1:]
    assert time == pytest.approx(10.0)
    drawn = 2.0 * np.random.RandomState(13).rand(3, 3) - 1.0
    np.testing.assert_allclose(exponents(Lorenz(), START["lorenz"], 1000, drawn) / 0.01, theirs, atol=1e-9)
    assert np.abs(exponents(Lorenz(rho=28.0 + 1e-4), START["lorenz"], 1000, drawn) / 0.01 - theirs).max() > 1e-6


# Covariant vectors


@pytest.mark.parametrize(("name", "transient"), [("henon", 100), ("towel", 1000)])
def test_lyapynov_has_the_same_covariant_vectors(name, transient, monkeypatch):
    """Both from where neither end matters (the towel map's first two exponents are 0.05 apart): what is left is rounding, over the smallest
    angle between the vectors."""
    lyapynov = package("lyapynov")
    m, start = MAPS[name], np.array(START[name])
    steps = 2 * transient + 500
    ours = tl.covariant_vectors(m, start[None], steps, transient=(transient, transient))
    assert (ours.discrepancy < 1e-12).all()
    rng = np.random.default_rng(0)
    monkeypatch.setattr(np.random, "rand", lambda *shape: rng.random(shape))  # its start of the way back
    system = lyapynov.DiscreteDS(start, 0, lambda x, t: m(x), lambda x, t: m.jacobian(x))
    theirs = np.array(lyapynov.CLV(system, len(start), 0, transient, 500, transient, False))
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)  # the last ones come without unit length
    limit = 1e-13 / np.sin(ours.angles[0][:, *np.triu_indices(len(start), 1)].min())
    assert apart(ours.vectors[0], theirs) < limit < 1e-8
    assert apart(ours.vectors[0, 1:], theirs[:-1]) > 0.1


def test_pynamicalsys_has_the_same_covariant_vectors(pynamicalsys):
    """Of its own Hénon map. Its way back begins at the last vectors that it gives: the last hundred are left out."""
    system, start = pynamicalsys.DiscreteDynamicalSystem(model="henon map"), np.array(START["henon"])
    theirs, states = system.CLV(start, 600, parameters=[1.4, 0.3], warmup_time=100)
    ours = tl.covariant_vectors(OtherHenon(), start[None], 700, transient=(100, 100))
    assert (ours.discrepancy < 1e-12).all() and np.array_equal(ours.states[0], states[:501])
    limit = 1e-13 / np.sin(ours.angles[0, :, 0, 1].min())
    assert apart(ours.vectors[0], theirs[:501]) < limit < 1e-10
    assert apart(ours.vectors[0, 1:], theirs[:500]) > 0.1


def test_clvlib_has_the_same_vectors(monkeypatch):
    """Its exponents, orthonormal vectors and first covariant vectors, by the same operations. 0.1.5 takes, on its way back, the R of the
    step before the one it needs: given that one, its way back has the other vectors too."""
    package("clvlib")
    from clvlib.numpy import clv, integrators, lyap_analysis_from_ic

    for module in (clv, integrators):
        monkeypatch.setattr(module, "tqdm", lambda steps, **_: steps)
    henon, start, steps = HenonMap(), np.array(START["henon"]), 600
    mean, _, q, r, theirs, _, states = lyap_analysis_from_ic(
        lambda t, x: henon(x), lambda t, x: henon.jacobian(x), start, np.arange(steps + 1.0), stepper="discrete"
    )
    np.testing.assert_allclose(exponents(henon, start, steps, np.eye(2)), mean, atol=1e-12)
    ours = tl.covariant_vectors(henon, start[None], steps, transient=(100, 100))
    assert ours.converged.all() and np.array_equal(ours.states[0], states[100:501])
    limit = 1e-13 / np.sin(ours.angles[0, :, 0, 1].min())
    assert limit < 1e-10
    assert apart(ours.vectors[0, :, :, :1], theirs[100:501, :, :1]) < limit
    mended, _ = clv._ginelli(q[:-1], r[1:])
    assert apart(ours.vectors[0], mended[100:501]) < limit
    assert apart(ours.vectors[0], theirs[100:501]) > 0.1
