/* Two networks of one hidden layer and one output side by side, trained on the mean squared error, as WebAssembly (see simd.js): what
   training.js does for one network at a time, with the same bits, ten times as fast. No biases, a learning rate for each layer, all samples
   or minibatches, and an offset that is added to the first layer after every step. */
trajlab.define(function regression(trajlab) {
  /** { vectors, put(lane, w, rates, offset), step(t), losses }: `step` leaves the losses before it in `losses`, one a lane.

      sizes: [inputs, hidden]. x, y: one row a sample. scale: what the products of each layer are multiplied by. batches: for each step the
      samples, in their order, all equally many; or null. Throws where the browser has no vectors. */
  function pairOfVectors({ sizes: [d, h], activation, scale, x, y, batches }) {
    const { plus, minus, times, over, below, choose, number, get, set, load, both64, store, NOUGHT, writer, compiled } = trajlab.vectors;
    const n = y.length, few = batches ? batches[0].length : 0, w2 = d * h, size = w2 + h;
    let end = 0;
    const room = (bytes) => (end += bytes) - bytes;
    const KEPT = room(16), OFFSET = room(16), RATE = room(16 * size), W = room(16 * size), S = room(16 * size);
    const U = room(16 * h * Math.max(n, few)), D = room(16 * Math.max(n, few));
    const X = room(8 * n * d), Y = room(8 * n), SOME = room(8 * few * d), TARGETS = room(8 * few);
    const write = writer(trajlab.arithmetic), { P, Q, R, COLUMN, local, loop, units } = write;
    const activations = {
      ...write.activations,
      relu: (target, z) => [...set(target, z), ...set(target, choose(number(0.0), get(target), below(get(target), number(0.0))))],
      identity: (target, z) => set(target, z),
    };
    const slopes = {
      tanh: (u) => minus(number(1.0), times(get(u), get(u))),
      relu: (u) => choose(number(1.0), number(0.0), below(number(0.0), get(u))),
      identity: () => number(1.0),
    };
    const total = (target, term) => set(target, plus(get(target), term));
    const dot = (rows, other) => rows.reduce((sum, row, i) => plus(sum, times(get(row), other(i))), number(0.0));

    /** Loss, or gradient, or both, of m samples at two addresses. */
    function pass(m, inputs, targets, { withLoss, withGradient }) {
      const [u, g, v, q, ...others] = local, rows = others.slice(0, d), weights = others.slice(0, h);
      const forward = units(h, 1, m, [
        ...rows.flatMap((row, i) => set(row, load(W + 16 * i * h, COLUMN))),
        ...loop(m, [
          ...activations[activation](u, times(dot(rows, (i) => both64(inputs + 8 * m * i, P)), number(scale[0]))),
          ...store(U, R, get(u)),
        ]),
      ]);
      const outputs = [
        ...weights.flatMap((one, j) => set(one, load(W + 16 * (w2 + j), NOUGHT))), ...set(v, number(0.0)),
        ...loop(m, [
          ...set(g, minus(times(dot(weights, (j) => load(U + 16 * m * j, Q)), number(scale[1])), both64(targets, P))),
          ...(withLoss ? total(v, times(times(get(g), get(g)), number(0.5))) : []),
          ...store(D, Q, times(get(g), number(scale[1]))),
        ]),
        ...(withLoss ? store(KEPT, NOUGHT, over(get(v), number(0.5 * m))) : []),
      ];
      const back = units(h, 1, m, [
        ...set(q, load(W + 16 * w2, COLUMN)), ...[v, ...rows].flatMap((one) => set(one, number(0.0))),
        ...loop(m, [
          ...set(u, load(U, R)),
          ...total(v, times(get(u), load(D, Q))),
          ...set(g, times(times(times(get(q), load(D, Q)), slopes[activation](u)), number(scale[0]))),
          ...rows.flatMap((row, i) => total(row, times(both64(inputs + 8 * m * i, P), get(g)))),
        ]),
        ...store(S + 16 * w2, COLUMN, get(v)),
        ...rows.flatMap((row, i) => store(S + 16 * i * h, COLUMN, get(row))),
      ]);
      return write.function([...forward, ...outputs, ...(withGradient ? back : [])]);
    }

    const [value] = local, by = number(0.5 * (batches ? few : n));
    const change = plus(over(load(S, Q), by), times(get(value), number(0.0))); // with the decay, which is 0: of infinite weights it makes nan
    const move = write.function([
      ...write.parameters(size, [...set(value, load(W, Q)), ...store(W, Q, minus(get(value), times(load(RATE, Q), change)))]),
      ...write.parameters(w2, store(W, Q, plus(load(W, Q), load(OFFSET, NOUGHT)))),
    ]);
    const bodies = [pass(n, X, Y, { withLoss: true, withGradient: !batches }), move];
    if (batches) bodies.push(pass(few, SOME, TARGETS, { withLoss: false, withGradient: true }));
    const run = compiled(bodies, ["whole", "move", "part"].slice(0, bodies.length), end), memory = new Float64Array(run.memory.buffer);
    const columns = (samples) => [
      Float64Array.from({ length: d * samples.length }, (_, p) => x[samples[p % samples.length] * d + Math.floor(p / samples.length)]),
      Float64Array.from(samples, (sample) => y[sample]),
    ];
    const [all, targets] = columns([...y.keys()]), some = (batches || []).map(columns);
    memory.set(all, X / 8);
    memory.set(targets, Y / 8);
    const losses = memory.subarray(KEPT / 8, KEPT / 8 + 2);

    return {
      vectors: true,
      losses,
      put(lane, w, rates, offset = 0.0) {
        memory[OFFSET / 8 + lane] = offset;
        for (let p = 0; p < size; p++) {
          memory[W / 8 + 2 * p + lane] = p < w2 ? w[p] + offset : w[p];
          memory[RATE / 8 + 2 * p + lane] = rates[p < w2 ? 0 : 1];
        }
      },
      step(t) {
        run.whole(0);
        if (batches) {
          if (t >= some.length) return; // the last loss has no step after it
          memory.set(some[t][0], SOME / 8);
          memory.set(some[t][1], TARGETS / 8);
          run.part(0);
        }
        run.move(0);
      },
    };
  }

  /** The same with plain numbers, one network after the other. */
  function pairOfNumbers({ sizes: [d, h], activation, scale, x, y, batches, batching }) {
    const options = { sizes: [d, h, 1], activation, loss: "mean_squared_error", bias: false, scale, x, y, batches: batching };
    const map = trajlab.trainingMap(options), losses = new Float64Array(2);
    const lanes = [0, 1].map(() => ({ w: new Float64Array(map.size), rates: [0, 0], offset: 0.0 }));
    const moved = ({ w, offset }) => {
      for (let p = 0; p < d * h; p++) w[p] = w[p] + offset;
    };
    return {
      vectors: false,
      losses,
      put(lane, w, rates, offset = 0.0) {
        lanes[lane] = { w: Float64Array.from(w), rates, offset };
        if (offset) moved(lanes[lane]);
      },
      step(t) {
        lanes.forEach((one, lane) => {
          if (batches && t >= batches.length) return void (losses[lane] = map.loss(one.w));
          losses[lane] = map.step(one.w, 0, t, true, one.rates);
          if (one.offset) moved(one);
        });
      },
    };
  }

  trajlab.regressionPair = function (options) {
    try {
      return pairOfVectors(options);
    } catch {
      return pairOfNumbers(options);
    }
  };
}, true);
