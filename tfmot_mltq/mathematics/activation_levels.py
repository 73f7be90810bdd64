"""Multi-level activations: the mathematics, without a framework.

An activation x is approximated by the sum over k of beta_k * U_k with U_k in {-1, 0, +1} (or, for
the multi-level binary baseline, {-1, +1}), level by level on the residual (ReBNet, Ghasemzadeh et
al. 2018, with a zero):

    R_1 = x,   U_k = sign(R_k) where |R_k| > f_k * beta_k, else 0,   R_(k+1) = R_k - beta_k * U_k

Scales beta and threshold factors f are trained, one of each per layer and level. As in
``decomposition``, ``xp`` is a NumPy-like namespace, and one text serves every framework.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.helpers.framework_types import Array, ArrayNamespace
from tfmot_mltq.mathematics.decomposition import residual_levels
from tfmot_mltq.packing.packed_layer import ActivationTable

# Values halfway between two levels are cut there.
INITIAL_THRESHOLD = 0.5
# The scales are whole numbers of steps, of which there are so many in all of them, so that sums of
# levels fit into int8 on the chip.
GRID_STEPS = 120
# Samples of a batch that the scales start from.
_STARTING_SAMPLES = 16
# Width of the step that takes the place of a jump where a threshold is trained, in scales.
_JUMP_WIDTH = 0.5
_SMALLEST_SCALE = 1e-12


@dataclasses.dataclass(frozen=True)
class ActivationLevels:
    """The trained levels of a layer's input.

    Attributes:
      kind: "ternary" or "binary".
      step: What one step of the grid is.
      counts: Scales in steps: int8, shape (levels,), not negative.
      thresholds: Factors f: float32, shape (levels,).
    """

    kind: str
    step: float
    counts: np.ndarray
    thresholds: np.ndarray

    def planes(self, x: np.ndarray) -> np.ndarray:
        """U of every value: int8, shape (levels, *x.shape)."""
        residual = x.astype(np.float32)
        found = []
        for scale, threshold in zip(
            self.counts * np.float32(self.step), self.thresholds, strict=True
        ):
            plane = _cut(np, _ratio(np, residual, scale), threshold, self.kind)
            found.append((plane * (scale > 0)).astype(np.int8))
            residual = residual - scale * plane
        return np.stack(found)

    def table(self, input_scale: float, input_zero_point: int) -> ActivationTable:
        """What the operator makes of every int8 value of its input."""
        q = np.arange(-128, 128) - input_zero_point
        return ActivationTable(self.counts, self.planes(q * np.float32(input_scale)))


def fixed_levels(
    base: np.ndarray, factors: np.ndarray, thresholds: np.ndarray, kind: str
) -> ActivationLevels:
    """The levels of trained weights, each of shape (levels,)."""
    scales = np.abs(base * factors).astype(np.float32)
    step = _step(scales, np)
    counts = np.floor(scales / step + np.float32(0.5)).astype(np.int8)
    return ActivationLevels(kind, float(step), counts, thresholds.astype(np.float32))


def starting_weights(levels: int, kind: str) -> dict[str, tuple[tuple[int, ...], float, bool]]:
    """The float32 weights of a layer that cuts activations, by name: shape, first value, and
    whether they are trained.
    """
    return {
        "factors": ((levels,), 1.0, True),
        "thresholds": ((levels,), INITIAL_THRESHOLD, kind == "ternary"),
        "base": ((levels,), 0.0, False),
        "initialized": ((), 0.0, False),
    }


def starting_scales(x: Array, levels: int, kind: str, xp: ArrayNamespace) -> Array:
    """Scales for the first samples of a batch, each the least-squares one of its level; shape
    (levels,).
    """
    column = xp.reshape(x[:_STARTING_SAMPLES], (-1, 1))
    found = residual_levels(column, MultiLevelConfig(levels, kind), xp)
    return xp.reshape(xp.stack([level.scale for level in found]), (levels,))


def trained_scales(
    base: Array, factors: Array, xp: ArrayNamespace, stop_gradient: Callable[[Array], Array]
) -> Array:
    """The scales |base * factor| on the grid, with the gradient of those off it."""
    scales = xp.abs(base * factors)
    fixed = stop_gradient(scales)
    step = _step(fixed, xp)
    return scales + stop_gradient(xp.floor(fixed / step + 0.5) * step - fixed)


def _step(scales: Array, xp: ArrayNamespace) -> Array:
    total = xp.sum(scales, axis=0)
    return xp.maximum(total / GRID_STEPS, _SMALLEST_SCALE * xp.ones_like(total))


def _cut(xp: ArrayNamespace, ratio: Array, threshold: Array, kind: str) -> Array:
    """The plane of one level, for residuals in units of its scale."""
    ones = xp.ones_like(ratio)
    if kind == "binary":
        return xp.where(ratio >= 0, ones, -ones)
    return xp.where(xp.abs(ratio) > threshold, xp.sign(ratio), xp.zeros_like(ratio))


def _ratio(xp: ArrayNamespace, residual: Array, scale: Array) -> Array:
    return residual / xp.maximum(scale, _SMALLEST_SCALE * xp.ones_like(scale))


def trained_value(
    x: Array,
    scales: Array,
    thresholds: Array,
    kind: str,
    xp: ArrayNamespace,
    stop_gradient: Callable[[Array], Array],
) -> Array:
    """The sum of the levels, same shape as ``x``, with gradients for what is trained.

    Each plane passes the gradient of its residual where that is within one scale (straight-through
    with a clip at each level, as in ReBNet), so that together they pass that of x up to the sum of
    the scales, and a scale gets the rounding error of its level, as in LSQ (Esser et al. 2020). A
    threshold gets that of a step of half a scale in place of the jump.

    Args:
      x: Activations.
      scales: Shape (levels,), from ``trained_scales``.
      thresholds: Shape (levels,).
      kind: "ternary" or "binary".
      xp: NumPy-like namespace of ``x``.
      stop_gradient: The framework's function.
    """
    return sum(
        value for value, _ in _trained_levels(x, scales, thresholds, kind, xp, stop_gradient)
    )


def nonzero_share(
    x: Array,
    scales: Array,
    thresholds: Array,
    xp: ArrayNamespace,
    stop_gradient: Callable[[Array], Array],
) -> Array:
    """The share of the entries of all levels that are not zero, a scalar, with gradients for the
    activations and the thresholds: those of a step of half a scale in place of the jump.

    Args:
      x: Activations.
      scales: Shape (levels,), from ``trained_scales``.
      thresholds: Shape (levels,).
      xp: NumPy-like namespace of ``x``.
      stop_gradient: The framework's function.
    """
    fixed_scales = stop_gradient(scales)
    # A threshold answers for its own level, not for what it leaves to the next.
    levels = _trained_levels(
        x, fixed_scales, stop_gradient(thresholds), "ternary", xp, stop_gradient
    )
    shares = []
    for level, (_, residual) in enumerate(levels):
        margin = xp.abs(_ratio(xp, residual, fixed_scales[level])) - thresholds[level]
        ones, zeros = xp.ones_like(margin), xp.zeros_like(margin)
        step = xp.minimum(xp.maximum(margin / _JUMP_WIDTH + 0.5, zeros), ones)
        entries = xp.where(margin > 0, ones, zeros)
        shares.append(xp.mean(step + stop_gradient(entries - step)))
    return sum(shares) / len(shares)


def _trained_levels(
    x: Array,
    scales: Array,
    thresholds: Array,
    kind: str,
    xp: ArrayNamespace,
    stop_gradient: Callable[[Array], Array],
) -> Iterator[tuple[Array, Array]]:
    """The value of every level, and the residual that it was cut from."""
    residual = x
    for level in range(scales.shape[0]):
        scale, threshold = scales[level], thresholds[level]
        ratio = _ratio(xp, residual, scale)
        ones = xp.ones_like(ratio)
        clipped = xp.minimum(xp.maximum(ratio, -ones), ones)
        fixed = stop_gradient(ratio)
        plane = _cut(xp, fixed, stop_gradient(threshold), kind)
        passed = clipped + (stop_gradient(plane) - stop_gradient(clipped))
        if kind == "ternary":
            near = xp.abs(xp.abs(fixed) - stop_gradient(threshold)) < _JUMP_WIDTH / 2
            slope = xp.where(near, -xp.sign(fixed) / _JUMP_WIDTH, xp.zeros_like(fixed))
            passed = passed + slope * (threshold - stop_gradient(threshold))
        yield scale * passed, residual
        residual = residual - scale * passed
