"""MLTQ_NORMALIZATION."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.export.c_code import Array, Call
from tfmot_mltq.export.reader import Reader, Step
from tfmot_mltq.packing.normalization import decode


def normalization(reader: Reader) -> Step:
    """The packed tensor is an array of machine words, so that it is aligned."""
    value = reader.constant(1)
    if value is None or value.dtype != np.uint8:
        raise reader.refusal("its packed tensor is not a uint8 constant")
    data = value.tobytes()
    try:
        packed = decode(data)
    except ValueError as error:
        raise reader.refusal(f"its packed tensor: {error}") from error
    reader.require(reader.constant(0) is None, "the input is a constant")
    for tensor in (reader.input(), reader.output()):
        reader.require(
            tensor.size == packed.grouping.size,
            f"'{tensor.name}' does not have the size of the packed groups",
        )
    array = Array("Packed", "uint32_t", np.frombuffer(data, "<u4").tolist())
    call = Call("mltq_normalization_s8", (array, reader.source(), reader.target()))
    return reader.step(call)
