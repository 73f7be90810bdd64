"""SOFTMAX and LOG_SOFTMAX."""

from __future__ import annotations

from tfmot_mltq.export.c_code import Call, Struct
from tfmot_mltq.export.fixed_point import inverse, softmax_parameters
from tfmot_mltq.export.reader import Reader, Step

_SCALE, _ZERO_POINT = 2.0**-8, -128
_LOG_SCALE, _LOG_ZERO_POINT = 2.0**-4, 127
# Exponentials are at most 1, and their sum has 12 bits before the point.
_MOST_VALUES = 2**12 - 1


def softmax(reader: Reader) -> Step:
    """SOFTMAX of every row."""
    source, target = reader.input(), reader.output()
    reader.require(
        (target.scale, target.zero_point) == (_SCALE, _ZERO_POINT),
        "its output does not have the scale 1/256 and the zero point -128",
    )
    size = source.shape[-1]
    beta, smallest = softmax_parameters(reader.options.beta, source.scale)
    fields = {"beta": beta, "smallest_difference": smallest}
    arguments = (
        Struct("Softmax", "MltqSoftmax", fields), source.size // size, size, reader.source(),
        reader.target(),
    )  # fmt: skip
    return reader.step(Call("mltq_stock_softmax_s8", arguments))


def log_softmax(reader: Reader) -> Step:
    """LOG_SOFTMAX of every row."""
    source, target = reader.input(), reader.output()
    reader.require(
        (target.scale, target.zero_point) == (_LOG_SCALE, _LOG_ZERO_POINT),
        "its output does not have the scale 1/16 and the zero point 127",
    )
    size = source.shape[-1]
    reader.require(size <= _MOST_VALUES, f"its rows have more than {_MOST_VALUES} values")
    beta, smallest = softmax_parameters(1.0, source.scale)
    reader.require(beta.shift > 0, "the scale of its input is too small")
    fields = {"beta": beta, "inverse_beta": inverse(beta), "smallest_difference": smallest}
    arguments = (
        Struct("LogSoftmax", "MltqLogSoftmax", fields), source.size // size, size, reader.source(),
        reader.target(),
    )  # fmt: skip
    return reader.step(Call("mltq_stock_log_softmax_s8", arguments))
