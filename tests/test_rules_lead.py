"""The figure that leads the chapter on any network and any optimiser, in headless Chromium: its numbers are the library's."""

import numpy as np
import pytest
from lab_bits import RULES, STATES, STEPS, after
from laboratory import finished, floats

import trajlib as tl

LEAD = "document.querySelector('rules-lead')"


def curvature(gd, state, steps):
    """Sharpness of a state, from the whole matrix; preconditioned where the rule has a preconditioner."""
    if gd.rule.name in ("Adam", "RMSProp"):
        return tl.sharpness(gd, state, preconditioned=True, t=steps, method="dense")
    return tl.sharpness(gd, state, method="dense")


@pytest.mark.parametrize(("width", "split", "ic"), [(10, 0, 3), (5, 3, 0)])
def test_states_have_the_engines_bits_and_sharpness_is_the_librarys(open_page, width, split, ic):
    page = open_page("<rules-lead hidden></rules-lead>")
    net, task = tl.Perceptron(4, width, 3), tl.iris(split_seed=split)
    asked = page.evaluate(f"{LEAD}.asked({LEAD}.values)")
    rules = {name: make(net, task) for name, make in RULES.items()}
    assert [one["rule"]["name"] for one in asked] == list(rules)
    for name, found in zip(rules, page.evaluate(STATES, [asked, STEPS, ic, width, split]), strict=True):
        gd = rules[name]
        for steps, (z, sharpness, divisor) in zip(STEPS, found, strict=True):
            state = after(gd, net.init(ic + 1, seed=0)[[ic]], steps)
            assert floats(z).tobytes() == state[0].tobytes(), (name, steps)
            np.testing.assert_allclose(sharpness, curvature(gd, state, steps)[0], rtol=1e-8, err_msg=f"{name} {steps}")
            memory = state[:, gd.n_parameters :].reshape(1, gd.rule.slots, gd.n_parameters)
            want = gd.rule.preconditioner(memory, steps)
            assert (floats(divisor).tobytes() == want.tobytes()) if want is not None else not divisor
            if want is not None:  # of H alone it is another number
                assert abs(sharpness / tl.sharpness(gd, state)[0] - 1) > 0.1


@pytest.mark.parametrize("reached", ["rate", "beta"])
def test_limits_are_those_of_the_rules(open_page, reached):
    page = open_page("<rules-lead hidden></rules-lead>")
    beta = {"rate": 0.5, "beta": 0.9}[reached]
    values = {"lr": 0.7, "beta": beta, "rmsprop": 0.02, "adam": 0.05, "beta1": beta}
    limits = page.evaluate(
        f"(values) => {LEAD}.asked(values).map(({{ rule, lr }}) => trajlab.stabilityLimit(rule, lr))", values
    )
    net, task = tl.Perceptron(4, 10, 3), tl.iris()
    momenta = [tl.GradientDescent(net, task, lr=0.7, momentum=beta, nesterov=nesterov) for nesterov in (False, True)]
    rules = [
        tl.GradientDescent(net, task, lr=0.7), *momenta,
        tl.RMSProp(net, task, lr=0.02), tl.Adam(net, task, lr=0.05, betas=(beta, 0.999)),
    ]  # fmt: skip
    assert limits == pytest.approx([gd.rule.stability_limit(gd.lr) for gd in rules], rel=1e-14)


def test_what_is_drawn_is_the_mean_of_two_steps(open_page):
    page = open_page("<rules-lead></rules-lead>", hash="#rules=ic:1,split:2,width:6", reduced_motion="reduce")
    finished(page, "rules-lead")
    head, *rows = page.evaluate(f"{LEAD}.table()")
    assert len(rows) == 160 and len(head) == 16
    net, task = tl.Perceptron(4, 6, 3), tl.iris(split_seed=2)
    w0 = net.init(2, seed=0)[[1]]
    for row in (rows[0], rows[7], rows[159]):
        for k, make in enumerate(RULES.values()):
            gd = make(net, task)
            want = np.mean([curvature(gd, after(gd, w0, t), t)[0] for t in (row[0], row[0] + 1)])
            assert row[1 + 3 * k] == pytest.approx(want, rel=1e-6)
            assert row[3 + 3 * k] == float(gd.loss(after(gd, w0, row[0]))[0])
    said = page.locator("rules-lead .result").text_content()
    late = np.array([[row[1 + 3 * k] / row[2 + 3 * k] for k in range(5)] for row in rows[80:]]).mean(axis=0)
    assert all(f"{name} {value:.2f}" in said for name, value in zip(RULES, late, strict=True))
    assert page.evaluate(f"{LEAD}.canvases.rule4.ariaLabel").startswith("Adam: sharpness over its limit of 3,800")


@pytest.mark.parametrize("products", [3, 24])
def test_sharpness_with_any_divisor_is_that_of_the_whole_matrix(open_page, products):
    """Three products are too few for the search: then the whole matrix is taken."""
    page = open_page("<rules-lead hidden></rules-lead>")
    script = """(products) => {
        const { x, y } = trajlab.iris(0), size = 195, random = trajlab.generator(1);
        const curvature = trajlab.curvatureOf({ sizes: [4, 24, 3], n: 120, size, x, y });
        curvature.at(trajlab.initialConditions([4, 24, 3], 0, 1));
        const divisor = Float64Array.from({ length: size }, () => 10 ** (3 * random.double()));
        const matrix = curvature.hessian(), found = [0, 1].map(() => curvature.sharpnessOf(divisor, products));
        for (let p = 0; p < size; p++) for (let i = 0; i < size; i++) matrix[p * size + i] /= Math.sqrt(divisor[p] * divisor[i]);
        return [...found, trajlab.eigen(matrix, size).values[size - 1]]; }"""
    cold, warm, want = page.evaluate(script, products)
    assert cold == pytest.approx(want, rel=1e-9) and warm == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("left", ["NaN", "Infinity"])
def test_sharpness_of_what_is_not_finite_is_none(open_page, left):
    page = open_page("<rules-lead hidden></rules-lead>")
    script = f"""(() => {{
        const rule = {{ name: "heavy ball", p: 0.9 }};
        const run = trajlab.limitRun({{ rule, lr: 0.1, condition: 0, width: 10, split: 0 }}), before = run.sharpness();
        run.z[70] = {left};
        const then = run.sharpness();
        run.z[70] = 0;
        return [before, String(then), run.sharpness()]; }})()"""
    before, then, after_it = page.evaluate(script)
    assert before > 0 and then == "NaN" and after_it > 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_draws_soon_and_obeys_keys(open_page, theme, width):
    page = open_page("<rules-lead></rules-lead>", viewport={"width": width, "height": 900})
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.wait_for_function(f"{LEAD}.head > 200 && {LEAD}.progress.textContent !== ''")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    tops = page.evaluate(
        f"[...{LEAD}.shadowRoot.querySelectorAll('canvas')].map((one) => one.getBoundingClientRect().top)"
    )
    assert len(set(tops)) == (1 if width == 1280 else 3)
    button = page.locator("rules-lead .play")
    button.press("Enter")
    assert button.text_content() == "Play"
    slider = page.locator("rules-lead input[type=range]").first
    slider.press("ArrowRight")
    page.wait_for_function(f"{LEAD}.data.ran.lr > 0.25 && location.hash.includes('rules=lr:0.2')")
    assert page.evaluate(f"[...{LEAD}.shadowRoot.querySelectorAll('canvas')].every((one) => one.ariaLabel.length > 15)")
