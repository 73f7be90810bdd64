"""QuantizeRegistry: which configuration a layer gets by its kind."""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_registry as tfmot_quantize_registry,
)

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.helpers.framework_types import Layer
from tfmot_mltq.layout.layer_kinds import kind_of, unsupported_reason
from tfmot_mltq.tfmot import quantize_configs as configs
from tfmot_mltq.tfmot.model_graph import takes_one_tensor

_SEPARABLE_CONFIGS: dict[str, type[configs.SeparableConv2DQuantizeConfig]] = {
    "SeparableConv1D": configs.SeparableConv1DQuantizeConfig,
    "SeparableConv2D": configs.SeparableConv2DQuantizeConfig,
}

MULTI_LEVEL_CONFIGS: dict[
    str, type[configs.MultiLevelQuantizeConfig] | type[configs.SeparableConv2DQuantizeConfig]
] = {
    "Conv2D": configs.MultiLevelConv2DQuantizeConfig,
    "Conv1D": configs.MultiLevelConv1DQuantizeConfig,
    "Dense": configs.MultiLevelDenseQuantizeConfig,
    "DepthwiseConv1D": configs.MultiLevelDepthwiseConv1DQuantizeConfig,
    "DepthwiseConv2D": configs.MultiLevelDepthwiseConv2DQuantizeConfig,
    **_SEPARABLE_CONFIGS,
}

_INT8_CONFIGS: dict[str, type[configs.Int8QuantizeConfig]] = {
    "Conv2D": configs.Int8QuantizeConfig,
    "Conv1D": configs.Int8QuantizeConfig,
    "Conv1DTranspose": configs.Int8Conv1DTransposeQuantizeConfig,
    "Conv2DTranspose": configs.Int8Conv2DTransposeQuantizeConfig,
    "Dense": configs.Int8DenseQuantizeConfig,
    "EinsumDense": configs.Int8EinsumDenseQuantizeConfig,
    "DepthwiseConv1D": configs.Int8DepthwiseConv1DQuantizeConfig,
    "DepthwiseConv2D": configs.Int8DepthwiseConv2DQuantizeConfig,
}


class MultiLevelQuantizeRegistry(tfmot_quantize_registry.QuantizeRegistry):
    """Multi-level weights where the operators can run them, int8 elsewhere.

    Args:
      config: Of the supported layers; None leaves them int8.
      per_layer: Configurations of single layers by name; None leaves a layer int8.
    """

    def __init__(
        self,
        config: MultiLevelConfig | None,
        per_layer: Mapping[str, MultiLevelConfig | None],
    ) -> None:
        self._config = config
        self._per_layer = per_layer

    def supports(self, layer: Layer) -> bool:
        """Every layer that TFMOT's wrapper can call."""
        return all(takes_one_tensor(node) for node in layer._inbound_nodes)

    def get_quantize_config(self, layer: Layer) -> configs.OutputQuantizeConfig:
        """The configuration of a layer."""
        kind = kind_of(layer)
        config = self._per_layer.get(layer.name, self._config)
        if unsupported_reason(layer) is not None:
            config = None
        if kind in _SEPARABLE_CONFIGS:
            return _SEPARABLE_CONFIGS[kind](config)
        if config is not None:
            return MULTI_LEVEL_CONFIGS[kind](config)
        return _INT8_CONFIGS.get(kind, configs.OutputQuantizeConfig)()
