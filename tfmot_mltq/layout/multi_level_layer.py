"""What the reports and the converter need to know of a layer with multi-level weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.layout.layer_kinds import KERNEL_LAYERS, KernelLayer
from tfmot_mltq.mathematics.decomposition import (
    NO_STATE,
    KernelState,
    as_matrix,
    check_finite,
    decompose,
)


@dataclasses.dataclass(frozen=True)
class MultiLevelLayer:
    """A layer with multi-level weights, whatever framework it comes from.

    Attributes:
      name: Layer name.
      layer_class: Keras class of the plain layer, a key of ``KERNEL_LAYERS``.
      spec: How the kernel is decomposed.
      kernel: Trained float32 kernel, with Keras' axes.
      bias: Shape (output channels,); None for a layer without.
      state: Mask, and trained scales and thresholds, as far as the layer has them.
    """

    name: str
    layer_class: str
    spec: MultiLevelConfig
    kernel: np.ndarray
    bias: np.ndarray | None
    state: KernelState = NO_STATE

    @property
    def kernel_layer(self) -> KernelLayer:
        """What its layer kind has: the operator that runs it, and the axes of its kernel."""
        return KERNEL_LAYERS[self.layer_class]

    def decompose(self) -> tuple[np.ndarray, np.ndarray]:
        """Planes, int8 of shape (levels, entries per channel, output channels), and scales,
        float32 of shape (levels, output channels).

        Computed with NumPy, so that a model gives the same integers on every backend.

        Raises:
          ValueError: The weights are NaN or infinite.
        """
        check_finite(self.kernel, f"{self.name}/kernel")
        matrix = as_matrix(self.kernel, self.kernel_layer.channel_axes)
        planes, scales = decompose(matrix, self.spec, np, self.state)
        return planes.astype(np.int8), scales

    def rows(self) -> np.ndarray:
        """Planes as the operators store them: int8, (levels, output channels, entries)."""
        return self.decompose()[0].swapaxes(1, 2)


@dataclasses.dataclass(frozen=True)
class BatchNorm:
    """Inference-time batch normalisation as y -> gain * y + offset; both of shape (channels,)."""

    gain: np.ndarray
    offset: np.ndarray


def batch_norm_affine(weights: Mapping[str, np.ndarray], epsilon: float) -> BatchNorm:
    """The affine form of a BatchNormalization layer, in float64.

    Args:
      weights: moving_mean, moving_variance, and gamma and beta where the layer has them.
      epsilon: Of the layer.
    """
    values = {name: value.astype(np.float64) for name, value in weights.items()}
    gain = 1.0 / np.sqrt(values["moving_variance"] + epsilon)
    if "gamma" in values:
        gain = gain * values["gamma"]
    return BatchNorm(gain, values.get("beta", 0.0) - values["moving_mean"] * gain)
