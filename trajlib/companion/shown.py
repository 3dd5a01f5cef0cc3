"""The ledger and the scoreboard as HTML: each claim is a sentence, a strip of dots, one a run, against its threshold, and its verdict."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .tables import Sentence, Table
from .variations import KINDS, Outcome, Part

if TYPE_CHECKING:
    from .claims import Finding

__all__ = ["Sentence", "Table", "chip", "in_runs", "ledger", "plain_scoreboard", "scoreboard", "strip"]

WIDTH, HEIGHT, MARGIN = 320.0, 44.0, 10.0
MARKS = {
    "this run": "M0-7 7 0 0 7-7 0Z",
    "seed": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "split": "M-3.6-3.6h7.2v7.2h-7.2Z",
    "length": "M0-4.6 4.4 3.4h-8.8Z",
    "parameter": "M0 4.6-4.4-3.4h8.8Z",
    "equal time": "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z",
}
"""Outline of each kind of run, about its middle."""
INK = 'fill="currentColor" stroke="currentColor"'
"""Of marks: filled, also where the book's style sheet is not."""
OFFSETS = (0.0, -5.0, 5.0, -9.0, 9.0)
"""Rows of a strip: dots at the same place lie side by side, as far as there is room."""
WORDS = {kind: f"other {kind}" for kind in KINDS} | {"this run": "this page", "equal time": "other lr, equal lr × t"}


class Dot(NamedTuple):
    """One run on a strip."""

    kind: str
    name: str
    part: Part


def chip(verdict: str, count: str = "") -> str:
    """A verdict as a coloured label."""
    return f'<span class="tl-verdict tl-{verdict.replace(" ", "-")}">{html.escape(count)}{verdict}</span>'


def in_runs(finding: Finding) -> str:
    """In how many of the runs in which it could be tested the claim holds, with all of its parts, in words."""
    runs, parts = dict(finding.runs), len(finding.conditions)
    tested = sum(runs.values()) - runs.get("not testable", 0)
    if tested < 2:
        return "one run" if tested else "not tested"
    holds = "holds" if parts < 2 else "both parts hold" if parts == 2 else f"all {parts} parts hold"
    return f"{holds} in {runs.get('reproduced', 0)} of {tested} runs"


def strip(dots: Sequence[Dot], label: str) -> str:
    """A line with the range where the claim has its value, and a dot for each run: filled where the condition holds."""
    drawn = [dot for dot in dots if dot.part.value is None or not np.isnan(dot.part.value)]
    if not drawn:
        return ""
    values = np.array([float(d.part.holds) if d.part.value is None else d.part.value for d in drawn])
    plain = drawn[0].part.value is None
    low, high = (0.5, None) if plain else (drawn[0].part.low, drawn[0].part.high)
    # a limit that no value can pass is no threshold: shares end at 1
    limits = [limit for limit in (low, high) if limit is not None and not (limit == high == 1.0)]
    finite = values[np.isfinite(values)]
    ends = np.array([*finite, *limits]) if len(finite) or limits else np.zeros(1)
    logarithmic = bool(ends.min() > 0 and ends.max() > 50 * ends.min())

    def scaled(value: float) -> float:
        return float(np.log(value)) if logarithmic else value

    first, last = scaled(ends.min()), scaled(ends.max())
    span = last - first or abs(first) or 1.0
    first, last = first - 0.08 * span, last + 0.08 * span

    def x(value: float) -> float:
        at = scaled(value) if not logarithmic or value > 0 else -np.inf
        return round(MARGIN + float(np.clip((at - first) / (last - first), 0, 1)) * (WIDTH - 2 * MARGIN), 1)

    left = MARGIN if low is None else x(low)
    right = WIDTH - MARGIN if high is None or high == 1.0 else x(high)
    width = max(0.0, round(right - left, 1))
    parts = [
        f'<rect class="tl-range" fill="currentColor" fill-opacity="0.12" x="{left}" y="4" width="{width}" height="22"/>'
    ]
    parts += [f'<path class="tl-limit" stroke="currentColor" d="M{x(limit)} 2V28"/>' for limit in limits]
    parts.append(f"<g {INK}>")
    for dot, value, row in zip(drawn, values, _rows([x(v) for v in values]), strict=True):
        parts.append(_mark(dot, "" if plain else _number(value), x(value), 15 + row))
    parts.append("</g>")
    if plain:
        labels = [(x(0.0), "fails"), (x(1.0), "holds")]
    else:
        labels = [(x(limit), _number(limit)) for limit in limits]
        ends = np.unique([values.min(), values.max()])
        labels += [(x(v), _number(v)) for v in ends if all(abs(x(v) - at) > 34 for at, _ in labels)]
    for at, text in labels:
        anchor = "start" if at < 30 else "end" if at > WIDTH - 30 else "middle"
        bold = ' class="tl-threshold"' if not plain and any(at == x(limit) for limit in limits) else ""
        there = sum(abs(x(v) - at) < 1 for v in values)
        many = f" (×{there})" if there > len(OFFSETS) else ""
        parts.append(f'<text x="{at}" y="40" text-anchor="{anchor}"{bold}>{text}{many}</text>')
    box = f'viewBox="0 0 {WIDTH:g} {HEIGHT:g}" width="100%" style="max-width: 24rem" font-size="11" fill="currentColor"'
    return f'<svg class="tl-strip" {box} role="img" aria-label="{html.escape(label)}">{"".join(parts)}</svg>'


def _mark(dot: Dot, value: str, x: float, y: float) -> str:
    """A mark of the key once more: hollow where the condition does not hold."""
    of = ' class="tl-own"' if dot.kind == "this run" else ""
    said = ", ".join(filter(None, (value, "" if dot.part.holds else "fails")))
    title = f"{dot.name}: {said}" if said else dot.name
    hollow = "" if dot.part.holds else ' fill="none"'
    return (
        f'<use{of} href="#{_name(dot.kind)}" x="{x:.0f}" y="{y:.0f}"{hollow}><title>{html.escape(title)}</title></use>'
    )


def _name(kind: str) -> str:
    return f"tl-{kind.replace(' ', '-')}"


def _rows(places: Sequence[float]) -> list[float]:
    """Offsets that keep dots at the same place apart."""
    taken: list[tuple[float, float]] = []
    found: list[float] = []
    for place in places:
        free = [o for o in OFFSETS if not any(abs(place - p) < 7 and o == q for p, q in taken)]
        found.append(free[0] if free else OFFSETS[len(taken) % len(OFFSETS)])
        taken.append((place, found[-1]))
    return found


def _number(value: float) -> str:
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def ledger(findings: Iterable[Finding], recorded: Mapping[str, Sequence[Outcome]]) -> str:
    """All findings, one box each, with what other runs have found, by claim, and a key to the marks."""
    findings = list(findings)
    kinds = [kind for kind in KINDS if any(o.kind == kind for f in findings for o in recorded.get(f.claim.id, ()))]
    key = "".join(
        f'<span><svg viewBox="-8 -8 16 16" width="16" height="16" aria-hidden="true" {INK}>'
        f'<path id="{_name(kind)}" class="tl-dot" d="{MARKS[kind]}"/></svg>{WORDS[kind]}</span> '
        for kind in ["this run", *kinds]
    )
    said = (
        '<p class="tl-key">One mark a run: filled where the condition holds, which is the shaded range. '
        f"A strip shows the part of a claim that holds least often. {key}</p>"
    )
    boxes = "".join(_box(f, recorded.get(f.claim.id, ()) if f.conditions else ()) for f in findings)
    return f'<div class="tl-ledger">{said if kinds else ""}{boxes}</div>'


def _box(finding: Finding, outcomes: Sequence[Outcome]) -> str:
    claim = finding.claim
    strips = {text: _dots(finding, outcomes, text) for text, _ in finding.conditions}
    worst = min(strips, key=lambda text: sum(d.part.holds for d in strips[text]), default=None)
    where = html.escape(claim.where) + (f"; reported: {html.escape(claim.reported)}" if claim.reported else "")
    flag = " <small>depends on the seed</small>" if finding.depends_on_seed and not outcomes else ""
    count = "" if not outcomes else f" <small>{in_runs(finding)}</small>"
    main = (
        f'{strip(strips[worst], worst)}<small class="tl-part">{html.escape(worst)}</small>'
        if worst and outcomes
        else ""
    )
    others = {text: strip(dots, text) for text, dots in strips.items() if outcomes and text != worst}
    parts = "".join(
        f"<li>{'yes' if condition.holds else 'no'}: {html.escape(text)}{others.get(text, '')}</li>"
        for text, condition in finding.conditions
    )
    failing = [o for o in outcomes if o.verdict != "reproduced"]
    listed = "".join(f"<li>{html.escape(o.name)}: {o.verdict}. {html.escape(o.measured)}</li>" for o in failing)
    runs = (
        f"<details><summary>The runs in which it does not hold ({len(failing)})</summary><ul>{listed}</ul></details>"
        if failing
        else ""
    )
    details = (
        f"<details><summary>What was measured</summary><p>{html.escape(finding.measured)}</p>"
        f"{f'<ul>{parts}</ul>' if parts else ''}{runs}</details>"
    )
    return (
        f'<section class="tl-claim" id="claim-{claim.id}"><p>{html.escape(claim.claim)} <small>{where}</small></p>'
        f"<p>{chip(finding.verdict)}{count}{flag}</p>{main}{details}</section>"
    )


def _dots(finding: Finding, outcomes: Sequence[Outcome], text: str) -> list[Dot]:
    own = dict(finding.conditions)[text]
    finite = [None if np.isinf(limit) else float(limit) for limit in (own.low, own.high)]
    others = [Dot(o.kind, o.name, o.parts[text]) for o in outcomes if text in o.parts]
    return [*others, Dot("this run", "this page", Part(own.holds, own.value, *finite))]


def plain_scoreboard(counts: dict[str, Counter]) -> str:
    return "\n".join(f"{name}: " + ", ".join(f"{n} {v}" for v, n in c.items()) for name, c in counts.items())


def scoreboard(counts: dict[str, Counter], verdicts: Sequence[str]) -> str:
    """A table that scrolls inside its own box where the page is narrow."""
    rows = [
        f'<tr><td><a href="{name}.html#claims-checked">{name.replace("-", " ").capitalize()}</a></td><td>{sum(of.values())}</td>'
        f"<td>{' '.join(chip(v, f'{of[v]} ') for v in verdicts if of[v])}</td></tr>"
        for name, of in counts.items()
    ]
    head = "<tr><th>Chapter</th><th>Claims</th><th>Verdicts</th></tr>"
    table = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="tl-claims" tabindex="0" role="region" aria-label="Scoreboard">{table}</div>'
