"""The fused kernel: gradient descent of many one-hidden-layer networks, the whole step in one loop, eight networks a vector.

A group is a reference and what travels with it: perturbed copies, or tangent vectors v <- v - lr (H v + decay v).

Operation order (the specification; tests/specification.py is its plain-Python twin), for one network and one sample:
z_j = b1_j + x_0 W1_0j + x_1 W1_1j + ...;  h_j = act(z_j);  a_k = b2_k + h_0 W2_0k + h_1 W2_1k + ...;
cross entropy: m = max_k a_k, e_k = exp(a_k - m), s = e_0 + e_1 + ..., delta_k = e_k (1/s) - y_k, loss = log(s) - sum_k y_k (a_k - m);
half squared error: delta_k = a_k - y_k, loss = sum_k delta_k delta_k / 2;
g_j = (W2_j0 delta_0 + W2_j1 delta_1 + ...) act'(h_j); gradient terms x_i g_j, g_j, h_j delta_k, delta_k.
Terms of the samples are added in sample order to 0; gradient = sum / divisor + decay * w with divisor n (cross entropy) or 1;
w <- w - lr * gradient. The loss is sum / divisor, and with decay + (decay / 2) (w_0 w_0 + w_1 w_1 + ...).
The order of the tangent terms is that of ``_tangent_samples``, read from top to bottom.
"""

from __future__ import annotations

from numba import njit

from ...models.activations import ACTIVATIONS, over
from .. import RESOLVED, WIPED_OUT
from . import elementary as el
from .lanes import (
    LANES,
    accumulate,
    any_nonzero,
    constant,
    lane_of,
    load,
    load_wide,
    samples_of,
    square_root,
    store,
    where_less,
)

CROSS_ENTROPY, HALF_SQUARED_ERROR = 0, 1
INFINITY, NAN = float("inf"), float("nan")
TOGETHER = 128
"""Parameters of the groups that take a step in turn: a short step waits for its own results, and the next group's fills the time."""
BLOCK = 8
"""Samples that share one load of the weights."""


def _chosen(formulas):
    """f(x, kind, zero), which is formula number ``kind`` of a list; ``kind`` is a constant of the machine code, and so is the choice."""
    *others, last = formulas
    number, formula = len(others), njit(forceinline=True)(over(last, el))
    if not others:
        return njit(forceinline=True)(lambda x, kind, zero: formula(x, zero))
    before = _chosen(others)

    @njit(forceinline=True)
    def choose(x, kind, zero):
        return formula(x, zero) if kind == number else before(x, kind, zero)

    return choose


_activate = _chosen([a.value for a in ACTIVATIONS.values()])
_slope = _chosen([a.slope for a in ACTIVATIONS.values()])
_bend = _chosen([a.bend for a in ACTIVATIONS.values()])


@njit(forceinline=True)
def _target(y, k, n, i0, own, zero):
    """Target of output k: of samples i0, i0 + 1, ..., the same for all networks, or each network's own."""
    if own:
        return load(y, k, zero)
    return samples_of(y, k * n + i0, zero)


@njit(forceinline=True)
def _samples(w, acc, scratch, loss, x, y, n, i0, d, h, c, act, cost, own, with_loss, tangent, zero):
    """Add the gradient terms of samples i0, i0 + 1, ... (as many as ``zero`` is wide) to ``acc``; return the loss so far."""
    b1 = d * h
    w2 = b1 + h
    b2 = w2 + h * c
    for j in range(h):
        z = load(w, b1 + j, zero)
        for i in range(d):
            z = z + load(w, i * h + j, zero) * samples_of(x, i * n + i0, zero)
        store(scratch, j, _activate(z, act, zero))
    for k in range(c):
        a = load(w, b2 + k, zero)
        for j in range(h):
            a = a + load(w, w2 + j * c + k, zero) * load_wide(scratch, j, zero)
        store(scratch, h + k, a)
    if cost == CROSS_ENTROPY:
        top = load_wide(scratch, h, zero)
        for k in range(1, c):
            a = load_wide(scratch, h + k, zero)
            top = where_less(top, a, a, top)
        total = zero
        label = zero
        for k in range(c):
            a = load_wide(scratch, h + k, zero) - top
            if with_loss:
                label = label + _target(y, k, n, i0, own, zero) * a
            e = el.exp(a, zero)
            total = total + e
            store(scratch, h + k, e)
        inverse = 1.0 / total
        if with_loss:
            loss = accumulate(loss, el.log(total, zero) - label)
        for k in range(c):
            delta = load_wide(scratch, h + k, zero) * inverse - _target(y, k, n, i0, own, zero)
            store(scratch, h + k, delta)
    else:
        square = zero
        for k in range(c):
            delta = load_wide(scratch, h + k, zero) - _target(y, k, n, i0, own, zero)
            square = square + delta * delta
            store(scratch, h + k, delta)
        if with_loss:
            loss = accumulate(loss, square * 0.5)
    one = constant(0.0, 1)
    for k in range(c):
        store(acc, b2 + k, accumulate(load(acc, b2 + k, one), load_wide(scratch, h + k, zero)))
    for j in range(h):
        unit = load_wide(scratch, j, zero)
        g = zero
        for k in range(c):
            delta = load_wide(scratch, h + k, zero)
            slot = w2 + j * c + k
            store(acc, slot, accumulate(load(acc, slot, one), unit * delta))
            g = g + load(w, slot, zero) * delta
        slope = _slope(unit, act, zero)
        if tangent:  # what every tangent vector needs of this sample
            store(scratch, h + c + j, slope)
            store(scratch, h + c + h + j, g * _bend(unit, act, zero))
        g = g * slope
        store(acc, b1 + j, accumulate(load(acc, b1 + j, one), g))
        for i in range(d):
            slot = i * h + j
            store(acc, slot, accumulate(load(acc, slot, one), samples_of(x, i * n + i0, zero) * g))
    return loss


@njit(forceinline=True)
def _tangent_samples(w, v, acc, scratch, x, y, n, i0, d, h, c, cost, own, zero):
    """Add the terms of H v (Pearlmutter's R operator) to ``acc``.

    In ``scratch`` are, from ``_samples``: h_j; delta_k; act'(h_j); (W2_j0 delta_0 + ...) times the derivative of act' by h_j.
    """
    b1 = d * h
    w2 = b1 + h
    b2 = w2 + h * c
    slope0 = h + c
    bend0 = slope0 + h
    rh0 = bend0 + h  # derivatives of the hidden units, then of the residuals
    rd0 = rh0 + h
    one = constant(0.0, 1)
    for j in range(h):
        rz = load(v, b1 + j, zero)
        for i in range(d):
            rz = rz + load(v, i * h + j, zero) * samples_of(x, i * n + i0, zero)
        store(scratch, rh0 + j, rz * load_wide(scratch, slope0 + j, zero))
    mean = zero
    for k in range(c):
        ra = load(v, b2 + k, zero)
        for j in range(h):
            slot = w2 + j * c + k
            ra = ra + load(v, slot, zero) * load_wide(scratch, j, zero)
            ra = ra + load(w, slot, zero) * load_wide(scratch, rh0 + j, zero)
        if cost == CROSS_ENTROPY:
            q = load_wide(scratch, h + k, zero) + _target(y, k, n, i0, own, zero)
            mean = mean + q * ra
        store(scratch, rd0 + k, ra)
    for k in range(c):
        rd = load_wide(scratch, rd0 + k, zero)
        if cost == CROSS_ENTROPY:
            q = load_wide(scratch, h + k, zero) + _target(y, k, n, i0, own, zero)
            rd = q * (rd - mean)
            store(scratch, rd0 + k, rd)
        store(acc, b2 + k, accumulate(load(acc, b2 + k, one), rd))
    for j in range(h):
        unit = load_wide(scratch, j, zero)
        rh = load_wide(scratch, rh0 + j, zero)
        rg = zero
        for k in range(c):
            slot = w2 + j * c + k
            delta = load_wide(scratch, h + k, zero)
            rd = load_wide(scratch, rd0 + k, zero)
            store(acc, slot, accumulate(load(acc, slot, one), rh * delta + unit * rd))
            weight = load(w, slot, zero)
            rg = rg + (load(v, slot, zero) * delta + weight * rd)
        rg = rg * load_wide(scratch, slope0 + j, zero) + load_wide(scratch, bend0 + j, zero) * rh
        store(acc, b1 + j, accumulate(load(acc, b1 + j, one), rg))
        for i in range(d):
            slot = i * h + j
            store(acc, slot, accumulate(load(acc, slot, one), samples_of(x, i * n + i0, zero) * rg))


@njit(forceinline=True)
def _gradient(group, m, depth, acc, scratch, x, y, n, d, h, c, act, cost, own, with_loss):
    """Sums over the samples into ``acc``: gradient terms of member ``m``, then H v terms of members m + 1 ... m + depth - 1.

    Returns the sum of the losses of member ``m``.
    """
    one = constant(0.0, 1)
    block = constant(0.0, BLOCK)
    size = (d + 1) * h + (h + 1) * c
    for p in range(depth * size):
        store(acc, p, one)
    loss = one
    w = group[m]
    whole = n - n % BLOCK
    for i0 in range(0, whole, BLOCK):
        loss = _samples(w, acc, scratch, loss, x, y, n, i0, d, h, c, act, cost, own, with_loss, depth > 1, block)
        for k in range(1, depth):
            sums = acc[k * size * LANES :]
            _tangent_samples(w, group[m + k], sums, scratch, x, y, n, i0, d, h, c, cost, own, block)
    for i0 in range(whole, n):
        loss = _samples(w, acc, scratch, loss, x, y, n, i0, d, h, c, act, cost, own, with_loss, depth > 1, one)
        for k in range(1, depth):
            sums = acc[k * size * LANES :]
            _tangent_samples(w, group[m + k], sums, scratch, x, y, n, i0, d, h, c, cost, own, one)
    return loss


@njit(forceinline=True)
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


@njit(forceinline=True)
def _step(w, acc, size, divisor, decay, rate):
    """w - rate * (acc / divisor + decay * w) in place; returns 0 where all of w is finite, nan elsewhere."""
    one = constant(0.0, 1)
    lr = load(rate, 0, one)
    check = one
    for p in range(size):
        value = load(w, p, one)
        mean = load(acc, p, one)
        if divisor != 1.0:  # x / 1 is x, and a division takes as long as all else here
            mean = mean / (one + divisor)
        value = value - lr * (mean + value * decay)
        store(w, p, value)
        check = check + (value - value)
    return check


@njit(forceinline=True)
def _remove(q, v, size):
    """v - (q . v) q in place; returns q . v."""
    one = constant(0.0, 1)
    dot = one
    for p in range(size):
        dot = dot + load(q, p, one) * load(v, p, one)
    for p in range(size):
        store(v, p, load(v, p, one) - dot * load(q, p, one))
    return dot


@njit(forceinline=True)
def _remove_from_four(q, v, size):
    """The same for the four vectors at the head of ``v``, side by side: their sums do not wait for each other."""
    one = constant(0.0, 1)
    a, b, c, d = v[0], v[1], v[2], v[3]
    da, db, dc, dd = one, one, one, one
    for p in range(size):
        x = load(q, p, one)
        da = da + x * load(a, p, one)
        db = db + x * load(b, p, one)
        dc = dc + x * load(c, p, one)
        dd = dd + x * load(d, p, one)
    for p in range(size):
        x = load(q, p, one)
        store(a, p, load(a, p, one) - da * x)
        store(b, p, load(b, p, one) - db * x)
        store(c, p, load(c, p, one) - dc * x)
        store(d, p, load(d, p, one) - dd * x)
    return da, db, dc, dd


@njit(forceinline=True)
def _orthonormalise(group, size, keep):
    """Modified Gram-Schmidt on members 1, 2, ... of a group, in place.

    R_jj is left in slot ``size`` of member j, and with ``keep`` R_ij in slot ``size + i``, for i = 1 ... j - 1.
    """
    one = constant(0.0, 1)
    for head in range(1, group.shape[0], 4):
        end = min(head + 4, group.shape[0])
        for i in range(1, head):
            if end == head + 4:
                first, second, third, fourth = _remove_from_four(group[i], group[head:end], size)
                if keep:
                    store(group[head], size + i, first)
                    store(group[head + 1], size + i, second)
                    store(group[head + 2], size + i, third)
                    store(group[head + 3], size + i, fourth)
            else:
                for j in range(head, end):
                    dot = _remove(group[i], group[j], size)
                    if keep:
                        store(group[j], size + i, dot)
        for j in range(head, end):
            v = group[j]
            for i in range(head, j):
                dot = _remove(group[i], v, size)
                if keep:
                    store(v, size + i, dot)
            square = one
            for p in range(size):
                square = square + load(v, p, one) * load(v, p, one)
            norm = square_root(square)
            inverse = where_less(norm, one + WIPED_OUT, one, 1.0 / norm)  # nan stays nan
            for p in range(size):
                store(v, p, load(v, p, one) * inverse)
            store(v, size, norm)


def build(d, h, c, act, cost, own, tangent, source, jit):
    """Compile ``advance`` for one architecture (all sizes constants of the machine code), for copies or for tangent vectors.

    ``source`` identifies the text of this package: it is part of the key of Numba's disk cache, which would otherwise not
    notice a change in the functions inlined here. ``jit`` is the decorator, with or without the cache.
    """

    @jit
    def advance(
        state, rate, acc, scratch, x, y, n, divisor, decay, start, stop, last, every, snapshot,
        loss, norm, weights, distance, gradient, nonfinite, interval, growth,
        orthonormal, triangle,
    ):  # fmt: skip
        """Move groups of networks from step ``start`` to ``stop``, recording every ``every``-th state on the way, its weights
        every ``snapshot`` steps.

        state: (groups, 1 + copies, (parameters + 1) * LANES), reference first, updated in place (copies, or tangent vectors; the last
        slot is the kernel's own, and with ``triangle`` there are as many such slots as copies). rate: (groups, LANES). y: (1, outputs *
        samples), or one sample for each network (groups, outputs * LANES) with ``own``. Outputs
        of size 0 are not recorded: loss (networks, members, records), of the reference and the first copies; norm (networks,
        records); weights (networks, members, records, parameters); distance (networks, copies, records), for tangent vectors
        their L1 norms; gradient (networks, parameters), of the state at ``stop``. nonfinite (networks,
        1 + copies): first step whose weights are not finite, left alone where it is not negative. The state at ``stop`` is recorded
        (and its loss and gradient evaluated) if ``last``; otherwise the next call does so. Tangent vectors are made
        orthonormal at step 0 (unless they are ``orthonormal`` already) and after every ``interval``-th step if that is not 0;
        the logarithms ln R_jj are added up in growth (networks, copies, records), each where the states recorded next are (nan for a
        direction below ``RESOLVED`` of the leading one, -inf for one that is wiped out), and
        the matrices R themselves are kept in triangle (networks, steps / interval, copies, copies).
        """
        source  # noqa: B018
        size = (d + 1) * h + (h + 1) * c
        together = max(1, TOGETHER // size)
        keep = triangle.size > 0
        one = constant(0.0, 1)
        for head in range(0, state.shape[0], together):
            tail = min(head + together, state.shape[0])
            if tangent and interval > 0 and start == 0 and not orthonormal:
                for group in range(head, tail):
                    _orthonormalise(state[group], size, False)
            for t in range(start, stop + 1):
                final = t == stop
                if final and not last:
                    break
                record = t % every == 0
                r = t // every
                for group in range(head, tail):
                    first = group * LANES
                    lanes = min(LANES, nonfinite.shape[0] - first)
                    reference = state[group, 0]
                    targets = y[group if own else 0]
                    if record and norm.size > 0:
                        total = _l1(reference, reference, size, False)
                        for lane in range(lanes):
                            norm[first + lane, r] = lane_of(total, lane)
                    if weights.size > 0 and t % snapshot == 0:
                        for m in range(weights.shape[1]):
                            for lane in range(lanes):
                                for p in range(size):
                                    weights[first + lane, m, t // snapshot, p] = state[group, m, p * LANES + lane]
                    for m in range(state.shape[1]):
                        w = state[group, m]
                        if m > 0 and record and distance.size > 0:
                            total = _l1(w, state[group, 0], size, not tangent)
                            for lane in range(lanes):
                                distance[first + lane, m - 1, r] = lane_of(total, lane)
                    # the reference moves last: the distances refer to it
                    for m in range(0 if tangent else state.shape[1] - 1, -1, -1):
                        with_loss = record and m < loss.shape[1]
                        with_gradient = m == 0 and gradient.size > 0
                        if final and not (with_loss or with_gradient):
                            continue
                        depth = state.shape[1] if tangent and not final else 1
                        w = state[group, m]
                        total = _gradient(
                            state[group], m, depth, acc, scratch, x, targets, n, d, h, c, act, cost, own, with_loss
                        )
                        if with_loss:
                            total = total / (one + divisor)
                            if decay != 0.0:  # 0 times a sum of squares that overflows would be nan
                                penalty = one
                                for p in range(size):
                                    penalty = penalty + load(w, p, one) * load(w, p, one)
                                total = total + penalty * (0.5 * decay)
                            for lane in range(lanes):
                                loss[first + lane, m, r] = lane_of(total, lane)
                        if final:
                            if with_gradient:
                                for p in range(size):
                                    value = load(acc, p, one) / (one + divisor) + load(w, p, one) * decay
                                    for lane in range(lanes):
                                        gradient[first + lane, p] = lane_of(value, lane)
                            continue
                        for k in range(depth):
                            check = _step(
                                state[group, m + k], acc[k * size * LANES :], size, divisor, decay, rate[group]
                            )
                            if not any_nonzero(check):
                                continue
                            for lane in range(lanes):
                                if lane_of(check, lane) != 0.0 and nonfinite[first + lane, m + k] < 0:
                                    nonfinite[first + lane, m + k] = t + 1
                    if tangent and not final and interval > 0 and (t + 1) % interval == 0:
                        _orthonormalise(state[group], size, keep)
                        r = t // every
                        leading = one
                        for m in range(1, state.shape[1]):
                            diagonal = load(state[group, m], size, one)
                            leading = where_less(leading, diagonal, diagonal, leading)
                        lost = leading * RESOLVED
                        for m in range(1, state.shape[1]):
                            diagonal = load(state[group, m], size, one)
                            logarithm = where_less(diagonal, lost, one + NAN, el.log(diagonal, one))
                            logarithm = where_less(diagonal, one + WIPED_OUT, one - INFINITY, logarithm)
                            for lane in range(lanes):
                                growth[first + lane, m - 1, r] += lane_of(logarithm, lane)
                            if not keep:
                                continue
                            for i in range(1, m + 1):
                                entry = load(state[group, m], size if i == m else size + i, one)
                                for lane in range(lanes):
                                    triangle[first + lane, t // interval, i - 1, m - 1] = lane_of(entry, lane)

    return advance
