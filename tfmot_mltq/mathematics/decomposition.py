"""Multi-level ternary and binary decomposition of weights: the mathematics, without a framework.

A weight matrix W of shape (n, c) (n entries in each of c output channels) is approximated by

    W[:, c] ~ sum over m of scales[m, c] * planes[m, :, c]

with planes in {-1, 0, +1} (ternary) or {-1, +1} (binary), found level by level on the residual
(residual binarization as in ReBNet, Ghasemzadeh et al. 2018, and ABC-Net, Lin et al. 2017; one
ternary level as in Ternary Weight Networks, Li and Liu 2016). Beside its kernel, a layer may hold a
mask of the bits that pruning left, and trained scales and thresholds: its ``KernelState``.

Every function takes ``xp``, a NumPy-like namespace: ``numpy``, ``tensorflow.experimental.numpy`` or
``keras.ops``. Only operations that the three share are used, so one text serves training in any
framework and the converter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.helpers.framework_types import Array, ArrayNamespace

TWN_FACTOR = 0.7


@dataclasses.dataclass(frozen=True)
class KernelState:
    """What a layer holds besides its kernel; every part may be missing.

    Attributes:
      mask: Which bits may be non-zero: 1 or 0, shape (levels, n, c) for a weight matrix (n, c).
      pruned: Scalar. 1: the bits of the mask are non-zero and no others; thresholds have no say. 0:
        thresholds choose among the bits of the mask.
      scales: Trained scales, shape (levels, c), or (levels, 1) for one per tensor.
      thresholds: Trained threshold factors, shape as that of the scales.
    """

    mask: Array | None = None
    pruned: Array | None = None
    scales: Array | None = None
    thresholds: Array | None = None


NO_STATE = KernelState()


@dataclasses.dataclass(frozen=True)
class Level:
    """One level while a matrix is decomposed.

    Attributes:
      residual: What the levels before leave, shape (n, c).
      plane: Shape (n, c), values -1, 0, +1.
      scale: Shape (1, c), not negative.
      mean: Mean magnitude of the residual per column, shape (1, c).
    """

    residual: Array
    plane: Array
    scale: Array
    mean: Array


def _divide_or_zero(xp: ArrayNamespace, numerator: Array, denominator: Array) -> Array:
    """Numerator / denominator, and 0 where the denominator is not above 0."""
    positive = denominator > 0
    safe = xp.where(positive, denominator, xp.ones_like(denominator))
    return xp.where(positive, numerator / safe, xp.zeros_like(numerator))


def _column_sum(xp: ArrayNamespace, x: Array) -> Array:
    return xp.sum(x, axis=0, keepdims=True)


def _exact_magnitude_cut(xp: ArrayNamespace, magnitude: Array) -> Array:
    """Smallest magnitude, per column, that the best single ternary level keeps; shape (1, c).

    Keeping the k largest magnitudes with their mean as scale leaves the squared error
    sum(R^2) - S_k^2 / k, S_k being their sum, so the best k maximises S_k^2 / k.
    """
    descending = -xp.sort(-magnitude, axis=0)
    count = xp.cumsum(xp.ones_like(descending), axis=0)
    total = xp.cumsum(descending, axis=0)
    gain = total * total / count
    best = gain == xp.max(gain, axis=0, keepdims=True)
    return xp.max(xp.where(best, descending, xp.zeros_like(descending)), axis=0, keepdims=True)


def _signs(xp: ArrayNamespace, x: Array) -> Array:
    """+1 where ``x`` is not negative, else -1."""
    ones = xp.ones_like(x)
    return xp.where(x >= 0, ones, -ones)


def _plane(
    xp: ArrayNamespace,
    residual: Array,
    mean: Array,
    spec: MultiLevelConfig,
    state: KernelState,
    level: int,
) -> Array:
    """The plane of one level."""
    signs = _signs(xp, residual)
    if spec.kind == "binary":
        return signs
    magnitude = xp.abs(residual)
    if spec.threshold == "exact":
        above = magnitude >= _exact_magnitude_cut(xp, magnitude)
    else:
        factor = TWN_FACTOR if state.thresholds is None else state.thresholds[level : level + 1]
        above = magnitude > factor * mean
    # Not `signs`: an entry that is exactly zero stays zero while thresholds choose.
    plane = xp.where(above, xp.sign(residual), xp.zeros_like(residual))
    if state.mask is None:
        return plane
    assert state.pruned is not None  # it comes with the mask
    mask = state.mask[level]
    return mask * xp.where(state.pruned > 0, signs, plane)


def _refit_scales(xp: ArrayNamespace, weights: Array, planes: list[Array]) -> list[Array]:
    """Least-squares scales of all planes of a column together.

    Gram-Schmidt on the planes, then back substitution: stable, unrolled over at most four levels,
    and a plane that depends on the ones before it (or is zero) gets no share of its own.
    """
    basis: list[Array] = []
    overlaps: list[list[Array]] = []
    shares: list[Array] = []
    for plane in planes:
        orthogonal = plane
        row = []
        for vector in basis:
            overlap = _divide_or_zero(
                xp, _column_sum(xp, vector * plane), _column_sum(xp, vector * vector)
            )
            orthogonal = orthogonal - overlap * vector
            row.append(overlap)
        # Planes are integers: what is left of a dependent one is rounding, far below one entry.
        norm = _column_sum(xp, orthogonal * orthogonal)
        orthogonal = xp.where(norm > 1e-3, orthogonal, xp.zeros_like(orthogonal))
        norm = _column_sum(xp, orthogonal * orthogonal)
        basis.append(orthogonal)
        overlaps.append(row)
        shares.append(_divide_or_zero(xp, _column_sum(xp, orthogonal * weights), norm))
    scales: list[Array] = []
    for level in reversed(range(len(planes))):
        scale = shares[level]
        for later, later_scale in zip(range(level + 1, len(planes)), scales, strict=True):
            scale = scale - overlaps[later][level] * later_scale
        scales.insert(0, scale)
    return scales


def _squared_error(
    xp: ArrayNamespace, weights: Array, planes: list[Array], scales: list[Array]
) -> Array:
    error = weights
    for plane, scale in zip(planes, scales, strict=True):
        error = error - scale * plane
    return _column_sum(xp, error * error)


def residual_levels(
    weights: Array, spec: MultiLevelConfig, xp: ArrayNamespace = np, state: KernelState = NO_STATE
) -> list[Level]:
    """The levels of a weight matrix, one after the other on what the levels before leave.

    Args:
      weights: Floating point matrix of shape (n, c).
      spec: What to do; ``per_channel`` and ``refit`` are not looked at.
      xp: NumPy-like namespace of ``weights``.
      state: What the layer holds besides the weights.
    """
    residual = weights
    levels: list[Level] = []
    for level in range(spec.levels):
        mean = xp.mean(xp.abs(residual), axis=0, keepdims=True)
        plane = _plane(xp, residual, mean, spec, state, level)
        if state.scales is None:
            # Least squares for one plane: <T, R> / <T, T>, the mean magnitude of the kept entries.
            scale = _divide_or_zero(
                xp, _column_sum(xp, plane * residual), _column_sum(xp, plane * plane)
            )
        else:
            scale = xp.abs(state.scales[level : level + 1])
        levels.append(Level(residual, plane, scale, mean))
        residual = residual - scale * plane
    return levels


def decompose(
    weights: Array, spec: MultiLevelConfig, xp: ArrayNamespace = np, state: KernelState = NO_STATE
) -> tuple[Array, Array]:
    """Decomposes a weight matrix into planes and scales.

    Args:
      weights: Floating point matrix of shape (n, c): n entries per output channel, c channels.
      spec: What to do.
      xp: NumPy-like namespace of ``weights``.
      state: What the layer holds besides the weights.

    Returns:
      planes of shape (levels, n, c) with values -1, 0, +1, and scales of shape (levels, c), not
      negative, both with the dtype of ``weights``. A zero column has scales 0, unless they are
      learned.
    """
    shape = tuple(weights.shape)
    weights, state = with_columns(weights, spec, xp, state)
    levels = residual_levels(weights, spec, xp, state)
    planes = [level.plane for level in levels]
    scales = [level.scale for level in levels]
    if spec.refit:
        refitted = _refit_scales(xp, weights, planes)
        better = _squared_error(xp, weights, planes, refitted) < _squared_error(
            xp, weights, planes, scales
        )
        scales = [xp.where(better, new, old) for new, old in zip(refitted, scales, strict=True)]
        # A scale that came out negative is the mirrored plane with a positive scale.
        planes = [
            xp.where(scale < 0, -plane, plane) for plane, scale in zip(planes, scales, strict=True)
        ]
        scales = [xp.abs(scale) for scale in scales]
    stacked_planes = xp.reshape(xp.stack(planes), (spec.levels, *shape))
    stacked_scales = xp.reshape(xp.stack(scales), (spec.levels, -1))
    if not spec.per_channel:
        stacked_scales = stacked_scales * xp.ones_like(stacked_planes[:, 0, :])
    return stacked_planes, stacked_scales


def with_columns(
    weights: Array, spec: MultiLevelConfig, xp: ArrayNamespace, state: KernelState
) -> tuple[Array, KernelState]:
    """The matrix with one column per scale, and the mask likewise; arguments of ``decompose``."""
    if spec.per_channel:
        return weights, state
    if state.mask is not None:
        state = dataclasses.replace(state, mask=xp.reshape(state.mask, (spec.levels, -1, 1)))
    return xp.reshape(weights, (-1, 1)), state


def initial_state(weights: np.ndarray, spec: MultiLevelConfig) -> dict[str, np.ndarray]:
    """Where the trained parts of a ``KernelState`` start, by name: at what they would be untrained.

    Args:
      weights: Matrix of shape (n, c).
      spec: Says which parts there are.
    """
    columns, _ = with_columns(weights, spec, np, NO_STATE)
    untrained = dataclasses.replace(spec, threshold="twn") if spec.threshold == "learned" else spec
    scales = np.concatenate([level.scale for level in residual_levels(columns, untrained)])
    state = {}
    if spec.learned_scales:
        state["scales"] = scales
    if spec.threshold == "learned":
        state["thresholds"] = np.full_like(scales, TWN_FACTOR)
    return state


def reconstruct(planes: Array, scales: Array, xp: ArrayNamespace = np) -> Array:
    """The quantized weights, sum over m of scales[m, c] * planes[m, n, c]; shape (n, c)."""
    return xp.sum(planes * xp.reshape(scales, (scales.shape[0], 1, scales.shape[1])), axis=0)


def as_matrix(kernel: Array, channel_axes: int, xp: ArrayNamespace = np) -> Array:
    """A kernel as (entries per output channel, output channels).

    Args:
      kernel: Keras kernel.
      channel_axes: How many trailing axes make up the output channels: 1, 2 for a depthwise kernel
        (height, width, channels, multiplier), or 0 to treat the kernel as one channel.
      xp: NumPy-like namespace of ``kernel``.
    """
    channels = int(np.prod(kernel.shape[len(kernel.shape) - channel_axes :]))
    return xp.reshape(kernel, (-1, channels))


def as_matrices(kernels: Array, channel_axes: int, xp: ArrayNamespace = np) -> Array:
    """A stack of arrays of a kernel's shape, such as a mask, as a stack of matrices."""
    channels = int(np.prod(kernels.shape[len(kernels.shape) - channel_axes :]))
    return xp.reshape(kernels, (kernels.shape[0], -1, channels))


def quantize(
    kernel: Array,
    spec: MultiLevelConfig,
    channel_axes: int,
    xp: ArrayNamespace = np,
    state: KernelState = NO_STATE,
) -> Array:
    """The quantized kernel, same shape and dtype; arguments as of ``as_matrix``."""
    planes, scales = decompose(as_matrix(kernel, channel_axes, xp), spec, xp, state)
    return xp.reshape(reconstruct(planes, scales, xp), kernel.shape)


def straight_through(
    weights: Array, quantized: Array, stop_gradient: Callable[[Array], Array]
) -> Array:
    """``quantized`` in the forward pass, with the gradient of ``weights`` (Bengio et al. 2013).

    The value is exact: the second term is zero in floating point, not merely small.
    """
    return stop_gradient(quantized) + (weights - stop_gradient(weights))


def trained_quantize(
    kernel: Array,
    spec: MultiLevelConfig,
    channel_axes: int,
    xp: ArrayNamespace,
    stop_gradient: Callable[[Array], Array],
    state: KernelState = NO_STATE,
) -> Array:
    """``quantize`` with gradients for what is trained.

    A weight gets the gradient of its quantized value (straight-through), and none where no bit of
    it may be non-zero. A learned scale gets that of the scale. A learned threshold factor f gets
    that of a step of width f * mean|R| around the threshold in place of the jump of T, as for
    the step sizes of LSQ (Esser et al. 2020).

    Args:
      kernel: Keras kernel.
      spec: How to decompose.
      channel_axes: As of ``as_matrix``.
      xp: NumPy-like namespace of ``kernel``.
      stop_gradient: The framework's function.
      state: What the layer holds besides the kernel.
    """
    frozen = KernelState(
        *(
            value if value is None else stop_gradient(value)
            for value in (state.mask, state.pruned, state.scales, state.thresholds)
        )
    )
    matrix = as_matrix(stop_gradient(kernel), channel_axes, xp)
    planes, scales = decompose(matrix, spec, xp, frozen)
    quantized = stop_gradient(xp.reshape(reconstruct(planes, scales, xp), kernel.shape))
    # Each difference below is zero in floating point, so the value stays that of `quantize`.
    through = kernel - stop_gradient(kernel)
    if state.mask is not None:
        alive = xp.max(frozen.mask, axis=0)
        through = through * xp.reshape(alive, kernel.shape)
    result = quantized + through
    if state.scales is not None:
        change = xp.abs(state.scales) - stop_gradient(xp.abs(state.scales))
        result = result + xp.reshape(reconstruct(stop_gradient(planes), change, xp), kernel.shape)
    if state.thresholds is not None:
        columns, frozen = with_columns(matrix, spec, xp, frozen)
        slopes = [
            _threshold_slope(xp, level, frozen, index)
            for index, level in enumerate(residual_levels(columns, spec, xp, frozen))
        ]
        change = state.thresholds - stop_gradient(state.thresholds)
        result = result + xp.reshape(
            reconstruct(stop_gradient(xp.stack(slopes)), change, xp), kernel.shape
        )
    return result


def _threshold_slope(xp: ArrayNamespace, level: Level, state: KernelState, index: int) -> Array:
    """Derivative of a level's share of the weights by its threshold factor, shape (n, c)."""
    assert state.thresholds is not None
    factor = state.thresholds[index : index + 1]
    magnitude = xp.abs(level.residual)
    cut = factor * level.mean
    near = xp.abs(magnitude - cut) < 0.5 * cut
    slope = -_divide_or_zero(xp, level.scale, factor) * _signs(xp, level.residual)
    slope = xp.where(near, slope, xp.zeros_like(slope))
    if state.mask is None:
        return slope
    assert state.pruned is not None  # it comes with the mask
    return slope * state.mask[index] * (1.0 - state.pruned)


def check_finite(weights: np.ndarray, name: str) -> None:
    """Refuses NaN and infinity.

    Raises:
      ValueError: Naming the tensor and how many values are not finite.
    """
    bad = int(np.size(weights) - np.count_nonzero(np.isfinite(weights)))
    if bad:
        raise ValueError(
            f"{name}: {bad} of {np.size(weights)} weights are NaN or infinite. Train the model "
            "again, for example with a lower learning rate, before quantizing it."
        )
