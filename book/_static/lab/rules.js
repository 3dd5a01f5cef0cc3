/* <rules-lead>: the figure that leads the chapter on any network and any optimiser. One network is trained by five rules, each of which has
   an edge of stability of its own. */
trajlab.define(function rules(trajlab) {
  const { element, pretty } = trajlab;
  const MOMENTS = 160, EVERY = 25, STEPS = MOMENTS * EVERY;
  const SHOWN = 8; // seconds that a run is shown in
  const TOP = 2; // of the axes; what is above is drawn there
  // Names, the control with the rate, trajlib's numbers of the rule (those of Adam and RMSProp are torch's defaults), and the limit in words.
  const RULES = [
    { name: "gradient descent", short: "descent", rate: "lr", numbers: () => ({}), limit: "2/η" },
    { name: "heavy ball", rate: "lr", numbers: ({ beta }) => ({ p: beta }), limit: "2(1+β)/η" },
    { name: "Nesterov", rate: "lr", numbers: ({ beta }) => ({ p: beta }), limit: "2(1+β)/((1+2β)η)" },
    { name: "RMSProp", rate: "rmsprop", numbers: () => ({ q: 0.99, eps: 1e-8 }), limit: "2/η" },
    { name: "Adam", rate: "adam", numbers: ({ beta1 }) => ({ p: beta1, q: 0.999, eps: 1e-8 }), limit: "(2+2β₁)/((1−β₁)η)" },
  ];

  class RulesLead extends trajlab.Lead {
    get name() {
      return "rules";
    }

    controls() {
      return [
        { key: "lr", label: "learning rate", value: 0.25, min: 0.05, max: 5, logarithmic: true, hint: "of the first three" },
        { key: "beta", label: "momentum β", value: 0.5, min: 0, max: 0.95, step: 0.05 },
        { key: "rmsprop", label: "RMSProp’s learning rate", value: 0.003, min: 0.0003, max: 0.1, logarithmic: true },
        { key: "adam", label: "Adam’s learning rate", value: 0.01, min: 0.001, max: 0.3, logarithmic: true },
        { key: "beta1", label: "Adam’s β₁", value: 0.9, min: 0, max: 0.95, step: 0.05 },
        { key: "ic", label: "initial condition", value: 0, min: 0, max: 99, integer: true },
        { key: "width", label: "hidden units", value: 10, min: 2, max: 24, integer: true },
        { key: "split", label: "split of the flowers", value: 0, min: 0, max: 99, integer: true },
      ];
    }

    figures() {
      const caption = ({ name, limit }) => `<b>${name[0].toUpperCase()}${name.slice(1)}</b>, limit <span class="limit">${limit}</span>`;
      return RULES.map((rule, k) => ({ key: `rule${k}`, kind: "fifth", caption: caption(rule) }));
    }

    get marks() {
      return [[{ lr: 0.1 }, "limits 20, …"], [{ lr: 0.25 }, "limits 8, …"], [{ lr: 1 }, "limits 2, …"]];
    }

    get steps() {
      return STEPS;
    }

    get pace() {
      return STEPS / SHOWN;
    }

    /** As far as all rules have come. */
    get there() {
      return this.data ? EVERY * Math.min(...this.data.sharpness.map(({ length }) => length)) : 0;
    }

    build() {
      super.build();
      const figures = this.shadowRoot.querySelector(".figures"), about = `Sharpness over the rule’s limit of stability, mean of two steps; what is above ${TOP} is drawn there. In each panel: the sharpness, and the limit. For RMSProp and Adam it is the preconditioned one.`;
      figures.classList.add("fifths");
      figures.after(element("p", { class: "about" }, about));
    }

    /** Rules with their numbers and rates, as the worker is asked for them, at the values of a run. */
    asked(values) {
      return RULES.map(({ name, rate, numbers }) => ({ rule: { name, ...numbers(values) }, lr: values[rate] }));
    }

    start() {
      const { ic, width, split } = this.values, rules = this.asked(this.values);
      const limits = rules.map(({ rule, lr }) => trajlab.stabilityLimit(rule, lr));
      const data = { limits, sharpness: RULES.map(() => []), loss: RULES.map(() => []) };
      this.run("limits", { rules, moments: MOMENTS, every: EVERY, condition: ic, width, split }, data);
    }

    receive({ moments }) {
      for (const { k, sharpness, loss } of moments) {
        this.data.sharpness[k].push(sharpness);
        this.data.loss[k].push(loss);
      }
    }

    /** Sharpness over the limit, rule k, mean over the second half of the run. */
    settled(k) {
      const late = this.data.sharpness[k].slice(MOMENTS / 2);
      return late.reduce((sum, value) => sum + value, 0.0) / late.length / this.data.limits[k];
    }

    finish() {
      const { ran, limits, sharpness } = this.data;
      const said = RULES.map(({ name }, k) => `${name} ${this.inWords(this.settled(k))}`);
      this.result.textContent = `Mean of sharpness over limit, second half of the run: ${said.join(", ")}. Initial condition ${ran.ic}, split ${ran.split}, ${ran.width} hidden units.`;
      RULES.forEach(({ name }, k) => {
        const first = pretty(sharpness[k][0] / limits[k], 2);
        this.label(`rule${k}`, `${name}: sharpness over its limit of ${pretty(limits[k], 3)} against step. ${first} at the start, ${this.inWords(this.settled(k))} in the mean of the second half.`);
      });
      super.finish();
    }

    inWords(ratio) {
      return Number.isFinite(ratio) ? ratio.toFixed(2) : "not finite";
    }

    told(step) {
      const loss = this.data.loss.map((one) => one[Math.max(0, Math.ceil(step / EVERY) - 1)]);
      const range = `${pretty(Math.min(...loss), 2)} to ${pretty(Math.max(...loss), 2)}`;
      return [element("b", {}, `step ${pretty(step, 6)}`), `: loss ${range}`];
    }

    axes(k) {
      return { x: [0, STEPS], y: [0, TOP], xTicks: [[0, "0"], [STEPS / 2, "2,000"], [STEPS, "4,000"]], xLabel: "step", colours: this.colours, left: 30, right: 14, series: [] };
    }

    drawAxes() {
      RULES.forEach((_, k) => trajlab.draw(this.canvases[`rule${k}`], this.axes(k)));
    }

    drawAt(step) {
      const { data, colours, canvases } = this, moments = Math.ceil(step / EVERY);
      const limit = { values: [1, 1], at: (i) => i * STEPS, colour: colours.ink, width: 1, dash: [4, 3] };
      RULES.forEach((_, k) => {
        const values = data.sharpness[k].slice(0, moments).map((value) => Math.min(TOP, value / data.limits[k]));
        const ratio = { values, at: (i) => i * EVERY + 1.5, colour: colours.several[k], width: 1.8 };
        const shown = trajlab.draw(canvases[`rule${k}`], { ...this.axes(k), series: [limit, ratio] });
        if (shown) this.write(shown, data.sharpness[k][moments - 1], data.limits[k]);
      });
    }

    /** The sharpness, and the limit that it has. */
    write({ pen, box }, sharpness, limit) {
      pen.fillStyle = this.colours.ink;
      pen.textAlign = "right";
      pen.textBaseline = "top";
      if (sharpness !== undefined) pen.fillText(`${pretty(sharpness, 3)} of ${pretty(limit, 3)}`, box.right, box.top + 2);
    }

    table() {
      if (!this.data || !this.there) return null;
      const { sharpness, limits, loss } = this.data, head = RULES.flatMap(({ name }) => [`sharpness_${name}`, `limit_${name}`, `loss_${name}`].map((text) => text.replace(" ", "_").toLowerCase()));
      const rows = Array.from({ length: this.there / EVERY }, (_, i) => [EVERY * i + 1, ...RULES.flatMap((_, k) => [sharpness[k][i], limits[k], loss[k][i]])]);
      return [["step", ...head], ...rows.map((row) => row.map((value) => (Number.isFinite(value) ? value : "")))];
    }
  }

  customElements.define("rules-lead", RulesLead);
});
