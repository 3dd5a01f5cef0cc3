"""Write book/_static/lab/trees.js: who ends well, read at step 15 by the boosted trees of chapter 5 (about a minute)."""

from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

import trajlib as tl
from trajlib.companion.early import early_indicators
from trajlib.prediction import predict_with_trees

TARGET = Path(__file__).resolve().parent.parent / "book" / "_static" / "lab" / "trees.js"
SEED, NETWORKS, LR, STEPS, STEP, TREES = 0, 8000, 1e-3, 4000, 15, 60
"""Those of the chapter's parameter cell, and the fifteenth step."""
READ = ("exponents", "eigenvalues", "baselines", "weights")


def descent() -> tl.GradientDescent:
    network = tl.Perceptron(2, 2, 1, activation="tanh", loss="half_squared_error")
    return tl.GradientDescent(network, tl.plane("parabola", seed=0), lr=LR)


def networks(n: int = NETWORKS) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Final loss (n,), and the indicators of the fifteenth step (n, features)."""
    gd = descent()
    w0 = gd.network.init(n, seed=SEED)
    final = tl.train(gd, w0, STEPS, every=STEPS).loss[:, -1]
    known = early_indicators(gd, w0, np.array([STEP]), seed=SEED)
    return final, {name: known[name][:, 0] for name in READ}


def short(value: float, digits: int) -> str:
    number = f"{value:.{digits}g}".replace("e-0", "e-").replace("e+0", "e")
    return number.replace("0.", ".", 1) if number.startswith(("0.", "-0.")) else number


def grown(model: HistGradientBoostingClassifier) -> list[str]:
    """Each tree in a line, from the root, left before right: letter of the feature and largest value that goes left, or a leaf's value."""
    lines = []
    for (predictor,) in model._predictors:
        nodes = predictor.nodes

        def told(i: int, nodes=nodes) -> list[str]:
            node = nodes[i]
            if node["is_leaf"]:
                return [short(node["value"], 3)]
            assert not node["is_categorical"]
            head = "abcdefghi"[node["feature_idx"]] + short(node["num_threshold"], 5)
            return [head, *told(node["left"]), *told(node["right"])]

        lines.append(" ".join(told(0)))
    return lines


def read(lines: list[str], x: np.ndarray) -> np.ndarray:
    """Log-odds (n,) from what ``grown`` has written, less the constant that all share; as the page does it."""

    def value(tokens, x):
        head = next(tokens)
        if not head[0].isalpha():
            return np.full(len(x), float(head))
        left = x[:, ord(head[0]) - ord("a")] <= float(head[1:])
        low, high = value(tokens, x), value(tokens, x)
        return np.where(left, low, high)

    return sum(value(iter(line.split()), x) for line in lines)


def script() -> str:
    final, known = networks()
    well = tl.outcomes(final, low=4.0, high=100.0) == 0
    fold = tl.assign_folds(well, seed=SEED)
    learn, parts = fold < 0, []
    for name in READ:
        model = HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False, random_state=0)
        model.fit(np.clip(known[name][learn], -1e300, 1e300), well[learn])
        lines, start = grown(model), float(model._baseline_prediction[0, 0])
        told, made = read(lines, known[name]) + start, predict_with_trees(known[name], well, folds=fold, trees=TREES)
        assert np.abs(told - made.score).mean() < 0.01, name  # but for the rounding, the chapter's own
        area = tl.auc(told, well, fold=fold)
        share = np.mean((told > 0) == well, where=fold >= 0)
        numbers = ", ".join(
            f"{key}: {value:.4f}"
            for key, value in {
                "start": start, "auc": area.value, "lower": area.lower, "upper": area.upper, "right": share
            }.items()
        )  # fmt: skip
        parts += [
            f"    {name}: {{",
            f"      {numbers},",
            "      trees: [",
            *(f'        "{line}",' for line in lines),
            "      ],",
            "    },",
        ]
    lines = [
        f"/* Who ends well (final loss below 4), read at step {STEP} by {TREES} boosted trees, from {int(learn.sum()):,} networks "
        "(tanh, N(0, 1), points 0).",
        "   auc, with its 95 % interval, and right, the share of forecasts that come true, are of as many others. Written by "
        "tools/write_lab_trees.py. */",
        "trajlab.define(function trees(trajlab) {",
        f"  trajlab.readers = {{ // of {100 * well.mean():.1f} % that end well",
        *parts,
        "  };",
        "});",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(script(), encoding="utf-8")
