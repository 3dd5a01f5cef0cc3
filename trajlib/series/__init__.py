"""Series and distances along trajectories, from arrays alone: growth rates, exponents of a series, periods, phases."""

from .distances import displacement, l1_distance, path_length
from .expansion import ExpansionFit, expansion_rate
from .local import Autocorrelation, LocalExponents, autocorrelation, local_exponents
from .phases import Phases, PhaseStatistics, detect_period, phases

__all__ = [
    "Autocorrelation",
    "ExpansionFit",
    "LocalExponents",
    "PhaseStatistics",
    "Phases",
    "autocorrelation",
    "detect_period",
    "displacement",
    "expansion_rate",
    "l1_distance",
    "local_exponents",
    "path_length",
    "phases",
]
