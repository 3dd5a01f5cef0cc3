"""The kinds of modules on the page about networks of one's own: what its table says of them."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
kinds = pytest.importorskip("trajlib.companion.kinds")
ALONE = {"convolution, max-pool", "dropout", "noise of torch.randn", "LSTM", "GRU", "control flow on numbers"}


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.name)
def test_what_the_page_says_of_a_kind(kind):
    row = kinds.tried(kind)
    assert row.trains and row.parameters > 0 and row.together == (kind.name not in ALONE)
    if kind.name == "EmbeddingBag":
        assert row.ways == () and not row.tangent and np.isnan(row.off)
    else:
        assert row.tangent and row.off < 1e-6 and "backward" in row.ways
    assert ("forward" in row.ways) == (kind.name not in ("dropout", "noise of torch.randn", "EmbeddingBag"))
