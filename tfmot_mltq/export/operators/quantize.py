"""Between scales, and between int8 and real values."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.export.c_code import Argument, Call, Factor
from tfmot_mltq.export.fixed_point import fixed_point
from tfmot_mltq.export.reader import Reader, Step, read_tensor

_MOST_SHIFT = 22


def quantize(reader: Reader) -> Step:
    """QUANTIZE of int8 or of float32."""
    target = reader.output()
    if read_tensor(reader.graph.tensors[reader.operator.inputs[0]]).dtype == "float32":
        reader.input(dtype="float32")
        arguments: tuple[Argument, ...] = (
            np.float32(target.scale), target.zero_point, target.size, reader.source(),
            reader.target(),
        )  # fmt: skip
        return reader.step(Call("mltq_stock_quantize_s8", arguments))
    source = reader.input()
    factor = fixed_point(source.scale / target.scale)
    reader.require(factor.shift <= _MOST_SHIFT, "the scale of its output is too small")
    arguments = (
        Factor("Factor", factor), -source.zero_point, target.zero_point, target.size,
        reader.source(), reader.target(),
    )  # fmt: skip
    return reader.step(Call("mltq_stock_requantize_s8", arguments))


def dequantize(reader: Reader) -> Step:
    """DEQUANTIZE to float32."""
    source = reader.input()
    reader.output(dtype="float32")
    arguments = (
        np.float32(source.scale),
        source.zero_point,
        source.size,
        reader.source(),
        reader.target(),
    )
    return reader.step(Call("mltq_stock_dequantize_s8", arguments))
