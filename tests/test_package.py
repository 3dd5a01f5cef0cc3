"""The package as a whole: quick import, few dependencies at import, runnable docstrings, disk cache."""

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml

import trajlib

ROOT = Path(__file__).parents[1]


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )


def modules():
    found = [trajlib.__name__]
    found += [m.name for m in pkgutil.walk_packages(trajlib.__path__, "trajlib.")]
    return found


def test_one_version():
    """The package has it, the build reads it there, and what repeats it says the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "trajlib/__init__.py"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == trajlib.__version__
    newest = re.search(r"(?m)^## (\S+) \((.*)\)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert newest[1] == trajlib.__version__ and re.fullmatch(r"not released yet|\d{4}-\d\d-\d\d", newest[2])
    assert re.fullmatch(r"\d+\.\d+\.\d+", trajlib.__version__)


def test_import_pulls_in_nothing_heavy():
    done = python(
        "import sys, trajlib; print([m for m in ('torch','numba','matplotlib','ipywidgets','sklearn') if m in sys.modules])"
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name):
    needs = (".engines.torch.", "dynamics.module", "dynamics.perceptron_module", "dynamics.samples", "dynamics.trial")
    pytest.importorskip("torch") if any(part in name for part in needs) else None
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, extraglobs={"np": np})
    assert failed == 0


@pytest.mark.parametrize("name", trajlib.__all__)
def test_public_names_are_documented(name):
    thing = getattr(trajlib, name)
    assert len(thing.__doc__ or "") > 40


def test_cache_does_not_serve_code_of_another_version(tmp_path):
    """The text of the engine is part of the key: a change in a function that becomes part of the kernel is noticed."""
    code = (
        "import trajlib as tl; from trajlib.engines import cpu, machine_code\n"
        "machine_code.COMMON = '{version}'\n"
        "gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris()); gd.loss(gd.network.init(1, seed=0))\n"
        "(kernel,) = cpu._kernels.values(); print(sum(kernel.stats.cache_hits.values()))"
    )
    runs = [python(code.format(version=v), NUMBA_CACHE_DIR=str(tmp_path)).stdout.strip() for v in (1, 2, 2)]
    assert runs == ["0", "0", "1"]
