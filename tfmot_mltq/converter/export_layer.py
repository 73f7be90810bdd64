"""What the converter needs to know of a quantized layer, whatever framework it comes from."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmot_mltq.packing.format import Kind


@dataclasses.dataclass(frozen=True)
class ExportLayer:
    """One call of a quantized layer, with batch normalisation folded in.

    Attributes:
      name: Layer name, for messages.
      kind: Operator that runs it.
      planes: int8, shape (levels, output_channels, row_size); entries in the order (filter height,
        filter width, input channels), or (filter height, filter width) for a depthwise layer.
      scales: float64, shape (levels, output_channels), not negative.
      biases: float64, shape (output_channels,).
    """

    name: str
    kind: Kind
    planes: np.ndarray
    scales: np.ndarray
    biases: np.ndarray

    def weights(self) -> np.ndarray:
        """The real weights, shape (output_channels, row_size)."""
        return np.einsum("mc,mcn->cn", self.scales, self.planes.astype(np.float64))


def export_layer(
    name: str,
    kind: Kind,
    planes: np.ndarray,
    scales: np.ndarray,
    biases: np.ndarray,
    gain: np.ndarray | None = None,
    offset: np.ndarray | None = None,
) -> ExportLayer:
    """Builds an ``ExportLayer`` from Keras' layout, folding y -> gain * y + offset.

    The planes do not depend on the gain: it scales alpha, and a negative one mirrors the planes of
    its channel. A plane whose scale is 0 adds nothing, so its bits are dropped.

    Args:
      name: Layer name.
      kind: Operator.
      planes: Shape (levels, row_size, output_channels).
      scales: Shape (levels, output_channels).
      biases: Shape (output_channels,).
      gain: Shape (output_channels,); 1 by default.
      offset: Shape (output_channels,); 0 by default.
    """
    channels = planes.shape[2]
    gain = np.ones(channels) if gain is None else np.asarray(gain, np.float64)
    offset = np.zeros(channels) if offset is None else np.asarray(offset, np.float64)
    folded = np.abs(gain) * scales.astype(np.float64)
    signs = np.where(folded > 0, np.where(gain < 0, -1, 1), 0)
    return ExportLayer(
        name=name,
        kind=kind,
        planes=(planes * signs[:, None, :]).astype(np.int8).swapaxes(1, 2),
        scales=folded,
        biases=gain * np.asarray(biases, np.float64) + offset,
    )
