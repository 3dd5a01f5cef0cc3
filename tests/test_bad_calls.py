"""Wrong arguments of every kind: one line from the library itself, never an error or a warning from inside."""

import math
import sys
import traceback
import warnings

import numpy as np
import pytest

import trajlib as tl
from trajlib import _validate, boundary
from trajlib.embedding.skewlognormal import SkewLognormal
from trajlib.tasks.mnist import parse_idx

RNG = np.random.Generator(np.random.PCG64(0))
NET, TASK = tl.Perceptron(4, 10, 3), tl.iris()
GD = tl.GradientDescent(NET, TASK, lr=1.0)
SMALL = tl.Perceptron(2, 2, 1, activation="tanh", loss="mean_squared_error", bias=False, scale="mean_field")
TRAINED = tl.GradientDescent(SMALL, tl.Task("small", np.eye(2), np.array([1.0, -1.0])))
W = NET.init(4, seed=0)
LAYERS = dict(zip(("W1", "b1", "W2", "b2"), NET.unpack(W[0]), strict=True))
SERIES, ENDS = RNG.standard_normal(160), RNG.standard_normal((3, 5, 60))
EVENT, SCORE = np.arange(40) < 15, RNG.standard_normal(40)
STATES = np.cumsum(RNG.standard_normal((2, 3, 20, 6)), axis=2)
EMBEDDING = tl.scalar_embedding(STATES[0])
GAPS = np.abs(RNG.standard_normal((30, 5))) + 0.1
FOLD = np.zeros(40, dtype=np.int64)
LAW = SkewLognormal(0.0, 1.0, 1.0)
GROWTH = np.exp(0.1 * np.arange(150.0))[None]

CALLS = {
    "Perceptron": (
        tl.Perceptron,
        {"n_inputs": 4, "n_hidden": 3, "n_outputs": 2, "activation": "tanh", "loss": "cross_entropy"},
    ),
    "init": (NET.init, {"n": 3, "seed": 0, "scheme": "normal"}),
    "pack": (NET.pack, LAYERS),
    "unpack": (NET.unpack, {"w": W}),
    "predict": (NET.predict, {"w": W, "x": TASK.x}),
    "activate": (NET.activate, {"z": SERIES}),
    "Task": (
        tl.Task,
        {
            "name": "t",
            "x": TASK.x,
            "y": TASK.y,
            "x_test": TASK.x_test,
            "y_test": TASK.y_test,
            "class_names": ("a", "b", "c"),
        },
    ),
    "iris": (tl.iris, {"split_seed": 0}),
    "plane": (tl.plane, {"kind": "ridge", "n": 5, "seed": 0, "n_test": 3}),
    "parse_idx": (parse_idx, {"data": bytes([0, 0, 8, 1, 0, 0, 0, 1, 7])}),
    "l1_distance": (tl.l1_distance, {"a": SERIES, "b": SERIES}),
    "displacement": (tl.displacement, {"weights": ENDS, "axis": -2}),
    "path_length": (tl.path_length, {"weights": ENDS, "axis": -2}),
    "expansion_rate": (
        tl.expansion_rate,
        {"distance": GROWTH, "rule": "from_start", "widths": (30,), "window": None, "min_r2": 0.9, "min_rate": 0.05},
    ),
    "autocorrelation": (tl.autocorrelation, {"series": SERIES, "max_lag": 5, "shuffles": 50, "level": 0.9, "seed": 0}),
    "local_exponents": (
        tl.local_exponents,
        {
            "series": SERIES,
            "radius": 0.5,
            "horizon": 5,
            "references": 20,
            "theiler": 0,
            "dimension": 1,
            "delay": 1,
            "window": (3, 5),
            "min_neighbours": 1,
            "seed": 0,
        },
    ),
    "phases": (tl.phases, {"series": SERIES, "period": 2, "tolerance": 0.1, "min_length": 8}),
    "detect_period": (tl.detect_period, {"series": SERIES, "max_period": 4, "tolerance": 0.1}),
    "scalar_embedding": (
        tl.scalar_embedding,
        {"snapshots": STATES[0], "k": 2, "method": "svd", "towards": np.ones(6), "seed": 0},
    ),
    "project": (EMBEDDING.project, {"points": STATES[0]}),
    "project_difference": (EMBEDDING.project_difference, {"a": STATES[0], "b": STATES[0]}),
    "embed_copies": (tl.embed_copies, {"snapshots": STATES, "k": 1, "method": "auto", "seed": 0}),
    "embedding_time": (
        tl.embedding_time,
        {"dz": np.abs(ENDS), "transient": 3, "fraction": 0.2, "run": 4, "floor": 1e-12},
    ),
    "saturation_time": (
        tl.saturation_time,
        {"dz": np.abs(ENDS), "fraction": 0.5, "last": 20, "growth": 10.0, "steady": 3.0},
    ),
    "decorrelation_time": (
        tl.decorrelation_time,
        {
            "reference": SERIES[:40],
            "copies": SERIES[:80].reshape(2, 40),
            "window": 10,
            "shifts": 20,
            "seed": 0,
            "null": "series",
            "level": 0.9,
            "max_r": 0.5,
        },
    ),
    "asymptotic_spacings": (tl.asymptotic_spacings, {"z": ENDS, "last": 5}),
    "rescale_spacings": (tl.rescale_spacings, {"spacings": GAPS, "how": "mean"}),
    "spacing_null": (tl.spacing_null, {"kind": "normal", "points": 4, "groups": 5, "how": "mean", "seed": 0}),
    "compare_spacings": (tl.compare_spacings, {"a": GAPS, "b": GAPS, "permutations": 5, "seed": 0}),
    "one_form": (
        tl.one_form,
        {"spacings": np.stack([GAPS, GAPS]), "permutations": 5, "calibration": 6, "combinations": 7, "seed": 0},
    ),
    "fit_skew_lognormal": (tl.fit_skew_lognormal, {"x": np.exp(SERIES)}),
    "pdf": (LAW.pdf, {"x": np.exp(SERIES)}),
    "cdf": (LAW.cdf, {"x": np.exp(SERIES)}),
    "rvs": (LAW.rvs, {"size": 5, "seed": 0}),
    "outcomes": (tl.outcomes, {"final_loss": np.abs(SCORE), "low": 1.0, "high": 2.0}),
    "assign_folds": (tl.assign_folds, {"outcome": EVENT, "folds": 2, "seed": 0}),
    "predict_outcome": (
        tl.predict_outcome,
        {
            "indicators": RNG.standard_normal((40, 2)),
            "outcome": EVENT,
            "method": "histogram",
            "event": 1,
            "folds": 2,
            "seed": 0,
            "bins": 4,
            "level": 0.9,
        },
    ),
    "baselines": (tl.baselines, {"gd": GD, "w": W}),
    "auc": (tl.auc, {"score": SCORE, "event": EVENT, "fold": FOLD, "level": 0.9}),
    "compare_auc": (tl.compare_auc, {"a": SCORE, "b": -SCORE, "event": EVENT, "fold": FOLD, "level": 0.9}),
    "roc_curve": (tl.roc_curve, {"score": SCORE, "event": EVENT}),
    "step_cost": (tl.step_cost, {"network": NET, "task": TASK, "indicator": "loss", "k": 3}),
    "indicator_cost": (tl.indicator_cost, {"network": NET, "task": TASK, "indicator": "exponents", "step": 3, "k": 3}),
    "stopping_rule": (
        tl.stopping_rule,
        {
            "score": SCORE,
            "good": ~EVENT,
            "train": np.arange(40) % 2 == 0,
            "step": 3,
            "steps": 10,
            "step_cost": 1.0,
            "indicator_cost": 0.5,
            "max_lost": 0.05,
        },
    ),
    "collapse": (tl.collapse, {"gd": GD, "weights": W, "tolerance": 0.01}),
    "rung_changes": (tl.rung_changes, {"state": tl.collapse(GD, W.reshape(2, 2, -1))}),
    "spectrum_edge": (
        tl.spectrum_edge,
        {"rates": np.ones(2), "weights": np.ones(2) / 2, "aspect_ratio": 0.25, "side": "left"},
    ),
    "flow_limit": (tl.flow_limit, {"x": RNG.standard_normal((2, 5)), "y": np.ones(2), "init_scale": 0.3}),
    "diagonal_descent": (
        lambda covariance, **o: tl.diagonal_descent(4, steps=3, covariance=covariance, sparsity=0.5, networks=2, **o),
        {"covariance": np.eye(4), "lr": 0.1, "batch_fraction": 0.5, "signal": np.ones(4)},
    ),
    "long_time": (
        tl.long_time,
        {"aspect_ratio": 0.5, "init_scale": 0.3, "noise": 0.1, "sparsity": 0.1, "weight_decay": 0.0},
    ),
    "trainability": (
        lambda **given: tl.trainability(network=SMALL, **given),
        {
            "x": RNG.standard_normal((3, 2)),
            "y": np.ones(3),
            "w0": SMALL.init(1, seed=0)[0],
            "rates0": np.ones(2),
            "rates1": np.ones(3),
            "steps": 3,
            "offset": np.full((2, 3), 0.1),
            "batch_size": 2,
            "batch_seed": 0,
            "replacement": True,
            "window": 2,
            "threshold": 1.0,
            "limit": 1e6,
        },
    ),
    "rates": (boundary.rates, {"centre": 1.0, "width": 0.1, "n": 4}),
    "power_of_ten": (boundary.power_of_ten, {"x": SERIES}),
    "draw": (lambda **given: boundary.draw(SMALL, **given), {"seed": 0, "samples": 3}),
    "edges": (boundary.edges, {"outcome": np.arange(12).reshape(3, 4) % 2}),
    "box_counting_dimension": (
        tl.box_counting_dimension,
        {"mask": np.eye(64, dtype=bool), "sizes": [1, 2, 4, 8], "shifts": 2},
    ),
    "uncertainty_exponent": (
        lambda **given: tl.uncertainty_exponent(lambda points: points.sum(axis=1) > 0, **given),
        {"points": RNG.standard_normal((50, 2)), "scales": np.array([0.01, 0.1]), "seed": 0},
    ),
    "shrinking_segments": (
        lambda **given: boundary.shrinking_segments(lambda points: points.sum(axis=1) > 0, **given),
        {
            "low": np.array([-1.0, -2.0]),
            "high": np.array([1.5, 1.0]),
            "segments": 4,
            "halvings": 3,
            "every": 2,
            "samples": 3,
            "seed": 0,
            "basins": np.array([0, 1]),
        },
    ),
    "lifetimes": (
        lambda **given: boundary.lifetimes(TRAINED, inside=lambda w: np.abs(w[:, 0]) < 9, **given),
        {"points": SMALL.init(5, seed=0), "steps": 3},
    ),
    "escape_rate": (boundary.escape_rate, {"left_at": np.arange(40) % 5, "steps": 9}),
    "saddle_exponent": (
        lambda **given: boundary.saddle_exponent(TRAINED, **given),
        {"points": SMALL.init(5, seed=0), "steps": 9, "transient": 1, "tail": 1, "k": 1, "seed": 0},
    ),
    "minimum_norm": (tl.minimum_norm, {"aspect_ratio": 0.5, "noise": 0.1}),
    "basis_pursuit": (tl.basis_pursuit, {"aspect_ratio": 0.5, "noise": 0.1, "sparsity": 0.1}),
}


class Silent:
    def __repr__(self):
        raise RuntimeError("cannot say what it is")


def wrong(good):
    """Things that somebody may give in place of a good argument; some of them are right for some arguments."""
    yield from (None, "abc", b"x", True, np.True_, -1, 0, 2.5, 1j, np.nan, np.inf, 10**30, 10**400, 1e308, 5e-324)
    yield from (
        [],
        [1, 2.0],
        (1,),
        {},
        object(),
        Silent(),
        len,
        np.array(0.5),
        np.array([]),
        np.array(["a", "b"]),
        np.int64(2),
    )
    yield from (np.array([None, 1], dtype=object), np.zeros((0, 3)), np.zeros((2, 0, 3)), np.zeros(3, dtype=np.int64))
    yield np.ma.array([1.0, 2.0], mask=[1, 0])
    if isinstance(good, np.ndarray):
        yield from (
            good[:0],
            good[:1],
            good[..., :1],
            good[None],
            good[None, None],
            good.ravel(),
            good.T,
            good.tolist(),
        )
        yield from (good.astype(kind) for kind in (np.float32, object, complex, ">f8", bool))
        yield from (
            np.ma.masked_array(good, mask=True),
            np.zeros_like(good),
            np.ones_like(good),
            ~good if good.dtype == bool else -good,
        )
        if good.dtype == np.float64:
            yield from (np.full_like(good, np.nan), np.full_like(good, np.inf), good * 1e300, good * 1e-300)
            yield np.where(good == good.flat[0], np.nan, good)


@pytest.mark.parametrize("name", CALLS)
def test_wrong_arguments_are_refused_in_one_line_or_dealt_with(name):
    function, arguments = CALLS[name]
    function(**arguments)
    for argument, good in arguments.items():
        for value in wrong(good):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    function(**arguments | {argument: value})
                except Exception as error:
                    frame = traceback.extract_tb(error.__traceback__)[-1]
                    said = f"{name}({argument}={type(value).__name__}): {type(error).__name__}: {error} in {frame.filename}:{frame.lineno}"
                    assert isinstance(error, TypeError | ValueError | MemoryError), said
                    assert "trajlib" in frame.filename and (frame.line or "").startswith("raise"), said
                    assert "\n" not in str(error) and 10 < len(str(error)) < 600, said


class Quantity(np.ndarray):
    """As of a library of physical units."""


KINDS = {
    "masked": (
        lambda x: np.ma.masked_array(x, mask=False),
        r"MaskedArray; convert with \.filled\(np\.nan\), or \.compressed",
    ),
    "matrix": (lambda x: x.view(np.matrix), r"matrix; convert with np\.asarray"),
    "unit": (lambda x: x.view(Quantity), r"Quantity; convert with np\.asarray"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
def test_no_array_of_another_kind_passes_with_its_meaning_lost(name, kind):
    function, arguments = CALLS[name]
    other, said = KINDS[kind]
    for argument, good in arguments.items():
        if isinstance(good, np.ndarray) and (kind != "matrix" or good.ndim == 2):
            with pytest.raises(TypeError, match=rf"{argument}s? must be a plain numpy array, got {said}"):
                function(**arguments | {argument: other(good)})


@pytest.mark.parametrize("path", [None, 3, b"x", b"", "", "a\0b", "\ud800", object(), ["x"]])
def test_what_is_no_path_is_refused(path, tmp_path):
    run = lambda seed: {"x": seed}  # noqa: E731
    for name, call in {
        "path": lambda: tl.load(path),
        "path ": lambda: LAW.save(path),
        "folder": lambda: tl.open_sweep(path),
        "folder ": lambda: tl.sweep(run, {"seed": [0]}, path),
    }.items():
        with pytest.raises(ValueError if isinstance(path, str) else TypeError, match=f"^{name.strip()} must be a path"):
            call()


MAP = tl.SoftmaxMap(3.0, np.array([0.3, 0.3, 0.4]))
START = MAP.init(2, seed=0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: tl.perturb(MAP, START, radius=1e-3, copies=1, seed=0, biases=np.array([])),
            "biases must be True or False",
        ),
        (lambda: tl.train(MAP, START, 1, device=np.array([])), "device must be a name such as 'cpu'"),
        (lambda: tl.train(MAP, START, 1, threads=2**31), "threads must be an integer from 1 to 4096"),
        (lambda: tl.lyapunov_spectrum(MAP, START, 8, k=np.array([])), "k must be an integer >= 1"),
        (lambda: tl.tangent(MAP, START, START[:, None], 1, device=b"cpu"), "device must be a name such as 'cpu'"),
        (lambda: tl.cycle_period(np.full((4, 3), np.inf), max_period=2), "path must be finite"),
        (lambda: tl.cycle_period(np.zeros((0, 3)), max_period=2), "path must have shape .*, of two steps at least"),
        (
            lambda: tl.finite_time_exponents(MAP, START, 4, singular_values=np.eye(2)),
            "singular_values must be True or False",
        ),
        (lambda: tl.dmft(response=np.array([])), "response must be True or False"),
        (lambda: tl.dmft(convergence="no"), "convergence must be True or False"),
        (lambda: tl.train(MAP, START, 1).to_frame(weights=1), "weights must be True or False"),
        (lambda: tl.finite_time_exponents(MAP, START, 4, at=np.zeros((9, 9), complex)), "at must be a list of steps"),
        (lambda: tl.covariant_vectors(MAP, START, 9, transient=np.zeros((9, 9))), "transient must be two numbers"),
        (lambda: tl.train(MAP, START, 1, record=np.zeros((9, 9))), "record must be a tuple of names"),
        (lambda: tl.pair_angles(np.full((3, 3), np.inf)), "vectors must not be infinite"),
        (lambda: tl.pair_angles(np.full((3, 2), 1e300)), "vectors must have unit length .* got a length of inf"),
        (
            lambda: tl.pair_angles(np.array([[1.0, 2.0], [0.0, 0.0]])),
            "vectors must have unit length .* got a length of 2",
        ),
        (lambda: tl.cycle_multipliers(GD, np.full((2, GD.n_parameters), np.nan)), "orbit must be finite, got nan"),
        (lambda: tl.cycle_multipliers(None, START), "gd must be the training of a Perceptron, got None"),
        (lambda: tl.Task.from_arrays(None, [1, 2]), "x must hold rows of numbers, got None"),
        (lambda: tl.sweep(len, np.zeros((9, 9)), "nowhere"), "grid must map names to values"),
    ],
)
def test_what_made_up_arguments_found(call, said):
    with pytest.raises((TypeError, ValueError), match=f"^{said}") as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fixed", [1, "a", ["a"], {1: 2}])
def test_fixed_parameters_have_names(fixed, tmp_path):
    with pytest.raises(TypeError, match="fixed must map names to values, or be None, got"):
        tl.sweep(lambda seed: {"x": seed}, {"seed": [0]}, tmp_path / "s", fixed=fixed)


def test_a_memmap_is_a_plain_array(tmp_path):
    file = np.memmap(tmp_path / "x", dtype=np.float64, mode="w+", shape=(5, 3))
    assert _validate.float64("x", file) is file


@pytest.mark.parametrize("value", [10**30, 2**63, 10**400])
def test_counts_have_64_bits(value):
    assert _validate.count("steps", 2**63 - 1) == 2**63 - 1
    with pytest.raises(ValueError, match=r"steps must be an integer from 0 to 2\*\*63 - 1, got "):
        _validate.count("steps", value)
    assert _validate.count("seed", value) == value and _validate.count("split_seed", value) == value
    assert tl.Perceptron(2, 2, 2).init(1, seed=value).shape == (1, 12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: NET.init(10**12, seed=0),
        lambda: tl.plane(n=10**13),
        lambda: tl.spacing_null(groups=10**13),
        lambda: tl.autocorrelation(SERIES, 5, shuffles=10**12),
        lambda: tl.decorrelation_time(SERIES[:40], SERIES[:80].reshape(2, 40), window=10, shifts=10**13),
        lambda: tl.compare_spacings(GAPS, GAPS, permutations=10**13),
        lambda: tl.one_form(np.stack([GAPS, GAPS]), permutations=10**13),
        lambda: tl.one_form(np.stack([GAPS, GAPS]), calibration=10**13),
        lambda: tl.skew_lognormal_test(np.exp(SERIES), replicates=10**13),
        lambda: LAW.rvs((10**6, 10**7), seed=0),
        lambda: tl.diagonal_flow(10**8),
    ],
)
def test_what_does_not_fit_into_memory_is_refused_before_it_is_tried(call):
    with pytest.raises(MemoryError, match=r"would take .* GiB of .* GiB; "):
        call()


def test_numbers():
    assert _validate.positive("lr", np.float32(0.5)) == 0.5 and _validate.positive("lr", 0, zero=True) == 0.0
    for value, error, message in [
        (np.array(0.1), TypeError, r"got array\(0.1\); take the number out with .item\(\)"),
        (np.array([0.1, 0.2]), TypeError, "a positive finite number, got array"),
        (np.True_, TypeError, "got np.True_"),
        ("0.1", TypeError, "got '0.1'"),
        (10**400, ValueError, "a positive finite number, got 1000"),
        (10**5000, ValueError, "got a value of type int"),
        (math.nan, ValueError, "got nan"),
    ]:
        with pytest.raises(error, match=message):
            _validate.positive("lr", value)


@pytest.mark.parametrize(("given", "error"), [([0.1, 0.2], TypeError), ((0.1, 0.2, 0.3), ValueError)])
def test_a_list_of_rates_is_told_about_arrays(given, error):
    with pytest.raises(error, match=r"lr must be .*one a network.*np.array\(\[...\]\)"):
        tl.GradientDescent(NET, TASK, lr=given)


def test_shown_is_short_and_of_one_line():
    for value in (np.zeros((50, 50)), "x" * 5000, 10**6000, Silent(), {"a": np.ones((3, 3))}):
        assert "\n" not in _validate.shown(value) and len(_validate.shown(value)) <= 200
    assert sys.get_int_max_str_digits() > 0
