"""The torch engine: batched matrix products on any device. Importing this imports no torch; what is in ``run`` does."""

import importlib


def __getattr__(name: str):
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(importlib.import_module(f"{__name__}.run"), name)
