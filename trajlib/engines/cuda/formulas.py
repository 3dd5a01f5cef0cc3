"""The formulas of activations, rules and elementary functions as C++: traced, not written again.

Each is Python over + - * / and a few named operations. Called with ``Traced`` numbers it leaves a list of C++ statements, one operation
each, in the order in which Python works them out.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence

from ...models.activations import over
from ..fused import elementary

PREAMBLE = """
#ifdef __CUDACC__
typedef unsigned long long u64;
#define GPU __device__ __forceinline__
#define BITS(x) ((u64)__double_as_longlong(x))
#define FLOAT(b) __longlong_as_double((long long)(b))
GPU double sqrt_(double x) { return __dsqrt_rn(x); }
#else
#include <cmath>
#include <cstddef>
#include <cstring>
typedef unsigned long long u64;
#define GPU static inline
static inline u64 BITS(double x) { u64 b; memcpy(&b, &x, 8); return b; }
static inline double FLOAT(u64 b) { double x; memcpy(&x, &b, 8); return x; }
GPU double sqrt_(double x) { return std::sqrt(x); }
#endif
#define NAN_ FLOAT(0x7ff8000000000000ull)
#define INFINITY_ FLOAT(0x7ff0000000000000ull)
"""
ELEMENTARY = ("exp", "expm1", "log", "sigmoid", "tanh", "ndtr")


class Traced:
    """A number that is known by its name in C++, and notes each operation that it takes part in."""

    def __init__(self, name: str, lines: list[str]):
        self.name, self.lines = name, lines

    def put(self, expression: str) -> Traced:
        """A new number."""
        name = f"t{len(self.lines)}"
        self.lines.append(f"  const double {name} = {expression};")
        return Traced(name, self.lines)

    def __add__(self, other):
        return self.put(f"{self.name} + {literal(other)}")

    def __radd__(self, other):
        return self.put(f"{literal(other)} + {self.name}")

    def __sub__(self, other):
        return self.put(f"{self.name} - {literal(other)}")

    def __rsub__(self, other):
        return self.put(f"{literal(other)} - {self.name}")

    def __mul__(self, other):
        return self.put(f"{self.name} * {literal(other)}")

    def __rmul__(self, other):
        return self.put(f"{literal(other)} * {self.name}")

    def __truediv__(self, other):
        return self.put(f"{self.name} / {literal(other)}")

    def __rtruediv__(self, other):
        return self.put(f"{literal(other)} / {self.name}")


def literal(value: Traced | float) -> str:
    """A number as C++, exactly."""
    return value.name if isinstance(value, Traced) else f"({float(value).hex()})"


def _where_less(a, b, if_true, if_false):
    lines = next(value.lines for value in (a, b, if_true, if_false) if isinstance(value, Traced))
    return Traced("", lines).put(" ".join((literal(a), "<", literal(b), "?", literal(if_true), ":", literal(if_false))))


# what the elementary functions do with bits, see ``lanes``
_BITS: dict[str, Callable] = {
    "where_less": _where_less,
    "power_of_two": lambda s: s.put(f"FLOAT((BITS({s.name}) + 1023ull) << 52)"),
    "times_power_of_two": lambda x, s: x.put(f"FLOAT(BITS({literal(x)}) + (BITS({s.name}) << 52))"),
    "exponent_of": lambda x: x.put(f"FLOAT((BITS({x.name}) >> 52) | 0x4330000000000000ull) - 4503599627370496.0"),
    "significand_of": lambda x: x.put(f"FLOAT((BITS({x.name}) & 0x000FFFFFFFFFFFFFull) | 0x3FF0000000000000ull)"),
    "square_root": lambda x: x.put(f"sqrt_({x.name})"),
}


class _Calls:
    """What the formulas of activations and rules are written over: calls of the elementary functions."""

    where_less = staticmethod(_where_less)
    sqrt = staticmethod(_BITS["square_root"])


for _name in ELEMENTARY:
    setattr(_Calls, _name, staticmethod(lambda x, zero, name=_name: x.put(f"{name}_({x.name})")))


def traced(name: str, formula: Callable, arguments: Sequence[str]) -> str:
    """A C++ function of one value: the formula of some arguments and a zero."""
    lines: list[str] = []
    value = formula(*(Traced(argument, lines) for argument in arguments), Traced("0.0", lines))
    head = ", ".join(f"double {argument}" for argument in arguments)
    return "\n".join([f"GPU double {name}({head}) {{", *lines, f"  return {literal(value)};", "}"])


def elementary_functions() -> str:
    """exp, log and what is made of them, from the text of the fused engine's."""
    names = dict(vars(elementary)) | _BITS
    for name, function in vars(elementary).items():
        if hasattr(function, "py_func") and name not in _BITS:
            names[name] = types.FunctionType(function.py_func.__code__, names, name)
    return "\n".join(traced(f"{name}_", names[name], ["x"]) for name in ELEMENTARY)


def activation_functions(activation) -> str:
    """Value, slope and bend of an entry of the table."""
    return "\n".join(
        traced(f"{name}_of", over(getattr(activation, name), _Calls), ["x"]) for name in ("value", "slope", "bend")
    )


def rule_functions(formulas) -> str:
    """How a weight, and a tangent vector's entry, take the step of a rule."""
    texts = []
    for name, formula, given, changed in (
        ("update", formulas.update, ("w", "g", "a", "b"), ("w", "a", "b")),
        ("update_along", formulas.tangent, ("g", "a", "b", "dw", "dg", "da", "db"), ("dw", "da", "db")),
    ):
        lines: list[str] = []
        numbers = [Traced(f"n[{i}]", lines) for i in range(5)] + [Traced("c1", lines), Traced("c2", lines)]
        arguments = [Traced(x, lines) for x in given]
        found = over(formula, _Calls)(*arguments, Traced("lr", lines), numbers, Traced("0.0", lines))
        head = ", ".join(f"double {'&' if x in changed else ''}{x}" for x in given)
        last = [f"  const double after_{x} = {literal(value)};" for x, value in zip(changed, found, strict=True)]
        put = [f"  {x} = after_{x};" for x in changed]
        texts += [
            f"GPU void {name}({head}, double lr, const double *n, double c1, double c2) {{",
            *lines,
            *last,
            *put,
            "}",
        ]
    return "\n".join(texts)
