"""Training laid out on a line: classical scaling, the clocks of decorrelation, the spacings of final states."""

from .clocks import decorrelation_time, embedding_time, saturation_time
from .scaling import METHODS, EmbeddedCopies, Embedding, embed_copies, scalar_embedding
from .skewlognormal import SkewLognormal, fit_skew_lognormal, skew_lognormal_test
from .spacings import asymptotic_spacings, compare_spacings, one_form, rescale_spacings, spacing_null

__all__ = [
    "METHODS",
    "EmbeddedCopies",
    "Embedding",
    "SkewLognormal",
    "asymptotic_spacings",
    "compare_spacings",
    "decorrelation_time",
    "embed_copies",
    "embedding_time",
    "fit_skew_lognormal",
    "one_form",
    "rescale_spacings",
    "saturation_time",
    "scalar_embedding",
    "skew_lognormal_test",
    "spacing_null",
]
