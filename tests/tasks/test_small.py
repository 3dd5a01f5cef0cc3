"""Tasks: what is in them, reproducible splits, values that nobody can change, errors."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_iris

import trajlib as tl

ARRAYS = ("x", "y", "x_test", "y_test")
BUILT_IN = [
    pytest.param(tl.iris, load_iris, 120, 1.0, id="iris"),
    pytest.param(tl.digits, load_digits, 1437, 16.0, id="digits"),
]
X, Y = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]), np.array([0, 1, 1])


@pytest.mark.parametrize("make, load, n_train, scale", BUILT_IN)
def test_a_split_is_a_partition_of_the_data(make, load, n_train, scale):
    task, bunch = make(), load()
    d = bunch.data.shape[1]
    assert task.x.shape == (n_train, d) and task.x_test.shape == (len(bunch.data) - n_train, d)
    assert [getattr(task, a).dtype for a in ARRAYS] == [np.float64, np.int64] * 2
    rows = np.column_stack([np.concatenate([task.x, task.x_test]) * scale, np.concatenate([task.y, task.y_test])])
    original = np.column_stack([bunch.data, bunch.target])
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], original[np.lexsort(original.T)])
    assert len(task.class_names) == task.n_classes == len(bunch.target_names)
    assert len(task.feature_names) == d and all(isinstance(n, str) for n in task.feature_names)


@pytest.mark.parametrize("make, load, n_train, scale", BUILT_IN)
def test_the_seed_makes_the_split(make, load, n_train, scale):
    first, again, other = make(), make(split_seed=0), make(split_seed=1)
    for name in ARRAYS:
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.x.tobytes() != other.x.tobytes()
    np.testing.assert_array_equal(np.sort(np.concatenate([other.y, other.y_test])), np.sort(load().target))


def test_iris_is_in_centimetres_and_named():
    task = tl.iris()
    assert task.feature_names == ("sepal length", "sepal width", "petal length", "petal width")
    assert task.class_names == ("setosa", "versicolor", "virginica")
    assert 4.0 < task.x[:, 0].min() < task.x[:, 0].max() < 8.0


def test_digits_are_scaled_to_one():
    task = tl.digits()
    assert task.x.min() == 0.0 and task.x.max() == 1.0


def test_proportions_depend_on_the_split():
    counts = [tl.iris(seed).proportions * 120 for seed in range(5)]
    for count, seed in zip(counts, range(5), strict=True):
        np.testing.assert_allclose(count, [(tl.iris(seed).y == k).sum() for k in range(3)], rtol=1e-14)
        assert count.sum() == pytest.approx(120)
    assert len({tuple(c.round(6)) for c in counts}) > 1


@pytest.mark.parametrize("seed, error", [(-1, ValueError), (0.5, TypeError), (None, TypeError), (True, TypeError)])
def test_split_seeds_that_are_refused(seed, error):
    with pytest.raises(error, match="split_seed must be an integer >= 0"):
        tl.iris(seed)


def test_standardised():
    task = tl.iris()
    scaled = task.standardised()
    np.testing.assert_allclose(scaled.x.mean(axis=0), 0.0, atol=1e-14)
    np.testing.assert_allclose(scaled.x.std(axis=0), 1.0, rtol=1e-14)
    # the test part is scaled by the training part's mean and deviation: nothing leaks
    np.testing.assert_allclose(scaled.x_test, (task.x_test - task.x.mean(axis=0)) / task.x.std(axis=0), rtol=1e-14)
    np.testing.assert_array_equal(scaled.y, task.y)
    assert scaled.name == "iris, standardised" and scaled.class_names == task.class_names


def test_a_constant_feature_is_only_centred():
    x, x_test = np.array([[3.0, 0.0], [3.0, 2.0]]), np.array([[5.0, 1.0]])
    scaled = tl.Task("flat", x=x, y=Y[:2], x_test=x_test, y_test=Y[:1]).standardised()
    np.testing.assert_array_equal(scaled.x, [[0.0, -1.0], [0.0, 1.0]])
    np.testing.assert_array_equal(scaled.x_test, [[2.0, 0.0]])


@pytest.mark.parametrize("name", ARRAYS)
def test_a_task_cannot_be_changed(name):
    task = tl.iris()
    with pytest.raises(ValueError, match="read-only"):
        getattr(task, name)[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(task, name, getattr(task, name))


def test_later_changes_of_the_callers_arrays_do_not_reach_it():
    x, y = X.copy(), Y.copy()
    task = tl.Task("own", x=x, y=y)
    x[0, 0], y[0] = 99.0, 5
    np.testing.assert_array_equal(task.x, X)
    np.testing.assert_array_equal(task.y, Y)


def test_a_task_of_ones_own():
    task = tl.Task(name="own", x=X, y=Y, x_test=X[:1], y_test=np.array([2]))
    assert task.is_classification
    assert task.n_classes == 3, "a class that only the test part has counts"
    np.testing.assert_allclose(task.proportions, [1 / 3, 2 / 3, 0])


@pytest.mark.parametrize(
    ("y", "y_test"),
    [([1, 2, 3], [1]), ([0, 7, 7], [0]), ([0, 1, 1], [3]), ([2, 2, 2], [2]), ([0, 2, 2], []), ([2**40, 0, 0], [])],
)
def test_labels_with_a_gap_are_refused(y, y_test):
    """They would make classes that no sample has."""
    y, y_test = np.array(y), np.array(y_test, dtype=np.int64)
    present = re.escape(str(sorted({*y.tolist(), *y_test.tolist()})))
    with pytest.raises(
        ValueError,
        match=rf"labels must be 0, 1, \.\.\., K - 1 without a gap, got {present}: .*np.unique\(.*class_names",
    ):
        tl.Task("own", x=X, y=y, x_test=X[: len(y_test)], y_test=y_test)


def test_names_declare_classes_that_these_samples_lack():
    task = tl.Task("own", x=X, y=np.array([0, 3, 3]), x_test=X[:1], y_test=np.array([1]), class_names=tuple("abcde"))
    assert task.n_classes == 5
    np.testing.assert_allclose(task.proportions, [1 / 3, 0, 0, 2 / 3, 0])
    assert tl.GradientDescent(tl.Perceptron(2, 3, 5), task).loss(np.zeros((1, 29))).shape == (1,)
    assert task.standardised().n_classes == 5
    with pytest.raises(ValueError, match="labels must be below 3, the number of class_names, got 3"):
        dataclasses.replace(task, class_names=tuple("abc"))
    flower = tl.iris()
    part = dataclasses.replace(flower, x=flower.x[:1], y=flower.y[:1])
    assert part.n_classes == 3


def test_a_test_part_alone_may_hold_a_class():
    """A random split of few samples, and one class in all."""
    assert tl.Task("own", x=X, y=np.array([0, 0, 2]), x_test=X[:2], y_test=np.array([1, 0])).n_classes == 3
    assert tl.Task("own", x=X, y=np.array([0, 0, 0])).n_classes == 1


def test_without_a_test_part():
    task = tl.Task("own", x=X, y=Y)
    assert task.x_test.shape == (0, 2) and task.y_test.shape == (0,) and task.y_test.dtype == np.int64
    assert task.n_classes == 2
    assert task.standardised().x_test.shape == (0, 2)


def test_regression():
    task = tl.Task("plane", x=X, y=np.array([0.5, -1.0, 2.0]))
    assert not task.is_classification and task.n_classes == 0


def test_fortran_order_is_straightened():
    task = tl.Task("own", x=np.asfortranarray(X), y=Y)
    assert task.x.flags.c_contiguous
    np.testing.assert_array_equal(task.x, X)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"x": X.astype(np.float32)}, TypeError, "x must be float64, got float32"),
        ({"x": X.astype(int)}, TypeError, "x must be float64, got int64"),
        (
            {"x": np.ma.masked_greater(X, 1)},
            TypeError,
            "x must be a plain numpy array, got MaskedArray; convert with .filled",
        ),
        ({"x": X.view(np.matrix)}, TypeError, r"x must be a plain numpy array, got matrix; convert with np.asarray"),
        ({"y": np.ma.array(Y, mask=[1, 0, 0])}, TypeError, "y must be a plain numpy array, got MaskedArray"),
        ({"x": X.tolist()}, TypeError, "x must be a numpy array of float64, got list"),
        ({"x": X[0]}, ValueError, r"x must have shape \(n, d\), got \(2,\)"),
        ({"x": X * np.nan}, ValueError, r"x must be finite, got nan at index \(0, 0\) \(6 such entries\)"),
        ({"x": X[:0], "y": Y[:0]}, ValueError, "x must hold at least one sample"),
        ({"y": Y.tolist()}, TypeError, "y must be an array of int64 .* got list"),
        ({"y": Y.astype(np.int32)}, TypeError, "y must be an array of int64 .* got int32"),
        ({"y": Y == 1}, TypeError, "y must be an array of int64 .* got bool"),
        ({"y": Y[:2]}, ValueError, r"y must have shape \(3,\).* got \(2,\)"),
        ({"y": Y[:, None]}, ValueError, r"y must have shape \(3,\).* got \(3, 1\)"),
        ({"y": Y - 1}, ValueError, r"labels in y must be 0, 1, \.\.\., got -1"),
        ({"y": Y + np.inf}, ValueError, "y must be finite"),
        ({"x_test": X}, ValueError, "x_test and y_test go together"),
        ({"y_test": Y}, ValueError, "x_test and y_test go together"),
        ({"x_test": X[:, :1], "y_test": Y}, ValueError, "must have the same features"),
        ({"x_test": X, "y_test": Y.astype(float)}, ValueError, "the same kind of target"),
        ({"x_test": X, "y_test": Y - 1}, ValueError, "labels in y_test must be 0, 1"),
        ({"x_test": X, "y_test": Y[:1]}, ValueError, r"y_test must have shape \(3,\)"),
        ({"x_test": X + np.inf, "y_test": Y}, ValueError, "x_test must be finite"),
    ],
)
def test_tasks_that_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        tl.Task(**({"name": "own", "x": X, "y": Y} | arguments))


def test_a_constant_feature_with_a_rounding_error_is_only_centred():
    x = np.column_stack([np.full(10, 0.1), np.arange(10.0)])
    task = tl.Task("c", x=x, y=np.arange(10) % 2, x_test=np.array([[0.2, 1.0]]), y_test=np.array([0])).standardised()
    assert (task.x[:, 0] == 0).all() and task.x_test[0, 0] == pytest.approx(0.1)


FORMULAS = {
    "parabola": lambda u, v: (u + v) ** 2 / 1.2,
    "ridge": lambda u, v: 3 * abs(u + v),
    "saddle": lambda u, v: 2 * u * v,
    "wave": lambda u, v: 4 * np.cos(np.pi * (u + v) / 4),
    "step": lambda u, v: 4.0 if u + v > 0 else -4.0,
    "linear": lambda u, v: 2 * u - 2 * v,
}


@pytest.mark.parametrize("kind", tl.tasks.PLANES)
def test_planes(kind):
    task = tl.plane(kind)
    assert task.x.shape == (50, 2) and task.x_test.shape == (1000, 2) and not task.is_classification
    for x, y in ((task.x, task.y), (task.x_test, task.y_test)):
        assert -2 <= x.min() < -1.5 and 1.5 < x.max() <= 2
        np.testing.assert_allclose(y, [FORMULAS[kind](u, v) for u, v in x], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(task.x_test.mean(axis=0), 0, atol=4 * 2 / np.sqrt(3000))
    np.testing.assert_allclose(np.cov(task.x_test.T), np.eye(2) * 4 / 3, atol=0.15)
    assert tl.plane().name == "plane, parabola"


def test_points_of_a_plane():
    task = tl.plane("saddle", seed=3)
    for other in (tl.plane("ridge", seed=3), tl.plane("saddle", seed=3, n_test=0)):
        np.testing.assert_array_equal(other.x, task.x)
    np.testing.assert_array_equal(tl.plane("ridge", seed=3).x_test, task.x_test)
    assert (tl.plane("saddle", seed=4).x != task.x).all()
    assert tl.plane(n=7, n_test=0).x_test.shape == (0, 2)


@pytest.mark.parametrize("kind, spread", [("parabola", (0.3, 0.2)), ("ridge", (0.2, 0.1)), ("step", (0.3, 0.1))])
def test_final_losses_of_planes_spread(kind, spread):
    """Over both activations, with 100 networks each: shares that end below 4 and above 100."""
    final = []
    for activation in ("tanh", "relu"):
        net = tl.Perceptron(2, 2, 1, activation=activation, loss="half_squared_error")
        gd = tl.GradientDescent(net, tl.plane(kind), lr=1e-3)
        final.append(tl.train(gd, net.init(100, seed=0), steps=4000, record=("loss",), every=4000).loss[:, -1])
    outcome = tl.outcomes(np.concatenate(final))
    assert (outcome == 0).mean() > spread[0] and (outcome == 2).mean() > spread[1]


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"kind": "torus"}, ValueError, "kind must be one of 'parabola', 'ridge'"),
        ({"n": 0}, ValueError, "n must be an integer >= 1"),
        ({"n": 10**12}, MemoryError, "the points would take .* GiB of .* GiB; take fewer"),
        ({"n_test": 10**30}, ValueError, r"n_test must be an integer from 0 to 2\*\*63 - 1"),
        ({"n_test": -1}, ValueError, "n_test must be an integer >= 0"),
        ({"seed": 1.5}, TypeError, "seed must be an integer >= 0"),
    ],
)
def test_planes_that_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        tl.plane(**arguments)


CONVERTED = [
    pytest.param(["no", "yes", "no"], ("no", "yes"), [0, 1, 0], id="strings"),
    pytest.param(np.array([True, False, True]), ("False", "True"), [1, 0, 1], id="booleans"),
    pytest.param([3, 1, 2], ("1", "2", "3"), [2, 0, 1], id="integers from 1"),
    pytest.param(np.array([7, 0, 7], dtype=np.uint8), ("0", "7"), [1, 0, 1], id="integers with a gap"),
    pytest.param([-1, 10, 2], ("-1", "2", "10"), [0, 2, 1], id="sorted as numbers"),
    pytest.param(np.array([b"b", b"a", b"b"]), ("a", "b"), [1, 0, 1], id="bytes"),
    pytest.param(np.array(["b", "a", "b"], dtype=object), ("a", "b"), [1, 0, 1], id="objects"),
    pytest.param(pd.Series(["b", "a", "b"], dtype="category"), ("a", "b"), [1, 0, 1], id="categories"),
    pytest.param(pd.Series([0.5, 0.1, 0.5], dtype="category"), ("0.1", "0.5"), [1, 0, 1], id="categories of floats"),
    pytest.param(pd.Series([3, 1, 3], dtype="Int64"), ("1", "3"), [1, 0, 1], id="nullable integers"),
    pytest.param(pd.Series([True, False, True], dtype="boolean"), ("False", "True"), [1, 0, 1], id="nullable booleans"),
]


@pytest.mark.parametrize("labels, names, y", CONVERTED)
def test_labels_of_any_kind(labels, names, y):
    for task in (
        tl.Task.from_arrays(X, labels),
        tl.Task.from_frame(pd.DataFrame({"a": [1, 2, 3], "label": labels}), test=0),
    ):
        assert task.class_names == names and task.y.dtype == np.int64 and task.n_classes == len(names)
        np.testing.assert_array_equal(task.y, y)
        assert task.x_test.shape[0] == 0


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int8, np.uint64, bool, object, list, pd.DataFrame])
def test_numbers_of_any_kind(kind):
    x = X.tolist() if kind is list else pd.DataFrame(X, columns=["a", "b"]) if kind is pd.DataFrame else X.astype(kind)
    task = tl.Task.from_arrays(x, [0, 1, 1], name="own", feature_names=["u", "v"])
    np.testing.assert_array_equal(task.x, X != 0 if kind is bool else X)
    assert task.x.dtype == np.float64 and task.name == "own" and task.feature_names == ("u", "v")


@pytest.mark.parametrize("kind", [np.float32, np.float64, object, "Float64"])
def test_float_targets_are_values(kind):
    y = pd.Series([0.5, 2.0, 1.0], dtype=kind)
    task = tl.Task.from_arrays(X, y)
    assert not task.is_classification and task.class_names == () and task.y.dtype == np.float64
    np.testing.assert_array_equal(task.y, [0.5, 2.0, 1.0])


def test_a_test_part_of_ones_own_has_the_same_labels():
    task = tl.Task.from_arrays(X, ["b", "a", "c"], X[:2], ["c", "a"])
    np.testing.assert_array_equal(task.y_test, [2, 0])
    with pytest.raises(ValueError, match="y_test must hold labels that y has too, got d"):
        tl.Task.from_arrays(X, ["b", "a", "c"], X[:2], ["c", "d"])
    with pytest.raises(ValueError, match="y_test must hold labels as y does"):
        tl.Task.from_arrays(X, ["b", "a", "c"], X[:2], [0.5, 1.0])
    with pytest.raises(ValueError, match="y_test must hold float values as y does, got labels"):
        tl.Task.from_arrays(X, [0.5, 0.1, 0.2], X[:2], [1, 0])
    np.testing.assert_array_equal(tl.Task.from_arrays(X, [0.5, 0.1, 0.2], X[:2], [1.5, 1.5]).y_test, [1.5, 1.5])
    with pytest.raises(ValueError, match="x_test and y_test go together"):
        tl.Task.from_arrays(X, Y, X)
    with pytest.raises(ValueError, match=r"give x_test and y_test or a share test=0\.5, not both"):
        tl.Task.from_arrays(X, Y, X, Y, test=0.5)
    with pytest.raises(ValueError, match=r"a share test=array\(.*\), not both"):
        tl.Task.from_arrays(X, Y, X, Y, test=np.ones((2, 2)))


def frame(n=60):
    rng = np.random.default_rng(1)
    label = np.array(["rare", "common", "other"])[np.searchsorted([6, 36], np.arange(n), side="right")]
    columns = {
        "u": np.arange(n, dtype=np.float32),
        "v": rng.integers(0, 9, n),
        "on": np.arange(n) % 2 == 0,
        "label": label,
    }
    return pd.DataFrame(columns).iloc[rng.permutation(n)]


def test_a_frame_is_split_by_label():
    df = frame()
    task = tl.Task.from_frame(df)
    assert task.feature_names == ("u", "v", "on") and task.class_names == ("common", "other", "rare")
    np.testing.assert_array_equal(np.bincount(task.y_test), [6, 5, 1])
    np.testing.assert_array_equal(np.bincount(task.y), [24, 19, 5])
    rows = df["u"].to_numpy()
    held = np.isin(rows, task.x_test[:, 0])
    np.testing.assert_array_equal(task.x[:, 0], rows[~held])
    np.testing.assert_array_equal(task.x_test[:, 0], rows[held])  # both in the order of the frame
    np.testing.assert_array_equal(np.array(task.class_names)[task.y], df["label"][~held])
    again, other = tl.Task.from_frame(df), tl.Task.from_frame(df, seed=1)
    np.testing.assert_array_equal(again.x, task.x)
    assert not np.array_equal(other.x, task.x)


def test_every_class_keeps_a_sample_to_learn():
    df = pd.DataFrame({"u": range(10), "label": ["a"] * 8 + ["b", "c"]})
    task = tl.Task.from_frame(df, test=0.9)
    assert set(task.y.tolist()) == {0, 1, 2} and task.n_classes == 3


@pytest.mark.parametrize("share", [0.1, 0.25, 0.29, 0.5, 0.7])
def test_the_share_is_that_of_all_samples(share):
    y = np.repeat(np.arange(4), [10, 21, 33, 36])
    assert len(tl.Task.from_arrays(np.zeros((100, 1)), y, test=share).y_test) == round(100 * share)
    assert len(tl.Task.from_arrays(np.zeros((100, 1)), y * 1.0, test=share).y_test) == round(100 * share)


def test_each_sample_is_held_out_as_often_as_any_other():
    y = np.repeat([0, 1], [4, 6])
    x = np.arange(10)[:, None]
    held = np.concatenate([tl.Task.from_arrays(x, y, test=0.5, seed=s).x_test[:, 0] for s in range(400)])
    counts = np.bincount(held.astype(int), minlength=10)
    assert counts.sum() == 2000 and abs(counts - 200).max() < 4 * np.sqrt(400 * 0.25)


def test_features_and_targets_of_a_frame_are_chosen():
    df = frame()
    task = tl.Task.from_frame(df, "v", features=["on", "u"], test=0.5, name="mine")
    assert task.feature_names == ("on", "u") and task.name == "mine" and task.is_classification
    assert not tl.Task.from_frame(df.drop(columns="label"), target="u").is_classification
    numbered = pd.DataFrame(np.eye(4), columns=range(4))
    assert tl.Task.from_frame(numbered, target=3, test=0).feature_names == ("0", "1", "2")


def columns(**changes):
    return pd.DataFrame({"u": [1.0, 2.0, 3.0, 4.0], "v": [1, 2, 3, 4], "label": ["a", "b", "a", "b"]} | changes)


@pytest.mark.parametrize(
    "df, options, error, message",
    [
        (np.eye(3), {}, TypeError, "df must be a data frame, got ndarray; use Task.from_arrays"),
        (columns(), {"target": "y"}, ValueError, "target: there is no column 'y', but 'u', 'v', 'label'"),
        (columns(), {"features": ["w"]}, ValueError, "features: there is no column 'w'"),
        (columns(), {"features": "u"}, TypeError, r"features must be a list of columns, got 'u'; use \['u'\]"),
        (columns(), {"features": ["u", "label"]}, ValueError, "features must not hold the target, column 'label'"),
        (columns(), {"features": ["u", "u"]}, ValueError, "column 'u' must be there once"),
        (columns(), {"features": []}, ValueError, "a column to learn from beside 'label', got none"),
        (columns()[["label"]], {}, ValueError, "a column to learn from beside 'label', got none"),
        (pd.concat([columns(), columns()], axis=1), {}, ValueError, "column 'label' must be there once"),
        (columns(v=[1, None, 3, 4]), {}, ValueError, r"column 'v' must have no missing values, got nan in row 1 \(1 such"),
        (columns(v=pd.array([1, None, 3, 4], dtype="Int64")), {}, ValueError, "column 'v' must have no missing values"),
        (columns(v=[1, np.inf, 3, 4]), {}, ValueError, "column 'v' must have finite values, got inf in row 1"),
        (columns(v=["x", "y", "x", "y"]), {}, TypeError, r"column 'v' must hold numbers, got 'x' in row 0; leave it out"),
        (columns(v=pd.date_range("2020", periods=4)), {}, TypeError, r"column 'v' must hold numbers, got datetime64"),
        (columns(v=[1j, 2, 3, 4]), {}, TypeError, "column 'v' must hold numbers, got complex128"),
        (columns(label=["a", None, "a", "b"]), {}, ValueError, "column 'label' must have no missing values, got .* in row 1"),
        (columns(label=[0.5, np.nan, 1, 2]), {}, ValueError, "column 'label' must have no missing values, got nan in row 1"),
        (columns(label=pd.array([True, None, False, True])), {}, ValueError, "column 'label' must have no missing values"),
        (columns(label=pd.Categorical(["a", None, "b", "a"])), {}, ValueError, "column 'label' must have no missing values"),
        (columns(label=["a", 1, "a", 1]), {}, TypeError, "column 'label' must hold labels of one kind, .* got int, str"),
        (columns(label=pd.date_range("2020", periods=4)), {}, TypeError, r"column 'label' must hold labels \(strings"),
        (columns(label="a"), {}, ValueError, "column 'label' is 'a' in all 4 rows: there is nothing to learn"),
        (columns(label=2.5), {}, ValueError, r"column 'label' is 2\.5 in all 4 rows: there is nothing to learn"),
        (columns().iloc[:0], {}, ValueError, "column 'label' is empty"),
        (columns(), {"test": 1.0}, ValueError, r"test must be a share of the samples, 0 <= test < 1, got 1\.0"),
        (columns(), {"test": -0.1}, ValueError, r"test must be a share of the samples, 0 <= test < 1, got -0\.1"),
        (columns(), {"test": np.nan}, ValueError, "test must be a share of the samples, 0 <= test < 1, got nan"),
        (columns(), {"test": True}, TypeError, "test must be a share of the samples"),
        (columns(), {"test": "v"}, TypeError, "test must be a share of the samples"),
        (columns(), {"test": 0.01}, ValueError, r"test=0\.01 of 4 samples holds out none"),
        (columns(), {"seed": -1}, ValueError, "seed must be an integer >= 0, got -1"),
    ],
)  # fmt: skip
def test_frames_that_are_refused(df, options, error, message):
    with pytest.raises(error, match=message):
        tl.Task.from_frame(df, **options)


@pytest.mark.parametrize(
    "x, y, error, message",
    [
        ([[1, 2], [3]], [0, 1], ValueError, "x must be an array, or lists of equal length"),
        ([1, 2], [0, 1], ValueError, r"x must have shape \(2, d\), one row a target, got \(2,\); use x\[:, None\]"),
        (X, [0, 1], ValueError, r"x must have shape \(2, d\), one row a target, got \(3, 2\)"),
        (X, [[0], [1], [1]], ValueError, r"y must have shape \(n,\), one target a row, got \(3, 1\)"),
        ([["a", 1], [2, 3]], [0, 1], TypeError, "x must hold numbers, got 'a' in row 0"),
        ([[0, 1], [2, None]], [0, 1], ValueError, "x must have no missing values, got None in row 1"),
        (X, ["a", np.nan, "b"], ValueError, "y must have no missing values, got nan in row 1"),
        (X, np.array([0, 1, True], dtype=object), TypeError, "y must hold labels of one kind"),
        (X, [b"a", b"h\xff", b"b"], ValueError, r"y must hold text in UTF-8, got .* in row 1 .*latin-1"),
        (X, np.array([b"\xe9", b"a", b"b"]), ValueError, "y must hold text in UTF-8, got .* in row 0"),
        (X, np.array([0, 1, {}], dtype=object), TypeError, "y must hold labels of one kind"),
        (X, [1, 1, 1], ValueError, "y is 1 in all 3 rows: there is nothing to learn"),
    ],
)
def test_arrays_that_are_refused(x, y, error, message):
    with pytest.raises(error, match=message):
        tl.Task.from_arrays(x, y)


def test_a_refused_dtype_says_who_converts():
    with pytest.raises(TypeError, match=r"x must be float64, got float32; .* or use Task.from_arrays, which converts"):
        tl.Task("own", x=X.astype(np.float32), y=Y)
    with pytest.raises(TypeError, match=r"got <U1; or use Task\.from_arrays, which converts"):
        tl.Task("own", x=X, y=np.array(["a", "b", "a"]))
