"""What a network learns: inputs, targets and a held-out part."""

from .mnist import mnist
from .small import PLANES, Task, digits, iris, plane

__all__ = ["PLANES", "Task", "digits", "iris", "mnist", "plane"]
