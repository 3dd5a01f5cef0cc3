/* A network and its copies on a line, and two clocks: when their separation on the line, and when their distance in all dimensions, has
   come to half of its plateau. A job of the worker. */
trajlab.define(function clocks(trajlab) {
  const SLICE = 40; // milliseconds

  const mean = (values) => values.reduce((sum, value) => sum + value, 0.0) / values.length;

  /** trajlib.saturation_time of a mean separation at successive steps: the first step at or above a fraction of the plateau, or null. */
  function saturationTime(separation, { fraction = 0.5, last = 50, growth = 1e3, steady = 2 } = {}) {
    const n = separation.length, half = n - Math.floor(last / 2), plateau = mean(separation.slice(n - last));
    const flat = mean(separation.slice(half)) <= steady * mean(separation.slice(n - last, half));
    if (!separation.every(Number.isFinite) || !(plateau > growth * separation[0]) || !flat) return null;
    return separation.findIndex((value) => value >= fraction * plateau);
  }

  /** D, the root-mean-square difference of the weights, of each copy at each step; then the coordinates z, all embedded together. */
  function* line({ lr, condition, radius, copies, steps, split }) {
    const gd = trajlab.irisDescent(lr, split), { size } = gd, members = 1 + copies;
    const w0 = trajlab.initialConditions(trajlab.SIZES, condition, 1), w = trajlab.perturbed(w0, trajlab.SIZES, condition, radius, copies);
    const snapshots = new Float64Array(w.length * (steps + 1));
    let distance = [], began = performance.now();
    for (let t = 0; t <= steps; t++) {
      snapshots.set(w, w.length * t);
      const row = Array.from({ length: copies }, (_, m) => {
        let squares = 0.0;
        for (let p = 0; p < size; p++) squares += (w[(m + 1) * size + p] - w[p]) ** 2;
        return Math.sqrt(squares / size);
      });
      distance.push(row);
      if (t < steps) gd.advance(w, 0, members, 1);
      if (performance.now() - began < SLICE) continue;
      yield { distance };
      [distance, began] = [[], performance.now()];
    }
    yield { distance };
    const embedded = trajlab.scalarEmbedding(snapshots, size);
    if (!embedded) throw new Error("the weights are no longer finite");
    const { z, between, explained } = embedded, times = Array.from({ length: steps + 1 }, (_, t) => t);
    const series = (entry) => Array.from({ length: members }, (_, m) => times.map((t) => entry(t * members, m)));
    yield {
      z: series((row, m) => z[row + m]),
      separation: series((row, m) => Math.abs(between(row + m, row))).slice(1),
      explained,
    };
  }

  trajlab.saturationTime = saturationTime;
  trajlab.jobs.line = line;
}, true);
