"""What is known about each kind of Keras layer, by class name, for tf_keras and Keras 3 alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from tfmot_mltq.config import MultiLevelConfig
from tfmot_mltq.errors import UnsupportedModelError
from tfmot_mltq.helpers.framework_types import Layer
from tfmot_mltq.layout.frameworks import FRAMEWORKS
from tfmot_mltq.packing.format import OperatorKind


@dataclasses.dataclass(frozen=True)
class KernelLayer:
    """A layer kind with a kernel that the operators can run.

    Attributes:
      operator: Operator that runs it.
      channel_axes: How many trailing axes of the kernel make up the output channels.
    """

    operator: OperatorKind
    channel_axes: int


KERNEL_LAYERS = {
    "Conv2D": KernelLayer(OperatorKind.CONV_2D, 1),
    "Conv1D": KernelLayer(OperatorKind.CONV_2D, 1),
    "Dense": KernelLayer(OperatorKind.FULLY_CONNECTED, 1),
    "DepthwiseConv1D": KernelLayer(OperatorKind.DEPTHWISE_CONV_2D, 2),
    "DepthwiseConv2D": KernelLayer(OperatorKind.DEPTHWISE_CONV_2D, 2),
}
# Layers whose kernel TFLite stores as int8: the axes that have a scale for each index.
INT8_CHANNEL_AXES: dict[str, tuple[int, ...]] = {
    "Conv2D": (-1,),
    "Conv1D": (-1,),
    "Conv1DTranspose": (-2,),
    "Conv2DTranspose": (-2,),
    "Dense": (),
    "DepthwiseConv1D": (-2, -1),
    "DepthwiseConv2D": (-2, -1),
    "EinsumDense": (),
}
# Layers that are two of the above: a depthwise and a pointwise convolution.
SEPARABLE_LAYERS = {
    "SeparableConv1D": ("DepthwiseConv1D", "Conv1D"),
    "SeparableConv2D": ("DepthwiseConv2D", "Conv2D"),
}
_MULTI_LEVEL = frozenset({*KERNEL_LAYERS, *SEPARABLE_LAYERS})

# The output holds values of the input (or nothing but zeros), so it keeps its quantization.
_PASS_THROUGH = frozenset({
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout",
    "ActivityRegularization", "Flatten", "Reshape", "Permute", "RepeatVector", "ZeroPadding1D",
    "ZeroPadding2D", "Cropping1D", "Cropping2D", "MaxPooling1D", "MaxPooling2D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "Softmax",
    # Operations of Keras 3, such as keras.ops.transpose.
    "Transpose", "Squeeze", "ExpandDims", "GetItem", "MaxPool",
})  # fmt: skip

# The output of these TFLite operators has a fixed range.
_FIXED_RANGE_ACTIVATIONS = frozenset({"softmax", "sigmoid", "tanh"})

# Exact classes: Conv2DTranspose, a subclass of Conv2D in tf_keras, fuses neither.
_RELU_FUSING = frozenset({
    *_MULTI_LEVEL, "BatchNormalization", "Add", "Subtract", "Multiply",
    "__operators__.add", "math.add", "math.subtract", "math.multiply",
})  # fmt: skip
_ACTIVATION_HOLDERS = frozenset({
    *_MULTI_LEVEL, "Conv1DTranspose", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "EinsumDense",
})  # fmt: skip
# hard_tanh is RELU_N1_TO_1.
_RELUS = frozenset({"relu", "relu6", "hard_tanh"})
_RELU_OPERATIONS = frozenset({"HardTanh", "Relu", "Relu6", "nn.relu", "nn.relu6"})


def kind_of(layer: Layer) -> str:
    """Class name of a layer or operation of Keras; "" for classes of others, subclasses included.

    Of a quantized layer it is that of the plain layer. Of a layer that tf_keras makes of a call
    such as `x + y` it is the function that the layer runs, for example "__operators__.add".
    """
    cls = getattr(layer, "plain_class", type(layer))
    if _root(cls) not in FRAMEWORKS:
        return ""
    if "OpLambda" in cls.__name__:
        return layer.get_config()["function"]
    return cls.__name__


def is_a(layer: Layer, kinds: Collection[str]) -> bool:
    """Whether the layer's class is, or inherits from, one of these kinds of Keras."""
    return any(base.__name__ in kinds and _root(base) in FRAMEWORKS for base in type(layer).__mro__)


def _root(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def activation_name(layer: Layer) -> str:
    """Name of a layer's activation; "linear" for layers without."""
    activation = getattr(layer, "activation", None)
    return getattr(activation, "__name__", type(activation).__name__) if activation else "linear"


def unsupported_reason(layer: Layer) -> str | None:
    """Why a layer cannot get multi-level weights; None if it can."""
    if kind_of(layer) not in _MULTI_LEVEL:
        kinds = ", ".join(sorted(_MULTI_LEVEL))
        return f"its class, {type(layer).__name__}, is not one of {kinds}"
    if getattr(layer, "groups", 1) != 1:
        return f"it has {layer.groups} groups; the operators take ungrouped convolutions"
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return "its data_format is channels_first; TFLite takes channels_last"
    if getattr(layer, "quantization_mode", None):
        return f"Keras has already quantized it, to {layer.quantization_mode}"
    if getattr(layer, "lora_enabled", False):
        return "it has a LoRA update that is not merged into its kernel"
    return None


def check_activation_levels(layer: Layer, spec: MultiLevelConfig) -> None:
    """Refuses activation levels where TFLite's padding would not be 0.

    Raises:
      UnsupportedModelError: Says why, and what to change.
    """
    if spec.kind == "binary" and getattr(layer, "padding", None) == "causal":
        raise UnsupportedModelError(
            f"Layer '{layer.name}' pads its input before it is cut into levels (padding='causal'), "
            "and a binary level has no zero to pad with. Use kind='ternary', or leave the "
            "activations of this layer int8."
        )


def keeps_quantization(layer: Layer) -> bool:
    """Whether the output of a layer needs no range of its own."""
    return activation_name(layer) in _FIXED_RANGE_ACTIVATIONS or is_a(layer, _PASS_THROUGH)


def fuses(producer: Layer, consumer: Layer) -> bool:
    """Whether TFLite computes ``consumer`` inside the operator of ``producer``."""
    if activation_name(producer) != "linear":
        return False
    if is_a(consumer, ("BatchNormalization",)):
        return kind_of(producer) in KERNEL_LAYERS and _normalizes_channels(consumer)
    return kind_of(producer) in _RELU_FUSING and _is_fusable_relu(consumer)


def _normalizes_channels(batch_norm: Layer) -> bool:
    """Whether the axis of a built BatchNormalization layer is the last one."""
    axis = batch_norm.axis
    (axis,) = axis if isinstance(axis, (list, tuple)) else (axis,)
    return axis in (-1, batch_norm.input_spec.ndim - 1)


def _is_fusable_relu(layer: Layer) -> bool:
    if is_a(layer, ("ReLU",)):
        return layer.max_value in (None, 6.0) and not layer.negative_slope and not layer.threshold
    if is_a(layer, ("Activation",)):
        return activation_name(layer) in _RELUS
    return kind_of(layer) in _RELU_OPERATIONS


def activation_is_separate(layer: Layer) -> bool:
    """Whether TFLite runs the activation of a layer as an operator of its own."""
    name = activation_name(layer)
    if kind_of(layer) not in _ACTIVATION_HOLDERS or name == "linear":
        return False
    return name not in _RELUS or kind_of(layer) not in _RELU_FUSING
