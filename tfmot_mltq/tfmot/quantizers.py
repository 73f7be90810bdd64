"""TFMOT quantizers: multi-level weights, int8 weights, and int8 activation ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp
import tf_keras
from tensorflow_model_optimization.quantization.keras import quantizers as tfmot_quantizers

from tfmot_mltq.config import MultiLevelConfig, as_config
from tfmot_mltq.helpers.framework_types import Config, Layer, Shape, Tensor, Variable
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.layout.activation_range import ActivationRange, RangeWeights
from tfmot_mltq.mathematics import decomposition, int8_simulation
from tfmot_mltq.pruning.pruning_spec import PruningSpec, as_pruning_spec
from tfmot_mltq.tfmot.eager_value import eager_value
from tfmot_mltq.tfmot.pruning_variables import (
    add_pruning_variables,
    check_counted,
    kernel_state,
    masked,
)
from tfmot_mltq.tfmot.tensor_functions import TENSOR_FUNCTIONS


class MultiLevelQuantizer(tfmot_quantizers.Quantizer):
    """Multi-level ternary (or binary) weights with straight-through gradients.

    Args:
      decomposition_spec: How to decompose, a ``MultiLevelConfig`` or its fields as a dict.
      channel_axes: Trailing axes of the kernel that make up the output channels.
      pruning: How the kernel is pruned, a ``PruningSpec`` or its configuration; None for not.
    """

    def __init__(
        self,
        decomposition_spec: MultiLevelConfig | Config,
        channel_axes: int = 1,
        pruning: PruningSpec | Config | None = None,
    ) -> None:
        self.spec = as_config(decomposition_spec)
        self.channel_axes = channel_axes
        self.pruning = None if pruning is None else as_pruning_spec(pruning)

    def build(self, tensor_shape: Shape, name: str, layer: Layer) -> dict[str, Variable]:
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

    def start_training_state(self, kernel: np.ndarray, variables: dict[str, Variable]) -> None:
        """Sets trained scales and thresholds to what the kernel gives without learning."""
        matrix = decomposition.as_matrix(kernel, self.channel_axes)
        for part, value in decomposition.initial_state(matrix, self.spec).items():
            variables[part].assign(value)

    @tf.autograph.experimental.do_not_convert
    def __call__(
        self, inputs: Tensor, training: bool | Tensor, weights: dict[str, Variable], **kwargs: Any
    ) -> Tensor:
        """Quantizes a kernel; same shape and dtype out."""
        if current_mode() is SimulationMode.CONVERT:
            return tf.constant(self.baked(eager_value(inputs), weights))
        check_counted(training, weights, inputs.name.partition("/")[0])
        return decomposition.trained_quantize(
            tf.convert_to_tensor(inputs),
            self.spec,
            self.channel_axes,
            tnp,
            tf.stop_gradient,
            kernel_state(weights, self.channel_axes, tf.convert_to_tensor),
        )

    def baked(self, kernel: np.ndarray, weights: dict[str, Variable]) -> np.ndarray:
        """The quantized kernel, as every framework computes it for a trained model."""
        state = kernel_state(weights, self.channel_axes)
        return decomposition.quantize(kernel, self.spec, self.channel_axes, np, state)

    def get_config(self) -> Config:
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
      channel_axes: Axes of the output channels, negative, each index with a scale of its own; none
        for one scale per tensor.
      pruning: How the kernel is pruned, a ``PruningSpec`` or its configuration; None for not.
    """

    def __init__(
        self,
        channel_axes: Sequence[int] = (-1,),
        pruning: PruningSpec | Config | None = None,
    ) -> None:
        self.channel_axes = tuple(channel_axes)
        self.pruning = None if pruning is None else as_pruning_spec(pruning)

    def build(self, tensor_shape: Shape, name: str, layer: Layer) -> dict[str, Variable]:
        """Adds the weights of pruning."""
        return {} if self.pruning is None else add_pruning_variables(layer, (1, *tensor_shape))

    @tf.autograph.experimental.do_not_convert
    def __call__(
        self, inputs: Tensor, training: bool | Tensor, weights: dict[str, Variable], **kwargs: Any
    ) -> Tensor:
        """Quantizes a kernel; same shape and dtype out."""
        if current_mode() is SimulationMode.CONVERT:
            # Not rounded: the converter does that the same way.
            return tf.constant(masked(eager_value(inputs), weights, eager_value))
        check_counted(training, weights, inputs.name.partition("/")[0])
        kernel = masked(tf.convert_to_tensor(inputs), weights, tf.convert_to_tensor)
        quantized = int8_simulation.int8_kernel(tf.stop_gradient(kernel), self.channel_axes, tnp)
        return decomposition.straight_through(kernel, quantized, tf.stop_gradient)

    def baked(self, kernel: np.ndarray, weights: dict[str, Variable]) -> np.ndarray:
        """The rounded kernel, as every framework computes it for a trained model."""
        kernel = masked(kernel, weights, eager_value)
        return int8_simulation.int8_kernel(kernel, self.channel_axes, np)

    def get_config(self) -> Config:
        """Keras configuration."""
        return {
            "channel_axes": list(self.channel_axes),
            "pruning": None if self.pruning is None else self.pruning.get_config(),
        }


class ActivationRangeQuantizer(tfmot_quantizers.MovingAverageQuantizer):
    """TFMOT's 8-bit moving-average fake quantization, with ranges that start at the data.

    TFMOT starts every range at [-6, 6] and moves it by a thousandth a step, so that short training
    ends with wrong ranges. Here the first batch sets the range, and until a batch (or calibration)
    has set it, inference passes activations through.

    Args:
      ema_decay: Decay of the moving average of the batch minima and maxima.
      sites: Places of a group of tensors that share the range, which then holds the values of all.
      limits: What the range does not exceed, smallest and largest value; None for no limits.
    """

    def __init__(
        self,
        ema_decay: float = 0.99,
        sites: int = 1,
        limits: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
        self.ema_decay = ema_decay
        self.sites = sites
        self.range_limits = limits
        self._range = ActivationRange(
            TENSOR_FUNCTIONS,
            tf.quantization.fake_quant_with_min_max_vars,
            ema_decay,
            sites,
            limits,
        )

    def build(self, tensor_shape: Shape, name: str, layer: Layer) -> dict[str, Variable]:
        """Adds the range and whether it is set, as non-trainable weights: scalars, or of shape
        (sites,).
        """
        shape = () if self.sites == 1 else (self.sites,)
        return {
            f"{part}_var": layer.add_weight(
                name=f"{name}_{part}",
                shape=shape,
                initializer=tf_keras.initializers.Zeros(),
                trainable=False,
                aggregation=aggregation,
            )
            for part, aggregation in (
                ("min", tf.VariableAggregation.MEAN),
                ("max", tf.VariableAggregation.MEAN),
                ("initialized", tf.VariableAggregation.ONLY_FIRST_REPLICA),
            )
        }

    @tf.autograph.experimental.do_not_convert
    def __call__(
        self,
        inputs: Tensor,
        training: bool,
        weights: dict[str, Variable],
        site: int = 0,
        ties_away: bool = False,
        sum_step: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Quantizes a tensor to 256 steps of the range.

        A ``sum_step`` is the real value of 1 in the sums that an operator stores so, and rounds
        twice; a scalar, or one for each channel.
        """
        return self._range.quantized(
            inputs, _range_weights(weights), training, site, ties_away, sum_step
        )

    def limits(self, weights: dict[str, Variable]) -> tuple[float, float]:
        """Smallest and largest value of the range, as far as it is set."""
        return self._range.eager_limits(_range_weights(weights))

    def step(self, weights: dict[str, Variable]) -> Tensor:
        """Real value of a step, not 0 where no range is set yet."""
        return self._range.step(_range_weights(weights))

    def get_config(self) -> Config:
        """Keras configuration."""
        config: Config = {"ema_decay": self.ema_decay}
        if self.sites > 1:
            config["sites"] = self.sites
        if self.range_limits is not None:
            config["limits"] = list(self.range_limits)
        return config


def _range_weights(weights: dict[str, Variable]) -> RangeWeights:
    return [weights[f"{part}_var"] for part in ("min", "max", "initialized")]
