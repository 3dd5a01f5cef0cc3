"""The operation order of the fused engine, as a plain-Python program on scalars: the specification, written to be read.

Every operation below is one IEEE float64 operation (Python never fuses or reorders). The kernel must give the same bits.
"""

import itertools
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
SQRT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
INVERSE_ROOT_2PI = float.fromhex("0x1.9884533d43651p-2")
ROOT_2_OVER_PI = float.fromhex("0x1.9884533d43651p-1")
CUBIC = 0.044715


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


ERFC = [
    float.fromhex(c)
    for c in """0x1.2770f75817bb1p-1 0x1.6bf7a80297434p-2 0x1.0aa138a4c2d2fp-4 0x1.e12f190ee344ap-9
    -0x1.23b9bf1ce7560p-10 -0x1.51227465cc490p-13 0x1.12fb3128f87fap-15 0x1.6d3c6f7d88be3p-18 -0x1.96ce1196a53fcp-20
    -0x1.3309eea86d240p-23 0x1.61ac7b30c5a42p-24 -0x1.6451f7fd22b2ep-30 -0x1.1d82a367eb976p-28 0x1.5ceed8154e5a9p-31
    0x1.3aeafbf9081f4p-33 -0x1.0ef01d7ebd279p-34 0x1.2213c79638c27p-39 0x1.f6a5e0b941419p-39 -0x1.e36283dfdf506p-41
    -0x1.148e5bfefc51fp-44 0x1.4d7d3e8ca1342p-44 -0x1.d7a3e5a86c064p-47 -0x1.84a4c0a677561p-49
    0x1.a56f863501b99p-50""".split()
]


def ndtr(x):
    """The normal distribution function: half of erfc(|x| / sqrt(2)), a Chebyshev series by Clenshaw's recurrence."""
    magnitude = (0.0 - x if x < 0.0 else x) * SQRT_HALF
    t = 2.0 / (magnitude + 2.0)
    y = t * 2.0 - 1.0
    a, b = 0.0, 0.0
    for c in ERFC[:0:-1]:
        a, b = ((y * 2.0) * a - b) + c, a
    tail = (exp(0.0 - (x * x) * 0.5) * (t * ((y * a - b) + ERFC[0]))) * 0.5
    return tail if x < 0.0 else 1.0 - tail


def gelu_slope(z):
    return ndtr(z) + z * (exp((z * z) * -0.5) * INVERSE_ROOT_2PI)


def _inner_tanh(z):
    return tanh((z + ((z * z) * z) * CUBIC) * ROOT_2_OVER_PI)


def gelu_tanh_slope(z):
    t = _inner_tanh(z)
    inner = ((z * z) * (3.0 * CUBIC) + 1.0) * ROOT_2_OVER_PI
    return (t + 1.0) * 0.5 + (z * 0.5) * ((1.0 - t * t) * inner)


ACTIVATE = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": lambda z: 0.0 if z < 0.0 else z,
    "identity": lambda z: z,
    "gelu": lambda z: z * ndtr(z),
    "gelu_tanh": lambda z: (z * 0.5) * (_inner_tanh(z) + 1.0),
}
SLOPE = {  # from the input z and the value h
    "sigmoid": lambda z, h: h * (1.0 - h),
    "tanh": lambda z, h: 1.0 - h * h,
    "relu": lambda z, h: 1.0 if h > 0.0 else 0.0,
    "identity": lambda z, h: 1.0,
    "gelu": lambda z, h: gelu_slope(z),
    "gelu_tanh": lambda z, h: gelu_tanh_slope(z),
}


def divisor(loss, samples, outputs):
    """What the sum over the samples is divided by."""
    return {"cross_entropy": float(samples), "half_squared_error": 1.0, "mean_squared_error": 0.5 * outputs * samples}[
        loss
    ]


def forward(w, inputs, sizes, activation, bias, scale):
    """Of one sample: (z, values) of each layer, the inputs first; the outputs are the last z."""
    layers, begin = [(inputs, inputs)], 0
    for layer, (n, m) in enumerate(itertools.pairwise(sizes)):
        units, b = layers[-1][1], begin + n * m
        z = []
        for k in range(m):
            total = w[b + k] if bias and scale is None else 0.0
            for j in range(n):
                total = total + w[begin + j * m + k] * units[j]
            if scale is not None:
                total = total * scale[layer]
                if bias:
                    total = total + w[b + k]
            z.append(total)
        last = layer == len(sizes) - 2
        layers.append((z, z if last else [ACTIVATE[activation](one) for one in z]))
        begin += (n + bias) * m
    return layers


def cost(outputs, target, loss):
    """Of one sample: its loss, and what each output should have less of."""
    c = len(outputs)
    if loss != "cross_entropy":
        delta, square = [outputs[k] - target[k] for k in range(c)], 0.0
        for one in delta:
            square = square + one * one
        return square * 0.5, delta
    top = outputs[0]
    for a in outputs[1:]:
        top = a if top < a else top
    e, s, label = [], 0.0, 0.0
    for k in range(c):
        a = outputs[k] - top
        label = label + target[k] * a
        e.append(exp(a))
        s = s + e[k]
    inverse = 1.0 / s
    return log(s) - label, [e[k] * inverse - target[k] for k in range(c)]


def gradient(w, x, y, sizes, activation, loss, decay, bias=True, scale=None):
    """Loss and gradient of one network; x, y, w are lists of floats (x and y one list a sample)."""
    total, sums = 0.0, [0.0] * len(w)
    for xs, ys in zip(x, y, strict=True):
        layers = forward(w, xs, sizes, activation, bias, scale)
        value, delta = cost(layers[-1][0], ys, loss)
        total = total + value
        end = len(w)
        for layer in range(len(sizes) - 2, -1, -1):
            (n, m), (z, units) = sizes[layer : layer + 2], layers[layer]
            begin = end - (n + bias) * m
            if bias:
                for k in range(m):
                    sums[begin + n * m + k] += delta[k]
            weighed = delta if scale is None else [one * scale[layer] for one in delta]
            below = []
            for j in range(n):
                g = 0.0
                for k in range(m):
                    sums[begin + j * m + k] += units[j] * weighed[k]
                    if layer:
                        g = g + w[begin + j * m + k] * weighed[k]
                if layer:
                    below.append(g * SLOPE[activation](z[j], units[j]))
            delta, end = below, begin
    by = divisor(loss, len(x), sizes[-1])
    penalty = 0.0
    for value in w if decay else ():
        penalty = penalty + value * value
    return total / by + (penalty * (0.5 * decay) if decay else 0.0), [
        s / by + v * decay for s, v in zip(sums, w, strict=True)
    ]


def descend(w, steps, lr, *arguments):
    """``steps`` steps of gradient descent from the list ``w``."""
    for _ in range(steps):
        w = [v - lr * g for v, g in zip(w, gradient(w, *arguments)[1], strict=True)]
    return w


def move(rule, w, g, memory, lr, t):
    """One weight and its memory after step t = 1, 2, ... with gradient g, by a rule and its numbers p, q, eps."""
    name, p, q, eps = rule
    if name == "gradient descent":
        return w - lr * g, []
    if name in ("heavy ball", "Nesterov"):
        v = memory[0] * p + g
        return w - lr * (v if name == "heavy ball" else g + v * p), [v]
    u = memory[0] if name != "Adam" else memory[1]
    u = math.sqrt((u * u) * q + (g * g) * (1.0 - q))
    if name == "RMSProp":
        return w - lr * (g / (u + eps)), [u]
    if name == "RMSProp with momentum":
        v = memory[1] * p + g / (u + eps)
        return w - lr * v, [u, v]
    m = memory[0] * p + g * (1.0 - p)
    power, other = 1.0, 1.0  # a power is a repeated product
    for _ in range(t):
        power, other = power * p, other * q
    return w - (lr / (1.0 - power)) * (m / (u / math.sqrt(1.0 - other) + eps)), [m, u]


MEMORY = {"gradient descent": 0, "heavy ball": 1, "Nesterov": 1, "RMSProp": 1, "RMSProp with momentum": 2, "Adam": 2}


def optimise(w, rule, rates, x, y, sizes, activation, loss, decay, bias=True, scale=None, *, shrink=0.0, batches=None):
    """The state, weights and then memory slot by slot, after as many steps as ``rates`` has entries, from empty memory.

    rule: name, p, q, eps (momentum or beta1, alpha or beta2). rates: of each step, the learning rate of each layer. shrink: the decay
    that multiplies the weights in place of being part of the gradient. batches: of each step, its samples in ascending order.
    """
    layer_of = [
        layer
        for layer, (n, m) in enumerate(itertools.pairwise(sizes))
        for _ in range((n + bias) * m)
    ]  # fmt: skip
    memory = [[0.0] * MEMORY[rule[0]] for _ in w]
    for t, rate in enumerate(rates):
        samples = range(len(x)) if batches is None else batches[t]
        seen = [x[s] for s in samples], [y[s] for s in samples]
        slope = gradient(w, *seen, sizes, activation, loss, decay, bias, scale)[1]
        moved = []
        for value, g, slots, layer in zip(w, slope, memory, layer_of, strict=True):
            lr = rate[layer]
            value = value * (1.0 - lr * shrink) if shrink else value
            moved.append(move(rule, value, g, slots, lr, t + 1))
        w, memory = [value for value, _ in moved], [slots for _, slots in moved]
    return w + [slots[i] for i in range(MEMORY[rule[0]]) for slots in memory]
