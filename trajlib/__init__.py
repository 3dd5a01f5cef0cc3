"""trajlib: the training of a neural network as the trajectory of a dynamical system.

>>> import trajlib as tl
>>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0)
>>> w0 = gd.network.init(100, seed=0)
>>> div = tl.diverge(gd, w0, radius=1e-8, copies=5, steps=200)
>>> div.distance.shape
(100, 5, 201)
"""

from . import claims
from .decorrelation import decorrelation_time, embedding_time
from .embedding import Embedding, scalar_embedding
from .ensembles import Divergence, Interrupted, Trajectories, diverge, perturb, train
from .intermittency import Collapse, MapComparison, RungChanges, collapse, compare_with_map, map_exponents, rung_changes
from .maps import GradientDescent, SoftmaxMap
from .meanfield import (
    DiagonalFlow,
    DiagonalNetwork,
    FlowPath,
    LongTime,
    MeanField,
    NotConverged,
    basis_pursuit,
    diagonal_flow,
    dmft,
    gradient_flow,
    long_time,
    minimum_norm,
    spectrum_edge,
)
from .mnist import mnist
from .networks import Layers, Perceptron
from .skewlognormal import fit_skew_lognormal
from .spacings import asymptotic_spacings
from .stability.distances import displacement, l1_distance, path_length
from .stability.expansion import ExpansionFit, expansion_rate
from .stability.lyapunov import Spectrum, lyapunov_spectrum, sharpness
from .stability.phases import Phases, PhaseStatistics, detect_period, phases
from .stability.series import Autocorrelation, LocalExponents, autocorrelation, local_exponents
from .stability.tangent import Tangent, tangent
from .sweeps import Sweep, SweepError, open_sweep, sweep
from .tasks import Task, digits, iris

__version__ = "0.1.0"
__all__ = [
    "Autocorrelation",
    "Collapse",
    "DiagonalFlow",
    "DiagonalNetwork",
    "Divergence",
    "Embedding",
    "ExpansionFit",
    "FlowPath",
    "GradientDescent",
    "Interrupted",
    "Layers",
    "LocalExponents",
    "LongTime",
    "MapComparison",
    "MeanField",
    "NotConverged",
    "Perceptron",
    "PhaseStatistics",
    "Phases",
    "RungChanges",
    "SoftmaxMap",
    "Spectrum",
    "Sweep",
    "SweepError",
    "Tangent",
    "Task",
    "Trajectories",
    "asymptotic_spacings",
    "autocorrelation",
    "basis_pursuit",
    "claims",
    "collapse",
    "compare_with_map",
    "decorrelation_time",
    "detect_period",
    "diagonal_flow",
    "digits",
    "displacement",
    "diverge",
    "dmft",
    "embedding_time",
    "expansion_rate",
    "fit_skew_lognormal",
    "gradient_flow",
    "iris",
    "l1_distance",
    "local_exponents",
    "long_time",
    "lyapunov_spectrum",
    "map_exponents",
    "minimum_norm",
    "mnist",
    "open_sweep",
    "path_length",
    "perturb",
    "phases",
    "rung_changes",
    "scalar_embedding",
    "sharpness",
    "spectrum_edge",
    "sweep",
    "tangent",
    "train",
]
