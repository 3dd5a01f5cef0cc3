"""Series and distances along trajectories, from arrays alone: growth rates, exponents of a series, periods, phases, times to learn."""

from .distances import displacement, l1_distance, path_length
from .expansion import ExpansionFit, expansion_rate
from .learning import BestOf, LearningTimes, best_of, learning_times, time_to_threshold
from .local import Autocorrelation, LocalExponents, autocorrelation, local_exponents
from .onsets import FastestRate, RateRatio, ThresholdRate, fastest_rate, rate_ratio, threshold_rate
from .phases import Phases, PhaseStatistics, detect_period, phases

__all__ = [
    "Autocorrelation",
    "BestOf",
    "ExpansionFit",
    "FastestRate",
    "LearningTimes",
    "LocalExponents",
    "PhaseStatistics",
    "Phases",
    "RateRatio",
    "ThresholdRate",
    "autocorrelation",
    "best_of",
    "detect_period",
    "displacement",
    "expansion_rate",
    "fastest_rate",
    "l1_distance",
    "learning_times",
    "local_exponents",
    "path_length",
    "phases",
    "rate_ratio",
    "threshold_rate",
    "time_to_threshold",
]
