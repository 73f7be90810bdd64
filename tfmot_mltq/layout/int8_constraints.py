"""What TFLite's int8 operators demand of the ranges of their inputs and outputs.

The one table of these facts, by the kinds of Keras layers and operations that become such
operators. ``layout.range_groups`` draws the conclusions for a graph.
"""

from __future__ import annotations

import enum
import math

import numpy as np

from tfmot_mltq.helpers.framework_types import Layer
from tfmot_mltq.layout.layer_kinds import activation_name, is_a, kind_of


class Constraint(enum.Enum):
    """How an operator whose inputs and outputs share one scale makes its output.

    MOVES: The output holds values of the inputs, or zeros. AVERAGES: It holds values between those
    of the inputs. MIXES: It may hold other values too, such as a constant.
    """

    MOVES = enum.auto()
    AVERAGES = enum.auto()
    MIXES = enum.auto()


# Layers of both frameworks, operations of Keras 3, and the functions that tf_keras makes layers of.
_MOVES = frozenset({
    # RESHAPE, and nothing at all
    "ActivityRegularization", "AlphaDropout", "Dropout", "Flatten", "GaussianDropout",
    "GaussianNoise", "Identity", "Reshape", "SpatialDropout1D", "SpatialDropout2D",
    "SpatialDropout3D", "Copy", "ExpandDims", "Ravel", "Squeeze", "StopGradient",
    "compat.v1.squeeze", "expand_dims", "identity", "reshape", "stop_gradient",
    # CONCATENATION, PACK, SPLIT, SPLIT_V, UNPACK
    "Concatenate", "ArraySplit", "Hstack", "Split", "Stack", "Unstack", "Vstack",
    "concat", "split", "stack", "unstack",
    # TRANSPOSE, REVERSE_V2, TILE, BROADCAST_TO, GATHER, SLICE, STRIDED_SLICE
    "Permute", "RepeatVector", "Cropping1D", "Cropping2D", "Cropping3D", "UpSampling1D",
    "UpSampling3D", "BroadcastTo", "CropImages", "Flip", "GetItem", "Moveaxis", "Repeat", "Roll",
    "Slice", "Swapaxes", "Take", "Tile", "Transpose", "__operators__.getitem", "broadcast_to",
    "compat.v1.gather", "compat.v1.transpose", "gather", "repeat", "reverse", "roll", "slice",
    "tile", "transpose",
    # PAD, SPACE_TO_DEPTH, DEPTH_TO_SPACE
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "PadImages",
    "nn.depth_to_space", "nn.space_to_depth",
    # MAX_POOL_2D, REDUCE_MAX, REDUCE_MIN
    "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "GlobalMaxPooling3D", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Amax", "Amin", "Max",
    "MaxPool", "Min", "math.reduce_max", "math.reduce_min", "nn.max_pool", "nn.max_pool2d",
    # Augmentation, which does nothing in inference
    "RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation", "RandomTranslation",
    "RandomZoom",
})  # fmt: skip
_AVERAGE_POOLINGS = frozenset({
    # AVERAGE_POOL_2D
    "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AveragePooling1D",
    "AveragePooling2D", "AveragePooling3D", "AveragePool", "nn.avg_pool",
    "nn.avg_pool2d",
})  # fmt: skip
_AVERAGES = frozenset({
    *_AVERAGE_POOLINGS,
    # RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR
    "Resizing", "UpSampling2D", "Resize", "image.resize",
})  # fmt: skip
_MIXES = frozenset({
    # MAXIMUM, MINIMUM, SELECT_V2, PADV2, MIRROR_PAD
    "Clip", "Maximum", "Minimum", "Where", "Pad", "clip_by_value", "compat.v1.pad",
    "math.maximum", "math.minimum", "pad", "where",
})  # fmt: skip
_CONSTRAINTS = {
    **dict.fromkeys(_MOVES, Constraint.MOVES),
    **dict.fromkeys(_AVERAGES, Constraint.AVERAGES),
    **dict.fromkeys(_MIXES, Constraint.MIXES),
}

# The outputs of these operators have a fixed scale and zero point: the range, in steps of it.
_STEP_256, _STEP_128, _STEP_16 = 1 / 256, 1 / 128, 1 / 16
_UNIT_RANGE = (0.0, 255 * _STEP_256)  # LOGISTIC, SOFTMAX
_FIXED_RANGES = {
    "sigmoid": _UNIT_RANGE,
    "softmax": _UNIT_RANGE,
    "tanh": (-128 * _STEP_128, 127 * _STEP_128),
    "log_softmax": (-255 * _STEP_16, 0.0),
}

# Activations that are constant to half a step of their int8 output below and above these inputs.
_NO_LIMIT = (-math.inf, math.inf)
_SATURATIONS = {
    "hard_sigmoid": (-3.0, 3.0),
    "hard_silu": (-3.0, math.inf),
    "hard_swish": (-3.0, math.inf),
    "hard_tanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "sigmoid": (-6.4, 6.4),
    "tanh": (-3.25, 3.25),
}
# Operations, and layers other than Activation, by the activation that they are.
_ACTIVATION_OF_KIND = {
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "HardTanh": "hard_tanh",
    "LogSoftmax": "log_softmax",
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Tanh": "tanh",
    "ThresholdedReLU": "relu",
    "math.sigmoid": "sigmoid",
    "math.tanh": "tanh",
    "nn.log_softmax": "log_softmax",
    "nn.relu": "relu",
    "nn.relu6": "relu6",
    "nn.softmax": "softmax",
}


def constraint_of(layer: Layer) -> Constraint | None:
    """What binds the ranges of a layer's inputs and outputs to each other; None for nothing."""
    kind = kind_of(layer)
    if _is_identity(layer):
        return Constraint.MOVES
    if kind in _CONSTRAINTS:
        return _CONSTRAINTS[kind]
    return next((c for kind, c in _CONSTRAINTS.items() if is_a(layer, (kind,))), None)


def rounds_ties_away(layer: Layer) -> bool:
    """Whether the operator rounds a half to the int8 value further from 0, and not up.

    A quarter of the averages of four int8 values are halves.
    """
    return is_a(layer, _AVERAGE_POOLINGS) or kind_of(layer) in _AVERAGE_POOLINGS


def _is_identity(layer: Layer) -> bool:
    if kind_of(layer) == "Rescaling":
        return bool(np.all(np.asarray(layer.scale) == 1) and not np.any(np.asarray(layer.offset)))
    return is_a(layer, ("Activation",)) and activation_name(layer) == "linear"


def fixed_range(layer: Layer) -> tuple[float, float] | None:
    """Smallest and largest value of an output whose scale TFLite fixes; None for other outputs."""
    return _FIXED_RANGES.get(_function_of(layer))


def saturation(layer: Layer) -> tuple[float, float]:
    """The range of inputs outside which the int8 output of a layer is constant.

    Infinite where it is not. A tensor that only such a layer reads needs no wider range, and has
    smaller steps where the function is steep.
    """
    if is_a(layer, ("ReLU",)):
        if layer.negative_slope:
            return _NO_LIMIT
        return min(0.0, layer.threshold), math.inf if layer.max_value is None else layer.max_value
    return _SATURATIONS.get(_function_of(layer), _NO_LIMIT)


def _function_of(layer: Layer) -> str:
    """The name of the activation that a layer or operation is; "" for others."""
    name = _ACTIVATION_OF_KIND.get(kind_of(layer))
    if name is None and is_a(layer, ("Activation",)):
        return activation_name(layer)
    return name or ""
