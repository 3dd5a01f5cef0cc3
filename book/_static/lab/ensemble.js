/* What the laboratory trains: Iris, its splits, initial conditions and perturbed copies, all as in trajlib. */
trajlab.define(function ensemble(trajlab) {
  const SIZES = [4, 10, 3], TRAIN = 120;

  /** The training part of trajlib.iris(split_seed=split): rows of x, one-hot rows of y, class proportions p. */
  function iris(split) {
    const [d, , c] = SIZES;
    const chosen = trajlab.generator(split).permutation(150).slice(0, TRAIN);
    const x = new Float64Array(TRAIN * d), y = new Float64Array(TRAIN * c), counts = new Array(c).fill(0);
    chosen.forEach((flower, s) => {
      x.set(trajlab.flowers.subarray(flower * d, (flower + 1) * d), s * d);
      y[s * c + trajlab.species[flower]] = 1.0;
      counts[trajlab.species[flower]]++;
    });
    return { x, y, counts, p: counts.map((count) => count / TRAIN) };
  }

  /** trajlib.GradientDescent on the 4-10-3 network. */
  function irisDescent(lr, split = 0, options = {}) {
    const { x, y, p } = iris(split);
    return { ...trajlab.gradientDescent({ hidden: SIZES[1], x, y, divisor: TRAIN, lr, ...options }), p };
  }

  /** Which entries of a weight vector belong to W1, W2, ...: biases start from 0 and are not perturbed. */
  function isWeight(sizes) {
    const layer = (units, l) => [...new Array(sizes[l] * units).fill(true), ...new Array(units).fill(false)];
    return sizes.slice(1).flatMap(layer);
  }

  /** Rows first ... first + n - 1 of Perceptron.init(seed=seed). */
  function initialConditions(sizes, first, n, seed = 0) {
    const movable = isWeight(sizes), random = trajlab.generator(seed);
    const w = new Float64Array(n * movable.length);
    for (let i = 0; i < first + n; i++)
      for (let p = 0; p < movable.length; p++) {
        if (!movable[p]) continue;
        const value = random.normal();
        if (i >= first) w[(i - first) * movable.length + p] = value;
      }
    return w;
  }

  /** Initial condition number `index` and, after it, its copies as trajlib.perturb(..., seed=seed) moves them. */
  function perturbed(w0, sizes, index, radius, copies, seed = 1) {
    const movable = isWeight(sizes), size = movable.length, random = trajlab.generator(seed, [index]);
    const w = new Float64Array((1 + copies) * size);
    for (let m = 0; m <= copies; m++) {
      w.set(w0, m * size);
      if (m === 0) continue;
      let moved = false;
      for (let p = 0; p < size; p++) {
        if (!movable[p]) continue;
        w[m * size + p] = w0[p] + radius * (-1.0 + 2.0 * random.double());
        moved = moved || w[m * size + p] !== w0[p];
      }
      if (!moved) throw new Error(`the radius ${radius} is lost in the rounding of float64; use a larger one`);
    }
    return w;
  }

  /** Row `index` of SoftmaxMap.init(seed=seed): logits from N(0, 1) less their mean. */
  function initialLogits(classes, index, seed = 0) {
    const random = trajlab.generator(seed), s = new Float64Array(classes);
    let mean = 0.0;
    for (let i = 0; i <= index; i++) {
      mean = 0.0;
      for (let k = 0; k < classes; k++) {
        s[k] = random.normal();
        mean = mean + s[k];
      }
      mean = mean / classes;
    }
    return s.map((value) => value - mean);
  }

  /** trajlib.collapse for the one sigmoid network at `at`: is its hidden layer saturated, and on which rung does it stand? */
  function collapse(gd, w, at, tolerance = 0.01) {
    const [d, h, c] = gd.sizes, b1 = d * h, w2 = b1 + h, b2 = w2 + h * c;
    const logits = new Float64Array(c), low = new Float64Array(c).fill(Infinity), high = new Float64Array(c).fill(-Infinity);
    const nearest = new Float64Array(h).fill(1.0), farthest = new Float64Array(h);
    const hidden = new Float64Array(h);
    let squares = 0.0;
    for (let s = 0; s < gd.n; s++) {
      for (let j = 0; j < h; j++) {
        let z = w[at + b1 + j];
        for (let i = 0; i < d; i++) z += w[at + i * h + j] * gd.x[s * d + i];
        hidden[j] = trajlab.sigmoid(z);
        nearest[j] = Math.min(nearest[j], hidden[j]);
        farthest[j] = Math.max(farthest[j], hidden[j]);
        squares += hidden[j] * hidden[j];
      }
      for (let k = 0; k < c; k++) {
        let a = w[at + b2 + k];
        for (let j = 0; j < h; j++) a += w[at + w2 + j * c + k] * hidden[j];
        logits[k] += a / gd.n;
        low[k] = Math.min(low[k], a);
        high[k] = Math.max(high[k], a);
      }
    }
    const total = squares / gd.n;
    const saturated = hidden.every((_, j) => Math.min(farthest[j], 1.0 - nearest[j]) < tolerance);
    const spread = Math.max(...high.map((value, k) => value - low[k]));
    return { saturated, kappa: gd.lr * (1.0 + total), rung: Math.round(total), logits, spread };
  }

  Object.assign(trajlab, { SIZES, iris, irisDescent, initialConditions, perturbed, initialLogits, collapse });
}, true);
