"""Sums, means and extremes along axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfmot_mltq.export.axes import merged_axes, strides_of
from tfmot_mltq.export.c_code import Call, Factor, Struct
from tfmot_mltq.export.fixed_point import fixed_point, mean_factor
from tfmot_mltq.export.reader import Reader, Step

_REDUCE_RANK = 3


def mean(reader: Reader) -> Step:
    """MEAN; that of an image has a loop of its own."""
    source, target = reader.input(), reader.output()
    axes = _axes(reader)
    if len(source.shape) == 4 and source.shape[0] == 1 and axes == {1, 2}:
        positions = source.shape[1] * source.shape[2]
        factor = mean_factor(source.scale, target.scale, positions)
        arguments = (
            Factor("Factor", factor), -source.zero_point, target.zero_point, positions,
            source.shape[3], reader.source(), reader.target(),
        )  # fmt: skip
        return reader.step(Call("mltq_stock_mean_s8", arguments))
    return _sum(reader, is_mean=True)


def total(reader: Reader) -> Step:
    """SUM."""
    return _sum(reader, is_mean=False)


def _sum(reader: Reader, *, is_mean: bool) -> Step:
    source, target = reader.input(), reader.output()
    count = source.size // target.size
    factor = fixed_point(source.scale / target.scale)
    if is_mean:
        factor = mean_factor(source.scale, target.scale, count)
    # The sum is shifted within 32 bits.
    reader.require(count * 256 < 2 ** (31 - max(factor.shift, 0)), "its sums may overflow 32 bits")
    arguments = (
        _reduction(reader), Factor("Factor", factor), -source.zero_point * count,
        target.zero_point, reader.source(), reader.target(),
    )  # fmt: skip
    return reader.step(Call("mltq_stock_sum_s8", arguments))


def extreme(op: str) -> Callable[[Reader], Step]:
    """REDUCE_MAX, or REDUCE_MIN."""

    def read(reader: Reader) -> Step:
        source, target = reader.input(), reader.output()
        reader.require(
            (source.scale, source.zero_point) == (target.scale, target.zero_point),
            "its input and its output have different scales",
        )
        arguments = (_reduction(reader), reader.source(), reader.target())
        return reader.step(Call(f"mltq_stock_{op}_s8", arguments))

    return read


def _axes(reader: Reader) -> set[int]:
    rank = len(reader.input().shape)
    axes = reader.constant_list(1, "its axes")
    reader.require(all(-rank <= axis < rank for axis in axes), f"its axes {axes} are out of range")
    return {axis % rank for axis in axes}


def _reduction(reader: Reader) -> Struct:
    shape, axes = reader.input().shape, _axes(reader)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    reader.require(
        reader.output().size == int(np.prod([shape[axis] for axis in kept])),
        "its output does not have the size that its axes give",
    )
    strides = strides_of(shape)
    fields: dict[str, list[int]] = {}
    for name, chosen in (("kept", kept), ("reduced", sorted(axes))):
        sizes, steps = [shape[i] for i in chosen], [strides[i] for i in chosen]
        merged = merged_axes(sizes, [steps], _REDUCE_RANK)
        if merged is None:
            raise reader.refusal(f"its axes form more than {_REDUCE_RANK} groups of neighbours")
        fields |= {f"{name}_size": merged[0], f"{name}_stride": merged[1][0]}
    return Struct("Reduce", "MltqReduce", fields)
