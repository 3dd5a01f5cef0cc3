"""Sweeps: whatever happens on the way (kill -9, full disk, damaged files, lost workers), the end is the same, byte for byte."""

import builtins
import errno
import functools
import hashlib
import importlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

import trajlib as tl
from trajlib import _files
from trajlib.sweeps import grid as sweeps
from trajlib.sweeps import shards as _shards
from trajlib.sweeps import workers
from trajlib.sweeps.grid import SweepError, SweepInterrupted, open_sweep, sweep

MODULE = '''
"""What the sweeps of these tests run, here and on workers. The environment says what goes wrong; the result stays the same."""
import os, signal, time
from pathlib import Path
import numpy as np

class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")

def walk(seed, scale, steps=50):
    trouble, _, detail = os.environ.get("SWEEP_TROUBLE", "").partition(":")
    if trouble == "slow":
        time.sleep(float(detail))
    if trouble == "fail" and seed == 1:
        raise ValueError(f"no result for {scale}")
    if trouble == "unpicklable" and seed == 1:
        raise Unpicklable("one", "two")
    if trouble == "kill once" and seed == 2 and not Path(detail).exists():
        Path(detail).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == "fail once" and seed == 2 and not Path(detail).exists():
        Path(detail).touch()
        raise ValueError("only once")
    x = scale * np.random.Generator(np.random.PCG64(seed)).standard_normal(steps).cumsum()
    return {"walk": x, "last": x[-1], "name": np.array(f"walk {seed}")}

def set_trouble(trouble):
    os.environ["SWEEP_TROUBLE"] = trouble
'''
SCRIPT = """
import signal, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from trajlib.sweeps.grid import sweep
from sweep_cells import walk
GRID = {{"seed": range(6), "scale": [0.5, 1.0]}}
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have switched it off
    {body}
"""
GRID = {"seed": range(6), "scale": [0.5, 1.0]}
SPAWN = multiprocessing.get_context("spawn")
posix = pytest.mark.skipif(os.name != "posix", reason="needs the signals of a Unix system")


@pytest.fixture
def walk(tmp_path_factory, monkeypatch):
    """The function to sweep, in a module that other processes can import."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "sweep_cells.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    root = str(Path(tl.__file__).parents[1])
    paths = [str(folder), root, *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.delenv("SWEEP_TROUBLE", raising=False)
    sys.modules.pop("sweep_cells", None)
    yield importlib.import_module("sweep_cells").walk
    sys.modules.pop("sweep_cells", None)


@pytest.fixture
def reference(walk, tmp_path):
    """What an uninterrupted sweep leaves behind."""
    sweep(walk, GRID, tmp_path / "reference")
    return contents(tmp_path / "reference")


def contents(folder):
    """Bytes of all files of the result: of all but the log."""
    return {p.name: p.read_bytes() for p in Path(folder).iterdir() if p.name != _shards.LOG}


def computed(folder):
    """How many cells were computed so far."""
    return len((Path(folder) / _shards.LOG).read_text().splitlines())


def shards(folder):
    return sorted(Path(folder).glob("*.npz"))


def start(tmp_path, body, **options):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(body=body))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, str(script)], **pipes, **options)


def wait_for_shards(process, folder, number):
    deadline = time.monotonic() + 60
    while len(shards(folder)) < number:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"only {len(shards(folder))} cells after a minute"
        time.sleep(0.005)


def assert_stopped_midway(folder):
    assert 0 < len(shards(folder)) < 12
    check = open_sweep(folder).check()
    assert len(check.missing) == 12 - len(shards(folder)) and not check.damaged


# ------------------------------------------------------------------------------------------------------------------- results


def test_a_sweep(walk, tmp_path):
    result = sweep(walk, GRID, tmp_path / "s", fixed={"steps": 7})
    assert len(result) == 12 and result.cells[:3] == [
        {"seed": 0, "scale": 0.5},
        {"seed": 0, "scale": 1.0},
        {"seed": 1, "scale": 0.5},
    ]
    assert result.axes == {"seed": (0, 1, 2, 3, 4, 5), "scale": (0.5, 1.0)}
    assert result.array("walk").shape == (6, 2, 7) and result.array("last").shape == (6, 2)
    for i, seed in enumerate(GRID["seed"]):
        for j, scale in enumerate(GRID["scale"]):
            expected = walk(seed, scale, steps=7)
            found = result.load(seed=seed, scale=scale)
            assert list(found) == sorted(expected)
            for name, value in expected.items():
                np.testing.assert_array_equal(found[name], value)
                np.testing.assert_array_equal(result.array(name)[i, j], value)
                assert found[name].dtype == np.asarray(value).dtype
    assert [cell for cell, _ in result] == result.cells
    np.testing.assert_array_equal([r["last"] for _, r in result], result.array("last").ravel())
    assert result.check() == ([], [], [])
    assert result.manifest["run"] == "sweep_cells.walk" and result.manifest["fixed"] == {"steps": 7}


def test_read_later(walk, tmp_path):
    first = sweep(walk, GRID, tmp_path / "s", fixed={"steps": 7}, version="b")
    later = open_sweep(str(tmp_path / "s"))
    assert later.axes == first.axes and later.cells == first.cells
    assert later.manifest["version"] == "b" and later.manifest["fixed"] == {"steps": 7}
    np.testing.assert_array_equal(later.array("walk"), first.array("walk"))


def test_the_manifest_lists_the_files(walk, tmp_path):
    sweep(walk, GRID, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in shards(tmp_path)} == manifest["sha256"]
    assert manifest["made_by"][0]["numpy"] == np.__version__ and len(manifest["made_by"]) == 1


def test_bytes_of_a_file_are_pinned():
    """The same on every machine and in every year: no times, no order of a dict, no order in memory."""
    results = {"b": np.asfortranarray(np.arange(6, dtype="<i4").reshape(2, 3)), "a": np.float64(0.1)}
    data = _shards.pack(results, b'{"cell":{}}')
    assert data == _shards.pack({"a": np.array(0.1), "b": np.arange(6, dtype="<i4").reshape(2, 3)}, b'{"cell":{}}')
    assert hashlib.sha256(data).hexdigest() == "6c0c0abca8ab608070aadbb1f02da4c28e67d4083b45f7817ff953f4fc4b52e6"
    assert hashlib.sha256(data[:-64]).hexdigest() == data[-64:].decode()
    with np.load(io.BytesIO(data)) as archive:
        np.testing.assert_array_equal(archive["b"], [[0, 1, 2], [3, 4, 5]])
        assert archive["a"].shape == () and sorted(archive.files) == ["a", "b", "cell.json"]
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None


def test_cells_one_by_one(walk, tmp_path):
    cells = [{"scale": 2.0, "seed": 3}, {"seed": 0, "scale": 1.0}]
    result = sweep(walk, cells, tmp_path / "s")
    assert result.axes is None and result.cells == cells
    assert result.array("walk").shape == (2, 50)
    np.testing.assert_array_equal(result.array("last"), [walk(3, 2.0)["last"], walk(0, 1.0)["last"]])
    assert open_sweep(tmp_path / "s").cells == cells


def test_parameters_of_many_kinds(tmp_path):
    got = []

    def run(**cell):
        got.append(cell)
        return {"x": 0}

    grid = {
        "lr": np.array([0.1, 1e-300]),
        "layers": [(5,), [5, (6, 7)]],
        "name": ["relu", "ε"],
        "flag": [True],
        "none": [None],
        "number": [np.int32(3), 10**30],
    }
    result = sweep(run, grid, tmp_path)
    assert len(result) == len(got) == 16
    assert got[0] == {"lr": 0.1, "layers": (5,), "name": "relu", "flag": True, "none": None, "number": 3}
    assert type(got[0]["lr"]) is float and type(got[0]["number"]) is int and got[-1]["layers"] == (5, (6, 7))
    assert open_sweep(tmp_path).cells == got == result.cells
    for cell in got:
        open_sweep(tmp_path).load(**cell)


def test_load_takes_equal_numbers(walk, tmp_path):
    result = sweep(walk, GRID, tmp_path)
    np.testing.assert_array_equal(result.load(seed=np.int64(2), scale=1)["walk"], walk(2, 1.0)["walk"])


@pytest.mark.parametrize("cell", [{"seed": 7, "scale": 1.0}, {"seed": 1}, {"seed": 1, "scale": 1.0, "lr": 1}, {}])
def test_load_without_such_a_cell(cell, walk, tmp_path):
    result = sweep(walk, GRID, tmp_path)
    with pytest.raises(KeyError, match=r"has no cell .*; it has .*scale.*\(0\.5, 1\.0\)"):
        result.load(**cell)


def test_arrays_that_do_not_fit_together(tmp_path):
    result = sweep(lambda n: {"x": np.zeros(n)} | ({"y": 1} if n == 1 else {}), {"n": [1, 2]}, tmp_path)
    with pytest.raises(
        ValueError, match=r"'x' must have one shape in all cells, got \(1,\) in {'n': 1} and \(2,\) in {'n': 2}"
    ):
        result.array("x")
    with pytest.raises(KeyError, match=r"'y' is not among the arrays of cell {'n': 2}: x"):
        result.array("y")


def test_a_sweep_of_trainings(tmp_path):
    task, net = tl.iris(), tl.Perceptron(4, 10, 3)

    def train(lr, steps):
        return {"loss": tl.train(tl.GradientDescent(net, task, lr=lr), net.init(3, seed=0), steps).loss}

    result = sweep(train, {"lr": [0.01, 1.0]}, tmp_path, fixed={"steps": 5})
    assert result.array("loss").shape == (2, 3, 6)
    np.testing.assert_array_equal(result.load(lr=1.0)["loss"], train(1.0, 5)["loss"])


# -------------------------------------------------------------------------------------------------------------------- resume


def test_nothing_is_computed_or_written_twice(walk, tmp_path, monkeypatch):
    sweep(walk, GRID, tmp_path / "s")
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "s").iterdir()}
    monkeypatch.setattr(sweeps, "write", None)
    monkeypatch.setattr(_shards, "held", None)  # a complete sweep may lie in a folder that is read-only
    sweep(walk, GRID, tmp_path / "s")
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "s").iterdir()} == before


@posix
def test_kill_9_and_resume(walk, reference, tmp_path, monkeypatch):
    folder = tmp_path / "s"
    monkeypatch.setenv("SWEEP_TROUBLE", "slow:0.03")
    for target in (2, 6):
        process = start(tmp_path, f"sweep(walk, GRID, {str(folder)!r})")
        wait_for_shards(process, folder, target)
        process.kill()
        process.communicate()
        assert_stopped_midway(folder)
    (folder / "0123.npz.99.tmp").write_bytes(b"half")  # where the kill hits while a file is being written
    monkeypatch.delenv("SWEEP_TROUBLE")
    kept = len(shards(folder))
    sweep(walk, GRID, folder)
    assert contents(folder) == reference
    assert computed(folder) in (12, 12 - 1, 12 - 2), "a kill between a file and its line in the log loses the line"
    assert kept >= 6


@posix
def test_ctrl_c_and_resume(walk, reference, tmp_path, monkeypatch):
    folder = tmp_path / "s"
    monkeypatch.setenv("SWEEP_TROUBLE", "slow:0.1")
    process = start(tmp_path, f"sweep(walk, GRID, {str(folder)!r})")
    wait_for_shards(process, folder, 3)
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert process.returncode != 0 and error.count("Traceback") == 1
    assert f"stopped: {len(shards(folder))} of 12 cells are kept in {folder}; the same call goes on from there" in error
    assert_stopped_midway(folder)
    monkeypatch.delenv("SWEEP_TROUBLE")
    sweep(walk, GRID, folder)
    assert contents(folder) == reference and computed(folder) == 12


@posix
def test_ctrl_c_with_a_pool(walk, reference, tmp_path, monkeypatch):
    """A terminal sends the signal to the workers too."""
    folder = tmp_path / "s"
    monkeypatch.setenv("SWEEP_TROUBLE", "slow:0.3")
    pool = "with ProcessPoolExecutor(2, mp_context=get_context('spawn')) as pool:"
    process = start(tmp_path, f"{pool} sweep(walk, GRID, {str(folder)!r}, executor=pool)", start_new_session=True)
    wait_for_shards(process, folder, 2)
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert f"of 12 cells are kept in {folder}" in error
    assert_stopped_midway(folder)
    monkeypatch.delenv("SWEEP_TROUBLE")
    sweep(walk, GRID, folder)
    assert contents(folder) == reference


def test_an_interrupted_call_within_a_cell(walk, tmp_path):
    """Ctrl-C reaches a long call of the library first, which raises its own Interrupted."""
    result = tl.train(tl.GradientDescent(tl.Perceptron(4, 2, 3), tl.iris(), lr=0.1), np.zeros((1, 19)), 1)

    def run(seed):
        if seed == 2:
            raise tl.Interrupted(result)
        return {"x": seed}

    with pytest.raises(SweepInterrupted, match="stopped: 2 of 4 cells are kept") as caught:
        sweep(run, {"seed": range(4)}, tmp_path)
    assert isinstance(caught.value, KeyboardInterrupt) and isinstance(caught.value, tl.Interrupted)
    assert caught.value.result.load(seed=1)["x"] == 1
    assert [cell["seed"] for cell in caught.value.result.check().missing] == [2, 3]


def test_an_interruption_keeps_what_the_executor_has_finished(walk, reference, tmp_path, monkeypatch):
    class Instant(Executor):
        """Everything is done at once, and then Ctrl-C is pressed."""

        def submit(self, function, /, *arguments):
            future = Future()
            future.set_result(function(*arguments))
            return future

    def pressed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(workers, "wait", pressed)
        with pytest.raises(SweepInterrupted, match="stopped: 5 of 12 cells are kept"):
            sweep(walk, GRID, tmp_path / "s", executor=Instant(), in_flight=5)
    sweep(walk, GRID, tmp_path / "s", executor=Instant())
    assert contents(tmp_path / "s") == reference


@pytest.mark.parametrize("workers", [0, 2])
def test_cells_that_fail(workers, walk, reference, tmp_path, monkeypatch):
    folder, executor = tmp_path / "s", ThreadPoolExecutor(workers) if workers else None
    monkeypatch.setenv("SWEEP_TROUBLE", "fail")
    with pytest.raises(SweepError) as caught:
        sweep(walk, GRID, folder, executor=executor)
    text = str(caught.value)
    assert text.startswith("2 cells failed:") and "{'seed': 1, 'scale': 0.5}: ValueError: no result for 0.5" in text
    assert f"10 of 12 cells are kept in {folder}; the same call goes on from there" in text
    assert sorted(cell["scale"] for cell, _ in caught.value.failed) == [0.5, 1.0]
    assert caught.value.__cause__ is caught.value.failed[0][1]
    assert caught.value.result.load(seed=5, scale=0.5)
    with pytest.raises(SweepError, match=r"cell {'seed': 1, 'scale': 0.5}: .* is missing; the same call"):
        caught.value.result.array("walk")
    monkeypatch.delenv("SWEEP_TROUBLE")
    sweep(walk, GRID, folder, executor=executor)
    assert contents(folder) == reference and computed(folder) == 12
    if executor:
        executor.shutdown()


def test_a_long_list_of_failures_is_cut(tmp_path):
    with pytest.raises(SweepError, match=r"and 15 more, in .failed of this exception") as caught:
        sweep(lambda i: 1 / 0, {"i": range(25)}, tmp_path)
    assert len(caught.value.failed) == 25 and str(caught.value).count("ZeroDivisionError") == 10


@pytest.mark.parametrize(
    "returned, message",
    [
        (None, "run must return a dict with at least one array, got None"),
        ({}, "run must return a dict with at least one array"),
        (np.zeros(3), "run must return a dict with at least one array"),
        ({"a/b": 1}, "names of arrays must be identifiers such as 'loss', got 'a/b'"),
        ({1: 1}, "names of arrays must be identifiers such as 'loss', got 1"),
        ({"x": [{}]}, "x must be an array of numbers or strings, got objects"),
        ({"x": [[1], [1, 2]]}, "inhomogeneous"),
    ],
)
def test_results_that_are_refused(returned, message, tmp_path):
    with pytest.raises(SweepError, match=message):
        sweep(lambda i: returned, {"i": [0]}, tmp_path)
    assert not shards(tmp_path)


# ------------------------------------------------------------------------------------------------------------- damaged files

DAMAGES = {
    "one bit": lambda data: data[:300] + bytes([data[300] ^ 4]) + data[301:],
    "one bit of the checksum": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "truncated": lambda data: data[:-100],
    "truncated to the checksum": lambda data: data[-64:],
    "empty": lambda data: b"",
    "longer": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_found_and_computed_again(damage, walk, reference, tmp_path):
    folder = tmp_path / "reference"
    victim = folder / _shards.file({"seed": 3, "scale": 1.0})
    victim.write_bytes(damage(victim.read_bytes()))
    result = open_sweep(folder)
    check = result.check()
    assert check.damaged == [{"seed": 3, "scale": 1.0}] and not check.missing and len(check.reasons) == 1
    with pytest.raises(
        SweepError, match=r"cell {'seed': 3, 'scale': 1.0}: .* is damaged: .* do not match the checksum"
    ):
        result.load(seed=3, scale=1.0)
    with pytest.raises(SweepError, match="is damaged"):
        result.array("walk")
    with pytest.warns(RuntimeWarning, match=f"{victim.name} of cell .* is damaged: .*; it is computed again") as caught:
        sweep(walk, GRID, folder)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert contents(folder) == reference and computed(folder) == 13


def test_no_flipped_bit_and_no_truncation_passes(tmp_path):
    result = sweep(lambda i: {"x": i}, {"i": [0]}, tmp_path)
    (path,) = shards(tmp_path)
    data = path.read_bytes()
    for at in range(len(data)):
        for bad in (data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :], data[:at]):
            path.write_bytes(bad)
            with pytest.raises(ValueError, match="do not match the checksum"):
                result._verified({"i": 0})


def test_files_that_changed_places(walk, reference, tmp_path):
    folder = tmp_path / "reference"
    a, b = (folder / _shards.file({"seed": seed, "scale": 1.0}) for seed in (0, 1))
    shutil.copy(a, b)
    with pytest.raises(SweepError, match="belongs to another cell"):
        open_sweep(folder).load(seed=1, scale=1.0)
    with pytest.warns(RuntimeWarning, match="belongs to another cell"):
        sweep(walk, GRID, folder)
    assert contents(folder) == reference


def test_a_foreign_file_with_a_checksum(walk, reference, tmp_path):
    data = b"not even a zip archive"
    (tmp_path / "reference" / _shards.file({"seed": 1, "scale": 1.0})).write_bytes(
        data + hashlib.sha256(data).hexdigest().encode()
    )
    with pytest.raises(SweepError, match="belongs to another cell or to another sweep"):
        open_sweep(tmp_path / "reference").load(seed=1, scale=1.0)


def test_a_whole_file_with_another_result(walk, reference, tmp_path):
    """From a merge of two folders, say: right cell, right checksum, but not what the manifest lists."""
    folder = tmp_path / "reference"
    cell = {"seed": 0, "scale": 1.0}
    (folder / _shards.file(cell)).write_bytes(_shards.pack({"walk": np.zeros(50)}, open_sweep(folder)._header(cell)))
    with pytest.raises(SweepError, match=r"its SHA-256 is not the one in manifest.json"):
        open_sweep(folder).array("walk")
    with pytest.warns(RuntimeWarning, match="manifest.json"):
        sweep(walk, GRID, folder)
    assert contents(folder) == reference


def test_a_missing_file(walk, reference, tmp_path):
    folder = tmp_path / "reference"
    shards(folder)[4].unlink()
    assert len(open_sweep(folder).check().missing) == 1
    sweep(walk, GRID, folder)
    assert contents(folder) == reference and computed(folder) == 13


@pytest.mark.parametrize("text", ["", "{", '{"format": 1', "[]", '{"format": 99}', "\0" * 100])
def test_a_damaged_manifest(text, walk, tmp_path):
    sweep(walk, GRID, tmp_path / "s")
    (tmp_path / "s" / "manifest.json").write_text(text)
    for call in (lambda: open_sweep(tmp_path / "s"), lambda: sweep(walk, GRID, tmp_path / "s")):
        with pytest.raises(ValueError, match=r"manifest.json is (damaged|not the manifest)"):
            call()


# ------------------------------------------------------------------------------------------------------------------ the disk


class Disk:
    """Files of which only the first ``capacity`` bytes can be written."""

    def __init__(self, capacity):
        self.left = capacity

    def open(self, path, mode="r", **options):
        file = builtins.open(path, mode, **options)
        if "w" in mode:
            write = file.write
            file = _Wrapped(file)
            file.write = lambda data: self.take(write, data)
        return file

    def take(self, write, data):
        write(data[: self.left])
        if len(data) > self.left:
            self.left = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left -= len(data)


class _Wrapped:
    def __init__(self, file):
        self.file, self.flush, self.fileno = file, file.flush, file.fileno

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_full_disk(workers, walk, reference, tmp_path, monkeypatch):
    folder, executor = tmp_path / "s", ThreadPoolExecutor(workers) if workers else None
    shard = max(len(data) for name, data in reference.items() if name.endswith(".npz"))
    with monkeypatch.context() as patch:
        patch.setattr(_files, "open", Disk(len(reference["manifest.json"]) + 4 * shard).open, raising=False)
        with pytest.raises(
            OSError,
            match=r"No space left on device \(.*make room.*\), when cell .* was to be stored; .* of 12 cells are kept",
        ) as e:
            sweep(walk, GRID, folder, executor=executor)
    assert e.value.errno == errno.ENOSPC and e.value.__cause__ is None
    assert_stopped_midway(folder)
    assert not list(folder.glob("*.tmp")), "no half file is left"
    sweep(walk, GRID, folder, executor=executor)
    assert contents(folder) == reference
    if executor:
        executor.shutdown()


@posix
def test_a_file_that_the_system_refuses(walk, tmp_path):
    folder = tmp_path / "s"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
    error = start(tmp_path, f"{limit} sweep(walk, GRID, {str(folder)!r}, fixed={{'steps': 10_000}})").communicate()[1]
    assert (
        "OSError: [Errno 27] File too large (nothing was changed; make room, or give a folder on another disk)" in error
    )
    assert ", when cell {'seed': 0, 'scale': 0.5} was to be stored; 0 of 12" in error
    assert sorted(p.name for p in folder.iterdir()) == ["log.jsonl", "manifest.json"]
    sweep(walk, GRID, folder, fixed={"steps": 10_000})
    sweep(walk, GRID, tmp_path / "whole", fixed={"steps": 10_000})
    assert contents(folder) == contents(tmp_path / "whole")


@posix
def test_one_process_at_a_time(walk, tmp_path, monkeypatch):
    pytest.importorskip("fcntl")
    folder = tmp_path / "s"
    monkeypatch.setenv("SWEEP_TROUBLE", "slow:0.2")
    process = start(tmp_path, f"sweep(walk, GRID, {str(folder)!r})")
    wait_for_shards(process, folder, 1)
    with pytest.raises(RuntimeError, match=f"another process is filling {folder}"):
        sweep(walk, GRID, folder)
    process.kill()
    process.communicate()
    monkeypatch.delenv("SWEEP_TROUBLE")
    sweep(walk, GRID, folder)


# ------------------------------------------------------------------------------------------------------------- other processes


def test_a_pool_of_processes(walk, reference, tmp_path):
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        sweep(walk, GRID, tmp_path / "s", executor=pool)
    assert contents(tmp_path / "s") == reference


@posix
def test_a_worker_of_a_pool_is_killed(walk, reference, tmp_path, monkeypatch):
    folder = tmp_path / "s"
    monkeypatch.setenv("SWEEP_TROUBLE", f"kill once:{tmp_path / 'killed'}")
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        with pytest.raises(
            SweepError, match=r"(?s)the executor lost its workers .* of 12 cells are kept .* new executor"
        ) as e:
            sweep(walk, GRID, folder, executor=pool, in_flight=2)
    assert e.value.__cause__ is not None and (tmp_path / "killed").exists()
    assert_stopped_midway(folder)
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        sweep(walk, GRID, folder, executor=pool)
    assert contents(folder) == reference


def test_an_exception_that_cannot_travel(walk, tmp_path, monkeypatch):
    """It is named, with the worker's traceback, and it does not take the pool down."""
    monkeypatch.setenv("SWEEP_TROUBLE", "unpicklable")
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        with pytest.raises(
            SweepError, match=r"(?s)2 cells failed.*sweep_cells.py.*Unpicklable: one and two.*10 of 12 cells"
        ):
            sweep(walk, GRID, tmp_path / "s", executor=pool)
        monkeypatch.setenv("SWEEP_TROUBLE", "fail")
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        with pytest.raises(SweepError) as caught:
            sweep(walk, GRID, tmp_path / "s", executor=pool)
    assert "raise ValueError" in "".join(caught.value.__cause__.__notes__)


def test_a_function_that_cannot_travel(tmp_path):
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        with pytest.raises(SweepError, match=r"(?s)2 cells failed.*lambda"):
            sweep(lambda i: {"x": i}, {"i": [1, 2]}, tmp_path, executor=pool)


def test_few_results_wait_in_memory(walk, reference, tmp_path):
    class Counting(ThreadPoolExecutor):
        submitted, most = 0, 0

        def submit(self, *arguments, **options):
            self.submitted += 1
            self.most = max(self.most, self.submitted - len(shards(tmp_path / "s")))
            return super().submit(*arguments, **options)

    with Counting(2) as pool:
        sweep(walk, GRID, tmp_path / "s", executor=pool, in_flight=3)
    assert pool.submitted == 12 and pool.most == 3
    assert contents(tmp_path / "s") == reference


@posix
def test_a_dask_cluster_with_a_worker_that_is_killed(walk, reference, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    folder = tmp_path / "s"
    monkeypatch.setenv("SWEEP_TROUBLE", f"kill once:{tmp_path / 'killed'}")
    options = {"processes": True, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        distributed.LocalCluster(
            n_workers=2, local_directory=str(tmp_path / "dask"), silence_logs=50, **options
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        sweep(walk, GRID, folder, executor=client.get_executor(), in_flight=4)
        assert (tmp_path / "killed").exists(), "a worker was killed in the middle"
        assert contents(folder) == reference and computed(folder) == 12
        # A cell that fails is computed anew in the next call, not answered from Dask's memory
        client.wait_for_workers(2, timeout=60)  # the one that was killed is started again
        client.run(sys.modules["sweep_cells"].set_trouble, f"fail once:{tmp_path / 'failed'}")
        for path in shards(folder):
            path.unlink()
        with pytest.raises(SweepError, match=r"(?s)1 cells failed.*only once"):
            sweep(walk, GRID, folder, executor=client.get_executor(), in_flight=1)
        sweep(walk, GRID, folder, executor=client.get_executor())
        assert contents(folder) == reference


def test_mpi(walk, reference, tmp_path):
    pytest.importorskip("mpi4py", reason="needs mpi4py")
    launcher = shutil.which("mpiexec") or shutil.which("mpirun")
    if launcher is None:
        pytest.skip("needs mpiexec or mpirun")
    folder, script = tmp_path / "s", tmp_path / "script.py"
    body = f"from mpi4py.futures import MPIPoolExecutor; sweep(walk, GRID, {str(folder)!r}, executor=MPIPoolExecutor())"
    script.write_text(SCRIPT.format(body=body))
    root = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
    command = [launcher, "-n", "3", sys.executable, "-m", "mpi4py.futures", str(script)]
    done = subprocess.run(command, env=os.environ | root, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(folder) == reference


# ----------------------------------------------------------------------------------------------------------------- other grids


def test_a_grid_that_is_extended(walk, tmp_path):
    sweep(walk, {"seed": [3, 1], "scale": [1.0]}, tmp_path / "s")
    sweep(walk, GRID, tmp_path / "s")
    sweep(walk, GRID, tmp_path / "whole")
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")
    assert computed(tmp_path / "s") == 12, "two of them were there"


def test_cells_that_are_added(walk, tmp_path):
    cells = [{"seed": 0, "scale": 1.0}]
    sweep(walk, cells, tmp_path)
    result = sweep(walk, [{"scale": 9.0, "seed": 4}, *cells], tmp_path)
    assert computed(tmp_path) == 2 and result.array("last")[1] == walk(0, 1.0)["last"]


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"grid": {"seed": [0], "scale": [0.5, 1.0]}},
            r"holds 10 cells that this grid lacks, such as {'seed': 1, 'scale': 0.5}",
        ),
        ({"grid": {"seed": range(6), "scale": [0.5, 2.0]}}, "holds 6 cells that this grid lacks"),
        ({"grid": {"seed": range(6), "scale": [0.5, 1.0], "steps": [50]}}, "holds 12 cells that this grid lacks"),
        ({"fixed": {"steps": 51}}, r"holds a sweep with fixed={}, not {'steps': 51}"),
        ({"version": 1}, "holds a sweep with version=None, not 1"),
        ({"run": lambda seed, scale: {"x": 1}}, "holds a sweep with run='sweep_cells.walk', not .*lambda"),
    ],
)
def test_a_folder_of_another_sweep_is_refused(change, message, walk, tmp_path):
    folder = tmp_path / "s"
    sweep(walk, GRID, folder)
    before = contents(folder)
    arguments = {"run": walk, "grid": GRID, "folder": folder} | change
    with pytest.raises(ValueError, match=f"{folder} {message}") as caught:
        sweep(**arguments)
    assert "another folder" in str(caught.value) and "open_sweep" in str(caught.value)
    assert contents(folder) == before and computed(folder) == 12


def test_a_folder_with_other_things_is_refused(walk, tmp_path):
    (tmp_path / "thesis.tex").write_text("my thesis")
    with pytest.raises(
        ValueError, match=r"is not empty and holds no manifest.json of a sweep: give a new or an empty folder"
    ):
        sweep(walk, GRID, tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no sweep"):
        open_sweep(tmp_path)


def test_other_versions_are_reported(walk, tmp_path, monkeypatch):
    folder = tmp_path / "s"
    sweep(walk, {"seed": [0], "scale": [1.0]}, folder)
    monkeypatch.setattr(sweeps, "_versions", lambda: {"python": "4.0", "numpy": "9.0"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep(walk, {"seed": [0], "scale": [1.0]}, folder)  # nothing is to be computed
    with pytest.warns(RuntimeWarning, match="was begun with .*, and goes on with {'python': '4.0', 'numpy': '9.0'}"):
        sweep(walk, GRID, folder)
    made_by = open_sweep(folder).manifest["made_by"]
    assert [v["numpy"] for v in made_by] == [np.__version__, "9.0"]
    shards(folder)[0].unlink()
    sweep(walk, GRID, folder)
    assert open_sweep(folder).manifest["made_by"] == made_by


@posix
def test_a_function_of_the_script_that_runs(walk, tmp_path, monkeypatch):
    """Its name does not depend on whether the module is the script or is imported."""
    folder, module = tmp_path / "s", tmp_path / "own_script.py"
    code = "from trajlib.sweeps.grid import sweep\ndef run(i):\n    return {'x': i}\n"
    module.write_text(code + f"if __name__ == '__main__':\n    sweep(run, {{'i': [1, 2]}}, {str(folder)!r})\n")
    for command in ([str(module)], ["-m", "own_script"]):
        subprocess.run([sys.executable, *command], cwd=tmp_path, check=True)
        assert open_sweep(folder).manifest["run"] == "own_script.run"
    monkeypatch.syspath_prepend(str(tmp_path))
    own = importlib.import_module("own_script")
    assert sweep(own.run, {"i": [1, 2]}, folder).load(i=1)["x"] == 1 and computed(folder) == 2


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"grid": {}}, TypeError, "grid must map names to values.* not empty"),
        ({"grid": []}, TypeError, "grid must map names to values.* not empty"),
        ({"grid": 3}, TypeError, "grid must map names to values"),
        ({"grid": "lr"}, TypeError, "grid must map names to values"),
        ({"grid": {"lr": []}}, TypeError, r"lr must be a sequence of at least one value, such as \[0.1\], got \[\]"),
        ({"grid": {"lr": 0.1}}, TypeError, "lr must be a sequence of at least one value"),
        ({"grid": {"lr": "abc"}}, TypeError, "lr must be a sequence of at least one value"),
        ({"grid": {"lr": {0.1, 0.2}}}, TypeError, "lr must be a sequence of at least one value"),
        ({"grid": {"lr": [0.1, np.nan]}}, TypeError, "lr must be a finite number, .* got nan"),
        ({"grid": {"lr": [np.inf]}}, TypeError, "lr must be a finite number"),
        ({"grid": {"lr": [object()]}}, TypeError, "lr must be a finite number"),
        ({"grid": {"lr": [np.zeros(2)]}}, TypeError, "lr must be a finite number"),
        ({"grid": {"lr": [0.1, 0.2, 0.1]}}, ValueError, "cells must differ, got {'lr': 0.1} twice"),
        ({"grid": {"lr": [1, 1.0]}}, ValueError, "cells must differ, got {'lr': 1.0} twice"),
        ({"grid": [{"lr": 1}, {"lr": 1}]}, ValueError, "cells must differ"),
        (
            {"grid": [{"lr": 1}, {"seed": 1}]},
            TypeError,
            "cells must be dicts with the same names, got {'seed': 1} beside",
        ),
        ({"grid": [{"lr": 1}, 2]}, TypeError, "cells must be dicts with the same names, got 2"),
        ({"grid": [{}]}, TypeError, "cells must be dicts with the same names"),
        ({"grid": {1: [2]}}, TypeError, r"parameters must be named by strings, got \[1\]"),
        ({"fixed": {"lr": 1}}, ValueError, "a parameter must be fixed or on the grid, not both: lr"),
        ({"fixed": {"task": object()}}, TypeError, "task must be a finite number"),
        ({"version": 1.5}, TypeError, "version must be an integer, a string or None, got 1.5"),
        ({"executor": 4}, TypeError, "executor must be a concurrent.futures executor, got int"),
        ({"in_flight": 0}, ValueError, "in_flight must be an integer >= 1, got 0"),
        ({"run": 3}, TypeError, "run must be a function"),
        ({"run": functools.partial(print, end="")}, TypeError, "not a partial one: give fixed="),
    ],
)
def test_arguments_that_are_refused(change, error, message, tmp_path):
    arguments = {"run": lambda lr: {"x": lr}, "grid": {"lr": [0.1]}, "folder": tmp_path / "s"} | change
    with pytest.raises(error, match=message):
        sweep(**arguments)
    assert not (tmp_path / "s").exists()


def test_progress(walk, tmp_path, monkeypatch):
    bars = []

    def bar(progress, total, label):
        if not progress:
            return None
        bars.append(tqdm(total=total, file=io.StringIO()))
        return bars[-1]

    monkeypatch.setattr(sweeps, "progress_bar", bar)
    sweep(walk, {"seed": [0, 1], "scale": [0.5, 1.0]}, tmp_path, progress=True)
    sweep(walk, GRID, tmp_path, progress=True)
    sweep(walk, {**GRID, "seed": range(7)}, tmp_path, progress=False)
    assert [(b.initial, b.n, b.total, b.unit, b.disable) for b in bars] == [
        (0, 4, 4, "cell", True),
        (4, 12, 12, "cell", True),
    ], "cells of earlier calls count as done, but do not spoil the estimate of the time that is left"


@pytest.mark.parametrize(("part", "images", "cells"), [("mnist/subset", 10_000, 40), ("mnist/transition", 60_000, 8)])
def test_bundled_runs_keep_what_is_exact(part, images, cells):
    stored = tl.bundled_sweep(part)
    missing, damaged, reasons = stored.check()
    assert not damaged and not reasons and stored.manifest["fixed"]["images"] == images
    there = [cell for cell in stored.cells if cell not in missing]
    assert len(there) >= cells and (part == "mnist/transition" or not missing)
    for cell in there:
        found = stored.load(**cell)
        assert found["rms_distance"].shape == (5, 201) and np.isfinite(found["loss"]).all()
        projected = np.sqrt(np.nansum(found["separation"].astype(float) ** 2, axis=-1))
        assert (projected <= found["rms_distance"] * (1 + 1e-6)).all()  # a projection never stretches
        assert found["explained_variance"][0] <= 1


def test_unknown_bundled_runs_are_named():
    with pytest.raises(ValueError, match="'mnist/subset', 'mnist/transition', got 'mnist'"):
        tl.bundled_sweep("mnist")
