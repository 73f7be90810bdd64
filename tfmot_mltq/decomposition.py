"""Multi-level ternary and binary decomposition of weights: the mathematics, without a framework.

A weight matrix W of shape (n, c) (n entries in each of c output channels) is approximated by

    W[:, c] ~ sum over m of scales[m, c] * planes[m, :, c]

with planes in {-1, 0, +1} (ternary) or {-1, +1} (binary), found level by level on the residual
(residual binarization as in ReBNet, Ghasemzadeh et al. 2018, and ABC-Net, Lin et al. 2017; one
ternary level as in Ternary Weight Networks, Li and Liu 2016).

Every function takes ``xp``, a NumPy-like namespace: ``numpy``, ``tensorflow.experimental.numpy`` or
``keras.ops``. Only operations that the three share are used, so one text serves training in any
framework and the converter.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

MAX_LEVELS = 4
KINDS = ("ternary", "binary")
THRESHOLDS = ("twn", "exact")
_TWN_FACTOR = 0.7

Array = Any


@dataclasses.dataclass(frozen=True)
class Decomposition:
    """How a weight tensor is decomposed.

    Attributes:
      levels: Number of planes M, 1 to 4.
      kind: "ternary", or "binary" for the multi-level binary baseline.
      threshold: How a ternary level picks its non-zero entries. "twn": entries above 0.7 times the
        mean magnitude (Ternary Weight Networks, eq. 6). "exact": the entries that minimise the
        squared error of the level, found by sorting.
      per_channel: One scale per output channel and level; otherwise one per tensor and level.
      refit: Least-squares refit of all scales of a channel after the planes are found.

    Raises:
      ValueError: A field is out of its range.
    """

    levels: int = 2
    kind: str = "ternary"
    threshold: str = "twn"
    per_channel: bool = True
    refit: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.levels, bool) or not isinstance(self.levels, (int, np.integer)):
            raise ValueError(
                f"levels must be an integer from 1 to {MAX_LEVELS}, got {self.levels!r}."
            )
        if not 1 <= self.levels <= MAX_LEVELS:
            raise ValueError(f"levels must be from 1 to {MAX_LEVELS}, got {self.levels}.")
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r}.")
        if self.threshold not in THRESHOLDS:
            raise ValueError(f"threshold must be one of {THRESHOLDS}, got {self.threshold!r}.")


def as_decomposition(value: Decomposition | dict[str, Any]) -> Decomposition:
    """A ``Decomposition``, given as such or by its fields, as in a saved configuration."""
    return value if isinstance(value, Decomposition) else Decomposition(**value)


def _divide_or_zero(xp: Any, numerator: Array, denominator: Array) -> Array:
    """Numerator / denominator, and 0 where the denominator is not above 0."""
    positive = denominator > 0
    safe = xp.where(positive, denominator, xp.ones_like(denominator))
    return xp.where(positive, numerator / safe, xp.zeros_like(numerator))


def _column_sum(xp: Any, x: Array) -> Array:
    return xp.sum(x, axis=0, keepdims=True)


def _exact_magnitude_cut(xp: Any, magnitude: Array) -> Array:
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


def _ternary_level(xp: Any, residual: Array, threshold: str) -> Array:
    magnitude = xp.abs(residual)
    if threshold == "twn":
        keep = magnitude > _TWN_FACTOR * xp.mean(magnitude, axis=0, keepdims=True)
    else:
        keep = magnitude >= _exact_magnitude_cut(xp, magnitude)
    return xp.where(keep, xp.sign(residual), xp.zeros_like(residual))


def _binary_level(xp: Any, residual: Array) -> Array:
    ones = xp.ones_like(residual)
    return xp.where(residual >= 0, ones, -ones)


def _refit_scales(xp: Any, weights: Array, planes: list[Array]) -> list[Array]:
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


def _squared_error(xp: Any, weights: Array, planes: list[Array], scales: list[Array]) -> Array:
    error = weights
    for plane, scale in zip(planes, scales, strict=True):
        error = error - scale * plane
    return _column_sum(xp, error * error)


def decompose(weights: Array, spec: Decomposition, xp: Any = np) -> tuple[Array, Array]:
    """Decomposes a weight matrix into planes and scales.

    Args:
      weights: Floating point matrix of shape (n, c): n entries per output channel, c channels.
      spec: What to do.
      xp: NumPy-like namespace of ``weights``.

    Returns:
      planes of shape (levels, n, c) with values -1, 0, +1, and scales of shape (levels, c), not
      negative, both with the dtype of ``weights``. A zero column has scales 0.
    """
    shape = tuple(weights.shape)
    if not spec.per_channel:
        weights = xp.reshape(weights, (shape[0] * shape[1], 1))
    residual = weights
    planes: list[Array] = []
    scales: list[Array] = []
    for _ in range(spec.levels):
        if spec.kind == "ternary":
            plane = _ternary_level(xp, residual, spec.threshold)
        else:
            plane = _binary_level(xp, residual)
        # Least squares for one plane: <T, R> / <T, T>, the mean magnitude of the kept entries.
        scale = _divide_or_zero(
            xp, _column_sum(xp, plane * residual), _column_sum(xp, plane * plane)
        )
        residual = residual - scale * plane
        planes.append(plane)
        scales.append(scale)
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


def reconstruct(planes: Array, scales: Array, xp: Any = np) -> Array:
    """The quantized weights, sum over m of scales[m, c] * planes[m, n, c]; shape (n, c)."""
    return xp.sum(planes * xp.reshape(scales, (scales.shape[0], 1, scales.shape[1])), axis=0)


def as_matrix(kernel: Array, channel_axes: int, xp: Any = np) -> Array:
    """A kernel as (entries per output channel, output channels).

    Args:
      kernel: Keras kernel.
      channel_axes: How many trailing axes make up the output channels: 1, 2 for a depthwise kernel
        (height, width, channels, multiplier), or 0 to treat the kernel as one channel.
      xp: NumPy-like namespace of ``kernel``.
    """
    channels = int(np.prod(kernel.shape[len(kernel.shape) - channel_axes :]))
    return xp.reshape(kernel, (-1, channels))


def quantize(kernel: Array, spec: Decomposition, channel_axes: int, xp: Any = np) -> Array:
    """The quantized kernel, same shape and dtype; arguments as of ``as_matrix``."""
    planes, scales = decompose(as_matrix(kernel, channel_axes, xp), spec, xp)
    return xp.reshape(reconstruct(planes, scales, xp), kernel.shape)


def straight_through(weights: Array, quantized: Array, stop_gradient: Any) -> Array:
    """``quantized`` in the forward pass, with the gradient of ``weights`` (Bengio et al. 2013).

    The value is exact: the second term is zero in floating point, not merely small.
    """
    return stop_gradient(quantized) + (weights - stop_gradient(weights))


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
