/* numpy's random numbers, bit for bit: SeedSequence, PCG64, and what the book draws from them.

   Initial conditions, perturbations and splits of the data are therefore those of trajlib for every seed, and none need be shipped.
   PCG64: M. E. O'Neill, HMC-CS-2014-0905. Normal numbers: Marsaglia and Tsang's ziggurat with numpy's tables (ziggurat.js). */
trajlab.define(function random(trajlab) {
  const POOL = 4; // 32-bit words
  const M128 = (1n << 128n) - 1n, M64 = (1n << 64n) - 1n;
  const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

  /** The 32-bit words of a non-negative integer below 2**53, least first; at least one. */
  function words(value) {
    const low = value % 4294967296, high = (value - low) / 4294967296;
    return high ? [low, high] : [low];
  }

  /** Eight 32-bit words from a seed, a number or several, and a spawn key: np.random.SeedSequence(seed, spawn_key=key).generate_state(8). */
  function seedSequence(seed, key = []) {
    let entropy = [seed].flat().flatMap(words);
    if (key.length) {
      while (entropy.length < POOL) entropy.push(0);
      entropy = entropy.concat(...key.map(words));
    }
    let constant = 0x43b0d7e5;
    const hash = (value) => {
      value ^= constant;
      constant = Math.imul(constant, 0x931e8875);
      value = Math.imul(value, constant);
      return (value ^ (value >>> 16)) >>> 0;
    };
    const mix = (x, y) => {
      const value = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) | 0;
      return (value ^ (value >>> 16)) >>> 0;
    };
    const pool = [];
    for (let i = 0; i < POOL; i++) pool.push(hash(i < entropy.length ? entropy[i] : 0));
    for (let from = 0; from < POOL; from++)
      for (let to = 0; to < POOL; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
    for (let from = POOL; from < entropy.length; from++)
      for (let to = 0; to < POOL; to++) pool[to] = mix(pool[to], hash(entropy[from]));
    constant = 0x8b51f9dd;
    const state = [];
    for (let i = 0; i < 8; i++) {
      let value = pool[i % POOL] ^ constant;
      constant = Math.imul(constant, 0x58f38ded);
      value = Math.imul(value, constant);
      state.push((value ^ (value >>> 16)) >>> 0);
    }
    return state;
  }

  /** np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key))). */
  function generator(seed, key = []) {
    const s = seedSequence(seed, key).map(BigInt);
    const wide = (i) => (((s[i + 1] << 32n) | s[i]) << 64n) | (s[i + 3] << 32n) | s[i + 2];
    const increment = ((wide(4) << 1n) | 1n) & M128;
    let state = ((increment + wide(0)) * MULTIPLIER + increment) & M128;
    let spare = -1; // the upper half of a number of which only the lower has been used

    function uint64() {
      state = (state * MULTIPLIER + increment) & M128;
      const value = (state >> 64n) ^ (state & M64), turn = state >> 122n;
      return ((value >> turn) | (value << (64n - turn))) & M64;
    }

    function uint32() {
      if (spare >= 0) {
        const value = spare;
        spare = -1;
        return value;
      }
      const value = uint64();
      spare = Number(value >> 32n);
      return Number(value & 0xffffffffn);
    }

    /** Uniform in [0, 1). */
    const double = () => Number(uint64() >> 11n) * (1 / 9007199254740992);

    /** N(0, 1). Only what lies beyond the last layer, one number in 4,000, needs a logarithm, whose last digit is that of the browser here,
        and of the C library in numpy. No difference has been seen. */
    function normal() {
      const { widths, kernels, fractions, edge, inverseEdge } = trajlab.ziggurat;
      for (;;) {
        const bits = uint64();
        const layer = Number(bits & 0xffn), sign = bits & 0x100n;
        const magnitude = Number((bits >> 9n) & 0xfffffffffffffn);
        const x = sign ? -(magnitude * widths[layer]) : magnitude * widths[layer];
        if (magnitude < kernels[layer]) return x;
        if (layer === 0) {
          for (;;) {
            const beyond = -inverseEdge * Math.log1p(-double());
            const height = -Math.log1p(-double());
            if (height + height > beyond * beyond) return (bits >> 17n) & 1n ? -(edge + beyond) : edge + beyond;
          }
        }
        if ((fractions[layer - 1] - fractions[layer]) * double() + fractions[layer] < Math.exp(-0.5 * x * x)) return x;
      }
    }

    /** An integer in 0 ... most: bits are masked to the length of `most`, and drawn again where they exceed it. */
    function integer(most) {
      const mask = 2 ** (32 - Math.clz32(most)) - 1;
      let value;
      do value = (uint32() & mask) >>> 0;
      while (value > most);
      return value;
    }

    /** The numbers 0 ... n - 1 in random order. */
    function permutation(n) {
      const order = Array.from({ length: n }, (_, i) => i);
      for (let i = n - 1; i > 0; i--) {
        const j = integer(i);
        [order[i], order[j]] = [order[j], order[i]];
      }
      return order;
    }

    return { uint64, uint32, double, normal, permutation };
  }

  Object.assign(trajlab, { seedSequence, generator });
}, true);
