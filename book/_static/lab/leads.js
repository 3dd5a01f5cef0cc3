/* What the worker computes for the figures that lead chapters 1 to 3. */
trajlab.define(function leads(trajlab) {
  const SLICE = 50; // milliseconds of work between two reports

  /** The displacement of copies in the eigendirections of the Hessian at the network, along a run of lr * steps = span; and what becomes of
      the same displacements with negative curvature set to zero. The Hessian between two moments is that at their middle, as in
      trajlib.stability.growth_by_sign. Lengths are root mean squares over the copies, in units of that at the start. */
  function* drift({ lr, condition, radius, copies, span, moments, split }) {
    const gd = trajlab.irisDescent(lr, split), { size } = gd, curvature = trajlab.curvatureOf(gd);
    const w = trajlab.perturbed(trajlab.initialConditions(trajlab.SIZES, condition, 1), trajlab.SIZES, condition, radius, copies);
    const steps = Math.round(span / lr), spaced = (k) => (steps <= moments ? Math.min(k, steps) : Math.floor(steps * (k / moments) ** 2));
    const edges = [...new Set(Array.from({ length: moments + 1 }, (_, k) => spaced(k)))]; // denser at the beginning
    const apart = (m) => Float64Array.from({ length: size }, (_, p) => w[m * size + p] - w[p]);
    const along = (vector, { vectors }) => {
      const parts = new Float64Array(size);
      for (let p = 0; p < size; p++) for (let i = 0; i < size; i++) parts[i] += vectors[p * size + i] * vector[p];
      return parts;
    };
    const back = (parts, { vectors }) => {
      const row = (p) => parts.reduce((sum, part, i) => sum + vectors[p * size + i] * part, 0.0);
      return Float64Array.from({ length: size }, (_, p) => row(p));
    };
    const squares = (vectors) => vectors.map((vector) => vector.reduce((sum, value) => sum + value * value, 0.0));
    const each = Array.from({ length: copies }, (_, m) => m + 1);
    let bent = each.map(apart), t = 0, loss = gd.loss(w, 0); // the displacements without negative curvature
    const unit = Math.sqrt(squares(bent).reduce((sum, value) => sum + value, 0.0) / copies);
    for (let k = 0; k + 1 < edges.length; k++) {
      const [start, stop] = [edges[k], edges[k + 1]], middle = k ? start + Math.floor((stop - start) / 2) : 0;
      for (; t < middle; t++) {
        for (let m = 1; m <= copies; m++) gd.step(w, m * size, false);
        loss = gd.step(w, 0, true);
      }
      curvature.at(w);
      const system = trajlab.eigen(curvature.hessian(), size), { values } = system;
      const displaced = each.map(apart), parts = displaced.map((one) => along(one, system));
      const part = Float64Array.from(values, (_, i) => Math.sqrt(parts.reduce((sum, one) => sum + one[i] * one[i], 0.0) / copies) / unit);
      bent = bent.map((one) => {
        const inside = along(one, system);
        values.forEach((value, i) => (inside[i] *= (1.0 - lr * Math.max(value, 0.0)) ** (stop - start)));
        return back(inside, system);
      });
      const clipped = Math.sqrt(squares(bent).reduce((sum, value) => sum + value, 0.0) / copies) / unit;
      yield { step: middle, stop, loss, values, part, distance: squares(displaced).map((value) => Math.sqrt(value) / unit), clipped };
    }
  }

  /** A network, a copy and a tangent vector, step by step; every `block` steps the vector's mean growth rate and the sharpness, the mean of
      two consecutive steps. */
  function* growth({ lr, condition, radius, steps, block, split }) {
    const gd = trajlab.irisDescent(lr, split), { size } = gd, curvature = trajlab.curvatureOf(gd);
    const w = trajlab.perturbed(trajlab.initialConditions(trajlab.SIZES, condition, 1), trajlab.SIZES, condition, radius, 1);
    const tangent = Float64Array.from({ length: size }, (_, p) => (w[size + p] - w[p]) / radius), image = new Float64Array(size);
    let t = 0, part, began, sum = 0.0;
    const open = () => [part, began] = [{ loss: [], distance: [], rate: [], sharpness: [] }, performance.now()];
    open();
    let sharp = 0.0;
    while (t < steps) {
      part.distance.push(trajlab.l1Distance(w, size, 0, size));
      curvature.at(w);
      if (t % block < 2) {
        sharp += curvature.sharpness() / 2;
        if (t % block === 1) {
          part.sharpness.push(sharp);
          sharp = 0.0;
        }
      }
      curvature.product(tangent, image);
      let before = 0.0, after = 0.0;
      for (let p = 0; p < size; p++) {
        before += tangent[p] * tangent[p];
        tangent[p] -= lr * image[p];
        after += tangent[p] * tangent[p];
      }
      const norm = Math.sqrt(after);
      for (let p = 0; p < size; p++) tangent[p] /= norm;
      sum += trajlab.log(after / before) / 2;
      gd.step(w, size, false);
      part.loss.push(gd.step(w, 0, true));
      t++;
      if (t % block === 0) {
        part.rate.push(sum / block);
        sum = 0.0;
      }
      if (performance.now() - began < SLICE) continue;
      yield part;
      open();
    }
    yield part;
  }

  /** The bifurcation diagram of the softmax map, and then where networks are that have been trained long enough to stand on it: those whose
      hidden units are saturated, with the losses and logits of their last steps. */
  function* ladder({ map, lr, networks, steps, kept, split }) {
    yield* trajlab.jobs.bifurcation({ ...map, system: "map", split });
    const gd = trajlab.irisDescent(lr, split);
    for (let i = 0; i < networks; i++) {
      const w = trajlab.initialConditions(trajlab.SIZES, i, 1), losses = [], logits = [];
      for (let t = 0; t < steps; t++) gd.step(w, 0, false);
      let on = null;
      for (let t = 0; t < kept; t++) {
        on = trajlab.collapse(gd, w, 0);
        logits.push([...on.logits]);
        losses.push(gd.step(w, 0, true));
      }
      yield { network: { index: i, saturated: on.saturated, kappa: on.kappa, rung: on.rung, losses, logits } };
    }
  }

  Object.assign(trajlab.jobs, { drift, growth, ladder });
}, true);
