"""Machine code of Numba, compiled once and kept on disk, each piece under what tells it from all others.

Numba's own cache asks whether a function closes over the same values; of compiled functions it asks for a name that is new in every
process, so that a kernel made of others would never be found again. And it numbers its files in an index: of two processes that compile at
the same time both take the next number, and who asks for the code of one may be given that of the other. Here a piece has a file of its
own, named by a digest of all that it depends on.
"""

from __future__ import annotations

import hashlib
import os
import types
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.ccallback import CFunc
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.dispatcher import Dispatcher
from numba.core.options import DefaultOptions
from numba.core.sigutils import normalize_signature
from numba.core.typed_passes import NativeLowering

from ..models import activations
from ..optimisers import rules
from . import RESOLVED, WIPED_OUT, frames_of_ours


@cache
def text_of(folder: str) -> str:
    """What changes with the text of the modules in a folder: code that was compiled from another text must not be served.

    To be called where a module is loaded whose functions call others of their folder, lest it tells of a text that is newer than they are.
    """
    digest = hashlib.sha256()
    for file in sorted(Path(folder).glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


jit: Any = numba.njit
DIGEST = hashlib.sha256().digest_size
MADE_FROM = __file__, activations.__file__, rules.__file__
COMMON = (
    *(RESOLVED, WIPED_OUT, numba.__version__, llvmlite.__version__),
    text_of(os.path.join(os.path.dirname(__file__), "fused")),  # the vectors, of which all kernels are made
    *(hashlib.sha256(Path(str(file)).read_bytes()).hexdigest() for file in MADE_FROM),
)
"""What all pieces depend on."""
PART: dict[str, Any] = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
PART |= {"error_model": "python", "fastmath": False}
"""Options of a part. What it would take over from the function that is the first to call it is told, and is the same for all of them."""
WITHOUT_COUNTS: dict[str, Any] = {"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}
"""Kernels allocate nothing, and counting the references to their views (atomic operations) would take as long as a step of the smallest
maps: Numba's reference counting is switched off, by an option that is Numba's own and may go. The bits are the same without it."""


class Files(IndexDataCacheFile):
    """Numba's files, one for each key, with a digest of what is in it at the end: a damaged one counts as none, and is written again."""

    def __init__(self, folder: str, name: str):
        super().__init__(folder, name, None)
        self._name = name

    def _file(self, key: Any) -> str:
        return f"{self._name}.{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.nbc"

    def _dump(self, obj):
        content = super()._dump(obj)
        return content + hashlib.sha256(content).digest()

    def load(self, key):
        """What was saved under a key, or None."""
        try:
            written = Path(self._data_path(self._file(key))).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(written[:-DIGEST]).digest() != written[-DIGEST:]:
            return None
        return self._load_data(self._file(key))

    def save(self, key, data):
        """Write; who reads at the same time sees all or nothing."""
        self._save_data(self._file(key), data)

    def flush(self):
        """Nothing to throw away."""


@cache
def _told(function: Any) -> str:
    """What tells a function from all others: its lines, the values that it closes over, and the same of the functions among them."""
    function = getattr(function, "py_func", function)
    code, cells = function.__code__, function.__closure__ or ()
    closed = [(name, _plain(cell.cell_contents)) for name, cell in zip(code.co_freevars, cells, strict=True)]
    given = _plain(function.__defaults__), _plain(tuple(sorted((function.__kwdefaults__ or {}).items())))
    operations = getattr(function.__globals__.get("ops"), "__name__", None)  # of formulas, see ``activations.over``
    text = text_of(os.path.dirname(code.co_filename))
    said = text, function.__module__, code.co_qualname, _plain(code), closed, given, operations
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """A value in words that are the same in every process."""
    if value is None or value is ... or isinstance(value, (bool, int, float, complex, str, bytes)):
        return type(value).__name__, repr(value)
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, frozenset):
        return tuple(sorted(map(repr, map(_plain, value))))
    if isinstance(value, slice):
        return "slice", _plain((value.start, value.stop, value.step))
    if isinstance(value, types.CodeType):
        return value.co_code.hex(), value.co_names, value.co_varnames, _plain(value.co_consts)
    if isinstance(value, (types.FunctionType, Dispatcher)):
        return _told(value)
    raise TypeError(f"compiled code can't be told apart by {value!r:.60}, of type {type(value).__name__}")


class Cache(FunctionCache):
    """Numba's cache of one function, compiled with some options, with ``Files``."""

    def __init__(self, function: Callable, options: dict[str, Any]):
        super().__init__(function)
        self._piece = COMMON, _told(function), sorted(options.items())
        self._cache_file: Any = Files(self._impl.locator.get_cache_path(), self._impl.filename_base)

    def _index_key(self, sig, codegen):
        of_numba = [getattr(numba.config, name, None) for name in ("OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT")]
        return sig, codegen.magic_tuple(), of_numba, self._piece


class Quiet(Cache):
    """The same for part of something else: if the part can't be kept, the whole can't either, and that is told."""

    def load_overload(self, sig, target_context):
        with suppress(Exception):
            return super().load_overload(sig, target_context)

    def save_overload(self, sig, data):
        with suppress(Exception):
            super().save_overload(sig, data)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    """Numba's, for code that is never run by itself: it is neither optimised nor translated to machine code, which comes but once, with all
    that it becomes part of."""

    _name = "lowering_of_a_part"

    def run_pass(self, state):
        library = state.library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        library.enable_object_caching()
        library._optimize_final_module = lambda: _set_aside(library)
        return super().run_pass(state)


def _set_aside(library: Any) -> None:
    """Keep a library's code for those that it is linked into, and leave the engine what must have an address: Numba's environments."""
    library._finalize_dynamic_globals()
    whole, library._finalized = library._final_module, True
    library._get_module_for_linking()
    environments = (str(each) for each in whole.global_variables if each.name.startswith("_ZN08NumbaEnv"))
    library._final_module = llvmlite.binding.parse_assembly("\n".join(environments))
    library._final_module.name, library._finalized = whole.name, False


class _Compiler(CompilerBase):
    def define_pipelines(self):
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes[:] = [(_Lowering if kind is NativeLowering else kind, what) for kind, what in passes.passes]
        passes.finalize()
        return [passes]


def _named(function: Any) -> Any:
    """A function under a name of its own: Numba counts them in each process, and two of which one process made each may meet in a third."""
    with suppress(TypeError):
        function.__qualname__ = f"{function.__code__.co_qualname}_{_told(function)[:12]}"
    return function


def part(function: Callable) -> Any:
    """Decorator of a function that becomes part of those that call it, and is compiled once for all of them and for later processes."""
    options = PART | WITHOUT_COUNTS
    dispatcher = jit(pipeline_class=_Compiler, **options)(_named(function))
    with suppress(OSError, RuntimeError, TypeError):  # no folder, or a value that has no words
        dispatcher._cache = Quiet(function, options)
    return dispatcher


def compiled(function: Callable, signature: Any, **options: Any) -> Any:
    """A function compiled for a signature, from the disk where an earlier process left it.

    Parameters
    ----------
    function : callable
        Python's; it may close over numbers, words, tuples and functions.
    signature : tuple of Numba's types, or str
    **options
        Of ``numba.njit``.

    Raises
    ------
    RuntimeError
        If Numba is switched off.

    Warns
    -----
    RuntimeWarning
        If nothing can be kept on disk: each new process will compile it again.
    """

    def make(keep: bool) -> Any:
        dispatcher = jit(**options)(_named(function))
        if keep:
            dispatcher._cache = Cache(function, options)
        dispatcher.compile(signature)
        return dispatcher

    return _kept_or_not(make)


def by_address(functions: dict[Callable, Any], **options: Any) -> tuple:
    """Functions and their signatures, compiled as :func:`compiled` does, to be called by their addresses."""

    def make(keep: bool) -> tuple:
        made = []
        for function, signature in functions.items():
            pointer: Any = CFunc(_named(function), normalize_signature(signature), locals={}, options=options)
            if keep:
                pointer._cache = Cache(function, options)
            pointer.compile()
            made.append(pointer)
        return tuple(made)

    return _kept_or_not(make)


def _kept_or_not(make: Callable[[bool], Any]) -> Any:
    """What ``make`` compiles, with the disk where that works; where not, the user is warned."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        raise RuntimeError(
            "the environment variable NUMBA_DISABLE_JIT is set, and this part of trajlib is machine code only: unset it "
            "(engine='torch' and engine='generic' do without)"
        )
    try:
        return make(True)
    except numba.core.errors.NumbaError:
        raise
    except Exception as error:  # no place for a cache, or a full disk
        reason = error
    made = make(False)  # a fault of the code itself, and not of the cache, comes up here again
    warnings.warn(
        f"compiled code cannot be cached on disk ({reason}); every new process will compile it again, a few seconds each time. "
        "Set the environment variable NUMBA_CACHE_DIR to a folder that can be written to",
        RuntimeWarning,
        stacklevel=frames_of_ours(),
    )
    return made
