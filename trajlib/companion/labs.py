"""The labs of the chapters. Each is what a chapter computes, as a function of a few numbers, with the chapter's own figure."""

from __future__ import annotations

import numpy as np

from .. import plots
from ..dynamics.descent import GradientDescent
from ..embedding.scaling import EmbeddedCopies, embed_copies
from ..ensembles import Divergence, Trajectories, diverge, train
from ..meanfield import DiagonalFlow, MeanField, diagonal_flow, dmft
from ..models.perceptron import Perceptron
from ..prediction.predict import outcomes
from ..reduction import Collapse, MapComparison, collapse, compare_with_map
from ..series.expansion import ExpansionFit, expansion_rate
from ..stability.finite_time import FiniteTimeExponents, finite_time_exponents
from ..tasks.small import PLANES, Task, iris, plane
from ..widgets import controls
from ..widgets.panel import Panel

__all__ = ["collapse_lab", "divergence_lab", "dmft_lab", "embedding_lab", "expansion_lab", "exponent_lab"]

RECORDS = 1000
"""Records of a long run that is drawn: more than a figure has pixels."""


def divergence_lab(
    network: Perceptron,
    task: Task,
    *,
    lr: float = 0.01,
    radius: float = 1e-8,
    networks: int = 6,
    copies: int = 20,
    steps: int = 5000,
    seed: int = 0,
) -> Panel:
    """A panel that follows initial conditions and their copies: distances and loss over time.

    Parameters
    ----------
    network : Perceptron
        What is trained.
    task : Task
        What it learns.
    lr, radius, networks, copies, steps, seed
        Where the controls stand at first. ``networks`` is the number of initial conditions, of which six are drawn; perturbations use
        ``seed + 1``.

    Returns
    -------
    Panel
        Its ``result`` is a :class:`~trajlib.ensembles.Divergence`.
    """

    def compute(lr, radius, networks, copies, steps, seed) -> Divergence:
        gd, w0 = GradientDescent(network, task, lr=lr), network.init(networks, seed=seed)
        every = max(1, steps // RECORDS)
        return diverge(gd, w0, radius=radius, copies=copies, steps=steps, every=every, seed=seed + 1)

    def draw(div: Divergence):
        with np.errstate(all="ignore"):
            mean = div.distance.mean(axis=1)
            growth = mean[:, -1] / mean[:, 0]
            scale = "log" if np.nanmax(mean / mean[:, :1]) > 100 else "linear"
        yield plots.distances(div, range(min(6, len(mean))), yscale=scale)
        low, middle, high = np.quantile(growth, (0.05, 0.5, 0.95))
        yield (
            f"d({div.times[-1]:,}) / d(0), mean over copies, of {len(growth)} initial conditions: median {middle:.3g}, "
            f"5 % below {low:.3g}, 5 % above {high:.3g}. Grew in {(growth > 1).sum()} of them."
        )

    start = {"lr": lr, "radius": radius, "networks": networks, "copies": copies, "steps": steps, "seed": seed}
    knobs = controls.copies_of(start, rates=(-3, 1), most=(500, 40), lengths=(100, 20_000, 100))
    text = "Distances of perturbed copies from their network against the training step, one panel for each initial condition, and the loss."
    return Panel(compute, draw, knobs, description=text)


def expansion_lab(
    network: Perceptron,
    task: Task,
    *,
    lr: float = 1.0,
    radius: float = 1e-8,
    networks: int = 100,
    copies: int = 5,
    steps: int = 5000,
    seed: int = 0,
) -> Panel:
    """A panel that fits the exponential growth of distances, and shows the exponents of an ensemble.

    Parameters
    ----------
    network : Perceptron
        What is trained.
    task : Task
        What it learns.
    lr, radius, networks, copies, steps, seed
        Where the controls stand at first. ``networks`` is the number of initial conditions, of which two are drawn; perturbations use
        ``seed + 1``.

    Returns
    -------
    Panel
        Its ``result`` is a pair, a :class:`~trajlib.ensembles.Divergence` and the
        :class:`~trajlib.series.expansion.ExpansionFit` of its first 200 steps.
    """

    def compute(lr, radius, networks, copies, steps, seed) -> tuple[Divergence, ExpansionFit]:
        gd, w0 = GradientDescent(network, task, lr=lr), network.init(networks, seed=seed)
        div = diverge(gd, w0, radius=radius, copies=copies, steps=steps, seed=seed + 1)
        return div, expansion_rate(div.distance[:, :, :201])

    def draw(result: tuple[Divergence, ExpansionFit]):
        div, fit = result
        yield plots.fitted_distances(div, fit, range(min(2, len(fit.rate))))
        if not fit.kept.any():
            yield f"No fit of {fit.kept.size} passes the filter (R² above 0.9, Λ above 0.05)."
            return
        yield plots.expansion_panel(fit)
        mean, spread = fit.rate[fit.kept].mean(), fit.rate[fit.kept].std()
        yield f"Λ = {mean:.3f}, standard deviation {spread:.3f}, over the {fit.kept.sum()} of {fit.kept.size} fits that pass the filter."

    start = {"lr": lr, "radius": radius, "networks": networks, "copies": copies, "steps": steps, "seed": seed}
    knobs = controls.copies_of(start, rates=(-2, 1), most=(500, 20), lengths=(200, 10_000, 100))
    text = "Distances of copies with a fitted line, and the loss, for two initial conditions; a histogram of the exponents of all."
    return Panel(compute, draw, knobs, description=text)


def collapse_lab(
    network: Perceptron,
    *,
    lr: float = 5.0,
    split_seed: int = 0,
    networks: int = 60,
    steps: int = 10_000,
    seed: int = 0,
) -> Panel:
    """A panel that trains networks on Iris at a large learning rate and puts their reduced maps beside them.

    Parameters
    ----------
    network : Perceptron
        What is trained; sigmoid or tanh units, cross entropy, 4 inputs and 3 outputs.
    lr, split_seed, networks, steps, seed
        Where the controls stand at first. Of the networks, one for each number of units that are on at the end is drawn.

    Returns
    -------
    Panel
        Its ``result`` holds the :class:`~trajlib.ensembles.Trajectories`, the :class:`~trajlib.reduction.Collapse` of their ends, which
        networks are drawn, and the :class:`~trajlib.reduction.MapComparison` of these.
    """
    shown = 40

    def compute(lr, split_seed, networks, steps, seed) -> tuple[Trajectories, Collapse, np.ndarray, MapComparison]:
        gd = GradientDescent(network, iris(split_seed=split_seed), lr=lr)
        run = train(gd, network.init(networks, seed=seed), steps, record=("loss", "norm"))
        state = collapse(gd, run.final)
        chosen = np.unique(state.rung, return_index=True)[1][:4]  # the first on each rung
        return run, state, chosen, compare_with_map(gd, run.final[chosen], shown)

    def draw(result: tuple[Trajectories, Collapse, np.ndarray, MapComparison]):
        run, state, chosen, compared = result
        yield plots.losses_and_norms(run, chosen, state.rung[chosen])
        yield plots.network_and_map(compared, state.kappa[chosen], run.steps)
        rungs, counts = np.unique(state.rung, return_counts=True)
        yield (
            f"{state.saturated.sum()} of {len(state.rung)} networks have collapsed. Units on: "
            + ", ".join(f"{r} in {c}" for r, c in zip(rungs, counts, strict=True))
            + ". Networks that have not collapsed need not follow the map."
        )

    knobs = {
        "lr": controls.linear("learning rate", lr, 1.0, 20.0, 0.25),
        "split_seed": controls.field("split of the flowers", split_seed),
        "networks": controls.whole("initial conditions", networks, 1, 500),
        "steps": controls.whole("steps", steps, 200, 50_000, 200),
        "seed": controls.field("seed", seed),
    }
    text = "Loss and norm of the weights over training, one network for each number of units on; then its loss beside that of the map."
    return Panel(compute, draw, knobs, description=text)


def embedding_lab(
    network: Perceptron,
    task: Task,
    *,
    lr: float = 5.0,
    radius: float = 1e-8,
    networks: int = 3,
    copies: int = 5,
    steps: int = 200,
    seed: int = 0,
) -> Panel:
    """A panel that lays initial conditions and their copies out on a line.

    Parameters
    ----------
    network : Perceptron
        What is trained.
    task : Task
        What it learns.
    lr, radius, networks, copies, steps, seed
        Where the controls stand at first. ``networks`` is the number of initial conditions, of which three are drawn; perturbations use
        ``seed + 1``.

    Returns
    -------
    Panel
        Its ``result`` is a pair, a :class:`~trajlib.ensembles.Divergence` and what :func:`~trajlib.embedding.scaling.embed_copies` gives.
    """

    def compute(lr, radius, networks, copies, steps, seed) -> tuple[Divergence, EmbeddedCopies]:
        gd, w0 = GradientDescent(network, task, lr=lr), network.init(networks, seed=seed)
        div = diverge(gd, w0, radius=radius, copies=copies, steps=steps, seed=seed + 1, record=("weights",))
        assert div.snapshots is not None
        return div, embed_copies(div.snapshots)

    def draw(result: tuple[Divergence, EmbeddedCopies]):
        div, e = result
        separation = np.abs(e.separation[..., 0])
        titles = [f"condition {i}, explained {100 * v:.0f} %" for i, v in enumerate(e.explained_variance[:3, 0])]
        columns = zip(titles, e.coordinates[..., 0], separation, e.rms_distance, strict=False)
        yield plots.embedded_copies(div.times, columns)
        late = max(1, len(div.times) // 4)
        with np.errstate(all="ignore"):
            growth = separation[..., -late:].mean(axis=(1, 2)) / e.rms_distance[..., 0].mean(axis=1)
        yield (
            f"Mean separation in the last {late} records over the initial distance, of {len(growth)} initial conditions: median "
            f"{np.median(growth):.3g}; above a thousand in {(growth > 1e3).sum()} of them."
        )

    start = {"lr": lr, "radius": radius, "networks": networks, "copies": copies, "steps": steps, "seed": seed}
    knobs = controls.copies_of(start, rates=(-3, 1.5), most=(50, 25), lengths=(20, 1000, 20))
    text = "Embedded coordinates of networks and their copies over training, and below how far the copies are apart on the line."
    return Panel(compute, draw, knobs, description=text)


def exponent_lab(
    *,
    target: str = "parabola",
    lr: float = 1e-3,
    networks: int = 100,
    hidden: int = 2,
    steps: int = 4000,
    seed: int = 0,
) -> Panel:
    """A panel that trains small networks with two activations and two laws of initial weights, and compares the finite-time exponents of
    those that end well with those of the others.

    Parameters
    ----------
    target : str
        Of :func:`~trajlib.tasks.small.plane`.
    lr, networks, hidden, steps, seed
        Where the controls stand at first. ``networks`` is the number for each of the four combinations.

    Returns
    -------
    Panel
        Its ``result`` holds the learning rate, the steps, and for each combination a
        :class:`~trajlib.stability.finite_time.FiniteTimeExponents` and the outcomes.
    """
    early = 15

    def compute(target, lr, networks, hidden, steps, seed):
        runs = {}
        for activation in ("tanh", "relu"):
            net = Perceptron(2, hidden, 1, activation=activation, loss="half_squared_error")
            gd = GradientDescent(net, plane(target), lr=lr)
            for scheme in ("normal", "glorot"):
                w0 = net.init(networks, seed=seed, scheme=scheme)
                ftle = finite_time_exponents(gd, w0, steps, at=[early, steps], singular_values=True, seed=seed)
                assert ftle.loss is not None
                runs[f"{activation}, {scheme}"] = ftle, outcomes(ftle.loss[:, -1])
        return lr, steps, runs

    def draw(result: tuple[float, int, dict[str, tuple[FiniteTimeExponents, np.ndarray]]]):
        lr, steps, runs = result
        yield plots.final_losses({name: ftle.loss[:, -1] for name, (ftle, _) in runs.items() if ftle.loss is not None})
        yield plots.outcome_exponents(runs, lr, {f"step {early}": 0, f"step {steps:,}": 1})

    knobs = {
        "target": controls.choice("target", list(PLANES), target),
        "lr": controls.logarithmic("learning rate", lr, -4, -2),
        "networks": controls.whole("networks of each kind", networks, 20, 4000, 20),
        "hidden": controls.whole("hidden units", hidden, 1, 6),
        "steps": controls.whole("steps", steps, 100, 4000, 100),
        "seed": controls.field("seed", seed),
    }
    text = "Final losses of four kinds of networks, and the finite-time exponents of those with a low and with a high final loss."
    return Panel(compute, draw, knobs, description=text)


def dmft_lab(
    *,
    init_scale: float = 0.3,
    aspect_ratio: float = 0.5,
    noise: float = 0.1,
    sparsity: float = 0.1,
    weight_decay: float = 0.0,
    dimension: int = 400,
    networks: int = 12,
    seed: int = 0,
) -> Panel:
    """A panel that solves the mean-field theory of diagonal linear networks and trains some of finite width beside it.

    Parameters
    ----------
    init_scale, aspect_ratio, noise, sparsity, weight_decay, dimension, networks, seed
        Where the controls stand at first: the constants of the theory, the inputs of the networks, and how many are trained, >= 2.

    Returns
    -------
    Panel
        Its ``result`` is a dict with one entry, which holds a :class:`~trajlib.meanfield.solver.MeanField` and a
        :class:`~trajlib.meanfield.flow.DiagonalFlow`.
    """
    times = np.concatenate([[0.0], np.geomspace(0.02, 10.0, 60)])

    def compute(dimension, networks, seed, **constants) -> dict[str, tuple[MeanField, DiagonalFlow]]:
        theory = dmft(times=times, paths=8192, replicates=4, seed=seed, **constants)
        direct = diagonal_flow(dimension, networks=networks, times=times, seed=seed + 100, tolerance=1e-3, **constants)
        return {f"α = {constants['init_scale']:.3g}": (theory, direct)}

    def draw(result: dict[str, tuple[MeanField, DiagonalFlow]]):
        yield plots.theory_and_networks(result)
        ((theory, direct),) = result.values()
        yield (
            f"Excess risk at t = {times[-1]:g}: theory {theory.excess_risk[-1]:.4f} ± {theory.uncertainty[-1]:.4f}, "
            f"networks {direct.excess_risk[-1]:.4f} ± {direct.excess_risk_error[-1]:.4f}."
        )

    knobs = {
        "init_scale": controls.logarithmic("initial scale α", init_scale, -1, 1),
        "aspect_ratio": controls.linear("samples / inputs δ", aspect_ratio, 0.1, 3.0, 0.1),
        "noise": controls.linear("noise σ", noise, 0.0, 2.0, 0.05),
        "sparsity": controls.linear("sparsity ρ", sparsity, 0.05, 1.0, 0.05),
        "weight_decay": controls.linear("weight decay λ", weight_decay, 0.0, 1.0, 0.05),
        "dimension": controls.whole("inputs of a network", dimension, 20, 1000, 20),
        "networks": controls.whole("networks", networks, 2, 50),
        "seed": controls.field("seed", seed),
    }
    text = "Excess risk and training error against time: the mean-field theory as lines, the mean of simulated networks as circles."
    return Panel(compute, draw, knobs, description=text)
