"""Real scales to the integers of the operators.

With s_in, s_out the tensor scales and z_out the output zero point, the operators compute

    output = clamp(floor((bias[c] + sum over m of multiplier[c, m] * S[m]) / 2^shift[c]))

(see tflite_ops/core/mltq_layer.h). S[m] is bounded by the number of entries of each sign, so the
largest shift that keeps the sum inside 32 bits is known per channel, and so is the precision.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmot_mltq.packing import format as fmt

_MULTIPLIER_LIMIT = 2**15 - 1
_ACCUMULATOR_LIMIT = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class ChannelTables:
    """Integers per output channel: see ``PackedLayer``."""

    multipliers: np.ndarray
    biases: np.ndarray
    shifts: np.ndarray


def sum_bounds(planes: np.ndarray, input_zero_point: int) -> np.ndarray:
    """Largest |S[m]| that any int8 input can reach; int64, shape (output_channels, levels).

    Args:
      planes: Shape (levels, output_channels, row_size).
      input_zero_point: Zero point of the int8 input.
    """
    above, below = 127 - input_zero_point, 128 + input_zero_point
    positive = np.sum(planes > 0, axis=2, dtype=np.int64).T
    negative = np.sum(planes < 0, axis=2, dtype=np.int64).T
    return np.maximum(positive * above + negative * below, positive * below + negative * above)


def quantize_channels(
    planes: np.ndarray,
    scales: np.ndarray,
    biases: np.ndarray,
    *,
    input_scale: float,
    input_zero_point: int,
    output_scale: float,
    output_zero_point: int,
) -> ChannelTables:
    """Multipliers, biases and shifts of a layer.

    Args:
      planes: Shape (levels, output_channels, row_size).
      scales: Real scale of each plane, not negative, shape (levels, output_channels).
      biases: Real bias, shape (output_channels,).
      input_scale: Step of the int8 input in real units.
      input_zero_point: Integer of the input that stands for 0.
      output_scale: Step of the int8 output in real units.
      output_zero_point: Integer of the output that stands for 0.

    Raises:
      ValueError: A channel's largest possible output is so many output steps that the sum does
        not fit 32 bits at any precision.
    """
    bounds = sum_bounds(planes, input_zero_point)
    real = scales.T.astype(np.float64) * (input_scale / output_scale)
    offset = biases.astype(np.float64) / output_scale + output_zero_point + 0.5
    shifts = np.zeros(real.shape[0], np.uint8)
    pending = np.ones(real.shape[0], bool)
    # From the most precise shift down; the rounded integers are what is checked, so the limit
    # holds exactly.
    for shift in range(fmt.MAX_SHIFT, -1, -1):
        multipliers = np.rint(np.ldexp(real, shift))
        reach = np.abs(np.rint(np.ldexp(offset, shift))) + np.sum(multipliers * bounds, axis=1)
        fits = (multipliers <= _MULTIPLIER_LIMIT).all(axis=1) & (reach <= _ACCUMULATOR_LIMIT)
        shifts[pending & fits] = shift
        pending &= ~fits
    if pending.any():
        channels = np.flatnonzero(pending)
        raise ValueError(
            f"Output channels {channels[:8].tolist()} exceed 32 bits: their output range is tiny "
            f"(scale {output_scale:g}) compared with their weights. The layer's output is probably "
            "constant on the representative dataset; check that dataset, or leave the layer int8."
        )
    exponent = shifts.astype(np.int64)
    return ChannelTables(
        multipliers=np.rint(np.ldexp(real, exponent[:, None])).astype(np.int16),
        biases=np.rint(np.ldexp(offset, exponent)).astype(np.int32),
        shifts=shifts,
    )
