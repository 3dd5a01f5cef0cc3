"""The torch engine on a device that this machine lacks: no tensor of another device in any operation, records copied once a piece."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import trajlib as tl

pytest.importorskip("torch", reason="PyTorch is not installed")
from trajlib.engines.torch import run as engine

ABSENT = Path(__file__).parents[1] / "absent_device.py"
KINDS = {"loss", "copy_loss", "norm", "distance", "accuracy", "copy_accuracy", "weights", "copy_weights"}


def test_no_operation_mixes_devices_and_records_are_copied_once():
    ran = subprocess.run([sys.executable, ABSENT], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout)
    fault = found.pop("a fault")
    assert "device" in fault.get("failed", "") or fault["mixed"]  # what mixes devices is noticed
    assert len(found) == 12
    for kind, noticed in found.items():
        assert not noticed.get("failed") and not noticed["mixed"] and noticed["operations"] > 50, (kind, noticed)
        assert noticed["copies"] <= len(KINDS) + 4, kind  # not one for each of the seven records


def test_records_that_wait_on_the_device_are_put_where_they_belong():
    problem = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0).problem
    w0 = tl.Perceptron(4, 10, 3).init(3, seed=0)
    copies = np.repeat(w0[:, None], 2, axis=1) + 1e-3
    found = []
    for waiting in (False, True):
        run = engine.TorchRun(problem, w0, copies, steps=12, every=2, snapshot=4, record=frozenset(KINDS))
        run._waits = waiting
        run.advance(0, 5, False)
        run.advance(5, 12, True)
        found.append(run._out)
    for name, want in found[0].items():
        np.testing.assert_array_equal(found[1][name], want, err_msg=name)
        assert np.isfinite(want).all()
