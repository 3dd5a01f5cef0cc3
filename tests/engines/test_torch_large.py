"""What large networks need of the torch engine: blocks of samples, columns of zeros, tangent vectors, records of copies, float32."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import trajlib as tl
from trajlib import engines
from trajlib.engines import records as _records

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from trajlib.engines import cpu, products  # noqa: E402
from trajlib.engines.torch import run as engine  # noqa: E402

TASK = tl.iris()
needs_cuda = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]
KINDS = [(a, b) for a in ("sigmoid", "tanh", "relu") for b in ("cross_entropy", "half_squared_error")]
OF_COPIES = ("loss", "weights", "accuracy", "test_accuracy", "test_loss")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads that wait for each other at every small call take ten times as long on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 40 samples for chunks of 2 networks: the last of both is smaller."""
    monkeypatch.setattr(products, "CPU_SAMPLES", 50)
    monkeypatch.setattr(products, "LEAST_SAMPLES", 50)
    monkeypatch.setattr(products, "CPU_BYTES", 1)


def iris_map(activation="tanh", loss="cross_entropy", lr=None, weight_decay=0.02):
    """A map on the Iris network with rates at which runs do not amplify rounding, one a network (for three)."""
    lr = (0.02 if loss == "cross_entropy" else 1e-4) * np.array([1.0, 2.0, 0.5]) if lr is None else lr
    return tl.GradientDescent(tl.Perceptron(4, 10, 3, activation, loss), TASK, lr=lr, weight_decay=weight_decay)


def images(n_samples=60, n_test=30, **options):
    """A network beyond the fused engine on pictures with an empty margin, which the test part does not keep empty."""
    rng = np.random.default_rng(0)
    x, x_test = rng.random((n_samples, 784)), rng.random((n_test, 784))
    x[:, :80] = x[:, -50:] = x[:, 300] = 0.0
    task = tl.Task("images", x, rng.integers(0, 10, n_samples), x_test, rng.integers(0, 10, n_test))
    return tl.GradientDescent(tl.Perceptron(784, 64, 10, activation="tanh"), task, **{"lr": 0.1} | options)


def agree(got, want, rtol=1e-11):
    """Equal but for rounding, relative to the size of the whole array."""
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=rtol * np.abs(want).max())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_columns_of_zeros_change_nothing(weight_decay, device):
    gd = images(weight_decay=weight_decay)
    w0 = gd.network.init(3, seed=0)
    run = tl.train(gd, w0, 2, record=("loss", "weights", "test_accuracy", "test_loss"), device=device)
    agree(run.final, gd(gd(w0)))
    agree(run.loss, gd.loss(run.weights))
    agree(run.test_loss, gd.test_loss(run.weights))
    np.testing.assert_array_equal(run.test_accuracy, gd.accuracy(run.weights))
    if not weight_decay:  # the gradient of these weights is exactly 0
        empty = np.zeros(785 * 64 + 650, dtype=bool)
        empty[: 784 * 64] = np.repeat((gd.task.x == 0).all(axis=0), 64)
        np.testing.assert_array_equal(run.final[:, empty], w0[:, empty])
        assert (run.final[:, ~empty] != w0[:, ~empty]).mean() > 0.99


@pytest.mark.parametrize(("activation", "loss"), KINDS)
def test_blocks_of_samples_change_rounding_at_most(small_blocks, activation, loss):
    gd = iris_map(activation, loss)
    w0 = gd.network.init(3, seed=0)
    run = engine.TorchRun(gd.problem, w0, w0[:, None], steps=1, every=1, record=frozenset())
    assert (run._products.block, run._products.chunk) == (40, 1) and len(TASK.x) == 120
    record = ("loss", "accuracy", "test_accuracy", "test_loss", "gradient_norm")
    got, want = (tl.train(gd, w0, 50, record=record, every=4, engine=name) for name in ("torch", "cpu"))
    for name in (*record, "final", "nonfinite_at"):
        agree(getattr(got, name), getattr(want, name))
    vectors = np.random.default_rng(1).normal(size=(3, 2, 83))
    got, want = (tl.tangent(gd, w0, vectors, 50, engine=name) for name in ("torch", "cpu"))
    agree(got.vectors, want.vectors)
    agree(got.norm, want.norm)


def test_threads_share_the_blocks(small_blocks):
    """Sums are taken in another order, the same one in every run; the caller's number of threads is left alone."""
    gd = images(n_samples=330, n_test=120, weight_decay=0.01)
    w0 = gd.network.init(2, seed=0, scheme="glorot")
    vectors = np.random.default_rng(1).normal(size=(2, 2, w0.shape[1]))

    def results():
        div = tl.diverge(gd, w0, steps=4, radius=1e-2, copies=2, record=OF_COPIES)
        arrays = [div.distance, div.snapshots, div.loss, div.copy_loss, div.test_loss, div.copy_test_loss]
        return [*arrays, div.copy_accuracy, div.copy_test_accuracy, tl.tangent(gd, w0, vectors, 4).vectors]

    alone = results()
    torch.set_num_threads(3)
    try:
        run = engine.TorchRun(gd.problem, w0, None, steps=1, every=1, record=frozenset())
        assert run._products.workers == 3 and run._products.block == 37  # 9 blocks of them
        shared, again = results(), results()
        with ThreadPoolExecutor(2) as pool:
            beside = list(pool.map(lambda _: results(), range(2)))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    for a, b, c in zip(alone, shared, again, strict=True):
        agree(b, a)
        assert b.tobytes() == c.tobytes()
    for one in beside:
        for a, b in zip(alone, one, strict=True):
            agree(b, a)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("activation", "loss"), KINDS)
def test_tangent_vectors_move_by_jacobians(activation, loss, weight_decay, device):
    gd = iris_map(activation, loss, weight_decay=weight_decay)
    w, v = gd.network.init(3, seed=0), np.random.default_rng(1).normal(size=(3, 4, 83))
    out = tl.tangent(gd, w, v, 7, engine="torch", device=device)
    assert out.engine == "torch" and out.device.endswith("float64")
    agree(out.norm[..., 0], np.abs(v).sum(axis=-1))
    for _ in range(7):
        v, w = v @ gd.jacobian(w), gd(w)
    agree(out.vectors, v)
    agree(out.final, w)
    agree(out.norm[..., -1], np.abs(v).sum(axis=-1))


def test_tangent_vectors_of_a_large_network_are_differences_of_gradients():
    gd = images(weight_decay=0.01, lr=0.3)
    rng = np.random.default_rng(2)
    w = gd.network.init(2, seed=0, scheme="glorot")
    v = rng.normal(size=(2, 3, w.shape[1]))
    out = tl.tangent(gd, w, v, 1)
    assert out.engine == "torch"
    h = 1e-6
    for i in range(2):
        moved = w[i] + h * np.stack([v[i], -v[i]])
        ahead, back = gd.gradient(moved)
        agree(out.vectors[i], v[i] - 0.3 * (ahead - back) / (2 * h), rtol=1e-8)


def test_exponents_of_a_large_network():
    """Against the definition: carry vectors step by step, and take a QR decomposition every third step."""
    gd = images(n_samples=30, lr=0.5)
    w0 = gd.network.init(2, seed=0, scheme="glorot")
    spec = tl.lyapunov_spectrum(gd, w0, 12, k=2, blocks=4, interval=3, transient=1, seed=4)
    w, v, growth = w0, np.random.Generator(np.random.PCG64(4)).standard_normal((1, 2, w0.shape[1])), []
    for t in range(1, 14):
        if t in (1, 2):
            v = np.linalg.qr(np.broadcast_to(v, (2, *v.shape[1:])).mT)[0].mT
        step = tl.tangent(gd, w, np.ascontiguousarray(v), 1)
        w, v = step.final, step.vectors
        if t in (4, 7, 10, 13):
            q, r = np.linalg.qr(v.mT)
            v = q.mT
            growth.append(np.log(np.abs(np.diagonal(r, axis1=1, axis2=2))) / 3)
    agree(spec.growth, np.stack(growth, axis=-1), rtol=1e-9)
    agree(spec.final, w)
    agree(spec.vectors @ spec.vectors.mT, np.broadcast_to(np.eye(2), (2, 2, 2)))
    with pytest.raises(ValueError, match=r"k, the number of exponents, must be given .* 20000 parameters, got 50890"):
        tl.lyapunov_spectrum(gd, w0, 12, blocks=4)


@pytest.mark.parametrize("device", DEVICES)
def test_exponents_are_those_of_the_fused_engine(device):
    gd = iris_map()
    w0 = gd.network.init(3, seed=0)
    options = {"k": 6, "interval": 2, "transient": 5, "blocks": 5}
    want = tl.lyapunov_spectrum(gd, w0, 50, **options)
    got = tl.lyapunov_spectrum(gd, w0, 50, engine="torch", device=device, **options)
    for name in ("growth", "vectors", "final", "exponents"):
        agree(getattr(got, name), getattr(want, name), rtol=1e-9)


def test_directions_that_are_wiped_out_have_exponent_minus_infinity():
    nothing = tl.Task("nothing", np.zeros((3, 2)), np.array([0, 1, 1]))
    gd = tl.GradientDescent(tl.Perceptron(2, 2, 2), nothing, lr=0.5, weight_decay=2.0)
    w0, vectors = gd.network.init(1, seed=0), np.eye(12)[None, :2]  # two weights of inputs that are always 0
    fused, batched = (
        tl.lyapunov_spectrum(gd, w0, 4, k=2, blocks=4, vectors=vectors, engine=name) for name in ("cpu", "torch")
    )
    assert (batched.exponents == -np.inf).all() and (fused.exponents == -np.inf).all()
    np.testing.assert_array_equal(batched.vectors, fused.vectors)


@pytest.mark.parametrize("buffer", [1, 1 << 27], ids=["one record a piece", "one piece"])
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("name", ["cpu", "torch"])
def test_records_of_copies(monkeypatch, name, every, buffer):
    monkeypatch.setattr(_records, "BUFFER_BYTES", buffer)
    gd = iris_map(weight_decay=0.1)
    w0 = gd.network.init(3, seed=0)
    options = {"steps": 10, "radius": 1e-2, "copies": 4, "every": every, "engine": name}
    plain, div = tl.diverge(gd, w0, **options), tl.diverge(gd, w0, record=OF_COPIES, **options)
    r = 10 // every + 1
    assert div.snapshots.shape == (3, 5, r, 83) and div.copy_weights.base is div.weights.base is not None
    np.testing.assert_array_equal(div.weights[:, 0], w0)
    if (r - 1) * every == 10:
        np.testing.assert_array_equal(div.weights[:, -1], div.final)
        np.testing.assert_array_equal(div.copy_weights[:, :, -1], div.final_copies)
    for key in ("distance", "loss", "final", "final_copies", "nonfinite_at", "times"):
        np.testing.assert_array_equal(getattr(div, key), getattr(plain, key))
    agree(div.distance, tl.l1_distance(div.copy_weights, div.weights[:, None]))
    for weights, prefix in ((div.weights, ""), (div.copy_weights, "copy_")):
        agree(getattr(div, f"{prefix}loss"), gd.loss(weights), rtol=1e-13)
        agree(getattr(div, f"{prefix}test_loss"), gd.test_loss(weights), rtol=1e-13)
        np.testing.assert_array_equal(getattr(div, f"{prefix}accuracy"), gd.accuracy(weights, "train"))
        np.testing.assert_array_equal(getattr(div, f"{prefix}test_accuracy"), gd.accuracy(weights))
    assert plain.weights is plain.copy_weights is plain.copy_loss is plain.copy_test_accuracy is None


def test_one_record_of_copies_brings_no_other():
    gd = iris_map()
    div = tl.diverge(gd, gd.network.init(3, 0), steps=3, radius=1e-2, copies=2, record="test_accuracy", engine="torch")
    assert div.copy_test_accuracy.shape == (3, 2, 4) and div.test_accuracy.shape == (3, 4)
    assert div.snapshots is div.copy_loss is div.accuracy is div.test_loss is None


def test_records_of_copies_that_there_are_not():
    gd = iris_map()
    w0 = gd.network.init(3, seed=0)
    with pytest.raises(ValueError, match="record must be one of 'loss', 'weights'"):
        tl.diverge(gd, w0, steps=3, radius=1e-2, record=("gradient_norm",))
    bare = tl.GradientDescent(gd.network, tl.Task("bare", TASK.x, TASK.y), lr=0.1)
    with pytest.raises(ValueError, match="has no test part"):
        tl.diverge(bare, w0, steps=3, radius=1e-2, record=("test_accuracy",), engine="torch")
    with pytest.raises(MemoryError, match="use every="):
        tl.diverge(gd, w0, steps=10**9, radius=1e-2, record=("weights",))


def test_accuracy_of_a_diverged_network_is_nan():
    gd = iris_map("relu", lr=1e308, weight_decay=0.0)
    run = tl.train(gd, gd.network.init(2, seed=0), 8, record=("accuracy", "test_accuracy"), engine="torch")
    assert (run.nonfinite_at > 0).all()
    assert np.isnan(run.accuracy[:, -1]).all() and np.isnan(run.test_accuracy[:, -1]).all()
    assert np.isfinite(run.accuracy[:, 0]).all()


@pytest.mark.parametrize("name", ["cpu", "torch"])
def test_a_stopped_run_has_whole_records_of_copies(monkeypatch, name):
    gd = iris_map()
    w0 = gd.network.init(3, seed=0)
    monkeypatch.setattr(engines, "PIECE", 0.0)
    kind = cpu.FusedRun if name == "cpu" else engine.TorchRun
    advance = kind.advance

    def press(self, start, stop, last):
        advance(self, start, stop, last)
        if (start, stop) == (4, 5):
            engines.signal.raise_signal(engines.signal.SIGINT)

    monkeypatch.setattr(kind, "advance", press)
    options = {"radius": 1e-2, "copies": 2, "record": ("weights", "test_accuracy"), "engine": name}
    with pytest.raises(tl.Interrupted) as stopped:
        tl.diverge(gd, w0, steps=100, **options)
    monkeypatch.undo()
    part, again = stopped.value.result, tl.diverge(gd, w0, steps=5, **options)
    assert part.steps == 5
    for key in ("snapshots", "test_accuracy", "copy_test_accuracy", "distance", "final_copies"):
        np.testing.assert_array_equal(getattr(part, key), getattr(again, key))


@pytest.mark.parametrize("name", ["cpu", "torch"])
def test_records_are_held_once(monkeypatch, name):
    monkeypatch.setattr(_records, "BUFFER_BYTES", 1 << 17)
    gd = iris_map(lr=0.01)
    w0 = gd.network.init(20, seed=0)
    tl.diverge(gd, w0, radius=1e-2, copies=4, steps=1, record=OF_COPIES, engine=name)
    tracemalloc.start()
    div = tl.diverge(gd, w0, radius=1e-2, copies=4, steps=300, record=("weights", "test_accuracy"), engine=name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert div.snapshots.nbytes > 15e6
    assert peak < 1.15 * div.snapshots.nbytes  # those of the references are a fifth of it


@pytest.mark.parametrize("device", DEVICES)
def test_float32_on_request(device):
    gd = iris_map()
    w0 = gd.network.init(3, seed=0)
    options = {"steps": 20, "radius": 1e-2, "copies": 2, "record": OF_COPIES}
    exact, rounded = (tl.diverge(gd, w0, dtype=d, device=device, **options) for d in ("float64", "float32"))
    assert rounded.engine == "torch" and rounded.device.endswith("float32") and exact.device.endswith("float64")
    for key in ("snapshots", "distance", "loss", "copy_loss", "final", "final_copies"):
        assert getattr(rounded, key).dtype == np.float64
        agree(getattr(rounded, key), getattr(exact, key), rtol=1e-4)
        assert (getattr(rounded, key) != getattr(exact, key)).any()
    np.testing.assert_array_equal(rounded.snapshots.astype(np.float32), rounded.snapshots)
    agree(rounded.distance, tl.l1_distance(rounded.copy_weights, rounded.weights[:, None]))
    vectors = np.random.default_rng(0).normal(size=(3, 2, 83))
    exact, rounded = (tl.tangent(gd, w0, vectors, 20, dtype=d, device=device) for d in ("float64", "float32"))
    agree(rounded.vectors, exact.vectors, rtol=1e-4)
    assert rounded.device.endswith("float32")
    spectra = [tl.lyapunov_spectrum(gd, w0, 20, k=2, dtype=d, device=device) for d in ("float64", "float32")]
    agree(spectra[1].exponents, spectra[0].exponents, rtol=1e-3)


def test_copies_within_the_rounding_of_float32_collapse_onto_their_reference():
    gd = images()
    w0 = gd.network.init(1, seed=0)
    options = {"steps": 2, "radius": 1e-8, "copies": 2}
    apart, together = tl.diverge(gd, w0, **options), tl.diverge(gd, w0, dtype="float32", **options)
    changed = (together.final_copies != together.final[:, None]).mean()
    assert 0 < changed < 0.9 and (apart.final_copies != apart.final[:, None]).mean() > 0.98
    collapsed = tl.diverge(gd, w0, dtype="float32", steps=2, radius=1e-12, copies=2)
    near_zero = np.abs(w0[0]) < 1e-4
    assert (collapsed.final_copies == collapsed.final[:, None])[..., ~near_zero].mean() > 0.99


@pytest.mark.parametrize("call", [tl.train, tl.diverge, tl.tangent, tl.lyapunov_spectrum])
def test_the_fused_engine_computes_in_float64(call):
    gd = iris_map()
    w0 = gd.network.init(3, seed=0)
    own = {
        tl.train: {"steps": 1},
        tl.diverge: {"steps": 1, "radius": 1e-2},
        tl.tangent: {"vectors": w0[:, None], "steps": 1},
        tl.lyapunov_spectrum: {"steps": 20, "k": 1},
    }[call]
    with pytest.raises(
        ValueError, match="engine='cpu' computes in float64 only, got dtype='float32'; use engine='torch'"
    ):
        call(gd, w0, engine="cpu", dtype="float32", **own)
    with pytest.raises(ValueError, match="dtype must be one of 'float64', 'float32', got 'half'"):
        call(gd, w0, dtype="half", **own)
