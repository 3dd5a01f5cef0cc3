"""Vectors of networks: the SIMD type that the fused engine computes with, and its own exp and log.

A value of type ``Wide(S)`` holds ``S`` samples x ``LANES`` networks of float64. The only floating-point operations are
+ - * / and comparisons, emitted as separate IEEE instructions (LLVM is given no licence to fuse or to reorder), so that every
lane computes exactly what a scalar program would, on any machine. See DESIGN of the bits in book/reproducibility.md.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

LANES = 8
"""Networks side by side in one vector (one AVX-512 register; LLVM splits it where registers are narrower)."""

_F64 = ir.DoubleType()
_I64 = ir.IntType(64)


class Wide(types.Type):
    """Numba type of a vector of ``samples * LANES`` float64."""

    def __init__(self, samples: int):
        self.samples = samples
        self.width = samples * LANES
        super().__init__(name=f"Wide({samples}x{LANES})")


@register_model(Wide)
class _WideModel(models.PrimitiveModel):
    def __init__(self, manager, wide):
        super().__init__(manager, wide, ir.VectorType(_F64, wide.width))


def _vector(width: int, element=_F64):
    return ir.VectorType(element, width)


def _constant(value, width: int, element=_F64):
    return ir.Constant(_vector(width, element), [value] * width)


def _shuffle(builder, vector, indices):
    mask = ir.Constant(_vector(len(indices), ir.IntType(32)), list(indices))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)


def _splat(builder, scalar, width):
    one = builder.insert_element(ir.Constant(_vector(width), ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return _shuffle(builder, one, [0] * width)


def _address(context, builder, array_type, array, offset, vector_type):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), vector_type.as_pointer())


def _is_flat(array):
    return isinstance(array, types.Array) and array.dtype == types.float64 and array.ndim == 1 and array.layout == "C"


@intrinsic
def constant(typingctx, value, samples):
    """``constant(value, S)``: every entry of a Wide(S) set to the scalar ``value``."""
    if not isinstance(samples, types.IntegerLiteral):
        return None
    wide = Wide(samples.literal_value)

    def codegen(context, builder, signature, args):
        return _splat(builder, args[0], wide.width)

    return wide(types.float64, samples), codegen


@intrinsic
def load(typingctx, array, slot, like):
    """Lane vector number ``slot`` of a flat array, repeated for each of the samples of ``like``."""
    if not (_is_flat(array) and isinstance(like, Wide)):
        return None

    def codegen(context, builder, signature, args):
        offset = builder.mul(args[1], ir.Constant(_I64, LANES))
        pointer = _address(context, builder, array, args[0], offset, _vector(LANES))
        return _shuffle(builder, builder.load(pointer, align=8), list(range(LANES)) * like.samples)

    return like(array, types.int64, like), codegen


@intrinsic
def load_wide(typingctx, array, slot, like):
    """Vector number ``slot``, as wide as ``like``, of a flat array."""
    if not (_is_flat(array) and isinstance(like, Wide)):
        return None

    def codegen(context, builder, signature, args):
        offset = builder.mul(args[1], ir.Constant(_I64, like.width))
        return builder.load(_address(context, builder, array, args[0], offset, _vector(like.width)), align=8)

    return like(array, types.int64, like), codegen


@intrinsic
def samples_of(typingctx, array, index, like):
    """Consecutive scalars of a flat data array from ``index``, one a sample of ``like``, each repeated over the networks."""
    if not (_is_flat(array) and isinstance(like, Wide)):
        return None

    def codegen(context, builder, signature, args):
        data = context.make_array(array)(context, builder, args[0]).data
        whole = ir.Constant(_vector(like.width), ir.Undefined)
        for s in range(like.samples):
            scalar = builder.load(builder.gep(data, [builder.add(args[1], ir.Constant(_I64, s))]))
            part = _splat(builder, scalar, like.width)
            mask = [like.width + i if i // LANES == s else i for i in range(like.width)]
            indices = ir.Constant(_vector(like.width, ir.IntType(32)), mask)
            whole = builder.shuffle_vector(whole, part, indices)
        return whole

    return like(array, types.int64, like), codegen


@intrinsic
def store(typingctx, array, slot, value):
    """Write ``value`` as full-width vector number ``slot`` of a flat array."""
    if not (_is_flat(array) and isinstance(value, Wide)):
        return None

    def codegen(context, builder, signature, args):
        offset = builder.mul(args[1], ir.Constant(_I64, value.width))
        builder.store(args[2], _address(context, builder, array, args[0], offset, _vector(value.width)), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, value), codegen


@intrinsic
def accumulate(typingctx, total, value, count):
    """``total`` (one sample wide) plus the first ``count`` samples of ``value``, added one after the other in sample order."""
    if not (isinstance(total, Wide) and total.samples == 1 and isinstance(value, Wide)):
        return None

    def codegen(context, builder, signature, args):
        result, wide, number = args
        for s in range(value.samples):
            more = builder.fadd(result, _shuffle(builder, wide, range(s * LANES, (s + 1) * LANES)))
            result = builder.select(builder.icmp_signed("<", ir.Constant(_I64, s), number), more, result)
        return result

    return total(total, value, types.int64), codegen


def _arithmetic(operation, instruction: str) -> None:
    """Make + - * / of vectors, and of a vector and a scalar, one instruction (as ``overload`` each would be a function to compile)."""

    @type_callable(operation)
    def typed(context):
        def typer(a, b):
            if isinstance(a, Wide) and (a == b or isinstance(b, types.Float)):
                return a
            if isinstance(b, Wide) and isinstance(a, types.Float):
                return b
            return None

        return typer

    def lowered(context, builder, signature, args):
        width = signature.return_type.width
        pair = [
            value if isinstance(kind, Wide) else _splat(builder, value, width)
            for kind, value in zip(signature.args, args, strict=True)
        ]
        return getattr(builder, instruction)(*pair)

    for kinds in ((Wide, Wide), (Wide, types.Float), (types.Float, Wide)):
        lower_builtin(operation, *kinds)(lowered)


for _operation, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _arithmetic(_operation, _instruction)


@intrinsic
def where_less(typingctx, a, b, if_true, if_false):
    """``if_true`` where a < b, else ``if_false`` (also where either is nan)."""

    def codegen(context, builder, signature, args):
        a_, b_, yes, no = args
        return builder.select(builder.fcmp_ordered("<", a_, b_), yes, no)

    return a(a, b, if_true, if_false), codegen


@intrinsic
def power_of_two(typingctx, shifted):
    """2**k, exactly, for ``shifted`` = k + 1.5 * 2**52 with integer -1022 <= k <= 1023: k moved into the exponent bits."""

    def codegen(context, builder, signature, args):
        width = shifted.width
        bits = builder.bitcast(args[0], _vector(width, _I64))
        bits = builder.add(bits, _constant(1023, width, _I64))
        bits = builder.shl(bits, _constant(52, width, _I64))
        return builder.bitcast(bits, _vector(width))

    return shifted(shifted), codegen


@intrinsic
def times_power_of_two(typingctx, x, shifted):
    """x * 2**k, exactly, for ``shifted`` as above, where x and the product are normal: k added to the exponent bits.

    nan stays nan: the last bits of a nan that arithmetic makes, which ``shifted`` is then too, are 0.
    """

    def codegen(context, builder, signature, args):
        x_, width = args[0], shifted.width
        k = builder.shl(builder.bitcast(args[1], _vector(width, _I64)), _constant(52, width, _I64))
        bits = builder.add(builder.bitcast(x_, _vector(width, _I64)), k)
        return builder.bitcast(bits, _vector(width))

    return x(x, shifted), codegen


@intrinsic
def divide(typingctx, array, slot, above, part, parts, like):
    """y / x in place of the samples x of one of ``parts`` equal shares of vector number ``slot``, each sample by itself.

    y is that of vector number ``above``, or 1 if it is None.
    """
    if not (isinstance(part, types.IntegerLiteral) and isinstance(parts, types.IntegerLiteral)):
        return None
    first, last = ((part.literal_value + i) * like.samples // parts.literal_value for i in (0, 1))

    def codegen(context, builder, signature, args):
        def place(number, s):
            offset = builder.add(builder.mul(number, ir.Constant(_I64, like.width)), ir.Constant(_I64, s * LANES))
            return _address(context, builder, array, args[0], offset, _vector(LANES))

        for s in range(first, last):
            y = _constant(1.0, LANES) if above == types.none else builder.load(place(args[2], s), align=8)
            pointer = place(args[1], s)
            builder.store(builder.fdiv(y, builder.load(pointer, align=8)), pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, above, part, parts, like), codegen


@intrinsic
def exponent_of(typingctx, x):
    """The exponent field of positive normal ``x`` as a float, e with x = m 2**(e - 1023), 1 <= m < 2."""

    def codegen(context, builder, signature, args):
        width = x.width
        bits = builder.bitcast(args[0], _vector(width, _I64))
        bits = builder.lshr(bits, _constant(52, width, _I64))
        bits = builder.or_(bits, _constant(0x4330000000000000, width, _I64))
        return builder.fsub(builder.bitcast(bits, _vector(width)), _constant(4503599627370496.0, width))

    return x(x), codegen


@intrinsic
def significand_of(typingctx, x):
    """The significand of positive normal ``x``, 1 <= m < 2."""

    def codegen(context, builder, signature, args):
        width = x.width
        bits = builder.bitcast(args[0], _vector(width, _I64))
        bits = builder.and_(bits, _constant(0x000FFFFFFFFFFFFF, width, _I64))
        bits = builder.or_(bits, _constant(0x3FF0000000000000, width, _I64))
        return builder.bitcast(bits, _vector(width))

    return x(x), codegen


@intrinsic
def square_root(typingctx, x):
    """IEEE square root, correctly rounded."""

    def codegen(context, builder, signature, args):
        kind = _vector(x.width)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind]), f"llvm.sqrt.v{x.width}f64"
        )
        return builder.call(function, [args[0]])

    return x(x), codegen


@intrinsic
def lane_of(typingctx, vector, lane):
    """One entry of a vector as a scalar."""

    def codegen(context, builder, signature, args):
        return builder.extract_element(args[0], args[1])

    return types.float64(vector, types.int64), codegen


@intrinsic
def any_nonzero(typingctx, vector):
    """Whether an entry is not 0; nan is not."""

    def codegen(context, builder, signature, args):
        width = vector.width
        flags = builder.fcmp_unordered("!=", args[0], _constant(0.0, width))
        bits = builder.bitcast(flags, ir.IntType(width))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(width), 0))

    return types.boolean(vector), codegen
