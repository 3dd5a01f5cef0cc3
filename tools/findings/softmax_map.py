"""Findings behind the chapter on intermittency: hysteresis, phases and crises of the softmax map, and the networks that follow it.

Motions have a code: 0 fixed point, 1 period 3, 2 another period up to 16, 3 no period, 4 chaos (largest exponent above 0.01 a step).
"""

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

import trajlib as tl
from trajlib.companion import findings

ROOT = Path(__file__).resolve().parents[2]
CHAOS = 0.01
SPLITS = list(range(12))


def motions(loss: np.ndarray, exponents: np.ndarray, tolerance: float) -> np.ndarray:
    """The code of each motion, from losses (n, steps) and largest exponents (n,)."""
    period = tl.detect_period(np.ascontiguousarray(loss), tolerance=tolerance)
    periodic = np.where(period == 1, 0, np.where(period == 3, 1, 2))
    return np.where(period > 0, periodic, np.where(exponents > CHAOS, 4, 3)).astype(np.uint8)


def of_map(kappa, p, s: np.ndarray, steps: int = 1000) -> np.ndarray:
    """The code of the motion of each settled state (n, 3)."""
    here = tl.SoftmaxMap(kappa, p)
    return motions(tl.train(here, s, 200).loss, tl.map_exponents(here, s, steps)[:, 0], 1e-6)


def ramp(s: np.ndarray, p: np.ndarray, start: float, end: float, steps: int) -> np.ndarray:
    """States after kappa has moved from start to end in equal steps, at most 200 of them of as many steps of the map as it takes."""
    moves = min(steps, 200)
    for kappa in np.linspace(start, end, moves + 1)[1:]:
        s = tl.train(tl.SoftmaxMap(float(kappa), p), s, steps // moves, record=()).final
    return s


def split_proportions(splits) -> np.ndarray:
    """Class proportions of the training sets."""
    return np.array([tl.iris(split_seed=s).proportions for s in splits])


def random_proportions(n: int, seed: int) -> np.ndarray:
    """Class proportions of n random splits of Iris, 120 of 150 flowers."""
    return np.random.default_rng(seed).multivariate_hypergeometric([50, 50, 50], 120, n) / 120


# --- the map --------------------------------------------------------------------------------------------------------------------------


def map_hysteresis(splits, targets, lengths, starts, seed):
    """Share of each motion at a target kappa, for three histories: from 5 upwards, from 15 downwards, and random starts of three widths."""
    ps, rng = split_proportions(splits), np.random.default_rng(seed)
    shape = len(splits), len(targets)
    ramped, random = np.zeros((*shape, len(lengths), 2, 5)), np.zeros((*shape, 3, 5))
    for i, p in enumerate(ps):
        first = tl.SoftmaxMap(5.0, p).init(starts, seed=seed, scale=3.0)
        settled = [tl.train(tl.SoftmaxMap(kappa, p), first, 2000, record=()).final for kappa in (5.0, 15.0)]
        settled[0] = settled[0] + (kick := rng.normal(0, 1e-3, first.shape)) - kick.mean(axis=1, keepdims=True)
        for j, target in enumerate(targets):
            ends = [ramp(s, p, k, target, n) for n in lengths for s, k in zip(settled, (5.0, 15.0), strict=True)]
            ends += [tl.SoftmaxMap(target, p).init(starts, seed=seed + 1, scale=scale) for scale in (1.0, 3.0, 20.0)]
            final = tl.train(tl.SoftmaxMap(target, p), np.concatenate(ends), 5000, record=()).final
            codes = of_map(target, p, final).reshape(-1, starts)
            shares = np.array([np.bincount(c, minlength=5) / starts for c in codes])
            ramped[i, j], random[i, j] = shares[:-3].reshape(len(lengths), 2, 5), shares[-3:]
    return {"p": ps, "ramped": ramped, "random": random}


def map_fading_unit(splits, start, target, lengths, offsets, starts, seed):
    """As the ramps of map_hysteresis from above, but with what the unit takes away: the logits are a bias and two rows, one of which fades.

    The rows of the units that are on move as the bias does, lr (softmax - p) a step, but began elsewhere: offsets, of a given width.
    """
    ps, rng = split_proportions(splits), np.random.default_rng(seed)
    every, lr = np.repeat(ps, starts, axis=0), target / 2
    settled = tl.SoftmaxMap(start, ps[0]).init(len(every), seed=seed, scale=3.0)
    settled = tl.train(tl.SoftmaxMap(start, every), settled, 2000, record=()).final
    before = of_map(start, every, settled, 400).reshape(len(splits), starts)
    share = np.zeros((len(splits), len(lengths), len(offsets), 5))
    for i, steps in enumerate(lengths):
        for j, width in enumerate(offsets):
            offset = width * rng.standard_normal(settled.shape)
            kept, row = settled * 2 / 3 + offset, settled / 3 - offset
            for h in np.linspace(1, 0, steps + 1)[1:]:
                q = np.exp((s := kept + h * row) - s.max(axis=1, keepdims=True))
                error = q / q.sum(axis=1, keepdims=True) - every
                kept, row = kept - 2 * lr * error, row - h * lr * error
            final = kept - kept.mean(axis=1, keepdims=True)
            final = tl.train(tl.SoftmaxMap(target, every), final, 5000, record=()).final
            code = of_map(target, every, final).reshape(len(splits), starts)
            share[:, i, j] = [np.bincount(c, minlength=5) / starts for c in code]
    return {"p": ps, "before": before, "share": share}


def map_branches(splits, pictured, low, high, moves, hold, starts, seed):
    """The attractor followed with kappa moved slowly up and down: the share of period 3, and for one split the losses."""
    kappas = np.linspace(low, high, moves)
    ps, rng = split_proportions(splits), np.random.default_rng(seed)
    three = np.zeros((len(splits), 2, moves), dtype=np.uint8)
    density = np.zeros((2, 170, moves), dtype=np.uint8)
    n = len(splits) * starts
    every = np.repeat(ps, starts, axis=0)
    for way, order in enumerate((range(moves), range(moves - 1, -1, -1))):
        s = tl.SoftmaxMap(low, ps[0]).init(n, seed=seed, scale=3.0)
        s = tl.train(tl.SoftmaxMap(float(kappas[order[0]]), every), s, 2000, record=()).final
        for k in order:
            s = s + (kick := rng.normal(0, 1e-6, s.shape)) - kick.mean(axis=1, keepdims=True)  # off the unstable orbits
            here = tl.SoftmaxMap(float(kappas[k]), every)
            s = tl.train(here, s, hold, record=()).final
            loss = tl.train(here, s, 60).loss
            found = (tl.detect_period(loss, tolerance=1e-3) == 3).reshape(len(splits), starts)
            three[:, way, k] = np.rint(100 * found.mean(axis=1))
            own = loss.reshape(len(splits), -1)[splits.index(pictured)]
            density[way, :, k] = np.minimum(np.histogram(own, np.linspace(0.5, 17.5, 171))[0], 255)
    return {"kappa": kappas, "p": ps, "period_three": three, "density": density}


def map_phases(splits, low, high, values, starts, transient, seed):
    """Share of starts that end in chaos, over kappa and the class proportions of random splits."""
    kappas, ps = np.linspace(low, high, values), random_proportions(splits, seed)
    chaotic = np.zeros((splits, values), dtype=np.uint8)
    first = tl.SoftmaxMap(5.0, ps[0]).init(starts, seed=seed, scale=3.0)
    for i, p in enumerate(ps):
        here = tl.SoftmaxMap(np.repeat(kappas, starts), p)
        s = tl.train(here, np.tile(first, (values, 1)), transient, record=()).final
        rate = tl.map_exponents(here, s, 600)[:, 0]
        chaotic[i] = np.rint(100 * (rate > CHAOS).reshape(values, starts).mean(axis=1))
    return {"kappa": kappas, "p": ps, "chaotic": chaotic}


def map_windows(low, high, values, distances, starts, transient, seed):
    """Share of starts that end in chaos, over kappa and how unequal the classes are, along two lines through equal numbers."""
    kappas, sizes = np.linspace(low, high, values), np.linspace(0.0, 0.06, distances)
    lines = np.array([[1.0, -1.0, 0.0], [2.0, -1.0, -1.0]])
    lines = lines / np.abs(lines).max(axis=1, keepdims=True)
    chaotic = np.zeros((2, distances, values), dtype=np.uint8)
    first = tl.SoftmaxMap(5.0, np.full(3, 1 / 3)).init(starts, seed=seed, scale=3.0)
    for i, line in enumerate(lines):
        for j, size in enumerate(sizes):
            p = np.full(3, 1 / 3) + size * line
            here = tl.SoftmaxMap(np.repeat(kappas, starts), p / p.sum())
            s = tl.train(here, np.tile(first, (values, 1)), transient, record=()).final
            rate = tl.map_exponents(here, s, 600)[:, 0]
            chaotic[i, j] = np.rint(100 * (rate > CHAOS).reshape(values, starts).mean(axis=1))
    return {"kappa": kappas, "size": sizes, "line": lines, "chaotic": chaotic}


def map_near_ten(splits, values, starts, transient, seed):
    """Share of starts that end in chaos in fine steps of kappa about 10, for given splits."""
    kappas, ps = np.linspace(9.8, 10.3, values), split_proportions(splits)
    chaotic = np.zeros((len(splits), values))
    first = tl.SoftmaxMap(5.0, ps[0]).init(starts, seed=seed, scale=3.0)
    for i, p in enumerate(ps):
        here = tl.SoftmaxMap(np.repeat(kappas, starts), p)
        s = tl.train(here, np.tile(first, (values, 1)), transient, record=()).final
        chaotic[i] = (tl.map_exponents(here, s, 1000)[:, 0] > CHAOS).reshape(values, starts).mean(axis=1)
    return {"kappa": kappas, "p": ps, "chaotic": chaotic}


def newton(kappa: float, p: np.ndarray, period: int, s: np.ndarray, rounds: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Points of a period by Newton's method from states (n, 3): the states that it ends at, and the multipliers (n, 2), largest last."""
    identity, ones = np.eye(3), np.full((3, 3), 1 / 3)
    for _ in range(rounds):
        x, product = s, np.broadcast_to(identity, (len(s), 3, 3))
        for _ in range(period):
            q = np.exp(x - x.max(axis=1, keepdims=True))
            q /= q.sum(axis=1, keepdims=True)
            step = identity - kappa * (q[:, :, None] * identity - q[:, :, None] * q[:, None, :])
            product, x = step @ product, x - kappa * (q - p)
        miss = x - s
        regular = identity - product + ones  # ones: the direction (1, 1, 1) is neutral
        delta = np.linalg.solve(regular, miss[:, :, None])[:, :, 0]
        s = s + delta * np.minimum(1.0, 2.0 / np.maximum(np.abs(delta).max(axis=1, keepdims=True), 1e-300))
        s = s - s.mean(axis=1, keepdims=True)
    good = np.abs(miss).max(axis=1) < 1e-9
    values = np.linalg.eigvals(product[good])
    neutral = np.abs(values - 1).argmin(axis=1)
    values = np.array([np.delete(v, k) for v, k in zip(values, neutral, strict=True)]).reshape(-1, 2)
    return s[good], np.take_along_axis(values, np.argsort(np.abs(values), axis=1), axis=1)


def orbits(kappa: float, p: np.ndarray, period: int, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (m, 3) of the unstable orbits of a period that can have been born with a stable one, and their multipliers (m, 2).

    That is, with one real multiplier above 1; of the other, orbits of period 3 may have any, those of period 6 are saddles.
    """
    s, values = newton(kappa, p, period, starts)
    real = np.abs(values.imag).max(axis=1, initial=0) < 1e-9
    kept = real & (values[:, 1].real > 1 + 1e-6) & ((np.abs(values[:, 0]) < 1) | (period == 3))
    shorter = newton(kappa, p, 3, s[kept])[0] if period == 6 and kept.any() else np.zeros((0, 3))
    fixed = np.log(p) - np.log(p).mean()
    new = [
        np.abs(x - fixed).max() > 1e-5 and not (np.abs(shorter - x).max(axis=1, initial=0) < 1e-5).any()
        for x in s[kept]
    ]
    s, values = s[kept][new], values[kept][new]
    first = np.unique(np.round(s, 6), axis=0, return_index=True)[1]
    return s[first], values[first].real


def map_band_ends(splits, more, grid, hold, starts, seed):
    """Motions followed with kappa moved slowly upwards: shares of chaos and of period 3, the latter only as it is arrived at."""
    ps = np.concatenate([split_proportions(splits), random_proportions(more, seed)])
    kappas, rng = np.round(np.arange(*grid), 6), np.random.default_rng(seed)
    every = np.repeat(ps, starts, axis=0)
    s = np.tile(tl.SoftmaxMap(5.0, ps[0]).init(starts, seed=seed), (len(ps), 1))
    s = tl.train(tl.SoftmaxMap(float(kappas[0]), every), s, 5000, record=()).final
    chaotic, three = np.zeros((2, len(ps), len(kappas)), dtype=np.uint8)
    for k, kappa in enumerate(kappas):
        here = tl.SoftmaxMap(float(kappa), every)
        s = s + (kick := rng.normal(0, 1e-7, s.shape)) - kick.mean(axis=1, keepdims=True)
        s = tl.train(here, s, hold, record=()).final
        code = of_map(float(kappa), every, s, 400).reshape(len(ps), starts)
        chaotic[:, k], three[:, k] = 100 * (code == 4).mean(axis=1), 100 * (code == 1).mean(axis=1)
        for i, own in enumerate(code):  # what has not gone to period 3 goes on in all places
            if (stays := np.flatnonzero(own != 1)).size:
                s[i * starts : (i + 1) * starts] = s[i * starts + np.resize(stays, starts)]
    return {"kappa": kappas, "p": ps, "chaotic": chaotic, "period_three": three}


def map_crises(hold, orbit, reach, step, seed):
    """Before the first jump from chaos to period 3: how near the attractor comes to unstable orbits of periods 3 and 6 outside."""
    band = findings.load("map_band_ends")
    back = np.round(np.arange(reach, -step / 2, -step), 6)
    gap, size = np.full((2, len(band.p), len(back)), np.nan), np.full((len(band.p), len(back)), np.nan)
    end, merged, escape = (
        np.full(len(band.p), np.nan),
        np.full((len(band.p), 2), np.nan),
        np.full((len(band.p), 2, 3), np.nan),
    )
    for i, p in enumerate(band.p):
        last = band.kappa[np.flatnonzero(band.chaotic[i])[-1]]
        jumps = (band.period_three[i, 1:] > 0) & (band.chaotic[i, :-1] > 50) & (band.kappa[1:] > last - 0.1)
        if not (jump := np.flatnonzero(jumps)).size:
            continue
        end[i], first = band.kappa[jump[0]], float(band.kappa[jump[0]] - reach)
        s = tl.SoftmaxMap(5.0, p).init(60, seed=seed)
        s = tl.train(tl.SoftmaxMap(first, p), s, 5000, record=()).final
        outside = {
            n: orbits(first, p, n, tl.SoftmaxMap(5.0, p).init(3000, seed=seed + 1, scale=3.0))[0] for n in (3, 6)
        }
        for j, distance in enumerate(back):
            kappa = float(end[i] - distance)
            s = tl.train(tl.SoftmaxMap(kappa, p), s, hold, record=()).final
            chaotic = s[of_map(kappa, p, s, 400) == 4][:10]
            if not len(chaotic):  # a window
                continue
            path = tl.train(tl.SoftmaxMap(kappa, p), chaotic, orbit, record=("weights",)).weights.reshape(-1, 3)
            tree, size[i, j] = cKDTree(path), np.ptp(path, axis=0).max()
            for row, n in enumerate((3, 6)):
                points = newton(kappa, p, n, outside[n], 8)[0] if len(outside[n]) else outside[n]
                if np.isnan(gap[row, i]).all():  # the first time: those of the attractor itself do not count
                    points = points[tree.query(points)[0] > 0.03 * size[i, j]] if len(points) else points
                outside[n] = points
                if len(points):
                    gap[row, i, j] = tree.query(points)[0].min()
        if len(outside[6]) and len(outside[3]):
            # just beyond the end, how near the orbits that go to period 3 pass in their last 150 steps, and in 150 steps of chaos
            kappa = float(end[i] + 0.02)
            begin = np.resize(chaotic, (200, 3)) + 1e-6 * np.random.default_rng(seed).normal(size=(200, 1)) * [
                1.0,
                -1.0,
                0.0,
            ]
            x = tl.train(tl.SoftmaxMap(kappa, p), begin, 6000, record=("weights",)).weights
            moving = np.abs(x[:, 3:] - x[:, :-3]).max(axis=2) > 0.3
            gone = moving.shape[1] - moving[:, ::-1].argmax(axis=1)
            for row, n in enumerate((3, 6)):
                orbit_points = cKDTree(newton(kappa, p, n, outside[n], 20)[0])
                left = [
                    orbit_points.query(y[t - 150 : t])[0].min() for y, t in zip(x, gone, strict=True) if 600 < t < 5900
                ]
                stays = [
                    orbit_points.query(y[300:450])[0].min() for y, t in zip(x, gone, strict=True) if 600 < t < 5900
                ]
                if left:
                    escape[i, row] = np.median(left), np.median(stays), len(left)
            # down along the orbit of period 6 that is nearest, to where it was born
            six, triples, kappa = outside[6][[tree.query(outside[6])[0].argmin()]], outside[3], float(end[i])
            while kappa > 7:
                kappa -= 0.005
                six, (triples, values) = newton(kappa, p, 6, six, 20)[0], newton(kappa, p, 3, triples, 20)
                if not (len(six) and len(triples)):
                    break
                apart = np.abs(triples[:, None] - six[None]).max(axis=(1, 2))
                if apart.min() < 1e-4:
                    merged[i] = kappa, values[apart.argmin(), 0].real
                    break
    return {"p": band.p, "end": end, "back": back, "gap": gap, "size": size, "merged": merged, "escape": escape}


# --- networks -------------------------------------------------------------------------------------------------------------------------


def network_histories(splits, networks, steps, lr, seed):
    """Rungs and motions of networks at the end, where they came from, and all changes of rung with the motions before and after."""
    net = tl.Perceptron(4, 10, 3)
    w0 = net.init(networks, seed=seed)
    ends, falls, errors = [], [], []
    for split in splits:
        gd = tl.GradientDescent(net, tl.iris(split_seed=split), lr=lr)
        run = tl.train(gd, w0, steps, record=("loss", "weights"), weights_every=20)
        state = tl.collapse(gd, run.weights)
        p = gd.task.proportions
        rung, saturated = state.rung[:, -1], state.saturated[:, -1]
        exponent = tl.map_exponents(tl.SoftmaxMap(state.kappa[:, -1], p), state.logits[:, -1], 1000)[:, 0]
        code = motions(run.loss[:, -100:], exponent, 1e-3)
        changes = tl.rung_changes(state)
        came_from, since = np.full(networks, -1), np.zeros(networks, dtype=int)
        for i, after, old in zip(changes.network, changes.after, changes.old, strict=True):
            came_from[i], since[i] = old, after * 20
        began = state.saturated.argmax(axis=1) * 20
        since = np.where(came_from < 0, began, since)
        ends.append(np.stack([rung, saturated, code, came_from, since], axis=1))
        error = tl.compare_with_map(gd, run.weights[:, -51], 100).error
        errors.append(np.stack([error[:, 1], error.max(axis=1)], axis=1))
        for i, before, after, old, new in zip(
            changes.network, changes.before * 20, changes.after * 20, changes.old, changes.new, strict=True
        ):
            if before >= 700 and after + 600 <= steps and state.rung[i, after // 20 + 30] == new:
                windows = np.stack([run.loss[i, before - 200 : before - 100], run.loss[i, after + 500 : after + 600]])
                falls.append([split, old, new, after - before, *tl.detect_period(windows, tolerance=1e-2)])
    return {
        "ends": np.array(ends, dtype=np.int16),
        "errors": np.array(errors, dtype=np.float32),
        "changes": np.array(falls, dtype=np.int16),
    }


def network_chaos(splits, rates, networks, steps, seed):
    """Which networks are chaotic at the end, over the learning rate: by their own largest exponent and by that of their map."""
    net = tl.Perceptron(4, 10, 3)
    lr = np.repeat(rates, networks)
    w0 = np.tile(net.init(networks, seed=seed), (len(rates), 1))
    own, reduced, rung = [], [], []
    for split in splits:
        gd = tl.GradientDescent(net, tl.iris(split_seed=split), lr=lr)
        final = tl.train(gd, w0, steps, record=()).final
        own.append(tl.lyapunov_spectrum(gd, final, 600, k=1).exponents[:, 0])
        state = tl.collapse(gd, final)
        reduced.append(tl.map_exponents(tl.SoftmaxMap(state.kappa, gd.task.proportions), state.logits, 600)[:, 0])
        rung.append(np.where(state.saturated, state.rung, -1))
    shape = len(splits), len(rates), networks
    return {
        "lr": np.array(rates),
        "chaotic": (np.array(own) > CHAOS).reshape(shape),
        "map_chaotic": (np.array(reduced) > CHAOS).reshape(shape),
        "rung": np.array(rung, dtype=np.int8).reshape(shape),
    }


def network_chaos_near_five(splits, rates, networks, steps, seed):
    """As network_chaos, in finer steps about 5."""
    return network_chaos(splits, rates, networks, steps, seed)


def settings() -> list:
    """Each finding, and what it is made with."""
    rates = [round(4.5 + 0.05 * k, 3) for k in range(31)]
    near = [4.95, 4.97, 4.98, 4.99, 4.995, 5.0, 5.005, 5.01, 5.012, 5.02, 5.03, 5.05]
    fades, wide = [1, 5, 20, 200, 2000], [0.0, 1.0, 3.0]
    targets = [9.6, 9.8, 10.0, 10.05, 10.25, 10.5, 11.0]
    return [
        (map_hysteresis, {"splits": list(range(20)), "targets": targets, "lengths": [1, 20, 200, 2000], "starts": 200, "seed": 1}),
        (map_fading_unit, {"splits": SPLITS, "start": 15.0, "target": 10.0, "lengths": fades, "offsets": wide, "starts": 200, "seed": 1}),
        (map_branches, {"splits": SPLITS, "pictured": 1, "low": 4.5, "high": 18.0, "moves": 541, "hold": 300, "starts": 30, "seed": 1}),
        (map_near_ten, {"splits": [0, 1, 2, 3, 4], "values": 251, "starts": 60, "transient": 20_000, "seed": 1}),
        (map_phases, {"splits": 100, "low": 4.5, "high": 24.0, "values": 391, "starts": 12, "transient": 5000, "seed": 1}),
        (map_windows, {"low": 9.0, "high": 12.5, "values": 281, "distances": 61, "starts": 12, "transient": 10_000, "seed": 1}),
        (map_band_ends, {"splits": SPLITS, "more": 18, "grid": [9.0, 13.0, 0.01], "hold": 3000, "starts": 20, "seed": 1}),
        (map_crises, {"hold": 1000, "orbit": 5000, "reach": 0.4, "step": 0.02, "seed": 1}),
        (network_histories, {"splits": SPLITS, "networks": 200, "steps": 10_000, "lr": 5.0, "seed": 0}),
        (network_chaos, {"splits": list(range(8)), "rates": rates, "networks": 48, "steps": 5000, "seed": 0}),
        (network_chaos_near_five, {"splits": [0, 1], "rates": near, "networks": 200, "steps": 5000, "seed": 0}),
    ]  # fmt: skip


def main() -> None:
    for compute, given in settings():
        made = findings.make(ROOT / "data" / "findings", compute, given)
        print(f"{compute.__name__}: {made.manifest['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
