"""Files of a sweep where the system gives less than is hoped for, and what counts as equal parameters."""

import errno
import json
import os
import threading

import numpy as np
import pytest

from trajlib import _files
from trajlib.sweeps import shards
from trajlib.sweeps.grid import SweepError, open_sweep, sweep

posix = pytest.mark.skipif(os.name != "posix", reason="needs a Unix system")


def refusing(number, *, folders):
    """An fsync that fails for folders, or for files."""
    fsync = os.fsync

    def refuse(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}") == folders:
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    return refuse


@posix
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize(
    ("number", "folders"),
    [
        *((n, True) for n in (errno.EINVAL, errno.EIO, errno.EACCES, errno.ENOSYS, errno.EBADF)),
        *((n, False) for n in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)),
    ],
)
def test_a_system_that_cannot_sync_is_no_obstacle(number, folders, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", refusing(number, folders=folders))
    assert sweep(lambda i: {"x": i}, {"i": [1, 2]}, tmp_path / "s").array("x").tolist() == [1, 2]


@posix
def test_a_folder_that_cannot_be_opened_is_no_obstacle(tmp_path, monkeypatch):
    real = os.open

    def refuse(path, flags, *rest, **options):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    _files.write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"


@pytest.mark.parametrize(
    ("number", "kind", "remedy"),
    [
        (errno.ENOSPC, OSError, "make room"),
        (errno.EDQUOT, OSError, "make room"),
        (errno.EFBIG, OSError, "make room"),
        (errno.EACCES, PermissionError, "give a folder that can be written to"),
        (errno.EROFS, OSError, "give a folder that can be written to"),
    ],
)
def test_an_error_names_the_file_that_was_asked_for_and_what_to_do(number, kind, remedy, tmp_path):
    (tmp_path / "r.npz").write_bytes(b"before")

    def refused(file):
        file.write(b"half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(kind, match=remedy) as caught:
        _files.write(tmp_path / "r.npz", refused)
    assert caught.value.errno == number and caught.value.filename == str(tmp_path / "r.npz")
    assert os.strerror(number) in str(caught.value) and [p.name for p in tmp_path.iterdir()] == ["r.npz"]
    assert (tmp_path / "r.npz").read_bytes() == b"before"


def test_threads_that_write_one_file_at_once(tmp_path):
    """They had one temporary file between them, and each but one failed, or stored a mixture."""
    together, said = threading.Barrier(8), []

    def run(number):
        def content(file):
            file.write(bytes([number]) * 1000)
            together.wait(30)
            file.write(bytes([number]) * 1000)

        try:
            _files.write(tmp_path / "one", content)
        except OSError as error:
            said.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [] and [path.name for path in tmp_path.iterdir()] == ["one"]
    assert (tmp_path / "one").read_bytes() in [bytes([number]) * 2000 for number in range(8)]


@posix
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_data_that_do_not_reach_the_disk_are_reported(number, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", refusing(number, folders=False))
    with pytest.raises(OSError) as caught:
        _files.write(tmp_path / "file", b"data")
    assert caught.value.errno == number and not list(tmp_path.iterdir())


def test_a_file_that_somebody_reads_is_replaced_a_little_later(tmp_path, monkeypatch):
    """As on Windows, where a virus scanner or a backup holds a file open."""
    real, refused = os.replace, []

    def replace(a, b):
        if len(refused) < 3:
            refused.append(b)
            raise PermissionError(errno.EACCES, "in use")
        real(a, b)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(_files, "WINDOWS", True)
    _files.write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data" and len(refused) == 3
    refused.clear()
    monkeypatch.setattr(_files, "PATIENCE", 0.0)
    with pytest.raises(PermissionError):
        _files.write(tmp_path / "file", b"data")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_log_that_cannot_be_written_costs_no_result(tmp_path, monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    held = shards.held

    class Held:
        def __init__(self, folder):
            self.inner = held(folder)

        def __enter__(self):
            self.inner.__enter__()
            return Full()

        def __exit__(self, *error):
            return self.inner.__exit__(*error)

    monkeypatch.setattr(shards, "held", Held)
    assert sweep(lambda i: {"x": i}, {"i": [1, 2]}, tmp_path / "s").array("x").tolist() == [1, 2]


def test_left_overs_that_cannot_be_removed_are_left(tmp_path):
    (tmp_path / "s" / "left.tmp").mkdir(parents=True)
    assert sweep(lambda i: {"x": i}, {"i": [1]}, tmp_path / "s").array("x").tolist() == [1]


# ------------------------------------------------------------------------------------------------------------------ two at once


def test_one_thread_at_a_time(tmp_path):
    """The second is told so, and does not take the lock of the file away from the first; later it goes through."""
    folder, inside, go_on = tmp_path / "s", threading.Event(), threading.Event()

    def run(i):
        inside.set()
        assert go_on.wait(30)
        return {"x": i}

    first = threading.Thread(target=sweep, args=(run, {"i": [1, 2]}, folder))
    first.start()
    assert inside.wait(30)
    (tmp_path / "link").symlink_to(folder)
    for same in (folder, tmp_path / "link", tmp_path / "." / "s"):
        with pytest.raises(RuntimeError, match=r"another thread is filling .*: wait for it, or give another folder"):
            sweep(run, {"i": [1, 2]}, same, code="ignore")
    go_on.set()
    first.join()
    assert sweep(run, {"i": [1, 2, 3]}, folder, code="ignore").array("x").tolist() == [1, 2, 3]


def test_a_sweep_within_a_cell_of_itself(tmp_path):
    def run(i):
        return {"x": sweep(run, {"i": [1]}, tmp_path / "s").array("x")}

    with pytest.raises(SweepError, match="another thread is filling"):
        sweep(run, {"i": [1]}, tmp_path / "s")


# -------------------------------------------------------------------------------------------------------------- equal parameters

EQUAL = [
    ([1, 2], [1.0, 2.0]),
    ([1.0, 2.0], [np.int8(1), np.float32(2)]),
    ([0.0, 1.5], [-0.0, 1.5]),
    ([(1, 2), (3, (4, "a"))], [[1.0, 2.0], [3.0, (np.int64(4), "a")]]),
    ([2**53, 10**30], [float(2**53), 10**30]),
    ([True, "x"], [np.True_, np.str_("x")]),
    (range(3), np.arange(3.0)),
]
DIFFERENT = [
    ([1], [True]),
    ([0], [False]),
    ([2**53 + 1], [float(2**53)]),
    ([(1, 0)], [(1, False)]),
    ([None], [0]),
    (["1"], [1]),
    ([(1,)], [1]),
]


@pytest.mark.parametrize(("one", "two"), EQUAL)
def test_equal_parameters_are_one_cell_everywhere(one, two, tmp_path):
    """Cells, manifest, names of files, load: a sweep goes on with another spelling, and stays as it was spelled."""
    folder, got = tmp_path / "s", []

    def run(v, w):
        got.append(v)
        return {"x": len(got)}

    sweep(run, {"v": one}, folder, fixed={"w": one[0]})
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    for _ in range(2):
        again = sweep(run, {"v": two}, folder, fixed={"w": two[0]})
    assert len(got) == len(one), "nothing is computed twice"
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    for cell, other in zip(open_sweep(folder).cells, two, strict=True):
        np.testing.assert_array_equal(again.load(**cell)["x"], open_sweep(folder).load(v=other)["x"])
    assert sweep(run, [{"v": v} for v in two], folder, fixed={"w": two[0]}).check() == ([], [], [])
    for pair in ([one[0], two[0]], [two[0], one[0]]):
        with pytest.raises(ValueError, match="cells must differ"):
            sweep(run, {"v": pair}, tmp_path / "other", fixed={"w": 0})


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_different_parameters_are_two_cells_everywhere(one, two, tmp_path):
    both = [*one, *two]
    result = sweep(lambda v: {"x": np.array(repr(v))}, {"v": both}, tmp_path / "s")
    assert len({shards.file(cell) for cell in result.cells}) == len(result) == 2
    assert [str(result.load(v=v)["x"]) for v in both] == [repr(v) for v in both]
    for v in (one[0], two[0]):
        sweep(lambda v: {"x": 0}, {"v": [v]}, tmp_path / repr(v), fixed=None)
    with pytest.raises(ValueError, match="holds 1 cells that this grid lacks"):
        sweep(lambda v: {"x": 0}, {"v": two}, tmp_path / repr(one[0]), code="ignore")
    with pytest.raises(KeyError):
        open_sweep(tmp_path / repr(one[0])).load(v=two[0])


def test_an_extended_grid_keeps_the_spelling_of_what_is_there(tmp_path):
    sweep(lambda a, b: {"x": a + b}, {"a": [1, 2], "b": [0.5]}, tmp_path)
    result = sweep(lambda a, b: {"x": a + b}, {"a": [3.0, 2.0, 1.0], "b": [0.5, 1]}, tmp_path, code="ignore")
    assert json.dumps(result.axes) == '{"a": [3.0, 2, 1], "b": [0.5, 1]}'
    assert result.check() == ([], [], []) == open_sweep(tmp_path).check()
    np.testing.assert_array_equal(result.array("x"), [[3.5, 4], [2.5, 3], [1.5, 2]])


def test_a_stored_list_that_spells_one_number_twice_stays_readable(tmp_path):
    cells = [{"a": 1, "b": 1}, {"a": 1.0, "b": 2}]
    sweep(lambda a, b: {"x": b}, cells, tmp_path)
    again = sweep(lambda a, b: {"x": b}, [{"a": 1.0, "b": 1.0}, {"a": 1, "b": 2}], tmp_path, code="ignore")
    assert json.dumps(again.cells) == json.dumps(cells) and open_sweep(tmp_path).array("x").tolist() == [1, 2]


def test_integers_too_long_for_python_to_write(tmp_path):
    with pytest.raises(ValueError, match="n must not have more than 4300 digits, got an integer of 33220 bits"):
        sweep(lambda n: {"x": 0}, {"n": [10**10_000]}, tmp_path / "s")
    assert sweep(lambda n: {"x": 0}, {"n": [10**4000]}, tmp_path / "s").load(n=10**4000)["x"] == 0


def test_arrays_with_a_mask_are_refused(tmp_path):
    with pytest.raises(
        SweepError, match=r"x must be a plain numpy array, got MaskedArray; convert with .filled\(np.nan\)"
    ):
        sweep(lambda i: {"x": np.ma.masked_greater(np.arange(3.0), 1)}, {"i": [0]}, tmp_path)


NAMES = [
    "self",
    "cell",
    "run",
    "fixed",
    "header",
    "attempt",
    "folder",
    "grid",
    "version",
    "executor",
    "name",
    "code",
    "lambda",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_may_be_a_parameter(name, tmp_path):
    result = sweep(
        lambda **cell: {"x": cell[name], "self": 1, "cell": 2}, {name: [1, 2]}, tmp_path / "s", fixed={"other": 1}
    )
    assert result.load(**{name: 2})["x"] == 2 and open_sweep(tmp_path / "s").array("cell").tolist() == [2, 2]
    assert sweep(lambda **cell: {"x": cell[name]}, {"i": [1]}, tmp_path / "f", fixed={name: 5}).array("x") == [5]


def squared(i):
    return {"x": i}


def test_a_call_that_began_while_the_folder_was_empty(tmp_path, monkeypatch):
    """Another one may have begun, or have come to its end, between two looks at the folder: nothing of it is taken for rubbish, or lost."""
    folder, turn = tmp_path / "s", iter([1])
    folder.mkdir()
    iterdir = type(folder).iterdir

    def late(self):
        if self == folder and next(turn, None):
            sweep(squared, {"i": [1, 2]}, folder, version=1)
        return iterdir(self)

    monkeypatch.setattr(type(folder), "iterdir", late)
    assert sweep(squared, {"i": [1, 2]}, folder, version=1).array("x").tolist() == [1, 2]


@pytest.mark.parametrize("other", [1, 2])
def test_a_call_that_is_overtaken_by_another(other, tmp_path, monkeypatch):
    folder, held, turn = tmp_path / "s", shards.held, iter([1])

    def late(place):
        if next(turn, None):
            sweep(squared, {"i": [1, 2]}, folder, version=other)
        return held(place)

    monkeypatch.setattr(shards, "held", late)
    with pytest.raises(
        RuntimeError, match=r"another call has written to .*: make the same call again, or give another"
    ):
        sweep(squared, {"i": [1, 2]}, folder, version=1)
    assert open_sweep(folder).manifest["version"] == other and not any(open_sweep(folder).check())
