"""Is the boundary of trainability fractal, over which range, and why? Findings behind chapter 8.

boundary.py            # all; about 15 minutes of one core
boundary.py NAME ...   # these alone: pictures, uncertainty, many, still, zooms, saddle, steps, longer, wide, other

Fixed before anything but the time it takes was looked at (on draw 99, which is in no finding):

- Six conditions (``trajlib.companion.trained_planes``), 8 inputs and units, 500 steps, the paper's rule: training converges if
  the mean of the last 20 losses is below the first. Draws 0 to 3 of data and weights.
- Where to look: a picture of 32 x 32 pixels over log10 rates from -2 to 4 (offsets from -1 to 1); its blocks of 2 x 2 pixels
  that do not all end alike. Points are uniform in these.
- Uncertainty: 1,000 pairs at each of eight distances from 1e-13 to 1e-2, by ``tl.uncertainty_exponent``; for "converged" against
  the rest, and for "ended" against the rest. A boundary is called fractal where the exponent is resolved and the dimension is above
  1 by 0.05 and two standard errors. It reaches over ten decades where the scaling range does.
- Where 1,000 pairs turned out to be too few (identity, single sample: their dimension is lower): 20,000 at fifteen distances.
- Boxes: 192 x 192 pixels, sizes 2, 4, 8, 16, at depths 1, 1e-5, 1e-11 of the whole (tanh, where a pixel is expensive: 1e-3 and 1e-11;
  minibatch and offset: 1e-6), draw 0; the way down is a random block of the boundary at each power of ten. The median of those that
  are resolved. The two estimates agree where they differ by at most 0.15.
- A run that must come out smooth: 500 steps where the first layer stands still (rates about 1e-12), so that the loss is convex.
  (5 steps of all, planned at first, are not: at rates of 1000, one draw of tanh had 1.24 between 1e-4 and 1e-3.)
- Saddle: 400 orbits, draw 0; escape rate, largest exponent, and 2 - rate / exponent, where both are resolved.

Added to vary what had been held fixed, and fixed before it was looked at: the same 1,000 pairs on draw 0 after 2,000 and 4,000 steps
(longer), and with the paper's 16 inputs and units (wide); saddle and boxes, at the same depths, on draw 1 (other).
"""

import argparse
from pathlib import Path

import numpy as np

from trajlib.companion import findings
from trajlib.companion import trained_planes as tp

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "data" / "findings"
SIX = list(tp.CONDITIONS)
SCALES = [10.0**k for k in range(-13, -1)]
DEPTHS = {"tanh": [1e-3, 1e-11], "minibatch": [1e-6], "offset": [1e-6]}


def fitted(several) -> dict[str, np.ndarray]:
    """Of results by :func:`trained_planes.uncertainty` (or None) in a nested list: arrays with its axes, then label, then scale."""
    cells, shape = [], []
    level = several
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0]

    def walk(x):
        if isinstance(x, list):
            for one in x:
                walk(one)
        else:
            cells.append(x)

    walk(several)
    k = next(len(c[0]["converged"].scales) for c in cells if c is not None)
    numbers = ("exponent", "standard_error", "smallest", "largest", "resolved")
    out = {n: np.full((len(cells), 2), np.nan) for n in numbers}
    out["uncertain"] = np.full((len(cells), 2, k), np.nan)
    out["pairs"] = np.full((len(cells), k, 3), -1, dtype=np.int32)
    for i, cell in enumerate(cells):
        if cell is None:
            continue
        for j, label in enumerate(tp.LABELS):
            for n in numbers:
                out[n][i, j] = getattr(cell[0][label], n)
            out["uncertain"][i, j] = cell[0][label].uncertain
        out["pairs"][i] = cell[1]
    return {n: a.reshape(*shape, *a.shape[1:]) for n, a in out.items()}


def boundary_uncertainty(conditions, draws, points, scales, steps, seed):
    """Uncertainty exponents: conditions, draws, labels."""
    found = [
        [say(name, d, tp.uncertainty(tp.plane(name, d), points, scales, steps, seed=seed)) for d in draws]
        for name in conditions
    ]
    return fitted(found) | {"scales": np.array(scales)}


def boundary_many(conditions, draws, points, scales, steps, seed):
    """As boundary_uncertainty, with more pairs."""
    return boundary_uncertainty(conditions, draws, points, scales, steps, seed)


def boundary_longer(conditions, draws, points, scales, steps, seed):
    """As boundary_steps, for long runs."""
    return boundary_steps(conditions, draws, points, scales, steps, seed)


def boundary_wide(conditions, draws, points, scales, steps, seed, units):
    """As boundary_uncertainty, with other numbers of inputs and units: conditions, draws, labels."""
    found = [
        [
            say(name, (d, units), tp.uncertainty(tp.plane(name, d, units=units), points, scales, steps, seed=seed))
            for d in draws
        ]
        for name in conditions
    ]
    return fitted(found) | {"scales": np.array(scales)}


def boundary_still(conditions, draws, points, scales, steps, pixels, sizes, seed):
    """The same where only the second layer learns, and boxes in the whole picture and at a depth of 1e-4."""
    planes = [[tp.plane(name, d, still=True) for d in draws] for name in conditions]
    found = [[say(p.name, "still", tp.uncertainty(p, points, scales, steps, seed=seed)) for p in row] for row in planes]
    boxes = [
        [[say(p.name, "still", z).boxes for z in tp.zooms(p, [1, 1e-4], pixels, steps, seed, sizes=sizes)] for p in row]
        for row in planes
    ]
    box = {
        n: np.array([[[getattr(b, n) for b in p] for p in row] for row in boxes])
        for n in ("dimension", "standard_error")
    }
    return fitted(found) | {"scales": np.array(scales)} | {f"box_{n}": a for n, a in box.items()}


def boundary_steps(conditions, draws, points, scales, steps, seed):
    """The same for runs of several lengths: conditions, draws, lengths, labels."""
    found = [
        [
            [say(name, (d, t), tp.uncertainty(tp.plane(name, d), points, scales, t, seed=seed)) for t in steps]
            for d in draws
        ]
        for name in conditions
    ]
    return fitted(found) | {"scales": np.array(scales), "steps": np.array(steps)}


def boundary_saddle(conditions, draws, points, steps, seed):
    """When orbits near the boundary are decided, and what follows: conditions, draws, ..."""
    shape, horizon = (len(conditions), len(draws)), steps - steps // 5
    names = (
        "rate",
        "rate_error",
        "start",
        "rate_resolved",
        "stay",
        "exponent_resolved",
        "dimension",
        "dimension_error",
    )
    out = {n: np.full(shape, np.nan) for n in names}
    out |= {n: np.full((*shape, 2), np.nan) for n in ("exponent", "exponent_error", "first_half", "second_half")}
    out["survivors"] = np.zeros((*shape, horizon + 1), dtype=np.int32)
    for i, name in enumerate(conditions):
        for j, d in enumerate(draws):
            of = tp.plane(name, d)
            run = say(name, d, tp.saddle(of, of.near(points, steps, seed), steps))
            r, e, k = run.rate, run.exponent, run.dimension
            out["rate"][i, j], out["rate_error"][i, j], out["start"][i, j] = r.rate, r.standard_error, r.start
            out["rate_resolved"][i, j], out["stay"][i, j], out["survivors"][i, j] = r.resolved, run.stay, r.survivors
            if e is not None:
                out["exponent"][i, j], out["exponent_error"][i, j] = e.exponents, e.standard_error
                out["first_half"][i, j], out["second_half"][i, j] = e.halves.T
                out["exponent_resolved"][i, j] = e.resolved
                out["dimension"][i, j], out["dimension_error"][i, j] = k.dimension, k.standard_error
    return out


def boundary_other_saddle(conditions, draws, points, steps, seed):
    """As boundary_saddle, on another draw."""
    return boundary_saddle(conditions, draws, points, steps, seed)


def boundary_other_boxes(conditions, draws, depths, pixels, sizes, steps, seed):
    """Dimensions by boxes in views at several depths: conditions, draws, depths (those that a condition lacks are nan)."""
    out = {
        n: np.full((len(conditions), len(draws), max(map(len, depths))), np.nan)
        for n in ("dimension", "standard_error", "factor")
    }
    for i, (name, factors) in enumerate(zip(conditions, depths, strict=True)):
        for j, d in enumerate(draws):
            for k, z in enumerate(tp.zooms(tp.plane(name, d), factors, pixels, steps, seed, sizes=sizes)):
                say(name, (d, z.factor), z)
                out["dimension"][i, j, k], out["standard_error"][i, j, k] = z.boxes.dimension, z.boxes.standard_error
                out["factor"][i, j, k] = z.factor
    return out


def boundary_pictures(conditions, draw, pixels, steps):
    """The whole planes: conditions, rows, columns."""
    planes = [tp.plane(name, draw) for name in conditions]
    return {"picture": np.stack([tp.coloured(p.picture(*p.home, pixels, steps)) for p in planes])}


def zooms_of(name: str):
    """The function that makes the finding of one condition."""

    def compute(draw, factors, pixels, sizes, steps, seed, every):
        views = [
            say(name, z.factor, z) for z in tp.zooms(tp.plane(name, draw), factors, pixels, steps, seed, sizes=sizes)
        ]
        return {
            "factor": np.array([z.factor for z in views]),
            "centre": np.array([z.centre for z in views]),
            "outcomes": np.array([[(z.picture.outcome == o).sum() for o in (1, 0, -1)] for z in views]),
            "dimension": np.array([z.boxes.dimension for z in views]),
            "standard_error": np.array([z.boxes.standard_error for z in views]),
            "slope": np.array([z.boxes.slope for z in views]),
            "count": np.array([z.boxes.count for z in views]),
            "picture": np.array([tp.coloured(z.picture)[::every, ::every] for z in views]),
        }

    compute.__name__ = f"boundary_zooms_{name.replace(' ', '_').lower()}"
    return compute


def say(name, what, found):
    """Show that it goes on, and what came."""
    if found is None:
        text = "no boundary"
    elif isinstance(found, tp.Zoom):
        text = f"D by boxes {found.boxes.dimension:.3f} {found.boxes.slope.round(3)}"
    elif isinstance(found, tp.SaddleRun):
        text = f"rate {found.rate.rate:.4f} exponent {None if found.exponent is None else found.exponent.halves} {found.dimension}"
    else:
        text = ", ".join(
            f"{k} {v.exponent:.3f} +- {v.standard_error:.3f} from {v.smallest:.0e}" for k, v in found[0].items()
        )
    print(f"{name} {what}: {text}", flush=True)
    return found


SPARSE = [1e-13, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2]
MANY = [1e-12, 1e-10, 1e-9, 1e-8, 1e-7, *(10.0 ** (k / 2) for k in range(-12, -2))]
DRAWS, STEPS, SEED = [0, 1, 2, 3], 500, 1
RUN = {"conditions": SIX, "draws": DRAWS, "points": 1000, "scales": SPARSE, "steps": STEPS, "seed": SEED}
ALL = {
    "pictures": [(boundary_pictures, {"conditions": SIX, "draw": 0, "pixels": 256, "steps": STEPS})],
    "still": [
        (
            boundary_still,
            {"conditions": ["identity"], "draws": [0], "points": 20_000,
             "scales": [10.0 ** (k / 2) for k in range(-7, -1)], "steps": STEPS, "pixels": 192, "sizes": list(tp.SIZES), "seed": SEED},
        )
    ],
    "uncertainty": [(boundary_uncertainty, RUN)],
    "many": [(boundary_many, RUN | {"conditions": ["identity", "single sample"], "points": 20_000, "scales": MANY})],
    "saddle": [(boundary_saddle, {"conditions": SIX, "draws": [0], "points": 400, "steps": STEPS, "seed": SEED})],
    "steps": [
        (
            boundary_steps,
            {"conditions": ["tanh", "ReLU", "identity"], "draws": [0], "points": 600, "scales": SCALES,
             "steps": [30, 60, 125, 250, 500], "seed": SEED},
        )
    ],
    "longer": [(boundary_longer, RUN | {"draws": [0], "steps": [2000, 4000]})],
    "wide": [(boundary_wide, RUN | {"draws": [0], "units": 16})],
    "other": [
        (boundary_other_saddle, {"conditions": SIX, "draws": [1], "points": 400, "steps": STEPS, "seed": SEED}),
        (
            boundary_other_boxes,
            {"conditions": SIX, "draws": [1], "depths": [DEPTHS.get(name, [1, 1e-5, 1e-11]) for name in SIX], "pixels": 192,
             "sizes": list(tp.SIZES), "steps": STEPS, "seed": SEED},
        ),
    ],
    "zooms": [
        (
            zooms_of(name),
            {"draw": 0, "factors": DEPTHS.get(name, [1, 1e-5, 1e-11]), "pixels": 192, "sizes": list(tp.SIZES),
             "steps": STEPS, "seed": SEED, "every": 1 if name == "tanh" else 2},
        )
        for name in sorted(SIX, key=DEPTHS.__contains__)
    ],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    for name in parser.parse_args().names or ALL:
        for compute, settings in ALL[name]:
            findings.make(FOLDER, compute, settings)


if __name__ == "__main__":
    main()
