"""The mark on a layer that ``quantize_apply`` is to quantize."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from tfmot_mltq.config import MultiLevelConfig, as_config
from tfmot_mltq.helpers.framework_types import Config, Layer, Shape, Tensor
from tfmot_mltq.helpers.saved_layer import SavedLayer


class QuantizeAnnotate(SavedLayer, keras.layers.Wrapper):
    """Calls a layer as it is, and says how it is to be quantized.

    Args:
      layer: The layer.
      decomposition: ``MultiLevelConfig`` or its fields as a dict.
    """

    def __init__(
        self, layer: Layer, decomposition: MultiLevelConfig | Config, **kwargs: Any
    ) -> None:
        kwargs.setdefault("name", f"quantize_annotate_{layer.name}")
        super().__init__(layer, **kwargs)
        self.decomposition = as_config(decomposition)

    def call(self, inputs: Tensor) -> Tensor:
        """What the layer gives."""
        return self.layer(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The layer's."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> Config:
        """Keras configuration."""
        return {**super().get_config(), "decomposition": dataclasses.asdict(self.decomposition)}
