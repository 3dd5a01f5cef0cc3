"""Training laid out on a line: classical scaling, the clocks of decorrelation, the spacings of final states."""

from .clocks import decorrelation_time, embedding_time
from .scaling import METHODS, EmbeddedCopies, Embedding, embed_copies, scalar_embedding
from .skewlognormal import SkewLognormal, fit_skew_lognormal, skew_lognormal_test
from .spacings import asymptotic_spacings, compare_spacings, rescale_spacings, spacing_null

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
    "rescale_spacings",
    "scalar_embedding",
    "skew_lognormal_test",
    "spacing_null",
]
