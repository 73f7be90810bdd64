"""What the LSTM layers that compute as TFLite's int8 operator have in common in both frameworks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfmot_mltq.helpers.framework_types import (
    Config,
    Layer,
    Shape,
    Structure,
    Tensor,
    Variable,
)
from tfmot_mltq.helpers.saved_config import unversioned
from tfmot_mltq.helpers.saved_layer import SavedLayer
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.layout.int8_sums import StoredOutput
from tfmot_mltq.layout.quantized_layer import QuantizedLayer
from tfmot_mltq.layout.tensor_functions import TensorFunctions
from tfmot_mltq.mathematics.decomposition import straight_through
from tfmot_mltq.mathematics.lstm_simulation import (
    RANGE_NAMES,
    LstmRanges,
    int8_gate_kernel,
    lstm_step,
    observed_ranges,
)


class Int8LSTMMixin(SavedLayer, QuantizedLayer, StoredOutput):
    """LSTM with int8 weights and hidden state and int16 gates and cell state.

    Ranges of the states are moving averages, or what ``calibrate`` found, in four non-trainable
    float32 weights, scalars: ``hidden_min``, ``hidden_max``, ``cell_max``, ``initialized``. Until
    they are set, states pass through.

    A call with a mask or an initial state, which the operator does not take, is that of the plain
    layer.

    Args:
      ema_decay: Decay of the moving averages.

    Attributes:
      functions: Of the framework.
      plain_class: Keras' class.
    """

    functions: TensorFunctions
    plain_class: type[Layer]

    def __init__(self, *args: Any, ema_decay: float = 0.99, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ema_decay = ema_decay

    def build(self, input_shape: Shape) -> None:
        """Adds the weights of the plain layer and the ranges."""
        super().build(input_shape)
        for name in RANGE_NAMES:
            setattr(self, name, self._range_weight(name))

    def _range_weight(self, name: str) -> Variable:
        """A new non-trainable weight, 0 at first."""
        raise NotImplementedError

    def _rounded(self, kernel: Tensor) -> Tensor:
        stop_gradient = self.functions.stop_gradient
        quantized = int8_gate_kernel(stop_gradient(kernel), self.functions.array_namespace())
        return straight_through(kernel, quantized, stop_gradient)

    def _range_tensors(self) -> LstmRanges:
        return LstmRanges(*(self.functions.to_tensor(getattr(self, name)) for name in RANGE_NAMES))

    def _step_function(
        self, recurrent: Tensor, dropped: Tensor | None
    ) -> Callable[[Structure, Tensor], Structure]:
        """A step of a call: from hidden state, cell state, and what is not used, and the product of
        input and kernel, to hidden state, cell state, and the hidden state before it is rounded.

        Args:
          recurrent: The recurrent kernel, rounded.
          dropped: What the hidden state is multiplied with; None for nothing.
        """
        ranges = self._range_tensors()
        if current_mode() is SimulationMode.CALIBRATE:
            ranges = ranges.unset()
        xp, stop_gradient = self.functions.array_namespace(), self.functions.stop_gradient

        def step(states: Structure, of_step: Tensor) -> Structure:
            hidden, cell, _ = states
            if dropped is not None:
                hidden = hidden * dropped
            return lstm_step(of_step, hidden, cell, recurrent, ranges, xp, stop_gradient)

        return step

    def _observe(self, hidden: Tensor, cell: Tensor, training: bool | None) -> None:
        """Moves the ranges by the states of a batch, in training and in calibration."""
        is_calibrating = current_mode() is SimulationMode.CALIBRATE
        if not training and not is_calibrating:
            return
        new = observed_ranges(
            self._range_tensors(),
            self.functions.stop_gradient(hidden),
            self.functions.stop_gradient(cell),
            None if is_calibrating else self.ema_decay,
            self.functions.array_namespace(),
        )
        for name in RANGE_NAMES:
            getattr(self, name).assign(getattr(new, name))

    def ranges(self) -> LstmRanges:
        """The ranges of the states, in NumPy."""
        return LstmRanges(
            *(self.functions.eager_value(getattr(self, name)) for name in RANGE_NAMES)
        )

    def output_limits(self) -> tuple[float, float] | None:
        """Smallest and largest value of the hidden state."""
        ranges = self.ranges()
        return ranges.hidden_min, ranges.hidden_max

    def range_flag(self) -> Variable | None:
        """The weight that tells whether the ranges are set."""
        return self.initialized

    def plain(self) -> Layer:
        """The unbuilt layer that this one was made of."""
        return self.plain_class.from_config(unversioned(super().get_config(), self.name))

    def baked_weights(self) -> list[np.ndarray]:
        """The weights of the plain layer, kernels rounded."""
        return [
            int8_gate_kernel(value, np) if value.ndim == 2 else value
            for value in map(self.functions.eager_value, self.cell.weights)
        ]

    def get_config(self) -> Config:
        """Keras configuration."""
        return {**super().get_config(), "ema_decay": self.ema_decay}
