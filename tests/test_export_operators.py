"""Every operator of exported code against TensorFlow Lite Micro: the same bytes on random input.

All cases are one model, of which each case has inputs and outputs of its own.
"""

import numpy as np
import pytest
from exported_library import ExportedLibrary
from small_models import Builder, T, constant, one_operator, options_of

import tfmot_mltq as mltq
from tfmot_mltq.emulation.targets import TARGETS
from tfmot_mltq.export.c_project import plan_c_project
from tfmot_mltq.export.golden import random_inputs
from tfmot_mltq.export.operators import READERS

RELU, RELU_N1_TO_1, RELU6, TANH = 1, 2, 3, 4
REFLECT, SYMMETRIC = 0, 1
SAME, VALID = 0, 1
RNG = np.random.default_rng(7)
IMAGE = (1, 6, 5, 4)


def t(shape=IMAGE, scale=0.05, zero_point=0):
    return T(shape, scale, zero_point)


def int8(*shape):
    return RNG.integers(-128, 128, shape, dtype=np.int8)


def int32(*values):
    return constant(np.array(values, np.int32))


def function(op, scale, zero_point, options=None, input_zero_point=-7, input_scale=0.05):
    return (
        op,
        [t((1, 256), input_scale, input_zero_point)],
        [t((1, 256), scale, zero_point)],
        options,
    )


def add_like(op, first, second, output, activation=0):
    names = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions"}
    options = options_of(names[op], fusedActivationFunction=activation)
    return op, [first, second], [output], options


def conv_weights(shape, axis, channels, input_scale):
    scales = RNG.uniform(0.002, 0.02, channels)
    bias = constant(
        RNG.integers(-2000, 2000, channels).astype(np.int32), scales * input_scale, axis=0
    )
    return constant(int8(*shape), scales, axis=axis), bias


def transpose_conv(shape, filter_size, stride, padding, output, bias=True):
    filters, biases = conv_weights((output[3], *filter_size, shape[3]), 0, output[3], 0.05)
    inputs = [int32(*output), filters, t(shape, 0.05, -11), *([biases] if bias else [])]
    options = options_of(
        "TransposeConvOptions", padding=padding, strideH=stride[0], strideW=stride[1]
    )
    return "TRANSPOSE_CONV", inputs, [t(output, 0.3, 4)], options, 3 if bias else 1


def conv(
    shape, filter_size, channels, stride=(1, 1), padding=SAME, dilation=(1, 1),
    zero_points=(-11, 4), activation=0, scales=0.3, factors=None,
):  # fmt: skip
    """A convolution; ``factors`` for other scales of the filter than those of ``conv_weights``."""
    reach = [(size - 1) * step + 1 for size, step in zip(filter_size, dilation, strict=True)]
    output = [
        -(-(size - (0 if padding == SAME else window - 1)) // step)
        for size, window, step in zip(shape[1:3], reach, stride, strict=True)
    ]
    filters, biases = conv_weights((channels, *filter_size, shape[3]), 0, channels, 0.05)
    if factors is not None:
        biases = constant(biases.value, np.multiply(factors, 0.05), axis=0)
        filters = constant(filters.value, factors, axis=0)
    options = options_of(
        "Conv2DOptions", padding=padding, strideH=stride[0], strideW=stride[1],
        dilationHFactor=dilation[0], dilationWFactor=dilation[1],
        fusedActivationFunction=activation,
    )  # fmt: skip
    inputs = [t(shape, 0.05, zero_points[0]), filters, biases]
    return "CONV_2D", inputs, [t((shape[0], *output, channels), scales, zero_points[1])], options, 3


def depthwise(
    shape, filter_size, stride=(1, 1), padding=SAME, dilation=(1, 1), multiplier=1,
    zero_points=(-11, 4), activation=0, scale=0.3,
):  # fmt: skip
    op, (source, *_), (output,), options, _ = conv(
        shape, filter_size, shape[3] * multiplier, stride, padding, dilation, zero_points,
        activation, scale,
    )  # fmt: skip
    channels = output.shape[3]
    fields = {k: v for k, v in vars(options[1]).items() if k != "quantizedBiasType"}
    options = options_of("DepthwiseConv2DOptions", **fields, depthMultiplier=multiplier)
    filters, biases = conv_weights((1, *filter_size, channels), 3, channels, 0.05)
    return f"DEPTHWISE_{op}", [source, filters, biases], [output], options, 3


def dense(rows, inputs, outputs, zero_points=(-11, 4), per_channel=True, scale=0.3):
    filters, biases = conv_weights((outputs, inputs), 0, outputs, 0.05)
    if not per_channel:
        filters, biases = constant(filters.value, 0.01), constant(biases.value, 0.0005)
    options = options_of("FullyConnectedOptions")
    tensors = [t((rows, inputs), 0.05, zero_points[0]), filters, biases]
    return "FULLY_CONNECTED", tensors, [t((rows, outputs), scale, zero_points[1])], options, 4


def pool(op, shape, size, stride, padding, output, activation=0):
    options = options_of(
        "Pool2DOptions", filterHeight=size[0], filterWidth=size[1], strideH=stride[0],
        strideW=stride[1], padding=padding, fusedActivationFunction=activation,
    )  # fmt: skip
    return op, [t(shape, 0.05, -11)], [t(output, 0.05, -11)], options


def reduction(op, shape, axes, output, scale=0.05, zero_point=0, keep=False):
    options = options_of("ReducerOptions", keepDims=keep)
    return op, [t(shape, 0.05, 9), int32(*axes)], [t(output, scale, zero_point)], options


def resize(op, shape, output, align=False, half=False):
    name = "ResizeBilinearOptions" if op == "RESIZE_BILINEAR" else "ResizeNearestNeighborOptions"
    options = options_of(name, alignCorners=align, halfPixelCenters=half)
    return op, [t(shape), int32(*output[1:3])], [t(output)], options


def strided_slice(shape, begin, end, strides, output, **masks):
    inputs = [t(shape), int32(*begin), int32(*end), int32(*strides)]
    return "STRIDED_SLICE", inputs, [t(output)], options_of("StridedSliceOptions", **masks)


def matmul(first, second, output, adjoint=(False, False)):
    options = options_of("BatchMatMulOptions", adjX=adjoint[0], adjY=adjoint[1])
    return "BATCH_MATMUL", [first, second], [output], options


def gather(first, positions, output, axis=0, batch_axes=0):
    options = options_of("GatherOptions", axis=axis, batchDims=batch_axes)
    return "GATHER", [first, positions], [output], options


def mirror_pad(shape, pads, output, mode):
    pads = constant(np.reshape(pads, (-1, 2)).astype(np.int32))
    return "MIRROR_PAD", [t(shape), pads], [t(output)], options_of("MirrorPadOptions", mode=mode)


def lstm(steps, inputs, units, input_scale, cell_scale, time_major=False, loud=1.0):
    """Gates whose sums reach all of the table, and beyond where they are loud."""
    shape = (steps, 1, inputs) if time_major else (1, steps, inputs)
    source, hidden = t(shape, input_scale, 11), T((1, units), 0.007, -5, variable=True)

    def filters(columns, scale):
        scales = loud * RNG.uniform(0.3, 1.0, 4) * 4 / (columns * 127 * scale * 30)
        return [constant(int8(units, columns), scale) for scale in scales]

    of_input, of_hidden = filters(inputs, input_scale), filters(units, 0.007)
    biases = [
        constant(RNG.integers(-900, 900, units).astype(np.int32), input_scale * weights.scale)
        for weights in of_input
    ]
    cell = T((1, units), cell_scale, 0, np.int16, variable=True)
    tensors = [source, *of_input, *of_hidden, None, None, None, *biases, None, None, hidden, cell]
    options = options_of(
        "UnidirectionalSequenceLSTMOptions", fusedActivationFunction=TANH, timeMajor=time_major
    )
    output = t((*shape[:2], units), 0.007, -5)
    return "UNIDIRECTIONAL_SEQUENCE_LSTM", [*tensors, *[None] * 4], [output], options


def blocks(op, shape, block, pads, output):
    pads = constant(np.reshape(pads, (-1, 2)).astype(np.int32))
    return op, [t(shape, 0.05, -9), int32(*block), pads], [t(output, 0.05, -9)], None


CASES = {
    "logistic": function("LOGISTIC", 1 / 256, -128),
    "tanh": function("TANH", 1 / 128, 0, input_scale=0.02),
    "hard swish": function("HARD_SWISH", 0.04, -100, options_of("HardSwishOptions")),
    "leaky relu": function("LEAKY_RELU", 0.06, 3, options_of("LeakyReluOptions", alpha=0.3)),
    "relu": function("RELU", 0.03, -128),
    "relu6": function("RELU6", 6 / 255, -128),
    "elu": function("ELU", 0.05, -108),
    "add": add_like("ADD", t(), t(IMAGE, 0.03, 5), t(IMAGE, 0.07, -3)),
    "add channels": add_like("ADD", t(), t((1, 1, 1, 4), 0.1, 5), t(IMAGE, 0.08, -3), RELU6),
    "add image": add_like("ADD", t((4,), 0.1, 5), t(), t(IMAGE, 0.08, -3)),
    "add both": add_like("ADD", t((1, 6, 1, 4)), t((1, 1, 5, 1), 0.1), t(IMAGE, 0.08)),
    "add constant": add_like("ADD", t(), constant(int8(1, 1, 1, 4), 0.02, 3), t(IMAGE, 0.06)),
    "add constant first": add_like("ADD", constant(int8(*IMAGE), 0.02, 3), t(), t(IMAGE, 0.06)),
    "add scalar": add_like("ADD", t(), constant(int8(), 0.02, 3), t(IMAGE, 0.06)),
    "sub": add_like("SUB", t(), t(IMAGE, 0.03, 5), t(IMAGE, 0.07, -3)),
    "sub channels": add_like("SUB", t((1, 1, 1, 4), 0.031), t(IMAGE, 0.047, 5), t(IMAGE, 0.055)),
    "sub scalar": add_like("SUB", constant(int8(1), 0.013, 3), t(), t(IMAGE, 0.06)),
    "mul": add_like("MUL", t(IMAGE, 0.05, 100), t(IMAGE, 0.03, 5), t(IMAGE, 0.17, -3)),
    "mul gate": add_like("MUL", t(), t((1, 1, 1, 4), 1 / 256, -128), t(IMAGE, 0.03, 10), RELU6),
    "mul constant": add_like("MUL", t(), constant(int8(5, 1), 0.02, 3), t(IMAGE, 0.08)),
    "mul scalar": add_like("MUL", t(), constant(int8(1), 0.02, 3), t(IMAGE, 0.06)),
    "maximum": ("MAXIMUM", [t(), t()], [t()], options_of("MaximumMinimumOptions")),
    "maximum scalar": ("MAXIMUM", [t(), constant(int8(1), 0.05)], [t()], None),
    "minimum": ("MINIMUM", [t(), t((1, 1, 1, 4))], [t()], options_of("MaximumMinimumOptions")),
    "prelu": ("PRELU", [t(IMAGE, 0.05, 3), constant(int8(1, 1, 4), 0.01, -5)], [t()], None),
    "prelu rows": ("PRELU", [t(), constant(int8(6, 1, 1), 0.01, -5)], [t(IMAGE, 0.06, 9)], None),
    "prelu tensor": ("PRELU", [t(), t(IMAGE, 0.01, 7)], [t(IMAGE, 0.06, 9)], None),
    "transpose conv": transpose_conv(IMAGE, (3, 3), (2, 2), SAME, (1, 12, 10, 3)),
    "transpose conv valid": transpose_conv(IMAGE, (3, 2), (2, 3), VALID, (1, 13, 14, 5)),
    "transpose conv wide": transpose_conv(IMAGE, (2, 2), (3, 3), SAME, (1, 18, 15, 2), False),
    "transpose conv one": transpose_conv(IMAGE, (4, 5), (1, 1), SAME, (1, 6, 5, 3)),
    "mean image": reduction("MEAN", IMAGE, (1, 2), (1, 4), 0.03, 4),
    "mean image of seven": reduction("MEAN", (1, 3, 5, 7), (1, 2), (1, 7), 0.03, 4),
    "mean image of two": reduction("MEAN", (1, 3, 5, 2), (1, 2), (1, 2), 0.03, 4),
    "mean channels": reduction("MEAN", IMAGE, (3,), (1, 6, 5, 1), 0.03, 4, True),
    "mean rows": reduction("MEAN", IMAGE, (-3,), (1, 5, 4), 0.02, -4),
    "mean two": reduction("MEAN", IMAGE, (1, 3), (1, 5), 0.02, -4),
    "mean all": reduction("MEAN", IMAGE, (0, 1, 2, 3), (), 0.01, -4),
    "mean series": reduction("MEAN", (1, 9, 7), (1,), (1, 7), 0.04, -4),
    "sum": reduction("SUM", IMAGE, (2,), (1, 6, 4), 0.2, -4),
    "sum two": reduction("SUM", IMAGE, (1, 3), (1, 5), 0.4, 2),
    "reduce max": reduction("REDUCE_MAX", IMAGE, (1, 2), (1, 4), 0.05, 9),
    "reduce max last": reduction("REDUCE_MAX", (1, 9, 7), (2,), (1, 9), 0.05, 9),
    "reduce min": reduction("REDUCE_MIN", IMAGE, (1,), (1, 5, 4), 0.05, 9),
    "pad": (
        "PAD",
        [t(IMAGE, 0.05, 21), constant(np.array([[0, 0], [1, 2], [3, 0], [0, 1]], np.int32))],
        [t((1, 9, 8, 5), 0.05, 21)],
        options_of("PadOptions"),
    ),
    "pad batch": (
        "PAD",
        [t((3, 4)), constant(np.array([[1, 0], [0, 2]], np.int32))],
        [t((4, 6))],
        None,
    ),
    "padv2": (
        "PADV2",
        [t(), int32(0, 0, 1, 1, 1, 1, 0, 0), constant(int8(), 0.05)],
        [t((1, 8, 7, 4))],
        options_of("PadV2Options"),
    ),
    "concatenation": (
        "CONCATENATION",
        [t(), t((1, 6, 5, 2)), constant(int8(1, 6, 5, 1), 0.05)],
        [t((1, 6, 5, 7))],
        options_of("ConcatenationOptions", axis=-1),
    ),
    "concatenation rows": (
        "CONCATENATION",
        [t(), t((1, 1, 5, 4))],
        [t((1, 7, 5, 4))],
        options_of("ConcatenationOptions", axis=1),
    ),
    "pack": (
        "PACK",
        [t((1, 5)), t((1, 5)), t((1, 5))],
        [t((1, 3, 5))],
        options_of("PackOptions", axis=1, valuesCount=3),
    ),
    "unpack": (
        "UNPACK", [t((1, 3, 5))], [t((1, 5))] * 3, options_of("UnpackOptions", axis=1, num=3)
    ),
    "split": (
        "SPLIT", [int32(3), t()], [t((1, 6, 5, 2))] * 2, options_of("SplitOptions", numSplits=2)
    ),
    "split_v": (
        "SPLIT_V",
        [t(), int32(1, 5), int32(1)],
        [t((1, 1, 5, 4)), t((1, 5, 5, 4))],
        options_of("SplitVOptions", numSplits=2),
    ),
    "slice": ("SLICE", [t(), int32(0, 2, 1, 0), int32(1, 3, -1, 2)], [t((1, 3, 4, 2))], None),
    "strided slice": strided_slice(IMAGE, (0, 1, 0, 3), (1, 6, -1, 0), (1, 2, 1, -1), (1, 3, 4, 3)),
    "strided slice masks": strided_slice(
        IMAGE, (0, 2, -2, 1), (0, 3, 5, 9), (1, 1, 1, 2), (1, 2, 2), beginMask=1, endMask=1,
        shrinkAxisMask=2,
    ),
    "transpose": ("TRANSPOSE", [t(), int32(0, 3, 1, 2)], [t((1, 4, 6, 5))], None),
    "transpose series": ("TRANSPOSE", [t((1, 7, 3)), int32(2, 0, 1)], [t((3, 1, 7))], None),
    "nearest": resize("RESIZE_NEAREST_NEIGHBOR", IMAGE, (1, 12, 10, 4)),
    "nearest odd": resize("RESIZE_NEAREST_NEIGHBOR", IMAGE, (1, 11, 3, 4)),
    "nearest half": resize("RESIZE_NEAREST_NEIGHBOR", IMAGE, (1, 18, 10, 4), half=True),
    "nearest corners": resize("RESIZE_NEAREST_NEIGHBOR", IMAGE, (1, 11, 4, 4), align=True),
    "bilinear": resize("RESIZE_BILINEAR", IMAGE, (1, 12, 10, 4)),
    "bilinear odd": resize("RESIZE_BILINEAR", IMAGE, (1, 11, 3, 4)),
    "bilinear half": resize("RESIZE_BILINEAR", IMAGE, (1, 13, 7, 4), half=True),
    "bilinear corners": resize("RESIZE_BILINEAR", IMAGE, (1, 11, 9, 4), align=True),
    "abs": function("ABS", 0.06, -100),
    "rsqrt": function("RSQRT", 0.05, -128, input_zero_point=-128),
    "space to batch": blocks("SPACE_TO_BATCH_ND", (1, 6, 6, 4), (2, 3), (0,) * 4, (6, 3, 2, 4)),
    "space to batch series": blocks("SPACE_TO_BATCH_ND", (2, 8, 3), (2,), (0, 0), (4, 4, 3)),
    "batch to space": blocks("BATCH_TO_SPACE_ND", (6, 3, 2, 4), (2, 3), (0, 0, 1, 0), IMAGE),
    "batch to space wide": blocks("BATCH_TO_SPACE_ND", (8, 3, 4, 4), (4, 2), (5, 1, 0, 3), IMAGE),
    "conv of images": (
        "CONV_2D", [t((3, 4, 4, 2)), *conv_weights((5, 3, 3, 2), 0, 5, 0.05)],
        [t((3, 4, 4, 5), 0.3)],
        options_of("Conv2DOptions", strideH=1, strideW=1), 3,
    ),
    "pool of images": (
        "AVERAGE_POOL_2D", [t((2, 4, 4, 1))], [t((2, 2, 2, 1))],
        options_of("Pool2DOptions", filterHeight=2, filterWidth=2, strideH=2, strideW=2),
    ),
    "grouped conv": (
        "CONV_2D", [t(), *conv_weights((6, 3, 2, 2), 0, 6, 0.05)], [t((1, 6, 5, 6), 0.3)],
        options_of("Conv2DOptions", strideH=1, strideW=1, padding=SAME, fusedActivationFunction=1),
        3,
    ),
    "grouped conv of images": (
        "CONV_2D", [t((2, 4, 4, 3)), *conv_weights((6, 3, 3, 1), 0, 6, 0.05)],
        [t((2, 1, 1, 6), 0.3)],
        options_of("Conv2DOptions", strideH=2, strideW=2, padding=VALID), 3,
    ),
    "squared difference": (
        "SQUARED_DIFFERENCE", [t(IMAGE, 0.05, 9), t(IMAGE, 0.03, -100)], [t(IMAGE, 0.2, -128)],
        options_of("SquaredDifferenceOptions"),
    ),
    "squared difference of channels": (
        "SQUARED_DIFFERENCE", [t((1, 1, 1, 4), 0.031), t()], [t(IMAGE, 0.1, -120)], None,
    ),
    "squared difference of scalar": (
        "SQUARED_DIFFERENCE", [t(), constant(int8(1), 0.013, 3)], [t(IMAGE, 0.1, -120)], None,
    ),
    "matmul": matmul(
        t((1, 2, 5, 7)), t((1, 2, 7, 3), 0.03, 4), t((1, 2, 5, 3), 0.11, -7)
    ),
    "matmul second transposed": matmul(
        t((2, 5, 7), 0.05, 30), t((2, 3, 7), 0.03, -128), t((2, 5, 3), 0.11, -7), (False, True)
    ),
    "matmul first transposed": matmul(
        t((1, 7, 5)), t((1, 7, 3), 0.03, 4), t((1, 5, 3), 0.11, -7), (True, False)
    ),
    "matmul of constant": matmul(
        t((1, 3, 5, 7)), constant(int8(7, 4), 0.02, 3), t((1, 3, 5, 4), 0.13, 2)
    ),
    "matmul of one for several": matmul(
        t((2, 3, 5, 7)), t((1, 3, 7, 2), 0.03, 4), t((2, 3, 5, 2), 0.11, -7)
    ),
    "log softmax": (
        "LOG_SOFTMAX", [t((3, 10), 0.11, 9)], [t((3, 10), 1 / 16, 127)],
        options_of("LogSoftmaxOptions"),
    ),
    "log softmax of small values": (
        "LOG_SOFTMAX", [t((1, 5, 40), 0.004, -9)], [t((1, 5, 40), 1 / 16, 127)], None,
    ),
    "log softmax of large values": (
        "LOG_SOFTMAX", [t((5, 6), 2.5)], [t((5, 6), 1 / 16, 127)], None,
    ),
    "gather": gather(t(), int32(3, 0, 3), t((1, 6, 3, 4)), 2),
    "gather rows of images": gather(t((2, 3, 4)), constant(np.array([[2, 0], [1, 1]], np.int32)),
                                    t((2, 2, 2, 4)), -2),
    "gather of each batch": gather(
        t((2, 3, 4)), constant(np.array([[2, 0], [1, 1]], np.int32)), t((2, 2, 4)), 1, 1
    ),
    "embedding": gather(constant(int8(9, 5), 0.05), T((1, 7), None, 0, np.int32), t((1, 7, 5))),
    "reverse": ("REVERSE_V2", [t(), int32(1)], [t()], None),
    "reverse last": ("REVERSE_V2", [t((2, 5, 3)), int32(-1)], [t((2, 5, 3))], None),
    "reverse two": ("REVERSE_V2", [t(), int32(1, 2)], [t()], None),
    "mirror pad": mirror_pad(IMAGE, (0, 0, 2, 1, 0, 3, 0, 0), (1, 9, 8, 4), REFLECT),
    "mirror pad with edges": mirror_pad(IMAGE, (0, 0, 6, 1, 2, 5, 1, 0), (1, 13, 12, 5), SYMMETRIC),
    "mirror pad of series": mirror_pad((1, 5, 3), (0, 0, 4, 4, 0, 0), (1, 13, 3), REFLECT),
    "broadcast to": ("BROADCAST_TO", [t((1, 3, 1, 4)), int32(2, 3, 5, 4)], [t((2, 3, 5, 4))], None),
    "broadcast to more axes": ("BROADCAST_TO", [t((3, 1)), int32(2, 3, 4)], [t((2, 3, 4))], None),
    "depth to space": (
        "DEPTH_TO_SPACE", [t((2, 3, 4, 8))], [t((2, 6, 8, 2))],
        options_of("DepthToSpaceOptions", blockSize=2),
    ),
    "space to depth": (
        "SPACE_TO_DEPTH", [t((1, 6, 9, 2))], [t((1, 2, 3, 18))],
        options_of("SpaceToDepthOptions", blockSize=3),
    ),
    "lstm": lstm(7, 5, 6, 0.04, 2**-11),
    "lstm of small cells": lstm(6, 3, 4, 0.08, 2**-15),
    "lstm of large cells": lstm(6, 3, 4, 0.08, 2**-9, loud=8.0),
    "lstm with time first": lstm(5, 4, 3, 0.03, 2**-12, time_major=True),
    "squeeze": (
        "SQUEEZE", [t((1, 6, 1, 4))], [t((1, 6, 4))],
        options_of("SqueezeOptions", squeezeDims=[2]),
    ),
    "expand dims": ("EXPAND_DIMS", [t((1, 6, 4)), int32(1)], [t((1, 1, 6, 4))], None),
    "quantize": ("QUANTIZE", [t()], [t(IMAGE, 0.03, 5)], options_of("QuantizeOptions")),
    "dequantize": ("DEQUANTIZE", [t(IMAGE, 0.3, 5)], [T(IMAGE, None, 0, np.float32)], None),
    # What the loops of the fast kernels split on.
    "conv of a camera": conv((1, 9, 12, 3), (3, 3), 16),
    "conv of one channel": conv((1, 13, 10, 1), (10, 4), 7, (2, 2)),
    "conv of two channels": conv((1, 7, 9, 2), (3, 3), 5, (2, 1), VALID),
    "conv of one output": conv((1, 5, 7, 3), (2, 3), 1),
    "conv of two outputs": conv((1, 5, 3, 5), (3, 2), 2, (1, 2)),
    "conv of six outputs": conv((1, 5, 11, 4), (3, 3), 6, (1, 2), activation=RELU),
    "conv pointwise": conv((1, 5, 5, 13), (1, 1), 9),
    "conv pointwise strided": conv((1, 6, 7, 8), (1, 1), 4, (2, 3)),
    "conv dilated": conv((1, 11, 12, 3), (3, 3), 4, (1, 1), SAME, (2, 3)),
    "conv dilated valid": conv((1, 12, 13, 2), (3, 2), 3, (1, 1), VALID, (3, 2)),
    "conv larger than its input": conv((1, 3, 2, 3), (7, 5), 4),
    "conv of many values": conv((1, 4, 9, 40), (3, 3), 5, scales=0.9),
    "conv of rows": conv((1, 1, 30, 5), (1, 5), 4, (1, 2)),
    "conv of low zero points": conv((1, 5, 6, 3), (3, 3), 4, zero_points=(-128, -128)),
    "conv of high zero points": conv((1, 5, 6, 3), (3, 3), 4, zero_points=(127, 127)),
    "conv relu6": conv((1, 5, 6, 3), (3, 3), 4, activation=RELU6),
    "conv relu n1 to 1": conv((1, 5, 6, 3), (3, 3), 4, activation=RELU_N1_TO_1, scales=0.05),
    "conv of one scale": conv((1, 5, 6, 3), (3, 3), 4, factors=[0.01]),
    "conv of tiny and usual scales": conv(
        (1, 5, 6, 3), (3, 3), 5, factors=[0.01, 1e-9, 0.004, 1e-20, 0.002]
    ),
    "conv of large scales": conv((1, 5, 6, 3), (3, 3), 3, factors=[9.0, 0.01, 40.0]),
    "depthwise": depthwise((1, 6, 7, 8), (3, 3)),
    "depthwise of seven": depthwise((1, 6, 7, 7), (3, 3), (2, 1), activation=RELU6),
    "depthwise of five valid": depthwise((1, 6, 7, 5), (2, 3), (1, 2), VALID, zero_points=(127, 0)),
    "depthwise dilated": depthwise((1, 9, 8, 4), (3, 2), (1, 1), SAME, (2, 3)),
    "depthwise larger than its input": depthwise((1, 2, 3, 9), (5, 6)),
    "depthwise of three": depthwise((1, 6, 7, 3), (3, 3)),
    "depthwise with a multiplier": depthwise((1, 6, 7, 3), (3, 3), multiplier=2),
    "depthwise of images": depthwise((2, 5, 4, 6), (3, 3)),
    "depthwise of a small output": depthwise((1, 5, 4, 6), (3, 3), scale=1e-4),
    "dense": dense(1, 64, 10),
    "dense of one output": dense(3, 7, 1),
    "dense of three outputs": dense(2, 18, 3),
    "dense of five outputs": dense(2, 33, 5, (127, -128)),
    "dense of one scale": dense(1, 30, 8, (-128, 127), per_channel=False),
    "dense of large scales": dense(1, 30, 8, scale=1e-4),
    "average pool": pool("AVERAGE_POOL_2D", IMAGE, (3, 2), (2, 1), SAME, (1, 3, 5, 4)),
    "average pool of seven": pool(
        "AVERAGE_POOL_2D", (1, 5, 6, 7), (5, 6), (1, 1), VALID, (1, 1, 1, 7), RELU6
    ),
    "max pool": pool("MAX_POOL_2D", (1, 5, 6, 5), (2, 3), (1, 2), SAME, (1, 5, 3, 5), RELU),
    "max pool of two": pool("MAX_POOL_2D", (1, 5, 6, 2), (2, 2), (2, 2), VALID, (1, 2, 3, 2)),
    "add of one scale": add_like("ADD", t(), t(), t()),
    "add halved": add_like("ADD", t(), t(IMAGE, 0.05, 7), t(IMAGE, 0.1, -1)),
    "add of low zero points": add_like(
        "ADD", t(IMAGE, 0.02, -128), t(IMAGE, 0.05, -128), t(IMAGE, 0.04, -128), RELU
    ),
    "add of high zero points": add_like(
        "ADD", t(IMAGE, 0.02, 127), t(IMAGE, 0.003, 127), t(IMAGE, 0.02, 127)
    ),
    "add relu6": add_like("ADD", t(), t(IMAGE, 0.03, 5), t(IMAGE, 0.07, -3), RELU6),
    "add without a short form": add_like(
        "ADD", t(IMAGE, 0.19551333785057068, 67), t(IMAGE, 0.04506474733352661, -17),
        t(IMAGE, 0.006494452711194754, -30),
    ),
    "add of odd size": add_like(
        "ADD", t((1, 7, 3)), t((1, 7, 3), 0.03, 5), t((1, 7, 3), 0.07, -3)
    ),
    "quantize float": ("QUANTIZE", [T(IMAGE, None, 0, np.float32)], [t(IMAGE, 0.03, 5)], None),
}  # fmt: skip
BEFORE = {  # operators that are covered by tests/test_export.py
    "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "RESHAPE",
    "SOFTMAX",
}  # fmt: skip


def model_of(cases):
    """One model of cases, and which of its outputs are whose."""
    builder = Builder()
    inputs, outputs, places = [], [], {}
    for name, (op, tensors, results, options, *version) in cases.items():
        numbers = [-1 if tensor is None else builder.tensor(tensor) for tensor in tensors]
        made = [builder.tensor(tensor) for tensor in results]
        builder.add(op, numbers, made, options, *version)
        inputs += [
            number
            for number, tensor in zip(numbers, tensors, strict=True)
            if tensor is not None and tensor.value is None and not tensor.variable
        ]
        places[name] = range(len(outputs), len(outputs) + len(made))
        outputs += made
    return builder.finish(inputs, outputs), places


@pytest.fixture(scope="module")
def library_and_places(tmp_path_factory):
    """The exported code of all cases, and which outputs are whose."""
    tflite, places = model_of(CASES)
    library = ExportedLibrary(tflite, tmp_path_factory.mktemp("operators") / "project")
    return library, places


@pytest.fixture(scope="module")
def runs(library_and_places):
    """For every case, pairs of outputs: of exported code, and of TensorFlow Lite Micro."""
    library, places = library_and_places
    found = {name: [] for name in CASES}
    for seed in range(3):
        values = random_inputs(library.tflite, seed)
        library.interpreter.reset()
        pair = library.run(values), library.interpreter.invoke(*values)
        for name, numbers in places.items():
            found[name] += [(pair[0][i], pair[1][i]) for i in numbers]
    return found


@pytest.mark.parametrize("name", CASES)
def test_exported_code_gives_the_bytes_of_the_interpreter(name, runs):
    for exported, expected in runs[name]:
        np.testing.assert_array_equal(exported, expected)
        assert len(np.unique(expected)) > 1 or expected.size == 1


def test_all_within_bounds(library_and_places):
    library_and_places[0].run_self_test()


@pytest.mark.parametrize("target", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"])
def test_on_the_core(target, library_and_places, tmp_path):
    library, _ = library_and_places
    program = tmp_path / "program.elf"
    sources = sorted(library.folder.rglob("*.c"))
    TARGETS[target].build(sources, program, ["-Os", f"-I{library.folder}"])
    assert TARGETS[target].run(program) == "self-test: ok\n"


def test_on_xtensa(tmp_path):
    """Without real values: its C library has no functions for them."""
    cases = {
        name: case
        for name, case in CASES.items()
        if case[0]
        in {
            "ADD",
            "AVERAGE_POOL_2D",
            "CONV_2D",
            "DEPTHWISE_CONV_2D",
            "FULLY_CONNECTED",
            "MAX_POOL_2D",
        }
    }
    library = ExportedLibrary(model_of(cases)[0], tmp_path / "project")
    program = tmp_path / "program.elf"
    sources = sorted(library.folder.rglob("*.c"))
    TARGETS["xtensa"].build(sources, program, ["-Os", f"-I{library.folder}"])
    assert TARGETS["xtensa"].run(program) == "self-test: ok\n"


@pytest.mark.parametrize(
    ("name", "is_fast"),
    [
        ("conv of a camera", True),
        ("conv dilated", True),
        ("conv of tiny and usual scales", True),
        ("conv of large scales", False),
        ("grouped conv", False),
        ("depthwise of seven", True),
        ("depthwise of three", False),
        ("depthwise with a multiplier", False),
        ("depthwise of a small output", False),
        ("dense", True),
        ("dense of one scale", True),
        ("dense of large scales", False),
        ("dense of three outputs", False),
        ("add halved", True),
        ("add of high zero points", True),
        ("add without a short form", False),
    ],
)
def test_what_is_beyond_a_fast_kernel_has_the_plain_one(name, is_fast):
    project = plan_c_project(model_of({name: CASES[name]})[0])
    (step,) = project.context["steps"]
    assert ("_fast_s8(" in step["calls"][0]) == is_fast


def test_every_operator_has_a_case():
    ours = {op for op in READERS if op.startswith("MLTQ_")}
    assert {case[0] for case in CASES.values()} | BEFORE | ours == set(READERS)


BEYOND = {
    "an operator that is not there": ("FLOOR", [t()], [t()], None),
    "a type": ("QUANTIZE", [T(IMAGE, 0.1, 0, np.uint8)], [t()], None),
    "a float operator": ("ADD", [T(IMAGE, None, 0, np.float32)] * 2, [t()], None),
    "axes of broadcasting": add_like(
        "MUL", t((2, 1, 2, 1, 2)), t((1, 2, 1, 2, 1)), t((2, 2, 2, 2, 2), 0.1)
    ),
    "the scale of a product": add_like("MUL", t(), t(), t(IMAGE, 1e-8)),
    "half-pixel centers": resize("RESIZE_NEAREST_NEIGHBOR", IMAGE, (1, 13, 7, 4), half=True),
    "groups that do not divide": (
        "CONV_2D", [t(), *conv_weights((3, 1, 1, 2), 0, 3, 0.05)], [t((1, 6, 5, 3), 0.3)],
        options_of("Conv2DOptions", strideH=1, strideW=1),
    ),
    "sums of products": matmul(
        t((1, 40000)), t((40000, 1)), t((1, 1), 1.0)
    ),
    "a position outside": gather(t(), int32(4), t((1, 6, 5, 1)), 3),
    "the scale of log softmax": ("LOG_SOFTMAX", [t()], [t()], None),
    "a mirror that is too short": mirror_pad(
        (1, 4, 4), (0, 0, 4, 0, 0, 0), (1, 8, 4), REFLECT
    ),
    "several sequences": (
        "UNIDIRECTIONAL_SEQUENCE_LSTM", [t((2, 5, 3)), *lstm(5, 3, 4, 0.05, 2**-11)[1][1:]],
        [t((2, 5, 4))], lstm(5, 3, 4, 0.05, 2**-11)[3],
    ),
    "the scale of a cell": lstm(5, 3, 4, 0.05, 0.001),
    "a filter that is not constant": (
        "CONV_2D", [t(), t((4, 1, 1, 4)), None], [t(IMAGE, 0.3)],
        options_of("Conv2DOptions", strideH=1, strideW=1),
    ),
    "a fused tanh": add_like("ADD", t(), t(IMAGE, 0.03), t(IMAGE, 0.1), 4),
    "axes that are not constant": ("SUM", [t(), T((2,), None, 0, np.int32)], [t((1, 4))], None),
    "paddings of space to batch": blocks(
        "SPACE_TO_BATCH_ND", IMAGE, (2, 3), (0, 0, 1, 0), (6, 3, 2, 4)
    ),
    "a slice beyond the tensor": (
        "SLICE", [t(), int32(0, 5, 0, 0), int32(1, 3, 5, 4)], [t((1, 3, 5, 4))], None
    ),
    "scales of a concatenation": (
        "CONCATENATION", [t(), t(IMAGE, 0.06)], [t((1, 6, 5, 8))],
        options_of("ConcatenationOptions", axis=3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BEYOND)
def test_what_is_beyond_exported_code_is_refused(name):
    """With the operator, the tensor and the way out."""
    op, inputs, outputs, options = BEYOND[name]
    model = one_operator(op, inputs, outputs, options)
    with pytest.raises(mltq.ConversionError, match=r"without the interpreter.*=tflm") as caught:
        plan_c_project(model)
    assert "'tensor_" in str(caught.value)


def test_shapes_that_are_computed_in_the_graph_take_no_code():
    """TensorFlow writes SHAPE, STRIDED_SLICE and PACK before a reshape of unknown batches."""
    builder = Builder()
    x, y = builder.tensor(t((1, 4, 6))), builder.tensor(t((1, 24)))
    shape = builder.tensor(T((3,), None, 0, np.int32))
    builder.add("SHAPE", [x], [shape], options_of("ShapeOptions", outType=2))
    builder.add("RESHAPE", [x, shape], [y], options_of("ReshapeOptions", newShape=[1, 24]))
    project = plan_c_project(builder.finish([x], [y]))
    assert [step["calls"] for step in project.context["steps"]] == [[]]
    assert project.arena_bytes == 32


def test_state_lives_from_run_to_run_until_it_is_reset(tmp_path):
    """As that of the interpreter: the second half of a sequence goes on from the first."""
    op, tensors, results, options = lstm(6, 3, 4, 0.04, 2**-11)
    tflite = one_operator(op, tensors, results, options)
    library = ExportedLibrary(tflite, tmp_path / "project")
    (x,) = random_inputs(tflite)
    library.interpreter.reset()
    first, second = [library.interpreter.invoke(x)[0] for _ in range(2)]
    assert np.any(first != second)
    np.testing.assert_array_equal(library.run([x])[0], first)
    np.testing.assert_array_equal(library.run_on([x])[0], second)
    library.reset()
    np.testing.assert_array_equal(library.run_on([x])[0], first)
    library.run_self_test()


def test_positions_outside_of_an_embedding_read_nothing_else(tmp_path):
    table = np.arange(12, dtype=np.int8).reshape(4, 3)
    model = one_operator(*gather(constant(table, 0.05), T((1, 5), None, 0, np.int32), t((1, 5, 3))))
    library = ExportedLibrary(model, tmp_path / "project")
    (found,) = library.run([np.array([[-(2**31), -1, 2, 4, 2**31 - 1]], np.int32)])
    np.testing.assert_array_equal(found[0], table[[0, 0, 2, 3, 3]])
