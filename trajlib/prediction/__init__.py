"""How training will end, told from its beginning: indicators, held-out prediction, ROC curves, stopping."""

from .predict import (
    BASELINES,
    METHODS,
    Prediction,
    assign_folds,
    baselines,
    outcomes,
    predict_outcome,
    predict_with_trees,
)
from .roc import AUC, AUCDifference, RocCurve, auc, compare_auc, roc_curve
from .stopping import StoppingRule, indicator_cost, step_cost, stopping_rule, thinned_exponents

__all__ = [
    "AUC",
    "BASELINES",
    "METHODS",
    "AUCDifference",
    "Prediction",
    "RocCurve",
    "StoppingRule",
    "assign_folds",
    "auc",
    "baselines",
    "compare_auc",
    "indicator_cost",
    "outcomes",
    "predict_outcome",
    "predict_with_trees",
    "roc_curve",
    "step_cost",
    "stopping_rule",
    "thinned_exponents",
]
