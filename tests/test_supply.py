"""What readers get: whose it is, that it runs nothing it should not, asks nobody for anything, and is what was put there."""

import ast
import hashlib
import re
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import install_cell  # noqa: E402
import licences  # noqa: E402
import policy  # noqa: E402

PYTHON = sorted(path for folder in ("trajlib", "tools", ".ci") for path in (ROOT / folder).rglob("*.py"))

# Nothing that a file says is run

LOADERS = {"load", "loads", "Unpickler", "read_pickle", "full_load", "unsafe_load"}
RISKY = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "torch", "yaml", "np", "numpy", "pd"}
COPIES = "pickle.loads(pickle.dumps("
"""A copy of what is in memory already."""


def risks(source):
    """Calls that may run what a file says: objects that are unpickled, `eval` and `exec`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        text = ast.unparse(node)
        options = {option.arg: ast.unparse(option.value) for option in node.keywords}
        if options.get("allow_pickle", "False") != "False" or options.get("weights_only", "True") != "True":
            found.append(text)
        elif isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
            found.append(text)
        elif isinstance(node.func, ast.Attribute) and node.func.attr in LOADERS:
            module = ast.unparse(node.func.value)
            checked = module in ("np", "numpy") or "weights_only" in options  # numpy's default is to refuse objects
            if module in RISKY and not checked and not text.startswith(COPIES):
                found.append(text)
    return found


@pytest.mark.parametrize(
    "line, bad",
    [
        ("pickle.load(file)", True),
        ("pickle.loads(content)", True),
        ("pickle.loads(pickle.dumps(figure))", False),
        ("np.load(path)", False),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("joblib.load(path)", True),
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=True)", False),
        ("torch.load(path, weights_only=False)", True),
        ("yaml.load(text, Loader=yaml.Loader)", True),
        ("yaml.safe_load(text)", False),
        ("json.loads(text)", False),
        ("tl.load(path)", False),
        ("eval(text)", True),
        ("module.eval()", False),
    ],
)
def test_what_is_a_risk(line, bad):
    assert bool(risks(line)) == bad


def test_no_file_is_unpickled_or_run():
    found = {path.relative_to(ROOT).as_posix(): risks(path.read_text(encoding="utf-8")) for path in PYTHON}
    assert len(found) > 100
    assert {name: calls for name, calls in found.items() if calls} == {}


# Licences


def test_the_list_is_as_the_tool_writes_it():
    assert (ROOT / "LICENSES.md").read_text(encoding="utf-8") == licences.table(), (
        "python tools/licences.py > LICENSES.md"
    )


@pytest.mark.parametrize("part", licences.PARTS, ids=lambda part: part.name)
def test_licences_are_those_that_the_packages_name(part):
    """Where the part is the package itself; Bootstrap and Font Awesome are guests in one of another licence."""
    if part.name in ("Bootstrap, with Popper", "Font Awesome Free"):
        shipped = dict(licences.texts(part.package))
        text = shipped["bootstrap.js.LICENSE.txt" if "Bootstrap" in part.name else "fontawesome.js.LICENSE.txt"]
        assert all(one in text for one in re.findall(r"MIT|OFL|CC BY", part.licence.replace("CC-BY", "CC BY")))
        return
    about = metadata.metadata(part.package)
    named = " ".join(
        [about.get("License-Expression") or "", about.get("License") or "", *about.get_all("Classifier", [])]
    )
    assert part.licence.partition("-")[0] in named


def test_a_file_of_somebody_else_is_noticed(tmp_path):
    own, other = ["book/one.html", "_images/a.png", "_static/custom.css", "_static/lab/lab.css"], [
        "_static/jquery.js", "_static/lab/other.js", "_static/vendor/font/x.woff2", "book/x.js", "_static/frame.html",
    ]  # fmt: skip
    for name in (*own, *other, "_static/mathjax/tex-chtml.js", "_static/licences.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert licences.unlisted(tmp_path) == sorted(other)
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        for name in ("trajlib/a/b.py", "trajlib/_data/golden.json", "trajlib/vendored.so", "six.py"):
            wheel.writestr(name, "")
    assert licences.unlisted_in_wheel(tmp_path / "x.whl") == ["trajlib/vendored.so", "six.py"]


def test_texts_of_the_licences_are_brought_along(tmp_path):
    (tmp_path / "_static").mkdir()
    licences.write(tmp_path)
    text = (tmp_path / "_static" / "licences.txt").read_text(encoding="utf-8")
    assert text.startswith(licences.table())
    for words in (
        "Apache License",
        "Redistributions in binary form",
        "Permission is hereby granted",
        "trajlib: LICENSE",
    ):
        assert words in text
    assert all(f"\n{part.package}: " in text for part in licences.PARTS)


def test_the_link_leads_there_from_every_depth():
    page = '<html data-content_root="../"><footer><p>The trajlib authors, 2026. MIT licence.</p></footer>'
    linked = licences.with_link(page)
    assert '<a href="../_static/licences.txt">' in linked and licences.with_link(linked) == linked


@pytest.mark.slow
def test_nothing_shipped_is_missing_from_the_list(html, tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    assert licences.unlisted(html) == []
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    assert licences.unlisted_in_wheel(Path(wheel)) == []


# The policy of the pages


def test_the_policy_comes_before_all_that_it_is_to_hold_for():
    page = '<html>\n  <head>\n    <meta charset="utf-8" />\n <script>1</script></head><body></body></html>'
    once = policy.with_policy(page)
    assert once.index("charset") < once.index("Content-Security-Policy") < once.index("<script>")
    assert policy.with_policy(once) == once
    assert "http" not in policy.POLICY and "*" not in policy.POLICY and "'unsafe-eval'" not in policy.POLICY
    assert policy.ALLOWED["connect-src"] == policy.ALLOWED["default-src"] == "'none'"


@pytest.mark.slow
def test_every_page_has_it(html):
    pages = [page for page in html.rglob("*.html") if "<head>" in page.read_text(encoding="utf-8")]
    assert len(pages) > 10
    for page in pages:
        assert page.read_text(encoding="utf-8").count(policy.META) == 1, page


ASK = """async () => {
  const violated = [], outcome = {};
  document.addEventListener("securitypolicyviolation", (event) => violated.push(event.effectiveDirective));
  outcome.fetch = await fetch("http://example.invalid/").then(() => "answered", () => "refused");
  try { new WebSocket("ws://example.invalid/"); } catch { /* some browsers throw, some only say so */ }
  new Image().src = "http://example.invalid/x.png";
  const script = document.createElement("script");
  script.src = "http://example.invalid/x.js";
  document.head.append(script);
  for (let tries = 0; tries < 300 && (tries < 3 || !inside.worker); tries++) await new Promise((done) => setTimeout(done, 100));
  return { violated: [...new Set(violated)].sort(), ...outcome, ...inside };
}"""
# By the page itself: what a test evaluates is not bound by the policy.
INSIDE = """<script>
  const inside = {};
  try { inside.eval = new Function("return 'ran'")(); } catch { inside.eval = "refused"; }
  const nothing = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
  const source = `new WebAssembly.Module(new Uint8Array([${nothing}])); postMessage("ran")`;
  const worker = new Worker(URL.createObjectURL(new Blob([source])));
  worker.onmessage = (event) => (inside.worker = event.data);
</script>"""


def test_a_page_under_the_policy_can_ask_nobody(browser, tmp_path):
    """The browser itself refuses, before anything is sent; without the policy it would not."""
    asked = []
    for head, refused in ((policy.META, True), ("", False)):
        context = browser.new_context()
        context.route(re.compile("^http"), lambda route: (asked.append(route.request.url), route.abort()))
        page = context.new_page()
        file = tmp_path / "page.html"
        file.write_text(f"<!doctype html><html><head>{head}</head><body>{INSIDE}</body></html>", encoding="utf-8")
        page.goto(file.as_uri())
        found = page.evaluate(ASK)
        context.close()
        assert bool(asked) != refused
        assert found["worker"] == "ran" and found["eval"] == ("refused" if refused else "ran")
        if refused:
            assert {"connect-src", "img-src", "script-src-elem"} <= set(found["violated"])


# The wheel in a notebook


def test_a_notebook_installs_only_the_wheel_that_was_put_there(tmp_path, monkeypatch):
    wheel = tmp_path / "trajlib-0.1.0-py3-none-any.whl"
    wheel.write_bytes(np.random.default_rng(0).bytes(2_000_000))  # two cells
    cells = install_cell.from_wheel(ROOT / "book" / "low-learning-rate.md", wheel)
    assert len(cells) == 2 and hashlib.sha256(wheel.read_bytes()).hexdigest() in cells[-1].source
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    installed = []

    def pip(command, **_):
        installed.append(Path(command[-1].partition("[")[0]).read_bytes())
        raise InterruptedError

    monkeypatch.setattr("subprocess.run", pip)
    space = {}
    with pytest.raises(InterruptedError):
        for cell in cells:
            exec(cell.source, space)
    assert installed == [wheel.read_bytes()]
    text = re.search(r"(?m)^[A-Za-z0-9+/]{100,}$", cells[0].source)[0]
    other = cells[0].source.replace(text, ("B" if text[0] == "A" else "A") + text[1:], 1)
    foreign = cells[0].source.replace(text, "é" + text[1:], 1)
    for first in (other, foreign, "trajlib_wheel = ''"):
        space = {}
        with pytest.raises(RuntimeError, match="download the notebook again"):
            for source in (first, cells[1].source):
                exec(source, space)
    assert len(installed) == 1
