"""The fused kernel: training of many perceptrons, the whole step in one loop, eight networks a vector.

A group is a reference and what travels with it: perturbed copies, or tangent vectors. ``samples`` says what a step computes of the data,
``trajlib.optimisers.rules`` what becomes of weights and memory: gradient = sum / divisor + decay * w, with divisor n (cross entropy),
1 (half squared error) or n outputs / 2 (mean squared error); gradient descent is w <- w - lr * gradient. The loss is sum / divisor, and
with coupled decay + (decay / 2) (w_0 w_0 + w_1 w_1 + ...). With minibatches the sums run over the samples of the step, in sample order, and
the loss over all. tests/specification.py is the plain-Python twin.
"""

from __future__ import annotations

import itertools
from functools import cache

from ...models.activations import over
from ...optimisers.rules import RULES
from ..machine_code import part
from . import elementary as el
from .lanes import LANES, any_nonzero, constant, lane_of, load, store, where_less
from .orthonormal import grow, orthonormalise
from .samples import build_sums, constants

TOGETHER = 128
"""Parameters of the groups that take a step in turn: a short step waits for its own results, and the next group's fills the time."""


@cache
def _movers(rule: int, layered: bool):
    """How a network, and a tangent vector of one, take the step of a rule: ``move`` and ``carry``, compiled for it.

    ``layered``: whether each layer has a learning rate of its own, up to where its parameters end, ``ends``.
    """
    formulas = list(RULES.values())[rule]
    update = part(over(formulas.update, el))
    tangent = part(over(formulas.tangent, el))
    slots, linear = formulas.slots, formulas.linear

    @part
    def mean(acc, p, divisor):
        one = constant(0.0, 1)
        value = load(acc, p, one)
        if divisor != 1.0:  # x / 1 is x, and a division takes as long as all else here
            value = value / (one + divisor)
        return value

    @part
    def memory(z, size, p, one):
        return load(z, size + p, one) if slots > 0 else one, load(z, 2 * size + p, one) if slots > 1 else one

    @part
    def put(z, size, p, value, a, b):
        store(z, p, value)
        check = value - value
        if slots > 0:
            store(z, size + p, a)
            check = check + (a - a)
        if slots > 1:
            store(z, 2 * size + p, b)
            check = check + (b - b)
        return check

    @part
    def move(w, acc, size, ends, divisor, decay, shrink, rate, factor, n):
        """Weights and memory after the step, in place; returns 0 where all of them are finite, nan elsewhere."""
        one = constant(0.0, 1)
        check, first = one, 0
        for layer in range(len(ends) if layered else 1):
            lr = load(rate, layer, one) * factor[layer]
            end = ends[layer] if layered else size
            for p in range(first, end):
                value = load(w, p, one)
                g = mean(acc, p, divisor) + value * decay
                if shrink != 0.0:
                    value = value * (1.0 - lr * shrink)
                a, b = memory(w, size, p, one)
                value, a, b = update(value, g, a, b, lr, n, one)
                check = check + put(w, size, p, value, a, b)
            first = end
        return check

    @part
    def carry(w, acc, v, moved, size, ends, divisor, decay, shrink, rate, factor, n):
        """A tangent vector after the step, in place, from the network before it; ``moved`` are its sums."""
        one = constant(0.0, 1)
        check, first = one, 0
        for layer in range(len(ends) if layered else 1):
            lr = load(rate, layer, one) * factor[layer]
            end = ends[layer] if layered else size
            for p in range(first, end):
                value = load(v, p, one)
                dg = mean(moved, p, divisor) + value * decay
                if shrink != 0.0:
                    value = value * (1.0 - lr * shrink)
                g, a, b = one, one, one
                if not linear:
                    g = mean(acc, p, divisor) + load(w, p, one) * decay
                    a, b = memory(w, size, p, one)
                da, db = memory(v, size, p, one)
                value, da, db = tangent(g, a, b, value, dg, da, db, lr, n, one)
                check = check + put(v, size, p, value, da, db)
            first = end
        return check

    return move, carry


@part
def _l1(w, v, size, minus):
    """Sum over the parameters of |w - minus * v|, in parameter order; minus is 0 or 1."""
    one = constant(0.0, 1)
    total = one
    for p in range(size):
        difference = load(w, p, one)
        if minus:
            difference = difference - load(v, p, one)
        total = total + where_less(difference, one, one - difference, difference)
    return total


@part
def _gather(x, y, xb, yb, n, d, c, order, count):
    """The samples of a step side by side, as the whole data lie."""
    for i in range(d):
        for s in range(count):
            xb[i * count + s] = x[i * n + order[s]]
    for k in range(c):
        for s in range(count):
            yb[k * count + s] = y[k * n + order[s]]


@part
def _record(group, first, lanes, r, shot, tangent, size, full, norm, weights, distance):
    """Write down a group as record ``r``, and its weights as record ``shot``, where these are not negative."""
    if r >= 0 and norm.size > 0:
        total = _l1(group[0], group[0], size, False)
        for lane in range(lanes):
            norm[first + lane, r] = lane_of(total, lane)
    for m in range(weights.shape[1] if shot >= 0 else 0):
        for lane in range(lanes):
            for p in range(full):
                weights[first + lane, m, shot, p] = group[m, p * LANES + lane]
    for m in range(1, group.shape[0] if r >= 0 and distance.size > 0 else 1):
        total = _l1(group[m], group[0], size, not tangent)
        for lane in range(lanes):
            distance[first + lane, m - 1, r] = lane_of(total, lane)


@part
def _mean_loss(total, w, size, divisor, decay):
    """The loss, from the sum of those of the samples."""
    one = constant(0.0, 1)
    total = total / (one + divisor)
    if decay != 0.0:  # 0 times a sum of squares that overflows would be nan
        penalty = one
        for p in range(size):
            penalty = penalty + load(w, p, one) * load(w, p, one)
        total = total + penalty * (0.5 * decay)
    return total


@part
def _last(group, acc, first, lanes, depth, size, divisor, decay, gradient, product):
    """Write down the gradient at a group's reference, and H v of its first ``depth`` - 1 vectors, where there is room."""
    one = constant(0.0, 1)
    for k in range(0 if gradient.size > 0 else 1, depth if product.size > 0 else 1):
        for p in range(size):
            value = load(acc, k * size + p, one) / (one + divisor) + load(group[k], p, one) * decay
            for lane in range(lanes):
                if k > 0:
                    product[first + lane, k - 1, p] = lane_of(value, lane)
                else:
                    gradient[first + lane, p] = lane_of(value, lane)


@part
def _note(check, nonfinite, first, lanes, member, step):
    """Where a state has ceased to be finite, note when."""
    for lane in range(lanes):
        if lane_of(check, lane) != 0.0 and nonfinite[first + lane, member] < 0:
            nonfinite[first + lane, member] = step


def build(widths, act, cost, own, tangent, bias, scale, rule, layered, batched, blocks):
    """``advance`` for one architecture and rule (all sizes are constants of the machine code), for copies or for tangent vectors."""
    d, c = widths[0], widths[-1]
    parameters = sum((n_in + bias) * n_out for n_in, n_out in itertools.pairwise(widths))
    net = constants(widths, bias, scale)
    flags = (act, cost, own, bias, scale is not None, len(widths) > 3)
    move, carry = _movers(rule, layered)
    sums = build_sums(flags, tangent, *blocks, batched)
    copies = 1 + list(RULES.values())[rule].slots
    together = max(1, TOGETHER // parameters)

    def advance(
        state, rate, layers, ends, factors, acc, scratch, x, y, n, divisor, hyper, clock,
        order, counts, xb, yb, start, stop, last, every, snapshot,
        loss, norm, weights, distance, gradient, product, nonfinite, interval, growth,
        orthonormal, triangle,
    ):  # fmt: skip
        """Move groups of networks from step ``start`` to ``stop``, recording every ``every``-th state on the way, its weights
        every ``snapshot`` steps.

        state: (groups, 1 + copies, (state size + 1) * LANES), reference first, updated in place (copies, or tangent vectors; the last
        slot is the kernel's own, and with ``triangle`` there are as many such slots as copies). rate: (groups, layers or 1 times LANES).
        layers, factors: see ``samples.sums``; ends (layers,): where their parameters end.
        y: (1, outputs * samples), or one sample for each network (groups, outputs * LANES) with ``own``. hyper: p, 1 - p, q, 1 - q, eps
        of the rule, its coupled and its decoupled decay, and what a minibatch's size is multiplied by in the divisor (0: the divisor is 1).
        clock: (stop - start, 2 + layers or 1), the step's corrections and factors of the learning rates. order, counts: the samples of
        each step, (stop - start, batch), and how many; xb, yb: room for them. Outputs
        of size 0 are not recorded: loss (networks, members, records), of the reference and the first copies; norm (networks,
        records); weights (networks, members, records, state size); distance (networks, copies, records) of the weights, for tangent vectors
        the L1 norms of theirs; gradient (networks, parameters), of the state at ``stop``, and product (networks, copies, parameters), the
        Hessian there times the weights of the tangent vectors. nonfinite (networks,
        1 + copies): first step whose state is not finite, left alone where it is not negative. The state at ``stop`` is recorded
        (and its loss and gradient evaluated) if ``last``; otherwise the next call does so. Tangent vectors are made
        orthonormal at step 0 (unless they are ``orthonormal`` already) and after every ``interval``-th step if that is not 0;
        the logarithms ln R_jj are added up in growth (networks, copies, records), each where the states recorded next are (nan for a
        direction below ``RESOLVED`` of the leading one, -inf for one that is wiped out), and
        the matrices R themselves are kept in triangle (networks, steps / interval, copies, copies).
        """
        # a constant, but of the type of n: what is called would be typed again for each width
        size = parameters + 0 * n
        full = size * copies
        keep = triangle.size > 0
        one = constant(0.0, 1)
        decay, shrink = hyper[5], hyper[6]
        for head in range(0, state.shape[0], together):
            tail = min(head + together, state.shape[0])
            if tangent and interval > 0 and start == 0 and not orthonormal:
                for group in range(head, tail):
                    orthonormalise(state[group], full, keep and start < 0)
            for t in range(start, stop + 1):
                final = t == stop
                if final and not last:
                    break
                record = t % every == 0
                r = t // every
                now = 0 if final else t - start
                numbers = (hyper[0], hyper[1], hyper[2], hyper[3], hyper[4], clock[now, 0], clock[now, 1])
                factor = clock[now, 2:]
                seen = n
                if batched and not final:
                    seen = counts[now]
                    _gather(x, y[0], xb, yb, n, d, c, order[now], seen)
                for group in range(head, tail):
                    first = group * LANES
                    lanes = min(LANES, nonfinite.shape[0] - first)
                    targets = y[group if own else 0]
                    shot = t // snapshot if weights.size > 0 and t % snapshot == 0 else -1
                    if shot >= 0 or (record and norm.size + distance.size > 0):
                        _record(
                            state[group],
                            first,
                            lanes,
                            r if record else -1,
                            shot,
                            tangent,
                            size,
                            full,
                            norm,
                            weights,
                            distance,
                        )
                    # the reference moves last: the distances refer to it
                    for m in range(0 if tangent else state.shape[1] - 1, -1, -1):
                        with_loss = record and m < loss.shape[1]
                        with_gradient = m == 0 and gradient.size > 0
                        with_product = tangent and product.size > 0
                        if final and not (with_loss or with_gradient or with_product):
                            continue
                        depth = state.shape[1] if tangent and (with_product or not final) else 1
                        w = state[group, m]
                        # the loss is one of all samples; a minibatch's sums are taken after it
                        alone, total = batched and not final, one
                        for turn in range(0 if with_loss or not alone else 1, 2 if alone else 1):
                            xs, ys, count, extent = x, targets, n, 1 if alone else depth
                            if batched and turn == 1:
                                xs, ys, count, extent = xb, yb, seen, depth
                            total = sums(
                                net,
                                size,
                                layers,
                                factors,
                                state[group],
                                m,
                                extent,
                                acc,
                                scratch,
                                xs,
                                ys,
                                count,
                                with_loss and turn == 0,
                            )
                            if turn == 0 and with_loss:
                                total = _mean_loss(total, w, size, divisor, decay)
                                for lane in range(lanes):
                                    loss[first + lane, m, r] = lane_of(total, lane)
                        if final:
                            if with_gradient or with_product:
                                _last(state[group], acc, first, lanes, depth, size, divisor, decay, gradient, product)
                            continue
                        by = divisor
                        if batched:
                            by = hyper[7] * seen if hyper[7] != 0.0 else 1.0
                        for k in range(
                            depth - 1, -1, -1
                        ):  # the network last: its vectors' step is told from what it was
                            if tangent and k > 0:
                                check = carry(
                                    w, acc, state[group, k], acc[k * size * LANES :], size, ends, by, decay, shrink, rate[group],
                                    factor, numbers,
                                )  # fmt: skip
                            else:
                                check = move(w, acc, size, ends, by, decay, shrink, rate[group], factor, numbers)
                            if any_nonzero(check):
                                _note(check, nonfinite, first, lanes, m + k, t + 1)
                    if tangent and not final and interval > 0 and (t + 1) % interval == 0:
                        grow(state[group], first, lanes, full, keep, t // every, t // interval, growth, triangle)

    return advance
