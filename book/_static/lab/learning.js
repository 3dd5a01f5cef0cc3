/* <learning-lead>: the figure that leads the chapter on chaos and the time to learn. How many steps networks need at each learning rate,
   where they are chaotic, and one of them to drag along. */
trajlab.define(function learning(trajlab) {
  const { element, pretty, key } = trajlab;
  const GRID = 10, FROM = -15, TO = 5; // number k is the rate 10^(k / 10)
  const RATES = Array.from({ length: TO - FROM + 1 }, (_, i) => 10 ** ((FROM + i) / GRID)), STOPS = RATES.map((rate) => Number(rate.toPrecision(3)));
  const RUN = { networks: 12, steps: 300 }, BOUND = 0.01; // the chapter's, with fewer networks
  const NEVER = 460; // where runs are drawn that do not learn
  const LOCAL = ["lr", "ic", "right", "hold"]; // controls that only choose what is shown of the runs

  /** First step from which so many flowers are right for ``hold`` steps; -1 where there is none. */
  function timeToLearn(known, { right, hold }) {
    for (let t = 0, there = 0; t < known.length; t++) {
      there = known[t] >= right ? there + 1 : 0;
      if (there === hold) return t - hold + 1;
    }
    return -1;
  }

  class LearningLead extends trajlab.Lead {
    get name() {
      return "learning";
    }

    controls() {
      const right = { key: "right", label: "learned: test flowers right, of 30", value: 27, min: 20, max: 30, integer: true };
      return [
        { key: "lr", label: "learning rate", value: STOPS[8], min: STOPS[0], max: STOPS[STOPS.length - 1], stops: STOPS, hint: "drag it" },
        { key: "ic", label: "network", value: 0, min: 0, max: RUN.networks - 1, integer: true },
        right,
        { key: "hold", label: "and stays there for, steps", value: 20, min: 1, max: 50, integer: true },
        { key: "split", label: "split of the flowers", value: 0, min: 0, max: 99, integer: true },
      ];
    }

    figures() {
      const time = `<b>Steps until a network has learned</b>: ${key("blue", "the one that you drag")}, ${key("pale", "eleven others")}, ${key("ink", "median of the twelve")}; on top: not within 300. Tinted: more than half of them are chaotic`;
      const run = `${key("blue", "<b>Test flowers that it has right</b>")}, dashed: learned; upright: the step from which it stays there`;
      const growth = `<b>Growth of a displacement</b> since the start, a step: ${key("vermilion", "chaotic, above 0.01")}, ${key("ink", "not")}`;
      return [
        { key: "time", kind: "row", caption: time },
        { key: "run", kind: "half", caption: run },
        { key: "growth", kind: "half", caption: growth },
      ];
    }

    get marks() {
      return [[{ lr: STOPS[0] }, "slow"], [{ lr: STOPS[10] }, "quicker"], [{ lr: STOPS[20] }, "chaos"]];
    }

    get steps() {
      return RUN.steps;
    }

    get there() {
      return this.shown ? RUN.steps : 0;
    }

    /** The run of the network that is dragged, at its rate, once it is there. */
    get shown() {
      return this.data && this.data.runs[this.number][this.values.ic];
    }

    /** Number of the rate that the slider stands at, or the nearest one. */
    get number() {
      const at = Math.round(GRID * Math.log10(this.values.lr)) - FROM;
      return Math.min(RATES.length - 1, Math.max(0, at));
    }

    start() {
      this.run("learning", { ...RUN, rates: RATES, split: this.values.split }, { runs: RATES.map(() => new Array(RUN.networks).fill(null)) });
    }

    receive({ runs }) {
      for (const { k, network, known, growth } of runs) this.data.runs[k][network] = { known, growth };
    }

    /** Only another split asks for other runs. */
    changed() {
      if (!this.data || this.values.split !== this.data.ran.split) return super.changed();
      for (const name of LOCAL) this.data.ran[name] = this.values[name];
      this.mark();
      this.markBefore();
      this.play(this.steps);
    }

    /** Of a rate: times, -1 where a run has not learned, exponents, and the median time (Infinity where half have not learned). */
    at(k) {
      const runs = this.data.runs[k].filter(Boolean), last = RUN.steps / 10;
      const times = this.data.runs[k].map((run) => (run ? timeToLearn(run.known, this.values) : null));
      const sorted = times.filter((time) => time !== null).map((time) => (time < 0 ? Infinity : time)).sort((a, b) => a - b);
      const chaotic = runs.filter((run) => run.growth[last] > BOUND).length;
      return { times, median: runs.length === RUN.networks ? sorted[RUN.networks / 2 - 1] : NaN, chaotic: runs.length ? chaotic / runs.length : 0, n: runs.length };
    }

    finish() {
      const all = RATES.map((_, k) => this.at(k)), medians = all.map(({ median }) => median), least = Math.min(...medians);
      const best = medians.indexOf(least), last = medians.lastIndexOf(least), onset = all.findIndex(({ chaotic }, k) => all.slice(k, k + 3).every((one) => one.chaotic > 0.5) && chaotic > 0.5);
      const between = best === last ? `at ${STOPS[best]}` : `between ${STOPS[best]} and ${STOPS[last]}`;
      const fastest = Number.isFinite(least) ? `half of the twelve networks have learned soonest, after ${least} steps, ${between}` : "at no rate half of the twelve networks have learned";
      const text = `${fastest}; ${onset < 0 ? "at no rate more than half are chaotic" : `from ${STOPS[onset]} on more than half are chaotic`}`;
      this.result.textContent = `Split ${this.data.ran.split}, ${this.values.right} of 30 flowers for ${this.values.hold} step${this.values.hold > 1 ? "s" : ""}: ${text}.`;
      this.label("time", `Steps until networks have learned against learning rate, both logarithmic. ${this.result.textContent}`);
      super.finish();
    }

    told(step) {
      const run = this.shown, strong = (text) => element("b", {}, text);
      if (!run) return [`rate ${STOPS[this.number]}: not computed yet`];
      const time = timeToLearn(run.known, this.values), exponent = run.growth[RUN.steps / 10].toFixed(3).replace("-", "−");
      const when = time < 0 ? "does not learn within 300 steps" : `has learned after ${time} steps`;
      return [strong(`step ${step}`), `: ${run.known[step]} flowers right; at learning rate ${STOPS[this.number]} network ${this.values.ic} `, strong(when), `, exponent ${exponent} a step`];
    }

    get timeAxes() {
      const x = [RATES[0] / 1.08, RATES[RATES.length - 1] * 1.08];
      return { x, logX: true, xLabel: "learning rate", y: [4, 600], logY: true, colours: this.colours, left: 48, right: 12, series: [] };
    }

    drawAxes() {
      const { canvases, colours } = this;
      trajlab.draw(canvases.time, this.timeAxes);
      trajlab.draw(canvases.run, { x: [0, RUN.steps], y: [0, 31], xLabel: "step", colours, left: 40, right: 10, series: [] });
      trajlab.draw(canvases.growth, { x: [0, RUN.steps], y: [-0.1, 0.3], xLabel: "step", colours, left: 40, right: 10, series: [] });
    }

    drawAt(step) {
      this.drawTimes();
      const { canvases, colours, values } = this, run = this.shown, axes = { x: [0, RUN.steps], xLabel: "step", colours, left: 40, right: 10 };
      if (!run) {
        for (const [key, y] of [["run", [0, 31]], ["growth", [-0.1, 0.3]]]) trajlab.draw(canvases[key], { ...axes, y, series: [] });
        return;
      }
      const time = timeToLearn(run.known, values), goal = { values: [values.right, values.right], at: (i) => i * RUN.steps, colour: colours.ink, width: 1, dash: [4, 3] };
      const known = { values: run.known.slice(0, step + 1), at: (t) => t, colour: colours.blue, width: 1.8 };
      const upright = time >= 0 && time <= step ? [{ values: [0, 31], at: () => time, colour: colours.ink, width: 1 }] : [];
      trajlab.draw(canvases.run, { ...axes, y: [0, 31], series: [goal, known, ...upright] });
      const rates = run.growth.slice(1, Math.floor(step / 10) + 1), zero = { values: [BOUND, BOUND], at: (i) => i * RUN.steps, colour: colours.ink, width: 1, dash: [4, 3] };
      const colour = rates.length && rates[rates.length - 1] > BOUND ? colours.vermilion : colours.ink;
      trajlab.draw(canvases.growth, { ...axes, y: [-0.1, 0.3], series: [zero, { values: rates, at: (i) => 10 * (i + 1), colour, width: 2 }] });
      this.label("run", `Test flowers right against step: ${time < 0 ? "not learned within 300 steps" : `learned after ${time} steps`}, ${run.known[RUN.steps]} at the end.`);
      this.label("growth", `Mean growth rate of a displacement against step: ${pretty(run.growth[RUN.steps / 10], 2)} a step at the end.`);
    }

    drawTimes() {
      const { colours, canvases, data, values } = this, all = RATES.map((_, k) => this.at(k));
      const height = (time) => (time < 0 || time === Infinity ? NEVER : Math.max(4, time));
      const shown = trajlab.draw(canvases.time, this.timeAxes);
      if (!shown) return;
      const { pen, box, toX, toY } = shown, half = Math.sqrt(RATES[1] / RATES[0]);
      pen.fillStyle = colours.vermilion;
      pen.globalAlpha = 0.15;
      all.forEach(({ chaotic, n }, k) => {
        const left = Math.max(box.left, toX(RATES[k] / half)), right = Math.min(box.right, toX(RATES[k] * half));
        if (n && chaotic > 0.5) pen.fillRect(left, box.top, right - left, box.bottom - box.top);
      });
      pen.globalAlpha = 1;
      const mark = (k, time, radius) => {
        pen.beginPath();
        pen.arc(toX(RATES[k]), toY(height(time)), radius, 0, 7);
        pen.fill();
      };
      pen.fillStyle = colours.pale;
      all.forEach(({ times }, k) => times.forEach((time, i) => time !== null && i !== values.ic && mark(k, time, 2)));
      const line = (of, colour, width) => {
        pen.strokeStyle = colour;
        pen.lineWidth = width;
        pen.beginPath();
        all.forEach((one, k) => {
          const time = of(one);
          if (time !== null && !Number.isNaN(time)) pen.lineTo(toX(RATES[k]), toY(height(time)));
        });
        pen.stroke();
      };
      line(({ median }) => median, colours.ink, 2.4);
      line(({ times }) => times[values.ic], colours.blue, 1.4);
      pen.fillStyle = colours.blue;
      const own = data.runs[this.number][values.ic] && all[this.number].times[values.ic];
      if (own !== null && own !== undefined) mark(this.number, own, 6);
      pen.strokeStyle = colours.ink;
      pen.lineWidth = 1;
      pen.setLineDash([2, 3]);
      pen.beginPath();
      pen.moveTo(toX(RATES[this.number]), box.top);
      pen.lineTo(toX(RATES[this.number]), box.bottom);
      pen.stroke();
      pen.setLineDash([]);
    }

    table() {
      if (!this.data) return null;
      const rows = RATES.flatMap((rate, k) => this.data.runs[k].flatMap((run, i) => (run ? [[rate, i, timeToLearn(run.known, this.values), run.growth[RUN.steps / 10]]] : [])));
      return [["learning_rate", "network", "steps_to_learn", "exponent_per_step"], ...rows];
    }
  }

  customElements.define("learning-lead", LearningLead);
});
