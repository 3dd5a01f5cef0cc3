"""Live labs for a running kernel: choose parameters, press Run, see the chapter's figure again. The only module that imports ipywidgets."""

from __future__ import annotations

import html
import io

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np

from . import plots
from .embedding import embed_copies
from .ensembles import diverge, train
from .intermittency import collapse, compare_with_map
from .maps import GradientDescent
from .meanfield import diagonal_flow, dmft
from .networks import Perceptron
from .prediction import outcomes
from .stability.finite_time import finite_time_exponents
from .tasks import Task, iris

__all__ = ["collapse_lab", "divergence_lab", "dmft_lab", "embedding_lab", "exponent_lab"]


def _panel(controls: dict[str, widgets.Widget], draw) -> widgets.Widget:
    """Controls, a Run button and a picture of the figure that ``draw(**values)`` returns; an error is shown beneath the button."""
    button = widgets.Button(description="Run", button_style="primary", tooltip="Compute with these values")
    message = widgets.HTML()
    picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))

    def run(_=None):
        button.disabled, message.value = True, ""
        try:
            figure = draw(**{name: control.value for name, control in controls.items()})
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png")
            plt.close(figure)
            picture.value = buffer.getvalue()
        except (ValueError, ArithmeticError, MemoryError) as error:
            message.value = html.escape(str(error))
        finally:
            button.disabled = False

    button.on_click(run)
    run()
    return widgets.VBox([*controls.values(), button, message, picture])


def _wide() -> dict:
    return {"style": {"description_width": "9em"}, "layout": widgets.Layout(width="32em", max_width="100%")}


def _seed(description: str = "seed", value: int = 0) -> widgets.Widget:
    return widgets.BoundedIntText(value=value, min=0, max=10**6, description=description, **_wide())


def _radius(value: float) -> widgets.Widget:
    return widgets.FloatLogSlider(value=value, min=-14, max=-1, step=0.5, description="radius", **_wide())


def divergence_lab(
    network: Perceptron,
    task: Task,
    *,
    lr: float = 0.01,
    radius: float = 1e-8,
    copies: int = 20,
    steps: int = 5000,
) -> widgets.Widget:
    """A panel that follows one initial condition and its copies: distance and loss over time.

    Parameters
    ----------
    network : Perceptron
        What is trained.
    task : Task
        What it learns.
    lr, radius, copies, steps
        Where the controls stand at first.

    Returns
    -------
    ipywidgets.Widget
    """
    wide = _wide()
    controls = {
        "lr": widgets.FloatLogSlider(value=lr, min=-3, max=1, step=0.05, description="learning rate", **wide),
        "radius": _radius(radius),
        "copies": widgets.IntSlider(value=copies, min=1, max=40, description="copies", **wide),
        "steps": widgets.IntSlider(value=steps, min=100, max=10_000, step=100, description="steps", **wide),
        "seed": _seed(),
    }

    def draw(lr, radius, copies, steps, seed):
        gd = GradientDescent(network, task, lr=lr)
        div = diverge(
            gd,
            network.init(1, seed=seed),
            radius=radius,
            copies=copies,
            steps=steps,
            seed=seed,
            progress=False,
        )
        figure, ax = plt.subplots()
        right = plots.divergence_panel(ax, div.times, div.distance[0], div.loss[0])
        ax.set(xlabel="step", ylabel="L1 distance d(t)", yscale="log" if lr >= 0.3 else "linear")
        if right is not None:
            right.set_ylabel("loss")
        return figure

    return _panel(controls, draw)


def collapse_lab(network: Perceptron, *, lr: float = 5.0, split_seed: int = 0, steps: int = 10_000) -> widgets.Widget:
    """A panel that trains one network on Iris at a large learning rate and puts its reduced map beside it.

    Parameters
    ----------
    network : Perceptron
        What is trained; sigmoid or tanh units, cross entropy, 4 inputs and 3 outputs.
    lr, split_seed, steps
        Where the controls stand at first.

    Returns
    -------
    ipywidgets.Widget
    """
    wide = _wide()
    controls = {
        "lr": widgets.FloatSlider(value=lr, min=1.0, max=20.0, step=0.25, description="learning rate", **wide),
        "steps": widgets.IntSlider(value=steps, min=200, max=50_000, step=200, description="steps", **wide),
        "split_seed": _seed("split", split_seed),
        "seed": _seed(),
    }

    def draw(lr, steps, split_seed, seed):
        gd = GradientDescent(network, iris(split_seed=split_seed), lr=lr)
        run = train(gd, network.init(1, seed=seed), steps, progress=False)
        state, shown = collapse(gd, run.final), 60
        both = compare_with_map(gd, run.final, shown, progress=False)
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.4))
        assert run.loss is not None
        left.plot(run.times, run.loss[0], ".", ms=1, color=plots.COLOURS["blue"])
        left.set(xlabel="step", ylabel="loss", title="network")
        times = steps + np.arange(shown + 1)
        right.plot(times, both.network[0], "o", mfc="none", color=plots.COLOURS["vermilion"], label="network")
        right.plot(times, both.reduced[0], ".-", lw=0.6, color=plots.INK, label="map")
        on = "collapsed" if state.saturated[0] else "not collapsed"
        right.set(xlabel="step", title=f"{on}, {state.rung[0]} units on, κ = {state.kappa[0]:.2f}")
        right.ticklabel_format(useOffset=False)
        right.legend(frameon=True)
        return figure

    return _panel(controls, draw)


def embedding_lab(network: Perceptron, task: Task, *, lr: float = 5.0, steps: int = 200) -> widgets.Widget:
    """A panel that lays one initial condition and its copies out on a line.

    Parameters
    ----------
    network : Perceptron
        What is trained.
    task : Task
        What it learns.
    lr, steps
        Where the controls stand at first.

    Returns
    -------
    ipywidgets.Widget
    """
    wide = _wide()
    controls = {
        "lr": widgets.FloatLogSlider(value=lr, min=-3, max=1.5, step=0.05, description="learning rate", **wide),
        "radius": _radius(1e-8),
        "copies": widgets.IntSlider(value=5, min=1, max=25, description="copies", **wide),
        "steps": widgets.IntSlider(value=steps, min=20, max=1000, step=20, description="steps", **wide),
        "seed": _seed(),
    }

    def draw(lr, radius, copies, steps, seed):
        gd = GradientDescent(network, task, lr=lr)
        w0 = network.init(1, seed=seed)
        div = diverge(gd, w0, radius=radius, copies=copies, steps=steps, seed=seed, record=("weights",), progress=False)
        assert div.snapshots is not None
        e = embed_copies(div.snapshots, progress=False)
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.4))
        left.plot(div.times, e.coordinates[0, 1:, :, 0].T, color=plots.PALE, ls="-", lw=1)
        left.plot(div.times, e.coordinates[0, 0, :, 0], color=plots.INK, ls="-")
        left.set(xlabel="step", ylabel="z", title=f"explained {100 * e.explained_variance[0, 0]:.0f} %")
        plots.divergence_panel(right, div.times, np.abs(e.separation[0, ..., 0]))
        right.plot(div.times, e.rms_distance[0].mean(axis=0), color=plots.COLOURS["vermilion"], ls="--")
        right.set(xlabel="step", yscale="log", title="separation (dashed: all dimensions)")
        return figure

    return _panel(controls, draw)


def exponent_lab(task: Task, *, lr: float = 1e-3, steps: int = 1000) -> widgets.Widget:
    """A panel that trains some hundred 2-2-1 networks and compares the exponents of those that end well and of the others.

    Parameters
    ----------
    task : Task
        Values to regress on, two inputs.
    lr, steps
        Where the controls stand at first.

    Returns
    -------
    ipywidgets.Widget
    """
    wide = _wide()
    controls = {
        "activation": widgets.Dropdown(options=["tanh", "relu"], description="activation", **wide),
        "scheme": widgets.Dropdown(options=["normal", "glorot"], description="initial weights", **wide),
        "lr": widgets.FloatLogSlider(value=lr, min=-4, max=-2, step=0.05, description="learning rate", **wide),
        "steps": widgets.IntSlider(value=steps, min=100, max=4000, step=100, description="steps", **wide),
        "seed": _seed(),
    }

    def draw(activation, scheme, lr, steps, seed):
        net = Perceptron(2, 2, 1, activation=activation, loss="half_squared_error")
        gd = GradientDescent(net, task, lr=lr)
        at = np.unique(np.geomspace(5, steps, 12).astype(int))
        w0 = net.init(300, seed=seed, scheme=scheme)
        run = finite_time_exponents(gd, w0, steps, at=at, singular_values=True, seed=seed, progress=False)
        assert run.loss is not None and run.singular_exponents is not None
        ended = outcomes(run.loss[:, -1])
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.4))
        left.hist(np.clip(run.loss[:, -1], 1e-2, 1e3), bins=np.geomspace(1e-2, 1e3, 41), color=plots.COLOURS["blue"])
        left.set(xscale="log", xlabel=f"loss after {steps} steps", ylabel="networks", title=f"{len(w0)} networks")
        for kind, colour, label in ((0, "blue", "loss below 4"), (2, "vermilion", "above 100")):
            if (ended == kind).any():
                middle = np.nanmedian(run.singular_exponents[ended == kind], axis=0) / lr
                lines = right.plot(at * lr, middle, color=plots.COLOURS[colour], ls="-" if kind == 0 else "--", lw=1)
                lines[0].set_label(label)
        right.set(xscale="log", yscale="symlog", xlabel="t", title="nine exponents, medians")
        right.legend()
        return figure

    return _panel(controls, draw)


def dmft_lab(
    *,
    init_scale: float = 0.3,
    aspect_ratio: float = 0.5,
    noise: float = 0.1,
    sparsity: float = 0.1,
    weight_decay: float = 0.0,
    dimension: int = 200,
    networks: int = 4,
) -> widgets.Widget:
    """A panel that solves the mean-field theory of diagonal linear networks and trains some of finite width beside it.

    Parameters
    ----------
    init_scale, aspect_ratio, noise, sparsity, weight_decay
        Where the controls stand at first.
    dimension : int
        Inputs of the networks.
    networks : int
        How many are trained, >= 2.

    Returns
    -------
    ipywidgets.Widget
    """
    wide = _wide()

    def slider(value, low, high, step, description):
        return widgets.FloatSlider(value=value, min=low, max=high, step=step, description=description, **wide)

    controls = {
        "init_scale": widgets.FloatLogSlider(
            value=init_scale, min=-1, max=1, step=0.05, description="initial scale α", **wide
        ),
        "aspect_ratio": slider(aspect_ratio, 0.1, 3.0, 0.1, "samples/inputs δ"),
        "noise": slider(noise, 0.0, 2.0, 0.05, "noise σ"),
        "sparsity": slider(sparsity, 0.05, 1.0, 0.05, "sparsity ρ"),
        "weight_decay": slider(weight_decay, 0.0, 1.0, 0.05, "weight decay λ"),
        "seed": _seed(),
    }

    def draw(seed, **constants):
        times = np.concatenate([[0.0], np.geomspace(0.02, 10.0, 40)])
        theory = dmft(times=times, paths=8192, replicates=4, seed=seed, progress=False, **constants)
        direct = diagonal_flow(dimension, networks=networks, times=times, seed=seed, progress=False, **constants)
        figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.4))
        for ax, name in zip(axes, ("excess_risk", "training_error"), strict=True):
            ax.plot(times[1:], getattr(direct, name + "s")[:, 1:].T, color=plots.PALE, ls="-", lw=1)
            ax.plot(times[1:], getattr(theory, name)[1:], color=plots.COLOURS["blue"], ls="-")
            ax.set(xscale="log", yscale="log", xlabel="t", title=name.replace("_", " "))
        axes[0].set_title(f"excess risk (grey: {networks} networks, d = {dimension})")
        return figure

    return _panel(controls, draw)
