"""Tangent vectors made orthonormal, eight networks a vector, and what is kept of the triangular matrix."""

from __future__ import annotations

from .. import RESOLVED, WIPED_OUT
from ..machine_code import part
from . import elementary as el
from .lanes import constant, lane_of, load, square_root, store, where_less

INFINITY, NAN = float("inf"), float("nan")


@part
def _remove(q, v, size):
    """v - (q . v) q in place; returns q . v."""
    one = constant(0.0, 1)
    dot = one
    for p in range(size):
        dot = dot + load(q, p, one) * load(v, p, one)
    for p in range(size):
        store(v, p, load(v, p, one) - dot * load(q, p, one))
    return dot


@part
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


@part
def orthonormalise(group, size, keep):
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


@part
def grow(group, first, lanes, full, keep, r, number, growth, triangle):
    """Make a group's vectors orthonormal; add the logarithms of R's diagonal to ``growth`` at record ``r``, and with ``keep`` leave R in
    ``triangle`` at ``number``."""
    one = constant(0.0, 1)
    orthonormalise(group, full, keep)
    leading = one
    for m in range(1, group.shape[0]):
        diagonal = load(group[m], full, one)
        leading = where_less(leading, diagonal, diagonal, leading)
    lost = leading * RESOLVED
    for m in range(1, group.shape[0]):
        diagonal = load(group[m], full, one)
        logarithm = where_less(diagonal, lost, one + NAN, el.log(diagonal, one))
        logarithm = where_less(diagonal, one + WIPED_OUT, one - INFINITY, logarithm)
        for lane in range(lanes):
            growth[first + lane, m - 1, r] += lane_of(logarithm, lane)
        if not keep:
            continue
        for i in range(1, m + 1):
            entry = load(group[m], full if i == m else full + i, one)
            for lane in range(lanes):
                triangle[first + lane, number, i - 1, m - 1] = lane_of(entry, lane)
