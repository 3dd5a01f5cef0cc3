"""Properties of the public surface, with made-up arguments: what is wrong is refused in words that name it, what is right keeps its bits.

In CI a few of each, always the same; `pytest tests/test_properties.py --hypothesis-profile=campaign` makes up thousands of others.
`test_bad_calls.py` goes through the functions of arrays with a fixed list; here are the verbs and the maps, and several wrong at once.
"""

import functools
import math
import tempfile
import traceback
import warnings
from pathlib import Path

import hypothesis
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import trajlib as tl
from trajlib.embedding.skewlognormal import SkewLognormal
from trajlib.optimisers import schedules

NET, TASK = tl.Perceptron(4, 3, 3), tl.iris()
MAP = tl.SoftmaxMap(3.0, np.array([0.3, 0.3, 0.4]))
Z = MAP.init(2, seed=0)
SIZE = Z.shape[1]
VECTORS = np.linalg.qr(np.random.default_rng(0).standard_normal((2, SIZE, SIZE)))[0]
ORBIT = np.asarray(tl.train(MAP, Z, 4, record=("weights",)).weights[0])
QUIET = {"progress": False}
DIAGONAL = {"x": np.random.default_rng(1).standard_normal((3, 4)), "y": np.ones(3), "lr": 0.1, "weight_decay": 0.0}
RUN = {
    "gd": MAP,
    "w0": Z,
    "steps": 4,
    "start": 0,
    "engine": "generic",
    "device": None,
    "dtype": "float64",
    "threads": 1,
}
TANGENT = RUN | {"vectors": VECTORS, "steps": 8}
TRAINING = {"network": NET, "task": TASK, "lr": 0.1, "weight_decay": 0.0, "decoupled_weight_decay": False, "batch_size": 7,
            "batch_seed": 0, "replacement": False, "device": None}  # fmt: skip
GD = tl.GradientDescent(NET, TASK)
GD_HALF = tl.GradientDescent(NET, TASK, lr=0.5)
W = NET.init(2, seed=0)


def quietly(function):
    return functools.partial(function, **QUIET)


def in_a_folder(grid, fixed, version, code, in_flight):
    with tempfile.TemporaryDirectory() as folder:
        return tl.sweep(
            cell, grid, folder, fixed=fixed, version=version, code=code, in_flight=in_flight, progress=False
        )


def cell(**parameters):
    return {"x": np.array([len(parameters)])}


CALLS = {
    "train": (quietly(tl.train), RUN | {"record": ("weights",), "every": 1, "weights_every": 2}),
    "perturb": (tl.perturb, {"gd": MAP, "w0": Z, "radius": 1e-3, "copies": 2, "seed": 0, "biases": False}),
    "diverge": (quietly(tl.diverge), RUN | {"radius": 1e-3, "copies": 2, "seed": 0, "record": (), "every": 2}),
    "tangent": (quietly(tl.tangent), TANGENT | {"every": 2}),
    "lyapunov_spectrum": (
        quietly(tl.lyapunov_spectrum),
        TANGENT | {"k": SIZE, "transient": 0, "blocks": 4, "interval": 1, "seed": 0, "vectors": None},
    ),
    "finite_time_exponents": (
        quietly(tl.finite_time_exponents),
        TANGENT | {"at": [2, 4], "every": 1, "k": SIZE, "singular_values": False, "seed": 0, "memory": 2**20},
    ),
    "covariant_vectors": (
        quietly(tl.covariant_vectors),
        TANGENT | {"transient": (2, 2), "k": SIZE, "every": 1, "seed": 0, "tolerance": 1e-6, "checkpoint": 4, "memory": 2**20},
    ),
    "present_vectors": (
        quietly(tl.present_vectors),
        {k: v for k, v in TANGENT.items() if k != "steps"}
        | {"at": [5], "method": "ginelli", "lag": 2, "window": None, "k": SIZE, "seed": 0, "memory": 2**20},
    ),
    "sharpness": (
        tl.sharpness,
        {"gd": GD, "w": W, "k": 1, "preconditioned": False, "t": None, "smallest": False, "tolerance": 1e-6,
         "iterations": 50, "seed": 0, "method": "auto"},
    ),
    "cycle_multipliers": (tl.cycle_multipliers, {"gd": GD, "orbit": W[:, None]}),
    "cycle_period": (tl.cycle_period, {"path": ORBIT, "max_period": 2, "tolerance": 0.1}),
    "pair_angles": (tl.pair_angles, {"vectors": VECTORS}),
    "SoftmaxMap": (tl.SoftmaxMap, {"kappa": 2.0, "p": np.array([0.5, 0.5])}),
    "DiagonalNetwork": (tl.DiagonalNetwork, DIAGONAL),
    "GradientDescent": (tl.GradientDescent, TRAINING | {"momentum": 0.5, "nesterov": True}),
    "Adam": (tl.Adam, TRAINING | {"betas": (0.9, 0.99), "eps": 1e-8}),
    "AdamW": (tl.AdamW, TRAINING | {"betas": (0.9, 0.99), "eps": 1e-8}),
    "RMSProp": (tl.RMSProp, TRAINING | {"alpha": 0.9, "eps": 1e-8, "momentum": 0.0}),
    "schedules.array": (schedules.array, {"values": [0.1, 0.2]}),
    "schedules.constant": (schedules.constant, {"lr": 0.1}),
    "schedules.cosine": (schedules.cosine, {"lr": 0.1, "steps": 5, "end": 0.0}),
    "schedules.exponential": (schedules.exponential, {"lr": 0.1, "factor": 0.9}),
    "schedules.one_cycle": (
        schedules.one_cycle,
        {"lr": 0.1, "steps": 5, "warm": 0.3, "start_factor": 0.04, "end_factor": 1e-4},
    ),
    "schedules.step": (schedules.step, {"lr": 0.1, "every": 3, "factor": 0.5}),
    "schedules.warm_up": (schedules.warm_up, {"lr": 0.1, "steps": 5, "start": 0.0}),
    "Task.from_arrays": (tl.Task.from_arrays, {"x": [[0.1], [0.9], [1.1]], "y": ["no", "yes", "yes"]}),
    "load": (tl.load, {"path": "nowhere/none.npz"}),
    "open_sweep": (tl.open_sweep, {"folder": "nowhere"}),
    "sweep": (in_a_folder, {"grid": {"a": [1, 2]}, "fixed": {"b": "c"}, "version": 1, "code": "check", "in_flight": 2}),
}  # fmt: skip

# No number in between: 10**6 steps are no error, and take their time.
INTEGERS = st.integers(-3, 6) | st.sampled_from([2**31, 2**63, 10**30, -(10**30)])
SCALARS = (
    st.none() | st.booleans() | INTEGERS | st.floats() | st.complex_numbers() | st.text(max_size=6) | st.binary(max_size=4)
    | st.sampled_from([np.float32(0.5), np.float64(0.5), np.int8(2), np.bool_(True), np.str_("auto"), math.pi, object(), len, int])
    | st.sampled_from(["auto", "cpu", "cuda:9", "float32", "weights", "loss", "ginelli", "check", "tanh"])
)  # fmt: skip
DTYPES = st.sampled_from(["f8", "f4", ">f8", "f2", "c16", "i8", "u1", "?", "O", "U3", "M8[s]", "V4"])
ARRAYS = hnp.arrays(
    DTYPES.filter(lambda one: one not in ("O", "V4")), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
)
STRANGE = st.one_of(
    SCALARS,
    ARRAYS,
    st.lists(SCALARS, max_size=3),
    st.tuples(SCALARS, SCALARS),
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
)
LONG = {
    "steps",
    "blocks",
    "at",
    "iterations",
    "probes",
    "points",
    "every",
    "lag",
    "window",
    "transient",
    "start",
    "copies",
    "memory",
}


def altered(good):
    """The good argument, a little changed: what is nearly right is refused less easily than what is absurd."""
    if isinstance(good, np.ndarray):
        return st.sampled_from(
            [good[:0], good[..., :1], good[None], good.ravel(), good.astype("f4"), good.astype(">f8"), good.astype(object),
             good.tolist(), np.full_like(good, np.nan), np.full_like(good, np.inf), good * 1e300, good * 0, good[..., ::-1],
             np.ma.masked_array(good, mask=True), np.asfortranarray(good), good.astype(complex)]
        )  # fmt: skip
    if isinstance(good, tuple | list):
        return (
            st.permutations(list(good)).map(tuple)
            | st.just(good[:-1])
            | st.just([*good, *good])
            | st.just([list(good)])
        )
    if isinstance(good, dict):
        return st.just({}) | st.dictionaries(st.text(max_size=3), STRANGE, max_size=2) | st.just(list(good))
    if isinstance(good, bool) or not isinstance(good, int | float):
        return STRANGE
    return st.sampled_from(
        [-good, good + 0.5, float(good), str(good), [good], np.array(good), np.array([good]), good * 1j, good == good]
    )


def calls(name):
    """Arguments of a call, of which one or two are strange."""
    good = CALLS[name][1]
    one = st.sampled_from(sorted(good)).flatmap(
        lambda argument: st.tuples(
            st.just(argument), (STRANGE | altered(good[argument])).filter(lambda v: short(argument, v))
        )
    )
    return st.lists(one, min_size=1, max_size=2).map(dict)


def short(argument, value):
    """Not a run of two thousand million steps."""
    if argument not in LONG:
        return True
    try:
        flat = [
            int(v)
            for v in np.ravel(np.asarray(value, dtype=object))
            if isinstance(v, int | float | np.number) and math.isfinite(v)
        ]
    except Exception:
        return True
    return not any(6 < v < 2**63 for v in flat)


class Complaint(AssertionError):
    """What is wrong with an answer."""


def judge(name, wrong):
    """Make the call; raise Complaint where it ends in anything but a result, or an error of the library itself that says what is wrong."""
    function, good = CALLS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            function(**good | wrong)
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__}: {error} ({at.filename}:{at.lineno})"
            if isinstance(error, OSError) and error.filename is not None:  # of the system, about a file that it names
                return
            if not isinstance(error, TypeError | ValueError | OSError | MemoryError | ImportError | RuntimeError):
                raise Complaint(f"another error: {said}") from error
            if isinstance(error, Warning) or "trajlib" not in at.filename or not (at.line or "").startswith("raise"):
                raise Complaint(f"from inside: {said}") from error
            text = str(error).replace(str(wrong.get("path", "\0")), "")  # names of files may have lines
            if not 10 < len(str(error)) < 700 or ("\n" in text and "for example\n" not in text):
                raise Complaint(f"not one line: {said}") from error


@pytest.mark.parametrize("name", CALLS)
@given(data=st.data())
def test_what_is_wrong_is_refused_in_the_librarys_own_words(name, data):
    wrong = data.draw(calls(name))
    note(f"{name}({wrong!r})")
    judge(name, wrong)


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"load", "open_sweep"}))
def test_the_good_calls_are_good(name):
    function, good = CALLS[name]
    function(**good)


def test_a_bad_answer_is_noticed(monkeypatch):
    """The judge can say no: an error from inside numpy, one without words, one of another kind, a warning."""

    def divide():
        np.empty((2, 3)) @ np.empty((2, 3))

    for function in (divide, lambda: [].pop(), lambda: warnings.warn("overflow", RuntimeWarning, stacklevel=1)):
        monkeypatch.setitem(CALLS, "bad", (function, {}))
        with pytest.raises(Complaint):
            judge("bad", {})


# What is right keeps its bits

NETWORKS = st.integers(1, 9)
SEEDS = st.integers(0, 2**64)
MAPS = {
    "gradient descent": tl.GradientDescent(NET, TASK, lr=2.0),
    "heavy ball, minibatches": tl.GradientDescent(NET, TASK, lr=0.5, momentum=0.9, batch_size=7),
    "Adam, a schedule, drawn with replacement": tl.Adam(
        NET, TASK, lr=tl.optimisers.schedules.cosine(0.05, 70), batch_size=5, replacement=True
    ),
    "softmax map": tl.SoftmaxMap(10.0, MAP.p),
}


def start(gd, n, seed):
    return (gd.network if hasattr(gd, "network") else gd).init(n, seed=seed)


def final(gd, w, steps, **options):
    return np.asarray(tl.train(gd, w, steps, record=(), threads=1, progress=False, **options).final_state)


@pytest.mark.parametrize("name", MAPS)
@given(n=NETWORKS, seed=SEEDS, data=st.data())
def test_order_and_company_change_no_bit(name, n, seed, data):
    gd = MAPS[name]
    w = start(gd, n, seed)
    whole = final(gd, w, 60)
    order = data.draw(st.permutations(range(n)))
    cut = data.draw(st.integers(0, n))
    assert final(gd, w[order], 60).tobytes() == whole[order].tobytes()
    parts = [final(gd, part, 60) for part in (w[:cut], w[cut:]) if len(part)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("name", MAPS)
@given(n=NETWORKS, seed=SEEDS, first=st.integers(0, 40), second=st.integers(0, 40))
def test_training_in_two_pieces_changes_no_bit(name, n, seed, first, second):
    gd = MAPS[name]
    w = start(gd, n, seed)
    pieces = final(gd, final(gd, w, first), second, start=first)
    assert pieces.tobytes() == final(gd, w, first + second).tobytes()


@given(n=NETWORKS, seed=SEEDS, units=st.permutations(range(3)), classes=st.permutations(range(3)))
def test_names_of_units_and_classes_do_not_matter(n, seed, units, classes):
    """To rounding: sums over units are taken in another order then."""
    units, classes = list(units), list(classes)
    w = NET.init(n, seed=seed)
    w1, b1, w2, b2 = NET.unpack(w)
    renamed = NET.pack(w1[..., units], b1[..., units], w2[..., units, :][..., classes], b2[..., classes])
    other = tl.GradientDescent(NET, tl.Task("renamed", TASK.x, np.argsort(classes)[TASK.y]), lr=0.5)
    v1, c1, v2, c2 = NET.unpack(final(GD_HALF, w, 20))
    expected = NET.pack(v1[..., units], c1[..., units], v2[..., units, :][..., classes], c2[..., classes])
    np.testing.assert_allclose(final(other, renamed, 20), expected, rtol=1e-9, atol=1e-9)


# Files

LAW = st.floats(-3, 3)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(n=NETWORKS, seed=SEEDS, steps=st.integers(0, 9), record=st.sets(st.sampled_from(["weights", "norm"])))
def test_a_run_is_the_same_after_it_was_saved(n, seed, steps, record):
    run = tl.train(MAP, MAP.init(n, seed=seed), steps, record=tuple(sorted(record)), progress=False)
    with tempfile.TemporaryDirectory() as folder:
        path = run.save(Path(folder, "run"))
        again = tl.load(path)
        assert again.save(Path(folder, "again")).read_bytes() == path.read_bytes()
    assert again.final.tobytes() == run.final.tobytes()
    for name in ("weights", "norm"):
        one, two = getattr(run, name), getattr(again, name)
        assert (one is None) == (two is None) == (name not in record)
        assert one is None or (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())


@given(location=LAW, scale=st.floats(0.1, 3), shape=LAW)
def test_numbers_are_the_same_after_they_were_saved(location, scale, shape):
    law = SkewLognormal(location, scale, shape)
    with tempfile.TemporaryDirectory() as folder:
        path = law.save(Path(folder, "law"))
        again = tl.load(path)
        assert again.save(Path(folder, "again")).read_bytes() == path.read_bytes()
    for name in ("location", "scale", "shape"):
        one, two = getattr(law, name, None), getattr(again, name, None)
        assert type(one) is type(two) and np.asarray(one).tobytes() == np.asarray(two).tobytes()


PARAMETERS = st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=5) | st.tuples(FLOATS, st.booleans())


def stored(value):
    """A cell that gives back what it was asked for, as an array of every kind that a file may hold."""
    return {"n": np.array([hash(value) & 0xFFFF]), "t": np.array([repr(value)])}


@given(values=st.lists(PARAMETERS, min_size=1, max_size=4, unique_by=lambda v: (isinstance(v, bool), v)))
def test_a_cell_of_a_sweep_is_found_under_its_own_parameters(values):
    hypothesis.assume(all(not isinstance(v, int) or v.bit_length() < 10_000 for v in values))
    with tempfile.TemporaryDirectory() as folder:
        made = tl.sweep(stored, {"value": values}, folder, version=1, progress=False)
        again = tl.open_sweep(folder)
        for value in values:
            assert again.load(value=value)["t"].tolist() == made.load(value=value)["t"].tolist() == [repr(value)]
        assert not any(again.check())
