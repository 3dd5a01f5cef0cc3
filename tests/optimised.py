"""Small trainings that between them have every rule, activation, loss, schedule and way of taking samples; and how others compute them."""

import numpy as np
import specification

import trajlib as tl
from trajlib import schedules


def labelled(samples, inputs=4, classes=3):
    """Normal inputs with random labels."""
    rng = np.random.default_rng(samples)
    x, y = rng.normal(size=(samples, inputs)), rng.integers(0, classes, samples)
    return tl.Task(f"{samples} labels", x=x, y=y, class_names=tuple("abc"[:classes]))


def curve(samples):
    """Two inputs, one number."""
    x = np.random.default_rng(samples).normal(size=(samples, 2))
    return tl.Task("curve", x=x, y=x[:, 0] * x[:, 1])


P = tl.Perceptron
DEEP_TANH = P(4, (5, 3, 4), 3, activation="tanh")
GELU = P(3, (4, 4), 2, activation="gelu", bias=False, scale="mean_field")
RELU = P(4, 6, 3, activation="relu")
GELU_TANH = P(4, (4, 3), 3, activation="gelu_tanh")
IDENTITY = P(2, (3, 2), 1, activation="identity", loss="mean_squared_error")
SCALED = P(4, 5, 3, loss="half_squared_error", scale=(0.5, 1.5))
SIGMOID = P(4, (4, 3), 3, loss="mean_squared_error")
CASES = {
    "Adam, batches of 7 of 20": lambda **o: tl.Adam(DEEP_TANH, labelled(20), **({"lr": 0.01, "batch_size": 7} | o)),
    "heavy ball, one rate a layer": lambda **o: tl.GradientDescent(
        GELU, labelled(24, 3, 2), **({"lr": (0.05, 0.1, 0.02), "momentum": 0.9} | o)
    ),
    "Nesterov, cosine": lambda **o: tl.GradientDescent(
        RELU,
        labelled(30),
        **({"lr": schedules.cosine(0.1, 40, 0.01), "momentum": 0.8, "nesterov": True, "weight_decay": 0.01} | o),
    ),
    "AdamW": lambda **o: tl.AdamW(GELU_TANH, labelled(13), **({"lr": 0.02, "betas": (0.8, 0.99)} | o)),
    "RMSProp with momentum": lambda **o: tl.RMSProp(
        IDENTITY, curve(11), **({"lr": 0.003, "momentum": 0.5, "weight_decay": 0.02} | o)
    ),
    "RMSProp, drawn with replacement": lambda **o: tl.RMSProp(
        SCALED,
        labelled(9),
        **(
            {"lr": 0.01, "alpha": 0.9, "batch_size": 10, "replacement": True}
            | {"weight_decay": 0.1, "decoupled_weight_decay": True}
            | o
        ),
    ),
    "gradient descent, schedules a layer": lambda **o: tl.GradientDescent(
        SIGMOID,
        labelled(17),
        **(
            {"lr": (schedules.step(0.5, 7, 0.5), 0.3, schedules.warm_up(0.2, 5, 0.1)), "batch_size": 5}
            | {"weight_decay": 0.1, "decoupled_weight_decay": True}
            | o
        ),
    ),
}


def weights(gd, n, seed=1):
    """Weights at which nothing is 0, biases neither."""
    return 0.7 * gd.network.init(n, seed=seed) + 0.1 * np.random.default_rng(seed).normal(size=(n, gd.n_parameters))


def rates(gd, steps):
    """Of each step, the learning rate of each layer."""
    each = gd.lr if isinstance(gd.lr, tuple) else (gd.lr,) * gd.network.depth
    return [[float(lr(t)) if callable(lr) else lr for lr in each] for t in range(steps)]


def specified(gd, w, steps):
    """State and loss after some steps from weights w, by the specification."""
    net, rule = gd.network, gd.rule
    problem = (gd.task.x.tolist(), gd.targets.tolist(), net.widths, net.activation, net.loss, gd.problem.decay)
    z = specification.optimise(
        w.tolist(),
        (rule.name, rule.p, rule.q, rule.eps),
        rates(gd, steps),
        *problem,
        net.bias,
        net.scale,
        shrink=gd.weight_decay if gd.decoupled_weight_decay else 0.0,
        batches=gd.batches and [gd.batches.at(t).tolist() for t in range(steps)],
    )
    return z, specification.gradient(z[: len(w)], *problem, net.bias, net.scale)[0]
