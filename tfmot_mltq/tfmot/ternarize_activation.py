"""The layer that cuts activations into levels."""

from __future__ import annotations

import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.keras import utils as tfmot_utils

from tfmot_mltq.helpers.framework_types import Shape, Tensor
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.layout.ternarize_activation import TernarizeActivationMixin
from tfmot_mltq.mathematics.activation_levels import starting_weights
from tfmot_mltq.tfmot.tensor_functions import TENSOR_FUNCTIONS


class TernarizeActivation(TernarizeActivationMixin, tf_keras.layers.Layer):
    """See ``TernarizeActivationMixin``."""

    functions = TENSOR_FUNCTIONS

    def build(self, input_shape: Shape) -> None:
        """Adds the scales and thresholds."""
        start = starting_weights(self.levels, self.kind)
        for name, (shape, value, trainable) in start.items():
            weight = self.add_weight(
                name=f"levels_{name}",
                shape=shape,
                initializer=tf_keras.initializers.Constant(value),
                trainable=trainable,
                aggregation=tf.VariableAggregation.MEAN
                if trainable
                else tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            setattr(self, name, weight)
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | Tensor | None = None) -> Tensor:
        """Cuts a tensor into levels; same shape and dtype out."""
        if training is None:
            training = tf_keras.backend.learning_phase()
        # The phase may be a tensor.
        return tfmot_utils.smart_cond(
            training, lambda: self._cut(inputs, True), lambda: self._cut(inputs, False)
        )

    @tf.autograph.experimental.do_not_convert
    def _cut(self, inputs: Tensor, training: bool) -> Tensor:
        # In export, the operator does it.
        is_conversion = current_mode() is SimulationMode.CONVERT
        result = inputs if is_conversion else self.cut(inputs, training)
        return tf.identity(result) if result is inputs else result

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape
