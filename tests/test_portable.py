"""The notebooks that readers download: each brings trajlib along, and runs from an empty folder beside Colab's older packages.

The last test runs one chapter; with TRAJLIB_PORTABLE=all it runs them all (about a quarter of an hour on two cores).
"""

import base64
import fnmatch
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.machinery import ModuleSpec
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup

import trajlib
from trajlib.companion import claims

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
sys.path.insert(0, str(ROOT / "tools"))
import contents  # noqa: E402
import execute_notebooks  # noqa: E402
import install_cell  # noqa: E402
import portable_notebooks  # noqa: E402
import reseed  # noqa: E402

PAGES = portable_notebooks.pages()
FINDINGS = {path.stem for path in (ROOT / "data" / "findings").glob("*.npz")}
CHAPTERS = {claim.chapter for claim in claims.load()}
each = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pytest.fixture(scope="module")
def portable():
    return {page.stem: portable_notebooks.portable(page) for page in PAGES}


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def installing(notebook):
    return [cell for cell in notebook.cells if install_cell.is_install(cell)]


def test_every_chapter_has_one():
    assert CHAPTERS <= {page.stem for page in PAGES}


@each
def test_front_matter_tells_what_the_code_asks_for(page):
    text = "\n".join(cell.source for cell in code(execute_notebooks.from_source(page)))
    assert contents.needs(page).mnist == ("bundled_sweep" in text)
    assert contents.needs(page).torch or not re.search(r"engine=.torch|import torch", text)
    assert contents.needs(page).frames == bool(re.search(r"import pandas|to_frame", text))


@pytest.mark.parametrize("told", ["{tourch: true}", "{torch: 1}", "{labs: hero-lab}", "[torch]"])
def test_front_matter_that_is_not_understood(told, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"---\nkernelspec: {{}}\ntrajlib: {told}\n---\n# Title\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md: trajlib in the front matter must be a mapping"):
        contents.needs(page)


@each
def test_first_cell_brings_the_wheel_of_this_checkout(page, portable, tmp_path):
    cells = installing(portable[page.stem])
    assert cells == code(portable[page.stem])[: len(cells)] and cells[0].source.startswith("#@title ")
    text = "".join(re.search(r"'''\n(.*)'''", cell.source, re.DOTALL)[1] for cell in cells)
    wheel = portable_notebooks.build_wheel(tmp_path, page)
    named = {name.removeprefix("trajlib/_data/") for name in zipfile.ZipFile(wheel).namelist() if "/_data/" in name}
    page_text = page.read_text(encoding="utf-8")
    assert any(name.startswith("mnist/") for name in named) == ("bundled_sweep" in page_text)
    begun = {begin for begin in re.findall(r'f"([a-z_]+)\{', page_text) if begin != "_"}
    patterns = re.findall(r'load_all\("([^"]+)"\)', page_text)
    findings = {
        name
        for name in FINDINGS
        if f'"{name}"' in page_text or name.startswith(tuple(begun)) or any(fnmatch.fnmatch(name, p) for p in patterns)
    }
    assert {name for name in named if name.startswith("findings/")} == {
        f"findings/{f}.{end}" for f in findings for end in ("json", "npz")
    }
    assert {name for name in named if name.startswith("robustness/")} <= {f"robustness/{page.stem}.json"}
    assert (
        hashlib.sha256(lzma.decompress(base64.b64decode(text))).digest() == hashlib.sha256(wheel.read_bytes()).digest()
    )


@each
def test_nothing_but_markdown_and_the_chapter_is_left(page, portable):
    notebook, committed = portable[page.stem], execute_notebooks.committed(page)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert not portable_notebooks.FOREIGN.search(cell.source), cell.source
    for output in (output for cell in code(committed) for output in cell.outputs):
        output.get("metadata", {}).get("image/png", {}).pop("narrow", None)  # the same figure, for a phone
    assert [cell for cell in code(notebook) if not install_cell.is_install(cell)] == code(committed)
    seeds = [line for cell in code(notebook) for line in cell.source.split("\n") if re.match(r"SEED = 0\b", line)]
    assert len(seeds) == (page.stem in CHAPTERS)


@each
def test_size(page, portable):
    size = len(nbformat.writes(portable[page.stem]).encode())
    assert size < (12e6 if contents.needs(page).mnist else 3e6)
    # jupyter_server hands messages of up to 10 MiB to a kernel.
    assert all(len(cell.source) < 2.1e6 for cell in installing(portable[page.stem]))


@each
def test_install_cell_is_silent_where_trajlib_is(page, portable, capfd):
    cells = installing(portable[page.stem]) + installing(nbformat.read(page.with_suffix(".ipynb"), as_version=4))
    cells.append(install_cell.from_repository(page, ("https://github.com/OWNER/NAME", "main")))
    space = {}
    for cell in cells:
        exec(cell.source, space)
    assert "".join(capfd.readouterr()) == "" and "done" not in space


@pytest.mark.parametrize("found", [None, ModuleSpec("trajlib", None)], ids=["nothing", "a folder of that name"])
def test_install_cell_says_why_it_failed(portable, monkeypatch, found):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr="ERROR: no network")
    asked = []
    monkeypatch.setattr("subprocess.run", lambda command, **_: asked.append(command) or failed)
    (carried,) = installing(portable["low-learning-rate"])
    linked = install_cell.from_repository(BOOK / "scalar-embedding.md", ("https://github.com/OWNER/NAME", "main"))
    for cell in (carried, linked):
        with pytest.raises(RuntimeError, match="could not be installed:\nERROR: no network"):
            exec(cell.source, {})
    assert asked[0][-1].endswith("-py3-none-any.whl[widgets]")
    assert asked[1][-1] == "trajlib[widgets,torch] @ https://github.com/OWNER/NAME/archive/refs/heads/main.zip"
    with pytest.raises(ModuleNotFoundError, match="download the notebook"):
        exec(install_cell.from_repository(BOOK / "low-learning-rate.md", None).source, {})


def test_committed_notebooks_have_to_follow_the_config(monkeypatch):
    monkeypatch.setattr(install_cell, "repository", lambda: ("https://github.com/OWNER/NAME", "main"))
    page = BOOK / "low-learning-rate.md"
    (difference,) = execute_notebooks.drifted(page)
    assert "--install-cells" in difference
    assert "@ https://github.com/OWNER/NAME/archive/" in execute_notebooks.installing(
        page, execute_notebooks.committed(page)
    )


def test_markdown():
    page = BOOK / "low-learning-rate.md"
    directive = "```{admonition} Title\n:class: note\nOne.\n\nTwo {cite:p}`Benettin1980`.\n```\nThree"
    cited = "([Benettin et al., 1980](https://doi.org/10.1007/BF02128236))"
    assert portable_notebooks.plain(directive, page) == f"> **Title**\n>\n> One.\n>\n> Two {cited}.\nThree"
    cited = "[Nishiyama and Imaizumi (2026)](https://arxiv.org/abs/2510.01930)"
    assert portable_notebooks.plain("{cite:t}`Nishiyama2026`", page) == cited
    assert (
        portable_notebooks.plain("see [chapter 1](low-learning-rate), [a](https://b)", page)
        == "see chapter 1, [a](https://b)"
    )
    assert portable_notebooks.plain('<golden-check a="b">\nOnly\nthere.\n</golden-check>', page) == "*Only\nthere.*"
    text = "{term}`maps <map>` {term}`basin`\n\n$$\nx = 1\n$$ (eq-effective)\n\nby {eq}`eq-effective`, {numref}`fig-low-iris`"
    plain = "maps basin\n\n$$\nx = 1\\tag{6.2}\n$$\n\nby (6.2), Figure 1.1"
    assert portable_notebooks.plain(text, page) == plain
    assert portable_notebooks.plain("```python\nx = {y}\n```", page) == "```python\nx = {y}\n```"
    for foreign in (
        "```{figure} x.png\n```",
        ":::{tip}\n:::",
        "{doc}`intro`",
        "(label)=\n# Title",
        "<some-lab>\n</some-thing>",
    ):
        with pytest.raises(SystemExit, match=r"low-learning-rate\.md.*without MyST"):
            portable_notebooks.plain(foreign, page)


def test_a_chapter_that_has_drifted_is_offered_without_outputs(monkeypatch):
    monkeypatch.setattr(execute_notebooks, "drifted", lambda page: ["something"])
    assert not any(cell.outputs for cell in code(portable_notebooks.portable(PAGES[0])))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Two pages, built with the lines of _config.yml that are to be set after publishing."""
    folder = tmp_path_factory.mktemp("published")
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    config = re.sub(r"(?m)^# (repository|launch_buttons):", r"\1:", config)
    (folder / "_config.yml").write_text(
        config.replace("execute_notebooks: cache", 'execute_notebooks: "off"'), encoding="utf-8"
    )
    toc = "{format: jb-book, root: book/low-learning-rate, chapters: [{file: book/benchmarks}, {file: book/bibliography}]}"
    (folder / "_toc.yml").write_text(toc, encoding="utf-8")
    (folder / "tools").symlink_to(ROOT / "tools")
    (folder / "book").mkdir()
    for name in (
        "low-learning-rate.md",
        "low-learning-rate.ipynb",
        "benchmarks.md",
        "bibliography.md",
        "references.bib",
        "_static",
    ):
        (folder / "book" / name).symlink_to(ROOT / "book" / name)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder / "_build" / "html" / "book"


def links(page):
    parsed = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    return [link["href"] for link in parsed.select("a.btn") if link.has_attr("href")]


@pytest.mark.slow
def test_colab_button_once_the_repository_is_set(published):
    named = yaml.safe_load((published.parents[2] / "_config.yml").read_text(encoding="utf-8"))["repository"]
    where = f"{named['url'].removeprefix('https://github.com/')}/blob/{named['branch']}/book/low-learning-rate.ipynb"
    found = [link for link in links(published / "low-learning-rate.html") if "colab" in link]
    assert found == ["https://colab.research.google.com/github/" + where]
    # What needs files of the project would not run there.
    assert not [link for link in links(published / "benchmarks.html") if "colab" in link or link.endswith(".ipynb")]


@pytest.mark.slow
def test_download_button_is_not_the_themes_own(published, portable):
    (link,) = [
        link for link in links(published / "low-learning-rate.html") if link.endswith(".ipynb") and ":" not in link
    ]
    assert nbformat.read(published / link, as_version=4) == portable["low-learning-rate"]


def python(folder):
    return str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")


def installed(folder):
    listed = subprocess.run(
        [python(folder), "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    )
    return set(listed.stdout.split())


ALL = os.environ.get("TRAJLIB_PORTABLE") == "all"
# Those that need PyTorch last: the others have to do without it.
RUNS = sorted(PAGES, key=lambda page: contents.needs(page).torch) if ALL else [BOOK / "low-learning-rate.md"]
OLDER = ["numpy==2.1.*", "matplotlib==3.10.*", "ipywidgets==7.7.1"]  # as on Colab
# PyTorch in the version of the constraints: another one may bring gigabytes.
TORCH = re.findall(r"(?m)^torch==\S+", (ROOT / "constraints.txt").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """An environment with Colab's older versions, and nothing of this project."""
    folder = tmp_path_factory.mktemp("colab") / "venv"
    venv.create(folder, with_pip=True)
    done = pip(folder, "install", "--no-compile", *OLDER, "nbclient", "ipykernel")
    if done.returncode and not os.environ.get("CI"):
        pytest.skip("no package index can be reached that has Colab's versions: " + done.stderr[-400:])
    assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder, ignore_errors=True)  # half a gigabyte, which pytest would keep for a while


def pip(folder, *arguments):
    return subprocess.run(
        [python(folder), "-m", "pip", *arguments, "--quiet"], capture_output=True, text=True, check=False
    )


RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=1200, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNS, ids=lambda page: page.stem)
def test_runs_from_an_upload_alone_with_another_seed(page, portable, colab, tmp_path):
    pip(colab, "uninstall", "--yes", "trajlib")
    if contents.needs(page).torch:
        assert pip(colab, "install", *TORCH).returncode == 0
    before = installed(colab)
    assert {"ipywidgets==7.7.1"} <= before and any(name.startswith("numpy==2.1.") for name in before)
    text, replaced = re.subn(r'"SEED = 0\b', '"SEED = 1', nbformat.writes(portable[page.stem]))
    assert replaced == (page.stem in CHAPTERS)
    text = re.sub(
        r'"NETWORKS = \d+', '"NETWORKS = 60', text
    )  # what the chapter finds with all of them, test_notebooks asks
    upload = tmp_path / "upload.ipynb"
    upload.write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["TRAJLIB_PROGRESS"] = "off"
    if not ALL:  # a minute of drawing what nobody looks at; where all pages are run, they are drawn with these versions
        environment["TRAJLIB_PICTURES"] = "off"
    command = [python(colab), "-c", RUN, upload.name]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    assert before <= installed(colab), "the notebook changed packages that were there"

    executed = nbformat.read(upload, as_version=4)
    *silent, last = installing(executed)
    assert not any(cell.outputs for cell in silent)
    assert [output["text"] for output in last.outputs] == [
        f"Installed trajlib {trajlib.__version__}, which this notebook brings along.\n"
    ]
    errors = [output["text"] for cell in code(executed) for output in cell.outputs if output.get("name") == "stderr"]
    assert errors == []
    if page.stem in CHAPTERS:
        assert reseed.verdicts(upload).keys() == {claim.id for claim in claims.load(page.stem)}
