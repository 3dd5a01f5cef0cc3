"""Networks: their sizes, activations and costs, and how their weights travel as flat vectors."""

from .perceptron import Layers, Perceptron

__all__ = ["Layers", "Perceptron"]
