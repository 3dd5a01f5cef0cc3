"""What is known of a run at early steps: the indicators that chapter 5 predicts from."""

from __future__ import annotations

import numpy as np

from ..dynamics.descent import GradientDescent
from ..prediction.predict import baselines
from ..stability.finite_time import finite_time_exponents
from ..stability.present import present_vectors

__all__ = ["early_indicators"]


def early_indicators(gd: GradientDescent, w0: np.ndarray, at: np.ndarray, *, seed: int = 0) -> dict[str, np.ndarray]:
    """All indicators of networks (n, p) at steps (r,), which may repeat: arrays (n, r, features); rates per unit of t = lr * step.

    "orthonormal" and "exponents" are the finite-time exponents of Benettin's vectors and those of singular values; "growth" and "angles"
    belong to the covariant vectors of the frozen Jacobian; "baselines" are logarithms of loss, gradient norm, sharpness and weight norm;
    "weights" and the "eigenvalues" of the Hessian are those of the step. What has diverged is nan, inf or 0.
    """
    steps, place = np.unique(at, return_inverse=True)
    ftle = finite_time_exponents(gd, w0, int(steps[-1]), at=steps, singular_values=True, seed=seed)
    now = present_vectors(gd, w0, steps, method="frozen", seed=seed)
    upper = np.triu_indices(gd.n_parameters, 1)
    with np.errstate(all="ignore"):
        base = np.log(np.abs(np.stack([baselines(gd, now.states[:, i]) for i in range(len(steps))], axis=1)))
        eigen = np.linalg.eigvalsh(np.nan_to_num(gd.hessian(now.states), posinf=0.0, neginf=0.0))
    found = {
        "orthonormal": ftle.exponents / gd.lr, "exponents": ftle.singular_exponents / gd.lr, "growth": now.growth / gd.lr,
        "angles": now.angles[..., upper[0], upper[1]], "baselines": base, "eigenvalues": eigen, "weights": now.states,
    }  # fmt: skip
    return {name: np.ascontiguousarray(values[:, place]) for name, values in found.items()}
