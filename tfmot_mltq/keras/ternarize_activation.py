"""The layer that cuts activations into levels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfmot_mltq.helpers.framework_types import Shape, Tensor
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.keras.tensor_functions import TENSOR_FUNCTIONS
from tfmot_mltq.layout.ternarize_activation import TernarizeActivationMixin
from tfmot_mltq.mathematics.activation_levels import starting_weights


class TernarizeActivation(TernarizeActivationMixin, keras.layers.Layer):
    """See ``TernarizeActivationMixin``."""

    functions = TENSOR_FUNCTIONS

    def __init__(self, levels: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(levels, *args, autocast=False, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Adds the scales and thresholds."""
        start = starting_weights(self.levels, self.kind)
        for name, (shape, value, trainable) in start.items():
            weight = self.add_weight(
                name=name,
                shape=shape,
                initializer=keras.initializers.Constant(value),
                dtype="float32",
                trainable=trainable,
                autocast=False,
                **({} if trainable else {"aggregation": "mean"}),
            )
            setattr(self, name, weight)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Cuts a tensor into levels; same shape and dtype out."""
        if current_mode() is SimulationMode.CONVERT:
            return inputs  # The operator does it.
        return ops.cast(self.cut(ops.cast(inputs, "float32"), training), inputs.dtype)

    def compute_output_spec(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """The shape and dtype of the input."""
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)
