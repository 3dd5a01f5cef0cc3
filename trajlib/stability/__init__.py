"""Stability of trajectories: distances, growth rates, tangent dynamics."""
