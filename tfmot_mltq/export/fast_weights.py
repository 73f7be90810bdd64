"""Weights of stock int8 layers as the fast kernels of tflite_ops/stock take them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfmot_mltq.export.fixed_point import FixedPoint, multiply

_ROW_UNIT = 4
# Vectors of 16 bytes reach beyond the last row.
_TAIL = 12
_UNSIGNED_OFFSET = 128
_LARGEST_SUM = 2**30 - 1
_MOST_SHIFT = 22
_INT32 = 2**31
# 1/4: of a channel whose output is one value, whatever the input is.
_CONSTANT_FACTOR = FixedPoint(2**30, -1)

# Multiplier, nudge and shift to the right, as MltqFastFactor.
Factor = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class FastWeights:
    """As MltqFastWeights.

    Attributes:
      rows: The filter, (output channels, values of a window), int8.
      biases, unsigned_biases: Of every channel.
      factors: Of every channel, or one for all.
    """

    rows: np.ndarray
    biases: list[int]
    unsigned_biases: list[int]
    factors: list[Factor]


def row_bytes(size: int) -> int:
    """Bytes of a row of the filter, with its padding."""
    return -(-size // _ROW_UNIT) * _ROW_UNIT


def padded_filter(rows: np.ndarray) -> list[int]:
    """The filter of a convolution or fully connected layer, each row with its padding."""
    padded = np.pad(rows, ((0, 0), (0, row_bytes(rows.shape[1]) - rows.shape[1])))
    return [*padded.reshape(-1).tolist(), *[0] * _TAIL]


def fast_weights(
    rows: np.ndarray,
    biases: Sequence[int],
    factors: Sequence[FixedPoint],
    *,
    input_zero_point: int,
    output_zero_point: int,
    clamp: tuple[int, int],
    per_channel: bool,
) -> FastWeights | None:
    """The weights, or None where a kernel with fewer limits is needed.

    Channels whose output is the same for all inputs, such as those that training has left with
    weights near zero and an enormous bias, get no weights.

    Args:
      rows: Filter, (output channels, values of a window), int8.
      biases: Of every channel.
      factors: Of every channel, or one for all.
      input_zero_point: Of the input.
      output_zero_point: Of the output.
      clamp: Range of the output.
      per_channel: Every channel gets a factor, also where all are the same.
    """
    filled = rows.astype(np.int64)
    of_channels = [*factors] * (len(rows) if len(factors) == 1 else 1)
    folded: list[int] = []
    for i, (row, bias, factor) in enumerate(zip(filled, biases, of_channels, strict=True)):
        folded.append(int(bias) - input_zero_point * int(row.sum()))
        if _fits(row, folded[i], factor):
            continue
        value = _only_value(row, int(bias), factor, input_zero_point, output_zero_point, clamp)
        if value is None:
            return None
        filled[i], of_channels[i] = 0, _CONSTANT_FACTOR
        folded[i] = 4 * (value - output_zero_point)
    totals = filled.sum(axis=1)
    kept = of_channels if per_channel or len({*of_channels}) > 1 else of_channels[:1]
    return FastWeights(
        rows=filled.astype(np.int8),
        biases=folded,
        unsigned_biases=[
            bias - _UNSIGNED_OFFSET * int(total) for bias, total in zip(folded, totals, strict=True)
        ],
        factors=[
            (f.multiplier, (2 * output_zero_point + 1) << (-f.shift - 1), -f.shift) for f in kept
        ],
    )


def _fits(row: np.ndarray, bias: int, factor: FixedPoint) -> bool:
    """Whether no sum of a channel, and no part of one, leaves its range."""
    of_unsigned = bias - _UNSIGNED_OFFSET * int(row.sum())
    largest = max(abs(bias), abs(of_unsigned)) + 255 * int(np.abs(row).sum())
    return largest <= _LARGEST_SUM and 1 <= -factor.shift <= _MOST_SHIFT


def _only_value(
    row: np.ndarray,
    bias: int,
    factor: FixedPoint,
    input_zero_point: int,
    output_zero_point: int,
    clamp: tuple[int, int],
) -> int | None:
    """The output of a channel, if it is the same for all inputs."""
    ends = np.stack([row * (-128 - input_zero_point), row * (127 - input_zero_point)])
    sums = [bias + int(ends.min(axis=0).sum()), bias + int(ends.max(axis=0).sum())]
    if any(abs(value) * 2 ** max(factor.shift, 0) >= _INT32 for value in sums):
        return None
    found = {
        min(max(multiply(value, factor) + output_zero_point, clamp[0]), clamp[1]) for value in sums
    }
    return found.pop() if len(found) == 1 else None
