/* Curvature of the loss along a trajectory: exact products of the Hessian with a vector, by differentiating the gradient along it (forward
   over reverse; Pearlmutter, Neural Computation 6, 1994), its largest eigenvalue, and all of them with their directions. */
trajlab.define(function curvature(trajlab) {
  const LANCZOS = 24; // products for the largest eigenvalue
  const CONVERGED = 1e-5; // residual over the value, whose error goes with its square

  /** The Hessian of a sigmoid network's mean cross-entropy (`gd` of trajlab.gradientDescent, without decay). at(w, place) puts it at a
      network; then product(v, out) is H v, hessian() all of H, and sharpness() its largest eigenvalue. */
  function curvatureOf(gd) {
    const [d, h, c] = gd.sizes, { n, size, x, y } = gd, b1 = d * h, w2 = b1 + h, b2 = w2 + h * c;
    const unit = new Float64Array(n * h), back = new Float64Array(n * h), share = new Float64Array(n * c), error = new Float64Array(n * c);
    const weights = new Float64Array(h * c), logits = new Float64Array(c), moved = new Float64Array(c), units = new Float64Array(h);
    let ready = null; // where the last search for the sharpness ended

    function at(w, place = 0) {
      weights.set(w.subarray(place + w2, place + b2));
      for (let s = 0; s < n; s++) {
        for (let k = 0; k < c; k++) logits[k] = w[place + b2 + k];
        for (let j = 0; j < h; j++) {
          let z = w[place + b1 + j];
          for (let i = 0; i < d; i++) z += w[place + i * h + j] * x[s * d + i];
          const u = (unit[s * h + j] = trajlab.sigmoid(z));
          for (let k = 0; k < c; k++) logits[k] += weights[j * c + k] * u;
        }
        let top = -Infinity, sum = 0.0;
        for (let k = 0; k < c; k++) top = Math.max(top, logits[k]);
        for (let k = 0; k < c; k++) sum += share[s * c + k] = trajlab.exp(logits[k] - top);
        for (let k = 0; k < c; k++) error[s * c + k] = (share[s * c + k] /= sum) - y[s * c + k];
        for (let j = 0; j < h; j++) {
          let g = 0.0;
          for (let k = 0; k < c; k++) g += weights[j * c + k] * error[s * c + k];
          back[s * h + j] = g;
        }
      }
    }

    function product(v, out) {
      out.fill(0);
      for (let s = 0; s < n; s++) {
        for (let k = 0; k < c; k++) moved[k] = v[b2 + k];
        for (let j = 0; j < h; j++) {
          let z = v[b1 + j];
          for (let i = 0; i < d; i++) z += v[i * h + j] * x[s * d + i];
          const u = unit[s * h + j], du = (units[j] = u * (1.0 - u) * z);
          for (let k = 0; k < c; k++) moved[k] += v[w2 + j * c + k] * u + weights[j * c + k] * du;
        }
        let mean = 0.0;
        for (let k = 0; k < c; k++) mean += share[s * c + k] * moved[k];
        for (let k = 0; k < c; k++) out[b2 + k] += moved[k] = share[s * c + k] * (moved[k] - mean); // now of the error
        for (let j = 0; j < h; j++) {
          const u = unit[s * h + j], du = units[j];
          let g = 0.0;
          for (let k = 0; k < c; k++) {
            const e = error[s * c + k], de = moved[k];
            g += v[w2 + j * c + k] * e + weights[j * c + k] * de;
            out[w2 + j * c + k] += du * e + u * de;
          }
          g = g * u * (1.0 - u) + back[s * h + j] * (1.0 - 2.0 * u) * du;
          out[b1 + j] += g;
          for (let i = 0; i < d; i++) out[i * h + j] += x[s * d + i] * g;
        }
      }
      for (let p = 0; p < size; p++) out[p] /= n;
    }

    function hessian() {
      const matrix = new Float64Array(size * size), e = new Float64Array(size);
      for (let p = 0; p < size; p++) {
        e[p] = 1;
        product(e, matrix.subarray(p * size, (p + 1) * size));
        e[p] = 0;
      }
      return matrix;
    }

    /** By Lanczos' method, from where the last search ended; its vectors are kept orthogonal. */
    function sharpness() {
      return search(product, ready || generic(size));
    }

    /** Largest eigenvalue of P^-1/2 H P^-1/2, P being what a rule divides the gradient by; of H where there is none. NaN where H isn't
        finite. A part of each start is no direction in particular, since eigenvalues may cross. Where the search has not converged the
        whole matrix is taken. */
    function sharpnessOf(divisor = null, products = LANCZOS) {
      const half = divisor ? divisor.map((value) => 1.0 / Math.sqrt(value)) : new Float64Array(size).fill(1), moved = new Float64Array(size);
      const scaled = (v, out) => {
        for (let p = 0; p < size; p++) moved[p] = half[p] * v[p];
        product(moved, out);
        for (let p = 0; p < size; p++) out[p] *= half[p];
      };
      const any = generic(size), image = new Float64Array(size);
      const value = search(scaled, ready ? ready.map((entry, p) => entry + 0.02 * any[p]) : any, products);
      if (!Number.isFinite(value)) return (ready = null), NaN;
      scaled(ready, image);
      const off = image.reduce((sum, entry, p) => sum + (entry - value * ready[p]) ** 2, 0.0) / dot(ready, ready);
      if (Math.sqrt(off) <= CONVERGED * Math.abs(value)) return value;
      const matrix = hessian();
      for (let p = 0; p < size; p++) for (let i = 0; i < size; i++) matrix[p * size + i] *= half[p] * half[i];
      return eigen(matrix, size).values[size - 1];
    }

    /** The largest eigenvalue that so many products find from a vector; `ready` is its vector. */
    function search(times, v, products = LANCZOS) {
      const basis = [], image = new Float64Array(size), alpha = [], beta = [];
      for (let k = 0; k < products; k++) {
        const norm = Math.sqrt(dot(v, v));
        if (k) beta.push(norm);
        if (k && norm < 1e-10) break;
        basis.push(v.map((value) => value / norm));
        times(basis[k], image);
        alpha.push(dot(basis[k], image));
        v = image.slice();
        for (let twice = 0; twice < 2; twice++)
          for (const one of basis) {
            const along = dot(one, v);
            for (let p = 0; p < size; p++) v[p] -= along * one[p];
          }
      }
      const m = alpha.length, small = new Float64Array(m * m);
      for (let k = 0; k < m; k++) {
        small[k * m + k] = alpha[k];
        if (k) small[k * m + k - 1] = small[(k - 1) * m + k] = beta[k - 1];
      }
      const { values, vectors } = eigen(small, m);
      ready = new Float64Array(size);
      basis.forEach((one, k) => {
        for (let p = 0; p < size; p++) ready[p] += vectors[k * m + m - 1] * one[p];
      });
      return values[m - 1];
    }

    return { at, product, hessian, sharpness, sharpnessOf };
  }

  /** No direction in particular. */
  function generic(size) {
    return Float64Array.from({ length: size }, (_, p) => Math.cos(p + 1));
  }

  function dot(a, b) {
    let sum = 0.0;
    for (let p = 0; p < a.length; p++) sum += a[p] * b[p];
    return sum;
  }

  /** Eigenvalues of a symmetric matrix (n * n) from the least to the largest, and unit eigenvectors in the columns of `vectors`:
      Householder's reduction and the QL algorithm (Bowdler, Martin, Reinsch and Wilkinson, Numerische Mathematik 11, 1968). */
  function eigen(matrix, n) {
    const v = Float64Array.from(matrix), d = v.slice((n - 1) * n), e = new Float64Array(n);
    for (let i = n - 1; i > 0; i--) {
      let scale = 0.0, h = 0.0;
      for (let k = 0; k < i; k++) scale += Math.abs(d[k]);
      if (scale === 0.0) {
        e[i] = d[i - 1];
        for (let j = 0; j < i; j++) {
          d[j] = v[(i - 1) * n + j];
          v[i * n + j] = v[j * n + i] = 0.0;
        }
      } else {
        for (let k = 0; k < i; k++) {
          d[k] /= scale;
          h += d[k] * d[k];
        }
        let f = d[i - 1], g = f > 0 ? -Math.sqrt(h) : Math.sqrt(h);
        e[i] = scale * g;
        h -= f * g;
        d[i - 1] = f - g;
        e.fill(0.0, 0, i);
        for (let j = 0; j < i; j++) {
          f = v[j * n + i] = d[j];
          g = e[j] + v[j * n + j] * f;
          for (let k = j + 1; k < i; k++) {
            g += v[k * n + j] * d[k];
            e[k] += v[k * n + j] * f;
          }
          e[j] = g;
        }
        f = 0.0;
        for (let j = 0; j < i; j++) {
          e[j] /= h;
          f += e[j] * d[j];
        }
        for (let j = 0; j < i; j++) e[j] -= (f / (h + h)) * d[j];
        for (let j = 0; j < i; j++) {
          for (let k = j; k < i; k++) v[k * n + j] -= d[j] * e[k] + e[j] * d[k];
          d[j] = v[(i - 1) * n + j];
          v[i * n + j] = 0.0;
        }
      }
      d[i] = h;
    }
    for (let i = 0; i < n - 1; i++) {
      v[(n - 1) * n + i] = v[i * n + i];
      v[i * n + i] = 1.0;
      const h = d[i + 1];
      if (h !== 0.0) {
        for (let k = 0; k <= i; k++) d[k] = v[k * n + i + 1] / h;
        for (let j = 0; j <= i; j++) {
          let g = 0.0;
          for (let k = 0; k <= i; k++) g += v[k * n + i + 1] * v[k * n + j];
          for (let k = 0; k <= i; k++) v[k * n + j] -= g * d[k];
        }
      }
      for (let k = 0; k <= i; k++) v[k * n + i + 1] = 0.0;
    }
    for (let j = 0; j < n; j++) {
      d[j] = v[(n - 1) * n + j];
      v[(n - 1) * n + j] = 0.0;
    }
    v[n * n - 1] = 1.0;
    e.copyWithin(0, 1);
    e[n - 1] = 0.0;
    let shift = 0.0, size = 0.0;
    for (let l = 0; l < n; l++) {
      size = Math.max(size, Math.abs(d[l]) + Math.abs(e[l]));
      let m = l;
      while (m < n - 1 && Math.abs(e[m]) > 2.220446049250313e-16 * size) m++;
      for (let turn = 0; m > l && turn < 60; turn++) {
        let g = d[l], p = (d[l + 1] - g) / (2.0 * e[l]), r = p < 0 ? -Math.hypot(p, 1.0) : Math.hypot(p, 1.0);
        d[l] = e[l] / (p + r);
        d[l + 1] = e[l] * (p + r);
        const next = d[l + 1], h = g - d[l], before = e[l + 1];
        for (let i = l + 2; i < n; i++) d[i] -= h;
        shift += h;
        p = d[m];
        let c = 1.0, c2 = 1.0, c3 = 1.0, s = 0.0, s2 = 0.0;
        for (let i = m - 1; i >= l; i--) {
          [c3, c2, s2] = [c2, c, s];
          g = c * e[i];
          const y = c * p;
          r = Math.hypot(p, e[i]);
          e[i + 1] = s * r;
          s = e[i] / r;
          c = p / r;
          p = c * d[i] - s * g;
          d[i + 1] = y + s * (c * g + s * d[i]);
          for (let k = 0; k < n; k++) {
            const z = v[k * n + i + 1];
            v[k * n + i + 1] = s * v[k * n + i] + c * z;
            v[k * n + i] = c * v[k * n + i] - s * z;
          }
        }
        p = (-s * s2 * c3 * before * e[l]) / next;
        e[l] = s * p;
        d[l] = c * p;
        if (Math.abs(e[l]) <= 2.220446049250313e-16 * size) break;
      }
      d[l] += shift;
      e[l] = 0.0;
    }
    const order = [...d.keys()].sort((a, b) => d[a] - d[b]), vectors = new Float64Array(n * n);
    order.forEach((from, to) => {
      for (let k = 0; k < n; k++) vectors[k * n + to] = v[k * n + from];
    });
    return { values: Float64Array.from(order, (i) => d[i]), vectors };
  }

  Object.assign(trajlab, { curvatureOf, eigen });
}, true);
