"""Integers of TensorFlow Lite's int8 reference kernels, from the scales of tensors.

The twin in C is tflite_ops/stock/mltq_fixed_point.h; tests compare the kernels with TensorFlow Lite
Micro.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

# Softmax: fractional bits of scaled differences, and bits before their point.
_DIFFERENCE_BITS = 5
_ADD_LEFT_SHIFT = 20
_SQUARED_DIFFERENCE_LEFT_SHIFT = 7


@dataclasses.dataclass(frozen=True)
class FixedPoint:
    """multiplier / 2^31 * 2^shift."""

    multiplier: int
    shift: int


def fixed_point(value: float) -> FixedPoint:
    """The nearest factor with a multiplier of 31 bits; 0 below 2^-32."""
    mantissa, shift = math.frexp(value)
    multiplier = math.floor(mantissa * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    if value == 0.0 or shift < -31:
        return FixedPoint(0, 0)
    return FixedPoint(multiplier, shift)


def multiply(value: int, factor: FixedPoint) -> int:
    """Value * factor, rounded as TensorFlow Lite does, without the limits of 32 bits."""
    product = ((value << max(factor.shift, 0)) * factor.multiplier + 2**30) >> 31
    right = max(-factor.shift, 0)
    half = (1 << right) >> 1
    return (product + half - (product < 0 and right > 0)) >> right


def add_factors(scales: tuple[float, float], output_scale: float) -> tuple[FixedPoint, ...]:
    """Factors of both inputs of an addition, and of its sum."""
    twice_larger = 2.0 * max(scales)
    inputs = [fixed_point(scale / twice_larger) for scale in scales]
    return *inputs, fixed_point(twice_larger / ((1 << _ADD_LEFT_SHIFT) * output_scale))


def sub_factors(scales: tuple[float, float], output_scale: float) -> tuple[FixedPoint, ...]:
    """As ``add_factors``, of a subtraction: there TensorFlow Lite computes in float32."""
    first, second, output = map(np.float32, (*scales, output_scale))
    twice_larger = np.float32(2.0) * max(first, second)
    inputs = [fixed_point(float(scale / twice_larger)) for scale in (first, second)]
    unit = np.float32(1 << _ADD_LEFT_SHIFT) * output
    return *inputs, fixed_point(float(twice_larger / unit))


def squared_difference_factors(
    scales: tuple[float, float], output_scale: float
) -> tuple[FixedPoint, ...]:
    """As ``add_factors``, of the square of a difference."""
    twice_larger = 2.0 * max(scales)
    inputs = [fixed_point(scale / twice_larger) for scale in scales]
    unit = (1 << 2 * _SQUARED_DIFFERENCE_LEFT_SHIFT) * output_scale
    return *inputs, fixed_point(twice_larger * twice_larger / unit)


def mean_factor(input_scale: float, output_scale: float, count: int) -> FixedPoint:
    """The factor of a sum of ``count`` values: the quotient of the scales, divided by the count."""
    factor = fixed_point(input_scale / output_scale)
    shift = min(count.bit_length() - 1, 32, 31 + factor.shift)
    return FixedPoint((factor.multiplier << shift) // count, factor.shift - shift)


def softmax_parameters(beta: float, input_scale: float) -> tuple[FixedPoint, int]:
    """The factor that scales differences, and the smallest one that counts."""
    factor = beta * input_scale * (1 << (31 - _DIFFERENCE_BITS))
    beta_factor = fixed_point(min(factor, 2.0**31 - 1.0))
    largest = ((1 << _DIFFERENCE_BITS) - 1) * 2.0 ** (31 - _DIFFERENCE_BITS)
    return beta_factor, -math.floor(largest / 2.0**beta_factor.shift)


def inverse(factor: FixedPoint) -> FixedPoint:
    """1 / factor, as log softmax has it: of the rounded factor."""
    return fixed_point(2.0 ** (31 - factor.shift) / factor.multiplier)
