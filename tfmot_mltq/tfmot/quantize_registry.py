"""QuantizeRegistry: which configuration a layer gets by its kind."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_registry as tfmot_quantize_registry,
)

from tfmot_mltq.decomposition import Decomposition
from tfmot_mltq.tfmot import quantize_configs as configs
from tfmot_mltq.tfmot.model_graph import takes_one_tensor

layers = tf_keras.layers

MULTI_LEVEL_CONFIGS: dict[type, type] = {
    layers.Conv2D: configs.MultiLevelConv2DQuantizeConfig,
    layers.Conv1D: configs.MultiLevelConv1DQuantizeConfig,
    layers.Dense: configs.MultiLevelDenseQuantizeConfig,
    layers.DepthwiseConv2D: configs.MultiLevelDepthwiseConv2DQuantizeConfig,
    layers.SeparableConv2D: configs.SeparableConv2DQuantizeConfig,
}

_INT8_CONFIGS: dict[type, type] = {
    layers.Conv2D: configs.Int8QuantizeConfig,
    layers.Conv1D: configs.Int8QuantizeConfig,
    layers.Dense: configs.Int8DenseQuantizeConfig,
    layers.DepthwiseConv2D: configs.Int8DepthwiseConv2DQuantizeConfig,
}

# The output holds values of the input (or nothing but zeros), so it keeps its quantization.
_PASS_THROUGH = (
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.GaussianNoise,
    layers.GaussianDropout,
    layers.ActivityRegularization,
    layers.Flatten,
    layers.Reshape,
    layers.Permute,
    layers.RepeatVector,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.Cropping1D,
    layers.Cropping2D,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.Softmax,
)


def unsupported_reason(layer: Any) -> str | None:
    """Why a layer cannot get multi-level weights; None if it can."""
    if type(layer) not in MULTI_LEVEL_CONFIGS:
        kinds = ", ".join(sorted(kind.__name__ for kind in MULTI_LEVEL_CONFIGS))
        return f"its kind, {type(layer).__name__}, is none of {kinds}"
    if getattr(layer, "groups", 1) != 1:
        return f"it has {layer.groups} groups; the operators take ungrouped convolutions"
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return "its data_format is channels_first; TFLite wants channels_last"
    return None


class MultiLevelQuantizeRegistry(tfmot_quantize_registry.QuantizeRegistry):
    """Multi-level weights where the operators can run them, int8 elsewhere.

    Args:
      decomposition: For the supported layers; None leaves all of them int8.
      int8_layers: Names of layers that stay int8.
    """

    def __init__(
        self, decomposition: Decomposition | None, int8_layers: Collection[str] = ()
    ) -> None:
        self._decomposition = decomposition
        self._int8_layers = frozenset(int8_layers)

    def supports(self, layer: Any) -> bool:
        """Every layer that TFMOT's wrapper can call."""
        return all(takes_one_tensor(node) for node in layer._inbound_nodes)

    def get_quantize_config(self, layer: Any) -> configs.OutputQuantizeConfig:
        """The configuration of a layer."""
        kind = type(layer)
        multi_level = (
            self._decomposition is not None
            and layer.name not in self._int8_layers
            and unsupported_reason(layer) is None
        )
        if kind is layers.SeparableConv2D:
            return configs.SeparableConv2DQuantizeConfig(
                self._decomposition if multi_level else None
            )
        if multi_level:
            return MULTI_LEVEL_CONFIGS[kind](self._decomposition)
        if kind in _INT8_CONFIGS:
            return _INT8_CONFIGS[kind]()
        return configs.OutputQuantizeConfig(quantize_output=not isinstance(layer, _PASS_THROUGH))
