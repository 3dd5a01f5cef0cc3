"""The text that is compiled for one kind of training: sizes and switches as macros, the formulas, and the kernels of ``step.cu``."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ...models.activations import ACTIVATIONS
from ...optimisers.rules import RULES
from .. import RESOLVED, WIPED_OUT, Problem
from . import formulas

__all__ = ["WARPS", "source", "workspace"]

WARPS = 4
"""Warps of a block, at most; each has room of its own."""


def _table(name: str, values: Sequence) -> str:
    """A macro that gives entry number i of some constants."""
    text = repr(values[-1])
    for i in range(len(values) - 2, -1, -1):
        text = f"(i) == {i} ? {values[i]!r} : {text}"
    return f"#define {name}(i) ({text})"


def _tile(problem: Problem, tangent: bool) -> int:
    """Doubles of a tile."""
    hidden, last = sum(problem.sizes[1:-1]), problem.sizes[-1]
    rows = 2 * hidden + last + 1 + hidden * ACTIVATIONS[problem.activation].from_input
    if tangent:
        rows += 4 * hidden + last + hidden * ACTIVATIONS[problem.activation].from_input
    return 33 * rows


def workspace(problem: Problem, tangent: bool, shared: int) -> tuple[int, bool, int]:
    """Doubles of room for a warp, whether they fit into a block's ``shared`` bytes of shared memory, and warps of a block."""
    size = problem.n_parameters
    room = 2 * size + _tile(problem, tangent) + (2 * size if tangent else 0)
    warps = shared // (8 * room)
    return room, warps > 0, min(WARPS, warps) or WARPS


@cache
def _kernels() -> str:
    return (Path(__file__).parent / "step.cu").read_text(encoding="utf-8")


def source(problem: Problem, tangent: bool, shared: int) -> str:
    """The whole text for a kind of training; ``tangent``: with room for tangent vectors."""
    sizes, bias, rule = problem.sizes, problem.bias, RULES[problem.rule.name]
    begins = [0, *itertools.accumulate((n + bias) * m for n, m in itertools.pairwise(sizes))]
    places = [0, *itertools.accumulate(sizes[1:-1], initial=0)]
    room, fits, _ = workspace(problem, tangent, shared)
    activation = ACTIVATIONS[problem.activation]
    layered = isinstance(problem.rate, tuple)
    factors = [f"{float(f).hex()}" for f in problem.scale or (1.0,) * (len(sizes) - 1)]
    macros = {
        "LAYERS": len(sizes) - 1,
        "HIDDEN": sum(sizes[1:-1]),
        "LAST": sizes[-1],
        "PARAMETERS": begins[-1],
        "STATE": begins[-1] * (1 + problem.rule.slots),
        "BIAS": int(problem.bias),
        "SCALED": int(problem.scale is not None),
        "OWN": int(problem.own_targets),
        "COST": 0 if problem.loss == "cross_entropy" else 1,
        "FROM_INPUT": int(activation.from_input),
        "SLOTS": rule.slots,
        "LINEAR": int(rule.linear),
        "LAYERED": int(layered),
        "BATCHED": int(problem.batches is not None),
        "CLOCK": 2 + (len(sizes) - 1 if layered else 1),
        "TILE": _tile(problem, tangent),
        "WORK": room,
        "RESOLVED": float(RESOLVED).hex(),
        "WIPED_OUT": float(WIPED_OUT).hex(),
    }
    head = [f"#define {name} {value}" for name, value in macros.items()]
    head += [_table("SIZE", sizes), _table("BEGIN", begins), _table("PLACE", places)]
    head += [_table("FACTOR", [_Text(f) for f in factors])]
    place = "shared_ + (size_t)(threadIdx.x >> 5) * WORK" if fits else "work + (size_t)(me) * WORK"
    head += [
        "#ifdef __CUDACC__",
        "extern __shared__ double shared_[];" if fits else "",
        f"#define WORKSPACE(me) ({place})",
        "#else",
        "#define WORKSPACE(me) (work)",
        "#endif",
    ]
    parts = (
        formulas.PREAMBLE,
        "\n".join(head),
        formulas.elementary_functions(),
        formulas.activation_functions(activation),
        formulas.rule_functions(rule),
        _kernels(),
    )
    return "\n".join(parts)


class _Text(str):
    """A constant as it is to be written."""

    def __repr__(self) -> str:
        return str(self)
