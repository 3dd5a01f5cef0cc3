"""What `make book` says and does, with made-up chapters: who is executed, what a failure looks like, which lines of the build are shown."""

import io
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import build_book  # noqa: E402
import execute_notebooks  # noqa: E402

PAGE = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# {name}

```{{code-cell}} ipython3
{code}
```
"""


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A cache of its own, and three chapters, the second the longest."""
    jupyter_cache = pytest.importorskip("jupyter_cache")
    pages = []
    for name, code in (("one", "1"), ("two", "2\n" + "# and more" * 200), ("three", "3")):
        pages.append(tmp_path / f"{name}.md")
        pages[-1].write_text(PAGE.format(name=name, code=code), encoding="utf-8")
    monkeypatch.setattr(build_book, "chapters", lambda: pages)
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    monkeypatch.setattr(build_book, "TOOK", tmp_path / "seconds.json")
    monkeypatch.setattr(build_book, "LOG", tmp_path / "book.log")
    return jupyter_cache.get_cache(tmp_path / "cache")


def test_chapters_without_outputs_are_executed_side_by_side_and_once(store, monkeypatch, capsys):
    meeting = threading.Barrier(2, timeout=60)
    monkeypatch.setattr(build_book.os, "cpu_count", lambda: 2)

    def execute(page, stderr):
        if page.stem != "three":
            meeting.wait()  # never comes back unless two are at work
        return execute_notebooks.from_source(page)

    monkeypatch.setattr(execute_notebooks, "execute", execute)
    todo = build_book.missing(store)
    assert todo[0].stem == "two" and len(todo) == 3
    assert build_book.execute(todo, store) == []
    said = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in said) == ["one", "three", "two"] and all(
        line.endswith(" s") for line in said
    )
    assert build_book.missing(store) == []
    page = build_book.chapters()[0]
    page.write_text(page.read_text(encoding="utf-8").replace("\n1\n", "\n10\n"), encoding="utf-8")
    assert build_book.missing(store) == [page]


def test_a_chapter_that_fails_is_named_with_its_cell_and_its_traceback(store, capsys):
    page = build_book.chapters()[0]
    page.write_text(page.read_text(encoding="utf-8").replace("\n1\n", "\nnumber = 0\n1 / number\n"), encoding="utf-8")
    (wrong,) = build_book.execute([page], store)
    assert wrong.startswith("one.md:") and "1 / number" in wrong and "ZeroDivisionError" in wrong
    assert capsys.readouterr().out.split() == ["one", "FAILED"] and page in build_book.missing(store)


def test_of_the_build_complaints_are_shown_and_the_rest_is_kept(monkeypatch, capsys):
    program = "\n".join(
        f"print({line!r})"
        for line in (
            "reading sources... [ 50%] book/one",
            "\x1b[91m/book/one.md:3: WARNING: undefined label: 'here'\x1b[39m",
            "  of the page one",
            "[IPKernelApp] WARNING | Kernel is running over TCP without encryption.",
            "Traceback (most recent call last):",
            '  File "one.py", line 1, in <module>',
            "ValueError: not here",
            "copying assets... done",
        )
    )
    popen = build_book.subprocess.Popen
    monkeypatch.setattr(
        build_book.subprocess,
        "Popen",
        lambda command, **how: popen([sys.executable, "-c", program + "\nexit(3)"], **how),
    )
    log = io.StringIO()
    assert build_book.pages(log) == 3
    shown, kept = capsys.readouterr().out, log.getvalue()
    assert [line.split()[0] for line in build_book.COLOUR.sub("", shown).splitlines()] == [
        "/book/one.md:3:", "of", "Traceback", "File", "ValueError:"
    ]  # fmt: skip
    assert len(kept.splitlines()) == 8 and "\x1b" not in kept and "copying assets" in kept
