"""Steps of networks in a reader's browser: the laboratories' engine on two networks at a time (WebAssembly) and on all cores, against
the same step in JavaScript, one network after the other.

In headless Chromium, from the files of the book. Final weights of all sides are compared bit for bit before they are timed. Run as a
script, this writes data/benchmarks/laboratory.json.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from _timing import spread, write
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "data" / "benchmarks" / "laboratory.json"
LAB = ROOT / "book" / "_static" / "lab"
NETWORKS, STEPS, ROUNDS, TARGET = 20, 4000, 7, 3.0
PAGE = '<!doctype html><meta charset="utf-8"><script defer src="{lab}/load.js"></script><golden-check hidden></golden-check>'
SIDES = """
const job = {split: 0, seed: 0, networks: %d, steps: %d, descent: {lr: 1.0}};
const initial = trajlab.initialConditions(trajlab.SIZES, 0, job.networks);
const gd = trajlab.irisDescent(1.0, 0), text = (w) => Array.from(new BigUint64Array(w.buffer)).join();
const workers = Array.from({length: navigator.hardwareConcurrency}, () => trajlab.startWorker());
const train = (worker) => new Promise((resolve, reject) => {
  let final;
  worker.onmessage = ({data}) => data.error ? reject(data.error) : data.finished ? resolve(final) : (final = data.part.final || final);
  worker.postMessage({job: "train", options: job});
});
window.sides = {
  javascript() {
    const w = initial.slice();
    for (let m = 0; m < job.networks; m++) for (let t = 0; t < job.steps; t++) gd.step(w, m * gd.size, false);
    return [text(w)];
  },
  webassembly() {
    const w = initial.slice();
    gd.advance(w, 0, job.networks, job.steps);
    return [text(w)];
  },
  all_cores: async () => (await Promise.all(workers.map(train))).map(text),
};
window.timed = async (name) => {
  const began = performance.now();
  const {length} = await sides[name]();
  return (performance.now() - began) / length / job.networks / job.steps * 1e3;
};
"""
LABELS = {
    "javascript": "JavaScript, one network after the other",
    "webassembly": "WebAssembly, two networks at a time, one core",
    "all_cores": "WebAssembly, workers on all cores",
}


def measured(page: Page) -> dict[str, np.ndarray]:
    """Microseconds a network step, (rounds,) for each side; two rounds before them are not counted."""
    taken: dict[str, list[float]] = {name: [] for name in LABELS}
    for _ in range(ROUNDS + 2):
        for name in LABELS:
            taken[name].append(page.evaluate(f"timed('{name}')"))
    return {name: np.array(values[2:]) for name, values in taken.items()}


def main() -> None:
    began = time.perf_counter()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        file = Path(folder, "page.html")
        file.write_text(PAGE.format(lab=LAB.as_uri()), encoding="utf-8")
        page = browser.new_page()
        page.goto(file.as_uri())
        page.wait_for_function("window.trajlab && trajlab.golden && Boolean(customElements.get('golden-check'))")
        page.evaluate("() => {" + SIDES % (NETWORKS, STEPS) + "}")
        ends = [end for name in LABELS for end in page.evaluate(f"sides['{name}']()")]
        if len(set(ends)) != 1:
            raise SystemExit("the sides end with different bits")
        us, workers, version = measured(page), page.evaluate("navigator.hardwareConcurrency"), browser.version
        browser.close()
    results = {
        name: {
            "label": label,
            "us_per_network_step": spread(us[name]),
            "times_as_fast": spread(us["javascript"] / us[name]),
            "target": TARGET if name == "all_cores" else None,
        }
        for name, label in LABELS.items()
    } | {"browser": f"Chromium {version}", "workers": workers}
    for name in LABELS:
        time_of, fast = (results[name][key]["median"] for key in ("us_per_network_step", "times_as_fast"))
        print(f"{LABELS[name]:48s} {time_of:6.1f} µs a network step, {fast:.2f} times as fast")
    setting = f"{NETWORKS} networks 4-10-3, 120 samples, lr 1, {STEPS:,} steps"
    write(OUTPUT, results, setting=setting, rounds=ROUNDS, began=began, libraries=("playwright",))


if __name__ == "__main__":
    main()
