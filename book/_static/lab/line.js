/* <line-lead>: the figure that leads chapter 4. A network and five copies on a line, what the line shows of their distance, two clocks. */
trajlab.define(function line(trajlab) {
  const { element, pretty, key } = trajlab;
  const RUN = { radius: 1e-8, copies: 5, steps: 200, split: 0 }; // the chapter's
  const BOTTOM = 1e-12, TOP = 30; // the axis of the separations, the same at every learning rate
  const MARKS = [[{ lr: 0.1 }, "drift"], [{ lr: 1 }, "chaos"], [{ lr: 5 }, "broken training"]];

  class LineLead extends trajlab.Lead {
    get name() {
      return "line";
    }

    controls() {
      return [
        { key: "lr", label: "learning rate", value: 1, min: 0.01, max: 10, logarithmic: true, hint: "drag it" },
        { key: "ic", label: "initial condition", value: 0, min: 0, max: 499, integer: true },
      ];
    }

    figures() {
      const members = `${key("ink", "a network")}${key("pale", "five copies, moved by at most 10⁻⁸")}`;
      const line = `<b>On a line:</b> one number z for 83 weights, of ${members}`;
      const keys = `${key("blue", "on the line")}${key("vermilion", "in all 83 dimensions, D (dashed)")}`;
      const both = `<b>How far apart they are</b>, mean of the copies: ${keys}. Upright: half of the plateau is reached`;
      return [{ key: "z", kind: "band", caption: line }, { key: "apart", kind: "band", caption: both }];
    }

    get marks() {
      return MARKS;
    }

    get whole() {
      return true;
    }

    get quick() {
      return true;
    }

    get steps() {
      return RUN.steps;
    }

    start() {
      const { lr, ic } = this.values;
      this.run("line", { ...RUN, lr, condition: ic }, { distance: [] });
    }

    receive({ distance, ...embedding }) {
      if (distance) this.coming.distance.push(...distance);
      else Object.assign(this.coming, embedding);
    }

    take() {
      const { coming } = this, { distance, separation } = coming;
      const mean = (values) => values.reduce((sum, value) => sum + value, 0.0) / values.length;
      coming.D = distance.map(mean);
      coming.line = coming.D.map((_, t) => mean(separation.map((values) => values[t])));
      coming.clocks = { line: trajlab.saturationTime(coming.line), D: trajlab.saturationTime(coming.D) };
      super.take();
    }

    finish() {
      const { ran, explained, line, D, clocks } = this.data, end = RUN.steps;
      const reached = (time) => (time === null ? `has no plateau within ${end} steps` : `reaches half of its plateau at step ${time}`);
      const when = (name, time) => `${name} ${reached(time)}`;
      const told = `${when("the distance D", clocks.D)}, ${when("the separation on the line", clocks.line)}`;
      const share = pretty(100 * (line[end] / D[end]), 2), variance = Math.round(100 * explained);
      const sees = `one coordinate explains ${variance} % of the variance, and at the end sees ${share} % of D`;
      this.result.textContent = `Learning rate ${ran.lr}, initial condition ${ran.ic}: ${told}; ${sees}.`;
      this.label("z", `Coordinate of the network and of its ${RUN.copies} copies against step; ${sees}.`);
      this.label("apart", `Separation on the line and distance D against step, on a logarithmic scale; ${told}.`);
      super.finish();
    }

    told(step) {
      const { line, D, clocks } = this.data, bold = (text) => element("b", {}, text);
      const parts = [bold(`step ${step}`), " — the line sees ", bold(`${pretty(100 * (line[step] / D[step]), 2)} %`), " of the distance"];
      if (step < RUN.steps) return parts;
      const time = (value) => (value === null ? "none" : `step ${value}`);
      return [...parts, "; clock of D: ", bold(time(clocks.D)), ", of the line: ", bold(time(clocks.line))];
    }

    drawAxes() {
      const { colours, canvases } = this, common = { x: [0, RUN.steps], xLabel: "step", series: [], colours, left: 48 };
      trajlab.draw(canvases.z, { ...common, y: [-1, 1] });
      trajlab.draw(canvases.apart, { ...common, y: [BOTTOM, TOP], logY: true });
    }

    drawAt(step) {
      const { colours, data } = this, { z, separation, line, D, clocks } = data, at = (t) => t;
      const common = { x: [0, RUN.steps], xLabel: "step", colours, left: 48 }, until = (values) => values.slice(0, step + 1);
      const each = (values) => ({ values: until(values), at, colour: colours.pale, width: 0.9 });
      const network = { values: until(z[0]), at, colour: colours.ink, width: 1.8 };
      const place = trajlab.draw(this.canvases.z, { ...common, y: trajlab.extent(z), series: [...z.slice(1).map(each), network] });
      const mean = { values: until(line), at, colour: colours.blue, width: 2.2 };
      const all = { values: until(D), at, colour: colours.vermilion, width: 2.2, dash: [7, 3] }, both = [...separation.map(each), mean, all];
      const apart = trajlab.draw(this.canvases.apart, { ...common, y: [BOTTOM, TOP], logY: true, series: both });
      if (!place || !apart) return; // out of sight
      this.drawHeads(place, step);
      const marks = [["D", clocks.D, colours.vermilion, [7, 3], 16], ["line", clocks.line, colours.blue, [], 32]];
      for (const [name, time, colour, dash, height] of marks) {
        if (time === null || time > step) continue;
        this.drawClock(this.canvases.z, place, time, colour, dash);
        this.drawClock(this.canvases.apart, apart, time, colour, dash, `${name}: step ${time}`, height);
      }
    }

    /** The line, where it stands now, and who is where on it. */
    drawHeads({ box, toX, toY }, step) {
      const pen = this.canvases.z.getContext("2d"), x = toX(step), { colours, data } = this;
      pen.strokeStyle = colours.pale;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(x, box.top);
      pen.lineTo(x, box.bottom);
      pen.stroke();
      for (let m = RUN.copies; m >= 0; m--) {
        pen.fillStyle = m ? colours.several[m - 1] : colours.ink;
        pen.beginPath();
        pen.arc(x, toY(data.z[m][step]), m ? 3.2 : 4.2, 0, 7);
        pen.fill();
      }
    }

    drawClock(canvas, { box, toX }, time, colour, dash, text = "", height = 0) {
      const pen = canvas.getContext("2d"), x = toX(time);
      pen.strokeStyle = pen.fillStyle = colour;
      pen.lineWidth = 1.6;
      pen.setLineDash(dash);
      pen.beginPath();
      pen.moveTo(x, box.top);
      pen.lineTo(x, box.bottom);
      pen.stroke();
      pen.setLineDash([]);
      if (!text) return;
      const right = x < (box.left + box.right) / 2;
      pen.textAlign = right ? "left" : "right";
      pen.textBaseline = "bottom";
      pen.fillText(text, x + (right ? 6 : -6), box.bottom - height + 12);
    }

    table() {
      if (!this.data) return null;
      const { z, separation, distance, line, D } = this.data;
      const each = (name) => separation.map((_, m) => `${name}_${m}`), inTime = (series, t) => series.map((values) => values[t]);
      const head = ["step", "z", ...each("z"), "dz_mean", ...each("dz"), "D_mean", ...each("D")];
      return [head, ...D.map((value, t) => [t, ...inTime(z, t), line[t], ...inTime(separation, t), value, ...distance[t]])];
    }
  }

  customElements.define("line-lead", LineLead);
});
