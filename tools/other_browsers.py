"""The built book in Firefox and in WebKit: do the laboratories run, with the bits of the library, and does no page scroll sideways?

    other_browsers.py [firefox] [webkit] [PAGE ...]     # Debian: firefox-esr; webkit2gtk-driver, xvfb

The tests look at the pages in Chromium. This is the same look, axe-core included, with what drives the other two: WebDriver BiDi (over
a socket of Firefox itself), and WebKit's own driver. What the policy of a page refuses is told too; of workers only what stops them. One
line a page; ends with an error if something is not as it should be.
"""

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from contents import ROOT, listed, needs
from lab_bits import DIFFERS
from policy import META
from tornado.websocket import websocket_connect

PAGES = ROOT / "_build" / "html" / "book"
WIDTHS, THEMES = (360, 768, 1280), ("light", "dark")
PORT = 9417
LAB_SECONDS = 180
REFUSED = """<script>window.refused = [];
addEventListener("securitypolicyviolation", (e) => refused.push(`refused by ${e.effectiveDirective}: ${e.blockedURI}`));</script>"""
LOOK = """
localStorage.setItem("mode", THEME); document.documentElement.dataset.mode = document.documentElement.dataset.theme = THEME;
return {width: document.documentElement.scrollWidth, undrawn: [...document.images]
  .filter((i) => i.complete && i.loading !== "lazy" && !i.naturalWidth).map((i) => i.src)};
"""
AXE = """
if (!window.axe) { AXE_SOURCE
}
axe.run({preload: false, resultTypes: ["violations"]}).then(({violations}) => { window.judged = violations.filter((v) =>
  ["serious", "critical"].includes(v.impact)).map((v) => `${v.id}: ${v.nodes[0].html.slice(0, 100)}`); });
return null;
"""
LABS = """
const labs = [...document.querySelectorAll(NAMES)];
for (const lab of labs) if (!lab.hasAttribute("finished") && !lab.done) {
  lab.scrollIntoView({block: "center"});
  const start = lab.localName === "golden-check" && lab.shadowRoot && lab.shadowRoot.querySelector("button:not([disabled])");
  if (lab.localName === "golden-check") { if (!lab.begun && start) { lab.begun = true; start.click(); }
    lab.done = / of .* runs end/.test(lab.shadowRoot ? lab.shadowRoot.textContent : ""); }
  return null;
}
return labs.map((lab) => [lab.localName, lab.shadowRoot.querySelector(".message").textContent]);
"""


async def connected(address: str):
    return await websocket_connect(address)


class Firefox:
    """Firefox without a window, over WebDriver BiDi."""

    program = "firefox-esr"

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.loop, self.numbers = asyncio.new_event_loop(), itertools.count(1)
        options = ["--headless", "--no-remote", "--profile", self.folder.name, "--remote-debugging-port", str(PORT)]
        self.process = subprocess.Popen([self.program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(60):
            time.sleep(1)
            with contextlib.suppress(OSError):
                self.socket = self.loop.run_until_complete(connected(f"ws://127.0.0.1:{PORT}/session"))
                break
        self.call("session.new", {"capabilities": {}})
        self.tab = self.call("browsingContext.getTree", {})["contexts"][0]["context"]
        return self

    def call(self, method: str, params: dict) -> dict:
        number = next(self.numbers)

        async def ask():
            await self.socket.write_message(json.dumps({"id": number, "method": method, "params": params}))
            while True:
                answer = json.loads(await self.socket.read_message())
                if answer.get("id") == number:
                    return answer

        answer = self.loop.run_until_complete(ask())
        if "result" not in answer:
            raise RuntimeError(f"{method}: {answer.get('message')}")
        return answer["result"]

    def open(self, address: str, width: int) -> None:
        self.call("browsingContext.setViewport", {"context": self.tab, "viewport": {"width": width, "height": 800}})
        self.call("browsingContext.navigate", {"context": self.tab, "url": address, "wait": "complete"})

    def ask(self, body: str):
        expression = f"JSON.stringify((() => {{ {body} }})())"
        params = {"expression": expression, "target": {"context": self.tab}, "awaitPromise": False}
        answer = self.call("script.evaluate", params)
        if answer["type"] != "success":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


class WebKit:
    """WebKitGTK's small browser on a made-up screen, over WebDriver."""

    program = "WebKitWebDriver"

    def __enter__(self):
        self.screen = subprocess.Popen(["Xvfb", ":97", "-screen", "0", "1600x1200x24"], stderr=subprocess.DEVNULL)
        time.sleep(2)
        environment = os.environ | {"DISPLAY": ":97", "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1"}
        self.process = subprocess.Popen(
            [self.program, f"--port={PORT}"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(2)
        browser = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))
        options = {"binary": str(browser), "args": ["--automation"]}
        wanted = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
        self.session = self.call("", wanted)["sessionId"]
        return self

    def call(self, path: str, data: dict | None) -> dict:
        address = f"http://127.0.0.1:{PORT}/session" + (f"/{self.session}/{path}" if path else "")
        request = urllib.request.Request(address, json.dumps(data).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def open(self, address: str, width: int) -> None:
        self.call("window/rect", {"width": width, "height": 800, "x": 0, "y": 0})
        self.call("url", {"url": address})

    def ask(self, body: str):
        return self.call("execute/sync", {"script": body, "args": []})

    def __exit__(self, *_):
        for process in (self.process, self.screen):
            process.terminate()
            process.wait()


def accessible(browser) -> list[str]:
    """What axe-core finds serious."""
    source = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    browser.ask(AXE.replace("AXE_SOURCE", source))
    for _ in range(LAB_SECONDS):
        time.sleep(0.5)
        if (judged := browser.ask("return window.judged || null;")) is not None:
            return judged
    return ["axe-core has not answered"]


@contextlib.contextmanager
def listening(name: str) -> Iterator[str]:
    """The address of a copy of a page, beside it, that keeps what its policy refuses: neither driver tells."""
    page = (PAGES / f"{name}.html").read_text(encoding="utf-8")
    if META not in page:
        raise RuntimeError(f"{name} has another policy, or none: build the book")
    copy = PAGES / f"{name}-listening.html"
    copy.write_text(page.replace(META, META + REFUSED, 1), encoding="utf-8")
    try:
        yield copy.as_uri()
    finally:
        copy.unlink()


def looked_at(browser, name: str, address: str) -> list[str]:
    """What is wrong with a page, in each width and theme; then its laboratories, one after the other, and bits of them."""
    wrong = []
    for width, theme in itertools.product(WIDTHS, THEMES):
        browser.open(address, width)
        time.sleep(0.5)
        found = browser.ask(LOOK.replace("THEME", json.dumps(theme)))
        inside = browser.ask("return document.documentElement.clientWidth;")
        if found["width"] > inside:
            wrong.append(f"{width} px, {theme}: {found['width']} px wide, {inside} are there")
        judged = accessible(browser) if width == WIDTHS[0] else []
        if (width, theme) == (WIDTHS[-1], THEMES[-1]):
            wrong += calculated(browser, name)
        refused = browser.ask("return window.refused;")
        wrong += [f"{width} px, {theme}: {what}" for what in (*found["undrawn"], *judged, *refused)]
    return wrong


def calculated(browser, name: str) -> list[str]:
    """What is wrong with the laboratories of a page: each runs to its end, one after the other; then bits."""

    def call(script: str, argument):
        return browser.ask(f"return ({script})({json.dumps(argument)}) ?? null;")

    wrong = []
    source = (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
    labs = needs(ROOT / "book" / f"{name}.md").labs if re.search(r"^trajlib: ", source, re.MULTILINE) else ()
    if labs:
        began, messages = time.monotonic(), None
        while messages is None and time.monotonic() - began < LAB_SECONDS:
            time.sleep(0.5)
            messages = browser.ask(LABS.replace("NAMES", json.dumps(",".join(labs))))
        if messages is None:
            wrong.append(f"a laboratory has not finished after {LAB_SECONDS} s")
        for lab, message in messages or ():
            good = (
                re.match(r"(\d+) of \1 runs end with the same bits", message) if lab == "golden-check" else not message
            )
            if not good:
                wrong.append(f"{lab}: {message}")
        for lab in DIFFERS.keys() & set(labs):
            wrong += DIFFERS[lab](call)
    return wrong


def main() -> int:
    kinds = {"firefox": Firefox, "webkit": WebKit}
    given, pages = set(sys.argv[1:]), listed()
    if unknown := given - set(kinds) - set(pages):
        sys.exit(f"give any of {', '.join(kinds)}, and names of pages, got {', '.join(sorted(unknown))}")
    failed = 0
    for kind in [kind for kind in kinds if kind in given] or kinds:
        if not shutil.which(kinds[kind].program):
            print(f"{kind}: {kinds[kind].program} is not installed, left out")
            continue
        with kinds[kind]() as browser:
            for name in [page for page in pages if page in given] or pages:
                with listening(name) as address:
                    wrong = looked_at(browser, name, address)
                failed += bool(wrong)
                print(f"{kind}, {name}: {'; '.join(wrong) or 'as it should be'}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
