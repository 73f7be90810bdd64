"""Pooling."""

from __future__ import annotations

from collections.abc import Callable

from tfmot_mltq.export.c_code import Call
from tfmot_mltq.export.operators.layers import window_of
from tfmot_mltq.export.reader import Reader, Step


def pool(op: str) -> Callable[[Reader], Step]:
    """AVERAGE_POOL_2D, or MAX_POOL_2D."""

    def read(reader: Reader) -> Step:
        reader.require_images()
        options = reader.options
        size = options.filterHeight, options.filterWidth
        window = window_of(reader, size, (options.strideH, options.strideW))
        arguments = (window, reader.source(), reader.target(), *reader.clamp().values())
        return reader.step(*reader.image_calls(Call(f"mltq_stock_{op}_s8", arguments)))

    return read
