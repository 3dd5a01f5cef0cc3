"""Mean-field theory with correlated inputs, with large steps and batches: against a causal sweep of its equations and direct simulation."""

import numpy as np
import pytest

from trajlib.meanfield import Setting, diagonal_descent, diagonal_flow, dmft, dmft_descent
from trajlib.meanfield.descent import _Effective as Effective
from trajlib.meanfield.descent import _followed as followed
from trajlib.meanfield.paths import PathFlow

TIMES = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0])


def toeplitz(d, rho):
    place = np.arange(d)
    return rho ** np.abs(place[:, None] - place).astype(float)


def power_law(d):
    spectrum = np.arange(1.0, d + 1) ** -0.7
    return spectrum * d / spectrum.sum()


def scores(theory, networks):
    """Differences in combined standard errors, of both errors, after the start."""
    parts = []
    for name in ("excess_risk", "training_error"):
        own = (
            theory.uncertainty
            if name == "excess_risk" and hasattr(theory, "uncertainty")
            else getattr(theory, name + "_error")
        )
        error = np.hypot(own, getattr(networks, name + "_error"))[1:]
        parts.append((getattr(networks, name) - getattr(theory, name))[1:] / error)
    return np.concatenate(parts)


@pytest.mark.parametrize("alpha", [0.3, 2.0])
def test_no_correlations_give_the_theory_of_independent_inputs(alpha):
    plain = dmft(init_scale=alpha, times=TIMES, paths=16_384, convergence=False)
    for covariance in (np.ones(100), np.eye(100)):
        same = dmft(init_scale=alpha, times=TIMES, covariance=covariance, paths=16_384, convergence=False)
        np.testing.assert_allclose(same.excess_risk, plain.excess_risk, rtol=0.03)
        np.testing.assert_allclose(same.training_error, plain.training_error, rtol=0.05, atol=1e-5)


@pytest.mark.parametrize(
    ("covariance", "constants"),
    [
        (power_law(200), {"init_scale": 0.3}),
        (toeplitz(200, 0.7), {"init_scale": 1.0, "aspect_ratio": 2.0, "noise": 0.5}),
        (np.repeat([1.8, 0.2], 100), {"init_scale": 1.0, "weight_decay": 0.3}),
    ],
    ids=["power law", "Toeplitz, many samples", "two levels, weight decay"],
)
def test_agrees_with_networks_of_correlated_inputs(covariance, constants):
    theory = dmft(times=TIMES, covariance=covariance, replicates=4, paths=16_384, **constants)
    networks = diagonal_flow(200, networks=32, times=TIMES, seed=7, covariance=covariance, tolerance=1e-3, **constants)
    assert np.abs(scores(theory, networks)).max() < 3.5
    blind = dmft(times=TIMES, paths=8192, replicates=2, convergence=False, **constants)
    assert np.abs(scores(blind, networks)).max() > 5  # the covariance matters, and the test would see it missing


def test_a_given_signal_and_the_scale_of_the_covariance():
    """theta* along one eigenvector starts with its eigenvalue; c Sigma at time t is Sigma at c t, up to the noise."""
    spectrum = np.diag([3.0, 1.0, 0.5, 0.5])
    signal = np.array([1.0, 0.0, 0.0, 0.0])
    one = dmft(covariance=spectrum, signal=signal, noise=0.0, times=TIMES, paths=4096, replicates=2, convergence=False)
    assert one.excess_risk[0] == pytest.approx(3.0 / 4)
    faster = dmft(
        covariance=4 * spectrum, signal=signal, noise=0.0, times=TIMES / 4, paths=4096, replicates=2, convergence=False
    )
    np.testing.assert_allclose(faster.excess_risk, 4 * one.excess_risk, rtol=0.03)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"covariance": np.ones((3, 4))}, "matrix"),
        ({"covariance": np.array([[1.0, 0.5], [0.0, 1.0]])}, "symmetric"),
        ({"covariance": np.array([1.0, -1.0])}, "no negative eigenvalue"),
        ({"covariance": np.eye(4), "signal": np.ones(3)}, "shape"),
        ({"signal": np.ones(3)}, "needs a covariance"),
        ({"covariance": np.eye(4), "response": True}, "independent inputs only"),
        ({"covariance": np.eye(4), "sparsity": 0.01}, "no coordinate"),
    ],
)
def test_bad_covariances(arguments, words):
    with pytest.raises(ValueError, match=words):
        dmft(paths=4096, replicates=2, **arguments)
    if "signal" not in arguments or "covariance" not in arguments:
        return
    with pytest.raises(ValueError, match=words):
        diagonal_flow(4, **arguments)


def sweep(root, delta, alpha, sigma, lr, steps, fraction, replicas=3000, seed=0):
    """The equations as they stand in the chapter, step by step: responses from path-wise derivatives, averages over batches sampled."""
    d, rng = len(root), np.random.default_rng(seed)
    star = np.zeros((replicas, d))
    star[:, : d // 2] = rng.choice([-1.0, 1.0], (replicas, d // 2)) * np.sqrt(2)
    star = rng.permuted(star, axis=1)
    u, v = (np.full((replicas, d), alpha) for _ in range(2))
    du, dv = (np.zeros((steps + 1, replicas, d, d)) for _ in range(2))  # by the field at each step
    response, memory, z = (
        np.zeros((steps + 1,) * 2),
        np.zeros((steps + 1,) * 2),
        rng.standard_normal((steps + 1, replicas, d)),
    )
    paths = 4000 if fraction < 1 else 1
    s = (rng.random((paths, steps + 1)) < fraction) / fraction  # a sample's batches
    seen, moved = [], []
    for k in range(steps + 1):
        seen.append((0.5 * (u * u - v * v) - star) @ root)
        moved.append(np.stack([u[:, :, None] * du[j] - v[:, :, None] * dv[j] for j in range(k)]) if k else None)
        for j in range(k):
            response[k, j] = np.einsum("ab,rba->", root, moved[k][j]) / replicas / d
        past = response[: k + 1, : k + 1]
        solved = np.linalg.inv(np.eye(k + 1) + past * s[:, None, : k + 1])  # (1 + R S)^-1 for each path of batches
        felt = s[:, : k + 1, None] * solved
        memory[k, : k + 1] = felt[:, k].mean(axis=0)
        correlation = np.array([[(a * b).mean() for b in seen] for a in seen])
        covariance = delta * (felt @ (correlation + sigma**2) @ felt.swapaxes(1, 2)).mean(axis=0)
        field = np.linalg.cholesky(covariance + 1e-12 * np.eye(k + 1))[k]
        noise = np.einsum("j,jrd->rd", field, z[: k + 1])
        push = (delta * np.einsum("j,jrd->rd", memory[k, : k + 1], np.array(seen)) - noise) @ root
        for j in range(k + 1):
            kick = -root if j == k else 0.0
            through = sum(delta * memory[k, m] * (root @ moved[m][j]) for m in range(j + 1, k + 1))
            change = root @ through + kick if np.ndim(through) else np.broadcast_to(kick, du[j].shape)
            du[j], dv[j] = (
                du[j] * (1 - lr * push)[:, :, None] - lr * u[:, :, None] * change,
                dv[j] * (1 + lr * push)[:, :, None] + lr * v[:, :, None] * change,
            )
        u, v = u * (1 - lr * push), v * (1 + lr * push)
    plain = np.linalg.inv(np.eye(steps + 1) + response * s[:, None])
    residual = (plain @ (correlation + sigma**2) @ plain.swapaxes(1, 2)).mean(axis=0)
    return np.diagonal(correlation), np.diagonal(residual)


@pytest.mark.parametrize("fraction", [1.0, 0.3])
def test_a_causal_sweep_of_the_equations_gives_the_same(fraction):
    """Two ways to one theory: conditioning on what is known of the operator, and memory kernels from path-wise derivatives."""
    covariance = toeplitz(4, 0.6)
    axes = np.linalg.eigh(covariance)
    root = (axes[1] * np.sqrt(axes[0])) @ axes[1].T
    risk, training = sweep(root, 0.5, 0.6, 0.3, 0.15, 10, fraction)
    run = dmft_descent(
        lr=0.15, steps=10, batch_fraction=fraction, init_scale=0.6, noise=0.3, sparsity=0.5, covariance=covariance, paths=32_768,
        replicates=4,
    )  # fmt: skip
    np.testing.assert_allclose(run.excess_risk, risk, rtol=0.04)
    np.testing.assert_allclose(run.training_error, training, rtol=0.05)
    other = dmft_descent(
        lr=0.15, steps=10, init_scale=0.6, noise=0.3, sparsity=0.5, covariance=covariance, batch_fraction=1.3 - fraction
    )
    assert (
        np.abs(other.training_error / training - 1).max() > 0.1
    )  # batches matter, and the test would see them missing


@pytest.mark.parametrize(
    ("lr", "fraction", "constants"),
    [
        (0.2, 1.0, {"init_scale": 0.3}),
        (0.1, 0.25, {"init_scale": 0.6, "noise": 0.3}),
        (0.03, 0.5, {"init_scale": 0.6, "aspect_ratio": 1.5, "weight_decay": 0.1, "covariance": power_law(200)}),
    ],
)
def test_steps_and_batches_agree_with_networks(lr, fraction, constants):
    schedule = {"lr": lr, "steps": 60, "every": 15, "batch_fraction": fraction} | constants
    theory = dmft_descent(paths=32_768, **schedule)
    d = 200 if "covariance" in constants else 600
    networks = diagonal_descent(d, networks=32, seed=5, **schedule)
    assert np.abs(scores(theory, networks)).max() < 4
    np.testing.assert_allclose(networks.excess_risk[1:], theory.excess_risk[1:], rtol=0.1)


def test_small_steps_are_the_flow():
    run = dmft_descent(lr=0.01, steps=400, every=100, replicates=2)
    flow = dmft(times=np.linspace(0, 4, 5), paths=16_384)
    np.testing.assert_allclose(run.times, flow.times)
    np.testing.assert_allclose(run.excess_risk, flow.excess_risk, rtol=0.02)
    np.testing.assert_allclose(run.training_error, flow.training_error, rtol=0.03)


def test_steps_of_a_lazy_network_are_those_of_linear_regression():
    """A large start is linear, and its steps filter the spectrum of Marchenko and Pastur."""
    slope, x = 2 * 400.0, np.random.default_rng(0).standard_normal((500, 1000)) / np.sqrt(1000)
    lr = 1.5 / (slope * (1 + np.sqrt(0.5)) ** 2)
    spectrum = np.linalg.eigvalsh(x.T @ x)
    lazy = {"init_scale": 20.0, "sparsity": 1.0, "noise": 0.0, "steps": 10, "paths": 4096, "replicates": 2}
    for rate in (lr, 1.2 * lr):
        left = (1 - rate * slope * spectrum) ** 20
        run = dmft_descent(lr=rate, **lazy)
        assert run.excess_risk[-1] == pytest.approx(left.mean(), rel=0.05)
        assert run.training_error[-1] == pytest.approx(2 * (spectrum * left).mean(), rel=0.05)
    assert np.isinf(dmft_descent(lr=20 * lr, **lazy).excess_risk[-1])


@pytest.mark.parametrize("call", [dmft_descent, lambda **k: diagonal_descent(20, **k)])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"lr": 0.0}, "lr"),
        ({"batch_fraction": 1.5}, "batch_fraction"),
        ({"steps": 0}, "steps"),
        ({"every": 0}, "every"),
    ],
)
def test_bad_schedules(call, arguments, words):
    with pytest.raises(ValueError, match=words):
        call(**{"lr": 0.1, "steps": 3} | arguments)


def test_more_steps_than_paths_can_hold():
    flow = PathFlow(Setting(), 512, np.random.SeedSequence(0), samples=256)
    with pytest.raises(ArithmeticError, match="directions"):
        followed(Effective(flow), 0.01, 300, 1, 0.5, np.random.default_rng(0))


def test_networks_do_not_depend_on_how_many_there_are():
    """But for their batches, which are drawn for all at once."""
    few, more = (diagonal_descent(40, lr=0.1, steps=5, networks=n, covariance=power_law(40)) for n in (2, 5))
    np.testing.assert_allclose(few.excess_risks, more.excess_risks[:2], rtol=1e-12)
