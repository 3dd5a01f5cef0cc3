"""Figures: what a notebook keeps of them, and their narrow version, on made-up figures of the kinds that the chapters have."""

import base64
import itertools
import re
import struct
import sys
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from PIL import Image

from trajlib import plots
from trajlib.plots import styling
from trajlib.plots.narrowing import WIDTH, broken, narrowed

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import execute_notebooks
import page_figures

PHONE = 304
"""Pixels that a page 360 wide has for a figure, on its card in the dark."""


@pytest.fixture(autouse=True)
def styled():
    matplotlib.use("agg")
    with plt.rc_context():
        plots.style()
        yield
    plt.close("all")


def shared():
    """Side by side with one label for all, the ticks of the others left out."""
    fig, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True)
    for ax in axes:
        ax.plot([0, 1], [0, 1])
        ax.set(xlabel="step", title="learning rate")
    axes[0].set_ylabel("distance")
    return fig


def grid():
    fig, axes = plt.subplots(2, 4, figsize=(10, 5), sharex=True, sharey="row")
    for ax in axes.flat:
        ax.plot([0, 1], [0, 1])
    axes[0, 0].set_ylabel("loss")
    fig.supxlabel("step")
    plots.label_panels(axes)
    return fig


def twins():
    fig, axes = plt.subplots(2, 3, figsize=(9, 5), sharex=True)
    for ax in axes.flat:
        right = plots.divergence_panel(ax, np.arange(9), np.ones((2, 9)), np.ones(9))
        if ax in axes[:, -1]:
            right.set_ylabel("loss")
    axes[1, 2].set_xlabel("step")
    return fig


def legend_outside():
    fig, ax = plt.subplots(figsize=(6, 3))
    for name in ("the first of four", "the second", "the third", "the fourth of them"):
        ax.plot([0, 1], [0, 1], label=name)
    ax.set_xlabel("step")
    ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return fig


def colour_bar():
    fig, (top, bottom) = plt.subplots(1, 2, figsize=(8, 3), width_ratios=(1, 2))
    fig.colorbar(top.imshow(np.eye(4), aspect="auto"), ax=top)
    bottom.inset_axes((0.6, 0.6, 0.3, 0.3)).plot([0, 1])
    bottom.set(xticks=range(9), xticklabels=[f"{10 ** (n / 3):.4g}" for n in range(9)])
    return fig


def mosaic():
    fig, axes = plt.subplot_mosaic([["a", "a"], ["b", "c"], ["d", "e"]], figsize=(6.6, 9))
    for ax in axes.values():
        ax.bar(range(3), range(3))
        ax.set_title("a title that is a good deal longer than half a phone is wide")
    fig.legend(*axes["a"].get_legend_handles_labels(), loc="outside lower center")
    return fig


def names_of_rows():
    fig, axes = plt.subplots(1, 2, figsize=(8, 4), sharey=True)
    names = ["a residual network with three layers", "square error", "momentum of nine tenths, small batches"]
    axes[0].set(yticks=range(3), yticklabels=names, xlabel="share")
    axes[1].set_xticks(range(3), ["not so short", "long enough", "longer than that"])
    return fig


FIGURES = [shared, grid, twins, legend_outside, colour_bar, mosaic, names_of_rows]


def drawn_texts(figure):
    """All texts that are seen."""
    return [text for text in figure.findobj(matplotlib.text.Text) if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("make", FIGURES)
def test_all_of_it_is_there_and_nothing_lies_over_another(make):
    figure = make()
    panels, lines = len(figure.axes), sum(len(ax.lines) for ax in figure.axes)
    figure.draw_without_rendering()
    before = figure.get_figwidth(), [ax.get_subplotspec() for ax in figure.axes]
    slim = narrowed(figure)
    assert (figure.get_figwidth(), [ax.get_subplotspec() for ax in figure.axes]) == before
    assert plt.get_fignums() == [figure.number]
    real = [ax for ax in slim.axes if ax.get_label() != "legend"]
    assert len(real) == panels and sum(len(ax.lines) for ax in real) == lines
    assert slim.get_figwidth() == WIDTH
    boxes = {ax.get_window_extent().bounds: ax.get_tightbbox() for ax in slim.axes if ax.get_subplotspec()}
    for a, b in itertools.combinations(boxes.values(), 2):  # twins have the same bounds
        across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(across, up) < 2, (make.__name__, a, b)
    for box in boxes.values():
        assert box.x0 > -3 and box.x1 < slim.bbox.x1 + 3 and box.y0 > -3 and box.y1 < slim.bbox.y1 + 3
    shown = slim.get_tightbbox().width * slim.dpi
    for text in drawn_texts(slim):
        assert text.get_fontsize() * slim.dpi / 72 * min(1, PHONE / shown) > 9, text


def test_tick_labels_and_labels_come_back():
    slim = narrowed(shared())
    assert [ax.get_ylabel() for ax in slim.axes] == ["distance"] * 3
    assert all(ax.yaxis.get_tick_params()["labelleft"] for ax in slim.axes)
    slim = narrowed(grid())
    assert [ax.xaxis.get_tick_params()["labelbottom"] for ax in slim.axes] == [False] * 6 + [True] * 2
    assert [ax.get_subplotspec().colspan.start for ax in slim.axes] == [0, 1] * 4
    assert [ax.get_ylabel() for ax in slim.axes] == ["loss", "", "loss", "", "", "", "", ""]


def test_the_label_of_the_twins_stands_in_the_last_column():
    slim = narrowed(twins())
    assert [ax.get_ylabel() for ax in slim.axes[6:]] == ["", "loss"] * 3


def test_a_legend_that_covers_the_panel_moves_below_it():
    slim = narrowed(legend_outside())
    (panel, holder), (legend,) = slim.axes, slim.axes[1].get_children()[-1:]
    assert panel.get_legend() is None and holder.get_legend() is not None and legend is not None
    assert holder.get_legend().get_window_extent().y1 < panel.get_window_extent().y0
    assert len(holder.get_legend().get_texts()) == 4


def test_tick_labels_do_not_run_into_each_other():
    for make in (colour_bar, names_of_rows):
        for ax in narrowed(make()).axes:
            labels = [label for label in ax.get_xticklabels() if label.get_text() and label.get_rotation() == 0]
            boxes = [label.get_window_extent() for label in labels]
            assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_a_figure_can_say_how():
    figure = grid()
    plots.narrow(figure, columns=1)
    slim = narrowed(figure)
    assert [ax.get_subplotspec().rowspan.start for ax in slim.axes] == list(range(8))
    figure = legend_outside()
    plots.narrow(figure, legend="inside")
    assert len(narrowed(figure).axes) == 1
    with pytest.raises(ValueError, match="legend must be 'inside' or 'below', got 'left'"):
        plots.narrow(figure, legend="left")


def test_a_masked_picture_in_half_precision_says_nothing():
    """numpy fills masked arrays with 1e20, which float16 has not: a warning would stop the chapter."""
    fig, axes = plt.subplots(1, 2, figsize=(7, 3))
    axes[0].pcolormesh(np.array([[0.5, np.nan], [0.25, 1]], dtype=np.float16))
    axes[1].plot([1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert narrowed(fig) is not None


def test_lines_break_outside_formulas():
    assert broken("loss of $a + b$ at the end", 0.5) == "loss of\n$a + b$ at\nthe end"


def test_a_notebook_keeps_both():
    figure = shared()
    wide, told = styling.in_notebook(figure)
    width, height = struct.unpack(">II", base64.b64decode(wide)[16:24])
    assert (told["width"], told["height"]) == (round(width / 2), round(height / 2))
    slim, high = struct.unpack(">II", base64.b64decode(told["narrow"])[16:24])
    assert slim < width / 2 and high > height and plt.get_fignums() == [figure.number]


def test_pictures_that_nobody_looks_at_are_not_drawn(monkeypatch):
    monkeypatch.setenv("TRAJLIB_PICTURES", "off")
    assert styling.in_notebook(shared()) == ("", {})


def test_fields_of_colour_are_kept_by_the_palette():
    """Forty pale fields, a pattern that has many colours, and white: no field may be given the colour of another."""
    rng = np.random.default_rng(0)
    picture = np.full((400, 400, 3), 255, dtype=np.uint8)
    fields = rng.integers(200, 250, (40, 3))
    for k, colour in enumerate(fields):
        picture[10 * (k % 20) : 10 * (k % 20) + 8, 20 * (k // 20) : 20 * (k // 20) + 18] = colour
    picture[300:340] = rng.integers(0, 255, (40, 400, 3))
    few = np.asarray(page_figures.few(Image.fromarray(picture)).convert("RGB")).astype(int)
    for k, colour in enumerate(fields):
        assert np.abs(few[10 * (k % 20) + 4, 20 * (k // 20) + 9] - colour).max() <= page_figures.OFF


def test_white_and_a_thin_line_keep_their_colours():
    """White is white, though most of a picture is nearly so; a line that covers less than one in a hundred pixels keeps its hue."""
    picture = np.full((200, 300, 3), 255, dtype=np.uint8)
    picture[50:150] = (252, 253, 254)
    picture[:, 40:80] = (213, 94, 0)
    picture[100, 100:250] = (0, 114, 178)
    few = np.asarray(page_figures.few(Image.fromarray(picture)).convert("RGB")).astype(int)
    assert (few[0, 0] == 255).all() and np.abs(few[100, 120] - (0, 114, 178)).max() <= page_figures.FURTHEST


def test_a_page_shows_the_narrow_one_on_a_phone(tmp_path):
    """From an executed notebook to the page: found by its picture, as light as it can be, in the place that it takes."""
    wide, told = styling.in_notebook(shared())
    cell = nbformat.v4.new_code_cell(
        outputs=[nbformat.v4.new_output("display_data", {"image/png": wide}, metadata={"image/png": told})]
    )
    execute_notebooks.lighten(cell)
    (output,) = cell.outputs
    light = base64.b64decode(output.data["image/png"])
    assert len(light) < len(base64.b64decode(wide)) / 2
    (tmp_path / "executed").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "executed" / "one.ipynb")
    narrow = page_figures.narrow_versions(tmp_path / "executed")
    (name,) = narrow
    for file in (name, "other.png"):
        (tmp_path / file).write_bytes(light)
    figure = '<figure class="align-default" tabindex="0" id="a">\n<img alt="b" src="{}" style="width: 9px; height: 9px" /></figure>'
    page = page_figures.with_light_figures(figure.format(name), tmp_path, narrow)
    whole = re.search(r'<img loading="lazy" width="(\d+)" height="(\d+)"', page)
    assert abs(int(whole[1]) - told["width"]) < 2 and abs(int(whole[2]) - told["height"]) < 2
    assert "style" not in page and "tl-wide" not in page
    slim = re.search(r'<source media="\(max-width: 600px\)" srcset="(.+?)" width="(\d+)" height="(\d+)">', page)
    assert (tmp_path / slim[1]).stat().st_size < len(base64.b64decode(told["narrow"])) / 2
    assert int(slim[2]) < told["width"] / 2 and int(slim[3]) > told["height"]
    assert "tl-wide" in page_figures.with_light_figures(figure.format("other.png"), tmp_path, narrow)
    assert page_figures.webp(narrow[name]) == narrow[name] and page_figures.palette(light) == light
