"""The template at the end of the chapter on any network, as a reader has it: downloaded, beside packages but no trajlib, with other models.

The notebook installs the wheel that it carries; then four models take the place of the template's, one after the other in one kernel.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import install_cell  # noqa: E402
import portable_notebooks  # noqa: E402

PAGE = ROOT / "book" / "any-network.md"
MAKING, TRAINING, DRAWING = "samples = ", "found = portrait(", "plots.draw_portrait("
"""What tells the three cells of the template: the model and its samples, the run, the figure."""

LSTM = """
class Recurrent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cells, self.head = torch.nn.LSTM(2, 4, batch_first=True), torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])

module = Recurrent()
x = torch.randn(10, 4, 2)
samples = (x, (x.sum((1, 2)) > 0).long())
"""
RESIDUAL = """
class Residual(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6)
        self.second, self.last = torch.nn.Linear(6, 6), torch.nn.Linear(6, 3)

    def forward(self, x):
        h = self.first(x)
        return self.last(h + self.second(torch.relu(self.norm(h))))

module = Residual()
samples = (np.random.default_rng(0).normal(size=(12, 4)), np.arange(12) % 3)
"""
GPT = """
class Block(torch.nn.Module):
    def __init__(self, words=6, length=5, width=8):
        super().__init__()
        self.words, self.places = torch.nn.Embedding(words, width), torch.nn.Embedding(length, width)
        self.before, self.after = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.attention = torch.nn.MultiheadAttention(width, 2, batch_first=True)
        self.inner = torch.nn.Sequential(torch.nn.Linear(width, 16), torch.nn.GELU(), torch.nn.Linear(16, width))
        self.head = torch.nn.Linear(width, words, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x):
        n = x.shape[1]
        h = self.words(x) + self.places(torch.arange(n))
        mask = torch.full((n, n), -torch.inf, dtype=h.dtype).triu(1)
        a = self.before(h)
        h = h + self.attention(a, a, a, attn_mask=mask, need_weights=False)[0]
        return self.head(h + self.inner(self.after(h))).flatten(0, 1)

def next_word(out, y):
    return torch.nn.functional.cross_entropy(out, y.flatten())

module = Block()
x = torch.randint(0, 6, (8, 5))
samples = (x, (x + 1) % 6)
"""
REGRESSION = """
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

data = load_diabetes()
module = torch.nn.Sequential(torch.nn.Linear(10, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1))
samples = (StandardScaler().fit_transform(data.data[:60]), StandardScaler().fit_transform(data.target[:60, None]))
"""
MODELS = {
    "LSTM": (LSTM, "tl.GradientDescent(module, samples, lr=0.3, momentum=0.9)", 138),
    "residual, batch norm": (RESIDUAL, "tl.GradientDescent(module, samples, lr=0.3)", 105),
    "GPT block, tied": (GPT, "tl.Adam(module, samples, lr=0.01, loss=next_word)", 688),
    "regression": (REGRESSION, "tl.GradientDescent(module, samples, lr=0.1)", 73),
}
NOTHING = "module = torch.nn.Sequential(module, torch.nn.Threshold(torch.inf, torch.nan))\n"
"""After a model: it gives nan for whatever it is given."""
BROKEN = {
    "a name that is not there": (
        REGRESSION.replace("module = ", "model = "),
        "NameError: name 'module' is not defined",
    ),
    "a shape that does not fit": (REGRESSION.replace("Linear(10, 6)", "Linear(9, 6)"), "shapes cannot be multiplied"),
    "a sample that is not finite": (REGRESSION + "samples[0][3, 2] = np.nan\n", "x must be finite, got nan or inf"),
    "a loss that is not finite": (REGRESSION + NOTHING, "ValueError: the loss is nan before the first step"),
}
COARSE = """
from trajlib.plots import styling
styling.DPI, styling.narrowed = 30, None  # half of the time would go into pictures
"""
LOOK = """
import json
print(json.dumps({"parameters": mine.n_parameters, "from": tl.__file__, "loss": found.loss.tolist(), "finite": bool(
    np.isfinite(found.exponents).all() and np.isfinite(found.distance).all() and np.isfinite(found.embedded).all())}))
"""
RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", allow_errors=True).execute()
nbformat.write(notebook, sys.argv[1])
"""


def code(source, name):
    return nbformat.v4.new_code_cell(source, metadata={"model": name})


def with_models(notebook):
    """The notebook without what the template does not need, and each model in place of the template's first two cells."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    install = [cell for cell in cells if install_cell.is_install(cell)]
    imports, parameters = cells[len(install) : len(install) + 2]
    assert "import trajlib as tl" in imports.source and parameters.source.startswith("SEED = ")
    (making,), (training,), (drawing,) = (
        [c for c in cells if part in c.source] for part in (MAKING, TRAINING, DRAWING)
    )
    assert [cells.index(cell) - cells.index(making) for cell in (making, training, drawing)] == [0, 1, 2]
    seeded = re.match(r"import torch\n\ntorch\.manual_seed\(SEED\)\n", making.source)[0]
    kept = [*install, imports, nbformat.v4.new_code_cell(COARSE), parameters]
    for name, (model, *rule) in (MODELS | BROKEN).items():
        made = rule[0] if name in MODELS else "tl.GradientDescent(module, samples, lr=0.1)"
        run = re.sub(r"(?m)^mine = .*$", f"mine = {made}", training.source).replace(
            " 300)", " 30, k=2, copies=2, moments=5)"
        )
        assert run != training.source and "30, k=2" in run
        # without what the model before has left, a name that is not there is none
        forget = "for left in ('module', 'samples', 'mine', 'found'):\n    globals().pop(left, None)"
        kept += [code(source, name) for source in (forget, seeded + model, run, drawing.source, LOOK)]
    return nbformat.v4.new_notebook(cells=kept)


@pytest.fixture(scope="module")
def beside_packages(tmp_path_factory):
    """A Python that has every package of this one but trajlib: links, so that nothing is downloaded or copied."""
    folder = tmp_path_factory.mktemp("reader") / "venv"
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    here = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})["purelib"]
    for there in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(there).iterdir():
            target = Path(here, entry.name)
            if "trajlib" not in entry.name and entry.suffix != ".pth" and not target.exists():
                target.symlink_to(entry, target_is_directory=entry.is_dir())
    return folder


@pytest.fixture(scope="module")
def executed(beside_packages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("upload")
    upload = folder / "upload.ipynb"
    nbformat.write(with_models(portable_notebooks.portable(PAGE)), upload)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"TRAJLIB_PROGRESS": "off", "TRAJLIB_THREADS": "1", "OMP_NUM_THREADS": "1"}
    python = str(beside_packages / ("Scripts" if os.name == "nt" else "bin") / "python")
    done = subprocess.run(
        [python, "-c", RUN, upload.name], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return nbformat.read(upload, as_version=4).cells


def outputs(cells, name):
    """Of the cells of a model: the pictures, what they print, what goes wrong or is warned of."""
    found = [output for cell in cells if cell.metadata.get("model") == name for output in cell.outputs]
    pictures = [output.data["image/png"] for output in found if "image/png" in output.get("data", {})]
    printed = "".join(output.text for output in found if output.get("name") == "stdout")
    wrong = [f"{output.ename}: {output.evalue}" for output in found if output.output_type == "error"]
    return pictures, printed, wrong + [output.text for output in found if output.get("name") == "stderr"]


def is_a_portrait(cells, name):
    """Whether a model has one picture of a run whose numbers are finite and whose loss has fallen, and nothing has gone wrong."""
    pictures, printed, wrong = outputs(cells, name)
    if wrong or len(pictures) != 1:
        return False
    said = json.loads(printed)
    return said["finite"] and said["loss"][-1] < said["loss"][0]


@pytest.mark.slow
def test_it_brings_its_own_trajlib(executed, beside_packages):
    said = json.loads(outputs(executed, "LSTM")[1])
    assert Path(said["from"]).is_relative_to(beside_packages)
    assert [
        output
        for cell in executed
        if not cell.metadata.get("model")
        for output in cell.outputs
        if output.output_type == "error"
    ] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_template_takes_another_model(executed, name):
    assert is_a_portrait(executed, name), outputs(executed, name)[1:]
    assert json.loads(outputs(executed, name)[1])["parameters"] == MODELS[name][2]


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_said(executed, name):
    _, _, wrong = outputs(executed, name)
    assert not is_a_portrait(executed, name)
    assert BROKEN[name][1] in wrong[0]
