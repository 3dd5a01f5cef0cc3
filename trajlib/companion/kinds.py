"""Kinds of modules, one of each, for the page on networks of one's own: what works with them is tried out, not asserted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from .. import lyapunov_spectrum, sharpness
from ..dynamics.descent import GradientDescent
from ..dynamics.module import METHODS, ModuleLoss

__all__ = ["KINDS", "Kind", "Tried", "tried"]


class Kind(NamedTuple):
    """A kind of module: its name, how one is made, what it learns ("numbers", "pictures" or "words"), and what to mind."""

    name: str
    make: Callable[[], nn.Module]
    learns: str = "numbers"
    mind: str = ""


class Tried(NamedTuple):
    """What came of a kind: whether an ensemble is computed together, the ways to products with the Hessian, and whether training,
    exponents and sharpness worked, the tangent map being that of central differences."""

    kind: Kind
    parameters: int
    together: bool
    ways: tuple[str, ...]
    trains: bool
    tangent: bool
    off: float


class _Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(7, 8)
        self.layer, self.head = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.layer(self.words(x)).mean(dim=1))


class _Recurrent(nn.Module):
    def __init__(self, kind: Any):
        super().__init__()
        self.words, self.cells, self.head = nn.Embedding(7, 4), kind(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.cells(self.words(x))[0][:, -1])


class _Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(7, 6), nn.Linear(6, 7, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x):
        return self.head(torch.tanh(self.words(x)).mean(dim=1))


class _Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        z = self.layer(x)
        return z if z.sum().item() > 0 else 2.0 * torch.tanh(z)


class _Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x + 0.1 * torch.randn(x.shape, dtype=x.dtype, device=x.device))


def _frozen() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    net[0].requires_grad_(False)
    return net


KINDS = (
    Kind("linear, GELU, layer norm", lambda: nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 3))),
    Kind(
        "convolution, max-pool",
        lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)),
        "pictures",
        "convolutions are faster one network after the other",
    ),
    Kind(
        "batch norm",
        lambda: nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)),
        mind="in training mode the statistics are those of the batch, also of the test part; the running ones are not kept",
    ),
    Kind(
        "dropout",
        lambda: nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Dropout(0.5), nn.Linear(6, 3)),
        mind="masks depend on batch_seed and the step, and are the same for all networks; off where accuracy and test loss are taken",
    ),
    Kind("noise of torch.randn", _Noisy, mind="as dropout, but never off"),
    Kind("embedding, transformer layer", _Attention, "words", "words are an integer tensor in a tuple (x, y); attention is the plain one"),
    Kind("weight tying", _Tied, "words", "a tied parameter is there once"),
    Kind("LSTM", lambda: _Recurrent(nn.LSTM), "words", "forward must return one tensor, or loss take what it returns apart"),
    Kind("GRU", lambda: _Recurrent(nn.GRU), "words"),
    Kind("frozen parameters", _frozen, mind="those with requires_grad False stay as they are, and are not in the weights"),
    Kind("control flow on numbers", _Branching, mind="the tangent map is that of the branch taken"),
    Kind(
        "EmbeddingBag",
        lambda: nn.Sequential(nn.EmbeddingBag(7, 4), nn.Linear(4, 3)),
        "words",
        "PyTorch has no second derivative of it: train and diverge only",
    ),
)  # fmt: skip
"""The rows of the page's table."""


def tried(kind: Kind) -> Tried:
    """Train a module of a kind for a few steps, carry tangent vectors along, compare with central differences, take the sharpness.

    Parameters
    ----------
    kind : Kind
        One of ``KINDS``.

    Returns
    -------
    Tried
        ``off`` is the largest difference of a tangent vector from its central difference, as a fraction of the largest entry.
    """
    rng = np.random.default_rng(0)
    x: Any = {
        "numbers": lambda: torch.tensor(rng.normal(size=(12, 4))),
        "pictures": lambda: torch.tensor(rng.normal(size=(12, 1, 6, 6))),
        "words": lambda: torch.tensor(rng.integers(0, 7, (12, 5))),
    }[kind.learns]()
    task = x, torch.tensor(rng.integers(0, 3, 12))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        gd = GradientDescent(kind.make(), task, 0.05, momentum=0.9)
    z = gd.state(gd.flatten(gd.network))
    for t in range(3):
        z = gd.step(z, t)
    trains, ways = bool(np.isfinite(z).all()), tuple(way for way in METHODS if _works(gd, way))
    off = np.nan
    if ways:
        v = rng.normal(size=gd.size)
        difference = (gd.step(z + 1e-6 * v, 3) - gd.step(z - 1e-6 * v, 3)) / 2e-6
        off = float(np.abs(gd.jvp(z, v[None, None], 3)[:, 0] - difference).max() / np.abs(difference).max())
        exponents = lyapunov_spectrum(gd, z, 4, k=2, blocks=4, progress=False).exponents
        found = bool(np.isfinite(exponents).all() and np.isfinite(sharpness(gd, z)).all() and off < 1e-6)
    return Tried(kind, gd.n_parameters, gd.learner.vectorised, ways, trains, bool(ways) and found, off)


def _works(gd: GradientDescent, way: str) -> bool:
    """Whether products with the Hessian can be made in this way."""
    w = gd.flatten(gd.network)
    try:
        ModuleLoss(gd.network, gd.task, method=way).products(w, np.ones((1, 2, w.shape[1])))
    except (NotImplementedError, ValueError):
        return False
    return True
