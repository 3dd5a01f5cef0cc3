"""A picture as a plain-Python program on scalars, on top of tests/specification.py: what every pixel must give, to the bit."""

import math

import specification as spec


def power_of_ten(x):
    return spec.exp(x * 2.302585092994046)


def rates(centre, width, n):
    middle = power_of_ten(centre)
    return [middle + middle * spec.expm1(((i - 0.5 * (n - 1)) * (width / n)) * 2.302585092994046) for i in range(n)]


def losses(network, x, y, w, rate, steps, *, offset=0.0, batches=None):
    """l_0 ... l_T of one pixel, up to the first that is not finite or above 1e6 l_0."""
    x, y, w = x.tolist(), [[value] for value in y.tolist()], w.tolist()
    arguments = (network.widths, network.activation, network.loss, 0.0, network.bias, network.scale)
    first = network.n_inputs * network.widths[1]
    layer_of = network.layer_of
    found = []
    for t in range(steps + 1):
        w = [v + offset if p < first else v for p, v in enumerate(w)]
        loss, slope = spec.gradient(w, x, y, *arguments)
        found.append(loss)
        if not loss / found[0] <= 1e6:
            return found
        if batches is not None:
            some = batches.at(t).tolist()
            slope = spec.gradient(w, [x[s] for s in some], [y[s] for s in some], *arguments)[1]
        w = [v - rate[layer % 2] * g for v, g, layer in zip(w, slope, layer_of, strict=True)]
    return found


def pixel(some, steps):
    """(outcome, value, mean of the last losses over the first, step at which it ended) from what ``losses`` gives."""
    window = min(20, steps + 1)
    fall, rise, last = 0.0, 0.0, 0.0
    for t, loss in enumerate(some):
        ratio = loss / some[0]
        if not ratio <= 1e6:
            return -1, rise + (steps + 1 - t) * 1e-6, math.inf, t
        fall = fall + ratio
        rise = rise + (some[0] / loss if loss else math.inf)
        if t > steps - window:
            last = last + ratio
    last = last / window
    return (1, -fall, last, -1) if last < 1.0 else (0, rise, last, -1)
