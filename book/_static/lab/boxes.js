/* The box-counting dimension of the boundary in a picture, as trajlib.boundary has it: edges, box_counting_dimension, straight. */
trajlab.define(function boxes(trajlab) {
  const TOLERANCE = 0.12, OCTAVES = 3, FINEST = 4, FEWEST = 15, SHIFTS = 4;

  /** Blocks of two by two pixels that do not all have the same outcome, (n - 1) x (n - 1), of n x n. */
  function edges(outcome, n) {
    const mask = new Uint8Array((n - 1) * (n - 1));
    for (let i = 0; i < n - 1; i++)
      for (let j = 0; j < n - 1; j++) {
        const p = i * n + j, one = outcome[p];
        mask[i * (n - 1) + j] = outcome[p + 1] !== one || outcome[p + n] !== one || outcome[p + n + 1] !== one;
      }
    return mask;
  }

  /** Boxes that hold some of a mask, cut to side x side, on average over tilings that begin elsewhere and go round the edge. */
  function count(mask, stride, side, size) {
    const across = side / size, begin = [...new Set(Array.from({ length: SHIFTS }, (_, i) => Math.floor((i * size) / SHIFTS)))];
    let total = 0;
    for (const down of begin)
      for (const right of begin) {
        const full = new Uint8Array(across * across);
        for (let i = 0; i < side; i++) {
          const row = Math.floor(((i + down) % side) / size) * across;
          for (let j = 0; j < side; j++) if (mask[i * stride + j]) full[row + Math.floor(((j + right) % side) / size)] = 1;
        }
        for (const one of full) total += one;
      }
    return total / begin.length ** 2;
  }

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  /** The longest range of points on a line; of equally long ones, that with the smallest deviation. */
  function straight(x, y) {
    const slopes = x.slice(1).map((value, i) => (y[i + 1] - y[i]) / (value - x[i]));
    let best = null;
    for (let start = 0; start < x.length; start++)
      for (let stop = start + 3; stop <= x.length; stop++) {
        const some = x.slice(start, stop), length = some[some.length - 1] - some[0];
        if (length < OCTAVES * Math.LN2 * (1 - 1e-12)) continue;
        const centre = mean(some), dx = some.map((value) => value - centre);
        const slope = dx.reduce((sum, d, i) => sum + d * y[start + i], 0) / dx.reduce((sum, d) => sum + d * d, 0);
        const beside = Math.max(...slopes.slice(start, stop - 1).map((one) => Math.abs(one - slope)));
        if (!(beside <= TOLERANCE)) continue;
        const rank = [Number(length.toFixed(9)), -beside];
        if (!best || rank[0] > best.rank[0] || (rank[0] === best.rank[0] && rank[1] > best.rank[1])) best = { rank, start, stop, slope };
      }
    return best;
  }

  /** {sizes, counts, resolved}, and where there is a scaling range {dimension, standardError, smallest, largest}. */
  function boxCounting(mask, n) {
    const octaves = Math.floor(Math.log2(Math.max(1, n / (FINEST * FEWEST)))), sizes = Array.from({ length: octaves + 1 }, (_, i) => FINEST * 2 ** i);
    const largest = sizes[octaves], side = Math.floor(n / largest) * largest;
    const counts = sizes.map((size) => count(mask, n, side, size)), x = sizes.map(Math.log), y = counts.map(Math.log);
    const found = counts.every((one) => one > 0) ? straight(x, y) : null;
    if (!found) return { sizes, counts, resolved: false };
    const steps = x.slice(1).map((value, i) => (y[i] - y[i + 1]) / (value - x[i])), inside = steps.slice(found.start, found.stop - 1);
    const k = inside.length, middle = mean(inside), place = inside.map((_, i) => i / (k - 1) - 0.5);
    const spread = Math.sqrt(inside.reduce((sum, one) => sum + (one - middle) ** 2, 0) / (k - 1));
    const drift = place.reduce((sum, p, i) => sum + p * inside[i], 0) / place.reduce((sum, p) => sum + p * p, 0);
    const standardError = Math.hypot(spread / Math.sqrt(k), 0.5 * drift);
    return { sizes, counts, resolved: true, dimension: -found.slope, standardError, smallest: sizes[found.start], largest: sizes[found.stop - 1] };
  }

  Object.assign(trajlab, { edges, boxCounting });
});
