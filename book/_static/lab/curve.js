/* <curve-lead>: the figure that leads chapter 6. The whole curve of training as mean-field theory gives it for infinitely many inputs, and
   diagonal linear networks, trained here and now, that fall on it. */
trajlab.define(function curve(trajlab) {
  const { element, pretty, key } = trajlab;
  const NETWORKS = 6;
  const ALPHA = "init_scale";
  const LISTS = {
    aspect_ratio: ["samples per input δ", "0.5"],
    noise: ["noise of the targets σ", "0.1"],
    sparsity: ["share of coordinates that matter ρ", "0.1"],
    weight_decay: ["weight decay λ", "0"],
  };
  const MARKS = [[{ [ALPHA]: 0.1 }, "learns late"], [{ [ALPHA]: 0.7 }, "between"], [{ [ALPHA]: 3 }, "learns at once"]];

  class CurveLead extends trajlab.Lead {
    get name() {
      return "curve";
    }

    controls() {
      const lists = Object.entries(LISTS).map(([key, [label, value]]) => {
        const choices = trajlab.dmftAxes[key].map((given) => [String(given), String(given)]);
        return { key, label, value, choices };
      });
      const alphas = trajlab.dmftAxes[ALPHA];
      const range = { min: alphas[0], max: alphas[alphas.length - 1], logarithmic: true, stops: alphas };
      const slider = { key: ALPHA, label: "scale of the initialisation α", value: 0.3, ...range };
      const width = { key: "inputs", label: "inputs of each network", value: 300, min: 20, max: 400, integer: true };
      return [{ ...slider, hint: "drag it" }, ...lists, width];
    }

    figures() {
      const networks = key("vermilion", "networks (dots), their mean (rings)");
      const keys = `${key("ink", "theory")}${networks}${key("pale", "theory at other α")}`;
      return [
        { key: "risk", kind: "main", caption: `<b>Excess risk</b>, what a network gets wrong on new data. ${keys}` },
        { key: "training", kind: "side", caption: "<b>Training error</b>, the same runs" },
      ];
    }

    get marks() {
      return MARKS;
    }

    get steps() {
      return trajlab.dmftTimes.length - 1;
    }

    get pace() {
      return 16;
    }

    get there() {
      const { networks = [] } = this.data || {};
      return networks.length ? networks[0].risk.length - 1 : 0;
    }

    /** The theory is there at the values of its grid alone: the nearest of them. */
    allowed(control, given) {
      const [value, message] = super.allowed(control, given);
      if (control.key !== ALPHA) return [value, message];
      const away = (alpha) => Math.abs(Math.log(alpha / value)), alphas = trajlab.dmftAxes[ALPHA];
      const nearest = alphas.reduce((best, alpha) => (away(alpha) < away(best) ? alpha : best));
      if (message || nearest === value || typeof given !== "string") return [nearest, message];
      return [nearest, `The theory has been computed for α = ${alphas.join(", ")}; ${given} became ${nearest}.`];
    }

    /** Excess risk and training error of the grid, at the values of the controls but for some. */
    theory(changed = {}) {
      const values = { ...this.values, ...changed };
      let index = 0;
      for (const [name, axis] of Object.entries(trajlab.dmftAxes))
        index = index * axis.length + axis.map(String).indexOf(String(values[name]));
      return [2 * index, 2 * index + 1].map((line) => trajlab.dmftCurves[line].split(" ").map(Number));
    }

    fresh() {
      const others = trajlab.dmftAxes[ALPHA].filter((alpha) => alpha !== this.values[ALPHA]);
      return { theory: this.theory(), others: others.map((alpha) => this.theory({ [ALPHA]: alpha })), networks: [], ran: { ...this.values }, complete: false };
    }

    build() {
      super.build();
      const [slider, ...others] = [...this.fields.values()].map(({ node }) => node), details = element("details");
      details.append(element("summary", {}, "The other constants"), element("div", { class: "controls" }, ...others));
      slider.parentNode.after(details);
      this.restart();
    }

    /** The theory is there as soon as the slider moves; networks follow. */
    restart() {
      this.data = this.fresh();
      this.head = 0;
      super.restart();
      this.tell();
      this.redraw();
    }

    start() {
      const options = { times: trajlab.dmftTimes, networks: NETWORKS };
      for (const [name, value] of Object.entries(this.values)) options[name] = Number(value);
      this.run("diagonalNetworks", options, this.fresh());
    }

    receive({ network, risk, training }) {
      const { networks } = this.data;
      if (!networks[network]) networks[network] = { risk: [], training: [] };
      networks[network].risk.push(...risk);
      networks[network].training.push(...training);
    }

    finish() {
      this.tell();
      super.finish();
    }

    /** Mean of a series over the networks that have come to a time, and its standard error. */
    mean(name, i = this.steps) {
      const values = this.data.networks.map((one) => one[name][i]).filter((value) => value !== undefined), n = values.length;
      const mean = values.reduce((sum, value) => sum + value, 0) / n;
      return [mean, Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1) / n), n];
    }

    tell() {
      const { theory, ran } = this.data, end = (series) => series[this.steps], [found, error, n] = this.mean("risk");
      const several = n > 1 ? `${n} networks` : "one network", within = n > 1 ? ` ± ${pretty(error, 1)}` : "";
      const networks = n ? `, ${several} of ${ran.inputs} inputs ${pretty(found)}${within}` : "";
      this.result.textContent = `α = ${ran[ALPHA]}: excess risk at t = 10 in theory ${pretty(end(theory[0]))}${networks}.`;
      this.label("risk", `Excess risk against time on a logarithmic axis. ${this.result.textContent}`);
      const training = `in theory ${pretty(theory[1][0])} at first and ${pretty(end(theory[1]))} at t = 10`;
      this.label("training", `Training error against time, both logarithmic: ${training}.`);
    }

    told() {
      const { theory, ran, networks } = this.data, [found, error, n] = this.mean("risk"), bold = (text) => element("b", {}, text);
      const parts = ["excess risk at t = 10: theory ", bold(pretty(theory[0][this.steps], 2))];
      if (n > 1) parts.push(`, mean of ${n} networks `, bold(pretty(found, 2)), ` ± ${pretty(error, 1)}`);
      else if (n) parts.push(", one network ", bold(pretty(found, 2)));
      else if (networks.length) parts.push(`; the first network of ${ran.inputs} inputs is at t = ${pretty(trajlab.dmftTimes[this.there], 2)}`);
      return parts;
    }

    drawAt(step) {
      const { colours, data } = this, times = trajlab.dmftTimes, at = (i) => times[i + 1];
      for (const [i, name] of ["risk", "training"].entries()) {
        const logY = i === 1, curve = (line) => line[i].slice(1).map((value) => value || NaN);
        const all = [data.theory, ...data.others].map(curve), y = logY ? [1e-4, trajlab.extent(all)[1]] : [0, 1.08];
        const series = data.others.map((line) => ({ values: curve(line), at, colour: colours.pale, width: 0.8 }));
        series.push({ values: curve(data.theory), at, colour: colours.ink, width: 2.2 });
        const dots = ({ [name]: values }) => ({ values: values.slice(1), at, colour: colours.vermilion, width: 2.4, mark: "dots" });
        series.push(...data.networks.map(dots));
        const mean = Array.from({ length: step }, (_, k) => this.mean(name, k + 1)[0]);
        series.push({ values: mean, at, colour: colours.vermilion, width: 1.8, mark: "rings" });
        const place = trajlab.draw(this.canvases[name], { x: [0.02, 10], logX: true, xLabel: "time t", y, logY, colours, series });
        if (place && !i) this.nameEnds(place);
      }
    }

    /** Which of the pale curves are the first and the last of the grid. */
    nameEnds({ box, toY }) {
      const pen = this.canvases.risk.getContext("2d"), alphas = trajlab.dmftAxes[ALPHA], { colours, data } = this;
      pen.fillStyle = colours.ink;
      pen.textAlign = "right";
      for (const alpha of [alphas[0], alphas[alphas.length - 1]]) {
        if (alpha === data.ran[ALPHA]) continue;
        const [risk] = this.theory({ ...data.ran, [ALPHA]: alpha });
        const below = alpha === alphas[0];
        pen.textBaseline = below ? "top" : "bottom";
        pen.fillText(`α = ${alpha}`, box.right - 4, toY(risk[this.steps]) + (below ? 8 : -3));
      }
    }

    table() {
      const { theory, networks } = this.data;
      const head = ["time", "theory_excess_risk", "theory_training_error"];
      const names = networks.flatMap((_, n) => [`excess_risk_${n}`, `training_error_${n}`]);
      const at = (i) => networks.flatMap(({ risk, training }) => [risk[i] ?? "", training[i] ?? ""]);
      return [[...head, ...names], ...trajlab.dmftTimes.map((time, i) => [time, theory[0][i], theory[1][i], ...at(i)])];
    }
  }

  customElements.define("curve-lead", CurveLead);
});
