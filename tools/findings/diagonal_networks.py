"""Findings behind the chapter on diagonal linear networks: its curves once more, correlated inputs, real inputs, large steps.

What is compared, at which times and with which seeds was written here before any of it was run.
"""

from pathlib import Path

import numpy as np
from scipy.linalg import toeplitz
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.preprocessing import PolynomialFeatures

import trajlib as tl
from trajlib.companion import findings

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = [
    {"init_scale": 0.1}, {"init_scale": 0.3}, {"init_scale": 1.0}, {"init_scale": 3.0},
    {"init_scale": 0.3, "aspect_ratio": 2.0, "noise": 0.5}, {"init_scale": 1.0, "aspect_ratio": 2.0},
    {"init_scale": 2.0, "weight_decay": 0.3}, {"init_scale": 0.3, "weight_decay": 0.3},
    {"init_scale": 0.3, "sparsity": 0.5}, {"init_scale": 1.0, "noise": 0.5},
]  # fmt: skip
CORRELATED = [
    {"spectrum": "power law", "aspect_ratio": 0.5, "init_scale": 0.3},
    {"spectrum": "power law", "aspect_ratio": 2.0, "init_scale": 1.0},
    {"spectrum": "two levels", "aspect_ratio": 0.5, "init_scale": 1.0},
    {"spectrum": "two levels", "aspect_ratio": 2.0, "init_scale": 0.3},
    {"spectrum": "Toeplitz", "aspect_ratio": 0.5, "init_scale": 0.3, "weight_decay": 0.3},
    {"spectrum": "Toeplitz", "aspect_ratio": 2.0, "init_scale": 1.0},
]
VARIANTS = [
    {}, {"init_scale": 0.3}, {"init_scale": 1.0}, {"sparsity": 0.05}, {"sparsity": 0.2}, {"sparsity": 0.3}, {"sparsity": 0.5},
    {"aspect_ratio": 0.3}, {"aspect_ratio": 0.7}, {"noise": 0.0}, {"noise": 0.3}, {"noise": 0.5},
]  # fmt: skip


def both(theory, networks):
    """Of excess risk and training error after t = 0: theory, its error, networks, their error; (4, 2, times)."""
    own = theory.uncertainty, theory.training_error_error
    names = ("excess_risk", "training_error")
    rows = [[getattr(theory, n) for n in names], own]
    rows += [[getattr(networks, n) for n in names], [getattr(networks, n + "_error") for n in names]]
    return np.array(rows)[..., 1:]


def dmft_repetition(settings, seeds, times, dimension, networks, paths):
    """Theory and networks once more, with seeds that were never used before: (seed, setting, 4, 2, time)."""
    times = np.array([0.0, *times])
    return {
        "curves": np.array([
            [
                both(
                    tl.dmft(times=times, paths=paths, seed=seed, **setting),
                    tl.diagonal_flow(dimension, networks=networks, times=times, seed=1000 * seed + j, tolerance=1e-3, **setting),
                )
                for j, setting in enumerate(settings)
            ]
            for seed in seeds
        ])
    }  # fmt: skip


def sigma(name, d):
    """A covariance of trace d: the spectrum i^-0.7, the levels 1.8 and 0.2, or entries 0.7^|i - j|."""
    if name == "Toeplitz":
        return toeplitz(0.7 ** np.arange(float(d)))
    spectrum = np.arange(1.0, d + 1) ** -0.7 if name == "power law" else np.repeat([1.8, 0.2], d // 2)
    return spectrum * d / spectrum.sum()


def covariance_agreement(settings, seeds, times, dimension, networks, paths):
    """Theory and networks with correlated inputs, (seed, setting, 4, 2, time), and the theory that does not know, (setting, 2, time)."""
    times, curves, blind = np.array([0.0, *times]), [], []
    for seed in seeds:
        curves.append([])
        for j, setting in enumerate(settings):
            constants = {k: v for k, v in setting.items() if k != "spectrum"} | {
                "covariance": sigma(setting["spectrum"], dimension)
            }
            theory = tl.dmft(times=times, paths=paths, seed=seed, **constants)
            flow = tl.diagonal_flow(
                dimension, networks=networks, times=times, seed=1000 * seed + j, tolerance=1e-3, **constants
            )
            curves[-1].append(both(theory, flow))
            if seed == seeds[0]:
                del constants["covariance"]
                plain = tl.dmft(times=times, paths=paths, seed=seed, **constants)
                blind.append([plain.excess_risk[1:], plain.training_error[1:]])
    return {"curves": np.array(curves), "blind": np.array(blind)}


def inputs(name, seed):
    """Real inputs (samples, d), each of mean 0 and variance 1."""
    kind, _, layer = name.partition(", ")
    x = {"diabetes": load_diabetes, "breast cancer": load_breast_cancer, "digits": load_digits}[kind]().data
    x = x[:, x.std(axis=0) > 0]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    if layer == "products":
        x = PolynomialFeatures(2, include_bias=False).fit_transform(x)
    if layer.startswith("random"):
        x = np.random.default_rng(seed).standard_normal((100, x.shape[1])) @ x.T / np.sqrt(x.shape[1])
        x = (np.maximum(x, 0.0) if layer.endswith("ReLU") else np.tanh(x)).T
    x = x[:, x.std(axis=0) > 0]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x[:, np.append(True, np.abs(np.triu(np.corrcoef(x.T), 1)).max(axis=0)[1:] < 1 - 1e-9)]


def real_inputs(names, ratios, alphas, times, draws, active, noise, paths, seed):
    """Excess risk of real inputs, of Gaussian ones of the same covariance, and of the theory of this: (name, ratio, alpha, ...).

    Means and standard errors (real, Gaussian; mean, error; time), theory (mean, error; time), and size (inputs, mean fourth moment).
    """
    times, found, theory, size = np.array([0.0, *times]), [], [], []
    for name in names:
        x = inputs(name, seed)
        patients, p = x.shape
        covariance = x.T @ x / patients
        values, axes = np.linalg.eigh(covariance)
        root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
        whitened = x @ axes[:, values > 1e-8] / np.sqrt(values[values > 1e-8])
        size.append((p, (whitened**4).mean()))
        for ratio in ratios:
            n = round(ratio * p)
            for alpha in alphas:
                rng = np.random.default_rng(seed)
                risks = np.zeros((2, draws, len(times) - 1))
                for i in range(draws):
                    star = np.zeros(p)
                    star[rng.permutation(p)[: round(active * p)]] = 1 / np.sqrt(active)
                    star *= rng.choice([-1.0, 1.0], p)
                    rows = x[rng.permutation(patients)[:n]], rng.standard_normal((n, p)) @ root
                    for k, row in enumerate(rows):
                        row = row / np.sqrt(p)
                        y = row @ star + noise * rng.standard_normal(n)
                        away = (
                            tl.gradient_flow(row, y, init_scale=alpha, times=times, tolerance=1e-3).theta - star
                        ) @ root
                        risks[k, i] = (away**2).mean(axis=1)[1:]
                found.append([risks.mean(axis=1), risks.std(axis=1, ddof=1) / np.sqrt(draws)])
                mf = tl.dmft(
                    times=times, covariance=covariance, aspect_ratio=n / p, init_scale=alpha, noise=noise, sparsity=active, paths=paths,
                    seed=seed,
                )  # fmt: skip
                theory.append([mf.excess_risk[1:], mf.uncertainty[1:]])
    shape = len(names), len(ratios), len(alphas)
    found = np.array(found).swapaxes(1, 2)
    return {
        "risk": found.reshape(*shape, *found.shape[1:]),
        "theory": np.array(theory).reshape(*shape, 2, -1),
        "size": np.array(size),
    }


def descent_theory(rates, batches, t_end, constants, dimension, networks, paths, replicates, seed):
    """Risk and training error of the theory and of networks at nine times up to t_end, (batch, rate, theory or networks, 4, time).

    Of the four: risk, its error, training error, its error. The theory is solved with half of the paths too, (batch, rate, 2, time).
    """
    found = np.full((len(batches), max(map(len, rates)), 2, 4, 9), np.nan)
    half = np.full((len(batches), max(map(len, rates)), 2, 9), np.nan)
    for i, (b, lrs) in enumerate(zip(batches, rates, strict=True)):
        for j, lr in enumerate(lrs):
            steps = 8 * round(t_end / lr / 8)
            schedule = {"lr": lr, "steps": steps, "every": steps // 8, "batch_fraction": b} | constants
            theory = tl.meanfield.dmft_descent(paths=paths, replicates=replicates, seed=seed, **schedule)
            fewer = tl.meanfield.dmft_descent(paths=paths // 2, replicates=replicates, seed=seed + 1, **schedule)
            networks_ = tl.meanfield.diagonal_descent(dimension, networks=networks, seed=seed + 2, **schedule)
            for k, run in enumerate((theory, networks_)):
                found[i, j, k] = run.excess_risk, run.excess_risk_error, run.training_error, run.training_error_error
            half[i, j] = fewer.excess_risk, fewer.training_error
    return {"found": found, "half": half}


def descent_converged(rates, batch, t_end, constants, paths, replicates, seed):
    """The theory of descent_theory for one batch size, with more paths: (rate, 4, time)."""
    found = []
    for lr in rates:
        steps = 8 * round(t_end / lr / 8)
        run = tl.meanfield.dmft_descent(
            lr=lr,
            steps=steps,
            every=steps // 8,
            batch_fraction=batch,
            paths=paths,
            replicates=replicates,
            seed=seed,
            **constants,
        )
        found.append([run.excess_risk, run.excess_risk_error, run.training_error, run.training_error_error])
    return {"found": np.array(found)}


def descent_variants(variants, rates, batches, t_end, constants, dimension, networks, seed):
    """Excess risk and training error at t_end of each network, same data for all rates: (variant, batch, rate, 2, network)."""
    found = np.zeros((len(variants), len(batches), len(rates), 2, networks))
    for i, variant in enumerate(variants):
        for j, b in enumerate(batches):
            for k, lr in enumerate(rates):
                steps = round(t_end / lr)
                run = tl.meanfield.diagonal_descent(
                    dimension,
                    lr=lr,
                    steps=steps,
                    every=steps,
                    batch_fraction=b,
                    networks=networks,
                    seed=seed,
                    **constants | variant,
                )
                found[i, j, k] = run.excess_risks[:, -1], run.training_errors[:, -1]
    return {"found": found}


def main():
    folder = ROOT / "data" / "findings"
    declared = {
        covariance_agreement: {
            "settings": CORRELATED, "seeds": [301, 302, 303], "times": [0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0], "dimension": 300,
            "networks": 48, "paths": 32_768,
        },
        descent_variants: {
            "variants": VARIANTS, "rates": [0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3], "batches": [1.0, 0.3, 0.1], "t_end": 20.0,
            "constants": {"init_scale": 0.6}, "dimension": 500, "networks": 16, "seed": 501,
        },
        dmft_repetition: {
            "settings": SETTINGS, "seeds": [201, 202, 203, 204, 205, 206], "times": [1.0, 2.0, 4.0, 8.0], "dimension": 1000,
            "networks": 24, "paths": 16_384,
        },
        real_inputs: {
            "names": ["diabetes, products", "breast cancer", "digits", "digits, random ReLU", "digits, random tanh"], "ratios": [0.5, 2.0],
            "alphas": [0.3], "times": [1.0, 3.0, 20.0], "draws": 32, "active": 0.1, "noise": 0.1, "paths": 8_192, "seed": 401,
        },
        descent_theory: {
            "rates": [[0.05, 0.15, 0.25, 0.35], [0.05, 0.1, 0.2, 0.3], [0.05, 0.1, 0.125, 0.15]], "batches": [1.0, 0.3, 0.1],
            "t_end": 20.0, "constants": {"init_scale": 0.6}, "dimension": 500, "networks": 16, "paths": 8_192, "replicates": 2,
            "seed": 601,
        },
        descent_converged: {
            "rates": [0.1, 0.125, 0.15], "batch": 0.1, "t_end": 20.0, "constants": {"init_scale": 0.6}, "paths": 32_768, "replicates": 2,
            "seed": 603,
        },
    }  # fmt: skip
    for function, settings in declared.items():
        made = findings.make(folder, function, settings)
        print(f"{function.__name__}: {made.manifest['seconds']} s")


if __name__ == "__main__":
    main()
