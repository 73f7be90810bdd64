"""Writing elementwise functions of an int8 tensor as one operator, in the objects of a model.

A function that is the same for all elements becomes MLTQ_LOOKUP, a table of 256 int8 values. One
that is a gain and an offset for each channel becomes a DEPTHWISE_CONV_2D with filters of one entry,
whose int8 weight is 127 or -127: the gain is exact, and TFLite's vendors have kernels for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.converter import edit
from tfmot_mltq.converter.edit import quantization_of
from tfmot_mltq.converter.elementwise import ElementwiseFunction, evaluate, find_elementwise
from tfmot_mltq.helpers import flatbuffer
from tfmot_mltq.packing.format import LOOKUP_OP_NAME

_VERSION = 1
# What of a result may be rounding of float32.
_RELATIVE_ERROR = 1e-5
# An int32 bias that leaves room for the sum.
_LARGEST_BIAS = 2.0**30
_CLIPPED = {
    schema.ActivationFunctionType.NONE: (-np.inf, np.inf),
    schema.ActivationFunctionType.RELU: (0.0, np.inf),
    schema.ActivationFunctionType.RELU6: (0.0, 6.0),
    schema.ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
}


def rewrite_elementwise(model: schema.ModelT, round_inside: bool) -> None:
    """Writes the elementwise functions of a ``ModelT`` as one operator each, in place.

    What is neither a table nor a gain and an offset stays as it is.

    Args:
      model: ``ModelT``.
      round_inside: As for ``evaluate``.
    """
    subgraph = model.subgraphs[0]
    for function in find_elementwise(model):
        values = evaluate(model, function, round_inside)
        rows = values.reshape(256, -1)
        if ((rows == rows[:, :1]) | (np.isnan(rows) & np.isnan(rows[:, :1]))).all():
            _write_lookup(model, function, rows[:, 0])
        elif not (function.is_integer and len(function.operators) == 1):
            source = subgraph.tensors[function.source]
            affine = _as_affine(values, _inputs(source), source.shape)
            if affine is not None:
                _write_affine(model, function, affine)
    edit.drop_dead_operators(subgraph)


def _write_lookup(model: schema.ModelT, function: ElementwiseFunction, values: np.ndarray) -> None:
    subgraph = model.subgraphs[0]
    target = subgraph.tensors[function.target]
    scale, zero_point = quantization_of(target)
    with np.errstate(invalid="ignore"):
        steps = np.floor(values.astype(np.float64) / scale + zero_point + 0.5)
    steps = np.where(np.isnan(steps), zero_point, steps)  # where the function has no value
    table = np.clip(steps, -128, 127).astype(np.int8)
    name = f"{flatbuffer.tensor_name(target)}/table"
    inputs = [function.source, edit.add_constant(model, table, name)]
    operator = edit.custom_operator(model, LOOKUP_OP_NAME, _VERSION, inputs, [function.target])
    edit.replace(subgraph, function.operators[-1:], [operator])


@dataclasses.dataclass(frozen=True)
class _Affine:
    """y = clip(gain * x + offset) for each channel, the elements from an axis on.

    Attributes:
      gain, offset: float64, shape (channels,).
      activation: ``ActivationFunctionType`` that clips.
      axis: First axis of the channels.
    """

    gain: np.ndarray
    offset: np.ndarray
    activation: int
    axis: int


def _as_affine(values: np.ndarray, inputs: np.ndarray, shape: Sequence[int]) -> _Affine | None:
    """The function as gains and offsets.

    Args:
      values: Of the function, as ``evaluate`` gives them.
      inputs: Shape (256,), the real values of the source.
      shape: Of the tensor.
    """
    axis = next(axis for axis, size in enumerate(values.shape) if axis and size > 1)
    rows = values.reshape(256, -1).astype(np.float64)
    if not np.isfinite(rows).all():
        return None
    tolerance = _RELATIVE_ERROR * max(np.abs(rows).max(), 1e-30)
    for activation, (low, high) in _CLIPPED.items():
        if rows.min() < low or rows.max() > high:
            continue
        inside = (rows > low + tolerance) & (rows < high - tolerance)
        any_inside = inside.sum(0) > 1
        first, last = inside.argmax(0), 255 - inside[::-1].argmax(0)
        columns = np.arange(rows.shape[1])
        rise = rows[last, columns] - rows[first, columns]
        run = np.where(last > first, inputs[last] - inputs[first], 1.0)
        gain = np.where(any_inside & (last > first), rise / run, 0.0)
        offset = np.where(any_inside, rows[first, columns] - gain * inputs[first], rows[0])
        fitted = np.clip(gain * inputs[:, None] + offset, low, high)
        if np.abs(fitted - rows).max() <= 4 * tolerance:
            channels = tuple(shape[axis:])
            gain, offset = (
                np.broadcast_to(part.reshape(values.shape[axis:]), channels).ravel()
                for part in (gain, offset)
            )
            return _Affine(gain, offset, activation, axis)
    return None


def _write_affine(model: schema.ModelT, function: ElementwiseFunction, affine: _Affine) -> None:
    subgraph = model.subgraphs[0]
    source, target = (subgraph.tensors[i] for i in (function.source, function.target))
    shape = list(map(int, source.shape))
    input_scale, _ = quantization_of(source)
    output_scale, _ = quantization_of(target)
    # A step of a weight: as fine as can be, but the bias has to fit into 32 bits, and the factor
    # from sum to output into TFLite's.
    steps = np.maximum(
        np.abs(affine.gain) / 127, np.abs(affine.offset) / _LARGEST_BIAS / input_scale
    )
    steps = np.maximum(steps, output_scale / input_scale * 2.0**-24).astype(np.float32)
    weights = np.rint(affine.gain / steps).astype(np.int8)
    biases = np.rint(affine.offset / (steps.astype(np.float64) * input_scale)).astype(np.int32)
    channels = weights.size
    name = flatbuffer.tensor_name(target)
    filter_index = edit.add_constant(
        model, weights.reshape(1, 1, 1, channels), f"{name}/gain", steps, axis=3
    )
    bias_index = edit.add_constant(
        model, biases, f"{name}/offset", (steps * np.float32(input_scale)), axis=0
    )
    positions = int(np.prod(shape[1 : affine.axis]))
    image = [shape[0], 1, positions, channels]
    if len(shape) == 4 and affine.axis == 3:
        image = shape
    operators = []
    inputs, outputs = function.source, function.target
    if image != shape:
        inputs = edit.add_tensor_like(model, function.source, image, f"{name}/as_image")
        operators.append(edit.reshape(model, function.source, inputs))
    if image != list(map(int, target.shape)):
        outputs = edit.add_tensor_like(model, function.target, image, f"{name}/image")
    operators.append(_depthwise(model, [inputs, filter_index, bias_index], outputs, affine))
    if outputs != function.target:
        operators.append(edit.reshape(model, outputs, function.target))
    edit.replace(subgraph, function.operators[-1:], operators)


def _depthwise(
    model: schema.ModelT, inputs: list[int], output: int, affine: _Affine
) -> schema.OperatorT:
    options = schema.DepthwiseConv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    options.depthMultiplier = 1
    options.fusedActivationFunction = affine.activation
    return edit.builtin_operator(model, "DEPTHWISE_CONV_2D", 3, inputs, [output], options)


def _inputs(tensor: schema.TensorT) -> np.ndarray:
    scale, zero_point = quantization_of(tensor)
    return (np.arange(-128, 128) - zero_point) * scale
