/* <bifurcation-lab system="map" or "network" split="...">: which losses a motion visits, against the learning rate; drag or zoom, and
   the new view is computed. */
trajlab.define(function bifurcation(trajlab) {
  const { pretty } = trajlab;
  // The map is quick: many starting points and long runs. The network takes some ten thousand times longer a step.
  const SYSTEMS = {
    map: { label: "softmax map", starts: 4, transient: 1000, kept: 400, columns: 700, axis: "effective learning rate κ" },
    network: { label: "network of initial condition 0", starts: 1, transient: 1000, kept: 200, columns: 240, axis: "learning rate" },
  };
  const VIEWS = { map: { from: 4, to: 22, low: 0, high: 6 }, network: { from: 0.05, to: 6.05, low: 0, high: 3 } };
  const ROWS = 400;
  const LADDER = 5, RUNGS = 30; // the learning rate of the chapter on the map: its networks stand on multiples of it; more marks would be a hatching

  class BifurcationLab extends trajlab.Panel {
    get name() {
      return "bifurcation";
    }

    controls() {
      const system = this.getAttribute("system") || "map", view = VIEWS[system];
      const edge = (key, label, min) => ({ key, label, value: view[key], exactOnly: true, min, max: 1000 });
      return [
        { key: "system", label: "what moves", value: system, choices: Object.entries(SYSTEMS).map(([name, { label }]) => [name, label]) },
        { key: "split", label: "split of the data", value: Number(this.getAttribute("split") || 0), min: 0, max: 99, integer: true },
        edge("from", "rate from", 0.01),
        edge("to", "rate to", 0.01),
        edge("low", "loss from", -1),
        edge("high", "loss to", -1),
      ];
    }

    figures() {
      return [{ key: "diagram", caption: "<b>Losses visited</b> after 1,000 steps; the more ink, the more often. Dotted, for the map: rungs at learning rate 5", kind: "wide" }];
    }

    buttons() {
      return [["Zoom in", () => this.zoom(0.5)], ["Zoom out", () => this.zoom(2)], ...super.buttons()];
    }

    build() {
      super.build();
      const canvas = this.canvases.diagram;
      canvas.className = "movable";
      canvas.tabIndex = 0;
      this.captions.diagram = "Bifurcation diagram; arrow keys move, plus and minus zoom";
      this.label("diagram", this.captions.diagram);
      canvas.addEventListener("keydown", (event) => this.key(event));
      canvas.addEventListener("dblclick", (event) => this.zoom(0.5, this.under(event)));
      canvas.addEventListener(
        "wheel",
        (event) => {
          if (this.shadowRoot.activeElement !== canvas) return; // the page scrolls until the diagram is chosen
          event.preventDefault();
          this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.under(event));
        },
        { passive: false },
      );
      this.fingers = new Map(); // where each pointer that is down has got to
      canvas.addEventListener("pointerdown", (event) => {
        this.hold(event);
        try {
          canvas.setPointerCapture(event.pointerId);
        } catch {
          // the drag ends at the edge then
        }
      });
      canvas.addEventListener("pointermove", (event) => {
        if (!this.fingers.has(event.pointerId) || !this.shown) return;
        this.fingers.set(event.pointerId, event);
        if (this.fingers.size === 2) this.pinch();
        else if (this.drag) this.moveTo(event);
      });
      for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.release(event));
    }

    /** One pointer drags the view, two pinch it; from here on, from the view of now. */
    hold(event) {
      if (event) this.fingers.set(event.pointerId, event);
      const [one, other] = this.fingers.values(), view = { ...this.values };
      this.drag = one && !other ? { x: one.clientX, y: one.clientY, view } : null;
      this.pinched = other && { view, gap: this.between(one, other).gap, centre: this.under(this.between(one, other)) };
    }

    release(event) {
      this.fingers.delete(event.pointerId);
      this.hold();
    }

    between(one, other) {
      const gap = Math.max(1, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY));
      return { clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2, gap };
    }

    pinch() {
      const { view, gap, centre } = this.pinched, factor = gap / this.between(...this.fingers.values()).gap;
      if (!centre) return;
      const [x, y] = centre, scaled = (value, fixed) => fixed + (value - fixed) * factor;
      this.view(scaled(view.from, x), scaled(view.to, x), scaled(view.low, y), scaled(view.high, y));
    }

    /** Rate and loss beneath the pointer. */
    under(event) {
      const { box } = this.shown || {}, { from, to, low, high } = this.values;
      if (!box) return undefined;
      const place = this.canvases.diagram.getBoundingClientRect();
      const u = (event.clientX - place.left - box.left) / (box.right - box.left);
      const v = (event.clientY - place.top - box.top) / (box.bottom - box.top);
      return [from + u * (to - from), high - v * (high - low)];
    }

    moveTo(event) {
      const { box } = this.shown, { view } = this.drag;
      const across = ((event.clientX - this.drag.x) / (box.right - box.left)) * (view.to - view.from);
      const up = ((event.clientY - this.drag.y) / (box.bottom - box.top)) * (view.high - view.low);
      if (across || up) this.view(view.from - across, view.to - across, view.low + up, view.high + up);
    }

    zoom(factor, centre) {
      const { from, to, low, high } = this.values;
      const [x, y] = centre || [(from + to) / 2, (low + high) / 2];
      this.view(x + (from - x) * factor, x + (to - x) * factor, y + (low - y) * factor, y + (high - y) * factor);
    }

    key(event) {
      const { from, to, low, high } = this.values, x = (to - from) / 8, y = (high - low) / 8;
      const moves = { ArrowLeft: [-x, 0], ArrowRight: [x, 0], ArrowUp: [0, y], ArrowDown: [0, -y] };
      const [right, up] = moves[event.key] || [];
      if (moves[event.key]) this.view(from + right, to + right, low + up, high + up);
      else if (event.key === "+" || event.key === "=") this.zoom(0.5);
      else if (event.key === "-") this.zoom(2);
      else return;
      event.preventDefault();
    }

    /** Look at another part; edges are rounded to what the view can show, so that a link stays short. */
    view(from, to, low, high) {
      const round = (value, size) => Number(value.toFixed(Math.min(15, Math.max(0, 4 - Math.floor(Math.log10(size))))));
      const edges = { from: round(from, to - from), to: round(to, to - from), low: round(low, high - low), high: round(high, high - low) };
      for (const [key, value] of Object.entries(edges)) {
        const { control, show } = this.fields.get(key);
        this.values[key] = Math.min(control.max, Math.max(control.min, value));
        show();
      }
      this.redraw(); // what is known of the new view, until it is computed
      this.changed();
    }

    set(key, given) {
      // The network's own rates are far below those of the map, and its losses are lower.
      if (key === "system" && given !== this.values.system) Object.assign(this.values, VIEWS[given]);
      super.set(key, given);
      for (const { show } of this.fields.values()) show();
    }

    start() {
      const { system, split, from, to, low, high } = this.values;
      if (!(from < to && low < high && (to - from) / to > 1e-12)) {
        this.message.textContent = "“from” must be below “to”, for the rate and for the loss.";
        return;
      }
      const { starts, transient, kept, columns } = SYSTEMS[system];
      const sheet = trajlab.element("canvas", { width: columns, height: ROWS });
      const data = { columns: new Map(), width: columns, image: new ImageData(columns, ROWS), sheet };
      this.run("bifurcation", { system, split, from, to, low, high, width: columns, height: ROWS, starts, transient, kept }, data);
    }

    receive({ columns }) {
      for (const one of columns) {
        this.data.columns.set(one.column, one);
        this.paint(one);
      }
      const { width } = this.data;
      this.progress.textContent = `${this.data.columns.size} of ${width} rates, ${SYSTEMS[this.data.ran.system].label}`;
    }

    /** A column of the picture: the more often a loss is visited, the more ink. A coarse column stands in for those beside it. */
    paint({ column, stride, counts }) {
      const [r, g, b] = [1, 3, 5].map((i) => parseInt(this.colours.ink.slice(i, i + 2), 16));
      const { image } = this.data, last = Math.min(column + stride, image.width);
      for (let row = 0; row < ROWS; row++) {
        const alpha = counts[row] ? 255 * Math.min(1, 0.25 + Math.sqrt(counts[row] / 40)) : 0;
        for (let x = column; x < last; x++) image.data.set([r, g, b, alpha], 4 * (row * image.width + x));
      }
    }

    recolour() {
      super.recolour();
      if (this.data) for (const one of [...this.data.columns.values()].sort((a, b) => b.stride - a.stride)) this.paint(one);
    }

    finish() {
      const { from, to, split, system } = this.data.ran, { counts } = trajlab.iris(split);
      const { label, axis } = SYSTEMS[system], flowers = `${counts.join(", ")} flowers of the three species`;
      const text = `${label}, split ${split} (${flowers}), ${axis} from ${pretty(from, 6)} to ${pretty(to, 6)}.`;
      this.result.textContent = text[0].toUpperCase() + text.slice(1);
    }

    /** A view that has moved shows what is known of it; another system is another picture. */
    get before() {
      if (!this.changedSince) return false;
      const { ran } = this.data, { system, split, from, to, low, high } = this.values;
      return system !== ran.system || split !== ran.split || !(from < to && low < high);
    }

    render() {
      if (!this.data) return;
      const { ran, sheet, image } = this.data, view = this.before ? ran : this.values, { system, from, to, low, high } = view;
      sheet.getContext("2d").putImageData(image, 0, 0);
      const axes = { x: [from, to], y: [low, high], xLabel: SYSTEMS[system].axis, colours: this.colours };
      const picture = { sheet, x: [ran.from, ran.to], y: [ran.low, ran.high] };
      this.shown = trajlab.draw(this.canvases.diagram, { ...axes, series: this.rungs(view), image: picture });
    }

    /** Of the map: dotted lines at the rungs within the view. */
    rungs({ system, from, to, low, high } = this.values) {
      const first = Math.ceil(from / LADDER), count = Math.floor(to / LADDER) - first + 1;
      if (system !== "map" || count > RUNGS) return [];
      const line = (n) => ({ values: [low, high], at: () => LADDER * (first + n), colour: this.colours.blue, width: 1, dash: [1.5, 3] });
      return Array.from({ length: Math.max(0, count) }, (_, n) => line(n));
    }

    table() {
      if (!this.data || !this.data.columns.size) return null;
      const { low, high } = this.data.ran, size = (high - low) / ROWS, rows = [["rate", "loss", "visits"]];
      for (const { rate, counts } of [...this.data.columns.values()].sort((a, b) => a.column - b.column))
        counts.forEach((count, row) => count && rows.push([rate, high - (row + 0.5) * size, count]));
      return rows;
    }
  }

  customElements.define("bifurcation-lab", BifurcationLab);
});
