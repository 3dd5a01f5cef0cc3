"""The rules against torch.optim, and their tangents against differences and dense Jacobians."""

import numpy as np
import optimised
import pytest
from optimised import CASES

import trajlib as tl

TOLERANCE = {"Adam": 1e-9, "RMSProp": 1e-9, "RMSProp with momentum": 1e-9}
every_case = pytest.mark.parametrize("case", CASES)


def by_torch(gd, w, steps):
    """Weights after some steps of torch.optim's optimiser, the learning rates set step by step."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.set_num_threads(1)
    net, rule, functional = gd.network, gd.rule, torch.nn.functional
    values = [torch.tensor(layer.copy(), requires_grad=True) for layer in net.unpack(w)]
    each = 1 + bool(net.bias)
    layers = [values[i : i + each] for i in range(0, len(values), each)]
    groups = [{"params": layer} for layer in layers]
    decay = 0.0 if gd.decoupled_weight_decay else gd.weight_decay
    if rule.name == "Adam":
        optimiser = torch.optim.Adam(groups, betas=(rule.p, rule.q), eps=rule.eps, weight_decay=decay)
    elif rule.name.startswith("RMSProp"):
        numbers = {"alpha": rule.q, "eps": rule.eps, "momentum": rule.p}
        optimiser = torch.optim.RMSprop(groups, **numbers, weight_decay=decay)
    else:
        nesterov = rule.name == "Nesterov"
        optimiser = torch.optim.SGD(groups, lr=1.0, momentum=rule.p, nesterov=nesterov, weight_decay=decay)
    activation = {
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "identity": lambda z: z,
        "gelu": functional.gelu,
        "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
    }[net.activation]
    x, targets = torch.tensor(gd.task.x), torch.tensor(gd.targets)
    for t, rate in enumerate(optimised.rates(gd, steps)):
        samples = np.arange(len(x)) if gd.batches is None else gd.batches.at(t)
        h = x[samples]
        for i, layer in enumerate(layers):
            h = (1.0 if net.scale is None else net.scale[i]) * (h @ layer[0])
            h = h + layer[1] if net.bias else h
            h = activation(h) if i < net.depth - 1 else h
        if net.loss == "cross_entropy":
            loss = functional.cross_entropy(h, targets[samples])
        elif net.loss == "mean_squared_error":
            loss = functional.mse_loss(h, targets[samples])
        else:
            loss = 0.5 * (h - targets[samples]).square().sum()
        optimiser.zero_grad()
        loss.backward()
        for group, lr in zip(optimiser.param_groups, rate, strict=True):
            group["lr"] = lr
            if gd.decoupled_weight_decay:
                for value in group["params"]:
                    value.data *= 1.0 - lr * gd.weight_decay
        optimiser.step()
    return np.concatenate([value.detach().numpy().ravel() for value in values])


@every_case
def test_torch(case):
    gd = CASES[case]()
    w = optimised.weights(gd, 1)
    got = tl.train(gd, w, 200, record=()).final[0, : gd.n_parameters]
    want = by_torch(gd, w[0], 200)
    assert np.abs(want - w[0]).max() > 0.1
    assert np.abs(got - want).max() < TOLERANCE.get(gd.rule.name, 1e-11)


def test_decoupled_decay_is_that_of_adamw():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    gd = CASES["AdamW"](weight_decay=0.3)
    value = torch.tensor(optimised.weights(gd, 1)[0], requires_grad=True)
    z = gd.state(value.detach().numpy().copy())
    optimiser = torch.optim.AdamW([value], lr=gd.lr, betas=gd.betas, weight_decay=0.3)
    for t in range(20):
        value.grad = torch.tensor(gd.gradient(value.detach().numpy()))
        optimiser.step()
        z = gd.step(z, t)
    np.testing.assert_allclose(z[: gd.n_parameters], value.detach().numpy(), rtol=0, atol=1e-12)


def wandered(gd, steps, n=2):
    """States after some steps."""
    z = gd.state(optimised.weights(gd, n))
    for t in range(steps):
        z = gd.step(z, t)
    return z


@pytest.mark.slow
@every_case
def test_tangents_are_differences(case):
    gd = CASES[case]()
    z, rng, p = wandered(gd, 6), np.random.default_rng(0), gd.n_parameters
    V = rng.standard_normal((2, 3, gd.size))
    V[:, :, p:] *= np.abs(z[:, None, p:])  # relative to what is remembered
    h = 1e-6 * np.minimum(1.0, 1e-2 if gd.rule.slots == 2 else 1.0)
    differences = np.stack(
        [(gd.step(z + h * V[:, k], 6) - gd.step(z - h * V[:, k], 6)) / (2 * h) for k in range(3)], axis=1
    )
    got = gd.jvp(z, V, 6)
    for part in range(0, gd.size, p):
        wrong, size = got[..., part : part + p] - differences[..., part : part + p], differences[..., part : part + p]
        assert np.linalg.norm(wrong) < 1e-6 * np.linalg.norm(size), part


@every_case
def test_jacobian_is_the_tangent_map(case):
    gd = CASES[case]()
    z = wandered(gd, 3)
    V = np.random.default_rng(1).standard_normal((2, 3, gd.size))
    want = np.einsum("nij,nkj->nki", gd.jacobian(z, 3), V)
    got = gd.jvp(z, V, 3)
    assert np.abs(got - want).max() < 1e-12 * np.abs(want).max()
