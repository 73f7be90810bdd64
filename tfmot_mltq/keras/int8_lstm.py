"""LSTM as TFLite's int8 operator computes it."""

from __future__ import annotations

import keras
from keras import ops

from tfmot_mltq.helpers.framework_types import Structure, Tensor, Variable
from tfmot_mltq.keras.quantize_activation import range_weight
from tfmot_mltq.keras.tensor_functions import TENSOR_FUNCTIONS
from tfmot_mltq.layout.int8_lstm import Int8LSTMMixin
from tfmot_mltq.layout.recurrent import is_fused_lstm


class Int8LSTM(Int8LSTMMixin, keras.layers.LSTM):
    """See ``Int8LSTMMixin``."""

    functions = TENSOR_FUNCTIONS
    plain_class = keras.layers.LSTM

    def _range_weight(self, name: str) -> Variable:
        return range_weight(self, name)

    def call(
        self,
        sequences: Tensor,
        initial_state: Structure = None,
        mask: Tensor = None,
        training: bool | None = False,
    ) -> Structure:
        """From (batch, steps, features) to (batch, units), or with the steps in between."""
        if initial_state is not None or mask is not None or not is_fused_lstm(self):
            return super().call(sequences, initial_state, mask, training)
        x = ops.cast(sequences, "float32")
        batch = ops.shape(x)[0]
        dropped, hidden_dropped = self._dropout_masks(x, training)
        if dropped is not None:
            x = x * ops.expand_dims(dropped, 1)
        kernel, recurrent = (
            self._rounded(ops.cast(weight, "float32"))
            for weight in (self.cell.kernel, self.cell.recurrent_kernel)
        )
        of_input = ops.swapaxes(ops.matmul(x, kernel), 0, 1)
        if self.use_bias:
            of_input = of_input + ops.cast(self.cell.bias, "float32")
        if self.go_backwards:
            of_input = ops.flip(of_input, axis=0)
        step = self._step_function(recurrent, hidden_dropped)

        def scanned(states: Structure, of_step: Tensor) -> Structure:
            states = step(states, of_step)
            return states, states

        start = ops.zeros((batch, self.units), "float32")
        last, (hidden, cell, shown) = ops.scan(scanned, (start, start, start), of_input)
        self._observe(shown, cell, training)
        result = ops.swapaxes(hidden, 0, 1) if self.return_sequences else last[0]
        results = [ops.cast(value, self.compute_dtype) for value in (result, *last[:2])]
        return tuple(results) if self.return_state else results[0]

    def _dropout_masks(
        self, x: Tensor, training: bool | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """What input and hidden state are multiplied with, in all steps; None for nothing."""
        if not training:
            return None, None
        hidden = x[:, 0, :1] * ops.ones((1, self.units))
        masks = self.cell.get_dropout_mask(x[:, 0]), self.cell.get_recurrent_dropout_mask(hidden)
        self.cell.reset_dropout_mask()
        self.cell.reset_recurrent_dropout_mask()
        # There may be one for each gate, of which Keras uses the first where it computes them all
        # in one product.
        dropped, hidden_dropped = (
            mask[0] if isinstance(mask, (list, tuple)) else mask for mask in masks
        )
        return dropped, hidden_dropped

    def step(self) -> Tensor:
        """Real value of a step of the output, on the backend."""
        ranges = self._range_tensors()
        return ops.maximum(ranges.hidden_max - ranges.hidden_min, 1e-30) / 255.0
