/* How the gradient moves the weights, how fast and on which samples: trajlib's rules, schedules and minibatches, with their bits.

   Beside + - * / there is the square root, which IEEE 754 prescribes to the last bit and browsers take from the processor. */
trajlab.define(function optimisers(trajlab) {
  /** factor ** n by repeated products. */
  function powers(factor) {
    const table = [1.0];
    return (n) => {
      while (table.length <= n) table.push(table[table.length - 1] * factor);
      return table[n];
    };
  }

  // The rules. slots: numbers of memory of a parameter. move: the weight after a step, of weight v with gradient g, whose memory at z[i]
  // and z[j] is moved in place. Of the numbers, p is momentum or beta1, q is alpha or beta2, p1 and q1 are 1 - p and 1 - q. divisor: what
  // Adam and RMSProp divide the gradient by, from the memory at z[i] and z[j] after a step with these numbers.

  const root = (u, g, { q, q1 }) => Math.sqrt(u * u * q + g * g * q1);
  const RULES = {
    "gradient descent": { slots: 0, move: (v, g, z, i, j, lr) => v - lr * g },
    "heavy ball": {
      slots: 1,
      move(v, g, z, i, j, lr, { p }) {
        const a = (z[i] = z[i] * p + g);
        return v - lr * a;
      },
    },
    Nesterov: {
      slots: 1,
      move(v, g, z, i, j, lr, { p }) {
        const a = (z[i] = z[i] * p + g);
        return v - lr * (g + a * p);
      },
    },
    Adam: {
      slots: 2,
      move(v, g, z, i, j, lr, numbers) {
        const a = (z[i] = z[i] * numbers.p + g * numbers.p1), b = (z[j] = root(z[j], g, numbers));
        return v - (lr / numbers.c1) * (a / (b / numbers.c2 + numbers.eps));
      },
      divisor: (z, i, j, { c1, c2, eps }) => c1 * (z[j] / c2 + eps),
    },
    RMSProp: {
      slots: 1,
      move(v, g, z, i, j, lr, numbers) {
        const a = (z[i] = root(z[i], g, numbers));
        return v - lr * (g / (a + numbers.eps));
      },
      divisor: (z, i, j, { eps }) => z[i] + eps,
    },
    "RMSProp with momentum": {
      slots: 2,
      move(v, g, z, i, j, lr, numbers) {
        const a = (z[i] = root(z[i], g, numbers)), b = (z[j] = z[j] * numbers.p + g / (a + numbers.eps));
        return v - lr * b;
      },
    },
  };

  /** A rule with its numbers, as trajlib's Rule has them: {name, p, q, eps, decay, decoupled}, of which all but the name may be left out.

      at(t): the numbers of step t = 0, 1, ..., Adam's corrections c1 and c2 among them. */
  function rule({ name = "gradient descent", p = 0.0, q = 0.0, eps = 0.0, decay = 0.0, decoupled = false } = {}) {
    const numbers = { p, p1: 1.0 - p, q, q1: 1.0 - q, eps, c1: 1.0, c2: 1.0 }, first = powers(p), second = powers(q);
    function at(t) {
      if (name !== "Adam") return numbers;
      numbers.c1 = 1.0 - first(t + 1);
      numbers.c2 = Math.sqrt(1.0 - second(t + 1));
      return numbers;
    }
    return { ...RULES[name], at, decay: decoupled ? 0.0 : decay, shrink: decoupled ? decay : 0.0 };
  }

  // The schedules of trajlib.schedules.

  const SINE = [1.0]; // sin(x) / x in powers of x**2
  for (let n = 1; n < 12; n++) SINE.push(SINE[n - 1] * (-1.0 / (2 * n * (2 * n + 1))));

  /** From a to b along half a cosine. */
  function between(a, b, share) {
    const x = Math.PI * (share - 0.5);
    let value = SINE[SINE.length - 1];
    for (let n = SINE.length - 2; n >= 0; n--) value = value * (x * x) + SINE[n];
    return b + (a - b) * (0.5 * (1.0 + -(x * value)));
  }

  const clipped = (share) => Math.min(Math.max(share, 0.0), 1.0);
  const SCHEDULES = {
    constant: (lr) => () => lr,
    step(lr, every, factor) {
      const power = powers(factor);
      return (t) => lr * power(Math.floor(t / every));
    },
    exponential(lr, factor) {
      const power = powers(factor);
      return (t) => lr * power(t);
    },
    cosine: (lr, steps, end) => (t) => between(lr, end, Math.min(t / steps, 1.0)),
    warm_up(lr, steps, start) {
      const after = schedule(lr), top = after(0);
      return (t) => (t < steps ? start + (top - start) * (t / steps) : after(t - steps));
    },
    one_cycle(lr, steps, warm, startFactor, endFactor) {
      const low = lr * startFactor, top = warm * steps - 1.0;
      const up = (t) => (top > 0 ? between(low, lr, clipped(t / top)) : lr);
      return (t) => (t <= top ? up(t) : between(lr, low * endFactor, clipped((t - top) / (steps - 1.0 - top))));
    },
    array: (values) => (t) => values[Math.min(t, values.length - 1)],
  };

  /** The learning rate of step t, as a function: of a number, or of {kind, arguments} as a Schedule of trajlib has them. */
  function schedule(lr) {
    return typeof lr === "number" ? () => lr : SCHEDULES[lr.kind](...lr.arguments);
  }

  /** The samples of step t, in ascending order, as a function: trajlib's Batches(samples, size, seed, replacement). */
  function batches({ samples, size, seed = 0, replacement = false }) {
    const perEpoch = Math.ceil(samples / size);
    const uniform = (number, count) => Float64Array.from({ length: count }, trajlab.generator([seed, number]).double);
    let epoch, order;
    return (t) => {
      if (replacement) return Int32Array.from(uniform(t, size), (u) => Math.floor(u * samples)).sort();
      const now = Math.floor(t / perEpoch), first = (t - now * perEpoch) * size;
      if (now !== epoch) {
        const u = uniform(now, samples);
        order = Int32Array.from(u.keys()).sort((a, b) => u[a] - u[b]); // equal ones stay in order
        epoch = now;
      }
      return order.slice(first, first + size).sort();
    };
  }

  Object.assign(trajlab, { rule, schedule, batches });
}, true);
