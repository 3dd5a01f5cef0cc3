/* On every page; loads the laboratory, from the folder of this file, where a page has one: what all of its elements need, and what only
   those that are there do. */
(function () {
  "use strict";
  const ALL = ["trajectory-lab", "bifurcation-lab", "hero-lab", "golden-check", "dmft-lab"];
  const here = new URL(document.currentScript.src); // with the version of the whole folder, which tools/finish_pages.py gives it
  function load() {
    const has = (name) => document.querySelector(name) !== null, check = has("golden-check"), theory = has("dmft-lab");
    if (!ALL.some(has)) return;
    const parts = [
      ...["base", "simd", "engine", "iris", "ziggurat", "random", "ensemble", "embedding", "fit", "worker"],
      ...(check ? ["activations", "perceptron", "optimisers", "training"] : []),
      ...(theory ? ["flow"] : []), // up to here in the worker too: an element may start one as soon as it is defined
      ...["page", "chart", "theme", "panel", "hero", "trajectory", "bifurcation"],
      ...(check ? ["golden", "check"] : []),
      ...(theory ? ["dmft", "diagonal"] : []),
    ];
    for (const part of parts) {
      const script = document.createElement("script");
      script.src = new URL(`${part}.js${here.search}`, here).href;
      script.async = false; // in this order
      document.head.append(script);
    }
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", load);
  else load();
})();
