"""What the laboratories compute beside the golden runs, and the bits of the library there: for the tests, and for other_browsers.py.

Scripts are functions of one argument, in a page that has the element. ``call(script, argument)`` gives what one returns, as Playwright's
``page.evaluate`` does.
"""

import base64
import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import trajlib as tl

Call = Callable[[str, Any], Any]
BYTES = "const bytes = (a) => btoa(Array.from(new Uint8Array(a.buffer), (b) => String.fromCharCode(b)).join(''));"

# A tile of the boundary of trainability, 1e-10 decades wide, and the digest of its values as trajlib.trainability has them.
DEEP = "de682eb6cc5286fc1d1914023d9e48825ca3e9e39e6213984b6ab7b6ac0161b0"
DEEP_VIEW = {"condition": "tanh", "seed": 0, "steps": 500, "pixels": 16, "x": 1, "y": 1.654127021979156, "width": 1e-10}
TILE = f"""(view) => {{ {BYTES}
    const n = view.pixels, value = new Float64Array(n * n), outcome = new Float64Array(n * n), sides = [];
    for (const {{ found }} of trajlab.boundary.picture(view))
        for (const {{ name: [p, side], ...one }} of found) {{ value[p] = one.value; outcome[p] = one.outcome; sides.push(side); }}
    return [bytes(value), bytes(outcome), sides]; }}"""

# The rules of the figure that leads the chapter on any network: their states after some steps, what is said of them, and their divisors.
STEPS = (1, 2, 30, 401, 1500)
RULES = {
    "gradient descent": lambda net, task: tl.GradientDescent(net, task, lr=0.25),
    "heavy ball": lambda net, task: tl.GradientDescent(net, task, lr=0.25, momentum=0.5),
    "Nesterov": lambda net, task: tl.GradientDescent(net, task, lr=0.25, momentum=0.5, nesterov=True),
    "RMSProp": lambda net, task: tl.RMSProp(net, task, lr=0.003),
    "Adam": lambda net, task: tl.Adam(net, task, lr=0.01),
}
ASKED = "() => { const lead = document.querySelector('rules-lead'); return lead.asked(lead.values); }"
STATES = f"""([asked, steps, condition, width, split]) => {{ {BYTES}
    return asked.map(({{ rule, lr }}) => {{
        const run = trajlab.limitRun({{ rule, lr, condition, width, split }}), found = [];
        for (let t = 1; t <= Math.max(...steps); t++) {{
            run.step();
            if (steps.includes(t)) found.push([bytes(run.z), run.sharpness(), bytes(run.divisor() || new Float64Array())]);
        }}
        return found; }}); }}"""

# Counts the modules of vectors that were made, so that one knows whether there were any.
COUNT = """() => {
  const {descentModule} = trajlab;
  trajlab.made = 0;
  trajlab.descentModule = (options) => { const pair = descentModule(options); trajlab.made++; return pair; };
}"""

# Two networks at a time, through vectors where there are any, and one after the other: final weights, losses, and once more from there.
LANES = """([hidden, activation, lr, decay, networks, steps]) => {
  const {x, y} = trajlab.iris(1), divisor = y.length / 3;
  const options = hidden ? {hidden, activation, x, y, divisor, lr, decay} : null;
  const gd = hidden ? trajlab.gradientDescent(options) : trajlab.softmaxMap(lr, [0.2, 0.3, 0.5]);
  const one = Float64Array.from({length: gd.size * (networks + 1)}, (_, p) => Math.sin(17 * p) * 2), two = one.slice();
  const losses = [new Float64Array(networks * steps), new Float64Array(networks * steps)];
  for (let m = 0; m < networks; m++)
    for (let t = 0; t < steps; t++) losses[0][m * steps + t] = gd.step(one, (m + 1) * gd.size, true);
  gd.advance(two, 1, networks, steps, lr, losses[1]);
  const three = two.slice(), four = two.slice();
  for (let m = 1; m <= networks; m++) for (let t = 0; t < 3; t++) gd.step(three, m * gd.size, false, lr / 3);
  gd.advance(four, 1, networks, 3, lr / 3);
  gd.advance(four, 1, networks, 0);
  const bits = new BigUint64Array(1), number = new Float64Array(bits.buffer);
  const text = (a) => Array.from(a, (value) => Number.isNaN(value) ? "nan" : ((number[0] = value), bits[0])).join();
  return {pairs: [[one, two], losses, [three, four]].map(([a, b]) => [text(a), text(b)]), finite: one.every(Number.isFinite)};
}"""
LANES_CASES = [
    (10, "sigmoid", 1.0, 0.0, 4, 40),
    (10, "sigmoid", 5.0, 1e-4, 3, 40),
    (3, "tanh", 1.0, 0.0, 1, 40),
    (7, "tanh", 0.3, 0.01, 2, 40),
    (0, "sigmoid", 10.0, 0.0, 3, 1205),  # the map of the plane; more losses than are kept at once
    (2, "sigmoid", 1e150, 1.0, 2, 8),  # infinities and nan
]


def floats(text: str) -> np.ndarray:
    """The numbers that `bytes` of a script has sent."""
    return np.frombuffer(base64.b64decode(text), dtype="<f8")


def after(gd, w0: np.ndarray, steps: int) -> np.ndarray:
    """States (m, d) of the library after some steps from weights (m, n)."""
    return tl.train(gd, w0, steps, record=(), progress=False).final_state


def digest(value: str) -> str:
    """Of the values of TILE, in the order of the library."""
    square = floats(value)
    return hashlib.sha256(square.reshape(math.isqrt(len(square)), -1)[::-1].T.astype("<f8").tobytes()).hexdigest()


def tile_differs(call: Call) -> list[str]:
    """The deep tile, through vectors and without."""
    wrong = []
    for how in ("with vectors", "without"):
        if how == "without":
            call("() => { delete self.WebAssembly; }", None)
        if call("(view) => trajlab.boundary.network(view).vectors", DEEP_VIEW) is not (how == "with vectors"):
            wrong.append("there are no vectors")
        elif digest(call(TILE, DEEP_VIEW)[0]) != DEEP:
            wrong.append(f"the deep tile {how} has other bits")
    return wrong


def states_differ(call: Call) -> list[str]:
    """States and divisors of the five rules, from the values that the controls begin with."""
    net, task, wrong = tl.Perceptron(4, 10, 3), tl.iris(), []
    asked = call(ASKED, None)
    for name, one, found in zip(RULES, asked, call(STATES, [asked, STEPS, 3, 10, 0]), strict=True):
        gd = RULES[name](net, task)
        for steps, (state, _, _) in zip(STEPS, found, strict=True):
            want = after(gd, net.init(4, seed=0)[[3]], steps)
            if one["rule"]["name"] != gd.rule.name or floats(state).tobytes() != want.tobytes():
                wrong.append(f"{name} has other bits after {steps} steps")
    return wrong


def lanes_differ(call: Call) -> list[str]:
    """Two networks at a time against one; with the golden runs, which are of one at a time or two, these are the library's."""
    call(COUNT, None)
    wrong = []
    for case in LANES_CASES:
        made = call(LANES, case)
        if not all(one == two for one, two in made["pairs"]):
            wrong.append(f"two networks at a time have other bits than one: {case}")
    if call("() => trajlab.made", None) != len(LANES_CASES):
        wrong.append("there are no vectors")
    return wrong


DIFFERS = {"boundary-explorer": tile_differs, "rules-lead": states_differ, "trajectory-lab": lanes_differ}
"""What an element computes otherwise than the library, in words, by the name of the element."""
