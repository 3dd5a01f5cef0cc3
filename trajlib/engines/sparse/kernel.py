"""The sums of a step of one wide network on inputs that are mostly 0, such as images: eight units a vector, and only what is not 0.

The operations of each number and their order are those of ``fused.samples``: a term with an input of 0 adds 0 there, and is left out here.
So the bits are the same, as long as the weights are finite. A block of samples goes forward and back while its units stay in the nearest
cache; then every input that is not 0 in the block takes its row of the gradient once.
"""

from __future__ import annotations

from functools import cache

from ...models.activations import ACTIVATIONS, over
from ..fused import elementary as el
from ..fused.lanes import LANES, constant, lane_of, load_wide, store
from ..fused.samples import CROSS_ENTROPY
from ..machine_code import part

TILE = 8
"""Vectors of hidden units that are summed together, at most: as many as stay in registers."""


@cache
def build(activation: int, cost: int, tile: int, tiles: int, wide: int, outputs: int, block: int):
    """The kernel for ``tiles`` tiles of ``tile`` vectors of hidden units and ``outputs`` outputs in ``wide`` vectors, ``block`` samples
    at a time."""
    formulas = list(ACTIVATIONS.values())[activation]
    value, slope = part(over(formulas.value, el)), part(over(formulas.slope, el))
    units, columns = tile * tiles * LANES, wide * LANES

    def sums(
        first,
        last,
        down,
        acc,
        acc_last,
        n,
        starts,
        samples,
        xs,
        y,
        labels,
        hidden,
        back,
        out,
        found,
        with_gradient,
        with_loss,
    ):
        """Add the gradient terms of all samples to the sums, in sample order; leave in ``found`` the sum of the losses, and how many
        samples are labelled right (nan where an output is).

        first: [W1; b1] ((inputs + 1) * units); last: [W2; b2] ((units + 1) * columns); down: W2 by output (outputs * units), all padded
        with 0. acc, acc_last: sums of their gradients' terms, as they lie. starts (blocks, inputs + 1): where the samples of a block with
        an input that is not 0 begin in ``samples`` (their places in the block) and ``xs`` (the values). y: targets (n * columns), labels
        (n,). hidden, back (block * units), out (block * columns): room.
        """
        zero, narrow, one = constant(0.0, tile), constant(0.0, wide), constant(0.0, 1)
        d = starts.shape[1] - 1
        loss, hits = 0.0, 0.0
        for number in range(starts.shape[0]):
            begin = number * block
            count = min(block, n - begin)
            for t in range(tiles):
                bias = load_wide(first, d * tiles + t, zero)
                for s in range(count):
                    store(hidden, s * tiles + t, bias)
            for p in range(d):
                if starts[number, p] == starts[number, p + 1]:
                    continue
                for t in range(tiles):
                    weights = load_wide(first, p * tiles + t, zero)
                    for q in range(starts[number, p], starts[number, p + 1]):
                        s = samples[q] * tiles + t
                        store(hidden, s, load_wide(hidden, s, zero) + weights * xs[q])
            for v in range(count * tiles):
                store(hidden, v, value(load_wide(hidden, v, zero), zero))
            for s in range(
                0, block, 4
            ):  # four sums at a time: each waits for itself; beyond the last sample they mean nothing
                a0 = load_wide(last, units, narrow)
                a1, a2, a3 = a0, a0, a0
                for j in range(units):
                    row, place = load_wide(last, j, narrow), s * units + j
                    a0 = a0 + row * hidden[place]
                    a1 = a1 + row * hidden[place + units]
                    a2 = a2 + row * hidden[place + 2 * units]
                    a3 = a3 + row * hidden[place + 3 * units]
                store(out, s, a0)
                store(out, s + 1, a1)
                store(out, s + 2, a2)
                store(out, s + 3, a3)
            for s in range(count):
                i, a = begin + s, load_wide(out, s, narrow)
                target = load_wide(y, i, narrow)
                if with_loss:
                    best, rest = 0, 0.0
                    for k in range(outputs):
                        best = k if lane_of(a, best) < lane_of(a, k) else best
                        rest = rest + (lane_of(a, k) - lane_of(a, k))
                    hits = hits + ((1.0 if best == labels[i] else 0.0) + rest)
                if cost == CROSS_ENTROPY:
                    top = lane_of(a, 0)
                    for k in range(1, outputs):
                        top = lane_of(a, k) if top < lane_of(a, k) else top
                    a = a - top
                    e = el.exp(a, narrow)
                    total, label = 0.0, 0.0
                    for k in range(outputs):
                        total = total + lane_of(e, k)
                    if with_loss:
                        for k in range(outputs):
                            label = label + lane_of(target, k) * lane_of(a, k)
                        loss = loss + (lane_of(el.log(one + total, one), 0) - label)
                    delta = e * (1.0 / total) - target
                else:
                    delta = a - target
                    if with_loss:
                        square = 0.0
                        for k in range(outputs):
                            square = square + lane_of(delta, k) * lane_of(delta, k)
                        loss = loss + square * 0.5
                if not with_gradient:
                    continue
                store(out, s, delta)
                for k in range(outputs, columns):
                    out[s * columns + k] = 0.0
                delta = load_wide(out, s, narrow)
                store(acc_last, units, load_wide(acc_last, units, narrow) + delta)
                for j in range(units):
                    store(acc_last, j, load_wide(acc_last, j, narrow) + delta * hidden[s * units + j])
                for t in range(tiles):
                    g = zero
                    for k in range(outputs):
                        g = g + load_wide(down, k * tiles + t, zero) * out[s * columns + k]
                    g = g * slope(load_wide(hidden, s * tiles + t, zero), zero)
                    store(back, s * tiles + t, g)
                    store(acc, d * tiles + t, load_wide(acc, d * tiles + t, zero) + g)
            if not with_gradient:
                continue
            for p in range(d):
                if starts[number, p] == starts[number, p + 1]:
                    continue
                for t in range(tiles):
                    g = load_wide(acc, p * tiles + t, zero)
                    for q in range(starts[number, p], starts[number, p + 1]):
                        g = g + load_wide(back, samples[q] * tiles + t, zero) * xs[q]
                    store(acc, p * tiles + t, g)
        found[0], found[1] = loss, hits

    return sums
