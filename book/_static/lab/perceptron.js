/* Loss and gradient of a perceptron of any depth, with the bits of trajlib's fused engine.

   The order of operations is that of tests/specification.py: for each sample the units in unit order, for each sum the samples in sample
   order. The loops over the samples are the inner ones, so that a unit is an array with one number a sample. */
trajlab.define(function perceptron(trajlab) {
  const { exp, log, ACTIVATIONS } = trajlab;

  /** z + w[first] u0 + w[first + stride] u1 + ..., added to z of each sample; four units at a time, in their order. */
  function addProducts(z, w, first, stride, units, n) {
    const { length } = units;
    let j = 0, p = first;
    for (; j + 4 <= length; j += 4, p += 4 * stride) {
      const u0 = units[j], u1 = units[j + 1], u2 = units[j + 2], u3 = units[j + 3];
      const w0 = w[p], w1 = w[p + stride], w2 = w[p + 2 * stride], w3 = w[p + 3 * stride];
      for (let s = 0; s < n; s++) z[s] = z[s] + w0 * u0[s] + w1 * u1[s] + w2 * u2[s] + w3 * u3[s];
    }
    for (; j < length; j++, p += stride) {
      const unit = units[j], weight = w[p];
      for (let s = 0; s < n; s++) z[s] = z[s] + weight * unit[s];
    }
  }

  /** Sums over the samples of u d0, u d1, ... into sums[first], sums[first + 1], ...; four at a time. */
  function sumProducts(sums, first, unit, deltas, n) {
    const { length } = deltas;
    let k = 0;
    for (; k + 4 <= length; k += 4) {
      const d0 = deltas[k], d1 = deltas[k + 1], d2 = deltas[k + 2], d3 = deltas[k + 3];
      let t0 = 0.0, t1 = 0.0, t2 = 0.0, t3 = 0.0;
      for (let s = 0; s < n; s++) {
        const u = unit[s];
        t0 = t0 + u * d0[s];
        t1 = t1 + u * d1[s];
        t2 = t2 + u * d2[s];
        t3 = t3 + u * d3[s];
      }
      sums[first + k] = t0;
      sums[first + k + 1] = t1;
      sums[first + k + 2] = t2;
      sums[first + k + 3] = t3;
    }
    for (; k < length; k++) {
      const delta = deltas[k];
      let total = 0.0;
      for (let s = 0; s < n; s++) total = total + unit[s] * delta[s];
      sums[first + k] = total;
    }
  }

  function sum(values, n) {
    let total = 0.0;
    for (let s = 0; s < n; s++) total = total + values[s];
    return total;
  }

  /** What a network computes, for up to `room` samples at a time.

      sizes: inputs, hidden units of each layer, outputs. Weights are flat: W1, b1, W2, b2, ... (W1, W2, ... without `bias`). scale: what
      the products of each layer are multiplied by, or null. The last call's gradient terms are in `sums`. */
  function perceptron({ sizes, activation, loss: costs, bias, scale, room }) {
    const { value, slope, fromInput = false } = ACTIVATIONS[activation], isCrossEntropy = costs === "cross_entropy";
    const rows = (count) => Array.from({ length: count }, () => new Float64Array(room));
    const layers = [];
    let size = 0;
    for (let l = 0; l + 1 < sizes.length; l++) {
      const [inputs, outputs] = [sizes[l], sizes[l + 1]], begin = size;
      size += (inputs + (bias ? 1 : 0)) * outputs;
      const delta = rows(outputs), weighed = scale ? rows(outputs) : delta;
      const layer = { begin, biases: begin + inputs * outputs, end: size, inputs, outputs, z: rows(outputs), delta, weighed };
      layers.push({ ...layer, factor: scale ? scale[l] : 1.0, units: fromInput ? rows(outputs) : layer.z });
    }
    const last = layers[layers.length - 1], sums = new Float64Array(size);
    const top = new Float64Array(room), total = new Float64Array(room), label = new Float64Array(room);

    /** From the columns of the inputs to the outputs. */
    function forward(w, at, columns, n) {
      let below = columns;
      for (const layer of layers) {
        const { begin, biases, outputs, factor } = layer;
        for (let k = 0; k < outputs; k++) {
          const z = layer.z[k], unit = layer.units[k], b = bias ? w[at + biases + k] : 0.0;
          z.fill(scale ? 0.0 : b, 0, n);
          addProducts(z, w, at + begin + k, outputs, below, n);
          if (scale && bias) for (let s = 0; s < n; s++) z[s] = z[s] * factor + b;
          else if (scale) for (let s = 0; s < n; s++) z[s] = z[s] * factor;
          if (layer !== last) for (let s = 0; s < n; s++) unit[s] = value(z[s]);
        }
        below = layer.units;
      }
    }

    /** Derivatives of the costs by the outputs; returns the sum of the costs if these are asked for. */
    function cost(y, n, withLoss) {
      const outputs = last.z, deltas = last.delta, c = outputs.length;
      total.fill(0.0, 0, n);
      if (!isCrossEntropy) {
        for (let k = 0; k < c; k++) {
          const a = outputs[k], target = y[k], delta = deltas[k];
          for (let s = 0; s < n; s++) {
            const d = (delta[s] = a[s] - target[s]);
            total[s] = total[s] + d * d;
          }
        }
        let sum = 0.0;
        if (withLoss) for (let s = 0; s < n; s++) sum = sum + total[s] * 0.5;
        return sum;
      }
      for (let k = 0; k < c; k++) {
        const a = outputs[k];
        for (let s = 0; s < n; s++) if (k === 0 || top[s] < a[s]) top[s] = a[s];
      }
      label.fill(0.0, 0, n);
      for (let k = 0; k < c; k++) {
        const output = outputs[k], target = y[k], delta = deltas[k];
        for (let s = 0; s < n; s++) {
          const a = output[s] - top[s], e = exp(a);
          label[s] = label[s] + target[s] * a;
          total[s] = total[s] + e;
          delta[s] = e;
        }
      }
      let sum = 0.0;
      if (withLoss) for (let s = 0; s < n; s++) sum = sum + (log(total[s]) - label[s]);
      for (let s = 0; s < n; s++) total[s] = 1.0 / total[s];
      for (let k = 0; k < c; k++) {
        const target = y[k], delta = deltas[k];
        for (let s = 0; s < n; s++) delta[s] = delta[s] * total[s] - target[s];
      }
      return sum;
    }

    /** From the derivatives by the outputs to those by the weights. */
    function backward(w, at, columns, n) {
      for (let l = layers.length - 1; l >= 0; l--) {
        const { begin, biases, inputs, outputs, delta, weighed, factor } = layers[l], before = layers[l - 1];
        for (let k = 0; k < outputs; k++) {
          const d = delta[k], f = weighed[k];
          if (bias) sums[biases + k] = sum(d, n);
          if (scale) for (let s = 0; s < n; s++) f[s] = d[s] * factor;
        }
        for (let j = 0; j < inputs; j++) {
          const unit = before ? before.units[j] : columns[j], row = begin + j * outputs;
          sumProducts(sums, row, unit, weighed, n);
          if (!before) continue;
          const g = before.delta[j], told = fromInput ? before.z[j] : unit;
          g.fill(0.0, 0, n);
          addProducts(g, w, at + row, 1, weighed, n);
          for (let s = 0; s < n; s++) g[s] = g[s] * slope(told[s]);
        }
      }
    }

    /** Sum of the losses of n samples, columns of inputs and of targets, of the network whose weights begin at w[at]. */
    function loss(w, at, x, y, n) {
      forward(w, at, x, n);
      return cost(y, n, true);
    }

    /** The same, and the gradient's sums into `sums`. Without `withLoss` it returns 0. */
    function gradient(w, at, x, y, n, withLoss) {
      forward(w, at, x, n);
      const total = cost(y, n, withLoss);
      backward(w, at, x, n);
      return total;
    }

    return { size, layers, sums, loss, gradient };
  }

  trajlab.perceptron = perceptron;
}, true);
