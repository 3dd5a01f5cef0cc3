"""What is asked of Firefox and WebKit, asked of headless Chromium: it finds nothing there, and what is wrong where something is."""

import pytest
from lab_bits import DIFFERS
from laboratory import ALL_PARTS

SPOILT = {
    "boundary-explorer": "() => { trajlab.arithmetic.exponential[5] *= 1 + 1e-6; }",
    "rules-lead": """() => {
      const {trainingMap} = trajlab;
      trajlab.trainingMap = (options) => trainingMap({...options, lr: options.lr * (1 + 1e-12)});
    }""",
    "trajectory-lab": """() => {
      const {descentModule} = trajlab;
      trajlab.descentModule = (options) =>
        descentModule({...options, exponential: options.exponential.map((value, i) => i === 5 ? value * (1 + 1e-6) : value)});
    }""",
}


@pytest.mark.parametrize("lab", DIFFERS)
def test_nothing_differs_until_a_constant_is_wrong_or_vectors_are_missing(open_page, lab):
    def opened():
        return open_page(ALL_PARTS if lab == "trajectory-lab" else f"<{lab} hidden></{lab}>")

    assert DIFFERS[lab](opened().evaluate) == []
    spoilt = opened()
    spoilt.evaluate(SPOILT[lab])
    found = DIFFERS[lab](spoilt.evaluate)
    assert found and all("other bits" in one for one in found)
    if lab != "rules-lead":
        bare = opened()
        bare.evaluate("() => { delete self.WebAssembly; }")
        assert "there are no vectors" in DIFFERS[lab](bare.evaluate)
