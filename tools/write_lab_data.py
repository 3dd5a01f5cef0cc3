"""Write the laboratory's data into book/_static/lab: the flowers, the golden digests, the tables behind numpy's normal numbers.

A page opened from a folder cannot load data, so these are scripts. Numbers are written with the digits that give back the same float64.
"""

import json
import textwrap
from pathlib import Path

import numpy as np
from numba.np.random import _constants as numpy_tables
from sklearn.datasets import load_iris

from trajlib.companion import golden as golden_runs
from trajlib.optimisers import Schedule

LAB = Path(__file__).resolve().parent.parent / "book" / "_static" / "lab"
FAST = ("sigmoid", "tanh")
"""The activations of engine.js."""


def array(values) -> str:
    """The values of an array of floats or integers, in lines of 120 columns."""
    text = ", ".join(repr(value).removesuffix(".0") for value in np.ravel(values).tolist())
    return textwrap.fill(text, 120, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def script(name: str, comment: str, entries: dict[str, str], *, worker: bool = True) -> str:
    body = "\n".join(f"  trajlab.{key} = {value};" for key, value in entries.items())
    end = ", true" if worker else ""
    return f"/* {comment}\n   Written by tools/write_lab_data.py. */\ntrajlab.define(function {name}(trajlab) {{\n{body}\n}}{end});\n"


def floats(values) -> str:
    return f"Float64Array.of(\n{array(values)}\n  )"


def iris() -> str:
    """All 150 flowers in the order of scikit-learn's copy; the split is drawn in the page."""
    flowers = load_iris()
    names = ", ".join(f'"{name}"' for name in flowers.target_names)
    comment = (
        "Fisher's Iris: 150 flowers, four features in cm, three species (R. A. Fisher, Annals of Eugenics 7, 1936)."
    )
    entries = {"flowers": floats(flowers.data), "species": f"Uint8Array.of(\n{array(flowers.target)}\n  )"}
    return script("iris", comment, entries | {"speciesNames": f"[{names}]"})


def ziggurat() -> str:
    """numpy's tables of the 256 layers under the normal density, as numba carries them."""
    comment = "Layers of numpy's ziggurat for normal numbers (G. Marsaglia, W. W. Tsang, J. Stat. Softw. 5(8), 2000)."
    layers = {
        name: floats(getattr(numpy_tables, f"{name[0].lower()}i_double")) for name in ("widths", "kernels", "fractions")
    }
    constants = {
        "edge": repr(float(numpy_tables.ziggurat_nor_r)),
        "inverseEdge": repr(float(numpy_tables.ziggurat_nor_inv_r)),
    }
    value = "{\n" + "".join(f"  {key}: {text},\n" for key, text in (layers | constants).items()) + "  }"
    return script("ziggurat", comment, {"ziggurat": value})


def network(gd) -> dict:
    """The options of training.js for a training map of a Perceptron, but for the data."""
    net, batches = gd.network, gd.batches
    return {
        "sizes": net.widths,
        "activation": net.activation,
        "loss": net.loss,
        "bias": bool(net.bias),
        "scale": net.factors,
        "rule": vars(gd.rule),
        "lr": [rate(one) for one in gd.lr] if isinstance(gd.lr, tuple) else rate(gd.lr),
        "batches": batches and {"size": batches.size, "seed": batches.seed, "replacement": batches.replacement},
    }


def rate(lr):
    """A learning rate, a number or a schedule, for optimisers.js."""
    if isinstance(lr, Schedule):
        return {"kind": lr.kind, "arguments": [rate(a) if isinstance(a, Schedule) else a for a in lr.arguments]}
    return float(lr)


def job(run: dict) -> dict:
    """A golden run as the worker is asked for it: of the networks that the labs train, by the labs' own engine."""
    what = {"split": run["split_seed"], "seed": run["init_seed"], "networks": run["networks"], "steps": run["steps"]}
    if "kappa" in run:
        return what | {"kappa": run["kappa"]}
    gd, _ = golden_runs.initial(run)
    net = gd.network
    if gd.problem.plain and net.widths == (4, 10, 3) and net.loss == "cross_entropy" and net.activation in FAST:
        return what | {"descent": {"activation": net.activation, "lr": gd.lr, "decay": gd.weight_decay}}
    return what | {"network": network(gd)}


def golden() -> str:
    """The runs of data/golden.json."""
    runs = [
        {"name": run.name, "job": job(run.run), "initial": run.initial, "final": run.final}
        for run in golden_runs.load()
    ]
    text = textwrap.indent(json.dumps(runs, indent=1), "  ").lstrip()
    comment = "The golden runs, for the worker, and their digests (from data/golden.json)."
    return script("golden", comment, {"golden": text}, worker=False)


FILES = {"iris.js": iris, "golden.js": golden, "ziggurat.js": ziggurat}

if __name__ == "__main__":
    for name, text in FILES.items():
        (LAB / name).write_text(text(), encoding="utf-8")
