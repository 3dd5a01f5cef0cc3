"""torch modules as networks: against torch.optim, central differences, the fused engine, and losses whose exponents are known."""

import dataclasses
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

import trajlib as tl
from trajlib.dynamics import matrices
from trajlib.models.cost import total_cost

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn, functional = torch.nn, torch.nn.functional
modules = pytest.importorskip("trajlib.dynamics.module")
as_module = modules.as_module

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
IRIS = tl.iris()
SCALED = IRIS.standardised()
IMAGES = torch.tensor(RNG.normal(size=(12, 1, 6, 6)))
SERIES = torch.tensor(RNG.normal(size=(10, 4, 3)))
WORDS = torch.tensor(RNG.integers(0, 7, (6, 5)))
LABELS = torch.tensor(RNG.integers(0, 3, 12))


def mlp(dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)


class Attention(nn.Module):
    """Words to the next words: embedding, positions, causal attention, weights of the embedding tied to those of the outputs."""

    def __init__(self, width=8):
        super().__init__()
        self.embedding, self.places = nn.Embedding(7, width), nn.Parameter(0.1 * torch.randn(5, width))
        self.qkv, self.norm, self.head = (
            nn.Linear(width, 3 * width),
            nn.LayerNorm(width),
            nn.Linear(width, 7, bias=False),
        )
        self.head.weight = self.embedding.weight

    def forward(self, x):
        h = self.embedding(x) + self.places
        q, k, v = self.qkv(self.norm(h)).chunk(3, dim=-1)
        return self.head(h + functional.scaled_dot_product_attention(q, k, v, is_causal=True))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class Branching(nn.Module):
    """Whose control flow depends on its numbers."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        z = self.linear(x)
        return z if z.sum().item() > 0 else 2.0 * torch.tanh(z)


class Quadratic(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.w = nn.Parameter(torch.ones(len(h), dtype=torch.float64))
        self.register_buffer("h", torch.tensor(h, dtype=torch.float64))

    def forward(self, x):
        return 0.5 * (self.h * self.w**2).sum()


NOTHING = (torch.zeros(1, 1), torch.zeros(1))


def given(output, target):
    return output


MODELS = {
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.0), nn.Linear(12, 3)
        ),
        (IMAGES, LABELS),
    ),
    "batch normalisation": (
        lambda: nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)),
        IRIS,
    ),
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 3)), IRIS),
    "attention": (Attention, (WORDS, WORDS.roll(-1, 1))),
    "transformer layer": (
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(3, 1, 6, 0.1, "gelu", batch_first=True), nn.Flatten(), nn.Linear(12, 3)
        ),
        (SERIES, LABELS[:10]),
    ),
    "lstm": (Recurrent, (SERIES, LABELS[:10])),
    "branching": (Branching, IRIS),
    "regression": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 1)),
        (torch.tensor(IRIS.x), torch.tensor(IRIS.y.astype(float))),
    ),
}
VECTORISED = {name: name not in ("convolution", "lstm", "branching", "dropout", "transformer layer") for name in MODELS}


def made(name, **options):
    torch.manual_seed(1)
    build, task = MODELS[name]
    return tl.GradientDescent(build(), task, 0.1, momentum=0.9, **options)


def differences(gd, z, V, t, size=1e-4):
    """Central differences of fourth order."""
    at = {i: np.stack([gd.step(z + i * size * v, t) for v in V]) for i in (-2, -1, 1, 2)}
    return (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * size)


def agree(got, want, rtol):
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= rtol * np.abs(want).max()


OPTIMISERS = {
    "descent": (tl.GradientDescent, {"lr": 0.1}, torch.optim.SGD),
    "decay": (tl.GradientDescent, {"lr": 0.1, "weight_decay": 0.01}, torch.optim.SGD),
    "heavy ball": (tl.GradientDescent, {"lr": 0.02, "momentum": 0.9}, torch.optim.SGD),
    "Nesterov": (tl.GradientDescent, {"lr": 0.02, "momentum": 0.9, "nesterov": True}, torch.optim.SGD),
    "Adam": (tl.Adam, {"lr": 0.01, "weight_decay": 0.02}, torch.optim.Adam),
    "AdamW": (tl.AdamW, {"lr": 0.01, "weight_decay": 0.1}, torch.optim.AdamW),
    "RMSProp": (tl.RMSProp, {"lr": 0.01}, torch.optim.RMSprop),
    "RMSProp with momentum": (tl.RMSProp, {"lr": 0.01, "momentum": 0.5}, torch.optim.RMSprop),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_fifty_steps_of_torch_optim_and_the_tangent_map(name):
    kind, options, theirs = OPTIMISERS[name]
    net = mlp()
    gd = kind(net, SCALED, **options)
    w0 = gd.flatten([net, mlp(seed=1)])
    run = tl.train(gd, w0, 50, record=("loss", "weights"))
    x, y, optimiser = torch.tensor(SCALED.x), torch.tensor(SCALED.y), theirs(net.parameters(), **options)
    for _ in range(50):
        optimiser.zero_grad()
        functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    tolerance = 1e-9 if kind in (tl.Adam, tl.AdamW, tl.RMSProp) else 1e-11
    assert np.abs(gd.weights(run.final)[0] - gd.flatten(net)[0]).max() < tolerance
    assert run.engine == "generic" and "PyTorch" in run.device
    z = run.final if gd.size == gd.n_parameters else run.final_state
    V = np.random.default_rng(1).normal(size=(2, 3, gd.size)) * np.abs(z).clip(1e-5)[:, None]
    for i in range(2):
        agree(gd.jvp(z, V, 50)[i], differences(gd, z[i], V[i], 50), 1e-6)
    moved, pushed = gd.push(z, V, 50)
    np.testing.assert_allclose(moved, gd.step(z, 50), rtol=1e-13)
    np.testing.assert_array_equal(pushed, gd.jvp(z, V, 50))


@pytest.mark.parametrize("name", MODELS)
def test_step_and_tangent_map_of_many_kinds_of_modules(name):
    gd = made(name)
    torch.manual_seed(5)
    before, was = torch.random.get_rng_state(), {k: v.clone() for k, v in gd.network.state_dict().items()}
    z = gd.state(gd.flatten([gd.network, MODELS[name][0]().double()]))
    torch.random.set_rng_state(before)
    for t in range(2):
        z = gd.step(z, t)
    V = np.random.default_rng(1).normal(size=(2, 3, gd.size))
    got = gd.jvp(z, V, 2)
    for i in range(2):
        agree(got[i], differences(gd, z[i], V[i], 2, 1e-6 if name == "convolution" else 1e-4), 1e-6)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, was[key]) for key, value in gd.network.state_dict().items())
    assert gd.learner.vectorised == VECTORISED[name] and gd.converted == (name != "regression" or gd.converted)
    alone = np.concatenate([gd.step(z[i : i + 1], 2) for i in range(2)])
    agree(gd.step(z, 2), alone, 1e-12)  # dropout: the same masks for all networks
    if name == "dropout":
        assert np.abs(gd.step(z, 2) - gd.step(z, 3)).max() > 1e-3
        other = made(name, batch_seed=1)
        assert np.abs(gd.step(z, 2) - other.step(z, 2)).max() > 1e-3


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("branching", "dropout", "transformer layer")])
def test_both_ways_to_hessian_vector_products_agree(name):
    gd = made(name)
    w, V = gd.flatten([gd.network] * 2), np.random.default_rng(1).normal(size=(2, 3, gd.n_parameters))
    w[1] *= 0.9
    found = {}
    for method in modules.METHODS:
        learner = modules.ModuleLoss(gd.network, gd.task, method=method)
        found[method] = learner.products(w, V, 4)
        assert learner.method == method
    for one, other in zip(found["forward"], found["backward"], strict=True):
        agree(one, other, 1e-11)
    small = modules.ModuleLoss(gd.network, gd.task, method="backward", memory=1)  # one network and one vector at a time
    for one, other in zip(small.products(w, V, 4), found["backward"], strict=True):
        agree(one, other, 1e-11)
    np.testing.assert_allclose(small.loss(w, 4), gd.learner.loss(w, 4), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"activation": "gelu", "bias": False, "scale": "mean_field"}])
@pytest.mark.parametrize("loss", ["cross_entropy", "half_squared_error", "mean_squared_error"])
def test_a_perceptron_as_a_module(loss, options):
    net = tl.Perceptron(4, (5, 4), 3, loss=loss, **options)
    fused, gd = (tl.GradientDescent(one, IRIS, 0.01, weight_decay=0.1) for one in (net, as_module(net)))
    w = net.init(3, seed=0)
    want = total_cost(loss, net.outputs(w, IRIS.x), fused.targets) / fused.divisor + 0.05 * (w * w).sum(axis=-1)
    np.testing.assert_allclose(gd.loss(w), want, rtol=1e-12)
    agree(gd.gradient(w), matrices.gradient(fused, w), 1e-12)  # by matrix products, without the engine
    np.testing.assert_array_equal(gd.accuracy(w, "train"), fused.accuracy(w, "train"))
    np.testing.assert_array_equal(gd.is_weight, fused.is_weight if net.bias else np.ones(gd.n_parameters, bool))
    np.testing.assert_array_equal(gd.flatten(as_module(net)), np.zeros((1, gd.n_parameters)))


def test_every_verb_against_the_fused_engine():
    net, lr = tl.Perceptron(4, 10, 3), 0.01
    fused, gd = tl.GradientDescent(net, IRIS, lr), tl.GradientDescent(as_module(net), IRIS, lr)
    w, V = net.init(2, seed=0), np.random.default_rng(0).normal(size=(2, 3, net.n_parameters))
    pair = [
        (
            tl.lyapunov_spectrum(one, w, 60, k=5).exponents,
            tl.finite_time_exponents(one, w, 40, at=[20, 40], k=5).exponents,
            tl.sharpness(one, w),
            tl.tangent(one, w, V, 30).vectors,
            tl.diverge(one, w, radius=1e-3, steps=30, copies=3, record=("loss", "accuracy")).distance,
            tl.perturb(one, w, radius=1e-3, copies=2, seed=0),
            tl.train(one, w, 10, record=("accuracy", "gradient_norm", "norm", "loss")).gradient_norm,
        )
        for one in (fused, gd)
    ]
    for want, got in zip(*pair, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)
    vectors = [tl.covariant_vectors(one, w, 80, k=3, transient=(20, 40)) for one in (fused, gd)]
    np.testing.assert_allclose(vectors[1].exponents, vectors[0].exponents, atol=1e-9)
    div = tl.diverge(gd, w, radius=1e-3, steps=30, record=("weights",))
    assert tl.embed_copies(div.snapshots, k=2).coordinates.shape[-1] == 2


def test_exponents_along_the_same_chaotic_states():
    """At lr = 1 two engines part by chaos; along the states of one, both have the same finite-time exponents."""
    net, steps = tl.Perceptron(4, 10, 3), 100
    fused, gd = tl.GradientDescent(net, IRIS, 1.0), tl.GradientDescent(as_module(net), IRIS, 1.0)
    w = net.init(2, seed=0)
    states = tl.train(fused, w, steps, record=("weights",)).weights
    start = np.linalg.qr(np.random.default_rng(0).normal(size=(2, net.n_parameters, 5)))[0].swapaxes(1, 2)
    found = []
    for one in (fused, gd):
        V, total = start, 0.0
        for t in range(steps):
            Q, R = np.linalg.qr(one.jvp(states[:, t], V, t).swapaxes(1, 2))
            V, total = Q.swapaxes(1, 2), total + np.log(np.abs(np.diagonal(R, axis1=1, axis2=2)))
        found.append(total / steps)
    assert found[0].max() > 0.01  # the map stretches
    np.testing.assert_allclose(found[1], found[0], atol=1e-9)
    apart = np.abs(tl.train(gd, w, 3000).final - tl.train(fused, w, 3000).final).max()
    assert apart > 1e-3  # and so the runs themselves part


def spectrum(gd, steps, transient):
    return tl.lyapunov_spectrum(gd, gd.flatten(gd.network), steps, transient=transient).exponents[0]


def test_exponents_of_a_quadratic_loss():
    h, lr = [0.1, 0.5, 1.0, 2.0, 3.5], 0.5
    gd = tl.GradientDescent(Quadratic(h), NOTHING, lr, loss=given)
    want = np.sort(np.log(np.abs(1 - lr * np.array(h))[[0, 1, 2, 4]]))[::-1]  # 1 - lr h = 0 for the one left out
    got = spectrum(gd, 400, 200)
    np.testing.assert_allclose(got[:4], want, atol=1e-10)
    assert got[4] < -30
    np.testing.assert_allclose(tl.sharpness(gd, gd.flatten(gd.network)), 3.5)
    np.testing.assert_array_equal(gd.hessian(np.ones(5)), np.diag(h))


@pytest.mark.parametrize("nesterov", [False, True])
def test_exponents_of_a_quadratic_loss_with_momentum(nesterov):
    h, lr, b = np.array([0.05, 1.0, 6.0]), 0.3, 0.9
    gd = tl.GradientDescent(Quadratic(h.tolist()), NOTHING, lr, loss=given, momentum=b, nesterov=nesterov)
    of = [[1, -(1 + b) * (1 - lr * a), b * (1 - lr * a)] if nesterov else [1, -(1 + b - lr * a), b] for a in h]
    want = np.sort(np.log(np.abs([np.roots(one) for one in of])).ravel())[::-1]
    jacobian = gd.jacobian(gd.flatten(gd.network))[0]
    np.testing.assert_allclose(np.sort(np.log(np.abs(np.linalg.eigvals(jacobian))))[::-1], want, atol=1e-10)
    got = spectrum(gd, 1000, 500)
    np.testing.assert_allclose(
        np.sort(got)[::-1], want, atol=5e-3
    )  # complex pairs turn, so the error falls as 1 / steps
    np.testing.assert_allclose(got.sum(), want.sum(), rtol=1e-9)


def test_heavy_ball_on_a_network_has_paired_exponents():
    b = 0.9
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3))
    gd = tl.GradientDescent(net, IRIS, 0.1, momentum=b)
    got = tl.lyapunov_spectrum(gd, gd.flatten(net), 300).exponents[0]
    assert abs(got.sum() - gd.n_parameters * np.log(b)) < 1e-9
    ordered = np.sort(got)
    assert np.abs(ordered + ordered[::-1] - np.log(b)).max() < 0.05  # exactly for infinitely many steps


def test_minibatches_schedules_and_rates_of_their_own():
    net = as_module(tl.Perceptron(4, 3, 3))
    w = tl.Perceptron(4, 3, 3).init(2, seed=0)
    options = {"batch_size": 32, "batch_seed": 3}
    rates = tl.schedules.exponential(0.5, 0.9)
    gd, plain = tl.GradientDescent(net, IRIS, rates, **options), tl.GradientDescent(net, IRIS, 1.0, **options)
    z = w
    for t in range(6):
        by_hand = z - float(rates(t)) * (z - plain.step(z, t))
        z = gd.step(z, t)
        np.testing.assert_allclose(z, by_hand, rtol=1e-12)
    np.testing.assert_allclose(tl.train(gd, w, 6).final, z, rtol=1e-12)
    each = tl.GradientDescent(net, IRIS, np.array([0.1, 0.2]))
    assert not each.independent
    for i, lr in enumerate((0.1, 0.2)):
        one = tl.GradientDescent(net, IRIS, lr)
        np.testing.assert_allclose(each.step(w)[i], one.step(w[i]), rtol=1e-12)
        np.testing.assert_allclose(each.jacobian(w)[i], one.jacobian(w[i]), rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="lr must be one number or one a network"):
        each.step(w[:1].repeat(3, axis=0))


def test_large_deep_perceptrons_and_flat_weights_of_perceptrons():
    net = tl.Perceptron(4, (140, 140), 3, activation="tanh")
    gd = tl.GradientDescent(net, IRIS, 0.05, momentum=0.9, batch_size=50)
    assert net.n_parameters > 20_000 and gd.problem is not None
    w = net.init(2, seed=0, scheme="glorot")
    run = tl.train(gd, w, 5)
    assert run.engine == "generic" and (run.loss[:, -1] < run.loss[:, 0]).all()
    np.testing.assert_allclose(gd.gradient(w), matrices.gradient(gd, w), rtol=1e-9, atol=1e-12)
    whole, by_hand, v = tl.GradientDescent(net, IRIS, (0.05, 0.1, 0.2), momentum=0.9), w, 0.0
    for _ in range(4):
        v = 0.9 * v + matrices.gradient(whole, by_hand)
        by_hand = by_hand - np.array([0.05, 0.1, 0.2])[net.layer_of] * v
    np.testing.assert_allclose(whole.weights(tl.train(whole, w, 4).final), by_hand, rtol=1e-9, atol=1e-12)
    assert tl.lyapunov_spectrum(gd, w, 20, k=2).exponents.shape == (2, 2)
    several = gd.unflatten(w)
    np.testing.assert_array_equal(gd.flatten(several), w)
    np.testing.assert_array_equal(gd.flatten(gd.unflatten(w[0])), w[:1])


def test_weights_as_modules_have_them():
    torch.manual_seed(0)
    net = Attention()
    net.places.requires_grad_(False)
    gd = tl.Adam(net, MODELS["attention"][1])
    w = gd.flatten(net)
    assert gd.network is net and gd.converted and gd.n_parameters == 7 * 8 + 8 * 24 + 24 + 8 + 8  # tied weights once
    assert (~gd.is_weight).sum() == 24 + 8 and gd.movable.shape == (3 * gd.n_parameters,)
    z = tl.train(gd, w, 3).final
    state = gd.unflatten(z[0])
    assert set(state) == set(net.state_dict()) and torch.equal(state["head.weight"], state["embedding.weight"])
    assert torch.equal(state["places"], net.places)
    other = Attention().double()
    other.load_state_dict(state)
    np.testing.assert_array_equal(gd.flatten([other, state]), z[[0, 0], : gd.n_parameters])
    np.testing.assert_array_equal(gd.flatten(gd.unflatten(z)), gd.weights(z))
    with pytest.raises(ValueError, match=r"parameter 'embedding.weight' must have shape \(7, 8\), and is missing"):
        gd.flatten({})


def test_dropout_is_off_where_networks_are_judged():
    gd = made("dropout")
    w = gd.flatten(gd.network)
    quiet = tl.GradientDescent(gd.network.eval(), IRIS)
    assert gd.accuracy(w, "train") == quiet.accuracy(w, "train")
    assert gd.loss(w) != quiet.loss(w)
    gd.network.train()


def test_where_samples_come_from():
    x, y = torch.tensor(IRIS.x), torch.tensor(IRIS.y)
    data = torch.utils.data.TensorDataset(x, y)
    w = tl.GradientDescent(mlp(), IRIS).flatten(mlp())
    want = tl.GradientDescent(mlp(), IRIS, batch_size=20).step(w, 1)
    loader = torch.utils.data.DataLoader(data, batch_size=7, shuffle=True)
    for task in ((x, y), (IRIS.x, IRIS.y), (x.float(), y.int()), data, loader):
        gd = tl.GradientDescent(mlp(), task, batch_size=20)
        np.testing.assert_allclose(
            gd.step(w, 1), want, rtol=1e-5 if task[0].dtype == torch.float32 else 0
        ) if isinstance(task, tuple) else np.testing.assert_array_equal(gd.step(w, 1), want)
    both = tl.GradientDescent(mlp(), (x[:100], y[:100], x[100:], y[100:]))
    run = tl.train(both, w, 2, record=("test_accuracy", "test_loss", "accuracy"))
    expected = functional.cross_entropy(mlp()(x[100:]), y[100:]).item()
    np.testing.assert_allclose(run.test_loss[0, 0], expected)
    with pytest.raises(ValueError, match="no test part"):
        tl.GradientDescent(mlp(), (x, y)).test_loss(w)


def test_copies_of_a_map_keep_its_loss():
    gd = tl.GradientDescent(mlp(), IRIS, 0.1, loss=nn.CrossEntropyLoss(label_smoothing=0.1))
    w = gd.flatten(gd.network)
    for other in (dataclasses.replace(gd, lr=0.2), pickle.loads(pickle.dumps(gd))):
        np.testing.assert_array_equal(other.gradient(w), gd.gradient(w))
    assert dataclasses.replace(tl.GradientDescent(tl.Perceptron(4, 3, 3), IRIS), lr=0.2).loss_function is None


class Once(torch.autograd.Function):
    """An operation that can be differentiated once."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        return slope * ctx.saved_tensors[0].cos()


class OnceOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return Once.apply(self.linear(x)) * self.linear.bias


class InPlace(nn.Module):
    """Which writes over what its gradient needs."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        z = self.linear(x).sigmoid()
        z[:, 0] = 0.0
        return z


class Restless(nn.Module):
    """Which gives something else at each call, because of a counter or of NumPy's random numbers."""

    def __init__(self, kind):
        super().__init__()
        self.linear, self.kind, self.calls = nn.Linear(4, 3), kind, 0

    def forward(self, x):
        self.calls += 1
        return self.linear(x) * (self.calls if self.kind == "count" else RNG.random())


def test_losses_that_are_modules_are_computed_in_float64_too():
    weight = torch.tensor([1.0, 2.0, 3.0])
    given = nn.CrossEntropyLoss(weight)
    gd = tl.GradientDescent(mlp(), IRIS, loss=given)
    want = nn.functional.cross_entropy(mlp()(torch.tensor(IRIS.x)), torch.tensor(IRIS.y), weight.double())
    np.testing.assert_allclose(gd.loss(gd.flatten(gd.network)), want.item(), rtol=1e-12)
    assert given.weight.dtype == torch.float32


def test_matrices_that_do_not_fit_are_not_begun():
    gd = tl.GradientDescent(nn.Linear(4, 60_000), (torch.zeros(1, 4), torch.zeros(1, 60_000)), momentum=0.9)
    w = np.zeros((1, gd.n_parameters))
    for matrix in (gd.hessian, gd.jacobian):
        with pytest.raises(MemoryError, match=r"matrices of \d+ x \d+ .*lyapunov_spectrum\(k=...\) form no matrix"):
            matrix(w)


def test_what_is_refused():
    net = mlp()
    x, y = torch.tensor(IRIS.x), torch.tensor(IRIS.y)
    for call, kind, text in [
        (lambda: tl.GradientDescent(3, IRIS), TypeError, "network must be a Perceptron or a torch.nn.Module, got int"),
        (lambda: tl.GradientDescent(nn.Tanh(), IRIS), ValueError, "nothing to train in this Tanh: it has no parameters"),
        (lambda: tl.GradientDescent(net, IRIS, (0.1, 0.2)), ValueError, "a rate for each layer is for a Perceptron"),
        (lambda: tl.GradientDescent(net, IRIS, loss=3), TypeError, "loss must be a function"),
        (lambda: tl.GradientDescent(net, IRIS, loss=lambda o, t: o), ValueError, "loss must give one number"),
        (lambda: tl.GradientDescent(net, IRIS, loss=lambda o, t: o.sum().float()), TypeError, "must be float64"),
        (lambda: tl.GradientDescent(net, IRIS, loss=lambda o, t: o.detach().sum()), ValueError, "does not depend"),
        (lambda: tl.GradientDescent(net, IRIS, loss=nn.CrossEntropyLoss), TypeError, "as in CrossEntropyLoss()"),
        (lambda: tl.GradientDescent(net, IRIS, lambda t: 0.1), TypeError, "a schedule (trajlib.schedules); got"),
        (lambda: tl.GradientDescent(nn.Linear(4, 2), IRIS), ValueError, "labels must be 0 to 1, for the module gives 2 scores, got 0 to 2"),
        (lambda: tl.GradientDescent(nn.DataParallel(net), IRIS), TypeError, "give the module inside it, module.module"),
        (lambda: tl.GradientDescent(nn.Embedding(7, 3, sparse=True), (WORDS, WORDS)), ValueError, "give it sparse=False"),
        (lambda: tl.GradientDescent(Restless("count"), IRIS), ValueError, "the same for the same weights"),
        (lambda: tl.GradientDescent(Restless("numpy"), IRIS), ValueError, "draws numbers that are not torch's"),
        (lambda: tl.GradientDescent(net, IRIS.to_frame()), TypeError, "give Task.from_frame"),
        (lambda: tl.GradientDescent(net, ((x, x), y)), TypeError, "got tuple; side by side in one"),
        (lambda: tl.train(tl.GradientDescent(net, IRIS), net, 1), TypeError, "got Sequential; use gd.flatten"),
        (lambda: tl.train(tl.GradientDescent(net, IRIS), net.state_dict(), 1), TypeError, "got OrderedDict; use gd.flatten"),
        (lambda: tl.gauss_newton(tl.GradientDescent(net, IRIS), np.zeros((1, 83))), TypeError, "GradientDescent of a Sequential"),
        (lambda: tl.GradientDescent(net, IRIS, device="tpu"), ValueError, "device must be one of"),
        (lambda: tl.GradientDescent(net, (x,)), ValueError, "got 1 parts"),
        (lambda: tl.GradientDescent(net, (x, y[:3])), ValueError, "as many samples"),
        (lambda: tl.GradientDescent(net, "iris"), TypeError, "task must be a Task, a tuple"),
        (lambda: tl.GradientDescent(net, (x * np.nan, y)), ValueError, "x must be finite"),
        (lambda: tl.GradientDescent(net, (x, y.double())), ValueError, "do not fit targets"),
        (lambda: tl.GradientDescent(net, (x, y), batch_size=1000), ValueError, "batch_size must be at most"),
        (lambda: tl.GradientDescent(nn.LazyLinear(3), IRIS), ValueError, "without a shape yet"),
        (lambda: tl.GradientDescent(tl.Perceptron(4, 3, 3), IRIS, loss=given), ValueError, "loss is for a torch.nn"),
        (lambda: tl.GradientDescent(tl.Perceptron(4, 3, 3), IRIS, device="cpu"), ValueError, "device is for a torch"),
        (lambda: tl.train(tl.GradientDescent(net, IRIS), np.zeros((1, 83)), 1, engine="cpu"), ValueError, "engine='cpu'"),
        (lambda: tl.train(tl.GradientDescent(net, IRIS), np.zeros((1, 3)), 1), ValueError, "w0 must have shape"),
    ]:  # fmt: skip
        with pytest.raises(kind) as caught:
            call()
        assert text in str(caught.value), str(caught.value)
    with pytest.raises(RuntimeError, match="mat1 and mat2") as caught:
        tl.GradientDescent(net, (x[:, :2], y))
    assert "inputs of shape (120, 2)" in caught.value.__notes__[0]
    for build, task, batch_size in ((InPlace, IRIS, None), (MODELS["batch normalisation"][0], IRIS, 17)):
        with pytest.raises(
            (RuntimeError, ValueError)
        ) as caught:  # 120 = 7 * 17 + 1: of the last one there is no variance
            tl.GradientDescent(build(), task, batch_size=batch_size)
        assert "this came from the module and its loss" in caught.value.__notes__[0]
    gd = tl.GradientDescent(net, IRIS)
    with pytest.raises(ValueError, match="the module is on 'cpu', got device='cuda'"):
        tl.train(gd, gd.flatten(net), 1, device="cuda")
    assert tl.train(gd, gd.flatten(net), 1, device="cpu").steps == 1
    once = tl.GradientDescent(OnceOnly(), IRIS)
    w = once.flatten(once.network)
    assert np.isfinite(once.step(w)).all()
    with pytest.raises(ValueError, match="draws random numbers, got 'forward'"):
        modules.ModuleLoss(made("dropout").network, IRIS, method="forward")
    with pytest.raises(NotImplementedError, match="has no second derivative"):
        once.jvp(w, w[:, None])


def test_states_that_overflow_stay_quiet():
    gd = tl.Adam(mlp(), IRIS, 0.1)
    w = gd.flatten(gd.network) * np.array([[1.0], [1e200], [np.inf]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        z, V = gd.push(w, np.ones((3, 1, gd.size)), 0)
    assert np.isfinite(z[0]).all() and not np.isfinite(z[2]).all() and V.shape == (3, 1, gd.size)


def test_nothing_imports_torch_before_it_is_needed():
    code = (
        "import sys, trajlib as tl, trajlib.dynamics as d\n"
        "tl.GradientDescent(tl.Perceptron(4, 3, 3), tl.plane() if False else tl.iris(), 0.1)\n"
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_products_with_vectors_at_weights_that_stay(method):
    gd = tl.GradientDescent(mlp(), (torch.tensor(IRIS.x), torch.tensor(IRIS.y)), 0.1, weight_decay=0.05)
    gd.learner.method = method
    w = gd.flatten([mlp(seed=seed) for seed in range(3)])
    V = np.random.default_rng(0).normal(size=(3, 4, gd.n_parameters))
    product = gd.hvp_at(w)
    for k in (1, 4, 2):  # the first chooses nothing any more, and keeps nothing yet
        np.testing.assert_allclose(product(V[:, :k]), gd.hvp(w, V[:, :k]), rtol=1e-11, atol=1e-13)
    assert gd.hvp_at(w[:0])(V[:0]).shape == (0, 4, gd.n_parameters)
    assert tl.GradientDescent(tl.Perceptron(4, 10, 3), IRIS).hvp_at(np.zeros((1, 83))) is None
