"""A portrait of any module's training: a linear model whose exponents are known, and the kinds of networks that people bring."""

import numpy as np
import pytest
import torch
from torch import nn

import trajlib as tl
from trajlib import plots
from trajlib.companion.portrait import portrait

RNG = np.random.default_rng(0)
STEPS = 40


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells, self.head = nn.LSTM(2, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second, self.last = (
            nn.Linear(4, 6),
            nn.BatchNorm1d(6),
            nn.Linear(6, 6),
            nn.Linear(6, 3),
        )

    def forward(self, x):
        h = self.first(x)
        return self.last(h + self.second(torch.relu(self.norm(h))))


class Block(nn.Module):
    """One block of a GPT: causal attention, layer norm before, and the words' vectors again at the end."""

    def __init__(self, words=6, length=5, width=8):
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.inner = nn.Sequential(nn.Linear(width, 16), nn.GELU(), nn.Linear(16, width))
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x):
        length = x.shape[1]
        h = self.words(x) + self.places(torch.arange(length, device=x.device))
        mask = torch.full((length, length), -torch.inf, dtype=h.dtype).triu(1)
        a = self.before(h)
        h = h + self.attention(a, a, a, attn_mask=mask, need_weights=False)[0]
        return self.head(h + self.inner(self.after(h))).flatten(0, 1)


def words():
    x = torch.tensor(RNG.integers(0, 6, (8, 5)))
    return x, (x + 1).remainder(6)


def next_word(out, y):
    return nn.functional.cross_entropy(out, y.flatten())


CASES = {
    "LSTM": (Recurrent, lambda: (RNG.normal(size=(10, 4, 2)), RNG.integers(0, 2, 10)), {"lr": 0.3, "momentum": 0.9}),
    "residual, batch norm": (Residual, lambda: (RNG.normal(size=(12, 4)), RNG.integers(0, 3, 12)), {"lr": 0.3}),
    "GPT block, tied": (Block, words, {"lr": 0.1, "loss": next_word}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_portrait_of_what_people_bring(name):
    make, data, options = CASES[name]
    torch.manual_seed(0)
    module = make()
    gd = tl.GradientDescent(module, data(), **options)
    found = portrait(gd, gd.flatten(module), STEPS, k=2, copies=2, moments=5)
    assert found.loss[-1] < found.loss[0] and found.distance.shape == (2, STEPS + 1)
    for values in (found.exponents, found.ratio, found.embedded, found.distance):
        assert np.isfinite(values).all()
    assert found.embedded[-1, 0] > found.embedded[0, 0]  # the first coordinate goes with training
    import matplotlib.pyplot as plt

    fig = plots.draw_portrait(found)
    fig.canvas.draw()
    assert len(fig.axes) == 6 and all(ax.get_title(loc="left") for ax in fig.axes)
    plt.close(fig)


def test_linear_regression_has_the_exponents_of_its_quadratic_loss():
    x = RNG.normal(size=(30, 3)) @ np.diag([2.0, 1.0, 0.5])
    y = x @ RNG.normal(size=(3, 1)) + 0.1 * RNG.normal(size=(30, 1))
    module = nn.Linear(3, 1)
    curvature = np.linalg.eigvalsh(2 / 30 * np.c_[x, np.ones(30)].T @ np.c_[x, np.ones(30)])
    lr = 1.0 / curvature[-1]
    gd = tl.GradientDescent(module, (x, y), lr=lr)
    found = portrait(gd, gd.flatten(module), 2000, k=3, copies=2, moments=4)
    want = np.log(np.abs(1 - lr * curvature[:3]))
    np.testing.assert_allclose(found.exponents, want, atol=5e-3)
    np.testing.assert_allclose(found.ratio, 0.5, rtol=1e-6)


def test_adam_has_no_preconditioner_before_its_first_step():
    adam = tl.Adam(tl.Perceptron(4, 10, 3), tl.iris(), lr=0.01)
    found = portrait(adam, adam.network.init(1, seed=0), STEPS, moments=4)
    assert np.isnan(found.ratio[0]) and np.isfinite(found.ratio[1:]).all()


def test_one_network_at_a_time():
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=0.1)
    with pytest.raises(ValueError, match=r"one network.*got \(2, 83\)"):
        portrait(gd, gd.network.init(2, seed=0), STEPS)
