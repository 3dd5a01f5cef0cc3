/* <drift-lead>: the opening figure of the chapter on low learning rates. Copies of a network drift apart; at each moment their displacement
   is taken to pieces along the eigendirections of the Hessian, which are curved downwards, flat, or curved upwards. */
trajlab.define(function drift(trajlab) {
  const { pretty, key } = trajlab;
  const RUN = { radius: 1e-8, copies: 8, span: 50, moments: 100, split: 0 };
  const FLAT = 0.01; // a curvature below this changes a length by at most a tenth while lr * t goes on by 10
  const LOW = 1e-3;
  const KINDS = [
    { name: "curved downwards", has: (h) => h < -FLAT, centre: -1.5 },
    { name: "flat", has: (h) => Math.abs(h) <= FLAT, centre: 0 },
    { name: "curved upwards", has: (h) => h > FLAT, centre: 1.75 },
  ];
  const kind = (h) => KINDS.findIndex(({ has }) => has(h));
  const place = (h) => Math.sign(h) * Math.log10(1 + Math.abs(h) / FLAT); // linear about zero, logarithmic beyond
  const AXIS = [place(-6), place(20)];
  const TICKS = [-1, -0.1, 0, 0.1, 1, 10].map((h) => [place(h), pretty(h)]);
  const root = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0.0));

  /** What directions of each kind add to the logarithm of the length in a step, which multiplies the part along one of curvature h by
      1 - lr * h. Of the growth of the squared length each has its share. */
  function growthRates({ values, part }, lr) {
    const rates = [0, 0, 0];
    let squares = 0.0, gain = 0.0;
    values.forEach((h, i) => {
      const square = part[i] ** 2, more = ((1 - lr * h) ** 2 - 1) * square;
      rates[kind(h)] += more;
      squares += square;
      gain += more;
    });
    const scale = gain ? Math.log1p(gain / squares) / (2 * gain) : 0;
    return rates.map((rate) => rate * scale);
  }

  class DriftLead extends trajlab.Lead {
    get name() {
      return "drift";
    }

    controls() {
      return [
        { key: "lr", label: "learning rate", value: 0.01, min: 0.005, max: 0.5, logarithmic: true, hint: "at equal learning rate × steps" },
        { key: "ic", label: "initial condition", value: 0, min: 0, max: 99, integer: true },
      ];
    }

    figures() {
      return [
        { key: "parts", kind: "main", caption: `<b>Where the displacement lies.</b> A dot for each of the 83 directions of curvature at the network: how much of the displacement of ${RUN.copies} copies lies along it (1 is all of it at the start), against the curvature; small marks, at the start. The factors are what the directions of each kind have contributed so far; their product is, nearly, the distance` },
        { key: "distance", kind: "side", caption: `<b>Distance</b> of the copies since the start, ${key("ink", "all of them (root mean square)")}, and ${key("several 2", "with negative curvature set to zero")}` },
      ];
    }

    get marks() {
      return [[{ lr: 0.01 }, "the paper's"], [{ lr: 0.1 }, "ten times larger"], [{ lr: 0.5 }, "steps that overshoot"]];
    }

    get steps() {
      return RUN.moments - 1;
    }

    get pace() {
      return 15;
    }

    get there() {
      return this.data ? Math.max(0, this.data.moments.length - 1) : 0;
    }

    start() {
      const { lr, ic } = this.values;
      this.run("drift", { ...RUN, lr, condition: ic }, { moments: [] });
    }

    receive(part) {
      const { moments, ran } = this.data, before = moments[moments.length - 1] || { stop: 0, sums: [0, 0, 0] };
      const rates = growthRates(part, ran.lr), sums = (steps) => before.sums.map((sum, i) => sum + steps * rates[i]);
      const length = root(part.distance) / Math.sqrt(part.distance.length);
      moments.push({ ...part, length, sums: sums(part.stop - before.stop), factors: sums(part.step - before.stop).map(Math.exp) });
    }

    /** Where steps are few, several moments are one. */
    finish() {
      const { moments, ran } = this.data, last = moments[moments.length - 1];
      while (moments.length <= this.steps) moments.push(last);
      const apart = `learning rate ${ran.lr}, initial condition ${ran.ic}: after ${pretty(last.step)} steps the copies are ${pretty(last.length, 2)} times as far apart as at the start`;
      const without = `with negative curvature set to zero it would be ${pretty(last.clipped, 2)} times`;
      this.result.textContent = `${apart[0].toUpperCase()}${apart.slice(1)}; ${without}.`;
      this.label("parts", `Displacement along the directions of curvature at the network. At ${apart}. Directions curved downwards have multiplied their distance by ${pretty(last.factors[0], 2)}, flat ones by ${pretty(last.factors[1], 2)}, those curved upwards by ${pretty(last.factors[2], 2)}.`);
      this.label("distance", `Distance against learning rate times steps. At ${apart}; ${without}.`);
      super.finish();
    }

    told(k) {
      const { step, length, loss, clipped } = this.data.moments[k], strong = (text) => trajlab.element("b", {}, text);
      return [strong(`step ${pretty(step, 6)}`), ": the copies are ", strong(`${pretty(length, 2)} times`),
        ` as far apart as at the start; without negative curvature, ${pretty(clipped, 2)} times. Loss ${pretty(loss, 2)}`];
    }

    drawAt(k) {
      const { moments } = this.data;
      if (!moments.length) return;
      const { several, pale, ink } = this.colours;
      this.hues = [several[3], pale, several[2]];
      this.drawParts(moments[k], moments[0]);
      const top = 10 ** Math.ceil(Math.log10(1.5 * Math.max(...moments.map((moment) => Math.max(...moment.distance)))));
      const shown = moments.slice(0, k + 1), { lr } = this.data.ran, at = (i) => lr * shown[Math.floor(i)].step;
      const each = shown[0].distance.map((_, m) => ({ values: shown.map((moment) => moment.distance[m]), at, colour: pale, width: 0.8 }));
      const until = (i) => (i >= 1 ? lr * shown[Math.floor(i) - 1].stop : 0), dotted = { colour: several[2], width: 2.4, dash: [1.5, 2.5] };
      const clipped = { ...dotted, values: [1, ...shown.map((moment) => moment.clipped)], at: until };
      const all = { values: shown.map((moment) => moment.length), at, colour: ink, width: 2 };
      this.drawDistance([...each, clipped, all], top);
    }

    drawAxes() {
      this.drawDistance([], 10);
      this.drawSpectrum(1);
    }

    drawDistance(series, top) {
      const axes = { x: [0, RUN.span], y: [0.5, Math.max(10, top)], logY: true, xLabel: "learning rate × steps", colours: this.colours };
      trajlab.draw(this.canvases.distance, { ...axes, series });
    }

    drawSpectrum(top) {
      const axes = { x: AXIS, y: [LOW, 2 * top], logY: true, xLabel: "curvature of the loss", xTicks: TICKS, colours: this.colours };
      return trajlab.draw(this.canvases.parts, { ...axes, series: [] });
    }

    drawParts(moment, first) {
      const top = 10 ** Math.ceil(Math.log10(1.1 * Math.max(1, ...this.data.moments.map(({ part }) => Math.max(...part)))));
      const shown = this.drawSpectrum(top);
      if (!shown) return;
      const { pen, box, toX, toY } = shown, edge = place(2 / this.data.ran.lr);
      pen.save();
      pen.beginPath();
      pen.rect(box.left, box.top - 2, box.right - box.left, box.bottom - box.top + 2);
      pen.clip();
      const flat = [-FLAT, FLAT].map((h) => toX(place(h)));
      const areas = [[box.left, flat[0]], flat, [flat[1], Math.min(box.right, toX(edge))]];
      areas.forEach(([from, to], i) => {
        pen.globalAlpha = 0.09;
        pen.fillStyle = this.hues[i];
        pen.fillRect(from, box.top, to - from, box.bottom - box.top);
      });
      const each = ({ values, part }, mark) => values.forEach((h, i) => {
        pen.strokeStyle = pen.fillStyle = this.hues[kind(h)];
        mark(toX(place(h)), Math.min(box.bottom, toY(Math.max(part[i], LOW / 2))));
      });
      pen.globalAlpha = 0.6;
      each(first, (px, py) => pen.fillRect(px - 3, py - 0.5, 6, 1));
      pen.globalAlpha = 0.35;
      pen.lineWidth = 1.5;
      each(moment, (px, py) => {
        pen.beginPath();
        pen.moveTo(px, box.bottom);
        pen.lineTo(px, py);
        pen.stroke();
      });
      pen.globalAlpha = 1;
      each(moment, (px, py) => {
        pen.beginPath();
        pen.arc(px, py, 3.5, 0, 7);
        pen.fill();
      });
      this.letter(shown, moment, edge);
      pen.restore();
    }

    /** What each area is, and the factor that it has put in; and the border beyond which a step overshoots so far that it lengthens. */
    letter({ pen, box, toX }, { factors }, edge) {
      const narrow = box.right - box.left < 420, { ink } = this.colours, plain = pen.font;
      pen.textAlign = "center";
      pen.textBaseline = "top";
      pen.fillStyle = ink;
      KINDS.forEach(({ name, centre }, i) => {
        pen.font = plain;
        pen.fillText(narrow ? name.replace("curved ", "") : name, toX(centre), box.top + 4);
        pen.font = `600 ${plain}`;
        pen.fillText(`× ${pretty(factors[i], factors[i] < 1 ? 2 : 3)}`, toX(centre), box.top + 20);
      });
      pen.font = plain;
      if (toX(edge) > box.right) return;
      pen.strokeStyle = ink;
      pen.setLineDash([4, 3]);
      pen.beginPath();
      pen.moveTo(toX(edge), box.top + 38);
      pen.lineTo(toX(edge), box.bottom);
      pen.stroke();
      pen.setLineDash([]);
      pen.textAlign = "right";
      pen.fillText("2/lr ", toX(edge), box.top + 40);
    }

    table() {
      if (!this.data || !this.data.moments.length) return null;
      const moments = [...new Set(this.data.moments)], [{ distance, values }] = moments, numbered = (list, name) => list.map((_, i) => `${name}_${i}`);
      const head = ["step", "loss", "d", "d_clipped_before_next", "factor_down", "factor_flat", "factor_up"];
      const names = [...numbered(distance, "d"), ...numbered([...values], "curvature"), ...numbered([...values], "part")];
      const rows = moments.map((one) => [one.step, one.loss, one.length, one.clipped, ...one.factors, ...one.distance, ...one.values, ...one.part]);
      return [[...head, ...names], ...rows];
    }
  }

  customElements.define("drift-lead", DriftLead);
});
