"""Sizes of the operators of a .tflite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.kernels import Call
from tfmot_mltq.packing.format import OperatorKind, Padding
from tfmot_mltq.packing.packed_layer import Geometry


def sized_call(geometry: Geometry, input_shape: Sequence[int], output_shape: Sequence[int]) -> Call:
    """A layer with the shapes of its tensors, NHWC, or (..., channels) if fully connected."""
    if geometry.kind == OperatorKind.FULLY_CONNECTED:
        size = (int(np.prod(output_shape)) // geometry.output_channels, 1)
        return Call(geometry, size, size)
    (input_h, input_w), (output_h, output_w) = input_shape[1:3], output_shape[1:3]
    return Call(geometry, (input_h, input_w), (output_h, output_w))


def window_padding(options: Any) -> Padding:
    """The padding in the options of a convolution or pooling."""
    return Padding.SAME if options.padding == schema.Padding.SAME else Padding.VALID


def stock_call(
    kind: OperatorKind,
    input_shape: Sequence[int],
    filter_shape: Sequence[int],
    output_shape: Sequence[int],
    options: Any,
) -> Call:
    """A stock convolution or fully connected operator.

    Args:
      kind: Which one.
      input_shape: Of its activations.
      filter_shape: Of its weights.
      output_shape: Of its result.
      options: Its built-in options.
    """
    if kind == OperatorKind.FULLY_CONNECTED:
        geometry = Geometry(kind, filter_shape[1], output_shape[-1])
    else:
        geometry = Geometry(
            kind=kind,
            input_channels=input_shape[3],
            output_channels=output_shape[-1],
            filter_size=(filter_shape[1], filter_shape[2]),
            stride=(options.strideH, options.strideW),
            dilation=(options.dilationHFactor, options.dilationWFactor),
            padding=window_padding(options),
        )
    return sized_call(geometry, input_shape, output_shape)
