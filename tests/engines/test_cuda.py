"""The CUDA engine without a GPU: its kernels as a C++ program, its PTX run instruction by instruction, its calls on a made-up driver.

What only a GPU can show is marked ``cuda``: that the card keeps IEEE 754 (``ptxas`` makes machine code of the PTX), that 32 lanes of a warp
see what the others have written, that it is fast.
"""

import ctypes
import os
import platform
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import trajlib as tl
from trajlib.companion import golden
from trajlib.engines import Size, cuda, pick
from trajlib.engines.cuda import cost, driver, source
from trajlib.engines.cuda import run as engine

HERE = sys.platform == "linux" and platform.machine() == "x86_64"
DEMANDED = bool(os.environ.get("CI"))  # what is skipped elsewhere fails there
pytestmark = pytest.mark.skipif(
    not HERE or (shutil.which("g++") is None and not DEMANDED), reason="needs Linux on x86-64 and a C++ compiler"
)
from host_device import HostDevice, shared_object  # noqa: E402
from ptx import PtxDevice, Refused, built, translated  # noqa: E402

TASK = tl.iris()
NAMES = ("loss", "copy_loss", "weights", "copy_weights", "norm", "distance", "final", "final_state", "exponents", "growth", "nonfinite_at",
         "vectors", "gradient_norm")  # fmt: skip
ARCHITECTURES = ("compute_75", "compute_80", "compute_90", "compute_100")
needs_nvrtc = pytest.mark.skipif(driver._library("nvrtc") is None and not DEMANDED, reason="NVRTC is not installed")
needs_cuda = [pytest.mark.cuda, pytest.mark.skipif(driver.why_not() is not None, reason="there is no GPU")]


@pytest.fixture
def host(monkeypatch):
    device = HostDevice()
    monkeypatch.setattr(engine, "open_device", lambda name: device)


def same_bytes(call):
    """What a call gives with either engine."""
    want, got = call("cpu"), call("cuda")
    assert getattr(got, "engine", "cuda") == "cuda"
    compared = [name for name in NAMES if getattr(want, name, None) is not None]
    for name in compared:
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name), err_msg=name)
    return compared


def everything(gd, n=3, scale=1.0):
    """Training, copies and tangent vectors of a map: the same bytes."""
    w0 = gd.network.init(n, seed=0) * scale
    same_bytes(lambda e: tl.train(gd, w0, 11, every=3, record=("loss", "norm", "weights", "gradient_norm"), engine=e))
    copied = {"radius": 1e-3, "copies": 2, "seed": 1, "every": 2, "record": ("loss", "weights")}
    same_bytes(lambda e: tl.diverge(gd, w0, steps=7, **copied, engine=e))
    same_bytes(lambda e: tl.lyapunov_spectrum(gd, w0, 20, k=5, engine=e))
    same_bytes(lambda e: tl.covariant_vectors(gd, w0, 8, transient=(4, 4), k=3, engine=e))


GD, KINDS = tl.GradientDescent, {}
KINDS["sigmoid, plain"] = tl.Perceptron(4, 10, 3), GD, {"lr": 1.0}
KINDS["tanh, squared error, decay"] = (
    tl.Perceptron(4, 5, 3, "tanh", "half_squared_error"),
    GD,
    {"lr": 1e-3, "weight_decay": 0.1},
)
KINDS["relu, mean squared error"] = tl.Perceptron(4, 7, 3, "relu", "mean_squared_error"), GD, {"lr": 0.01}
KINDS["gelu, AdamW, minibatches"] = (
    tl.Perceptron(4, (5, 4), 3, "gelu"),
    tl.AdamW,
    {"lr": 0.01, "batch_size": 7, "weight_decay": 0.1},
)
KINDS["gelu_tanh, Nesterov"] = tl.Perceptron(4, 6, 3, "gelu_tanh"), GD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}
KINDS["a rate a layer"] = tl.Perceptron(4, (3, 3), 3, "identity"), GD, {"lr": (0.1, 0.2, 0.05), "momentum": 0.5}
KINDS["RMSProp, a schedule"] = (
    tl.Perceptron(4, (4, 3), 3, "tanh"),
    tl.RMSProp,
    {"lr": tl.schedules.cosine(0.01, 30), "batch_size": 50},
)
KINDS["RMSProp with momentum"] = tl.Perceptron(4, 5, 3), tl.RMSProp, {"lr": 0.01, "momentum": 0.5}
KINDS["mean field"] = tl.Perceptron(4, 9, 3, "tanh", bias=False, scale=(1.4, 0.1)), GD, {"lr": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_kernels_give_the_bytes_of_the_fused_engine(kind, host):
    net, rule, options = KINDS[kind]
    everything(rule(net, TASK, **options))


def test_a_rate_a_network_and_more_samples_than_a_warp_has_lanes(host):
    rng = np.random.default_rng(0)
    for samples in (1, 33):
        task = tl.Task("odd", x=rng.normal(size=(samples, 2)), y=np.arange(samples) % 2)
        if samples > 1:
            everything(tl.GradientDescent(tl.Perceptron(2, 3, 2), task, lr=np.array([0.1, 1.0, 9.0])))


def test_weights_that_leave_the_numbers(host):
    net = tl.Perceptron(4, 5, 3, "relu", "half_squared_error")
    gd = tl.GradientDescent(net, TASK, lr=np.array([1e-4, 1e3, 1e4]))
    w0 = net.init(3, seed=0)
    same_bytes(lambda e: tl.train(gd, w0, 60, record=("loss", "norm", "weights"), engine=e))
    run = tl.train(gd, w0, 60, record=("loss",), engine="cuda")
    assert run.nonfinite_at[0] == -1 and (run.nonfinite_at[1:] > 0).all()
    found = np.unique(run.loss[np.isnan(run.loss)].view(np.uint64))
    assert found.tolist() == [np.array(np.nan).view(np.uint64)]  # every nan has the same bits


def test_the_softmax_map(host):
    reduced = tl.SoftmaxMap(10.0, TASK.proportions)
    b0 = reduced.init(4, seed=0)
    same_bytes(lambda e: tl.train(reduced, b0, 200, record=("weights",), engine=e))
    same_bytes(lambda e: tl.lyapunov_spectrum(reduced, b0, 200, engine=e))


def test_golden_digests_come_out(host, monkeypatch):
    runs = [run for run in golden.load() if run.run["steps"] <= 2000]
    monkeypatch.setattr(golden, "load", lambda: runs)
    assert len(runs) >= 5 and all(golden.check(engine="cuda").values())


def test_pieces_change_nothing(host, monkeypatch):
    gd = tl.Adam(tl.Perceptron(4, 5, 3), TASK, lr=0.01, batch_size=9)
    w0 = gd.network.init(3, seed=0)
    whole = tl.train(gd, w0, 40, every=4, record=("loss", "weights"), engine="cuda")
    monkeypatch.setattr("trajlib.engines.PIECE", 0.0)
    cut = tl.train(gd, w0, 40, every=4, record=("loss", "weights"), engine="cuda")
    for name in ("loss", "weights", "final_state"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name))


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_ptx_is_ieee_and_gives_the_same_bytes(architecture, monkeypatch):
    """Refuses any fma, any approximation and anything else that is not known. What is equal for two architectures is compiled once."""
    device = PtxDevice(architecture)
    monkeypatch.setattr(engine, "open_device", lambda name: device)
    for kind in ("sigmoid, plain", "gelu, AdamW, minibatches"):
        net, rule, options = KINDS[kind]
        gd = rule(net, TASK, **options)
        text = source.source(gd.problem, True, device.shared)
        ptx = driver.compile_ptx(text, architecture)
        assert f".target sm_{architecture.removeprefix('compute_')}" in ptx and "fma" not in ptx and "approx" not in ptx
        w0 = net.init(3, seed=0)
        same_bytes(lambda e, gd=gd, w0=w0: tl.train(gd, w0, 7, every=3, record=("loss", "weights"), engine=e))
        same_bytes(lambda e, gd=gd, w0=w0: tl.covariant_vectors(gd, w0[:2], 4, transient=(2, 2), k=2, engine=e))


@needs_nvrtc
def test_a_contraction_is_noticed(monkeypatch):
    monkeypatch.setattr(driver, "OPTIONS", tuple(o for o in driver.OPTIONS if "fmad" not in o))
    gd = tl.GradientDescent(tl.Perceptron(4, 3, 3), TASK, lr=1.0)
    with pytest.raises(Refused, match=r"fma|rounding is not spelt out"):
        translated(driver.compile_ptx(source.source(gd.problem, False, 48 * 1024), "compute_80"))


@needs_nvrtc
def test_what_the_compiler_says_is_passed_on():
    with pytest.raises(driver.ComputeError, match="undefined_thing"):
        driver.compile_ptx('extern "C" __global__ void f() { undefined_thing(); }', "compute_80")


@pytest.fixture
def made_up_card(monkeypatch):
    """A driver of this machine's memory, whose card runs the PTX."""
    path = shared_object(
        ["gcc", "-O1", "-x", "c", "-"], (Path(__file__).parents[1] / "fake_cuda.c").read_text(encoding="utf-8")
    )
    fake, real = ctypes.CDLL(str(path)), driver._library
    monkeypatch.setattr(driver, "_library", lambda kind: fake if kind == "cuda" else real(kind))
    compile_ptx = driver.compile_ptx
    monkeypatch.setattr(driver, "compile_ptx", lambda text, architecture: str(built(compile_ptx(text, architecture))))
    driver._card.cache_clear()
    cost._pace.cache_clear()
    yield fake
    driver._card.cache_clear()
    cost._pace.cache_clear()


@needs_nvrtc
def test_the_calls_of_the_driver(made_up_card, monkeypatch, tmp_path):
    monkeypatch.setenv("TRAJLIB_DATA", str(tmp_path))
    assert driver.why_not() is None
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), TASK, lr=1.0)
    w0 = gd.network.init(3, seed=0)
    same_bytes(lambda e: tl.train(gd, w0, 7, every=3, record=("loss", "weights"), engine=e))
    run = tl.train(gd, w0, 7, engine="cuda", device="cuda:0")
    assert run.device.startswith("CUDA kernel on made-up card; made-up card is for longer runs")
    assert made_up_card.living() == 0  # all memory was given back
    with pytest.raises(driver.ComputeError, match="out of memory"):
        driver.open_device(None).zeros(1 << 40)
    with pytest.raises(driver.ComputeError, match="cuDeviceGet failed"):
        tl.train(gd, w0, 7, engine="cuda", device="cuda:3")


@needs_nvrtc
def test_auto_takes_a_card_where_it_gains(made_up_card, monkeypatch, tmp_path):
    monkeypatch.setenv("TRAJLIB_DATA", str(tmp_path))
    gd, large = (tl.GradientDescent(tl.Perceptron(4, h, 3), TASK, lr=1.0) for h in (10, 3000))
    work = Size(10_000, 0, 10_000, 2)
    measured = cost.pace(driver.open_device(None))  # this card is an interpreter: slow
    assert 0 < measured.full <= 100 * measured.alone and list(tmp_path.glob("pace-*.json"))
    assert pick(gd, size=work) == "cpu"
    monkeypatch.setattr(cost, "pace", lambda device: cost.Pace(alone=1e-10, full=1e-13, launch=1e-5))
    assert pick(gd, size=work) == "cuda" and pick(gd) == "cpu" and pick(gd, device="cuda") == "cuda"
    assert pick(gd, size=Size(8, 0, 100, 2)) == "cpu"  # over before the card is awake
    assert pick(gd, dtype="float32", size=work) == "torch" and pick(large, size=work) == "torch"
    problem = gd.problem
    assert cost.gains(problem, 10_000, 0, 10_000, 2, None)
    monkeypatch.setattr(cost, "pace", lambda device: cost.Pace(alone=1e-10, full=1e-10, launch=1e-5))
    assert not cost.gains(problem, 10_000, 0, 10_000, 2, None)  # a card as fast as the processor
    assert "times the processor's time" in cost.reason(problem, 10_000, 0, 10_000, 2, driver.open_device(None))


def test_without_a_gpu_it_says_what_is_missing(monkeypatch):
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), TASK)
    w0 = gd.network.init(2, seed=0)
    monkeypatch.setattr(driver, "_library", lambda kind: None)
    with pytest.raises(
        ValueError, match=r"needs an NVIDIA GPU, and there is no NVIDIA driver here .*engine='cpu' gives the same bits"
    ):
        tl.train(gd, w0, 2, engine="cuda")
    with pytest.raises(driver.ComputeError, match="pip install nvidia-cuda-nvrtc"):
        driver.compile_ptx("", "compute_80")
    assert pick(gd, size=Size(10**6, 0, 10**6)) == "cpu"
    for options, said in (({"dtype": "float32"}, "float64 only"), ({"device": "cpu"}, "runs on a GPU")):
        with pytest.raises(ValueError, match=said):
            tl.train(gd, w0, 2, engine="cuda", **options)
    assert cuda.ENGINE.refuses(tl.DiagonalNetwork(np.eye(2), np.ones(2)), None, "float64")


def test_a_wide_network_has_its_room_in_global_memory():
    small, wide = (tl.GradientDescent(tl.Perceptron(4, (h, h), 3), TASK).problem for h in (5, 120))
    assert source.workspace(small, True, 48 * 1024)[1] and not source.workspace(wide, True, 48 * 1024)[1]


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=needs_cuda) for kind in KINDS])
def test_on_a_gpu(kind):
    net, rule, options = KINDS[kind]
    everything(rule(net, TASK, **options), n=40)


@pytest.mark.parametrize("name", [pytest.param("golden", marks=needs_cuda)])
def test_golden_digests_on_a_gpu(name):
    assert all(golden.check(engine="cuda").values())
