"""The layer that cuts activations into levels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfmot_mltq.helpers.framework_types import Config, Shape, Tensor
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.keras.array_namespace import array_namespace
from tfmot_mltq.keras.eager_value import eager_value
from tfmot_mltq.keras.saved_layer import SavedLayer
from tfmot_mltq.mathematics import activation_levels as mathematics
from tfmot_mltq.mathematics.activation_levels import ActivationLevels


class TernarizeActivation(SavedLayer, keras.layers.Layer):
    """Multi-level ternary (or binary) activations, in front of a layer with multi-level weights.

    The first batch of training, or ``calibrate``, sets the scales; until then tensors pass through.
    They are the products of the non-trainable ``base`` and the trainable ``factors``; the trainable
    ``thresholds`` are in units of the scales. All have shape (levels,) and are float32.

    Args:
      levels: Levels K.
      kind: "ternary" or "binary".
      sparsity_penalty: Weight of the share of entries that are not zero, in the loss.
    """

    def __init__(
        self,
        levels: int,
        kind: str = "ternary",
        sparsity_penalty: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.levels = levels
        self.kind = kind
        self.sparsity_penalty = sparsity_penalty
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Adds the scales and thresholds."""
        start = mathematics.starting_weights(self.levels, self.kind)
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
        mode = current_mode()
        if mode is SimulationMode.CONVERT:
            return inputs  # The operator does it.
        values = ops.cast(inputs, "float32")
        xp = array_namespace()
        base, initialized = (
            ops.convert_to_tensor(weight) for weight in (self.base, self.initialized)
        )
        if training or mode is SimulationMode.CALIBRATE:
            start = mathematics.starting_scales(
                ops.stop_gradient(values), self.levels, self.kind, xp
            )
            base = ops.where(initialized > 0, base, start)
            self.base.assign(base)
            self.initialized.assign(1.0)
        if mode is SimulationMode.CALIBRATE:
            return inputs
        scales = mathematics.trained_scales(
            base, ops.convert_to_tensor(self.factors), xp, ops.stop_gradient
        )
        thresholds = ops.convert_to_tensor(self.thresholds)
        if training and self.sparsity_penalty:
            share = mathematics.nonzero_share(values, scales, thresholds, xp, ops.stop_gradient)
            self.add_loss(self.sparsity_penalty * share)
        result = mathematics.trained_value(
            values, scales, thresholds, self.kind, xp, ops.stop_gradient
        )
        if not training:
            result = ops.where(initialized > 0, result, values)
        return ops.cast(result, inputs.dtype)

    def activation_levels(self) -> ActivationLevels:
        """The trained levels."""
        base, factors, thresholds = (
            eager_value(weight) for weight in (self.base, self.factors, self.thresholds)
        )
        return mathematics.fixed_levels(base, factors, thresholds, self.kind)

    def compute_output_spec(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """The shape and dtype of the input."""
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self) -> Config:
        """Keras configuration."""
        return {
            **super().get_config(),
            "levels": self.levels,
            "kind": self.kind,
            "sparsity_penalty": self.sparsity_penalty,
        }
