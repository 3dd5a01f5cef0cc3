// Training of perceptrons on a GPU, with the bits of the fused CPU engine: the operations and the order of `fused/samples.py` and
// `fused/kernel.py`, one warp a network (or a tangent vector). 32 samples go forward and back side by side, a sample a lane; then every lane
// adds up the terms of its own parameters in sample order.
//
// One source. For a GPU it is compiled by NVRTC with --fmad=false; any C++ compiler makes of it a CPU program where a warp is a loop over 32
// lanes (-ffp-contract=off), which is how it is tested without a GPU. `source.py` writes what stands above it: sizes, factors and switches as
// macros, and the formulas of activations and rules.
#ifdef __CUDACC__
#define KERNEL extern "C" __global__ void
#define EACH_LANE                     \
  {                                   \
    const int lane = threadIdx.x & 31;\
    {
#define END_LANE \
  }              \
  }              \
  __syncwarp();
#define ROW ((int)((blockIdx.x * blockDim.x + threadIdx.x) >> 5))
#else
#define KERNEL extern "C" void
#define EACH_LANE                         \
  for (int lane = 0; lane < 32; ++lane) { \
    {
#define END_LANE \
  }              \
  }
#define ROW row
#endif

// Rows of a tile: 33 doubles each, a sample a column. Hidden units, their deltas, outputs (then their deltas), losses, and where derivatives
// are told from z, z. With tangent vectors: slopes, bends, R of units, of outputs, of deltas, of z.
#define UNITS 0
#define DELTAS (UNITS + HIDDEN)
#define OUTPUTS (DELTAS + HIDDEN)
#define LOSSES (OUTPUTS + LAST)
#define INPUTS (LOSSES + 1)
#define SLOPES (INPUTS + (FROM_INPUT ? HIDDEN : 0))
#define BENDS (SLOPES + HIDDEN)
#define RISES (BENDS + HIDDEN)
#define FALLS (RISES + HIDDEN)
#define BACK (FALLS + LAST)
#define RINPUTS (BACK + HIDDEN)
#define AT(r) tile[(r)*33 + lane]

// What all kernels are given: the data, and which samples a step takes.
struct Data {
  const double *x, *y;  // (inputs, samples) and (outputs, samples), or (networks, outputs) where each has its own
  int samples;
  const long long *order;  // (batch,): the samples of a step; 0: all
};

GPU int sample_of(const Data &data, int i) { return data.order ? (int)data.order[i] : i; }
GPU double target(const Data &data, int network, int k, int i) {
  return OWN ? data.y[network * LAST + k] : data.y[k * data.samples + i];
}
GPU double weighed(double x, int layer) { return SCALED ? x * FACTOR(layer) : x; }
GPU double opened(const double *w, int slot) { return BIAS && !SCALED ? w[slot] : 0.0; }
GPU double closed(double total, const double *w, int slot, int layer) {
  if (SCALED) {
    total = total * FACTOR(layer);
    if (BIAS) total = total + w[slot];
  }
  return total;
}

// One sample through one network, forward.
GPU void forward(const double *w, const Data &data, int i, int network, double *tile, int lane, bool with_loss) {
  for (int layer = 0; layer < LAYERS; ++layer) {
    const int n = SIZE(layer), m = SIZE(layer + 1), begin = BEGIN(layer), from = UNITS + PLACE(layer);
    for (int k = 0; k < m; ++k) {
      double z = opened(w, begin + n * m + k);
      for (int j = 0; j < n; ++j) {
        const double u = layer ? AT(from + j) : data.x[j * data.samples + i];
        z = z + w[begin + j * m + k] * u;
      }
      z = closed(z, w, begin + n * m + k, layer);
      if (layer == LAYERS - 1) {
        AT(OUTPUTS + k) = z;
      } else {
        AT(UNITS + PLACE(layer + 1) + k) = value_of(z);
        if (FROM_INPUT) AT(INPUTS + PLACE(layer + 1) + k) = z;
      }
    }
  }
  if (COST == 0) {
    double top = AT(OUTPUTS), total = 0.0, label = 0.0;
    for (int k = 1; k < LAST; ++k) top = top < AT(OUTPUTS + k) ? AT(OUTPUTS + k) : top;
    for (int k = 0; k < LAST; ++k) {
      const double a = AT(OUTPUTS + k) - top;
      if (with_loss) label = label + target(data, network, k, i) * a;
      const double e = exp_(a);
      total = total + e;
      AT(OUTPUTS + k) = e;
    }
    const double inverse = 1.0 / total;
    AT(LOSSES) = with_loss ? log_(total) - label : 0.0;
    for (int k = 0; k < LAST; ++k) AT(OUTPUTS + k) = AT(OUTPUTS + k) * inverse - target(data, network, k, i);
  } else {
    double square = 0.0;
    for (int k = 0; k < LAST; ++k) {
      const double delta = AT(OUTPUTS + k) - target(data, network, k, i);
      square = square + delta * delta;
      AT(OUTPUTS + k) = delta;
    }
    AT(LOSSES) = square * 0.5;
  }
}

// And back: deltas of all hidden units; with `tangent` what their derivatives need.
GPU void backward(const double *w, double *tile, int lane, bool tangent) {
  for (int layer = LAYERS - 1; layer > 0; --layer) {
    const int n = SIZE(layer), m = SIZE(layer + 1), begin = BEGIN(layer);
    const int above = layer == LAYERS - 1 ? OUTPUTS : DELTAS + PLACE(layer + 1);
    for (int j = 0; j < n; ++j) {
      const int at = PLACE(layer) + j;
      double g = 0.0;
      for (int k = 0; k < m; ++k) g = g + w[begin + j * m + k] * weighed(AT(above + k), layer);
      const double told = FROM_INPUT ? AT(INPUTS + at) : AT(UNITS + at), slope = slope_of(told);
      if (tangent) {
        AT(SLOPES + at) = slope;
        AT(BENDS + at) = g * bend_of(told);
      }
      AT(DELTAS + at) = g * slope;
    }
  }
}

// The same, differentiated along v; forward and backward have left in the tile what it needs.
GPU void along(const double *w, const double *v, const Data &data, int i, int network, double *tile, int lane) {
  for (int layer = 0; layer < LAYERS; ++layer) {
    const int n = SIZE(layer), m = SIZE(layer + 1), begin = BEGIN(layer), from = PLACE(layer);
    for (int k = 0; k < m; ++k) {
      double rz = opened(v, begin + n * m + k);
      for (int j = 0; j < n; ++j) {
        const int slot = begin + j * m + k;
        if (layer == 0) {
          rz = rz + v[slot] * data.x[j * data.samples + i];
        } else {
          rz = rz + v[slot] * AT(UNITS + from + j);
          rz = rz + w[slot] * AT(RISES + from + j);
        }
      }
      rz = closed(rz, v, begin + n * m + k, layer);
      if (layer == LAYERS - 1) {
        AT(FALLS + k) = rz;
      } else {
        const int at = PLACE(layer + 1) + k;
        if (FROM_INPUT) AT(RINPUTS + at) = rz;
        AT(RISES + at) = rz * AT(SLOPES + at);
      }
    }
  }
  if (COST == 0) {
    double mean = 0.0;
    for (int k = 0; k < LAST; ++k) mean = mean + (AT(OUTPUTS + k) + target(data, network, k, i)) * AT(FALLS + k);
    for (int k = 0; k < LAST; ++k) AT(FALLS + k) = (AT(OUTPUTS + k) + target(data, network, k, i)) * (AT(FALLS + k) - mean);
  }
  for (int layer = LAYERS - 1; layer > 0; --layer) {
    const int n = SIZE(layer), m = SIZE(layer + 1), begin = BEGIN(layer);
    const int above = layer == LAYERS - 1 ? OUTPUTS : DELTAS + PLACE(layer + 1);
    const int rabove = layer == LAYERS - 1 ? FALLS : BACK + PLACE(layer + 1);
    for (int j = 0; j < n; ++j) {
      const int at = PLACE(layer) + j;
      double rg = 0.0;
      for (int k = 0; k < m; ++k) {
        const int slot = begin + j * m + k;
        rg = rg + (v[slot] * weighed(AT(above + k), layer) + w[slot] * weighed(AT(rabove + k), layer));
      }
      AT(BACK + at) = rg * AT(SLOPES + at) + AT(BENDS + at) * (FROM_INPUT ? AT(RINPUTS + at) : AT(RISES + at));
    }
  }
}

// Add the terms of a tile's samples to the sum of parameter p, in sample order. `vector`: those of H v.
GPU double added(double total, int p, const Data &data, const double *tile, int first, int width, bool vector) {
  int layer = 0;
  while (layer < LAYERS - 1 && p >= BEGIN(layer + 1)) ++layer;
  const int n = SIZE(layer), m = SIZE(layer + 1), q = p - BEGIN(layer), k = q % m, j = q / m;
  const bool last = layer == LAYERS - 1;
  const double *delta = tile + 33 * ((last ? OUTPUTS : DELTAS + PLACE(layer + 1)) + k);
  const double *moved = vector ? tile + 33 * ((last ? FALLS : BACK + PLACE(layer + 1)) + k) : delta;
  if (j == n) {  // a bias
    for (int s = 0; s < width; ++s) total = total + moved[s];
    return total;
  }
  if (layer == 0) {
    for (int s = 0; s < width; ++s)
      total = total + data.x[j * data.samples + sample_of(data, first + s)] * weighed(moved[s], 0);
    return total;
  }
  const double *unit = tile + 33 * (UNITS + PLACE(layer) + j), *rise = tile + 33 * (RISES + PLACE(layer) + j);
  if (!vector) {
    for (int s = 0; s < width; ++s) total = total + unit[s] * weighed(delta[s], layer);
  } else {
    for (int s = 0; s < width; ++s)
      total = total + (rise[s] * weighed(delta[s], layer) + unit[s] * weighed(moved[s], layer));
  }
  return total;
}

// Sums of a gradient's terms over `count` samples into acc, and of those of H v into moved; returns the sum of the losses.
GPU double sums(const double *w, const double *v, const Data &data, int count, int network, double *tile, double *acc, double *moved,
                bool with_loss) {
  double loss = 0.0;
  EACH_LANE
  for (int p = lane; p < PARAMETERS; p += 32) {
    if (acc) acc[p] = 0.0;
    if (moved) moved[p] = 0.0;
  }
  END_LANE
  for (int first = 0; first < count; first += 32) {
    const int width = count - first < 32 ? count - first : 32;
    EACH_LANE
    if (lane < width) {
      const int i = sample_of(data, first + lane);
      forward(w, data, i, network, tile, lane, with_loss);
      if (acc || moved) backward(w, tile, lane, moved != 0);
      if (moved) along(w, v, data, i, network, tile, lane);
    }
    END_LANE
    EACH_LANE
    for (int p = lane; p < PARAMETERS; p += 32) {
      if (acc) acc[p] = added(acc[p], p, data, tile, first, width, false);
      if (moved) moved[p] = added(moved[p], p, data, tile, first, width, true);
    }
    END_LANE
    if (with_loss)
      for (int s = 0; s < width; ++s) loss = loss + tile[33 * LOSSES + s];
    EACH_LANE END_LANE
  }
  return loss;
}

GPU double rate_of(const double *rate, const double *factor, int networks, int network, int p) {
  int layer = 0;
  if (LAYERED)
    while (layer < LAYERS - 1 && p >= BEGIN(layer + 1)) ++layer;
  return rate[layer * networks + network] * factor[layer];
}

struct Rules {
  double divisor, decay, shrink, per_sample;
  double numbers[5];
};

// Move networks from step `start` to `stop`; with `last`, evaluate the state there too. A row is a network; `members` rows stand together (a
// reference and its copies) and have one rate and one target.
// state (rows, STATE); rate (layers or 1, networks); from step `begin` on: clock (steps, 2 + layers or 1), order (steps, batch), counts (steps,);
// loss (rows, records) or 0; gradient (rows, PARAMETERS) of the state at stop, or 0; nonfinite (rows,): first step, or negative; work.
KERNEL advance(double *state, const double *rate, const double *x, const double *y, int samples, int rows, int members, Rules rules,
               const double *clock, const long long *order, const long long *counts, int batch, int begin, int start, int stop, int last, int every,
               int records, double *loss, double *gradient, long long *nonfinite, double *work
#ifndef __CUDACC__
               ,
               int row
#endif
) {
  if (ROW >= rows) return;
  const int me = ROW, network = me / members, networks = rows / members;
  double *mine = WORKSPACE(me), *acc = mine + PARAMETERS, *tile = acc + PARAMETERS;
  double *memory = state + (size_t)me * STATE;
  EACH_LANE
  for (int p = lane; p < PARAMETERS; p += 32) mine[p] = memory[p];
  END_LANE
  for (int t = start; t < stop + (last ? 1 : 0); ++t) {
    const bool final = t == stop, recorded = loss && t % every == 0;
    if (final && !recorded && !gradient) break;
    Data all = {x, y, samples, 0}, some = all;
    int count = samples;
    double by = rules.divisor, total = 0.0;
    if (BATCHED && !final) {
      some.order = order + (size_t)(t - begin) * batch;
      count = (int)counts[t - begin];
      by = rules.per_sample != 0.0 ? rules.per_sample * count : 1.0;
    }
    const bool alone = BATCHED && !final;  // the loss is that of all samples, a minibatch's sums are taken after it
    if (alone && recorded) total = sums(mine, 0, all, samples, network, tile, 0, 0, true);
    const double found = sums(mine, 0, some, count, network, tile, final && !gradient ? 0 : acc, 0, recorded && !alone);
    if (recorded) {
      total = (alone ? total : found) / rules.divisor;
      if (rules.decay != 0.0) {
        double penalty = 0.0;
        for (int p = 0; p < PARAMETERS; ++p) penalty = penalty + mine[p] * mine[p];
        total = total + penalty * (0.5 * rules.decay);
      }
      EACH_LANE
      if (lane == 0) loss[(size_t)me * records + t / every] = total;
      END_LANE
    }
    if (final) {
      EACH_LANE
      if (gradient)
        for (int p = lane; p < PARAMETERS; p += 32)
          gradient[(size_t)me * PARAMETERS + p] = acc[p] / rules.divisor + mine[p] * rules.decay;
      END_LANE
      break;
    }
    const double *now = clock + (size_t)(t - begin) * CLOCK;
    EACH_LANE
    bool bad = false;
    for (int p = lane; p < PARAMETERS; p += 32) {
      const double lr = rate_of(rate, now + 2, networks, network, p);
      double value = mine[p], a = SLOTS > 0 ? memory[PARAMETERS + p] : 0.0, b = SLOTS > 1 ? memory[2 * PARAMETERS + p] : 0.0;
      const double g = acc[p] / by + value * rules.decay;
      if (rules.shrink != 0.0) value = value * (1.0 - lr * rules.shrink);
      update(value, g, a, b, lr, rules.numbers, now[0], now[1]);
      mine[p] = value;
      if (SLOTS > 0) memory[PARAMETERS + p] = a;
      if (SLOTS > 1) memory[2 * PARAMETERS + p] = b;
      bad = bad || !(value - value == 0.0) || (SLOTS > 0 && !(a - a == 0.0)) || (SLOTS > 1 && !(b - b == 0.0));
    }
    if (bad && nonfinite[me] < 0) nonfinite[me] = t + 1;  // all lanes write the same
    END_LANE
  }
  EACH_LANE
  for (int p = lane; p < PARAMETERS; p += 32) memory[p] = mine[p];
  END_LANE
}

// Move tangent vectors through one step, t to t + 1, of references that are moved afterwards; or with `product`, write H times the weights of
// each vector there instead. A row is a vector; `members` of them belong to a network. vectors (rows, STATE), references (networks, STATE).
KERNEL carry(double *vectors, const double *references, const double *rate, const double *x, const double *y, int samples, int rows, int members,
             Rules rules, const double *now, const long long *order, int count, int t, double *product, long long *nonfinite, double *work
#ifndef __CUDACC__
             ,
             int row
#endif
) {
  if (ROW >= rows) return;
  const int me = ROW, network = me / members, networks = rows / members;
  double *mine = WORKSPACE(me), *acc = mine + PARAMETERS, *tile = acc + PARAMETERS, *w = tile + TILE, *own = w + PARAMETERS;
  double *memory = vectors + (size_t)me * STATE;
  const double *whole = references + (size_t)network * STATE;
  EACH_LANE
  for (int p = lane; p < PARAMETERS; p += 32) {
    mine[p] = memory[p];
    w[p] = whole[p];
  }
  END_LANE
  const bool batched = BATCHED && !product;
  const Data data = {x, y, samples, batched ? order : 0};
  const double by = batched ? (rules.per_sample != 0.0 ? rules.per_sample * count : 1.0) : rules.divisor;
  sums(w, mine, data, batched ? count : samples, network, tile, LINEAR ? 0 : own, acc, false);
  EACH_LANE
  bool bad = false;
  for (int p = lane; p < PARAMETERS; p += 32) {
    double value = mine[p];
    const double dg = acc[p] / (product ? rules.divisor : by) + value * rules.decay;
    if (product) {
      product[(size_t)me * PARAMETERS + p] = dg;
      continue;
    }
    const double lr = rate_of(rate, now + 2, networks, network, p);
    if (rules.shrink != 0.0) value = value * (1.0 - lr * rules.shrink);
    double g = 0.0, a = 0.0, b = 0.0;
    if (!LINEAR) {
      g = own[p] / by + w[p] * rules.decay;
      if (SLOTS > 0) a = whole[PARAMETERS + p];
      if (SLOTS > 1) b = whole[2 * PARAMETERS + p];
    }
    double da = SLOTS > 0 ? memory[PARAMETERS + p] : 0.0, db = SLOTS > 1 ? memory[2 * PARAMETERS + p] : 0.0;
    update_along(g, a, b, value, dg, da, db, lr, rules.numbers, now[0], now[1]);
    memory[p] = value;
    if (SLOTS > 0) memory[PARAMETERS + p] = da;
    if (SLOTS > 1) memory[2 * PARAMETERS + p] = db;
    bad = bad || !(value - value == 0.0) || (SLOTS > 0 && !(da - da == 0.0)) || (SLOTS > 1 && !(db - db == 0.0));
  }
  if (bad && nonfinite[me] < 0) nonfinite[me] = t + 1;
  END_LANE
}

// Modified Gram-Schmidt on the vectors of each network, in place; a block a network, a thread a vector. Each vector loses the parts along those
// before it one after the other, as on the CPU, whatever the others do meanwhile. growth (rows, records): ln R_jj is added to column `record`
// (or growth is 0); triangle (networks, taken, members, members) or 0. length (rows,): room.
#ifdef __CUDACC__
#define EACH_VECTOR { for (int j = threadIdx.x; j < members; j += blockDim.x) {
#define END_VECTOR } } __syncthreads();
#define NETWORK ((int)blockIdx.x)
#else
#define EACH_VECTOR for (int j = 0; j < members; ++j) {
#define END_VECTOR }
#define NETWORK row
#endif
KERNEL orthonormalise(double *vectors, int members, double *growth, int records, int record, double *triangle, int taken, int number,
                      double *length
#ifndef __CUDACC__
                      ,
                      int row
#endif
) {
  double *mine = vectors + (size_t)NETWORK * members * STATE, *norm = length + (size_t)NETWORK * members;
  double *square = triangle ? triangle + ((size_t)NETWORK * taken + number) * members * members : 0;
  for (int i = 0; i < members; ++i) {
    double *q = mine + (size_t)i * STATE;
    EACH_VECTOR
    if (j == i) {
      double total = 0.0;
      for (int p = 0; p < STATE; ++p) total = total + q[p] * q[p];
      const double size = sqrt_(total), inverse = size < WIPED_OUT ? 0.0 : 1.0 / size;
      for (int p = 0; p < STATE; ++p) q[p] = q[p] * inverse;
      norm[i] = size;
      if (square) square[i * members + i] = size;
    }
    END_VECTOR
    EACH_VECTOR
    if (j > i) {
      double *v = mine + (size_t)j * STATE, dot = 0.0;
      for (int p = 0; p < STATE; ++p) dot = dot + q[p] * v[p];
      for (int p = 0; p < STATE; ++p) v[p] = v[p] - dot * q[p];
      if (square) square[i * members + j] = dot;
    }
    END_VECTOR
  }
  EACH_VECTOR
  if (growth) {
    double leading = 0.0;
    for (int i = 0; i < members; ++i) leading = leading < norm[i] ? norm[i] : leading;
    double logarithm = norm[j] < leading * RESOLVED ? NAN_ : log_(norm[j]);
    if (norm[j] < WIPED_OUT) logarithm = -INFINITY_;
    double *sum = growth + ((size_t)NETWORK * members + j) * records + record;
    *sum = *sum + logarithm;
  }
  END_VECTOR
}

// L1 norms of the weights of rows (rows, STATE), or with `from_first` of what they differ by from the first of their `members`, in parameter
// order; a thread a row.
KERNEL measure(const double *states, int rows, int from_first, int members, double *out, int records, int record
#ifndef __CUDACC__
               ,
               int row
#endif
) {
#ifdef __CUDACC__
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
#endif
  if (row >= rows) return;
  const double *w = states + (size_t)row * STATE, *r = from_first ? states + (size_t)(row / members * members) * STATE : 0;
  double total = 0.0;
  for (int p = 0; p < PARAMETERS; ++p) {
    const double difference = r ? w[p] - r[p] : w[p];
    total = total + (difference < 0.0 ? 0.0 - difference : difference);
  }
  out[(size_t)row * records + record] = total;
}
