"""Shared by all tests: the plain-Python specification is importable, progress bars are off; the built book, and a browser."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TRAJLIB_PROGRESS", "off")
sys.path.insert(0, str(Path(__file__).parent))
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def html():
    """The book, built (or brought up to date) by the target that a reader uses, from the outputs that test_notebooks finds again."""
    done = subprocess.run(["make", "book", "OUTPUTS=committed"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return ROOT / "_build" / "html"


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium. Where there is none these tests are skipped, but fail where CI is set, as .ci/run does."""
    missing = pytest.fail if os.environ.get("CI") else pytest.skip
    try:
        from playwright import sync_api
    except ImportError:
        missing("needs the package playwright")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        missing("needs Chromium (Debian: apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
