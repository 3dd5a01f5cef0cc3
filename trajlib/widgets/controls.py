"""The controls of the labs: sliders and fields that look alike. The value at the start may be any: ranges are stretched to hold it.

What is typed is a text that is read here, in the kernel: the number fields of ipywidgets clamp and round on their way, without a word.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import ipywidgets as widgets
import numpy as np
import traitlets

from .. import _validate


def _look(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "style": {"description_width": "10em"},
        "layout": widgets.Layout(width="100%", max_width="34em"),
        "continuous_update": False,
    }


def written(value: Any) -> str:
    """A value as one would type it: 5, 0.01, 1e-08."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


class Number(widgets.HBox):
    """A field for a number, with a slider where one helps. It takes any value within its range, on a step of the slider or not.

    Parameters
    ----------
    description : str
        What the number is.
    value, low, high : float or int
        Where it stands at first, and its range.
    whole : bool
        Whether only whole numbers are taken.
    slider : ipywidgets.Widget, optional
        With a ``value`` in the same unit.
    digits : int
        Significant digits of what the slider gives.

    Attributes
    ----------
    value : float or int
        May be set, to a number or to a text. What is beyond the range becomes its end; what is no number, or no whole one, changes nothing.
    message : str
        What was not taken as it was given, in words; empty otherwise.
    """

    value = traitlets.Any()
    message = traitlets.Unicode()

    def __init__(
        self,
        description: str,
        value: float,
        low: float,
        high: float,
        *,
        whole: bool = False,
        slider: widgets.Widget | None = None,
        digits: int = 12,
    ):
        self.description, self._range, self._whole, self._digits = description, (low, high), whole, digits
        self._slider, self._showing = slider, False
        if slider is None:
            self._field = widgets.Text(**_look(description))
        else:
            self._field = widgets.Text(continuous_update=False, layout=widgets.Layout(width="7em", flex="none"))
            if self._field.has_trait("tooltip"):  # ipywidgets 8
                self._field.tooltip = f"{description}, exact value"
        layout = widgets.Layout(width="100%", max_width="34em")
        super().__init__([w for w in (slider, self._field) if w is not None], layout=layout)
        self.value = value
        self._field.observe(self._typed, "value")
        if slider is not None:
            slider.observe(self._slid, "value")

    @traitlets.validate("value")
    def _allowed(self, proposal: dict[str, Any]) -> float:
        given, (low, high) = proposal["value"], self._range
        ends = (str(low), str(high)) if self._whole else (f"{low:.6g}", f"{high:.6g}")
        must = (
            f"{self.description} must be {'a whole number' if self._whole else 'a number'} from {ends[0]} to {ends[1]}"
        )
        number = _number(given)
        if math.isnan(number) or (self._whole and math.isfinite(number) and number != int(number)):
            self.message = f"{must}; “{given}” is not, so it stays {written(self.value)}."
            return self.value
        value = min(max(number, low), high)
        value = int(value) if self._whole else float(value)
        self.message = "" if value == number else f"{must}; {given} became {written(value)}."
        return value

    @traitlets.observe("value")
    def _show(self, _=None) -> None:
        self._showing = True
        try:
            self._field.value = written(self.value)
            if self._slider is not None:
                self._slider.value = self.value
        finally:
            self._showing = False

    def _typed(self, change: Any) -> None:
        if not self._showing:
            self.value = change.new
            self._show()  # also where nothing has changed: what was typed may not be what is meant

    def _slid(self, change: Any) -> None:
        if not self._showing:
            self.value = float(f"{change.new:.{self._digits}g}")


def _number(given: Any) -> float:
    """nan for what is none."""
    if isinstance(given, str):
        given = given.strip().replace("−", "-")
        with contextlib.suppress(ValueError):
            return int(given)  # of any size
    try:
        return given if isinstance(given, int) else float(given)
    except (TypeError, ValueError):
        return math.nan


def logarithmic(description: str, value: float, low: float, high: float, step: float = 0.05) -> Number:
    exponent = np.log10(_validate.positive(description, value))
    low, high = min(low, np.floor(exponent)), max(high, np.ceil(exponent))
    slider = widgets.FloatLogSlider(value=value, min=low, max=high, step=step, readout=False, **_look(description))
    return Number(description, value, min(10.0**low, value), max(10.0**high, value), slider=slider, digits=3)


def linear(description: str, value: float, low: float, high: float, step: float) -> Number:
    value = _validate.positive(description, value, zero=True)
    low, high = min(low, value), max(high, value)
    slider = widgets.FloatSlider(value=value, min=low, max=high, step=step, readout=False, **_look(description))
    return Number(description, value, low, high, slider=slider)


def whole(description: str, value: int, low: int, high: int, step: int = 1) -> Number:
    value = _validate.count(description, value, 1)
    low, high = min(low, value), max(high, value)
    slider = widgets.IntSlider(value=value, min=low, max=high, step=step, readout=False, **_look(description))
    return Number(description, value, low, high, whole=True, slider=slider)


def field(description: str, value: int) -> Number:
    value = _validate.count(description, value)
    return Number(description, value, 0, max(10**6, value), whole=True)


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
