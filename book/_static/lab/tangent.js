/* Chapter 5's network of two inputs, two tanh units and one output in training, with tangent vectors in tow: finite-time exponents, the
   curvature of a moment, and what boosted trees read in them. Gradient, Hessian times a vector and Gram-Schmidt have the order of
   trajlib's fused engine, and its bits. */
trajlab.define(function tangent(trajlab) {
  const { tanh, log } = trajlab;
  const SIZES = [2, 2, 1], SIZE = 9, POINTS = 50;
  const WIPED_OUT = 1e-300, RESOLVED = 1e-13; // lengths of no direction, and shares of the longest in which rounding is all
  const SLICE = 40; // milliseconds

  /** The points of trajlib.plane("parabola", seed=seed). */
  function parabola(seed = 0) {
    const random = trajlab.generator(seed), rows = Float64Array.from({ length: 2 * POINTS }, () => -2.0 + 4.0 * random.double());
    const [x0, x1] = [0, 1].map((i) => trajlab.column(rows, 2, i));
    return { x0, x1, y: x0.map((u, s) => ((u + x1[s]) * (u + x1[s])) / 1.2) };
  }

  /** Gradient descent on the half squared error, summed. Weights: W1 by rows, b1, W2, b2. */
  function planeDescent(lr, { x0, x1, y } = parabola()) {
    const n = y.length, sums = new Float64Array(SIZE), image = new Float64Array(SIZE);
    const rows = () => [new Float64Array(n), new Float64Array(n)];
    const units = rows(), slopes = rows(), bends = rows(), rises = rows(), error = new Float64Array(n), rise = new Float64Array(n);

    /** The loss at w; the gradient into `sums`; and what products with the Hessian need. */
    function gradient(w) {
      for (let j = 0; j < 2; j++) {
        const a = w[j], b = w[2 + j], bias = w[4 + j], unit = units[j];
        for (let s = 0; s < n; s++) unit[s] = tanh(bias + a * x0[s] + b * x1[s]);
      }
      const [h0, h1] = units, q0 = w[6], q1 = w[7], top = w[8];
      let loss = 0.0, total = 0.0;
      for (let s = 0; s < n; s++) {
        const d = (error[s] = top + q0 * h0[s] + q1 * h1[s] - y[s]);
        loss = loss + d * d * 0.5;
        total = total + d;
      }
      sums[8] = total;
      for (let j = 0; j < 2; j++) {
        const unit = units[j], slope = slopes[j], bend = bends[j], q = w[6 + j];
        let v = 0.0, bias = 0.0, a = 0.0, b = 0.0;
        for (let s = 0; s < n; s++) {
          const h = unit[s], d = error[s], g = q * d;
          v = v + h * d;
          slope[s] = 1.0 - h * h;
          bend[s] = g * (-2.0 * h);
          const back = g * slope[s];
          bias = bias + back;
          a = a + x0[s] * back;
          b = b + x1[s] * back;
        }
        [sums[6 + j], sums[4 + j], sums[j], sums[2 + j]] = [v, bias, a, b];
      }
      return loss;
    }

    /** The Hessian where `gradient` was called last, times the vector at `at` of v, into `out`. */
    function product(w, v, at, out = image) {
      const q = [w[6], w[7]], r0 = v[at + 6], r1 = v[at + 7], [h0, h1] = units, [k0, k1] = rises;
      for (let j = 0; j < 2; j++) {
        const a = v[at + j], b = v[at + 2 + j], bias = v[at + 4 + j], slope = slopes[j], k = rises[j];
        for (let s = 0; s < n; s++) k[s] = (bias + a * x0[s] + b * x1[s]) * slope[s];
      }
      let total = 0.0;
      for (let s = 0; s < n; s++) {
        rise[s] = v[at + 8] + r0 * h0[s] + q[0] * k0[s] + r1 * h1[s] + q[1] * k1[s];
        total = total + rise[s];
      }
      out[8] = total;
      for (let j = 0; j < 2; j++) {
        const unit = units[j], slope = slopes[j], bend = bends[j], k = rises[j], weight = q[j], r = v[at + 6 + j];
        let u = 0.0, bias = 0.0, a = 0.0, b = 0.0;
        for (let s = 0; s < n; s++) {
          u = u + (k[s] * error[s] + unit[s] * rise[s]);
          const g = (r * error[s] + weight * rise[s]) * slope[s] + bend[s] * k[s];
          bias = bias + g;
          a = a + x0[s] * g;
          b = b + x1[s] * g;
        }
        [out[6 + j], out[4 + j], out[j], out[2 + j]] = [u, bias, a, b];
      }
      return out;
    }

    /** A step of w, and of the tangent vectors that stand one after the other in `vectors`; returns the loss before it. */
    function step(w, vectors = []) {
      const loss = gradient(w);
      for (let at = 0; at < vectors.length; at += SIZE) {
        product(w, vectors, at);
        for (let p = 0; p < SIZE; p++) vectors[at + p] = vectors[at + p] - lr * image[p];
      }
      for (let p = 0; p < SIZE; p++) w[p] = w[p] - lr * sums[p];
      return loss;
    }

    return { n, lr, sums, gradient, product, step };
  }

  /** Modified Gram-Schmidt on the rows of `vectors`, in place; R, upper triangular, into `triangle`. */
  function orthonormalise(vectors, triangle) {
    for (let j = 0; j < SIZE; j++) {
      const v = j * SIZE;
      for (let i = 0; i < j; i++) {
        const q = i * SIZE;
        let dot = 0.0;
        for (let p = 0; p < SIZE; p++) dot = dot + vectors[q + p] * vectors[v + p];
        for (let p = 0; p < SIZE; p++) vectors[v + p] = vectors[v + p] - dot * vectors[q + p];
        triangle[i * SIZE + j] = dot;
      }
      let square = 0.0;
      for (let p = 0; p < SIZE; p++) square = square + vectors[v + p] * vectors[v + p];
      const norm = Math.sqrt(square), inverse = norm < WIPED_OUT ? 0.0 : 1.0 / norm;
      for (let p = 0; p < SIZE; p++) vectors[v + p] = vectors[v + p] * inverse;
      triangle[v + j] = norm;
    }
  }

  // Rows of very different lengths: each is a row times 2**exponent, so that neither products nor squares underflow.

  const power = (exponent) => 2 ** Math.max(-1000, Math.min(1000, exponent));

  function scale(row, exponent) {
    const largest = row.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    if (!(largest > 0) || largest === Infinity) return exponent;
    const shift = Math.ceil(Math.log2(largest));
    if (shift) for (let p = 0; p < row.length; p++) row[p] *= power(-shift);
    return exponent + shift;
  }

  const dot = (a, b) => a.reduce((sum, value, p) => sum + value * b[p], 0.0);

  /** One-sided Jacobi: rotate rows until they are orthogonal, longest first; returns the logarithms of their lengths (Demmel and Veselić,
      SIAM J. Matrix Anal. Appl. 13, 1992). */
  function lengths(given, exponents = given.map(() => 0)) {
    const rows = given.map((row) => Float64Array.from(row)), e = rows.map((row, i) => scale(row, exponents[i])), k = rows.length;
    for (let turned = true, sweep = 0; turned && sweep < 60; sweep++) {
      turned = false;
      for (let i = 0; i < k - 1; i++)
        for (let j = i + 1; j < k; j++) {
          let a = dot(rows[i], rows[i]), b = dot(rows[j], rows[j]), ratio = power(e[j] - e[i]);
          if (a === 0 && b === 0) continue;
          if (a === 0 || b * ratio * ratio > a) {
            [rows[i], rows[j], e[i], e[j], a, b] = [rows[j], rows[i], e[j], e[i], b, a];
            ratio = power(e[j] - e[i]);
            turned = turned || b > 0;
          }
          const g = dot(rows[i], rows[j]);
          if (!(g * g > (4.5e-16 * k) ** 2 * a * b)) continue;
          turned = true;
          const h = b * ratio * ratio - a, twice = 2 * g * ratio, slope = (2 * g) / (Math.sqrt(h * h + twice * twice) - h);
          const t = ratio * slope, cosine = 1 / Math.sqrt(1 + t * t);
          for (let p = 0; p < k; p++) {
            const [first, second] = [rows[i][p], rows[j][p]];
            rows[i][p] = cosine * (first + t * ratio * second);
            rows[j][p] = cosine * (second - slope * first);
          }
          e[i] = scale(rows[i], e[i]);
          e[j] = scale(rows[j], e[j]);
        }
    }
    return rows.map((row, i) => Math.log(Math.sqrt(dot(row, row))) + e[i] * Math.LN2);
  }

  /** The product of triangular matrices, one after the other, and the logarithms of its singular values. */
  function growingProduct() {
    const rows = Array.from({ length: SIZE }, (_, i) => Float64Array.from({ length: SIZE }, (_, p) => (p === i ? 1 : 0)));
    const exponents = new Array(SIZE).fill(0);
    function times(triangle) {
      for (let a = 0; a < SIZE; a++) {
        const row = rows[a].map((value) => value * triangle[a * SIZE + a]);
        for (let b = a + 1; b < SIZE; b++) {
          const factor = triangle[a * SIZE + b] * power(exponents[b] - exponents[a]);
          for (let p = b; p < SIZE; p++) row[p] += factor * rows[b][p];
        }
        rows[a] = row;
        exponents[a] = scale(row, exponents[a]);
      }
    }
    return { times, logarithms: () => lengths(rows, exponents) };
  }

  /** What the trees of chapter 5 are told at a state: eigenvalues of the Hessian, least first; logarithms of loss, gradient norm, sharpness
      and weight norm; the weights. */
  function indicators(gd, w) {
    const loss = gd.gradient(w), unit = new Float64Array(SIZE * SIZE), norm = (v) => Math.sqrt(dot(v, v));
    const rows = Array.from({ length: SIZE }, (_, p) => {
      unit[p * SIZE + p] = 1;
      return gd.product(w, unit, p * SIZE, new Float64Array(SIZE));
    });
    const shift = 1.0 + Math.sqrt(rows.reduce((sum, row) => sum + dot(row, row), 0.0)); // beyond the least eigenvalue
    const eigenvalues = lengths(rows.map((row, p) => row.map((value, q) => value + (p === q ? shift : 0))))
      .map((value) => Math.exp(value) - shift)
      .reverse();
    const baselines = [loss, norm(gd.sums), Math.abs(eigenvalues[SIZE - 1]), norm(w)].map(Math.log);
    return { eigenvalues, baselines, weights: Array.from(w) };
  }

  /** Log-odds that the run ends well, by boosted trees as tools/write_lab_trees.py writes them. */
  function forecast({ start, trees }, x) {
    return trees.reduce((sum, text) => {
      const tokens = text.split(" ");
      let i = 0;
      const value = () => {
        const head = tokens[i++], feature = head.charCodeAt(0) - 97;
        if (feature < 0) return Number(head);
        const left = x[feature] <= Number(head.slice(1)), [low, high] = [value(), value()];
        return left ? low : high;
      };
      return sum + value();
    }, start);
  }

  /** A run, and with `exponents` its tangent vectors, recorded at the ascending steps `at`; `early` is the step whose state is told. */
  function* weights({ weights: start, lr, at, early, exponents }) {
    const gd = planeDescent(lr), w = Float64Array.from(start), last = at[at.length - 1], loss = [];
    let next = 0, state;
    for (let t = 0; t <= last; t++) {
      if (t === early) state = indicators(gd, w);
      const value = t === last ? gd.gradient(w) : gd.step(w);
      if (t === at[next]) {
        loss.push(value);
        next++;
      }
    }
    yield { loss, state };
    const vectors = Float64Array.from({ length: SIZE * SIZE }, trajlab.generator(0).normal), triangle = new Float64Array(SIZE * SIZE);
    const product = growingProduct(), sums = new Float64Array(SIZE), moved = Float64Array.from(start);
    orthonormalise(vectors, triangle);
    let part = [], began = performance.now();
    next = at.findIndex((step) => step > 0);
    for (let t = 1; t <= (exponents ? last : early); t++) {
      gd.step(moved, vectors);
      orthonormalise(vectors, triangle);
      product.times(triangle);
      const norms = sums.map((_, j) => triangle[j * SIZE + j]), leading = Math.max(...norms);
      norms.forEach((norm, j) => (sums[j] += norm < WIPED_OUT ? -Infinity : norm < RESOLVED * leading ? NaN : log(norm)));
      if (t === at[next]) {
        const rate = (value) => value / t / lr;
        part.push({ step: t, exponents: product.logarithms().map(rate), orthonormal: Array.from(sums, rate) });
        next++;
      }
      if (performance.now() - began < SLICE && t !== early) continue;
      yield { exponents: part };
      [part, began] = [[], performance.now()];
    }
    yield { exponents: part };
  }

  Object.assign(trajlab, { PLANE_SIZES: SIZES, parabola, planeDescent, indicators, forecast });
  trajlab.jobs.weights = weights;
}, true);
