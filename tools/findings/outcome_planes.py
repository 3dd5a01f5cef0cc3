"""How surely does one know the outcome? Pairs of runs at nearly the same learning rate, and planes of outcomes.

Fixed before anything was looked at:

- A network *learns* by step T if its accuracy on the training flowers is at least 0.9 in each of the last 20 states, T - 19 to T;
  else it is *broken*, or not there yet. (0.8 and 0.95 are kept beside it.)
- *flowers*: which of the test flowers are right at step T. Two runs differ if one flower does. *tenth*: whether their test
  accuracies differ by a tenth or more.
- *rung*: how many hidden units are on at step T where all are saturated (chapter 3), -1 where some are not.
- Rates are drawn evenly in their logarithm from six bands, half a decade each, from 0.01 to 10; each is paired with rates that are
  a part of it, ``scales``, above or below, the sign by lot; and once the initial weights are scaled by 1 % instead. Networks,
  splits and rates are crossed: every network has its own rates in every band and split.
- Distance 0: the same run computed again beside other runs. Ceilings: the same network at another rate of the band; another network.
- Zoom: of the 16 x 16 tiles of the first plane, the one whose share of networks that learn is nearest to a half.
  (Added when that had been seen, since it lies where networks are only slow: the same among the tiles at rates above 1.)
- Segments: shrunk between two points with different outcomes, as in ``trajlib.boundary.wada``; the three basins are the three rungs
  with most pixels in the plane.

outcome_planes.py     # data/findings/outcome_*; those that are there already are not made again
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import trajlib as tl
from trajlib.boundary import power_of_ten, shrinking_segments, uncertainty_exponent
from trajlib.companion import findings

FOLDER = Path(__file__).resolve().parents[2] / "data" / "findings"
NET = tl.Perceptron(4, 10, 3, activation="sigmoid", loss="cross_entropy")
LAST = 20
"""States over which a network has to keep its accuracy."""
LABELS = ("learns", "learns_80", "learns_95", "flowers", "rung")
ROWS = 4096
"""Networks that are trained together."""


def ends(net, task, lr: np.ndarray, w: np.ndarray, moments, rung: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Labels (moments, labels, n) and accuracy on the test part (moments, n) of networks w (n, p) at rates lr (n,)."""
    parts = [
        _ends(tl.GradientDescent(net, task, lr=lr[i : i + ROWS]), w[i : i + ROWS], moments, rung)
        for i in range(0, len(w), ROWS)
    ]
    least, right, on = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
    which = np.array([np.unique(np.packbits(one, axis=1), axis=0, return_inverse=True)[1].ravel() for one in right])
    labels = [least >= 0.9, least >= 0.8, least >= 0.95, which, on]
    return np.stack([np.asarray(one, dtype=np.int32) for one in labels], axis=1), right.mean(axis=2)


def _ends(gd, w, moments, rung):
    at, least, right, on = 0, [], [], []
    for moment in moments:
        w = tl.train(gd, w, moment - LAST + 1 - at, record=(), start=at).final
        last = tl.train(gd, w, LAST - 1, record=("accuracy",), start=moment - LAST + 1)
        w, at = last.final, moment
        least.append(last.accuracy.min(axis=1))
        right.append(gd.network.predict(w, gd.task.x_test) == gd.task.y_test)
        state = tl.collapse(gd, w) if rung else None
        on.append(np.zeros(len(w)) if state is None else np.where(state.saturated, state.rung, -1))
    return np.array(least), np.array(right), np.array(on)


def of_pairs(net, tasks, bands, networks, rates, moments, scales, change, seed, rung) -> dict:
    """Counts of pairs that differ, by moment, label ("tenth" last), band, distance, split and network; and what goes with them.

    ``bands`` are log10 of the rates where they end. The last distance of ``differ`` is the change of the initial scale; that before it 0.
    """
    w0, k, decades = net.init(networks, seed=seed), len(scales), np.asarray(bands)
    shape = (len(moments), len(LABELS) + 1, len(bands) - 1)
    differ = np.zeros((*shape, k + 2, len(tasks), networks), dtype=np.uint16)
    other_rate, other_draw = np.zeros((2, *shape, len(tasks)))
    fits = np.full((*shape, 4), np.nan)  # exponent, standard error, smallest and largest distance
    learned = np.zeros((len(moments), len(bands) - 1, len(tasks)))
    rng = np.random.default_rng(seed)
    for b in range(len(bands) - 1):
        all_labels = []
        for s, task in enumerate(tasks):
            lr = power_of_ten(rng.uniform(decades[b], decades[b + 1], (networks, rates)))
            signs = rng.choice([-1.0, 1.0], (k + 1, networks, rates))
            row_lr, row_w = lr.ravel(), np.repeat(w0, rates, axis=0)  # the rates of a network side by side
            n = len(row_lr)
            lrs = [row_lr, *(row_lr * (1.0 + scale * sign.ravel()) for scale, sign in zip(scales, signs, strict=False))]
            # distance 0: again, in another order, so with other neighbours in the engine's vectors
            lrs += [row_lr[::-1], row_lr]
            ws = [row_w] * (k + 1) + [row_w[::-1], row_w * (1.0 + change * signs[k].reshape(-1, 1))]
            labels, accuracy = ends(net, task, np.concatenate(lrs), np.concatenate(ws), moments, rung)
            labels = labels.reshape(len(moments), len(LABELS), k + 3, n)
            accuracy = accuracy.reshape(len(moments), k + 3, n)
            labels[:, :, k + 1], accuracy[:, k + 1] = labels[:, :, k + 1, ::-1].copy(), accuracy[:, k + 1, ::-1].copy()
            tenth = np.abs(accuracy[:, 1:] - accuracy[:, :1]) > 0.1 - 1e-9
            unlike = np.concatenate([labels[:, :, 1:] != labels[:, :, :1], tenth[:, None]], axis=1)
            differ[:, :, b, :, s] = unlike.reshape(*unlike.shape[:3], networks, rates).sum(axis=-1)
            learned[:, b, s] = labels[:, 0, 0].mean(axis=-1)
            base, score = labels[:, :, 0], accuracy[:, 0]
            far = np.concatenate(
                [
                    base[..., None] != base[..., None, :],
                    (np.abs(score[..., None] - score[..., None, :]) > 0.1 - 1e-9)[:, None],
                ],
                axis=1,
            )  # (moments, labels, n, n)
            own = np.kron(np.eye(networks), np.ones((rates, rates))).astype(bool)
            same = own & ~np.eye(n, dtype=bool)
            other_rate[:, :, b, s], other_draw[:, :, b, s] = far[..., same].mean(axis=-1), far[..., ~own].mean(axis=-1)
            all_labels.append(labels[:, :, : k + 1])
        together = np.concatenate(all_labels, axis=-1)
        for i in range(len(moments)):
            for j in range(len(LABELS)):
                # the runs are done: the estimator is given their labels in the order in which it asks for them
                told = iter(together[i, j])
                found = uncertainty_exponent(
                    lambda points, told=told: next(told), np.zeros((together.shape[-1], 1)), np.asarray(scales), 0
                )
                fits[i, j, b] = found.exponent, found.standard_error, found.smallest, found.largest
    return {
        "labels": np.array([*LABELS, "tenth"]), "moments": np.array(moments), "bands": power_of_ten(decades), "scales": np.array(scales),
        "rates": np.array(rates), "differ": differ, "fits": fits, "learned": learned, "other_rate": other_rate, "other_draw": other_draw,
    }  # fmt: skip


def outcome_pairs(bands, splits, networks, rates, moments, scales, change, seed):
    """The papers' network on Iris."""
    tasks = [tl.iris(split_seed=split) for split in splits]
    return of_pairs(NET, tasks, bands, networks, rates, moments, scales, change, seed, True)


def outcome_pairs_again(bands, splits, networks, rates, moments, scales, change, seed):
    """The same with other networks, rates and splits."""
    tasks = [tl.iris(split_seed=split) for split in splits]
    return of_pairs(NET, tasks, bands, networks, rates, moments, scales, change, seed, True)


def outcome_pairs_tanh(bands, splits, networks, rates, moments, scales, change, seed):
    """The same with tanh units."""
    tasks = [tl.iris(split_seed=split) for split in splits]
    net = tl.Perceptron(4, 10, 3, activation="tanh", loss="cross_entropy")
    return of_pairs(net, tasks, bands, networks, rates, moments, scales, change, seed, True)


def outcome_pairs_digits(bands, splits, images, networks, rates, moments, scales, change, seed):
    """A network of ten tanh units on digits, ``images`` to learn from and as many to test with."""
    tasks = []
    for split in splits:
        whole = tl.digits(split_seed=split)
        x, y, x_test, y_test = (a[:images] for a in (whole.x, whole.y, whole.x_test, whole.y_test))
        tasks.append(tl.Task(name="digits", x=x, y=y, x_test=x_test, y_test=y_test))
    net = tl.Perceptron(64, 10, 10, activation="tanh", loss="cross_entropy")
    return of_pairs(net, tasks, bands, networks, rates, moments, scales, change, seed, False)


def plane(points: np.ndarray, split: int, w: np.ndarray, index: int | None, steps: int) -> np.ndarray:
    """Labels (labels, n) at points (n, 2): a learning rate, and a factor of all weights or the value of weight ``index``."""
    start = np.repeat(w[None], len(points), axis=0)
    if index is None:
        start *= points[:, 1:]
    else:
        start[:, index] = points[:, 1]
    return ends(NET, tl.iris(split_seed=split), points[:, 0].copy(), start, [steps])[0][0]


def middles(low: float, high: float, n: int) -> np.ndarray:
    """The middles of n pixels between two ends."""
    return low + (high - low) * (np.arange(n) + 0.5) / n


def outcome_plane_scale(log_rate, log_scale, pixels, tiles, split, network, steps, seed):
    """Learning rate x initial scale, both by their logarithm to base 10; then the tile that is half learned, ``tiles`` times finer."""
    w, found, ends_of = NET.init(network + 1, seed=seed)[network], {}, (log_rate, log_scale)
    for name in ("whole", "zoom"):
        x, y = (middles(*pair, pixels) for pair in ends_of)
        grid = power_of_ten(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))  # rows: scale, columns: rate
        labels = plane(grid, split, w, None, steps).reshape(-1, pixels, pixels)
        found[name] = labels[[0, 4]].astype(np.int8)  # learns, rung
        found[f"{name}_ends"] = np.array(ends_of)
        size = pixels // tiles
        share = labels[0].reshape(tiles, size, tiles, size).mean(axis=(1, 3))
        row, column = np.unravel_index(np.argmin(np.abs(share - 0.5)), share.shape)
        ends_of = tuple(
            (low + (high - low) * i / tiles, low + (high - low) * (i + 1) / tiles)
            for (low, high), i in zip(ends_of, (column, row), strict=True)
        )
    return found


def outcome_plane_edge(above, pixels, tiles, split, network, steps, seed):
    """Of the first plane, the tile that is half learned among those at larger rates than 10^``above``."""
    wide, w = findings.load("outcome_plane_scale"), NET.init(network + 1, seed=seed)[network]
    n = len(wide.whole[0]) // tiles
    share = wide.whole[0].reshape(tiles, n, tiles, n).mean(axis=(1, 3))
    starts = np.linspace(*wide.whole_ends[0], tiles + 1)[:-1]
    row, column = np.unravel_index(np.argmin(np.abs(share - 0.5) + (starts < above)), share.shape)
    ends_of = np.array(
        [
            low + (high - low) * np.array([i, i + 1]) / tiles
            for (low, high), i in zip(wide.whole_ends, (column, row), strict=True)
        ]
    )
    x, y = (middles(*pair, pixels) for pair in ends_of)
    grid = power_of_ten(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    labels = plane(grid, split, w, None, steps).reshape(-1, pixels, pixels)
    return {"zoom": labels[[0, 4]].astype(np.int8), "zoom_ends": ends_of}


def outcome_plane_weight(rate, weight, index, pixels, split, network, steps, seed, segments, halvings, every, samples):
    """Learning rate x one weight where training is broken: rungs; and what shrinking segments between rungs hold."""
    w = NET.init(network + 1, seed=seed)[network]
    x, y = middles(*rate, pixels), middles(*weight, pixels)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    rung = plane(grid, split, w, index, steps)[4]
    common = np.argsort(-np.bincount(rung[rung >= 0]), kind="stable")[:3]

    def basin(points):
        return plane(points, split, w, index, steps)[4]

    box = np.array([rate, weight]).T
    found = shrinking_segments(
        basin, box[0], box[1], segments, halvings=halvings, every=every, samples=samples, seed=seed, basins=common
    )
    return {
        "rung": rung.reshape(pixels, pixels).astype(np.int8), "ends": np.array([rate, weight]), "common": common,
        "halved": found.halved, "all_of_them": found.all_of_them, "three": found.three, "segments": np.array(found.segments),
    }  # fmt: skip


def main() -> None:
    scales = [1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    bands = [i / 2 - 2 for i in range(7)]
    common = {"bands": bands, "scales": scales, "change": 0.01, "seed": 0}
    findings.make(FOLDER, outcome_pairs, common | {
        "splits": [0, 1, 2, 3], "networks": 12, "rates": 9, "moments": [500, 1000, 2000],
    })  # fmt: skip
    findings.make(FOLDER, outcome_plane_weight, {
        "rate": [4.0, 6.0], "weight": [-3.0, 3.0], "index": 0, "pixels": 128, "split": 1, "network": 0, "steps": 1000, "seed": 0,
        "segments": 60, "halvings": 40, "every": 8, "samples": 16,
    })  # fmt: skip
    findings.make(FOLDER, outcome_plane_scale, {
        "log_rate": [-2.0, 1.0], "log_scale": [-1.0, 1.0], "pixels": 256, "tiles": 16, "split": 0, "network": 0, "steps": 500, "seed": 0,
    })  # fmt: skip
    findings.make(FOLDER, outcome_plane_edge, {
        "above": 0.0, "pixels": 128, "tiles": 16, "split": 0, "network": 0, "steps": 500, "seed": 0,
    })  # fmt: skip
    few = common | {"splits": [0, 1, 2], "networks": 8, "rates": 4, "moments": [500], "scales": [1e-6, 1e-3, 1e-2]}
    findings.make(FOLDER, outcome_pairs_tanh, few | {"rates": 8})
    again = {"seed": 1, "splits": [4, 5, 6, 7], "networks": 12, "moments": [1000], "scales": [1e-14, 1e-6, 1e-2]}
    findings.make(FOLDER, outcome_pairs_again, few | again)
    findings.make(FOLDER, outcome_pairs_digits, few | {"images": 200, "networks": 6, "rates": 2})


if __name__ == "__main__":
    main()
