"""The torch engine on a device that no machine has, in a process of its own (PyTorch takes only one such device, for good): prints as JSON
which operations mixed devices, and how often something was copied from one to the other."""

import json

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import trajlib as tl
from trajlib.engines.torch import products
from trajlib.engines.torch import run as engine

NAME = "absent"
TASK = tl.iris()
RECORD = frozenset(
    {
        "loss",
        "norm",
        "distance",
        "accuracy",
        "copy_loss",
        "copy_accuracy",
        "weights",
        "copy_weights",
        "test_loss",
        "gradient",
    }
)


class Guard(torch._C._acc.DeviceGuard):
    def type_(self):
        return torch._C._autograd.DeviceType.PrivateUse1


class Hooks(torch._C._acc.PrivateUse1Hooks):
    def is_available(self):
        return True

    def has_primary_context(self, index):
        return True

    def is_built(self):
        return True


class Absent:
    """What PyTorch asks of a device's module."""

    is_available = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 1)
    current_device = staticmethod(lambda: 0)
    _is_in_bad_fork = staticmethod(lambda: False)
    manual_seed_all = staticmethod(lambda seed: None)


class Watch(TorchDispatchMode):
    """Notes operations on tensors of more than one device, but for copies between them."""

    def __init__(self):
        super().__init__()
        self.mixed, self.copies, self.operations = [], 0, 0

    def __torch_dispatch__(self, function, types_, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        leaves = torch.utils._pytree.tree_leaves((args, kwargs, out))
        devices = {leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.ndim}
        self.operations += 1
        if len(devices) > 1:
            copy = function._schema.name in ("aten::copy_", "aten::_to_copy")
            self.copies += copy
            self.mixed += [] if copy else [str(function)]
        return out


def noticed(problem, copies, steps=6, **options):
    """A run on the absent device."""
    w0 = np.zeros((4, problem.n_parameters))
    followers = np.zeros((4, copies, problem.n_parameters)) if copies else None
    with FakeTensorMode(allow_non_fake_inputs=True), Watch() as watch:
        run = engine.TorchRun(problem, w0, followers, steps=steps, every=1, **options)
        before = watch.copies
        try:
            run.advance(0, steps, True)
        except RuntimeError as error:
            return {"failed": str(error)}
    return {"mixed": watch.mixed, "operations": watch.operations, "copies": watch.copies - before}


def main():
    torch.utils.rename_privateuse1_backend(NAME)
    torch._register_device_module(NAME, Absent)
    torch._C._acc.register_python_privateuseone_hook(Hooks())
    torch._C._acc.register_python_privateuseone_device_guard(Guard())
    engine.pick_device = lambda name: torch.device(f"{NAME}:0")
    engine.SECONDS_PER_OPERATION[NAME] = engine.SECONDS_PER_CHUNK[NAME] = 1e-6
    torch.cuda.memory_reserved = torch.cuda.memory_allocated = lambda device=None: 0
    torch.cuda.mem_get_info = lambda device=None: (1 << 34, 1 << 34)
    found = {}
    for activation in ("sigmoid", "tanh", "relu"):
        for loss in ("cross_entropy", "half_squared_error"):
            network = tl.Perceptron(4, 10, 3, activation=activation, loss=loss)
            problem = tl.GradientDescent(network, TASK, lr=1.0, weight_decay=0.01).problem
            found[f"{activation}, {loss}"] = noticed(problem, 2, record=RECORD)
            tangent = {"record": frozenset({"loss", "distance"}), "tangent": True, "interval": 1}
            found[f"{activation}, {loss}, tangent vectors"] = noticed(problem, 2, **tangent)
    activate = products.activate
    products.activate = lambda name, units: units.add_(torch.ones(units.shape)) and activate(name, units)
    found["a fault"] = noticed(problem, 0, record=frozenset({"loss"}))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
