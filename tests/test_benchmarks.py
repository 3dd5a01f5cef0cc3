"""The benchmarks: what they compare computes the same thing; the committed result is what the page reads."""

import hashlib
import importlib
import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

import trajlib as tl
from trajlib.dynamics.reference import HenonMap

ROOT = Path(__file__).resolve().parent.parent
NAMES = (
    "trajlib",
    "trajlib_one_thread",
    "pytorch_loop",
    "pytorch_batched",
    "pytorch_blocks",
    "jax",
    "jax_blocks",
)


@pytest.fixture(scope="module")
def training():
    """benchmarks/training.py as a module; torch's number of threads is put back afterwards."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import training

    yield training
    sys.path.remove(str(ROOT / "benchmarks"))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def result():
    return json.loads((ROOT / "data" / "benchmarks" / "training.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "name",
    [
        "arithmetic",
        "cost",
        "covariant",
        "curvature",
        "modules",
        "optimisers",
        "digits",
        "embedding",
        "meanfield",
        "mnist_step",
        "own_maps",
        "own_network",
        "series",
        "softmax_map",
        "stability",
    ],
)
def test_other_results_are_what_their_runs_wrote(name):
    stored = json.loads((ROOT / "data" / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))
    content = json.dumps(stored["results"], sort_keys=True).encode()
    assert stored["manifest"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert str(ROOT) not in json.dumps(stored) and "/home/" not in json.dumps(stored)


@pytest.mark.parametrize("name", NAMES[1:])
def test_implementations_agree_where_training_is_not_chaotic(training, name):
    if name.startswith("jax"):
        pytest.importorskip("jax")
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(split_seed=0), lr=0.01)
    w0 = gd.network.init(3, seed=0)
    expected = tl.train(gd, w0, 50)
    losses, final = training.IMPLEMENTATIONS[name][1](gd, w0, 50)
    np.testing.assert_allclose(final, expected.final, rtol=0, atol=1e-12)
    np.testing.assert_allclose(losses, expected.loss[:, :50], rtol=0, atol=1e-12)


def test_pictures_of_trainability_agree(monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import trainability

    differences = trainability.largest_differences(4, 10)
    assert set(differences) == {"trajlib", "jax", "jax_scan"} and max(differences.values()) < trainability.TOLERANCE


def test_the_committed_result_has_everything_the_page_reads(result):
    rows = result["results"]["implementations"]
    assert tuple(rows) == NAMES
    for row in rows.values():
        for key in ("us_per_network_step", "times_trajlib"):
            low, high = row[key]["quartiles"]
            assert 0 < low <= row[key]["median"] <= high < math.inf
        assert len(row["rounds"]) == result["manifest"]["rounds"]
        assert row["label"] and row["networks"] > 0 and row["steps"] > 0 and row["cores_busy"] > 0
    assert all(r == 1 for r in rows["trajlib"]["times_trajlib"]["quartiles"])
    assert result["results"]["diverge"]["peak_gb"] < 1
    for start in ("cold_cache", "warm_cache"):
        assert set(result["results"]["start"][start]) == {"import_s", "compile_or_load_s", "process_s"}


def test_the_committed_result_is_what_the_run_wrote(result):
    content = json.dumps(result["results"], sort_keys=True).encode()
    assert result["manifest"]["sha256"] == hashlib.sha256(content).hexdigest()
    agreement = result["results"]["agreement"]
    assert set(agreement["largest_difference"]) == set(NAMES)
    assert max(agreement["largest_difference"].values()) < agreement["tolerance"] <= 1e-9


def test_the_committed_result_names_no_path_and_no_host(result):
    assert set(result["manifest"]["machine"]) == {
        "processor", "architecture", "cores", "memory_gib", "system", "python", "versions"
    }  # fmt: skip
    assert str(ROOT) not in json.dumps(result) and "/home/" not in json.dumps(result)


@pytest.fixture
def mnist_step(monkeypatch):
    """benchmarks/mnist_step.py as a module, on few pictures of its own making."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import mnist_step

    monkeypatch.setattr(mnist_step, "cache_folder", lambda: ROOT / "no such folder")
    yield mnist_step
    torch.set_num_threads(threads)


def test_a_step_is_the_same_in_all_implementations(mnist_step):
    gd, w0 = mnist_step.setting(200)
    assert w0.shape == (6, 50_890) and (gd.task.x == 0).all(axis=0).sum() >= 67
    assert 0.7 < (gd.task.x == 0).mean() < 0.85
    differences = mnist_step.disagreement(gd, w0)
    assert set(differences) == set(mnist_step.IMPLEMENTATIONS) and max(differences.values()) < 1e-11


def test_what_the_benchmark_of_a_step_writes(mnist_step, capsys):
    result = mnist_step.measure(200, 1, rounds=2)
    mnist_step.show({"200": result})
    assert "share" in capsys.readouterr().out
    for inputs, group in result["products"].items():
        assert group["inputs"] == 784 if inputs == "all" else group["inputs"] <= 717
        assert set(group["layouts"]) >= {"forward", "backward"} and group["share_of_step"]["median"] > 0


def test_the_committed_result_of_a_step():
    result = json.loads((ROOT / "data" / "benchmarks" / "mnist_step.json").read_text(encoding="utf-8"))
    content = json.dumps(result["results"], sort_keys=True).encode()
    assert result["manifest"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert set(result["results"]) == {"10000", "60000"}
    for block in result["results"].values():
        agreement = block["agreement"]
        assert max(agreement["largest_difference"].values()) < agreement["tolerance"] <= 1e-9
        assert block["products"]["all"]["share_of_step"]["median"] >= block["target"] == 0.8
        assert block["implementations"]["pytorch_loop"]["times_trajlib"]["median"] > 1


@pytest.fixture
def covariant(monkeypatch):
    """benchmarks/covariant.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import covariant

    return covariant


def test_the_numpy_network_is_the_same_network(covariant):
    gd = covariant.setting()
    w = gd.network.init(4, seed=1)
    step, jacobian = covariant.numpy_network(gd)
    for row in w:
        np.testing.assert_allclose(step(row), gd(row), atol=1e-13)
        np.testing.assert_allclose(jacobian(row), gd.jacobian(row), atol=1e-13)
    exponents = covariant.numpy_exponents(gd, w[0], 40)
    np.testing.assert_allclose(covariant.trajlib_exponents(gd, w[:1], 40)[0], exponents, atol=1e-13)


def test_lyapynov_has_the_same_vectors(covariant):
    pytest.importorskip("lyapynov")
    henon, start = HenonMap(), np.array([0.1, 0.1])
    ours = covariant.trajlib_vectors(henon, start[None], 300, 100)[0]
    theirs = covariant.lyapynov_vectors(henon, henon.jacobian, start, 300, 100)
    assert covariant.apart(theirs, ours) < 1e-10


def test_the_committed_result_of_covariant_vectors():
    results = json.loads((ROOT / "data" / "benchmarks" / "covariant.json").read_text(encoding="utf-8"))["results"]
    off = results["agreement"]["largest_difference"]
    for name in ("exponents", "henon_lyapynov", "network_lyapynov", "network_trajlib_not_covariant"):
        assert off[name] < results["agreement"]["tolerance"] <= 1e-8
    assert results["exponents"]["us_per_step"]["median"] <= results["targets"]["exponents_us_per_step"] == 6
    for side in ("lyapynov", "clvlib"):
        assert results[f"vectors_{side}"]["times_trajlib"]["median"] > 10


@pytest.fixture
def own_maps(monkeypatch):
    """benchmarks/own_maps.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import own_maps

    return own_maps


def test_the_jacobians_of_the_five_maps_are_those_of_their_steps(own_maps):
    h = 1e-6
    for m in own_maps.MAPS.values():
        x = own_maps.starts(m, 1)[0]
        columns = [(m.step(x + h * e) - m.step(x - h * e)) / (2 * h) for e in np.eye(len(x))]
        np.testing.assert_allclose(m.jacobian(x), np.column_stack(columns), atol=1e-7)


def test_pynamicalsys_has_the_same_exponents_and_vectors(own_maps):
    pytest.importorskip("pynamicalsys")
    m = own_maps.MAPS["henon"]
    off = own_maps.agreement(m, own_maps.theirs(m), 1000)
    assert off["vectors_compared"] == 2 and off["vectors"] < 1e-10 and off["states"] == 0
    assert off["exponents_times_steps"] < 10


def test_the_committed_result_of_own_maps():
    results = json.loads((ROOT / "data" / "benchmarks" / "own_maps.json").read_text(encoding="utf-8"))["results"]
    for name in ("henon", "towel", "standard", "lorenz", "lattice"):
        off = results[name]["agreement"]
        assert off["states"] == 0 and off["vectors_compared"] > 0 and off["vectors"] < 1e-5
        for quantity in ("exponents", "vectors"):
            for ratio in ("one_over_pynamicalsys", "pynamicalsys_over_many"):
                assert 0 < results[name][quantity][ratio]["median"] < math.inf


@pytest.fixture
def benchmark(monkeypatch):
    """A benchmark as a module, by its name; torch's number of threads is put back afterwards."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module
    torch.set_num_threads(threads)


@pytest.mark.parametrize("training", ["deep", "adam", "heavy_ball"])
def test_optimisers_do_the_same_in_all_implementations(benchmark, training):
    optimisers = benchmark("optimisers")
    names = [
        name for name in optimisers.IMPLEMENTATIONS if not name.startswith("jax") or importlib.util.find_spec("optax")
    ]
    gd = optimisers.TRAININGS[training][1](tl.iris(split_seed=0))
    off = optimisers.disagreement(gd, gd.network.init(3, seed=0), 10, names)
    assert set(off) == set(names) and max(off.values()) < optimisers.TOLERANCE <= 1e-9


def test_the_operations_of_a_step_are_counted(benchmark):
    task = tl.Task("one sample", x=np.array([[0.5]]), y=np.array([2.0]))
    gd = tl.GradientDescent(tl.Perceptron(1, 1, 1, activation="identity", loss="half_squared_error"), task, lr=0.1)
    w = np.array([0.3, 0.1, -0.7, 0.2])
    operations, loss, moved = benchmark("arithmetic").counted(gd, w)
    run = tl.train(gd, w[None], 1)
    assert loss == run.loss[0, 0] and moved == run.final[0].tolist()
    # forwards 2 and 2, cost 2 and 4 (0 for a penalty), backwards 4 and 5 (one product is with the slope of the identity); then of each
    # of the 4 weights mean, decay and step
    assert operations == {"multiplications": 8 + 4 * 2, "additions": 11 + 4 * 2, "divisions": 1 + 4}


def test_vectors_at_the_peak_are_multiplied_and_added(benchmark):
    arithmetic = benchmark("arithmetic")
    arithmetic.compile_peak(3)(10)  # checks what comes out of its first passes


@pytest.mark.parametrize("name", ["small_perceptron", "convolutional"])
def test_exponents_of_modules_are_those_by_hand(benchmark, name):
    modules = benchmark("modules")
    off = modules.disagreement(*modules.setting(name, 2), 4)
    assert set(off) == set(modules.SIDES) and max(off.values()) < modules.TOLERANCE <= 1e-10


def test_curvature_is_the_same_in_other_packages(benchmark):
    for package in ("curvlinops", "hessian_eigenthings"):
        pytest.importorskip(package)
    curvature = benchmark("curvature")
    small = curvature.setting("small", (64, 12, 10))
    off = curvature.disagreement(small, 2)
    assert set(off) == set(curvature.SIDES) and max(off.values()) < curvature.TOLERANCE <= 1e-8


def test_the_committed_results_have_all_sides():
    stored = {
        name: json.loads((ROOT / "data" / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))["results"]
        for name in ("optimisers", "modules", "curvature", "arithmetic")
    }
    groups = [(row["implementations"], 6, row["agreement"]) for row in stored["optimisers"].values()]
    groups += [
        (row[key]["sides"], n, row["agreement"])
        for row in stored["modules"].values()
        for key, n in (("one", 2), ("many", 3))
    ]
    for name in ("ten_thousand", "million"):
        groups += [
            (stored["curvature"][name][k]["sides"], 3, stored["curvature"][name][k] | stored["curvature"]) for k in "15"
        ]
    assert len(groups) == 3 + 6 + 4
    for sides, n, agreement in groups:
        assert len(sides) == n and sides["trajlib"]["times"]["quartiles"] == [1, 1]
        assert max(agreement["largest_difference"].values()) < agreement["tolerance"]
        assert all(0 < side["times"]["median"] < math.inf for side in sides.values())
    assert stored["arithmetic"]["additions_and_multiplications"] > 100_000
    assert 0 < stored["arithmetic"]["share_of_peak"]["median"] < 1
