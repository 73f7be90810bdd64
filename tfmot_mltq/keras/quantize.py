"""Quantizing Keras 3 models."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import keras

from tfmot_mltq.decomposition import Decomposition
from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.keras.model_graph import GRAPHS
from tfmot_mltq.keras.quantize_activation import QuantizeActivation
from tfmot_mltq.keras.quantize_annotate import QuantizeAnnotate
from tfmot_mltq.keras.quantized_layers import is_annotated
from tfmot_mltq.keras.ternarize_activation import TernarizeActivation
from tfmot_mltq.keras.weight_layers import (
    INT8_CLASSES,
    MULTI_LEVEL_CLASSES,
    copy_all_weights,
)
from tfmot_mltq.layout.graph import clone_layer
from tfmot_mltq.layout.layer_kinds import (
    check_activation_levels,
    keeps_quantization,
    kind_of,
    unsupported_reason,
)
from tfmot_mltq.layout.names import scope_name
from tfmot_mltq.layout.tflite_layers import split_weights, tflite_layers

_BACKENDS = ("tensorflow", "jax", "torch")


def annotate(layer: Any, spec: Decomposition) -> Any:
    """A layer marked for ``quantize_apply``."""
    return QuantizeAnnotate(layer, spec)


def quantize(flat: Any, spec: Decomposition | None, int8_layers: Collection[str]) -> Any:
    """The quantized form of a model without nested models.

    Args:
      flat: Model; annotated layers take the levels of their annotation.
      spec: For all other supported layers; None leaves them int8.
      int8_layers: Names of supported layers that stay int8.

    Raises:
      UnsupportedModelError: Keras runs on a backend that cannot train.
    """
    if keras.backend.backend() not in _BACKENDS:
        raise UnsupportedModelError(
            f"Keras runs on the backend '{keras.backend.backend()}', which cannot train. Set the "
            f"environment variable KERAS_BACKEND to one of {', '.join(_BACKENDS)} before keras is "
            "imported."
        )
    specs: dict[str, Decomposition | None] = {}
    copies: list[tuple[Any, list[Any]]] = []
    shapes = _input_shapes(flat)

    def replace(layer: Any) -> list[Any]:
        shape = shapes.get(id(layer))
        chosen = None
        if is_annotated(layer):
            chosen, layer = layer.decomposition, layer.layer
        elif layer.name not in int8_layers and unsupported_reason(layer) is None:
            chosen = spec
        parts, activation = tflite_layers(layer, shape, keras)
        specs.update({part.name: chosen for part in parts})
        copies.append((layer, parts))
        return [*parts, *activation]

    simplified = GRAPHS.rebuild(flat, replace)
    for layer, parts in copies:
        split_weights(layer, parts)
    return _place_quantizers(simplified, specs)


def _input_shapes(model: Any) -> dict[int, tuple[int | None, ...]]:
    """Input shape, by id, of the layers that are called once on one tensor."""
    shapes: dict[int, list[Any]] = {}
    for node in GRAPHS.nodes_in_order(model):
        shapes.setdefault(id(node.layer), []).extend(tensor.shape for tensor in node.inputs)
    return {key: found[0] for key, found in shapes.items() if len(found) == 1}


def _place_quantizers(model: Any, specs: dict[str, Decomposition | None]) -> Any:
    """A copy of the model with quantized kernels, and a range wherever TFLite stores a tensor."""
    deferred = GRAPHS.layers_that_defer(model)
    stores_int8 = {
        node.layer.name: len(node.outputs) == 1 and _is_float(node.outputs[0])
        for node in GRAPHS.nodes_in_order(model)
    }
    copies: list[tuple[Any, Any]] = []

    def place(layer: Any) -> list[Any]:
        spec = specs.get(layer.name)
        copy = _with_quantized_kernel(layer, spec)
        copies.append((layer, copy))
        before = []
        if spec is not None and spec.activation_levels:
            check_activation_levels(layer, spec)
            name = f"ternarize_{layer.name}"
            before = [
                TernarizeActivation(
                    spec.activation_levels, spec.kind, spec.activity_regularization, name=name
                )
            ]
        # Several outputs are parts of the input, as of ops.split, and keep its quantization.
        if layer.name in deferred or keeps_quantization(layer) or not stores_int8[layer.name]:
            return [*before, copy]
        return [*before, copy, QuantizeActivation(name=f"quantize_{layer.name}")]

    placed = GRAPHS.rebuild(model, place, on_input=_quantize_input)
    copy_all_weights(copies)
    return placed


def _is_float(tensor: Any) -> bool:
    return keras.backend.is_float_dtype(tensor.dtype)


def _quantize_input(tensor: Any, name: str) -> Any:
    return (
        QuantizeActivation(name=scope_name(f"quantize_{name}"))(tensor)
        if _is_float(tensor)
        else tensor
    )


def _with_quantized_kernel(layer: Any, spec: Decomposition | None) -> Any:
    kind = kind_of(layer)
    if spec is not None:
        config = {**layer.get_config(), "decomposition": dataclasses.asdict(spec)}
        return MULTI_LEVEL_CLASSES[kind].from_config(config)
    if kind in INT8_CLASSES and not getattr(layer, "quantization_mode", None):
        return INT8_CLASSES[kind].from_config(layer.get_config())
    return clone_layer(layer)
