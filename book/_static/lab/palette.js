/* The colours of trainability: blues where training converges, warm ones where it does not; light at the boundary, dark far from it.

   Within a side the colours follow the rank of a pixel's value among those of the view, so that a picture at any depth has all of them.
   Both sides are ordered by lightness, and no colour of one is taken for one of the other with any kind of colour vision (the tests compare
   all pairs). tools/write_poster.py reads the colours. */
trajlab.define(function palette(trajlab) {
  // from far from the boundary up to it
  const CONVERGES = ["#071a45", "#0d3270", "#165aa5", "#2f8dc9", "#78c5e6", "#cfeff8"];
  const ENDS = ["#42060f", "#761620", "#b0331a", "#de6620", "#f6a83c", "#ffd575"];
  const SHADES = 256;

  /** Colours of shades 0 to 255, three bytes each. */
  function ramp(stops) {
    const parts = stops.map((stop) => [1, 3, 5].map((at) => parseInt(stop.slice(at, at + 2), 16)));
    return Uint8Array.from({ length: 3 * SHADES }, (_, i) => {
      const place = (Math.floor(i / 3) / (SHADES - 1)) * (stops.length - 1), below = Math.min(stops.length - 2, Math.floor(place));
      return Math.round(parts[below][i % 3] + (parts[below + 1][i % 3] - parts[below][i % 3]) * (place - below));
    });
  }
  const ramps = { converges: ramp(CONVERGES), ends: ramp(ENDS) };

  /** Where a value stands among sorted ones: 0 the smallest, 1 the largest; equal ones in the middle of their places. */
  function rank(sorted, value) {
    const bound = (from, strictly) => {
      let low = from, high = sorted.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (sorted[middle] < value || (strictly && sorted[middle] === value)) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    const first = bound(0, false);
    return sorted.length > 1 ? (first + bound(first, true) - 1) / (2 * (sorted.length - 1)) : 0.5;
  }

  /** Colours of the pixels that are known, over `pixels`, four bytes each: value and outcome of the pixel in whose place each one is shown. */
  function paint(pixels, { value, outcome, source }) {
    const sides = [[], []];
    for (let i = 0; i < value.length; i++) if (outcome[i] > -2) sides[outcome[i] === 1 ? 0 : 1].push(Math.abs(value[i]));
    const [converges, ends] = sides.map((some) => Float64Array.from(some).sort()), shade = new Int16Array(value.length);
    for (let i = 0; i < value.length; i++)
      if (outcome[i] > -2) shade[i] = Math.round(rank(outcome[i] === 1 ? converges : ends, Math.abs(value[i])) * (SHADES - 1));
    for (let i = 0; i < source.length; i++) {
      const from = source[i];
      if (from < 0) continue;
      const colours = outcome[from] === 1 ? ramps.converges : ramps.ends, at = 3 * shade[from];
      pixels[4 * i] = colours[at];
      pixels[4 * i + 1] = colours[at + 1];
      pixels[4 * i + 2] = colours[at + 2];
      pixels[4 * i + 3] = 255;
    }
  }

  const gradient = (stops) => `linear-gradient(90deg, ${stops.join(", ")})`;
  trajlab.palette = { paint, legend: { converges: gradient(CONVERGES), ends: gradient([...ENDS].reverse()) } };
});
