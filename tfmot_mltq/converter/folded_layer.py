"""Quantized layers as their operators compute them: batch normalisation folded into the planes."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmot_mltq.helpers.framework_types import Layer, Model
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.multi_level_layer import BatchNorm, MultiLevelLayer
from tfmot_mltq.mathematics.activation_levels import ActivationLevels
from tfmot_mltq.packing.format import OperatorKind


@dataclasses.dataclass(frozen=True)
class FoldedLayer:
    """One call of a layer with levels, with batch normalisation folded in.

    Attributes:
      name: Layer name, for messages.
      kind: Operator that runs it.
      planes: int8, shape (levels, output_channels, row_size); entries in the order (filter height,
        filter width, input channels), or (filter height, filter width) for a depthwise layer.
      scales: float64, shape (levels, output_channels), not negative.
      biases: float64, shape (output_channels,).
      activation_levels: Levels of the input; None leaves it int8.
    """

    name: str
    kind: OperatorKind
    planes: np.ndarray
    scales: np.ndarray
    biases: np.ndarray
    activation_levels: ActivationLevels | None = None

    def weights(self) -> np.ndarray:
        """The real weights, shape (output_channels, row_size)."""
        return np.einsum("mc,mcn->cn", self.scales, self.planes.astype(np.float64))


def folded_layers(model: Model, adapter: Adapter) -> list[FoldedLayer]:
    """Every call of a layer with multi-level weights, in graph order."""
    consumers = adapter.graphs.consumers(model)
    folded = []
    producers: dict[int, Layer] = {}
    for node in adapter.graphs.nodes_in_order(model):
        producers.update({id(tensor): node.layer for tensor in node.outputs})
        layer = adapter.multi_level_layer(node.layer)
        if layer is None:
            continue
        reader = consumers.only_reader(node)
        norm = None
        if reader is not None:
            norm = adapter.fused_batch_norm(node.layer, reader.layer)
        activation_levels = adapter.activation_levels(producers[id(node.inputs[0])])
        folded.append(
            dataclasses.replace(fold_batch_norm(layer, norm), activation_levels=activation_levels)
        )
    return folded


def fold_batch_norm(layer: MultiLevelLayer, norm: BatchNorm | None) -> FoldedLayer:
    """Folds batch normalisation, y -> gain * y + offset, into a layer.

    The planes do not depend on the gain: it scales alpha, and a negative one mirrors the planes of
    its channel. A plane whose scale is 0 adds nothing, so its bits are dropped.
    """
    planes, scales = layer.decompose()
    channels = planes.shape[2]
    gain = np.ones(channels) if norm is None else norm.gain
    offset = np.zeros(channels) if norm is None else norm.offset
    bias = np.zeros(channels) if layer.bias is None else layer.bias.astype(np.float64)
    folded = np.abs(gain) * scales.astype(np.float64)
    signs = np.where(folded > 0, np.where(gain < 0, -1, 1), 0)
    return FoldedLayer(
        name=layer.name,
        kind=layer.kernel_layer.operator,
        planes=(planes * signs[:, None, :]).astype(np.int8).swapaxes(1, 2),
        scales=folded,
        biases=gain * bias + offset,
    )
