"""The register of engines, by following CONTRIBUTING: a module with an ENGINE and a line; and the table of activations."""

import sys
import types

import numpy as np
import pytest

import trajlib as tl
from trajlib import engines
from trajlib.dynamics import matrices
from trajlib.dynamics.reference import HenonMap
from trajlib.engines import Engine, pick, registered
from trajlib.models import activations

GD = tl.GradientDescent(tl.Perceptron(4, 3, 3), tl.iris(), lr=0.5)
W0 = GD.network.init(4, seed=0)


class PlainRun:
    """Steps by hand, and nothing but states: everything else is computed from them."""

    seconds_per_step, description = 1e-3, "by hand"

    def __init__(self, what, plan):
        self.what, self.plan, self.w = what, plan, plan.reference.copy()
        self.weights = np.empty((len(self.w), plan.steps // plan.snapshot + 1, self.w.shape[1]))

    def prepare(self):
        pass

    def advance(self, start, stop, last):
        for t in range(start, stop + last):
            if t % self.plan.snapshot == 0:
                self.weights[:, t // self.plan.snapshot] = self.w
            if t < stop:
                self.w = self.what(self.w)

    def results(self):
        nothing = np.full((len(self.w), 1), -1)
        return {"weights": self.weights, "reference": self.w, "copies": self.w[:, :0], "nonfinite": nothing}


@pytest.fixture
def plain(monkeypatch):
    module = types.ModuleType("trajlib.engines.plain")
    module.ENGINE = Engine(
        records=frozenset({"weights"}),
        refuses=lambda what, device, dtype: None if device is None else "engine='plain' knows no device",
        suits=lambda what, device, dtype: False,
        start=PlainRun,
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(engines.REGISTRY, "plain", "plain")


def test_a_new_engine_is_a_module_and_a_line(plain):
    mine = tl.train(GD, W0, 12, record=("loss", "weights", "gradient_norm", "accuracy"), every=3, engine="plain")
    want = tl.train(GD, W0, 12, record=("loss", "weights", "gradient_norm", "accuracy"), every=3)
    assert mine.engine == "plain" and mine.device == "by hand"
    for name in ("loss", "weights", "gradient_norm", "accuracy", "final", "nonfinite_at"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(want, name))
    with pytest.raises(ValueError, match="knows no device"):
        tl.train(GD, W0, 3, engine="plain", device="cuda")
    with pytest.raises(ValueError, match=r"'generic', 'plain', got 'nonsense'"):
        tl.train(GD, W0, 3, engine="nonsense")


def test_what_auto_takes():
    own = tl.DiagonalNetwork(np.eye(2), np.ones(2))
    wide = tl.Task("wide", np.zeros((2, 784)), np.array([0, 1]))
    large = tl.GradientDescent(tl.Perceptron(784, 40, 2), wide)
    full = tl.GradientDescent(tl.Perceptron(784, 40, 2), tl.Task("full", np.ones((2, 784)), np.array([0, 1])))
    assert [pick(GD), pick(large), pick(full), pick(own)] == ["cpu", "sparse", "torch", "generic"]
    assert pick(GD, device="cuda") == pick(GD, dtype="float32") == "torch"
    assert registered("cpu").refuses(own, None, "float64")
    assert registered("generic").refuses(GD.problem, None, "float64")


def test_looking_an_engine_up_imports_nothing_heavy():
    import subprocess

    code = (
        "import sys; from trajlib.engines import REGISTRY, registered; [registered(n) for n in REGISTRY];"
        "print([m for m in ('torch', 'numba', 'scipy') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_an_activation_is_one_entry(monkeypatch):
    """h = z / (1 + |z|), written once: NumPy and torch compute with it, exact derivatives included."""
    pytest.importorskip("torch")

    def value(z, zero):
        magnitude = ops.where_less(z, zero, zero - z, z)  # noqa: F821
        return z / (magnitude + 1.0)

    def slope(h, zero):
        rest = 1.0 - ops.where_less(h, zero, zero - h, h)  # noqa: F821
        return rest * rest

    def bend(h, zero):
        rest = 1.0 - ops.where_less(h, zero, zero - h, h)  # noqa: F821
        return ops.where_less(h, zero, 2.0 * rest, -2.0 * rest)  # noqa: F821

    formulas = [activations.over(f, activations.ops) for f in (value, slope, bend)]
    monkeypatch.setitem(activations.ACTIVATIONS, "softsign", activations.Activation(9, *formulas, (-1.0, 1.0), True))
    net = tl.Perceptron(4, 3, 3, activation="softsign")
    gd = tl.GradientDescent(net, tl.iris(), lr=0.1)
    w0 = net.init(2, seed=0)
    run = tl.train(gd, w0, 1, engine="torch")
    np.testing.assert_allclose(run.final, w0 - 0.1 * matrices.gradient(gd, w0), atol=1e-12)
    v = np.random.default_rng(0).standard_normal((2, 3, net.n_parameters))
    moved = tl.tangent(gd, w0, v, 1, engine="torch").vectors
    np.testing.assert_allclose(moved, v - 0.1 * v @ gd.hessian(w0), atol=1e-10)
    h = 1e-6
    numeric = (matrices.gradient(gd, w0 + h * v[:, 0]) - matrices.gradient(gd, w0 - h * v[:, 0])) / (2 * h)
    np.testing.assert_allclose(gd.hessian(w0) @ v[:, 0, :, None], numeric[..., None], atol=1e-6)


def test_the_generic_engine_says_how_it_ran():
    assert tl.train(HenonMap(), np.full((1, 2), 0.1), 3).device == "NumPy, by calling the map"
