"""Diagonal linear networks in the limit of many inputs: direct simulation, dynamical mean-field theory, and the end of the flow."""

from ..dynamics.diagonal import DiagonalNetwork
from .descent import Descent, diagonal_descent, dmft_descent
from .flow import DiagonalFlow, FlowPath, diagonal_flow, gradient_flow
from .interpolation import flow_limit
from .limits import LongTime, basis_pursuit, long_time, minimum_norm, spectrum_edge
from .model import Setting
from .solver import MeanField, NotConverged, dmft

__all__ = [
    "Descent",
    "DiagonalFlow",
    "DiagonalNetwork",
    "FlowPath",
    "LongTime",
    "MeanField",
    "NotConverged",
    "Setting",
    "basis_pursuit",
    "diagonal_descent",
    "diagonal_flow",
    "dmft",
    "dmft_descent",
    "flow_limit",
    "gradient_flow",
    "long_time",
    "minimum_norm",
    "spectrum_edge",
]
