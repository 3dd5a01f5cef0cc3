"""exp and what is made of it in the fused engine: the bits of the specification at any number, and nan stays nan."""

import numpy as np
import pytest
import specification
from numba import njit

from trajlib.engines.fused import elementary
from trajlib.engines.fused.lanes import LANES, constant, load, store


@pytest.fixture(scope="module", params=["exp", "expm1", "sigmoid", "tanh"])
def function(request):
    """A function of arrays, and its name."""
    of_vectors = getattr(elementary, request.param)

    @njit
    def fill(x, out):
        zero = constant(0.0, 1)
        for i in range(len(x) // LANES):
            store(out, i, of_vectors(load(x, i, zero), zero))

    def evaluate(x):
        out = np.empty_like(x)
        fill(x, out)
        return out

    return evaluate, request.param


def test_bits_of_the_specification(function):
    evaluate, name = function
    rng = np.random.default_rng(0)
    halves = (np.arange(-1030, 1030) + 0.5) * np.log(2)  # where the rounding of x / ln 2 changes
    ends = np.array([0.0, 5e-324, 1e-310, 1e-17, 1.0, 708.0, 709.0, 709.5, 1e4, 1e308, np.inf])
    limits = np.concatenate([np.nextafter(limit, [-np.inf, np.inf]) for limit in (-709.0, -708.0, 708.0, 709.0)])
    steep, small = rng.normal(scale=200, size=4000), rng.normal(size=4000)
    x = np.concatenate(
        [ends, -ends, limits, halves, np.nextafter(halves, 0), np.nextafter(halves, np.inf), steep, small]
    )
    x = np.append(x, np.zeros(-len(x) % LANES))
    expected = np.array([getattr(specification, name)(one) for one in x.tolist()])
    assert evaluate(x).tobytes() == expected.tobytes()


def test_nan_stays_nan(function):
    made = np.array([np.nan, -np.nan, np.inf, -np.inf])
    with np.errstate(invalid="ignore"):
        x = np.concatenate([made, made - made[::-1], made * 0.0, np.sqrt(-np.ones(4))])
    got = function[0](x)
    assert (np.isnan(got) == np.isnan(x)).all()
