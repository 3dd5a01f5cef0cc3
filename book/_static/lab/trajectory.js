/* <trajectory-lab chapter="...">: train the Iris network and perturbed copies of it, and see loss, distance and a few weights. */
trajlab.define(function trajectory(trajlab) {
  const { pretty, key } = trajlab;
  const FITTED = 201; // records that the exponent is fitted to, as in the chapter
  const FOLLOWED = { "W1[0,0]": 0, "W1[2,3]": 23, "b1[4]": 44, "W2[4,1]": 63, "b2[0]": 80, "b2[2]": 82 };
  // Where the chapters' own figures stand.
  const CHAPTERS = {
    "low-learning-rate": { lr: 0.01, ic: 0, copies: 20, steps: 5000 },
    "edge-of-stability": { lr: 1, ic: 1, copies: 5, steps: 400 },
    intermittency: { lr: 5, ic: 51, copies: 2, steps: 10000, split: 1 },
    "scalar-embedding": { lr: 5, ic: 0, copies: 5, steps: 200, mostCopies: 10, mostSteps: 2000 },
  };
  /** How far a series goes from step to step, in all; what is no longer finite does not count. */
  const variation = (values) => values.reduce((sum, value, t) => sum + (t && Math.abs(value - values[t - 1]) || 0), 0.0);
  const whole = (value) => value.toLocaleString("en");

  class TrajectoryLab extends trajlab.Panel {
    get name() {
      return "lab";
    }

    get first() {
      return CHAPTERS[this.getAttribute("chapter")] || CHAPTERS["low-learning-rate"];
    }

    get withMap() {
      return "split" in this.first;
    }

    get withEmbedding() {
      return "mostSteps" in this.first; // all states are kept, so that there cannot be too many
    }

    controls() {
      const { lr, ic, copies, steps, split, mostCopies = 40, mostSteps = 20000 } = this.first;
      const controls = [
        { key: "lr", label: "learning rate", value: lr, min: 0.01, max: 10, logarithmic: true },
        { key: "ic", label: "initial condition", value: ic, min: 0, max: 499, integer: true },
        { key: "radius", label: "radius of the perturbation", value: 1e-8, min: 1e-14, max: 0.1, logarithmic: true },
        { key: "copies", label: "copies", value: copies, min: 1, max: mostCopies, integer: true },
        { key: "steps", label: "steps", value: steps, min: 50, max: mostSteps, step: 50, integer: true },
      ];
      if (this.withMap) controls.push({ key: "split", label: "split of the data", value: split, min: 0, max: 99, integer: true });
      return controls;
    }

    figures() {
      const names = Object.keys(FOLLOWED).map((name, i) => key(`several ${i}`, name));
      const distance = `<b>Distance</b> from the copies ${key("pale", "each")}${key("ink", "mean")}${key("vermilion", "fit")}`;
      const figures = [
        { key: "loss", caption: "<b>Loss</b>" },
        { key: "distance", caption: distance },
        { key: "weights", caption: `<b>A few weights</b> ${names.join(" ")}` },
      ];
      if (this.withMap)
        figures.splice(
          1,
          0,
          { key: "rung", caption: `<b>Rung</b>: hidden units on ${key("blue", "all saturated")}${key("pale", "not all")}` },
          { key: "map", caption: `<b>Afterwards</b>: loss of ${key("vermilion", "the network")}${key("ink", "the softmax map")}` },
        );
      if (this.withEmbedding)
        figures.splice(
          0,
          0,
          { key: "line", caption: `<b>On a line</b>: z of ${key("ink", "the network")}${key("pale", "its copies")}` },
          { key: "separation", caption: `<b>Separation</b> on the line ${key("pale", "each")}${key("ink", "mean")}` },
        );
      return figures;
    }

    get extras() {
      const { withMap, withEmbedding } = this;
      return { withMap, withEmbedding };
    }

    start() {
      const { lr, ic, radius, copies, steps, split = 0 } = this.values;
      const data = {
        times: 0,
        loss: new Float64Array(steps + 1).fill(NaN),
        mean: new Float64Array(steps + 1).fill(NaN),
        distance: Array.from({ length: copies }, () => new Float64Array(steps + 1).fill(NaN)),
        weights: Object.keys(FOLLOWED).map(() => new Float64Array(steps + 1).fill(NaN)),
        states: [],
        networkSteps: 0,
        milliseconds: 0,
      };
      const followed = Object.values(FOLLOWED);
      this.run("trajectories", { lr, condition: ic, radius, copies, steps, split, followed, ...this.extras }, data);
    }

    receive(part) {
      const { data } = this;
      if (!part.loss) return void Object.assign(data, part); // the comparison, the embedding
      const n = part.loss.length, { copies } = data.ran;
      data.loss.set(part.loss, part.from);
      for (let t = 0; t < n; t++) {
        let sum = 0.0;
        for (let m = 0; m < copies; m++) {
          const value = part.distance[t * copies + m];
          data.distance[m][part.from + t] = value;
          sum += value;
        }
        data.mean[part.from + t] = sum / copies;
        data.weights.forEach((series, k) => (series[part.from + t] = part.weights[t * data.weights.length + k]));
      }
      data.states.push(...part.states);
      data.times = part.from + n;
      data.networkSteps += part.networkSteps;
      data.milliseconds += part.milliseconds;
      if (part.from <= FITTED) data.fit = trajlab.expansionRate(data.mean.subarray(0, Math.min(FITTED, data.times)));
      const speed = Math.round((1000 * data.networkSteps) / data.milliseconds / 100) * 100;
      this.progress.textContent = `step ${whole(data.times - 1)} of ${whole(data.ran.steps)}, ${whole(speed)} network steps a second`;
    }

    finish() {
      const { loss, mean, ran, fit, states, comparison, embedding } = this.data, { steps } = ran;
      const growth = pretty(mean[steps] / mean[0]);
      const parts = [`After ${whole(steps)} steps the loss is ${pretty(loss[steps])}, and d has grown by a factor ${growth}.`];
      const why = { "": "kept", "low R2": "discarded: R² not above 0.9", "low rate": "discarded: not above 0.05" };
      const line = `Λ = ${pretty(fit.rate)} a step, R² = ${fit.r2.toFixed(3)} (${why[fit.reason]})`;
      if (fit.start >= 0) parts.push(`Best window, steps ${fit.start} to ${fit.stop}: ${line}.`);
      else parts.push("No window for a fit: it needs 30 steps with distances above 0.");
      if (comparison) {
        const { saturated, rung, kappa } = states[states.length - 1];
        const apart = comparison.network.map((value, t) => Math.abs(value - comparison.reduced[t]));
        const units = `${rung} hidden unit${rung === 1 ? "" : "s"} on`;
        parts.push(`${saturated ? "Collapsed" : "Not collapsed"}: ${units}, κ = ${kappa.toFixed(2)};`);
        parts.push(`the map's loss is off by ${pretty(apart[1], 1)} after one step, by ${pretty(Math.max(...apart), 1)} at most in 60.`);
      }
      if (embedding) parts.push(`One coordinate explains ${(100 * embedding.explained).toFixed(0)} % of the variance.`);
      this.result.textContent = parts.join(" ");
      for (const name of Object.keys(this.canvases)) this.label(name, this.describe(name));
    }

    describe(name) {
      const { loss, mean, ran } = this.data, { steps } = ran;
      const ends = (series) => `from ${pretty(series[0])} to ${pretty(series[steps])} over ${whole(steps)} steps`;
      return {
        loss: `Loss against step, ${ends(loss)}`,
        distance: `Distance between the network and its ${ran.copies} copies against step; mean ${ends(mean)}`,
        weights: `${Object.keys(FOLLOWED).join(", ")} against step`,
        line: "First coordinate of the network and of its copies, embedded together, against step",
        separation: "Distance of the copies from the network on that line, against step",
        rung: "Number of hidden units that are on, against step",
        map: "Loss of the network and of the softmax map in the 60 steps after the run",
      }[name];
    }

    render() {
      if (!this.data) return;
      const { colours, data, canvases } = this, { ran, times } = data;
      const x = [0, ran.steps], at = (t) => t, until = (series) => series.subarray(0, times);
      const common = { x, xLabel: "step", colours };
      const loss = until(data.loss), logLoss = !this.withMap && ran.lr >= 0.3;
      const low = logLoss ? null : 0;
      const [bottom, top] = trajlab.extent([loss], logLoss);
      const lossLine = { values: loss, at, colour: colours.blue, mark: this.withMap ? "dots" : "line", width: 1.4 };
      trajlab.draw(canvases.loss, { ...common, y: [low ?? bottom, top], logY: logLoss, series: [lossLine] });

      const distances = data.distance.map(until), mean = until(data.mean), fit = data.fit;
      const range = trajlab.extent(distances, true), logD = range[1] > 100 * range[0];
      const lines = distances.map((values) => ({ values, at, colour: colours.pale, width: 0.8 }));
      lines.push({ values: mean, at, colour: colours.ink, width: 2 });
      if (fit && fit.start >= 0) {
        const values = Float64Array.from({ length: fit.stop - fit.start }, (_, i) => Math.exp(fit.intercept + fit.rate * (fit.start + i)));
        lines.push({ values, at: (i) => fit.start + i, colour: colours.vermilion, width: 3 });
      }
      const y = logD ? range : [0, trajlab.extent(distances)[1]];
      trajlab.draw(canvases.distance, { ...common, y, logY: logD, series: lines });

      const weights = data.weights.map(until);
      const points = this.withMap ? { mark: "dots", width: 1.4 } : {}; // from step to step they jump
      const threads = weights.map((values, k) => ({ values, at, colour: colours.several[k], ...trajlab.stroke(k), ...points }));
      threads.sort((a, b) => variation(b.values) - variation(a.values)); // what fills a band goes behind what is a line
      trajlab.draw(canvases.weights, { ...common, y: trajlab.extent(weights), series: threads });
      if (this.withMap) this.renderMap(common);
      if (this.withEmbedding) this.renderEmbedding(common);
    }

    renderEmbedding(common) {
      const { colours, canvases } = this, at = (t) => t;
      const { z, separation } = this.data.embedding || { z: [[]], separation: [] };
      const each = (values) => ({ values, at, colour: colours.pale, width: 0.8 });
      const reference = { values: z[0], at, colour: colours.ink, width: 1.6 };
      trajlab.draw(canvases.line, { ...common, y: trajlab.extent(z), series: [...z.slice(1).map(each), reference] });
      const apart = separation.map((values) => values.map(Math.abs));
      const mean = Array.from(apart[0] || [], (_, t) => apart.reduce((sum, values) => sum + values[t], 0.0) / apart.length);
      const series = [...apart.map(each), { ...reference, values: mean, width: 2 }];
      trajlab.draw(canvases.separation, { ...common, y: trajlab.extent(apart, true), logY: true, series });
    }

    renderMap(common) {
      const { colours, data, canvases } = this, { states, comparison, ran } = data;
      const at = (i) => states[i].step;
      const rung = states.map((state) => state.rung), not = states.map((state) => (state.saturated ? NaN : state.rung));
      const most = Math.max(3, ...rung) + 0.5;
      const steps = { values: rung, at, colour: colours.blue, width: 2, mark: "steps" };
      const open = { values: not, at, colour: colours.pale, width: 5, mark: "dots" };
      trajlab.draw(canvases.rung, { ...common, y: [-0.5, most], series: [steps, open] });
      const both = comparison || { network: [], reduced: [] };
      const after = (i) => ran.steps + i;
      const series = [
        { values: both.reduced, at: after, colour: colours.ink, width: 1 },
        { values: both.reduced, at: after, colour: colours.ink, width: 4, mark: "dots" },
        { values: both.network, at: after, colour: colours.vermilion, width: 1.5, mark: "rings" },
      ];
      let y = trajlab.extent([both.network, both.reduced]);
      if (y[1] - y[0] < 0.1) y = [y[0] - 0.05, y[1] + 0.05]; // the two agree to many digits: no ruler for those
      trajlab.draw(canvases.map, { ...common, x: [ran.steps, ran.steps + 60], y, series });
    }

    table() {
      const { data } = this;
      if (!data || !data.times) return null;
      const names = Object.keys(FOLLOWED).map((name) => `"${name}"`); // quoted: there is a comma in them
      const head = ["step", "loss", "d_mean", ...data.distance.map((_, m) => `d_${m}`), ...names];
      const series = [data.loss, data.mean, ...data.distance, ...data.weights];
      if (data.embedding) {
        head.push("z", ...data.embedding.separation.map((_, m) => `dz_${m}`));
        series.push(data.embedding.z[0], ...data.embedding.separation);
      }
      const rows = [head];
      for (let t = 0; t < data.times; t++) rows.push([t, ...series.map((values) => values[t])]);
      if (this.withMap) {
        const states = new Map(data.states.map((state) => [state.step, state]));
        head.push("rung", "kappa", "saturated", "map_loss");
        for (const row of rows.slice(1)) {
          const { rung = "", kappa = "", saturated = "" } = states.get(row[0]) || {};
          row.push(rung, kappa, saturated === "" ? "" : Number(saturated), "");
        }
        const blank = head.slice(2, -1).map(() => "");
        const { network = [], reduced = [] } = data.comparison || {};
        for (let t = 1; t < network.length; t++) rows.push([data.ran.steps + t, network[t], ...blank, reduced[t]]);
        if (network.length) rows[data.ran.steps + 1][head.length - 1] = reduced[0];
      }
      return rows;
    }
  }

  customElements.define("trajectory-lab", TrajectoryLab);
});
