"""TensorFlow's own int8 conversion of a quantized model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmot_mltq.converter.fused_lstm import call_to_trace
from tfmot_mltq.errors import ConversionError
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.helpers.framework_types import Model, Tensor
from tfmot_mltq.helpers.native_output import capture_stderr
from tfmot_mltq.helpers.simulation_mode import SimulationMode, simulation_mode
from tfmot_mltq.layout.adapter import Adapter

_NOT_IN_TFLITE = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")


def stock_int8(
    model: Model, adapter: Adapter, samples: Sequence[np.ndarray] | None = None
) -> bytes:
    """TensorFlow's own int8 conversion of a quantized and calibrated model.

    The batch size is 1: with a free one, reshapes are computed at run time by extra operators.

    Args:
      model: The model.
      adapter: Of its framework.
      samples: Inputs, one array for each with the batch first. With them, TensorFlow finds ranges
        for tensors that the model has none for: those inside layers that are several operators.
        The ranges of the model stay as they are.

    Raises:
      ConversionError: An input has no fixed shape, or TensorFlow's converter failed.
    """
    names = adapter.graphs.input_names(model)
    specs = []
    for index, (tensor, name) in enumerate(zip(model.inputs, names, strict=True)):
        if None in tensor.shape[1:]:
            raise ConversionError(
                f"Input '{name}' has shape {tuple(tensor.shape)}. A microcontroller plans its "
                "memory ahead: build the model with fixed sizes."
            )
        shape = (1, *tensor.shape[1:])
        specs.append(tf.TensorSpec(shape, tensor.dtype, name=flatbuffer.input_key(index)))

    call = call_to_trace(model, adapter)

    def run(*inputs: Tensor) -> list[Tensor]:
        return call(inputs)

    with simulation_mode(SimulationMode.CONVERT):
        function = tf.function(run, input_signature=specs).get_concrete_function()
    # The converter saves what it is given, and of a Keras model that is every layer's functions,
    # which takes minutes. The variables that it captures are all that the function needs; kernels
    # and ranges are constants.
    captured = {id(tensor) for tensor in function.captured_inputs}
    holder = tf.Module()
    holder.captured = [value for value in function.variables if id(value.handle) in captured]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    # One scale per tensor, as the int8 Dense layers simulate.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if samples is not None:
        keys = [flatbuffer.input_key(index) for index in range(len(specs))]
        converter.representative_dataset = lambda: (
            dict(zip(keys, (value[None] for value in sample), strict=True))
            for sample in zip(*samples, strict=True)
        )
    try:
        # The converter's native part logs its settings; what matters comes in the exception.
        with capture_stderr(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
            return bytes(converter.convert())
    except Exception as error:  # the converter raises many kinds, all with the cause in the text
        raise ConversionError(_explained(model.name, function, str(error))) from error


def _explained(model_name: str, function: Any, message: str) -> str:
    """What TensorFlow's converter says, for people: the operator and the layer, where it tells."""
    types = sorted(set(_NOT_IN_TFLITE.findall(message)))
    if not types:
        return f"TensorFlow's converter failed on '{model_name}': {message}"
    places = [
        f"'{operation.name}'"
        for operation in function.graph.get_operations()
        if operation.type in types
    ]
    at = f" (at {', '.join(places[:3])})" if places else ""
    return (
        f"TFLite has no operator for tf.{', tf.'.join(types)}{at} of '{model_name}'. Replace the "
        "layer, or do that part outside the model."
    )
