"""The order of minibatches: each sample once an epoch, a pure function of seed and step."""

import numpy as np
import pytest

from trajlib.optimisers import Batches


@pytest.mark.parametrize("samples, size", [(20, 7), (20, 5), (9, 1), (8, 8)])
def test_an_epoch_takes_each_sample_once(samples, size):
    batches = Batches(samples, size, seed=3)
    for epoch in range(4):
        steps = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
        taken = [batches.at(t) for t in steps]
        assert sorted(np.concatenate(taken)) == list(range(samples))
        assert [len(one) for one in taken[:-1]] == [size] * (batches.per_epoch - 1)
        assert all((np.diff(one) > 0).all() for one in taken)


def test_with_replacement_each_sample_is_as_likely():
    batches = Batches(10, 40, seed=0, replacement=True)
    drawn = np.stack([batches.at(t) for t in range(500)])
    assert drawn.shape == (500, 40) and (np.diff(drawn) >= 0).all()
    share = np.bincount(drawn.ravel(), minlength=10) / drawn.size
    assert np.abs(share - 0.1).max() < 5 * np.sqrt(0.09 / drawn.size)


@pytest.mark.parametrize("replacement", [False, True])
def test_seed_and_step_say_all(replacement):
    batches, other = (Batches(50, 8, seed, replacement) for seed in (1, 2))
    backwards = [batches.at(t).tolist() for t in range(99, -1, -1)][::-1]
    assert [Batches(50, 8, 1, replacement).at(t).tolist() for t in range(100)] == backwards
    assert [other.at(t).tolist() for t in range(100)] != backwards
    assert len({tuple(one) for one in backwards}) > 95


@pytest.mark.parametrize("replacement", [False, True])
def test_table_is_step_by_step(replacement):
    batches = Batches(20, 7, 5, replacement)
    table, counts = batches.table(2, 11)
    for row, count, t in zip(table, counts, range(2, 11), strict=True):
        np.testing.assert_array_equal(row[:count], batches.at(t))
        assert (row[count:] == -1).all()


def test_the_order_is_the_documented_one():
    draw = np.random.Generator(np.random.PCG64(np.random.SeedSequence([4, 1]))).random(20)
    np.testing.assert_array_equal(Batches(20, 7, 4).at(4), np.sort(np.argsort(draw, kind="stable")[7:14]))
    draw = np.random.Generator(np.random.PCG64(np.random.SeedSequence([4, 9]))).random(7)
    np.testing.assert_array_equal(Batches(20, 7, 4, True).at(9), np.sort(np.floor(20 * draw).astype(int)))
