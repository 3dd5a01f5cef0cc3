"""Two networks at a time in the laboratory (WebAssembly vectors) have the bits of one after the other, and are not needed."""

import pytest
from lab_bits import COUNT, LANES, LANES_CASES
from laboratory import ALL_PARTS


@pytest.fixture
def lanes(open_page):
    page = open_page(ALL_PARTS)
    page.evaluate(COUNT)
    return page


@pytest.mark.parametrize(("hidden", "activation", "lr", "decay", "networks", "steps"), LANES_CASES)
def test_the_bits_are_those_of_one_at_a_time(lanes, hidden, activation, lr, decay, networks, steps):
    for without in (False, True):
        if without:
            lanes.evaluate("() => { delete self.WebAssembly; }")
        made = lanes.evaluate(LANES, [hidden, activation, lr, decay, networks, steps])
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
    made = lanes.evaluate(LANES, [10, "sigmoid", 1.0, 0.0, 2, 40])
    assert made["pairs"][0][0] != made["pairs"][0][1]
