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
from tfmot_mltq.pruning.pruning_spec import PruningSpec, as_pruning_spec
from tfmot_mltq.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.tfmot.pruning_variables import (
    add_pruning_variables,
    check_counted,
    kernel_state,
    masked,
    numpy_value,
)


class MultiLevelQuantizer(tfmot_quantizers.Quantizer):
    """Multi-level ternary (or binary) weights with straight-through gradients.

    Args:
      decomposition_spec: How to decompose, a ``Decomposition`` or its fields as a dict.
      channel_axes: Trailing axes of the kernel that make up the output channels.
      pruning: How the kernel is pruned, a ``PruningSpec`` or its configuration; None for not.
    """

    def __init__(
        self,
        decomposition_spec: decomposition.Decomposition | dict[str, Any],
        channel_axes: int = 1,
        pruning: PruningSpec | dict[str, Any] | None = None,
    ) -> None:
        self.spec = decomposition.as_decomposition(decomposition_spec)
        self.channel_axes = channel_axes
        self.pruning = None if pruning is None else as_pruning_spec(pruning)

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Adds the weights of pruning, and trained scales and thresholds if there are any."""
        spec = self.spec
        variables = {}
        if self.pruning is not None:
            variables = add_pruning_variables(layer, (spec.levels, *tensor_shape))
        channels = int(np.prod(tensor_shape[-self.channel_axes :])) if spec.per_channel else 1
        for part, is_held in (
            ("scales", spec.learned_scales),
            ("thresholds", spec.threshold == "learned"),
        ):
            if is_held:
                variables[part] = layer.add_weight(
                    name=part, shape=(spec.levels, channels), initializer="zeros", trainable=True
                )
        return variables

    def start_training_state(self, kernel: np.ndarray, variables: dict[str, Any]) -> None:
        """Sets trained scales and thresholds to what the kernel gives without learning."""
        matrix = decomposition.as_matrix(kernel, self.channel_axes)
        for part, value in decomposition.initial_state(matrix, self.spec).items():
            variables[part].assign(value)

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> tf.Tensor:
        """Quantizes a kernel; same shape and dtype out."""
        if current_mode() is SimulationMode.EXPORT:
            state = kernel_state(weights, self.channel_axes)
            return tf.constant(self.baked(numpy_value(inputs), state))
        check_counted(training, weights, inputs.name.partition("/")[0])
        return decomposition.trained_quantize(
            tf.convert_to_tensor(inputs),
            self.spec,
            self.channel_axes,
            tnp,
            tf.stop_gradient,
            kernel_state(weights, self.channel_axes, tf.convert_to_tensor),
        )

    def baked(self, kernel: np.ndarray, state: decomposition.KernelState) -> np.ndarray:
        """The quantized kernel, as every framework computes it for a trained model."""
        return decomposition.quantize(kernel, self.spec, self.channel_axes, np, state)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {
            "decomposition_spec": dataclasses.asdict(self.spec),
            "channel_axes": self.channel_axes,
            "pruning": None if self.pruning is None else self.pruning.get_config(),
        }


class Int8WeightQuantizer(tfmot_quantizers.Quantizer):
    """Symmetric int8 weights, as TFLite stores them.

    TFMOT's own weight quantizer remembers the range of the last training step, which is wrong for
    a model that is converted without training; here the range always is that of the weights.

    Args:
      channel_axes: Trailing axes of the kernel that make up the output channels, each with a scale
        of its own; 0 for one scale per tensor.
      pruning: How the kernel is pruned, a ``PruningSpec`` or its configuration; None for not.
    """

    def __init__(
        self, channel_axes: int = 1, pruning: PruningSpec | dict[str, Any] | None = None
    ) -> None:
        self.channel_axes = channel_axes
        self.pruning = None if pruning is None else as_pruning_spec(pruning)

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Adds the weights of pruning."""
        return {} if self.pruning is None else add_pruning_variables(layer, (1, *tensor_shape))

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> tf.Tensor:
        """Quantizes a kernel; same shape and dtype out."""
        if current_mode() is SimulationMode.EXPORT:
            # Not rounded: the converter does that the same way.
            return tf.constant(masked(numpy_value(inputs), weights, numpy_value))
        check_counted(training, weights, inputs.name.partition("/")[0])
        kernel = masked(tf.convert_to_tensor(inputs), weights, tf.convert_to_tensor)
        quantized = int8_simulation.int8_kernel(tf.stop_gradient(kernel), self.channel_axes, tnp)
        return decomposition.straight_through(kernel, quantized, tf.stop_gradient)

    def baked(self, kernel: np.ndarray, state: decomposition.KernelState) -> np.ndarray:
        """The rounded kernel, as every framework computes it for a trained model."""
        if state.mask is not None:
            kernel = kernel * np.reshape(state.mask, kernel.shape)
        return int8_simulation.int8_kernel(kernel, self.channel_axes, np)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {
            "channel_axes": self.channel_axes,
            "pruning": None if self.pruning is None else self.pruning.get_config(),
        }


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
            low, high = (tf.constant(numpy_value(limit)) for limit in current)
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
