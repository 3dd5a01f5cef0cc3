/* Sharpness of a network along its training, against the limit of stability of the rule that trains it. */
trajlab.define(function limits(trajlab) {
  const SLICE = 50; // milliseconds of work between two reports

  /** Largest curvature at which a quadratic loss is stable, as trajlib's Rule.stability_limit has it. */
  function stabilityLimit({ name, p = 0.0 }, lr) {
    const top = 2.0 + 2.0 * p;
    return top / (name === "Nesterov" ? lr * (1.0 + 2.0 * p) : name === "Adam" ? (1.0 - p) * lr : lr);
  }

  /** A network on Iris, step by step; sharpness() is that of its state, of P^-1/2 H P^-1/2 where the rule has a P (from the first step on),
      and loss() its loss. The state z has the bits of trajlib's fused engine. */
  function limitRun({ rule: spec, lr, condition, width, split }) {
    const { x, y } = trajlab.iris(split), sizes = [trajlab.SIZES[0], width, trajlab.SIZES[2]];
    const gd = trajlab.trainingMap({ sizes, x, y, rule: spec, lr }), { size } = gd, curvature = trajlab.curvatureOf(gd), rule = trajlab.rule(spec);
    const z = new Float64Array(gd.stateSize);
    z.set(trajlab.initialConditions(sizes, condition, 1));
    let t = 0;
    const divisor = () => {
      if (!rule.divisor) return null;
      const numbers = rule.at(t - 1);
      return Float64Array.from({ length: size }, (_, p) => rule.divisor(z, size + p, 2 * size + p, numbers));
    };
    const sharpness = () => {
      curvature.at(z);
      return curvature.sharpnessOf(divisor());
    };
    return { z, step: () => gd.step(z, 0, t++), loss: () => gd.loss(z), sharpness, divisor };
  }

  /** Runs of several rules. Of each, every `every` steps from the first on, the sharpness, mean of two consecutive steps, and the loss.
      Workers take the rules in turns. */
  function* limits({ rules, moments, every, turn = 0, of = 1, ...network }) {
    const own = rules.flatMap((one, k) => (k % of === turn ? [{ k, ...limitRun({ ...one, ...network }) }] : []));
    let part = [], began = performance.now();
    for (let i = 0; i < moments; i++)
      for (const { k, step, sharpness, loss } of own) {
        step();
        const before = sharpness(), known = loss();
        step();
        part.push({ k, sharpness: (before + sharpness()) / 2, loss: known });
        for (let t = 2; t < every; t++) step();
        if (performance.now() - began < SLICE) continue;
        yield { moments: part };
        [part, began] = [[], performance.now()];
      }
    yield { moments: part };
  }

  Object.assign(trajlab, { stabilityLimit, limitRun });
  trajlab.jobs.limits = limits;
  trajlab.shared.add("limits");
}, true);
