"""Quantizing tf_keras models by TFMOT."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras.quantize_annotate import (
    QuantizeAnnotate,
)

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Layer, Model
from tfmot_mltq.layout.clone_layer import clone_layer
from tfmot_mltq.layout.graph import ModelGraphs
from tfmot_mltq.tfmot.custom_objects import quantize_scope
from tfmot_mltq.tfmot.kept_lambda import kept
from tfmot_mltq.tfmot.model_graph import layers_tfmot_cannot_wrap
from tfmot_mltq.tfmot.quantize_configs import has_levels
from tfmot_mltq.tfmot.quantize_scheme import MultiLevelQuantizeScheme


def quantize(flat: Model, configs: Mapping[str, MultiLevelConfig], graphs: ModelGraphs) -> Model:
    """The quantized form of a model without nested models.

    Args:
      flat: Model; annotated layers take the levels of their annotation.
      configs: Of the layers that get levels, by name; all others stay int8.
      graphs: Of tf_keras.

    Raises:
      UnsupportedModelError: The model computes in mixed precision.
    """
    for layer in flat.layers:
        if layer.compute_dtype in ("float16", "bfloat16"):
            raise UnsupportedModelError(
                f"Layer '{layer.name}' computes in {layer.compute_dtype}, which TensorFlow Model "
                "Optimization cannot quantize. Use a Keras 3 model for mixed precision, or the "
                "policy 'float32'."
            )
    unwrappable = layers_tfmot_cannot_wrap(flat)

    def annotated(layer: Layer) -> list[Layer]:
        if isinstance(layer, tf_keras.layers.Lambda):
            return [kept(layer)]
        copy = clone_layer(layer)
        if isinstance(layer, QuantizeAnnotate) or layer.name in unwrappable:
            return [copy]
        return [tfmot.quantization.keras.quantize_annotate_layer(copy)]

    with quantize_scope(), graphs.own_objects(flat):
        model = graphs.rebuild(flat, annotated)
        model.set_weights(flat.get_weights())
        scheme = MultiLevelQuantizeScheme(None, per_layer=configs)
        quantized = tfmot.quantization.keras.quantize_apply(model, scheme)
        # TFMOT leaves its layers connected to the model of an intermediate step as well, which
        # makes `layer.output` ambiguous; in a copy they belong to one model.
        result = graphs.copy(quantized)
    for layer in result.layers:
        if has_levels(layer):
            layer.quantize_config.weight_quantizer.start_training_state(
                layer.float_kernel.numpy(), layer.kernel_variables
            )
    return result
