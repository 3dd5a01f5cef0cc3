"""Networks: their sizes, activations and costs, and how their weights travel as flat vectors."""

from .activations import ACTIVATIONS
from .cost import COSTS
from .perceptron import Layers, Perceptron

__all__ = ["ACTIVATIONS", "COSTS", "Layers", "Perceptron"]
