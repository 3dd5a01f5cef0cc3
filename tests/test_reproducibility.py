"""Chaotic trajectories, bit for bit: in any batch, on any number of threads, on a CPU without AVX or FMA, as the specification says."""

import math

import machine_code
import numpy as np
import pytest
import specification

import trajlib as tl
from trajlib.companion import golden

TASK = tl.iris()
NET = tl.Perceptron(4, 10, 3)


def chaotic(lr, activation="sigmoid"):
    return tl.GradientDescent(tl.Perceptron(4, 10, 3, activation=activation), TASK, lr=lr)


@pytest.fixture(scope="module", params=[1.0, 5.0], ids=["lr=1", "lr=5"])
def reference(request):
    """200 networks in one batch, 1,000 steps."""
    gd = chaotic(request.param)
    w0 = NET.init(200, seed=7)
    return gd, w0, tl.train(gd, w0, 1000, threads=1)


def test_the_runs_are_chaotic(reference):
    """In dozens of the networks one unit in the last place grows to a visible difference, so equal bits are no accident.

    (At lr = 5 many of the others have settled on a periodic motion.)
    """
    gd, w0, run = reference
    nudged = w0.copy()
    nudged[:, 0] = np.nextafter(nudged[:, 0], np.inf)
    apart = np.abs(tl.train(gd, nudged, 1000).final - run.final).max(axis=1)
    assert (apart > 1e-3).sum() >= 20


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 7, 13, 64, 200])
def test_batch_and_threads_change_no_bit(reference, size, threads):
    gd, w0, run = reference
    for first in range(0, len(w0), size):
        part = slice(first, first + size)
        got = tl.train(gd, w0[part], 1000, threads=threads)
        assert got.final.tobytes() == run.final[part].tobytes()
        assert got.loss.tobytes() == run.loss[part].tobytes()


def test_place_in_the_batch_changes_no_bit(reference):
    gd, w0, run = reference
    order = np.random.default_rng(0).permutation(len(w0))
    assert tl.train(gd, w0[order], 1000).final.tobytes() == run.final[order].tobytes()


def test_pieces_change_no_bit(reference):
    gd, w0, run = reference
    w = w0
    for steps in (1, 10, 333, 656):
        w = tl.train(gd, w, steps).final
    assert w.tobytes() == run.final.tobytes()


def test_recording_changes_no_bit(reference):
    gd, w0, run = reference
    got = tl.train(gd, w0[:9], 1000, record=("loss", "norm", "weights", "accuracy"), every=10)
    assert got.final.tobytes() == run.final[:9].tobytes()
    assert got.loss.tobytes() == run.loss[:9, ::10].tobytes()
    assert got.weights[:, -1].tobytes() == got.final.tobytes()


@pytest.mark.parametrize(("n", "copies"), [(1, 3), (1, 20), (3, 5), (17, 2)])
def test_copies_travel_like_networks_of_their_own(n, copies):
    """Whichever way the engine lays out references and copies."""
    gd = chaotic(1.0)
    w0 = NET.init(n, seed=3)
    moved = tl.perturb(gd, w0, radius=1e-8, copies=copies, seed=5)
    div = tl.diverge(gd, w0, radius=1e-8, copies=copies, seed=5, steps=300)
    alone = tl.train(gd, moved.reshape(-1, 83), 300, record=("weights",))
    run = tl.train(gd, w0, 300, record=("weights", "loss"))
    assert div.final_copies.tobytes() == alone.final.tobytes()
    assert div.final.tobytes() == run.final.tobytes()
    assert div.loss.tobytes() == run.loss.tobytes()
    apart = np.abs(alone.weights.reshape(n, copies, 301, 83) - run.weights[:, None])
    total = np.zeros(apart.shape[:-1])
    for p in range(83):  # in parameter order
        total = total + apart[..., p]
    assert div.distance.tobytes() == total.tobytes()


@pytest.mark.parametrize("lr", [1.0, 5.0])
def test_specification_after_1000_chaotic_steps(lr):
    gd = chaotic(lr)
    w0 = NET.init(1, seed=11)
    want = specification.descend(
        w0[0].tolist(),
        1000,
        lr,
        TASK.x.tolist(),
        gd.targets.tolist(),
        (4, 10, 3),
        "sigmoid",
        "cross_entropy",
        0.0,
    )
    assert tl.train(gd, w0, 1000).final[0].tobytes() == np.array(want).tobytes()


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("loss", ["cross_entropy", "half_squared_error"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_specification_for_every_network(activation, loss, decay):
    net = tl.Perceptron(4, 10, 3, activation=activation, loss=loss)
    gd = tl.GradientDescent(net, TASK, lr=1.0 if loss == "cross_entropy" else 1e-3, weight_decay=decay)
    w0 = net.init(3, seed=2)
    run = tl.train(gd, w0, 20, record=("loss",))
    rest = (TASK.x.tolist(), gd.targets.tolist(), (4, 10, 3), activation, loss, decay)
    for i in range(3):
        value, slope = specification.gradient(w0[i].tolist(), *rest)
        assert run.loss[i, 0] == gd.loss(w0)[i] == value
        assert gd.gradient(w0)[i].tolist() == slope
        assert run.final[i].tolist() == specification.descend(w0[i].tolist(), 20, gd.lr, *rest)


@pytest.mark.parametrize("n", [1, 5, 8, 13])
def test_specification_for_sample_counts_that_fill_no_block(n):
    task = tl.Task("part", x=TASK.x[:n].copy(), y=TASK.y[:n].copy(), class_names=TASK.class_names)
    gd = tl.GradientDescent(NET, task, lr=1.0)
    w0 = NET.init(2, seed=1)
    rest = (task.x.tolist(), gd.targets.tolist(), (4, 10, 3), "sigmoid", "cross_entropy", 0.0)
    assert tl.train(gd, w0, 5).final[1].tolist() == specification.descend(w0[1].tolist(), 5, 1.0, *rest)


def test_golden_digests():
    outcome = golden.check()
    assert len(outcome) >= 4
    assert all(outcome.values()), outcome


def test_golden_runs_have_every_kind():
    """Depth, momentum, Adam and minibatches among them, and a difference in the last place grows in each of these."""
    made = {run.name: (run, *golden.initial(run.run)) for run in golden.load()}
    others = {name: one for name, one in made.items() if not one[1].problem.plain}
    assert len(others) == 4 and len(made) == 9
    for name, (run, gd, w0) in others.items():
        nudged = w0.copy()
        nudged[:, 0] = np.nextafter(nudged[:, 0], np.inf)
        finals = [tl.train(gd, w, run.run["steps"], record=()).final for w in (w0, nudged)]
        assert (np.abs(finals[0] - finals[1]).max(axis=1) > 1e-9).sum() >= 5, name


def test_golden_digests_can_fail(monkeypatch):
    run = golden.load()[0]
    other = golden.GoldenRun(run.name, run.run | {"lr": run.run["lr"] * (1 + 1e-15)}, run.initial, run.final)
    monkeypatch.setattr(golden, "load", lambda: (other,))
    assert golden.check() == {run.name: False}


@pytest.mark.slow
@pytest.mark.parametrize("processor", machine_code.WIDEST)
def test_golden_digests_with_other_machine_code(processor, tmp_path):
    code = "from trajlib.companion import golden; print(all(golden.check().values()), len(golden.load()))"
    assert machine_code.printed_on(processor, code, tmp_path) == f"True {len(golden.load())}"


def test_elementary_functions_are_accurate():
    """The specification's exp, expm1, log, sigmoid and tanh against mpmath-grade references, in units in the last place."""
    rng = np.random.default_rng(0)
    for x in np.concatenate([rng.uniform(-700, 700, 500), rng.normal(size=500), 10.0 ** rng.uniform(-12, 0, 200)]):
        x = float(x)
        assert abs(specification.exp(x) - math.exp(x)) <= 1.5 * math.ulp(math.exp(x))
        assert abs(specification.expm1(x) - math.expm1(x)) <= 2 * math.ulp(math.expm1(x))
        assert abs(specification.tanh(x) - math.tanh(x)) <= 4 * math.ulp(math.tanh(x))
        assert abs(specification.log(abs(x)) - math.log(abs(x))) <= 2 * math.ulp(math.log(abs(x)))
        exact = 1 / (1 + math.exp(-x))
        assert abs(specification.sigmoid(x) - exact) <= 3 * math.ulp(exact)
