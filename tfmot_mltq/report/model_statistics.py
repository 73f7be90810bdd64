"""Statistics of the multi-level layers of a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfmot_mltq.frameworks import adapter_of
from tfmot_mltq.layout.multi_level_layer import MultiLevelLayer
from tfmot_mltq.quantize import check_quantized
from tfmot_mltq.report.layer_statistics import LayerStatistics, layer_statistics


def model_statistics(model: Any) -> list[LayerStatistics]:
    """One entry per multi-level layer, in graph order; the calls of a shared layer add up.

    Raises:
      UnsupportedModelError: The model is not quantized.
    """
    check_quantized(model)
    adapter = adapter_of(model)
    positions: dict[str, int] = {}
    layers: dict[str, MultiLevelLayer] = {}
    for node in adapter.GRAPHS.nodes_in_order(model):
        layer = adapter.multi_level_layer(node.layer)
        if layer is None:
            continue
        layers[layer.name] = layer
        # Output positions of a call: all axes between batch and channels. Free sizes count as 1.
        shape = node.outputs[0].shape[1:-1]
        used = int(np.prod([size or 1 for size in shape], dtype=np.int64))
        positions[layer.name] = positions.get(layer.name, 0) + used
    return [
        layer_statistics(name, layer.layer_class, layer.spec.kind, layer.rows(), positions[name])
        for name, layer in layers.items()
    ]
