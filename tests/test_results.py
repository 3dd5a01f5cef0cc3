"""Results travel: every one can be saved, loaded and made a table; files of others and damaged ones are refused with a reason."""

import dataclasses
import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
import types
import typing
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import trajlib as tl
from trajlib import _files, results
from trajlib.results import Result
from trajlib.sweeps import shards

SIZES = {
    "network": 2,
    "copy": 3,
    "trajectory": 4,
    "step": 5,
    "time": 5,
    "earlier": 5,
    "vector": 2,
    "other": 2,
    "parameter": 7,
}
NO_RESULTS = {"Sweep", "Plane"}  # the one lies in a folder of its own already, the other is what a question is about


def modules():
    for found in pkgutil.walk_packages(tl.__path__, "trajlib."):
        if ".torch" not in found.name:
            yield importlib.import_module(found.name)


def classes_in(annotation):
    """The classes that an annotation names, in unions, tuples and the like too."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return {annotation}
    return set().union(*(classes_in(inner) for inner in typing.get_args(annotation)))


def returned():
    """Frozen dataclasses that public functions return; those that can be called or iterated are maps: inputs, not results. What a class
    method makes is of its own class: a constructor's."""
    found = set()
    for module in modules():
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            for function in [thing, *vars(thing).values()] if inspect.isclass(thing) else [thing]:
                if isinstance(function, classmethod):
                    continue
                function = getattr(function, "fget", None) or getattr(function, "__func__", function)
                if inspect.isfunction(function) and not function.__name__.startswith("_"):
                    scope = vars(sys.modules[function.__module__]) | {"pandas": pd}
                    annotation = inspect.get_annotations(function).get("return")
                    found |= classes_in(eval(annotation, scope) if isinstance(annotation, str) else annotation)
    return {
        c
        for c in found
        if dataclasses.is_dataclass(c)
        and c.__module__.startswith("trajlib")
        and not any(name in vars(base) for base in c.__mro__ for name in ("__call__", "step", "jacobian"))
        and c.__name__ not in NO_RESULTS
    }


def subclasses():
    list(modules())
    return sorted((c for c in Result.__subclasses__() if c.__module__.startswith("trajlib")), key=lambda c: c.__name__)


def entries(cls):
    """(axes, column, attribute) of a declaration."""
    for axes, names in cls._axes.items():
        for entry in names.split():
            name, _, attribute = entry.rpartition("=")
            yield axes, name or attribute, attribute


def made(cls, seed=0):
    """A result with made-up numbers on the axes that its class declares; ``...`` are two axes."""
    rng = np.random.default_rng(seed)
    place = {attribute: axes for axes, _, attribute in entries(cls)}
    labels = {name.rpartition(".")[2]: field for name, field in cls._labels.items() if "." not in name}
    fields = {}
    for field in dataclasses.fields(cls):
        kind = str(field.type)
        axes = place.get(field.name, next((axis for axis, name in labels.items() if name == field.name), ""))
        shape = [n for axis in axes.split() for n in ((2, 3) if axis == "..." else (SIZES.get(axis, 3),))]
        if "ndarray" in kind:
            fields[field.name] = rng.standard_normal(shape)
            if field.name in labels.values():
                fields[field.name] = np.cumsum(rng.integers(1, 4, shape))
            elif field.name in ("laminar", "resolved", "event", "kept", "converged"):
                fields[field.name] = fields[field.name] > 0
            elif field.name == "reason":
                fields[field.name] = np.where(fields[field.name] > 0, "", "no window")
        elif kind in (known := {c.__name__: c for c in subclasses()}):
            fields[field.name] = made(known[kind], seed + 1)
        elif "tuple" in kind:
            fields[field.name] = (("a text", True), ("ü", False))
        elif kind == "dict":
            fields[field.name] = {"steps": 7, "sizes": [4, 10, 3], "lr": 0.1}
        else:
            value = {"int": 7, "float": np.nan, "str": "Ωmega", "bool": True}[kind.split(" | ")[0]]
            fields[field.name] = None if "None" in kind else value
    if cls is tl.Task:
        fields |= {"y": np.array([0, 1, 2]), "y_test": np.array([1, 1]), "x_test": fields["x"][:2]}
        fields |= {"class_names": ("a", "b", "c"), "feature_names": ("u", "v", "w")}
    if "stop" in fields and cls.__name__ == "Phases":
        fields |= {"start": np.array([0, 3, 5]), "stop": np.array([3, 5, 9])}
    return tl.meanfield.model.Setting(noise=0.25) if cls.__name__ == "Setting" else cls(**fields)


def same(a, b):
    """Equal to the last bit, in type, dtype and shape."""
    if isinstance(a, Result):
        assert type(a) is type(b)
        for field in dataclasses.fields(a):
            same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, np.ndarray | np.generic):
        assert type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    else:
        assert type(a) is type(b) and (a == b or (a != a and b != b))


@pytest.fixture(scope="module")
def gd():
    return tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0)


@pytest.fixture(scope="module")
def w0(gd):
    return gd.network.init(2, seed=0)


def test_every_dataclass_that_a_public_function_returns_is_a_result():
    assert len(returned()) > 25, "the walk finds what it is for"
    missing = sorted(f"{c.__module__}.{c.__name__}" for c in returned() if not issubclass(c, Result))
    assert not missing, f"derive from trajlib.results.Result, with axes: {missing}"


def test_the_table_of_classes_is_that_of_the_library():
    homes = {c.__name__: c.__module__.removeprefix("trajlib.") for c in subclasses()}
    assert homes == results._WHERE
    assert len(homes) == len(subclasses()), "names are unique"


@pytest.mark.parametrize("cls", subclasses(), ids=lambda c: c.__name__)
def test_declarations_are_complete(cls):
    """Every array has axes, every name exists, no column hides another."""
    declared = {attribute for _, _, attribute in entries(cls)} | set(cls._labels.values())
    fields = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    undeclared = {name for name, kind in fields.items() if "ndarray" in kind} - declared
    assert not undeclared - ({"x_test", "y_test"} if cls is tl.Task else set()), f"say in axes where {undeclared} live"
    assert all(name in fields or isinstance(getattr(cls, name), property) for name in declared)
    columns = [name for _, name, _ in entries(cls)]
    axes = {axis for key in cls._axes for axis in key.split()}
    assert len(set(columns)) == len(columns)
    for key, name, _ in entries(cls):
        assert name not in key.split(), f"{name} is a column and its own axis"
    assert set(label.rpartition(".")[2] for label in cls._labels) <= axes


@pytest.mark.parametrize("cls", subclasses(), ids=lambda c: c.__name__)
def test_every_result_survives_a_file(cls, tmp_path):
    result = made(cls)
    path = result.save(tmp_path / "one")
    assert path == tmp_path / "one.npz"
    same(result, tl.load(path))
    assert made(cls).save(tmp_path / "two").read_bytes() == path.read_bytes(), "equal content, equal bytes"
    if any("ndarray" in str(field.type) for field in dataclasses.fields(cls)):
        assert made(cls, seed=1).save(tmp_path / "three").read_bytes() != path.read_bytes()


@pytest.mark.parametrize("cls", subclasses(), ids=lambda c: c.__name__)
def test_every_result_is_a_table(cls):
    result = made(cls)
    table = result.to_frame()
    if cls is tl.Task:
        assert len(table) == 5
        return
    lead = (*cls._lead, "axis_0", "axis_1")[:2] if len(cls._lead) != 1 else (*cls._lead, "axis_1")
    main = next(iter(cls._axes)).split()
    axes = [name for axis in main for name in (lead if axis == "..." else (axis,))]
    assert list(table.columns[: len(axes)]) == axes and table.columns.is_unique
    assert not table.duplicated(axes).any() if axes else len(table) == 1, "one row for each index"
    column = next(iter(entries(cls)))[1]
    value = getattr(result, next(iter(entries(cls)))[2])
    if isinstance(value, np.ndarray):
        assert len(table) == value.size
        np.testing.assert_array_equal(table[column].to_numpy(), value.ravel())


def test_what_was_not_recorded_stays_none_and_views_stay_right(gd, w0, tmp_path):
    div = tl.diverge(gd, w0, radius=1e-8, copies=3, steps=5, record=("weights",))
    again = tl.load(div.save(tmp_path / "d"))
    same(div, again)
    assert again.copy_loss is None and again.radius == 1e-8
    assert again.weights.base is not None and np.shares_memory(again.copy_weights, again.snapshots)
    np.testing.assert_array_equal(again.copy_weights, div.copy_weights)
    plain = tl.load(tl.diverge(gd, w0, steps=2, perturbed=w0[:, None]).save(tmp_path / "p"))
    assert plain.snapshots is None and plain.weights is None and plain.radius is None


def test_dtypes_shapes_and_scalars_survive(tmp_path):
    arrays = [
        np.zeros((0, 3)),
        np.array(2.5),
        np.arange(3, dtype=">i2"),
        np.array(["a", "ßß"]),
        np.eye(3, dtype=np.float32).T[::2],
    ]
    arrays += [np.array([np.nan, -0.0, np.inf]), np.array([True, False]), np.float64(0.5)]
    for value in arrays:
        same(tl.load(tl.prediction.AUC(value, -np.inf, (1, (2.5, None)), [np.nan]).save(tmp_path / "x")).value, value)
    auc = tl.load(tmp_path / "x")
    assert auc.standard_error == -np.inf and auc.lower == (1, (2.5, None)) and np.isnan(auc.upper[0])


def test_numpy_alone_reads_the_arrays(gd, w0, tmp_path):
    run = tl.train(gd, w0, steps=3)
    with np.load(run.save(tmp_path / "run"), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["loss"], run.loss)


def test_paths(gd, w0, tmp_path, monkeypatch):
    first, second = tl.train(gd, w0, steps=1), tl.train(gd, w0, steps=2)
    monkeypatch.chdir(tmp_path)
    assert first.save("run") == Path("run.npz") and first.save("lr0.1") == Path("lr0.1.npz")
    assert second.save(tmp_path / "run.npz") == tmp_path / "run.npz", "over the one that exists"
    assert tl.load("run").steps == tl.load("run.npz").steps == tl.load(Path("run")).steps == 2
    assert tl.load("lr0.1").steps == 1
    os.rename("run.npz", "run.dat")
    assert tl.load("run.dat").steps == 2
    assert sorted(os.listdir()) == ["lr0.1.npz", "run.dat"], "nothing is left behind"
    with pytest.raises(FileNotFoundError, match=r"no folder nowhere: make it first"):
        first.save("nowhere/run")
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file"):
        first.save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no file absent, nor absent.npz"):
        tl.load("absent")
    for folder in (".", "..", os.sep, str(tmp_path)):
        with pytest.raises(FileNotFoundError, match=r"is a folder\)"):
            tl.load(folder)


def test_a_write_that_fails_leaves_the_old_file(gd, w0, tmp_path, monkeypatch):
    path = tl.train(gd, w0, steps=1).save(tmp_path / "run")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        tl.train(gd, w0, steps=2).save(path)
    assert tl.load(path).steps == 1 and os.listdir(tmp_path) == ["run.npz"]


def test_any_damaged_byte_is_noticed(tmp_path):
    path = tl.meanfield.model.Setting().save(tmp_path / "s")
    data = path.read_bytes()
    for i in range(len(data)):
        path.write_bytes(data[:i] + bytes([data[i] ^ 0x41]) + data[i + 1 :])
        with pytest.raises(ValueError, match=r"is damaged|is no result"):
            tl.load(path)
    for end in range(0, len(data), 7):
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match=r"is damaged: its .* bytes|is no result of trajlib: it starts with"):
            tl.load(path)


def crafted(path, **changes):
    content = {
        "result": "LongTime",
        "fields": {"excess_risk": 1.0, "training_error": 1.0, "tau": 1.0, "shrinkage": 1.0},
    }
    header = {"format": results.FORMAT, "trajlib": "9.9.9", "content": content} | changes
    _files.write(path, lambda file: _files.archive(file, {}, results.HEADER, json.dumps(header).encode()))
    return path


REFUSED = [
    (
        {"format": 99},
        r"has format 99 of trajlib 9\.9\.9; format 1 is known here, and this is .*: update with pip install",
    ),
    (
        {"content": {"result": "Hologram", "fields": {}}},
        r"holds a 'Hologram', which is unknown here; .* 9\.9\.9, and this is",
    ),
    ({"content": {"result": "os.system", "fields": {}}}, r"holds a 'os\.system', which is unknown here"),
    (
        {"content": {"result": "LongTime", "fields": {"tau": 1.0}}},
        "a LongTime without excess_risk, shrinkage, training_error",
    ),
    ({"content": {"result": "Setting", "fields": {"warp": 1.0}}}, "a Setting with warp, which is unknown here"),
    (
        {"content": {"result": "Setting", "fields": {"noise": -1.0}}},
        "does not hold the fields of a result: noise must be",
    ),
    (
        {"content": {"result": "Setting", "fields": {"noise": {"array": "gone"}}}},
        "does not hold the fields of a result",
    ),
    ({"content": {"result": "Setting", "fields": {"noise": {"code": "1"}}}}, "does not hold the fields of a result"),
    ({"content": {"result": ["a"], "fields": {}}}, "does not hold the fields of a result"),
    ({"content": 3}, "does not hold the fields of a result"),
]


@pytest.mark.parametrize("changes, message", REFUSED)
def test_headers_that_are_refused(changes, message, tmp_path):
    assert tl.load(crafted(tmp_path / "x.npz")).tau == 1.0
    with pytest.raises(ValueError, match=message):
        tl.load(crafted(tmp_path / "x.npz", **changes))


def test_files_of_others_are_refused(tmp_path):
    np.savez(tmp_path / "own.npz", loss=np.arange(3))
    with pytest.raises(ValueError, match=r"own.npz is no result of trajlib but another npz file; it holds loss.npy"):
        tl.load(tmp_path / "own")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"is no result of trajlib: it starts with b'hello'"):
        tl.load(tmp_path / "text")
    (tmp_path / "cell.npz").write_bytes(shards.pack({"a": np.arange(2)}, b"{}"))
    with pytest.raises(ValueError, match=r"a cell of a sweep: open its folder with tl\.open_sweep"):
        tl.load(tmp_path / "cell")
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        archive.writestr(results.HEADER, "[]")
    with pytest.raises(ValueError, match="is damaged"):
        tl.load(tmp_path / "bad")


def test_no_pickle_is_written_or_read(tmp_path):
    with pytest.raises(TypeError, match="value must be an array of numbers or strings, got objects"):
        tl.prediction.AUC(np.array([object()]), 0.0, 0.0, 0.0).save(tmp_path / "x")
    with pytest.raises(TypeError, match="upper must be an array, a number, a text"):
        tl.prediction.AUC(np.zeros(2), 0.0, 0.0, print).save(tmp_path / "x")
    assert not os.listdir(tmp_path)


def test_a_class_of_somebody_else_is_not_saved(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class LongTime(Result, axes={"": "tau"}):
        tau: float

    with pytest.raises(TypeError, match="LongTime cannot be saved: it is no result of trajlib"):
        LongTime(1.0).save(tmp_path / "x")
    assert LongTime(1.5).to_frame().to_dict("list") == {"tau": [1.5]}


def test_loading_imports_only_the_module_of_the_class(tmp_path):
    crafted(tmp_path / "x.npz")
    code = (
        "import sys, trajlib as tl; r = tl.load(sys.argv[1]); print(type(r).__module__);"
        "print([m for m in ('pandas', 'torch', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.npz"], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["trajlib.meanfield.limits", "[]"]


def test_trajectories_as_a_table(gd, w0):
    run = tl.train(gd, w0, steps=6, every=2, record=("loss", "norm", "weights"), weights_every=4)
    table = run.to_frame()
    assert list(table.columns) == ["network", "step", "loss", "norm", "nonfinite_at"]
    at = table.set_index(["network", "step"])
    assert at.loc[(1, 4), "loss"] == run.loss[1, 2] and at.loc[(0, 6), "norm"] == run.norm[0, 3]
    assert table["step"].tolist() == [0, 2, 4, 6] * 2 and table["step"].dtype == run.times.dtype

    wide = run.to_frame(weights=True).set_index(["network", "step"])
    assert wide.shape == (8, 3 + 83)
    np.testing.assert_array_equal(run.weight_times, [0, 4])
    np.testing.assert_array_equal(wide.filter(like="weights_").loc[(1, 4)], run.weights[1, 1])
    assert wide.loc[(1, 2), "weights_0"] != wide.loc[(1, 2), "weights_0"], "nan where no weights were recorded"

    long = run.to_frame("weights").set_index(["network", "step", "parameter"])
    assert len(long) == 2 * 2 * 83 and long.loc[(1, 4, 82), "weights"] == run.weights[1, 1, 82]
    assert long.loc[(1, 4, 0), "loss"] == run.loss[1, 2], "repeated along the parameters, at the right step"
    assert run.to_frame("final").shape == (166, 4)


def test_a_table_of_weights_alone(gd, w0):
    run = tl.train(gd, w0, steps=2, record=("weights",))
    assert run.weights_every is None
    np.testing.assert_array_equal(run.to_frame(weights=True).filter(like="weights_"), run.weights.reshape(6, 83))
    assert list(run.to_frame().columns) == ["network", "step", "nonfinite_at"]
    with pytest.raises(ValueError, match=r"of must name a quantity that was recorded, one of .*weights.*, got 'loss'"):
        run.to_frame("loss")
    with pytest.raises(ValueError, match=r"no vectors of parameters were recorded for each \(network, step\)"):
        tl.train(gd, w0, steps=2).to_frame(weights=True)
    with pytest.raises(
        ValueError, match=r"weights must have one entry along step for each of the 3 in weight_times, got 2"
    ):
        dataclasses.replace(run, weights=run.weights[:, ::2]).to_frame(weights=True)


def test_a_divergence_as_a_table(gd, w0):
    div = tl.diverge(gd, w0, radius=1e-8, copies=3, steps=4, record=("loss", "weights"))
    table = div.to_frame().set_index(["network", "copy", "step"])
    assert list(table.columns) == ["distance", "copy_loss", "loss"]
    assert table.loc[(1, 2, 3), "distance"] == div.distance[1, 2, 3]
    assert table.loc[(1, 2, 3), "copy_loss"] == div.copy_loss[1, 2, 3]
    assert (table["loss"].unstack("copy").nunique(axis=1) == 1).all() and table.loc[(1, 0, 3), "loss"] == div.loss[1, 3]
    assert list(div.to_frame("loss").columns) == ["network", "step", "loss"]
    wide = div.to_frame(weights=True).set_index(["network", "copy", "step"])
    np.testing.assert_array_equal(wide.filter(like="copy_weights_").loc[(0, 1, 2)], div.copy_weights[0, 1, 2])


def test_tables_of_exponents_and_vectors(gd, w0):
    spec = tl.lyapunov_spectrum(gd, w0, steps=20, k=3)
    table = spec.to_frame().set_index(["network", "vector"])
    assert table.loc[(1, 2), "exponent"] == spec.exponents[1, 2]
    assert table.loc[(1, 2), "standard_error"] == spec.standard_error[1, 2]
    growth = spec.to_frame("growth").set_index(["network", "vector", "step"])
    assert growth.loc[(1, 2, spec.times[3]), "running"] == spec.running[1, 2, 3]
    ftle = tl.finite_time_exponents(gd, w0, steps=6, k=2)
    table = ftle.to_frame().set_index(["network", "step", "vector"])
    assert (
        table.loc[(1, 5, 1), "exponent"] == ftle.exponents[1, 4, 1] and table.loc[(1, 5, 1), "loss"] == ftle.loss[1, 4]
    )
    clv = tl.covariant_vectors(gd, w0, steps=16, transient=(5, 5), k=2)
    table = clv.to_frame(weights=True).set_index(["network", "step", "vector"])
    at = int(clv.times[2])
    np.testing.assert_array_equal(table.filter(like="vectors_").loc[(1, at, 1)], clv.vectors[1, 2, :, 1])
    assert table.loc[(1, at, 1), "growth"] == clv.growth[1, 2, 1]
    assert "angle" not in table and clv.to_frame("angle").loc[:, "angle"].max() <= np.pi / 2


def test_results_inside_results():
    rule = made(tl.prediction.StoppingRule)
    table = rule.to_frame()
    assert list(table.columns[2:6]) == ["threshold", "saved", "saved_lower", "saved_upper"]
    np.testing.assert_array_equal(table["cost_per_good_upper"], rule.cost_per_good.upper.ravel())
    prediction = made(tl.prediction.Prediction)
    table = prediction.to_frame().set_index(["network", "axis_0", "axis_1"])
    assert table.loc[(1, 0, 2), "score"] == prediction.score[1, 0, 2]
    assert table.loc[(1, 0, 2), "auc"] == prediction.auc.value[0, 2]
    assert table.loc[(1, 0, 2), "event"] == prediction.event[1]


def test_leading_axes_of_any_number():
    growth = 1e-8 * np.exp(0.1 * np.arange(60))
    for lead, names in [((), []), ((2,), ["network"]), ((2, 4), ["network", "axis_1"])]:
        table = tl.expansion_rate(growth * np.ones((*lead, 3, 1))).to_frame()
        assert list(table.columns[: len(lead) + 1]) == [*names, "rate"] and len(table) == np.prod(lead)
    time = tl.embedding.embedding_time(np.minimum(1e-8 * np.exp(0.2 * np.arange(201)), 1.0))
    assert len(time.to_frame()) == 1 and time.to_frame()["mean"][0] == time.time
    time = tl.embedding.embedding_time(np.minimum(1e-8 * np.exp(0.2 * np.arange(201)), 1.0) * np.ones((4, 1)))
    assert list(time.to_frame().columns[:1]) == ["copy"] and (time.to_frame()["mean"] == time.mean).all()


def test_an_overflow_makes_a_table_too():
    with np.errstate(all="raise"):
        table = tl.reduction.MapComparison(np.array([[np.inf]]), np.array([[np.inf]])).to_frame()
    assert table["network_loss"][0] == np.inf and np.isnan(table["error"][0])


def test_a_task_as_a_table_and_back(tmp_path):
    task = tl.iris()
    table = task.to_frame()
    assert list(table.columns) == [*task.feature_names, "target", "part"] and len(table) == 150
    again = tl.Task.from_frame(table[table.part == "train"].drop(columns="part"), "target", test=0, name="iris")
    np.testing.assert_array_equal(again.x, task.x)
    np.testing.assert_array_equal(again.y, task.y)
    assert again.class_names == task.class_names
    same(task, tl.load(task.save(tmp_path / "task")))
    assert task.to_frame("x").shape == (480, 4)
    values = tl.plane(n=3, n_test=2).to_frame()
    np.testing.assert_array_equal(values["target"], np.concatenate([tl.plane(n=3).y, tl.plane(n=3, n_test=2).y_test]))


def test_without_pandas(gd, w0, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install pandas, or pip install 'trajlib\[frames\]'"):
        tl.train(gd, w0, steps=1).to_frame()
    with pytest.raises(ImportError, match="pip install pandas"):
        tl.iris().to_frame()
