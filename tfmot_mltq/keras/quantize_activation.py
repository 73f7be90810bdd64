"""The layer that simulates int8 activations."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfmot_mltq import int8_simulation
from tfmot_mltq.keras.array_namespace import array_namespace
from tfmot_mltq.keras.eager_value import eager_value
from tfmot_mltq.keras.fake_quantize import fake_quantize
from tfmot_mltq.keras.saved_layer import SavedLayer
from tfmot_mltq.simulation_mode import SimulationMode, current_mode


class QuantizeActivation(SavedLayer, keras.layers.Layer):
    """Int8 fake quantization of a tensor, to 256 steps of a range.

    The range is an exponential moving average of the batch minima and maxima of training, or what
    ``calibrate`` found, and holds 0. Until one of them has set it, tensors pass through. It is kept
    in three non-trainable scalar float32 weights: ``range_min``, ``range_max``, ``initialized``.

    Args:
      ema_decay: Decay of the moving average.
    """

    def __init__(self, ema_decay: float = 0.99, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.ema_decay = ema_decay
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Adds the range."""
        for name in ("range_min", "range_max", "initialized"):
            weight = self.add_weight(
                name=name,
                shape=(),
                initializer="zeros",
                dtype="float32",
                trainable=False,
                autocast=False,
                aggregation="mean",
            )
            setattr(self, name, weight)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Quantizes a tensor; same shape and dtype out."""
        values = ops.cast(inputs, "float32")
        mode = current_mode()
        if mode is SimulationMode.EXPORT:
            low, high = eager_value(self.range_min), eager_value(self.range_max)
            return fake_quantize(values, low, high)
        current, initialized = self._range()
        xp = array_namespace()
        if mode is SimulationMode.CALIBRATE:
            # Extremes of all batches. A pass starts with the range reset, see `calibrate`.
            batch = int8_simulation.batch_range(ops.stop_gradient(values), xp)
            self._set_range(int8_simulation.widened_range(current, initialized, batch, xp))
            return inputs
        if training:
            batch = int8_simulation.batch_range(ops.stop_gradient(values), xp)
            current = int8_simulation.moving_range(current, initialized, batch, self.ema_decay, xp)
            self._set_range(current)
            return ops.cast(fake_quantize(values, *current), inputs.dtype)
        quantized = ops.where(initialized > 0, fake_quantize(values, *current), values)
        return ops.cast(quantized, inputs.dtype)

    def _range(self) -> tuple[tuple[Any, Any], Any]:
        low, high, initialized = (
            ops.convert_to_tensor(weight)
            for weight in (self.range_min, self.range_max, self.initialized)
        )
        return (low, high), initialized

    def _set_range(self, limits: tuple[Any, Any]) -> None:
        self.range_min.assign(limits[0])
        self.range_max.assign(limits[1])
        self.initialized.assign(1.0)

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """The shape and dtype of the input."""
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {**super().get_config(), "ema_decay": self.ema_decay}
