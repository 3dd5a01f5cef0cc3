"""Grids of runs that survive a kill: one file a cell."""

from .grid import Check, Sweep, SweepError, SweepInterrupted, open_sweep, sweep

__all__ = ["Check", "Sweep", "SweepError", "SweepInterrupted", "open_sweep", "sweep"]
