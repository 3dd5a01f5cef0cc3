"""The controls of the labs: sliders and fields that look alike. The value at the start may be any: ranges are stretched to hold it."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
import numpy as np

from .. import _validate


def _look(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "style": {"description_width": "10em"},
        "layout": widgets.Layout(width="100%", max_width="34em"),
        "continuous_update": False,
    }


def logarithmic(description: str, value: float, low: float, high: float, step: float = 0.05) -> widgets.Widget:
    exponent = np.log10(_validate.positive(description, value))
    low, high = min(low, np.floor(exponent)), max(high, np.ceil(exponent))
    return widgets.FloatLogSlider(value=value, min=low, max=high, step=step, readout_format=".3g", **_look(description))


def linear(description: str, value: float, low: float, high: float, step: float) -> widgets.Widget:
    value = _validate.positive(description, value, zero=True)
    low, high = min(low, value), max(high, value)
    return widgets.FloatSlider(value=value, min=low, max=high, step=step, readout_format=".3g", **_look(description))


def whole(description: str, value: int, low: int, high: int, step: int = 1) -> widgets.Widget:
    value = _validate.count(description, value, 1)
    low, high = min(low, value), max(high, value)
    return widgets.IntSlider(value=value, min=low, max=high, step=step, **_look(description))


def field(description: str, value: int) -> widgets.Widget:
    value = _validate.count(description, value)
    return widgets.BoundedIntText(value=value, min=0, max=max(10**6, value), **_look(description))


def choice(description: str, options: list[str], value: str) -> widgets.Widget:
    _validate.choice(description, value, options)
    look = _look(description)
    del look["continuous_update"]
    return widgets.Dropdown(options=options, value=value, **look)


def copies_of(
    start: dict[str, Any], *, rates: tuple[float, float], most: tuple[int, int], lengths: tuple[int, int, int]
) -> dict[str, widgets.Widget]:
    """Controls of an ensemble with perturbed copies: decades of learning rates, most networks and copies, range and step of the steps."""
    return {
        "lr": logarithmic("learning rate", start["lr"], *rates),
        "radius": logarithmic("radius ε", start["radius"], -14, -1, 0.5),
        "networks": whole("initial conditions", start["networks"], 1, most[0]),
        "copies": whole("copies", start["copies"], 1, most[1]),
        "steps": whole("steps", start["steps"], *lengths),
        "seed": field("seed", start["seed"]),
    }
