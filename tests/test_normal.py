"""Normal numbers of the library's own: numpy's bits here, and the same ones where the system's last bits are others."""

import hashlib
import math
import platform

import numpy as np
import pytest

import trajlib as tl
from trajlib import _normal
from trajlib._normal import EDGE, log1p, standard_normal


def glibc_with_fused() -> bool:
    """glibc on x86-64 with fused multiply-add, in one number of some that differ without it."""
    return platform.libc_ver()[0] == "glibc" and math.log1p(-0.6692458449799993).hex() == "-0x1.1b3bb6ca10f00p+0"


native = pytest.mark.skipif(not glibc_with_fused(), reason="the system's log1p has other bits here")


def generator(seed):
    return np.random.Generator(np.random.PCG64(seed))


class Elsewhere:
    """A generator on a system whose log1p, or whose compiler, makes the far numbers larger or smaller by some last digits."""

    def __init__(self, seed, digits):
        self.rng, self.digits = generator(seed), digits
        self.bit_generator = self.rng.bit_generator

    def standard_normal(self, shape):
        x = self.rng.standard_normal(shape)
        return np.where(np.abs(x) > EDGE, x + self.digits * np.spacing(x), x)


def arguments(n):
    """-u for the u that a stream gives, for small ones, for those near 1, and near the places where the formula changes."""
    rng = generator(0)
    u = [
        rng.random(n),
        2.0 ** -rng.uniform(0, 60, n),
        1.0 - 2.0 ** -rng.uniform(0, 53, n),
        1.0 - 2.0 ** -rng.integers(0, 50, n) * (1.0 + rng.uniform(-1e-6, 1e-6, n)),
        1.0 - np.sqrt(0.5) * 2.0 ** -rng.integers(0, 50, n) * (1.0 + rng.integers(-2000, 2000, n) * 2.0**-50),
    ]
    u = np.concatenate(u)
    return (-u[(u >= 0.0) & (u < 1.0)]).tolist()


@native
def test_log1p_is_that_of_glibc():
    x = arguments(10_000)
    assert len(x) > 45_000 and [log1p(v) for v in x] == [math.log1p(v) for v in x]


def test_log1p_has_an_error_below_one_unit_in_the_last_place():
    mpmath = pytest.importorskip("mpmath")
    for x in arguments(300):
        with mpmath.workdps(40):
            exact = mpmath.log1p(x)
            assert abs(log1p(x) - exact) <= 0.95 * math.ulp(float(exact)), x


@native
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_draws_and_what_follows_are_those_of_numpy(seed):
    own, numpys = generator(seed), generator(seed)
    for shape in (7, (1, 83), (20_000, 73), 0, (3, 0), 100_000):
        got, expected = standard_normal(own, shape), numpys.standard_normal(shape)
        assert got.shape == expected.shape and got.tobytes() == expected.tobytes()
        assert own.bit_generator.state == numpys.bit_generator.state


@native
def test_another_last_bit_of_log1p_is_seen(monkeypatch):
    monkeypatch.setattr(_normal, "log1p", lambda x: math.nextafter(log1p(x), -math.inf))
    assert standard_normal(generator(0), 10**6).tobytes() != generator(0).standard_normal(10**6).tobytes()


@pytest.mark.parametrize("digits", [-3, -1, 1, 3])
def test_far_numbers_do_not_depend_on_the_system(digits):
    here, there = standard_normal(generator(4), 10**6), Elsewhere(4, digits)
    assert (there.standard_normal(10**6) != here).sum() == (np.abs(here) > EDGE).sum() > 200
    there = Elsewhere(4, digits)
    assert standard_normal(there, 10**6).tobytes() == here.tobytes()


def test_a_stream_that_is_not_numpys_raises():
    """Another ziggurat, as a later numpy might have: said, and never a wrong number."""
    with pytest.raises(RuntimeError, match="numpy"):
        standard_normal(Elsewhere(0, 10**8), 10**5)


def test_initial_weights_are_drawn_so():
    assert (
        tl.Perceptron(4, 10, 3).init(2000, 5)[:, tl.Perceptron(4, 10, 3).is_weight].tobytes()
        == standard_normal(generator(5), (2000, 70)).tobytes()
    )


def test_these_bits_are_kept():
    """Of far numbers only, so that they hold on every system."""
    far = standard_normal(generator(0), 10**6)
    far = far[np.abs(far) > EDGE]
    assert len(far) == 266 and hashlib.sha256(far.astype("<f8").tobytes()).hexdigest().startswith("0f98d912654f29b1")
