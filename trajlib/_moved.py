"""Old addresses of modules: they lead to where the modules live now, so that code written for them keeps working."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys

MODULES = {
    "_records": "engines.records",
    "_shards": "sweeps.shards",
    "claims": "companion.claims",
    "decorrelation": "embedding.clocks",
    "engines.cpu": "engines.fused.cpu",
    "engines.elementary": "engines.fused.elementary",
    "engines.kernel": "engines.fused.kernel",
    "engines.lanes": "engines.fused.lanes",
    "engines.products": "engines.torch.products",
    "engines.triangular": "engines.fused.triangular",
    "golden": "companion.golden",
    "intermittency": "reduction",
    "maps": "dynamics",
    "mnist": "tasks.mnist",
    "networks": "models",
    "roc": "prediction.roc",
    "skewlognormal": "embedding.skewlognormal",
    "spacings": "embedding.spacings",
    "stability.distances": "series.distances",
    "stability.expansion": "series.expansion",
    "stability.orthonormal": "stability.carrier",
    "stability.phases": "series.phases",
    "stability.series": "series.local",
    "stopping": "prediction.stopping",
    "systems": "dynamics.reference",
    "widgets.labs": "companion.labs",
}
_PACKAGE = __name__.rpartition(".")[0]


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers an import of an old address with the module itself, not with a copy."""

    def find_spec(self, fullname, path=None, target=None):
        package, _, name = fullname.partition(".")
        if package != _PACKAGE or name not in MODULES:
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec):
        module = importlib.import_module(f"{_PACKAGE}.{MODULES[spec.name.partition('.')[2]]}")
        spec.loader_state = module.__spec__  # the import system puts the old name in its place
        return module

    def exec_module(self, module):
        module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Make the old addresses importable, once."""
    if not any(
        type(finder).__qualname__ == _Finder.__qualname__ and type(finder).__module__ == __name__
        for finder in sys.meta_path
    ):
        sys.meta_path.append(_Finder())
