"""TFMOT quantizers: multi-level weights, int8 weights, and int8 activation ranges."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp
import tf_keras
from tensorflow_model_optimization.quantization.keras import quantizers as tfmot_quantizers

from tfmot_mltq import decomposition, int8_simulation
from tfmot_mltq.simulation_mode import SimulationMode, current_mode


def _value(variable: Any) -> Any:
    """The value of a weight outside the graph being traced, as an array."""
    with tf.init_scope():
        return variable.numpy()


class MultiLevelQuantizer(tfmot_quantizers.Quantizer):
    """Multi-level ternary (or binary) weights with straight-through gradients.

    Args:
      decomposition_spec: How to decompose, a ``Decomposition`` or its fields as a dict.
      channel_axes: Trailing axes of the kernel that make up the output channels.
    """

    def __init__(
        self,
        decomposition_spec: decomposition.Decomposition | dict[str, Any],
        channel_axes: int = 1,
    ) -> None:
        self.spec = decomposition.as_decomposition(decomposition_spec)
        self.channel_axes = channel_axes

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """No state: the planes follow from the float weights."""
        return {}

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> tf.Tensor:
        """Quantizes a kernel; same shape and dtype out."""
        if current_mode() is SimulationMode.EXPORT:
            return tf.constant(self.baked(_value(inputs)))
        kernel = tf.convert_to_tensor(inputs)
        quantized = decomposition.quantize(
            tf.stop_gradient(kernel), self.spec, self.channel_axes, tnp
        )
        return decomposition.straight_through(kernel, quantized, tf.stop_gradient)

    def baked(self, kernel: np.ndarray) -> np.ndarray:
        """The quantized kernel, as every framework computes it for a trained model."""
        return decomposition.quantize(kernel, self.spec, self.channel_axes)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {
            "decomposition_spec": dataclasses.asdict(self.spec),
            "channel_axes": self.channel_axes,
        }


class Int8WeightQuantizer(tfmot_quantizers.Quantizer):
    """Symmetric int8 weights, as TFLite stores them.

    TFMOT's own weight quantizer remembers the range of the last training step, which is wrong for
    a model that is converted without training; here the range always is that of the weights.

    Args:
      channel_axes: Trailing axes of the kernel that make up the output channels, each with a scale
        of its own; 0 for one scale per tensor.
    """

    def __init__(self, channel_axes: int = 1) -> None:
        self.channel_axes = channel_axes

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """No state."""
        return {}

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> tf.Tensor:
        """Quantizes a kernel; same shape and dtype out."""
        if current_mode() is SimulationMode.EXPORT:
            return tf.constant(_value(inputs))  # the converter rounds it the same way
        kernel = tf.convert_to_tensor(inputs)
        quantized = int8_simulation.int8_kernel(tf.stop_gradient(kernel), self.channel_axes, tnp)
        return decomposition.straight_through(kernel, quantized, tf.stop_gradient)

    def baked(self, kernel: np.ndarray) -> np.ndarray:
        """The rounded kernel, as every framework computes it for a trained model."""
        return int8_simulation.int8_kernel(kernel, self.channel_axes, np)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {"channel_axes": self.channel_axes}


class ActivationRangeQuantizer(tfmot_quantizers.MovingAverageQuantizer):
    """TFMOT's 8-bit moving-average fake quantization, with ranges that start at the data.

    TFMOT starts every range at [-6, 6] and moves it by a thousandth a step, so that short training
    ends with wrong ranges. Here the first batch sets the range, and until a batch (or calibration)
    has set it, inference passes activations through.

    Args:
      ema_decay: Decay of the moving average of the batch minima and maxima.
    """

    def __init__(self, ema_decay: float = 0.99) -> None:
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
        self.ema_decay = ema_decay

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Adds the range and whether it is set, as non-trainable scalar weights."""
        variables = super().build(tensor_shape, name, layer)
        variables["initialized_var"] = layer.add_weight(
            name=f"{name}_initialized",
            initializer=tf_keras.initializers.Zeros(),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        return variables

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> tf.Tensor:
        """Quantizes a tensor to 256 steps of the range."""
        current = weights["min_var"], weights["max_var"]
        initialized = weights["initialized_var"]
        mode = current_mode()
        if mode is SimulationMode.EXPORT:
            low, high = (tf.constant(_value(limit)) for limit in current)
            return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)
        if mode is SimulationMode.CALIBRATE:
            # Extremes of all batches. A pass starts with the range reset, see `calibrate`.
            batch = int8_simulation.batch_range(tf.stop_gradient(inputs), tnp)
            new = int8_simulation.widened_range(current, initialized, batch, tnp)
            self._set_range(weights, new)
            return inputs
        if training:
            batch = int8_simulation.batch_range(tf.stop_gradient(inputs), tnp)
            new = int8_simulation.moving_range(current, initialized, batch, self.ema_decay, tnp)
            self._set_range(weights, new)
            return tf.quantization.fake_quant_with_min_max_vars(inputs, *new)
        quantized = tf.quantization.fake_quant_with_min_max_vars(inputs, *current)
        return tf.where(initialized > 0, quantized, inputs)

    @staticmethod
    def _set_range(weights: Any, limits: Any) -> None:
        weights["min_var"].assign(limits[0])
        weights["max_var"].assign(limits[1])
        weights["initialized_var"].assign(1.0)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {"ema_decay": self.ema_decay}
