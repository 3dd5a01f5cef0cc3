/* On every page; loads the laboratory, from the folder of this file, where a page has one. */
(function () {
  "use strict";
  const PARTS = [
    ...["base", "engine", "iris", "golden", "ziggurat", "random", "ensemble", "embedding", "fit", "worker", "flow"],
    ...["page", "chart", "theme", "panel", "hero", "trajectory", "bifurcation", "check"],
  ];
  const THEORY = ["dmft", "diagonal"]; // large, and of use to one chapter
  const here = new URL(document.currentScript.src); // with the version of the whole folder, which tools/finish_pages.py gives it
  function load() {
    if (!document.querySelector("trajectory-lab, bifurcation-lab, golden-check, dmft-lab, hero-lab")) return;
    for (const part of document.querySelector("dmft-lab") ? [...PARTS, ...THEORY] : PARTS) {
      const script = document.createElement("script");
      script.src = new URL(`${part}.js${here.search}`, here).href;
      script.async = false; // in this order
      document.head.append(script);
    }
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", load);
  else load();
})();
