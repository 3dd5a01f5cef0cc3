"""Stability of trajectories: tangent dynamics, exponents, covariant vectors, sharpness."""

from .covariant import CovariantVectors, covariant_vectors, pair_angles
from .curvature import HessianDensity, gauss_newton, hessian_density
from .cycles import cycle_multipliers, cycle_period
from .finite_time import FiniteTimeExponents, finite_time_exponents
from .lyapunov import Spectrum, lyapunov_spectrum
from .present import PresentVectors, present_vectors
from .sharpness import sharpness
from .signs import growth_by_sign
from .tangent import Tangent, tangent
from .transverse import shift_directions, transverse, transverse_basis

__all__ = [
    "CovariantVectors",
    "FiniteTimeExponents",
    "HessianDensity",
    "PresentVectors",
    "Spectrum",
    "Tangent",
    "covariant_vectors",
    "cycle_multipliers",
    "cycle_period",
    "finite_time_exponents",
    "gauss_newton",
    "growth_by_sign",
    "hessian_density",
    "lyapunov_spectrum",
    "pair_angles",
    "present_vectors",
    "sharpness",
    "shift_directions",
    "tangent",
    "transverse",
    "transverse_basis",
]
