/* What the laboratory's elements have in common: controls, a state that a link restores, a worker, themes, a table to download.

   An element computes while it is on the screen, and starts again whenever a control changes. Until the new run is there the old one stays,
   marked as that of the values before; `data.ran` holds the values that the data are of. What was inside its tags before is the fallback
   for readers without JavaScript, or of the notebook. */
trajlab.define(function panel(trajlab) {
  const PAUSE = 200; // milliseconds without a change before a new run
  const stylesheet = trajlab.file("lab.css");
  const { element } = trajlab;

  class Panel extends HTMLElement {
    // A subclass has: name (of its state in a link), controls(), figures(), start(), receive(part), finish(), render(), table().

    /** Whether a run is shown only when all of it is there. */
    get whole() {
      return false;
    }

    /** Its part of the address; the first of its kind on the page has the plain name. */
    get part() {
      const place = [...document.querySelectorAll(this.localName)].indexOf(this);
      return place > 0 ? `${this.name}${place + 1}` : this.name;
    }

    connectedCallback() {
      if (!this.shadowRoot) this.build();
      trajlab.panels.add(this);
      this.seen = trajlab.watchVisible(this, (visible) => this.look(visible));
      this.sized = trajlab.watchSize(this, () => this.redraw());
      this.themed = new trajlab.ThemeWatch(this, () => this.recolour());
      this.listening = new AbortController();
      addEventListener("hashchange", () => this.restore(), { signal: this.listening.signal });
      this.restore();
      const [first] = trajlab.readAddress().keys();
      if (first === this.part) requestAnimationFrame(() => this.scrollIntoView());
    }

    disconnectedCallback() {
      for (const observer of [this.seen, this.sized, this.themed]) observer.disconnect();
      this.listening.abort();
      trajlab.panels.delete(this);
      this.visible = false;
      if (this.worker) this.due = true; // it may come back
      this.halt();
    }

    build() {
      const root = this.attachShadow({ mode: "open" });
      const style = element("link", { rel: "stylesheet", href: stylesheet });
      style.addEventListener("load", () => this.redraw());
      this.prepare();
      this.fields = new Map(this.controls().map((control) => [control.key, this.field(control)]));
      this.pauseButton = this.button("Pause", () => this.worker && this.pause(!this.paused));
      this.pause(false);
      this.message = element("p", { class: "message", role: "status" });
      this.result = element("p", { class: "result", "aria-live": "polite" });
      this.progress = element("p", { class: "progress" });
      const figures = this.figures().map((figure) => this.figure(figure));
      root.append(
        style,
        element("div", { class: "controls" }, ...[...this.fields.values()].map((field) => field.node)),
        element("div", { class: "buttons" }, this.pauseButton, ...this.buttons().map(([label, action]) => this.button(label, action))),
        this.message,
        this.note,
        this.progress,
        this.result,
        element("div", { class: "figures" }, ...figures),
      );
    }

    prepare() {
      [this.values, this.canvases, this.captions, this.labels, this.workers] = [{}, {}, {}, {}, []];
      this.note = element("p", { class: "hidden", role: "status" });
    }

    /** A caption and a canvas, with the words that mark it as out of date. */
    figure({ key, caption, kind = "" }) {
      const canvas = (this.canvases[key] = element("canvas", { role: "img" })), text = element("figcaption");
      text.innerHTML = caption;
      this.label(key, (this.captions[key] = text.textContent)); // until there is more to say
      const plot = element("div", { class: "plot" }, canvas, element("span", { class: "before" }, "of the values before"));
      return element("figure", { class: kind }, text, plot);
    }

    /** What a figure shows, for those who cannot see it. */
    label(key, text) {
      this.labels[key] = text;
      this.canvases[key].setAttribute("aria-label", (this.before ? "Of the values before: " : "") + text);
    }

    /** Whether the values have changed since the run that the data are of. */
    get changedSince() {
      return Boolean(this.data) && this.state(this.data.ran) !== this.state();
    }

    /** Whether what is drawn is no longer what the controls say. */
    get before() {
      return this.changedSince;
    }

    markBefore() {
      this.toggleAttribute("before", this.before);
      this.note.textContent = this.before ? "The figures are of the values before." : "";
      for (const [key, text] of Object.entries(this.labels)) this.label(key, text);
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
      const { min, max, logarithmic, step, exactOnly, stops } = control; // stops: the only values that there are, from small to large
      const position = (value) => (stops ? stops.findIndex((stop) => stop >= value) : logarithmic ? Math.log10(value) : value);
      const fine = logarithmic && !stops ? 0.01 : step || 1;
      const slider = element("input", { type: "range", id, min: position(min), max: position(max), step: fine });
      const exact = element("input", { type: "text", inputmode: "decimal", autocomplete: "off" });
      if (exactOnly) exact.id = id;
      else exact.setAttribute("aria-label", `${label}, exact value`);
      const show = () => {
        slider.value = position(this.values[key]);
        exact.value = String(this.values[key]);
        slider.setAttribute("aria-valuetext", exact.value);
      };
      slider.addEventListener("input", () => {
        const place = slider.valueAsNumber;
        this.set(key, stops ? stops[place] : logarithmic ? Number((10 ** place).toPrecision(3)) : place);
      });
      exact.addEventListener("change", () => this.set(key, exact.value));
      show();
      const inputs = exactOnly ? [exact] : [slider, exact], kind = exactOnly ? "control exact" : "control";
      return { control, node: element("div", { class: kind }, element("label", { for: id }, label), ...inputs), show };
    }

    /** The value that a control takes, and what to tell the reader if that is not what was asked for: beyond the range it is the nearest
        end; what is no number, or no whole one, changes nothing. */
    allowed({ key, label, choices, min, max, integer }, given) {
      if (choices) {
        const known = choices.some(([value]) => value === given);
        return known ? [given, ""] : [this.values[key], `${label}: there is no “${given}”.`];
      }
      const number = typeof given === "string" ? Number(given.trim().replace("−", "-") || NaN) : given;
      const range = `${label} must be ${integer ? "a whole number" : "a number"} from ${min} to ${max}`;
      if (Number.isNaN(number) || (integer && Number.isFinite(number) && !Number.isInteger(number)))
        return [this.values[key], `${range}; “${given}” is not, so it stays ${this.values[key]}.`];
      const value = Math.min(max, Math.max(min, number));
      return [value, value === number ? "" : `${range}; ${given} became ${value}.`];
    }

    set(key, given) {
      const field = this.fields.get(key), before = this.values[key];
      [this.values[key], this.message.textContent] = this.allowed(field.control, given);
      field.show();
      if (this.values[key] !== before) this.changed();
    }

    /** After a change by the reader: a new run starts, and the address follows. */
    changed() {
      this.restart();
      trajlab.writeAddress(this);
    }

    restart() {
      this.markBefore();
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

    state(values = this.values) {
      return [...this.fields.keys()].map((key) => `${key}:${values[key]}`).join(",");
    }

    /** Take the state from the address, where there is one. */
    restore() {
      const text = trajlab.readAddress().get(this.part);
      if (text === undefined) return;
      this.touched = true;
      if (text === this.state()) return;
      this.assign(text);
      this.restart();
    }

    /** Take values from a text like lr:0.5,ic:3; what it leaves out, or says wrongly, stays as it is. */
    assign(text) {
      const messages = [];
      for (const pair of text.split(",").filter(Boolean)) {
        const [key, given] = pair.split(":"), field = this.fields.get(key);
        if (!field || given === undefined) {
          messages.push(`“${pair.slice(0, 40)}” in the link is not understood, and is left out.`);
          continue;
        }
        const [value, message] = this.allowed(field.control, given);
        this.values[key] = value;
        field.show();
        if (message) messages.push(message);
      }
      this.message.textContent = messages.join(" ");
    }

    /** Do what a link in the text says (links.js). */
    obey(text) {
      const before = this.state();
      this.assign(text);
      if (this.state() !== before) this.changed();
      else trajlab.writeAddress(this);
    }

    async copyLink() {
      const address = trajlab.addressOf(this);
      trajlab.writeAddress(this);
      try {
        await navigator.clipboard.writeText(address);
        this.message.textContent = "The link is in the clipboard.";
      } catch {
        this.message.textContent = `This browser keeps the clipboard to itself; the link is in this line: ${address}`;
      }
    }

    /** Save what is there, under the name of the values that it is of, whatever the controls say by now. */
    download() {
      const rows = this.table();
      if (!rows) return (this.message.textContent = "There is nothing to download yet.");
      const { ran, complete } = this.data, text = rows.map((row) => row.join(",")).join("\n") + "\n";
      const name = `${this.part}-${this.state(ran).replace(/[:,]/g, "_")}${complete ? "" : "_unfinished"}.csv`;
      const messages = [];
      if (this.changedSince) messages.push("The file holds the run of the values before, and has their name.");
      if (!complete) messages.push("It holds what had been computed of a run that has not ended.");
      try {
        const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
        element("a", { href: address, download: name }).click();
        setTimeout(() => URL.revokeObjectURL(address), 10000);
        this.message.textContent = messages.join(" ");
      } catch (error) {
        this.message.textContent = `This browser saves no file here (${error.message}).`;
      }
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
      this.pauseButton.setAttribute("aria-disabled", !this.worker); // not `disabled`, which would take the focus away at the end of a run
      this.pauseButton.textContent = paused ? "Go on" : "Pause";
      this.tell({ halted: paused || !this.visible });
    }

    /** Start a job in a worker of its own: a new one is compiled for the arrays of this run alone, and is the faster for it; or in several,
        if the job can be shared. `data` will hold what comes, and takes the place of the old when something has come. */
    run(job, options, data) {
      this.halt();
      this.coming = { ...data, ran: { ...this.values }, complete: false };
      const failed = (text) => {
        this.halt();
        this.message.textContent = `The run stopped: ${text}`;
      };
      const of = trajlab.shared.has(job) ? Math.min(8, navigator.hardwareConcurrency || 1) : 1;
      let left = of;
      const answered = (workers, { data }) => {
        if (workers !== this.workers) return;
        if (data.error) return failed(data.error);
        const finished = data.finished && --left === 0;
        if (finished) this.halt();
        if (this.coming && (finished || !this.whole)) this.take();
        if (data.part) this.receive(data.part);
        if (finished) {
          this.data.complete = true;
          this.setAttribute("finished", "");
          this.finish();
        }
        if (finished || !trajlab.media("(prefers-reduced-motion: reduce)").matches) this.redraw();
      };
      const workers = (this.workers = []);
      try {
        for (let turn = 0; turn < of; turn++) {
          const worker = trajlab.startWorker();
          workers.push(worker);
          worker.onerror = (event) => failed(event.message || "the browser did not start a worker");
          worker.onmessage = (event) => answered(workers, event);
        }
      } catch (error) {
        return failed(`the browser starts no worker here (${error.message})`);
      }
      this.removeAttribute("finished");
      workers.forEach((worker, turn) => worker.postMessage({ job, options: of > 1 ? { ...options, turn, of } : options }));
      this.pause(false);
    }

    /** The first of those that compute, if any does. */
    get worker() {
      return this.workers[0] || null;
    }

    tell(message) {
      for (const worker of this.workers) worker.postMessage(message);
    }

    take() {
      [this.data, this.coming] = [this.coming, null];
      this.result.textContent = "";
      for (const [key, caption] of Object.entries(this.captions)) this.label(key, caption);
      this.markBefore();
    }

    halt() {
      for (const worker of this.workers) worker.terminate();
      this.workers = [];
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
        try {
          this.render();
        } catch (error) {
          this.message.textContent = `The figures could not be drawn: ${error.message}`;
          console.error(error);
        }
        this.rest = 2 * (performance.now() - began);
      }), this.rest || 0);
    }
  }

  trajlab.Panel = Panel;
});
