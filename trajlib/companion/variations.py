"""What a verdict has to hold under: runs of a chapter with other seeds, splits, lengths and parameters, and what they have found.

Which runs there are is declared in data/variations.yml; ``make robustness`` makes them, and writes data/robustness/<chapter>.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from .._files import data_file

__all__ = ["KINDS", "Outcome", "Part", "Variation", "declared", "record", "recorded"]

KINDS = ("seed", "split", "length", "parameter", "equal time")
"""What a variation varies; "equal time" has another learning rate at the same learning rate x steps."""


class Variation(NamedTuple):
    """One way to run a chapter: what it varies, and the parameters of the chapter that it sets.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    settings : dict of str to number or str
        Names of the chapter's parameter cell, and their values.
    """

    kind: str
    settings: dict[str, float | str]

    @property
    def name(self) -> str:
        """The settings in words."""
        form = {int: ",", float: "g", str: ""}
        return ", ".join(f"{name} = {value:{form[type(value)]}}" for name, value in self.settings.items())


class Part(NamedTuple):
    """How a part of a claim came out in one run: as in :class:`~trajlib.companion.claims.Condition`."""

    holds: bool
    value: float | None
    low: float | None
    high: float | None


class Outcome(NamedTuple):
    """What one run has found about one claim: its verdict, the numbers in words, and each part of the claim."""

    kind: str
    name: str
    verdict: str
    measured: str
    parts: dict[str, Part]


def declared(chapter: str) -> tuple[dict[str, float], tuple[Variation, ...]]:
    """The settings that all variations of a chapter share (a smaller ensemble, say), and the variations in their order.

    Raises
    ------
    ValueError
        If two variations are the same, or a kind is unknown.
    """
    entry = yaml.safe_load(data_file("variations.yml").read_text(encoding="utf-8")).get(chapter)
    if entry is None:
        return {}, ()
    found = tuple(v for group in entry["variations"] for v in _each(group["kind"], group["set"]))
    for variation in found:
        if variation.kind not in KINDS:
            raise ValueError(
                f"variations of {chapter!r}: kind must be one of {', '.join(KINDS)}, got {variation.kind!r}"
            )
    if len({v.name for v in found}) < len(found):
        raise ValueError(f"variations of {chapter!r}: two are the same")
    return entry.get("all", {}), found


def _each(kind: str, settings: dict[str, Any]) -> Iterator[Variation]:
    """A list of values stands for one variation each; lists of several parameters go together."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in settings.items()}
    for values in zip(*lists.values(), strict=True):
        yield Variation(kind, dict(zip(lists, values, strict=True)))


def record(chapter: str) -> dict[str, Any]:
    """The committed runs of a chapter and what they belong to; empty where there are none."""
    try:
        return json.loads(data_file(f"robustness/{chapter}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def recorded(chapter: str) -> dict[str, tuple[Outcome, ...]]:
    """For each claim of a chapter, what the committed runs have found."""
    found: dict[str, list[Outcome]] = {}
    for run in record(chapter).get("runs", ()):
        for claim, entry in run["found"].items():
            parts = {
                part["text"]: Part(part["holds"], _number(part["value"]), part["low"], part["high"])
                for part in entry["conditions"]
            }
            name = Variation(run["kind"], run["settings"]).name
            found.setdefault(claim, []).append(Outcome(run["kind"], name, entry["verdict"], entry["measured"], parts))
    return {claim: tuple(outcomes) for claim, outcomes in found.items()}


def _number(value: float | str | None) -> float | None:
    return None if value is None else float(value)
