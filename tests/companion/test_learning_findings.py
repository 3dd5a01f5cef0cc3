"""The cells of the chapter on chaos and learning: declared, cut into parts without a trace, rates chosen by the rule; stopped, gone on."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "findings"))

import learning
import learning_cells as cells
import learning_parts

TINY = cells.Cell(
    "iris", (10,), "sigmoid", steps=60, low=-30, high=0, networks=8, pilots=4, reach=2, fitted=4, sharp=2, cost=1e-6
)


def test_the_cells_cover_what_is_asked_for():
    all_cells = list(cells.CELLS.values())
    assert len(all_cells) >= 30 and len({c.name for c in all_cells}) == len(all_cells)
    assert {c.task for c in all_cells} >= {"iris", "digits", "wine", "cancer", "mnist"}
    assert {len(c.hidden) for c in all_cells} == {0, 1, 2, 3, 4} and {h for c in all_cells for h in c.hidden} == {
        10,
        64,
        256,
    }
    assert {c.activation for c in all_cells} >= {"sigmoid", "tanh", "relu"} and len({c.decay for c in all_cells}) == 3
    assert all(c.networks >= (20 if c.task == "mnist" else 200) for c in all_cells)
    assert sum(c.expected for c in all_cells) < 2 * 95 * 60
    assert all(c.low % cells.COARSE == 0 for c in all_cells)
    assert all(c.at_once * c.cost * c.steps < 60 for c in all_cells)


def test_a_part_does_not_depend_on_how_a_cell_is_cut(monkeypatch):
    monkeypatch.setitem(cells.CELLS, TINY.name, TINY)
    whole = learning_parts.part(TINY.name, -5, 0, 4)
    halves = [learning_parts.part(TINY.name, -5, i, 2) for i in (0, 2)]
    for name, values in whole.items():
        joined = np.concatenate([half[name] for half in halves])
        np.testing.assert_array_equal(joined, values, err_msg=name)
    assert whole["accuracy"].shape == (4, 61) and whole["sharpness"].shape == (2, 3) and whole["fitted"].shape == (4,)


def row(accuracy, chaotic, networks=10, steps=100):
    """A rate at which accuracy 1 is reached after some steps."""
    series = np.where(np.arange(steps + 1) >= accuracy, 1.0, 0.1)
    return {"accuracy": np.tile(series, (networks, 1)), "exponent": np.full(networks, 0.1 if chaotic else 0.001)}


def made_up(numbers, onset, fastest):
    return {k: row(10 + abs(k - fastest), k >= onset) for k in numbers}


def test_fine_rates_lie_about_the_onset_and_the_fastest():
    cell = TINY._replace(low=-40, high=30, reach=3)
    coarse = made_up(range(-40, 31, 5), onset=-7, fastest=6)
    first = learning_parts.wanted(cell, coarse, {}, 0)
    assert first == [*range(-8, -1), *range(2, 9)]  # coarse rates -5 and 5
    fine = made_up(first, -7, 6)
    assert learning_parts.wanted(cell, coarse, fine, 1) == []
    far = made_up(first, -20, 6)  # the onset lies at the end: on from there
    assert learning_parts.wanted(cell, coarse, far, 1) == [-11, -10, -9]
    assert learning_parts.wanted(cell, coarse, far, 3) == []
    nowhere = {k: row(10 + abs(k), False) for k in range(-40, 31, 5)}
    assert learning_parts.wanted(cell, nowhere, {}, 0) == list(range(-3, 4))


@pytest.mark.parametrize("after", [3, 9])
def test_a_cell_that_is_stopped_goes_on_and_ends_as_one_that_is_not(tmp_path, monkeypatch, after):
    """In the coarse pass (of 7 rates), and in the fine one."""
    monkeypatch.setitem(cells.CELLS, TINY.name, TINY)
    real, calls, lines = learning_parts.part, [], []

    def watched(cell, k, first, networks):
        if len(calls) == after:
            calls.append(None)
            raise RuntimeError("stopped")
        calls.append((k, first, networks))
        return real(cell, k, first, networks)

    with ThreadPoolExecutor(1) as executor:
        want = learning.table(TINY, *learning.run(TINY, executor, lambda *said: lines.append(said), tmp_path / "whole"))
        monkeypatch.setattr(learning.learning_parts, "part", watched)
        with pytest.raises(RuntimeError, match="kept in"):
            learning.run(TINY, executor, lambda *said: None, tmp_path / "stopped")
        got = learning.table(TINY, *learning.run(TINY, executor, lambda *said: None, tmp_path / "stopped"))
    done = [call for call in calls if call is not None]
    assert len(done) == len(set(done)) > after and len(lines) >= 2  # nothing was run twice
    assert want.keys() == got.keys()
    for name, values in want.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)
    assert want["time_90"].shape == (len(want["rates"]), 8)
    assert (want["time_90"][want["networks"] == 4][:, 4:] == -2).all()
    assert sum(np.asarray(v).nbytes for v in want.values()) < 20_000


def test_convolution_is_a_convolution():
    torch = pytest.importorskip("torch")
    net = cells.convolution()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=rng))
        x = torch.rand(5, 64, generator=rng)
        kernel = net.filters.T.reshape(4, 1, 3, 3)
        h = torch.tanh(torch.nn.functional.conv2d(x.reshape(-1, 1, 8, 8), kernel, net.bias))
        h = torch.nn.functional.avg_pool2d(h, 2).permute(0, 2, 3, 1).reshape(-1, 36)
        torch.testing.assert_close(net(x), h @ net.weight + net.out_bias)
