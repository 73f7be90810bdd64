"""Quantizing a float model that is pruned, with its zeros."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfmot_mltq.helpers.framework_types import Model
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.pruning.pruned_layer import PrunedLayer


def pruned_by_inner_name(model: Model, adapter: Adapter) -> dict[str, PrunedLayer]:
    """The pruned layers of a model, by the names that their layers have in a plain model."""
    inner = {layer.name: adapter.inner_layer(layer).name for layer in model.layers}
    return {inner[layer.name]: layer for layer in adapter.pruned_layers(model)}


def keep_pruned_zeros(
    pruned: Mapping[str, PrunedLayer], quantized: Model, adapter: Adapter
) -> Model:
    """A quantized model whose words stay zero where those of a pruned float model were.

    Thresholds go on to choose among the bits of the other words, and the schedule goes on where it
    was.

    Args:
      pruned: Layers of the float model, from ``pruned_by_inner_name``.
      quantized: The quantized form of the model, with the zeros in its kernels.
      adapter: Of its framework.
    """
    names = {layer.name: adapter.inner_layer(layer).name for layer in quantized.layers}
    result = adapter.prune(
        quantized,
        {name: pruned[inner].pruning for name, inner in names.items() if inner in pruned},
    )
    for layer in adapter.pruned_layers(result):
        source = pruned[names[layer.name]]
        layer.mask.assign(np.broadcast_to(source.mask.numpy(), layer.mask.shape))
        layer.set_step(int(source.pruning_step.numpy()))
    return result
