"""LSTM as TFLite's int8 operator computes it."""

from __future__ import annotations

import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.keras import utils as tfmot_utils

from tfmot_mltq.helpers.framework_types import Structure, Tensor, Variable
from tfmot_mltq.layout.int8_lstm import Int8LSTMMixin
from tfmot_mltq.layout.recurrent import is_fused_lstm
from tfmot_mltq.tfmot.tensor_functions import TENSOR_FUNCTIONS


class Int8LSTM(Int8LSTMMixin, tf_keras.layers.LSTM):
    """See ``Int8LSTMMixin``."""

    functions = TENSOR_FUNCTIONS
    plain_class = tf_keras.layers.LSTM

    def _range_weight(self, name: str) -> Variable:
        return self.add_weight(
            name=name,
            shape=(),
            initializer="zeros",
            trainable=False,
            aggregation=tf.VariableAggregation.MEAN,
        )

    def call(
        self,
        inputs: Tensor,
        mask: Tensor = None,
        training: bool | Tensor | None = None,
        initial_state: Structure = None,
    ) -> Structure:
        """From (batch, steps, features) to (batch, units), or with the steps in between."""
        if initial_state is not None or mask is not None or not is_fused_lstm(self):
            return super().call(inputs, mask, training, initial_state)
        if training is None:
            training = tf_keras.backend.learning_phase()
        # The phase may be a tensor.
        return tfmot_utils.smart_cond(
            training, lambda: self._simulated(inputs, True), lambda: self._simulated(inputs, False)
        )

    @tf.autograph.experimental.do_not_convert
    def _simulated(self, x: Tensor, training: bool) -> Structure:
        dropped, hidden_dropped = self._dropout_masks(x, training)
        if dropped is not None:
            x = x * dropped[:, None]
        kernel, recurrent = (
            self._rounded(tf.convert_to_tensor(weight))
            for weight in (self.cell.kernel, self.cell.recurrent_kernel)
        )
        of_input = tf.transpose(tf.matmul(x, kernel), (1, 0, 2))
        if self.use_bias:
            of_input += self.cell.bias
        if self.go_backwards:
            of_input = of_input[::-1]
        start = tf.zeros_like(of_input[0, :, : self.units])
        step = self._step_function(recurrent, hidden_dropped)
        hidden, cell, shown = tf.scan(step, of_input, (start, start, start))
        self._observe(shown, cell, training)
        result = tf.transpose(hidden, (1, 0, 2)) if self.return_sequences else hidden[-1]
        return (result, hidden[-1], cell[-1]) if self.return_state else result

    def _dropout_masks(self, x: Tensor, training: bool) -> tuple[Tensor | None, Tensor | None]:
        """What input and hidden state are multiplied with, in all steps; None for nothing."""
        if not training:
            return None, None
        self._maybe_reset_cell_dropout_mask(self.cell)
        hidden = x[:, 0, :1] * tf.ones((1, self.units))
        dropped = self.cell.get_dropout_mask_for_cell(x[:, 0], True)
        hidden_dropped = self.cell.get_recurrent_dropout_mask_for_cell(hidden, True)
        self._maybe_reset_cell_dropout_mask(self.cell)
        return dropped, hidden_dropped

    def step(self) -> Tensor:
        """Real value of a step of the output."""
        return tf.maximum(self.hidden_max - self.hidden_min, 1e-30) / 255.0
