"""trajlib: the training of a neural network as the trajectory of a dynamical system.

>>> import trajlib as tl
>>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0)
>>> w0 = gd.network.init(100, seed=0)
>>> div = tl.diverge(gd, w0, radius=1e-8, copies=5, steps=200)
>>> div.distance.shape
(100, 5, 201)
"""

from __future__ import annotations

import importlib
import sys
import types

from . import _moved

__version__ = "0.1.0"
__all__ = [
    # tasks and models
    "Task",
    "digits",
    "iris",
    "mnist",
    "plane",
    "Perceptron",
    # dynamics
    "GradientDescent",
    "Adam",
    "AdamW",
    "RMSProp",
    "schedules",
    "SoftmaxMap",
    "DiagonalNetwork",
    # ensembles
    "train",
    "perturb",
    "diverge",
    "Interrupted",
    # stability
    "tangent",
    "lyapunov_spectrum",
    "finite_time_exponents",
    "covariant_vectors",
    "present_vectors",
    "sharpness",
    "hessian_density",
    # series
    "expansion_rate",
    "local_exponents",
    "autocorrelation",
    "phases",
    # boundary
    "trainability",
    "box_counting_dimension",
    "uncertainty_exponent",
    # embedding, prediction, theory
    "scalar_embedding",
    "embed_copies",
    "predict_outcome",
    "auc",
    "dmft",
    # sweeps, progress, files of results
    "sweep",
    "open_sweep",
    "report_progress",
    "load",
]

_HOME = {
    "boundary": "box_counting_dimension trainability uncertainty_exponent",
    "companion.claims": "",
    "companion.bundled": "bundled_sweep",
    "dynamics": "Adam AdamW DiagonalNetwork GradientDescent RMSProp SoftmaxMap",
    "embedding": "Embedding SkewLognormal asymptotic_spacings compare_spacings decorrelation_time embed_copies embedding_time "
    "fit_skew_lognormal one_form rescale_spacings saturation_time scalar_embedding skew_lognormal_test spacing_null",
    "ensembles": "Divergence Interrupted Trajectories diverge perturb train",
    "meanfield": "Descent DiagonalFlow FlowPath LongTime MeanField NotConverged basis_pursuit diagonal_descent diagonal_flow dmft "
    "dmft_descent flow_limit gradient_flow long_time minimum_norm spectrum_edge",
    "models": "Layers Perceptron",
    "optimisers": "schedules",
    "prediction": "AUC AUCDifference Prediction RocCurve StoppingRule assign_folds auc baselines compare_auc indicator_cost outcomes "
    "predict_outcome roc_curve step_cost stopping_rule",
    "progress": "report_progress",
    "reduction": "Collapse MapComparison RungChanges collapse compare_with_map map_exponents rung_changes",
    "results": "Result load",
    "series": "Autocorrelation ExpansionFit LocalExponents PhaseStatistics Phases autocorrelation detect_period displacement "
    "expansion_rate l1_distance local_exponents path_length phases",
    "stability": "CovariantVectors FiniteTimeExponents HessianDensity PresentVectors Spectrum Tangent covariant_vectors "
    "cycle_multipliers cycle_period "
    "finite_time_exponents gauss_newton growth_by_sign hessian_density lyapunov_spectrum pair_angles present_vectors sharpness "
    "shift_directions tangent transverse transverse_basis",
    "sweeps": "Sweep SweepError open_sweep sweep",
    "tasks": "Task digits iris mnist plane",
}
"""Where each name of the top level lives. Those of ``__all__`` are the ones that a user meets first; the others live in the submodules, and
are here because they always were."""

_WHERE = {name: module for module, names in _HOME.items() for name in names.split()}
_moved.install()


class _Package(types.ModuleType):
    """Importing ``trajlib.mnist``, the old address of a module, does not hide the function of that name."""

    def __setattr__(self, name: str, value):
        if not (name in _WHERE and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str):
    """Names are looked up when they are first used, so that importing the library stays quick."""
    if name in _WHERE:
        value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    elif name in _moved.MODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        try:
            value = importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
