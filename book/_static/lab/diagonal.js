/* <dmft-lab>: one diagonal linear network, trained in the browser, on the curves that mean-field theory gives for infinitely many. */
trajlab.define(function diagonal(trajlab) {
  const { pretty } = trajlab;
  const LABELS = {
    aspect_ratio: "samples per input δ",
    init_scale: "scale of the initialisation α",
    noise: "noise of the targets σ",
    sparsity: "share of coordinates that matter ρ",
    weight_decay: "weight decay λ",
  };
  const START = { aspect_ratio: "0.5", init_scale: "0.3", noise: "0.1", sparsity: "0.1", weight_decay: "0" };
  const key = (colour, text) => `<span class="key" data-colour="${colour}">${text}</span>`;

  class DmftLab extends trajlab.Panel {
    get name() {
      return "dmft";
    }

    controls() {
      const lists = Object.entries(LABELS).map(([key, label]) => {
        const choices = trajlab.dmftAxes[key].map((value) => [String(value), String(value)]);
        return { key, label, value: START[key], choices };
      });
      return [
        ...lists,
        { key: "inputs", label: "inputs of the network", value: 300, min: 20, max: 400, integer: true },
        { key: "seed", label: "seed of the network", value: 0, min: 0, max: 999, integer: true },
      ];
    }

    figures() {
      const keys = `${key("ink", "theory")}${key("vermilion", "this network")}`;
      return [
        { key: "risk", caption: `<b>Excess risk</b> ${keys}` },
        { key: "training", caption: `<b>Training error</b> ${keys}` },
      ];
    }

    /** The curves of the grid for the values of the controls: excess risk, training error. */
    theory() {
      let index = 0;
      for (const [name, values] of Object.entries(trajlab.dmftAxes)) index = index * values.length + values.map(String).indexOf(this.values[name]);
      return [2 * index, 2 * index + 1].map((line) => trajlab.dmftCurves[line].split(" ").map(Number));
    }

    start() {
      const data = { theory: this.theory(), risk: [], training: [] };
      const options = { times: trajlab.dmftTimes };
      for (const [name, value] of Object.entries(this.values)) options[name] = Number(value);
      this.run("diagonal", options, data);
    }

    receive({ risk, training }) {
      this.data.risk.push(...risk);
      this.data.training.push(...training);
      this.progress.textContent = `time ${pretty(trajlab.dmftTimes[this.data.risk.length - 1])} of 10`;
    }

    finish() {
      const { theory, risk, ran } = this.data;
      const [expected, found] = [theory[0], risk].map((series) => pretty(series[series.length - 1]));
      this.result.textContent = `Excess risk at t = 10: theory ${expected}, this network of ${ran.inputs} inputs ${found}.`;
      this.label("risk", "Excess risk against time, theory and network");
      this.label("training", "Training error against time, theory and network");
    }

    render() {
      if (!this.data) return;
      const { colours } = this, times = trajlab.dmftTimes, common = { x: [0.02, 10], logX: true, xLabel: "time t", colours };
      for (const [i, name] of ["risk", "training"].entries()) {
        const logY = name === "training", theory = this.data.theory[i].slice(1), network = this.data[name].slice(1);
        const at = (index) => times[index + 1];
        const range = trajlab.extent([theory, network], logY);
        trajlab.draw(this.canvases[name], {
          ...common,
          y: logY ? [Math.max(range[0], 1e-6), range[1]] : [0, range[1]],
          logY,
          series: [
            { values: theory.map((value) => value || NaN), at, colour: colours.ink, width: 1.8 },
            { values: network, at, colour: colours.vermilion, width: 1.5, mark: "rings" },
          ],
        });
      }
    }

    table() {
      if (!this.data || !this.data.risk.length) return null;
      const { theory, risk, training } = this.data;
      const head = ["time", "theory_excess_risk", "theory_training_error", "network_excess_risk", "network_training_error"];
      return [head, ...risk.map((value, i) => [trajlab.dmftTimes[i], theory[0][i], theory[1][i], value, training[i]])];
    }
  }

  customElements.define("dmft-lab", DmftLab);
});
