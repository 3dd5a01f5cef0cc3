"""Chaos taken out at the same rate, copies against luck, schedules at equal cost, test losses at equal training losses.

learning_changes.py   # data/findings/learning_{capped,capped-digits,copies,levels,schedules,controls,projected}.*, what is missing

Schedules are told by the onset of chaos and the fastest rate of their cells, which tools/findings/learning.py has to have made before.
What is left of a stopped call lies in _build/findings/learning, and the same call goes on from there.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from learning_cells import CELLS, GRID, descent, starts
from threadpoolctl import threadpool_limits

import trajlib as tl
from trajlib import schedules
from trajlib.companion import findings, learned
from trajlib.companion.learning_runs import HOLD, best_accuracy, goal
from trajlib.dynamics.altered import CappedDescent, ProjectedDescent
from trajlib.optimisers.schedules import Schedule
from trajlib.series import expansion_rate, time_to_threshold

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "data" / "findings"
PARTS = ROOT / "_build" / "findings" / "learning"
VERSION = 1
PIECE = 20
PLAIN = 1e9
"""As amount of a change: none, plain descent."""


def accuracies(gd, altered, w: np.ndarray, steps: int) -> np.ndarray:
    """Accuracy on the test part at each step of an altered descent, (n, steps + 1)."""
    found = [gd.accuracy(w)[:, None]]
    for done in range(0, steps, PIECE):
        run = tl.train(altered, w, min(PIECE, steps - done), record=("weights",), start=done, threads=1, progress=False)
        w = run.final
        found.append(gd.accuracy(run.weights[:, 1:]))
    return np.concatenate(found, axis=1).astype(np.float32)


def changed(cell: str, k: int, first: int, networks: int, steps: int, change: str, amount: float, exponents: int):
    """Networks of a cell at one rate with an altered step: accuracies; of a few, exact exponents, or fitted ones (projected)."""
    gd, last = descent(CELLS[cell], 10 ** (k / GRID)), first + networks
    altered = gd if amount == PLAIN else {"projected": ProjectedDescent, "capped": CappedDescent}[change](gd, amount)
    w = starts(gd, last)[first:]
    some = max(0, min(exponents, last) - first)
    found = {"accuracy": accuracies(gd, altered, w, steps), "exponent": np.full(some, np.nan)}
    if not some:
        return found
    if change == "capped" or amount == PLAIN:
        run = tl.lyapunov_spectrum(altered, w[:some], steps, k=1, blocks=4, threads=1, progress=False)
        return found | {"exponent": run.exponents[:, 0]}
    copies = tl.perturb(gd, starts(gd, last), radius=1e-8, copies=1, seed=1)[first : first + some]
    run = tl.diverge(altered, w[:some], perturbed=copies, steps=min(steps, 200), threads=1, progress=False)
    return found | {"exponent": expansion_rate(run.distance).rate}


def altered_runs(
    names, numbers, networks, steps, change, amounts, exponents, at_once, executor
) -> dict[str, np.ndarray]:
    """For each cell, amount and rate: times to nine tenths of what the best plain rate of the cell reaches in as many steps, exponents.

    Plain descent is among them, with the same networks, steps and rates.
    """
    fixed = {"steps": steps, "change": change, "exponents": exponents}
    grid = [
        {"cell": name, "k": k, "first": i, "networks": min(at_once, networks - i), "amount": amount}
        for name, own in zip(names, numbers, strict=True)
        for amount in amounts
        for k in own
        for i in range(0, networks, at_once)
    ]
    sweep = tl.sweep(
        changed,
        grid,
        PARTS / f"{change}-{names[0]}-{VERSION}",
        fixed=fixed,
        version=VERSION,
        executor=executor,
        in_flight=2,
    )
    time, exponent, reached = [], [], []
    for name, own in zip(names, numbers, strict=True):
        rows = {}
        for amount in amounts:
            for k in own:
                several = [sweep.load(**c) for c in grid if (c["cell"], c["amount"], c["k"]) == (name, amount, k)]
                rows[amount, k] = {key: np.concatenate([one[key] for one in several]) for key in several[0]}
        best = best_accuracy([row["accuracy"] for key, row in rows.items() if key[0] == PLAIN])
        reached.append(best)
        time.append(
            [[time_to_threshold(rows[a, k]["accuracy"], goal(0.9, best), hold=HOLD) for k in own] for a in amounts]
        )
        exponent.append([[rows[a, k]["exponent"] for k in own] for a in amounts])
    return {
        "rates": 10 ** (np.array(numbers) / GRID), "amounts": np.array(amounts), "best": np.array(reached), "horizon": steps + 1 - HOLD,
        "time": np.array(time, dtype=np.int16), "exponent": np.array(exponent, dtype=np.float16),
    }  # fmt: skip


def copies_apart(cell: str, k: int, networks: int, copies: int, steps: int, radius: float) -> dict[str, np.ndarray]:
    """Accuracies of networks and their copies at one rate, (networks, 1 + copies, steps + 1), those of the network first."""
    gd = descent(CELLS[cell], 10 ** (k / GRID))
    run = tl.diverge(
        gd, starts(gd, networks), radius=radius, copies=copies, steps=steps, seed=1, record=("test_accuracy",), threads=1,
        progress=False,
    )  # fmt: skip
    return {"accuracy": np.concatenate([run.test_accuracy[:, None], run.copy_test_accuracy], axis=1).astype(np.float32)}


def copies_runs(names, numbers, networks, copies, steps, radius, executor) -> dict[str, np.ndarray]:
    """Times of networks and their copies to nine tenths of what the best of the rates reaches: (cells, rates, networks, 1 + copies)."""
    fixed = {"networks": networks, "copies": copies, "steps": steps, "radius": radius}
    grid = [{"cell": name, "k": k} for name, own in zip(names, numbers, strict=True) for k in own]
    sweep = tl.sweep(
        copies_apart, grid, PARTS / f"copies-{VERSION}", fixed=fixed, version=VERSION, executor=executor, in_flight=2
    )
    time = []
    for name, own in zip(names, numbers, strict=True):
        rows = {k: sweep.load(cell=name, k=k)["accuracy"] for k in own}
        least = goal(0.9, best_accuracy([row[:, 0] for row in rows.values()]))
        time.append([time_to_threshold(row, least, hold=HOLD) for row in rows.values()])
    return {
        "rates": 10 ** (np.array(numbers) / GRID),
        "time": np.array(time, dtype=np.int16),
        "horizon": steps + 1 - HOLD,
    }


def held_then(after: Schedule, rate: float, steps: int) -> Schedule:
    """A constant rate for some steps, and then a schedule from its step 0 on."""
    return schedules.warm_up(after, steps, start=rate)


def families(onset: float, fastest: float, steps: int) -> dict[str, list[Schedule]]:
    """Twelve settings of each kind of schedule: the budget of its tuning. Rates are told by the onset of chaos and the fastest rate."""
    about = np.sqrt([0.5, 1.0, 2.0, 4.0])

    def restarts(peak: float, times: int) -> Schedule:
        period = -(-steps // times)
        return schedules.array(schedules.cosine(float(peak), period)(np.arange(steps) % period))

    def held(peak: float, share: float) -> Schedule:
        before = round(share * steps)
        return held_then(schedules.cosine(float(peak), steps - before), float(peak), before)

    def warm(peak: float, share: float) -> Schedule:
        return schedules.warm_up(float(peak), max(1, round(share * steps)))

    return {
        "ordered": [schedules.constant(float(r)) for r in np.geomspace(onset / 32, onset / 1.12, 12)],
        "fastest": [schedules.constant(float(r)) for r in np.geomspace(fastest / 1.5, fastest * 1.5, 12)],
        "chaotic then decay": [held(np.sqrt(2) * p, share) for p in onset * about for share in (0.1, 0.3, 0.6)],
        "warm up": [warm(p, share) for p in fastest * about for share in (0.05, 0.1, 0.3)],
        "one cycle": [
            schedules.one_cycle(float(p), steps, warm=share) for p in onset * about for share in (0.1, 0.3, 0.5)
        ],
        "restarts": [restarts(p, times) for p in onset * about for times in (2, 4, 8)],
    }


def ended(cell: str, schedule: Schedule, networks: int, steps: int, seed: int, test: bool) -> dict[str, np.ndarray]:
    """What networks have reached after a schedule, means over its last 20 steps: training loss, and where asked test loss and accuracy."""
    gd = descent(CELLS[cell], schedule)
    w = tl.train(gd, starts(gd, networks, seed), steps - HOLD, record=(), threads=1, progress=False).final
    record = ("loss", "test_loss", "test_accuracy") if test else ("loss",)
    run = tl.train(gd, w, HOLD, record=record, start=steps - HOLD, threads=1, progress=False)
    return {name: getattr(run, name)[:, 1:].mean(axis=1) for name in record}


def tuned(cell: str, candidates: list[Schedule], networks: int, steps: int, seed: int) -> tuple[int, np.ndarray]:
    """Which of some schedules has the least median training loss, and all of these."""
    losses = np.array([np.median(ended(cell, s, networks, steps, seed, False)["loss"]) for s in candidates])
    return int(np.argmin(np.where(np.isfinite(losses), losses, np.inf))), losses


def schedule_runs(names, onsets, fastest, steps, tuning, networks, seeds, executor) -> dict[str, np.ndarray]:
    """For each cell and kind of schedule: losses of the tuning, which was chosen, and what other networks reach with it."""
    kinds = list(families(1.0, 1.0, 100))

    def one(cell: str, onset: float, best: float, length: int, kind: str) -> dict[str, np.ndarray]:
        candidates = families(onset, best, length)[kind]
        chosen, losses = tuned(cell, candidates, tuning, length, seeds[0])
        end = ended(cell, candidates[chosen], networks, length, seeds[1], True)
        return {"tuning": losses, "chosen": chosen} | {name: end[name] for name in ("test_loss", "test_accuracy")}

    jobs = [
        executor.submit(one, *about, kind)
        for about in zip(names, onsets, fastest, steps, strict=True)
        for kind in kinds
    ]
    found = [job.result() for job in jobs]
    lead = len(names), len(kinds)
    arrays = {name: np.array([f[name] for f in found]).astype(np.float32) for name in found[0]}
    return {"kinds": np.array(kinds)} | {
        name: values.reshape(*lead, *values.shape[1:]) for name, values in arrays.items()
    }


def control_runs(names, onsets, chosen, steps, tuning, networks, seeds, cap, executor) -> dict[str, np.ndarray]:
    """What "chaotic then decay" owes to chaos, on the networks of :func:`schedule_runs`: the same kind of schedule with a rate held below
    the onset, tuned by twelve settings; and the chosen one, with steps up to ``cap`` and with all of them, while the rate is held.

    (cells, 3, networks): test losses and accuracies; exponents over the held part, of 50 networks, (cells, 2, 50).
    """

    def ordered(cell: str, onset: float, length: int) -> dict[str, np.ndarray]:
        settings = [(peak, share) for peak in np.geomspace(onset / 8, onset / 1.12, 4) for share in (0.1, 0.3, 0.6)]
        candidates = [
            held_then(schedules.cosine(float(p), length - round(s * length)), float(p), round(s * length))
            for p, s in settings
        ]
        best, _ = tuned(cell, candidates, tuning, length, seeds[0])
        return {"setting": np.array(settings[best]), **ended(cell, candidates[best], networks, length, seeds[1], True)}

    def held(cell: str, onset: float, setting: int, length: int, amount: float) -> dict[str, np.ndarray]:
        peak = np.sqrt(2) * onset * np.sqrt([0.5, 1.0, 2.0, 4.0])[setting // 3]  # as in ``families``
        before = round((0.1, 0.3, 0.6)[setting % 3] * length)
        gd = descent(CELLS[cell], float(peak))
        some = gd if amount == PLAIN else CappedDescent(gd, amount)
        w = starts(gd, networks, seeds[1])
        rate = tl.lyapunov_spectrum(some, w[:50], before, k=1, blocks=4, threads=1, progress=False).exponents[:, 0]
        w = tl.train(some, w, before, record=(), threads=1, progress=False).final
        after = descent(CELLS[cell], schedules.cosine(float(peak), length - before))
        w = tl.train(after, w, length - before - HOLD, record=(), threads=1, progress=False).final
        record = ("loss", "test_loss", "test_accuracy")
        run = tl.train(after, w, HOLD, record=record, start=length - before - HOLD, threads=1, progress=False)
        return {"exponent": rate, **{name: getattr(run, name)[:, 1:].mean(axis=1) for name in record}}

    of = list(zip(names, onsets, chosen, steps, strict=True))
    jobs = [
        [executor.submit(ordered, name, onset, length)]
        + [executor.submit(held, name, onset, setting, length, amount) for amount in (cap, PLAIN)]
        for name, onset, setting, length in of
    ]
    found = [[job.result() for job in row] for row in jobs]
    arrays = {
        name: np.array([[one[name] for one in row] for row in found], dtype=np.float32)
        for name in ("test_loss", "test_accuracy")
    }
    return arrays | {
        "exponent": np.array([[one["exponent"] for one in row[1:]] for row in found], dtype=np.float32),
        "setting": np.array([row[0]["setting"] for row in found]),
    }


def at_levels(cell: str, k: int, networks: int, steps: int, levels: list[float]) -> dict[str, np.ndarray]:
    """When the training loss of networks at one rate has first fallen to some levels: steps (levels, n), -1 where it never does, and the
    test loss of that moment."""
    gd = descent(CELLS[cell], 10 ** (k / GRID))
    w = starts(gd, networks)
    run = tl.train(gd, w, steps, record=("loss", "test_loss"), threads=1, progress=False)
    with np.errstate(invalid="ignore"):
        there = run.loss <= np.array(levels)[:, None, None]
    step = np.where(there.any(axis=2), there.argmax(axis=2), -1)
    row = np.arange(networks)
    return {"step": step, "test_loss": np.where(step >= 0, run.test_loss[row, step], np.nan)}


def level_runs(names, numbers, networks, steps, levels, executor) -> dict[str, np.ndarray]:
    """For each cell and rate: test losses at equal training losses, (cells, rates, levels, networks)."""
    fixed = {"networks": networks, "steps": steps, "levels": levels}
    grid = [{"cell": name, "k": k} for name, own in zip(names, numbers, strict=True) for k in own]
    sweep = tl.sweep(
        at_levels, grid, PARTS / f"levels-{VERSION}", fixed=fixed, version=VERSION, executor=executor, in_flight=2
    )
    found = [sweep.load(**one) for one in grid]
    lead = len(names), len(numbers[0])
    arrays = {name: np.array([f[name] for f in found]) for name in found[0]}
    return {"rates": 10 ** (np.array(numbers) / GRID), "levels": np.array(levels)} | {
        name: values.reshape(*lead, *values.shape[1:]).astype(np.int16 if name == "step" else np.float32)
        for name, values in arrays.items()
    }


def main() -> None:
    pair = ["iris_10_sigmoid", "iris_10_tanh"]
    # about minimum and onset of pilots with 40 networks: every fourth rate, over 1.8 decades
    numbers = [list(range(-24, 13, 4)), list(range(-34, 3, 4))]
    threads = os.cpu_count() or 1
    with threadpool_limits(1), ThreadPoolExecutor(threads) as executor:

        def make(name: str, compute, **settings) -> None:
            def computed(**given):
                return compute(**given, executor=executor)

            computed.__name__ = f"learning_{name}"
            print(f"learning_{name}", flush=True)
            findings.make(FOLDER, computed, settings | {"version": VERSION})

        def versioned(compute):
            return lambda version, **given: compute(**given)

        make("capped", versioned(altered_runs), names=pair, numbers=numbers, networks=200, steps=300, change="capped",
             amounts=[0.1, 0.3, 1.0, PLAIN], exponents=50, at_once=100)  # fmt: skip
        make("capped-digits", versioned(altered_runs), names=["digits_10_tanh"], numbers=[list(range(-26, 15, 4))], networks=200, steps=300,
             change="capped", amounts=[0.1, 0.3, 1.0, PLAIN], exponents=50, at_once=100)  # fmt: skip
        make("copies", versioned(copies_runs), names=pair, numbers=[[-14, -10, -6, -2], [-26, -20, -16, -12]], networks=200, copies=8,
             steps=300, radius=1e-8)  # fmt: skip
        named = [*pair, "digits_10_tanh"]
        make("levels", versioned(level_runs), names=named, numbers=[*numbers, list(range(-26, 11, 4))], networks=200, steps=1000,
             levels=[0.8, 0.6, 0.4, 0.3, 0.2, 0.1])  # fmt: skip
        try:
            about = [findings.load(f"learning_{name}") for name in named]
        except FileNotFoundError:
            print(
                "schedules wait for the cells that they are told by: run tools/findings/learning.py first", flush=True
            )
        else:
            said = [learned.summary(cell, draws=0) for cell in about]
            make("schedules", versioned(schedule_runs), names=named, onsets=[s.onset.value for s in said],
                 fastest=[s.fastest.value for s in said], steps=[300, 300, 200], tuning=50, networks=500, seeds=[11, 12])  # fmt: skip
            chosen = findings.load("learning_schedules")
            kept = chosen.chosen[:, chosen.kinds.tolist().index("chaotic then decay")].astype(int).tolist()
            make("controls", versioned(control_runs), names=named, onsets=[s.onset.value for s in said], chosen=kept,
                 steps=[300, 300, 200], tuning=50, networks=500, seeds=[11, 12], cap=0.1)  # fmt: skip
        make("projected", versioned(altered_runs), names=pair, numbers=numbers, networks=48, steps=300, change="projected",
             amounts=[2.0, PLAIN], exponents=16, at_once=16)  # fmt: skip


if __name__ == "__main__":
    main()
