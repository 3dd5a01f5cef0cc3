"""The planes of the chapter on the boundary of trainability: what they train, where they look, and a boundary that is smooth."""

import re
from pathlib import Path

import numpy as np
import pytest

import trajlib as tl
from trajlib.companion import trained_planes as tp

POINTS = np.array([[0.3, 0.2], [0.9, 0.4], [-0.5, 0.8]])


@pytest.mark.parametrize("name", tp.CONDITIONS)
def test_orbits_are_those_of_the_pictures(name):
    """The map on weights and rates takes the same steps as the engine, offset and batches included, up to rounding."""
    of = tp.plane(name, 5, units=4)
    gd = tp.Training(of)
    z = gd.start(of, POINTS)
    first, total = gd.loss(z), np.zeros(len(z))
    for t in range(12):
        total += gd.loss(z) / first
        z = gd.step(z, t)
    picture = of.at(POINTS, 11, threshold=1e9)
    assert (picture.outcome == 1).all() and np.allclose(-picture.value[:, 0], total, rtol=1e-9)


@pytest.mark.parametrize("name", ["tanh", "identity", "offset"])
def test_vectors_move_as_the_map_does(name):
    of = tp.plane(name, 5, units=4)
    gd = tp.Training(of)
    z = gd.start(of, POINTS)
    v = np.zeros((3, 1, z.shape[1]))
    v[..., : gd.p] = np.random.default_rng(0).standard_normal((3, 1, gd.p))
    h = 1e-6
    there = (gd.step(z + h * v[:, 0], 0) - gd.step(z - h * v[:, 0], 0)) / (2 * h)
    got = gd.jvp(z, v, 0)[:, 0]
    assert np.allclose(got, there, rtol=1e-5, atol=1e-7) and (got[:, gd.p :] == 0).all()


def test_colours_are_those_of_the_page():
    """From slow to quick where training converges, and from what ends at once to what ends late."""
    text = (Path(__file__).parents[2] / "book" / "_static" / "lab" / "palette.js").read_text(encoding="utf-8")
    page = [
        tuple(re.findall("#[0-9a-f]{6}", re.search(f"const {name} = .*", text)[0])) for name in ("CONVERGES", "ENDS")
    ]
    assert (tp.SHADES[0][::-1], tp.SHADES[1]) == tuple(page) and len(page[0]) == 6


def test_points_lie_near_the_boundary():
    of = tp.plane("identity", 0, units=4)
    points = of.near(200, 100, 1)
    around = [of.at(points + 6 / tp.COARSE * np.array(step), 100).converged for step in ((-1, -1), (1, 1))]
    assert points.shape == (200, 2) and (around[0] != around[1]).mean() > 0.5
    assert (points == of.near(200, 100, 1)).all() and (points != of.near(200, 100, 2)).any()


def test_where_one_layer_learns_the_boundary_is_a_line():
    """Least squares: it converges for rates below 2 over the largest curvature, and its dimension is 1."""
    of = tp.plane("identity", 0, units=4, still=True)
    net, (x, _, w0) = of.network, of.data
    hidden = net.scale[1] * net.scale[0] * x @ net.unpack(w0)[0]
    limit = np.log10(2 / np.linalg.eigvalsh(2 * hidden.T @ hidden / len(x))[-1])
    beside = np.array([[-12.0, limit - 0.01], [-12.0, limit + 0.01]])
    assert of.at(beside, 2000).converged[:, 0].tolist() == [True, False]
    found, pairs = tp.uncertainty(of, 20_000, 10.0 ** np.arange(-3.5, -1.4, 0.5), 200)
    assert found["converged"].resolved and abs(found["converged"].dimension - 1) < 0.06
    assert (pairs[:, :2].sum(axis=1) == np.rint(20_000 * found["converged"].uncertain)).all()


def test_no_boundary_is_none():
    assert tp.uncertainty(tp.plane("identity", 0, units=4), 50, [1e-3, 1e-2], 20, threshold=1e-9) is None


def test_zooms_follow_the_boundary():
    of = tp.plane("identity", 0, units=4)
    views = list(tp.zooms(of, [1, 1e-2], 32, 100, 0, sizes=[2, 4]))
    assert [z.factor for z in views] == [1, 1e-2]
    assert all(len(np.unique(z.picture.converged)) == 2 for z in views)
    assert np.ptp(np.log10(views[1].picture.rate0)) < 0.07


def test_colours_are_ranks_on_both_sides():
    of = tp.plane("identity", 0, units=4)
    picture = of.picture(*of.home, 16, 60)
    image = tp.coloured(picture)
    assert (image[picture.converged] < 127).all() and (image[~picture.converged] > 127).all()
    best = picture.value == picture.value.min()
    assert (image[best] == 0).all() and image.dtype == np.uint8


def test_a_saddle_is_measured_or_said_not_to_be():
    of = tp.plane("identity", 0, units=4)
    run = tp.saddle(of, of.near(150, 100, 0), 100)
    assert len(run.decided_at) == 150 and run.decided_at.max() <= 80
    few = tp.saddle(of, of.near(50, 100, 0), 100)
    assert few.exponent is None and few.dimension is None, "fewer than 100 orbits are left"
    assert isinstance(run.rate, tl.boundary.EscapeRate)
