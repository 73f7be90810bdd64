"""Models of a few operators, written straight to a flatbuffer: every field is the test's."""

import dataclasses
import re

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfmot_mltq.helpers import flatbuffer

TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
}


@dataclasses.dataclass
class T:
    """A tensor: an activation of a shape, a constant with a value, or a variable."""

    shape: tuple = ()
    scale: float | list | None = 0.05
    zero_point: int = 0
    dtype: type = np.int8
    value: np.ndarray | None = None
    axis: int = 0
    variable: bool = False


def constant(value, scale=None, zero_point=0, axis=0):
    value = np.asarray(value)
    return T(value.shape, scale, zero_point, value.dtype, value, axis)


def options_of(name, **fields):
    """Builtin options with these fields; a name such as "PoolOptions"."""
    options = getattr(schema, f"{name}T")()
    for field, value in fields.items():
        assert hasattr(options, field), field
        setattr(options, field, value)
    return name, options


class Builder:
    """A graph that grows operator by operator."""

    def __init__(self):
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, tensor):
        made = schema.TensorT()
        made.name = f"tensor_{len(self.graph.tensors)}"
        made.shape = list(tensor.shape)
        made.isVariable = tensor.variable
        made.type = TYPES[np.dtype(tensor.dtype)]
        made.quantization = schema.QuantizationParametersT()
        if tensor.scale is not None:
            scales = np.atleast_1d(np.asarray(tensor.scale, np.float32))
            made.quantization.scale = scales.tolist()
            made.quantization.zeroPoint = [tensor.zero_point] * len(scales)
            made.quantization.quantizedDimension = tensor.axis
        if tensor.value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(tensor.value).tobytes(), np.uint8)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def add(self, op, inputs, outputs, options=None, version=1):
        """Adds an operator on tensors by number (-1 for none); a custom one begins with MLTQ."""
        code = schema.OperatorCodeT()
        code.version = version
        if op.startswith("MLTQ"):
            code.customCode = op
            code.builtinCode = schema.BuiltinOperator.CUSTOM
        else:
            code.builtinCode = getattr(schema.BuiltinOperator, op)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options[0])
            operator.builtinOptions = options[1]
        self.graph.operators.append(operator)

    def finish(self, inputs, outputs):
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        return flatbuffer.save(self.model)


def one_operator(op, inputs, outputs, options=None, version=1):
    """A model of one operator; its inputs are those tensors that are not constant."""
    builder = Builder()
    numbers = [-1 if tensor is None else builder.tensor(tensor) for tensor in inputs]
    results = [builder.tensor(tensor) for tensor in outputs]
    builder.add(op, numbers, results, options, version)
    activations = [
        number
        for number, tensor in zip(numbers, inputs, strict=True)
        if tensor and tensor.value is None and not tensor.variable
    ]
    return builder.finish(list(dict.fromkeys(activations)), results)


def without_paths(text):
    """A message without the source lines that interpreters add."""
    return re.sub(r"\S+\.(cc|c|h):\d+ ?", "", text)
