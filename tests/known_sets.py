"""Sets of pixels whose dimension is known."""

import numpy as np

RABBIT = -0.12256116687665362 + 0.7448617666197443j
"""Douady's rabbit, c with the third iterate of 0 at 0."""


def line(n, slope=0.37):
    """(n, n): the pixels on a straight line."""
    i = np.arange(n)
    return i[:, None] == np.floor(0.21 * n + slope * i)[None, :]


def koch(n, levels=8):
    """(n, n): Koch's curve, dimension ln 4 / ln 3."""
    points = np.array([0.02 + 0.3j, 0.98 + 0.3j])
    for _ in range(levels):
        a, step = points[:-1], np.diff(points) / 3
        turned = a + step + step * np.exp(1j * np.pi / 3)
        points = np.append(np.stack([a, a + step, turned, a + 2 * step], axis=1).ravel(), points[-1])
    mask = np.zeros((n, n), dtype=bool)
    for share in np.arange(4) / 4:  # segments are shorter than a pixel
        some = points[:-1] + share * np.diff(points)
        mask[(some.imag * n).astype(int), (some.real * n).astype(int)] = True
    return mask


def carpet(levels):
    """(3^levels, 3^levels): Sierpinski's carpet, dimension ln 8 / ln 3."""
    mask = np.ones((1, 1), dtype=bool)
    for _ in range(levels):
        mask = np.kron(mask, np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool))
    return mask


def cloud(n, share, seed=0):
    """(n, n): pixels drawn at random."""
    return np.random.default_rng(seed).random((n, n)) < share


def stays(z, c, steps):
    """Where z -> z^2 + c has not left |z| <= 4 after so many steps."""
    z, c = np.broadcast_arrays(z, c)
    left, z, c = np.arange(z.size), z.ravel().copy(), c.ravel()
    inside = np.zeros(z.size, dtype=bool)
    for _ in range(steps):
        z = z * z + c[left]
        keep = np.abs(z) <= 4
        left, z = left[keep], z[keep]
    inside[left] = True
    return inside


def plane(n, centre, width):
    """(n, n) complex numbers."""
    d = (np.arange(n) - 0.5 * (n - 1)) * (width / n)
    return centre + d[:, None] * 1j + d[None, :]


def julia(n, c, width=2.8, steps=200):
    """(n, n) bool: the filled Julia set."""
    return stays(plane(n, 0, width).ravel(), np.array(c), steps).reshape(n, n)


def mandelbrot(n, steps=400):
    """(n, n) bool: Mandelbrot's set."""
    c = plane(n, -0.65, 2.8)
    return stays(np.zeros(n * n, dtype=complex), c.ravel(), steps).reshape(n, n)
