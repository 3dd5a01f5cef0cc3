"""What is recorded along trajectories: by the engine on its way, or from a buffer of its weights where it cannot."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .. import _validate
from .._curvature import largest_eigenvalues
from . import during, is_state, iterate, n_threads, registered, time_axis

RECORDS = ("loss", "norm", "weights", "gradient_norm", "accuracy", "test_accuracy", "test_loss", "sharpness")
COPY_RECORDS = ("loss", "weights", "accuracy", "test_accuracy", "test_loss")
"""What can be recorded of networks, and of networks together with their copies."""
BUFFER_BYTES = 1 << 27
BLOCK = 1 << 18
"""Bytes of weights between two looks at them, and numbers of a block of states whose outputs fit the cache."""


def names(gd, record, allowed: tuple[str, ...], w0: np.ndarray) -> tuple[str, ...]:
    """The records asked for, checked; what this map cannot give fails here, not after the run."""
    record = (record,) if isinstance(record, str) else record
    if not isinstance(record, tuple | list | set | frozenset):
        raise TypeError(f"record must be a tuple of names such as ('loss', 'weights'), got {_validate.shown(record)}")
    for name in record:
        _validate.choice("record", name, allowed)
        if name == "sharpness" and not (hasattr(gd, "hvp") or hasattr(gd, "hessian")):
            raise ValueError(
                f"record 'sharpness' needs a map with hvp(x, V) or hessian(x), and {getattr(gd, 'name', type(gd).__name__)} has none"
            )
        if name in _DERIVED and not (name == "loss" and gd.problem is not None):
            derived(gd, name, w0[:1] if gd.shared_loss else w0, 1)
    return tuple(record)


def run(gd, w: np.ndarray, copies: np.ndarray | None, steps: int, every: int, record: set[str], options: dict):
    """Iterate a map, and give all of ``record`` (engine's names): the arrays of :func:`~trajlib.engines.iterate`, and what ran."""
    engine = registered(options["engine"])
    snapshot, before = options.pop("snapshot", every), options.pop("start", 0)
    others = {name for name in record if name not in engine.records}
    if not others:
        return iterate(
            gd, w, copies, steps=steps, every=every, snapshot=snapshot, record=record, start=before, **options
        )
    m = 0 if copies is None else copies.shape[1]
    records = max(1, BUFFER_BYTES // (8 * w.size * (1 + m) or 1))
    asked = (record - others) | {"copy_weights" if m else "weights"}
    merged: dict[str, np.ndarray] = {}
    kept = {"snapshots" if name == "copy_weights" else name for name in record}
    nonfinite = np.full((len(w), 1 + m), -1, dtype=np.int64)
    done = count = 0
    stride = {name: max(1, snapshot // every) if is_state(name) else 1 for name in kept}  # of its records, one is kept
    while True:
        length = min(records * every, steps - done)
        out, ran = iterate(gd, w, copies, steps=length, every=every, record=asked, start=before + done, **options)
        n = ran.steps
        more = done + n < steps and not ran.interrupted
        new = n // every + (0 if more and n % every == 0 else 1)  # the next piece records this state again
        for name in others:
            states = out["copy_weights" if name.startswith("copy_") else "weights"]
            out[name] = derived(gd, name.removeprefix("copy_"), states, options["threads"])
        for name in kept:
            if name not in merged:
                shape, axis = out[name].shape, time_axis(name)
                merged[name] = np.empty((*shape[:axis], steps // every // stride[name] + 1, *shape[axis + 1 :]))
            first, last = -(-count // stride[name]), -(-(count + new) // stride[name])
            some = out[name][during(name, first * stride[name] - count, new)]
            merged[name][during(name, first, last)] = some[during(name, 0, None, stride[name])]
        nonfinite = np.where((nonfinite < 0) & (out["nonfinite"] >= 0), out["nonfinite"] + done, nonfinite)
        w, copies = out["reference"], out["copies"] if m else None
        done, count = done + n, count + new
        if not more:
            break
    merged = {name: array[during(name, 0, -(-count // stride[name]))] for name, array in merged.items()}
    return merged | {"reference": w, "copies": copies, "nonfinite": nonfinite}, ran._replace(steps=done)


def derived(gd, name: str, weights: np.ndarray, threads: int | None) -> np.ndarray:
    """A record (...) of states (..., p), some at a time: what lies between, an output for each sample, stays in the cache."""
    of = _function(gd, name)
    if not gd.shared_loss:  # the whole ensemble at each record
        rows = np.moveaxis(weights, 0, -2)
        found = np.array([of(np.ascontiguousarray(w)) for w in rows.reshape(-1, *rows.shape[-2:])])
        return found.T.reshape(weights.shape[:-1])
    if (
        name == "sharpness"
    ):  # Lanczos moves all records in lockstep, which costs half of beginning from the eigenvector of the last
        return of(weights)
    width = weights.shape[-1] + getattr(gd, "numbers_between", 0)
    states = weights.reshape(-1, weights.shape[-1])
    if name.endswith("accuracy") and getattr(gd, "counts", None) and gd.counts(len(states), _DERIVED[name][1]):
        return gd.accuracy(states, _DERIVED[name][1], threads=threads).reshape(weights.shape[:-1])
    parts = np.array_split(states, max(1, len(states) * width // BLOCK))
    with ThreadPoolExecutor(n_threads(threads)) as pool:
        return np.concatenate(list(pool.map(of, parts))).reshape(weights.shape[:-1])


def _function(gd, name: str):
    """The function of states (rows, p) that gives a record."""
    if name == "sharpness":
        return lambda w: largest_eigenvalues(gd, w)
    method, *arguments = _DERIVED[name]
    call = getattr(gd, method, None)
    if call is None:
        what = "a network and its task" if method in ("accuracy", "test_loss") else f"a map with {method}(x)"
        raise ValueError(f"record {name!r} needs {what}, and {getattr(gd, 'name', type(gd).__name__)} has none")
    if name != "gradient_norm":
        return lambda w: call(w, *arguments)

    def norm(w):
        with np.errstate(over="ignore", invalid="ignore"):
            return np.linalg.norm(call(w), axis=-1)

    return norm


_DERIVED = {
    "loss": ("loss",),
    "gradient_norm": ("gradient",),
    "accuracy": ("accuracy", "train"),
    "test_accuracy": ("accuracy", "test"),
    "test_loss": ("test_loss",),
}
"""Records that an engine may leave to be computed from the states, each with the method of the map that gives it."""


def fit_in_memory(networks: int, records: int, width: int) -> None:
    """Raise MemoryError where so many numbers would not fit."""
    needed = 8 * networks * records * width
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if needed > 0.8 * available:
            raise MemoryError(
                f"the records would take {needed / 2**30:.1f} GiB of {available / 2**30:.1f} GiB; "
                "record less, use every=, or fewer networks at a time"
            )
