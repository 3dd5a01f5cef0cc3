/* What a laboratory asks of the page around it: to be told when it is seen, resized and recoloured, and a place in the address. A browser
   may lack or refuse each of these (private windows, frames, old versions, limits), and the laboratory works all the same. */
trajlab.define(function page(trajlab) {
  const PAUSE = 400; // milliseconds between two changes of the address: Safari refuses more than 100 in 30 s, from the whole page
  const LATER = 10000, TRIES = 3; // after a refusal

  /** Calls `changed(visible)`, as things are now: of several entries the newest counts. */
  function watchVisible(host, changed) {
    try {
      const observer = new IntersectionObserver((entries) => changed(entries[entries.length - 1].isIntersecting));
      observer.observe(host);
      return observer;
    } catch {
      const timer = setTimeout(() => changed(true)); // nobody can tell: taken for seen
      return { disconnect: () => clearTimeout(timer) };
    }
  }

  function watchSize(host, changed) {
    try {
      const observer = new ResizeObserver(changed);
      observer.observe(host);
      return observer;
    } catch {
      addEventListener("resize", changed);
      return { disconnect: () => removeEventListener("resize", changed) };
    }
  }

  /** What matchMedia says; where it says nothing, no. */
  function media(query) {
    try {
      return matchMedia(query) || { matches: false };
    } catch {
      return { matches: false };
    }
  }

  // The address: #lab=lr:0.5,ic:3&bifurcation=from:4,to:5, one part for each laboratory that has been touched, that of the latest first.

  const panels = new Set();
  let latest, timer, tries, last = -Infinity;

  /** The parts of an address by name, in order. What is not rightly encoded is left as it stands. */
  function readAddress(hash = location.hash) {
    const text = hash.slice(1).replace(/(%[0-9a-f]{2})+/gi, (code) => {
      try {
        return decodeURIComponent(code);
      } catch {
        return code;
      }
    });
    const parts = text.split("&").filter((part) => part.includes("="));
    return new Map(parts.map((part) => [part.slice(0, part.indexOf("=")), part.slice(part.indexOf("=") + 1)]));
  }

  function addressOf(panel) {
    const others = [...panels].filter((other) => other !== panel && other.touched);
    return `${location.href.split("#")[0]}#${[panel, ...others].map((one) => `${one.part}=${one.state()}`).join("&")}`;
  }

  /** Let the address follow a panel: at once if it has been left alone for a while, or else soon. */
  function writeAddress(panel) {
    latest = panel;
    panel.touched = true;
    tries = TRIES;
    const wait = last + PAUSE - performance.now();
    if (wait <= 0) write();
    else if (!timer) timer = setTimeout(write, wait);
  }

  function write() {
    clearTimeout(timer);
    timer = null;
    last = performance.now();
    try {
      history.replaceState(history.state, "", addressOf(latest));
    } catch {
      if (tries-- > 0) timer = setTimeout(write, LATER); // a link that is copied holds the values in any case
    }
  }

  addEventListener("hashchange", () => {
    clearTimeout(timer); // where the reader goes counts for more than where the controls were
    timer = null;
  });

  Object.assign(trajlab, { watchVisible, watchSize, media, panels, readAddress, addressOf, writeAddress });
});
