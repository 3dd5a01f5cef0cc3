"""The ledger: what a paper claims, what was measured, and the verdict that follows from it.

A claim is listed in data/claims.yml. A chapter gives, for each of its claims, named conditions that the measurement fulfils or not, and the
verdict is computed from them: all hold - reproduced, some - partly, none - not reproduced. A condition on a share of an ensemble that lies
within the ensemble's own uncertainty marks the verdict as one that another seed can change.

Where the chapter has been run with other seeds, splits of the data, lengths and parameters (:mod:`.variations`), the verdict follows from
all of these runs: it is that of nine in ten of them, and "partly" where there is no such majority. The executed notebook carries the
verdicts as data, and the scoreboard of the whole book is read from there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from .._files import data_file
from ..results import Result
from . import shown
from .conditions import Check, Condition, Share, at_least, at_most, between, fraction, reaches, share
from .variations import recorded

__all__ = [
    "VERDICTS",
    "Check",
    "Claim",
    "Condition",
    "Finding",
    "Ledger",
    "Scoreboard",
    "Share",
    "Verdict",
    "at_least",
    "at_most",
    "between",
    "fraction",
    "load",
    "reaches",
    "share",
]

VERDICTS = ("reproduced", "partly", "not reproduced", "not testable")
KEY = "trajlib_claims"
"""Where an executed cell carries the verdicts: in the metadata of its output."""
MAJORITY = 0.9
"""The share of the runs that a verdict needs."""


@dataclass(frozen=True)
class Claim(Result, axes={"": "id chapter paper where claim reported"}):
    """One claim of a paper.

    Attributes
    ----------
    id, chapter : str
    paper : str
        Key in the bibliography.
    where : str
        Section or figure of the paper.
    claim : str
        In our words.
    reported : str, optional
        The value that the paper states, if any.
    about : tuple of (str, float, float)
        Parameters of the chapter, and the range that the claim is about.
    """

    id: str
    chapter: str
    paper: str
    where: str
    claim: str
    reported: str | None = None
    about: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class Finding(Result, axes={"": "claim verdict measured depends_on_seed alone"}):
    """What came of checking a claim.

    Attributes
    ----------
    claim : Claim
    verdict : str
        That of all runs together.
    measured : str
        What this run has measured, in words, with numbers.
    conditions : tuple of (str, Condition)
        The parts of the claim, and how each came out in this run.
    depends_on_seed : bool
        Whether another seed can change the verdict of this run.
    alone : str
        The verdict of this run.
    runs : tuple of (str, int)
        Verdicts, and how many runs have them, this one among them.
    """

    claim: Claim
    verdict: str
    measured: str
    conditions: tuple[tuple[str, Condition], ...]
    depends_on_seed: bool = False
    alone: str = ""
    runs: tuple[tuple[str, int], ...] = ()


def load(chapter: str | None = None) -> tuple[Claim, ...]:
    """The listed claims, all or those of one chapter, in the order of the list.

    Raises
    ------
    ValueError
        If the chapter has none.
    """
    listed = yaml.safe_load(data_file("claims.yml").read_text(encoding="utf-8"))
    claims = tuple(
        Claim(**entry | {"about": tuple((name, *limits) for name, limits in entry.get("about", {}).items())})
        for entry in listed
    )
    if chapter is None:
        return claims
    own = tuple(claim for claim in claims if claim.chapter == chapter)
    if not own:
        raise ValueError(
            f"no claims for chapter {chapter!r}; chapters are {', '.join(sorted({c.chapter for c in claims}))}"
        )
    return own


class Verdict(str):
    """One of the verdicts, a string; a notebook shows it with the claim that it is about."""

    claim: str

    def __new__(cls, verdict: str, claim: str) -> Verdict:
        made = super().__new__(cls, verdict)
        made.claim = claim
        return made

    def __repr__(self) -> str:
        return f"{self.claim}: {self}"


def of_conditions(held: list[bool]) -> str:
    """The verdict of one run."""
    return "reproduced" if all(held) else "partly" if any(held) else "not reproduced"


def of_runs(counted: Counter) -> str:
    """The verdict of several runs: that of nine in ten of those in which the claim could be tested, else "partly"."""
    runs = sum(counted.values()) - counted["not testable"]
    most = max(VERDICTS[:-1], key=lambda verdict: counted[verdict])
    return "not testable" if runs == 0 else most if counted[most] >= MAJORITY * runs else "partly"


class Ledger:
    """The findings of one chapter, filled claim by claim; shows itself as a table in a notebook.

    Parameters
    ----------
    chapter : str
        Name of the chapter in data/claims.yml.
    **parameters : float
        Values of the chapter's parameters that its claims are about, such as ``lr``. A claim that is about others is not testable.

    Examples
    --------
    >>> ledger = Ledger("low-learning-rate")
    >>> ledger.check("loss-decreases", "20 of 20 networks", {"the loss never rises": True})
    loss-decreases: reproduced
    """

    def __init__(self, chapter: str, **parameters: float):
        self.chapter, self.parameters = chapter, parameters
        self._claims = {claim.id: claim for claim in load(chapter)}
        self._findings: dict[str, Finding] = {}
        self._recorded = recorded(chapter)
        missing = {name for claim in self._claims.values() for name, *_ in claim.about} - set(parameters)
        if parameters and missing:
            raise TypeError(f"claims of chapter {chapter!r} are about {', '.join(sorted(missing))} too: give a value")

    def check(self, claim: str, measured: str | Callable[..., Check], *data: Any) -> Verdict:
        """Enter what was measured and which conditions hold; returns the verdict.

        Parameters
        ----------
        claim : str
            Id of the claim.
        measured : str or callable
            The numbers, with their uncertainties; or what checks the claim: it takes the data and returns a :class:`Check`. It is not
            called where the claim is about other parameters.
        *data
            After a str, dict of str to bool or Condition: each part of the claim in words, and whether the measurement fulfils it. After a
            callable, what it takes.

        Returns
        -------
        Verdict
            "reproduced" if all hold, "partly" if some do, "not reproduced" if none does; see :func:`of_runs`.

        Raises
        ------
        ValueError
            If the chapter has no such claim, or there are no conditions.
        TypeError
            If a condition is neither a bool nor a :class:`Condition`.
        """
        if claim not in self._claims:
            raise ValueError(f"chapter {self.chapter!r} has no claim {claim!r}; it has {', '.join(self._claims)}")
        if elsewhere := self._elsewhere(self._claims[claim]):
            return self.not_testable(claim, elsewhere)
        if callable(measured):
            measured, conditions = measured(*data)
        else:
            (conditions,) = data
        for text, holds in conditions.items():
            if not isinstance(holds, bool | np.bool_ | Condition):
                raise TypeError(
                    f"condition {text!r} of claim {claim!r} must be True, False or a Condition, got {holds!r}"
                )
        if not conditions:
            raise ValueError(f"claim {claim!r} needs at least one condition; use not_testable() if it cannot be tested")
        parts = {t: c if isinstance(c, Condition) else Condition(bool(c), True) for t, c in conditions.items()}
        if empty := [text for text, condition in parts.items() if not condition.testable]:
            return self.not_testable(claim, f"nothing to measure for: {'; '.join(empty)}. {measured}")
        lower = of_conditions([c.holds and c.decided for c in parts.values()])
        upper = of_conditions([c.holds or not c.decided for c in parts.values()])
        alone = of_conditions([c.holds for c in parts.values()])
        return self._enter(claim, alone, measured, tuple(parts.items()), lower != upper)

    def not_testable(self, claim: str, why: str) -> Verdict:
        """Enter that a claim cannot be tested, and why."""
        return self._enter(claim, "not testable", why, (), False)

    def _elsewhere(self, claim: Claim) -> str:
        """What a claim is about, if that is not how the chapter is run."""
        parts = [
            f"it is about {name} from {low:g} to {high:g}, and this run has {self.parameters[name]:g}"
            for name, low, high in claim.about
            if name in self.parameters and not low <= self.parameters[name] <= high
        ]
        return f"Not testable here: {'; '.join(parts)}." if parts else ""

    def _enter(self, claim, alone, measured, conditions, depends_on_seed) -> Verdict:
        if claim not in self._claims:
            raise ValueError(f"chapter {self.chapter!r} has no claim {claim!r}; it has {', '.join(self._claims)}")
        counted = Counter([alone])
        if alone != "not testable":
            counted.update(outcome.verdict for outcome in self._recorded.get(claim, ()))
        runs = tuple((verdict, counted[verdict]) for verdict in VERDICTS if counted[verdict])
        self._findings[claim] = Finding(
            self._claims[claim], of_runs(counted), measured, conditions, depends_on_seed, alone, runs
        )
        return Verdict(self._findings[claim].verdict, claim)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings in the order of the list.

        Raises
        ------
        ValueError
            If a claim of the chapter has not been checked.
        """
        missing = [claim for claim in self._claims if claim not in self._findings]
        if missing:
            raise ValueError(f"claims of chapter {self.chapter!r} not checked yet: {', '.join(missing)}")
        return tuple(self._findings[claim] for claim in self._claims)

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        findings = self.findings
        displayed = {
            "text/plain": "\n".join(
                f"{f.verdict:>15}  {f.claim.claim}  [{shown.in_runs(f)}; {f.measured}]" for f in findings
            ),
            "text/html": shown.ledger(findings, self._recorded),
        }
        return displayed, {KEY: {"chapter": self.chapter, "findings": [carried(f) for f in findings]}}


def carried(finding: Finding) -> dict:
    """What an executed notebook carries of a finding, as JSON has it: limits that there are not and numbers that there are not are null."""

    def number(value: float | None) -> float | str | None:
        return "nan" if value is not None and np.isnan(value) else None if value is None or np.isinf(value) else value

    conditions = [
        {"text": text, "holds": c.holds, "decided": c.decided, **{n: number(getattr(c, n)) for n in ("value", "low", "high")}}
        for text, c in finding.conditions
    ]  # fmt: skip
    return {
        "claim": finding.claim.id, "verdict": finding.verdict, "alone": finding.alone, "measured": finding.measured,
        "conditions": conditions, "depends_on_seed": finding.depends_on_seed, "runs": dict(finding.runs),
    }  # fmt: skip


def read(notebook: str | Path) -> dict | None:
    """The verdicts that an executed notebook carries, or None."""
    for cell in json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            if KEY in output.get("metadata", {}):
                return output["metadata"][KEY]
    return None


class Scoreboard:
    """Verdicts of all executed chapters, as a table in a notebook.

    Parameters
    ----------
    folder : str or Path
        Where the executed notebooks are.

    Raises
    ------
    FileNotFoundError
        If none of them carries verdicts.
    """

    def __init__(self, folder: str | Path = "."):
        found = [read(path) for path in sorted(Path(folder).glob("*.ipynb"))]
        order = {name: i for i, name in enumerate(dict.fromkeys(claim.chapter for claim in load()))}
        self.chapters = sorted((f for f in found if f), key=lambda f: order[f["chapter"]])
        if not self.chapters:
            raise FileNotFoundError(f"no executed chapter with verdicts in {str(folder)!r}; run 'make notebooks'")

    @property
    def counts(self) -> dict[str, Counter]:
        """For each chapter, how many claims have which verdict."""
        return {c["chapter"]: Counter(f["verdict"] for f in c["findings"]) for c in self.chapters}

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": shown.plain_scoreboard(self.counts), "text/html": shown.scoreboard(self.counts, VERDICTS)}
