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
from .embedding import Embedding, embed_copies, scalar_embedding
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
from .prediction import Prediction, assign_folds, baselines, outcomes, predict_outcome
from .progress import report_progress
from .roc import AUC, AUCDifference, RocCurve, auc, compare_auc, roc_curve
from .skewlognormal import SkewLognormal, fit_skew_lognormal, skew_lognormal_test
from .spacings import asymptotic_spacings, compare_spacings, rescale_spacings, spacing_null
from .stability.covariant import CovariantVectors, covariant_vectors, pair_angles
from .stability.distances import displacement, l1_distance, path_length
from .stability.expansion import ExpansionFit, expansion_rate
from .stability.finite_time import FiniteTimeExponents, finite_time_exponents
from .stability.lyapunov import Spectrum, lyapunov_spectrum, sharpness
from .stability.phases import Phases, PhaseStatistics, detect_period, phases
from .stability.present import PresentVectors, present_vectors
from .stability.series import Autocorrelation, LocalExponents, autocorrelation, local_exponents
from .stability.tangent import Tangent, tangent
from .stopping import StoppingRule, indicator_cost, step_cost, stopping_rule
from .sweeps import Sweep, SweepError, bundled_sweep, open_sweep, sweep
from .tasks import Task, digits, iris, plane

__version__ = "0.1.0"
__all__ = [
    "AUC",
    "AUCDifference",
    "Autocorrelation",
    "Collapse",
    "CovariantVectors",
    "DiagonalFlow",
    "DiagonalNetwork",
    "Divergence",
    "Embedding",
    "ExpansionFit",
    "FiniteTimeExponents",
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
    "Prediction",
    "PresentVectors",
    "RocCurve",
    "RungChanges",
    "SkewLognormal",
    "SoftmaxMap",
    "Spectrum",
    "StoppingRule",
    "Sweep",
    "SweepError",
    "Tangent",
    "Task",
    "Trajectories",
    "assign_folds",
    "asymptotic_spacings",
    "auc",
    "autocorrelation",
    "baselines",
    "basis_pursuit",
    "bundled_sweep",
    "claims",
    "collapse",
    "compare_auc",
    "compare_spacings",
    "compare_with_map",
    "covariant_vectors",
    "decorrelation_time",
    "detect_period",
    "diagonal_flow",
    "digits",
    "displacement",
    "diverge",
    "dmft",
    "embed_copies",
    "embedding_time",
    "expansion_rate",
    "finite_time_exponents",
    "fit_skew_lognormal",
    "gradient_flow",
    "indicator_cost",
    "iris",
    "l1_distance",
    "local_exponents",
    "long_time",
    "lyapunov_spectrum",
    "map_exponents",
    "minimum_norm",
    "mnist",
    "open_sweep",
    "outcomes",
    "pair_angles",
    "path_length",
    "perturb",
    "phases",
    "plane",
    "predict_outcome",
    "present_vectors",
    "report_progress",
    "rescale_spacings",
    "roc_curve",
    "rung_changes",
    "scalar_embedding",
    "sharpness",
    "skew_lognormal_test",
    "spacing_null",
    "spectrum_edge",
    "step_cost",
    "stopping_rule",
    "sweep",
    "tangent",
    "train",
]
