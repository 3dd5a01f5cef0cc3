"""Pictures of trainability: each pixel has the bits of the plain-Python specification, whatever is computed beside it."""

import hashlib

import numpy as np
import plain_pictures as plain
import pytest
import specification
from lab_bits import DEEP

import trajlib as tl
from trajlib.boundary import draw, power_of_ten, rates
from trajlib.optimisers.batches import Batches

# the six conditions of the paper on four inputs and units: what the plain program does in a second
CONDITIONS = {
    "tanh": {},
    "relu": {"activation": "relu"},
    "identity": {"activation": "identity", "scale": (0.5, 0.25), "samples": 4},
    "minibatch": {"batch_size": 6, "batch_seed": 3},
    "single sample": {"samples": 1},
    "offset": {"offset": np.array([[-0.4], [0.02], [0.3]])},
}


def setting(*, activation="tanh", scale="mean_field", samples=None, seed=1, **options):
    """(network, (x, y, w0), options of the call)."""
    net = tl.Perceptron(4, 4, 1, activation=activation, loss="mean_squared_error", bias=False, scale=scale)
    return net, draw(net, seed, samples), options


def same(a, b):
    """Two pictures with the same bits."""
    for name in ("outcome", "value", "last", "ended_at", "initial_loss"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name


def specified(net, data, picture, i, j, *, offset=0.0, batch_size=None, batch_seed=0, steps):
    batches = None if batch_size is None else Batches(len(data[0]), batch_size, batch_seed, True)
    offset = float(np.broadcast_to(offset, picture.outcome.shape)[i, j])
    rate = float(picture.rate0[i, j]), float(picture.rate1[i, j])
    return plain.losses(net, *data, rate, steps, offset=offset, batches=batches)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_specification(condition):
    net, data, options = setting(**CONDITIONS[condition])
    r0, r1 = rates(0.6, 3.0, 3), rates(0.4, 4.0, 4)
    if condition == "offset":
        r0 = r1[None, :]
    picture = tl.trainability(net, *data, r0, r1, 60, **options)
    for i, j in np.ndindex(3, 4):
        found = specified(net, data, picture, i, j, steps=60, **options)
        want = plain.pixel(found, 60)
        given = tuple(a[i, j].item() for a in (picture.outcome, picture.value, picture.last, picture.ended_at))
        assert given == want
        assert picture.initial_loss[i, j] == found[0]
    assert {1, -1} <= set(picture.outcome.ravel().tolist()), "both sides of the boundary are tested"


def test_a_deep_tile_has_these_bits_on_every_machine():
    """16 x 16 pixels, a decade wide by 1e-10, 500 steps: the laboratory in the page has the same digest."""
    net = tl.Perceptron(8, 8, 1, activation="tanh", loss="mean_squared_error", bias=False, scale="mean_field")
    axes = rates(1.0, 1e-10, 16), rates(1.654127021979156, 1e-10, 16)
    picture = tl.trainability(net, *draw(net, 0), *axes, 500)
    assert set(picture.outcome.ravel().tolist()) == {1, -1}
    assert hashlib.sha256(picture.value.astype("<f8").tobytes()).hexdigest() == DEEP


def test_the_blocks_the_place_and_the_threads_change_no_bit(monkeypatch):
    net, data, _ = setting()
    r0, r1 = rates(0.5, 3.0, 13), rates(0.7, 3.0, 11)
    whole = tl.trainability(net, *data, r0, r1, 100)
    assert len(set(whole.outcome.ravel().tolist())) > 1
    alone = tl.trainability(net, *data, r0[5:6], r1[7:8], 100)
    assert alone.value[0, 0] == whole.value[5, 7]
    from trajlib.boundary import picture

    monkeypatch.setattr(picture, "BLOCK", 50)
    monkeypatch.setattr(picture, "STRETCH", 3)
    same(tl.trainability(net, *data, r0, r1, 100, threads=2), whole)


def test_a_state_that_is_back_is_not_computed_on(monkeypatch):
    """At one sample training stands still, or goes to and fro, after a while; the rest of the losses is then known."""
    from trajlib.engines.fused.cpu import FusedRun

    net, data, _ = setting(samples=1)
    r = rates(0.3, 1.0, 4)
    steps = []
    advance = FusedRun.advance
    monkeypatch.setattr(
        FusedRun, "advance", lambda self, a, b, last: (steps.append((b - a) * self._rows), advance(self, a, b, last))
    )
    picture = tl.trainability(net, *data, r, r, 3000)
    assert sum(steps) < 0.5 * 3000 * picture.outcome.size
    found = [plain.losses(net, *data, (float(r[i]), float(r[3])), 3000) for i in (0, 3)]
    assert [plain.pixel(some, 3000)[1] for some in found] == [picture.value[0, 3], picture.value[3, 3]]


def test_weights_of_each_pixel_labels_and_thresholds():
    net, (x, y, w0), _ = setting()
    scale = np.array([0.5, 1.0, 2.0])
    r = rates(0.5, 2.0, 4)[None]
    picture = tl.trainability(net, x, y, w0 * scale[:, None, None], r, r, 40)
    for i in range(3):
        row = tl.trainability(net, x, y, w0 * scale[i], r, r, 40)
        assert row.value.tobytes() == picture.value[i : i + 1].tobytes()
    strict = tl.trainability(net, x, y, w0, r, r, 40, threshold=1e-9)
    assert (strict.outcome < 1).all()
    assert np.array_equal(strict.last, tl.trainability(net, x, y, w0, r, r, 40).last)
    iris = tl.iris()
    net = tl.Perceptron(4, 3, 3)
    picture = tl.trainability(net, iris.x, iris.y, net.init(1, seed=0)[0], np.array([0.1]), np.array([0.1, 1.0]), 30)
    assert (picture.outcome == 1).all()


def test_points_of_the_plane_are_pixels_of_their_own():
    net, data, _ = setting()
    points = np.random.default_rng(0).uniform(-0.5, 2.0, (30, 2))
    some = tl.trainability(net, *data, power_of_ten(points[:, :1]), power_of_ten(points[:, 1:]), 40)
    assert some.outcome.shape == (30, 1) and len(set(some.outcome.ravel().tolist())) > 1
    one = tl.trainability(net, *data, power_of_ten(points[7:8, 0]), power_of_ten(points[7:8, 1]), 40)
    assert one.value[0, 0] == some.value[7, 0]


def test_rates_are_those_of_the_specification():
    some = rates(1.25, 1e-10, 7)
    assert some.tolist() == plain.rates(1.25, 1e-10, 7)
    assert (np.diff(some) > 0).all()
    x = np.linspace(-5, 5, 41)
    assert power_of_ten(x).tolist() == [plain.power_of_ten(float(one)) for one in x]
    assert np.allclose(power_of_ten(x), 10.0**x, rtol=4e-15)
    wide = rates(0.0, 8.0, 5)
    assert np.allclose(np.log10(wide), [-3.2, -1.6, 0.0, 1.6, 3.2], atol=1e-14)
    assert specification.exp(2.302585092994046) == power_of_ten(1.0)


def test_the_draw_is_one_stream():
    net, (x, y, w0), _ = setting(seed=5)
    stream = np.random.Generator(np.random.PCG64(5)).standard_normal(20 * 4 + 20 + 20)
    assert np.concatenate([x.ravel(), y, w0]).tobytes() == stream.tobytes()
    assert len(draw(net, 5, samples=3)[1]) == 3


def test_interruption_keeps_what_is_decided(monkeypatch):
    from trajlib.boundary import picture

    net, data, _ = setting()
    monkeypatch.setattr(picture, "BLOCK", 4)
    calls = []
    run = picture._fill

    def stop_in_the_second(*arguments):
        run(*arguments)
        calls.append(1)
        if len(calls) == 2:
            arguments[-1].append(2)

    monkeypatch.setattr(picture, "_fill", stop_in_the_second)
    with pytest.raises(tl.Interrupted, match="8 of 16 pixels") as stopped:
        tl.trainability(net, *data, rates(0, 1, 4), rates(0, 1, 4), 20)
    outcome = stopped.value.result.outcome
    assert (outcome[:2] > -2).all() and (outcome[2:] == -2).all() and np.isnan(stopped.value.result.value[2:]).all()


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"rates0": np.ones((2, 3)), "rates1": np.ones((3, 2))}, ValueError, "one picture"),
        ({"rates0": np.array([0.0])}, ValueError, "rates0"),
        ({"rates1": [1.0]}, TypeError, "np.array"),
        ({"steps": 0}, ValueError, "steps"),
        ({"w0": np.zeros(3)}, ValueError, "w0"),
        ({"offset": np.nan}, ValueError, "offset"),
        ({"offset": np.ones(5)}, ValueError, "one picture"),
        ({"limit": -1.0}, ValueError, "limit"),
        ({"network": 3}, TypeError, "Perceptron"),
    ],
)
def test_wrong_arguments(change, error, says):
    net, (x, y, w0), _ = setting()
    given = {"network": net, "x": x, "y": y, "w0": w0, "rates0": np.ones(2), "rates1": np.ones(3), "steps": 2}
    with pytest.raises(error, match=says):
        tl.trainability(**given | change)
    with pytest.raises(ValueError, match="1e307"):
        rates(400.0, 1.0, 2)
