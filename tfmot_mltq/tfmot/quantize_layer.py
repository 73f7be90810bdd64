"""A layer that only quantizes: behind inputs, and behind functions that cannot be wrapped."""

from __future__ import annotations

from typing import Any

import tf_keras
from tensorflow_model_optimization.python.core.keras import utils as tfmot_utils

from tfmot_mltq.tfmot.quantizers import ActivationRangeQuantizer


class QuantizeActivation(tf_keras.layers.Layer):
    """Int8 fake quantization of a tensor.

    In the place of TFMOT's QuantizeLayer, which cannot be loaded from a .keras file: its build adds
    its weights anew each time.
    """

    def build(self, input_shape: Any) -> None:
        """Adds the range, once."""
        self._quantizer = ActivationRangeQuantizer()
        self._range = self._quantizer.build(input_shape, "output", self)
        super().build(input_shape)

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Quantizes a tensor; same shape and dtype out."""
        if training is None:
            training = tf_keras.backend.learning_phase()
        # The phase may be a tensor.
        return tfmot_utils.smart_cond(
            training,
            lambda: self._quantizer(inputs, True, self._range),
            lambda: self._quantizer(inputs, False, self._range),
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the input."""
        return input_shape
