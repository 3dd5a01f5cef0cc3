"""The fused CPU engine: bit-reproducible, compiled by Numba for the sizes at hand."""
