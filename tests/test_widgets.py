"""Panels: drawn at once and off the main thread, again after a change, stopped on request, errors in place of tracebacks; and the labs."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import trajlib as tl
from trajlib import plots

pytest.importorskip("ipywidgets")
import ipywidgets

from trajlib import widgets
from trajlib.widgets import controls
from trajlib.widgets import panel as module

ROOT = Path(__file__).parents[1]
NET, TASK = tl.Perceptron(4, 10, 3), tl.iris()
PNG = "data:image/png;base64,iVBOR"


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not within a minute"
        time.sleep(0.005)


def settled(panel):
    until(lambda: not panel.running)
    return panel


def seen(panel):
    """All that the panel says."""
    return "".join(part.value for part in (panel._status, panel._message, panel._view))


class Counted:
    """A computation that keeps what it was called with, and lasts while ``hold`` is clear."""

    def __init__(self):
        self.calls, self.panels, self.hold = [], [], threading.Event()
        self.hold.set()

    def compute(self, x):
        self.calls.append(x)
        self.hold.wait(30)
        if x == 13:
            raise ValueError("x must not be <b>13</b>")
        if x == 14:
            raise LookupError("lost")
        return 2 * x

    def panel(self, compute=None, draw=lambda y: f"y = {y}", **options):
        slider = ipywidgets.IntSlider(value=1, max=20, description="x")
        self.panels.append(widgets.Panel(compute or self.compute, draw, {"x": slider}, **options))
        return self.panels[-1], slider


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "DEBOUNCE", 0.1)
    counted = Counted()
    yield counted
    counted.hold.set()
    for panel in counted.panels:
        panel.close()


def test_computes_without_a_click_off_the_main_thread(quick):
    quick.hold.clear()
    panel, _ = quick.panel()
    until(lambda: quick.calls == [1])
    assert panel.running and panel.result is None and panel._button.description == "Cancel"
    assert panel._bar.layout.display != "none"
    quick.hold.set()
    settled(panel)
    assert (panel.result, panel.values, panel.error) == (2, {"x": 1}, None)
    assert "y = 2" in panel._view.value and "computed in" in panel._status.value
    assert panel._button.description == "Run" and panel._bar.layout.display == "none"
    panel._button.click()
    assert settled(panel).result == 2 and quick.calls == [1, 1]


def test_many_changes_are_one(quick, monkeypatch):
    panel, slider = quick.panel()
    settled(panel)
    monkeypatch.setattr(module, "DEBOUNCE", 0.5)
    for x in range(2, 8):
        slider.value = x
        assert panel.running
    assert quick.calls == [1]
    assert settled(panel).result == 14 and quick.calls == [1, 7]


def test_a_change_gives_up_what_is_being_computed(quick):
    quick.hold.clear()
    panel, slider = quick.panel()
    until(lambda: quick.calls == [1])
    slider.value = 5
    time.sleep(0.3)
    assert quick.calls == [1], "one at a time"
    quick.hold.set()
    assert settled(panel).result == 10 and "y = 2<" not in seen(panel)


def test_cancel_stops_work_that_reports_progress(quick):
    gd, steps = tl.GradientDescent(NET, TASK, lr=0.01), 10**9
    ended = threading.Event()

    def compute(x):
        try:
            return tl.train(gd, NET.init(2, seed=0), steps, record=()) if x > 1 else "short"
        finally:
            ended.set()

    panel, slider = quick.panel(compute)
    settled(panel)
    before = panel._view.value
    ended.clear()
    slider.value = 2
    until(lambda: "train: " in panel._status.value)
    assert "of 1,000,000,000" in panel._status.value and 0 < panel._bar.value < 1
    panel._button.click()
    assert not panel.running and "cancelled" in panel._status.value
    assert ended.wait(10), "the computation itself has ended"
    assert panel._view.value == before and panel.result == "short"
    panel.reset()
    assert slider.value == 1 and settled(panel).result == "short"


def test_cancel_before_it_has_begun(quick):
    panel, slider = quick.panel()
    settled(panel)
    slider.value = 3
    panel.cancel()
    time.sleep(0.3)
    assert quick.calls == [1] and not panel.running


def test_errors_are_shown_in_the_panel(quick):
    panel, slider = quick.panel()
    settled(panel)
    shown = panel._view.value
    slider.value = 13
    settled(panel)
    assert "x must not be &lt;b&gt;13&lt;/b&gt;" in panel._message.value and "traceback" not in panel._message.value
    assert 'role="alert"' in panel._message.value and panel._view.value == shown and isinstance(panel.error, ValueError)
    slider.value = 14
    settled(panel)
    assert "LookupError: lost" in panel._message.value and "Traceback (most recent" in panel._message.value
    slider.value = 4
    settled(panel)
    assert panel._message.value == "" and panel.error is None and "y = 8" in panel._view.value


def test_an_end_is_shown_when_it_is_told(quick, monkeypatch):
    """Also where showing it takes a while, and where one computation makes way for another."""
    panel, slider = quick.panel()
    settled(panel)
    for name in ("_show_message", "_show_idle", "_give_up"):
        was = getattr(panel, name)
        monkeypatch.setattr(panel, name, lambda *given, was=was: (time.sleep(0.1), was(*given), time.sleep(0.1)))
    slider.value = 14
    assert "LookupError: lost" in settled(panel)._message.value and "nothing computed" in panel._status.value
    slider.value = 4
    assert "y = 8" in settled(panel)._view.value and "computed in" in panel._status.value


def test_an_error_while_drawing_is_shown_too(quick):
    panel, _ = quick.panel(draw=lambda y: 1 / 0)
    settled(panel)
    assert "division by zero" in panel._message.value and panel.result is None
    assert "nothing computed" in panel._status.value


def test_figures_have_an_alternative_text_and_are_closed(quick):
    import matplotlib.pyplot as plt

    def draw(y):
        yield plt.subplots()[0]
        yield "a < b"

    panel, _ = quick.panel(draw=draw, description='a "line"')
    settled(panel)
    assert 'alt="a &quot;line&quot;"' in panel._view.value and PNG in panel._view.value
    assert "a &lt; b" in panel._view.value and plt.get_fignums() == []


def test_drawing_waits_for_the_main_thread(quick):
    """As in a kernel: the panel is made while a loop runs, and pyplot belongs to the thread of that loop."""
    threads = []

    def draw(y):
        threads.append(threading.current_thread())
        return f"y = {y}"

    async def cell():
        panel, slider = quick.panel(draw=draw)
        time.sleep(0.3)  # a cell that is busy
        assert threads == [] and panel.running
        while panel.running:
            await asyncio.sleep(0.01)
        slider.value = 4
        while panel.running:
            await asyncio.sleep(0.01)
        return panel.result

    assert asyncio.run(cell()) == 8
    assert threads == [threading.current_thread()] * 2


def test_a_closed_panel_stops(quick):
    quick.hold.clear()
    panel, _ = quick.panel()
    until(lambda: quick.calls == [1])
    panel.close()
    assert not panel.running
    quick.hold.set()


# What is typed, and the figure of the values before.


def typed(control, text):
    """What the front end does when a reader types into the field."""
    control._field.set_state({"value": text})
    return control.value, control.message


RATE = "learning rate must be a number from 0.001 to 10; "
STEPS = "steps must be a whole number from 100 to 20000; "
SEED = "seed must be a whole number from 0 to 1000000; "


@pytest.mark.parametrize(
    ("name", "text", "value", "said"),
    [
        ("lr", "1000", 10.0, RATE + "1000 became 10."),
        ("lr", "-1", 0.001, RATE + "-1 became 0.001."),
        ("lr", "few", 0.5, RATE + "“few” is not, so it stays 0.5."),
        ("lr", "nan", 0.5, RATE + "“nan” is not, so it stays 0.5."),
        ("lr", "0.0123456789", 0.0123456789, ""),
        ("lr", " 1e-2 ", 0.01, ""),
        ("steps", "137", 137, ""),
        ("steps", "99", 100, STEPS + "99 became 100."),
        ("steps", "inf", 20000, STEPS + "inf became 20000."),
        ("steps", "9" * 5000, 20000, STEPS + "9" * 5000 + " became 20000."),
        ("steps", "1e3", 1000, ""),
        ("seed", "1.5", 7, SEED + "“1.5” is not, so it stays 7."),
        ("seed", "", 7, SEED + "“” is not, so it stays 7."),
        ("seed", "−3", 0, SEED + "−3 became 0."),
        ("seed", "15.0", 15, ""),
    ],
)
def test_what_is_typed_is_taken_or_the_reader_is_told(name, text, value, said):
    start = {"lr": 0.5, "radius": 1e-8, "networks": 1, "copies": 1, "steps": 300, "seed": 7}
    made = controls.copies_of(start, rates=(-3, 1), most=(500, 40), lengths=(100, 20_000, 100))
    control = made[name]
    assert typed(control, text) == (value, said)
    assert type(control.value) is type(start[name]) and control._field.value == controls.written(value)
    control.value = start[name]
    assert (control.value, control.message) == (start[name], "")


def test_sliders_and_fields_go_together():
    rate = controls.logarithmic("learning rate", 0.5, -3, 1)
    typed(rate, "0.0123")
    assert rate._slider.value == 0.0123
    rate._slider.value = 10**-1.3
    assert rate.value == 0.0501 and rate._field.value == "0.0501", "as many digits as one can read"
    rate.value = 1000
    assert (rate.value, rate.message) == (10.0, RATE + "1000 became 10.")
    rate.value = 0.25
    assert (rate.value, rate.message, rate._field.value) == (0.25, "", "0.25")
    steps = controls.whole("steps", 300, 100, 20_000, 100)
    steps._slider.value = 400
    assert steps.value == 400 and type(steps.value) is int


@pytest.fixture
def numbered(quick):
    """A panel whose control reads what is typed."""
    number = controls.whole("flowers <b>", 1, 1, 20)
    panel = widgets.Panel(quick.compute, lambda y: f"y = {y}", {"x": number})
    quick.panels.append(panel)
    return settled(panel), number


def test_the_panel_says_what_was_changed(quick, numbered):
    panel, number = numbered
    typed(number, "1000")
    settled(panel)
    assert panel.result == 40 and "flowers &lt;b&gt; must be a whole number from 1 to 20; 1000 became 20." in seen(
        panel
    )
    assert 'role="status"' in panel._message.value
    typed(number, "2.5")
    time.sleep(0.3)
    assert quick.calls == [1, 20], "what is refused changes nothing"
    assert "“2.5” is not, so it stays 20." in panel._message.value
    typed(number, "13")
    settled(panel)
    assert "became" not in seen(panel) and "x must not be" in panel._message.value
    typed(number, "13.5")
    assert "it stays 13" in panel._message.value and 'role="alert"' in panel._message.value
    panel.reset()
    settled(panel)
    assert panel._message.value == "" and number.value == 1 and panel.result == 2


def test_the_figure_of_the_values_before_is_marked(quick, numbered):
    panel, number = numbered

    def marked():
        assert ("trajlib-before" in panel._view._dom_classes) == bool(panel._before.value)
        return panel._before.value

    assert not marked()
    number.value = 5
    assert 'role="status"' in marked() and "of the values before: flowers &lt;b&gt; 1." in marked()
    assert "y = 2" in panel._view.value
    number.value = 1
    assert not marked(), "they are the values again that it is of"
    number.value = 5
    settled(panel)
    assert not marked() and "y = 10" in panel._view.value
    quick.hold.clear()
    number.value = 6
    until(lambda: quick.calls[-1] == 6)
    assert "flowers &lt;b&gt; 5." in marked()
    panel.cancel()
    quick.hold.set()
    assert marked(), "nothing new has come"
    number.value = 13
    settled(panel)
    assert panel.error is not None and marked()
    panel.reset()
    settled(panel)
    assert not marked()


def test_steps_between_two_records_are_taken():
    panel = settled(widgets.divergence_lab(NET, TASK, networks=1, copies=1, steps=300))
    assert typed(panel.controls["steps"], "2345") == (2345, "")
    settled(panel)
    assert panel.error is None and panel.result.steps == 2345
    assert panel.result.times[-1] == 2344 and "d(2,344) / d(0)" in panel._view.value
    panel.close()


# The labs.

SMALL = {"networks": 3, "copies": 2}
LABS = {
    "divergence": (lambda: widgets.divergence_lab(NET, TASK, steps=100, **SMALL), {"lr": 1.0, "steps": 2300}),
    "expansion": (lambda: widgets.expansion_lab(NET, TASK, steps=300, **SMALL), {"networks": 1, "lr": 0.01}),
    "collapse": (lambda: widgets.collapse_lab(NET, networks=4, steps=600), {"lr": 2.0, "split_seed": 3}),
    "embedding": (lambda: widgets.embedding_lab(NET, TASK, steps=40, **SMALL), {"networks": 1, "lr": 0.01}),
    "exponent": (
        lambda: widgets.exponent_lab(networks=20, steps=100),
        {"target": "wave", "hidden": 1, "networks": 40},
    ),
    "dmft": (lambda: widgets.dmft_lab(dimension=40, networks=2), {"init_scale": 1.0, "weight_decay": 0.3}),
}


@pytest.mark.parametrize(("make", "changes"), LABS.values(), ids=LABS)
def test_labs_draw_and_draw_again(make, changes):
    panel = settled(make())
    first = panel._view.value
    assert PNG in first and panel.error is None, panel._message.value
    for name, value in {"seed": 1, **changes}.items():
        panel.controls[name].value = value
    settled(panel)
    assert panel.error is None, panel._message.value
    assert PNG in panel._view.value and panel._view.value != first and panel.values["seed"] == 1
    panel.close()


def test_each_control_says_what_it_is():
    for make, _ in LABS.values():
        panel = make()
        assert all(control.description for control in panel.controls.values())
        panel.close()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: widgets.divergence_lab(NET, TASK, lr=-1.0),
            ValueError,
            "learning rate must be a positive finite number",
        ),
        (lambda: widgets.divergence_lab(NET, TASK, copies=0), ValueError, "copies must be an integer >= 1, got 0"),
        (lambda: widgets.expansion_lab(NET, TASK, steps=2.5), TypeError, "steps must be an integer >= 1, got 2.5"),
        (lambda: widgets.exponent_lab(target="circle"), ValueError, "target must be one of 'parabola'"),
        (lambda: widgets.dmft_lab(noise=np.nan), ValueError, "noise σ must be a finite number >= 0"),
        (
            lambda: widgets.Panel(print, str, {"x": 3}),
            TypeError,
            "controls must map names to widgets with a value, got 3 for 'x'",
        ),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_value_beyond_a_slider_stretches_it():
    panel = settled(widgets.divergence_lab(NET, TASK, lr=50.0, radius=1e-15, networks=1, copies=50, steps=50))
    assert [panel.controls[name].value for name in ("lr", "radius", "copies", "steps")] == [50.0, 1e-15, 50, 50]
    assert panel.error is None and panel.values["lr"] == 50.0
    panel.close()


def test_labs_compute_what_the_chapters_do():
    gd, w0 = tl.GradientDescent(NET, TASK, lr=1.0), NET.init(500, seed=0)
    chapter = tl.diverge(gd, w0, radius=1e-8, copies=5, steps=200, seed=1)
    panel = settled(widgets.expansion_lab(NET, TASK, networks=10, steps=200))
    div, fit = panel.result
    np.testing.assert_array_equal(div.distance, chapter.distance[:10])
    np.testing.assert_array_equal(fit.rate, tl.expansion_rate(chapter.distance).rate[:10])
    panel.close()


def test_what_the_theory_cannot_resolve_is_shown_in_the_panel(monkeypatch):
    def fails(**_):
        raise ArithmeticError("use more paths")

    monkeypatch.setattr(widgets.labs, "dmft", fails)
    panel = settled(widgets.dmft_lab(dimension=40, networks=2))
    assert "use more paths" in panel._message.value and "<details>" not in panel._message.value
    panel.close()


def test_ensemble_figures_take_what_diverges():
    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3, activation="relu"), TASK, lr=8.0)
    div = tl.diverge(gd, gd.network.init(4, seed=0), radius=1e-8, copies=2, steps=300)
    with np.errstate(all="ignore"):
        fit = tl.expansion_rate(div.distance[:, :, :201])
        for figure in (plots.distances(div, range(4)), plots.fitted_distances(div, fit), plots.expansion_panel(fit)):
            assert plots.png(figure).startswith(b"\x89PNG")


@pytest.mark.slow
def test_in_a_kernel():
    """The cell with the lab is over at once, the next cells run, and the panel is drawn in between."""
    nbclient = pytest.importorskip("nbclient")
    from nbformat.v4 import new_code_cell, new_notebook

    cells = [
        "import trajlib as tl\nfrom trajlib import widgets\n"
        "lab = widgets.divergence_lab(tl.Perceptron(4, 10, 3), tl.iris(), steps=2000)\n"
        "assert lab.running and lab._loop is not None  # not before this cell is over can it be drawn\nlab",
        "import asyncio\nwhile lab.running:\n    await asyncio.sleep(0.01)",
        "assert lab.error is None and 'data:image/png' in lab._view.value, lab._message.value\nlab.result.distance.shape",
    ]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    done = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    assert "(6, 20, 1001)" in done.cells[-1].outputs[0]["data"]["text/plain"]
    assert not any(output.output_type == "stream" for cell in done.cells for output in cell.outputs)


@pytest.mark.slow
@pytest.mark.skipif(ipywidgets.__version__.startswith("7."), reason="these are the tests with ipywidgets 7")
def test_with_the_ipywidgets_of_colab(tmp_path):
    """All of the above once more, with ipywidgets 7.7.1."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "-q",
        "--no-deps",
        "--target",
        tmp_path,
    ]
    got = subprocess.run(
        [*pip, "ipywidgets==7.7.1", "ipython_genutils==0.2.0"], capture_output=True, text=True, check=False
    )
    if got.returncode and not os.environ.get("CI"):
        pytest.skip(f"needs a package index for ipywidgets 7.7.1: {got.stderr.strip()[-200:]}")
    assert got.returncode == 0, got.stderr
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def run(*arguments):
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)

    assert run("-c", "import ipywidgets; print(ipywidgets.__version__)").stdout.strip() == "7.7.1"
    done = run("-m", "pytest", "-q", "-W", "default", __file__)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-4000:] + done.stderr[-2000:]
