"""Operators of two tensors, value by value, either of which may have one value for several."""

from __future__ import annotations

from collections.abc import Callable

from tfmot_mltq.export.affine_sum import affine_sum
from tfmot_mltq.export.axes import merged_axes, strides_of
from tfmot_mltq.export.c_code import Argument, Call, Struct
from tfmot_mltq.export.fixed_point import (
    FixedPoint,
    add_factors,
    fixed_point,
    squared_difference_factors,
    sub_factors,
)
from tfmot_mltq.export.operators import table
from tfmot_mltq.export.reader import Reader, Step

_BROADCAST_RANK = 4
# A product of two values less their zero points has 17 bits with its sign, and is shifted in 32.
_MOST_SHIFT_OF_PRODUCT = 14
_MOST_SHIFT_OF_VALUE = 22


def elementwise(build: Callable[[Reader], list[Argument]], function: str) -> Callable[..., Step]:
    """An operator of two tensors.

    With a constant of one value it is a function of the other tensor, for which a table is faster.

    Args:
      build: Makes the first arguments of the call.
      function: Of C.
    """

    def read(reader: Reader) -> Step:
        position = table.scalar_operand(reader)
        if position is not None:
            return table.function(reader, position)
        arguments = [*build(reader), _broadcast(reader), reader.source(0), reader.source(1)]
        return reader.step(Call(function, (*arguments, reader.target())))

    return read


def add(reader: Reader) -> Step:
    """ADD; the common case of equal shapes has a loop of its own."""
    if reader.input(0).shape != reader.input(1).shape:
        return elementwise(_sum(add_factors), "mltq_stock_add_broadcast_s8")(reader)
    (struct,) = _sum(add_factors)(reader)
    assert isinstance(struct, Struct)
    fast = _fast_add(struct)
    function = "mltq_stock_add_s8" if fast is None else "mltq_stock_add_fast_s8"
    ends = reader.source(0), reader.source(1), reader.target()
    return reader.step(Call(function, (fast or struct, reader.output().size, *ends)))


def _fast_add(add: Struct) -> Struct | None:
    """The same addition in its short form, where it has one."""
    fields = add.fields
    first, second = [-offset for offset in fields["offset"]]
    factors = *fields["factor"], fields["output_factor"]
    found = affine_sum((first, second), factors, fields["output_offset"])
    if found is None:
        return None
    return Struct(
        "Add",
        "MltqFastAdd",
        {
            "factor": [found.first, found.second],
            "offset": found.offset,
            "shift": found.shift,
            "activation_min": fields["activation_min"],
            "activation_max": fields["activation_max"],
        },
    )


def _sum(
    factors_of: Callable[[tuple[float, float], float], tuple[FixedPoint, ...]],
) -> Callable[[Reader], list[Argument]]:
    def build(reader: Reader) -> list[Argument]:
        sources, target = (reader.input(0), reader.input(1)), reader.output()
        factors = factors_of((sources[0].scale, sources[1].scale), target.scale)
        reader.require(
            all(factor.shift <= 0 for factor in factors),
            "the scale of its output is too small for its inputs",
        )
        fields = {
            "offset": [-source.zero_point for source in sources],
            "factor": list(factors[:2]),
            "output_factor": factors[2],
            "output_offset": target.zero_point,
            **reader.clamp(),
        }
        return [Struct("Add", "MltqAdd", fields)]

    return build


def _product(reader: Reader) -> list[Argument]:
    sources, target = (reader.input(0), reader.input(1)), reader.output()
    factor = fixed_point(sources[0].scale * sources[1].scale / target.scale)
    _require_shift(reader, factor, _MOST_SHIFT_OF_PRODUCT)
    fields = {
        "offset": [-source.zero_point for source in sources],
        "factor": factor,
        "output_offset": target.zero_point,
        **reader.clamp(),
    }
    return [Struct("Mul", "MltqMul", fields)]


def _slope(reader: Reader) -> list[Argument]:
    sources, target = (reader.input(0), reader.input(1)), reader.output()
    positive = fixed_point(sources[0].scale / target.scale)
    negative = fixed_point(sources[0].scale * sources[1].scale / target.scale)
    _require_shift(reader, positive, _MOST_SHIFT_OF_VALUE)
    _require_shift(reader, negative, _MOST_SHIFT_OF_PRODUCT)
    fields = {
        "offset": [-source.zero_point for source in sources],
        "positive_factor": positive,
        "negative_factor": negative,
        "output_offset": target.zero_point,
    }
    return [Struct("Prelu", "MltqPrelu", fields)]


def _require_shift(reader: Reader, factor: FixedPoint, most: int) -> None:
    reader.require(factor.shift <= most, "the scale of its output is too small for its inputs")


def _broadcast(reader: Reader) -> Struct:
    shapes, target = (reader.input(0).shape, reader.input(1).shape), reader.output()
    rank = len(target.shape)
    strides = []
    for shape in shapes:
        padded = (1,) * (rank - len(shape)) + shape
        reader.require(
            len(padded) == rank
            and all(a in (1, b) for a, b in zip(padded, target.shape, strict=True)),
            f"its inputs {shapes[0]} and {shapes[1]} do not match its output {target.shape}",
        )
        steps = strides_of(padded)
        strides.append([step if size > 1 else 0 for step, size in zip(steps, padded, strict=True)])
    merged = merged_axes(target.shape, strides, _BROADCAST_RANK)
    if merged is None:
        raise reader.refusal(f"its inputs are broadcast along more than {_BROADCAST_RANK} axes")
    return Struct("Broadcast", "MltqBroadcast", {"size": merged[0], "stride": merged[1]})


subtract = elementwise(_sum(sub_factors), "mltq_stock_sub_s8")
squared_difference = elementwise(
    _sum(squared_difference_factors), "mltq_stock_squared_difference_s8"
)
multiply = elementwise(_product, "mltq_stock_mul_s8")
prelu = elementwise(_slope, "mltq_stock_prelu_s8")
maximum = elementwise(lambda reader: [], "mltq_stock_maximum_s8")
minimum = elementwise(lambda reader: [], "mltq_stock_minimum_s8")
