"""A panel for a running kernel: change a value, and figures are computed anew, in a thread of their own that can be stopped."""

from __future__ import annotations

import asyncio
import base64
import html
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import ipywidgets as widgets
import numpy as np

from .. import _validate, plots
from ..progress import report_progress
from .controls import written

__all__ = ["Panel"]

DEBOUNCE = 0.4
"""Seconds without a further change after which a change counts."""
REDRAW = 0.1
"""Seconds between two movements of the progress bar."""
EXPECTED = (TypeError, ValueError, ArithmeticError, MemoryError)
"""Errors whose message says what to do; others are shown with their traceback."""


class _Stopped(Exception):
    """Raised inside a computation that is no longer wanted."""


class _Job:
    """One computation: the values it was begun with, and whether it is still wanted."""

    def __init__(self, values: dict[str, Any]):
        self.values, self.stop, self.began = values, threading.Event(), time.perf_counter()

    def check(self) -> None:
        """Stop here if it is not wanted any more."""
        if self.stop.is_set():
            raise _Stopped


class Panel(widgets.VBox):
    """Controls, a button that runs and cancels, a progress bar, and what comes out.

    It computes once when it is made, and again whenever a control has been changed and then left alone for 0.4 s. Computations run one at a
    time in a thread of their own, so that the kernel stays free; a new one stops the one before. Errors are shown in the panel. The figure
    of the values before stays until the new one is there, dimmed and marked in words.

    Parameters
    ----------
    compute : callable
        ``compute(**values)`` with the value of each control. Functions of trajlib that it calls report their progress to the panel and are
        stopped by Cancel, unless they are called with ``progress=False``.
    draw : callable
        ``draw(result)``: a matplotlib figure, or an iterable of figures and lines of text, to be shown one beneath the other. Runs in the
        main thread while no cell does, as pyplot is not made for threads.
    controls : mapping of str to ipywidgets.Widget
        Anything with a ``value``. Where there is a ``message`` too, as in ``controls.Number``, it is shown.
    description : str
        What the figures show, for those who cannot see them.

    Attributes
    ----------
    result
        What ``compute`` returned last; None before that.
    values : dict
        The values that it was computed with.
    error : Exception or None
        What stopped the last computation, if something did.
    running : bool
        Whether something is being computed, drawn or waited for.

    Examples
    --------
    >>> import trajlib as tl
    >>> from ipywidgets import FloatLogSlider
    >>> from trajlib import plots, widgets
    >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0)
    >>> def compute(radius):
    ...     return tl.diverge(gd, gd.network.init(6, seed=0), radius=radius, steps=500)
    >>> panel = widgets.Panel(compute, plots.distances, {"radius": FloatLogSlider(1e-8, min=-14, max=-1)})
    >>> panel.close()
    """

    def __init__(
        self,
        compute: Callable[..., Any],
        draw: Callable[[Any], plots.Figure | Iterable[plots.Figure | str]],
        controls: Mapping[str, widgets.Widget],
        *,
        description: str = "",
    ):
        self._lock, self._turn = threading.RLock(), threading.Lock()
        self._job: _Job | None = None
        self._timer: threading.Timer | None = None
        self.result: Any = None
        self.values: dict[str, Any] = {}
        self.error: Exception | None = None
        self.controls = dict(controls)
        for name, control in self.controls.items():
            if not isinstance(control, widgets.Widget) or not control.has_trait("value"):
                raise TypeError(
                    f"controls must map names to widgets with a value, got {_validate.shown(control)} for {name!r}"
                )
        self._compute, self._draw, self._description = compute, draw, description
        self._defaults = {name: control.value for name, control in self.controls.items()}
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()  # that of the kernel
        except RuntimeError:
            self._loop = None

        self._button = widgets.Button(layout=widgets.Layout(width="8em"))
        self._button.on_click(lambda _: self.cancel() if self.running else self.run())
        reset = widgets.Button(description="Reset", tooltip="Back to the values at the start", icon="undo")
        reset.layout.width = "8em"
        reset.on_click(lambda _: self.reset())
        self._bar = widgets.FloatProgress(min=0.0, max=1.0, layout=widgets.Layout(width="12em", display="none"))
        self._status, self._message, self._before, self._view = (widgets.HTML() for _ in range(4))
        self._before.layout.min_height = "2em"  # the figure stays in its place
        self._alert = ""
        grid = widgets.Layout(grid_template_columns="repeat(auto-fill, minmax(min(100%, 27em), 1fr))", width="100%")
        line = widgets.Layout(flex_flow="row wrap", align_items="center")
        super().__init__(
            [
                widgets.GridBox(list(self.controls.values()), layout=grid),
                widgets.Box([self._button, reset, self._bar, self._status], layout=line),
                self._message,
                self._before,
                self._view,
            ]
        )
        for control in self.controls.values():
            control.observe(self._changed, "value")
            if control.has_trait("message"):
                control.observe(self._remarked, "message")
        self.run()

    @property
    def running(self) -> bool:
        """Whether something is being computed, drawn or waited for."""
        with self._lock:  # one computation makes way for another, and its end is shown, while the lock is held
            return self._job is not None or self._timer is not None

    def run(self) -> None:
        """Compute with the values that the controls have now; what is being computed is given up."""
        with self._lock:
            self._give_up()
            self._job = job = _Job(self._chosen())
            self._show_running("starting ...")
            threading.Thread(target=self._work, args=(job,), daemon=True).start()

    def cancel(self) -> None:
        """Stop; what was shown before stays."""
        with self._lock:
            self._give_up()
            self._show_idle("cancelled")

    def reset(self) -> None:
        """Put the controls back to where they were at first, and compute."""
        with self._lock:
            for name, value in self._defaults.items():
                self.controls[name].value = value
            self.run()

    def close(self) -> None:
        """Stop, and take the panel away."""
        with self._lock:
            self._give_up()
        super().close()

    def _changed(self, _) -> None:
        with self._lock:
            self._give_up()
            self._timer = timer = threading.Timer(DEBOUNCE, lambda: self._run_after(timer))
            timer.daemon = True
            timer.start()
            self._show_running("")

    def _remarked(self, _) -> None:
        with self._lock:
            self._show_message()

    def _run_after(self, timer: threading.Timer) -> None:
        with self._lock:
            if self._timer is timer:  # neither cancelled nor changed again since it went off
                self.run()

    def _chosen(self) -> dict[str, Any]:
        return {name: control.value for name, control in self.controls.items()}

    def _give_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._job is not None:
            self._job.stop.set()
        self._timer = self._job = None

    # In the thread of a computation; what it has to say counts only while it is the current one.

    def _work(self, job: _Job) -> None:
        try:
            with self._turn, np.errstate(all="ignore"):
                job.check()
                with report_progress(self._listener(job)):
                    result = self._compute(**job.values)
                self._say(job, lambda: self._show_running("drawing ..."))
                shown = self._on_main_thread(lambda: self._rendered(job, result))
        except _Stopped:
            return
        except Exception as error:
            self._say(job, partial(self._failed, error))
        else:
            self._say(job, lambda: self._done(job, result, shown))

    def _listener(self, job: _Job) -> Callable[[str, int, int], None]:
        last = 0.0

        def listen(label: str, done: int, total: int) -> None:
            nonlocal last
            job.check()
            now = time.perf_counter()
            if now - last > REDRAW or done >= total:
                last = now
                self._say(job, lambda: self._show_running(f"{label}: {done:,} of {total:,}", done / max(total, 1)))

        return listen

    def _on_main_thread(self, function: Callable[[], Any]) -> Any:
        if self._loop is None or not self._loop.is_running():
            return function()
        future: Future = Future()

        def call() -> None:
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)
            except BaseException:  # Ctrl-C
                self.cancel()
                future.set_exception(_Stopped())

        self._loop.call_soon_threadsafe(call)
        return future.result()

    def _rendered(self, job: _Job, result: Any) -> str:
        job.check()
        parts = self._draw(result)
        return "".join(self._as_html(part) for part in ([parts] if isinstance(parts, plots.Figure | str) else parts))

    def _as_html(self, part: plots.Figure | str) -> str:
        if isinstance(part, str):
            return f'<p style="line-height: 1.5">{html.escape(part)}</p>'
        data = base64.b64encode(plots.png(part)).decode()
        width = round(part.get_figwidth() * part.dpi)
        alternative = html.escape(self._description, quote=True)
        return f'<img alt="{alternative}" style="width: {width}px; max-width: 100%" src="data:image/png;base64,{data}">'

    def _say(self, job: _Job, what: Callable[[], None]) -> None:
        with self._lock:
            if self._job is job:
                what()

    # What is to be seen; the lock is held.

    def _show_running(self, status: str, fraction: float = 0.0) -> None:
        self._button.description, self._button.button_style, self._button.icon = "Cancel", "warning", "stop"
        self._button.tooltip = "Stop this computation"
        self._bar.layout.display, self._bar.value = "", fraction
        self._alert = ""
        self._show_message()
        self._show_status(status)

    def _show_idle(self, status: str) -> None:
        self._button.description, self._button.button_style, self._button.icon = "Run", "primary", "play"
        self._button.tooltip = "Compute with these values"
        self._bar.layout.display = "none"
        self._show_status(status)

    def _show_status(self, status: str) -> None:
        self._status.value = f'<span role="status">{html.escape(status)}</span>'
        self._show_before()

    def _show_message(self) -> None:
        """What the controls did not take as it was given, then what went wrong."""
        remarks = filter(None, (getattr(control, "message", "") for control in self.controls.values()))
        texts = "".join(f'<div role="status" style="line-height: 1.5">{html.escape(text)}</div>' for text in remarks)
        self._message.value = texts + self._alert

    def _show_before(self) -> None:
        """Mark what is shown while the controls do not say the values that it is of."""
        chosen = self._chosen()
        changed = [name for name in chosen if self._view.value and chosen[name] != self.values.get(name)]
        if not changed:
            self._before.value = ""
            self._view.remove_class("trajlib-before")
            return
        of = ", ".join(
            f"{getattr(self.controls[n], 'description', '') or n} {written(self.values[n])}" for n in changed
        )
        text = f'<div role="status" style="line-height: 1.5">This is of the values before: {html.escape(of)}.</div>'
        self._before.value = text + "<style>.trajlib-before {opacity: .4}</style>"
        self._view.add_class("trajlib-before")

    def _done(self, job: _Job, result: Any, shown: str) -> None:
        self.result, self.values, self.error, self._job = result, job.values, None, None
        self._view.value = shown
        self._show_idle(f"computed in {time.perf_counter() - job.began:.1f} s")

    def _failed(self, error: Exception) -> None:
        self.error, self._job = error, None
        text = html.escape(str(error) or type(error).__name__)
        if not isinstance(error, EXPECTED):
            trace = html.escape("".join(traceback.format_exception(error)))
            text = f"{type(error).__name__}: {text}<details><summary>traceback</summary><pre>{trace}</pre></details>"
        self._alert = f'<div role="alert" style="color: #b3261e; line-height: 1.5">{text}</div>'
        self._show_message()
        self._show_idle("nothing computed; what was shown before stays" if self._view.value else "nothing computed")
