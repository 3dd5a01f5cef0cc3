"""The code of a sweep's function belongs to its results: what counts as a change, what does not, and what nobody can tell."""

import asyncio
import functools
import importlib
import itertools
import operator
import os
import re
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import trajlib as tl
from trajlib.sweeps import code
from trajlib.sweeps.grid import SweepError, open_sweep, sweep

number = itertools.count()
MODULE = '''
"""A module of one's own."""
import dataclasses, functools, os
import numpy as np

STEPS, HERE = 3, os.path.abspath(__file__)
TABLE = {"shift": 1.0}
WEIGHTS = np.array([1.0, 2.0])
calls = 0

def scaled(factor):
    """A decorator."""
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return {name: factor * value for name, value in function(*args, **kwargs).items()}
        return wrapper
    return decorate

@dataclasses.dataclass
class Walker:
    speed: float = 1.0
    def step(self, x):
        return x + self.speed
    @property
    def twice(self):
        return 2 * self.speed
    @staticmethod
    def zero():
        return 0.0

def helper(x):
    """Says what it does."""
    return x + TABLE["shift"] + WEIGHTS.sum()

def unused(x):
    return x

@scaled(2)
def run(i, offset=0.5):
    """One cell."""
    global calls
    calls += 1
    TABLE["seen"] = i  # a cache: what it holds changes while it runs
    walker = Walker()
    total = walker.zero() + walker.twice + offset
    for _ in range(STEPS):  # some steps
        total = walker.step(helper(total))
    return {"x": total if HERE else i}
'''


@pytest.fixture
def load(tmp_path, monkeypatch):
    """load(text) -> the module ``own`` with this text, anew."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def from_text(text, name="own"):
        (tmp_path / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield from_text
    for name in ("own", "beside"):
        sys.modules.pop(name, None)


SAME = {
    "nothing": ("", ""),
    "a comment": ("# some steps", "# some more steps"),
    "layout": (
        "total = walker.zero() + walker.twice + offset",
        "total = (walker.zero()\n             + walker.twice  + offset)",
    ),
    "lines above": ("STEPS, HERE", "\n\n\n# constants\nSTEPS, HERE"),
    "a docstring": ('"""One cell."""', '"""One cell of many."""'),
    "no docstring": ('    """Says what it does."""\n', ""),
    "an unused function": ("def unused(x):\n    return x", "def unused(x):\n    return x + 1"),
    "quotes": ('{"x": total', "{'x': total"),
    "a number written otherwise": ("STEPS, HERE = 3,", "STEPS, HERE = 0b11,"),
}
OTHER = {
    "the function": ("for _ in range(STEPS):", "for _ in range(STEPS + 1):", "own.run"),
    "its default": ("offset=0.5", "offset=0.75", "own.run"),
    "a helper": ("return x + TABLE", "return x - TABLE", "own.helper"),
    "a constant": ("STEPS, HERE = 3,", "STEPS, HERE = 4,", "own.STEPS"),
    "a table": ('{"shift": 1.0}', '{"shift": 2.0}', "own.TABLE"),
    "an array": ("np.array([1.0, 2.0])", "np.array([1.0, 2.5])", "own.WEIGHTS"),
    "a method": ("return x + self.speed", "return x - self.speed", "own.Walker.step"),
    "a property": ("return 2 * self.speed", "return 3 * self.speed", "own.Walker.twice"),
    "a static method": ("return 0.0", "return 0.1", "own.Walker.zero"),
    "a field": ("speed: float = 1.0", "speed: float = 1.5", "own.Walker.speed"),
    "a decorator": ("factor * value for", "factor + value for", "own.run"),
    "what a decorator was given": ("@scaled(2)", "@scaled(3)", "own.run: factor"),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME.keys())
def test_what_is_no_change(change, load, tmp_path):
    folder = tmp_path / "s"
    sweep(load(MODULE).run, {"i": [1, 2]}, folder)
    assert MODULE.count(change[0]) >= 1
    own = load(MODULE.replace(*change, 1) if change[0] else MODULE)
    sweep(own.run, {"i": [1, 2]}, folder)
    assert sweep(own.run, {"i": [1, 2, 3]}, folder).array("x").shape == (3,)


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER.keys())
def test_what_is_a_change(change, load, tmp_path):
    folder, (old, new, name) = tmp_path / "s", change
    sweep(load(MODULE).run, {"i": [1, 2]}, folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert MODULE.count(old) == 1
    own = load(MODULE.replace(old, new))
    for grid in ({"i": [1, 2]}, {"i": [1, 2, 3]}):
        names = rf"[\w., :]*{re.escape(name)}[\w., :]*"
        message = rf"holds cells that other code made: since then {names} changed\. Give another folder, or code="
        with pytest.raises(ValueError, match=message):
            sweep(own.run, grid, folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    sweep(own.run, {"i": [1, 2]}, folder, code="ignore")
    sweep(own.run, {"i": [1, 2]}, folder)  # from now on this is the code to compare with
    with pytest.raises(ValueError, match="other code"):
        sweep(load(MODULE).run, {"i": [1, 2]}, folder)


def test_a_version_vouches_for_the_code(load, tmp_path):
    folder, other = tmp_path / "s", MODULE.replace("range(STEPS)", "range(STEPS + 1)")
    sweep(load(MODULE).run, {"i": [1]}, folder, version=1)
    own = load(other)
    for _ in range(2):  # a complete sweep is only read
        with pytest.warns(RuntimeWarning, match=r"own.run changed since .*version is still 1: change it if") as caught:
            sweep(own.run, {"i": [1]}, folder, version=1)
        assert caught[0].filename == __file__
    with pytest.warns(RuntimeWarning, match="own.run changed"):
        sweep(own.run, {"i": [1, 2]}, folder, version=1)
    sweep(own.run, {"i": [1, 2]}, folder, version=1)
    with pytest.raises(ValueError, match="version=1, not 2"):
        sweep(own.run, {"i": [1, 2]}, folder, version=2)
    with pytest.raises(ValueError, match="code must be one of 'check', 'ignore', got 'skip'"):
        sweep(own.run, {"i": [1]}, folder, code="skip")


def test_modules_beside_it_are_followed_and_libraries_are_not(load, tmp_path):
    text = (
        "import beside, numpy as np\nfrom beside import g\ndef run(i):\n    return {'x': np.add(beside.f(i), g(i))}\n"
    )
    beside = "LEVEL = 1\ndef f(i):\n    return i + LEVEL\ndef g(i):\n    return i\ndef h(i):\n    return i\n"
    load(beside, "beside")
    parts = code.digests(load(text).run)
    assert set(parts) == {"own.run", "beside.f", "beside.LEVEL", "beside.g"} and None not in parts.values()
    sweep(sys.modules["own"].run, {"i": [1]}, tmp_path / "s")
    load(beside.replace("def h(i):\n    return i", "def h(i):\n    return -i"), "beside")
    sweep(load(text).run, {"i": [1]}, tmp_path / "s")
    load(beside.replace("LEVEL = 1", "LEVEL = 2"), "beside")
    with pytest.raises(ValueError, match=r"since then beside.LEVEL changed"):
        sweep(load(text).run, {"i": [1]}, tmp_path / "s")


def test_a_project_that_moves_is_the_same(load, tmp_path):
    before = code.digests(load(MODULE).run)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "own.py").write_text(MODULE)
    program = "from trajlib.sweeps import code; import own; print(code.digests(own.run))"
    environment = os.environ | {"PYTHONPATH": str(Path(tl.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=elsewhere, capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == str(before)


def test_what_it_closes_over(tmp_path):
    def made(factor, task=None, things=()):
        def run(i):
            return {"x": i * factor + len(things) + (0 if task is None else len(task.x))}

        return run

    iris, other = tl.iris(), tl.iris(split_seed=1)
    for first, second in [((1,), (2,)), ((1, iris), (1, other)), ((1.0,), (1,))]:
        folder = tmp_path / str(next(number))
        sweep(made(*first), {"i": [1]}, folder)
        sweep(made(*first), {"i": [1]}, folder)
        with pytest.raises(ValueError, match=r"since then .*run: (factor|task) changed"):
            sweep(made(*second), {"i": [1]}, folder)
    for things in ([], [1]):  # what may grow while it runs is not looked at
        sweep(made(1, None, things), {"i": [1]}, tmp_path / "list")


def test_counters_are_not_code(tmp_path):
    calls = 0

    def run(i):
        nonlocal calls
        calls += 1
        return {"x": i}

    for n in (1, 2, 3):
        sweep(run, {"i": range(n)}, tmp_path)
    assert calls == 3


def test_lambdas_of_a_line_are_told_apart_from_those_of_another_line(tmp_path):
    one = lambda i: {"x": i}  # noqa: E731
    two = lambda i: {"x": i + 0}  # noqa: E731
    assert code.digests(one) == code.digests(one) != code.digests(two)
    assert None not in code.digests(one).values()


class Adder:
    """A callable object."""

    def __init__(self, step):
        self.step, self.cache = step, {}

    def __call__(self, i):
        return {"x": i + self.step}

    def method(self, i):
        return {"x": i - self.step}


def test_callable_objects_and_methods(tmp_path):
    for i, kind in enumerate([lambda step: Adder(step), lambda step: Adder(step).method]):
        folder = tmp_path / str(i)
        sweep(kind(1), {"i": [1]}, folder)
        sweep(kind(1), {"i": [1]}, folder)
        with pytest.raises(ValueError, match="step changed"):
            sweep(kind(2), {"i": [1]}, folder)


def test_compiled_functions_are_read_too():
    numba = pytest.importorskip("numba")

    def f(x):
        return x + 1

    def g(x):
        return x + 2

    def using(kernel):
        def run(i):
            return {"x": kernel(i)}

        return run

    names = [set(code.digests(using(numba.njit(kernel)))) for kernel in (f, g)]
    assert any(name.endswith("<locals>.f") for name in names[0]) and any(
        name.endswith("<locals>.g") for name in names[1]
    )


def unreadable(text="def run(i):\n    return {'x': i}\n"):
    names = {"__name__": __name__}
    exec(compile(text, "<typed in>", "exec"), names)
    return names["run"]


@pytest.mark.parametrize(
    "run", [unreadable(), functools.lru_cache(unreadable()), operator.methodcaller], ids=["typed in", "wrapped", "C"]
)
def test_code_that_cannot_be_read(run, tmp_path):
    if run is operator.methodcaller:
        run = dict  # returns its arguments as a dict of arrays

    sweep(run, {"i": [1]}, tmp_path / "s")
    for grid in ({"i": [1]}, {"i": [1, 2]}):
        with pytest.warns(
            RuntimeWarning, match=r"nobody can tell whether .* is still the code .* name the code with version="
        ) as caught:
            assert sweep(run, grid, tmp_path / "s").load(i=1)["x" if run is not dict else "i"] == 1
        assert len(caught) == 1 and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep(run, {"i": [1, 2]}, tmp_path / "s", code="ignore")
        for _ in range(2):
            sweep(run, {"i": [1]}, tmp_path / "v", version="b")


def test_a_module_edited_after_its_import_is_unknown(load, tmp_path):
    """The file says something else than what runs."""
    own = load("def run(i):\n    return {'x': i}\n")
    sweep(own.run, {"i": [1]}, tmp_path / "s")
    (tmp_path / "own.py").write_text("\n\ndef run(i):\n    return {'x': i + 1}\n")
    assert code.digests(own.run) == {"own.run": None}
    with pytest.warns(RuntimeWarning, match="nobody can tell whether own.run is still"):
        sweep(own.run, {"i": [1]}, tmp_path / "s")


def test_a_manifest_without_code_stays_as_it_is(load, tmp_path, monkeypatch):
    folder = tmp_path / "s"
    with monkeypatch.context() as patch:
        patch.setattr(code, "digests", lambda run: None)
        sweep(load(MODULE).run, {"i": [1]}, folder)
    assert "code" not in open_sweep(folder).manifest
    own = load(MODULE.replace("range(STEPS)", "range(STEPS + 1)"))
    sweep(own.run, {"i": [1, 2]}, folder)
    assert "code" not in open_sweep(folder).manifest


def test_the_tool_for_mnist_and_its_stored_sweeps(tmp_path, monkeypatch):
    tools = Path(tl.__file__).parents[1] / "tools"
    if not tools.is_dir():
        pytest.skip("needs a checkout")
    monkeypatch.syspath_prepend(str(tools))
    tool = importlib.import_module("mnist_sweep")
    assert set(code.digests(tool.cell)) == {
        "mnist_sweep.cell",
        "mnist_sweep.embedding",
        "mnist_sweep.DIRECTIONS",
        "mnist_sweep.RANDOM",
    }
    for part in ("subset", "transition"):
        folder, grid = (
            tool.DATA / part,
            {name: list(map(float, values)) for name, values in tool.DESIGN[part][0].items()},
        )
        stored = open_sweep(folder)
        assert stored.manifest["fixed"] == tool.fixed_in(part) and stored.manifest["version"] == tool.VERSION
        assert stored.axes == {name: tuple(values) for name, values in grid.items()}
        if not stored.check().missing:  # complete: the call computes and writes nothing
            before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
            result = sweep(tool.cell, grid, folder, fixed=tool.fixed_in(part), version=tool.VERSION)
            assert result.check() == ([], [], []) and {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before


# ------------------------------------------------------------------------------------------------------ cells that end otherwise


def leaving(i):
    if i == 1:
        sys.exit("no data for one")
    if i == 2:
        sys.exit()
    if i == 3:
        raise GeneratorExit
    if i == 4:
        raise asyncio.CancelledError("given up")
    return {"x": i}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_exit_in_a_cell_is_a_failure_of_that_cell(workers, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    executor = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers else None
    with pytest.raises(SweepError) as caught:
        sweep(leaving, {"i": range(8)}, tmp_path / "s", executor=executor)
    text = str(caught.value)
    assert text.startswith("4 cells failed:") and "4 of 8 cells are kept" in text
    for line in (
        "{'i': 1}: SystemExit: no data for one\n",
        "{'i': 2}: SystemExit\n",
        "{'i': 3}: GeneratorExit\n",
        "{'i': 4}: CancelledError: given up\n",
    ):
        assert line in text
    assert [type(error) for _, error in sorted(caught.value.failed, key=lambda pair: pair[0]["i"])] == [
        SystemExit, SystemExit, GeneratorExit, asyncio.CancelledError,
    ]  # fmt: skip
    assert np.array_equal([caught.value.result.load(i=i)["x"] for i in (0, 5, 6, 7)], [0, 5, 6, 7])
    if executor:
        executor.shutdown()
