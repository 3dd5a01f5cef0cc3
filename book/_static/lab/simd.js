/* The engine's step as WebAssembly, for two networks at a time: one in each lane of a 128-bit vector (f64x2).

   The module is written here, in the page, for the sizes at hand: functions that return the bytes of an expression. Additions, products and
   quotients of lanes are those of IEEE float64, each rounded, never fused, in the order of engine.js; so are the bits. Where a browser has
   no such vectors, `descentModule` throws, and engine.js goes on alone. */
trajlab.define(function simd(trajlab) {
  const unsigned = (value) => {
    const bytes = [];
    for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
    return [...bytes, value];
  };
  const signed = (value) => {
    const bytes = [];
    for (; value < -64 || value > 63; value >>= 7) bytes.push((value & 127) | 128);
    return [...bytes, value & 127];
  };
  const vector = (...items) => [...unsigned(items.length), ...items.flat()];
  const section = (id, ...items) => {
    const bytes = vector(...items);
    return [id, ...unsigned(bytes.length), ...bytes];
  };
  const text = (name) => [...unsigned(name.length), ...Array.from(name, (letter) => letter.charCodeAt(0))];

  // Expressions. Numbers of the instructions are those of the WebAssembly specification.
  const operation = (code) => (...parts) => [...parts.flat(), 0xfd, ...unsigned(code)];
  const [plus, minus, times, over] = [0xf0, 0xf1, 0xf2, 0xf3].map(operation);
  const [smaller, larger] = [0xf6, 0xf7].map(operation); // (a, b): b < a ? b : a and a < b ? b : a, which keep the nan of a
  const [below, choose, both, either] = [0x49, 0x52, 0x4e, 0x50].map(operation);
  const [left, right, plusBits] = [0xcb, 0xcd, 0xce].map(operation);
  const whole = (value) => [0x41, ...signed(value)];
  const bytesOf = (write) => {
    const bytes = new Uint8Array(16), view = new DataView(bytes.buffer);
    for (const at of [0, 8]) write(view, at);
    return [0xfd, 0x0c, ...bytes];
  };
  const number = (value) => bytesOf((view, at) => view.setFloat64(at, value, true));
  const bits = (high, low = 0) => bytesOf((view, at) => [view.setUint32(at, low, true), view.setUint32(at + 4, high, true)]);
  const get = (local) => [0x20, ...unsigned(local)];
  const set = (local, value) => [...value, 0x21, ...unsigned(local)];
  const load = (address, at) => [...at, 0xfd, 0x00, 4, ...unsigned(address)]; // two numbers, one a lane
  const both64 = (address, at) => [...at, 0xfd, 0x0a, 3, ...unsigned(address)]; // one number, in both lanes
  const store = (address, at, value) => [...at, ...value, 0xfd, 0x0b, 4, ...unsigned(address)];
  const sumOf = (first, ...others) => others.reduce((sum, other) => plus(sum, other), first);
  const call = (index) => [0x10, ...unsigned(index)];

  const NOUGHT = whole(0), I32 = 0x7f, V128 = 0x7b;

  /** Functions of numbered locals: the argument, counters in bytes (see `loop` and `units`), then vectors. */
  function writer({ exponential: E, logarithm: L, reduction: { INVERSE_LN2, LN2_HIGH, LN2_LOW, ROUNDER, SQRT2 } }) {
    let vectors = 0;
    const [STEPS, P, Q, R, UNIT, ROW, COLUMN, KEPT] = [0, 1, 2, 3, 4, 5, 6, 7];
    const local = () => 8 + vectors++;
    const [r, rr, k] = [local(), local(), local()];
    const scratch = Array.from({ length: 24 }, local);

    /** Sets r, rr and k for exp(x); `tail` and `power` are functions of them. */
    function reduced(x) {
      return [
        ...set(r, smaller(larger(x, number(-708.0)), number(709.0))),
        ...set(k, plus(times(get(r), number(INVERSE_LN2)), number(ROUNDER))),
        ...set(rr, minus(get(k), number(ROUNDER))),
        ...set(r, minus(minus(get(r), times(get(rr), number(LN2_HIGH))), times(get(rr), number(LN2_LOW)))),
        ...set(rr, times(get(r), get(r))),
      ];
    }
    const horner = (values, x) => values.reduceRight((sum, value) => (sum ? plus(times(sum, x), number(value)) : number(value)), null);
    const odd = E.filter((_, i) => i % 2), even = E.filter((_, i) => i % 2 === 0);
    const tail = () => times(get(r), plus(horner(even, get(rr)), times(get(r), horner(odd, get(rr)))));
    /** 2**k: the lowest bits of k + ROUNDER are those of k. */
    const power = () => left(plusBits(get(k), bits(0, 1023)), whole(52));
    const exp = (target, x) => [...reduced(x), ...set(target, times(power(), plus(tail(), number(1.0))))];
    const expm1 = (target, x) => [...reduced(x), ...set(k, power()), ...set(target, plus(times(get(k), tail()), minus(get(k), number(1.0))))];

    const activations = {
      sigmoid: (target, z) => [...exp(target, minus(number(0.0), z)), ...set(target, over(number(1.0), plus(get(target), number(1.0))))],
      tanh: (target, z) => {
        const [value, negative] = scratch.slice(-2);
        return [
          ...set(value, z),
          ...set(negative, below(get(value), number(0.0))),
          ...expm1(target, times(choose(get(value), minus(number(0.0), get(value)), get(negative)), number(2.0))),
          ...set(target, over(minus(number(0.0), get(target)), plus(get(target), number(2.0)))),
          ...set(target, choose(minus(number(0.0), get(target)), get(target), get(negative))),
        ];
      },
    };

    function log(target, x) {
      const [m, e, large, s, z] = scratch.slice(-5);
      return [
        ...set(m, x),
        // the exponent as a number: its bits below those of 2**52
        ...set(e, minus(either(right(get(m), whole(52)), bits(0x43300000)), number(4503599627370496.0 + 1023.0))),
        ...set(m, either(both(get(m), bits(0x000fffff, 0xffffffff)), bits(0x3ff00000))),
        ...set(large, below(number(SQRT2), get(m))),
        ...set(e, choose(plus(get(e), number(1.0)), get(e), get(large))),
        ...set(m, choose(times(get(m), number(0.5)), get(m), get(large))),
        ...set(m, minus(get(m), number(1.0))),
        ...set(s, over(get(m), plus(get(m), number(2.0)))),
        ...set(z, times(get(s), get(s))),
        ...set(m, plus(
          times(get(e), number(LN2_HIGH)),
          sumOf(times(get(s), number(2.0)), times(times(get(s), get(z)), horner(L, get(z))), times(get(e), number(LN2_LOW))),
        )),
        ...set(target, plus(get(m), minus(x, x))),
      ];
    }

    const raised = (counter, by) => [...get(counter), ...whole(by), 0x6a, 0x22, counter];
    const begun = (counter, from = NOUGHT) => [...from, 0x21, counter];
    /** For the counter in steps of `by`, below `end`. */
    const counted = (counter, by, end, body) => [0x03, 0x40, ...body, ...raised(counter, by), ...whole(end), 0x49, 0x0d, 0, 0x0b];
    /** The samples in their order: P counts 8 bytes for each, Q 16, and R as Q from the first of the unit at hand. */
    const loop = (n, body) => [
      ...begun(P), ...begun(Q), ...begun(R, get(UNIT)),
      ...counted(P, 8, 8 * n, [...body, ...raised(Q, 16), 0x1a, ...raised(R, 16), 0x1a]),
    ];
    /** The hidden units in their order: COLUMN counts 16 bytes for each, ROW those of `c` weights, UNIT those of n samples. */
    const units = (h, c, n, body) => h ? [
      ...begun(COLUMN), ...begun(ROW), ...begun(UNIT),
      ...counted(COLUMN, 16, 16 * h, [...body, ...raised(ROW, 16 * c), 0x1a, ...raised(UNIT, 16 * n), 0x1a]),
    ] : [];

    return {
      local: scratch, exp, log, activations, loop, units, P: get(P), Q: get(Q), R: get(R), ROW: get(ROW), COLUMN: get(COLUMN),
      /** The parameters in their order; Q counts 16 bytes for each. */
      parameters: (size, body) => [...begun(Q), ...counted(Q, 16, 16 * size, body)],
      /** Do `body` as often as the argument says; KEPT counts 16 bytes for each time. */
      repeated: (body) => [0x03, 0x40, ...body, ...raised(KEPT, 16), 0x1a, ...get(STEPS), ...whole(1), 0x6b, 0x22, STEPS, 0x0d, 0, 0x0b],
      KEPT: get(KEPT),
      function: (body) => {
        const code = [...vector([7, I32], [...unsigned(vectors), V128]), ...body, 0x0b];
        return [...unsigned(code.length), ...code];
      },
    };
  }

  /** The functions of a module, each with one argument, under their names, and `memory`, that many bytes. */
  function compiled(bodies, names, bytes) {
    const module = new Uint8Array([
      0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
      ...section(1, [0x60, 1, I32, 0]),
      ...section(3, ...bodies.map(() => [0])),
      ...section(5, [0, ...unsigned(Math.ceil(bytes / 65536))]),
      ...section(7, [...text("memory"), 2, 0], ...names.map((name, i) => [...text(name), 0, i])),
      ...section(10, ...bodies),
    ]);
    return new WebAssembly.Instance(new WebAssembly.Module(module)).exports;
  }

  const AT_ONCE = 1000; // losses that are kept between two looks

  /** The map of full-batch gradient descent on cross entropy for two networks side by side, as engine.js has it for one.

      x, y: columns of the samples. exponential, logarithm, reduction: the engine's polynomials and constants. Returns
      advance(w, first, second, steps, rate, losses), which moves the networks that start at `first` and `second` of w; `losses`, if given, are
      two arrays that take the loss before each step. */
  function descentModule({ hidden: h, activation, x, y, divisor, decay, ...arithmetic }) {
    const d = x.length, c = y.length, n = y[0].length, b1 = d * h, w2 = b1 + h, b2 = w2 + c * h, size = b2 + c;
    let end = 0;
    const room = (bytes) => (end += bytes) - bytes;
    const RATE = room(16), KEPT = room(16 * (1 + AT_ONCE)), W = room(16 * size), S = room(16 * size), U = room(16 * n * h), D = room(16 * n * c);
    const X = room(8 * n * d), Y = room(8 * n * c);
    const write = writer(arithmetic), { P, Q, R, ROW, COLUMN, local, loop, units } = write;
    const weight = (p, from = NOUGHT) => load(W + 16 * p, from), delta = (k) => load(D + 16 * n * k, Q);
    const each = (count, part) => Array.from({ length: count }, (_, i) => part(i)).flat();
    const total = (target, term) => set(target, plus(get(target), term));
    const cleared = (locals) => locals.flatMap((one) => set(one, number(0.0)));

    /** The loss, with the penalty, of a sum over the samples: into the first of the places for losses. */
    const keepLoss = (sum, penalty) => [
      ...set(sum, over(get(sum), number(divisor))),
      ...(decay === 0 ? [] : [
        ...cleared([penalty]),
        ...write.parameters(size, total(penalty, times(load(W, Q), load(W, Q)))),
        ...set(sum, plus(get(sum), times(get(penalty), number(0.5 * decay)))),
      ]),
      ...store(KEPT, NOUGHT, get(sum)),
    ];

    function gradient(withLoss) {
      const [u, g, slope, ...sums] = local, a = sums.slice(0, c), e = sums.slice(c, 2 * c), t = sums.slice(2 * c, 3 * c);
      const [top, sum, all] = sums.slice(3 * c, 3 * c + 3);
      const rows = local.slice(3, 3 + d), bias = local[3 + d];
      const forward = units(h, c, n, [
        ...rows.flatMap((row, i) => set(row, weight(i * h, COLUMN))), ...set(bias, weight(b1, COLUMN)),
        ...loop(n, [
          ...write.activations[activation](u, rows.reduce((z, row, i) => plus(z, times(get(row), both64(X + 8 * n * i, P))), get(bias))),
          ...store(U, R, get(u)),
        ]),
      ]);
      const outputs = [
        ...cleared([...t, all]),
        ...loop(n, [
          ...a.flatMap((one, k) => set(one, weight(b2 + k))),
          ...each(h, (j) => [...set(u, load(U + 16 * n * j, Q)), ...a.flatMap((one, k) => total(one, times(weight(w2 + j * c + k), get(u))))]),
          ...set(top, a.slice(1).reduce((most, one) => larger(most, get(one)), get(a[0]))),
          ...a.flatMap((one) => set(one, minus(get(one), get(top)))),
          ...a.flatMap((one, k) => write.exp(e[k], get(one))),
          ...set(sum, sumOf(...e.map(get))),
          ...(withLoss ? [
            ...write.log(top, get(sum)),
            ...total(all, minus(get(top), sumOf(...a.map((one, k) => times(both64(Y + 8 * n * k, P), get(one)))))),
          ] : []),
          ...set(sum, over(number(1.0), get(sum))),
          ...a.flatMap((one, k) => [
            ...set(one, minus(times(get(e[k]), get(sum)), both64(Y + 8 * n * k, P))),
            ...store(D + 16 * n * k, Q, get(one)), ...total(t[k], get(one)),
          ]),
        ]),
        ...t.flatMap((one, k) => store(S + 16 * (b2 + k), NOUGHT, get(one))),
        ...(withLoss ? keepLoss(all, top) : []),
      ];
      const bend = activation === "tanh" ? minus(number(1.0), times(get(u), get(u))) : times(get(u), minus(number(1.0), get(u)));
      const [q, v, r] = [sums.slice(0, c), sums.slice(c, 2 * c), sums.slice(2 * c, 2 * c + d)], b = sums[2 * c + d];
      const back = units(h, c, n, [
        ...q.flatMap((one, k) => set(one, weight(w2 + k, ROW))), ...cleared([...v, ...r, b]),
        ...loop(n, [
          ...set(u, load(U, R)), ...set(slope, bend),
          ...v.flatMap((one, k) => total(one, times(get(u), delta(k)))),
          ...set(g, times(sumOf(...q.map((one, k) => times(get(one), delta(k)))), get(slope))),
          ...total(b, get(g)),
          ...r.flatMap((one, i) => total(one, times(both64(X + 8 * n * i, P), get(g)))),
        ]),
        ...v.flatMap((one, k) => store(S + 16 * (w2 + k), ROW, get(one))),
        ...store(S + 16 * b1, COLUMN, get(b)),
        ...r.flatMap((one, i) => store(S + 16 * i * h, COLUMN, get(one))),
      ]);
      return write.function([...forward, ...outputs, ...back]);
    }

    const [value, rate] = local;
    const move = [
      ...set(rate, load(RATE, NOUGHT)),
      ...write.parameters(size, [
        ...set(value, load(W, Q)),
        ...store(W, Q, minus(get(value), times(get(rate), plus(over(load(S, Q), number(divisor)), times(get(value), number(decay)))))),
      ]),
    ];
    const [PLAIN, WITH_LOSS, MOVE] = [0, 1, 2], names = ["gradient", "lossAndGradient", "move", "advance", "advanceWithLoss"];
    const step = (kind) => [...NOUGHT, ...call(kind), ...NOUGHT, ...call(MOVE)];
    const bodies = [
      gradient(false), gradient(true), write.function(move), write.function(write.repeated(step(PLAIN))),
      write.function(write.repeated([...step(WITH_LOSS), ...store(KEPT + 16, write.KEPT, load(KEPT, NOUGHT))])),
    ];
    const exported = compiled(bodies, names, end);
    const memory = new Float64Array(exported.memory.buffer), at = W / 8;
    x.forEach((column, i) => memory.set(column, X / 8 + n * i));
    y.forEach((column, k) => memory.set(column, Y / 8 + n * k));

    return function advance(w, first, second, steps, rate, losses = null) {
      for (let p = 0; p < size; p++) {
        memory[at + 2 * p] = w[first + p];
        memory[at + 2 * p + 1] = w[second + p];
      }
      memory[RATE / 8] = memory[RATE / 8 + 1] = rate;
      if (!losses && steps > 0) exported.advance(steps);
      for (let done = 0; losses && done < steps; done += AT_ONCE) {
        const now = Math.min(AT_ONCE, steps - done), kept = KEPT / 8 + 2;
        exported.advanceWithLoss(now);
        for (let t = 0; t < now; t++) [losses[0][done + t], losses[1][done + t]] = [memory[kept + 2 * t], memory[kept + 2 * t + 1]];
      }
      for (let p = 0; p < size; p++) {
        w[second + p] = memory[at + 2 * p + 1];
        w[first + p] = memory[at + 2 * p];
      }
    };
  }

  const expressions = { plus, minus, times, over, below, choose, number, get, set, load, both64, store, NOUGHT };
  Object.assign(trajlab, { descentModule, vectors: { ...expressions, writer, compiled } }); // regression.js builds another module of the same
}, true);
