"""The layers that simulate int8 activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfmot_mltq.helpers.framework_types import Config, Layer, Shape, Tensor, Variable
from tfmot_mltq.helpers.saved_layer import SavedLayer
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.keras.fake_quantize import fake_quantize
from tfmot_mltq.keras.int8_sums import sum_notes
from tfmot_mltq.keras.tensor_functions import TENSOR_FUNCTIONS
from tfmot_mltq.layout.activation_range import ActivationRange, RangeWeights
from tfmot_mltq.layout.quantize_activation import QuantizeActivationMixin, QuantizeFixedRangeMixin


def range_weight(layer: Layer, name: str, shape: tuple[int, ...] = ()) -> Variable:
    """A new non-trainable float32 weight of a layer that holds a part of a range; 0 at first."""
    return layer.add_weight(
        name=name,
        shape=shape,
        initializer="zeros",
        dtype="float32",
        trainable=False,
        autocast=False,
        aggregation="mean",
    )


class QuantizeActivation(SavedLayer, QuantizeActivationMixin, keras.layers.Layer):
    """Int8 fake quantization of a tensor, to 256 steps of a range.

    The range is an exponential moving average of the batch minima and maxima of training, or what
    ``calibrate`` found, and holds 0. Until one of them has set it, tensors pass through. It is kept
    in three non-trainable float32 weights: ``range_min``, ``range_max``, ``initialized``.

    A group of tensors that TFLite stores with one scale has one layer, which is called at several
    places of the graph: the weights have a value for each place, and all of the group are quantized
    to the range that holds those of all places.

    Args:
      ema_decay: Decay of the moving average.
      sites: Places at which the layer is called; the weights are scalars for one, and else of shape
        (sites,).
      limits: What the range does not exceed, smallest and largest value; None for no limits.
    """

    sum_notes = staticmethod(sum_notes)

    def __init__(
        self,
        ema_decay: float = 0.99,
        sites: int = 1,
        limits: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(sites, limits, autocast=False, **kwargs)
        self.ema_decay = ema_decay
        self.supports_masking = True
        self._range = ActivationRange(
            TENSOR_FUNCTIONS, fake_quantize, ema_decay, sites, self.range_limits
        )

    def build(self, input_shape: Shape) -> None:
        """Adds the range."""
        shape = () if self.sites == 1 else (self.sites,)
        self.range_min, self.range_max, self.initialized = (
            range_weight(self, name, shape) for name in ("range_min", "range_max", "initialized")
        )

    def call(
        self,
        inputs: Tensor,
        site: int = 0,
        ties_away: bool = False,
        training: bool | None = None,
    ) -> Tensor:
        """Quantizes a tensor at one place of the group; same shape and dtype out.

        ``ties_away`` rounds halves to the int8 value further from 0, and not up.
        """
        found = None if training else self._sums.at(site)
        result = self._range.quantized(
            ops.cast(inputs, "float32"),
            self._range_weights,
            training,
            site,
            ties_away,
            None if found is None else found.step(),
        )
        return ops.cast(result, inputs.dtype)

    @property
    def _range_weights(self) -> RangeWeights:
        return self.range_min, self.range_max, self.initialized

    def output_limits(self) -> tuple[float, float]:
        """Smallest and largest value of the range, as far as it is set."""
        return self._range.eager_limits(self._range_weights)

    def step(self) -> Tensor:
        """Real value of a step, on the backend; not 0 where no range is set yet."""
        return self._range.step(self._range_weights)

    def range_flag(self) -> Variable | None:
        """The weight that tells whether the range is set."""
        return self.initialized

    def compute_output_spec(self, inputs: Tensor, **arguments: Any) -> Tensor:
        """The shape and dtype of the input."""
        del arguments
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self) -> Config:
        """Keras configuration."""
        return {**super().get_config(), "ema_decay": self.ema_decay}


class QuantizeFixedRange(SavedLayer, QuantizeFixedRangeMixin, keras.layers.Layer):
    """See ``QuantizeFixedRangeMixin``."""

    def __init__(self, limits: Sequence[float], **kwargs: Any) -> None:
        super().__init__(limits, autocast=False, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        """Quantizes a tensor; same shape and dtype out."""
        if current_mode() is not SimulationMode.SIMULATE:
            return inputs  # TFLite's operator does it.
        low, high = (ops.convert_to_tensor(limit, "float32") for limit in self.limits)
        return ops.cast(fake_quantize(ops.cast(inputs, "float32"), low, high), inputs.dtype)

    def step(self) -> Tensor:
        """Real value of a step, on the backend."""
        low, high = self.limits
        return ops.convert_to_tensor((high - low) / 255.0, "float32")

    def compute_output_spec(self, inputs: Tensor) -> Tensor:
        """The shape and dtype of the input."""
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)
