"""From what people have, frames, lists, any dtype, to what a task computes with: float64, and labels 0, 1, ...

The only place where the library converts without being asked twice: ``Task.from_arrays`` and ``Task.from_frame`` are that request.
"""

from __future__ import annotations

import numbers as _numbers
from typing import Any

import numpy as np

from .. import _validate

CATEGORICAL = ("category", "categorical", "enum")  # how dtypes of frames that hold categories are spelt


def columns(df: Any, target: Any, features: Any) -> list:
    """The names of the feature columns of a frame; its target is there, and all of them once."""
    if not hasattr(df, "columns") or not hasattr(df, "__getitem__"):
        raise TypeError(f"df must be a data frame, got {type(df).__name__}; use Task.from_arrays for arrays and lists")
    names = list(df.columns)
    if isinstance(features, str):
        raise TypeError(f"features must be a list of columns, got {_validate.shown(features)}; use [{features!r}]")
    chosen = [name for name in names if name != target] if features is None else list(features)
    for role, name in [("target", target), *(("features", name) for name in chosen)]:
        if name not in names:
            raise ValueError(f"{role}: there is no column {name!r}, but {', '.join(map(repr, names))}")
        if names.count(name) > 1 or chosen.count(name) > 1:
            raise ValueError(f"column {name!r} must be there once, rename or drop the others")
    if target in chosen:
        raise ValueError(f"features must not hold the target, column {target!r}")
    if not chosen:
        raise ValueError(f"there must be a column to learn from beside {target!r}, got none")
    return chosen


def numbers(name: str, values: Any) -> np.ndarray:
    """Finite float64 numbers, from any dtype that means numbers."""
    array = _array(name, values)
    if array.ndim == 0:
        raise TypeError(f"{name} must hold rows of numbers, got {_validate.shown(values)}")
    if array.dtype == object:
        for where, value in np.ndenumerate(array):
            _present(name, value, where)
            if not isinstance(value, _numbers.Real | np.bool_):
                raise TypeError(f"{name} must hold numbers, got {value!r:.40} in row {where[0]}{_hint(name)}")
    elif array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got {array.dtype}{_hint(name)}")
    with np.errstate(over="ignore"):  # of a wider float: inf, which is refused
        array = array.astype(np.float64)
    return _finite(name, array)


def targets(name: str, values: Any) -> np.ndarray:
    """Targets (n,): float64 values to regress on, or labels of one kind, not yet numbered."""
    array = _array(name, values)
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n,), one target a row, got {array.shape}")
    if str(getattr(values, "dtype", "")).lower().startswith(CATEGORICAL):
        array = array.astype(object)
        for i, value in enumerate(array):
            _present(name, value, (i,))
        return array
    if array.dtype == object:
        array = _uniform(name, array)
    if array.dtype.kind == "S":
        return _decoded(name, array)
    if array.dtype.kind not in "biufU":
        raise TypeError(f"{name} must hold labels (strings, booleans, integers) or float values, got {array.dtype}")
    return _finite(name, array.astype(np.float64)) if array.dtype.kind == "f" else array


def _decoded(name: str, array: np.ndarray) -> np.ndarray:
    """Labels of bytes as text."""
    for row, label in enumerate(array.tolist()):
        try:
            label.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{name} must hold text in UTF-8, got {_validate.shown(label)} in row {row} ({error.reason}); "
                "decode labels in another encoding first, as in [label.decode('latin-1') for label in labels]"
            ) from None
    return np.char.decode(array, "utf-8")


def encoded(name: str, targets: np.ndarray, levels: tuple | None = None) -> tuple[np.ndarray, tuple]:
    """Labels as 0, 1, ... (int64), and what they were, sorted or as given; values as they are, and ()."""
    if targets.dtype.kind == "f":
        if levels:
            raise ValueError(f"{name} must hold labels as y does, got {targets.dtype} values")
        seen = () if levels is not None else tuple(np.unique(targets).tolist())
    else:
        if levels == ():
            raise ValueError(f"{name} must hold float values as y does, got labels")
        try:
            seen = levels or tuple(sorted(set(targets.tolist())))
        except TypeError:
            raise TypeError(f"{name} must hold labels of one kind, which can be sorted") from None
    if levels is None and len(seen) < 2:
        what = f"is {seen[0]!r} in all {len(targets)} rows" if seen else "is empty"
        raise ValueError(f"{name} {what}: there is nothing to learn; give a target with at least two values")
    if targets.dtype.kind == "f":
        return targets, ()
    number = {level: k for k, level in enumerate(seen)}
    unknown = sorted({str(value) for value in targets.tolist() if value not in number})
    if unknown:
        raise ValueError(f"{name} must hold labels that y has too, got {', '.join(unknown[:5])}")
    return np.array([number[value] for value in targets.tolist()], dtype=np.int64), seen


def split(y: np.ndarray, test: Any, seed: Any, stratified: bool) -> np.ndarray:
    """Which of the samples are held out, (n,) bool: a share of them at random, of each label its part."""
    if isinstance(test, bool) or not isinstance(test, _numbers.Real):
        raise TypeError(f"test must be a share of the samples, 0 <= test < 1, got {_validate.shown(test)}")
    share = float(test)
    if not 0 <= share < 1:
        raise ValueError(f"test must be a share of the samples, 0 <= test < 1, got {_validate.shown(test)}")
    seed = _validate.count("seed", seed)
    out = np.zeros(len(y), dtype=bool)
    if share == 0:
        return out
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(y))
    groups = y[order] if stratified else np.zeros(len(y), dtype=np.int64)
    sizes = np.bincount(groups)
    exact = share * sizes
    quota = np.floor(exact).astype(np.int64)
    largest = np.argsort(quota - exact, kind="stable")[: round(share * len(y)) - int(quota.sum())]
    quota[largest] += 1  # the parts sum up to the share of all
    for group, number in enumerate(np.minimum(quota, sizes - 1)):
        out[order[groups == group][:number]] = True
    if not out.any():
        raise ValueError(f"test={test!r} of {len(y)} samples holds out none: give a larger share, or test=0")
    return out


def column(df: Any, name: Any) -> Any:
    """A column of a frame."""
    found = df[name]
    if not hasattr(found, "to_numpy"):
        raise TypeError(f"df must be a data frame: df[{name!r}] has no to_numpy(), it is {type(found).__name__}")
    return found


def _array(name: str, values: Any) -> np.ndarray:
    if hasattr(values, "to_numpy"):
        return values.to_numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, or lists of equal length: {error}") from None
    if array.dtype.kind in "US" and not isinstance(values, np.ndarray):
        return np.array(values, dtype=object)  # numpy would turn nan into the text "nan"
    return array


def _uniform(name: str, array: np.ndarray) -> np.ndarray:
    """Labels or values that came as Python objects, as an array of their own kind."""
    for i, value in enumerate(array):
        _present(name, value, (i,))
    for kinds in (str, bytes, bool | np.bool_):
        if all(isinstance(value, kinds) for value in array):
            return np.array(array.tolist())
    if not any(isinstance(value, bool) for value in array):  # which Python takes for a number
        for number, dtype in ((_numbers.Integral, None), (_numbers.Real, np.float64)):
            if all(isinstance(value, number) for value in array):
                return np.array(array.tolist(), dtype=dtype)
    found = sorted({type(value).__name__ for value in array})
    raise TypeError(
        f"{name} must hold labels of one kind, strings, booleans or integers, or floats; got {', '.join(found)}"
    )


def _present(name: str, value: Any, where: tuple[int, ...]) -> None:
    """Raise for the many ways to say that there is no value."""
    if value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value):
        raise ValueError(
            f"{name} must have no missing values, got {_validate.shown(value)} in row {where[0]}; drop such rows (df.dropna()) or fill them"
        )


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        first = tuple(bad[0])
        what = "no missing values" if np.isnan(array[first]) else "finite values"
        raise ValueError(
            f"{name} must have {what}, got {array[first]} in row {first[0]} ({len(bad)} such entries); drop such rows "
            "(df.dropna()) or fill them"
        )
    return array


def _hint(name: str) -> str:
    if name.startswith("column"):
        return "; leave it out (features=[...]), or make numbers of it (one column a category: pandas.get_dummies)"
    return ""
