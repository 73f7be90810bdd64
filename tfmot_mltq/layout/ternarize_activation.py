"""What the layers that cut activations into levels have in common in both frameworks."""

from __future__ import annotations

from typing import Any

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.helpers.framework_types import Config, Layer, Tensor, Variable
from tfmot_mltq.helpers.saved_layer import SavedLayer
from tfmot_mltq.helpers.simulation_mode import SimulationMode, current_mode
from tfmot_mltq.layout.layer_kinds import check_activation_levels
from tfmot_mltq.layout.quantized_layer import QuantizedLayer
from tfmot_mltq.layout.tensor_functions import TensorFunctions
from tfmot_mltq.mathematics.activation_levels import (
    ActivationLevels,
    fixed_levels,
    nonzero_share,
    starting_scales,
    trained_scales,
    trained_value,
)


class TernarizeActivationMixin(SavedLayer, QuantizedLayer):
    """Multi-level ternary (or binary) activations, in front of a layer with multi-level weights.

    The first batch of training, or ``calibrate``, sets the scales; until then tensors pass through.
    They are the products of the non-trainable ``base`` and the trainable ``factors``; the trainable
    ``thresholds`` are in units of the scales. All have shape (levels,) and are float32.

    Args:
      levels: Levels K.
      kind: "ternary" or "binary".
      sparsity_penalty: Weight of the share of entries that are not zero, in the loss.

    Attributes:
      functions: Of the framework.
    """

    functions: TensorFunctions
    # Weights.
    base: Variable
    factors: Variable
    thresholds: Variable
    initialized: Variable

    def __init__(
        self,
        levels: int,
        kind: str = "ternary",
        sparsity_penalty: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.levels = levels
        self.kind = kind
        self.sparsity_penalty = sparsity_penalty

    def cut(self, values: Tensor, training: bool | None) -> Tensor:
        """A float32 tensor in levels; in calibration as it is, which sets the scales."""
        xp = self.functions.array_namespace()
        to_tensor, stop_gradient = self.functions.to_tensor, self.functions.stop_gradient
        is_calibrating = current_mode() is SimulationMode.CALIBRATE
        base, initialized = to_tensor(self.base), to_tensor(self.initialized)
        if training or is_calibrating:
            start = starting_scales(stop_gradient(values), self.levels, self.kind, xp)
            base = xp.where(initialized > 0, base, start)
            self.base.assign(base)
            self.initialized.assign(1.0)
        if is_calibrating:
            return values
        scales = trained_scales(base, to_tensor(self.factors), xp, stop_gradient)
        thresholds = to_tensor(self.thresholds)
        if training and self.sparsity_penalty:
            share = nonzero_share(values, scales, thresholds, xp, stop_gradient)
            self.add_loss(self.sparsity_penalty * share)
        result = trained_value(values, scales, thresholds, self.kind, xp, stop_gradient)
        return result if training else xp.where(initialized > 0, result, values)

    def activation_levels(self) -> ActivationLevels:
        """The trained levels."""
        base, factors, thresholds = map(
            self.functions.eager_value, (self.base, self.factors, self.thresholds)
        )
        return fixed_levels(base, factors, thresholds, self.kind)

    def range_flag(self) -> Variable | None:
        """The weight that tells whether the scales are set."""
        return self.initialized

    def get_config(self) -> Config:
        """Keras configuration."""
        return {
            **super().get_config(),
            "levels": self.levels,
            "kind": self.kind,
            "sparsity_penalty": self.sparsity_penalty,
        }


def ternarize_layers(
    layer: Layer, config: MultiLevelConfig | None, layer_class: type[TernarizeActivationMixin]
) -> list[Layer]:
    """What cuts the input of a layer into levels, if its configuration asks for it.

    Args:
      layer: The layer.
      config: Of the layer; None for int8.
      layer_class: Of the framework.
    """
    if config is None or not config.activations.levels:
        return []
    check_activation_levels(layer, config)
    options = config.activations
    return [
        layer_class(
            options.levels, config.kind, options.sparsity_penalty, name=f"ternarize_{layer.name}"
        )
    ]
