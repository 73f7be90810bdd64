"""How int8 tensors are simulated in training: the mathematics, without a framework.

TFLite stores weights as symmetric int8 and activations as asymmetric int8. As in `decomposition`,
``xp`` is a NumPy-like namespace, and one text serves every framework.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmot_mltq.helpers.framework_types import Array, ArrayNamespace

# TFLite's softmax aborts the process when a step of its input is below 2^-26. Ranges that small
# come from layers whose output has died out, as in deep models with random weights.
_SMALLEST_RANGE = 256 * 2.0**-25


def int8_kernel(kernel: Array, channel_axes: tuple[int, ...], xp: ArrayNamespace) -> Array:
    """A kernel rounded to multiples of max|w| / 127 of its output channel, same shape and dtype.

    Args:
      kernel: Keras kernel.
      channel_axes: Axes of the output channels, negative; none for one scale per tensor.
      xp: NumPy-like namespace of ``kernel``.
    """
    step = kernel_steps(kernel, channel_axes, xp)
    return xp.floor(kernel / step + 0.5) * step


def kernel_steps(kernel: Array, channel_axes: tuple[int, ...], xp: ArrayNamespace) -> Array:
    """The steps of an int8 kernel, of size 1 on all axes but those of the output channels;
    arguments as of ``int8_kernel``.
    """
    rank = len(kernel.shape)
    others = tuple(axis for axis in range(rank) if axis - rank not in channel_axes)
    largest = xp.max(xp.abs(kernel), axis=others, keepdims=True)
    return xp.where(largest > 0, largest / 127.0, xp.ones_like(largest))


def int32_bias(bias: Array, sum_step: Array, xp: ArrayNamespace) -> Array:
    """A bias rounded to steps of the sum that it is added to, same shape."""
    return _rounded_away(bias / sum_step, xp) * sum_step


def rounded_twice(values: Array, sum_step: Array, output_step: Array, xp: ArrayNamespace) -> Array:
    """Sums as an operator stores them, in multiples of a step: rounded to a fraction of it first.

    TFLite's MultiplyByQuantizedMultiplier multiplies a sum with a number of 31 bits, takes the
    upper half of the product, and shifts that to the right; both round, halves away from zero.

    Args:
      values: Real values of the sums.
      sum_step: Real value of 1 in a sum, a scalar or one for each channel of the last axis.
      output_step: Real value of a step of the output, scalar.
      xp: NumPy-like namespace.
    """
    multiplier = sum_step / output_step
    shift = -1.0 - xp.floor(xp.log2(multiplier))
    parts = xp.exp2(xp.maximum(shift, xp.zeros_like(shift)))
    product = _rounded_away(values / output_step * parts, xp)
    return _rounded_away(product / parts, xp) * output_step


def _rounded_away(values: Array, xp: ArrayNamespace) -> Array:
    return xp.sign(values) * xp.floor(xp.abs(values) + 0.5)


def batch_range(
    values: Array, xp: ArrayNamespace, limits: Sequence[float] | None = None
) -> tuple[Array, Array]:
    """Smallest and largest value of a tensor and 0, which padding and ReLU need to be exact.

    Args:
      values: The tensor.
      xp: NumPy-like namespace.
      limits: What the range does not exceed, around 0; None for no limits.
    """
    low, high = xp.min(values), xp.max(values)
    zero = xp.zeros_like(low)
    low, high = xp.minimum(low, zero), xp.maximum(high, zero)
    if limits is None:
        return low, high
    smallest, largest = (limit * xp.ones_like(low) for limit in limits)
    return xp.maximum(low, smallest), xp.minimum(high, largest)


def moving_range(
    current: tuple[Array, Array],
    initialized: Array,
    batch: tuple[Array, Array],
    decay: float,
    xp: ArrayNamespace,
) -> tuple[Array, Array]:
    """Exponential moving average of ranges; the first batch sets the range.

    Args:
      current: Range so far, scalars.
      initialized: Scalar, above 0 if a batch has set ``current``.
      batch: Range of the batch.
      decay: Share of ``current`` that is kept.
      xp: NumPy-like namespace.
    """
    keep = xp.where(initialized > 0, decay * xp.ones_like(initialized), xp.zeros_like(initialized))
    low, high = (keep * old + (1.0 - keep) * new for old, new in zip(current, batch, strict=True))
    return low, _not_too_narrow(low, high, xp)


def widened_range(
    current: tuple[Array, Array], initialized: Array, batch: tuple[Array, Array], xp: ArrayNamespace
) -> tuple[Array, Array]:
    """The extremes of all batches, for calibration; arguments as of ``moving_range``."""
    zero = xp.zeros_like(initialized)
    low = xp.minimum(xp.where(initialized > 0, current[0], zero), batch[0])
    high = xp.maximum(xp.where(initialized > 0, current[1], zero), batch[1])
    return low, _not_too_narrow(low, high, xp)


def joined_range(
    ranges: tuple[Array, Array], initialized: Array, xp: ArrayNamespace
) -> tuple[Array, Array]:
    """The range that holds those of all places of a group, scalars; from 0 to 0 if none is set.

    Args:
      ranges: Smallest and largest value at each place, both of shape (places,).
      initialized: Shape (places,), above 0 where a batch has set the range.
      xp: NumPy-like namespace.
    """
    is_set = initialized > 0
    zeros = xp.zeros_like(initialized)
    low, high = (xp.where(is_set, limit, zeros) for limit in ranges)
    return xp.min(low), xp.max(high)


def scale_and_zero_point(low: float, high: float) -> tuple[float, int]:
    """Step and zero point of int8 values in a range that holds 0 (Jacob et al. 2018, eq. 3)."""
    scale = (high - low) / 255 or 1.0
    return scale, int(np.clip(np.floor(-128 - low / scale + 0.5), -128, 127))


def with_ties_away(values: Array, limits: tuple[Array, Array], xp: ArrayNamespace) -> Array:
    """Values that fake quantization rounds to the int8 value further from 0 where they are halves.

    They are moved by a thousandth of a step, which decides nothing but ties.

    Args:
      values: The tensor.
      limits: Smallest and largest value of the range, scalars.
      xp: NumPy-like namespace.
    """
    low, high = limits
    step = xp.maximum((high - low) / 255.0, 1e-30 * xp.ones_like(low))
    # The real value of the int8 0, as fake quantization rounds its zero point.
    integer_zero = (128.0 - xp.floor(0.5 - low / step)) * step
    return values + 0.001 * step * xp.sign(values - integer_zero)


def with_value_at(values: Array, place: int, value: Array, xp: ArrayNamespace) -> Array:
    """A copy of ``values``, shape (places,), with another value at one place."""
    return xp.where(xp.arange(values.shape[0]) == place, value, values)


def _not_too_narrow(low: Array, high: Array, xp: ArrayNamespace) -> Array:
    return xp.maximum(high, low + _SMALLEST_RANGE)
