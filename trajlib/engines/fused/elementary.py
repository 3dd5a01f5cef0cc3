"""exp, log, sigmoid and tanh for vectors of networks, from + - * / and comparisons alone.

Range reduction to |r| <= ln(2)/2, a minimax polynomial in even and odd halves, and an exact scaling by a power of two. The
plain-Python twin that defines the operation order is tests/specification.py. Largest error seen: 1 ulp for exp, expm1 and log.
"""

from ..machine_code import part
from .lanes import exponent_of, power_of_two, significand_of, square_root, times_power_of_two, where_less

EXP_LOW = -708.0
EXP_HIGH = 709.0
INVERSE_LN2 = float.fromhex("0x1.71547652b82fep+0")
LN2_HIGH = float.fromhex("0x1.62e42fef00000p-1")  # 33 bits: k * LN2_HIGH is exact
LN2_LOW = float.fromhex("0x1.473de6af278edp-34")
ROUNDER = 6755399441055744.0  # 1.5 * 2**52: adding and subtracting it rounds to the nearest integer
# (exp(r) - 1) / r on |r| <= ln(2)/2, error 2e-17
E0 = 1.0
E1 = float.fromhex("0x1.0000000000005p-1")
E2 = float.fromhex("0x1.5555555555557p-3")
E3 = float.fromhex("0x1.55555555520a4p-5")
E4 = float.fromhex("0x1.11111111100dcp-7")
E5 = float.fromhex("0x1.6c16c17f46982p-10")
E6 = float.fromhex("0x1.a01a01abe7fe1p-13")
E7 = float.fromhex("0x1.a019a6611cad5p-16")
E8 = float.fromhex("0x1.71de0231960ebp-19")
E9 = float.fromhex("0x1.28a2ca617b969p-22")
E10 = float.fromhex("0x1.af4de97ca4194p-26")
# (log((1+s)/(1-s)) - 2s) / s**3 in z = s**2 on 0 <= z <= 0.0295, error 1e-17
L0 = float.fromhex("0x1.5555555555558p-1")
L1 = float.fromhex("0x1.999999999526ap-2")
L2 = float.fromhex("0x1.2492492dfe8bep-2")
L3 = float.fromhex("0x1.c71c62d498914p-3")
L4 = float.fromhex("0x1.7462b97a2312dp-3")
L5 = float.fromhex("0x1.39fdc0a6a7bd3p-3")
L6 = float.fromhex("0x1.2b60002063259p-3")
SQRT2 = float.fromhex("0x1.6a09e667f3bcdp+0")
SQRT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
# exp(z**2) erfc(z) / t with t = 2 / (2 + z), z >= 0: a Chebyshev series in 2 t - 1, error 2e-15
ERFC = (
    float.fromhex("0x1.2770f75817bb1p-1"),
    float.fromhex("0x1.6bf7a80297434p-2"),
    float.fromhex("0x1.0aa138a4c2d2fp-4"),
    float.fromhex("0x1.e12f190ee344ap-9"),
    float.fromhex("-0x1.23b9bf1ce7560p-10"),
    float.fromhex("-0x1.51227465cc490p-13"),
    float.fromhex("0x1.12fb3128f87fap-15"),
    float.fromhex("0x1.6d3c6f7d88be3p-18"),
    float.fromhex("-0x1.96ce1196a53fcp-20"),
    float.fromhex("-0x1.3309eea86d240p-23"),
    float.fromhex("0x1.61ac7b30c5a42p-24"),
    float.fromhex("-0x1.6451f7fd22b2ep-30"),
    float.fromhex("-0x1.1d82a367eb976p-28"),
    float.fromhex("0x1.5ceed8154e5a9p-31"),
    float.fromhex("0x1.3aeafbf9081f4p-33"),
    float.fromhex("-0x1.0ef01d7ebd279p-34"),
    float.fromhex("0x1.2213c79638c27p-39"),
    float.fromhex("0x1.f6a5e0b941419p-39"),
    float.fromhex("-0x1.e36283dfdf506p-41"),
    float.fromhex("-0x1.148e5bfefc51fp-44"),
    float.fromhex("0x1.4d7d3e8ca1342p-44"),
    float.fromhex("-0x1.d7a3e5a86c064p-47"),
    float.fromhex("-0x1.84a4c0a677561p-49"),
    float.fromhex("0x1.a56f863501b99p-50"),
)


@part
def _reduced(x, zero):
    """k + ROUNDER and r with x = k ln 2 + r; x is clamped to [-708, 709], nan stays nan."""
    x = where_less(x, zero + EXP_LOW, zero + EXP_LOW, x)
    x = where_less(zero + EXP_HIGH, x, zero + EXP_HIGH, x)
    shifted = x * INVERSE_LN2 + ROUNDER
    k = shifted - ROUNDER
    return shifted, (x - k * LN2_HIGH) - k * LN2_LOW


@part
def polynomial(r):
    """exp(r) - 1, |r| <= ln(2)/2."""
    q = r * r
    even = ((((E10 * q + E8) * q + E6) * q + E4) * q + E2) * q + E0
    odd = (((E9 * q + E7) * q + E5) * q + E3) * q + E1
    return r * (even + r * odd)


@part
def exp(x, zero):
    shifted, r = _reduced(x, zero)
    return times_power_of_two(polynomial(r) + 1.0, shifted)


@part
def expm1(x, zero):
    shifted, r = _reduced(x, zero)
    scale = power_of_two(shifted)
    return scale * polynomial(r) + (scale - 1.0)


@part
def log(x, zero):
    """Natural logarithm of positive normal x."""
    e = exponent_of(x) - 1023.0
    m = significand_of(x)
    e = where_less(zero + SQRT2, m, e + 1.0, e)
    m = where_less(zero + SQRT2, m, m * 0.5, m)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    tail = (((((L6 * z + L5) * z + L4) * z + L3) * z + L2) * z + L1) * z + L0
    value = e * LN2_HIGH + ((s * 2.0 + (s * z) * tail) + e * LN2_LOW)
    return value + (x - x)  # nan and inf stay what they are: not numbers to go on with


@part
def sigmoid(x, zero):
    shifted, r = sigmoid_reduced(x, zero)
    return 1.0 / sigmoid_divisor(shifted, polynomial(r))


@part
def sigmoid_reduced(x, zero):
    """``_reduced`` of 0 - x, with the sign in the constants: one operation less, and the same bits."""
    x = where_less(x, zero - EXP_HIGH, zero - EXP_HIGH, x)
    x = where_less(zero - EXP_LOW, x, zero - EXP_LOW, x)
    shifted = x * -INVERSE_LN2 + ROUNDER
    k = shifted - ROUNDER
    return shifted, (k * -LN2_HIGH - x) - k * LN2_LOW


@part
def sigmoid_divisor(shifted, p):
    """exp(-x) + 1, what 1 is divided by."""
    return times_power_of_two(p + 1.0, shifted) + 1.0


@part
def tanh(x, zero):
    shifted, r = tanh_reduced(x, zero)
    above, below = tanh_quotient(x, shifted, polynomial(r), zero)
    return above / below


@part
def tanh_reduced(x, zero):
    """``_reduced`` of -2 |x|."""
    return _reduced(where_less(x, zero, x, zero - x) * 2.0, zero)


@part
def tanh_quotient(x, shifted, p, zero):
    """With e = exp(-2 |x|) - 1: -e with the sign of x, and e + 2, what that is divided by."""
    scale = power_of_two(shifted)
    e = scale * p + (scale - 1.0)
    return where_less(x, zero, e, zero - e), e + 2.0


@part
def ndtr(x, zero):
    """The normal distribution function."""
    magnitude = where_less(x, zero, zero - x, x) * SQRT_HALF
    t = 2.0 / (magnitude + 2.0)
    y = t * 2.0 - 1.0
    twice = y * 2.0
    b, a = zero, zero
    b, a = a, (twice * a - b) + ERFC[23]
    b, a = a, (twice * a - b) + ERFC[22]
    b, a = a, (twice * a - b) + ERFC[21]
    b, a = a, (twice * a - b) + ERFC[20]
    b, a = a, (twice * a - b) + ERFC[19]
    b, a = a, (twice * a - b) + ERFC[18]
    b, a = a, (twice * a - b) + ERFC[17]
    b, a = a, (twice * a - b) + ERFC[16]
    b, a = a, (twice * a - b) + ERFC[15]
    b, a = a, (twice * a - b) + ERFC[14]
    b, a = a, (twice * a - b) + ERFC[13]
    b, a = a, (twice * a - b) + ERFC[12]
    b, a = a, (twice * a - b) + ERFC[11]
    b, a = a, (twice * a - b) + ERFC[10]
    b, a = a, (twice * a - b) + ERFC[9]
    b, a = a, (twice * a - b) + ERFC[8]
    b, a = a, (twice * a - b) + ERFC[7]
    b, a = a, (twice * a - b) + ERFC[6]
    b, a = a, (twice * a - b) + ERFC[5]
    b, a = a, (twice * a - b) + ERFC[4]
    b, a = a, (twice * a - b) + ERFC[3]
    b, a = a, (twice * a - b) + ERFC[2]
    b, a = a, (twice * a - b) + ERFC[1]
    tail = (exp(zero - x * x * 0.5, zero) * (t * ((y * a - b) + ERFC[0]))) * 0.5
    return where_less(x, zero, tail, 1.0 - tail)


@part
def sqrt(x):
    return square_root(x)
