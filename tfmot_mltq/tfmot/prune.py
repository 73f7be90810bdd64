"""Pruning tf_keras models."""

from __future__ import annotations

from collections.abc import Mapping

from tfmot_mltq.helpers.framework_types import Layer, Model
from tfmot_mltq.layout.clone_layer import clone_layer
from tfmot_mltq.pruning.pruning_spec import PruningSpec
from tfmot_mltq.tfmot.custom_objects import quantize_scope
from tfmot_mltq.tfmot.model_graph import GRAPHS
from tfmot_mltq.tfmot.pruning_wrapper import PruneLowMagnitude
from tfmot_mltq.tfmot.quantize_wrapper import MltqQuantizeWrapper
from tfmot_mltq.tfmot.saved_wrapper import local_name


def prune(model: Model, prunings: Mapping[str, PruningSpec]) -> Model:
    """A copy of a model without nested models, with layers that are pruned.

    Args:
      model: Float or quantized model.
      prunings: How to prune which layers, by name.
    """
    copies: list[tuple[Layer, Layer]] = []

    def replace(layer: Layer) -> list[Layer]:
        copies.append((layer, _copy(layer, prunings.get(layer.name))))
        return [copies[-1][1]]

    with quantize_scope():
        pruned = GRAPHS.rebuild(model, replace)
    for layer, copy in copies:
        values = {local_name(weight): weight for weight in layer.weights}
        for weight in copy.weights:
            name = local_name(weight)
            if name in values and name != "pruning_step":
                weight.assign(values[name].numpy())
    return pruned


def _copy(layer: Layer, pruning: PruningSpec | None) -> Layer:
    if pruning is None:
        return clone_layer(layer)
    if isinstance(layer, MltqQuantizeWrapper):
        config = layer.quantize_config
        changed = config.from_config({**config.get_config(), "pruning": pruning.get_config()})
        return MltqQuantizeWrapper(clone_layer(layer.layer), changed, name_prefix="quant_")
    inner = layer.layer if isinstance(layer, PruneLowMagnitude) else layer
    return PruneLowMagnitude(clone_layer(inner), pruning)
