"""Statistics of the multi-level layers of a tf_keras model."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfmot_mltq.report.layer_statistics import LayerStatistics, layer_statistics
from tfmot_mltq.tfmot.model_graph import nodes_in_order
from tfmot_mltq.tfmot.quantize import check_quantized, multi_level_config, ternary_weights


def model_statistics(model: Any) -> list[LayerStatistics]:
    """One entry per multi-level layer, in graph order; the calls of a shared layer add up.

    Raises:
      UnsupportedModelError: The model is not quantized.
    """
    check_quantized(model)
    positions: dict[str, int] = {}
    wrappers: dict[str, Any] = {}
    for node in nodes_in_order(model):
        if multi_level_config(node.layer) is None:
            continue
        wrappers[node.layer.name] = node.layer
        # Output positions of a call: all axes between batch and channels. Free sizes count as 1.
        shape = tf.nest.flatten(node.outputs)[0].shape[1:-1]
        used = int(np.prod([size or 1 for size in shape], dtype=np.int64))
        positions[node.layer.name] = positions.get(node.layer.name, 0) + used
    statistics = []
    for name, wrapper in wrappers.items():
        planes, scales = ternary_weights(wrapper)
        rows = planes.reshape(planes.shape[0], -1, scales.shape[1]).swapaxes(1, 2)
        layer_class = type(wrapper.layer).__name__
        kind = wrapper.quantize_config.decomposition.kind
        statistics.append(layer_statistics(name, layer_class, kind, rows, positions[name]))
    return statistics
