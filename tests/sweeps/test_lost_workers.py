"""A pool of processes that has lost a worker in the middle of its answer: Python's own pool would wait for the rest for ever."""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from trajlib.sweeps import workers
from trajlib.sweeps.grid import SweepError, sweep

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")

SCRIPT = """
def run(seed):
    if seed == 3 and os.environ.get("CUT"):
        frame = sys._getframe()
        while "result_queue" not in frame.f_locals:
            frame = frame.f_back
        os.write(frame.f_locals["result_queue"]._writer.fileno(), struct.pack("!i", 100_000))  # so many bytes will follow
        os.kill(os.getpid(), signal.SIGKILL)
    return {"x": np.array([seed])}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that workers can import, however they were started."""
    (tmp_path / "cut_answers.py").write_text(
        "import os, signal, struct, sys\nimport numpy as np\n" + SCRIPT, encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    import cut_answers

    yield cut_answers.run
    del sys.modules["cut_answers"]


def test_the_sweep_ends_and_goes_on(run, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.5)
    monkeypatch.setenv("CUT", "1")
    began = time.monotonic()
    with (
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool,
        pytest.raises(SweepError, match=r"(?s)lost its workers .* the same call goes on"),
    ):
        sweep(run, {"seed": list(range(8))}, tmp_path / "s", executor=pool, version=1)
    assert time.monotonic() - began < 120
    monkeypatch.delenv("CUT")
    done = sweep(run, {"seed": list(range(8))}, tmp_path / "s", version=1)
    assert done.array("x").ravel().tolist() == list(range(8))


def test_patience_is_no_limit_for_a_cell(tmp_path, monkeypatch):
    """Pools whose workers are alive, and executors of other kinds, may take as long as they like."""
    monkeypatch.setattr(workers, "PATIENCE", 0.05)

    def slow(seed):
        time.sleep(0.3)
        return {"x": np.array([seed])}

    with ThreadPoolExecutor(2) as pool:
        assert len(sweep(slow, {"seed": [0, 1]}, tmp_path / "s", executor=pool, version=1)) == 2
