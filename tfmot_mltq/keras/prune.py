"""Pruning Keras 3 models."""

from __future__ import annotations

from collections.abc import Mapping

from tfmot_mltq.helpers.framework_types import Layer, Model
from tfmot_mltq.keras.weight_layers import PRUNED_CLASSES, SimulatedKernel, copy_all_weights
from tfmot_mltq.layout.clone_layer import clone_layer
from tfmot_mltq.layout.graph import ModelGraphs
from tfmot_mltq.layout.layer_kinds import kind_of
from tfmot_mltq.pruning.pruning_spec import PruningSpec


def prune(model: Model, prunings: Mapping[str, PruningSpec], graphs: ModelGraphs) -> Model:
    """A copy of a model without nested models, with layers that are pruned.

    Args:
      model: Float or quantized model.
      prunings: How to prune which layers, by name.
      graphs: Of Keras 3.
    """
    return graphs.copy(
        model, lambda layer: _copy(layer, prunings.get(layer.name)), copy_all_weights
    )


def _copy(layer: Layer, pruning: PruningSpec | None) -> Layer:
    if pruning is None:
        return clone_layer(layer)
    is_simulated = isinstance(layer, SimulatedKernel)
    cls = type(layer) if is_simulated else PRUNED_CLASSES[kind_of(layer)]
    return cls.from_config({**layer.get_config(), "pruning": pruning.get_config()})
