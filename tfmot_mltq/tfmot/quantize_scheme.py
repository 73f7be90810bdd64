"""QuantizeScheme: the layout transform and the registry, for tfmot's ``quantize_apply``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_scheme as tfmot_quantize_scheme,
)

from tfmot_mltq.decomposition import Decomposition
from tfmot_mltq.tfmot.quantize_layout_transform import MultiLevelQuantizeLayoutTransform
from tfmot_mltq.tfmot.quantize_registry import MultiLevelQuantizeRegistry


class MultiLevelQuantizeScheme(tfmot_quantize_scheme.QuantizeScheme):
    """Multi-level weights where the operators can run them, int8 weights and activations elsewhere.

    Args:
      decomposition: For the supported layers; None leaves all that carry no configuration int8.
      int8_layers: Names of layers that stay int8.
    """

    def __init__(
        self, decomposition: Decomposition | None, int8_layers: Collection[str] = ()
    ) -> None:
        self._registry = MultiLevelQuantizeRegistry(decomposition, int8_layers)

    def get_layout_transformer(self) -> Any:
        """TFMOT's interface."""
        return MultiLevelQuantizeLayoutTransform(self._registry)

    def get_quantize_registry(self) -> Any:
        """TFMOT's interface."""
        return self._registry
