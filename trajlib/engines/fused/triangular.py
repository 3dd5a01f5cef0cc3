"""Products of the triangular matrices R that orthonormalised tangent vectors leave behind: backwards, forwards, singular values.

Compiled, with + - * / and square roots in a fixed order, and exact scalings by powers of two: results depend on neither batch nor
threads, and are as bit-reproducible as the matrices. Backwards, eight networks share a vector as in the fused engine.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numba
import numpy as np

from .. import WIPED_OUT, machine_code
from . import elementary as el
from .lanes import LANES, constant, load, square_root, store, where_less
from .orthonormal import INFINITY

__all__ = ["backward", "pushed", "singular_logarithms"]

SWEEPS = 100
PARALLEL = 4.5e-16
"""Cosine, for each dimension, below which two rows count as orthogonal."""
NOTHING = -(1 << 40)
"""Exponent of a row of zeros."""
LARGE = 2.0**128
"""Squared length, or its inverse, beyond which rows are scaled."""
HEADROOM = 400
"""Powers of two by which a row may stay below a later one."""


def backward(triangles, c, states, every, first, out, growth, total, threads) -> None:
    """Carry coordinates backwards, c(t) ~ R(t + 1)^-1 c(t + 1), and write down the vectors Q(t) c(t) on the way.

    Parameters
    ----------
    triangles : ndarray (n, steps, k, k)
        R of each step, in the order of time.
    c : ndarray (n, k, k)
        Columns of unit length, upper triangular, at the end; replaced by those at the start.
    states : ndarray (n, 1 + k, r, p)
        At steps 0, every, ...: the state, then the columns of Q. Of length 0 along r where nothing is to be written down.
    every, first : int
        Steps between vectors, and where the first of them belongs in ``out`` and ``growth``.
    out, growth : ndarray (n, times, p, k) and (n, times, k)
        Receive the vectors, of unit length, and ln |J v| of the step that follows.
    total : ndarray (n, k)
        The sum of ln |J v| over all steps is added to it.
    threads : int
        How many share the networks.
    """
    _on_threads(_backward, threads, (triangles, c, states, out, growth, total), (every, first))


def singular_logarithms(triangles, times, out, threads) -> None:
    """Logarithms of the singular values of R(t) ... R(2) R(1), each to high relative accuracy however far apart they are.

    The product is kept as rows with exponents of their own, and one-sided Jacobi rotations make its rows orthogonal.

    Parameters
    ----------
    triangles : ndarray (n, steps, k, k)
        R of each step, in the order of time.
    times : ndarray (r,), int
        Steps t >= 1 wanted, in ascending order.
    out : ndarray (n, r, k)
        Receives the logarithms, largest first.
    threads : int
        How many share the networks.

    References
    ----------
    J. Demmel, K. Veselić, SIAM J. Matrix Anal. Appl. 13 (1992) 1204, on Jacobi rotations and graded matrices.
    """
    _on_threads(_singular_logarithms, threads, (triangles, out), (times,))


def pushed(triangles, lag, out, threads) -> None:
    """Right singular vectors of a product, pushed forward by its first part.

    They begin as the right singular vectors of the whole product, largest first. After every step, the j-th is made orthogonal to the
    first j - 1 right singular vectors of the product that remains: Froyland's second algorithm, with what the given matrices tell.

    Parameters
    ----------
    triangles : ndarray (n, steps, k, k)
        R of each step, in the order of time.
    lag : int
        Steps at the end over which nothing is pushed.
    out : ndarray (n, k, k)
        Receives the vectors ``lag`` steps before the end, as columns of unit length.
    threads : int
        How many share the networks.
    """
    _on_threads(_pushed, threads, (triangles, out), (lag,))


def _on_threads(function, threads, each, fixed):
    """Call a function on parts of the networks; which parts changes no bit."""
    kernel, n = _compiled(function), len(each[0])
    cuts = np.unique(np.append(np.linspace(0, n, 4 * threads + 1).astype(int) // LANES * LANES, n))
    if len(cuts) == 2:  # few networks: to wake a thread and to wait for it takes longer than a short piece
        kernel(*each, *fixed)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda a, b: kernel(*(array[a:b] for array in each), *fixed), cuts[:-1], cuts[1:]))


@cache
def _compiled(function):
    """A function as machine code, from the disk cache where an earlier process left it."""
    return machine_code.compiled(function, SIGNATURES[function], nogil=True, error_model="numpy")


@numba.njit
def _log(x, shift):
    """ln(x 2**shift) for x > 0: the operations of the engine's log, in its order."""
    m, e = math.frexp(x)
    m, e = m * 2.0, float(e - 1 + shift)
    if m > el.SQRT2:
        m, e = m * 0.5, e + 1.0
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    tail = (((((el.L6 * z + el.L5) * z + el.L4) * z + el.L3) * z + el.L2) * z + el.L1) * z + el.L0
    return e * el.LN2_HIGH + ((s * 2.0 + (s * z) * tail) + e * el.LN2_LOW)


def _backward(triangles, c, states, out, growth, total, every, start):
    n, steps, k, _ = triangles.shape
    records, p = states.shape[2], out.shape[2]
    one = constant(0.0, 1)
    r, x, now = np.zeros(k * k * LANES), np.zeros(k * k * LANES), np.zeros(k * k * LANES)
    logs, sums, q, v = np.zeros(k * LANES), np.zeros(k * LANES), np.zeros(k * LANES), np.zeros(p * k * LANES)
    for first in range(0, n, LANES):
        lanes = min(LANES, n - first)
        for lane in range(lanes):
            for j in range(k):
                sums[j * LANES + lane] = total[first + lane, j]
                for a in range(j + 1):
                    now[(a * k + j) * LANES + lane] = c[first + lane, a, j]
        for t in range(steps - 1, -1, -1):
            for lane in range(lanes):
                for a in range(k):
                    for b in range(a, k):
                        r[(a * k + b) * LANES + lane] = triangles[first + lane, t, a, b]
            for a in range(k - 1, -1, -1):
                diagonal = load(r, a * k + a, one)
                inverse = 1.0 / diagonal
                for j in range(a, k):
                    value = load(now, a * k + j, one)
                    for b in range(a + 1, j + 1):
                        value = value - load(r, a * k + b, one) * load(x, b * k + j, one)
                    # of a vector that vanishes, what is left of the others is chosen free
                    instead = one + (1.0 if j == a else 0.0)
                    store(x, a * k + j, where_less(diagonal, one + WIPED_OUT, instead, value * inverse))
            for j in range(k):
                square = one
                for a in range(j + 1):
                    square = square + load(x, a * k + j, one) * load(x, a * k + j, one)
                length = square_root(square)
                inverse = 1.0 / length
                for a in range(j + 1):
                    store(now, a * k + j, load(x, a * k + j, one) * inverse)
                logarithm = one - el.log(length, one)
                diagonal = load(r, j * k + j, one)
                logarithm = where_less(diagonal, one + WIPED_OUT, one - INFINITY, logarithm)
                store(logs, j, logarithm)
                store(sums, j, load(sums, j, one) + logarithm)
            if records == 0 or t % every:
                continue
            m = t // every
            for i in range(p):
                for lane in range(lanes):
                    for a in range(k):
                        q[a * LANES + lane] = states[first + lane, 1 + a, m, i]
                for j in range(k):
                    value = one
                    for a in range(j + 1):
                        value = value + load(q, a, one) * load(now, a * k + j, one)
                    store(v, i * k + j, value)
            for j in range(k):
                square = one
                for i in range(p):
                    square = square + load(v, i * k + j, one) * load(v, i * k + j, one)
                inverse = 1.0 / square_root(square)
                for i in range(p):
                    store(v, i * k + j, load(v, i * k + j, one) * inverse)
            for lane in range(lanes):
                for j in range(k):
                    growth[first + lane, start + m, j] = logs[j * LANES + lane]
                for i in range(p):
                    for j in range(k):
                        out[first + lane, start + m, i, j] = v[(i * k + j) * LANES + lane]
        for lane in range(lanes):
            for j in range(k):
                total[first + lane, j] = sums[j * LANES + lane]
                for a in range(j + 1):
                    c[first + lane, a, j] = now[(a * k + j) * LANES + lane]


@numba.njit
def _scale(row, exponent):
    """Scale a row by a power of two until its largest entry lies in [1/2, 1); its exponent afterwards."""
    largest = 0.0
    for entry in row:
        if not abs(entry) <= largest:  # nan is taken too
            largest = abs(entry)
    if largest == 0.0:
        return NOTHING
    if not largest < np.inf:
        row[:] = np.nan
        return exponent
    shift = math.frexp(largest)[1]
    if shift != 0:
        for j in range(len(row)):
            row[j] = math.ldexp(row[j], -shift)
    return exponent + shift


@numba.njit
def _rescale(rows, exponents, factors, k, lane):
    """Scale the rows of one network by powers of two, and write down the factors between them, 2**(exponent of b - that of a)."""
    highest = NOTHING
    for a in range(k - 1, -1, -1):
        largest = 0.0
        for j in range(a, k):
            entry = abs(rows[(a * k + j) * LANES + lane])
            if not entry <= largest:  # nan is taken too
                largest = entry
        if not largest < np.inf:
            for j in range(a, k):
                rows[(a * k + j) * LANES + lane] = np.nan
            continue
        exponent = exponents[a, lane] + math.frexp(largest)[1] if largest > 0.0 else NOTHING
        highest = max(highest, exponent)
        exponent = max(exponent, highest - HEADROOM)
        for j in range(a, k):
            slot = (a * k + j) * LANES + lane
            rows[slot] = math.ldexp(rows[slot], max(exponents[a, lane] - exponent, -2000))
        exponents[a, lane] = exponent
    for a in range(k):
        for b in range(a, k):
            shift = min(max(exponents[b, lane] - exponents[a, lane], -2000), 1000)
            factors[(a * k + b) * LANES + lane] = math.ldexp(1.0, shift)


@numba.njit
def _dot(a, b):
    total = 0.0
    for q in range(len(a)):
        total = total + a[q] * b[q]
    return total


@numba.njit
def _orthogonal_rows(rows, exponents):
    """Rotate rows (times 2**exponents) until they are orthogonal, longest first: one-sided Jacobi."""
    k = len(rows)
    small = PARALLEL * k
    for _ in range(SWEEPS):
        rotated = False
        for i in range(k - 1):
            for j in range(i + 1, k):
                a, b, g = _dot(rows[i], rows[i]), _dot(rows[j], rows[j]), _dot(rows[i], rows[j])
                if a == 0.0 and b == 0.0:
                    continue
                ratio = math.ldexp(1.0, min(max(exponents[j] - exponents[i], -2000), 1000))
                if a == 0.0 or (b * ratio) * ratio > a:
                    for q in range(k):
                        rows[i, q], rows[j, q] = rows[j, q], rows[i, q]
                    exponents[i], exponents[j] = exponents[j], exponents[i]
                    a, b = b, a
                    ratio = math.ldexp(1.0, min(max(exponents[j] - exponents[i], -2000), 1000))
                    rotated = rotated or b > 0.0
                if not g * g > small * small * a * b:
                    continue
                rotated = True
                # with x_j = ratio y_j: tangent = ratio * slope, which does not underflow where the rows are far apart
                h, twice = (b * ratio) * ratio - a, 2.0 * g * ratio
                slope = 2.0 * g / (math.sqrt(h * h + twice * twice) - h)
                tangent = ratio * slope
                cosine = 1.0 / math.sqrt(1.0 + tangent * tangent)
                for q in range(k):
                    first, second = rows[i, q], rows[j, q]
                    rows[i, q] = cosine * (first + (tangent * ratio) * second)
                    rows[j, q] = cosine * (second - slope * first)
                exponents[i] = _scale(rows[i], exponents[i])
                exponents[j] = _scale(rows[j], exponents[j])
        if not rotated:
            break


def _singular_logarithms(triangles, out, times):
    n, steps, k, _ = triangles.shape
    one = constant(0.0, 1)
    r, rows, factors = np.zeros(k * k * LANES), np.zeros(k * k * LANES), np.zeros(k * k * LANES)
    exponents, check = np.zeros((k, LANES), np.int64), np.zeros(2 * LANES)
    copy, others = np.zeros((k, k)), np.zeros(k, np.int64)
    for first in range(0, n, LANES):
        lanes = min(LANES, n - first)
        rows[:], factors[:], exponents[:], m = 0.0, 1.0, 0, 0
        for slot in range(0, k * k, k + 1):
            rows[slot * LANES : (slot + 1) * LANES] = 1.0
        for t in range(steps):
            for lane in range(lanes):
                for a in range(k):
                    for b in range(a, k):
                        r[(a * k + b) * LANES + lane] = triangles[first + lane, t, a, b]
            total, least = one, one + INFINITY
            for a in range(k):  # row a becomes the sum over b >= a of R_ab times row b, which begins with b zeros
                square = one
                for b in range(a + 1, k):
                    store(r, a * k + b, load(r, a * k + b, one) * load(factors, a * k + b, one))
                for j in range(a, k):
                    value = load(rows, a * k + j, one) * load(r, a * k + a, one)
                    for b in range(a + 1, j + 1):
                        value = value + load(r, a * k + b, one) * load(rows, b * k + j, one)
                    store(rows, a * k + j, value)
                    square = square + value * value
                total = total + square
                least = where_less(square, least, square, least)
            store(check, 0, total)
            store(check, 1, least)
            for lane in range(lanes):
                if not (check[lane] < LARGE and check[LANES + lane] > 1.0 / LARGE):
                    _rescale(rows, exponents, factors, k, lane)
            if m == len(times) or times[m] > t + 1:
                continue
            for lane in range(lanes):
                for a in range(k):
                    for j in range(a):
                        copy[a, j] = 0.0
                    for j in range(a, k):
                        copy[a, j] = rows[(a * k + j) * LANES + lane]
                    others[a] = _scale(copy[a], exponents[a, lane])
                _orthogonal_rows(copy, others)
                for a in range(k):
                    length = _dot(copy[a], copy[a])
                    if length == 0.0:
                        out[first + lane, m, a] = -np.inf
                    else:
                        out[first + lane, m, a] = _log(math.sqrt(length), others[a]) if length < np.inf else np.nan
            m += 1


def _pushed(triangles, out, lag):
    n, steps, k, _ = triangles.shape
    pushes = steps - lag
    rows, exponents = np.zeros((k, k)), np.zeros(k, np.int64)
    slow = np.zeros((pushes + 1, k, k))
    column = np.zeros(k)
    for i in range(n):
        rows[:] = 0.0
        exponents[:] = 0
        for a in range(k):
            rows[a, a] = 1.0
        for t in range(steps, -1, -1):
            if t < steps:  # the product from here to the end, one matrix more from the right
                r = triangles[i, t]
                for a in range(k):
                    for j in range(k - 1, -1, -1):
                        total = 0.0
                        for b in range(j + 1):
                            total = total + rows[a, b] * r[b, j]
                        rows[a, j] = total
                    exponents[a] = _scale(rows[a], exponents[a])
            if t <= pushes:
                # in place: rotated rows have the same right singular vectors, and are nearly orthogonal one matrix later
                _orthogonal_rows(rows, exponents)
                for a in range(k):
                    inverse = 1.0 / math.sqrt(_dot(rows[a], rows[a]))
                    for j in range(k):
                        slow[t, a, j] = rows[a, j] * inverse
        for j in range(k):
            column[:] = slow[0, j]
            for t in range(pushes):
                r = triangles[i, t]
                for a in range(k):
                    total = 0.0
                    for b in range(a, k):
                        total = total + r[a, b] * column[b]
                    column[a] = total
                for a in range(j):
                    dot = _dot(slow[t + 1, a], column)
                    for b in range(k):
                        column[b] = column[b] - dot * slow[t + 1, a, b]
                inverse = 1.0 / math.sqrt(_dot(column, column))
                for b in range(k):
                    column[b] = column[b] * inverse
            out[i, :, j] = column


SIGNATURES = {
    _backward: "(f8[:,:,:,::1], f8[:,:,::1], f8[:,:,:,::1], f8[:,:,:,::1], f8[:,:,::1], f8[:,::1], i8, i8)",
    _singular_logarithms: "(f8[:,:,:,::1], f8[:,:,::1], i8[::1])",
    _pushed: "(f8[:,:,:,::1], f8[:,:,::1], i8)",
}
