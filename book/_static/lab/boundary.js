/* The boundary of trainability in the worker: what becomes of the paper's network at each pixel of a plane of two learning rates.

   Bits are those of trajlib.boundary: draw, rates and trainability. A picture is computed in passes, each twice as fine as the one before;
   of the two networks that go side by side, one that is decided makes room for the next pixel. */
trajlab.define(function boundary(trajlab) {
  const SLICE = 50; // milliseconds of work between two reports
  const N = 8, WEIGHTS = N * N + N, LN10 = 2.302585092994046;
  const WINDOW = 20, LIMIT = 1e6, COARSEST = 16;
  const MEAN_FIELD = [Math.sqrt(2.0 / N), 1.0 / N];

  const CONDITIONS = {
    tanh: {},
    relu: { activation: "relu" },
    identity: { activation: "identity", scale: [1.0 / Math.sqrt(N), 1.0 / N], samples: N },
    minibatch: { batch: 16 },
    single: { samples: 1 },
    offset: { offset: true },
  };

  /** 10**x, as trajlib.boundary.power_of_ten. */
  const powerOfTen = (x) => trajlab.exp(x * LN10);

  /** As trajlib.boundary.rates. */
  function rates(centre, width, n) {
    const middle = powerOfTen(centre);
    return Float64Array.from({ length: n }, (_, i) => middle + middle * trajlab.expm1((i - 0.5 * (n - 1)) * (width / n) * LN10));
  }

  /** The learning rates and the offset of the pixel in a row, from the top, and a column. */
  function axes({ x, y, width, pixels: n, condition }) {
    const across = rates(x, width, n);
    if (!CONDITIONS[condition].offset) {
      const up = rates(y, width, n);
      return { across, up, at: (row, column) => [[across[column], up[n - 1 - row]], 0.0] };
    }
    const up = Float64Array.from({ length: n }, (_, i) => y + (i - 0.5 * (n - 1)) * (width / n));
    return { across, up, at: (row, column) => [[across[column], across[column]], up[n - 1 - row]] };
  }

  /** Two networks on the data of a seed, and their initial weights, as trajlib.boundary.draw. */
  function network({ condition, seed, steps }) {
    const { activation = "tanh", scale = MEAN_FIELD, samples = WEIGHTS, batch } = CONDITIONS[condition];
    const { normal } = trajlab.generator(seed), several = (count) => Float64Array.from({ length: count }, normal);
    const x = several(samples * N), y = several(samples), w = several(WEIGHTS);
    const batching = batch ? { size: batch, seed: 0, replacement: true } : null;
    const chosen = batch && trajlab.batches({ samples, ...batching });
    const batches = batch ? Array.from({ length: steps }, (_, t) => Array.from(chosen(t))) : null;
    return { w, ...trajlab.regressionPair({ sizes: [N, N], activation, scale, x, y, batches, batching }), together: Boolean(batch) };
  }

  /** What is added up on the way of one pixel; `add` returns whether it is decided. */
  function tally(steps) {
    const window = Math.min(WINDOW, steps + 1), begin = steps + 1 - window;
    let t = 0, first = 0.0, fall = 0.0, rise = 0.0, last = 0.0, endedAt = -1;
    return {
      add(loss) {
        if (t === 0) first = loss;
        const ratio = loss / first;
        if (!(ratio <= LIMIT)) endedAt = t;
        else {
          fall = fall + ratio;
          rise = rise + first / loss;
          if (t >= begin) last = last + ratio;
        }
        return endedAt >= 0 || t++ === steps;
      },
      get result() {
        if (endedAt >= 0) return { outcome: -1, value: rise + (steps + 1 - endedAt) * (1.0 / LIMIT), endedAt, last: Infinity };
        const mean = last / window;
        return mean < 1.0 ? { outcome: 1, value: -fall, endedAt, last: mean } : { outcome: 0, value: rise, endedAt, last: mean };
      },
    };
  }

  /** Train at the points that `next` gives, [rates, offset, name], until it gives none; yields results, several at a time. */
  function* train(pair, steps, next) {
    const lanes = [null, null];
    const fill = (lane) => {
      const point = next();
      lanes[lane] = point && { name: point[2], t: 0, sums: tally(steps) };
      if (point) pair.put(lane, pair.w, point[0], point[1]);
    };
    [0, 1].forEach(fill);
    let found = [], began = performance.now();
    for (let count = 1; lanes[0] || lanes[1]; count++) {
      pair.step((lanes[0] || lanes[1]).t);
      for (let lane = 0; lane < 2; lane++) {
        const one = lanes[lane];
        if (!one || (one.t++, !one.sums.add(pair.losses[lane]))) continue;
        found.push({ name: one.name, ...one.sums.result });
        if (pair.together) lanes[lane] = null;
        else fill(lane);
      }
      if (pair.together && !lanes[0] && !lanes[1]) [0, 1].forEach(fill); // they share the minibatches
      if (count % 64 || performance.now() - began < SLICE) continue;
      yield found;
      [found, began] = [[], performance.now()];
    }
    yield found;
  }

  /** Worker number `turn` of `of` computes its share of a picture, coarse blocks first: block [pixel, side] for each result. */
  function* picture({ turn = 0, of = 1, coarsest = COARSEST, ...view }) {
    const { pixels: n, steps } = view, { at } = axes(view);
    function* points() {
      let place = 0;
      for (let side = coarsest; side >= 1; side /= 2)
        for (let row = 0; row < n; row += side)
          for (let column = 0; column < n; column += side) {
            if (side < coarsest && row % (2 * side) === 0 && column % (2 * side) === 0) continue; // done before
            if (place++ % of === turn) yield [...at(row, column), [row * n + column, side]];
          }
    }
    const all = points();
    for (const found of train(network(view), steps, () => all.next().value || null)) yield { found };
  }

  /** The losses of one pixel, up to the end of its training, and what became of it. */
  function trajectory(view, row, column, pair = network(view)) {
    const [rate, offset] = axes(view).at(row, column), sums = tally(view.steps), losses = [];
    pair.put(0, pair.w, rate, offset);
    for (let t = 0, done = false; !done; t++) {
      pair.step(t);
      losses.push(pair.losses[0]);
      done = sums.add(pair.losses[0]);
    }
    return { rate, offset, losses: Float64Array.from(losses), ...sums.result };
  }

  Object.assign(trajlab, { boundary: { CONDITIONS, COARSEST, axes, network, trajectory, picture } });
  trajlab.jobs.boundary = picture;
  trajlab.shared.add("boundary");
}, true);
