"""Reading the layers of a quantized tf_keras model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_annotate as tfmot_quantize_annotate,
)

from tfmot_mltq.helpers.framework_types import Layer, Model, Tensor, Variable
from tfmot_mltq.layout.clone_layer import clone_layer, copy_weights
from tfmot_mltq.layout.layer_kinds import KERNEL_LAYERS, kind_of
from tfmot_mltq.layout.multi_level_layer import BatchNorm, MultiLevelLayer, batch_norm_affine
from tfmot_mltq.mathematics.activation_levels import ActivationLevels
from tfmot_mltq.mathematics.int8_simulation import joined_range, scale_and_zero_point
from tfmot_mltq.pruning.pruned_layer import PrunedLayer
from tfmot_mltq.tfmot.int8_lstm import Int8LSTM
from tfmot_mltq.tfmot.model_graph import GRAPHS
from tfmot_mltq.tfmot.pruning_variables import kernel_state
from tfmot_mltq.tfmot.pruning_wrapper import PruneLowMagnitude
from tfmot_mltq.tfmot.quantize_configs import MultiLevelQuantizeConfig, WeightsQuantizeConfig
from tfmot_mltq.tfmot.quantize_layer import (
    QuantizeActivation,
    QuantizeFixedRange,
    TernarizeActivation,
)
from tfmot_mltq.tfmot.quantize_wrapper import MltqQuantizeWrapper
from tfmot_mltq.tfmot.saved_wrapper import SavedWrapper, local_name


def is_annotated(layer: Layer) -> bool:
    """Whether ``quantize_annotate_layer`` made the layer."""
    return isinstance(layer, tfmot_quantize_annotate.QuantizeAnnotate)


def is_quantized(layer: Layer) -> bool:
    """Whether the layer is part of a quantized model."""
    kinds = (MltqQuantizeWrapper, QuantizeActivation, TernarizeActivation, Int8LSTM)
    return isinstance(layer, kinds)


def inner_layer(layer: Layer) -> Layer:
    """The layer inside a wrapper; any other layer as it is."""
    return layer.layer if isinstance(layer, SavedWrapper) else layer


def multi_level_layer(layer: Layer) -> MultiLevelLayer | None:
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
        state=kernel_state(layer.kernel_variables, config.weight_quantizer.channel_axes),
    )


def activation_levels(layer: Layer) -> ActivationLevels | None:
    """The levels that a layer cuts activations into; None if it does something else."""
    return layer.activation_levels() if isinstance(layer, TernarizeActivation) else None


def is_pruned(layer: Layer) -> bool:
    """Whether the layer has a mask."""
    return "mask" in _kernel_variables(layer)


def pruned_layers(model: Model) -> list[PrunedLayer]:
    """The layers of a model that are pruned, float ones and quantized ones."""
    return [_pruned_layer(layer) for layer in model.layers if is_pruned(layer)]


def _pruned_layer(layer: Layer) -> PrunedLayer:
    variables = _kernel_variables(layer)
    axes = KERNEL_LAYERS[kind_of(layer.layer)].channel_axes
    if isinstance(layer, PruneLowMagnitude):
        pruning, spec = layer.pruning, None
    else:
        quantizer = layer.quantize_config.weight_quantizer
        pruning, spec = quantizer.pruning, getattr(quantizer, "spec", None)
    return PrunedLayer(
        name=layer.name,
        pruning=pruning,
        spec=spec,
        channel_axes=axes,
        kernel=layer.float_kernel,
        mask=variables["mask"],
        pruned=variables["pruned"],
        pruning_step=variables["pruning_step"],
        state=functools.partial(kernel_state, variables, axes),
        notice_pruning_step=lambda: None,
    )


def _kernel_variables(layer: Layer) -> dict[str, Variable]:
    """What a layer holds beside its kernel, by name."""
    if isinstance(layer, PruneLowMagnitude):
        return layer.pruning_variables
    if isinstance(layer, MltqQuantizeWrapper) and layer._weight_vars:
        return layer.kernel_variables
    return {}


def fused_batch_norm(layer: Layer, reader: Layer) -> BatchNorm | None:
    """The batch normalisation that TFLite folds into a layer, if its reader is one."""
    inner: Layer = getattr(reader, "layer", None)
    # The output is only left unquantized where TFLite fuses the reader.
    if kind_of(inner) != "BatchNormalization" or layer.quantize_config.quantize_output:
        return None
    weights = {name: weight.numpy() for name, weight in reader.named_weights().items()}
    return batch_norm_affine(weights, inner.epsilon)


def plain_layer(layer: Layer) -> Layer | None:
    """An unbuilt layer of the plain model for a layer of a quantized one; None if it goes."""
    if isinstance(layer, (QuantizeActivation, QuantizeFixedRange, TernarizeActivation)):
        return None
    if isinstance(layer, Int8LSTM):
        return layer.plain()
    return clone_layer(inner_layer(layer))


def bake_weights(layer: Layer, plain: Layer) -> None:
    """Copies the weights of a quantized layer to its plain form, kernels quantized."""
    if isinstance(layer, Int8LSTM):
        plain.set_weights(layer.baked_weights())
        return
    if not isinstance(layer, SavedWrapper):
        copy_weights([(layer, plain)])
        return
    values = {name: weight.numpy() for name, weight in layer.named_weights().items()}
    if isinstance(layer, PruneLowMagnitude):
        values[local_name(layer.float_kernel)] = layer.baked()
    elif isinstance(layer.quantize_config, WeightsQuantizeConfig):
        values[local_name(layer.float_kernel)] = layer.quantize_config.weight_quantizer.baked(
            layer.float_kernel.numpy(), layer.kernel_variables
        )
    plain.set_weights([values[local_name(weight)] for weight in plain.weights])


def range_flags(model: Model) -> Iterator[Variable]:
    """The weights that tell which activation ranges are set."""
    for layer in model.layers:
        if isinstance(layer, Int8LSTM):
            yield layer.initialized
        elif is_quantized(layer):
            for weight in layer.non_trainable_weights:
                if weight.name.partition(":")[0].endswith("_initialized"):
                    yield weight


def inference(model: Model, compiled: bool) -> Callable[[list[np.ndarray]], None]:
    """The model as a function of a list of arrays, in the simulation mode of the caller."""

    def run(*inputs: Tensor) -> None:
        GRAPHS.flat_call(model, inputs)

    if compiled:
        run = tf.function(run)

    def call(arrays: list[np.ndarray]) -> None:
        run(
            *[
                tf.cast(tf.constant(array), tensor.dtype)
                for array, tensor in zip(arrays, model.inputs, strict=True)
            ]
        )

    return call


def check_convertible(model: Model) -> None:
    """Every tf_keras model runs on TensorFlow, which ``convert`` needs."""


def as_inputs(model: Model, arrays: Iterable[np.ndarray]) -> list[Tensor]:
    """Arrays as tensors of the types that a model takes."""
    return [
        tf.cast(tf.constant(array), tensor.dtype)
        for array, tensor in zip(arrays, model.inputs, strict=True)
    ]


def to_numpy(tensor: Tensor) -> np.ndarray:
    """The value of a tensor."""
    return tensor.numpy()


def output_quantization(layer: Layer) -> tuple[float, int] | None:
    """Scale and zero point of what a layer gives; None if it does not quantize its output."""
    if isinstance(layer, QuantizeFixedRange):
        return scale_and_zero_point(*layer.limits)
    if isinstance(layer, Int8LSTM):
        ranges = layer.ranges()
        return scale_and_zero_point(ranges.hidden_min, ranges.hidden_max)
    variables = (
        {
            weight.name.partition(":")[0].rpartition("output_")[2]: weight
            for weight in layer.non_trainable_weights
            if "output_" in weight.name
        }
        if is_quantized(layer)
        else {}
    )
    if {"min", "max", "initialized"} <= set(variables):
        low, high, initialized = (
            np.atleast_1d(variables[part].numpy()) for part in ("min", "max", "initialized")
        )
        return scale_and_zero_point(*joined_range((low, high), initialized, np))
    return None
