"""LSTM as TFLite's int8 operator computes it; ``keras.int8_lstm`` is its twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.experimental.numpy as tnp
import tf_keras
from tensorflow_model_optimization.python.core.keras import utils as tfmot_utils

from tfmot_mltq.helpers.framework_types import Config, Layer, Shape, Tensor
from tfmot_mltq.helpers.saved_config import unversioned, versioned
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.layout.recurrent import is_fused_lstm
from tfmot_mltq.mathematics import lstm_simulation
from tfmot_mltq.mathematics.decomposition import straight_through
from tfmot_mltq.mathematics.lstm_simulation import RANGE_NAMES, LstmRanges
from tfmot_mltq.tfmot.pruning_variables import numpy_value


class Int8LSTM(tf_keras.layers.LSTM):
    """LSTM with int8 weights and hidden state and int16 gates and cell state.

    Ranges of the states are moving averages, or what ``calibrate`` found, in four non-trainable
    float32 weights, scalars: ``hidden_min``, ``hidden_max``, ``cell_max``, ``initialized``. Until
    they are set, states pass through.

    A call with a mask or an initial state, which the operator does not take, is that of the plain
    layer.

    Args:
      ema_decay: Decay of the moving averages.
    """

    plain_class = tf_keras.layers.LSTM

    def __init__(self, *args: Any, ema_decay: float = 0.99, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ema_decay = ema_decay

    def build(self, input_shape: Shape) -> None:
        """Adds the weights of the plain layer and the ranges."""
        super().build(input_shape)
        for name in RANGE_NAMES:
            weight = self.add_weight(
                name=name,
                shape=(),
                initializer="zeros",
                trainable=False,
                aggregation=tf.VariableAggregation.MEAN,
            )
            setattr(self, name, weight)

    def call(
        self,
        inputs: Tensor,
        mask: Any = None,
        training: bool | Tensor | None = None,
        initial_state: Tensor = None,
    ) -> Tensor:
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
    def _simulated(self, x: Tensor, training: bool) -> Tensor:
        dropped, hidden_dropped = self._dropout_masks(x, training)
        if dropped is not None:
            x = x * dropped[:, None]
        kernel, recurrent = map(self._rounded, (self.cell.kernel, self.cell.recurrent_kernel))
        of_input = tf.transpose(tf.matmul(x, kernel), (1, 0, 2))
        if self.use_bias:
            of_input += self.cell.bias
        if self.go_backwards:
            of_input = of_input[::-1]
        ranges = LstmRanges(*(tf.convert_to_tensor(getattr(self, name)) for name in RANGE_NAMES))
        is_calibrating = current_mode() is SimulationMode.CALIBRATE
        simulated = ranges.unset() if is_calibrating else ranges

        def step(states: Any, of_step: Any) -> Any:
            hidden, cell, _ = states
            if hidden_dropped is not None:
                hidden = hidden * hidden_dropped
            return lstm_simulation.lstm_step(
                of_step, hidden, cell, recurrent, simulated, tnp, tf.stop_gradient
            )

        start = tf.zeros_like(of_input[0, :, : self.units])
        hidden, cell, shown = tf.scan(step, of_input, (start, start, start))
        if training or is_calibrating:
            new = lstm_simulation.observed_ranges(
                ranges,
                tf.stop_gradient(shown),
                tf.stop_gradient(cell),
                None if is_calibrating else self.ema_decay,
                tnp,
            )
            for name in RANGE_NAMES:
                getattr(self, name).assign(getattr(new, name))
        result = tf.transpose(hidden, (1, 0, 2)) if self.return_sequences else hidden[-1]
        return (result, hidden[-1], cell[-1]) if self.return_state else result

    def _dropout_masks(self, x: Tensor, training: bool) -> tuple[Any, Any]:
        """What input and hidden state are multiplied with, in all steps; None for nothing."""
        if not training:
            return None, None
        self._maybe_reset_cell_dropout_mask(self.cell)
        hidden = x[:, 0, :1] * tf.ones((1, self.units))
        dropped = self.cell.get_dropout_mask_for_cell(x[:, 0], True)
        hidden_dropped = self.cell.get_recurrent_dropout_mask_for_cell(hidden, True)
        self._maybe_reset_cell_dropout_mask(self.cell)
        return dropped, hidden_dropped

    def _rounded(self, kernel: Tensor) -> Tensor:
        kernel = tf.convert_to_tensor(kernel)
        quantized = lstm_simulation.int8_gate_kernel(tf.stop_gradient(kernel), tnp)
        return straight_through(kernel, quantized, tf.stop_gradient)

    def step(self) -> Any:
        """Real value of a step of the output."""
        return tf.maximum(self.hidden_max - self.hidden_min, 1e-30) / 255.0

    def ranges(self) -> LstmRanges:
        """The ranges of the states, in NumPy."""
        return LstmRanges(*(numpy_value(getattr(self, name)) for name in RANGE_NAMES))

    def plain(self) -> Layer:
        """The unbuilt layer that this one was made of."""
        return tf_keras.layers.LSTM.from_config(unversioned(super().get_config(), self.name))

    def baked_weights(self) -> list[np.ndarray]:
        """The weights of the plain layer, kernels rounded."""
        return [
            lstm_simulation.int8_gate_kernel(value, np) if value.ndim == 2 else value
            for value in map(numpy_value, self.cell.weights)
        ]

    def get_config(self) -> Config:
        """Keras configuration."""
        return versioned({**super().get_config(), "ema_decay": self.ema_decay})

    @classmethod
    def from_config(cls, config: Config) -> Any:
        """A layer from its configuration.

        Raises:
          ValueError: A newer version of this package saved it.
        """
        what = f"Layer '{config.get('name')}' ({cls.__name__})"
        return super().from_config(unversioned(config, what))
