"""Normal numbers with the same bits on every system: numpy's, with the far ones computed again.

numpy draws with a ziggurat. One number in some 3,700 lies beyond its last layer, at ``EDGE``, and is made from the system's log1p;
and a compiler may fuse the multiplication and the addition behind it. Both can change the last bit. All other numbers are one
product. So the far ones are found in the stream again and computed here, with the log1p that glibc has for x86-64 processors with
fused multiply-add, so every number is the one that numpy has drawn there all along. The stream is left where numpy leaves it.
(In the ziggurat's wedges exp decides between two numbers; another last bit decides otherwise once in some 1e16 draws.)
"""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

EDGE, INVERSE = 3.6541528853610088, 0.27366123732975828
"""Where the ziggurat's last layer ends, and one over it: ziggurat_nor_r and ziggurat_nor_inv_r of numpy."""
WITHIN = 0xEF33D8025EF6A
"""A magnitude of 52 bits below this lies within the last layer: ki_double[0] of numpy."""
CHUNK, AHEAD = 1 << 16, 128
"""Words of the stream read at once, and those after a candidate; each try takes two and fails less than once in five."""
AGREE = 1e-12
"""A number is computed again only from words that give it to this relative difference: thousands of last digits."""

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
P1, P2, P3, P4, P5, P6, P7 = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
    1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
)  # fmt: skip


def standard_normal(rng: np.random.Generator, shape: int | tuple[int, ...]) -> np.ndarray:
    """What ``rng.standard_normal(shape)`` draws with glibc, whatever the system; ``rng`` is one on PCG64.

    >>> import numpy as np
    >>> standard_normal(np.random.Generator(np.random.PCG64(0)), 3)
    array([ 0.12573022, -0.13210486,  0.64042265])
    """
    before = rng.bit_generator.state
    drawn = rng.standard_normal(shape)
    flat = drawn.reshape(-1)
    far = np.flatnonzero((flat > EDGE) | (flat < -EDGE))
    if len(far):
        flat[far] = _again(before, flat[far].tolist(), flat.size)
    return drawn


def log1p(x: float) -> float:
    """ln(1 + x) for -1 < x <= 0, by fdlibm's operations, in the order and with the fused ones of glibc 2.36 on x86-64.

    References
    ----------
    fdlibm's s_log1p.c (Sun Microsystems, 1993), with the polynomial summed as in glibc's sysdeps/ieee754/dbl-64/s_log1p.c.

    >>> import math
    >>> log1p(-0.75) == math.log(0.25)
    True
    """
    high = struct.unpack("<Q", struct.pack("<d", x))[0] >> 32 & 0x7FFFFFFF
    if high < 0x3E200000:  # |x| < 2^-29
        return x if high < 0x3C900000 else x - x * x * 0.5
    if high <= 0x3FD2BEC3:  # x > -0.2929: no power of two is taken out
        k, f, c, zero = 0, x, 0.0, False
    else:  # 1 + x = 2^k (1 + f), and c is what rounding 1 + x lost
        u = 1.0 + x
        bits = struct.unpack("<Q", struct.pack("<d", u))[0]
        k, part = (bits >> 52) - 1023, bits & 0xFFFFFFFFFFFFF
        c = (x - (u - 1.0)) / u
        top = part >> 32
        up = top >= 0x6A09E  # 1 + f is taken between about 0.71 and 1.41
        k += up
        f = struct.unpack("<d", struct.pack("<Q", part | (0x3FE if up else 0x3FF) << 52))[0] - 1.0
        zero = ((0x100000 - top) >> 2 if up else top) == 0
    half = 0.5 * f * f
    if zero:  # |f| < 2^-20
        if f == 0.0:
            return k * LN2_HIGH + _fused(k, LN2_LOW, c)
        r = half * _fused(-0.66666666666666666, f, 1.0)
        return k * LN2_HIGH - ((r - _fused(k, LN2_LOW, c)) - f)
    s = f / (2.0 + f)
    z = s * s
    z2 = z * z
    z4 = z2 * z2
    r = _fused(z, P1, z2 * _fused(z, P3, P2))
    r = _fused(z4, _fused(z, P5, P4), r)
    r = _fused(z4 * z2, _fused(z, P7, P6), r)
    if k == 0:
        return f - (half - s * (half + r))
    return k * LN2_HIGH - ((half - (s * (half + r) + _fused(k, LN2_LOW, c))) - f)  # k times LN2_HIGH is exact


def _fused(a: float, b: float, c: float) -> float:
    """a b + c, rounded once; no processor's instruction is needed, nor ``math.fma``, which Python has since 3.13."""
    (a, p), (b, q), (c, r) = a.as_integer_ratio(), b.as_integer_ratio(), c.as_integer_ratio()
    return (a * b * r + c * p * q) / (p * q * r)  # integers, whose quotient Python rounds correctly


def _again(before: Any, drawn: list[float], count: int) -> list[float]:
    """The far numbers ``drawn`` among ``count``, in their order, from the stream as it was ``before``."""
    computed = _far(before, 2 * count + AHEAD)  # a number takes 1.03 words on average
    found = [next((v for v in computed if abs(v - x) <= AGREE * abs(x)), np.nan) for x in drawn]
    if np.isnan(found).any():
        raise RuntimeError(
            f"numpy {np.__version__} draws normal numbers in another way than the versions that are known"
        )
    return found


def _far(before: Any, most: int) -> Iterator[float]:
    """The far number that each of the first ``most`` words of the stream would give which may begin one.

    A few are none: their word was used for something else. These give other numbers than those drawn.
    """
    stream = np.random.PCG64(0)
    stream.state = before
    words = stream.random_raw(AHEAD)
    for first in range(0, most, CHUNK):
        words = np.concatenate([words[-AHEAD:], stream.random_raw(min(CHUNK, most - first))])
        begins = words[:-AHEAD]
        for i in np.flatnonzero((begins & 0xFF == 0) & (begins >> 9 & 0xFFFFFFFFFFFFF >= WITHIN)):
            yield _beyond(words[i : i + AHEAD].tolist())


def _beyond(words: list[int]) -> float:
    """Marsaglia's tail: the number beyond ``EDGE`` whose first word is ``words[0]``."""
    for one, other in zip(words[1::2], words[2::2], strict=False):
        beyond, height = -INVERSE * log1p(-(one >> 11) * 2.0**-53), -log1p(-(other >> 11) * 2.0**-53)
        if height + height > beyond * beyond:
            return -(EDGE + beyond) if words[0] >> 17 & 1 else EDGE + beyond
    return np.nan
