/* Gradient descent in the reader's browser, with the bits of trajlib's fused engine.

   JavaScript numbers are IEEE float64 and + - * / are never fused or reordered, so that the order of operations written here is the
   order that is computed: that of tests/specification.py. Math.exp and Math.log differ from browser to browser and are not used. */
trajlab.define(function engine(trajlab) {
  const INVERSE_LN2 = 1.4426950408889634;
  const LN2_HIGH = 0.6931471804855391; // 33 bits: k * LN2_HIGH is exact
  const LN2_LOW = 7.440617110012397e-11;
  const ROUNDER = 6755399441055744.0; // 1.5 * 2**52: adding and subtracting it rounds to the nearest integer
  const SQRT2 = 1.4142135623730951;
  // (exp(r) - 1) / r on |r| <= ln(2)/2
  const E0 = 1.0, E1 = 0.5000000000000006, E2 = 0.1666666666666667, E3 = 0.041666666666573066;
  const E4 = 0.008333333333326136, E5 = 0.001388888893251478, E6 = 0.00019841269874820627, E7 = 2.480150431378554e-05;
  const E8 = 2.7557255400206422e-06, E9 = 2.7626371065696354e-07, E10 = 2.5105217004720745e-08;
  // (log((1+s)/(1-s)) - 2s) / s**3 in z = s**2
  const L0 = 0.666666666666667, L1 = 0.3999999999989884, L2 = 0.2857142862627703, L3 = 0.2222221108559742;
  const L4 = 0.18182892707808077, L5 = 0.15331602581588175, L6 = 0.14617920016134425;

  const arithmetic = { // for those who build modules of it
    exponential: [E0, E1, E2, E3, E4, E5, E6, E7, E8, E9, E10],
    logarithm: [L0, L1, L2, L3, L4, L5, L6],
    reduction: { INVERSE_LN2, LN2_HIGH, LN2_LOW, ROUNDER, SQRT2 },
  };

  const POWERS = new Float64Array(2046); // 2**(i - 1022), exactly
  POWERS[1022] = 1.0;
  for (let i = 1023; i < 2046; i++) POWERS[i] = POWERS[i - 1] * 2.0;
  for (let i = 1021; i >= 0; i--) POWERS[i] = POWERS[i + 1] * 0.5;
  const asFloat = new Float64Array(1);
  const asBits = new Uint32Array(asFloat.buffer); // upper half second: no browser runs where it is first

  function exp(x) {
    if (x < -708.0) x = -708.0;
    if (709.0 < x) x = 709.0;
    const k = x * INVERSE_LN2 + ROUNDER - ROUNDER;
    const r = x - k * LN2_HIGH - k * LN2_LOW;
    const q = r * r;
    const even = ((((E10 * q + E8) * q + E6) * q + E4) * q + E2) * q + E0;
    const odd = (((E9 * q + E7) * q + E5) * q + E3) * q + E1;
    return POWERS[(k | 0) + 1022] * (r * (even + r * odd) + 1.0);
  }

  function expm1(x) {
    if (x < -708.0) x = -708.0;
    if (709.0 < x) x = 709.0;
    const k = x * INVERSE_LN2 + ROUNDER - ROUNDER;
    const r = x - k * LN2_HIGH - k * LN2_LOW;
    const q = r * r;
    const even = ((((E10 * q + E8) * q + E6) * q + E4) * q + E2) * q + E0;
    const odd = (((E9 * q + E7) * q + E5) * q + E3) * q + E1;
    const scale = POWERS[(k | 0) + 1022];
    return scale * (r * (even + r * odd)) + (scale - 1.0);
  }

  /** Natural logarithm of positive normal x. */
  function log(x) {
    asFloat[0] = x;
    let e = (asBits[1] >>> 20) - 1023.0;
    asBits[1] = (asBits[1] & 0x000fffff) | 0x3ff00000;
    let m = asFloat[0];
    if (SQRT2 < m) {
      e = e + 1.0;
      m = m * 0.5;
    }
    const f = m - 1.0;
    const s = f / (f + 2.0);
    const z = s * s;
    const tail = (((((L6 * z + L5) * z + L4) * z + L3) * z + L2) * z + L1) * z + L0;
    const value = e * LN2_HIGH + (s * 2.0 + s * z * tail + e * LN2_LOW);
    return value + (x - x); // nan and inf stay what they are
  }

  function sigmoid(z) {
    return 1.0 / (exp(0.0 - z) + 1.0);
  }

  function tanh(z) {
    const e = expm1((z < 0.0 ? z : 0.0 - z) * 2.0);
    const t = (0.0 - e) / (e + 2.0);
    return z < 0.0 ? 0.0 - t : t;
  }

  const INPUTS = 4, OUTPUTS = 3;

  /** Column `k` of rows of `width` numbers. */
  const column = (rows, width, k) => Float64Array.from({ length: rows.length / width }, (_, s) => rows[s * width + k]);

  /** The map of full-batch gradient descent on cross entropy, for a network with 4 inputs, some hidden units and 3 outputs.

      x, y: Float64Array, one row a sample; divisor: what the sums over the samples are divided by. Weights are flat: W1, b1, W2, b2.
      `w` may hold several networks one after the other: `at` is where the one that is meant starts. */
  function gradientDescent({ hidden, activation = "sigmoid", x, y, divisor, lr, decay = 0.0 }) {
    const h = hidden, b1 = INPUTS * h, w2 = b1 + h, b2 = w2 + OUTPUTS * h, size = b2 + OUTPUTS;
    const n = y.length / OUTPUTS;
    const isTanh = activation === "tanh";
    const sums = new Float64Array(size);
    const [x0, x1, x2, x3] = [0, 1, 2, 3].map((i) => column(x, INPUTS, i));
    const [y0, y1, y2] = [0, 1, 2].map((k) => column(y, OUTPUTS, k));
    const [d0, d1, d2] = [0, 1, 2].map(() => new Float64Array(n)); // outputs, then their derivatives delta
    const units = Array.from({ length: h }, () => new Float64Array(n));

    /** Gradient terms of all samples into `sums`; returns the sum of the losses if these are asked for.

        The loops over the samples are the inner ones, with the sums in local variables: twice as fast as the other way round. For each
        number the order of the operations is the same. */
    function gradient(w, at, withLoss) {
      for (let j = 0; j < h; j++) {
        const unit = units[j], row = at + j, bias = w[at + b1 + j];
        const p0 = w[row], p1 = w[row + h], p2 = w[row + 2 * h], p3 = w[row + 3 * h];
        for (let s = 0; s < n; s++) unit[s] = bias + p0 * x0[s] + p1 * x1[s] + p2 * x2[s] + p3 * x3[s];
        if (isTanh) for (let s = 0; s < n; s++) unit[s] = tanh(unit[s]);
        else for (let s = 0; s < n; s++) unit[s] = sigmoid(unit[s]);
      }
      d0.fill(w[at + b2]);
      d1.fill(w[at + b2 + 1]);
      d2.fill(w[at + b2 + 2]);
      for (let j = 0; j < h; j++) {
        const unit = units[j], row = at + w2 + j * OUTPUTS;
        const q0 = w[row], q1 = w[row + 1], q2 = w[row + 2];
        for (let s = 0; s < n; s++) {
          const u = unit[s];
          d0[s] = d0[s] + q0 * u;
          d1[s] = d1[s] + q1 * u;
          d2[s] = d2[s] + q2 * u;
        }
      }
      let total = 0.0, t0 = 0.0, t1 = 0.0, t2 = 0.0;
      for (let s = 0; s < n; s++) {
        let top = d0[s];
        if (top < d1[s]) top = d1[s];
        if (top < d2[s]) top = d2[s];
        const a0 = d0[s] - top, a1 = d1[s] - top, a2 = d2[s] - top;
        const e0 = exp(a0), e1 = exp(a1), e2 = exp(a2);
        const sum = e0 + e1 + e2;
        if (withLoss) total = total + (log(sum) - (y0[s] * a0 + y1[s] * a1 + y2[s] * a2));
        const inverse = 1.0 / sum;
        t0 = t0 + (d0[s] = e0 * inverse - y0[s]);
        t1 = t1 + (d1[s] = e1 * inverse - y1[s]);
        t2 = t2 + (d2[s] = e2 * inverse - y2[s]);
      }
      sums[b2] = t0;
      sums[b2 + 1] = t1;
      sums[b2 + 2] = t2;
      for (let j = 0; j < h; j++) {
        const unit = units[j], row = w2 + j * OUTPUTS;
        const q0 = w[at + row], q1 = w[at + row + 1], q2 = w[at + row + 2];
        let v0 = 0.0, v1 = 0.0, v2 = 0.0, bias = 0.0, p0 = 0.0, p1 = 0.0, p2 = 0.0, p3 = 0.0;
        for (let s = 0; s < n; s++) {
          const u = unit[s];
          v0 = v0 + u * d0[s];
          v1 = v1 + u * d1[s];
          v2 = v2 + u * d2[s];
          const slope = isTanh ? 1.0 - u * u : u * (1.0 - u);
          const g = (q0 * d0[s] + q1 * d1[s] + q2 * d2[s]) * slope;
          bias = bias + g;
          p0 = p0 + x0[s] * g;
          p1 = p1 + x1[s] * g;
          p2 = p2 + x2[s] * g;
          p3 = p3 + x3[s] * g;
        }
        sums[row] = v0;
        sums[row + 1] = v1;
        sums[row + 2] = v2;
        sums[b1 + j] = bias;
        sums[j] = p0;
        sums[h + j] = p1;
        sums[2 * h + j] = p2;
        sums[3 * h + j] = p3;
      }
      return total;
    }

    /** One step in place, at another learning rate if one is given; returns the loss before it if `withLoss`. */
    function step(w, at, withLoss, rate = lr) {
      const value = loss(w, at, withLoss);
      for (let p = 0; p < size; p++) {
        const v = w[at + p];
        w[at + p] = v - rate * (sums[p] / divisor + v * decay);
      }
      return value;
    }

    /** Loss of the network at `at`. */
    function loss(w, at, withLoss = true) {
      const total = gradient(w, at, withLoss);
      if (!withLoss) return NaN;
      if (decay === 0.0) return total / divisor;  // 0 times a sum of squares that overflows would be nan
      let penalty = 0.0;
      for (let p = 0; p < size; p++) penalty = penalty + w[at + p] * w[at + p];
      return total / divisor + penalty * (0.5 * decay);
    }

    let pair; // two networks at a time, or false where the browser cannot

    /** Steps of `count` networks, one after the other in `w` from number `first` on, in place, at another learning rate if one is given.

        losses: Float64Array, one row of `steps` numbers a network: takes the loss before each step. Bits and order are those of `step`. */
    function advance(w, first, count, steps, rate = lr, losses = null) {
      if (pair === undefined) pair = vectorised();
      const row = (m) => losses && losses.subarray((m - first) * steps, (m - first + 1) * steps);
      for (let m = first; m < first + count; m += 2) {
        const other = Math.min(m + 1, first + count - 1); // the last one of an odd number goes twice
        if (pair) pair(w, m * size, other * size, steps, rate, losses && [row(m), row(other)]);
        else
          for (const one of new Set([m, other]))
            for (let t = 0; t < steps; t++) {
              const value = step(w, one * size, Boolean(losses), rate);
              if (losses) row(one)[t] = value;
            }
      }
    }

    function vectorised() {
      try {
        const columns = { x: [x0, x1, x2, x3], y: [y0, y1, y2] };
        return trajlab.descentModule({ hidden: h, activation, ...columns, divisor, decay, ...arithmetic });
      } catch {
        return false;
      }
    }

    return { sizes: [INPUTS, h, OUTPUTS], size, lr, x, y, n, step, loss, advance };
  }

  /** The softmax map s <- s - kappa (softmax(s) - p): the same descent, of a network without hidden units on one sample. */
  function softmaxMap(kappa, p) {
    return gradientDescent({ hidden: 0, x: new Float64Array(INPUTS), y: Float64Array.from(p), divisor: 1, lr: kappa });
  }

  /** Sum over the parameters of |w[a + p] - w[b + p]|, in parameter order. */
  function l1Distance(w, a, b, size) {
    let total = 0.0;
    for (let p = 0; p < size; p++) {
      const difference = w[a + p] - w[b + p];
      total = total + (difference < 0.0 ? 0.0 - difference : difference);
    }
    return total;
  }

  Object.assign(trajlab, { arithmetic, exp, expm1, log, sigmoid, tanh, column, gradientDescent, softmaxMap, l1Distance });
}, true);
