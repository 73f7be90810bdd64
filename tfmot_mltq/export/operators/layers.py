"""Operators that multiply activations by weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.cost_model.tflite_call import sized_call, window_padding
from tfmot_mltq.export.c_code import Array, Call, Layer, Scratch, Struct
from tfmot_mltq.export.fast_weights import fast_weights, padded_filter, row_bytes
from tfmot_mltq.export.fixed_point import fixed_point
from tfmot_mltq.export.reader import PackedTensor, Reader, Step, Tensor
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.packing.format import CUSTOM_OP_NAMES, OperatorKind, Padding
from tfmot_mltq.packing.packed_layer import Geometry

# Channels that the fast depthwise and fully connected kernels take together, and so the fewest.
_TOGETHER = 4
_FAST_FULLY_CONNECTED = "mltq_stock_fully_connected_fast_s8"
_KINDS = {name: kind for kind, name in CUSTOM_OP_NAMES.items()}


def layer_with_levels(reader: Reader) -> Step:
    """One of our operators on a packed layer."""
    reader.input()
    reader.output()
    reader.require(reader.constant(0) is None, "the input is a constant")
    tensor = reader.graph.tensors[reader.operator.inputs[1]]
    packed = bytes(reader.model.buffers[tensor.buffer].data)
    arguments = (Layer(), reader.source(), reader.target(), Scratch())
    call = Call("mltq_layer_eval_s8", arguments, can_fail=True)
    name = flatbuffer.layer_name(tensor)
    return reader.step(call, packed=PackedTensor(packed, int(_KINDS[reader.op]), name))


def convolution(op: str) -> Callable[[Reader], Step]:
    """CONV_2D, or DEPTHWISE_CONV_2D."""

    def read(reader: Reader) -> Step:
        reader.require_images()
        weights = _weights(reader, channel_axis=0 if op == "conv_2d" else 3)
        channels, filter_shape = reader.input().shape[3], _filter(reader).shape
        groups = 1
        if op == "conv_2d":
            groups = channels // filter_shape[3]
            fits = groups * filter_shape[3] == channels and filter_shape[0] % groups == 0
        else:
            fits = filter_shape[3] % channels == 0
        reader.require(fits, "its filter does not fit the input")
        options = reader.options
        dilation = options.dilationHFactor, options.dilationWFactor
        stride = options.strideH, options.strideW
        window = window_of(reader, filter_shape[1:3], stride, dilation)
        ends = reader.source(), reader.target()
        is_deep = op == "depthwise_conv_2d"
        if is_deep and filter_shape[3] == channels >= _TOGETHER:
            fast = _fast_weights(weights, reader, op)
            if fast is not None:
                call = Call("mltq_stock_depthwise_conv_2d_fast_s8", (window, fast, *ends))
                return reader.step(*reader.image_calls(call))
        if not is_deep and groups == 1:
            fast = _fast_weights(weights, reader, op)
            if fast is not None:
                call = Call("mltq_stock_conv_2d_fast_s8", (window, fast, *ends, Scratch()))
                scratch = 5 * row_bytes(int(np.prod(filter_shape[1:]))) + 48
                return reader.step(*reader.image_calls(call), scratch_bytes=scratch)
        call = Call(f"mltq_stock_{op}_s8", (window, weights, *ends))
        if groups > 1:
            call = Call(f"mltq_stock_grouped_{op}_s8", (window, weights, groups, *ends))
        return reader.step(*reader.image_calls(call))

    return read


def transpose_convolution(reader: Reader) -> Step:
    """TRANSPOSE_CONV: input 0 is a shape, input 2 the image."""
    source, target = reader.input(2), reader.output()
    reader.require_images(2)
    filter_size = _filter(reader).shape[1:3]
    options = reader.options
    stride = options.strideH, options.strideW
    # The padding is that of the convolution whose gradient this is: from the output to the input.
    reach = sized_call(
        Geometry(OperatorKind.CONV_2D, target.shape[3], source.shape[3], filter_size, stride,
                 (1, 1), window_padding(options)),
        target.shape, source.shape,
    )  # fmt: skip
    window = _window(source, target, filter_size, stride, (1, 1), (reach.reach(0), reach.reach(1)))
    weights = _weights(reader, channel_axis=0, source=source, bias=3)
    arguments = (window, weights, reader.source(2), reader.target())
    return reader.step(*reader.image_calls(Call("mltq_stock_transpose_conv_2d_s8", arguments), 2))


def fully_connected(reader: Reader) -> Step:
    """FULLY_CONNECTED."""
    reader.require(
        reader.options.weightsFormat == schema.FullyConnectedOptionsWeightsFormat.DEFAULT,
        "its weights are shuffled",
    )
    weights = _weights(reader, channel_axis=0, float_product=True)
    outputs, inputs = _filter(reader).shape
    rows = reader.input().size // inputs
    reader.require(
        reader.input().size == rows * inputs and reader.output().size == rows * outputs,
        "its filter does not fit the tensors",
    )
    fast = _fast_weights(weights, reader, "fully_connected") if outputs >= _TOGETHER else None
    function = "mltq_stock_fully_connected_s8" if fast is None else _FAST_FULLY_CONNECTED
    arguments = (rows, inputs, outputs, fast or weights, reader.source(), reader.target())
    return reader.step(Call(function, arguments))


def window_of(
    reader: Reader,
    filter_size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Struct:
    """The window of a convolution or pooling that slides over the first input."""
    source, target = reader.input(), reader.output()
    geometry = Geometry(
        OperatorKind.CONV_2D, source.shape[3], target.shape[3], filter_size, stride, dilation,
        Padding(window_padding(reader.options)),
    )  # fmt: skip
    call = sized_call(geometry, source.shape, target.shape)
    return _window(source, target, filter_size, stride, dilation, (call.reach(0), call.reach(1)))


def _window(
    source: Tensor,
    target: Tensor,
    filter_size: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    reach: tuple[Any, Any],
) -> Struct:
    names = ("h", "w")
    return Struct(
        "Window",
        "MltqWindow",
        {
            **{f"input_{n}": source.shape[1 + i] for i, n in enumerate(names)},
            "input_channels": source.shape[3],
            **{f"output_{n}": target.shape[1 + i] for i, n in enumerate(names)},
            "output_channels": target.shape[3],
            **{f"filter_{n}": filter_size[i] for i, n in enumerate(names)},
            **{f"stride_{n}": stride[i] for i, n in enumerate(names)},
            **{f"dilation_{n}": dilation[i] for i, n in enumerate(names)},
            "pad_top": reach[0][0],
            "pad_left": reach[1][0],
        },
    )


def _filter(reader: Reader) -> np.ndarray:
    tensor = reader.graph.tensors[reader.operator.inputs[1]]
    name = flatbuffer.tensor_name(tensor)
    reader.require(tensor.type == schema.TensorType.INT8, f"its filter '{name}' is not int8")
    value = reader.constant(1)
    if value is None:
        raise reader.refusal(f"its filter '{name}' is not constant")
    return value


def _weights(
    reader: Reader,
    *,
    channel_axis: int,
    float_product: bool = False,
    source: Tensor | None = None,
    bias: int = 2,
) -> Struct:
    """Filter, biases and factors. Fully connected kernels multiply the scales of input and filter
    in float32 unless every channel has its own.
    """
    quantization = reader.graph.tensors[reader.operator.inputs[1]].quantization
    values, biases = _filter(reader), reader.constant(bias)
    if reader.has(bias):
        tensor = reader.graph.tensors[reader.operator.inputs[bias]]
        reader.require(
            biases is not None and tensor.type == schema.TensorType.INT32,
            f"its biases '{flatbuffer.tensor_name(tensor)}' are not an int32 constant",
        )
    found = getattr(quantization, "scale", None)
    scales = np.asarray(() if found is None else found, np.float32)
    reader.require(
        scales.size in (1, values.shape[channel_axis])
        and (scales.size == 1 or quantization.quantizedDimension == channel_axis)
        and not np.any(quantization.zeroPoint),
        "its filter is not quantized with one scale per channel and zero point 0",
    )
    source, target = source or reader.input(), reader.output()
    if float_product and scales.size == 1:
        products = (np.float32(source.scale) * scales).astype(np.float64)
    else:
        products = source.scale * scales.astype(np.float64)
    factors = [fixed_point(float(product) / target.scale) for product in products]
    return Struct(
        "Weights",
        "MltqWeights",
        {
            "filter": Array("Filter", "int8_t", values.reshape(-1).tolist()),
            "biases": None
            if biases is None
            else Array("Biases", "int32_t", biases.reshape(-1).tolist()),
            "factors": Array("Factors", "MltqFixedPoint", factors),
            "factor_step": int(len(factors) > 1),
            "input_offset": -source.zero_point,
            "output_offset": target.zero_point,
            **reader.clamp(),
        },
    )


def _fast_weights(weights: Struct, reader: Reader, op: str) -> Struct | None:
    """The same weights for the fast kernel of an operator, or None where they are beyond it."""
    fields, values = weights.fields, _filter(reader)
    is_deep = op == "depthwise_conv_2d"
    rows = values.reshape(-1, values.shape[3]).T if is_deep else values.reshape(len(values), -1)
    found = fast_weights(
        rows,
        [0] * len(rows) if fields["biases"] is None else fields["biases"].values,
        fields["factors"].values,
        input_zero_point=reader.input().zero_point,
        output_zero_point=reader.output().zero_point,
        clamp=(fields["activation_min"], fields["activation_max"]),
        per_channel=op != "fully_connected",
    )
    if found is None:
        return None
    made = found.rows.T.reshape(-1).tolist() if is_deep else padded_filter(found.rows)
    of_unsigned = Array("UnsignedBiases", "int32_t", found.unsigned_biases)
    return Struct(
        "Weights",
        "MltqFastWeights",
        {
            "filter": Array("Filter", "int8_t", made),
            "biases": Array("Biases", "int32_t", found.biases),
            "unsigned_biases": of_unsigned if op == "conv_2d" else None,
            "factors": Array("Factors", "MltqFastFactor", found.factors),
            "factor_step": int(len(found.factors) > 1),
            "input_zero_point": reader.input().zero_point,
            "activation_min": fields["activation_min"],
            "activation_max": fields["activation_max"],
        },
    )
