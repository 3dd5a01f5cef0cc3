"""What tools/emulate_aarch64.py says and how it ends, with a made-up program for both places: nothing is emulated here."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import emulate_aarch64 as tool

SAME = "print('# a machine'); print('aa 1 one thing'); print('bb 2 another, with spaces')"


@pytest.fixture
def emulate(monkeypatch, tmp_path, capsys):
    """emulate(here, there) -> (whether it ended well, what it said); the first argument of a program is its number of networks."""

    def run(here, there=SAME, tests="equal", seconds="60"):
        monkeypatch.setattr(tool, "missing", list)
        for part in ("system", "wheels"):
            monkeypatch.setattr(tool, part, lambda folder: None)
        monkeypatch.setattr(tool, "WORK", here)
        monkeypatch.setattr(tool, "own", lambda folder, cpu: ([sys.executable, "-c", there, "--"], {}))
        monkeypatch.setattr(tool, "normal_numbers", lambda *given: tests)
        monkeypatch.setattr(sys, "argv", ["emulate_aarch64.py", str(tmp_path), "--seconds", seconds])
        with pytest.raises(SystemExit) as ended:
            tool.main()
        return not ended.value.code, capsys.readouterr().out

    return run


def test_equal_bits(emulate):
    well, said = emulate(SAME)
    assert well and "equal       another, with spaces (2 s)" in said and "a machine" in said


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (SAME.replace("bb", "cc"), "different   another"),
        (SAME.rpartition(";")[0], "not reached another"),
        (SAME.replace("; print('bb", "; import time; time.sleep(60); print('bb"), "not reached another"),
    ],
    ids=["bits", "absent", "slow"],
)
def test_what_is_not_equal_ends_with_an_error(emulate, there, expected):
    well, said = emulate(
        SAME, there.replace("print('aa 1 one thing')", "print('aa 1 one thing', flush=True)"), seconds="3"
    )
    assert not well and expected in said and "equal       one thing" in said


@pytest.mark.parametrize("tests", ["different", "not reached"])
def test_so_does_a_test_that_fails(emulate, tests):
    assert not emulate(SAME, tests=tests)[0]


@pytest.mark.parametrize("place", ["here", "there"])
def test_a_program_that_breaks_is_no_success(emulate, place):
    assert not emulate(**{"here": SAME, place: SAME + "; raise SystemExit(3)"})[0]


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setattr(tool, "PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", ["emulate_aarch64.py"])
    with pytest.raises(SystemExit, match="qemu-user-static debootstrap"):
        tool.main()
