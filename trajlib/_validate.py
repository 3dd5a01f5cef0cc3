"""Checks of arguments: each error says what was given, what is allowed and what to do."""

from __future__ import annotations

import math
import numbers
import os
import pathlib
from collections.abc import Iterable

import numpy as np

LARGEST = 2**63 - 1
"""Counts are sizes and steps, which machines hold in 64 bits."""

MOST_THREADS = 4096
"""More than any machine has cores."""


def positive(name: str, value, *, zero: bool = False) -> float:
    """A finite real number, positive (or zero where allowed)."""
    allowed = "a finite number >= 0" if zero else "a positive finite number"
    number = real(name, value, allowed)
    if number < 0 or (number == 0 and not zero):
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")
    return number


def real(name: str, value, allowed: str = "a finite number") -> float:
    """A finite real number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        hint = "; take the number out with .item()" if isinstance(value, np.ndarray) and value.size == 1 else ""
        raise TypeError(f"{name} must be {allowed}, got {shown(value)}{hint}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")
    return number


def count(name: str, value, minimum: int = 0, maximum: int = LARGEST) -> int:
    """An integer from minimum to maximum, by default what 64 bits hold; a seed is no size and may have more."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer >= {minimum}, got {shown(value)}")
    if int(value) < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {shown(value)}")
    if int(value) > maximum and not name.endswith("seed"):
        most = "2**63 - 1" if maximum == LARGEST else maximum
        raise ValueError(f"{name} must be an integer from {minimum} to {most}, got {shown(value)}")
    return int(value)


def shown(value) -> str:
    """A value as an error shows it: in one short line, whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # too many digits for Python, or an object that cannot say what it is
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 200 else f"{text[:197]}..."


def threads(value) -> int | None:
    """A number of threads, or None for all cores."""
    return None if value is None else count("threads", value, 1, MOST_THREADS)


def flag(name: str, value) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def share(name: str, value) -> float:
    """A number from 0 to below 1."""
    allowed = "a number from 0 to below 1"
    number = real(name, value, allowed)
    if not 0 <= number < 1:
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")
    return number


def choice(name: str, value, allowed: Iterable[str]) -> str:
    """One of a few words."""
    allowed = tuple(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {shown(value)}")
    return value


def path(name: str, value) -> pathlib.Path:
    """A path that a file system can be asked for."""
    try:
        text = os.fspath(value)
        if isinstance(text, str) and text and "\0" not in text:
            os.fsencode(text)
            return pathlib.Path(text)
    except (TypeError, UnicodeEncodeError):
        text = None
    kind = ValueError if isinstance(value, str) else TypeError
    raise kind(f"{name} must be a path, as text that is not empty or as pathlib.Path, got {shown(value)}")


def unmasked(name: str, value):
    """Anything but an array of a subclass, whose mask, unit or second meaning of * would get lost on the way."""
    if isinstance(value, np.ndarray) and type(value) not in (np.ndarray, np.memmap):
        how = "np.asarray(...)"
        if isinstance(value, np.ma.MaskedArray):
            how = ".filled(np.nan), or .compressed() to leave out what is masked"
        raise TypeError(f"{name} must be a plain numpy array, got {type(value).__name__}; convert with {how}")
    return value


def float64(name: str, value) -> np.ndarray:
    """An array that is float64 already: nothing is converted in silence."""
    if not isinstance(unmasked(name, value), np.ndarray):
        raise TypeError(
            f"{name} must be a numpy array of float64, got {type(value).__name__}; use np.asarray(..., dtype=float)"
        )
    if value.dtype != np.float64:
        raise TypeError(
            f"{name} must be float64, got {value.dtype}; convert with .astype(np.float64) if that is what you mean"
        )
    return value


def numbers_of(name: str, value) -> np.ndarray:
    """Numbers of any kind and shape as float64, for arguments that may be one number or an array."""
    try:
        array = np.asarray(unmasked(name, value))
        if array.dtype.kind not in "iuf":
            raise ValueError
        return array.astype(np.float64, copy=False)
    except ValueError:  # rows of different lengths, too
        raise TypeError(f"{name} must be a number or an array of numbers, got {shown(value)}") from None


def finite(name: str, value: np.ndarray) -> np.ndarray:
    """An array without nan or inf."""
    bad = ~np.isfinite(value)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, got {value[where]} at index {where} ({int(bad.sum())} such entries)")
    return value


def weights(w, n_parameters: int, *, name: str = "w") -> np.ndarray:
    """Flat weight vectors (..., n_parameters), float64; nan and inf are let through (a diverged state has a loss too)."""
    w = float64(name, w)
    if w.ndim == 0 or w.shape[-1] != n_parameters:
        raise ValueError(
            f"{name} must have shape (..., {n_parameters}), one flat weight vector a network, got {w.shape}"
        )
    return w


def rate(name: str, value) -> float | np.ndarray:
    """A positive finite number, or an array of such, which is copied and made read-only."""
    if isinstance(value, list | tuple):
        raise TypeError(
            f"{name} must be a positive finite number or a numpy array of such, one a network: np.array([...]), got "
            f"the {type(value).__name__} {shown(value)}"
        )
    if not isinstance(value, np.ndarray):
        return positive(name, value)
    array = float64(name, value).copy()
    if array.size == 0 or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(
            f"{name} must be a positive finite number (or an array of such), got an array that is empty or has others"
        )
    array.flags.writeable = False
    return array


def fits(name: str, one: str, given: tuple[int, ...], lead: tuple[int, ...]) -> None:
    """One value, or as many as there are networks: an array that broadcasts to their leading axes and adds none."""
    try:
        fit = np.broadcast_shapes(given, lead) == lead
    except ValueError:
        fit = False
    if not fit:
        raise ValueError(f"{name} must be {one} or one a network, broadcasting to shape {lead}, got shape {given}")


def fit_in_memory(what: str, entries: int, advice: str) -> None:
    """Raise MemoryError where so many float64 numbers would not fit."""
    available = 2**62  # bytes; nobody's machine
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if 8 * entries > 0.8 * available:
        raise MemoryError(f"{what} would take {8 * entries / 2**30:.4g} GiB of {available / 2**30:.4g} GiB; {advice}")
