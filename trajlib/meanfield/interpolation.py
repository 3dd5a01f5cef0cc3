"""Where the gradient flow of a diagonal network ends on given data, without following it: the minimum of a convex function.

The flow is mirror descent, and with fewer samples than inputs it ends at the fit of least potential (Woodworth et al., COLT 2020): with
a = alpha², the sum of theta asinh(theta / a) / 2 - sqrt(theta² + a²) / 2. Its dual has as many unknowns as there are samples, no
constraint, and theta = a sinh(2 X' nu); damped Newton steps solve it, from a large alpha down to the one that is asked for.
"""

from __future__ import annotations

import numpy as np

from .. import _validate
from .._blas import one_thread
from ..dynamics.diagonal import check_data
from .model import check_size, moderate

__all__ = ["flow_limit"]

STAGE = 30.0
"""How much smaller alpha² may become from one stage to the next."""
STEPS = 200


def flow_limit(
    x: np.ndarray, y: np.ndarray, *, init_scale: float | np.ndarray = 0.3, tolerance: float = 1e-9
) -> np.ndarray:
    """The end of the gradient flow of a diagonal linear network without weight decay, on data that it can fit.

    Parameters
    ----------
    x : ndarray (n, d), float64
        Inputs, n at most d and of full rank.
    y : ndarray (n,), float64
        Targets.
    init_scale : float or ndarray (m,)
        alpha, every u and v at the start; several are found on the way to the smallest, at little more than its cost.
    tolerance : float
        Largest \\|X theta - y\\| left, relative to \\|y\\|.

    Returns
    -------
    ndarray (d,) or (m, d)
        theta. Of all theta with X theta = y that of least potential: least Euclidean norm for large alpha, least l1 norm for small.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range; if there are more samples than inputs, or samples depend on each other.
    ArithmeticError
        If Newton's method does not get there: alpha is too small, or the tolerance, for double precision.

    References
    ----------
    B. Woodworth et al., COLT 2020, arXiv 2002.09277 (theorem 1, for two layers).

    Examples
    --------
    >>> x, y = np.array([[1.0, 2.0]]), np.array([2.0])
    >>> flow_limit(x, y, init_scale=100.0).round(3)  # x' (x x')^-1 y
    array([0.4, 0.8])
    >>> (flow_limit(x, y, init_scale=1e-6).round(3) + 0.0)[1]  # the coordinate that costs less
    np.float64(1.0)
    """
    x, y = check_data(x, y)
    check_size(x, y)
    if x.shape[0] > x.shape[1]:
        raise ValueError(
            f"x must have at most as many samples as inputs, got shape {x.shape}; the flow ends at least squares"
        )
    given, tolerance = _validate.numbers_of("init_scale", init_scale), _validate.positive("tolerance", tolerance)
    if given.ndim > 1 or given.size == 0:
        raise ValueError(f"init_scale must be a number or a vector (m,), got shape {given.shape}")
    scales = np.array([moderate("init_scale", float(scale)) for scale in given.ravel()]) ** 2
    found = np.zeros((len(scales), x.shape[1]))
    size = np.linalg.norm(y)
    if size > 0:
        with one_thread(x.size):
            try:
                least_norm = x.T @ _solved(x @ x.T, y)
            except ArithmeticError as error:
                raise ValueError(f"x must have rows that are linearly independent: {error}") from None
            a, nu = float(np.abs(least_norm).max()), np.zeros(len(y))
            for i in np.argsort(-scales):
                for smaller in _stages(a, float(scales[i])):
                    largest = np.abs(nu @ x).max()  # theta of the same size, roughly, as with the last alpha
                    if largest > 0:
                        nu = nu * np.arcsinh(a / smaller * np.sinh(2.0 * largest)) / (2.0 * largest)
                    a, nu = (
                        smaller,
                        _newton(x, y, smaller, nu, float((tolerance if smaller == scales[i] else 1e-2) * size)),
                    )
                found[i] = a * np.sinh(2.0 * (nu @ x))
    return found if given.ndim else found[0]


def _stages(start: float, end: float) -> list[float]:
    """Values of alpha² on the way, the last of them the end."""
    between = int(np.log(max(start / end, 1.0)) / np.log(STAGE))
    return [*(start * STAGE ** -np.arange(1.0, between + 1)), float(end)]


def _newton(x: np.ndarray, y: np.ndarray, a: float, nu: np.ndarray, enough: float) -> np.ndarray:
    """The minimum over nu of the sum of a cosh(2 X' nu) / 2 less y' nu, from a guess, to a gradient of this size."""

    def value(nu: np.ndarray) -> float:
        with np.errstate(over="ignore"):
            return float(0.5 * a * np.cosh(2.0 * (nu @ x)).sum() - y @ nu)

    now = value(nu)
    while not np.isfinite(now):
        nu = 0.5 * nu
        now = value(nu)
    for _ in range(STEPS):
        force = 2.0 * (nu @ x)
        missing = y - a * (x @ np.sinh(force))
        if np.linalg.norm(missing) <= enough:
            return nu
        half = x * np.sqrt(2.0 * a * np.cosh(force))
        step = _solved(half @ half.T, missing)
        slope, length = missing @ step, min(1.0, 2.0 / np.abs(step @ x).max())
        while not (new := value(nu + length * step)) <= now - 1e-4 * length * slope + 1e-13 * abs(now):
            length *= 0.5
            if length < 1e-12:
                raise ArithmeticError(
                    f"no step brings the fit closer than {np.linalg.norm(missing):.2g} at alpha² = {a:.2g}"
                )
        nu, now = nu + length * step, new
    raise ArithmeticError(
        f"the fit is {np.linalg.norm(missing):.2g} away after {STEPS} Newton steps at alpha² = {a:.2g}"
    )


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution of a positive definite system."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        return cho_solve(cho_factor(matrix, lower=True, check_finite=False), right)
    except LinAlgError:
        raise ArithmeticError("the system is singular, or nearly so") from None
