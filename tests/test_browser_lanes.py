"""Two networks at a time in the laboratory (WebAssembly vectors) have the bits of one after the other, and are not needed."""

import pytest
from laboratory import ALL_PARTS

BOTH = """([hidden, activation, lr, decay, networks, steps]) => {
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


@pytest.fixture
def lanes(open_page):
    page = open_page(ALL_PARTS)
    page.evaluate("""() => {
      const {descentModule} = trajlab;
      trajlab.made = 0;
      trajlab.descentModule = (options) => { const pair = descentModule(options); trajlab.made++; return pair; };
    }""")
    return page


@pytest.mark.parametrize(
    ("hidden", "activation", "lr", "decay", "networks", "steps"),
    [
        (10, "sigmoid", 1.0, 0.0, 4, 40),
        (10, "sigmoid", 5.0, 1e-4, 3, 40),
        (3, "tanh", 1.0, 0.0, 1, 40),
        (7, "tanh", 0.3, 0.01, 2, 40),
        (0, "sigmoid", 10.0, 0.0, 3, 1205),  # the map of the plane; more losses than are kept at once
        (2, "sigmoid", 1e150, 1.0, 2, 8),  # infinities and nan
    ],
)
def test_the_bits_are_those_of_one_at_a_time(lanes, hidden, activation, lr, decay, networks, steps):
    for without in (False, True):
        if without:
            lanes.evaluate("() => { delete self.WebAssembly; }")
        made = lanes.evaluate(BOTH, [hidden, activation, lr, decay, networks, steps])
        assert all(a == b for a, b in made["pairs"])
        assert made["finite"] is (lr < 1e100)
        assert lanes.evaluate("trajlab.made") == 1, "the first time through vectors, the second time without"


def test_a_wrong_constant_is_seen(lanes):
    """The comparison can fail: with another last digit of a coefficient the bits differ."""
    lanes.evaluate("""() => {
      const {descentModule} = trajlab;
      trajlab.descentModule = (options) => {
        const exponential = options.exponential.map((value, i) => i === 5 ? value * (1 + 1e-6) : value);
        return descentModule({...options, exponential});
      };
    }""")
    made = lanes.evaluate(BOTH, [10, "sigmoid", 1.0, 0.0, 2, 40])
    assert made["pairs"][0][0] != made["pairs"][0][1]
