"""The GitHub workflows: well-formed, with few permissions and a time limit, and they name only what is there."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import contents  # noqa: E402

TEST = ROOT / ".github" / "workflows" / "test.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
# Paths of the project as they occur in a workflow; /project is where the container sees the checkout.
PATHS = re.compile(r"(?:(?<=/project/)|(?<![\w./-]))((?:\.ci|tools)/\w+(?:\.\w+)?|[\w-]+\.(?:md|txt|toml|yml))\b")

OTHERS = {"release": ["pypa/gh-action-pypi-publish@release/v1"]}
"""Actions that are not GitHub's own: PyPI's, without which nothing is published by trust alone."""

each = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def load(path):
    """The workflow; YAML 1.1 reads its key `on` as true."""
    return {
        "on" if key is True else key: value for key, value in yaml.safe_load(path.read_text(encoding="utf-8")).items()
    }


def text_of(job):
    """All that the steps run or hand to an action."""
    return "\n".join(str(v) for step in job["steps"] for v in (step.get("run", ""), *step.get("with", {}).values()))


def test_there_are_workflows():
    assert [path.stem for path in WORKFLOWS] == ["colab", "pages", "platforms", "release", "test"]


@each
def test_says_when_and_with_what_rights(path):
    workflow = load(path)
    assert workflow["on"] and workflow["name"] == path.stem
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]


@each
def test_no_job_is_without_a_time_limit(path):
    for name, job in load(path)["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 180, name


@each
def test_no_job_that_may_write_runs_the_project(path):
    for name, job in load(path)["jobs"].items():
        if "write" in job.get("permissions", {}).values():
            assert not any("checkout" in step.get("uses", "") for step in job["steps"]), name


@each
def test_actions_are_githubs_own_at_a_major_tag(path):
    used = [step["uses"] for job in load(path)["jobs"].values() for step in job["steps"] if "uses" in step]
    others = [action for action in used if not re.fullmatch(r"actions/[\w-]+@v\d+", action)]
    assert used and others == OTHERS.get(path.stem, []), used


@each
def test_make_targets_exist(path):
    for name, job in load(path)["jobs"].items():
        for target in re.findall(r"^\s*make ([\w-]+)", text_of(job), re.MULTILINE):
            assert target in TARGETS, name


@each
def test_paths_exist(path):
    for name in PATHS.findall(path.read_text(encoding="utf-8")):
        assert any((folder / name).is_file() for folder in (ROOT, path.parent)), name


def test_paths_are_found():
    found = {name for path in WORKFLOWS for name in PATHS.findall(path.read_text(encoding="utf-8"))}
    assert {
        ".ci/run",
        ".ci/colab.py",
        ".ci/wheel.py",
        "tools/contents.py",
        "constraints.txt",
        "pyproject.toml",
        "test.yml",
    } <= found


def runs(job):
    """The options of pytest in a job of the workflow test."""
    (options,) = re.findall(r"^make test ARGS='(.*)'$", text_of(load(TEST)["jobs"][job]), re.MULTILINE)
    return options


def test_every_test_is_in_just_one_job():
    """Whatever its marks: a test that executes a chapter, one of the pages, any other."""
    expressions = {
        job: re.search(r"-m (?:\"(.*?)\"|(\w+))", runs(job)).expand(r"\1\2") for job in ("units", "chapter", "pages")
    }
    for marks in (
        {"chapter": True, "pages": False},
        {"chapter": False, "pages": True},
        {"chapter": False, "pages": False},
    ):
        taken = [job for job, expression in expressions.items() if eval(expression, {}, marks)]
        assert len(taken) == 1, (marks, taken)


def test_no_test_is_of_a_chapter_and_of_the_pages(request):
    both = [
        item.nodeid for item in request.session.items if {"chapter", "pages"} <= {m.name for m in item.iter_markers()}
    ]
    assert both == []


def test_every_chapter_has_a_job():
    done = subprocess.run(
        [sys.executable, "-I", ROOT / "tools" / "contents.py"], capture_output=True, text=True, check=True
    )
    names = json.loads(done.stdout)
    assert names == [page.stem for page in contents.chapters()] and done.stdout.count("\n") == 1
    job = load(TEST)["jobs"]["chapter"]
    assert job["strategy"]["matrix"]["chapter"] == "${{ fromJSON(needs.contents.outputs.chapters) }}"
    assert "$(python3 tools/contents.py)" in text_of(load(TEST)["jobs"]["contents"])
    ids = [f"test_printed_numbers_come_out_again[{name}]" for name in names]
    for name in names:
        part = runs("chapter").replace("${{ matrix.chapter }}", name).partition("-k ")[2].strip('"')
        assert [test for test in ids if part in test] == [f"test_printed_numbers_come_out_again[{name}]"]


def test_the_script_leaves_no_test_out():
    """On one machine everything is run, in one go, and what fails makes it fail."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    lint, test = re.findall(r"^make (?:lint|test) .*", script, re.MULTILINE)
    assert lint.startswith("make lint >") and lint.endswith("&  # beside the tests")
    assert re.fullmatch(r'make test ARGS="-n \$workers --durations=\d+" \|\| code=\$\?', test)
    assert script.endswith("wait $lint || { code=$?; cat _build/lint.log; }\nexit $code\n")


def test_pages_are_published_from_where_the_book_is_built():
    steps = load(ROOT / ".github" / "workflows" / "pages.yml")["jobs"]["build"]["steps"]
    (folder,) = (step["with"]["path"] for step in steps if "pages" in step.get("uses", ""))
    assert f"{folder}/index.html" in (ROOT / "README.md").read_text(encoding="utf-8")


RELEASE = ROOT / ".github" / "workflows" / "release.yml"


def test_what_is_published_is_what_was_checked_on_every_machine():
    jobs = load(RELEASE)["jobs"]
    assert jobs["publish"]["needs"] == ["build", "wheel"] and jobs["publish"]["if"] == "github.ref_type == 'tag'"
    assert jobs["publish"]["permissions"] == {"id-token": "write"} and jobs["publish"]["environment"]["name"] == "pypi"
    machines = "|".join(jobs["wheel"]["strategy"]["matrix"]["machine"])
    assert all(kind in machines for kind in ("ubuntu-24.04|", "-arm", "macos", "windows"))
    (kept,) = (s["with"] for s in jobs["build"]["steps"] if s.get("with", {}).get("path") == "dist")
    for job in ("wheel", "publish"):
        taken = [s["with"] for s in jobs[job]["steps"] if "download-artifact" in s.get("uses", "")]
        assert {"name": kept["name"], "path": "dist"} in taken, job
        assert "hatchling" not in text_of(jobs[job]), "built once"


def test_the_wheel_is_checked_without_a_checkout():
    jobs = load(RELEASE)["jobs"]
    assert not any("checkout" in step.get("uses", "") for step in jobs["wheel"]["steps"])
    assert "pip install dist/*.whl\npython -I check/wheel.py " in re.sub(r"\n+", "\n", text_of(jobs["wheel"]))
    assert any(step.get("with", {}).get("path") == ".ci/wheel.py" for step in jobs["build"]["steps"])


def pins(name):
    """Package -> version in a file of constraints."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {
        package: version for package, _, version in (line.partition("==") for line in lines if not line.startswith("#"))
    }


def test_the_weekly_check_is_of_the_floors_and_of_the_newest():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = pins("constraints-lowest.txt")
    floors = dict(dependency.split(">=") for dependency in project["dependencies"])
    assert pinned.keys() == floors.keys()
    for name, floor in floors.items():
        assert [*map(int, floor.split(".")), 0, 0][:3] == [*map(int, pinned[name].split(".")), 0, 0][:3], name
    jobs = load(ROOT / ".github" / "workflows" / "platforms.yml")["jobs"]
    oldest, passed, newest = jobs["wheel"]["strategy"]["matrix"]["versions"]
    assert (
        oldest["python"] == project["requires-python"].removeprefix(">=")
        and "-c check/constraints-lowest.txt" in oldest["options"]
    )
    assert passed["python"] == newest["python"] and "-c check/constraints-newest.txt" in passed["options"]
    assert "-c" not in newest["options"].split()
    for name in re.findall(r"check/(constraints-\w+\.txt)", f"{oldest} {passed}"):
        assert name in text_of(jobs["build"])
    assert (
        jobs["wheel"]["strategy"]["matrix"]["machine"]
        == load(RELEASE)["jobs"]["wheel"]["strategy"]["matrix"]["machine"]
    )


def test_the_newest_are_not_older_than_those_of_the_book():
    newest, book, lowest = (pins(f"constraints{name}.txt") for name in ("-newest", "", "-lowest"))
    assert newest.keys() == lowest.keys() <= book.keys()
    for name, version in newest.items():
        assert Version(version) >= max(Version(book[name]), Version(lowest[name])), name


@pytest.mark.parametrize(
    "tag, section, passes",
    [
        ("v1.2.3", "## 1.2.3 (2027-01-31)", True),
        ("v1.2.4", "## 1.2.3 (2027-01-31)", False),
        ("v1.2.3", "## 1.2.3 (not released yet)", False),
        ("v1.2.3", "## 1.2.30 (2027-01-31)", False),
    ],
)
def test_a_release_is_named_alike_everywhere(tag, section, passes, tmp_path):
    (step,) = (s for s in load(RELEASE)["jobs"]["build"]["steps"] if "tag" in s.get("if", ""))
    (tmp_path / "CHANGELOG.md").write_text(f"# Changes\n\n{section}\n", encoding="utf-8")
    environment = os.environ | {"VERSION": "1.2.3", "GITHUB_REF_NAME": tag}
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == passes and bool(done.stderr) != passes


def test_actionlint_finds_nothing():
    """Its package fetches the binary while it is installed, so it is not among the tests' dependencies."""
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("actionlint is not on the PATH")
    done = subprocess.run([actionlint, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
