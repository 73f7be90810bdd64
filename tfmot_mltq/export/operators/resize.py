"""Images of another height and width."""

from __future__ import annotations

import numpy as np

from tfmot_mltq.export.c_code import Array, Call, Struct
from tfmot_mltq.export.reader import Reader, Step

_ONE = 1024  # of the fraction between two rows or columns


def nearest(reader: Reader) -> Step:
    """RESIZE_NEAREST_NEIGHBOR."""
    resize = _resize(reader)
    rows, columns = (
        Array(name, "uint16_t", _nearest(reader, axis).tolist())
        for axis, name in ((1, "Rows"), (2, "Columns"))
    )
    arguments = (resize, rows, columns, reader.source(), reader.target())
    return reader.step(Call("mltq_stock_resize_nearest_neighbor_s8", arguments))


def bilinear(reader: Reader) -> Step:
    """RESIZE_BILINEAR."""
    resize = _resize(reader)
    rows, columns = (
        Array(name, "MltqBetween", _between(reader, axis))
        for axis, name in ((1, "Rows"), (2, "Columns"))
    )
    arguments = (resize, rows, columns, reader.source(), reader.target())
    return reader.step(Call("mltq_stock_resize_bilinear_s8", arguments))


def _resize(reader: Reader) -> Struct:
    source, target = reader.input(), reader.output()
    reader.require(
        len(source.shape) == len(target.shape) == 4
        and (source.shape[0], source.shape[3]) == (target.shape[0], target.shape[3])
        and max(*source.shape[1:3], *target.shape[1:3]) < 2**16,
        f"its shapes {source.shape} and {target.shape} are not those of two images",
    )
    fields = {
        "batches": source.shape[0],
        "input_h": source.shape[1],
        "input_w": source.shape[2],
        "output_h": target.shape[1],
        "output_w": target.shape[2],
        "channels": source.shape[3],
    }
    return Struct("Resize", "MltqResize", fields)


def _nearest(reader: Reader, axis: int) -> np.ndarray:
    """For every row or column of the output, that of the input; in float32, as TensorFlow Lite."""
    sizes, options = (reader.input().shape[axis], reader.output().shape[axis]), reader.options
    corners = bool(options.alignCorners)
    found = _nearest_places(*sizes, corners, 0.5 if options.halfPixelCenters else 0.0)
    # Keras' upsampling by whole factors has half-pixel centers, which make no difference there.
    reader.require(
        np.array_equal(found, _nearest_places(*sizes, corners, 0.0)),
        "half-pixel centers matter at its sizes, and versions of TensorFlow Lite Micro disagree on "
        "them",
    )
    return found


def _nearest_places(source: int, target: int, corners: bool, offset: float) -> np.ndarray:
    less = int(corners and target > 1)
    scale = np.float32(source - less) / np.float32(target - less)
    places = (np.arange(target, dtype=np.float32) + np.float32(offset)) * scale
    # Halves away from zero; no place is negative.
    whole = np.floor(places.astype(np.float64) + (0.5 if corners else 0.0))
    return np.clip(whole, 0, source - 1).astype(int)


def _between(reader: Reader, axis: int) -> list[tuple[int, int, int]]:
    """For every row or column of the output: the lower and the upper one of the input, and the
    fraction; in integers, as TensorFlow Lite.
    """
    source, target = reader.input().shape[axis], reader.output().shape[axis]
    options = reader.options
    scale = (_ONE * source + target // 2) // target
    if options.alignCorners and target > 1:
        scale = (_ONE * (source - 1) + (target - 1) // 2) // (target - 1)
    found = []
    for place in range(target):
        value = place * scale
        if options.halfPixelCenters:
            value += scale // 2 - _ONE // 2
        # C divides towards zero.
        lower = max(int(value / _ONE), 0)
        upper = min(int((value + _ONE - 1) / _ONE), source - 1)
        reader.require(lower < source and upper >= 0, "its sizes reach outside the image")
        found.append((lower, upper, value - _ONE * lower))
    return found
