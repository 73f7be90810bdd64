"""Quantizing Keras 3 models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Layer, Model
from tfmot_mltq.keras.int8_lstm import Int8LSTM
from tfmot_mltq.keras.quantize_activation import QuantizeActivation, QuantizeFixedRange
from tfmot_mltq.keras.quantize_annotate import QuantizeAnnotate
from tfmot_mltq.keras.ternarize_activation import TernarizeActivation
from tfmot_mltq.keras.weight_layers import (
    INT8_CLASSES,
    MULTI_LEVEL_CLASSES,
    copy_all_weights,
)
from tfmot_mltq.layout.clone_layer import clone_layer
from tfmot_mltq.layout.graph import ModelGraphs
from tfmot_mltq.layout.layer_kinds import kind_of
from tfmot_mltq.layout.range_groups import RangeQuantizers, plan_ranges
from tfmot_mltq.layout.recurrent import is_fused_lstm
from tfmot_mltq.layout.ternarize_activation import ternarize_layers
from tfmot_mltq.layout.tflite_layers import with_tflite_layers

_BACKENDS = ("tensorflow", "jax", "torch")


def quantize(flat: Model, configs: Mapping[str, MultiLevelConfig], graphs: ModelGraphs) -> Model:
    """The quantized form of a model without nested models.

    Args:
      flat: Model; annotated layers take the levels of their annotation.
      configs: Of the layers that get levels, by name; all others stay int8.
      graphs: Of Keras 3.

    Raises:
      UnsupportedModelError: Keras runs on a backend that cannot train.
    """
    if keras.backend.backend() not in _BACKENDS:
        raise UnsupportedModelError(
            f"Keras runs on the backend '{keras.backend.backend()}', which cannot train. Set the "
            f"environment variable KERAS_BACKEND to one of {', '.join(_BACKENDS)} before keras is "
            "imported."
        )
    chosen: dict[str, MultiLevelConfig | None] = {}

    def note(layer: Layer, parts: list[Layer]) -> None:
        annotated = isinstance(layer, QuantizeAnnotate)
        config = layer.decomposition if annotated else configs.get(layer.name)
        chosen.update({part.name: config for part in parts})

    def inner_layer(layer: Layer) -> Layer:
        return layer.layer if isinstance(layer, QuantizeAnnotate) else layer

    replaced = with_tflite_layers(flat, graphs, note, inner_layer)
    return _place_quantizers(replaced, chosen, graphs)


def _place_quantizers(
    model: Model, chosen: dict[str, MultiLevelConfig | None], graphs: ModelGraphs
) -> Model:
    """A copy of the model with quantized kernels, and a range wherever TFLite stores a tensor."""
    plan = plan_ranges(model, graphs)
    quantizers = RangeQuantizers(plan, QuantizeActivation, QuantizeFixedRange)
    copies: list[tuple[Layer, Layer]] = []

    def place(layer: Layer) -> list[Layer]:
        config = chosen.get(layer.name)
        copy = _with_quantized_kernel(layer, config)
        copies.append((layer, copy))
        before = ternarize_layers(layer, config, TernarizeActivation)
        return [*before, copy, *quantizers.behind(layer.name)]

    placed = graphs.rebuild(model, place, on_input=quantizers.on_input)
    copy_all_weights(copies)
    return placed


def _with_quantized_kernel(layer: Layer, chosen: MultiLevelConfig | None) -> Layer:
    if is_fused_lstm(layer):
        return Int8LSTM.from_config(layer.get_config())
    kind = kind_of(layer)
    if chosen is not None:
        config = {**layer.get_config(), "decomposition": dataclasses.asdict(chosen)}
        return MULTI_LEVEL_CLASSES[kind].from_config(config)
    if kind in INT8_CLASSES and not getattr(layer, "quantization_mode", None):
        return INT8_CLASSES[kind].from_config(layer.get_config())
    return clone_layer(layer)
