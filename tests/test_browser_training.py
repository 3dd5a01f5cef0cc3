"""The training map of the pages, in headless Chromium: any network, rule, schedule and minibatches, with the bits of the engine."""

import itertools
import sys
from pathlib import Path

import numpy as np
import optimised
import pytest
from laboratory import ALL_PARTS, BYTES, floats

import trajlib as tl
from trajlib import schedules
from trajlib.models.activations import ACTIVATIONS
from trajlib.models.cost import COSTS
from trajlib.optimisers import RULES, Batches

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import write_lab_data

STEPS = 12
OPTIMISERS = {
    "gradient descent": (tl.GradientDescent, {}),
    "heavy ball": (tl.GradientDescent, {"momentum": 0.9}),
    "Nesterov": (tl.GradientDescent, {"momentum": 0.7, "nesterov": True}),
    "Adam": (tl.Adam, {"betas": (0.8, 0.95)}),
    "RMSProp": (tl.RMSProp, {"alpha": 0.9}),
    "RMSProp with momentum": (tl.RMSProp, {"alpha": 0.9, "momentum": 0.5}),
}
SAMPLED = ("all", "an order an epoch", "drawn with replacement")


def falling(lr):
    """Every schedule, with rates of about ``lr``."""
    return (
        schedules.constant(lr),
        schedules.step(lr, 3, 0.6),
        schedules.exponential(lr, 0.93),
        schedules.cosine(lr, 10, 0.2 * lr),
        schedules.warm_up(lr, 4, 0.1 * lr),
        schedules.warm_up(schedules.cosine(lr, 9), 3),
        schedules.one_cycle(lr, 11),
        schedules.one_cycle(lr, 9, warm=0.1, start_factor=0.2, end_factor=0.01),
        schedules.array([lr, 0.3 * lr, 0.7 * lr, 0.8 * lr]),
    )


TRAIN = f"""(cases) => {{
    {BYTES}
    return cases.map(({{ network, x, y, w, steps }}) => {{
        const map = trajlab.trainingMap({{ x: Float64Array.from(x), y: Float64Array.from(y), ...network }});
        const at = 3, z = new Float64Array(at + map.stateSize), loss = new Float64Array(steps + 1); // not at the head
        z.set(w, at);
        for (let t = 0; t < steps; t++) loss[t] = map.step(z, at, t, true);
        loss[steps] = map.loss(z, at);
        const silent = Float64Array.from({{ length: map.stateSize }}, (_, p) => w[p] || 0);
        for (let t = 0; t < steps; t++) map.step(silent, 0, t);
        return [z.slice(at), loss, silent].map(bytes);
    }});
}}"""


@pytest.fixture
def engine(open_page):
    """A page with all of the laboratory's functions, and no panel that computes."""
    return open_page(ALL_PARTS)


def drawn(rng, activation, loss, rule, sampled):
    """A small network and how it is trained: what is named, and all else by chance."""
    inputs, hidden = int(rng.integers(2, 6)), tuple(rng.integers(1, 7, size=rng.integers(1, 4)).tolist())
    samples, curve = int(rng.integers(3, 14)), loss != "cross_entropy" and rng.random() < 0.4
    classes = int(rng.integers(2, 4))
    if curve:
        task, inputs, classes = optimised.curve(samples), 2, 1
    else:
        task = optimised.labelled(samples, inputs, classes)
    depth = len(hidden) + 1
    scale = (None, "mean_field", tuple(rng.uniform(0.5, 1.5, depth).tolist()))[rng.integers(3)]
    bias = bool(rng.integers(2))
    net = tl.Perceptron(inputs, hidden, classes, activation=activation, loss=loss, bias=bias, scale=scale)
    lr = 0.05 if loss == "cross_entropy" else 0.002  # squares have no bound, and a deep network soon finds that
    changing = falling(lr)
    one = [0.6 * lr, *(changing[i] for i in rng.permutation(len(changing)))][: depth + 1]
    options = {"lr": (one[0], one[1], tuple(one[1:]), tuple(one[:-1]))[rng.integers(4)]}
    if rng.integers(2):
        options |= {"weight_decay": 0.1, "decoupled_weight_decay": bool(rng.integers(2))}
    if sampled != "all":
        replacement = sampled == "drawn with replacement"
        size = int(rng.integers(1, samples + 5 * replacement))
        options |= {"batch_size": size, "batch_seed": int(rng.integers(2**40)), "replacement": replacement}
    optimiser, numbers = OPTIMISERS[rule]
    return optimiser(net, task, **options | numbers)


def product():
    """Every activation with every loss, rule and way of taking samples."""
    for number, names in enumerate(itertools.product(ACTIVATIONS, COSTS, RULES, SAMPLED)):
        yield drawn(np.random.default_rng(number), *names)


def trained(page, maps, steps):
    """Final states and losses of one network of each map, in the browser; and the weights that these began with."""
    begun = [optimised.weights(gd, 1)[0] for gd in maps]
    cases = [
        {"network": write_lab_data.network(gd), "x": gd.task.x.ravel().tolist(), "y": gd.targets.ravel().tolist()}
        | {"w": w.tolist(), "steps": steps}
        for gd, w in zip(maps, begun, strict=True)
    ]
    return [[floats(text) for text in one] for one in page.evaluate(TRAIN, cases)], begun


def test_the_cases_have_everything():
    made = list(product())
    assert {gd.rule.name for gd in made} == set(RULES) == set(OPTIMISERS)
    rates = [lr for gd in made for lr in (gd.lr if isinstance(gd.lr, tuple) else (gd.lr,))]
    assert {lr.kind for lr in rates if isinstance(lr, schedules.Schedule)} == set(schedules.__all__) - {"Schedule"}
    for has in (
        lambda gd: gd.network.depth,
        lambda gd: gd.network.bias,
        lambda gd: gd.network.factors is None,
        lambda gd: gd.network.n_outputs,
        lambda gd: isinstance(gd.lr, tuple),
        lambda gd: (gd.weight_decay, gd.decoupled_weight_decay),
        lambda gd: gd.batches is not None and len(gd.task.x) % gd.batches.size == 0,
    ):
        assert len({has(gd) for gd in made}) > 1


def test_training_is_that_of_the_specification(engine):
    maps = list(product())
    got, begun = trained(engine, maps, STEPS)
    for gd, w, (state, loss, silent) in zip(maps, begun, got, strict=True):
        z, last = optimised.specified(gd, w, STEPS)
        assert np.isfinite(z).all() and state.tobytes() == silent.tobytes() == np.array(z).tobytes(), gd
        assert loss[-1] == last, gd


@pytest.mark.slow
def test_training_is_that_of_the_engine(engine):
    """Of the cases that the engine's own tests run, and of a few of the others, each of which it compiles."""
    maps = [*(make() for make in optimised.CASES.values()), *itertools.islice(product(), 7, None, 81)]
    got, begun = trained(engine, maps, 40)
    for gd, w, (state, loss, _) in zip(maps, begun, got, strict=True):
        run = tl.train(gd, w[None], 40, record=("loss",))
        assert np.isfinite(state).all() and state.tobytes() == run.final_state[0].tobytes(), gd
        assert loss.tobytes() == run.loss[0].tobytes(), gd


def test_training_can_have_other_rates(engine):
    """Rates given with a step, one a layer, stand for those of the map."""
    gd = optimised.CASES["heavy ball, one rate a layer"]()
    w, task = optimised.weights(gd, 1)[0], gd.task
    script = f"""([network, x, y, w]) => {{
        {BYTES}
        const map = trajlab.trainingMap({{ x: Float64Array.from(x), y: Float64Array.from(y), ...network }});
        const z = Float64Array.from({{ length: map.stateSize }}, (_, p) => w[p] || 0);
        for (let t = 0; t < 5; t++) map.step(z, 0, t, false, [0.3, 0.2, 0.1]);
        return bytes(z);
    }}"""
    data = (task.x.ravel().tolist(), gd.targets.ravel().tolist(), w.tolist())
    got = floats(engine.evaluate(script, [write_lab_data.network(gd), *data]))
    want = optimised.CASES["heavy ball, one rate a layer"](lr=(0.3, 0.2, 0.1))
    assert got.tolist() == optimised.specified(want, w, 5)[0]


def test_the_two_engines_of_the_pages_agree(engine):
    """On a chaotic run of the network that most labs train."""
    script = f"""([activation, decay]) => {{
        {BYTES}
        const {{ x, y }} = trajlab.iris(0), rule = {{ decay }}, sizes = trajlab.SIZES;
        const fast = trajlab.irisDescent(1.0, 0, {{ activation, decay }});
        const general = trajlab.trainingMap({{ sizes, activation, rule, x, y }});
        const w = trajlab.initialConditions(sizes, 4, 1), z = w.slice(), losses = [[], []];
        for (let t = 0; t < 300; t++) {{
            losses[0].push(fast.step(w, 0, true));
            losses[1].push(general.step(z, 0, t, true));
        }}
        return [w, z, ...losses.map((loss) => Float64Array.from(loss))].map(bytes);
    }}"""
    for activation, decay in (("sigmoid", 0.0), ("tanh", 0.001)):
        w, z, fast, general = engine.evaluate(script, [activation, decay])
        assert w == z and fast == general


def test_schedules_have_the_bits_of_the_library(engine):
    t, told = np.arange(200), falling(0.3)
    script = f"""([told, n]) => {{
        {BYTES}
        return told.map((one) => bytes(Float64Array.from({{ length: n }}, (_, t) => trajlab.schedule(one)(t))));
    }}"""
    got = engine.evaluate(script, [[write_lab_data.rate(lr) for lr in told], len(t)])
    for schedule, text in zip(told, got, strict=True):
        assert floats(text).tobytes() == schedule(t).tobytes(), schedule


def test_minibatches_are_those_of_the_library(engine):
    steps = (0, 1, 2, 7, 8, 100, 5, 2**33)  # in any order
    sizes, seeds = [(1, 1), (10, 3), (12, 4), (120, 16), (120, 119)], (0, 5, 2**40 + 3)
    all_of_them = [
        {"samples": samples, "size": size, "seed": seed, "replacement": replacement}
        for (samples, size), seed, replacement in itertools.product(sizes, seeds, (False, True))
    ]
    script = """([told, steps]) => told.map((options) => {
        const at = trajlab.batches(options);
        return steps.map((t) => Array.from(at(t)));
    })"""
    for options, got in zip(all_of_them, engine.evaluate(script, [all_of_them, steps]), strict=True):
        assert got == [Batches(**options).at(t).tolist() for t in steps], options
