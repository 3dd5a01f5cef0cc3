"""The operation order of the fused engine, as a plain-Python program on scalars: the specification, written to be read.

Every operation below is one IEEE float64 operation (Python never fuses or reorders). The kernel must give the same bits.
"""

import math

INVERSE_LN2 = float.fromhex("0x1.71547652b82fep+0")
LN2_HIGH = float.fromhex("0x1.62e42fef00000p-1")
LN2_LOW = float.fromhex("0x1.473de6af278edp-34")
ROUNDER = 6755399441055744.0
EXP = [
    float.fromhex(c)
    for c in """0x1.0000000000000p+0 0x1.0000000000005p-1 0x1.5555555555557p-3 0x1.55555555520a4p-5
    0x1.11111111100dcp-7 0x1.6c16c17f46982p-10 0x1.a01a01abe7fe1p-13 0x1.a019a6611cad5p-16 0x1.71de0231960ebp-19
    0x1.28a2ca617b969p-22 0x1.af4de97ca4194p-26""".split()
]
LOG = [
    float.fromhex(c)
    for c in """0x1.5555555555558p-1 0x1.999999999526ap-2 0x1.2492492dfe8bep-2 0x1.c71c62d498914p-3
    0x1.7462b97a2312dp-3 0x1.39fdc0a6a7bd3p-3 0x1.2b60002063259p-3""".split()
]
SQRT2 = float.fromhex("0x1.6a09e667f3bcdp+0")


def horner(coefficients, z):
    value = coefficients[-1]
    for c in coefficients[-2::-1]:
        value = value * z + c
    return value


def reduced(x):
    x = -708.0 if x < -708.0 else x
    x = 709.0 if x > 709.0 else x
    k = (x * INVERSE_LN2 + ROUNDER) - ROUNDER
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    q = r * r
    return math.ldexp(1.0, int(k)), r * (horner(EXP[0::2], q) + r * horner(EXP[1::2], q))


def exp(x):
    scale, p = reduced(x)
    return scale * (p + 1.0)


def expm1(x):
    scale, p = reduced(x)
    return scale * p + (scale - 1.0)


def log(x):
    m, e = math.frexp(x)  # exact, 0.5 <= m < 1
    m, e = m * 2.0, float(e - 1)
    if m > SQRT2:
        m, e = m * 0.5, e + 1.0
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    return e * LN2_HIGH + ((s * 2.0 + (s * z) * horner(LOG, z)) + e * LN2_LOW)


def sigmoid(z):
    return 1.0 / (exp(0.0 - z) + 1.0)


def tanh(z):
    e = expm1((z if z < 0.0 else 0.0 - z) * 2.0)
    t = (0.0 - e) / (e + 2.0)
    return 0.0 - t if z < 0.0 else t


ACTIVATE = {"sigmoid": sigmoid, "tanh": tanh, "relu": lambda z: 0.0 if z < 0.0 else z}
SLOPE = {
    "sigmoid": lambda h: h * (1.0 - h),
    "tanh": lambda h: 1.0 - h * h,
    "relu": lambda h: 1.0 if h > 0.0 else 0.0,
}


def gradient(w, x, y, sizes, activation, loss, decay):
    """Loss and gradient of one network; x, y, w are lists of floats (x and y one list a sample)."""
    d, h, c = sizes
    b1, w2 = d * h, d * h + h
    b2 = w2 + h * c
    total, sums = 0.0, [0.0] * len(w)
    for xs, ys in zip(x, y, strict=True):
        hidden, delta = [], []
        for j in range(h):
            z = w[b1 + j]
            for i in range(d):
                z = z + w[i * h + j] * xs[i]
            hidden.append(ACTIVATE[activation](z))
        for k in range(c):
            a = w[b2 + k]
            for j in range(h):
                a = a + w[w2 + j * c + k] * hidden[j]
            delta.append(a)
        if loss == "cross_entropy":
            top = delta[0]
            for a in delta[1:]:
                top = a if top < a else top
            e, s, label = [], 0.0, 0.0
            for k in range(c):
                a = delta[k] - top
                label = label + ys[k] * a
                e.append(exp(a))
                s = s + e[k]
            total = total + (log(s) - label)
            inverse = 1.0 / s
            delta = [e[k] * inverse - ys[k] for k in range(c)]
        else:
            delta = [delta[k] - ys[k] for k in range(c)]
            square = 0.0
            for k in range(c):
                square = square + delta[k] * delta[k]
            total = total + square * 0.5
        for k in range(c):
            sums[b2 + k] += delta[k]
        for j in range(h):
            g = 0.0
            for k in range(c):
                sums[w2 + j * c + k] += hidden[j] * delta[k]
                g = g + w[w2 + j * c + k] * delta[k]
            g = g * SLOPE[activation](hidden[j])
            sums[b1 + j] += g
            for i in range(d):
                sums[i * h + j] += xs[i] * g
    divisor = float(len(x)) if loss == "cross_entropy" else 1.0
    penalty = 0.0
    for value in w:
        penalty = penalty + value * value
    return total / divisor + (penalty * (0.5 * decay) if decay else 0.0), [
        s / divisor + v * decay for s, v in zip(sums, w, strict=True)
    ]


def descend(w, steps, lr, *arguments):
    """``steps`` steps of gradient descent from the list ``w``."""
    for _ in range(steps):
        w = [v - lr * g for v, g in zip(w, gradient(w, *arguments)[1], strict=True)]
    return w
