"""Live labs for a running kernel: choose parameters, press Run, see the chapter's figure again. The only module that imports ipywidgets."""

from __future__ import annotations

import html
import io

import ipywidgets as widgets
import matplotlib.pyplot as plt

from . import plots
from .ensembles import diverge
from .maps import GradientDescent
from .networks import Perceptron
from .tasks import Task

__all__ = ["divergence_lab"]


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
        except (ValueError, MemoryError) as error:
            message.value = html.escape(str(error))
        finally:
            button.disabled = False

    button.on_click(run)
    run()
    return widgets.VBox([*controls.values(), button, message, picture])


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
    wide = {"style": {"description_width": "9em"}, "layout": widgets.Layout(width="32em", max_width="100%")}
    controls = {
        "lr": widgets.FloatLogSlider(value=lr, min=-3, max=1, step=0.05, description="learning rate", **wide),
        "radius": widgets.FloatLogSlider(value=radius, min=-14, max=-1, step=0.5, description="radius", **wide),
        "copies": widgets.IntSlider(value=copies, min=1, max=40, description="copies", **wide),
        "steps": widgets.IntSlider(value=steps, min=100, max=10_000, step=100, description="steps", **wide),
        "seed": widgets.BoundedIntText(value=0, min=0, max=10**6, description="seed", **wide),
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
