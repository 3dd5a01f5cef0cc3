"""Compiled code on disk: found again, told apart, and never another's."""

import os
import pickle
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from numba.core import caching

from trajlib.engines import machine_code
from trajlib.engines.machine_code import Files


def test_many_that_write_and_read(tmp_path):
    store = Files(str(tmp_path), "f")

    def turn(i):
        store.save(i % 7, [i % 7] * 1000)
        return store.load((i + 3) % 7) in (None, [(i + 3) % 7] * 1000)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(turn, range(400)))
    assert len(os.listdir(tmp_path)) == 7, "nothing is left behind"


DAMAGE = {
    "empty": lambda content: b"",
    "cut": lambda content: content[:-1],
    "cut to a digest": lambda content: content[-32:],
    "only what it began with": lambda content: content[:40],
    "one byte": lambda content: content[:-9] + b"x" + content[-8:],
    "another file": lambda content: pickle.dumps(1),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_is_damaged_counts_as_nothing_and_is_written_again(damage, tmp_path):
    store = Files(str(tmp_path), "f")
    store.save("key", list(range(100)))
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert store.load("key") is None
    store.save("key", [1])
    assert store.load("key") == [1]


def multiple(number, then=None, table=(1, 2.0)):
    def times(x):
        return number * x + table[0] if then is None else then(x)

    return times


def half(x):
    return x / 2


def test_functions_are_told_apart_by_all_that_they_are_made_of(monkeypatch):
    """The lines are the same in all but the last two."""
    made = [multiple(n) for n in (0, 1, 1.0, True, "1")] + [multiple(1, table=(1, 2))]
    made += [multiple(1, then) for then in (multiple(1), multiple(2), half, numba.njit(multiple(3)), lambda x: x / 3)]
    made += [half, lambda x: x / 2, lambda x: x / 4]
    assert len({machine_code._told(function) for function in made}) == len(made)
    assert machine_code._told(multiple(1)) == machine_code._told(multiple(1)), "another function, and the same code"
    assert machine_code._told(multiple(1, half)) == machine_code._told(multiple(1, numba.njit(half)))
    one, slices = compile("lambda x, *, y=1: x[1:2, ...] + 1j", "f", "eval"), frozenset({1, 2})
    later = types.CodeType.replace(one, co_consts=(*one.co_consts, slice(1, 2), slices))  # as Python 3.14 makes it
    assert machine_code._plain(one) != machine_code._plain(later) == machine_code._plain(later)
    before = machine_code._told(multiple(1))
    monkeypatch.setattr(machine_code, "text_of", lambda _: "another version")
    assert machine_code._told(multiple(1)) != before
    with pytest.raises(TypeError, match="can't be told apart by array"):
        machine_code._told(multiple(np.zeros(2)))


def test_the_text_of_a_folder(tmp_path):
    texts = []
    for name, text in (("a.py", "x = 1"), ("a.py", "x = 2"), ("b.py", ""), ("notes.txt", "no code"), ("b.py", "x = 1")):
        (tmp_path / name).write_text(text)
        machine_code.text_of.cache_clear()
        texts.append(machine_code.text_of(str(tmp_path)))
    assert len(set(texts[:3])) == 2 and texts[3] == texts[2] and texts[4] not in texts[:4]


def test_other_options_are_other_code(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def quotient(x):
        return 1.0 / x

    numpys = machine_code.compiled(quotient, "f8(f8)", error_model="numpy")
    pythons = machine_code.compiled(quotient, "f8(f8)", error_model="python")
    again = machine_code.compiled(quotient, "f8(f8)", error_model="numpy")
    assert numpys(0.0) == again(0.0) == np.inf and sum(again.stats.cache_hits.values()) == 1
    with pytest.raises(ZeroDivisionError):
        pythons(0.0)
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 1)
    checked = machine_code.compiled(quotient, "f8(f8)", error_model="numpy")
    assert sum(checked.stats.cache_hits.values()) == 0


def shared_by(function):
    """A function that calls a part."""

    def whole(x):
        return function(x) + 1.0

    return whole


def no_space(*_):
    raise OSError(28, "No space left on device")


FAULTS = {
    "no folder": lambda patch: patch.setattr(getattr(caching, "CacheImpl", None) or caching._CacheImpl, "_locator_classes", []),
    "full disk": lambda patch: patch.setattr(Files, "save", no_space),
    "no right to read": lambda patch: patch.setattr(Files, "load", no_space),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_place_that_can_not_be_written_to_is_a_warning(fault, monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    fault(monkeypatch)
    with pytest.warns(RuntimeWarning, match="cannot be cached on disk .*NUMBA_CACHE_DIR") as warned:
        function = machine_code.compiled(shared_by(machine_code.part(half)), "f8(f8)")
    assert function(3.0) == 2.5 and len(warned) == 1 and warned[0].filename == __file__


def test_a_fault_of_the_code_is_none_of_the_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    with pytest.raises(numba.TypingError):
        machine_code.compiled(shared_by(half), "f8(unicode_type)")


def test_the_same_in_every_process():
    code = (
        "from trajlib.engines import machine_code\nfrom trajlib.engines.fused import kernel, samples\n"
        "parts = [*samples._parts(1, 0, False, True, False, True), *kernel._movers(0, False), kernel._record]\n"
        "kind = ((4, 5, 3), 1, 0, False, True, True, None, 0, False, False, (8, 2))\n"
        "print(*map(machine_code._told, [*parts, kernel.build(*kind)]))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1 and len(set(runs.pop().split())) == 7


def test_parts_are_found_by_another_process_and_another_network(tmp_path):
    """A network of another width finds all but its own kernel, and so does a process that has kernels of two others; the numbers are those
    of code that was compiled in one process."""
    code = (
        "import sys, trajlib as tl\n"
        "from trajlib.engines.machine_code import Cache\n"
        "compiled, save = [], Cache.save_overload\n"
        "Cache.save_overload = lambda self, *a: (compiled.append(self._py_func.__code__.co_name), save(self, *a))[1]\n"
        "for width in sys.argv[1:]:\n"
        "    gd = tl.GradientDescent(tl.Perceptron(4, int(width), 3), tl.iris())\n"
        "    print(gd.loss(gd.network.init(1, seed=0))[0].hex())\n"
        "print(*sorted(set(compiled)))"
    )

    def run(folder, *widths):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / folder)}
        command = [sys.executable, "-c", code, *widths]
        *losses, made = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        return losses, made.split()

    three, made = run("here", "3")
    assert {"advance", "sums", "_samples", "move"} <= set(made)
    four, made = run("here", "4")
    assert made == ["advance"]
    assert run("here", "4", "3", "4") == (four + three + four, [])
    assert run("elsewhere", "3", "4")[0] == three + four
