"""SOFTMAX."""

from __future__ import annotations

from tfmot_mltq.export.c_code import Call, Struct
from tfmot_mltq.export.fixed_point import softmax_parameters
from tfmot_mltq.export.reader import Reader, Step

_SCALE, _ZERO_POINT = 2.0**-8, -128


def softmax(reader: Reader) -> Step:
    """SOFTMAX of every row."""
    source, target = reader.input(), reader.output()
    reader.require(
        (target.scale, target.zero_point) == (_SCALE, _ZERO_POINT),
        "its output has not the scale 1/256 and the zero point -128",
    )
    size = source.shape[-1]
    beta, smallest = softmax_parameters(reader.options.beta, source.scale)
    fields = {"beta": beta, "smallest_difference": smallest}
    arguments = (
        Struct("Softmax", "MltqSoftmax", fields), source.size // size, size, reader.source(),
        reader.target(),
    )  # fmt: skip
    return reader.step(Call("mltq_stock_softmax_s8", arguments))
