"""Optimisers: update rules with their tangents, learning rate schedules, and the order of minibatches."""

from . import schedules
from .batches import Batches
from .rules import RULES, Rule
from .schedules import Schedule

__all__ = ["RULES", "Batches", "Rule", "Schedule", "schedules"]
