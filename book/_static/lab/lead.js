/* A figure that leads a page: a large picture that moves, with its caption below it, one or two controls, and marks, values worth a look.

   A run is shown step by step, at a pace at which it can be followed, while it is computed or afterwards. Links in the text set the
   controls (links.js). A subclass has, beside what a panel has, `steps` (of the run that is shown), `pace`, drawAt(step) and told(step),
   what the line of progress says there; drawAxes(), where a run takes a while; and, where the run is to be seen as it grows, `there`, the
   last step that has been computed. */
trajlab.define(function lead(trajlab) {
  const { element } = trajlab;
  const LATE = 500; // milliseconds

  class Lead extends trajlab.Panel {
    /** Values to try: [values, in words]. */
    get marks() {
      return [];
    }

    /** Whether a run takes a fraction of a second: then the picture follows the slider while it is dragged. */
    get quick() {
      return false;
    }

    get steps() {
      return 0;
    }

    /** Steps a second. */
    get pace() {
      return 48;
    }

    get there() {
      return this.data ? this.steps : 0;
    }

    /** Whether all of the run has been shown. */
    get done() {
      return this.data && this.head >= this.steps;
    }

    get still() {
      return trajlab.media("(prefers-reduced-motion: reduce)").matches;
    }

    build() {
      const root = this.attachShadow({ mode: "open" });
      const styles = ["lab", "lead"].map((name) => element("link", { rel: "stylesheet", href: trajlab.file(`${name}.css`) }));
      for (const style of styles) style.addEventListener("load", () => this.redraw());
      this.prepare();
      this.head = 0;
      this.fields = new Map(this.controls().map((control) => [control.key, this.field(control)]));
      for (const { control, node } of this.fields.values()) {
        if (control.hint) node.firstChild.append(element("span", { class: "hint" }, ` · ${control.hint}`));
        for (const input of node.querySelectorAll("input, select")) input.addEventListener("change", () => this.released());
      }
      this.message = element("p", { class: "message", role: "status" });
      this.progress = element("p", { class: "progress", "aria-hidden": "true" });
      this.result = element("p", { class: "result hidden", "aria-live": "polite" });
      this.pauseButton = this.button("Pause", () => this.press());
      this.pauseButton.className = "play";
      this.marked = this.marks.map(([values, text]) => {
        const button = this.button(`${Object.values(values)} `, () => this.choose(values));
        button.append(element("span", {}, text));
        return [values, button];
      });
      const figures = this.figures().map((one) => {
        const figure = this.figure(one);
        figure.append(figure.firstChild); // the caption below
        return figure;
      });
      const group = { class: "buttons", role: "group", "aria-label": "values to try" };
      const buttons = element("div", group, ...this.marked.map(([, button]) => button));
      root.append(
        ...styles,
        element("div", { class: "figures" }, ...figures),
        element("div", { class: "transport" }, this.pauseButton, this.progress),
        element("div", { class: "controls" }, ...[...this.fields.values()].map(({ node }) => node)),
        ...(this.marked.length ? [buttons] : []),
        element("div", { class: "buttons taken" }, ...this.buttons().map(([label, action]) => this.button(label, action))),
        this.message,
        this.note,
        this.result,
      );
      this.mark();
    }

    connectedCallback() {
      super.connectedCallback();
      addEventListener("beforeprint", () => this.data && this.drawAt(this.there), { signal: this.listening.signal }); // all of it, on paper
    }

    // What the reader does

    press() {
      if (this.done) this.play(0);
      else this.pause(!this.paused);
    }

    choose(values) {
      for (const [key, value] of Object.entries(values)) this.set(key, value);
      this.released();
    }

    /** A control has been let go: the address follows (not before: browsers refuse too many changes), and the run is shown from its start. */
    released() {
      trajlab.writeAddress(this);
      this.asFinished = false;
      if (!this.worker && !this.due && this.data && !this.changedSince) this.play(0);
    }

    reset() {
      super.reset();
      this.released();
    }

    changed() {
      this.asFinished = this.quick;
      this.restart();
    }

    obey(text) {
      super.obey(text);
      this.released();
    }

    /** Where a run is quick: without waiting for the reader to come to rest; a run that is under way is finished first. */
    restart() {
      this.mark();
      if (!this.quick) return super.restart();
      this.markBefore();
      if (!this.begun) return;
      this.due = true;
      if (this.visible && !this.worker) this.look(true);
    }

    /** While the slider is dragged a quick picture follows a little late; only what is left behind for longer is marked. */
    markBefore() {
      clearTimeout(this.late);
      if (!this.quick || !this.before || this.hasAttribute("before")) super.markBefore();
      else this.late = setTimeout(() => super.markBefore(), LATE);
    }

    mark() {
      for (const [values, button] of this.marked) {
        const all = Object.entries(values).every(([key, value]) => this.values[key] === value);
        button.setAttribute("aria-pressed", String(all));
      }
    }

    // Time

    take() {
      super.take();
      this.play(this.still || this.asFinished ? this.steps : 0);
    }

    finish() {
      if (this.due) this.look(this.visible);
    }

    play(from) {
      this.head = from;
      this.pause(false);
      this.redraw();
    }

    pause(paused) {
      this.paused = paused;
      this.pauseButton.textContent = this.done ? "Replay" : paused ? "Play" : "Pause";
      this.pauseButton.setAttribute("aria-disabled", !this.data);
      this.tell({ halted: !this.visible });
      this.tick();
    }

    /** What is there before the first part of a run has come. */
    drawAxes() {}

    advance(steps) {
      this.head = Math.min(this.there, this.head + steps);
    }

    get moving() {
      return this.data && this.isConnected && this.visible && !this.paused && this.head < this.there;
    }

    /** Frames are asked for while something moves on the screen, and then no more. A hidden page gets none. */
    tick() {
      if (this.ticking || !this.moving) return;
      this.ticking = true;
      let before = performance.now();
      const frame = (now) => {
        if (!this.moving) return void (this.ticking = false);
        if (now - before >= 30) {
          this.advance((this.pace * Math.min(100, now - before)) / 1000);
          before = now;
          this.render();
          if (this.done) this.pause(false);
        }
        requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    }

    render() {
      if (!this.data) return this.drawAxes();
      const step = Math.floor(Math.min(this.head, this.there));
      this.drawAt(step);
      this.progress.replaceChildren(...this.told(step));
      this.tick(); // more may have come
    }
  }

  trajlab.Lead = Lead;
});
