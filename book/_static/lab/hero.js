/* <hero-lab>: the opening figure. A network and twenty copies of it, trained here and now: they go as one, then burst apart.

   All that is drawn is computed first, in a worker, in a fraction of a second; then it is shown step by step. While the slider is
   dragged the picture is the finished one, computed again as fast as the machine can. */
trajlab.define(function hero(trajlab) {
  const { element, pretty, key } = trajlab;
  const RUN = { condition: 0, radius: 1e-8, copies: 20, steps: 400, split: 0, followed: [], withPlane: true }; // those of the figure below it
  const APART = [1e-7, 300]; // the axis of the distances, the same at every learning rate
  const MARKS = [[{ lr: 0.01 }, "slow drift"], [{ lr: 1 }, "edge of stability"], [{ lr: 5 }, "broken training"]];
  const RAMP = {
    light: ["#0a4f86", "#5b4aa0", "#b03a7d", "#d55e00", "#d99400"],
    dark: ["#56b4e9", "#9f92f2", "#e878b4", "#f0823c", "#f2c14e"],
  };

  /** A colour of the ramp, for a share between 0 and 1. */
  function shade(ramp, share) {
    const place = share * (ramp.length - 1), i = Math.min(ramp.length - 2, Math.floor(place));
    const mixed = [1, 3, 5].map((digit) => {
      const [a, b] = [ramp[i], ramp[i + 1]].map((colour) => parseInt(colour.slice(digit, digit + 2), 16));
      return Math.round(a + (place - i) * (b - a));
    });
    return `rgb(${mixed.join(" ")})`;
  }

  class HeroLab extends trajlab.Lead {
    get name() {
      return "hero";
    }

    controls() {
      return [{ key: "lr", label: "learning rate", value: 1, min: 0.01, max: 10, logarithmic: true, hint: "drag it from order to chaos" }];
    }

    figures() {
      return [
        { key: "plane", kind: "main", caption: `<b>Computed as you look:</b> ${key("ink", "one network")} and twenty copies, every weight moved by at most 10⁻⁸, in the plane in which their 83 weights spread most` },
        { key: "distance", kind: "side", caption: `<b>Distance</b> of each copy from the network, and ${key("ink", "their mean")}` },
      ];
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

    // The run

    start() {
      const { lr } = this.values;
      this.run("trajectories", { lr, ...RUN }, { lr, loss: [], distance: Array.from({ length: RUN.copies }, () => []), mean: [] });
    }

    receive(part) {
      if (part.plane) return void (this.coming.plane = part.plane);
      if (!part.loss) return;
      const { loss, distance, mean } = this.coming;
      for (let t = 0; t < part.loss.length; t++) {
        const all = part.distance.slice(t * RUN.copies, (t + 1) * RUN.copies);
        all.forEach((value, m) => distance[m].push(value));
        mean.push(all.reduce((sum, value) => sum + value, 0.0) / RUN.copies);
        loss.push(part.loss[t]);
      }
    }

    finish() {
      const { lr, mean, loss, plane } = this.data, ends = plane.x.map((axis) => axis[RUN.steps]);
      const order = [...ends.keys()].sort((a, b) => ends[a] - ends[b]);
      this.rank = ends.map((_, m) => order.indexOf(m) / RUN.copies); // colours go by where the trajectories end
      this.view = { x: trajlab.extent(plane.x), y: trajlab.extent(plane.y) };
      const factor = pretty(mean[RUN.steps] / mean[0], 2), share = Math.round(100 * plane.explained);
      const apart = `at learning rate ${lr}, ${RUN.steps} steps take the copies from a mean distance of ${pretty(mean[0], 2)} to one of ${pretty(mean[RUN.steps], 2)}`;
      this.label("plane", `Trajectories of a network and ${RUN.copies} copies in the plane that holds ${share} % of their variance; ${apart}.`);
      this.label("distance", `Distance of each copy against step, on a logarithmic scale; ${apart}.`);
      this.result.textContent = `Learning rate ${lr}: after ${RUN.steps} steps the copies are ${factor} times as far apart as at the start, and the loss is ${pretty(loss[RUN.steps], 2)}.`;
      super.finish();
    }

    play(from) {
      this.sheet = null;
      super.play(from);
    }

    // The picture

    drawAt(step) {
      this.renderPlane(step);
      this.renderDistance(step);
    }

    told(step) {
      const { mean, loss } = this.data, factor = mean[step] / mean[0];
      const many = 0.95 <= factor && factor < 9.95 ? factor.toFixed(1) : pretty(factor, 1);
      const left = loss[step] < 0.1 ? pretty(loss[step], 2) : loss[step].toFixed(2);
      const times = element("b", {}, `${many} times`);
      return [element("b", {}, `step ${step}`), " — the copies are ", times, ` as far apart as at the start; loss ${left}`];
    }

    /** What is added since the last frame goes onto a sheet; the moving heads are drawn over it. */
    renderPlane(step) {
      const canvas = this.canvases.plane, width = canvas.clientWidth, height = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
      if (!width || !height) return;
      const { x, y } = this.data.plane, margin = 12, dark = this.hasAttribute("dark");
      const place = ([low, high], from, to) => (value) => from + ((value - low) / (high - low)) * (to - from);
      const toX = place(this.view.x, margin, width - margin), toY = place(this.view.y, height - margin, margin);
      const ramp = RAMP[dark ? "dark" : "light"], made = [width, height, ratio, dark].join();
      if (!this.sheet || this.made !== made) {
        this.made = made;
        const [w, h] = [width, height].map((length) => Math.round(length * ratio));
        this.sheet = element("canvas", { width: w, height: h });
        [canvas.width, canvas.height] = [w, h];
        this.drawn = 0;
      }
      const draw = (pen, m, from, to, lineWidth, alpha) => {
        pen.strokeStyle = pen.fillStyle = m ? shade(ramp, this.rank[m]) : this.colours.ink;
        pen.globalAlpha = alpha;
        pen.lineWidth = lineWidth;
        pen.beginPath();
        for (let t = from; t <= to; t++) pen.lineTo(toX(x[m][t]), toY(y[m][t]));
        pen.stroke();
      };
      const sheet = this.sheet.getContext("2d");
      sheet.setTransform(ratio, 0, 0, ratio, 0, 0);
      sheet.lineJoin = sheet.lineCap = "round";
      if (step > this.drawn) for (let m = RUN.copies; m >= 0; m--) draw(sheet, m, this.drawn, step, m ? 1.1 : 1.6, m ? 0.65 : 0.9);
      this.drawn = step;
      const pen = canvas.getContext("2d");
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.globalAlpha = 1;
      pen.clearRect(0, 0, canvas.width, canvas.height);
      pen.drawImage(this.sheet, 0, 0);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.lineJoin = pen.lineCap = "round";
      pen.fillStyle = this.colours.pale;
      pen.font = `12px ${getComputedStyle(canvas).fontFamily}`;
      pen.fillText("start", toX(x[0][0]) + 9, toY(y[0][0]) + 4);
      for (let m = RUN.copies; m >= 0; m--) {
        draw(pen, m, Math.max(0, step - 5), step, 2.2, 0.9); // a short tail
        pen.globalAlpha = 1;
        pen.beginPath();
        pen.arc(toX(x[m][step]), toY(y[m][step]), m ? 3 : 4, 0, 7);
        pen.fill();
      }
    }

    renderDistance(step) {
      const { colours, data } = this, { distance, mean } = data, at = (t) => t;
      const ramp = RAMP[this.hasAttribute("dark") ? "dark" : "light"];
      const series = distance.map((values, m) => ({ values: values.slice(0, step + 1), at, colour: shade(ramp, this.rank[m + 1]), width: 0.8 }));
      series.push({ values: mean.slice(0, step + 1), at, colour: colours.ink, width: 2 });
      this.drawDistance(series);
    }

    drawDistance(series) {
      trajlab.draw(this.canvases.distance, { x: [0, RUN.steps], y: APART, logY: true, xLabel: "step", colours: this.colours, series });
    }

    drawAxes() {
      this.drawDistance([]);
    }

    table() {
      if (!this.data) return null;
      const { loss, mean, distance, plane } = this.data, inTime = (series, t) => series.map((values) => values[t]);
      const names = [...distance.map((_, m) => `d_${m}`), ...plane.x.map((_, m) => `x_${m}`), ...plane.y.map((_, m) => `y_${m}`)];
      const rows = loss.map((value, t) => [t, value, mean[t], ...[distance, plane.x, plane.y].flatMap((series) => inTime(series, t))]);
      return [["step", "loss", "d_mean", ...names], ...rows];
    }
  }

  customElements.define("hero-lab", HeroLab);
});
