"""The quantized layers of a tf_keras model, and its stock int8 conversion, for the converter."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfmot_mltq import flatbuffer
from tfmot_mltq.converter.export_layer import ExportLayer, export_layer
from tfmot_mltq.errors import ConversionError
from tfmot_mltq.native_output import capture_stderr
from tfmot_mltq.packing.format import Kind
from tfmot_mltq.tfmot.model_graph import Consumers, nodes_in_order
from tfmot_mltq.tfmot.quantize import multi_level_config, ternary_weights
from tfmot_mltq.tfmot.simulation_mode import SimulationMode, simulation_mode

_KINDS = {
    tf_keras.layers.Conv2D: Kind.CONV_2D,
    tf_keras.layers.Conv1D: Kind.CONV_2D,
    tf_keras.layers.DepthwiseConv2D: Kind.DEPTHWISE_CONV_2D,
    tf_keras.layers.Dense: Kind.FULLY_CONNECTED,
}


def export_layers(model: Any) -> list[ExportLayer]:
    """Every call of a layer with multi-level weights, in graph order."""
    consumers = Consumers(model)
    exported = []
    for node in nodes_in_order(model):
        if multi_level_config(node.layer) is None:
            continue
        reader = consumers.only_reader(node)
        batch_norm = None
        # The output of such a layer is only left unquantized where TFLite fuses its reader.
        if reader is not None and not node.layer.quantize_config.quantize_output:
            inner = getattr(reader.layer, "layer", None)
            if isinstance(inner, tf_keras.layers.BatchNormalization):
                batch_norm = reader.layer
        exported.append(_export_call(node.layer, batch_norm))
    return exported


def _export_call(wrapper: Any, batch_norm: Any | None) -> ExportLayer:
    planes, scales = ternary_weights(wrapper)
    weights = wrapper.named_weights()
    channels = scales.shape[1]
    gain = offset = None
    if batch_norm is not None:
        gain, offset = _batch_norm_affine(batch_norm)
    return export_layer(
        wrapper.name,
        _KINDS[type(wrapper.layer)],
        planes.reshape(planes.shape[0], -1, channels),
        scales,
        weights["bias"].numpy() if "bias" in weights else np.zeros(channels),
        gain,
        offset,
    )


def _batch_norm_affine(wrapper: Any) -> tuple[np.ndarray, np.ndarray]:
    """Inference-time batch normalisation as y -> gain * y + offset."""
    weights = {
        name: weight.numpy().astype(np.float64) for name, weight in wrapper.named_weights().items()
    }
    gain = 1.0 / np.sqrt(weights["moving_variance"] + wrapper.layer.epsilon)
    if "gamma" in weights:
        gain = gain * weights["gamma"]
    return gain, weights.get("beta", 0.0) - weights["moving_mean"] * gain


def stock_int8(model: Any) -> bytes:
    """TensorFlow's own int8 conversion of a quantized and calibrated model.

    The batch size is 1: with a free one, reshapes are computed at run time by extra operators.

    Raises:
      ConversionError: An input has no fixed shape, or TensorFlow's converter failed.
    """
    specs = []
    for index, (tensor, name) in enumerate(zip(model.inputs, model.input_names, strict=True)):
        if None in tensor.shape[1:]:
            raise ConversionError(
                f"Input '{name}' has shape {tuple(tensor.shape)}. A microcontroller plans its "
                "memory ahead: build the model with fixed sizes."
            )
        shape = (1, *tensor.shape[1:])
        specs.append(tf.TensorSpec(shape, tensor.dtype, name=flatbuffer.input_key(index)))

    def run(*inputs: Any) -> list[Any]:
        outputs = model(tf.nest.pack_sequence_as(model.input, list(inputs)), training=False)
        return tf.nest.flatten(outputs)

    with simulation_mode(SimulationMode.EXPORT):
        function = tf.function(run, input_signature=specs).get_concrete_function()
    # The converter saves what it is given, and of a Keras model that is every layer's functions,
    # which takes minutes. The variables are all that the function needs.
    holder = tf.Module()
    holder.variables_of_model = model.variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    # One scale per tensor, as Int8DenseQuantizeConfig simulates.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    try:
        # The converter's native part logs its settings; what matters comes in the exception.
        with capture_stderr(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
            return bytes(converter.convert())
    except Exception as error:  # the converter raises many kinds, all with the cause in the text
        raise ConversionError(
            f"TensorFlow's converter failed on '{model.name}': {error}"
        ) from error
