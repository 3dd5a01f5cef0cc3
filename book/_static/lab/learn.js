/* How long networks take to learn Iris at many learning rates, and how fast a displacement grows meanwhile. */
trajlab.define(function learn(trajlab) {
  const SLICE = 50; // milliseconds of work between two reports

  /** The test part of trajlib.iris(split_seed=split): rows of x, and the class of each flower. */
  function irisTest(split) {
    const chosen = trajlab.generator(split).permutation(150).slice(120);
    return { x: Float64Array.from([...chosen].flatMap((flower) => [...trajlab.flowers.subarray(4 * flower, 4 * flower + 4)])), classes: [...chosen].map((flower) => trajlab.species[flower]) };
  }

  /** A random direction for a network, that of its number in tools/findings/learning_cells.py, of length 1. */
  function direction(network, size) {
    const v = Float64Array.from({ length: size }, trajlab.generator([1, network]).normal), norm = Math.sqrt(v.reduce((sum, value) => sum + value * value, 0.0));
    return v.map((value) => value / norm);
  }

  /** Of some flowers how many the network at the start of w puts into their class. */
  function right(gd, w, { x, classes }) {
    const [d, h, c] = gd.sizes, b1 = d * h, w2 = b1 + h, b2 = w2 + h * c, hidden = new Float64Array(h);
    let count = 0;
    for (let s = 0; s < classes.length; s++) {
      for (let j = 0; j < h; j++) {
        let z = w[b1 + j];
        for (let i = 0; i < d; i++) z = z + w[i * h + j] * x[s * d + i];
        hidden[j] = trajlab.sigmoid(z);
      }
      let best = 0, top = -Infinity;
      for (let k = 0; k < c; k++) {
        let a = w[b2 + k];
        for (let j = 0; j < h; j++) a = a + w[w2 + j * c + k] * hidden[j];
        if (a > top) [best, top] = [k, a];
      }
      if (best === classes[s]) count++;
    }
    return count;
  }

  /** Networks 0, 1, ... at each of some learning rates: test flowers that are right at each step, (steps + 1), and the mean growth rate of
      a tangent vector since the start every tenth step. Rates come in an order that refines; workers take them in turns. */
  function* learning({ rates, networks, steps, split, turn = 0, of = 1 }) {
    const test = irisTest(split), start = trajlab.initialConditions(trajlab.SIZES, 0, networks), size = start.length / networks;
    const strides = [8, 4, 2, 1], order = strides.flatMap((stride) => [...rates.keys()].filter((k) => k % stride === 0 && (stride === 8 || k % (2 * stride))));
    const image = new Float64Array(size);
    let part = [], began = performance.now();
    for (const [place, k] of order.entries()) {
      if (place % of !== turn) continue;
      const gd = trajlab.irisDescent(rates[k], split), curvature = trajlab.curvatureOf(gd);
      for (let i = 0; i < networks; i++) {
        const w = start.slice(i * size, (i + 1) * size), tangent = direction(i, size);
        const known = new Uint8Array(steps + 1), growth = new Float32Array(steps / 10 + 1);
        let sum = 0.0;
        for (let t = 0; t <= steps; t++) {
          known[t] = right(gd, w, test);
          if (t % 10 === 0) growth[t / 10] = t ? sum / t : 0.0;
          if (t === steps) break;
          curvature.at(w);
          curvature.product(tangent, image);
          let square = 0.0;
          for (let p = 0; p < size; p++) {
            tangent[p] -= rates[k] * image[p];
            square += tangent[p] * tangent[p];
          }
          const norm = Math.sqrt(square);
          for (let p = 0; p < size; p++) tangent[p] /= norm;
          sum += trajlab.log(norm);
          gd.advance(w, 0, 1, 1);
        }
        part.push({ k, network: i, known, growth });
        if (performance.now() - began < SLICE) continue;
        yield { runs: part };
        [part, began] = [[], performance.now()];
      }
    }
    yield { runs: part };
  }

  trajlab.jobs.learning = learning;
  trajlab.shared.add("learning");
}, true);
