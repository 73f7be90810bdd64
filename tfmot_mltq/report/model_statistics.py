"""Statistics of the multi-level layers of a model."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfmot_mltq.helpers.framework_types import Dataset, Model
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.graph import first_and_last
from tfmot_mltq.layout.layer_kinds import is_a, kind_of, unsupported_reason
from tfmot_mltq.layout.multi_level_layer import MultiLevelLayer
from tfmot_mltq.layout.output_positions import output_positions
from tfmot_mltq.report.layer_statistics import LayerStatistics, layer_statistics
from tfmot_mltq.report.zero_activations import used_activations


def multi_level_layers(model: Model, adapter: Adapter) -> dict[str, MultiLevelLayer]:
    """The multi-level layers of a quantized model by name, in graph order."""
    nodes = adapter.graphs.nodes_in_order(model)
    found = [adapter.multi_level_layer(node.layer) for node in nodes]
    return {layer.name: layer for layer in found if layer is not None}


def model_statistics(
    model: Model, adapter: Adapter, layers: dict[str, MultiLevelLayer], dataset: Dataset = None
) -> list[LayerStatistics]:
    """One entry per multi-level layer, in graph order; the calls of a shared layer add up.

    Args:
      model: Quantized model.
      adapter: Of its framework.
      layers: Its multi-level layers by name.
      dataset: Samples for the two-sided figures, in a form that ``convert`` takes; None without.

    Raises:
      ValueError: The dataset does not fit the model.
      TypeError: The dataset has none of the forms.
    """
    positions = output_positions(adapter.graphs, model)
    used = {} if dataset is None else used_activations(model, adapter, dataset, layers)
    return [
        layer_statistics(
            name,
            layer.layer_class,
            layer.spec.kind,
            layer.kernel_layer.operator,
            layer.rows(),
            positions[name],
            used.get(name),
            layer.spec.activations.levels,
        )
        for name, layer in layers.items()
    ]


@dataclasses.dataclass(frozen=True)
class Int8Layer:
    """A layer with trained weights that stays int8.

    Attributes:
      name: Layer name.
      layer_class: Keras class of the layer.
      weights: Entries of its weights.
      reason: Why it has no multi-level weights.
    """

    name: str
    layer_class: str
    weights: int
    reason: str


def int8_layers(model: Model, adapter: Adapter) -> list[Int8Layer]:
    """The layers with weights that have no levels, in graph order, without batch normalisation."""
    nodes = adapter.graphs.nodes_in_order(model)
    layers = {node.layer.name: node.layer for node in nodes}
    reasons = {
        name: unsupported_reason(adapter.inner_layer(layer)) for name, layer in layers.items()
    }
    first, last = first_and_last(
        nodes, {name for name, reason in reasons.items() if reason is None}
    )
    found = []
    for name, layer in layers.items():
        if adapter.multi_level_layer(layer) is not None:
            continue
        inner = adapter.inner_layer(layer)
        weights = sum(int(np.prod(w.shape)) for w in getattr(layer, "trainable_weights", ()))
        if not weights or is_a(inner, ("BatchNormalization",)):
            continue
        reason = reasons[name] or "it is not annotated"
        if name in first:
            reason = "a first layer (include_first_layer, or annotate it)"
        elif name in last:
            reason = "a last layer (include_last_layer, or annotate it)"
        found.append(Int8Layer(name, kind_of(inner) or type(inner).__name__, weights, reason))
    return found
