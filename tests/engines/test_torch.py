"""The torch engine gives what the fused one gives, to rounding; stops between steps; says what it lacks."""

import importlib
import signal
import sys
import time

import numpy as np
import pytest

import trajlib as tl
from trajlib import engines

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from trajlib.engines import products  # noqa: E402
from trajlib.engines.torch import run as engine  # noqa: E402

TASK = tl.iris()
ACTIVATIONS = ("sigmoid", "tanh", "relu")
LOSSES = ("cross_entropy", "half_squared_error")
needs_cuda = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads that wait for each other at every small call take ten times as long on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def iris_map(activation="sigmoid", loss="cross_entropy", lr=None, weight_decay=0.0):
    """A map on the Iris network whose runs contract (squared errors are summed: steeper than a mean)."""
    lr = (0.01 if loss == "cross_entropy" else 1e-5) if lr is None else lr
    return tl.GradientDescent(tl.Perceptron(4, 10, 3, activation, loss), TASK, lr=lr, weight_decay=weight_decay)


def large(n_samples=40, **options):
    """A network beyond the fused engine, on random data."""
    rng = np.random.default_rng(0)
    task = tl.Task("noise", x=rng.random((n_samples, 784)), y=rng.integers(0, 10, n_samples))
    return tl.GradientDescent(tl.Perceptron(784, 64, 10, **options), task, lr=0.1)


def agree(got, want, rtol=1e-11):
    """Equal but for the rounding of a few hundred steps, relative to the size of the whole array."""
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=rtol * np.abs(want).max())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_train_agrees_with_the_fused_engine(activation, loss, weight_decay, device):
    gd = iris_map(activation, loss, weight_decay=weight_decay)
    w0 = gd.network.init(9, seed=3)
    record = ("loss", "norm", "weights")
    want = tl.train(gd, w0, 300, record=record, every=7, engine="cpu")
    got = tl.train(gd, w0, 300, record=record, every=7, engine="torch", device=device)
    assert np.abs(want.final - w0).max() > 1e-2, "the run must go somewhere for the test to mean anything"
    for name in (*record, "final", "times", "nonfinite_at"):
        agree(getattr(got, name), getattr(want, name))
    assert got.engine == "torch"
    assert got.device.startswith(f"torch {torch.__version__.partition('+')[0]} on {device}")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("every", [1, 4])
def test_diverge_agrees_with_the_fused_engine(every, device):
    gd = iris_map(lr=0.1, weight_decay=0.01)
    w0 = gd.network.init(6, seed=0)
    options = {"steps": 150, "radius": 1e-2, "copies": 3, "seed": 5, "every": every}
    want = tl.diverge(gd, w0, engine="cpu", **options)
    got = tl.diverge(gd, w0, engine="torch", device=device, **options)
    for name in ("distance", "loss", "final", "final_copies", "nonfinite_at"):
        agree(getattr(got, name), getattr(want, name))


@pytest.mark.parametrize("device", DEVICES)
def test_one_learning_rate_a_network_goes_to_its_copies_too(device):
    lr = np.array([0.001, 0.01, 0.1, 0.2])
    gd = iris_map(lr=lr, weight_decay=0.01)
    w0 = gd.network.init(4, seed=0)
    got = tl.diverge(gd, w0, steps=100, radius=1e-2, copies=2, engine="torch", device=device)
    for i, rate in enumerate(lr):
        moved = tl.perturb(gd, w0, radius=1e-2, copies=2, seed=0)[i : i + 1]
        alone = tl.diverge(iris_map(lr=rate, weight_decay=0.01), w0[i : i + 1], steps=100, perturbed=moved)
        agree(got.final_copies[i], alone.final_copies[0])
        agree(got.distance[i], alone.distance[0])


@pytest.mark.parametrize("budget", [1, 150_000, 1 << 40], ids=["one network", "several", "all"])
def test_chunks_change_rounding_at_most(monkeypatch, budget):
    gd = iris_map(lr=0.1, weight_decay=0.01)
    w0 = gd.network.init(7, seed=0)  # 21 rows with the copies; a chunk of 6 holds both kinds
    options = {"steps": 30, "radius": 1e-2, "copies": 2}
    want = tl.diverge(gd, w0, engine="cpu", **options)
    monkeypatch.setattr(products, "CPU_BYTES", budget)
    got = tl.diverge(gd, w0, engine="torch", **options)
    for name in ("distance", "loss", "final", "final_copies"):
        agree(getattr(got, name), getattr(want, name))


@pytest.mark.parametrize("budget", [1, 400_000, 1 << 40])
def test_the_budget_sets_the_chunk(monkeypatch, budget):
    monkeypatch.setattr(products, "CPU_BYTES", budget)
    gd = iris_map()
    run = engine.TorchRun(gd.problem, gd.network.init(10, 0), None, steps=1, every=1, record=frozenset())
    work = run._products
    held = sum(buffer.numel() * 8 for buffer in work.buffers.values())
    per_network = 8 * len(TASK.x) * 2 * (10 + 3)  # one thread, all samples
    assert held == per_network * work.chunk
    assert held <= max(budget, per_network)
    assert work.chunk == {1: 1, 400_000: 10, 1 << 40: 10}[budget]


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_at_the_end(loss, weight_decay):
    gd = iris_map("tanh", loss, weight_decay=weight_decay)
    w0 = gd.network.init(5, seed=0)
    out, ran = engines.iterate(gd.problem, w0, steps=10, record=("gradient", "loss"), engine="torch")
    assert ran.steps == 10
    agree(out["gradient"], gd.gradient(out["reference"]))
    agree(out["loss"][:, -1], gd.loss(out["reference"]))


def test_pieces_change_nothing(monkeypatch):
    gd = iris_map(lr=0.1)
    w0 = gd.network.init(3, seed=0)
    whole = tl.train(gd, w0, 60, record=("loss", "weights"), every=4, engine="torch")
    monkeypatch.setattr(engines, "PIECE", 0.0)  # one step a piece
    cut = tl.train(gd, w0, 60, record=("loss", "weights"), every=4, engine="torch")
    assert cut.loss.tobytes() == whole.loss.tobytes()
    assert cut.weights.tobytes() == whole.weights.tobytes()


def test_no_steps():
    gd = iris_map()
    w0 = gd.network.init(3, seed=0)
    run = tl.train(gd, w0, 0, record=("loss", "norm"), engine="torch")
    np.testing.assert_array_equal(run.final, w0)
    agree(run.loss, gd.loss(w0)[:, None])
    agree(run.norm, np.abs(w0).sum(axis=1)[:, None])
    np.testing.assert_array_equal(run.nonfinite_at, -1)


def test_inputs_are_left_alone():
    gd = iris_map()
    w0 = gd.network.init(3, seed=0)
    before = w0.copy()
    first = tl.train(gd, w0, 5, engine="torch")
    np.testing.assert_array_equal(w0, before)
    kept = first.final.copy()
    tl.train(gd, first.final, 5, engine="torch")
    np.testing.assert_array_equal(first.final, kept)


@pytest.mark.parametrize("device", DEVICES)
def test_overflow_is_reported_at_its_first_step(device):
    """A squared error at a huge learning rate blows up in a few steps; the network beside it does not."""
    gd = iris_map("tanh", "half_squared_error", lr=np.array([1e3, 1e-5, 1e2]))
    w0 = gd.network.init(3, seed=0)
    run = tl.train(gd, w0, 200, record=("loss", "weights"), engine="torch", device=device)
    finite = np.isfinite(run.weights).all(axis=-1)
    assert run.nonfinite_at[1] == -1 and finite[1].all()
    for i in (0, 2):
        assert 0 < run.nonfinite_at[i] < 200
        assert finite[i, : run.nonfinite_at[i]].all() and not finite[i, run.nonfinite_at[i] :].any()
    # intermediate results may overflow a step apart, the products being taken in another order
    assert np.abs(run.nonfinite_at - tl.train(gd, w0, 200, engine="cpu").nonfinite_at).max() <= 1


def test_overflow_of_a_copy_alone():
    gd = iris_map("relu", "half_squared_error")
    w0 = gd.network.init(2, seed=0)
    moved = np.repeat(w0[:, None], 2, axis=1)
    moved[1, 0] *= 1e60
    div = tl.diverge(gd, w0, steps=10, perturbed=moved, engine="torch")
    assert div.nonfinite_at[1, 1] > 0
    assert (np.delete(div.nonfinite_at.ravel(), 4) == -1).all()
    assert np.isfinite(div.distance[[0, 0, 1], [0, 1, 1]]).all()


def test_ctrl_c_stops_between_two_steps(monkeypatch):
    """The signal comes in mid-step: the piece is finished, and what is recorded belongs together."""
    gd = iris_map(lr=0.1)
    w0 = gd.network.init(3, seed=0)
    activate, calls = products.ACTIVATE["sigmoid"], []

    def press(z):
        calls.append(z)
        if len(calls) == 100:
            signal.raise_signal(signal.SIGINT)
        return activate(z)

    monkeypatch.setitem(products.ACTIVATE, "sigmoid", press)
    monkeypatch.setattr(engines, "PIECE", 0.005)
    with pytest.raises(tl.Interrupted, match=r"stopped after \d+ steps") as stopped:
        tl.diverge(gd, w0, steps=20_000, radius=1e-2, copies=2, every=3, engine="torch")
    monkeypatch.undo()
    part = stopped.value.result
    assert 100 <= part.steps < 20_000
    assert part.distance.shape == (3, 2, part.steps // 3 + 1)
    again = tl.diverge(gd, w0, steps=part.steps, radius=1e-2, copies=2, every=3, engine="torch")
    for name in ("distance", "loss", "final", "final_copies"):
        agree(getattr(part, name), getattr(again, name))


def test_an_error_on_the_way_reaches_the_caller(monkeypatch):
    def fail(z):
        raise RuntimeError("out of memory")

    monkeypatch.setitem(products.ACTIVATE, "tanh", fail)
    gd = iris_map("tanh")
    with pytest.raises(RuntimeError, match="out of memory"):
        tl.train(gd, gd.network.init(2, seed=0), 5, engine="torch")


@pytest.mark.parametrize("options", [{}, {"activation": "relu", "loss": "half_squared_error"}])
def test_auto_takes_torch_for_large_networks(options):
    gd = large(**options)
    if options:
        gd = tl.GradientDescent(gd.network, gd.task, lr=1e-6, weight_decay=0.1)
    w0 = gd.network.init(3, seed=0, scheme="glorot")
    run = tl.train(gd, w0, 3)
    assert run.engine == "torch" and run.device.endswith("on cpu, float64")
    want, losses = w0, [gd.loss(w0)]
    for _ in range(3):
        want = gd(want)
        losses.append(gd.loss(want))
    agree(run.final, want)
    agree(run.loss, np.stack(losses, axis=1))


def test_a_device_means_torch():
    assert engines.pick(iris_map().problem, "auto", "cpu") == "torch"
    assert engines.pick(iris_map().problem, "auto") == "cpu"
    with pytest.raises(ValueError, match="use engine='torch'"):
        engines.pick(iris_map().problem, "cpu", "cuda")


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "mps", "meta", ""])
def test_unavailable_devices(device):
    gd = iris_map()
    with pytest.raises(ValueError, match=rf"device must be one of 'cpu'.* got {device!r}"):
        tl.train(gd, gd.network.init(1, seed=0), 1, engine="torch", device=device)


def test_a_device_is_a_name():
    gd = iris_map()
    with pytest.raises(TypeError, match="device must be a name such as 'cpu' or 'cuda', or None, got 3"):
        tl.train(gd, gd.network.init(1, seed=0), 1, engine="torch", device=3)


def test_cuda_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match=r"'cpu' here \(torch .* sees no CUDA device\), got 'cuda'"):
        engine.pick_device("cuda")
    assert engine.pick_device(None) == engine.pick_device("cpu") == torch.device("cpu")


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "trajlib.engines.torch.run")
    with pytest.raises(ImportError, match=r"pip install 'trajlib\[torch\]'"):
        importlib.import_module("trajlib.engines.torch.run")
    gd = large()
    with pytest.raises(ImportError, match="engine='cpu' does without"):
        tl.train(gd, gd.network.init(1, seed=0), 1)


def test_first_piece_is_short():
    """The estimate of a step's time is within a factor of 50, so Ctrl-C and the bar answer from the start."""
    gd = large(n_samples=500)
    run = engine.TorchRun(gd.problem, gd.network.init(4, seed=0), None, steps=10, every=1, record=frozenset({"loss"}))
    run.advance(0, 1, False)
    best = np.inf
    for t in range(1, 6):
        began = time.perf_counter()
        run.advance(t, t + 1, False)
        best = min(best, time.perf_counter() - began)
    assert best / 50 < run.seconds_per_step < 50 * best


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=needs_cuda)])
def test_records_that_wait_on_a_gpu(monkeypatch, device):
    gd = iris_map(lr=0.1)
    w0 = gd.network.init(5, seed=0)
    whole = tl.train(gd, w0, 50, record=("weights", "loss"), engine="torch", device=device)
    monkeypatch.setattr(engine, "PENDING_BYTES", 1)
    cut = tl.train(gd, w0, 50, record=("weights", "loss"), engine="torch", device=device)
    assert cut.weights.tobytes() == whole.weights.tobytes() and "cuda (" in whole.device
