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
from .mnist import mnist
from .networks import Layers, Perceptron
from .skewlognormal import fit_skew_lognormal
from .spacings import asymptotic_spacings
from .stability.covariant import CovariantVectors, covariant_vectors, pair_angles
from .stability.distances import displacement, l1_distance, path_length
from .stability.expansion import ExpansionFit, expansion_rate
from .stability.finite_time import FiniteTimeExponents, finite_time_exponents
from .stability.lyapunov import Spectrum, lyapunov_spectrum, sharpness
from .stability.phases import Phases, PhaseStatistics, detect_period, phases
from .stability.present import PresentVectors, present_vectors
from .stability.series import Autocorrelation, LocalExponents, autocorrelation, local_exponents
from .stability.tangent import Tangent, tangent
from .sweeps import Sweep, SweepError, open_sweep, sweep
from .tasks import Task, digits, iris

__version__ = "0.1.0"
__all__ = [
    "Autocorrelation",
    "Collapse",
    "CovariantVectors",
    "Divergence",
    "Embedding",
    "ExpansionFit",
    "FiniteTimeExponents",
    "GradientDescent",
    "Interrupted",
    "Layers",
    "LocalExponents",
    "MapComparison",
    "Perceptron",
    "PhaseStatistics",
    "Phases",
    "PresentVectors",
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
    "claims",
    "collapse",
    "compare_with_map",
    "covariant_vectors",
    "decorrelation_time",
    "detect_period",
    "digits",
    "displacement",
    "diverge",
    "embedding_time",
    "expansion_rate",
    "finite_time_exponents",
    "fit_skew_lognormal",
    "iris",
    "l1_distance",
    "local_exponents",
    "lyapunov_spectrum",
    "map_exponents",
    "mnist",
    "open_sweep",
    "pair_angles",
    "path_length",
    "perturb",
    "phases",
    "present_vectors",
    "rung_changes",
    "scalar_embedding",
    "sharpness",
    "sweep",
    "tangent",
    "train",
]
