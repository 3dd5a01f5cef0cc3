"""What the tests of Lyapunov and covariant vectors share: a network of 9 parameters, and how far two directions are apart."""

import numpy as np

import trajlib as tl


def parabola(n=50, seed=0):
    """Two inputs, one output: y = (x1 + x2)^2 / 1.2."""
    x = np.random.default_rng(seed).uniform(-2, 2, (n, 2))
    return tl.Task("parabola", x=x, y=x.sum(axis=1) ** 2 / 1.2)


def small(activation="tanh", lr=1e-3, **options):
    """Gradient descent of the network 2-2-1, 9 parameters."""
    net = tl.Perceptron(2, 2, 1, activation=activation, loss="half_squared_error")
    return tl.GradientDescent(net, parabola(), lr=lr, **options)


def parallel(a, b):
    """Sine of the angle between columns of unit length; sin = |a - (a.b) b| keeps its digits where it is small."""
    return np.linalg.norm(a - (a * b).sum(axis=-2, keepdims=True) * b, axis=-2)
