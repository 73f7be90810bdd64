"""GATHER."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.export.c_code import Array, Call, Source, Struct
from tfmot_mltq.export.reader import Reader, Step


def gather(reader: Reader) -> Step:
    """GATHER: rows of an embedding, or any slices along an axis."""
    source, target = reader.input(), reader.output()
    positions = reader.input(1, dtype="int32")
    axis = reader.options.axis % len(source.shape)
    batch_axes = reader.options.batchDims % max(len(positions.shape), 1)
    size = source.shape[axis]
    fields = {
        "batches": int(np.prod(source.shape[:batch_axes])),
        "outer": int(np.prod(source.shape[batch_axes:axis])),
        "size": size,
        "inner": int(np.prod(source.shape[axis + 1 :])),
        "positions": int(np.prod(positions.shape[batch_axes:])),
    }
    reader.require(
        batch_axes <= axis
        and source.shape[:batch_axes] == positions.shape[:batch_axes]
        and source.size // size * fields["positions"] == target.size,
        f"its shapes {source.shape}, {positions.shape} and {target.shape} do not match",
    )
    value = reader.constant(1)
    where: Source | Array = Source(int(reader.operator.inputs[1]))
    if value is not None:
        numbers = value.reshape(-1).tolist()
        reader.require(
            all(0 <= number < size for number in numbers), "a position is outside the axis"
        )
        where = Array("Positions", "int32_t", numbers)
    arguments = (Struct("Gather", "MltqGather", fields), where, reader.source(), reader.target())
    return reader.step(Call("mltq_stock_gather_s8", arguments))
