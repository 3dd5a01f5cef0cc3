/* <weights-lead>: the figure that leads chapter 5. Nine weights to drag, how the run from them ends, and what is foretold at its fifteenth
   step: from finite-time exponents, and from what costs less. */
trajlab.define(function weights(trajlab) {
  const { element, pretty, key } = trajlab;
  const KEYS = ["w11", "w12", "w21", "w22", "b1", "b2", "v1", "v2", "c"]; // W1 by rows, b1, W2, b2
  const NAMES = ["x₁ to unit 1", "x₁ to unit 2", "x₂ to unit 1", "x₂ to unit 2", "bias 1", "bias 2", "unit 1 to ŷ", "unit 2 to ŷ", "bias of ŷ"];
  const MOST = 5, LR = 1e-3, STEPS = 4000, EARLY = 15, LOW = 4, HIGH = 100; // the chapter's
  const REACH = [-1000, 200]; // of the axis of the exponents
  const AT = [0, ...new Set([...Array.from({ length: 61 }, (_, i) => Math.round(STEPS ** (i / 60))), EARLY])].sort((a, b) => a - b);
  const SEED = 1, FIRST = 0, DRAWS = 1000; // the chapter's ensemble, from which the predictors have learnt, is of seed 0
  const READERS = {
    exponents: ["nine exponents", "blue"],
    eigenvalues: ["curvature of the moment", "several 2"], // the eigenvalues of the Hessian
    baselines: ["loss, gradient, sharpness, norm", "vermilion"],
    weights: ["the weights themselves", "several 5"],
  };

  /** How a run has ended. */
  const outcome = (loss) => (loss < LOW ? "ends well" : loss <= HIGH ? "ends in between" : "fails");

  class WeightsLead extends trajlab.Lead {
    get name() {
      return "weights";
    }

    controls() {
      const first = this.drawn(FIRST);
      return KEYS.map((key, i) => ({ key, label: NAMES[i], value: first[i], min: -MOST, max: MOST, exactOnly: true }));
    }

    figures() {
      const loss = "<b>Loss</b> against t = learning rate × steps. Dashed: below 4 a run ends well, above 100 it has failed. Dotted: step 15";
      const exponents = "<b>Its nine finite-time Lyapunov exponents</b>, per unit of t: growth of perturbations since the start";
      return [{ key: "loss", kind: "half", caption: loss }, { key: "exponents", kind: "half", caption: exponents }];
    }

    get quick() {
      return true;
    }

    get steps() {
      return AT.length - 1;
    }

    get pace() {
      return 24;
    }

    get there() {
      return this.data && this.data.loss.length ? this.steps : 0;
    }

    buttons() {
      return [["Another network", () => this.another()], ...super.buttons()];
    }

    build() {
      super.build();
      const root = this.shadowRoot, figures = root.querySelector(".figures"), controls = root.querySelector(".controls");
      const get = (key) => this.values[key], set = (key, value) => this.set(key, value), released = () => this.released();
      this.graph = trajlab.networkGraph({ keys: KEYS, most: MOST, get, set, released });
      const caption = element("figcaption");
      caption.innerHTML = `<b>Drag a weight</b> up or down: ${key("blue", "positive")}${key("vermilion", "negative (dashed)")}, the wider the larger`;
      figures.classList.add("halves");
      figures.prepend(element("figure", { class: "half" }, this.graph.root, caption));
      this.rows = Object.entries(READERS).map(([name, [label, colour]]) => {
        const { auc, right } = trajlab.readers[name], bar = element("span", { class: "bar", "data-colour": colour }), says = element("td", {}, "…");
        const skill = [auc.toFixed(2), `${Math.round(100 * right)} %`].map((text) => element("td", {}, text));
        const reader = element("th", { scope: "row" }, label, element("span", { class: "track" }, bar));
        return { name, bar, says, node: element("tr", {}, reader, says, ...skill) };
      });
      const head = ["Predicted at step 15 from", "ends well", "AUC", "right"].map((text) => element("th", { scope: "col" }, text));
      this.truth = element("p", { class: "truth" });
      const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...this.rows.map(({ node }) => node)));
      const details = element("details", {}, element("summary", {}, "The nine numbers"));
      controls.replaceWith(details);
      details.append(controls);
      figures.append(element("figure", { class: "half forecast" }, table, this.truth));
      this.graph.show();
    }

    /** A network as the chapter draws them, to two digits; the predictors have learnt from none of these. */
    drawn(index) {
      return Array.from(trajlab.initialConditions(trajlab.PLANE_SIZES, index, 1, SEED), (value) => Number(value.toFixed(2)));
    }

    another() {
      const next = this.drawn(Math.floor(Math.random() * DRAWS));
      this.choose(Object.fromEntries(KEYS.map((key, i) => [key, Math.max(-MOST, Math.min(MOST, next[i]))])));
    }

    recolour() {
      super.recolour();
      const signs = { positive: "blue", negative: "vermilion" };
      for (const [sign, colour] of Object.entries(signs)) this.graph.root.style.setProperty(`--${sign}`, this.colours[colour]);
    }

    restart() {
      if (this.graph) this.graph.show();
      super.restart();
    }

    /** After a drag the exponents follow; while it lasts there is the run and what is foretold. */
    released() {
      super.released();
      if (this.data && !this.data.whole) this.restart();
    }

    start() {
      const whole = !this.asFinished, weights = KEYS.map((key) => this.values[key]);
      const data = { loss: [], exponents: [], orthonormal: [], forecast: null, whole };
      this.run("weights", { weights, lr: LR, at: AT, early: EARLY, exponents: whole }, data);
    }

    receive({ loss, state, exponents = [] }) {
      const { data } = this;
      if (loss) Object.assign(data, { loss, state });
      for (const { step, exponents: values, orthonormal } of exponents) {
        data.exponents.push(values);
        data.orthonormal.push(orthonormal);
        if (step === EARLY) data.forecast = this.foretell({ ...data.state, exponents: values });
      }
    }

    /** Chances to end well. */
    foretell(told) {
      const chance = (name) => 1 / (1 + Math.exp(-trajlab.forecast(trajlab.readers[name], told[name])));
      return Object.fromEntries(Object.keys(READERS).map((name) => [name, chance(name)]));
    }

    finish() {
      const { loss, forecast, exponents } = this.data, last = loss[this.steps];
      const chances = this.rows.map(({ name }) => `${READERS[name][0]}: ${Math.round(100 * forecast[name])} %`).join("; ");
      this.result.textContent = `The run ${outcome(last)}, with a loss of ${pretty(last)}. Chance to end well, predicted at step 15 from ${chances}.`;
      this.label("loss", `Loss against t, both logarithmic: from ${pretty(loss[0])} to ${pretty(last)}.`);
      const [first, , , , , , , , ninth] = (exponents[this.steps - 1] || []).map((value) => pretty(value, 2));
      const now = first ? `; at the end the first is ${first}, the ninth ${ninth}` : "";
      this.label("exponents", `Nine finite-time Lyapunov exponents against t on a logarithmic axis${now}.`);
      if (!this.data.whole && !this.asFinished) this.due = true; // it has been let go meanwhile
      super.finish();
    }

    told(step) {
      const { loss } = this.data, bold = (text) => element("b", {}, text), end = step === this.steps;
      const ended = end ? ["; the run ", bold(outcome(loss[step]))] : [];
      return [bold(`t = ${pretty(AT[step] * LR, 2)}`), ` — loss ${pretty(loss[step], 3)}`, ...ended];
    }

    get common() {
      return { x: [AT[1] * LR, AT[this.steps] * LR * 1.05], logX: true, xLabel: "t", colours: this.colours };
    }

    drawAxes() {
      trajlab.draw(this.canvases.loss, { ...this.common, y: [1, 200], logY: true, series: [] });
      trajlab.draw(this.canvases.exponents, { ...this.common, y: REACH, symmetric: true, series: [] });
    }

    drawAt(step) {
      const { colours, data, canvases, common } = this, { loss, exponents, forecast } = data, times = AT.map((t) => t * LR);
      if (!loss.length) return this.drawAxes();
      const at = (i) => times[i + 1];
      const level = (values, y, dash) => ({ values, at: y, colour: colours.pale, width: 1.2, dash });
      const mark = (low, high) => level([low, high], () => EARLY * LR, [1.5, 2.5]), ends = [times[1], times[this.steps]];
      const range = trajlab.extent([loss, [1, 200]], true);
      const curve = { values: loss.slice(1, step + 1), at, colour: colours.ink, width: 2.2 };
      const limits = [LOW, HIGH].map((value) => level([value, value], (i) => ends[i], [7, 3]));
      trajlab.draw(canvases.loss, { ...common, y: range, logY: true, series: [...limits, mark(...range), curve] });
      const shown = exponents.slice(0, step);
      const line = (_, j) => ({ values: shown.map((all) => all[8 - j]), at, colour: colours.blue, width: j < 8 ? 0.9 : 2.2 });
      const lines = [mark(...REACH), ...Array.from({ length: 9 }, line)];
      trajlab.draw(canvases.exponents, { ...common, y: REACH, symmetric: true, series: lines });
      for (const { name, bar, says } of forecast ? this.rows : []) {
        bar.style.width = `${100 * forecast[name]}%`;
        says.textContent = `${Math.round(100 * forecast[name])} %`;
      }
      const unlike = ["b1", "b2", "c"].some((key) => data.ran[key] !== 0) || KEYS.some((key) => Math.abs(data.ran[key]) > 3.5);
      const beyond = unlike ? " The predictors know weights of N(0, 1) and biases of zero; this network is unlike those." : "";
      this.truth.textContent = `In truth the run ${outcome(loss[this.steps])} (loss ${pretty(loss[this.steps], 2)}).${beyond}`;
    }

    table() {
      const { loss, exponents, orthonormal } = this.data || { loss: [] };
      if (!loss.length) return null;
      const nine = (name) => Array.from({ length: 9 }, (_, j) => `${name}_${j + 1}`), blank = new Array(9).fill("");
      const rows = AT.map((step, i) => [step, step * LR, loss[i], ...(exponents[i - 1] || blank), ...(orthonormal[i - 1] || blank)]);
      return [["step", "t", "loss", ...nine("exponent"), ...nine("orthonormal")], ...rows];
    }
  }

  customElements.define("weights-lead", WeightsLead);
});
