"""TFMOT quantizers: multi-level weights, int8 weights, and int8 activation ranges."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp
import tf_keras
from tensorflow_model_optimization.quantization.keras import quantizers as tfmot_quantizers

from tfmot_mltq import decomposition
from tfmot_mltq.tfmot.simulation_mode import SimulationMode, current_mode

# TFLite's softmax aborts the process when a step of its input is below 2^-26. Ranges that small
# come from layers whose output has died out, as in deep models with random weights.
_SMALLEST_RANGE = 256 * 2.0**-25


def as_matrix(kernel: Any, channel_axes: int) -> Any:
    """A kernel as (entries per output channel, output channels).

    Args:
      kernel: Keras kernel.
      channel_axes: How many trailing axes make up the output channels: 1, 2 for a depthwise kernel
        (height, width, channels, multiplier), or 0 to treat the kernel as one channel.
    """
    channels = int(np.prod(kernel.shape[len(kernel.shape) - channel_axes :]))
    return tf.reshape(kernel, (-1, channels))


def _constant_value(variable: Any) -> tf.Tensor:
    """The value of a weight outside the graph being traced."""
    with tf.init_scope():
        return tf.constant(variable.numpy())


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
        if isinstance(decomposition_spec, dict):
            decomposition_spec = decomposition.Decomposition(**decomposition_spec)
        self.spec = decomposition_spec
        self.channel_axes = channel_axes

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """No state: the planes follow from the float weights."""
        return {}

    def decompose(self, kernel: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Planes (levels, n, c) and scales (levels, c) of a kernel."""
        matrix = tf.cast(as_matrix(kernel, self.channel_axes), tf.float32)
        return decomposition.decompose(matrix, self.spec, tnp)

    def quantize(self, kernel: Any) -> tf.Tensor:
        """The quantized kernel, without gradient."""
        planes, scales = self.decompose(kernel)
        return tf.reshape(decomposition.reconstruct(planes, scales, tnp), kernel.shape)

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> tf.Tensor:
        """Quantizes a kernel; same shape and dtype out."""
        if current_mode() is SimulationMode.EXPORT:
            with tf.init_scope():
                return tf.constant(self.quantize(inputs).numpy())
        kernel = tf.convert_to_tensor(inputs)
        quantized = tf.cast(self.quantize(tf.stop_gradient(kernel)), kernel.dtype)
        return decomposition.straight_through(kernel, quantized, tf.stop_gradient)

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

    def quantize(self, kernel: Any) -> tf.Tensor:
        """Weights rounded to multiples of max|w| / 127 of their channel."""
        matrix = as_matrix(kernel, self.channel_axes)
        largest = tf.reduce_max(tf.abs(matrix), axis=0, keepdims=True)
        scale = tf.where(largest > 0, largest / 127.0, tf.ones_like(largest))
        return tf.reshape(tf.round(matrix / scale) * scale, kernel.shape)

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> tf.Tensor:
        """Quantizes a kernel; same shape and dtype out."""
        if current_mode() is SimulationMode.EXPORT:
            return _constant_value(inputs)  # the converter rounds it the same way
        kernel = tf.convert_to_tensor(inputs)
        quantized = self.quantize(tf.stop_gradient(kernel))
        return decomposition.straight_through(kernel, quantized, tf.stop_gradient)

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
        low, high, initialized = (
            weights["min_var"],
            weights["max_var"],
            weights["initialized_var"],
        )
        mode = current_mode()
        if mode is SimulationMode.EXPORT:
            return tf.quantization.fake_quant_with_min_max_vars(
                inputs, _constant_value(low), _constant_value(high)
            )
        if mode is SimulationMode.CALIBRATE:
            # Extremes of all batches. A pass starts with the range reset, see `calibrate`.
            self._set_range(
                weights,
                tf.minimum(tf.where(initialized > 0, low, 0.0), tf.reduce_min(inputs)),
                tf.maximum(tf.where(initialized > 0, high, 0.0), tf.reduce_max(inputs)),
            )
            return inputs
        if training:
            # The range always holds 0, which padding and ReLU need to be exact.
            batch_low = tf.minimum(tf.reduce_min(inputs), 0.0)
            batch_high = tf.maximum(tf.reduce_max(inputs), 0.0)
            keep = tf.where(initialized > 0, self.ema_decay, 0.0)
            self._set_range(
                weights,
                keep * low + (1.0 - keep) * batch_low,
                keep * high + (1.0 - keep) * batch_high,
            )
        quantized = tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)
        return tf.where(initialized > 0, quantized, inputs)

    @staticmethod
    def _set_range(weights: Any, low: tf.Tensor, high: tf.Tensor) -> None:
        weights["min_var"].assign(low)
        weights["max_var"].assign(tf.maximum(high, low + _SMALLEST_RANGE))
        weights["initialized_var"].assign(1.0)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {"ema_decay": self.ema_decay}
