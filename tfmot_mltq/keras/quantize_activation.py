"""The layers that simulate int8 activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfmot_mltq.helpers.framework_types import Config, Layer, Shape, Tensor, Variable
from tfmot_mltq.helpers.saved_layer import SavedLayer
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.keras.array_namespace import array_namespace
from tfmot_mltq.keras.eager_value import eager_value
from tfmot_mltq.keras.fake_quantize import fake_quantize
from tfmot_mltq.keras.int8_sums import sum_notes
from tfmot_mltq.layout.quantize_activation import QuantizeActivationMixin, QuantizeFixedRangeMixin
from tfmot_mltq.mathematics import int8_simulation
from tfmot_mltq.mathematics.decomposition import straight_through


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
        values = ops.cast(inputs, "float32")
        mode = current_mode()
        if mode is SimulationMode.CONVERT:
            return fake_quantize(values, *self.output_limits())
        current, initialized = self._range_at(site)
        xp = array_namespace()
        if mode is SimulationMode.CALIBRATE:
            # Extremes of all batches. A pass starts with the range reset, see `calibrate`.
            batch = self._batch_range(values)
            widened = int8_simulation.widened_range(current, initialized, batch, xp)
            self._set_range(site, widened)
            return inputs
        if training:
            batch = self._batch_range(values)
            current = int8_simulation.moving_range(current, initialized, batch, self.ema_decay, xp)
            self._set_range(site, current)
            if self.sites > 1:
                current, _ = self._joined_range()
            if ties_away:
                values = int8_simulation.with_ties_away(values, current, xp)
            return ops.cast(fake_quantize(values, *current), inputs.dtype)
        if self.sites > 1:
            current, initialized = self._joined_range()
        found = self._sums.at(site)
        if found is not None:
            rounded = int8_simulation.rounded_twice(
                ops.stop_gradient(values), found.step(), self.step(), xp
            )
            values = straight_through(values, rounded, ops.stop_gradient)
        if ties_away:
            values = int8_simulation.with_ties_away(values, current, xp)
        quantized = ops.where(initialized > 0, fake_quantize(values, *current), values)
        return ops.cast(quantized, inputs.dtype)

    def _batch_range(self, values: Tensor) -> tuple[Tensor, Tensor]:
        return int8_simulation.batch_range(
            ops.stop_gradient(values), array_namespace(), self.range_limits
        )

    def output_limits(self) -> tuple[float, float]:
        """Smallest and largest value of the range, as far as it is set."""
        weights = (self.range_min, self.range_max, self.initialized)
        low, high, initialized = (np.atleast_1d(eager_value(weight)) for weight in weights)
        return int8_simulation.joined_range((low, high), initialized, np)

    def step(self) -> Tensor:
        """Real value of a step, on the backend; not 0 where no range is set yet."""
        (low, high), _ = self._joined_range() if self.sites > 1 else self._range_at(0)
        return ops.maximum(high - low, 1e-30) / 255.0

    def range_flag(self) -> Variable | None:
        """The weight that tells whether the range is set."""
        return self.initialized

    def _weights(self) -> tuple[Tensor, Tensor, Tensor]:
        low, high, initialized = (
            ops.convert_to_tensor(weight)
            for weight in (self.range_min, self.range_max, self.initialized)
        )
        return low, high, initialized

    def _range_at(self, site: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        low, high, initialized = self._weights()
        if self.sites > 1:
            low, high, initialized = low[site], high[site], initialized[site]
        return (low, high), initialized

    def _joined_range(self) -> tuple[tuple[Tensor, Tensor], Tensor]:
        low, high, initialized = self._weights()
        joined = int8_simulation.joined_range((low, high), initialized, array_namespace())
        return joined, ops.max(initialized)

    def _set_range(self, site: int, limits: tuple[Tensor, Tensor]) -> None:
        weights = (self.range_min, self.range_max, self.initialized)
        values = (*limits, ops.ones_like(limits[0]))
        for weight, value in zip(weights, values, strict=True):
            if self.sites > 1:
                old = ops.convert_to_tensor(weight)
                value = int8_simulation.with_value_at(old, site, value, array_namespace())
            weight.assign(value)

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
