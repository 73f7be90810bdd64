"""Reading the layers of a quantized tf_keras model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_annotate as tfmot_quantize_annotate,
)

from tfmot_mltq.layout.graph import clone_layer, copy_weights
from tfmot_mltq.layout.layer_kinds import kind_of
from tfmot_mltq.layout.multi_level_layer import BatchNorm, MultiLevelLayer, batch_norm_affine
from tfmot_mltq.tfmot.model_graph import GRAPHS
from tfmot_mltq.tfmot.quantize_configs import MultiLevelQuantizeConfig, WeightsQuantizeConfig
from tfmot_mltq.tfmot.quantize_layer import QuantizeActivation
from tfmot_mltq.tfmot.quantize_wrapper import MltqQuantizeWrapper, local_name


def is_annotated(layer: Any) -> bool:
    """Whether ``quantize_annotate_layer`` made the layer."""
    return isinstance(layer, tfmot_quantize_annotate.QuantizeAnnotate)


def is_quantized(layer: Any) -> bool:
    """Whether the layer is part of a quantized model."""
    return isinstance(layer, (MltqQuantizeWrapper, QuantizeActivation))


def inner_layer(layer: Any) -> Any:
    """The layer inside a wrapper; any other layer as it is."""
    return layer.layer if isinstance(layer, MltqQuantizeWrapper) else layer


def multi_level_layer(layer: Any) -> MultiLevelLayer | None:
    """What is known of a layer with multi-level weights; None for any other layer."""
    if not isinstance(layer, MltqQuantizeWrapper):
        return None
    config = layer.quantize_config
    if not isinstance(config, MultiLevelQuantizeConfig):
        return None
    bias = layer.named_weights().get("bias")
    return MultiLevelLayer(
        name=layer.name,
        layer_class=config.layer_class,
        spec=config.decomposition,
        kernel=layer.float_kernel.numpy(),
        bias=None if bias is None else bias.numpy(),
    )


def fused_batch_norm(layer: Any, reader: Any) -> BatchNorm | None:
    """The batch normalisation that TFLite folds into a layer, if its reader is one."""
    inner = getattr(reader, "layer", None)
    # The output is only left unquantized where TFLite fuses the reader.
    if kind_of(inner) != "BatchNormalization" or layer.quantize_config.quantize_output:
        return None
    weights = {name: weight.numpy() for name, weight in reader.named_weights().items()}
    return batch_norm_affine(weights, inner.epsilon)


def plain_layer(layer: Any) -> Any | None:
    """An unbuilt layer of the plain model for a layer of a quantized one; None if it goes."""
    if isinstance(layer, QuantizeActivation):
        return None
    return clone_layer(inner_layer(layer))


def bake_weights(layer: Any, plain: Any) -> None:
    """Copies the weights of a quantized layer to its plain form, kernels quantized."""
    if not isinstance(layer, MltqQuantizeWrapper):
        copy_weights([(layer, plain)])
        return
    values = {name: weight.numpy() for name, weight in layer.named_weights().items()}
    config = layer.quantize_config
    if isinstance(config, WeightsQuantizeConfig):
        values[local_name(layer.float_kernel)] = config.weight_quantizer.baked(
            layer.float_kernel.numpy()
        )
    plain.set_weights([values[local_name(weight)] for weight in plain.weights])


def range_flags(model: Any) -> Iterator[Any]:
    """The weights that tell which activation ranges are set."""
    for layer in model.layers:
        if is_quantized(layer):
            for weight in layer.non_trainable_weights:
                if weight.name.partition(":")[0].endswith("_initialized"):
                    yield weight


def inference(model: Any) -> Callable[[list[np.ndarray]], list[tf.Tensor]]:
    """The model as a function of a list of arrays, in the simulation mode of the caller."""
    run = tf.function(lambda *inputs: GRAPHS.flat_call(model, inputs))

    def call(arrays: list[np.ndarray]) -> list[tf.Tensor]:
        return run(
            *[
                tf.cast(tf.constant(array), tensor.dtype)
                for array, tensor in zip(arrays, model.inputs, strict=True)
            ]
        )

    return call


def tf_variables(model: Any) -> list[tf.Variable]:
    """What a traced call of the model needs to be kept alive."""
    return model.variables


def check_convertible(model: Any) -> None:
    """Every tf_keras model runs on TensorFlow, which ``convert`` needs."""
