"""What a step computes of the samples: sums of the gradient's terms and of the terms of H v, eight networks and eight samples at a time.

Operation order (the specification; tests/specification.py is its plain-Python twin), for one network and one sample, layer by layer:
z_j = b_j + u_0 W_0j + u_1 W_1j + ... with u the inputs, then the values of the layer before; h_j = act(z_j); a_k likewise for the outputs.
With a scale s, z_j = s (0 + u_0 W_0j + ...) + b_j; without biases the sum begins with 0. Cross entropy: m = max_k a_k, e_k = exp(a_k - m),
s = e_0 + e_1 + ..., delta_k = e_k (1/s) - y_k, loss = log(s) - sum_k y_k (a_k - m); squared errors: delta_k = a_k - y_k, loss =
sum_k delta_k delta_k / 2. Going down, g_j = (W_j0 delta_0 + W_j1 delta_1 + ...) act'(z_j) is the delta of the layer before, and the terms
are u_j delta_k for W_jk and delta_k for b_k; with a scale, (s delta_k) stands for delta_k in both. Terms of the samples are added in
sample order to 0. The order of the tangent terms (Pearlmutter's R operator) is that of ``_tangent_samples``, read from top to bottom.
"""

from __future__ import annotations

import itertools
from functools import cache

from ...models.activations import ACTIVATIONS, over
from ..machine_code import part
from . import elementary as el
from .lanes import LANES, accumulate, constant, divide, load, load_wide, samples_of, store, where_less

CROSS_ENTROPY, SQUARED_ERROR = 0, 1
BLOCK = 8
"""Samples that share one load of the weights, at most."""


def blocks(samples: int, batch: int | None) -> tuple[int, int]:
    """Samples to a block, and to the last one (0: all are whole). No result depends on it; of minibatches the last may be any part."""
    width = min(BLOCK, samples if batch is None else batch)
    return width, (samples % width if batch is None else width)


def scratch_slots(widths: tuple[int, ...]) -> int:
    """Vectors of a block of samples that the functions here keep beside each other."""
    return 7 * sum(widths[1:-1]) + 3 * widths[-1]


def constants(widths, bias, scale) -> tuple:
    """``net``, what the functions here know of a network: constants of the machine code, in this order."""
    d, first, last, c = widths[0], widths[1], widths[-2], widths[-1]
    factors = (1.0,) * (len(widths) - 1) if scale is None else scale
    hidden = sum(widths[1:-1])
    before_last = sum((n + bias) * m for n, m in itertools.pairwise(widths[:-1]))
    places = list(itertools.accumulate((hidden, c, hidden, hidden, hidden, c, hidden, hidden)))[1:]
    ends = (float(factors[0]), float(factors[-1]))
    return (d, first, (d + bias) * first, last, c, hidden, before_last, *places, *ends)


# Places in ``net``. ``SECOND_OFFSET``, ``LAST_OFFSET``: where the parameters of those layers begin; ``HIDDEN``: all hidden units. Scratch
# holds, in this order: hidden units; outputs, then their deltas; slopes; g times the bend; R of units; R of outputs; deltas of hidden
# units; their R; z, and then R of z, where the derivatives are told from z.
D, FIRST, SECOND_OFFSET, LAST, C, HIDDEN, LAST_OFFSET = range(7)
SLOPES, BENDS, RISES, FALLS, DELTAS, BACK, INPUTS = range(7, 14)
FIRST_FACTOR, LAST_FACTOR = 14, 15


@cache
def _parts(act, cost, own, bias, scaled, many):
    """``_samples``, ``_tangent_samples`` and ``_forward``, compiled for what a network is, whatever its sizes: number of the activation in
    the table, cost, whether targets are each network's own, whether there are biases, factors, more than one hidden layer."""
    activation = list(ACTIVATIONS.values())[act]
    value, slope, bend = (part(over(formula, el)) for formula in activation[1:4])
    from_input = activation.from_input
    # Divisions that come together hold up what is behind them; a few at a time cost next to nothing. Those of a sigmoid and of a tanh are
    # taken in three parts among the operations of the layer's next unit (of the first unit, before it is written, they mean nothing).
    steep = activation is ACTIVATIONS["tanh"]
    late = steep or activation is ACTIVATIONS["sigmoid"]

    if steep:

        @part
        def _above(net, at):
            return net[INPUTS] + at

    else:

        @part
        def _above(net, at):
            return None

    @part
    def _target(y, k, n, i0, zero):
        """Target of output k: of samples i0, i0 + 1, ..., the same for all networks, or each network's own."""
        if own:
            return load(y, k, zero)
        return samples_of(y, k * n + i0, zero)

    @part
    def _opened(w, b, zero):
        """What the sum of a unit's inputs begins with."""
        if bias and not scaled:
            return load(w, b, zero)
        return zero

    @part
    def _closed(total, w, b, factor, zero):
        """What becomes of the sum."""
        if scaled:
            total = total * factor
            if bias:
                total = total + load(w, b, zero)
        return total

    @part
    def _weighed(x, factor):
        if scaled:
            return x * factor
        return x

    @part
    def _first_input(net, w, x, n, i0, j, zero):
        """The inputs' part in unit j of the first layer; of a tangent vector in the place of w, its R."""
        d, h = net[D], net[FIRST]
        total = _opened(w, d * h + j, zero)
        for i in range(d):
            total = total + load(w, i * h + j, zero) * samples_of(x, i * n + i0, zero)
        return _closed(total, w, d * h + j, net[FIRST_FACTOR], zero)

    @part
    def _later_input(w, scratch, o, u, n_in, n_out, factor, k, zero):
        total = _opened(w, o + n_in * n_out + k, zero)
        for j in range(n_in):
            total = total + load(w, o + j * n_out + k, zero) * load_wide(scratch, u + j, zero)
        return _closed(total, w, o + n_in * n_out + k, factor, zero)

    @part
    def _add_first(net, acc, x, n, i0, count, j, g, zero):
        """The first layer's terms of unit j."""
        d, h = net[D], net[FIRST]
        one = constant(0.0, 1)
        if bias:
            slot = d * h + j
            store(acc, slot, accumulate(load(acc, slot, one), g, count))
        g = _weighed(g, net[FIRST_FACTOR])
        for i in range(d):
            slot = i * h + j
            store(acc, slot, accumulate(load(acc, slot, one), samples_of(x, i * n + i0, zero) * g, count))

    @part
    def _add_bias(acc, scratch, count, slot0, n_out, from0, zero):
        if bias:
            one = constant(0.0, 1)
            for k in range(n_out):
                slot = slot0 + k
                store(acc, slot, accumulate(load(acc, slot, one), load_wide(scratch, from0 + k, zero), count))

    @part
    def _later_rise(net, w, v, scratch, o, u, n_in, n_out, factor, k, zero):
        rises = net[RISES]
        ra = _opened(v, o + n_in * n_out + k, zero)
        for j in range(n_in):
            slot = o + j * n_out + k
            ra = ra + load(v, slot, zero) * load_wide(scratch, u + j, zero)
            ra = ra + load(w, slot, zero) * load_wide(scratch, rises + u + j, zero)
        return _closed(ra, v, o + n_in * n_out + k, factor, zero)

    @part
    def _activate(net, scratch, at, z, before, zero):
        """The value of unit ``at``; with ``late``, all but the division, and part of the divisions of the unit ``before``."""
        if late:
            shifted, r = el.tanh_reduced(z, zero) if steep else el.sigmoid_reduced(z, zero)
            divide(scratch, before, _above(net, before), 1, 3, zero)
            p = el.polynomial(r)
            divide(scratch, before, _above(net, before), 2, 3, zero)
            if steep:
                above, below = el.tanh_quotient(z, shifted, p, zero)
                store(scratch, _above(net, at), above)
                store(scratch, at, below)
            else:
                store(scratch, at, el.sigmoid_divisor(shifted, p))
        else:
            store(scratch, at, value(z, zero))
        if from_input:
            store(scratch, net[INPUTS] + at, z)

    @part
    def _through(net, scratch, at, g, tangent, zero):
        """g times the slope of unit ``at``; with tangent vectors, what all of them need is left in scratch."""
        slopes, bends, inputs = net[SLOPES], net[BENDS], net[INPUTS]
        told = load_wide(scratch, inputs + at if from_input else at, zero)
        rise = slope(told, zero)
        if tangent:
            store(scratch, slopes + at, rise)
            store(scratch, bends + at, g * bend(told, zero))
        return g * rise

    @part
    def _down(net, w, acc, scratch, x, n, i0, count, o, u, n_in, n_out, factor, from0, tangent, zero):
        """From the deltas of a layer, at ``from0`` of scratch, to its terms and to the deltas of the layer before, whose units are at u."""
        one = constant(0.0, 1)
        _add_bias(acc, scratch, count, o + n_in * n_out, n_out, from0, zero)
        for j in range(n_in):
            unit = load_wide(scratch, u + j, zero)
            g = zero
            for k in range(n_out):
                delta = _weighed(load_wide(scratch, from0 + k, zero), factor)
                slot = o + j * n_out + k
                store(acc, slot, accumulate(load(acc, slot, one), unit * delta, count))
                g = g + load(w, slot, zero) * delta
            g = _through(net, scratch, u + j, g, tangent, zero)
            if o == net[SECOND_OFFSET]:
                _add_first(net, acc, x, n, i0, count, j, g, zero)
            else:
                store(scratch, net[DELTAS] + u + j, g)

    @part
    def _forward(net, layers, factors, w, scratch, x, n, i0, zero):
        """Values of the hidden units, and then the outputs, of samples from i0 on, at the beginning of ``scratch``."""
        c, hidden, last = net[C], net[HIDDEN], net[LAST]
        for j in range(net[FIRST]):
            before = max(j - 1, 0)
            if late:
                divide(scratch, before, _above(net, before), 0, 3, zero)
            _activate(net, scratch, j, _first_input(net, w, x, n, i0, j, zero), before, zero)
        if late and net[FIRST] > 0:  # the softmax map has no hidden unit
            divide(scratch, net[FIRST] - 1, _above(net, net[FIRST] - 1), 0, 1, zero)
        if many:
            for layer in range(1, len(layers) - 1):
                o, at, n_in, n_out = layers[layer, 0], layers[layer, 1], layers[layer, 2], layers[layer, 3]
                for k in range(n_out):
                    before = at + max(k - 1, 0)
                    if late:
                        divide(scratch, before, _above(net, before), 0, 3, zero)
                    z = _later_input(w, scratch, o, at - n_in, n_in, n_out, factors[layer], k, zero)
                    _activate(net, scratch, at + k, z, before, zero)
                if late:
                    divide(scratch, at + n_out - 1, _above(net, at + n_out - 1), 0, 1, zero)
        for k in range(c):
            a = _later_input(w, scratch, net[LAST_OFFSET], hidden - last, last, c, net[LAST_FACTOR], k, zero)
            store(scratch, hidden + k, a)

    @part
    def _samples(net, layers, factors, w, acc, scratch, loss, x, y, n, i0, count, with_loss, tangent, zero):
        """Add the gradient terms of ``count`` samples from i0 on, at most the width of ``zero``, to ``acc``; return the loss so far."""
        c, hidden, last = net[C], net[HIDDEN], net[LAST]
        deltas = net[DELTAS]
        _forward(net, layers, factors, w, scratch, x, n, i0, zero)
        if cost == CROSS_ENTROPY:
            top = load_wide(scratch, hidden, zero)
            for k in range(1, c):
                a = load_wide(scratch, hidden + k, zero)
                top = where_less(top, a, a, top)
            total = zero
            label = zero
            for k in range(c):
                a = load_wide(scratch, hidden + k, zero) - top
                if with_loss:
                    label = label + _target(y, k, n, i0, zero) * a
                e = el.exp(a, zero)
                total = total + e
                store(scratch, hidden + k, e)
            inverse = 1.0 / total
            if with_loss:
                loss = accumulate(loss, el.log(total, zero) - label, count)
            for k in range(c):
                delta = load_wide(scratch, hidden + k, zero) * inverse - _target(y, k, n, i0, zero)
                store(scratch, hidden + k, delta)
        else:
            square = zero
            for k in range(c):
                delta = load_wide(scratch, hidden + k, zero) - _target(y, k, n, i0, zero)
                square = square + delta * delta
                store(scratch, hidden + k, delta)
            if with_loss:
                loss = accumulate(loss, square * 0.5, count)
        o, u, f = net[LAST_OFFSET], hidden - last, net[LAST_FACTOR]
        _down(net, w, acc, scratch, x, n, i0, count, o, u, last, c, f, hidden, tangent, zero)
        if many:
            for layer in range(len(layers) - 2, 0, -1):
                o, at, n_in, n_out = layers[layer, 0], layers[layer, 1], layers[layer, 2], layers[layer, 3]
                f = factors[layer]
                _down(net, w, acc, scratch, x, n, i0, count, o, at - n_in, n_in, n_out, f, deltas + at, tangent, zero)
        return loss

    @part
    def _rise(net, scratch, at, rz, zero):
        slopes, rises, inputs = net[SLOPES], net[RISES], net[INPUTS]
        if from_input:
            store(scratch, inputs + at, rz)
        store(scratch, rises + at, rz * load_wide(scratch, slopes + at, zero))

    @part
    def _fall(net, w, v, acc, scratch, x, n, i0, count, o, u, n_in, n_out, factor, from0, rfrom0, zero):
        """``_down``, differentiated along v."""
        one = constant(0.0, 1)
        slopes, bends, rises, back, inputs = net[SLOPES], net[BENDS], net[RISES], net[BACK], net[INPUTS]
        _add_bias(acc, scratch, count, o + n_in * n_out, n_out, rfrom0, zero)
        for j in range(n_in):
            unit = load_wide(scratch, u + j, zero)
            rh = load_wide(scratch, rises + u + j, zero)
            rg = zero
            for k in range(n_out):
                slot = o + j * n_out + k
                delta = _weighed(load_wide(scratch, from0 + k, zero), factor)
                rd = _weighed(load_wide(scratch, rfrom0 + k, zero), factor)
                store(acc, slot, accumulate(load(acc, slot, one), rh * delta + unit * rd, count))
                weight = load(w, slot, zero)
                rg = rg + (load(v, slot, zero) * delta + weight * rd)
            along = load_wide(scratch, inputs + u + j, zero) if from_input else rh
            rg = rg * load_wide(scratch, slopes + u + j, zero) + load_wide(scratch, bends + u + j, zero) * along
            if o == net[SECOND_OFFSET]:
                _add_first(net, acc, x, n, i0, count, j, rg, zero)
            else:
                store(scratch, back + u + j, rg)

    @part
    def _tangent_samples(net, layers, factors, w, v, acc, scratch, x, y, n, i0, count, zero):
        """Add the terms of H v to ``acc``; ``_samples`` has left in scratch what they need."""
        c, hidden, last = net[C], net[HIDDEN], net[LAST]
        falls, deltas, back = net[FALLS], net[DELTAS], net[BACK]
        for j in range(net[FIRST]):
            _rise(net, scratch, j, _first_input(net, v, x, n, i0, j, zero), zero)
        if many:
            for layer in range(1, len(layers) - 1):
                o, at, n_in, n_out = layers[layer, 0], layers[layer, 1], layers[layer, 2], layers[layer, 3]
                for k in range(n_out):
                    rz = _later_rise(net, w, v, scratch, o, at - n_in, n_in, n_out, factors[layer], k, zero)
                    _rise(net, scratch, at + k, rz, zero)
        mean = zero
        for k in range(c):
            ra = _later_rise(net, w, v, scratch, net[LAST_OFFSET], hidden - last, last, c, net[LAST_FACTOR], k, zero)
            if cost == CROSS_ENTROPY:
                q = load_wide(scratch, hidden + k, zero) + _target(y, k, n, i0, zero)
                mean = mean + q * ra
            store(scratch, falls + k, ra)
        if cost == CROSS_ENTROPY:
            for k in range(c):
                q = load_wide(scratch, hidden + k, zero) + _target(y, k, n, i0, zero)
                store(scratch, falls + k, q * (load_wide(scratch, falls + k, zero) - mean))
        o, u, f = net[LAST_OFFSET], hidden - last, net[LAST_FACTOR]
        _fall(net, w, v, acc, scratch, x, n, i0, count, o, u, last, c, f, hidden, falls, zero)
        if many:
            for layer in range(len(layers) - 2, 0, -1):
                o, at, n_in, n_out = layers[layer, 0], layers[layer, 1], layers[layer, 2], layers[layer, 3]
                f = factors[layer]
                _fall(
                    net, w, v, acc, scratch, x, n, i0, count, o, at - n_in, n_in, n_out, f, deltas + at, back + at, zero
                )

    return _samples, _tangent_samples, _forward


@cache
def build_sums(flags, tangent, width, tail, batched):
    """``sums`` for networks of a kind (see ``_parts``), with tangent vectors or without, in blocks of ``width`` samples and a last one of
    ``tail``, of which with minibatches a part counts."""
    samples, tangents, _ = _parts(*flags)

    @part
    def some(net, size, layers, factors, group, m, depth, acc, scratch, loss, x, y, n, i0, count, with_loss, zero):
        w = group[m]
        loss = samples(net, layers, factors, w, acc, scratch, loss, x, y, n, i0, count, with_loss, depth > 1, zero)
        if tangent:
            for k in range(1, depth):
                sums = acc[k * size * LANES :]
                tangents(net, layers, factors, w, group[m + k], sums, scratch, x, y, n, i0, count, zero)
        return loss

    @part
    def sums(net, size, layers, factors, group, m, depth, acc, scratch, x, y, n, with_loss):
        """Sums over n samples into ``acc``, from 0 on: gradient terms of member ``m``, then H v terms of members m + 1 ... m + depth - 1.

        ``layers`` (layers, 4) and ``factors`` (layers,) hold, for each layer, where its parameters begin, where its units stand in scratch,
        its inputs and outputs, and what its products are multiplied by. ``x`` and ``y`` are followed by room for a block of samples: the
        last block is computed whole, and what lies beyond the last sample is left out. Returns the sum of the losses of member ``m``.
        """
        one = constant(0.0, 1)
        for p in range(depth * size):
            store(acc, p, one)
        loss = one
        zero = constant(0.0, width)
        left, whole = n % width, width + 0 * n  # a constant, but of the type of ``left``: else all would be typed twice
        for i0 in range(0, n - left, width):
            loss = some(
                net, size, layers, factors, group, m, depth, acc, scratch, loss, x, y, n, i0, whole, with_loss, zero
            )
        if tail > 0:
            if left > 0:
                last = constant(0.0, tail)
                count = left if batched else tail + 0 * n
                first = n - left
                loss = some(
                    net,
                    size,
                    layers,
                    factors,
                    group,
                    m,
                    depth,
                    acc,
                    scratch,
                    loss,
                    x,
                    y,
                    n,
                    first,
                    count,
                    with_loss,
                    last,
                )
        return loss

    return sums


@cache
def build_hits(flags, width, tail):
    """``hits`` for networks of a kind (see ``_parts``), in blocks of ``width`` samples and a last one of ``tail``."""
    _, _, forward = _parts(*flags)

    @part
    def some(net, layers, factors, w, scratch, total, x, y, n, i0, count, zero):
        forward(net, layers, factors, w, scratch, x, n, i0, zero)
        hidden = net[HIDDEN]
        top = load_wide(scratch, hidden, zero)
        unknown, best = top - top, zero
        for k in range(1, net[C]):
            a = load_wide(scratch, hidden + k, zero)
            unknown = unknown + (a - a)
            best = where_less(top, a, zero + float(k), best)
            top = where_less(top, a, a, top)
        label = samples_of(y, i0, zero)
        hit = where_less(best, label, zero, where_less(label, best, zero, zero + 1.0))
        return accumulate(total, hit + unknown, count)

    @part
    def hits(net, layers, factors, w, scratch, x, y, n):
        """Of how many of n samples the largest output, the first of equals, is that of the label ``y``; nan where one is not finite."""
        total, zero = constant(0.0, 1), constant(0.0, width)
        left, whole = n % width, width + 0 * n
        for i0 in range(0, n - left, width):
            total = some(net, layers, factors, w, scratch, total, x, y, n, i0, whole, zero)
        if tail > 0 and left > 0:
            last = constant(0.0, tail)
            total = some(net, layers, factors, w, scratch, total, x, y, n, n - left, tail + 0 * n, last)
        return total

    return hits
