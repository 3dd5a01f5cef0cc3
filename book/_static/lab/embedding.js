/* The first coordinates of trajlib.scalar_embedding: snapshots along the one or two directions in which they differ most. */
trajlab.define(function embedding(trajlab) {
  const SQUARINGS = 40;

  /** Unit eigenvector of the largest eigenvalue of a symmetric matrix (size * size): its 2**40-th power has no other column. */
  function leadingVector(matrix, size) {
    let power = Float64Array.from(matrix);
    for (let n = 0; n < SQUARINGS; n++) {
      const largest = power.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
      if (!(largest > 0)) return null;
      const scaled = power.map((value) => value / largest), square = new Float64Array(size * size);
      for (let i = 0; i < size; i++)
        for (let k = 0; k < size; k++) {
          const factor = scaled[i * size + k];
          if (factor === 0) continue;
          for (let j = 0; j < size; j++) square[i * size + j] += factor * scaled[k * size + j];
        }
      power = square;
    }
    let best = 0;
    for (let i = 1; i < size; i++) if (power[i * size + i] > power[best * size + best]) best = i;
    let vector = power.slice(best * size, (best + 1) * size);
    for (let n = 0; n < 3; n++) vector = normalised(times(matrix, vector, size)); // what rounding the squares have gathered goes
    return vector;
  }

  const times = (matrix, vector, size) =>
    vector.map((_, i) => vector.reduce((sum, value, j) => sum + matrix[i * size + j] * value, 0.0));
  const normalised = (vector) => {
    const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0.0));
    return vector.map((value) => value / norm);
  };

  /** Mean and covariance of snapshots, rows of `size` weights, and the trace of the covariance. */
  function moments(snapshots, size) {
    const n = snapshots.length / size, mean = new Float64Array(size), covariance = new Float64Array(size * size);
    for (let i = 0; i < n; i++) for (let p = 0; p < size; p++) mean[p] += snapshots[i * size + p] / n;
    const away = new Float64Array(size);
    for (let i = 0; i < n; i++) {
      for (let p = 0; p < size; p++) away[p] = snapshots[i * size + p] - mean[p];
      for (let p = 0; p < size; p++) for (let q = 0; q <= p; q++) covariance[p * size + q] += (away[p] * away[q]) / n;
    }
    let total = 0.0;
    for (let p = 0; p < size; p++) {
      total += covariance[p * size + p];
      for (let q = 0; q < p; q++) covariance[q * size + p] = covariance[p * size + q];
    }
    return { n, mean, covariance, total };
  }

  /** How far a row lies from an origin along a direction, in the units of z. */
  const onto = (snapshots, size, direction) => (row, origin) => {
    let sum = 0.0;
    for (let p = 0; p < size; p++) sum += (snapshots[row * size + p] - origin(p)) * direction[p];
    return sum / Math.sqrt(size);
  };

  /** Returns z, one number a row, and the share of the variance that it explains. */
  function scalarEmbedding(snapshots, size) {
    const { n, mean, covariance, total } = moments(snapshots, size);
    const direction = leadingVector(covariance, size);
    if (!direction) return null;
    // as in the library, the entry of largest modulus is positive, the first of those that are equal but for rounding
    const largest = direction.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    if (direction.find((value) => Math.abs(value) >= largest * (1 - 1e-9)) < 0) direction.forEach((value, p) => (direction[p] = -value));
    const along = onto(snapshots, size, direction);
    const z = new Float64Array(n);
    let variance = 0.0;
    for (let i = 0; i < n; i++) {
      z[i] = along(i, (p) => mean[p]);
      variance += (z[i] * z[i]) / n;
    }
    /** Difference of two snapshots along the direction, without the rounding of their coordinates. */
    const between = (a, b) => along(a, (p) => snapshots[b * size + p]);
    return { z, between, explained: Math.min(1, (variance * size) / total) };
  }

  /** The plane of the two leading directions, turned so that the first row is to the left of the mean and below it.

      Returns x and y, one number a row, in the units of z, and the share of the variance that they explain. */
  function principalPlane(snapshots, size) {
    const { n, mean, covariance, total } = moments(snapshots, size);
    const axes = [];
    let kept = 0.0;
    while (axes.length < 2) {
      const direction = leadingVector(covariance, size);
      if (!direction) return null;
      const image = times(covariance, direction, size);
      const variance = direction.reduce((sum, value, p) => sum + value * image[p], 0.0);
      kept += variance;
      for (let p = 0; p < size; p++) for (let q = 0; q < size; q++) covariance[p * size + q] -= variance * direction[p] * direction[q];
      const along = onto(snapshots, size, direction);
      const axis = Float64Array.from({ length: n }, (_, i) => along(i, (p) => mean[p]));
      axes.push(axis[0] > 0 ? axis.map((value) => -value) : axis);
    }
    return { x: axes[0], y: axes[1], explained: Math.min(1, kept / total) };
  }

  Object.assign(trajlab, { scalarEmbedding, principalPlane });
}, true);
