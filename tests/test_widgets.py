"""The live lab: draws at once, draws again on Run, shows an error in place of a traceback."""

import pytest

import trajlib as tl

pytest.importorskip("ipywidgets")
from trajlib import widgets

PNG = b"\x89PNG"


@pytest.fixture
def lab():
    return widgets.divergence_lab(tl.Perceptron(4, 10, 3), tl.iris(), copies=2, steps=100)


def parts(lab):
    """Controls by their description, the button, the message and the picture."""
    *controls, button, message, picture = lab.children
    return {c.description: c for c in controls}, button, message, lambda: bytes(picture.value)


def test_draws_without_a_click_and_again_on_run(lab):
    controls, button, message, picture = parts(lab)
    first = picture()
    assert first.startswith(PNG) and message.value == ""
    controls["seed"].value = 1
    assert picture() == first  # nothing is computed until Run is pressed
    button.click()
    assert picture().startswith(PNG) and picture() != first and not button.disabled


def test_an_error_is_shown_in_the_panel(lab, monkeypatch):
    def fails(*args, **kwargs):
        raise ValueError("radius <b>too small</b>")

    _, button, message, _ = parts(lab)
    monkeypatch.setattr(widgets, "diverge", fails)
    button.click()
    assert message.value == "radius &lt;b&gt;too small&lt;/b&gt;" and not button.disabled


LABS = {
    "dmft": (lambda: widgets.dmft_lab(dimension=40, networks=2), "initial scale α"),
    "embedding": (lambda: widgets.embedding_lab(tl.Perceptron(4, 10, 3), tl.iris(), steps=40), "learning rate"),
    "exponent": (lambda: widgets.exponent_lab(tl.plane(), steps=100), "learning rate"),
}


@pytest.mark.parametrize(("make", "slider"), LABS.values(), ids=LABS)
def test_other_labs_draw_and_draw_again(make, slider):
    controls, button, message, picture = parts(make())
    first = picture()
    assert first.startswith(PNG) and message.value == ""
    controls["seed"].value = 1
    controls[slider].value = controls[slider].value / 2
    button.click()
    assert picture().startswith(PNG) and picture() != first and message.value == ""


def test_what_the_theory_cannot_resolve_is_shown_in_the_panel(monkeypatch):
    def fails(**_):
        raise ArithmeticError("use more paths")

    _, button, message, _ = parts(lab := widgets.dmft_lab(dimension=40, networks=2))
    monkeypatch.setattr(widgets, "dmft", fails)
    button.click()
    assert message.value == "use more paths" and len(lab.children) == 9
