"""BATCH_MATMUL."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.export.axes import merged_axes, strides_of
from tfmot_mltq.export.c_code import Call, Struct
from tfmot_mltq.export.fixed_point import fixed_point
from tfmot_mltq.export.reader import Reader, Step

_BATCH_RANK = 3
_LARGEST_PRODUCT = 255 * 255


def batch_matmul(reader: Reader) -> Step:
    """BATCH_MATMUL of two tensors; either may be transposed, and have one matrix for several."""
    sources, target = (reader.input(0), reader.input(1)), reader.output()
    transposed = bool(reader.options.adjX), bool(reader.options.adjY)
    rank = len(target.shape)
    shapes = [(1,) * (rank - len(source.shape)) + source.shape for source in sources]
    # Rows and terms of the first input; terms and columns of the second.
    (rows, depth), (terms, columns) = (
        shape[-2:][::-1] if is_transposed else shape[-2:]
        for shape, is_transposed in zip(shapes, transposed, strict=True)
    )
    batch = target.shape[:-2]
    reader.require(
        depth == terms
        and target.shape[-2:] == (rows, columns)
        and all(
            size in (1, wanted)
            for shape in shapes
            for size, wanted in zip(shape[:-2], batch, strict=True)
        ),
        f"its shapes {sources[0].shape}, {sources[1].shape} and {target.shape} do not match",
    )
    strides = [strides_of(shape) for shape in shapes]
    steps = [
        [step if size > 1 else 0 for step, size in zip(of_input[:-2], shape[:-2], strict=True)]
        for of_input, shape in zip(strides, shapes, strict=True)
    ]
    merged = merged_axes(batch, steps, _BATCH_RANK)
    if merged is None:
        raise reader.refusal(f"its matrices are broadcast along more than {_BATCH_RANK} axes")
    (row_stride, depth_stride), (other_depth_stride, column_stride) = (
        of_input[-2:][::-1] if is_transposed else of_input[-2:]
        for of_input, is_transposed in zip(strides, transposed, strict=True)
    )
    # TensorFlow Lite multiplies the scales in float32.
    product = np.float32(sources[0].scale) * np.float32(sources[1].scale)
    factor = fixed_point(float(product) / target.scale)
    reader.require(
        depth * _LARGEST_PRODUCT < 2 ** (31 - max(factor.shift, 0)),
        "its sums of products may overflow 32 bits",
    )
    fields = {
        "batch_size": merged[0],
        "batch_stride": merged[1],
        "rows": rows,
        "columns": columns,
        "depth": depth,
        "row_stride": row_stride,
        "column_stride": column_stride,
        "depth_stride": [depth_stride, other_depth_stride],
        "offset": [-source.zero_point for source in sources],
        "factor": factor,
        "output_offset": target.zero_point,
    }
    matmul = Struct("Matmul", "MltqMatmul", fields)
    arguments = (matmul, reader.source(0), reader.source(1), reader.target())
    return reader.step(Call("mltq_stock_batch_matmul_s8", arguments))
