"""The ledger: what a paper claims, what was measured, and the verdict that follows from it.

A claim is listed in data/claims.yml. A chapter gives, for each of its claims, named conditions that the measurement fulfils or not, and the
verdict is computed from them: all hold - reproduced, some - partly, none - not reproduced. A condition on a share of an ensemble that lies
within the ensemble's own uncertainty marks the verdict as one that another seed can change. The executed notebook carries the verdicts
as data, and the scoreboard of the whole book is read from there.
"""

from __future__ import annotations

import html
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml

from .._files import data_file
from ..results import Result

__all__ = [
    "VERDICTS",
    "Claim",
    "Finding",
    "Ledger",
    "Scoreboard",
    "Share",
    "Verdict",
    "fraction",
    "load",
    "reaches",
    "share",
]

VERDICTS = ("reproduced", "partly", "not reproduced", "not testable")
KEY = "trajlib_claims"
"""Where an executed cell carries the verdicts: in the metadata of its output."""


@dataclass(frozen=True)
class Claim(Result, axes={"": "id chapter paper where claim reported"}):
    """One claim of a paper: id, chapter, paper (bibliography key), where in it, the claim in our words, the value it reports if any."""

    id: str
    chapter: str
    paper: str
    where: str
    claim: str
    reported: str | None = None


@dataclass(frozen=True)
class Finding(Result, axes={"": "claim verdict measured depends_on_seed"}):
    """What came of checking a claim: its verdict, what was measured (in words, with numbers), each condition with its outcome, and
    whether another seed can change the verdict."""

    claim: Claim
    verdict: str
    measured: str
    conditions: tuple[tuple[str, bool], ...]
    depends_on_seed: bool = False


@dataclass(frozen=True)
class Share(Result, axes={"": "holds decided"}):
    """Whether a property holds in at least a given share of an ensemble, and whether the ensemble is large enough to say.

    Attributes
    ----------
    holds : bool
        The observed share reaches the threshold.
    decided : bool
        The threshold lies outside the 95 % interval of the share: another seed would say the same.
    """

    holds: bool
    decided: bool

    def __bool__(self) -> bool:
        return self.holds


def load(chapter: str | None = None) -> tuple[Claim, ...]:
    """The listed claims, all or those of one chapter, in the order of the list.

    Raises
    ------
    ValueError
        If the chapter has none.
    """
    claims = tuple(Claim(**entry) for entry in yaml.safe_load(data_file("claims.yml").read_text(encoding="utf-8")))
    if chapter is None:
        return claims
    own = tuple(claim for claim in claims if claim.chapter == chapter)
    if not own:
        raise ValueError(
            f"no claims for chapter {chapter!r}; chapters are {', '.join(sorted({c.chapter for c in claims}))}"
        )
    return own


def _wilson(holds: np.ndarray) -> tuple[int, int, float, float]:
    """Count, size and 95 % interval of a share (E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209)."""
    k, n, z = int(np.sum(holds)), int(np.size(holds)), 1.959964
    centre = (k / n + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(k / n * (1 - k / n) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return k, n, max(centre - half, 0.0), min(centre + half, 1.0)


def fraction(holds: np.ndarray) -> str:
    """How many of an ensemble fulfil something, in words, with a 95 % Wilson interval.

    Parameters
    ----------
    holds : ndarray (n,), bool
        One entry a member.

    Returns
    -------
    str

    Examples
    --------
    >>> fraction(np.array([True] * 90 + [False] * 10))
    '90 of 100 (83-94 %)'
    """
    k, n, low, high = _wilson(holds)
    return f"{k:,} of {n:,} ({100 * low:.0f}-{100 * high:.0f} %)"


def share(holds: np.ndarray, at_least: float = 0.9) -> Share:
    """Whether something holds in at least a given share of an ensemble: the condition for "typically", or for "most" with 0.5.

    Parameters
    ----------
    holds : ndarray (n,), bool
        One entry a member.
    at_least : float
        The share asked for.

    Returns
    -------
    Share

    Examples
    --------
    >>> share(np.array([True] * 99 + [False]))
    Share(holds=True, decided=True)
    """
    k, n, low, high = _wilson(holds)
    return Share(k >= at_least * n, not low < at_least < high)


def reaches(value: np.ndarray, lower: np.ndarray, upper: np.ndarray, at_least: float) -> Share:
    """Whether every one of some estimates reaches a threshold, and whether their intervals are narrow enough to say.

    Parameters
    ----------
    value, lower, upper : ndarray (...)
        Estimates, and the ends of their confidence intervals.
    at_least : float
        The threshold.

    Returns
    -------
    Share
        Decided if all intervals lie above the threshold, or one lies below it.

    Examples
    --------
    >>> reaches(np.array([0.9, 0.72]), np.array([0.88, 0.69]), np.array([0.92, 0.75]), 0.7)
    Share(holds=True, decided=False)
    """
    holds = bool(np.all(np.asarray(value) >= at_least))
    sure = np.all(np.asarray(lower) >= at_least) if holds else np.any(np.asarray(upper) < at_least)
    return Share(holds, bool(sure))


class Verdict(str):
    """One of the verdicts, a string; a notebook shows it with the claim that it is about."""

    claim: str

    def __new__(cls, verdict: str, claim: str) -> Verdict:
        made = super().__new__(cls, verdict)
        made.claim = claim
        return made

    def __repr__(self) -> str:
        return f"{self.claim}: {self}"


class Ledger:
    """The findings of one chapter, filled claim by claim; shows itself as a table in a notebook.

    Parameters
    ----------
    chapter : str
        Name of the chapter in data/claims.yml.

    Examples
    --------
    >>> ledger = Ledger("low-learning-rate")
    >>> ledger.check("loss-decreases", "20 of 20 networks", {"the loss never rises": True})
    loss-decreases: reproduced
    """

    def __init__(self, chapter: str):
        self.chapter = chapter
        self._claims = {claim.id: claim for claim in load(chapter)}
        self._findings: dict[str, Finding] = {}

    def check(self, claim: str, measured: str, conditions: dict[str, bool]) -> Verdict:
        """Enter what was measured and which conditions hold; returns the verdict.

        Parameters
        ----------
        claim : str
            Id of the claim.
        measured : str
            The numbers, with their uncertainties.
        conditions : dict of str to bool or Share
            Each part of the claim in words, and whether the measurement fulfils it.

        Returns
        -------
        Verdict
            "reproduced" if all hold, "partly" if some do, "not reproduced" if none does.

        Raises
        ------
        ValueError
            If the chapter has no such claim, or there are no conditions.
        TypeError
            If a condition is neither a bool nor a :class:`~trajlib.companion.claims.Share`.
        """
        for text, holds in conditions.items():
            if not isinstance(holds, bool | np.bool_ | Share):
                raise TypeError(f"condition {text!r} of claim {claim!r} must be True, False or a Share, got {holds!r}")
        if not conditions:
            raise ValueError(f"claim {claim!r} needs at least one condition; use not_testable() if it cannot be tested")

        def verdict_of(held: list[bool]) -> str:
            return "reproduced" if all(held) else "partly" if any(held) else "not reproduced"

        held = [bool(holds) for holds in conditions.values()]
        open_ones = [isinstance(holds, Share) and not holds.decided for holds in conditions.values()]
        possible = {verdict_of([h and not o for h, o in zip(held, open_ones, strict=True)])}
        possible.add(verdict_of([h or o for h, o in zip(held, open_ones, strict=True)]))
        return self._enter(
            claim, verdict_of(held), measured, tuple(zip(conditions, held, strict=True)), len(possible) > 1
        )

    def not_testable(self, claim: str, why: str) -> Verdict:
        """Enter that a claim cannot be tested, and why."""
        return self._enter(claim, "not testable", why, (), False)

    def _enter(self, claim, verdict, measured, conditions, depends_on_seed) -> Verdict:
        if claim not in self._claims:
            raise ValueError(f"chapter {self.chapter!r} has no claim {claim!r}; it has {', '.join(self._claims)}")
        self._findings[claim] = Finding(self._claims[claim], verdict, measured, conditions, depends_on_seed)
        return Verdict(verdict, claim)

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
        shown = {
            "text/plain": "\n".join(f"{f.verdict:>15}  {f.claim.claim}  [{f.measured}]" for f in findings),
            "text/html": _table(findings),
        }
        return shown, {KEY: {"chapter": self.chapter, "findings": [asdict(f) for f in findings]}}


def _chip(verdict: str, count: str = "") -> str:
    style = verdict.replace(" ", "-")
    return f'<span class="tl-verdict tl-{style}">{html.escape(count)}{verdict}</span>'


def _table(findings) -> str:
    rows = []
    for f in findings:
        parts = "".join(f"<li>{'yes' if ok else 'no'}: {html.escape(t)}</li>" for t, ok in f.conditions)
        reported = f"<br>Reported: {html.escape(f.claim.reported)}" if f.claim.reported else ""
        flag = "<br><small>depends on the seed</small>" if f.depends_on_seed else ""
        rows.append(
            f"<tr><td>{html.escape(f.claim.claim)}<br><small>{html.escape(f.claim.where)}{reported}</small></td>"
            f"<td>{_chip(f.verdict)}{flag}</td><td>{html.escape(f.measured)}<ul>{parts}</ul></td></tr>"
        )
    head = "<tr><th>Claim</th><th>Verdict</th><th>Measured here, and what it was asked</th></tr>"
    return _region("Claims checked", head, rows)


def _region(label: str, head: str, rows: list[str]) -> str:
    """A table that scrolls inside its own box where the page is narrow."""
    table = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="tl-claims" tabindex="0" role="region" aria-label="{label}">{table}</div>'


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
        counts = self.counts
        rows = []
        for chapter in self.chapters:
            name, of = chapter["chapter"], counts[chapter["chapter"]]
            chips = " ".join(_chip(v, f"{of[v]} ") for v in VERDICTS if of[v])
            title = name.replace("-", " ").capitalize()
            rows.append(
                f'<tr><td><a href="{name}.html#claims-checked">{title}</a></td><td>{sum(of.values())}</td><td>{chips}</td></tr>'
            )
        head = "<tr><th>Chapter</th><th>Claims</th><th>Verdicts</th></tr>"
        plain = "\n".join(f"{name}: " + ", ".join(f"{n} {v}" for v, n in c.items()) for name, c in counts.items())
        return {"text/plain": plain, "text/html": _region("Scoreboard", head, rows)}
