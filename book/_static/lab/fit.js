/* The paper's exponent: the window of ln d(t) that a straight line fits best, as trajlib.expansion_rate finds it.

   The sums are taken in the same order; logarithms and means may differ in the last digit, and so may the result. */
trajlab.define(function fit(trajlab) {
  const MIN_R2 = 0.9, MIN_RATE = 0.05;

  /** Fit ln d = intercept + rate t. distance: mean over the copies at steps 0, 1, 2, ... */
  function expansionRate(distance) {
    const n = distance.length;
    const y = Float64Array.from(distance, Math.log);
    let shift = 0.0, usable = 0;
    for (const value of y)
      if (Number.isFinite(value)) {
        shift += value;
        usable++;
      }
    shift /= Math.max(usable, 1);
    const middle = (n - 1) / 2; // times are centred: no cancellation in the sums
    const sums = Array.from({ length: 6 }, () => new Float64Array(n + 1)); // y, y², ty, unusable, t, t²
    for (let i = 0; i < n; i++) {
      const finite = Number.isFinite(y[i]), v = finite ? y[i] - shift : 0.0, t = i - middle;
      [v, v * v, t * v, finite ? 0 : 1, t, t * t].forEach((term, k) => (sums[k][i + 1] = sums[k][i] + term));
    }
    const flat = 1e-12 * sums[1][n]; // below this the sums hold rounding only
    let best = null;
    for (let start = 0; start <= 100; start += 5)
      for (let width = 30; width <= 100; width += 5) {
        const stop = start + width;
        if (stop > n) break;
        const [sy, syy, sty, bad, st, stt] = sums.map((sum) => sum[stop] - sum[start]);
        if (bad > 0) continue;
        const xx = stt - (st * st) / width, xy = sty - (st * sy) / width, yy = syy - (sy * sy) / width;
        const rate = xy / xx;
        const rest = Math.max(yy - rate * xy, 0.0);
        const r2 = yy <= flat ? 0.0 : 1 - rest / yy; // a constant has nothing to explain
        if (best && !(r2 > best.r2)) continue;
        const intercept = sy / width - rate * (st / width + middle) + shift;
        best = { rate, intercept, r2, start, stop, standardError: Math.sqrt(rest / (width - 2) / xx) };
      }
    if (!best) return { rate: NaN, intercept: NaN, r2: NaN, start: -1, stop: -1, kept: false, reason: "no window" };
    const reason = !(best.r2 > MIN_R2) ? "low R2" : !(best.rate > MIN_RATE) ? "low rate" : "";
    return { ...best, kept: reason === "", reason };
  }

  trajlab.expansionRate = expansionRate;
});
