"""LSTM as TFLite's int8 operator computes it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfmot_mltq.helpers.framework_types import Config, Layer, Shape, Tensor
from tfmot_mltq.helpers.saved_config import unversioned
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.keras.eager_value import eager_value
from tfmot_mltq.keras.quantize_activation import add_range_weights
from tfmot_mltq.keras.saved_layer import SavedLayer
from tfmot_mltq.layout.recurrent import is_fused_lstm
from tfmot_mltq.mathematics import lstm_simulation
from tfmot_mltq.mathematics.decomposition import straight_through
from tfmot_mltq.mathematics.lstm_simulation import RANGE_NAMES, LstmRanges


class Int8LSTM(SavedLayer, keras.layers.LSTM):
    """LSTM with int8 weights and hidden state and int16 gates and cell state.

    Ranges of the states are moving averages, or what ``calibrate`` found, in four non-trainable
    float32 weights, scalars: ``hidden_min``, ``hidden_max``, ``cell_max``, ``initialized``. Until
    they are set, states pass through.

    A call with a mask or an initial state, which the operator does not take, is that of the plain
    layer.

    Args:
      ema_decay: Decay of the moving averages.
    """

    plain_class = keras.layers.LSTM

    def __init__(self, *args: Any, ema_decay: float = 0.99, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ema_decay = ema_decay

    def build(self, input_shape: Shape) -> None:
        """Adds the weights of the plain layer and the ranges."""
        super().build(input_shape)
        add_range_weights(self, RANGE_NAMES)

    def call(
        self,
        sequences: Any,
        initial_state: Tensor = None,
        mask: Any = None,
        training: bool | None = False,
    ) -> Tensor:
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
        ranges = LstmRanges(*(ops.convert_to_tensor(getattr(self, name)) for name in RANGE_NAMES))
        is_calibrating = current_mode() is SimulationMode.CALIBRATE
        simulated = ranges.unset() if is_calibrating else ranges

        def step(states: Any, of_step: Any) -> Any:
            hidden, cell, _ = states
            if hidden_dropped is not None:
                hidden = hidden * hidden_dropped
            states = lstm_simulation.lstm_step(
                of_step, hidden, cell, recurrent, simulated, ops, ops.stop_gradient
            )
            return states, states

        start = ops.zeros((batch, self.units), "float32")
        last, (hidden, cell, shown) = ops.scan(step, (start, start, start), of_input)
        if training or is_calibrating:
            new = lstm_simulation.observed_ranges(
                ranges,
                ops.stop_gradient(shown),
                ops.stop_gradient(cell),
                None if is_calibrating else self.ema_decay,
                ops,
            )
            for name in RANGE_NAMES:
                getattr(self, name).assign(getattr(new, name))
        result = ops.swapaxes(hidden, 0, 1) if self.return_sequences else last[0]
        results = [ops.cast(value, self.compute_dtype) for value in (result, *last[:2])]
        return tuple(results) if self.return_state else results[0]

    def _dropout_masks(self, x: Tensor, training: bool | None) -> tuple[Any, Any]:
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

    def _rounded(self, kernel: Tensor) -> Tensor:
        quantized = lstm_simulation.int8_gate_kernel(ops.stop_gradient(kernel), ops)
        return straight_through(kernel, quantized, ops.stop_gradient)

    def step(self) -> Any:
        """Real value of a step of the output, on the backend."""
        low, high = ops.convert_to_tensor(self.hidden_min), ops.convert_to_tensor(self.hidden_max)
        return ops.maximum(high - low, 1e-30) / 255.0

    def ranges(self) -> LstmRanges:
        """The ranges of the states, in NumPy."""
        return LstmRanges(*(eager_value(getattr(self, name)) for name in RANGE_NAMES))

    def plain(self) -> Layer:
        """The unbuilt layer that this one was made of."""
        config = unversioned(super().get_config(), self.name)
        return keras.layers.LSTM.from_config(config)

    def baked_weights(self) -> list[np.ndarray]:
        """The weights of the plain layer, kernels rounded."""
        kernels = self.cell.get_weights()
        return [
            lstm_simulation.int8_gate_kernel(value, np) if value.ndim == 2 else value
            for value in kernels
        ]

    def get_config(self) -> Config:
        """Keras configuration."""
        return {**super().get_config(), "ema_decay": self.ema_decay}
