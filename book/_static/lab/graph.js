/* A network of two inputs, two hidden units and one output as a graph, with its nine weights as sliders that stand on its edges: dragged up
   and down, or moved with the arrow keys. */
trajlab.define(function graph(trajlab) {
  const SVG = "http://www.w3.org/2000/svg";
  const PER_UNIT = 36; // pixels of dragging
  const NODES = { x1: [26, 62], x2: [26, 178], h1: [186, 62], h2: [186, 178], y: [334, 120] };
  const NAMES = { x1: "input 1", x2: "input 2", h1: "hidden unit 1", h2: "hidden unit 2", y: "the output" };
  // In the order of the weights: from, to, and where on the edge the weight stands; a bias has no unit that it comes from.
  const EDGES = [
    ["x1", "h1", 0.5], ["x1", "h2", 0.33], ["x2", "h1", 0.33], ["x2", "h2", 0.5],
    [null, "h1", [186, 18]], [null, "h2", [186, 222]],
    ["h1", "y", 0.5], ["h2", "y", 0.5], [null, "y", [334, 70]],
  ];
  const KEYS = { ArrowUp: 0.1, ArrowRight: 0.1, ArrowDown: -0.1, ArrowLeft: -0.1, PageUp: 1, PageDown: -1, Home: -Infinity, End: Infinity };

  const shape = (name, attributes = {}, text = "") => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  };
  const named = ([from, to]) => (from ? `weight from ${NAMES[from]} to ${NAMES[to]}` : `bias of ${NAMES[to]}`);

  /** keys: of the nine weights; most: their largest modulus; get(key), set(key, value), and released() when a weight has been let go. */
  function networkGraph({ keys, most, get, set, released }) {
    const root = shape("svg", { viewBox: "0 0 360 240", class: "graph", role: "group", "aria-label": "the network and its nine weights" });
    const lines = EDGES.map(([from, to, place]) => {
      const [a, b] = [from ? NODES[from] : place, NODES[to]];
      return root.appendChild(shape("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1] }));
    });
    for (const [name, [x, y]] of Object.entries(NODES)) {
      root.append(shape("circle", { cx: x, cy: y, r: 19, class: "unit" }));
      root.append(shape("text", { x, y, "aria-hidden": "true" }, { x1: "x₁", x2: "x₂", y: "ŷ" }[name] || "tanh"));
    }
    const handles = EDGES.map((edge, i) => {
      const [from, to, place] = edge, key = keys[i], [a, b] = [from && NODES[from], NODES[to]];
      const [x, y] = from ? [0, 1].map((k) => a[k] + place * (b[k] - a[k])) : place;
      const range = { "aria-orientation": "vertical", "aria-label": named(edge), "aria-valuemin": -most, "aria-valuemax": most };
      const handle = shape("g", { class: "weight", tabindex: 0, role: "slider", ...range });
      handle.append(shape("rect", { x: x - 24, y: y - 14, width: 48, height: 28, rx: 14 }), shape("text", { x, y }));
      let held = null;
      handle.addEventListener("pointerdown", (event) => {
        held = { y: event.clientY, value: get(key) };
        handle.setPointerCapture(event.pointerId);
        handle.focus();
        event.preventDefault();
      });
      handle.addEventListener("pointermove", (event) => {
        if (held) set(key, Number((held.value + (held.y - event.clientY) / PER_UNIT).toFixed(2)));
      });
      const letGo = () => {
        if (!held) return;
        const moved = get(key) !== held.value;
        held = null;
        if (moved) released();
      };
      for (const name of ["pointerup", "pointercancel"]) handle.addEventListener(name, letGo);
      handle.addEventListener("keydown", (event) => {
        const by = KEYS[event.key];
        if (by === undefined) return;
        event.preventDefault();
        set(key, Number.isFinite(by) ? Number((get(key) + by).toFixed(2)) : Math.sign(by) * most);
        released();
      });
      return root.appendChild(handle);
    });
    function show() {
      keys.forEach((key, i) => {
        const value = get(key), text = value.toFixed(2).replace("-", "−");
        lines[i].setAttribute("class", value < 0 ? "negative" : "positive");
        lines[i].setAttribute("stroke-width", Math.min(12, 0.6 + 2.2 * Math.abs(value)));
        handles[i].setAttribute("aria-valuenow", value);
        handles[i].lastChild.textContent = text;
      });
    }
    return { root, show };
  }

  trajlab.networkGraph = networkGraph;
});
