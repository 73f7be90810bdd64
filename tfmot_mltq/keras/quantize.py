"""Quantizing Keras 3 models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Layer, Model, Tensor
from tfmot_mltq.keras.int8_lstm import Int8LSTM
from tfmot_mltq.keras.model_graph import GRAPHS
from tfmot_mltq.keras.quantize_activation import QuantizeActivation, QuantizeFixedRange
from tfmot_mltq.keras.quantize_annotate import QuantizeAnnotate
from tfmot_mltq.keras.quantized_layers import is_annotated
from tfmot_mltq.keras.ternarize_activation import TernarizeActivation
from tfmot_mltq.keras.weight_layers import (
    INT8_CLASSES,
    MULTI_LEVEL_CLASSES,
    copy_all_weights,
)
from tfmot_mltq.layout.clone_layer import clone_layer
from tfmot_mltq.layout.layer_kinds import check_activation_levels, kind_of
from tfmot_mltq.layout.range_groups import RangeQuantizers, plan_ranges
from tfmot_mltq.layout.recurrent import is_fused_lstm
from tfmot_mltq.layout.tflite_layers import split_weights, tflite_layers

_BACKENDS = ("tensorflow", "jax", "torch")


def annotate(layer: Layer, spec: MultiLevelConfig) -> Layer:
    """A layer marked for ``quantize_apply``."""
    return QuantizeAnnotate(layer, spec)


def quantize(flat: Model, configs: Mapping[str, MultiLevelConfig]) -> Model:
    """The quantized form of a model without nested models.

    Args:
      flat: Model; annotated layers take the levels of their annotation.
      configs: Of the layers that get levels, by name; all others stay int8.

    Raises:
      UnsupportedModelError: Keras runs on a backend that cannot train.
    """
    if keras.backend.backend() not in _BACKENDS:
        raise UnsupportedModelError(
            f"Keras runs on the backend '{keras.backend.backend()}', which cannot train. Set the "
            f"environment variable KERAS_BACKEND to one of {', '.join(_BACKENDS)} before keras is "
            "imported."
        )
    specs: dict[str, MultiLevelConfig | None] = {}
    copies: list[tuple[Layer, list[Layer]]] = []

    def replace(layer: Layer) -> list[Layer]:
        chosen = configs.get(layer.name)
        if is_annotated(layer):
            chosen, layer = layer.decomposition, layer.layer
        parts, activation = tflite_layers(layer, keras)
        specs.update({part.name: chosen for part in parts})
        copies.append((layer, parts))
        return [*parts, *activation]

    simplified = GRAPHS.rebuild(flat, replace)
    for layer, parts in copies:
        split_weights(layer, parts)
    return _place_quantizers(simplified, specs)


def _place_quantizers(model: Model, specs: dict[str, MultiLevelConfig | None]) -> Model:
    """A copy of the model with quantized kernels, and a range wherever TFLite stores a tensor."""
    nodes = GRAPHS.nodes_in_order(model)
    plan = plan_ranges(nodes, GRAPHS.layers_that_defer(model), model.outputs, _is_float)
    quantizers = RangeQuantizers(plan, QuantizeActivation, QuantizeFixedRange)
    copies: list[tuple[Layer, Layer]] = []

    def place(layer: Layer) -> list[Layer]:
        spec = specs.get(layer.name)
        copy = _with_quantized_kernel(layer, spec)
        copies.append((layer, copy))
        before = []
        if spec is not None and spec.activations.levels:
            check_activation_levels(layer, spec)
            name = f"ternarize_{layer.name}"
            before = [
                TernarizeActivation(
                    spec.activations.levels, spec.kind, spec.activations.sparsity_penalty, name=name
                )
            ]
        return [*before, copy, *quantizers.behind(layer.name)]

    placed = GRAPHS.rebuild(model, place, on_input=quantizers.on_input)
    copy_all_weights(copies)
    return placed


def _is_float(tensor: Tensor) -> bool:
    return keras.backend.is_float_dtype(tensor.dtype)


def _with_quantized_kernel(layer: Layer, spec: MultiLevelConfig | None) -> Layer:
    if is_fused_lstm(layer):
        return Int8LSTM.from_config(layer.get_config())
    kind = kind_of(layer)
    if spec is not None:
        config = {**layer.get_config(), "decomposition": dataclasses.asdict(spec)}
        return MULTI_LEVEL_CLASSES[kind].from_config(config)
    if kind in INT8_CLASSES and not getattr(layer, "quantization_mode", None):
        return INT8_CLASSES[kind].from_config(layer.get_config())
    return clone_layer(layer)
