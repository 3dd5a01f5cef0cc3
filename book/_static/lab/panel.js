/* What the laboratory's elements have in common: controls, a state that a link restores, a worker, themes, a table to download.

   An element computes while it is on the screen, and starts again whenever a control changes. What was inside its tags before is the
   fallback for readers without JavaScript, or of the notebook. */
trajlab.define(function panel(trajlab) {
  const PAUSE = 200; // milliseconds without a change before a new run
  const stylesheet = trajlab.file("lab.css");
  const { element } = trajlab;

  class Panel extends HTMLElement {
    // A subclass has: name (of its state in a link), controls(), figures(), start(), receive(part), finish(), render(), table().

    connectedCallback() {
      if (!this.shadowRoot) this.build();
      this.seen = new IntersectionObserver(([entry]) => this.look(entry.isIntersecting));
      this.seen.observe(this);
      this.sized = new ResizeObserver(() => this.redraw());
      this.sized.observe(this);
      this.themed = new trajlab.ThemeWatch(this, () => this.recolour());
      this.listening = new AbortController();
      addEventListener("hashchange", () => this.restore(), { signal: this.listening.signal });
      if (this.restore()) requestAnimationFrame(() => this.scrollIntoView());
    }

    disconnectedCallback() {
      for (const observer of [this.seen, this.sized, this.themed]) observer.disconnect();
      this.listening.abort();
      this.halt();
    }

    build() {
      const root = this.attachShadow({ mode: "open" });
      const style = element("link", { rel: "stylesheet", href: stylesheet });
      style.addEventListener("load", () => this.redraw());
      this.values = {};
      this.fields = new Map(this.controls().map((control) => [control.key, this.field(control)]));
      this.pauseButton = this.button("Pause", () => this.worker && this.pause(!this.paused));
      this.pause(false);
      this.message = element("p", { class: "message", role: "status" });
      this.result = element("p", { class: "result", "aria-live": "polite" });
      this.progress = element("p", { class: "progress" });
      this.canvases = {};
      const figures = this.figures().map(({ key, caption, wide }) => {
        const canvas = (this.canvases[key] = element("canvas", { role: "img" }));
        const text = element("figcaption");
        text.innerHTML = caption;
        canvas.ariaLabel = text.textContent; // until there is more to say
        return element("figure", wide ? { class: "wide" } : {}, text, canvas);
      });
      root.append(
        style,
        element("div", { class: "controls" }, ...[...this.fields.values()].map((field) => field.node)),
        element("div", { class: "buttons" }, this.pauseButton, ...this.buttons().map(([label, action]) => this.button(label, action))),
        this.message,
        this.progress,
        this.result,
        element("div", { class: "figures" }, ...figures),
      );
    }

    buttons() {
      return [
        ["Reset", () => this.reset()],
        ["Copy link", () => this.copyLink()],
        ["Download CSV", () => this.download()],
      ];
    }

    button(label, action) {
      const node = element("button", { type: "button" }, label);
      node.addEventListener("click", action);
      return node;
    }

    /** A slider and a field for the exact number, or a list to choose from. */
    field(control) {
      const { key, label, choices } = control, id = `${key}-field`;
      this.values[key] = control.value;
      if (choices) {
        const list = element("select", { id }, ...choices.map(([value, text]) => element("option", { value }, text)));
        list.addEventListener("change", () => this.set(key, list.value));
        const node = element("div", { class: "control" }, element("label", { for: id }, label), list);
        const show = () => (list.value = this.values[key]);
        show();
        return { control, node, show };
      }
      const { min, max, logarithmic, step, exactOnly } = control;
      const position = (value) => (logarithmic ? Math.log10(value) : value);
      const slider = element("input", { type: "range", id, min: position(min), max: position(max), step: logarithmic ? 0.01 : step || 1 });
      const exact = element("input", { type: "text", inputmode: "decimal", autocomplete: "off" });
      if (exactOnly) exact.id = id;
      else exact.setAttribute("aria-label", `${label}, exact value`);
      const show = () => {
        slider.value = position(this.values[key]);
        exact.value = String(this.values[key]);
        slider.setAttribute("aria-valuetext", exact.value);
      };
      slider.addEventListener("input", () => {
        const value = logarithmic ? Number((10 ** slider.valueAsNumber).toPrecision(3)) : slider.valueAsNumber;
        this.set(key, value);
      });
      exact.addEventListener("change", () => this.set(key, exact.value));
      show();
      const inputs = exactOnly ? [exact] : [slider, exact], kind = exactOnly ? "control exact" : "control";
      return { control, node: element("div", { class: kind }, element("label", { for: id }, label), ...inputs), show };
    }

    /** The nearest value that a control allows, and what to tell the reader if that is not what was asked for. */
    allowed({ key, label, choices, min, max, integer }, given) {
      if (choices) {
        const known = choices.some(([value]) => value === given);
        return known ? [given, ""] : [this.values[key], `${label}: there is no “${given}”.`];
      }
      const number = typeof given === "string" && !given.trim() ? NaN : Number(given);
      const range = `${label} must be ${integer ? "a whole number" : "a number"} from ${min} to ${max}`;
      if (Number.isNaN(number)) return [this.values[key], `${range}; “${given}” is not, so it stays ${this.values[key]}.`];
      const value = Math.min(max, Math.max(min, integer ? Math.round(number) : number));
      const typed = typeof given === "string";
      return [value, typed && value !== number ? `${range}; ${given} became ${value}.` : ""];
    }

    set(key, given) {
      const field = this.fields.get(key);
      [this.values[key], this.message.textContent] = this.allowed(field.control, given);
      field.show();
      this.changed();
    }

    /** After a change by the reader: the address follows, and a new run starts. */
    changed() {
      history.replaceState(history.state, "", this.address());
      this.restart();
    }

    restart() {
      if (!this.begun) return; // its first run will take the values as they are then
      clearTimeout(this.timer);
      this.halt();
      this.timer = setTimeout(() => {
        this.due = true;
        if (this.visible) this.look(true);
      }, PAUSE);
    }

    reset() {
      for (const { control, show } of this.fields.values()) {
        this.values[control.key] = control.value;
        show();
      }
      this.message.textContent = "";
      this.changed();
    }

    state() {
      return [...this.fields.keys()].map((key) => `${key}:${this.values[key]}`).join(",");
    }

    address() {
      return `${location.href.split("#")[0]}#${this.name}=${this.state()}`;
    }

    /** Take the state from the address; says whether there was one. */
    restore() {
      const [name, text = ""] = decodeURIComponent(location.hash.slice(1)).split("=");
      if (name !== this.name || text === this.state()) return name === this.name;
      const messages = [];
      for (const pair of text.split(",")) {
        const [key, given] = pair.split(":"), field = this.fields.get(key);
        if (!field || given === undefined) continue;
        const [value, message] = this.allowed(field.control, given);
        this.values[key] = value;
        field.show();
        if (message) messages.push(message);
      }
      this.message.textContent = messages.join(" ");
      this.restart();
      return true;
    }

    async copyLink() {
      const address = this.address();
      history.replaceState(history.state, "", address);
      try {
        await navigator.clipboard.writeText(address);
        this.message.textContent = "The link is in the clipboard.";
      } catch {
        this.message.textContent = `This browser keeps the clipboard to itself; the link is in the address line: ${address}`;
      }
    }

    download() {
      const rows = this.table();
      if (!rows) return (this.message.textContent = "There is nothing to download yet.");
      const text = rows.map((row) => row.join(",")).join("\n") + "\n";
      const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      element("a", { href: address, download: `${this.name}-${this.state().replace(/[:,]/g, "_")}.csv` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10000);
      this.message.textContent = "";
    }

    /** Compute while on the screen. */
    look(visible) {
      this.visible = visible;
      if (visible && !this.begun) this.begun = this.due = true;
      if (visible && this.due) {
        this.due = false;
        this.start();
      } else this.pause(this.paused);
    }

    pause(paused) {
      this.paused = paused;
      this.pauseButton.ariaDisabled = !this.worker; // not `disabled`, which would take the focus away at the end of a run
      this.pauseButton.textContent = paused ? "Go on" : "Pause";
      if (this.worker) this.worker.postMessage({ halted: paused || !this.visible });
    }

    /** Start a job in a worker of its own: a new one is compiled for the arrays of this run alone, and is the faster for it. */
    run(job, options) {
      this.halt();
      const failed = (text) => {
        this.halt();
        this.message.textContent = `The run stopped: ${text}`;
      };
      let worker;
      try {
        worker = this.worker = trajlab.startWorker();
      } catch (error) {
        return failed(`the browser starts no worker here (${error.message})`);
      }
      worker.onerror = (event) => failed(event.message || "the browser did not start a worker");
      worker.onmessage = ({ data }) => {
        if (worker !== this.worker) return;
        if (data.error) return failed(data.error);
        if (data.part) this.receive(data.part);
        if (data.finished) {
          this.halt();
          this.setAttribute("finished", "");
          this.finish();
        }
        if (data.finished || !matchMedia("(prefers-reduced-motion: reduce)").matches) this.redraw();
      };
      this.removeAttribute("finished");
      worker.postMessage({ job, options });
      this.pause(false);
    }

    halt() {
      if (this.worker) this.worker.terminate();
      this.worker = null;
      this.pause(false);
    }

    recolour() {
      this.colours = trajlab.colours(this.hasAttribute("dark"));
      for (const node of this.shadowRoot.querySelectorAll("[data-colour]")) {
        const [name, index] = node.dataset.colour.split(" ");
        node.style.setProperty("--colour", index ? this.colours[name][index] : this.colours[name]);
        if (!index) continue;
        const { dash, width } = trajlab.stroke(index);
        node.style.setProperty("--line", !dash.length ? "solid" : dash[0] > dash[1] ? "dashed" : "dotted");
        node.style.setProperty("--weight", `${2 * width}px`);
      }
      this.redraw();
    }

    /** Draw with a coming frame, once, however often this is called before it; never for more than a third of the time. */
    redraw() {
      if (this.waiting) return;
      this.waiting = true;
      setTimeout(() => requestAnimationFrame(() => {
        this.waiting = false;
        const began = performance.now();
        this.render();
        this.rest = 2 * (performance.now() - began);
      }), this.rest || 0);
    }
  }

  trajlab.Panel = Panel;
});
