/* The training map of any perceptron, by any rule, at any learning rate, on all samples or on minibatches, with the bits of trajlib's fused
   engine: what GradientDescent, Adam, AdamW and RMSProp are to a Perceptron. Most pages need engine.js alone, which is faster. */
trajlab.define(function training(trajlab) {
  const PER_SAMPLE = { cross_entropy: () => 1.0, half_squared_error: () => 0.0, mean_squared_error: (outputs) => 0.5 * outputs };

  /** The map z -> g(z, t) of a state, which is flat weights W1, b1, W2, b2, ... and then the rule's memory, slot by slot.

      sizes: inputs, hidden units of each layer, outputs. x, y: Float64Array, one row a sample. scale: what the products of each layer are
      multiplied by. rule: see trajlab.rule. lr: see trajlab.schedule; an array has one for each layer. batches: {size, seed, replacement},
      or null for all samples at each step. `z` may hold several states one after the other: `at` is where the one that is meant starts. */
  function trainingMap(options) {
    const { sizes, activation = "sigmoid", loss: costs = "cross_entropy", bias = true, scale = null, x, y, lr = 1.0 } = options;
    const [inputs, outputs] = [sizes[0], sizes[sizes.length - 1]], samples = y.length / outputs;
    const rule = trajlab.rule(options.rule), { slots, move, decay, shrink } = rule;
    const chosen = options.batches ? trajlab.batches({ samples, ...options.batches }) : null;
    const room = Math.max(samples, options.batches ? options.batches.size : 0);
    const network = trajlab.perceptron({ sizes, activation, loss: costs, bias, scale, room });
    const { size, layers, sums } = network, stateSize = size * (1 + slots);
    const schedules = layers.map((_, l) => trajlab.schedule(Array.isArray(lr) ? lr[l] : lr));
    const perSample = PER_SAMPLE[costs](outputs), divisor = (n) => (perSample ? perSample * n : 1.0);
    const columns = (rows, width) => Array.from({ length: width }, (_, k) => trajlab.column(rows, width, k));
    const all = [columns(x, inputs), columns(y, outputs)];
    const some = all.map((parts) => parts.map(() => new Float64Array(chosen ? room : 0)));

    /** The samples of step t side by side; returns how many. */
    function gather(t) {
      const order = chosen(t);
      all.forEach((parts, i) => parts.forEach((whole, k) => order.forEach((sample, s) => (some[i][k][s] = whole[sample]))));
      return order.length;
    }

    /** The loss of all samples from the sum of their losses. */
    function withPenalty(total, z, at) {
      if (decay === 0.0) return total / divisor(samples); // 0 times a sum of squares that overflows would be nan
      let penalty = 0.0;
      for (let p = at; p < at + size; p++) penalty = penalty + z[p] * z[p];
      return total / divisor(samples) + penalty * (0.5 * decay);
    }

    /** Loss of all samples, with the penalty of a decay that is part of it. */
    function loss(z, at = 0) {
      return withPenalty(network.loss(z, at, ...all, samples), z, at);
    }

    /** Step t = 0, 1, ... in place, at other learning rates, one a layer, if these are given; returns the loss before it if `withLoss`. */
    function step(z, at, t, withLoss = false, rates = null) {
      let value = NaN, n = samples;
      if (chosen) {
        if (withLoss) value = loss(z, at);
        n = gather(t);
        network.gradient(z, at, ...some, n, false);
      } else {
        const total = network.gradient(z, at, ...all, n, withLoss);
        if (withLoss) value = withPenalty(total, z, at);
      }
      const by = divisor(n), numbers = rule.at(t);
      layers.forEach(({ begin, end }, l) => {
        const rate = rates ? rates[l] : schedules[l](t), kept = 1.0 - rate * shrink;
        for (let p = begin; p < end; p++) {
          const i = at + p, v = z[i], g = sums[p] / by + v * decay;
          z[i] = move(shrink === 0.0 ? v : v * kept, g, z, i + size, i + 2 * size, rate, numbers);
        }
      });
      return value;
    }

    return { sizes, size, stateSize, x, y, n: samples, step, loss };
  }

  /** Final states of many networks on Iris, or of the softmax map: what the golden runs need.

      One of: kappa of the map; descent, the options of irisDescent; network, those of trainingMap without the data. */
  function* train({ split, networks, seed, steps, kappa, descent, network }) {
    const { x, y, p } = trajlab.iris(split), sizes = network ? network.sizes : trajlab.SIZES;
    const isMap = kappa !== undefined;
    const general = network ? trainingMap({ x, y, ...network }) : null;
    const simple = isMap ? trajlab.softmaxMap(kappa, p) : general ? null : trajlab.irisDescent(descent.lr, split, descent);
    const { size, stateSize = size } = general || simple;
    const initial = isMap
      ? Float64Array.from(Array.from({ length: networks }, (_, i) => [...trajlab.initialLogits(3, i, seed)]).flat())
      : trajlab.initialConditions(sizes, 0, networks, seed);
    const final = new Float64Array(networks * stateSize);
    for (let m = 0; m < networks; m++) final.set(initial.subarray(m * size, (m + 1) * size), m * stateSize);
    for (let m = 0; m < networks; m += 2) {
      const count = Math.min(2, networks - m);
      if (simple) simple.advance(final, m, count, steps);
      else for (let one = m; one < m + count; one++) for (let t = 0; t < steps; t++) general.step(final, one * stateSize, t);
      yield { done: (m + count) / networks };
    }
    yield { initial, final };
  }

  trajlab.trainingMap = trainingMap;
  trajlab.jobs.train = train;
}, true);
