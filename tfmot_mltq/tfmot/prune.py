"""Pruning tf_keras models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tfmot_mltq.helpers.framework_types import Layer, Model
from tfmot_mltq.layout.clone_layer import clone_layer
from tfmot_mltq.layout.graph import ModelGraphs
from tfmot_mltq.pruning.pruning_spec import PruningSpec
from tfmot_mltq.tfmot.custom_objects import quantize_scope
from tfmot_mltq.tfmot.pruning_wrapper import PruneLowMagnitude
from tfmot_mltq.tfmot.quantize_wrapper import MltqQuantizeWrapper
from tfmot_mltq.tfmot.saved_wrapper import local_name


def prune(model: Model, prunings: Mapping[str, PruningSpec], graphs: ModelGraphs) -> Model:
    """A copy of a model without nested models, with layers that are pruned.

    Args:
      model: Float or quantized model.
      prunings: How to prune which layers, by name.
      graphs: Of tf_keras.
    """
    with quantize_scope():
        return graphs.copy(
            model, lambda layer: _copy(layer, prunings.get(layer.name)), _copy_weights
        )


def _copy_weights(copies: Iterable[tuple[Layer, Layer]]) -> None:
    """Copies the weights of layers to their copies by name; steps of pruning are counted anew."""
    for layer, copy in copies:
        values = {local_name(weight): weight for weight in layer.weights}
        for weight in copy.weights:
            name = local_name(weight)
            if name in values and name != "pruning_step":
                weight.assign(values[name].numpy())


def _copy(layer: Layer, pruning: PruningSpec | None) -> Layer:
    if pruning is None:
        return clone_layer(layer)
    if isinstance(layer, MltqQuantizeWrapper):
        config = layer.quantize_config
        changed = config.from_config({**config.get_config(), "pruning": pruning.get_config()})
        return MltqQuantizeWrapper(clone_layer(layer.layer), changed, name_prefix="quant_")
    inner = layer.layer if isinstance(layer, PruneLowMagnitude) else layer
    return PruneLowMagnitude(clone_layer(inner), pruning)
