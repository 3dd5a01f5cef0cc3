/* <edge-lead>: the opening figure of the chapter on the edge of stability. How fast an infinitesimal displacement grows or shrinks, step by
   step, while a network trains: chaos is where it goes on growing. */
trajlab.define(function edge(trajlab) {
  const { pretty, key } = trajlab;
  const RUN = { radius: 1e-8, split: 0 };
  const BLOCKS = 300, SHORTEST = 10; // steps that a rate is the mean of, at least
  const SHOWN = 8; // seconds that a run is shown in
  const GROWING = 0.05; // a step
  const RATES = [-0.3, 0.9], APART = [1e-8, 1e3], LOSS = [0, 3], SHARP = [0.1, 10]; // axes, the same at every learning rate
  const onLeft = (loss) => APART[0] * (APART[1] / APART[0]) ** (loss / LOSS[1]); // the axis of the loss is on the right

  class EdgeLead extends trajlab.Lead {
    get name() {
      return "edge";
    }

    controls() {
      return [
        { key: "lr", label: "learning rate", value: 1, min: 0.1, max: 5, logarithmic: true },
        { key: "steps", label: "steps", value: 2000, min: 500, max: 20000, logarithmic: true, integer: true },
        { key: "ic", label: "initial condition", value: 0, min: 0, max: 99, integer: true },
      ];
    }

    figures() {
      return [
        { key: "rate", kind: "row", caption: `<b>Growth of an infinitesimal displacement</b>, a step: ${key("vermilion", "it grows")}, ${key("blue", "it shrinks")}. Line: the mean since the start, the finite-time Lyapunov exponent` },
        { key: "apart", kind: "row", caption: `${key("ink", "<b>Distance</b> of a copy")}, moved by at most 10⁻⁸ at the start, and ${key("several 1", "<b>loss</b>")} (on the right)` },
        { key: "sharp", kind: "row", caption: "<b>Sharpness</b>, the largest curvature of the loss, over 2/lr, mean of two steps: above the line at 1 a step overshoots along it" },
      ];
    }

    get marks() {
      return [[{ lr: 0.1 }, "order"], [{ lr: 1 }, "the paper's"], [{ lr: 5 }, "broken training"]];
    }

    get block() {
      return Math.max(SHORTEST, Math.round(this.data.ran.steps / BLOCKS));
    }

    get steps() {
      return this.data ? this.data.ran.steps : this.values.steps;
    }

    get pace() {
      return this.steps / SHOWN;
    }

    get there() {
      return this.data ? this.data.loss.length : 0;
    }

    start() {
      const { lr, steps, ic } = this.values;
      const block = Math.max(SHORTEST, Math.round(steps / BLOCKS));
      const data = { loss: [], placed: [], distance: [], rate: [], sharpness: [], mean: [] };
      this.run("growth", { ...RUN, lr, steps, condition: ic, block }, data);
    }

    receive(part) {
      const { data } = this;
      for (const key of ["loss", "distance"]) for (const value of part[key]) data[key].push(value);
      for (const loss of part.loss) data.placed.push(onLeft(loss));
      for (const sharpness of part.sharpness) data.sharpness.push((sharpness * data.ran.lr) / 2);
      for (const rate of part.rate) {
        const n = data.rate.push(rate);
        data.mean.push(n > 1 ? data.mean[n - 2] + (rate - data.mean[n - 2]) / n : rate);
      }
    }

    /** Share of the run in which displacements grew, and the step after which they never did. */
    get growth() {
      const { rate } = this.data, grew = rate.flatMap((value, i) => (value > GROWING ? [i] : []));
      return { share: grew.length / rate.length, last: grew.length ? (grew[grew.length - 1] + 1) * this.block : 0 };
    }

    finish() {
      const { ran, loss } = this.data, { share, last } = this.growth, still = last > ran.steps - 5 * this.block;
      const when = !last ? "never grew fast" : `grew by more than ${GROWING} a step in ${Math.round(100 * share)} % of the time, ${still ? "and still does at the end" : `for the last time before step ${pretty(last, 6)}`}`;
      const text = `learning rate ${ran.lr}, initial condition ${ran.ic}, ${pretty(ran.steps, 6)} steps: the displacement ${when}`;
      this.result.textContent = `${text[0].toUpperCase()}${text.slice(1)}; the loss ends at ${pretty(loss[loss.length - 1], 2)}.`;
      this.label("rate", `Growth rate against step. ${text[0].toUpperCase()}${text.slice(1)}.`);
      this.label("apart", `Distance of a copy and loss against step, on a logarithmic scale. The loss ends at ${pretty(loss[loss.length - 1], 2)}.`);
      this.label("sharp", `Sharpness over 2/lr against step: ${pretty(this.data.sharpness[0], 2)} at the start, ${pretty(this.data.sharpness[this.data.sharpness.length - 1], 2)} at the end.`);
      super.finish();
    }

    told(step) {
      const { rate, loss } = this.data, i = Math.min(rate.length, Math.floor(step / this.block)) - 1;
      const strong = (text) => trajlab.element("b", {}, text);
      if (i < 0) return [strong(`step ${step}`)];
      const doing = rate[i] > GROWING ? "grows" : rate[i] < -GROWING ? "shrinks" : "hardly changes";
      return [strong(`step ${pretty(step, 6)}`), ": a displacement ", strong(doing), `, ${rate[i].toFixed(2).replace(/^-(?!0\.00)/, "−").replace("-", "")} a step; loss ${pretty(loss[Math.max(0, step - 1)], 2)}`];
    }

    get axes() {
      return { x: [0, this.steps], xLabel: "step", colours: this.colours, left: 48, right: 30, series: [] };
    }

    drawAxes() {
      trajlab.draw(this.canvases.rate, { ...this.axes, y: RATES });
      trajlab.draw(this.canvases.apart, { ...this.axes, y: APART, logY: true });
      trajlab.draw(this.canvases.sharp, { ...this.axes, y: SHARP, logY: true });
    }

    drawAt(step) {
      const { data, colours, block, canvases, axes } = this, blocks = Math.floor(step / block);
      const middle = (i) => (i + 0.5) * block, end = (i) => (i + 1) * block;
      const level = (y) => ({ values: [y, y], at: (i) => i * data.ran.steps, colour: colours.pale, width: 1 });
      const mean = { values: data.mean.slice(0, blocks), at: end, colour: colours.ink, width: 2 };
      const shown = trajlab.draw(canvases.rate, { ...axes, y: RATES, series: [level(0)] });
      if (shown) this.drawRates(shown, data.rate.slice(0, blocks));
      if (shown) this.drawLine(shown, mean);
      const copies = { values: data.distance.slice(0, step), at: (t) => t, colour: colours.ink, width: 1.4 };
      const loss = { values: data.placed.slice(0, step), at: (t) => t, colour: colours.several[1], width: 1.2, dash: [7, 3] };
      const apart = trajlab.draw(canvases.apart, { ...axes, y: APART, logY: true, series: [loss, copies] });
      if (apart) this.drawAxis(apart);
      const sharp = { values: data.sharpness.slice(0, blocks), at: middle, colour: colours.several[2], width: 1.4 };
      trajlab.draw(canvases.sharp, { ...axes, y: SHARP, logY: true, series: [{ ...level(1), colour: colours.ink, dash: [4, 3] }, sharp] });
    }

    drawRates({ pen, toX, toY }, rates) {
      const zero = toY(0);
      rates.forEach((rate, i) => {
        const x = toX(i * this.block), y = toY(Math.min(RATES[1], Math.max(RATES[0], rate)));
        pen.fillStyle = rate > 0 ? this.colours.vermilion : this.colours.blue;
        pen.fillRect(x, Math.min(y, zero), Math.max(1, toX((i + 1) * this.block) - x - 0.3), Math.abs(y - zero));
      });
    }

    drawAxis({ pen, box, toY }) {
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      pen.fillStyle = this.colours.ink;
      for (let loss = LOSS[0]; loss <= LOSS[1]; loss++) pen.fillText(String(loss), box.right + 8, toY(onLeft(loss)));
    }

    drawLine({ pen, toX, toY }, { values, at, colour, width }) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.beginPath();
      values.forEach((value, i) => pen.lineTo(toX(at(i)), toY(value)));
      pen.stroke();
    }

    /** The rate of a block of steps, and what goes with it, stand in the row of its first step. */
    table() {
      if (!this.data || !this.data.loss.length) return null;
      const { block } = this, { loss, distance, rate, mean, sharpness } = this.data, blocks = [rate, mean, sharpness];
      const head = ["step", "loss", "distance", `growth_rate_of_${block}`, `exponent_after_these_${block}`, "sharpness_over_2_by_lr"];
      return [head, ...loss.map((value, t) => [t, value, distance[t], ...blocks.map((values) => (t % block ? "" : values[t / block] ?? ""))])];
    }
  }

  customElements.define("edge-lead", EdgeLead);
});
