"""The layers that simulate int8 activations: behind inputs, and behind functions that cannot be
wrapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.keras import utils as tfmot_utils

from tfmot_mltq.helpers.framework_types import Shape, Tensor, Variable
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.layout.quantize_activation import QuantizeActivationMixin, QuantizeFixedRangeMixin
from tfmot_mltq.tfmot.int8_sums import sum_notes
from tfmot_mltq.tfmot.quantizers import ActivationRangeQuantizer


class QuantizeActivation(QuantizeActivationMixin, tf_keras.layers.Layer):
    """See ``QuantizeActivationMixin``.

    In the place of TFMOT's QuantizeLayer, which cannot be loaded from a .keras file: its build adds
    its weights anew each time.
    """

    sum_notes = staticmethod(sum_notes)

    def __init__(
        self, sites: int = 1, limits: Sequence[float] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(sites, limits, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Adds the range, once."""
        self._quantizer = ActivationRangeQuantizer(sites=self.sites, limits=self.range_limits)
        self._range = self._quantizer.build(input_shape, "output", self)
        super().build(input_shape)

    def call(
        self,
        inputs: Tensor,
        site: int = 0,
        ties_away: bool = False,
        training: bool | Tensor | None = None,
    ) -> Tensor:
        """Quantizes a tensor at one place of the group; same shape and dtype out.

        ``ties_away`` rounds halves to the int8 value further from 0, and not up.
        """
        if training is None:
            training = tf_keras.backend.learning_phase()
        found = self._sums.at(site)
        step = None if found is None else found.step()
        # The phase may be a tensor.
        return tfmot_utils.smart_cond(
            training,
            lambda: self._quantizer(inputs, True, self._range, site, ties_away),
            lambda: self._quantizer(inputs, False, self._range, site, ties_away, step),
        )

    def step(self) -> Tensor:
        """Real value of a step."""
        return self._quantizer.step(self._range)

    def output_limits(self) -> tuple[float, float] | None:
        """Smallest and largest value of the range, as far as it is set."""
        return self._quantizer.limits(self._range)

    def range_flag(self) -> Variable | None:
        """The weight that tells whether the range is set."""
        return self._range["initialized_var"]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape


class QuantizeFixedRange(QuantizeFixedRangeMixin, tf_keras.layers.Layer):
    """See ``QuantizeFixedRangeMixin``."""

    def call(self, inputs: Tensor) -> Tensor:
        """Quantizes a tensor; same shape and dtype out."""
        return self._quantized(inputs)

    def step(self) -> Tensor:
        """Real value of a step."""
        low, high = self.limits
        return tf.constant((high - low) / 255.0, tf.float32)

    @tf.autograph.experimental.do_not_convert
    def _quantized(self, inputs: Tensor) -> Tensor:
        if current_mode() is not SimulationMode.SIMULATE:
            return tf.identity(inputs)  # TFLite's operator does it.
        return tf.quantization.fake_quant_with_min_max_args(inputs, *self.limits)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the input."""
        return input_shape
