"""QuantizeScheme: the layout transform and the registry, for tfmot's ``quantize_apply``."""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_scheme as tfmot_quantize_scheme,
)

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.tfmot.quantize_layout_transform import MultiLevelQuantizeLayoutTransform
from tfmot_mltq.tfmot.quantize_registry import MultiLevelQuantizeRegistry


class MultiLevelQuantizeScheme(tfmot_quantize_scheme.QuantizeScheme):
    """Multi-level weights where the operators can run them, int8 weights and activations elsewhere.

    Args:
      config: Of the supported layers; None leaves all that carry no configuration int8.
      per_layer: Configurations of single layers by name; None leaves a layer int8.
    """

    def __init__(
        self,
        config: MultiLevelConfig | None,
        per_layer: Mapping[str, MultiLevelConfig | None] | None = None,
    ) -> None:
        self._registry = MultiLevelQuantizeRegistry(config, per_layer or {})

    def get_layout_transformer(self) -> MultiLevelQuantizeLayoutTransform:
        """TFMOT's interface."""
        return MultiLevelQuantizeLayoutTransform(self._registry)

    def get_quantize_registry(self) -> MultiLevelQuantizeRegistry:
        """TFMOT's interface."""
        return self._registry
