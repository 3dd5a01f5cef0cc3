"""What a network learns: inputs, targets and a held-out part, as plain float64 arrays.

The split into training and test is a parameter, because at large learning rates the class proportions of the training part
decide the dynamics.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .. import _validate
from ..results import Result, import_pandas
from . import _convert

if TYPE_CHECKING:
    import pandas

__all__ = ["PLANES", "Task", "digits", "iris", "plane"]

PLANES = {
    "parabola": lambda u, v: (u + v) ** 2 / 1.2,
    "ridge": lambda u, v: 3.0 * np.abs(u + v),
    "saddle": lambda u, v: 2.0 * u * v,
    "wave": lambda u, v: 4.0 * np.cos(np.pi * (u + v) / 4.0),
    "step": lambda u, v: 4.0 * np.sign(u + v),
    "linear": lambda u, v: 2.0 * (u - v),
}


@dataclass(frozen=True, eq=False)
class Task(
    Result,
    axes={
        "sample": "target=y",
        "sample feature": "x",
    },
):
    """Samples to learn and samples to test on.

    Parameters
    ----------
    name : str
        Short name, used in messages and figures.
    x : ndarray (n, d), float64
        Training inputs.
    y : ndarray (n,), int64 or float64
        Class labels 0, 1, ..., K - 1 (int64), or values to regress on (float64).
    x_test, y_test : ndarray
        The same for the held-out samples; may be empty.
    class_names : tuple of str, optional
        Names for figures. ``class_names`` also says how many classes there are: one of them may then be missing from the samples, as from
        a part of a data set. Without them every label up to the largest must occur, in the training or the test part.
    feature_names : tuple of str, optional
        Names for figures.

    Raises
    ------
    TypeError
        If ``x`` is not float64 or ``y`` neither int64 nor float64: nothing is converted in silence.
    ValueError
        If shapes disagree, a value is nan or inf, or labels are not 0, 1, ..., K - 1.

    Examples
    --------
    >>> task = Task("xor", x=np.array([[0., 0.], [0., 1.], [1., 0.], [1., 1.]]), y=np.array([0, 1, 1, 0]))
    >>> task.n_classes, task.proportions
    (2, array([0.5, 0.5]))
    """

    name: str
    x: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)
    x_test: np.ndarray = field(default=None, repr=False)  # type: ignore[arg-type]
    y_test: np.ndarray = field(default=None, repr=False)  # type: ignore[arg-type]
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self):
        for names in ("class_names", "feature_names"):
            given = getattr(self, names)
            if not isinstance(given, tuple | list | np.ndarray) or np.ndim(given) != 1:
                raise TypeError(f"{names} must be a tuple of str, got {_validate.shown(given)}")
            object.__setattr__(self, names, tuple(map(str, given)))
        if (self.x_test is None) != (self.y_test is None):
            raise ValueError("x_test and y_test go together: give both or neither")
        if (
            self.x_test is None
            and isinstance(self.x, np.ndarray)
            and self.x.ndim == 2
            and isinstance(self.y, np.ndarray)
        ):
            object.__setattr__(self, "x_test", self.x[:0])
            object.__setattr__(self, "y_test", self.y[:0])
        for suffix in ("", "_test"):
            x, y = getattr(self, "x" + suffix), getattr(self, "y" + suffix)
            try:
                _validate.finite("x" + suffix, _validate.float64("x" + suffix, x))
            except TypeError as error:
                raise TypeError(f"{error}; or use Task.from_arrays, which converts") from None
            if x.ndim != 2:
                raise ValueError(f"x{suffix} must have shape (n, d), got {x.shape}")
            if not isinstance(_validate.unmasked("y" + suffix, y), np.ndarray) or y.dtype not in (np.int64, np.float64):
                kind = y.dtype if isinstance(y, np.ndarray) else type(y).__name__
                raise TypeError(
                    f"y{suffix} must be an array of int64 (labels) or float64 (values), got {kind}; "
                    "or use Task.from_arrays, which converts"
                )
            if y.shape != (len(x),):
                raise ValueError(f"y{suffix} must have shape ({len(x)},), one target a row of x{suffix}, got {y.shape}")
            _validate.finite("y" + suffix, y)
            if y.dtype == np.int64 and y.size and y.min() < 0:
                raise ValueError(f"labels in y{suffix} must be 0, 1, ..., got {y.min()}")
        if len(self.x) == 0:
            raise ValueError("x must hold at least one sample")
        if self.x_test.shape[1] != self.x.shape[1] or self.y_test.dtype != self.y.dtype:
            raise ValueError("training and test part must have the same features and the same kind of target")
        self._check_labels()
        for name in (
            "x",
            "y",
            "x_test",
            "y_test",
        ):  # a task is a value: later changes of the caller's arrays don't reach it
            array = np.array(getattr(self, name), order="C")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def from_arrays(
        cls, x, y, x_test=None, y_test=None, *, name: str = "arrays", test: float = 0.0, seed: int = 0, feature_names=()
    ) -> Task:
        """A task from numbers of any dtype and labels of any kind, converted here and nowhere else.

        Inputs become float64; a float16, float32, integer or boolean means the same number there (integers beyond 2\\ :sup:`53` are
        rounded). Targets that are strings, booleans or integers, with gaps or not, are labels: they become 0, 1, ... in sorted order, and
        ``class_names`` keeps what they were. Targets that are floats are values to regress on, whole numbers or not: give
        ``y.astype(int)`` where they are labels.

        Parameters
        ----------
        x : array_like (n, d)
            Inputs: an array, nested lists, a frame.
        y : array_like (n,)
            Targets.
        x_test, y_test : array_like, optional
            The held-out samples; each label must be among those of ``y``.
        name : str
            Short name, used in messages and figures.
        test : float
            Share of the samples to hold out at random, 0 <= test < 1, in place of ``x_test`` and ``y_test``.
        seed : int
            Of the choice (PCG64). Of labels the split is stratified: every class gives its share, rounded, and keeps at least one sample
            to learn. Both parts keep the order of the samples.
        feature_names : tuple of str, optional
            Names for figures.

        Returns
        -------
        Task

        Raises
        ------
        TypeError, ValueError
            If something is no number, is missing or infinite, shapes disagree, all targets are equal, or the share is out of range or
            leaves a part empty.

        Examples
        --------
        >>> task = Task.from_arrays([[0, 1], [2, 3], [4, 5]], ["rose", "iris", "rose"])
        >>> task.y, task.class_names, task.x.dtype
        (array([1, 0, 1]), ('iris', 'rose'), dtype('float64'))
        """
        if (x_test is None) != (y_test is None):
            raise ValueError("x_test and y_test go together: give both or neither")
        if x_test is not None and not (test is None or (isinstance(test, numbers.Real) and test == 0)):
            raise ValueError(f"give x_test and y_test or a share test={_validate.shown(test)}, not both")
        return cls._converted(
            name, _convert.numbers("x", x), _convert.targets("y", y), test, seed, tuple(map(str, feature_names)), "y",
            None if x_test is None else (_convert.numbers("x_test", x_test), _convert.targets("y_test", y_test)),
        )  # fmt: skip

    @classmethod
    def from_frame(
        cls, df, target="label", *, features=None, test: float = 0.2, seed: int = 0, name: str = "frame"
    ) -> Task:
        """A task from a data frame, of pandas or one like it: one row a sample.

        Parameters
        ----------
        df : DataFrame
            Anything with ``columns`` whose ``df[name].to_numpy()`` are arrays.
        target : str
            The column to learn. Strings, booleans, integers and categories of any kind are labels, floats are values to regress on,
            converted as in :meth:`from_arrays`.
        features : list of str, optional
            The columns to learn from, numbers of any dtype; all but the target by default.
        test, seed, name
            As in :meth:`from_arrays`: the share of the rows to hold out, stratified by label, and the seed of that choice.

        Returns
        -------
        Task

        Raises
        ------
        TypeError, ValueError
            Naming the column: if it is absent, or appears twice; has missing or infinite values; is no number and a feature; is a target
            with a single value. Also if the share is out of range or leaves a part empty.

        Examples
        --------
        >>> import pandas
        >>> df = pandas.DataFrame({"size": [1, 2, 3, 4], "weight": [0.5, 0.1, 0.2, 0.9], "label": ["a", "b", "a", "b"]})
        >>> task = Task.from_frame(df, test=0.5)
        >>> task.x.shape, task.y, task.y_test, task.class_names, task.feature_names
        ((2, 2), array([0, 1]), array([1, 0]), ('a', 'b'), ('size', 'weight'))
        """
        columns = _convert.columns(df, target, features)
        x = np.column_stack([_convert.numbers(f"column {c!r}", _convert.column(df, c)) for c in columns])
        y = _convert.targets(f"column {target!r}", _convert.column(df, target))
        return cls._converted(name, x, y, test, seed, tuple(map(str, columns)), f"column {target!r}", None)

    @classmethod
    def _converted(cls, name, x, y, test, seed, feature_names, target: str, held) -> Task:
        """From converted arrays: labels become 0, 1, ..., the split is made or taken as given."""
        y, levels = _convert.encoded(target, y)
        if x.ndim != 2 or len(x) != len(y):
            raise ValueError(
                f"x must have shape ({len(y)}, d), one row a target, got {x.shape}" + "; use x[:, None]" * (x.ndim == 1)
            )
        if held is None:
            out = _convert.split(y, test, seed, bool(levels))
            held = x[out], y[out]
            x, y = x[~out], y[~out]
        else:
            held = held[0], _convert.encoded("y_test", held[1], levels if y.dtype == np.int64 else ())[0]
        return cls(name, x, y, held[0], held[1], class_names=tuple(map(str, levels)), feature_names=feature_names)

    def to_frame(self, of: str | None = None, *, weights: bool = False) -> pandas.DataFrame:
        """One row a sample: its features under their names, its target (the class name where there is one), and its part, train or test.

        Parameters
        ----------
        of, weights
            As in :meth:`~trajlib.results.Result.to_frame`, for the training part alone.
        """
        if of is not None or weights:
            return super().to_frame(of, weights=weights)
        frames, names = import_pandas(), np.array(self.class_names)
        inputs = np.concatenate([self.x, self.x_test])
        columns = self.feature_names if len(self.feature_names) == inputs.shape[1] else range(inputs.shape[1])
        frame = frames.DataFrame(inputs, columns=list(columns))
        y = np.concatenate([self.y, self.y_test])
        frame["target"] = names[y] if self.is_classification and len(names) >= self.n_classes else y
        frame["part"] = np.repeat(["train", "test"], [len(self.y), len(self.y_test)])
        return frame

    def _check_labels(self) -> None:
        if not self.is_classification:
            return
        present = np.unique(np.concatenate([self.y, self.y_test]))
        names = len(self.class_names)
        if names and present[-1] >= names:
            raise ValueError(f"labels must be below {names}, the number of class_names, got {present[-1]}")
        if not names and present[-1] != len(present) - 1:
            raise ValueError(
                f"labels must be 0, 1, ..., K - 1 without a gap, got {_validate.shown(present.tolist())}: a class that no sample has "
                "would take an output of the network all the same. Number them with np.unique(labels, return_inverse=True)[1], of "
                "both parts together, or, if a class is only missing from these samples, name all classes in class_names"
            )

    @property
    def is_classification(self) -> bool:
        """Whether targets are labels."""
        return self.y.dtype == np.int64

    @property
    def n_classes(self) -> int:
        """Number of classes, by their names or else the largest label + 1; 0 for regression."""
        if not self.is_classification:
            return 0
        if self.class_names:
            return len(self.class_names)
        return int(max(self.y.max(), self.y_test.max(initial=0))) + 1

    @property
    def proportions(self) -> np.ndarray:
        """Class proportions p of the training part, (n_classes,)."""
        if not self.is_classification:
            raise ValueError(f"task {self.name!r} has values to regress on, not classes: it has no class proportions")
        return np.bincount(self.y, minlength=self.n_classes) / len(self.y)

    def standardised(self) -> Task:
        """The same task with every feature scaled to mean 0 and variance 1 over the training part.

        A feature that is constant over the training part is only centred.
        """
        constant = np.ptp(self.x, axis=0) == 0
        mean = np.where(constant, self.x[0], self.x.mean(axis=0))
        scale = np.where(constant, 1.0, self.x.std(axis=0))
        return replace(
            self,
            name=f"{self.name}, standardised",
            x=(self.x - mean) / scale,
            x_test=(self.x_test - mean) / scale,
        )


def _split(bunch, name: str, n_train: int, seed: int, scale: float, feature_names) -> Task:
    order = np.random.Generator(np.random.PCG64(_validate.count("split_seed", seed))).permutation(len(bunch.target))
    x, y = bunch.data[order].astype(np.float64) / scale, bunch.target[order].astype(np.int64)
    return Task(
        name,
        x=x[:n_train],
        y=y[:n_train],
        x_test=x[n_train:],
        y_test=y[n_train:],
        class_names=tuple(map(str, bunch.target_names)),
        feature_names=tuple(feature_names),
    )


def iris(split_seed: int = 0) -> Task:
    """Fisher's Iris: 150 flowers, 4 features in cm (not scaled), 3 species; 120 to train on, 30 to test.

    Parameters
    ----------
    split_seed : int
        Seed of the random split. It changes the class proportions of the 120, which matter at large learning rates.

    Returns
    -------
    Task

    References
    ----------
    R. A. Fisher, Annals of Eugenics 7 (1936) 179; the copy bundled with scikit-learn (no network needed).

    Examples
    --------
    >>> iris().x.shape, iris().y_test.shape
    ((120, 4), (30,))
    """
    from sklearn.datasets import load_iris

    bunch = load_iris()
    return _split(bunch, "iris", 120, split_seed, 1.0, (n.removesuffix(" (cm)") for n in bunch.feature_names))


def digits(split_seed: int = 0) -> Task:
    """Handwritten digits, 8 x 8 pixels scaled to [0, 1]: 1,437 to train on, 360 to test.

    Parameters
    ----------
    split_seed : int
        Seed of the random split.

    Returns
    -------
    Task

    References
    ----------
    E. Alpaydin, C. Kaynak, UCI repository (1998); the copy bundled with scikit-learn (no network needed).

    Examples
    --------
    >>> digits().x.shape, digits().n_classes
    ((1437, 64), 10)
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return _split(bunch, "digits", 1437, split_seed, 16.0, bunch.feature_names)


def plane(kind: str = "parabola", n: int = 50, seed: int = 0, *, n_test: int = 1000) -> Task:
    """A function of two variables to regress on, at points drawn uniformly from the square [-2, 2]\\ :sup:`2`, without noise.

    Parameters
    ----------
    kind : {"parabola", "ridge", "saddle", "wave", "step", "linear"}
        y = (x1 + x2)\\ :sup:`2` / 1.2, 3 \\|x1 + x2\\|, 2 x1 x2, 4 cos(π (x1 + x2) / 4), 4 sign(x1 + x2) or 2 (x1 - x2).
    n, n_test : int
        Points to train on, at least 1, and to test on, from the same law.
    seed : int
        Of the points (PCG64). The training points do not depend on ``n_test``, and no point on ``kind``.

    Returns
    -------
    Task

    Raises
    ------
    TypeError, ValueError
        If the kind is unknown, or a number is not an integer in its range.

    Notes
    -----
    The parabola stands in for the data set of Sharafi, Martin, Hallerberg (arXiv 2405.00743), which is not known to us. The
    scales are such that the final losses of a 2-2-1 network on 50 points (half squared error, summed; lr = 0.001, 4,000
    steps) spread around the paper's limits, 4 and 100: in all kinds but two they fall on either side of both. No such network
    learns the saddle, and nearly all learn the line. The shares depend on the points, and so on the seed: of 300 tanh networks on
    the parabola, .45, .00 and .14 end above 100 for the seeds 0, 1 and 2.

    Examples
    --------
    >>> task = plane("saddle")
    >>> task.x.shape, task.x_test.shape, bool(np.all(task.y == 2 * task.x[:, 0] * task.x[:, 1]))
    ((50, 2), (1000, 2), True)
    """
    _validate.choice("kind", kind, PLANES)
    n, n_test = _validate.count("n", n, 1), _validate.count("n_test", n_test)
    _validate.fit_in_memory("the points", 3 * (n + n_test), "take fewer")
    rng = np.random.Generator(np.random.PCG64(_validate.count("seed", seed)))
    x, x_test = rng.uniform(-2.0, 2.0, (n, 2)), rng.uniform(-2.0, 2.0, (n_test, 2))
    y, y_test = PLANES[kind](*x.T), PLANES[kind](*x_test.T)
    return Task(f"plane, {kind}", x=x, y=y, x_test=x_test, y_test=y_test, feature_names=("x1", "x2"))
