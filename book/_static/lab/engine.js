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

  /** The map of full-batch gradient descent on cross entropy.

      sizes: [inputs, hidden, outputs]; x, y: Float64Array, one row a sample; divisor: what the sums over the samples are divided by.
      Weights are flat: W1, b1, W2, b2. `w` may hold several networks one after the other: `at` is where the one that is meant starts. */
  function gradientDescent({ sizes, activation = "sigmoid", x, y, divisor, lr, decay = 0.0 }) {
    const [d, h, c] = sizes;
    const b1 = d * h, w2 = b1 + h, b2 = w2 + h * c, size = b2 + c;
    const n = y.length / c;
    const isTanh = activation === "tanh";
    const sums = new Float64Array(size);
    const hidden = new Float64Array(h), delta = new Float64Array(c), g = new Float64Array(h);

    /** Gradient terms of all samples, in sample order, into `sums`; returns the sum of the losses if these are asked for. */
    function gradient(w, at, withLoss) {
      let total = 0.0;
      sums.fill(0.0);
      for (let s = 0; s < n; s++) {
        const xs = s * d, ys = s * c;
        for (let j = 0; j < h; j++) hidden[j] = w[at + b1 + j];
        for (let i = 0; i < d; i++) {
          const value = x[xs + i], row = at + i * h;
          for (let j = 0; j < h; j++) hidden[j] = hidden[j] + w[row + j] * value;
        }
        if (isTanh) for (let j = 0; j < h; j++) hidden[j] = tanh(hidden[j]);
        else for (let j = 0; j < h; j++) hidden[j] = sigmoid(hidden[j]);
        for (let k = 0; k < c; k++) {
          let a = w[at + b2 + k];
          for (let j = 0; j < h; j++) a = a + w[at + w2 + j * c + k] * hidden[j];
          delta[k] = a;
        }
        let top = delta[0];
        for (let k = 1; k < c; k++) if (top < delta[k]) top = delta[k];
        let sum = 0.0, label = 0.0;
        for (let k = 0; k < c; k++) {
          const a = delta[k] - top;
          label = label + y[ys + k] * a;
          const e = exp(a);
          sum = sum + e;
          delta[k] = e;
        }
        if (withLoss) total = total + (log(sum) - label);
        const inverse = 1.0 / sum;
        for (let k = 0; k < c; k++) {
          delta[k] = delta[k] * inverse - y[ys + k];
          sums[b2 + k] = sums[b2 + k] + delta[k];
        }
        for (let j = 0; j < h; j++) {
          const unit = hidden[j];
          let back = 0.0;
          for (let k = 0; k < c; k++) {
            const slot = w2 + j * c + k;
            sums[slot] = sums[slot] + unit * delta[k];
            back = back + w[at + slot] * delta[k];
          }
          back = back * (isTanh ? 1.0 - unit * unit : unit * (1.0 - unit));
          sums[b1 + j] = sums[b1 + j] + back;
          g[j] = back;
        }
        for (let i = 0; i < d; i++) {
          const value = x[xs + i], row = i * h;
          for (let j = 0; j < h; j++) sums[row + j] = sums[row + j] + value * g[j];
        }
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
      let penalty = 0.0;
      for (let p = 0; p < size; p++) penalty = penalty + w[at + p] * w[at + p];
      return total / divisor + penalty * (0.5 * decay);
    }

    return { sizes, size, lr, x, y, n, step, loss };
  }

  /** The softmax map s <- s - kappa (softmax(s) - p): the same descent, of a network without inputs and hidden units. */
  function softmaxMap(kappa, p) {
    return gradientDescent({ sizes: [0, 0, p.length], x: new Float64Array(0), y: Float64Array.from(p), divisor: 1, lr: kappa });
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

  Object.assign(trajlab, { exp, expm1, log, sigmoid, tanh, gradientDescent, softmaxMap, l1Distance });
}, true);
