"""QuantizeConfigs, one per layer kind: which weights and outputs are quantized, and how."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tensorflow_model_optimization.quantization.keras import QuantizeConfig
from tensorflow_model_optimization.quantization.keras.quantizers import Quantizer

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.helpers.framework_types import Config, Layer, Tensor, Variable
from tfmot_mltq.helpers.saved_config import unversioned, versioned
from tfmot_mltq.layout.layer_kinds import INT8_CHANNEL_AXES, KERNEL_LAYERS, keeps_quantization
from tfmot_mltq.pruning.pruning_spec import PruningSpec
from tfmot_mltq.tfmot.quantizers import (
    ActivationRangeQuantizer,
    Int8WeightQuantizer,
    MultiLevelQuantizer,
)

# An activation function.
Activation = Callable[[Tensor], Tensor]


class OutputQuantizeConfig(QuantizeConfig):
    """Quantizes the output of a layer without weights.

    Args:
      quantize_output: False where the next layer is fused into this one by TFLite, and for layers
        whose output keeps the quantization of their input.
    """

    def __init__(self, quantize_output: bool = True) -> None:
        self.quantize_output = quantize_output

    def get_weights_and_quantizers(self, layer: Layer) -> list[tuple[Variable, Quantizer]]:
        """No weights."""
        return []

    def set_quantize_weights(self, layer: Layer, quantize_weights: list[Tensor]) -> None:
        """No weights."""
        del layer, quantize_weights  # AutoGraph cannot read a body that is only a docstring

    def get_activations_and_quantizers(
        self, layer: Layer
    ) -> list[tuple[Callable[[Tensor], Tensor], Quantizer]]:
        """None: a fused activation is quantized as the output of its layer, and the layout
        transform makes layers of the others.
        """
        return []

    def set_quantize_activations(
        self, layer: Layer, quantize_activations: list[Activation]
    ) -> None:
        """No activations."""
        del layer, quantize_activations

    def get_output_quantizers(self, layer: Layer) -> list[Quantizer]:
        """The range quantizer, unless the range is fixed or the output is not to be quantized."""
        if not self.quantize_output or keeps_quantization(layer):
            return []
        return [ActivationRangeQuantizer()]

    def without_output(self) -> OutputQuantizeConfig:
        """The same configuration, leaving the output to the layer that follows."""
        return self.from_config({**self.get_config(), "quantize_output": False})

    def parts(self) -> list[OutputQuantizeConfig]:
        """Configurations of the layers that stand for one layer, its activation apart."""
        return [self]

    def get_config(self) -> Config:
        """Keras configuration."""
        return versioned({"quantize_output": self.quantize_output})

    @classmethod
    def from_config(cls, config: Config) -> OutputQuantizeConfig:
        """A configuration from its Keras configuration.

        Raises:
          ValueError: A newer version of this package saved it.
        """
        return cls(**unversioned(config, cls.__name__))


class WeightsQuantizeConfig(OutputQuantizeConfig):
    """Base of the layers with a kernel. Subclasses name the kind of layer and the kernel."""

    layer_class = "Conv2D"
    weight_attr = "kernel"
    weight_quantizer: Int8WeightQuantizer | MultiLevelQuantizer

    def get_weights_and_quantizers(self, layer: Layer) -> list[tuple[Variable, Quantizer]]:
        """The kernel and its quantizer."""
        return [(getattr(layer, self.weight_attr), self.weight_quantizer)]

    def set_quantize_weights(self, layer: Layer, quantize_weights: list[Tensor]) -> None:
        """Puts the quantized kernel in place for a call."""
        setattr(layer, self.weight_attr, quantize_weights[0])

    def get_config(self) -> Config:
        """Keras configuration."""
        pruning = self.weight_quantizer.pruning
        config = super().get_config()
        return config if pruning is None else {**config, "pruning": pruning.get_config()}


class Int8QuantizeConfig(WeightsQuantizeConfig):
    """Stock int8 weights, one scale per output channel: Conv2D, Conv1D.

    Args:
      quantize_output: See ``OutputQuantizeConfig``.
      pruning: How the kernel is pruned, a ``PruningSpec`` or its configuration; None for not.
    """

    def __init__(
        self,
        quantize_output: bool = True,
        pruning: PruningSpec | Config | None = None,
    ) -> None:
        super().__init__(quantize_output)
        axes = INT8_CHANNEL_AXES[self.layer_class]
        self.weight_quantizer = Int8WeightQuantizer(axes, pruning)


class Int8DenseQuantizeConfig(Int8QuantizeConfig):
    """Stock int8 weights, one scale per tensor: Dense."""

    layer_class = "Dense"


class Int8Conv1DTransposeQuantizeConfig(Int8QuantizeConfig):
    """Stock int8 weights, one scale per output channel: Conv1DTranspose."""

    layer_class = "Conv1DTranspose"


class Int8Conv2DTransposeQuantizeConfig(Int8QuantizeConfig):
    """Stock int8 weights, one scale per output channel: Conv2DTranspose."""

    layer_class = "Conv2DTranspose"


class Int8EinsumDenseQuantizeConfig(Int8QuantizeConfig):
    """Stock int8 weights, one scale per tensor: EinsumDense."""

    layer_class = "EinsumDense"


class Int8DepthwiseConv2DQuantizeConfig(Int8QuantizeConfig):
    """Stock int8 weights: DepthwiseConv2D."""

    layer_class = "DepthwiseConv2D"
    weight_attr = "depthwise_kernel"


class Int8DepthwiseConv1DQuantizeConfig(Int8QuantizeConfig):
    """Stock int8 weights: DepthwiseConv1D."""

    layer_class = "DepthwiseConv1D"
    weight_attr = "depthwise_kernel"


class MultiLevelQuantizeConfig(WeightsQuantizeConfig):
    """Base of the multi-level configurations.

    Args:
      decomposition: ``MultiLevelConfig`` or its fields as a dict.
      quantize_output: See ``OutputQuantizeConfig``.
      pruning: How the kernel is pruned, a ``PruningSpec`` or its configuration; None for not.
    """

    def __init__(
        self,
        decomposition: MultiLevelConfig | Config,
        quantize_output: bool = True,
        pruning: PruningSpec | Config | None = None,
    ) -> None:
        super().__init__(quantize_output)
        axes = KERNEL_LAYERS[self.layer_class].channel_axes
        self.weight_quantizer = MultiLevelQuantizer(decomposition, axes, pruning)

    @property
    def decomposition(self) -> MultiLevelConfig:
        """How the kernel is decomposed."""
        return self.weight_quantizer.spec

    def get_config(self) -> Config:
        """Keras configuration."""
        return {"decomposition": dataclasses.asdict(self.decomposition), **super().get_config()}


def has_levels(layer: Layer) -> bool:
    """Whether a layer is wrapped with such a configuration."""
    return isinstance(getattr(layer, "quantize_config", None), MultiLevelQuantizeConfig)


class MultiLevelConv2DQuantizeConfig(MultiLevelQuantizeConfig):
    """Conv2D: kernel (height, width, input channels, output channels)."""


class MultiLevelConv1DQuantizeConfig(MultiLevelQuantizeConfig):
    """Conv1D: kernel (width, input channels, output channels)."""

    layer_class = "Conv1D"


class MultiLevelDenseQuantizeConfig(MultiLevelQuantizeConfig):
    """Dense: kernel (inputs, outputs)."""

    layer_class = "Dense"


class MultiLevelDepthwiseConv2DQuantizeConfig(MultiLevelQuantizeConfig):
    """DepthwiseConv2D: kernel (height, width, channels, multiplier)."""

    layer_class = "DepthwiseConv2D"
    weight_attr = "depthwise_kernel"


class MultiLevelDepthwiseConv1DQuantizeConfig(MultiLevelQuantizeConfig):
    """DepthwiseConv1D: kernel (width, channels, multiplier)."""

    layer_class = "DepthwiseConv1D"
    weight_attr = "depthwise_kernel"


class SeparableConv2DQuantizeConfig(OutputQuantizeConfig):
    """SeparableConv2D: the layout transform splits it, and takes the parts' configurations.

    Args:
      decomposition: ``MultiLevelConfig``, its fields as a dict, or None for int8 weights.
      quantize_output: See ``OutputQuantizeConfig``.
    """

    int8_configs: tuple[type, type] = (Int8DepthwiseConv2DQuantizeConfig, Int8QuantizeConfig)
    multi_level_configs: tuple[type, type] = (
        MultiLevelDepthwiseConv2DQuantizeConfig,
        MultiLevelConv2DQuantizeConfig,
    )

    def __init__(
        self,
        decomposition: MultiLevelConfig | Config | None,
        quantize_output: bool = True,
    ) -> None:
        super().__init__(quantize_output)
        self.decomposition = decomposition

    def parts(self) -> list[OutputQuantizeConfig]:
        """Configurations of the depthwise and of the pointwise convolution."""
        if self.decomposition is None:
            depthwise, pointwise = self.int8_configs
            return [depthwise(), pointwise(self.quantize_output)]
        depthwise, pointwise = self.multi_level_configs
        return [
            depthwise(self.decomposition),
            pointwise(self.decomposition, self.quantize_output),
        ]

    def get_config(self) -> Config:
        """Keras configuration."""
        spec = self.decomposition
        if isinstance(spec, MultiLevelConfig):
            spec = dataclasses.asdict(spec)
        return {"decomposition": spec, **super().get_config()}


class SeparableConv1DQuantizeConfig(SeparableConv2DQuantizeConfig):
    """SeparableConv1D: as SeparableConv2D."""

    int8_configs = (Int8DepthwiseConv1DQuantizeConfig, Int8QuantizeConfig)
    multi_level_configs = (
        MultiLevelDepthwiseConv1DQuantizeConfig,
        MultiLevelConv1DQuantizeConfig,
    )
