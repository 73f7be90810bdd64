"""What generated code has to do for each operator of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq import flatbuffer
from tfmot_mltq.converter.activation_range import activation_range
from tfmot_mltq.cost_model.tflite_call import sized_call, window_padding
from tfmot_mltq.errors import ConversionError
from tfmot_mltq.export.fixed_point import (
    add_factors,
    fixed_point,
    mean_factor,
    softmax_parameters,
)
from tfmot_mltq.packing.format import CUSTOM_OP_NAMES, LOOKUP_OP_NAME, Kind
from tfmot_mltq.packing.packed_layer import Geometry


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of the model.

    Attributes:
      shape: With the batch dimension, which is 1.
      scale, zero_point: Of int8 values.
    """

    shape: tuple[int, ...]
    scale: float
    zero_point: int

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape))


@dataclasses.dataclass(frozen=True)
class Step:
    """One operator.

    Attributes:
      op: Which function of generated code: "mltq", "conv_2d", "depthwise_conv_2d",
        "fully_connected", "average_pool_2d", "max_pool_2d", "add", "softmax",
        "mean", "requantize", "lookup", "reshape".
      inputs, output: Numbers of tensors of the model.
      values: Constants of the call, by the names that the template uses.
    """

    op: str
    inputs: tuple[int, ...]
    output: int
    values: dict[str, Any]


def read_steps(tflite: bytes) -> tuple[list[Step], dict[int, Tensor], int, int]:
    """The steps of a model in order, its int8 tensors by number, and the numbers of its input and
    its output.

    Raises:
      ValueError: The bytes are no TFLite model.
      ConversionError: It has several inputs or outputs, one that is not int8, or an operator that
        generated code has not.
    """
    model = flatbuffer.load(tflite)
    graph = model.subgraphs[0]
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ConversionError(
            f"The model has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; without "
            "the interpreter it can have one of each."
        )
    ends = graph.inputs[0], graph.outputs[0]
    if any(graph.tensors[index].type != schema.TensorType.INT8 for index in ends):
        raise ConversionError("The input and the output of the model must be int8.")
    tensors: dict[int, Tensor] = {}

    def tensor(index: int) -> Tensor:
        if index not in tensors:
            found = graph.tensors[index]
            quantization = found.quantization
            tensors[index] = Tensor(
                tuple(map(int, found.shape)),
                float(quantization.scale[0]),
                int(quantization.zeroPoint[0]),
            )
        return tensors[index]

    for end in ends:
        tensor(end)
    steps = []
    for operator in graph.operators:
        name = flatbuffer.operator_name(model, operator)
        read = _READERS.get(name)
        if read is None:
            raise ConversionError(
                f"Operator {name} is not among those that run without the interpreter: "
                f"{', '.join(sorted(_READERS))}."
            )
        if graph.tensors[operator.outputs[0]].type != schema.TensorType.INT8:
            raise ConversionError(f"The output of {name} is not int8.")
        steps.append(read(_Reader(model, graph, operator, tensor)))
        for index in (*steps[-1].inputs, steps[-1].output):
            tensor(index)
    return steps, tensors, int(ends[0]), int(ends[1])


@dataclasses.dataclass(frozen=True)
class _Reader:
    """An operator that is being read."""

    model: Any
    graph: Any
    operator: Any
    tensor: Callable[[int], Tensor]

    @property
    def options(self) -> Any:
        return self.operator.builtinOptions

    def input(self, position: int = 0) -> Tensor:
        return self.tensor(self.operator.inputs[position])

    @property
    def output(self) -> Tensor:
        return self.tensor(self.operator.outputs[0])

    def constant(self, position: int) -> np.ndarray | None:
        inputs = self.operator.inputs
        if position >= len(inputs) or inputs[position] < 0:
            return None
        return flatbuffer.constant(self.model, self.graph.tensors[inputs[position]])

    def step(self, op: str, values: dict[str, Any], inputs: int = 1) -> Step:
        sources = tuple(map(int, self.operator.inputs[:inputs]))
        return Step(op, sources, int(self.operator.outputs[0]), values)

    def clamp(self) -> dict[str, int]:
        low, high = activation_range(
            self.options.fusedActivationFunction, self.output.scale, self.output.zero_point
        )
        return {"activation_min": low, "activation_max": high}


def _mltq(reader: _Reader) -> Step:
    name = flatbuffer.operator_name(reader.model, reader.operator)
    kind = next(kind for kind, text in CUSTOM_OP_NAMES.items() if text == name)
    buffer = reader.graph.tensors[reader.operator.inputs[1]].buffer
    packed = bytes(reader.model.buffers[buffer].data)
    layer = flatbuffer.layer_name(reader.graph.tensors[reader.operator.inputs[1]])
    return reader.step("mltq", {"kind": kind, "packed": packed, "name": layer})


def _weights(reader: _Reader, *, float_product: bool) -> dict[str, Any]:
    """Filter, biases and factors. Fully connected kernels multiply the scales of input and filter
    in float32 unless every channel has its own.
    """
    quantization = reader.graph.tensors[reader.operator.inputs[1]].quantization
    scales = np.asarray(quantization.scale, np.float32)
    source, target = reader.input(), reader.output
    if float_product and scales.size == 1:
        products = (np.float32(source.scale) * scales).astype(np.float64)
    else:
        products = source.scale * scales.astype(np.float64)
    return {
        "filter": reader.constant(1),
        "biases": reader.constant(2),
        "factors": [fixed_point(float(product) / target.scale) for product in products],
        "input_offset": -source.zero_point,
        "output_offset": target.zero_point,
        **reader.clamp(),
    }


def _window(
    reader: _Reader, filter_size: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> dict[str, int]:
    source, target, options = reader.input(), reader.output, reader.options
    stride = options.strideH, options.strideW
    geometry = Geometry(
        Kind.CONV_2D, source.shape[3], target.shape[3], filter_size, stride, dilation,
        window_padding(options),
    )  # fmt: skip
    call = sized_call(geometry, source.shape, target.shape)
    names = ("h", "w")
    return {
        **{f"input_{n}": source.shape[1 + i] for i, n in enumerate(names)},
        "input_channels": source.shape[3],
        **{f"output_{n}": target.shape[1 + i] for i, n in enumerate(names)},
        "output_channels": target.shape[3],
        **{f"filter_{n}": filter_size[i] for i, n in enumerate(names)},
        **{f"stride_{n}": stride[i] for i, n in enumerate(names)},
        **{f"dilation_{n}": dilation[i] for i, n in enumerate(names)},
        "pad_top": call.reach(0)[0],
        "pad_left": call.reach(1)[0],
    }


def _convolution(op: str) -> Callable[[_Reader], Step]:
    def read(reader: _Reader) -> Step:
        weights = _weights(reader, float_product=False)
        options = reader.options
        dilation = options.dilationHFactor, options.dilationWFactor
        window = _window(reader, weights["filter"].shape[1:3], dilation)
        return reader.step(op, {"window": window, "weights": weights})

    return read


def _fully_connected(reader: _Reader) -> Step:
    weights = _weights(reader, float_product=True)
    outputs, inputs = weights["filter"].shape
    sizes = {"rows": reader.input().size // inputs, "inputs": inputs, "outputs": outputs}
    return reader.step("fully_connected", {"sizes": sizes, "weights": weights})


def _pool(op: str) -> Callable[[_Reader], Step]:
    def read(reader: _Reader) -> Step:
        size = reader.options.filterHeight, reader.options.filterWidth
        return reader.step(op, {"window": _window(reader, size), **reader.clamp()})

    return read


def _add(reader: _Reader) -> Step:
    sources = reader.input(0), reader.input(1)
    if sources[0].shape != sources[1].shape:
        raise ConversionError("ADD of different shapes does not run without the interpreter.")
    factors = add_factors((sources[0].scale, sources[1].scale), reader.output.scale)
    return reader.step(
        "add",
        {
            "size": reader.output.size,
            "offsets": [-source.zero_point for source in sources],
            "factors": factors[:2],
            "output_factor": factors[2],
            "output_offset": reader.output.zero_point,
            **reader.clamp(),
        },
        inputs=2,
    )


def _mean(reader: _Reader) -> Step:
    source, target = reader.input(), reader.output
    axes = reader.constant(1)
    if axes is None or len(source.shape) != 4 or sorted(axes.reshape(-1).tolist()) != [1, 2]:
        raise ConversionError(
            "MEAN runs without the interpreter over the height and width of an image only."
        )
    positions = source.shape[1] * source.shape[2]
    return reader.step(
        "mean",
        {
            "positions": positions,
            "channels": source.shape[3],
            "factor": mean_factor(source.scale, target.scale, positions),
            "input_offset": -source.zero_point,
            "output_offset": target.zero_point,
        },
    )


def _softmax(reader: _Reader) -> Step:
    size = reader.input().shape[-1]
    beta, smallest = softmax_parameters(reader.options.beta, reader.input().scale)
    return reader.step(
        "softmax",
        {
            "beta": beta,
            "smallest_difference": smallest,
            "rows": reader.input().size // size,
            "size": size,
        },
    )


def _quantize(reader: _Reader) -> Step:
    source, target = reader.input(), reader.output
    if reader.graph.tensors[reader.operator.inputs[0]].type != schema.TensorType.INT8:
        raise ConversionError("QUANTIZE of a float tensor does not run without the interpreter.")
    return reader.step(
        "requantize",
        {
            "size": target.size,
            "factor": fixed_point(source.scale / target.scale),
            "input_offset": -source.zero_point,
            "output_offset": target.zero_point,
        },
    )


def _lookup(reader: _Reader) -> Step:
    table = reader.constant(1)
    if table is None or table.dtype != np.int8 or table.size != 256:
        raise ConversionError(f"{LOOKUP_OP_NAME}: the table must be constant, 256 values of int8.")
    if reader.input().size != reader.output.size:
        raise ConversionError(
            f"{LOOKUP_OP_NAME}: the output must have as many values as the input."
        )
    return reader.step("lookup", {"size": reader.output.size, "table": table.reshape(-1).tolist()})


def _reshape(reader: _Reader) -> Step:
    return reader.step("reshape", {})


_READERS: dict[str, Callable[[_Reader], Step]] = {
    **dict.fromkeys(CUSTOM_OP_NAMES.values(), _mltq),
    LOOKUP_OP_NAME: _lookup,
    "CONV_2D": _convolution("conv_2d"),
    "DEPTHWISE_CONV_2D": _convolution("depthwise_conv_2d"),
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _pool("average_pool_2d"),
    "MAX_POOL_2D": _pool("max_pool_2d"),
    "ADD": _add,
    "MEAN": _mean,
    "SOFTMAX": _softmax,
    "QUANTIZE": _quantize,
    "RESHAPE": _reshape,
}
