"""What every result can do: be saved, be loaded again, and become a table.

A result is a small frozen dataclass. Its class says once which quantities live on which axes; files and tables follow from the fields and
from that. A file is numpy's npz without pickle (``np.load(path)["loss"]`` works anywhere) with a header in JSON; it holds names of classes
and numbers, never code.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, NamedTuple

import numpy as np

from . import _validate
from ._files import CELL, archive, intact, text, write

if TYPE_CHECKING:
    import pandas

__all__ = ["Result", "load"]

FORMAT = 1
HEADER = "result.json"
PARAMETER = "parameter"
HOME = {
    "boundary.boxes": "BoxCounting",
    "boundary.picture": "Trainability",
    "boundary.saddle": "EscapeRate SaddleDimension SaddleExponent",
    "boundary.uncertainty": "UncertaintyExponent",
    "boundary.wada": "ShrinkingSegments",
    "companion.claims": "Claim Finding",
    "companion.conditions": "Condition",
    "companion.golden": "GoldenRun",
    "companion.portrait": "Portrait",
    "embedding.clocks": "CharacteristicTime Decorrelation",
    "embedding.scaling": "EmbeddedCopies Embedding",
    "embedding.skewlognormal": "SkewLognormal SkewLognormalTest",
    "embedding.spacings": "OneForm SpacingComparison",
    "ensembles": "Divergence Trajectories",
    "meanfield.descent": "Descent",
    "meanfield.flow": "DiagonalFlow FlowPath",
    "meanfield.limits": "LongTime",
    "meanfield.model": "Setting",
    "meanfield.solver": "MeanField",
    "prediction.predict": "Prediction",
    "prediction.roc": "AUC AUCDifference RocCurve",
    "prediction.stopping": "Estimate StoppingRule",
    "reduction": "Collapse MapComparison RungChanges",
    "series.expansion": "ExpansionFit",
    "series.learning": "BestOf LearningTimes",
    "series.local": "Autocorrelation LocalExponents",
    "series.onsets": "FastestRate RateRatio ThresholdRate",
    "series.phases": "PhaseStatistics Phases",
    "stability.covariant": "CovariantVectors",
    "stability.curvature": "HessianDensity",
    "stability.finite_time": "FiniteTimeExponents",
    "stability.lyapunov": "Spectrum",
    "stability.present": "PresentVectors",
    "stability.tangent": "Tangent",
    "tasks.small": "Task",
}
"""Where each class lives now. Files hold the class's name alone: they outlive a move of its module, and import nothing that is not here."""

_WHERE = {name: module for module, names in HOME.items() for name in names.split()}


class _Quantity(NamedTuple):
    """A column to be: its name in tables, the field or property, its axes, its values, and whether it is one of the whole run by nature."""

    name: str
    attribute: str
    axes: tuple[str, ...]
    values: np.ndarray
    whole: bool


class Result:
    """Base of the frozen dataclasses that the library's functions return.

    Parameters
    ----------
    axes : dict of str to str
        Of a subclass, in its class line: names of axes, and the fields and properties that live on them, as in
        ``{"network vector": "exponent=exponents standard_error", "network": "converged"}``. The first entry gives the rows of the
        table; ``exponent=exponents`` names a column; ``...`` stands for leading axes whose number varies.
    lead : tuple of str
        Names of those leading axes, as far as they have any; others are called axis_0, axis_1, ... by their place.
    labels : dict of str to str
        The field that says what an index along an axis means, ``{"step": "times"}``, also for one quantity:
        ``{"weights.step": "weight_times"}``.
    """

    _axes: ClassVar[Mapping[str, str]] = {}
    _lead: ClassVar[tuple[str, ...]] = ()
    _labels: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(
        cls, *, axes: Mapping[str, str], lead: tuple[str, ...] = (), labels: Mapping[str, str] | None = None
    ):
        super().__init_subclass__()
        cls._axes, cls._lead, cls._labels = axes, lead, labels or {}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write this result to a file that :func:`load` reads.

        Equal results give equal bytes. The file is written whole or not at all, also over one that exists.

        Parameters
        ----------
        path : str or path
            Where to; ``.npz`` is appended where the name does not end so, as numpy does.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OSError
            If the folder does not exist, or the path is a folder.
        TypeError
            If a field holds what no file of numbers and names can hold.

        Examples
        --------
        >>> import tempfile, trajlib as tl
        >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris())
        >>> run = tl.train(gd, gd.network.init(2, seed=0), steps=5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = tl.load(run.save(f"{folder}/run"))
        >>> np.array_equal(again.loss, run.loss), again.norm is None
        (True, True)
        """
        from . import __version__

        path = _validate.path("path", path)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder; give the name of a file in it, such as {path / 'result.npz'}")
        path = _npz(path)
        if not path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {path.parent}: make it first, or give another path")
        arrays: dict[str, np.ndarray] = {}
        header = {"format": FORMAT, "trajlib": __version__, "content": _encode(self, "", arrays)}
        write(path, lambda file: archive(file, arrays, HEADER, text(header).encode()))
        return path

    def to_frame(self, of: str | None = None, *, weights: bool = False) -> pandas.DataFrame:
        """This result as a long ("tidy") table: one row for each index of its main axes, one column for each axis and each quantity.

        Quantities that live on some of these axes only are repeated along the others: the loss of a reference beside each of its copies.
        What has other axes is left out, as are quantities of the whole run (steps, engine, ...) where there is more than one row by
        nature; ``of`` gives the former, attributes the latter. What was not recorded has no column.

        Parameters
        ----------
        of : str, optional
            A field or property: the table on its axes in place of the main ones, for example ``to_frame("final")``.
        weights : bool
            Also a column for each entry of the vectors of parameters that live on these axes: weights_0, weights_1, ... nan where they
            were recorded more rarely than the rest. They are left out by default, because there are so many.

        Returns
        -------
        pandas.DataFrame
            Columns of axes first (network, copy, step, ...). Steps and times are those of the result, other axes count from 0.

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If there is no such quantity, or it was not recorded.

        Examples
        --------
        >>> import trajlib as tl
        >>> gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris())
        >>> div = tl.diverge(gd, gd.network.init(2, seed=0), radius=1e-8, copies=3, steps=5)
        >>> table = div.to_frame()
        >>> table.shape, list(table.columns)
        ((36, 5), ['network', 'copy', 'step', 'distance', 'loss'])
        """
        frames, weights = import_pandas(), _validate.flag("weights", weights)
        leading = self._leading(of)
        axes = tuple(next(iter(self._axes)).split()) if leading is None else leading.axes
        allowed = {*axes, PARAMETER} if weights else set(axes)
        quantities = list(self._quantities(lambda _, fixed: fixed <= allowed))
        labels = self._along(axes, leading, quantities)
        shape = tuple(len(labels[axis]) for axis in axes)
        table = {axis: np.broadcast_to(_upright(labels[axis], i, len(axes)), shape) for i, axis in enumerate(axes)}
        spread = False
        for quantity in quantities:
            if set(quantity.axes) <= set(axes) and not (quantity.whole and axes):
                table[quantity.name] = self._fit(quantity, axes, labels)
            elif weights and set(quantity.axes) == {*axes, PARAMETER}:
                columns = np.moveaxis(self._fit(quantity, (*axes, PARAMETER), labels), -1, 0)
                table |= {f"{quantity.name}_{j}": column for j, column in enumerate(columns)}
                spread = True
        if weights and not spread:
            raise ValueError(
                f"no vectors of parameters were recorded for each ({', '.join(axes)}): leave out weights=True, "
                "or let them be recorded, as with record=('loss', 'weights')"
            )
        return frames.DataFrame({name: column.reshape(-1) for name, column in table.items()})

    def _leading(self, of: str | None) -> _Quantity | None:
        """What gives a table its axes: the quantity asked for, or the first of the main ones that was recorded."""
        if of is None:
            main = {entry.rpartition("=")[2] for entry in next(iter(self._axes.values())).split()}
            return next(self._quantities(lambda entry, _: entry.rpartition("=")[2] in main), None)
        for quantity in self._quantities(lambda entry, _: of in entry.split("=")):
            if of in (quantity.name, quantity.attribute):
                return quantity
        names = ", ".join(dict.fromkeys(quantity.name for quantity in self._quantities()))
        raise ValueError(f"of must name a quantity that was recorded, one of {names}, got {_validate.shown(of)}")

    def _quantities(self, wanted: Callable[[str, set[str]], bool] | None = None) -> Iterator[_Quantity]:
        """What was recorded, in the order of the declaration; results inside give theirs under a name of both.

        ``wanted`` says by an entry of the declaration and its axes (those with names) what to take: some properties take long to compute.
        """
        for declared, names in self._axes.items():
            for entry in names.split():
                name, _, attribute = entry.rpartition("=")
                is_result = isinstance(vars(self).get(attribute), Result)
                if wanted and not is_result and not wanted(entry, set(declared.split()) - {"..."}):
                    continue
                with np.errstate(all="ignore"):  # states that overflowed have properties too
                    value = getattr(self, attribute)
                if is_result:
                    for inner in value._quantities():
                        joint = attribute if inner.name == "value" else f"{attribute}_{inner.name}"
                        yield inner._replace(name=joint, attribute=joint)
                elif value is not None:
                    value = np.asarray(value)
                    axes = self._named(declared, value.ndim)
                    if len(axes) != value.ndim:
                        raise ValueError(f"{attribute} must have the axes ({', '.join(axes)}), got shape {value.shape}")
                    yield _Quantity(name or attribute, attribute, axes, value, whole=not declared)

    def _named(self, declared: str, ndim: int) -> tuple[str, ...]:
        """Names of the axes of an array. ``...`` is as many as there are; where an array has fewer than the rest, the first of these go."""
        fixed = declared.split()
        if "..." not in fixed:
            return tuple(fixed)
        place, free = fixed.index("..."), ndim - len(fixed) + 1
        fixed.remove("...")
        if free < 0:
            return tuple(fixed[-free:])
        free_names = (*self._lead, *(f"axis_{i}" for i in range(len(self._lead), free)))[:free]
        return (*fixed[:place], *free_names, *fixed[place:])

    def _along(
        self, axes: tuple[str, ...], leading: _Quantity | None, quantities: list[_Quantity]
    ) -> dict[str, np.ndarray]:
        """What stands in the columns of the axes, (length,) each."""
        known = quantities if leading is None else [leading, *quantities]
        labels = {}
        for axis in axes:
            given = self._label(leading.attribute if leading else "", axis)
            lengths = (q.values.shape[q.axes.index(axis)] for q in known if axis in q.axes)
            labels[axis] = np.arange(next(lengths, 0)) if given is None else given[1]
        return labels

    def _label(self, attribute: str, axis: str) -> tuple[str, np.ndarray] | None:
        """The field that says what an index along an axis of a quantity means, and its values."""
        field = self._labels.get(f"{attribute}.{axis}", self._labels.get(axis))
        return None if field is None else (field, np.asarray(getattr(self, field)))

    def _fit(self, quantity: _Quantity, axes: tuple[str, ...], labels: dict[str, np.ndarray]) -> np.ndarray:
        """Values on the axes of a table: transposed, put at the right labels, repeated along the axes that they lack."""
        present = [axis for axis in axes if axis in quantity.axes]
        values = quantity.values.transpose([quantity.axes.index(axis) for axis in present])
        for i, axis in enumerate(present):
            given = self._label(quantity.attribute, axis)
            if given is None or axis not in labels:
                continue
            if len(given[1]) != values.shape[i]:
                raise ValueError(
                    f"{quantity.name} must have one entry along {axis} for each of the {len(given[1])} in {given[0]}, "
                    f"got {values.shape[i]}"
                )
            values = _placed(values, i, given[1], labels[axis])
        lengths = [len(labels[axis]) if axis in labels else values.shape[-1] for axis in axes]
        lacking = [i for i, axis in enumerate(axes) if axis not in present]
        return np.broadcast_to(np.expand_dims(values, lacking), lengths)


def load(path: str | os.PathLike[str]) -> Result:
    """Read what :meth:`Result.save` wrote: any result of the library, with its dtypes, its shapes and what was not recorded.

    Parameters
    ----------
    path : str or path
        The file, with or without ``.npz``.

    Returns
    -------
    Result
        Of the class that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is none of the library's, or damaged, or of a later version. Nothing in a file is executed.

    Examples
    --------
    >>> import tempfile
    >>> from trajlib.meanfield import Setting
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load(Setting(noise=0.2).save(f"{folder}/setting.npz"))
    Setting(aspect_ratio=0.5, init_scale=0.3, noise=0.2, sparsity=0.1, weight_decay=0.0)
    """
    path = _validate.path("path", path)
    if _npz(path).is_file():
        path = _npz(path)
    elif not path.is_file():
        also = "" if path == _npz(path) else f", nor {_npz(path)}"
        raise FileNotFoundError(f"there is no file {path}{also}" + f" ({path} is a folder)" * path.is_dir())
    with open(path, "rb") as file:
        header, arrays = _open(path, file)
    try:
        return _result(header["content"], arrays)
    except _Unknown as error:
        raise ValueError(
            f"{path} holds {error}; it was written by trajlib {header['trajlib']}, {_update()}, or compute the result again"
        ) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} does not hold the fields of a result: {error}; compute it again") from error


class _Unknown(ValueError):
    """A class or a field that this version does not know."""


def _npz(path: Path) -> Path:
    return path if path.name.endswith(".npz") else Path(f"{path}.npz")


def _update() -> str:
    from . import __version__

    return f"and this is {__version__}: update with pip install --upgrade trajlib"


def _open(path: Path, file: BinaryIO) -> tuple[dict, dict[str, np.ndarray]]:
    """Header and arrays of a file; ValueError where it is not one of ours, whole, and of a format that is known."""
    if not (start := file.read(8)).startswith(b"PK"):
        raise ValueError(
            f"{path} is no result of trajlib: it starts with {start!r}, not as an npz file; give a file that .save() wrote"
        )
    members = _members(file)
    if members and HEADER not in members:
        what = "a cell of a sweep: open its folder with tl.open_sweep" if CELL in members else "another npz file"
        raise ValueError(f"{path} is no result of trajlib but {what}; it holds {', '.join(members[:8])}")
    try:  # the checksum first: what is whole can be read, and was not made up by a bad disk
        intact(file)
        with zipfile.ZipFile(file) as zipped:
            header = json.loads(zipped.read(HEADER))
        if header["format"] == FORMAT:
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                return header, {name: arrays[name] for name in arrays.files if name != HEADER}
        found = f"format {header['format']} of trajlib {header['trajlib']}"
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError):
        size = file.seek(0, os.SEEK_END)
        raise ValueError(
            f"{path} is damaged: its {size} bytes are not those that were written; copy it again, or compute it again"
        ) from None
    raise ValueError(f"{path} has {found}; format {FORMAT} is known here, {_update()}")


def _members(file: BinaryIO) -> list[str]:
    """Names in a zip archive; none where its list of them is damaged."""
    try:
        with zipfile.ZipFile(file) as zipped:
            return zipped.namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return []


def _encode(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """A value as JSON; its arrays go into ``arrays`` under names that say where they belong."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, np.ndarray | np.generic):
        arrays[name] = np.asarray(value)
        return {"array" if isinstance(value, np.ndarray) else "scalar": name}
    inner = f"{name}__" if name else ""
    if isinstance(value, Result):
        known = type(value).__name__
        if _class(known) is not type(value):
            raise TypeError(f"{type(value).__module__}.{known} cannot be saved: it is no result of trajlib")
        content = {name: _encode(getattr(value, name), inner + name, arrays) for name in _fields(type(value))}
        return {"result": known, "fields": content}
    if type(value) in (tuple, list):
        return {type(value).__name__: [_encode(entry, f"{inner}{i}", arrays) for i, entry in enumerate(value)]}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": [[key, _encode(entry, inner + key, arrays)] for key, entry in value.items()]}
    raise TypeError(
        f"{name or 'what is saved'} must be an array, a number, a text, None or a tuple, list or dict of these, got {value!r:.80}"
    )


def _decode(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The inverse of :func:`_encode`."""
    if not isinstance(value, dict):
        return value
    if "result" in value:
        return _result(value, arrays)
    ((kind, content),) = value.items()
    if kind == "float":
        return float(content)
    if kind in ("array", "scalar"):
        return arrays[content] if kind == "array" else arrays[content][()]
    if kind == "dict":
        return {key: _decode(entry, arrays) for key, entry in content}
    return {"tuple": tuple, "list": list}[kind](_decode(entry, arrays) for entry in content)


def _result(value: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Result:
    """A result from its name and its fields."""
    known, given = _class(value["result"]), value["fields"]
    if known is None:
        raise _Unknown(f"a {value['result']!r:.80}, which is unknown here")
    fields = _fields(known)
    unknown = ", ".join(sorted(set(given) - set(fields)))
    lacking = ", ".join(sorted(name for name, needed in fields.items() if needed and name not in given))
    if unknown or lacking:
        what = f"with {unknown}, which is unknown here" if unknown else f"without {lacking}, which is needed here"
        raise _Unknown(f"a {known.__name__} {what}")
    return known(**{name: _decode(entry, arrays) for name, entry in given.items()})


def _fields(known: Any) -> dict[str, bool]:
    """Names of the fields of a dataclass, and which of them have no default."""
    return {f.name: f.default is MISSING and f.default_factory is MISSING for f in dataclasses.fields(known)}


def _class(name: str) -> type[Result] | None:
    """The class of this name, of those in the table."""
    module = _WHERE.get(name)
    return None if module is None else getattr(importlib.import_module(f"{__package__}.{module}"), name)


def _upright(vector: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """A vector along one axis of an array, to broadcast."""
    return np.expand_dims(vector, [i for i in range(ndim) if i != axis])


def _placed(values: np.ndarray, axis: int, given: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values along an axis labelled ``given``, put where ``wanted`` has the same labels (steps, increasing); nan where it has others."""
    if np.array_equal(given, wanted):
        return values
    place = np.minimum(np.searchsorted(given, wanted), len(given) - 1)
    found = given[place] == wanted
    taken = values.take(place, axis=axis)
    return taken if found.all() else np.where(_upright(found, axis, values.ndim), taken, np.nan)


def import_pandas():
    """pandas, or an error that says how to get it."""
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "tables need pandas, which is not installed: pip install pandas, or pip install 'trajlib[frames]'"
        ) from None
    return pandas
