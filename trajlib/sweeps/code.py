"""What code a sweep's function consists of, as digests: to notice that it is no longer what made the stored cells.

A function's part is its syntax tree, without comments, layout and docstrings. With it belong what it closes over, its defaults and the
global names that it uses: functions and classes of its own module, package or folder (read in turn), and plain values. The file on disk
is believed only if it compiles to the very code that runs: a module edited after its import is unknown, not changed.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import inspect
import linecache
import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from .. import _validate

__all__ = ["changes", "digests", "name_of"]

GENERATED = "<string>", "<attrs generated"
"""Files of methods that ``dataclass`` and its like write: they have no source, and follow from the fields."""
Functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def name_of(run) -> str:
    """Where a function is defined: the same whether its module is imported or is the script that runs."""
    if not callable(run) or (hasattr(run, "func") and not hasattr(run, "__qualname__")):
        raise TypeError(
            f"run must be a function (not a partial one: give fixed={{...}}, which is recorded), got {_validate.shown(run)}"
        )
    kind = run if hasattr(run, "__qualname__") else type(run)
    return f"{_imported(str(kind.__module__))}.{kind.__qualname__}"


def digests(run: Callable) -> dict[str, str | None]:
    """A digest for each part of the code of ``run``, by name; None where its source cannot be read."""
    reader = _Reader(run)
    reader.value(name_of(run), run)
    if not reader.parts:  # written in C
        return {name_of(run): None}
    return {
        name: None if None in parts else hashlib.sha256("\n".join(sorted(map(str, parts))).encode()).hexdigest()[:16]
        for name, parts in sorted(reader.parts.items())
    }


def changes(old: dict[str, str | None], new: dict[str, str | None]) -> tuple[list[str], list[str]]:
    """Names of the parts that differ, and of those that nobody can compare because one side is unknown."""
    unknown = [name for name, digest in new.items() if digest is None or old.get(name, "") is None]
    return [name for name in sorted({*old, *new} - {*unknown}) if old.get(name) != new.get(name)], unknown


class _Reader:
    """Follows a function to all that it is made of."""

    def __init__(self, run):
        self.parts: dict[str, list[str | None]] = {}
        self.seen: dict[int, object] = {}  # kept, so that no other object gets the same id
        self.package = _imported((run if hasattr(run, "__qualname__") else type(run)).__module__).partition(".")[0]
        function = _function(run) or vars(type(run)).get("__call__")
        file = Path(getattr(getattr(function, "__code__", None), "co_filename", ""))
        self.folder = file.parent if file.is_file() and "site-packages" not in file.parts else None

    def own(self, module: str | None) -> bool:
        """Whether the user wrote it: the module or package of the function, or a module beside it."""
        if module is None or _imported(module).partition(".")[0] == self.package:
            return module is not None
        file = getattr(sys.modules.get(module), "__file__", None)
        return file is not None and self.folder is not None and Path(file).parent == self.folder

    def add(self, label: str, part: str | None) -> None:
        self.parts.setdefault(label, []).append(part)

    def value(self, label: str, value, used: frozenset[str] = frozenset(), home=None) -> None:
        """One thing that the code uses, under the name by which it does so; ``home`` is the module that binds this name."""
        plain = _plain(value)
        if plain is not None and not (home and isinstance(value, str) and os.path.isabs(value)):  # a project may move
            return self.add(label, plain)
        if id(value) in self.seen:
            return None
        self.seen[id(value)] = value
        function = _function(value)
        if function is not None:
            return self.function(function)
        if isinstance(value, type):
            return self.kind(value) if self.own(value.__module__) else None
        if isinstance(value, functools.partial):
            for part in (value.func, value.args, *value.keywords.values()):
                self.value(label, part)
        elif isinstance(value, types.MethodType):
            self.value(label, value.__func__)
            self.value(label, value.__self__)
        elif isinstance(value, types.ModuleType):
            for name in sorted(used & vars(value).keys()) if self.own(value.__name__) else ():
                self.value(f"{_imported(value.__name__)}.{name}", vars(value)[name], used, value)
        elif self.own(type(value).__module__):
            self.kind(type(value))
            for name, held in sorted(getattr(value, "__dict__", {}).items()):
                self.value(f"{label}.{name}", held)
        elif home is not None:  # what may change while it runs, a dict or an array, counts as it was written down
            bound = _bindings(home, label.rpartition(".")[2])
            if bound:
                self.add(label, bound)
        return None

    def function(self, function: types.FunctionType) -> None:
        label, module = (
            name_of(function),
            function.__globals__.get("__name__"),
        )  # where it is written, whatever it says of itself
        if not self.own(module):
            if hasattr(function, "__wrapped__"):  # a library's decorator around one's own
                self.value(label, function.__wrapped__)
            return
        nodes = _nodes(function.__code__, function.__globals__)
        self.add(label, " ".join(map(_text, nodes)) if nodes else None)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.value(label, default)
        declared = {name for node in nodes for name in _declared(node)}  # it counts with these: they change as it runs
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # not assigned yet
                if name not in declared:
                    self.value(f"{label}: {name}", cell.cell_contents)
        used = frozenset(_names(function.__code__)) - declared
        home = sys.modules.get(str(module))
        for name in sorted(used & function.__globals__.keys()):
            if not name.startswith("__"):
                self.value(f"{_imported(str(module))}.{name}", function.__globals__[name], used, home)

    def kind(self, kind: type) -> None:
        label = name_of(kind)
        for name, value in sorted(vars(kind).items()):
            if isinstance(value, property):
                for accessor in filter(None, (value.fget, value.fset)):
                    self.value(label, accessor)
            elif isinstance(value, staticmethod | classmethod | functools.cached_property):
                self.value(label, getattr(value, "__func__", None) or getattr(value, "func", None))
            elif (method := _function(value)) is not None:
                if not inspect.unwrap(method).__code__.co_filename.startswith(GENERATED):
                    self.value(label, value)
            elif not name.startswith("__") and _plain(value) is not None:
                self.value(f"{label}.{name}", value)
        for base in kind.__bases__:
            self.value(label, base)


def _function(value) -> types.FunctionType | None:
    """The Python function in it: itself, what a wrapper written in C holds, or what Numba compiled."""
    while not isinstance(value, types.FunctionType):
        inner = getattr(value, "py_func", None) or getattr(value, "__wrapped__", None)
        if not callable(inner) or isinstance(value, type | types.ModuleType) or inner is value:
            return None
        value = inner
    return value


def _imported(name: str) -> str:
    """Name of a module; the script that runs has the one that importing it would give."""
    module = sys.modules.get(name)
    if name == "__main__" and module is not None:
        spec, path = (getattr(module, each, None) for each in ("__spec__", "__file__"))
        return spec.name if spec else Path(path).stem if path else name
    return name


def _plain(value) -> str | None:
    """A value that stays as it is, as text; None for all else."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, np.generic):
        return f"{value.dtype} {value.tobytes().hex()}"
    if isinstance(value, np.ndarray) and not value.flags.writeable and not value.dtype.hasobject:
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, tuple | frozenset):
        parts = [_plain(entry) for entry in value]
        if None in parts:
            return None
        return f"{type(value).__name__} {sorted(parts) if isinstance(value, frozenset) else parts}"  # type: ignore[type-var]
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and type(value).__dataclass_params__.frozen:  # type: ignore[attr-defined]
        parts = [_plain(getattr(value, f.name)) for f in dataclasses.fields(value)]
        return f"{type(value).__qualname__} {parts}"  # fields that cannot be compared are None on both sides
    return None


def _declared(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Global | ast.Nonlocal):
            yield from part.names


def _names(code: types.CodeType) -> Iterator[str]:
    """Global names and attributes in a function and in those inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


@functools.lru_cache(maxsize=64)
def _parsed(file: str, source: str) -> tuple[ast.Module, tuple[types.CodeType, ...]]:
    """The syntax tree of a file, and the code of all functions in it."""
    tree = ast.parse(source)

    def inside(code: types.CodeType) -> Iterator[types.CodeType]:
        yield code
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                yield from inside(constant)

    return tree, tuple(inside(compile(source, file, "exec", dont_inherit=True)))


def _source(file: str, names: dict) -> tuple[ast.Module, tuple[types.CodeType, ...]] | None:
    linecache.checkcache(file)
    source = "".join(linecache.getlines(file, names))
    try:
        return _parsed(file, source) if source else None
    except (SyntaxError, ValueError, RecursionError):  # a magic of a notebook, or a file that is being edited
        return None


def _nodes(code: types.CodeType, names: dict) -> list[ast.AST]:
    """The syntax trees that a function's code comes from: one, or all lambdas of a line; none where the source is not what runs."""
    read = _source(code.co_filename, names)
    here = code.co_qualname, code.co_firstlineno
    if read is None or not any((c.co_qualname, c.co_firstlineno, c.co_code) == (*here, code.co_code) for c in read[1]):
        return []
    found: list[ast.AST] = []
    for node in ast.walk(read[0]):
        if isinstance(node, Functions):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            if (getattr(node, "name", "<lambda>"), first) == (code.co_name, code.co_firstlineno):
                found.append(node)
    return found


def _bindings(module: types.ModuleType, name: str) -> str:
    """The statements of a module that give a global name its value, as text; "" where there are none to be read."""
    read = _source(getattr(module, "__file__", None) or "", vars(module))
    kinds = (ast.Assign, ast.AnnAssign, ast.AugAssign)
    found = [node for node in (read[0].body if read else ()) if isinstance(node, kinds)]
    return " ".join(
        _text(node)
        for node in found
        for target in getattr(node, "targets", None) or [node.target]  # type: ignore[union-attr]
        if any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(target))
    )


def _text(node) -> str:
    """A syntax tree as text without places and docstrings, the same in all versions of Python: what is empty is left out."""
    if isinstance(node, list):
        return f"[{' '.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    body = fields.get("body")
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
        fields["body"] = body[1:]  # type: ignore[index]
    left = ((name, value) for name, value in fields.items() if name not in ("ctx", "kind", "type_comment"))
    return f"({type(node).__name__} {' '.join(f'{name}={_text(value)}' for name, value in left if value not in (None, []))})"
