/* <boundary-explorer>: the boundary of trainability, to zoom into. A picture of two learning rates, refined in place on all cores; the
   training of the network under the pointer; the dimension of what is seen. */
trajlab.define(function explorer(trajlab) {
  const { element, pretty, key } = trajlab;
  const { CONDITIONS, COARSEST, axes, network, trajectory } = trajlab.boundary;
  const FEWEST = 512; // pixels along a side with which box counting has a range of sizes at all
  const NARROWEST = 1e-14, WIDEST = 16;

  const WORDS = {
    tanh: "tanh, all samples",
    relu: "ReLU, all samples",
    identity: "linear, all samples",
    minibatch: "tanh, minibatches of 16",
    single: "tanh, a single sample",
    offset: "tanh, an offset against the rate",
  };
  /** Where each condition is seen whole. */
  const HOME = {
    tanh: { x: 2.5, y: 1.2, width: 6 },
    relu: { x: 1.2, y: 0.9, width: 4 },
    identity: { x: 0.7, y: 0.9, width: 4 },
    minibatch: { x: 3, y: 0.8, width: 5 },
    single: { x: 1.4, y: 1.3, width: 4 },
    offset: { x: 1.2, y: 0, width: 3 },
  };
  /** Found by zooming into the boundary, by eye; the last one is the tile whose bits the tests compare. What is deep takes more steps. */
  const DEEP = { x: 1, y: 1.654127021979156, steps: 500 };
  const TOUR = [
    ["all of it", { ...HOME.tanh, steps: 100 }],
    ["the edge", { x: 1.002, y: 1.6535, width: 0.045, steps: 100 }],
    ["10⁻³ wide", { ...DEEP, width: 1e-3 }],
    ["10⁻⁶ wide", { ...DEEP, width: 1e-6 }],
    ["10⁻¹⁰ wide", { ...DEEP, width: 1e-10 }],
  ];

  const HINT = "Drag it; press it, then turn the wheel, or pinch; double click: four times deeper. The ring follows the pointer.";
  const KEYS = "Arrow keys move, plus and minus zoom, 0 shows all of it.";
  const GENERAL = `Picture of two learning rates: where training converges, and where it does not. ${KEYS}`;

  class BoundaryExplorer extends trajlab.Panel {
    get name() {
      return "boundary";
    }

    controls() {
      const place = { min: -12, max: 12, exactOnly: true };
      return [
        { key: "x", label: "x, log₁₀ of the first layer's rate", value: HOME.tanh.x, ...place },
        { key: "y", label: "y, log₁₀ of the second layer's rate", value: HOME.tanh.y, ...place },
        { key: "width", label: "width, decades", value: HOME.tanh.width, min: NARROWEST, max: WIDEST, exactOnly: true },
        { key: "condition", label: "training", value: "tanh", choices: Object.entries(WORDS) },
        { key: "steps", label: "steps", value: 100, min: 20, max: 5000, integer: true, exactOnly: true },
        { key: "pixels", label: "pixels along a side", value: "256", choices: ["64", "128", "256", "512", "1024"].map((n) => [n, n]) },
        { key: "seed", label: "seed", value: 0, min: 0, max: 999999, integer: true, exactOnly: true },
      ];
    }

    buttons() {
      const [reset, link, table] = super.buttons();
      return [reset, link, ["Download PNG", () => this.downloadPicture()], table];
    }

    build() {
      const root = this.attachShadow({ mode: "open" });
      const styles = ["lab", "lead", "explorer"].map((name) => element("link", { rel: "stylesheet", href: trajlab.file(`${name}.css`) }));
      for (const style of styles) style.addEventListener("load", () => this.redraw());
      this.prepare();
      this.fields = new Map(this.controls().map((control) => [control.key, this.field(control)]));
      this.spot = [0.5, 0.5]; // of the network that is followed, from the left and from the top
      const text = (kind, more = {}) => element("p", { class: kind, ...more });
      [this.message, this.result] = [text("message", { role: "status" }), text("result", { "aria-live": "polite" })];
      [this.progress, this.where, this.fate] = [text("progress"), text("where"), text("fate", { "aria-live": "polite" })];
      this.depth = element("span", { class: "depth" });
      this.scale = element("span", { class: "scale" });
      this.bar = element("span", { class: "bar" });
      this.pauseButton = this.button("Pause", () => this.worker && this.pause(!this.paused));
      this.toured = TOUR.map(([name, place]) => [place, this.button(name, () => this.visit(place))]);
      const view = this.picture(), node = (kind, ...children) => element("div", { class: kind }, ...children);
      const chart = this.figure({ key: "loss", caption: `${key("blue", "<b>Loss of one network</b>")}, the one in the ring; dashed: its first` });
      const how = element("p", { class: "how" }, `${HINT} ${KEYS}`), some = (...names) => names.map((name) => this.fields.get(name).node);
      root.append(
        ...styles,
        node("stage", node("left", view, this.where, how), node("side", chart, this.fate, this.legend(), this.result)),
        element("div", { class: "buttons tour", role: "group", "aria-label": "places to see" }, ...this.toured.map(([, button]) => button)),
        node("controls", ...some("condition", "steps", "pixels", "seed")),
        element("details", {}, element("summary", {}, "The exact place"), node("controls", ...some("x", "y", "width"))),
        node("buttons taken", this.pauseButton, ...this.buttons().map(([label, action]) => this.button(label, action))),
        this.progress,
        this.message,
        this.note,
      );
      this.pause(false);
      this.tellPlace();
    }

    /** The canvas, with what lies on it. */
    picture() {
      const canvas = (this.canvases.picture = element("canvas", { tabindex: "0", role: "application" }));
      this.label("picture", GENERAL);
      const acts = {
        pan: (dx, dy) => this.pan(dx, dy),
        zoom: (factor, x, y) => this.zoom(factor, x, y),
        home: () => this.go(HOME[this.values.condition]),
        point: (x, y) => this.follow(x, y),
        rest: () => trajlab.writeAddress(this),
      };
      trajlab.movable(canvas, acts);
      const press = (label, title, act) => {
        const button = this.button(label, () => (act(), acts.rest()));
        button.setAttribute("aria-label", title);
        return button;
      };
      const centre = () => canvas.clientWidth / 2;
      const buttons = element(
        "div",
        { class: "zoom" },
        press("+", "deeper", () => acts.zoom(2, centre(), centre())),
        press("−", "back", () => acts.zoom(0.5, centre(), centre())),
        press("⌂", "all of it", acts.home),
      );
      return element("div", { class: "picture" }, canvas, this.depth, this.scale, buttons, this.bar);
    }

    legend() {
      const { converges, ends } = trajlab.palette.legend;
      const side = (colours, ...words) => {
        const bar = element("span", { class: "ramp", style: `background: ${colours}` });
        return element("div", {}, bar, element("span", { class: "ends" }, ...words.map((word) => element("span", {}, word))));
      };
      return element("div", { class: "legend" }, side(converges, "converges quickly", "slowly"), side(ends, "does not: slowly", "ends at once"));
    }

    // Where the reader is

    /** The reader's move: rounded to a hundredth of a pixel, so that links stay short. */
    go({ x, y, width }) {
      const narrow = Math.min(WIDEST, Math.max(NARROWEST, width));
      const digits = Math.min(18, Math.max(2, Math.ceil(-Math.log10(narrow / Number(this.values.pixels))) + 2));
      const short = (value) => Math.min(12, Math.max(-12, Number(value.toFixed(digits))));
      this.put({ x: short(x), y: short(y), width: Number(narrow.toPrecision(4)) });
      this.message.textContent = "";
      this.restart();
    }

    put(values) {
      Object.assign(this.values, values);
      for (const { show } of this.fields.values()) show();
    }

    get size() {
      return this.canvases.picture.clientWidth || 1;
    }

    pan(dx, dy) {
      const { x, y, width } = this.values, unit = width / this.size;
      this.go({ x: x - dx * unit, y: y + dy * unit, width });
    }

    /** What is under the pointer stays there. */
    zoom(factor, left, top) {
      const { x, y, width } = this.values, narrow = Math.min(WIDEST, Math.max(NARROWEST, width / factor));
      const across = left / this.size - 0.5, up = 0.5 - top / this.size;
      this.go({ x: x + across * (width - narrow), y: y + up * (width - narrow), width: narrow });
    }

    /** A place of the tour, which is one of the first condition. */
    visit(place) {
      this.put({ condition: "tanh", seed: 0, ...place });
      this.changed();
    }

    /** Another condition begins with all of its plane. */
    set(name, given) {
      if (name === "condition" && HOME[given] && given !== this.values.condition) this.put(HOME[given]);
      super.set(name, given);
    }

    assign(text) {
      const before = this.values.condition;
      super.assign(text);
      if (this.values.condition !== before && !/(^|,)(x|y|width):/.test(text)) this.put(HOME[this.values.condition]);
    }

    restart() {
      super.restart();
      this.tellPlace();
      this.redraw();
    }

    /** The old picture stays, moved along, until there is a new one. */
    markBefore() {
      this.note.textContent = "";
    }

    tellPlace() {
      const { x, y, width, condition, seed } = this.values, deep = Math.log10(HOME[condition].width / width);
      const { across, up } = axes(this.view), same = (values) => values.some((value, i) => i && value === values[i - 1]);
      this.depth.textContent = `depth ${deep.toFixed(1).replace("-", "−")} decades`;
      const digits = Math.min(17, Math.max(2, Math.ceil(-Math.log10(width)) + 2));
      const second = CONDITIONS[condition].offset ? "offset" : "log₁₀ η₁";
      const names = CONDITIONS[condition].offset ? "log₁₀ η, of both layers," : "log₁₀ η₀";
      const end = same(across) || same(up) ? " Here float64 ends: neighbouring pixels have the same learning rate." : "";
      const shown = (value) => value.toFixed(digits).replace("-", "−");
      const decades = (value, digits) => `${pretty(value, digits)} ${value === 1 ? "decade" : "decades"}`;
      const high = CONDITIONS[condition].offset ? `, the offset ${pretty(width)} high` : "";
      this.where.textContent = `→ ${names} = ${shown(x)}, ↑ ${second} = ${shown(y)} in the middle, ${decades(width)} wide${high}.${end}`;
      this.scale.textContent = decades(width / 4, 2);
      for (const [place, button] of this.toured || []) {
        const here = Object.entries(place).every(([name, value]) => this.values[name] === value) && condition === "tanh" && seed === 0;
        button.setAttribute("aria-pressed", String(here));
      }
    }

    get view() {
      return { ...this.values, pixels: Number(this.values.pixels) };
    }

    // The picture

    start() {
      const { view } = this;
      this.run("boundary", { ...view, coarsest: COARSEST * Math.max(1, view.pixels / 256) }, trajlab.sheet.blank(view));
    }

    /** What has been seen of the new view so far lies under its own picture until that is there. */
    take() {
      const { canvas } = this.sheet || {};
      this.under = canvas ? { canvas: this.composed(element("canvas"), canvas.width), view: this.view } : null;
      super.take();
      this.sheet = trajlab.sheet.canvasOf(this.data);
      this.painted = false;
      this.label("picture", GENERAL);
    }

    receive({ found }) {
      trajlab.sheet.add(this.data, found);
      this.painted = false;
      this.redraw(); // also for those who want no motion: this is not what they mean
    }

    /** The dimension of what is seen. */
    finish() {
      const { outcome, view: { pixels: n } } = this.data, converged = outcome.map((one) => Number(one === 1)), mask = trajlab.edges(converged, n);
      const share = Math.round((100 * converged.reduce((sum, one) => sum + one, 0)) / outcome.length);
      this.label("picture", `Picture of two learning rates: training converges at ${share} % of its pixels. ${KEYS}`);
      const found = (this.data.boxes = trajlab.boxCounting(mask, n - 1));
      const why = n < FEWEST ? `it takes ${FEWEST} pixels along a side` : "its boxes have no common slope";
      this.result.textContent = !mask.includes(1)
        ? "No boundary is seen in this view."
        : found.resolved
          ? `Dimension of the boundary in this view: ${found.dimension.toFixed(2)} ± ${found.standardError.toFixed(2)}, from boxes of ${found.smallest} to ${found.largest} pixels.`
          : `Dimension of the boundary in this view: not resolved at this size; ${why}.`;
    }

    composed(canvas, pixels) {
      if (this.sheet && !this.painted) this.sheet.paint();
      this.painted = true;
      return trajlab.sheet.compose(canvas, pixels, this.view, [this.under, this.sheet].filter(Boolean));
    }

    render() {
      const canvas = this.canvases.picture, size = canvas.clientWidth;
      if (!size) return;
      this.composed(canvas, Math.round(size * (window.devicePixelRatio || 1)));
      const pen = canvas.getContext("2d"), unit = canvas.width / size, [u, v] = this.spot.map((part) => part * canvas.width);
      for (const [colour, width] of [["#000000", 3.5], ["#ffffff", 1.5]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = width * unit;
        pen.beginPath();
        pen.arc(u, v, 6 * unit, 0, 7);
        pen.stroke();
      }
      this.tellProgress();
      this.drawLoss();
    }

    tellProgress() {
      if (!this.data) return;
      const { left, value, view } = this.data, all = value.length, share = (all - left) / all;
      this.bar.style.width = this.data.complete ? "0" : `${100 * share}%`;
      this.progress.textContent = this.data.complete
        ? `${all.toLocaleString("en")} networks, ${view.steps.toLocaleString("en")} steps each at most.`
        : `${Math.floor(100 * share)} % of ${all.toLocaleString("en")} networks are trained; the picture gets finer.`;
    }

    // The network under the pointer

    follow(left, top) {
      this.spot = [left, top].map((place) => Math.min(0.9999, Math.max(0, place / this.size)));
      this.redraw();
    }

    drawLoss() {
      const { view } = this, [column, row] = this.spot.map((part) => Math.floor(part * view.pixels));
      const asked = `${this.state()} ${row} ${column}`;
      if (this.followed !== asked) {
        const setting = [view.condition, view.seed, view.steps].join();
        if (this.setting !== setting) [this.setting, this.pair] = [setting, network(view)];
        [this.followed, this.track] = [asked, trajectory(view, row, column, this.pair)];
        this.fate.textContent = this.told();
      }
      const { losses } = this.track, { colours } = this, first = losses[0];
      trajlab.draw(this.canvases.loss, {
        x: [0, Math.max(1, losses.length - 1)],
        y: trajlab.extent([losses, [first]], true),
        logY: true,
        xLabel: "step",
        colours,
        series: [
          { values: [first, first], at: (i) => i * (losses.length - 1), colour: colours.pale, dash: [4, 3] },
          { values: losses, at: (t) => t, colour: colours.blue, width: 1.8 },
        ],
      });
      this.label("loss", this.told());
    }

    told() {
      const { outcome, endedAt, last, rate: [one, two], offset } = this.track, { steps, condition } = this.values;
      const at = CONDITIONS[condition].offset ? `η = ${pretty(one)}, offset ${pretty(offset)}` : `η₀ = ${pretty(one)}, η₁ = ${pretty(two)}`;
      if (outcome === -1) return `At ${at} training ends at step ${endedAt}: the loss is more than a million times the first one, or no number.`;
      const mean = `the mean of the last 20 of its ${(steps + 1).toLocaleString("en")} losses is ${pretty(last, 2)} times the first`;
      return outcome === 1 ? `At ${at} training converges in the paper’s sense: ${mean}.` : `At ${at} training neither converges nor ends: ${mean}.`;
    }

    // To take along

    table() {
      if (!this.data) return null;
      const { value, outcome, endedAt, view } = this.data, { at } = axes(view), n = view.pixels, rows = [];
      for (let p = 0; p < n * n; p++) {
        if (outcome[p] === -2) continue;
        const [[one, two], offset] = at(Math.floor(p / n), p % n);
        rows.push([one, two, offset, outcome[p], value[p], endedAt[p]]);
      }
      return [["rate0", "rate1", "offset", "outcome", "value", "ended_at"], ...rows];
    }

    /** One pixel of the file is one network. */
    downloadPicture() {
      if (!this.data) return void (this.message.textContent = "There is nothing to download yet.");
      const { ran, complete } = this.data;
      this.sheet.paint();
      this.sheet.canvas.toBlob((blob) => {
        const address = URL.createObjectURL(blob), name = `${this.part}-${this.state(ran).replace(/[:,]/g, "_")}${complete ? "" : "_unfinished"}.png`;
        element("a", { href: address, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(address), 10000);
        this.message.textContent = complete ? "" : "The picture was not yet finished.";
      }, "image/png");
    }
  }

  customElements.define("boundary-explorer", BoundaryExplorer);
});
