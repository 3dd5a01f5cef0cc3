/* What runs in the worker. A job is a generator: each of its values is a part of the result that took a few hundredths of a second, so
   that the page sees the run grow, and can halt it. */
trajlab.define(function worker(trajlab) {
  const SLICE = 50; // milliseconds of work between two reports
  const EVERY = 50; // steps between two looks at the hidden layer
  const AFTERWARDS = 60; // steps that network and map go on side by side

  /** One initial condition and its copies, step by step. */
  function* trajectories({ lr, condition, radius, copies, steps, split, followed, withMap, withEmbedding, withPlane }) {
    const gd = trajlab.irisDescent(lr, split);
    const w0 = trajlab.initialConditions(trajlab.SIZES, condition, 1);
    const w = trajlab.perturbed(w0, trajlab.SIZES, condition, radius, copies);
    const losses = new Float64Array(1 + copies);
    const snapshots = new Float64Array(withEmbedding || withPlane ? w.length * (steps + 1) : 0);
    let t = 0;
    while (t <= steps) {
      const part = { from: t, loss: [], distance: [], weights: [], states: [] };
      const began = performance.now();
      do {
        for (let m = 1; m <= copies; m++) part.distance.push(trajlab.l1Distance(w, m * gd.size, 0, gd.size));
        for (const p of followed) part.weights.push(w[p]);
        if (snapshots.length) snapshots.set(w, w.length * t);
        if (withMap && (t % EVERY === 0 || t === steps)) part.states.push({ step: t, ...trajlab.collapse(gd, w, 0) });
        if (t === steps) losses[0] = gd.loss(w, 0); // the state at the end has a loss, but takes no step
        else gd.advance(w, 0, 1 + copies, 1, lr, losses);
        part.loss.push(losses[0]);
        t++;
      } while (t <= steps && performance.now() - began < SLICE);
      part.networkSteps = (1 + copies) * (Math.min(t, steps) - part.from);
      part.milliseconds = performance.now() - began;
      yield part;
    }
    if (withMap) yield { comparison: compareWithMap(gd, w) };
    if (withEmbedding) yield { embedding: embed(snapshots, gd.size, 1 + copies) };
    if (withPlane) yield { plane: projected(snapshots, gd.size, 1 + copies) };
  }

  /** Coordinates of each member in the plane in which a network and its copies spread most. */
  function projected(snapshots, size, members) {
    const { x, y, explained } = trajlab.principalPlane(snapshots, size);
    const each = (axis) => Array.from({ length: members }, (_, m) => axis.filter((_, row) => row % members === m));
    return { x: each(x), y: each(y), explained };
  }

  /** Coordinates z of each member, of a network and its copies embedded together, and how far apart they are on the line. */
  function embed(snapshots, size, members) {
    const embedded = trajlab.scalarEmbedding(snapshots, size);
    if (!embedded) throw new Error("the weights are no longer finite");
    const times = snapshots.length / size / members;
    const inTime = (entry, m) => Float64Array.from({ length: times }, (_, t) => entry(t * members, m));
    const series = (entry) => Array.from({ length: members }, (_, m) => inTime(entry, m));
    const { z, between, explained } = embedded;
    return { z: series((row, m) => z[row + m]), separation: series((row, m) => between(row + m, row)).slice(1), explained };
  }

  /** Losses of the network and of its softmax map from the same state, as trajlib.compare_with_map. */
  function compareWithMap(gd, w) {
    const { kappa, logits } = trajlab.collapse(gd, w, 0);
    const reduced = trajlab.softmaxMap(kappa, gd.p), network = w.slice(0, gd.size);
    const both = { network: [], reduced: [] };
    for (let t = 0; t <= AFTERWARDS; t++) {
      both.network.push(gd.step(network, 0, true));
      both.reduced.push(reduced.step(logits, 0, true));
    }
    return both;
  }

  /** Which losses are visited at each of `width` learning rates between `from` and `to`, counted in `height` bins from low to high.

      Columns come in an order that refines: every 16th, then those half way between, and so on. This worker is number `turn` of `of`, which
      take the columns in turns. */
  function* bifurcation({ system, split, from, to, low, high, width, height, starts, transient, kept, turn = 0, of = 1 }) {
    const data = trajlab.iris(split), isMap = system === "map";
    const gd = isMap ? trajlab.softmaxMap(from, data.p) : trajlab.irisDescent(from, split);
    const initial = isMap
      ? Float64Array.from(Array.from({ length: starts }, (_, i) => [...trajlab.initialLogits(3, i)]).flat())
      : trajlab.initialConditions(trajlab.SIZES, 0, starts);
    const losses = new Float64Array(starts * kept);
    let part = [], began = performance.now(), place = 0;
    for (let stride = 16; stride >= 1; stride /= 2)
      for (let column = 0; column < width; column += stride) {
        if (stride < 16 && column % (2 * stride) === 0) continue; // done with the stride before
        if (place++ % of !== turn) continue;
        const rate = from + ((column + 0.5) / width) * (to - from);
        const counts = new Uint32Array(height), w = initial.slice();
        gd.advance(w, 0, starts, transient, rate);
        gd.advance(w, 0, starts, kept, rate, losses);
        for (const loss of losses) {
          const row = Math.floor(((high - loss) / (high - low)) * height);
          if (row >= 0 && row < height) counts[row]++;
        }
        part.push({ column, stride, rate, counts });
        if (performance.now() - began < SLICE) continue;
        yield { columns: part };
        [part, began] = [[], performance.now()];
      }
    yield { columns: part };
  }

  const jobs = { trajectories, bifurcation };

  /** Answer the page: {job, options} starts, {halted} halts and resumes. Replies are {part}, {finished} or {error}. */
  trajlab.serve = function (port) {
    let running = null, halted = false, waiting = false;
    function proceed() {
      waiting = false;
      if (!running || halted) return;
      try {
        const { value, done } = running.next();
        port.postMessage(done ? { finished: true } : { part: value });
        if (done) running = null;
      } catch (error) {
        running = null;
        port.postMessage({ error: error.message });
      }
      schedule();
    }
    function schedule() {
      if (waiting || !running || halted) return;
      waiting = true;
      setTimeout(proceed); // lets messages in
    }
    port.onmessage = ({ data }) => {
      if (data.job) running = jobs[data.job](data.options);
      if ("halted" in data) halted = data.halted;
      schedule();
    };
  };
  trajlab.jobs = jobs;
  trajlab.shared = new Set(["bifurcation"]); // jobs that several workers do in turns, see `of`; their parts may come in any order
}, true);
