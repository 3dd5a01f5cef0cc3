"""The cells of the chapter on chaos and the time to learn, declared before any of them was run: networks, tasks, what is asked of them.

What follows from looking, which rates are run finely, is decided by the rule in ``learning_parts.wanted``, which was written before.
"""

import dataclasses
from functools import cache
from typing import NamedTuple

import numpy as np

import trajlib as tl

GRID = 20
"""Rates a decade: rate number k is 10^(k / 20)."""
COARSE = 5
"""Every fifth of them in the coarse pass."""
SEED = 0


class Cell(NamedTuple):
    """One network on one task: what is trained, for how long, at which rates; seconds that a network's step costs, with its tangent."""

    task: str
    hidden: tuple[int, ...]
    activation: str
    decay: float = 0.0
    steps: int = 500
    low: int = -40
    high: int = 30
    cost: float = 2e-5
    networks: int = 200
    pilots: int = 40
    reach: int = 5
    fitted: int = 50
    sharp: int = 10

    @property
    def name(self) -> str:
        """What its files are called."""
        hidden = "-".join(map(str, self.hidden)) or "conv"
        return f"{self.task}_{hidden}_{self.activation}" + (f"_{self.decay:g}" if self.decay else "")

    @property
    def at_once(self) -> int:
        """Networks of a part, which takes about half a minute at most."""
        return int(np.clip(30 / (self.cost * self.steps), 1, self.networks))

    def seconds(self, rates: int, networks: int) -> float:
        """What so many rates cost on one core; the sharpness of a network takes about as long as a hundred steps."""
        return self.cost * rates * (self.steps * networks + 100 * self.sharp)

    @property
    def expected(self) -> float:
        """Seconds on one core, with two windows that do not overlap and the time to compile the kernel."""
        coarse = len(range(self.low, self.high + 1, COARSE))
        return 15 + self.seconds(coarse, self.pilots) + self.seconds(2 * (2 * self.reach + 1), self.networks)


def _cells() -> list[Cell]:
    small = 1.8e-5
    found = [Cell("iris", (10,), a, cost=small) for a in ("sigmoid", "tanh", "relu", "gelu")]
    found += [Cell("iris", (64,), a, low=-50, high=20, cost=8e-5) for a in ("sigmoid", "tanh")]
    found += [Cell("iris", (256,), "tanh", low=-60, high=10, cost=3e-4, steps=300)]
    found += [Cell("iris", (10,) * depth, "tanh", cost=small * (1 + depth)) for depth in (2, 3, 4)]
    found += [Cell("iris", (10,) * 2, "sigmoid", cost=3 * small)]
    decays = (("tanh", 1e-3), ("tanh", 1e-2), ("sigmoid", 1e-3), ("sigmoid", 1e-2))
    found += [Cell("iris", (10,), a, decay, cost=small) for a, decay in decays]
    found += [Cell("iris-standardised", (10,), a, cost=small) for a in ("sigmoid", "tanh")]
    wine = {"cost": 3.5e-5, "steps": 300, "high": 45}
    found += [Cell("wine", (10,), a, **wine) for a in ("sigmoid", "tanh", "relu")]
    found += [Cell("wine", (10,) * depth, "tanh", **wine | {"cost": 2.5e-5 * (1 + depth)}) for depth in (2, 3)]
    found += [Cell("wine", (64,), "tanh", **wine | {"cost": 1.5e-4, "low": -50, "high": 35})]
    found += [Cell("wine", (10,), "tanh", 1e-2, **wine)]
    cancer = {"cost": 9e-5, "steps": 300, "high": 45}
    found += [Cell("cancer", (10,), a, **cancer) for a in ("sigmoid", "tanh", "relu")]
    found += [
        Cell("cancer", (10, 10), "tanh", **cancer | {"cost": 1.2e-4}),
        Cell("cancer", (10,), "tanh", 1e-2, **cancer),
    ]
    digits = {"cost": 1.2e-4, "steps": 300}
    found += [Cell("digits", (10,), a, **digits) for a in ("sigmoid", "tanh", "relu")]
    found += [
        Cell("digits", (10, 10), "tanh", **digits | {"cost": 1.5e-4}),
        Cell("digits", (10,), "tanh", 1e-2, **digits),
    ]
    wide = {"steps": 200, "low": -50, "high": 20, "reach": 4}
    found += [Cell("digits", (64,), "tanh", cost=6.5e-4, **wide)]
    wide |= {"steps": 150, "reach": 3, "sharp": 5}
    found += [Cell("digits", (256,), "tanh", cost=2.6e-3, **wide | {"low": -60, "high": 10, "steps": 120})]
    found += [Cell("digits-100", (), "tanh", cost=2e-3, **wide | {"low": -30, "high": 20})]
    mnist = {"steps": 100, "networks": 20, "pilots": 4, "reach": 2, "fitted": 5, "sharp": 2, "low": -10, "high": 25}
    found += [Cell("mnist", (10,), "tanh", cost=4e-2, **mnist)]
    found += [Cell("mnist", (64,), "tanh", cost=1e-1, **mnist | {"sharp": 1})]
    return found


CELLS = {cell.name: cell for cell in _cells()}


@cache
def task(name: str) -> tl.Task:
    """A task with its split: wine and breast cancer standardised (their features differ by factors of thousands), digits with 200 images to
    learn, or 100 for the convolutional network, and 200 to test."""
    if name == "iris-standardised":
        return tl.iris().standardised()
    if name.startswith("digits"):
        return some(tl.digits(), 100 if name == "digits-100" else 200, 200)
    if name == "mnist":
        return some(tl.mnist(n=10_000), 10_000, 2_000)
    if name == "iris":
        return tl.iris()
    from sklearn import datasets

    x, y = {"wine": datasets.load_wine, "cancer": datasets.load_breast_cancer}[name](return_X_y=True)
    whole = tl.Task.from_arrays(x, y, test=0.3, seed=0, name=name).standardised()
    return some(whole, 300, 300)


def some(whole: tl.Task, train: int, test: int) -> tl.Task:
    """The first samples of a task."""
    return dataclasses.replace(
        whole, x=whole.x[:train], y=whole.y[:train], x_test=whole.x_test[:test], y_test=whole.y_test[:test]
    )


@cache
def convolution():
    """A small convolutional network on 8 x 8 pixels: 4 filters of 3 x 3, tanh, means of 2 x 2, one layer of weights to 10 classes.

    The patches are gathered by an index, so that the networks of an ensemble are computed together.
    """
    import torch

    class Convolution(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.filters, self.bias = torch.nn.Parameter(torch.zeros(9, 4)), torch.nn.Parameter(torch.zeros(4))
            self.weight, self.out_bias = torch.nn.Parameter(torch.zeros(36, 10)), torch.nn.Parameter(torch.zeros(10))
            corner = (8 * torch.arange(6)[:, None] + torch.arange(6)).reshape(-1, 1)
            self.register_buffer("patches", corner + (8 * torch.arange(3)[:, None] + torch.arange(3)).reshape(-1))

        def forward(self, x):
            h = torch.tanh(x[:, self.patches] @ self.filters + self.bias)
            h = h.reshape(-1, 3, 2, 3, 2, 4).mean(dim=(2, 4)).reshape(-1, 36)
            return h @ self.weight + self.out_bias

    return Convolution()


def descent(cell: Cell, lr) -> tl.GradientDescent:
    """The training map of a cell."""
    data = task(cell.task)
    if not cell.hidden:
        return tl.GradientDescent(convolution(), data, lr=lr, weight_decay=cell.decay)
    net = tl.Perceptron(data.x.shape[1], cell.hidden, data.n_classes, activation=cell.activation)
    return tl.GradientDescent(net, data, lr=lr, weight_decay=cell.decay)


def starts(gd: tl.GradientDescent, n: int, seed: int = SEED) -> np.ndarray:
    """Initial weights (n, p) from N(0, 1), biases 0; the first ones do not depend on n."""
    if gd.problem is not None:
        return gd.network.init(n, seed=seed)
    w = np.zeros((n, gd.n_parameters))
    w[:, gd.is_weight] = np.random.Generator(np.random.PCG64(seed)).standard_normal((n, int(gd.is_weight.sum())))
    return w
