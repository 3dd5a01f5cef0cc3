"""Maps of a state to the next one: the training of networks, what is left of it, and maps whose exponents are known."""

from .descent import Adam, AdamW, GradientDescent, RMSProp, Training, TrainingMap
from .diagonal import DiagonalNetwork
from .softmax import SoftmaxMap

__all__ = [
    "Adam",
    "AdamW",
    "DiagonalNetwork",
    "GradientDescent",
    "RMSProp",
    "SoftmaxMap",
    "Training",
    "TrainingMap",
]
