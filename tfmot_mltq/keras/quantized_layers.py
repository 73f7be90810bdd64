"""Reading the layers of a quantized Keras 3 model."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from tfmot_mltq.errors import ConversionError
from tfmot_mltq.helpers.framework_types import Layer, Model, Tensor, Variable
from tfmot_mltq.keras.eager_value import eager_value
from tfmot_mltq.keras.int8_lstm import Int8LSTM
from tfmot_mltq.keras.quantize_activation import QuantizeActivation, QuantizeFixedRange
from tfmot_mltq.keras.quantize_annotate import QuantizeAnnotate
from tfmot_mltq.keras.ternarize_activation import TernarizeActivation
from tfmot_mltq.keras.weight_layers import (
    MultiLevelKernel,
    QuantizedKernel,
    SimulatedKernel,
)
from tfmot_mltq.layout.clone_layer import clone_layer, copy_weights
from tfmot_mltq.layout.layer_kinds import kind_of
from tfmot_mltq.layout.multi_level_layer import BatchNorm, MultiLevelLayer, batch_norm_affine
from tfmot_mltq.mathematics.activation_levels import ActivationLevels
from tfmot_mltq.mathematics.int8_simulation import scale_and_zero_point
from tfmot_mltq.pruning.pruned_layer import PrunedLayer


def is_annotated(layer: Layer) -> bool:
    """Whether ``quantize_annotate_layer`` made the layer."""
    return isinstance(layer, QuantizeAnnotate)


def is_pruned(layer: Layer) -> bool:
    """Whether the layer has a mask."""
    return isinstance(layer, SimulatedKernel) and layer.pruning is not None


def is_quantized(layer: Layer) -> bool:
    """Whether the layer is part of a quantized model."""
    return isinstance(layer, (QuantizedKernel, QuantizeActivation, TernarizeActivation, Int8LSTM))


def inner_layer(layer: Layer) -> Layer:
    """The layer itself: Keras 3 layers are not wrapped."""
    return layer


def multi_level_layer(layer: Layer) -> MultiLevelLayer | None:
    """What is known of a layer with multi-level weights; None for any other layer."""
    if not isinstance(layer, MultiLevelKernel):
        return None
    return MultiLevelLayer(
        name=layer.name,
        layer_class=layer.plain_class.__name__,
        spec=layer.decomposition,
        kernel=layer.kernel.numpy().astype(np.float32),
        bias=layer.bias.numpy().astype(np.float32) if layer.use_bias else None,
        state=layer.state(eager_value),
    )


def activation_levels(layer: Layer) -> ActivationLevels | None:
    """The levels that a layer cuts activations into; None if it does something else."""
    return layer.activation_levels() if isinstance(layer, TernarizeActivation) else None


def pruned_layers(model: Model) -> list[PrunedLayer]:
    """The layers of a model that are pruned, float ones and those with levels."""
    return [
        PrunedLayer(
            name=layer.name,
            pruning=layer.pruning,
            spec=getattr(layer, "decomposition", None),
            channel_axes=layer.channel_axes,
            kernel=layer.kernel,
            mask=layer.mask,
            pruned=layer.pruned,
            pruning_step=layer.pruning_step,
            state=functools.partial(layer.state, eager_value),
            notice_pruning_step=layer.notice_pruning_step,
        )
        for layer in model.layers
        if is_pruned(layer)
    ]


def fused_batch_norm(layer: Layer, reader: Layer) -> BatchNorm | None:
    """The batch normalisation that TFLite folds into a layer, if its reader is one.

    Where TFLite does not fold it, a QuantizeActivation stands between the two.
    """
    if kind_of(reader) != "BatchNormalization":
        return None
    names = ("moving_mean", "moving_variance", "gamma", "beta")
    found = {name: getattr(reader, name, None) for name in names}
    weights = {name: weight.numpy() for name, weight in found.items() if weight is not None}
    return batch_norm_affine(weights, reader.epsilon)


def plain_layer(layer: Layer) -> Layer | None:
    """An unbuilt layer of the plain model for a layer of a quantized one; None if it goes."""
    if isinstance(layer, (QuantizeActivation, QuantizeFixedRange, TernarizeActivation)):
        return None
    if isinstance(layer, (SimulatedKernel, Int8LSTM)):
        return layer.plain()
    return clone_layer(layer)


def bake_weights(layer: Layer, plain: Layer) -> None:
    """Copies the weights of a quantized layer to its plain form, kernels quantized."""
    if isinstance(layer, SimulatedKernel):
        kernel = layer.baked(layer.kernel.numpy().astype(np.float32))
        plain.set_weights([kernel, *([] if layer.bias is None else [layer.bias.numpy()])])
    elif isinstance(layer, Int8LSTM):
        plain.set_weights(layer.baked_weights())
    else:
        copy_weights([(layer, plain)])


def range_flags(model: Model) -> Iterator[Variable]:
    """The weights that tell which activation ranges are set."""
    for layer in model.layers:
        if isinstance(layer, (QuantizeActivation, TernarizeActivation, Int8LSTM)):
            yield layer.initialized


def check_convertible(model: Model) -> None:
    """Refuses conversion where TensorFlow does not run the model.

    Raises:
      ConversionError: Says how to convert the model.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ConversionError(
            f"mltq.convert needs Keras' TensorFlow backend, and Keras runs on '{backend}'. Save "
            f"the model, {model.name}.save('model.keras'), and in a process with the environment "
            "variable KERAS_BACKEND=tensorflow call "
            "mltq.convert(keras.models.load_model('model.keras'))."
        )


def as_inputs(model: Model, arrays: Iterable[np.ndarray]) -> list[Tensor]:
    """Arrays as tensors of the types that a model takes."""
    return [
        keras.ops.convert_to_tensor(array, dtype=tensor.dtype)
        for array, tensor in zip(arrays, model.inputs, strict=True)
    ]


def to_numpy(tensor: Tensor) -> np.ndarray:
    """The value of a tensor."""
    return keras.ops.convert_to_numpy(tensor)


def output_quantization(layer: Layer) -> tuple[float, int] | None:
    """Scale and zero point of what a layer gives; None if it does not quantize its output."""
    if isinstance(layer, QuantizeFixedRange):
        return scale_and_zero_point(*layer.limits)
    if isinstance(layer, QuantizeActivation):
        return scale_and_zero_point(*layer.limits())
    if isinstance(layer, Int8LSTM):
        ranges = layer.ranges()
        return scale_and_zero_point(ranges.hidden_min, ranges.hidden_max)
    return None
