"""Recurrent layers in conversion: which there are, and what is refused."""

from __future__ import annotations

from tfmot_mltq.errors import ConversionError
from tfmot_mltq.helpers.framework_types import Layer, Model
from tfmot_mltq.layout.adapter import Adapter
from tfmot_mltq.layout.graph import Node
from tfmot_mltq.layout.layer_kinds import kind_of
from tfmot_mltq.layout.recurrent import is_fused_lstm, is_recurrent, refusal


def recurrent_layers(model: Model, adapter: Adapter) -> list[Layer]:
    """The recurrent layers of a quantized model, without their wrappers."""
    return [layer for layer in map(adapter.inner_layer, model.layers) if is_recurrent(layer)]


def check_recurrent(model: Model, adapter: Adapter) -> None:
    """Refuses recurrent layers that have no int8 form.

    Args:
      model: Quantized model.
      adapter: Of its framework.

    Raises:
      ConversionError: Names the layer, the reason and the way out.
    """
    layers = recurrent_layers(model, adapter)
    if not layers:
        return
    calls: dict[int, list[Node]] = {}
    for node in adapter.graphs.nodes_in_order(model):
        calls.setdefault(id(adapter.inner_layer(node.layer)), []).append(node)
    for layer in layers:
        reason = refusal(layer, calls.get(id(layer), []), model.layers)
        if reason is None and not (is_fused_lstm(layer) and adapter.is_quantized(layer)):
            reason = "the model was quantized by an older version: quantize the float model again"
        if reason is not None:
            kind = kind_of(layer) or type(layer).__name__
            raise ConversionError(f"Layer '{layer.name}' ({kind}) cannot be converted: {reason}.")
