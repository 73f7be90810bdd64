"""NumPy twin of the C kernels.

Written for clearness from the specification in tflite_ops/core/mltq_layer.h, not from the C code:
the two check each other.
"""

from __future__ import annotations

import numpy as np

from tfmot_mltq.packing import format as fmt
from tfmot_mltq.packing.packed_layer import PackedLayer


def output_shape(layer: PackedLayer, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the output for an input shape (NHWC, or (..., input_channels) if fully connected).

    Raises:
      ValueError: The filter does not fit the input.
    """
    geometry = layer.geometry
    if geometry.kind == fmt.OperatorKind.FULLY_CONNECTED:
        return (int(np.prod(input_shape)) // geometry.input_channels, geometry.output_channels)
    sizes = [_window(input_shape[1 + axis], layer, axis)[0] for axis in range(2)]
    return (input_shape[0], *sizes, geometry.output_channels)


def run_layer(layer: PackedLayer, x: np.ndarray) -> np.ndarray:
    """Runs a packed layer on an int8 input and returns the int8 output."""
    geometry = layer.geometry
    centered = x.astype(np.int64) - layer.input_zero_point
    if layer.activation_table is not None:
        centered = layer.activation_table.values[x.astype(np.int64) + 128]
    if geometry.kind == fmt.OperatorKind.FULLY_CONNECTED:
        patches = centered.reshape(-1, 1, geometry.input_channels)
    else:
        patches = _patches(layer, centered)
    # Broadcast to one patch per output channel: depthwise channels have their own.
    sums = np.einsum("pcn,mcn->pcm", _per_channel(layer, patches), layer.planes.astype(np.int64))
    accumulators = layer.biases + np.sum(sums * layer.multipliers, axis=2)
    assert np.abs(accumulators).max(initial=0) < 2**31, "the packer's bound does not hold"
    outputs = np.clip(accumulators >> layer.shifts, layer.activation_min, layer.activation_max)
    if layer.output_activation_table is not None:
        outputs = layer.output_activation_table.values[outputs + 128]
    return outputs.astype(np.int8).reshape(output_shape(layer, x.shape))


def _window(size: int, layer: PackedLayer, axis: int) -> tuple[int, int]:
    """Output size along an axis, and zeros before the input, as TensorFlow defines them."""
    geometry = layer.geometry
    stride = geometry.stride[axis]
    extent = (geometry.filter_size[axis] - 1) * geometry.dilation[axis] + 1
    if geometry.padding == fmt.Padding.VALID:
        if extent > size:
            raise ValueError(f"A filter that spans {extent} does not fit an input of {size}.")
        return (size - extent) // stride + 1, 0
    outputs = -(-size // stride)
    return outputs, max((outputs - 1) * stride + extent - size, 0) // 2


def _patches(layer: PackedLayer, centered: np.ndarray) -> np.ndarray:
    """Filter windows of all outputs: (positions, input_channels or 1, entries)."""
    geometry = layer.geometry
    batch, height, width, channels = centered.shape
    (out_h, top), (out_w, left) = (_window(n, layer, i) for i, n in enumerate((height, width)))
    taps = []
    for ky in range(geometry.filter_size[0]):
        for kx in range(geometry.filter_size[1]):
            rows = np.arange(out_h) * geometry.stride[0] + ky * geometry.dilation[0] - top
            columns = np.arange(out_w) * geometry.stride[1] + kx * geometry.dilation[1] - left
            inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
            tap = centered[:, np.clip(rows, 0, height - 1)][:, :, np.clip(columns, 0, width - 1)]
            taps.append(np.where(inside[None, :, :, None], tap, 0))
    stacked = np.stack(taps, axis=3).reshape(batch * out_h * out_w, len(taps), channels)
    if geometry.kind == fmt.OperatorKind.DEPTHWISE_CONV_2D:
        return stacked.transpose(0, 2, 1)
    return stacked.reshape(-1, 1, len(taps) * channels)


def _per_channel(layer: PackedLayer, patches: np.ndarray) -> np.ndarray:
    geometry = layer.geometry
    if geometry.kind == fmt.OperatorKind.DEPTHWISE_CONV_2D:
        return np.repeat(patches, geometry.output_channels // geometry.input_channels, axis=1)
    return np.broadcast_to(patches, (patches.shape[0], geometry.output_channels, patches.shape[2]))
