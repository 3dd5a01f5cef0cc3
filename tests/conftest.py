"""Shared by all tests: the plain-Python specification is importable, progress bars are off; several workers; the built book; a browser."""

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock
from threadpoolctl import threadpool_limits

os.environ.setdefault("TRAJLIB_PROGRESS", "off")
sys.path.insert(0, str(Path(__file__).parent))
from laboratory import LAB, PAGE

ROOT = Path(__file__).parents[1]

# A few made-up arguments, the same in every run; --hypothesis-profile=campaign makes up others, many more.
hypothesis.settings.register_profile("few", max_examples=10, derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile(
    "campaign",
    max_examples=350,
    deadline=None,
    phases=[hypothesis.Phase.reuse, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("few")

# Workers share the cores, so all compute on one thread, the chapters in processes of their own too: threads of BLAS, of which each waits
# for the other worker's, took half of the time. No printed digit depends on it: the committed outputs are of as many as there are cores.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    os.environ.setdefault("TRAJLIB_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # OpenBLAS and MKL follow it


@pytest.fixture(scope="session", autouse=True)
def one_thread_of_blas():
    """In the process of a worker PyTorch and BLAS have one thread: with several, each waits for the other worker's."""
    with threadpool_limits(1) if WORKERS > 1 else nullcontext():
        yield


def pytest_collection_modifyitems(config, items):
    """Mark what is about the pages as readers get them. With several workers the long must not be the last: first comes the book, for which
    others wait, then the chapters, then the files that hold something slow or a browser."""
    for item in items:
        if {"html", "published", "colab", "browser"} & set(item.fixturenames):
            item.add_marker(pytest.mark.pages)
    if WORKERS > 1:
        long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("pages")}
        order = (
            lambda item: item.path.stem == "test_book",
            lambda item: item.get_closest_marker("chapter"),
            lambda item: item.path in long,
        )
        items.sort(key=lambda item: [not first(item) for first in order])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A worker takes a file of tests at a time, whose fixtures are made once, but of the chapters one."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return nodeid if file.endswith("test_notebooks.py") else file

    config.option.loadscopereorder = False
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """once(name, make): what ``make()`` does is done by one worker in a run of the tests; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def do_once(name, make):
        with FileLock(shared / f"{name}.lock"):
            done = shared / f"{name}.done"
            if not done.exists():
                make()
                done.touch()

    return do_once


@pytest.fixture(scope="session")
def html(once):
    """The book, built (or brought up to date) by the target that a reader uses, from the outputs that test_notebooks finds again."""

    def build():
        command = ["make", "book", "OUTPUTS=committed"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]

    once("html", build)
    return ROOT / "_build" / "html"


def wait_until_true(page, expression, *, timeout=120_000, polling=100):
    """Instead of Playwright's own, which evaluates the text again and again inside the page: the policy of the pages forbids that. What is
    asked from here is not bound by it."""
    until = time.monotonic() + timeout / 1000
    while not page.evaluate(f"!!({expression})"):
        if time.monotonic() > until:
            raise TimeoutError(f"not true after {timeout / 1000:.0f} s: {expression}")
        page.wait_for_timeout(polling)


# As root; a process for pictures and one in reserve would only cost time.
PLAIN = ["--no-sandbox", "--disable-gpu", "--disable-features=SpareRendererForSitePerProcess"]


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
    sync_api.Page.wait_for_function = wait_until_true
    sync_api.expect.set_options(timeout=120_000)  # for a machine that has much else to do, as below
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=PLAIN)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """open_page(body, hash="", **options of the context) -> page; fails at the end if anything went to the console or to the network."""
    contexts, complaints = [], []

    def refuse(route):
        complaints.append(f"asked for {route.request.url}")
        route.abort()

    def open_it(body, *, hash="", **options):
        options.setdefault("viewport", {"width": 1000, "height": 900})
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(120_000)  # for a machine that has much else to do
        context.route(re.compile("^(http|ws)"), refuse)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        file = tmp_path / "page.html"
        file.write_text(PAGE.format(lab=LAB.as_uri(), body=body), encoding="utf-8")
        page.goto(file.as_uri() + hash)
        page.wait_for_function("document.querySelector(':not(:defined)') === null", polling=100)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []
