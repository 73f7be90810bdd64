"""Additions of two int8 tensors as one sum of products that is shifted once.

TensorFlow Lite scales both inputs to a common scale, adds them, and scales the sum: three products
of 64 bits and five roundings for every value. What comes out is a function of two bytes, so that a
shorter form can be searched for, and tried on all inputs there are.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmot_mltq.export.fixed_point import FixedPoint

_VALUES = np.arange(-128, 128, dtype=np.int64)
_INT32 = 2**31 - 1
# Steps of each factor, to both sides of the nearest, that are tried.
_REACH = 48
_LEFT_SHIFT = 20


@dataclasses.dataclass(frozen=True)
class AffineSum:
    """output = saturate((first * x + second * y + offset) >> shift), of int8 values."""

    first: int
    second: int
    offset: int
    shift: int


def sums_of_all(
    zero_points: tuple[int, int], factors: tuple[FixedPoint, ...], output_zero_point: int
) -> np.ndarray:
    """What ADD gives before it is clamped, (256, 256), for all pairs of int8 values from -128 on.

    Args:
      zero_points: Of the inputs.
      factors: Of both inputs and of their sum, as ``add_factors``.
      output_zero_point: Of the output.
    """
    first, second = [
        _scaled((_VALUES - zero) << _LEFT_SHIFT, factor)
        for zero, factor in zip(zero_points, factors, strict=False)
    ]
    return _scaled(first[:, None] + second[None, :], factors[2]) + output_zero_point


def _scaled(values: np.ndarray, factor: FixedPoint) -> np.ndarray:
    """As ``fixed_point.multiply``, with a shift to the right."""
    product = (values * factor.multiplier + (1 << 30)) >> 31
    half = (1 << -factor.shift) >> 1
    return (product + half - ((product < 0) & (factor.shift < 0))) >> -factor.shift


def affine_sum(
    zero_points: tuple[int, int], factors: tuple[FixedPoint, ...], output_zero_point: int
) -> AffineSum | None:
    """The short form of an addition, or None where there is none; see ``sums_of_all``."""
    expected = sums_of_all(zero_points, factors, output_zero_point)
    unit = 2.0**_LEFT_SHIFT * _value(factors[2])
    slopes = [_value(factor) * unit for factor in factors[:2]]
    middle = output_zero_point + 0.5 - sum(s * z for s, z in zip(slopes, zero_points, strict=True))
    most = sum(128 * slope for slope in slopes) + abs(middle) + 1.0
    shift = min(30, int(np.floor(np.log2(_INT32 / most))))
    found = _search(expected, slopes, shift)
    if found is None:
        return None
    first, second, offset = found
    sums = first * _VALUES[:, None] + second * _VALUES[None, :] + offset
    largest = abs(offset) + 128 * (first + second)
    clamped = [np.clip(values, -128, 127) for values in (sums >> shift, expected)]
    if largest > _INT32 or not np.array_equal(*clamped):
        return None
    return AffineSum(first, second, offset, shift)


def _search(expected: np.ndarray, slopes: list[float], shift: int) -> tuple[int, int, int] | None:
    """Factors and the offset that suit every pair that is near to a step of the output.

    With given factors, each pair bounds the offset: from below to reach its output, from above not
    to reach the next one. The factors with the widest room between the bounds win.
    """
    x, y = [grid.reshape(-1) for grid in np.meshgrid(_VALUES, _VALUES, indexing="ij")]
    outputs = expected.reshape(-1)
    ideal = [round(slope * 2**shift) for slope in slopes]
    least = (np.clip(outputs, -128, 127) << shift) - ideal[0] * x - ideal[1] * y
    most = least + (1 << shift) - 1
    has_lower, has_upper = outputs > -128, outputs < 127
    # No step of the factors that is tried moves a bound by more than half of this.
    reach = 512 * _REACH
    has_lower &= least >= least[has_lower].max(initial=-_INT32) - reach
    has_upper &= most <= most[has_upper].min(initial=_INT32) + reach
    lower = _outermost(least[has_lower], x[has_lower], y[has_lower])
    upper = _outermost(most[has_upper], x[has_upper], y[has_upper])
    steps = np.arange(-_REACH, _REACH + 1)
    best, room = None, -1
    for step in steps:
        below = _bounds(lower, step, steps).max(axis=1, initial=-_INT32)
        above = _bounds(upper, step, steps).min(axis=1, initial=_INT32)
        widest = int(np.argmax(above - below))
        if above[widest] - below[widest] > room:
            room = int(above[widest] - below[widest])
            offset = int(below[widest] + above[widest]) // 2
            best = ideal[0] + int(step), ideal[1] + int(steps[widest]), offset
    return best


def _outermost(bounds: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows of a bound and its pair, (n, 3): of those with one bound and one x, the ends."""
    rows = np.stack([bounds, x, y], axis=1)[np.lexsort((y, x, bounds))]
    if len(rows) == 0:
        return rows
    begins = np.any(rows[1:, :2] != rows[:-1, :2], axis=1)
    return rows[np.concatenate([[True], begins]) | np.concatenate([begins, [True]])]


def _bounds(rows: np.ndarray, step: np.int64, others: np.ndarray) -> np.ndarray:
    """Bounds of the offset with other factors, (other steps, rows)."""
    bounds, x, y = rows.T
    return (bounds - step * x)[None, :] - others[:, None] * y[None, :]


def _value(factor: FixedPoint) -> float:
    return factor.multiplier / 2.0**31 * 2.0**factor.shift
