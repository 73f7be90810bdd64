"""Quantizing tf_keras models by TFMOT."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow_model_optimization as tfmot
import tf_keras

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Layer, Model
from tfmot_mltq.layout.clone_layer import clone_layer, copy_weights
from tfmot_mltq.layout.layer_kinds import kind_of
from tfmot_mltq.tfmot.custom_objects import quantize_scope
from tfmot_mltq.tfmot.kept_lambda import kept
from tfmot_mltq.tfmot.model_graph import GRAPHS, layers_tfmot_cannot_wrap
from tfmot_mltq.tfmot.quantize_registry import MULTI_LEVEL_CONFIGS
from tfmot_mltq.tfmot.quantize_scheme import MultiLevelQuantizeScheme
from tfmot_mltq.tfmot.quantized_layers import is_annotated, multi_level_layer


def annotate(layer: Layer, spec: MultiLevelConfig) -> Layer:
    """A layer marked for ``quantize_apply``."""
    config = MULTI_LEVEL_CONFIGS[kind_of(layer)](spec)
    return tfmot.quantization.keras.quantize_annotate_layer(layer, config)


def quantize(flat: Model, configs: Mapping[str, MultiLevelConfig]) -> Model:
    """The quantized form of a model without nested models.

    Args:
      flat: Model; annotated layers take the levels of their annotation.
      configs: Of the layers that get levels, by name; all others stay int8.

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
        if is_annotated(layer) or layer.name in unwrappable:
            return [copy]
        return [tfmot.quantization.keras.quantize_annotate_layer(copy)]

    with quantize_scope(), GRAPHS.own_objects(flat):
        model = GRAPHS.rebuild(flat, annotated)
        model.set_weights(flat.get_weights())
        scheme = MultiLevelQuantizeScheme(None, per_layer=configs)
        quantized = tfmot.quantization.keras.quantize_apply(model, scheme)
        # TFMOT leaves its layers connected to the model of an intermediate step as well, which
        # makes `layer.output` ambiguous; in a copy they belong to one model.
        copies: list[tuple[Layer, Layer]] = []

        def clone(layer: Layer) -> list[Layer]:
            copies.append((layer, clone_layer(layer)))
            return [copies[-1][1]]

        result = GRAPHS.rebuild(quantized, clone)
        copy_weights(copies)
    for layer in result.layers:
        if multi_level_layer(layer) is not None:
            layer.quantize_config.weight_quantizer.start_training_state(
                layer.float_kernel.numpy(), layer.kernel_variables
            )
    return result
