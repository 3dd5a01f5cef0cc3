/* <ladder-lead>: the opening figure of the chapter on intermittency. The softmax map, with kappa moved by hand: its state is carried along,
   so that the way up and the way down need not be the same; and networks that stand on the ladder. */
trajlab.define(function ladder(trajlab) {
  const { pretty, element, key } = trajlab;
  const [FROM, TO] = [4.5, 21], STEP = 0.025, EACH = 300; // kappa moves in such steps, with so many of the map at each
  const NUDGE = 1e-9; // at each of them, as no state stays on an orbit that repels
  const KEPT = 40, SETTLED = 1000, CLOUD = 600; // losses that are drawn of each; steps at rest; points of the plane
  const LOSS = [0.5, 10], LR = 5;
  const MAP = { from: FROM, to: TO, low: LOSS[0], high: LOSS[1], width: 330, height: 380, starts: 3, transient: 400, kept: 120 };
  const NETWORKS = { lr: LR, networks: 16, steps: 2500, kept: 60 };
  const WIDE = 660; // pixels that kappa is counted in
  const column = (kappa) => Math.round(((kappa - FROM) / (TO - FROM)) * WIDE);

  class LadderLead extends trajlab.Lead {
    get name() {
      return "ladder";
    }

    controls() {
      return [
        { key: "kappa", label: "effective learning rate κ", value: FROM, min: FROM, max: TO, step: 0.01, hint: "move it up, and down again" },
        { key: "split", label: "split of the flowers", value: 1, min: 0, max: 99, integer: true },
      ];
    }

    figures() {
      return [
        { key: "diagram", kind: "main", caption: `<b>Losses that the map visits</b>, ${key("vermilion", "κ going up")}, ${key("blue", "κ going down")}; grey, from random starting points. Rings: networks at learning rate ${LR}, on the rungs κ = 5, 10, 15, 20` },
        { key: "plane", kind: "side square", caption: "<b>The map in its plane</b>, at the κ of now; rings, networks on this rung" },
      ];
    }

    get marks() {
      return [[{ kappa: 5 }, "no unit on"], [{ kappa: 10 }, "one unit on"], [{ kappa: 15 }, "two"], [{ kappa: 20 }, "three"]];
    }

    get pace() {
      return 4; // of kappa, a second
    }

    // The way of kappa: `legs` are the values that it still has to reach, one after the other.

    get done() {
      return Boolean(this.data) && !this.legs.length;
    }

    get moving() {
      return this.data && this.isConnected && this.visible && !this.paused && !this.still && this.legs.length > 0;
    }

    get before() {
      return Boolean(this.data) && this.data.ran.split !== this.values.split;
    }

    get changedSince() {
      return this.before;
    }

    /** kappa:15,kappa:10 is a way: from above. */
    assign(text) {
      this.way = text.split(",").flatMap((pair) => (pair.startsWith("kappa:") ? [pair.slice(6)] : []));
      super.assign(text);
      this.way = this.way.map((given) => this.allowed(this.fields.get("kappa").control, given)[0]);
    }

    obey(text) {
      this.touring = false;
      const { split } = this.values;
      this.assign(text);
      if (split !== this.values.split) this.restart();
      else this.go(this.way);
      this.mark();
      trajlab.writeAddress(this);
    }

    changed() {
      this.touring = false;
      this.mark();
      this.way = [this.values.kappa];
      if (this.before || !this.data) this.restart();
      else this.go(this.way);
    }

    released() {
      trajlab.writeAddress(this);
    }

    choose(values) {
      this.set("kappa", values.kappa);
      this.released();
    }

    /** The address brings a way, not a new map. */
    restart() {
      if (this.before || !this.data) super.restart();
      else this.go(this.way);
    }

    go(way) {
      if (!way || !way.length || !this.logits) return;
      this.legs = [...way];
      this.pause(false);
      if (this.still) this.arrive();
      this.redraw();
    }

    /** All of the way without a picture of it, in pieces that leave the page alive. */
    arrive() {
      clearTimeout(this.arriving);
      this.advance(1);
      if (this.legs.length) this.arriving = setTimeout(() => this.arrive());
      else this.pause(false);
      this.redraw();
    }

    /** From the start: all the way up, down, and to one unit on, unless the reader has said where to. */
    play() {
      this.logits = trajlab.initialLogits(3, 0);
      [this.kappa, this.up, this.visited, this.fresh, this.cloud] = [FROM, true, new Map(), [], []];
      this.branches = null;
      this.settle(SETTLED);
      const asked = this.way && this.way.length;
      this.touring = !asked;
      this.go(asked ? this.way : [TO, FROM, 2 * LR]);
      this.way = null;
    }

    advance(distance) {
      for (let left = distance; left > 0 && this.legs.length; left -= STEP) {
        const [goal] = this.legs, away = goal - this.kappa;
        if (away) this.up = away > 0;
        this.kappa = Math.abs(away) <= STEP ? goal : this.kappa + Math.sign(away) * STEP;
        if (this.kappa === goal) this.legs.shift();
        this.settle(EACH);
      }
      this.data.ran.kappa = Number(this.kappa.toFixed(2));
      if (!this.legs.length) this.settle(SETTLED);
      if (this.touring) this.follow();
    }

    /** The slider goes along with kappa where no hand is on it. */
    follow() {
      this.values.kappa = Number(this.kappa.toFixed(2));
      this.fields.get("kappa").show();
      this.mark();
      this.touring = this.legs.length > 0;
    }

    settle(steps) {
      const { logits, kappa } = this, losses = [];
      logits[0] += NUDGE;
      logits[1] -= NUDGE;
      for (let t = 0; t < steps; t++) {
        const last = steps - t;
        if (last <= CLOUD) this.cloud.push([...logits]);
        const loss = this.map.step(logits, 0, last <= KEPT, kappa);
        if (last <= KEPT) losses.push(loss);
      }
      this.cloud = this.cloud.slice(-(this.legs.length ? KEPT : CLOUD));
      this.losses = losses;
      const at = column(kappa), name = `${at} ${this.up}`;
      this.visited.delete(name); // the newest is drawn last
      this.visited.set(name, { at, up: this.up, losses, kappa });
      this.fresh.push(this.visited.get(name));
    }

    // What the worker tells

    start() {
      const { split } = this.values;
      this.legs = [];
      this.map = trajlab.softmaxMap(FROM, trajlab.iris(split).p);
      this.run("ladder", { map: MAP, ...NETWORKS, split }, { columns: new Map(), networks: [] });
    }

    receive({ columns = [], network }) {
      for (const one of columns) this.data.columns.set(one.column, one);
      if (network) this.data.networks.push(network);
      this.ground = null;
    }

    finish() {
      const { networks, ran } = this.data, on = networks.filter(({ saturated }) => saturated);
      const rungs = [0, 1, 2, 3].map((rung) => on.filter((network) => network.rung === rung).length);
      const { counts } = trajlab.iris(ran.split);
      const text = `split ${ran.split} (${counts.join(", ")} flowers): of ${networks.length} networks after ${pretty(NETWORKS.steps)} steps ${on.length} stand on the ladder, ${rungs.join(", ")} of them with no unit on, one, two, three`;
      this.result.textContent = `${text[0].toUpperCase()}${text.slice(1)}.`;
      this.label("diagram", `Losses that the softmax map visits against kappa from ${FROM} to ${TO}. For ${text}.`);
      super.finish();
    }

    /** The least period up to 16 of the losses of now, or 0. */
    get period() {
      const { losses } = this, same = (n) => losses.every((loss, t) => t < n || Math.abs(loss - losses[t - n]) < 1e-3);
      return Array.from({ length: 16 }, (_, i) => i + 1).find(same) || 0;
    }

    told() {
      const { period } = this, going = !this.legs.length ? "at rest" : this.up ? "going up" : "going down";
      const motion = period === 1 ? "a fixed point" : period ? `period ${period}` : "no short period";
      if (!this.legs.length) this.label("plane", `States of the map at kappa ${pretty(this.kappa)}: ${motion}.`);
      return [element("b", {}, `κ = ${this.kappa.toFixed(2)}`), `, ${going}: `, element("b", {}, motion)];
    }

    recolour() {
      this.ground = this.branches = null;
      super.recolour();
    }

    get axes() {
      return { x: [FROM, TO], y: LOSS, xLabel: "effective learning rate κ", colours: this.colours, series: [] };
    }

    drawAxes() {
      trajlab.draw(this.canvases.diagram, this.axes);
    }

    drawAt() {
      const { colours, canvases, kappa } = this, [low, high] = LOSS;
      const rung = (n) => ({ values: LOSS, at: () => LR * (n + 1), colour: colours.pale, width: 1, dash: [1.5, 3] });
      const now = { values: LOSS, at: () => kappa, colour: colours.ink, width: 1 };
      const on = this.data.networks.filter(({ saturated }) => saturated);
      const ring = { colour: colours.ink, width: 0.8, mark: "rings" };
      const rings = on.map((network) => ({ ...ring, values: distinct(network.losses), at: () => network.kappa }));
      const image = { sheet: this.painted(), x: [FROM, TO], y: [low, high] };
      trajlab.draw(canvases.diagram, { ...this.axes, image, series: [...[0, 1, 2, 3].map(rung), now, ...rings] });
      this.drawPlane(on.filter((network) => Math.abs(network.kappa - kappa) < STEP));
    }

    drawPlane(networks) {
      const { colours, kappa, cloud } = this, half = 0.75 * kappa;
      const across = ([a, b]) => (a - b) / Math.SQRT2, along = ([a, b, c]) => (a + b - 2 * c) / Math.sqrt(6);
      const points = (states, colour, mark, width) => ({ values: states.map(along), at: (i) => across(states[i]), colour, mark, width });
      const rings = networks.map(({ logits }) => points(logits, colours.ink, "rings", 0.8));
      const series = [...rings, points(cloud, this.up ? colours.vermilion : colours.blue, "dots", 2.5)];
      trajlab.draw(this.canvases.plane, { x: [-half, half], y: [-half, half], xLabel: "logits, in the plane", colours, series });
    }

    /** Grey ground and coloured branches in one picture. */
    painted() {
      const [low, high] = LOSS, place = (loss) => ((high - loss) / (high - low)) * MAP.height;
      if (!this.ground) {
        this.ground = element("canvas", { width: MAP.width, height: MAP.height });
        const pen = this.ground.getContext("2d");
        pen.fillStyle = this.colours.pale;
        for (const { column: x, stride, counts } of [...this.data.columns.values()].sort((a, b) => b.stride - a.stride)) {
          pen.clearRect(x, 0, stride, MAP.height);
          counts.forEach((count, row) => {
            pen.globalAlpha = Math.min(0.7, 0.15 + Math.sqrt(count / 60));
            if (count) pen.fillRect(x, row, stride, 1);
          });
        }
      }
      const sheet = () => element("canvas", { width: WIDE, height: MAP.height });
      if (!this.branches) [this.branches, this.fresh] = [sheet(), [...this.visited.values()]];
      const pen = this.branches.getContext("2d");
      pen.globalAlpha = 0.8;
      for (const { at, up, losses } of this.fresh) {
        pen.fillStyle = up ? this.colours.vermilion : this.colours.blue;
        for (const loss of losses) pen.fillRect(at - 0.75, place(loss) - 0.75, 1.5, 1.5);
      }
      this.fresh = [];
      this.both = this.both || sheet();
      const whole = this.both.getContext("2d");
      whole.clearRect(0, 0, WIDE, MAP.height);
      whole.drawImage(this.ground, 0, 0, WIDE, MAP.height);
      whole.drawImage(this.branches, 0, 0);
      return this.both;
    }

    table() {
      if (!this.data || !this.visited) return null;
      const { networks, columns } = this.data, rows = [["of", "kappa", "loss", "visits"]], size = (LOSS[1] - LOSS[0]) / MAP.height;
      for (const { kappa, up, losses } of this.visited.values())
        for (const loss of losses) rows.push([up ? "going up" : "going down", kappa, loss, 1]);
      for (const { index, saturated, kappa, losses } of networks)
        for (const loss of saturated ? losses : []) rows.push([`network ${index}`, kappa, loss, 1]);
      for (const { rate, counts } of columns.values())
        counts.forEach((count, row) => count && rows.push(["random starts", rate, LOSS[1] - (row + 0.5) * size, count]));
      return rows;
    }
  }

  /** Values without those that are within .03 of one before. */
  function distinct(values) {
    return values.filter((value, i) => values.findIndex((other) => Math.abs(other - value) < 0.03) === i);
  }

  customElements.define("ladder-lead", LadderLead);
});
