/* On every page; loads the laboratory, from the folder of this file, where a page has one: what all of its elements need, and what only
   those that are there do. */
(function () {
  "use strict";
  // Parts for the worker, and parts for the page alone. The former come first: an element may start a worker as soon as it is defined.
  const SHARED = {
    worker: ["base", "simd", "engine", "iris", "ziggurat", "random", "ensemble", "embedding", "fit", "worker"],
    page: ["page", "chart", "theme", "panel", "links", "lead", "hero", "trajectory", "bifurcation"],
  };
  const ELEMENTS = {
    "trajectory-lab": {},
    "bifurcation-lab": {},
    "hero-lab": {},
    "drift-lead": { worker: ["curvature", "leads"], page: ["drift"] },
    "edge-lead": { worker: ["curvature", "leads"], page: ["edge"] },
    "ladder-lead": { worker: ["curvature", "leads"], page: ["ladder"] },
    "golden-check": { worker: ["activations", "perceptron", "optimisers", "training"], page: ["golden", "check"] },
    "line-lead": { worker: ["clocks"], page: ["line"] },
    "weights-lead": { worker: ["tangent"], page: ["trees", "graph", "weights"] },
    "learning-lead": { worker: ["curvature", "learn"], page: ["learning"] },
    "rules-lead": { worker: ["activations", "perceptron", "optimisers", "training", "curvature", "limits"], page: ["rules"] },
    "curve-lead": { worker: ["flow"], page: ["dmft", "curve"] },
    "boundary-explorer": {
      worker: ["activations", "perceptron", "optimisers", "training", "regression", "boundary"],
      page: ["palette", "sheet", "boxes", "movable", "explorer"],
    },
  };
  const here = new URL(document.currentScript.src); // with the version of the whole folder, which tools/finish_pages.py gives it
  const asked = new Set();

  /** Load what those elements need that are there by now, and has not been asked for. */
  function load() {
    const needed = Object.entries(ELEMENTS).flatMap(([name, needs]) => (document.querySelector(name) ? [needs] : []));
    if (!needed.length) return;
    const parts = ["worker", "page"].flatMap((kind) => [SHARED, ...needed].flatMap((needs) => needs[kind] || []));
    for (const part of parts) {
      if (asked.has(part)) continue;
      asked.add(part);
      const script = document.createElement("script");
      script.src = new URL(`${part}.js${here.search}`, here).href;
      script.async = false; // in this order
      document.head.append(script);
    }
  }

  load();
  if (document.readyState !== "loading") return;
  // The figure at the top of a page does not wait until all of the page has been read, nor for the scripts that wait for that.
  const first = new MutationObserver(() => {
    load();
    if (asked.size) first.disconnect();
  });
  if (!asked.size) first.observe(document, { childList: true, subtree: true });
  document.addEventListener("readystatechange", () => {
    first.disconnect();
    load();
  });
})();
