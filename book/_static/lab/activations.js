/* The activations of trajlib, with the bits of its fused engine: the value from the input z, and the slope from the value h, or from z
   where that says more. */
trajlab.define(function activations(trajlab) {
  const { exp, sigmoid, tanh } = trajlab;
  const SQRT_HALF = 0.7071067811865476;
  const INVERSE_ROOT_2PI = 0.3989422804014327;
  const ROOT_2_OVER_PI = 0.7978845608028654;
  const CUBIC = 0.044715;
  // exp(z**2) erfc(z) / t with t = 2 / (2 + z): a Chebyshev series in 2 t - 1
  const ERFC = Float64Array.of(
    0.5770337386164696, 0.3554369212704984, 0.06509515882878668, 0.0036711423958366894, -0.0011128447433529018,
    -0.00016075829915388308, 3.278031574162339e-05, 5.4424416453839015e-06, -1.5154665555007227e-06,
    -1.4297608187458873e-07, 8.234608795915138e-08, -1.2962853007009562e-09, -4.154721767943534e-09,
    6.347054016594087e-10, 1.4320808409115775e-10, -6.160415752199447e-11, 2.0611229288855917e-12,
    3.57152856807945e-12, -8.586639394984227e-13, -6.140778802080245e-14, 7.40494855826735e-14,
    -1.309064587427597e-14, -2.696756461262718e-15, 1.462148602149265e-15,
  );

  /** The normal distribution function. */
  function ndtr(x) {
    const magnitude = (x < 0.0 ? 0.0 - x : x) * SQRT_HALF;
    const t = 2.0 / (magnitude + 2.0), y = t * 2.0 - 1.0, twice = y * 2.0;
    let a = 0.0, b = 0.0;
    for (let i = ERFC.length - 1; i > 0; i--) {
      const next = twice * a - b + ERFC[i];
      b = a;
      a = next;
    }
    const tail = exp(0.0 - x * x * 0.5) * (t * (y * a - b + ERFC[0])) * 0.5;
    return x < 0.0 ? tail : 1.0 - tail;
  }

  const innerTanh = (z) => tanh((z + z * z * z * CUBIC) * ROOT_2_OVER_PI);

  function geluTanhSlope(z) {
    const t = innerTanh(z), inner = (z * z * (3.0 * CUBIC) + 1.0) * ROOT_2_OVER_PI;
    return (t + 1.0) * 0.5 + z * 0.5 * ((1.0 - t * t) * inner);
  }

  const ACTIVATIONS = {
    sigmoid: { value: sigmoid, slope: (h) => h * (1.0 - h) },
    tanh: { value: tanh, slope: (h) => 1.0 - h * h },
    relu: { value: (z) => (z < 0.0 ? 0.0 : z), slope: (h) => (0.0 < h ? 1.0 : 0.0) },
    identity: { value: (z) => z, slope: () => 1.0 },
    gelu: {
      value: (z) => z * ndtr(z),
      slope: (z) => ndtr(z) + z * (exp(z * z * -0.5) * INVERSE_ROOT_2PI),
      fromInput: true,
    },
    gelu_tanh: { value: (z) => z * 0.5 * (innerTanh(z) + 1.0), slope: geluTanhSlope, fromInput: true },
  };

  Object.assign(trajlab, { ndtr, ACTIVATIONS });
}, true);
