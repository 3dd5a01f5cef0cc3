/* A diagonal linear network theta = (u² - v²) / 2 in training, for comparison with its mean-field theory: a job of the worker. */
trajlab.define(function flow(trajlab) {
  const LR = 0.004; // small beside the times of the flow: t = LR * steps
  const SLICE = 50;

  /** Draws in the order X (row by row, then divided by the root of the number of inputs), theta*, noise: as a test repeats them. */
  function problem({ inputs, aspect_ratio, noise, sparsity, seed }) {
    const random = trajlab.generator(seed), d = inputs, n = Math.round(aspect_ratio * d), root = Math.sqrt(d);
    const x = Float64Array.from({ length: n * d }, () => random.normal() / root);
    const truth = new Float64Array(d), count = Math.max(1, Math.round(sparsity * d)); // mean square 1 for every draw
    for (const i of random.permutation(d).slice(0, count)) truth[i] = (random.double() < 0.5 ? -1 : 1) * Math.sqrt(d / count);
    const y = Float64Array.from({ length: n }, (_, s) => {
      let sum = 0.0;
      for (let i = 0; i < d; i++) sum += x[s * d + i] * truth[i];
      return sum + noise * random.normal();
    });
    return { x, y, truth, n, d };
  }

  /** Excess risk and training error at the given times. */
  function* diagonal(options) {
    const { init_scale: alpha, weight_decay: decay, times } = options, { x, y, truth, n, d } = problem(options);
    const u = new Float64Array(d).fill(alpha), v = new Float64Array(d).fill(alpha), gradient = new Float64Array(d);
    const theta = new Float64Array(d);
    let part = { risk: [], training: [] }, began = performance.now(), next = 0;
    for (let step = 0; next < times.length; step++) {
      let error = 0.0, risk = 0.0;
      for (let i = 0; i < d; i++) {
        theta[i] = (u[i] * u[i] - v[i] * v[i]) / 2;
        risk += (theta[i] - truth[i]) ** 2;
      }
      gradient.fill(0.0);
      for (let s = 0; s < n; s++) {
        const row = s * d;
        let residual = -y[s];
        for (let i = 0; i < d; i++) residual += x[row + i] * theta[i];
        error += residual * residual;
        for (let i = 0; i < d; i++) gradient[i] += x[row + i] * residual;
      }
      for (; next < times.length && Math.round(times[next] / LR) <= step; next++) {
        part.risk.push(risk / d);
        part.training.push(error / n);
      }
      for (let i = 0; i < d; i++) {
        u[i] -= LR * u[i] * (gradient[i] + decay);
        v[i] -= LR * v[i] * (decay - gradient[i]);
      }
      if (part.risk.length && performance.now() - began > SLICE) {
        yield part;
        [part, began] = [{ risk: [], training: [] }, performance.now()];
      }
    }
    if (part.risk.length) yield part;
  }

  /** Several networks, one after the other: those of the seeds 0, 1, 2, ... */
  function* diagonalNetworks({ networks, ...options }) {
    for (let network = 0; network < networks; network++)
      for (const part of diagonal({ ...options, seed: network })) yield { network, ...part };
  }

  Object.assign(trajlab.jobs, { diagonal, diagonalNetworks });
}, true);
