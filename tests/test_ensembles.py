"""train, perturb and diverge: shapes, records, time index, bad input, interruption, overflow."""

import _thread
import signal
import threading
import warnings

import numpy as np
import pytest

import trajlib as tl
from trajlib import engines
from trajlib.engines.fused import cpu

TASK = tl.iris()
NET = tl.Perceptron(4, 10, 3)
GD = tl.GradientDescent(NET, TASK, lr=0.1)
W0 = NET.init(5, seed=0)


def test_index_counts_applied_steps():
    run = tl.train(
        GD,
        W0,
        7,
        record=("loss", "norm", "weights", "gradient_norm", "accuracy", "test_accuracy", "test_loss"),
    )
    assert run.times.tolist() == list(range(8))
    assert run.weights.shape == (5, 8, 83) and run.final.shape == (5, 83)
    np.testing.assert_array_equal(run.weights[:, 0], W0)
    np.testing.assert_array_equal(run.weights[:, 1], GD(W0))
    np.testing.assert_array_equal(run.weights[:, -1], run.final)
    np.testing.assert_array_equal(run.loss, GD.loss(run.weights))
    np.testing.assert_allclose(run.norm, np.abs(run.weights).sum(-1), rtol=1e-13)
    np.testing.assert_allclose(run.gradient_norm, np.linalg.norm(GD.gradient(run.weights), axis=-1), rtol=1e-13)
    np.testing.assert_array_equal(run.accuracy, GD.accuracy(run.weights, "train"))
    np.testing.assert_array_equal(run.test_accuracy, GD.accuracy(run.weights))
    np.testing.assert_array_equal(run.test_loss, GD.test_loss(run.weights))


@pytest.mark.parametrize("record", [("loss", "weights"), ("loss", "accuracy")])
@pytest.mark.parametrize("steps", [0, 1, 9, 10])
def test_every(steps, record):
    run = tl.train(GD, W0, steps, record=record, every=3)
    full = tl.train(GD, W0, steps, record=record)
    assert run.times.tolist() == list(range(0, steps + 1, 3))
    np.testing.assert_array_equal(run.loss, full.loss[:, ::3])
    np.testing.assert_array_equal(run.final, full.final)


def test_derived_records_in_small_buffers(monkeypatch):
    from trajlib.engines import records as _records

    whole = tl.train(GD, W0, 20, record=("accuracy", "loss"), every=3)
    monkeypatch.setattr(_records, "BUFFER_BYTES", 8 * W0.size * 2)
    pieces = tl.train(GD, W0, 20, record=("accuracy", "loss"), every=3)
    np.testing.assert_array_equal(pieces.times, whole.times)
    np.testing.assert_array_equal(pieces.loss, whole.loss)
    np.testing.assert_array_equal(pieces.accuracy, whole.accuracy)
    np.testing.assert_array_equal(pieces.final, whole.final)


def test_inputs_are_left_alone():
    before = W0.copy()
    tl.train(GD, W0, 3)
    tl.diverge(GD, W0, radius=1e-3, copies=2, steps=3)
    np.testing.assert_array_equal(W0, before)


def test_result_says_what_ran():
    run = tl.train(GD, W0, 1, threads=1)
    assert run.engine == "cpu" and "1 thread" in run.device


def test_perturbations():
    moved = tl.perturb(GD, W0, radius=1e-3, copies=400, seed=3)
    shift = moved - W0[:, None]
    assert moved.shape == (5, 400, 83)
    assert (shift[..., ~NET.is_weight] == 0).all()
    inside = shift[..., NET.is_weight] / 1e-3
    assert np.abs(inside).max() <= 1 + 1e-9
    # uniform on (-1, 1): mean 0, variance 1/3; 140,000 draws, five standard errors
    assert abs(inside.mean()) < 5 * np.sqrt(1 / 3 / inside.size)
    assert abs(inside.var() - 1 / 3) < 5 * np.sqrt(4 / 45 / inside.size)
    np.testing.assert_array_equal(tl.perturb(GD, W0[:2], radius=1e-3, copies=400, seed=3), moved[:2])
    small = tl.perturb(GD, W0, radius=1e-6, copies=400, seed=3) - W0[:, None]
    np.testing.assert_allclose(small * 1e3, shift, atol=1e-11)
    assert (tl.perturb(GD, W0, radius=1e-3, copies=2, seed=3, biases=True) != W0[:, None]).all()
    assert not (tl.perturb(GD, W0, radius=1e-3, copies=400, seed=4) == moved)[..., NET.is_weight].any()


def test_divergence_from_copies_of_ones_own():
    copies = tl.perturb(GD, W0, radius=1e-3, copies=3, seed=1)
    a = tl.diverge(GD, W0, radius=1e-3, copies=3, seed=1, steps=10)
    b = tl.diverge(GD, W0, perturbed=copies, steps=10)
    np.testing.assert_array_equal(a.distance, b.distance)
    np.testing.assert_allclose(a.distance[:, :, 0], tl.l1_distance(copies, W0[:, None]), rtol=1e-12)
    assert a.radius == 1e-3 and b.radius is None


def test_tangent_is_the_limit_of_small_perturbations():
    direction = np.random.default_rng(0).normal(size=(5, 3, 83))
    exact = tl.tangent(GD, W0, direction, 50)
    div = tl.diverge(GD, W0, perturbed=W0[:, None] + 1e-7 * direction, steps=50)
    np.testing.assert_allclose(div.distance / 1e-7, exact.norm, rtol=1e-4)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("loss", ["cross_entropy", "half_squared_error"])
def test_tangent_is_the_product_of_jacobians(activation, loss):
    net = tl.Perceptron(4, 10, 3, activation=activation, loss=loss)
    gd = tl.GradientDescent(net, TASK, lr=1e-3, weight_decay=0.1)
    w, v = net.init(3, seed=0), np.random.default_rng(1).normal(size=(3, 4, 83))
    out = tl.tangent(gd, w, v, 5)
    for _ in range(5):
        v, w = v @ gd.jacobian(w), gd(w)
    np.testing.assert_allclose(out.vectors, v, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(out.final, w)


def test_one_learning_rate_a_network():
    rates = np.array([0.01, 0.1, 1.0, 2.0, 5.0])
    run = tl.train(tl.GradientDescent(NET, TASK, lr=rates), W0, 50)
    for i, lr in enumerate(rates):
        alone = tl.train(tl.GradientDescent(NET, TASK, lr=float(lr)), W0[i : i + 1], 50)
        assert alone.final.tobytes() == run.final[i : i + 1].tobytes()
    div = tl.diverge(tl.GradientDescent(NET, TASK, lr=rates), W0, radius=1e-6, copies=9, steps=50)
    np.testing.assert_array_equal(div.loss, run.loss)


def test_overflow_is_reported_not_raised():
    net = tl.Perceptron(4, 10, 3, activation="relu", loss="half_squared_error")
    gd = tl.GradientDescent(net, TASK, lr=10.0)
    w0 = net.init(4, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = tl.train(gd, w0, 500, record=("loss", "weights"))
        div = tl.diverge(gd, w0, radius=1e-8, copies=2, steps=500)
    assert (run.nonfinite_at > 0).all()
    for i, t in enumerate(run.nonfinite_at):
        assert np.isfinite(run.weights[i, t - 1]).all() and not np.isfinite(run.weights[i, t]).all()
    np.testing.assert_array_equal(div.nonfinite_at[:, 0], run.nonfinite_at)
    assert (tl.train(GD, W0, 10).nonfinite_at == -1).all()


def test_overflow_with_derived_records():
    net = tl.Perceptron(4, 10, 3, activation="relu", loss="half_squared_error")
    gd = tl.GradientDescent(net, TASK, lr=10.0)
    w0 = net.init(2, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = tl.train(gd, w0, 300, record=("accuracy", "test_loss"))
    np.testing.assert_array_equal(got.nonfinite_at, tl.train(gd, w0, 300).nonfinite_at)


BAD_CALLS = [
    (lambda: tl.train(GD, W0, -1), ValueError, "steps must be an integer >= 0, got -1"),
    (lambda: tl.train(GD, W0, 1.5), TypeError, "steps must be an integer >= 0, got 1.5"),
    (lambda: tl.train(GD, W0, True), TypeError, "steps"),
    (lambda: tl.train(GD, W0, 5, every=0), ValueError, "every"),
    (lambda: tl.train(GD, W0, 5, threads=0), ValueError, "threads"),
    (lambda: tl.train(GD, W0, 5, record=("los",)), ValueError, "record must be one of 'loss'"),
    (
        lambda: tl.train(GD, W0, 5, engine="gpu"),
        ValueError,
        "engine must be one of 'auto', 'cuda', 'cpu', 'sparse', 'torch', 'generic', got 'gpu'",
    ),
    (lambda: tl.train(GD, W0, 5, engine="cpu", device="cuda"), ValueError, "runs on the CPU only"),
    (lambda: tl.train(GD, W0.astype(np.float32), 5), TypeError, "float64, got float32"),
    (lambda: tl.train(GD, np.ones((2, 83), dtype=int), 5), TypeError, "float64, got int64"),
    (lambda: tl.train(GD, W0.tolist(), 5), TypeError, "got list"),
    (lambda: tl.train(GD, W0[0], 5), ValueError, r"w0 must have shape \(n, 83\)"),
    (lambda: tl.train(GD, W0[:, :80], 5), ValueError, r"\(5, 80\)"),
    (lambda: tl.train(GD, W0[:0], 5), ValueError, "n >= 1"),
    (
        lambda: tl.train(GD, np.where(W0 > 2, np.nan, W0), 5),
        ValueError,
        "w0 must be finite, got nan at index",
    ),
    (lambda: tl.train(NET, W0, 5), TypeError, "must be a map"),
    (lambda: tl.train(tl.GradientDescent(NET, TASK, lr=np.ones(3)), W0, 5), ValueError, "one a network"),
    (lambda: tl.diverge(GD, W0, steps=5), ValueError, "give radius"),
    (
        lambda: tl.diverge(GD, W0, radius=-1.0, steps=5),
        ValueError,
        "radius must be a positive finite number, got -1.0",
    ),
    (lambda: tl.diverge(GD, W0, radius=0, steps=5), ValueError, "radius"),
    (lambda: tl.diverge(GD, W0, radius=np.inf, steps=5), ValueError, "radius"),
    (lambda: tl.diverge(GD, W0, radius="small", steps=5), TypeError, "radius"),
    (lambda: tl.diverge(GD, W0, radius=1e-30, steps=5), ValueError, "lost in rounding"),
    (lambda: tl.diverge(GD, W0, radius=1e-8, copies=0, steps=5), ValueError, "copies"),
    (lambda: tl.diverge(GD, W0, radius=1e-8, seed=-1, steps=5), ValueError, "seed"),
    (lambda: tl.diverge(GD, W0, perturbed=W0, steps=5), ValueError, "perturbed must have shape"),
    (lambda: tl.diverge(GD, W0, perturbed=W0[:, None], radius=1e-8, steps=5), ValueError, "not both"),
    (lambda: tl.tangent(GD, W0, W0, 5), ValueError, "vectors"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_records_too_large_for_memory():
    with pytest.raises(MemoryError, match="use every="):
        tl.train(GD, W0, 10**10, record=("weights",))


@pytest.mark.parametrize("record", [("loss",), ("loss", "accuracy")])
def test_ctrl_c_loses_nothing(monkeypatch, record):
    """SIGINT in the middle of a step range: the range is finished, the result is whole, and training can go on from it."""
    monkeypatch.setattr(engines, "PIECE", 0.0)  # one step a piece
    calls = []
    advance = cpu.FusedRun.advance

    def pressed(self, start, stop, last):
        calls.append(stop)
        if len(calls) == 8:
            signal.raise_signal(signal.SIGINT)
        advance(self, start, stop, last)

    monkeypatch.setattr(cpu.FusedRun, "advance", pressed)
    with pytest.raises(tl.Interrupted, match="stopped after 8 steps") as caught:
        tl.train(GD, W0, 100, record=record)
    monkeypatch.undo()
    result, full = caught.value.result, tl.train(GD, W0, 100, record=record)
    assert result.steps == 8
    for name in record:
        np.testing.assert_array_equal(getattr(result, name), getattr(full, name)[:, :9])
    np.testing.assert_array_equal(tl.train(GD, result.final, 92).final, full.final)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_the_last_piece_is_not_swallowed(monkeypatch):
    advance = cpu.FusedRun.advance
    monkeypatch.setattr(cpu.FusedRun, "advance", lambda *a: (signal.raise_signal(signal.SIGINT), advance(*a)))
    with pytest.raises(tl.Interrupted) as caught:
        tl.train(GD, W0, 3)
    monkeypatch.undo()
    np.testing.assert_array_equal(caught.value.result.final, tl.train(GD, W0, 3).final)


def test_a_real_interrupt_during_the_kernel():
    """While threads compute: the call ends soon, and references and copies are at the same step."""
    w0 = NET.init(64, seed=1)
    tl.diverge(GD, w0, radius=1e-8, copies=5, steps=1)
    timer = threading.Timer(1.0, _thread.interrupt_main)
    timer.start()
    with pytest.raises(tl.Interrupted) as caught:
        tl.diverge(GD, w0, radius=1e-8, copies=5, steps=50_000)
    result = caught.value.result
    assert 0 < result.steps < 50_000
    assert result.distance.shape == (64, 5, result.steps + 1) and np.isfinite(result.distance).all()
    np.testing.assert_array_equal(result.final, tl.train(GD, w0, result.steps).final)


def test_ctrl_c_twice_stops_at_once(monkeypatch):
    monkeypatch.setattr(cpu.FusedRun, "advance", lambda *_: [signal.raise_signal(signal.SIGINT) for _ in range(2)])
    with pytest.raises(KeyboardInterrupt) as caught:
        tl.train(GD, W0, 100)
    assert not isinstance(caught.value, tl.Interrupted)


def test_progress_bar_on_request(capsys, monkeypatch):
    monkeypatch.setattr("trajlib.progress.DELAY", 0.0)
    monkeypatch.setattr(engines, "PIECE", 0.0)
    tl.train(GD, W0, 500, record=(), progress=True)
    assert "train" in capsys.readouterr().err


def test_progress_reported_to_a_function_which_can_stop_the_work(monkeypatch):
    monkeypatch.setattr(engines, "PIECE", 0.0)
    calls = []

    def listen(label, done, total):
        calls.append((label, done, total))
        if len(calls) == 3:
            raise RuntimeError("enough")

    with tl.report_progress(listen):
        tl.train(GD, W0, 500, record=(), progress=False)
        assert calls == [], "False is silent"
        with pytest.raises(RuntimeError, match="enough"):
            tl.train(GD, W0, 500, record=())
    assert len(calls) == 3 and calls[0][0] == "train" and {total for *_, total in calls} == {500}
    assert [done for _, done, _ in calls] == sorted({done for _, done, _ in calls})
    tl.train(GD, W0, 500, record=())
    assert len(calls) == 3, "over with the context"


def test_learning_rates_do_not_matter_for_what_is_read_off_the_weights():
    gd = tl.GradientDescent(NET, TASK, lr=np.array([0.01, 0.1, 1.0, 2.0, 5.0]))
    run = tl.train(gd, W0, 5, record=("loss", "weights", "accuracy", "gradient_norm"))
    np.testing.assert_array_equal(run.accuracy, GD.accuracy(run.weights, "train"))
    np.testing.assert_array_equal(gd.loss(run.weights), run.loss)
    np.testing.assert_allclose(run.gradient_norm, np.linalg.norm(GD.gradient(run.weights), axis=-1))


def test_accuracy_of_a_diverged_network_is_nan():
    run = tl.train(tl.GradientDescent(NET, TASK, lr=1e308), W0, 8, record=("accuracy",))
    assert (run.nonfinite_at > 0).all() and np.isnan(run.accuracy[:, -1]).all()


def test_no_network_has_a_loss_and_a_gradient_of_no_entries():
    assert GD.loss(W0[:0]).shape == (0,) and GD.gradient(W0[:0]).shape == (0, 83)


@pytest.mark.parametrize("every", [np.uint8(2), np.int32(2)])
def test_numpy_integers_are_integers(every):
    run = tl.train(GD, W0, np.uint16(600), record=("loss", "accuracy"), every=every)
    assert run.times.dtype.kind == "i" and run.times[-1] == 600


REGRESSION = tl.Task("line", x=np.linspace(0, 1, 9)[:, None], y=np.linspace(0, 1, 9))
MORE_BAD_CALLS = [
    (lambda: tl.lyapunov_spectrum(GD, np.ones((9, 84)), 40, k=1), ValueError, r"\(n, 83\)|\(..., 83\)"),
    (lambda: tl.lyapunov_spectrum(GD, W0, 40, k=1, seed=None), TypeError, "seed"),
    (lambda: tl.lyapunov_spectrum(GD, W0, 40, k=1, threads=0), ValueError, "threads"),
    (lambda: tl.tangent(GD, W0, np.ones((5, 1, 83)), 5, threads=0), ValueError, "threads"),
    (lambda: tl.tangent(NET, W0, np.ones((5, 1, 83)), 5), TypeError, "must be a map"),
    (lambda: tl.perturb(NET, W0, radius=1e-8, copies=2, seed=0), TypeError, "must be a map"),
    (lambda: tl.sharpness(NET, W0), TypeError, "must be a map"),
    (lambda: tl.train(GD, W0, 5, record=5), TypeError, "record must be a tuple of names"),
    (
        lambda: tl.train(
            tl.GradientDescent(tl.Perceptron(1, 2, 1, loss="half_squared_error"), REGRESSION, lr=0.1),
            np.ones((1, 7)),
            10**9,
            record=("accuracy",),
        ),
        ValueError,
        "accuracy needs a classification task|no test part",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), MORE_BAD_CALLS)
def test_more_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("engine", ["cpu", "torch"])
@pytest.mark.parametrize("extra", [(), ("gradient_norm",)])
def test_weights_more_rarely_than_the_rest(engine, extra, monkeypatch):
    if engine == "torch":
        pytest.importorskip("torch")
    monkeypatch.setattr("trajlib.engines.records.BUFFER_BYTES", 8 * 83 * 5 * 3)  # pieces of a few records
    gd, w0 = GD, NET.init(5, seed=0)
    record = ("loss", "weights", *extra)
    often = tl.train(gd, w0, 47, record=record, every=2, engine=engine)
    rarely = tl.train(gd, w0, 47, record=record, every=2, weights_every=10, engine=engine)
    np.testing.assert_array_equal(rarely.loss, often.loss)
    np.testing.assert_array_equal(rarely.weights, often.weights[:, ::5])
    np.testing.assert_array_equal(rarely.final, often.final)
    assert tl.train(gd, w0, 47, record=record, every=2, weights_every=100, engine=engine).weights.shape == (5, 1, 83)
    with pytest.raises(ValueError, match="weights_every must be a multiple of every = 2, got 5"):
        tl.train(gd, w0, 47, record=record, every=2, weights_every=5, engine=engine)
