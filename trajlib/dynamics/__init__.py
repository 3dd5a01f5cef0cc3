"""Maps of a state to the next one: the training of networks, what is left of it, and maps whose exponents are known."""

from .descent import GradientDescent, TrainingMap
from .diagonal import DiagonalNetwork
from .softmax import SoftmaxMap

__all__ = ["DiagonalNetwork", "GradientDescent", "SoftmaxMap", "TrainingMap"]
